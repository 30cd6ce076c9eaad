/// SenML records (RFC 8428) and how a pack of them is resolved.
enum SenML {
  /// One record as sent.
  struct Record {
    var baseName: [UInt8]?
    var baseTime: Double?
    var baseUnit: [UInt8]?
    var baseValue: Double?
    var baseSum: Double?
    var version: Double?
    var name: [UInt8]?
    var unit: [UInt8]?
    var value: Double?
    var text: [UInt8]?
    var bool: Bool?
    var data: [UInt8]?
    var sum: Double?
    var time: Double?
    var updateTime: Double?
    /// Labels seen, to find one that occurs twice.
    var seen: UInt32 = 0
    /// A field other than a base field that has the wrong type, with its label.
    var badField: StaticString?

    /// Whether nothing but base fields was sent.
    var isBaseOnly: Bool { seen != 0 && seen & ~Field.baseBits == 0 }
  }

  /// What ends a pack.
  struct PackError: Error {
    var reason: RejectReason
    var detail: String
  }

  /// What the base fields of earlier records left behind.
  struct Base {
    var name: [UInt8] = []
    var time: Double = 0
    var unit: [UInt8]?
    var value: Double?
    var sum: Double?
    var version: Double?

    /// Takes over the base fields of a record.
    mutating func take(_ record: Record) throws(PackError) {
      if let version = record.version {
        guard version <= 10 else {
          throw PackError(reason: .unsupportedFormat, detail: "SenML version \(version)")
        }
        if let known = self.version, known != version {
          throw PackError(
            reason: .malformedPayload,
            detail: "versions \(known) and \(version) in one pack"
          )
        }
        self.version = version
      }
      if let name = record.baseName {
        try Self.check(name, "bn")
        self.name = name
      }
      if let time = record.baseTime { self.time = time }
      if let unit = record.baseUnit {
        try Self.check(unit, "bu")
        self.unit = unit
      }
      if let value = record.baseValue { self.value = value }
      if let sum = record.baseSum { self.sum = sum }
    }

    private static func check(_ text: [UInt8], _ label: StaticString) throws(PackError) {
      guard text.count > Decoder.wordLimit else { return }
      throw PackError(
        reason: .unsupportedFormat,
        detail: "\(label) of \(text.count) bytes; at most \(Decoder.wordLimit)"
      )
    }
  }

  /// A record without base fields.
  struct Resolved {
    var name: [UInt8]
    var unit: [UInt8]?
    var value: Double?
    var text: [UInt8]?
    var bool: Bool?
    var data: [UInt8]?
    var sum: Double?
    /// Seconds since the Unix epoch, or relative to now when less than 2²⁸.
    var time: Double
    /// False when neither time nor base time was sent.
    var isTimed: Bool
  }

  /// Where the line between relative and absolute times is (RFC 8428, section 4.5.3).
  static let absoluteTime = Double(1 << 28)

  static func resolve(_ record: Record, _ base: Base) -> Resolved {
    let value: Double? = record.value.map { $0 + (base.value ?? 0) }
    let sum: Double? = record.sum.map { $0 + (base.sum ?? 0) }
    return Resolved(
      name: base.name + (record.name ?? []),
      unit: record.unit ?? base.unit,
      value: value,
      text: record.text,
      bool: record.bool,
      data: record.data,
      sum: sum,
      time: base.time + (record.time ?? 0),
      isTimed: base.time != 0 || record.time != nil
    )
  }

  /// Whether a name is one by RFC 8428, section 4.5.1.
  static func isName(_ name: [UInt8]) -> Bool {
    guard let first = name.first, isAlphanumeric(first) else { return false }
    return name.allSatisfy { isAlphanumeric($0) || isSeparator($0) }
  }

