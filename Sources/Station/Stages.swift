public import DeviceCatalog
import Foundation
public import HazardLedger
public import Journal
public import Logging
import Synchronization
import Telemetry

/// The stages of the way of a reading, without threads: whoever runs them decides when each takes its turn.
///
/// A live station gives each stage a thread; the simulation calls them from one thread in an order that a seed
/// decides. Each stage is called by one thread at a time and owns its part of the state: ``collect`` the sequencer,
/// ``commit`` the journal's writes, ``evaluate`` the ``StationCore``, ``record`` the ledger's writes and the
/// snapshots. They meet in the ``Exchange``.
///
/// `@unchecked Sendable`: `core`, `sequencer`, `pace`, `waited`, `snapshotPace`, `reported`, `reportWalk`, `shownInhibitions`,
/// `owed`, `attempted` and `uncovered` are touched by one stage each, as said above; the rest is behind locks.
public final class Stages: @unchecked Sendable {
  /// Deletes journal segments as far as age and size allow.
  ///
  /// Called after a snapshot with the newest receive time and the sequence after which everything is still needed. Set
  /// before the stages run.
  public var prune: (@Sendable (_ now: Int64, _ floor: UInt64) throws -> Int)?
  /// Brings calls and messages to persons; nil brings none.
  ///
  /// Set before the stages run.
  public var dispatcher: (any CalloutDispatcher)?
  /// Signs checkpoints of the ledger; nil signs none.
  ///
  /// Set before the stages run; then the ledger's stage owns it.
  public var checkpoints: CheckpointSigner?
  /// Where the stages meet.
  public let exchange: Exchange
  /// The limits they keep.
  public let limits: StationLimits
  /// Counters of what passed through.
  public let counters = StationCounters()

  /// What others may see of the welding desk.
  public let welding: WeldingBoard
  /// What others may see of duty.
  public let duty: DutyBoard
  /// What people have changed of the call-out channels.
  public let channels: ChannelBoard
  /// What others may see of the stations below this one.
  public let relay: RelayBoard

  let journal: any JournalStore
  let ledger: any LedgerStore
  /// Readings reduced to minutes; nil keeps none.
  public let trends: TrendStore?
  let snapshots: SnapshotFolder?
  let logger: Logger
  private let core: StationCore
  private var sequencer: Sequencer
  private var pace: TickPace
  /// What looks that were cut at a limit have brought since one that was not.
  private var waited = (messages: 0, bytes: 0)
  private var snapshotPace: SnapshotPace
  /// What the start has had to say and the journal had no room for; it goes before everything else.
  private var owed: [InputBatch]
  /// How many outputs the commit had that failed and has to be tried again.
  var attempted: Int?
  /// The ledger's stage has a thread of its own, which may wait for the journal's.
  ///
  /// Set before the stages run.
  package var waitsForJournal = false
  /// Where the journal was to have come when it was last waited for in vain.
  var uncovered: UInt64 = 0
  private let inbox: Mutex<[Inboxed]> = Mutex([])
  private let shelf = BatchShelf()
  let pendingSnapshot: Mutex<PendingSnapshot?> = Mutex(nil)
  private let shown: Showcase

  private struct Inboxed: Sendable {
    var input: JournalInput
    var ticket: ActTicket?
  }

  /// A snapshot that waits for ledger and trends to come as far.
  struct PendingSnapshot: Sendable {
    var position: UInt64
    var bytes: [UInt8]
    /// The next one is due already: trends that are not as far by now are waited for no longer.
    var isOverdue = false
  }

  /// Receive time of the newest look at the engines as a whole, and the state of the inhibited rules then shown.
  private var reported: Int64 = .min
  private var shownInhibitions = -1
  /// How often the engines are looked at as a whole, milliseconds of receive time.
  private static let reportInterval: Int64 = 5_000
  /// The report under way, and how many devices and rules a batch adds to it: some 0.1 ms.
  private var reportWalk: EngineReportWalk?
  private static let reportRows = 1_024

