public import Telemetry

/// What a person, or plant logic, does to an alarm.
///
/// Who and why stand beside it in the journal and the
/// ledger; the engine needs only what and when.
public struct Command: Hashable, Sendable {
  /// The acts.
  public enum Act: Hashable, Sendable {
    /// 确认 / 消警: seen and taken on.
    case acknowledge
    /// Clear the latch of an alarm whose condition is gone.
    case reset
    /// Set aside until a moment of engine time.
    case shelve(until: Timestamp)
    /// Set aside until the alarm next returns.
    case shelveOnce
    /// End shelving by hand.
    case unshelve
    /// Plant logic says: suppress.
    case suppress
    /// Plant logic says: no longer suppress.
    case unsuppress
    /// Take out of service.
    case removeFromService
    /// Put back into service.
    case returnToService
  }

  /// What is done.
  public var act: Act
  /// To which rule's alarm.
  public var rule: RuleIndex
  /// To which occurrence; nil for acts on the rule as such (shelve, suppress, service) or the standing one.
  ///
  /// An act that sets the rule's alarm aside may name the one that it was decided on.
  public var onset: Timestamp?
  /// Journal sequence of the command.
  public var sequence: UInt64

  /// Makes a command.
  public init(act: Act, rule: RuleIndex, onset: Timestamp?, sequence: UInt64) {
    self.act = act
    self.rule = rule
    self.onset = onset
    self.sequence = sequence
  }
}

/// Why a command changed nothing.
public enum CommandRefusal: UInt8, Error, Hashable, Sendable {
  /// There is no such rule in the plan.
  case unknownRule
  /// The named occurrence does not stand (any more).
  case unknownOccurrence
  /// The act does not apply in the alarm's state.
  case notApplicable
}
