import Telemetry

extension Engine {
  /// Tells the rules that read a channel as a signal of its newest value, nil when it has none any more; `isSilence`
  /// when that is so because nothing has come.
  mutating func informDependents(
    of channel: Int,
    at time: Int64,
    _ value: Double?,
    _ sequence: UInt64,
    received: Int64? = nil,
    isSilence: Bool = false,
    _ out: inout [Transition]
  ) {
    let link = links[channel]
    for index in link.firstDependent..<link.firstDependent &+ link.dependentCount {
      let dependent = dependents[Int(index)]
      let time = ruleTime(of: dependent.slot, at: time, ofDevice: link.device)
      guard !dependent.isSuppressor else {
        informSuppressor(dependent, at: time, value, sequence, received: received ?? now, &out)
        continue
      }
      let place = places[Int(parameters.row(Int(dependent.slot)).it.number)]
      let received = received ?? now
      if place.kind == .window {
        let moment = Moment(
          time: time,
          received: received,
          sequence: sequence,
          value: value ?? .nan
        )
        informWindow(dependent, value, moment, isSilence: isSilence, &out)
        continue
      }
      // A sample of a group has one value of each signal, that with which its moment began.
      if place.kind == .multivariate, nudge > 0, value != nil { continue }
      // What was due before this reading comes before it.
      var passed = Int64.min
      while let due = detectorDeadline(dependent.slot), due < time, due > passed {
        passed = due
        advanceDetector(dependent.slot, to: due, received: received, &out)
      }
      // A message may hold both ends of what has lasted longer than a delay.
      completeDelay(of: dependent.slot, before: time, received: received, &out)
      let former = detectorDeadline(dependent.slot)
      let truth = bank.inform(
        place,
        signal: Int(dependent.signal),
        time: time + bankShift(dependent.slot),
        value: value
      )
      guard let truth else { continue }
      let moment = Moment(
        time: time,
        received: received,
        sequence: sequence,
        value: value ?? .nan
      )
      follow(dependent.slot, Verdict(truth), moment, &out)
      armDetector(dependent.slot, after: time, former: former)
    }
  }

  /// Hands a rule on a window a reading, or the state that it is of; nil where there is none any more.
  ///
  /// Windows and delays from before a reading are behind it already (``fireDeadlines(of:before:_:)``). That a channel is
  /// silent is said here of the state alone: silence of the readings is told when it ends
  /// (``endSilence(of:before:_:)``), because windows that ended in it may still wait for what is on its way.
  private mutating func informWindow(
    _ dependent: Dependent,
    _ value: Double?,
    _ moment: Moment,
    isSilence: Bool,
    _ out: inout [Transition]
  ) {
    let slot = dependent.slot
    let place = places[Int(parameters.row(Int(slot)).it.number)]
    let isState = dependent.signal > 0
    if isSilence, !isState { return }
    if isState {
      // A delay that ends at the very moment of a silence has run its course.
      let end = isSilence ? moment.time + 1 : moment.time
      completeDelay(of: slot, before: end, received: moment.received, &out)
    } else if value == nil {
      // It shows how far the device's clock has come, as every reading does.
      advanceWindows(of: slot, through: moment.time, received: moment.received, &out)
    }
    let former = detectorDeadline(slot)
    let truth = bank.inform(
      place,
      signal: Int(dependent.signal),
      time: moment.time + bankShift(slot),
      value: value
    )
    tally.lateUnjudged &+= bank.takeLate(place)
    if let truth {
      var moment = moment
      moment.value = bank.statistic(place) ?? .nan
      follow(slot, Verdict(truth), moment, &out)
    }
    // What is not known neither raises nor clears.
    if value == nil { drop(slot, at: moment.time) }
    armDetector(slot, after: moment.time, former: former)
  }

  /// Lets a rule's windows end, one after the other, that end at or before `time`.
  mutating func advanceWindows(
    of slot: UInt32,
    through time: Int64,
    received: Int64,
    _ out: inout [Transition]
  ) {
    while let end = detectorDeadline(slot), end <= time {
      advanceDetector(slot, to: end, received: received, &out)
    }
  }

  /// Completes the delay that runs on a rule, without a deadline of its own, when it ends before `time`.
  mutating func completeDelay(
    of slot: UInt32,
    before time: Int64,
    received: Int64,
    _ out: inout [Transition]
  ) {
    // (A signal that has fallen silent before its end may have begun another.)
    while let end = delayEnd(slot), end < time { complete(slot, received: received, &out) }
  }

  /// When the delay that runs on a rule ends; nil where none does.
  func delayEnd(_ slot: UInt32) -> Int64? {
    let record = rules.row(Int(slot))
    let parameters = parameters.row(Int(slot))
    return switch record.it.phase {
    case .pendingOn: record.it.since + parameters.it.onDelay
    case .pendingOff: record.it.since + parameters.it.offDelay
    case .idle, .active: nil
    }
  }

  // MARK: Signals that have fallen silent

  /// Tells a rule over several signals which of them have been silent before `time`, earliest first.
  ///
  /// What falls due at `time` hangs on all of them, but only the deadlines of the channel that has reported are looked after
  /// when it does: in a message, or a backlog, that goes on for longer than another may be silent, that one's staleness waits
  /// for the engine's time. Its alarm goes on waiting; what the rule has held of it is not known any more.
  mutating func passSilences(
    of slot: UInt32,
    before time: Int64,
    received: Int64,
    _ out: inout [Transition]
  ) {
    let number = Int(parameters.row(Int(slot)).it.number)
    while let silence = firstSilence(number, slot, before: time) {
      let former = detectorDeadline(slot)
      let truth = bank.inform(
        places[number],
        signal: silence.signal,
        time: silence.time + bankShift(slot),
        value: nil
      )
      guard let truth else { continue }
      let moment = Moment(
        time: silence.time,
        received: received,
        sequence: channels.row(silence.channel).it.sequence,
        value: .nan
      )
      follow(slot, Verdict(truth), moment, &out)
      armDetector(slot, after: silence.time, former: former)
    }
  }

