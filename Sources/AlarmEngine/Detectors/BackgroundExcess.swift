/// Rise over the signal's own background, for gases whose background drifts.
///
/// Formula: v − q over (t − span, t], q being a low quantile of the window, the reading itself included;
/// true above `limit`, false again below `restore`. A low quantile is the level between plumes as long as
/// plumes fill less than 1 − share of the window; it follows drift by the hour, and a plume raises it
/// only slowly. Where more than `capacity` readings lie in the span, q is over readings at least ⌈span / capacity⌉ apart, which
/// may leave out the reading itself; from when to when stands at `ThinnedWindow`. Source: the moving low percentile is the usual
/// background of fence-line monitoring (EPA OTM 33A takes the 5 % quantile).
///
/// - Defaults: restore = limit (0 … limit), share 0.2 (0 … 0.5), span 3 h (1 ms … 10 years), at least 1 reading (1 … capacity),
///   capacity 1,024 (1 … 16,777,216); the limit, above 0, has none.
/// - Warm-up: unknown below `minimumCount` readings, unless more have come than are kept; the first readings are their own
///   background, so a plume that stands at the start is only seen when it grows. Until they go back by 1 − share of the span
///   they may be nothing but plume: what is not above the limit then is unknown.
/// - Freeze: none; a plume longer than 1 − share of the span becomes background.
/// - Bad status: not handed in. Late: refused.
/// - Gap: readings leave by time. A silence of over half the span is a new start; one in an alarm leaves the background as it
///   was until the readings after it go back by 1 − share of the span, also over silences shorter than the span.
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
    /// Most readings kept, spread over the whole span, 1 … 16,777,216.
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
  private var window: ThinnedWindow
  private var hysteresis = Hysteresis()
  /// When the readings began that no long silence has broken; with a background that is held none shorter than the span does.
  private var start = Int64.min
  /// The background from before a long silence in an alarm, until the readings after it make one.
  private var held: Double?

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check(positive: "limit", parameters.limit)
    try DetectorError.check("restore", parameters.restore, 0...parameters.limit)
    try DetectorError.check("share", parameters.share, 0...0.5)
    do {
      window = try ThinnedWindow(span: parameters.span, capacity: parameters.capacity)
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
    if window.contents.isEmpty || time - window.newestTime > parameters.span / 2 {
      begin(at: time)
    }
    guard window.step(time: time, value: value),
      window.isThinned || window.contents.count >= parameters.minimumCount
    else { return .unknown(limit: parameters.limit) }
    let isWhole = Double(time - start) >= (1 - parameters.share) * Double(parameters.span)
    if isWhole { held = nil }
    let excess = value - (held ?? window.contents.quantile(parameters.share))
    let truth = hysteresis.step(excess, limit: parameters.limit, restore: parameters.restore)
    let isKnown = truth == .yes || isWhole || held != nil
    return DetectorFinding(
      condition: isKnown ? truth : .unknown,
      statistic: excess,
      limit: parameters.limit
    )
  }

  /// Begins anew after a long silence, in an alarm with the background that it was raised over.
  private mutating func begin(at time: Int64) {
    let isHeld = hysteresis.isActive && held != nil
    if !hysteresis.isActive {
      held = nil
    } else if held == nil, !window.contents.isEmpty {
      held = window.contents.quantile(parameters.share)
    }
    // Where readings come seldom, those in the window become the background all the same.
    if isHeld, time - window.newestTime < parameters.span { return }
    start = time
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    window.write(into: &bytes)
    bytes.appendState(hysteresis.isActive)
    bytes.appendState(start)
    bytes.appendState(held != nil)
    bytes.appendState(held ?? 0)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try window.restore(from: &reader)
    hysteresis.isActive = try reader.flag()
    start = try reader.integer()
    let isHeld = try reader.flag()
    let background = try reader.double()
    held = isHeld ? background : nil
  }
}
