import Foundation
internal import GRDB
public import Telemetry

extension SQLiteLedger {
  /// Signs the ledger as it stands; a second call without new entries answers the same checkpoint.
  ///
  /// Checkpoints stand beside the chain, not in it, because when one is signed depends on the clock
  /// and a replay must write the same chain.
  @discardableResult
  public func signCheckpoint(
    with key: CheckpointKey,
    at time: Timestamp
  ) throws(LedgerError) -> Checkpoint {
    try translating {
      try pool.write { db in
        let size = try Int64.fetchOne(db, sql: "SELECT head_seq FROM station") ?? 0
        if let known = try self.checkpoint(db, "WHERE size = ?", [size]) { return known }
        let tree = MerkleTree(SQLiteNodes(db: db))
        try tree.extend(to: size)
        let checkpoint = try key.sign(
          station: self.station,
          size: size,
          root: tree.root(size: size),
          time: time
        )
        try db.execute(
          sql: "INSERT INTO checkpoint (size, time, root, key, signature) VALUES (?, ?, ?, ?, ?)",
          arguments: [
            size, time.milliseconds, Data(checkpoint.root), Data(checkpoint.key),
            Data(checkpoint.signature),
          ]
        )
        return checkpoint
      }
    }
  }

  /// Does a part of the work of the next checkpoint.
  public func prepareCheckpoint(entries: Int64) throws(LedgerError) -> Bool {
    try translating {
      try pool.write { db in
        let size = try Int64.fetchOne(db, sql: "SELECT head_seq FROM station") ?? 0
        return try MerkleTree(SQLiteNodes(db: db)).extend(to: size, leaves: entries)
      }
    }
  }

  /// The newest checkpoint.
  public func newestCheckpoint() throws(LedgerError) -> Checkpoint? {
    try reading { try checkpoint($0, "ORDER BY size DESC LIMIT 1", []) }
  }

  /// The hashes that prove an entry under the root over the first `size` entries (RFC 6962).
  public func inclusionPath(
    of sequence: Int64,
    size: Int64
  ) throws(LedgerError) -> [[UInt8]] {
    guard sequence >= 1, sequence <= size else {
      throw .refused(reason: "entry \(sequence) is not among the first \(size)")
    }
    return try reading { try MerkleTree(SQLiteNodes(db: $0)).path(to: sequence - 1, size: size) }
  }

  private func checkpoint(
    _ db: Database,
    _ clauses: String,
    _ arguments: StatementArguments
  ) throws -> Checkpoint? {
    try Checkpoint.fetch(db, station: station, clauses, arguments)
  }

  /// Everything the ledger holds of some subjects, each entry with its proof, as one JSON text.
  ///
  /// The text verifies alone and offline, see ``LedgerVerifier/verifyExport(_:trusting:)``. It shows
  /// that each entry was in the ledger when the checkpoint was signed; that none was left out of the
  /// export, only the ledger itself can show.
  ///
  /// - Parameter subjects: ids of alarms, hazards and other things that belong together.
  /// - Returns: canonical JSON.
  /// - Throws: ``LedgerError/refused(reason:)`` when there is nothing to export, or no checkpoint
  ///   covers it yet.
  public func export(subjects: [String]) throws(LedgerError) -> [UInt8] {
    try reading { db in
      let document = try SQLiteDossier(db: db, station: self.station).document(subjects)
      return JSONValue.object(document.members).canonicalBytes()
    }
  }
}

extension Checkpoint {
  static func fetch(
    _ db: Database,
    station: String,
    _ clauses: String,
    _ arguments: StatementArguments = []
  ) throws -> Checkpoint? {
    let sql = "SELECT size, time, root, key, signature FROM checkpoint \(clauses)"
    return try Row.fetchOne(db, sql: sql, arguments: arguments).map { row in
      Checkpoint(
        station: station,
        size: row[0],
        root: [UInt8](row[2] as Data),
        time: Timestamp(milliseconds: row[1]),
        key: [UInt8](row[3] as Data),
        signature: [UInt8](row[4] as Data)
      )
    }
  }
}

extension Checkpoint {
  /// The checkpoint as it is published and exported.
  public var json: JSONValue {
    .object([
      "station": .string(station), "size": .integer(size), "root": .string(root.hex),
      "time": .integer(time.milliseconds), "key": .string(key.hex),
      "signature": .string(signature.hex),
    ])
  }
}

extension LedgerEntry {
  /// The entry's members as they are published and exported; the body as text, exactly as hashed.
  public var json: [String: JSONValue] {
    [
      "sequence": .integer(sequence), "time": .integer(time.milliseconds),
      "kind": .string(kind.rawValue), "subject": .string(subject), "actor": .string(actor),
      "body": body.map { .string(String(decoding: $0, as: UTF8.self)) } ?? .null,
      "origin": .integer(Int64(clamping: origin)), "previousHash": .string(previousHash.hex),
      "hash": .string(hash.hex),
    ]
  }
}
