import Telemetry

/// The clock guard.
///
/// The *lag* of a reading is its receive time less its event time. Of each device the engine keeps the least lag of two
/// epochs of ten minutes of receive time: the newest that had a reading in order (of a device in quarantine, any reading), and
/// the last before it that had one. It estimates skew and least transport delay together (readings that waited somewhere have a
/// larger lag, never a smaller one), and is the device's *usual* lag; the change of the minima over one to two days estimates
/// drift. A reading is *in order* when it is newer than its channel's newest, and *in time* when its lag is not above
/// the tolerance.
///
/// A clock is at fault when
/// - a reading comes from the future: lag below −tolerance. One is enough, for nothing else can make it; or
/// - a *streak* of readings that are late or have a lag above the tolerance keeps pace with receive time:
///   at least ``ClockGuard/streakReadings`` readings over ``ClockGuard/streakMilliseconds``, whose lags spread by
///   at most an eighth of that time, while no reading of the device came in order and in time. Back-filled
///   data do not keep pace: they come faster than they were measured. A shuffling source has orderly
///   readings in between. A clock that *stands still* makes such a streak too: event times that spread by at
///   most an eighth of the receive time, with values that are not repeated; or
/// - a channel is *blind*: for ``ClockGuard/longestBlindness`` all that came of it, three readings at least, was late, and did
///   not catch up, whatever the other channels of the device say: else a channel whose stamps are of another time would never
///   be judged again. Readings catch up as long as their event times never go back and gain an eighth on the receive time
///   that passes, as those of back-filled data do; the ten minutes count from when they last did.
///
/// Of readings that were received at one time the least lag counts, for the youngest of a message tells of the clock. A streak
/// begins anew with a reading that, together with those before, is neither of one clock that goes nor of one that
/// stands still: lags and event times both spread by more than the tolerance and an eighth of the streak's time. (The lag of the
/// message that is coming in is left out of that.)
///
/// A device at fault is in *quarantine*: its readings are given the receive time (of a message the youngest is, and the
/// others lie before it as their stamps do, but not before what the device had said already), its rules go on, and its rule of
/// kind ``Detector/clockFault`` is true. It leaves quarantine with a reading that ends a streak of at least three, over
/// ``ClockGuard/recoveryMilliseconds``, that keeps pace and lies within half of the tolerance, or, for a clock that is right
/// and a way that is slow, over ``ClockGuard/longRecoveryMilliseconds`` within the whole of it; that reading is the first that
/// is believed. Such a streak begins after the last reading beyond.
///
/// A streak of late readings that keep pace within the tolerance is a clock that was set back by less than it; it is
/// followed without an alarm, and counted.
///
/// A stamp that lies ahead of the receive time, and further than the device's stamps have lain, by more than
/// ``ClockGuard/leapMilliseconds`` but within the tolerance is a *leap*: the reading is judged at the time that the device's
/// clock would show by its usual lag, so that one wrong stamp neither makes all readings up to it late ones nor ends delays
/// before their time. Those of one moment are judged one after the other. A streak of leaps is a clock that was set ahead, and is
/// followed as well. Of a gateway that packs only the youngest readings lie ahead: one that follows another of its channel in the
/// same message, where no leap was, by no more than ``ClockGuard/packedMilliseconds`` is believed. A leap that comes once more,
/// with the same value while its stamp still lies ahead, is a duplicate.
///
/// Where the time base changes, newest times and running delays move with it, so that a delay runs out at the
/// same receive time as before; occurrences keep their onset. What is believed from then on is late to nothing that
/// came before: messages may have waited longer than the one with the least lag, by which the times move.
///
/// Historical and receive-timed readings say nothing of a clock; duplicates, and the backlog after a lost link, are in no streak
/// but that which ends a quarantine (but the future is the future in any case).
enum ClockGuard {
  /// Readings that a streak needs.
  static let streakReadings: UInt32 = 3
  /// Receive time that a streak must last.
  static let streakMilliseconds: Int64 = 10_000
  /// Receive time over which the clock must be right to leave quarantine.
  static let recoveryMilliseconds: Int64 = 60_000
  /// The same for a clock whose lag is more than half of the tolerance.
  static let longRecoveryMilliseconds: Int64 = 600_000
  /// How far ahead a stamp may lie of all that is known of its clock and be believed at once.
  static let leapMilliseconds: Int64 = 1000
  /// How far ahead of the one before it in its message a stamp may lie and be believed.
  static let packedMilliseconds: Int64 = 60_000
  /// How long all readings of a channel may be late.
  static let longestBlindness: Int64 = 600_000
}

