/// A limit on a statistic of the readings in a window of event time.
///
/// Formula: s(window) compared with a set-point and a restore value. What a window says is yes beyond the set-point, no
/// beyond the restore value, and unknown between the two: which of them matters, the rule knows, as of any limit.
/// The windows are those of `Windows`; which of their edges is open stands at ``Shape``.
///
/// Source: the windows are those of stream processing (tumbling, hopping, sliding, session, count, state), the statistics textbook ones;
/// formulas at ``WindowSummary`` and `RunningMoments`.
///
/// - A sliding window is judged at every reading, every other one once, when it has ended: a tumbling or hopping one with the
///   first reading at or after its end, a session with the first after its gap, a state's when the state changes, a count's
///   with its last reading. Without such a reading, tumbling and hopping windows and sessions are judged when their end and
///   then `grace` have passed by the device's clock: a gateway that packs a minute's readings into one message sends the
///   last of a window up to a minute after its end. Between two windows nothing is said.
/// - Defaults: at least 1 reading, capacity 65,536 readings, slope per second, no grace.
/// - Warm-up: unknown below `minimumCount` readings, where the statistic is not defined (variance of one reading), and for
///   count and sum while a sliding, tumbling or hopping window reaches back before the first reading: too few readings
///   are then no finding.
/// - A window that had more readings than its capacity is unknown (a mean over a part of it would mislead), except for
///   what is certain all the same: a count, which is then above the set-point; the last value; a maximum or range at or
///   above a high set-point and a minimum at or below a low one, which readings left out could only take further; and
///   all but median and MAD where windows do not overlap.
/// - Bad status: not handed in. Gap: readings leave by time; windows without readings are not judged.
/// - Late: no window is judged twice. What comes for one that has been judged is missing in it and counted
///   (``takeLate()``): refused where windows lie side by side, still a member of hopping windows to come, the beginning of
///   another session. A change of state that is told after a reading of the new state ends the window at that reading, and
///   is counted too.
public struct WindowedStatistic: Sendable {
  /// How readings are put into windows.
  public enum Shape: Hashable, Sendable {
    /// Windows side by side, [k · length, (k + 1) · length) counted from `offset`: open at the end. Milliseconds.
    case tumbling(length: Int64, offset: Int64)
    /// Windows of `length` that begin every `hop`, [e − length, e): open at the end. Milliseconds.
    case hopping(length: Int64, hop: Int64, offset: Int64)
    /// The last `span` at every reading, (t − span, t]: open at the old edge. Milliseconds.
    case sliding(span: Int64)
    /// Every `size` readings in turn, or the last `size` at every reading: no edge in time.
    case count(size: Int, isTumbling: Bool)
    /// Readings between which no more than `gap` lies, cut after `longest`, [first, last]: both closed. Milliseconds.
    case session(gap: Int64, longest: Int64)
    /// Readings as long as a state stays the same, [first in the state, first out of it): open at the end.
    ///
    /// The state is the newest value of another signal, or the reading itself, as a whole number. With `judged` only
    /// windows of that state are judged.
    case state(judged: Int64?)
  }

  /// What of a window is compared.
  public enum Statistic: UInt8, CaseIterable, Hashable, Sendable {
    case count, sum, mean, variance, minimum, maximum, first, last, range, slope, median
    /// Median of the absolute deviations from the median, not scaled.
    case medianAbsoluteDeviation

    /// What a window has to keep for it.
    var kept: WindowStatistics {
      switch self {
      case .count, .first, .last: []
      case .sum, .mean, .variance, .slope: .moments
      case .minimum, .maximum, .range: .extrema
      case .median, .medianAbsoluteDeviation: .order
      }
    }
  }

  /// Parameters.
  public struct Parameters: Sendable {
    /// How readings are put into windows.
    public var shape: Shape
    /// What of a window is compared.
    public var statistic: Statistic
    /// With what: set-point and restore value in the statistic's unit.
    public var limit: LimitParameters
    /// The slope is per this long, milliseconds.
    public var slopePer: Int64
    /// Fewest readings of a window that is judged.
    public var minimumCount: Int
    /// Most readings that a window keeps.
    public var capacity: Int
    /// How long a window that no reading ends waits for its last ones after its end, milliseconds.
    public var grace: Int64

