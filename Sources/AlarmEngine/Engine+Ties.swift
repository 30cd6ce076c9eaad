import Telemetry

/// The newest moment of a channel that has had more than one reading in it.
///
/// Many sources stamp by the second, or not at all: what is received together then has one time. All of it is judged, in
/// the order in which it came, each a millisecond after the one before: else the second value of a second would be
/// swallowed, and with it an alarm. What repeats the newest reading is a duplicate. (A message that is delivered once more is
/// judged once more as far as it is of the newest moment and says several things of it: nothing tells it from a source whose
/// value has come back.) Detectors of the bank get the readings' own time, rates within a moment are none, and groups take the
/// first reading of it.
struct Tie: Sendable {
  /// The readings' own time.
  var stamp: Int64
  /// The time that the last of them was given.
  var newest: Int64
  /// The first value, against which the next moment's change is measured; NaN for none.
  var first: Double
}

extension Engine {
  /// Whether a reading that is no newer than its channel's newest is of the same moment and says something else; then it is
  /// noted as the newest of it.
  mutating func takesTie(_ reading: Reading, at time: Int64) -> Bool {
    let channel = Int(reading.channel.rawValue)
    let record = channels.row(channel)
    let isReceiveTimed = reading.flags.contains(.receiveTimed)
    var tie = moment(of: channel)
    // Without a stamp of its own a reading is of when it came, which is after all that came before.
    guard isReceiveTimed || time >= tie.stamp && !isDuplicate(reading, channel) else {
      return false
    }
    // A stamp that readings of the one before have been given already.
    if time > tie.stamp { tie = Tie(stamp: time, newest: 0, first: record.it.value) }
    tie.newest = record.it.newest + 1
    ties[channel] = tie
    // The next reading's change is not measured from the last of these.
    record.it.key |= ChannelRecord.slow
    return true
  }

  /// A channel's newest moment where it has had several readings; nil where one.
  func tie(of channel: Int) -> Tie? {
    guard !ties.isEmpty, let tie = ties[channel], tie.newest == channels.row(channel).it.newest
    else { return nil }
    return tie
  }

  /// A channel's newest moment.
  func moment(of channel: Int) -> Tie {
    let record = channels.row(channel)
    return tie(of: channel)
      ?? Tie(stamp: record.it.newest, newest: record.it.newest, first: record.it.value)
  }
}

extension Tie: RowState {
  func append(to bytes: inout [UInt8]) {
    bytes.appendState(stamp)
    bytes.appendState(newest)
    bytes.appendState(first)
  }

  init(reading reader: inout StateReader) throws(StateReadError) {
    stamp = try reader.integer()
    newest = try reader.integer()
    first = try reader.double()
  }
}
