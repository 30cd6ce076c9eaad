/// A JSON mapping with its pointers taken apart.
struct CompiledMapping: Sendable {
  enum Token: Sendable, Equatable {
    case name([UInt8])
    case wildcard
  }

  /// A pointer, relative to the element that a wildcard of the value's pointer stands at.
  struct Pointer: Sendable {
    /// Wildcards of the value's pointer that this one shares; 0 to start at the root.
    var anchor: Int
    /// What follows the last shared wildcard.
    var tokens: [Token]
    var text: String
  }

  enum Source: Sendable {
    case pointer(Pointer)
    case topic([UInt8])
    case constant([UInt8])
    case key(Int)
  }

  struct Value: Sendable {
    var tokens: [Token]
    var wildcards: Int
    var device: Source
    var point: Source
    var time: Source?
    var status: Source?
    var unit: Source?
    var optional: MappedValue.Fields
    var scale: Double
    var offset: Double
    var required: Bool
    var text: String
  }

  var values: [Value]
  var timeFormat: TimeFormat
  var numbersInStrings: Bool

  init(_ mapping: JSONMapping) {
    timeFormat = mapping.timeFormat
    numbersInStrings = mapping.numbersInStrings
    values = mapping.values.map { value in
      let tokens = Self.tokens(value.value)
      func source(_ source: FieldSource) -> Source {
        switch source {
        case .pointer(let text): .pointer(Self.pointer(text, sharing: tokens))
        case .topic(let name): .topic(Array(name.utf8))
        case .constant(let text): .constant(Array(text.utf8))
        case .key(let number): .key(number)
        }
      }
      return Value(
        tokens: tokens,
        wildcards: tokens.count { $0 == .wildcard },
        device: source(value.device),
        point: source(value.point),
        time: value.time.map(source),
        status: value.status.map(source),
        unit: value.unit.map(source),
        optional: value.optional,
        scale: value.scale,
        offset: value.offset,
        required: value.required,
        text: value.value
      )
    }
  }

  /// The tokens of a JSON pointer; `~2` is a literal asterisk.
  static func tokens(_ pointer: String) -> [Token] {
    guard !pointer.isEmpty else { return [] }
    let body = pointer.first == "/" ? pointer.dropFirst() : Substring(pointer)
    return body.split(separator: "/", omittingEmptySubsequences: false).map { part in
      if part == "*" { return .wildcard }
      var bytes: [UInt8] = []
      var escape = false
      for byte in part.utf8 {
        if escape {
          switch byte {
          case 0x30: bytes.append(0x7E)
          case 0x31: bytes.append(0x2F)
          case 0x32: bytes.append(0x2A)
          default: bytes += [0x7E, byte]
          }
          escape = false
        } else if byte == 0x7E {
          escape = true
        } else {
          bytes.append(byte)
        }
      }
      if escape { bytes.append(0x7E) }
      return .name(bytes)
    }
  }

  /// A pointer whose leading part, up to a wildcard, is the value's own is followed from there.
  static func pointer(_ text: String, sharing value: [Token]) -> Pointer {
    let tokens = self.tokens(text)
    var anchor = 0
    var cut = 0
    for (index, token) in tokens.enumerated() {
      guard index < value.count, value[index] == token else { break }
      if token == .wildcard {
        anchor += 1
        cut = index + 1
      }
    }
    return Pointer(anchor: anchor, tokens: Array(tokens.dropFirst(cut)), text: text)
  }
}
