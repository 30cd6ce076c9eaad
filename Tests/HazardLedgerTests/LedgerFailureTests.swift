import Foundation
import GRDB
import HazardLedger
import Telemetry
import Testing

@Suite("Ledger failures")
struct LedgerFailureTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  func open(
    station: String = "s",
    options: LedgerOptions = LedgerOptions()
  ) throws(LedgerError) -> SQLiteLedger {
    try SQLiteLedger(path: scratch.path, station: station, options: options)
  }

  /// Appends until the ledger is full; then the same batch must go in whole once there is room.
  func fillUpAndRetry(_ ledger: SQLiteLedger, makeRoom: () throws -> Void) throws {
    var story = AlarmStory(seed: 1)
    var position: UInt64 = 0
    var stored: Int64 = 1
    var failed: [LedgerDraft] = []
    for _ in 0..<2_000 {
      let drafts = story.steps(200)
      position = max(story.position, position + 1)
      do {
        try ledger.append(drafts, position: position)
        stored += 200
      } catch {
        #expect(error == .diskFull(path: ledger.path))
        failed = drafts
        break
      }
    }
    #expect(!failed.isEmpty, "the limit was never reached")
    #expect(try ledger.head.sequence == stored)
    #expect(try ledger.position < position)
    #expect(throws: LedgerError.diskFull(path: ledger.path)) {
      try ledger.append(failed, position: position)
    }
    #expect(try ledger.entries(after: stored - 1, limit: 10).count == 1)
    try makeRoom()
    #expect(try ledger.append(failed, position: position) == stored + 1...stored + 200)
    #expect(try ledger.position == position)
    #expect(try ledger.entries(after: 0, limit: .max).count == Int(stored) + 200)
  }

  @Test("a full file leaves nothing half-written, and the same instance goes on after it")
  func pageLimit() throws {
    let ledger = try open(options: LedgerOptions(maximumPages: 400))
    try fillUpAndRetry(ledger) { try ledger.limitPages(100_000) }
  }

  static let canMount = geteuid() == 0 && FileManager.default.fileExists(atPath: "/bin/mount")

  @Test(
    "a full volume leaves nothing half-written, and the same instance goes on after it",
    .enabled(if: canMount, "mounting a small tmpfs needs root")
  )
  func fullVolume() throws {
    let small = scratch.folder + "/small"
    try FileManager.default.createDirectory(
      atPath: small,
      withIntermediateDirectories: true
    )
    try run("/bin/mount", "-t", "tmpfs", "-o", "size=6m", "davy-test", small)
    defer {
      do { try run("/bin/umount", small) } catch { Issue.record("umount: \(error)") }
    }
    let ledger = try SQLiteLedger(path: small + "/ledger.sqlite", station: "s")
    try fillUpAndRetry(ledger) {
      try run("/bin/mount", "-o", "remount,size=64m", small)
    }
    try ledger.close()
  }

  private func run(_ program: String, _ arguments: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw LedgerError.refused(reason: "\(program) \(arguments): \(process.terminationStatus)")
    }
  }

  @Test("a foreign transaction is reported as busy, and the batch goes in after it")
  func busy() throws {
    let ledger = try open(options: LedgerOptions(busyTimeoutSeconds: 0.05))
    let other = try DatabaseQueue(path: scratch.path)
    var story = AlarmStory(seed: 1)
    let drafts = story.steps(3)
    try other.inDatabase { db in
      try db.beginTransaction(.immediate)
      let error = #expect(throws: LedgerError.self) { try ledger.append(drafts, position: 50) }
      if case .busy = error {} else { Issue.record("\(String(describing: error))") }
      try db.rollback()
    }
    #expect(try ledger.append(drafts, position: 50) == 2...4)
  }

  @Test("a newer schema, a foreign database and a file of noise are told apart")
  func strangeFiles() throws {
    try open().close()
    let queue = try DatabaseQueue(path: scratch.path)
    try queue.write { try $0.execute(sql: "PRAGMA user_version = 99") }
    try queue.close()
    let error = #expect(throws: LedgerError.self) { try open() }
    guard case .schemaTooNew(_, found: 99, supported: _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    let foreign = scratch.folder + "/foreign"
    try DatabaseQueue(path: foreign).write { try $0.execute(sql: "CREATE TABLE t(a)") }
    let noise = scratch.folder + "/noise"
    try Data(repeating: 0x5a, count: 8_192).write(to: URL(fileURLWithPath: noise))
    for path in [foreign, noise] {
      let error = #expect(throws: LedgerError.self) { try SQLiteLedger(path: path, station: "s") }
      guard case .notALedger = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    let nowhere = scratch.folder + "/no/such/folder/ledger"
    let missing = #expect(throws: LedgerError.self) {
      try SQLiteLedger(path: nowhere, station: "s")
    }
    guard case .notAccessible = missing else {
      Issue.record("\(String(describing: missing))")
      return
    }
  }
}
