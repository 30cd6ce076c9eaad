import Foundation
import Journal
import Testing

struct SegmentJournalTests {
  @Test("what was appended is read back, in order, from any sequence, also after a restart")
  func readBack() throws {
    let scratch = Scratch()
    var random = SplitMix(7)
    var all: [JournalInput] = []
    do {
      let journal = try SegmentJournal(directory: scratch("j"))
      #expect(journal.lastSequence == 0)
      for count in [1, 2, 100, 1000] {
        let batch = (0..<count).map { _ in random.input(received: Int64(all.count)) }
        try journal.append(batch, firstSequence: UInt64(all.count) + 1)
        all += batch
      }
      #expect(journal.lastSequence == 1103)
      #expect(try journal.contents.everything().map(\.input) == all)
    }
    let journal = try SegmentJournal(directory: scratch("j"))
    #expect(journal.lastSequence == 1103)
    #expect(journal.latestReceived == journal.segments.last?.latestReceived)
    for first in [1, 2, 3, 4, 50, 103, 104, 105, 1103] {
      let records = try journal.read(from: UInt64(first), limit: 10)
      #expect(records.map(\.sequence) == (first...min(first + 9, 1103)).map(UInt64.init))
      #expect(records.map(\.input) == Array(all[(first - 1)..<min(first + 9, 1103)]))
    }
    #expect(try journal.read(from: 1104, limit: 10).isEmpty)
    #expect(journal.damage.isEmpty && journal.faults.isEmpty)
  }

