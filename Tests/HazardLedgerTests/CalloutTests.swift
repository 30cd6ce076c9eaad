import HazardLedger
import Telemetry
import Testing

@Suite("Call-out")
struct CalloutTests {
  /// Six levels, as many as there are from a team's duty to the province.
  static let plan = CalloutPlan(
    levels: (0..<6).map { level in
      CalloutPlan.Level(
        name: "L\(level)",
        persons: (0...(level % 2)).map { "p\(level)\($0)" },
        attempts: 1 + level % 3,
        intervalMilliseconds: 60_000
      )
    },
    feedbackAfterMilliseconds: 600_000
  )

  /// The world outside: who was really called, and how often.
  struct Telephone {
    var calls: [String: [CalloutStep]] = [:]

    mutating func call(_ step: CalloutStep) {
      calls["\(step.level)/\(step.attempt)/\(step.person)", default: []].append(step)
    }
  }

  static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

  /// Runs until 叫而不应 and one attempt more, crashing at the `crash`-th chance (nil: never).
  ///
  /// Chances are: before steps are stored, after they are stored and before a call is made, after
  /// the call and before its outcome is stored.
  static func run(crashAt crash: Int?, tick: Int64) throws -> (Telephone, [CalloutStep], Int) {
    var chances = 0
    var stored: [CalloutStep] = []
    var telephone = Telephone()
    var callout = Callout(id: "c", plan: plan)
    var now: Int64 = 0

    func crashes() -> Bool {
      chances += 1
      return chances == crash
    }
    func restart() -> [CalloutStep] {
      callout = Callout(id: "c", plan: plan)
      for step in stored { callout.replay(step) }
      now += 500
      guard callout.status != .idle else {
        do { return try callout.start(at: at(0)) } catch { return [] }
      }
      return callout.resume(at: at(now))
    }
    /// Stores steps and makes their calls; answers false after a crash.
    func carryOut(_ steps: [CalloutStep]) throws -> Bool {
      if crashes() { return false }
      stored += steps
      for step in steps where step.event == .dispatching {
        if crashes() { return false }
        telephone.call(step)
        if crashes() { return false }
        stored += try callout.report(dispatch: step.dispatch, delivered: true, at: step.time)
      }
      return true
    }

    var steps = try callout.start(at: at(0))
    while now < 2_000_000 {
      while !(try carryOut(steps)) { steps = restart() }
      now += tick
      steps = callout.advance(to: at(now))
    }
    return (telephone, stored, chances)
  }

  @Test("undisturbed, every level is called as planned, then 叫而不应, and the last goes on")
  func undisturbed() throws {
    let (telephone, steps, _) = try Self.run(crashAt: nil, tick: 1_000)
    let escalations = steps.filter { $0.event == .escalated }.map(\.time.milliseconds)
    #expect(escalations == [60_000, 180_000, 360_000, 420_000, 540_000])
    #expect(steps.filter { $0.event == .unanswered }.map(\.time.milliseconds) == [720_000])
    let odd = telephone.calls.values.filter { $0.count != 1 || $0[0].inDoubt }
    #expect(odd.isEmpty)
    #expect(telephone.calls["5/1/p51"] != nil)
    #expect(telephone.calls.keys.contains("5/20/p50"))
  }

  @Test("tick spacing changes nothing", arguments: [1, 7, 60, 400])
  func ticks(seconds: Int64) throws {
    let slow = try Self.run(crashAt: nil, tick: seconds * 1_000).1
    let fast = try Self.run(crashAt: nil, tick: 500).1
    let limit = min(slow.last?.time ?? Self.at(0), fast.last?.time ?? Self.at(0))
    // When a channel's answer is stored depends on the tick; what is decided does not.
    func decided(_ steps: [CalloutStep]) -> [CalloutStep] {
      steps.filter { $0.time < limit && $0.event != .delivered }
    }
    #expect(decided(slow) == decided(fast))
  }

  @Test("a restart at every step loses no call; repeats only where marked")
  func restarts() throws {
    let (undisturbed, _, chances) = try Self.run(crashAt: nil, tick: 5_000)
    #expect(chances > 150)
    var repeats = 0
    for crash in 1...chances {
      let (telephone, _, _) = try Self.run(crashAt: crash, tick: 5_000)
      for (call, made) in undisturbed.calls {
        // The last attempt may lie beyond the end of the run, shifted by the restart.
        guard let now = telephone.calls[call] else {
          #expect(made[0].time.milliseconds > 1_930_000, "crash \(crash): \(call) was never made")
          continue
        }
        let unmarked = now.dropFirst().filter { !$0.inDoubt }
        #expect(unmarked.isEmpty, "crash \(crash): \(call)")
        #expect(now.count <= 2, "crash \(crash): \(call)")
        repeats += now.count - 1
      }
      for (call, made) in telephone.calls where undisturbed.calls[call] == nil {
        #expect(made[0].time.milliseconds > 1_930_000, "crash \(crash): \(call) is made up")
      }
    }
    #expect(repeats > 50)
  }

