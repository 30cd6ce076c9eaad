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
  /// How many inputs it has.
  let kept = Atomic<Int>(0)
  private let seconds: Double

  init(seconds: Double) { self.seconds = seconds }

  var lastSequence: UInt64 { store.lastSequence }

  func append(_ batch: borrowing JournalBatch, firstSequence: UInt64) throws {
    // Being slow in real time is what is tried here.
    Thread.sleep(forTimeInterval: seconds)
    commits.add(1, ordering: .relaxed)
    try store.append(batch, firstSequence: firstSequence)
    kept.add(batch.count, ordering: .relaxed)
  }

  /// How many messages it has.
  var messages: UInt64 {
    UInt64((try? read(from: 1, limit: .max))?.count { $0.input.kind == .message } ?? 0)
  }

  func append(_ inputs: [JournalInput], firstSequence: UInt64) throws {
    try append(JournalBatch(inputs), firstSequence: firstSequence)
  }

  func read(from sequence: UInt64, limit: Int) throws -> [JournalRecord] {
    try store.read(from: sequence, limit: limit)
  }
}

/// A link that brings messages at every look; from one of them on senders wait.
private final class BusyLink: IntakeLink, Sendable {
  struct Seen {
    var taken: UInt64 = 0
    /// What had been taken, and what was durable, at each acknowledgement.
    var acknowledged: [(taken: UInt64, durable: UInt64)] = []
    /// How often intake was late with an acknowledgement, or waited in vain for a commit.
    var keptAlive = 0
    /// By how many messages the journal was read ahead of.
    var ahead = 0
  }

  let seen = Mutex(Seen())
  /// One word an acknowledgement, and one for each message that nobody waits for.
  let words: AsyncStream<Seen>
  private let tell: AsyncStream<Seen>.Continuation
  private let journal: SlowJournal
  private let firstOwed: UInt64
  private let atOnce: Int

  init(journal: SlowJournal, firstOwed: UInt64, atOnce: Int) {
    self.journal = journal
    self.atOnce = atOnce
    self.firstOwed = firstOwed
    (words, tell) = AsyncStream.makeStream()
  }

  var owesAcknowledgements: Bool { seen.withLock { $0.taken >= firstOwed } }

  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    // A poll waits for its socket; one that did not would leave the journal no time.
    Thread.sleep(forTimeInterval: 0.001)
    return LinkReport(state: "connected")
  }

  func take(received: Int64, into batch: inout JournalBatch) {
    for _ in 0..<atOnce {
      batch.append(JournalInput(received: received, topic: Array("t".utf8), payload: [0x20]))
    }
    let seen = seen.withLock { seen in
      seen.taken += UInt64(atOnce)
      seen.ahead = max(seen.ahead, Int(seen.taken) - journal.kept.load(ordering: .relaxed))
      return seen
    }
    if seen.taken < firstOwed { tell.yield(seen) }
  }

  func acknowledge() {
    let durable = journal.messages
    tell.yield(
      seen.withLock { seen in
        seen.acknowledged.append((seen.taken, durable))
        return seen
      }
    )
  }

  func keepAlive() { seen.withLock { $0.keptAlive += 1 } }
  func stop() {}
}

@Suite("A disk that is slow, but goes on")
struct SlowDiskTests {
  @Test(
    "does not keep acknowledgements back for good",
    .timeLimit(.minutes(2)),
    arguments: [0.08, 0.4, 0.7],
    [1, 4_096]
  )
  func acknowledges(seconds: Double, batchMessages: Int) async throws {
    try await expectAcknowledgements(SlowJournal(seconds: seconds), batchMessages, firstOwed: 0)
  }

  @Test("nor those of senders who come when nobody had to be waited for", .timeLimit(.minutes(2)))
  func acknowledgesLater() async throws {
    try await expectAcknowledgements(SlowJournal(seconds: 0.4), 1, firstOwed: 300)
  }

  @Test(
    "nor where more comes than it can take",
    .timeLimit(.minutes(2)),
    arguments: [0.08, 0.4, 0.7]
  )
  func acknowledgesInAFlood(seconds: Double) async throws {
    // Each look brings more than a commit takes.
    try await expectAcknowledgements(
      SlowJournal(seconds: seconds),
      1,
      firstOwed: 0,
      atOnce: 100,
      commitBytes: 512
    )
  }

  private func expectAcknowledgements(
    _ journal: SlowJournal,
    _ batchMessages: Int,
    firstOwed: UInt64,
    atOnce: Int = 1,
    commitBytes: Int = 8 << 20
  ) async throws {
    let scratch = try Scratch()
    let link = BusyLink(journal: journal, firstOwed: firstOwed, atOnce: atOnce)
    let station = try Self.started(
      link,
      journal,
      scratch,
      batchMessages: batchMessages,
      commitBytes: commitBytes
    )
    for await seen in link.words where seen.acknowledged.count == 3 { break }
    station.stop()
    let (seen, commits) = link.seen.withLock { ($0, journal.commits.load(ordering: .relaxed)) }
    for acknowledged in seen.acknowledged {
      #expect(acknowledged.durable >= acknowledged.taken, "acknowledged means kept")
    }
    if atOnce == 1 {
      // What gathers behind a commit goes into the next one: intake reads ahead, the journal does not fall behind.
      #expect(commits < Int(seen.taken))
    } else {
      // One look is being committed, one waits, one is read; and some before it is known how slow the disk is.
      #expect(seen.ahead <= 8 * atOnce)
    }
  }

  @Test("does not hold up the reading of what nobody waits for", .timeLimit(.minutes(2)))
  func readsOn() async throws {
    let scratch = try Scratch()
    let journal = SlowJournal(seconds: 3)
    let link = BusyLink(journal: journal, firstOwed: .max, atOnce: 1)
    let station = try Self.started(link, journal, scratch, batchMessages: 1)
    var keptAlive = -1
    for await seen in link.words where seen.taken == 200 {
      keptAlive = seen.keptAlive
      break
    }
    station.stop()
    #expect(keptAlive == 0, "intake waited for a commit")
    #expect(
      journal.messages == link.seen.withLock(\.taken),
      "what was read before the end is kept: nobody sends it again"
    )
  }

  @Test(
    "lets gather what nobody waits for when there is no more to be read",
    .timeLimit(.minutes(2))
  )
  func gathers() async throws {
    let scratch = try Scratch()
    let journal = SlowJournal(seconds: 1)
    let link = BusyLink(journal: journal, firstOwed: .max, atOnce: 1)
    let station = try Self.started(link, journal, scratch, batchMessages: 4_096)
    for await seen in link.words where seen.keptAlive > 0 { break }
    station.stop()
    #expect(journal.messages == link.seen.withLock(\.taken))
  }

  private static func started(
    _ link: BusyLink,
    _ journal: SlowJournal,
    _ scratch: Scratch,
    batchMessages: Int,
    commitBytes: Int = 8 << 20
  ) throws -> LiveStation {
    var limits = StationLimits()
    limits.batchBytesSlow = commitBytes
    limits.waitingBytes = 32 * commitBytes
    limits.batchMessages = batchMessages
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
