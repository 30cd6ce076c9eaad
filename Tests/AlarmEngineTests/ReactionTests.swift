import AlarmEngine
import Telemetry
import Testing

/// Suppression by design, escalation, cascades over other rules, and how a rule behaves.
@Suite("Reactions")
struct ReactionTests {
  private static func bound(_ text: String) throws -> BoundExpression {
    try BoundExpression(text) { name in
      switch name {
      case "running": SignalType(index: 1, kind: .state)
      case "speed": SignalType(index: 1, kind: .quantity(.number))
      default: nil
      }
    }
  }

  @Test("suppressed while the expression is true, and no longer")
  func suppression() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    let rule = builder.add("low", .low(5))
    builder.plan.rules[0].suppression = try Self.bound("not running")
    var bench = try Bench(builder)
    // Not known: nothing is suppressed.
    bench.read(0, 3)
    #expect(bench.take() == ["raised r0 0 unacknowledged"])
    bench.read(1000, 0, channel: 1)
    #expect(bench.take() == ["suppressed r0 1000 suppressedByDesign"])
    bench.read(2000, 9)
    bench.read(3000, 3)
    #expect(
      bench.take() == [
        "returned r0 2000 suppressedByDesign", "raised r0 3000 suppressedByDesign",
      ]
    )
    #expect(bench.act(.acknowledge, rule, at: 3500) == nil)
    _ = bench.take()
    bench.read(4000, 1, channel: 1)
    #expect(bench.take() == ["unsuppressed r0 4000 acknowledged"])
    bench.read(5000, 0, channel: 1)
    _ = bench.take()
    // A sensor that says nothing any more suppresses nothing any more.
    bench.read(6000, 0, channel: 1, status: .lineBroken)
    #expect(bench.take() == ["unsuppressed r0 6000 acknowledged"])
  }

  @Test("a suppression with a duration waits for it, across a snapshot")
  func duration() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("low", .low(5))
    builder.plan.rules[0].suppression = try Self.bound("speed < 10 for 30 s")
    var bench = try Bench(builder)
    bench.read(0, 3)
    bench.read(1000, 4, channel: 1)
    _ = bench.take()
    try bench.restart(under: builder)
    bench.tick(31_000)
    #expect(bench.take() == [])
    bench.tick(31_001)
    #expect(bench.take() == ["suppressed r0 31000 suppressedByDesign"])
    // A plan without the suppression lets the alarm go.
    builder.plan.rules[0].suppression = nil
    try bench.replacePlan(builder, at: 40_000)
    #expect(bench.take() == ["unsuppressed r0 40000 unacknowledged"])
  }

  @Test("an alarm that stands becomes more urgent, and voids its acknowledgement")
  func escalation() throws {
    var builder = PlanBuilder()
    let rule = builder.add("high", .high(10))
    builder.plan.rules[0].escalation = RulePlan.Escalation(
      afterMilliseconds: 60_000,
      priority: .red
    )
    var bench = try Bench(builder)
    bench.read(0, 20)
    bench.act(.acknowledge, rule, at: 10_000)
    _ = bench.take()
    try bench.restart(under: builder)
    bench.tick(60_001)
    #expect(bench.out.map(\.priority) == [.red])
    #expect(bench.take() == ["priorityChanged r0 60000 unacknowledged"])
    try bench.restart(under: builder)
    bench.read(70_000, 1)
    #expect(bench.out.map(\.priority) == [.red])
    #expect(bench.take() == ["returned r0 70000 returnedUnacknowledged"])
    // The next one begins as the rule says; a short one never rises.
    bench.read(80_000, 20)
    #expect(bench.out.map(\.priority) == [.yellow])
    bench.read(90_000, 1)
    _ = bench.take()
    bench.read(100_000, 20)
    bench.tick(159_000)
    bench.read(159_500, 1)
    #expect(!bench.take().contains { $0.hasPrefix("priorityChanged") })
  }

  @Test(
    "an alarm that becomes more urgent while it is shelved is annunciated",
    arguments: [.shelve(until: at(600_000)), .shelveOnce] as [Command.Act]
  )
  func escalationOfShelved(act: Command.Act) throws {
    var builder = PlanBuilder()
    let rule = builder.add("high", .high(10))
    builder.plan.rules[0].escalation = RulePlan.Escalation(
      afterMilliseconds: 60_000,
      priority: .red
    )
    var bench = try Bench(builder)
    bench.read(0, 20)
    bench.act(act, rule, at: 10_000)
    _ = bench.take()
    bench.tick(60_001)
    #expect(bench.out.map(\.priority) == [.red, .red])
    #expect(
      bench.take() == ["priorityChanged r0 60000 shelved", "unshelved r0 60000 unacknowledged"]
    )
    #expect(bench.act(.unshelve, rule, at: 100_000) == .notApplicable)
    bench.tick(700_000)
    #expect(bench.take() == [])
    #expect(bench.standing().map(\.state) == [.unacknowledged])
  }

  /// Four grades on each of some points, and cascades over them.
  static func pond(points: Int, window: Bool = false) throws -> PlanBuilder {
    var builder = PlanBuilder(devices: points + 1, channelsPerDevice: 1)
    var members: [[CascadeParameters.Member]] = []
    for point in 0..<points {
      members.append(
        AlarmPriority.allCases.map { grade in
          let rule = builder.add(
            "\(grade)",
            .high(Double(grade.rawValue) * 10, restore: Double(grade.rawValue) * 10 - 1),
            channel: UInt32(point),
            priority: grade
          )
          return CascadeParameters.Member(rule: rule, grade: grade)
        }
      )
    }
    let cascade = try CountCascade()
    for grade in [AlarmPriority.yellow, .orange, .red] {
      builder.add(
        "cascade-\(grade)",
        .cascade(CascadeParameters(cascade: cascade, grade: grade, points: members)),
        channel: UInt32(points),
        priority: grade
      )
    }
    return builder
  }

  @Test("four blue make a yellow, three yellow an orange, two orange a red")
  func cascade() throws {
    let points = 24
    var bench = try Bench(try Self.pond(points: points))
    let first = UInt32(points * 4)
    func cascades(_ bench: inout Bench) -> [String] {
      defer { bench.out = [] }
      return bench.out.filter { $0.rule.rawValue >= first }
        .map { "\($0.kind) \($0.priority) \($0.time.milliseconds - epochOfTests)" }
    }
    for point in UInt32(0)..<24 {
      bench.read(Int64(point) * 1000, 10, channel: point)
      let expected: [String] =
        switch point {
        case 3: ["raised yellow 3000"]
        case 11: ["raised orange 11000"]
        case 23: ["raised red 23000"]
        default: []
        }
      #expect(cascades(&bench) == expected, "point \(point)")
    }
    bench.read(30_000, 1, channel: 5)
    #expect(cascades(&bench) == ["returned red 30000"])
    // One point at red is red without any counting.
    bench.read(31_000, 45, channel: 5)
    #expect(cascades(&bench) == ["raised red 31000"])
  }

  @Test("cascades against counting anew", arguments: 1...10 as ClosedRange<UInt64>)
  func cascadeOracle(seed: UInt64) throws {
    let points = 9
    let builder = try Self.pond(points: points)
    var bench = try Bench(builder)
    var random = SeededRandom(seed: seed)
    var value = [Double](repeating: 0, count: points)
    var isRaised: Set<AlarmPriority> = []
    let first = points * 4
    for step in Int64(1)...2000 {
      let point = Int(random.int(0...Int64(points - 1)))
      value[point] = Double(random.int(0...5)) * 10 + 0.5
      bench.read(step * 1000, value[point], channel: UInt32(point))
      if random.chance(100) {
        try bench.restart(under: builder)
      }
      for transition in bench.out where Int(transition.rule.rawValue) >= first {
        let grade = AlarmPriority.allCases[Int(transition.rule.rawValue) - first + 1]
        if transition.kind == .raised { isRaised.insert(grade) } else { isRaised.remove(grade) }
      }
      bench.out = []
      // Written out by hand, not by CountCascade.
      let grades = value.map { min(4, Int($0 / 10)) }
      let count = { (grade: Int) in grades.filter { $0 == grade }.count }
      let yellow = count(2) + count(1) / 4
      let orange = count(3) + yellow / 3
      let red = count(4) + orange / 2
      var expected: Set<AlarmPriority> = []
      if yellow + orange + red > 0 { expected.insert(.yellow) }
      if orange + red > 0 { expected.insert(.orange) }
      if red > 0 { expected.insert(.red) }
      #expect(isRaised == expected, "SEED=\(seed) step \(step) \(grades)")
      guard isRaised == expected else { return }
    }
  }

  /// Two points of two devices that make a yellow together, on a device that never reports.
  ///
  /// The second device's clock is `ahead`, and the guard has seen so.
  private static func pair(ahead: Int64, onDelay: Int64 = 0, offDelay: Int64 = 0) throws -> Bench {
    var builder = PlanBuilder(devices: 3)
    var points: [[CascadeParameters.Member]] = []
    for channel in UInt32(0)..<2 {
      let rule = builder.add("high", .high(10), channel: channel)
      points.append([CascadeParameters.Member(rule: rule, grade: .blue)])
    }
    builder.add(
      "cascade",
      .cascade(
        CascadeParameters(
          cascade: try CountCascade(bluePerYellow: 2),
          grade: .yellow,
          points: points
        )
      ),
      channel: 2,
      onDelay: onDelay,
      offDelay: offDelay
    )
    var bench = try Bench(builder)
    for second in stride(from: Int64(-20), to: 0, by: 4) {
      bench.read(second * 1000, 1)
      bench.read(second * 1000 + ahead, 1, channel: 1, lag: -ahead)
    }
    return bench
  }

  private static let clocks: [Int64] = [-240_000, 0, 240_000]

  @Test(
    "a cascade's delay over several devices runs by one time, whatever their clocks show",
    arguments: clocks
  )
  func devices(ahead: Int64) throws {
    func cascade(_ bench: inout Bench) -> [String] { bench.take().filter { $0.contains(" r2 ") } }
    var bench = try Self.pair(ahead: ahead, onDelay: 60_000, offDelay: 30_000)
    bench.read(10_000, 20)
    bench.read(20_000 + ahead, 20, channel: 1, lag: -ahead)
    bench.tick(80_000)
    #expect(cascade(&bench) == [])
    bench.tick(80_001)
    #expect(cascade(&bench) == ["raised r2 80000 unacknowledged"])
    #expect(bench.standing().last?.onset == at(20_000))
    bench.read(90_000, 1)
    bench.tick(120_001)
    #expect(cascade(&bench) == ["returned r2 120000 returnedUnacknowledged"])
    // Forty seconds are no minute, by whichever clock they begin and end.
    bench.read(140_000, 20)
    bench.read(180_000 + ahead, 1, channel: 1, lag: -ahead)
    bench.read(190_000 + ahead, 20, channel: 1, lag: -ahead)
    bench.read(230_000, 1)
    bench.tick(400_000)
    #expect(cascade(&bench) == [])
  }

  @Test(
    "what begins and ends in a message has lasted, although another device is counted too",
    arguments: clocks,
    [1, 3]
  )
  func devicesInAMessage(ahead: Int64, cut: Int) throws {
    var bench = try Self.pair(ahead: ahead, onDelay: 60_000)
    bench.read(10_000, 20)
    let readings: [(Int64, Double)] = [(20_000, 20), (90_000, 1), (100_000, 1)]
    for first in stride(from: 0, to: readings.count, by: cut) {
      var batch = ReadingBatch(received: at(100_000), baseSequence: bench.sequence)
      for (time, value) in readings[first..<min(first + cut, readings.count)] {
        batch.append(
          Reading(channel: ChannelIndex(rawValue: 1), time: at(time + ahead), value: value),
          sequence: bench.sequence
        )
      }
      bench.engine.apply(batch, into: &bench.out)
    }
    #expect(
      bench.take() == [
        "raised r0 10000 unacknowledged", "raised r1 \(20_000 + ahead) unacknowledged",
        "returned r1 \(90_000 + ahead) returnedUnacknowledged", "raised r2 80000 unacknowledged",
        "returned r2 90000 returnedUnacknowledged",
      ]
    )
  }

  @Test("a cascade counts only rules before it, and at least one")
  func cascadeRefusals() throws {
    var builder = try Self.pond(points: 2)
    builder.plan.rules.swapAt(0, 8)
    #expect(throws: PlanError.self) { _ = try Engine(plan: builder.plan) }
    builder = try Self.pond(points: 2)
    builder.plan.rules[9].detector = .cascade(
      CascadeParameters(cascade: try CountCascade(), grade: .red, points: [])
    )
    #expect(throws: PlanError.self) { _ = try Engine(plan: builder.plan) }
  }

  @Test("chattering, fleeting and held back are measured by rule")
  func behaviour() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    let chatter = builder.add("high", .high(10))
    let slow = builder.add("slow", .high(10), channel: 1, onDelay: 5000)
    var bench = try Bench(builder)
    // Raised every 10 s for a minute: from the third raise on that is chattering.
    for step in Int64(0)..<12 { bench.read(step * 5000, step % 2 == 0 ? 20 : 1) }
    for step in Int64(0)..<6 { bench.read(step * 2000, step % 2 == 0 ? 20 : 1, channel: 1) }
    let first = bench.engine.statistics(of: chatter)
    #expect(first == RuleStatistics(raises: 6, chattering: 4, fleeting: 6, heldBack: 0))
    let second = bench.engine.statistics(of: slow)
    #expect(second == RuleStatistics(raises: 0, chattering: 0, fleeting: 0, heldBack: 3))
    // Thrice in more than a minute is no chatter; acknowledged in time is not fleeting.
    bench.read(200_000, 20)
    bench.act(.acknowledge, chatter, at: 201_000)
    bench.read(202_000, 1)
    let third = bench.engine.statistics(of: chatter)
    #expect(third?.chattering == 4)
    #expect(third?.fleeting == 6)
    let restored = try Engine(plan: builder.plan, restoring: bench.engine.snapshot())
    let (kept, before) = (restored.statistics(of: chatter), bench.engine.statistics(of: chatter))
    #expect(kept == before)
    let counters = restored.counters
    #expect(counters.chattering == 4)
    #expect(counters.raises == 7)
    #expect(counters.fleeting == 6)
    #expect(counters.heldBack == 3)
  }
}
