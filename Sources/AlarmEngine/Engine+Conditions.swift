import Telemetry

/// When, by whose input and on what value a step is taken.
struct Moment {
  /// Event time.
  var time: Int64
  /// Engine time.
  var received: Int64
  /// Journal sequence of the deciding input.
  var sequence: UInt64
  /// The deciding value; NaN for none.
  var value: Double
  /// The limit that a detector of the bank named; NaN for those whose rule has it.
  var limit = Double.nan
}

extension Verdict {
  /// What a detector's finding means for a rule: the unknown neither begins nor ends a condition.
  init(_ truth: Truth) {
    self.init(on: truth == .yes, off: truth == .no)
  }

  /// What a reading's status means for a rule on what the source reports.
  init(_ status: SourceStatus) {
    self.init(on: status.reportsTrouble == true, off: status.reportsTrouble == false)
  }
}

extension Engine {
  /// Carries a detector's verdict through on- and off-delay to the alarm.
  mutating func follow(
    _ slot: UInt32,
    _ verdict: Verdict,
    _ moment: Moment,
    _ out: inout [Transition]
  ) {
    let record = rules.row(Int(slot))
    switch record.it.phase {
    case .idle:
      guard verdict.on else { return }
      let former = record.it.since
      record.it.since = moment.time
      record.it.sinceSequence = moment.sequence
      let delay = parameters.row(Int(slot)).it.onDelay
      if delay == 0 {
        raise(slot, moment, &out)
      } else {
        move(slot, to: .pendingOn, at: moment.time)
        armDelay(.onDelay, slot, delay, former: former)
      }
    case .pendingOn:
      guard !verdict.on else { return }
      move(slot, to: .idle, at: moment.time)
      record.it.fleeting &+= 1
      tally.heldBack += 1
    case .active:
      guard verdict.off else { return }
      let former = record.it.since
      record.it.since = moment.time
      record.it.sinceSequence = moment.sequence
      let delay = parameters.row(Int(slot)).it.offDelay
      if delay == 0 {
        lower(slot, moment, &out)
      } else {
        move(slot, to: .pendingOff, at: moment.time)
        armDelay(.offDelay, slot, delay, former: former)
      }
    case .pendingOff:
      guard !verdict.off else { return }
      move(slot, to: .active, at: moment.time)
    }
  }

  /// Makes sure that a delay which has begun is looked at when it ends; `former` is when the rule's delay before it began.
  ///
  /// That may be later: of several signals one may report from before another, and where the time base has changed the beginning
  /// moved with the base, while newest times were cut off.
  private mutating func armDelay(
    _ kind: Deadline.Kind,
    _ slot: UInt32,
    _ delay: Int64,
    former: Int64
  ) {
    let since = rules.row(Int(slot)).it.since
    arm(kind, slot, at: since + delay + delayGrace(slot), isSooner: since < former)
  }

  /// Moves a rule's condition and notes it in the rule's history.
  private mutating func move(
    _ slot: UInt32,
    to phase: RuleRecord.Phase,
    at time: Int64,
    start: Int64? = nil
  ) {
    let record = rules.row(Int(slot))
    record.it.phase = phase
    if phase.isPending { closeCalm(of: Int(parameters.row(Int(slot)).it.channel)) }
    let kept = stepsKept(of: slot)
    guard kept > 0 else { return }
    let row = historyRow(slot)
    let known = start ?? histories.newestStep(of: row)?.start ?? noTime
    histories.add(
      PhaseChange(
        time: time,
        phase: phase,
        since: record.it.since,
        onset: record.it.onset,
        start: known
      ),
      to: row,
      keeping: kept
    )
  }

  /// The channel's next reading is looked at in full.
  func closeCalm(of channel: Int) {
    let record = channels.row(channel)
    (record.it.calmLow, record.it.calmHigh) = Self.noCalm
  }

