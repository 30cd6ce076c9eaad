import Glibc
import HazardLedger
import Telemetry
import Testing

@Suite("Clocks")
struct ClockTests {
  static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

  static func clock(_ id: String, due: Int64, warnings: [Int64] = []) -> LedgerClock {
    LedgerClock(
      id: id,
      kind: .oneHourReport,
      about: "alarm",
      due: at(due),
      warningsMilliseconds: warnings
    )
  }

  @Test("the one-hour report warns ahead, comes due at its own time, and is stopped by the report")
  func oneHour() {
    var board = ClockBoard()
    let hour: Int64 = 3_600_000
    let clock = Self.clock("r", due: hour, warnings: [900_000, 300_000, 300_000])
    #expect(board.start(clock, at: Self.at(0)).map(\.event) == [.started])
    let steps = board.advance(to: Self.at(hour * 2))
    #expect(steps.map(\.event) == [.warned, .warned, .expired])
    #expect(steps.map(\.time.milliseconds) == [2_700_000, 3_300_000, hour])
    #expect(steps.map(\.remainingMilliseconds) == [900_000, 300_000, 0])
    #expect(board.isExpired("r"))
    let late = board.stop("r", at: Self.at(hour * 2))
    #expect(late?.map(\.remainingMilliseconds) == [-hour])
    #expect(board.stop("r", at: Self.at(hour * 2)) == nil)
    #expect(board.nextDeadline == nil)
    #expect(board.running.isEmpty)
  }

  @Test("an extension sets a clock anew; a clock started late leaves out past warnings")
  func extended() {
    var board = ClockBoard()
    _ = board.start(Self.clock("r", due: 100, warnings: [50]), at: Self.at(0))
    _ = board.advance(to: Self.at(120))
    #expect(board.isExpired("r"))
    _ = board.start(Self.clock("r", due: 200, warnings: [90, 10]), at: Self.at(130))
    #expect(!board.isExpired("r"))
    #expect(board.advance(to: Self.at(500)).map(\.time.milliseconds) == [190, 200])
    let past = board.start(Self.clock("p", due: 400), at: Self.at(500))
    #expect(past.map(\.event) == [.started, .expired])
  }

  @Test(
    "random clocks: tick spacing and restarts change nothing",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func random(seed: UInt64) throws {
    var results: [[LedgerDraft]] = []
    for tick in [1, 37, 1_000] as [Int64] {
      var random = SplitMix64(seed: seed)
      var board = ClockBoard()
      var drafts: [LedgerDraft] = []
      var now: Int64 = 0
      for _ in 0..<200 {
        let next = now + Int64.random(in: 0...50, using: &random)
        while now + tick < next {
          now += tick
          drafts += board.advance(to: Self.at(now)).map { $0.draft(origin: 1) }
        }
        now = next
        let id = "c\(Int.random(in: 0..<10, using: &random))"
        let due = now + Int64.random(in: 1...400, using: &random)
        let warning = Int64.random(in: 0...200, using: &random)
        if Bool.random(using: &random) {
          let clock = Self.clock(id, due: due, warnings: [warning])
          drafts += board.start(clock, at: Self.at(now)).map { $0.draft(origin: 1) }
        } else if let steps = board.stop(id, at: Self.at(now)) {
          drafts += steps.map { $0.draft(origin: 1) }
        } else {
          drafts += board.advance(to: Self.at(now)).map { $0.draft(origin: 1) }
        }
        if Int.random(in: 0..<5, using: &random) == 0, tick > 1 {
          board = try Self.rebuilt(drafts)
        }
      }
      results.append(drafts)
    }
    #expect(results[0].count > 150)
    #expect(results[0] == results[1], "SEED=\(seed)")
    #expect(results[0] == results[2], "SEED=\(seed)")
  }

  /// The board as a restart finds it in the ledger.
  static func rebuilt(_ drafts: [LedgerDraft]) throws -> ClockBoard {
    var board = ClockBoard()
    for draft in drafts {
      let entry = LedgerEntry(
        sequence: 1,
        time: draft.time,
        kind: draft.kind,
        subject: draft.subject,
        actor: draft.actor,
        body: draft.body,
        origin: 1,
        previousHash: [],
        hash: []
      )
      board.replay(try ClockStep(decoding: entry))
    }
    return board
  }
}

@Suite("Notification policy")
struct NotificationTests {
  static func alarm(
    _ point: String,
    rule: String = "high",
    priority: Int = 2,
    state: AlarmBody.State = .unacknowledged,
    at time: Int64 = 0
  ) -> AlarmView {
    let body = AlarmBody(
      point: point,
      rule: rule,
      onset: Timestamp(milliseconds: time),
      event: .raised,
      state: state,
      previous: .normal,
      priority: priority,
      received: Timestamp(milliseconds: time),
      cause: 1
    )
    return AlarmView(body, sequence: 1, time: Timestamp(milliseconds: time), actor: "engine")
  }

