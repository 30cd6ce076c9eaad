import Telemetry

/// The reorder allowance.
///
/// A device with an allowance has a *watermark*: engine time less the device's least lag and the allowance. A reading is
/// judged when the watermark has passed its event time, in the order of event time, equal times by arrival; a deadline of
/// the device at the same event time comes after it. So what readings within the allowance decide is a function of their
/// event times alone: by which input the watermark moved on, a tick, a message of any device, or by how much at once, is
/// not. A faster reading than any before (a smaller least lag) moves the watermark forward at its own arrival; what it has
/// passed then is judged as soon as engine time goes on, with the device's deadlines in between, and never by a later rule.
///
/// A reading that comes when the watermark has passed it has used up its allowance: it is judged as soon as engine
/// time goes on, as late where its channel has gone on; of a backlog, before the deadlines that have waited for it. Transitions
/// say as `received` when the reading was judged.
extension Engine {
  /// How many readings of one device may wait to be put in order.
  public static let heldPerDevice = 4096

  /// Holds a reading back until the watermark has passed it; the earliest of too many is judged at once.
  mutating func hold(
    _ reading: Reading,
    at time: Int64,
    _ sequence: UInt64,
    _ out: inout [Transition]
  ) {
    let row = Int(links[Int(reading.channel.rawValue)].device)
    tally.reordered += 1
    held[row, default: HeldReadings()].insert(
      HeldReadings.Entry(reading: reading, time: time, sequence: sequence)
    )
    if let count = held[row]?.count, count > Self.heldPerDevice,
      let earliest = held[row]?.takeEarliest()
    {
      tally.reorderOverflows += 1
      _ = judgeReading(earliest.reading, at: earliest.time, earliest.sequence, &out)
    }
    // Amid a backlog the watermark may pass the first of them earlier with each that comes.
    if isBacklog { rearm(ofDevice: row) } else { armRelease(row) }
  }

  /// Judges what the watermark has passed at engine time `due`, in order.
  mutating func release(_ row: Int, at due: Int64, _ out: inout [Transition]) {
    // An entry that an earlier one has taken the place of.
    guard held[row]?.armed == due else { return }
    held[row]?.armed = never
    let watermark = due - offset(ofDevice: row)
    let passed = held[row]?.take(through: watermark) ?? []
    for entry in passed {
      // One that passes alone has let everything before it fall due; of several, deadlines lie between.
      if passed.count > 1 { fireDeadlines(ofDevice: row, before: entry.time, &out) }
      _ = judgeReading(entry.reading, at: entry.time, entry.sequence, &out)
    }
    armRelease(row)
  }

  /// Judges everything that is held of a device: its time base is about to change.
  mutating func releaseAll(_ row: Int, _ out: inout [Transition]) {
    guard let all = held.removeValue(forKey: row)?.entries else { return }
    for entry in all { _ = judgeReading(entry.reading, at: entry.time, entry.sequence, &out) }
  }

  /// Makes sure that a device's held readings are looked at when the watermark passes the first of them.
  ///
  /// Entries in the heap are hints, as of all deadlines: one that is too early finds nothing and waits again, one whose
  /// place an earlier one has taken does nothing.
  mutating func armRelease(_ row: Int) {
    guard held[row] != nil else { return }
    guard let next = nextRelease(ofDevice: row) else {
      held[row] = nil
      holdsNoMore(row)
      return
    }
    // (What comes with a backlog goes before the deadlines that have waited for it.)
    armRelease(row, at: max(next.due, fired))
  }

  /// When the watermark passes the first of a device's held readings, by what is known of its clock now; nil for none.
  func nextRelease(ofDevice row: Int) -> Deadline? {
    guard let earliest = held[row]?.earliest else { return nil }
    let due = earliest + offset(ofDevice: row)
    return Deadline(due: due, kind: .release, rule: UInt32(row), slot: UInt32(row))
  }

  /// Has a device's held readings looked at when engine time has passed `due`, unless they are before.
  mutating func armRelease(_ row: Int, at due: Int64) {
    guard let waiting = held[row], due < waiting.armed else { return }
    held[row]?.armed = due
    heap.insert(Deadline(due: due, kind: .release, rule: UInt32(row), slot: UInt32(row)))
  }

  /// Whether a reading of a device has to wait: by its allowance, or behind those that a plan with one has left.
  ///
  /// The receive times of a device in quarantine are in order as they are.
  func isHeld(_ row: Int) -> Bool {
    guard !devices.row(row).it.isQuarantined else { return false }
    return timing(ofDevice: row).allowance > 0 || (!held.isEmpty && held[row] != nil)
  }

  /// A device without an allowance has let go of what it held under another plan: the fast way is open again.
  private func holdsNoMore(_ row: Int) {
    guard timing(ofDevice: row).allowance == 0 else { return }
    for channel in channelRows(ofDevice: row) {
      channels.row(Int(channel)).it.key &= ~ChannelRecord.held
    }
  }
}
