import AlarmEngine
import Telemetry

/// What a kind of device measures and when that is an alarm: one file under `devices/`.
public struct DeviceProfile: Sendable {
  /// Path below `devices/` without extension, such as `gas/toxic-gas-detector`.
  public var id: String
  /// Name.
  public var name: LocalizedText
  /// Family, the first part of the id.
  public var family: String
  /// What the profile is for and what is to be known about it.
  public var about: LocalizedText
  /// What a device of the profile must choose: gas, mounting place, basis.
  public var choices: [Choice]
  /// Figures that a device of the profile must or may give.
  public var parameters: [Parameter]
  /// The points.
  public var points: [PointProfile]
  /// Where the profile stands.
  public var place: Place

  var values: [DerivedValue]
  var demands: [Demand] = []
  var samples: [ProfileSample]

  /// A dimension in which a device picks one row.
  public struct Choice: Sendable {
    /// Key under a device's `choose`.
    public var id: String
    /// Name.
    public var name: LocalizedText
    /// The rows.
    public var rows: [Row]
    /// Row taken when a device does not choose.
    public var standard: String?
    var columns: [String]
  }

  /// One row of a choice.
  public struct Row: Sendable {
    /// Key.
    public var id: String
    /// Name.
    public var text: LocalizedText
    /// Figures of the row; a column that the standard leaves empty is absent.
    public var figures: [String: Double]
    /// Chemical formula, where the row is a gas.
    public var formula: String?
    /// Source of this row's figures, where it differs from the rule's.
    public var source: RuleSource?
    /// Where it stands.
    public var place: Place
  }

  /// A figure that a device gives.
  public struct Parameter: Sendable {
    /// Key under a device's `parameters`.
    public var id: String
    /// Name.
    public var text: LocalizedText
    /// Unit.
    public var unit: PointUnit
    /// Taken when the device gives none; nil when it must.
    public var fallback: Double?
  }

  /// A figure worked out from others by a policy or choice.
  struct DerivedValue: Sendable {
    var id: String
    /// Name of the site policy or of the choice that decides.
    var by: String?
    /// Case → figures of which the first present one is taken; the key `""` when nothing decides.
    var cases: [(name: String, quantities: [Quantity])]
    var place: Place
  }
}

/// A measured quantity of a device.
public struct PointProfile: Sendable {
  /// What kind of quantity it is.
  public enum Kind: String, CaseIterable, Codable, Sendable {
    case gas, oxygen, level, pressure, temperature, flow, humidity, speed, displacement, rainfall
    case length, current, voltage, power, position, state, count, ratio, vibration, mass
  }

  /// Name in payloads and paths.
  public var id: String
  /// Name.
  public var name: LocalizedText
  /// Kind of quantity.
  public var kind: Kind
  /// Unit of the channel.
  public var unit: PointUnit
  /// Other names in payloads.
  public var aliases: [String]
  /// A device need not have it.
  public var isOptional: Bool
  /// No device sends it: its alarms come of other points'.
  public var isComputed: Bool
  /// What the values of a state mean.
  public var states: [(value: Double, text: LocalizedText)]
  /// The rules.
  var rules: [RuleProfile]
  /// Where it stands.
  public var place: Place

  var range: (low: Quantity, high: Quantity)?
  var staleMilliseconds: Int64?
  var only: [RowCondition]
}

/// Rows of a choice that something holds for.
struct RowCondition: Sendable {
  var choice: String
  var rows: [String]
}

/// Where a limit stands in the order of limits of a point.
public enum AlarmLevel: String, CaseIterable, Codable, Sendable {
  /// 低低报.
  case lowLow = "LL"
  /// 低报.
  case low = "L"
  /// 高报.
  case high = "H"
  /// 高高报.
  case highHigh = "HH"
  /// 断电: what the plant's own interlock must cut at.
  case cut
  /// 蓝黄橙红预警: one of four warning grades of one quantity, ordered by colour.
  case grade
  /// A state that is alarming in itself.
  case state
  /// 超量程: outside what the instrument can measure.
  case range
  /// 失联: silent.
  case stale
  /// 自报: the source itself reports a fault or an alarm.
  case reported
  /// 时钟: the device's clock is wrong.
  case clock
  /// Anything found by comparing values over time or between points.
  case pattern
}

