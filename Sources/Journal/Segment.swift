import Foundation
import GRDB

/// A segment file: an SQLite database whose rows are group commits.
///
/// ```sql
/// CREATE TABLE block (
///   first INTEGER PRIMARY KEY,        -- sequence of the first record
///   count INTEGER NOT NULL,           -- how many records
///   received_first INTEGER NOT NULL,  -- earliest receive time, ms since the Unix epoch
///   received_last INTEGER NOT NULL,   -- latest receive time
///   codec INTEGER NOT NULL,           -- 1: records in format 1; 2: the same as one zstd frame
///   raw_size INTEGER NOT NULL,        -- bytes of the records before compression
///   crc INTEGER NOT NULL,             -- CRC-32C, see below
///   data BLOB NOT NULL                -- the records
/// )
/// ```
///
/// `crc` is taken over first, count, received_first, received_last, codec and raw_size, each as eight
/// bytes, the lowest first, and then over data. Rows are only ever added. `property` holds
/// `first` (the sequence that the file's name tells) and, once the file was closed in order, `last`.
///
/// While it is written the database is in WAL mode; once it is sealed it is in DELETE mode and one
/// file, which can be read from a read-only place. Pages are always 4,096 bytes, so that a file
/// whose header is lost can still be read (``RawSegment``).
enum Segment {
  /// A segment holds no sequence this far from its first, so that what comes after one that cannot
  /// be opened has a number that was never used.
  static let maximumSpan: UInt64 = 1 << 24
  static let pageSize = 4096
  static let applicationID: Int64 = 0x4461_7679  // "Davy"
  static let version: Int64 = 1

  static let blockTable = """
    CREATE TABLE block (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, \
    received_first INTEGER NOT NULL, received_last INTEGER NOT NULL, codec INTEGER NOT NULL, \
    raw_size INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL)
    """
  static let propertyTable = "CREATE TABLE property (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
  static let columns =
    "SELECT first, count, received_first, received_last, codec, raw_size, crc, data FROM block "

  private static let prefix = "journal-"
  private static let suffix = ".sqlite"

  /// The file name of the segment that begins at `first`; names sort as sequences do.
  static func fileName(first: UInt64) -> String {
    let digits = String(first)
    return prefix + String(repeating: "0", count: 20 - digits.count) + digits + suffix
  }

  /// The first sequence that a file name tells; nil when it is not a segment's name.
  static func first(ofFileName name: String) -> UInt64? {
    guard name.utf8.count == prefix.utf8.count + 20 + suffix.utf8.count,
      name.hasPrefix(prefix), name.hasSuffix(suffix)
    else { return nil }
    let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
    guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    return UInt64(digits).flatMap { $0 > 0 && $0 <= UInt64(Int64.max) ? $0 : nil }
  }

  /// Makes an empty segment file; it has its name only once it is whole.
  static func create(at path: String, first: UInt64) throws(JournalError) {
    let draft = path + ".new"
    for leftOver in [draft, draft + "-journal", draft + "-wal", draft + "-shm"] {
      try FileSystem.remove(leftOver)
    }
    do {
      try JournalError.mapping(path) {
        let queue = try DatabaseQueue(path: draft, configuration: configuration(readonly: false))
        try queue.inDatabase { db in
          try db.execute(sql: "PRAGMA page_size = \(pageSize)")
          try db.inTransaction {
            try db.execute(sql: "PRAGMA application_id = \(applicationID)")
            try db.execute(sql: "PRAGMA user_version = \(version)")
            try db.execute(sql: blockTable)
            try db.execute(sql: propertyTable)
            try db.execute(
              sql: "INSERT INTO property VALUES ('first', ?)",
              arguments: [Int64(first)]
            )
            return .commit
          }
        }
        try queue.close()
      }
    } catch {
      // The draft holds nothing yet; a leftover is removed at the next attempt as well.
      try? FileSystem.remove(draft)
      throw error
    }
    try FileSystem.move(draft, to: path)
  }

  /// Opens a segment for reading and checks that it is one.
  static func openForReading(_ path: String) throws(JournalError) -> DatabaseQueue {
    try JournalError.mapping(path) {
      let queue = try DatabaseQueue(path: path, configuration: configuration(readonly: true))
      try queue.inDatabase { db in
        try db.execute(sql: "PRAGMA cell_size_check = ON")
        try check(db, path)
      }
      return queue
    }
  }

