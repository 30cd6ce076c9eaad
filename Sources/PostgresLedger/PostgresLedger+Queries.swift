public import HazardLedger
import Telemetry

extension PostgresLedger {
  /// Journal sequence up to which every input is in the ledger.
  public var position: UInt64 {
    get throws(LedgerError) {
      try reading { UInt64(try $0.run("SELECT position FROM station").integer(0, 0)) }
    }
  }

  /// Sequence and hash of the newest entry.
  public var head: (sequence: Int64, hash: [UInt8]) {
    get throws(LedgerError) {
      try reading { connection in
        let row = try connection.run("SELECT head_seq, head_hash FROM station")
        guard row.count == 1 else {
          throw LedgerError.damaged(path: path, detail: "the station's row is missing")
        }
        return (row.integer(0, 0), row.bytes(0, 1))
      }
    }
  }

  /// Entries behind a cursor, in order.
  public func entries(
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    try reading {
      try EntryColumns.fetch(
        $0,
        "WHERE seq > $1 ORDER BY seq LIMIT $2",
        [.integer(sequence), .integer(Int64(limit))]
      )
    }
  }

  /// Entries of one alarm, hazard or other thing behind a cursor, in order.
  public func entries(
    of subject: String,
    after sequence: Int64 = 0,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    try reading {
      try EntryColumns.fetch(
        $0,
        "WHERE subject = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        [.text(subject), .integer(sequence), .integer(Int64(limit))]
      )
    }
  }

  /// Every alarm that is not normal, oldest first.
  public func standingAlarms() throws(LedgerError) -> [AlarmView] {
    try reading { try AlarmColumns.fetch($0, "WHERE state <> 'normal' ORDER BY first_seq") }
  }

  /// Alarms by filter, newest first, from before a cursor (nil: from the newest).
  public func alarms(
    _ filter: AlarmFilter = AlarmFilter(),
    before cursor: Int64? = nil,
    limit: Int
  ) throws(LedgerError) -> AlarmPage {
    var chosen = Conditions()
    if filter.standingOnly { chosen.add("state <> 'normal'") }
    if !filter.states.isEmpty {
      chosen.add("state = ANY(?::text[])", .texts(filter.states.map(\.rawValue).sorted()))
    }
    if let priority = filter.minimumPriority {
      chosen.add("priority >= ?", .integer(Int64(priority)))
    }
    if !filter.pointPaths.isEmpty {
      chosen.add(below: filter.pointPaths, column: "point")
    }
    if let rule = filter.rule { chosen.add("rule = ?", .text(rule)) }
    if let from = filter.onsetFrom { chosen.add("onset >= ?", .integer(from.milliseconds)) }
    if let before = filter.onsetBefore { chosen.add("onset < ?", .integer(before.milliseconds)) }
    if let cursor { chosen.add("first_seq < ?", .integer(cursor)) }
    var source = "alarm"
    if case .enterprises(let ids) = filter.scope {
      // One seek an enterprise, each no further than a page: the newest of them all is the page.
      chosen.add("split_part(point, '/', 1) = sought.enterprise")
      chosen.parameters.append(.integer(Int64(limit) + 1))
      chosen.parameters.append(.texts(ids.sorted()))
      source = """
        unnest($\(chosen.parameters.count)::text[]) AS sought(enterprise) CROSS JOIN LATERAL (
          SELECT * FROM alarm \(chosen.clause)
          ORDER BY first_seq DESC LIMIT $\(chosen.parameters.count - 1)
        ) AS own
        """
    }
    // One more than asked for shows whether there is a next page.
    if source != "alarm" { chosen = Conditions(parameters: chosen.parameters) }
    chosen.parameters.append(.integer(Int64(limit) + 1))
    let clauses = "\(chosen.clause) ORDER BY first_seq DESC LIMIT $\(chosen.parameters.count)"
    var alarms = try reading { [chosen, source] in
      try AlarmColumns.fetch($0, clauses, chosen.parameters, from: source)
    }
    guard alarms.count > limit else { return AlarmPage(alarms: alarms, next: nil) }
    alarms.removeLast()
    return AlarmPage(alarms: alarms, next: alarms.last?.firstSequence)
  }

