import Foundation
internal import GRDB
import Telemetry

/// How an ``SQLiteLedger`` is opened.
public struct LedgerOptions: Sendable {
  /// Different (reason, topic, device) rows that are kept of rejects, so that a flood of made-up topics cannot fill the
  /// volume; where there are more, those that nothing was added to for longest are counted in one row per reason.
  public var rejectRows: Int
  /// Bytes of a refused payload that are kept.
  public var rejectSampleBytes: Int
  /// How long a writer waits for another connection before it reports ``LedgerError/busy(path:detail:)``.
  public var busyTimeoutSeconds: Double
  /// Pages the file may grow to; nil for no limit of its own.
  public var maximumPages: Int?

  /// Makes options.
  public init(
    rejectRows: Int = 10_000,
    rejectSampleBytes: Int = 1_024,
    busyTimeoutSeconds: Double = 5,
    maximumPages: Int? = nil
  ) {
    self.rejectRows = rejectRows
    self.rejectSampleBytes = rejectSampleBytes
    self.busyTimeoutSeconds = busyTimeoutSeconds
    self.maximumPages = maximumPages
  }
}

/// The ledger in one SQLite file: WAL, `synchronous=FULL`, one writer, many readers.
public final class SQLiteLedger: CheckpointStore {
  /// Path of the file.
  public let path: String
  /// The station whose chain this is.
  public let station: String
  let options: LedgerOptions
  let pool: DatabasePool
  private let lock: WriterLock
  let newest = NewestEntries()

  /// Opens a ledger, or begins one with its genesis entry.
  ///
  /// - Parameters:
  ///   - path: the file; its folder must exist.
  ///   - station: name of the station; part of the genesis entry, checked against it on reopening.
  ///   - options: limits.
  /// - Throws: why the ledger cannot be written; a ledger is never opened half.
  public init(
    path: String,
    station: String,
    options: LedgerOptions = LedgerOptions()
  ) throws(LedgerError) {
    self.path = path
    self.station = station
    self.options = options
    guard !station.isEmpty, !station.utf8.contains(where: { $0 < 0x20 }) else {
      throw .refused(reason: "a station's name must not be empty or hold control characters")
    }
    lock = try WriterLock(path: path)
    pool = try Self.translating(path) {
      var configuration = Configuration()
      configuration.busyMode = .timeout(options.busyTimeoutSeconds)
      configuration.foreignKeysEnabled = true
      configuration.label = "ledger"
      return try DatabasePool(path: path, configuration: configuration)
    }
    let found = try Self.translating(path) { [pool] in
      try pool.writeWithoutTransaction { db in
        // DatabasePool sets NORMAL when it turns WAL on, whatever was asked for before: a commit
        // could then be lost with the power. Hence here, after opening, and read back.
        try db.execute(sql: "PRAGMA synchronous = FULL")
        guard try Int.fetchOne(db, sql: "PRAGMA synchronous") == 2 else {
          throw LedgerError.inputOutput(path: path, detail: "synchronous=FULL was not taken")
        }
        // 64 MiB of cache, and a checkpoint every 32 MiB of log: an index page that every batch
        // touches is then written once for many batches.
        try db.execute(sql: "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 8192")
        if let pages = options.maximumPages {
          try db.execute(sql: "PRAGMA max_page_count = \(pages)")
        }
        try LedgerSchema.migrate(db, path: path)
        return try Self.beginChain(db, station: station)
      }
    }
    guard found == station else {
      throw .wrongStation(path: path, found: found, expected: station)
    }
  }

  /// Moves the log into the file and closes it.
  ///
  /// Further calls throw. Without it the file closes with the last reference, and the log is moved
  /// at the next opening.
  public func close() throws(LedgerError) {
    defer { newest.removeAll() }
    try translating {
      try pool.writeWithoutTransaction { db in
        do {
          _ = try db.checkpoint(.truncate)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
          // A reader is still at it; what stays in the log is as durable there.
        }
      }
      try pool.close()
    }
    lock.release()
  }

  /// Writes the genesis entry into an empty ledger; answers whose ledger it is.
  private static func beginChain(_ db: Database, station: String) throws -> String {
    if let name = try String.fetchOne(db, sql: "SELECT name FROM station") { return name }
    try db.inTransaction(.immediate) {
      try db.execute(
        sql: "INSERT INTO station VALUES (1, ?, 0, 0, ?)",
        arguments: [station, Data(EntryEncoding.noHash)]
      )
      var batch = try EntryWriter(db)
      try batch.add(.genesis(of: station))
      try batch.finish(position: 0)
      return .commit
    }
    return station
  }

