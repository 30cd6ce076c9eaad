/// How far a reading leaves the range that its stream has kept to so far.
///
/// Three excesses, each as a share of a range seen before, none of which looks ahead:
/// - of the reading beyond everything so far;
/// - of the reading beyond what this time of day (the hour and the `reach` hours around it) has seen;
/// - of the mean of the last `smoothing` readings beyond all such means before, which finds a change of
///   level that no single reading betrays.
///
/// The latter two weigh `weight` as much as the first: ordinary noise leaves the range of an hour far
/// more easily than the range of all time. Scaling by the range, and not by the noise, lets one
/// threshold serve a temperature and a message count. A series that has been reported often raises its
/// own bar: the excess is divided by 1 + `wariness` · k, k being the reports so far, each counting half
/// after `forgetting` readings. The excess e becomes the score e / (e + scale), so that 0.5 is the
/// natural threshold. A score is given only where it is above the last one given within `refractory`
/// readings: one excursion is one report.
///
/// - Warm-up: the first reading scores 0; an hour counts from `minimumCount` readings on.
/// - Constant signals: a range of 0 gives no score; the second value of a stream cannot be judged.
/// - Values that are not finite or that nothing measures (beyond 10¹⁸), and readings that are late, score 0 and teach nothing.
/// - Freeze: none; what has been seen once is no longer new. Memory: fixed, under 2 kB.
public struct RangeInContext: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Hours before and after that share a context, 0 … 11.
    public var reach: Int
    /// Readings an hour of the day must have had.
    public var minimumCount: Int
    /// Readings averaged, 2 … 1,024.
    public var smoothing: Int
    /// Weight of the two contextual excesses, 0 … 1.
    public var weight: Double
    /// Excess that scores 0.5.
    public var scale: Double
    /// Readings for which a lower score is held back.
    public var refractory: Int
    /// How much each earlier report raises the bar, 0 … 10.
    public var wariness: Double
    /// Readings after which an earlier report counts half, 1 … 1,000,000.
    public var forgetting: Int
    /// Minutes east of UTC for the time of day; 0 when time stamps are local already.
    public var zoneOffset: Int

    /// Makes parameters.
    public init(
      reach: Int = 3,
      minimumCount: Int = 20,
      smoothing: Int = 12,
      weight: Double = 0.05,
      scale: Double = 0.0026,
      refractory: Int = 150,
      wariness: Double = 0.3,
      forgetting: Int = 2000,
      zoneOffset: Int = 0
    ) {
      self.reach = reach
      self.minimumCount = minimumCount
      self.smoothing = smoothing
      self.weight = weight
      self.scale = scale
      self.refractory = refractory
      self.wariness = wariness
      self.forgetting = forgetting
      self.zoneOffset = zoneOffset
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var overall = SeenRange()
  private var means = SeenRange()
  private var hours = [SeenRange](repeating: SeenRange(), count: 24)
  private var counts = [Int](repeating: 0, count: 24)
  private var recent: [Double]
  private var seen = 0
  private var newest = Int64.min
  private var refractory: Refractory
  /// Reports so far, older ones counting less.
  private var reports = 0.0
  private let fading: Double

  /// Makes a scorer without history.
  public init(_ parameters: Parameters = Parameters()) throws(DetectorError) {
    try DetectorError.check("reach", Double(parameters.reach), 0...11)
    try DetectorError.check("minimumCount", Double(parameters.minimumCount), 1...1e6)
    try DetectorError.check("smoothing", Double(parameters.smoothing), 2...1024)
    try DetectorError.check("weight", parameters.weight, 0...1)
    try DetectorError.check(positive: "scale", parameters.scale)
    try DetectorError.check("refractory", Double(parameters.refractory), 0...1e9)
    try DetectorError.check("zoneOffset", Double(parameters.zoneOffset), -1440...1440)
    self.parameters = parameters
    try DetectorError.check("wariness", parameters.wariness, 0...10)
    try DetectorError.check("forgetting", Double(parameters.forgetting), 1...1e6)
    // ½^(1/n) to second order in 1/n, which is within 1e-4 of it for n above 100.
    let rate = 0.693147180559945 / Double(parameters.forgetting)
    fading = 1 - rate + rate * rate / 2
    recent = [Double](repeating: 0, count: parameters.smoothing)
    refractory = Refractory(span: parameters.refractory)
  }

  /// Takes a reading and gives its score in [0, 1].
  public mutating func score(time: Int64, value: Double) -> Double {
    guard value.magnitude <= GrowingMoments.largestLearned, time >= newest else {
      return refractory.pass(0)
    }
    newest = time
    let local = time + Int64(parameters.zoneOffset) * 60_000
    let hour = Int(floorQuotient(local, 3_600_000) - floorQuotient(local, 86_400_000) * 24)
    var excess = overall.excess(value)
    if counts[hour] >= parameters.minimumCount {
      let inContext = hours[hour].distance(value) / overall.width
      if inContext.isFinite { excess = max(excess, parameters.weight * inContext) }
    }
    for step in -parameters.reach...parameters.reach {
      hours[(hour + step + 24) % 24].take(value)
    }
    counts[hour] += 1
    overall.take(value)
    recent[seen % parameters.smoothing] = value
    seen += 1
    if seen > parameters.smoothing {
      // Summed anew, so that a huge value leaves nothing behind; dozens of additions at most.
      var mean = 0.0
      for value in recent { mean += value / Double(parameters.smoothing) }
      excess = max(excess, parameters.weight * means.excess(mean))
      means.take(mean)
    }
    reports *= fading
    excess /= 1 + parameters.wariness * reports
    let score = refractory.pass(excess.isFinite ? excess / (excess + parameters.scale) : 1)
    if score >= Score.threshold { reports += 1 }
    return score
  }
}

/// Smallest and largest value so far.
struct SeenRange: Hashable, Sendable {
  private(set) var low = Double.infinity
  private(set) var high = -Double.infinity

  var width: Double { high - low }

  /// How far beyond the range a value lies; 0 within, and while there is no range.
  func distance(_ value: Double) -> Double {
    guard low <= high else { return 0 }
    return value > high ? value - high : value < low ? low - value : 0
  }

  /// The same as a share of the range; 0 when the range is a point.
  func excess(_ value: Double) -> Double {
    let width = width
    return width > 0 ? distance(value) / width : 0
  }

  mutating func take(_ value: Double) {
    if value < low { low = value }
    if value > high { high = value }
  }
}

/// Lets a score through where it is above the last one let through within a span of readings.
struct Refractory: Hashable, Sendable {
  let span: Int
  private var last = 0.0
  private var age = 0

  init(span: Int) {
    self.span = span
  }

  mutating func pass(_ score: Double) -> Double {
    if age <= span { age += 1 }
    guard score > 0, age > span || score > last else { return 0 }
    last = score
    age = 0
    return score
  }
}
