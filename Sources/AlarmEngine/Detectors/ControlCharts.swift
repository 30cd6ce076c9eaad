/// Where a control chart has its centre and its spread from.
public enum ControlBaseline: Hashable, Sendable {
  /// Given by the engineer.
  case given(mean: Double, standardDeviation: Double)
  /// Mean and sample standard deviation of the first `readings` readings, 2 … 1,000,000.
  ///
  /// With few readings the false alarm rate is higher than the tables say (Montgomery, Introduction
  /// to Statistical Quality Control, 6.2): use 100 or more.
  case learned(readings: Int)

  func check() throws(DetectorError) {
    switch self {
    case .given(let mean, let deviation):
      try DetectorError.check(
        "mean",
        mean,
        -WindowLimits.largestSummable...WindowLimits.largestSummable
      )
      try DetectorError.check(positive: "standardDeviation", deviation)
    case .learned(let readings):
      try DetectorError.check("readings", Double(readings), 2...1_000_000)
    }
  }
}

/// The baseline's state: learns, then stands.
struct ControlEstimate: Sendable {
  private var moments = GrowingMoments()
  private(set) var mean = 0.0
  private(set) var deviation = 0.0
  private(set) var isReady = false
  private var freeze = FreezeClock()

  init(_ baseline: ControlBaseline) {
    if case .given(let mean, let deviation) = baseline {
      self.mean = mean
      self.deviation = deviation
      isReady = true
    }
  }

  /// Standard score of the reading, nil while learning; `didRestart` when the baseline was dropped.
  mutating func score(
    time: Int64,
    value: Double,
    isFrozen: Bool,
    baseline: ControlBaseline,
    longestFreeze: Int64,
    smallestDeviation: Double
  ) -> (score: Double?, didRestart: Bool) {
    var restarted = false
    if case .learned(let readings) = baseline {
      let isHeld = isFrozen && isReady
      if freeze.advice(time: time, isFrozen: isHeld, longest: longestFreeze) == .restart {
        isReady = false
        moments = GrowingMoments()
        restarted = true
      }
      if !isReady {
        moments.learn(time: time, value: value)
        guard moments.count >= readings else { return (nil, restarted) }
        guard moments.variance.isFinite else {
          moments = GrowingMoments()
          return (nil, restarted)
        }
        mean = moments.mean
        deviation = max(moments.variance.squareRoot(), smallestDeviation)
        isReady = true
        return (nil, restarted)
      }
    }
    let distance = value - mean
    return (
      deviation > 0 || distance == 0
        ? (distance == 0 ? 0 : distance / deviation)
        : distance > 0 ? .infinity : -.infinity, restarted
    )
  }

  func write(into bytes: inout [UInt8]) {
    moments.write(into: &bytes)
    bytes.appendState([mean, deviation])
    bytes.appendState(isReady)
    freeze.write(into: &bytes)
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    moments = try GrowingMoments(reading: &reader)
    mean = try reader.double()
    deviation = try reader.double()
    isReady = try reader.flag()
    freeze = try FreezeClock(reading: &reader)
  }
}

