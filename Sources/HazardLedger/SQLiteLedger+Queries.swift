import Foundation
internal import GRDB
import Telemetry

extension SQLiteLedger {
  /// Journal sequence up to which every input is in the ledger.
  public var position: UInt64 {
    get throws(LedgerError) {
      try reading { UInt64(try Int64.fetchOne($0, sql: "SELECT position FROM station") ?? 0) }
    }
  }

  /// Sequence and hash of the newest entry.
  public var head: (sequence: Int64, hash: [UInt8]) {
    get throws(LedgerError) {
      try reading { db in
        guard let row = try Row.fetchOne(db, sql: "SELECT head_seq, head_hash FROM station") else {
          throw LedgerError.damaged(path: path, detail: "the station's row is missing")
        }
        return (row[0], [UInt8](row[1] as Data))
      }
    }
  }

  /// Entries behind a cursor, in order.
  public func entries(
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    if let found = entriesAtHand(after: sequence, limit: limit) { return found }
    return try fetchEntries("seq > ?", [sequence, limit])
  }

  /// What ``entries(after:limit:)`` gives, where the newest commits hold it.
  public func entriesAtHand(after sequence: Int64, limit: Int) -> [LedgerEntry]? {
    newest.entries(after: sequence, limit: limit)
  }

  /// Entries of one alarm, hazard or other thing behind a cursor, in order.
  public func entries(
    of subject: String,
    after sequence: Int64 = 0,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    try fetchEntries("subject = ? AND seq > ?", [subject, sequence, limit])
  }

  private func fetchEntries(
    _ condition: String,
    _ arguments: StatementArguments
  ) throws(LedgerError) -> [LedgerEntry] {
    try reading {
      try EntryRow.fetchAll($0, "WHERE \(condition) ORDER BY seq LIMIT ?", arguments: arguments)
    }
  }

  /// Every alarm that is not normal, oldest first.
  public func standingAlarms() throws(LedgerError) -> [AlarmView] {
    try reading { try AlarmRow.fetchAll($0, "WHERE state <> 'normal' ORDER BY first_seq") }
  }

  /// One alarm occurrence by its id.
  public func alarm(id: String) throws(LedgerError) -> AlarmView? {
    try reading { try AlarmRow.fetch($0, id: id) }
  }

  /// What was refused: newest first.
  public func rejects(limit: Int) throws(LedgerError) -> [RejectTally] {
    try reading { db in
      let sql = "SELECT * FROM reject ORDER BY last_seq DESC, reason, topic, device LIMIT ?"
      return try Row.fetchAll(db, sql: sql, arguments: [limit]).map { row in
        RejectTally(
          reason: row[0],
          topic: row[1],
          device: row[2],
          count: row[3],
          firstSequence: UInt64(row[4] as Int64),
          lastSequence: UInt64(row[5] as Int64),
          firstTime: Timestamp(milliseconds: row[6]),
          lastTime: Timestamp(milliseconds: row[7]),
          detail: row[8],
          sample: [UInt8](row[9] as Data)
        )
      }
    }
  }

  /// Counters derived from the entries: `entry.<kind>` and `alarm.<event>`.
  public func counters() throws(LedgerError) -> [String: Int64] {
    try reading { db in
      let rows = try Row.fetchAll(db, sql: "SELECT name, value FROM counter")
      return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] as String, $0[1] as Int64) })
    }
  }

  /// Runs a query on one snapshot of the store.
  func reading<Answer>(_ query: (Database) throws -> Answer) throws(LedgerError) -> Answer {
    try translating { try pool.read(query) }
  }
}