  /// One alarm occurrence by its id.
  public func alarm(id: String) throws(LedgerError) -> AlarmView? {
    try reading { try AlarmColumns.fetch($0, "WHERE id = $1", [.text(id)]).first }
  }

  /// What was refused: newest first.
  public func rejects(limit: Int) throws(LedgerError) -> [RejectTally] {
    try reading { connection in
      let rows = try connection.run(
        """
        SELECT reason, topic, device, count, first_seq, last_seq, first_time, last_time, detail, sample
        FROM reject ORDER BY last_seq DESC, reason, topic, device LIMIT $1
        """,
        [.integer(Int64(limit))]
      )
      return (0..<rows.count).map { row in
        RejectTally(
          reason: rows.text(row, 0),
          topic: rows.text(row, 1),
          device: rows.text(row, 2),
          count: rows.integer(row, 3),
          firstSequence: UInt64(rows.integer(row, 4)),
          lastSequence: UInt64(rows.integer(row, 5)),
          firstTime: Timestamp(milliseconds: rows.integer(row, 6)),
          lastTime: Timestamp(milliseconds: rows.integer(row, 7)),
          detail: rows.text(row, 8),
          sample: rows.bytes(row, 9)
        )
      }
    }
  }

  /// Counters derived from the entries: `entry.<kind>` and `alarm.<event>`.
  public func counters() throws(LedgerError) -> [String: Int64] {
    try reading { connection in
      let rows = try connection.run("SELECT name, value FROM counter")
      return Dictionary(
        uniqueKeysWithValues: (0..<rows.count).map { (rows.text($0, 0), rows.integer($0, 1)) }
      )
    }
  }

  /// One hazard with all its facts, folded from its entries.
  public func hazard(id: String) throws(LedgerError) -> Hazard? {
    let entries = try reading {
      try PostgresViews(connection: $0).hazardEntries(id: id, through: .max)
    }
    return try FoldedHazard.fold(entries)?.hazard
  }

  /// Hazards by filter, newest first, from before a cursor (nil: from the newest).
  public func hazards(
    _ filter: HazardFilter = HazardFilter(),
    before cursor: Int64? = nil,
    limit: Int
  ) throws(LedgerError) -> [HazardView] {
    var chosen = Conditions()
    if let cursor { chosen.add("first_seq < ?", .integer(cursor)) }
    if filter.openOnly {
      let final = HazardState.allCases.filter(\.isFinal).map(\.rawValue)
      chosen.add("state <> ALL(?::text[])", .texts(final))
    }
    if !filter.enterprises.isEmpty {
      chosen.add("enterprise = ANY(?::text[])", .texts(filter.enterprises))
    }
    if let grade = filter.grade { chosen.add("grade = ?", .text(grade.rawValue)) }
    if !filter.states.isEmpty {
      chosen.add("state = ANY(?::text[])", .texts(filter.states.map(\.rawValue).sorted()))
    }
    if !filter.sources.isEmpty {
      chosen.add("source = ANY(?::text[])", .texts(filter.sources.map(\.rawValue).sorted()))
    }
    if filter.listedOnly { chosen.add("listed IS NOT NULL") }
    if let limit = filter.dueBefore { chosen.add("deadline < ?", .integer(limit.milliseconds)) }
    return try reading { [chosen] connection in
      var chosen = chosen
      if !filter.place.isEmpty {
        try chosen.add(
          below: [filter.place],
          sought: Self.soughtHazards,
          fixed: [],
          connection
        )
      }
      chosen.parameters.append(.integer(Int64(limit)))
      let clauses = "\(chosen.clause) ORDER BY first_seq DESC LIMIT $\(chosen.parameters.count)"
      return try HazardColumns.fetch(connection, clauses, chosen.parameters)
    }
  }

  /// Hazards at or below the paths in `PATHS`: two seeks a path.
  private static let soughtHazards = """
    SELECT own.first_seq FROM unnest(PATHS::text[]) AS sought(path) CROSS JOIN LATERAL (
      SELECT first_seq FROM hazard WHERE place = sought.path
      UNION ALL
      SELECT first_seq FROM hazard WHERE place > sought.path || '/' AND place < sought.path || '0'
    ) AS own
    """

