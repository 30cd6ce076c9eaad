public import HazardLedger

/// Which entries belong to which enterprise, as SQLite's `OwnerIndex` keeps it: derived from the entries.
///
/// Rows wait until ``flush()``, so that a batch costs one statement.
final class PostgresOwners {
  private let connection: PostgresConnection
  private var enterprises: [String] = []
  private var sequences: [Int64] = []
  /// Owners of things whose first entry names one, by subject; nil for those that name none.
  private var known: [String: String?] = [:]
  private static let capacity = 10_000
  private static let page: Int64 = 5_000

  init(connection: PostgresConnection) {
    self.connection = connection
  }

  /// Looks up in one query whose the things are that these entries are steps of; the entries are stored already.
  func expect(_ entries: [LedgerEntry]) throws {
    let subjects = Set(try entries.compactMap { try $0.ownedThrough }).subtracting(known.keys)
    guard !subjects.isEmpty else { return }
    if known.count + subjects.count > Self.capacity { known.removeAll(keepingCapacity: true) }
    let first = try EntryColumns.fetch(
      connection,
      "WHERE seq IN (SELECT min(seq) FROM entry WHERE subject = ANY($1::text[]) GROUP BY subject)",
      [.texts(subjects.sorted())]
    )
    for subject in subjects { known[subject] = .some(nil) }
    for entry in first { known[entry.subject] = .some(try entry.namedEnterprise) }
  }

  /// Notes whose an entry is.
  func add(_ entry: LedgerEntry) throws {
    var owner = try entry.namedEnterprise
    if owner == nil, let thing = try entry.ownedThrough {
      if known[thing] == nil { try expect([entry]) }
      owner = known[thing] ?? nil
    }
    guard let owner else { return }
    enterprises.append(Storable.text(owner))
    sequences.append(entry.sequence)
    if sequences.count >= Self.capacity { try flush() }
  }

  /// Writes what has been noted.
  func flush() throws {
    guard !sequences.isEmpty else { return }
    try connection.run(
      """
      INSERT INTO entry_owner SELECT * FROM unnest($1::text[], $2::bigint[])
      ON CONFLICT (enterprise, seq) DO NOTHING
      """,
      [.texts(enterprises), .integers(sequences)]
    )
    enterprises.removeAll(keepingCapacity: true)
    sequences.removeAll(keepingCapacity: true)
  }

  /// Derives the whole index anew.
  func rebuild() throws {
    try connection.script(
      """
      DELETE FROM entry_owner;
      INSERT INTO entry_owner
        SELECT split_part(subject, '/', 1), seq FROM entry
        WHERE kind = 'alarm' AND position('/' IN subject) > 1
      """
    )
    var last: Int64 = 0
    while true {
      let page = try EntryColumns.fetch(
        connection,
        "WHERE seq > $1 AND kind <> 'alarm' ORDER BY seq LIMIT $2",
        [.integer(last), .integer(Self.page)]
      )
      guard let newest = page.last else { break }
      try expect(page)
      for entry in page { try add(entry) }
      last = newest.sequence
    }
    try flush()
  }
}

extension PostgresLedger {
  /// Enterprises that one query seeks; more of them are sought part by part.
  private static let soughtEnterprises = 64

  /// Entries behind a cursor that belong to one of the enterprises, in order.
  ///
  /// One seek an enterprise, each part bounded by what those before have found, so that it costs the same however long
  /// the ledger and however rare the enterprises in it.
  public func entries(
    ofEnterprises ids: Set<String>,
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    try reading { connection in
      var found: [Int64] = []
      var bound = Int64.max
      let sorted = ids.sorted()
      for start in stride(from: 0, to: sorted.count, by: Self.soughtEnterprises) {
        let part = Array(sorted[start..<min(start + Self.soughtEnterprises, sorted.count)])
        let rows = try connection.run(
          """
          SELECT owned.seq FROM unnest($1::text[]) AS sought(id) CROSS JOIN LATERAL (
            SELECT seq FROM entry_owner
            WHERE enterprise = sought.id AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4
          ) AS owned ORDER BY owned.seq LIMIT $4
          """,
          [.texts(part), .integer(sequence), .integer(bound), .integer(Int64(limit))]
        )
        found += (0..<rows.count).map { rows.integer($0, 0) }
        guard found.count > limit else { continue }
        found.sort()
        found.removeLast(found.count - limit)
        bound = found.last ?? bound
      }
      guard !found.isEmpty else { return [] }
      return try EntryColumns.fetch(
        connection,
        "WHERE seq = ANY($1::bigint[]) ORDER BY seq",
        [.integers(found)]
      )
    }
  }
}
