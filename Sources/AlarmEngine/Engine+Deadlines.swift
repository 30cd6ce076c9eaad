public import Telemetry

extension Engine {
  /// Moves engine time forward; deadlines that have passed fire in the order of time and rule.
  ///
  /// A deadline's transition carries the deadline's own time, so how often this is called changes
  /// nothing but when the transition comes out. A time before the engine's changes nothing.
  public mutating func advance(to time: Timestamp, into out: inout [Transition]) {
    let target = time.milliseconds
    guard Self.believedTimes.contains(target) else {
      tally.timesOutOfRange += 1
      return
    }
    if now == noTime { begin(at: target) }
    if needsPriorityCheck { followPriorities(&out) }
    armAgain()
    while let deadline = heap.first, deadline.due < target {
      heap.removeFirst()
      fired = deadline.due
      // What a backlog has passed by is told as of its end.
      now = max(now, fired)
      fire(deadline, &out)
      order.note(OutputOrder.Key(time: deadline.due, place: deadline.order), out.count)
    }
    move(to: target)
    fired = now
  }

  /// Moves engine time to a batch's receive time; a backlog fires no deadline on the way.
  mutating func arrive(_ batch: borrowing ReadingBatch, into out: inout [Transition]) {
    arrive(at: batch.received, isBacklog: batch.isBacklog, into: &out)
  }

  /// Moves engine time forward; amid a backlog no deadline fires on the way.
  mutating func arrive(at time: Timestamp, isBacklog: Bool, into out: inout [Transition]) {
    guard isBacklog else {
      advance(to: time, into: &out)
      return
    }
    let target = time.milliseconds
    guard Self.believedTimes.contains(target) else {
      tally.timesOutOfRange += 1
      return
    }
    fired = noTime
    if now == noTime { begin(at: target) }
    if needsPriorityCheck { followPriorities(&out) }
    move(to: target)
  }

  private mutating func move(to target: Int64) {
    now = max(now, target)
    let epoch = now.quotientFloored(by: Self.epochMilliseconds)
    if epoch != self.epoch {
      self.epoch = epoch
      fastKey = UInt32(truncatingIfNeeded: epoch & 0xffff) << 16
    }
  }

  /// The first input: channels that have never reported are waited for from now on, and as long as their readings
  /// may be held back.
  private mutating func begin(at time: Int64) {
    now = time
    for slot in 0..<rules.count where parameters.row(slot).it.kind == .stale {
      let record = rules.row(slot)
      guard record.it.armed & Deadline.Kind.stale.bit == 0 else { continue }
      armFirstStale(UInt32(slot), from: now)
    }
  }

  /// Waits for a channel that has never reported, from an engine time on.
  mutating func armFirstStale(_ slot: UInt32, from time: Int64) {
    let parameters = parameters.row(Int(slot))
    let allowance = timing(ofDevice: Int(links[Int(parameters.it.channel)].device)).allowance
    arm(.stale, slot, atEngineTime: time + parameters.it.staleAfter + allowance)
  }

  private mutating func fire(_ deadline: Deadline, _ out: inout [Transition]) {
    let slot = deadline.slot
    let kind = deadline.kind
    guard kind != .release else {
      release(Int(slot), at: deadline.due, &out)
      return
    }
    let record = rules.row(Int(slot))
    record.it.armed &= ~kind.bit
    if kind.mayComeSooner { looks.removeEarliest(kind, slot) }
    switch kind {
    case .onDelay, .offDelay: fireDelay(deadline, &out)
    case .stale: fireStale(deadline, &out)
    case .detector:
      guard let time = detectorDeadline(slot) else { return }
      let due = time + offset(of: parameters.row(Int(slot)).it.channel) + detectorGrace(slot)
      guard !putOff(deadline, to: due) else { return }
      advanceDetector(slot, to: time, received: now, &out)
    case .shelf:
      guard record.it.lifeCycle.shelving == .timed,
        !putOff(deadline, to: shelves[slot] ?? never)
      else { return }
      shelves[slot] = nil
      step(.shelfExpired, at: deadline, &out)
    case .release:
      break
    case .suppressor:
      guard let time = suppressorDeadline(slot) else { return }
      let due = time + offset(of: parameters.row(Int(slot)).it.channel)
      guard !putOff(deadline, to: due) else { return }
      advanceSuppressor(slot, to: time, received: now, &out)
    case .escalation:
      guard let since = escalations[slot],
        !putOff(deadline, to: since + parameters.row(Int(slot)).it.escalateAfter)
      else { return }
      escalate(slot, moment(of: deadline, record), &out)
    case .reAlarm:
      let pause = parameters.row(Int(slot)).it.reAlarm
      guard let since = reAlarms[slot], !putOff(deadline, to: since + pause) else { return }
      // What another plan, or a backlog, made due long ago is told once, not for every time that has passed.
      reAlarms[slot] = now
      arm(kind, slot, atEngineTime: now + pause)
      step(.reAlarmDue, at: deadline, &out)
    }
  }

