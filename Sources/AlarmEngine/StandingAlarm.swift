public import Telemetry

/// One alarm occurrence that is not over: active, owed an acknowledgement, latched or inhibited.
public struct StandingAlarm: Hashable, Sendable {
  /// The rule's row.
  public var rule: RuleIndex
  /// The channel's row.
  public var channel: ChannelIndex
  /// Event time at which the occurrence began; `distantPast` for an inhibited rule without one.
  public var onset: Timestamp
  /// Where it stands.
  public var state: AlarmState
  /// True while its condition holds.
  public var isActive: Bool
  /// How urgent it is.
  public var priority: AlarmPriority
  /// Engine time at which a timed shelf runs out; nil when there is none.
  public var shelvedUntil: Timestamp?

  /// Makes a standing alarm.
  public init(
    rule: RuleIndex,
    channel: ChannelIndex,
    onset: Timestamp,
    state: AlarmState,
    isActive: Bool,
    priority: AlarmPriority
  ) {
    self.rule = rule
    self.channel = channel
    self.onset = onset
    self.state = state
    self.isActive = isActive
    self.priority = priority
  }
}
