/// Reads the blocks of a segment past SQLite: page by page, trusting only checksums.
///
/// SQLite finds rows from the root of a tree, so one bad page near the root hides thousands of good
/// rows, and a bad header hides all of them. Here every page is tried as a leaf of the table
/// of blocks; every cell that it seems to hold is put together, and what has the right CRC-32C is a
/// block.
final class RawSegment: Sendable {
  /// A block and where its cell begins.
  struct Entry: Sendable {
    var header: BlockHeader
    fileprivate var page: Int
    fileprivate var offset: Int
  }

  /// What looked like a block of this segment and is not one any more.
  struct Trace: Sendable {
    var first: UInt64
    var cause: JournalDamage.Cause
  }

  /// The blocks found, by first sequence; none overlaps another.
  let entries: [Entry]
  /// Remains of blocks that cannot be read, by what seems to be their first sequence.
  let traces: [Trace]

  /// True when the file's head says that it is one.
  let isSegment: Bool

  private let pages: SQLitePages

  /// Scans the file once; keeps a few words a block.
  init(path: String, sequences: ClosedRange<UInt64>) throws(SystemFault) {
    pages = try SQLitePages(path: path)
    (entries, traces) = Self.scan(pages, sequences)
    var head = [UInt8](repeating: 0, count: SQLitePages.size)
    isSegment =
      pages.read(1, into: &head)
      && Int64(SQLitePages.word(head.span, 68)) == Segment.applicationID
  }

  /// Index of the first block that ends at or after `sequence`; `entries.count` when none does.
  func index(endingAtOrAfter sequence: UInt64) -> Int {
    var range = 0..<entries.count
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      range =
        entries[middle].header.last < sequence
        ? middle + 1..<range.upperBound : range.lowerBound..<middle
    }
    return range.lowerBound
  }

  /// Why the sequences of `gap` are gone, as far as remains tell.
  func cause(of gap: ClosedRange<UInt64>) -> JournalDamage.Cause? {
    traces.first { gap.contains($0.first) }?.cause
  }

  /// Reads a block that the scan found.
  func decode(
    _ entry: Entry,
    _ decoder: borrowing BlockDecoder,
    into batch: inout JournalBatch
  ) throws(BlockFault) {
    var page = [UInt8](repeating: 0, count: SQLitePages.size)
    var record: [UInt8] = []
    var overflow: [Int] = []
    guard pages.read(entry.page, into: &page),
      let cell = LeafCell(page.span, at: entry.offset),
      cell.assemble(page.span, from: pages, into: &record, overflowPages: &overflow),
      let row = BlockRow(record.span, rowid: cell.rowid), row.header == entry.header
    else { throw .checksum }
    try decoder.decode(row.header, record.span.extracting(row.data), into: &batch)
  }
}

extension RawSegment {
  private static func scan(
    _ pages: SQLitePages,
    _ sequences: ClosedRange<UInt64>
  ) -> (entries: [Entry], traces: [Trace]) {
    var found: [Entry] = []
    var traces: [Trace] = []
    // Overflow pages of verified blocks: what they hold is a payload's bytes, never cells.
    var claimed: Set<Int> = []
    var page = [UInt8](repeating: 0, count: SQLitePages.size)
    var record: [UInt8] = []
    var overflow: [Int] = []
    for number in 0..<pages.count where pages.read(number + 1, into: &page) {
      for offset in LeafCell.offsets(page.span, number: number + 1) {
        guard let cell = LeafCell(page.span, at: offset), cell.rowid > 0,
          sequences.contains(UInt64(cell.rowid))
        else { continue }
        let first = UInt64(cell.rowid)
        guard cell.assemble(page.span, from: pages, into: &record, overflowPages: &overflow) else {
          traces.append(Trace(first: first, cause: .unreadable("its pages are damaged")))
          continue
        }
        guard let row = BlockRow(record.span, rowid: cell.rowid),
          row.header.checksum(of: record.span.extracting(row.data)) == row.header.checksum,
          row.header.last <= sequences.upperBound
        else {
          traces.append(Trace(first: first, cause: .checksum))
          continue
        }
        claimed.formUnion(overflow)
        found.append(Entry(header: row.header, page: number + 1, offset: offset))
      }
    }
    var entries: [Entry] = []
    for entry in found.sorted(by: { $0.header.first < $1.header.first })
    where !claimed.contains(entry.page) {
      if let last = entries.last, last.header.last >= entry.header.first { continue }
      entries.append(entry)
    }
    return (entries, traces.sorted { $0.first < $1.first })
  }
}

/// The columns of a block's row, parsed from SQLite's record format.
private struct BlockRow {
  var header: BlockHeader
  /// Where in the record the stored bytes lie.
  var data: Range<Int>

  init?(_ record: Span<UInt8>, rowid: Int64) {
    var at = 0
    guard let headerSize = SQLitePages.varint(record, &at), headerSize <= UInt64(record.count),
      rowid > 0
    else { return nil }
    var body = Int(headerSize)
    // The row's number stands for the first column, which is stored as null.
    guard SQLitePages.varint(record, &at) == 0 else { return nil }
    var values: [Int64] = []
    for _ in 0..<6 {
      guard let type = SQLitePages.varint(record, &at),
        let value = Self.integer(record, type, &body)
      else { return nil }
      values.append(value)
    }
    guard let type = SQLitePages.varint(record, &at), at == Int(headerSize), type >= 12,
      type.isMultiple(of: 2), (type - 12) / 2 == UInt64(record.count - body),
      values[0] > 0, rowid <= Int64.max - values[0], values[4] >= 0,
      let checksum = UInt32(exactly: values[5])
    else { return nil }
    data = body..<record.count
    header = BlockHeader(
      first: UInt64(rowid),
      count: Int(values[0]),
      earliestReceived: values[1],
      latestReceived: values[2],
      codec: values[3],
      rawSize: Int(values[4]),
      checksum: checksum
    )
  }

  private static func integer(_ record: Span<UInt8>, _ type: UInt64, _ at: inout Int) -> Int64? {
    let size: Int
    switch type {
    case 1...4: size = Int(type)
    case 5: size = 6
    case 6: size = 8
    case 8, 9: return Int64(type - 8)
    default: return nil
    }
    guard at + size <= record.count else { return nil }
    var value: Int64 = record[at] >= 0x80 ? -1 : 0
    for index in at..<at + size { value = value << 8 | Int64(record[index]) }
    at += size
    return value
  }
}
