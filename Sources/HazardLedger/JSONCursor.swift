/// Reads JSON from bytes, token by token, so that a known flat body is decoded without a tree.
struct JSONCursor {
  private let bytes: [UInt8]
  private(set) var position = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Enters an object, or reports that the next value is none.
  mutating func beginObject() throws(JSONSyntaxError) {
    try expect(UInt8(ascii: "{"), "an object")
  }

  /// The next key of the object that is open, or nil at its end; `first` is true before the first.
  ///
  /// The key is handed out as the range of its bytes between the quotes, escapes untouched.
  mutating func nextKey(first: Bool) throws(JSONSyntaxError) -> Range<Int>? {
    skipSpace()
    if peek == UInt8(ascii: "}") {
      position += 1
      return nil
    }
    if !first { try expect(UInt8(ascii: ","), "a comma or the object's end") }
    skipSpace()
    try expect(UInt8(ascii: "\""), "a key")
    let start = position
    while let byte = peek, byte != UInt8(ascii: "\"") {
      position += byte == UInt8(ascii: "\\") ? 2 : 1
    }
    let range = start..<min(position, bytes.count)
    try expect(UInt8(ascii: "\""), "the key's closing quote")
    skipSpace()
    try expect(UInt8(ascii: ":"), "a colon")
    skipSpace()
    return range
  }

  /// True when the key's bytes are those of `name`.
  func key(_ range: Range<Int>, is name: [UInt8]) -> Bool {
    guard range.count == name.count else { return false }
    var at = range.lowerBound
    for byte in name {
      if bytes[at] != byte { return false }
      at += 1
    }
    return true
  }

  mutating func expectEnd() throws(JSONSyntaxError) {
    skipSpace()
    guard position == bytes.count else { throw fault("the text's end") }
  }

