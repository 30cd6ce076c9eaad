import AlarmEngine
import Telemetry

/// A raise or a return, by whose reading.
struct ClockedStep: Hashable {
  var rule: Int
  var isRaised: Bool
  var onset: Int64
  var time: Int64
  var received: Int64
  var sequence: UInt64
  var value: Double
}

extension ClockedStep {
  /// Nil for steps that are of people.
  init?(_ step: Transition) {
    guard step.kind == .raised || step.kind == .returned else { return nil }
    self.init(
      rule: Int(step.rule.rawValue),
      isRaised: step.kind == .raised,
      onset: step.onset.milliseconds,
      time: step.time.milliseconds,
      received: step.received.milliseconds,
      sequence: step.sequence,
      value: step.value
    )
  }
}

/// The names of a rule's occurrences, of which nobody acknowledges any.
struct OccurrenceNames {
  private(set) var newest: Int64?
  private var waiting: Set<Int64> = []

  /// Names an occurrence that began at `start`: as no other that is known.
  mutating func name(from start: Int64) -> Int64 {
    if let newest { waiting.insert(newest) }
    if waiting.count > Engine.owedPerRule, let oldest = waiting.min() { waiting.remove(oldest) }
    var name = start
    while name == newest || waiting.contains(name) { name += 1 }
    newest = name
    return name
  }
}

/// A random device, the definition of its clock, and what the rules on its clock and its channels do by theirs.
struct ClockedDevice {
  /// Delays of one rule, milliseconds.
  struct Delays {
    var on: Int64 = 0
    var off: Int64 = 0
  }

  /// Each channel has rules on these.
  static let limits = [0.5, 1.5, 2.5]

  var device: RandomDevice
  private(set) var definition: ClockDefinition
  /// Late readings and duplicates so far.
  private(set) var late: UInt64 = 0
  private(set) var duplicates: UInt64 = 0
  /// How often its time base has changed while a delay ran.
  private(set) var spanned = 0
  /// Row of the rule on its clock; those on its channels follow.
  private let firstRule: Int
  /// The alarms of its rules; the clock's has no delay and is told by the definition.
  private var alarms: [AlarmOracle]
  private var names: [OccurrenceNames]
  /// The newest value of each channel that was judged.
  private var values: [Double]

  /// Makes a device whose limits have these delays, channel by channel.
  init(_ device: RandomDevice, firstRule: Int, delays: [Delays]) {
    self.device = device
    self.firstRule = firstRule
    definition = ClockDefinition(
      tolerance: device.tolerance,
      allowance: device.allowance,
      channels: device.channels
    )
    alarms = ([Delays()] + delays).map { AlarmOracle(onDelay: $0.on, offDelay: $0.off) }
    names = [OccurrenceNames](repeating: OccurrenceNames(), count: alarms.count)
    values = [Double](repeating: .nan, count: device.channels.count)
  }

  /// What a reading makes the rules do.
  mutating func take(
    _ reading: Reading,
    before rest: [Reading],
    sequence: UInt64,
    received: Int64,
    isBacklog: Bool
  ) -> [ClockedStep] {
    let (told, based) = (definition.faults.count, definition.bases.count)
    let decision = definition.take(
      reading,
      before: rest,
      sequence: sequence,
      received: received,
      isBacklog: isBacklog
    )
    var steps: [ClockedStep] = []
    for judgement in decision.released { steps += judge(judgement, received) }
    for base in definition.bases[based...] {
      if firstEnd(among: alarms.indices) != nil { spanned += 1 }
      for rule in alarms.indices { alarms[rule].move(by: base.shift) }
    }
    for fault in definition.faults[told...] {
      if fault.isFault { _ = names[0].name(from: fault.time) }
      steps.append(
        ClockedStep(
          rule: firstRule,
          isRaised: fault.isFault,
          onset: names[0].newest ?? 0,
          time: fault.time,
          received: received,
          sequence: fault.isFault ? sequence : 0,
          value: fault.ahead
        )
      )
    }
    if let own = decision.own { steps += judge(own, received) }
    return steps
  }

  /// Lets engine time go on: what is held back is judged and delays run out, each when engine time has passed its own time by
  /// the device's offset, of one time the readings first.
  ///
  /// What a backlog has held up is overdue: it is told as of `now`.
  mutating func pass(from now: Int64, to target: Int64) -> [ClockedStep] {
    var steps: [ClockedStep] = []
    var offset: Int64?
    while true {
      let (reading, delay) = (definition.earliestHeld, firstEnd(among: alarms.indices))
      guard let time = [reading, delay?.end].compactMap({ $0 }).min() else { return steps }
      // (It costs something to look up, and stays what it is until the next message.)
      let known = offset ?? definition.offset
      offset = known
      let received = max(time + known, now)
      guard received < target else { return steps }
      if time == reading, let judgement = definition.release() {
        steps += judge(judgement, received)
      } else if let delay {
        steps.append(complete(delay.rule, received))
      }
    }
  }

  private mutating func judge(
    _ judgement: ClockDefinition.Judgement,
    _ received: Int64
  ) -> [ClockedStep] {
    switch judgement.fate {
    case .historical: return []
    case .late:
      late += 1
      return []
    case .duplicate:
      duplicates += 1
      return []
    case .judged(let time): return follow(judgement.arrival, at: time, received)
    }
  }

  /// What a reading that is judged makes the rules of its channel do, after the delays that end before it.
  private mutating func follow(
    _ arrival: ClockDefinition.Arrival,
    at time: Int64,
    _ received: Int64
  ) -> [ClockedStep] {
    var steps: [ClockedStep] = []
    let channel = Int(arrival.channel - device.channels.lowerBound)
    let first = 1 + Self.limits.count * channel
    let rules = first..<first + Self.limits.count
    while let delay = firstEnd(among: rules), delay.end < time {
      steps.append(complete(delay.rule, received))
    }
    if let value = arrival.usable { values[channel] = value }
    for (limit, rule) in zip(Self.limits, rules) {
      let changes = alarms[rule].changes.count
      let truth: Truth = arrival.usable.map { $0 >= limit ? .yes : .no } ?? .unknown
      alarms[rule].say(truth, at: time, sequence: arrival.sequence)
      if alarms[rule].changes.count > changes {
        steps.append(newestStep(of: rule, arrival.sequence, received))
      }
    }
    return steps
  }

  /// The delay that ends first, of equal ones that of the first rule.
  private func firstEnd(among rules: Range<Int>) -> (rule: Int, end: Int64)? {
    var first: (rule: Int, end: Int64)?
    for rule in rules {
      guard let end = alarms[rule].running?.end, end < first?.end ?? .max else { continue }
      first = (rule, end)
    }
    return first
  }

  /// Lets the delay that runs on a rule end.
  private mutating func complete(_ rule: Int, _ received: Int64) -> ClockedStep {
    guard let delay = alarms[rule].running else { preconditionFailure("no delay runs") }
    alarms[rule].pass(before: delay.end + 1)
    return newestStep(of: rule, delay.since.sequence, received)
  }

  private mutating func newestStep(
    of rule: Int,
    _ sequence: UInt64,
    _ received: Int64
  ) -> ClockedStep {
    let change = alarms[rule].changes[alarms[rule].changes.count - 1]
    if change.isRaised { _ = names[rule].name(from: change.onset) }
    return ClockedStep(
      rule: firstRule + rule,
      isRaised: change.isRaised,
      onset: names[rule].newest ?? 0,
      time: change.time,
      received: received,
      sequence: sequence,
      value: values[(rule - 1) / Self.limits.count]
    )
  }
}
