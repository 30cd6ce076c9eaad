import AlarmEngine
import Telemetry
import Testing

/// A source's own faults and alarms, by the status of its readings.
@Suite("What a source reports of itself")
struct ReportedTests {
  private static func bench(onDelay: Int64 = 0, offDelay: Int64 = 0) throws -> Bench {
    var builder = PlanBuilder()
    builder.add("high", .high(10))
    builder.add("stale", .stale(afterMilliseconds: 130_000))
    builder.add("reported", .reported, onDelay: onDelay, offDelay: offDelay)
    return try Bench(builder)
  }

  @Test("which statuses raise, which keep and which end it", arguments: SourceStatus.allCases)
  func statuses(status: SourceStatus) throws {
    let raising: Set<SourceStatus> = [
      .alarm, .feedAbnormal, .overRange, .negativeDrift, .sensorFault, .lineBroken,
      .substationFault,
    ]
    var fresh = try Self.bench()
    fresh.read(0, 1)
    fresh.read(1000, 1, status: status)
    #expect(fresh.take() == (raising.contains(status) ? ["raised r2 1000 unacknowledged"] : []))

    var standing = try Self.bench()
    standing.read(0, 1, status: .sensorFault)
    _ = standing.take()
    standing.read(1000, 1, status: status)
    let ending: Set<SourceStatus> = [.normal, .powerRestored, .outOfUse]
    let keeps = !ending.contains(status)
    #expect(standing.take() == (keeps ? [] : ["returned r2 1000 returnedUnacknowledged"]))
    standing.read(2000, 1)
    #expect(standing.take() == (keeps ? ["returned r2 2000 returnedUnacknowledged"] : []))
  }

  @Test("a silence that a fault status ends is no all-clear")
  func silence() throws {
    var bench = try Self.bench()
    bench.read(0, 1)
    bench.tick(131_000)
    #expect(bench.take() == ["raised r1 130000 unacknowledged"])
    for half in 1...240 as ClosedRange<Int64> {
      bench.read(131_000 + half * 30_000, 0, status: .lineBroken)
    }
    #expect(
      bench.take() == [
        "returned r1 161000 returnedUnacknowledged", "raised r2 161000 unacknowledged",
      ]
    )
    // Silence again leaves what was reported as it is.
    bench.tick(7_700_000)
    #expect(bench.take() == ["raised r1 7461000 unacknowledged"])
    let isActive = bench.engine.isActive(RuleIndex(rawValue: 2))
    #expect(isActive)
    bench.read(7_700_000, 1)
    #expect(
      bench.take() == [
        "returned r1 7700000 returnedUnacknowledged", "returned r2 7700000 returnedUnacknowledged",
      ]
    )
  }

  @Test("a calm reading in a batch of its own ends it at once, and delays are kept")
  func delays() throws {
    var bench = try Self.bench(onDelay: 2000, offDelay: 3000)
    for second in 0...9 as ClosedRange<Int64> { bench.read(second * 1000, 1) }
    bench.read(10_000, 1, status: .alarm)
    bench.read(11_000, 1)
    bench.read(12_000, 1, status: .alarm)
    bench.read(14_500, 1, status: .alarm)
    #expect(bench.take() == ["raised r2 14000 unacknowledged"])
    for second in 15...20 as ClosedRange<Int64> { bench.read(second * 1000, 1) }
    #expect(bench.take() == ["returned r2 18000 returnedUnacknowledged"])
  }

  @Test("late and historical readings neither raise nor end it")
  func late() throws {
    var bench = try Self.bench()
    bench.read(10_000, 1)
    bench.read(5000, 1, status: .sensorFault, lag: 6000)
    bench.read(12_000, 1, status: .sensorFault, flags: .historical)
    #expect(bench.take() == [])
    bench.read(13_000, 1, status: .sensorFault)
    bench.read(12_500, 1, lag: 1000)
    #expect(bench.take() == ["raised r2 13000 unacknowledged"])
  }

  @Test("a device in quarantine is judged by the receive time")
  func quarantine() throws {
    var bench = try Self.bench()
    bench.read(3_600_000, 1, lag: -3_600_000)
    bench.read(3_601_000, 1, status: .overRange, lag: -3_600_000)
    bench.read(3_602_000, 1, lag: -3_600_000)
    #expect(
      bench.take() == [
        "raised r2 1000 unacknowledged", "returned r2 2000 returnedUnacknowledged",
      ]
    )
  }

  @Test("a reading without a number raises it and leaves limits as they are")
  func withoutValue() throws {
    var bench = try Self.bench()
    bench.read(0, 12)
    bench.read(1000, .nan, status: .overRange)
    #expect(bench.take() == ["raised r0 0 unacknowledged", "raised r2 1000 unacknowledged"])
    bench.read(2000, 12)
    #expect(bench.take() == ["returned r2 2000 returnedUnacknowledged"])
  }

  @Test("it goes on from a snapshot, and a rule that is new with the plan takes the next reading")
  func snapshot() throws {
    var builder = PlanBuilder()
    builder.add("high", .high(10))
    var bench = try Bench(builder)
    bench.read(0, 1, status: .sensorFault)
    builder.add("reported", .reported)
    try bench.replacePlan(builder, at: 1000)
    #expect(bench.take() == [])
    bench.read(2000, 1, status: .sensorFault)
    #expect(bench.take() == ["raised r1 2000 unacknowledged"])
    try bench.restart(under: builder)
    bench.read(3000, 1)
    #expect(bench.take() == ["returned r1 3000 returnedUnacknowledged"])
  }
}
