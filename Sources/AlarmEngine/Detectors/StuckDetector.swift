/// A signal that does not move: the value stays within `tolerance` for at least `duration`.
///
/// Formula: true when the readings of some unbroken stretch that ends now, lasts `duration` or more and
/// holds at least `minimumCount` readings have maximum − minimum ≤ tolerance; tolerance 0 means
/// exactly equal values (恒值). The longest such stretch is kept by removing the oldest reading until the
/// range fits, with two monotonic queues, so a reading costs O(1) on average.
///
/// Source: Davy's own, after the flat-line tests of data validation (恒值; recalled, unverified).
///
/// - Defaults: tolerance 0 (0 or above, finite), 3 readings (2 … 16,777,216), longest gap = duration, nothing exempt, capacity
///   256 (1 … 16,777,216); duration and longest gap 0 … 10 years.
/// - Warm-up: unknown until `duration` has been seen, or a value that moves. Freeze: none; there is nothing to learn.
/// - Exempt band: a clean-air gas detector rests at zero for weeks; values in `exempt` break the stretch.
/// - Bad status: not handed in; the stretch goes on if the gap is short enough.
/// - Gap: longer than `longestGap` breaks the stretch, for silence is not constancy (stale is its own
///   alarm). It is not movement either: after it, too, the condition is unknown until the new stretch has lasted, or the
///   values since the last one before it, over further gaps too, have moved.
/// - Late reading: refused (unknown, nothing changes).
/// - Memory: at most `capacity` readings. Older ones of the stretch are kept as one envelope; when that
///   no longer fits, the stretch restarts at the oldest reading held, so the alarm can only come later.
public struct StuckDetector: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// How long the value must not have moved, milliseconds, 0 … 10 years.
    public var duration: Int64
    /// Largest range that counts as not moving, 0 or above; 0 for exactly equal.
    public var tolerance: Double
    /// Fewest readings, 2 … 16,777,216.
    public var minimumCount: Int
    /// Longest silence within a stretch, milliseconds, 0 … 10 years.
    public var longestGap: Int64
    /// Values that may stand still.
    public var exempt: ClosedRange<Double>?
    /// Most readings kept, 1 … 16,777,216; with tolerance 0 one is enough, and no more are.
    public var capacity: Int

    /// Makes parameters.
    public init(
      duration: Int64,
      tolerance: Double = 0,
      minimumCount: Int = 3,
      longestGap: Int64? = nil,
      exempt: ClosedRange<Double>? = nil,
      capacity: Int = 256
    ) {
      self.duration = duration
      self.tolerance = tolerance
      self.minimumCount = minimumCount
      self.longestGap = longestGap ?? duration
      self.exempt = exempt
      self.capacity = capacity
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var samples: SampleWindow
  /// Readings of the stretch that no longer fit into the ring.
  private var sealed = 0
  private var sealedStart: Int64 = 0
  private var sealedLow = 0.0
  private var sealedHigh = 0.0
  private var newest = Int64.min
  /// Nothing is known of the time before the stretch: the value may have stood still then too.
  private var isDoubtful = true
  /// Least and greatest value since that is so, with the last one before the silence.
  private var doubtedLow = Double.infinity
  private var doubtedHigh = -Double.infinity

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check(duration: "duration", parameters.duration)
    try DetectorError.check(duration: "longestGap", parameters.longestGap)
    try DetectorError.check("tolerance", parameters.tolerance, 0 ... .greatestFiniteMagnitude)
    try DetectorError.check(
      "minimumCount",
      Double(parameters.minimumCount),
      2...Double(WindowLimits.largestCapacity)
    )
    self.parameters = parameters
    do {
      let capacity = parameters.tolerance == 0 ? 1 : parameters.capacity
      samples = try SampleWindow(capacity: capacity, statistics: .extrema)
    } catch {
      throw .window(error)
    }
  }

  /// Takes a reading; the statistic is how long the value has not moved, in milliseconds.
  public mutating func step(time: Int64, value: Double) -> DetectorFinding {
    let limit = Double(parameters.duration)
    guard time >= newest else { return .unknown(limit: limit) }
    if newest != .min, time - newest > parameters.longestGap {
      if !isDoubtful { doubt() }
      clear()
    }
    newest = time
    if let exempt = parameters.exempt, exempt.contains(value) {
      isDoubtful = false
      clear()
      return DetectorFinding(condition: .no, statistic: 0, limit: limit)
    }
    if isDoubtful { settle(by: value) }
    if samples.count == samples.capacity { seal() }
    samples.add(time: time, value: value)
    while samples.count + sealed > 1, !fits {
      if sealed > 0 { sealed = 0 } else { samples.removeOldest() }
    }
    let start = sealed > 0 ? sealedStart : samples.oldestTime
    let isStuck =
      time - start >= parameters.duration && samples.count + sealed >= parameters.minimumCount
    if isStuck { isDoubtful = false }
    return DetectorFinding(
      condition: isStuck ? .yes : isDoubtful ? .unknown : .no,
      statistic: Double(time - start),
      limit: limit
    )
  }

  /// Leaves it open from the last value on whether it has stood still.
  private mutating func doubt() {
    isDoubtful = true
    doubtedLow = samples.isEmpty ? .infinity : samples.last
    doubtedHigh = samples.isEmpty ? -.infinity : samples.last
  }

  /// Ends the doubt with a value that cannot belong to one stretch with all since, however long the silences between were.
  private mutating func settle(by value: Double) {
    doubtedLow = min(doubtedLow, value)
    doubtedHigh = max(doubtedHigh, value)
    isDoubtful = doubtedHigh - doubtedLow <= parameters.tolerance
  }

  private var fits: Bool {
    var low = samples.minimum
    var high = samples.maximum
    if sealed > 0 {
      low = min(low, sealedLow)
      high = max(high, sealedHigh)
    }
    return high - low <= parameters.tolerance
  }

  /// Moves the oldest reading held into the envelope.
  private mutating func seal() {
    let value = samples.first
    if sealed == 0 {
      sealedStart = samples.oldestTime
      sealedLow = value
      sealedHigh = value
    } else {
      sealedLow = min(sealedLow, value)
      sealedHigh = max(sealedHigh, value)
    }
    sealed += 1
    samples.removeOldest()
  }

  private mutating func clear() {
    samples.removeAll()
    sealed = 0
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    samples.write(into: &bytes)
    bytes.appendState(sealed)
    bytes.appendState(sealedStart)
    bytes.appendState([sealedLow, sealedHigh])
    bytes.appendState(newest)
    bytes.appendState(isDoubtful)
    bytes.appendState([doubtedLow, doubtedHigh])
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try samples.restore(from: &reader)
    sealed = try reader.count(in: 0...Int.max)
    sealedStart = try reader.integer()
    sealedLow = try reader.double()
    sealedHigh = try reader.double()
    newest = try reader.integer()
    isDoubtful = try reader.flag()
    doubtedLow = try reader.double()
    doubtedHigh = try reader.double()
  }
}
