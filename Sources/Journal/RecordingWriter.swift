/// Makes a recording of given inputs: an import, a test's data.
///
/// ```swift
/// let writer = try RecordingWriter(directory: "release-1")
/// for row in rows { try writer.append(input(row)) }
/// try writer.finish()
/// ```
///
/// The result is a directory like a service's journal; a small one has a single segment file, which
/// may be renamed and passed on by itself.
public final class RecordingWriter {
  private let journal: SegmentJournal
  private var batch = JournalBatch()

  private static let batchRecords = 4096
  private static let batchBytes = 1 << 20

  /// Begins a recording in an empty or new directory.
  public init(directory: String) throws(JournalError) {
    if FileSystem.isDirectory(directory), try !FileSystem.segments(in: directory).isEmpty {
      throw .occupied(directory: directory)
    }
    var options = SegmentOptions()
    options.segmentBytes = 1 << 30
    options.segmentAge = .max
    journal = try SegmentJournal(directory: directory, options: options)
  }

  /// Sequence of the last input that was handed in; 0 when there is none.
  public var lastSequence: UInt64 { journal.lastSequence + UInt64(batch.count) }

  /// Adds an input.
  public func append(_ input: JournalInput) throws(JournalError) {
    batch.append(input)
    if batch.count >= Self.batchRecords || batch.byteCount >= Self.batchBytes { try flush() }
  }

  /// Writes what is left and closes the recording.
  public func finish() throws(JournalError) {
    try flush()
    try journal.close()
  }

  private func flush() throws(JournalError) {
    try journal.append(batch, firstSequence: journal.lastSequence + 1)
    batch.removeAll()
  }
}
