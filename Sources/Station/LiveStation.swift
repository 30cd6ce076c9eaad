public import DeviceCatalog
import Foundation
public import HazardLedger
import Journal
public import Logging
import Synchronization
public import Telemetry

/// One running plant: intake → journal → engine → ledger → streams, on a thread each.
///
/// Threads and what they own: *intake* the broker link and the sequencer; *journal* the commits; *engine* the
/// ``StationCore``; *ledger* the ledger's writes and the snapshots; *announcer* what goes out by MQTT. They meet in
/// the ``Exchange`` only. Stopping is orderly but nothing depends on it: the start after it is the start after a crash.
public final class LiveStation: StationAccess {
  /// The ledger; edges only read it.
  public let ledger: any LedgerStore
  private let stages: Stages
  private let clocks: any StationClocks
  private let logger: Logger
  private let started: Timestamp
  private let toEngine: BatchQueue
  private let toJournal: BatchQueue
  private let threads = ThreadGroup()
  /// Monotonic milliseconds at which the threads that never wait for a disk last showed that they go on.
  private let intakePulse = Atomic<Int64>(0)
  private let enginePulse = Atomic<Int64>(0)
  private let archiveReader = ArchiveReader()
  private let moreMetrics: Mutex<[@Sendable () -> String]> = Mutex([])
  private let onFenced: @Sendable () -> Void

  /// Wraps stages that have recovered; nothing runs before ``start(link:publisher:)``.
  ///
  /// - Parameters:
  ///   - stages: the stages.
  ///   - clocks: the clocks.
  ///   - logger: where failures go.
  ///   - onFenced: is called when another station has taken the ledger over; this one must end.
  public init(
    stages: Stages,
    clocks: any StationClocks,
    logger: Logger,
    onFenced: @escaping @Sendable () -> Void = {}
  ) {
    self.stages = stages
    self.onFenced = onFenced
    self.clocks = clocks
    self.logger = logger
    ledger = stages.ledger
    started = Timestamp(milliseconds: clocks.wall())
    toEngine = BatchQueue(limits: stages.limits)
    toJournal = BatchQueue(limits: stages.limits)
  }

  /// Starts the threads.
  ///
  /// - Parameters:
  ///   - makeLink: makes the broker link on the intake thread, which alone uses it.
  ///   - announcer: publishes what is new; nil publishes nothing.
  ///   - answers: sends what desks have to say; nil sends nothing.
  public func start(
    makeLink: @escaping @Sendable () -> any IntakeLink,
    announcer: Announcer?,
    answers: AnswerSender? = nil
  ) {
    threads.run("davy-intake") { self.intake(makeLink()) }
    threads.run("davy-journal") { self.commitJournal() }
    threads.run("davy-engine") { self.evaluate() }
    threads.run("davy-ledger") { self.commitLedger() }
    threads.run("davy-announce") { self.announce(announcer) }
    if let trends = stages.trends { threads.run("davy-trends") { self.keep(trends) } }
    threads.run("davy-answers") { self.sendAnswers(answers) }
  }

  /// Stops the threads and waits for them.
  ///
  /// What was polled and not yet committed stays with the broker.
  public func stop() {
    stages.exchange.stop()
    toEngine.close()
    toJournal.close()
    threads.join()
    stages.refuseInbox()
  }

  // MARK: - Threads

