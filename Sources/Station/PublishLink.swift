package import MQTTTransport

/// How a connection stands over which Davy sends, as operators are told of it.
package struct PublishLink: Sendable {
  /// How long it may be down, in milliseconds, before it counts as a fault: a broker's restart is none.
  package static let patience: Int64 = 30_000

  /// Whether it stands.
  package private(set) var isConnected = false
  /// Why it was last seen not to stand.
  private var reason = "no attempt has ended yet"
  /// Monotonic milliseconds at which it last stood, or was begun.
  private var lastUp: Int64

  /// A connection that is begun at monotonic time `now` (milliseconds).
  package init(at now: Int64) { lastUp = now }

  /// Takes in how it stands.
  package mutating func note(_ state: LinkState, at now: Int64) {
    isConnected = state.isConnected
    if isConnected { lastUp = now }
    if case .waiting(let failure, _, _) = state { reason = "\(failure)" }
  }

  /// Why it is down, once it has been for longer than ``patience``; nil before.
  package func fault(at now: Int64) -> String? {
    now - lastUp > Self.patience ? reason : nil
  }
}
