import Accounts
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
  private let http: HTTPServerBuilder
  private let audit: AuditTrail
  private let doorman: Doorman
  /// What the newest router answers.
  private let served = Served()
  private let channels: (any ChannelAccess)?
  private let register: ChannelRegister?
  private let relay: (any RelayAccess)?
  private let announce: @Sendable (Int) async -> Void

  /// Makes a server; it listens when it runs.
  ///
  /// - Parameters:
  ///   - station: what to show.
  ///   - access: who may come in.
  ///   - options: where to listen, and limits.
  ///   - channels: the call-out channels as they run; nil where there are none.
  ///   - register: the call-out channels as they are set; nil where they cannot be changed.
  ///   - relay: what goes to other stations and historians; nil where nothing does.
  ///   - logger: where failures go.
  ///   - onListening: is told the port when the server accepts connections.
  /// - Throws: when the address would not be safe, a certificate cannot be used or the web pages cannot be read.
  public init(
    station: any StationAccess,
    access: ConsoleAccess,
    options: ConsoleOptions = ConsoleOptions(),
    channels: (any ChannelAccess)? = nil,
    register: ChannelRegister? = nil,
    relay: (any RelayAccess)? = nil,
    logger: Logger = Logger(label: "davy.console"),
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
  ) throws(ConsoleError) {
    if !Self.isLoopback(options.host) {
      if case .open = access { throw .openToOthers(options.host) }
      guard options.tls != nil || options.allowsPlainHTTP else {
        throw .notEncrypted(options.host)
      }
    }
    http = try ServerTransport.builder(tls: options.tls)
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
    self.channels = channels
    self.register = register
    self.relay = relay
    gatekeeper = Gatekeeper(access: access, station: station)
    tail = LedgerTail(
      station: station,
      counters: counters,
      stallLimit: options.streamStallLimit,
      logger: logger
    )
    announce = onListening
    audit = AuditTrail(station: station, logger: logger, counters: counters)
    doorman = Doorman(access: access, audit: audit, options: options, logger: logger)
  }

  /// Where stations below come in, also those that come by a broker.
  public var relayDoor: RelayDoor { RelayDoor(station: station, gatekeeper: gatekeeper) }

  /// Serves until it is cancelled or shut down gracefully; open streams are ended then.
  public func run() async throws {
    try await application.run()
  }

  /// The application, as tests drive it.
  package var application: some ApplicationProtocol {
    let announce = announce
    let doorman = doorman
    return Application(
      router: router,
      server: http,
      configuration: ApplicationConfiguration(
        address: .hostname(options.host, port: options.port),
        serverName: "davy",
        backlog: 1_024
      ),
      services: [tail, doorman],
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? 0
        doorman.isListening(on: port)
        await announce(port)
      },
      logger: logger
    )
  }

  /// Every method and path that is answered, without those that only refuse a method; how tests hold the description to it.
  package var routes: [(method: String, path: String)] {
    served.withLock { $0 }.sorted { ($0.path, $0.method) < ($1.path, $1.method) }
  }

  private var router: Router<ConsoleContext> {
    let router = Router(context: ConsoleContext.self)
    served.withLock { $0 = [] }
    let cookie = SessionCookie(isSecure: options.tls != nil)
    let limiter = options.requestsPerSecond.map {
      RateLimiter(perSecond: $0, burst: 10 * $0)
    }
    router.add(middleware: SecurityHeaders(isEncrypted: options.tls != nil))
    router.add(middleware: ProblemMiddleware(counters: counters))
    router.add(middleware: OriginGuard(extra: options.allowedHosts + [options.host]))
    router.add(
      middleware: SignInMiddleware(
        gatekeeper: gatekeeper,
        cookie: cookie.name,
        publicPaths: Set(files.paths + Self.pages + ["/healthz", "/readyz"]),
        limiter: limiter
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
    let commands = DeskCommands(station: station)
    let hazards = HazardRoutes(
      station: station,
      commands: commands,
      evidence: options.evidenceFolder.map { EvidenceStore(folder: $0) },
      zone: zone
    )
    let matters = MatterRoutes(station: station, commands: commands)
    let notifications = ChannelRoutes(
      station: station,
      channels: channels,
      register: register,
      commands: commands,
      logger: logger
    )
    let evidence = EvidenceRoutes(
      station: station,
      commands: commands,
      hazards: hazards,
      options: options
    )
    let indicators = IndicatorRoutes(station: station)
    let stream = AlarmStream(
      station: station,
      tail: tail,
      gatekeeper: gatekeeper,
      counters: counters,
      options: options
    )

    let session = SessionRoutes(
      access: gatekeeper.access,
      audit: audit,
      cookie: cookie,
      limiter: RateLimiter(perSecond: 1, burst: 20),
      counters: counters
    )
    let accounts = AccountRoutes(access: gatekeeper.access, audit: audit)
    route(
      "/api/v1/session",
      in: router,
      [.get: session.session, .post: session.signIn, .delete: session.signOut]
    )
    route("/api/v1/session/password", in: router, [.put: session.setPassword])
    route("/api/v1/tokens", in: router, [.post: session.token])
    route("/api/v1/accounts", in: router, [.get: accounts.list, .post: accounts.create])
    route("/api/v1/accounts/{id}", in: router, [.get: accounts.one, .put: accounts.replace])
    route("/api/v1/accounts/{id}/link", in: router, [.post: accounts.link])
    route("/api/v1/accounts/{id}/keys", in: router, [.get: accounts.keys, .post: accounts.makeKey])
    route("/api/v1/accounts/{id}/keys/{key}", in: router, [.delete: accounts.removeKey])
    route("/api/v1/alarms/standing", in: router, get: alarms.standing)
    route("/api/v1/alarms/quiet", in: router, get: matters.quiet)
    route("/api/v1/hazards", in: router, get: hazards.list, post: hazards.register)
    route("/api/v1/hazards.xlsx", in: router, get: hazards.workbook)
    route("/api/v1/hazards/workflow", in: router, get: hazards.workflow)
    route("/api/v1/hazards/{id}", in: router, get: hazards.one)
    route("/api/v1/hazards/{id}/acts", in: router, post: hazards.act)
    route("/api/v1/hazards/{id}/evidence", in: router, post: evidence.upload)
    route("/api/v1/hazards/{id}/evidence/{sha256}", in: router, get: evidence.download)
    route("/api/v1/callouts", in: router, get: matters.callouts, post: matters.call)
    route("/api/v1/callouts/{id}", in: router, get: matters.callout)
    route("/api/v1/callouts/{id}/confirm", in: router, post: matters.confirm)
    route("/api/v1/callouts/{id}/cancel", in: router, post: matters.cancel)
    route("/api/v1/callouts/{id}/feedback", in: router, post: matters.feedback)
    route("/api/v1/channels", in: router, get: notifications.list)
    route("/api/v1/channels/dead-letters", in: router, get: notifications.deadLetters)
    route("/api/v1/channels/deliveries", in: router, get: notifications.deliveries)
    route("/api/v1/channels/{name}", in: router, get: notifications.one, put: notifications.put)
    route("/api/v1/channels/{name}/test", in: router, post: notifications.test)
    route("/api/v1/channels/{name}/remove", in: router, post: notifications.remove)
    route("/api/v1/channels/{name}/reset", in: router, post: notifications.reset)
    let rosters = RosterRoutes(station: station, commands: commands)
    route("/api/v1/rosters", in: router, get: rosters.list)
    route("/api/v1/rosters/{id}", in: router, get: rosters.one, put: rosters.put)
    route("/api/v1/rosters/{id}/reset", in: router, post: rosters.reset)
    let relays = RelayRoutes(station: station, relay: relay, door: relayDoor)
    route("/api/v1/relay", in: router, get: relays.status)
    route("/api/v1/relay/items", in: router, post: relays.items)
    route("/api/v1/relay/readings", in: router, get: relays.readings)
    route("/api/v1/duties", in: router, post: rosters.exchange)
    route("/api/v1/clocks", in: router, get: matters.clocks)
    route("/api/v1/clocks/{id}", in: router, get: matters.clock)
    route("/api/v1/clocks/{id}/report", in: router, post: matters.report)
    route("/api/v1/clocks/{id}/supplement", in: router, post: matters.supplement)
    route("/api/v1/notices", in: router, get: matters.notices)
    route("/api/v1/notices/{id}", in: router, get: matters.notice)
    route("/api/v1/silences", in: router, get: matters.silences, post: matters.silence)
    route("/api/v1/silences/{id}/end", in: router, post: matters.unsilence)
    route("/api/v1/kpis", in: router, get: indicators.report)
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
    route("/api/v1/reports/{period}/hazards", in: router, get: reports.hazards)
    route("/api/v1/readings/recent", in: router, get: readings.recent)
    route("/api/v1/health/hours", in: router, get: readings.hours)
    route("/api/v1/rules/versions", in: router, get: versions.list)
    route("/api/v1/rules/versions/{version}", in: router, get: versions.one)
    route("/api/v1/backtests", in: router, get: backtests.list, post: backtests.begin)
    route("/api/v1/backtests/{id}", in: router, get: backtests.one)
    route("/api/v1/backtests/{id}/cancel", in: router, post: backtests.cancel)
    let welding = WeldingRoutes(station: station)
    let register = "/api/v1/welding/register/{enterprise}"
    route("/api/v1/welding/machines", in: router, get: welding.machines)
    route("/api/v1/welding/scans", in: router, get: welding.scans)
    route("/api/v1/welding/rules", in: router, get: welding.rules)
    // Not ".../permits/{id}/reports": the router does not come back from a literal level, and /permits/{id} would be gone.
    route(register + "/{part}/{id}/reports", in: router, post: welding.report)
    route(register + "/{part}", in: router, get: welding.list)
    route(
      register + "/{part}/{id}",
      in: router,
      get: welding.one,
      put: welding.put,
      delete: welding.remove
    )
    let coverage = CoverageRoutes(station: station)
    route("/api/v1/coverage", in: router, get: coverage.counts)
    route("/api/v1/coverage/points", in: router, get: coverage.points)
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
  package static let pages = [
    "/", "/wall", "/alarm", "/ledger", "/hazards", "/hazard", "/callouts", "/tree", "/trends",
    "/map", "/quality", "/kpi", "/replay", "/welding", "/rejects", "/rules", "/status", "/admin",
    "/sign-in",
  ]

  private final class Served: Sendable {
    private let routes: Mutex<[(method: String, path: String)]> = Mutex([])

    func withLock<Answer>(_ body: (inout [(method: String, path: String)]) -> Answer) -> Answer {
      routes.withLock { routes in body(&routes) }
    }
  }

  private typealias Handler = @Sendable (Request, ConsoleContext) async throws -> Response

  /// Routes a path; methods that it does not take are told which it does.
  private func route(
    _ path: String,
    in router: Router<ConsoleContext>,
    get: Handler? = nil,
    post: Handler? = nil,
    put: Handler? = nil,
    delete: Handler? = nil
  ) {
    var handlers: [HTTPRequest.Method: Handler] = [:]
    if let get { handlers[.get] = get }
    if let post { handlers[.post] = post }
    if let put { handlers[.put] = put }
    if let delete { handlers[.delete] = delete }
    route(path, in: router, handlers)
  }

  /// Routes a path by method; GET answers HEAD as well.
  private func route(
    _ path: String,
    in router: Router<ConsoleContext>,
    _ taken: [HTTPRequest.Method: Handler]
  ) {
    var handlers = taken
    if let get = taken[.get] {
      handlers[.head] = { request, context in
        try await get(request, context).createHeadResponse()
      }
    }
    served.withLock { $0 += handlers.keys.map { ($0.rawValue, path) } }
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
