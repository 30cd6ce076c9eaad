import AlarmEngine
import Testing

@Suite("Background excess")
struct BackgroundExcessTests {
  @Test(
    "the background is the low quantile of the window",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func oracle(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    let share = [0, 0.05, 0.1, 0.5][Int(seed % 4)]
    var detector = try BackgroundExcess(
      .init(limit: 1, restore: 0.4, span: 600_000, share: share, minimumCount: 5)
    )
    var samples: [Sample] = []
    var active = false
    for index in 0..<100_000 {
      let time = Int64(index) * 20_000 + Int64(random.below(20_000))
      let plume = index / 40 % 5 == 0 ? abs(random.normal()) * 2 : 0
      let value = 2 + Double(index) * 0.001 + 0.05 * random.normal() + plume
      samples.append(Sample(time: time, value: value))
      let got = detector.step(time: time, value: value)
      let window = samples.suffix(100).filter { time - $0.time < 600_000 }.map(\.value).sorted()
      guard window.count >= 5 else {
        guard got.condition == .unknown else {
          Issue.record("SEED=\(seed) \(index)")
          return
        }
        continue
      }
      let excess = value - window[Int(share * Double(window.count - 1))]
      active = active ? excess >= 0.4 : excess > 1
      // Until the readings go back by as much as a plume may fill, what is not above it is not known.
      let isWhole = Double(time - samples[0].time) >= (1 - share) * 600_000
      let want: Truth = active ? .yes : isWhole ? .no : .unknown
      guard got.statistic == excess, got.condition == want else {
        Issue.record("SEED=\(seed) \(index)")
        return
      }
    }
    var copy = try restarted(
      detector,
      as: BackgroundExcess(
        .init(limit: 1, restore: 0.4, span: 600_000, share: share, minimumCount: 5)
      )
    )
    #expect(
      copy.step(time: 2_000_050_000, value: 3) == detector.step(time: 2_000_050_000, value: 3)
    )
  }

  @Test(
    "a plume of two hours stays an alarm however fast readings come, also over a restart",
    arguments: [1, 4, 60] as [Int64]
  )
  func dense(seconds: Int64) throws {
    var detector = try BackgroundExcess(.init(limit: 10))
    for second in stride(from: Int64(0), to: 3600, by: Int(seconds)) {
      let got = detector.step(time: second * 1000, value: 1)
      #expect(got.condition == .unknown, "\(second)")
    }
    for second in stride(from: Int64(3600), to: 10_800, by: Int(seconds)) {
      if second % 1200 == 0 {
        detector = try restarted(detector, as: BackgroundExcess(.init(limit: 10)))
      }
      let got = detector.step(time: second * 1000, value: 60)
      #expect(got.condition == .yes && got.statistic == 59, "\(second)")
    }
    #expect(detector.step(time: 10_800_000, value: 1).condition == .no)
  }

  @Test("all readings are kept again after a span in which none was left out")
  func room() throws {
    var detector = try BackgroundExcess(.init(limit: 10, span: 600_000, share: 0, capacity: 100))
    func excess(_ second: Int64, _ value: Double) -> Double {
      detector.step(time: second * 1000, value: value).statistic
    }
    for second in Int64(0)...1000 { #expect(excess(second, 5) == 0) }
    #expect(excess(1010, 5) == 0)
    #expect(excess(1011, 1) == -4, "it is not kept: six seconds are to lie between two readings")
    for second in stride(from: Int64(1020), through: 1610, by: 10) {
      #expect(excess(second, 5) == 0)
    }
    #expect(excess(1611, 1) == 0, "it is kept, and the least of the window")
    #expect(excess(1612, 5) == 4)
  }

  @Test("what was written while only the newest readings were kept reaches back from then on")
  func newestOnly() throws {
    var window = try SlidingWindow(span: 600_000, capacity: 100, statistics: .order)
    for second in Int64(0)..<300 { window.step(time: second * 1000, value: 1) }
    var bytes: [UInt8] = []
    window.write(into: &bytes)
    bytes.appendState(false)
    bytes.appendState(Int64(0))
    bytes.appendState(false)
    bytes.appendState(0.0)
    var detector = try BackgroundExcess(.init(limit: 10, span: 600_000, capacity: 100))
    var reader = StateReader(bytes)
    try detector.restore(from: &reader)
    #expect(reader.isAtEnd)
    for second in Int64(300)..<600 {
      let got = detector.step(time: second * 1000, value: 60)
      #expect(got.condition == .yes && got.statistic == 59, "\(second)")
    }
  }

  /// A plume over a background of 1 that is raised at 600 s, and then a silence of 18 minutes.
  private func silenced() throws -> BackgroundExcess {
    var detector = try BackgroundExcess(.init(limit: 10, span: 600_000))
    for second in stride(from: Int64(0), to: 600, by: 10) {
      #expect(detector.step(time: second * 1000, value: 1).condition != .yes)
    }
    #expect(detector.step(time: 600_000, value: 60).condition == .yes)
    return try restarted(detector, as: BackgroundExcess(.init(limit: 10, span: 600_000)))
  }

  @Test("a plume that stands before and after a long silence is none of its background")
  func silence() throws {
    var detector = try silenced()
    for second in stride(from: Int64(1680), to: 2160, by: 10) {
      let got = detector.step(time: second * 1000, value: 60)
      #expect(got.condition == .yes && got.statistic == 59, "\(second)")
    }
    #expect(detector.step(time: 2_160_000, value: 60).condition == .no, "it has lasted 480 s")
  }

  @Test("a plume that goes on from silence to silence becomes its background all the same")
  func silences() throws {
    var detector = try silenced()
    for second in [1680, 2080] as [Int64] {
      #expect(detector.step(time: second * 1000, value: 60).condition == .yes, "\(second)")
    }
    var other = detector
    #expect(
      detector.step(time: 2_480_000, value: 60).condition == .no,
      "it has lasted for over 480 s"
    )
    // One that leaves nothing in the window tells nothing of what is the background.
    #expect(other.step(time: 2_800_000, value: 60).condition == .yes)
  }

  @Test("a plume that is gone after a long silence is known to be gone")
  func gone() throws {
    var detector = try silenced()
    #expect(detector.step(time: 1_680_000, value: 1).condition == .no)
  }

  @Test("a rise within the first readings is seen, what is none then is not known to be none")
  func beginning() throws {
    var detector = try BackgroundExcess(.init(limit: 10, span: 600_000))
    #expect(detector.step(time: 0, value: 1).condition == .unknown)
    #expect(detector.step(time: 10_000, value: 60).condition == .yes)
    for second in stride(from: Int64(20), to: 480, by: 20) {
      #expect(detector.step(time: second * 1000, value: 1).condition == .unknown)
    }
    #expect(detector.step(time: 480_000, value: 1).condition == .no)
  }
}
