import AlarmEngine
import Telemetry
import Testing

/// Several readings of one channel with one time: sources that stamp by the second, or not at all.
@Suite("Readings of one moment")
struct TieTests {
  private func bench() throws -> Bench {
    var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 60_000, capacity: 64))
    builder.add("high", .high(50))
    builder.add("high-high", .high(90))
    return try Bench(builder)
  }

  @Test("every value of a second is judged, in the order in which they came")
  func stamped() throws {
    var bench = try bench()
    bench.read(1000, 5)
    bench.read(1000, 60)
    bench.read(1000, 95)
    #expect(bench.take() == ["raised r0 1001 unacknowledged", "raised r1 1002 unacknowledged"])
    bench.read(1000, 6)
    #expect(
      bench.take() == [
        "returned r0 1003 returnedUnacknowledged", "returned r1 1003 returnedUnacknowledged",
      ]
    )
    bench.read(2000, 97)
    #expect(bench.take() == ["raised r0 2000 unacknowledged", "raised r1 2000 unacknowledged"])
    #expect(bench.engine.counters.late == 0)
  }

  @Test("what is delivered once more changes nothing, also across a snapshot")
  func redelivered() throws {
    var builder = PlanBuilder()
    builder.add("high", .high(50))
    var bench = try Bench(builder)
    for value in [5.0, 95, 7] { bench.read(1000, value) }
    _ = bench.take()
    bench.engine = try Engine(plan: builder.plan, restoring: bench.engine.snapshot())
    for value in [5.0, 95, 7] { bench.read(1000, value) }
    #expect(bench.take() == [])
    #expect(bench.engine.counters.duplicates == 3)
    bench.read(1000, 96)
    #expect(bench.take() == ["raised r0 1003 unacknowledged"])
  }

  @Test("a fault reported in the same second is not a value that lasts")
  func fault() throws {
    var builder = PlanBuilder()
    builder.add("high", .high(50), onDelay: 5000)
    var bench = try Bench(builder)
    bench.read(1000, 95)
    bench.read(1000, 95, status: .lineBroken)
    bench.tick(20_000)
    #expect(bench.take() == [])
    #expect(bench.engine.counters.withoutValue == 1)
  }

  @Test("readings without a stamp are of when they came, each after the one before")
  func unstamped() throws {
    var bench = try bench()
    for value in [7, 97, 7, 97.0] { bench.read(1000, value, flags: .receiveTimed) }
    #expect(
      bench.take() == [
        "raised r0 1001 unacknowledged", "raised r1 1001 unacknowledged",
        "returned r0 1002 returnedUnacknowledged", "returned r1 1002 returnedUnacknowledged",
        "raised r0 1003 unacknowledged", "raised r1 1003 unacknowledged",
      ]
    )
    #expect(bench.engine.counters.duplicates == 0)
  }

  @Test("a stamp that is newer than the moment's is not taken for old")
  func overtaken() throws {
    var bench = try bench()
    for value in [5.0, 6, 7] { bench.read(1000, value) }
    bench.read(1001, 95)
    #expect(bench.take() == ["raised r0 1003 unacknowledged", "raised r1 1003 unacknowledged"])
    bench.read(1000, 5)
    #expect(bench.take() == [])
  }

  @Test("a change within one moment is no rate of change")
  func rate() throws {
    var builder = PlanBuilder()
    builder.add("rate", .successiveChange(perSecond: 1000))
    var bench = try Bench(builder)
    bench.read(1000, 5)
    bench.read(1000, 95)
    #expect(bench.take() == [])
  }
}
