import Telemetry

/// The clock guard.
///
/// Of each device the engine keeps the least lag (receive − event time) of this and the last epoch of
/// ten minutes. It estimates skew and least transport delay together (readings that waited somewhere have a
/// larger lag, never a smaller one); the change of the minima over one to two days estimates drift.
///
/// A clock is at fault when
/// - a reading comes from the future: lag below −tolerance. One is enough, for nothing else can make it; or
/// - a *streak* of readings that are late or have a lag above the tolerance keeps pace with receive time:
///   at least ``ClockGuard/streakReadings`` readings over ``ClockGuard/streakMilliseconds``, whose lags spread by
///   at most an eighth of that time, while no reading of the device came in order and in time. Back-filled
///   data do not keep pace: they come faster than they were measured. A shuffling source has orderly
///   readings in between. A clock that *stands still* makes such a streak too: event times that spread by at
///   most an eighth of the receive time, with values that are not repeated.
///
/// A device at fault is in *quarantine*: its readings are given the receive time, its rules go on, and its rule of
/// kind ``Detector/clockFault`` is true. It leaves quarantine when readings over
/// ``ClockGuard/recoveryMilliseconds`` keep pace and all lie within half of the tolerance. A clock that was set back by
/// less than the tolerance is followed without an alarm, by the same streak, and counted.
///
/// Where the time base changes, newest times and running delays move with it, so that a delay runs out at the
/// same receive time as before; occurrences keep their onset. Historical and receive-timed readings, and the
/// backlog after a lost link, say nothing of a clock (but the future is the future in any case).
enum ClockGuard {
  /// Readings that a streak needs.
  static let streakReadings: UInt32 = 3
  /// Receive time that a streak must last.
  static let streakMilliseconds: Int64 = 10_000
  /// Receive time over which the clock must be right to leave quarantine.
  static let recoveryMilliseconds: Int64 = 60_000
}

extension DeviceRecord {
  var isQuarantined: Bool {
    get { state & 1 != 0 }
    set { state = newValue ? state | 1 : state & ~1 }
  }

  /// The guard is off: replay sources have no clock to be held against.
  var isUnguarded: Bool { tolerance == DevicePlan.unguarded }
}

extension Engine {
  /// What is known of a device's clock, by its row in the plan; nil for no such row.
  public func clock(ofDevice row: UInt32) -> DeviceClock? {
    guard Int(row) < devices.count else { return nil }
    let device = devices.row(Int(row))
    let clock = clocks.row(Int(row))
    let low = min(device.it.previousLow, device.it.currentLow)
    return DeviceClock(
      skewMilliseconds: low == never ? nil : -low,
      driftPartsPerMillion: clock.it.driftPartsPerMillion,
      toleranceMilliseconds: device.it.isUnguarded ? nil : device.it.tolerance,
      isQuarantined: device.it.isQuarantined,
      faults: clock.it.faults,
      steps: clock.it.steps
    )
  }

  /// Devices in quarantine, counted.
  public var quarantinedDevices: Int { quarantined }

  /// Holds a reading's time against the receive time; the time that the reading is judged at.
  mutating func watchClock(
    _ channel: Int,
    _ reading: Reading,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) -> Int64 {
    let time = reading.time.milliseconds
    let row = Int(links[channel].device)
    let device = devices.row(row)
    if reading.flags.contains(.receiveTimed) {
      return device.it.isQuarantined ? receiveTime(channel) : time
    }
    let lag = now - time
    if device.it.isQuarantined {
      watchRecovery(row, lag, &out)
      // The reading that ends the quarantine is the first that is believed.
      return device.it.isQuarantined ? receiveTime(channel) : time
    }
    if lag < -device.it.tolerance, !device.it.isUnguarded {
      clocks.row(row).it.endStreak()
      quarantine(row, lag, sequence, &out)
      return receiveTime(channel)
    }
    let newest = channels.row(channel).it.newest
    let isInOrder = time > newest
    if isInOrder { observeLag(channel, lag) }
    guard !device.it.isUnguarded else { return time }
    let clock = clocks.row(row)
    guard !isInOrder || lag > device.it.tolerance else {
      if clock.it.streakCount > 0 { clock.it.endStreak() }
      return time
    }
    guard !isBacklog, !isDuplicate(reading, channels.row(channel)) else { return time }
    clock.it.lengthenStreak(lag: lag, at: now, sequence)
    guard clock.it.streakCount >= ClockGuard.streakReadings,
      now - clock.it.streakStart >= ClockGuard.streakMilliseconds,
      clock.it.keepsPace(at: now) || clock.it.standsStill(at: now)
    else { return time }
    if device.it.offset <= device.it.tolerance, hasTimelyReading(row, since: clock.it) {
      clock.it.endStreak()
      return time
    }
    if lag > device.it.tolerance || clock.it.standsStill(at: now) {
      quarantine(row, lag, sequence, &out)
      return receiveTime(channel)
    }
    followStep(row, &out)
    return time
  }

  /// The receive time as a time for a channel's next reading: after the one before, for the readings of one message
  /// keep their order.
  private func receiveTime(_ channel: Int) -> Int64 {
    max(now, channels.row(channel).it.newest + 1)
  }

  /// Whether any channel of a device has taken a reading in order and in time since a streak began.
  private func hasTimelyReading(_ row: Int, since streak: ClockRecord) -> Bool {
    let earliest = streak.streakStart - devices.row(row).it.tolerance
    return channelRows(ofDevice: row).contains { channel in
      let record = channels.row(Int(channel))
      return record.it.sequence >= streak.streakSequence && record.it.newest >= earliest
    }
  }

