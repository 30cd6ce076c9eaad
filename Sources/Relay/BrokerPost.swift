public import Logging
public import MQTTTransport
import Synchronization

/// The relay's two connections to a broker: one that receives and acknowledges when it is told to, one that publishes.
public final class BrokerPost: RelayPost {
  /// Publications that the broker has not confirmed, by token, and who is told when it refuses one.
  private final class Unconfirmed: Sendable {
    private typealias State = (next: UInt64, by: [UInt64: @Sendable (RelayRefusal) -> Void])
    private let state: Mutex<State> = Mutex((0, [:]))

    func add(_ onRefusal: @escaping @Sendable (RelayRefusal) -> Void) -> UInt64 {
      state.withLock { state in
        state.next += 1
        state.by[state.next] = onRefusal
        return state.next
      }
    }

    @discardableResult
    func remove(_ token: UInt64) -> (@Sendable (RelayRefusal) -> Void)? {
      state.withLock { $0.by.removeValue(forKey: token) }
    }
  }

  private let intake: IntakeClient
  private let publisher: PublishClient
  private let unconfirmed: Unconfirmed

  /// Publications that may wait for the broker.
  private static let queueLimit = 256
  /// Messages worked on at a time; the rest lies safer with the broker.
  private static let batchLimit = 16
  /// A batch and some room for its wrapping; the door's own limit is lower.
  private static let payloadLimit = 5 << 20
  /// MQTT 5's reason code "Packet too large".
  private static let packetTooLarge: UInt8 = 0x95

  /// Connects.
  ///
  /// - Parameters:
  ///   - options: how to reach the broker; the client identifier gets a suffix for each connection.
  ///   - topic: what to receive.
  ///   - keeps: whether the broker is to keep what comes while nobody is connected.
  ///   - logger: is told of the links.
  /// - Throws: what is wrong with the options.
  public init(
    options: MQTTOptions,
    receiving topic: String,
    keeps: Bool,
    logger: Logger
  ) throws(MQTTOptionsError) {
    var options = options
    // Request and response are MQTT 5's.
    options.protocolPreference = .v5
    options.maximumPayload = Self.payloadLimit
    options.receiveMaximum = UInt16(Self.batchLimit)
    var sending = options
    sending.clientID += "-out"
    options.clientID += "-in"
    options.subscriptions = [Subscription(filter: topic, qos: .atLeastOnce)]
    if !keeps { options.sessionExpiry = .seconds(60) }
    let unconfirmed = Unconfirmed()
    self.unconfirmed = unconfirmed
    intake = try IntakeClient(options: options, logger: logger)
    publisher = try PublishClient(
      options: sending,
      queueLimit: Self.queueLimit,
      logger: logger
    ) { outcome in
      switch outcome {
      case .confirmed(let token): unconfirmed.remove(token)
      case .refused(let token, let refusal):
        unconfirmed.remove(token)?(Self.refusal(refusal))
      }
    }
  }

  private static func refusal(_ refusal: PublishRefusal) -> RelayRefusal {
    let isTooLarge =
      switch refusal {
      case .refused(let code): code == packetTooLarge
      // The library's words for its own errors OVERSIZE_PACKET and PAYLOAD_SIZE: "Packet too large.", "Payload too large."
      case .invalid(let reason): reason.contains("too large")
      case .notConnected: false
      }
    return RelayRefusal(reason: "\(refusal)", isTooLarge: isTooLarge)
  }

  package var trouble: String? {
    for state in [intake.state, publisher.state] {
      guard case .connected = state else { return state.description }
    }
    return nil
  }

  package func publish(
    _ publication: RelayPublication,
    onRefusal: @escaping @Sendable (RelayRefusal) -> Void
  ) -> String? {
    let token = unconfirmed.add(onRefusal)
    let admission = publisher.publish(
      Publication(
        token: token,
        topic: publication.topic,
        payload: publication.payload,
        userProperties: publication.properties,
        correlation: publication.correlation,
        expiry: publication.expiry
      )
    )
    guard admission != .queued else { return nil }
    unconfirmed.remove(token)
    return "the broker's queue takes nothing: \(admission)"
  }

  package func receive() -> [RelayMessage] {
    var batch = MessageBatch()
    _ = intake.poll(
      into: &batch,
      timeout: .milliseconds(200),
      maximumMessages: Self.batchLimit
    )
    return batch.indices.map { index in
      let payload = batch.payload(at: index)
      return RelayMessage(
        topic: batch.topic(at: index),
        payload: payload.count == batch.originalPayloadLength(at: index) ? payload : nil,
        correlation: batch.request(at: index)?.correlation ?? [],
        properties: batch.userProperties(at: index)
      )
    }
  }

  package func acknowledge() { intake.acknowledge() }

  package func keepAlive() { intake.keepAlive() }

  package func stop() {
    intake.stop()
    publisher.stop(grace: .seconds(2))
  }
}
