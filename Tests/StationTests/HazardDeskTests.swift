import HazardLedger
import Journal
import Simulation
import Station
import Telemetry
import Testing

/// Hazards, clocks and silences on the desk, in virtual time.
@Suite("Hazard desk")
struct HazardDeskTests {
  static let hazard = "hazard/metec/metec/fence/ch4_n/ch4#HH@\(DeskStation.start)"

  @Test("a red alarm is a hazard; it closes only when the alarm is gone and others have accepted")
  func closedLoop() throws {
    let station = try DeskStation()
    try station.reading(25)
    #expect(
      try station.ledger.hazards(HazardFilter(), before: nil, limit: 9).map(\.id) == [Self.hazard]
    )
    try station.toRectifying(Self.hazard)
    #expect(
      try station.act(.submit, on: Self.hazard, as: .enterprise)
        == .refused("does not hold: evidenceOnFile", code: "guard.evidenceOnFile")
    )
    #expect(
      try station.act(.submit, on: Self.hazard, as: .enterprise, ["evidence": DeskStation.photo])
        == nil
    )
    // The plume stands: nobody can accept.
    #expect(
      try station.act(.accept, on: Self.hazard, as: .sector)
        == .refused("does not hold: conditionClear", code: "guard.conditionClear")
    )
    station.now += 1_000
    try station.reading(2)
    // Nor can the enterprise, nor another enterprise say that the work is done.
    for act in [HazardAct.accept, .sample, .close] {
      guard case .refused(_, "role") = try station.act(act, on: Self.hazard, as: .enterprise)
      else {
        guard act == .accept else { continue }
        Issue.record("\(act) by the enterprise")
        continue
      }
    }
    #expect(
      try station.act(.attach, on: Self.hazard, as: .enterprise, enterprise: "other")
        == .refused("metec/metec/fence/ch4_n/ch4 is not of the enterprise \"other\"", code: "scope")
    )
    #expect(try station.act(.accept, on: Self.hazard, as: .sector) == nil)
    #expect(
      try station.act(.close, on: Self.hazard, as: .county)
        == .refused("does not hold: sampledIfMajor", code: "guard.sampledIfMajor")
    )
    #expect(try station.act(.sample, on: Self.hazard, as: .city) == nil)
    #expect(try station.act(.close, on: Self.hazard, as: .county) == nil)
    let closed = try #require(try station.ledger.hazard(id: Self.hazard))
    #expect(closed.state == .closed)
    #expect(closed.evidence.map(\.name) == ["after.jpg"])
    #expect(try station.events(.system).filter { $0 == "desk.refused" }.count == 7)
    // The next plume at the same point is another hazard.
    station.now += 1_000
    try station.reading(25)
    #expect(
      try station.ledger.hazards(HazardFilter(openOnly: true), before: nil, limit: 9).count == 1
    )
    #expect(try station.replayedHead(page: 7) == (try station.ledger.head.hash))
  }

  @Test("a rule that makes a major hazard by itself says so at once, with its clause")
  func majorRule() throws {
    let station = try DeskStation { text in
      text.replacing("{immediate-from: red,", with: "{major-rules: {HH: 判定标准 第七条},")
    }
    try station.reading(25)
    let hazard = try #require(try station.ledger.hazard(id: Self.hazard))
    #expect(hazard.grade == .major)
    #expect(hazard.state == .registered)
    #expect(hazard.registration.basis == "判定标准 第七条")
    #expect(hazard.registration.ground == "majorRule")
  }

  @Test("an alarm that stands too long, or comes too often, becomes a hazard at its own time")
  func standingAndRepeated() throws {
    let standing = try DeskStation()
    try standing.reading(7)
    try standing.tick(to: DeskStation.start + 29 * DeskStation.minute)
    #expect(try standing.events(.hazard) == [])
    try standing.tick(to: DeskStation.start + 45 * DeskStation.minute)
    let draft = try #require(standing.drafts.first { $0.kind == .hazard })
    #expect(draft.time.milliseconds == DeskStation.start + 30 * DeskStation.minute)

    let often = try DeskStation()
    for round in 0..<3 {
      often.now = DeskStation.start + Int64(round) * 120_000
      try often.reading(7)
      often.now += 60_000
      try often.reading(2)
    }
    #expect(try often.bodies(.hazard).compactMap { $0["ground"]?.text } == ["repeated"])
  }

  @Test("overdue, the ladder 提醒→督办→通报→警示 is climbed by itself; an extension begins it anew")
  func ladder() throws {
    let station = try DeskStation()
    try station.reading(25)
    try station.toRectifying(Self.hazard)
    let deadline = try #require(try station.ledger.hazard(id: Self.hazard)?.deadline).milliseconds
    station.now += 1_000
    try station.reading(2)
    try station.tick(to: deadline + 4 * DeskStation.day)
    #expect(try station.events(.hazard).suffix(2) == ["remind", "supervise"])
    let times = station.drafts.filter { $0.kind == .hazard }.suffix(2).map(\.time.milliseconds)
    #expect(times == [deadline + 1, deadline + 3 * DeskStation.day])
    #expect(station.drafts.last { $0.kind == .hazard }?.actor == "engine")
    try station.tick(to: deadline + 20 * DeskStation.day)
    #expect(try station.events(.hazard).suffix(2) == ["circulate", "warn"])
    let later = deadline + 30 * DeskStation.day
    #expect(
      try station.act(
        .requestExtension,
        on: Self.hazard,
        as: .enterprise,
        ["deadline": .integer(later)]
      ) == nil
    )
    #expect(try station.act(.grantExtension, on: Self.hazard, as: .county) == nil)
    try station.tick(to: later + DeskStation.day)
    #expect(try station.events(.hazard).last == "remind")
    let clocks = try station.bodies(.clock).filter { $0["kind"]?.text == "rectification" }
    #expect(
      clocks.compactMap { $0["event"]?.text }
        == ["started", "warned", "expired", "started", "warned", "expired"]
    )
  }

  @Test("举一反三 sets like sites to check, each with a clock that the look stops")
  func generalise() throws {
    let station = try DeskStation()
    try station.reading(25)
    try station.toRectifying(Self.hazard)
    station.now += 1_000
    try station.reading(2)
    try station.toClosed(Self.hazard)
    guard
      case .refused(_, "unknown-place") = try station.act(
        .generalise,
        on: Self.hazard,
        as: .county,
        ["sites": ["metec/elsewhere"]]
      )
    else {
      Issue.record("a site that does not exist was taken")
      return
    }
    #expect(
      try station.act(.generalise, on: Self.hazard, as: .county, ["sites": ["metec/metec"]]) == nil
    )
    let child = "\(Self.hazard)/check/metec/metec"
    let check = try #require(try station.ledger.hazard(id: child))
    #expect(check.registration.parent == Self.hazard && check.state == .registered)
    let clock = MatterFilter(kind: .clock, openOnly: true, places: ["metec/metec"])
    func open() throws -> [String] {
      try station.ledger.matters(clock, limit: 99).map(\.id).filter { $0.hasPrefix("clock/check") }
    }
    #expect(try open() == ["clock/check/\(child)"])
    #expect(try station.act(.dismiss, on: child, as: .county) == nil)
    #expect(try open() == [])
    // Opened again and mended once more, the hazard sends people there once more.
    #expect(try station.act(.reopen, on: Self.hazard, as: .county) == nil)
    try station.toClosed(Self.hazard)
    #expect(
      try station.act(.generalise, on: Self.hazard, as: .county, ["sites": ["metec/metec"]]) == nil
    )
    #expect(try open() == ["clock/check/\(child)/\(station.inputs.count)"])
  }

  @Test("one hour to report, with a draft; then each level above, then supplements")
  func reports() throws {
    let station = try DeskStation()
    try station.reading(25)
    station.now += 1_000
    try station.reading(25, device: "ch4_e")
    let started = try station.bodies(.clock).filter { $0["event"]?.text == "started" }
    #expect(started.count == 1, "two alarms at one site are one report")
    let draft = try #require(started.first?["draft"]?["zh"]?.text)
    for part in ["METEC 试验场", "25.0 ppm", "20.0 ppm", "甲烷烟羽"] {
      #expect(draft.contains(part), "\(draft)")
    }
    try station.tick(to: DeskStation.start + 40 * DeskStation.minute)
    #expect(try station.events(.clock) == ["started", "warned"])
    func report(_ id: Int, _ text: String, _ verb: String = "report") throws -> ActError? {
      try station.send(
        .command,
        verb,
        [
          "actor": "wang", "role": "county", "clock": .string("clock/report/\(id)"),
          "text": .string(text),
        ]
      )
    }
    #expect(try report(1, "首报") == nil)
    #expect(try station.events(.clock).suffix(3) == ["stopped", "started", "started"])
    #expect(
      try station.bodies(.clock).suffix(2).compactMap { $0["kind"]?.text }
        == ["upperReport", "supplement"]
    )
    // Two hours for the city; it is late.
    try station.tick(to: DeskStation.start + 3 * DeskStation.hour)
    #expect(try station.events(.clock).last == "expired")
    #expect(try report(2, "转报") == nil)
    let stopped = try #require(
      try station.bodies(.clock).last { $0["event"]?.text == "stopped" }
    )
    #expect(stopped["late"]?.wholeNumber == 20 * DeskStation.minute)
    #expect(try report(3, "续报：无新增伤亡", "supplement") == nil)
    #expect(try station.events(.clock).last == "noted")
    #expect(
      try report(9, "x") == .refused("no report is due under clock/report/9", code: "unknown-clock")
    )
    #expect(try station.replayedHead(page: 3) == (try station.ledger.head.hash))
  }

  @Test(
    "a silence keeps people quiet and nothing else; when it ends, what is unanswered is called out"
  )
  func silence() throws {
    let station = try DeskStation()
    let until = DeskStation.start + 20 * DeskStation.minute
    #expect(try station.silence(until: until) == nil)
    guard
      case .refused(_, "scope") = try station.send(
        .command,
        "silence",
        [
          "actor": "li", "role": "enterprise", "enterprise": "other", "reason": "x",
          "path": "metec", "until": .integer(until),
        ]
      )
    else {
      Issue.record("a foreign path was silenced")
      return
    }
    station.now += 1_000
    try station.reading(25)
    #expect(station.dispatches.isEmpty)
    // The alarm stands, is not acknowledged, and is a hazard.
    #expect(try station.ledger.standingAlarms().allSatisfy { $0.state == .unacknowledged })
    #expect(try station.events(.hazard) == ["register"])
    try station.tick(to: until - 1)
    #expect(station.dispatches.isEmpty)
    try station.tick(to: until)
    #expect(station.dispatches.map(\.contact.id) == ["metec/operator"])
    #expect(try station.events(.silence) == ["set", "ended"])
  }

  @Test("what a silence has kept quiet is called out also where its situation has got another name")
  func silencedAndRenamed() throws {
    let station = try DeskStation()
    let until = DeskStation.start + 20 * DeskStation.minute
    #expect(try station.silence(until: until) == nil)
    station.now += 1_000
    try station.reading(25)
    station.now += 1_000
    let renamed = try DeskStation.catalog(
      response: DeskStation.response.replacing("plume: {name", with: "smoke: {name")
    )
    try station.feed(try StationCoreTests.catalogInput(renamed, at: station.now))
    #expect(station.dispatches.isEmpty)
    try station.tick(to: until)
    #expect(station.dispatches.map(\.contact.id) == ["metec/operator"])
  }

  @Test("a consequence of a standing cause calls nobody; once the cause is gone it does")
  func inhibition() throws {
    let station = try DeskStation { text in
      text.replacing("when: {priority: red}, chain", with: "when: {rules: [H]}, chain")
        .replacing("share: device}", with: "share: site}")
    }
    try station.reading(25)
    #expect(station.dispatches.count == 1, "H came before HH")
    station.now += 1_000
    #expect(
      try station.send(
        .command,
        "confirm",
        [
          "actor": "operator", "role": "enterprise", "callout": "callout/1",
          "person": "metec/operator",
        ]
      ) == nil
    )
    station.now += 1_000
    try station.reading(7, device: "ch4_e")
    #expect(station.dispatches.count == 1, "inhibited by the plume at ch4_n")
    station.now += 1_000
    try station.reading(2)
    let plume = try #require(try station.ledger.standingAlarms().first { $0.rule == "HH" }).id
    #expect(station.dispatches.count == 2, "the plume is gone, acknowledged or not")
    #expect(station.dispatches.last?.subjects.allSatisfy { $0.contains("ch4_e") } == true)
    try station.feed(StationCoreTests.act("acknowledge", alarm: plume, at: station.now))
    #expect(station.dispatches.count == 2)
  }

  @Test(
    "a cause that is set aside without its condition quiets nobody; by older rules it did",
    arguments: [RulesLevel.notices, .areas]
  )
  func causeSetAside(level: RulesLevel) throws {
    let station = try DeskStation(level: level) { text in
      text.replacing("when: {priority: red}, chain", with: "when: {rules: [H]}, chain")
        .replacing("share: device}", with: "share: site}")
    }
    let cause = "metec/metec/fence/ch4_n/ch4#HH"
    try station.feed(StationCoreTests.act("removeFromService", alarm: cause, at: station.now))
    station.now += 1_000
    try station.reading(7, device: "ch4_e")
    #expect(station.dispatches.count == (level >= .areas ? 1 : 0))
  }

  @Test("a rise in priority of an alarm whose hazard is dismissed keeps its rule from no other")
  func risenAfterDismissal() throws {
    let station = try DeskStation()
    try station.reading(7)
    try station.tick(to: station.now + 31 * DeskStation.minute)
    let hazard = try #require(station.drafts.last { $0.kind == .hazard }).subject
    try station.reading(2)
    #expect(try station.act(.dismiss, on: hazard, as: .county) == nil)
    station.now += 1_000
    let risen = try DeskStation.catalog(response: DeskStation.response) { profile in
      profile.replacing("priority: yellow", with: "priority: red")
    }
    try station.feed(try StationCoreTests.catalogInput(risen, at: station.now))
    for value in [2, 7] {
      station.now += 60_000
      try station.reading(Double(value))
    }
    let open = try station.ledger.hazards(HazardFilter(openOnly: true), before: nil, limit: 9)
    #expect(open.map(\.id) == ["hazard/metec/metec/fence/ch4_n/ch4#H@\(station.now)"])
    #expect(try station.replayedHead(page: 7) == (try station.ledger.head.hash))
  }

  @Test(
    "a rule set aside before its alarm came is in force again, and its hazard can be closed",
    arguments: [["removeFromService", "returnToService"], ["shelveOnce", "note"]]
  )
  func setAsideBefore(acts: [String]) throws {
    let station = try DeskStation()
    let rule = "metec/metec/fence/ch4_n/ch4#HH"
    try station.feed(StationCoreTests.act(acts[0], alarm: rule, at: station.now))
    station.now += 1_000
    try station.reading(25)
    let hazard = try #require(station.drafts.last { $0.kind == .hazard }).subject
    station.now += 1_000
    try station.feed(StationCoreTests.act(acts[1], alarm: rule, at: station.now))
    station.now += 1_000
    try station.reading(2)
    let standing = try station.ledger.standingAlarms().filter { $0.rule == "HH" }
    #expect(standing.allSatisfy { $0.state == .returnedUnacknowledged }, "\(standing)")
    try station.toRectifying(hazard)
    try station.toClosed(hazard)
    #expect(try station.replayedHead(page: 7) == (try station.ledger.head.hash))
  }

  @Test(
    "retention takes the bodies of old ended alarms by rule, says so, and still verifies and replays"
  )
  func retention() throws {
    let station = try DeskStation { $0 + "\nretention:\n  old: {after: 1d, reason: kept a day}\n" }
    try station.reading(7)
    station.now += 60_000
    try station.reading(2)
    let alarm = try #require(try station.ledger.standingAlarms().first).id
    try station.feed(StationCoreTests.act("acknowledge", alarm: alarm, at: station.now))
    try station.tick(to: DeskStation.start + 20 * DeskStation.hour)
    #expect(try station.ledger.alarm(id: alarm) != nil)
    try station.tick(to: DeskStation.start + 3 * DeskStation.day)
    #expect(try station.ledger.alarm(id: alarm) == nil)
    let entries = try station.ledger.entries(of: alarm, after: 0, limit: 9)
    #expect(entries.count == 3 && entries.allSatisfy { $0.body == nil })
    let orders = station.drafts.filter { $0.kind == .redaction }
    #expect(orders.count >= 2)
    let report = try LedgerVerifier(path: station.scratch.file("ledger.sqlite")).verify()
    #expect(report.findings == [] && report.redacted == 3)
    #expect(try station.replayedHead(page: 1_000) == (try station.ledger.head.hash))
  }

  @Test(
    "days that a clock has leapt over are one day of retention; by older rules each was one",
    arguments: [RulesLevel.notices, .areas]
  )
  func retentionAfterLeap(level: RulesLevel) throws {
    let station = try DeskStation(level: level) {
      $0 + "\nretention:\n  old: {after: 1d, reason: kept a day}\n"
    }
    try station.tick(to: DeskStation.start + 100 * DeskStation.day)
    let orders = station.drafts.filter { $0.kind == .redaction }
    #expect(orders.count == (level >= .areas ? 1 : 100))
    try station.tick(to: station.now + DeskStation.day)
    #expect(station.drafts.filter { $0.kind == .redaction }.count == orders.count + 1)
  }
}
