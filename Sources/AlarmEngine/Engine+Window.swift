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
  mutating func add(_ record: Row<ChannelRecord>, _ profile: Row<Profile>)
}

/// Nobody.
struct NoTap: WindowTap {
  @inline(__always)
  mutating func add(_ record: Row<ChannelRecord>, _ profile: Row<Profile>) {}
}

extension WindowTotals: WindowTap {
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
        if seen >= profile.it.warmUp && square > profile.it.thresholdSquared * record.it.variance {
          conditions |= ChannelRecord.ewmaBit
        }
        record.it.mean += alpha * difference
        record.it.variance = (1 - alpha) * (record.it.variance + alpha * square)
      } else {
        record.it.mean = value
        record.it.variance = 0
      }
      record.it.seen = seen &+ (seen == .max ? 0 : 1)
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
    var head = record.it.head
    var tail = record.it.tail
    var sum = record.it.sum
    var squares = record.it.squares
    var losesExtreme = false
    if head == tail {
      record.it.reference = value
      sum = 0
      squares = 0
    }
    let reference = record.it.reference
    while tail != head {
      let slot = Int(tail & mask)
      let isOld = unsafe position &- times[slot] >= length
      let isFull = head &- tail > mask
      guard isOld || isFull else { break }
      if !isOld { tally.windowOverflows &+= 1 }
      let leaving = unsafe values[slot]
      let difference = leaving - reference
      sum -= difference
      squares -= difference * difference
      losesExtreme =
        losesExtreme || leaving <= record.it.minimum || leaving >= record.it.maximum
      tail &+= 1
    }
    unsafe values[Int(head & mask)] = value
    unsafe times[Int(head & mask)] = position
    head &+= 1
    let difference = value - reference
    sum += difference
    squares += difference * difference
    record.it.sum = sum
    record.it.squares = squares
    record.it.head = head
    record.it.tail = tail
    if head &- tail == 1 {
      record.it.minimum = value
      record.it.maximum = value
    } else if losesExtreme {
      unsafe rescan(record, values, mask)
    } else {
      record.it.minimum = min(record.it.minimum, value)
      record.it.maximum = max(record.it.maximum, value)
    }
    // Once a turn of the ring the sums are taken afresh, so that rounding cannot pile up.
    if head & mask == 0 { unsafe resum(record, values, mask) }
  }

  /// Takes every statistic of the window from its samples.
  func retakeWindow(_ record: Row<ChannelRecord>, _ profile: Row<Profile>) {
    guard record.it.head != record.it.tail else { return }
    let values = unsafe ring.doubles(at: Int(record.it.ring))
    unsafe rescan(record, values, profile.it.ringMask)
    unsafe resum(record, values, profile.it.ringMask)
  }

  @inline(never)
  private func rescan(
    _ record: Row<ChannelRecord>,
    _ values: UnsafeMutablePointer<Double>,
    _ mask: UInt32
  ) {
    let capacity = Int(mask) + 1
    let first = Int(record.it.tail & mask)
    let end = first + Int(record.it.head &- record.it.tail)
    var low = unsafe values[first]
    var high = low
    unsafe widen(&low, &high, by: values + first, count: min(end, capacity) - first)
    if end > capacity { unsafe widen(&low, &high, by: values, count: end - capacity) }
    record.it.minimum = low
    record.it.maximum = high
  }

  /// Takes neighbouring samples into an extent, eight at a time.
  @inline(__always)
  private func widen(
    _ low: inout Double,
    _ high: inout Double,
    by samples: UnsafeMutablePointer<Double>,
    count: Int
  ) {
    var index = 0
    if count >= 8 {
      var lows = SIMD8(repeating: low)
      var highs = SIMD8(repeating: high)
      let raw = UnsafeRawPointer(samples)
      while index + 8 <= count {
        let next = unsafe raw.loadUnaligned(fromByteOffset: index * 8, as: SIMD8<Double>.self)
        lows.replace(with: next, where: next .< lows)
        highs.replace(with: next, where: next .> highs)
        index += 8
      }
      for lane in 0..<8 {
        low = lows[lane] < low ? lows[lane] : low
        high = highs[lane] > high ? highs[lane] : high
      }
    }
    while index < count {
      let value = unsafe samples[index]
      low = value < low ? value : low
      high = value > high ? value : high
      index += 1
    }
  }

  @inline(never)
  private func resum(
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
