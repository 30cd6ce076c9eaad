import HazardLedger
import Telemetry

/// The views as tables of PostgreSQL; a class, as it remembers the alarms that a batch will ask for.
final class PostgresViews: ViewTables {
  private let connection: PostgresConnection
  /// Alarms looked up ahead, in one query, by id; nil for those that the ledger does not have.
  private var expected: [String: AlarmView?] = [:]
  private let owners: PostgresOwners

  init(connection: PostgresConnection) {
    self.connection = connection
    owners = PostgresOwners(connection: connection)
  }

  /// Looks up in one query what applying these entries will ask for.
  func expect(_ entries: [LedgerEntry]) throws {
    try owners.expect(entries)
    let ids = Set(entries.lazy.filter { $0.kind == .alarm }.map(\.subject))
    expected = Dictionary(uniqueKeysWithValues: ids.map { ($0, nil) })
    guard !ids.isEmpty else { return }
    let known = try AlarmColumns.fetch(
      connection,
      "WHERE id = ANY($1::text[])",
      [.texts(ids.sorted())]
    )
    for view in known { expected[view.id] = .some(view) }
  }

  func alarm(id: String) throws -> AlarmView? {
    if let known = expected.removeValue(forKey: id) { return known }
    return try AlarmColumns.fetch(connection, "WHERE id = $1", [.text(id)]).first
  }

  func hazardEntries(id: String, through last: Int64) throws -> [LedgerEntry] {
    try EntryColumns.fetch(
      connection,
      "WHERE subject = $1 AND kind = 'hazard' AND seq <= $2 ORDER BY seq",
      [.text(id), .integer(last)]
    )
  }

  func write(_ alarms: [(view: AlarmView, isNew: Bool)]) throws {
    guard !alarms.isEmpty else { return }
    try AlarmColumns.store(alarms.map(\.view), connection)
  }

  func write(_ hazards: [HazardView], alarms: [(alarm: String, hazard: String)]) throws {
    guard !hazards.isEmpty else { return }
    try HazardColumns.store(hazards, connection)
    try connection.run(
      """
      INSERT INTO hazard_alarm SELECT * FROM unnest($1::text[], $2::text[])
      ON CONFLICT (alarm, hazard) DO NOTHING
      """,
      [.texts(alarms.map { Storable.text($0.alarm) }), .texts(alarms.map(\.hazard))]
    )
  }

  func add(_ matters: [MatterView]) throws {
    guard !matters.isEmpty else { return }
    try MatterColumns.add(matters, connection)
  }

  func add(_ counts: [String: Int64]) throws {
    guard !counts.isEmpty else { return }
    let names = counts.keys.sorted()
    try connection.run(
      """
      INSERT INTO counter SELECT * FROM unnest($1::text[], $2::bigint[])
      ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value
      """,
      [.texts(names), .integers(names.map { counts[$0] })]
    )
  }

  func removeAlarms(_ ids: [String]) throws {
    try connection.run("DELETE FROM alarm WHERE id = ANY($1::text[])", [.texts(ids)])
  }

  func own(_ entry: LedgerEntry) throws { try owners.add(entry) }

  func flushOwners() throws { try owners.flush() }

  func clear() throws {
    try connection.script(
      """
      DELETE FROM alarm; DELETE FROM counter; DELETE FROM hazard; DELETE FROM hazard_alarm;
      DELETE FROM matter; DELETE FROM entry_owner
      """
    )
  }
}

/// An ``AlarmView`` as a row.
enum AlarmColumns {
  private static let names = [
    "first_seq", "id", "point", "rule", "onset", "state", "priority", "last_time", "last_seq",
    "raised_time", "raised_seq", "acknowledged_time", "acknowledged_seq", "acknowledged_by",
    "acknowledged_reason", "returned_time", "returned_seq", "reset_time", "reset_seq", "actor",
    "reason", "shelved_until", "value", "limit_value", "unit", "catalog", "steps", "revisions",
  ]
  private static let types = [
    "bigint", "text", "text", "text", "bigint", "text", "bigint", "bigint", "bigint", "bigint",
    "bigint", "bigint", "bigint", "text", "text", "bigint", "bigint", "bigint", "bigint", "text",
    "text", "bigint", "float8", "float8", "text", "text", "bigint", "bigint",
  ]
  private static let columns = names.joined(separator: ", ")
  private static let storeSQL = """
    INSERT INTO alarm (\(columns)) SELECT * FROM unnest(
      \(types.enumerated().map { "$\($0.offset + 1)::\($0.element)[]" }.joined(separator: ", ")))
    ON CONFLICT (first_seq) DO UPDATE SET
      \(names.dropFirst(5).map { "\($0) = excluded.\($0)" }.joined(separator: ", "))
    """

