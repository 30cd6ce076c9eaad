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
  private var views: ViewWriter<SQLiteViews>
  private var buffer: [UInt8] = []
  /// What was added.
  private(set) var entries: [LedgerEntry] = []

  init(_ db: Database) throws {
    self.db = db
    insert = try HotStatement(db, sql: "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    // Cached: to prepare it anew costs a small commit a seventh of its time.
    let state = try Row.fetchOne(
      try db.cachedStatement(sql: "SELECT position, head_seq, head_hash FROM station")
    )
    guard let state else {
      throw LedgerError.damaged(path: db.description, detail: "the station's row is missing")
    }
    position = UInt64(state[0] as Int64)
    sequence = state[1]
    hash = [UInt8](state[2] as Data)
    first = sequence + 1
    views = ViewWriter(SQLiteViews(db))
  }

  /// Checks a batch before anything of it is written.
  func admit(_ drafts: [LedgerDraft], hasRejects: Bool, position newest: UInt64) throws {
    try LedgerDraft.admit(drafts, hasRejects: hasRejects, position: newest, above: position)
  }

  /// Adds one entry and brings the views on; an order to prune is carried out.
  mutating func add(_ draft: LedgerDraft) throws {
    guard draft.kind == .redaction else { return try write(draft) }
    let rule: RedactionRule
    do throws(BodyError) {
      rule = try RedactionRule(order: draft)
    } catch {
      throw LedgerError.refused(reason: error.description)
    }
    // The order sees everything before it, also what came in this batch.
    try views.flush()
    try prune(try PrunedBodies(db, rule: rule), by: draft, rule)
  }

  /// Announces a pruning and does it.
  private mutating func prune(
    _ pruned: PrunedBodies,
    by order: LedgerDraft,
    _ rule: RedactionRule
  ) throws {
    var announcement = order
    announcement.body = pruned.announcement(rule)
    try write(announcement)
    try views.forget(alarms: pruned.alarms, events: pruned.events)
    let list = try HotStatement(db, sql: "INSERT INTO redacted VALUES (?, ?, ?, ?)")
    let prune = try HotStatement(db, sql: "UPDATE entry SET body = NULL WHERE seq = ?")
    for body in pruned.bodies {
      list.bind(1, body.sequence)
      list.bind(2, sequence)
      list.bind(3, Int64(body.length))
      list.bind(4, body.digest)
      try list.run()
      prune.bind(1, body.sequence)
      try prune.run()
    }
  }

  private mutating func write(_ draft: LedgerDraft) throws {
    sequence += 1
    let entry = LedgerEntry(draft, sequence: sequence, previousHash: hash, buffer: &buffer)
    insert.bind(1, sequence)
    insert.bind(2, draft.time.milliseconds)
    insert.bind(3, draft.kind.rawValue)
    insert.bind(4, draft.subject)
    insert.bind(5, draft.actor)
    insert.bind(6, draft.body)
    insert.bind(7, Int64(draft.origin))
    insert.bind(8, hash)
    insert.bind(9, entry.hash)
    try insert.run()
    try views.apply(entry)
    entries.append(entry)
    hash = entry.hash
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

extension LedgerDraft {
  /// Checks a batch before anything of it is written; the rules of ``LedgerStore/append(_:rejects:position:)``.
  package static func admit(
    _ drafts: [LedgerDraft],
    hasRejects: Bool,
    position newest: UInt64,
    above position: UInt64
  ) throws(LedgerError) {
    guard newest <= UInt64(Int64.max) else {
      throw .refused(reason: "position \(newest) is beyond 63 bits")
    }
    let carries = hasRejects || !drafts.isEmpty
    if newest < position || carries && newest == position {
      throw .alreadyRecorded(position: position)
    }
    for (index, draft) in drafts.enumerated() {
      guard draft.origin <= newest else {
        throw .refused(
          reason: "draft \(index) has origin \(draft.origin), beyond position \(newest)"
        )
      }
    }
  }

  /// The first entry of a station's chain.
  package static func genesis(of station: String) -> LedgerDraft {
    // A chain begins with its station, not at a time: a replay must write the same bytes.
    LedgerDraft(
      time: Timestamp(milliseconds: 0),
      kind: .genesis,
      subject: station,
      actor: "engine",
      body: JSONValue.object(["format": 1, "station": .string(station)]).canonicalBytes(),
      origin: 0
    )
  }
}

extension LedgerEntry {
  /// Gives a draft its place in the chain; `buffer` is scratch that keeps its capacity.
  package init(
    _ draft: LedgerDraft,
    sequence: Int64,
    previousHash: [UInt8],
    buffer: inout [UInt8]
  ) {
    self.init(
      sequence: sequence,
      time: draft.time,
      kind: draft.kind,
      subject: draft.subject,
      actor: draft.actor,
      body: draft.body,
      origin: draft.origin,
      previousHash: previousHash,
      hash: EntryEncoding.hash(
        of: draft,
        sequence: sequence,
        previous: previousHash,
        buffer: &buffer
      )
    )
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
      let reason = tally.reason.storable
      let detail = tally.detail.storable
      let sample = Data(tally.sample.prefix(options.rejectSampleBytes))
      let topic = tally.topic.storable
      let device = tally.device.storable
      try update.execute(arguments: [
        tally.count, Int64(tally.lastSequence), tally.lastTime.milliseconds, detail, sample,
        reason, topic, device,
      ])
      if db.changesCount > 0 { continue }
      try insert.execute(arguments: [
        reason, topic, device, tally.count, Int64(tally.firstSequence), Int64(tally.lastSequence),
        tally.firstTime.milliseconds, tally.lastTime.milliseconds, detail, sample,
      ])
    }
    let named = try Int.fetchOne(
      db,
      sql: "SELECT count(*) FROM reject WHERE topic <> '' OR device <> ''"
    )
    for _ in 0..<max(0, (named ?? 0) - options.rejectRows) { try foldOldest() }
  }

  /// Counts the row that nothing was added to for longest among those of its reason without topic and device, so that
  /// whoever is refused now is named.
  private func foldOldest() throws {
    let oldest = try Row.fetchOne(
      db.cachedStatement(
        sql: """
          SELECT reason, topic, device FROM reject WHERE topic <> '' OR device <> ''
          ORDER BY last_seq, reason, topic, device LIMIT 1
          """
      )
    )
    guard let oldest else { return }
    let key: [String] = [oldest[0], oldest[1], oldest[2]]
    try db.cachedStatement(
      sql: """
        INSERT INTO reject
        SELECT reason, '', '', count, first_seq, last_seq, first_time, last_time, detail, sample
        FROM reject WHERE reason = ? AND topic = ? AND device = ?
        ON CONFLICT (reason, topic, device) DO UPDATE SET count = reject.count + excluded.count,
          first_seq = min(reject.first_seq, excluded.first_seq),
          first_time = min(reject.first_time, excluded.first_time),
          detail = iif(excluded.last_seq < reject.last_seq, reject.detail, excluded.detail),
          sample = iif(excluded.last_seq < reject.last_seq, reject.sample, excluded.sample),
          last_seq = max(reject.last_seq, excluded.last_seq),
          last_time = max(reject.last_time, excluded.last_time)
        """
    ).execute(arguments: StatementArguments(key))
    try db.cachedStatement(
      sql: "DELETE FROM reject WHERE reason = ? AND topic = ? AND device = ?"
    ).execute(arguments: StatementArguments(key))
  }
}
