public import Telemetry

/// What the engine is to watch: devices, channels and rules as dense rows, compiled from the catalog.
///
/// A plan is plain data. Rows may be renumbered from one plan to the next; what survives a plan
/// change is found again by the ``StableID``s, never by row.
public struct EnginePlan: Sendable {
  /// Devices; a channel's `device` is a row here.
  public var devices: [DevicePlan]
  /// Channels; a `ChannelIndex` is a row here.
  public var channels: [ChannelPlan]
  /// Rules; a ``RuleIndex`` is a row here.
  ///
  /// Rules of one channel need not be neighbours.
  public var rules: [RulePlan]

  /// Makes a plan.
  public init(devices: [DevicePlan] = [], channels: [ChannelPlan] = [], rules: [RulePlan] = []) {
    self.devices = devices
    self.channels = channels
    self.rules = rules
  }
}

/// A name's 64-bit identity that stays the same across plans, processes and machines.
///
/// FNV-1a over the UTF-8 bytes of the full name (for a rule: point path, `#`, rule id). The catalog
/// refuses two names of one site that collide.
public struct StableID: Hashable, Sendable {
  /// The hash.
  public var rawValue: UInt64

  /// Takes a hash computed before.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Hashes a full name.
  public init(name: String) {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 {
      hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
    }
    rawValue = hash
  }
}

/// The row number of a rule within a plan.
public struct RuleIndex: Hashable, Sendable {
  /// The row.
  public var rawValue: UInt32

  /// Makes a row number.
  @inlinable
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }
}

/// A device: one clock, one source of readings.
public struct DevicePlan: Sendable {
  /// Identity across plans.
  public var id: StableID
  /// Event times may differ from receive time by this much; beyond, the clock is at fault, as the clock guard
  /// decides.
  ///
  /// ``unguarded`` turns the guard off.
  public var clockToleranceMilliseconds: Int64
  /// How long readings are held back to be put in order, up to a day; 0 evaluates at once.
  ///
  /// A reading is judged when the engine has passed its event time by the device's least lag and this; so
  /// readings that come up to this much later than the fastest are judged in order. Deadlines of the device wait as
  /// long. At most ``Engine/heldPerDevice`` readings wait; the oldest beyond that is let go early and counted.
  public var reorderAllowanceMilliseconds: Int64

  /// A tolerance that no clock exceeds, for sources whose times are not of today: replays.
  public static let unguarded: Int64 = .max

  /// Makes a device row.
  public init(
    id: StableID,
    clockToleranceMilliseconds: Int64 = 300_000,
    reorderAllowanceMilliseconds: Int64 = 0
  ) {
    self.id = id
    self.clockToleranceMilliseconds = clockToleranceMilliseconds
    self.reorderAllowanceMilliseconds = reorderAllowanceMilliseconds
  }
}

/// A channel: one measured quantity of one device.
public struct ChannelPlan: Sendable {
  /// Identity across plans.
  public var id: StableID
  /// Row of the device that sends it.
  public var device: UInt32
  /// The sliding window that is kept over the channel's values; nil for none.
  public var window: ChannelWindow?
  /// The unit of its values: under a plan that gives another, nothing that was learnt of them counts any more.
  public var unit: StableID

  /// Makes a channel row.
  public init(
    id: StableID,
    device: UInt32,
    window: ChannelWindow? = nil,
    unit: StableID = StableID(name: "")
  ) {
    self.id = id
    self.device = device
    self.window = window
    self.unit = unit
  }
}

/// A sliding window over one channel: count, mean, deviation, extremes and the newest value.
///
/// It holds the readings with event time > newest − length: the old edge is open, the new one closed.
public struct ChannelWindow: Hashable, Sendable {
  /// Length in milliseconds of event time.
  public var lengthMilliseconds: Int64
  /// How many readings it may hold, rounded up to a power of two of at least 16, 12 bytes each.
  ///
  /// When more arrive within the length, the oldest leave early, which is counted
  /// (``EngineCounters/windowOverflows``): the window is shorter than it says.
  public var capacity: Int
  /// Whether the window is by definition the newest ``capacity`` readings, as far as they are within the length.
  ///
  /// It is where late readings are to be judged, of which the newest matter most. The oldest one's leaving is no loss
  /// then and not counted; a late reading that comes too late for what is kept is (``EngineCounters/lateUnjudged``).
  public var isBoundedByCount: Bool

