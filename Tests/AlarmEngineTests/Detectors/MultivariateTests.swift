import AlarmEngine
import Telemetry
import Testing

@Suite("Multivariate")
struct MultivariateTests {
  @Test("eigenvectors are orthonormal and rebuild the matrix", arguments: [1, 2, 3, 8, 30, 60])
  func eigen(size: Int) throws {
    var random = DetectorRandom(seed: UInt64(size))
    var matrix = [Double](repeating: 0, count: size * size)
    for row in 0..<size {
      for column in row..<size {
        matrix[row * size + column] = random.normal() * (row == 0 ? 1e3 : 1)
        matrix[column * size + row] = matrix[row * size + column]
      }
    }
    let eigen = try #require(SymmetricEigen(matrix, size: size))
    #expect(eigen.values == eigen.values.sorted(by: >))
    for row in 0..<size {
      for column in 0..<size {
        var rebuilt = 0.0
        var product = 0.0
        for k in 0..<size {
          rebuilt +=
            eigen.vectors[row * size + k] * eigen.values[k] * eigen.vectors[column * size + k]
          product += eigen.vectors[k * size + row] * eigen.vectors[k * size + column]
        }
        #expect(abs(rebuilt - matrix[row * size + column]) < 1e-9 * 1e3)
        #expect(abs(product - (row == column ? 1 : 0)) < 1e-11)
      }
    }
    #expect(SymmetricEigen([.infinity], size: 1) == nil)
  }

  /// Two factors behind six signals, and a seventh that never moves.
  static func rows(seed: UInt64, count: Int, fault: (Int, inout [Double]) -> Void = { _, _ in })
    -> [[Double]]
  {
    var random = DetectorRandom(seed: seed)
    var factors = [0.0, 0.0]
    return (0..<count).map { index in
      for k in 0..<2 { factors[k] = 0.8 * factors[k] + 0.6 * random.normal() }
      var row: [Double] = []
      for signal in 0..<6 {
        let common: Double = factors[0] * Double(signal % 3 + 1) + factors[1] * Double(signal % 2)
        row.append(100 * Double(signal + 1) + 10 * common + random.normal())
      }
      row.append(42)
      fault(index, &row)
      return row
    }
  }

  @Test("T², SPE and distance equal direct computation", arguments: [0, 1, 2])
  func statistics(lags: Int) throws {
    let train = Self.rows(seed: 5, count: 800)
    let ridge = 0.02
    let model = try MultivariateModel.learn(
      rows: train,
      parameters: .init(lags: lags, smoothing: 0.4, components: .count(3), ridge: ridge)
    )
    #expect(model.constantSignals == [6])
    // The oracle: standardise, smooth and stack by the definitions, then solve (Σ + rI) y = x.
    let width = 7
    let n = Double(train.count)
    let mean = (0..<width).map { c in train.reduce(0) { $0 + $1[c] } / n }
    let deviation = (0..<width).map { c in
      (train.reduce(0) { $0 + ($1[c] - mean[c]) * ($1[c] - mean[c]) } / (n - 1)).squareRoot()
    }
    func stack(_ rows: [[Double]]) -> [[Double]] {
      var smooth = [Double](repeating: 0, count: width)
      var smoothed: [[Double]] = []
      for row in rows {
        for c in 0..<width where deviation[c] > 0 {
          smooth[c] = 0.6 * smooth[c] + 0.4 * (row[c] - mean[c]) / deviation[c]
        }
        smoothed.append(smooth)
      }
      return smoothed.indices.map { index in
        (0...lags).flatMap { smoothed[max(0, index - $0)] }
      }
    }
    let vectors = stack(train)
    let size = vectors[0].count
    var covariance = [[Double]](repeating: [Double](repeating: 0, count: size), count: size)
    for vector in vectors {
      for i in 0..<size {
        for j in 0..<size { covariance[i][j] += vector[i] * vector[j] / (n - 1) }
      }
    }
    let principal = eigen(covariance)
    let trace = (0..<size).reduce(0) { $0 + covariance[$1][$1] }
    for i in 0..<size { covariance[i][i] += ridge * trace / Double(size) }
    let inverseDiagonal = (0..<size).map { element in
      var unit = [Double](repeating: 0, count: size)
      unit[element] = 1
      return solve(covariance, unit)[element]
    }
    let test = Self.rows(seed: 6, count: 100)
    var monitor = MultivariateMonitor(model)
    for (row, vector) in zip(test, stack(test)) {
      let got = monitor.step(row)
      let solved = solve(covariance, vector)
      let distance = zip(vector, solved).reduce(0) { $0 + $1.0 * $1.1 }
      #expect(abs(got.distance - distance) < 1e-7 * (1 + distance))
      for signal in 0..<width {
        // By the definition: D² less the smallest D² that changing one element can reach.
        let want = stride(from: signal, to: size, by: width).reduce(0) { sum, element in
          sum + solved[element] * solved[element] / inverseDiagonal[element]
        }
        #expect(abs(monitor.contributions[signal] - want) < 1e-7 * (1 + want))
      }
      let scores = principal.map { pair in zip(pair.vector, vector).reduce(0) { $0 + $1.0 * $1.1 } }
      let t2 = (0..<model.retained).reduce(0) { sum, index in
        sum + scores[index] * scores[index] / principal[index].value
      }
      let spe = scores[model.retained...].reduce(0) { $0 + $1 * $1 }
      #expect(abs(got.t2 - t2) < 1e-6 * (1 + t2))
      #expect(abs(got.spe - spe) < 1e-6 * (1 + spe))

      // What each signal contributes, by the matrices themselves: xᵀ M x less its smallest over one element.
      for statistic in [MultivariateModel.Statistic.t2, .spe] {
        let kept = statistic == .t2 ? 0..<model.retained : model.retained..<size
        var want = [Double](repeating: 0, count: width)
        for element in 0..<size where deviation[element % width] > 0 {
          var product = 0.0
          var diagonal = 0.0
          for k in kept {
            let loading = principal[k].vector[element]
            let weight = statistic == .t2 ? 1 / principal[k].value : 1
            product += loading * scores[k] * weight
            diagonal += loading * loading * weight
          }
          want[element % width] += product * product / diagonal
        }
        let total = want.reduce(1, +)
        for (found, want) in zip(monitor.contributions(to: statistic), want) {
          #expect(abs(found - want) < 1e-6 * total)
        }
      }
      let direct = monitor.contributions
      for (found, want) in zip(monitor.contributions(to: .distance), direct) {
        #expect(abs(found - want) < 1e-9 * (1 + want))
      }

      let evidence = try #require(monitor.evidence)
      #expect(evidence.distance == got.distance && evidence.t2 == got.t2 && evidence.spe == got.spe)
      #expect(evidence.limits == model.limits)
      let order = direct.indices.sorted { direct[$0] > direct[$1] }.prefix(3)
      #expect(evidence.contributions.map { Int($0.signal) } == Array(order))
      for part in evidence.contributions {
        let share = direct[Int(part.signal)] / direct.reduce(0, +)
        #expect(abs(part.share - share) < 1e-9)
      }
    }
  }

