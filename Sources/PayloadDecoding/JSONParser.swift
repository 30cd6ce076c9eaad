/// A strict, complete RFC 8259 parser that writes the text's values as a flat list of nodes.
///
/// Accepted is exactly the grammar of RFC 8259 in UTF-8 without byte order mark; beyond the grammar
/// it refuses lone surrogates, names that occur twice in an object, and nesting beyond a limit.
/// Numbers are exact: integers that fit Int64 stay integers, all others are the nearest double.
@safe
struct JSONParser {
  private let bytes: ByteView
  private let nodes: UnsafeMutablePointer<JSONNode>
  private let capacity: Int
  private let depthLimit: Int
  private var position = 0
  private var count = 0

  /// How many nodes a text of `length` bytes can need.
  static func capacity(for length: Int, depth: Int) -> Int {
    // Apart from open brackets, every node takes a byte of its own and one that separates it.
    length / 2 + depth + 4
  }

  init(
    _ bytes: ByteView,
    nodes: UnsafeMutablePointer<JSONNode>,
    capacity: Int,
    depthLimit: Int
  ) {
    self.bytes = bytes
    unsafe self.nodes = unsafe nodes
    self.capacity = capacity
    self.depthLimit = depthLimit
  }

  /// Parses the whole text and gives the number of nodes written.
  @inline(never)
  mutating func parse() throws(JSONError) -> Int {
    var parent = -1
    var depth = 0
    var inObject = false
    var members = 0
    skipSpace()
    guard position < bytes.count else { throw JSONError(kind: .empty, offset: position) }
    while true {
      // A value starts here.
      guard position < bytes.count else { throw end() }
      let byte = bytes[position]
      switch byte {
      case 0x22:
        try string()
      case 0x2D, 0x30...0x39:
        try number(byte)
      case 0x7B, 0x5B:
        guard depth < depthLimit else { throw JSONError(kind: .tooDeep, offset: position) }
        // While a container is open, its node keeps its parent and the parent's count so far.
        let index = count
        write(
          JSONNode(
            byte == 0x7B ? .object : .array,
            offset: position,
            extra: 0,
            bits: UInt64(truncatingIfNeeded: parent + 1) | UInt64(members) &<< 32
          )
        )
        position &+= 1
        skipSpace()
        guard position < bytes.count else { throw end() }
        if bytes[position] == byte &+ 2 {
          position &+= 1
          unsafe nodes[index].bits = UInt64(count)
          break
        }
        depth &+= 1
        parent = index
        members = 0
        inObject = byte == 0x7B
        if inObject { try name() }
        continue
      case 0x74:
        try literal(0x6575_7274, length: 4, .true)
      case 0x66:
        try literal(0x65_736C_6166, length: 5, .false)
      case 0x6E:
        try literal(0x6C6C_756E, length: 4, .null)
      default:
        throw JSONError(kind: .unexpectedByte, offset: position)
      }
      // A value ended here.
      while true {
        skipSpace()
        guard parent >= 0 else {
          guard position == bytes.count else {
            throw JSONError(kind: .trailingBytes, offset: position)
          }
          return count
        }
        members &+= 1
        guard position < bytes.count else { throw end() }
        let byte = bytes[position]
        position &+= 1
        if byte == 0x2C {
          skipSpace()
          if inObject { try name() }
          break
        }
        guard byte == (inObject ? 0x7D : 0x5D) else {
          throw JSONError(kind: .unexpectedByte, offset: position &- 1)
        }
        let open = unsafe nodes[parent]
        let kind: JSONKind = inObject ? .object : .array
        unsafe nodes[parent] = JSONNode(
          kind,
          offset: Int(open.offset),
          extra: members,
          bits: UInt64(count)
        )
        if inObject && members > 1 { try rejectDuplicates(in: parent, members: members) }
        parent = Int(open.bits & 0xFFFF_FFFF) &- 1
        members = Int(open.bits &>> 32)
        depth &-= 1
        if parent >= 0 {
          let kind = unsafe nodes[parent].info & 15
          inObject = kind == JSONKind.object.rawValue
        }
      }
    }
  }

  private func end() -> JSONError { JSONError(kind: .unexpectedEnd, offset: bytes.count) }

  @inline(__always)
  private mutating func write(_ node: JSONNode) {
    precondition(count < capacity)
    unsafe nodes[count] = node
    count &+= 1
  }

  @inline(__always)
  private mutating func skipSpace() {
    while position < bytes.count {
      let byte = bytes[position]
      if byte > 0x20 { return }
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      position &+= 1
    }
  }

