import Foundation
import GRDB
import HazardLedger
import Testing

@Suite("SQLite ledger")
struct SQLiteLedgerTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  func open(_ options: LedgerOptions = LedgerOptions()) throws(LedgerError) -> SQLiteLedger {
    try SQLiteLedger(path: scratch.path, station: "station-1", options: options)
  }

  @Test("the writer runs with synchronous=FULL in WAL mode")
  func durable() throws {
    let ledger = try open()
    #expect(try ledger.writerSynchronous == 2)
    let queue = try DatabaseQueue(path: scratch.path)
    #expect(try queue.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
  }

  @Test(
    "the file itself refuses to change an entry",
    arguments: [
      "UPDATE entry SET body = x'7b7d' WHERE seq = 3",
      "UPDATE entry SET body = NULL WHERE seq = 3",
      "UPDATE entry SET time = time + 1 WHERE seq = 3",
      "UPDATE entry SET seq = 999 WHERE seq = 3",
      "DELETE FROM entry WHERE seq = 3",
      "DELETE FROM entry WHERE seq = 21",
      "INSERT OR REPLACE INTO entry SELECT seq, 1, kind, subject, actor, body, origin, prev_hash, "
        + "hash FROM entry WHERE seq = 3",
      "INSERT INTO entry SELECT 23, time, kind, subject, actor, body, origin, prev_hash, hash "
        + "FROM entry WHERE seq = 3",
      "INSERT INTO entry SELECT 22, time, kind, subject, actor, body, origin, prev_hash, hash "
        + "FROM entry WHERE seq = 3",
    ]
  )
  func appendOnly(sql: String) throws {
    let ledger = try open()
    try ledger.fill(seed: 4, entries: 20)
    let queue = try DatabaseQueue(path: scratch.path)
    let error = #expect(throws: DatabaseError.self) { try queue.write { try $0.execute(sql: sql) } }
    #expect(error?.resultCode == .SQLITE_CONSTRAINT)
    #expect(try ledger.entries(after: 0, limit: 100).count == 21)
  }
}
