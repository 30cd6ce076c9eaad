/// What a multivariate monitor says of a sample.
public struct MultivariateFinding: Hashable, Sendable {
  /// Whether the statistic that decides is above its limit; unknown when a signal has no value.
  public var condition: Truth
  /// Hotelling's T².
  public var t2: Double
  /// Squared prediction error.
  public var spe: Double
  /// Regularised squared distance over all directions.
  public var distance: Double
}

/// What the alarm of a group is raised on: the statistics of its sample, their limits, and the signals that contribute most.
///
/// It holds no reference, so that transitions, which carry it, hold none.
public struct MultivariateEvidence: Hashable, Sendable {
  /// What a signal contributes.
  public struct Contribution: Hashable, Sendable {
    /// The signal, by its place in the model.
    public var signal: UInt32
    /// Its share of all signals' contributions to the statistic that decides, above 0 … 1.
    public var share: Double

    /// Makes a contribution.
    public init(signal: UInt32, share: Double) {
      self.signal = signal
      self.share = share
    }
  }

  /// The statistic that decides.
  public var statistic: MultivariateModel.Statistic
  /// Hotelling's T².
  public var t2: Double
  /// Squared prediction error.
  public var spe: Double
  /// Regularised squared distance over all directions.
  public var distance: Double
  /// The limits of the three.
  public var limits: MultivariateModel.Limits
  private var first: Contribution?
  private var second: Contribution?
  private var third: Contribution?

  /// The three that contribute most, greatest first; fewer where no more contribute.
  public var contributions: [Contribution] { [first, second, third].compactMap { $0 } }

  init(_ finding: MultivariateFinding, by model: MultivariateModel, _ amounts: [Double]) {
    statistic = model.deciding
    t2 = finding.t2
    spe = finding.spe
    distance = finding.distance
    limits = model.limits
    let total = amounts.reduce(0, +)
    let most = amounts.indices.sorted { (amounts[$1], $0) < (amounts[$0], $1) }.prefix(3)
      .map { Contribution(signal: UInt32($0), share: amounts[$0] / total) }
      .filter { $0.share > 0 && $0.share <= 1 }
    first = most.first
    second = most.dropFirst().first
    third = most.dropFirst(2).first
  }
}

/// Watches a group of signals against a ``MultivariateModel``.
///
/// - Warm-up: none, the model has learned; the lags of the first sample are filled with it.
/// - Bad status or stale signal: hand in NaN; the sample is unknown, and smoothing and lags start anew
///   after it, for a vector with a hole says nothing.
/// - Gap: the caller samples the group at the step the model was learned at, so a gap is a signal
///   without a value.
/// - Late reading: belongs to a sample that has been judged; not handed in.
/// - Freeze: nothing is learned while running.
public struct MultivariateMonitor: Hashable, Sendable {
  /// The model.
  public let model: MultivariateModel
  private var stacker: Stacker
  private var weighted: [Double]
  private var contribution: [Double]

  /// Starts without history.
  public init(_ model: MultivariateModel) {
    self.model = model
    stacker = Stacker(
      lags: model.parameters.lags,
      width: model.width,
      smoothing: model.parameters.smoothing
    )
    weighted = [Double](repeating: 0, count: model.stacked)
    contribution = [Double](repeating: 0, count: model.width)
  }

  /// Takes one value per signal, NaN where there is none.
  ///
  /// - Precondition: `values` has as many elements as the model has signals.
  public mutating func step(_ values: [Double]) -> MultivariateFinding {
    precondition(values.count == model.width, "a sample needs one value per signal")
    for value in values where !value.isFinite {
      stacker.reset()
      for index in contribution.indices { contribution[index] = 0 }
      return MultivariateFinding(condition: .unknown, t2: .nan, spe: .nan, distance: .nan)
    }
    stacker.push(values, mean: model.mean, inverseDeviation: model.inverseDeviation)
    return judge()
  }

  /// Works out the statistics of the newest sample and what each signal contributes.
  private mutating func judge() -> MultivariateFinding {
    let size = model.stacked
    for index in 0..<size { weighted[index] = 0 }
    var t2 = 0.0
    var spe = 0.0
    var distance = 0.0
    for component in 0..<size {
      var score = 0.0
      let start = component * size
      for index in 0..<size { score += model.loadings[start + index] * stacker.vector[index] }
      let weight = 1 / (model.eigenvalues[component] + model.ridge)
      distance += score * score * weight
      if component < model.retained {
        if model.eigenvalues[component] > 0 { t2 += score * score / model.eigenvalues[component] }
      } else {
        spe += score * score
      }
      let amount = score * weight
      for index in 0..<size { weighted[index] += model.loadings[start + index] * amount }
    }
    for signal in 0..<model.width {
      var sum = 0.0
      for index in stride(from: signal, to: size, by: model.width) {
        sum += weighted[index] * weighted[index] / model.diagonal[index]
      }
      contribution[signal] = sum
    }
    let isBeyond =
      switch model.deciding {
      case .t2: t2 > model.limits.t2
      case .spe: spe > model.limits.spe
      case .distance: distance > model.limits.distance
      }
    return MultivariateFinding(
      condition: Truth(isBeyond),
      t2: t2,
      spe: spe,
      distance: distance
    )
  }

  /// How far the newest distance would fall if a signal alone were put right, added up over its lags.
  ///
  /// Reconstruction-based contribution (Mx)ᵢ² / Mᵢᵢ, M being the matrix of D² = xᵀ M x: for a large fault
  /// of one signal the largest contribution is that signal's. Source: C. F. Alcala and S. J. Qin,
  /// Automatica 45 (2009) 1593-1600.
  public var contributions: [Double] { contribution }

  /// How far a statistic of the newest sample would fall if a signal alone were put right, added up over its lags.
  ///
  /// ``contributions``, with the matrix M of T² or SPE in place of that of D²; the source gives all three. A signal that a
  /// statistic does not look at contributes nothing.
  public func contributions(to statistic: MultivariateModel.Statistic) -> [Double] {
    let size = model.stacked
    var weighted = [Double](repeating: 0, count: size)
    var diagonal = [Double](repeating: 0, count: size)
    for component in 0..<size {
      let weight = model.weight(of: component, in: statistic)
      let start = component * size
      var score = 0.0
      for index in 0..<size { score += model.loadings[start + index] * stacker.vector[index] }
      for index in 0..<size {
        let loading = model.loadings[start + index]
        weighted[index] += loading * score * weight
        diagonal[index] += loading * loading * weight
      }
    }
    // Below, a loading is what rounding has left of 0, and the quotient of two of them means nothing.
    let least = (diagonal.max() ?? 0) * 1e-14
    var sums = [Double](repeating: 0, count: model.width)
    for index in 0..<size where diagonal[index] > least {
      sums[index % model.width] += weighted[index] * weighted[index] / diagonal[index]
    }
    return sums
  }

  /// What the newest sample is judged by; nil before the first, and after one with a hole.
  ///
  /// It follows from smoothing and lags, which are state: after a restart it is the same.
  public var evidence: MultivariateEvidence? {
    guard stacker.isWarm else { return nil }
    var copy = self
    let finding = copy.judge()
    return MultivariateEvidence(finding, by: model, contributions(to: model.deciding))
  }

  /// Appends all state to `bytes`; the model is configuration and not part of it.
  public func write(into bytes: inout [UInt8]) {
    stacker.write(into: &bytes)
  }

  /// Reads back state that was written with a model of the same shape.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try stacker.restore(from: &reader)
  }
}
