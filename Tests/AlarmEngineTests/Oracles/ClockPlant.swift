import AlarmEngine
import Telemetry

/// Five random devices, and the batches that they send.
struct ClockPlant {
  /// What their rules and sources are like beside their clocks.
  enum Variety: CaseIterable {
    /// Rules have no delays, sources no allowance.
    case plain
    /// Rules have delays of up to five seconds.
    case delayed
    /// Besides, most sources have a reorder allowance.
    case shuffled
  }

  var random: DetectorRandom
  private(set) var builder = PlanBuilder(devices: 0)
  private(set) var devices: [ClockedDevice] = []
  /// What was sent last.
  private(set) var batch = ReadingBatch()
  private var sequence: UInt64 = 0

  init(seed: UInt64, _ variety: Variety = .plain) {
    random = DetectorRandom(seed: seed)
    // (A stream of its own, so that devices of one seed are the same whatever their rules.)
    var choices = DetectorRandom(seed: seed &+ 500_000)
    batch.reset(received: Timestamp(milliseconds: epochOfTests), baseSequence: 0)
    for row in 0..<5 {
      let first = UInt32(builder.plan.channels.count)
      let device = RandomDevice(
        &random,
        channels: first..<first + UInt32(1 + random.below(3)),
        allowance: variety == .shuffled ? [0, 500, 2000, 5000, 12_000][choices.below(5)] : 0
      )
      let delays = (0..<ClockedDevice.limits.count * device.channels.count).map { _ in
        variety == .plain
          ? ClockedDevice.Delays()
          : ClockedDevice.Delays(on: Self.delay(&choices), off: Self.delay(&choices))
      }
      devices.append(
        ClockedDevice(device, firstRule: builder.plan.rules.count, delays: delays)
      )
      plan(device, row: row, delays)
    }
  }

  private static func delay(_ random: inout DetectorRandom) -> Int64 {
    random.below(3) == 0 ? 0 : Int64(random.below(5001))
  }

  private mutating func plan(_ device: RandomDevice, row: Int, _ delays: [ClockedDevice.Delays]) {
    builder.plan.devices.append(
      DevicePlan(
        id: StableID(name: "d\(row)"),
        clockToleranceMilliseconds: device.tolerance ?? DevicePlan.unguarded,
        reorderAllowanceMilliseconds: device.allowance
      )
    )
    var rest = delays[...]
    for channel in device.channels {
      builder.plan.channels.append(
        ChannelPlan(id: StableID(name: "d\(row)/c\(channel)"), device: UInt32(row))
      )
      if channel == device.channels.lowerBound {
        builder.add("clock", .clockFault, channel: channel)
      }
      for limit in ClockedDevice.limits {
        let delay = rest.removeFirst()
        builder.add(
          "high \(limit)",
          .high(limit),
          channel: channel,
          onDelay: delay.on,
          offDelay: delay.off
        )
      }
    }
  }

  /// Late readings and duplicates so far, as defined.
  var late: UInt64 { devices.reduce(0) { $0 + $1.late } }
  var duplicates: UInt64 { devices.reduce(0) { $0 + $1.duplicates } }
  /// How often a time base has changed while a delay ran.
  var spanned: Int { devices.reduce(0) { $0 + $1.spanned } }

  /// Has the next messages of all devices sent, as one batch; whose they are.
  mutating func send() -> Set<Int> {
    var senders: Set<Int> = []
    // Sometimes several messages are received at one time.
    for message in 0..<(random.below(10) == 0 ? 2 : 1) {
      let row = devices.indices.min { devices[$0].device.due < devices[$1].device.due } ?? 0
      if message == 0 {
        // What a backlog has left overdue is told at a later moment.
        let earliest = batch.received.milliseconds + (batch.isBacklog ? 1 : 0)
        let received = max(earliest, devices[row].device.due)
        batch.reset(received: Timestamp(milliseconds: received), baseSequence: sequence)
      }
      let next = devices[row].device.send(at: batch.received.milliseconds, &random)
      sequence += 1
      senders.insert(row)
      // (A batch waited at the broker as a whole, or not.)
      if message == 0 { batch.isBacklog = next.isBacklog }
      for reading in next.readings { batch.append(reading, sequence: sequence) }
    }
    return senders
  }

  /// What is due between the batch before and this one, by definition.
  mutating func pass(from now: Int64) -> [ClockedStep] {
    var steps: [ClockedStep] = []
    guard !batch.isBacklog else { return steps }
    for row in devices.indices {
      steps += devices[row].pass(from: now, to: batch.received.milliseconds)
    }
    return steps
  }

  /// What the readings of the batch make the rules do as they come, by definition.
  mutating func take() -> [ClockedStep] {
    var steps: [ClockedStep] = []
    for index in 0..<batch.count {
      let rest = (index + 1..<batch.count).prefix {
        batch.sequence(at: $0) == batch.sequence(at: index)
      }
      let row = devices.firstIndex { $0.device.channels.contains(batch.channel[index]) } ?? 0
      steps += devices[row].take(
        batch.reading(at: index),
        before: rest.map { batch.reading(at: $0) },
        sequence: batch.sequence(at: index),
        received: batch.received.milliseconds,
        isBacklog: batch.isBacklog
      )
    }
    return steps
  }
}
