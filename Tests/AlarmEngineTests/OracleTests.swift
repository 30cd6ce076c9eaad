import AlarmEngine
import Telemetry
import Testing

/// Limits, delays and staleness by their definitions, looked at unit of time by unit of time.
///
/// An alarm begins when its condition has held for the on-delay without a break and ends when the
/// opposite has held for the off-delay. What holds at a moment is what the last reading said, until
/// the channel is stale. Nothing here remembers a phase, a deadline or a span.
struct LimitOracle {
  struct Rule {
    var comparison: LimitParameters.Comparison
    var setpoint: Double
    var restore: Double
    var onDelay: Int
    var offDelay: Int
  }

  /// A change: at which unit, of which rule (nil for staleness), to what, and since when.
  struct Change: Hashable {
    var unit: Int
    var rule: Int?
    var isRaised: Bool
    var onset: Int
  }

  enum Held { case gap, value(Double) }

  var rules: [Rule]
  var staleAfter: Int

  func isOn(_ rule: Rule, _ held: Held) -> Bool {
    guard case .value(let value) = held else { return false }
    switch rule.comparison {
    case .atOrAbove: return value >= rule.setpoint
    case .above: return value > rule.setpoint
    case .atOrBelow: return value <= rule.setpoint
    case .below: return value < rule.setpoint
    }
  }

  func isOff(_ rule: Rule, _ held: Held) -> Bool {
    guard case .value(let value) = held else { return false }
    switch rule.comparison {
    case .atOrAbove, .above: return value < rule.restore
    case .atOrBelow, .below: return value > rule.restore
    }
  }

  /// Every change that the readings bring about.
  ///
  /// `readings` are by unit: nil where none arrived, a gap where one came without a value.
  func changes(_ readings: [Held?]) -> [Change] {
    var held: [Held] = []
    var active = [Bool](repeating: false, count: rules.count)
    var onset = [Int](repeating: 0, count: rules.count)
    var isStale = false
    var newest = 0
    var resumed = 0
    var changes: [Change] = []
    for (unit, reading) in readings.enumerated() {
      // Only what came after the channel was last stale counts towards a delay.
      if reading != nil {
        if unit - newest > staleAfter { resumed = unit }
        newest = unit
      }
      held.append(
        reading ?? (unit - newest <= staleAfter ? held.last ?? .gap : .gap)
      )
      // Without a delay a change happens with the reading, else after the readings of its moment.
      for hasDelay in [false, true] {
        for (index, rule) in rules.enumerated() {
          let delay = active[index] ? rule.offDelay : rule.onDelay
          guard (delay > 0) == hasDelay, unit - delay >= resumed,
            hasDelay || reading != nil
          else { continue }
          let isLongEnough = held[(unit - delay)...].allSatisfy {
            active[index] ? isOff(rule, $0) : isOn(rule, $0)
          }
          guard isLongEnough else { continue }
          active[index].toggle()
          if active[index] { onset[index] = unit - delay }
          changes.append(
            Change(unit: unit, rule: index, isRaised: active[index], onset: onset[index])
          )
        }
        if hasDelay {
          if !isStale && unit - newest == staleAfter {
            isStale = true
            changes.append(Change(unit: unit, rule: nil, isRaised: true, onset: unit))
          }
        } else if isStale && reading != nil {
          isStale = false
          changes.append(Change(unit: unit, rule: nil, isRaised: false, onset: newest))
        }
      }
    }
    return changes
  }
}

@Suite("Brute-force oracle")
struct OracleTests {
  static let unit: Int64 = 250

  private func makeOracle(_ random: inout SeededRandom) -> LimitOracle {
    var rules: [LimitOracle.Rule] = []
    for _ in 0..<4 {
      let comparison = random.pick([
        LimitParameters.Comparison.atOrAbove, .above, .atOrBelow, .below,
      ])
      let setpoint = Double(random.int(2...8))
      let deadband = Double(random.int(0...2))
      let isHigh = comparison == .atOrAbove || comparison == .above
      rules.append(
        LimitOracle.Rule(
          comparison: comparison,
          setpoint: setpoint,
          restore: isHigh ? setpoint - deadband : setpoint + deadband,
          onDelay: Int(random.pick([0, 0, 1, 3, 7])),
          offDelay: Int(random.pick([0, 0, 2, 5]))
        )
      )
    }
    return LimitOracle(rules: rules, staleAfter: Int(random.int(4...12)))
  }

