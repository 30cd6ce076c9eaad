import AlarmEngine
import Telemetry
import Testing

/// A device with a wrong clock is found, goes on by receive time, is alarmed on, and disturbs no other.
@Suite("Wrong clocks")
struct ClockFaultTests {
  /// How the first device's clock goes wrong: what it shows at a receive time, both from zero.
  struct Fault: CustomTestStringConvertible, Sendable {
    var name: String
    /// First wrong reading, receive time in seconds.
    var from: Int64 = 100
    var shown: @Sendable (Int64) -> Int64
    /// Receive times between which it must be found, in seconds.
    var found: ClosedRange<Int64>
    var testDescription: String { name }
  }

  static let wrongClocks: [Fault] = [
    Fault(name: "an hour ahead", shown: { $0 + 3_600_000 }, found: 100...100),
    Fault(name: "set to the year 2000", shown: { $0 - 800_000_000_000 }, found: 110...111),
    Fault(name: "an hour behind", shown: { $0 - 3_600_000 }, found: 110...111),
    Fault(name: "stands still", shown: { _ in 99_000 }, found: 110...112),
    Fault(
      name: "jumps about",
      shown: { $0 % 2000 == 0 ? $0 + 40_000_000 : $0 - 40_000_000 },
      found: 100...100
    ),
  ]

  @Test("a usual lag hides no wrong clock, whatever else is in a batch")
  func usualLag() throws {
    // Rows of 256 are looked over at once: a reading of another status among them takes all of them the slow way.
    func found(with marked: Bool) throws -> [String] {
      var bench = try Bench(ClockFixture.builder())
      // Within one epoch, and always in order: a silence hides the step.
      for second in Int64(0)..<590 where !(200..<360).contains(second) {
        let lag: Int64 = second < 200 ? 200_000 : 350_000
        var batch = ReadingBatch(received: at(second * 1000), baseSequence: bench.sequence)
        for (channel, status) in [(0, SourceStatus.normal), (1, marked ? .calibration : .normal)] {
          let time = second * 1000 - (channel == 0 ? lag : 0)
          batch.append(
            Reading(
              channel: ChannelIndex(rawValue: UInt32(channel)),
              time: at(time),
              value: Double(second % 5) * 0.5,
              status: status
            ),
            sequence: bench.sequence
          )
          bench.sequence += 1
        }
        bench.engine.apply(batch, into: &bench.out)
      }
      return bench.take().filter { $0.contains(" r0 ") }
    }
    let plain = try found(with: false)
    #expect(try found(with: true) == plain)
    #expect(plain.count == 1)
  }

  @Test("found, quarantined on receive time, recovered", arguments: wrongClocks)
  func faults(fault: Fault) throws {
    var bench = try Bench(ClockFixture.builder())
    ClockFixture.run(&bench, seconds: 0...99)
    #expect(bench.take() == [])
    ClockFixture.run(&bench, seconds: 100...199, shown: fault.shown)
    let found = bench.out
    #expect(found.map(\.rule.rawValue) == [0], "\(found)")
    let raised = try #require(found.first)
    #expect(raised.kind == .raised)
    #expect(raised.time == raised.received)
    #expect(fault.found.contains((raised.received.milliseconds - epochOfTests) / 1000))
    #expect(raised.value.isFinite)
    #expect(raised.limit.magnitude == 300)
    let quarantine = ClockFixture.quarantine(bench)
    #expect(quarantine == [true, false])
    bench.out = []

    // Its rules go on, on receive time.
    ClockFixture.run(&bench, seconds: 200...249, high: 220, shown: fault.shown)
    #expect(bench.take() == ["raised r1 220000 unacknowledged"])
    ClockFixture.run(&bench, seconds: 250...299, shown: fault.shown)
    #expect(bench.take() == ["returned r1 250000 returnedUnacknowledged"])

    // The clock is put right: a minute later that is believed.
    ClockFixture.run(&bench, seconds: 300...400)
    #expect(bench.take() == ["returned r0 360000 returnedUnacknowledged"])
    let after = ClockFixture.quarantine(bench)
    #expect(after == [false, false])
    ClockFixture.run(&bench, seconds: 401...420, high: 410)
    #expect(bench.take() == ["raised r1 410000 unacknowledged"])
    #expect(bench.engine.counters.clockFaults == 1)
  }

