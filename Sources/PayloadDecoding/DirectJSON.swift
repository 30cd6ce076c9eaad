/// Reads JSON text in one pass, for messages of a form known beforehand: no nodes are written.
///
/// It knows less than ``JSONParser``: where it finds nothing the text may be sound or not, and only that parser can tell.
/// What it takes it takes as the parser would: the same grammar, the same numbers, UTF-8 that is valid. Places go in
/// and come out as values, so that they stay in registers; −1 is nowhere, and nothing is found there.
@safe
struct DirectJSON {
  /// A text without escapes.
  struct Text {
    /// Its first eight bytes, zero-filled.
    var word: UInt64 = 0
    /// Its first byte behind the quotation mark.
    var offset: UInt32 = 0
    /// Its bytes; −1 for no text.
    var length: Int32 = -1

    @inline(__always)
    var isAbsent: Bool { length < 0 }
    /// The place behind the closing quotation mark.
    @inline(__always)
    var end: Int { isAbsent ? -1 : Int(offset) &+ Int(length) &+ 1 }
  }

  /// A member name that Davy JSON knows; the raw value is its bit among those of one object.
  enum Member: UInt32 {
    case device = 1
    case point = 2
    case time = 4
    case value = 8
    case status = 16
    case unit = 32
    case values = 64
    case readings = 128
  }

  private let base: UnsafePointer<UInt8>
  let count: Int

  /// Of texts shorter than a word nothing is read.
  @inline(__always)
  init?(_ bytes: ByteView) {
    guard bytes.count >= 8 else { return nil }
    unsafe base = unsafe bytes.base
    count = bytes.count
  }

  @inline(__always)
  var bytes: ByteView { unsafe ByteView(base: base, count: count) }

  @inline(__always)
  func view(_ text: Text) -> ByteView {
    bytes[Int(text.offset)..<Int(text.offset) &+ Int(text.length)]
  }

  /// The byte at a place; 0, which no token has, outside the text.
  @inline(__always)
  subscript(index: Int) -> UInt8 {
    UInt(bitPattern: index) < UInt(bitPattern: count) ? unsafe base[index] : 0
  }

  /// The first eight digits of a time and the number that they spell: the next time mostly begins with the same.
  struct TimeHead {
    fileprivate var word: UInt64 = 0x3030_3030_3030_3031
    fileprivate var number: UInt64 = 10_000_000
  }

  /// Eight bytes from a place, least significant first; zeros behind the end.
  @inline(__always)
  private func word(at index: Int) -> UInt64 {
    if UInt(bitPattern: index) <= UInt(bitPattern: count &- 8) { return unsafe load(index) }
    return wordAtEnd(index)
  }

  @unsafe @inline(__always)
  private func load(_ index: Int) -> UInt64 {
    unsafe UInt64(
      littleEndian: UnsafeRawPointer(base).loadUnaligned(fromByteOffset: index, as: UInt64.self)
    )
  }

  @inline(never)
  private func wordAtEnd(_ index: Int) -> UInt64 {
    guard index >= 0, index < count else { return 0 }
    return unsafe load(count &- 8) &>> UInt64(64 &- (count &- index) &* 8)
  }

  /// The place behind white space.
  @inline(never)
  func afterSpace(_ start: Int) -> Int {
    var index = start
    while [0x20, 0x0A, 0x0D, 0x09].contains(self[index]) { index &+= 1 }
    return index
  }

  /// The place behind white space and `byte`; −1 when something else is there.
  @inline(__always)
  func after(_ byte: UInt8, at start: Int) -> Int {
    if self[start] == byte { return start &+ 1 }
    let index = afterSpace(start)
    return self[index] == byte ? index &+ 1 : -1
  }

  /// What ends a member or an element: a comma, or the bracket or brace that closes; and the place behind it.
  @inline(__always)
  func separator(_ close: UInt8, at start: Int) -> (isLast: Bool, end: Int) {
    let byte = self[start]
    if byte == 0x2C { return (false, start &+ 1) }
    if byte == close { return (true, start &+ 1) }
    let index = afterSpace(start)
    if self[index] == 0x2C { return (false, index &+ 1) }
    return (true, self[index] == close ? index &+ 1 : -1)
  }