  @Test("a silence has author, reason and end, and covers its path only")
  func silence() throws {
    let matcher = AlarmMatcher(path: "e/s/a1", maximumPriority: 3)
    let from = Timestamp(milliseconds: 10)
    let until = Timestamp(milliseconds: 20)
    for (author, reason, end) in [("", "r", until), ("a", "", until), ("a", "r", from)] {
      #expect(
        Silence(id: "x", matcher: matcher, author: author, reason: reason, from: from, until: end)
          == nil
      )
    }
    let silence = try #require(
      Silence(id: "x", matcher: matcher, author: "a", reason: "r", from: from, until: until)
    )
    let policy = NotificationPolicy(silences: [silence])
    let alarms = [
      Self.alarm("e/s/a1/d/p"), Self.alarm("e/s/a10/d/p"), Self.alarm("e/s/a1"),
      Self.alarm("e/s/a1/d/p", priority: 4),
    ]
    let quiet = NotificationVerdict.silenced(by: "x")
    #expect(policy.verdicts(for: alarms, at: from) == [quiet, .notify, quiet, .notify])
    #expect(policy.verdicts(for: alarms, at: until) == Array(repeating: .notify, count: 4))
    // Silenced is not acknowledged: the alarm itself is untouched.
    #expect(alarms[0].state == .unacknowledged)
  }

  @Test("a cause quiets its consequences at its own device only, and never another cause")
  func inhibition() {
    let policy = NotificationPolicy(inhibitions: [
      Inhibition(
        id: "gateway",
        cause: AlarmMatcher(rules: ["offline"]),
        consequence: AlarmMatcher(maximumPriority: 3),
        sharedParts: 4
      )
    ])
    let cause = Self.alarm("e/s/a/gw1/link", rule: "offline", priority: 3)
    let alarms = [
      cause, Self.alarm("e/s/a/gw1/p", rule: "stale"), Self.alarm("e/s/a/gw10/p", rule: "stale"),
      Self.alarm("e/s/a/gw1/q", priority: 4), Self.alarm("e/s/a/gw1/l2", rule: "offline"),
    ]
    #expect(
      policy.verdicts(for: alarms, at: Timestamp(milliseconds: 0)) == [
        .notify, .inhibited(by: "gateway", cause: cause.id), .notify, .notify, .notify,
      ]
    )
    var gone = alarms
    gone[0] = Self.alarm("e/s/a/gw1/link", rule: "offline", priority: 3, state: .normal)
    gone.removeLast()
    let verdicts = policy.verdicts(for: gone, at: Timestamp(milliseconds: 0))
    #expect(verdicts == Array(repeating: .notify, count: 4))
  }

  /// 13,000 standing alarms of 130 gateways, one of ten of them offline.
  static var many: [AlarmView] {
    (0..<13_000).map { index in
      let gateway = index / 100
      let isCause = index % 100 == 0 && gateway % 10 == 0
      return alarm(
        "ent-\(gateway % 7)/site/area/gw\(gateway)/p\(index)",
        rule: isCause ? "offline" : "stale",
        priority: isCause ? 3 : 1 + index % 3
      )
    }
  }

  static let policy = NotificationPolicy(inhibitions: [
    Inhibition(
      id: "gateway",
      cause: AlarmMatcher(rules: ["offline"]),
      consequence: AlarmMatcher(),
      sharedParts: 4
    )
  ])

  @Test("13,000 standing alarms give what comparing each with each gives")
  func manyAgainstOracle() {
    let alarms = Self.many
    let verdicts = Self.policy.verdicts(for: alarms, at: Timestamp(milliseconds: 0))
    let causes = alarms.filter { $0.rule == "offline" }
    func device(_ alarm: AlarmView) -> String {
      alarm.point.split(separator: "/").prefix(4).joined(separator: "/")
    }
    let devices = Set(causes.map(device))
    for (alarm, verdict) in zip(alarms, verdicts) {
      if case .inhibited = verdict {
        #expect(devices.contains(device(alarm)) && alarm.rule != "offline")
      } else {
        #expect(!devices.contains(device(alarm)) || alarm.rule == "offline")
      }
    }
    let quiet = verdicts.filter { $0 != .notify }
    #expect(quiet.count == 1_287)
    let groups = Self.policy.groups(
      of: alarms,
      sharedParts: 4,
      at: Timestamp(milliseconds: 0)
    )
    #expect(groups.count == 130)
    var grouped = 0
    for group in groups { grouped += group.alarms.count }
    #expect(grouped == 11_713)
  }

  /// How long this thread has run.
  private static var threadNanoseconds: Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  @Test("13,000 standing alarms are judged in at most 50 ms, best of five")
  func manyInTime() {
    let alarms = Self.many
    // Time on the processor: what other tests take of it meanwhile says nothing of this.
    let best = (0..<5).map { _ in
      let begin = Self.threadNanoseconds
      let verdicts = Self.policy.verdicts(for: alarms, at: Timestamp(milliseconds: 0))
      let took = Self.threadNanoseconds - begin
      #expect(verdicts.count == alarms.count)
      return took
    }.min()
    #expect(best ?? .max <= 50_000_000)
  }
}

