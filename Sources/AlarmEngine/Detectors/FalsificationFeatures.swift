/// Values that keep just below a limit and never reach it (贴限).
///
/// Formula: over (t − span, t], the share of readings in [band · limit, limit) is at least `share` and no
/// reading is at or above the limit. Source: the pollution-source rules for automatic monitoring data;
/// band 0.9. A suspicion with evidence, not a proof.
///
/// - Defaults: band 0.9 and share 0.5 (0 … 1 each), at least 60 readings (1 … capacity), capacity 1,024 (1 … 16,777,216); span (1 ms
///   … 10 years) and limit (above 0) have none.
/// - Warm-up: unknown below `minimumCount` readings. Freeze: none; nothing is learnt.
/// - Bad status: not handed in. Gap: readings leave by time. Late: refused (unknown, nothing changes).
/// - Where more than `capacity` readings lie in the span, the newest of them are judged.
public struct LimitHugging: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Length of the window, 1 ms … 10 years.
    public var span: Int64
    /// The limit that is hugged, above 0.
    public var limit: Double
    /// Lower edge of the band as a share of the limit, 0 … 1.
    public var band: Double
    /// Share of the readings in the band, 0 … 1.
    public var share: Double
    /// Fewest readings, 1 … capacity.
    public var minimumCount: Int
    /// Most readings kept, 1 … 16,777,216.
    public var capacity: Int

    /// Makes parameters.
    public init(
      span: Int64,
      limit: Double,
      band: Double = 0.9,
      share: Double = 0.5,
      minimumCount: Int = 60,
      capacity: Int = 1024
    ) {
      self.span = span
      self.limit = limit
      self.band = band
      self.share = share
      self.minimumCount = minimumCount
      self.capacity = capacity
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var samples: SampleWindow
  private var inBand = 0
  private var beyond = 0

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check(positive: "limit", parameters.limit)
    try DetectorError.check("band", parameters.band, 0...1)
    try DetectorError.check("share", parameters.share, 0...1)
    do {
      try WindowError.check(duration: parameters.span)
      samples = try SampleWindow(capacity: parameters.capacity, statistics: [])
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

  /// Takes a reading; the statistic is the share of readings in the band.
  public mutating func step(time: Int64, value: Double) -> DetectorFinding {
    if !samples.isEmpty, time < samples.newestTime { return .unknown(limit: parameters.share) }
    while !samples.isEmpty,
      time - samples.oldestTime >= parameters.span || samples.count == samples.capacity
    {
      count(samples.first, -1)
      samples.removeOldest()
    }
    samples.add(time: time, value: value)
    count(value, 1)
    guard samples.count >= parameters.minimumCount else {
      return .unknown(limit: parameters.share)
    }
    let share = Double(inBand) / Double(samples.count)
    return DetectorFinding(
      condition: Truth(beyond == 0 && share >= parameters.share),
      statistic: share,
      limit: parameters.share
    )
  }

  private mutating func count(_ value: Double, _ change: Int) {
    if value >= parameters.limit {
      beyond += change
    } else if value >= parameters.band * parameters.limit {
      inBand += change
    }
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    samples.write(into: &bytes)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try samples.restore(from: &reader)
    inBand = 0
    beyond = 0
    for index in 0..<samples.count { count(samples.reading(at: index).value, 1) }
  }
}

/// A run of values that repeats an earlier run exactly (replayed or periodic data).
///
/// Formula: at least the newest `length` values equal, bit for bit, the values `lag` readings before,
/// with at least `changes` changes of value since the repeat began, so that a resting signal does not count. Runs are found
/// through a table of the last eight values' hash; a found lag is followed reading by reading. Source:
/// the periodic-fluctuation test of CN112381697A, exact instead of by autocorrelation: measured noise
/// does not repeat, so one long verbatim run is evidence enough.
///
/// - Defaults: 120 readings (16 … history), 20 changes (1 … length), history 4,096 readings (a power of two, 64 … 1,048,576).
/// - One lag is followed at a time: where another has been, a run counts from its end only.
/// - Warm-up: false until a run has repeated. Freeze: none; readings are kept also while the alarm stands.
/// - O(1) a reading; memory 16 bytes a reading of history.
/// - Bad status: not handed in. Gap: irrelevant, values count, not times. Late: not handed in.
public struct ReplayedRun: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Readings that must repeat, 16 … history.
    public var length: Int
    /// Changes of value among them, 1 … length.
    public var changes: Int
    /// Readings kept, a power of two, 64 … 1,048,576.
    public var history: Int

    /// Makes parameters.
    public init(length: Int = 120, changes: Int = 20, history: Int = 4096) {
      self.length = length
      self.changes = changes
      self.history = history
    }
  }

  private static let gram = 8

  /// The parameters.
  public let parameters: Parameters
  private var values: [Double]
  private var places: [Int]
  private var count = 0
  private var lag = 0
  private var matched = 0
  private var changed = 0

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check("history", Double(parameters.history), 64...1_048_576)
    guard parameters.history & (parameters.history - 1) == 0 else {
      throw .outOfRange(
        parameter: "history",
        value: Double(parameters.history),
        allowed: "a power of two"
      )
    }
    try DetectorError.check("length", Double(parameters.length), 16...Double(parameters.history))
    try DetectorError.check("changes", Double(parameters.changes), 1...Double(parameters.length))
    self.parameters = parameters
    values = [Double](repeating: 0, count: parameters.history)
    places = [Int](repeating: -1, count: parameters.history)
  }

  /// How many readings before the repeated run lies; 0 when none repeats.
  public var period: Int { matched >= parameters.length ? lag : 0 }

  /// Takes a reading; the statistic is the length of the run that repeats.
  public mutating func step(value: Double) -> DetectorFinding {
    let mask = parameters.history - 1
    let index = count
    values[index & mask] = value
    count += 1
    if lag > 0, values[(index - lag) & mask].bitPattern == value.bitPattern {
      matched += 1
      if values[(index - 1) & mask].bitPattern != value.bitPattern { changed += 1 }
    } else {
      lag = 0
      matched = 0
      changed = 0
    }
    if index >= Self.gram {
      let place = gramHash(endingAt: index) & mask
      if lag == 0 { adopt(places[place], index) }
      places[place] = index
    }
    return DetectorFinding(
      condition: Truth(matched >= parameters.length && changed >= parameters.changes),
      statistic: Double(matched),
      limit: Double(parameters.length)
    )
  }

  private func gramHash(endingAt index: Int) -> Int {
    let mask = parameters.history - 1
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for offset in 0..<Self.gram {
      hash = (hash ^ values[(index - offset) & mask].bitPattern) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash >> 29
    }
    return Int(truncatingIfNeeded: hash >> 32)
  }

  /// Takes up the run that ends at `place` when its last values are the newest ones.
  private mutating func adopt(_ place: Int, _ index: Int) {
    let mask = parameters.history - 1
    guard place >= Self.gram, index - place < parameters.history - Self.gram else { return }
    for offset in 0..<Self.gram
    where values[(index - offset) & mask].bitPattern != values[(place - offset) & mask].bitPattern {
      return
    }
    lag = index - place
    matched = Self.gram
    changed = 0
    for offset in 0..<(Self.gram - 1)
    where values[(index - offset) & mask].bitPattern
      != values[(index - offset - 1) & mask].bitPattern
    {
      changed += 1
    }
    if changed == 0 { lag = 0 }  // a resting signal; wait for a run with a shape
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    bytes.appendState(parameters.history)
    bytes.appendState(values)
    for place in places { bytes.appendState(place) }
    for number in [count, lag, matched, changed] { bytes.appendState(number) }
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    guard try reader.count(in: 0...Int.max) == parameters.history else { throw .inconsistent }
    values = try reader.doubles(parameters.history)
    for index in places.indices { places[index] = try reader.count(in: -1...Int.max) }
    count = try reader.count(in: 0...Int.max)
    lag = try reader.count(in: 0...count)
    matched = try reader.count(in: 0...count)
    changed = try reader.count(in: 0...count)
  }
}

