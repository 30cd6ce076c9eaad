import AlarmEngine
import Telemetry
import Testing

/// Every rule on one channel, in the engine, against the definition of its detector: with gaps, bad status, several readings of
/// a moment, late and historical readings, extreme values, delays, staleness and readings packed into messages.
@Suite("Rules on one channel against their definitions")
struct ChannelRuleOracleTests {
  /// Each kind has 100,000 readings a seed.
  static let seeds: ClosedRange<UInt64> = 1...20
  static let count = 100_000

  /// Rules that a channel's record keeps.
  static func recordRules(_ random: inout DetectorRandom) -> [DefinedRule] {
    let comparisons: [LimitParameters.Comparison] = [.atOrAbove, .above, .atOrBelow, .below]
    let comparison = comparisons[random.below(4)]
    let setpoint = Double(16 + random.below(16))
    let deadband = Double(random.below(3))
    let isHigh = comparison == .atOrAbove || comparison == .above
    let limit = LimitParameters(
      comparison: comparison,
      setpoint: setpoint,
      restore: isHigh ? setpoint - deadband : setpoint + deadband
    )
    // (No sum of eighths over milliseconds is exactly it.)
    let perSecond = [0.9, 1.5, 4][random.below(3)] + 0.0123456789
    let alpha = [0.05, 0.1, 0.2, 0.5][random.below(4)]
    let deviations = [1.5, 2, 3][random.below(3)] + 0.00123456789
    let warmUp = [1, 10, 200][random.below(3)]
    return [
      DefinedRule(
        name: "limit",
        detector: .limit(limit),
        note: "\(limit)",
        definition: LimitDefinition(limit: limit)
      ),
      DefinedRule(
        name: "physicalRange",
        detector: .physicalRange(low: 5, high: 35),
        definition: RangeDefinition(range: 5...35)
      ),
      DefinedRule(
        name: "successiveChange",
        detector: .successiveChange(perSecond: perSecond),
        note: "\(perSecond)",
        definition: SuccessiveChangeDefinition(perSecond: perSecond)
      ),
      DefinedRule(
        name: "ewma",
        detector: .ewma(alpha: alpha, deviations: deviations, warmUp: warmUp),
        note: "\(alpha) \(deviations) \(warmUp)",
        definition: EWMADefinition(alpha: alpha, deviations: deviations, warmUp: warmUp),
        isBrief: true
      ),
    ]
  }

  /// Rules of the bank, other than those that need months.
  static func bankRules(_ random: inout DetectorRandom) -> [DefinedRule] {
    func some<T>(_ values: T...) -> T { values[random.below(values.count)] }
    let sides = DeviationSide.allCases
    let rate = RateOfChange.Parameters(
      span: some(0, 5000, 20_000),
      limit: some(0.6, 1.5) + 0.0123456789,
      restore: 0.3 + 0.0123456789,
      side: sides[random.below(3)]
    )
    let stuck = StuckDetector.Parameters(
      duration: some(8000, 15_000),
      tolerance: some(0, 0.25, 1, 3),
      minimumCount: 5,
      longestGap: 20_000,
      exempt: some(nil, 17...18),
      capacity: 4096
    )
    let baseline: ControlBaseline = some(
      .given(mean: 20, standardDeviation: 4),
      .learned(readings: 50)
    )
    let chart = EWMAChart.Parameters(
      lambda: some(0.1, 0.2, 0.5),
      width: 2.7123456789,
      usesExactLimits: random.below(2) == 0,
      baseline: baseline,
      smallestDeviation: some(0, 0.5),
      longestFreeze: some(0, 120_000)
    )
    let sums = TabularCUSUM.Parameters(
      allowance: 0.5123456789,
      headStart: some(0, 0.5),
      ceiling: some(1.1, 2, 100),
      baseline: baseline,
      smallestDeviation: some(0, 0.5),
      longestFreeze: some(0, 120_000)
    )
    let score = EWMAZScore.Parameters(
      alpha: some(0.05, 0.1, 0.2, 0.5),
      limit: some(2, 4) + 0.0123456789,
      warmUp: some(1, 30),
      smallestDeviation: some(0, 0.5),
      learnsInAlarm: random.below(4) == 0,
      longestFreeze: some(0, 60_000)
    )
    let robust = RobustZScore.Parameters(
      span: some(20_000, 60_000),
      limit: some(3, 5) + 0.0123456789,
      minimumCount: some(3, 15),
      smallestScale: some(0, 0.1),
      learnsInAlarm: random.below(4) == 0,
      longestFreeze: some(0, 60_000),
      capacity: some(40, 256)
    )
    let hugging = LimitHugging.Parameters(
      span: some(20_000, 60_000),
      limit: some(22, 25),
      band: 0.9,
      share: 0.50123456789,
      minimumCount: some(5, 15),
      capacity: some(30, 256)
    )
    let background = BackgroundExcess.Parameters(
      limit: some(2, 4) + 0.0123456789,
      restore: 1,
      span: some(20_000, 60_000),
      share: some(0, 0.2, 0.5),
      minimumCount: some(1, 5),
      capacity: some(30, 256)
    )
    let gap = GapAtRise.Parameters(
      limit: some(25, 30),
      gap: some(4000, 8000),
      span: some(10_000, 30_000),
      capacity: some(8, 512)
    )
    let side = sides[random.below(3)]
    let deviation = Deviation.Parameters(
      limit: some(0.2, 3),
      restore: 0.1,
      side: side,
      isRelative: side == .high && random.below(2) == 0,
      gain: 0,
      offset: side == .high ? some(15, -15, 0) : 20
    )
    let shape = some(
      WindowedStatistic.Shape.sliding(span: 20_000),
      .count(size: 12, isTumbling: false),
      .count(size: 12, isTumbling: true)
    )
    let statistic = some(WindowedStatistic.Statistic.mean, .median, .maximum, .range)
    // (No mean of eighths is exactly it.)
    let level = (statistic == .range ? 5 : 22) + 0.0123456789
    let window = WindowedStatistic.Parameters(
      shape: shape,
      statistic: statistic,
      limit: LimitParameters(comparison: .atOrAbove, setpoint: level, restore: level - 1),
      minimumCount: some(1, 5)
    )
    return [
      rule(
        "window",
        .window(window, signals: [ChannelIndex(rawValue: 0)]),
        WindowDefinition(window),
        window
      ),
      rule("rateOfChange", .rateOfChange(rate), RateOfChangeDefinition(rate), rate),
      rule("stuck", .stuck(stuck), StuckDefinition(stuck), stuck),
      rule("ewmaChart", .ewmaChart(chart), EWMAChartDefinition(chart), chart),
      rule("cusum", .cusum(sums), CUSUMDefinition(sums), sums),
      rule("ewmaZScore", .ewmaZScore(score), EWMAZScoreDefinition(score), score),
      rule("robustZScore", .robustZScore(robust), RobustZScoreDefinition(robust), robust),
      rule("limitHugging", .limitHugging(hugging), LimitHuggingDefinition(hugging), hugging),
      rule(
        "backgroundExcess",
        .backgroundExcess(background),
        BackgroundExcessDefinition(background),
        background
      ),
      rule("gapAtRise", .gapAtRise(gap), GapAtRiseDefinition(gap), gap, isBrief: true),
      rule("set-point", .deviation(deviation, from: nil), SetPointDefinition(deviation), deviation),
    ]
  }

