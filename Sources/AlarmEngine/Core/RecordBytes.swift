// What a snapshot keeps of channels and rules.

extension ChannelRecord {
  /// Saves what a reading leaves behind; key and calm span are found again by the first reading.
  func append(to bytes: inout [UInt8]) {
    bytes.appendState(newest)
    bytes.appendState(value)
    bytes.appendState(sequence)
    bytes.appendState(UInt64(seen))
    bytes.appendState(mean)
    bytes.appendState(variance)
    bytes.appendState(sum)
    bytes.appendState(squares)
    bytes.appendState(reference)
    bytes.appendState(extremes.x)
    bytes.appendState(extremes.y)
    bytes.appendState(UInt64(head))
    bytes.appendState(UInt64(tail))
    bytes.append(conditions)
    bytes.append(status)
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    newest = try reader.integer()
    value = try reader.double()
    sequence = try reader.word()
    seen = UInt32(truncatingIfNeeded: try reader.word())
    mean = try reader.double()
    variance = try reader.double()
    // One that had learnt from a value beyond every measure would be blind for good.
    if !mean.isFinite || !(variance <= Self.greatestSquare) { forgetLearnt() }
    sum = try reader.double()
    squares = try reader.double()
    reference = try reader.double()
    extremes.x = try reader.double()
    extremes.y = try reader.double()
    head = UInt32(truncatingIfNeeded: try reader.word())
    tail = UInt32(truncatingIfNeeded: try reader.word())
    conditions = try reader.byte()
    status = try reader.byte()
  }
}

extension RuleRecord {
  /// Saves the record of a rule of a kind.
  ///
  /// Which delays rely on what is armed is told by the phase where the kind follows values, and is saved else.
  func append(to bytes: inout [UInt8], kind: RuleParameters.Kind) {
    bytes.appendState(since)
    bytes.appendState(sinceSequence)
    bytes.appendState(onset)
    bytes.appendState(UInt64(raises))
    bytes.appendState(UInt64(fleeting))
    bytes.append(life)
    bytes.append(phase.rawValue)
    bytes.append(priority)
    bytes.append(kind.followsValues ? 0 : armed & Deadline.Kind.delayBits)
  }

  mutating func restore(from reader: inout StateReader) throws(StateReadError) {
    since = try reader.integer()
    sinceSequence = try reader.word()
    onset = try reader.integer()
    raises = UInt32(truncatingIfNeeded: try reader.word())
    fleeting = UInt32(truncatingIfNeeded: try reader.word())
    life = try reader.byte()
    guard let phase = Phase(rawValue: try reader.byte()), LifeCycle(packed: life) != nil else {
      throw .inconsistent
    }
    self.phase = phase
    priority = try reader.byte()
    armed = try reader.byte() & Deadline.Kind.delayBits
  }
}

extension ChannelPast: RowState {
  func append(to bytes: inout [UInt8]) {
    bytes.appendState(floor)
    bytes.appendState(extras.count)
    for extra in extras {
      bytes.appendState(extra.time)
      bytes.appendState(extra.value)
    }
  }

  init(reading reader: inout StateReader) throws(StateReadError) {
    floor = try reader.integer()
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let time = try reader.integer()
      extras.append(Extra(time: time, value: try reader.double()))
    }
  }
}
