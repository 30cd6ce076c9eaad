import AlarmEngine
import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// Flood control: more than so many alarms in ten minutes in a supervisor's scope turn its stream into a summary.
///
/// A scope is an enterprise (`enterprise:id`) or an administrative area that it lies in (`area:code`): its county, and
/// the city and the province where these hold more of the station's enterprises than what lies within them; else the
/// narrower area's flood is theirs too. Alarms of live gateways count when they annunciate: raised or annunciated again
/// and not inhibited. The step that exceeds the scope's limit begins a flood; the flood ends at the moment from which
/// fewer than ``FloodPolicy/endBelow`` lie in the ten minutes before. Begin, a summary each minute that brought more, and end are ledger entries of kind
/// `system` with the first-out, the alarm that came first in the ten minutes that began it; every step that the
/// engine or a desk takes meanwhile is an entry like any other, with the scopes in flood in its body. In an enterprise's
/// flood the streams leave it out; in an area's, those of who supervises the area or a wider one. What people do is always
/// streamed, and so are the steps of alarms of the highest priority.
///
/// Time is the receive time of the inputs, so a replay of the journal finds the same floods.
final class FloodDesk: Desk {
  let name = "flood"

  static let window: Int64 = 600_000
  static let summaryInterval: Int64 = 60_000
  /// Annunciations that are remembered of one scope; more are a flood anyway.
  static let remembered = 10_000
  /// Rules that are counted by name in one flood; one more takes the place of one that is less urgent.
  static let namedRules = 1_000

  private struct Annunciation {
    var time: Int64
    var alarm: String
    var priority: Int

    /// Point path and rule id: the alarm's name without its onset.
    var rule: String { alarm.lastIndex(of: "@").map { String(alarm[..<$0]) } ?? alarm }
  }

  private struct Scope {
    var recent: [Annunciation] = []
    /// While in flood; nil otherwise.
    var flood: Flood?
  }

  /// Annunciations of one rule in a flood.
  private struct RuleCount {
    var count = 0
    /// The highest priority of any.
    var priority = 0
  }

  private struct Flood {
    var began: Int64
    var firstOut: Annunciation
    /// Annunciations since the first-out, in all, by priority, and by rule.
    var count = 0
    var byPriority: [Int: Int] = [:]
    var byRule: [String: RuleCount] = [:]
    var nextSummary: Int64
    var hasNews = false

    mutating func add(_ annunciation: Annunciation, by level: RulesLevel) {
      count += 1
      byPriority[annunciation.priority, default: 0] += 1
      let rule = annunciation.rule
      if byRule.count >= FloodDesk.namedRules, byRule[rule] == nil {
        guard level >= .areas,
          let last = byRule.max(by: { FloodDesk.isBefore($0, $1, by: level) }),
          last.value.priority < annunciation.priority
        else { return }
        byRule[last.key] = nil
      }
      var counted = byRule[rule] ?? RuleCount()
      counted.count += 1
      counted.priority = max(counted.priority, annunciation.priority)
      byRule[rule] = counted
    }
  }

  private var scopes: [String: Scope] = [:]
  /// The scopes in flood: few, however many there are.
  private var flooded: Set<String> = []
  private var policies: [String: FloodPolicy] = [:]
  /// The scopes that an enterprise's alarms count in: its own, then areas from narrow to wide.
  private var scopeNames: [String: [String]] = [:]
  private var areaPolicies: [String: FloodPolicy] = [:]
  private var enterprises: [Enterprise] = []
  private var level = RulesLevel.first

  func follow(_ level: RulesLevel) {
    guard level > self.level else { return }
    self.level = level
    arrange()
  }

  func adopt(_ catalog: Catalog, by record: JournalRecord?, into output: inout CoreOutput) {
    enterprises = catalog.enterprises
    arrange()
  }

  /// Finds out which scopes there are, under the catalog and by the rules in force.
  private func arrange() {
    policies = [:]
    scopeNames = [:]
    areaPolicies = [:]
    let areas = enterprises.map { enterprise in
      level >= .areas
        ? enterprise.administrativeAreas : enterprise.administrativeCode.map { [$0] } ?? []
    }
    var sizes: [String: Int] = [:]
    for code in areas.joined() { sizes[code, default: 0] += 1 }
    for (enterprise, areas) in zip(enterprises, areas) {
      policies[enterprise.id] = enterprise.flood
      var own = ["enterprise:\(enterprise.id)"]
      var size = 0
      for code in areas {
        guard let members = sizes[code], members > size else { continue }
        size = members
        own.append("area:\(code)")
        let known = areaPolicies[code]
        if known.map({ $0.areaLimit < enterprise.flood.areaLimit }) ?? true {
          areaPolicies[code] = enterprise.flood
        }
      }
      scopeNames[enterprise.id] = own
    }
  }