    /// Makes parameters.
    public init(
      shape: Shape,
      statistic: Statistic,
      limit: LimitParameters,
      slopePer: Int64 = 1000,
      minimumCount: Int = 1,
      capacity: Int = 65_536,
      grace: Int64 = 0
    ) {
      self.shape = shape
      self.statistic = statistic
      self.limit = limit
      self.slopePer = slopePer
      self.minimumCount = minimumCount
      self.capacity = capacity
      self.grace = grace
    }

    /// Whether what is above the set-point is beyond it.
    fileprivate var isHigh: Bool { limit.comparison == .atOrAbove || limit.comparison == .above }
  }

  private enum Windows: Sendable {
    case tumbling(TumblingWindow)
    case hopping(HoppingWindow)
    case sliding(SlidingWindow)
    case count(CountWindow)
    case session(SessionWindow)
    case state(StateWindow)
    /// Taken out for the time of a call, so that its samples have one owner and are changed where they lie.
    case out
  }

  /// What windows that have ended come to.
  private struct Judge: Sendable {
    /// The statistic of the last window judged; NaN for none.
    var statistic = Double.nan
    /// What it says by itself: neither yes nor no between set-point and restore value.
    var condition = Truth.unknown
    /// Whether a window has been judged in this call.
    var hasJudged = false

    /// What the windows judged in this call say, nil for none.
    var said: Truth? { hasJudged ? condition : nil }
  }

  /// The parameters.
  public let parameters: Parameters
  private let readsState: Bool
  /// Which signal says the state; 0 for the readings themselves.
  private let stateSource: UInt64
  private var windows: Windows
  private var judge = Judge()
  /// Event time of the first reading; `Int64.max` before it.
  private var since = Int64.max
  /// The state now, where another signal says it; nil while that is unknown.
  private var state: Int64?
  /// What came for windows that had been judged, since ``takeLate()`` asked last.
  private var late: UInt64 = 0

  /// Makes a detector without history.
  ///
  /// With `readsState` the state comes of another signal, which ``update(state:time:)`` tells; `stateSource` tells that
  /// signal from others, so that what was kept by the states of one is not taken for those of another.
  public init(
    _ parameters: Parameters,
    readsState: Bool = false,
    stateSource: UInt64 = 0
  ) throws(DetectorError) {
    try Self.check(parameters)
    self.readsState = readsState
    self.stateSource = stateSource
    self.parameters = parameters
    let kept = parameters.statistic.kept
    let capacity = parameters.capacity
    do {
      switch parameters.shape {
      case .tumbling(let length, let offset):
        windows = .tumbling(
          try TumblingWindow(length: length, offset: offset, capacity: capacity, statistics: kept)
        )
      case .hopping(let length, let hop, let offset):
        windows = .hopping(
          try HoppingWindow(
            length: length,
            hop: hop,
            offset: offset,
            capacity: capacity,
            statistics: kept
          )
        )
      case .sliding(let span):
        windows = .sliding(try SlidingWindow(span: span, capacity: capacity, statistics: kept))
      case .count(let size, let isTumbling):
        windows = .count(try CountWindow(size: size, isTumbling: isTumbling, statistics: kept))
      case .session(let gap, let longest):
        windows = .session(
          try SessionWindow(gap: gap, longest: longest, capacity: capacity, statistics: kept)
        )
      case .state:
        windows = .state(try StateWindow(capacity: capacity, statistics: kept))
      }
    } catch {
      throw .window(error)
    }
  }

  /// Most readings that a window keeps in order of their values: each takes O(log n) comparisons, see ``SortedValues``.
  private static let largestOrdered = 65_536