  /// Stores rows, new and known ones alike.
  static func store(_ views: [AlarmView], _ connection: PostgresConnection) throws {
    try connection.run(
      storeSQL,
      [
        .integers(views.map(\.firstSequence)), .texts(views.map(\.id)),
        .texts(views.map { Storable.text($0.point) }),
        .texts(views.map { Storable.text($0.rule) }), .integers(views.map(\.onset.milliseconds)),
        .texts(views.map(\.state.rawValue)), .integers(views.map { Int64($0.priority) }),
        .integers(views.map(\.last.time.milliseconds)), .integers(views.map(\.last.sequence)),
        .integers(views.map { $0.raised?.time.milliseconds }),
        .integers(views.map { $0.raised?.sequence }),
        .integers(views.map { $0.acknowledged?.time.milliseconds }),
        .integers(views.map { $0.acknowledged?.sequence }),
        .texts(views.map { Storable.text($0.acknowledgedBy) }),
        .texts(views.map { Storable.text($0.acknowledgedReason) }),
        .integers(views.map { $0.returned?.time.milliseconds }),
        .integers(views.map { $0.returned?.sequence }),
        .integers(views.map { $0.reset?.time.milliseconds }),
        .integers(views.map { $0.reset?.sequence }), .texts(views.map { Storable.text($0.actor) }),
        .texts(views.map { Storable.text($0.reason) }),
        .integers(views.map { $0.shelvedUntil?.milliseconds }), .doubles(views.map(\.value)),
        .doubles(views.map(\.limit)), .texts(views.map { Storable.text($0.unit) }),
        .texts(views.map { Storable.text($0.catalog) }),
        .integers(views.map { Int64($0.steps) }), .integers(views.map { Int64($0.revisions) }),
      ]
    )
  }

  /// The rows that the clauses choose.
  static func fetch(
    _ connection: PostgresConnection,
    _ clauses: String,
    _ parameters: [PostgresValue] = [],
    from source: String = "alarm"
  ) throws -> [AlarmView] {
    let rows = try connection.run("SELECT \(columns) FROM \(source) \(clauses)", parameters)
    return try (0..<rows.count).map { try decode(rows, $0) }
  }

  private static func decode(_ rows: PostgresRows, _ row: Int) throws -> AlarmView {
    guard let state = AlarmBody.State(rawValue: rows.text(row, 5)) else {
      throw LedgerError.damaged(path: "alarm \(rows.text(row, 1))", detail: "unknown state")
    }
    func step(_ column: Int) -> AlarmView.Step? {
      guard let time = rows.optionalInteger(row, column),
        let sequence = rows.optionalInteger(row, column + 1)
      else { return nil }
      return AlarmView.Step(time: Timestamp(milliseconds: time), sequence: sequence)
    }
    return AlarmView(
      id: rows.text(row, 1),
      point: rows.text(row, 2),
      rule: rows.text(row, 3),
      onset: Timestamp(milliseconds: rows.integer(row, 4)),
      state: state,
      priority: Int(rows.integer(row, 6)),
      firstSequence: rows.integer(row, 0),
      last: AlarmView.Step(
        time: Timestamp(milliseconds: rows.integer(row, 7)),
        sequence: rows.integer(row, 8)
      ),
      raised: step(9),
      acknowledged: step(11),
      returned: step(15),
      reset: step(17),
      acknowledgedBy: rows.text(row, 13),
      acknowledgedReason: rows.text(row, 14),
      actor: rows.text(row, 19),
      reason: rows.text(row, 20),
      shelvedUntil: rows.optionalInteger(row, 21).map { Timestamp(milliseconds: $0) },
      value: rows.optionalDouble(row, 22),
      limit: rows.optionalDouble(row, 23),
      unit: rows.text(row, 24),
      catalog: rows.text(row, 25),
      steps: Int(rows.integer(row, 26)),
      revisions: Int(rows.integer(row, 27))
    )
  }
}

/// A ``HazardView`` as a row.
enum HazardColumns {
  static let columns = """
    first_seq, id, enterprise, place, source, title, state, grade, deadline, listed, rung, \
    last_time, last_seq, steps
    """