  /// A member name and the place behind its colon.
  @inline(__always)
  func member(at start: Int) -> (Member?, end: Int) {
    // Names with their quotation marks and colons as little-endian bytes: one comparison for each.
    let word = word(at: start)
    if word == 0x3A22_746E_696F_7022 { return (.point, start &+ 8) }
    switch word & 0xFFFF_FFFF {
    case 0x3A22_7422: return (.time, start &+ 4)
    case 0x3A22_7622: return (.value, start &+ 4)
    case 0x3A22_7322: return (.status, start &+ 4)
    default:
      if word == 0x2265_6369_7665_6422, self[start &+ 8] == 0x3A { return (.device, start &+ 9) }
      if word & 0x00FF_FFFF_FFFF_FFFF == 0x003A_2274_696E_7522 { return (.unit, start &+ 7) }
      return longMember(start, word)
    }
  }

  /// The other names, and names with white space around them.
  @inline(never)
  private func longMember(_ place: Int, _ first: UInt64) -> (Member?, end: Int) {
    let start = afterSpace(place)
    let word = start == place ? first : word(at: start)
    let found: Member
    let length: Int
    switch word & 0xFF_FFFF {
    case 0x22_7422: (found, length) = (.time, 3)
    case 0x22_7622: (found, length) = (.value, 3)
    case 0x22_7322: (found, length) = (.status, 3)
    default:
      switch word {
      case 0x2265_6369_7665_6422: (found, length) = (.device, 8)
      case 0x2273_6575_6C61_7622: (found, length) = (.values, 8)
      case 0x676E_6964_6165_7222 where self.word(at: start &+ 8) & 0xFFFF == 0x2273:
        (found, length) = (.readings, 10)
      case _ where word & 0x00FF_FFFF_FFFF_FFFF == 0x0022_746E_696F_7022:
        (found, length) = (.point, 7)
      case _ where word & 0xFFFF_FFFF_FFFF == 0x2274_696E_7522: (found, length) = (.unit, 6)
      default: return (nil, -1)
      }
    }
    let end = after(0x3A, at: start &+ length)
    return (end < 0 ? nil : found, end)
  }

  /// A text without escapes; absent when there is none.
  @inline(__always)
  func text(at start: Int) -> Text {
    guard self[start] == 0x22 else { return textBehindSpace(start) }
    let first = word(at: start &+ 1)
    let shift = UInt64(JSONParser.stops(first).trailingZeroBitCount & ~7)
    if shift < 64, (first &>> shift) & 0xFF == 0x22 {
      return Text(
        word: first & ((1 &<< shift) &- 1),
        offset: UInt32(truncatingIfNeeded: start &+ 1),
        length: Int32(truncatingIfNeeded: shift &>> 3)
      )
    }
    // Names of devices mostly end in the second word.
    let second = word(at: start &+ 9)
    let rest = UInt64(JSONParser.stops(second).trailingZeroBitCount & ~7)
    guard shift == 64, rest < 64, (second &>> rest) & 0xFF == 0x22 else {
      return longText(start &+ 1, first)
    }
    return Text(
      word: first,
      offset: UInt32(truncatingIfNeeded: start &+ 1),
      length: Int32(truncatingIfNeeded: 8 &+ rest &>> 3)
    )
  }

  @inline(never)
  private func textBehindSpace(_ start: Int) -> Text {
    let index = afterSpace(start)
    return self[index] == 0x22 ? longText(index &+ 1, word(at: index &+ 1)) : Text()
  }

  /// The text in quotation marks of exactly `length` bytes, above 0, whatever it is; the caller holds it against one without
  /// quotation marks and escapes.
  @inline(__always)
  func text(at start: Int, length: Int) -> Text? {
    guard self[start] == 0x22, self[start &+ length &+ 1] == 0x22 else { return nil }
    return Text(
      offset: UInt32(truncatingIfNeeded: start &+ 1),
      length: Int32(truncatingIfNeeded: length)
    )
  }

  /// A text without escapes, mostly the expected one.
  @inline(__always)
  func text(at start: Int, expected: HotTables.ShortName) -> Text {
    guard word(at: start) & expected.mask == expected.quoted else { return text(at: start) }
    return Text(
      word: expected.word,
      offset: UInt32(truncatingIfNeeded: start &+ 1),
      length: Int32(truncatingIfNeeded: expected.length)
    )
  }

  /// A text without escapes, mostly "normal".
  @inline(__always)
  func statusText(at start: Int) -> Text {
    guard word(at: start) == 0x226C_616D_726F_6E22 else { return text(at: start) }
    return Text(
      word: 0x6C61_6D72_6F6E,
      offset: UInt32(truncatingIfNeeded: start &+ 1),
      length: 6
    )
  }

