/// What is remembered of one rule's condition: how its alarm has behaved, and the newest steps, where late readings may
/// change them.
package struct RuleHistory: Hashable, BitwiseCopyable {
  /// Most steps kept; with the oldest one goes the knowledge of what was before it.
  package static let capacity = 32
  /// Raises within this time are chattering from the third on (ISA-18.2 practice), milliseconds.
  static let chatterSpan: Int64 = 60_000
  /// An alarm that returns unacknowledged within this time was fleeting, milliseconds.
  static let fleetingSpan: Int64 = 60_000

  /// By time, oldest first; empty where no late reading is judged again.
  fileprivate var steps = StepList()
  /// Nothing is known of the time before this; `noTime` while nothing has been forgotten, `never` while nothing is known.
  package fileprivate(set) var knownFrom: Int64 = noTime
  /// Event times of the newest raise and of the one before it; `noTime` for none.
  fileprivate(set) var newestRaise: Int64 = noTime
  fileprivate var formerRaise: Int64 = noTime
  /// Raises that were the third or a later one within a minute.
  fileprivate(set) var chattering: UInt32 = 0
  /// Alarms that returned unacknowledged within a minute.
  fileprivate(set) var fleeting: UInt32 = 0

  var hasSteps: Bool { steps.count > 0 }

  /// Notes that the alarm has been raised; whether it was the third time within ``chatterSpan``.
  mutating func noteRaise(at time: Int64) -> Bool {
    let isChattering = formerRaise != noTime && time - formerRaise < Self.chatterSpan
    formerRaise = newestRaise
    newestRaise = time
    return isChattering
  }

  /// Counts a raise that was the third within a minute.
  mutating func countChattering() { chattering &+= 1 }

  /// Counts an alarm that returned within a minute, unacknowledged.
  mutating func countFleeting() { fleeting &+= 1 }
}

