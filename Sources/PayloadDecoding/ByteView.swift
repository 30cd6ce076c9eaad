/// Borrowed bytes of one message, with checked access.
///
/// It does not own its memory: it lives only inside the `decode` call that made it and is never
/// stored. Every subscript is checked, so that hostile input meets a precondition at worst, and the
/// fuzzers show that it never does.
@safe
struct ByteView {
  let base: UnsafePointer<UInt8>
  let count: Int

  @inline(__always)
  init(base: UnsafePointer<UInt8>, count: Int) {
    unsafe self.base = unsafe base
    self.count = count
  }

  @inline(__always)
  subscript(index: Int) -> UInt8 {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
    return unsafe base[index]
  }

  @inline(__always)
  subscript(range: Range<Int>) -> ByteView {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return unsafe ByteView(base: base + range.lowerBound, count: range.count)
  }

  /// Eight bytes from `index`, least significant first; the caller has checked the room.
  @inline(__always)
  func word(at index: Int) -> UInt64 {
    precondition(index >= 0 && index &+ 8 <= count)
    return unsafe UInt64(
      littleEndian: UnsafeRawPointer(base).loadUnaligned(
        fromByteOffset: index,
        as: UInt64.self
      )
    )
  }

  /// The first up to eight bytes as a word, zero-filled.
  @inline(__always)
  func prefixWord(from start: Int, length: Int) -> UInt64 {
    if start &+ 8 <= count {
      let word = word(at: start)
      return length >= 8 ? word : word & ((1 &<< UInt64(length &* 8)) &- 1)
    }
    var word: UInt64 = 0
    for index in 0..<min(length, 8) {
      word |= UInt64(self[start &+ index]) &<< UInt64(index &* 8)
    }
    return word
  }

  var array: [UInt8] {
    unsafe Array(UnsafeBufferPointer(start: base, count: count))
  }

  /// The bytes as text; malformed UTF-8 is repaired, for messages to people only.
  var text: String {
    unsafe String(decoding: UnsafeBufferPointer(start: base, count: count), as: UTF8.self)
  }

  /// At most `limit` bytes as text, for messages to people.
  func excerpt(_ limit: Int = 64) -> String {
    guard count > limit else { return text }
    // Not within a code point; where these bytes are no text, it does not matter.
    var end = limit
    while end > max(0, limit - 3), self[end] & 0xC0 == 0x80 { end -= 1 }
    return self[0..<end].text + "…"
  }

  @inline(__always)
  func equals(_ other: ByteView) -> Bool {
    guard count == other.count else { return false }
    for index in 0..<count where self[index] != other[index] { return false }
    return true
  }

  func equals(_ other: StaticString) -> Bool {
    guard count == other.utf8CodeUnitCount else { return false }
    for index in 0..<count where unsafe self[index] != other.utf8Start[index] { return false }
    return true
  }

  func equals(_ other: [UInt8]) -> Bool {
    guard count == other.count else { return false }
    for index in 0..<count where self[index] != other[index] { return false }
    return true
  }

  func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
    var index = start
    while index < count {
      if self[index] == byte { return index }
      index += 1
    }
    return nil
  }

  /// A hash for tables whose keys come from the catalog; not meant against chosen keys.
  @inline(__always)
  func hash(seed: UInt64) -> UInt64 {
    var hash = seed ^ (UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15)
    guard count > 8 else {
      return count == 0 ? hash : Self.mix(hash ^ prefixWord(from: 0, length: count))
    }
    var index = 0
    while index &+ 8 < count {
      hash = Self.mix(hash ^ word(at: index))
      index &+= 8
    }
    // The last word overlaps the one before it.
    hash = Self.mix(hash ^ word(at: count &- 8))
    return hash
  }

  /// The hash of one to eight bytes, given as a zero-filled word.
  @inline(__always)
  static func hash(seed: UInt64, word: UInt64, count: Int) -> UInt64 {
    mix(seed ^ (UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15) ^ word)
  }

  @inline(__always)
  static func mix(_ value: UInt64) -> UInt64 {
    let product = value.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
    return product.high ^ product.low ^ (value &>> 32)
  }

  /// The length of the longest prefix that is UTF-8 (RFC 3629); `count` when all is.
  func validUTF8Prefix() -> Int {
    var index = 0
    while index < count {
      if index &+ 8 <= count, word(at: index) & 0x8080_8080_8080_8080 == 0 {
        index &+= 8
        continue
      }
      let length = utf8SequenceLength(at: index)
      if length == 0 { return index }
      index &+= length
    }
    return count
  }

  /// What text that JSON does not begin with begins with, where it is of another encoding; nil otherwise.
  var otherEncoding: String? {
    if count >= 3, self[0] == 0xEF, self[1] == 0xBB, self[2] == 0xBF {
      return "a byte order mark: send UTF-8 without one"
    }
    guard count >= 2 else { return nil }
    switch (self[0], self[1]) {
    case (0xFF, 0xFE), (0xFE, 0xFF), (0, _), (_, 0): return "UTF-16 or UTF-32: send UTF-8"
    default: return nil
    }
  }

  /// The length of the UTF-8 sequence at `index`, or 0 when it is not one.
  @inline(__always)
  func utf8SequenceLength(at index: Int) -> Int {
    let first = self[index]
    if first < 0x80 { return 1 }
    if first < 0xC2 { return 0 }
    let left = count &- index
    if first < 0xE0 {
      return left >= 2 && isContinuation(index &+ 1) ? 2 : 0
    }
    if first < 0xF0 {
      guard left >= 3, isContinuation(index &+ 1), isContinuation(index &+ 2) else { return 0 }
      let second = self[index &+ 1]
      if first == 0xE0 && second < 0xA0 { return 0 }
      if first == 0xED && second > 0x9F { return 0 }
      return 3
    }
    guard first < 0xF5, left >= 4, isContinuation(index &+ 1), isContinuation(index &+ 2),
      isContinuation(index &+ 3)
    else { return 0 }
    let second = self[index &+ 1]
    if first == 0xF0 && second < 0x90 { return 0 }
    if first == 0xF4 && second > 0x8F { return 0 }
    return 4
  }

  @inline(__always)
  private func isContinuation(_ index: Int) -> Bool {
    self[index] & 0xC0 == 0x80
  }
}

extension Array where Element == UInt8 {
  /// Runs `body` with the bytes as a view that must not escape.
  @inline(__always)
  func withView<Result, Failure: Error>(
    _ body: (ByteView) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe withUnsafeBufferPointer { (buffer) throws(Failure) -> Result in
      try unsafe body(ByteView(buffer))
    }
  }
}

extension ByteView {
  @inline(__always)
  init(_ buffer: UnsafeBufferPointer<UInt8>) {
    if let base = buffer.baseAddress {
      unsafe self.init(base: base, count: buffer.count)
    } else {
      unsafe self.init(base: ByteView.nowhere, count: 0)
    }
  }

  /// A valid address for views of no bytes.
  nonisolated(unsafe) static let nowhere: UnsafePointer<UInt8> = {
    let pointer = UnsafeMutablePointer<UInt8>.allocate(capacity: 8)
    unsafe pointer.initialize(repeating: 0, count: 8)
    return unsafe UnsafePointer(pointer)
  }()
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
