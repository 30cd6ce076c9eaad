import AlarmEngine
import Telemetry
import Testing

/// Rules on windows in the engine where readings are on their way when a window ends, where states are told out of order,
/// where plans change and clocks step.
@Suite("Window rules and time")
struct WindowRuleTests {
  static let limit = LimitParameters(comparison: .atOrAbove, setpoint: 8, restore: 8)

  /// Shapes that time ends.
  static let shapes: [WindowedStatistic.Shape] = [
    .tumbling(length: 60_000, offset: 0),
    .hopping(length: 60_000, hop: 20_000, offset: 5000),
    .session(gap: 15_000, longest: 45_000),
  ]

  /// A reading a second whose minutes are high and low in turn, low at first in each; with silences.
  ///
  /// In the first half of a high window there is nothing high: what is judged on a part of it is judged wrongly.
  static func readings(_ random: inout SeededRandom) -> [(time: Int64, value: Double)] {
    var readings: [(time: Int64, value: Double)] = []
    var time: Int64 = 0
    while readings.count < 2500 {
      let minute = time / 60_000
      let isLateHalf = time % 60_000 >= 30_000
      readings.append((time, isLateHalf ? minute % 2 == 0 ? 20 : 4 : 0))
      time += 1000
      if random.chance(150) { time += random.int(2...200) * 1000 }
    }
    return readings
  }

  /// Every window that the readings make, when all have come: its mean.
  static func bruteForce(
    _ shape: WindowedStatistic.Shape,
    _ readings: [(time: Int64, value: Double)]
  ) -> [Double] {
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
    switch shape {
    case .tumbling(let length, _):
      return Dictionary(grouping: readings) { $0.time / length }.sorted { $0.key < $1.key }
        .map { mean($0.value.map(\.value)) }
    case .hopping(let length, let hop, let offset):
      let last = readings.last?.time ?? 0
      return stride(from: offset, through: last + length + hop, by: Int(hop)).compactMap { end in
        let members = readings.filter { $0.time >= end - length && $0.time < end }
        return members.isEmpty ? nil : mean(members.map(\.value))
      }
    case .session(let gap, let longest):
      var sessions: [[(time: Int64, value: Double)]] = []
      for reading in readings {
        if let last = sessions.last?.last, let first = sessions.last?.first,
          reading.time - last.time <= gap, reading.time - first.time < longest
        {
          sessions[sessions.count - 1].append(reading)
        } else {
          sessions.append([reading])
        }
      }
      return sessions.map { mean($0.map(\.value)) }
    case .sliding, .count, .state: return []
    }
  }

  /// Runs the readings as a gateway sends them that packs up to a minute into a message; ticks now and then.
  static func run(
    _ shape: WindowedStatistic.Shape,
    grace: Int64,
    _ readings: [(time: Int64, value: Double)],
    _ random: inout SeededRandom
  ) throws -> (said: [String], late: UInt64) {
    var builder = PlanBuilder()
    builder.addWindow(.init(shape: shape, statistic: .mean, limit: limit, grace: grace))
    var bench = try Bench(builder)
    // The least lag is that of a message which was sent at once.
    bench.read(-600_000, 0)
    var index = 0
    var clock: Int64 = 0
    while index < readings.count {
      var end = index + 1
      while end < readings.count, readings[end].time - readings[index].time < 60_000,
        !random.chance(45)
      {
        end += 1
      }
      let sent = max(clock, readings[end - 1].time) + random.int(0...5000)
      while clock < sent {
        clock = min(sent, clock + random.int(1...20_000))
        if random.chance(2) { bench.tick(clock) }
      }
      var batch = ReadingBatch(received: at(sent), baseSequence: bench.sequence)
      for reading in readings[index..<end] {
        batch.append(
          Reading(
            channel: ChannelIndex(rawValue: 0),
            time: at(reading.time),
            value: reading.value
          ),
          sequence: bench.sequence
        )
        bench.sequence += 1
      }
      bench.engine.apply(batch, into: &bench.out)
      if random.chance(20) {
        try bench.restart(under: builder)
      }
      index = end
    }
    bench.tick(clock + 10_000_000)
    let said = bench.out.map { "\($0.kind) \(Float($0.value))" }
    return (said, bench.engine.counters.lateUnjudged)
  }

