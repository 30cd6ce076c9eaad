import HazardLedger
import Journal
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// A journal that cannot give some of its records back.
private final class HoledJournal: JournalStore {
  private let store = MemoryJournal(disk: FaultyDisk(seed: 1))
  let lost: Mutex<ClosedRange<UInt64>?> = Mutex(nil)

  var lastSequence: UInt64 { store.lastSequence }

  func append(_ batch: borrowing JournalBatch, firstSequence: UInt64) throws {
    try store.append(batch, firstSequence: firstSequence)
  }

  func read(from sequence: UInt64, limit: Int) throws -> [JournalRecord] {
    let lost = lost.withLock { $0 }
    return try store.read(from: sequence, limit: limit)
      .filter { record in lost.map { !$0.contains(record.sequence) } ?? true }
  }
}

/// Damage in the journal that no snapshot covers.
@Suite("Gaps in the journal")
struct GapTests {
  static let start = StationCoreTests.start

  private let scratch: Scratch
  private let journal = HoledJournal()
  private let ledger: SQLiteLedger

  init() throws {
    scratch = try Scratch()
    ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
  }

  /// A start: what the core is in the end, by its journal.
  private func restart(response: String? = nil) throws -> Stages {
    try Stages(
      catalog: try Fixture.catalog(response: response),
      journal: journal,
      ledger: ledger,
      snapshots: nil,
      limits: StationLimits(),
      logger: Fixture.quiet,
      now: Self.start + 100_000
    )
  }

  /// Takes an act and the inputs after it through all stages.
  private func run(_ stages: Stages, _ inputs: [JournalInput]) throws {
    let batch = InputBatch(JournalBatch(inputs), firstSequence: journal.lastSequence + 1)
    try stages.commit(batch)
    stages.evaluate(batch, at: 0)
    while try stages.record(isUrgent: true) {}
  }

  private func events() throws -> [String] {
    try ledger.entries(after: 0, limit: 1_000).compactMap { entry in
      switch entry.kind {
      case .alarm:
        let body = try AlarmBody(decoding: entry.body ?? [])
        return "\(body.alarm.split(separator: "/").suffix(2).joined(separator: "/")) \(body.event)"
      case .system:
        let body = try HazardLedger.JSONValue(parsing: entry.body ?? [])
        guard let event = body["event"]?.text, event != "station.start" else { return nil }
        return "\(event) \(body["after"]?.wholeNumber ?? -1) \(body["through"]?.wholeNumber ?? -1)"
      default: return nil
      }
    }
  }

  private func standing() throws -> [String] {
    try ledger.standingAlarms().map { $0.id.split(separator: "/").suffix(2).joined(separator: "/") }
  }

  @Test("what stood by lost records is told, once, and is a person's to close")
  func unwatched() throws {
    let first = try restart()
    let raised = Self.start + 2_000
    try run(
      first,
      [
        StationCoreTests.reading(1, at: Self.start + 1_000),
        StationCoreTests.reading(9, at: raised),
        StationCoreTests.reading(9, at: Self.start + 3_000, device: "ch4_s"),
        JournalInput(kind: .tick, received: Self.start + 4_000),
      ]
    )
    let (north, south) = ("ch4_n/ch4#H@\(raised)", "ch4_s/ch4#H@\(Self.start + 3_000)")
    let before = ["\(north) raised", "\(south) raised"]
    #expect(try events() == before)
    #expect(try standing() == [north, south])

    // The record that raised the north sensor's alarm is lost.
    journal.lost.withLock { $0 = 2...3 }
    let second = try restart()
    let told = before + ["journal.gap 1 3", "alarm.unwatched -1 -1"]
    #expect(try events() == told)
    #expect(try standing() == [north, south])
    let history = try ledger.entries(of: try ledger.standingAlarms()[0].id, after: 0, limit: 9)
    #expect(history.map(\.kind) == [.alarm, .system])

    // However often it starts, it says so once.
    _ = try restart()
    let third = try restart()
    #expect(try events() == told)
    _ = second

    // The sensor goes on: its alarm is one of its own. The old one is closed by a person.
    let again = Self.start + 200_000
    let alarm = try ledger.standingAlarms()[0].id
    try run(
      third,
      [
        StationCoreTests.reading(9, at: again),
        StationCoreTests.act("acknowledge", alarm: alarm, at: again + 1),
        StationCoreTests.act("acknowledge", alarm: alarm, at: again + 2),
      ]
    )
    let closed =
      told + ["ch4_n/ch4#H@\(again) raised", "\(north) acknowledged", "act.refused -1 -1"]
    #expect(try events() == closed)
    #expect(try standing() == [south, "ch4_n/ch4#H@\(again)"])

    // A later start makes the same of it, and so does one from a snapshot.
    _ = try restart()
    #expect(try events() == closed)
  }

