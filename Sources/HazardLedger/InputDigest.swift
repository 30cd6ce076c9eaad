import Crypto

/// The hash by which an alarm names the input that raised it, so that the message itself can be shown to be the one.
///
/// SHA-256 over kind (1 byte), receive time (8 bytes, big-endian), topic and payload, each behind its length (4 bytes).
public enum InputDigest {
  /// The hash in lower-case hexadecimal.
  public static func text(
    kind: UInt8,
    received: Int64,
    topic: [UInt8],
    payload: [UInt8]
  ) -> String {
    var bytes: [UInt8] = [kind]
    bytes.reserveCapacity(17 + topic.count + payload.count)
    for shift in stride(from: 56, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: received >> Int64(shift)))
    }
    for part in [topic, payload] {
      let count = UInt32(truncatingIfNeeded: part.count)
      for shift in stride(from: 24, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: count >> UInt32(shift)))
      }
      bytes += part
    }
    return [UInt8](SHA256.hash(data: bytes)).hex
  }
}