  /// The rows of a device's channels.
  func channelRows(ofDevice row: Int) -> ArraySlice<UInt32> {
    channelsOfDevices[Int(firstOfDevice[row])..<Int(firstOfDevice[row + 1])]
  }

  private mutating func watchRecovery(_ row: Int, _ lag: Int64, _ out: inout [Transition]) {
    let device = devices.row(row)
    let clock = clocks.row(row)
    device.it.turn(to: epoch, closing: clock)
    device.it.currentLow = min(device.it.currentLow, lag)
    guard lag.magnitude <= UInt64(device.it.tolerance / 2) else {
      clock.it.endStreak()
      return
    }
    clock.it.lengthenStreak(lag: lag, at: now, 0)
    guard clock.it.streakCount >= ClockGuard.streakReadings,
      now - clock.it.streakStart >= ClockGuard.recoveryMilliseconds, clock.it.keepsPace(at: now)
    else { return }
    let low = clock.it.streakLow
    clock.it.endStreak()
    clock.it.dropAnchors()
    tellClock(row, isFault: false, lag, sequence: 0, &out)
    device.it.isQuarantined = false
    quarantined -= 1
    device.it.previousLow = never
    device.it.currentLow = low
    rebase(row, by: -low)
  }

  private mutating func quarantine(
    _ row: Int,
    _ lag: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) {
    let device = devices.row(row)
    let clock = clocks.row(row)
    releaseAll(row, &out)
    let former = device.it.offset
    device.it.isQuarantined = true
    quarantined += 1
    tally.clockFaults += 1
    clock.it.faults &+= 1
    clock.it.endStreak()
    clock.it.dropAnchors()
    device.it.previousLow = never
    device.it.currentLow = lag
    rebase(row, by: former)
    tellClock(row, isFault: true, lag, sequence: sequence, &out)
  }

  /// Follows a clock that was set back: the times to come are smaller by the step.
  private mutating func followStep(_ row: Int, _ out: inout [Transition]) {
    let device = devices.row(row)
    let clock = clocks.row(row)
    releaseAll(row, &out)
    let former = device.it.offset
    tally.clockSteps += 1
    clock.it.steps &+= 1
    device.it.previousLow = never
    device.it.currentLow = clock.it.streakLow
    clock.it.endStreak()
    clock.it.dropAnchors()
    rebase(row, by: former - device.it.currentLow)
  }

  /// Moves a device's newest times and running delays to another time base.
  private mutating func rebase(_ row: Int, by shift: Int64) {
    // Beyond the tolerance there was no base to speak of: the bank's detectors see a gap and no more.
    if shift.magnitude <= UInt64(devices.row(row).it.tolerance) {
      clocks.row(row).it.bankShift -= shift
    }
    for channel in channelRows(ofDevice: row) {
      let record = channels.row(Int(channel))
      record.it.key = (record.it.key | ChannelRecord.slow) & ~ChannelRecord.quarantined
      if devices.row(row).it.isQuarantined { record.it.key |= ChannelRecord.quarantined }
      guard record.it.newest != noTime else { continue }
      record.it.newest += shift
      record.it.tail = record.it.head
      pasts[Int(channel)] = nil
      let link = links[Int(channel)]
      for slot in link.firstRule..<link.firstRule &+ link.ruleCount {
        let rule = rules.row(Int(slot))
        switch rule.it.phase {
        case .pendingOn, .pendingOff:
          rule.it.since += shift
        case .idle, .active:
          break
        }
        restartHistory(slot, at: record.it.newest)
      }
    }
  }

  /// Where a rule's condition stands, as a step at `time`.
  func stateNow(_ slot: UInt32, at time: Int64) -> PhaseChange {
    let record = rules.row(Int(slot))
    return PhaseChange(
      time: time,
      phase: record.it.phase,
      since: record.it.since,
      onset: record.it.onset,
      start: histories[Int(slot)].changes.last?.start ?? record.it.onset
    )
  }

  /// Forgets a rule's steps: what was before is not judged again.
  private mutating func restartHistory(_ slot: UInt32, at time: Int64) {
    guard !histories[Int(slot)].changes.isEmpty else { return }
    let now = stateNow(slot, at: time)
    histories[Int(slot)].restart(now)
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
      let link = links[Int(channel)]
      for slot in link.firstRule..<link.firstRule &+ link.ruleCount
      where parameters.row(Int(slot)).it.kind == .clock {
        let tolerance = Double(devices.row(row).it.tolerance) * 1e-3
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
    device.it.turn(to: epoch, closing: clocks.row(row))
    if lag < device.it.currentLow { device.it.currentLow = lag }
    let reasons = record.it.key & 0xffff & ~ChannelRecord.slow
    record.it.key = fastKey | reasons
    if let low = Int32(exactly: device.it.currentLow), device.it.offset <= device.it.tolerance {
      record.it.lagLow = low
    } else {
      // A lag beyond the tolerance is for the guard to look at, every time.
      record.it.key |= ChannelRecord.slow
    }
  }
}

extension DeviceRecord {
  /// Begins a new epoch when it is due; the one that ends goes into the drift.
  mutating func turn(to epoch: Int64, closing clock: Row<ClockRecord>) {
    guard self.epoch != epoch else { return }
    if currentLow != never {
      clock.it.close(epoch: self.epoch, low: currentLow)
      previousLow = currentLow
    }
    currentLow = never
    self.epoch = epoch
  }
}