  @Test("a clock that is wrong from the first reading", arguments: [-7_200_000, 7_200_000])
  func fromTheStart(offset: Int64) throws {
    var bench = try Bench(ClockFixture.builder())
    ClockFixture.run(&bench, seconds: 0...60) { $0 + offset }
    let known = bench.engine.clock(ofDevice: 0)
    let clock = try #require(known)
    #expect(clock.isQuarantined)
    #expect(clock.skewMilliseconds == offset)
    #expect(bench.take().count == 1)
    ClockFixture.run(&bench, seconds: 61...80, high: 70) { $0 + offset }
    #expect(bench.take() == ["raised r1 70000 unacknowledged"])
  }

  @Test("and stays wrong for hours", arguments: [-7_200_000, 3_600_000] as [Int64])
  func wrongForHours(ahead: Int64) throws {
    var bench = try Bench(ClockFixture.builder())
    for minute in Int64(0)..<240 {
      bench.read(minute * 60_000 + ahead, minute == 239 ? 20 : 1, lag: -ahead)
    }
    #expect(bench.take().contains { $0.hasPrefix("raised r1") }, "its rules go on")
    #expect(bench.engine.quarantinedDevices == 1)
    // A snapshot goes on as well.
    try bench.restart(under: ClockFixture.builder())
    for minute in Int64(240)..<300 { bench.read(minute * 60_000 + ahead, 1, lag: -ahead) }
    #expect(bench.engine.quarantinedDevices == 1)
  }

  @Test(
    "one odd reading hides nothing of what the clock does after it",
    arguments: [60_000, -4500, -1_700_000_000_000],
    [-800_000_000_000, -3_600_000, -28_800_000]
  )
  func oddReading(odd: Int64, wrong: Int64) throws {
    var bench = try Bench(ClockFixture.builder())
    ClockFixture.run(&bench, seconds: 0...99)
    ClockFixture.run(&bench, seconds: 100...100) { $0 + odd }
    ClockFixture.run(&bench, seconds: 101...250, high: 200) { $0 + wrong }
    let raised = bench.out.filter { $0.kind == .raised }
    #expect(raised.map(\.rule.rawValue) == [0, 1])
    #expect((raised.first?.received.milliseconds ?? 0) - epochOfTests <= 112_000)
  }

