/// Reads the protocol buffers wire format, field after field; every step is checked.
struct ProtobufReader {
  struct Failure: Error {
    var offset: Int
    var detail: StaticString
  }

  enum Value {
    case varint(UInt64)
    case fixed32(UInt32)
    case fixed64(UInt64)
    case bytes(Range<Int>)
  }

  let bytes: ByteView
  private(set) var position: Int
  private let end: Int

  init(_ bytes: ByteView, _ range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  /// The next field; nil at the end.
  mutating func next() throws(Failure) -> (field: Int, value: Value)? {
    guard position < end else { return nil }
    let start = position
    let key = try varint()
    guard key >> 3 > 0, key >> 3 < 1 << 29, position - start <= 5 else {
      throw Failure(offset: start, detail: "a field number that cannot be")
    }
    let field = Int(key >> 3)
    switch key & 7 {
    case 0:
      return (field, .varint(try varint()))
    case 1:
      return (field, .fixed64(try fixed(8)))
    case 2:
      let length = try varint()
      guard length <= UInt64(end - position) else {
        throw Failure(offset: start, detail: "a field longer than what holds it")
      }
      let range = position..<position + Int(length)
      position = range.upperBound
      return (field, .bytes(range))
    case 5:
      return (field, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
    default:
      throw Failure(offset: start, detail: "a wire type that cannot be")
    }
  }

  private mutating func varint() throws(Failure) -> UInt64 {
    let start = position
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let byte = bytes[position]
      position += 1
      guard shift < 63 || byte <= 1 else {
        throw Failure(offset: start, detail: "a number of more than 64 bits")
      }
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
      shift += 7
      guard shift < 70 else {
        throw Failure(offset: start, detail: "a number of more than 64 bits")
      }
    }
    throw Failure(offset: start, detail: "the payload ends in the middle of a number")
  }

  private mutating func fixed(_ width: Int) throws(Failure) -> UInt64 {
    guard position + width <= end else {
      throw Failure(offset: position, detail: "the payload ends in the middle of a number")
    }
    var result: UInt64 = 0
    for index in 0..<width { result |= UInt64(bytes[position + index]) << UInt64(index * 8) }
    position += width
    return result
  }
}
