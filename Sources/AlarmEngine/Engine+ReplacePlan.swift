public import Telemetry

extension Engine {
  /// Advances to `now` and goes on under another plan.
  ///
  /// State is found again by ``StableID``; a channel or rule that both plans have keeps all of it, and
  /// a standing alarm is not raised again. A standing alarm whose rule is gone is closed first, by a
  /// transition of kind `.removedFromService` to `.normal`; a rule whose priority changed while its
  /// alarm stood is told after, as `.priorityChanged`. Where a limit, a range, an expression or an interlock is new, or
  /// its figures are, the values that stand are held against it at once: that may raise its alarm, and ends none.
  ///
  /// - Parameters:
  ///   - plan: the plan.
  ///   - now: engine time.
  ///   - present: when the plan came, where engine time has yet to reach it because readings may have waited meanwhile: no
  ///     alarm begins on a value that no longer counts then, and new channels are waited for from then on.
  ///   - isBacklog: readings that waited at the broker are still to come, so that no deadline fires on the way to `now`.
  ///   - out: takes the transitions.
  /// - Returns: the range of `out` whose rows belong to the *old* plan.
  /// - Throws: every inconsistency of the plan; the old one stays in force then.
  @discardableResult
  public mutating func replacePlan(
    _ plan: EnginePlan,
    at now: Timestamp,
    present: Timestamp = .distantPast,
    isBacklog: Bool = false,
    into out: inout [Transition]
  ) throws(PlanError) -> Range<Int> {
    let check = PlanCheck(plan)
    guard check.problems.isEmpty else { throw PlanError(problems: check.problems) }
    let first = out.count
    arrive(at: now, isBacklog: isBacklog, into: &out)
    closeRules(without: Set(plan.rules.map(\.id)), &out)
    let old = first..<out.count
    do {
      self = try Engine(plan: plan, restoring: snapshot(), present: present)
    } catch .plan(let error) {
      throw error
    } catch {
      preconditionFailure("the engine cannot read its own snapshot: \(error)")
    }
    followPriorities(present: present, &out)
    return old
  }

  /// Closes the alarms of rules that the next plan does not have.
  mutating func closeRules(without kept: Set<StableID>, _ out: inout [Transition]) {
    let moment = Moment(time: now, received: now, sequence: 0, value: .nan)
    for slot in slotOfRule where !kept.contains(identities.rules[Int(slot)]) {
      defer { order.note(.planChange(parameters.row(Int(slot)).it.rule), out.count) }
      while let oldest = owed.removeOldest(slot: slot) {
        emit(
          .removedFromService,
          slot,
          oldest,
          moment,
          from: .returnedUnacknowledged,
          to: .normal,
          &out
        )
      }
      let record = rules.row(Int(slot))
      let cycle = record.it.lifeCycle
      guard cycle != LifeCycle() else { continue }
      let onset = cycle.base == .normal ? noTime : record.it.onset
      emit(.removedFromService, slot, onset, moment, from: cycle.state, to: .normal, &out)
    }
  }

  /// Takes over what another plan says of alarms that stand: priorities (a rise voids acknowledgement and shelf),
  /// suppressions that are gone or have come, counts over other rules, clocks whose fault is known already, and figures that
  /// are new.
  mutating func followPriorities(
    present: Timestamp = .distantPast,
    _ out: inout [Transition]
  ) {
    needsPriorityCheck = false
    let released = orphans
    orphans = []
    let suppressed = unsuppressed
    unsuppressed = []
    let unjudged = unjudged
    self.unjudged = []
    for slot in slotOfRule {
      let first = out.count
      if released.contains(slot) { release(suppressed: slot, &out) }
      // Before its condition is judged: what plant logic keeps quiet is not annunciated first.
      if suppressed.contains(slot) { suppress(slot, .yes, momentOfPlan(slot), &out) }
      follow(plan: slot, &out)
      if unjudged.contains(slot) { judgePresent(slot, present, &out) }
      if out.count > first {
        order.note(.planChange(parameters.row(Int(slot)).it.rule), out.count)
      }
    }
  }

  /// Ends a suppression that the plan no longer has.
  private mutating func release(suppressed slot: UInt32, _ out: inout [Transition]) {
    let cycle = rules.row(Int(slot)).it.lifeCycle
    guard cycle.isSuppressed else { return }
    let isLatching = parameters.row(Int(slot)).it.isLatching
    take(cycle.step(.unsuppress, isLatching: isLatching), slot, momentOfPlan(slot), &out)
  }

