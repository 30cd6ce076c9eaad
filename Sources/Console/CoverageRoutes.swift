import DeviceCatalog
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Whether what should be connected is (应联尽联).
struct CoverageRoutes: Sendable {
  let station: any StationAccess

  private func coverage(_ context: ConsoleContext) throws -> Coverage {
    let scope = try context.scope
    return Coverage(
      station.catalog,
      newest: station.latestReadings().map { reading in
        reading.map { Coverage.Newest(received: $0.received, status: $0.status) }
      },
      now: WallClock.now()
    ) { scope.includes(enterprise: $0) }
  }

  /// `GET /api/v1/coverage`.
  func counts(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let counts = try coverage(context).counts
    return Response(
      json: JSONWriter.object { writer in
        writer.member("time", WallClock.now().milliseconds)
        writer.member("started", station.status().started.milliseconds)
        writer.key("sites")
        writer.array(counts) { writer, count in
          writer.object { writer in
            writer.member("enterprise", count.enterprise)
            writer.member("site", count.site)
            writer.member("expected", count.expected)
            for state in Coverage.State.allCases {
              writer.member(state.rawValue, count.points[state] ?? 0)
            }
            writer.member("share", count.share)
            writer.member("devices", count.devices)
            writer.member("silentDevices", count.silentDevices)
          }
        }
      }
    )
  }

  /// `GET /api/v1/coverage/points`: those that do not report.
  func points(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["state", "below", "after", "limit"])
    let state = try request.choice(
      "state",
      among: Coverage.State.allCases.filter { $0 != .reporting }.map { ($0.rawValue, $0) }
    )
    let below = try request.parameter("below")
    let after = try request.parameter("after") ?? ""
    let limit = Int(try request.integer("limit", in: 1...1_000) ?? 200)
    let page = try coverage(context).missing.lazy.filter { point in
      point.path > after && state ?? point.state == point.state
        && (below.map { point.path == $0 || point.path.hasPrefix($0 + "/") } ?? true)
    }.prefix(limit + 1)
    let rows = Array(page)
    return Response(
      json: JSONWriter.object { writer in
        writer.key("points")
        writer.array(rows.prefix(limit)) { writer, point in
          writer.object { writer in
            writer.member("point", point.path)
            writer.member("state", point.state.rawValue)
            writer.member("received", point.received?.milliseconds)
          }
        }
        writer.member("next", rows.count > limit ? rows[limit - 1].path : nil)
      }
    )
  }
}
