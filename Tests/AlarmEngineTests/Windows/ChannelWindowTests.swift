import AlarmEngine
import Telemetry
import Testing

/// The window that the engine keeps beside every channel, against a recomputation of (t − length, t].
@Suite("Windows of channels")
struct ChannelWindowTests {
  static let seeds: ClosedRange<UInt64> = 1...24

  @Test("it says what a recomputation says, however readings are packed", arguments: seeds)
  func oracle(seed: UInt64) throws {
    var stream = WindowStream(seed: seed)
    var engine = try Engine(plan: stream.plan)
    for number in 0..<25_000 {
      let (batch, expected) = stream.next()
      if let fault = stream.difference(apply(batch, &engine), expected) {
        Issue.record("SEED=\(seed) batch \(number): \(fault)")
        return
      }
    }
    #expect(stream.readings > 80_000)
  }

  @Test("a restart at any point changes nothing", arguments: seeds.lowerBound...6)
  func restarts(seed: UInt64) throws {
    var stream = WindowStream(seed: seed)
    var engine = try Engine(plan: stream.plan)
    var other = try Engine(plan: stream.plan)
    for number in 0..<200 {
      let (batch, _) = stream.next()
      let (one, two) = (apply(batch, &engine), apply(batch, &other))
      #expect(stream.difference(one, two) == nil, "SEED=\(seed) batch \(number)")
      other = try Engine(plan: stream.plan, restoring: other.snapshot())
      #expect(engine.snapshot() == other.snapshot(), "SEED=\(seed) batch \(number)")
    }
  }

  @Test("a smaller window goes on with the newest of what the larger held", arguments: seeds)
  func smaller(seed: UInt64) throws {
    var stream = WindowStream(seed: seed, capacity: 64)
    var engine = try Engine(plan: stream.plan)
    for _ in 0..<300 { _ = apply(stream.next().batch, &engine) }
    stream.capacity = 16
    engine = try Engine(plan: stream.plan, restoring: engine.snapshot())
    for number in 0..<300 {
      let (batch, expected) = stream.next()
      if let fault = stream.difference(apply(batch, &engine), expected) {
        Issue.record("SEED=\(seed) batch \(number): \(fault)")
        return
      }
    }
  }

  private func apply(_ batch: ReadingBatch, _ engine: inout Engine) -> WindowTotals {
    var out: [Transition] = []
    var totals = WindowTotals()
    engine.apply(batch, into: &out, windows: &totals)
    return totals
  }
}

/// Readings of a few channels in batches of any size, and what their windows hold after each.
///
/// Values are eighths, so that sums of extremes are exact whatever their order; they repeat, so that an extreme is
/// often there twice. Now and then a channel does not move for longer than its window.
private struct WindowStream {
  var capacity: Int
  let length: Int64
  private(set) var readings: UInt64 = 0
  private var random: DetectorRandom
  private var time: Int64 = 0
  private var level = 0.0
  /// For how many readings to come a channel says what it has said.
  private var still: [Int]
  private var samples: [[(time: Int64, value: Double)]]

  init(seed: UInt64, capacity: Int? = nil) {
    random = DetectorRandom(seed: seed &* 1_000_003)
    length = [1000, 5000, 15_000, 60_000][Int(seed % 4)]
    self.capacity = capacity ?? (seed % 3 == 0 ? 16 : 64)
    samples = Array(repeating: [], count: 3)
    still = Array(repeating: 0, count: 3)
  }

  var plan: EnginePlan {
    var builder = PlanBuilder(
      channelsPerDevice: samples.count,
      window: ChannelWindow(lengthMilliseconds: length, capacity: capacity)
    )
    for channel in 0..<UInt32(samples.count) {
      builder.add("high", .high(20, restore: 10), channel: channel, onDelay: 500)
      builder.add("rate", .successiveChange(perSecond: 40), channel: channel)
      builder.add("ewma", .ewma(alpha: 0.1, deviations: 3, warmUp: 10), channel: channel)
    }
    return builder.plan
  }

  mutating func next() -> (batch: ReadingBatch, expected: WindowTotals) {
    var rows: [(channel: Int, time: Int64, value: Double)] = []
    for _ in 0..<(1 + random.below(6)) {
      let step =
        switch random.below(60) {
        case 0: 3 * length
        case 1: length
        case 2..<30: length / 60 + 1
        default: Int64(1 + random.below(Int(length) / 16))
        }
      time += step
      level += (random.normal() * 4).rounded() / 8
      var value = level + Double(random.below(5)) / 4
      if random.below(40) == 0 { value += Double(random.below(2000) - 1000) }
      let channel = random.below(samples.count)
      if still[channel] > 0, let last = samples[channel].last {
        still[channel] -= 1
        // What ends such a time is an extreme, or is not.
        if still[channel] > 0 { value = last.value }
      } else if random.below(200) == 0 {
        still[channel] = 20 + random.below(100)
      }
      rows.append((channel, time, value))
    }
    var batch = ReadingBatch(received: at(time), baseSequence: readings)
    var expected = WindowTotals()
    for row in rows {
      batch.append(
        Reading(
          channel: ChannelIndex(rawValue: UInt32(row.channel)),
          time: at(row.time),
          value: row.value
        ),
        sequence: readings
      )
      readings += 1
      samples[row.channel].append((row.time, row.value))
      samples[row.channel].removeAll { $0.time <= row.time - length }
      samples[row.channel] = samples[row.channel].suffix(capacity)
      add(samples[row.channel].map(\.value), to: &expected)
    }
    return (batch, expected)
  }

  private func add(_ values: [Double], to totals: inout WindowTotals) {
    let mean = values.reduce(0, +) / Double(values.count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    totals.count += UInt64(values.count)
    totals.mean += mean
    totals.deviation += values.count > 1 ? (squares / Double(values.count - 1)).squareRoot() : 0
    totals.minimum += values.min() ?? 0
    totals.maximum += values.max() ?? 0
    totals.last += values.last ?? 0
  }

  /// What is wrong with totals; nil for nothing.
  func difference(_ found: WindowTotals, _ expected: WindowTotals) -> String? {
    if found.count != expected.count { return "count \(found.count), not \(expected.count)" }
    if found.minimum != expected.minimum {
      return "minimum \(found.minimum), not \(expected.minimum)"
    }
    if found.maximum != expected.maximum {
      return "maximum \(found.maximum), not \(expected.maximum)"
    }
    if found.last != expected.last { return "last \(found.last), not \(expected.last)" }
    let size = max(abs(expected.maximum), abs(expected.minimum), 1)
    if abs(found.mean - expected.mean) > 1e-9 * size {
      return "mean \(found.mean), not \(expected.mean)"
    }
    if abs(found.deviation - expected.deviation) > 1e-6 * size {
      return "deviation \(found.deviation), not \(expected.deviation)"
    }
    return nil
  }
}
