/// Sums of the window statistics over many readings: a checksum for benchmarks and comparisons.
public struct WindowTotals: Hashable, Sendable {
  /// Sum of the counts.
  public var count: UInt64 = 0
  /// Sum of the means.
  public var mean: Double = 0
  /// Sum of the sample standard deviations.
  public var deviation: Double = 0
  /// Sums of the least values and of the greatest.
  private var extremes: SIMD2<Double> = .zero
  /// Sum of the newest values.
  public var last: Double = 0

  /// Makes totals at zero.
  public init() {}

  /// Sum of the least values.
  public var minimum: Double {
    get { extremes.x }
    set { extremes.x = newValue }
  }
  /// Sum of the greatest values.
  public var maximum: Double {
    get { extremes.y }
    set { extremes.y = newValue }
  }
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
    let sum = record.it.sum
    let mean = sum / number
    // Does not wait for the mean's division. A single reading has no variance: 0/0 is not above 0.
    let variance = (record.it.squares * number - sum * sum) / (number * (number - 1))
    count &+= UInt64(live)
    self.mean += mean + record.it.reference
    deviation += (variance > 0 ? variance : 0).squareRoot()
    extremes += record.it.extremes
    last += record.it.value
  }
}

/// What a reading has come to, and what it leaves to be done.
struct Measured {
  /// The fast conditions that are true after it, and ``keepBit``: so one comparison tells whether there is more to do.
  var bits: UInt8 = 0
  /// The window's sum of squares before anything left it or came.
  var squaresBefore: Double = 0

  /// The window's sums are to be taken afresh: from time to time they are, so that rounding cannot pile up.
  var isResumDue = false

  /// The window's extremes are to be looked for again.
  static let keepBit: UInt8 = 0x80

  /// The window wants ``Engine/keepWindow(_:_:_:)``.
  var needsKeeping: Bool { bits & Self.keepBit != 0 || isResumDue }
  var conditions: UInt8 { bits & ~Self.keepBit }
}

extension Engine {
  /// Brings window, rate of change and EWMA up to a reading.
  @inline(__always)
  mutating func measure(
    _ record: Row<ChannelRecord>,
    _ profile: Row<Profile>,
    in ring: Rows<RingLine>,
    _ time: Int64,
    _ value: Double,
    hasPrevious: Bool,
    elapsed: Int64
  ) -> Measured {
    var measured = Measured()
    if hasPrevious {
      let seconds = Double(elapsed) * 1e-3
      if abs(value - record.it.value) > profile.it.rate * seconds {
        measured.bits = ChannelRecord.rateBit
      }
    } else {
      // With nothing to compare it with, a value neither raises nor clears.
      measured.bits = record.it.conditions & ChannelRecord.rateBit
    }
    if profile.it.features & Profile.ewma != 0 {
      let isWarm = record.it.seen >= profile.it.warmUp
      if _slowPath(!isWarm) {
        // A distance too great tells that what was learnt is of no use, or that this is of none: it begins once more.
        if record.it.seen == 0 || !Self.canLearn(value, record) {
          (record.it.mean, record.it.variance, record.it.seen) = (value, 0, 0)
        }
        record.it.seen &+= 1
        // Until it can judge again, a condition stays what it was.
        measured.bits |= record.it.conditions & ChannelRecord.ewmaBit
      }
      var difference = value - record.it.mean
      var square = difference * difference
      let alpha = profile.it.alpha
      if isWarm && square > profile.it.thresholdSquared * record.it.variance {
        measured.bits |= ChannelRecord.ewmaBit
      }
      // Learnt, it would make later squares look small for long, or for good: mean and variance stay what they are.
      if _slowPath(square > ChannelRecord.greatestSquare) {
        let decay = max(profile.it.decay, .leastNormalMagnitude)
        (difference, square) = (0, record.it.variance / decay)
      }
      record.it.mean += alpha * difference
      record.it.variance = profile.it.decay * (record.it.variance + alpha * square)
    }
    if profile.it.features & Profile.window != 0 {
      unsafe slide(record, profile, in: ring, time, value, &measured)
    }
    return measured
  }

