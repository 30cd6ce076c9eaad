/// A message of the relay, as it comes from a broker.
package struct RelayMessage: Sendable {
  /// Topic.
  package var topic: [UInt8]
  /// Payload; nil when it was longer than this end takes.
  package var payload: [UInt8]?
  /// MQTT 5 correlation data; empty for none.
  package var correlation: [UInt8]
  /// MQTT 5 user properties.
  package var properties: [(String, String)]

  /// Makes a message.
  package init(
    topic: [UInt8],
    payload: [UInt8]?,
    correlation: [UInt8] = [],
    properties: [(String, String)] = []
  ) {
    self.topic = topic
    self.payload = payload
    self.correlation = correlation
    self.properties = properties
  }
}

/// A message of the relay on its way to a broker.
package struct RelayPublication: Sendable {
  /// Topic.
  package var topic: String
  /// Payload.
  package var payload: [UInt8]
  /// MQTT 5 correlation data.
  package var correlation: [UInt8]
  /// MQTT 5 user properties.
  package var properties: [(String, String)]
  /// How long anybody waits for it.
  package var expiry: Duration
}

/// Why a broker will not have a message.
package struct RelayRefusal: Hashable, Sendable {
  /// The reason.
  package var reason: String
  /// Whether a shorter one would be taken.
  package var isTooLarge: Bool

  /// Makes one.
  package init(reason: String, isTooLarge: Bool) {
    self.reason = reason
    self.isTooLarge = isTooLarge
  }
}

/// What both ends of a relay by MQTT need of a broker; ``BrokerPost`` is the real one.
package protocol RelayPost: Sendable {
  /// Why nothing can go or come now; nil when both can.
  var trouble: String? { get }
  /// Queues a message at QoS 1; `onRefusal` is told when the broker will not have it.
  ///
  /// - Returns: why it was not taken in; nil when it was.
  func publish(
    _ publication: RelayPublication,
    onRefusal: @escaping @Sendable (RelayRefusal) -> Void
  ) -> String?
  /// Waits for messages, a fraction of a second at most; on one thread only.
  func receive() -> [RelayMessage]
  /// Lets the broker forget everything that ``receive()`` has handed out; on the same thread.
  func acknowledge()
  /// Keeps the connection alive while what was received is worked on; from any thread.
  func keepAlive()
  /// Ends the connections; a broker keeps the session and what was not acknowledged.
  func stop()
}
