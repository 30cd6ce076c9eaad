package import Telemetry

/// The newest readings of every channel, equally many of each: what trends of the recent past are drawn from.
package struct RecentReadings: Sendable {
  /// The most readings kept of one channel: a day and more at one a second.
  package static let maximum = 131_072

  private let capacity: Int
  /// How many blocks lie beside each other, and how many readings of a channel a block has.
  private let groups: Int
  private let width: Int
  /// How many channels the last of the blocks beside each other has; the others have 256.
  private let lastCount: Int

  /// A reading as it is kept: status and receive time share a word, of which 56 bits are milliseconds.
  private struct Kept: BitwiseCopyable {
    private var time: Int64
    private var value: Double
    private var receivedAndStatus: Int64

    /// Where no reading is yet.
    init() {
      time = 0
      value = 0
      receivedAndStatus = 0
    }

    init(_ reading: LatestReading) {
      time = reading.time.milliseconds
      value = reading.value
      receivedAndStatus = reading.received.milliseconds << 8 | Int64(reading.status.rawValue)
    }

    var received: Timestamp { Timestamp(milliseconds: receivedAndStatus >> 8) }

    var reading: LatestReading {
      guard let status = SourceStatus(rawValue: UInt8(truncatingIfNeeded: receivedAndStatus)) else {
        preconditionFailure("a kept reading has no status")
      }
      return LatestReading(
        time: Timestamp(milliseconds: time),
        received: received,
        value: value,
        status: status
      )
    }
  }

  /// Where each channel's next reading goes.
  ///
  /// Apart from what is kept: what is looked at for every reading then fits a processor's cache.
  private var places: [Place]
  /// Layers of blocks; a block has ``width`` readings of up to 256 channels, first the first of each, then the second, and is
  /// there once it has one.
  ///
  /// Channels that report at the same pace write beside each other: with a ring for each, every reading would touch
  /// memory that no other one does.
  private var blocks: [[Kept]]

  private struct Place {
    /// The oldest reading's place once there is no empty one.
    var next: Int32 = 0
    var count: Int32 = 0
  }

  /// Keeps readings of `channels` that take at most about `bytes` together, and at least two of each.
  package init(channels: Int, bytes: Int) {
    let room = max(2, bytes / (max(channels, 1) * MemoryLayout<Kept>.stride))
    width = min(8, room)
    capacity = min(Self.maximum, room - room % width)
    groups = (channels + 255) >> 8
    lastCount = channels - 256 * (groups - 1)
    places = Array(repeating: Place(), count: channels)
    blocks = Array(repeating: [], count: groups * (capacity / width))
  }

  package mutating func add(_ reading: LatestReading, channel: Int) {
    add([CoreOutput.ChannelReading(channel: channel, reading: reading)])
  }

  /// Takes in readings in the order in which they came.
  package mutating func add(_ readings: [CoreOutput.ChannelReading]) {
    var first = 0
    while first < readings.count {
      let channel = readings[first].channel
      let block = block(of: Int(places[channel].next), channel: channel)
      if blocks[block].isEmpty { begin(block, channel: channel) }
      first = fill(block, from: first, of: readings, channelsBeside(channel))
    }
  }

  /// Takes in readings from `first` on as long as they go into one block, as most do that come together; returns the first that
  /// does not.
  private mutating func fill(
    _ block: Int,
    from first: Int,
    of readings: [CoreOutput.ChannelReading],
    _ channelsBeside: Int
  ) -> Int {
    let (groups, capacity) = (groups, capacity)
    // As parameters, because both are written to at once.
    func fill(_ slots: inout [Kept], _ places: inout [Place]) -> Int {
      var slots = slots.mutableSpan
      var places = places.mutableSpan
      var index = first
      while index < readings.count {
        let channel = readings[index].channel
        let place = Int(places[channel].next)
        guard Self.block(of: place, channel: channel, groups: groups) == block else { break }
        slots[(place & 7) &* channelsBeside &+ (channel & 255)] = Kept(readings[index].reading)
        let next = place &+ 1 == capacity ? 0 : place &+ 1
        let count = min(places[channel].count &+ 1, Int32(truncatingIfNeeded: capacity))
        places[channel] = Place(next: Int32(truncatingIfNeeded: next), count: count)
        index &+= 1
      }
      return index
    }
    return fill(&blocks[block], &places)
  }

  private mutating func begin(_ block: Int, channel: Int) {
    blocks[block] = Array(repeating: Kept(), count: channelsBeside(channel) * width)
  }

  private func block(of place: Int, channel: Int) -> Int {
    Self.block(of: place, channel: channel, groups: groups)
  }

  private static func block(of place: Int, channel: Int, groups: Int) -> Int {
    (place >> 3) &* groups &+ (channel >> 8)
  }

  private func slot(of place: Int, channel: Int) -> Int {
    (place & 7) * channelsBeside(channel) + (channel & 255)
  }

  /// How many channels the blocks of a channel have.
  private func channelsBeside(_ channel: Int) -> Int {
    channel >> 8 == groups - 1 ? lastCount : 256
  }

  /// The reading of a channel that came as many before its newest.
  private func back(_ number: Int, channel: Int) -> Kept {
    let before = Int(places[channel].next) - 1 - number
    let place = before < 0 ? before + capacity : before
    return blocks[block(of: place, channel: channel)][slot(of: place, channel: channel)]
  }

  /// How many readings of a channel are kept.
  private func count(_ channel: Int) -> Int { Int(places[channel].count) }

  /// Whether there is room for a channel; a newer catalog may have more channels.
  package func holds(_ channel: Int) -> Bool { places.indices.contains(channel) }

  /// The newest reading by receive time of each channel; nil where none came.
  package func latest() -> [LatestReading?] {
    places.indices.map { count($0) == 0 ? nil : back(0, channel: $0).reading }
  }

  /// When the oldest kept reading of a channel was received; nil where none came.
  package func oldestReceived(channel: Int) -> Timestamp? {
    let count = count(channel)
    return count == 0 ? nil : back(count - 1, channel: channel).received
  }

  /// Kept readings of a channel that were received after a moment, in the order in which they came.
  package func received(after moment: Timestamp, channel: Int) -> [LatestReading] {
    var found: [LatestReading] = []
    for number in 0..<count(channel) {
      let kept = back(number, channel: channel)
      guard kept.received > moment else { break }
      found.append(kept.reading)
    }
    return found.reversed()
  }

  /// Every kept reading of a channel, in the order in which they came.
  package func kept(channel: Int) -> [LatestReading] {
    (0..<count(channel)).reversed().map { back($0, channel: channel).reading }
  }
}
