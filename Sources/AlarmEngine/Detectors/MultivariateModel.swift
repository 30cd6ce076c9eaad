/// What normal operation of a group of signals looks like: mean, spread and correlation, over time.
///
/// Formula: signals are standardised, smoothed (s ← s + λ (z − s)) and stacked with their `lags`
/// predecessors to a vector x; Σ = V diag(w) Vᵀ is its covariance. With P the first a eigenvectors:
/// - Hotelling's T² = Σ_{i ≤ a} (v_iᵀ x)² / w_i, the unusual size of usual patterns;
/// - SPE (Q) = |x − P Pᵀ x|², what the patterns do not explain;
/// - distance D² = Σ_i (v_iᵀ x)² / (w_i + r), r = ridge · mean eigenvalue: both in one, with the
///   small directions, in which a broken relation between signals shows first, weighted up as far
///   as they can be trusted.
///
/// Sources: J. E. Jackson and G. S. Mudholkar, Technometrics 21 (1979) 341-349 (SPE); W. Ku, R. H.
/// Storer and C. Georgakis, Chemometrics and Intelligent Laboratory Systems 30 (1995) 179-196 (DPCA);
/// C. A. Lowry et al., Technometrics 34 (1992) 46-53 (MEWMA: smoothing before T²).
///
/// Limits are quantiles of the statistics, not distributions' (with DPCA the theoretical SPE limit
/// gives 28 % false alarms on fresh data): ``learn(rows:parameters:)`` takes them from the training
/// rows, which is too tight; ``calibrate(rows:exceedance:)`` takes them from fresh normal rows.
///
/// - Defaults: 2 lags (0 … 10), smoothing 0.3 (0.01 … 1), components for 0.8 of the variance (0.1 … 1, or 1 … 10,000 of them), ridge
///   0.01 (0 … 10; never below 10⁻⁹), exceedance 0.01 (0.0001 … 0.5).
/// - Warm-up: 2 · signals · (lags + 1) + 10 rows to learn from. Running, bad status, gaps, late readings and freeze are as
///   ``MultivariateMonitor`` says.
public struct MultivariateModel: Hashable, Sendable {
  /// How many eigenvectors explain normal operation.
  public enum Components: Hashable, Sendable {
    /// A given number.
    case count(Int)
    /// As many as are needed for this share of the variance, 0.1 … 1.
    case varianceShare(Double)
  }

  /// Parameters.
  public struct Parameters: Hashable, Sendable {
    /// Earlier samples stacked onto the present one, 0 … 10.
    public var lags: Int
    /// Weight of the newest sample in the smoothing, 0.01 … 1; 1 for none.
    public var smoothing: Double
    /// Components of T².
    public var components: Components
    /// Added to every eigenvalue in the distance, as a share of their mean, 0 … 10.
    public var ridge: Double
    /// Share of normal samples that exceeds a limit, 0.0001 … 0.5.
    public var exceedance: Double

    /// Makes parameters.
    public init(
      lags: Int = 2,
      smoothing: Double = 0.3,
      components: Components = .varianceShare(0.8),
      ridge: Double = 0.01,
      exceedance: Double = 0.01
    ) {
      self.lags = lags
      self.smoothing = smoothing
      self.components = components
      self.ridge = ridge
      self.exceedance = exceedance
    }
  }

  /// What of a sample is held against its limit.
  public enum Statistic: String, CaseIterable, Hashable, Sendable {
    /// Hotelling's T².
    case t2
    /// The squared prediction error, Q.
    case spe
    /// The distance D² over all directions.
    case distance
  }

  /// Why no model can be learned.
  public enum LearnError: Error, Hashable, Sendable {
    /// A parameter lies outside its range.
    case parameter(DetectorError)
    /// Too few rows; at least this many are needed.
    case tooFewRows(needed: Int)
    /// A row has another number of values than the first, or a value that is not finite.
    case badRow(Int)
    /// No signal varies, or none is given.
    case noVariation
    /// The parts of a model do not fit together.
    case badParts(String)
  }

