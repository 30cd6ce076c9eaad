import AlarmEngine
import Telemetry

// Detectors over the readings of a window, as their documentation says it.

struct LimitHuggingDefinition: Definition {
  let parameters: LimitHugging.Parameters
  private var past: [UsableReading] = []

  init(_ parameters: LimitHugging.Parameters) { self.parameters = parameters }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    past.append(reading)
    let (limit, low) = (parameters.limit, parameters.band * parameters.limit)
    var (count, near, isBeyond) = (0, 0, false)
    for other in past.suffix(parameters.capacity).reversed() {
      if reading.time - other.time >= parameters.span { break }
      count += 1
      if other.value >= limit { isBeyond = true } else if other.value >= low { near += 1 }
    }
    guard count >= parameters.minimumCount else { return .unknown }
    return Truth(!isBeyond && Double(near) >= parameters.share * Double(count))
  }
}

/// The readings of (t − span, t] that a window of limited room keeps, so that they reach over all of it.
struct KeptReadings {
  let span: Int64
  let capacity: Int
  private(set) var kept: [Sample] = []
  /// Of the readings that were left out, the newest.
  private var missing: Int64?

  init(span: Int64, capacity: Int) {
    self.span = span
    self.capacity = capacity
  }

  /// Whether a reading of the span is missing.
  var isThinned: Bool { missing != nil }

  var values: [Double] { kept.map(\.value).sorted() }

  mutating func add(_ sample: Sample) {
    kept.removeAll { sample.time - $0.time >= span }
    if let last = missing, sample.time - last >= span { missing = nil }
    kept.append(sample)
    guard isThinned || kept.count > capacity else { return }
    // At least so far apart that `capacity` of these distances are the span or more.
    var few: [Sample] = []
    for other in kept {
      if let last = few.last, Double(other.time - last.time) < Double(span) / Double(capacity) {
        missing = max(missing ?? other.time, other.time)
      } else {
        few.append(other)
      }
    }
    kept = few
  }
}

struct BackgroundExcessDefinition: Definition {
  let parameters: BackgroundExcess.Parameters
  private var window: KeptReadings
  private var last: Int64?
  private var limits: BetweenLimits
  /// The first reading after the newest long silence; of those that come in an alarm again only what emptied the window counts.
  private var begun: Int64 = 0
  /// What was the background before one that came in an alarm.
  private var former: Double?

  init(_ parameters: BackgroundExcess.Parameters) {
    self.parameters = parameters
    window = KeptReadings(span: parameters.span, capacity: parameters.capacity)
    limits = BetweenLimits(parameters.limit, parameters.restore)
  }

  private func background(_ values: [Double]) -> Double {
    values[Int(parameters.share * Double(values.count - 1))]
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    if last.map({ reading.time - $0 > parameters.span / 2 }) ?? true {
      let isOver = last.map { reading.time - $0 >= parameters.span } ?? true
      if isOver || former == nil || !limits.isBeyond { begun = reading.time }
      former = limits.isBeyond ? former ?? background(window.values) : nil
    }
    last = reading.time
    window.add(Sample(time: reading.time, value: reading.value))
    let values = window.values
    guard window.isThinned || values.count >= parameters.minimumCount else { return .unknown }
    let isWhole =
      Double(reading.time - begun) >= (1 - parameters.share) * Double(parameters.span)
    if isWhole { former = nil }
    let truth = limits.judge(reading.value - (former ?? background(values)))
    return truth == .yes || isWhole || former != nil ? truth : .unknown
  }
}

struct GapAtRiseDefinition: Definition {
  let parameters: GapAtRise.Parameters
  private var past: [UsableReading] = []

  init(_ parameters: GapAtRise.Parameters) { self.parameters = parameters }

  /// Whether the line of least squares through the readings from `start` on goes up.
  private func rises(_ start: Int) -> Bool {
    let readings = past[start...]
    guard readings.allSatisfy({ abs($0.value) <= WindowLimits.largestSummable }) else {
      return false
    }
    let count = Double(readings.count)
    let time = readings.reduce(0) { $0 + Double($1.time - past[start].time) } / count
    let value = readings.reduce(0) { $0 + ($1.value - past[start].value) } / count
    return readings.reduce(0) {
      $0 + (Double($1.time - past[start].time) - time) * ($1.value - past[start].value - value)
    } > 0
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    defer { past.append(reading) }
    guard let last = past.last, reading.time - last.time > parameters.gap else { return .no }
    // The rise is that since the silence before.
    var start = past.count - 1
    let first = max(0, past.count - parameters.capacity)
    while start > first, last.time - past[start - 1].time < parameters.span,
      past[start].time - past[start - 1].time <= parameters.gap
    {
      start -= 1
    }
    let near = parameters.share * parameters.limit
    let isBelow = reading.value < near && reading.value < last.value
    return Truth(last.value > near && isBelow && past.count - start >= 3 && rises(start))
  }
}

/// A limit on a statistic of the readings of (t − span, t], or of the last `size` at every reading or `size` at a time.
struct WindowDefinition: Definition {
  let parameters: WindowedStatistic.Parameters
  private let limit: LimitDefinition
  private var past: [UsableReading] = []
  /// What was said last: between two windows nothing is.
  private var said = Truth.unknown

  init(_ parameters: WindowedStatistic.Parameters) {
    self.parameters = parameters
    limit = LimitDefinition(limit: parameters.limit)
  }

  mutating func miss() { said = .unknown }
  mutating func fallSilent() { said = .unknown }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    past.append(reading)
    var values: [Double] = []
    switch parameters.shape {
    case .sliding(let span):
      for other in past.reversed() {
        if reading.time - other.time >= span { break }
        values.append(other.value)
      }
    case .count(let size, let isTumbling):
      let isDue = isTumbling ? past.count % size == 0 : past.count >= size
      guard isDue else { return said }
      values = past.suffix(size).map(\.value)
    case .tumbling, .hopping, .session, .state: return .unknown
    }
    said =
      values.count < parameters.minimumCount
      ? .unknown
      : statistic(values).map {
        limit.judge(UsableReading(time: reading.time, value: $0, isTie: false), stands: stands)
      } ?? .unknown
    return said
  }

  private func statistic(_ values: [Double]) -> Double? {
    switch parameters.statistic {
    case .mean:
      return values.allSatisfy { abs($0) <= WindowLimits.largestSummable }
        ? values.reduce(0) { $0 + $1 / Double(values.count) } : nil
    case .median: return middle(values.sorted())
    case .maximum: return values.max()
    case .range: return values.max().flatMap { most in values.min().map { most - $0 } }
    case .count, .sum, .variance, .minimum, .first, .last, .slope, .medianAbsoluteDeviation:
      return nil
    }
  }
}
