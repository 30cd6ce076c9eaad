import AlarmEngine
import Telemetry
import Testing

/// A group of signals of which one is silent or broken says nothing: that neither raises nor clears.
@Suite("A multivariate group with a hole")
struct GroupGapTests {
  private func bench(onDelay: Int64 = 0, offDelay: Int64 = 0) throws -> Bench {
    var random = SeededRandom(seed: 3)
    let normal = (0..<200).map { _ in (0..<3).map { _ in Double(random.int(0...100)) / 10 } }
    let model = try MultivariateModel.learn(
      rows: normal,
      parameters: .init(lags: 0, smoothing: 1)
    )
    var builder = PlanBuilder(channelsPerDevice: 3)
    builder.add(
      "group",
      .multivariate(model, signals: (0..<3).map { ChannelIndex(rawValue: $0) }),
      onDelay: onDelay,
      offDelay: offDelay
    )
    builder.add("stale", .stale(afterMilliseconds: 30_000), channel: 1)
    return try Bench(builder)
  }

  private func sample(
    _ bench: inout Bench,
    _ second: Int64,
    _ value: Double,
    without: UInt32? = nil
  ) {
    for channel in UInt32(0)..<3 where channel != without {
      bench.read(second * 1000, value, channel: channel)
    }
  }

  @Test("an on-delay does not run on over a signal that has fallen silent, an off-delay neither")
  func silence() throws {
    var bench = try bench(onDelay: 60_000)
    for second in Int64(0)..<5 { sample(&bench, second, 100) }
    for second in Int64(5)..<120 { sample(&bench, second, 100, without: 1) }
    #expect(bench.take() == ["raised r1 34000 unacknowledged"])

    bench = try self.bench(offDelay: 60_000)
    for second in Int64(0)..<5 { sample(&bench, second, 100) }
    for second in Int64(5)..<10 { sample(&bench, second, 5) }
    _ = bench.take()
    for second in Int64(10)..<120 { sample(&bench, second, 5, without: 1) }
    #expect(bench.take() == ["raised r1 39000 unacknowledged"])
    #expect(bench.standing().first { $0.rule.rawValue == 0 }?.isActive == true)
  }

  @Test("a broken signal takes a running delay back, and a whole sample goes on")
  func broken() throws {
    var bench = try bench(onDelay: 10_000)
    for second in Int64(0)..<5 { sample(&bench, second, 100) }
    bench.read(5000, 0, channel: 1, status: .lineBroken)
    bench.tick(20_000)
    #expect(bench.take() == [])
    for second in Int64(21)..<40 { sample(&bench, second, 100) }
    #expect(bench.take() == ["raised r0 31000 unacknowledged"])
  }
}
