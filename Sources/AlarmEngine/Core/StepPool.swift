/// A step of a rule's condition between detector and alarm.
package struct PhaseChange: Hashable, BitwiseCopyable {
  /// Event time of the step.
  package var time: Int64
  /// Where the condition stands from then on.
  package var phase: RuleRecord.Phase
  /// Since when the pending condition has held; as ``RuleRecord/since``.
  package var since: Int64
  /// Identity of the occurrence, while there is one.
  package var onset: Int64
  /// When the occurrence began by all that is known now; differs from `onset` where late data have moved it.
  package var start: Int64

  package init(time: Int64, phase: RuleRecord.Phase, since: Int64, onset: Int64, start: Int64) {
    self.time = time
    self.phase = phase
    self.since = since
    self.onset = onset
    self.start = start
  }

  var isActive: Bool { phase == .active || phase == .pendingOff }
}

extension [PhaseChange] {
  /// The step in force at a time; nil before the first.
  func state(at time: Int64) -> PhaseChange? { last { $0.time <= time } }

  /// The steps after a time.
  func after(_ time: Int64) -> ArraySlice<PhaseChange> {
    self[(lastIndex { $0.time <= time }.map { $0 + 1 } ?? 0)...]
  }
}

/// A ``PhaseChange`` in 24 bytes: its other times as distances from the first, 42 bits each.
package struct PackedStep: Hashable, BitwiseCopyable {
  private var time: Int64
  private var low: UInt64
  private var high: UInt64

  private static let width: UInt64 = 42
  /// Stands for `noTime`.
  private static let none: Int64 = -1 << 41
  private static let mask: UInt64 = 1 << width - 1

  /// Nil where a time lies 69 years or more from the step's: no condition holds that long.
  package init?(_ change: PhaseChange) {
    func distance(_ other: Int64) -> UInt64? {
      guard other != noTime else { return UInt64(bitPattern: Self.none) & Self.mask }
      let (distance, isOver) = other.subtractingReportingOverflow(change.time)
      guard !isOver, distance.magnitude < Self.none.magnitude else { return nil }
      return UInt64(bitPattern: distance) & Self.mask
    }
    guard let since = distance(change.since), let onset = distance(change.onset),
      let start = distance(change.start)
    else { return nil }
    time = change.time
    low = since | onset << Self.width
    high = onset >> (64 - Self.width) | start << 20 | UInt64(change.phase.rawValue) << 62
  }

  package var change: PhaseChange {
    func other(_ bits: UInt64) -> Int64 {
      let distance = Int64(bitPattern: bits << (64 - Self.width)) >> Int64(64 - Self.width)
      return distance == Self.none ? noTime : time + distance
    }
    guard let phase = RuleRecord.Phase(rawValue: UInt8(high >> 62)) else {
      preconditionFailure("two bits hold no phase")
    }
    return PhaseChange(
      time: time,
      phase: phase,
      since: other(low),
      onset: other(low >> Self.width | high << (64 - Self.width)),
      start: other(high >> 20)
    )
  }
}

/// Which blocks of a ``StepPool`` hold a rule's steps.
struct StepList: Hashable, BitwiseCopyable {
  fileprivate var first: UInt32 = .max
  fileprivate var last: UInt32 = .max
  /// Where in its first block it begins.
  fileprivate var offset: UInt8 = 0
  /// How many steps it has.
  private(set) var count: UInt8 = 0

  fileprivate mutating func grow() { count &+= 1 }
  fileprivate mutating func shrink() { count &-= 1 }
}

/// The steps of all rules, in blocks that go from one rule to the next: a step that is noted takes memory only while
/// the pool has never been so full.
struct StepPool: Sendable {
  private var steps: [PackedStep] = []
  /// The next block of the same list, or of those that are free.
  private var next: [UInt32] = []
  private var free: UInt32 = .max

  private static let blockLength = 2

  /// Bytes that the pool takes, with its room to grow.
  var byteCount: Int { steps.capacity * MemoryLayout<PackedStep>.stride + next.capacity * 4 }

  /// The steps of a list, oldest first.
  func steps(of list: StepList) -> [PhaseChange] {
    var result: [PhaseChange] = []
    result.reserveCapacity(Int(list.count))
    var block = list.first
    var place = Int(list.offset)
    while result.count < Int(list.count) {
      if place == Self.blockLength { (block, place) = (next[Int(block)], 0) }
      result.append(steps[Int(block) * Self.blockLength + place].change)
      place += 1
    }
    return result
  }

  /// The first step of a list.
  func first(of list: StepList) -> PhaseChange? {
    list.count == 0 ? nil : steps[Int(list.first) * Self.blockLength + Int(list.offset)].change
  }

  /// The last step of a list.
  func last(of list: StepList) -> PhaseChange? {
    list.count == 0 ? nil : steps[Int(list.last) * Self.blockLength + end(of: list) - 1].change
  }

  /// Adds a step at a list's end.
  mutating func append(_ step: PackedStep, to list: inout StepList) {
    let place = list.count == 0 ? Self.blockLength : end(of: list)
    if place == Self.blockLength {
      let block = take(filledWith: step)
      if list.count == 0 { list.first = block } else { next[Int(list.last)] = block }
      list.last = block
    } else {
      steps[Int(list.last) * Self.blockLength + place] = step
    }
    list.grow()
  }

  /// Removes a list's first step; it has one.
  mutating func removeFirst(from list: inout StepList) {
    list.shrink()
    list.offset += 1
    guard list.count > 0 else {
      give(list.first)
      list = StepList()
      return
    }
    guard Int(list.offset) == Self.blockLength else { return }
    let block = list.first
    (list.first, list.offset) = (next[Int(block)], 0)
    give(block)
  }

  /// Removes all of a list's steps.
  mutating func removeAll(from list: inout StepList) {
    while list.count > 0 { removeFirst(from: &list) }
  }

  /// Where in its last block a list that is not empty ends.
  private func end(of list: StepList) -> Int {
    (Int(list.offset) + Int(list.count) - 1) % Self.blockLength + 1
  }

  private mutating func take(filledWith step: PackedStep) -> UInt32 {
    guard free == .max else {
      let block = free
      free = next[Int(block)]
      next[Int(block)] = .max
      steps[Int(block) * Self.blockLength] = step
      return block
    }
    // In smaller leaps than an array's own: most rules never move, and what they do not use is theirs all the same.
    if next.count == next.capacity { next.reserveCapacity(next.count + next.count / 8 + 64) }
    if steps.count + Self.blockLength > steps.capacity {
      steps.reserveCapacity(steps.count + steps.count / 8 + 64 * Self.blockLength)
    }
    for _ in 0..<Self.blockLength { steps.append(step) }
    next.append(.max)
    return UInt32(next.count - 1)
  }

  private mutating func give(_ block: UInt32) {
    next[Int(block)] = free
    free = block
  }
}
