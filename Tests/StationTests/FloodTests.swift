import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// Floods are found from the inputs alone, told with their first-out, and end; the ledger keeps every alarm.
@Suite("Flood control")
struct FloodTests {
  static let start: Int64 = 1_760_000_000_000

  /// Enterprises in counties, two of one unless others are given, each with a point: its deficit is a yellow alarm, its excess a
  /// red one.
  static func catalog(
    limit: Int = 10,
    area: Int = 10,
    counties: [(id: String, code: String)] = [("one", "360981"), ("two", "360981")]
  ) throws -> Catalog {
    let devices = Fixture.root.appendingPathComponent("devices").path
    let scratch = try Scratch()
    var files: [String] = []
    for (id, code) in counties {
      let text = """
        enterprise: {id: \(id), name: {zh: 企, en: E}, administrative-code: "\(code)"}
        time-zone: UTC
        flood: {limit: \(limit), area-limit: \(area)}
        gateways: {gw: {name: {zh: 关, en: G}}}
        sites:
          s:
            name: {zh: 场, en: S}
            areas:
              a:
                name: {zh: 区, en: A}
                devices:
                  D:
                    profile: gas/oxygen-detector
                    parameters: {range-high: 30}
        """
      let file = scratch.file("\(id).yaml")
      try text.write(toFile: file, atomically: true, encoding: .utf8)
      files.append(file)
    }
    let shipped = Catalog.load(devices: devices, site: files)
    let sources = try #require(shipped.catalog, "\(shipped.findings)").sources
    let result = Catalog.load(
      sources: sources.map { path, text in
        guard path.hasSuffix("oxygen-detector.yaml") else { return (path, text) }
        let edited = text.replacing("priority: red", with: "priority: yellow", maxReplacements: 1)
        return (path, edited)
      }
    )
    return try #require(result.catalog, "\(result.findings.filter { $0.severity == .error })")
  }

  static func message(_ enterprise: String, _ value: Double, at second: Int64) -> JournalInput {
    JournalInput(
      received: start + second * 1000,
      topic: Array("davy/v1/\(enterprise)/gw/readings".utf8),
      payload: Array(
        #"{"device":"D","point":"o2","v":\#(value),"t":\#(start + second * 1000)}"#.utf8
      ),
      qos: 1
    )
  }

  static func tick(at second: Int64) -> JournalInput {
    JournalInput(kind: .tick, received: start + second * 1000)
  }

  /// An alarm each 20 s and its return 10 s later.
  static func alarms(_ enterprise: String, from second: Int64, count: Int64) -> [JournalInput] {
    (0..<count).flatMap { index in
      [
        message(enterprise, 19, at: second + index * 20),
        message(enterprise, 20.9, at: second + index * 20 + 10),
      ]
    }
  }

  struct Outcome {
    var floods: [(event: String, scope: String, second: Int64, members: [String: JSONValue])] = []
    var bodies: [AlarmBody] = []
    var drafts: [LedgerDraft] = []
  }

  static func run(_ inputs: [JournalInput], page: Int = .max, cut: Int? = nil) throws -> Outcome {
    var outcome = Outcome()
    outcome.drafts = try Fixture.drafts(of: inputs, page: page, cut: cut)
    for draft in outcome.drafts {
      if draft.kind == .alarm { outcome.bodies.append(try AlarmBody(decoding: draft.body)) }
      guard draft.kind == .system, let members = try JSONValue(parsing: draft.body).members,
        let event = members["event"]?.text, event.hasPrefix("flood.")
      else { continue }
      outcome.floods.append(
        (event, draft.subject, (draft.time.milliseconds - start) / 1000, members)
      )
    }
    return outcome
  }

  static func inputs() throws -> [JournalInput] {
    var inputs = [try StationCoreTests.catalogInput(try catalog(), at: start)]
    inputs += [message("one", 20.9, at: 1), message("two", 20.9, at: 1)]
    inputs += alarms("one", from: 10, count: 15)
    inputs.append(message("two", 19, at: 330))
    inputs += (6...20).map { tick(at: $0 * 60) }
    return inputs
  }

