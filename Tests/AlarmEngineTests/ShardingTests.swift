import AlarmEngine
import Telemetry
import Testing

/// Several shards put out what one engine does: the same transitions in the same order, the same counters
/// and standing alarms, whatever else is done to them on the way.
@Suite("Sharding")
struct ShardingTests {
  /// Four sites with every kind of detector, in one plan whose rows are interleaved, and their inputs by
  /// receive time.
  static func plant(seed: UInt64, readings: Int) throws -> Stream {
    let sites = try (UInt64(0)..<4).map {
      try DetectorIntegrationTests.stream(seed: seed &* 4 &+ $0, readings: readings / 4)
    }
    var random = SeededRandom(seed: seed)
    var plant = Stream(seed: seed, readings: 0)
    plant.builder.plan = EnginePlan()
    var channels = [[UInt32]](repeating: [], count: 4)
    var rules = [[UInt32]](repeating: [], count: 4)
    func identity(_ id: StableID, _ site: Int) -> StableID {
      StableID(rawValue: id.rawValue &+ UInt64(site) &* 0x9e37_79b9)
    }
    for row in sites[0].builder.plan.devices.indices {
      for (number, site) in sites.enumerated() {
        var device = site.builder.plan.devices[row]
        device.id = identity(device.id, number)
        plant.builder.plan.devices.append(device)
      }
    }
    for row in sites[0].builder.plan.channels.indices {
      for (number, site) in sites.enumerated() {
        var channel = site.builder.plan.channels[row]
        channel.id = identity(channel.id, number)
        channel.device = channel.device * 4 + UInt32(number)
        channels[number].append(UInt32(plant.builder.plan.channels.count))
        plant.builder.plan.channels.append(channel)
      }
    }
    for row in sites[0].builder.plan.rules.indices {
      for (number, site) in sites.enumerated() {
        var rule = site.builder.plan.rules[row]
        rule.id = identity(rule.id, number)
        rule.channel = ChannelIndex(rawValue: channels[number][Int(rule.channel.rawValue)])
        rule.detector = rule.detector.renumbered { channels[number][Int($0)] }
        rules[number].append(UInt32(plant.builder.plan.rules.count))
        plant.builder.plan.rules.append(rule)
      }
    }
    var cursors = [0, 0, 0, 0]
    var sequence: UInt64 = 1
    while true {
      let waiting = (0..<4).filter { cursors[$0] < sites[$0].inputs.count }
      guard let least = waiting.map({ sites[$0].inputs[cursors[$0]].received }).min() else { break }
      let number = random.pick(
        waiting.filter { sites[$0].inputs[cursors[$0]].received == least }
      )
      sequence += 1
      let input: Input =
        switch sites[number].inputs[cursors[number]].input {
        case .reading(var reading, _):
          {
            let row = Int(reading.channel.rawValue)
            let known = channels[number]
            reading.channel = ChannelIndex(rawValue: row < known.count ? known[row] : 7777)
            return .reading(reading, sequence: sequence)
          }()
        case .command(var command):
          {
            let row = Int(command.rule.rawValue)
            let known = rules[number]
            command.rule = RuleIndex(rawValue: row < known.count ? known[row] : 77_777)
            command.sequence = sequence
            return .command(command)
          }()
        }
      plant.inputs.append((least, input))
      cursors[number] += 1
    }
    return plant
  }

  struct Outcome: Equatable {
    var transitions: [Transition]
    var refusals: [CommandRefusal?]
    var counters: EngineCounters
    var standing: [StandingAlarm]
  }

  /// What an engine and shards are both asked for.
  protocol Core: ~Copyable {
    mutating func apply(_ batch: borrowing ReadingBatch, into out: inout [Transition])
    mutating func advance(to time: Timestamp, into out: inout [Transition])
    mutating func perform(
      _ command: Command,
      at now: Timestamp,
      isBacklog: Bool,
      into out: inout [Transition]
    ) -> CommandRefusal?
    mutating func replacePlan(
      _ plan: EnginePlan,
      at now: Timestamp,
      present: Timestamp,
      isBacklog: Bool,
      into out: inout [Transition]
    ) throws(PlanError) -> Range<Int>
    var counters: EngineCounters { get }
    var nextDeadline: Timestamp? { get }
    func standing(_ body: (StandingAlarm) -> Void)
    func snapshot() -> [UInt8]
  }

