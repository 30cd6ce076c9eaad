/// Sums of the window statistics over many readings: a checksum for benchmarks and comparisons.
public struct WindowTotals: Hashable, Sendable {
  /// Sum of the counts.
  public var count: UInt64 = 0
  /// Sum of the means.
  public var mean: Double = 0
  /// Sum of the sample standard deviations.
  public var deviation: Double = 0
  /// Sum of the least values.
  public var minimum: Double = 0
  /// Sum of the greatest values.
  public var maximum: Double = 0
  /// Sum of the newest values.
  public var last: Double = 0

  /// Makes totals at zero.
  public init() {}
}

/// Who looks at a channel's window after each reading; resolved at compile time.
protocol WindowTap {
  /// Makes a tap that has seen nothing.
  init()
  /// Takes over what another has seen.
  mutating func merge(_ other: Self)
  mutating func add(_ record: Row<ChannelRecord>, _ profile: Row<Profile>)
}

/// Nobody.
struct NoTap: WindowTap {
  @inline(__always)
  mutating func merge(_ other: NoTap) {}
  @inline(__always)
  mutating func add(_ record: Row<ChannelRecord>, _ profile: Row<Profile>) {}
}

extension WindowTotals: WindowTap {
  @inline(__always)
  mutating func merge(_ other: WindowTotals) {
    count &+= other.count
    mean += other.mean
    deviation += other.deviation
    minimum += other.minimum
    maximum += other.maximum
    last += other.last
  }

  @inline(__always)
  mutating func add(_ record: Row<ChannelRecord>, _ profile: Row<Profile>) {
    guard profile.it.features & Profile.window != 0 else { return }
    let live = record.it.head &- record.it.tail
    let number = Double(live)
    let mean = record.it.sum / number
    let variance =
      live > 1 ? (record.it.squares - record.it.sum * mean) / (number - 1) : 0
    count &+= UInt64(live)
    self.mean += mean + record.it.reference
    deviation += variance > 0 ? variance.squareRoot() : 0
    minimum += record.it.minimum
    maximum += record.it.maximum
    last += record.it.value
  }
}

extension Engine {
  /// Brings window, rate of change and EWMA up to a reading; the conditions that are true after it.
  @inline(__always)
  mutating func measure(
    _ record: Row<ChannelRecord>,
    _ profile: Row<Profile>,
    _ time: Int64,
    _ value: Double,
    hasPrevious: Bool,
    elapsed: Int64? = nil
  ) -> UInt8 {
    let features = profile.it.features
    if features & Profile.window != 0 { slide(record, profile, time, value) }
    var conditions: UInt8 = 0
    if hasPrevious {
      let seconds = Double(elapsed ?? (time &- record.it.newest)) * 1e-3
      if abs(value - record.it.value) > profile.it.rate * seconds {
        conditions = ChannelRecord.rateBit
      }
    }
    if features & Profile.ewma != 0 {
      let seen = record.it.seen
      if seen > 0 {
        let difference = value - record.it.mean
        let square = difference * difference
        let alpha = profile.it.alpha
        if seen < profile.it.warmUp {
          record.it.seen = seen &+ 1
        } else if square > profile.it.thresholdSquared * record.it.variance {
          conditions |= ChannelRecord.ewmaBit
        }
        record.it.mean += alpha * difference
        record.it.variance = profile.it.decay * (record.it.variance + alpha * square)
      } else {
        record.it.mean = value
        record.it.variance = 0
        record.it.seen = 1
      }
    }
    return conditions
  }

  /// Moves the sliding window to a reading.
  @inline(__always)
  private mutating func slide(
    _ record: Row<ChannelRecord>,
    _ profile: Row<Profile>,
    _ time: Int64,
    _ value: Double
  ) {
    let mask = profile.it.ringMask
    let length = profile.it.windowLength
    let position = UInt32(truncatingIfNeeded: time)
    let values = unsafe ring.doubles(at: Int(record.it.ring))
    let times = unsafe ring.words(at: Int(record.it.ring), after: Int(mask) + 1)
    let head = record.it.head
    var tail = record.it.tail
    var (sum, squares) = (record.it.sum, record.it.squares)
    var losesExtreme = false
    func leave() {
      let leaving = unsafe values[Int(tail & mask)]
      let difference = leaving - record.it.reference
      sum -= difference
      squares -= difference * difference
      losesExtreme =
        losesExtreme || leaving <= record.it.minimum || leaving >= record.it.maximum
      tail &+= 1
    }
    while unsafe tail != head && position &- times[Int(tail & mask)] >= length { leave() }
    if head &- tail > mask {
      leave()
      if profile.it.features & Profile.wholeWindow != 0 { tally.windowOverflows &+= 1 }
    }
    if tail == head {
      record.it.reference = value
      (sum, squares) = (0, 0)
      losesExtreme = true
    }
    unsafe values[Int(head & mask)] = value
    unsafe times[Int(head & mask)] = position
    let next = head &+ 1
    let difference = value - record.it.reference
    let before = record.it.squares
    record.it.sum = sum + difference
    record.it.squares = squares + difference * difference
    record.it.head = next
    record.it.tail = tail
    if losesExtreme {
      unsafe Self.rescan(record, values, mask)
      // What stays beside a square this much greater has lost digits to it.
      if before > Self.greatestSquareRatio * record.it.squares {
        unsafe Self.resum(record, values, mask)
      }
    } else {
      record.it.minimum = min(value, record.it.minimum)
      record.it.maximum = max(value, record.it.maximum)
    }
    // From time to time the sums are taken afresh, so that rounding cannot pile up.
    if next & (mask | (Self.resumInterval &- 1)) == 0 { unsafe Self.resum(record, values, mask) }
  }

