public import Crypto
import Foundation
package import GRDB

/// Checks a ledger file without any code that wrote it.
///
/// Reads SQLite with statements of its own, encodes and hashes each entry by its own code, reads the
/// bodies with Foundation's JSON parser and folds the alarm view by its own rules, so that an error
/// in the writer cannot hide itself. The format it checks against is the one of `docs/ledger.md`.
public struct LedgerVerifier: Sendable {
  /// One thing that is not as it must be.
  public struct Finding: Hashable, Sendable, CustomStringConvertible {
    /// The first entry concerned; nil where the finding is about no entry.
    public var sequence: Int64?
    /// What is wrong.
    public var detail: String

    /// Both in one line.
    public var description: String {
      sequence.map { "entry \($0): \(detail)" } ?? detail
    }
  }

  /// What a verification found.
  public struct Report: Sendable {
    /// The station that the genesis entry names.
    public var station = ""
    /// How many entries were read.
    public var entries: Int64 = 0
    /// How many of them have lost their body to a redaction.
    public var redacted: Int64 = 0
    /// Hash of the newest entry.
    public var headHash: [UInt8] = []
    /// Journal position.
    public var position: Int64 = 0
    /// Checkpoints whose signature and root are right.
    public var checkpoints = 0
    /// What is wrong, the first bad entry first; at most ``LedgerVerifier/findingLimit``.
    public var findings: [Finding] = []

    /// True when nothing is wrong.
    public var isIntact: Bool { findings.isEmpty }

    /// The first bad entry, where a finding names one.
    public var firstBadEntry: Int64? { findings.compactMap(\.sequence).min() }
  }

  /// Findings that are listed at most.
  public static let findingLimit = 20

  private let path: String

  /// Makes a verifier of the file at `path`; the ledger may be in use.
  public init(path: String) {
    self.path = path
  }

  /// Reads the whole ledger once.
  ///
  /// - Parameter trusted: checkpoint keys to hold signatures against; empty takes the keys in the
  ///   file, which shows consistency but not authorship.
  /// - Returns: what was found.
  /// - Throws: ``LedgerError`` when the file cannot be read as a ledger at all.
  public func verify(trusting trusted: [Curve25519.Signing.PublicKey] = []) throws(LedgerError)
    -> Report
  {
    do {
      var configuration = Configuration()
      configuration.readonly = true
      configuration.busyMode = .timeout(10)
      let queue = try DatabaseQueue(path: place, configuration: configuration)
      return try queue.read { try verify($0, trusting: trusted) }
    } catch let error as LedgerError {
      throw error
    } catch let error as DatabaseError {
      throw LedgerError(verifying: error, path: path)
    } catch {
      throw .damaged(path: path, detail: "\(error)")
    }
  }

  /// What SQLite is asked to open.
  ///
  /// A ledger takes a file beside it even to be read. Where its folder takes none, and there is no log whose entries would
  /// be missed, nobody is at work on it: then it is read as it lies there.
  private var place: String {
    let manager = FileManager.default
    let file = URL(fileURLWithPath: path)
    guard manager.fileExists(atPath: path),
      !manager.isWritableFile(atPath: file.deletingLastPathComponent().path),
      !manager.fileExists(atPath: path + "-wal"),
      let name = file.path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed)
    else { return path }
    return "file:\(name)?immutable=1"
  }

  /// Reads the ledger through an open connection.
  package func verify(
    _ db: Database,
    trusting trusted: [Curve25519.Signing.PublicKey] = []
  ) throws -> Report {
    var pass = VerificationPass(db: db, trusted: trusted)
    return try pass.run(path: path)
  }
}

extension LedgerError {
  fileprivate init(verifying error: DatabaseError, path: String) {
    let detail = error.message ?? "SQLite error \(error.resultCode.rawValue)"
    switch error.resultCode {
    case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH, .SQLITE_READONLY:
      self = .notAccessible(path: path, detail: detail)
    case .SQLITE_NOTADB: self = .notALedger(path: path, detail: detail)
    case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy(path: path, detail: detail)
    case .SQLITE_IOERR: self = .inputOutput(path: path, detail: detail)
    default: self = .damaged(path: path, detail: detail)
    }
  }
}

