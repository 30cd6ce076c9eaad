public import Telemetry

/// What the rest of Davy needs of a ledger; every store behaves the same.
///
/// All calls may be made from any thread; appends are serial.
public protocol LedgerStore: AnyObject, Sendable {
  /// The station whose chain this is.
  var station: String { get }

  /// Adds a batch in one transaction: entries, view updates, reject tallies and journal position.
  ///
  /// Durable when it returns. When it throws, nothing of the batch is stored, and the same call may
  /// be made again; should an earlier try have been stored after all (an error after the commit),
  /// the retry says ``LedgerError/alreadyRecorded(position:)``.
  ///
  /// - Parameters:
  ///   - drafts: the entries, in order; each origin at most `position`. With drafts or rejects,
  ///     `position` must be above the ledger's.
  ///   - rejects: what was refused in these inputs.
  ///   - position: journal sequence up to which all inputs are in the ledger with this batch.
  /// - Returns: the sequences given to the drafts, nil without drafts.
  /// - Throws: why the batch is not stored.
  @discardableResult
  func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally],
    position: UInt64
  ) throws(LedgerError) -> ClosedRange<Int64>?

  /// Adds a batch as ``append(_:rejects:position:)`` does, begun before the journal holds its inputs.
  ///
  /// - Parameters:
  ///   - drafts: the entries, in order.
  ///   - rejects: what was refused in these inputs.
  ///   - position: journal sequence up to which all inputs are in the ledger with this batch.
  ///   - isCovered: is asked last, when everything is written and nothing in force; may wait for the journal.
  /// - Returns: the sequences given to the drafts, nil without drafts.
  /// - Throws: ``LedgerError/notCovered(position:)`` when it says no, as well: nothing is stored then.
  @discardableResult
  func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally],
    position: UInt64,
    isCovered: () -> Bool
  ) throws(LedgerError) -> ClosedRange<Int64>?

  /// Journal sequence up to which every input is in the ledger.
  var position: UInt64 { get throws(LedgerError) }

  /// Sequence and hash of the newest entry.
  var head: (sequence: Int64, hash: [UInt8]) { get throws(LedgerError) }

  /// Entries behind a cursor, in order.
  func entries(after sequence: Int64, limit: Int) throws(LedgerError) -> [LedgerEntry]

  /// What ``entries(after:limit:)`` gives, where it is at hand without waiting for a disk or a server; nil where the store
  /// has to be asked.
  func entriesAtHand(after sequence: Int64, limit: Int) -> [LedgerEntry]?

  /// Entries behind a cursor that belong to one of the enterprises, in order.
  func entries(
    ofEnterprises ids: Set<String>,
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry]

  /// Entries of one alarm, hazard or other thing behind a cursor, in order.
  func entries(
    of subject: String,
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry]

  /// Every alarm that is not normal, oldest first.
  func standingAlarms() throws(LedgerError) -> [AlarmView]

  /// Alarms by filter, newest first, from before a cursor (nil: from the newest).
  func alarms(
    _ filter: AlarmFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> AlarmPage

  /// One alarm occurrence by its id.
  func alarm(id: String) throws(LedgerError) -> AlarmView?

  /// One hazard with all its facts, folded from its entries.
  func hazard(id: String) throws(LedgerError) -> Hazard?

  /// Hazards by filter, newest first, from before a cursor (nil: from the newest).
  func hazards(
    _ filter: HazardFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> [HazardView]

  /// Hazards that an alarm is behind, by id.
  func hazards(ofAlarm id: String) throws(LedgerError) -> [String]

  /// Call-outs, clocks, silences or register items by filter, newest first, from before a cursor (nil: from the newest).
  func matters(
    _ filter: MatterFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> [MatterView]

  /// One call-out, clock, silence or register item.
  func matter(_ kind: EntryKind, id: String) throws(LedgerError) -> MatterView?

  /// What was refused: newest first.
  func rejects(limit: Int) throws(LedgerError) -> [RejectTally]

  /// Counters derived from the entries: `entry.<kind>` and `alarm.<event>`.
  func counters() throws(LedgerError) -> [String: Int64]
}

extension LedgerStore {
  /// Asks first: a store that cannot hold a batch back loses nothing but time.
  @discardableResult
  public func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally],
    position: UInt64,
    isCovered: () -> Bool
  ) throws(LedgerError) -> ClosedRange<Int64>? {
    guard isCovered() else { throw .notCovered(position: position) }
    return try append(drafts, rejects: rejects, position: position)
  }

  /// All steps of a hazard, in order.
  ///
  /// - Throws: why the ledger cannot be read.
  package func steps(ofHazard id: String) throws(LedgerError) -> [LedgerEntry] {
    let limit = 500
    var entries: [LedgerEntry] = []
    while true {
      let page = try self.entries(of: id, after: entries.last?.sequence ?? 0, limit: limit)
      entries += page
      if page.count < limit { return entries.filter { $0.kind == .hazard } }
    }
  }
}

/// A ledger whose head can be signed.
public protocol CheckpointStore: LedgerStore {
  /// Signs the ledger as it stands; a second call without new entries answers the same checkpoint.
  @discardableResult
  func signCheckpoint(
    with key: CheckpointKey,
    at time: Timestamp
  ) throws(LedgerError) -> Checkpoint

  /// Does a part of the work of the next checkpoint, for a ledger that has grown far beyond the newest one: signing
  /// hashes all that came since in one transaction, which nothing can be written beside.
  ///
  /// - Parameter entries: at most how many further entries to hash.
  /// - Returns: true when little is left for ``signCheckpoint(with:at:)``; false to be called again.
  /// - Throws: what keeps the ledger from being written.
  func prepareCheckpoint(entries: Int64) throws(LedgerError) -> Bool

  /// The newest checkpoint.
  func newestCheckpoint() throws(LedgerError) -> Checkpoint?
}
