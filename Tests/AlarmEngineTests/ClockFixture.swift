import AlarmEngine
import Telemetry

/// Devices with rules on their clocks, and what they send.
enum ClockFixture {
  static let tolerance: Int64 = 300_000

  /// Two devices with a clock rule and a high limit each.
  static func builder(delay: Int64 = 0, allowance: Int64 = 0) -> PlanBuilder {
    var builder = PlanBuilder(devices: 2, channelsPerDevice: 1)
    builder.plan.devices[0].clockToleranceMilliseconds = tolerance
    builder.plan.devices[0].reorderAllowanceMilliseconds = allowance
    for channel in UInt32(0)..<2 {
      builder.add("clock", .clockFault, channel: channel)
      builder.add("high", .high(10), channel: channel, onDelay: delay)
    }
    return builder
  }

  /// Reads both devices once a second; the first shows `shown`, and its value is 20 from `high` on.
  static func run(
    _ bench: inout Bench,
    seconds: ClosedRange<Int64>,
    high: Int64 = .max,
    shown: (Int64) -> Int64 = { $0 }
  ) {
    for second in seconds {
      let received = second * 1000
      let time = shown(received)
      bench.read(
        time,
        second >= high ? 20 : Double(second % 7) * 0.5,
        channel: 0,
        lag: received - time
      )
      bench.read(received, Double(second % 5) * 0.5, channel: 1)
    }
  }

  /// Which of the two devices are in quarantine.
  static func quarantine(_ bench: borrowing Bench) -> [Bool?] {
    [
      bench.engine.clock(ofDevice: 0)?.isQuarantined,
      bench.engine.clock(ofDevice: 1)?.isQuarantined,
    ]
  }

  /// Sends a message of readings of the first channel: times and values.
  static func send(
    _ readings: [(Int64, Double)],
    at received: Int64,
    _ bench: inout Bench
  ) {
    var batch = ReadingBatch(received: at(received), baseSequence: bench.sequence)
    for (time, value) in readings {
      batch.append(
        Reading(channel: ChannelIndex(rawValue: 0), time: at(time), value: value),
        sequence: bench.sequence
      )
    }
    bench.sequence += 1
    bench.engine.apply(batch, into: &bench.out)
  }
}
