public import Telemetry

/// What late data make of a decision that was told.
///
/// A late reading is judged again where the channel keeps a window (``ChannelPlan/window``) and the reading is
/// newer than the window's oldest sample: the rules of kind ``Detector/limit(_:)`` and
/// ``Detector/physicalRange(low:high:)`` are then judged over the window's readings and all late ones, in the
/// order of event time, with the same delays, gaps and staleness. Every difference to what was told is a transition of
/// kind ``TransitionKind/revised`` under the name (onset) of the decision that it changes.
///
/// A revision speaks of the past. Where by all readings the *present* is another too, the alarm follows after it: one
/// that stands is raised (a revision alone would leave it without annunciation, call-out and hazard: a missed alarm), one
/// that does not returns, which leaves it to be acknowledged (left standing under a name that the ledger calls unfounded,
/// it would hide the next one of the rule), and one that has been told to have returned but stands is annunciated again.
/// The newest reading is never overruled: a rule without delays whose newest value is beyond its set-point stands,
/// whatever late readings say. Delays that still run follow the readings in order.
///
/// Not judged again: what is older than the window or than the newest 32 steps of a rule's condition; a late reading at
/// the very time of another (of the newest moment all are judged, see ``Tie``); detectors that learn or keep a state of their own, and expressions; staleness, for the
/// silence was real; historical readings; and anything from before a change of the device's time base or of the
/// rule's figures.
public struct Revision: Hashable, Sendable {
  /// What became of the decision.
  public enum Verdict: UInt8, CaseIterable, Hashable, Sendable {
    /// An alarm that was not raised would have been; if it stands, it has been raised just before.
    case missed
    /// An alarm that was raised would not have been.
    case unfounded
    /// The alarm would have begun, been raised or returned at another time.
    case moved
  }

  /// What became of the decision.
  public var verdict: Verdict
  /// When the condition became true, by all readings; nil for ``Verdict/unfounded``.
  public var start: Timestamp?
  /// When the alarm would have been raised; nil for ``Verdict/unfounded``, and where that was before the window.
  public var raised: Timestamp?
  /// When it would have returned; nil while it stands.
  public var returned: Timestamp?
}

extension Engine {
  /// Judges a late reading, if it can still be judged, against what was decided without it.
  mutating func judgeLate(
    _ reading: Reading,
    at time: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) {
    let channel = Int(reading.channel.rawValue)
    let record = channels.row(channel)
    let floor = pasts[channel]?.floor ?? noTime
    guard let sample = oldestSample(record), time > sample, time > floor,
      time < record.it.newest
    else {
      tally.lateUnjudged += 1
      return
    }
    let oldest = max(sample, floor)
    var samples = history(of: channel, since: oldest)
    guard let place = samples.firstIndex(where: { $0.time >= time }), samples[place].time > time
    else {
      tally.lateUnjudged += 1
      return
    }
    let isValue = reading.status.use == .evaluate && reading.value.isFinite
    let value = isValue ? reading.value : Double.nan
    samples.insert(Rejudge.Sample(time: time, value: value), at: place)
    remember(channel, time, value)
    var isJudged = true
    for slot in links[channel].rules
    where parameters.row(Int(slot)).it.isRevisable {
      let moment = Moment(time: time, received: now, sequence: sequence, value: reading.value)
      if !rejudge(slot, samples, from: oldest, moment, &out) { isJudged = false }
    }
    if isJudged { tally.lateJudged += 1 } else { tally.lateUnjudged += 1 }
    // The condition may stand elsewhere now: the next reading is looked at in full.
    closeCalm(of: channel)
  }

  /// Judges a rule anew where its channel's newest reading is older than what was decided by a deadline already;
  /// false when the channel keeps no window to do so.
  mutating func judgeAgain(
    _ slot: UInt32,
    _ channel: Int,
    _ moment: Moment,
    _ out: inout [Transition]
  ) -> Bool {
    let record = channels.row(channel)
    guard let sample = oldestSample(record) else { return false }
    let oldest = max(sample, pasts[channel]?.floor ?? noTime)
    guard oldest < moment.time else { return false }
    return rejudge(slot, history(of: channel, since: oldest), from: oldest, moment, &out)
  }

  /// Judges a channel's rules anew where a reading without a value is older than what was decided already.
  mutating func judgeGapAgain(
    _ channel: Int,
    at time: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) {
    let moment = Moment(time: time, received: now, sequence: sequence, value: .nan)
    for slot in links[channel].rules
    where parameters.row(Int(slot)).it.isRevisable {
      guard newestStepTime(of: slot) > time else { continue }
      if judgeAgain(slot, channel, moment, &out) { closeCalm(of: channel) }
    }
  }

