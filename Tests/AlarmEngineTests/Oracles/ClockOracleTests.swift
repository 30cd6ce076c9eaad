import AlarmEngine
import Telemetry
import Testing

/// The clock guard against its definition, on devices whose clocks, ways and gateways do what they like.
@Suite("The clock guard against its definition")
struct ClockOracleTests {
  /// Each seed has 50,000 readings of five devices.
  static let seeds: ClosedRange<UInt64> = 1...(isSoak ? 400 : 40)
  static let count = 50_000

  @Test("judged, held late and quarantined as defined", arguments: seeds)
  func guardOfClocks(seed: UInt64) throws {
    let run = try expectAsDefined(
      ClockPlant(seed: seed &+ 900),
      readings: Self.count,
      snapshotEvery: 2000,
      "SEED=\(seed)"
    )
    #expect(run.counters.clockFaults > 5, "SEED=\(seed): the stream tests nothing")
  }

  static let delaySeeds: ClosedRange<UInt64> = 1...(isSoak ? 100 : 8)

  @Test(
    "delays run out, and what is held back is judged, as defined over every change of the time base",
    arguments: delaySeeds
  )
  func delays(seed: UInt64) throws {
    var spanned = 0
    for variety in [ClockPlant.Variety.delayed, .shuffled] {
      let run = try expectAsDefined(
        ClockPlant(seed: seed &+ (variety == .delayed ? 4900 : 5900), variety),
        readings: Self.count * 2 / 5,
        snapshotEvery: 200,
        "SEED=\(seed) \(variety)"
      )
      #expect(run.counters.heldBack > 0, "SEED=\(seed) \(variety): the stream tests nothing")
      #expect(run.counters.reorderOverflows == 0, "SEED=\(seed) \(variety): judged too early")
      spanned += run.plant.spanned
    }
    #expect(spanned > 0, "SEED=\(seed): the stream tests nothing")
  }

  /// Expects that an engine does what the definitions say; what they and it have come to, up to the first difference.
  private func expectAsDefined(
    _ start: ClockPlant,
    readings count: Int,
    snapshotEvery batches: Int,
    _ note: String
  ) throws -> (plant: ClockPlant, counters: EngineCounters) {
    var plant = start
    var engine = try Engine(plan: plant.builder.plan)
    var out: [Transition] = []
    var readings = 0
    while readings < count {
      // A snapshot goes on as well.
      if plant.random.below(batches) == 0 {
        engine = try Engine(plan: plant.builder.plan, restoring: engine.snapshot())
      }
      let now = plant.batch.received.milliseconds
      let senders = plant.send()
      readings += plant.batch.count
      let due = plant.pass(from: now)
      let expected = plant.take()
      engine.apply(plant.batch, into: &out)
      var found = out.compactMap(ClockedStep.init(_:))
      out.removeAll(keepingCapacity: true)
      let received = plant.batch.received.milliseconds
      let ranOut = found.filter { $0.received < received }
      found.removeAll { $0.received < received }
      let agrees =
        found == expected && Self.byRule(ranOut) == Self.byRule(due)
        && engine.counters.late == plant.late && engine.counters.duplicates == plant.duplicates
        && senders.allSatisfy { isSame(engine, $0, plant.devices[$0].definition) }
      guard agrees else {
        let told = difference(engine, senders, plant, ranOut + found, due + expected)
        Issue.record("\(note) \(told)")
        break
      }
    }
    return (plant, engine.counters)
  }

  /// The steps of each rule: of those that run out by themselves, rules of one moment have no order to speak of.
  private static func byRule(_ steps: [ClockedStep]) -> [Int: [ClockedStep]] {
    Dictionary(grouping: steps, by: \.rule)
  }

  @Test("times of a channel never go back, but where the time base changes", arguments: seeds)
  func timesGoOn(seed: UInt64) throws {
    var plant = ClockPlant(seed: seed &+ 1900)
    var engine = try Engine(plan: plant.builder.plan)
    var out: [Transition] = []
    var readings = 0
    var newest = [Int64](repeating: .min, count: plant.builder.plan.channels.count)
    var bases = [DeviceClock?](repeating: nil, count: plant.devices.count)
    while readings < Self.count {
      let senders = plant.send()
      readings += plant.batch.count
      engine.apply(plant.batch, into: &out)
      for row in senders {
        var base = engine.clock(ofDevice: UInt32(row))
        base?.skewMilliseconds = nil
        base?.driftPartsPerMillion = nil
        guard base != bases[row] else { continue }
        bases[row] = base
        // (It may have changed between two readings of the message.)
        let channels = plant.devices[row].device.channels
        for channel in channels { newest[Int(channel)] = .min }
        out.removeAll { channels.contains($0.channel.rawValue) }
      }
      for step in out where plant.builder.plan.rules[Int(step.rule.rawValue)].detector.isLimit {
        let channel = Int(step.channel.rawValue)
        guard step.time.milliseconds >= newest[channel] else {
          Issue.record("SEED=\(seed) \(step) after \(newest[channel])")
          return
        }
        newest[channel] = step.time.milliseconds
      }
      out.removeAll(keepingCapacity: true)
    }
  }

  private func isSame(
    _ engine: borrowing Engine,
    _ row: Int,
    _ definition: ClockDefinition
  ) -> Bool {
    guard let clock = engine.clock(ofDevice: UInt32(row)) else { return false }
    return clock.isQuarantined == definition.isQuarantined
      && Int(clock.faults) == definition.faults.count { $0.isFault }
      && clock.steps == definition.steps
      && clock.skewMilliseconds == definition.leastLag().map { -$0 }
  }

  private func difference(
    _ engine: borrowing Engine,
    _ senders: Set<Int>,
    _ plant: ClockPlant,
    _ found: [ClockedStep],
    _ expected: [ClockedStep]
  ) -> String {
    let batch = plant.batch
    var lines = [
      "at \(batch.received.milliseconds), backlog \(batch.isBacklog), \(engine.counters)",
      "expected \(expected)",
      "found \(found)",
    ]
    for row in senders {
      let (device, definition) = (plant.devices[row].device, plant.devices[row].definition)
      lines.append(
        """
        device \(row), tolerance \(definition.tolerance ?? -1), allowance \(device.allowance), \
        channels \(device.channels): \
        \(definition.faults.count) faults and ends, \(definition.steps) steps, \
        least lag \(definition.leastLag() ?? -1), found \(engine.clock(ofDevice: UInt32(row)) as Any)
        """
      )
      for arrival in definition.past.suffix(batch.count + 20) {
        lines.append(
          """
          \(arrival.received) #\(arrival.sequence) c\(arrival.channel) lag \(arrival.lag) \
          \(arrival.reading.value) \(arrival.reading.status) \(arrival.witness), \
          judged \(arrival.judged as Any)
          """
        )
      }
    }
    return lines.joined(separator: "\n")
  }
}

extension Detector {
  fileprivate var isLimit: Bool {
    if case .limit = self { true } else { false }
  }
}
