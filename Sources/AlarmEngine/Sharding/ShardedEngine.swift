public import Telemetry

/// Several engines that together do what one ``Engine`` would: each watches some of the devices, and no
/// rule crosses from one to another.
///
/// Transitions, counters and standing alarms are those of one engine over the whole plan, in the same
/// order, whatever the number of shards and whichever thread each of them runs on; a snapshot may be restored
/// into another number of shards. The shards of one call run beside each other when a ``ShardTeam`` can.
public struct ShardedEngine: ~Copyable, Sendable {
  private var layout: ShardLayout
  private var shards: [Shard]
  private let team: ShardTeam
  /// Reused from call to call.
  private var scratch: [SplitBatch]

  /// Makes shards that have seen nothing.
  ///
  /// - Parameters:
  ///   - plan: what they watch together.
  ///   - count: how many there are to be, at least 1; a plan whose devices are tied together leaves some idle.
  ///   - team: who runs them.
  /// - Throws: every inconsistency of the plan at once.
  public init(plan: EnginePlan, shards count: Int, team: ShardTeam = .inTurn) throws(PlanError) {
    let layout = try Self.layout(plan, count)
    var shards: [Shard] = []
    for (number, part) in layout.plans.enumerated() {
      shards.append(Shard(try Engine(part: part), layout.rows[number]))
    }
    self.init(layout, shards, team)
  }

  /// Makes shards that go on where a snapshot was taken, by this number of shards or another.
  ///
  /// - Throws: why the bytes, or the plan, cannot be used.
  public init(
    plan: EnginePlan,
    restoring bytes: [UInt8],
    shards count: Int,
    team: ShardTeam = .inTurn
  ) throws(SnapshotError) {
    let layout: ShardLayout
    do { layout = try Self.layout(plan, count) } catch { throw .plan(error) }
    let parts = try ShardSnapshot.parts(of: bytes)
    self.init(layout, try Self.restored(layout, parts, present: .distantPast), team)
  }

  private init(_ layout: ShardLayout, _ shards: [Shard], _ team: ShardTeam) {
    self.layout = layout
    self.shards = shards
    self.team = team
    scratch = [SplitBatch(shards: shards.count)]
  }

  private static func layout(_ plan: EnginePlan, _ count: Int) throws(PlanError) -> ShardLayout {
    precondition(count > 0, "there is at least one shard")
    let check = PlanCheck(plan)
    guard check.problems.isEmpty else { throw PlanError(problems: check.problems) }
    return ShardLayout(plan, shards: count)
  }

  private static func restored(
    _ layout: ShardLayout,
    _ parts: [[UInt8]],
    present: Timestamp
  ) throws(SnapshotError) -> [Shard] {
    var shards: [Shard] = []
    for (index, plan) in layout.plans.enumerated() {
      shards.append(
        Shard(
          try Engine(
            part: plan,
            restoring: parts,
            present: present,
            keepsCounters: index == 0
          ),
          layout.rows[index]
        )
      )
    }
    return shards
  }

  /// What the shards have seen and refused, together.
  public var counters: EngineCounters {
    var sum = EngineCounters()
    for shard in shards {
      for field in EngineCounters.fields {
        sum[keyPath: field] += shard.engine.counters[keyPath: field]
      }
    }
    return sum
  }

  /// How a rule has behaved; nil for no such row.
  public func statistics(of rule: RuleIndex) -> RuleStatistics? {
    guard Int(rule.rawValue) < layout.rules.count else { return nil }
    let place = layout.rules[Int(rule.rawValue)]
    return shards[Int(place.shard)].engine.statistics(of: RuleIndex(rawValue: place.row))
  }

  /// Whether a rule's condition stands as an alarm; false for no such row.
  public func isActive(_ rule: RuleIndex) -> Bool {
    guard Int(rule.rawValue) < layout.rules.count else { return false }
    let place = layout.rules[Int(rule.rawValue)]
    return shards[Int(place.shard)].engine.isActive(RuleIndex(rawValue: place.row))
  }

  /// What is known of a device's clock; nil for no such row.
  public func clock(ofDevice row: UInt32) -> DeviceClock? {
    guard Int(row) < layout.devices.count else { return nil }
    let place = layout.devices[Int(row)]
    return shards[Int(place.shard)].engine.clock(ofDevice: place.row)
  }

  /// How many devices have their clock in quarantine.
  public var quarantinedDevices: Int { shards.reduce(0) { $0 + $1.engine.quarantinedDevices } }

  /// Engine time from which ``advance(to:into:)`` has something to do; nil when nothing waits.
  public var nextDeadline: Timestamp? { shards.compactMap { $0.engine.nextDeadline }.min() }

