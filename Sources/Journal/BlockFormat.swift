/// How the records of a block lie in memory and, compressed or not, on disk: record format 1.
///
/// A block is its records one after the other, without header, padding or trailer:
///
/// | field | size | meaning |
/// |---|---|---|
/// | tag | 1 byte | bits 0–2 kind (1–6), bits 3–4 quality of service (0–2), bit 5 retain, bit 6 duplicate, bit 7 has properties |
/// | received | varint, zigzag | receive time in ms less that of the record before; the first record's less 0 |
/// | topic size | varint | bytes of the topic |
/// | payload size | varint | bytes of the payload |
/// | properties size | varint | only when bit 7 of the tag is set: bytes of the properties, at least 2 |
/// | topic | topic size | as it came, any bytes |
/// | payload | payload size | as it came, any bytes |
/// | properties | properties size | name size (varint), name (UTF-8), value size (varint), value (UTF-8), and so on |
///
/// A *varint* is an unsigned 64-bit number in groups of seven bits, the lowest group first, bit 7 set
/// in every byte but the last: 1 to 10 bytes. *Zigzag* maps a signed number n to an unsigned one as
/// `(n << 1) ^ (n >> 63)`; differences and sums of receive times wrap.
///
/// The number of records, the size before compression, the codec and the checksum stand beside the
/// block, in the columns of its row (see ``Segment``).
package enum BlockFormat {
  /// Tag, a varint of ten bytes, three sizes.
  static let maximumHeaderSize = 1 + 4 * Varint.maximumSize

  /// A block no larger than this, before compression, is written and read: twice what MQTT's
  /// largest message (256 MiB) needs.
  static let maximumBlockSize = 512 << 20

  /// Why bytes are not a block.
  package enum Fault: Error, Equatable {
    case unknownKind(offset: Int)
    case reservedQualityOfService(offset: Int)
    case badVarint(offset: Int)
    case fieldBeyondEnd(offset: Int)
    case badProperties(offset: Int)
    case wrongRecordCount(found: Int, expected: Int)
    case bytesAfterLastRecord(offset: Int)
  }

  static func tag(
    kind: JournalInput.Kind,
    qos: UInt8,
    retain: Bool,
    duplicate: Bool,
    hasProperties: Bool
  ) -> UInt8 {
    kind.rawValue | qos << 3 | (retain ? 0x20 : 0) | (duplicate ? 0x40 : 0)
      | (hasProperties ? 0x80 : 0)
  }

  static func encodedSize(of properties: [(String, String)]) -> Int {
    var size = 0
    for (name, value) in properties {
      size += Varint.size(UInt64(name.utf8.count)) + name.utf8.count
      size += Varint.size(UInt64(value.utf8.count)) + value.utf8.count
    }
    return size
  }

  /// Finds the `count` records in the first `byteCount` bytes of the batch's arena.
  ///
  /// Every length is checked before it is used, so any bytes are safe to hand in.
  package static func index(_ batch: inout JournalBatch, byteCount: Int, count: Int) throws(Fault) {
    batch.removeAll()
    precondition(byteCount <= batch.bytes.count)
    // A record has at least four bytes, so a count that lies cannot make us reserve much.
    guard count <= byteCount / 4 else {
      throw .wrongRecordCount(found: byteCount / 4, expected: count)
    }
    batch.records.reserveCapacity(count)
    let bytes = batch.bytes
    let span = bytes.span.extracting(0..<byteCount)
    var at = 0
    var received: Int64 = 0
    for found in 0..<count {
      guard at < byteCount else { throw .wrongRecordCount(found: found, expected: count) }
      let record = try self.record(in: span, at: &at, previous: received)
      received = record.received
      batch.note(record)
    }
    guard at == byteCount else { throw .bytesAfterLastRecord(offset: at) }
    batch.byteCount = byteCount
  }

  private static func record(
    in span: Span<UInt8>,
    at: inout Int,
    previous: Int64
  ) throws(Fault) -> JournalBatch.Record {
    let start = at
    let tag = span[at]
    at += 1
    guard let kind = JournalInput.Kind(rawValue: tag & 7) else {
      throw .unknownKind(offset: start)
    }
    let qos = tag >> 3 & 3
    guard qos <= 2 else { throw .reservedQualityOfService(offset: start) }
    let delta = try varint(in: span, at: &at)
    let topicSize = try varint(in: span, at: &at)
    let payloadSize = try varint(in: span, at: &at)
    let propertiesSize = tag & 0x80 == 0 ? 0 : try varint(in: span, at: &at)
    let topic = try field(of: topicSize, in: span, at: &at)
    let payload = try field(of: payloadSize, in: span, at: &at)
    let properties = try field(of: propertiesSize, in: span, at: &at)
    if tag & 0x80 != 0 {
      guard !properties.isEmpty else { throw .badProperties(offset: properties.lowerBound) }
      var rest = properties
      while nextProperty(in: span, &rest) != nil {}
      guard rest.isEmpty else { throw .badProperties(offset: rest.lowerBound) }
    }
    return JournalBatch.Record(
      kind: kind,
      qos: qos,
      retain: tag & 0x20 != 0,
      duplicate: tag & 0x40 != 0,
      received: previous &+ Varint.unzigzag(delta),
      topic: topic,
      payload: payload,
      encodedProperties: properties
    )
  }

  /// Takes the next property off the front of `range`; nil, and `range` as it was, when none can be.
  static func nextProperty(in span: Span<UInt8>, _ range: inout Range<Int>) -> (String, String)? {
    guard !range.isEmpty else { return nil }
    var at = range.lowerBound
    let part = span.extracting(0..<range.upperBound)
    do throws(Fault) {
      let name = try string(in: part, at: &at)
      let value = try string(in: part, at: &at)
      range = at..<range.upperBound
      return (name, value)
    } catch {
      return nil
    }
  }

  private static func string(in span: Span<UInt8>, at: inout Int) throws(Fault) -> String {
    let start = at
    let size = try varint(in: span, at: &at)
    let range = try field(of: size, in: span, at: &at)
    let text = unsafe span.extracting(range).withUnsafeBufferPointer { bytes in
      unsafe String(validating: bytes, as: UTF8.self)
    }
    guard let text else { throw .badProperties(offset: start) }
    return text
  }

  private static func varint(in span: Span<UInt8>, at: inout Int) throws(Fault) -> UInt64 {
    guard let value = Varint.read(span, at: &at) else { throw .badVarint(offset: at) }
    return value
  }

  private static func field(
    of size: UInt64,
    in span: Span<UInt8>,
    at: inout Int
  ) throws(Fault) -> Range<Int> {
    guard size <= UInt64(span.count - at) else { throw .fieldBeyondEnd(offset: at) }
    let start = at
    at += Int(size)
    return start..<at
  }
}

