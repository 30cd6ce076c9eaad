import HazardLedger
import Journal
import Simulation
import Station
import Synchronization
import Testing

/// A journal whose disk has room or not.
private final class CrampedJournal: JournalStore {
  private let store = MemoryJournal(disk: FaultyDisk(seed: 1))
  let hasRoom = Mutex(true)

  var lastSequence: UInt64 { store.lastSequence }

  func append(_ batch: borrowing JournalBatch, firstSequence: UInt64) throws {
    guard hasRoom.withLock({ $0 }) else { throw JournalError.diskFull(path: "simulated") }
    try store.append(batch, firstSequence: firstSequence)
  }

  func read(from sequence: UInt64, limit: Int) throws -> [JournalRecord] {
    try store.read(from: sequence, limit: limit)
  }
}

/// A start whose stores have no room for what they lack: it watches the plant all the same.
@Suite("A start on a full disk")
struct FullDiskStartTests {
  static let start = StationCoreTests.start

  private let scratch: Scratch
  private let journal = CrampedJournal()
  private let disk = FaultyDisk(seed: 2)
  private let store: SQLiteLedger

  init() throws {
    scratch = try Scratch()
    store = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
  }

  private func restart(
    isReplaySource: Bool = false,
    limits: StationLimits = StationLimits()
  ) throws -> Stages {
    try Stages(
      catalog: try Fixture.catalog(isReplaySource: isReplaySource),
      journal: journal,
      ledger: FaultyLedger(store: store, disk: disk),
      snapshots: nil,
      limits: limits,
      logger: Fixture.quiet,
      now: Self.start
    )
  }

  /// Alarm steps that are told unrecorded.
  private func told(by stages: Stages) throws -> [String] {
    try stages.exchange.announceOverdue(at: 1_000, limit: 200).announced.map {
      let body = try AlarmBody(decoding: $0.body)
      return "\(body.alarm) \(body.event.rawValue)"
    }
  }

  /// The journal in one go into a ledger of its own: what must be in the other.
  private func replayed() throws -> [UInt8] {
    let ledger = try SQLiteLedger(path: scratch.file("replayed.sqlite"), station: "test")
    var replay = Replay(into: ledger)
    try replay.process(JournalBatch(try journal.read(from: 1, limit: .max).map(\.input)))
    return try ledger.head.hash
  }

  @Test(
    "what the ledger lacks is told unrecorded and recorded once there is room",
    arguments: [false, true]
  )
  func ledgerBehind(isAnswerLost: Bool) throws {
    _ = try restart()
    try journal.append(
      JournalBatch([
        StationCoreTests.reading(1, at: Self.start + 1_000),
        StationCoreTests.reading(9, at: Self.start + 2_000),
      ]),
      firstSequence: 2
    )
    disk.set(refuseOneIn: 0, loseAnswerOneIn: isAnswerLost ? 1 : 0, isDead: !isAnswerLost)
    let stages = try restart()
    #expect(stages.exchange.faults.ledger != nil)
    let raised = "metec/metec/fence/ch4_n/ch4#H@\(Self.start + 2_000) raised"
    #expect(try told(by: stages) == [raised])

    // It goes on as a station does whose disk has become full while it ran.
    let batch = InputBatch(
      JournalBatch([StationCoreTests.reading(1, at: Self.start + 3_000)]),
      firstSequence: 4
    )
    try stages.commit(batch)
    stages.evaluate(batch, at: 0)
    #expect(try told(by: stages).count == 1)
    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: true)
    #expect(throws: LedgerError.self) { try stages.record(isUrgent: true) }

    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: false)
    while try stages.record(isUrgent: true) {}
    #expect(try store.position == journal.lastSequence)
    #expect(stages.exchange.faults.ledger == nil)
    #expect(try store.head.hash == replayed())
  }

  @Test("a catalog that the journal has no room for is in force, and goes before what comes later")
  func journalFull() throws {
    _ = try restart(isReplaySource: true)
    journal.hasRoom.withLock { $0 = false }
    let stages = try restart()
    let batch = InputBatch(
      JournalBatch([
        StationCoreTests.reading(1, at: Self.start + 1_000),
        StationCoreTests.reading(9, at: Self.start + 2_000),
      ]),
      firstSequence: 3
    )
    #expect(throws: JournalError.self) { try stages.commit(batch) }
    stages.evaluate(batch, at: 0)
    #expect(try told(by: stages).count == 1)
    // Nothing of it is in the ledger before the journal has it.
    #expect(try !stages.record(isUrgent: true))
    #expect(try store.position == 1)

    journal.hasRoom.withLock { $0 = true }
    try stages.commit(batch)
    #expect(journal.lastSequence == 4)
    while try stages.record(isUrgent: true) {}
    #expect(try Fixture.alarms(of: store).count == 1)
    #expect(try store.head.hash == replayed())
  }

  @Test("what waits has a limit, and more than a station lets wait is a reason not to start")
  func limit() throws {
    _ = try restart()
    let inputs = (1...20).map { second in
      StationCoreTests.reading(second % 2 == 0 ? 1 : 9, at: Self.start + Int64(second) * 1_000)
    }
    try journal.append(JournalBatch(inputs), firstSequence: 2)
    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: true)
    var limits = StationLimits()
    limits.waitingDrafts = 5
    #expect(throws: LedgerError.diskFull(path: "simulated")) { try restart(limits: limits) }
  }
}
