import Foundation
import Journal
import Testing

/// Random histories against an array in memory: the journal must never differ from it.
struct JournalModelTests {
  @Test("a journal is the array of what was appended", arguments: 1...10 as ClosedRange<UInt64>)
  func history(seed: UInt64) throws {
    let scratch = Scratch()
    var random = SplitMix(seed)
    var options = SegmentOptions()
    options.segmentBytes = 20_000 + Int64(random.below(200_000))
    options.segmentAge = Int64(500 + random.below(5000))
    options.retentionAge = 3000
    options.checkpointPages = 1 + random.below(200)
    var journal: SegmentJournal? = try SegmentJournal(directory: scratch("j"), options: options)
    var model: [JournalInput] = []
    var now: Int64 = 1000

    for step in 0..<150 {
      switch random.below(20) {
      case 0..<12:
        // Sometimes a batch that was handed in before, or overlaps what was.
        let back = random.below(3) == 0 ? random.below(min(model.count, 50) + 1) : 0
        var batch = Array(model.suffix(back))
        for _ in 0..<random.below(random.below(4) == 0 ? 300 : 20) {
          now += Int64(random.below(20))
          batch.append(random.input(received: now))
        }
        let first = UInt64(model.count - back) + 1
        let open = try #require(journal)
        guard oldest(open) <= first || batch.isEmpty else { continue }
        try open.append(batch, firstSequence: first)
        model.append(contentsOf: batch.dropFirst(back))
      case 12:
        try #require(journal).rotate()
      case 13:
        try #require(journal).checkpoint()
      case 14:
        let floor = UInt64(random.below(model.count + 1))
        let open = try #require(journal)
        let before = oldest(open)
        try open.enforceRetention(now: now, keepingAfter: floor)
        #expect(oldest(open) <= max(before, floor + 1), "SEED=\(seed)")
      case 15:
        try #require(journal).close()
        journal = nil
        journal = try SegmentJournal(directory: scratch("j"), options: options)
      case 16:
        journal = nil  // as a crash leaves it: write-ahead log and all
        journal = try SegmentJournal(directory: scratch("j"), options: options)
      default:
        let open = try #require(journal)
        let first = UInt64(random.below(model.count + 2))
        let limit = random.below(200)
        let begin = max(first, oldest(open), 1)
        let expected = model.dropFirst(Int(begin) - 1).prefix(limit)
        let records = try open.read(from: first, limit: limit)
        try #require(records.map(\.input) == Array(expected), "SEED=\(seed) step \(step)")
        #expect(records.first.map { $0.sequence == begin } ?? true)
      }
      let current = try #require(journal)
      try #require(current.lastSequence == UInt64(model.count), "SEED=\(seed) step \(step)")
    }
    let final = try #require(journal)
    let kept = model.dropFirst(Int(oldest(final)) - 1)
    #expect(try final.contents.everything().map(\.input) == Array(kept), "SEED=\(seed)")
    let low = Int64(random.below(Int(now)))
    #expect(
      try final.read(received: low..<low + 500, limit: .max).map(\.input)
        == kept.filter { (low..<low + 500).contains($0.received) },
      "SEED=\(seed)"
    )
    #expect(try final.verify().isSound)
    #expect(final.faults.isEmpty && final.damage.isEmpty)
  }

  private func oldest(_ journal: SegmentJournal) -> UInt64 {
    max(journal.contents.firstSequence, 1)
  }
}