  /// Brings a station to the state in which it stopped: the newest usable snapshot, then the journal after it,
  /// then `catalog`, where it differs from the one in force.
  ///
  /// Stores that have no room are no reason not to start (``Recovery``).
  ///
  /// - Parameters:
  ///   - catalog: the catalog to run with.
  ///   - journal: the inputs so far and to come.
  ///   - ledger: the entries so far and to come.
  ///   - snapshots: where engine state is kept; nil keeps none.
  ///   - trends: where readings are kept as minutes; nil keeps none.
  ///   - limits: queues, delays, sizes.
  ///   - logger: takes what is worth telling.
  ///   - now: the clock, milliseconds since the Unix epoch.
  /// - Throws: what the stores throw; their errors name place and remedy.
  public init(
    catalog: Catalog,
    journal: any JournalStore,
    ledger: any LedgerStore,
    snapshots: SnapshotFolder?,
    trends: TrendStore? = nil,
    limits: StationLimits,
    logger: Logger,
    now: Int64
  ) throws {
    self.journal = journal
    self.ledger = ledger
    self.trends = trends
    self.snapshots = snapshots
    self.limits = limits
    self.logger = logger
    var recovery = try Recovery(
      ledger: ledger,
      journal: journal,
      snapshots: snapshots,
      limits: limits,
      logger: logger
    )
    try recovery.replay(journal, into: ledger, trends: trends)
    core = recovery.core
    welding = core.welding
    duty = core.duty
    channels = core.channels
    relay = core.relay
    snapshotPace = SnapshotPace(position: recovery.snapshotPosition)
    sequencer = Sequencer(after: core.position, received: recovery.lastReceived)
    pace = TickPace(settle: limits.settleMilliseconds, linkLoss: limits.linkLossMilliseconds)
    if let unseen = try recovery.unseen(by: ledger) {
      var input = unseen.journalInput
      input.received = sequencer.stamp(now)
      try recovery.take(input, into: journal, ledger)
    }
    try recovery.endDoubtedSilences(at: sequencer.stamp(now), in: journal, ledger)
    // A release whose desks go by other rules says so in the journal, before anything that they are for.
    if core.catalog?.version != catalog.version || core.level < .newest {
      let input = JournalInput(
        kind: .catalog,
        received: sequencer.stamp(now),
        topic: Array("catalog".utf8),
        payload: try CatalogRecord(sources: catalog.sources).journalPayload()
      )
      try recovery.take(input, into: journal, ledger)
      logger.info(
        "catalog in force",
        metadata: [
          "version": "\(catalog.version.prefix(12))", "channels": "\(catalog.channels.count)",
          "rules": "\(catalog.rules.count)",
        ]
      )
    }
    for unseen in try recovery.unseenHazards(in: ledger) {
      var input = unseen.journalInput
      input.received = sequencer.stamp(now)
      try recovery.take(input, into: journal, ledger)
    }
    _ = sequencer.reserve(Int(core.position + 1 - sequencer.next))
    owed = recovery.owed
    attempted = recovery.backlog.attempted
    exchange = Exchange(
      durable: recovery.durable,
      position: try ledger.position,
      head: try ledger.head.sequence,
      waiting: recovery.backlog.outputs
    )
    if let fault = recovery.backlog.fault { exchange.setLedgerFault("\(fault)") }
    shown = Showcase(catalog: catalog, trendBytes: limits.trendBytes)
    if journal is SegmentJournal {
      do throws(TrendError) {
        try JournalReadings(journal: journal, catalog: catalog)
          .newest(records: limits.shownAtStart, shown.add)
      } catch {
        // Only what is shown suffers; it fills again with what comes.
        logger.error("old readings cannot be shown", metadata: ["error": "\(error)"])
      }
    }
    counters.setDeadline(core.nextDeadline)
    for input in core.resumptions {
      inbox.withLock { $0.append(Inboxed(input: input.journalInput, ticket: nil)) }
    }
    showEngines()
  }

