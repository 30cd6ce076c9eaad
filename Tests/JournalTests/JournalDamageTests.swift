import Foundation
import Journal
import Testing

/// What is readable stays readable, what is not is named, and nothing wrong is ever returned.
struct JournalDamageTests {
  /// `JOURNAL_FLIPS=n` damages n copies instead of 1,500.
  private static var trials: Int {
    ProcessInfo.processInfo.environment["JOURNAL_FLIPS"].flatMap { Int($0) } ?? 1500
  }

  @Test(
    "one flipped byte costs no more than the blocks of its page",
    arguments: [(batch: 1, size: 0), (batch: 5, size: 200), (batch: 20, size: 900)]
  )
  func oneFlip(batch: Int, size: Int) throws {
    let scratch = Scratch()
    let last: UInt64 = 600
    let file = try record(scratch("j"), through: last, batch: UInt64(batch), size: size)
    let whole = try Data(contentsOf: URL(fileURLWithPath: file))
    // A leaf page holds at most so many cells of a block's size, 12 bytes of columns included.
    let smallest = batch * (messages(1...1, size: size)[0].payload.count) / 2
    let worst = UInt64(batch * (4096 / max(smallest, 40) + 1))
    var random = SplitMix(UInt64(batch))
    var lostMost: UInt64 = 0
    for trial in 0..<Self.trials / 3 {
      var bytes = whole
      let at = random.below(bytes.count)
      bytes[at] ^= UInt8(1 + random.below(255))
      let lost = try check(bytes, scratch("copy.sqlite"), last, size, "flip \(trial) at \(at)")
      #expect(lost <= worst, "a flip at byte \(at) lost \(lost) records")
      lostMost = max(lostMost, lost)
    }
    #expect(lostMost > 0, "no flip hit a block: the test does not test")
    print("journal damage: \(Self.trials / 3) flips, at most \(lostMost) of \(last) records lost")
  }

  @Test("many flips, zeroed pages, a file cut off: never a wrong record, every loss named")
  func heavyDamage() throws {
    let scratch = Scratch()
    let last: UInt64 = 400
    let file = try record(scratch("j"), through: last, batch: 8, size: 300)
    let whole = try Data(contentsOf: URL(fileURLWithPath: file))
    var random = SplitMix(99)
    for trial in 0..<Self.trials / 3 {
      var bytes = whole
      switch trial % 3 {
      case 0:
        for _ in 0..<random.below(50) {
          bytes[random.below(bytes.count)] = UInt8(random.below(256))
        }
      case 1:
        for _ in 0...random.below(4) {
          let page = random.below(bytes.count / 4096) * 4096
          for index in page..<page + 4096 { bytes[index] = 0 }
        }
      default:
        bytes.removeLast(random.below(bytes.count))
      }
      try check(bytes, scratch("copy.sqlite"), last, 300, "trial \(trial)")
    }
  }

  /// Reads a damaged copy and holds it against what was written; returns how many records are lost.
  @discardableResult
  private func check(
    _ bytes: Data,
    _ path: String,
    _ last: UInt64,
    _ size: Int,
    _ what: Comment
  ) throws -> UInt64 {
    try bytes.write(to: URL(fileURLWithPath: path))
    let named = path.replacingOccurrences(
      of: "copy.sqlite",
      with: "journal-00000000000000000001.sqlite"
    )
    try? FileManager.default.removeItem(atPath: named)
    try FileManager.default.moveItem(atPath: path, toPath: named)
    let recording = try Recording(path: named)
    var returned: Set<UInt64> = []
    for record in try recording.everything() {
      try #require(record.input == message(record.sequence, size: size), what)
      try #require(returned.insert(record.sequence).inserted, what)
    }
    try #require(recording.lastSequence <= last, what)
    var named_ = returned
    for damage in recording.damage {
      #expect(damage.segment == named)
      for sequence in damage.sequences {
        try #require(named_.insert(sequence).inserted, "\(what): \(sequence) both read and lost")
      }
    }
    let expected = recording.lastSequence == 0 ? [] : Set(1...recording.lastSequence)
    try #require(named_ == expected, what)
    return last - UInt64(returned.count)
  }

  private func record(
    _ directory: String,
    through last: UInt64,
    batch: UInt64,
    size: Int
  ) throws -> String {
    let journal = try SegmentJournal(directory: directory)
    try journal.fill(to: last, batch: batch, size: size)
    try journal.close()
    return directory + "/journal-00000000000000000001.sqlite"
  }

