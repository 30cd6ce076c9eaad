import Foundation
import Journal
import Testing

struct BlockFormatTests {
  @Test("the documented layout, byte by byte")
  func layout() {
    var batch = JournalBatch()
    batch.append(
      JournalInput(
        received: 1000,
        topic: Array("t/1".utf8),
        payload: [0xFF, 0],
        qos: 1,
        retain: true
      )
    )
    batch.append(
      JournalInput(
        kind: .command,
        received: 999,
        topic: [],
        payload: [],
        qos: 2,
        duplicate: true,
        properties: [("k", "é")]
      )
    )
    let bytes = Array(batch.bytes[..<batch.byteCount])
    #expect(
      bytes == [
        0x01 | 1 << 3 | 0x20, 0xD0, 0x0F, 3, 2, 0x74, 0x2F, 0x31, 0xFF, 0,  // 1000 ms zigzag = 2000
        0x03 | 2 << 3 | 0x40 | 0x80, 0x01, 0, 0, 5, 1, 0x6B, 2, 0xC3, 0xA9,  // −1 ms zigzag = 1
      ]
    )
  }

  @Test("records of any shape come back bit for bit", arguments: 1...20 as ClosedRange<UInt64>)
  func roundTrip(seed: UInt64) throws {
    var random = SplitMix(seed)
    let edges: [Int64] = [0, 1, -1, .min, .max, 1_795_451_234_567]
    let inputs = (0..<200).map { _ in
      random.input(
        received: random.below(5) == 0 ? edges[random.below(edges.count)] : Int64(random.below(99))
      )
    }
    let batch = JournalBatch(inputs)
    var copy = JournalBatch()
    copy.bytes = Array(batch.bytes[..<batch.byteCount])
    try BlockFormat.index(&copy, byteCount: batch.byteCount, count: inputs.count)
    #expect(copy.records == batch.records)
    #expect((0..<inputs.count).map { copy.input(at: $0) } == inputs, "SEED=\(seed)")
  }

  @Test("each way to be malformed is named with its place")
  func faults() {
    let cases: [([UInt8], Int, BlockFormat.Fault)] = [
      ([0x00, 0, 0, 0], 1, .unknownKind(offset: 0)),
      ([0x07, 0, 0, 0], 1, .unknownKind(offset: 0)),
      ([0x19, 0, 0, 0], 1, .reservedQualityOfService(offset: 0)),
      ([0x01, 0x80, 0x80, 0x80], 1, .badVarint(offset: 4)),
      ([0x01] + Array(repeating: 0xFF, count: 9) + [0x02, 0, 0], 1, .badVarint(offset: 11)),
      ([0x01, 0, 1, 0], 1, .fieldBeyondEnd(offset: 4)),
      ([0x01, 0, 0, 2, 9], 1, .fieldBeyondEnd(offset: 4)),
      ([0x81, 0, 0, 0, 0], 1, .badProperties(offset: 5)),
      ([0x81, 0, 0, 0, 1, 0], 1, .badProperties(offset: 5)),
      ([0x81, 0, 0, 0, 3, 1, 0xFF, 0], 1, .badProperties(offset: 5)),
      ([0x01, 0, 0, 0, 0x01], 1, .bytesAfterLastRecord(offset: 4)),
      ([0x01, 0, 0, 0, 0x01, 0, 0, 0], 3, .wrongRecordCount(found: 2, expected: 3)),
      ([0x01, 0, 4, 0, 0x01, 0, 0, 0], 2, .wrongRecordCount(found: 1, expected: 2)),
    ]
    for (bytes, count, fault) in cases {
      var batch = JournalBatch()
      batch.bytes = bytes
      #expect(throws: fault) {
        try BlockFormat.index(&batch, byteCount: bytes.count, count: count)
      }
    }
  }

  /// `JOURNAL_FUZZ=n` mutates n millions of blocks instead of two.
  @Test("millions of mutated blocks: none traps, none reaches beyond its bytes")
  func fuzz() throws {
    let variable = ProcessInfo.processInfo.environment["JOURNAL_FUZZ"]
    let rounds = (variable.flatMap { Int($0) } ?? 2) * 1_000_000
    var random = SplitMix(2)
    let decoder = BlockDecoder()
    var encoder = BlockEncoder()
    var batch = JournalBatch()
    var seeds: [(header: BlockHeader, stored: [UInt8])] = []
    for count in [1, 1, 2, 3, 5, 20] {
      let inputs = (0..<count).map { _ in
        var input = random.input(received: Int64(random.below(1000)))
        input.payload = Array(input.payload.prefix(40))
        return input
      }
      let original = JournalBatch(inputs)
      unsafe encoder.encode(original, first: 1) { header, bytes in
        seeds.append((header, unsafe Array(bytes)))
      }
      // The same records uncompressed, so that mutations reach the record format.
      var plain = seeds[seeds.count - 1].header
      plain.codec = BlockEncoder.storedCodec
      seeds.append((plain, Array(original.bytes[..<original.byteCount])))
    }
    var accepted = 0
    for _ in 0..<rounds {
      var (header, stored) = seeds[random.below(seeds.count)]
      for _ in 0...random.below(3) { mutate(&stored, &random) }
      switch random.below(8) {
      case 0: header.count = random.below(1 << random.below(40))
      case 1: header.rawSize = stored.count
      default: break
      }
      if header.codec == BlockEncoder.storedCodec { header.rawSize = stored.count }
      do {
        try decoder.decodeUnchecked(header, stored.span, into: &batch)
        accepted += 1
        var end = 0
        for (index, record) in batch.records.enumerated() {
          guard record.topic.lowerBound >= end,
            record.encodedProperties.upperBound <= header.rawSize
          else {
            Issue.record("a record reaches beyond its block: \(stored)")
            return
          }
          end = record.encodedProperties.upperBound
          _ = batch.properties(at: index)
        }
      } catch {}
    }
    #expect(accepted > rounds / 100, "the mutations have to reach deep; accepted \(accepted)")
    print("journal fuzz: \(rounds) mutated blocks, \(accepted) of them well-formed")
  }

  private func mutate(_ bytes: inout [UInt8], _ random: inout SplitMix) {
    guard !bytes.isEmpty else { return bytes.append(UInt8(random.below(256))) }
    let at = random.below(bytes.count)
    switch random.below(6) {
    case 0: bytes[at] ^= 1 << UInt8(random.below(8))
    case 1: bytes[at] = UInt8(random.below(256))
    case 2: bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)]
    case 3: bytes.removeLast(random.below(bytes.count))
    case 4: bytes.insert(UInt8(random.below(256)), at: at)
    default: bytes.remove(at: at)
    }
  }
}