/// The histories of the rules whose condition has moved.
///
/// Steps are rare beside readings, so no other rule has any.
package struct RuleHistories: Sendable {
  private var rows: [RuleHistory] = []
  private var pool = StepPool()

  package init() {}

  /// Bytes that they take, with their room to grow.
  package var byteCount: Int { rows.capacity * MemoryLayout<RuleHistory>.stride + pool.byteCount }

  /// The history in a row.
  package subscript(row: Int) -> RuleHistory {
    get { rows[row] }
    _modify { yield &rows[row] }
  }

  /// Makes a history that knows nothing; its row.
  package mutating func add() -> Int {
    if rows.count == rows.capacity { rows.reserveCapacity(rows.count + rows.count / 8 + 64) }
    rows.append(RuleHistory())
    return rows.count - 1
  }

  /// The steps of a row, oldest first.
  package func steps(of row: Int) -> [PhaseChange] { pool.steps(of: rows[row].steps) }

  /// The newest step of a row; nil before the first.
  package func newestStep(of row: Int) -> PhaseChange? { pool.last(of: rows[row].steps) }

  /// Adds a step; beyond so many the oldest is forgotten.
  package mutating func add(_ change: PhaseChange, to row: Int, keeping most: Int) {
    guard most > 0 else { return }
    guard let step = PackedStep(change) else {
      // A condition of 69 years, or a clock that was so far out: nothing is judged again before a step that fits.
      forgetSteps(of: row)
      rows[row].knownFrom = never
      return
    }
    if rows[row].knownFrom == never { rows[row].knownFrom = change.time }
    while Int(rows[row].steps.count) >= most {
      pool.removeFirst(from: &rows[row].steps)
      rows[row].knownFrom = pool.first(of: rows[row].steps)?.time ?? change.time
    }
    pool.append(step, to: &rows[row].steps)
  }

  /// Puts other steps in the place of those after a time.
  package mutating func replaceSteps(of row: Int, after time: Int64, with new: [PhaseChange]) {
    let all = steps(of: row)
    // Behind the last that is not after it: a step that could not be judged again may lie before the one before it.
    let kept = all.dropLast(all.after(time).count)
    pool.removeAll(from: &rows[row].steps)
    for change in kept + new { add(change, to: row, keeping: RuleHistory.capacity) }
  }

  /// Forgets every step.
  package mutating func forgetSteps(of row: Int) {
    pool.removeAll(from: &rows[row].steps)
    rows[row].knownFrom = noTime
  }

  /// Forgets every step but where the condition stands.
  package mutating func restart(_ row: Int, _ change: PhaseChange) {
    forgetSteps(of: row)
    rows[row].knownFrom = change.time
    add(change, to: row, keeping: RuleHistory.capacity)
  }

  /// Saves a row.
  func append(_ row: Int, to bytes: inout [UInt8]) {
    let history = rows[row]
    bytes.appendState(UInt64(history.chattering))
    bytes.appendState(UInt64(history.fleeting))
    for field in [history.newestRaise, history.formerRaise, history.knownFrom] {
      bytes.appendState(field)
    }
    let changes = steps(of: row)
    bytes.appendState(changes.count)
    for change in changes {
      for field in [change.time, change.since, change.onset, change.start] {
        bytes.appendState(field)
      }
      bytes.append(change.phase.rawValue)
    }
  }

  /// Reads what ``append(_:to:)`` saved; with no row it is passed over.
  mutating func restore(
    _ row: Int?,
    from reader: inout StateReader
  ) throws(StateReadError) {
    var history = RuleHistory()
    history.chattering = UInt32(truncatingIfNeeded: try reader.word())
    history.fleeting = UInt32(truncatingIfNeeded: try reader.word())
    history.newestRaise = try reader.integer()
    history.formerRaise = try reader.integer()
    let knownFrom = try reader.integer()
    if let row {
      pool.removeAll(from: &rows[row].steps)
      rows[row] = history
    }
    for _ in 0..<(try reader.count(in: 0...RuleHistory.capacity)) {
      var change = PhaseChange(time: 0, phase: .idle, since: 0, onset: 0, start: 0)
      change.time = try reader.integer()
      change.since = try reader.integer()
      change.onset = try reader.integer()
      change.start = try reader.integer()
      guard let phase = RuleRecord.Phase(rawValue: try reader.byte()) else { throw .inconsistent }
      change.phase = phase
      if let row { add(change, to: row, keeping: RuleHistory.capacity) }
    }
    if let row, rows[row].knownFrom == noTime { rows[row].knownFrom = knownFrom }
  }
}

extension Engine {
  /// What is remembered of a rule; an empty history where its condition has never moved.
  func history(of slot: UInt32) -> RuleHistory {
    let row = rules.row(Int(slot)).it.history
    return row == .max ? RuleHistory() : histories[Int(row)]
  }

  /// The steps kept of a rule, oldest first.
  func steps(of slot: UInt32) -> [PhaseChange] {
    let row = rules.row(Int(slot)).it.history
    return row == .max ? [] : histories.steps(of: Int(row))
  }

  /// A rule's newest step; nil before the first, and where steps are not kept.
  func newestStep(of slot: UInt32) -> PhaseChange? {
    let row = rules.row(Int(slot)).it.history
    return row == .max ? nil : histories.newestStep(of: Int(row))
  }

  /// Event time of a rule's newest step; `noTime` before the first, and where steps are not kept.
  func newestStepTime(of slot: UInt32) -> Int64 { newestStep(of: slot)?.time ?? noTime }

  /// Event time of a rule's newest raise; `noTime` before the first.
  func newestRaise(of slot: UInt32) -> Int64 { history(of: slot).newestRaise }

  /// The row of a rule's history, which is made when there is none.
  mutating func historyRow(_ slot: UInt32) -> Int {
    let record = rules.row(Int(slot))
    if record.it.history == .max { record.it.history = UInt32(histories.add()) }
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
