import Foundation
import HazardLedger
import Journal
import Logging
import Telemetry

/// The one way a station starts, after a clean stop and after a crash: the newest snapshot that the ledger has come
/// up to, then the journal from there; entries that the ledger has already are not written again.
///
/// A store that has no room for what it lacks keeps no station from starting: alarms must not wait for somebody to clear a
/// disk. What the ledger does not take waits as ``LedgerBacklog``, what the journal does not take as ``owed``.
struct Recovery {
  /// The core, at the journal's end once ``replay(_:into:trends:)`` has returned.
  private(set) var core: StationCore
  /// Position of the snapshot it began with; 0 when it began with nothing.
  let snapshotPosition: UInt64
  /// Receive time of the newest record replayed, milliseconds since the Unix epoch.
  private(set) var lastReceived: Int64 = .min
  /// What the ledger has not taken.
  private(set) var backlog: LedgerBacklog
  /// What the journal has not taken, oldest first: it has to, before anything that comes later.
  private(set) var owed: [InputBatch] = []
  /// The newest input that the journal has.
  var durable: UInt64 { owed.first.map { $0.firstSequence - 1 } ?? core.position }

  /// Records passed over because the journal cannot give them back.
  private var gaps: [GapDesk.Unseen.Gap] = []
  private var doubted = DoubtedSilences()
  /// Journal position of the ledger when the replay began.
  private var known: UInt64 = 0
  private let logger: Logger
  /// Records read together, and how many bytes of them: of large messages so many would not fit into memory.
  private static let page = 8_192
  private static let pageBytes = 32 << 20

  init(
    ledger: any LedgerStore,
    journal: any JournalStore,
    snapshots: SnapshotFolder?,
    limits: StationLimits,
    logger: Logger
  ) throws {
    self.logger = logger
    backlog = LedgerBacklog(limits: limits)
    if let snapshots { Self.putAside(in: snapshots, beyond: journal.lastSequence, logger) }
    let ledgerPosition = try ledger.position
    for position in try snapshots?.positions() ?? [] where position <= ledgerPosition {
      do {
        guard let snapshots else { break }
        core = try StationCore(snapshot: try snapshots.read(position))
        snapshotPosition = position
        return
      } catch {
        logger.warning(
          "snapshot not usable, taking an older one",
          metadata: ["position": "\(position)", "error": "\(error)"]
        )
      }
    }
    core = StationCore()
    snapshotPosition = 0
  }

  /// Puts snapshots of beyond the journal's end aside; where that fails the start goes on, and the log says what to do.
  private static func putAside(
    in snapshots: SnapshotFolder,
    beyond end: UInt64,
    _ logger: Logger
  ) {
    do {
      let foreign = try snapshots.putAside(beyond: end)
      guard !foreign.isEmpty else { return }
      logger.warning(
        "snapshots of beyond the journal's end are of another journal and have been put aside (.aside): stop and put that journal back where it belongs here, else delete them",
        metadata: ["folder": "\(snapshots.path)", "positions": "\(foreign)", "end": "\(end)"]
      )
    } catch {
      logger.error(
        "snapshots of beyond the journal's end are of another journal and could not be put aside: delete them",
        metadata: ["folder": "\(snapshots.path)", "end": "\(end)", "error": "\(error)"]
      )
    }
  }

  /// Lets trends that have come further than the journal go on from its end: they would pass over every reading, also those
  /// chosen for relay and historian, until it is as long.
  private func shorten(_ trends: TrendStore, to end: UInt64) {
    guard trends.position > end else { return }
    logger.warning(
      "the trends have come further than the journal, which is another or an older one; they go on from its end",
      metadata: ["trends": "\(trends.position)", "end": "\(end)"]
    )
    do {
      try trends.goOn(from: end)
    } catch {
      logger.error(
        "where the trends go on is not written down: a crash before their next minutes leaves a hole in them",
        metadata: ["error": "\(error)"]
      )
    }
  }