  // MARK: - Stage 1: collect

  /// Polls the link, takes in what waits in the inbox and, where something falls due, a tick.
  ///
  /// The batch still has to go to ``commit(_:)`` and ``evaluate(_:at:)``.
  ///
  /// - Parameters:
  ///   - link: the broker's link.
  ///   - timeoutMilliseconds: how long to wait for a first message.
  ///   - isBehind: the journal has not taken the batches before this one yet.
  ///   - isSlow: it took a while for the one before.
  ///   - clock: reads the wall clock, milliseconds since the Unix epoch; called once, after the wait.
  /// - Returns: the batch; nil when there was nothing.
  public func collect(
    from link: any IntakeLink,
    timeoutMilliseconds: Int,
    isBehind: Bool = false,
    isSlow: Bool = false,
    clock: () -> Int64
  ) -> InputBatch? {
    let bytes = batchBytes(isBehind: isBehind, isSlow: isSlow)
    let report = link.poll(
      timeoutMilliseconds: timeoutMilliseconds,
      limit: limits.batchMessages,
      bytes: bytes
    )
    counters.set(report)
    let now = clock()
    let deadline = counters.deadline
    let before = sequencer.lastReceived
    let received = sequencer.stamp(now)
    counters.clockBehind.store(received - now, ordering: .relaxed)
    var inputs = shelf.take()
    let marksCatchUp = pace.begin(report, at: received)
    if marksCatchUp {
      inputs.append(
        JournalInput(kind: .tick, received: received, topic: StationCore.catchUpTopic)
      )
    }
    link.take(received: received, into: &inputs)
    let messages = inputs.count - (marksCatchUp ? 1 : 0)
    let look = look(messages, inputs.byteCount, limit: bytes, isBehind: isBehind)
    let isTickDue = pace.allowsTick(
      after: look,
      deadline: deadline,
      isLater: before < received,
      at: received
    )
    let waiting = inbox.withLock { inbox in
      defer { inbox.removeAll(keepingCapacity: true) }
      return inbox
    }
    let firstAct = inputs.count
    for inboxed in waiting {
      var input = inboxed.input
      input.received = received
      inputs.append(input)
    }
    if isTickDue { inputs.append(JournalInput(kind: .tick, received: received)) }
    guard !inputs.isEmpty else {
      shelf.give(inputs)
      return nil
    }
    let first = sequencer.reserve(inputs.count)
    for (offset, inboxed) in waiting.enumerated() {
      guard let ticket = inboxed.ticket else { continue }
      exchange.register(ticket, sequence: first + UInt64(firstAct + offset))
    }
    if messages > 0 { counters.received(messages, at: received) }
    exchange.setReceived(received)
    return InputBatch(inputs, firstSequence: first, shelf: shelf)
  }

  /// Bytes after which ``collect(from:timeoutMilliseconds:isBehind:isSlow:clock:)`` polls no more.
  func batchBytes(isBehind: Bool, isSlow: Bool) -> Int {
    isBehind || isSlow ? limits.batchBytesSlow : limits.batchBytes
  }

  /// What a turn's messages say of the broker: those of turns that end at the limit count with the next one's, as they
  /// waited together.
  private func look(_ messages: Int, _ bytes: Int, limit: Int, isBehind: Bool) -> TickPace.Look {
    waited.messages += messages
    waited.bytes += bytes
    let isFull =
      waited.messages >= limits.batchMessages || waited.bytes >= limits.batchBytesSlow
    let isCut = bytes >= limit
    if isFull || !isCut { waited = (0, 0) }
    if isFull { return .full }
    if isCut { return .cut }
    // Some device always reports: a trickle, of less than a hundredth of what a look can bring, is no sign of more.
    return !isBehind && messages * 256 <= limits.batchMessages ? .little : .some
  }

