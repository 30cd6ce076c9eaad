import Foundation
import GRDB
import HazardLedger
import Telemetry
import Testing

@Suite("Hazard workflow")
struct HazardWorkflowTests {
  /// The whole table by hand: act, then for each state the roles that may, by letter.
  ///
  /// e enterprise, c county, s sector, y city, a auditor, d administrator, n engine; - nobody.
  /// Columns in order of `HazardState.allCases`.
  static let expected: [(HazardAct, [String])] = [
    //           reg  dis  ver  gra  cAs  sAs  ass  pla  rec  sub  acc  sam  clo  gen
    (.verify, ["cs", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"]),
    (.dismiss, ["cs", "-", "cs", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"]),
    (.grade, ["n", "-", "csy", "csy", "csy", "csy", "csy", "csy", "csy", "-", "-", "-", "-", "-"]),
    (.assignCommittee, ["-", "-", "-", "c", "-", "c", "-", "-", "-", "-", "-", "-", "-", "-"]),
    (.assignSector, ["-", "-", "-", "s", "s", "-", "-", "-", "-", "-", "-", "-", "-", "-"]),
    (.plan, ["-", "-", "-", "-", "-", "-", "e", "-", "-", "-", "-", "-", "-", "-"]),
    (.start, ["-", "-", "-", "-", "-", "-", "-", "e", "-", "-", "-", "-", "-", "-"]),
    (.submit, ["-", "-", "-", "-", "-", "-", "-", "-", "e", "-", "-", "-", "-", "-"]),
    (.accept, ["-", "-", "-", "-", "-", "-", "-", "-", "-", "cs", "-", "-", "-", "-"]),
    (.sendBack, ["-", "-", "-", "-", "-", "-", "-", "csy", "-", "csy", "csya", "csya", "-", "-"]),
    (.sample, ["-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "cy", "-", "-", "-"]),
    (.close, ["-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "cs", "cs", "-", "-"]),
    (.generalise, ["-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "csy", "-"]),
    (.reopen, ["-", "csya", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "csya", "csya"]),
    (.requestExtension, ["-", "-", "-", "-", "-", "-", "-", "e", "e", "-", "-", "-", "-", "-"]),
    (
      .grantExtension,
      ["-", "-", "-", "-", "-", "-", "csy", "csy", "csy", "csy", "csy", "csy", "-", "-"]
    ),
    (
      .denyExtension,
      ["-", "-", "-", "-", "-", "-", "csy", "csy", "csy", "csy", "csy", "csy", "-", "-"]
    ),
    (.list, ["-", "-", "-", "cy", "cy", "cy", "cy", "cy", "cy", "cy", "cy", "cy", "-", "-"]),
    (.delist, ["-", "-", "-", "cy", "cy", "cy", "cy", "cy", "cy", "cy", "cy", "cy", "-", "-"]),
    (.remind, ["-", "-", "-", "-", "-", "-", "-", "csyn", "csyn", "-", "-", "-", "-", "-"]),
    (.supervise, ["-", "-", "-", "-", "-", "-", "-", "csyn", "csyn", "-", "-", "-", "-", "-"]),
    (.circulate, ["-", "-", "-", "-", "-", "-", "-", "cyn", "cyn", "-", "-", "-", "-", "-"]),
    (.warn, ["-", "-", "-", "-", "-", "-", "-", "cyn", "cyn", "-", "-", "-", "-", "-"]),
    (.attach, Array(repeating: "ecsya", count: 14)),
  ]

  /// Where an act leads when it does not stay.
  static let leads: [HazardAct: [HazardState: HazardState]] = [
    .verify: [.registered: .verified],
    .dismiss: [.registered: .dismissed, .verified: .dismissed],
    .grade: [.verified: .graded],
    .assignCommittee: [.graded: .committeeAssigned, .sectorAssigned: .assigned],
    .assignSector: [.graded: .sectorAssigned, .committeeAssigned: .assigned],
    .plan: [.assigned: .planned],
    .start: [.planned: .rectifying],
    .submit: [.rectifying: .submitted],
    .accept: [.submitted: .accepted],
    .sendBack: [
      .planned: .assigned, .submitted: .rectifying, .accepted: .rectifying, .sampled: .rectifying,
    ],
    .sample: [.accepted: .sampled],
    .close: [.accepted: .closed, .sampled: .closed],
    .generalise: [.closed: .generalised],
    .reopen: [.dismissed: .registered, .closed: .rectifying, .generalised: .rectifying],
  ]

  static let letters: [HazardRole: Character] = [
    .enterprise: "e", .county: "c", .sector: "s", .city: "y", .auditor: "a", .administrator: "d",
    .engine: "n",
  ]

  @Test("every cell of state × act × role is as written down by hand")
  func cells() {
    #expect(Set(Self.expected.map(\.0)) == Set(HazardAct.allCases))
    var checked = 0
    for (act, columns) in Self.expected {
      #expect(columns.count == HazardState.allCases.count)
      for (state, roles) in zip(HazardState.allCases, columns) {
        for role in HazardRole.allCases {
          checked += 1
          let cell = HazardWorkflow.cell(state, act, role)
          let place = "\(state) \(act) \(role)"
          if roles.contains(Self.letters[role] ?? "?") {
            guard case .move(let to, _) = cell else {
              Issue.record("\(place): refused")
              continue
            }
            #expect(to == Self.leads[act]?[state] ?? state, "\(place)")
          } else {
            #expect(cell == (roles == "-" ? .refusedState : .refusedRole), "\(place)")
          }
        }
      }
    }
    #expect(checked == 14 * 24 * 7)
  }

  @Test("no two rows of the table speak of the same cell")
  func noOverlap() {
    for state in HazardState.allCases {
      for act in HazardAct.allCases {
        for role in HazardRole.allCases {
          let rows = HazardWorkflow.rows.filter {
            $0.act == act && $0.from.contains(state) && $0.roles.contains(role)
          }
          #expect(rows.count <= 1, "\(state) \(act) \(role)")
        }
      }
    }
  }

  static func registration(_ id: String = "hz/1") -> HazardRegistration {
    HazardRegistration(
      id: id,
      source: .monitoring,
      enterprise: "ent",
      place: "ent/site/area/GD-1/ch",
      title: "LEL",
      alarms: ["ent/site/area/GD-1/ch#hh@1"]
    )
  }

  /// A random act with random, often fitting, contents.
  static func act(
    _ random: inout SplitMix64,
    at time: Timestamp,
    in state: HazardState
  ) -> HazardInput {
    var role = HazardRole.allCases.randomElement(using: &random) ?? .engine
    var act = HazardAct.allCases.randomElement(using: &random) ?? .attach
    // Half of the acts are such as the state knows, so that the walk comes far.
    if Bool.random(using: &random) {
      let rows = HazardWorkflow.rows.filter { $0.from.contains(state) && $0.to != nil }
      if let row = rows.randomElement(using: &random) {
        act = row.act
        role = row.roles.randomElement(using: &random) ?? role
      }
    }
    // Three persons a role; some hold two roles, which the guards must cope with.
    let actor = "p\(Int.random(in: 0..<7, using: &random))"
    var input = HazardInput(act, by: actor, as: role, at: time)
    if UInt8.random(in: 0..<8, using: &random) > 0 { input.reason = "because" }
    if Bool.random(using: &random) { input.evidence = [Evidence(name: "a.jpg", sha256: "00")] }
    if UInt8.random(in: 0..<8, using: &random) > 0 {
      input.grade = Bool.random(using: &random) ? .general : .major
      input.assignee = "unit"
      input.deadline = time.advanced(byMilliseconds: Int64.random(in: -10...10_000, using: &random))
      input.plan = RectificationPlan(
        responsible: "r",
        measures: "m",
        funds: Bool.random(using: &random) ? "f" : " ",
        deadline: time.advanced(byMilliseconds: Int64.random(in: -10...10_000, using: &random)),
        contingency: "c"
      )
      input.sites = ["other"]
    }
    return input
  }

  @Test("10⁶ random acts never close without verification by another, nor while a step is missing")
  func randomWalk() throws {
    var random = SplitMix64(seed: 42)
    var hazard = Hazard(Self.registration(), at: Timestamp(milliseconds: 0))
    var history: [(act: HazardAct, role: HazardRole, actor: String)] = []
    var closed = 0
    var refused = 0
    var seen: Set<HazardState> = []
    var now: Int64 = 0
    for _ in 0..<1_000_000 {
      now += Int64.random(in: 0...200, using: &random)
      let input = Self.act(&random, at: Timestamp(milliseconds: now), in: hazard.state)
      let stands = UInt8.random(in: 0..<4, using: &random) == 0
      let before = hazard
      do {
        try hazard.perform(input, conditionStands: stands)
      } catch {
        refused += 1
        #expect(hazard == before)
        continue
      }
      seen.insert(hazard.state)
      history.append((input.act, input.role, input.actor))
      #expect(input.role != .administrator)
      if hazard.state == .closed, before.state != .closed {
        closed += 1
        Self.checkClosing(history, hazard, stands: stands, before: before)
      }
      // Start afresh now and then, so that the beginnings are walked too.
      if hazard.state.isFinal, UInt8.random(in: 0..<3, using: &random) == 0 {
        hazard = Hazard(Self.registration(), at: Timestamp(milliseconds: now))
        history = []
      }
    }
    #expect(seen == Set(HazardState.allCases))
    #expect(closed > 1_000)
    #expect(refused > 100_000)
  }

  /// What must have happened before a closing, told from the acts alone.
  static func checkClosing(
    _ history: [(act: HazardAct, role: HazardRole, actor: String)],
    _ hazard: Hazard,
    stands: Bool,
    before: Hazard
  ) {
    let acts = history.map(\.act)
    #expect(!stands)
    #expect(before.listed == nil)
    #expect(before.askedDeadline == nil)
    for needed in [
      HazardAct.verify, .grade, .assignCommittee, .assignSector, .plan, .start, .submit, .accept,
    ] {
      #expect(acts.contains(needed), "\(needed)")
    }
    guard let submit = acts.lastIndex(of: .submit), let accept = acts.lastIndex(of: .accept),
      let close = history.last
    else { return }
    #expect(submit < accept)
    #expect([.county, .sector].contains(history[accept].role))
    #expect(history[accept].actor != history[submit].actor)
    #expect([.county, .sector].contains(close.role))
    #expect(close.actor != history[submit].actor)
    #expect(!acts[accept...].contains(.sendBack))
    if before.grade == .major {
      guard let sample = acts.lastIndex(of: .sample) else {
        Issue.record("a major hazard was closed without a sample check")
        return
      }
      #expect(sample > accept)
      #expect(history[sample].actor != history[accept].actor)
    }
  }

  /// The shortest honest way on from any state.
  static func finish(_ hazard: Hazard, from start: Timestamp) throws -> Hazard {
    var hazard = hazard
    var now = start
    func act(_ act: HazardAct, _ role: HazardRole, _ fill: (inout HazardInput) -> Void = { _ in })
      throws
    {
      now = now.advanced(byMilliseconds: 1)
      var input = HazardInput(act, by: "honest-\(role)", as: role, at: now)
      input.reason = "r"
      input.assignee = "u"
      input.grade = hazard.grade ?? .general
      input.evidence = [Evidence(name: "e", sha256: "11")]
      input.plan = RectificationPlan(
        responsible: "r",
        measures: "m",
        funds: "f",
        deadline: now.advanced(byMilliseconds: 1_000),
        contingency: "c"
      )
      try hazard.perform(input, conditionStands: false)
    }
    for _ in 0..<20 {
      switch hazard.state {
      case .registered: try act(.verify, .sector)
      case .verified: try act(.grade, .county)
      case .graded, .sectorAssigned: try act(.assignCommittee, .county)
      case .committeeAssigned: try act(.assignSector, .sector)
      case .assigned: try act(.plan, .enterprise)
      case .planned: try act(.start, .enterprise)
      case .rectifying: try act(.submit, .enterprise)
      case .submitted: try act(.accept, .sector)
      case .accepted, .sampled:
        if hazard.listed != nil { try act(.delist, .county) }
        if hazard.askedDeadline != nil { try act(.denyExtension, .county) }
        if hazard.grade == .major, !hazard.isSampled {
          try act(.sample, .city)
        } else {
          try act(.close, .county)
        }
      case .closed, .dismissed, .generalised: return hazard
      }
    }
    return hazard
  }

  @Test("from wherever random acts lead, honest work comes to an end: no deadlock")
  func noDeadlock() throws {
    var random = SplitMix64(seed: 43)
    for walk in 0..<2_000 {
      var hazard = Hazard(Self.registration(), at: Timestamp(milliseconds: 0))
      var now: Int64 = 0
      for _ in 0..<Int.random(in: 0...300, using: &random) {
        now += Int64.random(in: 0...200, using: &random)
        let input = Self.act(&random, at: Timestamp(milliseconds: now), in: hazard.state)
        do {
          try hazard.perform(input, conditionStands: Bool.random(using: &random))
        } catch { continue }
      }
      let end = try Self.finish(hazard, from: Timestamp(milliseconds: now))
      #expect(end.state.isFinal, "walk \(walk): stuck in \(end.state)")
    }
  }

  @Test("五定 with one of the five missing does not start work", arguments: 0..<5)
  func incompletePlan(missing: Int) throws {
    var hazard = Hazard(Self.registration(), at: Timestamp(milliseconds: 0))
    for (act, role) in [
      (HazardAct.verify, HazardRole.sector), (.grade, .county), (.assignCommittee, .county),
      (.assignSector, .sector),
    ] {
      var input = HazardInput(act, by: "x", as: role, at: Timestamp(milliseconds: 1))
      input.reason = "r"
      input.grade = .major
      input.assignee = "u"
      try hazard.perform(input, conditionStands: true)
    }
    let texts = (0..<4).map { $0 == missing ? " " : "t" }
    var input = HazardInput(.plan, by: "x", as: .enterprise, at: Timestamp(milliseconds: 2))
    input.plan = RectificationPlan(
      responsible: texts[0],
      measures: texts[1],
      funds: texts[2],
      deadline: Timestamp(milliseconds: missing == 4 ? 2 : 3),
      contingency: texts[3]
    )
    #expect(throws: HazardRefusal.guards([.planComplete])) {
      try hazard.perform(input, conditionStands: false)
    }
    #expect(hazard.state == .assigned)
  }

  @Test("the ladder 提醒→督办→通报→警示 is climbed rung by rung, and anew after an extension")
  func ladder() throws {
    var hazard = try Self.rectifying(deadline: 100)
    func rung(_ act: HazardAct, at time: Int64) throws(HazardRefusal) {
      var input = HazardInput(act, by: "c", as: .county, at: Timestamp(milliseconds: time))
      input.reason = "overdue"
      try hazard.perform(input, conditionStands: true)
    }
    #expect(throws: HazardRefusal.guards([.isOverdue])) { try rung(.remind, at: 100) }
    #expect(throws: HazardRefusal.guards([.isNextRung])) { try rung(.supervise, at: 101) }
    for act in [HazardAct.remind, .supervise, .circulate, .warn] { try rung(act, at: 102) }
    #expect(throws: HazardRefusal.guards([.isNextRung])) { try rung(.warn, at: 103) }
    var ask = HazardInput(
      .requestExtension,
      by: "e",
      as: .enterprise,
      at: Timestamp(milliseconds: 104)
    )
    ask.reason = "parts"
    ask.deadline = Timestamp(milliseconds: 100)
    #expect(throws: HazardRefusal.guards([.laterDeadlineGiven])) {
      try hazard.perform(ask, conditionStands: true)
    }
    ask.deadline = Timestamp(milliseconds: 500)
    try hazard.perform(ask, conditionStands: true)
    #expect(hazard.isOverdue(at: ask.time))
    var grant = HazardInput(.grantExtension, by: "c", as: .county, at: Timestamp(milliseconds: 105))
    grant.reason = "ok"
    try hazard.perform(grant, conditionStands: true)
    #expect(hazard.deadline == ask.deadline)
    #expect(!hazard.isOverdue(at: grant.time))
    try rung(.remind, at: 501)
  }

  /// A hazard at work, with this deadline.
  static func rectifying(deadline: Int64) throws -> Hazard {
    var hazard = Hazard(registration(), at: Timestamp(milliseconds: 0))
    for (act, role) in [
      (HazardAct.verify, HazardRole.sector), (.grade, .county), (.assignCommittee, .county),
      (.assignSector, .sector), (.plan, .enterprise), (.start, .enterprise),
    ] {
      var input = HazardInput(act, by: "\(role)", as: role, at: Timestamp(milliseconds: 1))
      input.reason = "r"
      input.grade = .major
      input.assignee = "u"
      input.plan = RectificationPlan(
        responsible: "r",
        measures: "m",
        funds: "f",
        deadline: Timestamp(milliseconds: deadline),
        contingency: "c"
      )
      try hazard.perform(input, conditionStands: true)
    }
    return hazard
  }

  @Test("stored as entries, a hazard reads back equal; its view follows, live and rebuilt")
  func stored() throws {
    let scratch = try Scratch()
    let ledger = try SQLiteLedger(path: scratch.path, station: "s")
    var random = SplitMix64(seed: 5)
    var hazards: [String: Hazard] = [:]
    var position: UInt64 = 0
    for index in 0..<20 {
      let registration = Self.registration("hz/\(index)")
      hazards[registration.id] = Hazard(registration, at: Timestamp(milliseconds: 0))
      position += 1
      try ledger.append(
        [
          LedgerDraft(
            registering: registration,
            by: "engine",
            as: .engine,
            at: Timestamp(milliseconds: 0),
            origin: position
          )
        ],
        position: position
      )
    }
    var now: Int64 = 0
    for _ in 0..<10_000 {
      now += Int64.random(in: 0...20, using: &random)
      let id = "hz/\(Int.random(in: 0..<20, using: &random))"
      guard var hazard = hazards[id] else { continue }
      let input = Self.act(&random, at: Timestamp(milliseconds: now), in: hazard.state)
      do {
        try hazard.perform(input, conditionStands: false)
      } catch { continue }
      hazards[id] = hazard
      position += 1
      try ledger.append(
        [LedgerDraft(input, on: id, to: hazard.state, origin: position)],
        position: position
      )
    }
    for (id, hazard) in hazards { #expect(try ledger.hazard(id: id) == hazard, "\(id)") }
    let views = try ledger.hazards(limit: 100)
    #expect(views.count == 20)
    for view in views {
      #expect(view.state == hazards[view.id]?.state)
      #expect(view.steps == hazards[view.id]?.steps)
    }
    let open = try ledger.hazards(HazardFilter(openOnly: true, enterprises: ["ent"]), limit: 100)
    #expect(open == views.filter { !$0.state.isFinal })
    #expect(try ledger.hazards(before: views[4].firstSequence, limit: 3) == Array(views[5..<8]))
    #expect(try ledger.hazards(ofAlarm: "ent/site/area/GD-1/ch#hh@1").count == 20)
    try ledger.rebuildViews()
    #expect(try ledger.hazards(limit: 100) == views)
    #expect(try LedgerVerifier(path: scratch.path).verify().findings == [])
    for sql in [
      "UPDATE hazard SET state = 'closed'",
      "UPDATE hazard SET enterprise = 'x' WHERE first_seq = 3",
      "DELETE FROM hazard WHERE first_seq = 5",
    ] {
      try LedgerVerifierTests.attack(scratch.path).write { try $0.execute(sql: sql) }
      #expect(try !LedgerVerifier(path: scratch.path).verify().isIntact, "\(sql)")
      try ledger.rebuildViews()
      #expect(try LedgerVerifier(path: scratch.path).verify().isIntact)
    }
  }

  @Test("the picture and table in docs/ledger.md are those of the rows")
  func documentation() throws {
    let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "docs/ledger.md"), encoding: .utf8)
    #expect(
      page.contains("```mermaid\n\(HazardWorkflow.diagram())\n```"),
      "replace the diagram by:\n\(HazardWorkflow.diagram())"
    )
    #expect(
      page.contains(HazardWorkflow.table()),
      "replace the table by:\n\(HazardWorkflow.table())"
    )
  }
}
