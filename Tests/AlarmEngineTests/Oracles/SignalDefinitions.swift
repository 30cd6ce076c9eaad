import AlarmEngine
import Telemetry

/// A detector over several channels as its documentation defines it, looked up in all that has been.
protocol SignalDefinition {
  /// A channel has a new value, or none any more; whether the condition holds then, nil where nothing is judged.
  mutating func inform(_ channel: Int, at time: Int64, _ value: Double?) -> Truth?
  /// When the condition may change without a reading.
  var nextMoment: Int64? { get }
  /// Whether the condition holds at such a moment, after its readings.
  mutating func look(at time: Int64) -> Truth
}

extension SignalDefinition {
  var nextMoment: Int64? { nil }
  mutating func look(at time: Int64) -> Truth { .unknown }
}

/// A rule over several channels, of which the first is its own, beside the definition of its detector.
struct SignalRule {
  var name: String
  var detector: Detector
  var definition: any SignalDefinition
}

/// What each rule does by its definition; `staleAfter` is that of every channel.
func definedChanges(
  _ rules: [SignalRule],
  delays: [(on: Int64, off: Int64)],
  channels: Int,
  staleAfter: Int64?,
  _ readings: [StreamReading],
  until end: Int64
) -> [[AlarmChange]] {
  var definitions = rules.map(\.definition)
  var alarms = delays.map { AlarmOracle(onDelay: $0.on, offDelay: $0.off) }
  var newest = [Int64?](repeating: nil, count: channels)
  var isSilent = [Bool](repeating: false, count: channels)
  func inform(_ channel: Int, at time: Int64, _ value: Double?) {
    for rule in definitions.indices {
      guard let truth = definitions[rule].inform(channel, at: time, value) else { continue }
      alarms[rule].say(truth, at: time)
    }
  }
  /// Lets everything happen that happens without a reading, up to just before `time`.
  func pass(before time: Int64) {
    while true {
      var first = (time: time, rule: -1, channel: -1)
      for rule in definitions.indices {
        if let moment = definitions[rule].nextMoment, moment < first.time {
          first = (moment, rule, -1)
        }
      }
      if let staleAfter {
        for channel in 0..<channels where !isSilent[channel] {
          guard let last = newest[channel], last + staleAfter < first.time else { continue }
          first = (last + staleAfter, -1, channel)
        }
      }
      if first.rule >= 0 {
        let truth = definitions[first.rule].look(at: first.time)
        alarms[first.rule].say(truth, at: first.time)
      } else if first.channel >= 0 {
        isSilent[first.channel] = true
        // A delay that ends with the staleness has run its course.
        for rule in alarms.indices { alarms[rule].pass(before: first.time + 1) }
        inform(first.channel, at: first.time, nil)
      } else {
        break
      }
    }
    for rule in alarms.indices { alarms[rule].pass(before: time) }
  }
  for item in readings where !item.isIgnored {
    pass(before: item.time)
    inform(item.channel, at: item.time, item.usable)
    newest[item.channel] = item.time
    isSilent[item.channel] = false
  }
  pass(before: end)
  return alarms.map(\.changes)
}

/// Distance of the first channel's value from what the second's leads to expect.
struct PeerDefinition: SignalDefinition {
  let parameters: Deviation.Parameters
  private var reference: (time: Int64, value: Double)?
  private var limits: BetweenLimits

  init(_ parameters: Deviation.Parameters) {
    self.parameters = parameters
    limits = BetweenLimits(parameters.limit, parameters.restore)
  }

  mutating func inform(_ channel: Int, at time: Int64, _ value: Double?) -> Truth? {
    if channel == 1 { reference = value.map { (time, $0) } }
    guard channel == 0 else { return nil }
    guard let value, let reference, time - reference.time <= parameters.longestAge else {
      return .unknown
    }
    let expected = parameters.gain * reference.value + parameters.offset
    var distance = value - expected
    if parameters.isRelative, distance != 0 { distance /= abs(expected) }
    return limits.judge(excess(distance, parameters.side))
  }
}

/// A condition over the newest values; with a duration, true once it has been so for that long without a break.
struct ConditionDefinition: SignalDefinition {
  let duration: Int64?
  let condition: ([Double?]) -> Truth
  private var values: [Double?]
  private var said: [(time: Int64, truth: Truth)] = []

  init(channels: Int, lasting duration: Int64? = nil, _ condition: @escaping ([Double?]) -> Truth) {
    self.duration = duration
    self.condition = condition
    values = [Double?](repeating: nil, count: channels)
  }

  /// The first of what was said since when nothing else was.
  private var first: Int {
    var first = said.count - 1
    while first > 0, said[first - 1].truth == .yes { first -= 1 }
    return first
  }

  private var start: Int64 { said[first].time }

