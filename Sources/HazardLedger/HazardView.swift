internal import GRDB
public import Telemetry

/// A hazard in a list.
public struct HazardView: Hashable, Sendable {
  /// Identity.
  public var id: String
  /// Whose it is.
  public var enterprise: String
  /// Where.
  public var place: String
  /// Where it came from.
  public var source: HazardSource
  /// What it is, in one line.
  public var title: String
  /// Where it stands.
  public var state: HazardState
  /// Grade, once graded.
  public var grade: HazardGrade?
  /// Deadline in force.
  public var deadline: Timestamp?
  /// 挂牌督办, while listed.
  public var listed: ListingLevel?
  /// Highest rung of the escalation.
  public var rung: EscalationRung?
  /// First entry; the paging cursor.
  public var firstSequence: Int64
  /// Newest entry.
  public var lastSequence: Int64
  /// Time of the newest act.
  public var lastTime: Timestamp
  /// Acts so far.
  public var steps: Int

  /// Makes a view from its parts.
  package init(
    id: String,
    enterprise: String,
    place: String,
    source: HazardSource,
    title: String,
    state: HazardState,
    grade: HazardGrade?,
    deadline: Timestamp?,
    listed: ListingLevel?,
    rung: EscalationRung?,
    firstSequence: Int64,
    lastSequence: Int64,
    lastTime: Timestamp,
    steps: Int
  ) {
    self.id = id
    self.enterprise = enterprise
    self.place = place
    self.source = source
    self.title = title
    self.state = state
    self.grade = grade
    self.deadline = deadline
    self.listed = listed
    self.rung = rung
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.lastTime = lastTime
    self.steps = steps
  }
}

/// Which hazards a list is to hold; what is nil or empty does not filter.
public struct HazardFilter: Hashable, Sendable {
  /// Only those in which something has still to happen.
  public var openOnly: Bool
  /// Only of these enterprises; how a caller is held to its own.
  public var enterprises: [String]
  /// Only of this grade.
  public var grade: HazardGrade?
  /// Only in these states.
  public var states: Set<HazardState> = []
  /// Only from these sources.
  public var sources: Set<HazardSource> = []
  /// Only at or below this path.
  public var place = ""
  /// Only those on the list (挂牌督办).
  public var listedOnly = false
  /// Only those whose deadline was before this.
  public var dueBefore: Timestamp?

  /// Makes a filter.
  public init(openOnly: Bool = false, enterprises: [String] = [], grade: HazardGrade? = nil) {
    self.openOnly = openOnly
    self.enterprises = enterprises
    self.grade = grade
  }

  /// True when the hazard fits.
  public func fits(_ hazard: HazardView) -> Bool {
    if openOnly, hazard.state.isFinal { return false }
    if !enterprises.isEmpty, !enterprises.contains(hazard.enterprise) { return false }
    if let grade, hazard.grade != grade { return false }
    if !states.isEmpty, !states.contains(hazard.state) { return false }
    if !sources.isEmpty, !sources.contains(hazard.source) { return false }
    if !place.isEmpty, hazard.place != place, !hazard.place.hasPrefix(place + "/") { return false }
    if listedOnly, hazard.listed == nil { return false }
    if let dueBefore {
      guard let deadline = hazard.deadline, deadline < dueBefore else { return false }
    }
    return true
  }
}

extension SQLiteLedger {
  /// One hazard with all its facts, folded from its entries.
  public func hazard(id: String) throws(LedgerError) -> Hazard? {
    try reading {
      try FoldedHazard.fold(SQLiteViews($0).hazardEntries(id: id, through: .max))?.hazard
    }
  }

  /// Hazards by filter, newest first, from before a cursor (nil: from the newest).
  public func hazards(
    _ filter: HazardFilter = HazardFilter(),
    before cursor: Int64? = nil,
    limit: Int
  ) throws(LedgerError) -> [HazardView] {
    var conditions = ["first_seq < ?"]
    var arguments: StatementArguments = [cursor ?? .max]
    if filter.openOnly {
      let final = HazardState.allCases.filter(\.isFinal).map(\.rawValue)
      conditions.append("state NOT IN (\(final.map { "'\($0)'" }.joined(separator: ", ")))")
    }
    if !filter.enterprises.isEmpty {
      let marks = repeatElement("?", count: filter.enterprises.count).joined(separator: ", ")
      conditions.append("enterprise IN (\(marks))")
      arguments += StatementArguments(filter.enterprises)
    }
    if let grade = filter.grade {
      conditions.append("grade = ?")
      arguments += [grade.rawValue]
    }
    if !filter.states.isEmpty {
      conditions.append(Self.among("state", filter.states.map(\.rawValue).sorted()))
    }
    if !filter.sources.isEmpty {
      conditions.append(Self.among("source", filter.sources.map(\.rawValue).sorted()))
    }
    if !filter.place.isEmpty {
      conditions.append(Self.atPlace)
      arguments += Self.placeArguments(filter.place)
    }
    if filter.listedOnly { conditions.append("listed IS NOT NULL") }
    if let limit = filter.dueBefore {
      conditions.append("deadline < ?")
      arguments += [limit.milliseconds]
    }
    arguments += [limit]
    let chosen = conditions.joined(separator: " AND ")
    return try reading { [arguments] db in
      let index = try Self.index(for: filter, in: db)
      let sql = "SELECT * FROM hazard \(index) WHERE \(chosen) ORDER BY first_seq DESC LIMIT ?"
      return try Row.fetchAll(db, sql: sql, arguments: arguments).map(HazardRow.decode)
    }
  }