extension Engine {
  /// What is known of a device's clock, by its row in the plan; nil for no such row.
  public func clock(ofDevice row: UInt32) -> DeviceClock? {
    guard Int(row) < devices.count else { return nil }
    let device = devices.row(Int(row))
    let timing = timing(ofDevice: Int(row))
    let trouble = trouble(ofDevice: Int(row))
    let low = min(device.it.previousLow, device.it.currentLow)
    return DeviceClock(
      skewMilliseconds: low == never ? nil : -low,
      driftPartsPerMillion: drifts[Int(row)].partsPerMillion,
      toleranceMilliseconds: timing.isUnguarded ? nil : timing.tolerance,
      isQuarantined: device.it.isQuarantined,
      faults: trouble.faults,
      steps: trouble.steps
    )
  }

  /// What the plan says of a device's times.
  func timing(ofDevice row: Int) -> DeviceTiming { timings[Int(devices.row(row).it.timing)] }

  /// What is out of line with a device's clock, or has been.
  func trouble(ofDevice row: Int) -> ClockTrouble {
    troubles.isEmpty ? ClockTrouble() : troubles[row] ?? ClockTrouble()
  }

  private mutating func keep(_ trouble: ClockTrouble, ofDevice row: Int) {
    troubles[row] = trouble == ClockTrouble() ? nil : trouble
  }

  private mutating func endStreak(ofDevice row: Int) {
    guard !troubles.isEmpty, var trouble = troubles[row], trouble.streak.count > 0 else { return }
    trouble.streak = ClockStreak()
    keep(trouble, ofDevice: row)
  }

  /// Has a channel's next reading come here, where a timely one ends its device's streak.
  private func watchForTimely(_ channel: Int) {
    channels.row(channel).it.key |= ChannelRecord.slow
  }

  /// Devices in quarantine, counted.
  public var quarantinedDevices: Int { quarantined }

  /// Holds a reading's time against the receive time; the time that the reading is judged at.
  mutating func watchClock(
    _ columns: BatchColumns,
    _ index: Int,
    _ out: inout [Transition]
  ) -> Int64 {
    let reading = columns.reading(index)
    let (channel, sequence) = (columns.channel(index), columns.sequence(index))
    let time = reading.time.milliseconds
    let row = Int(links[channel].device)
    let device = devices.row(row)
    if reading.flags.contains(.receiveTimed) {
      seeAgain(channel)
      return device.it.isQuarantined ? receiveTime(columns, index) : time
    }
    let lag = now - time
    if device.it.isQuarantined {
      watchRecovery(row, lag, &out)
      // The reading that ends the quarantine is the first that is believed.
      return device.it.isQuarantined ? receiveTime(columns, index) : time
    }
    let timing = timing(ofDevice: row)
    if lag < -timing.tolerance, !timing.isUnguarded {
      quarantine(row, lag, sequence, &out)
      return receiveTime(columns, index)
    }
    if lag < min(0, device.it.offset) - ClockGuard.leapMilliseconds, !timing.isUnguarded,
      !isNextInMessage(channel, time, sequence)
    {
      leaps[channel] = Leap(stamp: time, value: reading.value, sequence: sequence)
      return takeLeap(channel, lag, &out)
    }
    let isInOrder = time > channels.row(channel).it.newest
    if isInOrder {
      observeLag(channel, lag)
      seeAgain(channel)
    }
    guard !timing.isUnguarded else { return time }
    guard !isInOrder || lag > timing.tolerance else {
      endStreak(ofDevice: row)
      return time
    }
    guard !isBacklog, !isDuplicate(reading, channel) else {
      if self.trouble(ofDevice: row).streak.count > 0 { watchForTimely(channel) }
      return time
    }
    if isBlind(channel, time) {
      quarantine(row, lag, sequence, &out)
      return receiveTime(columns, index)
    }
    let streak = lengthenStreak(of: channel, lag, isLeap: false)
    guard streak.hasLasted(ClockGuard.streakMilliseconds, at: now),
      streak.keepsPace(at: now) || streak.standsStill(at: now)
    else { return time }
    if lag > timing.tolerance || streak.standsStill(at: now) {
      quarantine(row, lag, sequence, &out)
      return receiveTime(columns, index)
    }
    followStep(row, from: device.it.offset, by: lag, &out)
    return time
  }

