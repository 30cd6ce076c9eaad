import AlarmEngine

/// A reading of a test stream.
struct Sample {
  var time: Int64
  var value: Double
}

/// Statistics computed from scratch, in two passes, with compensated sums.
func oracle(_ samples: ArraySlice<Sample>) -> WindowSummary {
  var summary = WindowSummary()
  guard let first = samples.first, let last = samples.last else { return summary }
  let values = samples.map(\.value)
  let n = Double(values.count)
  summary.count = values.count
  summary.firstTime = first.time
  summary.lastTime = last.time
  summary.start = first.time
  summary.end = last.time
  summary.first = first.value
  summary.last = last.value
  let sorted = values.sorted()
  summary.minimum = sorted[0]
  summary.maximum = sorted[sorted.count - 1]
  summary.median = middle(sorted)
  let centre = summary.median
  summary.medianAbsoluteDeviation = middle(values.map { abs($0 - centre) }.sorted())
  summary.sum = compensated(values)
  let offset = values[0]
  let mean = offset + compensated(values.map { $0 - offset }) / n
  summary.mean = mean
  if values.count > 1 {
    let deviations = values.map { $0 - mean }
    let drift = compensated(deviations)
    summary.variance =
      (compensated(deviations.map { $0 * $0 }) - drift * drift / n) / (n - 1)
    let times = samples.map { Double($0.time - first.time) * 0.001 }
    let meanTime = compensated(times) / n
    if first.time != last.time {
      summary.slope =
        compensated(zip(times, deviations).map { ($0 - meanTime) * $1 })
        / compensated(times.map { ($0 - meanTime) * ($0 - meanTime) })
    }
  }
  return summary
}

func middle(_ sorted: [Double]) -> Double {
  let n = sorted.count
  return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2
}

/// Neumaier's sum.
private func compensated(_ values: [Double]) -> Double {
  var sum = 0.0
  var lost = 0.0
  for value in values {
    let next = sum + value
    lost += abs(sum) >= abs(value) ? (sum - next) + value : (value - next) + sum
    sum = next
  }
  return sum + lost
}

/// Nil when both say the same; else the name of the first statistic that differs.
func difference(_ got: WindowSummary, _ want: WindowSummary) -> String? {
  if got.count != want.count { return "count \(got.count) ≠ \(want.count)" }
  if got.start != want.start || got.end != want.end {
    return "bounds \(got.start) \(got.end) ≠ \(want.start) \(want.end)"
  }
  if got.count == 0 { return nil }
  if got.firstTime != want.firstTime || got.lastTime != want.lastTime { return "times" }
  if got.first != want.first || got.last != want.last { return "first or last" }
  if got.minimum != want.minimum || got.maximum != want.maximum { return "extrema" }
  if got.median != want.median { return "median \(got.median) ≠ \(want.median)" }
  if got.medianAbsoluteDeviation != want.medianAbsoluteDeviation {
    return "MAD \(got.medianAbsoluteDeviation) ≠ \(want.medianAbsoluteDeviation)"
  }
  let size = max(abs(want.minimum), abs(want.maximum))
  let spread = want.variance.isNaN ? 0 : want.variance.squareRoot()
  // A value itself is only known to half an ulp of its size; what is left is 1e-9 of the spread.
  let grain = size * 1e-15 + spread * 1e-9
  if !near(got.mean, want.mean, grain) { return "mean \(got.mean) ≠ \(want.mean)" }
  if !near(got.sum, want.sum, grain * Double(want.count)) { return "sum \(got.sum) ≠ \(want.sum)" }
  let varianceGrain = want.variance * 1e-7 + grain * grain
  if !near(got.variance, want.variance, varianceGrain) {
    return "variance \(got.variance) ≠ \(want.variance)"
  }
  let duration = Double(want.lastTime - want.firstTime) * 0.001
  if !near(got.slope, want.slope, abs(want.slope) * 1e-6 + (spread * 1e-6 + grain) / duration) {
    return "slope \(got.slope) ≠ \(want.slope)"
  }
  return nil
}

private func near(_ got: Double, _ want: Double, _ tolerance: Double) -> Bool {
  if want.isNaN || got.isNaN { return want.isNaN && got.isNaN }
  return abs(got - want) <= tolerance
}

/// Streams that are hard in different ways: a small spread on a large level, steps, ties, bursts of
/// equal stamps, gaps, slow drift, values of every size.
func stream(seed: UInt64, count: Int) -> [Sample] {
  var random = DetectorRandom(seed: seed)
  var time: Int64 = Int64(random.below(1_000_000)) - 500_000
  let kind = Int(seed % 6)
  var level = [0, 1e9, 100, 20, 1e-3, 5e12][kind]
  let noise = [1, 1e-4, 5, 0, 1e-9, 1][kind]
  var samples: [Sample] = []
  samples.reserveCapacity(count)
  for _ in 0..<count {
    switch random.below(100) {
    case 0: time += Int64(random.below(200_000))
    case 1..<10: break
    case 10..<60: time += 1000
    default: time += Int64(random.below(2500))
    }
    if random.below(500) == 0 { level += (random.unit() - 0.5) * 1e3 * (noise + 1e-6) }
    if random.below(3000) == 0 { level = level * 1e3 + 1 }
    if random.below(3000) == 0 { level /= 1e6 }
    var value = level + noise * random.normal()
    if kind == 2 { value = (value * 4).rounded() / 4 }
    if random.below(2000) == 0 { value *= 1e8 }
    samples.append(Sample(time: time, value: value))
  }
  return samples
}