  static func store(_ views: [HazardView], _ connection: PostgresConnection) throws {
    try connection.run(
      """
      INSERT INTO hazard (\(columns)) SELECT * FROM unnest(
        $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::bigint[],
        $14::bigint[])
      ON CONFLICT (first_seq) DO UPDATE SET state = excluded.state, grade = excluded.grade,
        deadline = excluded.deadline, listed = excluded.listed, rung = excluded.rung,
        last_time = excluded.last_time, last_seq = excluded.last_seq, steps = excluded.steps
      """,
      [
        .integers(views.map(\.firstSequence)), .texts(views.map(\.id)),
        .texts(views.map { Storable.text($0.enterprise) }),
        .texts(views.map { Storable.text($0.place) }), .texts(views.map(\.source.rawValue)),
        .texts(views.map { Storable.text($0.title) }), .texts(views.map(\.state.rawValue)),
        .texts(views.map { $0.grade?.rawValue }),
        .integers(views.map { $0.deadline?.milliseconds }),
        .texts(views.map { $0.listed?.rawValue }), .texts(views.map { $0.rung?.rawValue }),
        .integers(views.map(\.lastTime.milliseconds)), .integers(views.map(\.lastSequence)),
        .integers(views.map { Int64($0.steps) }),
      ]
    )
  }

  static func fetch(
    _ connection: PostgresConnection,
    _ clauses: String,
    _ parameters: [PostgresValue]
  ) throws -> [HazardView] {
    let rows = try connection.run("SELECT \(columns) FROM hazard \(clauses)", parameters)
    return try (0..<rows.count).map { row in
      guard let source = HazardSource(rawValue: rows.text(row, 4)),
        let state = HazardState(rawValue: rows.text(row, 6))
      else {
        throw LedgerError.damaged(path: "hazard \(rows.text(row, 1))", detail: "unknown name")
      }
      func named<Name: RawRepresentable<String>>(_ column: Int, _: Name.Type) -> Name? {
        rows.isNull(row, column) ? nil : Name(rawValue: rows.text(row, column))
      }
      return HazardView(
        id: rows.text(row, 1),
        enterprise: rows.text(row, 2),
        place: rows.text(row, 3),
        source: source,
        title: rows.text(row, 5),
        state: state,
        grade: named(7, HazardGrade.self),
        deadline: rows.optionalInteger(row, 8).map { Timestamp(milliseconds: $0) },
        listed: named(9, ListingLevel.self),
        rung: named(10, EscalationRung.self),
        firstSequence: rows.integer(row, 0),
        lastSequence: rows.integer(row, 12),
        lastTime: Timestamp(milliseconds: rows.integer(row, 11)),
        steps: Int(rows.integer(row, 13))
      )
    }
  }
}

/// A ``MatterView`` as a row.
enum MatterColumns {
  private static let columns = """
    first_seq, kind, id, place, state, is_open, first_time, last_time, last_seq, steps
    """

  static func add(_ views: [MatterView], _ connection: PostgresConnection) throws {
    try connection.run(
      """
      INSERT INTO matter (\(columns)) SELECT * FROM unnest(
        $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bigint[])
      ON CONFLICT (kind, id) DO UPDATE SET state = excluded.state, is_open = excluded.is_open,
        last_time = excluded.last_time, last_seq = excluded.last_seq,
        steps = matter.steps + excluded.steps
      """,
      [
        .integers(views.map(\.firstSequence)), .texts(views.map(\.kind.rawValue)),
        .texts(views.map(\.id)), .texts(views.map { Storable.text($0.place) }),
        .texts(views.map { Storable.text($0.state) }), .integers(views.map { $0.isOpen ? 1 : 0 }),
        .integers(views.map(\.firstTime.milliseconds)),
        .integers(views.map(\.lastTime.milliseconds)), .integers(views.map(\.lastSequence)),
        .integers(views.map { Int64($0.steps) }),
      ]
    )
  }

  static func fetch(
    _ connection: PostgresConnection,
    _ clauses: String,
    _ parameters: [PostgresValue]
  ) throws -> [MatterView] {
    let rows = try connection.run("SELECT \(columns) FROM matter \(clauses)", parameters)
    return try (0..<rows.count).map { row in
      guard let kind = EntryKind(rawValue: rows.text(row, 1)) else {
        throw LedgerError.damaged(path: "matter \(rows.text(row, 2))", detail: "unknown kind")
      }
      return MatterView(
        kind: kind,
        id: rows.text(row, 2),
        place: rows.text(row, 3),
        state: rows.text(row, 4),
        isOpen: rows.integer(row, 5) == 1,
        firstSequence: rows.integer(row, 0),
        lastSequence: rows.integer(row, 8),
        firstTime: Timestamp(milliseconds: rows.integer(row, 6)),
        lastTime: Timestamp(milliseconds: rows.integer(row, 7)),
        steps: Int(rows.integer(row, 9))
      )
    }
  }
}

/// Texts for columns: PostgreSQL takes no U+0000, which is shown by its picture instead.
enum Storable {
  static func text(_ text: String) -> String {
    guard text.utf8.contains(0) else { return text }
    return String(text.map { $0 == "\0" ? "\u{2400}" : $0 })
  }
}
