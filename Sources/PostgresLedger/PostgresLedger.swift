internal import Crypto
public import HazardLedger
import Synchronization
import Telemetry

/// How a ``PostgresLedger`` is opened.
public struct PostgresOptions: Sendable {
  /// A libpq connection string or URL; a password belongs into a file (`passfile=…`) or the environment.
  public var connection: String
  /// Take the ledger over from a writer that still seems to be there; it is fenced off for good.
  public var takesOver: Bool
  /// What this writer calls itself to those who find the ledger in use: host and process.
  public var writer: String
  /// Limits that both stores share; `maximumPages` has no meaning here.
  public var limits: LedgerOptions
  /// Connections for reading, at most.
  public var readers: Int

  /// Makes options.
  public init(
    connection: String,
    takesOver: Bool = false,
    writer: String = "davy",
    limits: LedgerOptions = LedgerOptions(),
    readers: Int = 4
  ) {
    self.connection = connection
    self.takesOver = takesOver
    self.writer = writer
    self.limits = limits
    self.readers = max(1, readers)
  }
}

/// The ledger in a PostgreSQL database, in a schema of the station's own: several stations share one database, each
/// with its own chain.
///
/// One writer a station, by *epoch*: opening raises the epoch in the station's row, and every append holds that row
/// and finds its own epoch there, or is refused. So a writer that was cut off and comes back can add nothing once
/// another has opened the ledger, whatever it believes. An advisory lock tells an opener that a writer is alive, so
/// that nobody is fenced off by mistake; only ``PostgresOptions/takesOver`` passes over it.
public final class PostgresLedger: CheckpointStore {
  /// The station whose chain this is.
  public let station: String
  /// The epoch that this writer holds.
  public let epoch: Int64
  /// Name of the station's schema.
  public let schema: String
  /// What messages call this ledger.
  let path: String
  let options: PostgresOptions
  private let writer: Mutex<Writer>
  private let readers: ReaderPool
  /// The newest position that the server has said is committed.
  private let committed: Atomic<UInt64>

  private struct Writer {
    /// Nil after a failure, until the next append connects again, and after ``PostgresLedger/close()``.
    var connection: PostgresConnection?
    /// False while an older session of ours, which the server believes alive, still holds the lock.
    var holdsLock = false
    var isClosed = false
  }

  /// Opens a station's ledger for writing, or begins one with its genesis entry.
  ///
  /// - Parameters:
  ///   - options: where, and how.
  ///   - station: name of the station.
  /// - Throws: why the ledger cannot be written; a ledger is never opened half.
  public init(_ options: PostgresOptions, station: String) throws(LedgerError) {
    guard !station.isEmpty, !station.utf8.contains(where: { $0 < 0x20 }) else {
      throw .refused(reason: "a station's name must not be empty or hold control characters")
    }
    self.station = station
    self.options = options
    let schema = Self.schemaName(station)
    let path = "postgres:\(schema)"
    self.schema = schema
    self.path = path
    let opened = try Self.translating(path) {
      let connection = try Self.connect(options, path: path)
      let claim = try connection.transaction {
        try PostgresSchema.migrate(connection, name: schema, path: path)
        try Self.beginChain(connection, station: station)
        return try Self.claim(connection, options, schema: schema, path: path, station: station)
      }
      let position = try connection.run("SELECT position FROM station WHERE id = 1").integer(0, 0)
      return (connection: connection, claim: claim, position: UInt64(position))
    }
    epoch = opened.claim.epoch
    writer = Mutex(Writer(connection: opened.connection, holdsLock: opened.claim.holdsLock))
    readers = ReaderPool(limit: options.readers)
    committed = Atomic(opened.position)
  }

  /// Name of a station's schema; a name too long for PostgreSQL is cut and made unique by its hash.
  static func schemaName(_ station: String) -> String {
    let name = "davy:\(station)"
    guard name.utf8.count > 63 else { return name }
    var head = Substring(name)
    while head.utf8.count > 46 { head.removeLast() }
    return head + ":" + [UInt8](SHA256.hash(data: Array(station.utf8))).hex.prefix(16)
  }

  /// Ends the writer's session and with it its claim to be alive.
  public func close() {
    writer.withLock {
      $0.connection = nil
      $0.isClosed = true
    }
    readers.close()
  }

  // MARK: - Appending