  @Test("what the engine raises behind a gap under another onset is recorded")
  func unrecorded() throws {
    let first = try restart()
    try run(
      first,
      [
        StationCoreTests.reading(9, at: Self.start + 1_000),
        StationCoreTests.reading(9, at: Self.start + 2_000),
      ]
    )
    let (old, new) = ("ch4_n/ch4#H@\(Self.start + 1_000)", "ch4_n/ch4#H@\(Self.start + 2_000)")
    journal.lost.withLock { $0 = 2...2 }
    let second = try restart()
    let told = ["\(old) raised", "journal.gap 1 2", "alarm.unwatched -1 -1", "\(new) raised"]
    #expect(try events() == told)
    _ = try restart()
    #expect(try events() == told)
    // Closing the one does not hide that the other stands.
    let alarm = try ledger.standingAlarms()[0].id
    try run(second, [StationCoreTests.act("acknowledge", alarm: alarm, at: Self.start + 300_000)])
    #expect(try standing() == [new])
    try run(
      second,
      [StationCoreTests.reading(1, at: Self.start + 300_001, received: Self.start + 300_001)]
    )
    #expect(try events().last == "\(new) returned")
  }

  @Test("lost records that the ledger never had are told where they are missing, once")
  func beyondTheLedger() throws {
    _ = try restart()
    try journal.append(
      [
        StationCoreTests.reading(1, at: Self.start + 1_000),
        StationCoreTests.reading(9, at: Self.start + 2_000),
        StationCoreTests.reading(9, at: Self.start + 3_000),
      ],
      firstSequence: 2
    )
    journal.lost.withLock { $0 = 2...3 }
    _ = try restart()
    let told = ["journal.gap 1 3", "ch4_n/ch4#H@\(Self.start + 3_000) raised"]
    #expect(try events() == told)
    _ = try restart()
    #expect(try events() == told)
  }

  /// What a rule's silence is, and what becomes of it behind a gap.
  struct Silence: CustomTestStringConvertible, Sendable {
    var testDescription: String
    /// Acts on the rule, a second apart, from the journal's third record on; empty for a reading.
    var acts: [String]
    var lost: ClosedRange<UInt64>
    /// How far the ledger has come, too.
    var isRecorded: Bool
    /// Steps of the rule that the start adds.
    var steps: [String]
  }

