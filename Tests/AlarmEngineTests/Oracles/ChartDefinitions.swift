import AlarmEngine
import Foundation
import Telemetry

// Detectors that learn what is usual, as their documentation says it: charts, scores and the baseline of the week.

/// Exponentially weighted mean and variance as sums over what was learnt, newest first: the weights are α(1 − α)ᵏ, that of the
/// oldest (1 − α)ᵏ.
///
/// Weights below 10⁻¹⁷ are left out, but not those of values so large that they count all the same.
struct WeightedPast {
  let alpha: Double
  private let weights: [Double]
  private var values: [Double] = []
  private var large: [Int] = []

  init(alpha: Double) {
    self.alpha = alpha
    var weights = [alpha]
    while weights[weights.count - 1] > 1e-17 {
      weights.append(weights[weights.count - 1] * (1 - alpha))
    }
    self.weights = weights
  }

  var count: Int { values.count }

  mutating func learn(_ value: Double) {
    if abs(value) > 1e5 { large.append(values.count) }
    values.append(value)
  }

  mutating func forget() {
    values = []
    large = []
  }

  /// Sum of weight · f(value) for each value.
  private func sum(_ amount: (Double) -> Double) -> Double {
    var sum = 0.0
    let reach = min(values.count, weights.count)
    for back in 0..<reach {
      let place = values.count - 1 - back
      sum += (place == 0 ? weights[back] / alpha : weights[back]) * amount(values[place])
    }
    for place in large where values.count - place > reach {
      let weight = pow(1 - alpha, Double(values.count - 1 - place))
      sum += (place == 0 ? 1 : alpha) * weight * amount(values[place])
    }
    return sum
  }

  mutating func moments() -> (mean: Double, variance: Double) {
    large.removeAll { values.count - $0 > 12 * weights.count }
    guard let base = values.last else { return (0, 0) }
    let mean = base + sum { $0 - base }
    return (mean, sum { ($0 - mean) * ($0 - mean) })
  }

  /// The average that starts from zero, with no value of more weight than its turn gives.
  mutating func average() -> Double {
    large.removeAll { values.count - $0 > 30 * weights.count }
    var total = sum { $0 }
    if let first = values.first {
      // Here the oldest weighs as the others do.
      total -= (1 - alpha) * pow(1 - alpha, Double(values.count - 1)) * first
    }
    return total
  }
}

struct EWMADefinition: Definition {
  let deviations: Double
  let warmUp: Int
  private var past: WeightedPast

  init(alpha: Double, deviations: Double, warmUp: Int) {
    self.deviations = deviations
    self.warmUp = warmUp
    past = WeightedPast(alpha: alpha)
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    let (mean, variance) = past.moments()
    let distance = reading.value - mean
    let isFar = past.count > 0 && abs(distance) > 1e12
    guard past.count >= warmUp else {
      if isFar { past.forget() }
      past.learn(reading.value)
      return .no
    }
    if !isFar { past.learn(reading.value) }
    return Truth(distance * distance > deviations * deviations * variance)
  }
}

/// Centre and spread of a control chart: given, or from the first readings; learnt anew when an alarm has stood too long.
struct BaselineDefinition {
  let baseline: ControlBaseline
  let smallestDeviation: Double
  let longestFreeze: Int64
  private var learnt: [Double] = []
  private var known: (mean: Double, deviation: Double)?
  private var standsSince: Int64?

  init(_ baseline: ControlBaseline, _ smallestDeviation: Double, _ longestFreeze: Int64) {
    self.baseline = baseline
    self.smallestDeviation = smallestDeviation
    self.longestFreeze = longestFreeze
    if case .given(let mean, let deviation) = baseline { known = (mean, deviation) }
  }

  /// Standard score, nil while learning; `isAnew` when the chart begins once more.
  mutating func score(_ reading: UsableReading, stands: Bool) -> (score: Double?, isAnew: Bool) {
    var isAnew = false
    if case .learned(let count) = baseline {
      standsSince = stands && known != nil ? standsSince ?? reading.time : nil
      if longestFreeze > 0, let since = standsSince, reading.time - since >= longestFreeze {
        (known, learnt, standsSince, isAnew) = (nil, [], nil, true)
      }
      if known == nil {
        if abs(reading.value) <= 1e18 { learnt.append(reading.value) }
        guard learnt.count == count else { return (nil, isAnew) }
        let mean = learnt.reduce(0, +) / Double(count)
        let squares = learnt.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        known = (mean, max((squares / Double(count - 1)).squareRoot(), smallestDeviation))
        return (nil, isAnew)
      }
    }
    guard let (mean, deviation) = known else { return (nil, isAnew) }
    let distance = reading.value - mean
    return (distance == 0 ? 0 : distance / deviation, isAnew)
  }
}

struct EWMAChartDefinition: Definition {
  let parameters: EWMAChart.Parameters
  private var baseline: BaselineDefinition
  private var scores: WeightedPast

  init(_ parameters: EWMAChart.Parameters) {
    self.parameters = parameters
    baseline = BaselineDefinition(
      parameters.baseline,
      parameters.smallestDeviation,
      parameters.longestFreeze
    )
    scores = WeightedPast(alpha: parameters.lambda)
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    let (score, isAnew) = baseline.score(reading, stands: stands)
    if isAnew { scores.forget() }
    guard let score else { return .unknown }
    scores.learn(max(-1e100, min(1e100, score)))
    let lambda = parameters.lambda
    let passed = parameters.usesExactLimits ? pow(1 - lambda, 2 * Double(scores.count)) : 0
    let limit = parameters.width * (lambda / (2 - lambda) * (1 - passed)).squareRoot()
    return Truth(abs(scores.average()) > limit)
  }
}

