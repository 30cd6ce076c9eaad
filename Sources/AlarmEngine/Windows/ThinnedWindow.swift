/// A window over the last `span` of event time, (t − span, t], that reaches over all of it however fast readings come.
///
/// Formula: every reading is kept as long as there is room for it. From the reading on that finds none, until a whole span
/// has passed in which none was left out, a reading is kept only when it comes ⌈span / capacity⌉ or more after the one kept
/// before it; those held already are left out by the same rule, from the oldest on. What is kept then lies so evenly over
/// the span that `capacity` readings reach over it, and a reading that is not kept is known in no statistic.
///
/// A reading costs what ``SampleWindow`` costs; one that finds no room goes over all that are held, which since the last
/// that did at least half as many readings have paid for.
struct ThinnedWindow: Sendable {
  /// Length in milliseconds.
  let span: Int64
  /// How far apart readings are kept where not all are, ms.
  private let spacing: Int64
  private var samples: SampleWindow

  /// Makes an empty window of `span` milliseconds that holds at most `capacity` readings, and keeps them in order.
  init(span: Int64, capacity: Int) throws(WindowError) {
    try WindowError.check(duration: span)
    samples = try SampleWindow(capacity: capacity, statistics: .order)
    self.span = span
    spacing = (span + Int64(capacity) - 1) / Int64(capacity)
  }

  /// The readings that are kept and their statistics.
  var contents: SampleWindow {
    _read { yield samples }
  }

  /// Whether a reading of the span has been left out.
  var isThinned: Bool { samples.isTruncated }

  /// Event time of the newest reading, kept or left out; the caller has checked that there is one.
  var newestTime: Int64 {
    samples.isTruncated ? max(samples.newestTime, samples.lastDropped) : samples.newestTime
  }

  /// Takes a reading after what it pushes out has left; false (and no change) when it is late.
  @discardableResult
  mutating func step(time: Int64, value: Double) -> Bool {
    if !samples.isEmpty, time < newestTime { return false }
    samples.removeAll(olderThan: span, at: time)
    let isFull = samples.count == samples.capacity
    if isFull, !(isThinned && isTooClose(time)) { samples.thin(to: spacing) }
    // What has been thinned has room for a reading that is far enough from the newest: `capacity` spacings are the span.
    if isFull || isThinned, isTooClose(time) {
      samples.leaveOut(time: time)
      return true
    }
    return samples.add(time: time, value: value)
  }

  private func isTooClose(_ time: Int64) -> Bool {
    !samples.isEmpty && time - samples.newestTime < spacing
  }

  /// Forgets all readings.
  mutating func removeAll() {
    samples.removeAll()
  }

  /// Makes its readings younger by so many milliseconds, as if they had come later.
  mutating func shift(by milliseconds: Int64) {
    samples.shift(by: milliseconds)
  }

  /// Appends all state to `bytes`.
  func write(into bytes: inout [UInt8]) {
    samples.write(into: &bytes)
  }

  /// Reads back state that was written with the same parameters, or by a ``SlidingWindow`` with them.
  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try samples.restore(from: &reader)
  }
}
