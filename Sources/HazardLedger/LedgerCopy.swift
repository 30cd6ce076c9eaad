import Foundation
internal import GRDB

/// A ledger of another store taken over row by row, as it stands, into a new SQLite file.
///
/// Nothing is computed anew: what is wrong in the original is wrong in the copy, so that ``LedgerVerifier`` finds it
/// there. The append-only triggers are off while the copy is made and on when it is finished.
package struct LedgerCopy {
  /// A column's value.
  package enum Value: Hashable, Sendable {
    /// No value.
    case null
    /// A whole number.
    case integer(Int64)
    /// A number.
    case real(Double)
    /// A text.
    case text(String)
    /// Bytes.
    case blob([UInt8])

    fileprivate var stored: DatabaseValue {
      switch self {
      case .null: .null
      case .integer(let value): value.databaseValue
      case .real(let value): value.databaseValue
      case .text(let value): value.databaseValue
      case .blob(let value): Data(value).databaseValue
      }
    }
  }

  private let path: String
  private let queue: DatabaseQueue
  private var triggers: [String] = []
  /// The tables with their columns, in an order in which they can be filled.
  package let tables: [(name: String, columns: [String])]

  /// Makes an empty ledger file.
  ///
  /// - Throws: ``LedgerError`` when there is a file already, or none can be made.
  package init(path: String) throws(LedgerError) {
    self.path = path
    guard !FileManager.default.fileExists(atPath: path) else {
      throw .notAccessible(path: path, detail: "the file exists; a copy never overwrites one")
    }
    (queue, triggers, tables) = try SQLiteLedger.translating(path) {
      var configuration = Configuration()
      configuration.foreignKeysEnabled = true
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      return try queue.inDatabase { db in
        try LedgerSchema.migrate(db, path: path)
        let triggers = try Row.fetchAll(
          db,
          sql: "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        )
        for trigger in triggers { try db.execute(sql: "DROP TRIGGER \(trigger[0] as String)") }
        let names = try String.fetchAll(
          db,
          sql: """
            SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'
            ORDER BY name <> 'entry', name
            """
        )
        let tables = try names.map { ($0, try db.columns(in: $0).map(\.name)) }
        return (queue, triggers.map { $0[1] as String }, tables)
      }
    }
  }

  /// Adds rows, their values in the order of the table's columns.
  package func add(_ rows: [[Value]], to table: String) throws(LedgerError) {
    guard let width = rows.first?.count else { return }
    let marks = repeatElement("?", count: width).joined(separator: ", ")
    try SQLiteLedger.translating(path) {
      try queue.write { db in
        let insert = try db.cachedStatement(sql: "INSERT INTO \(table) VALUES (\(marks))")
        for row in rows { try insert.execute(arguments: StatementArguments(row.map(\.stored))) }
      }
    }
  }

  /// Puts the append-only rule in force and closes the file.
  ///
  /// - Parameter derivingOwners: true for an original of before it kept whose the entries are.
  /// - Throws: ``LedgerError`` when the file cannot be finished.
  package func finish(derivingOwners: Bool = false) throws(LedgerError) {
    try SQLiteLedger.translating(path) {
      try queue.write { db in
        if derivingOwners { try OwnerIndex.rebuild(db) }
        for trigger in triggers { try db.execute(sql: trigger) }
      }
      try queue.close()
    }
  }
}
