import Dispatch
import Synchronization
import Telemetry

/// Reads old records one question at a time, behind everything else: a trend over a long past must not take the
/// processor from the readings of now.
final class ArchiveReader: Sendable {
  /// What a question was answered with; people zoom in on what they have just seen.
  private struct Answer {
    var channel: Int
    var catalog: String
    var from: Timestamp
    var to: Timestamp
    var readings: [RecordedReading]
    var at: Int64
  }

  /// Answers kept, how long in milliseconds, and the most readings of one that is kept.
  private static let kept = 4
  private static let validity: Int64 = 30_000
  private static let keptReadings = 500_000

  private let queue = DispatchQueue(label: "davy-archive", qos: .utility)
  private let answers = Mutex<[Answer]>([])

  /// Runs `work` on the reader's thread.
  func run<Value: Sendable>(
    _ work: @escaping @Sendable () throws(TrendError) -> Value
  ) async throws(TrendError) -> Value {
    let result: Result<Value, TrendError> = await withCheckedContinuation { continuation in
      queue.async {
        do throws(TrendError) {
          continuation.resume(returning: .success(try work()))
        } catch {
          continuation.resume(returning: .failure(error))
        }
      }
    }
    return try result.get()
  }

  /// Readings of a channel from the journal, or from an answer that is half a minute old at most and covers the time.
  ///
  /// - Parameters:
  ///   - archive: reads the journal.
  ///   - channel: row of the channel.
  ///   - catalog: version of the catalog that the row is of.
  ///   - from: begin of the event times.
  ///   - to: their end, exclusive.
  ///   - now: monotonic time in milliseconds.
  /// - Returns: the readings as they came.
  /// - Throws: what reading the journal throws.
  func readings(
    _ archive: JournalReadings,
    channel: Int,
    catalog: String,
    from: Timestamp,
    to: Timestamp,
    now: Int64
  ) async throws(TrendError) -> [RecordedReading] {
    let known = answers.withLock { answers in
      answers.removeAll { now - $0.at > Self.validity || $0.catalog != catalog }
      return answers.first { $0.channel == channel && $0.from <= from && $0.to >= to }?.readings
    }
    if let known { return known.filter { $0.reading.time >= from && $0.reading.time < to } }
    let found = try await run { () throws(TrendError) in
      try archive.readings(channel: channel, from: from, to: to)
    }
    if found.count <= Self.keptReadings {
      answers.withLock { answers in
        if answers.count >= Self.kept { answers.removeFirst() }
        answers.append(
          Answer(
            channel: channel,
            catalog: catalog,
            from: from,
            to: to,
            readings: found,
            at: now
          )
        )
      }
    }
    return found
  }
}
