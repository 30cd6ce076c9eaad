/// Statistics over readings that only come until the window ends; without samples in memory unless
/// median and MAD are asked for.
struct GrowingStatistics: Sendable {
  let capacity: Int
  let statistics: WindowStatistics
  private(set) var summary = WindowSummary()
  private var moments = GrowingMoments()
  private var sorted = SortedValues()

  init(capacity: Int, statistics: WindowStatistics) throws(WindowError) {
    try WindowError.check(capacity: capacity)
    self.capacity = capacity
    self.statistics = statistics
  }

  var isEmpty: Bool { summary.count == 0 }

  mutating func add(time: Int64, value: Double) {
    if summary.count == 0 {
      summary.firstTime = time
      summary.first = value
      summary.minimum = value
      summary.maximum = value
    }
    summary.count += 1
    summary.lastTime = time
    summary.last = value
    if value < summary.minimum { summary.minimum = value }
    if value > summary.maximum { summary.maximum = value }
    if statistics.contains(.moments) { moments.add(time: time, value: value) }
    guard statistics.contains(.order) else { return }
    if sorted.count < capacity { sorted.insert(value) } else { summary.isTruncated = true }
  }

  /// The finished summary of [start, end), and an empty window after it.
  mutating func take(start: Int64, end: Int64) -> WindowSummary {
    var result = summary
    result.start = start
    result.end = end
    if !statistics.contains(.extrema) {
      result.minimum = .nan
      result.maximum = .nan
    }
    if statistics.contains(.moments) {
      result.sum = moments.sum
      result.mean = moments.mean
      result.variance = moments.variance
      result.slope = moments.slope
    }
    result.median = sorted.median
    result.medianAbsoluteDeviation = sorted.medianAbsoluteDeviation
    removeAll()
    return result
  }

  mutating func removeAll() {
    summary = WindowSummary()
    moments = GrowingMoments()
    sorted.removeAll()
  }

  func write(into bytes: inout [UInt8]) {
    bytes.appendState(capacity)
    bytes.append(statistics.rawValue)
    bytes.appendState(summary.count)
    bytes.appendState(summary.firstTime)
    bytes.appendState(summary.lastTime)
    bytes.appendState([summary.first, summary.last, summary.minimum, summary.maximum])
    bytes.appendState(summary.isTruncated)
    moments.write(into: &bytes)
    sorted.write(into: &bytes)
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    guard try reader.count(in: 1...WindowLimits.largestCapacity) == capacity,
      try reader.byte() == statistics.rawValue
    else { throw .inconsistent }
    summary = WindowSummary()
    summary.count = try reader.count(in: 0...Int.max)
    summary.firstTime = try reader.integer()
    summary.lastTime = try reader.integer()
    summary.first = try reader.double()
    summary.last = try reader.double()
    summary.minimum = try reader.double()
    summary.maximum = try reader.double()
    summary.isTruncated = try reader.flag()
    moments = try GrowingMoments(reading: &reader)
    sorted = try SortedValues(reading: &reader)
    guard sorted.count <= capacity else { throw .inconsistent }
  }
}

/// Windows of `length` side by side: [s, s + length), closed at the start, s = offset + k · length.
///
/// A window is handed over when event time reaches its end: by the first reading at or after it, or
/// by ``advance(to:_:)``. It is handed over once: what comes for it afterwards is late. Empty windows are not handed
/// over. Median and MAD are over the first `capacity` readings of a window (then `isTruncated`); all else is over all
/// of them.
public struct TumblingWindow: Sendable {
  /// Length in milliseconds.
  public let length: Int64
  /// Where edges lie: those times t with (t − offset) divisible by ``length``.
  public let offset: Int64
  private var statistics: GrowingStatistics
  private var start: Int64 = 0
  /// End of the last window that was handed over: nothing before it is taken any more.
  private var end = Int64.min