  func take(
    _ record: JournalRecord,
    verb: Substring,
    into output: inout CoreOutput
  ) -> ActError? {
    .refused("flood control takes no acts", code: "verb")
  }

  /// Counts a step of the engine or of a desk; the scopes in flood that it belongs to, nil when there are none.
  func take(
    _ body: AlarmBody,
    record: JournalRecord,
    into output: inout CoreOutput
  ) -> String? {
    advance(record, into: &output)
    guard body.actor.isEmpty else { return nil }
    let enterprise = String(body.point.prefix { $0 != "/" })
    let names = scopeNames[enterprise] ?? ["enterprise:\(enterprise)"]
    let annunciates =
      (body.event == .raised || body.event == .reAlarmed) && body.state == .unacknowledged
    if annunciates {
      for name in names { count(body, in: name, record: record, into: &output) }
    }
    let own = names.filter(flooded.contains)
    return own.isEmpty ? nil : own.joined(separator: " ")
  }

  private func limits(of name: String) -> (begin: Int, end: Int) {
    let id = String(name.drop { $0 != ":" }.dropFirst())
    if name.hasPrefix("area:") {
      let policy = areaPolicies[id] ?? FloodPolicy()
      return (policy.areaLimit, min(policy.endBelow, policy.areaLimit))
    }
    let policy = policies[id] ?? FloodPolicy()
    return (policy.limit, min(policy.endBelow, policy.limit))
  }

  private func count(
    _ body: AlarmBody,
    in name: String,
    record: JournalRecord,
    into output: inout CoreOutput
  ) {
    let now = record.input.received
    var scope = scopes.removeValue(forKey: name) ?? Scope()
    scope.recent.removeAll { now - $0.time >= Self.window }
    let annunciation = Annunciation(time: now, alarm: body.alarm, priority: body.priority)
    scope.recent.append(annunciation)
    if scope.recent.count > Self.remembered { scope.recent.removeFirst() }
    let isBeginning = scope.flood == nil && scope.recent.count > limits(of: name).begin
    if isBeginning {
      var flood = Flood(
        began: now,
        firstOut: scope.recent[0],
        nextSummary: now + Self.summaryInterval
      )
      for earlier in scope.recent { flood.add(earlier, by: level) }
      scope.flood = flood
    } else {
      scope.flood?.add(annunciation, by: level)
      scope.flood?.hasNews = true
    }
    scopes[name] = scope
    guard isBeginning else { return }
    flooded.insert(name)
    tell("begin", name, at: now, record, into: &output)
  }

  // MARK: Time

  var nextDeadline: Timestamp? {
    flooded.compactMap { due($0)?.time }.min().map { Timestamp(milliseconds: $0) }
  }

  /// What falls due next in a scope: a summary, or the flood's end.
  private func due(_ name: String) -> (time: Int64, isEnd: Bool)? {
    guard let scope = scopes[name], let flood = scope.flood else { return nil }
    // Fewer than `end` are left once the one that many places from the newest has aged.
    let keep = limits(of: name).end
    let index = scope.recent.count - keep
    let end = index >= 0 && keep > 0 ? scope.recent[index].time + Self.window : flood.began
    return end <= flood.nextSummary ? (end, true) : (flood.nextSummary, false)
  }

  func advance(_ record: JournalRecord, into output: inout CoreOutput) {
    let now = record.input.received
    while true {
      var next: (time: Int64, isEnd: Bool, name: String)?
      for name in flooded.sorted() {
        guard let due = due(name), due.time <= now else { continue }
        if next.map({ due.time < $0.time }) ?? true { next = (due.time, due.isEnd, name) }
      }
      guard let next else { return }
      if next.isEnd {
        tell("end", next.name, at: next.time, record, into: &output)
        scopes[next.name]?.flood = nil
        flooded.remove(next.name)
      } else {
        if scopes[next.name]?.flood?.hasNews == true {
          tell("summary", next.name, at: next.time, record, into: &output)
        }
        scopes[next.name]?.flood?.hasNews = false
        scopes[next.name]?.flood?.nextSummary += Self.summaryInterval
      }
    }
  }

