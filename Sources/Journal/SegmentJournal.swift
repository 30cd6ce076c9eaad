import Foundation
import GRDB
import Synchronization

/// How a journal cuts its segments, and from where it counts.
public struct SegmentOptions: Sendable {
  /// A segment is closed before it grows beyond this many bytes.
  public var segmentBytes: Int64 = 256 << 20
  /// A segment is closed once it holds this many milliseconds of receive time.
  public var segmentAge: Int64 = 24 * 3_600_000
  /// Segments whose newest record is older than this many milliseconds may be deleted; nil: never.
  public var retentionAge: Int64?
  /// The oldest segments may be deleted while all together are larger; nil: never.
  public var retentionBytes: Int64?
  /// The newest sequence that others know, for example the ledger's position.
  ///
  /// Should the journal hold less (its newest segment was lost), it goes on after this one and never
  /// uses a number twice.
  public var sequenceFloor: UInt64 = 0
  /// SQLite moves its write-ahead log into the file when that holds this many pages of 4 KiB.
  public var checkpointPages = 4000

  /// Makes the usual options: 256 MiB or a day a segment, nothing is deleted.
  public init() {}
}

/// The journal on disk: the durable order of inputs, in segments.
///
/// One object writes to a directory, guarded by a lock file; any number of ``Recording``s may read it
/// meanwhile. Appending is meant for one thread, reading for any.
public final class SegmentJournal: JournalStore {
  /// The directory of the segments.
  public let directory: String
  /// How segments are cut and kept.
  public let options: SegmentOptions
  /// The journal as its readers see it: cursors, reading by time, segments, damage, check.
  public let contents: Recording

  private let lock: DirectoryLock
  private let durable: Atomic<UInt64>
  private let latest: Atomic<Int64>
  private let writer: Mutex<SegmentWriter>
  /// Paths of the segments among the writer's faults, for who must not wait for a commit.
  private let faulty: Mutex<Set<String>>

  /// Opens the journal of a directory, which is made when there is none.
  ///
  /// A segment that cannot be opened is left as it is and reported by ``faults``; what of it can be
  /// read is read all the same.
  public init(
    directory: String,
    options: SegmentOptions = SegmentOptions()
  ) throws(JournalError) {
    try FileSystem.makeDirectory(directory)
    lock = try DirectoryLock(directory: directory)
    try FileSystem.removeLeftovers(in: directory)
    let files = try FileSystem.segments(in: directory)
      .map { SegmentFile(path: $0.path, first: $0.first) }
    let contents = Recording(path: directory, segments: files)
    let writer = SegmentWriter(directory, options, contents)
    self.directory = directory
    self.options = options
    self.contents = contents
    durable = Atomic(writer.next - 1)
    latest = Atomic(writer.latestReceived)
    faulty = Mutex(Set(writer.faults.map(\.segment)))
    self.writer = Mutex(writer)
  }

  /// Sequence of the newest durable input; 0 when there is none.
  public var lastSequence: UInt64 { durable.load(ordering: .acquiring) }

  /// Latest receive time of the journal, ms since the Unix epoch; `Int64.min` when it is empty.
  ///
  /// The intake goes on from here after a restart, so that receive time never goes back.
  public var latestReceived: Int64 { latest.load(ordering: .acquiring) }

  /// Segments that could not be opened, continued or closed in order, with the reason.
  public var faults: [SegmentFault] { writer.withLock { $0.faults } }

  /// How many of the segments that are there could not be opened, read, continued or closed in order so far.
  ///
  /// Does not wait for a commit that a disk holds up.
  public var damagedSegments: Int {
    var damaged = faulty.withLock { $0 }
    for damage in contents.damage { damaged.insert(damage.segment) }
    guard !damaged.isEmpty else { return 0 }
    return contents.files.count { damaged.contains($0.path) }
  }

  /// What could not be read so far; see ``Recording/damage``.
  public var damage: [JournalDamage] { contents.damage }

  /// The segments, oldest first.
  public var segments: [SegmentInfo] { contents.segments }

  /// Appends a batch as one group commit: durable when it returns, all or nothing.
  ///
  /// After an error nothing of the batch counts as written, and the same call may be made again; if
  /// the commit did reach the disk, that call finds it and only compares.
  ///
  /// - Parameters:
  ///   - batch: What to append; nothing happens when it is empty.
  ///   - firstSequence: The sequence of its first record: at most ``lastSequence`` + 1.
  /// - Throws: ``JournalError/diskFull(path:)`` and others, each with what helps.
  public func append(_ batch: JournalBatch, firstSequence: UInt64) throws(JournalError) {
    guard !batch.isEmpty else { return }
    try writer.withLock { writer throws(JournalError) in
      defer { publish(writer.next, writer.latestReceived, writer.faults) }
      try writer.append(batch, firstSequence: firstSequence)
    }
  }

