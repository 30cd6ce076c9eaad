import Foundation
import PayloadDecoding
import Testing

/// The parser against Foundation's, on generated and mutated documents.
///
/// Documented differences, each checked apart: names that occur twice (Foundation keeps one), lone
/// surrogates, numbers beyond a double's range, the sign of zero, a byte order mark or UTF-16/32 text, U+FEFF after an
/// escape, nesting.
@Suite struct JSONOracleTests {
  /// Documents per seed; `JSON_ORACLE_DOCUMENTS` makes it more.
  static let documents =
    ProcessInfo.processInfo.environment["JSON_ORACLE_DOCUMENTS"].flatMap(Int.init) ?? 100_000

  @Test("accepts, refuses and reads as Foundation does", arguments: 1...10 as ClosedRange<UInt64>)
  func oracle(seed: UInt64) {
    var generator = DocumentGenerator(seed: seed)
    var accepted = 0
    var refused = 0
    for number in 0..<Self.documents {
      var bytes = generator.document()
      if number % 2 == 1 { generator.mutate(&bytes) }
      switch compare(bytes) {
      case .accepted: accepted += 1
      case .refused: refused += 1
      case .excepted: break
      case .differs(let why):
        Issue.record(
          "SEED=\(seed) document \(number): \(why): \(String(decoding: bytes, as: UTF8.self)) \(bytes)"
        )
        return
      }
    }
    // A generator that only makes one kind proves nothing.
    #expect(accepted > Self.documents / 3 && refused > Self.documents / 10)
  }

  enum Comparison { case accepted, refused, excepted, differs(String) }

