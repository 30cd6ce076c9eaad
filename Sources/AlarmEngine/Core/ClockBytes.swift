// What a snapshot keeps of devices and their clocks.

extension DeviceRecord {
  func append(to bytes: inout [UInt8]) {
    bytes.appendState(previousLow)
    bytes.appendState(currentLow)
    bytes.appendState(Int64(epoch))
    bytes.append(isQuarantined ? 1 : 0)
  }

  /// Reads what was seen; what the plan says stays.
  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    previousLow = try reader.integer()
    currentLow = try reader.integer()
    epoch = Int32(truncatingIfNeeded: try reader.integer())
    isQuarantined = try reader.byte() == 1
  }
}

extension DriftRecord {
  func append(to bytes: inout [UInt8]) {
    for field in [anchorLow, anchorEpoch, nextLow, nextEpoch, closedLow, closedEpoch] {
      bytes.appendState(Int64(field))
    }
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    anchorLow = Int32(truncatingIfNeeded: try reader.integer())
    anchorEpoch = Int32(truncatingIfNeeded: try reader.integer())
    nextLow = Int32(truncatingIfNeeded: try reader.integer())
    nextEpoch = Int32(truncatingIfNeeded: try reader.integer())
    closedLow = Int32(truncatingIfNeeded: try reader.integer())
    closedEpoch = Int32(truncatingIfNeeded: try reader.integer())
  }
}

extension ClockStreak {
  func append(to bytes: inout [UInt8]) {
    for field in [start, low, high, newest, newestLag, earliest, latest] {
      bytes.appendState(field)
    }
    bytes.appendState(UInt64(count))
  }

  init(reading reader: inout StateReader) throws(StateReadError) {
    start = try reader.integer()
    low = try reader.integer()
    high = try reader.integer()
    newest = try reader.integer()
    newestLag = try reader.integer()
    earliest = try reader.integer()
    latest = try reader.integer()
    count = UInt32(truncatingIfNeeded: try reader.word())
  }
}

extension ClockTrouble: RowState {
  func append(to bytes: inout [UInt8]) {
    streak.append(to: &bytes)
    tolerable.append(to: &bytes)
    bytes.appendState(hasLeaps)
    bytes.appendState(UInt64(faults))
    bytes.appendState(UInt64(steps))
    bytes.appendState(bankShift)
  }

  init(reading reader: inout StateReader) throws(StateReadError) {
    streak = try ClockStreak(reading: &reader)
    tolerable = try ClockStreak(reading: &reader)
    hasLeaps = try reader.flag()
    faults = UInt32(truncatingIfNeeded: try reader.word())
    steps = UInt32(truncatingIfNeeded: try reader.word())
    bankShift = try reader.integer()
  }
}

extension Leap: RowState {
  func append(to bytes: inout [UInt8]) {
    bytes.appendState(stamp)
    bytes.appendState(value)
  }

  init(reading reader: inout StateReader) throws(StateReadError) {
    stamp = try reader.integer()
    value = try reader.double()
  }
}

extension Blindness: RowState {
  func append(to bytes: inout [UInt8]) {
    for field in [since, reached, start, newest] { bytes.appendState(field) }
    bytes.appendState(UInt64(count))
    bytes.appendState(goesBack)
  }

  init(reading reader: inout StateReader) throws(StateReadError) {
    since = try reader.integer()
    reached = try reader.integer()
    start = try reader.integer()
    newest = try reader.integer()
    count = UInt32(truncatingIfNeeded: try reader.word())
    goesBack = try reader.flag()
  }
}
