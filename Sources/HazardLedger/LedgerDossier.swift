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

/// What an export is put together from: one snapshot of a store.
package protocol DossierSource {
  /// Name of the station.
  var station: String { get }

  /// Alarms that are evidence for a hazard.
  func alarms(ofHazard id: String) throws -> [String]

  /// Hazards that an alarm is behind, by id: those that name it, and those of its rule at its point that were open while it
  /// stood, for one rule has one open hazard at most, and further occurrences register none.
  func hazards(ofAlarm id: String) throws -> [String]

  /// Hazards whose ids lie in a range of texts, by bytes.
  func hazards(ids: Range<String>) throws -> [String]

  /// Call-outs and clocks whose entries name an alarm in their bodies.
  func matters(naming alarm: String) throws -> [String]

  /// All entries of some subjects, in order.
  func entries(of subjects: [String]) throws -> [LedgerEntry]

  /// The newest checkpoint.
  func newestCheckpoint() throws -> Checkpoint?

  /// The hashes that prove entries under the root over the first `size` entries.
  func paths(to sequences: [Int64], size: Int64) throws -> [[[UInt8]]]

  /// Length and digest of a body that was pruned.
  func pruned(_ sequence: Int64) throws -> (length: Int64, digest: [UInt8])?
}

/// Reads the dossier of one alarm or hazard out of a ledger, beside a running service and without its lock.
public struct LedgerDossier: Sendable {
  private let reading: @Sendable ((any DossierSource) throws -> Void) throws -> Void

  /// A dossier out of a store of any kind.
  ///
  /// - Parameter reading: hands one snapshot of the store to some work.
  package init(
    _ reading: @escaping @Sendable ((any DossierSource) throws -> Void) throws -> Void
  ) {
    self.reading = reading
  }

  /// Opens a ledger file for reading.
  ///
  /// - Throws: ``LedgerError`` when it cannot be read as a ledger.
  public init(path: String) throws(LedgerError) {
    let queue = try SQLiteLedger.translating(path) {
      var configuration = Configuration()
      configuration.readonly = true
      configuration.busyMode = .timeout(10)
      return try DatabaseQueue(path: path, configuration: configuration)
    }
    self.init { work in
      try SQLiteLedger.translating(path) {
        try queue.read { db in
          guard let station = try String.fetchOne(db, sql: "SELECT name FROM station") else {
            throw LedgerError.notALedger(path: path, detail: "the station's row is missing")
          }
          try work(SQLiteDossier(db: db, station: station))
        }
      }
    }
  }

  /// The subjects that belong to an alarm or hazard: alarms, hazards, check tasks, call-outs, clocks.
  public func subjects(of subject: String) throws -> [String] {
    var found: [String] = []
    try reading { found = try Self.closure(of: subject, in: $0) }
    return found
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
    var members: [String: JSONValue] = [:]
    var origins: Set<UInt64> = []
    try reading { source in
      let subjects = try Self.closure(of: subject, in: source)
      (members, origins) = try source.document(subjects)
    }
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

  private static func closure(
    of subject: String,
    in source: any DossierSource
  ) throws -> [String] {
    let isHazard = subject.hasPrefix("hazard/")
    let alarms = isHazard ? try source.alarms(ofHazard: subject) : [subject]
    var hazards = isHazard ? [subject] : try source.hazards(ofAlarm: subject)
    for hazard in hazards {
      hazards += try source.hazards(ids: hazard + "/check/"..<hazard + "/check0")
    }
    var subjects = alarms + hazards
    for hazard in hazards {
      subjects += ["clock/rectification/\(hazard)", "clock/check/\(hazard)"]
    }
    // Call-outs and reports name their alarms in their bodies; there is no other way to them.
    for alarm in alarms { subjects += try source.matters(naming: alarm) }
    var seen: Set<String> = []
    return subjects.filter { seen.insert($0).inserted }
  }
}

extension DossierSource {
  /// The export of some subjects, and the journal sequences of the inputs that its entries name.
  package func document(
    _ subjects: [String]
  ) throws -> (members: [String: JSONValue], origins: Set<UInt64>) {
    let entries = try entries(of: subjects)
    guard let last = entries.last else {
      throw LedgerError.refused(reason: "the ledger holds nothing of \(subjects)")
    }
    guard let checkpoint = try newestCheckpoint(), checkpoint.size >= last.sequence else {
      throw LedgerError.refused(
        reason: "no checkpoint covers entry \(last.sequence) yet; a running service signs them by "
          + "itself, at the interval of its service file"
      )
    }
    let paths = try paths(to: entries.map(\.sequence), size: checkpoint.size)
    let members: [JSONValue] = try zip(entries, paths).map { entry, path in
      var members = entry.json
      members["path"] = .array(path.map { .string($0.hex) })
      if entry.body == nil {
        let listed = try pruned(entry.sequence)
        members["bodyLength"] = .integer(listed?.length ?? 0)
        members["bodyDigest"] = .string((listed?.digest ?? []).hex)
      }
      return .object(members)
    }
    var origins = Set(entries.map(\.origin))
    for entry in entries where entry.kind == .alarm {
      if let body = entry.body { origins.insert(try AlarmBody(decoding: body).cause) }
    }
    origins.remove(0)
    return (
      [
        "format": "davy-export/1",
        "station": .string(station),
        "subjects": .array(subjects.map { .string($0) }),
        "checkpoint": checkpoint.json,
        "entries": .array(members),
      ], origins
    )
  }
}

/// A snapshot of a ledger file.
struct SQLiteDossier: DossierSource {
  let db: Database
  let station: String

