import AlarmEngine
import Telemetry

/// A reading of a random stream, and what is to become of it.
struct StreamReading {
  var reading: Reading
  /// It is older than its channel's newest, or historical: no rule of a channel without a window takes notice of it.
  var isIgnored = false

  var channel: Int { Int(reading.channel.rawValue) }
  var time: Int64 { reading.time.milliseconds }
  /// The value that rules judge; nil where the status, or a value that is no number, leaves none.
  var usable: Double? {
    reading.status.use == .evaluate && reading.value.isFinite ? reading.value : nil
  }
}

/// One channel's values: noise about a level that steps and climbs, rests, and now and then what nothing measures.
private struct RandomSignal {
  private var level = 20.0
  private var value = 20.0
  private var resting = 0
  private var climbing = 0

  mutating func next(_ random: inout DetectorRandom, extremes: [Double]) -> Double {
    if random.below(400) == 0 { level = 20 + 8 * random.normal() }
    if random.below(300) == 0 { resting = random.below(60) }
    if random.below(500) == 0 { climbing = random.below(40) }
    if resting > 0 {
      resting -= 1
    } else {
      if climbing > 0 {
        climbing -= 1
        level += 0.4
      }
      // Coarse enough for ties.
      value = ((level + random.normal()) * 8).rounded() / 8
    }
    guard !extremes.isEmpty, random.below(1500) == 0 else { return value }
    return extremes[random.below(extremes.count)] * (random.below(2) == 0 ? 1 : -1)
  }

  var isClimbing: Bool { climbing > 0 }

  /// What a gap at the rise leaves behind.
  mutating func fall() {
    climbing = 0
    level = 14
  }
}

/// Everything that a line sends: gaps, bad status, several readings of one moment, late and historical ones.
struct OracleStream {
  var channels = 1
  /// Readings are 10 ms to twice this apart.
  var step: Int64 = 1000
  var extremes: [Double] = []
  /// Moments of a channel may have several readings.
  var hasTies = true

  private static let unusable = SourceStatus.allCases.filter { $0.use != .evaluate }
  private static let marked = SourceStatus.allCases.filter { $0.use == .evaluate }

  func readings(_ random: inout DetectorRandom, count: Int) -> [StreamReading] {
    var signals = [RandomSignal](repeating: RandomSignal(), count: channels)
    var newest = [Int64?](repeating: nil, count: channels)
    var unusable = [(left: Int, status: SourceStatus)](repeating: (0, .normal), count: channels)
    var last = [Double](repeating: .nan, count: channels)
    var time = epochOfTests
    var readings: [StreamReading] = []
    readings.reserveCapacity(count)
    for _ in 0..<count {
      time += distance(&random)
      let channel = random.below(channels)
      if signals[channel].isClimbing, random.below(20) == 0 {
        time += 20 * step
        signals[channel].fall()
      }
      var item = StreamReading(
        reading: Reading(
          channel: ChannelIndex(rawValue: UInt32(channel)),
          time: Timestamp(milliseconds: time),
          value: signals[channel].next(&random, extremes: extremes)
        )
      )
      if random.below(80) == 0 {
        unusable[channel] = (1 + random.below(6), Self.unusable[random.below(Self.unusable.count)])
      }
      if let before = newest[channel], random.below(60) == 0 {
        item.isIgnored = true
        if random.below(3) == 0 { item.reading.flags = .historical }
        item.reading.time = Timestamp(milliseconds: before - 1 - Int64(random.below(30_000)))
      } else if hasTies, let before = newest[channel], random.below(60) == 0,
        !last[channel].isNaN
      {
        // Another reading of the newest moment, which says something else.
        item.reading.time = Timestamp(milliseconds: before)
        item.reading.value = last[channel] + 0.5
        last[channel] = item.reading.value
      } else {
        if unusable[channel].left > 0 {
          unusable[channel].left -= 1
          item.reading.status = unusable[channel].status
        } else if random.below(200) == 0 {
          item.reading.value = [.nan, .infinity, -.infinity][random.below(3)]
        } else if random.below(100) == 0 {
          item.reading.status = Self.marked[random.below(Self.marked.count)]
        }
        newest[channel] = time
        // (Beyond a certain size a half more is no other value.)
        last[channel] = item.usable.flatMap { abs($0) < 1e9 ? $0 : nil } ?? .nan
      }
      readings.append(item)
    }
    return readings
  }