  /// Call-outs, clocks, silences or register items by filter, newest first, from before a cursor (nil: from the newest).
  public func matters(
    _ filter: MatterFilter,
    before cursor: Int64? = nil,
    limit: Int
  ) throws(LedgerError) -> [MatterView] {
    let kind = filter.kind.rawValue
    return try reading { connection in
      var chosen = Conditions()
      chosen.add("kind = ?", .text(kind))
      if let cursor { chosen.add("first_seq < ?", .integer(cursor)) }
      if filter.openOnly { chosen.add("is_open = 1") }
      if !filter.places.isEmpty {
        try chosen.add(
          below: filter.places,
          sought: Self.soughtMatters,
          fixed: [.text(kind)],
          connection
        )
      }
      chosen.parameters.append(.integer(Int64(limit)))
      let clauses = "\(chosen.clause) ORDER BY first_seq DESC LIMIT $\(chosen.parameters.count)"
      return try MatterColumns.fetch(connection, clauses, chosen.parameters)
    }
  }

  /// Matters of kind $1 at or below the paths in `PATHS`: two seeks a path.
  private static let soughtMatters = """
    SELECT own.first_seq FROM unnest(PATHS::text[]) AS sought(path) CROSS JOIN LATERAL (
      SELECT first_seq FROM matter WHERE kind = $1 AND place = sought.path
      UNION ALL
      SELECT first_seq FROM matter
      WHERE kind = $1 AND place > sought.path || '/' AND place < sought.path || '0'
    ) AS own
    """

  /// One call-out, clock, silence or register item.
  public func matter(_ kind: EntryKind, id: String) throws(LedgerError) -> MatterView? {
    try reading {
      try MatterColumns.fetch(
        $0,
        "WHERE kind = $1 AND id = $2",
        [.text(kind.rawValue), .text(id)]
      ).first
    }
  }

  /// Hazards that an alarm is behind.
  public func hazards(ofAlarm id: String) throws(LedgerError) -> [String] {
    try reading { connection in
      let rows = try connection.run(
        "SELECT hazard FROM hazard_alarm WHERE alarm = $1 ORDER BY hazard",
        [.text(id)]
      )
      return (0..<rows.count).map { rows.text($0, 0) }
    }
  }
}

/// Conditions of a WHERE clause; each `?` becomes its parameter's number.
struct Conditions {
  private var conditions: [String] = []
  var parameters: [PostgresValue]

  init(parameters: [PostgresValue] = []) {
    self.parameters = parameters
  }

  mutating func add(_ condition: String, _ value: PostgresValue? = nil) {
    guard let value else { return conditions.append(condition) }
    parameters.append(value)
    conditions.append(condition.replacing("?", with: "$\(parameters.count)"))
  }

  /// Up to so many rows of some places are found by their index and sorted.
  private static let sortedRows: Int64 = 20_000

  /// Rows at or below some paths, by the index of places where those are few.
  ///
  /// Of a place with little in it a walk from the newest on would meet next to nothing, down to the oldest: what its
  /// index finds is then sorted. A place with much is met soon.
  ///
  /// - Parameters:
  ///   - paths: the paths.
  ///   - sought: a query for their `first_seq`, with `PATHS` for the parameter.
  ///   - fixed: parameters of it that are the first ones here too.
  ///   - connection: where the rows are counted.
  /// - Throws: what the database says.
  mutating func add(
    below paths: [String],
    sought: String,
    fixed: [PostgresValue],
    _ connection: PostgresConnection
  ) throws {
    let counted = sought.replacing("PATHS", with: "$\(fixed.count + 1)")
    let found = try connection.run(
      "SELECT count(*) FROM (\(counted) LIMIT \(Self.sortedRows + 1)) AS few",
      fixed + [.texts(paths)]
    ).integer(0, 0)
    if found <= Self.sortedRows {
      parameters.append(.texts(paths))
      add("first_seq IN (\(sought.replacing("PATHS", with: "$\(parameters.count)")))")
    } else {
      add(below: paths, column: "place")
    }
  }

  /// '0' is the byte after '/': all that lies at or below a path, and nothing that merely begins alike.
  mutating func add(below paths: [String], column: String) {
    add(
      """
      EXISTS (SELECT 1 FROM unnest(?::text[]) AS path
        WHERE \(column) = path OR \(column) > path || '/' AND \(column) < path || '0')
      """,
      .texts(paths)
    )
  }

  var clause: String {
    conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
  }
}
