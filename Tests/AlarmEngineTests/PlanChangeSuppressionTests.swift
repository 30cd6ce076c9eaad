import AlarmEngine
import Telemetry
import Testing

@Suite("Suppression over a plan change")
struct PlanChangeSuppressionTests {
  @Test("what another suppression has suppressed is told until this one says otherwise")
  func suppression() throws {
    var bench = try Bench(try PlanBuilder(condition: "a > 10", suppression: "b > 0"))
    bench.read(0, 1, channel: 1)
    bench.read(0, 0, channel: 2)
    bench.read(1000, 20, channel: 0)
    #expect(bench.take().last?.hasSuffix("suppressedByDesign") == true)
    try bench.replacePlan(try PlanBuilder(condition: "a > 10", suppression: "c > 0"), at: 2000)
    #expect(bench.take() == ["unsuppressed r0 2000 unacknowledged"])
    // Where it says so already, by what its signals say now, nothing is told.
    try bench.replacePlan(try PlanBuilder(condition: "a > 10", suppression: "b > 0"), at: 3000)
    bench.read(4000, 1, channel: 1)
    _ = bench.take()
    try bench.replacePlan(try PlanBuilder(condition: "a > 10", suppression: "b > 0.5"), at: 5000)
    #expect(bench.take() == [])
  }

  @Test("a rule whose suppression is true when it comes is raised quiet")
  func bornSuppressed() throws {
    var limit = PlanBuilder(channelsPerDevice: 3)
    limit.add("high", .high(50))
    limit.plan.rules[0].suppression = try BoundExpression("b > 10")
    for next in [limit, try PlanBuilder(condition: "a >= 50", suppression: "b > 10")] {
      func bench() throws -> Bench {
        var bench = try Bench(PlanBuilder(channelsPerDevice: 3))
        bench.read(0, 60)
        bench.read(0, 50, channel: 1)
        return bench
      }
      let steps = ["suppressed r0 1000 suppressedByDesign", "raised r0 1000 suppressedByDesign"]
      var reloaded = try bench()
      try reloaded.replacePlan(next, at: 1000)
      #expect(reloaded.take() == steps)
      reloaded.read(2000, 5, channel: 1)
      #expect(reloaded.take() == ["unsuppressed r0 2000 unacknowledged"])
      // (The second start is from a snapshot of the first, before anything has come.)
      var restarted = try bench()
      restarted.tick(1000)
      for _ in 0..<2 {
        try restarted.restart(under: next)
      }
      restarted.tick(2000)
      #expect(restarted.take() == steps)
      try restarted.restart(under: next)
      restarted.tick(3000)
      #expect(restarted.take() == [])
    }
  }

  @Test("a suppression that comes, and is true, keeps quiet the alarm that stands")
  func suppressedStanding() throws {
    var bench = try Bench(try PlanBuilder(condition: "a > 10"))
    bench.read(0, 1, channel: 1)
    bench.read(0, 20)
    _ = bench.take()
    try bench.replacePlan(try PlanBuilder(condition: "a > 10", suppression: "b > 0"), at: 1000)
    #expect(bench.take() == ["suppressed r0 1000 suppressedByDesign"])
  }

  @Test(
    "what a start leaves suppressed by nothing is released by the first input, whatever it is",
    arguments: [false, true]
  )
  func orphan(isBacklog: Bool) throws {
    var bench = try Bench(try PlanBuilder(condition: "a > 10", suppression: "b > 0"))
    bench.read(0, 1, channel: 1)
    bench.read(1000, 20, channel: 0)
    #expect(bench.take().last?.hasSuffix("suppressedByDesign") == true)
    let plan = try PlanBuilder(condition: "a > 10").plan
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
