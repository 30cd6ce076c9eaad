import Telemetry

extension Engine {
  /// How many readings of one device may wait to be put in order.
  public static let heldPerDevice = 4096

  /// Holds a reading back; it is judged by a deadline, or early when too many wait.
  mutating func hold(
    _ reading: Reading,
    at time: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) {
    let row = Int(links[Int(reading.channel.rawValue)].device)
    let due = max(now, time + offset(of: reading.channel.rawValue))
    tally.reordered += 1
    held[row, default: HeldReadings()].insert(
      HeldReadings.Entry(reading: reading, time: time, sequence: sequence, due: due)
    )
    if held[row]?.count == 1 { armRelease(row, at: due) }
    guard let count = held[row]?.count, count > Self.heldPerDevice,
      let oldest = held[row]?.takeOldest()
    else { return }
    tally.reorderOverflows += 1
    _ = judgeReading(oldest.reading, at: oldest.time, oldest.sequence, &out)
  }

  /// Judges what a device's readings have waited long enough for, in order.
  mutating func release(_ row: Int, _ out: inout [Transition]) {
    let due = held[row]?.takeDue(at: now) ?? []
    for entry in due {
      _ = judgeReading(entry.reading, at: entry.time, entry.sequence, &out)
    }
    if let next = held[row]?.nextDue {
      armRelease(row, at: next)
    } else {
      held[row] = nil
    }
  }

  /// Judges everything that is held of a device: its time base is about to change.
  mutating func releaseAll(_ row: Int, _ out: inout [Transition]) {
    guard let all = held.removeValue(forKey: row)?.entries else { return }
    for entry in all { _ = judgeReading(entry.reading, at: entry.time, entry.sequence, &out) }
  }

  /// Makes sure that a device's held readings are looked at; one entry a device is enough.
  mutating func armRelease(_ row: Int, at time: Int64) {
    heap.insert(
      Deadline(due: max(time, now), kind: .release, rule: UInt32(row), slot: UInt32(row))
    )
  }
}
