/// The snapshots of several shards in one.
///
/// Layout, little endian: magic, count, then each shard's snapshot led by its length. Each carries its own
/// version and checksum. One shard's snapshot stands alone.
enum ShardSnapshot {
  /// "DAVYSHD1" as little-endian bytes.
  private static let magic: UInt64 = 0x3144_4853_5956_4144
  private static let shardLimit = 1024

  static func bytes(of parts: [[UInt8]]) -> [UInt8] {
    guard parts.count != 1 else { return parts[0] }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(parts.reduce(16) { $0 + 8 + $1.count })
    bytes.appendState(magic)
    bytes.appendState(parts.count)
    for part in parts {
      bytes.appendState(part.count)
      bytes += part
    }
    return bytes
  }

  static func parts(of bytes: [UInt8]) throws(SnapshotError) -> [[UInt8]] {
    var reader = StateReader(bytes)
    do {
      guard try reader.word() == magic else { return [bytes] }
    } catch { throw .notASnapshot }
    do {
      var parts: [[UInt8]] = []
      for _ in 0..<(try reader.count(in: 1...shardLimit)) {
        let count = try reader.count(in: 0...bytes.count)
        let first = reader.offset
        guard bytes.count - first >= count else { throw StateReadError.truncated }
        parts.append(Array(bytes[first..<first + count]))
        reader = StateReader(bytes, at: first + count)
      }
      guard reader.isAtEnd else { throw StateReadError.inconsistent }
      return parts
    } catch { throw .damaged }
  }
}
