import Telemetry

/// Readings of one device that wait to be put in order: by event time, equal times by arrival.
struct HeldReadings: Sendable {
  struct Entry: Sendable {
    var reading: Reading
    /// The event time that it will be judged at.
    var time: Int64
    var sequence: UInt64
  }

  private(set) var entries: [Entry] = []
  /// Engine time at which the first is looked at; `never` while nothing is armed.
  var armed: Int64 = never

  var count: Int { entries.count }

  /// Bytes that the readings take, with their room.
  var byteCount: Int { entries.capacity * MemoryLayout<Entry>.stride }

  /// The least event time; nil when nothing waits.
  var earliest: Int64? { entries.first?.time }

  /// The greatest event time of a channel's readings of one message; nil when none of them waits.
  func newest(of channel: Int, in sequence: UInt64) -> Int64? {
    entries.last { $0.sequence == sequence && Int($0.reading.channel.rawValue) == channel }?.time
  }

  /// Adds a reading behind all that are not newer.
  mutating func insert(_ entry: Entry) {
    var index = entries.count
    while index > 0, entries[index - 1].time > entry.time { index -= 1 }
    entries.insert(entry, at: index)
  }

  /// Takes out, in order, what is not newer than an event time.
  mutating func take(through time: Int64) -> [Entry] {
    let end = entries.firstIndex { $0.time > time } ?? entries.count
    let passed = Array(entries[..<end])
    entries.removeFirst(end)
    return passed
  }

  /// Takes out the reading with the least event time.
  mutating func takeEarliest() -> Entry { entries.removeFirst() }
}
