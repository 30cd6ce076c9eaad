import AlarmEngine
import Telemetry
import Testing

/// A source that shuffles is given time to put its readings in order; nobody else waits for it.
@Suite("Reorder allowance")
struct ReorderTests {
  static let allowance: Int64 = 5000

  static func builder(allowance: Int64) -> PlanBuilder {
    var builder = PlanBuilder(devices: 2, channelsPerDevice: 2)
    builder.plan.devices[0].reorderAllowanceMilliseconds = allowance
    for channel in UInt32(0)..<4 {
      builder.add("high", .high(11, restore: 10), channel: channel, onDelay: channel == 1 ? 900 : 0)
      builder.add("rate", .successiveChange(perSecond: 4), channel: channel)
      builder.add("stale", .stale(afterMilliseconds: 9000), channel: channel)
    }
    return builder
  }

  /// A reading with its receive time.
  struct Arrival {
    var received: Int64
    var channel: UInt32
    var time: Int64
    var value: Double
  }

  /// Readings whose transport takes up to 4.9 s, in the order of arrival.
  static func arrivals(seed: UInt64) -> [Arrival] {
    var random = SeededRandom(seed: seed)
    var arrivals: [Arrival] = []
    for step in Int64(0)..<2000 {
      let channel = UInt32(random.int(0...3))
      let time = step * 130 + random.int(0...100)
      arrivals.append(
        Arrival(
          received: time + (channel < 2 ? random.int(0...4900) : 0),
          channel: channel,
          time: time,
          value: Double(random.int(7...13))
        )
      )
      if random.chance(90) { arrivals[arrivals.count - 1].value = 50 }
    }
    return arrivals.enumerated()
      .sorted { ($0.element.received, $0.offset) < ($1.element.received, $1.offset) }
      .map(\.element)
  }

  static func run(
    _ arrivals: [Arrival],
    allowance: Int64,
    ticks: Bool = false,
    snapshots: Bool = false
  ) throws -> (transitions: [Transition], counters: EngineCounters) {
    let builder = builder(allowance: allowance)
    var engine = try Engine(plan: builder.plan)
    var out: [Transition] = []
    for (index, arrival) in arrivals.enumerated() {
      if ticks, index > 0 {
        engine.advance(
          to: at((arrivals[index - 1].received + arrival.received) / 2),
          into: &out
        )
      }
      if snapshots, index % 37 == 0 {
        engine = try Engine(plan: builder.plan, restoring: engine.snapshot())
      }
      var batch = ReadingBatch(received: at(arrival.received), baseSequence: UInt64(index + 1))
      batch.append(
        Reading(
          channel: ChannelIndex(rawValue: arrival.channel),
          time: at(arrival.time),
          value: arrival.value
        ),
        sequence: UInt64(index + 1)
      )
      engine.apply(batch, into: &out)
    }
    engine.advance(to: at(400_000), into: &out)
    return (out, engine.counters)
  }

  /// What does not depend on when and in which message a reading came.
  private func essence(_ transition: Transition) -> String {
    "\(transition.channel.rawValue) \(transition.kind) \(transition.rule.rawValue) "
      + "\(transition.onset.milliseconds) \(transition.time.milliseconds) \(transition.value)"
  }

  @Test(
    "shuffled by less than the allowance equals sorted",
    arguments: 1...30 as ClosedRange<UInt64>
  )
  func sorted(seed: UInt64) throws {
    let arrivals = Self.arrivals(seed: seed)
    let held = try Self.run(arrivals, allowance: Self.allowance)
    let ideal = arrivals.enumerated().sorted { $0.element.time < $1.element.time }.map(\.element)
      .map { arrival in
        var copy = arrival
        copy.received = arrival.time
        return copy
      }
    let sorted = try Self.run(ideal, allowance: 0)
    for channel in UInt32(0)..<4 {
      let mine = held.transitions.filter { $0.channel.rawValue == channel }.map(essence)
      let theirs = sorted.transitions.filter { $0.channel.rawValue == channel }.map(essence)
      #expect(mine == theirs, "SEED=\(seed) channel \(channel)")
    }
    #expect(held.counters.late == 0)
    #expect(held.counters.reordered > 800)
    #expect(try Self.run(arrivals, allowance: 0).counters.late > 300)
    // Nobody else waits.
    for transition in held.transitions where transition.channel.rawValue >= 2 {
      #expect(transition.received.milliseconds - transition.time.milliseconds <= 130)
    }
  }

