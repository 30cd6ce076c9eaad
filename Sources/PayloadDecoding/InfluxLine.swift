/// One line of InfluxDB line protocol, taken apart but not yet interpreted.
struct InfluxLine {
  struct Failure: Error {
    var offset: Int
    var detail: StaticString
  }

  /// Part of the line and whether it holds escapes.
  struct Token {
    var range: Range<Int>
    var isEscaped: Bool
  }

  enum Value {
    case number(Double)
    case notFinite
    case bool(Bool)
    case text(Token)
  }

  var measurement = Token(range: 0..<0, isEscaped: false)
  var tags: [(key: Token, value: Token)] = []
  var fields: [(key: Token, value: Value, range: Range<Int>)] = []
  var time: Int64?

  /// Reads the line at `position` and moves behind it; false for a blank line or a comment.
  mutating func read(_ bytes: ByteView, _ position: inout Int) throws(Failure) -> Bool {
    tags.removeAll(keepingCapacity: true)
    fields.removeAll(keepingCapacity: true)
    time = nil
    Self.skipSpaces(bytes, &position)
    guard position < bytes.count, !Self.isEnd(bytes[position]) else {
      Self.takeEnd(bytes, &position)
      return false
    }
    if bytes[position] == 0x23 {
      Self.skipLine(bytes, &position)
      return false
    }
    measurement = Self.token(bytes, &position, stopAtEquals: false)
    guard !measurement.range.isEmpty else {
      throw Failure(offset: position, detail: "no measurement")
    }
    while position < bytes.count, bytes[position] == 0x2C {
      position += 1
      let key = Self.token(bytes, &position, stopAtEquals: true)
      guard !key.range.isEmpty, position < bytes.count, bytes[position] == 0x3D else {
        throw Failure(offset: position, detail: "a tag without = and value")
      }
      position += 1
      let value = Self.token(bytes, &position, stopAtEquals: true)
      guard !value.range.isEmpty else {
        throw Failure(offset: position, detail: "a tag without value")
      }
      tags.append((key, value))
    }
    guard position < bytes.count, bytes[position] == 0x20 else {
      throw Failure(offset: position, detail: "no fields")
    }
    Self.skipSpaces(bytes, &position)
    while true {
      try field(bytes, &position)
      guard position < bytes.count, bytes[position] == 0x2C else { break }
      position += 1
    }
    Self.skipSpaces(bytes, &position)
    if position < bytes.count, !Self.isEnd(bytes[position]) {
      let start = position
      while position < bytes.count, !Self.isEnd(bytes[position]), bytes[position] != 0x20 {
        position += 1
      }
      guard let node = JSONNumber.parse(bytes[start..<position]), node.kind == .integer else {
        throw Failure(offset: start, detail: "a time that is not a whole number")
      }
      time = Int64(bitPattern: node.bits)
      Self.skipSpaces(bytes, &position)
    }
    guard position == bytes.count || Self.isEnd(bytes[position]) else {
      throw Failure(offset: position, detail: "something follows the time")
    }
    Self.takeEnd(bytes, &position)
    return true
  }

  private mutating func field(_ bytes: ByteView, _ position: inout Int) throws(Failure) {
    let key = Self.token(bytes, &position, stopAtEquals: true)
    guard !key.range.isEmpty, position < bytes.count, bytes[position] == 0x3D else {
      throw Failure(offset: position, detail: "a field without = and value")
    }
    position += 1
    let start = position
    guard start < bytes.count else { throw Failure(offset: start, detail: "a field without value") }
    if bytes[start] == 0x22 {
      position += 1
      var escaped = false
      while position < bytes.count, bytes[position] != 0x22 {
        if bytes[position] == 0x5C, position + 1 < bytes.count {
          escaped = true
          position += 1
        }
        position += 1
      }
      guard position < bytes.count else {
        throw Failure(offset: start, detail: "text without its closing quotation mark")
      }
      let token = Token(range: start + 1..<position, isEscaped: escaped)
      position += 1
      fields.append((key, .text(token), start..<position))
      return
    }
    while position < bytes.count, !Self.isEnd(bytes[position]), bytes[position] != 0x2C,
      bytes[position] != 0x20
    {
      position += 1
    }
    guard let value = Self.value(bytes[start..<position]) else {
      throw Failure(offset: start, detail: "neither a number nor true, false or quoted text")
    }
    fields.append((key, value, start..<position))
  }