  @Test(
    "messages that carry a minute each: every window is judged once and on all its readings",
    arguments: shapes,
    1...4 as ClosedRange<UInt64>
  )
  func packed(shape: WindowedStatistic.Shape, seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let readings = Self.readings(&random)
    let (said, late) = try Self.run(shape, grace: 70_000, readings, &random)
    var isActive = false
    var expected: [String] = []
    // (The reading before them all is a window, or four, of its own, at zero.)
    for mean in Self.bruteForce(shape, readings) where (mean >= 8) != isActive {
      isActive.toggle()
      expected.append("\(isActive ? "raised" : "returned") \(Float(mean))")
    }
    #expect(said == expected, "SEED=\(seed)")
    #expect(late == 0, "SEED=\(seed)")
    #expect(expected.count > 3)
  }

  @Test(
    "without grace a window is judged without what comes later: it is counted, and no window is judged anew",
    arguments: shapes
  )
  func withoutGrace(shape: WindowedStatistic.Shape) throws {
    var builder = PlanBuilder()
    builder.addWindow(.init(shape: shape, statistic: .count, limit: Self.limit))
    var bench = try Bench(builder)
    // Ten readings at once, so that the least lag is nothing; their window ends by the clock.
    for second in 600..<Int64(610) { bench.read(second * 1000, 1) }
    bench.tick(700_000)
    let raised = bench.out.map { "\($0.kind) \($0.value)" }
    #expect(bench.engine.counters.lateUnjudged == 0)
    // Two more of it come.
    bench.read(611_000, 1, lag: 100_000)
    bench.read(612_000, 1, lag: 100_000)
    #expect(bench.engine.counters.lateUnjudged == 2)
    bench.tick(719_000)
    switch shape {
    case .tumbling: #expect(bench.out.count == raised.count, "not judged again")
    default: break
    }
  }

  @Test("a tumbling window that its deadline has ended is not opened again by what comes later")
  func notAgain() throws {
    var builder = PlanBuilder()
    builder.addWindow(
      .init(
        shape: .tumbling(length: 60_000, offset: 0),
        statistic: .maximum,
        limit: LimitParameters(comparison: .above, setpoint: 10, restore: 10)
      )
    )
    var bench = try Bench(builder)
    bench.read(10_000, 50)
    bench.tick(61_000)
    #expect(bench.take() == ["raised r0 60000 unacknowledged"])
    // The rest of the same minute, a quarter of a minute after its end: no reason to call it well.
    for second in 11..<Int64(60) { bench.read(second * 1000, 1, lag: 75_000 - second * 1000) }
    bench.tick(80_000)
    bench.read(90_000, 50)
    bench.tick(121_000)
    #expect(bench.take() == [])
    #expect(bench.engine.counters.lateUnjudged == 49)
  }

  @Test("delayed alarms and returns carry the statistic, and what it was compared with")
  func figures() throws {
    var builder = PlanBuilder()
    let limit = LimitParameters(comparison: .above, setpoint: 10, restore: 5)
    builder.addWindow(
      .init(shape: .tumbling(length: 10_000, offset: 0), statistic: .sum, limit: limit),
      onDelay: 25_000,
      offDelay: 15_000
    )
    var bench = try Bench(builder)
    for second in stride(from: Int64(0), to: 60_000, by: 5000) { bench.read(second, 6) }
    for second in stride(from: Int64(60_000), to: 120_000, by: 5000) { bench.read(second, 2) }
    let said = bench.out.map {
      "\($0.kind) \($0.time.milliseconds - epochOfTests) \($0.value) \($0.limit)"
    }
    #expect(said == ["raised 35000 12.0 10.0", "returned 85000 4.0 5.0"])
  }

  // MARK: states

