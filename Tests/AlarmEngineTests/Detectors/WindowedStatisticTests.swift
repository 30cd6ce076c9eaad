import AlarmEngine
import Telemetry
import Testing

/// Limits on a statistic of a window, as rules in the engine.
@Suite("Window rules")
struct WindowedStatisticTests {
  static func above(_ setpoint: Double, restore: Double? = nil) -> LimitParameters {
    LimitParameters(comparison: .above, setpoint: setpoint, restore: restore ?? setpoint)
  }

  static func atOrAbove(_ setpoint: Double, restore: Double? = nil) -> LimitParameters {
    LimitParameters(comparison: .atOrAbove, setpoint: setpoint, restore: restore ?? setpoint)
  }

  /// What is sent: event time in seconds (receive time is the same), value, channel; a tick without a value.
  struct Sent {
    var seconds: Double
    var value: Double?
    var channel: UInt32 = 0

    init(_ seconds: Double, _ value: Double?, _ channel: UInt32 = 0) {
      (self.seconds, self.value, self.channel) = (seconds, value, channel)
    }
  }

  struct Case: CustomTestStringConvertible {
    var name: String
    var parameters: WindowedStatistic.Parameters
    var sent: [Sent]
    var expected: [String]
    var hasState = false
    var testDescription: String { name }
  }

  static let cases: [Case] = [
    Case(
      name:
        "tumbling: [0, 10), judged at its end without a reading, a reading at the end is the next one's",
      parameters: .init(
        shape: .tumbling(length: 10_000, offset: 0),
        statistic: .mean,
        limit: above(10, restore: 8)
      ),
      sent: [
        Sent(0, 12), Sent(9.999, 12), Sent(10, 9), Sent(19, 9), Sent(20, nil), Sent(20, 5),
        Sent(29, 5), Sent(30.001, nil),
      ],
      expected: ["raised r0 10000 12.0", "returned r0 30000 5.0"]
    ),
    Case(
      name: "hopping: windows overlap",
      parameters: .init(
        shape: .hopping(length: 10_000, hop: 5000, offset: 0),
        statistic: .maximum,
        limit: atOrAbove(10)
      ),
      sent: [Sent(1, 12), Sent(5, nil), Sent(6, 1), Sent(10, nil), Sent(11, 1), Sent(15.001, nil)],
      expected: ["raised r0 5000 12.0", "returned r0 15000 1.0"]
    ),
    Case(
      name: "sliding: (t - 3, t], a sum only over whole windows",
      parameters: .init(shape: .sliding(span: 3000), statistic: .sum, limit: atOrAbove(5)),
      sent: [Sent(0, 30), Sent(1, 3), Sent(2, 3), Sent(3, 3), Sent(4, 0), Sent(5, 0)],
      expected: ["raised r0 3000 9.0", "returned r0 5000 3.0"]
    ),
    Case(
      name: "too few readings are no finding before a whole window has passed",
      parameters: .init(
        shape: .sliding(span: 3000),
        statistic: .count,
        limit: LimitParameters(comparison: .below, setpoint: 2, restore: 2)
      ),
      sent: [Sent(0, 1), Sent(1, 1), Sent(2, 1), Sent(3, 1), Sent(7, 1), Sent(8, 1), Sent(9, 1)],
      // The count ends above its restore value, so with three.
      expected: ["raised r0 7000 1.0", "returned r0 9000 3.0"]
    ),
    Case(
      name: "each three readings",
      parameters: .init(
        shape: .count(size: 3, isTumbling: true),
        statistic: .range,
        limit: above(4)
      ),
      sent: [Sent(0, 1), Sent(1, 9), Sent(2, 5), Sent(3, 5), Sent(4, 5), Sent(5, 5)],
      expected: ["raised r0 2000 8.0", "returned r0 5000 0.0"]
    ),
    Case(
      name: "the last three readings",
      parameters: .init(
        shape: .count(size: 3, isTumbling: false),
        statistic: .median,
        limit: above(4)
      ),
      sent: [Sent(0, 1), Sent(1, 9), Sent(2, 5), Sent(3, 3), Sent(4, 1)],
      expected: ["raised r0 2000 5.0", "returned r0 4000 3.0"]
    ),
    Case(
      name: "session: ends when its gap has passed, exactly the gap is within",
      parameters: .init(
        shape: .session(gap: 2000, longest: 60_000),
        statistic: .count,
        limit: atOrAbove(3)
      ),
      sent: [
        Sent(0, 1), Sent(2, 1), Sent(4, 1), Sent(6, nil), Sent(6.001, nil), Sent(10, 1),
        Sent(20, nil),
      ],
      expected: ["raised r0 6001 3.0", "returned r0 12001 1.0"]
    ),
    Case(
      name: "state of another channel: only of the one that is judged",
      parameters: .init(shape: .state(judged: 1), statistic: .mean, limit: above(5)),
      sent: [
        Sent(0, 1, 1), Sent(0.1, 9), Sent(0.2, 8), Sent(1, 0, 1), Sent(1.1, 1), Sent(2, 1, 1),
        Sent(2.1, 2), Sent(3, 0, 1),
      ],
      expected: ["raised r0 1000 8.5", "returned r0 3000 2.0"],
      hasState: true
    ),
    Case(
      name: "state of the channel itself: how often in a row",
      parameters: .init(shape: .state(judged: nil), statistic: .count, limit: above(2)),
      sent: [Sent(0, 1), Sent(1, 1), Sent(2, 1), Sent(3, 0), Sent(4, 1)],
      expected: ["raised r0 3000 3.0", "returned r0 4000 1.0"]
    ),
    Case(
      name: "slope per minute",
      parameters: .init(
        shape: .sliding(span: 60_000),
        statistic: .slope,
        limit: above(30),
        slopePer: 60_000
      ),
      sent: [Sent(0, 0), Sent(1, 1), Sent(2, 2), Sent(3, 2), Sent(4, 1)],
      expected: ["raised r0 1000 60.0", "returned r0 4000 18.0"]
    ),
    Case(
      name: "one reading has no variance: nothing is said",
      parameters: .init(
        shape: .tumbling(length: 1000, offset: 0),
        statistic: .variance,
        limit: above(1)
      ),
      sent: [
        Sent(0, 0), Sent(0.5, 4), Sent(1.5, 9), Sent(2, nil), Sent(2.1, 1), Sent(2.2, 1),
        Sent(3.001, nil),
      ],
      expected: ["raised r0 1000 8.0", "returned r0 3000 0.0"]
    ),
  ]