  /// Adds a batch in one transaction; see ``LedgerStore/append(_:rejects:position:)``.
  @discardableResult
  public func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally] = [],
    position: UInt64
  ) throws(LedgerError) -> ClosedRange<Int64>? {
    try append(drafts, rejects: rejects, position: position) { true }
  }

  /// Adds a batch, held back before its commit until the journal covers it.
  @discardableResult
  public func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally],
    position: UInt64,
    isCovered: () -> Bool
  ) throws(LedgerError) -> ClosedRange<Int64>? {
    var committed: [LedgerEntry] = []
    func write(_ db: Database) throws -> ClosedRange<Int64>? {
      var range: ClosedRange<Int64>?
      try db.inTransaction(.immediate) {
        var batch = try EntryWriter(db)
        try batch.admit(drafts, hasRejects: !rejects.isEmpty, position: position)
        for (index, draft) in drafts.enumerated() {
          do {
            try batch.add(draft)
          } catch LedgerError.refused(let reason) {
            throw LedgerError.refusedDraft(index: index, reason: reason)
          }
        }
        try RejectWriter(db, options: options).add(rejects)
        range = try batch.finish(position: position)
        committed = batch.entries
        guard isCovered() else { throw LedgerError.notCovered(position: position) }
        return .commit
      }
      return range
    }
    do {
      return try translating {
        guard drafts.contains(where: { $0.kind == .redaction }) else {
          return try pool.writeWithoutTransaction { db in
            let range = try write(db)
            // Within the writer's turn, so that commits come here in their order.
            newest.add(committed)
            return range
          }
        }
        return try erasing { db in
          newest.removeAll()
          return try write(db)
        }
      }
    } catch {
      // Whether a commit that failed has reached the disk nobody can say; one that was held back has not begun.
      if case .notCovered = error { throw error }
      newest.removeAll()
      throw error
    }
  }

  /// Throws the views away and derives them from the entries again, in one transaction.
  public func rebuildViews() throws(LedgerError) {
    try translating {
      try pool.writeWithoutTransaction { db in
        try db.inTransaction(.immediate) {
          var views = ViewWriter(SQLiteViews(db))
          try views.clear()
          try EntryRow.forEach(db, "ORDER BY seq") { try views.apply($0) }
          try views.flush()
          return .commit
        }
      }
    }
  }

  /// `PRAGMA synchronous` of the writing connection; 2 is FULL.
  package var writerSynchronous: Int {
    get throws {
      try pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") ?? -1 }
    }
  }

  /// Runs work on the store and names its failure by place and remedy.
  func translating<Answer>(_ work: () throws -> Answer) throws(LedgerError) -> Answer {
    try Self.translating(path, work)
  }

  static func translating<Answer>(
    _ path: String,
    _ work: () throws -> Answer
  ) throws(LedgerError) -> Answer {
    try LedgerError.translating(
      path,
      { (error: DatabaseError) in LedgerError(error, path: path) },
      work
    )
  }
}

extension LedgerError {
  init(_ error: DatabaseError, path: String) {
    let detail = "SQLite \(error.extendedResultCode.rawValue): \(error.message ?? "no message")"
    switch error.resultCode {
    case .SQLITE_FULL: self = .diskFull(path: path)
    case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy(path: path, detail: detail)
    case .SQLITE_CORRUPT: self = .damaged(path: path, detail: detail)
    case .SQLITE_NOTADB: self = .notALedger(path: path, detail: detail)
    case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
      self = .notAccessible(path: path, detail: detail)
    case .SQLITE_IOERR: self = .inputOutput(path: path, detail: detail)
    case .SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_TOOBIG: self = .refused(reason: detail)
    case .SQLITE_MISUSE: self = .notAccessible(path: path, detail: "closed; \(detail)")
    default: self = .damaged(path: path, detail: detail)
    }
  }
}

extension JSONValue: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral,
  ExpressibleByArrayLiteral
{
  /// An array.
  public init(arrayLiteral elements: JSONValue...) {
    self = .array(elements)
  }

  /// A whole number.
  public init(integerLiteral value: Int64) {
    self = .integer(value)
  }

  /// A string.
  public init(stringLiteral value: String) {
    self = .string(value)
  }
}

extension SQLiteLedger {
  /// Changes the file's page limit while it is open: how tests make room again.
  package func limitPages(_ pages: Int) throws {
    try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA max_page_count = \(pages)") }
  }
}
