import Telemetry

/// How a window's lines are asked for; resolved at compile time, because the loop has no room for the question.
protocol WindowHint {
  /// Asks for the lines of the oldest sample and of the free slot, in `values` and in `times`.
  @unsafe
  static func ask(
    _ values: UnsafeMutablePointer<Double>,
    _ times: UnsafeMutablePointer<UInt32>,
    oldest: Int,
    free: Int
  )
}

/// Windows that lie in the processor's caches, if not in the nearest.
enum FewWindows: WindowHint {
  @inline(__always)
  @unsafe
  static func ask(
    _ values: UnsafeMutablePointer<Double>,
    _ times: UnsafeMutablePointer<UInt32>,
    oldest: Int,
    free: Int
  ) {
    // The one behind the oldest as well, which is in another line now and then: it is looked at when the oldest leaves.
    unsafe prefetchLine(values + oldest)
    unsafe prefetchLine(values + oldest + 1)
    unsafe prefetchLine(values + free)
    unsafe prefetchLine(times + oldest)
    unsafe prefetchLine(times + free)
  }
}

/// Windows that lie in memory.
///
/// Their lines go into the second cache only, because the nearest takes few at once, and the records need them. At a million
/// channels that saves a fifth of a reading's cost.
enum ManyWindows: WindowHint {
  @inline(__always)
  @unsafe
  static func ask(
    _ values: UnsafeMutablePointer<Double>,
    _ times: UnsafeMutablePointer<UInt32>,
    oldest: Int,
    free: Int
  ) {
    unsafe prefetchLineBehind(values + oldest)
    unsafe prefetchLineBehind(values + free)
    unsafe prefetchLineBehind(times + oldest)
    unsafe prefetchLineBehind(times + free)
  }
}

/// Asking the caches for what readings to come will touch.
///
/// With many channels every line that a reading touches comes from memory, which takes as long as the whole reading
/// does otherwise, and only so many can be on their way at once. So what is asked for is what will be needed, early enough,
/// and no more.
extension Engine {
  /// How many readings ahead a channel's record is asked for; half as many its window's slots, a quarter all samples.
  private static var lookahead: Int { 16 }

  /// Of how many samples at most the lines are asked for; beyond, the processor sees the pattern by itself.
  private static var samplesAskedFor: Int { 256 }

  /// Of how many rules at most of a channel the lines are asked for.
  private static var rulesAskedFor: Int { 8 }

  /// Whether there are more windows than the caches of a core hold.
  var hasManyWindows: Bool { channels.count > 65_536 }

  /// Up to which reading of a batch ``lookAhead(_:_:_:_:_:_:_:)`` asks for records.
  @inline(__always)
  static func lookaheadLimit(_ columns: BatchColumns) -> Int { columns.count &- lookahead }

  /// Asks at each reading for what those to come will touch.
  @inline(__always)
  @unsafe
  static func lookAhead<Hint: WindowHint>(
    _ columns: BatchColumns,
    _ index: Int,
    _ limit: Int,
    _ records: Rows<ChannelRecord>,
    _ profiles: Rows<Profile>,
    _ ring: Rows<RingLine>,
    _ hint: Hint.Type
  ) {
    if index < limit {
      unsafe prefetch(records[columns.channel(index &+ lookahead)])
      unsafe prefetchSlots(records[columns.channel(index &+ lookahead / 2)], profiles, ring, hint)
      let near = index &+ lookahead / 4
      let record = unsafe records[columns.channel(near)]
      if _slowPath(record.it.oldest != 0) {
        unsafe prefetchSamples(record, profiles, ring, before: columns.time(near))
      }
    } else if index == limit &+ lookahead / 2 {
      // The last readings' windows: their records have been asked for.
      for near in max(index, 0)..<columns.count {
        unsafe prefetchSlots(records[columns.channel(near)], profiles, ring, hint)
      }
    }
  }

  /// Asks for a channel's record.
  @inline(__always)
  private static func prefetch(_ record: Row<ChannelRecord>) {
    let address = unsafe UnsafeRawPointer(record.address)
    unsafe prefetchLine(address)
    unsafe prefetchLine(address + 64)
  }