@Suite("Alarm indicators")
struct AlarmIndicatorTests {
  static func step(
    _ event: AlarmBody.Event,
    _ state: AlarmBody.State,
    point: String = "p",
    onset: Int64,
    priority: Int = 2
  ) -> AlarmBody {
    AlarmBody(
      point: point,
      rule: "h",
      onset: Timestamp(milliseconds: onset),
      event: event,
      state: state,
      previous: .normal,
      priority: priority,
      received: Timestamp(milliseconds: onset),
      cause: 1
    )
  }

  @Test("a flood begins above ten in ten minutes and ends below five")
  func flood() {
    var indicators = AlarmIndicators()
    for (bucket, count) in [3, 10, 11, 6, 5, 4, 12, 0, 1].enumerated() {
      for index in 0..<count {
        let time = Int64(bucket) * 600_000 + Int64(index) * 40_000
        indicators.add(
          Self.step(.raised, .unacknowledged, point: "p\(bucket)-\(index)", onset: time),
          at: Timestamp(milliseconds: time)
        )
      }
    }
    let report = indicators.report(at: Timestamp(milliseconds: 10 * 600_000 - 1))
    #expect(report.buckets == [3, 10, 11, 6, 5, 4, 12, 0, 1, 0])
    #expect(report.floodBuckets == 4)
    #expect(report.floodShare == 0.4)
    #expect(report.averagePerBucket == 5.2)
    #expect(report.peakPerBucket == 12)
  }

  @Test("chattering, fleeting, stale and time to acknowledge by hand")
  func byHand() {
    var indicators = AlarmIndicators()
    func add(_ body: AlarmBody, _ time: Int64) {
      indicators.add(body, at: Timestamp(milliseconds: time))
    }
    for onset in [0, 20_000, 40_000, 59_000, 200_000] as [Int64] {
      add(Self.step(.raised, .unacknowledged, onset: onset), onset)
      add(Self.step(.returned, .normal, onset: onset), onset + 5_000)
    }
    for index in 0..<20 {
      let onset = 1_000_000 + Int64(index) * 1_000_000
      let point = "q\(index)"
      add(Self.step(.raised, .unacknowledged, point: point, onset: onset, priority: 4), onset)
      let acknowledged = onset + Int64(index + 1) * 1_000
      add(Self.step(.acknowledged, .acknowledged, point: point, onset: onset), acknowledged)
      if index > 0 {
        add(Self.step(.returned, .normal, point: point, onset: onset), onset + 30_000)
      }
    }
    add(Self.step(.raised, .unacknowledged, point: "s", onset: 20_000_000), 20_000_000)
    add(Self.step(.shelved, .shelved, point: "s", onset: 20_000_000), 20_000_001)
    let day: Int64 = 86_400_000
    let report = indicators.report(at: Timestamp(milliseconds: 1_000_000 + day + 1))
    #expect(report.chattering == ["p#h": 1])
    #expect(report.fleeting == 5)
    #expect(report.stale == ["q0#h@1000000"])
    #expect(report.shelved == ["s#h@20000000"])
    #expect(report.acknowledgeMedian == 10_000)
    #expect(report.acknowledgeP95 == 19_000)
    #expect(report.byPriority == [2: 6, 4: 20])
    #expect(report.top.first?.rule == "p#h")
    #expect(report.top.first?.count == 5)
    #expect(report.top.count == 10)
    let expectedShare = 14.0 / 26.0
    #expect(abs(report.topShare - expectedShare) < 1e-12)
  }

