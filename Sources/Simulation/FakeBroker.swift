public import Journal
public import Station

/// A broker with one persistent session: keeps what is unacknowledged, in order, and sends it again to the next
/// connection, as MQTT asks at QoS 1.
public final class FakeBroker {
  /// A published message.
  struct Message: Equatable, Sendable {
    var topic: [UInt8]
    var payload: [UInt8]
  }

  private struct Delivery {
    var message: Message
    var wasSent = false
  }

  private var session: [Delivery] = []
  private(set) var acknowledged: [Message] = []
  /// Whether connections are taken.
  public var isReachable = true

  /// Makes a broker with an empty session.
  public init() {}

  /// How many messages wait for their acknowledgement.
  public var unacknowledged: Int { session.count }

  func publish(_ message: Message) {
    session.append(Delivery(message: message))
  }

  /// What a connection has not been sent yet, from `index` of the session on.
  func deliver(
    from index: Int,
    limit: Int,
    bytes: Int
  ) -> ArraySlice<(message: Message, isRepeat: Bool)> {
    var end = index
    var size = 0
    while end < min(session.count, index + limit), size < bytes {
      size += session[end].message.topic.count + session[end].message.payload.count
      end += 1
    }
    guard index < end else { return [] }
    let deliveries = session[index..<end].map { (message: $0.message, isRepeat: $0.wasSent) }
    for row in index..<end { session[row].wasSent = true }
    return deliveries[...]
  }

  func acknowledge(_ count: Int) {
    acknowledged.append(contentsOf: session.prefix(count).map(\.message))
    session.removeFirst(count)
  }
}

/// One connection to the fake broker; a crash drops it, and the next starts with what is unacknowledged.
public final class FakeLink: IntakeLink {
  private let broker: FakeBroker
  private var sent = 0
  private var held: ArraySlice<(message: FakeBroker.Message, isRepeat: Bool)> = []
  private var taken = 0
  /// Of the messages delivered next, one in this many is delivered twice; 0 for none.
  public var duplicateOneIn = 0
  private var generator: SeededGenerator

  /// Connects.
  public init(broker: FakeBroker, seed: UInt64) {
    self.broker = broker
    generator = SeededGenerator(seed: seed)
  }

  /// Holds what the broker has to send.
  public func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    guard broker.isReachable else {
      // A lost connection: what was not acknowledged comes again.
      sent = 0
      taken = 0
      return LinkReport(state: "disconnected", reason: "the simulated broker is away")
    }
    held = broker.deliver(from: sent, limit: limit, bytes: bytes)
    sent += held.count
    return LinkReport(state: "connected")
  }

  /// Moves the held messages into the batch.
  public func take(received: Int64, into batch: inout JournalBatch) {
    for delivery in held {
      let copies = generator.isOneIn(duplicateOneIn) ? 2 : 1
      for copy in 0..<copies {
        batch.append(
          JournalInput(
            received: received,
            topic: delivery.message.topic,
            payload: delivery.message.payload,
            qos: 1,
            duplicate: delivery.isRepeat || copy > 0
          )
        )
      }
    }
    taken += held.count
    held = []
  }

  /// Acknowledges everything taken.
  public func acknowledge() {
    guard broker.isReachable else { return }
    broker.acknowledge(taken)
    sent -= taken
    taken = 0
  }

  /// Nothing to do: the fake connection does not die of silence.
  public func keepAlive() {}

  /// Nothing to do: the session stays with the broker.
  public func stop() {}
}
