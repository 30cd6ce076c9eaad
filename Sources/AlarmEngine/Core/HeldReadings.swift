import Telemetry

/// Readings of one device that wait to be put in order: by event time, equal times by arrival.
struct HeldReadings: Sendable {
  struct Entry: Sendable {
    var reading: Reading
    /// The event time that it will be judged at.
    var time: Int64
    var sequence: UInt64
    /// Engine time at which it has waited long enough.
    var due: Int64
  }

  private(set) var entries: [Entry] = []

  var count: Int { entries.count }

  /// Engine time at which the first of them has waited long enough.
  var nextDue: Int64? { entries.lazy.map(\.due).min() }

  /// Adds a reading behind all that are not newer.
  mutating func insert(_ entry: Entry) {
    var index = entries.count
    while index > 0, entries[index - 1].time > entry.time { index -= 1 }
    entries.insert(entry, at: index)
  }

  /// Takes out what has waited long enough at `now`, with everything before it, in order.
  mutating func takeDue(at now: Int64) -> [Entry] {
    guard let last = entries.lastIndex(where: { $0.due <= now }) else { return [] }
    let due = Array(entries[...last])
    entries.removeSubrange(...last)
    return due
  }

  /// Takes out the reading with the least event time.
  mutating func takeOldest() -> Entry { entries.removeFirst() }
}
