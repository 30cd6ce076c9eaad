import AlarmEngine
import Telemetry
import Testing

/// What a detector has seen and said under one plan, and what it counts for under the next.
@Suite("Detectors over a plan change")
struct PlanChangeDetectorTests {
  @Test("a control chart goes by the baseline that the plan gives now")
  func baseline() throws {
    func builder(_ baseline: ControlBaseline) -> PlanBuilder {
      var builder = PlanBuilder()
      builder.add("chart", .ewmaChart(.init(baseline: baseline)))
      builder.add("sums", .cusum(.init(baseline: baseline)))
      return builder
    }
    for first in [ControlBaseline.given(mean: 10, standardDeviation: 1), .learned(readings: 100)] {
      var bench = try Bench(builder(first))
      for time in Int64(0)..<20 { bench.read(time * 1000, 10) }
      let second = builder(.given(mean: 20, standardDeviation: 1))
      try bench.replacePlan(second, at: 20_000)
      _ = bench.take()
      for time in Int64(20)..<60 { bench.read(time * 1000, 20) }
      #expect(bench.take() == [], "\(first)")
      for time in Int64(60)..<90 { bench.read(time * 1000, 10) }
      #expect(bench.take().count == 2, "\(first)")
    }
  }

  @Test("no delay runs on for a rule of another kind under the same name")
  func otherKind() throws {
    func builder(_ detector: Detector) -> PlanBuilder {
      var builder = PlanBuilder(channelsPerDevice: 2)
      builder.add("rule", detector, onDelay: 60_000)
      return builder
    }
    func changed(to detector: Detector) throws -> Bench {
      var bench = try Bench(builder(.high(50)))
      bench.read(0, 60)
      try bench.replacePlan(builder(detector), at: 10_000)
      return bench
    }
    var random = SeededRandom(seed: 3)
    let rows = (0..<200).map { _ in (0..<2).map { _ in Double(random.int(0...100)) / 10 } }
    let model = try MultivariateModel.learn(rows: rows, parameters: .init(lags: 0, smoothing: 1))
    let signals = (0..<2).map { ChannelIndex(rawValue: $0) }
    for detector in [
      .stuck(.init(duration: 600_000)), .clockFault, .multivariate(model, signals: signals),
    ] as [Detector] {
      var bench = try changed(to: detector)
      bench.tick(1_200_000)
      #expect(bench.take() == [], "\(detector)")
    }
    // The silence itself is waited for, and its own delay.
    var bench = try changed(to: .stale(afterMilliseconds: 3_600_000))
    bench.tick(3_660_000)
    #expect(bench.take() == [])
    bench.tick(3_660_001)
    #expect(bench.take() == ["raised r0 3660000 unacknowledged"])
    // What stood still begins a limit's delay no sooner than the limit does.
    bench = try Bench(builder(.stuck(.init(duration: 20_000))))
    for second in stride(from: Int64(0), through: 20, by: 10) { bench.read(second * 1000, 60) }
    try bench.replacePlan(builder(.high(50)), at: 30_000)
    bench.tick(90_000)
    #expect(bench.take() == [])
    bench.tick(90_001)
    #expect(bench.take() == ["raised r0 90000 unacknowledged"])
  }

  @Test("another expression does not take one signal's value for another's")
  func expression() throws {
    var bench = try Bench(try PlanBuilder(condition: "a > 10 and c > 5"))
    bench.read(0, 20, channel: 0)
    bench.read(0, 1, channel: 1)
    bench.read(0, 1, channel: 2)
    #expect(bench.take() == [])
    try bench.replacePlan(try PlanBuilder(condition: "b > 10 and c > 5"), at: 1000)
    bench.read(2000, 9, channel: 2)
    #expect(bench.take() == [], "b is 1, whatever a is")
    bench.read(3000, 11, channel: 1)
    #expect(bench.take() == ["raised r0 3000 unacknowledged"])
  }

  @Test("signals that seldom report are known to an expression that is new in a rule's place")
  func expressionKnows() throws {
    var bench = try Bench(try PlanBuilder(condition: "a > 10 and c > 5"))
    bench.read(0, 20, channel: 0)
    bench.read(0, 1, channel: 2)
    try bench.replacePlan(try PlanBuilder(condition: "a > 15 and c > 5"), at: 1000)
    bench.read(2000, 9, channel: 2)
    #expect(bench.take() == ["raised r0 2000 unacknowledged"])
  }

