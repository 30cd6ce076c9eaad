import AlarmEngine
import Telemetry

/// SplitMix64: a seed is a complete report.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    // (Not times the step: all seeds would then have one stream, each a draw further on than the one before.)
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }

  mutating func chance(_ oneIn: UInt64) -> Bool { next() % oneIn == 0 }

  mutating func int(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(next() % UInt64(range.upperBound - range.lowerBound + 1))
  }

  mutating func pick<T>(_ elements: [T]) -> T { elements[Int(next() % UInt64(elements.count))] }
}

/// One thing handed to an engine.
enum Input {
  case reading(Reading, sequence: UInt64)
  case command(Command)
}

/// Inputs with their receive times, which never go back.
struct Stream {
  var builder: PlanBuilder
  var inputs: [(received: Int64, input: Input)] = []
}

extension Stream {
  /// A small plant with every kind of rule and everything that goes wrong on a line.
  init(seed: UInt64, readings: Int) {
    var random = SeededRandom(seed: seed)
    builder = PlanBuilder(
      devices: 3,
      channelsPerDevice: 2,
      window: ChannelWindow(lengthMilliseconds: 5000, capacity: 16)
    )
    // The third device's clock is nobody's business.
    for device in 0..<2 { builder.plan.devices[device].clockToleranceMilliseconds = 30_000 }
    for channel in UInt32(0)..<6 {
      let delays: [Int64] = [0, 0, 500, 1000, 3000]
      builder.add(
        "hihi",
        .high(13, restore: 12),
        channel: channel,
        priority: .red,
        onDelay: random.pick(delays),
        offDelay: random.pick(delays),
        latching: channel == 1,
        reAlarm: channel == 2 ? 7000 : 0
      )
      builder.add(
        "hi",
        .high(11, restore: 10),
        channel: channel,
        onDelay: random.pick(delays),
        offDelay: random.pick(delays),
        latching: channel == 3
      )
      builder.add("lo", .low(5, restore: 5, orEqual: channel % 2 == 0), channel: channel)
      builder.add("range", .physicalRange(low: 1, high: 15), channel: channel, offDelay: 500)
      builder.add("rate", .successiveChange(perSecond: 6), channel: channel, onDelay: 500)
      builder.add("ewma", .ewma(alpha: 0.1, deviations: 2, warmUp: 10), channel: channel)
      builder.add(
        "stale",
        .stale(afterMilliseconds: channel < 3 ? 4000 : 2500),
        channel: channel,
        offDelay: channel == 0 ? 1000 : 0
      )
      builder.add("staler", .stale(afterMilliseconds: 6000), channel: channel, onDelay: 500)
    }
    fill(&random, readings)
  }

  private mutating func fill(_ random: inout SeededRandom, _ readings: Int) {
    var received = epochOfTests
    var eventTime = [Int64](repeating: epochOfTests, count: 6)
    var value = [Double](repeating: 8, count: 6)
    var skew: [Int64] = [0, 700, -300]
    var sequence: UInt64 = 1
    for _ in 0..<readings {
      if random.chance(2) { received += random.int(0...400) }
      if random.chance(300) { received += random.int(0...9000) }
      if random.chance(500) { skew[Int(random.int(0...2))] += random.int(-200...200) }
      sequence += 1
      if random.chance(40) {
        inputs.append((received, .command(command(&random, received, sequence))))
        continue
      }
      let channel = Int(random.int(0...5))
      let ideal = received - skew[channel / 2] - random.int(0...150)
      var time = max(ideal, eventTime[channel])
      if random.chance(30) { time = eventTime[channel] - random.int(0...2000) }
      eventTime[channel] = max(eventTime[channel], time)
      if random.chance(200) { time = received + random.int(500...50_000) }
      value[channel] += Double(random.int(-2...2)) * 0.5
      if value[channel] < 3 || value[channel] > 14 { value[channel] = 8 }
      if random.chance(40) { value[channel] = Double(random.int(0...16)) }
      let status: SourceStatus = random.chance(25) ? random.pick(SourceStatus.allCases) : .normal
      let reading = Reading(
        channel: ChannelIndex(rawValue: random.chance(400) ? 77 : UInt32(channel)),
        time: Timestamp(milliseconds: random.chance(900) ? .max : time),
        value: random.chance(200) ? random.pick([.nan, .infinity, -.infinity]) : value[channel],
        status: status,
        flags: random.chance(60) ? .historical : []
      )
      inputs.append((received, .reading(reading, sequence: sequence)))
    }
  }

  private func command(
    _ random: inout SeededRandom,
    _ received: Int64,
    _ sequence: UInt64
  ) -> Command {
    let acts: [Command.Act] = [
      .acknowledge, .acknowledge, .acknowledge, .reset, .shelveOnce, .unshelve, .suppress,
      .unsuppress, .removeFromService, .returnToService,
      .shelve(until: Timestamp(milliseconds: received + random.int(-5...8000))),
    ]
    return Command(
      act: random.pick(acts),
      rule: RuleIndex(rawValue: UInt32(random.int(0...Int64(builder.plan.rules.count)))),
      onset: nil,
      sequence: sequence
    )
  }

  /// The moment after the last input by which everything has run out.
  var end: Int64 { (inputs.last?.received ?? epochOfTests) + 20_000 }
}

extension Transition {
  /// The transition with NaN made comparable.
  var comparable: Transition {
    var copy = self
    if copy.value.isNaN { copy.value = -9999 }
    if copy.limit.isNaN { copy.limit = -9999 }
    return copy
  }
}