  private func intake(_ link: any IntakeLink) {
    defer { link.stop() }
    let exchange = stages.exchange
    var taken = exchange.durable
    var acknowledged = taken
    while !exchange.isStopping {
      intakePulse.store(clocks.monotonic(), ordering: .relaxed)
      if taken > acknowledged {
        let newest = taken
        exchange.wait(.intake, milliseconds: Self.commitPatience) {
          exchange.durable < newest && !exchange.isStopping
        }
        if exchange.durable >= taken {
          link.acknowledge()
          acknowledged = taken
        } else {
          // The disk is slow or dead. Reading goes on, so that alarms go out; acknowledgements do not.
          link.keepAlive()
        }
      }
      guard toEngine.hasRoom, toJournal.hasRoom,
        exchange.waitingDrafts < stages.limits.waitingDrafts
      else {
        // Back-pressure ends here: nothing is read, so nothing more is acknowledged.
        link.keepAlive()
        exchange.wait(.intake, milliseconds: 20) { !exchange.isStopping }
        continue
      }
      let collected = stages.collect(
        from: link,
        timeoutMilliseconds: taken > acknowledged ? 0 : pollTimeout(),
        clock: clocks.wall
      )
      guard let batch = collected else { continue }
      if toEngine.isEmpty { enginePulse.store(clocks.monotonic(), ordering: .relaxed) }
      toEngine.push(batch)
      toJournal.push(batch)
      taken = batch.lastSequence
    }
    // What has become durable meanwhile need not come again.
    if taken > acknowledged, exchange.durable >= taken { link.acknowledge() }
  }

  /// How long a commit may take, in milliseconds, before reading goes on without it.
  private static let commitPatience = 50

  private func pollTimeout() -> Int {
    guard let deadline = stages.counters.deadline else { return 20 }
    return Int(min(20, max(1, deadline - clocks.wall())))
  }

  private func commitJournal() {
    while let batch = toJournal.pop() {
      while !stages.exchange.isStopping {
        do {
          try stages.commit(batch)
          break
        } catch {
          logger.error(
            "journal does not take the commit; acknowledgements are withheld",
            metadata: ["error": "\(error)"]
          )
          pause()
        }
      }
    }
  }

  private func evaluate() {
    while let batch = toEngine.pop() {
      enginePulse.store(clocks.monotonic(), ordering: .relaxed)
      stages.evaluate(batch, at: clocks.monotonic())
      enginePulse.store(clocks.monotonic(), ordering: .relaxed)
    }
  }

  private func commitLedger() {
    let exchange = stages.exchange
    var lastPosition = clocks.monotonic()
    while !exchange.isStopping {
      do {
        let isDue = clocks.monotonic() - lastPosition >= 1_000
        if try stages.record(isUrgent: isDue) {
          lastPosition = clocks.monotonic()
        } else {
          exchange.wait(.ledger, milliseconds: 20) {
            !exchange.hasReadyDrafts && !exchange.isStopping
          }
        }
        stages.signCheckpoint(at: clocks.wall())
      } catch let error as LedgerError {
        if case .fenced = error {
          // Whatever this station would still do, another does it now.
          logger.critical("the ledger is another station's now", metadata: ["error": "\(error)"])
          onFenced()
          return
        }
        logger.error("ledger does not take the commit", metadata: ["error": "\(error)"])
        pause()
      } catch {
        logger.error("ledger does not take the commit", metadata: ["error": "\(error)"])
        pause()
      }
    }
  }

  private func announce(_ announcer: Announcer?) {
    let exchange = stages.exchange
    var feedback = FeedbackWriter()
    while !exchange.isStopping {
      let (overdue, calls) = exchange.announceOverdue(
        at: clocks.monotonic(),
        limit: stages.limits.unrecordedAfter
      )
      stages.deliver(calls)
      stages.counters.unrecorded.add(UInt64(overdue.count), ordering: .relaxed)
      if !overdue.isEmpty {
        logger.critical(
          "alarms announced unrecorded: their commit has not returned",
          metadata: ["count": "\(overdue.count)"]
        )
      }
      let sent =
        announcer?.work(
          unrecorded: overdue,
          exchange: exchange,
          ledger: ledger,
          at: clocks.monotonic()
        ) ?? 0
      stages.counters.published.add(UInt64(sent), ordering: .relaxed)
      if let faults = announcer?.faults { stages.counters.announcer.withLock { $0 = faults } }
      let answered = answer(announcer, &feedback)
      if sent == 0, !answered {
        let head = exchange.head
        exchange.wait(.announcer, milliseconds: 20) {
          exchange.head == head && !exchange.hasOutgoing && !exchange.isStopping
        }
      }
    }
    announcer?.finish()
  }

