import AlarmEngine
import Telemetry
import Testing

/// The clock guard against its definition, on devices whose clocks, ways and gateways do what they like.
@Suite("The clock guard against its definition")
struct ClockOracleTests {
  /// Each seed has 50,000 readings of five devices.
  static let seeds: ClosedRange<UInt64> = 1...(isSoak ? 400 : 40)
  static let count = 50_000
  private static let limits = [0.5, 1.5, 2.5]

  /// A raise or a return, by whose reading.
  private struct Step: Hashable {
    var rule: Int
    var isRaised: Bool
    var time: Int64
    var received: Int64
    var sequence: UInt64
    var value: Double

    init(_ rule: Int, isRaised: Bool, time: Int64, _ arrival: (Int64, UInt64, Double)) {
      self.rule = rule
      self.isRaised = isRaised
      self.time = time
      (received, sequence, value) = arrival
    }

    /// Nil for steps that are of people.
    init?(_ step: Transition) {
      guard step.kind == .raised || step.kind == .returned else { return nil }
      self.init(
        Int(step.rule.rawValue),
        isRaised: step.kind == .raised,
        time: step.time.milliseconds,
        (step.received.milliseconds, step.sequence, step.value)
      )
    }
  }

  /// A device, the definition of its clock, and the rules on its channels.
  private struct Expected {
    var device: RandomDevice
    var definition: ClockDefinition
    /// Row of the rule on its clock; three on each channel follow.
    var firstRule: Int
    /// Whether each of its rules stands.
    var stands: [Bool]

    /// What a reading makes the rules do.
    mutating func take(
      _ reading: Reading,
      before rest: [Reading],
      sequence: UInt64,
      received: Int64,
      isBacklog: Bool
    ) -> (fate: ReadingFate, steps: [Step]) {
      let told = definition.faults.count
      let fate = definition.take(
        reading,
        before: rest,
        sequence: sequence,
        received: received,
        isBacklog: isBacklog
      )
      var steps: [Step] = []
      func move(_ rule: Int, _ isTrue: Bool, at time: Int64, _ value: Double, _ by: UInt64) {
        guard stands[rule] != isTrue else { return }
        stands[rule] = isTrue
        steps.append(
          Step(firstRule + rule, isRaised: isTrue, time: time, (received, by, value))
        )
      }
      for fault in definition.faults[told...] {
        move(0, fault.isFault, at: fault.time, fault.ahead, fault.isFault ? sequence : 0)
      }
      guard case .judged(let time) = fate, reading.status.use == .evaluate, reading.value.isFinite
      else { return (fate, steps) }
      let first = 1 + 3 * Int(reading.channel.rawValue - device.channels.lowerBound)
      for (place, limit) in ClockOracleTests.limits.enumerated() {
        move(first + place, reading.value >= limit, at: time, reading.value, sequence)
      }
      return (fate, steps)
    }
  }

  private static func plant(_ random: inout DetectorRandom) -> (PlanBuilder, [Expected]) {
    var builder = PlanBuilder(devices: 0)
    var devices: [Expected] = []
    for row in 0..<5 {
      let first = UInt32(builder.plan.channels.count)
      let device = RandomDevice(&random, channels: first..<first + UInt32(1 + random.below(3)))
      builder.plan.devices.append(
        DevicePlan(
          id: StableID(name: "d\(row)"),
          clockToleranceMilliseconds: device.tolerance ?? DevicePlan.unguarded
        )
      )
      let firstRule = builder.plan.rules.count
      for channel in device.channels {
        builder.plan.channels.append(
          ChannelPlan(id: StableID(name: "d\(row)/c\(channel)"), device: UInt32(row))
        )
        if channel == first { builder.add("clock", .clockFault, channel: channel) }
        for limit in limits { builder.add("high \(limit)", .high(limit), channel: channel) }
      }
      devices.append(
        Expected(
          device: device,
          definition: ClockDefinition(tolerance: device.tolerance, channels: device.channels),
          firstRule: firstRule,
          stands: [Bool](repeating: false, count: 1 + 3 * device.channels.count)
        )
      )
    }
    return (builder, devices)
  }

