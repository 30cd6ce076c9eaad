public import Telemetry

extension Engine {
  /// Advances to the batch's receive time, then judges its readings in order.
  ///
  /// The transitions are appended to `out`: those of deadlines first, by time and rule, then those of
  /// each reading by rule.
  public mutating func apply(_ batch: borrowing ReadingBatch, into out: inout [Transition]) {
    isBacklog = batch.isBacklog
    arrive(batch, into: &out)
    var tap = NoTap()
    applyReadings(batch, &tap, &out)
    if !isBacklog { armAgain() }
  }

  /// Does what ``apply(_:into:)`` does and adds up the window statistics after every reading.
  public mutating func apply(
    _ batch: borrowing ReadingBatch,
    into out: inout [Transition],
    windows: inout WindowTotals
  ) {
    isBacklog = batch.isBacklog
    arrive(batch, into: &out)
    applyReadings(batch, &windows, &out)
    if !isBacklog { armAgain() }
  }

  @inline(__always)
  private mutating func applyReadings<Tap: WindowTap>(
    _ batch: borrowing ReadingBatch,
    _ tap: inout Tap,
    _ out: inout [Transition]
  ) {
    tally.readings += UInt64(batch.count)
    guard let columns = unsafe BatchColumns(batch) else { return }
    let areKnown = columns.greatestChannel < channels.count
    if areKnown { prefetchFirst(columns) }
    var first = 0
    while first < columns.count {
      let end = min(first + Self.stretch, columns.count)
      let isPlain = areKnown && columns.arePlain(first..<end)
      while first < end {
        if isPlain {
          first =
            hasManyWindows
            ? applyPlain(columns, first..<end, &tap, &out, ManyWindows.self)
            : applyPlain(columns, first..<end, &tap, &out, FewWindows.self)
        }
        guard first < end else { break }
        if areKnown { prefetchSlow(columns, first, isPlain: isPlain) }
        // Where the plain way stops, or is closed, one reading takes the other.
        if take(columns, first, &out) {
          let record = channels.row(columns.channel(first))
          tap.add(record, profiles.row(Int(record.it.profile)))
        }
        order.note(.reading(first), out.count)
        first += 1
      }
    }
  }

  /// Judges readings of known channels and normal status as long as they are orderly, timely and calm;
  /// returns the first that is not.
  @inline(__always)
  private mutating func applyPlain<Tap: WindowTap, Hint: WindowHint>(
    _ columns: BatchColumns,
    _ range: Range<Int>,
    _ tap: inout Tap,
    _ out: inout [Transition],
    _ hint: Hint.Type
  ) -> Int {
    // Begun afresh, so that its sums can live in registers.
    var local = Tap()
    let received = now
    let fastKey = fastKey
    let (records, profiles) = unsafe (channels.rows, self.profiles.rows)
    let ring = unsafe ring.rows
    let limit = Self.lookaheadLimit(columns)
    var index = range.lowerBound
    while index < range.upperBound {
      unsafe Self.lookAhead(columns, index, limit, records, profiles, ring, hint)
      let time = columns.time(index)
      let value = columns.value(index)
      let record = unsafe records[columns.channel(index)]
      let profile = unsafe profiles[Int(record.it.profile)]
      // Newer than the newest and not by too much, at a lag that says nothing new of the clock,
      // and within the span that changes no limit: then nothing but arithmetic is left to do.
      let gap = time &- record.it.newest
      let isOrderly = UInt64(bitPattern: gap &- 1) < UInt64(profile.it.maxGap)
      let lag = received &- time
      let isTimely = lag >= Int64(record.it.lagLow) && lag <= Int64(profile.it.greatestLag)
      guard
        record.it.key == fastKey && isOrderly && isTimely && record.it.calmLow <= value
          && value <= record.it.calmHigh
      else { break }
      let measured = unsafe measure(
        record,
        profile,
        in: ring,
        time,
        value,
        hasPrevious: true,
        elapsed: gap
      )
      if _slowPath(measured.bits != record.it.conditions || measured.isResumDue) {
        conclude(columns, index, measured, &out)
      } else {
        record.it.newest = time
        record.it.value = value
        record.it.sequence = columns.sequence(index)
      }
      local.add(record, profile)
      index &+= 1
    }
    tap.merge(local)
    return index
  }

