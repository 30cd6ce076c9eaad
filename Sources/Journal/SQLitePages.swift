#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The pages of a database file as last committed, read past SQLite.
///
/// Layout by the SQLite file format, version 3 (sqlite.org/fileformat2.html), as far as a segment
/// uses it: pages of 4,096 bytes without reserved space, table leaves, overflow chains, and the
/// write-ahead log's frames up to the last commit whose checksums are right.
///
/// The descriptor of the database stays open as long as the object: closing it would drop the
/// locks that SQLite holds on the same file in this process.
final class SQLitePages: Sendable {
  static let size = Segment.pageSize

  /// How many pages there are.
  let count: Int

  private let database: Int32
  private let log: Int32
  /// Where in the log the newest committed version of a page lies.
  private let logged: [Int: Int]

  init(path: String) throws(SystemFault) {
    let database = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard database >= 0 else { throw SystemFault(code: errno) }
    let bytes = lseek(database, 0, SEEK_END)
    guard bytes >= 0 else {
      let error = SystemFault(code: errno)
      close(database)
      throw error
    }
    self.database = database
    log = unsafe open(path + "-wal", O_RDONLY | O_CLOEXEC)
    logged = log < 0 ? [:] : Self.committedFrames(log)
    count = max((Int(bytes) + Self.size - 1) / Self.size, logged.keys.max() ?? 0)
  }

  deinit {
    close(database)
    if log >= 0 { close(log) }
  }

  /// Reads a page into `page`, zeros where the file is cut off; false when there is no such page.
  func read(_ number: Int, into page: inout [UInt8]) -> Bool {
    guard number >= 1, number <= count else { return false }
    let read =
      if let offset = logged[number] {
        Self.read(log, offset, into: &page)
      } else {
        Self.read(database, (number - 1) * Self.size, into: &page)
      }
    for index in max(0, read)..<page.count { page[index] = 0 }
    return read > 0
  }

  private static func read(_ descriptor: Int32, _ offset: Int, into bytes: inout [UInt8]) -> Int {
    unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe pread(descriptor, bytes.baseAddress, bytes.count, off_t(offset))
    }
  }

  // MARK: - Write-ahead log

  private static func committedFrames(_ log: Int32) -> [Int: Int] {
    var header = [UInt8](repeating: 0, count: 32)
    guard read(log, 0, into: &header) == 32 else { return [:] }
    let magic = word(header.span, 0)
    guard magic | 1 == 0x377F_0683, word(header.span, 8) == UInt32(size) else { return [:] }
    let bigEndian = magic & 1 == 1
    var sum: (UInt32, UInt32) = (0, 0)
    add(header.span.extracting(0..<24), bigEndian, to: &sum)
    guard sum == (word(header.span, 24), word(header.span, 28)) else { return [:] }

    var committed: [Int: Int] = [:]
    var pending: [Int: Int] = [:]
    var frame = [UInt8](repeating: 0, count: 24 + size)
    var offset = 32
    while read(log, offset, into: &frame) == frame.count {
      let span = frame.span
      guard word(span, 8) == word(header.span, 16), word(span, 12) == word(header.span, 20) else {
        break
      }
      add(span.extracting(0..<8), bigEndian, to: &sum)
      add(span.extracting(24..<span.count), bigEndian, to: &sum)
      guard sum == (word(span, 16), word(span, 20)) else { break }
      pending[Int(word(span, 0))] = offset + 24
      if word(span, 4) != 0 {
        committed.merge(pending) { $1 }
        pending.removeAll(keepingCapacity: true)
      }
      offset += frame.count
    }
    return committed
  }

  private static func add(
    _ bytes: Span<UInt8>,
    _ bigEndian: Bool,
    to sum: inout (UInt32, UInt32)
  ) {
    for at in stride(from: 0, to: bytes.count, by: 8) {
      let first = word(bytes, at)
      let second = word(bytes, at + 4)
      sum.0 &+= (bigEndian ? first : first.byteSwapped) &+ sum.1
      sum.1 &+= (bigEndian ? second : second.byteSwapped) &+ sum.0
    }
  }

  /// The big-endian word at `at`; 0 beyond the end.
  static func word(_ bytes: Span<UInt8>, _ at: Int) -> UInt32 {
    guard at + 4 <= bytes.count else { return 0 }
    return UInt32(bytes[at]) << 24 | UInt32(bytes[at + 1]) << 16 | UInt32(bytes[at + 2]) << 8
      | UInt32(bytes[at + 3])
  }

  /// Reads SQLite's own varint (highest group first, a ninth byte whole).
  static func varint(_ bytes: Span<UInt8>, _ at: inout Int) -> UInt64? {
    var value: UInt64 = 0
    for index in 0..<9 {
      guard at < bytes.count else { return nil }
      let byte = bytes[at]
      at += 1
      if index == 8 { return value << 8 | UInt64(byte) }
      value = value << 7 | UInt64(byte & 0x7F)
      if byte < 0x80 { return value }
    }
    return nil
  }
}

