import HazardLedger
import Journal
import Simulation
import Station
import Testing

/// When a station takes a snapshot of its core, and that it leaves one behind where it stops.
@Suite("Snapshots of a station")
struct SnapshotTests {
  private let scratch: Scratch
  private let folder: SnapshotFolder
  private let journal = MemoryJournal(disk: FaultyDisk(seed: 1))
  private let disk = FaultyDisk(seed: 2)
  private let store: SQLiteLedger

  init() throws {
    scratch = try Scratch()
    folder = try SnapshotFolder(path: scratch.file("snapshots"))
    store = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
  }

  /// A station whose journal begins with its catalog.
  private func start(_ limits: StationLimits = StationLimits()) throws -> Stages {
    try Stages(
      catalog: try Fixture.catalog(),
      journal: journal,
      ledger: FaultyLedger(store: store, disk: disk),
      snapshots: folder,
      limits: limits,
      logger: Fixture.quiet,
      now: 1_000
    )
  }

  private func stop(_ stages: Stages) {
    LiveStation(stages: stages, clocks: SystemClocks(), logger: Fixture.quiet).stop()
  }

  @Test("an hour after the one before, once anything comes")
  func hourly() throws {
    let stages = try start()
    let hour: Int64 = 3_600_000
    var sequence: UInt64 = 1
    for (time, expected) in [
      (5_000, []), (hour + 4_999, []), (hour + 5_000, [4]), (2 * hour, [4]), (9 * hour, [6, 4]),
      (9 * hour + 1, [6, 4]),
    ] as [(Int64, [UInt64])] {
      sequence += 1
      try stages.take(JournalInput(kind: .tick, received: time), sequence: sequence)
      #expect(try folder.positions() == expected, "\(time)")
    }
  }

  @Test("after a share of the bytes that the journal may have, or a segment's")
  func bytes() throws {
    #expect(StationLimits(journalBytes: 8_000, segmentBytes: 2_000).snapshotBytes == 2_000)
    let limits = StationLimits(journalBytes: 80_000, segmentBytes: 2_000)
    #expect(limits.snapshotBytes == 10_000)
    let stages = try start(limits)
    for sequence in 2...5 as ClosedRange<UInt64> {
      var input = Fixture.message(String(repeating: " ", count: 4_000))
      input.received = Int64(sequence)
      try stages.take(input, sequence: sequence)
      let expected: [UInt64] = sequence < 4 ? [] : [4]
      #expect(try folder.positions() == expected)
    }
  }

  @Test("a stop records what was evaluated and leaves a snapshot, from which a start goes on")
  func atStop() throws {
    let stages = try start()
    let batch = InputBatch(
      JournalBatch([JournalInput(kind: .tick, received: 5_000)]),
      firstSequence: 2
    )
    try stages.commit(batch)
    stages.evaluate(batch, at: 0)
    #expect(try store.position == 1)
    stop(stages)
    #expect(try store.position == 2)
    #expect(try folder.positions() == [2])
    let head = try store.head.hash
    stop(try start())
    #expect(try store.head.hash == head)
    #expect(try folder.positions() == [2], "nothing has come since")
  }

  @Test("snapshots of a longer journal that is gone are put aside, and take nobody's place")
  func otherJournal() throws {
    for position in [900, 950] as [UInt64] { try folder.write([1, 2, 3], position: position) }
    let stages = try start()
    #expect(try folder.positions() == [])
    try stages.take(JournalInput(kind: .tick, received: 5_000), sequence: 2)
    stop(stages)
    #expect(try folder.positions() == [2])
  }

  @Test("a stop writes none of what journal or ledger do not take", arguments: [false, true])
  func deadDisk(isJournalDead: Bool) throws {
    let stages = try start()
    let batch = InputBatch(
      JournalBatch([JournalInput(kind: .tick, received: 5_000)]),
      firstSequence: 2
    )
    if !isJournalDead { try stages.commit(batch) }
    stages.evaluate(batch, at: 0)
    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: !isJournalDead)
    stop(stages)
    #expect(try store.position == 1)
    #expect(try folder.positions() == [])
  }
}
