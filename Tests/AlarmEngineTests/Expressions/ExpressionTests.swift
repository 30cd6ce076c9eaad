import AlarmEngine
import Testing

@Suite("Expressions")
struct ExpressionTests {
  static func plain(_ name: String) -> SignalType? {
    guard let index = Tree.names.firstIndex(of: name) else { return nil }
    return SignalType(index: index, kind: index < Tree.quantities ? .quantity(.number) : .state)
  }

  @Test("random expressions say what the tree says", arguments: 1...20 as ClosedRange<UInt64>)
  func random(seed: UInt64) throws {
    var decided = 0
    for round in 0..<300 {
      var maker = TreeMaker(random: DetectorRandom(seed: seed &* 1000 &+ UInt64(round)))
      let tree = maker.condition(1 + round % 5)
      var random = maker.random
      let text = tree.text(&random)
      let expression: CompiledExpression
      do throws(ExpressionError) {
        expression = try CompiledExpression(text, resolve: Self.plain)
      } catch {
        // A large tree may reach a bound; nothing else may be refused.
        #expect(
          error.message.contains("more than") || error.message.contains("longer than"),
          "\(error)\n\(text)"
        )
        continue
      }
      var evaluator = ExpressionEvaluator(expression)
      var walker = TreeWalker(clocks: maker.clocks)
      var time: Int64 = 0
      for step in 0..<60 {
        time += Int64([0, 1, 400, 1000, 3000][random.below(5)])
        let signal = random.below(Tree.names.count)
        let place = expression.signals.firstIndex { $0.index == signal }
        if random.below(8) == 0 {
          walker.isKnown[signal] = false
          if let place { evaluator.invalidate(signal: place) }
        } else {
          let value = Double(random.below(signal < Tree.quantities ? 40 : 2)) / 2
          walker.history[signal].append(Sample(time: time, value: value))
          walker.isKnown[signal] = true
          if let place { evaluator.update(signal: place, time: time, value: value) }
        }
        if step % 20 == 10 {
          evaluator = try restarted(evaluator, as: ExpressionEvaluator(expression))
        }
        let want = walker.truth(tree, time).map { Truth($0) } ?? .unknown
        let got = evaluator.evaluate(at: time)
        decided += want == .unknown ? 0 : 1
        if got != want, !Self.isNearTie(tree) {
          Issue.record("SEED=\(seed) round \(round) step \(step): \(got) ≠ \(want)\n\(text)")
          return
        }
      }
    }
    #expect(decided > 5000)
  }

  @Test(
    "what is known decides whenever it decides for every value of what is not",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func completions(seed: UInt64) throws {
    var random = DetectorRandom(seed: seed)
    let names = (0..<8).map { "s\($0)" }
    var count: [Truth: Int] = [:]
    for round in 0..<200 {
      // Each signal once, so that all of them are free of each other.
      let first = Self.relation(of: Array(names[..<4]), &random)
      let second = Self.relation(of: Array(names[4...]), &random)
      let text = "\(first) \(["and", "or", "or not"][random.below(3)]) \(second)"
      let expression = try CompiledExpression(text) { name in
        names.firstIndex(of: name).map { SignalType(index: $0, kind: .quantity(.number)) }
      }
      var unknown: [Int] = []
      var evaluator = ExpressionEvaluator(expression)
      for place in expression.signals.indices {
        if unknown.count < 5, random.below(2) == 0 {
          unknown.append(place)
        } else {
          evaluator.update(signal: place, time: 0, value: Double(random.below(40)) - 20)
        }
      }
      var found: Set<Truth> = []
      for completion in 0..<(1 << unknown.count) {
        var complete = evaluator
        for (bit, place) in unknown.enumerated() {
          let value: Double = completion >> bit & 1 == 0 ? -1000 : 1000
          complete.update(signal: place, time: 0, value: value)
        }
        found.insert(complete.evaluate(at: 0))
      }
      let want = found.count == 1 ? found.first : .unknown
      let got = evaluator.evaluate(at: 0)
      #expect(got == want, "SEED=\(seed) round \(round): \(text), unknown: \(unknown)")
      count[got, default: 0] += 1
    }
    for truth in Truth.allCases { #expect(count[truth, default: 0] > 3, "SEED=\(seed)") }
  }

  private static func relation(of names: [String], _ random: inout DetectorRandom) -> String {
    let cut = random.below(names.count + 1)
    let left = quantity(of: Array(names[..<cut]), &random)
    let right = quantity(of: Array(names[cut...]), &random)
    return "\(left) \([">", ">=", "<", "<="][random.below(4)]) \(right)"
  }

  /// A quantity that every signal moves one way only; a number where there is none.
  private static func quantity(of names: [String], _ random: inout DetectorRandom) -> String {
    guard let first = names.first else { return "\(random.below(20) - 10)" }
    guard names.count > 1 else { return random.below(3) == 0 ? "-\(first)" : first }
    let cut = 1 + random.below(names.count - 1)
    let left = quantity(of: Array(names[..<cut]), &random)
    let right = quantity(of: Array(names[cut...]), &random)
    let choice = "\(random.below(2) == 0 ? "min" : "max")(\(left), \(right))"
    return random.below(4) == 0 ? "-\(choice)" : choice
  }

  /// Mean, sum and deviation differ from the oracle's in the last digits, which can decide a comparison;
  /// such trees only prove that nothing traps.
  private static func isNearTie(_ tree: Tree) -> Bool {
    switch tree {
    case .window(let function, _, _): ["mean", "stddev", "sum"].contains(function)
    case .arithmetic(_, let a, let b), .relation(_, let a, let b), .and(let a, let b),
      .or(let a, let b):
      isNearTie(a) || isNearTie(b)
    case .negative(let a), .not(let a), .lasting(_, let a, _): isNearTie(a)
    case .extreme(_, let members), .count(_, let members): members.contains { isNearTie($0) }
    case .literal, .signal, .state, .known, .truth: false
    }
  }

  static let site: [String: SignalType] = [
    "T101.level": SignalType(index: 1, kind: .quantity(unit("%"))),
    "T101.temp": SignalType(index: 2, kind: .quantity(unit("°C"))),
    "T102.temp": SignalType(index: 3, kind: .quantity(unit("°C"))),
    "P1.pressure": SignalType(index: 4, kind: .quantity(unit("kPa"))),
    "P2.pressure": SignalType(index: 5, kind: .quantity(unit("MPa"))),
    "A.ch4": SignalType(index: 6, kind: .quantity(unit("%CH4"))),
    "B.ch4": SignalType(index: 7, kind: .quantity(unit("%CH4"))),
    "C.ch4": SignalType(index: 8, kind: .quantity(unit("ppm"))),
    "valve.closed": SignalType(index: 9, kind: .state),
    "D.shift": SignalType(index: 10, kind: .quantity(unit("mm"))),
  ]

  static func unit(_ symbol: String) -> MeasurementUnit {
    guard let unit = MeasurementUnit(symbol) else { fatalError("no unit \(symbol)") }
    return unit
  }

  private func value(_ text: String, _ values: [String: Double], at time: Int64 = 0) throws -> Truth
  {
    let expression = try CompiledExpression(text) { Self.site[$0] }
    var evaluator = ExpressionEvaluator(expression)
    for (name, value) in values {
      if let place = expression.signals.firstIndex(where: { $0 == Self.site[name] }) {
        evaluator.update(signal: place, time: time, value: value)
      }
    }
    return evaluator.evaluate(at: time)
  }

  @Test("units are converted exactly and precedence is as usual")
  func units() throws {
    let cases: [(String, [String: Double], Truth)] = [
      ("T101.level >= 85 %", ["T101.level": 85], .yes),
      ("T101.level > 85 %", ["T101.level": 85], .no),
      ("T101.level > 85 %", [:], .unknown),
      ("P1.pressure >= 0.4 MPa", ["P1.pressure": 400], .yes),
      ("P1.pressure > 0.4 MPa", ["P1.pressure": 400], .no),
      ("P1.pressure > P2.pressure", ["P1.pressure": 401, "P2.pressure": 0.4], .yes),
      ("P2.pressure < P1.pressure + 2 kPa", ["P1.pressure": 400, "P2.pressure": 0.401], .yes),
      ("A.ch4 >= 10000 ppm", ["A.ch4": 1], .yes),
      ("C.ch4 >= 1 %CH4", ["C.ch4": 9999], .no),
      ("C.ch4 >= 1 %CH4", ["C.ch4": 10_000], .yes),
      ("T101.temp > 95 °F", ["T101.temp": 36], .yes),
      ("T101.temp > 95 °F", ["T101.temp": 34], .no),
      ("T101.temp - T102.temp > 5 K", ["T101.temp": 30, "T102.temp": 24], .yes),
      ("T101.temp > T102.temp + 5 K", ["T101.temp": 30, "T102.temp": 24], .yes),
      ("abs(T101.temp - T102.temp) > 5 K", ["T101.temp": 24, "T102.temp": 30], .yes),
      ("D.shift >= 1 m", ["D.shift": 1000], .yes),
      ("2 * D.shift - 1 m > 1 m", ["D.shift": 1001], .yes),
      ("P1.pressure / P2.pressure > 0.9", ["P1.pressure": 400, "P2.pressure": 0.4], .yes),
      ("1 + 2 * 3 == 7", [:], .yes), ("(1 + 2) * 3 == 9", [:], .yes), ("-2 - -3 == 1", [:], .yes),
      ("8 / 4 / 2 == 1", [:], .yes), ("1 > 0 or 1 / 0 > 0 and false", [:], .yes),
      ("1 / 0 > 0", [:], .unknown), ("not not true", [:], .yes),
      ("max(T101.temp, T102.temp) ≥ 30 °C", ["T101.temp": 30, "T102.temp": 2], .yes),
      ("max(T101.temp, 60 s) >= 30 °C", ["T101.temp": 30], .yes),
      ("max(A.ch4, B.ch4) >= 1 %CH4", ["A.ch4": 2], .yes),
      ("max(A.ch4, B.ch4) >= 1 %CH4", ["A.ch4": 0.5], .unknown),
      ("max(A.ch4, B.ch4) < 1 %CH4", ["A.ch4": 1], .no),
      ("1 %CH4 <= max(B.ch4, C.ch4)", ["C.ch4": 20_000], .yes),
      ("1 %CH4 <= max(C.ch4, B.ch4)", ["B.ch4": 2], .yes),
      ("max(B.ch4, C.ch4) > C.ch4", ["B.ch4": 2], .unknown),
      ("min(A.ch4, B.ch4) >= 1 %CH4", ["A.ch4": 0.5], .no),
      ("min(A.ch4, B.ch4) >= 1 %CH4", ["A.ch4": 2], .unknown),
      ("min(max(A.ch4, B.ch4), 5 %CH4) > 1 %CH4", ["B.ch4": 2], .yes),
      ("-max(A.ch4, B.ch4) <= -1 %CH4", ["B.ch4": 1], .yes),
      ("max(T101.temp, T102.temp) > 86 °F", ["T102.temp": 31], .yes),
      ("95 °F < max(T101.temp, T102.temp)", ["T102.temp": 36], .yes),
      ("max(A.ch4, B.ch4) == 2 %CH4", ["A.ch4": 2], .unknown),
      ("max(A.ch4, B.ch4) + 0 %CH4 > 1 %CH4", ["A.ch4": 2], .unknown),
      ("not valve.closed", ["valve.closed": 0], .yes),
      ("valve.closed or T101.level > 85%", ["T101.level": 90], .yes),
      ("valve.closed and T101.level > 85%", ["T101.level": 90], .unknown),
      ("known(T101.level)", [:], .no), ("known(T101.level)", ["T101.level": 1], .yes),
      (
        "2 of (A.ch4 >= 1 %CH4, B.ch4 >= 1 %CH4, C.ch4 >= 1 %CH4)",
        ["A.ch4": 1, "B.ch4": 0.5, "C.ch4": 10_000], .yes
      ),
      (
        "2 of (A.ch4 >= 1 %CH4, B.ch4 >= 1 %CH4, C.ch4 >= 1 %CH4)", ["A.ch4": 1, "B.ch4": 0.5],
        .unknown
      ),
      (
        "2 of (A.ch4 >= 1 %CH4, B.ch4 >= 1 %CH4, C.ch4 >= 1 %CH4)",
        ["A.ch4": 0.9, "B.ch4": 0.5], .no
      ),
    ]
    for (text, values, want) in cases {
      #expect(try value(text, values) == want, "\(text) \(values)")
    }
  }

  @Test("“for” holds for the whole condition and wakes at its end")
  func lasting() throws {
    let expression = try CompiledExpression(
      "mean(T101.level, 60s) > 85 % and not valve.closed for 10s"
    ) { Self.site[$0] }
    var evaluator = ExpressionEvaluator(expression)
    let level = try #require(expression.signals.firstIndex { $0.index == 1 })
    let valve = try #require(expression.signals.firstIndex { $0.index == 9 })
    evaluator.update(signal: valve, time: 0, value: 0)
    evaluator.update(signal: level, time: 0, value: 90)
    // How long it has been so already nobody knows.
    #expect(evaluator.evaluate(at: 0) == .unknown && evaluator.nextDeadline == 10_000)
    #expect(evaluator.evaluate(at: 9999) == .unknown)
    #expect(evaluator.evaluate(at: 10_000) == .yes && evaluator.nextDeadline == nil)
    evaluator.update(signal: valve, time: 11_000, value: 1)
    #expect(evaluator.evaluate(at: 11_000) == .no)
    evaluator.update(signal: valve, time: 12_000, value: 0)
    #expect(evaluator.evaluate(at: 12_000) == .no && evaluator.nextDeadline == 22_000)
    evaluator.invalidate(signal: level)
    #expect(evaluator.evaluate(at: 22_000) == .unknown && evaluator.nextDeadline == nil)
    evaluator.update(signal: level, time: 23_000, value: 90)
    #expect(evaluator.evaluate(at: 23_000) == .unknown, "a gap forgets what had run")
    #expect(evaluator.evaluate(at: 32_999) == .unknown)
    #expect(evaluator.evaluate(at: 33_000) == .yes)
    // Out of the window, the mean is no longer known.
    #expect(evaluator.evaluate(at: 83_000) == .unknown)
  }

  @Test("the slope of a temperature is compared per minute")
  func slope() throws {
    let expression = try CompiledExpression("slope(T101.temp, 60 s) > 2 K/min") { Self.site[$0] }
    var evaluator = ExpressionEvaluator(expression)
    for second in 0..<30 {
      evaluator.update(signal: 0, time: Int64(second) * 1000, value: 20 + Double(second) * 0.034)
    }
    #expect(evaluator.evaluate(at: 29_000) == .yes)
    evaluator = ExpressionEvaluator(expression)
    for second in 0..<30 {
      evaluator.update(signal: 0, time: Int64(second) * 1000, value: 20 + Double(second) * 0.033)
    }
    #expect(evaluator.evaluate(at: 29_000) == .no)
  }

  @Test("of a window that has more readings than it holds, what those leave no doubt of is known")
  func fullWindow() throws {
    let expected: [(String, Truth)] = [
      ("max(A.ch4, 24 h) > 80 %CH4", .yes), ("max(A.ch4, 24 h) > 95 %CH4", .unknown),
      ("min(A.ch4, 24 h) < 15 %CH4", .yes), ("min(A.ch4, 24 h) < 5 %CH4", .unknown),
      ("count(A.ch4, 24 h) > 65536", .yes), ("count(A.ch4, 24 h) > 70000", .unknown),
      ("range(A.ch4, 24 h) > 70 %CH4", .yes), ("last(A.ch4, 24 h) < 15 %CH4", .yes),
      ("mean(A.ch4, 24 h) > 80 %CH4", .unknown), ("first(A.ch4, 24 h) > 80 %CH4", .unknown),
    ]
    for (text, truth) in expected {
      var evaluator = ExpressionEvaluator(try CompiledExpression(text) { Self.site[$0] })
      let count = CompiledExpression.Limits.windowCapacity + 10
      for second in 0..<count {
        let value: Double = second == count - 1 ? 10 : 90
        evaluator.update(signal: 0, time: Int64(second) * 1000, value: value)
      }
      #expect(evaluator.evaluate(at: Int64(count - 1) * 1000) == truth, "\(text)")
    }
  }

  static let refusals: [(String, Int, Int, String)] = [
    ("", 1, 1, "ends too early"), ("T101.level >", 1, 13, "ends too early"),
    ("T101.level > 85", 1, 12, "% cannot be compared with a plain number"),
    ("T101.level > 85 kPa", 1, 12, "% cannot be compared with kPa"),
    ("A.ch4 > 85 %", 1, 7, "%CH4 cannot be compared with %"),
    ("A.ch4 + T101.level > 1 %", 1, 7, "cannot be added"),
    ("T101.level > 85 foo", 1, 17, "“foo” is not a known unit"),
    ("T101.lvl > 85 %", 1, 1, "there is no signal “T101.lvl”"),
    ("T101.level", 1, 1, "a quantity where a condition is needed"),
    ("T101.level and valve.closed", 1, 1, "a quantity where a condition is needed"),
    ("valve.closed > 1", 1, 1, "a condition where a quantity is needed"),
    ("mean(T101.level) > 1 %", 1, 16, "“,” is missing"),
    ("mean(T101.level, 60) > 1 %", 1, 20, "no unit of time"),
    ("mean(T101.level, 60 kPa) > 1 %", 1, 21, "no unit of time"),
    ("mean(valve.closed, 60 s) > 1", 1, 6, "is a state"),
    ("avg(T101.level, 60 s) > 1 %", 1, 1, "there is no function “avg”"),
    ("T101.temp > 5 K", 1, 11, "cannot be compared with a difference"),
    ("T101.temp + T102.temp > 5 °C", 1, 11, "two temperatures cannot be added"),
    ("2 * T101.temp > 5 °C", 1, 3, "cannot be multiplied"),
    ("4 of (valve.closed, valve.closed)", 1, 1, "can never be"),
    ("1.5 of (valve.closed, valve.closed)", 1, 1, "can never be"),
    ("valve.closed for 10", 1, 20, "no unit of time"),
    ("valve.closed for ever", 1, 18, "needs a duration"),
    ("(valve.closed", 1, 14, "“)” is missing"), ("valve.closed)", 1, 13, "after the end"),
    ("valve.closed\n  and ?", 2, 7, "means nothing here"),
    ("T101.level = 5 %", 1, 12, "means nothing here"),
    ("1 < 2 < 3", 1, 7, "cannot be chained"), ("\"T101", 1, 1, "has no end"),
    ("valve.closed for 0 s", 1, 18, "within 1 ms"), ("1e999 > 1", 1, 1, "not a number"),
  ]

  @Test("errors point at the place and name a remedy", arguments: refusals.indices)
  func errors(row: Int) {
    let (text, line, column, message) = Self.refusals[row]
    do throws(ExpressionError) {
      _ = try CompiledExpression(text) { Self.site[$0] }
      Issue.record("accepted: \(text)")
    } catch {
      #expect(error.message.contains(message), "\(text): \(error)")
      #expect(error.line == line && error.column == column, "\(text): \(error)")
      #expect(!error.remedy.isEmpty)
    }
  }

  @Test("no text makes the parser trap", arguments: 1...10 as ClosedRange<UInt64>)
  func fuzz(seed: UInt64) {
    var random = DetectorRandom(seed: seed)
    let pieces = [
      "T101.level", "valve.closed", "mean(", "max(", "2 of (", "known(", ")", "(", ",", "and", "or",
      "not", "for", "10 s", "85 %", "1e3", "°C", "K/min", ">", ">=", "==", "+", "-", "*", "/", "\"",
      "\n", "true", "abs(", ".5", "5.", "≥", "甲烷", "%", "m/s", "\u{301}", "👩‍🏭", "\0", "60s", "0",
      "slope(T101.temp, 60 s)", "T101.temp", "1e-", "99999999999999999999", "of",
    ]
    var accepted = 0
    for _ in 0..<20_000 {
      var text = ""
      for _ in 0..<random.below(14) {
        text += pieces[random.below(pieces.count)] + (random.below(3) > 0 ? " " : "")
      }
      if random.below(4) == 0 {
        var scalars = Array(text.unicodeScalars)
        if !scalars.isEmpty {
          scalars[random.below(scalars.count)] =
            Unicode.Scalar(UInt32(random.below(0xD7FF))) ?? " "
        }
        text = String(String.UnicodeScalarView(scalars))
      }
      if let expression = try? CompiledExpression(text, resolve: { Self.site[$0] }) {
        accepted += 1
        var evaluator = ExpressionEvaluator(expression)
        _ = evaluator.evaluate(at: 0)
        for place in expression.signals.indices {
          evaluator.update(signal: place, time: 1, value: random.normal() * 100)
        }
        _ = evaluator.evaluate(at: 1)
      }
    }
    #expect(accepted > 20, "SEED=\(seed)")
  }

  @Test("depth and length are bounded")
  func bounds() {
    for text in [
      String(repeating: "(", count: 4000) + "true", String(repeating: "not ", count: 2000) + "true",
      String(repeating: "-(", count: 100) + "1 > 0", String(repeating: "x", count: 9000),
      String(repeating: "abs(", count: 500) + "1", String(repeating: "1 of (", count: 500) + "true",
      "true" + String(repeating: " and true", count: 800),
    ] {
      #expect(throws: ExpressionError.self) {
        try CompiledExpression(text) { Self.site[$0] }
      }
    }
    #expect(throws: Never.self) {
      try CompiledExpression(
        String(repeating: "(", count: 60) + "true" + String(repeating: ")", count: 60)
      ) { _ in nil }
    }
  }
}