  /// Arms a deadline anew that has come to lie later than it was armed for; false where it is due.
  private mutating func putOff(_ deadline: Deadline, to due: Int64) -> Bool {
    guard due > deadline.due else { return false }
    arm(deadline.kind, deadline.slot, atEngineTime: due, isSooner: true)
    return true
  }

  private mutating func fireDelay(_ deadline: Deadline, _ out: inout [Transition]) {
    let slot = deadline.slot
    let record = rules.row(Int(slot))
    let parameters = parameters.row(Int(slot))
    let phase = record.it.phase
    guard phase == (deadline.kind == .onDelay ? .pendingOn : .pendingOff) else { return }
    let delay = deadline.kind == .onDelay ? parameters.it.onDelay : parameters.it.offDelay
    let time = record.it.since + delay
    let due = time + offset(of: parameters.it.channel) + delayGrace(slot)
    guard !putOff(deadline, to: due) else { return }
    // No window that ended before the delay does is left unjudged: it may take the delay back, or begin another.
    if isWindow(slot) { advanceWindows(of: slot, through: time, received: now, &out) }
    guard record.it.phase == phase, record.it.since + delay == time else { return }
    complete(slot, received: now, &out)
  }

  private mutating func fireStale(_ deadline: Deadline, _ out: inout [Transition]) {
    let slot = deadline.slot
    let phase = rules.row(Int(slot)).it.phase
    guard phase == .idle || phase == .pendingOff else { return }
    let parameters = parameters.row(Int(slot))
    let newest = channels.row(Int(parameters.it.channel)).it.newest
    guard newest != noTime else {
      becomeStale(slot, at: deadline.due, received: now, &out)
      return
    }
    let time = newest + parameters.it.staleAfter
    guard !putOff(deadline, to: time + offset(of: parameters.it.channel)) else { return }
    becomeStale(slot, at: time, received: now, &out)
  }

  /// What a deadline says to the life cycle of its rule's alarm.
  private mutating func step(
    _ event: LifeCycle.Event,
    at deadline: Deadline,
    _ out: inout [Transition]
  ) {
    let slot = deadline.slot
    let record = rules.row(Int(slot))
    let isLatching = parameters.row(Int(slot)).it.isLatching
    take(
      record.it.lifeCycle.step(event, isLatching: isLatching),
      slot,
      moment(of: deadline, record),
      &out
    )
  }

  private func moment(of deadline: Deadline, _ record: Row<RuleRecord>) -> Moment {
    Moment(
      time: deadline.due,
      received: now,
      sequence: record.it.sinceSequence,
      value: .nan
    )
  }

  /// Fires what a channel's rules have due before an event time, earliest first: a reading shows
  /// that the device's clock has come that far, whatever the engine's says.
  ///
  /// Windows that end are among it. `isOther` says that the reading is another channel's: windows then wait their grace for the
  /// last readings of their own.
  mutating func fireDeadlines(
    of channel: Int,
    before time: Int64,
    isOther: Bool = false,
    _ out: inout [Transition]
  ) {
    while let next = firstDeadline(of: channel, isOther: isOther), next.waitsUntil < time {
      switch next.kind {
      case .detector: advanceDetector(next.slot, to: next.time, received: now, &out)
      case .delay: complete(next.slot, received: now, &out)
      case .stale: becomeStale(next.slot, at: next.time, received: now, &out)
      }
    }
  }