  private mutating func follow(plan slot: UInt32, _ out: inout [Transition]) {
    let record = rules.row(Int(slot))
    let parameters = parameters.row(Int(slot))
    switch parameters.it.kind {
    case .cascade: judgeCascade(slot, momentOfPlan(slot), &out)
    case .clock where isQuarantined(slot) != record.it.isActive:
      let isFault = isQuarantined(slot)
      follow(slot, Verdict(on: isFault, off: !isFault), momentOfPlan(slot), &out)
    case .clock, .limit, .physicalRange, .stale, .rate, .ewma, .single, .group, .reported: break
    }
    startReactions(slot)
    let before = record.it.priority
    let priority = plannedPriority(slot)
    guard before != priority else { return }
    record.it.priority = priority
    take(
      record.it.lifeCycle.step(
        before < priority ? .priorityRose : .priorityFell,
        isLatching: parameters.it.isLatching
      ),
      slot,
      momentOfPlan(slot),
      &out
    )
  }

  /// Holds a rule whose figures are new against the values that stand: the next reading of a point that reports changes may be
  /// long in coming.
  ///
  /// That raises alarms, and takes back delays that these figures do not begin; what ends an alarm is for a reading to
  /// say. The time is that of the plan, by the device's clock.
  private mutating func judgePresent(
    _ slot: UInt32,
    _ present: Timestamp,
    _ out: inout [Transition]
  ) {
    guard now != noTime else { return }
    let rule = parameters.row(Int(slot))
    let channel = Int(rule.it.channel)
    let record = channels.row(channel)
    var moment = momentOfPlan(slot)
    moment.time = max(now - offset(of: rule.it.channel), record.it.newest)
    moment.sequence = record.it.sequence
    switch rule.it.kind {
    case .limit, .physicalRange:
      let isKnown = hasPresentValue(channel, at: now)
      let verdict = isKnown ? rule.it.verdict(record.it.value) : Verdict(on: false, off: false)
      guard verdict.on else {
        keepDelay(slot, isEnding: verdict.off, at: moment.time)
        return
      }
      let begins = rules.row(Int(slot)).it.phase == .idle
      guard !begins || hasPresentValue(channel, at: max(now, present.milliseconds)) else { return }
      moment.value = record.it.value
    case .group:
      let place = places[Int(rule.it.number)]
      let truth = bank.advance(place, to: moment.time + bankShift(slot))
      armDetector(slot, after: moment.time)
      guard truth == .yes else { return }
    case .stale, .rate, .ewma, .clock, .reported, .single, .cascade: return
    }
    follow(slot, Verdict(on: true, off: false), moment, &out)
    // What was before is not judged by these figures, by no late reading either.
    restartHistory(slot, at: moment.time)
  }

  /// Takes back a delay that ran on what other figures said, but not one before a return that these begin too.
  private mutating func keepDelay(_ slot: UInt32, isEnding: Bool, at time: Int64) {
    let phase = rules.row(Int(slot)).it.phase
    guard phase == .pendingOn || phase == .pendingOff && !isEnding else { return }
    drop(slot, at: time)
    restartHistory(slot, at: time)
  }

  private func momentOfPlan(_ slot: UInt32) -> Moment {
    Moment(
      time: now,
      received: now,
      sequence: rules.row(Int(slot)).it.sinceSequence,
      value: .nan
    )
  }

  private func isQuarantined(_ slot: UInt32) -> Bool {
    let channel = parameters.row(Int(slot)).it.channel
    return devices.row(Int(links[Int(channel)].device)).it.isQuarantined
  }

  /// A standing alarm begins to wait for its re-alarm or escalation where the plan has come to ask for one.
  private mutating func startReactions(_ slot: UInt32) {
    let record = rules.row(Int(slot))
    let parameters = parameters.row(Int(slot))
    guard record.it.isActive else { return }
    if parameters.it.reAlarm > 0, reAlarms[slot] == nil {
      reAlarms[slot] = now
      arm(.reAlarm, slot, atEngineTime: now + parameters.it.reAlarm)
    }
    if parameters.it.escalateAfter > 0, escalations[slot] == nil, !escalated.contains(slot) {
      escalations[slot] = now
      arm(.escalation, slot, atEngineTime: now + parameters.it.escalateAfter)
    }
  }

  /// The priority that a rule's alarm has by the plan: what has escalated under an earlier one does not fall back.
  private func plannedPriority(_ slot: UInt32) -> UInt8 {
    let parameters = parameters.row(Int(slot))
    return escalated.contains(slot) ? parameters.it.escalatedPriority : parameters.it.priority
  }
}
