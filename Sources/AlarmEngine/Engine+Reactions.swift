import Telemetry

extension Engine {
  // MARK: Suppression by design

  /// Hands a suppressing expression the newest value of one of its signals.
  mutating func informSuppressor(
    _ dependent: Dependent,
    at time: Int64,
    _ value: Double?,
    _ sequence: UInt64,
    received: Int64,
    _ out: inout [Transition]
  ) {
    let slot = dependent.slot
    var passed = Int64.min
    while let due = suppressorDeadline(slot), due < time, due > passed {
      passed = due
      advanceSuppressor(slot, to: due, received: received, &out)
    }
    let place = places[Int(parameters.row(Int(slot)).it.suppressor)]
    let former = suppressorDeadline(slot)
    let truth = bank.inform(
      place,
      signal: Int(dependent.signal),
      time: time + bankShift(slot),
      value: value
    )
    let moment = Moment(time: time, received: received, sequence: sequence, value: value ?? .nan)
    suppress(slot, truth ?? .unknown, moment, &out)
    armSuppressor(slot, after: time, former: former)
  }

  /// Lets a `for` of a suppressing expression run out.
  mutating func advanceSuppressor(
    _ slot: UInt32,
    to time: Int64,
    received: Int64,
    _ out: inout [Transition]
  ) {
    let number = Int(parameters.row(Int(slot)).it.suppressor)
    while let silence = firstSilence(number, slot, before: time) {
      let (signal, time) = (silence.signal, silence.time + bankShift(slot))
      _ = bank.inform(places[number], signal: signal, time: time, value: nil)
    }
    let truth = bank.advance(places[number], to: time + bankShift(slot)) ?? .unknown
    let channel = channels.row(Int(parameters.row(Int(slot)).it.channel))
    let moment = Moment(
      time: time,
      received: received,
      sequence: channel.it.sequence,
      value: .nan
    )
    suppress(slot, truth, moment, &out)
    armSuppressor(slot, after: time)
  }

  /// When a suppressing expression wants to be looked at, by event time; nil when it does not.
  func suppressorDeadline(_ slot: UInt32) -> Int64? {
    let suppressor = parameters.row(Int(slot)).it.suppressor
    guard suppressor != .max else { return nil }
    return bank.nextDeadline(places[Int(suppressor)]).map { $0 - bankShift(slot) }
  }

  /// Waits for a suppressing expression's next deadline; `former` is what was waited for before, nil for nothing.
  mutating func armSuppressor(_ slot: UInt32, after time: Int64, former: Int64? = nil) {
    guard let due = suppressorDeadline(slot), due > time else { return }
    arm(.suppressor, slot, at: due, isSooner: former.map { due < $0 } ?? true)
  }

  /// What is not known to be true suppresses nothing: an alarm too many is better than one too few.
  mutating func suppress(
    _ slot: UInt32,
    _ truth: Truth,
    _ moment: Moment,
    _ out: inout [Transition]
  ) {
    let cycle = rules.row(Int(slot)).it.lifeCycle
    guard cycle.isSuppressed != (truth == .yes) else { return }
    let isLatching = parameters.row(Int(slot)).it.isLatching
    take(
      cycle.step(truth == .yes ? .suppress : .unsuppress, isLatching: isLatching),
      slot,
      moment,
      &out
    )
  }

  // MARK: Escalation

  /// A standing alarm becomes more urgent.
  mutating func escalate(_ slot: UInt32, _ moment: Moment, _ out: inout [Transition]) {
    escalations[slot] = nil
    escalated.insert(slot)
    let record = rules.row(Int(slot))
    let parameters = parameters.row(Int(slot))
    guard record.it.priority != parameters.it.escalatedPriority else { return }
    record.it.priority = parameters.it.escalatedPriority
    take(
      record.it.lifeCycle.step(.priorityRose, isLatching: parameters.it.isLatching),
      slot,
      moment,
      &out
    )
  }

  // MARK: Cascades

  /// Lets the cascades that count a rule know that its condition has changed.
  mutating func informCascades(of slot: UInt32, _ moment: Moment, _ out: inout [Transition]) {
    guard !followers.isEmpty, let cascades = followers[slot] else { return }
    let device = links[Int(parameters.row(Int(slot)).it.channel)].device
    for cascade in cascades {
      var step = moment
      step.time = ruleTime(of: cascade, at: moment.time, ofDevice: device)
      // A message may hold both ends of what has lasted longer than a delay.
      completeDelay(of: cascade, before: step.time, received: step.received, &out)
      judgeCascade(cascade, step, &out)
    }
  }

  /// Counts the points of a cascade as they stand.
  mutating func judgeCascade(_ slot: UInt32, _ moment: Moment, _ out: inout [Transition]) {
    let cascade = cascades[Int(parameters.row(Int(slot)).it.number)]
    var counts = CountCascade.Counts()
    for point in cascade.points {
      var grade: AlarmPriority?
      for member in point where rules.row(Int(member.slot)).it.isActive {
        grade = max(grade ?? member.grade, member.grade)
      }
      if let grade { counts.change(grade, by: 1) }
    }
    let isReached = cascade.cascade.grade(of: counts).map { $0 >= cascade.grade } ?? false
    var moment = moment
    // Usual lags change a little; a cascade's own steps are in order all the same.
    moment.time = max(moment.time, newestStepTime(of: slot))
    // Two occurrences of one onset would be one.
    let record = rules.row(Int(slot))
    if isReached, record.it.phase == .idle, record.it.onset >= moment.time {
      moment.time = record.it.onset + 1
    }
    moment.value = .nan
    follow(slot, Verdict(on: isReached, off: !isReached), moment, &out)
  }
}

/// A cascade with its rules as engine rows.
struct Cascade: Sendable {
  struct Member: Sendable {
    var slot: UInt32
    var grade: AlarmPriority
  }

  var cascade: CountCascade
  var grade: AlarmPriority
  var points: [[Member]]
}

extension RuleParameters {
  /// The figures that a step of the rule's condition depends on, as one number.
  var figures: UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    let words = [
      UInt64(kind.rawValue), UInt64(comparison.rawValue), low.bitPattern, high.bitPattern,
      UInt64(bitPattern: onDelay), UInt64(bitPattern: offDelay), UInt64(bitPattern: staleAfter),
    ]
    for word in words { hash = (hash ^ word) &* 0x0000_0100_0000_01b3 }
    return hash
  }
}
