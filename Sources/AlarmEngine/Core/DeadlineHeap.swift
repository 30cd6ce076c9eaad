/// A moment of engine time at which a rule wants to be looked at.
///
/// Entries are hints: whoever takes one asks the rule whether the deadline still holds and puts a
/// later one back. So a reading that moves a deadline costs nothing.
struct Deadline: BitwiseCopyable {
  /// Engine time; the deadline fires when the engine has passed it.
  var due: Int64
  /// Stage, plan row and kind: the order among equal times.
  var order: UInt64
  /// Row of the rule in the engine; of the device for a release.
  var slot: UInt32

  /// What is due.
  enum Kind: UInt8, CaseIterable {
    case onDelay, offDelay, shelf, reAlarm, stale, detector, suppressor, escalation
    /// Held readings of a device are let go; armed for devices, so it has no bit.
    case release

    /// The kind's bit among a rule's armed ones.
    var bit: UInt8 { 1 << rawValue }

    /// The bits of both delays.
    static var delayBits: UInt8 { onDelay.bit | offDelay.bit }

    /// Whether what is waited for may come before what has been waited for so far: a detector may wait for several things.
    var mayComeSooner: Bool { self == .detector || self == .suppressor }
  }

  init(due: Int64, kind: Kind, rule: UInt32, slot: UInt32) {
    self.due = due
    self.slot = slot
    // Readings first, as always. Staleness last: a delay that ends at the very moment a channel goes stale has
    // run its course.
    let stage: UInt64 = kind == .release ? 0 : kind == .stale ? 2 : 1
    order = stage << 48 | UInt64(rule) << 8 | UInt64(kind.rawValue)
  }

  var kind: Kind {
    guard let kind = Kind(rawValue: UInt8(truncatingIfNeeded: order)) else {
      preconditionFailure("a deadline has no kind")
    }
    return kind
  }

  /// Whether an order is that of a release, whose row is a device's.
  static func isRelease(_ order: UInt64) -> Bool {
    UInt8(truncatingIfNeeded: order) == Kind.release.rawValue
  }

  /// An order with another plan row in it.
  static func order(_ order: UInt64, row: (UInt32) -> UInt32) -> UInt64 {
    let rule = UInt64(row(UInt32(truncatingIfNeeded: order >> 8)))
    return order & ~(0xffff_ffff << 8) | rule << 8
  }

  static func < (lhs: Deadline, rhs: Deadline) -> Bool {
    lhs.due != rhs.due ? lhs.due < rhs.due : lhs.order < rhs.order
  }
}

/// Deadlines, the earliest on top: a binary heap in one array that stops growing after warm-up.
struct DeadlineHeap: Sendable {
  private(set) var entries: [Deadline] = []

  var first: Deadline? { entries.first }

  mutating func reserve(_ count: Int) {
    entries.reserveCapacity(count)
  }

  mutating func insert(_ deadline: Deadline) {
    var hole = entries.count
    entries.append(deadline)
    while hole > 0 {
      let parent = (hole - 1) / 2
      guard deadline < entries[parent] else { break }
      entries[hole] = entries[parent]
      hole = parent
    }
    entries[hole] = deadline
  }

  mutating func removeFirst() {
    precondition(!entries.isEmpty, "no deadline to remove")
    let last = entries.removeLast()
    guard !entries.isEmpty else { return }
    sift(last)
  }

  private mutating func sift(_ deadline: Deadline) {
    var hole = 0
    let count = entries.count
    while true {
      var child = 2 * hole + 1
      guard child < count else { break }
      if child + 1 < count && entries[child + 1] < entries[child] { child += 1 }
      guard entries[child] < deadline else { break }
      entries[hole] = entries[child]
      hole = child
    }
    entries[hole] = deadline
  }
}

/// When rules will be looked at whose deadlines may come sooner: the entries of these kinds in the heap, by rule.
///
/// So none is later than need be, and none is made for what an earlier one will ask for.
struct PendingLooks: Sendable {
  private struct Rule: Hashable {
    var kind: Deadline.Kind
    var slot: UInt32
  }

  /// Engine times, the earliest last.
  private var times: [Rule: [Int64]] = [:]

  /// Bytes that it takes, with room for one entry a rule.
  var byteCount: Int { times.capacity * (MemoryLayout<Rule>.stride + 16) }

  /// The earliest entry of a rule; nil where it has none.
  func earliest(_ kind: Deadline.Kind, _ slot: UInt32) -> Int64? {
    times[Rule(kind: kind, slot: slot)]?.last
  }

  /// Notes an entry.
  mutating func add(_ kind: Deadline.Kind, _ slot: UInt32, at due: Int64) {
    var dues = times[Rule(kind: kind, slot: slot)] ?? []
    dues.insert(due, at: dues.firstIndex { $0 < due } ?? dues.count)
    times[Rule(kind: kind, slot: slot)] = dues
  }

  /// Forgets the earliest entry of a rule, which has been taken out of the heap.
  mutating func removeEarliest(_ kind: Deadline.Kind, _ slot: UInt32) {
    var dues = times[Rule(kind: kind, slot: slot)] ?? []
    _ = dues.popLast()
    times[Rule(kind: kind, slot: slot)] = dues.isEmpty ? nil : dues
  }
}
