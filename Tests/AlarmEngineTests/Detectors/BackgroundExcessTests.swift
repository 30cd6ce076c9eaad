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
      guard got.statistic == excess, got.condition == Truth(active) else {
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
}
