/// The readings of a window, newest last, with the statistics over them kept up to date.
///
/// A ring that doubles up to its capacity and then overwrites its oldest reading (counted:
/// ``isTruncated``), so that memory is bounded and a warm window allocates nothing. Extrema come from
/// two monotonic queues (each reading enters and leaves each queue once), moments from
/// ``RunningMoments``, median and MAD from ``SortedValues``. Times must not go back; a reading that
/// does is refused, because the engine treats late readings elsewhere.
public struct SampleWindow: Sendable {
  /// Most readings it holds.
  public let capacity: Int
  /// What it keeps beside count, first and last.
  public let statistics: WindowStatistics
  /// True while a reading that had to leave early for want of room, or was left out, is missing.
  ///
  /// ``removeAll(olderThan:at:)`` and ``removeAll(before:)`` end it once that reading would have left by its age.
  public private(set) var isTruncated = false
  /// Event time of the newest reading that is missing, while ``isTruncated``.
  private(set) var lastDropped = Int64.min

  private var times: [Int64] = []
  private var values: [Double] = []
  /// Sequence number of the oldest reading held, and of the next to come.
  private var head = 0
  private var tail = 0
  private var minimumQueue: IndexQueue
  private var maximumQueue: IndexQueue
  private var moments = RunningMoments()
  private var sorted = SortedValues()

  /// Makes an empty window for at most `capacity` readings.
  public init(capacity: Int, statistics: WindowStatistics = .all) throws(WindowError) {
    try WindowError.check(capacity: capacity)
    self.capacity = capacity
    self.statistics = statistics
    minimumQueue = IndexQueue()
    maximumQueue = IndexQueue()
  }

  /// How many readings it holds.
  public var count: Int { tail - head }

  /// True when it holds none.
  public var isEmpty: Bool { head == tail }

  /// Event time of the oldest reading; the caller has checked that there is one.
  public var oldestTime: Int64 { times[slot(head)] }

  /// Event time of the newest reading; the caller has checked that there is one.
  public var newestTime: Int64 { times[slot(tail - 1)] }

  /// Value of the oldest reading, NaN when empty.
  public var first: Double { isEmpty ? .nan : values[slot(head)] }

  /// Value of the newest reading, NaN when empty.
  public var last: Double { isEmpty ? .nan : values[slot(tail - 1)] }

  /// Smallest value; NaN when empty or not kept.
  public var minimum: Double { minimumQueue.isEmpty ? .nan : values[slot(minimumQueue.first)] }

  /// Largest value; NaN when empty or not kept.
  public var maximum: Double { maximumQueue.isEmpty ? .nan : values[slot(maximumQueue.first)] }

  /// Arithmetic mean; NaN when empty or not kept.
  public var mean: Double { statistics.contains(.moments) ? moments.mean : .nan }

  /// Sum; 0 when empty, NaN when not kept.
  public var sum: Double { statistics.contains(.moments) ? moments.sum : .nan }

  /// Sample variance; NaN below two readings or when not kept.
  public var variance: Double { statistics.contains(.moments) ? moments.variance : .nan }

  /// Least-squares slope per second; NaN when undefined or not kept.
  public var slope: Double {
    guard statistics.contains(.moments), !isEmpty, oldestTime < newestTime else { return .nan }
    return moments.slope
  }

  /// Median; NaN when empty or not kept.
  public var median: Double { sorted.median }

  /// Median absolute deviation; NaN when empty or not kept.
  public var medianAbsoluteDeviation: Double { sorted.medianAbsoluteDeviation }

  /// The value of rank ⌊share · (n − 1)⌋ from 0; NaN when empty or order is not kept.
  public func quantile(_ share: Double) -> Double { sorted.quantile(share) }

  /// The reading `index` places after the oldest.
  public func reading(at index: Int) -> (time: Int64, value: Double) {
    let slot = slot(head + index)
    return (times[slot], values[slot])
  }

