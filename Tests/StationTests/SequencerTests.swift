import Station
import Testing

@Suite("Receive times")
struct SequencerTests {
  @Test(
    "they are the clock's, and where it goes back they go on by nine tenths of it until it is there"
  )
  func clockBack() {
    var sequencer = Sequencer(after: 7, received: 1_000)
    #expect(sequencer.stamp(5_000) == 5_000)
    #expect(sequencer.stamp(6_000) == 6_000)
    // An hour back: what passes from then on still passes.
    var clock: Int64 = 6_000 - 3_600_000
    #expect(sequencer.stamp(clock) == 6_000)
    for _ in 0..<1_000 {
      clock += 7
      _ = sequencer.stamp(clock)
    }
    #expect(sequencer.lastReceived == 6_000 + 6_300)
    var meets = 0
    while sequencer.lastReceived > clock {
      clock += 60_000
      _ = sequencer.stamp(clock)
      meets += 1
      if meets > 10_000 { break }
    }
    #expect((590...600).contains(meets), "ten hours take up one")
    #expect(sequencer.stamp(clock + 1) == clock + 1)
  }

  @Test("a clock that goes ahead of the time that has passed is told, one that goes back is not")
  func leaps() {
    var watch = ClockWatch()
    // Wall and monotonic clock, and the leap between them.
    let looks: [(wall: Int64, monotonic: Int64, leap: Int64?)] = [
      (5_000_000, 10, nil),
      (5_000_020, 30, nil),
      (5_060_020, 60_030, nil),
      (8_660_020, 60_030, 3_600_000),
      (8_660_040, 60_050, nil),
      (8_665_040, 60_050, nil),
      (5_000_000, 60_070, nil),
      (5_000_020, 60_090, nil),
    ]
    for look in looks {
      #expect(watch.leap(wall: look.wall, monotonic: look.monotonic) == look.leap, "\(look)")
    }
  }

  @Test("a journal from a clock that was ahead does not stop time")
  func aheadBefore() {
    var sequencer = Sequencer(after: 7, received: 1_000_000)
    #expect(sequencer.stamp(10) == 1_000_000)
    #expect(sequencer.stamp(110) == 1_000_090)
    // It never goes back.
    #expect(sequencer.stamp(50) == 1_000_090)
    #expect(sequencer.stamp(150) == 1_000_180)
  }
}