  /// Makes a window.
  public init(lengthMilliseconds: Int64, capacity: Int, isBoundedByCount: Bool = false) {
    self.lengthMilliseconds = lengthMilliseconds
    self.capacity = capacity
    self.isBoundedByCount = isBoundedByCount
  }
}

/// How urgent an alarm is; the four colours of the Chinese warning practice.
public enum AlarmPriority: UInt8, CaseIterable, Comparable, Hashable, Sendable {
  /// 蓝, low.
  case blue = 1
  /// 黄, medium.
  case yellow = 2
  /// 橙, high.
  case orange = 3
  /// 红, critical.
  case red = 4

  /// Orders by urgency.
  public static func < (lhs: AlarmPriority, rhs: AlarmPriority) -> Bool {
    lhs.rawValue < rhs.rawValue
  }
}

/// One alarm condition of one channel, with the life cycle around it.
public struct RulePlan: Sendable {
  /// Identity across plans.
  public var id: StableID
  /// The channel whose alarm this is; for rules over several channels the one it is shown at.
  public var channel: ChannelIndex
  /// What makes the condition true.
  public var detector: Detector
  /// How urgent the alarm is.
  public var priority: AlarmPriority
  /// The condition must have lasted this long before it is an alarm; 0 raises at once.
  public var onDelayMilliseconds: Int64
  /// The condition must have been gone this long before the alarm returns; 0 returns at once.
  public var offDelayMilliseconds: Int64
  /// A latched alarm stays until it is reset, although its condition is gone.
  public var isLatching: Bool
  /// An alarm that still stands after this long is annunciated again; 0 never.
  public var reAlarmMilliseconds: Int64
  /// While this is true the alarm is suppressed by design; unknown suppresses nothing.
  public var suppression: BoundExpression?
  /// An alarm that still stands after a while becomes more urgent.
  public var escalation: Escalation?

  /// How a standing alarm becomes more urgent; the rise voids its acknowledgement and ends its shelf.
  public struct Escalation: Hashable, Sendable {
    /// How long it must have stood since it was raised, engine time.
    public var afterMilliseconds: Int64
    /// What it becomes; the next occurrence begins with the rule's own priority again.
    public var priority: AlarmPriority

    /// Makes an escalation.
    public init(afterMilliseconds: Int64, priority: AlarmPriority) {
      self.afterMilliseconds = afterMilliseconds
      self.priority = priority
    }
  }

  /// Makes a rule row.
  public init(
    id: StableID,
    channel: ChannelIndex,
    detector: Detector,
    priority: AlarmPriority,
    onDelayMilliseconds: Int64 = 0,
    offDelayMilliseconds: Int64 = 0,
    isLatching: Bool = false,
    reAlarmMilliseconds: Int64 = 0,
    suppression: BoundExpression? = nil,
    escalation: Escalation? = nil
  ) {
    self.id = id
    self.channel = channel
    self.detector = detector
    self.priority = priority
    self.onDelayMilliseconds = onDelayMilliseconds
    self.offDelayMilliseconds = offDelayMilliseconds
    self.isLatching = isLatching
    self.reAlarmMilliseconds = reAlarmMilliseconds
    self.suppression = suppression
    self.escalation = escalation
  }
}

