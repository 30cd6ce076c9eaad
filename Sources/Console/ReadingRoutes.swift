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
    try context.requireInScope(path: point, else: Self.problem(.unknownPoint(point)))
    let trend: [TrendBucket]
    do {
      trend = try await station.trend(point: point, from: from, to: to, buckets: buckets)
    } catch {
      throw Self.problem(error)
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
            writer.member("bad", bucket.bad)
          }
        }
      }
    )
  }

  /// `GET /api/v1/points/{path}/readings`: the readings that an alarm was decided on, with the messages that
  /// brought them.
  func readings(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["through", "limit"])
    let point = try context.pathParameter("path")
    guard let through = try request.integer("through", in: 1...Int64.max) else {
      throw Problem.parameter("through", "is needed: the journal sequence to look back from")
    }
    let limit = Int(try request.integer("limit", in: 1...500) ?? 20)
    try context.requireInScope(path: point, else: Self.problem(.unknownPoint(point)))
    let readings: [RecordedReading]
    do {
      readings = try await station.readings(point: point, through: UInt64(through), limit: limit)
    } catch {
      throw Self.problem(error)
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("point", point)
        writer.key("readings")
        writer.array(readings) { writer, recorded in
          writer.object { writer in
            writer.member("sequence", recorded.sequence)
            writer.member("topic", recorded.topic)
            writer.member("time", recorded.reading.time.milliseconds)
            writer.member("received", recorded.reading.received.milliseconds)
            writer.member("value", recorded.reading.value)
            writer.member("status", recorded.reading.status.word)
          }
        }
      }
    )
  }

  /// `GET /api/v1/readings/recent`: what came since, of the channels that a page shows, in one answer.
  func recent(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["channels", "after"])
    let catalog = station.catalog
    let scope = try context.scope
    var channels: [Int] = []
    for word in (try request.parameter("channels") ?? "").split(separator: ",") {
      guard let channel = Int(word), catalog.channels.indices.contains(channel),
        scope.includes(enterprise: catalog.channels[channel].enterprise)
      else {
        throw Problem.parameter("channels", "\(word) is not a channel of the catalog")
      }
      channels.append(channel)
    }
    guard (1...Self.maximumChannels).contains(channels.count) else {
      throw Problem.parameter("channels", "name 1 to \(Self.maximumChannels), comma-separated")
    }
    let after = try request.moment("after") ?? Timestamp(milliseconds: 0)
    let lists = station.recentReadings(channels: channels, after: after)
    return Response(
      json: JSONWriter.object { writer in
        writer.member("catalog", catalog.version)
        writer.key("channels")
        writer.array(zip(channels, lists)) { writer, item in
          writer.object { writer in
            writer.member("channel", item.0)
            // Columns, not objects: a page takes them into its chart as they are.
            let readings = item.1.suffix(Self.maximumRecent)
            writer.member("left", item.1.count - readings.count)
            writer.key("time")
            writer.array(readings) { $0.integer($1.time.milliseconds) }
            writer.key("received")
            writer.array(readings) { $0.integer($1.received.milliseconds) }
            writer.key("value")
            writer.array(readings) { writer, reading in
              if reading.status.use == .noValue {
                writer.null()
              } else {
                writer.number(reading.value)
              }
            }
          }
        }
      }
    )
  }

  /// `GET /api/v1/health/hours`: the matrix of devices and hours.
  func hours(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["point"])
    let place = try request.parameter("point")
    let scope = try context.scope
    let book = station.deviceHours()
    let last = (book.newest?.milliseconds ?? 0) / 3_600_000
    let hours = (last - Int64(DeviceHours.hours) + 1)...last
    let rows = book.rows.filter { row in
      scope.includes(path: row.path)
        && (place.map { row.path == $0 || row.path.hasPrefix($0 + "/") } ?? true)
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("since", book.since?.milliseconds)
        writer.member("newest", book.newest?.milliseconds)
        writer.key("hours")
        writer.array(hours) { $0.integer($1 * 3_600_000) }
        writer.member("left", max(0, rows.count - Self.maximumDevices))
        writer.key("devices")
        writer.array(rows.prefix(Self.maximumDevices)) { writer, row in
          writer.object { writer in
            writer.member("path", row.path)
            writer.member("newest", row.newest?.milliseconds)
            writer.member("staleAfter", row.staleAfter)
            writer.key("cells")
            writer.array(hours) { writer, hour in
              let cell = row.cell(hour: hour)
              writer.array { writer in
                writer.integer(cell.count)
                writer.integer(cell.bad)
                writer.integer(cell.late)
                writer.integer(cell.gap)
              }
            }
          }
        }
      }
    )
  }

  /// Most devices of one matrix.
  static let maximumDevices = 1_000

  /// Most channels of one answer, and most readings of each.
  static let maximumChannels = 100
  static let maximumRecent = 10_000

  private static func problem(_ error: TrendError) -> Problem {
    switch error {
    case .unknownPoint(let name):
      Problem(.notFound, "unknown-point", "the catalog has no point \(name)")
    case .unreadable(let reason):
      Problem(.serviceUnavailable, "journal-unreadable", reason, retryAfter: 5)
    }
  }
}

extension SourceStatus {
  /// The status as the API names it.
  var word: String { "\(self)" }
}