  /// Keeps a reading that is in no window; only for channels that have one.
  mutating func remember(_ channel: Int, _ time: Int64, _ value: Double) {
    let record = channels.row(channel)
    let profile = profiles.row(Int(record.it.profile))
    guard profile.it.features & Profile.window != 0 else { return }
    let oldest = oldestSample(record) ?? time
    var past = pasts.removeValue(forKey: channel) ?? ChannelPast()
    past.extras.removeAll { $0.time <= oldest }
    past.add(ChannelPast.Extra(time: time, value: value), capacity: Int(profile.it.ringMask) + 1)
    pasts[channel] = past
  }

  /// Event time of the oldest sample in a channel's window; nil when it has none.
  private func oldestSample(_ record: Row<ChannelRecord>) -> Int64? {
    let profile = profiles.row(Int(record.it.profile))
    guard profile.it.features & Profile.window != 0, record.it.head != record.it.tail else {
      return nil
    }
    return sampleTime(record, profile, record.it.tail)
  }

  /// The full time behind the 32 bits that the ring keeps.
  private func sampleTime(
    _ record: Row<ChannelRecord>,
    _ profile: Row<Profile>,
    _ position: UInt32
  ) -> Int64 {
    let mask = profile.it.ringMask
    let word = unsafe ring.words(at: Int(record.it.ring), after: Int(mask) + 1)[
      Int(position & mask)
    ]
    let age = UInt32(truncatingIfNeeded: record.it.newest) &- word
    return record.it.newest - Int64(age)
  }

  /// The readings of a channel after a time, in order.
  private func history(of channel: Int, since oldest: Int64) -> [Rejudge.Sample] {
    let record = channels.row(channel)
    let profile = profiles.row(Int(record.it.profile))
    let values = unsafe ring.doubles(at: Int(record.it.ring))
    var samples: [Rejudge.Sample] = []
    var position = record.it.tail
    while position != record.it.head {
      let time = sampleTime(record, profile, position)
      let value = unsafe values[Int(position & profile.it.ringMask)]
      if time > oldest { samples.append(Rejudge.Sample(time: time, value: value)) }
      position &+= 1
    }
    for extra in pasts[channel]?.extras ?? [] where extra.time > oldest {
      let place = samples.firstIndex { $0.time > extra.time } ?? samples.count
      samples.insert(Rejudge.Sample(time: extra.time, value: extra.value), at: place)
    }
    return samples
  }

  /// Judges a rule anew from a time on, or from where its steps are known; false when the moment is not after that.
  private mutating func rejudge(
    _ slot: UInt32,
    _ samples: [Rejudge.Sample],
    from earliest: Int64,
    _ moment: Moment,
    _ out: inout [Transition]
  ) -> Bool {
    var moment = moment
    let time = moment.time
    let rule = parameters[Int(slot)]
    let oldest = max(earliest, history(of: slot).knownFrom)
    guard oldest < time else { return false }
    let steps = steps(of: slot)
    let initial = steps.state(at: oldest)
    var judge = Rejudge(
      rule,
      staleAfter: Int64(links[Int(rule.channel)].staleAfter),
      from: initial,
      at: oldest
    )
    for sample in samples where sample.time > oldest { judge.take(sample) }
    // What was decided stays decided, although the device's usual lag may have grown since.
    let decided = (steps.last?.time ?? noTime) + 1
    judge.settle(before: max(fired - offset(of: rule.channel), decided))
    guard judge.changes != Array(steps.after(oldest)) else { return true }
    let before = JudgedOccurrence.all(from: initial, steps.after(oldest))
    var changes = judge.changes
    let after = JudgedOccurrence.all(from: initial, changes)
    let pairs = pair(before, after)
    // An occurrence keeps the name that it was told under, and no other gets it.
    var names = Set(steps.map(\.onset) + [rules.row(Int(slot)).it.onset])
    var named: [Int64: Int64] = [:]
    for (old, new) in pairs.same + pairs.moved { named[new.start] = old.onset }
    for new in pairs.fresh {
      var name = new.start
      while !names.insert(name).inserted { name += 1 }
      named[new.start] = name
    }
    for index in changes.indices {
      if let name = named[changes[index].start] { changes[index].onset = name }
    }
    histories.replaceSteps(of: historyRow(slot), after: oldest, with: changes)
    for old in pairs.gone {
      tellRevision(slot, old.onset, Revision(verdict: .unfounded), moment, &out)
    }
    for (old, new) in pairs.moved {
      tellRevision(slot, old.onset, Revision(.moved, new), moment, &out)
    }
    for new in pairs.fresh where new.returned != never {
      tellRevision(slot, named[new.start] ?? new.start, Revision(.missed, new), moment, &out)
    }
    let end = changes.last ?? initial
    let record = rules.row(Int(slot))
    let isStanding = record.it.isActive
    let stands = end?.isActive ?? false
    let former = record.it.onset
    let isAnother = stands && end?.onset != former
    record.it.phase = isStanding ? .active : .idle
    record.it.sinceSequence = moment.sequence
    if isStanding, !stands || isAnother {
      moment.time = pairs.moved.first { $0.0.onset == former }?.1.returned ?? time
      record.it.since = end?.since ?? time
      calm(slot, moment, &out)
    }
    if stands, !isStanding || isAnother, let end, let new = after.last {
      record.it.since = end.onset
      moment.time = max(new.raised, new.start)
      let wasTold = before.contains { $0.onset == end.onset }
      _ = histories[historyRow(slot)].noteRaise(at: moment.time)
      annunciate(slot, moment, isAnother: isAnother, wasTold: wasTold, &out)
      if !wasTold { tellRevision(slot, end.onset, Revision(.missed, new), moment, &out) }
    }
    guard let end else { return true }
    record.it.phase = end.phase
    record.it.since = end.since
    switch end.phase {
    case .pendingOn: arm(.onDelay, slot, at: end.since + rule.onDelay, isSooner: true)
    case .pendingOff: arm(.offDelay, slot, at: end.since + rule.offDelay, isSooner: true)
    case .idle, .active: break
    }
    return true
  }

