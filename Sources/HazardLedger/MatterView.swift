internal import GRDB
public import Telemetry

/// Something that the ledger follows besides alarms and hazards, in a list: a call-out, a clock, a silence, a register item.
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

  init(
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
    isOpen = !Self.final.contains(state)
    lastSequence = entry.sequence
    lastTime = entry.time
    steps += 1
  }

  /// The kinds that are listed so.
  public static let kinds: Set<EntryKind> = [.callout, .clock, .silence, .register]

  /// Events after which nothing more is expected: a call-out answered or cancelled, a clock stopped, a silence
  /// ended, a register item withdrawn.
  public static let final: Set<String> = [
    "confirmed", "cancelled", "feedbackDue", "feedback", "stopped", "ended", "revoked", "closed",
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
    if !filter.places.isEmpty {
      var parts: [String] = []
      for place in filter.places {
        parts.append("place = ? OR (place >= ? AND place < ?)")
        // "/" is followed by "0": everything below the path lies between the two.
        arguments += [place, place + "/", place + "0"]
      }
      conditions.append("(\(parts.joined(separator: " OR ")))")
    }
    arguments += [limit]
    let chosen = conditions.joined(separator: " AND ")
    return try reading { [arguments] db in
      let sql = "SELECT * FROM matter WHERE \(chosen) ORDER BY first_seq DESC LIMIT ?"
      return try Row.fetchAll(db, sql: sql, arguments: arguments).map(MatterRow.decode)
    }
  }
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
  static func apply(_ entry: LedgerEntry, body: JSONValue, in db: Database) throws {
    let matter = MatterView(entry, body: body)
    try db.cachedStatement(
      sql: """
        INSERT INTO matter (first_seq, kind, id, place, state, is_open, first_time, last_time, last_seq, steps)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
        ON CONFLICT (kind, id) DO UPDATE SET
          state = excluded.state, is_open = excluded.is_open, last_time = excluded.last_time,
          last_seq = excluded.last_seq, steps = steps + 1
        """
    ).execute(arguments: [
      matter.firstSequence, matter.kind.rawValue, matter.id, matter.place, matter.state,
      matter.isOpen ? 1 : 0, matter.firstTime.milliseconds, matter.lastTime.milliseconds,
      matter.lastSequence,
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
