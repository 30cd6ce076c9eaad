import AlarmEngine
import Testing

@Suite("Three-valued logic and counting")
struct LogicTests {
  @Test("and, or, not are Kleene's tables")
  func kleene() {
    let table: [(Truth, Truth, Truth, Truth)] = [
      (.no, .no, .no, .no), (.no, .unknown, .no, .unknown), (.no, .yes, .no, .yes),
      (.unknown, .no, .no, .unknown), (.unknown, .unknown, .unknown, .unknown),
      (.unknown, .yes, .unknown, .yes), (.yes, .no, .no, .yes), (.yes, .unknown, .unknown, .yes),
      (.yes, .yes, .yes, .yes),
    ]
    for (left, right, and, or) in table {
      #expect((left && right) == and && (left || right) == or)
    }
    #expect(!Truth.no == .yes && !Truth.yes == .no && !Truth.unknown == .unknown)
  }

  @Test("n of m says what every completion of the unknowns says")
  func voting() {
    for members in 0...6 {
      for code in 0..<power(3, members) {
        var states: [Int] = []
        var rest = code
        for _ in 0..<members {
          states.append(rest % 3)
          rest /= 3
        }
        let yes = states.count { $0 == 2 }
        let unknown = states.count { $0 == 1 }
        for needed in 0...(members + 1) {
          // All ways to fill in what is unknown.
          var outcomes: Set<Bool> = []
          for fill in 0..<(1 << unknown) { outcomes.insert(yes + fill.nonzeroBitCount >= needed) }
          let want: Truth = outcomes.count == 2 ? .unknown : Truth(outcomes.contains(true))
          #expect(Truth.atLeast(needed, yes: yes, unknown: unknown) == want)
        }
      }
    }
  }

  private func power(_ base: Int, _ exponent: Int) -> Int {
    (0..<exponent).reduce(1) { product, _ in product * base }
  }

  @Test(
    "for-duration equals a look back over the samples",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func persistence(seed: UInt64) {
    var random = DetectorRandom(seed: seed)
    var clock = Persistence()
    var history: [(Int64, Truth)] = []
    var time: Int64 = 0
    for _ in 0..<100_000 {
      time += Int64(random.below(3000))
      let truth = [Truth.yes, .yes, .yes, .yes, .no, .unknown][random.below(6)]
      history.append((time, truth))
      var start = history.count - 1
      while start > 0, history[start].1 == .yes, history[start - 1].1 == .yes { start -= 1 }
      let hasLasted = time - history[start].0 >= 5000
      // Only what was known to be false before has certainly not lasted.
      let isShort = start > 0 && history[start - 1].1 == .no
      let want: Truth = truth != .yes ? truth : hasLasted ? .yes : isShort ? .no : .unknown
      let got = clock.step(time: time, condition: truth, duration: 5000)
      var copy: Persistence? = clock
      if random.below(10) == 0 {
        var bytes: [UInt8] = []
        clock.write(into: &bytes)
        var reader = StateReader(bytes)
        copy = try? Persistence(reading: &reader)
      }
      guard got == want, copy == clock else {
        Issue.record("SEED=\(seed) \(history.count)")
        return
      }
    }
  }

  @Test("four blue make a yellow, three yellow an orange, two orange a red")
  func cascade() throws {
    let cascade = try CountCascade()
    for blue in 0...16 {
      for yellow in 0...8 {
        for orange in 0...4 {
          for red in 0...1 {
            // The oracle trades in one group at a time.
            var counts = [blue, yellow, orange, red]
            for (grade, size) in [4, 3, 2].enumerated() {
              while counts[grade] >= size {
                counts[grade] -= size
                counts[grade + 1] += 1
              }
            }
            let highest = counts.lastIndex { $0 > 0 }
            let want = highest.flatMap { AlarmPriority(rawValue: UInt8($0 + 1)) }
            let got = cascade.grade(
              of: .init(blue: blue, yellow: yellow, orange: orange, red: red)
            )
            #expect(got == want, "\(blue) \(yellow) \(orange) \(red)")
          }
        }
      }
    }
    #expect(cascade.grade(of: .init(blue: 3)) == .blue)
    #expect(cascade.grade(of: .init(blue: 4)) == .yellow)
    #expect(cascade.grade(of: .init(blue: 4, yellow: 2)) == .orange)
    #expect(cascade.grade(of: .init(blue: 24)) == .red)
    #expect(throws: DetectorError.self) { try CountCascade(bluePerYellow: 1) }
  }
}

@Suite("Interlock verification")
struct InterlockTests {
  enum Act {
    case step(Int64, Truth, Truth)
    case tick(Int64)
  }

