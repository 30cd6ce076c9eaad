public import DeviceCatalog
import Foundation
public import HazardLedger
import Journal
import Synchronization
public import Telemetry

/// What the edges ask of a running station: its state, and that an act be done.
extension LiveStation {
  /// The catalog in force.
  public var catalog: Catalog { stages.catalog }

  /// Whether this station has had a message ever before it was started: see ``Stages/hasReceived``.
  public var hasReceived: Bool { get throws { try stages.hasReceived } }

  /// How the station does, at this moment.
  public func status() -> StationStatus {
    let counters = stages.counters
    let faults = stages.exchange.faults
    var link = counters.linkReport
    // Readings that come in while no alarm goes out must not look well.
    if link.state == "connected", let refusal = counters.announcer.withLock({ $0.refusal }) {
      link = LinkReport(state: "degraded", reason: "alarm messages are refused: \(refusal)")
    }
    if link.state == "connected", let fault = publishFault {
      link = LinkReport(state: "degraded", reason: fault)
    }
    let behind = counters.clockBehind.load(ordering: .relaxed)
    if link.state == "connected", behind >= ClockWatch.limit {
      link = LinkReport(state: "degraded", reason: ClockWatch.text(behind))
    }
    return StationStatus(
      link: link.state,
      linkReason: link.reason,
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
      catalogVersion: catalog.version,
      damagedSegments: stages.journal.damagedSegments
    )
  }

  /// Why nothing is sent, or nothing gets through, where that has lasted.
  private var publishFault: String? {
    let counters = stages.counters
    let now = clocks.monotonic()
    let links = counters.publishLinks.withLock { $0 }
    for (name, link) in links.sorted(by: { $0.key < $1.key }) {
      if let reason = link.fault(at: now) { return "no connection to send \(name) over: \(reason)" }
    }
    let announcer = counters.announcer.withLock { $0 }
    guard let since = announcer.waitingSince, now - since > Announcer.longestWait else {
      return nil
    }
    let seconds = (now - since) / 1_000
    return "the broker takes no alarm message: \(announcer.waiting) entries wait, for \(seconds) s"
  }

  /// Every counter and gauge in the Prometheus text format.
  public func metrics() -> String {
    let own = MetricsText(
      status: status(),
      counters: stages.counters,
      exchange: stages.exchange,
      trends: stages.trends,
      now: clocks.monotonic()
    ).text
    let engines = MetricsText(stages.engineReport(), inhibited: stages.inhibitedRules()).text
    let more = moreMetrics.withLock { $0 }
    return own + engines + stages.relay.metrics + more.map { $0() }.joined()
  }

  /// Rules that do not annunciate.
  public func inhibitedRules() -> [InhibitedRule] { stages.inhibitedRules() }

  /// How the engines do.
  public func engineReport() -> EngineReport { stages.engineReport() }

  /// Returns as soon as there is news after `cursor`, or after `timeout`.
  public func waitForNews(after cursor: NewsCursor, timeout: Duration) async -> News {
    await stages.exchange.waitForNews(after: cursor, timeout: timeout)
  }

  /// The alarm steps that were announced and that the ledger has not confirmed.
  public var unrecorded: [UnrecordedAnnouncement] { stages.exchange.unrecorded }

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

  /// Puts another catalog in force as ``change(to:)`` does, also where the ledger does not tell of it in time.
  ///
  /// - Returns: the receipt; nil where it is in force and the ledger is still to say so.
  public func putInForce(_ catalog: Catalog) async throws(ActError) -> ActReceipt? {
    do throws(ActError) {
      return try await change(to: catalog)
    } catch {
      guard case .notYetRecorded = error, self.catalog.version == catalog.version else {
        throw error
      }
      return nil
    }
  }

  /// Takes in what came back from outside on a call or message; returns when it is in the ledger.
  public func submit(_ report: CalloutReport) async throws(ActError) -> ActReceipt {
    let receipt = try await submit(DeskInput(report))
    if case .failed = report {
      stages.counters.failedDispatches.wrappingAdd(1, ordering: .relaxed)
    }
    return receipt
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