  /// Does what a plain reading seldom asks for, outside the loop, which keeps its registers for what every reading asks for:
  /// looks for the window's extremes again, and judges the rules when one of the fast conditions has changed.
  @inline(never)
  private mutating func conclude(
    _ columns: BatchColumns,
    _ index: Int,
    _ measured: Measured,
    _ out: inout [Transition]
  ) {
    let channel = columns.channel(index)
    let record = channels.row(channel)
    let (time, value) = (columns.time(index), columns.value(index))
    if measured.needsKeeping {
      keepWindow(record, profiles.row(Int(record.it.profile)), measured)
    }
    let hasChanged = measured.conditions != record.it.conditions
    if hasChanged { fireDeadlines(of: channel, before: time, &out) }
    record.it.newest = time
    record.it.value = value
    record.it.sequence = columns.sequence(index)
    guard hasChanged else { return }
    record.it.conditions = measured.conditions
    judge(channel, at: time, value, record.it.sequence, now, &out)
    order.note(.reading(index), out.count)
  }

  /// A span that no value lies in: the next reading is looked at in full.
  ///
  /// While a delay runs on any rule of a channel, each of its readings shows how far the device's clock has come, so each may
  /// end the delay: none may pass by.
  static var noCalm: (low: Double, high: Double) { (.infinity, -.infinity) }

  /// How many readings are looked over at once for anything special.
  private static var stretch: Int { 256 }

  /// The way of every reading that is not plainly in order; true when its value was judged.
  @inline(never)
  private mutating func take(
    _ columns: BatchColumns,
    _ index: Int,
    _ out: inout [Transition]
  ) -> Bool {
    let reading = columns.reading(index)
    let sequence = columns.sequence(index)
    let channel = Int(reading.channel.rawValue)
    let time = reading.time.milliseconds
    guard channel < channels.count else {
      tally.unknownChannels += 1
      return false
    }
    guard Self.believedTimes.contains(time) else {
      tally.timesOutOfRange += 1
      return false
    }
    guard !reading.flags.contains(.historical) else {
      tally.historical += 1
      return false
    }
    guard !isRepeatedLeap(reading) || time <= now else {
      tally.duplicates += 1
      return false
    }
    let judged = watchClock(columns, index, &out)
    defer { isSqueezed = false }
    guard isHeld(Int(links[channel].device)) else {
      return judgeReading(reading, at: judged, sequence, &out)
    }
    hold(reading, at: judged, sequence, &out)
    return false
  }

  /// Judges a reading at an event time that the clock guard has passed; true when its value was judged.
  mutating func judgeReading(
    _ reading: Reading,
    at time: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) -> Bool {
    let channel = Int(reading.channel.rawValue)
    let record = channels.row(channel)
    guard time <= record.it.newest else { return judgeNewest(reading, at: time, sequence, &out) }
    guard takesTie(reading, at: time) else {
      takeLate(reading, at: time, sequence, &out)
      return false
    }
    nudge = record.it.newest + 1 - time
    defer { nudge = 0 }
    return judgeNewest(reading, at: record.it.newest + 1, sequence, &out)
  }

  private mutating func judgeNewest(
    _ reading: Reading,
    at time: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) -> Bool {
    let channel = Int(reading.channel.rawValue)
    let record = channels.row(channel)
    // Of a moment with several readings the next one's change is measured from the first.
    let before = tie(of: channel)
    fireDeadlines(of: channel, before: time, &out)
    if links[channel].dependentCount > 0 { endSilence(of: channel, before: time, &out) }
    let gap = time &- record.it.newest
    record.it.newest = time
    record.it.sequence = sequence
    record.it.status = reading.status.rawValue
    if gap > Int64(Profile.longestGap) { record.it.tail = record.it.head }
    var use = reading.status.use
    if !reading.value.isFinite {
      tally.notFinite += 1
      use = .noValue
    }
    switch use {
    case .evaluate: break
    case .recordOnly, .noValue:
      if use == .recordOnly { tally.recordedOnly += 1 } else { tally.withoutValue += 1 }
      // The next value has nothing to be compared with, and must come this way.
      record.it.value = .nan
      record.it.key |= ChannelRecord.gap
      forgetOldWindow(record)
      dropPendingDelays(of: channel, at: time)
      remember(channel, time, .nan)
      judgeGapAgain(channel, at: time, sequence, &out)
      judgeArrival(channel, at: time, sequence, &out)
      informDependents(of: channel, at: time, nil, sequence, &out)
      return false
    }
    let profile = profiles.row(Int(record.it.profile))
    // Readings of one moment, or that had to be given times one after the other, have no distance to compare over.
    let isTie = nudge > 0 || isSqueezed
    let hasPrevious = !record.it.value.isNaN && gap <= Int64(Profile.longestGap) && !isTie
    if let before, !isTie { record.it.value = before.first }
    let measured = unsafe measure(
      record,
      profile,
      in: ring.rows,
      time,
      reading.value,
      hasPrevious: hasPrevious && !record.it.value.isNaN,
      elapsed: before.map { time - $0.stamp } ?? gap
    )
    if measured.needsKeeping { keepWindow(record, profile, measured) }
    record.it.conditions = measured.conditions
    record.it.value = reading.value
    record.it.key &= ~(ChannelRecord.gap | ChannelRecord.marked)
    if reading.status != .normal { record.it.key |= ChannelRecord.marked }
    judge(channel, at: time, reading.value, sequence, now, &out)
    informDependents(of: channel, at: time, reading.value, sequence, &out)
    return true
  }

