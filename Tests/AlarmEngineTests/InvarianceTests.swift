import AlarmEngine
import Telemetry
import Testing

/// What must not change a transition: how inputs are cut into batches, how often time is told, where a
/// snapshot is taken, whether an equal plan is put in force.
@Suite("Invariance")
struct InvarianceTests {
  /// What is done between inputs.
  struct Disturbance: OptionSet {
    var rawValue: Int
    static let singleBatches = Disturbance(rawValue: 1)
    static let ticks = Disturbance(rawValue: 2)
    static let snapshots = Disturbance(rawValue: 4)
    static let samePlan = Disturbance(rawValue: 8)
  }

  /// Feeds a stream; readings of one receive time go in one batch unless told otherwise.
  static func run(
    _ stream: Stream,
    _ disturbance: Disturbance = [],
    seed: UInt64 = 1
  ) throws -> (transitions: [Transition], counters: EngineCounters, final: [UInt8]) {
    var random = SeededRandom(seed: seed &+ 77)
    var engine = try Engine(plan: stream.builder.plan)
    var out: [Transition] = []
    var batch = ReadingBatch()
    var previous = stream.inputs.first?.received ?? 0
    func flush(_ engine: inout Engine, _ out: inout [Transition]) {
      if !batch.isEmpty { engine.apply(batch, into: &out) }
      batch.reset(received: .distantPast, baseSequence: 0)
    }
    for (received, input) in stream.inputs {
      if received != previous || disturbance.contains(.singleBatches) { flush(&engine, &out) }
      if disturbance.contains(.ticks) && random.chance(3) {
        flush(&engine, &out)
        while random.chance(2) && previous < received {
          previous += 1 + Int64(random.next() % UInt64(received - previous))
          engine.advance(to: Timestamp(milliseconds: previous), into: &out)
        }
      }
      if disturbance.contains(.snapshots) && random.chance(50) {
        flush(&engine, &out)
        engine = try Engine(plan: stream.builder.plan, restoring: engine.snapshot())
      }
      if disturbance.contains(.samePlan) && random.chance(50) {
        flush(&engine, &out)
        try engine.replacePlan(
          stream.builder.plan,
          at: Timestamp(milliseconds: previous),
          into: &out
        )
      }
      previous = received
      switch input {
      case .reading(let reading, let sequence):
        if batch.isEmpty {
          batch.reset(received: Timestamp(milliseconds: received), baseSequence: sequence)
        }
        batch.append(reading, sequence: sequence)
      case .command(let command):
        flush(&engine, &out)
        _ = engine.perform(command, at: Timestamp(milliseconds: received), into: &out)
      }
    }
    flush(&engine, &out)
    engine.advance(to: Timestamp(milliseconds: stream.end), into: &out)
    return (out.map(\.comparable), engine.counters, engine.snapshot())
  }

  static let seeds: ClosedRange<UInt64> = 1...20

