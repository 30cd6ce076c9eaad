import AlarmEngine
import Telemetry
import Testing

/// Every rule over several channels, in the engine, against the definition of its detector.
@Suite("Rules over several channels against their definitions")
struct SignalRuleOracleTests {
  /// Readings a seed of all channels together; of those that a rule looks at it has at least 100,000.
  static let seeds: ClosedRange<UInt64> = 1...20
  static let count = 200_000
  static let channels = 3

  private static func bound(_ text: String) throws -> BoundExpression {
    try BoundExpression(text) { name in
      Int(name.dropFirst()).map { SignalType(index: $0, kind: .quantity(.number)) }
    }
  }

  private static func expression(
    _ name: String,
    _ text: String,
    _ definition: some SignalDefinition
  ) throws -> SignalRule {
    let bound = try bound(text)
    return SignalRule(
      name: "\(name): \(text)",
      detector: .expression(bound.expression, signals: bound.signals),
      definition: definition
    )
  }

  static func above(_ value: Double?, _ limit: Double) -> Truth {
    value.map { Truth($0 > limit) } ?? .unknown
  }

  /// Rules without a time of their own, and with `isTimed` those with one.
  static func rules(_ random: inout DetectorRandom, isTimed: Bool) throws -> [SignalRule] {
    let isRelative = random.below(2) == 0
    let peer = Deviation.Parameters(
      limit: (isRelative ? 0.2 : 3) + 0.0123456789,
      restore: 0.1,
      side: DeviationSide.allCases[random.below(3)],
      isRelative: isRelative,
      gain: [1, 1.25][random.below(2)],
      offset: [0, -3][random.below(2)],
      longestAge: [2000, 60_000][random.below(2)]
    )
    let limit = Double(19 + random.below(4))
    let rows = (0..<400).map { _ in (0..<3).map { _ in 20 + 5 * random.normal() } }
    let model = try MultivariateModel.learn(
      rows: rows,
      parameters: .init(
        lags: 1,
        smoothing: DistanceDefinition.smoothing,
        ridge: DistanceDefinition.ridge,
        exceedance: 0.05
      )
    )
    let signals = (0..<3).map { ChannelIndex(rawValue: $0) }
    var rules = [
      SignalRule(
        name: "peer \(peer)",
        detector: .deviation(peer, from: signals[1]),
        definition: PeerDefinition(peer)
      ),
      SignalRule(
        name: "distance",
        detector: .multivariate(model, signals: signals),
        definition: DistanceDefinition(rows: rows, limit: model.limits.distance)
      ),
      try expression(
        "and",
        "c0 > \(limit) and not (c1 > 22)",
        ConditionDefinition(channels: 2) { above($0[0], limit) && !above($0[1], 22) }
      ),
      try expression(
        "or",
        "c0 - c1 > 3 or known(c2) and c2 < 15",
        ConditionDefinition(channels: 3) { values in
          let isApart = values[0].flatMap { first in values[1].map { Truth(first - $0 > 3) } }
          return (isApart ?? .unknown) || (values[2].map { Truth($0 < 15) } ?? .no)
        }
      ),
      try expression(
        "vote",
        "2 of (c0 > \(limit), c1 > \(limit), c2 > \(limit))",
        ConditionDefinition(channels: 3) { values in
          let votes = values.map { above($0, limit) }
          if votes.count(where: { $0 == .yes }) >= 2 { return .yes }
          return votes.count { $0 != .no } >= 2 ? .unknown : .no
        }
      ),
      try expression(
        "mean",
        "mean(c0, 10 s) > c1",
        MeanDefinition(span: 10_000)
      ),
    ]
    guard isTimed else { return rules }
    rules.append(
      try expression(
        "lasting",
        "(c0 > \(limit) or c1 > 23) for 4 s",
        ConditionDefinition(channels: 2, lasting: 4000) { above($0[0], limit) || above($0[1], 23) }
      )
    )
    let parameters = InterlockVerification.Parameters(
      deadline: [1500, 4000][random.below(2)],
      restoreDeadline: [nil, 2600, 6000][random.below(3)]
    )
    rules.append(
      SignalRule(
        name: "interlock \(parameters)",
        detector: .interlock(
          parameters,
          cause: try bound("c0 > \(limit)"),
          response: try bound("c1 > 20.5")
        ),
        definition: InterlockDefinition(
          parameters,
          cause: { $0 > limit },
          response: { $0 > 20.5 }
        )
      )
    )
    return rules
  }