/// One reading of the whole ledger.
private struct VerificationPass {
  let db: Database
  let trusted: [Curve25519.Signing.PublicKey]
  var report = LedgerVerifier.Report()
  private var expected: Int64 = 1
  private var link = [UInt8](repeating: 0, count: 32)
  private var newestOrigin: Int64 = 0
  private var alarms: [String: CheckedAlarm] = [:]
  private var hazards: [String: CheckedHazard] = [:]
  private var matters: [String: CheckedMatter] = [:]
  /// The entry that names an alarm behind a hazard.
  private var evidence: [CheckedEvidence: Int64] = [:]
  private var counts: [String: Int64] = [:]
  private var redactions = CheckedRedactions()
  private var tree = CheckedTree()
  private var checkpointed: Int64 = 0
  private var owners = CheckedOwners()
  /// Nil in a ledger of a schema from before there were owners.
  private var ownerQuery: Statement?
  private var strayOwner: Int64?

  init(db: Database, trusted: [Curve25519.Signing.PublicKey]) {
    self.db = db
    self.trusted = trusted
  }

  mutating func run(path: String) throws -> LedgerVerifier.Report {
    let application = try Int64.fetchOne(db, sql: "PRAGMA application_id")
    guard application == 0x4456_594c else {
      throw LedgerError.notALedger(path: path, detail: "its application id is not Davy's")
    }
    try redactions.read(db)
    if try Int64.fetchOne(db, sql: "PRAGMA user_version") ?? 0 >= 4 {
      ownerQuery = try db.makeStatement(
        sql: "SELECT count(*) FROM entry_owner WHERE enterprise IN (?, ?) AND seq = ?"
      )
    }
    var checkpoints = try CheckedCheckpoint.read(db)
    let rows = try Row.fetchCursor(
      db,
      sql: """
        SELECT seq, time, kind, subject, actor, body, origin, prev_hash, hash
        FROM entry ORDER BY seq ASC
        """
    )
    while let row = try rows.next() {
      try check(row)
      while let next = checkpoints.first, next.size <= report.entries {
        checkpoints.removeFirst()
        check(next)
      }
    }
    try checkEnd(unreached: checkpoints)
    report.findings.sort { ($0.sequence ?? .max) < ($1.sequence ?? .max) }
    report.findings = Array(report.findings.prefix(LedgerVerifier.findingLimit))
    return report
  }

  private mutating func find(_ sequence: Int64?, _ detail: String) {
    // Keep the early ones: the report is cut to the first in the end.
    guard report.findings.count < 1_000 else { return }
    report.findings.append(LedgerVerifier.Finding(sequence: sequence, detail: detail))
  }

  // MARK: entries

  private mutating func check(_ row: Row) throws {
    let sequence: Int64 = row[0]  // the primary key: SQLite keeps nothing else there
    guard sequence >= expected else { return find(sequence, "sequence is below 1") }
    if sequence > expected {
      let gap = sequence - expected
      find(expected, gap == 1 ? "missing" : "missing, and \(gap - 1) more behind it")
      expected = sequence
      link = Self.blob(row[7])
    }
    expected += 1
    report.entries += 1
    let stored = Self.blob(row[8])
    defer {
      link = stored
      report.headHash = stored
      tree.add(stored)
    }
    guard let fields = EntryFields(row) else {
      return find(sequence, "a column is not of its type")
    }
    if Self.blob(row[7]) != link {
      find(sequence, "its previous hash is not the hash of the entry before")
    }
    let body: (length: Int, digest: [UInt8])
    if let bytes = fields.body {
      body = (bytes.count, Array(SHA256.hash(data: bytes)))
      if redactions.isListed(sequence) { find(sequence, "listed as redacted, but has its body") }
    } else {
      report.redacted += 1
      guard let listed = redactions.body(of: sequence) else {
        return find(sequence, "its body is gone, and no redaction lists it")
      }
      body = listed
    }
    var hash = SHA256()
    hash.update(data: fields.head(sequence: sequence))
    hash.update(data: Self.bigEndian(UInt32(body.length)))
    hash.update(data: body.digest)
    hash.update(data: Self.blob(row[7]))
    if Array(hash.finalize()) != stored {
      return find(sequence, "its contents do not give its hash")
    }
    newestOrigin = max(newestOrigin, fields.origin)
    fold(fields, sequence: sequence)
    try checkOwner(fields, sequence: sequence)
  }

