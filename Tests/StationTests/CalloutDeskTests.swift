import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// Calling out along a six-level chain, in virtual time.
@Suite("Call-out desk")
struct CalloutDeskTests {
  static let end = DeskStation.start + 20 * DeskStation.minute

  static func key(_ dispatch: CalloutDispatch) -> String {
    "\(dispatch.level)/\(dispatch.attempt)/\(dispatch.contact.id)"
  }

  /// Runs a plume until twenty minutes later, a tick every 20 s; restarts before the `crash`-th step of the world.
  ///
  /// A step is a tick or the channel's word on a call; a call that was made before the restart and whose word did
  /// not come is in doubt.
  static func run(crashAt crash: Int?) throws -> (calls: [CalloutDispatch], steps: Int, DeskStation)
  {
    let station = try DeskStation()
    var step = 0
    var answered = 0
    func world(_ body: () throws -> Void) throws {
      step += 1
      if step == crash {
        station.now += 1
        try station.restart()
      }
      try body()
    }
    try station.reading(25)
    while station.now < end {
      while answered < station.dispatches.count {
        let dispatch = station.dispatches[answered]
        answered += 1
        try world {
          _ = try station.send(
            .external,
            "delivered",
            ["dispatch": .string(dispatch.id), "channel": "sms"]
          )
        }
      }
      try world { try station.tick(to: station.now + 20_000) }
    }
    return (station.dispatches, step, station)
  }

  @Test("undisturbed, each level is called as planned, the county's by its roster, then 叫而不应")
  func undisturbed() throws {
    let (calls, _, station) = try Self.run(crashAt: nil)
    let expected = [
      "0/1/metec/operator", "0/2/metec/operator", "1/1/p0", "1/1/p2", "2/1/p1", "2/2/p1",
      "3/1/p3", "4/1/p4", "5/1/p5", "5/2/p5", "5/3/p5",
    ]
    // 2025-10-09 16:53 in Shanghai: the day shift.
    #expect(calls.prefix(expected.count).map(Self.key) == expected)
    #expect(Set(calls.map(\.id)).count == calls.count)
    #expect(calls.allSatisfy { !$0.inDoubt && $0.purpose == .call && $0.priority == 4 })
    #expect(calls[0].channels == ["voice"])
    #expect(calls[2].contact.addresses == ["phone": "+86-1"])
    for part in ["烟羽", "METEC 试验场", "甲烷烟羽", "≥ 20 ppm"] {
      #expect(calls[0].text.zh.contains(part), "\(calls[0].text.zh)")
    }
    #expect(try station.events(.callout).contains("unanswered"))
    let starts = calls.map { $0.time.milliseconds - DeskStation.start }
    #expect(Array(starts.prefix(5)) == [0, 60_000, 120_000, 120_000, 180_000])
    // Written before acted on: each dispatch has its entry in the output that brought it.
    let dispatching = try station.bodies(.callout).filter { $0["event"]?.text == "dispatching" }
    #expect(dispatching.count == calls.count)
    #expect(try station.replayedHead(page: 5) == (try station.ledger.head.hash))
  }

