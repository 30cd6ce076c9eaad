import AlarmEngine
import Testing

@Suite("Detectors against oracles")
struct DetectorOracleTests {
  static let seeds: ClosedRange<UInt64> = 1...20

  /// Noise with steps, rests and gaps, coarse enough for ties.
  static func signal(seed: UInt64, count: Int) -> [Sample] {
    var random = DetectorRandom(seed: seed)
    var time: Int64 = 1_000_000
    var level = 20.0
    var resting = 0
    var value = 20.0
    return (0..<count).map { _ in
      time += random.below(200) == 0 ? Int64(random.below(60_000)) : Int64(random.below(2000) + 1)
      if random.below(400) == 0 { level += 10 * random.normal() }
      if random.below(300) == 0 { resting = random.below(60) }
      if resting > 0 { resting -= 1 } else { value = level + random.normal() }
      return Sample(time: time, value: (value * 8).rounded() / 8)
    }
  }

  @Test("rate of change compares with the oldest reading of [t − span, t]", arguments: seeds)
  func rate(seed: UInt64) throws {
    let samples = Self.signal(seed: seed, count: 100_000)
    let span = [0, 1000, 10_000, 30_000][Int(seed % 4)] as Int64
    var detector = try RateOfChange(.init(span: span, limit: 1.5, restore: 0.5, side: .both))
    var active = false
    for index in samples.indices {
      let now = samples[index]
      let got = detector.step(time: now.time, value: now.value)
      var oldest = index
      if span == 0 {
        oldest = max(0, index - 1)
      } else {
        while oldest > 0, now.time - samples[oldest - 1].time <= span { oldest -= 1 }
      }
      let elapsed = now.time - samples[oldest].time
      if elapsed == 0 || elapsed * 2 < span {
        guard got.condition == .unknown else {
          Issue.record("SEED=\(seed) \(index)")
          return
        }
        continue
      }
      let rate = (now.value - samples[oldest].value) / (Double(elapsed) / 1000)
      active = active ? abs(rate) >= 0.5 : abs(rate) > 1.5
      guard got.condition == Truth(active), abs(got.statistic - rate) <= 1e-9 * (1 + abs(rate))
      else {
        Issue.record("SEED=\(seed) \(index)")
        return
      }
    }
  }