  /// Feeds a plant; `restore` is asked now and then for a core that goes on from a snapshot, `plans` gives
  /// the plans that are put in force one after the other.
  static func run<C: Core & ~Copyable>(
    _ plant: Stream,
    _ core: consuming C,
    plans: [EnginePlan] = [],
    cuts: UInt64? = nil,
    restore: (([UInt8]) throws -> C)? = nil
  ) throws -> Outcome {
    var random = SeededRandom(seed: cuts ?? 0)
    var core = core
    var outcome = Outcome(transitions: [], refusals: [], counters: core.counters, standing: [])
    var batch = ReadingBatch()
    var previous = plant.inputs.first?.received ?? 0
    var deadlines: [Timestamp?] = []
    for (number, (received, input)) in plant.inputs.enumerated() {
      if received != previous || (cuts != nil && random.chance(5)) {
        if !batch.isEmpty { core.apply(batch, into: &outcome.transitions) }
        batch.reset(received: .distantPast, baseSequence: 0)
      }
      if cuts != nil && random.chance(40) {
        if !batch.isEmpty { core.apply(batch, into: &outcome.transitions) }
        batch.reset(received: .distantPast, baseSequence: 0)
        if random.chance(2) { previous += random.int(0...max(0, received - previous)) }
        core.advance(to: Timestamp(milliseconds: previous), into: &outcome.transitions)
        if let restore, random.chance(3) { core = try restore(core.snapshot()) }
      }
      if !plans.isEmpty && number % (plant.inputs.count / (plans.count + 1)) == 1 {
        let step = number / (plant.inputs.count / (plans.count + 1)) - 1
        if step >= 0 && step < plans.count {
          if !batch.isEmpty { core.apply(batch, into: &outcome.transitions) }
          batch.reset(received: .distantPast, baseSequence: 0)
          _ = try core.replacePlan(
            plans[step],
            at: Timestamp(milliseconds: received),
            present: .distantPast,
            isBacklog: false,
            into: &outcome.transitions
          )
        }
      }
      previous = received
      switch input {
      case .reading(let reading, let sequence):
        if batch.isEmpty {
          batch.reset(received: Timestamp(milliseconds: received), baseSequence: sequence)
        }
        batch.append(reading, sequence: sequence)
      case .command(let command):
        if !batch.isEmpty { core.apply(batch, into: &outcome.transitions) }
        batch.reset(received: .distantPast, baseSequence: 0)
        outcome.refusals.append(
          core.perform(
            command,
            at: Timestamp(milliseconds: received),
            isBacklog: false,
            into: &outcome.transitions
          )
        )
      }
      if number % 100 == 0 && cuts == nil { deadlines.append(core.nextDeadline) }
    }
    if !batch.isEmpty { core.apply(batch, into: &outcome.transitions) }
    core.advance(to: Timestamp(milliseconds: plant.end), into: &outcome.transitions)
    outcome.counters = core.counters
    core.standing { outcome.standing.append($0) }
    outcome.transitions = outcome.transitions.map(\.comparable)
    return outcome
  }

