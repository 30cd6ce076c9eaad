import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// What clocks and overdue hazards have to tell reaches persons.
@Suite("Notices of the desk")
struct NoticeDeskTests {
  static let hazard = HazardDeskTests.hazard
  static let minute = DeskStation.minute
  static let day = DeskStation.day

  /// Level by level, so that each occasion can be told from the others by who hears of it.
  static let notices = """
    notices:
      report: {responsible: true, roster: county, channels: [sms]}
      upper-report: {persons: [p3]}
      supplement: none
      remind: {responsible: true, attempts: 2, interval: 10min}
      supervise: {persons: [p0]}
      circulate: {persons: [p0, p1]}
      warn: {persons: [p0, p1, p2]}

    """

  static func station(_ edit: (String) -> String = { $0 }) throws -> DeskStation {
    try DeskStation { edit(notices + $0) }
  }

  /// A station with a hazard being rectified and the air clean again, and the hazard's deadline.
  static func rectifying(
    _ edit: (String) -> String = { $0 }
  ) throws -> (DeskStation, deadline: Int64) {
    let station = try station(edit)
    try station.reading(25)
    try station.toRectifying(hazard)
    let deadline = try #require(try station.ledger.hazard(id: hazard)?.deadline).milliseconds
    station.now += 1_000
    try station.reading(2)
    return (station, deadline)
  }

  /// `occasion person` of every notice that went out.
  static func told(_ station: DeskStation) -> [String] {
    station.dispatches.filter { $0.purpose == .notice }.map { "\($0.situation) \($0.contact.id)" }
  }

  /// Goes on to a time; channels take every notice that goes out.
  static func tick(_ station: DeskStation, to time: Int64) throws {
    let before = station.dispatches.count
    try station.tick(to: time)
    for dispatch in station.dispatches[before...] where dispatch.purpose == .notice {
      let word: [String: HazardLedger.JSONValue] = [
        "dispatch": .string(dispatch.id), "channel": "sms",
      ]
      #expect(try station.send(.external, "delivered", word) == nil)
    }
  }

