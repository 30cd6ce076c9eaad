import Synchronization

/// Recorded inputs, to be read: a journal's directory, a copy of one, or a single segment file.
///
/// Reading takes no lock and writes nothing, so a journal can be read while a service writes it. A
/// damaged block never stops reading: what is readable is returned, what is not is reported by
/// ``damage`` with segment, sequences and cause, and a record is returned only when its block's
/// checksum is right.
public final class Recording: Sendable {
  /// The directory or file that was opened.
  public let path: String

  private struct State {
    var segments: [SegmentFile]
    var last: UInt64
    var damage: [JournalDamage] = []
    var unlistedDamage = 0
  }

  private let state: Mutex<State>

  /// More reports of damage than this are counted only.
  static let damageLimit = 1000

  /// Opens a directory of segments or a single segment file.
  public convenience init(path: String) throws(JournalError) {
    let files: [(first: UInt64, path: String)]
    if FileSystem.isDirectory(path) {
      files = try FileSystem.segments(in: path)
      guard !files.isEmpty else {
        throw .notAJournal(path: path, message: "the folder has no segment (journal-….sqlite)")
      }
    } else {
      files = [(try Self.first(ofSingle: path), path)]
    }
    self.init(path: path, segments: files.map { SegmentFile(path: $0.path, first: $0.first) })
    refreshLast()
  }

  init(path: String, segments: [SegmentFile]) {
    self.path = path
    state = Mutex(State(segments: segments, last: 0))
  }

  /// A single file may have any name; then it says itself where it begins.
  private static func first(ofSingle path: String) throws(JournalError) -> UInt64 {
    let name = path.split(separator: "/").last.map { String($0) } ?? path
    if let first = Segment.first(ofFileName: name) { return first }
    return try Segment.firstSequence(ofFile: path)
  }

  // MARK: - What there is

  /// Sequence of the first record that the segments may hold; 0 when there is no segment.
  public var firstSequence: UInt64 { state.withLock { $0.segments.first?.first ?? 0 } }

  /// Sequence of the last record; 0 when there is none.
  public var lastSequence: UInt64 { state.withLock { $0.last } }

  /// The segments, oldest first, with what each holds.
  public var segments: [SegmentInfo] {
    let (files, last) = state.withLock { ($0.segments, $0.last) }
    return files.indices.map { index in
      let isLast = index == files.count - 1
      let limit = Self.limit(of: index, files, last)
      let extent = files[index].extent(sealed: !isLast, limit: max(limit, files[index].first))
      return SegmentInfo(
        path: files[index].path,
        firstSequence: files[index].first,
        lastSequence: extent.last,
        blocks: extent.blocks,
        records: extent.records,
        earliestReceived: extent.blocks > 0 ? extent.earliestReceived : nil,
        latestReceived: extent.blocks > 0 ? extent.latestReceived : nil,
        bytes: files[index].bytes,
        isNewest: isLast,
        problem: files[index].problem
      )
    }
  }

  /// What could not be read so far, in the order it was met; at most 1,000 reports.
  public var damage: [JournalDamage] { state.withLock { $0.damage } }

  /// How many reports of damage there were beyond those of ``damage``.
  public var unlistedDamage: Int { state.withLock { $0.unlistedDamage } }

  /// Looks again at the directory: what a service has written since is seen from then on.
  public func refresh() throws(JournalError) {
    guard FileSystem.isDirectory(path) else { return refreshLast() }
    let files = try FileSystem.segments(in: path)
    state.withLock { state in
      let known = Dictionary(uniqueKeysWithValues: state.segments.map { ($0.path, $0) })
      state.segments = files.map { known[$0.path] ?? SegmentFile(path: $0.path, first: $0.first) }
    }
    refreshLast()
  }

  private func refreshLast() {
    guard let newest = state.withLock({ $0.segments.last }) else { return }
    let limit = newest.first + (Segment.maximumSpan - 1)
    let last = newest.lastSequence(limit: limit, BlockDecoder()) ?? newest.first - 1
    state.withLock { $0.last = last }
  }

  // MARK: - Reading