  private static func check(_ parameters: Parameters) throws(DetectorError) {
    let limit = parameters.limit
    for (name, value) in [("set-point", limit.setpoint), ("restore value", limit.restore)]
    where !value.isFinite {
      throw .outOfRange(parameter: name, value: value, allowed: "a finite number")
    }
    let isHigh = parameters.isHigh
    guard isHigh ? limit.restore <= limit.setpoint : limit.restore >= limit.setpoint else {
      throw .outOfRange(
        parameter: "restore value",
        value: limit.restore,
        allowed: isHigh ? "at most the set-point" : "at least the set-point"
      )
    }
    try DetectorError.check("slope per", Double(parameters.slopePer), 1...1e12)
    try DetectorError.check(duration: "grace", parameters.grace)
    var most = parameters.capacity
    if case .count(let size, _) = parameters.shape { most = size }
    guard most >= 1, most <= WindowLimits.largestCapacity else {
      throw .window(.capacityOutOfRange(most))
    }
    if parameters.statistic.kept == .order, most > largestOrdered {
      throw .outOfRange(
        parameter: "capacity",
        value: Double(most),
        allowed: "at most \(largestOrdered) for median and MAD"
      )
    }
    try DetectorError.check("minimumCount", Double(parameters.minimumCount), 1...Double(most))
    guard parameters.statistic == .count else { return }
    switch parameters.shape {
    case .sliding, .hopping:
      // A window that is full has more than the set-point, so that a count beyond its capacity is judged rightly.
      try DetectorError.check("set-point", limit.setpoint, 0...Double(most) - 1)
    case .tumbling, .count, .session, .state: break
    }
  }

  /// The statistic of the last window judged, NaN for none, with the set-point.
  public var finding: DetectorFinding {
    DetectorFinding(
      condition: judge.condition,
      statistic: judge.statistic,
      limit: parameters.limit.setpoint
    )
  }

  /// With what the statistic is compared: the set-point, or the restore value that ends the condition.
  public func limit(toReturn: Bool) -> Double {
    toReturn ? parameters.limit.restore : parameters.limit.setpoint
  }

  /// How many readings, and changes of state, came for windows that had been judged without them, since this was asked
  /// last.
  public mutating func takeLate() -> UInt64 {
    defer { late = 0 }
    return late
  }

  /// Whether no reading has come yet.
  var isFresh: Bool { since == .max }

  /// Whether the state that was read back was written under a longer grace.
  private(set) var waitsLessLong = false

  /// Whether windows end by time, so that one that has ended may wait for its last readings.
  var endsByTime: Bool {
    switch parameters.shape {
    case .tumbling, .hopping, .session: true
    case .sliding, .count, .state: false
    }
  }

  /// Takes a reading after the windows that ended before it; what the last window that has been judged by this says, nil
  /// when none has.
  public mutating func step(time: Int64, value: Double) -> Truth? {
    if since == .max { since = time }
    let (parameters, since) = (parameters, since)
    var judge = judge
    judge.hasJudged = false
    func take(_ summary: WindowSummary) {
      Self.judge(summary, parameters, since: since, &judge)
    }
    var isMissed = false
    switch windows {
    case .tumbling(var window):
      windows = .out
      isMissed = !window.step(time: time, value: value, take)
      windows = .tumbling(window)
    case .hopping(var window):
      windows = .out
      isMissed = !window.step(time: time, value: value, take) || window.hasMissed
      windows = .hopping(window)
    case .sliding(var window):
      windows = .out
      isMissed = !window.step(time: time, value: value)
      if !isMissed {
        var summary = window.summary
        summary.start = time - window.span
        take(summary)
      }
      windows = .sliding(window)
    case .count(var window):
      windows = .out
      isMissed = !window.step(time: time, value: value, take)
      windows = .count(window)
    case .session(var window):
      windows = .out
      isMissed = !window.step(time: time, value: value, take) || window.hasSplit
      windows = .session(window)
    case .state(var window):
      windows = .out
      if let state = readsState ? state : Self.whole(value) {
        isMissed = !window.step(time: time, value: value, state: state) { state, summary in
          if isJudged(state) { take(summary) }
        }
      }
      windows = .state(window)
    case .out: break
    }
    if isMissed { late += 1 }
    self.judge = judge
    return judge.said
  }

  /// From `time` on no reading is known.
  ///
  /// Where the reading itself is the state, that is not known either: the window that is open is not judged.
  public mutating func interrupt(at time: Int64) {
    guard !readsState, case .state(var window) = windows else { return }
    windows = .out
    if !window.interrupt(at: time) { late += 1 }
    windows = .state(window)
  }