  @Test("ticks and snapshots change nothing", arguments: 1...10 as ClosedRange<UInt64>)
  func invariance(seed: UInt64) throws {
    let arrivals = Self.arrivals(seed: seed)
    let plain = try Self.run(arrivals, allowance: Self.allowance).transitions.map(\.comparable)
    for (ticks, snapshots) in [(true, false), (false, true), (true, true)] {
      let other = try Self.run(
        arrivals,
        allowance: Self.allowance,
        ticks: ticks,
        snapshots: snapshots
      )
      #expect(other.transitions.map(\.comparable) == plain, "SEED=\(seed) \(ticks) \(snapshots)")
    }
  }

  @Test("too many held readings go early, oldest first, and are counted")
  func overflow() throws {
    var builder = PlanBuilder()
    builder.plan.devices[0].reorderAllowanceMilliseconds = 60_000
    builder.add("high", .high(10))
    var bench = try Bench(builder)
    for index in 0..<(Engine.heldPerDevice + 10) {
      bench.read(Int64(index), index == 3 ? 20 : 1, lag: Int64(-index))
    }
    #expect(bench.take() == ["raised r0 3 unacknowledged", "returned r0 4 returnedUnacknowledged"])
    #expect(bench.engine.counters.reorderOverflows == 10)
  }

  @Test("what a backlog brings goes before the delays that have waited for it")
  func backlog() throws {
    var builder = PlanBuilder()
    builder.plan.devices[0].reorderAllowanceMilliseconds = Self.allowance
    builder.add("high", .high(10), onDelay: 5000)
    var bench = try Bench(builder)
    bench.read(0, 1)
    bench.read(3000, 20)
    bench.tick(8500)
    bench.readBacklog(at: 60_000, [(7000, 1), (59_000, 1)])
    bench.tick(61_000)
    #expect(bench.take() == [])
    #expect(bench.engine.counters.heldBack == 1)
  }

  @Test("a backlog in which the watermark moves on with every reading arms one release")
  func fallingLag() throws {
    var builder = PlanBuilder()
    builder.plan.devices[0].reorderAllowanceMilliseconds = Self.allowance
    builder.add("high", .high(10))
    let earliest: Int64 = 10_000_000
    var sizes: [Int] = []
    for count in [10, 1000] as [Int64] {
      var bench = try Bench(builder)
      bench.readBacklog(
        at: earliest,
        (0..<count).map { ($0 * 1000, $0 == count - 1 ? 20 : 1) }
      )
      sizes.append(bench.engine.snapshot().count - Int(count) * Self.heldBytes)
      bench.tick(earliest + 60_000)
      #expect(bench.out.map(\.time) == [at((count - 1) * 1000)])
    }
    #expect(sizes[0] == sizes[1])
  }

  /// What a snapshot takes for a reading that is held back.
  private static let heldBytes = 42

  @Test("a plan without the allowance lets go of what is held")
  func planChange() throws {
    var builder = PlanBuilder()
    builder.plan.devices[0].reorderAllowanceMilliseconds = 60_000
    builder.add("high", .high(10))
    var bench = try Bench(builder)
    bench.read(1000, 20)
    #expect(bench.take() == [])
    builder.plan.devices[0].reorderAllowanceMilliseconds = 0
    try bench.replacePlan(builder, at: 2000)
    bench.tick(2001)
    #expect(bench.take() == ["raised r0 1000 unacknowledged"])
  }
}
