/// Reads CBOR (RFC 8949) items one after another; every step is checked.
struct CBORCursor {
  struct Failure: Error {
    var offset: Int
    var detail: StaticString
  }

  /// The first byte of an item with its argument.
  struct Head {
    var major: UInt8
    /// The low five bits: 31 for indefinite length or break, 25…27 for floats of major type 7.
    var info: UInt8
    var argument: UInt64
    var offset: Int

    var isBreak: Bool { major == 7 && info == 31 }
    var isIndefinite: Bool { info == 31 && major >= 2 && major <= 5 }
  }

  let bytes: ByteView
  var position = 0

  init(_ bytes: ByteView) {
    self.bytes = bytes
  }

  var isAtEnd: Bool { position >= bytes.count }

  func failure(_ detail: StaticString) -> Failure {
    Failure(offset: position, detail: detail)
  }

  mutating func head() throws(Failure) -> Head {
    guard position < bytes.count else { throw failure("the payload ends in the middle") }
    let offset = position
    let first = bytes[position]
    position += 1
    let info = first & 31
    var argument = UInt64(info)
    if info >= 24 {
      guard info <= 27 || info == 31 else {
        throw Failure(offset: offset, detail: "a reserved length")
      }
      if info == 31 {
        guard (first >> 5 >= 2 && first >> 5 <= 5) || first >> 5 == 7 else {
          throw Failure(offset: offset, detail: "a number without end")
        }
        argument = 0
      } else {
        let length = 1 << Int(info - 24)
        guard position + length <= bytes.count else {
          throw failure("the payload ends in the middle")
        }
        argument = 0
        for index in position..<position + length {
          argument = argument << 8 | UInt64(bytes[index])
        }
        position += length
      }
    }
    return Head(major: first >> 5, info: info, argument: argument, offset: offset)
  }

  /// What `peek` of the next byte says: whether a container of indefinite length ends here.
  mutating func takeBreak() -> Bool {
    guard position < bytes.count, bytes[position] == 0xFF else { return false }
    position += 1
    return true
  }

  /// A text or byte string whose head has been read.
  mutating func string(_ head: Head) throws(Failure) -> [UInt8] {
    if head.isIndefinite {
      var result: [UInt8] = []
      while !takeBreak() {
        let part = try self.head()
        guard part.major == head.major, !part.isIndefinite else {
          throw Failure(offset: part.offset, detail: "a part of another type")
        }
        result += try string(part)
      }
      return result
    }
    guard head.argument <= UInt64(bytes.count - position) else {
      throw Failure(offset: head.offset, detail: "a string longer than the payload")
    }
    let range = position..<position + Int(head.argument)
    position = range.upperBound
    let content = bytes[range]
    if head.major == 3, content.validUTF8Prefix() != content.count {
      throw Failure(offset: head.offset, detail: "text that is not UTF-8")
    }
    return content.array
  }

  /// A number whose head has been read, including decimal fractions (tag 4); nil for another type.
  mutating func number(_ head: Head) throws(Failure) -> Double? {
    switch head.major {
    case 0: return Double(head.argument)
    case 1: return -1 - Double(head.argument)
    case 6 where head.argument == 4:
      let array = try self.head()
      guard array.major == 4, array.argument == 2, !array.isIndefinite else {
        throw Failure(offset: array.offset, detail: "not a decimal fraction")
      }
      let first = try self.head()
      guard first.major <= 1, first.argument <= 400 else {
        throw Failure(offset: first.offset, detail: "not a power of ten")
      }
      let exponent = first.major == 0 ? Int(first.argument) : -1 - Int(first.argument)
      let second = try self.head()
      guard second.major <= 1 else {
        throw Failure(offset: second.offset, detail: "not a whole mantissa")
      }
      // Through decimal text, so that the result is the nearest double.
      let digits = "\(second.argument)"
      if second.major == 0 { return Double(digits + "e\(exponent)") }
      let (next, isBeyond) = second.argument.addingReportingOverflow(1)
      return Double("-\(isBeyond ? "18446744073709551616" : "\(next)")e\(exponent)")
    case 7:
      switch head.info {
      case 25: return Self.half(UInt16(truncatingIfNeeded: head.argument))
      case 26: return Double(Float(bitPattern: UInt32(truncatingIfNeeded: head.argument)))
      case 27: return Double(bitPattern: head.argument)
      default: return nil
      }
    default: return nil
    }
  }

  /// A half-precision number (RFC 8949, appendix D).
  static func half(_ bits: UInt16) -> Double {
    let exponent = Int(bits >> 10 & 31)
    let mantissa = Double(bits & 1_023)
    let magnitude: Double
    switch exponent {
    case 0: magnitude = mantissa * 0x1p-24
    case 31: magnitude = mantissa == 0 ? .infinity : .nan
    default:
      magnitude = Double(sign: .plus, exponent: exponent - 25, significand: mantissa + 1_024)
    }
    return bits & 0x8000 == 0 ? magnitude : -magnitude
  }

  /// Passes over an item whose head has been read.
  mutating func skip(_ head: Head, depth: Int) throws(Failure) {
    guard depth > 0 else { throw Failure(offset: head.offset, detail: "nested too deeply") }
    switch head.major {
    case 2, 3:
      _ = try string(head)
    case 4, 5:
      let width: UInt64 = head.major == 5 ? 2 : 1
      if head.isIndefinite {
        var items: UInt64 = 0
        while !takeBreak() {
          try skip(self.head(), depth: depth - 1)
          items += 1
        }
        guard items % width == 0 else {
          throw Failure(offset: head.offset, detail: "a key without a value")
        }
      } else {
        guard head.argument <= UInt64(bytes.count - position) else {
          throw Failure(offset: head.offset, detail: "a container longer than the payload")
        }
        for _ in 0..<head.argument * width { try skip(self.head(), depth: depth - 1) }
      }
    case 6:
      try skip(self.head(), depth: depth - 1)
    case 7 where head.isBreak:
      throw Failure(offset: head.offset, detail: "an end of nothing")
    default:
      break
    }
  }
}