  /// Puts an act into the inbox; the ticket is settled when its outcome is in the ledger.
  public func enqueue(_ act: OperatorAct) throws(ActError) -> ActTicket {
    let payload: [UInt8]
    do {
      payload = try act.journalPayload()
    } catch {
      throw .incomplete("the act cannot be written down: \(error)")
    }
    return try enqueue(
      JournalInput(kind: .command, received: 0, topic: Array("act".utf8), payload: payload)
    )
  }

  /// Puts an input of a desk into the inbox; the ticket is settled when its outcome is in the ledger.
  public func enqueue(_ input: DeskInput) throws(ActError) -> ActTicket {
    try enqueue(input.journalInput)
  }

  private func enqueue(_ input: JournalInput) throws(ActError) -> ActTicket {
    let ticket = ActTicket()
    let isFull = inbox.withLock { inbox in
      guard inbox.count < limits.waitingActs else { return true }
      inbox.append(Inboxed(input: input, ticket: ticket))
      return false
    }
    guard !isFull else { throw .busy }
    return ticket
  }

  /// Puts a catalog change into the inbox; the ticket is settled when the ledger says that it is in force, or why not.
  public func enqueue(_ catalog: Catalog) throws(ActError) -> ActTicket {
    let payload: [UInt8]
    do {
      payload = try CatalogRecord(sources: catalog.sources).journalPayload()
    } catch {
      throw .incomplete("the catalog cannot be written down: \(error)")
    }
    return try enqueue(
      JournalInput(kind: .catalog, received: 0, topic: Array("catalog".utf8), payload: payload)
    )
  }

  /// Ends the wait of acts that were never taken in.
  func refuseInbox() {
    let waiting = inbox.withLock { inbox in
      defer { inbox.removeAll() }
      return inbox
    }
    for inboxed in waiting { inboxed.ticket?.resolve(.failure(.busy)) }
  }

  // MARK: - Stage 2: commit

  /// Commits the batch to the journal; durable when it returns.
  ///
  /// - Throws: what the journal throws; the same batch is then tried again.
  public func commit(_ batch: InputBatch) throws {
    do {
      while let first = owed.first {
        try journal.append(first.inputs, firstSequence: first.firstSequence)
        owed.removeFirst()
      }
      exchange.setBegun(batch.lastSequence)
      try journal.append(batch.inputs, firstSequence: batch.firstSequence)
      exchange.setDurable(batch.lastSequence)
    } catch {
      counters.journalFailures.add(1, ordering: .relaxed)
      exchange.setJournalFault("\(error)")
      throw error
    }
  }

  // MARK: - Stage 3: evaluate

  /// Decodes and evaluates the batch at monotonic time `now` (milliseconds), whether it is durable yet or not;
  /// the ledger waits for the journal, the 200 ms rule does not.
  public func evaluate(_ batch: InputBatch, at now: Int64) {
    let readings = core.readingCount
    var output = core.process(batch.inputs, firstSequence: batch.firstSequence)
    counters.readings.add(core.readingCount &- readings, ordering: .relaxed)
    counters.count(output)
    counters.setDeadline(core.nextDeadline)
    shown.take(output, catalog: core.catalog)
    trends?.add(output, catalog: core.catalog)
    core.reuse(&output)
    showEngines()
    exchange.enqueue(output, at: now)
    if snapshots != nil,
      snapshotPace.isDue(core.position, bytes: batch.inputs.byteCount, at: now, limits)
    {
      keepSnapshot(at: now)
    }
  }

  /// Shows the edges which rules are inhibited and, every few seconds, how the engines do.
  private func showEngines() {
    if core.inhibitionChanges != shownInhibitions {
      shownInhibitions = core.inhibitionChanges
      shown.show(core.inhibited)
    }
    let now = exchange.received
    if reportWalk == nil, now >= reported + Self.reportInterval || reported == .min {
      reported = now
      reportWalk = EngineReportWalk()
    }
    guard var walk = reportWalk.take() else { return }
    if core.extend(&walk, rows: Self.reportRows) {
      shown.show(walk.report)
    } else {
      reportWalk = walk
    }
  }

