import AlarmEngine
import Telemetry

// Each detector over one channel as its documentation says it, from all readings that were handed in: no running sums, no
// queues, no tables. Here limits on values and changes, and what stands still; `ChartDefinitions.swift` has those that learn what
// is usual, `WindowDefinitions.swift` those over the readings of a window.

struct LimitDefinition: Definition {
  let limit: LimitParameters

  func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    let (value, set, restore) = (reading.value, limit.setpoint, limit.restore)
    switch limit.comparison {
    case .atOrAbove: return value >= set ? .yes : value < restore ? .no : .unknown
    case .above: return value > set ? .yes : value < restore ? .no : .unknown
    case .atOrBelow: return value <= set ? .yes : value > restore ? .no : .unknown
    case .below: return value < set ? .yes : value > restore ? .no : .unknown
    }
  }
}

struct RangeDefinition: Definition {
  let range: ClosedRange<Double>

  func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    Truth(!range.contains(reading.value))
  }
}

struct SuccessiveChangeDefinition: Definition {
  let perSecond: Double
  /// First reading of the newest moment.
  private var before: UsableReading?
  private var said = Truth.unknown

  init(perSecond: Double) { self.perSecond = perSecond }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    // Within a moment there is no rate.
    guard !reading.isTie else { return said }
    let former = before
    before = reading
    said = .unknown
    guard let former else { return said }
    let seconds = Double(reading.time - former.time) / 1000
    guard seconds < 24.8 * 86_400 else { return said }
    said = Truth(abs(reading.value - former.value) / seconds > perSecond)
    return said
  }

  mutating func miss() {
    before = nil
    said = .unknown
  }
}

/// True beyond the limit, and until below the restore value; in between what it was.
struct BetweenLimits {
  let limit: Double
  let restore: Double
  private(set) var isBeyond = false

  init(_ limit: Double, _ restore: Double) {
    self.limit = limit
    self.restore = restore
  }

  mutating func judge(_ statistic: Double) -> Truth {
    if statistic > limit { isBeyond = true } else if statistic < restore { isBeyond = false }
    return Truth(isBeyond)
  }
}

func excess(_ amount: Double, _ side: DeviationSide) -> Double {
  switch side {
  case .high: amount
  case .low: -amount
  case .both: abs(amount)
  }
}

struct RateOfChangeDefinition: Definition {
  let parameters: RateOfChange.Parameters
  private var past: [UsableReading] = []
  private var limits: BetweenLimits

  init(_ parameters: RateOfChange.Parameters) {
    self.parameters = parameters
    limits = BetweenLimits(parameters.limit, parameters.restore)
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    past.append(reading)
    var oldest = past.count - 1
    if parameters.span == 0 {
      // The reading before is that of another moment.
      while oldest > 0, past[oldest].time == reading.time { oldest -= 1 }
    } else {
      while oldest > 0, reading.time - past[oldest - 1].time <= parameters.span { oldest -= 1 }
    }
    let elapsed = Double(reading.time - past[oldest].time)
    guard elapsed > 0, elapsed >= parameters.coverage * Double(parameters.span) else {
      return .unknown
    }
    let rate = (reading.value - past[oldest].value) / (elapsed / 1000)
    return limits.judge(excess(rate, parameters.side))
  }
}

struct StuckDefinition: Definition {
  let parameters: StuckDetector.Parameters
  private var past: [UsableReading] = []
  /// Range of the values since it is not known whether they have stood still, with the last before the silence that has left
  /// that open.
  private var doubted: Doubted? = Doubted()

  private struct Doubted {
    var low = Double.infinity
    var high = -Double.infinity

    mutating func take(_ value: Double) {
      low = min(low, value)
      high = max(high, value)
    }
  }

  init(_ parameters: StuckDetector.Parameters) { self.parameters = parameters }

  private func isExempt(_ reading: UsableReading) -> Bool {
    parameters.exempt?.contains(reading.value) == true
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    if let last = past.last, reading.time - last.time > parameters.longestGap, doubted == nil {
      doubted = Doubted()
      if !isExempt(last) { doubted?.take(last.value) }
    }
    past.append(reading)
    doubted?.take(reading.value)
    let hasMoved = doubted.map { $0.high - $0.low > parameters.tolerance } ?? true
    if hasMoved || isExempt(reading) || isStuck { doubted = nil }
    if isStuck { return .yes }
    return doubted == nil ? .no : .unknown
  }

  /// Whether an unbroken stretch that ends with the newest reading has lasted.
  private var isStuck: Bool {
    guard let newest = past.last else { return false }
    var (low, high) = (newest.value, newest.value)
    for start in past.indices.reversed() {
      let reading = past[start]
      low = min(low, reading.value)
      high = max(high, reading.value)
      let isBroken =
        start + 1 < past.count && past[start + 1].time - reading.time > parameters.longestGap
      if isExempt(reading) || isBroken || high - low > parameters.tolerance { return false }
      let isLong = newest.time - reading.time >= parameters.duration
      if isLong, past.count - start >= parameters.minimumCount { return true }
    }
    return false
  }
}

struct SetPointDefinition: Definition {
  let parameters: Deviation.Parameters
  private var limits: BetweenLimits

  init(_ parameters: Deviation.Parameters) {
    self.parameters = parameters
    limits = BetweenLimits(parameters.limit, parameters.restore)
  }

  mutating func judge(_ reading: UsableReading, stands: Bool) -> Truth {
    var distance = reading.value - parameters.offset
    if parameters.isRelative, distance != 0 { distance /= abs(parameters.offset) }
    return limits.judge(excess(distance, parameters.side))
  }
}
