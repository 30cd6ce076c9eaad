/// Decimal text to numbers, exactly.
enum JSONNumber {
  /// 10⁰ to 10²², the powers of ten that a double holds exactly.
  private static let powers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
  ]

  /// Scans the JSON number that starts at `start`; gives its node and the place after it.
  @inline(__always)
  static func scan(_ bytes: ByteView, at start: Int) throws(JSONError) -> (JSONNode, Int) {
    var index = start
    let negative = bytes[index] == 0x2D
    if negative {
      index &+= 1
      guard index < bytes.count else { throw JSONError(kind: .unexpectedEnd, offset: index) }
    }
    var mantissa: UInt64 = 0
    let digitsStart = index
    digits(bytes, &index, &mantissa)
    let whole = index &- digitsStart
    guard whole > 0, whole == 1 || bytes[digitsStart] != 0x30 else {
      throw JSONError(kind: .badNumber, offset: start)
    }
    guard index < bytes.count, bytes[index] == 0x2E || bytes[index] | 0x20 == 0x65 else {
      // An integer; nineteen digits or more, and minus zero, go the long way.
      if whole < 19 && !(negative && mantissa == 0) {
        let value = negative ? 0 &- mantissa : mantissa
        return (JSONNode(.integer, offset: start, extra: index &- start, bits: value), index)
      }
      return (slow(bytes, start..<index, integer: true), index)
    }
    var fraction = 0
    if bytes[index] == 0x2E {
      index &+= 1
      let fractionStart = index
      digits(bytes, &index, &mantissa)
      fraction = index &- fractionStart
      guard fraction > 0 else { throw JSONError(kind: .badNumber, offset: start) }
    }
    var exponent = 0
    if index < bytes.count, bytes[index] | 0x20 == 0x65 {
      (exponent, index) = try self.exponent(bytes, at: index, number: start)
    }
    // Clinger's fast path: both factors are exact, so the one rounding is the right one.
    let scale = exponent &- fraction
    if whole &+ fraction <= 19, mantissa <= 1 << 53, scale >= -22, scale <= 22 {
      let magnitude = Double(mantissa)
      let value = scale < 0 ? magnitude / powers[0 &- scale] : magnitude * powers[scale]
      let signed = negative ? -value : value
      return (
        JSONNode(.double, offset: start, extra: index &- start, bits: signed.bitPattern), index
      )
    }
    return (slow(bytes, start..<index, integer: false), index)
  }

  /// Reads decimal digits from `index` on behind those already in `mantissa`; more than nineteen wrap.
  @inline(__always)
  private static func digits(_ bytes: ByteView, _ index: inout Int, _ mantissa: inout UInt64) {
    // Up to eight digits at a time, by three multiplications.
    while index &+ 8 <= bytes.count {
      let word = bytes.word(at: index)
      let width = leadingDigits(word)
      guard width > 0 else { return }
      mantissa = mantissa &* powersOfTen[width] &+ number(word, digits: width)
      index &+= width
      guard width == 8 else { return }
    }
    while index < bytes.count {
      let digit = bytes[index] &- 0x30
      guard digit < 10 else { return }
      mantissa = mantissa &* 10 &+ UInt64(digit)
      index &+= 1
    }
  }

  // MARK: Numbers within a word

  /// How many of the lowest bytes of a word are decimal digits.
  @inline(__always)
  static func leadingDigits(_ word: UInt64) -> Int {
    // A byte that is no digit has its high bit set in one of the two; the lowest such mark is exact.
    let values = word &- 0x3030_3030_3030_3030
    let others = ((word &+ 0x4646_4646_4646_4646) | values) & 0x8080_8080_8080_8080
    return others.trailingZeroBitCount &>> 3
  }

  /// The number that the lowest `digits` bytes of a word spell, of which there are one to eight.
  @inline(__always)
  static func number(_ word: UInt64, digits: Int) -> UInt64 {
    // The digits move to the upper end, which puts zeros before them and drops what is none.
    var sum = (word &- 0x3030_3030_3030_3030) &<< UInt64(64 &- digits &* 8)
    sum = sum &* 10 &+ (sum &>> 8)
    return
      ((sum & 0x0000_00FF_0000_00FF) &* 0x000F_4240_0000_0064
      &+ ((sum &>> 16) & 0x0000_00FF_0000_00FF) &* 0x0000_2710_0000_0001) &>> 32
  }

  /// 10 to the power of 0 to 22, exactly.
  @inline(__always)
  static func power(_ exponent: Int) -> Double { powers[exponent] }

  /// 10 to the power of 0 to 8.
  @inline(__always)
  static func powerOfTen(_ exponent: Int) -> UInt64 { powersOfTen[exponent] }

  /// 10⁰ to 10⁸.
  private static let powersOfTen: [UInt64] = [
    1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000,
  ]

  private static func exponent(
    _ bytes: ByteView,
    at start: Int,
    number: Int
  ) throws(JSONError) -> (Int, Int) {
    var index = start + 1
    var negative = false
    if index < bytes.count, bytes[index] == 0x2B || bytes[index] == 0x2D {
      negative = bytes[index] == 0x2D
      index += 1
    }
    let digits = index
    var value = 0
    while index < bytes.count {
      let digit = bytes[index] &- 0x30
      guard digit < 10 else { break }
      value = min(value &* 10 &+ Int(digit), 1_000_000)
      index &+= 1
    }
    guard index > digits else { throw JSONError(kind: .badNumber, offset: number) }
    return (negative ? -value : value, index)
  }

  /// Many digits or a large exponent: the standard library's own correctly rounding parser.
  @inline(never)
  private static func slow(_ bytes: ByteView, _ range: Range<Int>, integer: Bool) -> JSONNode {
    let text = bytes[range].text
    if integer, let value = Int64(text), !(value == 0 && text.first == "-") {
      return JSONNode(
        .integer,
        offset: range.lowerBound,
        extra: range.count,
        bits: UInt64(bitPattern: value)
      )
    }
    guard let value = Double(text), value.isFinite else {
      return JSONNode(.huge, offset: range.lowerBound, extra: range.count)
    }
    return JSONNode(
      .double,
      offset: range.lowerBound,
      extra: range.count,
      bits: value.bitPattern
    )
  }

  /// The number that all of `bytes` are, by JSON's grammar; nil if they are not one.
  static func parse(_ bytes: ByteView) -> JSONNode? {
    guard bytes.count > 0, bytes[0] == 0x2D || bytes[0] &- 0x30 < 10,
      let (node, end) = try? scan(bytes, at: 0), end == bytes.count
    else { return nil }
    return node
  }

  /// A decimal number in a wider form than JSON's: `+1`, `.5`, `5.`, `007`; nil if it is none.
  ///
  /// Too large a number is infinite.
  static func lenient(_ bytes: [UInt8]) -> Double? {
    guard bytes.count <= 400,
      bytes.allSatisfy({
        ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2E || $0 == 0x2B || $0 == 0x2D || $0 | 0x20 == 0x65
      })
    else { return nil }
    return Double(String(decoding: bytes, as: UTF8.self))
  }

  /// A decimal number in either form; nil if it is none.
  static func decimal(_ bytes: ByteView) -> Double? {
    if let node = parse(bytes) {
      switch node.kind {
      case .integer: return Double(Int64(bitPattern: node.bits))
      case .double: return Double(bitPattern: node.bits)
      default: break
      }
    }
    return lenient(bytes.array)
  }
}