/// What makes a rule's condition true.
public enum Detector: Sendable {
  /// Beyond a set-point.
  ///
  /// Formula: true at value ≥ (>, ≤, <) set-point, false again beyond the restore value; between the two it stays. Source: the
  /// limit alarms LL, L, H, HH of IEC 62682 and OPC UA Part 9, with deadband; AQ 1029 states alarm and restore values.
  ///
  /// - Defaults: none; set-point and restore value finite, the latter not on the alarm's side.
  /// - Warm-up, freeze: none.
  /// - Bad status, gap: neither raises nor clears; delays that run are taken back.
  /// - Late: judged again where the channel keeps a window, see ``Revision``.
  case limit(LimitParameters)
  /// Outside what the instrument can physically measure: the value is not to be trusted.
  ///
  /// Formula: true at value < `low` or > `high`, false within. Source: the instrument's measuring range (the range check of any
  /// data validation). Defaults: none; `low` < `high`, finite. Everything else as ``limit(_:)``.
  case physicalRange(low: Double, high: Double)
  /// No reading for this long (milliseconds).
  ///
  /// Formula: true when event time reaches that of the newest reading, of whatever status, plus `afterMilliseconds`, by the
  /// device's clock or, without another reading of it, by engine time plus its usual lag; false with the next reading. Source:
  /// Davy's own; what the Chinese standards call 断线 or 通信中断 of a point.
  ///
  /// - Defaults: none; 1 … 2,147,483,647 ms (24.8 days).
  /// - Warm-up: a channel that never reported counts from the engine's first input.
  /// - Bad status: a reading without a value ends the silence all the same. Late: does not end it, the silence was real.
  case stale(afterMilliseconds: Int64)
  /// The clock of the channel's device is at fault; the deciding value is its distance from receive time in
  /// seconds, positive when it is ahead, the limit the tolerance.
  ///
  /// Formula, source and warm-up stand at `ClockGuard`; the tolerance is the device's. Readings of any status count; historical
  /// ones, and those stamped on receipt, say nothing of a clock.
  case clockFault
  /// The source itself reports a fault or an alarm by a reading's status, whatever the value.
  ///
  /// Formula: ``SourceStatus/reportsTrouble`` of the newest reading, with a value or without; a status that no table explains
  /// keeps the condition as it is. Source: the state codes of mine substations and gas controllers, the data flags of HJ 212.
  ///
  /// - Defaults, warm-up: none.
  /// - Gap: neither raises nor clears; what was reported stands until a reading says otherwise. Late, historical: not judged.
  case reported
  /// |value − previous value| / seconds between them > `perSecond`; one at most per channel.
  ///
  /// Source: the rate-of-change alarm of IEC 62682 and OPC UA Part 9, over one step.
  ///
  /// - Defaults: none; above 0.
  /// - Warm-up: the first reading, and the first after bad status or a gap of over 24 days, has nothing to be compared with: it
  ///   neither raises nor clears.
  /// - Readings of one moment: the next one's change is measured from the first of them. Late: not judged.
  case successiveChange(perSecond: Double)
  /// |value − m| > `deviations` · s, where m and s² are the exponentially weighted mean and variance of
  /// the readings before: m ← m + α·d, s² ← (1 − α)·(s² + α·d²) with d = value − m. Source: as ``EWMAZScore``, which can freeze.
  ///
  /// No defaults: `alpha` in (0, 1], `deviations` above 0, `warmUp` 1 … 1,000,000. Bad status: not learnt from, neither raises nor clears.
  /// Gap: none is seen, the weights count readings. Late: not judged.
  ///
  /// Judges from reading `warmUp` + 1 on; the mean follows during an alarm too, but not to a value that is more than 10¹²
  /// away from it: such a one has a warm-up begin once more. While another plan has it warm up again, its condition stays what it was. One at most per channel.
  case ewma(alpha: Double, deviations: Double, warmUp: Int)
  /// The slope over a time span; see ``RateOfChange``.
  case rateOfChange(RateOfChange.Parameters)
  /// A value that does not move; see ``StuckDetector``.
  case stuck(StuckDetector.Parameters)
  /// An EWMA control chart; see ``EWMAChart``.
  case ewmaChart(EWMAChart.Parameters)
  /// A two-sided CUSUM; see ``TabularCUSUM``.
  case cusum(TabularCUSUM.Parameters)
  /// An EWMA z-score that can freeze in alarm; see ``EWMAZScore``.
  case ewmaZScore(EWMAZScore.Parameters)
  /// Distance from the median in MADs; see ``RobustZScore``.
  case robustZScore(RobustZScore.Parameters)
  /// Distance from the usual value of the hour of the week; see ``SeasonalBaseline``.
  case seasonal(SeasonalBaseline.Parameters)
  /// Values that keep just under a limit; see ``LimitHugging``.
  case limitHugging(LimitHugging.Parameters)
  /// A stretch that repeats; see ``ReplayedRun``.
  case replayedRun(ReplayedRun.Parameters)
  /// A gap at the moment of rise; see ``GapAtRise``.
  case gapAtRise(GapAtRise.Parameters)
  /// Rise over the channel's own drifting background; see ``BackgroundExcess``.
  case backgroundExcess(BackgroundExcess.Parameters)
  /// A limit on a statistic of a window; see ``WindowedStatistic``.
  ///
  /// `signals` are the channel whose readings the windows hold and, for windows of a state that another channel says, that
  /// one.
  case window(WindowedStatistic.Parameters, signals: [ChannelIndex])
  /// Distance from a set-point (no reference; the parameters' offset) or from another channel.
  case deviation(Deviation.Parameters, from: ChannelIndex?)
  /// A condition over several channels; `signals` in the order of the expression's.
  case expression(CompiledExpression, signals: [ChannelIndex])
  /// Cause, response and deadline of an interlock that the plant carries out.
  case interlock(
    InterlockVerification.Parameters,
    cause: BoundExpression,
    response: BoundExpression
  )
  /// T², SPE or distance of a group (``MultivariateModel/deciding``) beyond its limit; a sample is complete when each of
  /// the signals has a new value.
  case multivariate(MultivariateModel, signals: [ChannelIndex])
  /// Several lower grades make a higher one.
  case cascade(CascadeParameters)
}

