import Callout
import Console
import DeviceCatalog
import Foundation
import HazardLedger
import Logging
import ServiceLifecycle
import Station

/// Call-out beside a running station: its dispatches go out, and what becomes of them comes back as inputs.
struct CalloutService: Service {
  let dispatcher: Dispatcher
  /// The channels as they are set.
  let register: ChannelRegister
  private let inbox: DispatcherInbox
  private let channels: CalloutChannels
  private let logger: Logger

  /// The console's view of it.
  var access: any ChannelAccess { DispatcherAccess(dispatcher: dispatcher, renew: renew) }

  /// Wires the channels of the service file, and those that people have set, to a station that has not started yet.
  ///
  /// - Throws: what keeps the channels from being made.
  init(
    _ loaded: LoadedConfiguration,
    serviceFile: String,
    station: LiveStation,
    stages: Stages,
    logger: Logger
  ) throws {
    let section = loaded.service.callout ?? ServiceConfiguration.CalloutSection()
    let folder = URL(fileURLWithPath: loaded.service.dataFolder)
    let register = ChannelRegister(
      section: section,
      serviceFile: serviceFile,
      board: station.channels,
      folder: folder.appendingPathComponent("secrets").path
    )
    register.sweep(logger)
    register.tellFaults(logger)
    self.register = register
    self.logger = logger
    channels = try CalloutChannels(section) { loaded.mqttOptions(role: "callout") }
    let inbox = DispatcherInbox()
    self.inbox = inbox
    let ledger = station.ledger
    let look = AnswerLook { Self.isAnswered($0, in: ledger, logger: logger) }
    dispatcher = try Dispatcher(
      channels: try channels.setups(register.channels, in: section),
      hasHadChannels: register.hasHadChannels,
      wiring: Dispatcher.Wiring(
        clock: { SystemClocks().wall() },
        report: { await Self.report($0, to: station, logger: logger) },
        isAnswered: { await look.isAnswered($0) },
        stateFile: folder.appendingPathComponent("callout.json").path
      ),
      logger: logger
    )
    stages.dispatcher = inbox
  }

  /// Sends until the service ends.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await inbox.run(dispatcher) }
        group.addTask { await watch() }
      }
    }
    await channels.shutdown()
  }

  /// Puts the channels in force that the register has now; false when those before stay in force.
  @Sendable @discardableResult func renew() async -> Bool {
    register.tellFaults(logger)
    do {
      try await dispatcher.adopt { [channels, register] in
        try channels.setups(register.channels, in: register.section)
      }
      return true
    } catch {
      logger.error(
        "the channels are not changed; those in force stay",
        metadata: ["error": "\(error)"]
      )
      return false
    }
  }

  /// Takes over the service file's section as it reads now.
  func adopt(_ loaded: LoadedConfiguration) async {
    register.adopt(loaded.service.callout ?? ServiceConfiguration.CalloutSection())
    await renew()
  }

  /// Whoever changes a channel has it put in force at once; an act that came into the ledger after its maker had gone is
  /// found here.
  private func watch() async {
    var seen = register.revision
    while !Task.isCancelled {
      do { try await Task.sleep(for: .seconds(1)) } catch { return }
      let revision = register.revision
      guard revision != seen else { continue }
      guard await renew() else {
        do { try await Task.sleep(for: .seconds(60)) } catch { return }
        continue
      }
      seen = revision
    }
  }

  /// Puts a channel's word into the inputs, again and again while the station cannot take it in.
  private static func report(
    _ report: CalloutReport,
    to station: LiveStation,
    logger: Logger
  ) async {
    while !Task.isCancelled {
      do {
        _ = try await station.submit(report)
        return
      } catch ActError.refused(let why, _) {
        // The call-out has ended meanwhile, or had this word already.
        logger.info("a report changes nothing", metadata: ["report": "\(report)", "why": "\(why)"])
        return
      } catch ActError.notYetRecorded {
        // It is in the journal, and will be in the ledger when the disk is back.
        return
      } catch {
        logger.error(
          "the station does not take a report in; it is tried again",
          metadata: ["report": "\(report)", "error": "\(error)"]
        )
        do { try await Task.sleep(for: .seconds(1)) } catch { return }
      }
    }
  }

  private static func isAnswered(
    _ callout: String,
    in ledger: any LedgerStore,
    logger: Logger
  ) -> Bool {
    do {
      guard let matter = try ledger.matter(.callout, id: callout) else { return false }
      return !matter.isOpen
    } catch {
      // Who cannot be sure calls.
      logger.error("cannot see whether a call-out is answered", metadata: ["error": "\(error)"])
      return false
    }
  }
}
