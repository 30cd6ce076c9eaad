import DeviceCatalog
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// What an older release has journalled is replayed by the rules of that release, until this one's first start.
@Suite("Rules of older journals")
struct RulesLevelTests {
  static let minute = DeskStation.minute

  /// Nobody of the county is on duty at 16:53 in Shanghai, and a chain has nobody else.
  static func edit(_ text: String) -> String {
    text.replacing(#"- {from: "20:00", to: "08:00", persons: [night]}"#, with: "")
      .replacing(#"from: "08:00", to: "20:00""#, with: #"from: "02:00", to: "03:00""#)
      .replacing(
        "chains:",
        with: """
          chains:
            empty:
              levels:
                - {name: {zh: 县, en: County}, roster: county, attempts: 1, interval: 60s}
          """
      )
  }

  /// An alarm, its call-out answered, the question what was done, a report that comes due.
  static func live(_ station: DeskStation) throws {
    let call: [String: HazardLedger.JSONValue] = [
      "actor": "li", "role": "county", "chain": "empty", "text": "试", "place": "metec",
    ]
    #expect(try station.send(.command, "call", call) != nil)
    try station.reading(25)
    let id = try #require(station.dispatches.last).callout
    #expect(try station.confirm(id) == nil)
    try station.tick(to: DeskStation.start + 31 * minute)
    for dispatch in station.dispatches where dispatch.purpose == .feedback {
      #expect(try station.send(.external, "failed", ["dispatch": .string(dispatch.id)]) == nil)
    }
    let duty: [String: HazardLedger.JSONValue] = [
      "actor": "li", "role": "county", "roster": "county", "persons": .array(["p1"]),
      "from": .integer(station.now), "until": .integer(station.now + minute), "reason": "换班",
    ]
    #expect(try station.send(.command, "duty", duty) == nil)
    try station.tick(to: DeskStation.start + 61 * minute)
  }

  @Test(
    "by the first rules: nobody is told of clocks, empty levels are left out, a question is asked once"
  )
  func first() throws {
    let station = try DeskStation(level: .first, Self.edit)
    try Self.live(station)
    #expect(station.drafts.allSatisfy { $0.kind != .notice })
    #expect(station.dispatches.allSatisfy { $0.purpose != .notice })
    let system = try station.bodies(.system).compactMap { $0["event"]?.text }
    #expect(system.filter { $0 == "callout.nobody" }.count == 1)
    #expect(station.dispatches.map(\.id) == ["callout/2#1", "callout/2#feedback"])
    let entries = try station.ledger.entries(of: "callout/2", limit: 99)
    let plan = try #require(try Callout(replaying: entries)).plan
    #expect(plan.levels.map(\.name) == ["企业", "班组", "市", "省", "国家"])
    #expect(try station.events(.callout) == ["started", "dispatching", "confirmed", "feedbackDue"])
    let duty = try #require(station.bodies(.register).first { $0["until"] != nil })
    #expect(duty["place"]?.text == "county" && duty["roster"] == nil)
    let catalog = try #require(station.bodies(.catalog).first)
    #expect(catalog["level"] == nil)
    #expect(try station.replayedHead(page: 3) == (try station.ledger.head.hash))

    let newest = try DeskStation(Self.edit)
    try Self.live(newest)
    #expect(newest.dispatches.contains { $0.purpose == .notice })
    #expect(try newest.events(.callout).contains("feedbackFailed"))
    #expect(newest.dispatches.first?.id == "callout/1#1")
    #expect(try newest.bodies(.catalog).first?["level"]?.wholeNumber == 2)
  }

  @Test(
    "after the upgrade the newest rules hold, for what is under way too, and the whole replays alike"
  )
  func upgrade() throws {
    let station = try DeskStation(level: .first, Self.edit)
    try station.reading(25)
    try station.tick(to: DeskStation.start + 30 * Self.minute)
    let before = try station.ledger.head
    #expect(station.drafts.allSatisfy { $0.kind != .notice })

    // The new release starts on the old one's snapshot, with the same catalog.
    try station.restart()
    station.now += 1_000
    try station.feed(try StationCoreTests.catalogInput(station.catalog, at: station.now))
    try station.tick(to: DeskStation.start + 50 * Self.minute)
    let told = station.dispatches.filter { $0.purpose == .notice }.map(\.title.zh)
    #expect(told == ["事故信息首报：还剩10分钟"])
    // The call-out that was calling takes the new rules: its question is tried until a channel has it.
    let call = try #require(station.dispatches.first { $0.purpose == .call })
    #expect(try station.confirm(call.callout) == nil)
    try station.tick(to: station.now + 30 * Self.minute)
    let question = try #require(station.dispatches.last { $0.purpose == .feedback })
    #expect(question.id != "\(call.callout)#feedback")

    // An older release's record does not take the rules back.
    try station.feed(
      try StationCoreTests.catalogInput(station.catalog, at: station.now, level: .first)
    )
    #expect(try station.bodies(.catalog).map { $0["level"]?.wholeNumber } == [nil, 2, 2])
    for page in [1, 7, 1_000] {
      #expect(try station.replayedHead(page: page) == (try station.ledger.head.hash))
    }
    // What was written before is what the older release wrote.
    let entries = try station.ledger.entries(after: before.sequence - 1, limit: 1)
    #expect(entries.first?.hash == before.hash)
    #expect(
      try StationCore(snapshot: station.core.snapshot()).snapshot() == station.core.snapshot()
    )
  }

  @Test("what a source reports of itself is an alarm from these rules on, before them nothing")
  func reported() throws {
    let catalog = try Fixture.catalog()
    func fault(at second: Int64) -> JournalInput {
      var input = Fixture.message(#"{"device":"ch4_n","point":"ch4","v":1,"s":"sensorFault"}"#)
      input.received = StationCoreTests.start + second * 1_000
      return input
    }
    let inputs = [
      try StationCoreTests.catalogInput(catalog, level: .notices), fault(at: 1),
      try StationCoreTests.catalogInput(catalog, at: StationCoreTests.start + 2_000), fault(at: 3),
    ]
    let points = catalog.rules.count { $0.level == .reported }
    #expect(points > 0)
    for cut in [nil, 2, 3] as [Int?] {
      let drafts = try Fixture.drafts(of: inputs, page: 1, cut: cut)
      let alarms = drafts.filter { $0.kind == .alarm }
      #expect(alarms.map(\.origin) == [4])
      #expect(try alarms.map { try AlarmBody(decoding: $0.body).rule } == ["reported"])
      let rules = try drafts.filter { $0.kind == .catalog }
        .map { try HazardLedger.JSONValue(parsing: $0.body)["rules"]?.wholeNumber }
      #expect(rules == [Int64(catalog.rules.count - points), Int64(catalog.rules.count)])
    }
  }

  @Test(
    "what a catalog lowers is not held against a value that had gone stale when it came; before these rules it was",
    arguments: [RulesLevel.areas, .notices]
  )
  func loweredAfterDowntime(level: RulesLevel) throws {
    func raised(after minutes: Int64) throws -> Int {
      let catalog = try Fixture.catalog()
      var higher = try StationCoreTests.catalogInput(catalog, level: level)
      let text = String(decoding: higher.payload, as: UTF8.self)
      let edited = text.replacing("ch4.H: {setpoint: 5,", with: "ch4.H: {setpoint: 15,")
      try #require(edited != text)
      higher.payload = Array(edited.utf8)
      let start = StationCoreTests.start
      let inputs = [
        higher, StationCoreTests.reading(9, at: start),
        try StationCoreTests.catalogInput(catalog, at: start + minutes * 60_000, level: level),
      ]
      let alarms = try Fixture.drafts(of: inputs).filter { $0.kind == .alarm }
        .map { try AlarmBody(decoding: $0.body) }
      return alarms.count { $0.rule == "H" && $0.event == .raised }
    }
    #expect(try raised(after: 10) == 1)
    #expect(try raised(after: 180) == (level >= .areas ? 0 : 1))
  }

  @Test("a station's first start on an older release's data says its rules in the journal, once")
  func firstStart() throws {
    let scratch = try Scratch()
    let journal = try SegmentJournal(directory: scratch.file("journal"))
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    let catalog = try Fixture.catalog()
    let old = try StationCoreTests.catalogInput(catalog, at: 1_000, level: .first)
    try journal.append(JournalBatch([old]), firstSequence: 1)
    func start(at now: Int64) throws -> Stages {
      try Stages(
        catalog: catalog,
        journal: journal,
        ledger: ledger,
        snapshots: SnapshotFolder(path: scratch.file("snapshots")),
        limits: StationLimits(),
        logger: Fixture.quiet,
        now: now
      )
    }
    _ = try start(at: 2_000)
    #expect(journal.lastSequence == 2)
    let levels = try ledger.entries(after: 0, limit: 99).filter { $0.kind == .catalog }
      .map { try HazardLedger.JSONValue(parsing: $0.body ?? [])["level"]?.wholeNumber }
    #expect(levels == [nil, 2])
    _ = try start(at: 3_000)
    #expect(journal.lastSequence == 2)
  }
}
