public import Telemetry

/// One message or one reading that was refused, with what its sender needs to repair it.
public struct Reject: Hashable, Sendable {
  /// Why.
  public var reason: RejectReason
  /// Device as named by the payload or topic; empty when not known.
  public var device: String
  /// Point as named by the payload or topic; empty when not known.
  public var point: String
  /// Where: a JSON pointer (`/readings/3/v`), `byte 17`, `line 2`, or empty for the whole message.
  public var place: String
  /// What was found there.
  public var detail: String
  /// True when nothing of the message was used.
  public var wholeMessage: Bool
  /// How many readings were refused alike; above the notes limit, equal reasons are merged.
  public var count: Int

  /// Makes a reject.
  public init(
    reason: RejectReason,
    device: String = "",
    point: String = "",
    place: String = "",
    detail: String = "",
    wholeMessage: Bool = false,
    count: Int = 1
  ) {
    self.reason = reason
    self.device = device
    self.point = point
    self.place = place
    self.detail = detail
    self.wholeMessage = wholeMessage
    self.count = count
  }

  /// What the sender should do, in English.
  public var remedy: String { reason.remedy }

  /// What the sender should do, in Chinese.
  public var remedyChinese: String { reason.remedyChinese }
}

/// Something worth a record that cost no reading.
public struct DecodingEvent: Hashable, Sendable {
  /// What happened: a bounded list with stable wire names.
  public enum Kind: String, CaseIterable, Hashable, Sendable {
    /// A status code that no table of the source explains; the reading was passed on as unknown.
    case unmappedStatus
    /// A Sparkplug node or device was born.
    case born
    /// A Sparkplug node or device died; its channels are stale.
    case died
    /// A death certificate that belongs to an earlier session was ignored.
    case staleDeathIgnored
    /// Sparkplug messages are missing.
    case sequenceGap
    /// A part that was already here came again, or a frame came twice.
    case duplicatePart
    /// A gateway's command, answer or heartbeat that carries no reading.
    case control
  }
  /// What happened.
  public var kind: Kind
  /// Device or node concerned.
  public var device: String
  /// Point concerned; may be empty.
  public var point: String
  /// What was found.
  public var detail: String
  /// How many there were; above the notes limit, equal events are merged.
  public var count: Int

  /// Makes an event.
  public init(
    kind: Kind,
    device: String = "",
    point: String = "",
    detail: String = "",
    count: Int = 1
  ) {
    self.kind = kind
    self.device = device
    self.point = point
    self.detail = detail
    self.count = count
  }
}

/// A message that the protocol asks the service to send: a rebirth request, an HJ 212 reply.
public struct OutgoingMessage: Hashable, Sendable {
  /// Topic name.
  public var topic: [UInt8]
  /// Payload.
  public var payload: [UInt8]
  /// Quality of service.
  public var qos: UInt8

  /// Makes a message.
  public init(topic: [UInt8], payload: [UInt8], qos: UInt8) {
    self.topic = topic
    self.payload = payload
    self.qos = qos
  }
}

/// What decoding a message left beside its readings.
public enum DecodingNote: Hashable, Sendable {
  /// A message or reading was refused.
  case reject(Reject)
  /// Something worth a record.
  case event(DecodingEvent)
  /// The protocol asks for this answer; a replay does not send it.
  case publish(OutgoingMessage)
  /// The source says that these channels have no current value (a death certificate).
  case stale(channels: [ChannelIndex], at: Timestamp)

  /// The reject, if the note is one.
  public var reject: Reject? {
    if case .reject(let reject) = self { reject } else { nil }
  }
}