  static func expectEqual(_ one: Outcome, _ other: Outcome, _ what: String) {
    let difference = zip(one.transitions, other.transitions).first { $0 != $1 }
    #expect(
      one.transitions == other.transitions,
      "\(what): first \(String(describing: difference)), \(one.transitions.count) against \(other.transitions.count)"
    )
    #expect(one.refusals == other.refusals, "\(what)")
    #expect(one.counters == other.counters, "\(what)")
    #expect(one.standing == other.standing, "\(what)")
  }

  static let seeds: ClosedRange<UInt64> = 1...2

  @Test("any number of shards, with ticks, cuts and snapshots into other numbers", arguments: seeds)
  func shardCounts(seed: UInt64) throws {
    let plant = try Self.plant(seed: seed, readings: 4000)
    let plan = plant.builder.plan
    let one = try Self.run(plant, try Engine(plan: plan))
    #expect(one.transitions.count > 500, "SEED=\(seed)")
    for count in [1, 2, 3] {
      let several = try Self.run(plant, try ShardedEngine(plan: plan, shards: count))
      Self.expectEqual(one, several, "SEED=\(seed) shards=\(count)")
      var next = count
      let disturbed = try Self.run(
        plant,
        try ShardedEngine(plan: plan, shards: count),
        cuts: seed &+ UInt64(count)
      ) { bytes in
        next = next % 4 + 1
        return try ShardedEngine(plan: plan, restoring: bytes, shards: next)
      }
      Self.expectEqual(one, disturbed, "SEED=\(seed) shards=\(count) disturbed")
    }
  }

  @Test("one engine under cuts, ticks and snapshots at any point", arguments: seeds)
  func oneEngineDisturbed(seed: UInt64) throws {
    let plant = try Self.plant(seed: seed, readings: 4000)
    let plan = plant.builder.plan
    let one = try Self.run(plant, try Engine(plan: plan))
    let disturbed = try Self.run(plant, try Engine(plan: plan), cuts: seed) {
      try Engine(plan: plan, restoring: $0)
    }
    Self.expectEqual(one, disturbed, "SEED=\(seed)")
  }

  @Test(
    "plan changes: rules gone, priorities changed, rows moved, devices in other shards",
    arguments: seeds
  )
  func planChanges(seed: UInt64) throws {
    let plant = try Self.plant(seed: seed, readings: 4000)
    var random = SeededRandom(seed: seed)
    var plans: [EnginePlan] = []
    for _ in 0..<3 {
      var plan = plant.builder.plan
      for row in plan.rules.indices where random.chance(4) {
        plan.rules[row].priority = random.pick(AlarmPriority.allCases)
      }
      plan.rules.removeAll { _ in random.chance(8) }
      plans.append(plan)
    }
    let one = try Self.run(plant, try Engine(plan: plant.builder.plan), plans: plans)
    for count in [1, 2, 5] {
      let several = try Self.run(
        plant,
        try ShardedEngine(plan: plant.builder.plan, shards: count),
        plans: plans
      )
      Self.expectEqual(one, several, "SEED=\(seed) shards=\(count)")
    }
  }

  @Test("no rule crosses a shard, and sites spread over them")
  func layout() throws {
    let plant = try Self.plant(seed: 1, readings: 4)
    var engine = try ShardedEngine(plan: plant.builder.plan, shards: 2)
    var batch = ReadingBatch(received: at(0), baseSequence: 1)
    for channel in 0..<UInt32(plant.builder.plan.channels.count) {
      batch.append(
        Reading(channel: ChannelIndex(rawValue: channel), time: at(0), value: 8),
        sequence: 1
      )
    }
    var parts = SplitBatch(shards: 2)
    engine.split(batch, into: &parts)
    #expect(parts.parts.map(\.count) == [12, 12])
    var out: [Transition] = []
    engine.apply([parts, parts][...], into: &out)
    #expect(engine.counters.readings == 48)
    #expect(engine.counters.duplicates == 24)
  }

  @Test("several batches in one call, whichever shard is run first")
  func pipelined() throws {
    let plant = try Self.plant(seed: 9, readings: 4000)
    let plan = plant.builder.plan
    var engine = try Engine(plan: plan)
    let backwards = ShardTeam { count, work in
      for number in (0..<count).reversed() { work(number) }
    }
    var sharded = try ShardedEngine(plan: plan, shards: 3, team: backwards)
    var expected: [Transition] = []
    var found: [Transition] = []
    var waiting: [SplitBatch] = []
    var batch = ReadingBatch()
    var received = Int64.min
    for (time, input) in plant.inputs {
      guard case .reading(let reading, let sequence) = input else { continue }
      if time != received && !batch.isEmpty {
        engine.apply(batch, into: &expected)
        var parts = SplitBatch(shards: 3)
        sharded.split(batch, into: &parts)
        waiting.append(parts)
        batch.reset(received: .distantPast, baseSequence: 0)
        if waiting.count == 20 {
          sharded.apply(waiting[...], into: &found)
          waiting = []
        }
      }
      if batch.isEmpty {
        batch.reset(received: Timestamp(milliseconds: time), baseSequence: sequence)
      }
      batch.append(reading, sequence: sequence)
      received = time
    }
    sharded.apply(waiting[...], into: &found)
    #expect(found.count > 500)
    #expect(found.map(\.comparable) == expected.map(\.comparable))
  }

  @Test("a damaged snapshot of several shards is refused, whichever byte is wrong")
  func damage() throws {
    let plant = try Self.plant(seed: 2, readings: 40)
    let plan = plant.builder.plan
    let bytes = try ShardedEngine(plan: plan, shards: 3).snapshot()
    for index in stride(from: 0, to: bytes.count, by: 13) {
      var damaged = bytes
      damaged[index] ^= 0x10
      #expect(throws: SnapshotError.self, "byte \(index)") {
        _ = try ShardedEngine(plan: plan, restoring: damaged, shards: 2)
      }
    }
    for count in [0, 8, 16, 24, bytes.count - 1] {
      #expect(throws: SnapshotError.self) {
        _ = try ShardedEngine(plan: plan, restoring: Array(bytes.prefix(count)), shards: 2)
      }
    }
  }
}

extension Engine: ShardingTests.Core {}
extension ShardedEngine: ShardingTests.Core {}