  /// Opens a segment for appending: WAL mode, every commit fsynced.
  static func openForWriting(_ path: String) throws -> DatabaseQueue {
    let queue = try DatabaseQueue(path: path, configuration: configuration(readonly: false))
    try queue.inDatabase { db in
      try check(db, path)
      guard try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL") == "wal" else {
        throw JournalError.io(path: path, message: "SQLite refuses WAL mode here")
      }
      // Set last and read back: in WAL mode anything less can lose commits at a power cut.
      try db.execute(sql: "PRAGMA synchronous = FULL")
      guard try Int.fetchOne(db, sql: "PRAGMA synchronous") == 2 else {
        throw JournalError.io(path: path, message: "SQLite refuses synchronous = FULL")
      }
    }
    return queue
  }

  /// The first sequence that a segment file says it has.
  static func firstSequence(ofFile path: String) throws(JournalError) -> UInt64 {
    // Said before SQLite does: a table that was given for a recording is nothing that is wrong with the disk. (What cannot be read
    // is left to it, which says why.)
    let head = try? FileHandle(forReadingFrom: URL(fileURLWithPath: path)).read(upToCount: 16)
    guard head?.starts(with: "SQLite format 3".utf8) ?? true else {
      throw .notAJournal(
        path: path,
        message: "it is another kind of file; `davy import readings` makes a recording of a table"
      )
    }
    let queue = try openForReading(path)
    let first = try JournalError.mapping(path) {
      try queue.inDatabase { try firstSequence($0) }
    }
    guard let first else {
      throw .notAJournal(path: path, message: "it does not say where it begins")
    }
    return first
  }

  static func firstSequence(_ db: Database) throws -> UInt64? {
    let first = try Int64.fetchOne(db, sql: "SELECT max(value) FROM property WHERE name = 'first'")
    return first.flatMap { $0 > 0 ? UInt64($0) : nil }
  }

  /// Throws unless the database is a segment of a version that this code reads.
  private static func check(_ db: Database, _ path: String) throws {
    guard try Int64.fetchOne(db, sql: "PRAGMA application_id") == applicationID else {
      throw JournalError.notAJournal(path: path, message: "it is another kind of file")
    }
    let version = try Int64.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    guard version == self.version else {
      throw JournalError.notAJournal(
        path: path,
        message: "it has format \(version), this version reads \(self.version)"
      )
    }
    let table = try String.fetchOne(
      db,
      sql: "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'block'"
    )
    guard table == blockTable else {
      throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "its table of blocks is not ours")
    }
  }

  private static func configuration(readonly: Bool) -> Configuration {
    var configuration = Configuration()
    configuration.readonly = readonly
    configuration.busyMode = .timeout(1)
    configuration.foreignKeysEnabled = false
    configuration.label = "journal"
    return configuration
  }

  /// The columns of a row, whatever a damaged file may have put into them.
  static func header(_ row: Row) throws(BlockFault) -> BlockHeader {
    let first = try integer(row, 0)
    let count = try integer(row, 1)
    let rawSize = try integer(row, 5)
    let checksum = try integer(row, 6)
    guard first > 0, count > 0, first <= Int64.max - count, rawSize >= 0,
      let checksum = UInt32(exactly: checksum)
    else { throw .checksum }
    return BlockHeader(
      first: UInt64(first),
      count: Int(count),
      earliestReceived: try integer(row, 2),
      latestReceived: try integer(row, 3),
      codec: try integer(row, 4),
      rawSize: Int(rawSize),
      checksum: checksum
    )
  }

  private static func integer(_ row: Row, _ index: Int) throws(BlockFault) -> Int64 {
    guard case .int64(let value) = (row[index] as DatabaseValue).storage else { throw .checksum }
    return value
  }

  /// Decodes a row of ``columns`` into the batch.
  static func decode(
    _ row: Row,
    _ decoder: borrowing BlockDecoder,
    into batch: inout JournalBatch
  ) throws -> BlockHeader {
    let header = try header(row)
    guard case .blob(let data) = (row[7] as DatabaseValue).storage else {
      throw BlockFault.checksum
    }
    try decoder.decode(header, data.span, into: &batch)
    return header
  }
}