  /// The condition has become an alarm; its occurrence began at `since`.
  private mutating func raise(_ slot: UInt32, _ moment: Moment, _ out: inout [Transition]) {
    let record = rules.row(Int(slot))
    // The occurrence before this one is left under its own name.
    leave(slot, record.it.lifeCycle, moment, &out)
    record.it.onset = freeOnset(slot, from: record.it.since)
    move(slot, to: .active, at: moment.time, start: record.it.since)
    let row = historyRow(slot)
    if histories[row].noteRaise(at: moment.time) {
      histories[row].countChattering()
      tally.chattering += 1
    }
    annunciate(slot, moment, isAnother: false, wasTold: false, &out)
  }

  /// The name of an occurrence that began at `start`: of no other that is known, for two of one onset would be one.
  ///
  /// Signals of one moment can begin, end and begin again what is over several, and a clock that was set back shows a time twice.
  private func freeOnset(_ slot: UInt32, from start: Int64) -> Int64 {
    let former = rules.row(Int(slot)).it.onset
    var onset = start
    while onset == former || owed.contains(slot: slot, onset: onset) { onset += 1 }
    return onset
  }

  /// Tells that an alarm stands.
  ///
  /// With `isAnother` the occurrence that began at `since` is another than the one that the record names; with
  /// `wasTold` it has been told before, and to be over: it is annunciated again rather than raised twice.
  mutating func annunciate(
    _ slot: UInt32,
    _ moment: Moment,
    isAnother: Bool,
    wasTold: Bool,
    _ out: inout [Transition]
  ) {
    let record = rules.row(Int(slot))
    let parameters = parameters.row(Int(slot))
    if isAnother {
      leave(slot, record.it.lifeCycle, moment, &out)
      record.it.onset = record.it.since
      _ = owed.remove(slot: slot, onset: record.it.onset)
    }
    record.it.phase = .active
    record.it.raises &+= 1
    tally.raises += 1
    record.it.priority = parameters.it.priority
    if !escalated.isEmpty { escalated.remove(slot) }
    let first = out.count
    take(
      record.it.lifeCycle.step(.conditionTrue, isLatching: parameters.it.isLatching),
      slot,
      moment,
      &out
    )
    if wasTold, first < out.count { out[first].kind = .reAlarmed }
    if parameters.it.kind == .group, first < out.count {
      out[first].evidence = bank.evidence(places[Int(parameters.it.number)])
    }
    if parameters.it.reAlarm > 0 {
      reAlarms[slot] = moment.received
      arm(.reAlarm, slot, atEngineTime: moment.received + parameters.it.reAlarm)
    }
    if parameters.it.escalateAfter > 0 {
      escalations[slot] = moment.received
      arm(.escalation, slot, atEngineTime: moment.received + parameters.it.escalateAfter)
    }
    informCascades(of: slot, moment, &out)
  }

  /// The alarm's condition is gone.
  private mutating func lower(_ slot: UInt32, _ moment: Moment, _ out: inout [Transition]) {
    var moment = moment
    // Of several signals one may report from before the raise.
    if parameters.row(Int(slot)).it.kind == .group {
      moment.time = max(moment.time, newestRaise(of: slot))
    }
    move(slot, to: .idle, at: moment.time)
    calm(slot, moment, &out)
  }

  /// Tells that an alarm has returned.
  mutating func calm(_ slot: UInt32, _ moment: Moment, _ out: inout [Transition]) {
    let record = rules.row(Int(slot))
    record.it.phase = .idle
    if !reAlarms.isEmpty { reAlarms[slot] = nil }
    if !escalations.isEmpty { escalations[slot] = nil }
    let raised = newestRaise(of: slot)
    if record.it.lifeCycle.base == .unacknowledged, raised != noTime,
      moment.time - raised <= RuleHistory.fleetingSpan
    {
      histories[historyRow(slot)].countFleeting()
      tally.fleeting += 1
    }
    let isLatching = parameters.row(Int(slot)).it.isLatching
    take(
      record.it.lifeCycle.step(.conditionFalse, isLatching: isLatching),
      slot,
      moment,
      &out
    )
    informCascades(of: slot, moment, &out)
  }

