import AlarmEngine
import Testing

@Suite("Falsification features")
struct FalsificationTests {
  @Test(
    "hugging the limit equals a count over the window",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func hugging(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    var detector = try LimitHugging(.init(span: 60_000, limit: 1, minimumCount: 20))
    var samples: [Sample] = []
    var time: Int64 = 0
    var raised = 0
    for index in 0..<100_000 {
      time += Int64(random.below(3000))
      let hugs = index / 300 % 2 == 0
      let value = hugs ? 0.93 + 0.03 * random.normal() * 0.7 : 0.8 + 0.15 * random.normal()
      samples.append(Sample(time: time, value: value))
      let got = detector.step(time: time, value: value)
      var start = samples.count - 1
      while start > 0, time - samples[start - 1].time < 60_000 { start -= 1 }
      let window = samples[start...]
      let near = window.count { $0.value >= 0.9 && $0.value < 1 }
      let want = near * 2 >= window.count && !window.contains { $0.value >= 1 }
      let expected = window.count < 20 ? Truth.unknown : Truth(want)
      raised += expected == .yes ? 1 : 0
      guard got.condition == expected else {
        Issue.record("SEED=\(seed) \(index)")
        return
      }
    }
    #expect(raised > 100)
  }

  @Test("a replayed run is found, noise and rest are not", arguments: 1...20 as ClosedRange<UInt64>)
  func replay(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    var detector = try ReplayedRun(.init())
    var values: [Double] = []
    func measure() -> Double { ((random.normal() * 0.05 + 0.4) * 100).rounded() / 100 }
    var falseRaises = 0
    for _ in 0..<20_000 {
      values.append(measure())
      if detector.step(value: values[values.count - 1]).condition == .yes { falseRaises += 1 }
    }
    #expect(falseRaises == 0, "SEED=\(seed): two-digit noise is no replay")
    for _ in 0..<1000 where detector.step(value: 0).condition == .yes { falseRaises += 1 }
    #expect(falseRaises == 0, "SEED=\(seed): a resting signal is no replay")
    let lag = 200 + random.below(1500)
    for _ in 0..<2000 {
      values.append(measure())
      _ = detector.step(value: values[values.count - 1])
    }
    let end = values.count
    var delay: Int?
    for index in 0..<190 {
      let value = values[end - lag + index]
      if detector.step(value: value).condition == .yes, delay == nil { delay = index + 1 }
    }
    #expect(
      delay.map { (112...140).contains($0) } == true,
      "SEED=\(seed): found after \(delay ?? -1)"
    )
    #expect(detector.period == lag, "SEED=\(seed)")
    var periodic = try ReplayedRun(.init())
    var raises = 0
    for index in 0..<400 where periodic.step(value: Double(index % 24)).condition == .yes {
      raises += 1
    }
    #expect(raises > 200 && periodic.period == 24)
  }

  @Test("a gap at the rise, and its near misses")
  func gapAtRise() throws {
    struct Case {
      var rise: [Double]
      var silence: Int64
      var after: Double
      var want: Truth
    }
    let cases = [
      Case(rise: [0.3, 0.5, 0.6, 0.8], silence: 600_000, after: 0.2, want: .yes),
      Case(rise: [0.3, 0.5, 0.6, 0.8], silence: 120_001, after: 0.2, want: .yes),
      Case(rise: [0.3, 0.5, 0.6, 0.8], silence: 120_000, after: 0.2, want: .no),
      Case(rise: [0.3, 0.5, 0.6, 0.8], silence: 600_000, after: 0.75, want: .no),
      Case(rise: [0.3, 0.5, 0.6, 0.7], silence: 600_000, after: 0.2, want: .no),
      Case(rise: [0.95, 0.9, 0.85, 0.8], silence: 600_000, after: 0.2, want: .no),
      Case(rise: [0.5, 0.8], silence: 600_000, after: 0.2, want: .no),
    ]
    for (index, test) in cases.enumerated() {
      var detector = try GapAtRise(.init(limit: 1))
      var time: Int64 = 0
      for value in test.rise {
        time += 30_000
        let finding = detector.step(time: time, value: value)
        #expect(finding.condition == .no)
      }
      let got = detector.step(time: time + test.silence, value: test.after).condition
      #expect(got == test.want, "case \(index)")
      let next = detector.step(time: time + test.silence + 1000, value: 0.1).condition
      #expect(next == .no, "an event, not a state")
    }
  }
}
