import AlarmEngine
import Telemetry
import Testing

/// Replayed runs in the engine, against every stretch that repeats, whatever lies between: with bad status, gaps and late
/// readings.
@Suite("Replayed runs against all repetitions")
struct ReplayOracleTests {
  static let history = 1024
  static let length = 60
  /// Within so many readings more a run is found for sure: until the last eight are found in the table, another eight may have
  /// taken their place.
  static let slack = 24

  /// Fine noise, in which now and then a stretch of the past comes once more.
  private static func readings(_ random: inout DetectorRandom, count: Int) -> [StreamReading] {
    var readings = OracleStream(hasTies: false).readings(&random, count: count)
    var past: [Double] = []
    // (Of what has come once more already nothing comes again: one lag is followed at a time.)
    var freshFrom = 0
    var (left, lag) = (0, 1)
    for index in readings.indices where readings[index].usable != nil && !readings[index].isIgnored
    {
      if left == 0, random.below(500) == 0 {
        left = 20 + random.below(150)
        lag = 200 + random.below(700)
        if past.count - lag < freshFrom { left = 0 }
      }
      let value = left > 0 ? past[past.count - lag] : (random.normal() * 1e6).rounded() / 1e6
      past.append(value)
      readings[index].reading.value = value
      guard left > 0 else { continue }
      left -= 1
      freshFrom = past.count
    }
    return readings
  }

  @Test("raised for nothing else, and never missed", arguments: 1...20 as ClosedRange<UInt64>)
  func replays(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed &+ 500)
    var trial = OracleTrial(seed: seed)
    trial.builder.add(
      "replay",
      .replayedRun(.init(length: Self.length, changes: 20, history: Self.history))
    )
    trial.take(Self.readings(&random, count: 100_000), rest: 1000)
    var changes = try trial.engineChanges(lag: 0, &random)[0][...]
    var values: [Double] = []
    // For each lag, how many of the newest values equal those before.
    var runs = [Int32](repeating: 0, count: Self.history)
    var stands = false
    var raises = 0
    for item in trial.readings where !item.isIgnored {
      guard let value = item.usable else { continue }
      values.append(value)
      var longest: Int32 = 0
      for lag in 1..<min(values.count, Self.history - 8) {
        let run = values[values.count - 1 - lag] == value ? runs[lag] + 1 : 0
        runs[lag] = run
        longest = max(longest, run)
      }
      while let change = changes.first, change.time <= item.time {
        stands = change.isRaised
        raises += stands ? 1 : 0
        changes.removeFirst()
      }
      let isFounded = !stands || longest >= Self.length
      let isFound = stands || longest < Self.length + Self.slack
      guard isFounded, isFound else {
        Issue.record("SEED=\(seed) \(values.count): run of \(longest), alarm \(stands)")
        return
      }
    }
    #expect(raises > 20, "SEED=\(seed): the stream tests nothing")
  }
}
