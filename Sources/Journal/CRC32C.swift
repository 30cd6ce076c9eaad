/// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), eight bytes a step ("slicing by eight").
///
/// The checksum of iSCSI (RFC 3720, appendix B.4), ext4 and many logs: `123456789` gives 0xE3069283.
package struct CRC32C {
  private var state: UInt32 = ~0

  package init() {}

  /// The checksum of what was added so far.
  package var value: UInt32 { ~state }

  /// The checksum of `bytes`.
  package static func checksum(_ bytes: Span<UInt8>) -> UInt32 {
    var crc = CRC32C()
    crc.add(bytes)
    return crc.value
  }

  /// Adds the eight bytes of a number, the lowest first.
  package mutating func add(_ number: UInt64) {
    state = Self.step(state, number, Self.tables.span)
  }

  /// Adds bytes.
  package mutating func add(_ bytes: Span<UInt8>) {
    let tables = Self.tables.span
    var crc = state
    var at = 0
    unsafe bytes.withUnsafeBytes { raw in
      while at &+ 8 <= raw.count {
        let word = unsafe raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        crc = Self.step(crc, UInt64(littleEndian: word), tables)
        at &+= 8
      }
    }
    while at < bytes.count {
      crc = crc >> 8 ^ tables[Int((crc ^ UInt32(bytes[at])) & 0xFF)]
      at += 1
    }
    state = crc
  }

  @inline(__always)
  private static func step(_ crc: UInt32, _ word: UInt64, _ tables: Span<UInt32>) -> UInt32 {
    let mixed = word ^ UInt64(crc)
    var next: UInt32 = 0
    for slice in 0..<8 {
      let byte = Int(truncatingIfNeeded: mixed >> UInt64(8 * slice)) & 0xFF
      next ^= tables[(7 - slice) << 8 | byte]
    }
    return next
  }

  /// `tables[k << 8 | b]` is what byte `b` does to the checksum `k` bytes later.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var crc = UInt32(byte)
      for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 0 ? 0 : 0x82F6_3B78) }
      tables[byte] = crc
    }
    for index in 256..<tables.count {
      let before = tables[index - 256]
      tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
    }
    return tables
  }()
}
