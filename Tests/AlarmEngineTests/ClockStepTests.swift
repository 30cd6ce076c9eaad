import AlarmEngine
import Telemetry
import Testing

/// A clock that is set by less than its tolerance is followed, and a stamp that lies ahead of its clock is not believed at once:
/// no delay ends before its time, and nothing is late.
@Suite("Clocks that are set, and stamps that leap")
struct ClockStepTests {
  @Test("a clock set back by less than the tolerance is followed without an alarm")
  func step() throws {
    var bench = try Bench(ClockFixture.builder())
    ClockFixture.run(&bench, seconds: 0...99)
    ClockFixture.run(&bench, seconds: 100...150, high: 130) { $0 - 120_000 }
    #expect(bench.take() == ["raised r1 10000 unacknowledged"])
    #expect(bench.engine.counters.clockFaults == 0)
    #expect(bench.engine.counters.clockSteps == 1)
    let skew = bench.engine.clock(ofDevice: 0)?.skewMilliseconds
    #expect(skew == -120_000)
  }

  @Test("an alarm that begins when a clock that was set back shows the former's onset is another")
  func onsetTwice() throws {
    var bench = try Bench(ClockFixture.builder())
    ClockFixture.run(&bench, seconds: 0...99)
    ClockFixture.run(&bench, seconds: 100...100, high: 100)
    ClockFixture.run(&bench, seconds: 101...119)
    ClockFixture.run(&bench, seconds: 120...139) { $0 - 40_000 }
    ClockFixture.run(&bench, seconds: 140...140, high: 140) { $0 - 40_000 }
    let raised = bench.out.filter { $0.kind == .raised }
    #expect(raised.map(\.time) == [at(100_000), at(100_000)])
    #expect(raised.map(\.onset) == [at(100_000), at(100_001)])
    #expect(bench.standing().map(\.onset) == [at(100_000), at(100_001)])
  }

  @Test("a clock set ahead by less than the tolerance is followed without an alarm")
  func stepAhead() throws {
    var bench = try Bench(ClockFixture.builder(delay: 30_000))
    ClockFixture.run(&bench, seconds: 0...150, high: 95) { $0 >= 100_000 ? $0 + 120_000 : $0 }
    // The delay has run for thirty seconds of receive time, not for as long as the clock has leapt.
    #expect(bench.take() == ["raised r1 245000 unacknowledged"])
    #expect(bench.out.isEmpty && bench.engine.counters.clockFaults == 0)
    #expect(bench.engine.counters.clockSteps == 1)
    let skew = bench.engine.clock(ofDevice: 0)?.skewMilliseconds
    #expect(skew == 120_000)
  }

  @Test(
    "a clock that is set ahead after a usual lag makes nothing late",
    arguments: [20_000, 200_000]
  )
  func stepAheadOfLag(lag: Int64) throws {
    var bench = try Bench(ClockFixture.builder())
    ClockFixture.run(&bench, seconds: 0...400, high: 300) { $0 - ($0 < 200_000 ? lag : -30_000) }
    #expect(bench.take() == ["raised r1 330000 unacknowledged"])
    #expect(bench.engine.counters.late == 0)
    #expect(bench.engine.counters.clockSteps == 1)
  }

  /// A cascade on a channel that never reports, over a rule of another channel of the device.
  private static func cascade(delay: Int64) throws -> PlanBuilder {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.plan.devices[0].clockToleranceMilliseconds = ClockFixture.tolerance
    let member = CascadeParameters.Member(rule: builder.add("high", .high(10)), grade: .blue)
    builder.add(
      "cascade",
      .cascade(
        CascadeParameters(cascade: try CountCascade(), grade: .blue, points: [[member]])
      ),
      channel: 1,
      onDelay: delay
    )
    return builder
  }

