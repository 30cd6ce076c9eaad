import DeviceCatalog
import Foundation
import Logging
import MQTTTransport
import ServiceLifecycle
import Station
import UnixSignals

/// Puts changed profiles and sites in force while the service runs: SIGHUP reads the files again, SIGUSR2 goes back to
/// the catalog before.
///
/// What does not load changes nothing. Broker, storage and address of the service file are read at the start only; when
/// they differ, the log says that a restart is needed for them.
struct Reloading: Service {
  let serviceFile: String
  let started: ServiceConfiguration
  let station: LiveStation
  let client: IntakeClient
  let callout: CalloutService
  let files: CatalogFiles
  let manager: ServiceManager?
  let logger: Logger

  func run() async throws {
    let signals = await UnixSignalsSequence(trapping: .sighup, .sigusr2)
    for await signal in signals.cancelOnGracefulShutdown() {
      tell("RELOADING=1\nMONOTONIC_USEC=\(Self.monotonicMicroseconds)")
      if signal == .sighup { await reload() } else { await rollBack() }
      tell("READY=1")
    }
  }

  private func reload() async {
    guard let loaded = load() else { return }
    loaded.logFindings(file: serviceFile, to: logger)
    let next = loaded.service
    let fixed: [(String, Bool)] = [
      ("station", next.station == started.station), ("data", next.dataFolder == started.dataFolder),
      ("broker.host", next.broker.host == started.broker.host),
      ("broker.port", next.broker.port == started.broker.port),
      ("broker.clientID", next.broker.clientID == started.broker.clientID),
      ("http", next.http == started.http),
      ("publish", next.publishes == started.publishes),
      ("callout.authorities", next.callout?.authorities == started.callout?.authorities),
    ]
    for (key, isSame) in fixed where !isSame {
      logger.warning("takes effect at the next start only", metadata: ["key": "\(key)"])
    }
    await change(to: loaded.catalog)
    await callout.adopt(loaded)
    do { try client.subscribe(to: loaded.subscriptions) } catch {
      logger.error("subscriptions not changed", metadata: ["error": "\(error)"])
    }
  }

  private func rollBack() async {
    do {
      guard let former = try files.beforeIt() else {
        logger.error("there is no catalog before this one to go back to")
        return
      }
      guard await change(to: former) else { return }
      logger.notice(
        "rolled back; the files still hold the newer version, the next start or reload reads them"
      )
    } catch {
      logger.error("the catalog before this one does not load", metadata: ["error": "\(error)"])
    }
  }

  private func load() -> LoadedConfiguration? {
    do { return try LoadedConfiguration(serviceFile: serviceFile) } catch {
      logger.error(
        "reload refused: the configuration has errors (see above); the catalog in force stays",
        metadata: ["file": "\(serviceFile)"]
      )
      return nil
    }
  }

  /// Puts a catalog in force; false where that was refused, and the log says why.
  @discardableResult
  private func change(to next: Catalog) async -> Bool {
    let current = station.catalog
    guard next.version != current.version else {
      logger.notice("nothing has changed", metadata: ["version": "\(next.version.prefix(12))"])
      return true
    }
    let difference = CatalogDifference(from: current, to: next)
    do {
      let receipt = try await station.putInForce(next)
      do { try files.keep(next) } catch {
        logger.warning(
          "catalog in force not written down; `davy reload` and its roll-back compare with an older one",
          metadata: ["error": "\(error)"]
        )
      }
      let entry = receipt.map { "\($0.ledgerSequence)" } ?? "not recorded yet"
      logger.notice(
        "catalog in force",
        metadata: [
          "version": "\(next.version.prefix(12))", "entry": "\(entry)",
          "points": "\(difference.points.summary)", "rules": "\(difference.rules.summary)",
        ]
      )
      return true
    } catch {
      logger.error("catalog change refused", metadata: ["error": "\(error)"])
      return false
    }
  }

  private func tell(_ state: String) {
    do { try manager?.tell(state) } catch {
      logger.error("service manager not told", metadata: ["error": "\(error)"])
    }
  }

  /// systemd orders reload messages by this clock.
  private static var monotonicMicroseconds: Int64 {
    Int64(ProcessInfo.processInfo.systemUptime * 1_000_000)
  }
}

extension CatalogDifference.Names {
  /// Counts in a few words.
  var summary: String { "\(added.count) added, \(removed.count) removed, \(changed.count) changed" }
}