  /// Whether an EWMA can take a value's distance to its mean.
  private static func canLearn(_ value: Double, _ record: Row<ChannelRecord>) -> Bool {
    let difference = value - record.it.mean
    return difference * difference <= ChannelRecord.greatestSquare
  }

  /// Empties the window of a channel whose samples have become older than their 32-bit times can tell.
  func forgetOldWindow(_ record: Row<ChannelRecord>) {
    let profile = profiles.row(Int(record.it.profile))
    guard profile.it.features & Profile.window != 0, record.it.head != record.it.tail else {
      return
    }
    let mask = profile.it.ringMask
    let times = unsafe ring.words(at: Int(record.it.ring), after: Int(mask) + 1)
    let newest = unsafe times[Int((record.it.head &- 1) & mask)]
    let age = UInt32(truncatingIfNeeded: record.it.newest) &- newest
    if age > Profile.longestGap { record.it.tail = record.it.head }
  }

  /// Moves the sliding window to a reading.
  @inline(__always)
  private mutating func slide(
    _ record: Row<ChannelRecord>,
    _ profile: Row<Profile>,
    in ring: Rows<RingLine>,
    _ time: Int64,
    _ value: Double,
    _ measured: inout Measured
  ) {
    let mask = profile.it.ringMask
    let length = profile.it.windowLength
    let position = UInt32(truncatingIfNeeded: time)
    let values = unsafe ring.doubles(at: Int(record.it.ring))
    let times = unsafe ring.words(at: Int(record.it.ring), after: Int(mask) + 1)
    let head = record.it.head
    var tail = record.it.tail
    var (sum, squares) = (record.it.sum, record.it.squares)
    measured.squaresBefore = squares
    @inline(__always)
    func leave(_ keeping: UInt8) {
      measured.bits |= keeping
      let difference = unsafe values[Int(tail & mask)] - record.it.reference
      sum -= difference
      squares -= difference * difference
      tail &+= 1
    }
    @inline(__always)
    func hasPassed() -> Bool { unsafe position &- times[Int(tail & mask)] >= length }
    @inline(__always)
    func keepingOldest() -> UInt8 { record.it.keeping(unsafe values[Int(tail & mask)]) }
    if _slowPath(head &- tail > mask) {
      // No room is left, and the oldest makes it: early, unless its time has come.
      if !hasPassed(), profile.it.features & Profile.wholeWindow != 0 {
        tally.windowOverflows &+= 1
      }
      leave(record.it.oldest)
      record.it.oldest = keepingOldest()
    }
    // Comes before the others leave, because it ends their row: its own time has not passed.
    unsafe values[Int(head & mask)] = value
    unsafe times[Int(head & mask)] = position
    if hasPassed() {
      leave(record.it.oldest)
      while hasPassed() { leave(keepingOldest()) }
    }
    if _slowPath(tail == head) {
      record.it.reference = value
      (sum, squares) = (0, 0)
      record.it.extremes = SIMD2(repeating: value)
    }
    let difference = value - record.it.reference
    record.it.sum = sum + difference
    record.it.squares = squares + difference * difference
    record.it.head = head &+ 1
    record.it.tail = tail
    // Written in any case: whether a value is an extreme nobody can foretell, a branch would often be wrong.
    let extremes = record.it.extremes
    record.it.extremes = SIMD2(
      value < extremes.x ? value : extremes.x,
      value > extremes.y ? value : extremes.y
    )
    record.it.oldest = keepingOldest()
    measured.isResumDue = (head &+ 1) & profile.it.resumMask == 0
  }