  @Test("delays on channels that never report move with the clock, too")
  func silentChannels() throws {
    // Behind by 200 s, then by 3,800 s: found at 42 s, when the alarm has stood for 11 s.
    var bench = try Bench(Self.cascade(delay: 100_000))
    for second in Int64(0)...90 {
      let lag: Int64 = second < 32 ? 200_000 : 3_800_000
      bench.read(second * 1000 - lag, (31..<76).contains(second) ? 20 : 1, lag: lag)
    }
    #expect(bench.engine.quarantinedDevices == 1)
    #expect(!bench.take().contains { $0.hasPrefix("raised r1") }, "it has lasted for 45 s")

    // Set back by 200 s, which is followed: 100 s have passed at 131 s, whatever the clock shows.
    bench = try Bench(Self.cascade(delay: 100_000))
    for second in Int64(0)...230 {
      let lag: Int64 = second < 32 ? 0 : 200_000
      bench.read(second * 1000 - lag, second < 31 ? 1 : 20, lag: lag)
      if second == 130 { #expect(!bench.take().contains { $0.hasPrefix("raised r1") }) }
      if second == 133 { #expect(bench.take().contains { $0.hasPrefix("raised r1") }) }
    }
  }

  @Test("a packing gateway's clock that is set back is followed in a few messages")
  func packedStep() throws {
    var bench = try Bench(ClockFixture.builder(delay: 5000))
    for message in Int64(1)...20 {
      var batch = ReadingBatch(received: at(message * 60_000), baseSequence: bench.sequence)
      for second in message * 60 - 59...message * 60 {
        let time = second * 1000 - (message > 10 ? 250_000 : 0)
        let value: Double = (1000..<1020).contains(second) ? 20 : 1
        batch.append(
          Reading(channel: ChannelIndex(rawValue: 0), time: at(time), value: value),
          sequence: bench.sequence
        )
        bench.sequence += 1
      }
      bench.engine.apply(batch, into: &bench.out)
    }
    #expect(bench.engine.counters.clockSteps == 1)
    #expect(
      bench.take() == [
        "raised r1 755000 unacknowledged", "returned r1 770000 returnedUnacknowledged",
      ]
    )
  }

  @Test("a clock that is followed within a message tells of no rate")
  func rateWhenFollowed() throws {
    var builder = ClockFixture.builder()
    builder.add("rate", .successiveChange(perSecond: 4))
    builder.add("slope", .rateOfChange(.init(span: 5000, limit: 4)))
    var bench = try Bench(builder)
    for message in Int64(1)...12 {
      let ahead: Int64 = message > 6 ? 60_000 : 0
      let readings = [(-5000, 0.0), (0, 1.5)].map { ($0.0 + message * 10_000 + ahead, $0.1) }
      ClockFixture.send(readings, at: message * 10_000, &bench)
    }
    #expect(bench.take() == [])
    #expect(bench.engine.counters.late == 0 && bench.engine.counters.clockSteps == 1)
  }

  @Test(
    "one stamp from the future blinds no channel and ends no delay",
    arguments: [1500, 6000, 120_000, 299_000],
    [0, 20_000, 200_000]
  )
  func leap(ahead: Int64, lag: Int64) throws {
    // Two channels of one device: the other one's readings show that its clock is right.
    var builder = PlanBuilder(devices: 1, channelsPerDevice: 2)
    builder.plan.devices[0].clockToleranceMilliseconds = ClockFixture.tolerance
    builder.add("clock", .clockFault)
    builder.add("high", .high(10), onDelay: 3000)
    builder.add("stale", .stale(afterMilliseconds: 3000))
    builder.add("rate", .successiveChange(perSecond: 30))
    var bench = try Bench(builder)
    for second in Int64(0)...60 {
      // Ahead of the server, not only of the device's own lag.
      let time = second * 1000 - lag + (second == 30 ? ahead + lag : 0)
      // Two seconds are no alarm, ten are.
      let isHigh = (29...30).contains(second) || (32...41).contains(second)
      bench.read(time, isHigh ? 20 : 1, lag: second * 1000 - time)
      bench.read(second * 1000 - lag, 1, channel: 1, lag: lag)
    }
    #expect(
      bench.take() == [
        "raised r1 \(35_000 - lag) unacknowledged",
        "returned r1 \(42_000 - lag) returnedUnacknowledged",
      ]
    )
    #expect(bench.engine.counters.late == 0)
    #expect(bench.engine.counters.clockSteps == 0)
  }