  /// Eigenvalues, greatest first, and eigenvectors of a symmetric matrix, by Jacobi's rotations.
  private func eigen(_ matrix: [[Double]]) -> [(value: Double, vector: [Double])] {
    var a = matrix
    let size = a.count
    var v = (0..<size).map { row in (0..<size).map { $0 == row ? 1.0 : 0 } }
    for _ in 0..<50 {
      for p in 0..<size {
        for q in (p + 1)..<max(size, p + 1) where abs(a[p][q]) > 1e-15 {
          let theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
          let sign = theta < 0 ? -1.0 : 1
          let t = sign / (abs(theta) + (theta * theta + 1).squareRoot())
          let c = 1 / (t * t + 1).squareRoot()
          let s = t * c
          for k in 0..<size {
            (a[k][p], a[k][q]) = (c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q])
          }
          for k in 0..<size {
            (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k])
          }
          for k in 0..<size {
            (v[k][p], v[k][q]) = (c * v[k][p] - s * v[k][q], s * v[k][p] + c * v[k][q])
          }
        }
      }
    }
    let order = (0..<size).sorted { a[$0][$0] > a[$1][$1] }
    return order.map { column in (a[column][column], v.map { $0[column] }) }
  }

  @Test("a broken relation is found and pointed at, though each signal stays within its range")
  func brokenRelation() throws {
    var model = try MultivariateModel.learn(rows: Self.rows(seed: 1, count: 1000))
    try model.calibrate(rows: Self.rows(seed: 2, count: 2000), exceedance: 0.01)
    let faulty = Self.rows(seed: 3, count: 600) { index, row in
      if index >= 300 { row[2] = 300 + 0.5 * (row[2] - 300) }
    }
    var monitor = MultivariateMonitor(model)
    var before = 0
    var after = 0
    var blamed = 0
    for (index, row) in faulty.enumerated() {
      let isAlarm = monitor.step(row).condition == .yes
      if index < 300 { before += isAlarm ? 1 : 0 } else { after += isAlarm ? 1 : 0 }
      let contributions = monitor.contributions
      if index >= 300, isAlarm, contributions.max() == contributions[2] { blamed += 1 }
    }
    #expect(
      before <= 15 && after >= 200 && blamed * 10 >= after * 7,
      "\(before) \(after) \(blamed)"
    )
  }

  @Test("calibration leaves the wanted share above the limits")
  func calibration() throws {
    var model = try MultivariateModel.learn(rows: Self.rows(seed: 1, count: 600))
    let normal = Self.rows(seed: 9, count: 1000)
    try model.calibrate(rows: normal, exceedance: 0.02)
    var monitor = MultivariateMonitor(model)
    let alarms = normal.count { monitor.step($0).condition == .yes }
    #expect(alarms == 20)
  }

  @Test(
    "the statistic that the rule chooses decides, by its own limit",
    arguments: MultivariateModel.Statistic.allCases
  )
  func deciding(statistic: MultivariateModel.Statistic) throws {
    var model = try MultivariateModel.learn(rows: Self.rows(seed: 1, count: 600))
    let normal = Self.rows(seed: 9, count: 1000)
    try model.calibrate(rows: normal, exceedance: 0.02)
    #expect(model.deciding == .distance)
    model.deciding = statistic
    var monitor = MultivariateMonitor(model)
    var alarms = 0
    for row in normal {
      let found = monitor.step(row)
      let isBeyond =
        switch statistic {
        case .t2: found.t2 > model.limits.t2
        case .spe: found.spe > model.limits.spe
        case .distance: found.distance > model.limits.distance
        }
      #expect(found.condition == Truth(isBeyond))
      #expect(monitor.evidence?.statistic == statistic)
      if found.condition == .yes { alarms += 1 }
    }
    #expect(alarms == 20)
    var fresh = MultivariateMonitor(model)
    #expect(fresh.evidence == nil)
    fresh = try restarted(monitor, as: fresh)
    #expect(fresh.evidence == monitor.evidence)
  }

  @Test("the raise tells what it was raised on, however many samples a message holds")
  func raise() throws {
    let training = Self.rows(seed: 1, count: 400).map { Array($0[..<3]) }
    let model = try MultivariateModel.learn(rows: training, parameters: .init(lags: 0))
    var builder = PlanBuilder(channelsPerDevice: 3)
    let signals = (0..<3).map { ChannelIndex(rawValue: $0) }
    builder.add("group", .multivariate(model, signals: signals))
    let rows = Self.rows(seed: 3, count: 60) { index, row in
      if index >= 30 { row[1] += 400 }
    }.map { Array($0[..<3]) }

    // The monitor by itself.
    var monitor = MultivariateMonitor(model)
    let raised = rows.firstIndex { monitor.step($0).condition == .yes }
    let first = try #require(raised)
    let evidence = try #require(monitor.evidence)
    #expect(first <= 31)

    for samples in [1, 7, 60] {
      var bench = try Bench(builder)
      var start = 0
      while start < rows.count {
        let end = min(rows.count, start + samples)
        var batch = ReadingBatch(received: at(Int64(end) * 1000), baseSequence: bench.sequence)
        for index in start..<end {
          for channel in 0..<3 {
            batch.append(
              Reading(
                channel: ChannelIndex(rawValue: UInt32(channel)),
                time: at(Int64(index) * 1000),
                value: rows[index][channel],
                status: .normal,
                flags: []
              ),
              sequence: bench.sequence
            )
            bench.sequence += 1
          }
        }
        bench.engine.apply(batch, into: &bench.out)
        start = end
      }
      let out = bench.out
      let raise = try #require(out.first { $0.kind == .raised })
      #expect(raise.evidence == evidence, "\(samples) samples a message")
      #expect(out.allSatisfy { ($0.kind == .raised) == ($0.evidence != nil) })
    }
  }

  @Test("a signal without a value makes the sample unknown, and the next starts anew")
  func missing() throws {
    let model = try MultivariateModel.learn(rows: Self.rows(seed: 1, count: 600))
    let rows = Self.rows(seed: 4, count: 50)
    var monitor = MultivariateMonitor(model)
    for row in rows { _ = monitor.step(row) }
    var hole = rows[0]
    hole[3] = .nan
    #expect(monitor.step(hole).condition == .unknown)
    var fresh = MultivariateMonitor(model)
    #expect(monitor.step(rows[1]) == fresh.step(rows[1]))
    fresh = try restarted(monitor, as: fresh)
    #expect(fresh.step(rows[2]) == monitor.step(rows[2]))
  }

  @Test("what cannot be learned from is refused")
  func refusals() {
    let rows = Self.rows(seed: 1, count: 100)
    #expect(throws: MultivariateModel.LearnError.tooFewRows(needed: 52)) {
      try MultivariateModel.learn(rows: Array(rows[..<20]))
    }
    var bad = rows
    bad[7][1] = .infinity
    #expect(throws: MultivariateModel.LearnError.badRow(7)) {
      try MultivariateModel.learn(rows: bad)
    }
    bad[7] = [1]
    #expect(throws: MultivariateModel.LearnError.badRow(7)) {
      try MultivariateModel.learn(rows: bad)
    }
    #expect(throws: MultivariateModel.LearnError.noVariation) {
      try MultivariateModel.learn(rows: [[Double]](repeating: [1, 2], count: 100))
    }
  }
}

/// Solves a system of equations by elimination.
func solve(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
  var a = matrix
  var b = right
  for pivot in b.indices {
    let best = (pivot..<b.count).max { abs(a[$0][pivot]) < abs(a[$1][pivot]) } ?? pivot
    a.swapAt(pivot, best)
    b.swapAt(pivot, best)
    for row in (pivot + 1)..<max(b.count, pivot + 1) {
      let factor = a[row][pivot] / a[pivot][pivot]
      for column in pivot..<b.count { a[row][column] -= factor * a[pivot][column] }
      b[row] -= factor * b[pivot]
    }
  }
  for pivot in b.indices.reversed() {
    for column in (pivot + 1)..<max(b.count, pivot + 1) {
      b[pivot] -= a[pivot][column] * b[column]
    }
    b[pivot] /= a[pivot][pivot]
  }
  return b
}
