import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Reports of days and months, as figures, as a table for a spreadsheet, and as a page to print.
struct ReportRoutes: Sendable {
  let station: any StationAccess
  let zone: TimeZone

  private enum Form: CaseIterable { case json, csv, xlsx, html }

  /// `GET /api/v1/reports/{period}`: `2026-01-31` for a day, `2026-01` for a month of the site's calendar.
  func report(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["format"])
    let label = try context.pathParameter("period")
    let form =
      try request.choice("format", among: Form.allCases.map { ("\($0)", $0) }) ?? .json
    guard let period = PlantReport.Period(label, timeZone: zone) else {
      throw Problem.parameter(
        "period",
        "\(label) is neither a day (2026-01-31) nor a month (2026-01)"
      )
    }
    let report = try await station.report(period, scope: try context.scope)
    switch form {
    case .json:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return Response(json: Array(try encoder.encode(report)))
    case .csv:
      return Self.file(report.table.csv, "text/csv; charset=utf-8", "davy-\(label).csv")
    case .xlsx:
      return Self.file(
        report.table.xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "davy-\(label).xlsx"
      )
    case .html:
      return Response(
        status: .ok,
        headers: [.contentType: "text/html; charset=utf-8", .cacheControl: "no-store"],
        body: ResponseBody(
          byteBuffer: ByteBuffer(bytes: report.table.html(subtitle: period.timeZone))
        )
      )
    }
  }

  private static func file(_ bytes: [UInt8], _ type: String, _ name: String) -> Response {
    Response(
      status: .ok,
      headers: [
        .contentType: type, .cacheControl: "no-store",
        .contentDisposition: "attachment; filename=\"\(name)\"",
      ],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
    )
  }
}