  private mutating func checkOwner(_ fields: EntryFields, sequence: Int64) throws {
    guard let ownerQuery, let owner = owners.add(fields), strayOwner == nil else { return }
    let found = try Int64.fetchOne(
      ownerQuery,
      arguments: [owner, CheckedText.shown(owner), sequence]
    )
    if found != 1 { strayOwner = sequence }
  }

  private static func blob(_ value: DatabaseValue) -> [UInt8] {
    Data.fromDatabaseValue(value).map { [UInt8]($0) } ?? []
  }

  private static func bigEndian(_ number: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
  }

  private mutating func fold(_ fields: EntryFields, sequence: Int64) {
    counts["entry.\(fields.kind)", default: 0] += 1
    if sequence == 1 {
      let genesis = fields.decoded
      report.station = genesis?.station ?? ""
      if fields.kind != "genesis" || genesis?.format != 1 || report.station.isEmpty {
        find(1, "not the genesis entry of a ledger in format 1")
      }
    } else if fields.kind == "genesis" {
      find(sequence, "a second genesis entry")
    }
    switch fields.kind {
    case "alarm":
      guard fields.body != nil else { return }
      guard let body = fields.decoded, let id = body.alarm, id == fields.subject,
        let event = body.event
      else { return find(sequence, "not the body of an alarm") }
      counts["alarm.\(event)", default: 0] += 1
      alarms[id, default: CheckedAlarm()].add(body, event: event, fields, sequence: sequence)
    case "hazard":
      guard let body = fields.decoded, let act = body.act,
        (act == "register") == (hazards[fields.subject] == nil)
      else { return find(sequence, "not the body of a hazard's next step") }
      hazards[fields.subject, default: CheckedHazard(body, sequence: sequence)]
        .add(body, fields, sequence: sequence)
      guard act == "register" else { return }
      guard let named = CheckedEvidence.named(by: fields) else {
        return find(sequence, "not the body of a hazard's registration")
      }
      for link in named { evidence[link] = sequence }
    case "callout", "clock", "notice", "silence", "register":
      matters["\(fields.kind) \(fields.subject)", default: CheckedMatter(first: sequence)]
        .add(fields, sequence: sequence)
    case "redaction":
      let body = fields.decoded
      if let detail = redactions.check(body, sequence: sequence) { find(sequence, detail) }
      for (event, count) in body?.events ?? [:] { counts["alarm.\(event)", default: 0] += count }
    default: break
    }
  }

  // MARK: what stands beside the entries

  private mutating func check(_ checkpoint: CheckedCheckpoint) {
    if let detail = checkpoint.fault(root: tree.root, station: report.station, trusted: trusted) {
      let from = checkpointed + 1
      find(from, "up to \(checkpoint.size) not vouched for by the checkpoint there: \(detail)")
    } else {
      report.checkpoints += 1
      checkpointed = checkpoint.size
    }
  }

  private mutating func checkEnd(unreached: [CheckedCheckpoint]) throws {
    if report.entries == 0 { find(1, "missing: the ledger is empty") }
    for checkpoint in unreached {
      find(expected, "missing: a checkpoint covers \(checkpoint.size) entries")
    }
    let rows = try Row.fetchAll(db, sql: "SELECT name, position, head_seq, head_hash FROM station")
    guard rows.count == 1, let row = rows.first,
      let position = Int64.fromDatabaseValue(row[1] as DatabaseValue),
      let headSequence = Int64.fromDatabaseValue(row[2] as DatabaseValue)
    else { return find(nil, "the station's row with the journal position is missing") }
    report.position = position
    if headSequence >= expected {
      find(expected, "missing: the newest entry was \(headSequence)")
    } else if headSequence < expected - 1 {
      find(headSequence + 1, "behind the newest entry that the station's row names")
    } else if Self.blob(row[3]) != report.headHash {
      find(headSequence, "its hash is not the one that the station's row names")
    }
    if String.fromDatabaseValue(row[0] as DatabaseValue) != report.station {
      find(nil, "the station's row names another station than the genesis entry")
    }
    if position < newestOrigin {
      find(nil, "journal position \(position) is before input \(newestOrigin) of an entry")
    }
    for detail in redactions.unclaimed() { find(detail.0, detail.1) }
    // A view is worth comparing only with entries that are right.
    guard report.findings.isEmpty else { return }
    try checkViews()
  }