  mutating func inform(_ channel: Int, at time: Int64, _ value: Double?) -> Truth? {
    guard channel < values.count else { return nil }
    values[channel] = value
    return look(at: time)
  }

  var nextMoment: Int64? {
    guard let duration, let last = said.last, last.truth == .yes else { return nil }
    return start + duration > last.time ? start + duration : nil
  }

  mutating func look(at time: Int64) -> Truth {
    let truth = condition(values)
    said.append((time, truth))
    guard let duration, truth == .yes, time - start < duration else { return truth }
    // How long it had been so before nobody knows, unless it was known not to be.
    return first > 0 && said[first - 1].truth == .no ? .no : .unknown
  }
}

/// Whether the mean of the first channel's readings of (t − span, t] is above the second's value; asked whenever either says
/// something.
struct MeanDefinition: SignalDefinition {
  let span: Int64
  private var past: [Sample] = []
  private var isKnown = false
  private var other: Double?

  init(span: Int64) { self.span = span }

  mutating func inform(_ channel: Int, at time: Int64, _ value: Double?) -> Truth? {
    switch channel {
    case 0:
      isKnown = value != nil
      if let value { past.append(Sample(time: time, value: value)) }
    case 1: other = value
    default: return nil
    }
    let newest = past.reversed().prefix { time - $0.time < span }.map(\.value)
    guard isKnown, !newest.isEmpty, let other else { return .unknown }
    // (Means of eighths: equal ones are the same number.)
    return Truth(newest.reduce(0, +) / Double(newest.count) > other)
  }
}

/// Cause in the first channel, response in the second.
struct InterlockDefinition: SignalDefinition {
  let parameters: InterlockVerification.Parameters
  let cause: (Double) -> Bool
  let response: (Double) -> Bool
  private var values: [Double?] = [nil, nil]
  private var said: [(time: Int64, cause: Truth, response: Truth)] = []
  private var looked = Int64.min

  init(
    _ parameters: InterlockVerification.Parameters,
    cause: @escaping (Double) -> Bool,
    response: @escaping (Double) -> Bool
  ) {
    self.parameters = parameters
    self.cause = cause
    self.response = response
  }

  mutating func inform(_ channel: Int, at time: Int64, _ value: Double?) -> Truth? {
    guard channel < 2 else { return nil }
    values[channel] = value
    said.append(
      (
        time, values[0].map { Truth(cause($0)) } ?? .unknown,
        values[1].map { Truth(response($0)) } ?? .unknown
      )
    )
    return judge(isPast: { $0 < time })
  }

  var nextMoment: Int64? {
    waits.flatMap { $0.end > looked ? $0.end : nil }
  }

  mutating func look(at time: Int64) -> Truth {
    looked = time
    return judge(isPast: { $0 <= time })
  }

  /// Until when something is waited for that has not come, and what its not coming is; nil where all is well.
  private var waits: (end: Int64, failure: Truth)? {
    // What is not known of the cause neither starts nor ends anything.
    guard var first = said.lastIndex(where: { $0.cause != .unknown }) else { return nil }
    let isThere = said[first].cause
    var place = first
    while place >= 0, said[place].cause == isThere || said[place].cause == .unknown {
      if said[place].cause == isThere { first = place }
      place -= 1
    }
    if isThere == .yes {
      guard let seen = said[first...].lastIndex(where: { $0.response == .yes }) else {
        return (said[first].time + parameters.deadline, .no)
      }
      // Lost again; not to be known is not to be lost.
      return said[seen...].first { $0.response == .no }.map {
        ($0.time + parameters.deadline, .no)
      }
    }
    guard let restore = parameters.restoreDeadline, place >= 0,
      said[first...].allSatisfy({ $0.response != .no })
    else { return nil }
    return (said[first].time + restore, .yes)
  }

  /// True when since the end of the waiting the response has once been known to be what it must not; unknown when
  /// nothing was known of it.
  private func judge(isPast: (Int64) -> Bool) -> Truth {
    guard let waits, isPast(waits.end) else { return .no }
    let atEnd = said.lastIndex { $0.time <= waits.end } ?? 0
    return said[atEnd...].contains { $0.response == waits.failure } ? .yes : .unknown
  }
}

/// Regularised squared distance of three signals, smoothed and with one lag, by the inverse of the covariance of the rows
/// that the model was learnt from.
struct DistanceDefinition: SignalDefinition {
  static let width = 3
  static let smoothing = 0.4
  static let ridge = 0.02

  let limit: Double
  private let mean: [Double]
  private let deviation: [Double]
  private var inverse: [[Double]] = []
  private var fresh = [Double?](repeating: nil, count: width)
  /// Standardised samples since the last with a hole.
  private var samples: [[Double]] = []

