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

  @Test("rows in another order keep alarms, delays and staleness, and raise nothing again")
  func reordered() throws {
    var bench = try Bench(builder())
    bench.read(0, 11)
    #expect(bench.take() == ["raised r0 0 unacknowledged"])
    let closed = try bench.replacePlan(builder(order: [2, 1, 0]), at: 1000)
    #expect(closed == 0)
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
    let closed = try bench.replacePlan(builder(order: [1, 2]), at: 3000)
    #expect(closed == 2)
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
    try bench.replacePlan(builder(priority: .red), at: 1000)
    #expect(bench.take() == ["priorityChanged r0 1000 unacknowledged"])
    bench.act(.acknowledge, RuleIndex(rawValue: 0), at: 1100)
    _ = bench.take()
    try bench.replacePlan(builder(priority: .blue), at: 2000)
    #expect(bench.take() == ["priorityChanged r0 2000 acknowledged"])
    #expect(bench.standing().map(\.priority) == [.blue])
  }

  @Test("a new set-point judges the value that stands, and ends an alarm with the next reading")
  func setpoint() throws {
    var bench = try Bench(builder())
    bench.read(0, 11)
    _ = bench.take()
    try bench.replacePlan(builder(setpoint: 20), at: 100)
    #expect(bench.take() == [])
    bench.read(1000, 11)
    #expect(bench.take() == ["returned r0 1000 returnedUnacknowledged"])
    try bench.replacePlan(builder(setpoint: 3), at: 1100)
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
    try bench.replacePlan(lowered(50), at: 80_000)
    #expect(bench.take() == [])
    bench = try Bench(lowered(90))
    bench.read(0, 60)
    bench.read(1000, 60, status: .sensorFault)
    try bench.replacePlan(lowered(50), at: 2000)
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
    try bench.replacePlan(builder(90), at: 301_000)
    bench.tick(1_200_000)
    #expect(bench.take() == [])
    // By a lower one it runs on.
    bench = try Bench(builder(50))
    bench.read(0, 60)
    try bench.replacePlan(builder(40), at: 301_000)
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
      try bench.replacePlan(builder(restore), at: 301_000)
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
    try bench.replacePlan(lowered(50, window: window), at: 5000)
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
      try bench.restart(under: lowered(50))
    }
    bench.tick(2000)
    #expect(bench.take() == ["raised r0 1000 unacknowledged"])
    try bench.restart(under: lowered(50))
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
    try bench.replacePlan(builder(), at: 10_000)
    bench.tick(60_000)
    #expect(bench.take() == ["raised r1 15000 unacknowledged"], "its delay runs from the plan on")
    bench.tick(60_001)
    #expect(bench.take() == ["raised r2 60000 unacknowledged"])
  }

  @Test("a channel that is new after a downtime is waited for from when its plan came")
  func addedAfterDowntime() throws {
    var bench = try Bench(PlanBuilder(channelsPerDevice: 2))
    bench.read(0, 1)
    var next = PlanBuilder(channelsPerDevice: 2)
    next.add("stale", .stale(afterMilliseconds: 60_000), channel: 1)
    try bench.engine.replacePlan(next.plan, at: at(1000), present: at(3_600_000), into: &bench.out)
    bench.tick(3_660_000)
    #expect(bench.take() == [])
    bench.tick(3_660_001)
    #expect(bench.take() == ["raised r0 3660000 unacknowledged"])
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
    try bench.replacePlan(builder(stale: 60_000, delay: 20_000), at: 10_000)
    bench.tick(61_000)
    #expect(
      bench.take() == ["raised r1 20000 unacknowledged", "raised r0 60000 unacknowledged"]
    )
  }
}
