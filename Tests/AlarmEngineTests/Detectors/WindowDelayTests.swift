import AlarmEngine
import Telemetry
import Testing

/// A rule on windows decides as a limit does to which the windows' figures come as readings, each when its window ends:
/// hysteresis, delays, gaps; in the order of event time, however readings are packed, whatever ticks lie between.
@Suite("Window rules decide like limits")
struct WindowDelayTests {
  /// A reading: event time in ms, value; NaN for one whose status has none.
  struct Sample: Hashable {
    var time: Int64
    var value: Double
  }

  struct Plan: CustomTestStringConvertible {
    var shape: WindowedStatistic.Shape
    var statistic = WindowedStatistic.Statistic.maximum
    var limit = LimitParameters(comparison: .above, setpoint: 8, restore: 5)
    var minimumCount = 1
    var grace: Int64 = 0
    var onDelay: Int64 = 0
    var offDelay: Int64 = 0
    /// 0 for never.
    var stale: Int64 = 0

    var endsByTime: Bool {
      switch shape {
      case .tumbling, .hopping, .session: true
      case .sliding, .count, .state: false
      }
    }

    var parameters: WindowedStatistic.Parameters {
      .init(
        shape: shape,
        statistic: statistic,
        limit: limit,
        minimumCount: minimumCount,
        grace: grace
      )
    }

    var builder: PlanBuilder {
      var builder = PlanBuilder()
      builder.plan.devices[0].clockToleranceMilliseconds = 3_600_000
      builder.addWindow(parameters, onDelay: onDelay, offDelay: offDelay)
      if stale > 0 { builder.add("stale", .stale(afterMilliseconds: stale)) }
      return builder
    }

    var testDescription: String {
      "\(shape) \(statistic) \(limit.comparison) on \(onDelay) off \(offDelay) grace \(grace) stale \(stale)"
    }
  }

  // MARK: ways to send

  /// How the same readings reach the engine.
  enum Way: CaseIterable {
    /// Each at once, nothing between.
    case single
    /// Each at once, a tick a second.
    case ticked
    /// Each at once, a snapshot before each.
    case restored
    /// All in one message, long after.
    case backlog
    /// In messages of random length that are sent with their last reading, up to `Plan.grace` after the first.
    case packed
  }

  static func run(
    _ plan: Plan,
    _ samples: [Sample],
    _ way: Way,
    _ random: inout SeededRandom
  ) throws -> [String] {
    var bench = try Bench(plan.builder)
    func send(_ part: ArraySlice<Sample>, isBacklog: Bool, to bench: inout Bench) {
      var batch = ReadingBatch(
        received: at(part.last?.time ?? 0),
        baseSequence: bench.sequence
      )
      batch.isBacklog = isBacklog
      for sample in part {
        batch.append(
          Reading(channel: ChannelIndex(rawValue: 0), time: at(sample.time), value: sample.value),
          sequence: bench.sequence
        )
        bench.sequence += 1
      }
      bench.engine.apply(batch, into: &bench.out)
    }
    var index = 0
    while index < samples.count {
      var end = index + 1
      switch way {
      case .single, .ticked, .restored: break
      case .backlog: end = samples.count
      case .packed:
        while end < samples.count, samples[end].time - samples[index].time < plan.grace,
          !random.chance(8)
        {
          end += 1
        }
      }
      let part = samples[index..<end]
      if way == .ticked, index > 0 {
        for time in stride(from: samples[index - 1].time, to: samples[index].time, by: 1000) {
          bench.tick(time)
        }
      }
      if way == .restored || way == .packed && random.chance(5) {
        try bench.restart(under: plan.builder)
      }
      // (Without a grace, a message of many readings is no other thing than a backlog.)
      send(part, isBacklog: way == .backlog, to: &bench)
      index = end
    }
    bench.tick((samples.last?.time ?? 0) + 100_000_000)
    let own = bench.out.filter { $0.rule.rawValue == 0 }
    let times = own.map(\.time)
    #expect(times == times.sorted(), "event time goes back")
    return own.map { lines($0) }
  }

  static func lines(_ transition: Transition) -> String {
    "\(transition.kind) \(transition.time.milliseconds - epochOfTests) \(transition.value) \(transition.limit)"
  }

  // MARK: reference

