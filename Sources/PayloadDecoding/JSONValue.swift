/// A JSON text as a tree: for tests, tools and rare paths; readings are decoded without it.
package indirect enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  case double(Double)
  /// A number too large for a double.
  case huge
  case string([UInt8])
  case array([JSONValue])
  case object([(name: [UInt8], value: JSONValue)])

  /// Why a text was refused.
  package struct Refusal: Error, Equatable {
    /// The reason.
    package var reason: RejectReason
    /// What was found.
    package var detail: String
    /// Offset of the byte where it showed.
    package var offset: Int
  }

  /// Parses a whole text.
  package static func parse(
    _ bytes: [UInt8],
    depth: Int = 32
  ) throws(Refusal) -> JSONValue {
    let capacity = JSONParser.capacity(for: bytes.count, depth: depth)
    var nodes = Array(repeating: JSONNode(.null, offset: 0), count: capacity)
    do throws(JSONError) {
      return try bytes.withView { (view) throws(JSONError) -> JSONValue in
        try unsafe nodes.withUnsafeMutableBufferPointer {
          (buffer) throws(JSONError) -> JSONValue in
          guard let base = buffer.baseAddress else { throw JSONError(kind: .empty, offset: 0) }
          let parser = unsafe JSONParser(
            view,
            nodes: base,
            capacity: buffer.count,
            depthLimit: depth
          )
          let count = try parser.parse()
          let document = unsafe JSONDocument(
            bytes: view,
            nodes: UnsafePointer(base),
            count: count
          )
          return tree(document, 0)
        }
      }
    } catch {
      throw Refusal(reason: error.reason, detail: error.detail, offset: error.offset)
    }
  }

  private static func tree(_ document: JSONDocument, _ index: Int) -> JSONValue {
    let node = document[index]
    switch node.kind {
    case .null: return .null
    case .false: return .bool(false)
    case .true: return .bool(true)
    case .integer: return .integer(Int64(bitPattern: node.bits))
    case .double: return .double(Double(bitPattern: node.bits))
    case .huge: return .huge
    case .string, .escaped: return .string(document.unescaped(index))
    case .array:
      var elements: [JSONValue] = []
      var element = index + 1
      for _ in 0..<node.extra {
        elements.append(tree(document, element))
        element = document.after(element)
      }
      return .array(elements)
    case .object:
      var members: [(name: [UInt8], value: JSONValue)] = []
      var member = index + 1
      for _ in 0..<node.extra {
        members.append((document.unescaped(member), tree(document, member + 1)))
        member = document.after(member + 1)
      }
      return .object(members)
    }
  }

  /// Whether two texts mean the same, member for member in order; doubles by their bits.
  package static func == (left: JSONValue, right: JSONValue) -> Bool {
    switch (left, right) {
    case (.null, .null), (.huge, .huge): true
    case (.bool(let left), .bool(let right)): left == right
    case (.integer(let left), .integer(let right)): left == right
    case (.double(let left), .double(let right)): left.bitPattern == right.bitPattern
    case (.string(let left), .string(let right)): left == right
    case (.array(let left), .array(let right)): left == right
    case (.object(let left), .object(let right)):
      left.count == right.count
        && zip(left, right).allSatisfy { $0.name == $1.name && $0.value == $1.value }
    default: false
    }
  }
}
