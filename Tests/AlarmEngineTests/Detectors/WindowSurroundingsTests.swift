import AlarmEngine
import Telemetry
import Testing

/// What comes between a rule on windows and its readings: another plan, a restart, silence, the other channels of its device
/// and a state that one of them tells.
@Suite("Window rules among others")
struct WindowSurroundingsTests {
  typealias Plan = WindowDelayTests.Plan

  @Test("a plan that changes the window keeps an alarm inside the deadband, and takes a delay back")
  func planChange() throws {
    let plans = [
      Plan(shape: .sliding(span: 10_000), statistic: .last, offDelay: 20_000),
      Plan(shape: .sliding(span: 12_000), statistic: .last, offDelay: 20_000),
    ]
    var bench = try Bench(plans[0].builder)
    bench.read(0, 9)
    bench.read(10_000, 4)
    try bench.replacePlan(plans[1].builder, at: 15_000)
    bench.tick(40_000)
    bench.read(41_000, 7)
    bench.tick(90_000)
    #expect(bench.out.map(WindowDelayTests.lines) == ["raised 0 9.0 8.0"])
    // From a plain limit.
    var plain = PlanBuilder()
    plain.add("window", .limit(plans[0].limit), offDelay: 20_000)
    var second = try Bench(plain)
    second.read(0, 9)
    second.read(10_000, 4)
    try second.replacePlan(plans[0].builder, at: 15_000)
    second.read(16_000, 7)
    second.tick(90_000)
    #expect(second.out.map(WindowDelayTests.lines) == ["raised 0 9.0 8.0"])
    second.read(91_000, 4)
    second.tick(120_000)
    #expect(
      second.out.map(WindowDelayTests.lines) == ["raised 0 9.0 8.0", "returned 111000 4.0 5.0"]
    )
  }

  @Test("a window waits out its grace though its channel is known to be silent before that")
  func graceBeyondSilence() throws {
    let plan = Plan(
      shape: .session(gap: 30_000, longest: 3_600_000),
      grace: 300_000,
      stale: 120_000
    )
    var bench = try Bench(plan.builder)
    bench.read(0, 9)
    bench.tick(330_001)
    #expect(bench.take() == ["raised r1 120000 unacknowledged"])
    bench.tick(330_002)
    #expect(bench.take() == ["raised r0 30001 unacknowledged"])
  }

  @Test("a grace that a plan makes shorter holds for the window that is open")
  func shorterGrace() throws {
    func plan(_ grace: Int64) -> Plan { Plan(shape: WindowDelayTests.tumbling, grace: grace) }
    var bench = try Bench(plan(600_000).builder)
    bench.read(1000, 9)
    try bench.replacePlan(plan(5000).builder, at: 2000)
    bench.tick(15_001)
    #expect(bench.out.map(WindowDelayTests.lines) == ["raised 10000 9.0 8.0"])
  }

  @Test("readings of other channels, held back with their device's, end no window before its grace")
  func otherChannels() throws {
    for others in 1...UInt32(2) {
      var builder = PlanBuilder(channelsPerDevice: 3)
      builder.plan.devices[0].clockToleranceMilliseconds = 3_600_000
      builder.plan.devices[0].reorderAllowanceMilliseconds = 5000
      builder.addWindow(Plan(shape: WindowDelayTests.tumbling, grace: 120_000).parameters)
      var bench = try Bench(builder)
      for second in 0...Int64(54) { bench.read(second * 1000, 1) }
      for second in 55...Int64(114) {
        for channel in 1...others { bench.read(second * 1000, 1, channel: channel) }
      }
      // The minute's readings of the window's channel come in one go.
      for second in 55...Int64(115) {
        bench.read(second * 1000, second == 57 ? 9 : 1, lag: 115_000 - second * 1000)
      }
      bench.tick(400_000)
      #expect(
        bench.out.map(WindowDelayTests.lines) == [
          "raised 60000 9.0 8.0", "returned 70000 1.0 5.0",
        ],
        "\(others) others"
      )
      #expect(bench.engine.counters.lateUnjudged == 0)
    }
  }

  @Test("from a snapshot it goes on as without, also when the device's lag has fallen meanwhile")
  func restartAfterLag() throws {
    let plan = Plan(shape: WindowDelayTests.tumbling, grace: 60_000)
    func run(restarts: Bool) throws -> [String] {
      var bench = try Bench(plan.builder)
      bench.read(1000, 9, lag: 5000)
      bench.read(2000, 9, lag: 5000)
      bench.read(8000, 9, lag: 500)
      if restarts {
        try bench.restart(under: plan.builder)
      }
      bench.tick(72_000)
      bench.read(9000, 12, lag: 64_000)
      bench.tick(200_000)
      return bench.out.map {
        "\(WindowDelayTests.lines($0)) \($0.received.milliseconds - epochOfTests)"
      }
    }
    let without = try run(restarts: false)
    #expect(without.count == 1)
    #expect(try run(restarts: true) == without)
  }

  @Test("a window's delay that waits for nothing is behind it before another channel's reading")
  func delayBeforeOthers() throws {
    var builder = PlanBuilder(channelsPerDevice: 3)
    builder.plan.devices[0].clockToleranceMilliseconds = 3_600_000
    builder.plan.devices[0].reorderAllowanceMilliseconds = 5000
    let plan = Plan(shape: .sliding(span: 20_000), onDelay: 10_000)
    builder.addWindow(plan.parameters, onDelay: plan.onDelay)
    builder.add("other", .limit(plan.limit), channel: 1)
    var bench = try Bench(builder)
    bench.read(50_000, 9, channel: 1, lag: 20_000)
    bench.read(60_000, 9, lag: 20_000)
    bench.read(69_000, 9, lag: 20_000)
    bench.read(72_000, 1, channel: 1, lag: 20_000)
    // The device's lag falls: what waits for the watermark passes all at once.
    bench.read(93_000, 1, channel: 2)
    bench.tick(94_000)
    #expect(
      bench.out.map { "\($0.kind) r\($0.rule.rawValue) \($0.time.milliseconds - epochOfTests)" }
        == ["raised r1 50000", "raised r0 70000", "returned r1 72000"]
    )
  }

  // MARK: states of another channel

  static func stateBuilder(_ source: UInt32 = 1, onDelay: Int64 = 0) -> PlanBuilder {
    var builder = PlanBuilder(channelsPerDevice: 3)
    builder.add(
      "window",
      .window(
        .init(
          shape: .state(judged: 1),
          statistic: .count,
          limit: LimitParameters(comparison: .atOrAbove, setpoint: 2, restore: 1)
        ),
        signals: [ChannelIndex(rawValue: 0), ChannelIndex(rawValue: source)]
      ),
      onDelay: onDelay
    )
    builder.add("stale", .stale(afterMilliseconds: 120_000), channel: 1)
    return builder
  }

  @Test("a state that was on its way while its channel was taken for silent is followed")
  func lateState() throws {
    var bench = try Bench(Self.stateBuilder())
    bench.read(0, 0, channel: 1)
    bench.tick(120_001)
    #expect(bench.take() == ["raised r1 120000 unacknowledged"])
    bench.read(100_000, 1, channel: 1, lag: 21_000)
    for second in 122...Int64(125) { bench.read(second * 1000, 3) }
    bench.read(126_000, 0, channel: 1)
    let own = bench.out.filter { $0.rule.rawValue == 0 }
    #expect(own.map(WindowDelayTests.lines) == ["raised 126000 4.0 2.0"])
    #expect(bench.engine.counters.lateUnjudged == 0)
  }

  @Test("a state that is not known any more takes a delay back", arguments: [false, true])
  func unknownState(isSilence: Bool) throws {
    var bench = try Bench(Self.stateBuilder(onDelay: 300_000))
    bench.read(0, 1, channel: 1)
    for second in 1...Int64(5) { bench.read(second * 1000, 3) }
    bench.read(6000, 0, channel: 1)
    if !isSilence { bench.read(50_000, 0, channel: 1, status: .sensorFault) }
    bench.tick(900_000)
    #expect(bench.out.count { $0.rule.rawValue == 0 } == 0)
  }

  @Test("another channel's states are not mixed with those of the one before", arguments: [1, 2])
  func otherSource(source: UInt32) throws {
    var bench = try Bench(Self.stateBuilder(1))
    bench.read(0, 1, channel: 1)
    for second in 1...Int64(5) { bench.read(second * 1000, 3) }
    var next = Self.stateBuilder(source)
    // Other rows for the same channels: their identity counts.
    next.plan.devices.append(DevicePlan(id: StableID(name: "other")))
    try bench.replacePlan(next, at: 5500)
    bench.read(6000, 0, channel: source)
    let own = bench.out.filter { $0.rule.rawValue == 0 }
    #expect(own.map(WindowDelayTests.lines) == (source == 1 ? ["raised 6000 5.0 2.0"] : []))
  }
}