  @Test("more readings than there is room for make a rate less sharp, not blind", arguments: seeds)
  func denseRate(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    let parameters = RateOfChange.Parameters(span: 3_600_000, limit: 0.01, capacity: 128)
    var detector = try RateOfChange(parameters)
    var values: [Double] = []
    let slack = 2 * 3600 / 60
    for second in 0..<20_000 {
      values.append(0.02 * Double(max(0, second - 8000)) + 0.01 * random.normal())
      let got = detector.step(time: Int64(second) * 1000, value: values[second])
      // Half of the span, or less of it by the distance of what is kept.
      guard second >= 1740 || got.condition == .unknown, second < 1800 || got.condition != .unknown
      else {
        Issue.record("SEED=\(seed) \(second)")
        return
      }
      guard second >= 1800 else { continue }
      // The reading that is compared with is at most a kept distance younger than the oldest of the span.
      let exact = (values[second] - values[max(0, second - 3600)]) / Double(min(second, 3600))
      let other = max(0, second - 3600 + slack)
      let late = (values[second] - values[other]) / Double(second - other)
      let range = min(exact, late) - 1e-4...max(exact, late) + 1e-4
      guard range.contains(got.statistic) else {
        Issue.record("SEED=\(seed) \(second)")
        return
      }
      if second == 12_000 { #expect(got.condition == .yes) }
    }
  }

  @Test("stuck means an unbroken stretch that stays within the tolerance", arguments: seeds)
  func stuck(seed: UInt64) throws {
    let samples = Self.signal(seed: seed, count: 100_000)
    let tolerance = [0, 0.25, 1, 3][Int(seed % 4)]
    let parameters = StuckDetector.Parameters(
      duration: 15_000,
      tolerance: tolerance,
      minimumCount: 5,
      longestGap: 20_000,
      exempt: 17...18,
      capacity: 4096
    )
    var detector = try StuckDetector(parameters)
    var definition = StuckDefinition(parameters)
    var raised = 0
    for index in samples.indices {
      let (time, value) = (samples[index].time, samples[index].value)
      let got = detector.step(time: time, value: value)
      let want = definition.judge(
        UsableReading(time: time, value: value, isTie: false),
        stands: false
      )
      raised += want == .yes ? 1 : 0
      guard got.condition == want else {
        Issue.record("SEED=\(seed) \(index)")
        return
      }
    }
    #expect(raised > 50, "SEED=\(seed): the stream tests nothing")
  }

  @Test("a stuck stretch longer than the ring is still found")
  func stuckEnvelope() throws {
    var detector = try StuckDetector(.init(duration: 1_000_000, tolerance: 1, capacity: 16))
    var firstRaise: Int64?
    for index in 0..<3000 {
      let time = Int64(index) * 1000
      let value = 5 + Double(index % 3) * 0.4
      if detector.step(time: time, value: value).condition == .yes, firstRaise == nil {
        firstRaise = time
      }
    }
    #expect(firstRaise == 1_000_000)
    #expect(detector.step(time: 3_000_000, value: 7).condition == .no)
  }

  @Test("the EWMA z-score is the directly weighted mean and variance", arguments: seeds)
  func ewmaZ(seed: UInt64) throws {
    let samples = Self.signal(seed: seed, count: 100_000)
    let alpha = [0.02, 0.05, 0.2, 0.5][Int(seed % 4)]
    // (A signal that rests comes to a spread of nothing but rounding.)
    let floor = 1e-3
    var detector = try EWMAZScore(
      .init(alpha: alpha, limit: 2, warmUp: 30, smallestDeviation: floor, learnsInAlarm: true)
    )
    var past = WeightedPast(alpha: alpha)
    for (index, sample) in samples.enumerated() {
      let got = detector.step(time: sample.time, value: sample.value)
      let (mean, variance) = past.moments()
      past.learn(sample.value)
      let z = (sample.value - mean) / max(variance.squareRoot(), floor)
      let isRight =
        index < 30
        ? got.condition == .unknown
        : abs(got.statistic - z) <= 1e-6 * (1 + abs(z))
          && (got.condition == Truth(abs(z) > 2) || abs(abs(z) - 2) < 1e-6)
      guard isRight else {
        Issue.record("SEED=\(seed) \(index)")
        return
      }
    }
  }

  @Test("robust z is median and MAD of the window", arguments: seeds)
  func robust(seed: UInt64) throws {
    let samples = Self.signal(seed: seed, count: 100_000)
    var detector = try RobustZScore(
      .init(span: 60_000, limit: 4, minimumCount: 20, smallestScale: 0.1, learnsInAlarm: true)
    )
    var start = 0
    for index in samples.indices {
      let now = samples[index]
      let got = detector.step(time: now.time, value: now.value)
      while samples[start].time <= now.time - 60_000 { start += 1 }
      let values = samples[start...index].map(\.value).sorted()
      let median = middle(values)
      let scale = max(1.4826 * middle(values.map { abs($0 - median) }.sorted()), 0.1)
      let distance = now.value - median
      let isRight =
        values.count < 20
        ? got.condition == .unknown
        : got.condition == Truth(abs(distance) > 4 * scale)
          && abs(got.statistic - distance / scale) < 1e-9
      guard isRight else {
        Issue.record("SEED=\(seed) \(index)")
        return
      }
    }
  }

  @Test("the seasonal baseline is each hour's own history", arguments: seeds)
  func seasonal(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    var detector = try SeasonalBaseline(.init(limit: 1000, rate: 0.25, zoneOffset: 480))
    var means: [Int: [Double]] = [:]
    var variances: [Int: [Double]] = [:]
    var open: (hour: Int64, values: [Double])?
    var time: Int64 = 1_700_000_000_000
    var known = 0
    for _ in 0..<100_000 {
      time += Int64(random.below(1_200_000))
      let hour = (time + 480 * 60_000) / 3_600_000
      let week = Int((hour + 72) % 168)
      let value = Double(week % 24) + random.normal()
      if let past = open, past.hour != hour {
        if past.values.count >= 2 {
          let count = Double(past.values.count)
          let mean = past.values.reduce(0, +) / count
          let sum = past.values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
          let key = Int((past.hour + 72) % 168)
          means[key, default: []].append(mean)
          variances[key, default: []].append(sum / (count - 1))
        }
        open = nil
      }
      open = (hour, (open?.values ?? []) + [value])
      let got = detector.step(time: time, value: value)
      let history = means[week] ?? []
      guard history.count >= 2 else {
        guard got.condition == .unknown else {
          Issue.record("SEED=\(seed)")
          return
        }
        continue
      }
      known += 1
      var mean = 0.0
      var variance = 0.0
      for (index, hourMean) in history.enumerated() {
        let weight = max(1 / Double(index + 1), 0.25)
        let distance = hourMean - mean
        mean += weight * distance
        variance =
          (1 - weight) * (variance + weight * distance * distance)
          + weight * (variances[week]?[index] ?? .nan)
      }
      let z = (value - mean) / variance.squareRoot()
      guard abs(got.statistic - z) < 1e-6 * (1 + abs(z)) else {
        Issue.record("SEED=\(seed)")
        return
      }
    }
    #expect(known > 1000)
  }

  @Test("2026-11-23 is a Monday, also east of Greenwich")
  func hourOfWeek() throws {
    // 2026-11-22T17:30Z is 2026-11-23T01:30 at UTC+8: Monday, hour 1.
    var detector = try SeasonalBaseline(.init(minimumWeeks: 1, zoneOffset: 480))
    let monday: Int64 = 1_795_368_600_000
    for week in 0..<2 {
      for minute in 0..<20 {
        _ = detector.step(
          time: monday + Int64(week) * 604_800_000 + Int64(minute) * 60_000,
          value: Double(minute % 2)
        )
      }
      _ = detector.step(time: monday + Int64(week) * 604_800_000 + 3_600_000, value: 50)
    }
    let same = detector.step(time: monday + 2 * 604_800_000, value: 0.5)
    #expect(same.statistic == 0)
    let other = detector.step(time: monday + 2 * 604_800_000 + 86_400_000, value: 0.5)
    #expect(other.condition == .unknown, "another day of the week has its own history")
  }

  @Test("deviation from set-point, peer and model")
  func deviation() throws {
    var setpoint = try Deviation(.init(limit: 2, restore: 1, side: .high, gain: 0, offset: 10))
    let path: [(Double, Truth)] = [
      (12, .no), (12.1, .yes), (11, .yes), (10.9, .no), (2, .no), (11.5, .no),
    ]
    for (index, (value, want)) in path.enumerated() {
      #expect(
        setpoint.step(time: Int64(index), value: value, reference: nil).condition == want,
        "\(value)"
      )
    }
    var peer = try Deviation(.init(limit: 0.2, isRelative: true, longestAge: 1000))
    #expect(peer.step(time: 0, value: 1, reference: nil).condition == .unknown)
    #expect(peer.step(time: 1000, value: 12, reference: (0, 10)).condition == .no)
    #expect(peer.step(time: 1001, value: 13, reference: (0, 10)).condition == .unknown)
    #expect(peer.step(time: 1001, value: 12.1, reference: (1, 10)).condition == .yes)
    #expect(peer.step(time: 1001, value: 0, reference: (1, 0)).condition == .no)
    #expect(peer.step(time: 1001, value: 1e-9, reference: (1, 0)).condition == .yes)
    var model = try Deviation(.init(limit: 1, gain: 2, offset: 3))
    #expect(model.step(time: 0, value: 13.5, reference: (0, 5)).condition == .no)
    #expect(model.step(time: 0, value: 11.9, reference: (0, 5)).condition == .yes)
    #expect(model.step(time: 0, value: 1, reference: (0, 1e308)).condition == .unknown)
    #expect(model.step(time: 0, value: 1, reference: (0, -1e308)).condition == .unknown)
    #expect(throws: DetectorError.self) { try Deviation(.init(limit: 0)) }
    #expect(throws: DetectorError.self) { try Deviation(.init(limit: 1, restore: 2)) }
  }
}
