import Foundation
internal import GRDB
import Telemetry

/// Lists of alarms by filter, in bounded time however long the ledger is.
///
/// A page is full, or ends the list, or is short with a cursor to go on from: a filter that next to nothing fits would
/// otherwise walk millions of rows for one answer.
extension SQLiteLedger {
  /// Rows that one page may walk without an index that knows the filter.
  private static let walkedRows = 50_000
  /// Up to so many enterprises are sought one by one; more are so many that a walk meets them often.
  private static let soughtEnterprises = 200
  /// Up to so many alarms within a span of onset times are found by that index and sorted.
  private static let sortedOnsets = 20_000

  /// Alarms by filter, newest first, from before a cursor (nil: from the newest).
  public func alarms(
    _ filter: AlarmFilter = AlarmFilter(),
    before cursor: Int64? = nil,
    limit: Int
  ) throws(LedgerError) -> AlarmPage {
    let filter = filter.narrowed
    return try reading { db in
      let before = cursor ?? Int64.max
      if let index = try narrowIndex(db, filter) {
        return try page(db, filter, by: (index, nil), within: 0..<before, limit: limit)
      }
      guard case .enterprises(let ids) = filter.scope, ids.count <= Self.soughtEnterprises else {
        let plan = try walk(db, filter, enterprise: nil, before: before)
        return try page(db, filter, by: plan, within: 0..<before, limit: limit)
      }
      // One enterprise after the other, then the newest of all: each page is complete down to its own cursor, so the
      // highest of the cursors is where all of them are complete.
      var alarms: [AlarmView] = []
      var floor: Int64?
      for id in ids.sorted() {
        var own = filter
        own.scope = .enterprises([id])
        let part = try page(
          db,
          own,
          by: try walk(db, own, enterprise: id, before: before, share: ids.count),
          within: (alarms.count > limit ? alarms[limit].firstSequence : 0)..<before,
          limit: limit
        )
        alarms += part.alarms
        if let next = part.next { floor = max(floor ?? next, next) }
        // What is beyond a page's length will not be in it: the next enterprises need not go there.
        alarms.sort { $0.firstSequence > $1.firstSequence }
        if alarms.count > limit + 1 { alarms.removeLast(alarms.count - limit - 1) }
      }
      if let floor { alarms.removeAll { $0.firstSequence < floor } }
      guard alarms.count > limit else { return AlarmPage(alarms: alarms, next: floor) }
      alarms.removeLast(alarms.count - limit)
      return AlarmPage(alarms: alarms, next: alarms.last?.firstSequence)
    }
  }

  private func page(
    _ db: Database,
    _ filter: AlarmFilter,
    by plan: (index: String, floor: Int64?),
    within rows: Range<Int64>,
    limit: Int
  ) throws -> AlarmPage {
    var (conditions, arguments) = filter.sql
    conditions.append("first_seq < ? AND first_seq >= ?")
    arguments += [rows.upperBound, rows.lowerBound]
    if let floor = plan.floor {
      conditions.append("first_seq >= ?")
      arguments += [floor]
    }
    // One more than asked for shows whether there is a next page.
    arguments += [limit + 1]
    var alarms = try AlarmRow.fetchAll(
      db,
      "\(plan.index) WHERE \(conditions.joined(separator: " AND ")) ORDER BY first_seq DESC LIMIT ?",
      arguments: arguments
    )
    guard alarms.count > limit else { return AlarmPage(alarms: alarms, next: plan.floor) }
    alarms.removeLast()
    return AlarmPage(alarms: alarms, next: alarms.last?.firstSequence)
  }

  /// The index by which all that fits can be looked at and sorted, where that is little; nil where it is not.
  ///
  /// Chosen here and not by SQLite, which without statistics takes an index for better than it is.
  private func narrowIndex(_ db: Database, _ filter: AlarmFilter) throws -> String? {
    if filter.standsOnly { return "INDEXED BY alarm_standing" }
    if filter.pointPaths.count == 1, try isFew(db, "INDEXED BY alarm_point WHERE", filter.pointSQL)
    {
      return "INDEXED BY alarm_point"
    }
    if let rule = filter.rule, filter.scope != .everything,
      try isFew(db, "INDEXED BY alarm_rule WHERE", ("rule = ?", [rule]))
    {
      return "INDEXED BY alarm_rule"
    }
    if filter.onsetFrom != nil || filter.onsetBefore != nil {
      var conditions: [String] = []
      var arguments = StatementArguments()
      if let from = filter.onsetFrom {
        conditions.append("onset >= ?")
        arguments += [from.milliseconds]
      }
      if let to = filter.onsetBefore {
        conditions.append("onset < ?")
        arguments += [to.milliseconds]
      }
      let span = (conditions.joined(separator: " AND "), arguments)
      if try isFew(db, "INDEXED BY alarm_onset WHERE", span) {
        return "INDEXED BY alarm_onset"
      }
    }
    return nil
  }

