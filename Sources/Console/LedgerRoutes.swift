import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// The ledger itself: its entries, what was refused, and whether the chain holds.
struct LedgerRoutes: Sendable {
  let station: any StationAccess

  /// More than a store keeps.
  private static let mostRejects = 50_000

  /// `GET /api/v1/entries`.
  func entries(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["after", "limit", "subject"])
    let after = try request.integer("after", in: 0...Int64.max) ?? 0
    let limit = Int(try request.integer("limit", in: 1...1_000) ?? 100)
    let subject = try request.parameter("subject")
    let ledger = ScopedLedger(station.ledger, scope: try context.scope)
    let (entries, head) = try await BlockingWork.run {
      let entries =
        if let subject {
          try ledger.entries(of: subject, after: after, limit: limit)
        } else {
          try ledger.entries(after: after, limit: limit)
        }
      return (entries, try ledger.head)
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
    try request.refuseOtherParameters(than: ["limit", "before"])
    let limit = Int(try request.integer("limit", in: 1...1_000) ?? 200)
    let cursor = try request.parameter("before").map(RejectCursor.init(text:))
    let scope = try context.scope
    let catalog = station.catalog
    let all = try await BlockingWork.run { [station] in
      try station.ledger.rejects(limit: Self.mostRejects)
    }
    // What was refused belongs to whom its topic names; a topic that names nobody is the station's.
    let own =
      scope == .everything
      ? all
      : all.filter { reject in
        catalog.enterprise(ofTopic: reject.topic).map { scope.includes(enterprise: $0) } ?? false
      }
    let rest = own.drop { reject in cursor.map { RejectCursor(reject) <= $0 } ?? false }
    let page = rest.prefix(limit)
    let total =
      scope == .everything
      ? station.status().rejects : UInt64(own.reduce(0) { $0 + $1.count })
    return Response(
      json: JSONWriter.object { writer in
        writer.member("total", total)
        writer.key("rejects")
        writer.array(Array(page)) { writer, reject in writer.object(reject.write) }
        writer.member("next", rest.count > limit ? page.last.map { RejectCursor($0).text } : nil)
      }
    )
  }
}

/// A place in the list of refusals, newest first, as an opaque text.
struct RejectCursor: Comparable {
  private var lastSequence: UInt64
  private var reason: String
  private var topic: String
  private var device: String

  init(_ tally: RejectTally) {
    lastSequence = tally.lastSequence
    reason = tally.reason
    topic = tally.topic
    device = tally.device
  }

  init(text: String) throws {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let decoded = parts.dropFirst().map { part in
      [UInt8](hex: String(part)).map { String(decoding: $0, as: UTF8.self) }
    }
    guard parts.count == 4, let sequence = UInt64(parts[0]), let reason = decoded[0],
      let topic = decoded[1], let device = decoded[2]
    else { throw Problem.parameter("before", "is not the `next` of a page") }
    lastSequence = sequence
    self.reason = reason
    self.topic = topic
    self.device = device
  }

  var text: String {
    let names = [reason, topic, device].map { Array($0.utf8).hex }
    return "\(lastSequence).\(names.joined(separator: "."))"
  }

  static func < (one: RejectCursor, other: RejectCursor) -> Bool {
    if one.lastSequence != other.lastSequence { return one.lastSequence > other.lastSequence }
    let names = (one.reason, one.topic, one.device)
    return names < (other.reason, other.topic, other.device)
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
      writer.member("sample", sample.hex)
      writer.member("sampleEncoding", "hex")
    }
  }
}