  static func rule<P>(
    _ name: String,
    _ detector: Detector,
    _ definition: some Definition,
    _ parameters: P,
    isBrief: Bool = false
  ) -> DefinedRule {
    DefinedRule(
      name: name,
      detector: detector,
      note: "\(parameters)",
      definition: definition,
      isBrief: isBrief
    )
  }

  static func seasonalRules(_ random: inout DetectorRandom) -> [DefinedRule] {
    let parameters = SeasonalBaseline.Parameters(
      limit: [2, 4][random.below(2)] + 0.0123456789,
      rate: 0.25,
      minimumWeeks: 1 + random.below(2),
      minimumReadings: [1, 2, 5][random.below(3)],
      zoneOffset: [480, -210, 0][random.below(3)],
      smallestDeviation: Double(random.below(2)),
      longestFreeze: [0, 43_200_000, 604_800_000][random.below(3)]
    )
    return [
      rule("seasonal", .seasonal(parameters), SeasonalDefinition(parameters), parameters)
    ]
  }

  private func check(
    _ rules: [DefinedRule],
    _ stream: OracleStream,
    seed: UInt64,
    _ random: inout DetectorRandom
  ) throws {
    var trial = OracleTrial(seed: seed)
    let packing = trial.packing
    let delay = [0, 0, 3, 10].map { packing == .packed ? 0 : $0 * stream.step }
    let isSilenceWatched = packing != .packed && random.below(2) == 0
    let staleAfter = isSilenceWatched ? (8 + Int64(random.below(20))) * stream.step : nil
    var delays: [(on: Int64, off: Int64)] = []
    func add(_ name: String, _ detector: Detector, isBrief: Bool) {
      let onDelay = isBrief ? 0 : delay[random.below(4)]
      delays.append((onDelay, delay[random.below(4)]))
      trial.builder.add(name, detector, onDelay: onDelay, offDelay: delays[delays.count - 1].off)
    }
    for rule in rules { add(rule.name, rule.detector, isBrief: rule.isBrief) }
    if let staleAfter { add("stale", .stale(afterMilliseconds: staleAfter), isBrief: false) }
    trial.take(stream.readings(&random, count: Self.count), rest: 7 * 86_400_000)
    let expected = definedChanges(
      rules,
      delays: delays,
      staleAfter: staleAfter,
      trial.readings,
      until: trial.end
    )
    let actual = try trial.engineChanges(lag: OracleTrial.lag(&random), &random)
    for (index, delay) in delays.enumerated() {
      let name = index < rules.count ? "\(rules[index].name) \(rules[index].note)" : "stale"
      let note = "SEED=\(seed) \(packing) \(name) \(delay) stale \(staleAfter ?? 0)"
      expectSame(expected[index], actual[index], note)
    }
  }

  static let extremes = [1e6, 1e9, 3e11, 1e15, 1e300, .greatestFiniteMagnitude]

  @Test("limit, range, successive change, EWMA", arguments: seeds)
  func record(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    let rules = Self.recordRules(&random)
    let stream = OracleStream(extremes: seed % 2 == 0 ? Self.extremes : [])
    try check(rules, stream, seed: seed, &random)
  }

  @Test("the detectors of the bank", arguments: seeds)
  func bank(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 100)
    let rules = Self.bankRules(&random)
    let stream = OracleStream(extremes: seed % 2 == 0 ? Self.extremes : [])
    try check(rules, stream, seed: seed, &random)
  }

  @Test("the seasonal baseline", arguments: seeds)
  func seasonal(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 200)
    let rules = Self.seasonalRules(&random)
    // About two years a seed.
    let stream = OracleStream(step: 600_000, extremes: seed % 2 == 0 ? Self.extremes : [])
    try check(rules, stream, seed: seed, &random)
  }
}
