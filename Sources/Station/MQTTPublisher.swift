public import Logging
public import MQTTTransport
public import PayloadDecoding
import Synchronization

/// The broker as the place where alarms go.
public final class MQTTPublisher: AlarmPublishing {
  /// Tokens that the broker has settled since they were last asked for.
  private final class Settled: Sendable {
    let tokens: Mutex<[Int64]> = Mutex([])
  }

  private let client: PublishClient
  private let settled: Settled

  /// Connects with `options` and keeps `status` retained on its topic.
  public init(options: MQTTOptions, status: StatusTopic, logger: Logger) throws {
    let settled = Settled()
    self.settled = settled
    client = try PublishClient(options: options, status: status, logger: logger) { outcome in
      switch outcome {
      case .confirmed(let token):
        settled.tokens.withLock { $0.append(Int64(bitPattern: token)) }
      case .refused(let token, let refusal):
        // The broker will never take it; holding the cursor back would only stop all that follow.
        logger.error(
          "the broker refuses an alarm message; it stays in the ledger",
          metadata: ["sequence": "\(token)", "refusal": "\(refusal)"]
        )
        settled.tokens.withLock { $0.append(Int64(bitPattern: token)) }
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
      topic: String(decoding: message.topic, as: UTF8.self),
      payload: message.payload,
      qos: QoS(rawValue: message.qos) ?? .atLeastOnce
    )
    return client.publish(publication) == .queued
  }

  /// Tokens settled since the last call.
  public func takeConfirmed() -> [Int64] {
    settled.tokens.withLock { tokens in
      defer { tokens.removeAll(keepingCapacity: true) }
      return tokens
    }
  }

  /// Sends what is queued as long as `grace` lasts and says good-bye.
  public func stop(grace: Duration) {
    client.stop(grace: grace)
  }
}