  /// Makes an empty window.
  public init(
    length: Int64,
    offset: Int64 = 0,
    capacity: Int = 4096,
    statistics: WindowStatistics = .all
  ) throws(WindowError) {
    try WindowError.check(duration: length)
    self.length = length
    self.offset = offset % length
    self.statistics = try GrowingStatistics(capacity: capacity, statistics: statistics)
  }

  /// Adds a reading after handing over the window that ended before it; false when it is late.
  @discardableResult
  public mutating func step(
    time: Int64,
    value: Double,
    _ emit: (WindowSummary) -> Void
  ) -> Bool {
    guard time >= end, statistics.isEmpty || time >= statistics.summary.lastTime else {
      return false
    }
    advance(to: time, emit)
    if statistics.isEmpty { start = floorQuotient(time - offset, length) * length + offset }
    statistics.add(time: time, value: value)
    return true
  }

  /// When the window ends that is open, ms; nil while none is.
  public var nextEnd: Int64? { statistics.isEmpty ? nil : start + length }

  /// Hands the window over when it ends at or before `time`.
  public mutating func advance(to time: Int64, _ emit: (WindowSummary) -> Void) {
    guard !statistics.isEmpty, time >= start + length else { return }
    end = start + length
    emit(statistics.take(start: start, end: end))
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    statistics.write(into: &bytes)
    bytes.appendState(start)
    bytes.appendState(end)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try statistics.restore(from: &reader)
    start = try reader.integer()
    end = try reader.integer()
  }
}

/// Windows that end when nothing has come for longer than `gap`, or when they reach `longest`.
///
/// A reading exactly `gap` after the one before still belongs to its session: [first, last], both
/// closed. A session that would last `longest` or more is cut there, so that an open one is always
/// handed over in bounded time; the reading at the cut begins the next. A session is handed over once: where
/// ``advance(to:_:)`` took a silence for its end and a reading comes within the gap after all, that one begins another
/// (``hasSplit``).
public struct SessionWindow: Sendable {
  /// Longest silence within a session, milliseconds.
  public let gap: Int64
  /// Longest session, milliseconds.
  public let longest: Int64
  private var statistics: GrowingStatistics
  /// Time of the last reading that was handed over: nothing before it is taken any more.
  private var ended = Int64.min
  /// Whether the session was ended by time alone.
  private var wasSilent = false
  /// Whether the last reading added belongs to a session that had been handed over without it.
  public private(set) var hasSplit = false

  /// Makes an empty window.
  public init(
    gap: Int64,
    longest: Int64 = WindowLimits.longestDuration,
    capacity: Int = 4096,
    statistics: WindowStatistics = .all
  ) throws(WindowError) {
    try WindowError.check(duration: gap)
    try WindowError.check(duration: longest)
    self.gap = gap
    self.longest = longest
    self.statistics = try GrowingStatistics(capacity: capacity, statistics: statistics)
  }

  /// Adds a reading after handing over the session it does not belong to; false when it is late.
  @discardableResult
  public mutating func step(
    time: Int64,
    value: Double,
    _ emit: (WindowSummary) -> Void
  ) -> Bool {
    hasSplit = false
    if !statistics.isEmpty {
      if time < statistics.summary.lastTime { return false }
      let isOver =
        time - statistics.summary.lastTime > gap || time - statistics.summary.firstTime >= longest
      if isOver { end(wasSilent: false, emit) }
    } else if ended != .min {
      if time < ended { return false }
      hasSplit = wasSilent && time - ended <= gap
    }
    statistics.add(time: time, value: value)
    return true
  }

  /// When the session that is open ends unless another reading comes, ms; nil while none is.
  public var nextEnd: Int64? { statistics.isEmpty ? nil : statistics.summary.lastTime + gap + 1 }

  /// Hands the session over when more than `gap` has passed since its last reading.
  public mutating func advance(to time: Int64, _ emit: (WindowSummary) -> Void) {
    guard !statistics.isEmpty, time - statistics.summary.lastTime > gap else { return }
    end(wasSilent: true, emit)
  }