  /// Puts the occurrence before a new one on the list of those that are owed an acknowledgement.
  private mutating func leave(
    _ slot: UInt32,
    _ cycle: LifeCycle,
    _ moment: Moment,
    _ out: inout [Transition]
  ) {
    let onset = rules.row(Int(slot)).it.onset
    switch cycle.base {
    case .normal, .unacknowledged, .acknowledged, .quiet:
      return
    case .latchedAcknowledged where !cycle.isInhibited:
      emit(.reset, slot, onset, moment, from: cycle.state, to: .normal, &out)
      return
    // What comes after it unheard latches nothing: the former occurrence still wants a person.
    case .latchedAcknowledged, .latchedUnacknowledged:
      emit(.reset, slot, onset, moment, from: cycle.state, to: .returnedUnacknowledged, &out)
    case .returnedUnacknowledged:
      break
    }
    owed.insert(slot: slot, onset: onset)
    while owed.count(slot: slot) > Self.owedPerRule, let oldest = owed.removeOldest(slot: slot) {
      tally.supersededOccurrences += 1
      emit(.reset, slot, oldest, moment, from: .returnedUnacknowledged, to: .normal, &out)
    }
  }

  /// Takes a step of the life cycle and tells of it.
  mutating func take(
    _ step: LifeCycle.Step,
    _ slot: UInt32,
    _ moment: Moment,
    _ out: inout [Transition]
  ) {
    let record = rules.row(Int(slot))
    let before = record.it.lifeCycle
    record.it.life = step.next.packed
    guard let told = step.told else { return }
    let hasOccurrence = before.base != .normal || step.next.base != .normal
    let onset = hasOccurrence ? record.it.onset : noTime
    let first = out.count
    defer {
      if before.base != .normal, step.next.base == .normal, first < out.count {
        out[out.count - 1].endsOccurrence = true
      }
    }
    guard let also = step.toldAlso else {
      emit(told, slot, onset, moment, from: before.state, to: step.next.state, &out)
      return
    }
    emit(told, slot, onset, moment, from: before.state, to: before.state, &out)
    emit(also, slot, onset, moment, from: before.state, to: step.next.state, &out)
  }

  /// Puts one transition out.
  mutating func emit(
    _ kind: TransitionKind,
    _ slot: UInt32,
    _ onset: Int64,
    _ moment: Moment,
    from previous: AlarmState,
    to state: AlarmState,
    _ out: inout [Transition]
  ) {
    let record = rules.row(Int(slot))
    let parameters = parameters.row(Int(slot))
    tally.transitions += 1
    out.append(
      Transition(
        kind: kind,
        rule: RuleIndex(rawValue: parameters.it.rule),
        channel: ChannelIndex(rawValue: parameters.it.channel),
        onset: Timestamp(milliseconds: onset),
        time: Timestamp(milliseconds: moment.time),
        received: Timestamp(milliseconds: moment.received),
        sequence: moment.sequence,
        value: moment.value,
        limit: limit(of: slot, for: kind, moment),
        previous: previous,
        state: state,
        priority: AlarmPriority(rawValue: record.it.priority) ?? .red
      )
    )
  }

  private func limit(of slot: UInt32, for kind: TransitionKind, _ moment: Moment) -> Double {
    let parameters = parameters.row(Int(slot))
    return switch parameters.it.kind {
    case .clock: moment.limit
    case .group: bank.limit(places[Int(parameters.it.number)], toReturn: kind == .returned)
    case .limit, .physicalRange, .rate, .stale, .ewma, .single, .cascade, .reported:
      parameters.it.limit(for: kind, moment.value)
    }
  }

  // MARK: Deadlines of one rule

