import Foundation
public import Journal
public import MQTTTransport

/// The broker as a station's source of messages.
public final class MQTTLink: IntakeLink {
  private let client: IntakeClient
  private var batch = MessageBatch()

  /// Wraps a client.
  public init(client: IntakeClient) {
    self.client = client
  }

  /// Polls the client.
  public func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    batch.removeAll()
    let state = client.poll(
      into: &batch,
      timeout: .milliseconds(timeoutMilliseconds),
      maximumMessages: limit,
      maximumBytes: bytes
    )
    return switch state {
    case .connected: LinkReport(state: "connected")
    // Some topics do come in, but nobody may think that all is well.
    case .subscriptionRefused: LinkReport(state: "degraded", reason: "\(state)")
    case .connecting, .waiting, .stopped: LinkReport(state: "disconnected", reason: "\(state)")
    }
  }

  /// Moves the polled messages into the journal's batch; one that was cut because it exceeds the size limit
  /// says so in a property.
  public func take(received: Int64, into inputs: inout JournalBatch) {
    // Taken out, so that the messages need not be asked for one by one.
    var messages = MessageBatch()
    swap(&messages, &batch)
    defer {
      messages.removeAll()
      swap(&messages, &batch)
    }
    inputs.reserve(messages: messages.count, bytes: messages.bytes.count)
    for index in messages.indices {
      let properties = messages.isPlain(at: index) ? [] : Self.properties(of: messages, at: index)
      let bytes = messages.bytes.span
      inputs.append(
        received: received,
        topic: bytes.extracting(messages.topicRange(at: index)),
        payload: bytes.extracting(messages.payloadRange(at: index)),
        qos: messages.qos(at: index),
        retain: messages.retain(at: index),
        properties: properties
      )
    }
  }

  private static let ownNames = [
    StationCore.cutProperty, StationCore.responseTopicProperty, StationCore.correlationProperty,
  ]

  /// What the journal keeps of a message beside topic and payload.
  package static func properties(
    of batch: borrowing MessageBatch,
    at index: Int
  ) -> [(String, String)] {
    let payload = batch.payloadRange(at: index)
    var properties = batch.userProperties(at: index)
    // These names are ours: what a sender writes under them would be taken for our word, or its broker's.
    properties.removeAll { Self.ownNames.contains($0.0) }
    if batch.originalPayloadLength(at: index) > payload.count {
      properties.append(
        (StationCore.cutProperty, "\(batch.originalPayloadLength(at: index))")
      )
    }
    if let request = batch.request(at: index) {
      if !request.responseTopic.isEmpty {
        properties.append((StationCore.responseTopicProperty, request.responseTopic))
      }
      if !request.correlation.isEmpty {
        properties.append(
          (
            StationCore.correlationProperty,
            Data(request.correlation).base64EncodedString()
          )
        )
      }
    }
    return properties
  }

  /// Whether messages at QoS 1 or 2 wait for their acknowledgement.
  public var owesAcknowledgements: Bool { client.owesAcknowledgements }

  /// Lets the queued acknowledgements go out.
  public func acknowledge() {
    client.acknowledge()
  }

  /// Keeps the connection alive without letting an acknowledgement go out.
  public func keepAlive() {
    client.keepAlive()
  }

  /// Disconnects; the session stays.
  public func stop() {
    client.stop()
  }
}

extension IntakeClient {
  /// What only the broker link counts, in the Prometheus text format.
  public var metrics: String {
    var text = MetricsText()
    text.counter(
      "davy_mqtt_sessions_lost_total",
      "Connections to a broker that had lost the session, and with it messages.",
      counters.sessionsLost
    )
    return text.text
  }
}
