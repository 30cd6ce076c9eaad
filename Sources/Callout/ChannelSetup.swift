/// A channel with all that the dispatcher has to know of it.
public struct ChannelSetup: Sendable {
  /// Name, as chains and contacts use it.
  public var name: String
  /// Kind, for people.
  public var kind: String
  /// Keys of a contact's addresses that serve here, the best first.
  public var addressKeys: [String]
  /// Rates, groups, tries.
  public var policy: ChannelPolicy
  /// Sends.
  public var channel: any NotificationChannel
  /// Whom test messages and heartbeats go to; a shared channel needs nobody.
  public var operators: [Notice.Recipient]
  /// Minutes after midnight, UTC, of the daily heartbeat; nil sends none.
  public var heartbeatMinute: Int?
  /// Differs when anything of the channel does: a channel of the same revision is left alone by a change.
  public var revision: String

  /// Makes a setup.
  public init(
    name: String,
    kind: String,
    addressKeys: [String] = [],
    policy: ChannelPolicy = ChannelPolicy(),
    channel: any NotificationChannel,
    operators: [Notice.Recipient] = [],
    heartbeatMinute: Int? = nil,
    revision: String = ""
  ) {
    self.name = name
    self.kind = kind
    self.addressKeys = addressKeys
    self.policy = policy
    self.channel = channel
    self.operators = operators
    self.heartbeatMinute = heartbeatMinute
    self.revision = revision
  }
}
