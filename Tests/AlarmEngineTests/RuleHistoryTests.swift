import AlarmEngine
import Testing

@Suite("What is remembered of rules' conditions")
struct RuleHistoryTests {
  /// What the histories must hold, kept plainly.
  private struct Model {
    var steps: [PhaseChange] = []
    var knownFrom = noTime
  }

  @Test(
    "Many rules' steps in one pool are those that were added, the newest of them",
    arguments: UInt64(1)...8
  )
  func pool(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var histories = RuleHistories()
    var models = (0..<12).map { _ in Model() }
    for index in models.indices { #expect(histories.add() == index) }
    var time: Int64 = 1_700_000_000_000
    for _ in 0..<4_000 {
      let row = Int.random(in: models.indices, using: &random)
      time += Int64.random(in: 0...5_000, using: &random)
      // Now and then a step lies before the one before it: a delayed reading that could not be judged again.
      let isEarlier = random.chance(8)
      let step = step(at: isEarlier ? time - random.int(1...20_000) : time, &random)
      switch Int.random(in: 0..<40, using: &random) {
      case 0:
        histories.forgetSteps(of: row)
        models[row] = Model()
      case 1:
        histories.restart(row, step)
        models[row] = Model(steps: [step], knownFrom: step.time)
      case 2:
        let from = models[row].steps.randomElement(using: &random)?.time ?? time
        let new = (0..<3).map { self.step(at: from + 1 + $0, &random) }
        histories.replaceSteps(of: row, after: from, with: new)
        // Behind the last step that is not after it, as whoever reads the steps takes them.
        let end = models[row].steps.lastIndex { $0.time <= from }.map { $0 + 1 } ?? 0
        models[row].steps.removeSubrange(end...)
        for change in new { add(change, to: &models[row], keeping: RuleHistory.capacity) }
        time += 3
      default:
        let most = row == 0 ? 1 : RuleHistory.capacity
        histories.add(step, to: row, keeping: most)
        add(step, to: &models[row], keeping: most)
      }
      for (row, model) in models.enumerated() {
        #expect(histories.steps(of: row) == model.steps)
        #expect(histories.newestStep(of: row) == model.steps.last)
        #expect(histories[row].knownFrom == model.knownFrom)
      }
    }
  }

  @Test("Steps that come and go for long take no more memory than the most that were kept at once")
  func memory() {
    var random = SeededRandom(seed: 9)
    var histories = RuleHistories()
    let row = histories.add()
    for time in Int64(0)..<64 {
      histories.add(step(at: time, &random), to: row, keeping: RuleHistory.capacity)
    }
    let bytes = histories.byteCount
    for time in Int64(64)..<10_000 {
      histories.add(step(at: time, &random), to: row, keeping: RuleHistory.capacity)
    }
    #expect(histories.byteCount == bytes)
  }

  private static let distances: [(Int64, Bool)] = [
    (0, true), (1, true), (-1, true), (-86_400_000, true), (2_199_023_255_551, true),
    (-2_199_023_255_551, true), (2_199_023_255_552, false), (-2_199_023_255_552, false),
    (.max, false),
  ]

  @Test("A step is packed without loss up to 69 years, and refused beyond", arguments: distances)
  func packing(distance: Int64, fits: Bool) {
    let time: Int64 = 1_764_000_000_000
    let other = distance == .max ? Int64.max : time + distance
    for phase in RuleRecord.Phase.allCases {
      for change in [
        PhaseChange(time: time, phase: phase, since: other, onset: noTime, start: time),
        PhaseChange(time: time, phase: phase, since: noTime, onset: other, start: noTime),
        PhaseChange(time: time, phase: phase, since: time - 1, onset: time - 2, start: other),
      ] {
        #expect(PackedStep(change)?.change == (fits ? change : nil))
      }
    }
  }

  @Test("A step that cannot be packed is the end of what is known, not a false memory")
  func unpackable() {
    var histories = RuleHistories()
    let row = histories.add()
    let first = PhaseChange(time: 10, phase: .active, since: 5, onset: 5, start: 5)
    histories.add(first, to: row, keeping: RuleHistory.capacity)
    let far: Int64 = 3_000_000_000_000
    let second = PhaseChange(time: far, phase: .pendingOff, since: far, onset: 5, start: 5)
    histories.add(second, to: row, keeping: RuleHistory.capacity)
    #expect(histories.steps(of: row).isEmpty)
    #expect(histories[row].knownFrom == never)
    // From the next step that can be, everything is known again.
    let third = PhaseChange(time: far + 9, phase: .idle, since: far, onset: far, start: noTime)
    histories.add(third, to: row, keeping: RuleHistory.capacity)
    #expect(histories.steps(of: row) == [third])
    #expect(histories[row].knownFrom == third.time)
  }

  private func step(at time: Int64, _ random: inout SeededRandom) -> PhaseChange {
    func other() -> Int64 {
      Bool.random(using: &random)
        ? noTime : time - Int64.random(in: 0...10_000_000_000, using: &random)
    }
    return PhaseChange(
      time: time,
      phase: random.pick(RuleRecord.Phase.allCases),
      since: other(),
      onset: other(),
      start: other()
    )
  }

  private func add(_ change: PhaseChange, to model: inout Model, keeping most: Int) {
    if model.steps.count >= most {
      model.steps.removeFirst(model.steps.count - most + 1)
      model.knownFrom = model.steps.first?.time ?? change.time
    }
    model.steps.append(change)
  }
}