  static let cases: [(String, [Act], InterlockVerification.State, Truth)] = [
    ("in time", [.step(0, .yes, .no), .step(1500, .yes, .yes)], .verified, .no),
    ("at the deadline", [.step(0, .yes, .no), .step(2000, .yes, .yes)], .verified, .no),
    (
      "waiting at the deadline", [.step(0, .yes, .no), .step(2000, .yes, .no)], .awaitingResponse,
      .no
    ),
    ("deadline passed", [.step(0, .yes, .no), .tick(2000)], .failed, .yes),
    ("a tick before", [.step(0, .yes, .no), .tick(1999)], .awaitingResponse, .no),
    ("late by a millisecond", [.step(0, .yes, .no), .step(2001, .yes, .no)], .failed, .yes),
    ("late response verifies", [.step(0, .yes, .no), .step(2001, .yes, .yes)], .verified, .no),
    ("feedback unknown", [.step(0, .yes, .unknown), .tick(2000)], .unverified, .unknown),
    (
      "unknown, then no", [.step(0, .yes, .unknown), .tick(2000), .step(2500, .yes, .no)], .failed,
      .yes
    ),
    ("cause unknown starts nothing", [.step(0, .unknown, .no), .tick(9000)], .idle, .no),
    (
      "cause unknown ends nothing", [.step(0, .yes, .no), .step(500, .unknown, .no), .tick(2000)],
      .failed, .yes
    ),
    ("cause gone in time", [.step(0, .yes, .no), .step(1000, .no, .no), .tick(5000)], .idle, .no),
    (
      "response lost again",
      [.step(0, .yes, .yes), .step(3000, .yes, .no), .tick(4999), .tick(5000)], .failed, .yes
    ),
    ("already cut", [.step(0, .no, .yes), .step(1000, .yes, .yes)], .verified, .no),
    (
      "restored in time",
      [.step(0, .yes, .yes), .step(10_000, .no, .yes), .step(12_000, .no, .no)],
      .idle, .no
    ),
    (
      "not restored", [.step(0, .yes, .yes), .step(10_000, .no, .yes), .tick(15_000)], .notRestored,
      .yes
    ),
    (
      "restore unknown", [.step(0, .yes, .yes), .step(10_000, .no, .unknown), .tick(15_000)],
      .restoreUnverified, .unknown
    ),
    (
      "restore unknown stays so",
      [
        .step(0, .yes, .yes), .step(10_000, .no, .unknown), .tick(15_000),
        .step(16_000, .no, .unknown),
      ],
      .restoreUnverified, .unknown
    ),
    (
      "cause back while restoring",
      [.step(0, .yes, .yes), .step(10_000, .no, .yes), .step(11_000, .yes, .yes)], .verified, .no
    ),
  ]

  @Test("cause, response, deadline", arguments: cases.indices)
  func table(row: Int) throws {
    let (name, acts, state, condition) = Self.cases[row]
    var interlock = try InterlockVerification(.init(deadline: 2000, restoreDeadline: 5000))
    for act in acts {
      switch act {
      case .step(let time, let cause, let response):
        interlock.step(time: time, cause: cause, response: response)
      case .tick(let time):
        interlock.advance(to: time)
      }
      let fresh = try InterlockVerification(.init(deadline: 2000, restoreDeadline: 5000))
      #expect(try restarted(interlock, as: fresh) == interlock)
    }
    #expect(interlock.state == state && interlock.condition == condition, "\(name)")
  }

  @Test("ticks between readings change nothing", arguments: 1...20 as ClosedRange<UInt64>)
  func ticks(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    var plain = try InterlockVerification(.init(deadline: 2000, restoreDeadline: 3000))
    var ticked = plain
    var time: Int64 = 0
    for _ in 0..<20_000 {
      let next = time + Int64(random.below(3000)) + 1
      for tick in stride(from: time, to: next, by: 400) { ticked.advance(to: tick) }
      time = next
      let cause = [Truth.yes, .yes, .no, .unknown][random.below(4)]
      let response = [Truth.yes, .no, .no, .unknown][random.below(4)]
      let left = plain.step(time: time, cause: cause, response: response)
      let right = ticked.step(time: time, cause: cause, response: response)
      #expect(left == right && plain == ticked, "SEED=\(seed)")
    }
  }
}
