import ArgumentParser
import Callout
import DeviceCatalog
import Foundation
import HazardLedger
import Logging
import Station
import Telemetry

/// `davy notify`.
struct Notify: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Try a call-out channel: send a test message and show the answer.",
    discussion: """
      Needs no running service. The message says that it is a test. Ends with 0 when the channel has taken it, with 1 \
      when not; the channel's own words are printed either way.
      """
  )

  @Argument(help: "The service file, see config/service.yaml.", completion: .file())
  var serviceFile: String

  @Option(help: "Name of the channel; without it all of them are listed.")
  var test: String?

  @Option(
    help: "Address to send it to, for channels that reach one person at a time; else the operators."
  )
  var to: String?

  func run() async throws {
    let loaded = try LoadedConfiguration(serviceFile: serviceFile)
    guard let section = loaded.service.callout else {
      Terminal.error("\(serviceFile): there is no section \"callout\"; see docs/callout.md")
      throw ExitCode(1)
    }
    guard let test else {
      for channel in section.channels { Terminal.line("\(channel.name)\t\(channel.kind.rawValue)") }
      return
    }
    guard let channel = section.channels.first(where: { $0.name == test }) else {
      let names = section.channels.map(\.name).joined(separator: ", ")
      throw ValidationError("no channel \"\(test)\"; there are: \(names)")
    }
    let channels = try CalloutChannels(section) { loaded.mqttOptions(role: "callout") }
    guard var setup = try channels.setups([channel], in: section).first else {
      throw ExitCode(1)
    }
    if let to { setup.operators = [Notice.Recipient(name: to, address: to)] }
    let dispatcher = try Dispatcher(
      channels: [setup],
      wiring: Dispatcher.Wiring(
        clock: { SystemClocks().wall() },
        report: { _ in },
        isAnswered: { _ in false }
      ),
      logger: Logger(label: "davy.notify") { _ in SwiftLogNoOpLogHandler() }
    )
    let outcome = await dispatcher.test(test, by: "davy notify")
    await channels.shutdown()
    guard let (name, detail) = outcome?.words else { throw ExitCode(1) }
    Terminal.line("\(test): \(name): \(detail)")
    if name != "delivered" { throw ExitCode(1) }
  }
}
