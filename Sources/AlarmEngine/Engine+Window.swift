/// Sums of the window statistics over many readings: a checksum for benchmarks and comparisons.
public struct WindowTotals: Hashable, Sendable {
  /// Sum of the counts.
  public var count: UInt64 = 0
  /// Sum of the means.
  public var mean: Double = 0
  /// Sum of the sample standard deviations.
  public var deviation: Double = 0
  /// Sums of the least values and of the greatest, negated.
  private var extremes: SIMD2<Double> = .zero
  /// Sum of the newest values.
  public var last: Double = 0

  /// Makes totals at zero.
  public init() {}

  /// Sum of the least values.
  public var minimum: Double { extremes.x }
  /// Sum of the greatest values.
  public var maximum: Double { -extremes.y }
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
    extremes += other.extremes
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
    extremes += record.it.extremes
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
      losesExtreme = losesExtreme || record.it.isExtreme(leaving)
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
      let pair = SIMD2(value, -value)
      let extremes = record.it.extremes
      record.it.extremes = extremes.replacing(with: pair, where: pair .< extremes)
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
    unsafe extent.take(values + first, count: min(end, capacity) - first)
    if end > capacity { unsafe extent.take(values, count: end - capacity) }
    record.it.extremes = SIMD2(extent.minimum, -extent.maximum)
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
  private var low: (Lane, Lane, Lane, Lane)
  private var high: (Lane, Lane, Lane, Lane)

  private typealias Lane = SIMD2<Double>

  @inline(__always)
  init(_ value: Double) {
    let lane = Lane(repeating: value)
    low = (lane, lane, lane, lane)
    high = low
  }

  @inline(__always)
  mutating func take(_ samples: UnsafeMutablePointer<Double>, count: Int) {
    var index = 0
    while index &+ 8 <= count {
      let next = unsafe UnsafeRawPointer(samples + index)
      unsafe Self.take(next.loadUnaligned(as: Lane.self), &low.0, &high.0)
      unsafe Self.take((next + 16).loadUnaligned(as: Lane.self), &low.1, &high.1)
      unsafe Self.take((next + 32).loadUnaligned(as: Lane.self), &low.2, &high.2)
      unsafe Self.take((next + 48).loadUnaligned(as: Lane.self), &low.3, &high.3)
      index &+= 8
    }
    while index < count {
      unsafe Self.take(Lane(repeating: samples[index]), &low.0, &high.0)
      index &+= 1
    }
  }

  @inline(__always)
  private static func take(_ samples: Lane, _ low: inout Lane, _ high: inout Lane) {
    low = low.replacing(with: samples, where: samples .< low)
    high = high.replacing(with: samples, where: samples .> high)
  }

  var minimum: Double {
    var lane = low.0
    lane.replace(with: low.1, where: low.1 .< lane)
    lane.replace(with: low.2, where: low.2 .< lane)
    lane.replace(with: low.3, where: low.3 .< lane)
    return min(lane.x, lane.y)
  }

  var maximum: Double {
    var lane = high.0
    lane.replace(with: high.1, where: high.1 .> lane)
    lane.replace(with: high.2, where: high.2 .> lane)
    lane.replace(with: high.3, where: high.3 .> lane)
    return max(lane.x, lane.y)
  }
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
