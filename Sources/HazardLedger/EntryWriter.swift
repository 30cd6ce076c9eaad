import Foundation
internal import GRDB
import Telemetry

/// Adds entries within one transaction: chain, views and position.
struct EntryWriter {
  private let db: Database
  private let insert: HotStatement
  private let first: Int64
  private let position: UInt64
  private var sequence: Int64
  private var hash: [UInt8]
  private var views: ViewWriter
  private var buffer: [UInt8] = []

  init(_ db: Database) throws {
    self.db = db
    insert = try HotStatement(db, sql: "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    let state = try Row.fetchOne(db, sql: "SELECT position, head_seq, head_hash FROM station")
    guard let state else {
      throw LedgerError.damaged(path: db.description, detail: "the station's row is missing")
    }
    position = UInt64(state[0] as Int64)
    sequence = state[1]
    hash = [UInt8](state[2] as Data)
    first = sequence + 1
    views = try ViewWriter(db)
  }

  /// Checks a batch before anything of it is written.
  func admit(_ drafts: [LedgerDraft], hasRejects: Bool, position newest: UInt64) throws {
    guard newest <= UInt64(Int64.max) else {
      throw LedgerError.refused(reason: "position \(newest) is beyond 63 bits")
    }
    let carries = hasRejects || !drafts.isEmpty
    if newest < position || carries && newest == position {
      throw LedgerError.alreadyRecorded(position: position)
    }
    for (index, draft) in drafts.enumerated() {
      guard draft.origin <= newest else {
        throw LedgerError.refused(
          reason: "draft \(index) has origin \(draft.origin), beyond position \(newest)"
        )
      }
      guard !draft.subject.utf8.contains(0), !draft.actor.utf8.contains(0) else {
        throw LedgerError.refused(reason: "draft \(index) holds U+0000 in subject or actor")
      }
    }
  }

  /// Adds one entry and brings the views on.
  mutating func add(_ draft: LedgerDraft) throws {
    sequence += 1
    let next = EntryEncoding.hash(
      of: draft,
      sequence: sequence,
      previous: hash,
      buffer: &buffer
    )
    insert.bind(1, sequence)
    insert.bind(2, draft.time.milliseconds)
    insert.bind(3, draft.kind.rawValue)
    insert.bind(4, draft.subject)
    insert.bind(5, draft.actor)
    insert.bind(6, draft.body)
    insert.bind(7, Int64(draft.origin))
    insert.bind(8, hash)
    insert.bind(9, next)
    try insert.run()
    try views.apply(
      LedgerEntry(
        sequence: sequence,
        time: draft.time,
        kind: draft.kind,
        subject: draft.subject,
        actor: draft.actor,
        body: draft.body,
        origin: draft.origin,
        previousHash: hash,
        hash: next
      )
    )
    hash = next
  }

  /// Takes alarms whose bodies are pruned out of the views.
  mutating func forget(alarms: [String], events: [String: Int64]) throws {
    try views.forget(alarms: alarms, events: events)
  }

  /// Writes the views and the station's row; answers the sequences given.
  @discardableResult
  mutating func finish(position: UInt64) throws -> ClosedRange<Int64>? {
    try views.flush()
    try db.cachedStatement(
      sql: "UPDATE station SET position = ?, head_seq = ?, head_hash = ? WHERE id = 1"
    ).execute(arguments: [Int64(position), sequence, Data(hash)])
    return sequence >= first ? first...sequence : nil
  }
}

/// Adds reject tallies within one transaction.
struct RejectWriter {
  private let db: Database
  private let options: LedgerOptions

  init(_ db: Database, options: LedgerOptions) {
    self.db = db
    self.options = options
  }

  func add(_ tallies: [RejectTally]) throws {
    guard !tallies.isEmpty else { return }
    var rows = try Int.fetchOne(db, sql: "SELECT count(*) FROM reject") ?? 0
    let update = try db.cachedStatement(
      sql: """
        UPDATE reject SET count = count + ?, last_seq = ?, last_time = ?, detail = ?, sample = ?
        WHERE reason = ? AND topic = ? AND device = ?
        """
    )
    let insert = try db.cachedStatement(
      sql: "INSERT INTO reject VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    for tally in tallies {
      let reason = Self.storable(tally.reason)
      let detail = Self.storable(tally.detail)
      let sample = Data(tally.sample.prefix(options.rejectSampleBytes))
      func counted(_ topic: String, _ device: String) throws -> Bool {
        try update.execute(arguments: [
          tally.count, Int64(tally.lastSequence), tally.lastTime.milliseconds, detail, sample,
          reason, topic, device,
        ])
        return db.changesCount > 0
      }
      var topic = Self.storable(tally.topic)
      var device = Self.storable(tally.device)
      if try counted(topic, device) { continue }
      if rows >= options.rejectRows {
        topic = ""
        device = ""
        if try counted(topic, device) { continue }
      }
      try insert.execute(arguments: [
        reason, topic, device, tally.count, Int64(tally.firstSequence), Int64(tally.lastSequence),
        tally.firstTime.milliseconds, tally.lastTime.milliseconds, detail, sample,
      ])
      rows += 1
    }
  }

  /// SQLite's text ends at U+0000: it is shown by its picture instead.
  private static func storable(_ text: String) -> String {
    guard text.utf8.contains(0) else { return text }
    return String(text.map { $0 == "\0" ? "\u{2400}" : $0 })
  }
}
