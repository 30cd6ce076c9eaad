import AlarmEngine
import HazardLedger
import Telemetry

/// Where a desk stands while it works on an input: the moment it judges by, and what goes into the ledger with it.
struct DeskMoment: Sendable {
  /// The moment judged, milliseconds since the Unix epoch.
  var time: Int64
  /// Receive time of the input, milliseconds since the Unix epoch.
  var received: Int64
  /// Journal sequence of the input.
  var sequence: UInt64
  /// Version of the catalog in force.
  var catalog: String
}

/// Alarms that a desk raises by itself, with the same life cycle, words and acts as the engine's.
///
/// An occurrence is named by (point, rule, onset). Desk alarms do not latch.
struct DeskAlarms: Codable, Sendable {
  private struct Record: Codable, Sendable {
    var onset: Int64
    var lifeCycle: UInt8
    var priority: Int
    var shelfUntil: Int64?
    /// Earlier occurrences that have returned and are still owed an acknowledgement, oldest first.
    var owed: [Int64] = []

    var state: LifeCycle {
      get { LifeCycle(packed: lifeCycle) ?? LifeCycle() }
      set { lifeCycle = newValue.packed }
    }
    var isOver: Bool { state == LifeCycle() && owed.isEmpty }
  }

  /// What is to be said of a condition that has become true.
  struct Evidence: Sendable {
    /// Since when.
    var onset: Int64
    /// Value that decided it.
    var value: Double?
    /// Figure it was held against.
    var limit: Double?
    /// Unit of both.
    var unit = ""
    /// In words: permit, welder, times.
    var detail = ""
  }

  /// Returned occurrences of one rule that may be owed an acknowledgement; one more closes the oldest.
  private static let owedLimit = 64
  private var records: [String: Record] = [:]

  private static func key(_ point: String, _ rule: String) -> String { point + "#" + rule }

  /// Whether the condition of an alarm is true.
  func isActive(_ point: String, _ rule: String) -> Bool {
    records[Self.key(point, rule)]?.state.isActive ?? false
  }

  /// Whether an alarm of this name is known.
  func has(_ name: AlarmName) -> Bool { records[Self.key(name.point, name.rule)] != nil }

  /// Whether this occurrence of an alarm is known and not over.
  func stands(_ name: AlarmName) -> Bool {
    guard let record = records[Self.key(name.point, name.rule)],
      let onset = name.onset?.milliseconds
    else { return false }
    return onset == record.onset && record.state != LifeCycle() || record.owed.contains(onset)
  }

  /// When the first timed shelf ends.
  var nextShelfEnd: Int64? { records.values.compactMap(\.shelfUntil).min() }

  /// The condition has become true, or still is.
  mutating func raise(
    _ point: String,
    _ rule: String,
    priority: Int,
    _ evidence: Evidence,
    at moment: DeskMoment
  ) -> [AlarmBody] {
    let key = Self.key(point, rule)
    var record = records[key] ?? Record(onset: evidence.onset, lifeCycle: 0, priority: priority)
    guard !record.state.isActive else { return [] }
    var steps: [AlarmBody] = []
    if record.state.base == .returnedUnacknowledged {
      record.owed.append(record.onset)
      if record.owed.count > Self.owedLimit {
        let oldest = record.owed.removeFirst()
        steps.append(
          body(
            point,
            rule,
            oldest,
            .reset,
            from: .returnedUnacknowledged,
            to: .normal,
            record.priority,
            at: moment
          )
        )
      }
    }
    // Two occurrences of one rule never share an onset, whatever the clocks do.
    record.onset = max(evidence.onset, (record.owed.last ?? .min) + 1)
    record.priority = priority
    apply(
      .conditionTrue,
      to: &record,
      point,
      rule,
      evidence: evidence,
      at: moment,
      into: &steps
    )
    records[key] = record
    return steps
  }

  /// The condition is not true, or no longer.
  mutating func clear(
    _ point: String,
    _ rule: String,
    value: Double? = nil,
    at moment: DeskMoment
  ) -> [AlarmBody] {
    let key = Self.key(point, rule)
    guard var record = records[key], record.state.isActive else { return [] }
    var steps: [AlarmBody] = []
    apply(
      .conditionFalse,
      to: &record,
      point,
      rule,
      evidence: Evidence(onset: record.onset, value: value),
      at: moment,
      into: &steps
    )
    records[key] = record.isOver ? nil : record
    return steps
  }

