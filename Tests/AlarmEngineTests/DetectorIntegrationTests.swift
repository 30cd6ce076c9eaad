import AlarmEngine
import Telemetry
import Testing

/// Every kind of detector inside the engine, under everything that must not change a transition.
@Suite("Detectors in the engine")
struct DetectorIntegrationTests {
  /// Over the states of the channels `c0`, `c1`, … by their rows.
  private static func bound(_ text: String) throws -> BoundExpression {
    try BoundExpression(text) { name in
      Int(name.dropFirst()).map { SignalType(index: $0, kind: .state) }
    }
  }

  private static func detector(_ text: String) throws -> Detector {
    let bound = try bound(text)
    return .expression(bound.expression, signals: bound.signals)
  }

  private static func feedInterlock() throws -> Detector {
    .interlock(.init(deadline: 2000), cause: try bound("c0"), response: try bound("not c1"))
  }

  /// Every shape of window, one on each channel.
  static let windows: [(WindowedStatistic.Shape, WindowedStatistic.Statistic, Double)] = [
    (.tumbling(length: 4000, offset: 0), .mean, 9),
    (.hopping(length: 6000, hop: 2000, offset: 500), .median, 9),
    (.sliding(span: 5000), .range, 5),
    (.count(size: 8, isTumbling: true), .variance, 3),
    (.session(gap: 1200, longest: 20_000), .count, 6),
    (.state(judged: 8), .slope, 0),
  ]

  /// The stream of the invariance tests with one rule of every further kind a channel.
  static func stream(seed: UInt64, readings: Int) throws -> Stream {
    var stream = Stream(seed: seed, readings: readings)
    var random = SeededRandom(seed: seed &+ 1000)
    let normal = (0..<60).map { _ in (0..<3).map { _ in Double(random.int(0...100)) / 10 } }
    let model = try MultivariateModel.learn(rows: normal, parameters: .init(lags: 0))
    for channel in UInt32(0)..<6 {
      let detectors: [(String, Detector)] = [
        ("slope", .rateOfChange(.init(span: 3000, limit: 1.5))),
        ("stuck", .stuck(.init(duration: 4000))),
        ("chart", .ewmaChart(.init(baseline: .learned(readings: 20)))),
        ("cusum", .cusum(.init(baseline: .learned(readings: 20)))),
        ("z", .ewmaZScore(.init(limit: 2, warmUp: 10, longestFreeze: 5000))),
        ("robust", .robustZScore(.init(span: 20_000, limit: 2, minimumCount: 10))),
        ("season", .seasonal(.init(limit: 2, minimumWeeks: 1, minimumReadings: 1))),
        ("hug", .limitHugging(.init(span: 20_000, limit: 11, share: 0.3, minimumCount: 5))),
        ("replay", .replayedRun(.init(length: 16, changes: 2, history: 64))),
        ("gap", .gapAtRise(.init(limit: 11, gap: 2000, span: 10_000))),
        ("background", .backgroundExcess(.init(limit: 2, span: 20_000))),
        ("set", .deviation(.init(limit: 3, gain: 0, offset: 8), from: nil)),
        (
          "peer",
          .deviation(.init(limit: 4), from: ChannelIndex(rawValue: (channel + 1) % 6))
        ),
      ]
      for (name, detector) in detectors {
        stream.builder.add(
          name,
          detector,
          channel: channel,
          onDelay: name == "cusum" ? 700 : 0,
          offDelay: name == "set" ? 600 : 0
        )
      }
    }
    // What it was raised on is part of the raise.
    stream.builder.add(
      "group-held",
      .multivariate(model, signals: [1, 3, 5].map { ChannelIndex(rawValue: $0) }),
      channel: 5,
      onDelay: 200
    )
    stream.builder.add("vote", try detector("2 of (c0, c2, c4) for 2s"), channel: 0)
    stream.builder.add("both", try detector("c1 and not c3"), channel: 1, onDelay: 500)
    stream.builder.add(
      "interlock",
      .interlock(.init(deadline: 1500), cause: try bound("c2"), response: try bound("not c5")),
      channel: 2
    )
    stream.builder.add(
      "group",
      .multivariate(model, signals: [0, 2, 4].map { ChannelIndex(rawValue: $0) }),
      channel: 4
    )
    for (channel, (shape, statistic, limit)) in windows.enumerated() {
      let row = UInt32(channel)
      var signals = [ChannelIndex(rawValue: row)]
      if case .state(judged: .some) = shape { signals.append(ChannelIndex(rawValue: row ^ 1)) }
      stream.builder.add(
        "window-\(channel)",
        .window(
          .init(
            shape: shape,
            statistic: statistic,
            limit: LimitParameters(comparison: .above, setpoint: limit, restore: limit),
            grace: channel.isMultiple(of: 2) ? 1500 : 0
          ),
          signals: signals
        ),
        channel: row,
        onDelay: channel == 2 ? 500 : 0
      )
    }
    return stream
  }