/// Data that stop while rising towards a limit and come back below it.
///
/// Formula: at the first reading after a silence longer than `gap`: the slope over the `span` before the
/// silence (and since the silence before that) was above 0, its last value above `share` · limit, and the value after it is below that.
/// The condition holds at that one reading: it is an event with its evidence.
///
/// Source: Davy's own, for data that are withheld while a limit is exceeded.
///
/// - Defaults: share 0.7 (0 … 1), gap 2 min (0 … 10 years), span 5 min (1 ms … 10 years), capacity 512 (1 … 16,777,216); the
///   limit, above 0, has none.
/// - Where more than `capacity` readings lie in the span, the slope is that of the newest of them.
/// - Warm-up: false until three readings, none above 10¹⁰⁰, lie within the span before a silence. Freeze: none; nothing is learnt.
/// - Gap: what is looked for; after one longer than `gap` the slope begins anew.
/// - Bad status: not handed in (a fault that is announced at the rise looks the same, and should). Late: refused (unknown,
///   nothing changes).
/// - An on-delay would keep it silent: the next reading ends the condition.
public struct GapAtRise: Sendable {
  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// The limit, above 0.
    public var limit: Double
    /// How near to it the last value was, 0 … 1.
    public var share: Double
    /// Longest silence that is none, milliseconds, 0 … 10 years.
    public var gap: Int64
    /// Time over which the slope is taken, 1 ms … 10 years.
    public var span: Int64
    /// Most readings kept, 1 … 16,777,216.
    public var capacity: Int

    /// Makes parameters.
    public init(
      limit: Double,
      share: Double = 0.7,
      gap: Int64 = 120_000,
      span: Int64 = 300_000,
      capacity: Int = 512
    ) {
      self.limit = limit
      self.share = share
      self.gap = gap
      self.span = span
      self.capacity = capacity
    }
  }

  /// The parameters.
  public let parameters: Parameters
  private var window: SlidingWindow

  /// Makes a detector without history.
  public init(_ parameters: Parameters) throws(DetectorError) {
    try DetectorError.check(positive: "limit", parameters.limit)
    try DetectorError.check("share", parameters.share, 0...1)
    try DetectorError.check(duration: "gap", parameters.gap)
    do {
      window = try SlidingWindow(
        span: parameters.span,
        capacity: parameters.capacity,
        statistics: .moments
      )
    } catch {
      throw .window(error)
    }
    self.parameters = parameters
  }

  /// Takes a reading; the statistic is the last value before the silence as a share of the limit.
  public mutating func step(time: Int64, value: Double) -> DetectorFinding {
    let contents = window.contents
    var finding = DetectorFinding(condition: .no, statistic: .nan, limit: parameters.share)
    if !contents.isEmpty {
      guard time >= contents.newestTime else { return .unknown(limit: parameters.share) }
      if time - contents.newestTime > parameters.gap {
        let nearness = contents.last / parameters.limit
        let rises = contents.count >= 3 && contents.slope > 0
        finding.statistic = nearness
        finding.condition = Truth(
          rises && nearness > parameters.share && value < contents.last
            && value < parameters.share * parameters.limit
        )
        window.removeAll()
      }
    }
    window.step(time: time, value: value)
    return finding
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    window.write(into: &bytes)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try window.restore(from: &reader)
  }
}