  /// Whether a reading goes on from the one before it in its message, of the same channel, that is judged by its own stamp, or
  /// will be when it is no longer held back.
  private func isNextInMessage(_ channel: Int, _ time: Int64, _ sequence: UInt64) -> Bool {
    guard leaps[channel]?.sequence != sequence else { return false }
    let record = channels.row(channel)
    let isOfMessage = record.it.newest != noTime && record.it.sequence == sequence
    let judged = isOfMessage ? moment(of: channel).stamp : noTime
    let waiting = held[Int(links[channel].device)]?.newest(of: channel, in: sequence) ?? noTime
    return (0...ClockGuard.packedMilliseconds).contains(time - max(judged, waiting))
  }

  /// Notes a reading that is late, if it is; whether its channel has had no other for too long.
  private mutating func isBlind(_ channel: Int, _ time: Int64) -> Bool {
    // (One of the newest moment is judged.)
    guard time < moment(of: channel).stamp else {
      seeAgain(channel)
      return false
    }
    var blindness = blind[channel] ?? Blindness(start: now, stamp: time)
    blindness.note(time, at: now)
    blind[channel] = blindness
    return blindness.hasLasted(at: now)
  }

  /// A reading of a channel is judged: it is not blind.
  private mutating func seeAgain(_ channel: Int) {
    if !blind.isEmpty { blind[channel] = nil }
  }

  /// Adds a reading to its device's streak, which the next timely one of any of its channels ends; the streak.
  private mutating func lengthenStreak(
    of channel: Int,
    _ lag: Int64,
    isLeap: Bool
  ) -> ClockStreak {
    let row = Int(links[channel].device)
    var trouble = trouble(ofDevice: row)
    // Leaps tell of another time than late readings.
    if trouble.hasLeaps != isLeap { trouble.streak = ClockStreak() }
    trouble.hasLeaps = isLeap
    let tolerance = timing(ofDevice: row).tolerance
    trouble.streak.lengthen(lag: lag, tolerance: tolerance, at: now)
    keep(trouble, ofDevice: row)
    if trouble.streak.count == 1 {
      channelRows(ofDevice: row).forEach { watchForTimely(Int($0)) }
    } else {
      watchForTimely(channel)
    }
    return trouble.streak
  }

  /// Whether a reading is a leap that has come before: its stamp is not its channel's newest, which would tell a duplicate.
  func isRepeatedLeap(_ reading: Reading) -> Bool {
    guard !leaps.isEmpty, let leap = leaps[Int(reading.channel.rawValue)] else { return false }
    return leap.stamp == reading.time.milliseconds && leap.value == reading.value
  }