  /// Text of eight bytes or more, or with other characters than ASCII.
  @inline(never)
  private func longText(_ start: Int, _ first: UInt64) -> Text {
    var index = start
    while true {
      let stops = JSONParser.stops(word(at: index))
      guard stops != 0 else {
        index &+= 8
        continue
      }
      index &+= stops.trailingZeroBitCount &>> 3
      let byte = self[index]
      if byte == 0x22 { break }
      let length = byte < 0x80 ? 0 : bytes.utf8SequenceLength(at: index)
      guard length > 0 else { return Text() }
      index &+= length
    }
    let length = index &- start
    return Text(
      word: length >= 8 ? first : first & ((1 &<< UInt64(length &* 8)) &- 1),
      offset: UInt32(truncatingIfNeeded: start),
      length: Int32(truncatingIfNeeded: length)
    )
  }

  // MARK: Numbers

  /// A number and the place behind it; −1 for anything else. (Whether true and false are values hangs on the point.)
  @inline(__always)
  func value(at start: Int) -> (Double, end: Int) {
    let isNegative = self[start] == 0x2D
    let first = isNegative ? start &+ 1 : start
    var word = word(at: first)
    var digits = JSONNumber.leadingDigits(word)
    let whole = digits
    var end = first &+ digits
    if digits < 8, (word &>> UInt64(digits &* 8)) & 0xFF == 0x2E {
      // The decimal point is taken out, so that the digits stand together.
      let low = (1 as UInt64) &<< UInt64(digits &* 8) &- 1
      word = word & low | (word &>> 8) & ~low
      digits = JSONNumber.leadingDigits(word)
      // With seven digits an eighth may follow behind the word; without a fraction it is no number.
      if digits == 7 || digits == whole { return unusualValue(at: start) }
      end = first &+ digits &+ 1
    }
    guard whole > 0, digits < 8, whole == 1 || word & 0xFF != 0x30, self[end] | 0x20 != 0x65 else {
      return unusualValue(at: start)
    }
    let magnitude =
      Double(Int64(truncatingIfNeeded: JSONNumber.number(word, digits: digits)))
      / JSONNumber.power(digits &- whole)
    return (isNegative ? -magnitude : magnitude, end)
  }

  /// Numbers of many digits, with an exponent, and what is no number.
  @inline(never)
  private func unusualValue(at place: Int) -> (Double, end: Int) {
    let start = afterSpace(place)
    switch self[start] {
    case 0x2D, 0x30...0x39:
      guard let (node, end) = try? JSONNumber.scan(bytes, at: start) else { return (0, -1) }
      switch node.kind {
      case .integer: return (Double(Int64(bitPattern: node.bits)), end)
      case .double: return (Double(bitPattern: node.bits), end)
      default: return (0, -1)
      }
    default: return (0, -1)
    }
  }

  /// Milliseconds since 1970 in nine to fifteen digits, or a date and time with its zone, and the place behind it.
  @inline(__always)
  func time(at start: Int, _ head: inout TimeHead) -> (Int64, end: Int) {
    let high = word(at: start)
    if high != head.word {
      guard JSONNumber.leadingDigits(high) == 8 else { return unusualTime(at: start) }
      guard high & 0xFF != 0x30 else { return (0, -1) }
      head.word = high
      head.number = JSONNumber.number(high, digits: 8)
    }
    return digitsTime(start, head.number)
  }

  @inline(__always)
  private func digitsTime(_ start: Int, _ high: UInt64) -> (Int64, end: Int) {
    let low = word(at: start &+ 8)
    let digits = JSONNumber.leadingDigits(low)
    let end = start &+ 8 &+ digits
    let byte = self[end]
    guard digits > 0, digits < 8, byte != 0x2E, byte | 0x20 != 0x65 else { return (0, -1) }
    let milliseconds =
      high &* JSONNumber.powerOfTen(digits) &+ JSONNumber.number(low, digits: digits)
    return (Int64(truncatingIfNeeded: milliseconds), end)
  }

  @inline(never)
  private func unusualTime(at place: Int) -> (Int64, end: Int) {
    let start = afterSpace(place)
    let high = word(at: start)
    if JSONNumber.leadingDigits(high) == 8 {
      return high & 0xFF == 0x30 ? (0, -1) : digitsTime(start, JSONNumber.number(high, digits: 8))
    }
    let text = text(at: start)
    guard !text.isAbsent, let time = TimeText.dateTime(view(text), utcOffsetMinutes: nil) else {
      return (0, -1)
    }
    return (time, text.end)
  }
}