extension BlockFormat.Fault: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unknownKind(let offset): "unknown kind of record at byte \(offset)"
    case .reservedQualityOfService(let offset): "quality of service 3 at byte \(offset)"
    case .badVarint(let offset): "number cut off or too long at byte \(offset)"
    case .fieldBeyondEnd(let offset): "field at byte \(offset) reaches beyond the block"
    case .badProperties(let offset): "malformed user property at byte \(offset)"
    case .wrongRecordCount(let found, let expected): "\(found) records instead of \(expected)"
    case .bytesAfterLastRecord(let offset): "bytes after the last record, from byte \(offset)"
    }
  }
}

/// Unsigned numbers in groups of seven bits, the lowest first.
enum Varint {
  static let maximumSize = 10

  static func size(_ value: UInt64) -> Int {
    value == 0 ? 1 : (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7
  }

  @inline(__always)
  static func zigzag(_ value: Int64) -> UInt64 {
    UInt64(bitPattern: value << 1 ^ value >> 63)
  }

  @inline(__always)
  static func unzigzag(_ value: UInt64) -> Int64 {
    Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  @inline(__always)
  static func write(_ value: UInt64, to arena: UnsafeMutableRawBufferPointer, at: inout Int) {
    precondition(at + maximumSize <= arena.count)
    var rest = value
    while rest > 0x7F {
      unsafe arena[at] = UInt8(truncatingIfNeeded: rest) | 0x80
      rest >>= 7
      at += 1
    }
    unsafe arena[at] = UInt8(truncatingIfNeeded: rest)
    at += 1
  }

  /// Reads a number; nil when it is cut off or does not fit 64 bits.
  @inline(__always)
  static func read(_ span: Span<UInt8>, at: inout Int) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while at < span.count {
      let byte = span[at]
      at += 1
      guard shift < 63 || byte <= 1 else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
}
