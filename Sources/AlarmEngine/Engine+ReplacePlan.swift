public import Telemetry

extension Engine {
  /// Advances to `now` and goes on under another plan.
  ///
  /// State is found again by ``StableID``; a channel or rule that both plans have keeps all of it, and
  /// a standing alarm is not raised again. A standing alarm whose rule is gone is closed first, by a
  /// transition of kind `.removedFromService` to `.normal`; a rule whose priority changed while its
  /// alarm stood is told after, as `.priorityChanged`.
  ///
  /// - Returns: the range of `out` whose rows belong to the *old* plan.
  /// - Throws: every inconsistency of the plan; the old one stays in force then.
  @discardableResult
  public mutating func replacePlan(
    _ plan: EnginePlan,
    at now: Timestamp,
    into out: inout [Transition]
  ) throws(PlanError) -> Range<Int> {
    let check = PlanCheck(plan)
    guard check.problems.isEmpty else { throw PlanError(problems: check.problems) }
    let first = out.count
    advance(to: now, into: &out)
    closeRules(without: Set(plan.rules.map(\.id)), &out)
    let old = first..<out.count
    do {
      self = try Engine(plan: plan, restoring: snapshot())
    } catch .plan(let error) {
      throw error
    } catch {
      preconditionFailure("the engine cannot read its own snapshot: \(error)")
    }
    followPriorities(&out)
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

  /// Takes over the plan's priorities: a rise voids acknowledgement.
  mutating func followPriorities(_ out: inout [Transition]) {
    needsPriorityCheck = false
    for slot in slotOfRule {
      let record = rules.row(Int(slot))
      let parameters = parameters.row(Int(slot))
      let before = record.it.priority
      guard before != parameters.it.priority else { continue }
      record.it.priority = parameters.it.priority
      let moment = Moment(
        time: now,
        received: now,
        sequence: record.it.sinceSequence,
        value: .nan
      )
      take(
        record.it.lifeCycle.step(
          before < record.it.priority ? .priorityRose : .priorityFell,
          isLatching: parameters.it.isLatching
        ),
        slot,
        moment,
        &out
      )
      order.note(.planChange(parameters.it.rule), out.count)
    }
  }
}
