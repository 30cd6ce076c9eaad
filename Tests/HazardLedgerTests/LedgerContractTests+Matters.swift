import HazardLedger
import Telemetry
import Testing

/// Hazards and other matters in every store, what retention leaves of them, and views that were tampered with.
extension LedgerContractTests {
  @Test(
    "a hazard reads back as it was led; its view follows, live and rebuilt",
    arguments: StoreKind.available
  )
  func hazards(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    var random = SplitMix64(seed: 5)
    var hazards: [String: Hazard] = [:]
    var drafts: [LedgerDraft] = []
    for index in 0..<4 {
      let registration = HazardWorkflowTests.registration("hz/\(index)")
      hazards[registration.id] = Hazard(registration, at: Timestamp(milliseconds: 0))
      drafts.append(
        LedgerDraft(
          registering: registration,
          by: "engine",
          as: .engine,
          at: Timestamp(milliseconds: 0),
          origin: 1
        )
      )
    }
    var position: UInt64 = 1
    for step in 1...1_500 {
      let id = "hz/\(Int.random(in: 0..<4, using: &random))"
      var hazard = try #require(hazards[id])
      let input = HazardWorkflowTests.act(
        &random,
        at: Timestamp(milliseconds: Int64(step) * 10),
        in: hazard.state
      )
      do {
        try hazard.perform(input, conditionStands: false)
      } catch { continue }
      hazards[id] = hazard
      drafts.append(LedgerDraft(input, on: id, to: hazard.state, origin: position))
      // Several acts on one hazard in a batch, and batches that begin in the midst of one.
      guard drafts.count >= 7 else { continue }
      try ledger.append(drafts, rejects: [], position: position)
      position += 1
      drafts = []
    }
    if !drafts.isEmpty { try ledger.append(drafts, rejects: [], position: position) }
    for (id, hazard) in hazards { #expect(try ledger.hazard(id: id) == hazard, "\(id)") }
    let live = try Views(ledger)
    #expect(live.hazards.map(\.id).sorted() == hazards.keys.sorted())
    for view in live.hazards {
      #expect(view.state == hazards[view.id]?.state)
      #expect(view.steps == hazards[view.id]?.steps)
    }
    let open = HazardFilter(openOnly: true, enterprises: ["ent"])
    #expect(
      try ledger.hazards(open, before: nil, limit: 100) == live.hazards.filter { !$0.state.isFinal }
    )
    #expect(
      try ledger.hazards(HazardFilter(), before: live.hazards[1].firstSequence, limit: 1)
        == [live.hazards[2]]
    )
    #expect(try ledger.hazards(ofAlarm: "ent/site/area/GD-1/ch#hh@1").count == 4)
    try ledger.rebuildViews()
    #expect(try Views(ledger) == live)
  }

  @Test("call-outs, clocks and silences are listed alike", arguments: StoreKind.available)
  func matters(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    func draft(_ kind: EntryKind, _ id: String, _ event: String, _ time: Int64) -> LedgerDraft {
      LedgerDraft(
        time: Timestamp(milliseconds: time),
        kind: kind,
        subject: id,
        actor: "engine",
        body: JSONValue.object(["event": .string(event), "place": .string("ent/site/\(id)")])
          .canonicalBytes(),
        origin: 1
      )
    }
    let batches = [
      [draft(.callout, "c1", "started", 1), draft(.callout, "c1", "dispatching", 2)],
      [
        draft(.callout, "c2", "started", 3), draft(.clock, "c1", "started", 4),
        draft(.callout, "c1", "confirmed", 5),
      ],
    ]
    for (index, batch) in batches.enumerated() {
      try ledger.append(batch, rejects: [], position: UInt64(index + 1))
    }
    func list(_ filter: MatterFilter, before cursor: Int64? = nil) throws -> [MatterView] {
      try ledger.matters(filter, before: cursor, limit: 10)
    }
    let all = try list(MatterFilter(kind: .callout))
    #expect(all.map(\.id) == ["c2", "c1"])
    #expect(all.map(\.state) == ["started", "confirmed"])
    #expect(all.map(\.steps) == [1, 3])
    #expect(all[1].firstTime.milliseconds == 1 && all[1].lastTime.milliseconds == 5)
    #expect(try list(MatterFilter(kind: .callout, openOnly: true)).map(\.id) == ["c2"])
    #expect(try list(MatterFilter(kind: .callout), before: all[0].firstSequence) == [all[1]])
    #expect(
      try list(MatterFilter(kind: .callout, places: ["ent/site/c1", "ent/sit"])) == [all[1]]
    )
    // Of places that lie within each other nothing is listed twice.
    let nested = MatterFilter(kind: .callout, places: ["ent", "ent/site", "ent/site/c1"])
    #expect(try list(nested) == all)
    #expect(try list(nested, before: all[0].firstSequence) == [all[1]])
    #expect(try ledger.matter(.clock, id: "c1")?.steps == 1)
    #expect(try ledger.matter(.silence, id: "c1") == nil)
    try ledger.rebuildViews()
    #expect(try list(MatterFilter(kind: .callout)) == all)
  }

  @Test(
    "an order to prune does the same everywhere, and what is left verifies",
    arguments: StoreKind.available
  )
  func redaction(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let elsewhere = try StorePlace(.sqlite)
    let ledger = try place.open()
    let other = try elsewhere.open()
    for store in [ledger, other] {
      try store.fill(seed: 6, entries: 600)
      let time = try #require(try store.entries(after: 400, limit: 1).first).time
      let rule = RedactionRule(name: "retention", before: time, reason: "示例", limit: 50)
      let position = try store.position + 1
      var story = AlarmStory(seed: 99, after: 10_000_000_000)
      let drafts =
        [story.step()]
        + [rule.order(at: time, actor: "engine", origin: position), story.step()]
      try store.append(
        drafts.map {
          var draft = $0
          draft.origin = position
          return draft
        },
        rejects: [],
        position: position
      )
    }
    let entries = try ledger.entries(after: 0, limit: 10_000)
    #expect(entries == (try other.entries(after: 0, limit: 10_000)))
    #expect(entries.count { $0.body == nil } > 50)
    #expect(try Views(ledger) == Views(other))
    #expect(try place.verify().findings == [])
    #expect(try place.verify().redacted > 50)
  }

  /// What would change who is shown what, or what retention spares, without a word in the entries.
  static let attacks = [
    "DELETE FROM hazard_alarm",
    "DELETE FROM hazard_alarm WHERE alarm = (SELECT max(alarm) FROM hazard_alarm)",
    "UPDATE hazard_alarm SET hazard = 'hz/2' WHERE alarm = (SELECT max(alarm) FROM hazard_alarm)",
    "INSERT INTO hazard_alarm SELECT min(id), 'hz/1' FROM alarm",
    "DELETE FROM entry_owner WHERE seq = (SELECT max(seq) FROM entry_owner)",
    "UPDATE entry_owner SET enterprise = 'another' WHERE seq = (SELECT min(seq) FROM entry_owner)",
    "UPDATE hazard SET place = 'elsewhere'", "UPDATE alarm SET state = 'normal', priority = 9",
  ]

  @Test(
    "views that do not fit the entries are found, in either store",
    arguments: StoreKind.available,
    attacks
  )
  func tampered(kind: StoreKind, sql: String) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    try ledger.fill(seed: 6, entries: 60)
    let alarms = try ledger.alarms(AlarmFilter(), before: nil, limit: 3).alarms
    let time = Timestamp(milliseconds: 5)
    // A text may hold U+0000, which PostgreSQL cannot: its views show it as U+2400, and that is no finding. (SQLite's binding
    // reads a text up to it; neither desk nor relay takes one.)
    let end = kind == .postgres ? "\0" : ""
    let registration = HazardRegistration(
      id: "hz/1",
      source: .report,
      enterprise: "ent-1",
      place: "ent-1/site\(end)",
      title: "leak\(end)",
      alarms: alarms.dropFirst().map(\.id) + ["ent-1/a\(end)b#hh@1"]
    )
    let position = try ledger.position + 1
    var drafts = [
      LedgerDraft(registering: registration, by: "li", as: .county, at: time, origin: position)
    ]
    var body = AlarmBody(
      point: "ent-1/a\(end)b",
      rule: "h\(end)h",
      onset: time,
      event: .raised,
      state: .unacknowledged,
      previous: .normal,
      priority: 3,
      unit: "%\(end)",
      received: time,
      cause: 1
    )
    body.reason = "r\(end)"
    drafts.append(LedgerDraft(alarm: body, time: time, origin: position))
    // A subject holds none; that of another station's alarm may differ from its point for this very reason.
    drafts[1].subject = "ent-1/ab#hh@5"
    drafts[1].body = try Self.named(drafts[1].subject, drafts[1].body)
    try ledger.append(drafts, rejects: [], position: position)
    #expect(try place.verify().findings == [])
    let view = try #require(try ledger.alarm(id: drafts[1].subject))
    #expect(view.point == (kind == .postgres ? "ent-1/a\u{2400}b" : "ent-1/ab"))
    #expect(try ledger.hazards(ofAlarm: alarms[1].id) == ["hz/1"])
    try place.execute(sql)
    #expect(try !place.verify().isIntact)
    try ledger.rebuildViews()
    #expect(try place.verify().findings == [])
  }

  private static func named(_ alarm: String, _ body: [UInt8]) throws -> [UInt8] {
    var members = try JSONValue(parsing: body).members ?? [:]
    members["alarm"] = .string(alarm)
    return JSONValue.object(members).canonicalBytes()
  }

  @Test(
    "hazards of a place are found whether they are few or many, and nothing that begins alike",
    arguments: StoreKind.available
  )
  func hazardsByPlace(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    // Far more than are sorted, and three of another area among them.
    try place.execute(
      """
      INSERT INTO hazard SELECT o, 'hazard/' || o, 'ent',
        CASE WHEN o IN (7, 9000, 21000) THEN 'ent/site/few/GD-' || o
          WHEN o = 8 THEN 'ent/site/few-more' WHEN o = 10 THEN 'ent/site/fe' ELSE 'ent/site/many' END,
        'monitoring', 't', 'registered', NULL, NULL, NULL, NULL, 1, o, 1
      FROM (WITH RECURSIVE n(o) AS (SELECT 1 UNION ALL SELECT o + 1 FROM n WHERE o < 21000) SELECT o FROM n) AS n
      """
    )
    func list(_ path: String, before cursor: Int64? = nil) throws -> [Int64] {
      var filter = HazardFilter(openOnly: true)
      filter.place = path
      let found = try ledger.hazards(filter, before: cursor, limit: 3)
      #expect(found.allSatisfy(filter.fits))
      return found.map(\.firstSequence)
    }
    #expect(try list("ent/site/few") == [21_000, 9_000, 7])
    #expect(try list("ent/site/few", before: 9_000) == [7])
    #expect(try list("ent/site/few/GD-7") == [7])
    #expect(try list("ent/site/none") == [])
    #expect(try list("ent/site/many") == [20_999, 20_998, 20_997])
    #expect(try list("ent/site/many", before: 12) == [11, 9, 6])
    #expect(try list("ent", before: 12) == [11, 10, 9])
  }
}
