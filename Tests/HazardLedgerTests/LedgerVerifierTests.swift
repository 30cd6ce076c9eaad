import Foundation
import GRDB
import HazardLedger
import Telemetry
import Testing

@Suite("Ledger verifier")
struct LedgerVerifierTests {
  /// Makes a ledger file, and closes it.
  static func ledger(_ scratch: Scratch, entries: Int) throws {
    let ledger = try SQLiteLedger(path: scratch.path, station: "s")
    try ledger.fill(seed: 3, entries: entries - 1)
    try ledger.close()
  }

  /// Opens the file as an attacker would: without the triggers.
  static func attack(_ path: String) throws -> DatabaseQueue {
    var configuration = Configuration()
    configuration.foreignKeysEnabled = false
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    try queue.write { db in
      for name in try String.fetchAll(
        db,
        sql: "SELECT name FROM sqlite_schema WHERE type='trigger'"
      ) {
        try db.execute(sql: "DROP TRIGGER \(name)")
      }
    }
    return queue
  }

  @Test("an untouched ledger is intact, also while it is written to", arguments: [1, 2, 500])
  func intact(entries: Int) throws {
    let scratch = try Scratch()
    let ledger = try SQLiteLedger(path: scratch.path, station: "s")
    if entries > 1 { try ledger.fill(seed: 1, entries: entries - 1) }
    let report = try LedgerVerifier(path: scratch.path).verify()
    #expect(report.findings == [])
    #expect(report.entries == entries)
    #expect(report.station == "s")
    #expect(report.headHash == (try ledger.head.hash))
    #expect(report.position == Int64(try ledger.position))
    try ledger.rebuildViews()
    #expect(try LedgerVerifier(path: scratch.path).verify().isIntact)
  }

  /// One random act of tampering inside a transaction that is rolled back; answers what must be named.
  static func tamper(_ db: Database, entries: Int64, random: inout SplitMix64) throws -> (
    first: Int64, what: String
  ) {
    let at = Int64.random(in: 1...entries, using: &random)
    switch Int.random(in: 0..<8, using: &random) {
    case 0, 1:
      // One bit of a blob.
      let column = ["body", "hash", "prev_hash"].randomElement(using: &random) ?? ""
      guard
        var blob = try Data.fetchOne(
          db,
          sql: "SELECT \(column) FROM entry WHERE seq = ?",
          arguments: [at]
        )
      else { throw LedgerError.refused(reason: "no row") }
      let byte = blob.indices.randomElement(using: &random) ?? 0
      blob[byte] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      try db.execute(sql: "UPDATE entry SET \(column) = ? WHERE seq = ?", arguments: [blob, at])
      return (at, "flip \(column)")
    case 2:
      let column = ["time", "origin"].randomElement(using: &random) ?? ""
      let bit = Int64(1) << Int64.random(in: 0..<63, using: &random)
      try db.execute(
        sql: """
          UPDATE entry SET \(column) = (\(column) | :bit) - (\(column) & :bit) WHERE seq = :at
          """,
        arguments: ["bit": bit, "at": at]
      )
      return (at, "flip \(column)")
    case 3:
      let column = ["kind", "subject", "actor"].randomElement(using: &random) ?? ""
      try db.execute(
        sql: "UPDATE entry SET \(column) = \(column) || 'x' WHERE seq = ?",
        arguments: [at]
      )
      return (at, "change \(column)")
    case 4:
      try db.execute(sql: "DELETE FROM entry WHERE seq = ?", arguments: [at])
      return (at, "delete")
    case 5:
      var other = Int64.random(in: 1..<entries, using: &random)
      if other >= at { other += 1 }
      try db.execute(
        sql: """
          UPDATE entry SET seq = -1 WHERE seq = :a; UPDATE entry SET seq = :a WHERE seq = :b;
          UPDATE entry SET seq = :b WHERE seq = -1
          """,
        arguments: ["a": at, "b": other]
      )
      return (min(at, other), "swap \(at) and \(other)")
    case 6:
      try db.execute(sql: "DELETE FROM entry WHERE seq >= ?", arguments: [at])
      return (at, "truncate")
    default:
      try db.execute(sql: "UPDATE entry SET body = NULL WHERE seq = ?", arguments: [at])
      return (at, "prune without a redaction")
    }
  }

  @Test(
    "after 10⁴ flips, deletions, swaps and truncations the first bad entry is named",
    arguments: 1...25 as ClosedRange<UInt64>
  )
  func tampering(seed: UInt64) throws {
    let scratch = try Scratch()
    let entries: Int64 = 40
    try Self.ledger(scratch, entries: Int(entries))
    var random = SplitMix64(seed: seed)
    let queue = try Self.attack(scratch.path)
    let verifier = LedgerVerifier(path: scratch.path)
    for trial in 0..<400 {
      try queue.inDatabase { db in
        try db.execute(sql: "SAVEPOINT trial")
        let act = try Self.tamper(db, entries: entries, random: &random)
        let report = try verifier.verify(db)
        #expect(report.firstBadEntry == act.first, "SEED=\(seed) trial \(trial) \(act.what)")
        try db.execute(sql: "ROLLBACK TO trial; RELEASE trial")
      }
    }
    #expect(try verifier.verify().isIntact)
  }

