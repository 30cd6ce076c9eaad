/// Distance of a value from what it should be: a set-point, a peer instrument or a linear model.
///
/// Formula: d = v − (gain · reference + offset); relative: d / |gain · reference + offset|. The reference is
/// the other signal's newest value (peer: gain 1, offset 0; model: fitted) or, for a set-point,
/// `gain` 0 and the set-point as `offset`. True when d, on the watched side, is above `limit`; false
/// again when below `restore`.
///
/// Source: the deviation alarm of IEC 62682 and OPC UA Part 9.
///
/// - Defaults: restore = limit (0 … limit), both sides, absolute, gain 1 and offset 0 (any number), longest age 60 s (0 … 10
///   years); the limit, above 0, has none.
/// - Warm-up: none; unknown until the reference has a value. Freeze: none; nothing is learnt.
/// - Bad status of the reference, or older than `longestAge`: unknown. Own bad status: not handed in.
/// - Gap, late reading: judged by the two values at hand; nothing is remembered but the hysteresis.
/// - Relative distance to a zero reference is infinite when d is not 0, and 0 when it is.
public struct Deviation: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Limit in the value's unit, or as a share (0.2 for 20 %) when relative; above 0.
    public var limit: Double
    /// Where the condition ends, 0 … limit.
    public var restore: Double
    /// Which side is watched.
    public var side: DeviationSide
    /// True: limit and restore are shares of the reference.
    public var isRelative: Bool
    /// Model slope; 1 for a peer, 0 for a set-point.
    public var gain: Double
    /// Model intercept; the set-point when ``gain`` is 0.
    public var offset: Double
    /// Oldest reference that is trusted, milliseconds, 0 … 10 years.
    public var longestAge: Int64

    /// Makes parameters for a peer or a model.
    public init(
      limit: Double,
      restore: Double? = nil,
      side: DeviationSide = .both,
      isRelative: Bool = false,
      gain: Double = 1,
      offset: Double = 0,
      longestAge: Int64 = 60_000
    ) {
      self.limit = limit
      self.restore = restore ?? limit
      self.side = side
      self.isRelative = isRelative
      self.gain = gain
      self.offset = offset
      self.longestAge = longestAge
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var hysteresis = Hysteresis()

  /// Makes a detector.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check(positive: "limit", parameters.limit)
    try DetectorError.check("restore", parameters.restore, 0...parameters.limit)
    try DetectorError.check(duration: "longestAge", parameters.longestAge)
    let most = Double.greatestFiniteMagnitude
    try DetectorError.check("gain", parameters.gain, -most...most)
    try DetectorError.check("offset", parameters.offset, -most...most)
    self.parameters = parameters
  }

  /// Takes a reading and the newest reading of the reference, nil when that has no value.
  public mutating func step(
    time: Int64,
    value: Double,
    reference: (time: Int64, value: Double)?
  ) -> DetectorFinding {
    var expected = parameters.offset
    if parameters.gain != 0 {
      guard let reference, time - reference.time <= parameters.longestAge else {
        return .unknown(limit: parameters.limit)
      }
      expected += parameters.gain * reference.value
    }
    // An expectation beyond every number says nothing.
    guard expected.isFinite else { return .unknown(limit: parameters.limit) }
    var distance = value - expected
    if parameters.isRelative, distance != 0 { distance /= expected.magnitude }
    return DetectorFinding(
      condition: hysteresis.step(
        parameters.side.excess(distance),
        limit: parameters.limit,
        restore: parameters.restore
      ),
      statistic: distance,
      limit: parameters.limit
    )
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    bytes.appendState(hysteresis.isActive)
  }

  /// Reads back written state.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    hysteresis.isActive = try reader.flag()
  }
}