  /// Replays the journal from the core's position to its end and commits what the ledger lacks.
  ///
  /// - Parameters:
  ///   - journal: the inputs.
  ///   - ledger: takes the entries that it lacks.
  ///   - trends: takes the readings that it lacks.
  /// - Throws: what the stores throw, or ``RecoveryFault``.
  mutating func replay(
    _ journal: any JournalStore,
    into ledger: any LedgerStore,
    trends: TrendStore?
  ) throws {
    let ledgerPosition = try ledger.position
    known = ledgerPosition
    guard journal.lastSequence >= ledgerPosition else {
      throw RecoveryFault.journalBehindLedger(
        journal: journal.lastSequence,
        ledger: ledgerPosition
      )
    }
    if let trends { shorten(trends, to: journal.lastSequence) }
    if snapshotPosition > 0, let last = try journal.read(from: snapshotPosition, limit: 1).first {
      lastReceived = last.input.received
    }
    while core.position < journal.lastSequence {
      let records = try journal.read(
        from: core.position + 1,
        limit: Self.page,
        bytes: Self.pageBytes
      )
      let next = records.first?.sequence ?? journal.lastSequence + 1
      if next > core.position + 1 {
        try passGap(before: next, upTo: ledgerPosition, into: ledger)
      }
      for run in Self.denseRuns(records) {
        if run[run.startIndex].sequence > core.position + 1 {
          try passGap(before: run[run.startIndex].sequence, upTo: ledgerPosition, into: ledger)
        }
        try commit(Array(run), upTo: ledgerPosition, into: ledger, trends: trends)
      }
      if let last = records.last { lastReceived = max(lastReceived, last.input.received) }
    }
    if let fault = backlog.fault {
      logger.critical(
        """
        the ledger does not take what it lacks of the journal; the station starts all the same: alarms are told \
        unrecorded, and recorded as soon as it does
        """,
        metadata: ["error": "\(fault)"]
      )
    }
    logger.info(
      "recovered",
      metadata: ["from": "\(snapshotPosition)", "to": "\(core.position)"]
    )
  }

  /// Takes in what the start itself has to say, as the input after all others.
  mutating func take(
    _ input: JournalInput,
    into journal: any JournalStore,
    _ ledger: any LedgerStore
  ) throws {
    let batch = InputBatch(JournalBatch([input]), firstSequence: core.position + 1)
    if owed.isEmpty {
      do {
        try journal.append(batch.inputs, firstSequence: batch.firstSequence)
      } catch let error as JournalError where error.isPassing {
        logger.critical(
          """
          the journal has no room for what the start has to say; the station starts all the same: acknowledgements are \
          withheld until it has
          """,
          metadata: ["error": "\(error)"]
        )
        owed.append(batch)
      }
    } else {
      owed.append(batch)
    }
    let output = core.process(batch.inputs, firstSequence: batch.firstSequence)
    try doubted.follow(output.drafts)
    try backlog.add(output, to: ledger, isDurable: owed.isEmpty)
  }

  /// What the ledger is still to be told of gaps that were passed, as an input for the journal; nil when nothing is.
  ///
  /// A gap that begins before the ledger's position may have taken alarms with it that stand there: engine and desks, which
  /// have not seen these records again, know nothing of them.
  func unseen(by ledger: any LedgerStore) throws -> DeskInput? {
    guard !gaps.isEmpty else { return nil }
    let untold = try gaps.filter { gap in
      let subject = EventDraft.subject(of: gap)
      return try !backlog.holds(subject: subject)
        && ledger.entries(of: subject, after: 0, limit: 1).isEmpty
    }
    var unseen = GapDesk.Unseen(gaps: untold)
    if gaps.contains(where: { $0.after < known }) {
      let standing = try backlog.standing(after: ledger.standingAlarms())
      (unseen.alarms, unseen.unrecorded) = core.compare(with: standing)
      for index in unseen.unrecorded.indices {
        let alarm = unseen.unrecorded[index].alarm
        if try backlog.holds(subject: alarm) || ledger.alarm(id: alarm) != nil {
          unseen.unrecorded[index].isKnown = true
        }
      }
    }
    guard !untold.isEmpty || !unseen.alarms.isEmpty || !unseen.unrecorded.isEmpty else {
      return nil
    }
    if !unseen.alarms.isEmpty {
      let names = unseen.alarms.prefix(Self.namedAlarms).map(\.alarm)
      logger.critical(
        """
        alarms stand that nothing watches any more: what raised them is lost with the journal's records; look at \
        these points, and acknowledge the alarms to close them
        """,
        metadata: [
          "count": "\(unseen.alarms.count)", "alarms": "\(names.joined(separator: ", "))",
        ]
      )
    }
    let payload = try JSONEncoder().encode(unseen)
    return DeskInput(kind: .external, desk: GapDesk.name, verb: "unseen", payload: Array(payload))
  }

  /// What tells the desk of hazards that the ledger has open and lost records have kept from it; empty where there are none.
  ///
  /// Those of stations below are theirs.
  func unseenHazards(in ledger: any LedgerStore) throws -> [DeskInput] {
    guard gaps.contains(where: { $0.after < known }) else { return [] }
    var unseen: [Hazard] = []
    var cursor: Int64?
    while true {
      let page = try ledger.hazards(
        HazardFilter(openOnly: true),
        before: cursor,
        limit: Self.hazardPage
      )
      for view in page {
        let entries = try ledger.steps(ofHazard: view.id)
        guard let hazard = try Hazard(replaying: entries), !core.desks.hazards.knows(hazard),
          let first = entries.first?.body, try LedgerJSON(parsing: first)["origin"] == nil
        else { continue }
        unseen.append(hazard)
      }
      guard page.count == Self.hazardPage, let last = page.last else { break }
      cursor = last.firstSequence
    }
    guard !unseen.isEmpty else { return [] }
    logger.critical(
      "hazards are open in the ledger of which the journal has lost records; they go on as the ledger has them",
      metadata: ["count": "\(unseen.count)"]
    )
    return try stride(from: 0, to: unseen.count, by: Self.hazardPage).map { start in
      try HazardDesk.unseen(Array(unseen[start...].prefix(Self.hazardPage)))
    }
  }

