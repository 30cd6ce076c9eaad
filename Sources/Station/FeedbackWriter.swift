package import DeviceCatalog
package import HazardLedger
package import PayloadDecoding
import Telemetry

/// Tells gateways why what they sent was refused, so that whoever looks after one can mend it without access here.
///
/// A refusal goes to `davy/v1/{enterprise}/{gateway}/feedback` where a gateway of the register can be made out from
/// topic or device, else to ``general``. What it says is for the sender: it never quotes the payload. A flood costs at
/// most ``burst`` messages a gateway in each ``window``; what is held back is counted, and the next message says how
/// much it was.
///
/// Only a running station speaks: a replay has nobody to tell.
package struct FeedbackWriter {
  /// Where refusals go that belong to no gateway of the register.
  package static let general = "davy/v1/feedback"
  /// Messages for one gateway in a window.
  package static let burst = 10
  /// The window's length, milliseconds of monotonic time.
  package static let window: Int64 = 10_000

  private struct Allowance {
    var start: Int64
    var sent = 0
    /// Refusals held back since the last message.
    var heldBack: Int64 = 0
  }

  /// One for each gateway of the register that was told something, and one for all others together.
  private var allowances: [String: Allowance] = [:]

  /// Makes a writer that has told nobody anything.
  package init() {}

  /// Refusals that no message told of, so far.
  package private(set) var heldBack: UInt64 = 0

  /// The messages that tell of `rejects`, at monotonic time `now` in milliseconds.
  package mutating func messages(
    for rejects: [RejectTally],
    catalog: Catalog,
    at now: Int64
  ) -> [OutgoingMessage] {
    rejects.compactMap { message(for: $0, catalog: catalog, at: now) }
  }

  private mutating func message(
    for reject: RejectTally,
    catalog: Catalog,
    at now: Int64
  ) -> OutgoingMessage? {
    // What the service itself publishes must not be answered, should somebody subscribe it to that.
    guard !Self.isOwn(reject.topic) else { return nil }
    let owner = catalog.gateway(ofTopic: reject.topic, device: reject.device)
    let topic = owner.map { "davy/v1/\($0)/feedback" } ?? Self.general
    var allowance = allowances[topic] ?? Allowance(start: now)
    if now - allowance.start >= Self.window {
      allowance.start = now
      allowance.sent = 0
    }
    defer { allowances[topic] = allowance }
    guard allowance.sent < Self.burst else {
      allowance.heldBack += reject.count
      heldBack += UInt64(reject.count)
      return nil
    }
    allowance.sent += 1
    let before = allowance.heldBack
    allowance.heldBack = 0
    return OutgoingMessage(
      topic: Array(topic.utf8),
      payload: Self.payload(reject, heldBack: before),
      qos: 1
    )
  }

  private static func payload(_ reject: RejectTally, heldBack: Int64) -> [UInt8] {
    var members: [String: HazardLedger.JSONValue] = [
      "reason": .string(reject.reason),
      "topic": .string(reject.topic),
      "detail": .string(reject.detail),
      "count": .integer(reject.count),
      "received": .integer(reject.lastTime.milliseconds),
      "sequence": .integer(Int64(clamping: reject.lastSequence)),
    ]
    if let reason = RejectReason(rawValue: reject.reason) {
      members["remedy"] = .object([
        "en": .string(reason.remedy), "zh": .string(reason.remedyChinese),
      ])
    }
    if !reject.device.isEmpty { members["device"] = .string(reject.device) }
    if heldBack > 0 { members["heldBack"] = .integer(heldBack) }
    return HazardLedger.JSONValue.object(members).canonicalBytes()
  }

  private static func isOwn(_ topic: String) -> Bool {
    topic.hasSuffix("/feedback")
      || ["alarms", "standing", "status", "relay"].contains { topic.hasPrefix("davy/v1/\($0)/") }
  }
}

extension Catalog {
  /// The registered gateway, as `enterprise/gateway`, that a refused message belongs to; nil when there is none.
  func gateway(ofTopic topic: String, device: String) -> String? {
    let registered = { (name: String) in
      enterprises.contains { enterprise in
        enterprise.gateways.contains { "\(enterprise.id)/\($0.id)" == name }
      }
    }
    if let owner = owner(ofTopic: Array(topic.utf8)) { return registered(owner) ? owner : nil }
    // What was found wrong later than its message came (parts that never followed) has no topic, only a device.
    let owners = devices.filter { $0.id == device }
    guard owners.count == 1, let enterprise = owners[0].path.split(separator: "/").first else {
      return nil
    }
    return "\(enterprise)/\(owners[0].gateway)"
  }
}
