/// What of a Sparkplug B payload the host needs, read from the wire format.
///
/// Hand-written against `sparkplug_b.proto` of Sparkplug 3.0 for the fields used; all others are
/// passed over.
package struct SparkplugPayload {
  enum Value {
    case none
    case integer(UInt64)
    case double(Double)
    case bool(Bool)
    /// Text, bytes, data sets, templates.
    case other
  }

  struct Metric {
    var name: Range<Int>?
    var alias: UInt64?
    var timestamp: UInt64?
    var datatype: UInt64 = 0
    var isHistorical = false
    var isNull = false
    var properties: Range<Int>?
    var value = Value.none
  }

  var timestamp: UInt64?
  var sequence: UInt64?
  var metrics: [Metric] = []

  init(_ bytes: ByteView, metricsLimit: Int) throws(ProtobufReader.Failure) {
    var reader = ProtobufReader(bytes, 0..<bytes.count)
    while let (field, value) = try reader.next() {
      switch (field, value) {
      case (1, .varint(let number)): timestamp = number
      case (2, .bytes(let range)):
        guard metrics.count < metricsLimit else {
          throw ProtobufReader.Failure(
            offset: range.lowerBound,
            detail: "more metrics than the limit"
          )
        }
        metrics.append(try Self.metric(bytes, range))
      case (3, .varint(let number)): sequence = number
      default: break
      }
    }
  }

  private static func metric(
    _ bytes: ByteView,
    _ range: Range<Int>
  ) throws(ProtobufReader.Failure) -> Metric {
    var metric = Metric()
    var reader = ProtobufReader(bytes, range)
    while let (field, value) = try reader.next() {
      switch (field, value) {
      case (1, .bytes(let range)): metric.name = range
      case (2, .varint(let number)): metric.alias = number
      case (3, .varint(let number)): metric.timestamp = number
      case (4, .varint(let number)): metric.datatype = number
      case (5, .varint(let number)): metric.isHistorical = number != 0
      case (7, .varint(let number)): metric.isNull = number != 0
      case (9, .bytes(let range)): metric.properties = range
      case (10, .varint(let number)), (11, .varint(let number)): metric.value = .integer(number)
      case (12, .fixed32(let bits)): metric.value = .double(Double(Float(bitPattern: bits)))
      case (13, .fixed64(let bits)): metric.value = .double(Double(bitPattern: bits))
      case (14, .varint(let number)): metric.value = .bool(number != 0)
      case (15...19, .bytes): metric.value = .other
      default: break
      }
    }
    return metric
  }

  /// A metric's number by its data type; nil for text and other types that are no number.
  static func number(_ value: Value, datatype: UInt64) -> Double? {
    switch value {
    case .integer(let bits):
      switch datatype {
      case 1: Double(Int8(truncatingIfNeeded: bits))
      case 2: Double(Int16(truncatingIfNeeded: bits))
      case 3: Double(Int32(truncatingIfNeeded: bits))
      case 4: Double(Int64(bitPattern: bits))
      default: Double(bits)
      }
    case .double(let number): number
    case .bool(let bool): bool ? 1 : 0
    case .none, .other: nil
    }
  }

  /// The property `name` as text: numbers in decimal, `null` for one that is there and says nothing readable; nil where the
  /// metric has none.
  static func property(
    _ name: [UInt8],
    of bytes: ByteView,
    _ range: Range<Int>
  ) throws(ProtobufReader.Failure) -> [UInt8]? {
    var reader = ProtobufReader(bytes, range)
    var keys = 0
    var wanted: Int?
    var values: [Range<Int>] = []
    while let (field, value) = try reader.next() {
      switch (field, value) {
      case (1, .bytes(let range)):
        if bytes[range].equals(name) { wanted = keys }
        keys += 1
      case (2, .bytes(let range)): values.append(range)
      default: break
      }
    }
    guard let wanted else { return nil }
    var text = Array("null".utf8)
    guard wanted < values.count else { return text }
    func decimal(_ number: Double) -> [UInt8] {
      Array((Int64(exactly: number).map { "\($0)" } ?? "\(number)").utf8)
    }
    var type: UInt64 = 0
    var content = ProtobufReader(bytes, values[wanted])
    while let (field, value) = try content.next() {
      switch (field, value) {
      case (1, .varint(let number)): type = number
      case (3, .varint(let number)), (4, .varint(let number)):
        let signed = self.number(.integer(number), datatype: type) ?? 0
        text = Array("\(Int64(exactly: signed) ?? Int64(truncatingIfNeeded: number))".utf8)
      case (5, .fixed32(let bits)): text = decimal(Double(Float(bitPattern: bits)))
      case (6, .fixed64(let bits)): text = decimal(Double(bitPattern: bits))
      case (7, .varint(let number)): text = Array((number != 0 ? "true" : "false").utf8)
      case (8, .bytes(let range)): text = bytes[range].array
      default: break
      }
    }
    return text
  }

  /// The payload of an NCMD that asks a node to send its births again.
  static func rebirthRequest(at milliseconds: Int64) -> [UInt8] {
    func varint(_ number: UInt64) -> [UInt8] {
      var result: [UInt8] = []
      var rest = number
      while rest >= 0x80 {
        result.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      return result + [UInt8(rest)]
    }
    let time = varint(UInt64(max(milliseconds, 0)))
    let name = Array("Node Control/Rebirth".utf8)
    var metric: [UInt8] = [0x0A] + varint(UInt64(name.count)) + name
    metric += [0x18] + time + [0x20, 11, 0x70, 1]
    return [0x08] + time + [0x12] + varint(UInt64(metric.count)) + metric
  }
}
