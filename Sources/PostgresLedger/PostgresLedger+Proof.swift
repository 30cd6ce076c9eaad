public import HazardLedger
public import Telemetry

extension PostgresLedger {
  /// Signs the ledger as it stands; a second call without new entries answers the same checkpoint.
  @discardableResult
  public func signCheckpoint(
    with key: CheckpointKey,
    at time: Timestamp
  ) throws(LedgerError) -> Checkpoint {
    try writing { connection in
      // Holds the station's row: the head stays while it is signed, and only the writer signs.
      _ = try PostgresBatch(connection, epoch: epoch, path: path)
      let size = try connection.run("SELECT head_seq FROM station").integer(0, 0)
      if let known = try Checkpoint.fetch(
        connection,
        station: station,
        "WHERE size = $1",
        [.integer(size)]
      ) {
        return known
      }
      let tree = MerkleTree(PostgresNodes(connection: connection))
      try tree.extend(to: size)
      let checkpoint = try key.sign(
        station: station,
        size: size,
        root: try tree.root(size: size),
        time: time
      )
      try connection.run(
        "INSERT INTO checkpoint (size, time, root, key, signature) VALUES ($1, $2, $3, $4, $5)",
        [
          .integer(size), .integer(time.milliseconds), .bytes(checkpoint.root),
          .bytes(checkpoint.key), .bytes(checkpoint.signature),
        ]
      )
      return checkpoint
    }
  }

  /// Does a part of the work of the next checkpoint.
  public func prepareCheckpoint(entries: Int64) throws(LedgerError) -> Bool {
    try writing { connection in
      _ = try PostgresBatch(connection, epoch: epoch, path: path)
      let size = try connection.run("SELECT head_seq FROM station").integer(0, 0)
      return try MerkleTree(PostgresNodes(connection: connection))
        .extend(to: size, leaves: entries)
    }
  }

  /// The newest checkpoint.
  public func newestCheckpoint() throws(LedgerError) -> Checkpoint? {
    try reading {
      try Checkpoint.fetch($0, station: station, "ORDER BY size DESC LIMIT 1")
    }
  }

  /// The hashes that prove an entry under the root over the first `size` entries (RFC 6962).
  public func inclusionPath(of sequence: Int64, size: Int64) throws(LedgerError) -> [[UInt8]] {
    guard sequence >= 1, sequence <= size else {
      throw .refused(reason: "entry \(sequence) is not among the first \(size)")
    }
    return try reading {
      try MerkleTree(PostgresNodes(connection: $0)).path(to: sequence - 1, size: size)
    }
  }
}

/// The Merkle tree's nodes in PostgreSQL.
struct PostgresNodes: MerkleNodes {
  let connection: PostgresConnection

  func hashes(level: Int, _ places: Range<Int64>) throws -> [[UInt8]] {
    let rows =
      level == 0
      ? try connection.run(
        "SELECT hash FROM entry WHERE seq > $1 AND seq <= $2 ORDER BY seq",
        [.integer(places.lowerBound), .integer(places.upperBound)]
      )
      : try connection.run(
        "SELECT hash FROM subtree WHERE level = $3 AND place >= $1 AND place < $2 ORDER BY place",
        [.integer(places.lowerBound), .integer(places.upperBound), .integer(Int64(level))]
      )
    return (0..<rows.count).map { rows.bytes($0, 0) }
  }

  func kept(level: Int) throws -> Int64 {
    try connection.run(
      "SELECT coalesce(max(place) + 1, 0) FROM subtree WHERE level = $1",
      [.integer(Int64(level))]
    ).integer(0, 0)
  }

  func keep(level: Int, place: Int64, hash: [UInt8]) throws {
    try connection.run(
      "INSERT INTO subtree VALUES ($1, $2, $3)",
      [.integer(Int64(level)), .integer(place), .bytes(hash)]
    )
  }
}