  /// A model taken apart, for files.
  public struct Parts: Hashable, Sendable {
    /// Earlier samples stacked onto the present one.
    public var lags = 0
    /// Weight of the newest sample in the smoothing.
    public var smoothing = 1.0
    /// Added to every eigenvalue in the distance.
    public var ridge = 0.0
    /// Share of normal samples that exceeds a limit.
    public var exceedance = 0.01
    /// Components of T².
    public var retained = 0
    /// Limit of T².
    public var t2Limit = 0.0
    /// Limit of SPE.
    public var speLimit = 0.0
    /// Limit of D².
    public var distanceLimit = 0.0
    /// Means of the signals.
    public var mean: [Double] = []
    /// Reciprocal standard deviations of the signals; 0 leaves one out.
    public var inverseDeviation: [Double] = []
    /// Eigenvalues of the covariance of the stacked vector.
    public var eigenvalues: [Double] = []
    /// Eigenvectors, one after the other.
    public var loadings: [Double] = []

    /// Makes empty parts.
    public init() {}
  }

  /// The model taken apart.
  public var parts: Parts {
    var parts = Parts()
    parts.lags = parameters.lags
    parts.smoothing = parameters.smoothing
    parts.ridge = ridge
    parts.exceedance = parameters.exceedance
    parts.retained = retained
    parts.t2Limit = limits.t2
    parts.speLimit = limits.spe
    parts.distanceLimit = limits.distance
    parts.mean = mean
    parts.inverseDeviation = inverseDeviation
    parts.eigenvalues = eigenvalues
    parts.loadings = loadings
    return parts
  }

  /// Puts a model together again.
  public init(parts: Parts) throws(LearnError) {
    do {
      try DetectorError.check("lags", Double(parts.lags), 0...10)
      try DetectorError.check("smoothing", parts.smoothing, 0.01...1)
      try DetectorError.check(positive: "ridge", parts.ridge)
      try DetectorError.check("exceedance", parts.exceedance, 0.0001...0.5)
    } catch {
      throw .parameter(error)
    }
    let width = parts.mean.count
    let size = width * (parts.lags + 1)
    guard width > 0, parts.inverseDeviation.count == width, parts.eigenvalues.count == size,
      parts.loadings.count == size * size
    else {
      throw .badParts(
        "\(width) means need \(width) reciprocal deviations, \(size) eigenvalues and "
          + "\(size * size) loadings"
      )
    }
    guard (1...size).contains(parts.retained) else { throw .badParts("retained: 1 … \(size)") }
    guard parts.eigenvalues.allSatisfy({ $0 >= 0 && $0.isFinite }),
      parts.loadings.allSatisfy({ $0.magnitude <= 1.000001 }),
      parts.mean.allSatisfy(\.isFinite),
      parts.inverseDeviation.allSatisfy({ $0 >= 0 && $0.isFinite }),
      [parts.t2Limit, parts.speLimit, parts.distanceLimit].allSatisfy({ $0 >= 0 && $0.isFinite })
    else { throw .badParts("a number is out of its range") }
    parameters = Parameters(
      lags: parts.lags,
      smoothing: parts.smoothing,
      components: .count(parts.retained),
      ridge: 0.01,
      exceedance: parts.exceedance
    )
    self.width = width
    retained = parts.retained
    limits = Limits(t2: parts.t2Limit, spe: parts.speLimit, distance: parts.distanceLimit)
    mean = parts.mean
    inverseDeviation = parts.inverseDeviation
    eigenvalues = parts.eigenvalues
    loadings = parts.loadings
    ridge = parts.ridge
    diagonal = Self.diagonal(loadings, eigenvalues, ridge)
  }

  /// Diagonal of M = V diag(1 / (w + r)) Vᵀ.
  private static func diagonal(
    _ loadings: [Double],
    _ values: [Double],
    _ ridge: Double
  ) -> [Double] {
    let size = values.count
    return (0..<size).map { row in
      var sum = 0.0
      for vector in 0..<size {
        let loading = loadings[vector * size + row]
        sum += loading * loading / (values[vector] + ridge)
      }
      return sum
    }
  }

  /// Limits of the three statistics.
  public struct Limits: Hashable, Sendable {
    /// Limit of T².
    public var t2: Double
    /// Limit of SPE.
    public var spe: Double
    /// Limit of D².
    public var distance: Double
  }

  /// The parameters.
  public let parameters: Parameters
  /// Number of signals.
  public let width: Int
  /// Retained components.
  public let retained: Int
  /// The limits in force.
  public internal(set) var limits: Limits
  /// The statistic that decides: the rule's choice, no part of what was learnt.
  public var deciding = Statistic.distance
  let mean: [Double]
  /// Reciprocal standard deviations; 0 for a signal that did not vary in training and is left out.
  let inverseDeviation: [Double]
  let eigenvalues: [Double]
  /// Row-major, one eigenvector a row, so that a score is a dot product of neighbours.
  let loadings: [Double]
  let ridge: Double

