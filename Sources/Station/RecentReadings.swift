import Telemetry

/// The newest readings of every channel, in rings of equal size: what trends of the recent past are drawn from.
struct RecentReadings: Sendable {
  private let capacity: Int
  private var rings: [[LatestReading]]
  private var next: [Int]

  /// Makes rings for `channels` that take at most about `bytes` together, and at least two readings each.
  init(channels: Int, bytes: Int) {
    capacity = min(16_384, max(2, bytes / (max(channels, 1) * MemoryLayout<LatestReading>.stride)))
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

  /// The newest reading by event time of each channel; nil where none came.
  func latest() -> [LatestReading?] {
    rings.indices.map { channel in
      guard !rings[channel].isEmpty else { return nil }
      return rings[channel][(next[channel] + rings[channel].count - 1) % rings[channel].count]
    }
  }

  /// Every kept reading of a channel by event time.
  func all(channel: Int) -> [LatestReading] {
    rings[channel].sorted { $0.time < $1.time }
  }
}