  @Test("a named person's confirmation stops it at once; feedback is asked for later")
  func confirm() throws {
    var callout = Callout(id: "c", plan: Self.plan)
    _ = try callout.start(at: Self.at(0))
    #expect(throws: CalloutRefusal.notNamed) { try callout.confirm(by: "p50", at: Self.at(1)) }
    #expect(throws: CalloutRefusal.notNamed) { try callout.confirm(by: "nobody", at: Self.at(1)) }
    _ = callout.advance(to: Self.at(200_000))
    #expect(callout.level == 2)
    // Somebody of a lower level, called before, may still answer.
    let steps = try callout.confirm(by: "p10", at: Self.at(200_500))
    #expect(steps.map(\.event) == [.confirmed])
    #expect(callout.answerMilliseconds == 200_500)
    #expect(callout.outstanding.isEmpty)
    #expect(callout.advance(to: Self.at(800_499)) == [])
    #expect(callout.advance(to: Self.at(9_000_000)).map(\.event) == [.feedbackDue])
    #expect(throws: CalloutRefusal.ended) { try callout.confirm(by: "p10", at: Self.at(9_000_001)) }
    _ = try callout.report(feedback: "阀门已关", by: "p10", at: Self.at(9_000_002))
    #expect(callout.feedback == "阀门已关")
    #expect(callout.nextDeadline == nil)
  }