  /// Adds the newest reading; false when its time is before the newest one's.
  @discardableResult
  public mutating func add(time: Int64, value: Double) -> Bool {
    if !isEmpty {
      guard time >= newestTime else { return false }
      if count == capacity {
        lastDropped = oldestTime
        removeOldest()
        isTruncated = true
      }
    }
    if count == times.count { grow() }
    let slot = slot(tail)
    times[slot] = time
    values[slot] = value
    if statistics.contains(.extrema) {
      while !minimumQueue.isEmpty, values[self.slot(minimumQueue.last)] >= value {
        minimumQueue.removeLast()
      }
      minimumQueue.append(tail, capacity: times.count)
      while !maximumQueue.isEmpty, values[self.slot(maximumQueue.last)] <= value {
        maximumQueue.removeLast()
      }
      maximumQueue.append(tail, capacity: times.count)
    }
    tail += 1
    if statistics.contains(.moments) {
      moments.add(time: time, value: value)
      if moments.needsRebuild { rebuild() }
    }
    if statistics.contains(.order) { sorted.insert(value) }
    return true
  }

  /// Removes the oldest reading; the caller has checked that there is one.
  public mutating func removeOldest() {
    let slot = slot(head)
    let value = values[slot]
    if statistics.contains(.extrema) {
      if minimumQueue.first == head { minimumQueue.removeFirst() }
      if maximumQueue.first == head { maximumQueue.removeFirst() }
    }
    if statistics.contains(.order) { sorted.remove(value) }
    head += 1
    if statistics.contains(.moments) {
      moments.remove(time: times[slot], value: value)
      if moments.needsRebuild { rebuild() }
    }
  }

  /// Removes readings at or before `time − span`: what is left lies in (time − span, time].
  public mutating func removeAll(olderThan span: Int64, at time: Int64) {
    while !isEmpty, oldestTime <= time, UInt64(bitPattern: time &- oldestTime) >= UInt64(span) {
      removeOldest()
    }
    if isTruncated, lastDropped <= time,
      UInt64(bitPattern: time &- lastDropped) >= UInt64(span)
    {
      isTruncated = false
    }
  }

  /// Removes readings before `time`: what is left lies in [time, …).
  public mutating func removeAll(before time: Int64) {
    while !isEmpty, oldestTime < time { removeOldest() }
    if isTruncated, lastDropped < time { isTruncated = false }
  }

  /// Puts all its times off by so many milliseconds, at least 0; moments know times too, so they must not be kept.
  mutating func shift(by milliseconds: Int64) {
    precondition(!statistics.contains(.moments), "moments would keep the former times")
    for sequence in head..<tail { times[slot(sequence)] += milliseconds }
    if isTruncated { lastDropped += milliseconds }
  }

  /// Puts another reading in the place of the newest, which it is not older than; only where no statistics are kept.
  mutating func replaceNewest(time: Int64, value: Double) {
    precondition(statistics.isEmpty && !isEmpty && time >= newestTime)
    times[slot(tail - 1)] = time
    values[slot(tail - 1)] = value
  }

  /// Leaves out, from the oldest on, what comes less than `spacing` milliseconds after the reading kept before it.
  ///
  /// Only where no statistics but order are kept.
  mutating func thin(to spacing: Int64) {
    precondition(statistics == .order, "extrema and moments would still know what leaves")
    let end = tail
    tail = head
    sorted.removeAll()
    for sequence in head..<end {
      let (time, value) = (times[slot(sequence)], values[slot(sequence)])
      if !isEmpty, time - newestTime < spacing {
        leaveOut(time: time)
        continue
      }
      let place = slot(tail)
      times[place] = time
      values[place] = value
      tail += 1
      sorted.insert(value)
    }
  }

  /// Takes note of a reading that is not kept.
  mutating func leaveOut(time: Int64) {
    lastDropped = isTruncated ? max(lastDropped, time) : time
    isTruncated = true
  }

