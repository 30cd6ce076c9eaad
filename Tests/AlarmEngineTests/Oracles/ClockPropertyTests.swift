import AlarmEngine
import Telemetry
import Testing

/// What the clock guard promises of any stream, without saying how.
@Suite("What the clock guard promises")
struct ClockPropertyTests {
  static let seeds: ClosedRange<UInt64> = 1...(isSoak ? 400 : 40)

  /// A device with two channels, each with a limit of 10, and a rule on its clock.
  private static func builder(tolerance: Int64) -> PlanBuilder {
    var builder = PlanBuilder(devices: 1, channelsPerDevice: 2)
    builder.plan.devices[0].clockToleranceMilliseconds = tolerance
    for channel in UInt32(0)..<2 { builder.add("high", .high(10), channel: channel) }
    builder.add("clock", .clockFault)
    return builder
  }

  /// A clock that is wrong, but does not catch up as back-filled data do.
  private static func clock(
    at time: Int64,
    tolerance: Int64,
    _ random: inout DetectorRandom
  ) -> RandomClock {
    while true {
      let clock = RandomClock.wrong(at: time, tolerance: tolerance, &random)
      if case .drifting(_, let rate, _) = clock, rate > 0.1 { continue }
      return clock
    }
  }

  @Test("what lasts is judged within ten minutes, whatever its stamps", arguments: seeds)
  func neverBlind(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 2900)
    let tolerance: Int64 = [5000, 30_000, 300_000, 3_600_000][random.below(4)]
    var bench = try Bench(Self.builder(tolerance: tolerance))
    let period = [1000, 2000, 5000, 20_000][random.below(4)] as Int64
    let packed = [1, 1, 3][random.below(3)] as Int64
    // Ten minutes, and the readings that a blind channel takes to be found.
    let longest = 600_000 + 4 * packed * period
    var clocks = [RandomClock.ahead(0), .ahead(0)]
    var received = epochOfTests
    for phase in 0..<40 {
      let isHigh = phase % 2 == 0
      let start = received
      // Both channels' clock, or one's; and single stamps that are odd, or none.
      let clock = Self.clock(at: received, tolerance: tolerance, &random)
      if random.below(2) == 0 { clocks = [clock, clock] } else { clocks[0] = clock }
      let isOdd = random.below(2) == 0
      var judged: Int64?
      while received < start + longest {
        received += packed * period
        var batch = ReadingBatch(
          received: Timestamp(milliseconds: received),
          baseSequence: bench.sequence
        )
        for place in (0..<packed).reversed() {
          for channel in 0..<2 {
            var stamp = clocks[channel].shows(at: received - place * period, &random)
            if isOdd, random.below(60) == 0 {
              stamp = received + Int64(random.below(Int(2 * tolerance))) - tolerance
            }
            batch.append(
              Reading(
                channel: ChannelIndex(rawValue: UInt32(channel)),
                time: Timestamp(milliseconds: stamp),
                value: isHigh == (channel == 0) ? 20 : 1
              ),
              sequence: bench.sequence
            )
          }
        }
        bench.sequence += 1
        bench.engine.apply(batch, into: &bench.out)
        if judged == nil, bench.engine.isActive(RuleIndex(rawValue: 0)) == isHigh {
          judged = received
        }
      }
      let known = bench.engine.clock(ofDevice: 0)
      #expect(
        judged != nil,
        "SEED=\(seed) phase \(phase): \(clocks), every \(period) ms, \(String(describing: known))"
      )
      guard judged != nil else { return }
      bench.out = []
    }
  }

  @Test(
    "stamps that are right for a minute end a quarantine, and then none is late",
    arguments: seeds
  )
  func recovers(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 3900)
    let tolerance: Int64 = [30_000, 300_000, 3_600_000][random.below(3)]
    var bench = try Bench(Self.builder(tolerance: tolerance))
    let period = [500, 1000, 5000][random.below(3)] as Int64
    let packed = [1, 1, 2][random.below(3)] as Int64
    let jitter = [1, 2000, 5000][random.below(3)]
    let wrong = [2 * tolerance, -2 * tolerance, 86_400_000, -86_400_000, -epochOfTests]
    var received = epochOfTests
    var sent: Int64 = 0
    for round in 0..<60 {
      let isRight = round % 2 == 1
      let offset = isRight ? 0 : wrong[random.below(wrong.count)]
      let start = received
      let late = bench.engine.counters.late
      let length = isRight ? 300_000 : 20_000 + Int64(random.below(600_000))
      while received < start + length {
        received = max(received, sent) + packed * period
        // A way on which nothing is overtaken: what is sent later comes later.
        let waited = Int64(random.below(jitter))
        sent = received
        received += waited
        var batch = ReadingBatch(
          received: Timestamp(milliseconds: received),
          baseSequence: bench.sequence
        )
        for place in (0..<packed).reversed() {
          batch.append(
            Reading(
              channel: ChannelIndex(rawValue: UInt32(random.below(2))),
              time: Timestamp(milliseconds: sent - place * period + offset),
              value: Double(random.below(20))
            ),
            sequence: bench.sequence
          )
        }
        bench.sequence += 1
        bench.engine.apply(batch, into: &bench.out)
        let clock = bench.engine.clock(ofDevice: 0)
        let isDue = received - start > 60_000 + 2 * (packed * period + Int64(jitter))
        if isRight, isDue, clock?.isQuarantined != false {
          Issue.record("SEED=\(seed) round \(round): in quarantine for \(received - start) ms")
          return
        }
      }
      if isRight { #expect(bench.engine.counters.late == late, "SEED=\(seed) round \(round)") }
      bench.out = []
    }
    #expect(bench.engine.counters.clockFaults >= 25, "SEED=\(seed): the stream tests nothing")
  }

  // MARK: What changes nothing

  /// The batches of a plant.
  private static func batches(
    _ start: ClockPlant,
    readings count: Int
  ) -> [ReadingBatch] {
    var plant = start
    var batches: [ReadingBatch] = []
    var readings = 0
    while readings < count {
      _ = plant.send()
      batches.append(plant.batch)
      readings += plant.batch.count
    }
    return batches
  }

  /// The same messages, each in a batch of its own.
  private static func cut(_ batches: [ReadingBatch]) -> [ReadingBatch] {
    var messages: [ReadingBatch] = []
    for batch in batches {
      for index in 0..<batch.count {
        let sequence = batch.sequence(at: index)
        if index == 0 || batch.sequence(at: index - 1) != sequence {
          var message = ReadingBatch(received: batch.received, baseSequence: sequence)
          message.isBacklog = batch.isBacklog
          messages.append(message)
        }
        messages[messages.count - 1].append(batch.reading(at: index), sequence: sequence)
      }
    }
    return messages
  }

  private struct Outcome {
    var transitions: [Transition]
    var counters: EngineCounters
  }

  /// What batches make of a core that goes on from a snapshot now and then, if `restore` says how.
  private static func run<C: ShardingTests.Core & ~Copyable>(
    _ batches: [ReadingBatch],
    _ core: consuming C,
    restore: (([UInt8]) throws -> C)? = nil
  ) throws -> Outcome {
    var core = core
    var out: [Transition] = []
    for (number, batch) in batches.enumerated() {
      core.apply(batch, into: &out)
      if let restore, number % 23 == 0 { core = try restore(core.snapshot()) }
    }
    let end = batches.last?.received.advanced(byMilliseconds: 3_600_000) ?? .distantPast
    core.advance(to: end, into: &out)
    return Outcome(transitions: out.map(\.comparable), counters: core.counters)
  }

  private static func expectSame(_ found: Outcome, _ plain: Outcome, _ note: String) {
    let difference = zip(plain.transitions, found.transitions).first { $0 != $1 }
    let isSame = plain.transitions == found.transitions
    #expect(isSame, "\(note): first \(String(describing: difference))")
    #expect(plain.counters == found.counters, "\(note)")
  }

  @Test(
    "how messages are batched and how many shards there are changes nothing",
    arguments: 1...6 as ClosedRange<UInt64>,
    [ClockPlant.Variety.delayed, .shuffled]
  )
  func boundaries(seed: UInt64, variety: ClockPlant.Variety) throws {
    let plant = ClockPlant(seed: seed &+ 6900, variety)
    let plan = plant.builder.plan
    let batches = Self.batches(plant, readings: 10_000)
    let messages = Self.cut(batches)
    let plain = try Self.run(batches, try Engine(plan: plan))
    #expect(plain.transitions.count > 100, "SEED=\(seed) \(variety): the stream tests nothing")
    let note = "SEED=\(seed) \(variety)"
    let cut = try Self.run(messages, try Engine(plan: plan))
    Self.expectSame(cut, plain, "\(note) cut")
    let sharded = try Self.run(messages, try ShardedEngine(plan: plan, shards: 3))
    Self.expectSame(sharded, plain, "\(note) shards")
  }

  @Test(
    "where a snapshot is taken changes nothing, whatever number of shards goes on from it",
    arguments: 1...6 as ClosedRange<UInt64>,
    [ClockPlant.Variety.delayed, .shuffled]
  )
  func snapshots(seed: UInt64, variety: ClockPlant.Variety) throws {
    let plant = ClockPlant(seed: seed &+ 7900, variety)
    let plan = plant.builder.plan
    let messages = Self.cut(Self.batches(plant, readings: 10_000))
    let plain = try Self.run(messages, try Engine(plan: plan))
    let note = "SEED=\(seed) \(variety)"
    let restored = try Self.run(messages, try Engine(plan: plan)) {
      try Engine(plan: plan, restoring: $0)
    }
    Self.expectSame(restored, plain, "\(note) one engine")
    var shards = 2
    let spread = try Self.run(messages, try ShardedEngine(plan: plan, shards: shards)) { bytes in
      shards = shards % 4 + 1
      return try ShardedEngine(plan: plan, restoring: bytes, shards: shards)
    }
    Self.expectSame(spread, plain, "\(note) shards")
  }
}
