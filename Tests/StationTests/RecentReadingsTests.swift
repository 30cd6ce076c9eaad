import Simulation
import Station
import Telemetry
import Testing

/// What is kept of each channel is the end of what came, however many channels there are and however they report.
@Suite("Recent readings")
struct RecentReadingsTests {
  /// Channels, and how many readings of each there is room for.
  static let shapes: [(channels: Int, room: Int, kept: Int)] = [
    (1, 2, 2), (3, 7, 7), (3, 8, 8), (5, 23, 16), (255, 2, 2), (256, 16, 16), (257, 9, 8),
    (700, 24, 24),
  ]

  @Test("the newest of each channel, oldest first", arguments: shapes, 1...3 as ClosedRange<UInt64>)
  func model(shape: (channels: Int, room: Int, kept: Int), seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var recent = RecentReadings(channels: shape.channels, bytes: shape.channels * shape.room * 24)
    var came = [[LatestReading]](repeating: [], count: shape.channels)
    var waiting: [CoreOutput.ChannelReading] = []
    var last = 0
    for number in 0..<shape.channels * 60 {
      // Some channels report often, some hardly ever; many together go on where the last one was, as a gateway's do.
      let isNext = number / 100 % 2 == 0 && Int.random(in: 0..<20, using: &generator) != 0
      let channel =
        isNext
        ? (last + 1) % shape.channels
        : Int.random(
          in: 0...Int.random(in: 0..<shape.channels, using: &generator),
          using: &generator
        )
      last = channel
      let reading = LatestReading(
        time: Timestamp(milliseconds: Int64.random(in: -1_000...1_000, using: &generator)),
        received: Timestamp(milliseconds: Int64(number / 3)),
        value: Double(number),
        status: number % 5 == 0 ? .sensorFault : .normal
      )
      if number % 97 == 0 {
        recent.add(waiting)
        waiting = []
        recent.add(reading, channel: channel)
      } else {
        waiting.append(CoreOutput.ChannelReading(channel: channel, reading: reading))
        if Int.random(in: 0..<50, using: &generator) == 0 {
          recent.add(waiting)
          waiting = []
        }
      }
      came[channel].append(reading)
    }
    recent.add(waiting)
    let moment = Timestamp(milliseconds: Int64(shape.channels * 15))
    #expect(recent.latest() == came.map(\.last))
    for (channel, all) in came.enumerated() {
      let kept = Array(all.suffix(shape.kept))
      #expect(recent.kept(channel: channel) == kept)
      #expect(recent.oldestReceived(channel: channel) == kept.first?.received)
      #expect(
        recent.received(after: moment, channel: channel) == kept.filter { $0.received > moment }
      )
    }
    #expect(recent.holds(shape.channels - 1) && !recent.holds(shape.channels))
  }
}
