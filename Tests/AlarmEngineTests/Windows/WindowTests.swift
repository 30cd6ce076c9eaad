import AlarmEngine
import Testing

@Suite("Windows")
struct WindowTests {
  static let seeds: ClosedRange<UInt64> = 1...30

  @Test("a sliding window says what a recomputation of (t − span, t] says", arguments: seeds)
  func sliding(seed: UInt64) throws {
    let samples = stream(seed: seed, count: 70_000)
    let span = [1, 1000, 10_000, 60_000, 61_500][Int(seed % 5)] as Int64
    var window = try SlidingWindow(span: span, capacity: 4096)
    var start = 0
    for (index, sample) in samples.enumerated() {
      window.step(time: sample.time, value: sample.value)
      while samples[start].time <= sample.time - span { start += 1 }
      if let fault = difference(window.summary, oracle(samples[start...index])) {
        Issue.record("SEED=\(seed) reading \(index): \(fault)")
        return
      }
    }
  }

  @Test("a full ring forgets the oldest and says so", arguments: seeds)
  func capacity(seed: UInt64) throws {
    let samples = stream(seed: seed, count: 20_000)
    let capacity = [1, 2, 5, 17, 64][Int(seed % 5)]
    var window = try SlidingWindow(span: 100_000, capacity: capacity)
    for (index, sample) in samples.enumerated() {
      window.step(time: sample.time, value: sample.value)
      var start = index
      while start > 0, samples[start - 1].time > sample.time - 100_000 { start -= 1 }
      let isTruncated = index - start + 1 > capacity
      if isTruncated { start = index + 1 - capacity }
      guard window.summary.isTruncated == isTruncated else {
        Issue.record("SEED=\(seed) reading \(index)")
        return
      }
      if let fault = difference(window.summary, oracle(samples[start...index])) {
        Issue.record("SEED=\(seed) reading \(index): \(fault)")
        return
      }
    }
  }

  @Test("count windows hold the last n, or n at a time", arguments: seeds)
  func counting(seed: UInt64) throws {
    let samples = stream(seed: seed, count: 70_000)
    let size = [1, 3, 10, 50, 128][Int(seed % 5)]
    var sliding = try CountWindow(size: size)
    var tumbling = try CountWindow(size: size, isTumbling: true)
    for (index, sample) in samples.enumerated() {
      var got: WindowSummary?
      sliding.step(time: sample.time, value: sample.value) { got = $0 }
      if let fault = fault(got, samples[...index], size, isDue: index + 1 >= size) {
        Issue.record("SEED=\(seed) reading \(index): \(fault)")
        return
      }
      got = nil
      tumbling.step(time: sample.time, value: sample.value) { got = $0 }
      if let fault = fault(got, samples[...index], size, isDue: (index + 1) % size == 0) {
        Issue.record("SEED=\(seed) tumbling, reading \(index): \(fault)")
        return
      }
    }
  }

  /// What is wrong with the summary of a count window; nil for nothing.
  private func fault(
    _ got: WindowSummary?,
    _ samples: ArraySlice<Sample>,
    _ size: Int,
    isDue: Bool
  ) -> String? {
    guard let got else { return isDue ? "none" : nil }
    return isDue ? difference(got, oracle(samples.suffix(size))) : "one too early"
  }

  @Test("tumbling and hopping windows cut at their edges, start closed", arguments: seeds)
  func edges(seed: UInt64) throws {
    let samples = stream(seed: seed, count: 70_000)
    let hop = [1000, 10_000, 7_000, 60_000, 3_600_000][Int(seed % 5)] as Int64
    let factor = Int64(seed % 4 + 1)
    let offset = Int64(seed % 3) * 250
    var tumbling = try TumblingWindow(length: hop, offset: offset)
    var hopping = try HoppingWindow(
      length: hop * factor - Int64(seed % 2) * hop / 3 * (factor > 1 ? 1 : 0),
      hop: hop,
      offset: offset,
      capacity: 70_000
    )
    var gotTumbling: [WindowSummary] = []
    var gotHopping: [WindowSummary] = []
    var random = DetectorRandom(seed: seed + 1000)
    for sample in samples {
      if random.below(10) == 0 {
        // Ticks between readings must not change what is said.
        tumbling.advance(to: sample.time) { gotTumbling.append($0) }
        hopping.advance(to: sample.time - 1) { gotHopping.append($0) }
      }
      tumbling.step(time: sample.time, value: sample.value) { gotTumbling.append($0) }
      hopping.step(time: sample.time, value: sample.value) { gotHopping.append($0) }
    }
    let end = samples[samples.count - 1].time + 100_000_000
    tumbling.advance(to: end) { gotTumbling.append($0) }
    hopping.advance(to: end) { gotHopping.append($0) }
    check(gotTumbling, bruteForce(samples, length: hop, hop: hop, offset: offset), seed)
    check(gotHopping, bruteForce(samples, length: hopping.length, hop: hop, offset: offset), seed)
  }

