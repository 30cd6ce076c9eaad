import Station

/// How batches and answers go by a broker: MQTT 5 request and response.
///
/// | | request | answer |
/// |---|---|---|
/// | topic | `davy/v1/relay/STATION/items` | `davy/v1/relay/STATION/outcomes` |
/// | payload | a ``RelayBatch`` | a ``RelayOutcome``, or problem details |
/// | correlation data | the sender's number for it | the same |
/// | user properties | `authorization: Bearer KEY` | `status`, `retry-after` |
enum RelayTopics {
  static let requests = "davy/v1/relay/+/items"
  static let authorization = "authorization"
  static let status = "status"
  static let retryAfter = "retry-after"

  static func items(_ station: String) -> String { "davy/v1/relay/\(station)/items" }

  static func outcomes(_ station: String) -> String { "davy/v1/relay/\(station)/outcomes" }

  /// The station that a topic of requests names; nil for any other topic.
  static func station(ofItems topic: [UInt8]) -> String? {
    let levels = String(decoding: topic, as: UTF8.self)
      .split(separator: "/", omittingEmptySubsequences: false)
    guard levels.count == 5, levels[..<3] == ["davy", "v1", "relay"], levels[4] == "items",
      !levels[3].isEmpty
    else { return nil }
    return String(levels[3])
  }

  /// The answer as user properties and payload.
  static func properties(of reply: RelayReply) -> [(String, String)] {
    var properties = [(status, "\(reply.status)")]
    if let wait = reply.retryAfter { properties.append((retryAfter, "\(wait)")) }
    return properties
  }

  /// The answer that a message is; nil when it says no status.
  static func reply(_ properties: [(String, String)], _ payload: [UInt8]) -> RelayReply? {
    guard let status = properties.first(where: { $0.0 == status }).flatMap({ Int($0.1) }) else {
      return nil
    }
    let wait = properties.first { $0.0 == retryAfter }.flatMap { Int($0.1) }
    return RelayReply(status: status, retryAfter: wait, body: payload)
  }

  /// The key in a message's properties; empty where there is none.
  static func key(in properties: [(String, String)]) -> String {
    let value = properties.first { $0.0 == authorization }?.1 ?? ""
    let parts = value.split(separator: " ", maxSplits: 1)
    return parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]) : ""
  }
}