  /// Judges a leap at the time that its device's clock should show, unless it is one of many: then the clock is followed.
  private mutating func takeLeap(
    _ channel: Int,
    _ lag: Int64,
    _ out: inout [Transition]
  ) -> Int64 {
    let row = Int(links[channel].device)
    seeAgain(channel)
    channels.row(channel).it.key |= ChannelRecord.slow
    let usual = usualLag(ofDevice: row)
    guard !isBacklog else { return max(now - usual, moment(of: channel).stamp) }
    let streak = lengthenStreak(of: channel, lag, isLeap: true)
    guard streak.hasLasted(ClockGuard.streakMilliseconds, at: now), streak.keepsPace(at: now) else {
      return max(now - usual, moment(of: channel).stamp)
    }
    followStep(row, from: usual, by: lag, &out)
    return now - lag
  }

  /// The time of a reading whose device's clock is wrong, by the receive time: after its channel's one before.
  ///
  /// A wrong clock still tells how far apart the readings of one message are. The youngest is of the receive time, and none is
  /// from before what the device had said already: a clock that jumps may tell anything.
  private mutating func receiveTime(_ columns: BatchColumns, _ index: Int) -> Int64 {
    let reading = columns.reading(index)
    let channel = columns.channel(index)
    let row = Int(links[channel].device)
    if message.sequence != columns.sequence(index) || message.received != now {
      message = lookThrough(columns, from: index)
    }
    var time = now
    if !reading.flags.contains(.receiveTimed), let youngest = message.youngest[row] {
      let before = message.before[row] ?? newestTime(ofDevice: row)
      message.before[row] = before
      let age = youngest - reading.time.milliseconds
      time = min(max(now - age, before), now)
    }
    let next = channels.row(channel).it.newest + 1
    isSqueezed = next > time
    return max(time, next)
  }

  /// The youngest stamps of a message's devices, from one of its readings on.
  private func lookThrough(_ columns: BatchColumns, from first: Int) -> QuarantinedMessage {
    var message = QuarantinedMessage(sequence: columns.sequence(first), received: now)
    var index = first
    while index < columns.count, columns.sequence(index) == message.sequence {
      let reading = columns.reading(index)
      let (channel, time) = (columns.channel(index), reading.time.milliseconds)
      index += 1
      guard channel < channels.count, Self.believedTimes.contains(time),
        reading.flags.isDisjoint(with: [.historical, .receiveTimed])
      else { continue }
      let row = Int(links[channel].device)
      message.youngest[row] = max(message.youngest[row] ?? time, time)
    }
    return message
  }

  /// The newest time that any channel of a device has; `noTime` where none has reported.
  private func newestTime(ofDevice row: Int) -> Int64 {
    channelRows(ofDevice: row).reduce(noTime) { max($0, channels.row(Int($1)).it.newest) }
  }

  /// The rows of a device's channels.
  func channelRows(ofDevice row: Int) -> ArraySlice<UInt32> {
    channelsOfDevices[Int(firstOfDevice[row])..<Int(firstOfDevice[row + 1])]
  }

  private mutating func watchRecovery(_ row: Int, _ lag: Int64, _ out: inout [Transition]) {
    let device = devices.row(row)
    device.it.turn(to: epoch, closing: drifts.row(row))
    device.it.currentLow = min(device.it.currentLow, lag)
    let tolerance = timing(ofDevice: row).tolerance
    var trouble = trouble(ofDevice: row)
    trouble.streak.lengthen(lag: lag, within: tolerance / 2, at: now)
    trouble.tolerable.lengthen(lag: lag, within: tolerance, at: now)
    let isRight =
      trouble.streak.hasLasted(ClockGuard.recoveryMilliseconds, at: now)
      && trouble.streak.keepsPace(at: now)
    let isTolerable =
      trouble.tolerable.hasLasted(ClockGuard.longRecoveryMilliseconds, at: now)
      && trouble.tolerable.keepsPace(at: now)
    let streak = isRight ? trouble.streak : trouble.tolerable
    if isRight || isTolerable {
      trouble.streak = ClockStreak()
      trouble.tolerable = ClockStreak()
    }
    keep(trouble, ofDevice: row)
    guard isRight || isTolerable else { return }
    tellClock(row, isFault: false, lag, sequence: 0, &out)
    device.it.isQuarantined = false
    quarantined -= 1
    takeBase(row, low: streak.low)
    rebase(row, by: -streak.low, to: streak, lag)
  }

