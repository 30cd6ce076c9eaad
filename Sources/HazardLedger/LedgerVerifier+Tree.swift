import Crypto
import Foundation
internal import GRDB

/// The list of pruned bodies, held against the entries that announce the pruning.
struct CheckedRedactions {
  private struct Listed {
    var redaction: Int64
    var length: Int
    var digest: [UInt8]
  }

  private var listed: [Int64: Listed] = [:]
  private var sums: [Int64: (first: Int64, count: Int64, digest: SHA256)] = [:]

  mutating func read(_ db: Database) throws {
    let rows = try Row.fetchCursor(
      db,
      sql: "SELECT seq, redaction, length, digest FROM redacted ORDER BY seq"
    )
    while let row = try rows.next() {
      let sequence: Int64 = row[0]
      let redaction: Int64 = row[1]
      listed[sequence] = Listed(
        redaction: redaction,
        length: row[2],
        digest: [UInt8](row[3] as Data)
      )
      var sum = sums[redaction] ?? (sequence, 0, SHA256())
      sum.count += 1
      sum.digest.update(data: EntryFields.bigEndian(sequence))
      sums[redaction] = sum
    }
  }

  func isListed(_ sequence: Int64) -> Bool {
    listed[sequence] != nil
  }

  func body(of sequence: Int64) -> (length: Int, digest: [UInt8])? {
    listed[sequence].map { ($0.length, $0.digest) }
  }

  /// What is wrong with a redaction entry, held against the list.
  mutating func check(_ body: CheckedBody?, sequence: Int64) -> String? {
    guard let count = body?.count, let digest = body?.digest else {
      return "not the body of a redaction"
    }
    let sum = sums.removeValue(forKey: sequence) ?? (0, 0, SHA256())
    let found = sum.digest.finalize().map { String(format: "%02x", $0) }.joined()
    return sum.count == count && found == digest
      ? nil : "the bodies pruned (\(sum.count)) are not those it announces (\(count))"
  }

  /// Pruned entries whose redaction entry does not exist.
  func unclaimed() -> [(Int64, String)] {
    sums.map { ($0.value.first, "its body was pruned by entry \($0.key), which is no redaction") }
  }
}

/// A Merkle tree (RFC 6962) that is only ever added to: one hash per level.
struct CheckedTree {
  private var stack: [(size: Int64, hash: [UInt8])] = []

  mutating func add(_ leaf: [UInt8]) {
    var node = (size: Int64(1), hash: leaf)
    while let left = stack.last, left.size == node.size {
      stack.removeLast()
      node = (left.size * 2, Self.parent(left.hash, node.hash))
    }
    stack.append(node)
  }

  var root: [UInt8] {
    guard var hash = stack.last?.hash else { return Array(SHA256.hash(data: Data())) }
    for node in stack.dropLast().reversed() { hash = Self.parent(node.hash, hash) }
    return hash
  }

  static func parent(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    hash.update(data: [0x01])
    hash.update(data: left)
    hash.update(data: right)
    return Array(hash.finalize())
  }
}

/// A checkpoint as the verifier reads it.
struct CheckedCheckpoint {
  let size: Int64
  let time: Int64
  let root: [UInt8]
  let key: [UInt8]
  let signature: [UInt8]

  /// All checkpoints of the file, smallest first.
  static func read(_ db: Database) throws -> [CheckedCheckpoint] {
    let rows = try Row.fetchAll(
      db,
      sql: "SELECT size, time, root, key, signature FROM checkpoint ORDER BY size"
    )
    return rows.map { row in
      CheckedCheckpoint(
        size: row[0],
        time: row[1],
        root: [UInt8](row[2] as Data),
        key: [UInt8](row[3] as Data),
        signature: [UInt8](row[4] as Data)
      )
    }
  }

  /// What is wrong with it, given the root that the entries have.
  func fault(
    root actual: [UInt8],
    station: String,
    trusted: [Curve25519.Signing.PublicKey]
  ) -> String? {
    if !trusted.isEmpty, !trusted.contains(where: { Array($0.rawRepresentation) == key }) {
      return "signed with a key that is not trusted"
    }
    let hex = root.map { String(format: "%02x", $0) }.joined()
    let note = "davy-checkpoint/1\n\(station)\n\(size)\n\(hex)\n\(time)\n"
    do {
      let key = try Curve25519.Signing.PublicKey(rawRepresentation: key)
      guard key.isValidSignature(signature, for: Data(note.utf8)) else {
        return "its signature does not fit"
      }
    } catch {
      return "its key is none"
    }
    return actual == root ? nil : "its root is not that of the entries"
  }
}
