import ArgumentParser
import MQTTTransport
import Synchronization

/// HOST:PORT as people write it.
struct BrokerAddress {
  let host: String
  let port: UInt16

  init(_ text: String) throws {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { throw ValidationError("'\(text)' is not HOST:PORT") }
    host = String(text[..<colon])
    self.port = port
  }
}

/// How many publications the broker has settled.
final class SettledCount: Sendable {
  private let counts = Mutex((confirmed: 0, refused: 0))

  func add(_ outcome: PublishOutcome) {
    counts.withLock { counts in
      switch outcome {
      case .confirmed: counts.confirmed += 1
      case .refused: counts.refused += 1
      }
    }
  }

  var count: Int { counts.withLock { $0.confirmed + $0.refused } }
  var refused: Int { counts.withLock { $0.refused } }
}