  /// Figures of windows, each when its window ends; NaN for one that nothing is said of.
  static func figures(_ plan: Plan, _ samples: [Sample]) -> [Sample] {
    let good = samples.filter { !$0.value.isNaN }
    func figure(_ members: ArraySlice<Sample>) -> Double {
      guard members.count >= plan.minimumCount else { return .nan }
      let values = members.map(\.value)
      return switch plan.statistic {
      case .minimum: values.min() ?? .nan
      case .last: values.last ?? .nan
      case .count: Double(values.count)
      case .sum: values.reduce(0, +)
      default: values.max() ?? .nan
      }
    }
    func floored(_ time: Int64, _ length: Int64) -> Int64 {
      time >= 0 ? time / length : -((-time + length - 1) / length)
    }
    switch plan.shape {
    case .tumbling(let length, _):
      return Dictionary(grouping: good) { floored($0.time, length) }.sorted { $0.key < $1.key }
        .map { Sample(time: ($0.key + 1) * length, value: figure($0.value[...])) }
    case .hopping(let length, let hop, let offset):
      let first = (floored((good.first?.time ?? 0) - offset, hop) + 1) * hop + offset
      let last = (good.last?.time ?? 0) + length
      return stride(from: first, through: last, by: Int(hop)).compactMap { end in
        let members = good.filter { $0.time >= end - length && $0.time < end }
        return members.isEmpty ? nil : Sample(time: end, value: figure(members[...]))
      }
    case .session(let gap, let longest):
      var ends: [Sample] = []
      var first = 0
      for index in good.indices {
        let next = index + 1 < good.count ? good[index + 1].time : .max
        if next == .max || next - good[index].time > gap {
          ends.append(Sample(time: good[index].time + gap + 1, value: figure(good[first...index])))
          first = index + 1
        } else if next - good[first].time >= longest {
          ends.append(Sample(time: next, value: figure(good[first...index])))
          first = index + 1
        }
      }
      return ends
    case .sliding(let span):
      return good.map { one in
        let members = good.filter { $0.time > one.time - span && $0.time <= one.time }
        return Sample(time: one.time, value: figure(members[...]))
      }
    case .count(let size, let isTumbling):
      return good.indices.compactMap { index in
        guard index + 1 >= size, !isTumbling || (index + 1) % size == 0 else { return nil }
        return Sample(time: good[index].time, value: figure(good[(index + 1 - size)...index]))
      }
    case .state:
      var ends: [Sample] = []
      var run: [Sample] = []
      var last: Sample?
      for sample in samples {
        if let last, plan.stale > 0, sample.time > last.time + plan.stale { run = [] }
        last = sample
        guard !sample.value.isNaN else {
          run = []
          continue
        }
        if let state = run.last?.value, state.rounded() != sample.value.rounded() {
          ends.append(Sample(time: sample.time, value: figure(run[...])))
          run = []
        }
        run.append(sample)
      }
      return ends
    }
  }

  /// What a limit makes of the figures, to which a reading without a value comes wherever the readings are not known.
  static func reference(_ plan: Plan, _ samples: [Sample]) throws -> [String] {
    var fed: [Int64: Double] = [:]
    for one in figures(plan, samples) { fed[one.time] = one.value }
    // From when to when nothing is known.
    var unknown: [Range<Int64>] = []
    for (index, sample) in samples.enumerated() {
      let next = index + 1 < samples.count ? samples[index + 1].time : .max - 10
      if sample.value.isNaN {
        unknown.append(sample.time..<next)
      } else if plan.stale > 0, next > sample.time + plan.stale {
        unknown.append(sample.time + plan.stale + 1..<next)
      }
    }
    for time in Array(fed.keys) where unknown.contains(where: { $0.contains(time) }) {
      if fed[time + 1] == nil { fed[time + 1] = .nan }
    }
    for range in unknown where fed[range.lowerBound] == nil { fed[range.lowerBound] = .nan }
    var builder = PlanBuilder()
    builder.add("limit", .limit(plan.limit), onDelay: plan.onDelay, offDelay: plan.offDelay)
    var bench = try Bench(builder)
    for (time, value) in fed.sorted(by: { $0.key < $1.key }) { bench.read(time, value) }
    bench.tick((samples.last?.time ?? 0) + 100_000_000)
    return bench.out.map { lines($0) }
  }

  // MARK: at random

  static func plan(_ random: inout SeededRandom, hasGaps: Bool) -> Plan {
    let shapes: [WindowedStatistic.Shape] = [
      .tumbling(length: 10_000, offset: 0), .hopping(length: 20_000, hop: 5000, offset: 2000),
      .session(gap: 3000, longest: 20_000), .sliding(span: 6000),
      .count(size: 3, isTumbling: true), .count(size: 3, isTumbling: false), .state(judged: nil),
    ]
    var plan = Plan(shape: random.pick(shapes))
    plan.statistic = random.pick([.maximum, .minimum, .last])
    if random.chance(3) {
      plan.limit = LimitParameters(comparison: .atOrBelow, setpoint: 3, restore: 6)
    }
    plan.minimumCount = random.chance(3) ? 2 : 1
    plan.onDelay = random.pick([0, 4000, 15_000, 25_000])
    plan.offDelay = random.pick([0, 4000, 15_000, 25_000])
    if plan.endsByTime { plan.grace = random.pick([0, 30_000, 120_000]) }
    if hasGaps { plan.stale = random.pick([0, 8000, 20_000, 60_000]) }
    return plan
  }

