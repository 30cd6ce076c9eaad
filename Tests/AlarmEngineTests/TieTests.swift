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

  @Test(
    "a value that comes back within the moment is judged; what repeats the newest changes nothing"
  )
  func comesBack() throws {
    var builder = PlanBuilder()
    builder.add("contact", .high(0.5))
    var bench = try Bench(builder)
    for value in [1.0, 0, 1] { bench.read(1000, value) }
    #expect(
      bench.take() == [
        "raised r0 1000 unacknowledged", "returned r0 1001 returnedUnacknowledged",
        "raised r0 1002 unacknowledged",
      ]
    )
    try bench.restart(under: builder)
    bench.read(1000, 1)
    #expect(bench.take() == [])
    #expect(bench.engine.counters.duplicates == 1)
    bench.read(1000, 0)
    #expect(bench.take() == ["returned r0 1003 returnedUnacknowledged"])
    // Once a newer moment has begun, what is delivered once more is late.
    bench.read(2000, 0)
    for value in [1.0, 0, 1] { bench.read(1000, value, lag: 2000) }
    #expect(bench.take() == [])
  }

  @Test("a number that comes in the moment of a report without one is judged")
  func numberAfterReport() throws {
    var bench = try bench()
    bench.read(1000, .nan, status: .alarm)
    bench.read(1000, .nan, status: .alarm)
    #expect(bench.engine.counters.duplicates == 1)
    bench.read(1000, 60, status: .alarm)
    #expect(bench.take() == ["raised r0 1001 unacknowledged"])
    #expect(bench.engine.counters.duplicates == 1)
  }

  @Test("a snapshot within a moment goes on as without it")
  func snapshot() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("high", .high(50))
    builder.add("jump", .successiveChange(perSecond: 10), channel: 1)
    var one = try Bench(builder)
    var other = try Bench(builder)
    var random = SeededRandom(seed: 5)
    var time: Int64 = 0
    for _ in 0..<2_000 {
      if random.chance(3) { time += 1000 }
      let (value, channel) = (Double(random.int(0...100)), UInt32(random.int(0...1)))
      one.read(time, value, channel: channel)
      other.read(time, value, channel: channel)
      try other.restart(under: builder)
    }
    #expect(one.take() == other.take())
    #expect(one.engine.snapshot() == other.engine.snapshot())
  }

  @Test("a repeat of the newest, whose clock seems to stand, is none of its values")
  func repeated() throws {
    var builder = PlanBuilder()
    builder.add("clock", .clockFault)
    var bench = try Bench(builder)
    bench.read(0, 1)
    bench.read(1000, 5)
    bench.read(1000, 95)
    for second in Int64(2)...40 { bench.read(1000, 95, lag: second * 1000) }
    #expect(bench.take() == [])
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

  @Test("a change within a moment is no rate, and is not lost to that of the next")
  func rate() throws {
    var builder = PlanBuilder()
    builder.add("change", .successiveChange(perSecond: 50))
    builder.add("rate", .rateOfChange(.init(span: 0, limit: 50)))
    var bench = try Bench(builder)
    bench.read(0, 5)
    bench.read(1000, 5)
    bench.read(1000, 30)
    #expect(bench.take() == [])
    bench.read(2000, 95)
    #expect(
      bench.take() == ["raised r0 2000 unacknowledged", "raised r1 2000 unacknowledged"]
    )
    bench.read(3000, 95)
    _ = bench.take()
    bench.read(4000, 95)
    bench.read(4000, 200)
    bench.read(5000, 200)
    #expect(bench.take().first == "raised r1 4001 unacknowledged")
  }

  @Test("a group takes the first reading of a moment")
  func group() throws {
    let rows = (0..<200).map { index in
      let level = Double(index % 40)
      return [level, level + Double(index % 3) * 0.1]
    }
    let model = try MultivariateModel.learn(rows: rows, parameters: .init(lags: 0, smoothing: 1))
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add(
      "group",
      .multivariate(model, signals: [ChannelIndex(rawValue: 0), ChannelIndex(rawValue: 1)])
    )
    var bench = try Bench(builder)
    for second in Int64(0)..<40 {
      let level = Double(5 + second % 30)
      for channel in UInt32(0)..<2 {
        bench.read(second * 1000, level, channel: channel)
        bench.read(second * 1000, level + 20, channel: channel)
      }
    }
    #expect(bench.take() == [])
  }
}
