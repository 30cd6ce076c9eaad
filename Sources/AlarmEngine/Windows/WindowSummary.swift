/// Which statistics a window keeps, beside count, first and last, which it always has.
public struct WindowStatistics: OptionSet, Hashable, Sendable {
  /// The bits.
  public var rawValue: UInt8

  /// Makes a set from its bits.
  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// Sum, mean, variance, least-squares slope.
  public static let moments = WindowStatistics(rawValue: 1)
  /// Minimum, maximum, range.
  public static let extrema = WindowStatistics(rawValue: 2)
  /// Median and median absolute deviation.
  public static let order = WindowStatistics(rawValue: 4)
  /// Everything.
  public static let all: WindowStatistics = [.moments, .extrema, .order]
}

/// Why a window cannot be made.
public enum WindowError: Error, Hashable, Sendable {
  /// A length, span, gap or hop is not within 1 ms … 10 years.
  case durationOutOfRange(Int64)
  /// The hop is longer than the window: readings would belong to none.
  case hopLongerThanWindow(hop: Int64, length: Int64)
  /// So many windows that begin before the first of them ends that each reading would be counted in thousands.
  case hopTooShort(hop: Int64, length: Int64)
  /// A capacity or count is not within 1 … 16,777,216 readings.
  case capacityOutOfRange(Int)

  static func check(duration: Int64) throws(WindowError) {
    guard duration >= 1, duration <= WindowLimits.longestDuration else {
      throw .durationOutOfRange(duration)
    }
  }

  static func check(capacity: Int) throws(WindowError) {
    guard capacity >= 1, capacity <= WindowLimits.largestCapacity else {
      throw .capacityOutOfRange(capacity)
    }
  }
}

/// Bounds that all windows share.
public enum WindowLimits {
  /// Ten years in milliseconds.
  public static let longestDuration: Int64 = 315_576_000_000
  /// Most windows that a reading may belong to: a silence after it hands all of them over at once.
  public static let mostOverlapping: Int64 = 5000
  /// Most readings one window may hold.
  public static let largestCapacity = 1 << 24
  /// Largest magnitude whose square is summed.
  ///
  /// A window that holds a larger value has exact extrema, median and MAD, but sum, mean, variance
  /// and slope are NaN until that value has left: their squares could leave the range of `Double`
  /// and would poison the running sums for good.
  public static let largestSummable = 1e100
}

/// What a window says of the readings it holds; NaN where a statistic is not kept or not defined.
public struct WindowSummary: Hashable, Sendable {
  /// How many readings.
  public var count: Int = 0
  /// Event time (ms) of the oldest reading.
  public var firstTime: Int64 = 0
  /// Event time (ms) of the newest reading.
  public var lastTime: Int64 = 0
  /// Start of the window (ms) where its shape gives one, else ``firstTime``.
  public var start: Int64 = 0
  /// End of the window (ms) where its shape gives one, else ``lastTime``.
  public var end: Int64 = 0
  /// Value of the oldest reading.
  public var first: Double = .nan
  /// Value of the newest reading.
  public var last: Double = .nan
  /// Smallest value.
  public var minimum: Double = .nan
  /// Largest value.
  public var maximum: Double = .nan
  /// Sum of the values.
  public var sum: Double = .nan
  /// Arithmetic mean.
  public var mean: Double = .nan
  /// Sample variance (divisor n − 1); NaN below two readings.
  public var variance: Double = .nan
  /// Least-squares slope per second of event time; NaN when all readings share one time.
  public var slope: Double = .nan
  /// Median; the mean of the two middle values when the count is even.
  public var median: Double = .nan
  /// Median of the absolute deviations from the median, not scaled.
  public var medianAbsoluteDeviation: Double = .nan
  /// True when the window had more readings than its capacity and forgot some before their time.
  public var isTruncated: Bool = false

  /// Makes the summary of no readings.
  public init() {}

  /// Maximum less minimum.
  public var range: Double { maximum - minimum }

  /// Square root of the sample variance.
  public var standardDeviation: Double { variance.squareRoot() }
}

/// Largest multiple of `divisor` that is not above `value`, divided by `divisor`.
@inlinable
package func floorQuotient(_ value: Int64, _ divisor: Int64) -> Int64 {
  let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
  return remainder < 0 ? quotient - 1 : quotient
}