  /// Fires what the rules of all channels of a device have due before an event time, earliest first.
  mutating func fireDeadlines(
    ofDevice row: Int,
    before time: Int64,
    _ out: inout [Transition]
  ) {
    while true {
      var first: (time: Int64, channel: Int)?
      for channel in channelRows(ofDevice: row) {
        guard let next = firstDeadline(of: Int(channel), isOther: true), next.waitsUntil < time
        else { continue }
        if let known = first, known.time <= next.waitsUntil { continue }
        first = (next.waitsUntil, Int(channel))
      }
      guard let first else { return }
      fireDeadlines(of: first.channel, before: first.time + 1, isOther: true, &out)
    }
  }

  private struct ChannelDeadline {
    enum Kind { case detector, delay, stale }

    var time: Int64
    /// Which event time has to have passed: the deadline's own, or the end of the grace after it.
    var waitsUntil: Int64
    var kind: Kind
    var slot: UInt32
  }

  private func firstDeadline(of channel: Int, isOther: Bool) -> ChannelDeadline? {
    let newest = channels.row(channel).it.newest
    var first: ChannelDeadline?
    for slot in links[channel].rules {
      let isWindow = isWindow(slot)
      let record = rules.row(Int(slot))
      let parameters = parameters.row(Int(slot))
      var time = never
      var kind = ChannelDeadline.Kind.delay
      switch record.it.phase {
      case .pendingOn:
        time = record.it.since + parameters.it.onDelay
      case .pendingOff:
        time = record.it.since + parameters.it.offDelay
        // A channel that falls silent again before its staleness has returned stays stale.
        let silent = newest + parameters.it.staleAfter
        if parameters.it.kind == .stale, silent < time { (time, kind) = (silent, .stale) }
      case .idle:
        switch parameters.it.kind {
        case .stale:
          guard newest != noTime else { continue }
          time = newest + parameters.it.staleAfter
          kind = .stale
        case .group: break
        case .limit, .physicalRange, .clock, .rate, .ewma, .single, .cascade, .reported: continue
        }
      case .active:
        guard parameters.it.kind == .group else { continue }
      }
      // A window that ends when a delay does may take it back; other detectors' deadlines, which their signals look after, do if
      // they are before its end.
      if isWindow || parameters.it.kind == .group && record.it.phase.isPending,
        let end = detectorDeadline(slot), end < time || isWindow && end == time
      {
        time = end
        kind = .detector
      }
      guard time != never else { continue }
      let until = isOther && isWindow ? time + detectorGrace(slot) : time
      if let known = first {
        let isLater =
          known.waitsUntil < until
          || (known.waitsUntil == until && (kind == .stale || known.kind != .stale))
        if isLater { continue }
      }
      first = ChannelDeadline(time: time, waitsUntil: until, kind: kind, slot: slot)
    }
    return first
  }

  // MARK: Arming

  /// Distance from a channel's event time to the engine time at which it has surely been judged.
  func offset(of channel: UInt32) -> Int64 {
    offset(ofDevice: Int(links[Int(channel)].device))
  }

  /// Distance from a device's event time to the engine time at which it has surely been judged: engine time less this is
  /// the device's watermark.
  func offset(ofDevice row: Int) -> Int64 {
    let device = devices.row(row)
    return (device.it.isQuarantined ? 0 : device.it.offset) + timing(ofDevice: row).allowance
  }

  /// How much later than its clock shows a device's readings come as a rule; 0 for a clock that is not to be gone by.
  func usualLag(ofDevice row: Int) -> Int64 {
    let device = devices.row(row)
    let timing = timing(ofDevice: row)
    let isKnown =
      !device.it.isQuarantined && !timing.isUnguarded && device.it.offset <= timing.tolerance
    return isKnown ? device.it.offset : 0
  }

  /// The time of a rule's own device at which another device's clock shows `time`.
  ///
  /// A rule over several devices is judged by one time, that of the device whose alarm it is: their clocks may differ by
  /// minutes and be right, so that what one shows says nothing of a delay that began by another's. Usual lags lead from one to
  /// the other. A device that never reports, as of computed points, has the receive time.
  func ruleTime(of slot: UInt32, at time: Int64, ofDevice row: UInt32) -> Int64 {
    let own = links[Int(parameters.row(Int(slot)).it.channel)].device
    guard own != row else { return time }
    return time + usualLag(ofDevice: Int(row)) - usualLag(ofDevice: Int(own))
  }

  /// Makes sure that a rule is looked at when event time `time` has passed.
  mutating func arm(
    _ kind: Deadline.Kind,
    _ slot: UInt32,
    at time: Int64,
    isSooner: Bool = false
  ) {
    let channel = parameters.row(Int(slot)).it.channel
    arm(kind, slot, atEngineTime: time + offset(of: channel), isSooner: isSooner)
  }

