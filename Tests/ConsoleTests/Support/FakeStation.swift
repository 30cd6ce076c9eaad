import DeviceCatalog
import HazardLedger
import Station
import Synchronization
import Telemetry
import Testing

/// A station without plant: tests raise alarms in it by hand, and acts change them at once.
final class FakeStation: StationAccess {
  private struct State {
    var announcements: [UnrecordedAnnouncement] = []
    var announced: UInt64 = 0
    var position: UInt64 = 0
    var status = StationStatus(
      link: "connected",
      linkReason: "",
      journalSequence: 0,
      ledgerPosition: 0,
      ledgerHead: 0,
      journalFault: nil,
      ledgerFault: nil,
      lastMessage: nil,
      messages: 0,
      readings: 0,
      rejects: 0,
      started: Timestamp(milliseconds: 1_795_000_000_000),
      catalogVersion: ""
    )
    var acts: [OperatorAct] = []
    var nextError: ActError?
    var nextDeskError: ActError?
  }

  let catalog: Catalog
  let memory = MemoryLedger()
  private let state = Mutex(State())

  var ledger: any LedgerStore { memory }

  init(catalog: Catalog? = nil) throws {
    self.catalog = try catalog ?? #require(Catalog.load(sources: []).catalog)
  }

  func status() -> StationStatus {
    var status = state.withLock { $0.status }
    status.ledgerHead = (try? memory.head.sequence) ?? -1
    status.catalogVersion = catalog.version
    return status
  }

  func metrics() -> String { "# TYPE davy_readings_total counter\ndavy_readings_total 7\n" }

  var unrecorded: [UnrecordedAnnouncement] {
    let entries = (try? memory.entries(after: 0, limit: 100_000)) ?? []
    let recorded = Set(entries.compactMap(\.body))
    return state.withLock { state in
      state.announcements.filter { !recorded.contains($0.body) }
    }
  }

  func waitForNews(after cursor: NewsCursor, timeout: Duration) async -> News {
    func announced() -> [UnrecordedAnnouncement] {
      state.withLock { state in state.announcements.filter { $0.number > cursor.unrecorded } }
    }
    await memory.bell.wait(timeout: timeout) {
      memory.newest > cursor.ledger || !announced().isEmpty
    }
    return News(ledgerHead: memory.newest, unrecorded: announced())
  }

  func report(
    _ period: PlantReport.Period,
    scope: LedgerScope
  ) async throws -> PlantReport {
    try PlantReport(
      period,
      catalog: catalog,
      trends: nil,
      ledger: ledger,
      scope: scope,
      now: Timestamp(milliseconds: period.to)
    )
  }

  func submit(_ input: DeskInput) async throws(ActError) -> ActReceipt {
    guard input.desk == "accounts", let body = try? JSONValue(parsing: input.payload),
      let actor = body["actor"]?.text, let account = body["account"]?.text
    else { throw .refused("this station has no such desk", code: "desk") }
    if let error = state.withLock({ state in
      defer { state.nextDeskError = nil }
      return state.nextDeskError
    }) {
      throw error
    }
    let sequence = append(
      LedgerDraft(
        time: Timestamp(milliseconds: 5),
        kind: input.verb == "change" ? .register : .system,
        subject: "account:" + account,
        actor: actor,
        body: input.payload,
        origin: 1
      )
    )
    return ActReceipt(journalSequence: UInt64(sequence), ledgerSequence: sequence)
  }

  func submit(_ act: OperatorAct) async throws(ActError) -> ActReceipt {
    let error = state.withLock { state in
      state.acts.append(act)
      defer { state.nextError = nil }
      return state.nextError
    }
    if let error { throw error }
    guard let alarm = try? memory.alarm(id: act.alarm) else {
      throw .unknownAlarm("no alarm \(act.alarm) stands")
    }
    let step: (AlarmBody.Event, AlarmBody.State)
    switch (act.kind, alarm.state) {
    case (.acknowledge, .unacknowledged): step = (.acknowledged, .acknowledged)
    case (.acknowledge, .returnedUnacknowledged): step = (.acknowledged, .normal)
    case (.shelve, .unacknowledged), (.shelve, .acknowledged): step = (.shelved, .shelved)
    case (.unshelve, .shelved): step = (.unshelved, .acknowledged)
    case (.removeFromService, _): step = (.removedFromService, .outOfService)
    default: throw .notApplicable("\(act.kind.rawValue) does not apply to \(alarm.state.rawValue)")
    }
    let sequence = self.step(
      alarm.point,
      rule: alarm.rule,
      onset: alarm.onset,
      step.0,
      step.1,
      previous: alarm.state,
      actor: act.actor,
      reason: act.reason,
      until: act.until
    )
    return ActReceipt(journalSequence: UInt64(sequence), ledgerSequence: sequence)
  }

  func latestReadings() -> [LatestReading?] {
    [
      LatestReading(
        time: Timestamp(milliseconds: 1_000),
        received: Timestamp(milliseconds: 1_200),
        value: 1.5,
        status: .normal
      ), nil,
    ]
  }