extension AlarmLevel {
  /// Whether large values alarm at this level; nil where the level does not say.
  var isHigh: Bool? {
    switch self {
    case .high, .highHigh: true
    case .low, .lowLow: false
    case .cut, .grade, .state, .range, .stale, .reported, .clock, .pattern: nil
    }
  }
}

/// One alarm rule of a profile.
struct RuleProfile: Sendable {
  var id: String
  var text: LocalizedText
  var detector: DetectorProfile
  var level: AlarmLevel
  var priority: AlarmPriority
  var onDelay: Int64
  var offDelay: Int64
  var isLatching: Bool
  var reAlarm: Int64
  /// While this condition over points of the device is true, the alarm is suppressed by design.
  var suppression: String? = nil
  /// A standing alarm becomes more urgent.
  var escalation: RulePlan.Escalation? = nil
  /// What the standard allows the set-point to be.
  var bound: Comparison?
  var source: RuleSource
  var response: LocalizedText
  var only: [RowCondition]
  /// Exists only where the site gives a figure.
  var isOptional: Bool
  /// Something must be cut or closed when this alarm comes, and a signal must prove it.
  var feedback: FeedbackProfile?
  /// The standard requires the restore value to equal the set-point, or fixes it.
  var fixedRestore: Bool
  var place: Place
}

/// The proof that a cut-off happened.
struct FeedbackProfile: Sendable {
  /// Point of the same device that proves it; nil when the site must name one of another device.
  var point: String?
}

/// What makes a rule's condition true, before its figures are known.
enum DetectorProfile: Sendable {
  case limit(LimitProfile)
  case physicalRange
  case stale(after: Int64)
  /// Change over a span, per `per` milliseconds.
  case rate(over: Int64, limit: Quantity, per: Int64, side: DeviationSide)
  /// A value that does not move.
  case stuck(StuckDetector.Parameters)
  /// A limit on a statistic of a window.
  case window(WindowSpec, LimitProfile)
  /// A condition over points of the device.
  case expression(String)
  /// A cause that must have its response in time; conditions over points of the device. With `restore` the
  /// response must also end so long after the cause.
  case interlock(cause: String, response: String, within: Int64, restore: Int64?)
  /// The device's clock is at fault.
  case clockFault
  /// The source itself reports a fault or an alarm.
  case reported
  /// One of the engine's other detectors.
  case detect(DetectorSpec)
  /// Several lower grades make a higher one.
  case cascade(CascadeSpec)
}

extension DetectorProfile {
  /// With what a value, or the statistic of a window, is compared; nil where that is not all.
  var comparison: Comparison? {
    switch self {
    case .limit(let limit), .window(_, let limit): limit.when
    case .physicalRange, .stale, .rate, .stuck, .expression, .interlock, .clockFault, .reported,
      .detect, .cascade:
      nil
    }
  }
}

/// When a value, or the statistic of a window, is in alarm, and when no longer: `when`, and `until` or `deadband`.
struct LimitProfile: Sendable {
  var when: Comparison
  var until: Comparison?
  var deadband: Deadband?

  /// Its figures.
  var quantities: [Quantity] {
    var quantities = [when.quantity]
    if let until { quantities.append(until.quantity) }
    if case .absolute(let quantity) = deadband { quantities.append(quantity) }
    return quantities
  }
}

/// A deadband as a figure in the point's unit, or as a share of its range.
enum Deadband: Sendable {
  case absolute(Quantity)
  case percentOfRange(Double)
}