  private func makeReadings(_ random: inout SeededRandom, _ count: Int) -> [LimitOracle.Held?] {
    var readings: [LimitOracle.Held?] = [.value(5)]
    var value = 5.0
    var gap = 1
    while readings.count < count {
      if random.chance(200) { gap = Int(random.int(1...4)) }
      let silence =
        random.chance(40) ? Int(random.int(0...30)) : Int(random.int(0...Int64(gap))) - 1
      for _ in 0..<max(silence, 0) { readings.append(nil) }
      if random.chance(3) { value += Double(random.int(-2...2)) }
      if value < 0 || value > 10 { value = 5 }
      readings.append(random.chance(60) ? .gap : .value(value))
    }
    return readings
  }

  private func engineChanges(
    _ oracle: LimitOracle,
    _ readings: [LimitOracle.Held?],
    lag: Int64,
    _ random: inout SeededRandom
  ) throws -> [LimitOracle.Change] {
    var builder = PlanBuilder()
    for (index, rule) in oracle.rules.enumerated() {
      builder.add(
        "\(index)",
        .limit(
          LimitParameters(
            comparison: rule.comparison,
            setpoint: rule.setpoint,
            restore: rule.restore
          )
        ),
        onDelay: Int64(rule.onDelay) * Self.unit,
        offDelay: Int64(rule.offDelay) * Self.unit
      )
    }
    builder.add("stale", .stale(afterMilliseconds: Int64(oracle.staleAfter) * Self.unit))
    var engine = try Engine(plan: builder.plan)
    var out: [Transition] = []
    var batch = ReadingBatch()
    for (index, reading) in readings.enumerated() {
      guard let reading else {
        if random.chance(4) { engine.advance(to: at(Int64(index) * Self.unit + lag), into: &out) }
        continue
      }
      let time = at(Int64(index) * Self.unit)
      batch.reset(received: time.advanced(byMilliseconds: lag), baseSequence: UInt64(index))
      let channel = ChannelIndex(rawValue: 0)
      switch reading {
      case .gap:
        batch.append(
          Reading(channel: channel, time: time, value: 0, status: .sensorFault),
          sequence: UInt64(index)
        )
      case .value(let value):
        batch.append(Reading(channel: channel, time: time, value: value), sequence: UInt64(index))
      }
      engine.apply(batch, into: &out)
    }
    engine.advance(to: at(Int64(readings.count) * Self.unit + lag), into: &out)
    return out.compactMap {
      guard $0.kind == .raised || $0.kind == .returned else { return nil }
      let rule = Int($0.rule.rawValue)
      let isStale = rule == oracle.rules.count
      let unit = Int(($0.time.milliseconds - epochOfTests) / Self.unit)
      let onset = Int(($0.onset.milliseconds - epochOfTests) / Self.unit)
      return LimitOracle.Change(
        unit: unit,
        rule: isStale ? nil : rule,
        isRaised: $0.kind == .raised,
        onset: isStale && $0.kind == .returned ? unit : onset
      )
    }
  }

  @Test(
    "limits, delays and staleness agree with their definitions",
    arguments: 1...40 as ClosedRange<UInt64>
  )
  func limits(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var changes = 0
    for round in 0..<25 {
      let oracle = makeOracle(&random)
      let readings = makeReadings(&random, 2500)
      let expected = oracle.changes(readings)
      let actual = try engineChanges(
        oracle,
        readings,
        lag: random.pick([0, 40, 1000, -500]),
        &random
      )
      let difference = zip(expected, actual).first { $0 != $1 }
      #expect(
        expected == actual,
        "SEED=\(seed) round \(round) \(oracle) first \(String(describing: difference))"
      )
      if expected != actual { return }
      changes += expected.count
    }
    #expect(changes > 1000, "SEED=\(seed)")
  }
}
