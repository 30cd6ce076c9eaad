/// Who sleeps for news of the ledger, and what there is to tell them.
///
/// A plain value; the ``Exchange`` keeps it behind its lock and wakes, outside of it, whom it is given here.
struct NewsReaders {
  /// Ends the sleep of a reader.
  typealias Wake = CheckedContinuation<Void, Never>

  private struct Reader {
    var cursor: NewsCursor
    /// When it has waited long enough.
    var end: ContinuousClock.Instant
    var wake: Wake
  }

  /// The ledger's head.
  private(set) var head: Int64
  private var unrecorded: [UnrecordedAnnouncement] = []
  private var lastUnrecorded: UInt64 = 0
  private var readers: [UInt64: Reader] = [:]
  private var nextReader: UInt64 = 1
  /// When the next look at the readers' ends is due; nil while nobody waits for one.
  private var alarm: ContinuousClock.Instant?

  /// How many unrecorded announcements are kept for readers that come late.
  private static let unrecordedLimit = 10_000

  init(head: Int64) {
    self.head = head
  }

  /// What is new after `cursor`; nil when nothing is.
  func news(after cursor: NewsCursor) -> News? {
    guard head > cursor.ledger || lastUnrecorded > cursor.unrecorded else { return nil }
    return News(
      ledgerHead: head,
      unrecorded: unrecorded.filter { $0.number > cursor.unrecorded }
    )
  }

  // MARK: - What is new

  /// Notes how far the ledger has come.
  ///
  /// - Returns: the readers to wake.
  mutating func setHead(_ sequence: Int64) -> [Wake] {
    head = sequence
    return takeWoken()
  }

  /// Announces alarm steps that are not recorded.
  ///
  /// - Returns: what was announced, and the readers to wake.
  mutating func announce(
    unrecorded steps: [[UInt8]]
  ) -> (announced: [UnrecordedAnnouncement], woken: [Wake]) {
    guard !steps.isEmpty else { return ([], []) }
    lastUnrecorded += UInt64(steps.count)
    let announced = newest(steps)
    unrecorded += announced
    if unrecorded.count > Self.unrecordedLimit {
      unrecorded.removeFirst(unrecorded.count - Self.unrecordedLimit)
    }
    return (announced, takeWoken())
  }

  /// Alarm steps with the numbers under which they were announced, where they are the last that were.
  func newest(_ steps: [[UInt8]]) -> [UnrecordedAnnouncement] {
    let first = lastUnrecorded - UInt64(steps.count) + 1
    return steps.enumerated().map { index, body in
      UnrecordedAnnouncement(number: first + UInt64(index), body: body)
    }
  }

  private mutating func takeWoken() -> [Wake] {
    var woken: [Wake] = []
    for (id, reader) in readers where news(after: reader.cursor) != nil {
      woken.append(reader.wake)
      readers.removeValue(forKey: id)
    }
    return woken
  }

  // MARK: - Who sleeps

  /// A number for a reader that is about to wait.
  mutating func newReader() -> UInt64 {
    defer { nextReader += 1 }
    return nextReader
  }

  /// Lets a reader sleep until there is news after `cursor`, or until `end`.
  ///
  /// - Returns: whether an alarm is to be set for its end, because none is for then or before.
  mutating func add(
    _ reader: UInt64,
    after cursor: NewsCursor,
    until end: ContinuousClock.Instant,
    wake: Wake
  ) -> Bool {
    readers[reader] = Reader(cursor: cursor, end: end, wake: wake)
    guard alarm.map({ end < $0 }) ?? true else { return false }
    alarm = end
    return true
  }

  /// Takes out one that is to sleep no longer; nil where it is awake already.
  mutating func remove(_ reader: UInt64) -> Wake? {
    readers.removeValue(forKey: reader)?.wake
  }

  mutating func removeAll() -> [Wake] {
    defer { readers.removeAll() }
    return readers.values.map(\.wake)
  }

  /// Takes out those whose end has come at `now`, when the alarm set for `instant` rings.
  ///
  /// - Returns: these, and for when the next alarm is to be set, if one is.
  mutating func takeLate(
    at now: ContinuousClock.Instant,
    ringing instant: ContinuousClock.Instant
  ) -> (late: [Wake], next: ContinuousClock.Instant?) {
    var late: [Wake] = []
    for (id, reader) in readers where reader.end <= now {
      late.append(reader.wake)
      readers.removeValue(forKey: id)
    }
    // One that was set for an earlier time than this is still to come, and looks after those that wait.
    guard alarm == instant else { return (late, nil) }
    alarm = readers.values.map(\.end).min()
    return (late, alarm)
  }
}