  @Test(
    "a change of state that is told late, or is older than one known, is counted and mixes nothing"
  )
  func states() throws {
    var window = try WindowedStatistic(
      .init(shape: .state(judged: 1), statistic: .count, limit: Self.limit),
      readsState: true
    )
    _ = window.update(state: 1, time: 0)
    for time in 1...Int64(9) { _ = window.step(time: time * 1000, value: 0) }
    // Within what the window has taken: it ends at its last reading, and says so.
    let told = window.update(state: 0, time: 8500)
    #expect(told == .yes)
    #expect(window.finding.statistic == 9)
    #expect(window.takeLate() == 1)
    #expect(window.takeLate() == 0)
    // Of the state before: not of this one.
    _ = window.update(state: 1, time: 20_000)
    _ = window.step(time: 19_000, value: 0)
    #expect(window.takeLate() == 1)
    // Older than the newest change: changes nothing.
    _ = window.update(state: 0, time: 15_000)
    _ = window.update(state: nil, time: 15_000)
    #expect(window.takeLate() == 2)
    _ = window.step(time: 21_000, value: 0)
    _ = window.update(state: 0, time: 30_000)
    #expect(window.finding.statistic == 1)
    #expect(window.takeLate() == 0)
    // At the very time of a change, a reading is of the state that stands when it comes.
    _ = window.update(state: 1, time: 40_000)
    _ = window.step(time: 40_000, value: 0)
    _ = window.step(time: 50_000, value: 0)
    _ = window.update(state: 0, time: 50_000)
    #expect(window.finding.statistic == 2)
    #expect(window.takeLate() == 0)
    // A state that is not known ends the window unjudged, and what comes meanwhile belongs to none.
    _ = window.update(state: 1, time: 60_000)
    _ = window.step(time: 60_001, value: 0)
    _ = window.update(state: nil, time: 61_000)
    _ = window.step(time: 61_001, value: 0)
    _ = window.update(state: 1, time: 62_000)
    _ = window.step(time: 62_001, value: 0)
    _ = window.update(state: 0, time: 63_000)
    #expect(window.finding.statistic == 1)
  }

  @Test(
    "state windows agree with a model, as long as messages are in order of time",
    arguments: 1...6 as ClosedRange<UInt64>
  )
  func stateOracle(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let parameters = WindowedStatistic.Parameters(
      shape: .state(judged: 2),
      statistic: .sum,
      limit: Self.limit
    )
    var window = try WindowedStatistic(parameters, readsState: true)
    var open: [Double] = []
    var state: Int64?
    var judged = Double.nan
    var time: Int64 = 0
    for _ in 0..<20_000 {
      time += random.int(1...900)
      switch random.int(0...20) {
      case 0:
        let next = random.int(0...3)
        _ = window.update(state: Double(next), time: time)
        if next != state {
          if state == 2, !open.isEmpty { judged = open.reduce(0, +) }
          open = []
        }
        state = next
      case 1 where random.chance(4):
        _ = window.update(state: nil, time: time)
        (state, open) = (nil, [])
      case 2:
        window = try restarted(window, as: WindowedStatistic(parameters, readsState: true))
      default:
        let value = Double(random.int(0...9))
        _ = window.step(time: time, value: value)
        if state != nil { open.append(value) }
      }
      let got = window.finding.statistic
      // (Two ways of summing.)
      let isSame = abs(got - judged) < 1e-9 || got.isNaN && judged.isNaN
      #expect(isSame, "SEED=\(seed) \(time)")
    }
    #expect(window.takeLate() == 0)
  }

  // MARK: snapshots and plans

  static let forms: [WindowedStatistic.Parameters] = {
    func one(
      _ shape: WindowedStatistic.Shape,
      _ statistic: WindowedStatistic.Statistic,
      per: Int64 = 1000,
      capacity: Int = 64
    ) -> WindowedStatistic.Parameters {
      .init(shape: shape, statistic: statistic, limit: limit, slopePer: per, capacity: capacity)
    }
    return [
      one(.tumbling(length: 1000, offset: 0), .mean), one(.tumbling(length: 1000, offset: 0), .sum),
      one(.tumbling(length: 1000, offset: 1), .mean),
      one(.tumbling(length: 1001, offset: 0), .mean),
      one(.tumbling(length: 1000, offset: 0), .mean, capacity: 65),
      one(.hopping(length: 1000, hop: 500, offset: 0), .mean),
      one(.hopping(length: 1000, hop: 250, offset: 0), .mean),
      one(.hopping(length: 1000, hop: 500, offset: 3), .mean),
      one(.sliding(span: 1000), .mean), one(.sliding(span: 1000), .slope),
      one(.sliding(span: 1000), .slope, per: 60_000), one(.sliding(span: 1000), .variance),
      one(.sliding(span: 2000), .mean), one(.sliding(span: 1000), .first),
      one(.sliding(span: 1000), .last),
      one(.count(size: 8, isTumbling: true), .mean), one(.count(size: 8, isTumbling: false), .mean),
      one(.session(gap: 1000, longest: 60_000), .mean),
      one(.session(gap: 1000, longest: 90_000), .mean),
      one(.state(judged: nil), .mean), one(.state(judged: 0), .mean), one(.state(judged: 1), .mean),
    ]
  }()

