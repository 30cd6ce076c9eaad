import Accounts
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// How the station does, for people, probes and scrapers.
struct StatusRoutes: Sendable {
  let station: any StationAccess
  let counters: ConsoleCounters
  let options: ConsoleOptions
  let zone: TimeZone
  let hasCharts: Bool

  /// `GET /api/v1/status`.
  func status(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    Response(
      json: JSONWriter.object { writer in
        writer.member("time", WallClock.now().milliseconds)
        writer.member("station", station.ledger.station)
        writer.member("streams", counters.openStreams)
        writer.key("status")
        station.status().write(to: &writer)
      }
    )
  }

  /// `GET /healthz`: the process answers.
  func health(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    Response(text: "ok\n")
  }

  /// `GET /readyz`: readings come in and are recorded.
  func ready(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let status = station.status()
    var faults: [String] = []
    if status.link != "connected" { faults.append("broker \(status.link): \(status.linkReason)") }
    if let fault = status.journalFault { faults.append("journal: \(fault)") }
    if let fault = status.ledgerFault { faults.append("ledger: \(fault)") }
    return faults.isEmpty
      ? Response(text: "ready\n")
      : Response(text: faults.joined(separator: "\n") + "\n", status: .serviceUnavailable)
  }

  /// `GET /metrics`.
  func metrics(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.requireWholeStation(or: .monitor)
    var text = station.metrics()
    if !text.isEmpty, !text.hasSuffix("\n") { text += "\n" }
    return Response(
      text: text + counters.metrics(),
      mediaType: "text/plain; version=0.0.4; charset=utf-8"
    )
  }

  /// `GET /api/v1/console`: what the pages must know before they can show anything.
  func console(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    Response(
      json: JSONWriter.object { writer in
        writer.member("station", station.ledger.station)
        writer.member("timeZone", zone.identifier)
        writer.member("charts", hasCharts)
        writer.member("maximumShelvingMinutes", options.maximumShelving.components.seconds / 60)
      }
    )
  }
}
