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

  /// Where the parser stands; apart from `self`, so that the loop keeps it in registers.
  private struct Cursor {
    /// The next byte.
    var position = 0
    /// Nodes written.
    var count = 0
  }

  /// Parses the whole text and gives the number of nodes written.
  @inline(never)
  func parse() throws(JSONError) -> Int {
    var at = Cursor()
    var parent = -1
    var depth = 0
    var inObject = false
    var members = 0
    skipSpace(&at)
    guard at.position < bytes.count else { throw JSONError(kind: .empty, offset: at.position) }
    while true {
      // A member or an element starts here; this is the one place where names are read.
      if inObject { try name(&at) }
      guard at.position < bytes.count else { throw end() }
      let byte = bytes[at.position]
      switch byte {
      case 0x22:
        try string(&at)
      case 0x2D, 0x30...0x39:
        let (node, end) = try JSONNumber.scan(bytes, at: at.position)
        write(node, &at)
        at.position = end
      case 0x7B, 0x5B:
        guard depth < depthLimit else { throw JSONError(kind: .tooDeep, offset: at.position) }
        // While a container is open, its node keeps its parent and the parent's count so far.
        let index = at.count
        write(
          JSONNode(
            byte == 0x7B ? .object : .array,
            offset: at.position,
            extra: 0,
            bits: UInt64(truncatingIfNeeded: parent + 1) | UInt64(members) &<< 32
          ),
          &at
        )
        at.position &+= 1
        skipSpace(&at)
        guard at.position < bytes.count else { throw end() }
        if bytes[at.position] == byte &+ 2 {
          at.position &+= 1
          unsafe nodes[index].bits = UInt64(at.count)
          break
        }
        depth &+= 1
        parent = index
        members = 0
        inObject = byte == 0x7B
        continue
      case 0x74:
        try literal(0x6575_7274, length: 4, .true, &at)
      case 0x66:
        try literal(0x65_736C_6166, length: 5, .false, &at)
      case 0x6E:
        try literal(0x6C6C_756E, length: 4, .null, &at)
      default:
        throw JSONError(kind: .unexpectedByte, offset: at.position)
      }
      // A value ended here.
      while true {
        skipSpace(&at)
        guard parent >= 0 else {
          guard at.position == bytes.count else {
            throw JSONError(kind: .trailingBytes, offset: at.position)
          }
          return at.count
        }
        members &+= 1
        guard at.position < bytes.count else { throw end() }
        let byte = bytes[at.position]
        at.position &+= 1
        if byte == 0x2C {
          skipSpace(&at)
          break
        }
        guard byte == (inObject ? 0x7D : 0x5D) else {
          throw JSONError(kind: .unexpectedByte, offset: at.position &- 1)
        }
        let open = unsafe nodes[parent]
        let kind: JSONKind = inObject ? .object : .array
        unsafe nodes[parent] = JSONNode(
          kind,
          offset: Int(open.offset),
          extra: members,
          bits: UInt64(at.count)
        )
        if inObject && members > 1 {
          try rejectDuplicates(in: parent, members: members, count: at.count)
        }
        parent = Int(open.bits & 0xFFFF_FFFF) &- 1
        members = Int(open.bits &>> 32)
        depth &-= 1
        inObject = false
        if parent >= 0 {
          let kind = unsafe nodes[parent].info & 15
          inObject = kind == JSONKind.object.rawValue
        }
      }
    }
  }

  private func end() -> JSONError { JSONError(kind: .unexpectedEnd, offset: bytes.count) }

  @inline(__always)
  private func write(_ node: JSONNode, _ at: inout Cursor) {
    precondition(at.count < capacity)
    unsafe nodes[at.count] = node
    at.count &+= 1
  }

  @inline(__always)
  private func skipSpace(_ at: inout Cursor) {
    while at.position < bytes.count {
      let byte = bytes[at.position]
      if byte > 0x20 { return }
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      at.position &+= 1
    }
  }

  @inline(__always)
  private func literal(
    _ word: UInt64,
    length: Int,
    _ kind: JSONKind,
    _ at: inout Cursor
  ) throws(JSONError) {
    guard at.position &+ length <= bytes.count,
      bytes.prefixWord(from: at.position, length: length) == word
    else {
      throw JSONError(kind: .unexpectedByte, offset: at.position)
    }
    write(JSONNode(kind, offset: at.position, extra: length), &at)
    at.position &+= length
  }

  /// A member name with the colon and the space around it.
  @inline(__always)
  private func name(_ at: inout Cursor) throws(JSONError) {
    guard at.position < bytes.count else { throw end() }
    guard bytes[at.position] == 0x22 else {
      throw JSONError(kind: .unexpectedByte, offset: at.position)
    }
    try string(&at)
    skipSpace(&at)
    guard at.position < bytes.count else { throw end() }
    guard bytes[at.position] == 0x3A else {
      throw JSONError(kind: .unexpectedByte, offset: at.position)
    }
    at.position &+= 1
    skipSpace(&at)
  }

  /// Marks, by their high bits, the bytes of a word at which plain text may end.
  ///
  /// These are quotation mark, backslash, control and non-ASCII bytes; the lowest mark is exact, those above may be false.
  @inline(__always)
  static func stops(_ word: UInt64) -> UInt64 {
    let quote = word ^ 0x2222_2222_2222_2222
    let slash = word ^ 0x5C5C_5C5C_5C5C_5C5C
    return
      (word | (quote &- 0x0101_0101_0101_0101) | (slash &- 0x0101_0101_0101_0101)
      | (word &- 0x2020_2020_2020_2020)) & 0x8080_8080_8080_8080
  }

  @inline(__always)
  private func string(_ at: inout Cursor) throws(JSONError) {
    let start = at.position &+ 1
    // Most names and texts end within eight bytes, which are then the node's own already.
    if start &+ 8 <= bytes.count {
      let word = bytes.word(at: start)
      let shift = UInt64(Self.stops(word).trailingZeroBitCount & ~7)
      if shift < 64, (word &>> shift) & 0xFF == 0x22 {
        let length = Int(shift &>> 3)
        write(
          JSONNode(.string, offset: start, extra: length, bits: word & ((1 &<< shift) &- 1)),
          &at
        )
        at.position = start &+ length &+ 1
        return
      }
    }
    try longString(&at)
  }

  /// Text of eight bytes or more, with escapes or other than ASCII, or at the payload's end.
  @inline(never)
  private func longString(_ at: inout Cursor) throws(JSONError) {
    let start = at.position &+ 1
    var index = start
    while index &+ 8 <= bytes.count {
      let found = Self.stops(bytes.word(at: index))
      if found != 0 {
        index &+= found.trailingZeroBitCount &>> 3
        break
      }
      index &+= 8
    }
    var escaped = false
    if index >= bytes.count || bytes[index] != 0x22 {
      (index, escaped) = try Self.stringEnd(bytes, from: index)
    }
    let length = index &- start
    write(
      JSONNode(
        escaped ? .escaped : .string,
        offset: start,
        extra: length,
        bits: bytes.prefixWord(from: start, length: length)
      ),
      &at
    )
    at.position = index &+ 1
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

  // MARK: Names that occur twice

  @inline(__always)
  private func rejectDuplicates(in object: Int, members: Int, count: Int) throws(JSONError) {
    let document = unsafe JSONDocument(
      bytes: bytes,
      nodes: UnsafePointer(nodes),
      count: count
    )
    // One bit for each name: as long as no bit is met twice, no name is.
    var seen: UInt64 = 0
    var member = object &+ 1
    for _ in 0..<members {
      let name = document[member]
      let bit = 1 &<< Self.place(of: name, bits: 6)
      if seen & bit != 0 || name.kind == .escaped {
        try Self.rejectDuplicatesSlowly(document, object: object, members: members)
        return
      }
      seen |= bit
      member = document.after(member &+ 1)
    }
  }

  /// Where a name falls among 2^`bits` places.
  @inline(__always)
  private static func place(of name: JSONNode, bits: UInt64) -> UInt64 {
    ((name.bits ^ UInt64(name.info)) &* 0x9E37_79B9_7F4A_7C15) &>> (64 &- bits)
  }

  @inline(never)
  private static func rejectDuplicatesSlowly(
    _ document: JSONDocument,
    object: Int,
    members: Int
  ) throws(JSONError) {
    switch duplicateByTable(document, object: object, members: members) {
    case .none: return
    case .at(let offset): throw JSONError(kind: .duplicateKey, offset: offset)
    case .undecided: try rejectDuplicatesSorted(document, object: object, members: members)
    }
  }

  private enum Duplicate {
    case none
    case at(Int)
    case undecided
  }

  /// Looks for a name that occurs twice in a table on the stack; undecided for large objects, for names with
  /// escapes, and for names chosen to fall on one place.
  private static func duplicateByTable(
    _ document: JSONDocument,
    object: Int,
    members: Int
  ) -> Duplicate {
    guard members <= 120 else { return .undecided }
    return unsafe withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 256) { table in
      unsafe table.initialize(repeating: 0)
      var member = object &+ 1
      var steps = 0
      for _ in 0..<members {
        let name = document[member]
        if name.kind == .escaped { return .undecided }
        var place = Int(Self.place(of: name, bits: 8))
        while true {
          let other = unsafe Int(table[place])
          if other == 0 { break }
          let known = document[other]
          if known.bits == name.bits, known.info == name.info,
            name.extra <= 8 || document.raw(member).equals(document.raw(other))
          {
            return .at(Int(name.offset))
          }
          steps &+= 1
          if steps > 1_000 { return .undecided }
          place = (place &+ 1) & 255
        }
        unsafe table[place] = UInt32(truncatingIfNeeded: member)
        member = document.after(member &+ 1)
      }
      return .none
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