  /// Empties it; memory is kept for reuse.
  public mutating func removeAll() {
    head = 0
    tail = 0
    minimumQueue.removeAll()
    maximumQueue.removeAll()
    moments = RunningMoments()
    sorted.removeAll()
    isTruncated = false
  }

  /// Every statistic at once.
  public var summary: WindowSummary {
    var summary = WindowSummary()
    summary.isTruncated = isTruncated
    guard !isEmpty else { return summary }
    summary.count = count
    summary.firstTime = oldestTime
    summary.lastTime = newestTime
    summary.start = oldestTime
    summary.end = newestTime
    summary.first = first
    summary.last = last
    summary.minimum = minimum
    summary.maximum = maximum
    if statistics.contains(.moments) {
      summary.sum = moments.sum
      summary.mean = moments.mean
      summary.variance = moments.variance
      summary.slope = slope
    }
    if statistics.contains(.order) {
      summary.median = sorted.median
      summary.medianAbsoluteDeviation = sorted.medianAbsoluteDeviation
    }
    return summary
  }

  /// Place of a sequence number in the ring; the ring's size is a power of two.
  private func slot(_ sequence: Int) -> Int { sequence & (times.count &- 1) }

  private mutating func rebuild() {
    guard !isEmpty else { return }
    moments.beginRebuild(time: oldestTime)
    for sequence in head..<tail {
      let slot = slot(sequence)
      moments.addRebuilding(time: times[slot], value: values[slot])
    }
  }

  private mutating func grow() {
    let size = max(4, times.count * 2)
    var newTimes = [Int64](repeating: 0, count: size)
    var newValues = [Double](repeating: 0, count: size)
    for sequence in head..<tail {
      newTimes[sequence & (size - 1)] = times[slot(sequence)]
      newValues[sequence & (size - 1)] = values[slot(sequence)]
    }
    times = newTimes
    values = newValues
    if statistics.contains(.order) { sorted.reserve(min(size, capacity)) }
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    bytes.appendState(capacity)
    bytes.append(statistics.rawValue)
    bytes.appendState(isTruncated)
    bytes.appendState(lastDropped)
    bytes.appendState(count)
    for index in 0..<count {
      let reading = reading(at: index)
      bytes.appendState(reading.time)
      bytes.appendState(reading.value)
    }
    if statistics.contains(.moments) { moments.write(into: &bytes) }
  }

  /// Reads back state that was written with the same capacity and statistics.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    guard try reader.count(in: 1...WindowLimits.largestCapacity) == capacity,
      try reader.byte() == statistics.rawValue
    else { throw .inconsistent }
    removeAll()
    let truncated = try reader.flag()
    let dropped = try reader.integer()
    for _ in 0..<(try reader.count(in: 0...capacity)) {
      let time = try reader.integer()
      guard add(time: time, value: try reader.double()) else { throw .inconsistent }
    }
    isTruncated = truncated
    lastDropped = dropped
    if statistics.contains(.moments) {
      moments = try RunningMoments(reading: &reader)
      guard moments.count == count else { throw .inconsistent }
    }
  }
}

/// A double-ended queue of sequence numbers that grows with its window.
struct IndexQueue: Sendable {
  private var items: [Int] = []
  private var head = 0
  private var tail = 0

  var isEmpty: Bool { head == tail }
  var first: Int { isEmpty ? -1 : items[head & (items.count &- 1)] }
  var last: Int { items[(tail &- 1) & (items.count &- 1)] }

  mutating func append(_ item: Int, capacity: Int) {
    if items.count < capacity {
      var grown = [Int](repeating: 0, count: capacity)
      for index in head..<tail { grown[index & (capacity - 1)] = items[index & (items.count - 1)] }
      items = grown
    }
    items[tail & (items.count &- 1)] = item
    tail += 1
  }

  mutating func removeLast() { tail -= 1 }
  mutating func removeFirst() { head += 1 }
  mutating func removeAll() {
    head = 0
    tail = 0
  }
}