  /// Hazards that are read together, and that one input tells of.
  private static let hazardPage = 100

  /// How many of the alarms that nothing watches the log names.
  private static let namedAlarms = 20

  /// Ends shelves and times out of service that may have been ended among lost records (``DoubtedSilences``), by acts as a
  /// person's, so that every later start and replay knows the same and each is told in its alarm's own history.
  ///
  /// A shelf is let run out: an alarm that stands is then annunciated, where un-shelving would leave it acknowledged.
  mutating func endDoubtedSilences(
    at received: Int64,
    in journal: any JournalStore,
    _ ledger: any LedgerStore
  ) throws {
    guard !doubted.isEmpty else { return }
    let standing = try backlog.standing(after: ledger.standingAlarms())
    var ended: [String] = []
    for kind in [DoubtedSilences.Kind.outOfService, .shelf] {
      for (rule, gap) in doubted.rules(kind, standing: standing, known: known) {
        guard var act = core.act(ending: kind, of: rule, at: received) else { continue }
        act.reason =
          "records \(gap.after + 1) to \(gap.through) of the journal are lost, in which it may have been ended"
        ended.append(rule)
        let input = JournalInput(
          kind: .command,
          received: received,
          topic: Array("act".utf8),
          payload: try act.journalPayload()
        )
        try take(input, into: journal, ledger)
      }
    }
    guard !ended.isEmpty else { return }
    logger.critical(
      """
      shelves and times out of service ended: records of the journal are lost in which somebody may have ended them; \
      what is still to be silent has to be set again
      """,
      metadata: [
        "count": "\(ended.count)",
        "rules": "\(ended.prefix(Self.namedAlarms).joined(separator: ", "))",
      ]
    )
  }

  /// Goes on behind records that the journal cannot give back; the loss is an entry of the ledger, here where it has not
  /// come as far, else by ``unseen(by:)``.
  private mutating func passGap(
    before next: UInt64,
    upTo ledgerPosition: UInt64,
    into ledger: any LedgerStore
  ) throws {
    logger.critical(
      "journal records lost: a segment is missing or damaged; `davy verify` names it",
      metadata: ["after": "\(core.position)", "next": "\(next)"]
    )
    let gap = GapDesk.Unseen.Gap(after: core.position, through: next - 1)
    gaps.append(gap)
    doubted.doubt(core.inhibitedByName, before: gap)
    let output = core.passGap(through: next - 1, received: lastReceived)
    guard output.position > ledgerPosition else { return }
    try backlog.add(output, to: ledger)
  }

  /// The records cut where sequences are missing.
  private static func denseRuns(_ records: [JournalRecord]) -> [ArraySlice<JournalRecord>] {
    var runs: [ArraySlice<JournalRecord>] = []
    var start = 0
    for index in records.indices
    where index + 1 == records.count || records[index + 1].sequence != records[index].sequence + 1 {
      runs.append(records[start...index])
      start = index + 1
    }
    return runs
  }

  /// Processes a page, cut where the ledger and the trends stand, so that each gets what it lacks and nothing twice.
  private mutating func commit(
    _ records: [JournalRecord],
    upTo ledgerPosition: UInt64,
    into ledger: any LedgerStore,
    trends: TrendStore?
  ) throws {
    var rest = records[...]
    let cuts = [ledgerPosition, trends?.position ?? 0, .max].sorted()
    for cut in cuts {
      let part = rest.prefix { $0.sequence <= cut }
      rest = rest.dropFirst(part.count)
      guard let first = part.first else { continue }
      let output = core.process(JournalBatch(part.map(\.input)), firstSequence: first.sequence)
      try doubted.follow(output.drafts)
      if first.sequence > ledgerPosition { try backlog.add(output, to: ledger) }
      trends?.add(output, catalog: core.catalog)
    }
  }
}

/// Why a station cannot start from what is on its disk.
public enum RecoveryFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The ledger was committed with inputs that the journal no longer has.
  case journalBehindLedger(journal: UInt64, ledger: UInt64)
  /// What is wrong and what to do.
  public var description: String {
    switch self {
    case .journalBehindLedger(let journal, let ledger):
      """
      the journal ends at \(journal) but the ledger stands at \(ledger): journal files are missing; restore them, \
      or move the ledger away to begin a new one
      """
    }
  }
}