  /// Up to so many hazards of a place are found by its index and sorted.
  private static let sortedHazards = 20_000

  /// Hazards at or below a path.
  ///
  /// "/" is followed by "0": everything below the path lies between the two. The outer bounds come first: they are what
  /// the index is entered by.
  private static let atPlace = "(place >= ? AND place < ? AND (place = ? OR place > ?))"

  private static func placeArguments(_ place: String) -> StatementArguments {
    [place, place + "0", place, place + "/"]
  }

  /// The index that a list is to go by where SQLite, which keeps no statistics here, would choose worse; else empty.
  private static func index(for filter: HazardFilter, in db: Database) throws -> String {
    // Of several enterprises all hazards would be sorted for the few that are open.
    let open = filter.openOnly && filter.enterprises.count != 1 ? "INDEXED BY hazard_open" : ""
    guard !filter.place.isEmpty else { return open }
    // Of a place with few hazards a walk from the newest on would meet next to none, down to the oldest. Of one with
    // many it meets enough soon, and sorting all of them for one page would take longer.
    let count = try Int.fetchOne(
      db,
      sql: """
        SELECT count(*) FROM (SELECT 1 FROM hazard INDEXED BY hazard_place
          WHERE \(atPlace) LIMIT \(sortedHazards + 1))
        """,
      arguments: placeArguments(filter.place)
    )
    if count ?? 0 <= sortedHazards { return "INDEXED BY hazard_place" }
    return filter.openOnly ? "INDEXED BY hazard_open" : "NOT INDEXED"
  }

  /// A condition over names of our own, which need no escaping.
  private static func among(_ column: String, _ names: [String]) -> String {
    "\(column) IN (\(names.map { "'\($0)'" }.joined(separator: ", ")))"
  }

  /// Hazards that an alarm is behind.
  public func hazards(ofAlarm id: String) throws(LedgerError) -> [String] {
    try reading {
      try String.fetchAll(
        $0,
        sql: "SELECT hazard FROM hazard_alarm WHERE alarm = ? ORDER BY hazard",
        arguments: [id]
      )
    }
  }
}

/// A hazard folded from its entries, with its place in the ledger.
package struct FoldedHazard {
  /// The hazard.
  package let hazard: Hazard
  /// Its first entry.
  package let firstSequence: Int64
  private let lastSequence: Int64

  /// Adds an entry, the first to nothing.
  package init(_ known: FoldedHazard?, adding entry: LedgerEntry) throws(LedgerError) {
    var hazard = known?.hazard
    do throws(BodyError) {
      try Hazard.replay(entry, onto: &hazard)
    } catch {
      throw .refused(reason: "entry \(entry.sequence): \(error)")
    }
    guard let hazard else {
      throw .refused(reason: "entry \(entry.sequence): makes no hazard of \(entry.subject)")
    }
    self.hazard = hazard
    firstSequence = known?.firstSequence ?? entry.sequence
    lastSequence = entry.sequence
  }

  /// The hazard as lists show it.
  package var view: HazardView {
    let registration = hazard.registration
    return HazardView(
      id: registration.id,
      enterprise: registration.enterprise,
      place: registration.place,
      source: registration.source,
      title: registration.title,
      state: hazard.state,
      grade: hazard.grade,
      deadline: hazard.deadline,
      listed: hazard.listed,
      rung: hazard.rung,
      firstSequence: firstSequence,
      lastSequence: lastSequence,
      lastTime: hazard.lastTime,
      steps: hazard.steps
    )
  }

  /// Folds entries of one hazard; nil without any.
  package static func fold(_ entries: [LedgerEntry]) throws(LedgerError) -> FoldedHazard? {
    var row: FoldedHazard?
    for entry in entries { row = try FoldedHazard(row, adding: entry) }
    return row
  }
}

/// A ``HazardView`` as a row.
enum HazardRow {
  static func store(_ view: HazardView, in db: Database) throws {
    try db.cachedStatement(
      sql: "INSERT OR REPLACE INTO hazard VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ).execute(arguments: [
      view.firstSequence, view.id, view.enterprise, view.place, view.source.rawValue, view.title,
      view.state.rawValue, view.grade?.rawValue, view.deadline?.milliseconds,
      view.listed?.rawValue, view.rung?.rawValue, view.lastTime.milliseconds, view.lastSequence,
      view.steps,
    ])
  }

  static func decode(_ row: Row) throws -> HazardView {
    guard let source = HazardSource(rawValue: row["source"]),
      let state = HazardState(rawValue: row["state"])
    else {
      throw LedgerError.damaged(path: "hazard \(row["id"] as String)", detail: "unknown name")
    }
    return HazardView(
      id: row["id"],
      enterprise: row["enterprise"],
      place: row["place"],
      source: source,
      title: row["title"],
      state: state,
      grade: (row["grade"] as String?).flatMap { HazardGrade(rawValue: $0) },
      deadline: (row["deadline"] as Int64?).map { Timestamp(milliseconds: $0) },
      listed: (row["listed"] as String?).flatMap { ListingLevel(rawValue: $0) },
      rung: (row["rung"] as String?).flatMap { EscalationRung(rawValue: $0) },
      firstSequence: row["first_seq"],
      lastSequence: row["last_seq"],
      lastTime: Timestamp(milliseconds: row["last_time"]),
      steps: row["steps"]
    )
  }
}