  func compare(_ bytes: [UInt8]) -> Comparison {
    // Foundation guesses UTF-16 and UTF-32 from zero bytes and takes a byte order mark.
    if bytes.prefix(4).contains(0) || bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return .excepted }
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) { return .excepted }
    // It drops U+FEFF that follows an escape inside a text.
    if bytes.contains(0xEF),
      bytes.indices.dropLast(2).contains(where: { bytes[$0...].starts(with: [0xEF, 0xBB, 0xBF]) })
    {
      return .excepted
    }
    let theirs = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
    do {
      let ours = try JSONValue.parse(bytes, depth: 512)
      guard let theirs else {
        if ours.hasHuge { return .excepted }
        return .differs("accepted \(ours), Foundation refuses")
      }
      if ours.hasHuge { return .excepted }
      if let difference = difference(ours, theirs) { return .differs(difference) }
      return .accepted
    } catch {
      if error.reason == .duplicateKey || error.detail.contains("surrogate") { return .excepted }
      if stopsAfterTrailingComma(bytes, error.offset) { return .excepted }
      if theirs != nil { return .differs("refused (\(error)), Foundation accepts") }
      return .refused
    }
  }

  /// Foundation takes `[1,]` and `{"a":1,}`; RFC 8259 does not.
  func stopsAfterTrailingComma(_ bytes: [UInt8], _ offset: Int) -> Bool {
    guard offset < bytes.count, bytes[offset] == 0x5D || bytes[offset] == 0x7D else { return false }
    return bytes[..<offset].last { $0 > 0x20 } == 0x2C
  }

  func difference(_ ours: JSONValue, _ theirs: Any) -> String? {
    switch ours {
    case .null:
      return theirs is NSNull ? nil : "null and \(theirs)"
    case .bool(let value):
      return (theirs as? NSNumber)?.boolValue == value ? nil : "\(value) and \(theirs)"
    case .integer(let value):
      guard let number = theirs as? NSNumber else { return "\(value) and \(theirs)" }
      return number.int64Value == value ? nil : "\(value) and \(number)"
    case .double(let value):
      guard let number = theirs as? NSNumber else { return "\(value) and \(theirs)" }
      // Foundation keeps many numbers as decimals, whose own way to a double is not exact.
      let exact = number is NSDecimalNumber ? Double(number.stringValue) : number.doubleValue
      // It also forgets the sign of zero.
      if value == 0 { return exact == 0 ? nil : "\(value) and \(number)" }
      return exact?.bitPattern == value.bitPattern ? nil : "\(value) and \(number)"
    case .huge:
      return nil
    case .string(let bytes):
      return (theirs as? String).map { Array($0.utf8) } == bytes ? nil : "\(bytes) and \(theirs)"
    case .array(let elements):
      guard let list = theirs as? [Any], list.count == elements.count else { return "array" }
      for (left, right) in zip(elements, list) {
        if let found = difference(left, right) { return found }
      }
      return nil
    case .object(let members):
      guard let object = theirs as? [String: Any], object.count == members.count else {
        return "object"
      }
      for (name, value) in members {
        guard let other = object[String(decoding: name, as: UTF8.self)] else { return "member" }
        if let found = difference(value, other) { return found }
      }
      return nil
    }
  }

  @Test(
    "where it is stricter than Foundation, it says so",
    arguments: [
      (#"{"a":1,"a":2}"#, RejectReason.duplicateKey, 8),
      (#"{"a":1,"\u0061":2}"#, .duplicateKey, 8),
      (#"[1,]"#, .malformedPayload, 3),
      (#"{"a":1,}"#, .malformedPayload, 7),
      (#"["\ud800"]"#, .malformedPayload, 2),
      (#"["\udc00"]"#, .malformedPayload, 2),
      (#"["\ud800\u0041"]"#, .malformedPayload, 2),
      ("\u{FEFF}1", .malformedPayload, 0),
      ("[[[[1]]]]", .tooDeep, 3),
    ]
  )
  func stricter(text: String, reason: RejectReason, offset: Int) throws {
    let refusal = #expect(throws: JSONValue.Refusal.self) {
      try JSONValue.parse(Array(text.utf8), depth: 3)
    }
    #expect(refusal?.reason == reason && refusal?.offset == offset, "\(text)")
  }

  @Test("names that occur twice are found in objects of any size", arguments: [2, 12, 13, 500])
  func duplicates(members: Int) throws {
    for twin in Set([0, 1, members / 2, members - 2]) where twin < members - 1 {
      for escaped in [false, true] {
        var names = (0..<members).map { "name-of-member-\($0)" }
        #expect(throws: Never.self) { try JSONValue.parse(object(names, escaped)) }
        names[members - 1] = names[twin]
        let refusal = #expect(throws: JSONValue.Refusal.self) {
          try JSONValue.parse(object(names, escaped))
        }
        #expect(refusal?.reason == .duplicateKey)
      }
    }
  }

  func object(_ names: [String], _ escaped: Bool) -> [UInt8] {
    let members = names.enumerated().map { index, name in
      let text = escaped && index % 2 == 1 ? "\\u006e" + name.dropFirst() : name
      return "\"\(text)\": \(index)"
    }
    return Array("{\(members.joined(separator: ", "))}".utf8)
  }

  @Test(
    "doubles survive being printed and read, bit for bit",
    arguments: 1...4 as ClosedRange<UInt64>
  )
  func doubles(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<250_000 {
      let value = Double(bitPattern: generator.next())
      guard value.isFinite else { continue }
      switch try JSONValue.parse(Array("\(value)".utf8)) {
      case .double(let read): #expect(read.bitPattern == value.bitPattern, "\(value)")
      case let other: Issue.record("SEED=\(seed): \(value) became \(other)")
      }
    }
  }
}

extension JSONValue {
  var hasHuge: Bool {
    switch self {
    case .huge: true
    case .array(let elements): elements.contains { $0.hasHuge }
    case .object(let members): members.contains { $0.value.hasHuge }
    default: false
    }
  }
}

/// Makes JSON documents of every kind, and damages them.
struct DocumentGenerator {
  var random: SeededGenerator
  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

  mutating func document() -> [UInt8] {
    var bytes: [UInt8] = []
    space(&bytes)
    value(&bytes, depth: 0)
    space(&bytes)
    return bytes
  }

  mutating func space(_ bytes: inout [UInt8]) {
    while below(6) == 0 { bytes.append([0x20, 0x0A, 0x0D, 0x09][below(4)]) }
  }

  mutating func value(_ bytes: inout [UInt8], depth: Int) {
    switch below(depth > 4 ? 6 : 10) {
    case 0: bytes += Array("null".utf8)
    case 1: bytes += Array((below(2) == 0 ? "true" : "false").utf8)
    case 2, 3: number(&bytes)
    case 4, 5: string(&bytes)
    case 6, 7:
      bytes.append(0x5B)
      space(&bytes)
      let count = below(5)
      for index in 0..<count {
        if index > 0 { bytes.append(0x2C) }
        space(&bytes)
        value(&bytes, depth: depth + 1)
        space(&bytes)
      }
      bytes.append(0x5D)
    default:
      bytes.append(0x7B)
      space(&bytes)
      let count = below(5)
      for index in 0..<count {
        if index > 0 { bytes.append(0x2C) }
        space(&bytes)
        string(&bytes)
        space(&bytes)
        bytes.append(0x3A)
        space(&bytes)
        value(&bytes, depth: depth + 1)
        space(&bytes)
      }
      bytes.append(0x7D)
    }
  }

  mutating func number(_ bytes: inout [UInt8]) {
    if below(3) == 0 { bytes.append(0x2D) }
    var text = ""
    switch below(5) {
    case 0: text = "\(random.next() % 1_000)"
    case 1: text = "\(random.next() >> UInt64(below(64)))"
    case 2: text = "\(below(1000)).\(random.next() >> UInt64(below(64)))"
    case 3: text = "\(random.next() >> UInt64(below(64)))e\(below(2) == 0 ? "-" : "")\(below(330))"
    default:
      text = "0.\(String(repeating: "0", count: below(8)))\(random.next() % 100_000)E+\(below(5))"
    }
    bytes += Array(text.utf8)
  }

  mutating func string(_ bytes: inout [UInt8]) {
    bytes.append(0x22)
    for _ in 0..<below(below(8) == 0 ? 40 : 8) {
      switch below(12) {
      case 0: bytes += [0x5C, [0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74][below(8)]]
      case 1:
        let unit = below(3) == 0 ? below(0x80) : below(0xD800)
        let digits = String(unit, radix: 16, uppercase: below(2) == 0)
        bytes += Array(("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
      case 2: bytes += Array("\\ud83d\\ude00".utf8)
      case 3:
        let scalar = Unicode.Scalar(UInt32(0x80 + below(0x10FF00))) ?? "é"
        bytes += Array(String(Character(scalar)).utf8)
      default:
        let byte = UInt8(0x20 + below(0x5F))
        bytes.append(byte == 0x22 || byte == 0x5C ? 0x61 : byte)
      }
    }
    bytes.append(0x22)
  }

  /// Damages one to three places.
  mutating func mutate(_ bytes: inout [UInt8]) {
    let structural = Array("{}[],:\"\\0123456789.eE+-truefalsn \u{1}/u".utf8)
    for _ in 0...below(3) {
      guard !bytes.isEmpty else { return }
      let index = below(bytes.count)
      switch below(6) {
      case 0: bytes.remove(at: index)
      case 1: bytes[index] = structural[below(structural.count)]
      case 2: bytes.insert(structural[below(structural.count)], at: index)
      case 3: bytes[index] = UInt8(truncatingIfNeeded: random.next())
      case 4: bytes.removeSubrange(index...)
      default: bytes.swapAt(index, below(bytes.count))
      }
    }
  }
}