  /// After how many readings, or turns of a larger ring, the sums are taken afresh; a power of two.
  private static var resumInterval: UInt32 { 1024 }

  /// How many times smaller the sum of squares may become at one reading before it is taken afresh.
  private static var greatestSquareRatio: Double { 1e6 }

  /// Takes every statistic of the window from its samples.
  func retakeWindow(_ record: Row<ChannelRecord>, _ profile: Row<Profile>) {
    guard record.it.head != record.it.tail else { return }
    let values = unsafe ring.doubles(at: Int(record.it.ring))
    unsafe Self.rescan(record, values, profile.it.ringMask)
    unsafe Self.resum(record, values, profile.it.ringMask)
  }

  /// Looks for the extremes again, when one of them has left: that is rare enough to beat any order kept.
  @inline(never)
  private static func rescan(
    _ record: Row<ChannelRecord>,
    _ values: UnsafeMutablePointer<Double>,
    _ mask: UInt32
  ) {
    let capacity = Int(mask) + 1
    let first = Int(record.it.tail & mask)
    let end = first + Int(record.it.head &- record.it.tail)
    var extent = unsafe Extent(values[first])
    // The ring in two stretches, of which the second may be empty.
    var stretch = (from: first, to: min(end, capacity))
    while stretch.from < stretch.to {
      unsafe extent.take(values + stretch.from, count: stretch.to - stretch.from)
      stretch = stretch.from == 0 ? (0, 0) : (0, end - capacity)
    }
    record.it.minimum = extent.minimum
    record.it.maximum = extent.maximum
  }

  @inline(never)
  private static func resum(
    _ record: Row<ChannelRecord>,
    _ values: UnsafeMutablePointer<Double>,
    _ mask: UInt32
  ) {
    let live = record.it.head &- record.it.tail
    let reference = record.it.reference + record.it.sum / Double(live)
    var sum = 0.0
    var squares = 0.0
    var position = record.it.tail
    while position != record.it.head {
      let difference = unsafe values[Int(position & mask)] - reference
      sum += difference
      squares += difference * difference
      position &+= 1
    }
    record.it.reference = reference
    record.it.sum = sum
    record.it.squares = squares
  }
}

/// Least and greatest of some samples, in lanes so that none waits for the one before.
private struct Extent {
  private var low: (Double, Double, Double, Double)
  private var high: (Double, Double, Double, Double)

  @inline(__always)
  init(_ value: Double) {
    low = (value, value, value, value)
    high = low
  }

  @inline(__always)
  mutating func take(_ samples: UnsafeMutablePointer<Double>, count: Int) {
    var index = 0
    while index &+ 4 <= count {
      let next = unsafe (
        samples[index], samples[index &+ 1], samples[index &+ 2], samples[index &+ 3]
      )
      low.0 = low.0 < next.0 ? low.0 : next.0
      low.1 = low.1 < next.1 ? low.1 : next.1
      low.2 = low.2 < next.2 ? low.2 : next.2
      low.3 = low.3 < next.3 ? low.3 : next.3
      high.0 = high.0 > next.0 ? high.0 : next.0
      high.1 = high.1 > next.1 ? high.1 : next.1
      high.2 = high.2 > next.2 ? high.2 : next.2
      high.3 = high.3 > next.3 ? high.3 : next.3
      index &+= 4
    }
    while index < count {
      let next = unsafe samples[index]
      low.0 = low.0 < next ? low.0 : next
      high.0 = high.0 > next ? high.0 : next
      index &+= 1
    }
  }

  var minimum: Double { min(min(low.0, low.1), min(low.2, low.3)) }
  var maximum: Double { max(max(high.0, high.1), max(high.2, high.3)) }
}

extension Column where Element == RingLine {
  /// The samples' values of the ring that begins at a line.
  @inline(__always)
  @unsafe
  func doubles(at line: Int) -> UnsafeMutablePointer<Double> {
    unsafe UnsafeMutableRawPointer(row(unchecked: line).address)
      .assumingMemoryBound(to: Double.self)
  }

  /// The samples' times, which follow `capacity` values.
  @inline(__always)
  @unsafe
  func words(at line: Int, after capacity: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe (UnsafeMutableRawPointer(row(unchecked: line).address) + capacity * 8)
      .assumingMemoryBound(to: UInt32.self)
  }
}
