/// Inputs in one flat arena: what a group commit writes and what reading back returns.
///
/// Appending a message copies its bytes once, into the very layout that the block will have on disk
/// (see ``BlockFormat``), and allocates nothing once the batch is warm. The same batch may be read
/// by the decoder while the journal commits it: fields are ranges into ``bytes``.
///
/// ```swift
/// let bytes = batch.bytes
/// for record in batch.records {
///   decode(topic: bytes[record.topic], payload: bytes[record.payload])
/// }
/// ```
public struct JournalBatch: Sendable {
  /// One record of a batch: its small fields, and where its bytes lie in ``JournalBatch/bytes``.
  public struct Record: Equatable, Sendable {
    /// What the input is.
    public var kind: JournalInput.Kind
    /// MQTT quality of service.
    public var qos: UInt8
    /// MQTT retain flag.
    public var retain: Bool
    /// MQTT duplicate flag.
    public var duplicate: Bool
    /// Receive time by the server's clock, milliseconds since the Unix epoch.
    public var received: Int64
    /// Where the topic lies.
    public var topic: Range<Int>
    /// Where the payload lies.
    public var payload: Range<Int>
    /// Where the encoded user properties lie; empty when there are none.
    public var encodedProperties: Range<Int>
  }

  /// The arena: ``byteCount`` bytes in the block format, after them bytes without meaning.
  public package(set) var bytes: [UInt8] = []
  /// How many bytes of the arena are in use.
  public internal(set) var byteCount = 0
  /// The records in order.
  public internal(set) var records: [Record] = []
  /// Earliest receive time; `Int64.max` when empty.
  public internal(set) var earliestReceived = Int64.max
  /// Latest receive time; `Int64.min` when empty.
  public internal(set) var latestReceived = Int64.min

  /// Makes an empty batch.
  public init() {}

  /// Makes a batch of inputs.
  public init(_ inputs: [JournalInput]) {
    for input in inputs { append(input) }
  }

  /// How many records the batch holds.
  public var count: Int { records.count }

  /// True when the batch holds no record.
  public var isEmpty: Bool { records.isEmpty }

  /// Empties the batch for reuse; capacity stays.
  public mutating func removeAll() {
    byteCount = 0
    records.removeAll(keepingCapacity: true)
    earliestReceived = .max
    latestReceived = .min
  }

  /// Adds an input.
  public mutating func append(_ input: JournalInput) {
    append(
      kind: input.kind,
      received: input.received,
      topic: input.topic.span,
      payload: input.payload.span,
      qos: input.qos,
      retain: input.retain,
      duplicate: input.duplicate,
      properties: input.properties
    )
  }

  /// Adds an input from bytes that lie elsewhere, for example in the MQTT library's buffer.
  ///
  /// - Precondition: `qos` is 0, 1 or 2.
  public mutating func append(
    kind: JournalInput.Kind = .message,
    received: Int64,
    topic: Span<UInt8>,
    payload: Span<UInt8>,
    qos: UInt8 = 0,
    retain: Bool = false,
    duplicate: Bool = false,
    properties: [(String, String)] = []
  ) {
    precondition(qos <= 2, "MQTT knows the qualities of service 0, 1 and 2")
    let propertiesSize = BlockFormat.encodedSize(of: properties)
    grow(
      by: BlockFormat.maximumHeaderSize + topic.count + payload.count + propertiesSize
        + Varint.maximumSize
    )

    let previous = records.last?.received ?? 0
    let tag = BlockFormat.tag(
      kind: kind,
      qos: qos,
      retain: retain,
      duplicate: duplicate,
      hasProperties: propertiesSize > 0
    )
    var at = byteCount
    var topicStart = 0
    unsafe bytes.withUnsafeMutableBytes { arena in
      unsafe arena[at] = tag
      at += 1
      unsafe Varint.write(Varint.zigzag(received &- previous), to: arena, at: &at)
      unsafe Varint.write(UInt64(topic.count), to: arena, at: &at)
      unsafe Varint.write(UInt64(payload.count), to: arena, at: &at)
      if propertiesSize > 0 { unsafe Varint.write(UInt64(propertiesSize), to: arena, at: &at) }
      topicStart = at
      unsafe copy(topic, to: arena, at: &at)
      unsafe copy(payload, to: arena, at: &at)
      for (name, value) in properties {
        unsafe Varint.write(UInt64(name.utf8.count), to: arena, at: &at)
        unsafe copy(name.utf8.span, to: arena, at: &at)
        unsafe Varint.write(UInt64(value.utf8.count), to: arena, at: &at)
        unsafe copy(value.utf8.span, to: arena, at: &at)
      }
    }
    let payloadStart = topicStart + topic.count
    let propertiesStart = payloadStart + payload.count
    note(
      Record(
        kind: kind,
        qos: qos,
        retain: retain,
        duplicate: duplicate,
        received: received,
        topic: topicStart..<payloadStart,
        payload: payloadStart..<propertiesStart,
        encodedProperties: propertiesStart..<at
      )
    )
    byteCount = at
  }