  func trend(
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) async throws(TrendError) -> [TrendBucket] {
    guard point == "acme/plant/tanks/T-101/level" else { throw .unknownPoint(point) }
    var bucket = TrendBucket(time: from, value: 3)
    bucket.add(time: from.advanced(byMilliseconds: 500), value: 9.25)
    return [bucket]
  }

  func readings(
    point: String,
    through sequence: UInt64,
    limit: Int
  ) async throws(TrendError) -> [RecordedReading] {
    guard point == "acme/plant/tanks/T-101/level" else { throw .unknownPoint(point) }
    return (1...min(sequence, UInt64(limit))).map { number in
      RecordedReading(
        reading: LatestReading(
          time: Timestamp(milliseconds: Int64(number) * 1_000),
          received: Timestamp(milliseconds: Int64(number) * 1_000 + 20),
          value: Double(number),
          status: number == 1 ? .sensorFault : .normal
        ),
        sequence: number,
        topic: "plant/T-101"
      )
    }
  }

  func recentReadings(channels: [Int], after: Timestamp) -> [[LatestReading]] {
    channels.map { channel in
      latestReadings()[channel].map { $0.received > after ? [$0] : [] } ?? []
    }
  }

  func deviceHours() -> DeviceHours { DeviceHours(catalog) }

  func recordedCatalog(at sequence: UInt64) throws(BacktestError) -> Catalog {
    guard sequence == 1 else { throw .noCatalog(sequence: sequence) }
    return catalog
  }

  /// A run that finds what stands in the ledger.
  func backtest(
    _ plan: BacktestPlan,
    progress: (Double) -> Bool
  ) throws(BacktestError) -> BacktestOutcome {
    guard progress(0.5) else { throw .cancelled }
    do {
      let (alarms, left) = try Backtest.alarms(of: memory, plan.onsets)
      return BacktestOutcome(
        alarms: alarms,
        left: left,
        sequences: 1...7,
        messages: 7,
        readings: 21,
        rejects: 1,
        headHash: Array(repeating: 0xAB, count: 32)
      )
    } catch {
      throw .failed("\(error)")
    }
  }

  // MARK: What tests do

  /// The acts that were submitted.
  var acts: [OperatorAct] { state.withLock { $0.acts } }

  /// Lets the next act end in an error.
  func refuseNextAct(_ error: ActError) {
    state.withLock { $0.nextError = error }
  }

  /// Lets the next input of a desk end in an error.
  func refuseNextDeskInput(_ error: ActError) {
    state.withLock { $0.nextDeskError = error }
  }

  /// Changes the status.
  func change(_ change: (inout StationStatus) -> Void) {
    state.withLock { change(&$0.status) }
  }

  /// Announces a step that is not in the ledger.
  func announceUnrecorded(_ body: AlarmBody) {
    state.withLock { state in
      state.announced += 1
      state.announcements.append(
        UnrecordedAnnouncement(number: state.announced, body: body.encoded())
      )
    }
    memory.bell.ring()
  }

  /// Raises an alarm; returns its id.
  @discardableResult
  func raise(
    _ point: String = "acme/plant/tanks/T-101/level",
    rule: String = "HH",
    onset: Int64 = 1_000,
    priority: Int = 4
  ) -> String {
    step(
      point,
      rule: rule,
      onset: Timestamp(milliseconds: onset),
      .raised,
      .unacknowledged,
      previous: .normal,
      priority: priority
    )
    return AlarmBody.alarmID(point: point, rule: rule, onset: Timestamp(milliseconds: onset))
  }

  /// Writes an entry that is no alarm's.
  func note(_ kind: EntryKind = .system) {
    append(
      LedgerDraft(
        time: Timestamp(milliseconds: 1),
        kind: kind,
        subject: "clock",
        actor: "engine",
        body: Array("{}".utf8),
        origin: 1
      )
    )
  }

  /// Writes a step of an alarm.
  @discardableResult
  func step(
    _ point: String,
    rule: String,
    onset: Timestamp,
    _ event: AlarmBody.Event,
    _ after: AlarmBody.State,
    previous: AlarmBody.State,
    priority: Int = 4,
    actor: String = "",
    reason: String = "",
    until: Timestamp? = nil
  ) -> Int64 {
    let body = AlarmBody(
      point: point,
      rule: rule,
      onset: onset,
      event: event,
      state: after,
      previous: previous,
      priority: priority,
      value: 91.3,
      limit: 85,
      unit: "%",
      received: onset,
      cause: 1,
      catalog: catalog.version,
      actor: actor,
      reason: reason,
      until: until
    )
    return append(LedgerDraft(alarm: body, time: onset, origin: 1))
  }

  /// Counts refusals.
  func reject(_ tally: RejectTally) {
    let position = nextPosition()
    do {
      try memory.append([], rejects: [tally], position: position)
    } catch {
      fatalError("the memory ledger takes everything")
    }
  }

  @discardableResult
  private func append(_ draft: LedgerDraft) -> Int64 {
    do {
      return try memory.append([draft], rejects: [], position: nextPosition())?.lowerBound ?? 0
    } catch {
      fatalError("the memory ledger takes everything")
    }
  }

  private func nextPosition() -> UInt64 {
    state.withLock { state in
      state.position += 1
      return state.position
    }
  }
}
