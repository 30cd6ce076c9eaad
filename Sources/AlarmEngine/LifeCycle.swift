/// Where one alarm stands, inside the engine: ISA-18.2's states with what hides behind the inhibiting ones.
///
/// Acknowledgement, shelving, suppression by design and out of service are independent of each other
/// (as in OPC UA Part 9), so that plant logic may suppress what an operator has shelved and each ends
/// on its own. ``state`` folds them to the one state that is shown. While an alarm is inhibited its
/// condition is still tracked, and every change is told, but nothing annunciates.
package struct LifeCycle: Hashable, Sendable {
  /// Condition and acknowledgement.
  package enum Base: UInt8, CaseIterable, Sendable {
    /// Condition false, nothing owed.
    case normal
    /// Condition true, not acknowledged.
    case unacknowledged
    /// Condition true, acknowledged.
    case acknowledged
    /// Condition false again, not acknowledged.
    case returnedUnacknowledged
    /// Condition false, not acknowledged, held until reset.
    case latchedUnacknowledged
    /// Condition false, acknowledged, held until reset.
    case latchedAcknowledged
    /// Condition true since a time when the alarm was inhibited: never annunciated yet.
    case quiet
  }

  /// What an operator has set aside.
  package enum Shelving: UInt8, CaseIterable, Sendable {
    /// Not shelved.
    case none
    /// Until a time.
    case timed
    /// Until the alarm next returns.
    case once
  }

  /// What can happen to an alarm.
  package enum Event: UInt8, CaseIterable, Sendable {
    case conditionTrue, conditionFalse
    case acknowledge, reset
    case shelveTimed, shelveOnce, unshelve, shelfExpired
    case suppress, unsuppress
    case removeFromService, returnToService
    case priorityRose, priorityFell
    case reAlarmDue
  }

  /// Condition and acknowledgement.
  package var base: Base = .normal
  /// Set aside by an operator.
  package var shelving: Shelving = .none
  /// Kept quiet by plant logic.
  package var isSuppressed = false
  /// Taken out by maintenance.
  package var isOutOfService = false

  /// Makes a state.
  package init(
    base: Base = .normal,
    shelving: Shelving = .none,
    isSuppressed: Bool = false,
    isOutOfService: Bool = false
  ) {
    self.base = base
    self.shelving = shelving
    self.isSuppressed = isSuppressed
    self.isOutOfService = isOutOfService
  }

  /// Every combination.
  package static var allStates: [LifeCycle] {
    var states: [LifeCycle] = []
    for base in Base.allCases {
      for shelving in Shelving.allCases {
        for bits in 0..<4 {
          states.append(
            LifeCycle(
              base: base,
              shelving: shelving,
              isSuppressed: bits & 1 != 0,
              isOutOfService: bits & 2 != 0
            )
          )
        }
      }
    }
    return states
  }

  /// True while nothing of this alarm may annunciate.
  package var isInhibited: Bool { shelving != .none || isSuppressed || isOutOfService }

  /// True while the condition is true.
  package var isActive: Bool {
    switch base {
    case .unacknowledged, .acknowledged, .quiet: true
    case .normal, .returnedUnacknowledged, .latchedUnacknowledged, .latchedAcknowledged: false
    }
  }

  /// The one state that is shown: out of service before suppressed before shelved before the rest.
  package var state: AlarmState {
    if isOutOfService { return .outOfService }
    if isSuppressed { return .suppressedByDesign }
    if shelving != .none { return .shelved }
    switch base {
    case .normal: return .normal
    case .unacknowledged, .quiet: return .unacknowledged
    case .acknowledged: return .acknowledged
    case .returnedUnacknowledged: return .returnedUnacknowledged
    case .latchedUnacknowledged: return .latchedUnacknowledged
    case .latchedAcknowledged: return .latchedAcknowledged
    }
  }

  /// What an event leads to.
  package struct Step: Hashable, Sendable {
    /// The state after.
    package var next: LifeCycle
    /// What is told of it; nil when nothing happened.
    package var told: TransitionKind?
    /// A second thing that the same event brought about: a shelf that ended.
    package var toldAlso: TransitionKind?
    /// The act does not apply in this state.
    package var isRefused = false
  }

  /// The state machine: one answer for every state and every event.
  ///
  /// - A condition that comes back while an earlier occurrence is still owed an acknowledgement or
  ///   latched begins a new occurrence; the engine keeps the earlier one on its list.
  /// - Shelving is a person's act and stands for acknowledgement. Un-shelving by hand returns an
  ///   active alarm acknowledged, a shelf that runs out returns it unacknowledged.
  /// - A rise in priority voids what keeps the alarm silent by a person's act: its acknowledgement and its shelf.
  /// - An excursion that begins and ends while inhibited owes nobody an acknowledgement, and latches
  ///   only when its latch was set by an excursion that had annunciated.
  package func step(_ event: Event, isLatching: Bool) -> Step {
    switch event {
    case .conditionTrue, .conditionFalse:
      conditionStep(isTrue: event == .conditionTrue, isLatching: isLatching)
    case .acknowledge, .reset: personStep(event)
    case .shelveTimed: told(.shelved) { $0.shelve(.timed) }
    case .shelveOnce: told(.shelved) { $0.shelve(.once) }
    case .unshelve: unshelvedByHand
    case .shelfExpired: shelfRanOut
    case .suppress:
      isSuppressed ? refused : told(.suppressed) { $0.isSuppressed = true }
    case .unsuppress:
      isSuppressed ? told(.unsuppressed) { $0.isSuppressed = false } : refused
    case .removeFromService:
      isOutOfService ? refused : told(.removedFromService) { $0.isOutOfService = true }
    case .returnToService:
      isOutOfService ? told(.returnedToService) { $0.isOutOfService = false } : refused
    case .priorityRose, .priorityFell: priorityStep(rose: event == .priorityRose)
    case .reAlarmDue: reAlarmStep
    }
  }

  private func conditionStep(isTrue: Bool, isLatching: Bool) -> Step {
    switch (base, isTrue) {
    case (.normal, true), (.returnedUnacknowledged, true), (.latchedUnacknowledged, true),
      (.latchedAcknowledged, true):
      return told(.raised) { $0.base = isInhibited ? .quiet : .unacknowledged }
    case (.unacknowledged, false):
      return returned(to: isLatching ? .latchedUnacknowledged : .returnedUnacknowledged)
    case (.acknowledged, false):
      return returned(to: isLatching ? .latchedAcknowledged : .normal)
    case (.quiet, false):
      return returned(to: .normal)
    case (.unacknowledged, true), (.acknowledged, true), (.quiet, true), (.normal, false),
      (.returnedUnacknowledged, false), (.latchedUnacknowledged, false),
      (.latchedAcknowledged, false):
      return Step(next: self)
    }
  }

  private func returned(to base: Base) -> Step {
    var step = told(.returned) { $0.base = base }
    switch shelving {
    case .none, .timed: break
    case .once:
      step.next.shelving = .none
      step.toldAlso = .unshelved
    }
    return step
  }

  private func personStep(_ event: Event) -> Step {
    switch (base, event == .reset) {
    case (.unacknowledged, false), (.quiet, false): told(.acknowledged) { $0.base = .acknowledged }
    case (.returnedUnacknowledged, false): told(.acknowledged) { $0.base = .normal }
    case (.latchedUnacknowledged, false): told(.acknowledged) { $0.base = .latchedAcknowledged }
    case (.latchedUnacknowledged, true): told(.reset) { $0.base = .returnedUnacknowledged }
    case (.latchedAcknowledged, true): told(.reset) { $0.base = .normal }
    case (.normal, false), (.acknowledged, false), (.latchedAcknowledged, false),
      (.normal, true), (.unacknowledged, true), (.acknowledged, true), (.quiet, true),
      (.returnedUnacknowledged, true):
      refused
    }
  }

  private var unshelvedByHand: Step {
    switch shelving {
    case .none: refused
    case .timed, .once:
      told(.unshelved) {
        $0.shelving = .none
        if $0.base == .quiet && !$0.isInhibited { $0.base = .acknowledged }
      }
    }
  }

  private var shelfRanOut: Step {
    switch shelving {
    case .none, .once: Step(next: self)
    case .timed:
      told(.unshelved) {
        $0.shelving = .none
        switch $0.base {
        case .acknowledged: $0.base = .quiet
        case .latchedAcknowledged: $0.base = .latchedUnacknowledged
        case .normal, .unacknowledged, .returnedUnacknowledged, .latchedUnacknowledged, .quiet:
          break
        }
      }
    }
  }

  private mutating func shelve(_ kind: Shelving) {
    shelving = kind
    switch base {
    case .unacknowledged, .quiet: base = .acknowledged
    case .returnedUnacknowledged: base = .normal
    case .latchedUnacknowledged: base = .latchedAcknowledged
    case .normal, .acknowledged, .latchedAcknowledged: break
    }
  }

  private func priorityStep(rose: Bool) -> Step {
    switch (base, rose) {
    case (.normal, _): Step(next: self)
    case (.acknowledged, true): risen(to: .quiet)
    case (.latchedAcknowledged, true): risen(to: .latchedUnacknowledged)
    case (.unacknowledged, true), (.returnedUnacknowledged, true), (.latchedUnacknowledged, true),
      (.quiet, true):
      risen(to: base)
    case (.unacknowledged, false), (.acknowledged, false), (.returnedUnacknowledged, false),
      (.latchedUnacknowledged, false), (.latchedAcknowledged, false), (.quiet, false):
      told(.priorityChanged) { _ in }
    }
  }

  private func risen(to base: Base) -> Step {
    var step = told(.priorityChanged) {
      $0.base = base
      $0.shelving = .none
    }
    if shelving != .none { step.toldAlso = .unshelved }
    return step
  }

  private var reAlarmStep: Step {
    switch base {
    case .unacknowledged, .acknowledged:
      isInhibited ? Step(next: self) : told(.reAlarmed) { $0.base = .unacknowledged }
    case .normal, .returnedUnacknowledged, .latchedUnacknowledged, .latchedAcknowledged, .quiet:
      Step(next: self)
    }
  }

  private var refused: Step { Step(next: self, isRefused: true) }

  /// A step that is told; whatever ends the last inhibition lets a quiet alarm annunciate.
  private func told(_ kind: TransitionKind, _ change: (inout LifeCycle) -> Void) -> Step {
    var next = self
    change(&next)
    if next.base == .quiet && !next.isInhibited { next.base = .unacknowledged }
    return Step(next: next, told: kind)
  }
}

extension LifeCycle {
  /// The state in one byte, for records and snapshots.
  package var packed: UInt8 {
    base.rawValue | shelving.rawValue << 3 | (isSuppressed ? 0x20 : 0) | (isOutOfService ? 0x40 : 0)
  }

  /// Reads a state from one byte; nil for a byte that is none.
  package init?(packed: UInt8) {
    guard let base = Base(rawValue: packed & 7), let shelving = Shelving(rawValue: packed >> 3 & 3),
      packed & 0x80 == 0
    else { return nil }
    self.init(
      base: base,
      shelving: shelving,
      isSuppressed: packed & 0x20 != 0,
      isOutOfService: packed & 0x40 != 0
    )
  }
}
