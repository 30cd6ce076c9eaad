import Telemetry

// Devices, channels and held readings out of a snapshot.

extension Engine {
  /// Notes which rows were in quarantine and are `unguarded` now.
  mutating func restoreDevices(
    _ reader: inout StateReader,
    _ unguarded: inout [Int]
  ) throws(StateReadError) {
    let rows = RowsByIdentity(identities.devices)
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let row = rows[try reader.word()]
      var record = DeviceRecord()
      var drift = DriftRecord()
      if let row { record = devices[row] }
      try record.restore(from: &reader)
      try drift.restore(from: &reader)
      guard let row else { continue }
      if timing(ofDevice: row).isUnguarded, record.isQuarantined {
        record.isQuarantined = false
        unguarded.append(row)
      }
      devices[row] = record
      drifts[row] = drift
      guard record.isQuarantined else { continue }
      quarantined += 1
      for channel in channelRows(ofDevice: row) {
        channels.row(Int(channel)).it.key |= ChannelRecord.quarantined
      }
    }
    try rows.readStates(into: &troubles, from: &reader)
  }

  /// Returns which rows the snapshot had; `revalued` are those among them whose values had another unit.
  mutating func restoreChannels(
    _ reader: inout StateReader,
    _ revalued: inout Set<Int>
  ) throws(StateReadError) -> [Bool] {
    var found = [Bool](repeating: false, count: channels.count)
    let rows = RowsByIdentity(identities.channels)
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let row = rows[try reader.word()]
      let unit = try reader.word()
      var scratch = ChannelRecord()
      if let row {
        try channels.row(row).it.restore(from: &reader)
        scratch = channels[row]
      } else {
        try scratch.restore(from: &reader)
      }
      let live = Int(scratch.head &- scratch.tail)
      guard try reader.count(in: 0...Int(UInt32.max)) == live else { throw .inconsistent }
      if let row {
        try restoreSamples(row, &reader)
      } else {
        for _ in 0..<2 * live { _ = try reader.word() }
      }
      guard let row else { continue }
      found[row] = true
      if unit != identities.units[row].rawValue { revalued.insert(row) }
    }
    return found
  }

  /// Forgets what is known of values that had another unit: the channels begin as after a gap, and their alarms stand.
  mutating func forgetValues(of revalued: Set<Int>) {
    for channel in revalued.sorted() {
      let record = channels.row(channel)
      record.it.value = .nan
      record.it.tail = record.it.head
      record.it.forgetLearnt()
      pasts[channel] = nil
      ties[channel] = nil
      dropPendingDelays(of: channel, at: now)
      for slot in links[channel].rules {
        switch parameters.row(Int(slot)).it.kind {
        case .ewma: keep(ChannelRecord.ewmaBit, of: slot, channel)
        case .limit, .physicalRange: restartHistory(slot, at: record.it.newest)
        case .stale, .rate, .clock, .reported, .single, .group, .cascade: break
        }
      }
    }
  }

  /// Puts window samples back in the slots they had; what does not fit a smaller ring is left out.
  private mutating func restoreSamples(
    _ row: Int,
    _ reader: inout StateReader
  ) throws(StateReadError) {
    let record = channels.row(row)
    let profile = profiles.row(Int(record.it.profile))
    let keeps = profile.it.features & Profile.window != 0
    let mask = profile.it.ringMask
    let line = Int(record.it.ring)
    var position = record.it.tail
    while position != record.it.head {
      let value = try reader.double()
      let time = UInt32(truncatingIfNeeded: try reader.word())
      if keeps {
        let slot = Int(position & mask)
        unsafe ring.doubles(at: line)[slot] = value
        unsafe ring.words(at: line, after: Int(mask) + 1)[slot] = time
      }
      position &+= 1
    }
    if !keeps {
      record.it.tail = record.it.head
    } else if record.it.head &- record.it.tail > mask &+ 1 {
      record.it.tail = record.it.head &- mask &- 1
      retakeWindow(record, profile)
    } else if record.it.head != record.it.tail {
      let oldest = unsafe ring.doubles(at: line)[Int(record.it.tail & mask)]
      record.it.oldest = record.it.keeping(oldest)
    }
  }

  /// A reading of a `revalued` channel has no value that the plan's figures could judge.
  mutating func restoreHeld(
    _ reader: inout StateReader,
    _ revalued: Set<Int>
  ) throws(StateReadError) {
    let rows = RowsByIdentity(identities.channels)
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let channel = rows[try reader.word()]
      var reading = Reading(
        channel: ChannelIndex(rawValue: UInt32(channel ?? 0)),
        time: Timestamp(milliseconds: try reader.integer()),
        value: try reader.double()
      )
      guard let status = SourceStatus(rawValue: try reader.byte()) else { throw .inconsistent }
      reading.status = status
      reading.flags = ReadingFlags(rawValue: try reader.byte())
      var entry = HeldReadings.Entry(reading: reading, time: 0, sequence: 0)
      entry.time = try reader.integer()
      entry.sequence = try reader.word()
      guard let channel else { continue }
      if revalued.contains(channel) { entry.reading.value = .nan }
      held[Int(links[channel].device), default: HeldReadings()].insert(entry)
    }
    for row in held.keys.sorted() {
      // Where the plan has no allowance any more, new readings go behind these all the same.
      for channel in channelRows(ofDevice: row) {
        channels.row(Int(channel)).it.key |= ChannelRecord.held
      }
    }
  }
}