  private mutating func takeLate(
    _ reading: Reading,
    at time: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) {
    if isDuplicate(reading, Int(reading.channel.rawValue)) {
      tally.duplicates += 1
    } else {
      tally.late += 1
      judgeLate(reading, at: time, sequence, &out)
    }
  }

  /// Whether a reading says what the channel's newest has said; where that had no value, one that has none either.
  func isDuplicate(_ reading: Reading, _ channel: Int) -> Bool {
    let record = channels.row(channel)
    let isValue = reading.status.use == .evaluate && reading.value.isFinite
    return reading.time.milliseconds == moment(of: channel).stamp
      && reading.status.rawValue == record.it.status
      && (isValue ? reading.value == record.it.value : record.it.value.isNaN)
  }

  /// Gives every rule of a channel the newest value to judge, in the plan's order.
  @inline(never)
  private mutating func judge(
    _ channel: Int,
    at time: Int64,
    _ value: Double,
    _ sequence: UInt64,
    _ received: Int64,
    _ out: inout [Transition]
  ) {
    let record = channels.row(channel)
    let link = links[channel]
    let greatest = Double.greatestFiniteMagnitude
    var calm = (low: -greatest, high: greatest)
    (record.it.calmLow, record.it.calmHigh) = calm
    var moment = Moment(time: time, received: received, sequence: sequence, value: value)
    for slot in link.firstRule..<link.firstRule &+ link.ruleCount {
      let rule = parameters.row(Int(slot))
      let verdict: Verdict
      moment.limit = .nan
      switch rule.it.kind {
      case .limit, .physicalRange:
        if newestStepTime(of: slot) > time {
          // As long as readings are older than what a deadline decided, each of them asks this.
          calm = Self.noCalm
          if judgeAgain(slot, channel, moment, &out) { continue }
        }
        verdict = rule.it.verdict(value)
      case .rate:
        let isTrue = record.it.conditions & ChannelRecord.rateBit != 0
        verdict = Verdict(on: isTrue, off: !isTrue)
      case .ewma:
        let isTrue = record.it.conditions & ChannelRecord.ewmaBit != 0
        verdict = Verdict(on: isTrue, off: !isTrue)
      case .stale:
        verdict = Verdict(on: false, off: true)
        armStale(slot, channel)
      case .reported:
        verdict = Verdict(status(of: channel))
      case .clock, .group, .cascade:
        if rules.row(Int(slot)).it.phase.isPending { calm = Self.noCalm }
        continue
      case .single:
        let place = places[Int(rule.it.number)]
        let phase = rules.row(Int(slot)).it.phase
        let finding = bank.step(
          place,
          time: time + bankShift(slot),
          value: value,
          isFrozen: phase == .active || phase == .pendingOff
        )
        verdict = Verdict(finding?.condition ?? .unknown)
        moment.limit = finding?.limit ?? .nan
      }
      follow(slot, verdict, moment, &out)
      let phase = rules.row(Int(slot)).it.phase
      if phase.isPending {
        calm = Self.noCalm
        continue
      }
      let span = rule.it.calm(value, phase: phase)
      calm.low = max(calm.low, span.low)
      calm.high = min(calm.high, span.high)
    }
    // A rule that was passed may have come to a delay by another: then the span is closed, and stays so.
    record.it.calmLow = max(record.it.calmLow, calm.low)
    record.it.calmHigh = min(record.it.calmHigh, calm.high)
  }

  /// What the source has said of a channel's newest reading.
  private func status(of channel: Int) -> SourceStatus {
    // (Readings of the plain way do not write it: they are normal, and come after one that is.)
    SourceStatus(rawValue: channels.row(channel).it.status) ?? .unknown
  }

  /// A reading without a usable value has arrived: staleness ends, and its status may report why there is none.
  private mutating func judgeArrival(
    _ channel: Int,
    at time: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) {
    let link = links[channel]
    let moment = Moment(time: time, received: now, sequence: sequence, value: .nan)
    for slot in link.firstRule..<link.firstRule &+ link.ruleCount {
      switch parameters.row(Int(slot)).it.kind {
      case .stale:
        armStale(slot, channel)
        follow(slot, Verdict(on: false, off: true), moment, &out)
      case .reported:
        follow(slot, Verdict(status(of: channel)), moment, &out)
      case .limit, .physicalRange, .rate, .ewma, .clock, .single, .group, .cascade:
        continue
      }
    }
  }
}