  /// Calls `body` with every alarm occurrence that is not over, by rule row and onset.
  public func standing(_ body: (StandingAlarm) -> Void) {
    var alarms: [StandingAlarm] = []
    for (number, shard) in shards.enumerated() {
      shard.engine.standing { alarm in
        var alarm = alarm
        alarm.rule = RuleIndex(rawValue: layout.rows[number].rules[Int(alarm.rule.rawValue)])
        alarm.channel = ChannelIndex(
          rawValue: layout.rows[number].channels[Int(alarm.channel.rawValue)]
        )
        alarms.append(alarm)
      }
    }
    // A rule lies in one shard, which has put its occurrences in order.
    let order = alarms.indices.sorted {
      (alarms[$0].rule.rawValue, $0) < (alarms[$1].rule.rawValue, $1)
    }
    for index in order { body(alarms[index]) }
  }

  // MARK: - Inputs

  /// Does what ``Engine/apply(_:into:)`` does.
  public mutating func apply(_ batch: borrowing ReadingBatch, into out: inout [Transition]) {
    guard shards.count > 1 else {
      let count = out.count
      let shard = shards[0]
      shard.engine.apply(batch, into: &out)
      // The order that it has kept is asked for by nobody.
      if out.count > count { shard.reset() }
      return
    }
    var parts: [SplitBatch] = []
    swap(&parts, &scratch)
    split(batch, into: &parts[0])
    apply(parts[...], into: &out)
    swap(&parts, &scratch)
  }

  /// Sorts the readings of a batch by shard.
  public func split(_ batch: borrowing ReadingBatch, into parts: inout SplitBatch) {
    parts.reset(like: batch)
    let places = layout.channels.span
    for index in 0..<batch.count {
      let channel = Int(batch.channel[index])
      // A channel that the plan does not have is for the first shard to refuse.
      let place =
        channel < places.count ? places[channel] : ShardLayout.Place(shard: 0, row: .max)
      var reading = batch.reading(at: index)
      reading.channel = ChannelIndex(rawValue: place.row)
      parts.append(
        reading,
        sequence: batch.sequence(at: index),
        position: UInt32(index),
        shard: Int(place.shard)
      )
    }
  }

  /// Judges batches in order; the shards wait for each other only at the end.
  public mutating func apply(_ batches: ArraySlice<SplitBatch>, into out: inout [Transition]) {
    run { number, shard in
      for index in batches.indices {
        shard.engine.order.begin()
        shard.engine.apply(batches[index].parts[number], into: &shard.out)
        shard.closeCall(positions: batches[index].positions[number])
      }
    }
    merge(calls: batches.count, into: &out)
  }

  /// Does what ``Engine/advance(to:into:)`` does.
  public mutating func advance(to time: Timestamp, into out: inout [Transition]) {
    arrive(at: time, isBacklog: false, into: &out)
  }

  /// Moves engine time forward; amid a backlog no deadline fires on the way.
  private mutating func arrive(
    at time: Timestamp,
    isBacklog: Bool,
    into out: inout [Transition]
  ) {
    guard shards.count > 1 else {
      shards[0].engine.arrive(at: time, isBacklog: isBacklog, into: &out)
      shards[0].reset()
      return
    }
    run { _, shard in
      shard.engine.arrive(at: time, isBacklog: isBacklog, into: &shard.out)
      shard.closeCall()
    }
    merge(calls: 1, into: &out)
  }

  /// Does what ``Engine/perform(_:at:isBacklog:into:)`` does.
  public mutating func perform(
    _ command: Command,
    at now: Timestamp,
    isBacklog: Bool = false,
    into out: inout [Transition]
  ) -> CommandRefusal? {
    guard shards.count > 1 else {
      defer { shards[0].reset() }
      return shards[0].engine.perform(command, at: now, isBacklog: isBacklog, into: &out)
    }
    arrive(at: now, isBacklog: isBacklog, into: &out)
    let rule = Int(command.rule.rawValue)
    guard rule < layout.rules.count else { return .unknownRule }
    let place = layout.rules[rule]
    let shard = shards[Int(place.shard)]
    var command = command
    command.rule = RuleIndex(rawValue: place.row)
    shard.reset()
    let refusal = shard.engine.perform(command, at: now, isBacklog: isBacklog, into: &shard.out)
    shard.useRowsOfPlan(from: 0)
    out += shard.out
    return refusal
  }

  /// Does what ``Engine/replacePlan(_:at:present:isBacklog:into:)`` does; devices may move to another shard.
  ///
  /// - Parameters:
  ///   - plan: the plan.
  ///   - now: engine time.
  ///   - present: when the plan came, where engine time has yet to reach it.
  ///   - isBacklog: readings that waited at the broker are still to come.
  ///   - out: takes the transitions.
  /// - Returns: the range of `out` whose rows belong to the *old* plan.
  /// - Throws: every inconsistency of the plan; the old one stays in force then.
  @discardableResult
  public mutating func replacePlan(
    _ plan: EnginePlan,
    at now: Timestamp,
    present: Timestamp = .distantPast,
    isBacklog: Bool = false,
    into out: inout [Transition]
  ) throws(PlanError) -> Range<Int> {
    let next = try Self.layout(plan, shards.count)
    let first = out.count
    arrive(at: now, isBacklog: isBacklog, into: &out)
    let kept = Set(plan.rules.map(\.id))
    run { _, shard in
      shard.engine.closeRules(without: kept, &shard.out)
      shard.closeCall()
    }
    merge(calls: 1, into: &out)
    let old = first..<out.count
    do {
      shards = try Self.restored(next, shards.map { $0.engine.snapshot() }, present: present)
    } catch .plan(let error) {
      throw error
    } catch {
      preconditionFailure("the engine cannot read its own snapshot: \(error)")
    }
    layout = next
    run { _, shard in
      shard.engine.followPriorities(present: present, &shard.out)
      shard.closeCall()
    }
    merge(calls: 1, into: &out)
    return old
  }