  @Test("deviation, expression, interlock, distance", arguments: seeds)
  func signals(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 300)
    var trial = OracleTrial(seed: seed, channels: Self.channels)
    let packing = trial.packing
    let rules = try Self.rules(&random, isTimed: packing != .packed)
    let staleAfter = packing == .single && random.below(2) == 0 ? Int64(9000) : nil
    let delay: [Int64] = packing == .packed ? [0] : [0, 0, 700, 2500]
    let delays = rules.map { _ in
      (on: delay[random.below(delay.count)], off: delay[random.below(delay.count)])
    }
    for (rule, delay) in zip(rules, delays) {
      trial.builder.add(rule.name, rule.detector, onDelay: delay.on, offDelay: delay.off)
    }
    if let staleAfter {
      for channel in 0..<UInt32(Self.channels) {
        trial.builder.add("stale", .stale(afterMilliseconds: staleAfter), channel: channel)
      }
    }
    let stream = OracleStream(channels: Self.channels, step: 500, hasTies: false)
    trial.take(stream.readings(&random, count: Self.count), rest: 86_400_000)
    let expected = definedChanges(
      rules,
      delays: delays,
      channels: Self.channels,
      staleAfter: staleAfter,
      trial.readings,
      until: trial.end
    )
    let actual = try trial.engineChanges(lag: OracleTrial.lag(&random), &random)
    for (index, rule) in rules.enumerated() {
      let note = "SEED=\(seed) \(packing) \(rule.name) \(delays[index]) stale \(staleAfter ?? 0)"
      expectSame(expected[index], actual[index], note)
    }
  }

  @Test("a cascade over graded limits", arguments: seeds)
  func cascade(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 400)
    let channels = 5
    var trial = OracleTrial(seed: seed, channels: channels)
    let packing = trial.packing
    let definition = CascadeDefinition(
      cascade: try CountCascade(
        bluePerYellow: 2 + random.below(2),
        yellowPerOrange: 2,
        orangePerRed: 2
      ),
      grade: [.yellow, .orange, .red][random.below(3)],
      members: [22.0, 25].map {
        LimitParameters(comparison: .atOrAbove, setpoint: $0, restore: $0 - 1)
      },
      grades: [.blue, .yellow]
    )
    let delay: [Int64] = [0, 0, 700, 2500]
    var delays: [(on: Int64, off: Int64)] = []
    func add(_ name: String, _ detector: Detector, _ channel: UInt32) -> RuleIndex {
      // In a message a rule's delay runs by its own channel's readings, and the cascade's by all that it counts.
      let isWhole = if case .cascade = detector { true } else { false }
      let isDelayed = packing == .single || packing == .backlog && isWhole
      let (on, off) = (random.below(delay.count), random.below(delay.count))
      delays.append(isDelayed ? (delay[on], delay[off]) : (0, 0))
      let last = delays[delays.count - 1]
      return trial.builder.add(
        name,
        detector,
        channel: channel,
        onDelay: last.on,
        offDelay: last.off
      )
    }
    let points = (0..<UInt32(channels)).map { channel in
      zip(definition.members, definition.grades).map { limit, grade in
        CascadeParameters.Member(rule: add("\(grade)", .limit(limit), channel), grade: grade)
      }
    }
    let parameters = CascadeParameters(
      cascade: definition.cascade,
      grade: definition.grade,
      points: points
    )
    _ = add("whole", .cascade(parameters), 0)
    let stream = OracleStream(channels: channels, step: 300, hasTies: false)
    trial.take(stream.readings(&random, count: Self.count), rest: 86_400_000)
    let expected = definition.changes(
      delays: delays,
      channels: channels,
      trial.readings,
      until: trial.end
    )
    let actual = try trial.engineChanges(lag: OracleTrial.lag(&random), &random)
    for index in expected.indices {
      let note = "SEED=\(seed) \(packing) rule \(index) \(delays[index]) \(definition.grade)"
      expectSame(expected[index], actual[index], note)
    }
  }
}