  /// A signal whose channel has been silent for too long.
  struct Silence {
    var signal: Int
    var channel: Int
    /// Since when, by the time of the rule's own device.
    var time: Int64
  }

  /// The earliest silence before `time` that the detector in a place, which is a rule's, has not been told of.
  func firstSilence(_ number: Int, _ slot: UInt32, before time: Int64) -> Silence? {
    let own = Int(links[Int(parameters.row(Int(slot)).it.channel)].device)
    var first: Silence?
    for (signal, index) in signals[number].enumerated() {
      let channel = Int(index.rawValue)
      let link = links[channel]
      let newest = channels.row(channel).it.newest
      guard link.staleAfter > 0, newest != noTime, bank.holds(places[number], signal: signal) else {
        continue
      }
      let end = newest + Int64(link.staleAfter)
      let silent = ruleTime(of: slot, at: end, ofDevice: link.device)
      // (Readings that are held back for longer than the rule's own may still come.)
      let held = timing(ofDevice: Int(link.device)).allowance - timing(ofDevice: own).allowance
      guard silent + max(held, 0) < time, silent < first?.time ?? never else { continue }
      first = Silence(signal: signal, channel: channel, time: silent)
    }
    return first
  }

  /// A reading has come after a time in which a channel's values were not known, because of their status or a silence:
  /// delays that ran on its windows are forgotten, and a state that is the reading itself is not known to have lasted.
  mutating func endSilence(of channel: Int, before time: Int64, _ out: inout [Transition]) {
    let link = links[channel]
    let record = channels.row(channel)
    guard record.it.newest != noTime else { return }
    var silent = record.it.newest + Int64(link.staleAfter)
    if record.it.value.isNaN { silent = record.it.newest } else if link.staleAfter == 0 { return }
    guard silent < time else { return }
    for index in link.firstDependent..<link.firstDependent &+ link.dependentCount {
      let dependent = dependents[Int(index)]
      guard !dependent.isSuppressor, dependent.signal == 0, isWindow(dependent.slot) else {
        continue
      }
      let place = places[Int(parameters.row(Int(dependent.slot)).it.number)]
      _ = bank.inform(
        place,
        signal: 0,
        time: silent + bankShift(dependent.slot),
        value: nil
      )
      tally.lateUnjudged &+= bank.takeLate(place)
      drop(dependent.slot, at: silent)
    }
  }

  /// Whether a rule judges windows.
  func isWindow(_ slot: UInt32) -> Bool {
    let parameters = parameters.row(Int(slot))
    return parameters.it.kind == .group && places[Int(parameters.it.number)].kind == .window
  }

  /// How long a rule's delay waits after its end, by the device's clock, for readings that may take it back.
  func delayGrace(_ slot: UInt32) -> Int64 {
    parameters.row(Int(slot)).it.kind == .group ? detectorGrace(slot) : 0
  }

  /// Lets a detector's own deadline fall due.
  mutating func advanceDetector(
    _ slot: UInt32,
    to time: Int64,
    received: Int64,
    _ out: inout [Transition]
  ) {
    let place = places[Int(parameters.row(Int(slot)).it.number)]
    passSilences(of: slot, before: time, received: received, &out)
    // (Its entry among the deadlines may lie later than the detector's: that of a window where the device's least lag has fallen
    // since, that of others where a message holds more than the delay.) A window that ends when the delay does may take it back.
    let end = place.kind == .window ? time : time + 1
    completeDelay(of: slot, before: end, received: received, &out)
    if let truth = bank.advance(place, to: time + bankShift(slot)) {
      let channel = channels.row(Int(parameters.row(Int(slot)).it.channel))
      let moment = Moment(
        time: time,
        received: received,
        sequence: channel.it.sequence,
        value: bank.statistic(place) ?? .nan
      )
      follow(slot, Verdict(truth), moment, &out)
    }
    armDetector(slot, after: time)
  }

  /// Waits for a detector's next deadline; one from before `time` would be waited for in vain.
  ///
  /// One at `time` is that of an interlock which has no time to follow. `former` is what was waited for before, nil for nothing.
  mutating func armDetector(_ slot: UInt32, after time: Int64, former: Int64? = nil) {
    guard let due = detectorDeadline(slot), due >= time else { return }
    let isSooner = former.map { due < $0 } ?? true
    arm(.detector, slot, at: due + detectorGrace(slot), isSooner: isSooner)
  }

  /// How long after its deadline, by the device's clock, a rule's detector is looked at when no reading asks for it before.
  func detectorGrace(_ slot: UInt32) -> Int64 {
    bank.grace(places[Int(parameters.row(Int(slot)).it.number)])
  }

  /// When a rule's detector wants to be looked at, by the event time of its device; nil when it does not.
  func detectorDeadline(_ slot: UInt32) -> Int64? {
    bank.nextDeadline(places[Int(parameters.row(Int(slot)).it.number)]).map {
      $0 - bankShift(slot)
    }
  }

  /// What is added to event time for a rule's detector in the bank.
  func bankShift(_ slot: UInt32) -> Int64 {
    guard !troubles.isEmpty else { return -nudge }
    let channel = parameters.row(Int(slot)).it.channel
    return (troubles[Int(links[Int(channel)].device)]?.bankShift ?? 0) - nudge
  }
}