  /// Every non-empty [e − length, e), found by looking at all readings.
  private func bruteForce(
    _ samples: [Sample],
    length: Int64,
    hop: Int64,
    offset: Int64
  ) -> [WindowSummary] {
    var result: [WindowSummary] = []
    var edge = samples[0].time / hop * hop - 2 * hop + offset
    var low = 0
    var high = 0
    while low < samples.count {
      while low < samples.count, samples[low].time < edge - length { low += 1 }
      while high < samples.count, samples[high].time < edge { high += 1 }
      if low < high {
        var summary = oracle(samples[low..<high])
        summary.start = edge - length
        summary.end = edge
        result.append(summary)
      }
      edge += hop
    }
    return result
  }

  private func check(_ got: [WindowSummary], _ want: [WindowSummary], _ seed: UInt64) {
    #expect(got.count == want.count, "SEED=\(seed)")
    for (index, pair) in zip(got, want).enumerated() {
      if let fault = difference(pair.0, pair.1) {
        Issue.record("SEED=\(seed) window \(index): \(fault)")
        return
      }
    }
  }

  @Test("sessions end by silence or length, state windows by another state", arguments: seeds)
  func sessionsAndStates(seed: UInt64) throws {
    let samples = stream(seed: seed, count: 70_000)
    let gap = [999, 1000, 5000, 30_000][Int(seed % 4)] as Int64
    let longest = [60_000, 600_000, 86_400_000][Int(seed % 3)] as Int64
    var session = try SessionWindow(gap: gap, longest: longest, capacity: 70_000)
    var states = try StateWindow(capacity: 70_000)
    var sessions: [WindowSummary] = []
    var runs: [(Int64, WindowSummary)] = []
    var wantSessions: [WindowSummary] = []
    var wantRuns: [(Int64, WindowSummary)] = []
    var sessionStart = 0
    var runStart = 0
    func state(_ sample: Sample) -> Int64 { sample.time / 40_000 % 3 }
    for (index, sample) in samples.enumerated() {
      session.step(time: sample.time, value: sample.value) { sessions.append($0) }
      states.step(time: sample.time, value: sample.value, state: state(sample)) {
        runs.append(($0, $1))
      }
      guard index > 0 else { continue }
      if sample.time - samples[index - 1].time > gap
        || sample.time - samples[sessionStart].time >= longest
      {
        wantSessions.append(oracle(samples[sessionStart..<index]))
        sessionStart = index
      }
      if state(sample) != state(samples[runStart]) {
        var summary = oracle(samples[runStart..<index])
        summary.end = sample.time
        wantRuns.append((state(samples[runStart]), summary))
        runStart = index
      }
    }
    check(sessions, wantSessions, seed)
    check(runs.map(\.1), wantRuns.map(\.1), seed)
    #expect(runs.map(\.0) == wantRuns.map(\.0), "SEED=\(seed)")
  }

  @Test("edges to the millisecond")
  func exactEdges() throws {
    var window = try SlidingWindow(span: 60_000, capacity: 10)
    window.step(time: 0, value: 1)
    window.step(time: 59_999, value: 2)
    #expect(window.summary.count == 2)
    window.step(time: 60_000, value: 3)
    #expect(window.summary.count == 2 && window.summary.first == 2)
    let late = window.step(time: 59_999, value: 9)
    #expect(!late, "a late reading is refused")
    let equal = window.step(time: 60_000, value: 4)
    #expect(equal, "an equal stamp is not late")
    #expect(window.summary.count == 3)
    window.advance(to: 120_000)
    #expect(window.summary.count == 0 && window.summary.mean.isNaN)
    var tumbling = try TumblingWindow(length: 1000)
    var got: [WindowSummary] = []
    tumbling.step(time: -1, value: 1) { got.append($0) }
    tumbling.step(time: 0, value: 2) { got.append($0) }
    tumbling.step(time: 999, value: 3) { got.append($0) }
    tumbling.advance(to: 999) { got.append($0) }
    #expect(got.map(\.start) == [-1000] && got.map(\.count) == [1])
    tumbling.advance(to: 1000) { got.append($0) }
    #expect(got.map(\.start) == [-1000, 0] && got.map(\.count) == [1, 2])
    var session = try SessionWindow(gap: 100)
    got = []
    for time: Int64 in [0, 100, 200, 301] { session.step(time: time, value: 0) { got.append($0) } }
    #expect(got.map(\.count) == [3] && got.map(\.end) == [200])
  }

