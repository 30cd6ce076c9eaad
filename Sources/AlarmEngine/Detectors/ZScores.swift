/// Distance from an exponentially weighted mean in units of the exponentially weighted deviation.
///
/// Formula: d = x − m; true when d² > limit² · s; then m ← m + α d, s ← (1 − α)(s + α d²), with m = x and
/// s = 0 at the first reading. Source: T. Finch, Incremental calculation of weighted mean and
/// variance, University of Cambridge (2009), section 9.
///
/// - Defaults: α 0.05 (0.0001 … 1), limit 6 (0.1 … 1,000), 30 readings of warm-up (1 … 1,000,000).
/// - Warm-up: unknown for the first `warmUp` readings.
/// - Freeze: while the alarm stands, and from a reading beyond the limit, nothing is learned, up to
///   `longestFreeze`, after which warm-up starts again and the alarm returns when its end shows a normal reading;
///   `learnsInAlarm` learns always.
/// - A constant signal has spread 0, so that any change is beyond every limit: give
///   `smallestDeviation` the resolution of the instrument.
/// - Nothing is learnt from an amount above 10¹⁸: nothing measures it.
/// - Bad status: not handed in. Gap: none is seen, the weights count readings. Late: refused.
public struct EWMAZScore: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Weight of the newest reading.
    public var alpha: Double
    /// Limit in standard deviations.
    public var limit: Double
    /// Readings before anything is said.
    public var warmUp: Int
    /// Smallest deviation, in the value's unit; 0 for none.
    public var smallestDeviation: Double
    /// True: the baseline follows also while the alarm stands.
    public var learnsInAlarm: Bool
    /// A freeze longer than this restarts warm-up, ms; 0 for never.
    public var longestFreeze: Int64

    /// Makes parameters.
    public init(
      alpha: Double = 0.05,
      limit: Double = 6,
      warmUp: Int = 30,
      smallestDeviation: Double = 0,
      learnsInAlarm: Bool = false,
      longestFreeze: Int64 = 86_400_000
    ) {
      self.alpha = alpha
      self.limit = limit
      self.warmUp = warmUp
      self.smallestDeviation = smallestDeviation
      self.learnsInAlarm = learnsInAlarm
      self.longestFreeze = longestFreeze
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var mean = 0.0
  private var variance = 0.0
  private var seen = 0
  private var newest = Int64.min
  private var freeze = FreezeClock()

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check("alpha", parameters.alpha, 0.0001...1)
    try DetectorError.check("limit", parameters.limit, 0.1...1000)
    try DetectorError.check("warmUp", Double(parameters.warmUp), 1...1_000_000)
    try DetectorError.check("smallestDeviation", parameters.smallestDeviation, 0...1e100)
    try DetectorError.check(duration: "longestFreeze", parameters.longestFreeze)
    self.parameters = parameters
  }

  /// Takes a reading; the statistic is the distance in standard deviations.
  public mutating func step(time: Int64, value: Double, isFrozen: Bool = false) -> DetectorFinding {
    let limit = parameters.limit
    guard time >= newest else { return .unknown(limit: limit) }
    newest = time
    let finding = judge(value)
    let isAnomalous = isFrozen && seen >= parameters.warmUp || finding.condition == .yes
    switch freeze.advice(
      time: time,
      isFrozen: isAnomalous && !parameters.learnsInAlarm,
      longest: parameters.longestFreeze
    )
    {
    case .restart:
      seen = 0
    case .hold:
      return finding
    case .learn:
      break
    }
    guard value.magnitude <= GrowingMoments.largestLearned else { return finding }
    guard seen > 0 else {
      mean = max(-WindowLimits.largestSummable, min(WindowLimits.largestSummable, value))
      variance = 0
      seen = 1
      return .unknown(limit: limit)
    }
    let distance = max(
      -WindowLimits.largestSummable,
      min(WindowLimits.largestSummable, value - mean)
    )
    mean += parameters.alpha * distance
    variance = (1 - parameters.alpha) * (variance + parameters.alpha * distance * distance)
    seen += 1
    return finding
  }

  private func judge(_ value: Double) -> DetectorFinding {
    guard seen >= parameters.warmUp else { return .unknown(limit: parameters.limit) }
    let distance = value - mean
    let floor = parameters.smallestDeviation
    let spread = max(variance, floor * floor)
    let limit = parameters.limit
    return DetectorFinding(
      condition: Truth(distance * distance > limit * limit * spread),
      statistic: distance == 0 ? 0 : distance / spread.squareRoot(),
      limit: limit
    )
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    bytes.appendState([mean, variance])
    bytes.appendState(seen)
    bytes.appendState(newest)
    freeze.write(into: &bytes)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    mean = try reader.double()
    variance = try reader.double()
    seen = try reader.count(in: 0...Int.max)
    newest = try reader.integer()
    freeze = try FreezeClock(reading: &reader)
  }
}

