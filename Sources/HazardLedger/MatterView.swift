internal import GRDB
public import Telemetry

/// Something that the ledger follows besides alarms and hazards, in a list: a call-out, a clock, a notice, a silence,
/// a register item.
///
/// Its particulars are the fold of its entries, see ``LedgerStore/entries(of:after:limit:)``.
public struct MatterView: Hashable, Sendable {
  /// Kind of its entries.
  public var kind: EntryKind
  /// Identity; the subject of its entries.
  public var id: String
  /// What its first entry says of the place: a path, or what it is about.
  public var place: String
  /// The event of its newest entry.
  public var state: String
  /// False when nothing more is expected of it.
  public var isOpen: Bool
  /// First entry; the paging cursor.
  public var firstSequence: Int64
  /// Newest entry.
  public var lastSequence: Int64
  /// Time of the first entry.
  public var firstTime: Timestamp
  /// Time of the newest entry.
  public var lastTime: Timestamp
  /// Entries so far.
  public var steps: Int

  /// Begins with the first entry.
  init(_ entry: LedgerEntry, body: JSONValue) {
    kind = entry.kind
    id = entry.subject
    place = (body["place"] ?? body["about"])?.text ?? ""
    state = ""
    isOpen = true
    firstSequence = entry.sequence
    lastSequence = entry.sequence
    firstTime = entry.time
    lastTime = entry.time
    steps = 0
    add(entry, body: body)
  }

  package init(
    kind: EntryKind,
    id: String,
    place: String,
    state: String,
    isOpen: Bool,
    firstSequence: Int64,
    lastSequence: Int64,
    firstTime: Timestamp,
    lastTime: Timestamp,
    steps: Int
  ) {
    self.kind = kind
    self.id = id
    self.place = place
    self.state = state
    self.isOpen = isOpen
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.firstTime = firstTime
    self.lastTime = lastTime
    self.steps = steps
  }

  /// Adds a further entry.
  public mutating func add(_ entry: LedgerEntry, body: JSONValue) {
    state = body["event"]?.text ?? ""
    // A notice says how many persons it has still to reach; of the others the event tells.
    isOpen = body["remaining"]?.wholeNumber.map { $0 > 0 } ?? !Self.final.contains(state)
    lastSequence = entry.sequence
    lastTime = entry.time
    steps += 1
  }

  /// The kinds that are listed so.
  public static let kinds: Set<EntryKind> = [.callout, .clock, .silence, .register, .notice]

  /// Events after which nothing more is expected: a call-out answered or cancelled, a clock stopped, a silence
  /// ended, a register item withdrawn.
  public static let final: Set<String> = [
    "confirmed", "cancelled", "feedbackDue", "feedbackDelivered", "feedbackFailed", "feedback",
    "stopped", "ended", "revoked", "closed",
  ]
}

/// Which matters a list is to hold; what is nil or empty does not filter.
public struct MatterFilter: Hashable, Sendable {
  /// Of this kind.
  public var kind: EntryKind
  /// Only those of which something is expected.
  public var openOnly: Bool
  /// Only at or below these paths.
  public var places: [String]

  /// Makes a filter.
  public init(kind: EntryKind, openOnly: Bool = false, places: [String] = []) {
    self.kind = kind
    self.openOnly = openOnly
    self.places = places
  }

  /// True when the matter fits.
  public func fits(_ matter: MatterView) -> Bool {
    matter.kind == kind && (!openOnly || matter.isOpen)
      && (places.isEmpty
        || places.contains { matter.place == $0 || matter.place.hasPrefix($0 + "/") })
  }
}

