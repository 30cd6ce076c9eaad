/// Rise over the signal's own background, for gases whose background drifts.
///
/// Formula: v − q over (t − span, t], q being a low quantile of the window, the reading itself included;
/// true above `limit`, false again below `restore`. A low quantile is the level between plumes as long as
/// plumes fill less than 1 − share of the window; it follows drift by the hour, and a plume raises it
/// only slowly. Source: the moving low percentile is the usual background of fence-line monitoring (EPA
/// OTM 33A takes the 5 % quantile).
///
/// - Defaults: restore = limit (0 … limit), share 0.2 (0 … 0.5), span 3 h (1 ms … 10 years), at least 1 reading (1 … capacity),
///   capacity 1,024 (1 … 16,777,216); the limit, above 0, has none.
/// - Warm-up: unknown below `minimumCount` readings; the first readings are their own background, so a
///   plume that stands at the start is only seen when it grows.
/// - Freeze: none; a plume longer than 1 − share of the span becomes background.
/// - Bad status: not handed in. Gap: readings leave by time. Late: refused.
public struct BackgroundExcess: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Limit over the background, in the value's unit; above 0.
    public var limit: Double
    /// Where the condition ends, 0 … limit.
    public var restore: Double
    /// Length of the window, 1 ms … 10 years.
    public var span: Int64
    /// Quantile that is the background, 0 … 0.5.
    public var share: Double
    /// Fewest readings in the window, 1 … capacity.
    public var minimumCount: Int
    /// Most readings kept, 1 … 16,777,216.
    public var capacity: Int

    /// Makes parameters.
    public init(
      limit: Double,
      restore: Double? = nil,
      span: Int64 = 10_800_000,
      share: Double = 0.2,
      minimumCount: Int = 1,
      capacity: Int = 1024
    ) {
      self.limit = limit
      self.restore = restore ?? limit
      self.span = span
      self.share = share
      self.minimumCount = minimumCount
      self.capacity = capacity
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var window: SlidingWindow
  private var hysteresis = Hysteresis()

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check(positive: "limit", parameters.limit)
    try DetectorError.check("restore", parameters.restore, 0...parameters.limit)
    try DetectorError.check("share", parameters.share, 0...0.5)
    do {
      window = try SlidingWindow(
        span: parameters.span,
        capacity: parameters.capacity,
        statistics: .order
      )
    } catch {
      throw .window(error)
    }
    try DetectorError.check(
      "minimumCount",
      Double(parameters.minimumCount),
      1...Double(parameters.capacity)
    )
    self.parameters = parameters
  }

  /// Takes a reading; the statistic is the excess over the background.
  public mutating func step(time: Int64, value: Double) -> DetectorFinding {
    guard window.step(time: time, value: value),
      window.contents.count >= parameters.minimumCount
    else { return .unknown(limit: parameters.limit) }
    let excess = value - window.contents.quantile(parameters.share)
    return DetectorFinding(
      condition: hysteresis.step(excess, limit: parameters.limit, restore: parameters.restore),
      statistic: excess,
      limit: parameters.limit
    )
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    window.write(into: &bytes)
    bytes.appendState(hysteresis.isActive)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try window.restore(from: &reader)
    hysteresis.isActive = try reader.flag()
  }
}
