import Crypto
import Foundation

/// A random word that opens something: a session, an invitation, a key.
///
/// The store keeps its SHA-256 only. 256 random bits need no slow hash.
public struct Secret: Hashable, Sendable {
  /// The word: 43 characters of base64url.
  public let text: String

  /// Draws a new one.
  public init() {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    text = Self.base64URL(bytes)
  }

  /// Takes one that was handed in; nil when it cannot be one.
  public init?(_ text: String) {
    let allowed = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
    guard text.utf8.count == 43, allowed else { return nil }
    self.text = text
  }

  /// What is kept of it.
  var digest: Data { Data(SHA256.hash(data: Data(text.utf8))) }

  static func base64URL(_ bytes: [UInt8]) -> String {
    Data(bytes).base64EncodedString()
      .replacingOccurrences(of: "+", with: "-")
      .replacingOccurrences(of: "/", with: "_")
      .replacingOccurrences(of: "=", with: "")
  }
}
