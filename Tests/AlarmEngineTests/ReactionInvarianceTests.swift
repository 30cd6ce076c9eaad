import AlarmEngine
import Telemetry
import Testing

/// Suppression, escalation, cascades, wrong clocks, held and late readings: how inputs are cut into batches, how often
/// time is told, where a snapshot lies and over how many shards the sites are spread changes no transition.
@Suite("Reactions under cuts and shards")
struct ReactionInvarianceTests {
  private static let sites: UInt32 = 3
  /// Two devices with two points each, and one that carries the site's cascades, sites interleaved.
  private static func channel(_ site: UInt32, _ device: UInt32, _ point: UInt32 = 0) -> UInt32 {
    device < 2 ? (device * 2 + point) * sites + site : 4 * sites + site
  }

  private static func bound(_ text: String, site: UInt32) throws -> BoundExpression {
    try BoundExpression(text) { name in
      switch name {
      case "running": SignalType(index: Int(channel(site, 1, 1)), kind: .quantity(.number))
      case "speed": SignalType(index: Int(channel(site, 0, 1)), kind: .quantity(.number))
      default: nil
      }
    }
  }

  private static func plan(_ random: inout SeededRandom) throws -> PlanBuilder {
    var builder = PlanBuilder()
    builder.plan = EnginePlan()
    for device in UInt32(0)..<3 {
      for site in 0..<sites {
        builder.plan.devices.append(
          DevicePlan(
            id: StableID(name: "\(site)/d\(device)"),
            clockToleranceMilliseconds: 20_000,
            reorderAllowanceMilliseconds: device == 0 && site != 1 ? 3000 : 0
          )
        )
      }
    }
    for row in 0..<(4 * sites + sites) {
      let device = row < 4 * sites ? row / (2 * sites) : 2
      builder.plan.channels.append(
        ChannelPlan(
          id: StableID(name: "\(row % sites)/c\(row / sites)"),
          device: device * sites + row % sites,
          window: device == 0
            ? ChannelWindow(lengthMilliseconds: 60_000, capacity: 32, isBoundedByCount: true) : nil
        )
      )
    }
    for site in 0..<sites { try addRules(of: site, to: &builder, &random) }
    return builder
  }

  private static func addRules(
    of site: UInt32,
    to builder: inout PlanBuilder,
    _ random: inout SeededRandom
  ) throws {
    let delays: [Int64] = [0, 0, 700, 2500]
    var points: [[CascadeParameters.Member]] = []
    for (device, point) in [(0, 0), (0, 1), (1, 0), (1, 1)] as [(UInt32, UInt32)] {
      let row = channel(site, device, point)
      points.append(
        AlarmPriority.allCases.map { grade in
          let setpoint = Double(grade.rawValue) * 3
          let rule = builder.add(
            "\(grade)",
            .high(setpoint, restore: setpoint - 1),
            channel: row,
            priority: grade,
            onDelay: random.pick(delays),
            offDelay: random.pick(delays),
            reAlarm: grade == .yellow ? 9000 : 0
          )
          return CascadeParameters.Member(rule: rule, grade: grade)
        }
      )
      builder.add("stale", .stale(afterMilliseconds: 6000), channel: row)
      builder.add("clock", .clockFault, channel: row)
      let first = builder.plan.rules.count - 6
      builder.plan.rules[first].suppression = try bound("running > 7", site: site)
      builder.plan.rules[first + 1].suppression = try bound("speed < 4 for 2 s", site: site)
      builder.plan.rules[first].escalation = .init(afterMilliseconds: 4000, priority: .orange)
    }
    let cascade = try CountCascade(bluePerYellow: 2, yellowPerOrange: 2, orangePerRed: 2)
    for grade in [AlarmPriority.yellow, .orange, .red] {
      builder.add(
        "cascade-\(grade)",
        .cascade(CascadeParameters(cascade: cascade, grade: grade, points: points)),
        channel: channel(site, 2),
        priority: grade,
        onDelay: random.pick(delays),
        offDelay: random.pick(delays)
      )
    }
  }

