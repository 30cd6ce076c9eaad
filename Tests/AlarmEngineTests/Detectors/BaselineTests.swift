import AlarmEngine
import Testing

@Suite("Baselines: warm-up, freeze, state")
struct BaselineTests {
  @Test("nothing is learned while the alarm stands, until the freeze has lasted too long")
  func freeze() throws {
    var detector = try EWMAZScore(
      .init(alpha: 0.05, limit: 6, warmUp: 30, smallestDeviation: 0.1, longestFreeze: 600_000)
    )
    var random = DetectorRandom(seed: 4)
    var time: Int64 = 0
    func next(_ level: Double, frozen: Bool) -> DetectorFinding {
      time += 1000
      return detector.step(time: time, value: level + random.normal(), isFrozen: frozen)
    }
    for _ in 0..<300 { _ = next(10, frozen: false) }
    var alarm = false
    var heldFor = 0
    for _ in 0..<590 {
      let finding = next(40, frozen: alarm)
      #expect(finding.condition == .yes)
      alarm = finding.condition == .yes
      heldFor += 1
    }
    for _ in 0..<60 { alarm = next(40, frozen: alarm).condition == .yes }
    #expect(!alarm, "after \(heldFor) s at the new level it is the new normal")
    #expect(next(10, frozen: false).condition == .yes, "and the old level is now the anomaly")
  }

  @Test("a learned control chart takes the first readings, then stands still")
  func learned() throws {
    var chart = try TabularCUSUM(.init(baseline: .learned(readings: 50)))
    var random = DetectorRandom(seed: 8)
    for index in 0..<50 {
      let finding = chart.step(time: Int64(index), value: 5 + random.normal())
      #expect(finding.condition == .unknown)
    }
    var alarms = 0
    for index in 50..<150 {
      if chart.step(time: Int64(index), value: 5 + random.normal()).condition == .yes {
        alarms += 1
      }
    }
    #expect(alarms < 20)
    var delay = 0
    while chart.step(time: Int64(150 + delay), value: 7 + random.normal()).condition != .yes {
      delay += 1
    }
    #expect(delay < 12)
    // The ceiling bounds the way back after however long an excursion.
    for index in 0..<5000 { _ = chart.step(time: Int64(1000 + index), value: 50) }
    var back = 0
    while chart.step(time: Int64(9000 + back), value: 5 + random.normal()).condition == .yes {
      back += 1
    }
    #expect(back < 60)
  }

  @Test(
    "no baseline is learned from a value that nothing measures",
    arguments: [1e20, -1e60, 9e99]
  )
  func absurdValue(_ value: Double) throws {
    for first in [0, 5, 49] {
      var chart = try EWMAChart(.init(baseline: .learned(readings: 50)))
      var sums = try TabularCUSUM(.init(baseline: .learned(readings: 50)))
      var random = DetectorRandom(seed: 9)
      for index in 0..<150 {
        let reading = index == first ? value : 5 + random.normal()
        _ = chart.step(time: Int64(index), value: reading)
        _ = sums.step(time: Int64(index), value: reading)
      }
      var found = (false, false)
      for index in 150..<160 {
        if chart.step(time: Int64(index), value: 1000).condition == .yes { found.0 = true }
        if sums.step(time: Int64(index), value: 1000).condition == .yes { found.1 = true }
      }
      #expect(found == (true, true), "as reading \(first)")
    }
    // Of the hours of the week only the one with the value is not learned from.
    var season = try SeasonalBaseline(.init(minimumWeeks: 4))
    let (week, minute): (Int64, Int64) = (7 * 24 * 3_600_000, 300_000)
    for index in Int64(0)..<6 {
      for step in Int64(0)..<12 {
        _ = season.step(
          time: index * week + step * minute,
          value: index == 1 && step == 3 ? value : 5 + Double(step % 3)
        )
      }
      // Another hour closes this one.
      _ = season.step(time: index * week + 3_600_000, value: 5)
    }
    #expect(season.step(time: 6 * week, value: 1000).condition == .yes)
  }

  @Test("robust z bears outliers over nearly half of its span, however many readings that has")
  func dense() throws {
    var robust = try RobustZScore(.init(span: 3_600_000, learnsInAlarm: true))
    for second in Int64(0)..<3600 {
      _ = robust.step(time: second * 1000, value: Double(second % 7))
    }
    for second in Int64(3600)..<5100 {
      let got = robust.step(time: second * 1000, value: 100)
      #expect(got.condition == .yes, "\(second)")
    }
    #expect(robust.step(time: 5_100_000, value: 3).condition == .no)
  }

