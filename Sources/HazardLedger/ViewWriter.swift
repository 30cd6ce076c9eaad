import Telemetry

/// Derives the views from entries, one after the other; the same code live and when rebuilding, for every store.
///
/// Rows touched are kept until ``flush()``, so that an occurrence that takes three steps in a batch
/// is read and written once.
package struct ViewWriter<Tables: ViewTables> {
  private let tables: Tables
  private var alarms: [String: AlarmView] = [:]
  private var known: Set<String> = []
  private var order: [String] = []
  private var hazards: [String: FoldedHazard] = [:]
  private var matters: [MatterKey: MatterView] = [:]
  private var counts: [String: Int64] = [:]

  private struct MatterKey: Hashable {
    var kind: EntryKind
    var id: String
  }

  /// Rows held at most before they are written: the memory that a rebuild may take.
  private static var capacity: Int { 20_000 }

  /// Makes a writer of these tables.
  package init(_ tables: Tables) {
    self.tables = tables
  }

  /// Empties all views.
  package mutating func clear() throws {
    try tables.clear()
  }

  /// Adds one entry.
  package mutating func apply(_ entry: LedgerEntry) throws {
    counts[ViewCounters.entry[entry.kind] ?? "", default: 0] += 1
    try tables.own(entry)
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
    case .callout, .clock, .notice, .silence, .register:
      let key = MatterKey(kind: entry.kind, id: entry.subject)
      let body = try Self.value(bytes, of: entry)
      if matters[key] == nil {
        matters[key] = MatterView(entry, body: body)
      } else {
        matters[key]?.add(entry, body: body)
      }
      if matters.count >= Self.capacity { try flush() }
    case .genesis, .catalog, .system, .welding: break
    }
  }

  /// Writes all rows touched.
  package mutating func flush() throws {
    try tables.write(
      order.compactMap { id in alarms[id].map { ($0, !known.contains(id)) } }
    )
    let touched = hazards.values.sorted { $0.firstSequence < $1.firstSequence }
    try tables.write(
      touched.map(\.view),
      alarms: touched.flatMap { row in
        row.hazard.registration.alarms.map { ($0, row.hazard.registration.id) }
      }
    )
    try tables.add(matters.values.sorted { $0.firstSequence < $1.firstSequence })
    matters.removeAll(keepingCapacity: true)
    hazards.removeAll(keepingCapacity: true)
    alarms.removeAll(keepingCapacity: true)
    known.removeAll(keepingCapacity: true)
    order.removeAll(keepingCapacity: true)
    try tables.add(counts)
    counts.removeAll(keepingCapacity: true)
    try tables.flushOwners()
  }

  private mutating func applyHazard(_ entry: LedgerEntry) throws {
    let id = entry.subject
    var row = hazards[id]
    if row == nil {
      for earlier in try tables.hazardEntries(id: id, through: entry.sequence - 1) {
        row = try FoldedHazard(row, adding: earlier)
      }
    }
    hazards[id] = try FoldedHazard(row, adding: entry)
  }

  /// Takes alarms whose bodies are pruned out of the views; their counts stay.
  package mutating func forget(alarms ids: [String], events: [String: Int64]) throws {
    for (event, count) in events { counts["alarm.\(event)", default: 0] -= count }
    try tables.removeAlarms(ids)
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
    counts[ViewCounters.alarm[body.event] ?? "", default: 0] += 1
    let id = body.alarm
    if alarms[id] == nil {
      order.append(id)
      guard let stored = try tables.alarm(id: id) else {
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

/// Names of the counters that entries add to.
private enum ViewCounters {
  static let entry = Dictionary(
    uniqueKeysWithValues: EntryKind.allCases.map { ($0, "entry.\($0.rawValue)") }
  )
  static let alarm = Dictionary(
    uniqueKeysWithValues: AlarmBody.Event.allCases.map { ($0, "alarm.\($0.rawValue)") }
  )
}
