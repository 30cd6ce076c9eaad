/// A step of a rule's condition between detector and alarm.
struct PhaseChange: Hashable, BitwiseCopyable {
  /// Event time of the step.
  var time: Int64
  /// Where the condition stands from then on.
  var phase: RuleRecord.Phase
  /// Since when the pending condition has held; as ``RuleRecord/since``.
  var since: Int64
  /// Identity of the occurrence, while there is one.
  var onset: Int64
  /// When the occurrence began by all that is known now; differs from `onset` where late data have moved it.
  var start: Int64

  var isActive: Bool { phase == .active || phase == .pendingOff }
}

/// The newest steps of one rule's condition, and what is measured on them.
///
/// Steps are rare beside readings, so only rules whose condition has moved have an entry in memory.
struct RuleHistory: Hashable, Sendable {
  /// Most steps kept; with the oldest one goes the knowledge of what was before it.
  static let capacity = 32
  /// Raises within this time are chattering from the third on (ISA-18.2 practice), milliseconds.
  static let chatterSpan: Int64 = 60_000
  static let chatterCount = 3
  /// An alarm that returns unacknowledged within this time was fleeting, milliseconds.
  static let fleetingSpan: Int64 = 60_000

  /// By time, oldest first.
  private(set) var changes: [PhaseChange] = []
  /// Nothing is known of the time before this; `noTime` while nothing has been forgotten.
  private(set) var knownFrom: Int64 = noTime
  /// Raises that were the third or a later one within a minute.
  var chattering: UInt32 = 0
  /// Alarms that returned unacknowledged within a minute.
  var fleeting: UInt32 = 0

  /// Adds a step.
  mutating func add(_ change: PhaseChange) {
    if changes.count == Self.capacity {
      changes.removeFirst()
      knownFrom = changes.first?.time ?? change.time
    }
    // All at once with the first step, so that a rule that has moved before allocates nothing.
    if changes.isEmpty { changes.reserveCapacity(Self.capacity) }
    changes.append(change)
  }

  /// The step in force at a time; nil before the first.
  func state(at time: Int64) -> PhaseChange? { changes.last { $0.time <= time } }

  /// The steps after a time.
  func changes(after time: Int64) -> ArraySlice<PhaseChange> {
    changes[(changes.lastIndex { $0.time <= time }.map { $0 + 1 } ?? 0)...]
  }

  /// Puts other steps in the place of those after a time.
  mutating func replace(after time: Int64, with new: [PhaseChange]) {
    changes.removeLast(changes(after: time).count)
    for change in new { add(change) }
  }

  /// Forgets everything but where the condition stands.
  mutating func restart(_ change: PhaseChange) {
    changes = [change]
    knownFrom = change.time
  }

  /// Whether the alarm that has just been raised chatters.
  var isChattering: Bool {
    guard let newest = changes.last else { return false }
    var raises = 0
    for (index, change) in changes.enumerated().reversed() {
      guard newest.time - change.time < Self.chatterSpan else { break }
      let wasActive = index > 0 && changes[index - 1].isActive
      if change.isActive, !wasActive { raises += 1 }
    }
    return raises >= Self.chatterCount
  }

  /// Event time of the newest raise that is remembered.
  var newestRaise: Int64? {
    for (index, change) in changes.enumerated().reversed() where change.isActive {
      if index == 0 || !changes[index - 1].isActive { return change.time }
    }
    return nil
  }

  func write(into bytes: inout [UInt8]) {
    bytes.appendState(UInt64(chattering))
    bytes.appendState(UInt64(fleeting))
    bytes.appendState(knownFrom)
    bytes.appendState(changes.count)
    for change in changes {
      for field in [change.time, change.since, change.onset, change.start] {
        bytes.appendState(field)
      }
      bytes.append(change.phase.rawValue)
    }
  }

  init() {}

  init(reading reader: inout StateReader) throws(StateReadError) {
    chattering = UInt32(truncatingIfNeeded: try reader.word())
    fleeting = UInt32(truncatingIfNeeded: try reader.word())
    knownFrom = try reader.integer()
    for _ in 0..<(try reader.count(in: 0...Self.capacity)) {
      var change = PhaseChange(time: 0, phase: .idle, since: 0, onset: 0, start: 0)
      change.time = try reader.integer()
      change.since = try reader.integer()
      change.onset = try reader.integer()
      change.start = try reader.integer()
      guard let phase = RuleRecord.Phase(rawValue: try reader.byte()) else { throw .inconsistent }
      change.phase = phase
      changes.append(change)
    }
  }
}

/// How a rule has behaved since it was first in a plan.
public struct RuleStatistics: Hashable, Sendable {
  /// How often its alarm was raised.
  public var raises: UInt32
  /// Raises that were the third or a later one within a minute of event time.
  public var chattering: UInt32
  /// Alarms that returned within a minute of event time, unacknowledged.
  public var fleeting: UInt32
  /// Conditions that ended before their on-delay did, so that no alarm came of them.
  public var heldBack: UInt32

  /// Makes statistics.
  public init(raises: UInt32, chattering: UInt32, fleeting: UInt32, heldBack: UInt32) {
    self.raises = raises
    self.chattering = chattering
    self.fleeting = fleeting
    self.heldBack = heldBack
  }
}
