import Foundation
import HazardLedger
import PostgresLedger
import Telemetry
import Testing

#if canImport(Glibc)
import Glibc
#endif

/// What only a ledger on a server has: epochs, lost sessions, killed writers, the copy for `davy verify`.
@Suite(
  "PostgreSQL ledger",
  .enabled(if: StoreKind.server != nil, "run them by tools/with-postgres swift test")
)
struct PostgresLedgerTests {
  let place: StorePlace

  init() throws { place = try StorePlace(.postgres) }

  func open(takesOver: Bool = false) throws -> PostgresLedger {
    try #require(try place.open(takesOver: takesOver) as? PostgresLedger)
  }

  /// A session of its own on the station's tables.
  func session() throws -> PostgresConnection {
    let session = try PostgresConnection(place.connection)
    try session.script("SET search_path TO \"davy:station-1\"")
    return session
  }

  func verify() throws -> LedgerVerifier.Report {
    let scratch = try Scratch()
    try PostgresLedger.copy(from: place.connection, station: "station-1", to: scratch.path)
    return try LedgerVerifier(path: scratch.path).verify()
  }

  @Test("whoever takes over is the only writer; the older one's append leaves nothing")
  func fencing() throws {
    let older = try open()
    try older.append([AlarmStory.draft], position: 1)
    let newer = try open(takesOver: true)
    #expect(newer.epoch == older.epoch + 1)
    let head = try newer.head
    for _ in 1...2 {
      #expect(throws: LedgerError.fenced(path: "postgres:davy:station-1", epoch: older.epoch)) {
        try older.append([AlarmStory.draft], position: 2)
      }
      #expect(throws: LedgerError.fenced(path: "postgres:davy:station-1", epoch: older.epoch)) {
        try older.rebuildViews()
      }
    }
    #expect(try newer.head == head)
    #expect(try newer.append([AlarmStory.draft], position: 2) == 3...3)
    #expect(try older.head.sequence == 3, "reading goes on")
    // A session that a broken network took from the fenced writer gives it nothing back.
    try session().script(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'davy' "
        + "AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    #expect(throws: LedgerError.self) { try older.append([AlarmStory.draft], position: 3) }
    #expect(throws: LedgerError.fenced(path: "postgres:davy:station-1", epoch: older.epoch)) {
      try older.append([AlarmStory.draft], position: 3)
    }
    #expect(throws: LedgerError.self) { try newer.append([AlarmStory.draft], position: 3) }
    #expect(try newer.append([AlarmStory.draft], position: 3) == 4...4)
    #expect(try verify().findings == [])
  }

  @Test("a server that has lost commits gets nothing more from its writer; the next goes on there")
  func wentBack() throws {
    let ledger = try open()
    try ledger.append([AlarmStory.draft], position: 1)
    try ledger.append([], position: 5)
    try session().script("UPDATE station SET position = 1 WHERE id = 1")
    for _ in 1...2 {
      #expect(
        throws: LedgerError.wentBack(path: "postgres:davy:station-1", position: 1, known: 5)
      ) {
        try ledger.append([AlarmStory.draft], position: 6)
      }
    }
    #expect(try ledger.head.sequence == 2)
    #expect(try open(takesOver: true).append([AlarmStory.draft], position: 5) == 3...3)
  }

  @Test("a take-over waits for the commit that is on its way, and no longer than the busy time")
  func takeOverInMidTransaction() throws {
    _ = try open()
    let writing = try session()
    try writing.script("BEGIN; SELECT * FROM station WHERE id = 1 FOR UPDATE")
    let error = #expect(throws: LedgerError.self) {
      try place.open(options: LedgerOptions(busyTimeoutSeconds: 0.1), takesOver: true)
    }
    guard case .busy = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    try writing.script("COMMIT")
    _ = try open(takesOver: true)
  }

  @Test("a server that is not there, or refuses, is an error that names it, time after time")
  func unreachable() throws {
    for _ in 0..<20 {
      #expect(throws: PostgresFailure.self) {
        try PostgresConnection("host=127.0.0.1 port=1 user=nobody dbname=none")
      }
      #expect(throws: PostgresFailure.self) {
        try PostgresConnection("\(place.connection) password=wrong")
      }
    }
  }

  @Test("a lost session costs one refused append; the next one connects again and goes on")
  func lostSession() throws {
    let ledger = try open()
    try ledger.append([AlarmStory.draft], position: 1)
    _ = try ledger.head
    try session().script(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        + "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    #expect(try ledger.head.sequence == 2, "a reader connects again by itself")
    let error = #expect(throws: LedgerError.self) {
      try ledger.append([AlarmStory.draft], position: 2)
    }
    guard case .notAccessible = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(try ledger.append([AlarmStory.draft], position: 2) == 3...3)
    // The new session shows that the writer is alive, as the old one did.
    #expect(throws: LedgerError.self) { try place.open() }
  }

  @Test(
    "the database itself refuses to change an entry",
    arguments: [
      "UPDATE entry SET body = '\\x7b7d' WHERE seq = 3",
      "UPDATE entry SET body = NULL WHERE seq = 3",
      "UPDATE entry SET time = time + 1 WHERE seq = 3",
      "UPDATE entry SET seq = 999 WHERE seq = 3",
      "DELETE FROM entry WHERE seq = 3",
      "TRUNCATE entry CASCADE",
      "INSERT INTO entry SELECT 23, time, kind, subject, actor, body, origin, prev_hash, hash "
        + "FROM entry WHERE seq = 3",
      "INSERT INTO entry SELECT 22, time, kind, subject, actor, body, origin, prev_hash, hash "
        + "FROM entry WHERE seq = 3",
      "INSERT INTO entry SELECT 3, time, kind, subject, actor, body, origin, prev_hash, hash "
        + "FROM entry WHERE seq = 3 ON CONFLICT (seq) DO UPDATE SET time = 1",
    ]
  )
  func appendOnly(sql: String) throws {
    let ledger = try open()
    try ledger.fill(seed: 4, entries: 20)
    let session = try session()
    // Even a session that claims the epoch.
    try session.script("SET davy.epoch = '\(ledger.epoch)'")
    let error = #expect(throws: PostgresFailure.self) { try session.script(sql) }
    #expect(["P0001", "23505"].contains(error?.code ?? ""), "\(String(describing: error))")
    #expect(try ledger.entries(after: 0, limit: 100).count == 21)
    #expect(try verify().findings == [])
  }

  @Test("an entry that fits the chain is refused from a session without the epoch")
  func foreignWriter() throws {
    let ledger = try open()
    let session = try session()
    let sql = """
      INSERT INTO entry SELECT 2, 0, 'system', 'x', 'x', NULL, 0, hash, hash FROM entry WHERE seq = 1
      """
    let error = #expect(throws: PostgresFailure.self) { try session.script(sql) }
    #expect(error?.message.contains("holds the epoch") == true)
    try session.script("BEGIN; SET LOCAL davy.epoch = '\(ledger.epoch)'; \(sql); ROLLBACK")
  }

  @Test("a copy verifies as the original does, and shows what was done to it")
  func copy() throws {
    let ledger = try open()
    try ledger.fill(seed: 11, entries: 3_000)
    let report = try verify()
    #expect(report.findings == [])
    #expect(report.entries == 3_001)
    #expect(report.headHash == (try ledger.head.hash))
    #expect(report.position == Int64(try ledger.position))
    // Whoever owns the tables can turn the rule off: then the chain has to tell.
    try session().script(
      """
      ALTER TABLE entry DISABLE TRIGGER USER;
      UPDATE entry SET actor = 'nobody' WHERE seq = 1234
      """
    )
    #expect(try verify().firstBadEntry == 1_234)
  }

  @Test(
    "kill -9 while appending: whole batches, nothing acknowledged is lost, the lock is free again"
  )
  func kill() async throws {
    let scratch = try Scratch()
    let connection = place.connection
    var random = SplitMix64(seed: 8)
    for trial in 1...5 {
      let note = scratch.folder + "/acknowledged-\(trial)"
      let delay = UInt32.random(in: 20_000...250_000, using: &random)
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [connection = connection as String, note = note as String, delay = delay as UInt32] in
        try appendUntilKilled(connection, note: note, after: delay)
      }
      // The server notices the end of the session by the closed socket: at once, but not before the kill.
      let ledger = try reopen()
      let acknowledged = try String(contentsOfFile: note, encoding: .utf8)
        .split(separator: "\n").last.flatMap { UInt64($0) }
      #expect(try ledger.position >= acknowledged ?? 0, "trial \(trial)")
      #expect((try ledger.head.sequence - 1) % 20 == 0, "trial \(trial): a batch was torn")
      ledger.close()
      #expect(try verify().findings == [], "trial \(trial)")
    }
    #expect(try open().position > 5, "the processes have to come to append before they are killed")
  }

  @Test("a transaction that the server rolls back instead of committing is an error")
  func rolledBack() throws {
    try open().close()
    let session = try session()
    try session.script("CREATE TABLE note (text TEXT NOT NULL)")
    var swallowed: PostgresFailure?
    #expect(throws: PostgresFailure.self) {
      try session.transaction {
        try session.run("INSERT INTO note VALUES ($1)", [.text("kept")])
        // Somebody swallows a failed statement: the server answers the COMMIT with ROLLBACK, and no error.
        do throws(PostgresFailure) {
          try session.script("INSERT INTO note VALUES (NULL)")
        } catch {
          swallowed = error
        }
      }
    }
    #expect(swallowed?.code == "23502")
    func count() throws -> Int64 { try session.run("SELECT count(*) FROM note").integer(0, 0) }
    #expect(try count() == 0)
    _ = try session.transaction { try session.run("INSERT INTO note VALUES ($1)", [.text("kept")]) }
    #expect(try count() == 1)
  }

  @Test("davy-postgres exports an alarm beside the running station; the file verifies alone")
  func exported() throws {
    let ledger = try open()
    try ledger.fill(seed: 4, entries: 200)
    let key = CheckpointKey()
    try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 7))
    let alarm = try #require(try ledger.alarms(limit: 1).alarms.first).id
    let scratch = try Scratch()
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    let service = scratch.folder + "/service.yaml"
    // A password is a secret: not in the service file, but in a file that it names.
    let words = place.connection.split(separator: " ").map(String.init)
    let secret = words.first { $0.hasPrefix("password=") }?.dropFirst("password=".count) ?? ""
    try String(secret).write(
      toFile: scratch.folder + "/secret",
      atomically: true,
      encoding: .utf8
    )
    let connection = words.filter { !$0.hasPrefix("password=") }.joined(separator: " ")
    try """
    station: station-1
    data: data
    devices: \(root)/devices
    sites: ["\(root)/config/sites/methane-demo.yaml"]
    broker: {host: 127.0.0.1, port: 1883, clientID: none}
    ledger: {postgres: "\(connection)", passwordFile: secret}
    """.write(toFile: service, atomically: true, encoding: .utf8)
    func run(_ arguments: [String]) throws -> (status: Int32, words: String) {
      let process = Process()
      process.executableURL = try Self.program("davy-postgres")
      process.arguments = arguments
      let words = Pipe()
      process.standardError = words
      process.standardOutput = words
      try process.run()
      let text = words.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }
    let file = scratch.folder + "/alarm.json"
    let export = try run(["export", service, alarm, "--output", file])
    try #require(export.status == 0, "\(export.words)")
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
    let report = LedgerVerifier.verifyExport(bytes, trusting: [key.publicKey])
    #expect(report.findings == [] && report.isKeyTrusted && report.entries >= 1)
    #expect(try run(["verify", file]).status == 0)
    let copy = try run(["copy-ledger", service, scratch.folder + "/copy"])
    #expect(copy.status == 0, "\(copy.words)")
    let verified = try run(["verify", "--ledger-only", scratch.folder + "/copy"])
    #expect(verified.status == 0, "\(verified.words)")
    // One that there is none, and a file that was changed, end with an error that says so.
    let unknown = try run(["export", service, "none#HH@1", "--output", file + "2"])
    #expect(unknown.status != 0 && unknown.words.contains("none#HH@1"), "\(unknown.words)")
    let forged = String(decoding: bytes, as: UTF8.self).replacing("raised", with: "raisec")
    try forged.write(toFile: file, atomically: true, encoding: .utf8)
    #expect(try run(["verify", file]).status != 0)
    // The station was not disturbed.
    #expect(try ledger.append([AlarmStory.draft], position: try ledger.position + 1) != nil)
  }

  /// A program of the package, built beside these tests.
  private static func program(_ name: String) throws -> URL {
    let bundle = try #require(
      CommandLine.arguments.first { $0.contains(".xctest") },
      "the tests' bundle is not among \(CommandLine.arguments)"
    )
    let folder = bundle.components(separatedBy: ".xctest")[0]
    let program = URL(fileURLWithPath: folder).deletingLastPathComponent()
      .appendingPathComponent(name)
    try #require(
      FileManager.default.isExecutableFile(atPath: program.path),
      "no program \(program.path): swift build --product \(name)"
    )
    return program
  }

  private func reopen() throws -> PostgresLedger {
    let limit = ContinuousClock.now + .seconds(600)
    while true {
      do {
        return try open()
      } catch LedgerError.inUse where ContinuousClock.now < limit {
        // The server frees the lock when it has seen its client go, and tells nobody.
        usleep(5_000)
      }
    }
  }
}

/// Appends batches of 20, and notes what was acknowledged, until a thread kills the process.
private func appendUntilKilled(_ connection: String, note: String, after delay: UInt32) throws {
  let ledger = try PostgresLedger(PostgresOptions(connection: connection), station: "station-1")
  let file = unsafe open(note, O_WRONLY | O_CREAT | O_APPEND, 0o600)
  // Read by the parent also when not one append came through.
  _ = unsafe write(file, "0\n", 2)
  Thread.detachNewThread {
    // A kill at a random moment is what is tried here; there is nothing to wait for.
    usleep(delay)
    kill(getpid(), SIGKILL)
  }
  var position = try ledger.position
  var story = AlarmStory(seed: position, after: Int64(position) * 1_000_000)
  while true {
    position = max(position + 1, story.position)
    let drafts = story.steps(20)
    position = max(position, story.position)
    try ledger.append(drafts, position: position)
    let line = "\(position)\n"
    _ = unsafe write(file, line, line.utf8.count)
  }
}
