import Crypto
internal import GRDB

/// The Merkle tree of RFC 6962 over the entries' hashes.
///
/// Complete subtrees of 2⁸, 2¹⁶ and 2²⁴ leaves are kept in the table `subtree`, written when a
/// checkpoint is signed, so that a root or a proof reads a few hundred hashes whatever the size.
struct MerkleTree {
  private let db: Database
  private static let stride = 8
  private static let topLevel = 24

  init(_ db: Database) {
    self.db = db
  }

  /// Keeps the subtrees that are complete at this size.
  func extend(to size: Int64) throws {
    for level in Swift.stride(from: Self.stride, through: Self.topLevel, by: Self.stride) {
      let complete = size >> Int64(level)
      let known = try Int64.fetchOne(
        db,
        sql: "SELECT coalesce(max(place) + 1, 0) FROM subtree WHERE level = ?",
        arguments: [level]
      )
      let insert = try HotStatement(db, sql: "INSERT INTO subtree VALUES (?, ?, ?)")
      for place in (known ?? 0)..<max(known ?? 0, complete) {
        let first = place << Int64(Self.stride)
        let children = try nodes(level: level - Self.stride, first..<first + 256)
        insert.bind(1, Int64(level))
        insert.bind(2, place)
        insert.bind(3, Self.fold(children))
        try insert.run()
      }
    }
  }

  /// The root over the first `size` entries.
  func root(size: Int64) throws -> [UInt8] {
    try hash(0..<size)
  }

  /// The hashes that lead from a leaf to the root, lowest first.
  func path(to leaf: Int64, size: Int64) throws -> [[UInt8]] {
    var range = 0..<size
    var path: [[UInt8]] = []
    while range.count > 1 {
      let middle = range.lowerBound + Self.split(Int64(range.count))
      if leaf < middle {
        path.append(try hash(middle..<range.upperBound))
        range = range.lowerBound..<middle
      } else {
        path.append(try hash(range.lowerBound..<middle))
        range = middle..<range.upperBound
      }
    }
    return path.reversed()
  }

  private func hash(_ range: Range<Int64>) throws -> [UInt8] {
    let count = Int64(range.count)
    guard count > 256 else { return Self.fold(try nodes(level: 0, range)) }
    if count & (count - 1) == 0 {
      // Complete and aligned, as RFC 6962 splits: built from the highest subtrees that are kept.
      let level = min(count.trailingZeroBitCount / Self.stride * Self.stride, Self.topLevel)
      let shift = Int64(level)
      return Self.fold(
        try nodes(level: level, range.lowerBound >> shift..<range.upperBound >> shift)
      )
    }
    let middle = range.lowerBound + Self.split(count)
    return Self.parent(
      try hash(range.lowerBound..<middle),
      try hash(middle..<range.upperBound)
    )
  }

  private func nodes(level: Int, _ places: Range<Int64>) throws -> [[UInt8]] {
    let sql =
      level == 0
      ? "SELECT hash FROM entry WHERE seq > ? AND seq <= ? ORDER BY seq"
      : "SELECT hash FROM subtree WHERE level = \(level) AND place >= ? AND place < ? ORDER BY place"
    let statement = try HotStatement(db, sql: sql)
    statement.bind(1, places.lowerBound)
    statement.bind(2, places.upperBound)
    defer { statement.reset() }
    var hashes: [[UInt8]] = []
    while try statement.step() { hashes.append(statement.bytes(0)) }
    guard hashes.count == places.count else {
      throw LedgerError.damaged(
        path: db.description,
        detail: "Merkle level \(level) lacks nodes in \(places)"
      )
    }
    return hashes
  }

  /// The largest power of two below `count`.
  private static func split(_ count: Int64) -> Int64 {
    1 << Int64(63 - (count - 1).leadingZeroBitCount)
  }

  /// The root over neighbouring nodes.
  private static func fold(_ nodes: [[UInt8]]) -> [UInt8] {
    guard nodes.count > 1 else { return nodes.first ?? [UInt8](SHA256.hash(data: [UInt8]())) }
    let middle = Int(split(Int64(nodes.count)))
    return parent(fold(Array(nodes[..<middle])), fold(Array(nodes[middle...])))
  }

  private static func parent(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
    [UInt8](SHA256.hash(data: [1] + left + right))
  }
}