  /// The signal that says the state has a new value, nil for none; what the window that ends by it says, nil when none
  /// does.
  ///
  /// While the state is not known, readings belong to no window, and the one that was open is not judged. What is older than
  /// the newest change is left out; while the state is not known, what is older than what was told last.
  public mutating func update(state value: Double?, time: Int64) -> Truth? {
    guard case .state(var window) = windows else { return nil }
    windows = .out
    var judge = judge
    judge.hasJudged = false
    let told = value.flatMap(Self.whole)
    var isInTime: Bool
    if let told {
      let (parameters, since) = (parameters, since)
      let isOlder = !window.accepts(time)
      isInTime = window.advance(to: time, state: told) { state, summary in
        if isJudged(state) { Self.judge(summary, parameters, since: since, &judge) }
      }
      if !isOlder { state = told }
    } else {
      isInTime = window.interrupt(at: time)
      if isInTime { state = nil }
    }
    if !isInTime { late += 1 }
    windows = .state(window)
    self.judge = judge
    return judge.said
  }

  private func isJudged(_ state: Int64) -> Bool {
    guard case .state(let judged) = parameters.shape, let judged else { return true }
    return judged == state
  }

  /// A state as a whole number; nil for what is none.
  private static func whole(_ value: Double) -> Int64? {
    let rounded = value.rounded()
    return rounded.magnitude < 9e15 ? Int64(rounded) : nil
  }

  /// When the window that is open ends without another reading, but for the grace; nil when only a reading can end it.
  public var nextDeadline: Int64? {
    switch windows {
    case .tumbling(let window): window.nextEnd
    case .hopping(let window): window.nextEnd
    case .session(let window): window.nextEnd
    case .sliding, .count, .state, .out: nil
    }
  }

  /// Lets windows end that end at or before `time`; what the last of them says, nil when there is none.
  public mutating func advance(to time: Int64) -> Truth? {
    let (parameters, since) = (parameters, since)
    var judge = judge
    judge.hasJudged = false
    func take(_ summary: WindowSummary) {
      Self.judge(summary, parameters, since: since, &judge)
    }
    switch windows {
    case .tumbling(var window):
      windows = .out
      window.advance(to: time, take)
      windows = .tumbling(window)
    case .hopping(var window):
      windows = .out
      window.advance(to: time, take)
      windows = .hopping(window)
    case .session(var window):
      windows = .out
      window.advance(to: time, take)
      windows = .session(window)
    case .sliding, .count, .state, .out: break
    }
    self.judge = judge
    return judge.said
  }

  // MARK: Judging

  private static func judge(
    _ summary: WindowSummary,
    _ parameters: Parameters,
    since: Int64,
    _ judge: inout Judge
  ) {
    let statistic = value(of: summary, parameters, since: since)
    judge.statistic = statistic
    judge.hasJudged = true
    guard !statistic.isNaN else {
      judge.condition = .unknown
      return
    }
    let limit = parameters.limit
    let (on, off) =
      switch limit.comparison {
      case .atOrAbove: (statistic >= limit.setpoint, statistic < limit.restore)
      case .above: (statistic > limit.setpoint, statistic < limit.restore)
      case .atOrBelow: (statistic <= limit.setpoint, statistic > limit.restore)
      case .below: (statistic < limit.setpoint, statistic > limit.restore)
      }
    judge.condition = on ? .yes : off ? .no : .unknown
  }

  /// The statistic, NaN where nothing is to be said.
  private static func value(
    of summary: WindowSummary,
    _ parameters: Parameters,
    since: Int64
  ) -> Double {
    guard summary.count >= parameters.minimumCount else { return .nan }
    let hasOverlap: Bool
    switch parameters.shape {
    case .sliding, .hopping: hasOverlap = true
    // (A count window lets its oldest leave before a new one comes: it is never full too early.)
    case .tumbling, .count, .session, .state: hasOverlap = false
    }
    if summary.isTruncated {
      if hasOverlap { return certain(of: summary, parameters) }
      if parameters.statistic.kept == .order { return .nan }
    }
    switch (parameters.statistic, parameters.shape) {
    case (.count, .sliding), (.count, .tumbling), (.count, .hopping), (.sum, .sliding),
      (.sum, .tumbling), (.sum, .hopping):
      guard summary.start >= since else { return .nan }
    default: break
    }
    switch parameters.statistic {
    case .count: return Double(summary.count)
    case .sum: return summary.sum
    case .mean: return summary.mean
    case .variance: return summary.variance
    case .minimum: return summary.minimum
    case .maximum: return summary.maximum
    case .first: return summary.first
    case .last: return summary.last
    case .range: return summary.range
    case .slope: return summary.slope * (Double(parameters.slopePer) / 1000)
    case .median: return summary.median
    case .medianAbsoluteDeviation: return summary.medianAbsoluteDeviation
    }
  }

