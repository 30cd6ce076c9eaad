import Foundation
internal import GRDB
import Telemetry

/// An ``AlarmView`` as a row.
enum AlarmRow {
  static let columns = """
    first_seq, id, point, rule, onset, state, priority, last_time, last_seq, raised_time, \
    raised_seq, acknowledged_time, acknowledged_seq, acknowledged_by, acknowledged_reason, \
    returned_time, returned_seq, reset_time, reset_seq, actor, reason, shelved_until, value, \
    limit_value, unit, catalog, steps, revisions
    """

  static func fetch(_ db: Database, id: String) throws -> AlarmView? {
    let statement = try db.cachedStatement(sql: "SELECT \(columns) FROM alarm WHERE id = ?")
    return try Row.fetchOne(statement, arguments: [id]).map(decode)
  }

  static func insert(_ view: AlarmView, into db: Database) throws {
    let marks = repeatElement("?", count: 28).joined(separator: ",")
    try db.cachedStatement(sql: "INSERT INTO alarm (\(columns)) VALUES (\(marks))")
      .execute(
        arguments: StatementArguments(
          [view.firstSequence, view.id, view.point, view.rule, view.onset.milliseconds]
            + changing(view)
        )
      )
  }

  static func update(_ view: AlarmView, in db: Database) throws {
    try db.cachedStatement(sql: updateSQL)
      .execute(arguments: StatementArguments(changing(view) + [view.firstSequence]))
  }

  private static let updateSQL = """
    UPDATE alarm SET state = ?, priority = ?, last_time = ?, last_seq = ?, raised_time = ?,
      raised_seq = ?, acknowledged_time = ?, acknowledged_seq = ?, acknowledged_by = ?,
      acknowledged_reason = ?, returned_time = ?, returned_seq = ?, reset_time = ?, reset_seq = ?,
      actor = ?, reason = ?, shelved_until = ?, value = ?, limit_value = ?, unit = ?, catalog = ?,
      steps = ?, revisions = ?
    WHERE first_seq = ?
    """

  /// The columns from `state` on, in order.
  private static func changing(_ view: AlarmView) -> [(any DatabaseValueConvertible)?] {
    [
      view.state.rawValue, view.priority, view.last.time.milliseconds, view.last.sequence,
      view.raised?.time.milliseconds, view.raised?.sequence,
      view.acknowledged?.time.milliseconds, view.acknowledged?.sequence, view.acknowledgedBy,
      view.acknowledgedReason, view.returned?.time.milliseconds, view.returned?.sequence,
      view.reset?.time.milliseconds, view.reset?.sequence, view.actor, view.reason,
      view.shelvedUntil?.milliseconds, view.value, view.limit, view.unit, view.catalog, view.steps,
      view.revisions,
    ]
  }

  static func decode(_ row: Row) throws -> AlarmView {
    guard let state = AlarmBody.State(rawValue: row[5]) else {
      throw LedgerError.damaged(path: "alarm \(row[1] as String)", detail: "unknown state")
    }
    func step(_ index: Int) -> AlarmView.Step? {
      guard let time = row[index] as Int64?, let sequence = row[index + 1] as Int64? else {
        return nil
      }
      return AlarmView.Step(time: Timestamp(milliseconds: time), sequence: sequence)
    }
    return AlarmView(
      id: row[1],
      point: row[2],
      rule: row[3],
      onset: Timestamp(milliseconds: row[4]),
      state: state,
      priority: row[6],
      firstSequence: row[0],
      last: AlarmView.Step(time: Timestamp(milliseconds: row[7]), sequence: row[8]),
      raised: step(9),
      acknowledged: step(11),
      returned: step(15),
      reset: step(17),
      acknowledgedBy: row[13],
      acknowledgedReason: row[14],
      actor: row[19],
      reason: row[20],
      shelvedUntil: (row[21] as Int64?).map { Timestamp(milliseconds: $0) },
      value: row[22],
      limit: row[23],
      unit: row[24],
      catalog: row[25],
      steps: row[26],
      revisions: row[27]
    )
  }
}

/// A ``LedgerEntry`` as a row.
enum EntryRow {
  static func fetch(
    _ db: Database,
    sql: String,
    arguments: StatementArguments = []
  ) throws -> MapCursor<RowCursor, LedgerEntry> {
    try Row.fetchCursor(db, sql: sql, arguments: arguments).map(decode)
  }

  static func decode(_ row: Row) throws -> LedgerEntry {
    let sequence: Int64 = row[0]
    guard let kind = EntryKind(rawValue: row[2]) else {
      throw LedgerError.damaged(path: "entry \(sequence)", detail: "unknown kind")
    }
    return LedgerEntry(
      sequence: sequence,
      time: Timestamp(milliseconds: row[1]),
      kind: kind,
      subject: row[3],
      actor: row[4],
      body: (row[5] as Data?).map { [UInt8]($0) },
      origin: UInt64(bitPattern: row[6] as Int64),
      previousHash: [UInt8](row[7] as Data),
      hash: [UInt8](row[8] as Data)
    )
  }
}
