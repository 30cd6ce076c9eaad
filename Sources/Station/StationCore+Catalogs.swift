import AlarmEngine
import DeviceCatalog
import HazardLedger
import Journal
import PayloadDecoding
import Telemetry

/// Catalogs as inputs: what is in force when is a journal record, so a replay changes at the same place.
extension StationCore {
  /// Puts a catalog in force; one that cannot be leaves the old one there, and the ledger says so.
  func processCatalog(_ record: JournalRecord, into output: inout CoreOutput) {
    transitions.removeAll(keepingCapacity: true)
    let draftIndex = output.drafts.count
    var refusal: ActError?
    do {
      let journaled = try CatalogRecord(journalPayload: record.input.payload)
      let next = try journaled.load()
      var closed: [Transition] = []
      let former = catalog
      try adopt(
        next,
        level: max(level, journaled.level),
        at: Timestamp(milliseconds: record.input.received),
        closed: &closed
      )
      desks.follow(journaled.level)
      output.drafts.append(EventDraft.catalog(next, level: level, record: record))
      desks.adopt(next, by: record, into: &output)
      if let former { handOver(from: former, closed, of: record, into: &output) }
      appendDrafts(of: record, to: &output)
    } catch {
      // The service journals only catalogs that it has loaded, so this is another version's catalog. The old one
      // stays in force, and the ledger says so.
      output.drafts.append(EventDraft.refusedCatalog(record: record, error: error))
      refusal = .refused("the catalog does not load: \(error)", code: "catalog")
    }
    output.acts.append(
      CoreOutput.ActOutcome(sequence: record.sequence, draftIndex: draftIndex, refusal: refusal)
    )
  }

  /// Puts `next` in force: every lane keeps the state of what is the same in both.
  private func adopt(
    _ next: Catalog,
    level: RulesLevel,
    at now: Timestamp,
    closed: inout [Transition]
  ) throws {
    // Sparkplug births and parts of HJ 212 telegrams go on: without them the readings after a change would be refused
    // until every gateway had introduced itself again.
    var successor = Decoder(plan: next.decodingPlan)
    try successor.restore(decoder.snapshot())
    try lanes.adopt(
      next,
      level: level,
      at: now,
      isBacklog: isCatchingUp && level >= .areas,
      closed: &closed,
      into: &transitions
    )
    decoder = successor
    catalog = next
    inhibitions.find(in: lanes.all)
  }

  /// What still goes by the rows of the former catalog: its readings, and the ends of alarms whose rules are gone.
  private func handOver(
    from former: Catalog,
    _ closed: [Transition],
    of record: JournalRecord,
    into output: inout CoreOutput
  ) {
    output.former.append(
      CoreOutput.FormerReadings(catalog: former, readings: output.latest)
    )
    output.latest = []
    for transition in closed {
      let body = AlarmDraft.body(transition, act: nil, catalog: former, record: record)
      output.drafts.append(
        LedgerDraft(alarm: body, time: transition.time, origin: record.sequence)
      )
      desks.follow(body, of: record, into: &output)
    }
  }
}
