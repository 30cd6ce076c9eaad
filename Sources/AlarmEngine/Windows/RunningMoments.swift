/// Sums over readings that come and go, kept about a reference so that a small spread around a large
/// level keeps its digits.
///
/// Taking a reading out again is not the exact inverse of putting it in, so the owner has to rebuild
/// the sums from the readings when ``needsRebuild`` says so: once a turn of the window, and when the
/// spread has become small beside what the sums have held. Either needs about a window of readings
/// to have gone, so that the cost per reading stays constant on average.
package struct RunningMoments: Sendable {
  package private(set) var count = 0
  /// Readings beyond ``WindowLimits/largestSummable``; they are in no sum.
  private var oversized = 0
  private var reference = 0.0
  private var referenceTime: Int64 = 0
  private var sumX = 0.0
  private var sumXX = 0.0
  private var sumT = 0.0
  private var sumTT = 0.0
  private var sumTX = 0.0
  private var peakXX = 0.0
  private var removals = 0

  package init() {}

  /// Rebuild when the spread is this small beside the largest sum of squares since the last rebuild:
  /// rounding is relative to the latter.
  private static let smallestShare = 1e-6

  package var needsRebuild: Bool {
    let n = Double(count - oversized)
    guard n > 0 else { return false }
    return removals >= max(count, 16)
      || sumXX - sumX * sumX / n < peakXX * Self.smallestShare
      || sumTT - sumT * sumT / n < sumTT * Self.smallestShare
  }

  package mutating func add(time: Int64, value: Double) {
    count += 1
    guard value.magnitude <= WindowLimits.largestSummable else {
      oversized += 1
      return
    }
    if count - oversized == 1 { restart(time: time, value: value) }
    let x = value - reference
    let t = Double(time &- referenceTime) * 0.001
    sumX += x
    sumXX += x * x
    sumT += t
    sumTT += t * t
    sumTX += t * x
    if sumXX > peakXX { peakXX = sumXX }
  }

  package mutating func remove(time: Int64, value: Double) {
    count -= 1
    guard value.magnitude <= WindowLimits.largestSummable else {
      oversized -= 1
      return
    }
    removals += 1
    let x = value - reference
    let t = Double(time &- referenceTime) * 0.001
    sumX -= x
    sumXX -= x * x
    sumT -= t
    sumTT -= t * t
    sumTX -= t * x
  }

  /// Empties the sums and takes a reference near which the readings to be added lie.
  package mutating func restart(time: Int64, value: Double) {
    reference = value
    referenceTime = time
    sumX = 0
    sumXX = 0
    sumT = 0
    sumTT = 0
    sumTX = 0
    peakXX = 0
    removals = 0
  }

  /// Empties everything, ready for a rebuild about the present mean.
  package mutating func beginRebuild(time: Int64) {
    let n = Double(count - oversized)
    let centre = n > 0 ? reference + sumX / n : 0
    count = 0
    oversized = 0
    restart(time: time, value: centre.isFinite ? centre : 0)
  }

  /// Adds during a rebuild: the reference stays the one that ``beginRebuild(time:)`` took.
  package mutating func addRebuilding(time: Int64, value: Double) {
    count += 1
    guard value.magnitude <= WindowLimits.largestSummable else {
      oversized += 1
      return
    }
    let x = value - reference
    let t = Double(time &- referenceTime) * 0.001
    sumX += x
    sumXX += x * x
    sumT += t
    sumTT += t * t
    sumTX += t * x
    if sumXX > peakXX { peakXX = sumXX }
  }

  private var isDefined: Bool { count > 0 && oversized == 0 }

  package var mean: Double {
    isDefined ? reference + sumX / Double(count) : .nan
  }

  package var sum: Double {
    if count == 0 { return 0 }
    return isDefined ? reference * Double(count) + sumX : .nan
  }

  package var variance: Double {
    guard isDefined, count > 1 else { return .nan }
    let n = Double(count)
    return max(0, sumXX - sumX * sumX / n) / (n - 1)
  }

  package var slope: Double {
    guard isDefined, count > 1 else { return .nan }
    let n = Double(count)
    let spread = n * sumTT - sumT * sumT
    // Times are whole milliseconds: a spread below half a squared millisecond is one and the same time.
    guard spread > 0.5e-6 else { return .nan }
    return (n * sumTX - sumT * sumX) / spread
  }

  package func write(into bytes: inout [UInt8]) {
    bytes.appendState(count)
    bytes.appendState(oversized)
    bytes.appendState(referenceTime)
    bytes.appendState(removals)
    bytes.appendState([reference, sumX, sumXX, sumT, sumTT, sumTX, peakXX])
  }

  package init(reading reader: inout StateReader) throws(StateReadError) {
    count = try reader.count(in: 0...WindowLimits.largestCapacity)
    oversized = try reader.count(in: 0...count)
    referenceTime = try reader.integer()
    removals = try reader.count(in: 0...Int.max)
    reference = try reader.double()
    sumX = try reader.double()
    sumXX = try reader.double()
    sumT = try reader.double()
    sumTT = try reader.double()
    sumTX = try reader.double()
    peakXX = try reader.double()
  }
}

