import HazardLedger
import Journal
import PayloadDecoding
import Telemetry

/// Tallies refusals between two ledger commits: one line for each (reason, topic, device), so that a flood
/// of one kind costs one row and loses no count.
///
/// Texts that a sender chose are cut, and lines past the limit go into one line of their reason, so that a sender
/// cannot fill the store with inventions; the journal keeps every message whole.
struct RejectBook {
  private struct Key: Hashable {
    var reason: String
    var topic: String
    var device: String
  }

  private var tallies: [Key: RejectTally] = [:]
  private var order: [Key] = []
  /// How many bytes of a text are kept.
  private static let textLimit = 512
  private static let sampleLimit = 512
  private static let lineLimit = 4_096
  /// Stands for topics and devices that found no line of their own.
  fileprivate static let others = "…"

  /// Counts a refusal that the decoder reported of `record`.
  mutating func add(_ reject: Reject, record: JournalRecord) {
    var detail = reject.detail
    if !reject.place.isEmpty { detail = "\(reject.place): \(detail)" }
    if !reject.point.isEmpty { detail = "\(reject.point) \(detail)" }
    add(
      reason: reject.reason.rawValue,
      device: reject.device,
      detail: detail,
      count: reject.count,
      record: record
    )
  }

  /// Counts a refusal.
  mutating func add(
    reason: String,
    device: String,
    detail: String,
    count: Int,
    record: JournalRecord
  ) {
    var key = Key(
      reason: reason,
      topic: Self.cut(String(decoding: record.input.topic, as: UTF8.self)),
      device: Self.cut(device)
    )
    if tallies[key] == nil, order.count >= Self.lineLimit {
      key = Key(reason: reason, topic: Self.others, device: Self.others)
    }
    let received = Timestamp(milliseconds: record.input.received)
    if var tally = tallies[key] {
      tally.count += Int64(count)
      tally.lastSequence = record.sequence
      tally.lastTime = received
      tally.detail = Self.cut(detail)
      tallies[key] = tally
      return
    }
    order.append(key)
    tallies[key] = RejectTally(
      reason: key.reason,
      topic: key.topic,
      device: key.device,
      count: Int64(count),
      firstSequence: record.sequence,
      lastSequence: record.sequence,
      firstTime: received,
      lastTime: received,
      detail: Self.cut(detail),
      sample: Array(record.input.payload.prefix(Self.sampleLimit))
    )
  }

  /// The tallies since the last call, in order of first appearance.
  mutating func take() -> [RejectTally] {
    defer {
      tallies.removeAll(keepingCapacity: true)
      order.removeAll(keepingCapacity: true)
    }
    return order.compactMap { tallies[$0] }
  }

  /// Cut by bytes, because one character may be made of any number of code points.
  private static func cut(_ text: String) -> String {
    text.bytes(atMost: textLimit).filter { $0 != "\0" }
  }
}

extension RejectTally {
  /// Adds up tallies of the same reason, topic and device, in order of first appearance; past so many lines those of the
  /// same reason.
  static func merged(_ tallies: [RejectTally], lines: Int = .max) -> [RejectTally] {
    var rows: [[String]: Int] = [:]
    var merged: [RejectTally] = []
    for var tally in tallies {
      var key = [tally.reason, tally.topic, tally.device]
      if rows[key] == nil, merged.count >= lines {
        (tally.topic, tally.device) = (RejectBook.others, RejectBook.others)
        key = [tally.reason, tally.topic, tally.device]
      }
      guard let row = rows[key] else {
        rows[key] = merged.count
        merged.append(tally)
        continue
      }
      merged[row].count += tally.count
      merged[row].lastSequence = tally.lastSequence
      merged[row].lastTime = tally.lastTime
      merged[row].detail = tally.detail
      merged[row].sample = tally.sample
    }
    return merged
  }
}
