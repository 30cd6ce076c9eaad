import AlarmEngine
import DeviceCatalog
import PayloadDecoding
import Telemetry

/// What counts of readings that came retained and without a time of their own.
///
/// A broker hands what it retains to whoever subscribes anew: the newest value that was published so, from a minute or a
/// year ago. Taken for a reading of this moment it could return an alarm that stands, and end a silence that goes on: a
/// false "all well". So **bad news counts, good news waits**: such a reading is judged, as if measured on receipt, only
/// where it is beyond a limit or the physical range of its point, or its source reports a fault or an alarm, and no alarm stands
/// that it would take back. Every other is refused (``RejectReason/retainedUntimed``): it is no point's newest value and says nothing to staleness,
/// expressions or trends; the journal keeps it. A reading with a time is judged by that, retained or not.
struct RetainedReadings {
  /// Version of the catalog that this speaks of.
  let version: String
  /// Rules of a limit or range, by the channel that they are on; their rows are the catalog's.
  private var limits: [UInt32: [UInt32]] = [:]
  /// Channels with a rule on what their source reports.
  private var reporting: Set<UInt32> = []
  /// Rules that read a channel in any way.
  private var readers: [UInt32: Set<UInt32>] = [:]
  private let rules: [RulePlan]

  init(of catalog: Catalog) {
    version = catalog.version
    rules = catalog.enginePlan.rules
    for (row, rule) in rules.enumerated() {
      let row = UInt32(row)
      if rule.detector.isBeyond(.nan) != nil {
        limits[rule.channel.rawValue, default: []].append(row)
      }
      if case .reported = rule.detector { reporting.insert(rule.channel.rawValue) }
      let signals = rule.detector.signals + (rule.suppression?.signals ?? [])
      for channel in [rule.channel] + signals { readers[channel.rawValue, default: []].insert(row) }
    }
  }

  /// Whether a reading came so that nobody knows how old it is.
  static func isOfUnknownAge(_ flags: ReadingFlags, isRetained: Bool) -> Bool {
    isRetained && flags.contains(.receiveTimed)
  }

  /// Whether a value is beyond a limit or the physical range of its point, or its source reports a fault or an alarm.
  func isBadNews(_ reading: Reading) -> Bool {
    if reading.status.reportsTrouble == true, reporting.contains(reading.channel.rawValue) {
      return true
    }
    return reading.status.use == .evaluate
      && limits[reading.channel.rawValue, default: []]
        .contains { rules[Int($0)].detector.isBeyond(reading.value) == true }
  }

  /// Whether a reading is judged although nobody knows how old it is; `isActive` says of a rule whether its condition stands.
  func counts(_ reading: Reading, isActive: (UInt32) -> Bool) -> Bool {
    guard isBadNews(reading), let readers = readers[reading.channel.rawValue] else { return false }
    return readers.allSatisfy { row in
      guard isActive(row) else { return true }
      let rule = rules[Int(row)]
      // Bad news is worth more than a silence, which begins anew with it.
      if case .stale = rule.detector, rule.channel == reading.channel { return true }
      if case .reported = rule.detector { return reading.status.reportsTrouble != false }
      return rule.channel == reading.channel && rule.detector.isWithin(reading.value) == false
    }
  }
}

extension RetainedReadings {
  /// The same where of the point only the value before is at hand, and not what stands: what that does not return may stand.
  func counts(_ reading: Reading, after former: Double?) -> Bool {
    counts(reading) { row in
      let rule = rules[Int(row)]
      guard let former, rule.channel == reading.channel else { return false }
      return rule.detector.isWithin(former) == false
    }
  }
}

extension Detector {
  /// Whether a value makes the condition of a limit or range true; nil for every other detector.
  fileprivate func isBeyond(_ value: Double) -> Bool? {
    switch self {
    case .limit(let limit):
      switch limit.comparison {
      case .atOrAbove: value >= limit.setpoint
      case .above: value > limit.setpoint
      case .atOrBelow: value <= limit.setpoint
      case .below: value < limit.setpoint
      }
    case .physicalRange(let low, let high): value < low || value > high
    default: nil
    }
  }

  /// Whether a value ends the condition of a limit or range; nil for every other detector.
  fileprivate func isWithin(_ value: Double) -> Bool? {
    switch self {
    case .limit(let limit):
      switch limit.comparison {
      case .atOrAbove, .above: value < limit.restore
      case .atOrBelow, .below: value > limit.restore
      }
    case .physicalRange(let low, let high): low <= value && value <= high
    default: nil
    }
  }
}
