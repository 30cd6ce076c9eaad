/// A JSON value as the bodies of ledger entries use it.
///
/// Integers and doubles are kept apart while a value is built, but ``canonicalBytes()`` writes the
/// double 3.0 as `3`, so that equal numbers have equal bytes.
public enum JSONValue: Hashable, Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A whole number.
  case integer(Int64)
  /// Any other number; one that is not finite is written as `null`.
  case number(Double)
  /// A string.
  case string(String)
  /// An array.
  case array([JSONValue])
  /// An object; key order is of no meaning and is sorted when written.
  case object([String: JSONValue])

  /// The one way this value is written: see ``CanonicalWriter``.
  public func canonicalBytes() -> [UInt8] {
    var writer = CanonicalWriter()
    writer.write(self)
    return writer.bytes
  }

  /// Reads any JSON text; refuses what RFC 8259 refuses, doubled keys, and more than 64 levels.
  public init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
    var cursor = JSONCursor(bytes)
    self = try cursor.readValue(depth: 0)
    try cursor.expectEnd()
  }

  /// The member of an object; nil for other values and for missing keys.
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members[key]
  }

  /// The text of a string.
  public var text: String? {
    guard case .string(let text) = self else { return nil }
    return text
  }

  /// The whole number; a double without a fraction counts.
  public var wholeNumber: Int64? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int64(exactly: value)
    case .null, .bool, .string, .array, .object: nil
    }
  }

  /// The number as a double.
  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    case .null, .bool, .string, .array, .object: nil
    }
  }

  /// The truth value.
  public var truth: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  /// The elements of an array.
  public var elements: [JSONValue]? {
    guard case .array(let elements) = self else { return nil }
    return elements
  }

  /// The members of an object.
  public var members: [String: JSONValue]? {
    guard case .object(let members) = self else { return nil }
    return members
  }
}

/// Where and why a text is not JSON.
public struct JSONSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Byte offset of the first byte that does not fit.
  public var offset: Int
  /// What was expected there.
  public var reason: String

  /// The place and the reason in one line.
  public var description: String { "byte \(offset): \(reason)" }
}

/// Writes JSON in the one canonical form of the ledger, the JSON Canonicalization Scheme (RFC 8785).
///
/// No white space; keys sorted by their UTF-8 bytes (RFC 8785 sorts by UTF-16 units, which is the
/// same for all keys in use, as they are ASCII); strings with the shortest escapes; doubles in the
/// shortest digits that read back to the same bits, laid out as ECMAScript does. One deviation:
/// whole numbers are written in all their digits, also beyond 2⁵³.
public struct CanonicalWriter: Sendable {
  /// What has been written.
  public private(set) var bytes: [UInt8] = []
  private var needsComma = false

  /// Makes an empty writer.
  public init() {}

  /// Begins an object.
  public mutating func beginObject() {
    separate()
    bytes.append(UInt8(ascii: "{"))
    needsComma = false
  }

  /// Ends an object.
  public mutating func endObject() {
    bytes.append(UInt8(ascii: "}"))
    needsComma = true
  }

  /// Writes a key; the caller gives keys in sorted order.
  public mutating func key(_ name: String) {
    write(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  /// Writes any value.
  public mutating func write(_ value: JSONValue) {
    switch value {
    case .null: literal("null")
    case .bool(let truth): literal(truth ? "true" : "false")
    case .integer(let whole): write(whole)
    case .number(let double): write(double)
    case .string(let text): write(text)
    case .array(let elements):
      separate()
      bytes.append(UInt8(ascii: "["))
      needsComma = false
      for element in elements { write(element) }
      bytes.append(UInt8(ascii: "]"))
      needsComma = true
    case .object(let members):
      beginObject()
      for name in members.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
        key(name)
        write(members[name] ?? .null)
      }
      endObject()
    }
  }

  /// Writes a string.
  public mutating func write(_ text: String) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    if text.utf8.contains(where: Self.needsEscape) {
      for byte in text.utf8 {
        if Self.needsEscape(byte) { escape(byte) } else { bytes.append(byte) }
      }
    } else {
      bytes.append(contentsOf: text.utf8)
    }
    bytes.append(UInt8(ascii: "\""))
    needsComma = true
  }

  /// Writes a whole number.
  public mutating func write(_ value: Int64) {
    separate()
    append(decimal: value)
    needsComma = true
  }

  /// Writes a double; one that is not finite becomes `null`.
  public mutating func write(_ value: Double) {
    guard value.isFinite else { return literal("null") }
    separate()
    needsComma = true
    if let whole = Int64(exactly: value), whole.magnitude <= 1 << 53 {
      append(decimal: whole)
    } else {
      append(shortest: value)
    }
  }

  private mutating func literal(_ text: String) {
    separate()
    bytes.append(contentsOf: text.utf8)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }

  private static func needsEscape(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  private mutating func escape(_ byte: UInt8) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    case 0x0a: bytes.append(UInt8(ascii: "n"))
    case 0x0c: bytes.append(UInt8(ascii: "f"))
    case 0x0d: bytes.append(UInt8(ascii: "r"))
    default:
      bytes.append(contentsOf: "u00".utf8)
      bytes.append(Self.hexDigits[Int(byte >> 4)])
      bytes.append(Self.hexDigits[Int(byte & 15)])
    }
  }

  private static let hexDigits = [UInt8]("0123456789abcdef".utf8)

  private mutating func append(decimal value: Int64) {
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    let start = bytes.count
    var rest = value.magnitude
    repeat {
      bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    bytes[start...].reverse()
  }

  /// Lays the shortest round-trip digits out as ECMAScript's Number::toString does.
  private mutating func append(shortest value: Double) {
    var digits: [UInt8] = []
    var pointAt = 0  // the value is 0.digits × 10^pointAt
    var exponent = 0
    var seenPoint = false
    var rest = value.magnitude.description.utf8[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "e") {
        exponent = Int(String(Substring(rest))) ?? 0
        break
      }
      if byte == UInt8(ascii: ".") {
        seenPoint = true
      } else if digits.isEmpty && byte == UInt8(ascii: "0") {
        if seenPoint { pointAt -= 1 }
      } else {
        digits.append(byte)
        if !seenPoint { pointAt += 1 }
      }
    }
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    pointAt += exponent

    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    let zero = UInt8(ascii: "0")
    switch pointAt {
    case digits.count...21:  // a double has at most 17 digits
      bytes.append(contentsOf: digits)
      bytes.append(contentsOf: repeatElement(zero, count: pointAt - digits.count))
    case 1...21:
      bytes.append(contentsOf: digits[..<pointAt])
      bytes.append(UInt8(ascii: "."))
      bytes.append(contentsOf: digits[pointAt...])
    case -5...0:
      bytes.append(contentsOf: "0.".utf8)
      bytes.append(contentsOf: repeatElement(zero, count: -pointAt))
      bytes.append(contentsOf: digits)
    default:
      bytes.append(digits[0])
      if digits.count > 1 {
        bytes.append(UInt8(ascii: "."))
        bytes.append(contentsOf: digits[1...])
      }
      bytes.append(UInt8(ascii: "e"))
      bytes.append(UInt8(ascii: pointAt > 0 ? "+" : "-"))
      append(decimal: Int64((pointAt - 1).magnitude))
    }
  }
}
