internal import GRDB

/// Which entries belong to which enterprise: what a scoped reader is answered from without walking the whole chain.
///
/// A view like the others: derived from the entries, and derived again when views are rebuilt.
final class OwnerIndex {
  private let db: Database
  /// Prepared when the first entry comes: a reader has no use for it.
  private var insert: HotStatement?
  /// Owners of things whose first entry names one, by subject.
  private var known: [String: String?] = [:]
  private static let capacity = 10_000

  init(_ db: Database) {
    self.db = db
  }

  func add(_ entry: LedgerEntry) throws {
    guard let enterprise = try owner(of: entry) else { return }
    let insert =
      try insert ?? HotStatement(db, sql: "INSERT OR IGNORE INTO entry_owner VALUES (?, ?)")
    self.insert = insert
    insert.bind(1, enterprise)
    insert.bind(2, entry.sequence)
    try insert.run()
  }

  private func owner(of entry: LedgerEntry) throws -> String? {
    if let named = try entry.namedEnterprise { return named }
    guard try entry.ownedThrough != nil else { return nil }
    if let owner = known[entry.subject] { return owner }
    var owner: String?
    try EntryRow.forEach(
      db,
      "WHERE subject = ? ORDER BY seq LIMIT 1",
      arguments: [entry.subject]
    ) { owner = try $0.namedEnterprise }
    if known.count >= Self.capacity { known.removeAll(keepingCapacity: true) }
    known[entry.subject] = owner
    return owner
  }

  /// Derives the whole index anew.
  static func rebuild(_ db: Database) throws {
    try db.execute(
      sql: """
        DELETE FROM entry_owner;
        INSERT INTO entry_owner
          SELECT substr(subject, 1, instr(subject, '/') - 1), seq FROM entry
          WHERE kind = 'alarm' AND instr(subject, '/') > 1;
        """
    )
    let index = OwnerIndex(db)
    try EntryRow.forEach(db, "WHERE kind <> 'alarm' ORDER BY seq") { try index.add($0) }
  }
}

extension SQLiteLedger {
  /// Entries behind a cursor that belong to one of the enterprises, in order.
  ///
  /// One seek an enterprise, each bounded by what those before have found, so that it costs the same however long the
  /// ledger and however rare the enterprises in it.
  public func entries(
    ofEnterprises ids: Set<String>,
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    try reading { db in
      let seek = try HotStatement(
        db,
        sql: """
          SELECT seq FROM entry_owner WHERE enterprise = ? AND seq > ? AND seq < ?
          ORDER BY seq LIMIT ?
          """
      )
      var found: [Int64] = []
      var bound = Int64.max
      for id in ids.sorted() {
        seek.bind(1, id)
        seek.bind(2, sequence)
        seek.bind(3, bound)
        seek.bind(4, Int64(limit))
        while try seek.step() { found.append(seek.int64(0)) }
        seek.reset()
        guard found.count > limit else { continue }
        found.sort()
        found.removeLast(found.count - limit)
        bound = found.last ?? bound
      }
      found.sort()
      var entries: [LedgerEntry] = []
      for start in stride(from: 0, to: found.count, by: 500) {
        let part = found[start..<min(start + 500, found.count)]
        let marks = repeatElement("?", count: part.count).joined(separator: ", ")
        try EntryRow.forEach(
          db,
          "WHERE seq IN (\(marks)) ORDER BY seq",
          arguments: StatementArguments(part)
        ) { entries.append($0) }
      }
      return entries
    }
  }
}