  @Test("an expression that is new, or lowered, knows what stands, and raises at once")
  func expressionPresent() throws {
    func builder(_ condition: String?) throws -> PlanBuilder {
      var builder = PlanBuilder(channelsPerDevice: 3)
      for channel in UInt32(0)..<3 {
        builder.add("stale", .stale(afterMilliseconds: 3_600_000), channel: channel)
      }
      guard let condition else { return builder }
      let bound = try BoundExpression(condition)
      builder.add("e", .expression(bound.expression, signals: bound.signals))
      return builder
    }
    for first in [nil, "a > 90 and b > 50"] {
      var bench = try Bench(try builder(first))
      bench.read(0, 60, channel: 0)
      bench.read(0, 60, channel: 1)
      try bench.replacePlan(try builder("a > 50 and b > 50"), at: 600_000)
      #expect(bench.take() == ["raised r3 600000 unacknowledged"])
      try bench.replacePlan(try builder("a > 40 and b > 50"), at: 700_000)
      bench.read(800_000, 60, channel: 0)
      #expect(bench.take() == [])
    }
  }

  @Test("a lowered figure of a `for` lets its alarm stand")
  func expressionStands() throws {
    var bench = try Bench(try PlanBuilder(condition: "a > 50 for 5 min"))
    for second in stride(from: Int64(0), through: 360, by: 60) { bench.read(second * 1000, 60) }
    #expect(bench.take() == ["raised r0 300000 unacknowledged"])
    try bench.replacePlan(try PlanBuilder(condition: "a > 45 for 5 min"), at: 390_000)
    for second in stride(from: Int64(420), through: 1200, by: 60) { bench.read(second * 1000, 60) }
    #expect(bench.take() == [])
    bench.read(1_260_000, 40)
    #expect(bench.take() == ["returned r0 1260000 returnedUnacknowledged"])
  }

  @Test("a `for` that ran on another condition does not count")
  func expressionClock() throws {
    var bench = try Bench(try PlanBuilder(condition: "a > 10 for 60 s"))
    bench.read(0, 20, channel: 0)
    try bench.replacePlan(try PlanBuilder(condition: "a < 30 and a > 15 for 60 s"), at: 59_000)
    bench.read(61_000, 20, channel: 0)
    // (It has been so since its newest reading, which is what is known of it.)
    #expect(bench.take() == ["raised r0 60000 unacknowledged"])
    bench = try Bench(try PlanBuilder(condition: "a > 10 for 60 s"))
    bench.read(0, 20, channel: 0)
    try bench.replacePlan(try PlanBuilder(condition: "a > 25 for 60 s"), at: 59_000)
    bench.read(61_000, 26, channel: 0)
    bench.tick(100_000)
    #expect(bench.take() == [])
  }

  private func interlock(
    _ cut: Int,
    deadline: Int64 = 20_000,
    restoreDeadline: Int64? = nil
  ) throws -> PlanBuilder {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add(
      "feed",
      .interlock(
        .init(deadline: deadline, restoreDeadline: restoreDeadline),
        cause: try BoundExpression("a >= \(cut)"),
        response: try BoundExpression("b < 1")
      )
    )
    return builder
  }

  @Test("an interlock that has failed stands under a lower figure until its response is there")
  func interlockStands() throws {
    var bench = try Bench(try interlock(50))
    bench.read(0, 1, channel: 1)
    bench.read(5000, 60)
    bench.tick(26_000)
    #expect(bench.take() == ["raised r0 25000 unacknowledged"])
    try bench.replacePlan(try interlock(45), at: 100_000)
    bench.read(105_000, 60)
    bench.read(106_000, 1, channel: 1)
    bench.tick(200_000)
    #expect(bench.take() == [])
    bench.read(201_000, 0, channel: 1)
    #expect(bench.take() == ["returned r0 201000 returnedUnacknowledged"])
  }

  @Test("an interlock that has not let go stands under a lower figure until it does")
  func restoreStands() throws {
    var bench = try Bench(try interlock(50, restoreDeadline: 10_000))
    bench.read(0, 1, channel: 1)
    bench.read(1000, 60)
    bench.read(2000, 0, channel: 1)
    bench.read(10_000, 40)
    bench.tick(30_000)
    #expect(bench.take() == ["raised r0 20000 unacknowledged"])
    try bench.replacePlan(try interlock(45, restoreDeadline: 60_000), at: 40_000)
    bench.read(41_000, 40)
    bench.tick(100_000)
    #expect(bench.take() == [])
    bench.read(101_000, 1, channel: 1)
    #expect(bench.take() == ["returned r0 101000 returnedUnacknowledged"])
  }