  /// Sends replies of the formats and tells gateways what was refused; false when there was nothing.
  private func answer(_ announcer: Announcer?, _ feedback: inout FeedbackWriter) -> Bool {
    let outgoing = stages.exchange.takeOutgoing()
    guard !outgoing.messages.isEmpty || !outgoing.rejects.isEmpty else { return false }
    guard let announcer else { return true }
    let counters = stages.counters
    counters.addReplies(announcer.send(outgoing.messages), of: outgoing.messages.count)
    let words = feedback.messages(
      for: outgoing.rejects,
      catalog: catalog,
      at: clocks.monotonic()
    )
    counters.addFeedback(announcer.send(words), of: words.count, heldBack: feedback.heldBack)
    return true
  }

  private func keep(_ trends: TrendStore) {
    let exchange = stages.exchange
    var isTold = false
    var lastPrune = clocks.monotonic()
    func sleep(_ milliseconds: Int64, while isIdle: () -> Bool) {
      let end = clocks.monotonic() + milliseconds
      while !exchange.isStopping, clocks.monotonic() < end, isIdle() {
        exchange.wait(.patient, milliseconds: 500) { !exchange.isStopping && isIdle() }
      }
    }
    while true {
      sleep(Self.trendPeriod) { true }
      trends.seal()
      sleep(Self.trendPeriod) { exchange.durable < trends.sealedPosition }
      do {
        try trends.write(durable: exchange.durable)
        if clocks.monotonic() - lastPrune > 3_600_000 {
          try trends.prune(now: exchange.received)
          lastPrune = clocks.monotonic()
        }
        isTold = false
      } catch {
        if !isTold { logger.error("trends not written", metadata: ["error": "\(error)"]) }
        isTold = true
      }
      if exchange.isStopping { return }
    }
  }

  /// How long readings stay in memory before their minutes are written, in milliseconds.
  private static let trendPeriod: Int64 = 15_000

  private func sendAnswers(_ sender: AnswerSender?) {
    let exchange = stages.exchange
    while !exchange.isStopping {
      let now = clocks.monotonic()
      let limit = stages.limits.unrecordedAfter
      // Without a sender they are taken all the same: nothing may pile up.
      let sent =
        sender?.work(exchange: exchange, at: now, limit: limit)
        ?? exchange.takeAnswers(at: now, limit: limit).count
      if let counts = sender?.counts { stages.counters.answers.withLock { $0 = counts } }
      if sent == 0 {
        exchange.wait(.answers, milliseconds: 20) { !exchange.hasAnswers && !exchange.isStopping }
      }
    }
  }

  private func pause() {
    stages.exchange.wait(.patient, milliseconds: Int(stages.limits.retryDelay)) {
      !stages.exchange.isStopping
    }
  }

  /// How long intake or engine, the two that never wait for a disk, have shown no sign of life, in milliseconds; what a
  /// watchdog asks.
  ///
  /// An engine without work is well. A dead disk does not count: with it the station still announces.
  public var stillMilliseconds: Int64 {
    let now = clocks.monotonic()
    let intake = now - intakePulse.load(ordering: .relaxed)
    let engine = toEngine.isEmpty ? 0 : now - enginePulse.load(ordering: .relaxed)
    return max(intake, engine)
  }

  // MARK: - StationAccess

  /// The catalog in force.
  public var catalog: Catalog { stages.catalog }

  /// How the station does, at this moment.
  public func status() -> StationStatus {
    let counters = stages.counters
    let faults = stages.exchange.faults
    return StationStatus(
      link: counters.linkReport.state,
      linkReason: counters.linkReport.reason,
      journalSequence: stages.exchange.durable,
      ledgerPosition: stages.exchange.position,
      ledgerHead: stages.exchange.head,
      journalFault: faults.journal,
      ledgerFault: faults.ledger,
      lastMessage: counters.newestMessage,
      messages: counters.messageCount,
      readings: counters.readingCount,
      rejects: counters.rejectCount,
      started: started,
      catalogVersion: catalog.version
    )
  }