/// Exponentially weighted moving average control chart.
///
/// Formula: z₀ = 0, zᵢ = λ (xᵢ − μ)/σ + (1 − λ) zᵢ₋₁; signal when |zᵢ| > L √(λ/(2−λ) · (1 − (1−λ)²ⁱ)),
/// or with the asymptotic limit L √(λ/(2−λ)) when `usesExactLimits` is false. Source: S. W. Roberts,
/// Technometrics 1 (1959) 239-250; J. M. Lucas and M. S. Saccucci, Technometrics 32 (1990) 1-12, whose
/// tables give L for a wanted run length: λ 0.1 with L 2.814 runs 500 readings between false alarms.
///
/// - Defaults: λ 0.2 (0.001 … 1), L 2.962 (0.1 … 20), baseline learned from 100 readings.
/// - Warm-up: unknown while the baseline is learned.
/// - Freeze: the baseline is fixed once learned; an alarm that stands longer than `longestFreeze` has
///   it learned anew. The average itself goes on, so that the alarm can return.
/// - No baseline is learnt from an amount above 10¹⁸, and a score counts as at most 10¹⁰⁰: nothing measures either.
/// - Bad status: not handed in. Gap: none is seen, the chart counts readings, not time. Late: refused.
public struct EWMAChart: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Weight of the newest reading.
    public var lambda: Double
    /// Width of the limits in standard deviations of the average.
    public var width: Double
    /// True: limits widen from the start as the variance of the average does.
    public var usesExactLimits: Bool
    /// Centre and spread.
    public var baseline: ControlBaseline
    /// Smallest spread a learned baseline may have, in the value's unit; 0 for none.
    public var smallestDeviation: Double
    /// A standing alarm older than this has the baseline learned anew, ms; 0 for never.
    public var longestFreeze: Int64

    /// Makes parameters.
    public init(
      lambda: Double = 0.2,
      width: Double = 2.962,
      usesExactLimits: Bool = false,
      baseline: ControlBaseline = .learned(readings: 100),
      smallestDeviation: Double = 0,
      longestFreeze: Int64 = 0
    ) {
      self.lambda = lambda
      self.width = width
      self.usesExactLimits = usesExactLimits
      self.baseline = baseline
      self.smallestDeviation = smallestDeviation
      self.longestFreeze = longestFreeze
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var estimate: ControlEstimate
  private var average = 0.0
  /// (1 − λ)²ⁱ.
  private var decay = 1.0
  private var newest = Int64.min

  /// Makes a chart.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check("lambda", parameters.lambda, 0.001...1)
    try DetectorError.check("width", parameters.width, 0.1...20)
    try DetectorError.check("smallestDeviation", parameters.smallestDeviation, 0...1e100)
    try DetectorError.check(duration: "longestFreeze", parameters.longestFreeze)
    try parameters.baseline.check()
    self.parameters = parameters
    estimate = ControlEstimate(parameters.baseline)
  }

  /// Takes a reading; the statistic is the average in units of the baseline's standard deviation.
  public mutating func step(time: Int64, value: Double, isFrozen: Bool = false) -> DetectorFinding {
    let lambda = parameters.lambda
    let asymptotic = parameters.width * (lambda / (2 - lambda)).squareRoot()
    guard time >= newest else { return .unknown(limit: asymptotic) }
    newest = time
    let (score, didRestart) = estimate.score(
      time: time,
      value: value,
      isFrozen: isFrozen,
      baseline: parameters.baseline,
      longestFreeze: parameters.longestFreeze,
      smallestDeviation: parameters.smallestDeviation
    )
    if didRestart {
      average = 0
      decay = 1
    }
    guard let score else { return .unknown(limit: asymptotic) }
    // An infinite score (a spread of zero) must not stay in the average for ever.
    average += lambda * (max(-1e100, min(1e100, score)) - average)
    decay *= (1 - lambda) * (1 - lambda)
    let limit = parameters.usesExactLimits ? asymptotic * (1 - decay).squareRoot() : asymptotic
    return DetectorFinding(
      condition: Truth(average.magnitude > limit),
      statistic: average,
      limit: limit
    )
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    estimate.write(into: &bytes)
    bytes.appendState([average, decay])
    bytes.appendState(newest)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try estimate.restore(from: &reader)
    average = try reader.double()
    decay = try reader.double()
    newest = try reader.integer()
  }
}

