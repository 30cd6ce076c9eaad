internal import Crypto
import Foundation
import HazardLedger

/// The signatures that receivers ask for.
package enum Signing {
  /// HMAC-SHA256.
  package static func hmac(_ message: String, key: String) -> [UInt8] {
    Array(
      HMAC<SHA256>.authenticationCode(
        for: Data(message.utf8),
        using: SymmetricKey(data: Data(key.utf8))
      )
    )
  }

  /// DingTalk: key is the secret, message is the time and the secret.
  package static func dingTalk(secret: String, milliseconds: Int64) -> String {
    Data(hmac("\(milliseconds)\n\(secret)", key: secret)).base64EncodedString()
  }

  /// Feishu: key is the time and the secret, the message is empty: the other way round than DingTalk.
  package static func feishu(secret: String, seconds: Int64) -> String {
    Data(hmac("", key: "\(seconds)\n\(secret)")).base64EncodedString()
  }

  /// The generic webhook: over the time and the body as sent, so that neither can be replayed with another.
  package static func webhook(secret: String, seconds: Int64, body: String) -> String {
    "sha256=" + hmac("\(seconds).\(body)", key: secret).hex
  }
}

/// Where a secret comes from: never from a configuration file itself.
public enum ChannelSecret: Hashable, Sendable {
  /// A file; read at every use, so that it can be changed while the service runs.
  case file(String)
  /// An environment variable.
  case environment(String)

  /// The secret, without the line end that editors leave.
  ///
  /// - Throws: ``SecretError`` naming the place.
  public func read() throws(SecretError) -> String {
    let text: String
    switch self {
    case .file(let path):
      do {
        text = try String(contentsOfFile: path, encoding: .utf8)
      } catch {
        throw SecretError(place: "file \(path)", cause: error.localizedDescription)
      }
    case .environment(let name):
      guard let value = ProcessInfo.processInfo.environment[name] else {
        throw SecretError(place: "environment variable \(name)", cause: "it is not set")
      }
      text = value
    }
    let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard !trimmed.isEmpty else {
      throw SecretError(place: "\(self)", cause: "it is empty")
    }
    return trimmed
  }
}

/// A secret that cannot be had.
public struct SecretError: Error, CustomStringConvertible {
  /// Where it should be.
  public var place: String
  /// Why it is not.
  public var cause: String

  /// Place and cause in one line.
  public var description: String { "no secret in \(place): \(cause)" }
}