  /// A delay has run its full length: the alarm is raised or returns, at the delay's own time.
  ///
  /// A condition is taken to last only until its channel is stale, so a delay that ends later than
  /// that ends in nothing.
  mutating func complete(_ slot: UInt32, received: Int64, _ out: inout [Transition]) {
    guard let time = delayEnd(slot) else { return }
    let record = rules.row(Int(slot))
    let parameters = parameters.row(Int(slot))
    let channel = channels.row(Int(parameters.it.channel))
    if parameters.it.kind == .group {
      passSilences(of: slot, before: time, received: received, &out)
      guard delayEnd(slot) == time else { return }
    }
    let staleAfter = Int64(links[Int(parameters.it.channel)].staleAfter)
    let isWindow = isWindow(slot)
    if parameters.it.kind.followsValues || isWindow, staleAfter > 0,
      time > channel.it.newest + staleAfter
    {
      drop(slot, at: channel.it.newest + staleAfter)
      return
    }
    // What windows said before the values ceased to be known is forgotten with the first that says so.
    if isWindow, channel.it.value.isNaN {
      drop(slot, at: channel.it.newest)
      return
    }
    let value: Double =
      switch parameters.it.kind {
      case .group: bank.statistic(places[Int(parameters.it.number)]) ?? .nan
      case .limit, .physicalRange, .rate, .ewma, .single: channel.it.value
      case .stale, .clock, .cascade, .reported: .nan
      }
    let moment = Moment(
      time: time,
      received: received,
      sequence: record.it.sinceSequence,
      value: value
    )
    switch record.it.phase {
    case .pendingOn: raise(slot, moment, &out)
    case .pendingOff: lower(slot, moment, &out)
    case .idle, .active: break
    }
  }

  /// A channel that never reported, or reported longest ago, is stale.
  mutating func becomeStale(
    _ slot: UInt32,
    at time: Int64,
    received: Int64,
    _ out: inout [Transition]
  ) {
    let parameters = parameters.row(Int(slot))
    let channel = Int(parameters.it.channel)
    // A clock that has slowed can bring a reading with a time before the staleness: it ends it too.
    channels.row(channel).it.key |= ChannelRecord.slow
    if parameters.it.staleAfter == Int64(links[channel].staleAfter) {
      dropPendingDelays(of: channel, at: time)
      informDependents(
        of: channel,
        at: time,
        nil,
        channels.row(channel).it.sequence,
        received: received,
        isSilence: true,
        &out
      )
    }
    let moment = Moment(
      time: time,
      received: received,
      sequence: channels.row(channel).it.sequence,
      value: .nan
    )
    follow(slot, Verdict(on: true, off: false), moment, &out)
  }

  /// Forgets the delays that run on a channel's values: a gap neither raises nor clears.
  mutating func dropPendingDelays(of channel: Int, at time: Int64) {
    for slot in links[channel].rules
    where parameters.row(Int(slot)).it.kind.followsValues {
      drop(slot, at: time)
      if parameters.row(Int(slot)).it.kind == .rate {
        keep(ChannelRecord.rateBit, of: slot, channel)
      }
    }
  }

  /// Until a value can be compared again, a fast condition is what its alarm says: what only a delay had begun on is forgotten.
  func keep(_ bit: UInt8, of slot: UInt32, _ channel: Int) {
    let record = channels.row(channel)
    record.it.conditions &= ~bit
    if rules.row(Int(slot)).it.isActive { record.it.conditions |= bit }
  }

  /// Takes a running delay back.
  mutating func drop(_ slot: UInt32, at time: Int64) {
    switch rules.row(Int(slot)).it.phase {
    case .pendingOn: move(slot, to: .idle, at: time)
    case .pendingOff: move(slot, to: .active, at: time)
    case .idle, .active: break
    }
  }
}

extension RuleParameters {
  /// The limit that a transition was decided by; NaN where there is none.
  func limit(for kind: TransitionKind, _ value: Double) -> Double {
    switch self.kind {
    case .limit: kind == .returned ? high : low
    case .physicalRange: value < low ? low : value > high ? high : .nan
    case .rate: low
    case .stale, .clock, .ewma, .single, .group, .cascade, .reported: .nan
    }
  }
}