/// Mean, variance and slope of readings that only come (Welford's update, co-moment for the slope).
///
/// B. P. Welford, Technometrics 4 (1962) 419-420, on the distance to the first reading, so that the
/// running mean of a small spread around a large level keeps its digits.
package struct GrowingMoments: Sendable {
  package private(set) var count = 0
  private var oversized = 0
  private var reference = 0.0
  /// Mean distance to the reference.
  private var meanX = 0.0
  private var m2 = 0.0
  private var origin: Int64 = 0
  private var meanT = 0.0
  private var m2T = 0.0
  private var coMoment = 0.0

  package init() {}

  package mutating func add(time: Int64, value: Double) {
    if count == 0 { origin = time }
    count += 1
    guard value.magnitude <= WindowLimits.largestSummable else {
      oversized += 1
      return
    }
    if count - oversized == 1 { reference = value }
    let n = Double(count - oversized)
    let x = value - reference
    let t = Double(time &- origin) * 0.001
    let dt = t - meanT
    let dx = x - meanX
    meanT += dt / n
    meanX += dx / n
    m2T += dt * (t - meanT)
    m2 += dx * (x - meanX)
    coMoment += dt * (x - meanX)
  }

  /// Adds a reading to learn from; one beyond ``largestLearned`` teaches nothing.
  mutating func learn(time: Int64, value: Double) {
    guard value.magnitude <= Self.largestLearned else { return }
    add(time: time, value: value)
  }

  /// Largest magnitude that a baseline is learned from: nothing measures more, and a single one of 10²⁰ among a hundred
  /// readings would make it wide for good.
  static let largestLearned = 1e18

  private var isDefined: Bool { count > 0 && oversized == 0 }
  package var mean: Double { isDefined ? reference + meanX : .nan }
  package var sum: Double {
    if count == 0 { return 0 }
    return isDefined ? reference * Double(count) + meanX * Double(count) : .nan
  }
  package var variance: Double { isDefined && count > 1 ? max(0, m2) / Double(count - 1) : .nan }
  package var slope: Double {
    guard isDefined, count > 1, m2T > 0.25e-6 else { return .nan }
    return coMoment / m2T
  }

  package func write(into bytes: inout [UInt8]) {
    bytes.appendState(count)
    bytes.appendState(oversized)
    bytes.appendState(origin)
    bytes.appendState([reference, meanX, m2, meanT, m2T, coMoment])
  }

  package init(reading reader: inout StateReader) throws(StateReadError) {
    count = try reader.count(in: 0...Int.max)
    oversized = try reader.count(in: 0...count)
    origin = try reader.integer()
    reference = try reader.double()
    meanX = try reader.double()
    m2 = try reader.double()
    meanT = try reader.double()
    m2T = try reader.double()
    coMoment = try reader.double()
  }
}