  static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: false
    }
  }

  /// `-`, `.`, `/`, `:`, `_`.
  static func isSeparator(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x2D, 0x2E, 0x2F, 0x3A, 0x5F: true
    default: false
    }
  }

  /// The fields with their JSON label, CBOR label and type.
  enum Field: Int, CaseIterable {
    case baseVersion, baseName, baseTime, baseUnit, baseValue, baseSum
    case name, unit, value, text, bool, sum, time, updateTime, data

    var label: StaticString {
      switch self {
      case .baseVersion: "bver"
      case .baseName: "bn"
      case .baseTime: "bt"
      case .baseUnit: "bu"
      case .baseValue: "bv"
      case .baseSum: "bs"
      case .name: "n"
      case .unit: "u"
      case .value: "v"
      case .text: "vs"
      case .bool: "vb"
      case .sum: "s"
      case .time: "t"
      case .updateTime: "ut"
      case .data: "vd"
      }
    }

    var isBase: Bool { rawValue <= Field.baseSum.rawValue }

    /// The bits of the base fields among those seen.
    static let baseBits: UInt32 = 2 &<< UInt32(Field.baseSum.rawValue) &- 1

    /// By the label of RFC 8428, table 6.
    init?(cborLabel: Int) {
      switch cborLabel {
      case -1: self = .baseVersion
      case -2: self = .baseName
      case -3: self = .baseTime
      case -4: self = .baseUnit
      case -5: self = .baseValue
      case -6: self = .baseSum
      case 0: self = .name
      case 1: self = .unit
      case 2: self = .value
      case 3: self = .text
      case 4: self = .bool
      case 5: self = .sum
      case 6: self = .time
      case 7: self = .updateTime
      case 8: self = .data
      default: return nil
      }
    }

    init?(label: ByteView) {
      // (A last byte of zero would be lost in the word.)
      guard label.count > 0, label.count <= 4, label[label.count - 1] != 0 else { return nil }
      let word = label.prefixWord(from: 0, length: label.count)
      // The labels as little-endian words, the most frequent first.
      switch word {
      case 0x6E: self = .name
      case 0x76: self = .value
      case 0x75: self = .unit
      case 0x74: self = .time
      case 0x6276: self = .bool
      case 0x7376: self = .text
      case 0x6476: self = .data
      case 0x73: self = .sum
      case 0x7475: self = .updateTime
      case 0x6E62: self = .baseName
      case 0x7462: self = .baseTime
      case 0x7562: self = .baseUnit
      case 0x7662: self = .baseValue
      case 0x7362: self = .baseSum
      case 0x72657662: self = .baseVersion
      default: return nil
      }
    }
  }

  /// A field's content, of whichever type the encoding gave it.
  enum Content {
    case number(Double)
    case text([UInt8])
    case data([UInt8])
    case bool(Bool)
    case other
  }

  /// Puts a field into the record; a base field of a wrong type ends the pack.
  static func set(
    _ field: Field,
    _ content: Content,
    in record: inout Record
  ) throws(PackError) {
    let bit = UInt32(1) << UInt32(field.rawValue)
    guard record.seen & bit == 0 else {
      throw PackError(reason: .duplicateKey, detail: "\(field.label) occurs twice in a record")
    }
    record.seen |= bit
    switch (field, content) {
    case (.baseVersion, .number(let number)): record.version = number
    case (.baseName, .text(let text)): record.baseName = text
    case (.baseTime, .number(let number)) where number.isFinite: record.baseTime = number
    case (.baseUnit, .text(let text)): record.baseUnit = text
    case (.baseValue, .number(let number)) where number.isFinite: record.baseValue = number
    case (.baseSum, .number(let number)): record.baseSum = number
    case (.name, .text(let text)): record.name = text
    case (.unit, .text(let text)): record.unit = text
    case (.value, .number(let number)): record.value = number
    case (.text, .text(let text)): record.text = text
    case (.bool, .bool(let bool)): record.bool = bool
    case (.sum, .number(let number)): record.sum = number
    case (.time, .number(let number)): record.time = number
    case (.updateTime, .number(let number)): record.updateTime = number
    case (.data, .text(let text)): record.data = text
    case (.data, .data(let data)): record.data = data
    default:
      guard !field.isBase else {
        throw PackError(reason: .wrongType, detail: "\(field.label) has the wrong type")
      }
      record.badField = field.label
    }
  }
}