  private struct Pairs {
    var same: [(JudgedOccurrence, JudgedOccurrence)] = []
    var moved: [(JudgedOccurrence, JudgedOccurrence)] = []
    var gone: [JudgedOccurrence] = []
    var fresh: [JudgedOccurrence] = []
  }

  /// Finds what was told among what should have been: the newest told in what stands now, then by beginning, then by
  /// the time that both stand in.
  private func pair(_ before: [JudgedOccurrence], _ after: [JudgedOccurrence]) -> Pairs {
    var pairs = Pairs()
    var rest = after
    var open = before
    func match(_ old: JudgedOccurrence, _ new: JudgedOccurrence) {
      if new.start == old.start, new.raised == old.raised, new.returned == old.returned {
        pairs.same.append((old, new))
      } else {
        pairs.moved.append((old, new))
      }
    }
    // (One that stood before the window began keeps the name that it has there.)
    if let old = before.last, let new = after.last, new.returned == never, new.raised != .min,
      old.overlaps(new), !after.dropLast().contains(where: { $0.start == old.start })
    {
      match(old, new)
      open.removeLast()
      rest.removeLast()
    }
    open.removeAll { old in
      guard let index = rest.firstIndex(where: { $0.start == old.start }) else { return false }
      match(old, rest.remove(at: index))
      return true
    }
    for old in open {
      if let index = rest.firstIndex(where: old.overlaps) {
        match(old, rest.remove(at: index))
      } else {
        pairs.gone.append(old)
      }
    }
    pairs.fresh = rest
    return pairs
  }

  private mutating func tellRevision(
    _ slot: UInt32,
    _ onset: Int64,
    _ revision: Revision,
    _ moment: Moment,
    _ out: inout [Transition]
  ) {
    let record = rules.row(Int(slot))
    let isCurrent = record.it.onset == onset && record.it.lifeCycle.base != .normal
    let state: AlarmState =
      isCurrent
      ? record.it.lifeCycle.state
      : owed.contains(slot: slot, onset: onset) ? .returnedUnacknowledged : .normal
    tally.revisions += 1
    emit(.revised, slot, onset, moment, from: state, to: state, &out)
    out[out.count - 1].revision = revision
  }
}

extension Revision {
  init(verdict: Verdict) {
    self.verdict = verdict
  }

  init(_ verdict: Verdict, _ new: JudgedOccurrence) {
    self.verdict = verdict
    start = Timestamp(milliseconds: new.start)
    raised = new.raised == .min ? nil : Timestamp(milliseconds: new.raised)
    returned = new.returned == never ? nil : Timestamp(milliseconds: new.returned)
  }
}

extension RuleParameters {
  /// Late readings can be judged over its window again.
  var isRevisable: Bool { kind == .limit || kind == .physicalRange }
}