  func alarms(ofHazard id: String) throws -> [String] {
    try texts("SELECT alarm FROM hazard_alarm WHERE hazard = ?", [id])
  }

  func hazards(ofAlarm id: String) throws -> [String] {
    let final = HazardState.allCases.filter(\.isFinal).map { "'\($0.rawValue)'" }
    let siblings = AlarmBody.siblings(of: id)
    return try texts(
      """
      SELECT hazard FROM hazard_alarm WHERE alarm = ?1
      UNION
      SELECT hazard.id FROM hazard_alarm JOIN hazard ON hazard.id = hazard_alarm.hazard
        JOIN alarm ON alarm.id = ?1
      WHERE hazard_alarm.alarm >= ?2 AND hazard_alarm.alarm < ?3
        AND hazard.first_seq <= alarm.last_seq
        AND (hazard.last_seq >= alarm.first_seq OR hazard.state NOT IN (\(final.joined(separator: ", "))))
      ORDER BY 1
      """,
      [id, siblings.lowerBound, siblings.upperBound]
    )
  }

  func hazards(ids: Range<String>) throws -> [String] {
    try texts(
      "SELECT id FROM hazard WHERE id >= ? AND id < ? ORDER BY id",
      [ids.lowerBound, ids.upperBound]
    )
  }

  func matters(naming alarm: String) throws -> [String] {
    try texts(
      """
      SELECT subject FROM entry
      WHERE kind IN ('callout', 'clock', 'notice') AND instr(body, CAST(? AS BLOB)) > 0
      GROUP BY subject ORDER BY min(seq)
      """,
      [alarm]
    )
  }

  private func texts(_ sql: String, _ arguments: StatementArguments) throws -> [String] {
    try String.fetchAll(db, sql: sql, arguments: arguments)
  }

  func entries(of subjects: [String]) throws -> [LedgerEntry] {
    let marks = repeatElement("?", count: subjects.count).joined(separator: ", ")
    var entries: [LedgerEntry] = []
    try EntryRow.forEach(
      db,
      "WHERE subject IN (\(marks)) ORDER BY seq",
      arguments: StatementArguments(subjects)
    ) { entries.append($0) }
    return entries
  }

  func newestCheckpoint() throws -> Checkpoint? {
    try Checkpoint.fetch(db, station: station, "ORDER BY size DESC LIMIT 1")
  }

  func paths(to sequences: [Int64], size: Int64) throws -> [[[UInt8]]] {
    let tree = MerkleTree(SQLiteNodes(db: db))
    return try sequences.map { try tree.path(to: $0 - 1, size: size) }
  }

  func pruned(_ sequence: Int64) throws -> (length: Int64, digest: [UInt8])? {
    try Row.fetchOne(
      db,
      sql: "SELECT length, digest FROM redacted WHERE seq = ?",
      arguments: [sequence]
    ).map { ($0[0], [UInt8]($0[1] as Data)) }
  }
}