  /// What the readings that a full window has kept leave no doubt of, NaN for nothing.
  private static func certain(of summary: WindowSummary, _ parameters: Parameters) -> Double {
    let extreme: Double
    switch parameters.statistic {
    case .count: return Double(summary.count) + 1
    case .last: return summary.last
    case .maximum where parameters.isHigh: extreme = summary.maximum
    case .range where parameters.isHigh: extreme = summary.range
    case .minimum where !parameters.isHigh: extreme = summary.minimum
    case .sum, .mean, .variance, .minimum, .maximum, .first, .range, .slope, .median,
      .medianAbsoluteDeviation:
      return .nan
    }
    let setpoint = parameters.limit.setpoint
    return (parameters.isHigh ? extreme >= setpoint : extreme <= setpoint) ? extreme : .nan
  }

  // MARK: Snapshots

  /// What the kept readings and figures mean: they are of no use to a detector for which this is another.
  private var form: [Int64] {
    let shape: [Int64] =
      switch parameters.shape {
      case .tumbling(let length, let offset): [0, length, offset, 0]
      case .hopping(let length, let hop, let offset): [1, length, hop, offset]
      case .sliding(let span): [2, span, 0, 0]
      case .count(let size, let isTumbling): [3, Int64(size), isTumbling ? 1 : 0, 0]
      case .session(let gap, let longest): [4, gap, longest, 0]
      case .state(let judged): [5, judged ?? 0, judged == nil ? 0 : 1, 0]
      }
    return shape + [
      Int64(parameters.statistic.rawValue), parameters.slopePer, Int64(parameters.capacity),
      readsState ? 1 : 0, parameters.isHigh ? 1 : 0, Int64(bitPattern: stateSource),
    ]
  }

  /// Appends all state to `bytes`, behind what it is the state of.
  public func write(into bytes: inout [UInt8]) {
    for part in form { bytes.appendState(part) }
    bytes.appendState(parameters.grace)
    bytes.append(judge.condition.rawValue)
    bytes.appendState(judge.statistic)
    bytes.appendState(since)
    bytes.appendState(state != nil)
    bytes.appendState(state ?? 0)
    switch windows {
    case .tumbling(let window): window.write(into: &bytes)
    case .hopping(let window): window.write(into: &bytes)
    case .sliding(let window): window.write(into: &bytes)
    case .count(let window): window.write(into: &bytes)
    case .session(let window): window.write(into: &bytes)
    case .state(let window): window.write(into: &bytes)
    case .out: break
    }
  }

  /// Reads back state that was written for the same windows and statistic; set-point, restore value, fewest readings and grace
  /// may be others.
  ///
  /// - Throws: ``StateReadError/inconsistent`` for any other shape, span, statistic, source of the state or slope's unit; then this is of no
  ///   further use.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    for part in form where try reader.integer() != part { throw .inconsistent }
    waitsLessLong = try reader.integer() > parameters.grace
    guard let condition = Truth(rawValue: try reader.byte()) else { throw .inconsistent }
    judge.condition = condition
    judge.statistic = try reader.double()
    since = try reader.integer()
    let isKnown = try reader.flag()
    let number = try reader.integer()
    state = isKnown ? number : nil
    switch windows {
    case .tumbling(var window):
      windows = .out
      try window.restore(from: &reader)
      windows = .tumbling(window)
    case .hopping(var window):
      windows = .out
      try window.restore(from: &reader)
      windows = .hopping(window)
    case .sliding(var window):
      windows = .out
      try window.restore(from: &reader)
      windows = .sliding(window)
    case .count(var window):
      windows = .out
      try window.restore(from: &reader)
      windows = .count(window)
    case .session(var window):
      windows = .out
      try window.restore(from: &reader)
      windows = .session(window)
    case .state(var window):
      windows = .out
      try window.restore(from: &reader)
      windows = .state(window)
    case .out: break
    }
  }
}
