import Callout
import Console
import Dispatch
import Foundation
import HazardLedger
import Logging
import ServiceLifecycle
import Station

/// Call-out beside a running station: its dispatches go out, and what becomes of them comes back as inputs.
struct CalloutService: Service {
  let dispatcher: Dispatcher
  private let inbox: DispatcherInbox
  private let channels: CalloutChannels

  /// The console's view of it.
  var access: any ChannelAccess {
    DispatcherAccess(dispatcher: dispatcher, settings: channels.settings)
  }

  /// Wires the channels of the service file to a station that has not started yet.
  ///
  /// - Throws: what keeps the channels from being made.
  init(
    _ channels: CalloutChannels,
    station: LiveStation,
    stages: Stages,
    stateFile: String,
    logger: Logger
  ) throws {
    self.channels = channels
    let inbox = DispatcherInbox()
    self.inbox = inbox
    let ledger = station.ledger
    dispatcher = try Dispatcher(
      channels: channels.setups,
      wiring: Dispatcher.Wiring(
        clock: { SystemClocks().wall() },
        report: { await Self.report($0, to: station, logger: logger) },
        isAnswered: { callout in
          await withCheckedContinuation { continuation in
            // The ledger's reads block.
            DispatchQueue.global().async {
              continuation.resume(returning: Self.isAnswered(callout, in: ledger, logger: logger))
            }
          }
        },
        stateFile: stateFile
      ),
      logger: logger
    )
    stages.dispatcher = inbox
  }

  /// Sends until the service ends.
  func run() async throws {
    await cancelWhenGracefulShutdown { await inbox.run(dispatcher) }
    await channels.shutdown()
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
