public import Callout
import Foundation
public import Station

/// The way to the station above: takes a batch there and brings back what that one says.
///
/// A line keeps nothing and promises nothing. What is lost on it, comes twice or late is made good by who sends: it goes by
/// what the station above says that it has.
public protocol RelayLine: Sendable {
  /// Sends a batch and waits for the answer; one batch at a time.
  func send(_ batch: [UInt8]) async -> Result<RelayReply, RelayLineFailure>
  /// Ends connections.
  func close() async throws
}

/// Why no answer came.
public struct RelayLineFailure: Error, Hashable, Sendable {
  /// The reason, with what to do about it where that is known.
  public var cause: String

  /// Makes a failure.
  public init(cause: String) {
    self.cause = cause
  }
}

/// The way by HTTP: `POST /api/v1/relay/items`.
public struct HTTPRelayLine: RelayLine {
  private let url: String
  private let key: ChannelSecret?
  private let sender: HTTPSender

  /// Makes a line.
  ///
  /// - Parameters:
  ///   - url: address of the station above: scheme, host, port.
  ///   - key: key of this station's account there; nil where that one asks for none.
  ///   - sender: makes the calls; ends with the line.
  public init(url: String, key: ChannelSecret?, sender: HTTPSender) {
    self.url = url
    self.key = key
    self.sender = sender
  }

  /// Sends a batch and waits for the answer.
  public func send(_ batch: [UInt8]) async -> Result<RelayReply, RelayLineFailure> {
    var call = HTTPCall(
      url: url + "/api/v1/relay/items",
      headers: ["Content-Type": "application/json"],
      body: String(decoding: batch, as: UTF8.self)
    )
    if let key {
      do throws(SecretError) {
        call.headers["Authorization"] = "Bearer " + (try key.read())
      } catch {
        return .failure(RelayLineFailure(cause: error.description))
      }
    }
    switch await sender.send(call) {
    case .failure(let failure):
      return .failure(
        RelayLineFailure(cause: "the station above does not answer: \(failure.cause)")
      )
    case .success(let reply):
      return .success(
        RelayReply(
          status: reply.status,
          // A header may say anything, also what is no Int; nobody is waited for longer than an hour.
          retryAfter: reply.retryAfter.map {
            Int(min(max($0 / .seconds(1), 0), 3_600).rounded(.up))
          },
          body: Array(reply.body.utf8)
        )
      )
    }
  }

  /// Ends connections.
  public func close() async throws { try await sender.shutdown() }
}