  init(rows: [[Double]], limit: Double) {
    self.limit = limit
    let count = Double(rows.count)
    let mean = (0..<Self.width).map { c in rows.reduce(0) { $0 + $1[c] } / count }
    deviation = (0..<Self.width).map { c in
      (rows.reduce(0) { $0 + ($1[c] - mean[c]) * ($1[c] - mean[c]) } / (count - 1)).squareRoot()
    }
    self.mean = mean
    var vectors: [[Double]] = []
    for row in rows {
      samples.append(standardised(row))
      vectors.append(vector)
    }
    samples = []
    let size = 2 * Self.width
    var covariance = (0..<size).map { i in
      (0..<size).map { j in vectors.reduce(0) { $0 + $1[i] * $1[j] } / (count - 1) }
    }
    let trace = (0..<size).reduce(0) { $0 + covariance[$1][$1] }
    for i in 0..<size { covariance[i][i] += Self.ridge * trace / Double(size) }
    inverse = (0..<size).map { i in
      solve(covariance, (0..<size).map { $0 == i ? 1 : 0 })
    }
  }

  private func standardised(_ row: [Double]) -> [Double] {
    (0..<Self.width).map { (row[$0] - mean[$0]) / deviation[$0] }
  }

  /// The newest sample smoothed, and the one before it.
  private var vector: [Double] {
    func smoothed(_ last: Int) -> [Double] {
      var sum = [Double](repeating: 0, count: Self.width)
      var weight = Self.smoothing
      for sample in samples[...last].suffix(80).reversed() {
        for signal in sum.indices { sum[signal] += weight * sample[signal] }
        weight *= 1 - Self.smoothing
      }
      return sum
    }
    let last = samples.count - 1
    return smoothed(last) + smoothed(max(0, last - 1))
  }

  mutating func inform(_ channel: Int, at time: Int64, _ value: Double?) -> Truth? {
    fresh[channel] = value
    guard value != nil else {
      samples = []
      return .unknown
    }
    let row = fresh.compactMap(\.self)
    guard row.count == Self.width else { return nil }
    fresh = [Double?](repeating: nil, count: Self.width)
    samples.append(standardised(row))
    let vector = vector
    var distance = 0.0
    for i in vector.indices {
      for j in vector.indices { distance += vector[i] * inverse[i][j] * vector[j] }
    }
    return Truth(distance > limit)
  }
}

/// A count over the graded limits of each channel, four of a grade making one of the next and so on, by trading in one
/// group after the other.
struct CascadeDefinition {
  let cascade: CountCascade
  let grade: AlarmPriority
  let members: [LimitParameters]
  let grades: [AlarmPriority]

  func isReached(_ stands: [[Bool]]) -> Truth {
    var counts = [0, 0, 0, 0]
    for point in stands {
      let highest = zip(grades, point).filter(\.1).map(\.0).max()
      if let highest { counts[Int(highest.rawValue) - 1] += 1 }
    }
    let sizes = [cascade.bluePerYellow, cascade.yellowPerOrange, cascade.orangePerRed]
    for (place, size) in sizes.enumerated() {
      while counts[place] >= size {
        counts[place] -= size
        counts[place + 1] += 1
      }
    }
    return Truth(counts[(Int(grade.rawValue) - 1)...].contains { $0 > 0 })
  }

  /// What the limits do, each channel's after the other's, and last the cascade.
  func changes(
    delays: [(on: Int64, off: Int64)],
    channels: Int,
    _ readings: [StreamReading],
    until end: Int64
  ) -> [[AlarmChange]] {
    let definitions = members.map(LimitDefinition.init(limit:))
    var alarms = delays.map { AlarmOracle(onDelay: $0.on, offDelay: $0.off) }
    let whole = alarms.count - 1
    var stands = [[Bool]](
      repeating: [Bool](repeating: false, count: members.count),
      count: channels
    )
    var told = [Int](repeating: 0, count: whole)
    func tell() {
      var news: [(time: Int64, rule: Int)] = []
      for rule in 0..<whole where alarms[rule].changes.count > told[rule] {
        news += alarms[rule].changes[told[rule]...].map { ($0.time, rule) }
        told[rule] = alarms[rule].changes.count
      }
      for (time, rule) in news.sorted(by: { $0 < $1 }) {
        stands[rule / members.count][rule % members.count].toggle()
        alarms[whole].say(isReached(stands), at: time)
      }
    }
    for item in readings where !item.isIgnored {
      for rule in 0..<whole { alarms[rule].pass(before: item.time) }
      tell()
      for (place, definition) in definitions.enumerated() {
        let rule = item.channel * members.count + place
        let truth = item.usable.map {
          definition.judge(
            UsableReading(time: item.time, value: $0, isTie: false),
            stands: alarms[rule].stands
          )
        }
        alarms[rule].say(truth ?? .unknown, at: item.time)
      }
      tell()
    }
    for rule in 0..<whole { alarms[rule].pass(before: end) }
    tell()
    alarms[whole].pass(before: end)
    return alarms.map(\.changes)
  }
}