/// A cell of a table leaf: a row's number and its record, the rest of which may lie on other pages.
struct LeafCell {
  /// The row's number.
  var rowid: Int64
  /// Size of the record.
  private var size: Int
  /// The part of the record that lies on the leaf.
  private var local: Range<Int>
  /// First page of the rest; 0 when there is none.
  private var overflow: Int

  private static let maximumLocal = SQLitePages.size - 35
  private static let minimumLocal = (SQLitePages.size - 12) * 32 / 255 - 23
  private static let overflowPart = SQLitePages.size - 4

  init?(_ page: Span<UInt8>, at offset: Int) {
    var at = offset
    guard let size = SQLitePages.varint(page, &at), let rowid = SQLitePages.varint(page, &at),
      size > 0, size <= UInt64(BlockFormat.maximumBlockSize)
    else { return nil }
    self.size = Int(size)
    self.rowid = Int64(bitPattern: rowid)
    var localSize = self.size
    if localSize > Self.maximumLocal {
      localSize = Self.minimumLocal + (self.size - Self.minimumLocal) % Self.overflowPart
      if localSize > Self.maximumLocal { localSize = Self.minimumLocal }
    }
    guard at + localSize <= page.count else { return nil }
    local = at..<at + localSize
    overflow = localSize == self.size ? 0 : Int(SQLitePages.word(page, at + localSize))
  }

  /// Where the cells of a table leaf begin; none when the page is not one.
  static func offsets(_ page: Span<UInt8>, number: Int) -> [Int] {
    let start = number == 1 ? 100 : 0
    guard page[start] == 13 else { return [] }
    let count = Int(page[start + 3]) << 8 | Int(page[start + 4])
    let first = start + 8
    return (0..<min(count, (page.count - first) / 2)).map { index in
      Int(page[first + 2 * index]) << 8 | Int(page[first + 2 * index + 1])
    }
  }

  /// Puts the whole record into `record`, and the pages of its rest into `overflowPages`; false
  /// when the chain of pages is broken.
  func assemble(
    _ page: Span<UInt8>,
    from pages: SQLitePages,
    into record: inout [UInt8],
    overflowPages: inout [Int]
  ) -> Bool {
    record.removeAll(keepingCapacity: true)
    overflowPages.removeAll(keepingCapacity: true)
    guard size <= pages.count * SQLitePages.size else { return false }
    record.reserveCapacity(size)
    for index in local { record.append(page[index]) }
    var next = overflow
    var part = [UInt8](repeating: 0, count: SQLitePages.size)
    while record.count < size {
      guard pages.read(next, into: &part) else { return false }
      overflowPages.append(next)
      next = Int(SQLitePages.word(part.span, 0))
      record.append(contentsOf: part[4..<4 + min(Self.overflowPart, size - record.count)])
    }
    return true
  }
}
