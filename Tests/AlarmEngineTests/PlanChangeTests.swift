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

  @Test("a new set-point judges from the next reading on")
  func setpoint() throws {
    var bench = try Bench(builder())
    bench.read(0, 11)
    _ = bench.take()
    _ = try replace(&bench, builder(setpoint: 20), at: 100)
    #expect(bench.take() == [])
    bench.read(1000, 11)
    #expect(bench.take() == ["returned r0 1000 returnedUnacknowledged"])
    _ = try replace(&bench, builder(setpoint: 3), at: 1100)
    bench.read(2000, 4)
    #expect(bench.take() == ["raised r0 2000 unacknowledged"])
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
    #expect(bench.take() == [])
    bench.tick(60_001)
    #expect(bench.take() == ["raised r2 60000 unacknowledged"])
  }
}
