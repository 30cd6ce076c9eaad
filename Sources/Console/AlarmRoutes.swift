import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Reading alarms: those that stand, lists, one with its history.
struct AlarmRoutes: Sendable {
  let station: any StationAccess
  let zone: TimeZone

  /// `GET /api/v1/alarms/standing`.
  func standing(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let scope = try context.scope
    let ledger = ScopedLedger(station.ledger, scope: scope)
    // Before the ledger is read: what is recorded in between is then in both lists, not in none.
    let station = station
    let (unrecorded, standing) = try await BlockingWork.run {
      let unrecorded = station.unrecorded.filter { scope.includes(enterprise: $0.enterprise) }
      return (unrecorded, try StandingAlarms(ledger))
    }
    return Response(
      json: JSONWriter.object { writer in
        standing.write(to: &writer)
        writer.key("unrecorded")
        writer.array(unrecorded) { writer, step in writer.object(step.write) }
      }
    )
  }

  /// `GET /api/v1/alarms`.
  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let query = try AlarmQuery(request)
    let page = try await query.page(of: ScopedLedger(station.ledger, scope: try context.scope))
    return Response(
      json: JSONWriter.object { writer in
        writer.key("alarms")
        writer.array(page.alarms) { writer, alarm in writer.object(alarm.write) }
        writer.member("next", page.next)
      }
    )
  }

  /// `GET /api/v1/alarms/{id}`.
  func one(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let id = try context.pathParameter("id")
    let ledger = ScopedLedger(station.ledger, scope: try context.scope)
    let (alarm, entries) = try await BlockingWork.run {
      (
        try ledger.alarm(id: id), try ledger.entries(of: id, after: 0, limit: Self.maximumSteps)
      )
    }
    guard let alarm else {
      throw Problem(.notFound, "unknown-alarm", "the ledger has no alarm \(id)")
    }
    return Response(
      json: JSONWriter.object { writer in
        alarm.write(to: &writer)
        writer.key("entries")
        writer.array(entries) { writer, entry in writer.object(entry.write) }
        writer.member("entriesComplete", entries.count < Self.maximumSteps)
      }
    )
  }

  /// `GET /api/v1/alarms.csv`: the list for a spreadsheet, by the same filters.
  func csv(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    var query = try AlarmQuery(request)
    query.limit = 500
    let table = AlarmTable(names: CatalogNames(station.catalog), zone: zone)
    let ledger = ScopedLedger(station.ledger, scope: try context.scope)
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/csv; charset=utf-8", .cacheControl: "no-store",
        .contentDisposition: "attachment; filename=\"davy-alarms.csv\"",
      ],
      body: ResponseBody { [query] writer in
        var query = query
        try await writer.write(ByteBuffer(bytes: table.head))
        var rows = 0
        while rows < Self.maximumRows {
          let page = try await query.page(of: ledger)
          var bytes: [UInt8] = []
          for alarm in page.alarms { table.append(alarm, to: &bytes) }
          rows += page.alarms.count
          if !bytes.isEmpty { try await writer.write(ByteBuffer(bytes: bytes)) }
          guard let next = page.next else { break }
          query.cursor = next
        }
        try await writer.finish(nil)
      }
    )
  }

  /// Most steps of one alarm in an answer; the rest is reached by `/entries`.
  static let maximumSteps = 500
  /// Most rows of an exported table: what a spreadsheet can hold.
  static let maximumRows = 1_000_000
}

/// The filters and the cursor of a list of alarms.
struct AlarmQuery: Sendable {
  var filter: AlarmFilter
  var cursor: Int64?
  var limit: Int

  init(_ request: Request) throws {
    try request.refuseOtherParameters(
      than: ["standing", "state", "priority", "point", "rule", "from", "to", "before", "limit"])
    filter = AlarmFilter()
    filter.standingOnly =
      try request.choice("standing", among: [("true", true), ("false", false)]) ?? false
    if let text = try request.parameter("state") {
      for word in text.split(separator: ",") {
        guard let state = AlarmBody.State(rawValue: String(word)) else {
          let words = AlarmBody.State.allCases.map(\.rawValue).joined(separator: ", ")
          throw Problem.parameter("state", "\(word) is not one of \(words)")
        }
        filter.states.insert(state)
      }
    }
    filter.minimumPriority = try request.integer("priority", in: 1...4).map(Int.init)
    filter.pointPaths = try request.parameter("point").map { [$0] } ?? []
    filter.rule = try request.parameter("rule")
    filter.onsetFrom = try request.moment("from")
    filter.onsetBefore = try request.moment("to")
    cursor = try request.integer("before", in: 1...Int64.max)
    limit = Int(try request.integer("limit", in: 1...500) ?? 100)
  }

  func page(of ledger: ScopedLedger) async throws -> AlarmPage {
    try await BlockingWork.run { [self] in
      try ledger.alarms(filter, before: cursor, limit: limit)
    }
  }
}
