import CryptoExtras
import Foundation

/// How dear a password hash is: memory is `128 · blockSize · rounds` bytes, time grows with both and with `parallelism`.
public struct PasswordCost: Hashable, Sendable {
  /// log₂ of scrypt's N.
  public var logRounds: Int
  /// scrypt's r.
  public var blockSize: Int
  /// scrypt's p.
  public var parallelism: Int

  /// Makes a cost.
  public init(logRounds: Int, blockSize: Int, parallelism: Int) {
    self.logRounds = logRounds
    self.blockSize = blockSize
    self.parallelism = parallelism
  }

  /// 32 MiB a hash: one of the equivalent settings of OWASP's password storage cheat sheet (N = 2¹⁵, r = 8, p = 3).
  public static let standard = PasswordCost(logRounds: 15, blockSize: 8, parallelism: 3)
}

/// A password as it is kept: scrypt (RFC 7914) with its cost and a salt of its own.
///
/// Written as `scrypt$15$8$3$salt$hash`, salt and hash in base64, so that the cost can be raised later and old
/// hashes stay readable.
public struct PasswordHash: Hashable, Sendable, CustomStringConvertible {
  let cost: PasswordCost
  let salt: [UInt8]
  let hash: [UInt8]

  private static let hashBytes = 32
  private static let saltBytes = 16

  /// Hashes a password; takes about a tenth of a second and 32 MiB, so never on a thread of the concurrency pool.
  public init(of password: String, cost: PasswordCost = .standard) throws {
    var generator = SystemRandomNumberGenerator()
    salt = (0..<Self.saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    self.cost = cost
    hash = try Self.derive(password, salt: salt, cost: cost)
  }

  /// A hash that no password has, as dear to try as any.
  static func decoy(cost: PasswordCost) -> PasswordHash {
    PasswordHash(
      cost: cost,
      salt: [UInt8](repeating: 0, count: saltBytes),
      hash: [UInt8](repeating: 0, count: hashBytes)
    )
  }

  private init(cost: PasswordCost, salt: [UInt8], hash: [UInt8]) {
    self.cost = cost
    self.salt = salt
    self.hash = hash
  }

  /// Reads a kept hash; nil when it is not one.
  public init?(_ text: String) {
    let parts = text.split(separator: "$", omittingEmptySubsequences: false)
    guard parts.count == 6, parts[0] == "scrypt", let logRounds = Int(parts[1]),
      let blockSize = Int(parts[2]), let parallelism = Int(parts[3]),
      let salt = Data(base64Encoded: String(parts[4])),
      let hash = Data(base64Encoded: String(parts[5])),
      (1...20).contains(logRounds), (1...32).contains(blockSize), (1...16).contains(parallelism),
      hash.count == Self.hashBytes
    else { return nil }
    cost = PasswordCost(logRounds: logRounds, blockSize: blockSize, parallelism: parallelism)
    self.salt = [UInt8](salt)
    self.hash = [UInt8](hash)
  }

  /// The hash as it is kept.
  public var description: String {
    let numbers = "\(cost.logRounds)$\(cost.blockSize)$\(cost.parallelism)"
    return
      "scrypt$\(numbers)$\(Data(salt).base64EncodedString())$\(Data(hash).base64EncodedString())"
  }

  /// Whether a password is the one; as dear as hashing it, and equally long for right and wrong ones.
  public func matches(_ password: String) throws -> Bool {
    let other = try Self.derive(password, salt: salt, cost: cost)
    return zip(hash, other).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  private static func derive(
    _ password: String,
    salt: [UInt8],
    cost: PasswordCost
  ) throws -> [UInt8] {
    let key = try KDF.Scrypt.deriveKey(
      // One way to write each character: a password typed on another keyboard must still be the same.
      from: Data(password.precomposedStringWithCanonicalMapping.utf8),
      salt: salt,
      outputByteCount: hashBytes,
      rounds: 1 << cost.logRounds,
      blockSize: cost.blockSize,
      parallelism: cost.parallelism,
      maxMemory: 2 * 128 * cost.blockSize * (1 << cost.logRounds) + (1 << 20)
    )
    return unsafe key.withUnsafeBytes { unsafe [UInt8]($0) }
  }
}