  @Test("a restart at every step loses no call; repeats only where marked in doubt")
  func restarts() throws {
    let (undisturbed, steps, _) = try Self.run(crashAt: nil)
    #expect(steps > 70)
    var repeats = 0
    for crash in 1...steps {
      let (calls, _, station) = try Self.run(crashAt: crash)
      let made = Dictionary(grouping: calls, by: Self.key)
      for call in undisturbed {
        guard let times = made[Self.key(call)] else {
          #expect(
            call.time.milliseconds > Self.end - 3 * DeskStation.minute,
            "crash \(crash): \(Self.key(call)) was never made"
          )
          continue
        }
        #expect(times.filter { !$0.inDoubt }.count == 1, "crash \(crash): \(Self.key(call))")
        #expect(times.count <= 2, "crash \(crash): \(Self.key(call))")
        repeats += times.count - 1
      }
      guard crash % 9 == 0 else { continue }
      #expect(
        try station.replayedHead(page: 11) == (try station.ledger.head.hash),
        "crash \(crash)"
      )
    }
    #expect(repeats >= 10)
  }

  @Test("a named person's word stops it within the input; feedback is asked for later")
  func confirm() throws {
    let station = try DeskStation()
    try station.reading(25)
    #expect(
      try station.confirm("callout/1", by: "p5")
        == .refused("not one of the persons called so far", code: "not-named")
    )
    try station.tick(to: DeskStation.start + 125_000)
    #expect(try station.confirm("callout/1", by: "p2") == nil)
    let made = station.dispatches.count
    try station.tick(to: DeskStation.start + 25 * DeskStation.minute)
    #expect(station.dispatches.count == made)
    try station.tick(to: DeskStation.start + 40 * DeskStation.minute)
    let question = try #require(station.dispatches.last)
    #expect(question.purpose == .feedback && question.contact.id == "p2")
    #expect(
      try station.send(
        .external,
        "feedback",
        ["callout": "callout/1", "person": "p2", "channel": "sms", "text": "已关阀"]
      ) == nil
    )
    let callout = try #require(
      try Callout(replaying: try station.ledger.entries(of: "callout/1", after: 0, limit: 999))
    )
    #expect(callout.feedback == "已关阀")
    #expect(callout.answerMilliseconds == 125_000)
    let view = try #require(
      try station.ledger.matters(MatterFilter(kind: .callout), before: nil, limit: 9).first
    )
    #expect(view.state == "feedback" && !view.isOpen && view.place == "metec/metec")
  }

  @Test(
    "alarms of one site join the call-out that is under way; another one begins after the answer"
  )
  func grouping() throws {
    let station = try DeskStation()
    try station.reading(25)
    station.now += 1_000
    try station.reading(30, device: "ch4_e")
    #expect(station.dispatches.count == 1)
    try station.tick(to: DeskStation.start + 60_000)
    #expect(station.dispatches.last?.subjects.count == 2)
    #expect(station.dispatches.last?.text.zh.contains("另有 1 条报警") == true)
    // The operator acknowledges the first alarm: an answer in person.
    let alarm = try #require(station.dispatches.first?.subjects.first)
    let ack =
      #"{"act":"acknowledge","actor":"Demo operator","alarm":"\#(alarm)","reason":"seen"}"#
    try station.feed(
      JournalInput(
        kind: .command,
        received: station.now,
        topic: Array("act".utf8),
        payload: Array(ack.utf8)
      )
    )
    #expect(try station.events(.callout).last == "confirmed")
    station.now += 1_000
    try station.reading(40, device: "ch4_s")
    #expect(station.dispatches.last?.callout == "callout/2")
  }

  @Test("where the journal's beginning is lost, no call-out gets a number that was given before")
  func numbersAfterLoss() throws {
    let core = StationCore()
    _ = core.passGap(through: 500, received: 0)
    let output = core.process(
      JournalBatch([
        try StationCoreTests.catalogInput(
          try DeskStation.catalog(response: DeskStation.response),
          at: DeskStation.start
        ), StationCoreTests.reading(25, at: DeskStation.start + 1_000, device: "ch4_n"),
      ]),
      firstSequence: 501
    )
    #expect(output.dispatches.map(\.callout) == ["callout/501"])
  }

  @Test("alarms gathered before the first call are one call; duty can be exchanged for a time")
  func gatherAndExchange() throws {
    let station = try DeskStation { text in
      text.replacing("group-by: site}", with: "group-by: site, wait: 30s}")
        .replacing("responsible: true, attempts: 2", with: "roster: county, attempts: 2")
    }
    #expect(
      try station.send(
        .command,
        "duty",
        [
          "actor": "chief", "role": "county", "roster": "county", "persons": ["p3"],
          "until": .integer(DeskStation.start + DeskStation.hour), "reason": "换班",
        ]
      ) == nil
    )
    try station.reading(25)
    try station.reading(25, device: "ch4_e")
    #expect(station.dispatches.isEmpty)
    try station.tick(to: DeskStation.start + 31_000)
    #expect(station.dispatches.map(\.contact.id) == ["p3"])
    #expect(station.dispatches.first?.subjects.count == 2)
    #expect(station.dispatches.first?.time.milliseconds == DeskStation.start + 30_000)
  }

  @Test(
    "alarms gathered for a situation that gets another name are called out; by older rules they were not",
    arguments: [RulesLevel.notices, .areas]
  )
  func renamedWhileGathering(level: RulesLevel) throws {
    let response = DeskStation.response.replacing("by: site}", with: "by: site, wait: 30s}")
    let station = try DeskStation(response: response, level: level)
    try station.reading(25)
    station.now += 10_000
    let renamed = try DeskStation.catalog(
      response: response.replacing("plume: {name", with: "smoke: {name")
    )
    try station.feed(try StationCoreTests.catalogInput(renamed, at: station.now, level: level))
    try station.tick(to: station.now + 31_000)
    #expect(station.dispatches.count == (level >= .areas ? 1 : 0))
    #expect(try station.replayedHead(page: 3) == (try station.ledger.head.hash))
  }

  @Test("a chain that runs across a change of shift calls who is on duty at each call")
  func shiftChange() throws {
    let station = try DeskStation { text in
      text.replacing(
        "responsible: true, attempts: 2, interval: 60s",
        with: "roster: county, attempts: 9, interval: 60min"
      )
    }
    // 16:53 in Shanghai; the night begins three hours and seven minutes later.
    try station.reading(25)
    for hour in 1...5 {
      if hour == 3 { try station.restart() }
      try station.tick(to: DeskStation.start + Int64(hour) * DeskStation.hour)
    }
    let calls = station.dispatches.filter { $0.purpose == .call && !$0.inDoubt }
    let called = calls.map(\.contact.id)
    #expect(called == ["p1", "p1", "p1", "p1", "night", "night"])
    // An exchange of duty counts from the next call on.
    #expect(
      try station.send(
        .command,
        "duty",
        [
          "actor": "chief", "role": "county", "roster": "county", "persons": ["p3"],
          "until": .integer(station.now + DeskStation.day), "reason": "换班",
        ]
      ) == nil
    )
    try station.tick(to: DeskStation.start + 6 * DeskStation.hour)
    #expect(station.dispatches.last?.contact.id == "p3")
    let entries = try station.ledger.entries(of: "callout/1", after: 0, limit: 999)
    let rebuilt = try #require(try Callout(replaying: entries))
    #expect(rebuilt.plan.levels[0].persons == ["p3"])
    #expect(rebuilt.named == ["p3", "p1", "night"])
    // Who was called before the change can still answer; who was not, cannot.
    #expect(
      try station.confirm("callout/1", by: "p5")
        == .refused("not one of the persons called so far", code: "not-named")
    )
    #expect(try station.confirm("callout/1", by: "p1") == nil)
    #expect(try station.replayedHead(page: 3) == (try station.ledger.head.hash))
  }

  @Test("a station that stood still over the change of shift calls those who are there now")
  func stoodStill() throws {
    let station = try DeskStation { text in
      text.replacing(
        "responsible: true, attempts: 2, interval: 60s",
        with: "roster: county, attempts: 9, interval: 60min"
      )
    }
    try station.reading(25)
    try station.send(.external, "delivered", ["dispatch": "callout/1#1", "channel": "sms"])
    // The attempts of seven and eight o'clock are late; at nine nobody of the day is there to take them.
    station.now = DeskStation.start + 4 * DeskStation.hour
    try station.restart()
    let called = station.dispatches.filter { $0.purpose == .call }.map(\.contact.id)
    #expect(called == ["p1", "night", "night", "night", "night"])
  }

  @Test(
    "a level with nobody on duty is an entry of the call-out, and the next one is called at once"
  )
  func emptyLevel() throws {
    let station = try DeskStation { text in
      text.replacing(
        #"- {from: "20:00", to: "08:00", persons: [night]}"#,
        with: ""
      )
      .replacing(#"from: "08:00", to: "20:00""#, with: #"from: "02:00", to: "03:00""#)
    }
    try station.reading(25)
    try station.tick(to: DeskStation.start + 4 * DeskStation.minute)
    let calls = station.dispatches.map(Self.key)
    #expect(
      calls == [
        "0/1/metec/operator", "0/2/metec/operator", "1/1/p0", "1/1/p2", "3/1/p3", "4/1/p4",
      ]
    )
    #expect(try station.events(.callout).filter { $0 == "nobody" }.count == 1)
    let id = try #require(station.dispatches.first).callout
    let entries = try station.ledger.entries(of: id, limit: 99)
    let rebuilt = try #require(try Callout(replaying: entries))
    #expect(rebuilt.plan.levels.map(\.name) == ["企业", "班组", "县", "市", "省", "国家"])
    #expect(try station.replayedHead(page: 3) == (try station.ledger.head.hash))
  }

  @Test(
    "with nobody on duty anywhere the call-out stands, unanswered at once, until somebody comes on"
  )
  func nobodyAnywhere() throws {
    let station = try DeskStation { text in
      text.replacing("chain: six", with: "chain: night-only")
        .replacing(
          "chains:",
          with: """
            chains:
              night-only:
                levels:
                  - {name: {zh: 县, en: County}, roster: county, attempts: 1, interval: 60s}
            """
        )
        .replacing(#"- {from: "20:00", to: "08:00", persons: [night]}"#, with: "")
        .replacing(#"from: "08:00", to: "20:00""#, with: #"from: "17:00", to: "18:00""#)
    }
    // 16:53 in Shanghai; at 17:00 somebody comes on.
    try station.reading(25)
    #expect(station.dispatches.isEmpty)
    #expect(try station.events(.callout).suffix(2) == ["nobody", "unanswered"])
    let open = try station.ledger.matters(MatterFilter(kind: .callout, openOnly: true), limit: 9)
    #expect(open.count == 1)
    for minute in 1...8 {
      try station.tick(to: DeskStation.start + Int64(minute) * DeskStation.minute)
    }
    #expect(station.dispatches.map(\.contact.id).first == "p1")
    #expect(
      try station.send(
        .command,
        "call",
        ["actor": "li", "role": "county", "chain": "night-only", "text": "试", "place": "metec"]
      ) == nil
    )
  }

  @Test("a question that its channel refuses is asked again, over a restart, until one takes it")
  func questionRefused() throws {
    let station = try DeskStation()
    try station.reading(25)
    let id = try #require(station.dispatches.first).callout
    #expect(try station.confirm(id) == nil)
    func questions() -> [CalloutDispatch] {
      station.dispatches.filter { $0.purpose == .feedback }
    }
    try station.tick(to: station.now + 30 * DeskStation.minute)
    let refused: [String: HazardLedger.JSONValue] = [
      "dispatch": .string(try #require(questions().last).id), "channel": "sms", "detail": "503",
    ]
    #expect(try station.send(.external, "failed", refused) == nil)
    #expect(try station.ledger.matter(.callout, id: id)?.state == "feedbackFailed")
    station.now += 1_000
    try station.restart()
    #expect(questions().count == 1)
    try station.tick(to: station.now + 30 * DeskStation.minute)
    #expect(questions().map(\.attempt) == [1, 2])
    #expect(questions().allSatisfy { !$0.inDoubt } && Set(questions().map(\.id)).count == 2)
    let taken: [String: HazardLedger.JSONValue] = [
      "dispatch": .string(try #require(questions().last).id), "channel": "sms",
    ]
    #expect(try station.send(.external, "delivered", taken) == nil)
    try station.tick(to: station.now + 5 * DeskStation.hour)
    #expect(questions().count == 2)
    #expect(try station.replayedHead(page: 2) == (try station.ledger.head.hash))
  }

  @Test("a restart between the question what was done and its delivery asks again, marked in doubt")
  func questionSurvives() throws {
    let station = try DeskStation()
    try station.reading(25)
    let id = try #require(station.dispatches.first).callout
    #expect(try station.confirm(id) == nil)
    try station.tick(to: station.now + 31 * DeskStation.minute)
    let asked = try #require(station.dispatches.first { $0.purpose == .feedback })
    #expect(!asked.inDoubt)
    station.now += 1_000
    try station.restart()
    let again = try #require(station.dispatches.last { $0.purpose == .feedback })
    #expect(again.inDoubt && again.id != asked.id)
    #expect(
      try station.send(.external, "delivered", ["dispatch": .string(again.id), "channel": "sms"])
        == nil
    )
    let matter = try #require(try station.ledger.matter(.callout, id: id))
    #expect(matter.state == "feedbackDelivered" && !matter.isOpen)
    let count = station.dispatches.count
    try station.restart()
    #expect(station.dispatches.count { $0.purpose == .feedback } == 2)
    #expect(count >= 3)
    #expect(try station.replayedHead(page: 3) == (try station.ledger.head.hash))
  }
}
