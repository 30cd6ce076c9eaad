import Foundation
import Journal
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Figures, not verdicts: `JOURNAL_BENCH=1 swift test -c release --filter JournalBenchmark`.
///
/// `JOURNAL_BENCH_DIRECTORY` names the disk to measure on.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["JOURNAL_BENCH"] != nil, "JOURNAL_BENCH=1"))
struct JournalBenchmark {
  @Test("appended messages a second, processor time and bytes a message")
  func append() throws {
    print("payload  batch  messages/s  µs CPU/message  µs CPU building it  bytes/message")
    for size in [100, 4000] {
      for count in [1, 100, 1000] { try measure(size, count) }
    }
  }

  @Test("records read back a second")
  func read() throws {
    let scratch = Scratch()
    let writer = try RecordingWriter(directory: scratch("r"))
    let payloads = payloads(100)
    for index in 0..<500_000 { try writer.append(input(payloads, index)) }
    try writer.finish()
    let recording = try Recording(path: scratch("r"))
    var cursor = recording.cursor(from: 1)
    var batch = JournalBatch()
    let start = processorTime()
    var records = 0
    while try cursor.next(into: &batch) != nil { records += batch.count }
    let seconds = processorTime() - start
    print("reading: \(records) records, \(format(seconds * 1e6 / Double(records), 3)) µs CPU each")
    #expect(records == 500_000)
  }

  private func measure(_ size: Int, _ count: Int) throws {
    let directory =
      ProcessInfo.processInfo.environment["JOURNAL_BENCH_DIRECTORY"]
      ?? FileManager.default.temporaryDirectory.path
    let path = directory + "/davy-journal-bench-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: path) }
    let journal = try SegmentJournal(directory: path)
    let payloads = payloads(size)
    let topics = (0..<20).map { Array("davy/v1/hengtai/gw-\($0)/readings".utf8) }
    var batch = JournalBatch()
    var (messages, building, committing) = (0, 0.0, 0.0)
    let begin = wallTime()
    var now: Int64 = 1_795_451_234_567
    while wallTime() - begin < 3, messages < 2_000_000 {
      let start = processorTime()
      batch.removeAll()
      now += 3
      for index in 0..<count {
        let number = messages + index
        let topic = topics[number % topics.count]
        let payload = payloads[number % payloads.count]
        batch.append(received: now, topic: topic.span, payload: payload.span, qos: 1)
      }
      let built = processorTime()
      try journal.append(batch, firstSequence: UInt64(messages) + 1)
      building += built - start
      committing += processorTime() - built
      messages += count
    }
    let seconds = wallTime() - begin
    let bytes = journal.segments.reduce(0) { $0 + $1.bytes }
    try journal.close()
    let sealed = journal.segments.reduce(0) { $0 + $1.bytes }
    print(
      pad("\(size) B", 7),
      pad("\(count)", 6),
      pad(format(Double(messages) / seconds, 0), 11),
      pad(format((building + committing) * 1e6 / Double(messages), 3), 15),
      pad(format(building * 1e6 / Double(messages), 3), 19),
      pad(format(Double(sealed) / Double(messages), 1), 14),
      " (with log \(format(Double(bytes) / Double(messages), 1)))"
    )
    #expect(journal.lastSequence == UInt64(messages))
  }

  /// Payloads that differ as a gateway's do: device, point, time and value.
  private func payloads(_ size: Int) -> [[UInt8]] {
    var random = SplitMix(5)
    return (0..<997).map { _ in
      var text = "["
      repeat {
        if text.utf8.count > 1 { text += "," }
        text += "{\"device\":\"GD-\(random.below(50))\",\"point\":\"ch\(random.below(8))\","
        text += "\"t\":1795451\(100_000 + random.below(900_000)),"
        text += "\"v\":\(random.below(20)).\(random.below(100)),\"s\":\"normal\"}"
      } while text.utf8.count + 60 < size
      text += "]"
      return Array(text.utf8) + Array(repeating: 0x20, count: max(0, size - text.utf8.count))
    }
  }

  private func input(_ payloads: [[UInt8]], _ index: Int) -> JournalInput {
    JournalInput(
      received: Int64(index),
      topic: Array("davy/v1/hengtai/gw-\(index % 20)/readings".utf8),
      payload: payloads[index % payloads.count]
    )
  }

  private func processorTime() -> Double { time(CLOCK_PROCESS_CPUTIME_ID) }

  private func wallTime() -> Double { time(CLOCK_MONOTONIC) }

  private func time(_ clock: clockid_t) -> Double {
    var now = timespec()
    unsafe clock_gettime(clock, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
  }

  private func format(_ value: Double, _ digits: Int) -> String {
    let scale = pow(10, Double(digits))
    let rounded = (value * scale).rounded() / scale
    return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
  }

  private func pad(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.utf8.count)) + text
  }
}