  /// Adds a batch in one transaction; see ``LedgerStore/append(_:rejects:position:)``.
  @discardableResult
  public func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally] = [],
    position: UInt64
  ) throws(LedgerError) -> ClosedRange<Int64>? {
    let range: ClosedRange<Int64>? = try writing { connection in
      var batch = try PostgresBatch(connection, epoch: epoch, path: path)
      // A standby that took over without the newest commits would go on behind a hole.
      let known = committed.load(ordering: .relaxed)
      guard batch.position >= known else {
        throw LedgerError.wentBack(path: path, position: batch.position, known: known)
      }
      try LedgerDraft.admit(
        drafts,
        hasRejects: !rejects.isEmpty,
        position: position,
        above: batch.position
      )
      let range = try batch.add(drafts)
      try PostgresRejects(connection: connection, options: options.limits).add(rejects)
      try batch.finish(position: position)
      return range
    }
    committed.store(position, ordering: .relaxed)
    return range
  }

  /// Throws the views away and derives them from the entries again, in one transaction.
  public func rebuildViews() throws(LedgerError) {
    try writing { connection in
      _ = try PostgresBatch(connection, epoch: epoch, path: path)
      let tables = PostgresViews(connection: connection)
      var views = ViewWriter(tables)
      try views.clear()
      var last: Int64 = 0
      while true {
        let page = try EntryColumns.fetch(
          connection,
          "WHERE seq > $1 ORDER BY seq LIMIT $2",
          [.integer(last), .integer(5_000)]
        )
        guard let newest = page.last else { break }
        try tables.expect(page)
        for entry in page { try views.apply(entry) }
        try views.flush()
        last = newest.sequence
      }
    }
  }

  /// Runs work in a transaction of the writer, on a new connection if the last one is gone.
  func writing<Answer: Sendable>(
    _ work: (PostgresConnection) throws -> Answer
  ) throws(LedgerError) -> Answer {
    try Self.translating(path) {
      try writer.withLock { writer throws -> Answer in
        guard !writer.isClosed else {
          throw LedgerError.notAccessible(path: path, detail: "closed")
        }
        let connection = try writer.connection ?? reconnect()
        writer.connection = connection
        do {
          if !writer.holdsLock {
            writer.holdsLock = try Self.lock(connection, schema: schema, epoch: epoch)
          }
          return try connection.transaction { try work(connection) }
        } catch {
          if !connection.isAlive {
            writer.connection = nil
            writer.holdsLock = false
          }
          throw error
        }
      }
    }
  }

  /// A new session for the epoch that this writer holds already; nothing is claimed anew.
  private func reconnect() throws -> PostgresConnection {
    let connection = try Self.connect(options, path: path)
    try connection.script("SET search_path TO \(PostgresSchema.quoted(schema))")
    return connection
  }

  // MARK: - Reading

  /// Runs a query on a connection for reading.
  func reading<Answer: Sendable>(
    _ query: (PostgresConnection) throws -> Answer
  ) throws(LedgerError) -> Answer {
    try Self.translating(path) {
      try readers.use({
        let connection = try Self.connect(options, path: path)
        try connection.script(
          "SET search_path TO \(PostgresSchema.quoted(schema)); SET default_transaction_read_only = on"
        )
        return connection
      }) { connection in
        try query(connection)
      }
    }
  }

  // MARK: - Opening

  private static func connect(
    _ options: PostgresOptions,
    path: String
  ) throws -> PostgresConnection {
    let connection = try PostgresConnection(options.connection)
    let wait = Int(options.limits.busyTimeoutSeconds * 1_000)
    try connection.script(
      """
      SET client_min_messages = error; SET synchronous_commit = on; SET lock_timeout = \(max(1, wait));
      SET idle_in_transaction_session_timeout = 60000
      """
    )
    let server = try connection.run(
      "SELECT current_setting('fsync'), current_setting('server_encoding')"
    )
    guard server.text(0, 0) == "on" else {
      throw LedgerError.notAccessible(
        path: path,
        detail: "the server runs with fsync = off, a commit would not be durable; set fsync = on"
      )
    }
    guard server.text(0, 1) == "UTF8" else {
      throw LedgerError.notAccessible(
        path: path,
        detail: "the database's encoding is \(server.text(0, 1)); create one with ENCODING 'UTF8'"
      )
    }
    return connection
  }

  /// Writes the station's row where there is none.
  private static func beginChain(_ connection: PostgresConnection, station: String) throws {
    try connection.run(
      """
      INSERT INTO station VALUES (1, $1, 0, 0, decode(repeat('00', 32), 'hex'), 0, '', now())
      ON CONFLICT (id) DO NOTHING
      """,
      [.text(station)]
    )
  }

  /// Takes the next epoch, unless a writer is alive; writes the genesis entry into an empty ledger.
  private static func claim(
    _ connection: PostgresConnection,
    _ options: PostgresOptions,
    schema: String,
    path: String,
    station: String
  ) throws -> (epoch: Int64, holdsLock: Bool) {
    let row = try connection.run(
      "SELECT name, epoch, writer, head_seq FROM station WHERE id = 1 FOR UPDATE"
    )
    guard row.count == 1 else {
      throw LedgerError.damaged(path: path, detail: "the station's row is missing")
    }
    guard row.text(0, 0) == station else {
      throw LedgerError.wrongStation(path: path, found: row.text(0, 0), expected: station)
    }
    let held = row.integer(0, 1)
    if try !lock(connection, schema: schema, epoch: held), !options.takesOver {
      throw LedgerError.inUse(path: "\(path) (writer \(row.text(0, 2)), epoch \(held))")
    }
    let epoch = held + 1
    try connection.run(
      "UPDATE station SET epoch = $1, writer = $2, claimed = now() WHERE id = 1",
      [.integer(epoch), .text(options.writer)]
    )
    // Not ours where the session of an opener that failed in between still has it; the next append tries again.
    let holdsLock = try lock(connection, schema: schema, epoch: epoch)
    if row.integer(0, 3) == 0 {
      var batch = try PostgresBatch(connection, epoch: epoch, path: path)
      _ = try batch.add([.genesis(of: station)])
      try batch.finish(position: 0)
    }
    return (epoch, holdsLock)
  }

  /// Shows others that the writer of an epoch is alive; false when another session does.
  private static func lock(
    _ connection: PostgresConnection,
    schema: String,
    epoch: Int64
  ) throws -> Bool {
    try connection.run(
      "SELECT pg_try_advisory_lock(hashtextextended($1, 0))",
      [.text("\(schema)#\(epoch)")]
    ).boolean(0, 0)
  }
}