  /// Adds a record of another batch.
  public mutating func append(from other: borrowing JournalBatch, at index: Int) {
    let record = other.records[index]
    let span = other.bytes.span
    append(
      kind: record.kind,
      received: record.received,
      topic: span.extracting(record.topic),
      payload: span.extracting(record.payload),
      qos: record.qos,
      retain: record.retain,
      duplicate: record.duplicate,
      properties: other.properties(at: index)
    )
  }

  /// The user properties of a record.
  public func properties(at index: Int) -> [(String, String)] {
    var range = records[index].encodedProperties
    var properties: [(String, String)] = []
    while let property = BlockFormat.nextProperty(in: bytes.span, &range) {
      properties.append(property)
    }
    return properties
  }

  /// A record as a value of its own.
  public func input(at index: Int) -> JournalInput {
    let record = records[index]
    return JournalInput(
      kind: record.kind,
      received: record.received,
      topic: Array(bytes[record.topic]),
      payload: Array(bytes[record.payload]),
      qos: record.qos,
      retain: record.retain,
      duplicate: record.duplicate,
      properties: properties(at: index)
    )
  }

  /// True when the two records say the same, bit for bit.
  func equals(at index: Int, _ other: borrowing JournalBatch, at otherIndex: Int) -> Bool {
    let (mine, theirs) = (records[index], other.records[otherIndex])
    return mine.kind == theirs.kind && mine.received == theirs.received && mine.qos == theirs.qos
      && mine.retain == theirs.retain && mine.duplicate == theirs.duplicate
      && bytes[mine.topic] == other.bytes[theirs.topic]
      && bytes[mine.payload] == other.bytes[theirs.payload]
      && bytes[mine.encodedProperties] == other.bytes[theirs.encodedProperties]
  }

  /// Keeps only the records of `range`.
  mutating func trim(to range: Range<Int>) {
    guard range != 0..<count else { return }
    var kept = JournalBatch()
    for index in range { kept.append(from: self, at: index) }
    self = kept
  }

  mutating func note(_ record: Record) {
    records.append(record)
    earliestReceived = min(earliestReceived, record.received)
    latestReceived = max(latestReceived, record.received)
  }

  /// Makes the arena at least `size` bytes large, whatever it holds.
  mutating func makeRoom(for size: Int) {
    removeAll()
    grow(by: size)
  }

  /// Makes room at once for messages to come: so many of them, with so many bytes of topics and payloads.
  public mutating func reserve(messages: Int, bytes: Int) {
    records.reserveCapacity(records.count + messages)
    grow(by: bytes + messages * (BlockFormat.maximumHeaderSize + Varint.maximumSize))
  }

  /// Makes room for `size` more bytes; doubling, so that a message costs its own copy only.
  private mutating func grow(by size: Int) {
    let missing = byteCount + size - bytes.count
    guard missing > 0 else { return }
    let (size, kept) = (bytes.count + max(missing, bytes.count, 4096), byteCount)
    bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { larger, count in
      unsafe bytes.withUnsafeBytes { bytes in
        unsafe UnsafeMutableRawBufferPointer(larger)
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<kept]))
      }
      unsafe larger[kept...].initialize(repeating: 0)
      count = size
    }
  }
}

@inline(__always)
private func copy(_ source: Span<UInt8>, to arena: UnsafeMutableRawBufferPointer, at: inout Int) {
  guard !source.isEmpty else { return }
  precondition(at + source.count <= arena.count)
  unsafe source.withUnsafeBytes { bytes in
    unsafe UnsafeMutableRawBufferPointer(rebasing: arena[at..<at + bytes.count])
      .copyMemory(from: bytes)
  }
  at += source.count
}
