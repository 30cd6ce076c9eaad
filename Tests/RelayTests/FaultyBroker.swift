import Foundation
import Relay
import Synchronization

/// A broker in memory for both ends of a relay.
///
/// It keeps what is not acknowledged, and loses, doubles and refuses as it is told. Loss is worse than what MQTT allows a broker at QoS 1: one that came back with nothing.
final class FaultyBroker: Sendable {
  /// What becomes of the message with this number on its way, counted for each direction from 0.
  enum Fate: Sendable {
    case delivered, lost, twice
    /// Refused as too large.
    case tooLarge
  }

  fileprivate struct State {
    var queues: [String: [RelayMessage]] = [:]
    var unacknowledged: [String: [RelayMessage]] = [:]
    var counts: [String: Int] = [:]
    var acknowledged: [String: Int] = [:]
    var isDown = false
  }

  fileprivate let state = Mutex(State())
  fileprivate let fate: @Sendable (_ isRequest: Bool, _ number: Int, _ bytes: Int) -> Fate

  init(
    fate: @escaping @Sendable (_ isRequest: Bool, _ number: Int, _ bytes: Int) -> Fate = {
      _,
      _,
      _ in
      .delivered
    }
  ) {
    self.fate = fate
  }

  /// Whether nobody reaches it.
  var isDown: Bool {
    get { state.withLock { $0.isDown } }
    set { state.withLock { $0.isDown = newValue } }
  }

  /// Messages of a kind that were acknowledged: `items` or `outcomes`.
  func acknowledged(_ kind: String) -> Int { state.withLock { $0.acknowledged[kind] ?? 0 } }

  /// Messages of a kind that wait, handed out or not.
  func waiting(_ kind: String) -> Int {
    state.withLock { ($0.queues[kind] ?? []).count + ($0.unacknowledged[kind] ?? []).count }
  }

  /// The end that receives messages of this kind.
  func post(receiving kind: String) -> Post { Post(broker: self, kind: kind) }

  /// Puts a message in as any client can.
  func put(_ message: RelayMessage, kind: String) {
    state.withLock { $0.queues[kind, default: []].append(message) }
  }

  final class Post: RelayPost {
    private let broker: FaultyBroker
    private let kind: String

    init(broker: FaultyBroker, kind: String) {
      self.broker = broker
      self.kind = kind
    }

    var trouble: String? { broker.isDown ? "not connected" : nil }

    func publish(
      _ publication: RelayPublication,
      onRefusal: @escaping @Sendable (RelayRefusal) -> Void
    ) -> String? {
      let kind = String(publication.topic.split(separator: "/").last ?? "")
      let message = RelayMessage(
        topic: Array(publication.topic.utf8),
        payload: publication.payload,
        correlation: publication.correlation,
        properties: publication.properties
      )
      let fate = broker.state.withLock { state -> Fate in
        let number = state.counts[kind] ?? 0
        state.counts[kind] = number + 1
        let fate = broker.fate(kind == "items", number, publication.payload.count)
        switch fate {
        case .delivered: state.queues[kind, default: []].append(message)
        case .twice: state.queues[kind, default: []] += [message, message]
        case .lost, .tooLarge: break
        }
        return fate
      }
      if fate == .tooLarge {
        onRefusal(RelayRefusal(reason: "Packet too large.", isTooLarge: true))
      }
      return nil
    }

    func receive() -> [RelayMessage] {
      let received = broker.state.withLock { state -> [RelayMessage] in
        guard !state.isDown else { return [] }
        let messages = state.queues.removeValue(forKey: kind) ?? []
        state.unacknowledged[kind, default: []] += messages
        return messages
      }
      // On threads of their own; the tests beside them want the processor too.
      if received.isEmpty { Thread.sleep(forTimeInterval: 0.002) }
      return received
    }

    func acknowledge() {
      broker.state.withLock { state in
        state.acknowledged[kind, default: 0] += state.unacknowledged[kind]?.count ?? 0
        state.unacknowledged[kind] = []
      }
    }

    func keepAlive() {}

    func stop() {
      // What was not acknowledged comes again, to whoever takes the session up.
      broker.state.withLock { state in
        state.queues[kind, default: []].insert(
          contentsOf: state.unacknowledged.removeValue(forKey: kind) ?? [],
          at: 0
        )
      }
    }
  }
}
