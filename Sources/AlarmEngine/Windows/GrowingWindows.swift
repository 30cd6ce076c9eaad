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
/// by ``advance(to:_:)``. Empty windows are not handed over. Median and MAD are over the first
/// `capacity` readings of a window (then `isTruncated`); all else is over all of them.
public struct TumblingWindow: Sendable {
  /// Length in milliseconds.
  public let length: Int64
  /// Where edges lie: those times t with (t − offset) divisible by ``length``.
  public let offset: Int64
  private var statistics: GrowingStatistics
  private var start: Int64 = 0

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
    if !statistics.isEmpty, time < statistics.summary.lastTime { return false }
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
    emit(statistics.take(start: start, end: start + length))
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    statistics.write(into: &bytes)
    bytes.appendState(start)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try statistics.restore(from: &reader)
    start = try reader.integer()
  }
}

/// Windows that end when nothing has come for longer than `gap`, or when they reach `longest`.
///
/// A reading exactly `gap` after the one before still belongs to its session: [first, last], both
/// closed. A session that would last `longest` or more is cut there, so that an open one is always
/// handed over in bounded time; the reading at the cut begins the next.
public struct SessionWindow: Sendable {
  /// Longest silence within a session, milliseconds.
  public let gap: Int64
  /// Longest session, milliseconds.
  public let longest: Int64
  private var statistics: GrowingStatistics

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
    if !statistics.isEmpty {
      if time < statistics.summary.lastTime { return false }
      advance(to: time, emit)
      if !statistics.isEmpty, time - statistics.summary.firstTime >= longest { end(emit) }
    }
    statistics.add(time: time, value: value)
    return true
  }

  /// When the session that is open ends unless another reading comes, ms; nil while none is.
  public var nextEnd: Int64? { statistics.isEmpty ? nil : statistics.summary.lastTime + gap + 1 }

  /// Hands the session over when more than `gap` has passed since its last reading.
  public mutating func advance(to time: Int64, _ emit: (WindowSummary) -> Void) {
    guard !statistics.isEmpty, time - statistics.summary.lastTime > gap else { return }
    end(emit)
  }

  private mutating func end(_ emit: (WindowSummary) -> Void) {
    emit(
      statistics.take(start: statistics.summary.firstTime, end: statistics.summary.lastTime)
    )
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    statistics.write(into: &bytes)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try statistics.restore(from: &reader)
  }
}

/// Windows over which a state stays the same: [first reading in the state, first reading in another).
///
/// The state is any whole number the caller derives from a reading: an operating mode, a source
/// status, "above the limit". The end belongs to the next window.
public struct StateWindow: Sendable {
  private var statistics: GrowingStatistics
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
    if !statistics.isEmpty {
      if time < statistics.summary.lastTime { return false }
      if newState != state {
        emit(state, statistics.take(start: statistics.summary.firstTime, end: time))
      }
    }
    state = newState
    statistics.add(time: time, value: value)
    return true
  }

  /// The state is this from `time` on; a change hands over the window of the state before.
  ///
  /// A window cannot end before its last reading: what is told late ends it there.
  public mutating func advance(
    to time: Int64,
    state newState: Int64,
    _ emit: (_ state: Int64, WindowSummary) -> Void
  ) {
    guard newState != state else { return }
    if !statistics.isEmpty {
      let end = max(time, statistics.summary.lastTime)
      emit(state, statistics.take(start: statistics.summary.firstTime, end: end))
    }
    state = newState
  }

  /// Forgets the window that is open.
  public mutating func removeAll() {
    statistics.removeAll()
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    statistics.write(into: &bytes)
    bytes.appendState(state)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try statistics.restore(from: &reader)
    state = try reader.integer()
  }
}