  static func samples(_ random: inout SeededRandom, hasGaps: Bool) -> [Sample] {
    var samples = [Sample(time: -600_000, value: 6)]
    var time: Int64 = 0
    var level: Int64 = 6
    while samples.count < 160 {
      if random.chance(4) { level = random.int(0...10) }
      samples.append(Sample(time: time, value: Double(level)))
      time += random.int(1...4) * 1000
      if random.chance(20) { time += random.int(1...60) * 1000 }
      guard hasGaps, random.chance(15) else { continue }
      for _ in 0..<random.int(1...3) {
        samples.append(Sample(time: time - 500, value: .nan))
        time += random.int(1...10) * 1000
      }
    }
    return samples
  }

  /// Seeds of 500 tried; in the last, the least lag of a backlog falls while a delay runs.
  static let seeds: [UInt64] = Array(1...40) + [91]

  @Test(
    "as a limit on the windows' figures, however the readings come",
    arguments: seeds,
    [false, true]
  )
  func likeLimit(seed: UInt64, hasGaps: Bool) throws {
    var random = SeededRandom(seed: seed)
    let plan = Self.plan(&random, hasGaps: hasGaps)
    let samples = Self.samples(&random, hasGaps: hasGaps)
    let expected = try Self.reference(plan, samples)
    for way in Way.allCases {
      if way == .packed, plan.grace == 0 { continue }
      let said = try Self.run(plan, samples, way, &random)
      #expect(said == expected, "SEED=\(seed) \(plan.testDescription) \(way)")
    }
  }

  @Test("the random plans raise and return, and hold back by delays")
  func isMeaningful() throws {
    var counts: [String: Int] = [:]
    for seed in Self.seeds {
      for hasGaps in [false, true] {
        var random = SeededRandom(seed: seed)
        let plan = Self.plan(&random, hasGaps: hasGaps)
        let samples = Self.samples(&random, hasGaps: hasGaps)
        let delayed = try Self.reference(plan, samples)
        var prompt = plan
        (prompt.onDelay, prompt.offDelay) = (0, 0)
        let all = try Self.reference(prompt, samples)
        counts["raised", default: 0] += delayed.count { $0.hasPrefix("raised") }
        counts["returned", default: 0] += delayed.count { $0.hasPrefix("returned") }
        counts["held back", default: 0] += all.count - delayed.count
      }
    }
    for name in ["raised", "returned", "held back"] {
      #expect(counts[name] ?? 0 > 80, "\(counts)")
    }
  }

  // MARK: cases

  struct Case: CustomTestStringConvertible {
    var name: String
    var plan: Plan
    /// Seconds and values.
    var sent: [(Double, Double)]
    var expected: [String]
    var testDescription: String { name }

    var samples: [Sample] {
      [Sample(time: -600_000, value: 6)]
        + sent.map { Sample(time: Int64($0.0 * 1000), value: $0.1) }
    }
  }

  static func above(_ setpoint: Double, restore: Double) -> LimitParameters {
    LimitParameters(comparison: .above, setpoint: setpoint, restore: restore)
  }

  static let tumbling = WindowedStatistic.Shape.tumbling(length: 10_000, offset: 0)

