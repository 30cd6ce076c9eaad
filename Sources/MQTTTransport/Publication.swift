/// A message to publish.
public struct Publication: Sendable {
  /// The caller's own number for it, handed back with the outcome; a ledger sequence, for example.
  public var token: UInt64
  /// The topic name.
  public var topic: String
  /// The payload.
  public var payload: [UInt8]
  /// The quality of service.
  public var qos: QoS
  /// Whether the broker keeps it for later subscribers.
  public var retain: Bool
  /// MQTT 5 user properties; not sent over MQTT 3.1.1.
  public var userProperties: [(String, String)]
  /// MQTT 5 correlation data of an answer; empty for none, not sent over MQTT 3.1.1.
  public var correlation: [UInt8]
  /// MQTT 5 topic that an answer is asked to; empty for none, not sent over MQTT 3.1.1.
  public var responseTopic: String
  /// How long a broker may keep it for a subscriber that is away, in whole seconds; nil for as long as it likes.
  ///
  /// Not told over MQTT 3.1.1.
  public var expiry: Duration?

  /// Creates a publication.
  public init(
    token: UInt64 = 0,
    topic: String,
    payload: [UInt8],
    qos: QoS = .atLeastOnce,
    retain: Bool = false,
    userProperties: [(String, String)] = [],
    correlation: [UInt8] = [],
    responseTopic: String = "",
    expiry: Duration? = nil
  ) {
    self.token = token
    self.topic = topic
    self.payload = payload
    self.qos = qos
    self.retain = retain
    self.userProperties = userProperties
    self.correlation = correlation
    self.responseTopic = responseTopic
    self.expiry = expiry
  }
}

/// Why a publication did not reach the broker.
public enum PublishRefusal: Error, Sendable, Hashable, CustomStringConvertible {
  /// The connection is lost; it is tried again.
  case notConnected
  /// The broker refused it, with its reason code (MQTT 5).
  case refused(UInt8)
  /// It cannot be sent at all: topic or size.
  case invalid(String)

  /// One line for a person: reason and remedy.
  public var description: String {
    switch self {
    case .notConnected: "not connected (it is tried again)"
    case .refused(let code): "\(ReasonCode.text(code)) (\(Self.remedy(code)))"
    case .invalid(let reason): "it cannot be sent: \(reason) (check topic name and size)"
    }
  }

  private static func remedy(_ code: UInt8) -> String {
    switch code {
    case 0x87: "allow this user to publish to the topic in the broker's access control"
    case 0x90: "raise the broker's limits of topic levels and length, or shorten the names"
    case 0x96, 0x97: "raise the broker's limits for this client (rate, quota)"
    default: "see the broker's log"
    }
  }
}

/// What became of a publication.
public enum PublishOutcome: Sendable, Equatable {
  /// QoS 1 and 2: the broker has it. QoS 0: it was handed to the operating system.
  case confirmed(token: UInt64)
  /// It never will be: the broker or the library refused it.
  case refused(token: UInt64, PublishRefusal)
}

/// What `publish` answers at once.
public enum PublishAdmission: Sendable, Equatable {
  /// It is queued and its outcome will follow.
  case queued
  /// The queue is full; the caller keeps it, or drops it and counts.
  case full
  /// The client has been stopped.
  case stopped
}
