import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Synchronization
import Testing

/// A journal whose every commit takes longer than intake waits for one.
private final class SlowJournal: JournalStore {
  private let store = MemoryJournal(disk: FaultyDisk(seed: 1))
  let commits = Atomic<Int>(0)
  private let seconds: Double

  init(seconds: Double) { self.seconds = seconds }

  var lastSequence: UInt64 { store.lastSequence }

  func append(_ batch: borrowing JournalBatch, firstSequence: UInt64) throws {
    Thread.sleep(forTimeInterval: seconds)
    commits.add(1, ordering: .relaxed)
    try store.append(batch, firstSequence: firstSequence)
  }

  func append(_ inputs: [JournalInput], firstSequence: UInt64) throws {
    try append(JournalBatch(inputs), firstSequence: firstSequence)
  }

  func read(from sequence: UInt64, limit: Int) throws -> [JournalRecord] {
    try store.read(from: sequence, limit: limit)
  }
}

/// A link that brings a message at every look, and tells how many had come at each acknowledgement.
private final class BusyLink: IntakeLink, Sendable {
  struct Seen {
    var taken: UInt64 = 0
    /// What had been taken, and what was durable, at each acknowledgement.
    var acknowledged: [(taken: UInt64, durable: UInt64)] = []
  }

  let seen = Mutex(Seen())
  /// One word an acknowledgement.
  let acknowledgements: AsyncStream<Void>
  private let tell: AsyncStream<Void>.Continuation
  private let journal: SlowJournal

  init(journal: SlowJournal) {
    self.journal = journal
    (acknowledgements, tell) = AsyncStream.makeStream()
  }

  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    Thread.sleep(forTimeInterval: 0.001)
    return LinkReport(state: "connected")
  }

  func take(received: Int64, into batch: inout JournalBatch) {
    batch.append(JournalInput(received: received, topic: Array("t".utf8), payload: [0x20]))
    seen.withLock { $0.taken += 1 }
  }

  func acknowledge() {
    let durable = UInt64(
      (try? journal.read(from: 1, limit: .max))?.count { $0.input.kind == .message } ?? 0
    )
    seen.withLock { $0.acknowledged.append(($0.taken, durable)) }
    tell.yield()
  }

  func keepAlive() {}
  func stop() {}
}

@Suite("A disk that is slow, but goes on")
struct SlowDiskTests {
  @Test(
    "does not keep acknowledgements back for good",
    .timeLimit(.minutes(2)),
    arguments: [0.08, 0.4, 0.7]
  )
  func acknowledges(seconds: Double) async throws {
    let scratch = try Scratch()
    let journal = SlowJournal(seconds: seconds)
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: journal,
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: nil,
      limits: StationLimits(),
      logger: Fixture.quiet,
      now: SystemClocks().wall()
    )
    let link = BusyLink(journal: journal)
    let station = LiveStation(stages: stages, clocks: SystemClocks(), logger: Fixture.quiet)
    station.start(makeLink: { link }, announcer: nil)
    var count = 0
    for await _ in link.acknowledgements {
      count += 1
      if count == 3 { break }
    }
    station.stop()
    let (seen, commits) = link.seen.withLock { ($0, journal.commits.load(ordering: .relaxed)) }
    for acknowledged in seen.acknowledged {
      #expect(acknowledged.durable >= acknowledged.taken, "acknowledged means kept")
    }
    // What gathers behind a commit goes into the next one: intake reads ahead, the journal does not fall behind.
    #expect(commits < Int(seen.taken))
  }
}
