import Foundation
internal import GRDB

/// An input of the journal in an export: the message that brought a step about.
public struct ExportedInput: Hashable, Sendable {
  /// What the input was, by the journal's number: 1 a message, 2 a tick, 3 a command.
  public var kind: UInt8
  /// Receive time, milliseconds since the Unix epoch.
  public var received: Int64
  /// MQTT topic, or the command's name.
  public var topic: [UInt8]
  /// Payload as it came.
  public var payload: [UInt8]

  /// Makes one.
  public init(kind: UInt8, received: Int64, topic: [UInt8], payload: [UInt8]) {
    self.kind = kind
    self.received = received
    self.topic = topic
    self.payload = payload
  }
}

/// Reads the dossier of one alarm or hazard out of a ledger file, beside a running service and without its lock.
public struct LedgerDossier {
  private let queue: DatabaseQueue
  private let path: String

  /// Opens a ledger for reading.
  ///
  /// - Throws: ``LedgerError`` when it cannot be read as a ledger.
  public init(path: String) throws(LedgerError) {
    self.path = path
    queue = try SQLiteLedger.translating(path) {
      var configuration = Configuration()
      configuration.readonly = true
      configuration.busyMode = .timeout(10)
      return try DatabaseQueue(path: path, configuration: configuration)
    }
  }

  /// The subjects that belong to an alarm or hazard: alarms, hazards, check tasks, call-outs, clocks.
  public func subjects(of subject: String) throws(LedgerError) -> [String] {
    try SQLiteLedger.translating(path) { try queue.read { try Self.closure(of: subject, in: $0) } }
  }

  /// Everything of an alarm or hazard with proofs, and the inputs behind its steps.
  ///
  /// - Parameters:
  ///   - subject: id of an alarm or a hazard.
  ///   - inputs: fetches inputs from the journal by their sequences, as far as it still has them.
  /// - Returns: canonical JSON, format `davy-export/1`.
  /// - Throws: ``LedgerError/refused(reason:)`` when there is nothing to export, or no checkpoint covers it yet.
  public func export(
    subject: String,
    inputs: (Set<UInt64>) throws -> [UInt64: ExportedInput]
  ) throws -> [UInt8] {
    let (bytes, origins) = try SQLiteLedger.translating(path) {
      try queue.read { db -> (JSONValue, Set<UInt64>) in
        guard let station = try String.fetchOne(db, sql: "SELECT name FROM station") else {
          throw LedgerError.notALedger(path: path, detail: "the station's row is missing")
        }
        let builder = ExportBuilder(db: db, station: station)
        return try builder.document(try Self.closure(of: subject, in: db))
      }
    }
    guard case .object(var members) = bytes else { return [] }
    let found = try inputs(origins)
    members["inputs"] = .array(
      found.sorted { $0.key < $1.key }.map { sequence, input in
        .object([
          "sequence": .integer(Int64(clamping: sequence)), "kind": .integer(Int64(input.kind)),
          "received": .integer(input.received),
          "topic": .string(Data(input.topic).base64EncodedString()),
          "payload": .string(Data(input.payload).base64EncodedString()),
        ])
      }
    )
    return JSONValue.object(members).canonicalBytes()
  }

  private static func closure(of subject: String, in db: Database) throws -> [String] {
    var alarms: [String] = []
    var hazards: [String] = []
    if subject.hasPrefix("hazard/") {
      hazards = [subject]
      alarms = try String.fetchAll(
        db,
        sql: "SELECT alarm FROM hazard_alarm WHERE hazard = ?",
        arguments: [subject]
      )
    } else {
      alarms = [subject]
      hazards = try String.fetchAll(
        db,
        sql: "SELECT hazard FROM hazard_alarm WHERE alarm = ?",
        arguments: [subject]
      )
    }
    for hazard in hazards {
      hazards += try String.fetchAll(
        db,
        sql: "SELECT id FROM hazard WHERE id >= ? AND id < ?",
        arguments: [hazard + "/check/", hazard + "/check0"]
      )
    }
    var subjects = alarms + hazards
    for hazard in hazards {
      subjects += ["clock/rectification/\(hazard)", "clock/check/\(hazard)"]
    }
    // Call-outs and reports name their alarms in their bodies; there is no other way to them.
    for alarm in alarms {
      subjects += try String.fetchAll(
        db,
        sql: """
          SELECT DISTINCT subject FROM entry
          WHERE kind IN ('callout', 'clock') AND instr(body, CAST(? AS BLOB)) > 0
          """,
        arguments: [alarm]
      )
    }
    var seen: Set<String> = []
    return subjects.filter { seen.insert($0).inserted }
  }
}

/// Puts an export together inside a reading transaction.
struct ExportBuilder {
  let db: Database
  let station: String

  func build(_ subjects: [String]) throws -> [UInt8] {
    try document(subjects).0.canonicalBytes()
  }

  /// The export, and the journal sequences of the inputs that its entries name.
  func document(_ subjects: [String]) throws -> (JSONValue, Set<UInt64>) {
    let marks = repeatElement("?", count: subjects.count).joined(separator: ", ")
    var entries: [LedgerEntry] = []
    try EntryRow.forEach(
      db,
      "WHERE subject IN (\(marks)) ORDER BY seq",
      arguments: StatementArguments(subjects)
    ) { entries.append($0) }
    guard let last = entries.last else {
      throw LedgerError.refused(reason: "the ledger holds nothing of \(subjects)")
    }
    guard
      let checkpoint = try Checkpoint.fetch(db, station: station, "ORDER BY size DESC LIMIT 1"),
      checkpoint.size >= last.sequence
    else {
      throw LedgerError.refused(
        reason: "no checkpoint covers entry \(last.sequence) yet; a running service signs them by "
          + "itself, at the interval of its service file"
      )
    }
    let tree = MerkleTree(db)
    let members: [JSONValue] = try entries.map { entry in
      var members = entry.json
      members["path"] = .array(
        try tree.path(to: entry.sequence - 1, size: checkpoint.size).map { .string($0.hex) }
      )
      if entry.body == nil {
        let listed = try Row.fetchOne(
          db,
          sql: "SELECT length, digest FROM redacted WHERE seq = ?",
          arguments: [entry.sequence]
        )
        members["bodyLength"] = .integer(listed?[0] ?? 0)
        members["bodyDigest"] = .string([UInt8](listed?[1] as Data? ?? Data()).hex)
      }
      return .object(members)
    }
    var origins = Set(entries.map(\.origin))
    for entry in entries where entry.kind == .alarm {
      if let body = entry.body { origins.insert(try AlarmBody(decoding: body).cause) }
    }
    origins.remove(0)
    return (
      .object([
        "format": "davy-export/1",
        "station": .string(station),
        "subjects": .array(subjects.map { .string($0) }),
        "checkpoint": checkpoint.json,
        "entries": .array(members),
      ]), origins
    )
  }
}