  /// Diagonal of M = V diag(1 / (w + r)) Vᵀ.
  private(set) var diagonal: [Double] = []

  /// What the square of a component's score is multiplied by in a statistic.
  func weight(of component: Int, in statistic: Statistic) -> Double {
    let value = eigenvalues[component]
    return switch statistic {
    case .t2: component < retained && value > 0 ? 1 / value : 0
    case .spe: component < retained ? 0 : 1
    case .distance: 1 / (value + ridge)
    }
  }

  /// Length of the stacked vector.
  var stacked: Int { width * (parameters.lags + 1) }

  /// Whether a sample can differ from what the retained components make of it; SPE tells nothing else.
  ///
  /// Signals that did not vary in training add no direction: they are left out.
  package var leavesResidual: Bool {
    retained < (width - constantSignals.count) * (parameters.lags + 1)
  }

  /// Signals that did not vary in training; the model is blind to them.
  public var constantSignals: [Int] {
    inverseDeviation.indices.filter { inverseDeviation[$0] == 0 }
  }

  /// Largest standardised value that enters; anything beyond is as abnormal as can be.
  static let largestScore = 1e6

  private init(
    parameters: Parameters,
    width: Int,
    retained: Int,
    limits: Limits,
    mean: [Double],
    inverseDeviation: [Double],
    eigenvalues: [Double],
    loadings: [Double],
    ridge: Double,
    diagonal: [Double]
  ) {
    self.parameters = parameters
    self.width = width
    self.retained = retained
    self.limits = limits
    self.mean = mean
    self.inverseDeviation = inverseDeviation
    self.eigenvalues = eigenvalues
    self.loadings = loadings
    self.ridge = ridge
    self.diagonal = diagonal
  }

  /// Learns from rows of normal operation, one value per signal, in time order at an even step.
  ///
  /// Needs at least 2 · signals · (lags + 1) + 10 rows.
  public static func learn(
    rows: [[Double]],
    parameters: Parameters = Parameters()
  ) throws(LearnError) -> MultivariateModel {
    do {
      try DetectorError.check("lags", Double(parameters.lags), 0...10)
      try DetectorError.check("smoothing", parameters.smoothing, 0.01...1)
      try DetectorError.check("ridge", parameters.ridge, 0...10)
      try DetectorError.check("exceedance", parameters.exceedance, 0.0001...0.5)
      switch parameters.components {
      case .count(let count): try DetectorError.check("components", Double(count), 1...10_000)
      case .varianceShare(let share): try DetectorError.check("varianceShare", share, 0.1...1)
      }
    } catch {
      throw .parameter(error)
    }
    let width = rows.first?.count ?? 0
    guard width > 0 else { throw .noVariation }
    let needed = 2 * width * (parameters.lags + 1) + 10
    guard rows.count >= needed else { throw .tooFewRows(needed: needed) }
    var columns = [GrowingMoments](repeating: GrowingMoments(), count: width)
    for (index, row) in rows.enumerated() {
      guard row.count == width else { throw .badRow(index) }
      for column in 0..<width {
        guard row[column].magnitude <= GrowingMoments.largestLearned else { throw .badRow(index) }
        columns[column].add(time: Int64(index), value: row[column])
      }
    }
    let mean = columns.map(\.mean)
    let inverse = columns.map { moments in
      let deviation = moments.variance.squareRoot()
      return deviation > moments.mean.magnitude * 1e-12 ? 1 / deviation : 0
    }
    guard inverse.contains(where: { $0 > 0 }) else { throw .noVariation }
    var stacker = Stacker(lags: parameters.lags, width: width, smoothing: parameters.smoothing)
    let vectors = rows.map { row in
      stacker.push(row, mean: mean, inverseDeviation: inverse)
      return stacker.vector
    }
    let eigen = try decompose(vectors)
    let retained = count(of: parameters.components, in: eigen.values)
    let size = eigen.size
    var loadings = [Double](repeating: 0, count: size * size)
    for vector in 0..<size {
      for row in 0..<size { loadings[vector * size + row] = eigen.vectors[row * size + vector] }
    }
    let values = eigen.values.map { max(0, $0) }
    let average = values.reduce(0, +) / Double(size)
    let ridge = max(parameters.ridge, 1e-9) * average
    var model = MultivariateModel(
      parameters: parameters,
      width: width,
      retained: retained,
      limits: Limits(t2: 0, spe: 0, distance: 0),
      mean: mean,
      inverseDeviation: inverse,
      eigenvalues: values,
      loadings: loadings,
      ridge: ridge,
      diagonal: diagonal(loadings, values, ridge)
    )
    try model.calibrate(rows: rows, exceedance: parameters.exceedance)
    return model
  }

