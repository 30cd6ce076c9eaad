import DeviceCatalog
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// What comes retained and says no time is of unknown age: bad news counts, good news waits.
@Suite("Retained readings")
struct RetainedTests {
  static let start = StationCoreTests.start

  /// A message of the north sensor (H from 5 ppm, HH from 20 ppm), without a time where none is given.
  static func message(
    _ value: Double,
    at received: Int64,
    time: Int64? = nil,
    status: String? = nil,
    retain: Bool
  ) -> JournalInput {
    let time = time.map { #""t":\#($0),"# } ?? ""
    let status = status.map { #""s":"\#($0)","# } ?? ""
    return JournalInput(
      received: received,
      topic: Array(Fixture.topic.utf8),
      payload: Array(#"{"device":"ch4_n","point":"ch4",\#(time)\#(status)"v":\#(value)}"#.utf8),
      qos: 1,
      retain: retain
    )
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// What stood before.
    var before: Double
    /// What is retained, received half a minute later.
    var retained: Double
    var isTimed = false
    var status: String?
    var level = RulesLevel.newest
    var steps: [String] = []
    var isRefused = false
  }

  static let cases = [
    Case(testDescription: "good news returns no alarm", before: 9, retained: 1, isRefused: true),
    Case(testDescription: "good news is no reading", before: 1, retained: 2, isRefused: true),
    Case(testDescription: "bad news raises", before: 1, retained: 9, steps: ["H raised"]),
    Case(
      testDescription: "worse news raises beside what stands",
      before: 9,
      retained: 25,
      steps: ["HH raised"]
    ),
    Case(
      testDescription: "less bad news returns nothing",
      before: 25,
      retained: 9,
      isRefused: true
    ),
    Case(
      testDescription: "what its source reports is bad news, whatever the value",
      before: 1,
      retained: 2,
      status: "alarm",
      steps: ["reported raised"]
    ),
    Case(
      testDescription: "but returns nothing either",
      before: 9,
      retained: 1,
      status: "alarm",
      isRefused: true
    ),
    Case(
      testDescription: "what says its time is judged by it",
      before: 9,
      retained: 1,
      isTimed: true,
      steps: ["H returned"]
    ),
    Case(
      testDescription: "a journal of older rules goes by them",
      before: 9,
      retained: 1,
      level: .first,
      steps: ["H returned"]
    ),
  ]

  @Test("what a retained reading does", arguments: cases)
  func one(_ test: Case) throws {
    let core = StationCore()
    let received = Self.start + 30_000
    _ = core.process(
      JournalBatch([
        try StationCoreTests.catalogInput(Fixture.catalog(), level: test.level),
        Self.message(test.before, at: Self.start, retain: false),
      ]),
      firstSequence: 1
    )
    let output = core.process(
      JournalBatch([
        Self.message(
          test.retained,
          at: received,
          time: test.isTimed ? received - 10 : nil,
          status: test.status,
          retain: true
        )
      ]),
      firstSequence: 3
    )
    let steps = try StationCoreTests.bodies(output).map { "\($0.rule) \($0.event.rawValue)" }
    #expect(steps == test.steps)
    #expect(output.rejects.map(\.reason) == (test.isRefused ? ["retainedUntimed"] : []))
    #expect(output.latest.count == (test.isRefused ? 0 : 1))
    if test.isRefused {
      #expect(output.rejects.first?.device == "ch4_n")
      // The next reading of this moment is judged as ever.
      let next = core.process(
        JournalBatch([Self.message(test.before > 5 ? 1 : 9, at: received + 1, retain: false)]),
        firstSequence: 4
      )
      #expect(try !StationCoreTests.bodies(next).isEmpty)
    }
  }

  @Test(
    "what was refused is not shown after a restart either",
    arguments: [(25, 9, 25), (9, 25, 25), (1, 9, 9), (1, 2, 1)] as [(Double, Double, Double)]
  )
  func shownAfterRestart(before: Double, retained: Double, shown: Double) throws {
    let scratch = try Scratch()
    let catalog = try Fixture.catalog()
    let journal = try SegmentJournal(directory: scratch.file("journal"))
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    func start() throws -> Stages {
      try Stages(
        catalog: catalog,
        journal: journal,
        ledger: ledger,
        snapshots: nil,
        limits: StationLimits(),
        logger: Fixture.quiet,
        now: Self.start
      )
    }
    _ = try start()
    try journal.append(
      [
        Self.message(before, at: Self.start + 1_000, retain: false),
        Self.message(retained, at: Self.start + 30_000, retain: true),
      ],
      firstSequence: 2
    )
    let station = LiveStation(stages: try start(), clocks: SystemClocks(), logger: Fixture.quiet)
    let row = try #require(catalog.channels.firstIndex { $0.path == "metec/metec/fence/ch4_n/ch4" })
    #expect(station.latestReadings()[row]?.value == shown)
  }

  @Test("a silence goes on, however often what is retained comes again")
  func silence() throws {
    func raised(retained: Double?) throws -> [String] {
      let core = StationCore()
      var inputs = [
        try StationCoreTests.catalogInput(Fixture.catalog()),
        Self.message(1, at: Self.start, retain: false),
      ]
      for minute in 1...120 as ClosedRange<Int64> {
        let now = Self.start + minute * 60_000
        if let retained { inputs.append(Self.message(retained, at: now, retain: true)) }
        inputs.append(JournalInput(kind: .tick, received: now))
      }
      return try StationCoreTests.bodies(core.process(JournalBatch(inputs), firstSequence: 1))
        .filter { $0.point.hasSuffix("ch4_n/ch4") }
        .map { "\($0.alarm) \($0.event.rawValue)" }
    }
    let silent = try raised(retained: nil)
    #expect(silent.count == 1 && silent.first?.hasSuffix(" raised") == true)
    #expect(try raised(retained: 1) == silent)
    // Bad news does not end it once it stands either.
    #expect(try raised(retained: 9).contains { $0.hasSuffix(" returned") } == false)
  }
}