  /// The next messages of all devices, as one batch.
  private static func fill(
    _ batch: inout ReadingBatch,
    from devices: inout [Expected],
    _ sequence: inout UInt64,
    _ random: inout DetectorRandom
  ) -> Set<Int> {
    var senders: Set<Int> = []
    // Sometimes several messages are received at one time.
    for message in 0..<(random.below(10) == 0 ? 2 : 1) {
      let row = devices.indices.min { devices[$0].device.due < devices[$1].device.due } ?? 0
      if message == 0 {
        let received = max(batch.received.milliseconds, devices[row].device.due)
        batch.reset(received: Timestamp(milliseconds: received), baseSequence: sequence)
      }
      let next = devices[row].device.send(at: batch.received.milliseconds, &random)
      sequence += 1
      senders.insert(row)
      // (A batch waited at the broker as a whole, or not.)
      if message == 0 { batch.isBacklog = next.isBacklog }
      for reading in next.readings { batch.append(reading, sequence: sequence) }
    }
    return senders
  }

  private static func owner(of channel: UInt32, _ devices: [Expected]) -> Int {
    devices.firstIndex { $0.device.channels.contains(channel) } ?? 0
  }

  @Test("judged, held late and quarantined as defined", arguments: seeds)
  func guardOfClocks(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 900)
    var (builder, devices) = Self.plant(&random)
    var engine = try Engine(plan: builder.plan)
    var out: [Transition] = []
    var batch = ReadingBatch()
    batch.reset(received: Timestamp(milliseconds: epochOfTests), baseSequence: 0)
    var sequence: UInt64 = 0
    var (readings, late, duplicates) = (0, UInt64(0), UInt64(0))
    while readings < Self.count {
      // A snapshot goes on as well.
      if random.below(2000) == 0 {
        engine = try Engine(plan: builder.plan, restoring: engine.snapshot())
      }
      let senders = Self.fill(&batch, from: &devices, &sequence, &random)
      readings += batch.count
      var expected: [Step] = []
      for index in 0..<batch.count {
        let rest = (index + 1..<batch.count).prefix {
          batch.sequence(at: $0) == batch.sequence(at: index)
        }
        let (fate, steps) = devices[Self.owner(of: batch.channel[index], devices)].take(
          batch.reading(at: index),
          before: rest.map { batch.reading(at: $0) },
          sequence: batch.sequence(at: index),
          received: batch.received.milliseconds,
          isBacklog: batch.isBacklog
        )
        expected += steps
        if fate == .late { late += 1 }
        if fate == .duplicate { duplicates += 1 }
      }
      engine.apply(batch, into: &out)
      let found = out.compactMap(Step.init)
      out.removeAll(keepingCapacity: true)
      let agrees =
        found == expected && engine.counters.late == late
        && engine.counters.duplicates == duplicates
        && senders.allSatisfy { isSame(engine, $0, devices[$0].definition) }
      guard agrees else {
        Issue.record("SEED=\(seed) \(difference(engine, senders, devices, batch, found, expected))")
        return
      }
    }
    #expect(engine.counters.clockFaults > 5, "SEED=\(seed): the stream tests nothing")
  }

  @Test("times of a channel never go back, but where the time base changes", arguments: seeds)
  func timesGoOn(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 1900)
    var (builder, devices) = Self.plant(&random)
    var engine = try Engine(plan: builder.plan)
    var out: [Transition] = []
    var batch = ReadingBatch()
    batch.reset(received: Timestamp(milliseconds: epochOfTests), baseSequence: 0)
    var sequence: UInt64 = 0
    var readings = 0
    var newest = [Int64](repeating: .min, count: builder.plan.channels.count)
    var bases = [DeviceClock?](repeating: nil, count: devices.count)
    while readings < Self.count {
      let senders = Self.fill(&batch, from: &devices, &sequence, &random)
      readings += batch.count
      engine.apply(batch, into: &out)
      for row in senders {
        var base = engine.clock(ofDevice: UInt32(row))
        base?.skewMilliseconds = nil
        base?.driftPartsPerMillion = nil
        guard base != bases[row] else { continue }
        bases[row] = base
        // (It may have changed between two readings of the message.)
        for channel in devices[row].device.channels { newest[Int(channel)] = .min }
        out.removeAll { devices[row].device.channels.contains($0.channel.rawValue) }
      }
      for step in out where builder.plan.rules[Int(step.rule.rawValue)].detector.isLimit {
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
    _ devices: [Expected],
    _ batch: ReadingBatch,
    _ found: [Step],
    _ expected: [Step]
  ) -> String {
    var lines = [
      "at \(batch.received.milliseconds), backlog \(batch.isBacklog), \(engine.counters)",
      "expected \(expected)",
      "found \(found)",
    ]
    for row in senders {
      let (device, definition) = (devices[row].device, devices[row].definition)
      lines.append(
        """
        device \(row), tolerance \(definition.tolerance ?? -1), channels \(device.channels): \
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
