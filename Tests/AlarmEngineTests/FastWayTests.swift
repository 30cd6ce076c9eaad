import AlarmEngine
import Telemetry
import Testing

/// The loop for calm readings and the way of all others are one engine: what came along in a message changes no alarm.
@Suite("Fast way")
struct FastWayTests {
  private static let devices: Int64 = 4
  private static let channels: UInt32 = 12
  /// One more channel that carries the cascade, on a device of its own or on the first.
  private static let cascade: UInt32 = 12

  /// A reading of a channel that nobody knows closes the fast way for the whole batch it is in.
  private static func slowed(_ batch: ReadingBatch, _ sequence: UInt64) -> ReadingBatch {
    var slow = batch
    slow.append(
      Reading(channel: ChannelIndex(rawValue: 9_999), time: batch.received, value: 0),
      sequence: sequence
    )
    return slow
  }

  private static func plan(
    _ seed: UInt64,
    _ window: ChannelWindow?,
    tolerance: Int64
  ) throws -> EnginePlan {
    var random = SeededRandom(seed: seed)
    var builder = PlanBuilder(devices: Int(devices), channelsPerDevice: 3)
    let delays: [Int64] = [0, 0, 500, 3000]
    var members: [RuleIndex] = []
    for device in builder.plan.devices.indices {
      builder.plan.devices[device].clockToleranceMilliseconds = device == 3 ? 300_000 : tolerance
    }
    for channel in 0..<channels {
      builder.plan.channels[Int(channel)].window = channel % 3 == 2 ? nil : window
      func add(_ name: String, _ detector: Detector) -> RuleIndex {
        builder.add(
          name,
          detector,
          channel: channel,
          onDelay: random.pick(delays),
          offDelay: random.pick(delays)
        )
      }
      members.append(add("hihi", .high(13, restore: 12)))
      _ = add("hi", .high(11, restore: 10, orEqual: false))
      _ = add("lo", .low(4, restore: 5))
      _ = add("range", .physicalRange(low: 0, high: 15))
      if channel % 4 != 1 { _ = add("rate", .successiveChange(perSecond: 3)) }
      if channel % 4 != 2 { _ = add("ewma", .ewma(alpha: 0.1, deviations: 3, warmUp: 10)) }
      if channel % 3 != 0 { _ = add("stale", .stale(afterMilliseconds: 9000)) }
      builder.add("clock", .clockFault, channel: channel, offDelay: random.pick(delays))
      builder.add("reported", .reported, channel: channel)
    }
    builder.plan.channels.append(
      ChannelPlan(id: StableID(name: "cascades"), device: UInt32(random.int(0...1)))
    )
    builder.add(
      "cascade",
      .cascade(
        CascadeParameters(
          cascade: try CountCascade(bluePerYellow: 2),
          grade: .yellow,
          points: members.map { [CascadeParameters.Member(rule: $0, grade: .blue)] }
        )
      ),
      channel: cascade,
      onDelay: random.pick(delays),
      offDelay: random.pick(delays)
    )
    builder.add("hi", .high(13, restore: 12), channel: cascade)
    return builder.plan
  }

  /// What a plant sends: buffered spans, jumps of clocks, shuffled and late readings, now and then nonsense.
  private struct Plant {
    var random: SeededRandom
    let isCalm: Bool
    var now = epochOfTests
    var sequence: UInt64 = 1
    var newest = [Int64](repeating: epochOfTests, count: Int(channels) + 1)
    var value = [Double](repeating: 8, count: Int(channels) + 1)
    var skew = [Int64](repeating: 0, count: Int(devices))

    init(seed: UInt64) {
      random = SeededRandom(seed: seed &+ 1_000)
      isCalm = random.chance(2)
    }

    mutating func batch() -> ReadingBatch {
      if random.chance(80) { now += random.int(0...700_000) }
      let span = random.pick([50, 1000, 8000, 40_000] as [Int64])
      let start = now
      now += span
      let count = random.chance(3) ? random.int(1...400) : random.int(1...30)
      var batch = ReadingBatch(
        received: Timestamp(milliseconds: now),
        baseSequence: sequence
      )
      batch.isBacklog = random.chance(25)
      let isOrderly = !random.chance(4)
      if random.chance(60) {
        skew[Int(random.int(0...devices - 1))] =
          random.pick([0, 0, 300, -1500, 15_000, -15_000, 90_000] as [Int64])
      }
      for index in 0..<count {
        let channel = Int(random.int(0...Int64(channels)))
        let share = span * (index + 1) / count
        var time = start + share + skew[min(channel / 3, 3)]
        if time <= newest[channel], !random.chance(10) { time = newest[channel] + 1 }
        if !isOrderly, random.chance(20) { time = newest[channel] - random.int(0...4000) }
        newest[channel] = max(newest[channel], time)
        batch.append(reading(channel, time, isOrderly: isOrderly), sequence: sequence)
        sequence += 1
      }
      return batch
    }

