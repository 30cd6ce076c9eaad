import AlarmEngine
import Telemetry
import Testing

/// A gap leaves detectors without what they judge by: that is no reason to say that all is well.
@Suite("Detectors after a gap")
struct DetectorGapTests {
  /// A reading a minute from `first` to `last`, in seconds.
  private func minutes(
    _ bench: inout Bench,
    from first: Int64,
    through last: Int64,
    _ value: Double
  ) {
    for second in stride(from: first, through: last, by: 60) { bench.read(second * 1000, value) }
  }

  @Test("what has lasted before a silence and after it does not return for the silence")
  func lasting() throws {
    let expression = try CompiledExpression("a > 5 for 5 min") { _ in
      SignalType(index: 0, kind: .quantity(.number))
    }
    var builder = PlanBuilder()
    builder.add("for", .expression(expression, signals: [ChannelIndex(rawValue: 0)]))
    builder.add("stale", .stale(afterMilliseconds: 120_000))
    var bench = try Bench(builder)
    minutes(&bench, from: 0, through: 420, 6)
    minutes(&bench, from: 600, through: 1200, 6)
    #expect(
      bench.take() == [
        "raised r0 300000 unacknowledged", "raised r1 540000 unacknowledged",
        "returned r1 600000 returnedUnacknowledged",
      ]
    )
    bench.read(1_260_000, 5)
    #expect(bench.take() == ["returned r0 1260000 returnedUnacknowledged"])
    // Known to have been false, it is false until it has lasted.
    minutes(&bench, from: 1320, through: 1620, 6)
    #expect(bench.take() == ["raised r0 1620000 unacknowledged"])
  }

  @Test("a value that stands still before a silence and after it does not return for the silence")
  func stuck() throws {
    var builder = PlanBuilder()
    builder.add("stuck", .stuck(.init(duration: 300_000)))
    var bench = try Bench(builder)
    minutes(&bench, from: 0, through: 420, 1)
    #expect(bench.take() == ["raised r0 300000 unacknowledged"])
    minutes(&bench, from: 780, through: 1200, 1)
    #expect(bench.take() == [])
    bench.read(1_260_000, 2)
    #expect(bench.take() == ["returned r0 1260000 returnedUnacknowledged"])
  }

  @Test("a value that a silence has seen move is not stuck")
  func moved() throws {
    var builder = PlanBuilder()
    builder.add("stuck", .stuck(.init(duration: 300_000)))
    var bench = try Bench(builder)
    minutes(&bench, from: 0, through: 420, 1)
    _ = bench.take()
    bench.read(900_000, 2)
    #expect(bench.take() == ["returned r0 900000 returnedUnacknowledged"])
  }

  @Test("a value that moves from silence to silence is not stuck, however little each has seen")
  func drifted() throws {
    var builder = PlanBuilder()
    builder.add("stuck", .stuck(.init(duration: 600_000, tolerance: 0.5)))
    var bench = try Bench(builder)
    minutes(&bench, from: 0, through: 600, 20)
    #expect(bench.take() == ["raised r0 600000 unacknowledged"])
    bench.read(1_500_000, 20.4)
    #expect(bench.take() == [])
    try bench.restart(under: builder)
    bench.read(2_400_000, 20.8)
    #expect(bench.take() == ["returned r0 2400000 returnedUnacknowledged"])
  }

  private func rate(onDelay: Int64 = 0, offDelay: Int64 = 0) throws -> Bench {
    var builder = PlanBuilder()
    builder.add(
      "rate",
      .successiveChange(perSecond: 0.5),
      onDelay: onDelay,
      offDelay: offDelay
    )
    return try Bench(builder)
  }

  @Test("a change that goes on over a fault does not return for want of a value before")
  func change() throws {
    var bench = try rate()
    for second in Int64(0)...2 { bench.read(second * 1000, Double(second)) }
    bench.read(3000, 0, status: .sensorFault)
    bench.read(4000, 3)
    bench.read(5000, 4)
    #expect(bench.take() == ["raised r0 1000 unacknowledged"])
    bench.read(6000, 4)
    #expect(bench.take() == ["returned r0 6000 returnedUnacknowledged"])
  }

  @Test("a delay that a fault has taken back begins with the first change after it")
  func delayedChange() throws {
    var bench = try rate(onDelay: 2000)
    bench.read(0, 0)
    bench.read(1000, 1)
    bench.read(1500, 0, status: .sensorFault)
    bench.read(2000, 3)
    bench.tick(10_000)
    #expect(bench.take() == [], "one value is no change")
    for second in Int64(11)...14 { bench.read(second * 1000, 10 * Double(second)) }
    #expect(bench.take() == ["raised r0 13000 unacknowledged"])

    bench = try rate(offDelay: 2000)
    bench.read(0, 0)
    bench.read(1000, 1)
    bench.read(2000, 1)
    bench.read(2500, 0, status: .sensorFault)
    bench.read(3000, 1)
    bench.tick(10_000)
    #expect(bench.take() == ["raised r0 1000 unacknowledged"], "one value is no rest")
    bench.read(11_000, 1)
    bench.tick(20_000)
    #expect(bench.take() == ["returned r0 13000 returnedUnacknowledged"])
  }
}
