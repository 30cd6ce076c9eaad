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

/// A link that brings a message at every look, and tells how many had come at each acknowledgement; at QoS 0, which
/// knows none, it says when many have come.
private final class BusyLink: IntakeLink, Sendable {
  struct Seen {
    var taken: UInt64 = 0
    /// What had been taken, and what was durable, at each acknowledgement.
    var acknowledged: [(taken: UInt64, durable: UInt64)] = []
    /// Commits that had ended when the first message, and when ``many``, had been taken.
    var commits = (first: 0, many: 0)
  }

  let seen = Mutex(Seen())
  let owesAcknowledgements: Bool
  /// One word an acknowledgement; at QoS 0 one when ``many`` messages have been taken.
  let acknowledgements: AsyncStream<Void>
  private let tell: AsyncStream<Void>.Continuation
  private let journal: SlowJournal

  static let many: UInt64 = 200

  init(journal: SlowJournal, owesAcknowledgements: Bool = true) {
    self.journal = journal
    self.owesAcknowledgements = owesAcknowledgements
    (acknowledgements, tell) = AsyncStream.makeStream()
  }

  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    Thread.sleep(forTimeInterval: 0.001)
    return LinkReport(state: "connected")
  }

  func take(received: Int64, into batch: inout JournalBatch) {
    batch.append(JournalInput(received: received, topic: Array("t".utf8), payload: [0x20]))
    let taken = seen.withLock { seen in
      seen.taken += 1
      let commits = journal.commits.load(ordering: .relaxed)
      if seen.taken == 1 { seen.commits.first = commits }
      if seen.taken == Self.many { seen.commits.many = commits }
      return seen.taken
    }
    if !owesAcknowledgements, taken == Self.many { tell.yield() }
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
    let link = BusyLink(journal: journal)
    let station = try Self.started(link, journal, scratch)
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

  @Test(
    "does not hold up the reading of what nobody waits for, when there is more",
    .timeLimit(.minutes(2))
  )
  func readsOn() async throws {
    let scratch = try Scratch()
    // Longer than so many looks take on a busy machine, shorter than if each of them waited for its patience to end.
    let journal = SlowJournal(seconds: 8)
    let link = BusyLink(journal: journal, owesAcknowledgements: false)
    var limits = StationLimits()
    limits.batchMessages = 1
    let station = try Self.started(link, journal, scratch, limits)
    for await _ in link.acknowledgements { break }
    station.stop()
    let commits = link.seen.withLock(\.commits)
    #expect(
      commits.many == commits.first,
      "\(BusyLink.many) messages are read while the first commit is under way"
    )
  }

  private static func started(
    _ link: BusyLink,
    _ journal: SlowJournal,
    _ scratch: Scratch,
    _ limits: StationLimits = StationLimits()
  ) throws -> LiveStation {
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: journal,
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: nil,
      limits: limits,
      logger: Fixture.quiet,
      now: SystemClocks().wall()
    )
    let station = LiveStation(stages: stages, clocks: SystemClocks(), logger: Fixture.quiet)
    station.start(makeLink: { link }, announcer: nil)
    return station
  }
}
