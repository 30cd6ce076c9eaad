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

extension RedactionRule {
  /// The rule as an order among drafts: the store that appends it prunes in the same transaction, and writes what it
  /// pruned into the entry.
  ///
  /// So a redaction has its place among the inputs, and a replay prunes the same bodies.
  public func order(at time: Timestamp, actor: String, origin: UInt64) -> LedgerDraft {
    LedgerDraft(
      time: time,
      kind: .redaction,
      subject: name,
      actor: actor,
      body: JSONValue.object([
        "before": .integer(before.milliseconds), "limit": .integer(Int64(limit)),
        "reason": .string(reason),
      ]).canonicalBytes(),
      origin: origin
    )
  }

  /// Reads an order.
  package init(order draft: LedgerDraft) throws(BodyError) {
    let json: JSONValue
    do throws(JSONSyntaxError) {
      json = try JSONValue(parsing: draft.body)
    } catch {
      throw BodyError(what: "redaction order", detail: error.description)
    }
    self.init(
      name: draft.subject,
      before: Timestamp(milliseconds: try json.whole("before")),
      reason: try json.text("reason"),
      limit: Int(clamping: try json.whole("limit"))
    )
  }
}

extension SQLiteLedger {
  /// Runs work after which nothing of what it deleted can be read from the files.
  func erasing<Answer>(_ work: (Database) throws -> Answer) throws -> Answer {
    let answer = try pool.writeWithoutTransaction { db in
      // Freed pages are overwritten, else the bodies could be read from the file.
      try db.execute(sql: "PRAGMA secure_delete = ON")
      defer { Self.leaveSecureDelete(db) }
      return try work(db)
    }
    // The log still holds the old pages.
    try pool.writeWithoutTransaction { db in
      do {
        _ = try db.checkpoint(.truncate)
      } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
        // A reader is still at it: what the log holds is overwritten when it is used again.
      }
    }
    return answer
  }

  private static func leaveSecureDelete(_ db: Database) {
    do {
      try db.execute(sql: "PRAGMA secure_delete = OFF")
    } catch {
      // Left on, the writer is slower and nothing else: the next redaction sets it anyway.
    }
  }
}

/// What a redaction rule finds in the ledger as it stands.
package struct PrunedBodies {
  /// The alarms that go.
  package let alarms: [String]
  /// Their bodies, in order.
  package private(set) var bodies: [(sequence: Int64, length: Int, digest: [UInt8])] = []
  /// Steps by event among the bodies.
  package private(set) var events: [String: Int64] = [:]

  init(_ db: Database, rule: RedactionRule) throws {
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
    try self.init(alarms: alarms) { id, add in
      try EntryRow.forEach(
        db,
        "WHERE subject = ? AND kind = 'alarm' AND body IS NOT NULL",
        arguments: [id],
        add
      )
    }
  }

  /// Gathers the bodies of alarms.
  ///
  /// - Parameters:
  ///   - alarms: the alarms, oldest first.
  ///   - forEach: hands over the entries of an alarm that have a body.
  /// - Throws: why the bodies cannot be read.
  package init(
    alarms: [String],
    _ forEach: (_ id: String, _ add: (LedgerEntry) throws -> Void) throws -> Void
  ) throws {
    self.alarms = alarms
    for id in alarms {
      try forEach(id) { entry in
        let body = entry.body ?? []
        bodies.append((entry.sequence, body.count, [UInt8](SHA256.hash(data: body))))
        events[try AlarmBody(decoding: body).event.rawValue, default: 0] += 1
      }
    }
    bodies.sort { $0.sequence < $1.sequence }
  }

  /// The body of the entry that announces the pruning.
  package func announcement(_ rule: RedactionRule) -> [UInt8] {
    var digest = SHA256()
    for body in bodies {
      digest.update(
        data: (0..<8).map { UInt8(truncatingIfNeeded: body.sequence >> (56 - 8 * $0)) }
      )
    }
    var members: [String: JSONValue] = [
      "before": .integer(rule.before.milliseconds), "reason": .string(rule.reason),
      "alarms": .integer(Int64(alarms.count)), "count": .integer(Int64(bodies.count)),
      "digest": .string([UInt8](digest.finalize()).hex),
      "events": .object(events.mapValues { .integer($0) }),
    ]
    if let first = bodies.first, let last = bodies.last {
      members["first"] = .integer(first.sequence)
      members["last"] = .integer(last.sequence)
    }
    return JSONValue.object(members).canonicalBytes()
  }
}
