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
  private var scratch: SplitBatch

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
    for part in layout.plans { shards.append(Shard(try Engine(part: part))) }
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
    self.init(layout, try Self.restored(layout, try ShardSnapshot.parts(of: bytes)), team)
  }

  private init(_ layout: ShardLayout, _ shards: [Shard], _ team: ShardTeam) {
    self.layout = layout
    self.shards = shards
    self.team = team
    scratch = SplitBatch(shards: shards.count)
  }

  private static func layout(_ plan: EnginePlan, _ count: Int) throws(PlanError) -> ShardLayout {
    precondition(count > 0, "there is at least one shard")
    let check = PlanCheck(plan)
    guard check.problems.isEmpty else { throw PlanError(problems: check.problems) }
    return ShardLayout(plan, shards: count)
  }

  private static func restored(
    _ layout: ShardLayout,
    _ parts: [[UInt8]]
  ) throws(SnapshotError) -> [Shard] {
    var shards: [Shard] = []
    for (index, plan) in layout.plans.enumerated() {
      shards.append(
        Shard(
          try Engine(part: plan, restoring: parts, keepsCounters: index == 0)
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
        alarm.rule = RuleIndex(rawValue: layout.ruleRows[number][Int(alarm.rule.rawValue)])
        alarm.channel = ChannelIndex(
          rawValue: layout.channelRows[number][Int(alarm.channel.rawValue)]
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
      shards[0].engine.apply(batch, into: &out)
      shards[0].reset()
      return
    }
    var parts = SplitBatch(shards: 0)
    swap(&parts, &scratch)
    split(batch, into: &parts)
    apply(CollectionOfOne(parts), into: &out)
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
  public mutating func apply(
    _ batches: some Collection<SplitBatch> & Sendable,
    into out: inout [Transition]
  ) {
    run { number, shard in
      for batch in batches {
        shard.engine.order.begin()
        shard.engine.apply(batch.parts[number], into: &shard.out)
        shard.closeCall()
      }
    }
    for (call, batch) in batches.enumerated() { merge(call, batch.positions, &out) }
  }

  /// Does what ``Engine/advance(to:into:)`` does.
  public mutating func advance(to time: Timestamp, into out: inout [Transition]) {
    guard shards.count > 1 else {
      shards[0].engine.advance(to: time, into: &out)
      shards[0].reset()
      return
    }
    run { _, shard in
      shard.engine.advance(to: time, into: &shard.out)
      shard.closeCall()
    }
    merge(0, [], &out)
  }

  /// Does what ``Engine/perform(_:at:into:)`` does.
  public mutating func perform(
    _ command: Command,
    at now: Timestamp,
    into out: inout [Transition]
  ) -> CommandRefusal? {
    guard shards.count > 1 else {
      defer { shards[0].reset() }
      return shards[0].engine.perform(command, at: now, into: &out)
    }
    advance(to: now, into: &out)
    let rule = Int(command.rule.rawValue)
    guard rule < layout.rules.count else { return .unknownRule }
    let place = layout.rules[rule]
    let shard = shards[Int(place.shard)]
    var command = command
    command.rule = RuleIndex(rawValue: place.row)
    shard.reset()
    let refusal = shard.engine.perform(command, at: now, into: &shard.out)
    take(0..<shard.out.count, of: Int(place.shard), into: &out)
    return refusal
  }

  /// Does what ``Engine/replacePlan(_:at:into:)`` does; devices may move to another shard.
  ///
  /// - Returns: the range of `out` whose rows belong to the *old* plan.
  /// - Throws: every inconsistency of the plan; the old one stays in force then.
  @discardableResult
  public mutating func replacePlan(
    _ plan: EnginePlan,
    at now: Timestamp,
    into out: inout [Transition]
  ) throws(PlanError) -> Range<Int> {
    let next = try Self.layout(plan, shards.count)
    let first = out.count
    advance(to: now, into: &out)
    let kept = Set(plan.rules.map(\.id))
    run { _, shard in
      shard.engine.closeRules(without: kept, &shard.out)
      shard.closeCall()
    }
    merge(0, [], &out)
    let old = first..<out.count
    do {
      shards = try Self.restored(next, shards.map { $0.engine.snapshot() })
    } catch .plan(let error) {
      throw error
    } catch {
      preconditionFailure("the engine cannot read its own snapshot: \(error)")
    }
    layout = next
    run { _, shard in
      shard.engine.followPriorities(&shard.out)
      shard.closeCall()
    }
    merge(0, [], &out)
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

  /// Appends what one call has put out, in the order in which one engine would have.
  private func merge(_ call: Int, _ positions: [[UInt32]], _ out: inout [Transition]) {
    guard shards.contains(where: { $0.hasPutOut(in: call) }) else { return }
    var cursors = shards.map { $0.cursor(of: call) }
    while let number = next(cursors, positions) {
      let mark = shards[number].engine.order.marks[cursors[number].mark]
      take(cursors[number].transition..<mark.end, of: number, into: &out)
      cursors[number].mark += 1
      cursors[number].transition = mark.end
    }
  }

  /// The shard whose next step comes first; nil when none is left.
  private func next(_ cursors: [Shard.Cursor], _ positions: [[UInt32]]) -> Int? {
    var first: (key: OutputOrder.Key, number: Int)?
    for (number, cursor) in cursors.enumerated() where cursor.mark < cursor.end {
      let key = whole(shards[number].engine.order.marks[cursor.mark].key, number, positions)
      if let known = first, known.key < key { continue }
      first = (key, number)
    }
    return first?.number
  }

  /// A shard's key with the whole plan's rows and the undivided batch's places in it.
  private func whole(
    _ key: OutputOrder.Key,
    _ number: Int,
    _ positions: [[UInt32]]
  ) -> OutputOrder.Key {
    switch key.time {
    case .min: .planChange(layout.ruleRows[number][Int(key.place)])
    case .max: .reading(Int(positions[number][Int(key.place)]))
    default:
      OutputOrder.Key(
        time: key.time,
        place: Deadline.order(key.place) { row in
          Deadline.isRelease(key.place)
            ? layout.deviceRows[number][Int(row)] : layout.ruleRows[number][Int(row)]
        }
      )
    }
  }

  private func take(_ range: Range<Int>, of number: Int, into out: inout [Transition]) {
    for index in range {
      var transition = shards[number].out[index]
      transition.rule = RuleIndex(
        rawValue: layout.ruleRows[number][Int(transition.rule.rawValue)]
      )
      transition.channel = ChannelIndex(
        rawValue: layout.channelRows[number][Int(transition.channel.rawValue)]
      )
      out.append(transition)
    }
  }
}

/// One engine and what it has put out since last asked.
///
/// Unchecked: whoever runs the shards gives each to one thread at a time and waits for all of them before
/// anybody looks at the output; see ``ShardTeam``.
final class Shard: @unchecked Sendable {
  var engine: Engine
  var out: [Transition] = []
  /// How many steps and transitions there were at the end of each call.
  private var calls: [(marks: Int, transitions: Int)] = []

  init(_ engine: consuming Engine) {
    self.engine = engine
  }

  func reset() {
    out.removeAll(keepingCapacity: true)
    calls.removeAll(keepingCapacity: true)
    engine.order.reset()
  }

  func closeCall() {
    calls.append((engine.order.marks.count, out.count))
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
  }

  func cursor(of call: Int) -> Cursor {
    let before = call == 0 ? (marks: 0, transitions: 0) : calls[call - 1]
    return Cursor(mark: before.marks, end: calls[call].marks, transition: before.transitions)
  }
}