  @Test("batch boundaries, ticks, snapshots and an equal plan change nothing", arguments: seeds)
  func disturbances(seed: UInt64) throws {
    let stream = Stream(seed: seed, readings: 20_000)
    let plain = try Self.run(stream)
    #expect(plain.transitions.count > 500, "SEED=\(seed)")
    let disturbances: [Disturbance] = [
      .singleBatches, .ticks, .snapshots, .samePlan,
      [.singleBatches, .ticks, .snapshots, .samePlan],
    ]
    for disturbance in disturbances {
      let disturbed = try Self.run(stream, disturbance, seed: seed)
      let difference = zip(plain.transitions, disturbed.transitions).first { $0 != $1 }
      #expect(
        plain.transitions == disturbed.transitions,
        "SEED=\(seed) disturbance=\(disturbance.rawValue) first \(String(describing: difference))"
      )
      #expect(plain.counters == disturbed.counters, "SEED=\(seed) \(disturbance.rawValue)")
    }
  }

  @Test(
    "a snapshot in a backlog changes no time of what the backlog has passed by, which is told as of its end",
    arguments: [0, 1000] as [Int64]
  )
  func snapshotInBacklog(allowance: Int64) throws {
    var builder = PlanBuilder()
    builder.plan.devices[0].reorderAllowanceMilliseconds = allowance
    let rule = builder.add("high", .high(5), onDelay: 5000, reAlarm: 20_000)
    var runs: [[Transition]] = []
    for isRestored in [false, true] {
      var bench = try Bench(builder)
      bench.read(0, 6)
      bench.act(.shelve(until: at(10_000)), rule, at: 1000)
      bench.readBacklog(at: 50_000, [(2000, 6)])
      bench.readBacklog(at: 55_000)
      if isRestored {
        try bench.restart(under: builder)
      }
      bench.tick(60_000)
      runs.append(bench.out.map(\.comparable))
    }
    #expect(runs[0] == runs[1])
    #expect(runs[0].contains { $0.kind == .unshelved && $0.time == at(10_000) })
    let overdue = runs[0].filter { $0.kind != .shelved }
    #expect(overdue.allSatisfy { $0.received == at(55_000) })
  }

  @Test(
    "a delay that a backlog has passed by is told as of its end, whatever a former one has armed",
    arguments: [false, true]
  )
  func overdueDelay(hasFormer: Bool) throws {
    var builder = PlanBuilder()
    builder.add("high", .high(5), onDelay: 5000)
    var bench = try Bench(builder)
    bench.read(0, hasFormer ? 6 : 1)
    bench.read(1000, 1)
    bench.readBacklog(at: 60_000, [(4000, 6)])
    bench.tick(61_000)
    #expect(bench.out.map(\.time) == [at(9000)])
    #expect(bench.out.map(\.received) == [at(60_000)])
  }

  @Test("after a backlog an alarm is annunciated again once, not for every time that has passed")
  func reAlarmAfterBacklog() throws {
    var builder = PlanBuilder()
    builder.add("high", .high(5), reAlarm: 1000)
    var bench = try Bench(builder)
    bench.read(0, 6)
    bench.readBacklog(at: 60_000)
    bench.tick(60_500)
    #expect(bench.out.map(\.kind) == [.raised, .reAlarmed])
    bench.tick(61_001)
    #expect(bench.out.last?.received == at(61_000))
  }

  @Test("every kind of transition occurs in the random streams")
  func coverage() throws {
    var kinds: Set<TransitionKind> = []
    for seed in Self.seeds {
      kinds.formUnion(try Self.run(Stream(seed: seed, readings: 5000)).transitions.map(\.kind))
    }
    // Priorities change with the plan only.
    let missing = Set(TransitionKind.allCases).subtracting(kinds)
    #expect(missing.subtracting([.priorityChanged]) == [])
  }

  @Test("transitions chain: what one leaves, the next of the rule begins with", arguments: seeds)
  func chaining(seed: UInt64) throws {
    let run = try Self.run(Stream(seed: seed, readings: 10_000))
    var state: [RuleIndex: AlarmState] = [:]
    var raised: Set<String> = []
    var lastReceived = Timestamp.distantPast
    for transition in run.transitions {
      #expect(transition.received >= lastReceived, "SEED=\(seed)")
      lastReceived = transition.received
      if transition.kind == .raised {
        let identity = "\(transition.rule.rawValue)/\(transition.onset.milliseconds)"
        #expect(raised.insert(identity).inserted, "raised twice: \(identity) SEED=\(seed)")
      }
      if transition.kind == .revised {
        // It speaks of a decision, which may be another occurrence's, and moves nothing itself.
        #expect(transition.previous == transition.state, "SEED=\(seed)")
        continue
      }
      let isOfEarlier =
        (transition.kind == .reset || transition.kind == .acknowledged)
        && transition.previous == .returnedUnacknowledged && transition.state == .normal
      if isOfEarlier || transition.kind == .reset { continue }
      if let before = state[transition.rule], before != .latchedAcknowledged,
        before != .latchedUnacknowledged
      {
        let isAcknowledgedEarlier = before == .returnedUnacknowledged
        #expect(
          transition.previous == before || isAcknowledgedEarlier,
          "\(transition) SEED=\(seed)"
        )
      }
      state[transition.rule] = transition.state
    }
  }

  @Test("a snapshot of a restored engine is the snapshot it was restored from")
  func snapshotIsStable() throws {
    let stream = Stream(seed: 5, readings: 5000)
    let run = try Self.run(stream)
    let again = try Engine(plan: stream.builder.plan, restoring: run.final).snapshot()
    #expect(again.count == run.final.count)
    let third = try Engine(plan: stream.builder.plan, restoring: again).snapshot()
    #expect(third == again)
  }

  @Test("a damaged snapshot is refused, whichever byte is wrong")
  func damage() throws {
    let stream = Stream(seed: 6, readings: 200)
    let bytes = try Self.run(stream).final
    for index in stride(from: 0, to: bytes.count, by: 7) {
      var damaged = bytes
      damaged[index] ^= 0x10
      #expect(throws: SnapshotError.self) {
        _ = try Engine(plan: stream.builder.plan, restoring: damaged)
      }
    }
    for count in [0, 8, 23, 24, bytes.count / 2, bytes.count - 1] {
      #expect(throws: SnapshotError.self) {
        _ = try Engine(plan: stream.builder.plan, restoring: Array(bytes.prefix(count)))
      }
    }
  }
}