    private mutating func reading(_ channel: Int, _ time: Int64, isOrderly: Bool) -> Reading {
      if random.chance(isCalm ? 40 : 4) { value[channel] += Double(random.int(-4...4)) / 4 }
      if random.chance(isCalm ? 4000 : 200) { value[channel] = Double(random.int(-4...63)) / 4 }
      if !(1...15).contains(value[channel]), random.chance(5) { value[channel] = 8 }
      let odd: [Double] = [1e20, -1e60, 1e200, .greatestFiniteMagnitude, .nan, .infinity]
      return Reading(
        channel: ChannelIndex(rawValue: UInt32(channel)),
        time: Timestamp(milliseconds: time),
        value: random.chance(3000) ? random.pick(odd) : value[channel],
        status: !isOrderly && random.chance(30) ? random.pick(SourceStatus.allCases) : .normal,
        flags: !isOrderly && random.chance(60) ? .historical : []
      )
    }
  }

  private static func comparable(_ counters: EngineCounters) -> EngineCounters {
    var counters = counters
    (counters.readings, counters.unknownChannels) = (0, 0)
    return counters
  }

  @Test("gives what the other way gives", arguments: UInt64(1)...(isSoak ? 4_000 : 120))
  func same(seed: UInt64) throws {
    var random = SeededRandom(seed: seed &+ 77)
    let tolerance = random.pick([2_000, 20_000, 300_000] as [Int64])
    func window() -> ChannelWindow? {
      random.chance(6)
        ? nil
        : ChannelWindow(
          lengthMilliseconds: random.pick([1000, 5000, 60_000, 2_000_000_000]),
          capacity: random.pick([16, 16, 64, 256]),
          isBoundedByCount: random.chance(2)
        )
    }
    var plan = try Self.plan(seed, window(), tolerance: tolerance)
    var plant = Plant(seed: seed)
    var fast = try Engine(plan: plan)
    var slow = try Engine(plan: plan)
    for round in 0..<(isSoak ? 400 : 120) {
      var (told, same): ([Transition], [Transition]) = ([], [])
      let batch = plant.batch()
      plant.sequence += 1
      fast.apply(batch, into: &told)
      slow.apply(Self.slowed(batch, plant.sequence - 1), into: &same)
      if random.chance(3) {
        plant.now += random.int(0...12_000)
        fast.advance(to: Timestamp(milliseconds: plant.now), into: &told)
        slow.advance(to: Timestamp(milliseconds: plant.now), into: &same)
      }
      if random.chance(30) {
        plan = try Self.plan(seed, window(), tolerance: tolerance)
        if random.chance(2) {
          let time = Timestamp(milliseconds: plant.now)
          _ = try fast.replacePlan(plan, at: time, into: &told)
          _ = try slow.replacePlan(plan, at: time, into: &same)
        } else {
          fast = try Engine(plan: plan, restoring: fast.snapshot())
          slow = try Engine(plan: plan, restoring: slow.snapshot())
        }
      }
      try #require(told.map(\.comparable) == same.map(\.comparable), "round \(round)")
      try #require(
        Self.comparable(fast.counters) == Self.comparable(slow.counters),
        "round \(round)"
      )
    }
  }

  // MARK: What was wrong once

  /// Readings of one message.
  private static func message(
    received: Int64,
    _ readings: [(channel: UInt32, time: Int64, value: Double)],
    from sequence: UInt64 = 100
  ) -> ReadingBatch {
    var batch = ReadingBatch(received: at(received), baseSequence: sequence)
    for (index, reading) in readings.enumerated() {
      batch.append(
        Reading(
          channel: ChannelIndex(rawValue: reading.channel),
          time: at(reading.time),
          value: reading.value
        ),
        sequence: sequence + UInt64(index)
      )
    }
    return batch
  }

  @Test(
    "readings older than what a deadline decided are judged by all of them, one after the other"
  )
  func olderThanADeadline() throws {
    var builder = PlanBuilder(
      window: ChannelWindow(lengthMilliseconds: 1000, capacity: 16)
    )
    builder.add("high", .high(13, restore: 12), offDelay: 5000)
    var bench = try Bench(builder)
    bench.read(0, 20)
    bench.read(1000, 5)
    bench.tick(7000)
    #expect(
      bench.take()
        == ["raised r0 0 unacknowledged", "returned r0 6000 returnedUnacknowledged"]
    )
    bench.engine.apply(
      Self.message(
        received: 7500,
        [(0, 3000, 12.5), (0, 3500, 12.5), (0, 4000, 12.5), (0, 7400, 12.5)]
      ),
      into: &bench.out
    )
    #expect(bench.take().contains { $0.hasPrefix("reAlarmed") }, "it never fell below 12 for 5 s")
    #expect(bench.standing().map(\.isActive) == [true])
  }

  @Test("a cascade's delay runs out within a message, whatever else came in it", arguments: [0, 1])
  func cascadeInAMessage(others: Int) throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    let member = builder.add("high", .high(10))
    let point = CascadeParameters.Member(rule: member, grade: .blue)
    builder.add(
      "cascade",
      .cascade(
        CascadeParameters(cascade: try CountCascade(), grade: .blue, points: [[point]])
      ),
      channel: 1,
      onDelay: 10_000
    )
    var bench = try Bench(builder)
    bench.read(0, 1)
    bench.read(1, 1, channel: 1)
    let own: [(UInt32, Int64, Double)] = [(1, 25_000, 1)]
    bench.engine.apply(
      Self.message(
        received: 40_000,
        [(0, 10_000, 20)] + (others == 1 ? own : []) + [(0, 30_000, 1)]
      ),
      into: &bench.out
    )
    // A step of the cascade follows on that of the rule which decided it.
    #expect(
      bench.take().sorted() == [
        "raised r0 10000 unacknowledged", "raised r1 20000 unacknowledged",
        "returned r0 30000 returnedUnacknowledged", "returned r1 30000 returnedUnacknowledged",
      ]
    )
  }

  @Test(
    "an EWMA is blinded by no value",
    arguments: [1e20, 1e155, 1e200, .greatestFiniteMagnitude]
  )
  func hugeValue(_ value: Double) throws {
    var builder = PlanBuilder()
    builder.add("ewma", .ewma(alpha: 0.05, deviations: 4, warmUp: 10))
    for first in [3, 100] {
      var bench = try Bench(builder)
      var time: Int64 = 0
      func next() -> Int64 {
        time += 1000
        return time
      }
      for count in 0..<120 {
        bench.read(next(), count == first ? value : count.isMultiple(of: 2) ? 9 : 10)
      }
      for count in 0..<10 { bench.read(next(), count.isMultiple(of: 2) ? 9 : 10) }
      _ = bench.take()
      bench.read(next(), 1000)
      #expect(bench.take().first?.hasPrefix("raised") == true, "\(value) as reading \(first)")
    }
  }

  @Test(
    "an EWMA of another plan begins afresh, and one that warms up again tells nothing to be over"
  )
  func ewmaAndPlans() throws {
    var builder = PlanBuilder()
    builder.add("other", .high(2e9))
    var (first, second, longer) = (builder, builder, builder)
    first.add("first", .ewma(alpha: 0.1, deviations: 4, warmUp: 10))
    second.add("second", .ewma(alpha: 0.3, deviations: 4, warmUp: 10))
    longer.add("first", .ewma(alpha: 0.1, deviations: 4, warmUp: 30))

    var bench = try Bench(first)
    for count in Int64(1)...20 { bench.read(count * 1000, count.isMultiple(of: 2) ? 9 : 10) }
    try bench.replacePlan(builder, at: 21_000)
    try bench.replacePlan(second, at: 22_000)
    bench.read(23_000, 50)
    #expect(bench.take() == [], "it has seen one reading")

    bench = try Bench(first)
    for count in Int64(1)...20 { bench.read(count * 1000, count.isMultiple(of: 2) ? 9 : 10) }
    bench.read(21_000, 500)
    #expect(bench.take().map { $0.prefix(9) } == ["raised r1"])
    try bench.replacePlan(longer, at: 22_000)
    for count in Int64(23)...30 { bench.read(count * 1000, 1e6) }
    #expect(bench.take() == [], "nothing has been judged")
    for count in Int64(31)...60 { bench.read(count * 1000, 1e6) }
    #expect(bench.take().map { $0.prefix(11) } == ["returned r1"])
  }

  @Test("readings without a value do not make a window's old samples new again")
  func oldWindow() throws {
    var builder = PlanBuilder(
      window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 16)
    )
    builder.add("high", .high(1_000))
    for step: Int64 in [1 << 32, 1 << 30] {
      var bench = try Bench(builder)
      bench.read(0, 1)
      // One calibration reading after nearly 2^32 ms, or several on the way there.
      for time in stride(from: step, through: 1 << 32, by: Int(step)) {
        bench.read(time - 1000, 5, status: .calibration)
      }
      let batch = Self.message(received: 1 << 32, [(0, (1 << 32) + 1000, 7)])
      var totals = WindowTotals()
      bench.engine.apply(batch, into: &bench.out, windows: &totals)
      #expect(totals.count == 1 && totals.minimum == 7, "\(step)")
    }
  }
}
