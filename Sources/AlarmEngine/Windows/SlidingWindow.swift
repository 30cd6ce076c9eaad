/// A window over the last `span` of event time: (t − span, t], open at its old edge.
///
/// A reading exactly `span` old has just left. This is the convention of "the last 60 s" at 1 Hz
/// holding 60 readings and not 61.
public struct SlidingWindow: Sendable {
  /// Length in milliseconds.
  public let span: Int64
  private var samples: SampleWindow

  /// Makes an empty window of `span` milliseconds that holds at most `capacity` readings.
  public init(
    span: Int64,
    capacity: Int,
    statistics: WindowStatistics = .all
  ) throws(WindowError) {
    try WindowError.check(duration: span)
    self.span = span
    samples = try SampleWindow(capacity: capacity, statistics: statistics)
  }

  /// Adds a reading after what it pushes out has left; false (and no change) when it is late.
  @discardableResult
  public mutating func step(time: Int64, value: Double) -> Bool {
    if !samples.isEmpty, time < samples.newestTime { return false }
    samples.removeAll(olderThan: span, at: time)
    return samples.add(time: time, value: value)
  }

  /// Lets readings leave that are too old at `time`, without a new one.
  public mutating func advance(to time: Int64) {
    samples.removeAll(olderThan: span, at: time)
  }

  /// Forgets all readings.
  public mutating func removeAll() {
    samples.removeAll()
  }

  /// Makes its readings younger by so many milliseconds, as if they had come later; for windows without moments.
  mutating func shift(by milliseconds: Int64) {
    samples.shift(by: milliseconds)
  }

  /// The readings and their statistics.
  public var contents: SampleWindow {
    _read { yield samples }
  }

  /// Every statistic at once.
  public var summary: WindowSummary { samples.summary }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    samples.write(into: &bytes)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try samples.restore(from: &reader)
  }
}

/// A window over the last `size` readings, or over each `size` readings in turn.
public struct CountWindow: Sendable {
  /// How many readings make a full window.
  public let size: Int
  /// True: windows follow one another without overlap; false: each reading ends one.
  public let isTumbling: Bool
  private var samples: SampleWindow

  /// Makes an empty window.
  public init(
    size: Int,
    isTumbling: Bool = false,
    statistics: WindowStatistics = .all
  ) throws(WindowError) {
    self.size = size
    self.isTumbling = isTumbling
    samples = try SampleWindow(capacity: size, statistics: statistics)
  }

  /// Adds a reading and hands over the window it completes; false (and no change) when it is late.
  @discardableResult
  public mutating func step(
    time: Int64,
    value: Double,
    _ emit: (WindowSummary) -> Void
  ) -> Bool {
    if !samples.isEmpty {
      if time < samples.newestTime { return false }
      if samples.count == size { samples.removeOldest() }
    }
    guard samples.add(time: time, value: value) else { return false }
    if samples.count == size {
      emit(samples.summary)
      if isTumbling { samples.removeAll() }
    }
    return true
  }

  /// Every statistic of the window as it is, full or not.
  public var summary: WindowSummary { samples.summary }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    samples.write(into: &bytes)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try samples.restore(from: &reader)
  }
}

/// Windows of `length` that begin every `hop`: [e − length, e), closed at the old edge, for each edge
/// e = offset + k · hop.
///
/// A window is handed over when event time reaches its end: by the first reading at or after it, or
/// by ``advance(to:_:)``; once: a reading that comes later is missing in it (``hasMissed``), and taken for those that
/// have not ended. Empty windows are not handed over, so that a gap of a year costs nothing.
/// A reading stays in memory for `length`; statistics are those of ``SampleWindow``.
public struct HoppingWindow: Sendable {
  /// Length in milliseconds.
  public let length: Int64
  /// Distance of the starts in milliseconds; at most ``length``, of which it is no less than a
  /// ``WindowLimits/mostOverlapping``th part.
  public let hop: Int64
  /// Where edges lie: those times t with (t − offset) divisible by ``hop``.
  public let offset: Int64
  private var samples: SampleWindow
  /// End of the oldest window that has not been handed over; it never goes back.
  private var nextEdge = Int64.min
  /// Whether a window had been handed over that the last reading belongs to.
  public private(set) var hasMissed = false

  /// Makes an empty window.
  public init(
    length: Int64,
    hop: Int64,
    offset: Int64 = 0,
    capacity: Int,
    statistics: WindowStatistics = .all
  ) throws(WindowError) {
    try WindowError.check(duration: length)
    try WindowError.check(duration: hop)
    guard hop <= length else { throw .hopLongerThanWindow(hop: hop, length: length) }
    guard (length - 1) / hop < WindowLimits.mostOverlapping else {
      throw .hopTooShort(hop: hop, length: length)
    }
    self.length = length
    self.hop = hop
    self.offset = offset % hop
    samples = try SampleWindow(capacity: capacity, statistics: statistics)
  }

  /// Adds a reading after handing over the windows that ended before it; false when all windows that it belongs to have
  /// been handed over, or a newer reading has come.
  @discardableResult
  public mutating func step(
    time: Int64,
    value: Double,
    _ emit: (WindowSummary) -> Void
  ) -> Bool {
    hasMissed = true
    if !samples.isEmpty, time < samples.newestTime { return false }
    advance(to: time, emit)
    if samples.isEmpty {
      nextEdge = max(nextEdge, (floorQuotient(time - offset, hop) + 1) * hop + offset)
      guard time >= nextEdge - length else { return false }
    }
    hasMissed = time < nextEdge - hop
    return samples.add(time: time, value: value)
  }

  /// When the next window ends that holds a reading, ms; nil while there is none.
  public var nextEnd: Int64? { samples.isEmpty ? nil : nextEdge }

  /// Hands over the windows that end at or before `time`.
  public mutating func advance(to time: Int64, _ emit: (WindowSummary) -> Void) {
    while !samples.isEmpty, nextEdge <= time {
      samples.removeAll(before: nextEdge - length)
      if !samples.isEmpty {
        var summary = samples.summary
        summary.start = nextEdge - length
        summary.end = nextEdge
        emit(summary)
      }
      nextEdge += hop
      // What no window to come holds leaves at once: it takes the room of those that come.
      samples.removeAll(before: nextEdge - length)
    }
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    samples.write(into: &bytes)
    bytes.appendState(nextEdge)
  }

  /// Reads back state that was written with the same parameters.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try samples.restore(from: &reader)
    nextEdge = try reader.integer()
  }
}
