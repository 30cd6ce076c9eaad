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
    try reading { try HazardRow.replay($0, id: id, through: .max)?.hazard }
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
      conditions.append("(place = ? OR (place >= ? AND place < ?))")
      // "/" is followed by "0": everything below the path lies between the two.
      arguments += [filter.place, filter.place + "/", filter.place + "0"]
    }
    if filter.listedOnly { conditions.append("listed IS NOT NULL") }
    if let limit = filter.dueBefore {
      conditions.append("deadline < ?")
      arguments += [limit.milliseconds]
    }
    arguments += [limit]
    let chosen = conditions.joined(separator: " AND ")
    return try reading { [arguments] db in
      let sql = "SELECT * FROM hazard WHERE \(chosen) ORDER BY first_seq DESC LIMIT ?"
      return try Row.fetchAll(db, sql: sql, arguments: arguments).map(HazardRow.decode)
    }
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

/// A hazard's row, and its fold.
struct HazardRow {
  var hazard: Hazard
  var firstSequence: Int64
  var lastSequence: Int64

  static func replay(_ db: Database, id: String, through last: Int64) throws -> HazardRow? {
    var hazard: Hazard?
    var first: Int64 = 0
    var newest: Int64 = 0
    try EntryRow.forEach(
      db,
      "WHERE subject = ? AND kind = 'hazard' AND seq <= ? ORDER BY seq",
      arguments: [id, last]
    ) { entry in
      try Self.add(entry, to: &hazard)
      if first == 0 { first = entry.sequence }
      newest = entry.sequence
    }
    return hazard.map { HazardRow(hazard: $0, firstSequence: first, lastSequence: newest) }
  }

  static func add(_ entry: LedgerEntry, to hazard: inout Hazard?) throws(LedgerError) {
    do throws(BodyError) {
      try Hazard.replay(entry, onto: &hazard)
    } catch {
      throw .refused(reason: "entry \(entry.sequence): \(error)")
    }
  }

  func store(in db: Database) throws {
    let registration = hazard.registration
    try db.cachedStatement(
      sql: "INSERT OR REPLACE INTO hazard VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ).execute(arguments: [
      firstSequence, registration.id, registration.enterprise, registration.place,
      registration.source.rawValue, registration.title, hazard.state.rawValue,
      hazard.grade?.rawValue, hazard.deadline?.milliseconds, hazard.listed?.rawValue,
      hazard.rung?.rawValue, hazard.lastTime.milliseconds, lastSequence, hazard.steps,
    ])
    let link = try db.cachedStatement(sql: "INSERT OR IGNORE INTO hazard_alarm VALUES (?, ?)")
    for alarm in registration.alarms {
      try link.execute(arguments: [alarm, registration.id])
    }
  }

  var view: HazardView {
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
