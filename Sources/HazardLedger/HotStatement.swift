internal import GRDB
import GRDBSQLite

/// A prepared statement driven through SQLite's own interface.
///
/// GRDB binds through an array of boxed values: at 1,000 rows a batch that costs more than SQLite's
/// work (measured: 29 % of the writer's time in the Swift runtime). What runs once per entry binds
/// here instead; everything else goes through GRDB. Never outlives the transaction it was made in.
@safe
struct HotStatement {
  private let handle: OpaquePointer

  /// The connection's cached statement for `sql`.
  init(_ db: Database, sql: String) throws {
    self.init(try db.cachedStatement(sql: sql))
  }

  /// Steps through a statement that GRDB has bound.
  init(_ statement: Statement) {
    unsafe handle = statement.sqliteStatement
  }

  /// Tells SQLite to copy what is bound, as the bytes live no longer than the call.
  private static var copied: sqlite3_destructor_type {
    unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
  }

  func bind(_ index: Int32, _ value: Int64) {
    unsafe sqlite3_bind_int64(handle, index, value)
  }

  func bind(_ index: Int32, _ value: Int64?) {
    if let value { bind(index, value) } else { unsafe sqlite3_bind_null(handle, index) }
  }

  func bind(_ index: Int32, _ value: Double?) {
    if let value {
      unsafe sqlite3_bind_double(handle, index, value)
    } else {
      unsafe sqlite3_bind_null(handle, index)
    }
  }

  func bind(_ index: Int32, _ text: String) {
    var text = text
    text.withUTF8 { bytes in
      _ = unsafe bytes.withMemoryRebound(to: CChar.self) { characters in
        unsafe sqlite3_bind_text(
          handle,
          index,
          characters.baseAddress,
          Int32(characters.count),
          Self.copied
        )
      }
    }
    // An empty text has no address, and would be bound as NULL.
    if text.isEmpty { unsafe sqlite3_bind_text(handle, index, "", 0, Self.copied) }
  }

  func bind(_ index: Int32, _ bytes: [UInt8]) {
    // An empty blob has no address either.
    guard !bytes.isEmpty else {
      _ = unsafe sqlite3_bind_zeroblob(handle, index, 0)
      return
    }
    _ = unsafe bytes.withUnsafeBytes {
      unsafe sqlite3_bind_blob(handle, index, $0.baseAddress, Int32($0.count), Self.copied)
    }
  }

  /// Runs a statement without result and makes it ready for the next row.
  func run() throws {
    _ = try step()
    reset()
  }

  /// Goes to the next row; false at the end.
  func step() throws -> Bool {
    let code = unsafe sqlite3_step(handle)
    switch code {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    default:
      let message = unsafe String(cString: sqlite3_errmsg(sqlite3_db_handle(handle)))
      reset()
      throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
    }
  }

  /// Makes the statement ready to be bound and run again.
  func reset() {
    unsafe sqlite3_reset(handle)
  }

  func int64(_ column: Int32) -> Int64 {
    unsafe sqlite3_column_int64(handle, column)
  }

  func optionalInt64(_ column: Int32) -> Int64? {
    isNull(column) ? nil : int64(column)
  }

  func optionalDouble(_ column: Int32) -> Double? {
    isNull(column) ? nil : unsafe sqlite3_column_double(handle, column)
  }

  func text(_ column: Int32) -> String {
    guard let bytes = unsafe sqlite3_column_text(handle, column) else { return "" }
    let count = Int(unsafe sqlite3_column_bytes(handle, column))
    return unsafe String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
  }

  func bytes(_ column: Int32) -> [UInt8] {
    guard let bytes = unsafe sqlite3_column_blob(handle, column) else { return [] }
    let count = Int(unsafe sqlite3_column_bytes(handle, column))
    return unsafe [UInt8](UnsafeRawBufferPointer(start: bytes, count: count))
  }

  func isNull(_ column: Int32) -> Bool {
    unsafe sqlite3_column_type(handle, column) == SQLITE_NULL
  }
}
