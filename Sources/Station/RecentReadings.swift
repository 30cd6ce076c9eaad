import Telemetry

/// The newest readings of every channel, in rings of equal size: what trends of the recent past are drawn from.
struct RecentReadings: Sendable {
  /// The most readings kept of one channel: a day and more at one a second.
  static let maximum = 131_072

  private let capacity: Int
  private var rings: [Ring]

  /// A reading as it is kept: status and receive time share a word, of which 56 bits are milliseconds.
  private struct Kept: BitwiseCopyable {
    private var time: Int64
    private var value: Double
    private var receivedAndStatus: Int64

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

  private struct Ring {
    var readings: [Kept] = []
    /// Where the next reading goes: the oldest one's place once the ring is full.
    var next = 0

    /// The reading that came as many before the newest.
    func back(_ number: Int) -> Kept {
      let place = next - 1 - number
      return readings[place < 0 ? place + readings.count : place]
    }
  }

  /// Makes rings for `channels` that take at most about `bytes` together, and at least two readings each.
  init(channels: Int, bytes: Int) {
    capacity = min(
      Self.maximum,
      max(2, bytes / (max(channels, 1) * MemoryLayout<Kept>.stride))
    )
    rings = Array(repeating: Ring(), count: channels)
  }

  mutating func add(_ reading: LatestReading, channel: Int) {
    Self.add(Kept(reading), to: &rings[channel], capacity: capacity)
  }

  /// Of no instance: one would be copied for the call, and every ring with it.
  private static func add(_ kept: Kept, to ring: inout Ring, capacity: Int) {
    if ring.readings.count < capacity {
      ring.readings.append(kept)
    } else {
      ring.readings[ring.next] = kept
    }
    ring.next += 1
    if ring.next == capacity { ring.next = 0 }
  }

  /// Whether there is a ring for a channel; a newer catalog may have more channels.
  func holds(_ channel: Int) -> Bool { rings.indices.contains(channel) }

  /// The newest reading by receive time of each channel; nil where none came.
  func latest() -> [LatestReading?] {
    rings.map { $0.readings.isEmpty ? nil : $0.back(0).reading }
  }

  /// When the oldest kept reading of a channel was received; nil where none came.
  func oldestReceived(channel: Int) -> Timestamp? {
    let ring = rings[channel]
    return ring.readings.isEmpty ? nil : ring.back(ring.readings.count - 1).received
  }

  /// Kept readings of a channel that were received after a moment, in the order in which they came.
  func received(after moment: Timestamp, channel: Int) -> [LatestReading] {
    let ring = rings[channel]
    var found: [LatestReading] = []
    for number in 0..<ring.readings.count {
      let kept = ring.back(number)
      guard kept.received > moment else { break }
      found.append(kept.reading)
    }
    return found.reversed()
  }

  /// Every kept reading of a channel, in the order in which they came.
  func kept(channel: Int) -> [LatestReading] {
    let ring = rings[channel]
    return (0..<ring.readings.count).reversed().map { ring.back($0).reading }
  }
}
