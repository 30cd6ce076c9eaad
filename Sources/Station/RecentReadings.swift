import Telemetry

/// The newest readings of every channel, in rings of equal size: what trends of the recent past are drawn from.
struct RecentReadings: Sendable {
  /// The most readings kept of one channel: a day and more at one a second.
  static let maximum = 131_072

  private let capacity: Int
  private var rings: [[LatestReading]]
  /// Where the next reading goes: the oldest one's place once a ring is full.
  private var next: [Int]

  /// Makes rings for `channels` that take at most about `bytes` together, and at least two readings each.
  init(channels: Int, bytes: Int) {
    capacity = min(
      Self.maximum,
      max(2, bytes / (max(channels, 1) * MemoryLayout<LatestReading>.stride))
    )
    rings = Array(repeating: [], count: channels)
    next = Array(repeating: 0, count: channels)
  }

  mutating func add(_ reading: LatestReading, channel: Int) {
    if rings[channel].count < capacity {
      rings[channel].append(reading)
    } else {
      rings[channel][next[channel]] = reading
    }
    next[channel] = (next[channel] + 1) % capacity
  }

  /// Whether there is a ring for a channel; a newer catalog may have more channels.
  func holds(_ channel: Int) -> Bool { rings.indices.contains(channel) }

  /// The newest reading by receive time of each channel; nil where none came.
  func latest() -> [LatestReading?] {
    rings.indices.map { channel in
      let ring = rings[channel]
      return ring.isEmpty ? nil : ring[(next[channel] + ring.count - 1) % ring.count]
    }
  }

  /// When the oldest kept reading of a channel was received; nil where none came.
  func oldestReceived(channel: Int) -> Timestamp? {
    let ring = rings[channel]
    return ring.isEmpty ? nil : ring[ring.count < capacity ? 0 : next[channel]].received
  }

  /// Kept readings of a channel that were received after a moment, in the order in which they came.
  func received(after moment: Timestamp, channel: Int) -> [LatestReading] {
    let ring = rings[channel]
    var found: [LatestReading] = []
    for back in 1..<(ring.count + 1) {
      let reading = ring[(next[channel] + ring.count - back) % ring.count]
      guard reading.received > moment else { break }
      found.append(reading)
    }
    return found.reversed()
  }

  /// Every kept reading of a channel, in the order in which they came.
  func kept(channel: Int) -> [LatestReading] {
    let ring = rings[channel]
    guard ring.count == capacity, next[channel] > 0 else { return ring }
    return Array(ring[next[channel]...]) + ring[..<next[channel]]
  }
}
