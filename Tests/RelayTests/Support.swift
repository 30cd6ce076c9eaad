import Callout
import Console
import DeviceCatalog
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Journal
import Logging
import NIOCore
import ServiceLifecycle
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
  func poll(timeoutMilliseconds: Int, limit: Int) -> LinkReport {
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

/// A request as a server saw it.
struct Seen: Sendable {
  var path: String
  var query: String
  var authorization: String
  var body: String
}

/// What a server answers.
struct Reply: Sendable {
  var status = 204
  var headers: [String: String] = [:]
  var body = ""
}

/// An HTTP server on a free loopback port.
func withServer<Result: Sendable>(
  _ answer: @escaping @Sendable (Seen) async throws -> Reply,
  _ work: @escaping @Sendable (_ address: String) async throws -> Result
) async throws -> Result {
  let router = Router()
  router.post("**") { request, _ -> Response in
    let body = try await request.body.collect(upTo: 8 << 20)
    let reply = try await answer(
      Seen(
        path: request.uri.path,
        query: request.uri.query ?? "",
        authorization: request.headers[.authorization] ?? "",
        body: String(buffer: body)
      )
    )
    var response = Response(
      status: .init(code: reply.status),
      body: ResponseBody(byteBuffer: ByteBuffer(string: reply.body))
    )
    for (name, value) in reply.headers {
      if let field = HTTPField.Name(name) { response.headers[field] = value }
    }
    return response
  }
  let (ports, found) = AsyncStream<Int>.makeStream()
  let application = Application(
    router: router,
    configuration: .init(address: .hostname("127.0.0.1", port: 0)),
    onServerRunning: { found.yield($0.localAddress?.port ?? 0) },
    logger: quiet
  )
  return try await withThrowingTaskGroup(of: Result?.self) { group in
    group.addTask {
      try await application.run()
      return nil
    }
    group.addTask {
      for await port in ports { return try await work("http://127.0.0.1:\(port)") }
      return nil
    }
    defer { group.cancelAll() }
    while let result = try await group.next() { if let result { return result } }
    throw CancellationError()
  }
}

/// An HTTP sender for one test.
func withSender<Result: Sendable>(
  _ work: (HTTPSender) async throws -> Result
) async throws -> Result {
  let sender = try HTTPSender()
  do {
    let result = try await work(sender)
    try await sender.shutdown()
    return result
  } catch {
    try await sender.shutdown()
    throw error
  }
}