struct CUSUMDefinition: Definition {
  let parameters: TabularCUSUM.Parameters
  private var baseline: BaselineDefinition
  private var sums: [Double]

  init(_ parameters: TabularCUSUM.Parameters) {
    self.parameters = parameters
    baseline = BaselineDefinition(
      parameters.baseline,
      parameters.smallestDeviation,
      parameters.longestFreeze
    )
    sums = []
    begin()
  }

  private mutating func begin() {
    let head = parameters.headStart * parameters.decisionInterval
    sums = [head, head]
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    let (score, isAnew) = baseline.score(reading, stands: stands)
    if isAnew { begin() }
    guard let score else { return .unknown }
    for (side, sign) in [1.0, -1.0].enumerated() {
      let sum = max(0, sign * score - parameters.allowance + sums[side])
      sums[side] = min(sum, parameters.ceiling * parameters.decisionInterval)
    }
    return Truth(sums.contains { $0 > parameters.decisionInterval })
  }
}

struct EWMAZScoreDefinition: Definition {
  let parameters: EWMAZScore.Parameters
  private var past: WeightedPast
  private var frozenSince: Int64?

  init(_ parameters: EWMAZScore.Parameters) {
    self.parameters = parameters
    past = WeightedPast(alpha: parameters.alpha)
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    var truth = Truth.unknown
    let isWarm = past.count >= parameters.warmUp
    if isWarm {
      let (mean, variance) = past.moments()
      let spread = max(variance.squareRoot(), parameters.smallestDeviation)
      truth = Truth(abs(reading.value - mean) > parameters.limit * spread)
    }
    if !parameters.learnsInAlarm, truth == .yes || stands && isWarm {
      let since = frozenSince ?? reading.time
      frozenSince = since
      guard parameters.longestFreeze > 0, reading.time - since >= parameters.longestFreeze else {
        return truth
      }
      past.forget()
      truth = abs(reading.value) <= 1e18 ? .unknown : truth
    }
    frozenSince = nil
    if abs(reading.value) <= 1e18 { past.learn(reading.value) }
    return truth
  }
}

struct RobustZScoreDefinition: Definition {
  let parameters: RobustZScore.Parameters
  /// Readings by a clock that stands while nothing is learnt.
  private var window: KeptReadings
  private var stood: Int64 = 0
  private var frozenSince: Int64?

  init(_ parameters: RobustZScore.Parameters) {
    self.parameters = parameters
    window = KeptReadings(span: parameters.span, capacity: parameters.capacity)
  }

  private var isWarm: Bool {
    window.kept.count >= (window.isThinned ? 3 : parameters.minimumCount)
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    if stands, isWarm, !parameters.learnsInAlarm {
      let since = frozenSince ?? reading.time
      frozenSince = since
      if parameters.longestFreeze > 0, reading.time - since >= parameters.longestFreeze {
        window = KeptReadings(span: parameters.span, capacity: parameters.capacity)
        window.add(Sample(time: reading.time - stood, value: reading.value))
        frozenSince = nil
      }
    } else {
      if let since = frozenSince { stood += reading.time - since }
      frozenSince = nil
      window.add(Sample(time: reading.time - stood, value: reading.value))
    }
    guard isWarm else { return .unknown }
    let values = window.values
    let median = middle(values)
    let scale = 1.4826 * middle(values.map { abs($0 - median) }.sorted())
    return Truth(
      abs(reading.value - median) > parameters.limit * max(scale, parameters.smallestScale)
    )
  }
}

struct SeasonalDefinition: Definition {
  let parameters: SeasonalBaseline.Parameters
  /// Mean and variance of each past hour, by the hour of the week.
  private var hours: [Int64: [(mean: Double, variance: Double)]] = [:]
  private var open: (hour: Int64, values: [Double])?
  private var frozenSince: Int64?

  init(_ parameters: SeasonalBaseline.Parameters) { self.parameters = parameters }

  private mutating func close() {
    guard let (hour, values) = open, values.count >= parameters.minimumReadings else { return }
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let variance = values.count > 1 ? squares / (count - 1) : 0
    hours[(hour + 72) % 168, default: []].append((mean, variance))
  }

  /// Level and variance of an hour of the week after all its weeks.
  private func usual(_ weeks: [(mean: Double, variance: Double)]) -> (Double, Double) {
    var (mean, variance) = (0.0, 0.0)
    for (index, week) in weeks.enumerated() {
      let rate = max(1 / Double(index + 1), parameters.rate)
      let step = week.mean - mean
      mean += rate * step
      variance = (1 - rate) * (variance + rate * step * step) + rate * week.variance
    }
    return (mean, variance)
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    let hour = (reading.time + Int64(parameters.zoneOffset) * 60_000) / 3_600_000
    if open?.hour != hour {
      close()
      open = (hour, [])
    }
    var truth = Truth.unknown
    if let weeks = hours[(hour + 72) % 168], weeks.count >= parameters.minimumWeeks {
      let (mean, variance) = usual(weeks)
      let spread = max(variance.squareRoot(), parameters.smallestDeviation)
      truth = Truth(abs(reading.value - mean) > parameters.limit * spread)
    }
    frozenSince = stands || truth == .yes ? frozenSince ?? reading.time : nil
    let isOver = frozenSince.map {
      parameters.longestFreeze > 0 && reading.time - $0 >= parameters.longestFreeze
    }
    if isOver != false, abs(reading.value) <= 1e18 { open?.values.append(reading.value) }
    return truth
  }
}
