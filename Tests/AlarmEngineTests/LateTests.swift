import AlarmEngine
import Telemetry
import Testing

/// What was told, with every revision applied, is what a reader of the sorted stream would have told.
@Suite("Late readings")
struct LateTests {
  /// An alarm as it stands in the account.
  struct Account: Hashable {
    var start: Int64
    var raised: Int64
    var returned: Int64?
  }

  /// Folds transitions to the alarms that were, by what is known in the end.
  static func accounts(_ transitions: [Transition], rule: UInt32) -> [Account] {
    var byOnset: [Int64: Account] = [:]
    for step in transitions where step.rule.rawValue == rule {
      let onset = step.onset.milliseconds
      let time = step.time.milliseconds
      switch step.kind {
      case .raised: byOnset[onset] = Account(start: onset, raised: time, returned: nil)
      case .returned: byOnset[onset]?.returned = time
      case .reAlarmed: byOnset[onset]?.returned = nil
      case .revised:
        guard let revision = step.revision else { continue }
        switch revision.verdict {
        case .unfounded: byOnset[onset] = nil
        case .missed, .moved:
          byOnset[onset] = Account(
            start: revision.start?.milliseconds ?? 0,
            raised: revision.raised?.milliseconds ?? byOnset[onset]?.raised ?? 0,
            returned: revision.returned?.milliseconds
          )
        }
      default: break
      }
    }
    return byOnset.values.sorted { $0.start < $1.start }
  }

  static func builder(_ random: inout SeededRandom, window: Bool = true) -> PlanBuilder {
    var builder = PlanBuilder(
      window: window ? ChannelWindow(lengthMilliseconds: 3_600_000, capacity: 1024) : nil
    )
    for index in 0..<4 {
      let high = Double(random.int(6...9))
      let band = Double(random.int(0...3))
      let detector: Detector =
        index == 3
        ? .physicalRange(low: 2, high: 11)
        : index == 2
          ? .low(4, restore: 4 + band, orEqual: random.chance(2))
          : .high(high, restore: high - band)
      builder.add(
        "\(index)",
        detector,
        onDelay: random.pick([0, 0, 800, 2500]),
        offDelay: random.pick([0, 0, 1200, 4000])
      )
    }
    if random.chance(2) { builder.add("stale", .stale(afterMilliseconds: 6000)) }
    return builder
  }

  /// Readings at different times whose transport takes up to ten seconds, in the order of arrival.
  static func arrivals(_ random: inout SeededRandom, count: Int) -> [(received: Int64, Reading)] {
    var arrivals: [(received: Int64, Reading)] = []
    var time: Int64 = 0
    var value = 6.0
    var isFirst = true
    for _ in 0..<count {
      time += random.int(100...(random.chance(20) ? 9000 : 1500))
      if random.chance(3) { value = Double(random.int(1...12)) }
      let transport = isFirst ? 0 : random.chance(3) ? random.int(0...10_000) : random.int(0...300)
      let wasFirst = isFirst
      isFirst = false
      arrivals.append(
        (
          time + transport,
          Reading(
            channel: ChannelIndex(rawValue: 0),
            time: at(time),
            value: value,
            status: !wasFirst && random.chance(25) ? .sensorFault : .normal
          )
        )
      )
    }
    return arrivals.enumerated()
      .sorted { ($0.element.received, $0.offset) < ($1.element.received, $1.offset) }
      .map(\.element)
  }

  static func run(
    _ builder: PlanBuilder,
    _ arrivals: [(received: Int64, Reading)],
    snapshots: Bool = false
  ) throws -> (transitions: [Transition], counters: EngineCounters) {
    var engine = try Engine(plan: builder.plan)
    var out: [Transition] = []
    for (index, arrival) in arrivals.enumerated() {
      if snapshots, index % 5 == 0 {
        engine = try Engine(plan: builder.plan, restoring: engine.snapshot())
      }
      var batch = ReadingBatch(received: at(arrival.received), baseSequence: UInt64(index + 1))
      batch.append(arrival.1, sequence: UInt64(index + 1))
      engine.apply(batch, into: &out)
    }
    engine.advance(to: at(100_000_000), into: &out)
    return (out, engine.counters)
  }