  private func tell(
    _ event: String,
    _ name: String,
    at time: Int64,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard let flood = scopes[name]?.flood else { return }
    let top = flood.byRule.sorted { Self.isBefore($0, $1, by: level) }.prefix(10)
    output.drafts.append(
      EventDraft.flood(
        event,
        scope: name,
        time: Timestamp(milliseconds: time),
        record: record,
        [
          "began": .integer(flood.began),
          "byPriority": .object(
            Dictionary(
              uniqueKeysWithValues: flood.byPriority.map {
                (String($0.key), HazardLedger.JSONValue.integer(Int64($0.value)))
              }
            )
          ),
          "count": .integer(Int64(flood.count)),
          "firstOut": .string(flood.firstOut.alarm),
          "firstOutTime": .integer(flood.firstOut.time),
          "limit": .integer(Int64(limits(of: name).begin)),
          "scope": .string(name),
          "top": .array(top.map { summary(of: $0.key, $0.value) }),
        ]
      )
    )
  }

  private func summary(of rule: String, _ counted: RuleCount) -> HazardLedger.JSONValue {
    var members: [String: HazardLedger.JSONValue] = [
      "count": .integer(Int64(counted.count)), "rule": .string(rule),
    ]
    if level >= .areas { members["priority"] = .integer(Int64(counted.priority)) }
    return .object(members)
  }

  /// Which of two rules is named first: the more urgent, then the more frequent; by the rules before the latter only.
  private static func isBefore(
    _ left: (key: String, value: RuleCount),
    _ right: (key: String, value: RuleCount),
    by level: RulesLevel
  ) -> Bool {
    if level >= .areas, left.value.priority != right.value.priority {
      return left.value.priority > right.value.priority
    }
    return (right.value.count, left.key) < (left.value.count, right.key)
  }

  // MARK: Snapshots

  func snapshot() -> [UInt8] {
    var writer = SnapshotWriter()
    writer.put(UInt32(scopes.count))
    for name in scopes.keys.sorted() {
      let scope = scopes[name] ?? Scope()
      writer.put(name)
      writer.put(UInt32(scope.recent.count))
      for annunciation in scope.recent { Self.put(annunciation, &writer) }
      writer.put(UInt8(scope.flood == nil ? 0 : 1))
      guard let flood = scope.flood else { continue }
      writer.put(flood.began)
      Self.put(flood.firstOut, &writer)
      writer.put(Int64(flood.count))
      writer.put(flood.nextSummary)
      writer.put(UInt8(flood.hasNews ? 1 : 0))
      writer.put(UInt32(flood.byPriority.count))
      for priority in flood.byPriority.keys.sorted() {
        writer.put(Int64(priority))
        writer.put(Int64(flood.byPriority[priority] ?? 0))
      }
      writer.put(UInt32(flood.byRule.count))
      for rule in flood.byRule.keys.sorted() {
        writer.put(rule)
        let counted = flood.byRule[rule] ?? RuleCount()
        writer.put(Int64(counted.count))
        writer.put(Int64(counted.priority))
      }
    }
    return writer.finish()
  }

  private static func put(_ annunciation: Annunciation, _ writer: inout SnapshotWriter) {
    writer.put(annunciation.time)
    writer.put(annunciation.alarm)
    writer.put(Int64(annunciation.priority))
  }

  private static func annunciation(
    _ reader: inout SnapshotReader
  ) throws(SnapshotFault) -> Annunciation {
    Annunciation(
      time: try reader.integer(),
      alarm: try reader.text(),
      priority: Int(try reader.integer() as Int64)
    )
  }

  func restore(_ bytes: [UInt8]) throws {
    var reader = try SnapshotReader(bytes)
    scopes = [:]
    flooded = []
    for _ in 0..<(try reader.integer() as UInt32) {
      let name = try reader.text()
      var scope = Scope()
      for _ in 0..<(try reader.integer() as UInt32) {
        scope.recent.append(try Self.annunciation(&reader))
      }
      if try reader.integer() as UInt8 == 1 {
        var flood = Flood(
          began: try reader.integer(),
          firstOut: try Self.annunciation(&reader),
          count: Int(try reader.integer() as Int64),
          nextSummary: try reader.integer()
        )
        flood.hasNews = try reader.integer() as UInt8 == 1
        for _ in 0..<(try reader.integer() as UInt32) {
          let priority = Int(try reader.integer() as Int64)
          flood.byPriority[priority] = Int(try reader.integer() as Int64)
        }
        for _ in 0..<(try reader.integer() as UInt32) {
          let rule = try reader.text()
          flood.byRule[rule] = RuleCount(
            count: Int(try reader.integer() as Int64),
            priority: Int(try reader.integer() as Int64)
          )
        }
        scope.flood = flood
        flooded.insert(name)
      }
      scopes[name] = scope
    }
  }
}
