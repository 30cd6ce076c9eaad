import Accounts
import HTTPTypes
public import HazardLedger
import Hummingbird
import NIOCore
import Station
import Telemetry

/// What goes from this station to others, as the console shows it; who runs it answers.
public protocol RelayAccess: Sendable {
  /// How passing on to the level above does; nil where nothing is passed on.
  var upward: HazardLedger.JSONValue? { get }
  /// How writing to the historian does; nil where there is none.
  var history: HazardLedger.JSONValue? { get }
}

/// Stations below and above: takes what those below pass on, and tells how things stand in both directions.
struct RelayRoutes: Sendable {
  let station: any StationAccess
  let relay: (any RelayAccess)?
  let door: RelayDoor

  /// `POST /api/v1/relay/items`: answered when this station's ledger has what came of it.
  func items(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(.relay)
    let mediaType = request.headers[.contentType] ?? ""
    guard mediaType.lowercased().split(separator: ";").first == "application/json" else {
      throw Problem(.unsupportedMediaType, "not-json", "send the batch as application/json")
    }
    let buffer: ByteBuffer
    do {
      buffer = try await request.body.collect(upTo: RelayDoor.maximumBody)
    } catch is NIOTooManyBytesError {
      throw RelayDoor.tooLarge
    }
    let caller = try context.signedIn
    return Response(json: try await door.take(Array(buffer.readableBytesView), from: caller))
  }

  /// `GET /api/v1/relay`.
  func status(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    try context.requireWholeStation()
    let peers = station.relay?.peers ?? [:]
    let relay = relay
    return Response(
      json: JSONWriter.object { writer in
        writer.member("time", WallClock.now().milliseconds)
        writer.key("upward")
        writer.raw((relay?.upward ?? .null).canonicalBytes())
        writer.key("historian")
        writer.raw((relay?.history ?? .null).canonicalBytes())
        writer.key("below")
        writer.array(peers.sorted { $0.key < $1.key }) { writer, item in
          writer.object { writer in
            writer.member("station", item.key)
            writer.member("sequence", item.value.sequence)
            writer.member("heard", item.value.heard.milliseconds)
            writer.member("silent", item.value.isSilent)
            writer.member("entries", item.value.entries)
            writer.member("readings", item.value.readings)
            writer.member("duplicates", item.value.duplicates)
            writer.member("refused", item.value.refused)
          }
        }
      }
    )
  }

  /// `GET /api/v1/relay/readings`: the newest reading of each point that stations below have passed on.
  func readings(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["after", "limit"])
    let after = try request.parameter("after") ?? ""
    let limit = Int(try request.integer("limit", in: 1...1_000) ?? 200)
    let page = station.relay?.newest(in: try context.scope, after: after, limit: limit) ?? []
    return Response(
      json: JSONWriter.object { writer in
        writer.key("readings")
        writer.array(page) { writer, newest in
          writer.object { writer in
            writer.member("station", newest.station)
            writer.member("point", newest.reading.point)
            writer.member("unit", newest.reading.unit)
            writer.member("time", newest.reading.time.milliseconds)
            writer.member("received", newest.received.milliseconds)
            writer.member("value", newest.reading.value)
            writer.member("status", newest.reading.status.word)
          }
        }
        writer.member("next", page.count == limit ? page.last?.reading.point : nil)
      }
    )
  }
}