/// Distance from the median of a sliding window in units of the scaled MAD.
///
/// Formula: (v − median) / (1.4826 · MAD) over (t − span, t], the reading itself included; 1.4826 makes
/// the MAD of normal noise its standard deviation. Source: B. Iglewicz and D. Hoaglin, How to detect
/// and handle outliers (1993). Half of the window may be outliers before the scale breaks. Where more than `capacity` readings
/// lie in the span, median and MAD are those of readings at least ⌈span / capacity⌉ apart, which may leave out the reading
/// itself; from when to when stands at `ThinnedWindow`.
///
/// - Defaults: limit 6 (0.1 … 1,000), at least 30 readings (3 … capacity), no smallest scale (0 … 10³⁰⁰), longest freeze 1 d (0 …
///   10 years), capacity 256 (1 … 16,777,216); the span, 1 ms … 10 years, has none.
/// - Warm-up: unknown below `minimumCount` readings in the window; in a span of which not all are kept, below 3 that are.
/// - Freeze: while the alarm stands, readings are judged but do not enter the window, and none leaves it: its time
///   stands still, up to `longestFreeze`, after which it is emptied and filled anew. The alarm returns with the first normal
///   reading, in the latter case when enough have come.
/// - More than half of the window equal makes the MAD 0: give `smallestScale`.
/// - Bad status: not handed in. Gap: readings leave by time. Late: refused.
public struct RobustZScore: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Length of the window, 1 ms … 10 years.
    public var span: Int64
    /// Limit in scaled MADs.
    public var limit: Double
    /// Fewest readings in the window.
    public var minimumCount: Int
    /// Smallest scale, in the value's unit; 0 for none.
    public var smallestScale: Double
    /// True: readings enter the window also while the alarm stands.
    public var learnsInAlarm: Bool
    /// A freeze longer than this empties the window, ms; 0 for never.
    public var longestFreeze: Int64
    /// Most readings kept, spread over the whole span.
    public var capacity: Int

    /// Makes parameters.
    public init(
      span: Int64,
      limit: Double = 6,
      minimumCount: Int = 30,
      smallestScale: Double = 0,
      learnsInAlarm: Bool = false,
      longestFreeze: Int64 = 86_400_000,
      capacity: Int = 256
    ) {
      self.span = span
      self.limit = limit
      self.minimumCount = minimumCount
      self.smallestScale = smallestScale
      self.learnsInAlarm = learnsInAlarm
      self.longestFreeze = longestFreeze
      self.capacity = capacity
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var window: ThinnedWindow
  private var freeze = FreezeClock()
  private var newest = Int64.min

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check("limit", parameters.limit, 0.1...1000)
    try DetectorError.check("smallestScale", parameters.smallestScale, 0...1e300)
    try DetectorError.check(duration: "longestFreeze", parameters.longestFreeze)
    do {
      window = try ThinnedWindow(span: parameters.span, capacity: parameters.capacity)
    } catch {
      throw .window(error)
    }
    try DetectorError.check(
      "minimumCount",
      Double(parameters.minimumCount),
      3...Double(max(3, parameters.capacity))
    )
    self.parameters = parameters
  }

  /// Takes a reading; the statistic is the distance in scaled MADs.
  public mutating func step(time: Int64, value: Double, isFrozen: Bool = false) -> DetectorFinding {
    let limit = parameters.limit
    guard time >= newest else { return .unknown(limit: limit) }
    newest = time
    let start = freeze.start
    switch freeze.advice(
      time: time,
      isFrozen: isFrozen && isWarm && !parameters.learnsInAlarm,
      longest: parameters.longestFreeze
    )
    {
    case .restart:
      window.removeAll()
      window.step(time: time, value: value)
    case .hold:
      break
    case .learn:
      if let start { window.shift(by: time - start) }
      window.step(time: time, value: value)
    }
    guard isWarm else { return .unknown(limit: limit) }
    let distance = value - window.contents.median
    let scale = max(1.4826 * window.contents.medianAbsoluteDeviation, parameters.smallestScale)
    return DetectorFinding(
      condition: Truth(distance.magnitude > limit * scale),
      statistic: distance == 0 ? 0 : distance / scale,
      limit: limit
    )
  }

  /// Whether the window holds enough: one that is thinned has had more readings than it holds.
  private var isWarm: Bool {
    window.contents.count >= (window.isThinned ? 3 : parameters.minimumCount)
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    window.write(into: &bytes)
    freeze.write(into: &bytes)
    bytes.appendState(newest)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try window.restore(from: &reader)
    freeze = try FreezeClock(reading: &reader)
    newest = try reader.integer()
  }
}
