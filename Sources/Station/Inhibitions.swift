import AlarmEngine
import Telemetry

/// The rules that do not annunciate, kept along with the alarm steps that shelve, suppress and take out of service.
struct Inhibitions {
  private var byRule: [UInt32: InhibitedRule] = [:]
  /// Changes whenever ``rules`` does.
  private(set) var changes = 0

  /// Rules that are shelved, suppressed by design or out of service, by catalog row; also those whose alarm has
  /// returned meanwhile.
  var rules: [InhibitedRule] { byRule.values.sorted { $0.rule < $1.rule } }

  /// Notes what a step says of its rule; steps of earlier occurrences say nothing of it.
  ///
  /// `until` is when a timed shelf that the step begins runs out.
  mutating func note(_ transition: Transition, until: Timestamp?) {
    switch transition.kind {
    case .shelved, .unshelved, .suppressed, .unsuppressed, .removedFromService, .returnedToService:
      let rule = transition.rule.rawValue
      // A shelf lasts beneath suppression and out of service, and may run out there.
      let end: Timestamp? =
        switch transition.kind {
        case .shelved: until
        case .unshelved: nil
        default: byRule[rule]?.until
        }
      byRule[rule] = Self.inhibition(rule, transition.state, until: end)
      changes += 1
    case .raised, .returned, .acknowledged, .reset, .priorityChanged, .reAlarmed, .revised: break
    }
  }

  /// Asks the engines anew: after a catalog change and a restart.
  mutating func find(in lanes: [Lane]) {
    byRule = [:]
    changes += 1
    for lane in lanes {
      lane.standing { alarm in
        let rule = alarm.rule.rawValue
        if let found = Self.inhibition(rule, alarm.state, until: alarm.shelvedUntil) {
          byRule[rule] = found
        }
      }
    }
  }

  private static func inhibition(
    _ rule: UInt32,
    _ state: AlarmState,
    until: Timestamp?
  ) -> InhibitedRule? {
    switch state {
    case .shelved: InhibitedRule(rule: rule, state: "shelved", until: until)
    case .suppressedByDesign: InhibitedRule(rule: rule, state: "suppressedByDesign", until: until)
    case .outOfService: InhibitedRule(rule: rule, state: "outOfService", until: until)
    case .normal, .unacknowledged, .acknowledged, .returnedUnacknowledged, .latchedUnacknowledged,
      .latchedAcknowledged:
      nil
    }
  }
}