  /// Sets the limits so that at most the share `exceedance` of these normal rows is above each.
  public mutating func calibrate(rows: [[Double]], exceedance: Double) throws(LearnError) {
    do {
      try DetectorError.check("exceedance", exceedance, 0.0001...0.5)
    } catch {
      throw .parameter(error)
    }
    guard rows.count > 10 else { throw .tooFewRows(needed: 11) }
    var monitor = MultivariateMonitor(self)
    var t2: [Double] = []
    var spe: [Double] = []
    var distance: [Double] = []
    for (index, row) in rows.enumerated() {
      guard row.count == width, row.allSatisfy(\.isFinite) else { throw .badRow(index) }
      let finding = monitor.step(row)
      t2.append(finding.t2)
      spe.append(finding.spe)
      distance.append(finding.distance)
    }
    func limit(_ values: [Double]) -> Double {
      values.sorted(by: >)[Int(exceedance * Double(values.count))]
    }
    limits = Limits(t2: limit(t2), spe: limit(spe), distance: limit(distance))
  }

  private static func decompose(_ vectors: [[Double]]) throws(LearnError) -> SymmetricEigen {
    let size = vectors[0].count
    var covariance = [Double](repeating: 0, count: size * size)
    for vector in vectors {
      for row in 0..<size where vector[row] != 0 {
        for column in row..<size {
          covariance[row * size + column] += vector[row] * vector[column]
        }
      }
    }
    let scale = 1 / Double(vectors.count - 1)
    for row in 0..<size {
      for column in row..<size {
        covariance[row * size + column] *= scale
        covariance[column * size + row] = covariance[row * size + column]
      }
    }
    guard let eigen = SymmetricEigen(covariance, size: size) else { throw .noVariation }
    return eigen
  }

  private static func count(of components: Components, in values: [Double]) -> Int {
    switch components {
    case .count(let count):
      return min(count, values.count)
    case .varianceShare(let share):
      let total = values.reduce(0) { $0 + max(0, $1) }
      var sum = 0.0
      for (index, value) in values.enumerated() {
        sum += max(0, value)
        if sum >= share * total { return index + 1 }
      }
      return values.count
    }
  }
}

/// Standardises, smooths and stacks samples; its vector is reused from sample to sample.
struct Stacker: Hashable, Sendable {
  let lags: Int
  let width: Int
  let smoothing: Double
  private(set) var vector: [Double]
  /// Whether it has had a sample since it began.
  private(set) var isWarm = false

  init(lags: Int, width: Int, smoothing: Double) {
    self.lags = lags
    self.width = width
    self.smoothing = smoothing
    vector = [Double](repeating: 0, count: width * (lags + 1))
  }

  mutating func push(_ row: [Double], mean: [Double], inverseDeviation: [Double]) {
    var slot = lags
    while slot > 0, isWarm {
      for index in 0..<width { vector[slot * width + index] = vector[(slot - 1) * width + index] }
      slot -= 1
    }
    for index in 0..<width {
      let score = (row[index] - mean[index]) * inverseDeviation[index]
      let most = MultivariateModel.largestScore
      vector[index] += smoothing * (max(-most, min(most, score)) - vector[index])
    }
    guard !isWarm else { return }
    isWarm = true
    for index in width..<max(width, vector.count) { vector[index] = vector[index % width] }
  }

  mutating func reset() {
    isWarm = false
    for index in vector.indices { vector[index] = 0 }
  }

  func write(into bytes: inout [UInt8]) {
    bytes.appendState(vector.count)
    bytes.appendState(vector)
    bytes.appendState(isWarm)
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    guard try reader.count(in: 0...Int.max) == vector.count else { throw .inconsistent }
    vector = try reader.doubles(vector.count)
    isWarm = try reader.flag()
  }
}
