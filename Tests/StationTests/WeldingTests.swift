import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Testing

/// 赋码加芯 in virtual time: scripts and what each brings.
@Suite("welding desk")
struct WeldingTests {
  @Test("each script brings its alarms and commands, no others", arguments: WeldingScript.all)
  func scripts(_ testCase: WeldingScript) throws {
    let plant = try WeldingPlant()
    try plant.run(testCase.script)
    #expect(plant.deskAlarms == testCase.alarms)
    #expect(plant.commands == testCase.commands)
  }

  @Test("every alarm of the desk is raised by some script")
  func complete() {
    let raised = Set(
      WeldingScript.all.flatMap(\.alarms).filter { $0.hasSuffix(" raised") }
        .compactMap { $0.split(separator: " ").dropLast().last.map(String.init) }
    )
    // The retest needs a break shorter than the automatic lock: its own test below.
    #expect(raised.union(["gas-test"]) == Set(WeldingRule.allCases.map(\.rawValue)))
  }

  @Test("work after a break of more than 30 min without a new gas test is cut, with one it goes on")
  func retest() throws {
    let patient = WeldingPlant.site.replacing(
      "scan-radius: 30,",
      with: "scan-radius: 30, idle-after: 3h, auto-off-after: 4h,"
    )
    let script = """
      10 scan w1 QR-2
      20-60 current2 120
      70-1870 current2 0
      %
      1875 current2 120
      1877 current2 0
      """
    let without = try WeldingPlant(site: patient)
    try without.run(script)
    #expect(without.deskAlarms == ["1875 gas-test raised", "1877 gas-test returned"])
    #expect(without.commands == ["10 release scan", "1875 lock gas-test"])
    let tested = try WeldingPlant(site: patient)
    try tested.run(
      script.replacing("%", with: #"1872 report {"permit":"P-1","event":"gas-test"}"#)
    )
    #expect(tested.deskAlarms == [])
  }

  @Test(
    "where the service cannot decide it denies with that reason, unless the site says otherwise"
  )
  func undecided() throws {
    let scan = """
      0 fix 115.0005 25.0005
      10 scan w1
      """
    for (policy, expected) in [("deny", "deny clockFault"), ("allow", "allow clockFault")] {
      let plant = try WeldingPlant(
        site: WeldingPlant.site.replacing(
          "scan-radius: 30,",
          with: "scan-radius: 30, undecided: \(policy),"
        )
      )
      try plant.run("0 fix 115.0005 25.0005")
      let late = WeldingPlant.noon + 10_000 + 301_000
      plant.feed(
        JournalInput(
          received: late,
          topic: Array("davy/v1/acme/gw/welding/scan".utf8),
          payload: Array(
            #"{"code":"QR-1","welder":"w1","t":\#(WeldingPlant.noon + 10_000),"position":[115.0005,25.0005]}"#
              .utf8
          )
        )
      )
      #expect(plant.answers == ["311 \(expected)"])
      // A machine that is not released is locked, and the current is looked at.
      #expect(plant.commands == [policy == "deny" ? "311 lock clockFault" : "311 release scan"])
    }
    let start = try #require(WeldingPlant.site.range(of: "  machines:"))
    let end = try #require(WeldingPlant.site.range(of: "sites:\n"))
    var bare = WeldingPlant.site
    bare.removeSubrange(start.lowerBound..<end.lowerBound)
    let empty = try WeldingPlant(site: bare)
    try empty.run(scan)
    #expect(empty.answers == ["10 deny noRegister"])
  }

  @Test(
    "times that no clock shows are denied or refused, whatever they are",
    arguments: [
      Int64.min, Int64.min + 1, WeldingPlant.noon &- Int64.min, WeldingPlant.noon &+ Int64.min, -1,
      0, Int64.max,
    ]
  )
  func absurdTimes(time: Int64) throws {
    let plant = try WeldingPlant()
    for (verb, payload) in [
      ("scan", #"{"code":"QR-1","welder":"w1","t":\#(time),"position":[115.0005,25.0005]}"#),
      ("report", #"{"permit":"P-1","event":"gas-test","time":\#(time)}"#),
    ] {
      plant.feed(
        JournalInput(
          received: WeldingPlant.noon,
          topic: Array("davy/v1/acme/gw/welding/\(verb)".utf8),
          payload: Array(payload.utf8)
        )
      )
    }
    #expect(plant.answers.first == "0 deny clockFault")
    let permit =
      #"{"kind":"ticket","class":"second","machines":["WM-1"],"welders":["w1"],"area":"plant/shop","from":1795665600000,"until":1795669200000,"gasTestedAt":\#(time)}"#
    try plant.run("1 put permits P-9 \(permit)\n2 scan w1")
    #expect(plant.answers.last == "2 deny positionUnknown")
  }

  @Test("what cannot be read, and what comes from no gateway of the enterprise, is denied")
  func malformed() throws {
    let plant = try WeldingPlant()
    for (topic, payload) in [
      ("davy/v1/acme/gw/welding/scan", "{"), ("davy/v1/acme/gw/welding/scan", #"{"code":1}"#),
      ("davy/v1/acme/other/welding/scan", #"{"code":"QR-1","welder":"w1"}"#),
      ("davy/v1/none/gw/welding/scan", #"{"code":"QR-1","welder":"w1"}"#),
    ] {
      plant.feed(
        JournalInput(
          received: WeldingPlant.noon,
          topic: Array(topic.utf8),
          payload: Array(payload.utf8)
        )
      )
    }
    #expect(
      plant.answers == [
        "0 deny malformed", "0 deny malformed", "0 deny noRegister", "0 deny noRegister",
      ]
    )
  }

  @Test("an answer goes where it is asked to only below the gateway's own answers")
  func responseTopics() throws {
    let own = "davy/v1/acme/gw/welding/answers"
    for (asked, expected) in [
      (own + "/phone-7", own + "/phone-7"), ("davy/v1/alarms/x", own),
      ("davy/v1/acme/gw/readings", own), (own + "/+", own), (own + "x", own),
    ] {
      let plant = try WeldingPlant()
      try plant.run("0 fix 115.0005 25.0005")
      plant.feed(
        JournalInput(
          received: WeldingPlant.noon + 1_000,
          topic: Array("davy/v1/acme/gw/welding/scan".utf8),
          payload: Array(#"{"code":"QR-1","welder":"w1","position":[115.0005,25.0005]}"#.utf8),
          properties: [("davy-response-topic", asked), ("davy-correlation", "AQID")]
        )
      )
      let answer = try #require(plant.sent.first)
      #expect(answer.topic == expected, "asked \(asked)")
      #expect(answer.correlation == [1, 2, 3])
      #expect(plant.sent[1].topic == "davy/v1/acme/gw/commands/WM-1")
    }
  }

  @Test("acts on the desk's alarms: acknowledged, shelved, in the ledger's words")
  func acts() throws {
    let plant = try WeldingPlant()
    let name = "acme/plant/shop/WM-1/current#no-permit@\(WeldingPlant.noon + 20_000)"
    try plant.run(
      """
      0 current 0
      20 current 120
      22 act acknowledge \(name)
      23 current 0
      40 act acknowledge \(name)
      """
    )
    #expect(
      plant.deskAlarms == [
        "20 no-permit raised", "22 no-permit acknowledged", "23 no-permit returned",
      ]
    )
    #expect(plant.refusals == ["no such alarm stands: \(name)"])
    let bodies = try plant.drafts.filter { $0.kind == .alarm && $0.subject == name }
      .map { try AlarmBody(decoding: $0.body) }
    #expect(bodies.map(\.state) == [.unacknowledged, .acknowledged, .normal])
    #expect(bodies.map(\.priority) == [4, 4, 4])
    #expect(bodies.map(\.actor) == ["", "wang", ""])
  }

  @Test("a permit that its class does not allow is not registered")
  func permitHours() throws {
    let plant = try WeldingPlant()
    let value = { (hotWorkClass: String, hours: Int) in
      #"{"kind":"ticket","class":"\#(hotWorkClass)","machines":["WM-1"],"welders":["w1"],"area":"plant/shop","from":0,"until":\#(hours * 3_600_000)}"#
    }
    try plant.run(
      """
      1 put permits A \(value("special", 9))
      2 put permits B \(value("first", 8))
      3 put permits C \(value("second", 73))
      4 put permits D \(value("second", 72))
      5 put permits E \(value("second", 1).replacing("w1", with: "w9"))
      """
    )
    #expect(
      plant.refusals == [
        "9 h long, its class allows 8 h (GB 30871-2022 5.1.5)",
        "73 h long, its class allows 72 h (GB 30871-2022 5.1.5)", "welder w9 is not registered",
      ]
    )
  }

  // MARK: - A function of the records

  /// A day of everything, by seed.
  static func random(seed: UInt64) throws -> WeldingPlant {
    let plant = try WeldingPlant()
    var generator = SeededGenerator(seed: seed)
    var second = 0
    for _ in 0..<120 {
      second += Int.random(in: 1...40, using: &generator)
      let line =
        switch Int.random(in: 0..<12, using: &generator) {
        case 0: "scan w\(Int.random(in: 1...4, using: &generator))"
        case 1, 2: "scan w1"
        case 3, 4, 5: "current \(["0", "120", "300"][Int.random(in: 0..<3, using: &generator)])"
        case 6: "fix \(["115.0005", "115.003"][Int.random(in: 0..<2, using: &generator)]) 25.0005"
        case 7: "detector \([1, 30][Int.random(in: 0..<2, using: &generator)])"
        case 8: "mains \([0, 40][Int.random(in: 0..<2, using: &generator)])"
        case 9:
          #"report {"permit":"P-1","event":"\#(["gas-test", "guardian-left", "cleared"][Int.random(in: 0..<3, using: &generator)])"}"#
        case 10: #"report {"permit":"P-1","event":"guardian","person":"g"}"#
        default: #"put machines WM-1 {"code":"QR-1","chip":"C-1","normalCurrent":[40,250]}"#
        }
      try plant.run("\(second) \(line)")
    }
    return plant
  }

  @Test(
    "a snapshot at any record, and any cut into batches, changes nothing",
    arguments: 1...6 as ClosedRange<UInt64>
  )
  func function(seed: UInt64) throws {
    let plant = try Self.random(seed: seed)
    #expect(plant.deskAlarms.count > 4, "SEED=\(seed)")
    let whole = StationCore().process(JournalBatch(plant.inputs), firstSequence: 1)
    #expect(whole.drafts == plant.drafts, "SEED=\(seed): one batch")
    #expect(whole.answers.map(\.payload) == plant.sent.map(\.payload), "SEED=\(seed)")
    for cut in stride(from: 1 + Int(seed), to: plant.inputs.count, by: 23) {
      let before = StationCore()
      let first = before.process(
        JournalBatch(Array(plant.inputs[..<cut])),
        firstSequence: 1
      )
      let after = try StationCore(snapshot: before.snapshot())
      #expect(after.nextDeadline == before.nextDeadline, "SEED=\(seed) cut \(cut)")
      let second = after.process(
        JournalBatch(Array(plant.inputs[cut...])),
        firstSequence: UInt64(cut) + 1
      )
      #expect(first.drafts + second.drafts == plant.drafts, "SEED=\(seed) cut \(cut)")
    }
  }

  @Test("the same journal gives a byte-identical ledger, whatever the page")
  func replay() throws {
    let plant = try Self.random(seed: 99)
    var heads: Set<[UInt8]> = []
    for page in [1, 7, 1_000] {
      let scratch = try Scratch()
      let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
      var replay = Replay(into: ledger)
      var start = 0
      while start < plant.inputs.count {
        let end = min(plant.inputs.count, start + page)
        try replay.process(JournalBatch(Array(plant.inputs[start..<end])))
        start = end
      }
      heads.insert(try ledger.head.hash)
    }
    #expect(heads.count == 1)
  }
}