/// A count over the graded alarms of other rules; see ``CountCascade``.
///
/// True while the grade of the whole is ``grade`` or higher. A point stands at the highest grade whose rule is
/// active (acknowledged, shelved or suppressed makes no difference); a gap leaves it where it is, as it leaves the
/// rule. Time is that of the cascade's own device, to which usual lags lead from that of the deciding rule's, never before
/// the step before. What is counted stands until its rule says otherwise, so a delay on the cascade runs out by engine
/// time, or by the first step after its end: a message may hold both ends of what has lasted longer.
public struct CascadeParameters: Hashable, Sendable {
  /// A rule and the grade that its alarm stands for.
  public struct Member: Hashable, Sendable {
    /// The rule; its row must be less than that of the cascade, so that cascades of cascades end.
    public var rule: RuleIndex
    /// The grade.
    public var grade: AlarmPriority

    /// Makes a member.
    public init(rule: RuleIndex, grade: AlarmPriority) {
      self.rule = rule
      self.grade = grade
    }
  }

  /// How many make how much.
  public var cascade: CountCascade
  /// The grade that this rule watches for.
  public var grade: AlarmPriority
  /// The rules of each point or item, at most ``largestPointCount``.
  public var points: [[Member]]

  /// Most points of one cascade.
  public static let largestPointCount = 10_000

  /// Makes a cascade's parameters.
  public init(cascade: CountCascade, grade: AlarmPriority, points: [[Member]]) {
    self.cascade = cascade
    self.grade = grade
    self.points = points
  }
}

/// A set-point with its comparison and its way back.
public struct LimitParameters: Sendable {
  /// Which side is alarming, and whether equality is.
  public enum Comparison: UInt8, BitwiseCopyable, Sendable {
    /// value ≥ set-point.
    case atOrAbove
    /// value > set-point.
    case above
    /// value ≤ set-point.
    case atOrBelow
    /// value < set-point.
    case below
  }

  /// The comparison.
  public var comparison: Comparison
  /// The limit, in the channel's unit.
  public var setpoint: Double
  /// Where the condition ends, in the channel's unit.
  ///
  /// High limits end when value < restore, low limits when value > restore; with `restore` equal
  /// to `setpoint` and `.atOrAbove` this is AQ 1029's "alarm ≥ 1.0, restore < 1.0". A deadband d is
  /// compiled to restore = setpoint ∓ d.
  public var restore: Double

  /// Makes a limit.
  public init(comparison: Comparison, setpoint: Double, restore: Double) {
    self.comparison = comparison
    self.setpoint = setpoint
    self.restore = restore
  }
}

/// An expression with the channels that its signals are.
public struct BoundExpression: Hashable, Sendable {
  /// The expression.
  public var expression: CompiledExpression
  /// A channel for each of the expression's signals, in their order.
  public var signals: [ChannelIndex]

  /// Binds an expression.
  public init(_ expression: CompiledExpression, signals: [ChannelIndex]) {
    self.expression = expression
    self.signals = signals
  }
}

extension Detector {
  /// The channels that a detector reads beside its rule's own.
  package var signals: [ChannelIndex] {
    switch self {
    case .limit, .physicalRange, .stale, .clockFault, .reported, .successiveChange, .ewma,
      .rateOfChange, .stuck, .ewmaChart,
      .cusum, .ewmaZScore, .robustZScore, .seasonal, .limitHugging, .replayedRun,
      .gapAtRise, .backgroundExcess, .cascade:
      []
    case .deviation(_, let reference): reference.map { [$0] } ?? []
    case .expression(_, let signals), .multivariate(_, let signals), .window(_, let signals):
      signals
    case .interlock(_, let cause, let response): cause.signals + response.signals
    }
  }
}
