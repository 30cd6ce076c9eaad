/// Change per second over a span of event time.
///
/// Formula: (v(t) − v(r)) / (t − r), r being the oldest reading in [t − span, t], both edges closed,
/// so that 1 Hz data and a 60 s span compare readings exactly 60 s apart. With span 0 the reading before
/// is taken. Where more than half of `capacity` readings lie in the span, those that follow each other by less than
/// span / (`capacity` / 2 − 2) are not all kept: r is then the oldest kept, by less than this younger. True when the rate (its amount, for `.both`) is above `limit`; false again when it is
/// below `restore`.
///
/// Source: the rate-of-change alarm of IEC 62682 and OPC UA Part 9, whose span and coverage are the plant's to choose.
///
/// - Defaults: restore = limit, both directions, coverage 0.5, capacity 1,024 (2 … the largest window).
/// - Warm-up: unknown until the two readings are at least `coverage` of the span apart (where not all are kept, less their distance).
/// - Bad status: not handed in; the next good reading is compared across the hole.
/// - Gap: when no reading is left within the span, unknown; a gap neither raises nor clears.
/// - Late reading: refused (unknown, nothing changes).
/// - Freeze: none; nothing is learnt.
public struct RateOfChange: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Span in milliseconds, 0 … 10 years.
    public var span: Int64
    /// Limit in units per second, above 0.
    public var limit: Double
    /// Where the condition ends, in units per second, 0 … limit.
    public var restore: Double
    /// Rising, falling or both.
    public var side: DeviationSide
    /// Share of the span that must lie between the two readings, 0 … 1.
    public var coverage: Double
    /// Most readings kept.
    public var capacity: Int

    /// Makes parameters.
    public init(
      span: Int64,
      limit: Double,
      restore: Double? = nil,
      side: DeviationSide = .both,
      coverage: Double = 0.5,
      capacity: Int = 1024
    ) {
      self.span = span
      self.limit = limit
      self.restore = restore ?? limit
      self.side = side
      self.coverage = coverage
      self.capacity = capacity
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var samples: SampleWindow
  /// When there are many, readings are kept at least so far apart, ms.
  private let spacing: Int64
  private var hysteresis = Hysteresis()

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check(duration: "span", parameters.span)
    try DetectorError.check(positive: "limit", parameters.limit)
    try DetectorError.check("restore", parameters.restore, 0...parameters.limit)
    try DetectorError.check("coverage", parameters.coverage, 0...1)
    self.parameters = parameters
    let places = Int64(max(1, parameters.capacity / 2 - 2))
    spacing = (parameters.span + places - 1) / places
    do {
      let capacity = parameters.span == 0 ? 2 : parameters.capacity
      samples = try SampleWindow(capacity: capacity, statistics: [])
    } catch {
      throw .window(error)
    }
  }

  /// Takes a reading.
  public mutating func step(time: Int64, value: Double) -> DetectorFinding {
    if parameters.span > 0 { samples.removeAll(olderThan: parameters.span + 1, at: time) }
    guard keep(time: time, value: value) else { return .unknown(limit: parameters.limit) }
    let elapsed = time - samples.oldestTime
    // Where not all are kept, the oldest may be younger than the span by their distance.
    let slack = samples.count >= max(2, parameters.capacity / 2) ? spacing : 0
    guard elapsed > 0, Double(elapsed + slack) >= parameters.coverage * Double(parameters.span)
    else {
      return .unknown(limit: parameters.limit)
    }
    let rate = (value - samples.first) / (Double(elapsed) * 0.001)
    let excess = parameters.side.excess(rate)
    return DetectorFinding(
      condition: hysteresis.step(excess, limit: parameters.limit, restore: parameters.restore),
      statistic: rate,
      limit: parameters.limit
    )
  }

  /// Keeps a reading; false for a late one.
  ///
  /// Where there are many, the newest takes the place of the one before it while that is close to its own predecessor: they
  /// take no more room than there is, and leave the oldest where it was.
  private mutating func keep(time: Int64, value: Double) -> Bool {
    let count = samples.count
    // Of readings at one time the last is compared with what was before them.
    if parameters.span == 0, count == 2, time == samples.newestTime {
      samples.replaceNewest(time: time, value: value)
      return true
    }
    guard count >= max(2, parameters.capacity / 2), time >= samples.newestTime,
      samples.newestTime - samples.reading(at: count - 2).time < spacing
    else { return samples.add(time: time, value: value) }
    samples.replaceNewest(time: time, value: value)
    return true
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    samples.write(into: &bytes)
    bytes.appendState(hysteresis.isActive)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try samples.restore(from: &reader)
    hysteresis.isActive = try reader.flag()
  }
}
