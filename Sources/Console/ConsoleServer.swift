import DeviceCatalog
import Foundation
import HTTPTypes
package import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle
public import Station
import Synchronization

/// The HTTP API, the alarm streams and the web pages of one station.
///
/// Listens on loopback only. Everything it shows is read through ``StationAccess``; everything that
/// a person does goes through it as an input.
public struct ConsoleServer: Service {
  private let station: any StationAccess
  private let options: ConsoleOptions
  private let logger: Logger
  private let files: StaticFiles
  private let counters: ConsoleCounters
  private let tail: LedgerTail
  private let gatekeeper: Gatekeeper
  private let announce: @Sendable (Int) async -> Void

  /// Makes a server; it listens when it runs.
  ///
  /// - Parameters:
  ///   - station: what to show.
  ///   - access: who may come in.
  ///   - options: where to listen, and limits.
  ///   - logger: where failures go.
  ///   - onListening: is told the port when the server accepts connections.
  /// - Throws: when the address is not loopback or the web pages cannot be read.
  public init(
    station: any StationAccess,
    access: ConsoleAccess,
    options: ConsoleOptions = ConsoleOptions(),
    logger: Logger = Logger(label: "davy.console"),
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
  ) throws(ConsoleError) {
    guard Self.isLoopback(options.host) else { throw .notLoopback(options.host) }
    self.station = station
    self.options = options
    self.logger = logger
    let resources = options.resources ?? BuiltInResources.folder()
    var files = StaticFiles()
    try files.add(folder: resources + "/web", below: "/")
    try files.add(folder: resources + "/api", below: "/api/v1/")
    let charts = (options.vendor ?? "") + "/uplot"
    if options.vendor != nil, FileManager.default.fileExists(atPath: charts) {
      try files.add(folder: charts, below: "/vendor/uplot/")
    }
    self.files = files
    counters = ConsoleCounters()
    gatekeeper = Gatekeeper(access: access, station: station)
    tail = LedgerTail(station: station, counters: counters, logger: logger)
    announce = onListening
  }

  /// Serves until it is cancelled or shut down gracefully; open streams are ended then.
  public func run() async throws {
    try await application.run()
  }

  /// The application, as tests drive it.
  package var application: some ApplicationProtocol {
    let announce = announce
    return Application(
      router: router,
      server: .http1(
        configuration: HTTP1Channel.Configuration(
          httpDecoderConfiguration: .init(
            maxHeaderFieldSize: 8_192,
            maxHeaderListSize: 32_768,
            maxHeaderFieldCount: 100
          )
        )
      ),
      configuration: ApplicationConfiguration(
        address: .hostname(options.host, port: options.port),
        serverName: "davy",
        backlog: 1_024
      ),
      services: [tail],
      onServerRunning: { channel in await announce(channel.localAddress?.port ?? 0) },
      logger: logger
    )
  }

