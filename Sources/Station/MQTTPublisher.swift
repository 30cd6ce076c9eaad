import HazardLedger
public import Logging
public import MQTTTransport
public import PayloadDecoding
import Synchronization

/// The broker as the place where alarms go.
public final class MQTTPublisher: AlarmPublishing {
  /// What has become of messages since it was last asked for.
  private final class Settled: Sendable {
    let confirmed: Mutex<[Int64]> = Mutex([])
    let refused: Mutex<[AlarmRefusal]> = Mutex([])
    /// Reasons for which words to gateways were refused, and that have been told.
    let told: Mutex<Set<PublishRefusal>> = Mutex([])
  }

  /// What words to gateways are queued with; no ledger has such a sequence.
  private static let word = UInt64(Int64.max)

  private let client: PublishClient
  private let settled: Settled

  /// Connects with `options` and keeps `status` retained on its topic.
  public init(options: MQTTOptions, status: StatusTopic, logger: Logger) throws {
    let settled = Settled()
    self.settled = settled
    client = try PublishClient(options: options, status: status, logger: logger) { outcome in
      switch outcome {
      case .confirmed(MQTTPublisher.word): break
      case .refused(MQTTPublisher.word, let refusal):
        guard settled.told.withLock({ $0.insert(refusal).inserted }) else { return }
        logger.error(
          "the broker refuses a reply or a word to a gateway; told once for each reason",
          metadata: ["reason": "\(refusal)"]
        )
      case .confirmed(let token):
        settled.confirmed.withLock { $0.append(Int64(bitPattern: token)) }
      case .refused(let token, let refusal):
        let refused = AlarmRefusal(token: Int64(bitPattern: token), reason: refusal)
        settled.refused.withLock { $0.append(refused) }
      }
    }
  }

  /// Queues a message at QoS 1; false when the queue is full.
  public func publish(topic: String, payload: [UInt8], token: Int64, retain: Bool) -> Bool {
    let publication = Publication(
      token: UInt64(bitPattern: token),
      topic: topic,
      payload: payload,
      qos: .atLeastOnce,
      retain: retain
    )
    return client.publish(publication) == .queued
  }

  /// Queues a reply or a word to a gateway; false when the queue is full.
  public func send(_ message: OutgoingMessage) -> Bool {
    let publication = Publication(
      token: Self.word,
      topic: String(decoding: message.topic, as: UTF8.self),
      payload: message.payload,
      qos: QoS(rawValue: message.qos) ?? .atLeastOnce
    )
    return client.publish(publication) == .queued
  }

  /// Says on the status topic how the intake stands: `online` only while readings come in.
  public func tell(intake state: LinkState) {
    guard let payload = Self.status(intake: state) else { return }
    client.setOnline(payload)
  }

  /// What the status topic says before the intake has been connected.
  public static let starting = degraded("the intake is not connected yet")

  /// What the status topic says while the intake stands so; nil where that is still to be seen.
  package static func status(intake state: LinkState) -> [UInt8]? {
    switch state {
    case .connected: Array(#"{"state":"online"}"#.utf8)
    case .subscriptionRefused: degraded("\(state)")
    case .waiting(let failure, _, _): degraded("the intake is not connected: \(failure)")
    case .connecting, .stopped: nil
    }
  }

  private static func degraded(_ reason: String) -> [UInt8] {
    HazardLedger.JSONValue.object(["state": .string("degraded"), "reason": .string(reason)])
      .canonicalBytes()
  }

  /// Tokens of the messages that the broker has taken since the last call.
  public func takeConfirmed() -> [Int64] {
    settled.confirmed.withLock { tokens in
      defer { tokens.removeAll(keepingCapacity: true) }
      return tokens
    }
  }

  /// The messages that the broker has refused since the last call.
  public func takeRefused() -> [AlarmRefusal] {
    settled.refused.withLock { refusals in
      defer { refusals.removeAll() }
      return refusals
    }
  }

  /// How the connection to the broker stands.
  public var state: LinkState { client.state }

  /// Sends what is queued as long as `grace` lasts and says good-bye.
  public func stop(grace: Duration) {
    client.stop(grace: grace)
  }
}