  /// Does for a window what few readings ask for: looks for its extremes again, when one of them has left, and takes
  /// its sums afresh, when they may have lost digits.
  mutating func keepWindow(
    _ record: Row<ChannelRecord>,
    _ profile: Row<Profile>,
    _ measured: Measured
  ) {
    let mask = profile.it.ringMask
    let values = unsafe ring.doubles(at: Int(record.it.ring))
    unsafe Self.rescan(record, values, mask)
    // What stays beside a square this much greater has lost digits to it.
    if measured.isResumDue
      || measured.squaresBefore > Self.greatestSquareRatio * record.it.squares
    {
      unsafe Self.resum(record, values, mask)
    }
  }

  /// After how many readings, or turns of a larger ring, the sums are taken afresh; a power of two.
  static var resumInterval: UInt32 { 1024 }

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
    var (start, count) = (first, min(end, capacity) - first)
    var isFirst = true
    while count > 0 {
      unsafe extent.take(values + start, count: count)
      (start, count) = (0, isFirst ? end - capacity : 0)
      isFirst = false
    }
    record.it.extremes = SIMD2(extent.least, extent.greatest)
    record.it.oldest = record.it.keeping(unsafe values[first])
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
    guard count >= 8 else {
      for index in 0..<count {
        Self.take(unsafe Lane(repeating: samples[index]), &low.0, &high.0)
      }
      return
    }
    var index = 0
    while index < count &- 8 {
      unsafe takeEight(samples + index)
      index &+= 8
    }
    // The last eight, some of them for the second time: that changes no extreme and leaves no rest.
    unsafe takeEight(samples + (count &- 8))
  }

  @inline(__always)
  @unsafe
  private mutating func takeEight(_ samples: UnsafeMutablePointer<Double>) {
    let next = UnsafeRawPointer(samples)
    Self.take(unsafe next.loadUnaligned(as: Lane.self), &low.0, &high.0)
    Self.take(unsafe (next + 16).loadUnaligned(as: Lane.self), &low.1, &high.1)
    Self.take(unsafe (next + 32).loadUnaligned(as: Lane.self), &low.2, &high.2)
    Self.take(unsafe (next + 48).loadUnaligned(as: Lane.self), &low.3, &high.3)
  }

  @inline(__always)
  private static func take(_ samples: Lane, _ low: inout Lane, _ high: inout Lane) {
    low = samples.replacing(with: low, where: low .< samples)
    high = samples.replacing(with: high, where: high .> samples)
  }

  var least: Double {
    var lane = low.0
    lane.replace(with: low.1, where: low.1 .< lane)
    lane.replace(with: low.2, where: low.2 .< lane)
    lane.replace(with: low.3, where: low.3 .< lane)
    return min(lane.x, lane.y)
  }

  var greatest: Double {
    var lane = high.0
    lane.replace(with: high.1, where: high.1 .> lane)
    lane.replace(with: high.2, where: high.2 .> lane)
    lane.replace(with: high.3, where: high.3 .> lane)
    return max(lane.x, lane.y)
  }
}

extension Rows<RingLine> {
  /// The samples' values of the ring that begins at a line.
  @inline(__always)
  @unsafe
  func doubles(at line: Int) -> UnsafeMutablePointer<Double> {
    unsafe UnsafeMutableRawPointer(self[line].address).assumingMemoryBound(to: Double.self)
  }

  /// The samples' times, which follow `capacity` values.
  @inline(__always)
  @unsafe
  func words(at line: Int, after capacity: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe (UnsafeMutableRawPointer(self[line].address) + capacity * 8)
      .assumingMemoryBound(to: UInt32.self)
  }
}

extension Column where Element == RingLine {
  /// The samples' values of the ring that begins at a line.
  @inline(__always)
  @unsafe
  func doubles(at line: Int) -> UnsafeMutablePointer<Double> { unsafe rows.doubles(at: line) }

  /// The samples' times, which follow `capacity` values.
  @inline(__always)
  @unsafe
  func words(at line: Int, after capacity: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe rows.words(at: line, after: capacity)
  }
}