  /// Reads up to `limit` records from `sequence` on, but stops behind the block that brings them to `bytes` bytes; damaged blocks
  /// are skipped and reported.
  public func read(
    from sequence: UInt64,
    limit: Int,
    bytes: Int = .max
  ) throws(JournalError) -> [JournalRecord] {
    var records: [JournalRecord] = []
    var cursor = cursor(from: sequence)
    var batch = JournalBatch()
    var size = 0
    while records.count < limit, size < bytes, let first = try cursor.next(into: &batch) {
      for index in 0..<min(batch.count, limit - records.count) {
        records.append(
          JournalRecord(sequence: first + UInt64(index), input: batch.input(at: index))
        )
      }
      size += batch.byteCount
    }
    return records
  }

  /// Reads up to `limit` records received in `range` (ms since the Unix epoch), by sequence.
  public func read(
    received range: Range<Int64>,
    limit: Int
  ) throws(JournalError) -> [JournalRecord] {
    guard let sequences = sequences(received: range) else { return [] }
    var records: [JournalRecord] = []
    var cursor = cursor(from: sequences.lowerBound, through: sequences.upperBound)
    var batch = JournalBatch()
    while records.count < limit, let first = try cursor.next(into: &batch) {
      for (index, record) in batch.records.enumerated()
      where range.contains(record.received) && records.count < limit {
        records.append(
          JournalRecord(sequence: first + UInt64(index), input: batch.input(at: index))
        )
      }
    }
    return records
  }

  /// The sequences between which every record received in `range` lies; nil when there is none.
  ///
  /// They are those of whole blocks, so records received a little before or after may be among them.
  public func sequences(received range: Range<Int64>) -> ClosedRange<UInt64>? {
    guard !range.isEmpty else { return nil }
    let (files, last) = state.withLock { ($0.segments, $0.last) }
    var found: ClosedRange<UInt64>?
    for (index, file) in files.enumerated() {
      let limit = Self.limit(of: index, files, last)
      guard limit >= file.first,
        let part = file.sequences(received: range, limit: limit)
      else { continue }
      found = found.map { $0.lowerBound...part.upperBound } ?? part
    }
    return found
  }

  /// Reads block by block from `sequence` on: for replay, with the memory of one block.
  ///
  /// - Parameters:
  ///   - sequence: Where to begin; what lies before the first segment is passed over.
  ///   - end: Where to end, inclusively; nil for the last record that there is by then.
  /// - Returns: A cursor before the first block.
  public func cursor(from sequence: UInt64, through end: UInt64? = nil) -> JournalCursor {
    JournalCursor(self, from: sequence, through: end)
  }

  /// Finds the block of the first readable record at or after `sequence`.
  ///
  /// - Returns: Its row; the batch then holds its records. Nil when there is none up to `end`.
  func find(
    from sequence: UInt64,
    through end: UInt64,
    _ decoder: borrowing BlockDecoder,
    into batch: inout JournalBatch
  ) throws(JournalError) -> BlockHeader? {
    var sequence = sequence
    while true {
      let (files, last) = state.withLock { ($0.segments, $0.last) }
      guard let oldest = files.first else { return nil }
      sequence = max(sequence, oldest.first)
      guard sequence <= min(end, last) else { return nil }
      let index = (files.firstIndex { $0.first > sequence } ?? files.count) - 1
      let file = files[index]
      let limit = Self.limit(of: index, files, last)
      switch try file.find(sequence, limit: limit, decoder, into: &batch) {
      case .block(let header):
        return header
      case .damage(let sequences, let cause):
        // Retention may have taken the file meanwhile, which is no damage; then the list is new.
        guard state.withLock({ $0.segments.contains { $0 === file } }) else { continue }
        report(JournalDamage(segment: file.path, sequences: sequences, cause: cause))
        sequence = sequences.upperBound + 1
      }
    }
  }

  /// The last sequence that a segment should hold.
  private static func limit(of index: Int, _ files: [SegmentFile], _ last: UInt64) -> UInt64 {
    index + 1 < files.count ? files[index + 1].first - 1 : last
  }

  private func report(_ damage: JournalDamage) {
    state.withLock { state in
      guard !state.damage.contains(where: { $0.covers(damage) }) else { return }
      if state.damage.count < Self.damageLimit {
        state.damage.append(damage)
      } else {
        state.unlistedDamage += 1
      }
    }
  }

  // MARK: - Checking

