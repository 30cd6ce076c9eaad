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

  private static let insertSQL = """
    INSERT INTO alarm (\(columns))
    VALUES (\(repeatElement("?", count: 28).joined(separator: ",")))
    """

  private static let updateSQL = """
    UPDATE alarm SET state = ?6, priority = ?7, last_time = ?8, last_seq = ?9, raised_time = ?10,
      raised_seq = ?11, acknowledged_time = ?12, acknowledged_seq = ?13, acknowledged_by = ?14,
      acknowledged_reason = ?15, returned_time = ?16, returned_seq = ?17, reset_time = ?18,
      reset_seq = ?19, actor = ?20, reason = ?21, shelved_until = ?22, value = ?23,
      limit_value = ?24, unit = ?25, catalog = ?26, steps = ?27, revisions = ?28
    WHERE first_seq = ?1
    """

  static func fetch(_ db: Database, id: String) throws -> AlarmView? {
    let statement = try HotStatement(db, sql: "SELECT \(columns) FROM alarm WHERE id = ?")
    statement.bind(1, id)
    defer { statement.reset() }
    return try statement.step() ? decode(statement) : nil
  }

  static func fetchAll(
    _ db: Database,
    _ clauses: String,
    arguments: StatementArguments = []
  ) throws -> [AlarmView] {
    let prepared = try db.makeStatement(sql: "SELECT \(columns) FROM alarm \(clauses)")
    try prepared.setArguments(arguments)
    let statement = HotStatement(prepared)
    var views: [AlarmView] = []
    while try statement.step() { views.append(try decode(statement)) }
    return views
  }

  static func insert(_ view: AlarmView, into db: Database) throws {
    let statement = try HotStatement(db, sql: insertSQL)
    statement.bind(2, view.id)
    statement.bind(3, view.point)
    statement.bind(4, view.rule)
    statement.bind(5, view.onset.milliseconds)
    bindChanging(view, to: statement)
    try statement.run()
  }

  static func update(_ view: AlarmView, in db: Database) throws {
    let statement = try HotStatement(db, sql: updateSQL)
    bindChanging(view, to: statement)
    try statement.run()
  }

  private static func bindChanging(_ view: AlarmView, to statement: HotStatement) {
    statement.bind(1, view.firstSequence)
    statement.bind(6, view.state.rawValue)
    statement.bind(7, Int64(view.priority))
    statement.bind(8, view.last.time.milliseconds)
    statement.bind(9, view.last.sequence)
    statement.bind(10, view.raised?.time.milliseconds)
    statement.bind(11, view.raised?.sequence)
    statement.bind(12, view.acknowledged?.time.milliseconds)
    statement.bind(13, view.acknowledged?.sequence)
    statement.bind(14, view.acknowledgedBy)
    statement.bind(15, view.acknowledgedReason)
    statement.bind(16, view.returned?.time.milliseconds)
    statement.bind(17, view.returned?.sequence)
    statement.bind(18, view.reset?.time.milliseconds)
    statement.bind(19, view.reset?.sequence)
    statement.bind(20, view.actor)
    statement.bind(21, view.reason)
    statement.bind(22, view.shelvedUntil?.milliseconds)
    statement.bind(23, view.value)
    statement.bind(24, view.limit)
    statement.bind(25, view.unit)
    statement.bind(26, view.catalog)
    statement.bind(27, Int64(view.steps))
    statement.bind(28, Int64(view.revisions))
  }

  private static func decode(_ row: HotStatement) throws -> AlarmView {
    guard let state = AlarmBody.State(rawValue: row.text(5)) else {
      throw LedgerError.damaged(path: "alarm \(row.text(1))", detail: "unknown state")
    }
    func step(_ column: Int32) -> AlarmView.Step? {
      guard let time = row.optionalInt64(column), let sequence = row.optionalInt64(column + 1)
      else { return nil }
      return AlarmView.Step(time: Timestamp(milliseconds: time), sequence: sequence)
    }
    return AlarmView(
      id: row.text(1),
      point: row.text(2),
      rule: row.text(3),
      onset: Timestamp(milliseconds: row.int64(4)),
      state: state,
      priority: Int(row.int64(6)),
      firstSequence: row.int64(0),
      last: AlarmView.Step(
        time: Timestamp(milliseconds: row.int64(7)),
        sequence: row.int64(8)
      ),
      raised: step(9),
      acknowledged: step(11),
      returned: step(15),
      reset: step(17),
      acknowledgedBy: row.text(13),
      acknowledgedReason: row.text(14),
      actor: row.text(19),
      reason: row.text(20),
      shelvedUntil: row.optionalInt64(21).map { Timestamp(milliseconds: $0) },
      value: row.optionalDouble(22),
      limit: row.optionalDouble(23),
      unit: row.text(24),
      catalog: row.text(25),
      steps: Int(row.int64(26)),
      revisions: Int(row.int64(27))
    )
  }
}

/// A ``LedgerEntry`` as a row.
enum EntryRow {
  static let columns = "seq, time, kind, subject, actor, body, origin, prev_hash, hash"

  /// Hands out the entries that the clauses choose, in order of sequence.
  static func forEach(
    _ db: Database,
    _ clauses: String,
    arguments: StatementArguments = [],
    _ body: (LedgerEntry) throws -> Void
  ) throws {
    let prepared = try db.makeStatement(sql: "SELECT \(columns) FROM entry \(clauses)")
    try prepared.setArguments(arguments)
    let statement = HotStatement(prepared)
    while try statement.step() { try body(decode(statement)) }
  }

  /// The entries that match `clauses`, by a statement that the connection keeps: streams and the announcer ask this
  /// after every commit.
  static func fetchAll(
    _ db: Database,
    _ clauses: String,
    arguments: StatementArguments
  ) throws -> [LedgerEntry] {
    let prepared = try db.cachedStatement(sql: "SELECT \(columns) FROM entry \(clauses)")
    try prepared.setArguments(arguments)
    let statement = HotStatement(prepared)
    // Left where it stands it would hold its snapshot, and with that the log.
    defer { statement.reset() }
    var entries: [LedgerEntry] = []
    while try statement.step() { entries.append(try decode(statement)) }
    return entries
  }

  private static func decode(_ row: HotStatement) throws -> LedgerEntry {
    guard let kind = EntryKind(rawValue: row.text(2)) else {
      throw LedgerError.damaged(path: "entry \(row.int64(0))", detail: "unknown kind")
    }
    return LedgerEntry(
      sequence: row.int64(0),
      time: Timestamp(milliseconds: row.int64(1)),
      kind: kind,
      subject: row.text(3),
      actor: row.text(4),
      body: row.isNull(5) ? nil : row.bytes(5),
      origin: UInt64(bitPattern: row.int64(6)),
      previousHash: row.bytes(7),
      hash: row.bytes(8)
    )
  }
}