  private static func value(_ text: ByteView) -> Value? {
    guard text.count > 0 else { return nil }
    switch text[text.count - 1] {
    case 0x69, 0x75:
      let digits = text[0..<text.count - 1]
      guard let node = JSONNumber.parse(digits) else { return word(text) }
      switch node.kind {
      case .integer:
        let value = Int64(bitPattern: node.bits)
        return text[text.count - 1] == 0x75 && value < 0 ? nil : .number(Double(value))
      // An unsigned number may go beyond Int64; the point and exponent of a float may not stand.
      case .double where digits.array.allSatisfy({ $0 == 0x2D || $0 &- 0x30 < 10 }):
        guard text[text.count - 1] == 0x75 else { return nil }
        return UInt64(digits.text).map { .number(Double($0)) }
      default: return nil
      }
    default:
      if let node = JSONNumber.parse(text) {
        switch node.kind {
        case .integer: return .number(Double(Int64(bitPattern: node.bits)))
        case .double: return .number(Double(bitPattern: node.bits))
        default: return .notFinite
        }
      }
      return word(text)
    }
  }

  /// Booleans, names of no number, and the numbers that JSON does not write (`+1`, `.5`, `007`).
  private static func word(_ text: ByteView) -> Value? {
    guard text.count <= 400 else { return nil }
    switch text.text {
    case "t", "T", "true", "True", "TRUE": return .bool(true)
    case "f", "F", "false", "False", "FALSE": return .bool(false)
    case let word:
      if text.namesNoNumber { return .notFinite }
      guard let number = JSONNumber.lenient(Array(word.utf8)) else { return nil }
      return number.isFinite ? .number(number) : .notFinite
    }
  }

  /// A name up to an unescaped comma, space, line end and, where asked, equals sign.
  private static func token(
    _ bytes: ByteView,
    _ position: inout Int,
    stopAtEquals: Bool
  ) -> Token {
    let start = position
    var escaped = false
    while position < bytes.count {
      let byte = bytes[position]
      if byte == 0x5C, position + 1 < bytes.count, !isEnd(bytes[position + 1]) {
        escaped = true
        position += 2
        continue
      }
      if byte == 0x2C || byte == 0x20 || isEnd(byte) || (stopAtEquals && byte == 0x3D) { break }
      position += 1
    }
    return Token(range: start..<min(position, bytes.count), isEscaped: escaped)
  }

  /// The bytes of a token; a backslash goes only where it protects something.
  static func text(_ token: Token, of bytes: ByteView, quoted: Bool = false) -> [UInt8] {
    guard token.isEscaped else { return bytes[token.range].array }
    var result: [UInt8] = []
    var index = token.range.lowerBound
    while index < token.range.upperBound {
      let byte = bytes[index]
      index += 1
      if byte == 0x5C, index < token.range.upperBound {
        let next = bytes[index]
        let protects =
          quoted ? next == 0x22 || next == 0x5C : next == 0x2C || next == 0x3D || next == 0x20
        if protects {
          result.append(next)
          index += 1
          continue
        }
      }
      result.append(byte)
    }
    return result
  }

  @inline(__always)
  static func isEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

  private static func skipSpaces(_ bytes: ByteView, _ position: inout Int) {
    while position < bytes.count, bytes[position] == 0x20 || bytes[position] == 0x09 {
      position += 1
    }
  }

  static func skipLine(_ bytes: ByteView, _ position: inout Int) {
    while position < bytes.count, bytes[position] != 0x0A { position += 1 }
    if position < bytes.count { position += 1 }
  }

  private static func takeEnd(_ bytes: ByteView, _ position: inout Int) {
    if position < bytes.count, bytes[position] == 0x0D { position += 1 }
    if position < bytes.count, bytes[position] == 0x0A { position += 1 }
  }
}
