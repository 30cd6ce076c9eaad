import HazardLedger
import Telemetry

/// Adds entries within one transaction: chain, views and position; it holds the station's row, and with it the epoch.
struct PostgresBatch {
  /// The ledger's position before this batch.
  let position: UInt64
  private let connection: PostgresConnection
  private let epoch: Int64
  private let tables: PostgresViews
  private let first: Int64
  private var sequence: Int64
  private var hash: [UInt8]
  private var views: ViewWriter<PostgresViews>

  /// Takes the station's row.
  ///
  /// - Throws: ``LedgerError/fenced(path:epoch:)`` when another writer has opened the ledger.
  init(_ connection: PostgresConnection, epoch: Int64, path: String) throws {
    self.connection = connection
    self.epoch = epoch
    let row = try connection.run(
      """
      SELECT position, head_seq, head_hash, set_config('davy.epoch', epoch::text, true)
      FROM station WHERE id = 1 AND epoch = $1 FOR UPDATE
      """,
      [.integer(epoch)]
    )
    guard row.count == 1 else { throw LedgerError.fenced(path: path, epoch: epoch) }
    position = UInt64(row.integer(0, 0))
    sequence = row.integer(0, 1)
    hash = row.bytes(0, 2)
    first = sequence + 1
    tables = PostgresViews(connection: connection)
    views = ViewWriter(tables)
  }

  /// Adds entries and brings the views on; an order to prune is carried out.
  ///
  /// - Parameter drafts: the entries.
  /// - Returns: the sequences given, nil without drafts.
  /// - Throws: why the batch cannot be stored.
  mutating func add(_ drafts: [LedgerDraft]) throws -> ClosedRange<Int64>? {
    var rest = drafts[...]
    while !rest.isEmpty {
      let orders = rest.prefix { $0.kind == .redaction }
      try prune(Array(orders))
      rest = rest.dropFirst(orders.count)
      let others = rest.prefix { $0.kind != .redaction }
      try write(Array(others))
      rest = rest.dropFirst(others.count)
    }
    return sequence >= first ? first...sequence : nil
  }

  private mutating func write(_ drafts: [LedgerDraft]) throws {
    var buffer: [UInt8] = []
    let entries = drafts.map { draft in
      sequence += 1
      let entry = LedgerEntry(draft, sequence: sequence, previousHash: hash, buffer: &buffer)
      hash = entry.hash
      return entry
    }
    guard !entries.isEmpty else { return }
    try EntryColumns.insert(entries, connection)
    try tables.expect(entries)
    for entry in entries {
      do {
        try views.apply(entry)
      } catch LedgerError.refused(let reason) {
        throw LedgerError.refusedDraft(index: Int(entry.sequence - first), reason: reason)
      }
    }
  }

  private mutating func prune(_ orders: [LedgerDraft]) throws {
    for order in orders {
      let rule: RedactionRule
      do throws(BodyError) {
        rule = try RedactionRule(order: order)
      } catch {
        // Each draft before it has a sequence.
        throw LedgerError.refusedDraft(
          index: Int(sequence + 1 - first),
          reason: error.description
        )
      }
      // The order sees everything before it, also what came in this batch.
      try views.flush()
      let pruned = try bodies(rule)
      var announcement = order
      announcement.body = pruned.announcement(rule)
      try write([announcement])
      try views.forget(alarms: pruned.alarms, events: pruned.events)
      let sequences = pruned.bodies.map(\.sequence)
      try connection.run(
        """
        INSERT INTO redacted SELECT seq, $2, length, digest
        FROM unnest($1::bigint[], $3::bigint[], $4::bytea[]) AS pruned(seq, length, digest)
        """,
        [
          .integers(sequences), .integer(sequence),
          .integers(pruned.bodies.map { Int64($0.length) }), .blobs(pruned.bodies.map(\.digest)),
        ]
      )
      try connection.run(
        "UPDATE entry SET body = NULL WHERE seq = ANY($1::bigint[])",
        [.integers(sequences)]
      )
    }
  }

  private func bodies(_ rule: RedactionRule) throws -> PrunedBodies {
    let alarms = try connection.run(
      """
      SELECT id FROM alarm
      WHERE state = 'normal' AND last_time < $1
        AND NOT EXISTS (SELECT 1 FROM hazard_alarm WHERE hazard_alarm.alarm = alarm.id)
      ORDER BY first_seq LIMIT $2
      """,
      [.integer(rule.before.milliseconds), .integer(Int64(rule.limit))]
    )
    return try PrunedBodies(alarms: (0..<alarms.count).map { alarms.text($0, 0) }) { id, add in
      let entries = try EntryColumns.fetch(
        connection,
        "WHERE subject = $1 AND kind = 'alarm' AND body IS NOT NULL",
        [.text(id)]
      )
      for entry in entries { try add(entry) }
    }
  }

  /// Writes the views and the station's row.
  mutating func finish(position: UInt64) throws {
    try views.flush()
    try connection.run(
      "UPDATE station SET position = $1, head_seq = $2, head_hash = $3 WHERE id = 1 AND epoch = $4",
      [.integer(Int64(position)), .integer(sequence), .bytes(hash), .integer(epoch)]
    )
  }
}

/// A ``LedgerEntry`` as a row.
enum EntryColumns {
  static let columns = "seq, time, kind, subject, actor, body, origin, prev_hash, hash"

  /// Stores entries in one statement.
  static func insert(_ entries: [LedgerEntry], _ connection: PostgresConnection) throws {
    try connection.run(
      """
      INSERT INTO entry (\(columns)) SELECT * FROM unnest(
        $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bigint[],
        $8::bytea[], $9::bytea[])
      """,
      [
        .integers(entries.map(\.sequence)), .integers(entries.map(\.time.milliseconds)),
        .texts(entries.map(\.kind.rawValue)), .texts(entries.map(\.subject)),
        .texts(entries.map(\.actor)), .blobs(entries.map(\.body)),
        .integers(entries.map { Int64(bitPattern: $0.origin) }),
        .blobs(entries.map(\.previousHash)), .blobs(entries.map(\.hash)),
      ]
    )
  }

  /// The entries that the clauses choose.
  static func fetch(
    _ connection: PostgresConnection,
    _ clauses: String,
    _ parameters: [PostgresValue]
  ) throws -> [LedgerEntry] {
    let rows = try connection.run("SELECT \(columns) FROM entry \(clauses)", parameters)
    return try (0..<rows.count).map { row in
      guard let kind = EntryKind(rawValue: rows.text(row, 2)) else {
        throw LedgerError.damaged(
          path: "entry \(rows.integer(row, 0))",
          detail: "unknown kind \(rows.text(row, 2))"
        )
      }
      return LedgerEntry(
        sequence: rows.integer(row, 0),
        time: Timestamp(milliseconds: rows.integer(row, 1)),
        kind: kind,
        subject: rows.text(row, 3),
        actor: rows.text(row, 4),
        body: rows.isNull(row, 5) ? nil : rows.bytes(row, 5),
        origin: UInt64(bitPattern: rows.integer(row, 6)),
        previousHash: rows.bytes(row, 7),
        hash: rows.bytes(row, 8)
      )
    }
  }
}