  @Test("a rule out of service without an alarm is shown as that, and is no stale alarm")
  func setAside() {
    var indicators = AlarmIndicators()
    let onset = Timestamp.distantPast.milliseconds
    let step = Self.step(.removedFromService, .outOfService, onset: onset)
    indicators.add(step, at: Timestamp(milliseconds: 0))
    let report = indicators.report(at: Timestamp(milliseconds: 1_000))
    #expect(report.outOfService == [step.alarm])
    #expect(report.stale == [])
  }

  @Test("folded live in batches or replayed from the ledger, the report is the same")
  func liveAndReplay() throws {
    let scratch = try Scratch()
    let ledger = try SQLiteLedger(path: scratch.path, station: "s")
    var live = AlarmIndicators()
    var story = AlarmStory(seed: 8)
    for _ in 0..<20 {
      let drafts = story.steps(100)
      for draft in drafts { live.add(try AlarmBody(decoding: draft.body), at: draft.time) }
      try ledger.append(drafts, position: max(story.position, try ledger.position + 1))
    }
    var replayed = AlarmIndicators()
    let entries = try ledger.entries(after: 1, limit: .max)
    for entry in entries {
      replayed.add(try AlarmBody(decoding: entry.body ?? []), at: entry.time)
    }
    let now = try #require(entries.last?.time)
    #expect(live.report(at: now) == replayed.report(at: now))
    #expect(live.report(at: now).annunciated > 500)
  }

  private static let start: Int64 = 1_795_000_000_000

  /// The report of a span, milliseconds after ``start``, over a ledger that holds steps of these times.
  private static func report(
    of steps: [(body: AlarmBody, time: Int64)],
    in span: Range<Int64>
  ) throws -> IndicatorReport {
    let scratch = try Scratch()
    let ledger = try SQLiteLedger(path: scratch.path, station: "s")
    let drafts = steps.map { step in
      LedgerDraft(alarm: step.body, time: Timestamp(milliseconds: step.time), origin: 1)
    }
    try ledger.append(drafts, rejects: [], position: 1)
    return try IndicatorReport(
      of: ledger,
      from: Timestamp(milliseconds: start + span.lowerBound),
      to: Timestamp(milliseconds: start + span.upperBound)
    )
  }

  @Test("a device whose clock begins at 1970 hides no other alarm of the span")
  func deadClock() throws {
    let times = (0..<10).map { $0 == 5 ? 1_795_000 : Self.start + $0 * 1_000 } as [Int64]
    let steps = times.enumerated().map { index, time in
      (body: Self.step(.raised, .unacknowledged, point: "p\(index)", onset: time), time: time)
    }
    let report = try Self.report(of: steps, in: 0..<60_000)
    #expect(report.alarms.annunciated == 9)
    #expect(report.alarms.stale == ["p5#h@1795000"])
  }

  @Test("a step of a clock that begins at 1970 counts at its receipt")
  func deadClockReceived() throws {
    let onset: Int64 = 1_795_000
    let acknowledged = Self.start + 30_000
    var raise = Self.step(.raised, .unacknowledged, onset: onset, priority: 4)
    raise.received = Timestamp(milliseconds: Self.start)
    var acknowledge = Self.step(.acknowledged, .acknowledged, onset: onset, priority: 4)
    acknowledge.received = Timestamp(milliseconds: acknowledged)
    let report = try Self.report(
      of: [(body: raise, time: onset), (body: acknowledge, time: acknowledged)],
      in: 0..<60_000
    )
    #expect(report.alarms.byPriority == [4: 1] && report.alarms.stale.isEmpty)
    #expect(report.alarms.acknowledgeMedian == 30_000)
  }

  @Test("an alarm raised before the span and acknowledged in it counts with its whole time")
  func acknowledgedWithin() throws {
    let report = try Self.report(
      of: [
        (body: Self.step(.raised, .unacknowledged, onset: Self.start), time: Self.start),
        (
          body: Self.step(.acknowledged, .acknowledged, onset: Self.start),
          time: Self.start + 90_000
        ),
      ],
      in: 60_000..<120_000
    )
    #expect(report.alarms.acknowledgeMedian == 90_000)
  }

  @Test("an alarm that was raised and shelved just before the span is shelved in it")
  func shelvedBefore() throws {
    let report = try Self.report(
      of: [
        (body: Self.step(.raised, .unacknowledged, onset: Self.start), time: Self.start),
        (body: Self.step(.shelved, .shelved, onset: Self.start), time: Self.start + 1_000),
      ],
      in: 60_000..<120_000
    )
    #expect(report.alarms.annunciated == 0)
    #expect(report.alarms.shelved == ["p#h@\(Self.start)"])
  }
}