  @Test("the one-hour report: half an hour ahead, ten minutes ahead, and when the time is over")
  func report() throws {
    let station = try Self.station()
    try station.reading(25)
    try Self.tick(station, to: DeskStation.start + 29 * Self.minute)
    #expect(Self.told(station) == [])
    try Self.tick(station, to: DeskStation.start + 30 * Self.minute)
    let pair = ["report metec/operator", "report p1"]
    #expect(Self.told(station) == pair)
    try Self.tick(station, to: DeskStation.start + 50 * Self.minute)
    try Self.tick(station, to: DeskStation.start + 60 * Self.minute)
    #expect(Self.told(station) == pair + pair + pair)
    let notices = station.dispatches.filter { $0.purpose == .notice }
    #expect(
      notices.map(\.title.zh).filter { $0.hasPrefix("事故信息首报") }
        == [
          "事故信息首报：还剩30分钟", "事故信息首报：还剩30分钟", "事故信息首报：还剩10分钟", "事故信息首报：还剩10分钟",
          "事故信息首报：已到期", "事故信息首报：已到期",
        ]
    )
    #expect(notices[0].title.en == "First report: 30 min left")
    for part in ["METEC 试验场", "甲烷烟羽", "期限 2025-10-09 03:53:20"] {
      #expect(notices[0].text.zh.contains(part), "\(notices[0].text.zh)")
    }
    #expect(notices.map(\.channels).allSatisfy { $0 == ["sms"] })
    #expect(notices[0].priority == 3 && notices[5].priority == 4)
    #expect(Set(notices.map(\.id)).count == 6)
    // Before it goes out it is an entry, with all that it says.
    let body = try #require(try station.bodies(.notice).first)
    #expect(body["event"]?.text == "told" && body["persons"]?.elements?.count == 2)
    let subjects = (body["subjects"]?.elements ?? []).map { $0.text ?? "" }
    #expect(subjects.first == "clock/report/1" && subjects.count == 2, "\(subjects)")
    #expect(subjects.last?.contains("#HH@") == true, "\(subjects)")
    // A report made in time is followed by the next level's clock, and nobody is told of the first any more.
    let made: [String: HazardLedger.JSONValue] = [
      "actor": "wang", "role": "county", "clock": "clock/report/1", "text": "首报",
    ]
    #expect(try station.send(.command, "report", made) == nil)
    try Self.tick(station, to: station.now + 3 * DeskStation.hour)
    #expect(Set(Self.told(station).dropFirst(6)) == ["upper-report p3"])
    #expect(try station.replayedHead(page: 7) == (try station.ledger.head.hash))
  }

  @Test("提醒→督办→通报→警示 reach whom the response file names, by the engine and by a person")
  func ladder() throws {
    let (station, deadline) = try Self.rectifying()
    func since(_ count: Int) -> [String] { Array(Self.told(station).dropFirst(count)) }
    try Self.tick(station, to: deadline - Self.day - 1)
    let before = Self.told(station).count
    // One day ahead the people responsible, as for every occasion that the file leaves out.
    try Self.tick(station, to: deadline - Self.day)
    #expect(since(before) == ["rectification metec/operator"])
    // Past its deadline the ladder's first rung tells of it, and not the clock as well.
    try Self.tick(station, to: deadline + 1)
    #expect(since(before + 1) == ["remind metec/operator"])
    let first = try #require(station.dispatches.last)
    #expect(first.title.zh == "逾期提醒：隐患整改逾期" && first.text.zh.contains("整改期限"))
    #expect(first.subjects == [Self.hazard])
    station.now += 1_000
    #expect(try station.act(.supervise, on: Self.hazard, as: .county) == nil)
    #expect(since(before + 2) == ["supervise p0"])
    #expect(try #require(station.dispatches.last).text.zh.hasSuffix("因为"))
    try Self.tick(station, to: deadline + 16 * Self.day)
    let rungs = since(before + 2).filter { !$0.hasPrefix("supervise") }
    #expect(
      Set(rungs) == [
        "circulate p0", "circulate p1", "warn p0", "warn p1", "warn p2",
      ]
    )
    #expect(try station.replayedHead(page: 3) == (try station.ledger.head.hash))
  }

  /// Edits of the response file, and who hears of what when the deadline passes and a day later.
  static let deadlines: [(edit: [String: String], told: String, later: String)] = [
    ([:], "remind metec/operator", ""),
    (["remind: 0s": "remind: 1d"], "rectification metec/operator", "remind metec/operator"),
    (
      ["remind: {responsible: true, attempts: 2, interval: 10min}": "remind: none"],
      "rectification metec/operator", ""
    ),
    (["remind: 0s, ": ""], "rectification metec/operator", ""),
  ]

  @Test(
    "that a deadline has passed is told once: by the first rung where that is climbed then and told, else by the clock",
    arguments: 0..<4
  )
  func deadline(row: Int) throws {
    let row = Self.deadlines[row]
    let (station, deadline) = try Self.rectifying { text in
      row.edit.reduce(text) { $0.replacing($1.key, with: $1.value) }
    }
    func told(until time: Int64) throws -> String {
      let before = Self.told(station).count
      try Self.tick(station, to: time)
      return Self.told(station).dropFirst(before).joined(separator: ", ")
    }
    _ = try told(until: deadline - 1)
    #expect(try told(until: deadline + 1) == row.told)
    #expect(try told(until: deadline + Self.day + 1) == row.later)
  }

  @Test("after an extension the second deadline is told as the first was")
  func secondDeadline() throws {
    let (station, deadline) = try Self.rectifying()
    try Self.tick(station, to: deadline + 1)
    station.now += 1_000
    let later = station.now + 2 * Self.day
    #expect(
      try station.act(
        .requestExtension,
        on: Self.hazard,
        as: .enterprise,
        ["deadline": .integer(later)]
      ) == nil
    )
    #expect(try station.act(.grantExtension, on: Self.hazard, as: .sector) == nil)
    try Self.tick(station, to: later - 1)
    let before = Self.told(station).count
    try Self.tick(station, to: later + 1)
    #expect(Self.told(station).dropFirst(before) == ["remind metec/operator"])
  }

  @Test("what no channel takes is tried again, then given up; after a restart again, marked")
  func tries() throws {
    let (station, deadline) = try Self.rectifying()
    try station.tick(to: deadline + 1)
    func reminders() -> [CalloutDispatch] { station.dispatches.filter { $0.situation == "remind" } }
    let id = try #require(reminders().first).callout
    func view() throws -> MatterView { try #require(try station.ledger.matter(.notice, id: id)) }
    #expect(try view().isOpen && view().place == "metec/metec/fence/ch4_n/ch4")
    let failed: [String: HazardLedger.JSONValue] = [
      "dispatch": .string("\(id)#1.1"), "channel": "sms", "detail": "503",
    ]
    #expect(try station.send(.external, "failed", failed) == nil)
    #expect(try view().state == "failed" && view().isOpen)
    try station.tick(to: deadline + 1 + 10 * Self.minute)
    #expect(reminders().map(\.id) == ["\(id)#1.1", "\(id)#1.2"])
    #expect(reminders().allSatisfy { !$0.inDoubt })
    station.now += 1_000
    try station.restart()
    #expect(reminders().map(\.id).last == "\(id)#1.3")
    #expect(try #require(reminders().last).inDoubt)
    // A made-up word, and one on a notice that there is none.
    for dispatch in ["\(id)#1.9", "\(id)#2.1", "\(id)#x", "notice/999#1.1"] {
      #expect(try station.send(.external, "delivered", ["dispatch": .string(dispatch)]) != nil)
    }
    try station.tick(to: deadline + 40 * Self.minute)
    #expect(try view().state == "lapsed" && !view().isOpen)
    let entries = try station.ledger.entries(of: id, limit: 99)
    #expect(try PendingNotice(replaying: entries)?.isOpen == false)
    #expect(try station.replayedHead(page: 2) == (try station.ledger.head.hash))
  }

  /// A roster on which somebody is on duty in the small hours only.
  static let nightly = """
    rosters:
      nightly:
        time-zone: Asia/Shanghai
        shifts:
          - {from: "02:00", to: "03:00", persons: [night]}
    """

  @Test(
    "without a word in the file the people responsible hear of it; where nobody is, the entry says so"
  )
  func nobody() throws {
    let plain = try DeskStation()
    try plain.reading(25)
    try plain.tick(to: DeskStation.start + 31 * Self.minute)
    #expect(Self.told(plain) == ["report metec/operator"])
    let empty = try Self.station { text in
      text.replacing("report: {responsible: true, roster: county", with: "report: {roster: nightly")
        .replacing("rosters:", with: Self.nightly)
    }
    try empty.reading(25)
    try empty.tick(to: DeskStation.start + 31 * Self.minute)
    #expect(Self.told(empty) == [])
    #expect(try empty.events(.notice) == ["nobody"])
    let view = try #require(try empty.ledger.matter(.notice, id: "notice/1"))
    #expect(!view.isOpen)
  }

  @Test("a station that stood still tells that the time is over, not that it soon will be")
  func stoodStill() throws {
    let station = try Self.station()
    try station.reading(25)
    try station.tick(to: DeskStation.start + 3 * DeskStation.hour)
    #expect(Self.told(station) == ["report metec/operator", "report p1"])
    #expect(try station.events(.clock) == ["started", "warned", "warned", "expired"])
  }
}