  /// The index along which rows are walked from the newest on, and down to which row one page walks.
  private func walk(
    _ db: Database,
    _ filter: AlarmFilter,
    enterprise: String?,
    before cursor: Int64,
    share: Int = 1
  ) throws -> (index: String, floor: Int64?) {
    let (index, key): (String, (column: String, value: String)?) =
      if let enterprise {
        ("INDEXED BY alarm_enterprise", ("substr(point, 1, instr(point, '/') - 1)", enterprise))
      } else if let rule = filter.rule {
        ("INDEXED BY alarm_rule", ("rule", rule))
      } else {
        ("NOT INDEXED", nil)
      }
    guard filter.hasMore(than: key?.column) else { return (index, nil) }
    var arguments = StatementArguments([cursor])
    if let key { arguments += [key.value] }
    arguments += [Self.walkedRows / share]
    let floor = try Int64.fetchOne(
      db,
      sql: """
        SELECT first_seq FROM alarm \(index) WHERE first_seq < ?
        \(key.map { "AND \($0.column) = ?" } ?? "") ORDER BY first_seq DESC LIMIT 1 OFFSET ?
        """,
      arguments: arguments
    )
    return (index, floor)
  }

  private func isFew(
    _ db: Database,
    _ head: String,
    _ condition: (sql: String, arguments: StatementArguments)
  ) throws -> Bool {
    let count = try Int.fetchOne(
      db,
      sql: """
        SELECT count(*) FROM (
          SELECT 1 FROM alarm \(head) \(condition.sql) LIMIT \(Self.sortedOnsets + 1))
        """,
      arguments: condition.arguments
    )
    return (count ?? 0) <= Self.sortedOnsets
  }
}

extension AlarmFilter {
  /// The same filter with a scope of no more enterprises than its points can belong to: those alone are sought then.
  fileprivate var narrowed: AlarmFilter {
    guard !pointPaths.isEmpty else { return self }
    var owners = Set(pointPaths.map(LedgerScope.enterprise(ofPath:)))
    if case .enterprises(let ids) = scope { owners.formIntersection(ids) }
    var narrowed = self
    narrowed.scope = .enterprises(owners)
    return narrowed
  }

  /// The filter as conditions of a WHERE clause and their arguments.
  fileprivate var sql: (conditions: [String], arguments: StatementArguments) {
    var conditions: [String] = []
    var arguments = StatementArguments()
    func add(_ condition: String, _ values: [any DatabaseValueConvertible]) {
      conditions.append(condition)
      arguments += StatementArguments(values)
    }
    if case .enterprises(let ids) = scope, ids.count == 1 {
      add("substr(point, 1, instr(point, '/') - 1) = ?", [ids.first ?? ""])
    } else if case .enterprises(let ids) = scope {
      let list = JSONValue.array(ids.sorted().map(JSONValue.string)).canonicalBytes()
      add(
        "substr(point, 1, instr(point, '/') - 1) IN (SELECT value FROM json_each(?))",
        [String(decoding: list, as: UTF8.self)]
      )
    }
    if standsOnly { conditions.append("state <> 'normal'") }
    if !states.isEmpty {
      let marks = repeatElement("?", count: states.count).joined(separator: ", ")
      add("state IN (\(marks))", states.map(\.rawValue).sorted())
    }
    if let minimumPriority { add("priority >= ?", [minimumPriority]) }
    if !pointPaths.isEmpty {
      let one = pointSQL
      conditions.append("(\(one.0))")
      arguments += one.1
    }
    if let rule { add("rule = ?", [rule]) }
    if let onsetFrom { add("onset >= ?", [onsetFrom.milliseconds]) }
    if let onsetBefore { add("onset < ?", [onsetBefore.milliseconds]) }
    return (conditions, arguments)
  }

  /// Whether nothing fits that does not stand: then the few that stand need be looked at only.
  fileprivate var standsOnly: Bool {
    standingOnly || (!states.isEmpty && !states.contains(.normal))
  }

  /// The points and what lies below them.
  fileprivate var pointSQL: (String, StatementArguments) {
    // '0' is the byte after '/': all that lies below a path, and nothing that merely begins alike.
    // The bounds come first: they are what an index is entered by.
    let one = "(point >= ? AND point < ? || '0' AND (point = ? OR point > ? || '/'))"
    let any = repeatElement(one, count: pointPaths.count).joined(separator: " OR ")
    return (any, StatementArguments(pointPaths.flatMap { [$0, $0, $0, $0] }))
  }

  /// Whether the filter asks for more than an index on `column` answers.
  fileprivate func hasMore(than column: String?) -> Bool {
    !states.isEmpty || (minimumPriority ?? 1) > 1 || !pointPaths.isEmpty
      || onsetFrom != nil || onsetBefore != nil || (rule != nil && column != "rule")
      || (scope != .everything && column?.hasPrefix("substr") != true)
  }
}