  @Test(
    "in quarantine the readings of a message are as far apart as their stamps",
    arguments: [-3_600_000, 3_600_000] as [Int64]
  )
  func packedQuarantine(ahead: Int64) throws {
    var builder = ClockFixture.builder(delay: 10_000)
    builder.add("rate", .successiveChange(perSecond: 5))
    var bench = try Bench(builder)
    func send(at received: Int64, high: Range<Int64>, _ bench: inout Bench) {
      let readings = (0..<12).map { (index: Int64) -> (Int64, Double) in
        (received - 55_000 + index * 5000 + ahead, high.contains(index) ? 20 : 1)
      }
      ClockFixture.send(readings, at: received, &bench)
    }
    for minute in Int64(1)...3 { send(at: minute * 60_000, high: 0..<0, &bench) }
    #expect(bench.engine.quarantinedDevices == 1)
    _ = bench.take()
    send(at: 240_000, high: 4..<9, &bench)
    #expect(
      bench.take() == [
        "raised r1 215000 unacknowledged", "returned r1 230000 returnedUnacknowledged",
      ]
    )
    // What its stamps would put before the message before is not, and no rate is told of what has no distance.
    send(at: 250_000, high: 2..<5, &bench)
    #expect(bench.take() == [])
    #expect(bench.engine.counters.late == 0)
  }

  @Test("what is believed again after a quarantine is not late")
  func trustedAgain() throws {
    var bench = try Bench(ClockFixture.builder())
    ClockFixture.run(&bench, seconds: 0...20) { $0 + 3_600_000 }
    // Right from 21 s on; messages wait for seven seconds and less and less, and none overtakes another.
    for second in Int64(21)...120 {
      let waited = max(0, 7000 - second % 20 * 500)
      bench.read(second * 1000, (82...84).contains(second) ? 20 : 1, lag: waited)
    }
    #expect(bench.engine.quarantinedDevices == 0)
    #expect(bench.engine.counters.late == 0)
    #expect(bench.take().contains { $0.hasPrefix("raised r1") })
  }

  @Test(
    "a channel whose stamps are of another time is found, although the others' are right",
    arguments: [-800_000_000_000, -3_600_000, -200_000] as [Int64]
  )
  func blindChannel(offset: Int64) throws {
    var builder = PlanBuilder(devices: 1, channelsPerDevice: 2)
    builder.plan.devices[0].clockToleranceMilliseconds = ClockFixture.tolerance
    builder.add("high", .high(10))
    builder.add("clock", .clockFault, channel: 1)
    var bench = try Bench(builder)
    for second in Int64(0)...900 {
      let isWrong = second >= 100
      // It goes back now and then, so that it never comes to be as new as it was.
      let time = second * 1000 + (isWrong ? offset - (second % 100) * 2000 : 0)
      bench.read(time, isWrong ? 20 : 1, lag: second * 1000 - time)
      bench.read(second * 1000, 1, channel: 1)
      // A snapshot goes on as well.
      if second == 400 {
        try bench.restart(under: builder)
      }
    }
    let raised = bench.out.filter { $0.kind == .raised }.map(\.rule.rawValue)
    #expect(offset > -ClockFixture.tolerance || raised == [1, 0])
    let high = bench.out.first { $0.rule.rawValue == 0 }
    #expect((high?.received.milliseconds ?? .max) - epochOfTests <= 700_000)
  }

  @Test("old readings of one channel that catch up are no wrong clock")
  func catchingUp() throws {
    var builder = PlanBuilder(devices: 1, channelsPerDevice: 2)
    builder.plan.devices[0].clockToleranceMilliseconds = ClockFixture.tolerance
    builder.add("clock", .clockFault)
    var bench = try Bench(builder)
    bench.read(0, 1)
    for second in Int64(1)...1500 {
      // Two hours, five times as fast as they were measured.
      let time = -7_200_000 + second * 5000
      if time < 0 { bench.read(time, 1, lag: second * 1000 - time) }
      bench.read(second * 1000, 1, channel: 1)
    }
    #expect(bench.take() == [])
    #expect(bench.engine.counters.late > 1400)
  }

  @Test("a lag just beyond the tolerance is found in time")
  func justBeyond() throws {
    var bench = try Bench(ClockFixture.builder())
    for second in Int64(0)...40 { bench.read(second * 1000 - 302_000, 1, lag: 302_000) }
    #expect(bench.take() == ["raised r0 10000 unacknowledged"])
  }

  @Test("a gateway that packs more than the tolerance is found when its clock is set back")
  func packedFault() throws {
    var bench = try Bench(ClockFixture.builder())
    for message in Int64(1)...12 {
      let back: Int64 = message > 6 ? 3_600_000 : 0
      let readings = (0..<10).map { index -> (Int64, Double) in
        (message * 600_000 - (9 - index) * 60_000 - back, 1)
      }
      ClockFixture.send(readings, at: message * 600_000, &bench)
    }
    let raised = bench.out.first { $0.kind == .raised && $0.rule.rawValue == 0 }
    #expect(raised.map { ($0.received.milliseconds - epochOfTests) / 600_000 <= 9 } == true)
  }

  @Test(
    "what a device says whose clock is guarded no more is judged at once",
    arguments: [-28_800_000, 28_800_000] as [Int64]
  )
  func unguardedInQuarantine(ahead: Int64) throws {
    var builder = PlanBuilder()
    builder.add("high", .high(50), onDelay: 8000)
    var bench = try Bench(builder)
    for second in stride(from: Int64(0), to: 60, by: 5) {
      bench.read(second * 1000 + ahead, second < 55 ? 1 : 60, lag: -ahead)
    }
    #expect(bench.engine.quarantinedDevices == 1)
    builder.plan.devices[0].clockToleranceMilliseconds = DevicePlan.unguarded
    try bench.engine.replacePlan(builder.plan, at: at(58_000), into: &bench.out)
    #expect(bench.engine.quarantinedDevices == 0)
    bench.read(60_000 + ahead, 60, lag: -ahead)
    bench.read(65_000 + ahead, 60, lag: -ahead)
    #expect(bench.take() == ["raised r0 \(63_000 + ahead) unacknowledged"])
    #expect(bench.engine.counters.late == 0)
  }

  @Test(
    "quarantine ends whatever lag within the tolerance is usual",
    arguments: [0, 140_000, 200_000, 290_000],
    [0, 100_000]
  )
  func recovery(lag: Int64, spread: Int64) throws {
    var bench = try Bench(ClockFixture.builder())
    var random = SeededRandom(seed: 5)
    func usual(_ received: Int64) -> Int64 { received - max(0, lag - random.int(0...spread)) }
    ClockFixture.run(&bench, seconds: 0...99, shown: usual)
    ClockFixture.run(&bench, seconds: 100...300) { $0 + 3_600_000 }
    let found = ClockFixture.quarantine(bench)
    #expect(found == [true, false])
    ClockFixture.run(&bench, seconds: 301...1400, shown: usual)
    let after = ClockFixture.quarantine(bench)
    #expect(after == [false, false])
    #expect(bench.engine.counters.clockFaults == 1)
    let ended = bench.out.last { $0.rule.rawValue == 0 }
    let longest: Int64 = lag == 0 || lag == 140_000 && spread == 0 ? 361 : 301 + 1000
    #expect(ended?.kind == .returned)
    #expect((ended?.received.milliseconds ?? 0) - epochOfTests <= longest * 1000)
  }

  @Test("a delay that runs when the clock fails runs out when it would have")
  func runningDelay() throws {
    var bench = try Bench(ClockFixture.builder(delay: 20_000))
    // The device is two seconds behind, as it may be.
    ClockFixture.run(&bench, seconds: 0...109, high: 90) { $0 - 2000 }
    #expect(bench.take() == [])
    ClockFixture.run(&bench, seconds: 110...115, high: 90) { $0 + 9_000_000 }
    // Found at 110 s; the condition began at 90 s and is an alarm at 110 s, by receive time.
    #expect(
      bench.take() == ["raised r0 110000 unacknowledged", "raised r1 110000 unacknowledged"]
    )
    let high = bench.standing().first { $0.rule.rawValue == 1 }
    #expect(high?.onset == at(90_000))
  }

  /// Streams that look wrong and are not.
  enum Innocent: CaseIterable, Sendable {
    case burst, backlog, historical, shuffled, replay, repeated
  }

  @Test("what looks like a wrong clock and is none", arguments: Innocent.allCases)
  func innocent(kind: Innocent) throws {
    var builder = ClockFixture.builder()
    if kind == .replay {
      builder.plan.devices[0].clockToleranceMilliseconds = DevicePlan.unguarded
    }
    var bench = try Bench(builder)
    ClockFixture.run(&bench, seconds: 0...99)
    switch kind {
    case .burst:
      // Two hours of back-filled data in half a minute, in order and out of it.
      for index in Int64(0)..<900 {
        let time = -7_200_000 + index * 8000
        bench.read(time, 1, lag: 100_000 + index * 33 - time)
      }
    case .backlog:
      for index in Int64(0)..<100 {
        var batch = ReadingBatch(received: at(4_000_000 + index * 1000), baseSequence: 5000)
        batch.isBacklog = true
        batch.append(
          Reading(channel: ChannelIndex(rawValue: 0), time: at(100_000 + index * 1000), value: 1),
          sequence: 5000
        )
        bench.engine.apply(batch, into: &bench.out)
      }
    case .historical:
      for second in Int64(100)...200 {
        bench.read(second * 1000 - 5_000_000, 20, flags: .historical, lag: 5_000_000)
      }
    case .shuffled:
      for second in Int64(100)...300 {
        bench.read(second * 1000, 1)
        bench.read(second * 1000 - 40_500, 1, lag: 40_500)
      }
    case .replay:
      for second in Int64(100)...300 {
        let time = second * 1000 - 9_000_000_000
        bench.read(time, 1, lag: 9_000_000_000)
      }
    case .repeated:
      for second in Int64(100)...300 { bench.read(99_000, 0.5, lag: second * 1000 - 99_000) }
    }
    #expect(bench.take() == [])
    #expect(bench.engine.counters.clockFaults == 0)
    #expect(bench.engine.counters.clockSteps == 0)
  }

  @Test("skew and drift are estimated", arguments: [-80.0, 25, 400])
  func drift(partsPerMillion: Double) throws {
    var bench = try Bench(ClockFixture.builder())
    var random = SeededRandom(seed: 3)
    for minute in Int64(0)...(30 * 60) {
      let received = minute * 60_000 + random.int(0...900)
      let ideal = Double(received) * (1 + partsPerMillion * 1e-6)
      bench.read(Int64(ideal) - 700, 1, lag: received - Int64(ideal) + 700)
    }
    let known = bench.engine.clock(ofDevice: 0)
    let clock = try #require(known)
    let drift = try #require(clock.driftPartsPerMillion)
    #expect((drift - partsPerMillion).magnitude < 3)
    let skew = try #require(clock.skewMilliseconds)
    let expected = 30.0 * 3_600_000 * partsPerMillion * 1e-6 - 700
    #expect((Double(skew) - expected).magnitude < 600)
    #expect(!clock.isQuarantined)
  }

  @Test("no other device is disturbed", arguments: 1...20 as ClosedRange<UInt64>)
  func isolation(seed: UInt64) throws {
    func run(faulty: Bool) throws -> [Transition] {
      var builder = PlanBuilder(devices: 2, channelsPerDevice: 2)
      for channel in UInt32(0)..<4 {
        builder.add("clock\(channel)", .clockFault, channel: channel)
        builder.add("high", .high(11, restore: 9), channel: channel, onDelay: 700, offDelay: 900)
        builder.add("stale", .stale(afterMilliseconds: 5000), channel: channel)
      }
      var engine = try Engine(plan: builder.plan)
      var random = SeededRandom(seed: seed)
      var out: [Transition] = []
      var received: Int64 = 0
      var wrong: Int64 = 0
      for sequence in UInt64(1)...3000 {
        received += random.int(0...900)
        let channel = UInt32(random.int(0...3))
        let value = Double(random.int(6...14))
        let jump = random.chance(80) ? random.int(-9_000_000...9_000_000) : nil
        let isSettled = random.chance(300)
        if let jump { wrong = jump }
        if isSettled { wrong = 0 }
        let lag = random.int(0...200)
        let isWrong = faulty && channel < 2
        var batch = ReadingBatch(received: at(received), baseSequence: sequence)
        batch.append(
          Reading(
            channel: ChannelIndex(rawValue: channel),
            time: at(received - lag + (isWrong ? wrong : 0)),
            value: value
          ),
          sequence: sequence
        )
        engine.apply(batch, into: &out)
      }
      return out
    }
    let faulty = try run(faulty: true)
    let other = { (out: [Transition]) in
      out.filter { $0.channel.rawValue >= 2 }.map(\.comparable)
    }
    #expect(other(faulty) == other(try run(faulty: false)), "SEED=\(seed)")
    #expect(faulty.contains { $0.channel.rawValue == 0 && $0.rule.rawValue == 0 }, "SEED=\(seed)")
  }
}