  /// All state as versioned bytes; one shard writes what an ``Engine`` writes.
  public func snapshot() -> [UInt8] {
    ShardSnapshot.bytes(of: shards.map { $0.engine.snapshot() })
  }

  // MARK: - Putting in order

  private func run(_ work: @Sendable (Int, Shard) -> Void) {
    let shards = shards
    for shard in shards { shard.reset() }
    team.run(shards.count) { number in work(number, shards[number]) }
  }

  /// Appends what calls have put out, each in the order in which one engine would have put it out.
  private func merge(calls: Int, into out: inout [Transition]) {
    guard shards.contains(where: { !$0.out.isEmpty }) else { return }
    for call in 0..<calls where shards.contains(where: { $0.hasPutOut(in: call) }) {
      var cursors = shards.map { $0.cursor(of: call) }
      while let number = Self.first(cursors) { shards[number].take(&cursors[number], into: &out) }
    }
  }

  /// The shard whose next step comes first; nil when none is left.
  private static func first(_ cursors: [Shard.Cursor]) -> Int? {
    var first: Int?
    for (number, cursor) in cursors.enumerated() where cursor.mark < cursor.end {
      if let known = first, cursors[known].key < cursor.key { continue }
      first = number
    }
    return first
  }
}

/// One engine and what it has put out since last asked.
///
/// Unchecked: whoever runs the shards gives each to one thread at a time and waits for all of them before
/// anybody looks at the output; see ``ShardTeam``.
final class Shard: @unchecked Sendable {
  var engine: Engine
  var out: [Transition] = []
  /// The plan's rows for those of the engine.
  private let rows: ShardLayout.Rows
  /// How many steps and transitions there were at the end of each call.
  private var calls: [(marks: Int, transitions: Int)] = []

  init(_ engine: consuming Engine, _ rows: ShardLayout.Rows) {
    self.engine = engine
    self.rows = rows
  }

  func reset() {
    out.removeAll(keepingCapacity: true)
    calls.removeAll(keepingCapacity: true)
    engine.order.reset()
  }

  /// Ends a call: what it has put out says which rows of the whole plan, and which places in the undivided batch, it is about.
  ///
  /// - Parameter positions: where in the undivided batch the call's readings lay.
  func closeCall(positions: [UInt32] = []) {
    let before = calls.last ?? (marks: 0, transitions: 0)
    if out.count > before.transitions {
      useRowsOfPlan(from: before.transitions)
      engine.order.replaceKeys(from: before.marks) { key in
        switch key.time {
        case .min: .planChange(rows.rules[Int(key.place)])
        case .max: .reading(Int(positions[Int(key.place)]))
        default:
          OutputOrder.Key(
            time: key.time,
            place: Deadline.order(key.place) { row in
              Deadline.isRelease(key.place) ? rows.devices[Int(row)] : rows.rules[Int(row)]
            }
          )
        }
      }
    }
    calls.append((engine.order.marks.count, out.count))
  }

  /// Puts the plan's rows into the transitions from `first` on.
  func useRowsOfPlan(from first: Int) {
    for index in first..<out.count {
      let (rule, channel) = (out[index].rule.rawValue, out[index].channel.rawValue)
      out[index].rule = RuleIndex(rawValue: rows.rules[Int(rule)])
      out[index].channel = ChannelIndex(rawValue: rows.channels[Int(channel)])
    }
  }

  /// Whether a call has put anything out; most have not.
  func hasPutOut(in call: Int) -> Bool {
    calls[call].marks > (call == 0 ? 0 : calls[call - 1].marks)
  }

  /// Where in a call's output a merge has come.
  struct Cursor {
    var mark: Int
    var end: Int
    var transition: Int
    /// What the next step is sorted by.
    var key: OutputOrder.Key
  }

  func cursor(of call: Int) -> Cursor {
    let before = call == 0 ? (marks: 0, transitions: 0) : calls[call - 1]
    var cursor = Cursor(
      mark: before.marks,
      end: calls[call].marks,
      transition: before.transitions,
      key: .first
    )
    if cursor.mark < cursor.end { cursor.key = engine.order.marks[cursor.mark].key }
    return cursor
  }

  /// Appends the step that a merge has come to, and moves on to the next.
  func take(_ cursor: inout Cursor, into out: inout [Transition]) {
    let end = engine.order.marks[cursor.mark].end
    for index in cursor.transition..<end { out.append(self.out[index]) }
    cursor.transition = end
    cursor.mark += 1
    if cursor.mark < cursor.end { cursor.key = engine.order.marks[cursor.mark].key }
  }
}
