import AlarmEngine
import Testing

/// Average run lengths against the published tables, within 5 % (and half of the last printed digit).
@Suite("Average run lengths")
struct RunLengthTests {
  static let shifts = [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4]

  /// Lucas and Saccucci, Technometrics 32 (1990) 1-12; Montgomery, table 9.11.
  static let ewma: [(lambda: Double, width: Double, lengths: [Double])] = [
    (0.40, 3.054, [500, 224, 71.2, 28.4, 14.3, 5.9, 3.5, 2.5, 2.0, 1.4]),
    (0.25, 2.998, [500, 170, 48.2, 20.1, 11.1, 5.5, 3.6, 2.7, 2.3, 1.7]),
    (0.20, 2.962, [500, 150, 41.8, 18.2, 10.5, 5.5, 3.7, 2.9, 2.4, 1.9]),
    (0.10, 2.814, [500, 106, 31.3, 15.9, 10.3, 6.1, 4.4, 3.4, 2.9, 2.2]),
    (0.05, 2.615, [500, 84.1, 28.8, 16.4, 11.4, 7.1, 5.2, 4.2, 3.5, 2.7]),
  ]

  /// Two-sided tabular CUSUM, k = 1/2; Montgomery, table 9.3.
  static let cusum: [(interval: Double, lengths: [Double])] = [
    (4, [168, 74.2, 26.6, 13.3, 8.38, 4.75, 3.34, 2.62, 2.19, 1.71]),
    (5, [465, 139, 38.0, 17.0, 10.4, 5.75, 4.01, 3.11, 2.57, 2.01]),
  ]

  private func check(
    _ length: Double,
    _ published: Double,
    digits: Double,
    _ what: String
  ) {
    // Half of the last digit that is printed: whole numbers from 100 on.
    let digit = published >= 100 ? 0.5 : published >= 10 ? 0.05 : digits
    #expect(
      abs(length - published) <= published * 0.05 + digit,
      "\(what): \(length) ≠ \(published)"
    )
  }

  @Test("EWMA charts run as Lucas and Saccucci say", arguments: ewma.indices, shifts.indices)
  func exponential(chart: Int, shift: Int) throws {
    let (lambda, width, lengths) = Self.ewma[chart]
    let parameters = EWMAChart.Parameters(
      lambda: lambda,
      width: width,
      baseline: .given(mean: 10, standardDeviation: 2)
    )
    let fresh = try EWMAChart(parameters)
    var random = DetectorRandom(seed: UInt64(chart * 100 + shift + 1))
    let runs = 8000
    var total = 0
    for _ in 0..<runs {
      var chart = fresh
      var time: Int64 = 0
      repeat {
        time += 1
      } while chart.step(time: time, value: 10 + 2 * (random.normal() + Self.shifts[shift]))
        .condition != .yes
      total += Int(time)
    }
    check(
      Double(total) / Double(runs),
      lengths[shift],
      digits: 0.05,
      "λ \(lambda) shift \(Self.shifts[shift])"
    )
  }

  @Test("CUSUM charts run as Montgomery says", arguments: cusum.indices, shifts.indices)
  func cumulative(chart: Int, shift: Int) throws {
    let (interval, lengths) = Self.cusum[chart]
    let parameters = TabularCUSUM.Parameters(
      allowance: 0.5,
      decisionInterval: interval,
      baseline: .given(mean: -3, standardDeviation: 0.5)
    )
    let fresh = try TabularCUSUM(parameters)
    var random = DetectorRandom(seed: UInt64(chart * 100 + shift + 7001))
    let runs = 8000
    var total = 0
    for _ in 0..<runs {
      var chart = fresh
      var time: Int64 = 0
      repeat {
        time += 1
      } while chart.step(time: time, value: -3 + 0.5 * (random.normal() + Self.shifts[shift]))
        .condition != .yes
      total += Int(time)
    }
    check(
      Double(total) / Double(runs),
      lengths[shift],
      digits: 0.005,
      "h \(interval) shift \(Self.shifts[shift])"
    )
  }

  @Test("a head start of half h finds a standing shift sooner, as Lucas and Crosier say")
  func headStart() throws {
    // Lucas and Crosier (1982), k 0.5, h 4, FIR h/2: ARL 149 at shift 0, 62.7 at 0.25, 5.29 at 1.
    for (shift, published) in [(0.0, 149.0), (0.25, 62.7), (1.0, 5.29)] {
      let fresh = try TabularCUSUM(
        .init(
          allowance: 0.5,
          decisionInterval: 4,
          headStart: 0.5,
          baseline: .given(mean: 0, standardDeviation: 1)
        )
      )
      var random = DetectorRandom(seed: 99)
      var total = 0
      for _ in 0..<10_000 {
        var chart = fresh
        var time: Int64 = 0
        repeat {
          time += 1
        } while chart.step(time: time, value: random.normal() + shift).condition != .yes
        total += Int(time)
      }
      check(Double(total) / 10_000, published, digits: 0.005, "FIR shift \(shift)")
    }
  }
}
