import DeviceCatalog
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Readings: the newest of every channel, and trends.
struct ReadingRoutes: Sendable {
  let station: any StationAccess

  /// `GET /api/v1/readings/latest`.
  func latest(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let catalog = station.catalog
    let scope = try context.scope
    var readings = station.latestReadings()
    if scope != .everything {
      for row in readings.indices {
        let isOwn =
          row < catalog.channels.count
          && scope.includes(enterprise: catalog.channels[row].enterprise)
        if !isOwn { readings[row] = nil }
      }
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("catalog", catalog.version)
        writer.key("readings")
        writer.array(readings) { writer, reading in
          guard let reading else { return writer.null() }
          writer.object { writer in
            writer.member("time", reading.time.milliseconds)
            writer.member("received", reading.received.milliseconds)
            writer.member("value", reading.value)
            writer.member("status", reading.status.word)
          }
        }
      }
    )
  }

  /// `GET /api/v1/points/{path}/trend`.
  func trend(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["from", "to", "buckets"])
    let point = try context.pathParameter("path")
    guard let from = try request.moment("from"), let to = try request.moment("to") else {
      throw Problem.parameter("from, to", "both are needed, in milliseconds since the Unix epoch")
    }
    guard from < to else { throw Problem.parameter("to", "must be later than from") }
    let buckets = Int(try request.integer("buckets", in: 1...5_000) ?? 800)
    let unknown = Problem(.notFound, "unknown-point", "the catalog has no point \(point)")
    try context.requireInScope(path: point, else: unknown)
    let trend: [TrendBucket]
    do {
      trend = try await station.trend(point: point, from: from, to: to, buckets: buckets)
    } catch TrendError.unknownPoint {
      throw unknown
    } catch TrendError.unreadable(let reason) {
      throw Problem(.serviceUnavailable, "journal-unreadable", reason, retryAfter: 5)
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("point", point)
        writer.member("from", from.milliseconds)
        writer.member("to", to.milliseconds)
        writer.key("buckets")
        writer.array(trend) { writer, bucket in
          writer.object { writer in
            writer.member("start", bucket.start.milliseconds)
            writer.member("end", bucket.end.milliseconds)
            writer.member("minimum", bucket.minimum)
            writer.member("maximum", bucket.maximum)
            writer.member("first", bucket.first)
            writer.member("last", bucket.last)
            writer.member("count", bucket.count)
          }
        }
      }
    )
  }
}

extension SourceStatus {
  /// The status as the API names it.
  var word: String { "\(self)" }
}
