import Crypto
internal import GRDB

/// Where a store keeps the entries' hashes and the subtrees over them.
package protocol MerkleNodes {
  /// Hashes of a level in order: of entries `places.lowerBound + 1` to `places.upperBound` at level 0, else of
  /// subtrees; fewer where there are fewer.
  func hashes(level: Int, _ places: Range<Int64>) throws -> [[UInt8]]

  /// How many subtrees of a level are kept.
  func kept(level: Int) throws -> Int64

  /// Keeps a subtree.
  func keep(level: Int, place: Int64, hash: [UInt8]) throws
}

/// The Merkle tree of RFC 6962 over the entries' hashes.
///
/// Complete subtrees of 2⁸, 2¹⁶ and 2²⁴ leaves are kept in the table `subtree`, written when a
/// checkpoint is signed, so that a root or a proof reads a few hundred hashes whatever the size.
/// They are read in blocks of 256 neighbours and remembered, so that many proofs of one export cost little more than
/// one. Never outlives the transaction it was made in.
package final class MerkleTree<Nodes: MerkleNodes> {
  private struct Place: Hashable {
    var level: Int
    var index: Int64
  }

  private let source: Nodes
  private var blocks: [Place: [[UInt8]]] = [:]
  private var roots: [Range<Int64>: [UInt8]] = [:]
  private static var stride: Int { 8 }
  private static var topLevel: Int { 24 }
  /// Blocks remembered at most: 8 KiB of hashes each.
  private static var blockLimit: Int { 4_096 }

  /// Makes a tree over these nodes.
  package init(_ source: Nodes) {
    self.source = source
  }

  /// Keeps the subtrees that are complete at this size, over at most `leaves` further entries.
  ///
  /// - Returns: true when all of them are kept; false when there are more to be kept by another call.
  @discardableResult
  package func extend(to size: Int64, leaves: Int64 = .max) throws -> Bool {
    var below = size
    var isWhole = true
    for level in Swift.stride(from: Self.stride, through: Self.topLevel, by: Self.stride) {
      let complete = below >> Int64(Self.stride)
      let known = try source.kept(level: level)
      var end = max(known, complete)
      if level == Self.stride, end - known > max(1, leaves >> Int64(Self.stride)) {
        end = known + max(1, leaves >> Int64(Self.stride))
        isWhole = false
      }
      for place in known..<end {
        let first = place << Int64(Self.stride)
        let children = try nodes(level: level - Self.stride, first..<first + 256)
        try source.keep(level: level, place: place, hash: Self.fold(children[...]))
      }
      below = end
    }
    return isWhole
  }

  /// The root over the first `size` entries.
  package func root(size: Int64) throws -> [UInt8] {
    try hash(0..<size)
  }

  /// The hashes that lead from a leaf to the root, lowest first.
  package func path(to leaf: Int64, size: Int64) throws -> [[UInt8]] {
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
    guard count > 256 else { return Self.fold(try block(level: 0, range)) }
    if let known = roots[range] { return known }
    let root: [UInt8]
    if count & (count - 1) == 0 {
      // Complete and aligned, as RFC 6962 splits: built from the highest subtrees that are kept.
      let level = min(count.trailingZeroBitCount / Self.stride * Self.stride, Self.topLevel)
      let shift = Int64(level)
      root = Self.fold(
        try block(level: level, range.lowerBound >> shift..<range.upperBound >> shift)
      )
    } else {
      let middle = range.lowerBound + Self.split(count)
      root = Self.parent(
        try hash(range.lowerBound..<middle),
        try hash(middle..<range.upperBound)
      )
    }
    roots[range] = root
    return root
  }

  /// Neighbouring nodes out of their block of 256: the subtrees of RFC 6962 never cross one.
  private func block(level: Int, _ places: Range<Int64>) throws -> ArraySlice<[UInt8]> {
    let place = Place(level: level, index: places.lowerBound >> Int64(Self.stride))
    let first = place.index << Int64(Self.stride)
    guard places.upperBound <= first + 256 else {
      // More than 2³² entries: above the highest kept level blocks no longer hold a subtree.
      return try nodes(level: level, places)[...]
    }
    let block: [[UInt8]]
    if let known = blocks[place], known.count >= Int(places.upperBound - first) {
      block = known
    } else {
      block = try nodes(level: level, first..<first + 256, isWhole: false)
      if blocks.count >= Self.blockLimit { blocks.removeAll(keepingCapacity: true) }
      blocks[place] = block
    }
    guard block.count >= Int(places.upperBound - first) else {
      throw LedgerError.damaged(
        path: "Merkle tree",
        detail: "level \(level) lacks nodes in \(places)"
      )
    }
    return block[Int(places.lowerBound - first)..<Int(places.upperBound - first)]
  }

  private func nodes(
    level: Int,
    _ places: Range<Int64>,
    isWhole: Bool = true
  ) throws -> [[UInt8]] {
    let hashes = try source.hashes(level: level, places)
    guard !isWhole || hashes.count == places.count else {
      throw LedgerError.damaged(
        path: "Merkle tree",
        detail: "level \(level) lacks nodes in \(places)"
      )
    }
    return hashes
  }

  /// The largest power of two below `count`.
  private static func split(_ count: Int64) -> Int64 {
    1 << Int64(63 - (count - 1).leadingZeroBitCount)
  }

  /// The root over neighbouring nodes.
  private static func fold(_ nodes: ArraySlice<[UInt8]>) -> [UInt8] {
    guard nodes.count > 1, let first = nodes.first else {
      return nodes.first ?? [UInt8](SHA256.hash(data: [UInt8]()))
    }
    guard nodes.count > 2 else { return parent(first, nodes[nodes.startIndex + 1]) }
    let middle = nodes.startIndex + Int(split(Int64(nodes.count)))
    return parent(fold(nodes[..<middle]), fold(nodes[middle...]))
  }

  private static func parent(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    hash.update(data: [1])
    hash.update(data: left)
    hash.update(data: right)
    return [UInt8](hash.finalize())
  }
}

/// The nodes in SQLite.
struct SQLiteNodes: MerkleNodes {
  let db: Database

  func hashes(level: Int, _ places: Range<Int64>) throws -> [[UInt8]] {
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
    return hashes
  }

  func kept(level: Int) throws -> Int64 {
    try Int64.fetchOne(
      db,
      sql: "SELECT coalesce(max(place) + 1, 0) FROM subtree WHERE level = ?",
      arguments: [level]
    ) ?? 0
  }

  func keep(level: Int, place: Int64, hash: [UInt8]) throws {
    let insert = try HotStatement(db, sql: "INSERT INTO subtree VALUES (?, ?, ?)")
    insert.bind(1, Int64(level))
    insert.bind(2, place)
    insert.bind(3, hash)
    try insert.run()
  }
}