  @Test(
    "a silence that lost records may have ended is ended and told, once",
    arguments: [
      Silence(
        testDescription: "out of service, its end lost",
        acts: ["removeFromService", "", "returnToService"],
        lost: 5...5,
        isRecorded: true,
        steps: ["returnedToService"]
      ),
      Silence(
        testDescription: "the same, and the ledger does not have it",
        acts: ["removeFromService", "", "returnToService"],
        lost: 5...5,
        isRecorded: false,
        steps: ["returnedToService"]
      ),
      Silence(
        testDescription: "shelved until it returns, its end lost",
        acts: ["shelveOnce", "", "unshelve"],
        lost: 5...5,
        isRecorded: true,
        steps: ["shelved"]
      ),
      Silence(
        testDescription: "out of service, as the ledger has it",
        acts: ["removeFromService", "", ""],
        lost: 4...4,
        isRecorded: true,
        steps: []
      ),
      Silence(
        testDescription: "shelved anew since the gap",
        acts: ["shelveOnce", "", "shelveOnce"],
        lost: 4...4,
        isRecorded: false,
        steps: []
      ),
    ]
  )
  func silence(_ test: Silence) throws {
    let rule = "metec/metec/fence/ch4_n/ch4#H"
    let first = try restart()
    var inputs = [StationCoreTests.reading(1, at: Self.start + 1_000)]
    for (number, act) in test.acts.enumerated() {
      let time = Self.start + 2_000 + Int64(number) * 1_000
      inputs.append(
        act.isEmpty
          ? StationCoreTests.reading(1, at: time)
          : StationCoreTests.act(act, alarm: rule, at: time)
      )
    }
    if test.isRecorded {
      try run(first, inputs)
    } else {
      try journal.append(inputs, firstSequence: 2)
    }
    journal.lost.withLock { $0 = test.lost }
    let second = try restart()
    func steps() throws -> [AlarmBody] {
      try ledger.entries(after: 0, limit: 1_000).filter { $0.kind == .alarm && $0.actor == "davy" }
        .map { try AlarmBody(decoding: $0.body ?? []) }
    }
    #expect(try steps().map(\.event.rawValue) == test.steps)
    #expect(try steps().allSatisfy { $0.reason.contains("\(test.lost.upperBound)") })

    // However often it starts, it says so once.
    _ = try restart()
    #expect(try steps().count == test.steps.count)

    // What stands then is annunciated, or is not.
    try run(
      second,
      [
        JournalInput(kind: .tick, received: Self.start + 200_000),
        StationCoreTests.reading(9, at: Self.start + 200_001),
      ]
    )
    let states = try ledger.standingAlarms().filter { $0.rule == "H" }.map(\.state)
    #expect(states.contains(.unacknowledged) == !test.steps.isEmpty)
    #expect(states.contains { $0 == .outOfService || $0 == .shelved } == test.steps.isEmpty)
  }

  @Test("hazards that are open in the ledger can be acted on after the loss of their records")
  func hazards() throws {
    let first = try restart(response: DeskStation.response)
    try run(first, [StationCoreTests.reading(25, at: Self.start + 1_000)])
    func hazard() throws -> HazardView {
      try #require(try ledger.hazards(HazardFilter(), before: nil, limit: 9).first)
    }
    let id = try hazard().id
    journal.lost.withLock { $0 = 2...2 }
    let second = try restart(response: DeskStation.response)
    let payload =
      #"{"act":"verify","actor":"li","hazard":"\#(id)","reason":"seen","role":"county"}"#
    try run(
      second,
      [
        JournalInput(
          kind: .command,
          received: Self.start + 200_000,
          topic: Array("hazards/act".utf8),
          payload: Array(payload.utf8)
        )
      ]
    )
    #expect(try hazard().state == .verified)
    // Another start finds them known, and says nothing more of it.
    _ = try restart(response: DeskStation.response)
    let told = try ledger.entries(of: id, after: 0, limit: 99).filter { $0.kind == .system }
    #expect(told.count == 1)
  }

  @Test("no call-out gets a number that lost records have given")
  func numbers() throws {
    let first = try restart(response: DeskStation.response)
    try run(first, [StationCoreTests.reading(25, at: Self.start + 1_000)])
    journal.lost.withLock { $0 = 2...2 }
    let second = try restart(response: DeskStation.response)
    try run(second, [StationCoreTests.reading(25, at: Self.start + 200_000)])
    let callouts = try ledger.matters(MatterFilter(kind: .callout), before: nil, limit: 9)
    #expect(callouts.count == 2)
  }

  @Test("alarms that nothing watches outlive a snapshot")
  func snapshot() throws {
    let core = StationCore()
    let alarm = "metec/metec/fence/ch4_n/ch4#H@\(Self.start)"
    let payload = #"""
      {"alarms":[{"alarm":"\#(alarm)","priority":3,"state":"unacknowledged"}],"gaps":[],"unrecorded":[]}
      """#
    _ = core.process(
      JournalBatch([
        try StationCoreTests.catalogInput(Fixture.catalog()),
        JournalInput(
          kind: .external,
          received: Self.start,
          topic: Array("gap/unseen".utf8),
          payload: Array(payload.utf8)
        ),
      ]),
      firstSequence: 1
    )
    let restored = try StationCore(snapshot: core.snapshot())
    let output = restored.process(
      JournalBatch([StationCoreTests.act("acknowledge", alarm: alarm, at: Self.start + 1)]),
      firstSequence: 3
    )
    let steps = try StationCoreTests.bodies(output)
    #expect(steps.map(\.event) == [.acknowledged] && steps.map(\.state) == [.normal])
  }
}
