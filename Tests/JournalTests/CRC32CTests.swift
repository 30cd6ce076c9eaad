import Journal
import Testing

struct CRC32CTests {
  @Test("the vectors of RFC 3720, appendix B.4, and the catalogue's check value")
  func vectors() {
    let cases: [([UInt8], UInt32)] = [
      (Array("123456789".utf8), 0xE306_9283),
      ([], 0),
      (Array(repeating: 0, count: 32), 0x8A91_36AA),
      (Array(repeating: 0xFF, count: 32), 0x62A8_AB43),
      (Array(0..<32), 0x46DD_794E),
      (Array((0..<32).reversed()), 0x113F_DB5C),
    ]
    for (bytes, checksum) in cases { #expect(CRC32C.checksum(bytes.span) == checksum) }
  }

  @Test("eight bytes a step is bit by bit, for every length and every cut")
  func slices() {
    var random = SplitMix(1)
    for length in 0..<200 {
      let bytes = random.bytes(length)
      var oracle: UInt32 = ~0
      for byte in bytes {
        oracle ^= UInt32(byte)
        for _ in 0..<8 { oracle = oracle >> 1 ^ (oracle & 1 == 0 ? 0 : 0x82F6_3B78) }
      }
      let cut = random.below(length + 1)
      var crc = CRC32C()
      crc.add(bytes.span.extracting(0..<cut))
      crc.add(bytes.span.extracting(cut..<length))
      #expect(crc.value == ~oracle)
      #expect(CRC32C.checksum(bytes.span) == ~oracle)
    }
  }

  @Test("a number is its eight bytes, the lowest first")
  func numbers() {
    var crc = CRC32C()
    crc.add(0x0807_0605_0403_0201 as UInt64)
    #expect(crc.value == CRC32C.checksum(([1, 2, 3, 4, 5, 6, 7, 8] as [UInt8]).span))
  }
}
