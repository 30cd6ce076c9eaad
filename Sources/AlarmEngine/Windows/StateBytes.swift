/// Why saved detector state could not be read back.
public enum StateReadError: Error, Hashable, Sendable {
  /// The bytes end before the state does.
  case truncated
  /// The bytes were written for other parameters, or are damaged.
  case inconsistent
}

/// Reads state back that ``appendState`` functions wrote: little endian, fixed width, no padding.
public struct StateReader: Sendable {
  private let bytes: [UInt8]
  private var position: Int

  /// Starts reading at `position`.
  public init(_ bytes: [UInt8], at position: Int = 0) {
    self.bytes = bytes
    self.position = position
  }

  /// How many bytes have been read.
  public var offset: Int { position }

  /// True when nothing is left.
  public var isAtEnd: Bool { position >= bytes.count }

  /// Reads one byte.
  public mutating func byte() throws(StateReadError) -> UInt8 {
    guard position < bytes.count else { throw .truncated }
    defer { position += 1 }
    return bytes[position]
  }

  /// Reads a truth value written as 0 or 1.
  public mutating func flag() throws(StateReadError) -> Bool {
    switch try byte() {
    case 0: false
    case 1: true
    default: throw .inconsistent
    }
  }

  /// Reads eight bytes.
  public mutating func word() throws(StateReadError) -> UInt64 {
    guard bytes.count - position >= 8 else { throw .truncated }
    var word: UInt64 = 0
    for index in (0..<8).reversed() { word = word << 8 | UInt64(bytes[position + index]) }
    position += 8
    return word
  }

  /// Reads a signed integer.
  public mutating func integer() throws(StateReadError) -> Int64 {
    Int64(bitPattern: try word())
  }

  /// Reads a count that must lie in `range`.
  public mutating func count(in range: ClosedRange<Int>) throws(StateReadError) -> Int {
    let value = try integer()
    guard value >= range.lowerBound, value <= range.upperBound else { throw .inconsistent }
    return Int(value)
  }

  /// Reads a floating-point number, bit for bit.
  public mutating func double() throws(StateReadError) -> Double {
    Double(bitPattern: try word())
  }

  /// Reads `count` floating-point numbers.
  public mutating func doubles(_ count: Int) throws(StateReadError) -> [Double] {
    guard count >= 0, (bytes.count - position) / 8 >= count else { throw .truncated }
    var values: [Double] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(try double()) }
    return values
  }
}

extension [UInt8] {
  /// Appends a truth value as one byte.
  package mutating func appendState(_ value: Bool) {
    append(value ? 1 : 0)
  }

  /// Appends eight bytes, little endian.
  package mutating func appendState(_ value: UInt64) {
    for shift in stride(from: 0, to: 64, by: 8) {
      append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  /// Appends a signed integer.
  package mutating func appendState(_ value: Int64) {
    appendState(UInt64(bitPattern: value))
  }

  /// Appends a count.
  package mutating func appendState(_ value: Int) {
    appendState(UInt64(bitPattern: Int64(value)))
  }

  /// Appends a floating-point number, bit for bit.
  package mutating func appendState(_ value: Double) {
    appendState(value.bitPattern)
  }

  /// Appends floating-point numbers without their count.
  package mutating func appendState(_ values: [Double]) {
    for value in values { appendState(value.bitPattern) }
  }
}