  /// Asks for what a reading will touch of its channel's window: where a sample leaves and where one comes.
  ///
  /// A channel without a window has the first ring's lines asked for, which does no harm and needs no question.
  @inline(__always)
  @unsafe
  private static func prefetchSlots<Hint: WindowHint>(
    _ record: Row<ChannelRecord>,
    _ profiles: Rows<Profile>,
    _ ring: Rows<RingLine>,
    _ hint: Hint.Type
  ) {
    let mask = unsafe profiles[Int(record.it.profile)].it.ringMask
    let line = Int(record.it.ring)
    let values = unsafe ring.doubles(at: line)
    let times = unsafe ring.words(at: line, after: Int(mask) + 1)
    let oldest = Int(record.it.tail & mask)
    let free = Int(record.it.head & mask)
    unsafe Hint.ask(values, times, oldest: oldest, free: free)
  }

  /// Asks for all samples of a window whose oldest is its least or its greatest, if a reading at `time` makes that leave: they
  /// are looked over then.
  @inline(__always)
  @unsafe
  private static func prefetchSamples(
    _ record: Row<ChannelRecord>,
    _ profiles: Rows<Profile>,
    _ ring: Rows<RingLine>,
    before time: Int64
  ) {
    let profile = unsafe profiles[Int(record.it.profile)]
    let capacity = Int(profile.it.ringMask) + 1
    let line = Int(record.it.ring)
    let times = unsafe ring.words(at: line, after: capacity)
    let oldest = unsafe times[Int(record.it.tail & profile.it.ringMask)]
    let isFull = record.it.head &- record.it.tail > profile.it.ringMask
    let age = UInt32(truncatingIfNeeded: time) &- oldest
    guard age >= profile.it.windowLength || isFull else { return }
    let values = unsafe ring.doubles(at: line)
    var sample = 0
    let end = min(capacity, samplesAskedFor)
    while sample < end {
      unsafe prefetchLine(values + sample)
      sample &+= 8
    }
  }

  /// Asks for what a batch's first readings will touch, of which no reading before them has thought.
  @inline(never)
  func prefetchFirst(_ columns: BatchColumns) {
    for index in 0..<min(Self.lookahead, columns.count) {
      Self.prefetch(channels.row(columns.channel(index)))
    }
    let (records, profiles) = unsafe (channels.rows, self.profiles.rows)
    let ring = unsafe ring.rows
    for index in 0..<min(Self.lookahead / 2, columns.count) {
      unsafe Self.prefetchSlots(records[columns.channel(index)], profiles, ring, ManyWindows.self)
    }
  }

  /// When a reading has to take the slow way, asks for what the next will touch that have to take it too: they come in
  /// rows, when channels report for the first time and when an epoch begins.
  @inline(never)
  func prefetchSlow(_ columns: BatchColumns, _ index: Int, isPlain: Bool) {
    if !isPlain {
      let limit = Self.lookaheadLimit(columns)
      unsafe Self.lookAhead(
        columns,
        index,
        limit,
        channels.rows,
        profiles.rows,
        ring.rows,
        ManyWindows.self
      )
    }
    let far = index &+ Self.lookahead / 2
    guard far < columns.count else { return }
    let channel = columns.channel(far)
    if channels.row(channel).it.key != fastKey {
      let link = unsafe UnsafeRawPointer(links.row(channel).address)
      unsafe prefetchLine(link)
      unsafe prefetchLine(link + (MemoryLayout<ChannelLink>.size - 1))
    }
    let near = columns.channel(index &+ Self.lookahead / 4)
    guard channels.row(near).it.key != fastKey else { return }
    let link = links.row(near)
    unsafe prefetchLine(devices.row(Int(link.it.device)).address)
    unsafe prefetchLine(drifts.row(Int(link.it.device)).address)
    let count = min(Int(link.it.ruleCount), Self.rulesAskedFor)
    guard count > 0 else { return }
    let first = Int(link.it.firstRule)
    unsafe Self.prefetch(rules.row(first).address, bytes: count * MemoryLayout<RuleRecord>.stride)
    unsafe Self.prefetch(
      parameters.row(first).address,
      bytes: count * MemoryLayout<RuleParameters>.stride
    )
  }

  /// Asks for every line of a stretch of memory.
  @unsafe
  private static func prefetch(_ address: UnsafeRawPointer, bytes: Int) {
    var offset = 0
    while offset < bytes {
      unsafe prefetchLine(address + offset)
      offset &+= 64
    }
    unsafe prefetchLine(address + (bytes - 1))
  }
}
