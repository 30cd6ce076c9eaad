public import DeviceCatalog
public import HazardLedger
public import Journal
public import Telemetry

/// Runs recorded inputs through the core of a station into a ledger, as fast as they can be read.
///
/// The same journal gives a byte-identical ledger: same entries, same hashes, same head.
public struct Replay {
  /// What came of a replay.
  public struct Summary: Sendable {
    /// Messages among the records.
    public var messages: UInt64 = 0
    /// Readings evaluated.
    public var readings: UInt64 = 0
    /// Messages and readings refused.
    public var rejects: Int64 = 0
    /// Ledger entries written, genesis not counted.
    public var entries = 0
    /// Event time span of the readings; nil when there were none.
    public var span: ClosedRange<Timestamp>?
  }

  private let ledger: any LedgerStore
  private let catalog: Catalog?
  private let core: StationCore
  private var summary = Summary()
  private var lastReceived: Int64 = 0

  /// Prepares a replay.
  ///
  /// - Parameters:
  ///   - ledger: takes the entries; a new one for a comparison.
  ///   - catalog: put in force before the first record, instead of those in the recording; nil takes the recording's own.
  ///   - shards: over how many engines the devices of a lane are spread; the ledger does not depend on it.
  public init(
    into ledger: any LedgerStore,
    catalog: Catalog? = nil,
    shards: EngineShards = .one
  ) {
    self.ledger = ledger
    self.catalog = catalog
    core = StationCore(shards: shards)
  }

  /// Replays a recording from its first record to its last.
  ///
  /// - Parameters:
  ///   - recording: what to replay; damaged blocks are passed over, see ``Recording/damage``.
  ///   - progress: called after each block with the records processed so far and the receive time reached.
  /// - Returns: what came of it.
  /// - Throws: what recording and ledger throw.
  public mutating func run(
    _ recording: Recording,
    progress: (_ records: UInt64, _ received: Int64) -> Void = { _, _ in }
  ) throws -> Summary {
    var cursor = recording.cursor(from: max(1, recording.firstSequence))
    var batch = JournalBatch()
    while let first = try cursor.next(into: &batch) {
      if catalog == nil, core.position > 0, first > core.position + 1 {
        let output = core.passGap(through: first - 1, received: lastReceived)
        try append(output, rejects: [])
      }
      lastReceived = batch.latestReceived
      try begin(with: batch)
      progress(core.position, batch.latestReceived)
    }
    summary.messages = core.messageCount
    summary.readings = core.readingCount
    return summary
  }

  /// Replays the next inputs of a recording; before the first of them the catalog of its own is put in force.
  mutating func begin(with batch: JournalBatch) throws {
    guard let catalog else { return try process(batch) }
    if core.position == 0 {
      try process(
        JournalBatch([
          JournalInput(
            kind: .catalog,
            received: batch.earliestReceived,
            topic: Array("catalog".utf8),
            payload: try CatalogRecord(sources: catalog.sources).journalPayload()
          )
        ])
      )
    }
    // With rules of its own, a replay takes the recording's inputs but not its catalogs.
    try process(batch.withoutCatalogs)
  }

  private func append(_ output: CoreOutput, rejects: [RejectTally]) throws(LedgerError) {
    try ledger.append(
      output.drafts,
      rejects: rejects,
      position: output.position,
      onRefused: { _, _ in }
    )
  }

  /// Messages, readings and refusals so far.
  var messageCount: UInt64 { core.messageCount }
  var readingCount: UInt64 { core.readingCount }
  var rejectCount: Int64 { summary.rejects }

  /// Replays the next inputs of a recording that is held elsewhere.
  public mutating func process(_ inputs: JournalBatch) throws {
    guard !inputs.isEmpty else { return }
    let output = core.process(inputs, firstSequence: core.position + 1)
    try append(output, rejects: output.rejects)
    summary.entries += output.drafts.count
    summary.rejects += output.rejects.reduce(0) { $0 + $1.count }
    for entry in output.latest {
      let time = entry.reading.time
      summary.span =
        summary.span.map { min($0.lowerBound, time)...max($0.upperBound, time) } ?? time...time
    }
  }
}

extension JournalBatch {
  /// The batch without its catalog records.
  fileprivate var withoutCatalogs: JournalBatch {
    guard records.contains(where: { $0.kind == .catalog }) else { return self }
    var kept = JournalBatch()
    for index in records.indices where records[index].kind != .catalog {
      kept.append(from: self, at: index)
    }
    return kept
  }
}
