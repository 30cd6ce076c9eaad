import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Reports of days, months, quarters and years, as figures, as a table for a spreadsheet, and as a page to print.
struct ReportRoutes: Sendable {
  let station: any StationAccess
  let zone: TimeZone

  private enum Form: CaseIterable { case json, csv, xlsx, html }

  /// `GET /api/v1/reports/{period}`: `2026-01-31` for a day, `2026-01` for a month, `2026-Q1` for a quarter of the site's
  /// calendar.
  func report(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let (period, form) = try asked(request, context)
    let report = try await station.report(period, scope: try context.scope)
    return try Self.answer(report, report.table, form, name: "davy-\(period.label)", period)
  }

  /// `GET /api/v1/reports/{period}/hazards`: how many hazards came, went and stand, by area, sector, clause, enterprise.
  func hazards(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let (period, form) = try asked(request, context)
    let scope = try context.scope
    let statistics = try await BlockingWork.run { [station] in
      try HazardStatistics(
        period,
        catalog: station.catalog,
        ledger: station.ledger,
        scope: scope,
        now: WallClock.now()
      )
    }
    return try Self.answer(
      statistics,
      statistics.table,
      form,
      name: "davy-hazards-\(period.label)",
      period
    )
  }

  private func asked(
    _ request: Request,
    _ context: ConsoleContext
  ) throws -> (period: PlantReport.Period, form: Form) {
    try request.refuseOtherParameters(than: ["format"])
    let label = try context.pathParameter("period")
    let form =
      try request.choice("format", among: Form.allCases.map { ("\($0)", $0) }) ?? .json
    guard let period = PlantReport.Period(label, timeZone: zone) else {
      throw Problem.parameter(
        "period",
        "\(label) is no day (2026-01-31), month (2026-01), quarter (2026-Q1) or year (2026)"
      )
    }
    return (period, form)
  }

  /// The same figures in the form that was asked for.
  private static func answer(
    _ report: some Encodable,
    _ table: @autoclosure () -> ReportTable,
    _ form: Form,
    name: String,
    _ period: PlantReport.Period
  ) throws -> Response {
    switch form {
    case .json:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return Response(json: Array(try encoder.encode(report)))
    case .csv: return file(table().csv, "text/csv; charset=utf-8", "\(name).csv")
    case .xlsx:
      return file(
        table().xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "\(name).xlsx"
      )
    case .html:
      return Response(
        status: .ok,
        headers: [.contentType: "text/html; charset=utf-8", .cacheControl: "no-store"],
        body: ResponseBody(
          byteBuffer: ByteBuffer(bytes: table().html(subtitle: period.timeZone))
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