  @Test("leaps of one message are of one moment")
  func leapsInMessage() throws {
    var builder = ClockFixture.builder()
    builder.add("rate", .successiveChange(perSecond: 4))
    builder.add("slope", .rateOfChange(.init(span: 5000, limit: 4)))
    var bench = try Bench(builder)
    for message in Int64(0)...12 {
      var batch = ReadingBatch(received: at(message * 10_000), baseSequence: bench.sequence)
      for second in message * 10 - 9...message * 10 {
        let time = second * 1000 + (second > 60 ? 60_000 : 0)
        batch.append(
          Reading(channel: ChannelIndex(rawValue: 0), time: at(time), value: 0.01 * Double(second)),
          sequence: bench.sequence
        )
        bench.sequence += 1
      }
      bench.engine.apply(batch, into: &bench.out)
    }
    #expect(bench.take() == [])
    // The clock is followed within a message, before its youngest reading.
    #expect(bench.engine.counters.late == 0)
    #expect(bench.engine.counters.clockSteps == 1)
  }

  /// A gateway that packs has sent six messages by a clock that is 20 s ahead: a reading each five seconds, high for 15 s up to
  /// the last but one of the fourth.
  private static func packedAhead(allowance: Int64) throws -> Bench {
    var bench = try Bench(ClockFixture.builder(delay: 10_000, allowance: allowance))
    for message in Int64(1)...6 {
      let readings = (0..<12).map { index -> (Int64, Double) in
        (
          message * 60_000 - 35_000 + index * 5000,
          message == 4 && (8...11).contains(index) ? 20 : 1
        )
      }
      ClockFixture.send(readings, at: message * 60_000, &bench)
    }
    return bench
  }

  @Test("of a gateway that packs and is ahead, the youngest readings are what they say")
  func youngestPackedAhead() throws {
    var bench = try Self.packedAhead(allowance: 0)
    #expect(bench.take().first == "raised r1 255000 unacknowledged")
    #expect(bench.engine.counters.late == 0 && bench.engine.counters.clockFaults == 0)
  }

  @Test("the youngest readings of a gateway ahead are what they say, also where they are held back")
  func youngestPackedAheadHeld() throws {
    var bench = try Self.packedAhead(allowance: 5000)
    #expect(bench.take().first == "raised r1 255000 unacknowledged")
    let skew = bench.engine.clock(ofDevice: 0)?.skewMilliseconds
    #expect(skew == 20_000)
    #expect(bench.engine.counters.late == 0 && bench.engine.counters.clockSteps == 0)
  }

  @Test("one stamp from the future blinds no channel of a gateway that packs", arguments: [0, 1])
  func packedLeap(place: Int) throws {
    var bench = try Bench(ClockFixture.builder())
    for message in Int64(1)...20 {
      var readings = (0..<2).map { (message * 10_000 - 5000 + $0 * 5000, 1.0) } as [(Int64, Double)]
      // The first of a message, and what follows it.
      if message == 10 { for index in place..<2 { readings[index].0 += 200_000 } }
      if message > 10 { readings[1].1 = 20 }
      ClockFixture.send(readings, at: message * 10_000, &bench)
    }
    #expect(bench.take().first == "raised r1 110000 unacknowledged")
    #expect(bench.engine.counters.late <= 1 && bench.engine.counters.clockSteps == 0)
  }

  @Test("a leap that comes twice is judged once")
  func repeatedLeap() throws {
    var bench = try Bench(ClockFixture.builder())
    bench.read(-1000, 1)
    bench.read(120_000, 1, lag: -120_000)
    for second in Int64(5)...39 { bench.read(second * 1000, 20) }
    bench.read(120_000, 1, lag: -80_000)
    for second in Int64(41)...60 { bench.read(second * 1000, 20) }
    #expect(bench.take() == ["raised r1 5000 unacknowledged"])
    #expect(bench.engine.counters.duplicates == 1)
  }

