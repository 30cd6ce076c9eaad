internal import GRDB

/// Where a store keeps the views; ``ViewWriter`` decides what they say, the same for every store.
package protocol ViewTables {
  /// An alarm as it is stored.
  func alarm(id: String) throws -> AlarmView?

  /// The entries of a hazard up to a sequence, in order.
  func hazardEntries(id: String, through last: Int64) throws -> [LedgerEntry]

  /// Stores alarms, new ones and changed ones.
  func write(_ alarms: [(view: AlarmView, isNew: Bool)]) throws

  /// Stores hazards, new ones and changed ones, and the alarms behind them.
  func write(_ hazards: [HazardView], alarms: [(alarm: String, hazard: String)]) throws

  /// Adds steps to matters, known ones and new ones: the newest step's state counts, the first one's begin stays.
  func add(_ matters: [MatterView]) throws

  /// Adds to counters.
  func add(_ counts: [String: Int64]) throws

  /// Takes alarms out.
  func removeAlarms(_ ids: [String]) throws

  /// Notes whose entry it is, where the store keeps an index of that.
  func own(_ entry: LedgerEntry) throws

  /// Writes what ``own(_:)`` has kept back.
  func flushOwners() throws

  /// Empties all views.
  func clear() throws
}

extension ViewTables {
  package func flushOwners() throws {}
}

/// The views as tables of SQLite.
struct SQLiteViews: ViewTables {
  private let db: Database
  private let owners: OwnerIndex

  init(_ db: Database) {
    self.db = db
    owners = OwnerIndex(db)
  }

  func own(_ entry: LedgerEntry) throws { try owners.add(entry) }

  func alarm(id: String) throws -> AlarmView? {
    try AlarmRow.fetch(db, id: id)
  }

  func hazardEntries(id: String, through last: Int64) throws -> [LedgerEntry] {
    var entries: [LedgerEntry] = []
    try EntryRow.forEach(
      db,
      "WHERE subject = ? AND kind = 'hazard' AND seq <= ? ORDER BY seq",
      arguments: [id, last]
    ) { entries.append($0) }
    return entries
  }

  func write(_ alarms: [(view: AlarmView, isNew: Bool)]) throws {
    for (view, isNew) in alarms {
      if isNew {
        try AlarmRow.insert(view, into: db)
      } else {
        try AlarmRow.update(view, in: db)
      }
    }
  }

  func write(_ hazards: [HazardView], alarms: [(alarm: String, hazard: String)]) throws {
    for view in hazards { try HazardRow.store(view, in: db) }
    let link = try db.cachedStatement(sql: "INSERT OR IGNORE INTO hazard_alarm VALUES (?, ?)")
    for (alarm, hazard) in alarms { try link.execute(arguments: [alarm, hazard]) }
  }

  func add(_ matters: [MatterView]) throws {
    for matter in matters { try MatterRow.add(matter, in: db) }
  }

  func add(_ counts: [String: Int64]) throws {
    let count = try db.cachedStatement(
      sql: """
        INSERT INTO counter VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET value = value + excluded.value
        """
    )
    for (name, value) in counts { try count.execute(arguments: [name, value]) }
  }

  func removeAlarms(_ ids: [String]) throws {
    let delete = try HotStatement(db, sql: "DELETE FROM alarm WHERE id = ?")
    for id in ids {
      delete.bind(1, id)
      try delete.run()
    }
  }

  func clear() throws {
    try db.execute(
      sql: """
        DELETE FROM alarm; DELETE FROM counter; DELETE FROM hazard; DELETE FROM hazard_alarm;
        DELETE FROM matter; DELETE FROM entry_owner
        """
    )
  }
}
