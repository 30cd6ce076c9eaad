public import Crypto
import Foundation
public import Telemetry

#if canImport(Glibc)
import Glibc
#endif

/// A signed statement that the ledger had this many entries with this Merkle root.
///
/// Whoever keeps one can show later that an entry up to it was changed, taken out or put in.
public struct Checkpoint: Hashable, Sendable {
  /// The station whose ledger it is.
  public var station: String
  /// How many entries it covers.
  public var size: Int64
  /// Merkle root over their hashes (RFC 6962).
  public var root: [UInt8]
  /// When it was signed.
  public var time: Timestamp
  /// Public key, Ed25519.
  public var key: [UInt8]
  /// Signature over ``note``.
  public var signature: [UInt8]

  /// The text that is signed: format, station, size, root in hex, time in milliseconds, a line each.
  public var note: String {
    "davy-checkpoint/1\n\(station)\n\(size)\n\(root.hex)\n\(time.milliseconds)\n"
  }

  package init(
    station: String,
    size: Int64,
    root: [UInt8],
    time: Timestamp,
    key: [UInt8],
    signature: [UInt8]
  ) {
    self.station = station
    self.size = size
    self.root = root
    self.time = time
    self.key = key
    self.signature = signature
  }
}

/// The key that signs a station's checkpoints.
public struct CheckpointKey: Sendable {
  private let key: Curve25519.Signing.PrivateKey

  /// The public half, for whoever verifies.
  public var publicKey: Curve25519.Signing.PublicKey { key.publicKey }

  /// Where the public key of the key before lies, where that was gone and this one was made in its place; nil otherwise.
  public let formerPublicKey: String?

  /// Makes a key that is kept nowhere.
  public init() {
    key = Curve25519.Signing.PrivateKey()
    formerPublicKey = nil
  }

  /// Reads the key at `path`, or makes one there, readable by its owner only.
  ///
  /// The public key is put beside it as `path.pub` in hexadecimal; one that lies there of a key that is gone is renamed,
  /// see ``formerPublicKey``.
  public init(path: String) throws(LedgerError) {
    if FileManager.default.fileExists(atPath: path) {
      try self.init(reading: path)
    } else {
      try self.init(creating: path)
    }
  }

  private init(reading path: String) throws(LedgerError) {
    do {
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      let mode = (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0o777
      guard mode & 0o077 == 0 else {
        throw LedgerError.refused(
          reason: "checkpoint key \(path) is open to others (mode \(String(mode, radix: 8))); "
            + "chmod 600 it, and make a new one if others may have read it"
        )
      }
      let text = try String(contentsOfFile: path, encoding: .utf8)
      guard let bytes = [UInt8](hex: text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
        throw LedgerError.checkpointKey(path: path, detail: "it holds no key in hexadecimal")
      }
      key = try Curve25519.Signing.PrivateKey(rawRepresentation: bytes)
    } catch let error as LedgerError {
      throw error
    } catch {
      throw .checkpointKey(path: path, detail: "it cannot be read (\(error))")
    }
    formerPublicKey = nil
  }

  private init(creating path: String) throws(LedgerError) {
    key = Curve25519.Signing.PrivateKey()
    formerPublicKey = try Self.putAside(path + ".pub")
    let secret = [UInt8](key.rawRepresentation).hex + "\n"
    // Made closed from the start: a mode that is changed after writing leaves a moment to read it.
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      let reason = unsafe String(cString: strerror(errno))
      throw .checkpointKey(path: path, detail: "it cannot be made (\(reason))")
    }
    let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    do {
      try file.write(contentsOf: Data(secret.utf8))
      try file.synchronize()
      let open = [UInt8](publicKey.rawRepresentation).hex + "\n"
      try Data(open.utf8).write(to: URL(fileURLWithPath: path + ".pub"), options: .atomic)
    } catch {
      throw .checkpointKey(path: path, detail: "it cannot be written (\(error))")
    }
  }

  /// Renames the public key of a key that is gone: earlier checkpoints are held against it.
  ///
  /// - Returns: its new path; nil where there is none.
  private static func putAside(_ path: String) throws(LedgerError) -> String? {
    let manager = FileManager.default
    guard manager.fileExists(atPath: path) else { return nil }
    var number = 1
    while manager.fileExists(atPath: "\(path).\(number)") { number += 1 }
    let target = "\(path).\(number)"
    do { try manager.moveItem(atPath: path, toPath: target) } catch {
      throw .checkpointKey(path: path, detail: "it cannot be put aside (\(error))")
    }
    return target
  }

  /// Signs the head of a ledger.
  package func sign(station: String, size: Int64, root: [UInt8], time: Timestamp) throws
    -> Checkpoint
  {
    var checkpoint = Checkpoint(
      station: station,
      size: size,
      root: root,
      time: time,
      key: [UInt8](publicKey.rawRepresentation),
      signature: []
    )
    checkpoint.signature = [UInt8](try key.signature(for: Data(checkpoint.note.utf8)))
    return checkpoint
  }
}

extension [UInt8] {
  /// The bytes in lower-case hexadecimal.
  public var hex: String {
    let digits = [UInt8]("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(count * 2)
    for byte in self {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Reads hexadecimal; nil for anything else.
  public init?(hex: String) {
    let digits = hex.utf8.map { byte -> UInt8? in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
      default: nil
      }
    }
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = digits[index], let low = digits[index + 1] else { return nil }
      bytes.append(high << 4 | low)
    }
    self = bytes
  }
}