  /// Makes sure that a rule is looked at when the engine has passed a time, which is never one that it has passed:
  /// what fires must not depend on how readings of one receive time are cut into batches.
  ///
  /// One entry a kind is enough where deadlines only move on. A shelf can be cut short; and with `isSooner` something has begun to
  /// be waited for that may come before what has been waited for so far: a detector has several deadlines, late readings show
  /// that a delay began sooner, and after a change of the time base one can begin before the one that has been taken back. (By
  /// a lag that falls alone, as it does with every reading of a backlog, nothing has.)
  mutating func arm(
    _ kind: Deadline.Kind,
    _ slot: UInt32,
    atEngineTime time: Int64,
    isSooner: Bool = false
  ) {
    let record = rules.row(Int(slot))
    let due = max(time, fired)
    let isAwaited =
      kind.mayComeSooner
      ? looks.earliest(kind, slot).map { !isSooner || $0 <= due } ?? false
      : !isSooner && kind != .shelf && record.it.armed & kind.bit != 0
    if !isAwaited { insert(kind, slot, due: due) }
  }

  /// Puts an entry for a rule among the deadlines.
  mutating func insert(_ kind: Deadline.Kind, _ slot: UInt32, due: Int64) {
    rules.row(Int(slot)).it.armed |= kind.bit
    if kind.mayComeSooner { looks.add(kind, slot, at: due) }
    heap.insert(
      Deadline(
        due: due,
        kind: kind,
        rule: parameters.row(Int(slot)).it.rule,
        slot: slot
      )
    )
  }

  /// Has delays on the values of a device's channels, and its readings held back, armed again: what is known of its clock has
  /// changed.
  ///
  /// Behind the batch, or the backlog (``armAgain()``), for that may be so at each of its readings.
  mutating func rearm(ofDevice row: Int) {
    let device = devices.row(row)
    guard !device.it.isRearming else { return }
    device.it.isRearming = true
    rearming.append(row)
  }

  /// Makes sure that what waits by the clocks noted by ``rearm(ofDevice:)`` is looked at when it is due by what is known of them now.
  ///
  /// What was armed before may be later: by a lag that is no longer the least, or by another time base. It stays, as a hint that
  /// no delay relies on.
  mutating func armAgain() {
    guard !rearming.isEmpty else { return }
    for index in rearming.indices {
      let row = rearming[index]
      devices.row(row).it.isRearming = false
      armRelease(row)
      for channel in channelRows(ofDevice: row) {
        for slot in links[Int(channel)].rules
        where parameters.row(Int(slot)).it.kind.followsValues {
          rules.row(Int(slot)).it.armed &= ~Deadline.Kind.delayBits
        }
      }
      for end in runningDelays(ofDevice: row) {
        insert(end.kind, end.slot, due: max(end.due, fired))
      }
    }
    rearming.removeAll(keepingCapacity: true)
  }

  /// The ends of delays that run on the values of a device's channels, by what is known of its clock now.
  func runningDelays(ofDevice row: Int) -> [Deadline] {
    var ends: [Deadline] = []
    for channel in channelRows(ofDevice: row) {
      for slot in links[Int(channel)].rules {
        let record = rules.row(Int(slot))
        let rule = parameters.row(Int(slot))
        guard rule.it.kind.followsValues, record.it.phase.isPending else { continue }
        let isOn = record.it.phase == .pendingOn
        let end = record.it.since + (isOn ? rule.it.onDelay : rule.it.offDelay)
        ends.append(
          Deadline(
            due: end + offset(ofDevice: row),
            kind: isOn ? .onDelay : .offDelay,
            rule: rule.it.rule,
            slot: slot
          )
        )
      }
    }
    return ends
  }

  /// Makes sure that a rule on staleness is looked at when its channel may have become stale.
  mutating func armStale(_ slot: UInt32, _ channel: Int) {
    guard rules.row(Int(slot)).it.armed & Deadline.Kind.stale.bit == 0 else { return }
    arm(
      .stale,
      slot,
      at: channels.row(channel).it.newest + parameters.row(Int(slot)).it.staleAfter
    )
  }
}

extension Int64 {
  /// Division that rounds towards minus infinity.
  func quotientFloored(by divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
