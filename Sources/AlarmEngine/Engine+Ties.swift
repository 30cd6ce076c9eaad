import Telemetry

/// Readings of one moment.
///
/// Many sources stamp by the second, or not at all: what is received together then has one time. All of it is judged, in
/// the order in which it came, each a millisecond after the one before: else the second value of a second would be
/// swallowed, and with it an alarm. What a source has stamped and said before under the same stamp is a duplicate, as
/// redelivery brings it, and changes nothing.
struct Tie: Sendable {
  /// What a reading said.
  struct Said: Hashable, Sendable {
    var value: UInt64
    var status: UInt8
  }

  /// Values that are remembered of one moment; of more, those that were not are judged each time they come.
  static let capacity = 16

  /// The readings' own time.
  var stamp: Int64
  /// The time that the last of them was given.
  var newest: Int64
  /// What they have said.
  var said: [Said]
}

extension Tie.Said {
  init(_ reading: Reading) {
    let isValue = reading.status.use == .evaluate && reading.value.isFinite
    value = isValue ? reading.value.bitPattern : Double.nan.bitPattern
    status = reading.status.rawValue
  }
}

extension Engine {
  /// Whether a reading that is no newer than its channel's newest is of the same moment and says what has not been said of it;
  /// then that is noted.
  mutating func takesTie(_ reading: Reading, at time: Int64) -> Bool {
    let channel = Int(reading.channel.rawValue)
    let newest = channels.row(channel).it.newest
    // Without a stamp of its own a reading is of when it came, which is after all that came before.
    if reading.flags.contains(.receiveTimed) { return true }
    var tie = tie(of: channel)
    guard time >= tie.stamp else { return false }
    // A stamp that readings of the one before have been given already.
    if time > tie.stamp { tie = Tie(stamp: time, newest: newest, said: []) }
    let said = Tie.Said(reading)
    guard !tie.said.contains(said) else { return false }
    if tie.said.count < Tie.capacity { tie.said.append(said) }
    tie.newest = newest + 1
    ties[channel] = tie
    return true
  }

  /// Whether a reading repeats what was said of the newest moment.
  func hasBeenSaid(_ reading: Reading, at time: Int64) -> Bool {
    let tie = tie(of: Int(reading.channel.rawValue))
    return time == tie.stamp && tie.said.contains(Tie.Said(reading))
  }

  /// What is known of a channel's newest moment: where there was one reading of it, what that has said.
  private func tie(of channel: Int) -> Tie {
    let record = channels.row(channel)
    if let tie = ties[channel], tie.newest == record.it.newest { return tie }
    let said = Tie.Said(value: record.it.value.bitPattern, status: record.it.status)
    return Tie(stamp: record.it.newest, newest: record.it.newest, said: [said])
  }

  /// Saves the moments of channels that had more than one reading in their newest.
  func appendTies(to bytes: inout [UInt8]) {
    let live = ties.keys.sorted().filter { ties[$0]?.newest == channels.row($0).it.newest }
    bytes.appendState(live.count)
    for channel in live {
      let tie = tie(of: channel)
      bytes.appendState(identities.channels[channel].rawValue)
      bytes.appendState(tie.stamp)
      bytes.appendState(tie.newest)
      bytes.appendState(tie.said.count)
      for said in tie.said {
        bytes.appendState(said.value)
        bytes.append(said.status)
      }
    }
  }

  /// Reads what ``appendTies(to:)`` saved; `row` gives a channel's row by its identity.
  mutating func restoreTies(
    _ reader: inout StateReader,
    _ row: (UInt64) -> Int?
  ) throws(StateReadError) {
    for _ in 0..<(try reader.count(in: 0...Int(UInt32.max))) {
      let channel = row(try reader.word())
      var tie = Tie(stamp: try reader.integer(), newest: try reader.integer(), said: [])
      for _ in 0..<(try reader.count(in: 0...Tie.capacity)) {
        tie.said.append(Tie.Said(value: try reader.word(), status: try reader.byte()))
      }
      if let channel { ties[channel] = tie }
    }
  }
}
