import AlarmEngine
import Telemetry
import Testing

@Suite("Limits, ranges, delays and staleness")
struct LimitTests {
  @Test("AQ 1029 face sensor T1: alarm at 1.0, cut at 1.5, restored below 1.0")
  func faceSensor() throws {
    var builder = PlanBuilder()
    builder.add("alarm", .high(1.0))
    builder.add("cut", .high(1.5, restore: 1.0))
    var bench = try Bench(builder)
    let steps: [(Double, [String])] = [
      (0.99, []),
      (1.00, ["raised r0 1000 unacknowledged"]),
      (1.49, []),
      (1.50, ["raised r1 3000 unacknowledged"]),
      (1.00, []),
      (
        0.99,
        ["returned r0 5000 returnedUnacknowledged", "returned r1 5000 returnedUnacknowledged"]
      ),
    ]
    for (index, step) in steps.enumerated() {
      bench.read(Int64(index) * 1000, step.0)
      #expect(bench.take() == step.1, "value \(step.0)")
    }
  }

  @Test("AQ 1029 return airway T2: alarm and cut at 1.00, both restored at 0.99, no deadband")
  func returnAirway() throws {
    var builder = PlanBuilder()
    builder.add("alarm", .high(1.0))
    builder.add("cut", .high(1.0))
    var bench = try Bench(builder)
    for (index, value) in [0.99, 1.00, 0.99, 1.00].enumerated() {
      bench.read(Int64(index), value)
    }
    #expect(bench.out.map(\.kind) == [.raised, .raised, .returned, .returned, .raised, .raised])
  }

  @Test(
    "set-point and restore value at their edges",
    arguments: [
      (LimitParameters.Comparison.atOrAbove, 5.0, 4.0, [4.9, 5.0, 4.0, 3.9], [1, 3]),
      (.above, 5.0, 4.0, [5.0, 5.0.nextUp, 4.0, 4.0.nextDown], [1, 3]),
      (.above, 5.0, 5.0, [5.0, 5.1, 5.0, 4.9], [1, 3]),
      (.atOrBelow, 2.0, 3.0, [2.1, 2.0, 3.0, 3.0.nextUp], [1, 3]),
      (.below, 2.0, 3.0, [2.0, 1.9, 3.0, 3.1], [1, 3]),
      (.atOrBelow, 2.0, 2.0, [2.1, 2.0, 2.0.nextUp, 2.0], [1, 2, 3]),
    ]
  )
  func edges(
    comparison: LimitParameters.Comparison,
    setpoint: Double,
    restore: Double,
    values: [Double],
    changes: [Int]
  ) throws {
    var builder = PlanBuilder()
    builder.add(
      "x",
      .limit(LimitParameters(comparison: comparison, setpoint: setpoint, restore: restore))
    )
    var bench = try Bench(builder)
    var seen: [Int] = []
    for (index, value) in values.enumerated() {
      bench.read(Int64(index), value)
      if !bench.take().isEmpty { seen.append(index) }
    }
    #expect(seen == changes)
  }

  @Test("an on-delay raises at its own time, with the onset of the condition")
  func onDelay() throws {
    var builder = PlanBuilder()
    builder.add("x", .high(10), onDelay: 3000)
    var bench = try Bench(builder)
    bench.read(0, 11)
    bench.tick(3000)
    #expect(bench.take() == [])
    bench.tick(9000)
    #expect(bench.out.map(\.onset) == [at(0)])
    #expect(bench.out.map(\.received) == [at(3000)])
    #expect(bench.out.map(\.sequence) == [1])
    #expect(bench.take() == ["raised r0 3000 unacknowledged"])
  }

  @Test("a reading at exactly the deadline's time comes before it")
  func deadlineEdge() throws {
    var builder = PlanBuilder()
    builder.add("x", .high(10), onDelay: 3000)
    var bench = try Bench(builder)
    bench.read(0, 11)
    bench.read(3000, 9)
    bench.tick(9000)
    #expect(bench.take() == [])
  }