  @Test(
    "views, position and head that do not fit the entries are found",
    arguments: [
      "UPDATE alarm SET state = 'normal' WHERE first_seq = (SELECT max(first_seq) FROM alarm)",
      "UPDATE alarm SET acknowledged_by = 'x'", "UPDATE alarm SET value = value + 1",
      "DELETE FROM alarm WHERE first_seq = (SELECT min(first_seq) FROM alarm)",
      "INSERT INTO alarm SELECT 9999, 'x', point, rule, onset, state, priority, last_time, last_seq, "
        + "raised_time, raised_seq, acknowledged_time, acknowledged_seq, acknowledged_by, "
        + "acknowledged_reason, returned_time, returned_seq, reset_time, reset_seq, actor, reason, "
        + "shelved_until, value, limit_value, unit, catalog, steps, revisions FROM alarm LIMIT 1",
      "UPDATE counter SET value = value + 1 WHERE name = 'alarm.raised'",
      "DELETE FROM counter", "DELETE FROM station", "UPDATE station SET position = 0",
      "UPDATE station SET head_seq = head_seq + 1", "UPDATE station SET head_hash = zeroblob(32)",
      "UPDATE station SET head_seq = head_seq - 1", "UPDATE station SET name = 't'",
      "INSERT INTO redacted SELECT seq, seq, 0, x'' FROM entry WHERE seq = 5",
      "UPDATE matter SET place = 'elsewhere'", "UPDATE matter SET is_open = 0",
      "UPDATE matter SET last_time = last_time + 1",
      "DELETE FROM entry_owner WHERE seq = (SELECT max(seq) FROM entry_owner)",
      "UPDATE entry_owner SET enterprise = 'another' WHERE seq = (SELECT min(seq) FROM entry_owner)",
      "INSERT INTO entry_owner VALUES ('another', 1)", "DELETE FROM hazard_alarm",
      "DELETE FROM hazard_alarm WHERE alarm = (SELECT max(alarm) FROM hazard_alarm)",
      "UPDATE hazard_alarm SET hazard = 'hazard/other' WHERE alarm = (SELECT max(alarm) FROM hazard_alarm)",
      "UPDATE hazard_alarm SET alarm = alarm || 'x'",
      "INSERT INTO hazard_alarm SELECT min(id), 'hazard/1' FROM alarm",
    ]
  )
  func derived(sql: String) throws {
    let scratch = try Scratch()
    try Self.ledger(scratch, entries: 60)
    let ledger = try SQLiteLedger(path: scratch.path, station: "s")
    let position = try ledger.position + 1
    let clock = LedgerClock(
      id: "clock/permit/ent-1/P-1",
      kind: .permitEnd,
      about: "ent-1/welding/permits/P-1",
      due: Timestamp(milliseconds: 9)
    )
    let started = ClockStep(
      event: .started,
      time: Timestamp(milliseconds: 1),
      clock: clock,
      remainingMilliseconds: 8
    )
    var notice = PendingNotice(id: "notice/1", subject: PendingNoticeTests.subject)
    let told = notice.start(at: Timestamp(milliseconds: 2))
    // Which alarms are behind a hazard decides what retention spares.
    let behind = try ledger.alarms(limit: 3).alarms
    try #require(behind.count == 3)
    try ledger.append(
      [
        LedgerDraft(
          registering: HazardRegistration(
            id: "hazard/1",
            source: .report,
            enterprise: "ent-1",
            place: "ent-1/site",
            title: "leak",
            alarms: behind.dropFirst().map(\.id)
          ),
          by: "wang",
          as: .county,
          at: Timestamp(milliseconds: 3),
          origin: position
        ),
        started.draft(origin: position, extra: ["place": "ent-1/site"]),
        notice.draft(of: told, origin: position),
      ],
      position: position
    )
    try ledger.close()
    #expect(try LedgerVerifier(path: scratch.path).verify().findings == [])
    try Self.attack(scratch.path).write { try $0.execute(sql: sql) }
    #expect(try !LedgerVerifier(path: scratch.path).verify().isIntact)
  }

  @Test("a file that is no ledger is said to be none, a missing one is not made")
  func noLedger() throws {
    let scratch = try Scratch()
    #expect(throws: LedgerError.self) { try LedgerVerifier(path: scratch.path).verify() }
    #expect(!FileManager.default.fileExists(atPath: scratch.path))
    try DatabaseQueue(path: scratch.path).write { try $0.execute(sql: "CREATE TABLE entry(a)") }
    let error = #expect(throws: LedgerError.self) {
      try LedgerVerifier(path: scratch.path).verify()
    }
    guard case .notALedger = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test("a torn page is reported, never a crash", arguments: 1...20 as ClosedRange<UInt64>)
  func tornPages(seed: UInt64) throws {
    let scratch = try Scratch()
    try Self.ledger(scratch, entries: 300)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path))
    var random = SplitMix64(seed: seed)
    let page = Int.random(in: 1..<bytes.count / 4_096, using: &random)
    bytes.replaceSubrange(
      page * 4_096..<(page + 1) * 4_096,
      with: (0..<4_096).map { _ in UInt8.random(in: 0...255, using: &random) }
    )
    try bytes.write(to: URL(fileURLWithPath: scratch.path))
    do {
      let report = try LedgerVerifier(path: scratch.path).verify()
      // A page of an index that no query of the verifier reads may be torn unseen: entries are right.
      if report.isIntact { #expect(report.entries == 300) }
    } catch {
      if case .damaged = error {} else { Issue.record("SEED=\(seed) \(error)") }
    }
  }
}
