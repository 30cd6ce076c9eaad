import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// `GET /api/v1/kpis`: the figures of ISA-18.2 / IEC 62682 for one supervisor's share and a span of time.
struct IndicatorRoutes: Sendable {
  let station: any StationAccess

  /// The longest span.
  static let maximumSpan: Int64 = 366 * 86_400_000

  func report(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["from", "to", "path"])
    let to = try request.moment("to") ?? WallClock.now()
    let from = try request.moment("from") ?? to.advanced(byMilliseconds: -86_400_000)
    guard from < to, to.milliseconds(since: from) <= Self.maximumSpan else {
      throw Problem.parameter("from", "must be before to, by at most 366 days")
    }
    let path = try request.parameter("path") ?? ""
    let scope = try context.scope
    let report = try await BlockingWork.run { [station] in
      try IndicatorReport(of: station.ledger, from: from, to: to, path: path, scope: scope)
    }
    return Response(json: report.json.canonicalBytes())
  }
}