  static let cases: [Case] = [
    Case(
      name: "a low window that ended before the on-delay did is judged before it: no alarm",
      plan: Plan(
        shape: tumbling,
        statistic: .sum,
        limit: above(10, restore: 10),
        grace: 120_000,
        onDelay: 25_000
      ),
      sent: [(0, 6), (5, 6), (10, 1), (40, 1)],
      expected: []
    ),
    Case(
      name: "a high window that ended before the off-delay did is judged before it: no return",
      plan: Plan(
        shape: tumbling,
        limit: above(10, restore: 10),
        grace: 120_000,
        offDelay: 25_000
      ),
      sent: [(0, 12), (10, 1), (20, 12), (60, 12)],
      expected: ["raised 10000 12.0 10.0"]
    ),
    Case(
      name: "a window that ends with the delay is judged before it",
      plan: Plan(shape: tumbling, limit: above(10, restore: 10), onDelay: 20_000),
      sent: [(0, 12), (10, 12), (20, 1), (60, 1)],
      expected: []
    ),
    Case(
      name: "the delay runs out between two windows",
      plan: Plan(shape: tumbling, limit: above(10, restore: 10), grace: 30_000, onDelay: 15_000),
      sent: [(0, 12), (10, 12), (20, 1), (60, 1)],
      expected: ["raised 25000 12.0 10.0", "returned 30000 1.0 10.0"]
    ),
    Case(
      name: "inside the deadband a standing alarm does not return",
      plan: Plan(shape: tumbling, offDelay: 15_000),
      sent: [(0, 9), (10, 4), (20, 7), (30, 7), (40, 7)],
      expected: ["raised 10000 9.0 8.0"]
    ),
    Case(
      name: "inside the deadband no alarm is raised",
      plan: Plan(shape: tumbling, onDelay: 15_000),
      sent: [(0, 9), (10, 7), (20, 7), (30, 7)],
      expected: []
    ),
    Case(
      name: "a window of which nothing is known takes a delay back",
      plan: Plan(shape: tumbling, minimumCount: 2, onDelay: 15_000),
      sent: [(0, 9), (1, 9), (10, 9), (20, 7), (21, 7), (30, 7)],
      expected: []
    ),
    Case(
      name: "silence does not clear",
      plan: Plan(
        shape: .sliding(span: 60_000),
        statistic: .last,
        offDelay: 300_000,
        stale: 120_000
      ),
      sent: [(0, 9), (10, 4)],
      expected: ["raised 0 9.0 8.0"]
    ),
    Case(
      name: "silence does not raise",
      plan: Plan(shape: .sliding(span: 60_000), statistic: .last, onDelay: 300_000, stale: 120_000),
      sent: [(0, 9)],
      expected: []
    ),
    Case(
      name: "a delay that ends as the silence is known has run its course",
      plan: Plan(shape: tumbling, statistic: .last, onDelay: 50_000, stale: 60_000),
      sent: [(0, 9)],
      expected: ["raised 60000 9.0 8.0"]
    ),
    Case(
      name: "a status without a value does not clear",
      plan: Plan(shape: tumbling, offDelay: 15_000),
      sent: [(0, 9), (10, 4), (22, .nan), (24, .nan), (60, .nan)],
      expected: ["raised 10000 9.0 8.0"]
    ),
    Case(
      name: "what is resumed after a silence begins its delay anew",
      plan: Plan(shape: tumbling, onDelay: 15_000, stale: 30_000),
      sent: [(0, 9), (50, 9), (60, 9), (70, 9), (80, 9)],
      // (The silence is known at 30 s: the first delay had ended.)
      expected: ["raised 25000 9.0 8.0"]
    ),
    Case(
      name: "an own state that was not known in between has not lasted",
      plan: Plan(
        shape: .state(judged: 1),
        statistic: .count,
        limit: above(2, restore: 2),
        stale: 20_000
      ),
      sent: [
        (0, 1), (5, 1), (60, 1), (65, 1), (70, 0), (80, 1), (81, 1), (82, .nan), (83, 1), (84, 0),
      ],
      expected: []
    ),
  ]

  @Test("one after the other", arguments: cases)
  func table(_ one: Case) throws {
    var random = SeededRandom(seed: 7)
    for way in Way.allCases {
      if way == .packed, one.plan.grace == 0 { continue }
      for _ in 0..<(way == .packed ? 20 : 1) {
        #expect(try Self.run(one.plan, one.samples, way, &random) == one.expected, "\(way)")
      }
    }
  }

  @Test("every cut of the readings into messages within the grace", arguments: cases.prefix(5))
  func everyCut(_ one: Case) throws {
    guard one.plan.grace > 0 else { return }
    for cuts in 0..<(1 << (one.sent.count - 1)) {
      var bench = try Bench(one.plan.builder)
      bench.read(-600_000, 6)
      var part: [(Double, Double)] = []
      for (index, sample) in one.sent.enumerated() {
        part.append(sample)
        guard index == one.sent.count - 1 || cuts & (1 << index) != 0 else { continue }
        var batch = ReadingBatch(received: at(Int64(sample.0 * 1000)), baseSequence: bench.sequence)
        for (seconds, value) in part {
          batch.append(
            Reading(
              channel: ChannelIndex(rawValue: 0),
              time: at(Int64(seconds * 1000)),
              value: value
            ),
            sequence: bench.sequence
          )
          bench.sequence += 1
        }
        bench.engine.apply(batch, into: &bench.out)
        try bench.restart(under: one.plan.builder)
        part = []
      }
      bench.tick(10_000_000)
      #expect(bench.out.map(Self.lines) == one.expected, "cut \(String(cuts, radix: 2))")
    }
  }
}
