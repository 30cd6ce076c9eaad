public import HazardLedger
import Telemetry

extension PostgresLedger {
  /// The dossiers of a station's ledger, straight out of the database.
  ///
  /// Each export reads one snapshot, claims nothing, and may run beside the station.
  ///
  /// - Parameters:
  ///   - connection: a libpq connection string or URL.
  ///   - station: name of the station.
  /// - Returns: what exports alarms and hazards.
  public static func dossier(from connection: String, station: String) -> LedgerDossier {
    let schema = schemaName(station)
    let path = "postgres:\(schema)"
    return LedgerDossier { work in
      try translating(path) {
        let session = try snapshot(connection, schema: schema, station: station)
        try work(PostgresDossier(connection: session, station: station))
        try session.script("COMMIT")
      }
    }
  }

  /// A session in a read-only transaction that sees one state of a station's ledger.
  ///
  /// - Throws: ``LedgerError/notALedger(path:detail:)`` where the station has none.
  static func snapshot(
    _ connection: String,
    schema: String,
    station: String
  ) throws -> PostgresConnection {
    let session = try PostgresConnection(connection)
    try session.script(
      """
      SET client_min_messages = error; SET search_path TO \(PostgresSchema.quoted(schema));
      BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY
      """
    )
    guard try session.run("SELECT to_regclass('entry') IS NOT NULL").boolean(0, 0) else {
      throw LedgerError.notALedger(
        path: "postgres:\(schema)",
        detail: "there is no ledger of station \"\(station)\" in this database"
      )
    }
    return session
  }
}

/// A snapshot of a ledger in PostgreSQL.
struct PostgresDossier: DossierSource {
  let connection: PostgresConnection
  let station: String

  func alarms(ofHazard id: String) throws -> [String] {
    try texts("SELECT alarm FROM hazard_alarm WHERE hazard = $1 ORDER BY alarm", [.text(id)])
  }

  func hazards(ofAlarm id: String) throws -> [String] {
    let siblings = AlarmBody.siblings(of: id)
    return try texts(
      """
      SELECT hazard FROM hazard_alarm WHERE alarm = $1
      UNION
      SELECT hazard.id FROM hazard_alarm JOIN hazard ON hazard.id = hazard_alarm.hazard
        JOIN alarm ON alarm.id = $1
      WHERE hazard_alarm.alarm >= $2 AND hazard_alarm.alarm < $3
        AND hazard.first_seq <= alarm.last_seq
        AND (hazard.last_seq >= alarm.first_seq OR hazard.state <> ALL($4::text[]))
      ORDER BY 1
      """,
      [
        .text(id), .text(siblings.lowerBound), .text(siblings.upperBound),
        .texts(HazardState.allCases.filter(\.isFinal).map(\.rawValue)),
      ]
    )
  }

  func hazards(ids: Range<String>) throws -> [String] {
    try texts(
      "SELECT id FROM hazard WHERE id >= $1 AND id < $2 ORDER BY id",
      [.text(ids.lowerBound), .text(ids.upperBound)]
    )
  }

  func matters(naming alarm: String) throws -> [String] {
    try texts(
      """
      SELECT subject FROM entry
      WHERE kind IN ('callout', 'clock', 'notice') AND position($1 IN body) > 0
      GROUP BY subject ORDER BY min(seq)
      """,
      [.bytes(Array(alarm.utf8))]
    )
  }

  private func texts(_ sql: String, _ parameters: [PostgresValue]) throws -> [String] {
    let rows = try connection.run(sql, parameters)
    return (0..<rows.count).map { rows.text($0, 0) }
  }

  func entries(of subjects: [String]) throws -> [LedgerEntry] {
    try EntryColumns.fetch(
      connection,
      "WHERE subject = ANY($1::text[]) ORDER BY seq",
      [.texts(subjects)]
    )
  }

  func newestCheckpoint() throws -> Checkpoint? {
    try Checkpoint.fetch(connection, station: station, "ORDER BY size DESC LIMIT 1")
  }

  func paths(to sequences: [Int64], size: Int64) throws -> [[[UInt8]]] {
    let tree = MerkleTree(PostgresNodes(connection: connection))
    return try sequences.map { try tree.path(to: $0 - 1, size: size) }
  }

  func pruned(_ sequence: Int64) throws -> (length: Int64, digest: [UInt8])? {
    let rows = try connection.run(
      "SELECT length, digest FROM redacted WHERE seq = $1",
      [.integer(sequence)]
    )
    return rows.count == 0 ? nil : (rows.integer(0, 0), rows.bytes(0, 1))
  }
}

extension Checkpoint {
  /// The checkpoint that the clauses choose.
  static func fetch(
    _ connection: PostgresConnection,
    station: String,
    _ clauses: String,
    _ parameters: [PostgresValue] = []
  ) throws -> Checkpoint? {
    let rows = try connection.run(
      "SELECT size, time, root, key, signature FROM checkpoint \(clauses)",
      parameters
    )
    guard rows.count > 0 else { return nil }
    return Checkpoint(
      station: station,
      size: rows.integer(0, 0),
      root: rows.bytes(0, 2),
      time: Timestamp(milliseconds: rows.integer(0, 1)),
      key: rows.bytes(0, 3),
      signature: rows.bytes(0, 4)
    )
  }
}