  /// Reads everything and asks SQLite to check the files' structure.
  public func verify() throws(JournalError) -> JournalVerification {
    let (files, last) = state.withLock { ($0.segments, $0.last) }
    var verification = JournalVerification()
    verification.segments = files.count
    verification.bytes = files.reduce(0) { $0 + $1.bytes }
    for file in files {
      for fault in file.structuralFaults() {
        verification.faults.append(SegmentFault(segment: file.path, message: fault))
      }
    }
    let decoder = BlockDecoder()
    var batch = JournalBatch()
    var next = firstSequence
    while let header = try find(from: next, through: last, decoder, into: &batch) {
      verification.blocks += 1
      verification.records += header.count
      next = header.last + 1
    }
    verification.damage = damage
    return verification
  }

  // MARK: - For the writer

  func setLast(_ last: UInt64) { state.withLock { $0.last = last } }

  func add(_ file: SegmentFile) { state.withLock { $0.segments.append(file) } }

  func remove(_ file: SegmentFile) { state.withLock { $0.segments.removeAll { $0 === file } } }

  /// Takes a segment off the list, then deletes its file; a reader that is in it may end its block.
  func delete(_ path: String) throws(JournalError) {
    let file = state.withLock { state -> SegmentFile? in
      guard let index = state.segments.firstIndex(where: { $0.path == path }) else { return nil }
      return state.segments.remove(at: index)
    }
    try file?.withoutReader { () throws(JournalError) in
      for suffix in ["", "-wal", "-shm", "-journal"] { try FileSystem.remove(path + suffix) }
    }
  }

  var files: [SegmentFile] { state.withLock { $0.segments } }
}

/// A segment and what it holds, as far as it can be read.
public struct SegmentInfo: Sendable {
  /// Path of the file.
  public var path: String
  /// First sequence that it holds.
  public var firstSequence: UInt64
  /// Last sequence that was found in it; nil when it holds none.
  public var lastSequence: UInt64?
  /// Group commits in it.
  public var blocks: Int
  /// Records in it.
  public var records: Int
  /// Earliest receive time, ms since the Unix epoch.
  public var earliestReceived: Int64?
  /// Latest receive time, ms since the Unix epoch.
  public var latestReceived: Int64?
  /// Bytes on disk, with what SQLite keeps beside the file.
  public var bytes: Int64
  /// True for the newest segment, the one that may still grow.
  public var isNewest: Bool
  /// Why SQLite cannot open the file; nil when it can.
  public var problem: JournalError?
}

/// What is wrong with a segment's file, whether or not a record is lost by it.
public struct SegmentFault: Hashable, Sendable {
  /// Path of the segment file.
  public var segment: String
  /// What SQLite or the operating system says.
  public var message: String
}

/// What a check of a whole journal found.
public struct JournalVerification: Sendable {
  /// Segments looked at.
  public var segments = 0
  /// Blocks read whole.
  public var blocks = 0
  /// Records read.
  public var records = 0
  /// Bytes on disk.
  public var bytes: Int64 = 0
  /// What cannot be read.
  public var damage: [JournalDamage] = []
  /// What SQLite finds wrong with the files' structure.
  public var faults: [SegmentFault] = []

  /// True when everything can be read and no file is faulty.
  public var isSound: Bool { damage.isEmpty && faults.isEmpty }
}

/// Reads a recording block by block.
public struct JournalCursor: ~Copyable {
  private let recording: Recording
  private let decoder = BlockDecoder()
  private let end: UInt64?

  /// Sequence of the record that is read next, if it can be read.
  public private(set) var position: UInt64

  init(_ recording: Recording, from sequence: UInt64, through end: UInt64?) {
    self.recording = recording
    self.end = end
    position = max(1, sequence)
  }

  /// Replaces the batch by the next block's records.
  ///
  /// - Returns: The sequence of the batch's first record; nil at the end, after which the batch is
  ///   empty. A cursor without an end may be asked again once more was written.
  public mutating func next(into batch: inout JournalBatch) throws(JournalError) -> UInt64? {
    let end = end ?? .max
    guard
      position <= end,
      let header = try recording.find(from: position, through: end, decoder, into: &batch)
    else {
      batch.removeAll()
      return nil
    }
    let first = max(position, header.first)
    let last = min(header.last, end)
    batch.trim(to: Int(first - header.first)..<Int(last - header.first) + 1)
    position = last + 1
    return first
  }
}