  /// The least lag is `low` from now on; drift is measured anew, for the clock has been set.
  private func takeBase(_ row: Int, low: Int64) {
    let device = devices.row(row)
    device.it.previousLow = never
    device.it.currentLow = low
    device.it.epoch = Int32(truncatingIfNeeded: epoch)
    drifts[row] = DriftRecord()
  }

  private mutating func quarantine(
    _ row: Int,
    _ lag: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) {
    let device = devices.row(row)
    releaseAll(row, &out)
    let former = device.it.offset
    device.it.isQuarantined = true
    quarantined += 1
    tally.clockFaults += 1
    var trouble = trouble(ofDevice: row)
    trouble.streak = ClockStreak()
    trouble.tolerable = ClockStreak()
    trouble.faults &+= 1
    keep(trouble, ofDevice: row)
    takeBase(row, low: lag)
    rebase(row, by: former)
    tellClock(row, isFault: true, lag, sequence: sequence, &out)
  }

  /// Follows a clock that was set: the times to come are smaller by a step back, larger by one ahead.
  ///
  /// What is first learnt of a clock is no step.
  private mutating func followStep(
    _ row: Int,
    from former: Int64,
    by lag: Int64,
    _ out: inout [Transition]
  ) {
    releaseAll(row, &out)
    var trouble = trouble(ofDevice: row)
    let streak = trouble.streak
    trouble.streak = ClockStreak()
    if devices.row(row).it.isKnown {
      tally.clockSteps += 1
      trouble.steps &+= 1
    }
    keep(trouble, ofDevice: row)
    takeBase(row, low: streak.low)
    rebase(row, by: former - streak.low, to: streak, lag)
  }

  /// Goes by the clock of a device that the plan guards no more, as far as its lag is known.
  ///
  /// What it had said in quarantine has receive times: to those all that comes from a clock that is behind would be late.
  mutating func leaveQuarantine(_ row: Int) {
    rebase(row, by: -devices.row(row).it.offset)
  }

  /// Moves a device's newest times and running delays to another time base.
  ///
  /// Where that is the clock of a streak, what came before may have waited for as long as any reading of it: what comes from
  /// its reading of this `lag` on is not late, and its distance to what came before is measured from the earliest that this
  /// may be of.
  private mutating func rebase(
    _ row: Int,
    by shift: Int64,
    to streak: ClockStreak? = nil,
    _ lag: Int64 = 0
  ) {
    let first = streak.map { now - max($0.greatest, lag) } ?? never
    let spread = streak?.spread ?? 0
    // Beyond the tolerance there was no base to speak of: the bank's detectors see a gap and no more. Backwards there is no
    // gap: they would take all readings for late ones until the clock is where it was.
    if shift < 0 || shift.magnitude <= UInt64(timing(ofDevice: row).tolerance) {
      let newest = newestTime(ofDevice: row)
      let isCut = newest + shift >= first
      var trouble = trouble(ofDevice: row)
      trouble.bankShift += newest - min(newest + shift, first - 1)
      trouble.bankShift += isCut ? max(spread, ClockGuard.leapMilliseconds) : spread
      keep(trouble, ofDevice: row)
    }
    for channel in channelRows(ofDevice: row) {
      let record = channels.row(Int(channel))
      record.it.key = (record.it.key | ChannelRecord.slow) & ~ChannelRecord.quarantined
      if devices.row(row).it.isQuarantined { record.it.key |= ChannelRecord.quarantined }
      if record.it.newest != noTime {
        let isCut = record.it.newest + shift >= first
        record.it.newest = min(record.it.newest + shift, first - 1)
        record.it.tail = record.it.head
        pasts[Int(channel)] = nil
        // What has to be cut off is at no known distance.
        let tie = Tie(
          stamp: record.it.newest - spread,
          newest: record.it.newest,
          first: isCut ? .nan : record.it.value
        )
        ties[Int(channel)] = isCut || spread > 0 ? tie : nil
      }
      leaps[Int(channel)] = nil
      blind[Int(channel)] = nil
      // Rules that read other channels have times where their own has none.
      for slot in links[Int(channel)].rules {
        let rule = rules.row(Int(slot))
        switch rule.it.phase {
        case .pendingOn, .pendingOff:
          rule.it.since += shift
        case .idle, .active:
          break
        }
        let newest = record.it.newest
        restartHistory(slot, at: newest != noTime ? newest : newestStepTime(of: slot) + shift)
      }
    }
    rearm(ofDevice: row)
  }