  @inline(__always)
  private mutating func literal(
    _ word: UInt64,
    length: Int,
    _ kind: JSONKind
  ) throws(JSONError) {
    guard position &+ length <= bytes.count,
      bytes.prefixWord(from: position, length: length) == word
    else {
      throw JSONError(kind: .unexpectedByte, offset: position)
    }
    write(JSONNode(kind, offset: position, extra: length))
    position &+= length
  }

  /// A member name with the colon and the space around it.
  @inline(__always)
  private mutating func name() throws(JSONError) {
    guard position < bytes.count else { throw end() }
    guard bytes[position] == 0x22 else {
      throw JSONError(kind: .unexpectedByte, offset: position)
    }
    try string()
    skipSpace()
    guard position < bytes.count else { throw end() }
    guard bytes[position] == 0x3A else {
      throw JSONError(kind: .unexpectedByte, offset: position)
    }
    position &+= 1
    skipSpace()
  }

  @inline(__always)
  private mutating func string() throws(JSONError) {
    let start = position &+ 1
    var index = start
    // Eight bytes at a time: stop at a quotation mark, a backslash, a control or a non-ASCII byte.
    while index &+ 8 <= bytes.count {
      let word = bytes.word(at: index)
      let quote = word ^ 0x2222_2222_2222_2222
      let slash = word ^ 0x5C5C_5C5C_5C5C_5C5C
      let found =
        (word | (quote &- 0x0101_0101_0101_0101) | (slash &- 0x0101_0101_0101_0101)
          | (word &- 0x2020_2020_2020_2020)) & 0x8080_8080_8080_8080
      if found != 0 {
        index &+= found.trailingZeroBitCount &>> 3
        break
      }
      index &+= 8
    }
    if index < bytes.count, bytes[index] == 0x22 {
      let length = index &- start
      write(
        JSONNode(
          .string,
          offset: start,
          extra: length,
          bits: bytes.prefixWord(from: start, length: length)
        )
      )
      position = index &+ 1
      return
    }
    let (close, escaped) = try Self.stringEnd(bytes, from: index)
    let length = close &- start
    write(
      JSONNode(
        escaped ? .escaped : .string,
        offset: start,
        extra: length,
        bits: bytes.prefixWord(from: start, length: length)
      )
    )
    position = close &+ 1
  }

