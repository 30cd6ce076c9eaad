import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// The ledger itself: its entries, what was refused, and whether the chain holds.
struct LedgerRoutes: Sendable {
  let station: any StationAccess

  /// `GET /api/v1/entries`.
  func entries(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["after", "limit", "subject"])
    let after = try request.integer("after", in: 0...Int64.max) ?? 0
    let limit = Int(try request.integer("limit", in: 1...1_000) ?? 100)
    let subject = try request.parameter("subject")
    let (entries, head) = try await BlockingWork.run { [station] in
      let entries =
        if let subject {
          try station.ledger.entries(of: subject, after: after, limit: limit)
        } else {
          try station.ledger.entries(after: after, limit: limit)
        }
      return (entries, try station.ledger.head.sequence)
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.key("entries")
        writer.array(entries) { writer, entry in writer.object(entry.write) }
        writer.member("head", head)
        writer.member("next", entries.count < limit ? nil : entries.last?.sequence)
      }
    )
  }

  /// `GET /api/v1/rejects`.
  func rejects(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["limit"])
    let limit = Int(try request.integer("limit", in: 1...1_000) ?? 200)
    let rejects = try await BlockingWork.run { [station] in
      try station.ledger.rejects(limit: limit)
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("total", station.status().rejects)
        writer.key("rejects")
        writer.array(rejects) { writer, reject in writer.object(reject.write) }
      }
    )
  }
}

extension RejectTally {
  /// Writes the tally's members; the sample as text where it is text, else as hexadecimal digits.
  func write(to writer: inout JSONWriter) {
    writer.member("reason", reason)
    writer.member("topic", topic)
    writer.member("device", device)
    writer.member("count", count)
    writer.member("firstSequence", firstSequence)
    writer.member("lastSequence", lastSequence)
    writer.member("firstTime", firstTime.milliseconds)
    writer.member("lastTime", lastTime.milliseconds)
    writer.member("detail", detail)
    if let text = String(validating: sample, as: UTF8.self) {
      writer.member("sample", text)
      writer.member("sampleEncoding", "utf-8")
    } else {
      writer.member("sample", sample.hexadecimal)
      writer.member("sampleEncoding", "hex")
    }
  }
}