  mutating func readString() throws(JSONSyntaxError) -> String {
    try expect(UInt8(ascii: "\""), "a string")
    let start = position
    while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
      position += 1
    }
    if peek == UInt8(ascii: "\"") {
      let text = String(validating: bytes[start..<position], as: UTF8.self)
      guard let text else { throw fault("valid UTF-8 in the string before") }
      position += 1
      return text
    }
    return try readEscapedString(from: start)
  }

  private mutating func readEscapedString(from start: Int) throws(JSONSyntaxError) -> String {
    var plain = [UInt8](bytes[start..<position])
    while let byte = peek {
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: plain, as: UTF8.self) else {
          throw fault("valid UTF-8 in the string before")
        }
        return text
      case UInt8(ascii: "\\"): try readEscape(into: &plain)
      case 0..<0x20:
        position -= 1
        throw fault("no control character in a string")
      default: plain.append(byte)
      }
    }
    throw fault("a closing quote")
  }

  private mutating func readEscape(into plain: inout [UInt8]) throws(JSONSyntaxError) {
    guard let escape = peek else { throw fault("an escape") }
    position += 1
    switch escape {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): plain.append(escape)
    case UInt8(ascii: "b"): plain.append(0x08)
    case UInt8(ascii: "f"): plain.append(0x0c)
    case UInt8(ascii: "n"): plain.append(0x0a)
    case UInt8(ascii: "r"): plain.append(0x0d)
    case UInt8(ascii: "t"): plain.append(0x09)
    case UInt8(ascii: "u"):
      var code = try readFourHex()
      if (0xd800..<0xdc00).contains(code) {
        guard peek == UInt8(ascii: "\\") else { throw fault("the low surrogate's escape") }
        position += 1
        guard peek == UInt8(ascii: "u") else { throw fault("the low surrogate's escape") }
        position += 1
        let low = try readFourHex()
        guard (0xdc00..<0xe000).contains(low) else { throw fault("a low surrogate before") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw fault("no lone surrogate before") }
      plain.append(contentsOf: String(Character(scalar)).utf8)
    default:
      position -= 1
      throw fault("one of the escapes of JSON")
    }
  }

  private mutating func readFourHex() throws(JSONSyntaxError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Self.hexValue(byte) else { throw fault("a hex digit") }
      code = code << 4 | digit
      position += 1
    }
    return code
  }

  private static func hexValue(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  /// A number: whole when it is written without fraction and exponent and fits 64 bits.
  mutating func readNumber() throws(JSONSyntaxError) -> JSONValue {
    let start = position
    var isWhole = true
    var magnitude: UInt64 = 0
    var overflows = false
    let isNegative = peek == UInt8(ascii: "-")
    if isNegative { position += 1 }
    let firstDigit = position
    while let digit = digit {
      let (scaled, over) = magnitude.multipliedReportingOverflow(by: 10)
      let (sum, above) = scaled.addingReportingOverflow(UInt64(digit))
      magnitude = sum
      overflows = overflows || over || above
      position += 1
    }
    guard position > firstDigit else { throw fault("a value") }
    if position > firstDigit + 1, bytes[firstDigit] == UInt8(ascii: "0") {
      position = firstDigit
      throw fault("no leading zero")
    }
    if peek == UInt8(ascii: ".") {
      isWhole = false
      position += 1
      try skipDigits()
    }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      isWhole = false
      position += 1
      if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
      try skipDigits()
    }
    if isWhole, !overflows {
      if isNegative, magnitude == 0 { return .number(-0.0) }
      if isNegative, magnitude <= UInt64(Int64.max) + 1 {
        return .integer(Int64(truncatingIfNeeded: 0 &- magnitude))
      }
      if !isNegative, let whole = Int64(exactly: magnitude) { return .integer(whole) }
    }
    guard let value = Double(String(decoding: bytes[start..<position], as: UTF8.self)),
      value.isFinite
    else { throw fault("a number within the range of a double before") }
    return .number(value)
  }

  private mutating func skipDigits() throws(JSONSyntaxError) {
    guard digit != nil else { throw fault("a digit") }
    while digit != nil { position += 1 }
  }

  private var digit: UInt8? {
    guard let byte = peek, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
    return byte - UInt8(ascii: "0")
  }

  mutating func readValue(depth: Int = 0) throws(JSONSyntaxError) -> JSONValue {
    guard depth <= 64 else { throw fault("at most 64 levels") }
    skipSpace()
    switch peek {
    case UInt8(ascii: "{"):
      position += 1
      var members: [String: JSONValue] = [:]
      var first = true
      while let range = try nextKey(first: first) {
        first = false
        let name = try keyText(range)
        let value = try readValue(depth: depth + 1)
        guard members.updateValue(value, forKey: name) == nil else {
          throw fault("each key once, but \"\(name)\" is doubled before")
        }
      }
      return .object(members)
    case UInt8(ascii: "["): return .array(try readArray(depth: depth))
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try readNumber()
    }
  }

  private mutating func readArray(depth: Int) throws(JSONSyntaxError) -> [JSONValue] {
    position += 1
    var elements: [JSONValue] = []
    skipSpace()
    if peek == UInt8(ascii: "]") {
      position += 1
      return elements
    }
    while true {
      elements.append(try readValue(depth: depth + 1))
      skipSpace()
      if peek == UInt8(ascii: "]") {
        position += 1
        return elements
      }
      try expect(UInt8(ascii: ","), "a comma or the array's end")
    }
  }

  /// The text of a key that ``nextKey(first:)`` found, escapes resolved.
  private func keyText(_ range: Range<Int>) throws(JSONSyntaxError) -> String {
    var inner = self
    inner.position = range.lowerBound - 1
    return try inner.readString()
  }

  private mutating func literal(
    _ text: StaticString,
    _ value: JSONValue
  ) throws(JSONSyntaxError) -> JSONValue {
    for byte in text.description.utf8 { try expect(byte, "\"\(text)\"") }
    return value
  }

  private var peek: UInt8? {
    position < bytes.count ? bytes[position] : nil
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
      position += 1
    }
  }

  private mutating func expect(_ byte: UInt8, _ what: String) throws(JSONSyntaxError) {
    guard peek == byte else { throw fault(what) }
    position += 1
  }

  func fault(_ expected: String) -> JSONSyntaxError {
    JSONSyntaxError(offset: min(position, bytes.count), reason: "expected \(expected)")
  }
}
