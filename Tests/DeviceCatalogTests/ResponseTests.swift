import DeviceCatalog
import Foundation
import Testing

@Suite("Response files")
struct ResponseTests {
  static let good = """
    people:
      a: {name: 甲, phone: "+86-1", channels: {sms: "2"}}
      b: {name: 乙}
    rosters:
      duty:
        time-zone: Asia/Shanghai
        shifts:
          - {from: "08:00", to: "20:00", days: [mon, fri], persons: [a]}
          - {from: "20:00", to: "08:00", persons: [b]}
        dates: {2026-10-01: [b]}
        fallback: [a]
    chains:
      county:
        levels:
          - {name: {zh: 县, en: County}, roster: duty, attempts: 2, interval: 60s}
    situations:
      red: {name: {zh: 红, en: Red}, when: {priority: red}, chain: county, group-by: site}
    hazards:
      - {immediate-from: red, repeat: {count: 3, within: 1h}}
    reports:
      leak: {when: {priority: red}, within: 1h, upper: [{name: {zh: 市, en: City}}]}
    inhibitions:
      i: {cause: {rules: [x]}, consequence: {rules: [y]}, share: device}
    retention:
      r: {after: 30d, reason: kept}
    """

  static func load(_ text: String) -> CatalogResult {
    Catalog.load(sources: [("response/response.yaml", text)])
  }

  @Test("the example of the repository has no finding of an error")
  func example() throws {
    let result = Catalog.load(
      devices: "\(repository)/devices",
      site: ["\(repository)/config/sites/example.yaml"],
      response: ["\(repository)/config/response.yaml"]
    )
    let catalog = try #require(
      result.catalog,
      "\(result.findings.filter { $0.severity == .error })"
    )
    #expect(catalog.response.chains["four-levels"]?.levels.count == 4)
    #expect(catalog.response.contacts["xinghe/zhou"]?.addresses == ["phone": "+86-000-0001"])
    #expect(
      catalog.response.reports.first?.upper.map(\.withinMilliseconds) == [7_200_000, 7_200_000]
    )
    // It is part of the catalog, and comes back from its sources.
    let again = try #require(Catalog.load(sources: catalog.sources).catalog)
    #expect(again.version == catalog.version)
    #expect(again.response.situations == catalog.response.situations)
  }

  @Test("what is read is what is written")
  func read() throws {
    let response = try #require(Self.load(Self.good).catalog).response
    #expect(response.contacts["a"]?.addresses == ["phone": "+86-1", "sms": "2"])
    let roster = try #require(response.rosters["duty"])
    #expect(roster.shifts.map(\.from) == [480, 1_200] && roster.shifts[0].days == [1, 5])
    #expect(roster.dates == ["2026-10-01": ["b"]])
    #expect(response.situations.first?.groupParts == 2)
    #expect(response.situations.first?.when.minimumPriority == 4)
    #expect(response.hazards.first?.immediateFromPriority == 4)
    #expect(response.hazards.first?.repeatCount == 3)
    #expect(response.inhibitions.first?.sharedParts == 4)
    let retention = try #require(response.retention.first)
    #expect(retention.afterMilliseconds == 2_592_000_000)
  }

  @Test(
    "mistakes are found with their place and kind",
    arguments: [
      ("roster: duty", "roster: duti", "unknown-roster"),
      ("chain: county", "chain: country", "unknown-chain"),
      ("persons: [a]", "persons: [c]", "unknown-person"),
      ("fallback: [a]", "fallback: [z]", "unknown-person"),
      ("days: [mon, fri]", "days: [monday]", "not-one-of"),
      ("\"08:00\", to: \"20:00\"", "\"8 o'clock\", to: \"20:00\"", "wrong-type"),
      ("2026-10-01", "2026-13-01", "bad-date"),
      ("group-by: site", "group-by: house", "not-one-of"),
      ("priority: red}, chain", "priority: crimson}, chain", "not-one-of"),
      ("roster: duty, attempts", "attempts", "nothing-there"),
      ("interval: 60s", "interval: 60", "wrong-type"),
      ("interval: 60s", "interval: 10ms", "wrong-type"),
      ("within: 1h}}", "within: 1h, often: 3}}", "unknown-key"),
      ("reason: kept", "because: kept", "missing-key"),
      ("Asia/Shanghai", "Asia/Shanghia", "unknown-time-zone"),
    ]
  )
  func mistakes(old: String, new: String, code: String) {
    let text = Self.good.replacing(old, with: new)
    #expect(text != Self.good, "\(old) is not in the file")
    let result = Self.load(text)
    #expect(result.catalog == nil)
    #expect(result.findings.contains { $0.code == code && $0.place.line > 0 }, "\(result.findings)")
  }

  @Test(
    "a condition that no alarm meets is warned of, with the name that was probably meant",
    arguments: [
      ("{priority: red}, chain", []), ("{path: e, priority: red}, chain", []),
      ("{path: e/s/a/D1/gas, rules: [level-1, stale, no-permit]}, chain", []),
      ("{path: e/welding/permits/7}, chain", []),
      ("{path: e/s/a/D3}, chain", ["did you mean \"e/s/a/D1\"?"]),
      ("{path: e/s/b/D1}, chain", ["did you mean \"e/s/a\"?"]),
      ("{rules: [level1]}, chain", ["did you mean \"level-1\"?"]),
      ("{path: elsewhere}, chain", ["correct the name by the site files and profiles"]),
      (
        "{priority: red, up-to: blue}, chain",
        ["write the lowest priority as \"priority\" and the highest as \"up-to\""]
      ),
    ] as [(String, [String])]
  )
  func fitsNothing(when: String, remedies: [String]) {
    let text = Self.good.replacing("{priority: red}, chain", with: when)
      .replacing("rules: [x]", with: "rules: [level-2]")
      .replacing("rules: [y]", with: "rules: [level-1]")
    let sources = [
      (path: "devices/standards.yaml", text: SmallCatalog.standards),
      (path: "devices/gas/detector.yaml", text: SmallCatalog.profile),
      (path: "sites/e.yaml", text: SmallCatalog.site),
      (path: "response/response.yaml", text: text),
    ]
    let result = Catalog.load(sources: sources)
    #expect(result.catalog != nil, "\(result.findings)")
    let found = result.findings.filter { $0.code == "fits-nothing" }
    #expect(found.map(\.remedy.en) == remedies)
    #expect(found.allSatisfy { $0.severity == .warning && $0.place.line > 0 })
    // What was in force once is taken as it is.
    let recorded = Catalog.load(sources: sources, isRecorded: true).findings
    #expect(!recorded.contains { $0.remedy.en.hasPrefix("did you mean") })
  }

  @Test("a name defined in two files is refused")
  func twice() {
    let other = "people:\n  a: {name: 丙}\n"
    let result = Catalog.load(sources: [
      ("response/one.yaml", Self.good), ("response/two.yaml", other),
    ])
    #expect(result.findings.map(\.code).contains("duplicate-name"))
  }
}