  @Test("every commit is fsynced: synchronous is FULL and the mode WAL, also after a rotation")
  func synchronous() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    for last in [10, 20] as [UInt64] {
      try journal.fill(to: last, batch: 10)
      #expect(try journal.execute("PRAGMA synchronous") == "2")
      #expect(try journal.execute("PRAGMA journal_mode") == "wal")
      try journal.rotate()
    }
  }

  @Test("a read goes no further than behind the block that reaches its bytes")
  func bytesOfRead() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    try journal.fill(to: 100, batch: 10, size: 1_000)
    let records = try journal.read(from: 1, limit: 100, bytes: 15_000)
    #expect(records.map(\.sequence) == Array(1...20))
    #expect(try journal.read(from: 21, limit: 5, bytes: 15_000).count == 5)
  }

  @Test("a segment that is made and cannot be opened is taken away; the one before it goes on")
  func unopenedSegment() throws {
    let scratch = Scratch()
    let name = "journal-00000000000000000011.sqlite"
    do {
      let journal = try SegmentJournal(directory: scratch("j"))
      try journal.fill(to: 10, batch: 10)
      // Where its log is to be, something else is.
      let log = scratch("j") + "/" + name + "-wal"
      try FileManager.default.createDirectory(atPath: log, withIntermediateDirectories: true)
      #expect(throws: JournalError.self) { try journal.rotate() }
      try FileManager.default.removeItem(atPath: log)
      #expect(try scratch.files("j").allSatisfy { !$0.hasPrefix(name) })
      try journal.fill(to: 20, batch: 10)
    }
    let journal = try SegmentJournal(directory: scratch("j"))
    #expect(journal.lastSequence == 20)
    #expect(try journal.contents.everything().map(\.sequence) == Array(1...20))
  }

  @Test("a batch handed in again changes nothing; an overlapping one adds what is new")
  func idempotence() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    try journal.append(messages(1...10), firstSequence: 1)
    try journal.append(messages(11...20), firstSequence: 11)
    try journal.append(messages(11...20), firstSequence: 11)
    try journal.append(messages(5...15), firstSequence: 5)
    #expect(journal.lastSequence == 20)
    try journal.append(messages(18...25), firstSequence: 18)
    #expect(journal.lastSequence == 25)
    #expect(try journal.contents.everything().map(\.input) == messages(1...25))
    #expect(journal.segments.map(\.records) == [25])
  }

  @Test("a gap, and another input under a known sequence, are refused and change nothing")
  func refusals() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    try journal.fill(to: 10, batch: 5)
    #expect(throws: JournalError.gap(expected: 11, given: 12)) {
      try journal.append(messages(12...13), firstSequence: 12)
    }
    #expect(throws: JournalError.gap(expected: 11, given: 0)) {
      try journal.append(messages(1...2), firstSequence: 0)
    }
    var other = messages(8...12)
    other[1].retain = true
    #expect(throws: JournalError.conflict(sequence: 9)) {
      try journal.append(other, firstSequence: 8)
    }
    #expect(journal.lastSequence == 10)
    try journal.append(messages(11...12), firstSequence: 11)
    #expect(try journal.contents.everything().map(\.input) == messages(1...12))
  }

  @Test("segments are cut by size")
  func rotationBySize() throws {
    let scratch = Scratch()
    var options = SegmentOptions()
    options.segmentBytes = 100_000
    let journal = try SegmentJournal(directory: scratch("j"), options: options)
    try journal.fill(to: 1000, batch: 20, size: 1000)
    let segments = journal.segments
    #expect((9...15).contains(segments.count))
    #expect(segments.first?.firstSequence == 1 && segments.last?.lastSequence == 1000)
    for (one, next) in zip(segments, segments.dropFirst()) {
      #expect(one.lastSequence.map { $0 + 1 } == next.firstSequence)
      #expect((100_000...160_000).contains(one.bytes), "a sealed segment is one file")
    }
    #expect(try journal.contents.everything().map(\.input) == messages(1...1000, size: 1000))
    let sealed = try scratch.files("j").filter { $0.hasSuffix("-wal") }
    #expect(sealed.count == 1, "only the newest segment has a write-ahead log")
  }

  @Test("segments are cut by age, counted in receive time")
  func rotationByAge() throws {
    let scratch = Scratch()
    var options = SegmentOptions()
    options.segmentAge = 1000
    let journal = try SegmentJournal(directory: scratch("j"), options: options)
    try journal.fill(to: 1000, batch: 10)  // 10 ms a message
    let segments = journal.segments
    #expect(segments.count == 10)
    for (index, segment) in segments.enumerated() {
      let before = UInt64(index) * 100
      #expect(segment.firstSequence == before + 1)
      #expect(segment.lastSequence == before + 100)
      #expect(segment.earliestReceived == Int64(before) * 10 + 10)
      #expect(segment.latestReceived == Int64(before) * 10 + 1000)
    }
  }

  @Test("no segment reaches as far as 16,777,216 sequences, however small its records are")
  func rotationBySpan() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    let ticks = JournalBatch(
      Array(repeating: JournalInput(kind: .tick, received: 1), count: 200_000)
    )
    while journal.lastSequence <= 1 << 24 {
      try journal.append(ticks, firstSequence: journal.lastSequence + 1)
    }
    let segments = journal.segments
    #expect(segments.map(\.firstSequence) == [1, 83 * 200_000 + 1])
    #expect(segments.map(\.records) == [83 * 200_000, 200_000])
    #expect(try journal.read(from: 83 * 200_000, limit: 2).count == 2)
  }

  @Test("the oldest segments go by age and by size, but never what somebody still needs")
  func retention() throws {
    let scratch = Scratch()
    var options = SegmentOptions()
    options.segmentAge = 1000
    options.retentionAge = 5000
    let journal = try SegmentJournal(directory: scratch("j"), options: options)
    try journal.fill(to: 1000, batch: 10, size: 100)
    #expect(try journal.enforceRetention(now: 10_000, keepingAfter: 250).count == 2)
    #expect(journal.segments.first?.firstSequence == 201)
    #expect(try journal.enforceRetention(now: 10_000, keepingAfter: 1000).count == 2)
    #expect(journal.segments.first?.firstSequence == 401)
    #expect(try journal.enforceRetention(now: 10_000, keepingAfter: 1000).isEmpty)
    #expect(try journal.read(from: 1, limit: 1).map(\.sequence) == [401])
    #expect(journal.damage.isEmpty, "what was deleted in order is no damage")
    let leap = try journal.enforceRetention(now: 1_000_000, keepingAfter: 1000)
    #expect(leap.isEmpty, "what was recorded within the age stays, wherever the clock is")
    try journal.close()
    options.retentionAge = 0
    let strict = try SegmentJournal(directory: scratch("j"), options: options)
    #expect(try strict.enforceRetention(now: 1_000_000, keepingAfter: 1000).count == 5)
    #expect(strict.segments.count == 1, "the newest segment stays, whatever its age")
    #expect(strict.lastSequence == 1000)

    options.retentionAge = nil
    let other = try SegmentJournal(directory: scratch("k"), options: options)
    try other.fill(to: 1000, batch: 10, size: 100)
    let bytes = other.segments.map(\.bytes)
    var limited = options
    limited.retentionBytes = bytes.suffix(3).reduce(0, +)
    let reopened = try SegmentJournal(directory: scratch("l"), options: limited)
    try reopened.fill(to: 1000, batch: 10, size: 100)
    let removed = try reopened.enforceRetention(now: 0, keepingAfter: 1000)
    #expect((6...8).contains(removed.count))
    #expect(reopened.segments.reduce(0) { $0 + $1.bytes } <= limited.retentionBytes ?? 0)
  }

  @Test("reading by receive time gives what was received then")
  func byTime() throws {
    let scratch = Scratch()
    var options = SegmentOptions()
    options.segmentAge = 700
    let journal = try SegmentJournal(directory: scratch("j"), options: options)
    try journal.fill(to: 500, batch: 7)
    for range in [0..<10, 10..<11, 995..<1005, 700..<2900, 4990..<9999, 5001..<9999] {
      let expected = (1...500 as ClosedRange<UInt64>).filter { range.contains(Int($0) * 10) }
      let found = try journal.read(
        received: Int64(range.lowerBound)..<Int64(range.upperBound),
        limit: .max
      )
      #expect(found.map(\.sequence) == expected, "\(range)")
      #expect(found.map(\.input) == expected.map { message($0) })
    }
    #expect(try journal.read(received: 0..<5000, limit: 3).map(\.sequence) == [1, 2, 3])
  }

  @Test("receive times that go back are kept and found as they are")
  func timeGoesBack() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    let times: [Int64] = [500, 100, .min, .max, -1, 0, 499]
    for (index, time) in times.enumerated() {
      try journal.append(
        [message(UInt64(index) + 1, received: time)],
        firstSequence: UInt64(index) + 1
      )
    }
    #expect(try journal.contents.everything().map(\.input.received) == times)
    #expect(try journal.read(received: 0..<500, limit: 9).map(\.sequence) == [2, 6, 7])
    #expect(try journal.read(received: .min..<0, limit: 9).map(\.sequence) == [3, 5])
  }

  @Test("a second writer is refused and told who holds the directory; a reader is not")
  func locking() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    try journal.fill(to: 10, batch: 3)
    let pid = ProcessInfo.processInfo.processIdentifier
    #expect(throws: JournalError.locked(directory: scratch("j"), holder: pid)) {
      try SegmentJournal(directory: scratch("j"))
    }
    let live = try Recording(path: scratch("j"))
    #expect(try live.everything().map(\.input) == messages(1...10))
    try journal.fill(to: 20, batch: 3)
    #expect(try live.everything().count == 10, "a recording ends where it ended when opened")
    try journal.rotate()
    try journal.fill(to: 30, batch: 3)
    try live.refresh()
    #expect(try live.everything().map(\.input) == messages(1...30))
    #expect(live.damage.isEmpty && journal.faults.isEmpty)
  }

  @Test("a journal closed in order is plain files, reads on, and takes no more")
  func closing() throws {
    let scratch = Scratch()
    do {
      let journal = try SegmentJournal(directory: scratch("j"))
      try journal.fill(to: 100, batch: 9)
      try journal.close()
      #expect(try scratch.files("j") == ["LOCK", "journal-00000000000000000001.sqlite"])
      #expect(throws: JournalError.closed(directory: scratch("j"))) {
        try journal.append(messages(101...101), firstSequence: 101)
      }
      #expect(try journal.contents.everything().count == 100)
    }
    let again = try SegmentJournal(directory: scratch("j"))
    try again.fill(to: 200, batch: 9)
    #expect(try again.contents.everything().map(\.input) == messages(1...200))
    #expect(again.segments.count == 1)
    #expect(try again.verify().isSound)
  }

  @Test("a cursor follows what is written, begins in the middle of a block, ends where told")
  func cursor() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    try journal.fill(to: 100, batch: 10)
    var batch = JournalBatch()
    var bounded = journal.contents.cursor(from: 15, through: 42)
    var seen: [UInt64] = []
    while let first = try bounded.next(into: &batch) {
      for index in 0..<batch.count {
        let sequence = first + UInt64(index)
        seen.append(sequence)
        #expect(batch.input(at: index) == message(sequence))
      }
    }
    #expect(seen == Array(15...42))
    #expect(batch.isEmpty)

    var open = journal.contents.cursor(from: 91)
    #expect(try open.next(into: &batch) == 91)
    #expect(try open.next(into: &batch) == nil)
    try journal.fill(to: 105, batch: 10)
    #expect(try open.next(into: &batch) == 101)
    #expect(batch.count == 5)
  }

  @Test("a journal that holds less than others know goes on after what they know")
  func sequenceFloor() throws {
    let scratch = Scratch()
    do {
      let journal = try SegmentJournal(directory: scratch("j"))
      try journal.fill(to: 100, batch: 10)
    }
    var options = SegmentOptions()
    options.sequenceFloor = 100
    do {
      let journal = try SegmentJournal(directory: scratch("j"), options: options)
      #expect(journal.lastSequence == 100)
      #expect(journal.segments.count == 1)
    }
    options.sequenceFloor = 120
    do {
      let journal = try SegmentJournal(directory: scratch("j"), options: options)
      #expect(journal.lastSequence == 120)
      try journal.append(messages(121...130), firstSequence: 121)
      #expect(
        try journal.contents.everything().map(\.sequence) == Array(1...100) + Array(121...130)
      )
      #expect(journal.damage.map(\.sequences) == [101...120])
      #expect(journal.damage.map(\.cause) == [.missing])
    }
    let journal = try SegmentJournal(directory: scratch("j"))
    #expect(journal.lastSequence == 130)
  }

  @Test("reading while appending, rotating, checkpointing and deleting: never a wrong record")
  func concurrentReading() async throws {
    let scratch = Scratch()
    var options = SegmentOptions()
    options.segmentAge = 2000
    options.retentionAge = 5000
    options.checkpointPages = 10
    let journal = try SegmentJournal(directory: scratch("j"), options: options)
    let total: UInt64 = 4000
    try await withThrowingTaskGroup(of: Int.self) { group in
      group.addTask {
        while journal.lastSequence < total {
          try journal.fill(to: journal.lastSequence + 50, batch: 10, size: 200)
          try journal.enforceRetention(
            now: journal.latestReceived,
            keepingAfter: journal.lastSequence
          )
        }
        return 0
      }
      group.addTask {
        var cursor = journal.contents.cursor(from: 1)
        var batch = JournalBatch()
        var seen = 0
        while cursor.position <= total {
          let known = journal.lastSequence
          guard let first = try cursor.next(into: &batch) else {
            #expect(cursor.position > known, "the end came before what was durable")
            await Task.yield()
            continue
          }
          for index in 0..<batch.count {
            let sequence = first + UInt64(index)
            guard batch.input(at: index) == message(sequence, size: 200) else {
              Issue.record("a wrong record under \(sequence)")
              return seen
            }
          }
          seen += batch.count
        }
        return seen
      }
      let seen = try await group.reduce(0, +)
      #expect(seen > 0)
    }
    #expect(journal.damage.isEmpty, "\(journal.damage)")
    #expect(journal.faults.isEmpty)
  }

  @Test("a recording of given inputs, also as a single file under another name")
  func recording() throws {
    let scratch = Scratch()
    let writer = try RecordingWriter(directory: scratch("r"))
    for input in messages(1...10_000) { try writer.append(input) }
    #expect(writer.lastSequence == 10_000)
    try writer.finish()
    #expect(try Recording(path: scratch("r")).everything().map(\.input) == messages(1...10_000))
    #expect(throws: JournalError.occupied(directory: scratch("r"))) {
      try RecordingWriter(directory: scratch("r"))
    }
    try FileManager.default.copyItem(
      atPath: scratch("r/journal-00000000000000000001.sqlite"),
      toPath: scratch("release.davy")
    )
    let single = try Recording(path: scratch("release.davy"))
    #expect(single.firstSequence == 1 && single.lastSequence == 10_000)
    #expect(try single.verify().isSound)
    #expect(try single.read(from: 9_999, limit: 5).map(\.input) == messages(9_999...10_000))
  }

  @Test("what is no journal is refused with a reason")
  func notAJournal() throws {
    let scratch = Scratch()
    #expect(throws: JournalError.self) { try Recording(path: scratch("")) }
    #expect(throws: JournalError.self) { try Recording(path: scratch("nothing-here")) }
    try Data("hello".utf8).write(to: URL(fileURLWithPath: scratch("text.davy")))
    #expect(throws: JournalError.self) { try Recording(path: scratch("text.davy")) }
  }

  @Test("more in a batch than a block holds is refused before anything is written")
  func tooLarge() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    let large = JournalInput(received: 0, payload: Array(repeating: 0x20, count: 260 << 20))
    var batch = JournalBatch()
    batch.append(large)
    batch.append(large)
    #expect(throws: JournalError.tooLarge(bytes: batch.byteCount, records: 2)) {
      try journal.append(batch, firstSequence: 1)
    }
    try journal.append([large], firstSequence: 1)
    #expect(try journal.read(from: 1, limit: 1).map(\.input) == [large])
  }
}