  /// Appends inputs as one group commit; for the intake the other form is faster.
  ///
  /// - Parameters:
  ///   - inputs: What to append; nothing happens when it is empty.
  ///   - firstSequence: The sequence of `inputs[0]`: at most ``lastSequence`` + 1.
  /// - Throws: ``JournalError/diskFull(path:)`` and others, each with what helps.
  public func append(
    _ inputs: [JournalInput],
    firstSequence: UInt64
  ) throws(JournalError) {
    try append(JournalBatch(inputs), firstSequence: firstSequence)
  }

  private func publish(_ next: UInt64, _ latestReceived: Int64, _ faults: [SegmentFault]) {
    let segments = Set(faults.map(\.segment))
    faulty.withLock { $0 = segments }
    durable.store(next - 1, ordering: .releasing)
    latest.store(latestReceived, ordering: .releasing)
    contents.setLast(next - 1)
  }

  /// Reads up to `limit` records from `sequence` on; damaged blocks are skipped and reported.
  public func read(from sequence: UInt64, limit: Int) throws(JournalError) -> [JournalRecord] {
    try contents.read(from: sequence, limit: limit)
  }

  /// Reads up to `limit` records from `sequence` on, but stops behind the block that brings them to `bytes` bytes.
  public func read(
    from sequence: UInt64,
    limit: Int,
    bytes: Int
  ) throws(JournalError) -> [JournalRecord] {
    try contents.read(from: sequence, limit: limit, bytes: bytes)
  }

  /// Reads up to `limit` records received in `range` (ms since the Unix epoch), by sequence.
  public func read(
    received range: Range<Int64>,
    limit: Int
  ) throws(JournalError) -> [JournalRecord] {
    try contents.read(received: range, limit: limit)
  }

  /// Reads everything and asks SQLite to check the files' structure.
  public func verify() throws(JournalError) -> JournalVerification {
    try contents.verify()
  }

  /// Closes the newest segment and begins another; does nothing when it is empty.
  public func rotate() throws(JournalError) {
    try writer.withLock { writer throws(JournalError) in try writer.rotate() }
  }

  /// Moves SQLite's write-ahead log into the segment's file: for a quiet moment.
  ///
  /// It also happens by itself, within an `append`, once the log has grown to the options'
  /// `checkpointPages`.
  public func checkpoint() throws(JournalError) {
    try writer.withLock { writer throws(JournalError) in try writer.checkpoint() }
  }

  /// Deletes the oldest segments as far as age and size allow, whole files at a time; by age only where the
  /// others are enough to reach over it.
  ///
  /// - Parameters:
  ///   - now: The time that ages are counted from, ms since the Unix epoch.
  ///   - floor: What somebody still needs: segments with records after this sequence stay.
  /// - Returns: What was deleted.
  /// - Throws: When a file cannot be deleted; those before it are gone.
  @discardableResult
  public func enforceRetention(
    now: Int64,
    keepingAfter floor: UInt64
  ) throws(JournalError) -> [SegmentInfo] {
    writer.withLock { $0.sealLeftOpen() }
    var segments = contents.segments
    var total = segments.reduce(0) { $0 + $1.bytes }
    var removed: [SegmentInfo] = []
    while segments.count > 1 {
      let (oldest, next) = (segments[0], segments[1])
      guard next.firstSequence - 1 <= floor else { break }
      // A segment that cannot be read is at most as young as the next one's oldest record.
      let age = (oldest.latestReceived ?? next.earliestReceived).map { now - $0 }
      let isOld =
        if let limit = options.retentionAge, let age {
          age > limit && canExceed(limit, in: segments.count - 1)
        } else {
          false
        }
      let isTooMuch = options.retentionBytes.map { total > $0 } ?? false
      guard isOld || isTooMuch else { break }
      try contents.delete(oldest.path)
      total -= oldest.bytes
      removed.append(segments.removeFirst())
    }
    return removed
  }

  /// Whether so many segments can reach over more than this time: a clock that has leapt ahead makes all of them old at once.
  private func canExceed(_ time: Int64, in segments: Int) -> Bool {
    Int64(segments) > time / max(1, options.segmentAge)
  }

  /// Closes the newest segment in order, so that the directory holds plain files only.
  ///
  /// Later appends throw, and another writer may open the directory; reading goes on to work.
  public func close() throws(JournalError) {
    try writer.withLock { writer throws(JournalError) in try writer.close() }
    lock.release()
  }

  /// Runs SQL on the writing connection, for tests; returns the first value as text.
  package func execute(_ sql: String) throws -> String? {
    try writer.withLock { writer in try writer.execute(sql) }
  }
}