  @Test("begin with first-out, summaries, end; the other enterprise is not in it")
  func flood() throws {
    let outcome = try Self.run(try Self.inputs())
    let mine = outcome.floods.filter { $0.scope == "enterprise:one" }
    #expect(mine.first?.event == "flood.begin")
    #expect(mine.first?.second == 210)
    #expect(mine.last?.event == "flood.end")
    // With the point's own silence, told last, the fifth alarm from the end is that of 230 s: at 830 s it is ten
    // minutes old, and fewer than five are left.
    #expect(mine.last?.second == 830)
    #expect(mine.filter { $0.event == "flood.summary" }.map(\.second) == [270, 330, 510])
    for flood in mine {
      #expect(flood.members["firstOut"]?.text == "one/s/a/D/o2#deficit@\(Self.start + 10_000)")
    }
    #expect(mine.last?.members["count"] == .integer(16))
    #expect(!outcome.floods.contains { $0.scope == "enterprise:two" })
    // The other enterprise's silence counts in the area, whose flood begins an alarm earlier.
    #expect(outcome.floods.filter { $0.scope == "area:360981" }.first?.second == 190)

    // Every alarm is an entry; those of the flood say so.
    let raised = outcome.bodies.filter {
      $0.event == .raised && $0.rule == "deficit" && $0.point.hasPrefix("one/")
    }
    #expect(raised.count == 15)
    #expect(raised.prefix(9).allSatisfy { $0.flood == nil })
    #expect(raised[9].flood == "area:360981")
    #expect(raised.dropFirst(10).allSatisfy { $0.flood == "enterprise:one area:360981" })
    let other = outcome.bodies.first { $0.point.hasPrefix("two/") && $0.rule == "deficit" }
    #expect(other?.flood == "area:360981")
  }

  /// An alarm in another city, then one in each of eleven counties of a city.
  static func cityInputs(_ level: RulesLevel) throws -> [JournalInput] {
    var counties: [(id: String, code: String)] = [("e12", "360702")]
    for index in 1...11 { counties.append(("e\(index)", "3609\(index + 20)")) }
    let site = try catalog(counties: counties)
    var inputs = [try StationCoreTests.catalogInput(site, at: start, level: level)]
    for (index, county) in counties.enumerated() {
      inputs.append(message(county.id, 19, at: Int64(10 + 10 * index)))
    }
    return inputs
  }

