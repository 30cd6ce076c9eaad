/// A received message, copied out of its batch.
public struct MQTTMessage: Sendable {
  /// The topic name, raw.
  public var topic: [UInt8]
  /// The payload.
  public var payload: [UInt8]
  /// The quality of service that it was delivered with.
  public var qos: UInt8
  /// Whether it is a retained message, sent because of the subscription.
  public var retain: Bool
  /// Whether the broker says that it may have sent it before.
  ///
  /// Always false from `IntakeClient`:
  /// libmosquitto does not hand the DUP flag over, and MQTT does not let a receiver rely on it.
  public var duplicate: Bool
  /// The MQTT 5 user properties, in order.
  public var userProperties: [(String, String)]

  /// Creates a message.
  public init(
    topic: [UInt8],
    payload: [UInt8],
    qos: UInt8 = 0,
    retain: Bool = false,
    duplicate: Bool = false,
    userProperties: [(String, String)] = []
  ) {
    self.topic = topic
    self.payload = payload
    self.qos = qos
    self.retain = retain
    self.duplicate = duplicate
    self.userProperties = userProperties
  }
}

/// What MQTT 5 calls request and response: where an answer is to go, and what it is to carry.
public struct RequestProperties: Sendable, Equatable {
  /// The response topic; empty when the sender names none.
  public var responseTopic: String
  /// The correlation data, handed back as they came.
  public var correlation: [UInt8]

  /// Creates them.
  public init(responseTopic: String, correlation: [UInt8] = []) {
    self.responseTopic = responseTopic
    self.correlation = correlation
  }
}

/// Received messages in one flat store that is reused: no allocation a message once it has grown.
///
/// `batch.bytes.span.extracting(batch.payloadRange(at: i))` reads a payload where it lies.
public struct MessageBatch: Sendable {
  private struct Entry {
    var start: Int
    var topicLength: Int32
    var payloadLength: Int32
    var originalPayloadLength: Int32
    var properties: Int32
    var flags: UInt8
  }

  /// Topics and payloads, one after the other.
  public private(set) var bytes: [UInt8] = []
  private var entries: [Entry] = []
  private var properties: [[(String, String)]] = []
  private var requests: [Int: RequestProperties] = [:]

  /// Creates an empty batch.
  public init() {}

  /// The number of messages.
  public var count: Int { entries.count }
  /// Whether there is none.
  public var isEmpty: Bool { entries.isEmpty }
  /// The indices of the messages.
  public var indices: Range<Int> { entries.indices }

  /// Where a message's topic lies in `bytes`.
  public func topicRange(at index: Int) -> Range<Int> {
    let entry = entries[index]
    return entry.start..<entry.start + Int(entry.topicLength)
  }

  /// Where a message's payload lies in `bytes`.
  public func payloadRange(at index: Int) -> Range<Int> {
    let entry = entries[index]
    let start = entry.start + Int(entry.topicLength)
    return start..<start + Int(entry.payloadLength)
  }

  /// A copy of a message's topic.
  public func topic(at index: Int) -> [UInt8] { Array(bytes[topicRange(at: index)]) }
  /// A copy of a message's payload.
  public func payload(at index: Int) -> [UInt8] { Array(bytes[payloadRange(at: index)]) }
  /// Whether a message has neither user properties nor asks for an answer, and its payload is whole: as nearly every one.
  public func isPlain(at index: Int) -> Bool {
    let entry = entries[index]
    return entry.properties < 0 && entry.payloadLength == entry.originalPayloadLength
      && (requests.isEmpty || requests[index] == nil)
  }
  /// The quality of service that a message was delivered with.
  public func qos(at index: Int) -> UInt8 { entries[index].flags & 3 }
  /// Whether a message is a retained one, sent because of the subscription.
  public func retain(at index: Int) -> Bool { entries[index].flags & 4 != 0 }

  /// How long a payload was; more than its range holds when it was above the limit and was cut.
  public func originalPayloadLength(at index: Int) -> Int {
    Int(entries[index].originalPayloadLength)
  }

  /// A message's MQTT 5 user properties, in order.
  public func userProperties(at index: Int) -> [(String, String)] {
    let row = entries[index].properties
    return row < 0 ? [] : properties[Int(row)]
  }

  /// Where the sender of a message asks for an answer (MQTT 5); nil when it asks for none.
  public func request(at index: Int) -> RequestProperties? { requests[index] }

  /// A copy of a message.
  public subscript(index: Int) -> MQTTMessage {
    MQTTMessage(
      topic: topic(at: index),
      payload: payload(at: index),
      qos: qos(at: index),
      retain: retain(at: index),
      userProperties: userProperties(at: index)
    )
  }

  /// How many payloads were cut.
  var oversizeCount: Int {
    entries.count { $0.payloadLength != $0.originalPayloadLength }
  }

  /// Empties the batch and keeps its memory, unless one giant message made it grow far beyond need.
  public mutating func removeAll() {
    if bytes.capacity > 64 << 20 {
      bytes = []
    } else {
      bytes.removeAll(keepingCapacity: true)
    }
    entries.removeAll(keepingCapacity: true)
    properties.removeAll()
    requests.removeAll()
  }

  /// Appends a message; a payload above `maximum` is cut to `sample` bytes and keeps its true length.
  package mutating func append(
    topic: UnsafeRawBufferPointer,
    payload: UnsafeRawBufferPointer,
    flags: UInt8,
    properties pairs: [(String, String)],
    request: RequestProperties? = nil,
    maximum: Int,
    sample: Int
  ) {
    if let request { requests[entries.count] = request }
    let kept = payload.count > maximum ? sample : payload.count
    var row: Int32 = -1
    if !pairs.isEmpty {
      row = Int32(properties.count)
      properties.append(pairs)
    }
    entries.append(
      Entry(
        start: bytes.count,
        topicLength: Int32(topic.count),
        payloadLength: Int32(kept),
        originalPayloadLength: Int32(payload.count),
        properties: row,
        flags: flags
      )
    )
    unsafe bytes.append(contentsOf: topic)
    unsafe bytes.append(contentsOf: payload[..<kept])
  }

  /// Appends all messages of another batch.
  mutating func append(contentsOf other: borrowing MessageBatch) {
    let byteOffset = bytes.count
    let rowOffset = Int32(properties.count)
    let entryOffset = entries.count
    for (index, request) in other.requests { requests[entryOffset + index] = request }
    bytes.append(contentsOf: other.bytes)
    properties.append(contentsOf: other.properties)
    for var entry in other.entries {
      entry.start += byteOffset
      if entry.properties >= 0 { entry.properties += rowOffset }
      entries.append(entry)
    }
  }
}
