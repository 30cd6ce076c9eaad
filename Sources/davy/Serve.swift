import Accounts
import ArgumentParser
import Console
import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Logging
import MQTTTransport
import NIOCore
import ServiceLifecycle
import Station
import UnixSignals

/// `davy serve`.
struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a station until it is told to stop (SIGTERM, SIGINT).",
    discussion: """
      Subscribes to the gateways' topics, journals every message before it is acknowledged, evaluates it, ledgers \
      and announces every alarm step, and serves API and console on a loopback address.

      Starting again after a crash, a kill or a clean stop is the same thing: the newest engine snapshot, then the \
      journal after it.
      """
  )

  @Argument(help: "The service file, see config/service.yaml.", completion: .file())
  var serviceFile: String

  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel: String = "info"

  @Option(
    help:
      "Folder of fetched browser libraries (uPlot); without it the console draws simpler charts."
  )
  var vendor: String?

  @Flag(
    help:
      "Take a ledger in PostgreSQL over from a station that still seems to write it; that one can never write again."
  )
  var takeOver = false

  func run() async throws {
    let logger = try startLogging()
    let loaded = try LoadedConfiguration(serviceFile: serviceFile)
    loaded.logFindings(file: serviceFile, to: logger)
    let service = loaded.service
    let station: LiveStation
    let client: IntakeClient
    let callout: CalloutService
    let relay: RelayService?
    let host: SparkplugHost?
    let files = CatalogFiles(dataFolder: service.dataFolder)
    do {
      let stages = try Self.openStages(loaded, takesOver: takeOver, logger: logger)
      Self.keep(loaded.catalog, files, PidFile(dataFolder: service.dataFolder), logger: logger)
      station = LiveStation(stages: stages, clocks: SystemClocks(), logger: logger) {
        // Nothing is lost by ending here: the start after it is the start after a crash.
        Foundation.exit(3)
      }
      callout = try CalloutService(
        loaded,
        serviceFile: URL(fileURLWithPath: serviceFile).path,
        station: station,
        stages: stages,
        logger: logger
      )
      relay = try RelayService(service, station: station, trends: stages.trends, logger: logger)
      client = try Self.start(station, loaded, logger: logger)
      host = try SparkplugHost(loaded, logger: logger)
    } catch {
      logger.critical("cannot start", metadata: ["error": "\(error)"])
      throw ExitCode(1)
    }
    let manager = ServiceManager()
    let console = try Self.console(
      station,
      service,
      callout: callout,
      relay: relay?.access,
      vendor: vendor,
      logger: logger
    ) { port in
      Self.tell(manager, "READY=1\nSTATUS=station \(service.station), port \(port)", logger)
    }
    var services: [any Service] = [
      console,
      Reloading(
        serviceFile: serviceFile,
        started: service,
        station: station,
        client: client,
        callout: callout,
        files: files,
        manager: manager,
        logger: logger
      ),
      callout,
    ]
    if let relay { services.append(relay) }
    if let receiving = try RelayReceiving(
      loaded,
      door: console.relayDoor,
      station: station,
      logger: logger
    ) {
      services.append(receiving)
    }
    if let manager { services.append(Watchdog(manager: manager, station: station, logger: logger)) }
    let group = ServiceGroup(
      services: services,
      gracefulShutdownSignals: [.sigterm, .sigint],
      logger: logger
    )
    defer {
      // A stop takes some seconds at most: a second word must not cut its last words to the broker short.
      for number in [SIGTERM, SIGINT] { signal(number, SIG_IGN) }
      Self.tell(manager, "STOPPING=1", logger)
      host?.stop()
      station.stop()
    }
    try await Self.run(group, service, logger: logger)
  }

  private func startLogging() throws -> Logger {
    guard let level = Logger.Level(rawValue: logLevel) else {
      throw ValidationError("unknown log level '\(logLevel)'")
    }
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level
      return handler
    }
    return Logger(label: "davy")
  }

  /// Runs the services until they end; an address that cannot be listened on is named in the log.
  private static func run(
    _ group: ServiceGroup,
    _ service: ServiceConfiguration,
    logger: Logger
  ) async throws {
    do {
      try await group.run()
    } catch let error as IOError {
      let http = service.http
      guard let fault = ListeningFault(error, host: http.host, port: http.port) else { throw error }
      logger.critical("cannot listen", metadata: ["error": "\(fault)"])
      throw ExitCode(1)
    }
  }

  /// Writes down what only other commands read: a full disk must not keep the station from announcing alarms.
  private static func keep(
    _ catalog: Catalog,
    _ files: CatalogFiles,
    _ process: PidFile,
    logger: Logger
  ) {
    do { try files.keep(catalog) } catch {
      logger.warning(
        "catalog in force not written down; `davy reload` and its roll-back compare with an older one",
        metadata: ["error": "\(error)"]
      )
    }
    do { try process.write() } catch {
      logger.warning(
        "pid file not written; `davy reload` does not find this process, `systemctl reload davy` does",
        metadata: ["file": "\(process.path)", "error": "\(error)"]
      )
    }
  }

  private static func tell(_ manager: ServiceManager?, _ state: String, _ logger: Logger) {
    do { try manager?.tell(state) } catch {
      logger.error("service manager not told", metadata: ["error": "\(error)"])
    }
  }

  /// The console, behind its accounts unless the service file says otherwise.
  private static func console(
    _ station: LiveStation,
    _ service: ServiceConfiguration,
    callout: CalloutService,
    relay: (any RelayAccess)?,
    vendor: String?,
    logger: Logger,
    onListening: @escaping @Sendable (Int) -> Void
  ) throws -> ConsoleServer {
    let http = service.http
    let folder = URL(fileURLWithPath: service.dataFolder)
    var tls: ConsoleTLS?
    if let certificate = http.certificate, let key = http.key {
      tls = ConsoleTLS(certificate: certificate, key: key)
    }
    var access = ConsoleAccess.openToThisMachine
    if http.needsSignIn {
      let accounts = try AccountService(
        path: folder.appendingPathComponent("accounts.sqlite").path,
        station: service.station
      )
      warn(of: accounts, station, logger: logger)
      access = .accounts(accounts)
    } else {
      logger.warning("signIn is false: whoever uses this machine may act, under any name")
    }
    let scheme = tls == nil ? "http" : "https"
    var options = ConsoleOptions(
      host: http.host,
      port: http.port,
      allowedHosts: http.names,
      vendor: vendor,
      tls: tls,
      allowsPlainHTTP: http.isUnsafePlainHTTP,
      requestsPerSecond: Double(http.requestsPerSecond),
      linkFile: folder.appendingPathComponent("sign-in.link").path
    )
    options.evidenceFolder = folder.appendingPathComponent("evidence").path
    options.maximumEvidenceBytes = service.evidenceBytes
    return try ConsoleServer(
      station: station,
      access: access,
      options: options,
      channels: callout.access,
      register: callout.register,
      relay: relay,
      logger: logger
    ) { port in
      logger.info(
        "console and API are up",
        metadata: ["address": "\(scheme)://\(http.host):\(port)/"]
      )
      onListening(port)
    }
  }

  /// Warns of accounts that are to see enterprises which are not here, as by a misspelt name.
  private static func warn(
    of accounts: AccountService,
    _ station: LiveStation,
    logger: Logger
  ) {
    // What stations below tell of need not be in the site files of this one.
    guard !station.hasStationsBelow else { return }
    for (account, names) in accounts.accounts(beyond: Set(station.catalog.enterprises.map(\.id))) {
      logger.warning(
        "an account's scope names enterprises that no site file has: correct it where a name is misspelt",
        metadata: ["account": "\(account)", "enterprises": "\(names.joined(separator: " "))"]
      )
    }
  }

  private static func openStages(
    _ loaded: LoadedConfiguration,
    takesOver: Bool,
    logger: Logger
  ) throws -> Stages {
    let service = loaded.service
    try FileManager.default.createDirectory(
      atPath: service.dataFolder,
      withIntermediateDirectories: true
    )
    let folder = URL(fileURLWithPath: service.dataFolder)
    let ledgerFile = folder.appendingPathComponent("ledger.sqlite").path
    let isLedgerMissing = service.postgres == nil && LedgerLoss.isMissing(ledgerFile)
    let ledger = try LedgerOpening.open(
      service,
      file: ledgerFile,
      takesOver: takesOver
    )
    let journal = try openJournal(
      in: folder,
      service,
      floor: try ledger.position,
      logger: logger
    )
    if isLedgerMissing, let loss = LedgerLoss(of: ledgerFile, beside: journal) {
      logger.critical("the ledger is gone and begun anew", metadata: ["loss": "\(loss)"])
    }
    let snapshots = try SnapshotFolder(
      path: folder.appendingPathComponent("snapshots").path
    )
    let stages = try Stages(
      catalog: loaded.catalog,
      journal: journal,
      ledger: ledger,
      snapshots: snapshots,
      trends: TrendStore.open(
        path: folder.appendingPathComponent("trends.sqlite").path,
        outlets: RelayService.outlets(service),
        now: SystemClocks().wall(),
        logger: logger
      ),
      limits: StationLimits(
        journalBytes: service.journal.maximumBytes,
        segmentBytes: service.journal.segmentBytes
      ),
      logger: logger,
      now: SystemClocks().wall()
    )
    stages.checkpoints = try signer(of: ledger, in: folder, service, logger: logger)
    stages.prune = { now, floor in try journal.enforceRetention(now: now, keepingAfter: floor).count
    }
    return stages
  }

  private static func openJournal(
    in folder: URL,
    _ service: ServiceConfiguration,
    floor: UInt64,
    logger: Logger
  ) throws -> SegmentJournal {
    var options = SegmentOptions()
    options.sequenceFloor = floor
    options.segmentBytes = service.journal.segmentBytes
    options.retentionAge = service.journal.maximumAgeMilliseconds
    options.retentionBytes = service.journal.maximumBytes
    let journal = try SegmentJournal(
      directory: folder.appendingPathComponent("journal").path,
      options: options
    )
    for fault in journal.faults {
      logger.error(
        "journal segment damaged; what can be read is read",
        metadata: ["segment": "\(fault.segment)", "cause": "\(fault.message)"]
      )
    }
    return journal
  }

  private static func signer(
    of ledger: any CheckpointStore,
    in folder: URL,
    _ service: ServiceConfiguration,
    logger: Logger
  ) throws -> CheckpointSigner {
    let key = try CheckpointKey(
      path: service.checkpoints.keyFile ?? folder.appendingPathComponent("checkpoint.key").path
    )
    if let former = key.formerPublicKey {
      logger.critical(
        """
        the key that signs checkpoints was gone, and a new one has been made; earlier checkpoints are held against the \
        former public key, and whoever verifies needs both
        """,
        metadata: ["former": "\(former)"]
      )
    }
    return try CheckpointSigner(
      ledger: ledger,
      key: key,
      everyMilliseconds: service.checkpoints.everyMilliseconds,
      everyEntries: service.checkpoints.everyEntries
    )
  }

  private static func start(
    _ station: LiveStation,
    _ loaded: LoadedConfiguration,
    logger: Logger
  ) throws -> IntakeClient {
    let service = loaded.service
    var publisher: MQTTPublisher?
    if service.publishes {
      publisher = try MQTTPublisher(
        options: loaded.mqttOptions(role: "alarms"),
        status: StatusTopic(
          topic: "davy/v1/status/\(service.station)",
          online: MQTTPublisher.starting,
          offline: Array(#"{"state":"offline"}"#.utf8),
          stopped: Array(#"{"state":"stopped"}"#.utf8)
        ),
        logger: logger
      )
    }
    var options = loaded.mqttOptions(role: "")
    do {
      options.hasEarlierSession = try station.hasReceived
    } catch {
      // What cannot be read there was no hindrance to the recovery, and is none to the start.
      logger.error(
        "journal not readable as far as its last message: a broker session that is gone will not be noticed",
        metadata: ["error": "\(error)"]
      )
    }
    let client = try IntakeClient(options: options) { [publisher] state in
      logger.info("intake link", metadata: ["state": "\(state)"])
      publisher?.tell(intake: state)
    }
    station.addMetrics { client.metrics }
    let announcer = publisher.map { publisher in
      Announcer(
        publisher: publisher,
        cursorFile: URL(fileURLWithPath: service.dataFolder)
          .appendingPathComponent("announced.cursor").path,
        start: 0,
        logger: logger
      )
    }
    let answers = AnswerSender(
      publisher: try MQTTAnswers(options: loaded.mqttOptions(role: "answers"), logger: logger),
      logger: logger
    )
    station.start(
      makeLink: { MQTTLink(client: client) },
      announcer: announcer,
      answers: answers
    )
    return client
  }
}
