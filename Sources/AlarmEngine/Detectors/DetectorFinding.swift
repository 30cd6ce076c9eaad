/// What a detector says after a reading.
public struct DetectorFinding: Hashable, Sendable {
  /// Whether the condition holds; unknown while warming up and where nothing can be said.
  public var condition: Truth
  /// The statistic that was held against the limit, NaN when there is none yet.
  public var statistic: Double
  /// The limit.
  public var limit: Double

  /// Makes a finding.
  @inlinable
  public init(condition: Truth, statistic: Double, limit: Double) {
    self.condition = condition
    self.statistic = statistic
    self.limit = limit
  }

  /// Nothing can be said.
  @inlinable
  public static func unknown(limit: Double) -> DetectorFinding {
    DetectorFinding(condition: .unknown, statistic: .nan, limit: limit)
  }
}

/// Why a detector's parameters are refused.
public enum DetectorError: Error, Hashable, Sendable {
  /// A parameter lies outside its range; what is allowed stands beside it.
  case outOfRange(parameter: String, value: Double, allowed: String)
  /// A window parameter is refused.
  case window(WindowError)

  static func check(
    _ parameter: String,
    _ value: Double,
    _ range: ClosedRange<Double>
  ) throws(DetectorError) {
    guard range.contains(value) else {
      throw .outOfRange(
        parameter: parameter,
        value: value,
        allowed: "\(range.lowerBound) … \(range.upperBound)"
      )
    }
  }

  static func check(positive parameter: String, _ value: Double) throws(DetectorError) {
    guard value > 0, value.isFinite else {
      throw .outOfRange(parameter: parameter, value: value, allowed: "above 0, finite")
    }
  }

  static func check(duration parameter: String, _ value: Int64) throws(DetectorError) {
    guard value >= 0, value <= WindowLimits.longestDuration else {
      throw .outOfRange(
        parameter: parameter,
        value: Double(value),
        allowed: "0 … \(WindowLimits.longestDuration) ms"
      )
    }
  }
}

/// Which side of a reference is watched.
public enum DeviationSide: UInt8, CaseIterable, Hashable, Sendable {
  /// Above, or rising.
  case high
  /// Below, or falling.
  case low
  /// Either.
  case both

  /// The signed amount, turned so that larger is worse.
  @inlinable
  func excess(_ amount: Double) -> Double {
    switch self {
    case .high: amount
    case .low: -amount
    case .both: amount.magnitude
    }
  }
}

/// True beyond a limit, and until the statistic is back below the restore value.
struct Hysteresis: Hashable, Sendable {
  var isActive = false

  mutating func step(_ statistic: Double, limit: Double, restore: Double) -> Truth {
    isActive = isActive ? statistic >= restore || statistic > limit : statistic > limit
    return Truth(isActive)
  }
}

/// Keeps a baseline from learning the anomaly: while the rule's alarm stands, nothing is learnt.
///
/// A freeze that lasts longer than its limit is a new normal: the baseline is then learnt anew from
/// warm-up. The engine says at each step whether the alarm stands; it goes on to say so during that warm-up, for what is not
/// known ends no alarm. So a baseline is frozen only once it is warm: else it would never be, and the alarm never return.
struct FreezeClock: Hashable, Sendable {
  private var since: Int64 = 0
  private var isRunning = false

  enum Advice: Equatable { case learn, hold, restart }

  /// When the freeze that runs began; nil while none does.
  var start: Int64? { isRunning ? since : nil }

  mutating func advice(time: Int64, isFrozen: Bool, longest: Int64) -> Advice {
    guard isFrozen else {
      isRunning = false
      return .learn
    }
    if !isRunning {
      isRunning = true
      since = time
    }
    guard longest > 0, time - since >= longest else { return .hold }
    isRunning = false
    return .restart
  }

  /// Whether nothing is to be learnt now; a freeze that lasts longer than its limit holds no more, until it has ended.
  mutating func holds(time: Int64, isFrozen: Bool, longest: Int64) -> Bool {
    guard isFrozen else {
      isRunning = false
      return false
    }
    if !isRunning {
      isRunning = true
      since = time
    }
    return longest == 0 || time - since < longest
  }

  func write(into bytes: inout [UInt8]) {
    bytes.appendState(isRunning)
    bytes.appendState(since)
  }

  init() {}

  init(reading reader: inout StateReader) throws(StateReadError) {
    isRunning = try reader.flag()
    since = try reader.integer()
  }
}