  private mutating func end(wasSilent: Bool, _ emit: (WindowSummary) -> Void) {
    self.wasSilent = wasSilent
    ended = statistics.summary.lastTime
    emit(
      statistics.take(start: statistics.summary.firstTime, end: statistics.summary.lastTime)
    )
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    statistics.write(into: &bytes)
    bytes.appendState(ended)
    bytes.appendState(wasSilent)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try statistics.restore(from: &reader)
    ended = try reader.integer()
    wasSilent = try reader.flag()
  }
}

/// Windows over which a state stays the same: [first reading in the state, first reading in another).
///
/// The state is any whole number the caller derives from a reading: an operating mode, a source
/// status, "above the limit". The end belongs to the next window. A window is handed over once: what is older than the
/// change that ended it is late.
public struct StateWindow: Sendable {
  private var statistics: GrowingStatistics
  /// When the state changed last: nothing before it is taken any more.
  public private(set) var changed = Int64.min
  /// When the state was told last.
  private var told = Int64.min
  /// Whether the state has been told since it was last unknown.
  private var isKnown = false
  /// The state of the window that is open.
  public private(set) var state: Int64 = 0

  /// Makes an empty window.
  public init(
    capacity: Int = 4096,
    statistics: WindowStatistics = .all
  ) throws(WindowError) {
    self.statistics = try GrowingStatistics(capacity: capacity, statistics: statistics)
  }

  /// Adds a reading; a change of state first hands over the window of the state before.
  ///
  /// - Returns: false when the reading is late.
  @discardableResult
  public mutating func step(
    time: Int64,
    value: Double,
    state newState: Int64,
    _ emit: (_ state: Int64, WindowSummary) -> Void
  ) -> Bool {
    guard time >= changed else { return false }
    if !statistics.isEmpty {
      if time < statistics.summary.lastTime { return false }
      if newState != state {
        changed = time
        emit(state, statistics.take(start: statistics.summary.firstTime, end: time))
      }
    }
    state = newState
    isKnown = true
    statistics.add(time: time, value: value)
    return true
  }

  /// Whether a state told for `time` is followed.
  ///
  /// While none is known that begins with the one told last, not with the silence after it: what was on its way meanwhile
  /// ends the silence.
  public func accepts(_ time: Int64) -> Bool { time >= (isKnown ? changed : told) }

  /// The state is this from `time` on; a change hands over the window of the state before.
  ///
  /// - Returns: false when that is older than the newest change, or than what was told last (then it changes nothing), or than a reading
  ///   that the window has taken: it cannot end before its last reading, so that it ends there.
  @discardableResult
  public mutating func advance(
    to time: Int64,
    state newState: Int64,
    _ emit: (_ state: Int64, WindowSummary) -> Void
  ) -> Bool {
    guard accepts(time) else { return false }
    told = max(told, time)
    guard newState != state || !isKnown else { return true }
    let former = state
    state = newState
    isKnown = true
    changed = time
    guard !statistics.isEmpty else { return true }
    let last = statistics.summary.lastTime
    emit(former, statistics.take(start: statistics.summary.firstTime, end: max(time, last)))
    return time >= last
  }

  /// Forgets the window that is open, because from `time` on the state is not known.
  ///
  /// - Returns: false when that is older than the newest change; then it changes nothing.
  @discardableResult
  public mutating func interrupt(at time: Int64) -> Bool {
    guard time >= changed else { return false }
    isKnown = false
    statistics.removeAll()
    return true
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    statistics.write(into: &bytes)
    bytes.appendState(state)
    bytes.appendState(changed)
    bytes.appendState(told)
    bytes.appendState(isKnown)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try statistics.restore(from: &reader)
    state = try reader.integer()
    changed = try reader.integer()
    told = try reader.integer()
    isKnown = try reader.flag()
  }
}