extension SQLiteLedger {
  /// Call-outs, clocks, silences or register items by filter, newest first, from before a cursor (nil: from the newest).
  public func matters(
    _ filter: MatterFilter,
    before cursor: Int64? = nil,
    limit: Int
  ) throws(LedgerError) -> [MatterView] {
    var conditions = ["kind = ?", "first_seq < ?"]
    var arguments: StatementArguments = [filter.kind.rawValue, cursor ?? .max]
    if filter.openOnly { conditions.append("is_open = 1") }
    var inPlaces: (sql: String, arguments: StatementArguments) = ("", [])
    if !filter.places.isEmpty {
      var parts: [String] = []
      for place in filter.places {
        parts.append("place = ? OR (place >= ? AND place < ?)")
        // "/" is followed by "0": everything below the path lies between the two.
        inPlaces.arguments += [place, place + "/", place + "0"]
      }
      inPlaces.sql = "(\(parts.joined(separator: " OR ")))"
      conditions.append(inPlaces.sql)
      arguments += inPlaces.arguments
    }
    arguments += [limit]
    let chosen = conditions.joined(separator: " AND ")
    return try reading { [arguments, inPlaces] db in
      var index = ""
      if !inPlaces.sql.isEmpty, filter.places.count <= Self.soughtPlaces {
        // Of a place with little in it a walk from the newest on would meet next to nothing, down to the oldest.
        let count = try Int.fetchOne(
          db,
          sql: """
            SELECT count(*) FROM (SELECT 1 FROM matter INDEXED BY matter_place
              WHERE kind = ? AND \(inPlaces.sql) LIMIT \(Self.sortedMatters + 1))
            """,
          arguments: [filter.kind.rawValue] + inPlaces.arguments
        )
        if count ?? 0 <= Self.sortedMatters { index = "INDEXED BY matter_place" }
      }
      let sql = "SELECT * FROM matter \(index) WHERE \(chosen) ORDER BY first_seq DESC LIMIT ?"
      return try Row.fetchAll(db, sql: sql, arguments: arguments).map(MatterRow.decode)
    }
  }

  /// Up to so many matters of some places are found by that index and sorted, and up to so many places are sought.
  private static let sortedMatters = 20_000
  private static let soughtPlaces = 200
}

extension SQLiteLedger {
  /// One call-out, clock, silence or register item.
  public func matter(_ kind: EntryKind, id: String) throws(LedgerError) -> MatterView? {
    try reading { db in
      let sql = "SELECT * FROM matter WHERE kind = ? AND id = ?"
      return try Row.fetchOne(db, sql: sql, arguments: [kind.rawValue, id]).map(MatterRow.decode)
    }
  }
}

/// A matter as a row.
enum MatterRow {
  /// Adds the steps of a matter.
  static func add(_ matter: MatterView, in db: Database) throws {
    try db.cachedStatement(
      sql: """
        INSERT INTO matter (first_seq, kind, id, place, state, is_open, first_time, last_time, last_seq, steps)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (kind, id) DO UPDATE SET
          state = excluded.state, is_open = excluded.is_open, last_time = excluded.last_time,
          last_seq = excluded.last_seq, steps = steps + excluded.steps
        """
    ).execute(arguments: [
      matter.firstSequence, matter.kind.rawValue, matter.id, matter.place, matter.state,
      matter.isOpen ? 1 : 0, matter.firstTime.milliseconds, matter.lastTime.milliseconds,
      matter.lastSequence, matter.steps,
    ])
  }

  static func decode(_ row: Row) throws -> MatterView {
    guard let kind = EntryKind(rawValue: row["kind"]) else {
      throw LedgerError.damaged(path: "matter \(row["id"] as String)", detail: "unknown kind")
    }
    return MatterView(
      kind: kind,
      id: row["id"],
      place: row["place"],
      state: row["state"],
      isOpen: (row["is_open"] as Int64) == 1,
      firstSequence: row["first_seq"],
      lastSequence: row["last_seq"],
      firstTime: Timestamp(milliseconds: row["first_time"]),
      lastTime: Timestamp(milliseconds: row["last_time"]),
      steps: row["steps"]
    )
  }
}
