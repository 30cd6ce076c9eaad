import Console
import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Logging
import ServiceLifecycle
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// A folder of its own for one test, removed when the value goes.
final class Scratch: Sendable {
  let path: String

  init() throws {
    let base =
      FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    path = base + "/davy-relay-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }
}

let quiet: Logger = {
  var logger = Logger(label: "test")
  logger.logLevel = .critical
  return logger
}()

enum Site {
  static var root: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
  }

  /// The methane site with the one profile that it needs, live.
  static func catalog() throws -> Catalog {
    func text(_ path: String) throws -> String {
      try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }
    let site = try text("config/sites/methane-demo.yaml")
      .replacing("replay-source: true", with: "replay-source: false")
    let profile = "devices/research/fence-line-methane.yaml"
    let result = Catalog.load(sources: [
      (profile, try text(profile)), ("sites/methane-demo.yaml", site),
    ])
    return try #require(
      result.catalog,
      "\(result.findings.filter { $0.severity == .error })"
    )
  }
}

/// A ledger of a station below, filled by hand.
final class Lower: Sendable {
  let ledger: SQLiteLedger
  private let position = Mutex<UInt64>(0)

  init(_ path: String, station: String = "county") throws {
    ledger = try SQLiteLedger(path: path, station: station)
    let last = try ledger.position
    position.withLock { $0 = last }
  }

  /// Adds one step of an alarm, and a system entry that nobody above asks for.
  @discardableResult
  func raise(_ number: Int, _ event: AlarmBody.Event = .raised) throws -> AlarmBody {
    let time = Timestamp(milliseconds: 1_760_000_000_000 + Int64(number) * 1_000)
    let body = AlarmBody(
      point: "acme/plant/tanks/T-\(number % 7)/level",
      rule: "H",
      onset: time,
      event: event,
      state: event == .raised ? .unacknowledged : .normal,
      previous: event == .raised ? .normal : .unacknowledged,
      priority: 3,
      value: 12.345 + Double(number),
      limit: 10,
      unit: "%",
      received: time,
      cause: UInt64(number)
    )
    try append { origin in
      [
        LedgerDraft(alarm: body, time: time, origin: origin),
        LedgerDraft(
          time: time,
          kind: .system,
          subject: "",
          actor: "engine",
          body: Array(#"{"event":"source.birth"}"#.utf8),
          origin: origin
        ),
      ]
    }
    return body
  }

  func append(_ drafts: (UInt64) -> [LedgerDraft]) throws {
    let origin = position.withLock { position in
      position += 1
      return position
    }
    try ledger.append(drafts(origin), position: origin)
  }
}

/// The stages of a station on the methane site, in memory but for ledger and trends.
func stages(_ scratch: Scratch, trends: TrendStore) throws -> Stages {
  try Stages(
    catalog: try Site.catalog(),
    journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
    ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
    snapshots: nil,
    trends: trends,
    limits: StationLimits(),
    logger: quiet,
    now: 0
  )
}

/// Entries of a ledger, all of them.
func entries(_ ledger: any LedgerStore, _ kinds: Set<EntryKind>) throws -> [LedgerEntry] {
  var found: [LedgerEntry] = []
  var cursor: Int64 = 0
  while true {
    let page = try ledger.entries(after: cursor, limit: 1_000)
    guard let last = page.last else { return found }
    cursor = last.sequence
    found += page.filter { kinds.contains($0.kind) }
  }
}

/// A link to a broker from which nothing comes.
private final class SilentLink: IntakeLink {
  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    // A poll waits for its socket; one that did not would keep a processor for itself.
    Thread.sleep(forTimeInterval: Double(min(timeoutMilliseconds, 2)) / 1_000)
    return LinkReport(state: "connected")
  }

  func take(received: Int64, into batch: inout JournalBatch) {}
  func acknowledge() {}
  func keepAlive() {}
  func stop() {}
}

/// A whole station above with its HTTP API, on data that outlive it.
func withUpper<Result: Sendable>(
  _ folder: String,
  station name: String = "city",
  _ work: @escaping @Sendable (_ port: Int, _ station: LiveStation) async throws -> Result
) async throws -> Result {
  let ledger = try SQLiteLedger(path: folder + "/ledger.sqlite", station: name)
  var options = SegmentOptions()
  options.sequenceFloor = try ledger.position
  let stages = try Stages(
    catalog: try Site.catalog(),
    journal: try SegmentJournal(directory: folder + "/journal", options: options),
    ledger: ledger,
    snapshots: nil,
    trends: try TrendStore(path: folder + "/trends.sqlite"),
    limits: StationLimits(),
    logger: quiet,
    now: SystemClocks().wall()
  )
  let station = LiveStation(stages: stages, clocks: SystemClocks(), logger: quiet)
  station.start(makeLink: { SilentLink() }, announcer: nil)
  defer {
    station.stop()
    try? ledger.close()
  }
  var console = ConsoleOptions()
  console.port = 0
  let (ports, found) = AsyncStream.makeStream(of: Int.self)
  let server = try ConsoleServer(
    station: station,
    access: .openToThisMachine,
    options: console,
    logger: quiet
  ) { found.yield($0) }
  let group = ServiceGroup(configuration: .init(services: [server], logger: quiet))
  return try await withThrowingTaskGroup(of: Result?.self) { tasks in
    tasks.addTask {
      try await group.run()
      return nil
    }
    tasks.addTask {
      for await port in ports { return try await work(port, station) }
      return nil
    }
    var outcome: Result?
    while let next = try await tasks.next() {
      guard let next else { continue }
      outcome = next
      await group.triggerGracefulShutdown()
    }
    return try #require(outcome)
  }
}

/// Looks again and again, for minutes on a machine that has no time, whether something has come about.
func until(_ holds: () throws -> Bool, comment: @autoclosure () -> String = "") async throws {
  let limit = ContinuousClock.now + .seconds(600)
  while try !holds() {
    guard ContinuousClock.now < limit else {
      Issue.record("not in ten minutes: \(comment())")
      return
    }
    try await Task.sleep(for: .milliseconds(5))
  }
}
