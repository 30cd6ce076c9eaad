import DeviceCatalog
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// Rosters that people change: who is called, over restarts, and who may.
@Suite("Rosters")
struct RosterTests {
  /// The county's roster with one night shift by p3 and p4, and nobody else but p5.
  static func change(_ more: [String: JSONValue] = [:]) -> [String: JSONValue] {
    [
      "actor": "chief", "role": "county", "reason": "冬季值班", "roster": "county", "version": 0,
      "shifts": [shift("16:00", "04:00", ["p3", "p4"])],
      "dates": .object(["2025-10-10": ["p2"]]), "fallback": ["p5"],
    ].merging(more) { _, new in new }
  }

  static func shift(
    _ from: String,
    _ to: String,
    _ persons: JSONValue,
    days: JSONValue = [1, 2, 3, 4, 5, 6, 7]
  ) -> JSONValue {
    .object(["days": days, "from": .string(from), "to": .string(to), "persons": persons])
  }

  /// A station whose red alarms call the county's roster at once.
  static func station() throws -> DeskStation {
    try DeskStation {
      $0.replacing("responsible: true, attempts: 2", with: "roster: county, attempts: 2")
    }
  }

  @Test("what is changed decides whom to call, also after a restart, until it is put back")
  func calls() throws {
    let station = try Self.station()
    #expect(try station.send(.register, "roster", Self.change()) == nil)
    // 2025-10-09 16:53 in Shanghai.
    try station.reading(25)
    #expect(station.dispatches.map(\.contact.id) == ["p3", "p4"])
    try station.restart()
    let row = try #require(station.core.duty.content.rows["county"])
    #expect(row.isChanged && row.onDuty(at: Timestamp(milliseconds: station.now)) == ["p3", "p4"])
    let tomorrow = Timestamp(milliseconds: station.now + DeskStation.day)
    #expect(row.onDuty(at: tomorrow) == ["p2"], "a day of its own goes before the shifts")
    let morning = Timestamp(milliseconds: station.now - 6 * DeskStation.hour)
    #expect(row.onDuty(at: morning) == ["p5"])
    let reset: [String: JSONValue] = [
      "actor": "chief", "role": "county", "reason": "恢复", "roster": "county",
      "version": .integer(Int64(row.version)),
    ]
    #expect(try station.send(.register, "roster-reset", reset) == nil)
    let file = try #require(station.core.duty.content.rows["county"])
    #expect(!file.isChanged && file.onDuty(at: Timestamp(milliseconds: station.now)) == ["p1"])
    #expect(file.version > row.version, "whoever saw the change must look again")
    let bodies = try station.drafts.filter { $0.subject == "roster/county" }
      .map { ($0.actor, try JSONValue(parsing: $0.body)["event"]?.text) }
    #expect(bodies.map(\.0) == ["chief", "chief"])
    #expect(bodies.map(\.1) == ["roster.set", "roster.reset"])
    let head = try station.ledger.head.hash
    for page in [1, 7] { #expect(try station.replayedHead(page: page) == head) }
  }

  @Test("an exchange of duty goes before a changed roster as well")
  func exchange() throws {
    let station = try Self.station()
    #expect(try station.send(.register, "roster", Self.change()) == nil)
    let duty: [String: JSONValue] = [
      "actor": "chief", "role": "county", "roster": "county", "persons": ["p0"],
      "until": .integer(DeskStation.start + DeskStation.hour),
    ]
    #expect(try station.send(.command, "duty", duty) == nil)
    try station.reading(25)
    #expect(station.dispatches.map(\.contact.id) == ["p0"])
  }

  @Test(
    "what does not hold is refused, says where, and changes nothing",
    arguments: [
      (["version": 7], "version"), (["version": .null], "version"),
      (["role": "enterprise"], "enterprise"), (["reason": ""], "reason"),
      (["roster": "nights"], "nights"), (["fallback": ["nobody"]], "nobody"),
      (["shifts": .null], "shifts"), (["shifts": [], "fallback": []], "shifts"),
      (["shifts": [shift("8:00", "20:00", ["p1"])]], "shifts[0].from"),
      (["shifts": [shift("08:00", "24:00", ["p1"])]], "shifts[0].to"),
      (["shifts": [shift("08:00", "20:00", [])]], "shifts[0].persons"),
      (["shifts": [shift("08:00", "20:00", ["p1"], days: [0])]], "shifts[0].days"),
      (["dates": .object(["2025-02-30": ["p1"]])], "2025-02-30"),
    ] as [([String: JSONValue], String)]
  )
  func refused(_ more: [String: JSONValue], mentions word: String) throws {
    let station = try Self.station()
    let refusal = try #require(try station.send(.register, "roster", Self.change(more)))
    let text =
      switch refusal {
      case .refused(let text, let code): "\(text) \(code)"
      case .incomplete(let text): text
      default: "\(refusal)"
      }
    #expect(text.contains(word), "\(text)")
    let row = try #require(station.core.duty.content.rows["county"])
    #expect(!row.isChanged && row.version == 0)
  }

  @Test("whom a newer response file no longer knows is not called; the file's people stand in")
  func unknown() throws {
    let station = try Self.station()
    #expect(
      try station.send(.register, "roster", Self.change(["fallback": [], "dates": .object([:])]))
        == nil
    )
    let response = DeskStation.response
      .replacing("responsible: true, attempts: 2", with: "roster: county, attempts: 2")
      .replacing("p3: {name: 张四}", with: "p6: {name: 新人}")
      .replacing("p4: {name: 张五}", with: "p7: {name: 新人二}")
      .replacing("persons: [p3]", with: "persons: [p6]").replacing(
        "persons: [p4]",
        with: "persons: [p7]"
      )
    let catalog = try DeskStation.catalog(response: response)
    try station.feed(try StationCoreTests.catalogInput(catalog, at: station.now))
    try station.reading(25)
    #expect(station.dispatches.map(\.contact.id) == ["p1"])
  }
}
