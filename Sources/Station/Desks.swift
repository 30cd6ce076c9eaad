import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// The desks of a core, and how what one of them says reaches the others.
///
/// Wherever several could answer, the first in the order of ``all`` does; that order is part of what a replay repeats.
final class Desks {
  let welding = WeldingDesk()
  let hazards = HazardDesk()
  let relay = RelayDesk()
  let flood = FloodDesk()
  /// All of them, in the order in which they see everything.
  let all: [any Desk]

  init() {
    // What nothing watches belongs to nobody else, whatever the rule does now.
    all = [GapDesk(), AccountsDesk(), welding, hazards, relay, flood]
  }

  /// The desk whose name is the first level of an input's topic.
  func named(_ name: Substring) -> (any Desk)? {
    all.first { $0.name == name }
  }

  /// The desk that takes messages on this topic instead of the decoder.
  ///
  /// On the way of every message, like ``observe(_:sequence:received:into:)``: so only the desk is asked that takes any.
  func claiming(topic: Span<UInt8>) -> WeldingDesk? {
    welding.claims(topic: topic) ? welding : nil
  }

  /// The desk that has raised this alarm; nil for one of the engine's.
  func owning(_ alarm: AlarmName) -> (any Desk)? {
    all.first { $0.owns(alarm) }
  }

  /// When the first of them has something to do without further input.
  var nextDeadline: Timestamp? {
    var next: Timestamp?
    for desk in all {
      if let due = desk.nextDeadline { next = min(next ?? due, due) }
    }
    return next
  }

  /// What they have to take up again after a restart.
  var resumptions: [DeskInput] { all.compactMap(\.resumption) }

  // MARK: - What they see

  /// Shows the readings of a message, after the engine has judged them, to the desk that looks at readings.
  func observe(
    _ readings: borrowing ReadingBatch,
    sequence: UInt64,
    received: Timestamp,
    into output: inout CoreOutput
  ) {
    welding.observe(readings, sequence: sequence, received: received, into: &output)
  }

  /// Shows them a step of an alarm that has just been drafted.
  func follow(_ step: AlarmBody, of record: JournalRecord, into output: inout CoreOutput) {
    for desk in all { desk.follow(step, of: record, into: &output) }
  }

  /// Lets what has fallen due at each of them fire.
  func advance(_ record: JournalRecord, into output: inout CoreOutput) {
    for desk in all {
      desk.advance(record, into: &output)
      // What one desk's alarms did is known before the next desk lets its deadlines of the same time fire.
      spread(record, into: &output)
    }
  }

  /// Counts the alarm steps that desks have drafted among a flood's, and shows every desk them, the clocks that desks
  /// want kept, and those that follow from them.
  func spread(_ record: JournalRecord, into output: inout CoreOutput) {
    while output.hasNewsOfDesks {
      let steps = output.deskSteps
      let clocks = output.clockOrders
      output.deskSteps.removeAll(keepingCapacity: true)
      output.clockOrders.removeAll(keepingCapacity: true)
      for step in steps {
        var body = step.body
        body.flood = flood.take(body, record: record, into: &output)
        if body.flood != nil {
          let draft = output.drafts[step.draftIndex]
          output.drafts[step.draftIndex] =
            LedgerDraft(alarm: body, time: draft.time, origin: draft.origin)
        }
        follow(body, of: record, into: &output)
      }
      for order in clocks {
        for desk in all { desk.keep(order, of: record, into: &output) }
      }
    }
  }

  // MARK: - Catalogs and snapshots

  /// Goes by a catalog from `record` on.
  func adopt(_ catalog: Catalog, by record: JournalRecord?, into output: inout CoreOutput) {
    for desk in all { desk.adopt(catalog, by: record, into: &output) }
  }

  /// Goes by the rules of this level from here on.
  func follow(_ level: RulesLevel) {
    for desk in all { desk.follow(level) }
  }

  /// Writes every desk's name and state.
  func put(into writer: inout SnapshotWriter) {
    writer.put(UInt32(all.count))
    for desk in all {
      writer.put(desk.name)
      writer.put(desk.snapshot())
    }
  }

  /// Reads what ``put(into:)`` wrote, by desk name.
  static func saved(in reader: inout SnapshotReader) throws -> [String: [UInt8]] {
    var saved: [String: [UInt8]] = [:]
    for _ in 0..<(try reader.integer() as UInt32) {
      let name = try reader.text()
      saved[name] = try reader.block()
    }
    return saved
  }

  /// Goes on from saved desks under the catalog that was then in force; `position` is that of the snapshot.
  func restore(_ saved: [String: [UInt8]], under catalog: Catalog, at position: UInt64) throws {
    var output = CoreOutput(position: position)
    for desk in all {
      desk.adopt(catalog, by: nil, into: &output)
      // A desk that keeps no state needs none: a snapshot of before it was added will do.
      guard let state = saved[desk.name] ?? (desk.snapshot().isEmpty ? [] : nil) else {
        throw SnapshotFault.missingDesk(desk.name)
      }
      try desk.restore(state)
    }
    // The level of the rules stands in one desk's state.
    follow(hazards.level)
  }
}
