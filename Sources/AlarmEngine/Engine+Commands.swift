public import Telemetry

extension Engine {
  /// Advances to `now` and does what a person, or plant logic, asks.
  ///
  /// Acknowledging without an onset acknowledges the current occurrence and every earlier one of the
  /// rule that is still owed it. What sets the rule's alarm aside is refused by the name of an earlier occurrence while another
  /// stands, for it would silence one that whoever acts has not seen; other acts on the rule as such ignore the onset.
  ///
  /// - Parameters:
  ///   - command: what is asked.
  ///   - now: engine time.
  ///   - isBacklog: readings that waited at the broker are still to come, so that no deadline fires on the way to `now`; see
  ///     `ReadingBatch.isBacklog`.
  ///   - out: takes the transitions.
  /// - Returns: why nothing was done; nil when it was.
  public mutating func perform(
    _ command: Command,
    at now: Timestamp,
    isBacklog: Bool = false,
    into out: inout [Transition]
  ) -> CommandRefusal? {
    arrive(at: now, isBacklog: isBacklog, into: &out)
    let rule = Int(command.rule.rawValue)
    guard rule < slotOfRule.count else { return .unknownRule }
    let slot = slotOfRule[rule]
    let moment = Moment(
      time: self.now,
      received: self.now,
      sequence: command.sequence,
      value: .nan
    )
    if command.act.setsAside, let onset = command.onset?.milliseconds, isAnother(slot, onset) {
      return .unknownOccurrence
    }
    switch command.act {
    case .acknowledge:
      return acknowledge(slot, command.onset, moment, &out)
    case .reset:
      if let onset = command.onset?.milliseconds, !isCurrent(slot, onset) {
        return owed.contains(slot: slot, onset: onset) ? .notApplicable : .unknownOccurrence
      }
      return act(.reset, slot, moment, &out)
    case .shelve(let until):
      guard until.milliseconds > self.now, Self.believedTimes.contains(until.milliseconds) else {
        return .notApplicable
      }
      shelves[slot] = until.milliseconds
      arm(.shelf, slot, atEngineTime: until.milliseconds)
      return act(.shelveTimed, slot, moment, &out)
    case .shelveOnce: return act(.shelveOnce, slot, moment, &out)
    case .unshelve: return act(.unshelve, slot, moment, &out)
    case .suppress: return act(.suppress, slot, moment, &out)
    case .unsuppress: return act(.unsuppress, slot, moment, &out)
    case .removeFromService: return act(.removeFromService, slot, moment, &out)
    case .returnToService: return act(.returnToService, slot, moment, &out)
    }
  }

  private mutating func acknowledge(
    _ slot: UInt32,
    _ onset: Timestamp?,
    _ moment: Moment,
    _ out: inout [Transition]
  ) -> CommandRefusal? {
    if let onset = onset?.milliseconds {
      if isCurrent(slot, onset) { return act(.acknowledge, slot, moment, &out) }
      guard owed.remove(slot: slot, onset: onset) else { return .unknownOccurrence }
      emit(.acknowledged, slot, onset, moment, from: .returnedUnacknowledged, to: .normal, &out)
      return nil
    }
    var hasDone = false
    while let oldest = owed.removeOldest(slot: slot) {
      emit(.acknowledged, slot, oldest, moment, from: .returnedUnacknowledged, to: .normal, &out)
      hasDone = true
    }
    let refusal = act(.acknowledge, slot, moment, &out)
    return hasDone ? nil : refusal
  }

  private func isCurrent(_ slot: UInt32, _ onset: Int64) -> Bool {
    let record = rules.row(Int(slot))
    return record.it.onset == onset && record.it.lifeCycle.base != .normal
  }

  /// Whether an occurrence stands that did not begin at this onset.
  private func isAnother(_ slot: UInt32, _ onset: Int64) -> Bool {
    rules.row(Int(slot)).it.lifeCycle.base != .normal && !isCurrent(slot, onset)
  }

  private mutating func act(
    _ event: LifeCycle.Event,
    _ slot: UInt32,
    _ moment: Moment,
    _ out: inout [Transition]
  ) -> CommandRefusal? {
    let isLatching = parameters.row(Int(slot)).it.isLatching
    let step = rules.row(Int(slot)).it.lifeCycle.step(event, isLatching: isLatching)
    guard !step.isRefused else { return .notApplicable }
    take(step, slot, moment, &out)
    return nil
  }
}

extension Command.Act {
  /// Keeps the alarm that stands, and those to come, from annunciating.
  fileprivate var setsAside: Bool {
    switch self {
    case .shelve, .shelveOnce, .removeFromService: true
    case .acknowledge, .reset, .unshelve, .suppress, .unsuppress, .returnToService: false
    }
  }
}