  private mutating func checkViews() throws {
    let counters = try Row.fetchAll(db, sql: "SELECT name, value FROM counter")
    let stored = Dictionary(
      counters.map { ($0[0] as String, $0[1] as Int64) },
      uniquingKeysWith: { $0 + $1 }
    )
    for name in Set(stored.keys).union(counts.keys).sorted() where stored[name] != counts[name] {
      find(
        nil,
        "view counter: \(name) is \(stored[name] ?? 0), the entries give \(counts[name] ?? 0)"
      )
    }
    let rows = try Row.fetchCursor(db, sql: "SELECT * FROM alarm ORDER BY first_seq")
    while let row = try rows.next() {
      let id: String = row["id"]
      guard let alarm = alarms.removeValue(forKey: id) else {
        find(row["first_seq"], "view alarm: \(id) is in no entry")
        continue
      }
      for column in alarm.differences(from: row) {
        find(alarm.lastSequence, "view alarm: \(column) of \(id) is not what the entries give")
      }
    }
    for (id, alarm) in alarms { find(alarm.firstSequence, "view alarm: \(id) is missing") }
    for row in try Row.fetchAll(db, sql: "SELECT * FROM hazard ORDER BY first_seq") {
      let id: String = row["id"]
      guard let hazard = hazards.removeValue(forKey: id) else {
        find(row["first_seq"], "view hazard: \(id) is in no entry")
        continue
      }
      for column in hazard.differences(from: row) {
        find(hazard.lastSequence, "view hazard: \(column) of \(id) is not what the entries give")
      }
    }
    for (id, hazard) in hazards { find(hazard.firstSequence, "view hazard: \(id) is missing") }
    try checkEvidence()
    try checkMatters()
    try checkOwners()
  }

  /// Which alarms are behind which hazards: what retention spares, and what an export follows.
  private mutating func checkEvidence() throws {
    let rows = try Row.fetchCursor(
      db,
      sql: "SELECT hazard, alarm FROM hazard_alarm ORDER BY hazard, alarm"
    )
    while let row = try rows.next() {
      let link = CheckedEvidence(hazard: row[0], alarm: row[1])
      guard evidence.removeValue(forKey: link) == nil else { continue }
      find(nil, "view hazard_alarm: \(link.alarm) behind \(link.hazard) is in no entry")
    }
    for (link, sequence) in evidence {
      find(sequence, "view hazard_alarm: \(link.alarm) behind \(link.hazard) is missing")
    }
  }

  private mutating func checkMatters() throws {
    // Ledgers of the first schema had no such entries, and no such view.
    guard try db.tableExists("matter") else { return }
    let rows = try Row.fetchCursor(db, sql: "SELECT kind || ' ' || id AS name, * FROM matter")
    while let row = try rows.next() {
      let id: String = row["name"]
      guard let matter = matters.removeValue(forKey: id) else {
        find(row["first_seq"], "view matter: \(id) is in no entry")
        continue
      }
      for column in matter.differences(from: row) {
        find(matter.lastSequence, "view matter: \(column) of \(id) is not what the entries give")
      }
    }
    for (id, matter) in matters { find(matter.firstSequence, "view matter: \(id) is missing") }
  }

  /// Who is shown which entries: none may be kept from its owner, none shown to another.
  private mutating func checkOwners() throws {
    guard ownerQuery != nil else { return }
    if let strayOwner {
      find(strayOwner, "view entry_owner: the entry is not listed for the enterprise it is of")
    }
    let stored = try Int64.fetchOne(db, sql: "SELECT count(*) FROM entry_owner") ?? 0
    if stored != owners.count {
      find(nil, "view entry_owner: \(stored) rows, the entries give \(owners.count)")
    }
  }
}
