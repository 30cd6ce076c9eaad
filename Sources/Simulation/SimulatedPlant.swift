/// Where a simulated device reports to.
public struct SimulatedDevice: Sendable {
  /// Topic of its gateway.
  public var topic: String
  /// Device id as it stands in the payload.
  public var device: String
  /// Point id.
  public var point: String

  /// Makes one.
  public init(topic: String, device: String, point: String) {
    self.topic = topic
    self.device = device
    self.point = point
  }
}

/// Readings of a small plant, once a second from every device, with excursions; all of it follows from the seed.
struct SimulatedPlant {
  /// What every device publishes, second by second.
  let seconds: [[FakeBroker.Message]]

  /// - Parameters:
  ///   - devices: who publishes.
  ///   - count: how many seconds.
  ///   - start: event time of the first second, milliseconds since the Unix epoch.
  ///   - seed: decides the values.
  init(devices: [SimulatedDevice], seconds count: Int, start: Int64, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var levels = [Double](repeating: 2, count: devices.count)
    var left = [Int](repeating: 0, count: devices.count)
    seconds = (0..<count).map { second in
      devices.indices.compactMap { row in
        if left[row] == 0 {
          // Background, near a limit, above the first, above the second; for a while.
          levels[row] = [2, 2, 4.5, 7, 25][Int.random(in: 0..<5, using: &generator)]
          left[row] = Int.random(in: 1...20, using: &generator)
        }
        left[row] -= 1
        let value = levels[row] + Double.random(in: -0.6...0.6, using: &generator)
        guard !generator.isOneIn(50) else { return nil }
        let time = start + Int64(second) * 1_000
        let payload =
          #"{"device":"\#(devices[row].device)","point":"\#(devices[row].point)","t":\#(time),"v":\#(value)}"#
        return FakeBroker.Message(
          topic: Array(devices[row].topic.utf8),
          payload: Array(payload.utf8)
        )
      }
    }
  }
}
