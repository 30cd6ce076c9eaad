internal import CPostgres
import Synchronization

/// What a server, or the way to it, answered instead of a result.
package struct PostgresFailure: Error {
  /// SQLSTATE; empty when the connection itself is gone.
  package var code: String
  /// The server's words.
  package var message: String
}

/// One connection to a PostgreSQL server.
///
/// Every call blocks its thread until the server has answered. Calls take turns by the lock of `names`, as libpq asks
/// of those who share a connection; hence `@unchecked`. A transaction belongs to one owner: the store sees to it.
@safe
package final class PostgresConnection: @unchecked Sendable {
  private let handle: OpaquePointer
  /// Names of the prepared statements, by their text.
  private let names: Mutex<[String: String]> = Mutex([:])

  /// Connects.
  ///
  /// - Parameter conninfo: a libpq connection string or URL. What it leaves out comes from libpq's own sources
  ///   (`PGPASSFILE`, `PGSSLMODE` …).
  /// - Throws: why there is no connection.
  package init(_ conninfo: String) throws(PostgresFailure) {
    // What stands before the string is a default that it may change, what stands after is not its to change.
    let options: [(key: String, value: String)] = [
      ("connect_timeout", "10"), ("keepalives_idle", "10"), ("keepalives_interval", "5"),
      ("keepalives_count", "3"), ("tcp_user_timeout", "30000"), ("dbname", conninfo),
      ("fallback_application_name", "davy"), ("client_encoding", "UTF8"),
    ]
    let opened = unsafe Self.withStrings(options.map(\.key)) { keys in
      unsafe Self.withStrings(options.map(\.value)) { values in
        unsafe PQconnectdbParams(keys, values, 1)
      }
    }
    guard let opened = unsafe opened else {
      throw PostgresFailure(code: "53200", message: "libpq has no memory for a connection")
    }
    // Before the handle is kept: throwing after that would run `deinit`, and close it a second time.
    guard unsafe PQstatus(opened) == CONNECTION_OK else {
      let message = unsafe Self.line(PQerrorMessage(opened))
      unsafe PQfinish(opened)
      throw PostgresFailure(code: "", message: message)
    }
    unsafe handle = opened
  }

  deinit { unsafe PQfinish(handle) }

  /// False once the server or the way to it is gone; such a connection never comes back.
  package var isAlive: Bool { unsafe PQstatus(handle) == CONNECTION_OK }

  /// Runs statements without parameters, one after the other.
  package func script(_ sql: String) throws(PostgresFailure) {
    try names.withLock { _ throws(PostgresFailure) in
      _ = try unsafe checked(PQexec(handle, sql))
    }
  }

  /// Runs one statement, prepared once a connection, and answers its rows.
  @discardableResult
  package func run(_ sql: String, _ parameters: [PostgresValue] = []) throws(PostgresFailure)
    -> PostgresRows
  {
    // One buffer for all values; it is never empty, so that it has an address.
    var bytes: [UInt8] = [0]
    var places: [Int?] = []
    var lengths: [Int32] = []
    for parameter in parameters {
      let start = bytes.count
      let isNull = !parameter.encode(into: &bytes)
      places.append(isNull ? nil : start)
      lengths.append(Int32(bytes.count - start))
      bytes.append(0)
    }
    let formats = [Int32](repeating: 1, count: parameters.count)
    return try names.withLock { names throws(PostgresFailure) in
      let name = try prepared(sql, parameters, &names)
      return try unsafe checked(execute(name, bytes, places, lengths, formats))
    }
  }

  private func execute(
    _ name: String,
    _ bytes: [UInt8],
    _ places: [Int?],
    _ lengths: [Int32],
    _ formats: [Int32]
  ) -> OpaquePointer? {
    unsafe bytes.withUnsafeBytes { buffer in
      let values = unsafe places.map { place in
        unsafe place.flatMap { unsafe buffer.baseAddress?.advanced(by: $0) }?
          .assumingMemoryBound(to: CChar.self)
      }
      return unsafe PQexecPrepared(
        handle,
        name,
        Int32(places.count),
        values,
        lengths,
        formats,
        1
      )
    }
  }

  /// Runs work in one transaction: all of it is durable when this returns, nothing of it when this throws.
  ///
  /// Except that a connection lost while the commit was on its way leaves open which of the two it was.
  package func transaction<Answer>(_ work: () throws -> Answer) throws -> Answer {
    try script("BEGIN")
    let answer: Answer
    do {
      answer = try work()
    } catch {
      if isAlive {
        do {
          try script("ROLLBACK")
        } catch {
          // Without an answer to it the connection is of no use; the server rolls back when it closes.
        }
      }
      throw error
    }
    try commit()
    return answer
  }

  /// Commits, and believes it only where the server says so: `COMMIT` of a transaction in which a statement has failed is
  /// no error, it answers `ROLLBACK`.
  private func commit() throws(PostgresFailure) {
    let word = try names.withLock { _ throws(PostgresFailure) in
      try unsafe checked(PQexec(handle, "COMMIT")).command
    }
    guard word == "COMMIT" else {
      throw PostgresFailure(code: "40000", message: "the server has rolled the transaction back")
    }
  }

  private func prepared(
    _ sql: String,
    _ parameters: [PostgresValue],
    _ names: inout [String: String]
  ) throws(PostgresFailure) -> String {
    if let name = names[sql] { return name }
    let name = "s\(names.count)"
    let types = parameters.map(\.type)
    _ = try unsafe checked(PQprepare(handle, name, sql, Int32(types.count), types))
    names[sql] = name
    return name
  }

  private func checked(_ result: OpaquePointer?) throws(PostgresFailure) -> PostgresRows {
    guard let result = unsafe result else {
      throw PostgresFailure(code: "", message: unsafe Self.line(PQerrorMessage(handle)))
    }
    let rows = unsafe PostgresRows(result)
    switch unsafe PQresultStatus(result) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return rows
    default:
      // The rows own the result: it must not go before its error has been read.
      let failure = withExtendedLifetime(rows) {
        // 'C' is PG_DIAG_SQLSTATE, a macro that Swift does not see.
        let code = unsafe PQresultErrorField(result, Int32(UInt8(ascii: "C")))
        return PostgresFailure(
          code: unsafe code.map { unsafe String(cString: $0) } ?? "",
          message: unsafe Self.line(PQresultErrorMessage(result))
        )
      }
      throw failure
    }
  }

  /// A message in one line.
  private static func line(_ text: UnsafePointer<CChar>?) -> String {
    guard let text = unsafe text else { return "no message" }
    return unsafe String(cString: text).split(whereSeparator: \.isNewline)
      .map { $0.trimmingPrefix(while: \.isWhitespace) }.joined(separator: "; ")
  }

  /// Hands texts over as a NULL-terminated list of C strings.
  private static func withStrings<Answer>(
    _ texts: [String],
    _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Answer
  ) -> Answer {
    var bytes: [CChar] = []
    var places: [Int] = []
    for text in texts {
      places.append(bytes.count)
      bytes.append(contentsOf: text.utf8CString)
    }
    return unsafe bytes.withUnsafeBufferPointer { buffer in
      var pointers = unsafe places.map { place in
        unsafe buffer.baseAddress?.advanced(by: place)
      }
      unsafe pointers.append(nil)
      return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress) }
    }
  }
}

