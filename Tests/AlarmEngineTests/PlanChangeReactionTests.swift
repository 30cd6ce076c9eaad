import AlarmEngine
import Telemetry
import Testing

@Suite("Re-alarm and escalation over a plan change")
struct PlanChangeReactionTests {
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
    try bench.replacePlan(builder(reAlarm: 30_000, escalateTo: .orange), at: 1000)
    bench.tick(31_500)
    #expect(bench.take() == ["reAlarmed r0 31000 unacknowledged"])
    bench.tick(61_001)
    #expect(bench.out.map(\.priority).contains(.orange))
    _ = bench.take()
    try bench.replacePlan(builder(reAlarm: 30_000, escalateTo: .red), at: 70_000)
    #expect(bench.standing().map(\.priority) == [.red])
    // Under the same plan once more nothing begins anew.
    _ = bench.take()
    try bench.replacePlan(builder(reAlarm: 30_000, escalateTo: .red), at: 71_000)
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
    try bench.replacePlan(reacting(escalateAfter: after), at: 600_000)
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
    try bench.replacePlan(reacting(reAlarm: 60_000), at: 600_000)
    bench.tick(660_001)
    #expect(
      bench.take() == ["reAlarmed r0 600000 unacknowledged", "reAlarmed r0 660000 unacknowledged"]
    )
    try bench.replacePlan(reacting(reAlarm: 90_000), at: 700_000)
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
    try bench.replacePlan(next, at: 1000)
    #expect(bench.out.map(\.priority) == [.yellow])
    #expect(bench.take() == ["priorityChanged r0 1000 acknowledged"])
    try bench.restart(under: next)
    bench.tick(Self.fourHours + 1000)
    #expect(bench.take() == [])
    bench.tick(Self.fourHours + 1001)
    #expect(bench.out.map(\.priority) == [.red])
    #expect(bench.take() == ["priorityChanged r0 14401000 unacknowledged"])
    // It stays what it has become, also when it has returned, in a start and under another plan.
    bench.read(Self.fourHours + 2000, 1)
    _ = bench.take()
    try bench.restart(under: next)
    try bench.replacePlan(reacting(escalateAfter: 60_000), at: Self.fourHours + 3000)
    #expect(bench.take() == [])
    #expect(bench.standing().map(\.priority) == [.red])
  }
}
