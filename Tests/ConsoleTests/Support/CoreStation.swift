import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Synchronization
import Telemetry
import Testing

/// A station with the real core and a ledger in memory: what is submitted is evaluated and recorded at once.
final class CoreStation: StationAccess, @unchecked Sendable {
  let catalog: Catalog
  let memory = MemoryLedger()
  /// Guards `core` and `now`.
  private let lock = NSLock()
  private let core = StationCore()
  private var now: Int64
  private var newest: [LatestReading?]
  let welding: WeldingBoard?

  var ledger: any LedgerStore { memory }
  var duty: DutyBoard? { lock.withLock { core.duty } }
  var channels: ChannelBoard? { lock.withLock { core.channels } }
  var relay: RelayBoard? { core.relay }

  static let response = """
    people: {duty: {name: 值班员, phone: "+86-1"}, night: {name: 夜班, role: 值班员}}
    rosters:
      county:
        shifts: [{days: [mon, fri], from: "08:00", to: "20:00", persons: [duty]}]
        fallback: [night]
    chains:
      county:
        levels:
          - {name: {zh: 县, en: County}, persons: [duty], attempts: 2, interval: 60s}
    situations:
      red: {name: {zh: 红色报警, en: Red alarm}, when: {priority: red}, chain: county}
    hazards: [{immediate-from: red}]
    reports: {leak: {when: {priority: red}, within: 1h}}
    """

  /// Files of the repository as sources of a catalog.
  static func files(_ paths: [String]) throws -> [(path: String, text: String)] {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try paths.map { path in
      (path, try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8))
    }
  }

  /// The methane site, as a live one.
  convenience init() throws {
    var sources = try Self.files(["devices/research/fence-line-methane.yaml"])
    for site in try Self.files(["config/sites/methane-demo.yaml"]) {
      sources.append(
        (
          "sites/methane-demo.yaml",
          site.text.replacing("replay-source: true", with: "replay-source: false")
        )
      )
    }
    try self.init(sources: sources)
  }

  /// A station of these files and the response file above.
  ///
  /// - Parameters:
  ///   - sources: profiles and sites.
  ///   - start: when it begins, ms since the Unix epoch; nil an hour ago.
  ///   - response: another response file.
  /// - Throws: what is wrong with the files.
  init(
    sources: [(path: String, text: String)],
    from start: Int64? = nil,
    response: String = CoreStation.response
  ) throws {
    let sources = [(path: "response/response.yaml", text: response)] + sources
    let result = Catalog.load(sources: sources)
    catalog = try #require(result.catalog, "\(result.findings.filter { $0.severity == .error })")
    // Each input comes a second after the last: begun an hour ago, none lies ahead.
    now = start ?? Int64(Date().timeIntervalSince1970 * 1_000) - 3_600_000
    newest = [LatestReading?](repeating: nil, count: catalog.channels.count)
    welding = core.welding
    struct Payload: Encodable {
      struct Source: Encodable {
        var path: String
        var text: String
      }
      var level = RulesLevel.newest.rawValue
      var sources: [Source]
    }
    let payload = Payload(
      sources: catalog.sources.map { Payload.Source(path: $0.path, text: $0.text) }
    )
    try feed(.catalog, "catalog", Array(try JSONEncoder().encode(payload)))
  }

  /// Processes one input a second after the last, or at a moment.
  @discardableResult
  func feed(
    _ kind: JournalInput.Kind,
    _ topic: String,
    _ payload: [UInt8],
    at time: Int64? = nil
  ) throws -> (output: CoreOutput, first: Int64) {
    try lock.withLock {
      now = time ?? now + 1_000
      let input = JournalInput(
        kind: kind,
        received: now,
        topic: Array(topic.utf8),
        payload: payload
      )
      let output = core.process(JournalBatch([input]), firstSequence: core.position + 1)
      for entry in output.latest { newest[entry.channel] = entry.reading }
      let range = try memory.append(
        output.drafts,
        rejects: output.rejects,
        position: output.position
      )
      return (output, range?.lowerBound ?? 0)
    }
  }

  /// A reading of a sensor; 25 is a plume.
  func reading(_ value: Double, device: String = "ch4_n") throws {
    let time = lock.withLock { now }
    try feed(
      .message,
      "davy/v1/metec/gw-1/readings",
      Array(#"{"device":"\#(device)","point":"ch4","t":\#(time),"v":\#(value)}"#.utf8)
    )
  }

  /// A message as a gateway publishes it.
  func message(_ topic: String, _ payload: String, at time: Int64? = nil) throws {
    try feed(.message, topic, Array(payload.utf8), at: time)
  }

  func submit(_ input: DeskInput) async throws(ActError) -> ActReceipt {
    let kind: JournalInput.Kind =
      switch input.kind {
      case .command: .command
      case .register: .register
      case .external: .external
      }
    let fed: (output: CoreOutput, first: Int64)
    do {
      fed = try feed(kind, "\(input.desk)/\(input.verb)", input.payload)
    } catch {
      throw .incomplete("\(error)")
    }
    guard let act = fed.output.acts.last else { throw .incomplete("no outcome") }
    if let refusal = act.refusal { throw refusal }
    return ActReceipt(
      journalSequence: act.sequence,
      ledgerSequence: fed.first + Int64(act.draftIndex)
    )
  }

  func submit(_ act: OperatorAct) async throws(ActError) -> ActReceipt {
    throw .unknownAlarm(act.alarm)
  }

  func status() -> StationStatus {
    StationStatus(
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
      started: Timestamp(milliseconds: 0),
      catalogVersion: catalog.version
    )
  }

  func metrics() -> String { "" }

  var unrecorded: [UnrecordedAnnouncement] { [] }

  func waitForNews(after cursor: NewsCursor, timeout: Duration) async -> News {
    // It has to wait as a station does: whoever follows would otherwise never leave the processor.
    await memory.bell.wait(timeout: timeout) { memory.newest > cursor.ledger }
    return News(ledgerHead: memory.newest, unrecorded: [])
  }

  func latestReadings() -> [LatestReading?] { lock.withLock { newest } }

  func trend(
    point: String,
    from: Timestamp,
    to: Timestamp,
    buckets: Int
  ) async throws(TrendError) -> [TrendBucket] {
    throw .unknownPoint(point)
  }

  // It has no trends, no journal and no reports.

  func report(_ period: PlantReport.Period, scope: LedgerScope) async throws -> PlantReport {
    throw TrendError.unreadable("no reports here")
  }

  func readings(
    point: String,
    through sequence: UInt64,
    limit: Int
  ) async throws(TrendError) -> [RecordedReading] {
    throw .unknownPoint(point)
  }

  func recentReadings(channels: [Int], after: Timestamp) -> [[LatestReading]] {
    channels.map { _ in [] }
  }

  func deviceHours() -> DeviceHours { DeviceHours(catalog) }

  func recordedCatalog(at sequence: UInt64) throws(BacktestError) -> Catalog {
    throw .noCatalog(sequence: sequence)
  }

  func backtest(
    _ plan: BacktestPlan,
    progress: (Double) -> Bool
  ) throws(BacktestError) -> BacktestOutcome {
    throw .failed("no journal here")
  }
}