/// The rows of a result, in binary format; libpq never changes a result, so any thread may read it.
@safe
package final class PostgresRows: @unchecked Sendable {
  private let result: OpaquePointer
  /// How many rows there are.
  package let count: Int

  init(_ result: OpaquePointer) {
    unsafe self.result = result
    count = Int(unsafe PQntuples(result))
  }

  deinit { unsafe PQclear(result) }

  /// The command that the server says it has carried out, for example `COMMIT`.
  var command: String {
    unsafe PQcmdStatus(result).map { unsafe String(cString: $0) } ?? ""
  }

  /// How many columns each row has.
  var columns: Int { Int(unsafe PQnfields(result)) }

  /// Object identifier of a column's type.
  func type(of column: Int) -> UInt32 { unsafe PQftype(result, Int32(column)) }

  /// A column of a row.
  package func isNull(_ row: Int, _ column: Int) -> Bool {
    unsafe PQgetisnull(result, Int32(row), Int32(column)) != 0
  }

  /// A column of a row.
  package func integer(_ row: Int, _ column: Int) -> Int64 {
    unsafe withBytes(row, column) { bytes in
      unsafe bytes.reduce(0) { $0 << 8 | Int64($1) }
    }
  }

  /// A column of a row.
  package func optionalInteger(_ row: Int, _ column: Int) -> Int64? {
    isNull(row, column) ? nil : integer(row, column)
  }

  /// A column of a row.
  package func optionalDouble(_ row: Int, _ column: Int) -> Double? {
    guard !isNull(row, column) else { return nil }
    return Double(bitPattern: UInt64(bitPattern: integer(row, column)))
  }

  /// A column of a row.
  package func boolean(_ row: Int, _ column: Int) -> Bool {
    unsafe withBytes(row, column) { unsafe $0.first == 1 }
  }

  /// A column of a row.
  package func text(_ row: Int, _ column: Int) -> String {
    unsafe withBytes(row, column) { unsafe String(decoding: $0, as: UTF8.self) }
  }

  /// A column of a row.
  package func bytes(_ row: Int, _ column: Int) -> [UInt8] {
    unsafe withBytes(row, column) { unsafe [UInt8]($0) }
  }

  private func withBytes<Answer>(
    _ row: Int,
    _ column: Int,
    _ body: (UnsafeRawBufferPointer) -> Answer
  ) -> Answer {
    let start = unsafe PQgetvalue(result, Int32(row), Int32(column))
    let length = Int(unsafe PQgetlength(result, Int32(row), Int32(column)))
    return unsafe body(UnsafeRawBufferPointer(start: start, count: length))
  }
}
