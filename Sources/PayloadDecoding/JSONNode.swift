/// What stands at a place of a JSON text.
enum JSONKind: UInt32 {
  case null = 0
  case `false` = 1
  case `true` = 2
  /// A number without fraction and exponent that fits Int64; `bits` is it.
  case integer = 3
  /// Any other number; `bits` is the double, correctly rounded.
  case double = 4
  /// A number too large for a double.
  case huge = 5
  /// Text without escapes; `bits` is its first eight bytes, zero-filled.
  case string = 6
  /// Text with escapes.
  case escaped = 7
  /// `bits` is the index of the node after its last.
  case object = 8
  /// `bits` is the index of the node after its last.
  case array = 9
}

/// One value (or member name) of a parsed text, in document order.
struct JSONNode {
  var bits: UInt64 = 0
  /// Where it starts in the text; for strings the first byte inside the quotation marks.
  var offset: UInt32 = 0
  /// Kind in the low four bits; above them the length of a string or number, or the number of
  /// elements or members.
  var info: UInt32 = 0

  @inline(__always)
  init(_ kind: JSONKind, offset: Int, extra: Int = 0, bits: UInt64 = 0) {
    self.bits = bits
    self.offset = UInt32(truncatingIfNeeded: offset)
    self.info = kind.rawValue | UInt32(truncatingIfNeeded: extra) &<< 4
  }

  @inline(__always)
  var kind: JSONKind { JSONKind(rawValue: info & 15) ?? .null }
  @inline(__always)
  var extra: Int { Int(info &>> 4) }
}

/// A parsed text: borrowed bytes and nodes, valid inside the call that made it.
@safe
struct JSONDocument {
  let bytes: ByteView
  private let nodes: UnsafePointer<JSONNode>
  let count: Int

  init(bytes: ByteView, nodes: UnsafePointer<JSONNode>, count: Int) {
    self.bytes = bytes
    unsafe self.nodes = unsafe nodes
    self.count = count
  }

  @inline(__always)
  subscript(index: Int) -> JSONNode {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
    return unsafe nodes[index]
  }

  /// The index of the node after the value at `index` and all within it.
  @inline(__always)
  func after(_ index: Int) -> Int {
    let node = self[index]
    return node.info & 15 >= JSONKind.object.rawValue
      ? Int(truncatingIfNeeded: node.bits) : index &+ 1
  }

  /// The bytes of a string or number as they stand in the text.
  @inline(__always)
  func raw(_ index: Int) -> ByteView {
    let node = self[index]
    return bytes[Int(node.offset)..<Int(node.offset) &+ node.extra]
  }

  /// The bytes that the value takes in the text, for messages to people.
  func excerpt(_ index: Int) -> String {
    let node = self[index]
    switch node.kind {
    case .null: return "null"
    case .false: return "false"
    case .true: return "true"
    case .integer, .double, .huge: return raw(index).excerpt()
    case .string, .escaped: return "\"" + raw(index).excerpt() + "\""
    case .object: return "an object of \(node.extra)"
    case .array: return "an array of \(node.extra)"
    }
  }

  /// The bytes of a string with its escapes resolved.
  func unescaped(_ index: Int) -> [UInt8] {
    let raw = raw(index)
    return self[index].kind == .escaped ? JSONParser.unescape(raw) : raw.array
  }

  /// The text of a string with its escapes resolved.
  func text(_ index: Int) -> String {
    String(decoding: unescaped(index), as: UTF8.self)
  }

  /// Whether a text or number of more than `limit` bytes stands at `index`.
  func isScalar(_ index: Int, longerThan limit: Int) -> Bool {
    let node = self[index]
    return node.kind.rawValue < JSONKind.object.rawValue && node.extra > limit
  }

  /// Whether two strings say the same.
  func isSameText(_ left: Int, _ right: Int) -> Bool {
    if self[left].kind == .string, self[right].kind == .string {
      return raw(left).equals(raw(right))
    }
    return unescaped(left) == unescaped(right)
  }

  /// The value of the member `name` of the object at `index`, or nil.
  func member(_ name: ByteView, of index: Int) -> Int? {
    let object = self[index]
    guard object.kind == .object else { return nil }
    var member = index + 1
    for _ in 0..<object.extra {
      switch self[member].kind {
      case .string where raw(member).equals(name): return member + 1
      case .escaped:
        let found = unescaped(member).withView { $0.equals(name) }
        if found { return member + 1 }
      default: break
      }
      member = after(member + 1)
    }
    return nil
  }
}

/// Why a text is not JSON.
struct JSONError: Error, Equatable {
  enum Kind: Equatable {
    case empty
    case unexpectedEnd
    case unexpectedByte
    case badNumber
    case badEscape
    case loneSurrogate
    case controlCharacter
    case invalidUTF8
    case duplicateKey
    case tooDeep
    case trailingBytes
  }
  var kind: Kind
  /// Offset of the byte where it showed.
  var offset: Int

  var reason: RejectReason {
    switch kind {
    case .invalidUTF8: .invalidUTF8
    case .duplicateKey: .duplicateKey
    case .tooDeep: .tooDeep
    default: .malformedPayload
    }
  }

  var detail: String {
    switch kind {
    case .empty: "the payload is empty"
    case .unexpectedEnd: "the payload ends in the middle of a value"
    case .unexpectedByte: "a byte that no JSON value may have here"
    case .badNumber: "not a JSON number"
    case .badEscape: "an escape that JSON does not know"
    case .loneSurrogate: "half of a surrogate pair"
    case .controlCharacter: "a control character inside a string"
    case .invalidUTF8: "not UTF-8"
    case .duplicateKey: "the member is named twice"
    case .tooDeep: "nested deeper than the limit"
    case .trailingBytes: "something follows the value"
    }
  }
}