  @Test("state of one window is refused by every other, and taken by the same with other figures")
  func foreignState() throws {
    func saved(_ parameters: WindowedStatistic.Parameters, readsState: Bool) throws -> [UInt8] {
      var window = try WindowedStatistic(parameters, readsState: readsState)
      if readsState { _ = window.update(state: 1, time: 0) }
      for time in 0..<Int64(30) { _ = window.step(time: time * 90, value: Double(time % 5)) }
      var bytes: [UInt8] = []
      window.write(into: &bytes)
      return bytes
    }
    func reads(
      _ bytes: [UInt8],
      _ parameters: WindowedStatistic.Parameters,
      readsState: Bool
    ) -> Bool {
      guard var window = try? WindowedStatistic(parameters, readsState: readsState) else {
        return false
      }
      var reader = StateReader(bytes)
      return (try? window.restore(from: &reader)) != nil && reader.isAtEnd
    }
    for (row, parameters) in Self.forms.enumerated() {
      let bytes = try saved(parameters, readsState: false)
      for (other, target) in Self.forms.enumerated() {
        #expect(
          reads(bytes, target, readsState: false) == (row == other),
          "\(parameters) into \(target)"
        )
      }
      var moved = parameters
      moved.limit = LimitParameters(comparison: .above, setpoint: 3, restore: 2)
      moved.grace = 5000
      moved.minimumCount = 3
      #expect(reads(bytes, moved, readsState: false), "\(parameters)")
      moved.limit = LimitParameters(comparison: .below, setpoint: 3, restore: 4)
      #expect(!reads(bytes, moved, readsState: false), "\(parameters)")
      if case .state = parameters.shape {
        #expect(!reads(bytes, parameters, readsState: true))
        let told = try saved(parameters, readsState: true)
        #expect(!reads(told, parameters, readsState: false))
      }
    }
  }

  @Test(
    "a window that the plan changes begins afresh; its standing alarm is neither raised again nor lost"
  )
  func planChange() throws {
    func builder(_ span: Int64, _ setpoint: Double) -> PlanBuilder {
      var builder = PlanBuilder()
      builder.addWindow(
        .init(
          shape: .sliding(span: span),
          statistic: .sum,
          limit: LimitParameters(comparison: .atOrAbove, setpoint: setpoint, restore: setpoint)
        )
      )
      return builder
    }
    var bench = try Bench(builder(10_000, 8))
    for second in 0...Int64(20) { bench.read(second * 1000, 1) }
    #expect(bench.take() == ["raised r0 10000 unacknowledged"])
    // Another figure keeps the readings: ten are above nine at once.
    try bench.replacePlan(builder(10_000, 9), at: 20_500)
    bench.read(21_000, 1)
    #expect(bench.take() == [])
    // Another span keeps none: nothing is said of a window that reaches back before the first.
    try bench.replacePlan(builder(12_000, 8), at: 21_500)
    for second in 22...Int64(33) { bench.read(second * 1000, 0) }
    #expect(bench.take() == [])
    bench.read(34_000, 0)
    #expect(bench.take() == ["returned r0 34000 returnedUnacknowledged"])
  }

  // MARK: clocks

  @Test("a clock that is set back by twice the tolerance leaves no window deaf")
  func clockStep() throws {
    var builder = PlanBuilder()
    builder.plan.devices[0].clockToleranceMilliseconds = 300_000
    for shape in [
      WindowedStatistic.Shape.sliding(span: 10_000), .tumbling(length: 10_000, offset: 0),
      .hopping(length: 10_000, hop: 5000, offset: 0), .session(gap: 3000, longest: 10_000),
    ] {
      builder.addWindow(.init(shape: shape, statistic: .mean, limit: Self.limit), name: "\(shape)")
    }
    var bench = try Bench(builder)
    for second in 0...Int64(200) {
      // Four minutes and a half ahead, then as much behind.
      let shown = second * 1000 + (second < 100 ? 270_000 : -270_000)
      bench.read(shown, second < 150 ? 1 : 20, lag: second * 1000 - shown)
    }
    #expect(bench.engine.counters.clockSteps == 1 && bench.engine.counters.clockFaults == 0)
    let raised = Set(bench.out.filter { $0.kind == .raised }.map(\.rule.rawValue))
    #expect(raised == [0, 1, 2, 3])
  }
}
