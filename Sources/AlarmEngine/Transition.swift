public import Telemetry

/// Where an alarm stands in its life cycle (IEC 62682, ISA-18.2; OPC UA Part 9).
public enum AlarmState: UInt8, CaseIterable, Hashable, Sendable {
  /// Condition false, nothing to acknowledge.
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
  /// Set aside by an operator for a time.
  case shelved
  /// Kept from annunciating by plant logic.
  case suppressedByDesign
  /// Taken out by maintenance, with authorisation, until put back.
  case outOfService
}

/// What happened to an alarm.
public enum TransitionKind: UInt8, CaseIterable, Hashable, Sendable {
  /// The condition became an alarm.
  case raised
  /// The condition is gone.
  case returned
  /// A person acknowledged.
  case acknowledged
  /// A latched alarm was reset.
  case reset
  /// An operator set it aside.
  case shelved
  /// Shelving ended, by hand or by time.
  case unshelved
  /// Plant logic began to suppress it.
  case suppressed
  /// Plant logic ceased to suppress it.
  case unsuppressed
  /// Taken out of service.
  case removedFromService
  /// Put back into service.
  case returnedToService
  /// The priority changed while the alarm stood.
  case priorityChanged
  /// Annunciated again because it still stands, for long or, by late data, after all.
  case reAlarmed
  /// Late data change a past decision; see ``Revision``.
  case revised
}

/// One step of one alarm's life, as it leaves the engine.
///
/// The alarm occurrence is identified by (rule, `onset`); a rule belongs to one channel.
public struct Transition: Hashable, Sendable {
  /// What happened.
  public var kind: TransitionKind
  /// The rule's row.
  public var rule: RuleIndex
  /// The channel's row.
  public var channel: ChannelIndex
  /// Event time at which the condition of this occurrence became true: the occurrence's identity.
  public var onset: Timestamp
  /// Event time of this step, by the device's clock; a deadline's own time, not the tick's.
  public var time: Timestamp
  /// Receive time of the input that brought the step about; of a deadline the engine time at which it fell due, or the end of
  /// the backlog that had passed it by.
  public var received: Timestamp
  /// Journal sequence of the reading or command that decided the step; for a delay that ran out, that
  /// of the reading that began the condition.
  public var sequence: UInt64
  /// The value that decided it; NaN where no value did.
  public var value: Double
  /// The set-point it was held against; NaN where there is none.
  public var limit: Double
  /// State before.
  public var previous: AlarmState
  /// State after.
  public var state: AlarmState
  /// Priority after.
  public var priority: AlarmPriority
  /// The occurrence ends with this step, although the rule stays shelved, suppressed or out of service.
  ///
  /// ``state`` is the rule's; whoever keeps a record of the occurrence closes it.
  public var endsOccurrence = false
  /// For ``TransitionKind/revised``, what late data make of the decision.
  public var revision: Revision?
  /// For the raise of a ``Detector/multivariate(_:signals:)`` rule, what it was raised on.
  public var evidence: MultivariateEvidence?

  /// Makes a transition.
  public init(
    kind: TransitionKind,
    rule: RuleIndex,
    channel: ChannelIndex,
    onset: Timestamp,
    time: Timestamp,
    received: Timestamp,
    sequence: UInt64,
    value: Double,
    limit: Double,
    previous: AlarmState,
    state: AlarmState,
    priority: AlarmPriority
  ) {
    self.kind = kind
    self.rule = rule
    self.channel = channel
    self.onset = onset
    self.time = time
    self.received = received
    self.sequence = sequence
    self.value = value
    self.limit = limit
    self.previous = previous
    self.state = state
    self.priority = priority
  }
}