  private var router: Router<ConsoleContext> {
    let router = Router(context: ConsoleContext.self)
    router.add(middleware: SecurityHeaders())
    router.add(middleware: ProblemMiddleware(counters: counters))
    router.add(middleware: OriginGuard(extra: options.allowedHosts))
    router.add(
      middleware: SignInMiddleware(
        gatekeeper: gatekeeper,
        cookie: "davy-session",
        publicPaths: Set(files.paths + Self.pages + ["/healthz", "/readyz"])
      )
    )
    let zone =
      [options.timeZone, station.catalog.enterprises.first?.timeZone, "Asia/Shanghai"]
      .lazy.compactMap(\.self).compactMap(TimeZone.init(identifier:)).first ?? .gmt
    let alarms = AlarmRoutes(station: station, zone: zone)
    let acts = ActRoutes(station: station, options: options)
    let ledger = LedgerRoutes(station: station)
    let readings = ReadingRoutes(station: station)
    let reports = ReportRoutes(station: station, zone: zone)
    let catalog = CatalogRoutes(station: station)
    let engine = EngineRoutes(station: station)
    let verifier = VerifyRoutes(station: station)
    let versions = RuleVersions(station: station)
    let backtests = BacktestRoutes(station: station, versions: versions, logger: logger)
    let status = StatusRoutes(
      station: station,
      counters: counters,
      options: options,
      zone: zone,
      hasCharts: files.contains("/vendor/uplot/uplot.iife.min.js")
    )
    let stream = AlarmStream(
      station: station,
      tail: tail,
      gatekeeper: gatekeeper,
      counters: counters,
      options: options
    )

    route("/api/v1/alarms/standing", in: router, get: alarms.standing)
    route("/api/v1/alarms/stream", in: router, get: stream.respond)
    route("/api/v1/alarms", in: router, get: alarms.list)
    route("/api/v1/alarms.csv", in: router, get: alarms.csv)
    route("/api/v1/alarms/{id}", in: router, get: alarms.one)
    route("/api/v1/alarms/{id}/acts", in: router, post: acts.respond)
    route("/api/v1/entries", in: router, get: ledger.entries)
    route("/api/v1/verify", in: router, get: verifier.verify)
    route("/api/v1/rejects", in: router, get: ledger.rejects)
    route("/api/v1/catalog", in: router, get: catalog.catalog)
    route("/api/v1/points/{path}/trend", in: router, get: readings.trend)
    route("/api/v1/points/{path}/readings", in: router, get: readings.readings)
    route("/api/v1/readings/latest", in: router, get: readings.latest)
    route("/api/v1/reports/{period}", in: router, get: reports.report)
    route("/api/v1/readings/recent", in: router, get: readings.recent)
    route("/api/v1/health/hours", in: router, get: readings.hours)
    route("/api/v1/rules/versions", in: router, get: versions.list)
    route("/api/v1/rules/versions/{version}", in: router, get: versions.one)
    route("/api/v1/backtests", in: router, get: backtests.list, post: backtests.begin)
    route("/api/v1/backtests/{id}", in: router, get: backtests.one)
    route("/api/v1/backtests/{id}/cancel", in: router, post: backtests.cancel)
    route("/api/v1/rules/inhibited", in: router, get: engine.inhibited)
    route("/api/v1/rules/behaviour", in: router, get: engine.behaviour)
    route("/api/v1/devices/clocks", in: router, get: engine.clocks)
    route("/api/v1/status", in: router, get: status.status)
    route("/api/v1/console", in: router, get: status.console)
    route("/healthz", in: router, get: status.health)
    route("/readyz", in: router, get: status.ready)
    route("/metrics", in: router, get: status.metrics)
    for path in files.paths { route(path, in: router, file: path) }
    for page in Self.pages { route(page, in: router, file: "/index.html") }
    return router
  }

  /// The addresses of the pages; the one document serves all of them.
  static let pages = [
    "/", "/wall", "/alarm", "/ledger", "/hazards", "/hazard", "/tree", "/trends", "/map",
    "/quality",
    "/kpi", "/replay", "/welding", "/rejects", "/rules", "/status", "/admin",
  ]

  private typealias Handler = @Sendable (Request, ConsoleContext) async throws -> Response

  /// Routes a path; methods that it does not take are told which it does.
  private func route(
    _ path: String,
    in router: Router<ConsoleContext>,
    get: Handler? = nil,
    post: Handler? = nil
  ) {
    var handlers: [HTTPRequest.Method: Handler] = [:]
    if let get {
      handlers[.get] = get
      handlers[.head] = { request, context in
        try await get(request, context).createHeadResponse()
      }
    }
    if let post { handlers[.post] = post }
    let allow = handlers.keys.map(\.rawValue).sorted().joined(separator: ", ")
    for method in [.get, .head, .post, .put, .delete, .patch, .options, .trace]
      as [HTTPRequest.Method]
    {
      let handler =
        handlers[method] ?? { _, _ in
          throw Problem(
            .methodNotAllowed,
            "method",
            "this resource answers to \(allow)",
            allow: allow
          )
        }
      router.on(RouterPath(path), method: method) { request, context in
        try await handler(request, context)
      }
    }
  }

  private func route(_ path: String, in router: Router<ConsoleContext>, file: String) {
    let files = files
    route(path, in: router) { request, _ in
      guard let response = files.response(to: request, path: file) else {
        throw Problem(.notFound, "not-found", "there is nothing at \(path)")
      }
      return response
    }
  }

  private static func isLoopback(_ host: String) -> Bool {
    host == "localhost" || host == "::1"
      || (host.hasPrefix("127.") && host.split(separator: ".").count == 4
        && host.split(separator: ".").allSatisfy { UInt8($0) != nil })
  }
}