  /// Every counter and gauge in the Prometheus text format.
  public func metrics() -> String {
    let own = StationMetrics(
      status: status(),
      counters: stages.counters,
      exchange: stages.exchange,
      trends: stages.trends
    ).text
    let engines = EngineMetrics(stages.engineReport(), inhibited: stages.inhibitedRules()).text
    let more = moreMetrics.withLock { $0 }
    return own + engines + (stages.relay?.metrics ?? "") + more.map { $0() }.joined()
  }

  /// Rules that do not annunciate.
  public func inhibitedRules() -> [InhibitedRule] { stages.inhibitedRules() }

  /// How the engines do.
  public func engineReport() -> EngineReport { stages.engineReport() }

  /// Returns as soon as there is news after `cursor`, or after `timeout`.
  public func waitForNews(after cursor: NewsCursor, timeout: Duration) async -> News {
    await stages.exchange.waitForNews(after: cursor, timeout: timeout)
  }

  /// Puts an act into the inputs; returns when its outcome is in the ledger.
  public func submit(_ act: OperatorAct) async throws(ActError) -> ActReceipt {
    try await outcome(of: try stages.enqueue(act))
  }

  /// Puts an input of a desk into the inputs; returns when its outcome is in the ledger.
  public func submit(_ input: DeskInput) async throws(ActError) -> ActReceipt {
    try await outcome(of: try stages.enqueue(input))
  }

  /// Puts another catalog in force; returns when the ledger says so.
  ///
  /// Channels and rules that are in both keep their state, and standing alarms are not raised again.
  public func change(to catalog: Catalog) async throws(ActError) -> ActReceipt {
    try await outcome(of: try stages.enqueue(catalog))
  }

  /// Takes in what came back from outside on a call or message; returns when it is in the ledger.
  public func submit(_ report: CalloutReport) async throws(ActError) -> ActReceipt {
    try await submit(DeskInput(report))
  }

  private func outcome(of ticket: ActTicket) async throws(ActError) -> ActReceipt {
    let timeout = stages.limits.actTimeout
    let exchange = stages.exchange
    let alarm = Task {
      try await Task.sleep(for: timeout)
      ticket.resolve(.failure(.notYetRecorded(journalSequence: exchange.durable)))
    }
    defer { alarm.cancel() }
    return try await ticket.outcome().get()
  }

  /// The welding desk.
  public var welding: WeldingBoard? { stages.welding }

  /// Who is on duty.
  public var duty: DutyBoard? { stages.duty }

  /// What people have changed of the call-out channels.
  public var channels: ChannelBoard? { stages.channels }

  /// The stations below this one.
  public var relay: RelayBoard? { stages.relay }

  /// Adds figures of a part that runs beside the station to ``metrics()``; they are in the Prometheus text format.
  public func addMetrics(_ source: @escaping @Sendable () -> String) {
    moreMetrics.withLock { $0.append(source) }
  }

  /// The newest reading of each channel.
  public func latestReadings() -> [LatestReading?] { stages.latestReadings() }

  /// Readings of a point, reduced to at most `buckets` buckets: from memory where it reaches back far enough, else
  /// from the journal.
  public func trend(
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) async throws(TrendError) -> [TrendBucket] {
    let catalog = catalog
    guard let channel = catalog.channelRow(ofPoint: point) else {
      return try Self.foreign(stages.trends, point: point, from: from, to: to, buckets: buckets)
    }
    var (readings, covers) = stages.recentReadings(channel: channel)
    guard covers.map({ $0 > from }) ?? true else {
      return TrendBucket.reduce(readings, from: from, to: to, buckets: buckets)
    }
    // Where a bucket is a minute or wider, minutes say as much as readings do.
    let width = to.milliseconds(since: from) / Int64(max(1, buckets))
    if let trends = stages.trends, width >= MinuteReduction.length {
      return try Self.minutes(trends, readings, point: point, from: from, to: to, buckets: buckets)
    }
    let archive = JournalReadings(journal: stages.journal, catalog: catalog)
    let old = try await archiveReader.readings(
      archive,
      channel: channel,
      catalog: catalog.version,
      from: from,
      to: to,
      now: clocks.monotonic()
    )
    // What is in the journal already is not taken from memory again.
    let known = Set(old.map { ReadingKey($0.reading) })
    readings = (old.map(\.reading) + readings.filter { !known.contains(ReadingKey($0)) }).byTime()
    return TrendBucket.reduce(readings, from: from, to: to, buckets: buckets)
  }

