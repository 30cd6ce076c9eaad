/// Distance from what this hour of the week has been like in the weeks before.
///
/// Each of the 168 hours has a mean and a variance. The readings of an hour are gathered (Welford) and
/// folded in when the hour has ended: m ← m + η (m_h − m), s ← (1 − η)(s + η (m_h − m)²) + η s_h, with
/// η = max(1/n, rate) after n weeks, so that the first weeks weigh alike and later ones decay. Formula
/// of the statistic: (v − m) / √s. Source: the additive seasonal baseline of Holt-Winters type (C. C.
/// Holt 1957), with the variance beside the level.
///
/// - Defaults: limit 5 (0.1 … 1,000), rate 0.25 (0.01 … 1), 2 weeks of warm-up per hour (1 … 100).
/// - `zoneOffset` is the site's offset from UTC in minutes, fixed: a site with summer time changes its
///   plan with its clocks, or its hours blur.
/// - Warm-up: unknown for an hour that has fewer than `minimumWeeks` weeks behind it.
/// - Freeze: readings beyond the limit, and all while the alarm stands, are not gathered, up to
///   `longestFreeze`, after which they are until it ends: the baseline goes over to what has become usual.
/// - An hour with fewer than `minimumReadings` gathered is not folded in: a gap teaches nothing.
/// - Bad status: not handed in. Late: refused.
public struct SeasonalBaseline: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Limit in standard deviations.
    public var limit: Double
    /// Weight of the newest week, once enough weeks have been seen.
    public var rate: Double
    /// Weeks an hour must have behind it.
    public var minimumWeeks: Int
    /// Readings an hour must have to be folded in.
    public var minimumReadings: Int
    /// Minutes east of UTC, −1,440 … 1,440.
    public var zoneOffset: Int
    /// Smallest deviation, in the value's unit; 0 for none.
    public var smallestDeviation: Double
    /// A freeze longer than this learns again, ms; 0 for never.
    public var longestFreeze: Int64

    /// Makes parameters.
    public init(
      limit: Double = 5,
      rate: Double = 0.25,
      minimumWeeks: Int = 2,
      minimumReadings: Int = 2,
      zoneOffset: Int = 480,
      smallestDeviation: Double = 0,
      longestFreeze: Int64 = 604_800_000
    ) {
      self.limit = limit
      self.rate = rate
      self.minimumWeeks = minimumWeeks
      self.minimumReadings = minimumReadings
      self.zoneOffset = zoneOffset
      self.smallestDeviation = smallestDeviation
      self.longestFreeze = longestFreeze
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var mean = [Double](repeating: 0, count: 168)
  private var variance = [Double](repeating: 0, count: 168)
  private var weeks = [UInt32](repeating: 0, count: 168)
  private var gathered = GrowingMoments()
  /// Hours since the epoch, local.
  private var openHour = Int64.min
  private var newest = Int64.min
  private var freeze = FreezeClock()

  /// Makes a baseline without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check("limit", parameters.limit, 0.1...1000)
    try DetectorError.check("rate", parameters.rate, 0.01...1)
    try DetectorError.check("minimumWeeks", Double(parameters.minimumWeeks), 1...100)
    try DetectorError.check("minimumReadings", Double(parameters.minimumReadings), 1...1e6)
    try DetectorError.check("zoneOffset", Double(parameters.zoneOffset), -1440...1440)
    try DetectorError.check("smallestDeviation", parameters.smallestDeviation, 0...1e100)
    try DetectorError.check(duration: "longestFreeze", parameters.longestFreeze)
    self.parameters = parameters
  }

  /// Hour of the week of a local hour since the epoch: 0 is Monday 00:00, 167 Sunday 23:00.
  static func hourOfWeek(_ hour: Int64) -> Int {
    // 1970-01-01 was a Thursday, three days after Monday.
    Int(hour + 72 - floorQuotient(hour + 72, 168) * 168)
  }

  /// Takes a reading; the statistic is the distance in standard deviations of this hour of the week.
  public mutating func step(time: Int64, value: Double, isFrozen: Bool = false) -> DetectorFinding {
    let limit = parameters.limit
    guard time >= newest else { return .unknown(limit: limit) }
    newest = time
    let hour = floorQuotient(time + Int64(parameters.zoneOffset) * 60_000, 3_600_000)
    if hour != openHour {
      fold()
      openHour = hour
    }
    let finding = judge(value, Self.hourOfWeek(hour))
    let isHeld = freeze.holds(
      time: time,
      isFrozen: isFrozen && (finding.condition != .unknown || hasWarmHour)
        || finding.condition == .yes,
      longest: parameters.longestFreeze
    )
    if !isHeld { gathered.learn(time: time, value: value) }
    return finding
  }

  private func judge(_ value: Double, _ slot: Int) -> DetectorFinding {
    let limit = parameters.limit
    guard weeks[slot] >= UInt32(parameters.minimumWeeks) else { return .unknown(limit: limit) }
    let distance = value - mean[slot]
    let deviation = max(variance[slot].squareRoot(), parameters.smallestDeviation)
    return DetectorFinding(
      condition: Truth(distance.magnitude > limit * deviation),
      statistic: distance == 0 ? 0 : distance / deviation,
      limit: limit
    )
  }

  /// Whether any hour can be judged.
  private var hasWarmHour: Bool { weeks.contains { $0 >= UInt32(parameters.minimumWeeks) } }

  private mutating func fold() {
    defer { gathered = GrowingMoments() }
    guard gathered.count >= parameters.minimumReadings, gathered.mean.isFinite else { return }
    let slot = Self.hourOfWeek(openHour)
    let hourVariance = gathered.count > 1 ? gathered.variance : 0
    weeks[slot] = min(weeks[slot] + 1, 1_000_000)
    let weight = max(1 / Double(weeks[slot]), parameters.rate)
    let distance = gathered.mean - mean[slot]
    mean[slot] += weight * distance
    variance[slot] =
      (1 - weight) * (variance[slot] + weight * distance * distance) + weight * hourVariance
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    bytes.appendState(mean)
    bytes.appendState(variance)
    for count in weeks { bytes.appendState(Int(count)) }
    gathered.write(into: &bytes)
    bytes.appendState(openHour)
    bytes.appendState(newest)
    freeze.write(into: &bytes)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    mean = try reader.doubles(168)
    variance = try reader.doubles(168)
    for slot in 0..<168 { weeks[slot] = UInt32(try reader.count(in: 0...1_000_000)) }
    gathered = try GrowingMoments(reading: &reader)
    openHour = try reader.integer()
    newest = try reader.integer()
    freeze = try FreezeClock(reading: &reader)
  }
}
