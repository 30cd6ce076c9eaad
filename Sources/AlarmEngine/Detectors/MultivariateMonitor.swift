/// What a multivariate monitor says of a sample.
public struct MultivariateFinding: Hashable, Sendable {
  /// Whether the distance is above its limit; unknown when a signal has no value.
  public var condition: Truth
  /// Hotelling's T².
  public var t2: Double
  /// Squared prediction error.
  public var spe: Double
  /// Regularised squared distance over all directions.
  public var distance: Double
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
    return MultivariateFinding(
      condition: Truth(distance > model.limits.distance),
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

  /// Appends all state to `bytes`; the model is configuration and not part of it.
  public func write(into bytes: inout [UInt8]) {
    stacker.write(into: &bytes)
  }

  /// Reads back state that was written with a model of the same shape.
  public mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    try stacker.restore(from: &reader)
  }
}
