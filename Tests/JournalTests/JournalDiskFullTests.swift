import Foundation
import Journal
import Testing

struct JournalDiskFullTests {
  @Test("no page left: the append throws diskFull, nothing of it stays, and it succeeds later")
  func pageLimit() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    try journal.fill(to: 100, batch: 10, size: 1000)
    let pages = try #require(try journal.execute("PRAGMA page_count").flatMap { Int($0) })
    _ = try journal.execute("PRAGMA max_page_count = \(pages + 5)")
    var refused = 0
    var last: UInt64 = 100
    while refused < 3 {
      do {
        try journal.append(messages(last + 1...last + 10, size: 1000), firstSequence: last + 1)
        last += 10
      } catch {
        guard case .diskFull = error else {
          Issue.record("\(error)")
          break
        }
        refused += 1
      }
      #expect(journal.lastSequence == last)
    }
    #expect((100...130).contains(last))
    #expect(try journal.contents.everything().map(\.input) == messages(1...last, size: 1000))
    _ = try journal.execute("PRAGMA max_page_count = 1073741823")
    try journal.append(messages(last + 1...last + 10, size: 1000), firstSequence: last + 1)
    #expect(try journal.contents.everything().map(\.input) == messages(1...last + 10, size: 1000))
    #expect(try journal.verify().isSound && journal.faults.isEmpty)
  }

  @Test("a commit that reached the disk although it was reported as failed is found, not repeated")
  func uncertainCommit() throws {
    let scratch = Scratch()
    let journal = try SegmentJournal(directory: scratch("j"))
    try journal.fill(to: 100, batch: 10)
    let batch = messages(101...150, size: 1000)
    let pages = try #require(try journal.execute("PRAGMA page_count"))
    _ = try journal.execute("PRAGMA max_page_count = \(pages)")
    #expect(throws: JournalError.self) { try journal.append(batch, firstSequence: 101) }
    _ = try journal.execute("PRAGMA max_page_count = 1073741823")
    // What is on disk when the error came after the write: the block, unknown to the writer.
    var encoder = BlockEncoder()
    let sql = unsafe encoder.encode(JournalBatch(batch), first: 101) { header, bytes in
      let hex = unsafe bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      return """
        INSERT INTO block VALUES (\(header.first), \(header.count), \(header.earliestReceived), \
        \(header.latestReceived), \(header.codec), \(header.rawSize), \(header.checksum), \
        x'\(hex.joined())')
        """
    }
    _ = try journal.execute(sql)
    #expect(journal.lastSequence == 100)
    var other = batch
    other[7].payload = []
    #expect(throws: JournalError.conflict(sequence: 108)) {
      try journal.append(other, firstSequence: 101)
    }
    try journal.append(batch, firstSequence: 101)
    #expect(journal.lastSequence == 150)
    try journal.fill(to: 200, batch: 10)
    #expect(try journal.read(from: 101, limit: 50).map(\.input) == batch)
    #expect(try journal.contents.everything().map(\.sequence) == Array(1...200))
    #expect(try journal.verify().isSound && journal.faults.isEmpty)
  }

  @Test(
    "a full file system: every append throws diskFull until there is room, then all goes on",
    .enabled(if: SmallDisk.isPossible, "needs root and the right to mount a tmpfs"),
    arguments: [1, 50] as [UInt64]
  )
  func fullFileSystem(batch: UInt64) throws {
    try SmallDisk.with(megabytes: 3) { disk in try fillAndFree(disk, batch) }
  }

  private func fillAndFree(_ disk: SmallDisk, _ batch: UInt64) throws {
    var options = SegmentOptions()
    options.segmentBytes = 400_000
    options.checkpointPages = 50
    let ballast = disk.path + "/ballast"
    do {
      let journal = try SegmentJournal(directory: disk.path + "/j", options: options)
      var freed = 0
      for round in 0..<3 {
        // Fill the disk with something else, to within some pages that differ from round to round.
        try disk.fill(ballast, leaving: 20_000 + 7_000 * round)
        var refused = 0
        while refused < 5 {
          let first = journal.lastSequence + 1
          do {
            try journal.append(messages(first...first + batch - 1, size: 700), firstSequence: first)
          } catch {
            guard case .diskFull = error else {
              Issue.record("\(error)")
              return
            }
            refused += 1
            #expect(journal.lastSequence == first - 1)
            #expect(try journal.read(from: first, limit: 9).isEmpty)
          }
        }
        try FileManager.default.removeItem(atPath: ballast)
        freed += 1
        try journal.fill(to: journal.lastSequence + 200, batch: batch, size: 700)
      }
      #expect(freed == 3)
      let last = journal.lastSequence
      #expect(try journal.contents.everything().map(\.input) == messages(1...last, size: 700))
      #expect(try journal.verify().isSound)
    }
    // A start with a full disk: reading works, appending says so, and both work once there is room.
    try disk.fill(ballast, leaving: 0)
    let journal = try SegmentJournal(directory: disk.path + "/j", options: options)
    let last = journal.lastSequence
    #expect(try journal.contents.everything().map(\.input) == messages(1...last, size: 700))
    #expect(throws: JournalError.self) {
      try journal.fill(to: last + 1000, batch: batch, size: 700)
    }
    try FileManager.default.removeItem(atPath: ballast)
    let reached = journal.lastSequence
    try journal.fill(to: reached + 10, batch: batch, size: 700)
    #expect(
      try journal.contents.everything().map(\.input)
        == messages(1...journal.lastSequence, size: 700)
    )
  }
}

/// A file system of a few megabytes.
private struct SmallDisk {
  let path: String

  static let isPossible: Bool = (try? with(megabytes: 1) { _ in }) != nil

  /// Mounts one, hands it to `body` and unmounts it.
  static func with(megabytes: Int, _ body: (SmallDisk) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.path + "/davy-disk-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try run("mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", path)
    let result = Result { try body(SmallDisk(path: path)) }
    // A process that another test starts holds what was open at that moment, until it is itself.
    for attempt in 1... {
      do {
        try run("umount", path)
        break
      } catch  where attempt < 100 {
        Thread.sleep(forTimeInterval: 0.05)
      }
    }
    try result.get()
  }

  func fill(_ file: String, leaving rest: Int) throws {
    let attributes = try FileManager.default.attributesOfFileSystem(forPath: path)
    let free = (attributes[.systemFreeSize] as? NSNumber)?.intValue ?? 0
    try Data(repeating: 1, count: max(0, free - rest)).write(to: URL(fileURLWithPath: file))
  }

  private static func run(_ command: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw CocoaError(.fileWriteNoPermission) }
  }
}