  @Test("off-delay: a short dip keeps the alarm")
  func offDelay() throws {
    var builder = PlanBuilder()
    builder.add("x", .high(10), offDelay: 2000)
    var bench = try Bench(builder)
    bench.read(0, 11)
    bench.read(1000, 9)
    bench.read(2000, 11)
    bench.read(3000, 9)
    bench.tick(60_000)
    #expect(
      bench.take() == ["raised r0 0 unacknowledged", "returned r0 5000 returnedUnacknowledged"]
    )
  }

  @Test("a stale channel drops its delays and neither raises nor clears")
  func staleDropsDelays() throws {
    var builder = PlanBuilder()
    builder.add("high", .high(10), onDelay: 10_000)
    builder.add("stale", .stale(afterMilliseconds: 5000))
    var bench = try Bench(builder)
    bench.read(0, 11)
    bench.tick(60_000)
    #expect(bench.take() == ["raised r1 5000 unacknowledged"])
    bench.read(61_000, 11)
    #expect(bench.take() == ["returned r1 61000 returnedUnacknowledged"])
    bench.read(64_000, 11)
    bench.read(68_000, 11)
    bench.read(72_000, 11)
    #expect(bench.take() == ["raised r0 71000 unacknowledged"])
    #expect(bench.standing().map(\.onset) == [at(61_000), at(5000)])
  }

  @Test("a channel that never reported is stale after the first input")
  func neverReported() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("stale", .stale(afterMilliseconds: 5000), channel: 1)
    var bench = try Bench(builder)
    bench.read(1000, 1)
    bench.tick(6000)
    #expect(bench.take() == [])
    bench.tick(6001)
    #expect(bench.take() == ["raised r0 6000 unacknowledged"])
    bench.read(7000, 1, channel: 1)
    #expect(bench.take() == ["returned r0 7000 returnedUnacknowledged"])
  }

  @Test("a device that runs behind has its deadlines later, by its least lag")
  func deviceOffset() throws {
    var builder = PlanBuilder()
    builder.add("x", .high(10), onDelay: 3000)
    var bench = try Bench(builder)
    bench.read(0, 5, lag: 2000)
    bench.read(1000, 11, lag: 2500)
    bench.tick(6000)
    #expect(bench.take() == [])
    bench.tick(6001)
    #expect(bench.take() == ["raised r0 4000 unacknowledged"])
  }

  @Test("no value, calibration and NaN neither raise nor clear, and end delays")
  func unusable() throws {
    var builder = PlanBuilder()
    builder.add("x", .high(10), onDelay: 3000)
    builder.add("y", .high(5))
    var bench = try Bench(builder)
    bench.read(0, 11)
    #expect(bench.take() == ["raised r1 0 unacknowledged"])
    bench.read(1000, 0, status: .sensorFault)
    bench.read(2000, 50, status: .calibration)
    bench.read(2500, .nan)
    bench.tick(60_000)
    #expect(bench.take() == [])
    let counters = bench.engine.counters
    #expect(counters.withoutValue == 2)
    #expect(counters.recordedOnly == 1)
    #expect(counters.notFinite == 1)
  }

  @Test("late, equal and historical readings are counted and change nothing")
  func outOfOrder() throws {
    var builder = PlanBuilder()
    builder.add("x", .high(10))
    var bench = try Bench(builder)
    bench.read(1000, 5)
    bench.read(1000, 5)
    bench.read(500, 6)
    bench.read(2000, 50, flags: .historical)
    bench.read(3000, 5, channel: 77)
    #expect(bench.take() == [])
    let counters = bench.engine.counters
    #expect(counters.readings == 5)
    #expect(counters.duplicates == 1)
    #expect(counters.late == 1)
    #expect(counters.historical == 1)
    #expect(counters.unknownChannels == 1)
  }

  @Test("a physical range alarms on both sides")
  func range() throws {
    var builder = PlanBuilder()
    builder.add("range", .physicalRange(low: 0, high: 4))
    var bench = try Bench(builder)
    for (index, value) in [0.0, -0.1, 4.1, 4.0, 4.0.nextUp, 0].enumerated() {
      bench.read(Int64(index), value)
    }
    #expect(
      bench.out.map { $0.time.milliseconds - epochOfTests } == [1, 3, 4, 5]
    )
    #expect(bench.out[0].limit == 0 && bench.out[1].limit.isNaN && bench.out[2].limit == 4)
  }

  @Test("an inconsistent plan is refused with everything that is wrong")
  func refusal() throws {
    var builder = PlanBuilder()
    builder.add("a", .high(10, restore: 11))
    builder.add("a", .low(.nan))
    builder.add("b", .stale(afterMilliseconds: 0), channel: 9)
    builder.add("c", .physicalRange(low: 4, high: 0), onDelay: -1)
    var problems: [PlanError.Problem] = []
    do throws(PlanError) { _ = try Engine(plan: builder.plan) } catch {
      problems = error.problems
    }
    #expect(
      problems.map(\.place) == [
        .rule(0), .rule(1), .rule(1), .rule(2), .rule(2), .rule(3), .rule(3),
      ]
    )
  }
}