  private func distance(_ random: inout DetectorRandom) -> Int64 {
    if random.below(25_000) == 0 { return 30 * 86_400_000 }
    if random.below(200) == 0 { return Int64(random.below(Int(60 * step))) + 10 }
    return Int64(random.below(Int(2 * step))) + 10
  }
}

/// A raise or a return.
struct AlarmChange: Hashable {
  var isRaised: Bool
  var time: Int64
  var onset: Int64
}

/// How readings come to the engine.
enum Packing: CaseIterable {
  /// Each in a message of its own, with ticks in between; so that the engine's time and the device's go together.
  case single
  /// Up to 20 in a message that a lost link has held up.
  case backlog
  /// Up to 20 in a message: what a delay or a silence had left behind is then decided without them, so there must be none.
  case packed
}

/// One seed's rules and readings, for the engine and for the definitions.
struct OracleTrial {
  let packing: Packing
  /// One device, whose clock nobody guards.
  var builder: PlanBuilder
  private(set) var readings: [StreamReading] = []
  /// When both are looked at last.
  private(set) var end = epochOfTests

  init(seed: UInt64, channels: Int = 1) {
    packing = Packing.allCases[Int(seed % 3)]
    builder = PlanBuilder(channelsPerDevice: channels)
    builder.plan.devices[0].clockToleranceMilliseconds = DevicePlan.unguarded
  }

  /// Takes the readings; after the newest there is rest, in milliseconds, in which delays run out.
  mutating func take(_ readings: [StreamReading], rest: Int64) {
    self.readings = readings
    end = readings.reduce(epochOfTests) { max($0, $1.time) } + rest
  }

  /// By how much receive time is behind the device's.
  static func lag(_ random: inout DetectorRandom) -> Int64 {
    [0, 40, 1500, -500][random.below(4)]
  }

  /// Hands the readings to an engine; what each rule's alarm did.
  func engineChanges(
    lag: Int64,
    _ random: inout DetectorRandom
  ) throws -> [[AlarmChange]] {
    var engine = try Engine(plan: builder.plan)
    var out: [Transition] = []
    var changes = [[AlarmChange]](repeating: [], count: builder.plan.rules.count)
    func collect() {
      for transition in out where transition.kind == .raised || transition.kind == .returned {
        changes[Int(transition.rule.rawValue)].append(
          AlarmChange(
            isRaised: transition.kind == .raised,
            time: transition.time.milliseconds,
            onset: transition.onset.milliseconds
          )
        )
      }
      out.removeAll(keepingCapacity: true)
    }
    var batch = ReadingBatch()
    var index = 0
    var clock = epochOfTests
    while index < readings.count {
      // The first message has one reading, which tells the usual lag.
      let limit = index == 0 || packing == .single ? 1 : 1 + random.below(20)
      var next = index
      var sent = clock
      while next < readings.count, next - index < limit {
        sent = max(sent, readings[next].time + lag)
        next += 1
      }
      if packing == .single, sent > clock, random.below(4) == 0 {
        let tick = clock + Int64(random.below(Int(sent - clock) + 1))
        engine.advance(to: Timestamp(milliseconds: tick), into: &out)
      }
      batch.reset(received: Timestamp(milliseconds: sent), baseSequence: UInt64(index))
      batch.isBacklog = packing == .backlog
      for place in index..<next {
        batch.append(readings[place].reading, sequence: UInt64(place))
      }
      engine.apply(batch, into: &out)
      collect()
      clock = sent
      index = next
    }
    engine.advance(to: Timestamp(milliseconds: end + lag), into: &out)
    collect()
    return changes
  }
}