  /// Where a rule's condition stands, as a step at `time`.
  func stateNow(_ slot: UInt32, at time: Int64) -> PhaseChange {
    let record = rules.row(Int(slot))
    return PhaseChange(
      time: time,
      phase: record.it.phase,
      since: record.it.since,
      onset: record.it.onset,
      start: newestStep(of: slot)?.start ?? record.it.onset
    )
  }

  /// Forgets a rule's steps: what was before is not judged again.
  mutating func restartHistory(_ slot: UInt32, at time: Int64) {
    guard history(of: slot).hasSteps else { return }
    let state = stateNow(slot, at: time)
    histories.restart(historyRow(slot), state)
  }

  /// Lets the device's rules on its clock know.
  private mutating func tellClock(
    _ row: Int,
    isFault: Bool,
    _ lag: Int64,
    sequence: UInt64,
    _ out: inout [Transition]
  ) {
    for channel in channelRows(ofDevice: row) {
      for slot in links[Int(channel)].rules
      where parameters.row(Int(slot)).it.kind == .clock {
        let tolerance = Double(timing(ofDevice: row).tolerance) * 1e-3
        var moment = Moment(
          time: now,
          received: now,
          sequence: sequence,
          value: Double(-lag) * 1e-3
        )
        moment.limit = lag > 0 ? -tolerance : tolerance
        follow(slot, Verdict(on: isFault, off: !isFault), moment, &out)
      }
    }
  }

  /// Takes the lag of a reading into the device's clock estimate and refreshes the channel's key.
  mutating func observeLag(_ channel: Int, _ lag: Int64) {
    let record = channels.row(channel)
    let row = Int(links[channel].device)
    let device = devices.row(row)
    let former = device.it.offset
    device.it.turn(to: epoch, closing: drifts.row(row))
    if lag < device.it.currentLow { device.it.currentLow = lag }
    if device.it.offset < former { rearm(ofDevice: row) }
    let reasons = record.it.key & 0xffff & ~ChannelRecord.slow
    record.it.key = fastKey | reasons
    if let low = Int32(exactly: device.it.currentLow),
      device.it.offset <= timing(ofDevice: row).tolerance
    {
      record.it.lagLow = low
    } else {
      // A lag beyond the tolerance is for the guard to look at, every time.
      record.it.key |= ChannelRecord.slow
    }
  }
}

extension DeviceRecord {
  /// Begins a new epoch when it is due; the one that ends goes into the drift.
  mutating func turn(to epoch: Int64, closing drift: Row<DriftRecord>) {
    let epoch = Int32(truncatingIfNeeded: epoch)
    guard self.epoch != epoch else { return }
    if currentLow != never {
      drift.it.close(epoch: self.epoch, low: currentLow)
      previousLow = currentLow
    }
    currentLow = never
    self.epoch = epoch
  }
}
