import AlarmEngine
import Telemetry
import Testing

/// Detectors that learn, in the engine: their alarms return, and what comes after is found.
@Suite("Frozen baselines in the engine")
struct FreezeTests {
  /// Feeds a reading a second for so many seconds, from where the last call ended.
  private struct Feed: ~Copyable {
    var bench: Bench
    var random = DetectorRandom(seed: 11)
    var time: Int64 = 0

    mutating func run(_ seconds: Int, level: Double, step: Int64 = 1000) -> [TransitionKind] {
      for _ in 0..<seconds {
        time += step
        bench.read(time, level + random.normal())
      }
      defer { bench.out = [] }
      return bench.out.map(\.kind)
    }
  }

  private func feed(_ detector: Detector) throws -> Feed {
    var builder = PlanBuilder()
    builder.add("learns", detector)
    return Feed(bench: try Bench(builder))
  }

  @Test("robust z: an excursion longer than the window ends with the first normal reading")
  func robust() throws {
    var feed = try feed(
      .robustZScore(RobustZScore.Parameters(span: 60_000, longestFreeze: 600_000))
    )
    #expect(feed.run(600, level: 10) == [])
    #expect(feed.run(300, level: 110) == [.raised])
    #expect(feed.run(1, level: 10) == [.returned])
    #expect(feed.run(600, level: 10) == [])
    #expect(feed.run(20, level: 110) == [.raised])
    // Longer than the freeze: what has become usual is learnt, and the way back is an excursion.
    #expect(feed.run(700, level: 110) == [.returned])
    #expect(feed.run(20, level: 10) == [.raised])
  }

  @Test("EWMA z: after a freeze that is too long the new level is learnt, and the alarm returns")
  func ewma() throws {
    var feed = try feed(.ewmaZScore(EWMAZScore.Parameters(longestFreeze: 600_000)))
    #expect(feed.run(600, level: 10) == [])
    #expect(feed.run(590, level: 50) == [.raised])
    #expect(feed.run(60, level: 50) == [.returned])
    #expect(feed.run(600, level: 50) == [])
    #expect(feed.run(60, level: 110) == [.raised])
  }

  @Test("control charts: learning anew may take longer than the freeze")
  func charts() throws {
    let baseline = ControlBaseline.learned(readings: 200)
    for detector in [
      Detector.cusum(TabularCUSUM.Parameters(baseline: baseline, longestFreeze: 60_000)),
      .ewmaChart(EWMAChart.Parameters(baseline: baseline, longestFreeze: 60_000)),
    ] {
      var feed = try feed(detector)
      _ = feed.run(220, level: 10)
      #expect(feed.run(300, level: 40).first == .raised)
      #expect(feed.bench.standing().allSatisfy { !$0.isActive })
      #expect(feed.run(100, level: 90).contains(.raised))
    }
  }

  @Test("seasonal: a level that stays becomes the usual one")
  func seasonal() throws {
    let minutes = 7 * 24 * 6
    var feed = try feed(.seasonal(SeasonalBaseline.Parameters()))
    #expect(feed.run(3 * minutes, level: 10, step: 600_000) == [])
    #expect(feed.run(minutes / 2, level: 60, step: 600_000) == [.raised])
    #expect(feed.run(6 * minutes, level: 60, step: 600_000).contains(.returned))
    #expect(feed.bench.standing().allSatisfy { !$0.isActive })
  }
}