  @Test("a stamp of one channel that always leaps is judged by receive time, none is late")
  func leapingChannel() throws {
    var builder = PlanBuilder(devices: 1, channelsPerDevice: 2)
    builder.plan.devices[0].clockToleranceMilliseconds = ClockFixture.tolerance
    builder.add("high", .high(10), onDelay: 3000)
    var bench = try Bench(builder)
    for second in Int64(0)...60 {
      // Stamped by the end of the minute.
      let time = (second / 60 + 1) * 60_000
      bench.read(time, second >= 32 ? 20 : 1, lag: second * 1000 - time)
      bench.read(second * 1000, 1, channel: 1)
    }
    #expect(bench.take() == ["raised r0 35000 unacknowledged"])
    #expect(bench.engine.counters.late == 0)
  }

  @Test("a delay ends by the least lag that is known, also when that falls while it runs")
  func leastLagFalls() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("high", .high(10), onDelay: 5000)
    var bench = try Bench(builder)
    bench.read(0, 1, lag: 100_000)
    bench.read(1000, 20, lag: 100_000)
    // Another channel says that the clock is right: the delay is over for long.
    bench.read(102_000, 1, channel: 1, lag: 0)
    bench.tick(102_001)
    #expect(bench.take() == ["raised r0 6000 unacknowledged"])
  }

  @Test(
    "a backlog in which the least lag falls with every reading arms a delay once",
    arguments: [false, true]
  )
  func leastLagFallsInBacklog(isRestored: Bool) throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("high", .high(10), onDelay: 3_600_000)
    var sizes: [Int] = []
    for count in [10, 1000] as [Int64] {
      var bench = try Bench(builder)
      var batch = ReadingBatch(received: at(10_000_000), baseSequence: bench.sequence)
      batch.isBacklog = true
      for second in 0...count {
        let reading = Reading(
          channel: ChannelIndex(rawValue: second == 0 ? 0 : 1),
          time: at(second * 1000),
          value: 20
        )
        batch.append(reading, sequence: bench.sequence)
      }
      bench.engine.apply(batch, into: &bench.out)
      #expect(bench.engine.nextDeadline == at(10_000_001))
      sizes.append(bench.engine.snapshot().count)
      if isRestored {
        try bench.restart(under: builder)
      }
      // By the lag of the last one.
      let due = 3_600_000 + 10_000_000 - count * 1000
      bench.tick(due)
      #expect(bench.out.isEmpty)
      bench.tick(due + 1)
      #expect(bench.out.map(\.time) == [at(3_600_000)])
      #expect(bench.out.map(\.received) == [at(due)])
    }
    #expect(sizes[0] == sizes[1])
  }

  @Test("nor does a delay wait for what a former one has armed", arguments: [false, true])
  func formerDelay(isRestored: Bool) throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("high", .high(10), onDelay: 5000)
    var bench = try Bench(builder)
    bench.read(0, 1, lag: 100_000)
    bench.read(1000, 20, lag: 100_000)
    bench.read(2000, 1, lag: 100_000)
    bench.read(102_500, 1, channel: 1, lag: 0)
    if isRestored {
      try bench.restart(under: builder)
    }
    bench.read(3000, 20, lag: 100_000)
    bench.tick(103_001)
    #expect(bench.take() == ["raised r0 8000 unacknowledged"])
  }

  @Test("nor for one that a change of the time base has moved ahead of it")
  func movedDelay() throws {
    var builder = PlanBuilder()
    builder.add("clock", .clockFault)
    builder.add("high", .high(10), onDelay: 20_000)
    var bench = try Bench(builder)
    for second in Int64(0)...20 { bench.read(second * 1000 + 3_600_000, 1, lag: -3_600_000) }
    // Right from now on; one message has waited for seven seconds, so that no time of the quarantine lies after 74 s.
    for second in Int64(21)...80 {
      let lag: Int64 = second == 21 ? 7000 : 0
      bench.read(second * 1000 - lag, second == 80 ? 20 : 1, lag: lag)
    }
    #expect(bench.engine.quarantinedDevices == 1)
    bench.read(75_000, 1, lag: 6000)
    #expect(bench.engine.quarantinedDevices == 0)
    bench.read(75_500, 20, lag: 6500)
    bench.tick(95_501)
    #expect(bench.take().filter { $0.contains(" r1 ") } == ["raised r1 95500 unacknowledged"])
  }
}
