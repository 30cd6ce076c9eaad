import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// What the hazard desk makes of the welding desk: hazards from its alarms, calls, the clocks of its register.
@Suite("welding and hazards") struct WeldingResponseTests {
  private typealias JSON = HazardLedger.JSONValue

  static let response = """
    people: {chief: {name: 站长, phone: "+86-1"}}
    chains:
      county: {levels: [{name: {zh: 县, en: County}, persons: [chief], attempts: 2, interval: 60s}]}
    situations:
      fire: {name: {zh: 违规动火, en: Hot work}, when: {priority: red}, chain: county}
    hazards:
      - {when: {rules: [no-permit]}, immediate-from: red}
      - {when: {rules: [no-cert]}, standing: 11min}
      - {when: {rules: [cert-expired]}, immediate-from: orange}
    permits: {warnings: [30min, 10min]}
    certificates: {warnings: [90d, 7d]}
    """

  @Test("a broken rule becomes a hazard that says in words what was broken where, and calls")
  func hazard() throws {
    let plant = try WeldingPlant(response: Self.response)
    try plant.run(
      """
      0 current 0
      20 current 120
      """
    )
    let alarm = "acme/plant/shop/WM-1/current#no-permit@\(WeldingPlant.noon + 20_000)"
    let draft = try #require(plant.drafts.first { $0.kind == .hazard })
    #expect(draft.subject == "hazard/\(alarm)")
    let body = try JSON(parsing: draft.body)
    #expect(body["title"]?.text == "测试 厂 一号焊机：无票动火")
    #expect(body["place"]?.text == "acme/plant/shop/WM-1/current")
    #expect(body["alarms"]?.elements?.compactMap(\.text) == [alarm])
    let call = try #require(plant.dispatches.first)
    #expect(call.contact.id == "chief" && call.subjects == [alarm])
    #expect(call.text.zh.contains("一号焊机，无票动火，2026-11-26 12:00:20"), "\(call.text.zh)")

    // It cannot be accepted while the arc goes on, and can be once the current has stopped.
    func act(_ act: String, _ role: String, _ more: String = "") -> String? {
      let payload =
        #"{"act":"\#(act)","actor":"\#(role)-1","role":"\#(role)","enterprise":"acme","hazard":"hazard/\#(alarm)","reason":"r"\#(more)}"#
      let refused = plant.refusals.count
      plant.feed(
        JournalInput(
          kind: .command,
          received: plant.now + 1_000,
          topic: Array("hazards/act".utf8),
          payload: Array(payload.utf8)
        )
      )
      return plant.refusals.count > refused ? plant.refusals.last : nil
    }
    let hash = String(repeating: "ab", count: 32)
    let plan =
      #","plan":{"responsible":"a","measures":"b","funds":"c","contingency":"d","deadline":\#(WeldingPlant.noon + 86_400_000)}"#
    let steps = [
      ("verify", "county", ""), ("grade", "sector", #","grade":"general""#),
      ("assignCommittee", "county", #","assignee":"a""#),
      ("assignSector", "sector", #","assignee":"b""#),
      ("plan", "enterprise", plan), ("start", "enterprise", ""),
      ("submit", "enterprise", #","evidence":[{"name":"a.jpg","sha256":"\#(hash)"}]"#),
    ]
    for (name, role, more) in steps {
      #expect(act(name, role, more) == nil, "\(name)")
    }
    #expect(act("accept", "sector") == "does not hold: conditionClear")
    try plant.run("60 current 0")
    #expect(act("accept", "sector") == nil)
  }

  @Test("an alarm of the desk that has returned by a late tick is no hazard for standing too long")
  func returnedFirst() throws {
    let plant = try WeldingPlant(response: Self.response)
    try plant.run("0 fix 115.0005 25.0005\n10 scan w3")
    // The scan's alarm ends at 610 s; it would be a hazard at 670 s. The first tick comes later than both.
    plant.feed(JournalInput(kind: .tick, received: WeldingPlant.noon + 700_000))
    #expect(plant.deskAlarms == ["10 no-cert raised", "610 no-cert returned"])
    #expect(plant.drafts.filter { $0.kind == .hazard } == [])
  }

  @Test("an expired certificate is a hazard of the enterprise, told in words")
  func certificate() throws {
    let plant = try WeldingPlant(response: Self.response)
    try plant.run("43300 tick")
    let hazard = try #require(plant.drafts.first { $0.kind == .hazard })
    #expect(hazard.time.milliseconds == WeldingPlant.noon + 43_200_000)
    #expect(try JSON(parsing: hazard.body)["title"]?.text == "测试 证书 w2：证书到期")
  }

  @Test("permits and certificates have clocks from the register that warn and come due")
  func clocks() throws {
    let plant = try WeldingPlant(response: Self.response)
    let start =
      (1...3).map { "-60 clock/certificate/acme/w\($0) started" }
      + ["-60 clock/permit/acme/P-1 started", "-60 clock/permit/acme/P-2 started"]
    #expect(try plant.clocks() == start)
    try plant.run(
      """
      500 extend -
      5000 report {"permit":"P-2","event":"finished"}
      6000 remove welders w3
      7000 put welders w2 {"name":"李","certificate":"T2b","validFrom":"2026-11-26","validUntil":"2026-12-03"}
      648001 tick
      """
    )
    #expect(
      try Array(plant.clocks().dropFirst(start.count)) == [
        // An hour from 500 s.
        "500 clock/permit/acme/P-1 started", "2300 clock/permit/acme/P-1 warned",
        "3500 clock/permit/acme/P-1 warned", "4100 clock/permit/acme/P-1 expired",
        "4100 clock/permit/acme/P-1 stopped", "5000 clock/permit/acme/P-2 stopped",
        "6000 clock/certificate/acme/w3 stopped", "7000 clock/certificate/acme/w2 started",
        // Seven days before the midnight after its last day.
        "43200 clock/certificate/acme/w2 warned", "648000 clock/certificate/acme/w2 expired",
      ]
    )
    let stopped = try #require(
      plant.drafts.last { $0.kind == .clock && $0.subject.hasSuffix("P-2") }
    )
    #expect(stopped.actor == "acme/gw")
    let body = try JSON(
      parsing: try #require(plant.drafts.first { $0.subject.hasSuffix("P-2") }).body
    )
    #expect(body["place"]?.text == "acme/welding/permits/P-2")
    #expect(body["kind"]?.text == "permitEnd")
  }

  @Test("a change of the response file sets them anew with its warnings; nothing else does")
  func reconfigured() throws {
    let plant = try WeldingPlant(response: Self.response)
    let known = try plant.clocks().count
    let other = Self.response.replacing("[30min, 10min]", with: "[5min]")
    for (response, expected) in [
      (Self.response, [String]()),
      (
        other,
        [
          "30 clock/permit/acme/P-1 started", "30 clock/permit/acme/P-2 started",
        ]
      ),
    ] {
      let catalog = try WeldingPlant.catalog(response: response)
      plant.feed(try StationCoreTests.catalogInput(catalog, at: WeldingPlant.noon + 30_000))
      #expect(try Array(plant.clocks().dropFirst(known)) == expected)
    }
    try plant.run("3700 tick")
    #expect(
      try Array(plant.clocks().dropFirst(known + 2)) == [
        "3300 clock/permit/acme/P-1 warned", "3600 clock/permit/acme/P-1 expired",
        "3600 clock/permit/acme/P-1 stopped",
      ]
    )
  }

  @Test("a machine, a welder and a permit that leave the site file take their clocks with them")
  func gone() throws {
    let plant = try WeldingPlant(response: Self.response)
    let known = try plant.clocks().count
    let site = WeldingPlant.site.replacing(
      "    w3: {name: 王, certificate: T3, category: 电工作业, from: 2024-01-01, until: 2030-12-31}\n",
      with: ""
    )
    let catalog = try WeldingPlant.catalog(site: site, response: Self.response)
    plant.feed(try StationCoreTests.catalogInput(catalog, at: WeldingPlant.noon + 30_000))
    #expect(
      try Array(plant.clocks().dropFirst(known)) == ["30 clock/certificate/acme/w3 stopped"]
    )
  }
}