  @Test("any finite value and a time that goes back neither trap nor raise on NaN")
  func anyValue() throws {
    var random = DetectorRandom(seed: 21)
    var rate = try RateOfChange(.init(span: 5000, limit: 1))
    var stuck = try StuckDetector(.init(duration: 5000, tolerance: 1))
    var peer = try Deviation(.init(limit: 1, isRelative: true))
    var chart = try EWMAChart(.init(baseline: .learned(readings: 5)))
    var sums = try TabularCUSUM(.init(baseline: .learned(readings: 5)))
    var z = try EWMAZScore(.init(warmUp: 3))
    var robust = try RobustZScore(.init(span: 5000, minimumCount: 3))
    var season = try SeasonalBaseline(.init(minimumWeeks: 1))
    var hugging = try LimitHugging(.init(span: 5000, limit: 1, minimumCount: 2))
    var gap = try GapAtRise(.init(limit: 1))
    var replay = try ReplayedRun(.init(length: 16, changes: 2, history: 64))
    var time: Int64 = 0
    for _ in 0..<200_000 {
      time += Int64(random.below(2000)) - 100
      var value = Double(bitPattern: random.next())
      if !value.isFinite { value = -.greatestFiniteMagnitude }
      if random.below(3) > 0 { value = random.normal() }
      _ = rate.step(time: time, value: value)
      _ = stuck.step(time: time, value: value)
      _ = peer.step(time: time, value: value, reference: (time - 5, random.normal()))
      let frozen = random.below(4) == 0
      for finding in [
        chart.step(time: time, value: value, isFrozen: frozen),
        sums.step(time: time, value: value, isFrozen: frozen),
        z.step(time: time, value: value, isFrozen: frozen),
        robust.step(time: time, value: value, isFrozen: frozen),
        season.step(time: time, value: value, isFrozen: frozen),
        hugging.step(time: time, value: value),
        gap.step(time: time, value: value), replay.step(value: value),
      ] where finding.statistic.isNaN {
        #expect(finding.condition != .yes)
      }
    }
  }

  @Test("state read back goes on the same", arguments: 1...5 as ClosedRange<UInt64>)
  func restoring(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    let samples = DetectorOracleTests.signal(seed: seed, count: 4000)
    var pairs: [any SteppedDetector] = [
      try RateOfChange(.init(span: 5000, limit: 1)),
      try StuckDetector(.init(duration: 5000, tolerance: 1, capacity: 4)),
      try EWMAChart(.init(baseline: .learned(readings: 50), longestFreeze: 60_000)),
      try TabularCUSUM(.init(baseline: .learned(readings: 50), longestFreeze: 60_000)),
      try EWMAZScore(.init(longestFreeze: 60_000)), try RobustZScore(.init(span: 60_000)),
      try SeasonalBaseline(.init(minimumWeeks: 1)),
      try LimitHugging(.init(span: 60_000, limit: 25, minimumCount: 5)),
      try GapAtRise(.init(limit: 25, gap: 5000)),
      try ReplayedRun(.init(length: 16, changes: 2, history: 64)),
    ]
    var fresh = pairs
    let blank = pairs
    for sample in samples {
      for index in pairs.indices {
        if random.below(200) == 0 {
          var bytes: [UInt8] = []
          fresh[index].write(into: &bytes)
          fresh[index] = blank[index]
          var reader = StateReader(bytes)
          try fresh[index].restore(from: &reader)
          #expect(reader.isAtEnd)
          var damaged = blank[index]
          var short = StateReader(Array(bytes.dropLast()))
          #expect(throws: StateReadError.self) { try damaged.restore(from: &short) }
        }
        let frozen = sample.time % 7 < 2
        let left = pairs[index].take(sample.time, sample.value, frozen)
        let right = fresh[index].take(sample.time, sample.value, frozen)
        #expect(
          left.condition == right.condition
            && left.statistic.bitPattern == right.statistic.bitPattern,
          "SEED=\(seed) \(index)"
        )
      }
    }
  }
}

/// One face for all detectors, for the tests only.
protocol SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding
  func write(into bytes: inout [UInt8])
  mutating func restore(from reader: inout StateReader) throws(StateReadError)
}

extension RateOfChange: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value)
  }
}

extension StuckDetector: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value)
  }
}

extension EWMAChart: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value, isFrozen: frozen)
  }
}

extension TabularCUSUM: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value, isFrozen: frozen)
  }
}

extension EWMAZScore: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value, isFrozen: frozen)
  }
}

extension RobustZScore: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value, isFrozen: frozen)
  }
}

extension SeasonalBaseline: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value, isFrozen: frozen)
  }
}

extension LimitHugging: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value)
  }
}

extension GapAtRise: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(time: time, value: value)
  }
}

extension ReplayedRun: SteppedDetector {
  mutating func take(_ time: Int64, _ value: Double, _ frozen: Bool) -> DetectorFinding {
    step(value: value)
  }
}