  /// The place of the closing quotation mark of a string, scanned byte by byte from `start`.
  @inline(never)
  private static func stringEnd(
    _ bytes: ByteView,
    from start: Int
  ) throws(JSONError) -> (close: Int, escaped: Bool) {
    var index = start
    var escaped = false
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case 0x22:
        return (index, escaped)
      case 0x5C:
        escaped = true
        index = try escapeEnd(bytes, at: index)
      case 0..<0x20:
        throw JSONError(kind: .controlCharacter, offset: index)
      case 0x20..<0x80:
        index &+= 1
      default:
        let length = bytes.utf8SequenceLength(at: index)
        guard length > 0 else { throw JSONError(kind: .invalidUTF8, offset: index) }
        index &+= length
      }
    }
    throw JSONError(kind: .unexpectedEnd, offset: bytes.count)
  }

  private static func escapeEnd(_ bytes: ByteView, at start: Int) throws(JSONError) -> Int {
    guard start + 1 < bytes.count else {
      throw JSONError(kind: .unexpectedEnd, offset: bytes.count)
    }
    switch bytes[start + 1] {
    case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74:
      return start + 2
    case 0x75:
      let unit = try hexUnit(bytes, at: start + 2, escape: start)
      if unit & 0xFC00 == 0xDC00 { throw JSONError(kind: .loneSurrogate, offset: start) }
      guard unit & 0xFC00 == 0xD800 else { return start + 6 }
      guard start + 7 < bytes.count, bytes[start + 6] == 0x5C, bytes[start + 7] == 0x75 else {
        throw JSONError(kind: .loneSurrogate, offset: start)
      }
      let low = try hexUnit(bytes, at: start + 8, escape: start + 6)
      guard low & 0xFC00 == 0xDC00 else { throw JSONError(kind: .loneSurrogate, offset: start) }
      return start + 12
    default:
      throw JSONError(kind: .badEscape, offset: start)
    }
  }

  private static func hexUnit(
    _ bytes: ByteView,
    at start: Int,
    escape: Int
  ) throws(JSONError) -> UInt32 {
    guard start + 4 <= bytes.count else {
      throw JSONError(kind: .unexpectedEnd, offset: bytes.count)
    }
    var unit: UInt32 = 0
    for index in start..<start + 4 {
      guard let digit = bytes[index].hexValue else {
        throw JSONError(kind: .badEscape, offset: escape)
      }
      unit = unit << 4 | UInt32(digit)
    }
    return unit
  }

  /// Resolves the escapes of a string that has been validated.
  static func unescape(_ raw: ByteView) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(raw.count)
    var index = 0
    while index < raw.count {
      let byte = raw[index]
      guard byte == 0x5C, index + 1 < raw.count else {
        result.append(byte)
        index += 1
        continue
      }
      let code = raw[index + 1]
      index += 2
      switch code {
      case 0x62: result.append(0x08)
      case 0x66: result.append(0x0C)
      case 0x6E: result.append(0x0A)
      case 0x72: result.append(0x0D)
      case 0x74: result.append(0x09)
      case 0x75:
        var scalar = (try? hexUnit(raw, at: index, escape: index)) ?? 0xFFFD
        index += 4
        if scalar & 0xFC00 == 0xD800 {
          let low = (try? hexUnit(raw, at: index + 2, escape: index)) ?? 0xDC00
          scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
          index += 6
        }
        result.append(contentsOf: Array(Character(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8))
      default: result.append(code)
      }
    }
    return result
  }

  @inline(__always)
  private mutating func number(_ first: UInt8) throws(JSONError) {
    let start = position
    let (node, end) = try JSONNumber.scan(bytes, at: start)
    _ = first
    write(node)
    position = end
  }

  // MARK: Names that occur twice

  private func rejectDuplicates(in object: Int, members: Int) throws(JSONError) {
    let document = unsafe JSONDocument(
      bytes: bytes,
      nodes: UnsafePointer(nodes),
      count: count
    )
    guard members <= 12 else {
      try Self.rejectDuplicatesSorted(document, object: object, members: members)
      return
    }
    var outer = document.after(object + 2)
    for position in 1..<members {
      let name = document[outer]
      var inner = object + 1
      for _ in 0..<position {
        let other = document[inner]
        let plain = name.info == other.info && name.kind == .string
        let bothPlain = name.kind == .string && other.kind == .string
        if bothPlain {
          if plain && name.bits == other.bits
            && (name.extra <= 8 || document.raw(outer).equals(document.raw(inner)))
          {
            throw JSONError(kind: .duplicateKey, offset: Int(name.offset))
          }
        } else if document.unescaped(outer) == document.unescaped(inner) {
          throw JSONError(kind: .duplicateKey, offset: Int(name.offset))
        }
        inner = document.after(inner + 1)
      }
      outer = document.after(outer + 1)
    }
  }

  /// For large objects: sorted, so that chosen names cannot make it quadratic.
  @inline(never)
  private static func rejectDuplicatesSorted(
    _ document: JSONDocument,
    object: Int,
    members: Int
  ) throws(JSONError) {
    var names: [(bits: UInt64, index: Int)] = []
    names.reserveCapacity(members)
    var escapes = false
    var index = object + 1
    for _ in 0..<members {
      let node = document[index]
      if node.kind == .escaped { escapes = true }
      names.append((node.bits, index))
      index = document.after(index + 1)
    }
    if escapes {
      var texts = names.map { (document.unescaped($0.index), $0.index) }
      texts.sort { $0.0.lexicographicallyPrecedes($1.0) }
      for (left, right) in zip(texts, texts.dropFirst()) where left.0 == right.0 {
        let offset = max(document[left.1].offset, document[right.1].offset)
        throw JSONError(kind: .duplicateKey, offset: Int(offset))
      }
      return
    }
    names.sort { left, right in
      if left.bits != right.bits { return left.bits < right.bits }
      return document.raw(left.index).precedes(document.raw(right.index))
    }
    for (left, right) in zip(names, names.dropFirst()) where left.bits == right.bits {
      if document.raw(left.index).equals(document.raw(right.index)) {
        let offset = max(document[left.index].offset, document[right.index].offset)
        throw JSONError(kind: .duplicateKey, offset: Int(offset))
      }
    }
  }
}

extension ByteView {
  /// Orders byte strings.
  func precedes(_ other: ByteView) -> Bool {
    let common = min(count, other.count)
    for index in 0..<common where self[index] != other[index] {
      return self[index] < other[index]
    }
    return count < other.count
  }
}

extension UInt8 {
  /// The value of a hexadecimal digit.
  var hexValue: UInt8? {
    switch self {
    case 0x30...0x39: self - 0x30
    case 0x41...0x46: self - 0x37
    case 0x61...0x66: self - 0x57
    default: nil
    }
  }
}
