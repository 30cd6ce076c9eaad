import Crypto
import Foundation
internal import GRDB
public import Telemetry

/// Which bodies may go: alarms that ended before a moment and are evidence for no hazard.
///
/// Alarms go whole or not at all, so that a view derived from what is left is right. Hazards,
/// registers and redactions keep their bodies: they are the dossier.
public struct RedactionRule: Hashable, Sendable {
  /// Name of the rule, for example the retention clause it follows.
  public var name: String
  /// Alarms that are normal, with their newest step before this.
  public var before: Timestamp
  /// Why.
  public var reason: String
  /// Alarms pruned at most in one redaction, so that one transaction stays short.
  public var limit: Int

  /// Makes a rule.
  public init(name: String, before: Timestamp, reason: String, limit: Int = 10_000) {
    self.name = name
    self.before = before
    self.reason = reason
    self.limit = limit
  }
}

/// What a redaction did.
public struct RedactionSummary: Hashable, Sendable {
  /// The entry that says so; nil when there was nothing to prune.
  public var sequence: Int64?
  /// Alarms whose bodies are gone.
  public var alarms: Int
  /// Bodies that are gone.
  public var bodies: Int
}

extension SQLiteLedger {
  /// Prunes bodies by rule and says so in the ledger; chain, root and proofs stay as they were.
  ///
  /// - Parameters:
  ///   - rule: which.
  ///   - time: when.
  ///   - actor: who ordered it.
  ///   - origin: journal sequence of the order.
  ///   - position: as in ``LedgerStore/append(_:rejects:position:)``.
  /// - Returns: what was pruned.
  /// - Throws: why nothing was.
  public func redact(
    _ rule: RedactionRule,
    at time: Timestamp,
    actor: String,
    origin: UInt64,
    position: UInt64
  ) throws(LedgerError) -> RedactionSummary {
    let summary = try translating {
      try pool.writeWithoutTransaction { db in
        // Freed pages are overwritten, else the bodies could be read from the file.
        try db.execute(sql: "PRAGMA secure_delete = ON")
        defer { Self.leaveSecureDelete(db) }
        var summary = RedactionSummary(alarms: 0, bodies: 0)
        try db.inTransaction(.immediate) {
          summary = try Redaction(db: db, rule: rule)
            .run(time: time, actor: actor, origin: origin, position: position)
          return .commit
        }
        return summary
      }
    }
    // The log still holds the old pages.
    if summary.bodies > 0 { _ = try translating { try pool.checkpointOnWriter() } }
    return summary
  }

  private static func leaveSecureDelete(_ db: Database) {
    do {
      try db.execute(sql: "PRAGMA secure_delete = OFF")
    } catch {
      // Left on, the writer is slower and nothing else: the next redaction sets it anyway.
    }
  }
}

extension DatabasePool {
  fileprivate func checkpointOnWriter() throws {
    try writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
  }
}

/// One redaction inside a transaction.
private struct Redaction {
  let db: Database
  let rule: RedactionRule

  func run(
    time: Timestamp,
    actor: String,
    origin: UInt64,
    position: UInt64
  ) throws -> RedactionSummary {
    let alarms = try String.fetchAll(
      db,
      sql: """
        SELECT id FROM alarm
        WHERE state = 'normal' AND last_time < ?
          AND NOT EXISTS (SELECT 1 FROM hazard_alarm WHERE hazard_alarm.alarm = alarm.id)
        ORDER BY first_seq LIMIT ?
        """,
      arguments: [rule.before.milliseconds, rule.limit]
    )
    var bodies: [(sequence: Int64, length: Int, digest: [UInt8])] = []
    var events: [String: Int64] = [:]
    for id in alarms {
      try EntryRow.forEach(
        db,
        "WHERE subject = ? AND kind = 'alarm' AND body IS NOT NULL",
        arguments: [id]
      ) { entry in
        let body = entry.body ?? []
        bodies.append((entry.sequence, body.count, [UInt8](SHA256.hash(data: body))))
        events[try AlarmBody(decoding: body).event.rawValue, default: 0] += 1
      }
    }
    bodies.sort { $0.sequence < $1.sequence }
    var batch = try EntryWriter(db)
    guard let first = bodies.first, let last = bodies.last else {
      try batch.admit([], hasRejects: false, position: position)
      try batch.finish(position: position)
      return RedactionSummary(alarms: 0, bodies: 0)
    }
    var digest = SHA256()
    for body in bodies {
      digest.update(
        data: (0..<8).map { UInt8(truncatingIfNeeded: body.sequence >> (56 - 8 * $0)) }
      )
    }
    let draft = LedgerDraft(
      time: time,
      kind: .redaction,
      subject: rule.name,
      actor: actor,
      body: JSONValue.object([
        "before": .integer(rule.before.milliseconds), "reason": .string(rule.reason),
        "alarms": .integer(Int64(alarms.count)), "count": .integer(Int64(bodies.count)),
        "first": .integer(first.sequence), "last": .integer(last.sequence),
        "digest": .string([UInt8](digest.finalize()).hex),
        "events": .object(events.mapValues { .integer($0) }),
      ]).canonicalBytes(),
      origin: origin
    )
    try batch.admit([draft], hasRejects: false, position: position)
    try batch.add(draft)
    try batch.forget(alarms: alarms, events: events)
    let sequence = try batch.finish(position: position)?.lowerBound ?? 0

    let list = try HotStatement(db, sql: "INSERT INTO redacted VALUES (?, ?, ?, ?)")
    let prune = try HotStatement(db, sql: "UPDATE entry SET body = NULL WHERE seq = ?")
    for body in bodies {
      list.bind(1, body.sequence)
      list.bind(2, sequence)
      list.bind(3, Int64(body.length))
      list.bind(4, body.digest)
      try list.run()
      prune.bind(1, body.sequence)
      try prune.run()
    }
    return RedactionSummary(sequence: sequence, alarms: alarms.count, bodies: bodies.count)
  }
}