/// Two-sided tabular cumulative sum chart.
///
/// Formula, with y = (x − μ)/σ: C⁺ = max(0, y − k + C⁺), C⁻ = max(0, −y − k + C⁻); signal when either is
/// above h. Source: E. S. Page, Biometrika 41 (1954) 100-115; D. C. Montgomery, Introduction to
/// Statistical Quality Control, chapter 9, whose table 9.3 gives the run lengths: k 0.5, h 5 runs 465
/// readings between false alarms and finds a shift of one σ in 10.4.
///
/// - Defaults: k 0.5 (0 … 10), h 5 (0.1 … 1,000), head start 0 (share of h, 0 … 1; the fast initial
///   response of Lucas and Crosier, Technometrics 24 (1982) 199-205, takes 0.5).
/// - The sums stop at `ceiling` · h (2; 1.1 … 1,000,000), so that the alarm returns in bounded time after a long excursion. (At h
///   itself neither could ever be above it.)
/// - Warm-up, freeze, bad status, gap, late: as ``EWMAChart``.
public struct TabularCUSUM: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Allowance (reference value), in σ: half the shift to be found fast.
    public var allowance: Double
    /// Decision interval, in σ.
    public var decisionInterval: Double
    /// Start of both sums as a share of the decision interval.
    public var headStart: Double
    /// Where the sums stop, as a multiple of the decision interval, 1.1 … 1,000,000.
    public var ceiling: Double
    /// Centre and spread.
    public var baseline: ControlBaseline
    /// Smallest spread a learned baseline may have, in the value's unit; 0 for none.
    public var smallestDeviation: Double
    /// A standing alarm older than this has the baseline learned anew, ms; 0 for never.
    public var longestFreeze: Int64

    /// Makes parameters.
    public init(
      allowance: Double = 0.5,
      decisionInterval: Double = 5,
      headStart: Double = 0,
      ceiling: Double = 2,
      baseline: ControlBaseline = .learned(readings: 100),
      smallestDeviation: Double = 0,
      longestFreeze: Int64 = 0
    ) {
      self.allowance = allowance
      self.decisionInterval = decisionInterval
      self.headStart = headStart
      self.ceiling = ceiling
      self.baseline = baseline
      self.smallestDeviation = smallestDeviation
      self.longestFreeze = longestFreeze
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var estimate: ControlEstimate
  /// Sum of excesses above the centre, in σ.
  public private(set) var upper: Double
  /// Sum of excesses below the centre, in σ.
  public private(set) var lower: Double
  private var newest = Int64.min

  /// Makes a chart.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check("allowance", parameters.allowance, 0...10)
    try DetectorError.check("decisionInterval", parameters.decisionInterval, 0.1...1000)
    try DetectorError.check("headStart", parameters.headStart, 0...1)
    try DetectorError.check("ceiling", parameters.ceiling, 1.1...1e6)
    try DetectorError.check("smallestDeviation", parameters.smallestDeviation, 0...1e100)
    try DetectorError.check(duration: "longestFreeze", parameters.longestFreeze)
    try parameters.baseline.check()
    self.parameters = parameters
    estimate = ControlEstimate(parameters.baseline)
    upper = parameters.headStart * parameters.decisionInterval
    lower = upper
  }

  /// Takes a reading; the statistic is the larger sum, with the sign of its side.
  public mutating func step(time: Int64, value: Double, isFrozen: Bool = false) -> DetectorFinding {
    let limit = parameters.decisionInterval
    guard time >= newest else { return .unknown(limit: limit) }
    newest = time
    let (score, didRestart) = estimate.score(
      time: time,
      value: value,
      isFrozen: isFrozen,
      baseline: parameters.baseline,
      longestFreeze: parameters.longestFreeze,
      smallestDeviation: parameters.smallestDeviation
    )
    if didRestart {
      upper = parameters.headStart * limit
      lower = upper
    }
    guard let score else { return .unknown(limit: limit) }
    let most = parameters.ceiling * limit
    upper = min(most, max(0, score - parameters.allowance + upper))
    lower = min(most, max(0, -score - parameters.allowance + lower))
    return DetectorFinding(
      condition: Truth(max(upper, lower) > limit),
      statistic: upper >= lower ? upper : -lower,
      limit: limit
    )
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    estimate.write(into: &bytes)
    bytes.appendState([upper, lower])
    bytes.appendState(newest)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try estimate.restore(from: &reader)
    upper = try reader.double()
    lower = try reader.double()
    newest = try reader.integer()
  }
}