  @Test(
    "each shape raises and returns at its edges, with the statistic as the value",
    arguments: cases
  )
  func shapes(_ one: Case) throws {
    var builder = PlanBuilder(channelsPerDevice: 2)
    let signals = (0..<(one.hasState ? 2 : 1)).map { ChannelIndex(rawValue: $0) }
    builder.add("window", .window(one.parameters, signals: signals))
    var bench = try Bench(builder)
    for sent in one.sent {
      let time = Int64(sent.seconds * 1000)
      if let value = sent.value {
        bench.read(time, value, channel: sent.channel)
      } else {
        bench.tick(time)
      }
    }
    let seen = bench.out.map {
      "\($0.kind) r\($0.rule.rawValue) \($0.time.milliseconds - epochOfTests) \($0.value)"
    }
    #expect(seen == one.expected)
  }

  @Test(
    "a sliding mean agrees with one summed anew at every reading",
    arguments: 1...4 as ClosedRange<UInt64>
  )
  func oracle(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var detector = try WindowedStatistic(
      .init(shape: .sliding(span: 5000), statistic: .mean, limit: Self.atOrAbove(52, restore: 48))
    )
    var kept: [(time: Int64, value: Double)] = []
    var time: Int64 = 0
    for _ in 0..<5000 {
      time += random.int(0...900)
      let value = Double(random.int(0...100))
      kept.removeAll { $0.time <= time - 5000 }
      kept.append((time, value))
      let mean = kept.reduce(0) { $0 + $1.value } / Double(kept.count)
      // Too near to a figure for two ways of summing.
      let isNear = abs(mean - 52) < 1e-9 || abs(mean - 48) < 1e-9
      let truth = detector.step(time: time, value: value)
      let expected: Truth = mean >= 52 ? .yes : mean < 48 ? .no : .unknown
      if !isNear { #expect(truth == expected, "SEED=\(seed) \(time)") }
    }
  }

  @Test("more readings than a window may hold: the mean is not known, a count is above its limit")
  func truncated() throws {
    var mean = try WindowedStatistic(
      .init(shape: .sliding(span: 60_000), statistic: .mean, limit: Self.above(5), capacity: 4)
    )
    var count = try WindowedStatistic(
      .init(shape: .sliding(span: 60_000), statistic: .count, limit: Self.above(3), capacity: 4)
    )
    var said: [Truth?] = []
    for index in 0..<70 {
      said = [
        mean.step(time: Int64(index) * 1000, value: 9),
        count.step(time: Int64(index) * 1000, value: 9),
      ]
    }
    #expect(said == [.unknown, .yes])
  }

  @Test("more readings than a window may hold: what those that it holds leave no doubt of is said")
  func certain() throws {
    let below = LimitParameters(comparison: .below, setpoint: 5, restore: 5)
    let expected: [(WindowedStatistic.Statistic, LimitParameters, Truth)] = [
      (.maximum, Self.above(5), .yes), (.maximum, Self.above(12), .unknown),
      (.maximum, below, .unknown), (.range, Self.above(5), .yes), (.range, below, .unknown),
      (.minimum, below, .yes), (.minimum, Self.above(0), .unknown), (.last, below, .yes),
      (.first, Self.above(5), .unknown),
    ]
    for (statistic, limit, truth) in expected {
      var detector = try WindowedStatistic(
        .init(shape: .sliding(span: 60_000), statistic: statistic, limit: limit, capacity: 4)
      )
      var said: Truth?
      for (second, value) in [9.0, 9, 9, 9, 9, 9, 1].enumerated() {
        said = detector.step(time: Int64(second) * 1000, value: value)
      }
      #expect(said == truth, "\(statistic) \(limit.comparison) \(limit.setpoint)")
    }
  }

  @Test("figures that no window can have are refused")
  func refused() {
    let refused: [WindowedStatistic.Parameters] = [
      .init(shape: .sliding(span: 0), statistic: .mean, limit: Self.above(1)),
      .init(
        shape: .hopping(length: 10, hop: 11, offset: 0),
        statistic: .mean,
        limit: Self.above(1)
      ),
      .init(shape: .sliding(span: 10), statistic: .mean, limit: Self.above(1, restore: 2)),
      .init(shape: .sliding(span: 10), statistic: .mean, limit: Self.above(.infinity)),
      .init(shape: .sliding(span: 10), statistic: .count, limit: Self.above(9), capacity: 9),
      .init(shape: .count(size: 0, isTumbling: true), statistic: .mean, limit: Self.above(1)),
      .init(shape: .sliding(span: 10), statistic: .mean, limit: Self.above(1), minimumCount: 0),
    ]
    for parameters in refused {
      #expect(throws: DetectorError.self) { try WindowedStatistic(parameters) }
    }
  }
}