  /// Takes a snapshot of the core now; ``record(isUrgent:)`` writes it once the ledger has come as far.
  ///
  /// One that still waits is written first: were it replaced, stores that are always a little behind would never have any,
  /// and without snapshots the journal is not pruned.
  private func keepSnapshot(at now: Int64) {
    snapshotPace.restart(core.position, at: now)
    let isWaiting = pendingSnapshot.withLock { pending in
      pending?.isOverdue = true
      return pending != nil
    }
    guard !isWaiting else { return }
    let snapshot = PendingSnapshot(position: core.position, bytes: core.snapshot())
    pendingSnapshot.withLock { $0 = snapshot }
  }

  // MARK: - The stop

  /// At an orderly stop, when no thread works here any more: records what the journal has of what was evaluated, and writes
  /// a snapshot, so that the next start has nothing to replay.
  ///
  /// Nothing depends on it: stores that do not take theirs leave the next start what a crash would.
  ///
  /// - Parameter isLate: whether there is no time for more.
  func finish(isLate: () -> Bool) {
    guard snapshots != nil, core.position > snapshotPace.position else { return }
    do {
      // Twice: what a write that failed has left is still to be written before what came since.
      for _ in 0..<2 {
        trends?.seal()
        try trends?.write(durable: exchange.durable)
      }
      while try !isLate() && record(isUrgent: true) {}
      // A ledger that another station has taken over stands where that one's journal does.
      guard !isLate(), exchange.faults.ledger == nil else { return }
      let last = PendingSnapshot(position: core.position, bytes: core.snapshot())
      pendingSnapshot.withLock { $0 = last }
      writeDueSnapshot(position: try ledger.position)
    } catch {
      logger.warning(
        "no snapshot at the stop; the next start replays the journal from an older one",
        metadata: ["error": "\(error)"]
      )
    }
  }

  // MARK: - What edges see

  /// Whether the journal holds a message: then a session at the broker has been there.
  ///
  /// Looks back from the journal's end, where ticks of a time without a broker may lie.
  public var hasReceived: Bool {
    get throws {
      var end = journal.lastSequence
      let floor = end > Self.farthestLook ? end - Self.farthestLook : 0
      while end > floor {
        let first = end > Self.lookBack ? end - Self.lookBack + 1 : 1
        let records = try journal.read(from: first, limit: Int(end - first + 1))
        if records.contains(where: { $0.input.kind == .message }) { return true }
        end = first - 1
      }
      return false
    }
  }
  /// Records looked at together, and at all: a station that is only told by others has no message however far one looks.
  private static let lookBack: UInt64 = 1_024
  private static let farthestLook: UInt64 = 262_144

  /// The catalog in force.
  public var catalog: Catalog { shown.catalog }

  /// Rules that do not annunciate.
  func inhibitedRules() -> [InhibitedRule] { shown.inhibited }

  /// How the engines do.
  func engineReport() -> EngineReport { shown.report }

  /// The newest reading of each channel.
  func latestReadings() -> [LatestReading?] { shown.latest() }

  /// Recent readings of a channel by event time, oldest first.
  ///
  /// `covers` is the receive time from which on nothing is missing; nil where nothing is kept.
  func recentReadings(channel: Int) -> (readings: [LatestReading], covers: Timestamp?) {
    shown.recent(channel: channel)
  }

  /// How much came from each device in each of the last hours.
  func deviceHours() -> DeviceHours { shown.hours }

  /// Kept readings of channels received after a moment, in the order in which they came.
  func recentReadings(channels: [Int], after moment: Timestamp) -> [[LatestReading]] {
    shown.received(after: moment, channels: channels)
  }
}
