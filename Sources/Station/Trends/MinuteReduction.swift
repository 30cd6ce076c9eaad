import Telemetry

/// The readings of one point within one minute of event time, reduced; what trends over years and reports are made of.
///
/// It keeps the extremes and when they were, so that no mean hides a peak.
public struct MinuteReduction: Hashable, Sendable {
  /// Start of the minute, milliseconds since the Unix epoch.
  public var minute: Int64
  /// How many readings with a value.
  public var count: Int64
  /// Sum of the values; the mean is sum / count.
  public var sum: Double
  /// Smallest value.
  public var minimum: Double
  /// Largest value.
  public var maximum: Double
  /// Event time of the largest value, of the first of them where several are equal.
  public var maximumTime: Int64
  /// Value of the earliest reading.
  public var first: Double
  /// Its event time.
  public var firstTime: Int64
  /// Value of the latest reading.
  public var last: Double
  /// Its event time.
  public var lastTime: Int64

  /// Length of a minute in milliseconds.
  public static let length: Int64 = 60_000

  /// The minute of a moment.
  public static func minute(of time: Int64) -> Int64 {
    let rest = time % length
    let (start, overflows) = time.subtractingReportingOverflow(rest < 0 ? rest &+ length : rest)
    // The first minute of all times has no whole length; wrapped, it would be the last one.
    return overflows ? .min : start
  }

  /// Makes the reduction of one reading with a finite value.
  public init(time: Int64, value: Double) {
    minute = Self.minute(of: time)
    count = 1
    sum = value
    minimum = value
    maximum = value
    maximumTime = time
    first = value
    firstTime = time
    last = value
    lastTime = time
  }

  /// Takes in another part of the same minute; the order of the parts does not matter.
  public mutating func merge(_ other: MinuteReduction) {
    count += other.count
    sum += other.sum
    minimum = min(minimum, other.minimum)
    if other.maximum > maximum || (other.maximum == maximum && other.maximumTime < maximumTime) {
      maximum = other.maximum
      maximumTime = other.maximumTime
    }
    if other.firstTime < firstTime {
      first = other.first
      firstTime = other.firstTime
    }
    if other.lastTime >= lastTime {
      last = other.last
      lastTime = other.lastTime
    }
  }
}

/// Reductions that are still in memory, by channel.
struct OpenMinutes {
  /// Channel row and reduction, in the order in which they were begun.
  private(set) var parts: [(channel: Int, minute: MinuteReduction)] = []
  /// Where in `parts` each channel's newest reduction is; -1 where it has none.
  private var newest: [Int] = []

  mutating func add(_ reading: LatestReading, channel: Int) {
    guard reading.value.isFinite else { return }
    let part = MinuteReduction(time: reading.time.milliseconds, value: reading.value)
    if channel >= newest.count {
      newest += repeatElement(-1, count: channel + 1 - newest.count)
    }
    let index = newest[channel]
    if index >= 0, parts[index].minute.minute == part.minute {
      parts[index].minute.merge(part)
      return
    }
    newest[channel] = parts.count
    parts.append((channel, part))
  }

  /// Begins anew; memory stays, but for what an exception has taken.
  mutating func removeAll() {
    for part in parts { newest[part.channel] = -1 }
    if parts.capacity > max(65_536, 4 * newest.count) {
      parts = []
    } else {
      parts.removeAll(keepingCapacity: true)
    }
  }
}