  @Test("values of any size neither trap nor poison what follows", arguments: seeds)
  func anySize(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    var window = try SlidingWindow(span: 20_000, capacity: 64)
    var samples: [Sample] = []
    for index in 0..<20_000 {
      var value = random.normal()
      if random.below(60) == 0 { value = Double(bitPattern: random.next()) }
      if !value.isFinite { value = .greatestFiniteMagnitude }
      samples.append(Sample(time: Int64(index) * 1000, value: value))
      window.step(time: Int64(index) * 1000, value: value)
      let recent = samples.suffix(20)
      let got = window.summary
      #expect(got.minimum == recent.map(\.value).min() && got.maximum == recent.map(\.value).max())
      if recent.allSatisfy({ abs($0.value) < WindowLimits.largestSummable }) {
        if let fault = difference(got, oracle(recent)) {
          Issue.record("SEED=\(seed) reading \(index): \(fault)")
          return
        }
      } else {
        #expect(got.mean.isNaN && got.variance.isNaN && got.slope.isNaN)
      }
    }
  }

  @Test("state read back goes on bit for bit", arguments: 1...10 as ClosedRange<UInt64>)
  func restoring(seed: UInt64) throws {
    let samples = stream(seed: seed, count: 6000)
    var sliding = try SlidingWindow(span: 30_000, capacity: 100)
    var hopping = try HoppingWindow(length: 20_000, hop: 5000, capacity: 100)
    var tumbling = try TumblingWindow(length: 5000)
    var random = DetectorRandom(seed: seed)
    var plain: [WindowSummary] = []
    var saved: [WindowSummary] = []
    var slidingCopy = sliding
    var hoppingCopy = hopping
    var tumblingCopy = tumbling
    for sample in samples {
      sliding.step(time: sample.time, value: sample.value)
      plain.append(sliding.summary)
      hopping.step(time: sample.time, value: sample.value) { plain.append($0) }
      tumbling.step(time: sample.time, value: sample.value) { plain.append($0) }
      if random.below(50) == 0 {
        var bytes: [UInt8] = []
        slidingCopy.write(into: &bytes)
        hoppingCopy.write(into: &bytes)
        tumblingCopy.write(into: &bytes)
        slidingCopy = try SlidingWindow(span: 30_000, capacity: 100)
        hoppingCopy = try HoppingWindow(length: 20_000, hop: 5000, capacity: 100)
        tumblingCopy = try TumblingWindow(length: 5000)
        var reader = StateReader(bytes)
        try slidingCopy.restore(from: &reader)
        try hoppingCopy.restore(from: &reader)
        try tumblingCopy.restore(from: &reader)
        #expect(reader.isAtEnd)
      }
      slidingCopy.step(time: sample.time, value: sample.value)
      saved.append(slidingCopy.summary)
      hoppingCopy.step(time: sample.time, value: sample.value) { saved.append($0) }
      tumblingCopy.step(time: sample.time, value: sample.value) { saved.append($0) }
    }
    #expect(plain.count == saved.count)
    for (index, pair) in zip(plain, saved).enumerated() {
      var left: [UInt64] = []
      var right: [UInt64] = []
      for value in [pair.0.mean, pair.0.variance, pair.0.slope, pair.0.median, pair.0.sum] {
        left.append(value.bitPattern)
      }
      for value in [pair.1.mean, pair.1.variance, pair.1.slope, pair.1.median, pair.1.sum] {
        right.append(value.bitPattern)
      }
      if left != right || pair.0.count != pair.1.count {
        Issue.record("SEED=\(seed) summary \(index) differs after reading back")
        return
      }
    }
  }

  @Test("damaged or foreign state is refused, never trapped on")
  func damagedState() throws {
    var window = try SlidingWindow(span: 1000, capacity: 8)
    for index in 0..<8 { window.step(time: Int64(index), value: Double(index)) }
    var bytes: [UInt8] = []
    window.write(into: &bytes)
    for length in 0..<bytes.count {
      #expect(throws: StateReadError.self) {
        var target = try SlidingWindow(span: 1000, capacity: 8)
        var reader = StateReader(Array(bytes[..<length]))
        try target.restore(from: &reader)
      }
    }
    #expect(throws: StateReadError.inconsistent) {
      var target = try SlidingWindow(span: 1000, capacity: 9)
      var reader = StateReader(bytes)
      try target.restore(from: &reader)
    }
    #expect(throws: WindowError.capacityOutOfRange(0)) {
      try SampleWindow(capacity: 0)
    }
    #expect(throws: WindowError.hopLongerThanWindow(hop: 2, length: 1)) {
      try HoppingWindow(length: 1, hop: 2, capacity: 1)
    }
  }
}
