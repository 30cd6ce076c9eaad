import Foundation
internal import GRDB
import Telemetry

/// Derives the views from entries, one after the other; the same code live and when rebuilding.
///
/// Rows touched are kept until ``flush()``, so that an occurrence that takes three steps in a batch
/// is read and written once.
struct ViewWriter {
  private let db: Database
  private var alarms: [String: AlarmView] = [:]
  private var known: Set<String> = []
  private var order: [String] = []
  private var hazards: [String: HazardRow] = [:]
  private var counts: [String: Int64] = [:]
  private var owners: OwnerIndex

  /// Rows held at most before they are written: the memory that a rebuild may take.
  private static let capacity = 20_000

  init(_ db: Database) throws {
    self.db = db
    owners = try OwnerIndex(db)
  }

  /// Empties all views.
  mutating func clear() throws {
    try db.execute(
      sql: """
        DELETE FROM alarm; DELETE FROM counter; DELETE FROM hazard; DELETE FROM hazard_alarm;
        DELETE FROM entry_owner
        """
    )
  }

  /// Adds one entry.
  mutating func apply(_ entry: LedgerEntry) throws {
    counts[Self.entryCounter[entry.kind] ?? "", default: 0] += 1
    try owners.add(entry)
    guard let bytes = entry.body else { return }
    switch entry.kind {
    case .alarm:
      try apply(Self.decoded(bytes, of: entry), of: entry)
      if order.count >= Self.capacity { try flush() }
    case .redaction:
      // What the pruned bodies counted is kept by the entry that pruned them.
      let events = try Self.value(bytes, of: entry)["events"]?.members ?? [:]
      for (event, count) in events {
        counts["alarm.\(event)", default: 0] += count.wholeNumber ?? 0
      }
    case .hazard: try applyHazard(entry)
    case .genesis, .callout, .clock, .silence, .register, .catalog, .system: break
    }
  }

  private static let entryCounter = Dictionary(
    uniqueKeysWithValues: EntryKind.allCases.map { ($0, "entry.\($0.rawValue)") }
  )
  private static let alarmCounter = Dictionary(
    uniqueKeysWithValues: AlarmBody.Event.allCases.map { ($0, "alarm.\($0.rawValue)") }
  )

  /// Writes all rows touched.
  mutating func flush() throws {
    for id in order {
      guard let view = alarms[id] else { continue }
      if known.contains(id) {
        try AlarmRow.update(view, in: db)
      } else {
        try AlarmRow.insert(view, into: db)
      }
    }
    for row in hazards.values.sorted(by: { $0.firstSequence < $1.firstSequence }) {
      try row.store(in: db)
    }
    hazards.removeAll(keepingCapacity: true)
    alarms.removeAll(keepingCapacity: true)
    known.removeAll(keepingCapacity: true)
    order.removeAll(keepingCapacity: true)
    let count = try db.cachedStatement(
      sql: """
        INSERT INTO counter VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET value = value + excluded.value
        """
    )
    for (name, value) in counts {
      try count.execute(arguments: [name, value])
    }
    counts.removeAll(keepingCapacity: true)
  }

  private mutating func applyHazard(_ entry: LedgerEntry) throws {
    let id = entry.subject
    let known = try hazards[id] ?? HazardRow.replay(db, id: id, through: entry.sequence - 1)
    var hazard = known?.hazard
    try HazardRow.add(entry, to: &hazard)
    hazards[id] = hazard.map {
      HazardRow(
        hazard: $0,
        firstSequence: known?.firstSequence ?? entry.sequence,
        lastSequence: entry.sequence
      )
    }
  }

  /// Takes alarms whose bodies are pruned out of the views; their counts stay.
  mutating func forget(alarms ids: [String], events: [String: Int64]) throws {
    for (event, count) in events { counts["alarm.\(event)", default: 0] -= count }
    let delete = try HotStatement(db, sql: "DELETE FROM alarm WHERE id = ?")
    for id in ids {
      delete.bind(1, id)
      try delete.run()
    }
  }

  private static func value(_ bytes: [UInt8], of entry: LedgerEntry) throws(LedgerError)
    -> JSONValue
  {
    do throws(JSONSyntaxError) {
      return try JSONValue(parsing: bytes)
    } catch {
      throw .refused(reason: "entry \(entry.sequence): \(error)")
    }
  }

  private static func decoded(
    _ bytes: [UInt8],
    of entry: LedgerEntry
  ) throws(LedgerError) -> AlarmBody {
    do throws(BodyError) {
      return try AlarmBody(decoding: bytes)
    } catch {
      throw .refused(reason: "entry \(entry.sequence): \(error)")
    }
  }

  private mutating func apply(_ body: AlarmBody, of entry: LedgerEntry) throws {
    counts[Self.alarmCounter[body.event] ?? "", default: 0] += 1
    let id = body.alarm
    if alarms[id] == nil {
      order.append(id)
      guard let stored = try AlarmRow.fetch(db, id: id) else {
        alarms[id] = AlarmView(
          body,
          sequence: entry.sequence,
          time: entry.time,
          actor: entry.actor
        )
        return
      }
      known.insert(id)
      alarms[id] = stored
    }
    alarms[id]?.apply(body, sequence: entry.sequence, time: entry.time, actor: entry.actor)
  }
}