  @Test("calm counties may be a flood of their city and of the province")
  func cities() throws {
    let inputs = try Self.cityInputs(.newest)
    let outcome = try Self.run(inputs)
    #expect(outcome.floods.map(\.event) == ["flood.begin", "flood.begin"])
    #expect(outcome.floods.map(\.scope) == ["area:360000", "area:360900"])
    #expect(outcome.floods.map(\.second) == [110, 120])
    let firstOut = outcome.floods.map { $0.members["firstOut"]?.text }
    #expect(
      firstOut == [
        "e12/s/a/D/o2#deficit@\(Self.start + 10_000)",
        "e1/s/a/D/o2#deficit@\(Self.start + 20_000)",
      ]
    )
    #expect(outcome.bodies.count == 12)
    #expect(outcome.bodies.prefix(10).allSatisfy { $0.flood == nil })
    #expect(outcome.bodies.suffix(2).map(\.flood) == ["area:360000", "area:360900 area:360000"])
    for cut in 1..<inputs.count {
      #expect(try Self.run(inputs, cut: cut).drafts == outcome.drafts, "cut at \(cut)")
    }
  }

  @Test("a journal of the rules before knows floods of the named area only")
  func formerRules() throws {
    let outcome = try Self.run(try Self.cityInputs(.notices))
    #expect(outcome.floods.isEmpty)
    #expect(outcome.bodies.count == 12)
    #expect(outcome.bodies.allSatisfy { $0.flood == nil })
  }

  private static func entries(_ drafts: [LedgerDraft]) -> [LedgerEntry] {
    drafts.enumerated().map { index, draft in
      LedgerEntry(
        sequence: Int64(index + 1),
        time: draft.time,
        kind: draft.kind,
        subject: draft.subject,
        actor: draft.actor,
        body: draft.body,
        origin: draft.origin,
        previousHash: [],
        hash: []
      )
    }
  }

  @Test("the streams leave out what the summary stands for, and show the summary")
  func streams() throws {
    let entries = Self.entries(try Self.run(try Self.inputs()).drafts)
    let shown = try entries.filter { $0.kind == .alarm && !$0.isSummarised }
      .map { try AlarmBody(decoding: try #require($0.body)) }
    #expect(shown.filter { $0.event == .raised && $0.point.hasPrefix("one/") }.count == 10)
    #expect(shown.contains { $0.event == .raised && $0.point.hasPrefix("two/") })
    #expect(entries.compactMap(\.floodScope).filter { $0 == "enterprise:one" }.count == 5)
  }

  @Test(
    "in a flood a red alarm is streamed, and named first; by the rules before, what came most is",
    arguments: [RulesLevel.areas, .notices]
  )
  func red(level: RulesLevel) throws {
    var inputs = [
      try StationCoreTests.catalogInput(try Self.catalog(), at: Self.start, level: level)
    ]
    inputs += Self.alarms("one", from: 10, count: 15)
    inputs += [Self.message("one", 24, at: 320), Self.message("one", 20.9, at: 325)]
    inputs += (6...20).map { Self.tick(at: $0 * 60) }
    let outcome = try Self.run(inputs)
    let steps = Self.entries(outcome.drafts).filter { $0.subject.contains("#excess@") }
    let bodies = outcome.bodies.filter { $0.rule == "excess" }
    #expect(bodies.map(\.event) == [.raised, .returned])
    #expect(bodies.allSatisfy { $0.flood?.hasPrefix("enterprise:one") == true })
    #expect(steps.count == 2 && steps.allSatisfy { !$0.isSummarised && $0.floods == [] })
    let end = try #require(outcome.floods.last { $0.scope == "enterprise:one" })
    #expect(end.event == "flood.end")
    let top = try #require(end.members["top"]?.elements)
    let (excess, deficit) = ("one/s/a/D/o2#excess", "one/s/a/D/o2#deficit")
    let first = level >= .areas ? excess : deficit
    #expect(top.first?["rule"]?.text == first)
    #expect(top.first?["priority"] == (level >= .areas ? .integer(4) : nil))
    for cut in stride(from: 1, to: inputs.count, by: 5) {
      #expect(try Self.run(inputs, cut: cut).drafts == outcome.drafts, "cut at \(cut)")
    }
  }

  @Test("the same inputs give the same entries, however they are cut and wherever a snapshot lies")
  func determinism() throws {
    let inputs = try Self.inputs()
    let whole = try Self.run(inputs)
    #expect(try Self.run(inputs, page: 1).drafts == whole.drafts)
    for cut in stride(from: 1, to: inputs.count, by: 3) {
      #expect(try Self.run(inputs, cut: cut).drafts == whole.drafts, "cut at \(cut)")
    }
  }

  @Test("what people do is streamed, in a flood too")
  func acts() throws {
    var inputs = [try StationCoreTests.catalogInput(try Self.catalog(), at: Self.start)]
    inputs += Self.alarms("one", from: 10, count: 12)
    inputs.append(Self.message("one", 19, at: 300))
    inputs.append(
      StationCoreTests.act(
        "acknowledge",
        alarm: "one/s/a/D/o2#deficit@\(Self.start + 300_000)",
        at: Self.start + 301_000
      )
    )
    let outcome = try Self.run(inputs)
    let act = try #require(outcome.bodies.last)
    #expect(act.event == .acknowledged)
    #expect(act.flood == nil)
  }

  @Test("alarms of a desk's own count in a flood and say that they are in one")
  func desks() throws {
    let script = """
      0 fix 115.0005 25.0005
      10 scan w1
      20 scan w3
      30 tamper 1
      40 scan w9 QR-2
      50 current2 120
      700 tick
      """
    func run(limit: Int) throws -> WeldingPlant {
      let plant = try WeldingPlant(
        site: "flood: {limit: \(limit), area-limit: 1000, end-below: 1}\n" + WeldingPlant.site
      )
      try plant.run(script)
      return plant
    }
    func bodies(_ plant: WeldingPlant) throws -> [AlarmBody] {
      try plant.drafts.filter { $0.kind == .alarm }.map { try AlarmBody(decoding: $0.body) }
    }
    func stripped(_ bodies: [AlarmBody]) -> [AlarmBody] {
      bodies.map { body in
        var copy = body
        copy.flood = nil
        // Another catalog, and ticks for summaries among the inputs.
        copy.catalog = ""
        copy.cause = 0
        return copy
      }
    }
    let calm = try run(limit: 1000)
    let flooded = try run(limit: 2)
    let raised = try bodies(flooded).filter {
      $0.event == .raised && $0.state == .unacknowledged && $0.actor.isEmpty
    }
    try #require(raised.count >= 4, "\(flooded.alarms)")
    #expect(raised.prefix(2).allSatisfy { $0.flood == nil })
    #expect(raised.dropFirst(2).allSatisfy { $0.flood == "enterprise:acme" })
    // The ledger keeps every one of them.
    #expect(try stripped(bodies(flooded)) == stripped(bodies(calm)))
    #expect(try bodies(calm).allSatisfy { $0.flood == nil })
    let begin = try flooded.drafts.compactMap { draft in
      draft.kind == .system ? try JSONValue(parsing: draft.body).members : nil
    }.first { $0["event"]?.text == "flood.begin" }
    #expect(begin?["firstOut"]?.text == raised.first?.alarm)
    // The journal in one piece says the same.
    let again = StationCore().process(JournalBatch(flooded.inputs), firstSequence: 1)
    #expect(again.drafts == flooded.drafts)
  }

  @Test("a rule that is shelved shows as such after its alarm has returned")
  func inhibited() throws {
    let core = StationCore()
    let alarm = "one/s/a/D/o2#deficit"
    let until = Self.start + 900_000
    let shelve = JournalInput(
      kind: .command,
      received: Self.start + 20_000,
      topic: Array("act".utf8),
      payload: Array(
        #"{"act":"shelve","actor":"wang","alarm":"\#(alarm)","reason":"r","until":\#(until)}"#.utf8
      )
    )
    let inputs = [
      try StationCoreTests.catalogInput(try Self.catalog(), at: Self.start),
      Self.message("one", 19, at: 10), shelve, Self.message("one", 20.9, at: 30),
    ]
    _ = core.process(JournalBatch(inputs), firstSequence: 1)
    let shown = core.inhibited
    #expect(shown.map(\.state) == ["shelved"])
    #expect(shown.first?.until == Timestamp(milliseconds: until))
    let rule = try #require(shown.first?.rule)
    #expect(core.catalog?.rules[Int(rule)].fullName == alarm)
    #expect(try StationCore(snapshot: core.snapshot()).inhibited == shown)
    _ = core.process(JournalBatch([Self.tick(at: 901)]), firstSequence: 5)
    #expect(core.inhibited == [])
  }

  @Test("a wrong clock is an alarm of the device, in seconds, and shows in the report")
  func clock() throws {
    let core = StationCore()
    func late(_ second: Int64) -> JournalInput {
      JournalInput(
        received: Self.start + second * 1000,
        topic: Array("davy/v1/one/gw/readings".utf8),
        payload: Array(
          #"{"device":"D","point":"o2","v":20.9,"t":\#(Self.start + second * 1000 + 7_200_000)}"#
            .utf8
        ),
        qos: 1
      )
    }
    let inputs = [try StationCoreTests.catalogInput(try Self.catalog(), at: Self.start), late(5)]
    let output = core.process(JournalBatch(inputs), firstSequence: 1)
    let body = try #require(try StationCoreTests.bodies(output).first)
    #expect(body.rule == "clock")
    #expect(body.value == 7200)
    #expect(body.limit == 300)
    #expect(body.unit == "s")
    #expect(body.onset == Timestamp(milliseconds: Self.start + 5000))
    let report = core.engineReport()
    #expect(report.lanes.map(\.quarantined) == [1])
    #expect(report.clocks.map(\.isQuarantined) == [true])
    #expect(report.rules.first?.raises == 1)
  }
}