  @Test(
    "revisions turn what was told into what the sorted stream tells",
    arguments: 1...60 as ClosedRange<UInt64>
  )
  func oracle(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var revisions: UInt64 = 0
    let rounds: UInt64 = isSoak ? 200 : 12
    for round in 0..<rounds {
      let builder = Self.builder(&random)
      let arrivals = Self.arrivals(&random, count: 24)
      let live = try Self.run(builder, arrivals)
      let ordered = arrivals.map(\.1).sorted { $0.time < $1.time }
      let sorted = try Self.run(
        builder,
        ordered.map { ($0.time.milliseconds - epochOfTests, $0) }
      )
      #expect(sorted.counters.late == 0)
      #expect(live.counters.lateUnjudged == 0, "SEED=\(seed) round \(round)")
      for rule in UInt32(0)..<4 {
        let told = Self.accounts(live.transitions, rule: rule)
        let truth = Self.accounts(sorted.transitions, rule: rule)
        #expect(told == truth, "SEED=\(seed) round \(round) rule \(rule)")
        guard told == truth else { return }
      }
      revisions += live.counters.revisions
      #expect(
        try Self.run(builder, arrivals, snapshots: true).transitions.map(\.comparable)
          == live.transitions.map(\.comparable),
        "SEED=\(seed) round \(round)"
      )
    }
    #expect(revisions > rounds, "SEED=\(seed)")
  }

  @Test("each verdict, step by step")
  func verdicts() throws {
    var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 64))
    builder.add("high", .high(10))
    builder.add("slow", .high(10), onDelay: 5000)
    var bench = try Bench(builder)
    func revisions(_ bench: inout Bench) -> [String] {
      defer { bench.out = [] }
      return bench.out.map { step in
        guard let revision = step.revision else {
          return "\(step.kind) r\(step.rule.rawValue) \(step.time.milliseconds - epochOfTests)"
        }
        let times = [revision.start, revision.raised, revision.returned].map {
          $0.map { String($0.milliseconds - epochOfTests) } ?? "-"
        }
        return "\(revision.verdict) r\(step.rule.rawValue) "
          + "@\(step.onset.milliseconds - epochOfTests) \(times.joined(separator: " "))"
      }
    }
    for second in Int64(0)...10 { bench.read(second * 1000, 1) }
    #expect(revisions(&bench) == [])
    // A peak that came late: one alarm missed, with its return.
    bench.read(5500, 20, lag: 5000)
    #expect(revisions(&bench) == ["missed r0 @5500 5500 5500 6000"])
    // The on-delay runs from 11 s to 16 s, and a late value breaks it.
    for second in Int64(11)...17 { bench.read(second * 1000, 20) }
    #expect(revisions(&bench) == ["raised r0 11000", "raised r1 16000"])
    bench.read(13_500, 1, lag: 4000)
    #expect(
      revisions(&bench) == [
        "moved r0 @11000 11000 11000 13500", "returned r0 13500", "raised r0 14000",
        "missed r0 @14000 14000 14000 -", "unfounded r1 @11000 - - -", "returned r1 13500",
      ]
    )
    // An alarm that began earlier than was told keeps its name.
    bench.read(13_800, 20, lag: 5000)
    #expect(revisions(&bench) == ["moved r0 @14000 13800 13800 -"])
  }

  @Test(
    "an alarm that by all readings stands now is raised, with the revision that says since when"
  )
  func missedAndStanding() throws {
    var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 64))
    builder.add("high", .high(10, restore: 5))
    var bench = try Bench(builder)
    for second in Int64(0)...10 { bench.read(second * 1000, 7) }
    // The peak was late; the newest value lies between set-point and restore value.
    bench.read(5500, 20, lag: 5000)
    #expect(bench.out.map(\.kind) == [.raised, .revised])
    #expect(bench.out.last?.revision?.verdict == .missed)
    #expect(bench.standing().map(\.onset) == [at(5500)])
    // What the newest reading says is never overruled.
    bench.read(11_000, 20)
    _ = bench.take()
    bench.read(10_500, 1, lag: 1000)
    #expect(bench.standing().contains { $0.isActive && $0.onset == at(11_000) })
  }

  @Test("without a window, or beyond it, a late reading is kept, counted and not judged")
  func unjudged() throws {
    var builder = PlanBuilder()
    builder.add("high", .high(10))
    var bench = try Bench(builder)
    for second in Int64(0)...10 { bench.read(second * 1000, 1) }
    bench.read(5500, 20, lag: 5000)
    #expect(bench.take() == [])
    #expect(bench.engine.counters.late == 1)
    #expect(bench.engine.counters.lateUnjudged == 1)
  }

  @Test("a window by count loses nothing when its oldest goes; one by time does, and says so")
  func overflows() throws {
    for isBoundedByCount in [true, false] {
      let window = ChannelWindow(
        lengthMilliseconds: 600_000,
        capacity: 16,
        isBoundedByCount: isBoundedByCount
      )
      var builder = PlanBuilder(window: window)
      builder.add("high", .high(10))
      var bench = try Bench(builder)
      for second in Int64(0)..<20 { bench.read(second * 1000, 1) }
      #expect(bench.engine.counters.windowOverflows == (isBoundedByCount ? 0 : 4))
      // Too late for what is kept: that is the loss, and it is counted.
      bench.read(2500, 20, lag: 17_000)
      bench.read(12_500, 20, lag: 7000)
      #expect(bench.engine.counters.lateUnjudged == 1)
      #expect(bench.engine.counters.lateJudged == 1)
    }
  }

  @Test("historical readings raise, clear and revise nothing")
  func historical() throws {
    var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 64))
    builder.add("high", .high(10))
    var bench = try Bench(builder)
    for second in Int64(0)...10 { bench.read(second * 1000, 1) }
    bench.read(5500, 20, flags: .historical, lag: 5000)
    bench.read(11_000, 20, flags: .historical)
    #expect(bench.take() == [])
    #expect(bench.engine.counters.historical == 2)
    #expect(bench.engine.counters.late == 0)
  }

  @Test("steps made by other figures are not judged again")
  func otherFigures() throws {
    var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 64))
    builder.add("high", .high(10))
    var bench = try Bench(builder)
    for second in Int64(0)...10 { bench.read(second * 1000, second == 3 ? 12 : 1) }
    _ = bench.take()
    builder.plan.rules[0].detector = .high(15)
    try bench.replacePlan(builder, at: 10_000)
    bench.read(3500, 20, lag: 7000)
    #expect(bench.take() == [])
  }

  @Test("a low value that came behind a deadline stays known when late readings are judged")
  func behindDeadline() throws {
    var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 1024))
    builder.add("H", .high(24), onDelay: 1_200_000)
    var bench = try Bench(builder)
    bench.read(0, 25)
    bench.tick(1_200_001)
    // The window holds nothing before this reading, so what the deadline decided cannot be judged again.
    bench.read(1_000_000, 2, lag: 200_500)
    bench.read(1_100_000, 25, lag: 101_000)
    bench.read(1_250_000, 25)
    let told = bench.out.map(\.kind)
    #expect(told == [.raised, .returned])
    bench.read(1_050_000, 25, lag: 201_000)
    bench.read(1_030_000, 25, lag: 222_000)
    // High since 1,030 s and no longer: the delay of 1,200 s has not ended.
    #expect(bench.out.map(\.kind) == told)
    bench.tick(2_230_001)
    #expect(bench.out.last?.kind == .raised)
    #expect(bench.out.last?.onset == at(1_030_000))
  }

  @Test("a late reading amid a backlog ends no delay that the backlog may yet take back")
  func amidBacklog() throws {
    var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 1024))
    builder.add("high", .high(10), onDelay: 5000)
    var bench = try Bench(builder)
    bench.read(0, 1)
    bench.read(1000, 1)
    bench.readBacklog(at: 60_000, [(3000, 20), (2000, 20), (4000, 1)])
    bench.tick(61_000)
    #expect(bench.take() == [])
    #expect(bench.engine.counters.lateJudged == 1)
  }

  @Test("a rule that has flapped is judged again from where its steps are known")
  func flapped() throws {
    var builder = PlanBuilder(window: ChannelWindow(lengthMilliseconds: 600_000, capacity: 1024))
    builder.add("high", .high(10))
    var bench = try Bench(builder)
    for second in Int64(0)..<60 { bench.read(second * 1000, second.isMultiple(of: 2) ? 12 : 8) }
    for second in Int64(60)..<120 { bench.read(second * 1000, 8) }
    _ = bench.take()
    bench.read(110_500, 15, lag: 9500)
    #expect(bench.out.map(\.kind) == [.revised])
    #expect(bench.out.first?.revision?.verdict == .missed)
    #expect(bench.engine.counters.lateJudged == 1)
    _ = bench.take()
    // Before the newest 32 steps nothing is known of the condition.
    bench.read(5500, 15, lag: 114_500)
    #expect(bench.out.isEmpty)
    #expect(bench.engine.counters.lateUnjudged == 1)
  }
}
