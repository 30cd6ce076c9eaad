import AlarmEngine
import Telemetry
import Testing

@Suite("Plan changes")
struct PlanChangeTests {
  private func builder(
    order: [Int] = [0, 1, 2],
    priority: AlarmPriority = .yellow,
    setpoint: Double = 10
  ) -> PlanBuilder {
    var builder = PlanBuilder()
    for rule in order {
      switch rule {
      case 0: builder.add("high", .high(setpoint), priority: priority)
      case 1: builder.add("delayed", .high(5), onDelay: 5000)
      default: builder.add("stale", .stale(afterMilliseconds: 60_000))
      }
    }
    return builder
  }

  private func replace(_ bench: inout Bench, _ builder: PlanBuilder, at time: Int64) throws -> Int {
    try bench.engine.replacePlan(builder.plan, at: at(time), into: &bench.out).count
  }

  @Test("rows in another order keep alarms, delays and staleness, and raise nothing again")
  func reordered() throws {
    var bench = try Bench(builder())
    bench.read(0, 11)
    #expect(bench.take() == ["raised r0 0 unacknowledged"])
    #expect(try replace(&bench, builder(order: [2, 1, 0]), at: 1000) == 0)
    bench.read(2000, 12)
    bench.tick(70_000)
    #expect(
      bench.take() == ["raised r1 5000 unacknowledged", "raised r0 62000 unacknowledged"]
    )
    #expect(bench.standing().map(\.onset) == [at(62_000), at(0), at(0)])
  }

  @Test("a rule that goes away closes its alarm, with the old plan's row")
  func removed() throws {
    var bench = try Bench(builder())
    bench.read(0, 11)
    bench.read(1000, 9)
    bench.read(2000, 11)
    _ = bench.take()
    #expect(try replace(&bench, builder(order: [1, 2]), at: 3000) == 2)
    #expect(
      bench.take() == ["removedFromService r0 3000 normal", "removedFromService r0 3000 normal"]
    )
    bench.tick(9000)
    #expect(bench.take() == ["raised r0 5000 unacknowledged"])
  }

  @Test("a higher priority voids the acknowledgement, a lower one does not")
  func priority() throws {
    var bench = try Bench(builder())
    bench.read(0, 11)
    bench.act(.acknowledge, RuleIndex(rawValue: 0), at: 100)
    _ = bench.take()
    _ = try replace(&bench, builder(priority: .red), at: 1000)
    #expect(bench.take() == ["priorityChanged r0 1000 unacknowledged"])
    bench.act(.acknowledge, RuleIndex(rawValue: 0), at: 1100)
    _ = bench.take()
    _ = try replace(&bench, builder(priority: .blue), at: 2000)
    #expect(bench.take() == ["priorityChanged r0 2000 acknowledged"])
    #expect(bench.standing().map(\.priority) == [.blue])
  }

  @Test("a new set-point judges the value that stands, and ends an alarm with the next reading")
  func setpoint() throws {
    var bench = try Bench(builder())
    bench.read(0, 11)
    _ = bench.take()
    _ = try replace(&bench, builder(setpoint: 20), at: 100)
    #expect(bench.take() == [])
    bench.read(1000, 11)
    #expect(bench.take() == ["returned r0 1000 returnedUnacknowledged"])
    _ = try replace(&bench, builder(setpoint: 3), at: 1100)
    #expect(bench.out.map(\.value) == [11])
    #expect(bench.take() == ["raised r0 1100 unacknowledged"])
    bench.read(2000, 4)
    #expect(bench.take() == [])
  }

  private func lowered(_ setpoint: Double, window: ChannelWindow? = nil) -> PlanBuilder {
    var builder = PlanBuilder(window: window)
    builder.add("high", .high(setpoint))
    builder.add("stale", .stale(afterMilliseconds: 60_000))
    return builder
  }

  @Test("a value that is stale, or none, is held against no new set-point")
  func unknownValue() throws {
    var bench = try Bench(lowered(90))
    bench.read(0, 60)
    bench.tick(70_000)
    _ = bench.take()
    _ = try replace(&bench, lowered(50), at: 80_000)
    #expect(bench.take() == [])
    bench = try Bench(lowered(90))
    bench.read(0, 60)
    bench.read(1000, 60, status: .sensorFault)
    _ = try replace(&bench, lowered(50), at: 2000)
    #expect(bench.take() == [])
  }

  @Test("a delay that runs on a former set-point raises nothing under a higher one")
  func delayed() throws {
    func builder(_ setpoint: Double) -> PlanBuilder {
      var builder = PlanBuilder()
      builder.add("high", .high(setpoint), onDelay: 600_000)
      return builder
    }
    var bench = try Bench(builder(50))
    bench.read(0, 60)
    _ = try replace(&bench, builder(90), at: 301_000)
    bench.tick(1_200_000)
    #expect(bench.take() == [])
    // By a lower one it runs on.
    bench = try Bench(builder(50))
    bench.read(0, 60)
    _ = try replace(&bench, builder(40), at: 301_000)
    bench.tick(1_200_000)
    #expect(bench.take() == ["raised r0 600000 unacknowledged"])
  }

  @Test("a delay that runs on a former restore value ends no alarm under a lower one")
  func delayedReturn() throws {
    func builder(_ restore: Double) -> PlanBuilder {
      var builder = PlanBuilder()
      builder.add("high", .high(50, restore: restore), offDelay: 600_000)
      return builder
    }
    let cases: [(Double, [String])] = [
      (30, []), (45, ["returned r0 601000 returnedUnacknowledged"]),
    ]
    for (restore, steps) in cases {
      var bench = try Bench(builder(40))
      bench.read(0, 60)
      bench.read(1000, 35)
      _ = bench.take()
      _ = try replace(&bench, builder(restore), at: 301_000)
      bench.tick(1_200_000)
      #expect(bench.take() == steps)
    }
  }

  @Test("what was before a new set-point is not judged by it, by no late reading either")
  func before() throws {
    let window = ChannelWindow(lengthMilliseconds: 600_000, capacity: 64)
    var bench = try Bench(lowered(90, window: window))
    bench.read(0, 60)
    bench.read(1000, 60)
    _ = try replace(&bench, lowered(50, window: window), at: 5000)
    #expect(bench.take() == ["raised r0 5000 unacknowledged"])
    bench.read(500, 70, lag: 5500)
    bench.read(4900, 60, lag: 1200)
    bench.read(7000, 60)
    #expect(bench.take() == [])
    bench.read(8000, 40)
    #expect(bench.take() == ["returned r0 8000 returnedUnacknowledged"])
  }

  @Test("a start under another plan holds values against its figures with the first input, once")
  func start() throws {
    var bench = try Bench(lowered(90))
    bench.read(1000, 60)
    // (The second start is from a snapshot of the first, before anything has come.)
    for _ in 0..<2 {
      bench.engine = try Engine(plan: lowered(50).plan, restoring: bench.engine.snapshot())
    }
    bench.tick(2000)
    #expect(bench.take() == ["raised r0 1000 unacknowledged"])
    bench.engine = try Engine(plan: lowered(50).plan, restoring: bench.engine.snapshot())
    bench.tick(3000)
    #expect(bench.take() == [])
  }

  @Test("an inconsistent plan leaves the old one in force")
  func refused() throws {
    var bench = try Bench(builder())
    bench.read(0, 11)
    var bad = builder()
    bad.add("bad", .high(.nan))
    let broken = bad.plan
    var problems = 0
    do throws(PlanError) {
      try bench.engine.replacePlan(broken, at: at(100), into: &bench.out)
    } catch { problems = error.problems.count }
    #expect(problems == 1)
    bench.read(1000, 9)
    #expect(
      bench.take() == ["raised r0 0 unacknowledged", "returned r0 1000 returnedUnacknowledged"]
    )
  }

  @Test("a rule that is new begins afresh, a stale one waits from now")
  func added() throws {
    var bench = try Bench(builder(order: [0]))
    bench.read(0, 11)
    _ = bench.take()
    _ = try replace(&bench, builder(), at: 10_000)
    bench.tick(60_000)
    #expect(bench.take() == ["raised r1 15000 unacknowledged"], "its delay runs from the plan on")
    bench.tick(60_001)
    #expect(bench.take() == ["raised r2 60000 unacknowledged"])
  }

  @Test("a silence and a delay that run are looked at sooner when the plan waits less long")
  func shortened() throws {
    func builder(stale: Int64, delay: Int64) -> PlanBuilder {
      var builder = PlanBuilder()
      builder.add("stale", .stale(afterMilliseconds: stale))
      builder.add("high", .high(10), onDelay: delay)
      return builder
    }
    var bench = try Bench(builder(stale: 86_400_000, delay: 3_600_000))
    bench.read(0, 11)
    _ = try replace(&bench, builder(stale: 60_000, delay: 20_000), at: 10_000)
    bench.tick(61_000)
    #expect(
      bench.take() == ["raised r1 20000 unacknowledged", "raised r0 60000 unacknowledged"]
    )
  }

  @Test(
    "re-alarm and escalation that are added reach a standing alarm, and what has escalated does not fall back"
  )
  func reactionsAdded() throws {
    func builder(reAlarm: Int64, escalateTo: AlarmPriority?) -> PlanBuilder {
      var builder = PlanBuilder()
      builder.add("high", .high(10), reAlarm: reAlarm)
      if let escalateTo {
        builder.plan.rules[0].escalation = .init(afterMilliseconds: 60_000, priority: escalateTo)
      }
      return builder
    }
    var bench = try Bench(builder(reAlarm: 0, escalateTo: nil))
    bench.read(0, 11)
    bench.act(.acknowledge, RuleIndex(rawValue: 0), at: 500)
    _ = bench.take()
    _ = try replace(&bench, builder(reAlarm: 30_000, escalateTo: .orange), at: 1000)
    bench.tick(31_500)
    #expect(bench.take() == ["reAlarmed r0 31000 unacknowledged"])
    bench.tick(61_001)
    #expect(bench.out.map(\.priority).contains(.orange))
    _ = bench.take()
    _ = try replace(&bench, builder(reAlarm: 30_000, escalateTo: .red), at: 70_000)
    #expect(bench.standing().map(\.priority) == [.red])
    // Under the same plan once more nothing begins anew.
    _ = bench.take()
    _ = try replace(&bench, builder(reAlarm: 30_000, escalateTo: .red), at: 71_000)
    #expect(bench.take() == [])
  }

  private func reacting(
    priority: AlarmPriority = .yellow,
    reAlarm: Int64 = 0,
    escalateAfter: Int64 = 0
  ) -> PlanBuilder {
    var builder = PlanBuilder()
    builder.add("high", .high(10), priority: priority, reAlarm: reAlarm)
    if escalateAfter > 0 {
      builder.plan.rules[0].escalation = .init(afterMilliseconds: escalateAfter, priority: .red)
    }
    return builder
  }

  private static let fourHours: Int64 = 14_400_000

  @Test(
    "a standing alarm escalates by the time that the plan in force gives it since it was raised",
    arguments: [(60_000, 600_000), (900_000, 900_000), (36_000_000, 36_000_000)] as [(Int64, Int64)]
  )
  func escalationMoved(after: Int64, due: Int64) throws {
    var bench = try Bench(reacting(escalateAfter: Self.fourHours))
    bench.read(0, 11)
    bench.act(.acknowledge, RuleIndex(rawValue: 0), at: 500)
    _ = bench.take()
    _ = try replace(&bench, reacting(escalateAfter: after), at: 600_000)
    bench.tick(due)
    #expect(bench.take() == [])
    bench.tick(due + 1)
    #expect(bench.out.map(\.priority) == [.red])
    #expect(bench.take() == ["priorityChanged r0 \(due) unacknowledged"])
    bench.tick(due + 2 * Self.fourHours)
    #expect(bench.take() == [])
  }

  @Test("a standing alarm annunciates again by the plan in force, once for all that has passed")
  func reAlarmMoved() throws {
    var bench = try Bench(reacting(reAlarm: Self.fourHours))
    bench.read(0, 11)
    _ = bench.take()
    _ = try replace(&bench, reacting(reAlarm: 60_000), at: 600_000)
    bench.tick(660_001)
    #expect(
      bench.take() == ["reAlarmed r0 600000 unacknowledged", "reAlarmed r0 660000 unacknowledged"]
    )
    _ = try replace(&bench, reacting(reAlarm: 90_000), at: 700_000)
    bench.tick(750_001)
    #expect(bench.take() == ["reAlarmed r0 750000 unacknowledged"])
  }

  @Test("an alarm that the plan makes less urgent, to become more so later, has not done so yet")
  func loweredWithEscalation() throws {
    var bench = try Bench(reacting(priority: .orange))
    bench.read(0, 11)
    bench.act(.acknowledge, RuleIndex(rawValue: 0), at: 500)
    _ = bench.take()
    let next = reacting(escalateAfter: Self.fourHours)
    _ = try replace(&bench, next, at: 1000)
    #expect(bench.out.map(\.priority) == [.yellow])
    #expect(bench.take() == ["priorityChanged r0 1000 acknowledged"])
    bench.engine = try Engine(plan: next.plan, restoring: bench.engine.snapshot())
    bench.tick(Self.fourHours + 1000)
    #expect(bench.take() == [])
    bench.tick(Self.fourHours + 1001)
    #expect(bench.out.map(\.priority) == [.red])
    #expect(bench.take() == ["priorityChanged r0 14401000 unacknowledged"])
    // It stays what it has become, also when it has returned, in a start and under another plan.
    bench.read(Self.fourHours + 2000, 1)
    _ = bench.take()
    bench.engine = try Engine(plan: next.plan, restoring: bench.engine.snapshot())
    _ = try replace(&bench, reacting(escalateAfter: 60_000), at: Self.fourHours + 3000)
    #expect(bench.take() == [])
    #expect(bench.standing().map(\.priority) == [.red])
  }

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
      _ = try replace(&bench, second, at: 20_000)
      _ = bench.take()
      for time in Int64(20)..<60 { bench.read(time * 1000, 20) }
      #expect(bench.take() == [], "\(first)")
      for time in Int64(60)..<90 { bench.read(time * 1000, 10) }
      #expect(bench.take().count == 2, "\(first)")
    }
  }

  private func bound(_ text: String) throws -> BoundExpression {
    let expression = try CompiledExpression(text) { name in
      switch name {
      case "a": SignalType(index: 0, kind: .quantity(.number))
      case "b": SignalType(index: 1, kind: .quantity(.number))
      case "c": SignalType(index: 2, kind: .quantity(.number))
      default: nil
      }
    }
    return BoundExpression(
      expression,
      signals: expression.signals.map { ChannelIndex(rawValue: UInt32($0.index)) }
    )
  }

  private func builder(condition: String, suppression: String? = nil) throws -> PlanBuilder {
    var builder = PlanBuilder(channelsPerDevice: 3)
    let condition = try bound(condition)
    builder.add("e", .expression(condition.expression, signals: condition.signals))
    if let suppression { builder.plan.rules[0].suppression = try bound(suppression) }
    return builder
  }

  @Test("another expression does not take one signal's value for another's")
  func expression() throws {
    var bench = try Bench(try builder(condition: "a > 10 and c > 5"))
    bench.read(0, 20, channel: 0)
    bench.read(0, 1, channel: 1)
    bench.read(0, 1, channel: 2)
    #expect(bench.take() == [])
    _ = try replace(&bench, try builder(condition: "b > 10 and c > 5"), at: 1000)
    bench.read(2000, 9, channel: 2)
    #expect(bench.take() == [], "b is 1, whatever a is")
    bench.read(3000, 11, channel: 1)
    #expect(bench.take() == ["raised r0 3000 unacknowledged"])
  }

  @Test("signals that seldom report are known to an expression that is new in a rule's place")
  func expressionKnows() throws {
    var bench = try Bench(try builder(condition: "a > 10 and c > 5"))
    bench.read(0, 20, channel: 0)
    bench.read(0, 1, channel: 2)
    _ = try replace(&bench, try builder(condition: "a > 15 and c > 5"), at: 1000)
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
      let bound = try bound(condition)
      builder.add("e", .expression(bound.expression, signals: bound.signals))
      return builder
    }
    for first in [nil, "a > 90 and b > 50"] {
      var bench = try Bench(try builder(first))
      bench.read(0, 60, channel: 0)
      bench.read(0, 60, channel: 1)
      _ = try replace(&bench, try builder("a > 50 and b > 50"), at: 600_000)
      #expect(bench.take() == ["raised r3 600000 unacknowledged"])
      _ = try replace(&bench, try builder("a > 40 and b > 50"), at: 700_000)
      bench.read(800_000, 60, channel: 0)
      #expect(bench.take() == [])
    }
  }

  @Test("a lowered figure of a `for` lets its alarm stand")
  func expressionStands() throws {
    var bench = try Bench(try builder(condition: "a > 50 for 5 min"))
    for second in stride(from: Int64(0), through: 360, by: 60) { bench.read(second * 1000, 60) }
    #expect(bench.take() == ["raised r0 300000 unacknowledged"])
    _ = try replace(&bench, try builder(condition: "a > 45 for 5 min"), at: 390_000)
    for second in stride(from: Int64(420), through: 1200, by: 60) { bench.read(second * 1000, 60) }
    #expect(bench.take() == [])
    bench.read(1_260_000, 40)
    #expect(bench.take() == ["returned r0 1260000 returnedUnacknowledged"])
  }

  private func interlock(_ cut: Int, restoreDeadline: Int64? = nil) throws -> PlanBuilder {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add(
      "feed",
      .interlock(
        .init(deadline: 20_000, restoreDeadline: restoreDeadline),
        cause: try bound("a >= \(cut)"),
        response: try bound("b < 1")
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
    _ = try replace(&bench, try interlock(45), at: 100_000)
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
    _ = try replace(&bench, try interlock(45, restoreDeadline: 60_000), at: 40_000)
    bench.read(41_000, 40)
    bench.tick(100_000)
    #expect(bench.take() == [])
    bench.read(101_000, 1, channel: 1)
    #expect(bench.take() == ["returned r0 101000 returnedUnacknowledged"])
  }

  @Test("an interlock that is new has failed where its cause has stood for longer than it may")
  func interlockPresent() throws {
    var bench = try Bench(PlanBuilder(channelsPerDevice: 2))
    bench.read(0, 1, channel: 1)
    bench.read(5000, 60)
    _ = try replace(&bench, try interlock(50), at: 100_000)
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
    _ = try replace(&bench, builder, at: 1000)
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
      let bound = try bound("a >= 1 and a >= 0.5")
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
    _ = try replace(&bench, try builder("ppm", 2500), at: 610_000)
    #expect(bench.take() == [])
    bench.read(630_000, 3000)
    #expect(bench.take() == ["raised r0 630000 unacknowledged"])
    bench.read(620_000, 3000, lag: 15_000)
    bench.read(660_000, 3000)
    #expect(bench.take() == [])
    // Under the same unit everything goes on.
    _ = try replace(&bench, try builder("ppm", 2500), at: 661_000)
    bench.read(690_000, 2000)
    #expect(bench.take() == [], "the mean is above still")
  }

  @Test("a `for` that ran on another condition does not count")
  func expressionClock() throws {
    var bench = try Bench(try builder(condition: "a > 10 for 60 s"))
    bench.read(0, 20, channel: 0)
    _ = try replace(&bench, try builder(condition: "a < 30 and a > 15 for 60 s"), at: 59_000)
    bench.read(61_000, 20, channel: 0)
    // (It has been so since its newest reading, which is what is known of it.)
    #expect(bench.take() == ["raised r0 60000 unacknowledged"])
    bench = try Bench(try builder(condition: "a > 10 for 60 s"))
    bench.read(0, 20, channel: 0)
    _ = try replace(&bench, try builder(condition: "a > 25 for 60 s"), at: 59_000)
    bench.read(61_000, 26, channel: 0)
    bench.tick(100_000)
    #expect(bench.take() == [])
  }

  @Test("what another suppression has suppressed is told until this one says otherwise")
  func suppression() throws {
    var bench = try Bench(try builder(condition: "a > 10", suppression: "b > 0"))
    bench.read(0, 1, channel: 1)
    bench.read(0, 0, channel: 2)
    bench.read(1000, 20, channel: 0)
    #expect(bench.take().last?.hasSuffix("suppressedByDesign") == true)
    _ = try replace(&bench, try builder(condition: "a > 10", suppression: "c > 0"), at: 2000)
    #expect(bench.take() == ["unsuppressed r0 2000 unacknowledged"])
    // Where it says so already, by what its signals say now, nothing is told.
    _ = try replace(&bench, try builder(condition: "a > 10", suppression: "b > 0"), at: 3000)
    bench.read(4000, 1, channel: 1)
    _ = bench.take()
    _ = try replace(&bench, try builder(condition: "a > 10", suppression: "b > 0.5"), at: 5000)
    #expect(bench.take() == [])
  }

  @Test("a rule whose suppression is true when it comes is raised quiet")
  func bornSuppressed() throws {
    var limit = PlanBuilder(channelsPerDevice: 3)
    limit.add("high", .high(50))
    limit.plan.rules[0].suppression = try bound("b > 10")
    for next in [limit, try builder(condition: "a >= 50", suppression: "b > 10")] {
      func bench() throws -> Bench {
        var bench = try Bench(PlanBuilder(channelsPerDevice: 3))
        bench.read(0, 60)
        bench.read(0, 50, channel: 1)
        return bench
      }
      let steps = ["suppressed r0 1000 suppressedByDesign", "raised r0 1000 suppressedByDesign"]
      var reloaded = try bench()
      _ = try replace(&reloaded, next, at: 1000)
      #expect(reloaded.take() == steps)
      reloaded.read(2000, 5, channel: 1)
      #expect(reloaded.take() == ["unsuppressed r0 2000 unacknowledged"])
      // (The second start is from a snapshot of the first, before anything has come.)
      var restarted = try bench()
      restarted.tick(1000)
      for _ in 0..<2 {
        restarted.engine = try Engine(plan: next.plan, restoring: restarted.engine.snapshot())
      }
      restarted.tick(2000)
      #expect(restarted.take() == steps)
      restarted.engine = try Engine(plan: next.plan, restoring: restarted.engine.snapshot())
      restarted.tick(3000)
      #expect(restarted.take() == [])
    }
  }

  @Test("a suppression that comes, and is true, keeps quiet the alarm that stands")
  func suppressedStanding() throws {
    var bench = try Bench(try builder(condition: "a > 10"))
    bench.read(0, 1, channel: 1)
    bench.read(0, 20)
    _ = bench.take()
    _ = try replace(&bench, try builder(condition: "a > 10", suppression: "b > 0"), at: 1000)
    #expect(bench.take() == ["suppressed r0 1000 suppressedByDesign"])
  }

  @Test(
    "what a start leaves suppressed by nothing is released by the first input, whatever it is",
    arguments: [false, true]
  )
  func orphan(isBacklog: Bool) throws {
    var bench = try Bench(try builder(condition: "a > 10", suppression: "b > 0"))
    bench.read(0, 1, channel: 1)
    bench.read(1000, 20, channel: 0)
    #expect(bench.take().last?.hasSuffix("suppressedByDesign") == true)
    let plan = try builder(condition: "a > 10").plan
    // (The second start is from a snapshot of the first, before anything has come.)
    for _ in 0..<2 { bench.engine = try Engine(plan: plan, restoring: bench.engine.snapshot()) }
    var batch = ReadingBatch(received: at(2000), baseSequence: bench.sequence)
    batch.isBacklog = isBacklog
    batch.append(
      Reading(channel: ChannelIndex(rawValue: 2), time: at(2000), value: 1),
      sequence: bench.sequence
    )
    bench.engine.apply(batch, into: &bench.out)
    #expect(bench.take() == ["unsuppressed r0 1000 unacknowledged"])
  }
}