  /// Minutes of a point that is not in the catalog: one of a station below, or one of before a change.
  private static func foreign(
    _ trends: TrendStore?,
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) throws(TrendError) -> [TrendBucket] {
    do {
      if let trends, try trends.knows(point: point) {
        return TrendBucket.reduce(
          try trends.minutes(of: point, from: from, to: to).map(TrendBucket.init(minute:)),
          from: from,
          to: to,
          buckets: buckets
        )
      }
    } catch {
      throw .unreadable("\(error)")
    }
    throw .unknownPoint(point)
  }

  /// What memory no longer holds comes from the minutes, up to the first whole minute that it does hold.
  private static func minutes(
    _ trends: TrendStore,
    _ recent: [LatestReading],
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) throws(TrendError) -> [TrendBucket] {
    let seam = recent.first.map { first in
      Timestamp(
        milliseconds: MinuteReduction.minute(of: first.time.milliseconds) &+ MinuteReduction.length
      )
    }
    do {
      let minutes = try trends.minutes(of: point, from: from, to: min(to, seam ?? to))
      return TrendBucket.reduce(
        minutes.map(TrendBucket.init(minute:))
          + recent.lazy.filter { reading in seam.map { reading.time >= $0 } ?? false }
          .map(TrendBucket.init(reading:)),
        from: from,
        to: to,
        buckets: buckets
      )
    } catch {
      throw .unreadable("\(error)")
    }
  }

  /// The newest readings of a point up to a journal sequence.
  public func readings(
    point: String,
    through sequence: UInt64,
    limit: Int
  ) async throws(TrendError) -> [RecordedReading] {
    let catalog = catalog
    guard let channel = catalog.channelRow(ofPoint: point) else { throw .unknownPoint(point) }
    let archive = JournalReadings(journal: stages.journal, catalog: catalog)
    return try await archiveReader.run { () throws(TrendError) in
      try archive.readings(channel: channel, through: sequence, limit: limit)
    }
  }

  /// Readings of channels received after a moment, as far as they are kept in memory.
  public func recentReadings(channels: [Int], after: Timestamp) -> [[LatestReading]] {
    stages.recentReadings(channels: channels, after: after)
  }

  /// How much came from each device in each of the last hours.
  public func deviceHours() -> DeviceHours { stages.deviceHours() }

  /// The catalog that a journal record put in force.
  public func recordedCatalog(at sequence: UInt64) throws(BacktestError) -> Catalog {
    try Backtest(journal: stages.journal).catalog(at: sequence)
  }

  /// Runs recorded inputs once more, under other rules, beside the station.
  public func backtest(
    _ plan: BacktestPlan,
    progress: (Double) -> Bool
  ) throws(BacktestError) -> BacktestOutcome {
    try Backtest(journal: stages.journal).run(plan, progress: progress)
  }

  /// The report of a day or month.
  public func report(
    _ period: PlantReport.Period,
    scope: LedgerScope
  ) async throws -> PlantReport {
    let stages = stages
    let now = Timestamp(milliseconds: clocks.wall())
    return try await withCheckedThrowingContinuation { continuation in
      // It reads two databases for seconds where there are many points: not on the threads that serve everybody.
      Thread.detachNewThread {
        continuation.resume(
          with: Result {
            try PlantReport(
              period,
              catalog: stages.catalog,
              trends: stages.trends,
              ledger: stages.ledger,
              scope: scope,
              now: now
            )
          }
        )
      }
    }
  }
}

/// What tells one reading of a channel from another.
private struct ReadingKey: Hashable {
  var time: Timestamp
  var received: Timestamp
  var value: UInt64

  init(_ reading: LatestReading) {
    time = reading.time
    received = reading.received
    value = reading.value.bitPattern
  }
}
