import AlarmEngine
import Telemetry
import Testing

/// What the oracles of this folder have found, each at its smallest.
@Suite("Found by oracles")
struct OracleFindingTests {
  private func bench(_ expressions: String..., onDelay: Int64, offDelay: Int64) throws -> Bench {
    var builder = PlanBuilder(channelsPerDevice: 2)
    for text in expressions {
      let expression = try CompiledExpression(text) { name in
        Int(name.dropFirst()).map { SignalType(index: $0, kind: .quantity(.number)) }
      }
      builder.add(
        text,
        .expression(
          expression,
          signals: expression.signals.map { ChannelIndex(rawValue: UInt32($0.index)) }
        ),
        onDelay: onDelay,
        offDelay: offDelay
      )
    }
    return try Bench(builder)
  }

  /// Several readings (second, channel, value) in one message.
  private func send(_ readings: [(Int64, UInt32, Double)], to bench: inout Bench, isBacklog: Bool) {
    let last = readings.reduce(0) { max($0, $1.0) }
    var batch = ReadingBatch(received: at(last * 1000), baseSequence: bench.sequence)
    batch.isBacklog = isBacklog
    for (second, channel, value) in readings {
      batch.append(
        Reading(
          channel: ChannelIndex(rawValue: channel),
          time: at(second * 1000),
          value: value
        ),
        sequence: bench.sequence
      )
      bench.sequence += 1
    }
    bench.engine.apply(batch, into: &bench.out)
  }

  @Test(
    "a delay of an expression runs out within a message, whichever channel ends it",
    arguments: [false, true]
  )
  func delayWithinMessage(isBacklog: Bool) throws {
    var bench = try bench("c0 > 5 and c1 > 5", onDelay: 2000, offDelay: 2000)
    bench.read(0, 9)
    send([(1, 1, 9), (5, 1, 0), (9, 1, 9)], to: &bench, isBacklog: isBacklog)
    #expect(
      bench.take() == [
        "raised r0 3000 unacknowledged", "returned r0 7000 returnedUnacknowledged",
      ]
    )
  }

  @Test("what a detector's own deadline ends within a message has lasted until then")
  func deadlineWithinMessage() throws {
    // From 4 s on it has been so for 3 s, and no other thing is.
    var bench = try bench("c0 > 5 and not (c0 > 5 for 3 s)", onDelay: 2000, offDelay: 0)
    bench.read(0, 0)
    bench.read(0, 0, channel: 1)
    send([(1, 0, 9), (8, 0, 9)], to: &bench, isBacklog: true)
    #expect(
      bench.take() == [
        "raised r0 3000 unacknowledged", "returned r0 4000 returnedUnacknowledged",
      ]
    )
  }

  @Test(
    "what a message says of one signal has not lasted over another that has fallen silent",
    arguments: [0, 1] as [UInt32]
  )
  func silenceWithinMessage(silent: UInt32) throws {
    let conditions: [(text: String, onDelay: Int64, expected: [String])] = [
      ("c0 > 5 and c1 > 5", 10_000, []), ("(c0 > 5 and c1 > 5) for 10 s", 0, []),
      ("c0 > 5 or c1 > 5", 10_000, ["raised r0 10000 unacknowledged"]),
    ]
    for (text, onDelay, expected) in conditions {
      var builder = PlanBuilder(channelsPerDevice: 2)
      let expression = try CompiledExpression(text) { name in
        Int(name.dropFirst()).map { SignalType(index: $0, kind: .quantity(.number)) }
      }
      let signals = expression.signals.map { ChannelIndex(rawValue: UInt32($0.index)) }
      builder.add("e", .expression(expression, signals: signals), onDelay: onDelay)
      builder.add("stale", .stale(afterMilliseconds: 5000), channel: silent)
      var bench = try Bench(builder)
      bench.read(0, 9, channel: silent)
      let other = 1 - silent
      send([(1, other, 9), (20, other, 9), (30, other, 0)], to: &bench, isBacklog: true)
      #expect(bench.take() == expected, "\(text)")
      // The silence itself is told when the engine's time has come to it.
      bench.tick(31_000)
      #expect(bench.take() == ["raised r1 5000 unacknowledged"], "\(text)")
    }
  }

  @Test("a channel that falls silent again before its staleness has returned stays stale")
  func staleAgain() throws {
    var builder = PlanBuilder()
    builder.add("stale", .stale(afterMilliseconds: 3000), offDelay: 5000)
    var bench = try Bench(builder)
    bench.read(0, 1)
    // At 13 s it is silent for 3 s once more.
    send([(10, 0, 1), (20, 0, 1), (21, 0, 1)], to: &bench, isBacklog: true)
    #expect(bench.take() == ["raised r0 3000 unacknowledged"])
  }

  @Test("sums that stop at the decision interval could never be above it")
  func blindCUSUM() {
    #expect(throws: DetectorError.self) { try TabularCUSUM(.init(ceiling: 1)) }
  }
}