  private static func stream(seed: UInt64, readings: Int) throws -> Stream {
    var random = SeededRandom(seed: seed)
    var stream = Stream(seed: seed, readings: 0)
    stream.builder = try plan(&random)
    let channels = Int(4 * sites)
    var received = epochOfTests
    var value = [Double](repeating: 4, count: channels)
    var newest = [Int64](repeating: 0, count: channels)
    var skew = [Int64](repeating: 0, count: Int(2 * sites))
    var sequence: UInt64 = 1
    for _ in 0..<readings {
      if random.chance(2) { received += random.int(0...300) }
      if random.chance(400) { received += random.int(0...12_000) }
      sequence += 1
      if random.chance(50) {
        let acts: [Command.Act] = [
          .acknowledge, .acknowledge, .acknowledge, .shelveOnce, .unshelve, .suppress, .unsuppress,
          .removeFromService, .returnToService,
          .shelve(until: Timestamp(milliseconds: received + random.int(-5...8000))),
        ]
        let rule = UInt32(random.int(0...Int64(stream.builder.plan.rules.count - 1)))
        stream.inputs.append(
          (
            received,
            .command(
              Command(
                act: random.pick(acts),
                rule: RuleIndex(rawValue: rule),
                onset: nil,
                sequence: sequence
              )
            )
          )
        )
        continue
      }
      let row = Int(random.int(0...Int64(channels - 1)))
      let device = row / (2 * Int(sites)) * Int(sites) + row % Int(sites)
      // Clocks jump: by what is followed, by what is a fault, and back to the right time.
      if random.chance(200) {
        skew[device] = random.pick([0, 0, 500, -4000, 40_000, -60_000])
      }
      let isShuffled = device < Int(sites)
      let transport = random.int(0...(isShuffled && random.chance(3) ? 4000 : 60))
      let time = max(received - transport + skew[device], isShuffled ? .min : newest[row])
      newest[row] = max(newest[row], time)
      value[row] += Double(random.int(-2...2))
      if value[row] < 0 || value[row] > 14 || random.chance(30) {
        value[row] = Double(random.int(0...13))
      }
      let reading = Reading(
        channel: ChannelIndex(rawValue: UInt32(row)),
        time: Timestamp(milliseconds: time),
        value: value[row],
        status: random.chance(60) ? .sensorFault : .normal
      )
      stream.inputs.append((received, .reading(reading, sequence: sequence)))
    }
    return stream
  }

  private static let seeds: ClosedRange<UInt64> = 1...(isSoak ? 40 : 2)

  @Test("cuts, ticks, snapshots and shards change nothing", arguments: seeds)
  func invariance(seed: UInt64) throws {
    let stream = try Self.stream(seed: seed, readings: isSoak ? 10_000 : 3000)
    let plan = stream.builder.plan
    let one = try ShardingTests.run(stream, try Engine(plan: plan))
    // Nothing of it all is missing, or the test would prove nothing.
    let first = stream.builder.plan.rules.firstIndex {
      if case .cascade = $0.detector { true } else { false }
    }
    let cascade = UInt32(try #require(first))
    for kind in [TransitionKind.raised, .suppressed, .unsuppressed, .priorityChanged, .revised] {
      #expect(one.transitions.contains { $0.kind == kind }, "SEED=\(seed) no \(kind)")
    }
    #expect(one.transitions.contains { $0.rule.rawValue == cascade }, "SEED=\(seed) no cascade")
    #expect(one.counters.clockFaults > 0 && one.counters.reordered > 500, "SEED=\(seed)")

    let plain = try InvarianceTests.run(stream)
    for disturbance in [
      .singleBatches, .ticks, .snapshots, [.singleBatches, .ticks, .snapshots, .samePlan],
    ] as [InvarianceTests.Disturbance] {
      let disturbed = try InvarianceTests.run(stream, disturbance, seed: seed)
      let difference = zip(plain.transitions, disturbed.transitions).first { $0 != $1 }
      #expect(
        plain.transitions == disturbed.transitions,
        "SEED=\(seed) disturbance=\(disturbance.rawValue) first \(String(describing: difference))"
      )
      #expect(plain.counters == disturbed.counters, "SEED=\(seed) \(disturbance.rawValue)")
    }
    for count in [1, 2, 3] {
      let several = try ShardingTests.run(stream, try ShardedEngine(plan: plan, shards: count))
      ShardingTests.expectEqual(one, several, "SEED=\(seed) shards=\(count)")
      var next = count
      let disturbed = try ShardingTests.run(
        stream,
        try ShardedEngine(plan: plan, shards: count),
        cuts: seed &+ UInt64(count)
      ) { bytes in
        next = next % 4 + 1
        return try ShardedEngine(plan: plan, restoring: bytes, shards: next)
      }
      ShardingTests.expectEqual(one, disturbed, "SEED=\(seed) shards=\(count) disturbed")
    }
  }
}
