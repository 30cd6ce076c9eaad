import Foundation
import Journal
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `kill -9` while appending: what was acknowledged is there, and numbering goes on.
struct JournalCrashTests {
  /// `JOURNAL_KILLS=n` kills n processes instead of 30.
  private static var trials: UInt64 {
    ProcessInfo.processInfo.environment["JOURNAL_KILLS"].flatMap { UInt64($0) } ?? 30
  }

  @Test("killed at random moments, again and again, over the same directory")
  func kill() async throws {
    let scratch = Scratch()
    let directory = scratch("j")
    var random = SplitMix(3)
    var most: UInt64 = 0
    for trial in 1...Self.trials {
      let delay = UInt32(random.below(60_000))
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [directory = directory as String, delay = delay as UInt32] in
        try appendUntilKilled(directory, after: delay)
      }
      let acknowledged = try String(contentsOfFile: scratch("j/acknowledged"), encoding: .utf8)
      let last = try #require(UInt64(acknowledged))
      if last > 0 {
        let copy = try Recording(path: directory)
        try #require(copy.lastSequence >= last, "trial \(trial), delay \(delay) µs")
      }
      let journal = try SegmentJournal(directory: directory, options: crashOptions)
      let found = journal.lastSequence
      try #require(found >= last, "trial \(trial): acknowledged \(last), found \(found)")
      let records = try journal.contents.everything()
      try #require(records.count == Int(found))
      for record in records {
        try #require(record.input == message(record.sequence, size: Int(record.sequence % 2000)))
      }
      #expect(journal.damage.isEmpty && journal.faults.isEmpty)
      if trial % 10 == 0 { #expect(try journal.verify().isSound) }
      most = max(most, found)
    }
    #expect(most > 100, "the processes have to come to append before they are killed")
    print("journal crash: \(Self.trials) kills, \(most) records, none acknowledged was lost")
  }
}

private var crashOptions: SegmentOptions {
  var options = SegmentOptions()
  options.segmentBytes = 1_000_000
  options.checkpointPages = 100
  return options
}

/// Appends, and notes what was acknowledged outside the journal, until a thread kills the process.
private func appendUntilKilled(_ directory: String, after microseconds: UInt32) throws {
  let journal = try SegmentJournal(directory: directory, options: crashOptions)
  let note = unsafe open(directory + "/acknowledged", O_WRONLY | O_CREAT, 0o600)
  acknowledge(journal.lastSequence, note)
  Thread.detachNewThread {
    // A kill at a random moment is what is tried here; there is nothing to wait for.
    usleep(microseconds)
    kill(getpid(), SIGKILL)
  }
  while true {
    let first = journal.lastSequence + 1
    let last = first + first % 40
    let batch = (first...last).map { message($0, size: Int($0 % 2000)) }
    try journal.append(batch, firstSequence: first)
    acknowledge(last, note)
  }
}

private func acknowledge(_ sequence: UInt64, _ note: Int32) {
  // One write of constant size: a kill leaves the old number or the new one.
  let digits = String(sequence)
  let text = String(repeating: "0", count: 20 - digits.count) + digits
  _ = unsafe text.utf8.span.withUnsafeBytes { unsafe pwrite(note, $0.baseAddress, 20, 0) }
}