  /// Does what a person asks.
  mutating func perform(
    _ act: OperatorAct,
    on name: AlarmName,
    at moment: DeskMoment
  ) -> (refusal: ActError?, steps: [AlarmBody]) {
    let key = Self.key(name.point, name.rule)
    guard var record = records[key] else { return (.unknownAlarm(act.alarm), []) }
    var steps: [AlarmBody] = []
    let isCurrent =
      name.onset.map { $0.milliseconds == record.onset && record.state.base != .normal } ?? true
    if act.kind == .acknowledge {
      let due = name.onset.map { [$0.milliseconds] } ?? record.owed
      for onset in due where record.owed.contains(onset) && !(name.onset != nil && isCurrent) {
        record.owed.removeAll { $0 == onset }
        steps.append(
          body(
            name.point,
            name.rule,
            onset,
            .acknowledged,
            from: .returnedUnacknowledged,
            to: .normal,
            record.priority,
            act: act,
            at: moment
          )
        )
      }
      if name.onset != nil, !steps.isEmpty {
        records[key] = record.isOver ? nil : record
        return (nil, steps)
      }
    }
    guard isCurrent else { return (.unknownAlarm(act.alarm), []) }
    if act.kind == .note {
      return (act.reason.isEmpty ? .incomplete("a note needs its text") : nil, steps)
    }
    guard let event = event(of: act, at: moment) else {
      return (
        act.until == nil
          ? .incomplete("shelving needs a moment at which it ends") : .notApplicable(act.alarm), []
      )
    }
    let before = steps.count
    let isRefused = apply(
      event,
      to: &record,
      name.point,
      name.rule,
      evidence: Evidence(onset: record.onset),
      act: act,
      at: moment,
      into: &steps
    )
    if isRefused, before == 0 { return (.notApplicable(act.alarm), []) }
    if act.kind == .shelve { record.shelfUntil = act.until?.milliseconds }
    if record.state.shelving != .timed { record.shelfUntil = nil }
    records[key] = record.isOver ? nil : record
    return (nil, steps)
  }

  /// Ends the timed shelves that have run out.
  mutating func expireShelves(at moment: DeskMoment) -> [AlarmBody] {
    var steps: [AlarmBody] = []
    for key in records.keys.sorted() {
      guard var record = records[key], let until = record.shelfUntil, until <= moment.time,
        let name = AlarmName(key)
      else { continue }
      record.shelfUntil = nil
      apply(
        .shelfExpired,
        to: &record,
        name.point,
        name.rule,
        evidence: Evidence(onset: record.onset),
        at: moment,
        into: &steps
      )
      records[key] = record.isOver ? nil : record
    }
    return steps
  }

  private func event(of act: OperatorAct, at moment: DeskMoment) -> LifeCycle.Event? {
    switch act.kind {
    case .acknowledge: return .acknowledge
    case .reset: return .reset
    case .shelve:
      guard let until = act.until, until.milliseconds > moment.time else { return nil }
      return .shelveTimed
    case .shelveOnce: return .shelveOnce
    case .unshelve: return .unshelve
    case .removeFromService: return .removeFromService
    case .returnToService: return .returnToService
    case .note: return nil
    }
  }

  @discardableResult
  private func apply(
    _ event: LifeCycle.Event,
    to record: inout Record,
    _ point: String,
    _ rule: String,
    evidence: Evidence,
    act: OperatorAct? = nil,
    at moment: DeskMoment,
    into steps: inout [AlarmBody]
  ) -> Bool {
    let previous = record.state
    let step = previous.step(event, isLatching: false)
    guard !step.isRefused else { return true }
    record.state = step.next
    for kind in [step.told, step.toldAlso].compactMap(\.self) {
      let ends = previous.base != .normal && step.next.base == .normal
      steps.append(
        body(
          point,
          rule,
          record.onset,
          AlarmDraft.event(kind),
          from: AlarmDraft.state(previous.state),
          to: ends ? .normal : AlarmDraft.state(step.next.state),
          record.priority,
          evidence,
          act: act,
          at: moment
        )
      )
    }
    return false
  }

  private func body(
    _ point: String,
    _ rule: String,
    _ onset: Int64,
    _ event: AlarmBody.Event,
    from previous: AlarmBody.State,
    to state: AlarmBody.State,
    _ priority: Int,
    _ evidence: Evidence? = nil,
    act: OperatorAct? = nil,
    at moment: DeskMoment
  ) -> AlarmBody {
    AlarmBody(
      point: point,
      rule: rule,
      onset: Timestamp(milliseconds: onset),
      event: event,
      state: state,
      previous: previous,
      priority: priority,
      value: evidence?.value,
      limit: evidence?.limit,
      unit: evidence?.unit ?? "",
      received: Timestamp(milliseconds: moment.received),
      cause: moment.sequence,
      catalog: moment.catalog,
      actor: act?.actor ?? "",
      reason: act?.reason ?? evidence?.detail ?? "",
      until: act?.until
    )
  }
}