  @Test(
    "batches, ticks, snapshots and an equal plan change nothing",
    arguments: 1...6 as ClosedRange<UInt64>
  )
  func disturbances(seed: UInt64) throws {
    let stream = try Self.stream(seed: seed, readings: 6000)
    let plain = try InvarianceTests.run(stream)
    let disturbances: [InvarianceTests.Disturbance] = [
      .singleBatches, .ticks, .snapshots, [.singleBatches, .ticks, .snapshots, .samePlan],
    ]
    for disturbance in disturbances {
      let disturbed = try InvarianceTests.run(stream, disturbance, seed: seed)
      let difference = zip(plain.transitions, disturbed.transitions).first { $0 != $1 }
      #expect(
        plain.transitions == disturbed.transitions,
        "SEED=\(seed) disturbance=\(disturbance.rawValue) first \(String(describing: difference))"
      )
    }
  }

  @Test("every kind raises and returns in the random streams")
  func coverage() throws {
    var raised: Set<Int> = []
    var returned: Set<Int> = []
    var count = 0
    for seed in UInt64(1)...6 {
      let stream = try Self.stream(seed: seed, readings: 6000)
      count = stream.builder.plan.rules.count
      for transition in try InvarianceTests.run(stream).transitions {
        if transition.kind == .raised { raised.insert(Int(transition.rule.rawValue)) }
        if transition.kind == .returned { returned.insert(Int(transition.rule.rawValue)) }
      }
    }
    // 48 rules of the records, then thirteen a channel, then a held group, four others and six windows; a season needs weeks,
    // and a random walk does not repeat itself.
    let names = [
      "slope", "stuck", "chart", "cusum", "z", "robust", "season", "hug", "replay", "gap",
      "background",
      "set",
      "peer",
    ]
    for (number, name) in names.enumerated()
    where name != "season" && name != "replay" {
      let rules = Set((0..<6).map { 48 + $0 * names.count + number })
      #expect(!raised.isDisjoint(with: rules), "\(name) never raised")
      #expect(!returned.isDisjoint(with: rules), "\(name) never returned")
    }
    for rule in count - 10..<count {
      #expect(raised.contains(rule), "group or window rule \(rule) never raised")
    }
    for rule in count - 6..<count {
      #expect(returned.contains(rule), "window rule \(rule) never returned")
    }
  }

  @Test("a detector in the engine says what it says alone")
  func sameAsAlone() throws {
    var random = SeededRandom(seed: 3)
    var builder = PlanBuilder()
    builder.add("cusum", .cusum(.init(baseline: .given(mean: 0, standardDeviation: 1))))
    builder.add("robust", .robustZScore(.init(span: 30_000, limit: 3, minimumCount: 10)))
    var bench = try Bench(builder)
    var cusum = try TabularCUSUM(.init(baseline: .given(mean: 0, standardDeviation: 1)))
    var robust = try RobustZScore(.init(span: 30_000, limit: 3, minimumCount: 10))
    var state = [false, false]
    for index in 0..<Int64(20_000) {
      let value = Double(random.int(-100...100)) / 50 + (index % 900 > 800 ? 3 : 0)
      bench.read(index * 1000, value)
      let truths = [
        cusum.step(time: at(index * 1000).milliseconds, value: value, isFrozen: state[0]).condition,
        robust.step(time: at(index * 1000).milliseconds, value: value, isFrozen: state[1])
          .condition,
      ]
      var expected: [TransitionKind] = []
      for (rule, truth) in truths.enumerated() {
        if truth == .yes && !state[rule] { expected.append(.raised) }
        if truth == .no && state[rule] { expected.append(.returned) }
        if truth != .unknown { state[rule] = truth == .yes }
      }
      let kinds = bench.out.map(\.kind).filter { $0 == .raised || $0 == .returned }
      #expect(kinds == expected, "reading \(index)")
      bench.out.removeAll()
    }
  }

  @Test("a stretch that repeats is found in the engine")
  func replayedStretch() throws {
    var builder = PlanBuilder()
    builder.add("replay", .replayedRun(.init(length: 16, changes: 4, history: 64)))
    var bench = try Bench(builder)
    var random = SeededRandom(seed: 9)
    let stretch = (0..<40).map { _ in Double(random.int(0...1000)) }
    for index in 0..<120 { bench.read(Int64(index) * 1000, stretch[index % stretch.count]) }
    #expect(bench.out.map(\.kind) == [.raised])
  }

  @Test("an interlock that does not follow in time is an alarm, one that does is not")
  func interlock() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("feed", try Self.feedInterlock())
    var bench = try Bench(builder)
    bench.read(0, 0)
    bench.read(10, 1, channel: 1)
    bench.read(1000, 1)
    bench.read(2500, 0, channel: 1)
    bench.tick(9000)
    #expect(bench.take() == [])
    bench.read(10_000, 0)
    bench.read(10_010, 1, channel: 1)
    bench.read(11_000, 1)
    bench.tick(20_000)
    #expect(bench.take() == ["raised r0 13000 unacknowledged"])
    bench.read(21_000, 0)
    #expect(bench.take() == ["returned r0 21000 returnedUnacknowledged"])
  }

  @Test(
    "an interlock over two devices is judged by one time, whatever their clocks show",
    arguments: [-240_000, 0, 240_000] as [Int64]
  )
  func interlockOverDevices(ahead: Int64) throws {
    var builder = PlanBuilder(devices: 2)
    builder.add("feed", try Self.feedInterlock())
    var bench = try Bench(builder)
    func respond(_ time: Int64, _ value: Double, _ bench: inout Bench) {
      bench.read(time + ahead, value, channel: 1, lag: -ahead)
    }
    // Until the guard follows a clock that is ahead.
    for second in stride(from: Int64(-20), to: 0, by: 4) {
      bench.read(second * 1000, 0)
      respond(second * 1000 + 10, 1, &bench)
    }
    bench.read(1000, 1)
    respond(2500, 0, &bench)
    bench.tick(9000)
    #expect(bench.take() == [])
    bench.read(10_000, 0)
    respond(10_010, 1, &bench)
    bench.read(11_000, 1)
    bench.tick(20_000)
    #expect(bench.take() == ["raised r0 13000 unacknowledged"])
    respond(21_000, 0, &bench)
    #expect(bench.take() == ["returned r0 21000 returnedUnacknowledged"])
  }

  @Test("what has lasted does not return because another signal's reading is from before")
  func earlierSignal() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("e", try Self.detector("(c0 for 10s) or c1"))
    var bench = try Bench(builder)
    for channel in UInt32(0)..<2 { bench.read(0, 0, channel: channel) }
    bench.read(1000, 1)
    bench.tick(20_000)
    bench.read(8000, 0, channel: 1, lag: 12_000)
    try bench.restart(under: builder)
    bench.read(9000, 0, channel: 1, lag: 12_000)
    #expect(bench.take() == ["raised r0 11000 unacknowledged"])
    bench.read(21_000, 0)
    #expect(bench.take() == ["returned r0 21000 returnedUnacknowledged"])
  }

  @Test(
    "what a reading from before the raise ends has not returned before it",
    arguments: [0, 3000] as [Int64]
  )
  func earlierEnd(offDelay: Int64) throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("e", try Self.detector("c0 and c1"), offDelay: offDelay)
    var bench = try Bench(builder)
    for channel in UInt32(0)..<2 { bench.read(0, 0, channel: channel) }
    bench.read(1000, 1, channel: 1)
    bench.read(20_000, 1)
    bench.read(8000, 0, channel: 1, lag: 12_000)
    bench.tick(20_001)
    #expect(
      bench.take() == [
        "raised r0 20000 unacknowledged", "returned r0 20000 returnedUnacknowledged",
      ]
    )
  }

  @Test(
    "a delay that begins before one that was taken back ends in time",
    arguments: [false, true]
  )
  func earlierDelay(isRestored: Bool) throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("e", try Self.detector("c0 and c1"), onDelay: 5000)
    var bench = try Bench(builder)
    func restart(_ bench: inout Bench) throws {
      guard isRestored else { return }
      try bench.restart(under: builder)
    }
    for channel in UInt32(0)..<2 { bench.read(0, 0, channel: channel) }
    bench.read(1000, 1, channel: 1)
    bench.read(20_000, 1)
    bench.read(9000, 0, channel: 1, lag: 11_000)
    try restart(&bench)
    bench.read(10_000, 1, channel: 1, lag: 10_000)
    bench.read(11_000, 0, channel: 1, lag: 9000)
    bench.tick(20_500)
    try restart(&bench)
    bench.read(12_000, 1, channel: 1, lag: 8500)
    bench.tick(20_501)
    #expect(bench.take() == ["raised r0 17000 unacknowledged"])
  }

  @Test("what begins with a reading from before the newest of another signal lasts from then on")
  func earlierBeginning() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("e", try Self.detector("c0 and c1 for 1s"))
    var bench = try Bench(builder)
    for channel in UInt32(0)..<2 { bench.read(0, 0, channel: channel) }
    bench.read(20_000, 1)
    bench.read(8000, 1, channel: 1, lag: 12_000)
    bench.tick(21_000)
    #expect(bench.take() == ["raised r0 9000 unacknowledged"])
  }

  @Test("of two durations the one that runs out first is not waited for as long as the other")
  func shorterDuration() throws {
    for isRestored in [false, true] {
      var builder = PlanBuilder(channelsPerDevice: 2)
      builder.add("e", try Self.detector("(c0 for 60s) or (c1 for 5s)"))
      var bench = try Bench(builder)
      for channel in UInt32(0)..<2 { bench.read(0, 0, channel: channel) }
      bench.read(1000, 1)
      bench.read(10_000, 1, channel: 1)
      if isRestored {
        try bench.restart(under: builder)
      }
      bench.tick(16_000)
      #expect(bench.take() == ["raised r0 15000 unacknowledged"])
      bench.read(20_000, 0, channel: 1)
      bench.tick(62_000)
      #expect(
        bench.take() == [
          "returned r0 20000 returnedUnacknowledged", "raised r0 61000 unacknowledged",
        ]
      )
    }
  }

  @Test("a suppression ends when the shorter of two durations has run out")
  func shorterSuppression() throws {
    var builder = PlanBuilder(channelsPerDevice: 3)
    builder.add("high", .high(1), channel: 2)
    builder.plan.rules[0].suppression = try Self.bound("not ((c0 for 60s) or (c1 for 5s))")
    var bench = try Bench(builder)
    for channel in UInt32(0)..<2 { bench.read(0, 0, channel: channel) }
    bench.read(0, 1, channel: 2)
    bench.read(1000, 1)
    bench.read(10_000, 1, channel: 1)
    _ = bench.take()
    bench.tick(16_000)
    #expect(bench.take() == ["unsuppressed r0 15000 unacknowledged"])
  }

  @Test("an interlock that must let go sooner than it must follow is looked at in time")
  func soonerRestore() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add(
      "feed",
      .interlock(
        .init(deadline: 60_000, restoreDeadline: 10_000),
        cause: try Self.bound("c0"),
        response: try Self.bound("not c1")
      )
    )
    var bench = try Bench(builder)
    bench.read(0, 0)
    bench.read(10, 1, channel: 1)
    bench.read(1000, 1)
    bench.read(3000, 0, channel: 1)
    bench.read(5000, 0)
    bench.tick(16_000)
    #expect(bench.take() == ["raised r0 15000 unacknowledged"])
  }

  @Test("an interlock that has no time to follow fails without another reading")
  func noTime() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add(
      "feed",
      .interlock(.init(deadline: 0), cause: try Self.bound("c0"), response: try Self.bound("c1"))
    )
    var bench = try Bench(builder)
    for channel in UInt32(0)..<2 { bench.read(0, 0, channel: channel) }
    bench.read(1000, 1)
    #expect(bench.take() == [])
    bench.tick(1001)
    #expect(bench.take() == ["raised r0 1000 unacknowledged"])
  }

  @Test("what begins, ends and begins within one moment has two onsets")
  func onsets() throws {
    var builder = PlanBuilder(channelsPerDevice: 3)
    builder.add("e", try Self.detector("c0 and not c1 or c2"))
    var bench = try Bench(builder)
    for channel in UInt32(0)..<3 { bench.read(0, 0, channel: channel) }
    for channel in UInt32(0)..<3 { bench.read(1000, 1, channel: channel) }
    #expect(bench.out.map(\.kind) == [.raised, .returned, .raised])
    #expect(bench.out.map(\.onset) == [at(1000), at(1000), at(1001)])
  }

  @Test("a stale signal makes an expression unknown, which neither raises nor clears")
  func unknown() throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    builder.add("both", try Self.detector("c0 and c1"))
    builder.add("stale", .stale(afterMilliseconds: 5000), channel: 1)
    var bench = try Bench(builder)
    bench.read(0, 1)
    bench.read(100, 1, channel: 1)
    #expect(bench.take() == ["raised r0 100 unacknowledged"])
    bench.tick(10_000)
    #expect(bench.take() == ["raised r1 5100 unacknowledged"])
    bench.read(11_000, 1)
    #expect(bench.take() == [])
    bench.read(12_000, 0)
    #expect(bench.take() == ["returned r0 12000 returnedUnacknowledged"])
  }

  @Test("parameters out of range and signals that do not exist are refused with the plan")
  func refusal() throws {
    var builder = PlanBuilder()
    builder.add("a", .robustZScore(.init(span: -1)))
    builder.add("b", .deviation(.init(limit: 1), from: ChannelIndex(rawValue: 7)))
    builder.add("c", .expression(try Self.bound("c0 and c1").expression, signals: []))
    var rows: [PlanError.Problem.Place] = []
    do throws(PlanError) { _ = try Engine(plan: builder.plan) } catch {
      rows = error.problems.map(\.place)
    }
    #expect(rows == [.rule(0), .rule(1), .rule(2)])
  }
}
