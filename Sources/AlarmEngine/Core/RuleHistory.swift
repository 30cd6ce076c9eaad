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

/// What is remembered of one rule's condition: how its alarm has behaved, and the newest steps, where late readings may
/// change them.
///
/// Steps are rare beside readings, so only rules whose condition has moved have an entry in memory.
struct RuleHistory: Hashable, Sendable {
  /// Most steps kept; with the oldest one goes the knowledge of what was before it.
  static let capacity = 32
  /// Raises within this time are chattering from the third on (ISA-18.2 practice), milliseconds.
  static let chatterSpan: Int64 = 60_000
  /// An alarm that returns unacknowledged within this time was fleeting, milliseconds.
  static let fleetingSpan: Int64 = 60_000

  /// By time, oldest first; empty where no late reading is judged again.
  private(set) var changes: [PhaseChange] = []
  /// Nothing is known of the time before this; `noTime` while nothing has been forgotten.
  private(set) var knownFrom: Int64 = noTime
  /// Event times of the newest raise and of the one before it; `noTime` for none.
  private(set) var newestRaise: Int64 = noTime
  private var formerRaise: Int64 = noTime
  /// Raises that were the third or a later one within a minute.
  var chattering: UInt32 = 0
  /// Alarms that returned unacknowledged within a minute.
  var fleeting: UInt32 = 0

  /// Bytes that the entry takes, with the room of its steps.
  var byteCount: Int {
    MemoryLayout<RuleHistory>.stride
      + (changes.capacity == 0 ? 0 : 32 + changes.capacity * MemoryLayout<PhaseChange>.stride)
  }

  /// Adds a step.
  mutating func add(_ change: PhaseChange, keeping most: Int) {
    guard most > 0 else { return }
    if changes.count >= most {
      changes.removeFirst(changes.count - most + 1)
      knownFrom = changes.first?.time ?? change.time
    }
    if changes.isEmpty { changes.reserveCapacity(min(4, most)) }
    changes.append(change)
  }

  /// Notes that the alarm has been raised; whether it was the third time within ``chatterSpan``.
  mutating func noteRaise(at time: Int64) -> Bool {
    let isChattering = formerRaise != noTime && time - formerRaise < Self.chatterSpan
    formerRaise = newestRaise
    newestRaise = time
    return isChattering
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
    for change in new { add(change, keeping: Self.capacity) }
  }

  /// Forgets every step.
  mutating func forgetSteps() {
    changes = []
    knownFrom = noTime
  }

  /// Forgets every step but where the condition stands.
  mutating func restart(_ change: PhaseChange) {
    changes = [change]
    knownFrom = change.time
  }

  func write(into bytes: inout [UInt8]) {
    bytes.appendState(UInt64(chattering))
    bytes.appendState(UInt64(fleeting))
    for field in [newestRaise, formerRaise, knownFrom] { bytes.appendState(field) }
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
    newestRaise = try reader.integer()
    formerRaise = try reader.integer()
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

extension Engine {
  /// What is remembered of a rule; an empty history where its condition has never moved.
  func history(of slot: UInt32) -> RuleHistory {
    let row = rules.row(Int(slot)).it.history
    return row == .max ? RuleHistory() : histories[Int(row)]
  }

  /// Event time of a rule's newest step; `noTime` before the first, and where steps are not kept.
  func newestStep(of slot: UInt32) -> Int64 {
    let row = rules.row(Int(slot)).it.history
    return row == .max ? noTime : histories[Int(row)].changes.last?.time ?? noTime
  }

  /// Event time of a rule's newest raise; `noTime` before the first.
  func newestRaise(of slot: UInt32) -> Int64 {
    let row = rules.row(Int(slot)).it.history
    return row == .max ? noTime : histories[Int(row)].newestRaise
  }

  /// The row of a rule's history, which is made when there is none.
  mutating func historyRow(_ slot: UInt32) -> Int {
    let record = rules.row(Int(slot))
    if record.it.history == .max {
      record.it.history = UInt32(histories.count)
      histories.append(RuleHistory())
    }
    return Int(record.it.history)
  }

  /// How many steps of a rule are worth keeping: those that late readings may change, and of a cascade the newest,
  /// which the next is not to come before.
  func stepsKept(of slot: UInt32) -> Int {
    let parameters = parameters.row(Int(slot))
    guard parameters.it.kind != .cascade else { return 1 }
    let profile = profiles.row(Int(channels.row(Int(parameters.it.channel)).it.profile))
    return parameters.it.isRevisable && profile.it.features & Profile.window != 0
      ? RuleHistory.capacity : 0
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