  @Test("a damaged block is named with segment, sequences and cause; the service goes on")
  func named() throws {
    let scratch = Scratch()
    var options = SegmentOptions()
    options.segmentAge = 1000
    do {
      let journal = try SegmentJournal(directory: scratch("j"), options: options)
      try journal.fill(to: 500, batch: 10, size: 2000)
      try journal.close()
    }
    let path = scratch("j/journal-00000000000000000101.sqlite")
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    // The random tail of message 150's payload stands in the file as it is: change a byte of it.
    let needle = Data(message(150, size: 2000).payload.suffix(1000).prefix(64))
    let place = try #require(bytes.range(of: needle))
    bytes[place.lowerBound] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))

    let journal = try SegmentJournal(directory: scratch("j"), options: options)
    #expect(journal.faults.isEmpty && journal.damagedSegments == 0)
    #expect(journal.lastSequence == 500)
    let records = try journal.read(from: 1, limit: .max)
    #expect(journal.damagedSegments == 1)
    #expect(records.map(\.sequence) == Array(1...140) + Array(151...500))
    #expect(
      journal.damage == [JournalDamage(segment: path, sequences: 141...150, cause: .checksum)]
    )
    #expect(try journal.read(from: 145, limit: 1).map(\.sequence) == [151])
    #expect(journal.damage.count == 1, "the same damage is reported once")
    #expect(try !journal.verify().isSound)
    #expect(throws: JournalError.self) {
      try journal.append(messages(145...505, size: 2000), firstSequence: 145)
    }
    try journal.append(messages(500...510, size: 2000), firstSequence: 500)
    #expect(journal.lastSequence == 510)
  }

  @Test("segments that are garbage, empty or gone do not stop the start; each is reported")
  func unopenable() throws {
    let scratch = Scratch()
    var options = SegmentOptions()
    options.segmentAge = 1000
    do {
      let journal = try SegmentJournal(directory: scratch("j"), options: options)
      try journal.fill(to: 500, batch: 10)
      try journal.close()
    }
    let names = [1, 101, 201, 301, 401].map { scratch("j/journal-\(pad($0)).sqlite") }
    try Data(repeating: 0x5A, count: 20_000).write(to: URL(fileURLWithPath: names[1]))
    try Data().write(to: URL(fileURLWithPath: names[2]))
    try FileManager.default.removeItem(atPath: names[3])

    let journal = try SegmentJournal(directory: scratch("j"), options: options)
    #expect(journal.lastSequence == 500)
    #expect(journal.faults.map(\.segment) == [names[1], names[2]])
    #expect(journal.damagedSegments == 2)
    let records = try journal.contents.everything()
    #expect(records.map(\.sequence) == Array(1...100) + Array(401...500))
    #expect(journal.damage.map(\.sequences) == [101...200, 201...400])
    #expect(journal.damage.map(\.segment) == [names[1], names[2]])
    for damage in journal.damage {
      guard case .unopenable = damage.cause else {
        Issue.record("\(damage)")
        continue
      }
    }
    #expect(journal.segments.map { $0.problem == nil } == [true, false, false, true])
    try journal.fill(to: 600, batch: 10)
    #expect(journal.damagedSegments == 2)
    let removed = try {
      var retention = options
      retention.retentionAge = 100
      try journal.close()
      return try journal.enforceRetention(now: 0, keepingAfter: 600).count
    }()
    #expect(removed == 0, "no limit, nothing deleted")
  }

  @Test("after a newest segment that cannot be trusted, numbers go on where none was used")
  func damagedNewest() throws {
    let scratch = Scratch()
    do {
      let journal = try SegmentJournal(directory: scratch("j"))
      try journal.fill(to: 100, batch: 10, size: 500)
    }
    let path = scratch("j/journal-00000000000000000001.sqlite")
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes.replaceSubrange(0..<100, with: Data(repeating: 0, count: 100))
    try bytes.write(to: URL(fileURLWithPath: path))

    let journal = try SegmentJournal(directory: scratch("j"))
    #expect(journal.faults.map(\.segment) == [path])
    let next = journal.lastSequence + 1
    #expect(next == 1 + 1 << 24)
    try journal.append(messages(next...next + 9), firstSequence: next)
    #expect(try journal.read(from: next, limit: 99).map(\.input) == messages(next...next + 9))
    #expect(journal.contents.segments.map(\.firstSequence) == [1, next])
  }

  @Test("a file whose head is lost still gives every block, also those in its log")
  func headLost() throws {
    let scratch = Scratch()
    var options = SegmentOptions()
    options.checkpointPages = 1_000_000
    let journal = try SegmentJournal(directory: scratch("j"), options: options)
    try journal.fill(to: 300, batch: 7, size: 900)
    try journal.checkpoint()
    try journal.fill(to: 500, batch: 7, size: 900)
    try FileManager.default.createDirectory(
      atPath: scratch("copy"),
      withIntermediateDirectories: true
    )
    for suffix in ["", "-wal"] {
      let name = "/journal-00000000000000000001.sqlite" + suffix
      var bytes = try Data(contentsOf: URL(fileURLWithPath: scratch("j") + name))
      if suffix.isEmpty { bytes.replaceSubrange(0..<100, with: Data(repeating: 1, count: 100)) }
      try bytes.write(to: URL(fileURLWithPath: scratch("copy") + name))
    }
    // SQLite takes the header from the log's copy of page 1 or fails; both ways all is read.
    let copy = try Recording(path: scratch("copy"))
    #expect(try copy.everything().map(\.input) == messages(1...500, size: 900))
    #expect(copy.damage.isEmpty)
  }

  @Test("a segment that proves damaged while it is written is left, and the batch is kept")
  func damagedWhileWriting() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    try journal.fill(to: 50, batch: 10, size: 100)
    // What SQLite finds when it reads a page back that the disk has changed.
    _ = try journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    let path = scratch("j/journal-00000000000000000001.sqlite")
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try handle.seek(toOffset: 4096)
    try handle.write(contentsOf: Data(repeating: 0xEE, count: 4096 * 8))
    try handle.synchronize()
    _ = try journal.execute("PRAGMA shrink_memory")
    _ = try journal.execute("PRAGMA cache_size = 1")
    try journal.fill(to: 100, batch: 10, size: 100)
    withExtendedLifetime(handle) {}
    #expect(journal.lastSequence == 100)
    let records = try journal.contents.everything()
    for record in records { #expect(record.input == message(record.sequence, size: 100)) }
    #expect(records.suffix(50).map(\.sequence) == Array(51...100))
    #expect(!journal.damage.isEmpty || records.count == 100)
    #expect(journal.faults.first?.segment == path)
  }

  private func pad(_ sequence: Int) -> String {
    let digits = String(sequence)
    return String(repeating: "0", count: 20 - digits.count) + digits
  }
}