  @Test("cancelling needs somebody and is final; a lost call's outcome is refused once known")
  func cancel() throws {
    var callout = Callout(id: "c", plan: Self.plan)
    _ = try callout.start(at: Self.at(0))
    _ = try callout.report(dispatch: 1, delivered: false, detail: "busy", at: Self.at(5))
    #expect(throws: CalloutRefusal.unknownDispatch) {
      try callout.report(dispatch: 1, delivered: true, at: Self.at(6))
    }
    _ = try callout.cancel(by: "dispatcher", reason: "test call", at: Self.at(10))
    #expect(callout.advance(to: Self.at(9_000_000)) == [])
    #expect(callout.resume(at: Self.at(9_000_000)) == [])
    #expect(throws: CalloutRefusal.ended) { try callout.start(at: Self.at(11)) }
  }

  /// Levels of these persons, two attempts a minute apart.
  static func levels(_ persons: [[String]]) -> Callout {
    Callout(
      id: "c",
      plan: CalloutPlan(
        levels: persons.enumerated().map {
          CalloutPlan.Level(
            name: "level \($0.offset)",
            persons: $0.element,
            attempts: 2,
            intervalMilliseconds: 60_000
          )
        },
        feedbackAfterMilliseconds: 600_000
      )
    )
  }

  @Test(
    "a level with nobody on duty is on record, and the next is called at that very moment",
    arguments: [
      // A level's persons, levels apart by |; what happens when.
      ("|a", "0 nobody 0, 0 escalated 1, 0 a, 60000 a, 120000 unanswered 1, 120000 a"),
      (
        "a||b",
        "0 a, 60000 a, 120000 escalated 1, 120000 nobody 1, 120000 escalated 2, 120000 b"
      ),
      // The last level goes on for ever: with the nearest below it that has somebody.
      (
        "a|",
        "0 a, 60000 a, 120000 escalated 1, 120000 nobody 1, 120000 unanswered 1, 120000 a"
      ),
      (
        "|",
        "0 nobody 0, 0 escalated 1, 0 nobody 1, 0 unanswered 1, 60000 nobody 1, 120000 nobody 1"
      ),
    ]
  )
  func emptyLevels(persons: String, expected: String) throws {
    var callout = Self.levels(
      persons.split(separator: "|", omittingEmptySubsequences: false)
        .map { $0.isEmpty ? [] : [String($0)] }
    )
    let steps = try callout.start(at: Self.at(0)) + callout.advance(to: Self.at(120_000))
    let told = steps.filter { $0.event != .started }.map { step in
      let time = step.time.milliseconds
      return step.event == .dispatching
        ? "\(time) \(step.person)" : "\(time) \(step.event.rawValue) \(step.level)"
    }
    #expect(told.joined(separator: ", ") == expected)
    // Whoever comes on duty meanwhile is called at the next attempt.
    let later = callout.advance(to: Self.at(180_000)) { _ in ["z"] }
    #expect(later.filter { $0.event == .dispatching }.map(\.person) == ["z"])
    _ = try callout.confirm(by: "z", at: Self.at(180_001))
  }

  @Test("beside an empty last level, whoever comes on duty on a level below is called next")
  func fallbackLooksUp() throws {
    // Nobody anywhere at night; in the morning Bob is on duty on the level below.
    var night = Self.levels([[], []])
    _ = try night.start(at: Self.at(0))
    let morning = night.advance(to: Self.at(60_000)) { $0 == 0 ? ["bob"] : [] }
    #expect(morning.map(\.event) == [.dutyChanged, .nobody, .dispatching])
    #expect(morning.first?.level == 0)
    #expect(morning.last?.person == "bob")
    _ = try night.confirm(by: "bob", at: Self.at(60_001))

    // Alice's shift ends while she is called in the last level's place.
    var steps: [CalloutStep] = []
    var shift = Self.levels([["alice"], []])
    steps += try shift.start(at: Self.at(0))
    steps += shift.advance(to: Self.at(120_000)) { $0 == 0 ? ["alice"] : [] }
    let before = steps.filter { $0.event == .dispatching }.map(\.person)
    #expect(before == ["alice", "alice", "alice"])
    let later = shift.advance(to: Self.at(240_000)) { $0 == 0 ? ["bob"] : [] }
    steps += later
    #expect(later.filter { $0.event == .dispatching }.map(\.person) == ["bob", "bob"])
    #expect(later.filter { $0.event == .dutyChanged }.map(\.level) == [0])
    // She was called, and can still answer.
    #expect(shift.named == ["bob", "alice"])
    var rebuilt = Self.levels([["alice"], []])
    for step in steps { rebuilt.replay(step) }
    #expect(rebuilt == shift)
  }

  @Test("the look-up below an empty last level stops at the nearest level that has somebody")
  func fallbackStops() throws {
    var callout = Self.levels([["a"], [], []])
    _ = try callout.start(at: Self.at(0))
    _ = callout.advance(to: Self.at(120_000))
    let later = callout.advance(to: Self.at(180_000)) { $0 == 2 ? [] : ["z\($0)"] }
    #expect(later.filter { $0.event == .dispatching }.map(\.person) == ["z1"])
    #expect(callout.plan.levels.map(\.persons) == [["a"], ["z1"], []])
  }

  @Test(
    "a stored step about a level that the plan does not have is passed over",
    arguments: [-1, 2]
  )
  func levelOutsidePlan(level: Int) throws {
    for event: CalloutStep.Event in [.dispatching, .nobody, .escalated, .dutyChanged] {
      var callout = Self.levels([["a"], ["b"]])
      let started = try callout.start(at: Self.at(0))
      var step = try #require(started.last)
      step.event = event
      step.level = level
      step.attempt = 1
      step.dispatch = 7
      callout.replay(step)
      #expect(callout.level == 0 && callout.attempt == 1, "\(event)")
      #expect(callout.outstanding.map(\.dispatch) == [1], "\(event)")
      let later = callout.advance(to: Self.at(120_000)).filter { $0.event == .dispatching }
      #expect(later.map(\.person) == ["a", "b"], "\(event)")
      #expect(later.first?.dispatch == (event == .dispatching ? 8 : 2), "\(event)")
      #expect(callout.named == ["a", "b"], "\(event)")
    }
  }

  @Test("repeating an earlier level's call after a restart does not take the call-out back")
  func repeatOfEarlierLevel() throws {
    var callout = Self.levels([["a"], ["b"]])
    var steps = try callout.start(at: Self.at(0))
    steps += callout.advance(to: Self.at(120_000))
    var rebuilt = Self.levels([["a"], ["b"]])
    for step in steps { rebuilt.replay(step) }
    let again = rebuilt.resume(at: Self.at(130_000))
    #expect(again.map { "\($0.level)/\($0.attempt)/\($0.person)" } == ["0/1/a", "0/2/a", "1/1/b"])
    let marked = again.allSatisfy { $0.event == .dispatching && $0.inDoubt }
    #expect(marked)
    // The word on the last one may come before the restart: then nothing leads back up.
    var answered = Self.levels([["a"], ["b"]])
    for step in steps { answered.replay(step) }
    let last = try #require(answered.outstanding.last)
    _ = try answered.report(dispatch: last.dispatch, delivered: true, at: Self.at(125_000))
    _ = answered.resume(at: Self.at(130_000))
    for var call in [rebuilt, answered] {
      #expect(call.level == 1 && call.attempt == 1)
      #expect(call.nextDeadline == Self.at(180_000))
      let next = call.advance(to: Self.at(180_000)).map { "\($0.level)/\($0.attempt)/\($0.person)" }
      #expect(next == ["1/2/b"])
    }
    // Read back from the ledger it stands where it stood.
    var second = Self.levels([["a"], ["b"]])
    for step in steps + again { second.replay(step) }
    #expect(second == rebuilt)
    #expect(second.outstanding.count == 3)
  }

  @Test("rebuilt and resumed at any step, empty levels and the question what was done lose nothing")
  func resumed() throws {
    for cut in 0..<11 {
      var steps: [CalloutStep] = []
      var callout = Self.levels([[], ["a"], []])
      steps += try callout.start(at: Self.at(0))
      steps += callout.advance(to: Self.at(130_000))
      steps += try callout.confirm(by: "a", at: Self.at(130_001))
      let answered = steps.count
      steps += callout.advance(to: Self.at(900_000))
      #expect(steps.count == 11 && steps.last?.event == .feedbackDue)
      var rebuilt = Self.levels([[], ["a"], []])
      for step in steps[...cut] { rebuilt.replay(step) }
      let again = rebuilt.resume(at: Self.at(950_000))
      let calls = (steps[...cut] + again).filter { $0.event == .dispatching && !$0.inDoubt }
      if cut < answered - 1 {
        let attempts = calls.map { "\($0.level)/\($0.attempt)/\($0.person)" }
        #expect(attempts.starts(with: ["1/1/a", "1/2/a", "2/1/a"]), "cut \(cut): \(attempts)")
        #expect(Set(attempts).count == attempts.count)
      } else {
        let questions = again.filter { $0.event == .feedbackDue }
        #expect(questions.map(\.inDoubt) == [cut == 10], "cut \(cut)")
        let asked = try #require(questions.first)
        #expect(asked.person == "a")
        let word = try rebuilt.report(dispatch: asked.dispatch, delivered: true, at: asked.time)
        #expect(word.map(\.event) == [.feedbackDelivered])
        #expect(rebuilt.resume(at: Self.at(960_000)) == [])
      }
    }
  }

  @Test(
    "a question that no channel takes is asked again, as often as a notice, and then stands refused"
  )
  func questionRefused() throws {
    var callout = Self.levels([["a"]])
    var steps = try callout.start(at: Self.at(0))
    steps += try callout.confirm(by: "a", at: Self.at(1_000))
    var now: Int64 = 1_000
    var asked: [CalloutStep] = []
    while let due = callout.nextDeadline {
      now = due.milliseconds
      let questions = callout.advance(to: due)
      let question = try #require(questions.first)
      #expect(questions.count == 1 && question.event == .feedbackDue && !question.inDoubt)
      asked.append(question)
      steps += questions
      steps += try callout.report(
        dispatch: question.dispatch,
        delivered: false,
        detail: "sms: 503",
        at: Self.at(now + 900_000)
      )
    }
    #expect(asked.map(\.attempt) == [1, 2, 3, 4] && Callout.questionLimit == 4)
    let gaps = zip(asked.dropFirst(), asked).map { $0.time.milliseconds(since: $1.time) }
    #expect(Set(gaps) == [900_000 + max(60_000, callout.plan.feedbackAfterMilliseconds)])
    #expect(Set(asked.map(\.dispatch)).count == 4)
    var rebuilt = Self.levels([["a"]])
    for step in steps { rebuilt.replay(step) }
    #expect(rebuilt == callout)

    // A word that comes meanwhile ends it.
    var answered = Self.levels([["a"]])
    for step in steps.prefix(5) { answered.replay(step) }
    #expect(answered.nextDeadline != nil && answered.outstanding.isEmpty)
    _ = try answered.report(feedback: "已关阀", by: "a", at: Self.at(now))
    #expect(answered.nextDeadline == nil)
  }

  @Test("rebuilt from the ledger at every step, a call-out is equal and goes on alike")
  func replay() throws {
    let scratch = try Scratch()
    let ledger = try SQLiteLedger(path: scratch.path, station: "s")
    var callout = Callout(id: "c", plan: Self.plan)
    var position: UInt64 = 0
    func store(_ steps: [CalloutStep]) throws {
      for draft in callout.drafts(of: steps, origin: position + 1) {
        position += 1
        try ledger.append([draft], position: position)
      }
      let entries = try ledger.entries(of: "c", limit: 10_000)
      #expect(try Callout(replaying: entries) == callout)
    }
    try store(try callout.start(at: Self.at(0)))
    for tick in 1...40 {
      try store(callout.advance(to: Self.at(Int64(tick) * 20_000)))
      if tick == 20 {
        let open = try #require(callout.outstanding.first)
        try store(
          try callout.report(dispatch: open.dispatch, delivered: true, at: Self.at(400_001))
        )
        try store(callout.resume(at: Self.at(400_002)))
      }
    }
    try store(try callout.confirm(by: "p51", at: Self.at(801_000)))
    try store(callout.advance(to: Self.at(1_500_000)))
    #expect(callout.isUnanswered)
    #expect(try ledger.entries(of: "c", limit: 1).first?.actor == "engine")
  }
}