  @Test(
    "a cause that waits has the time that the plan in force gives it since it came",
    arguments: [2000, 10_000, 60_000] as [Int64]
  )
  func deadlineMoved(deadline: Int64) throws {
    var bench = try Bench(try interlock(50))
    bench.read(0, 1, channel: 1)
    bench.read(5000, 60)
    try bench.replacePlan(try interlock(50, deadline: deadline), at: 10_000)
    let due = 5000 + deadline
    bench.tick(max(due, 10_000))
    #expect(bench.take() == [])
    bench.tick(max(due, 10_000) + 1)
    #expect(bench.take() == ["raised r0 \(due) unacknowledged"])
    bench.tick(200_000)
    #expect(bench.take() == [])
  }

  @Test("a response that must end has the time of the plan in force since its cause went")
  func restoreDeadlineMoved() throws {
    let cases: [(Int64?, [String])] = [
      (15_000, ["raised r0 25000 unacknowledged"]), (90_000, ["raised r0 100000 unacknowledged"]),
      (nil, []),
    ]
    for (restoreDeadline, steps) in cases {
      var bench = try Bench(try interlock(50, restoreDeadline: 60_000))
      bench.read(0, 1, channel: 1)
      bench.read(1000, 60)
      bench.read(2000, 0, channel: 1)
      bench.read(10_000, 40)
      try bench.replacePlan(try interlock(50, restoreDeadline: restoreDeadline), at: 20_000)
      bench.tick(30_000)
      let soon = bench.take()
      bench.tick(200_000)
      let late = bench.take()
      #expect(soon + late == steps)
      #expect(soon.isEmpty == (restoreDeadline != 15_000))
    }
  }

  @Test("an interlock that is new has failed where its cause has stood for longer than it may")
  func interlockPresent() throws {
    var bench = try Bench(PlanBuilder(channelsPerDevice: 2))
    bench.read(0, 1, channel: 1)
    bench.read(5000, 60)
    try bench.replacePlan(try interlock(50), at: 100_000)
    #expect(bench.take() == ["raised r0 100000 unacknowledged"])
    bench.tick(200_000)
    #expect(bench.take() == [])
  }

  @Test("a deviation that is new knows what it is measured from")
  func deviationPresent() throws {
    var bench = try Bench(PlanBuilder(channelsPerDevice: 2))
    bench.read(0, 20, channel: 1)
    bench.read(0, 10)
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("peer", .deviation(.init(limit: 4), from: ChannelIndex(rawValue: 1)))
    try bench.replacePlan(builder, at: 1000)
    #expect(bench.take() == [])
    bench.read(2000, 10)
    #expect(bench.take() == ["raised r0 2000 unacknowledged"])
  }

  @Test("what was learnt of values in another unit does not count, and what stands still stands")
  func unit() throws {
    func builder(_ unit: String, _ setpoint: Double) throws -> PlanBuilder {
      var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 64))
      builder.plan.channels[0].unit = StableID(name: unit)
      let limit = LimitParameters(comparison: .atOrAbove, setpoint: setpoint, restore: setpoint)
      builder.addWindow(.init(shape: .sliding(span: 600_000), statistic: .mean, limit: limit))
      let bound = try BoundExpression("a >= 1 and a >= 0.5")
      builder.add("e", .expression(bound.expression, signals: bound.signals))
      builder.add("high", .high(1))
      builder.add("rate", .successiveChange(perSecond: 50))
      return builder
    }
    var bench = try Bench(try builder("%LEL", 25))
    for second in stride(from: Int64(0), through: 600, by: 30) { bench.read(second * 1000, 1) }
    #expect(
      bench.take() == ["raised r2 0 unacknowledged", "raised r1 0 unacknowledged"]
    )
    try bench.replacePlan(try builder("ppm", 2500), at: 610_000)
    #expect(bench.take() == [])
    bench.read(630_000, 3000)
    #expect(bench.take() == ["raised r0 630000 unacknowledged"])
    bench.read(620_000, 3000, lag: 15_000)
    bench.read(660_000, 3000)
    #expect(bench.take() == [])
    // Under the same unit everything goes on.
    try bench.replacePlan(try builder("ppm", 2500), at: 661_000)
    bench.read(690_000, 2000)
    #expect(bench.take() == [], "the mean is above still")
  }
}
