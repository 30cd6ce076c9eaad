import DavyCommands
import DeviceCatalog
import Foundation
import Testing

/// What `davy check`, `davy serve` and `davy doctor` say of what a station would not see.
@Suite("Blind spots") struct BlindSpotsTests {
  private static let repository = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// What is found in a service file with the shipped example as its site: a mine's own route, gateways gw-tank, gw-mine
  /// and gw-weld, and welding.
  private static func findings(
    _ text: String,
    site: [String] = ["example.yaml"]
  ) throws -> [Finding] {
    let folder = try Folder()
    defer { folder.remove() }
    let head = "station: county\ndata: data\ndevices: devices\nsites: [site.yaml]\n"
    let path = try folder.file("service.yaml", head + text)
    let result = ServiceConfiguration.load(path: path)
    let service = try #require(result.configuration, "\(result.findings)")
    let loaded = Catalog.load(
      devices: repository + "/devices",
      site: site.map { repository + "/config/sites/" + $0 }
    )
    let catalog = try #require(loaded.catalog, "\(loaded.findings)")
    let findings = service.blindSpots(file: path, catalog: catalog)
    #expect(findings.allSatisfy { $0.place.file == path })
    #expect(findings.allSatisfy { !$0.remedy.zh.isEmpty && !$0.remedy.en.isEmpty })
    return findings
  }

  private static func errors(_ text: String) throws -> [String] {
    try findings(text).filter { $0.severity == .error }
      .map { "\($0.place.key):\($0.place.line) \($0.message.en)" }
  }

  private static let mine = "route \"kj-upload\" (kj/{enterprise}/{gateway}/realtime)"
  private static let scan = "the welding topic (davy/v1/+/+/welding/scan)"
  private static let report = "the welding topic (davy/v1/+/+/welding/report)"

  @Test(
    "a route or welding topic that no filter covers is an error at the filters",
    arguments: [
      ("broker: {host: 127.0.0.1}", []),
      ("broker:\n  filters:\n    - {filter: \"#\"}", []),
      ("broker:\n  filters:\n    - {filter: \"$share/davy/#\"}", []),
      ("broker:\n  filters:\n    - {filter: \"davy/#\"}\n    - {filter: \"kj/+/+/+\"}", []),
      (
        "broker:\n  filters:\n    - {filter: \"davy/v1/+/+/#\"}",
        ["no filter covers \(mine): such messages never come"]
      ),
      (
        "broker:\n  filters:\n    - {filter: davy/v1/+/+/readings}\n    - {filter: \"kj/#\"}",
        [
          "no filter covers \(scan): such messages never come",
          "no filter covers \(report): such messages never come",
        ]
      ),
      // Narrower than the template, and yet all that this enterprise's gateways send.
      (
        "broker:\n  filters:\n    - {filter: \"davy/v1/xinghe/#\"}\n    - {filter: \"kj/xinghe/+/+\"}",
        []
      ),
      (
        "broker:\n  filters:\n    - {filter: \"davy/v1/+/gw-tank/#\"}",
        [
          "no filter covers \(mine): such messages never come",
          "no filter covers any topic of gateway xinghe/gw-weld: its readings never come",
          "no filter covers any topic of gateway xinghe/gw-mine: its readings never come",
        ]
      ),
    ] as [(String, [String])]
  )
  func leftOut(text: String, expected: [String]) throws {
    #expect(
      try Set(Self.errors(text)) == Set(expected.map { "broker.filters:6 \($0)" })
    )
  }

  @Test("a format that every station takes may be left out, with a warning")
  func formats() throws {
    let found = try Self.findings("broker:\n  filters:\n    - {filter: davy/v1/+/+/readings}")
    let warnings = found.filter { $0.severity == .warning }
    #expect(warnings.map(\.code) == Array(repeating: "route-not-subscribed", count: 4))
    #expect(
      warnings.first?.message.en
        == "no filter covers route \"senml-json\" (davy/v1/{enterprise}/{gateway}/senml): such messages never come"
    )
  }

  @Test("filters by which a message comes twice")
  func overlaps() throws {
    let found = try Self.findings(
      "broker:\n  filters:\n    - {filter: \"#\"}\n    - {filter: \"kj/#\"}\n    - {filter: \"$SYS/a\"}"
    )
    #expect(found.map(\.code) == ["filters-overlap"])
    #expect(found.first?.severity == .warning)
    #expect(found.first?.place.key == "broker.filters.1" && found.first?.place.line == 8)
  }

  @Test("a station without a device watches nothing, unless it is there for those below it")
  func empty() throws {
    let alone = try Self.findings("", site: [])
    #expect(alone.map(\.code) == ["no-device"])
    #expect(alone.first?.severity == .error)
    #expect(alone.first?.place.key == "sites" && alone.first?.place.line == 4)
    let above = try Self.findings("broker: {relay: true}", site: [])
    #expect(above.map(\.severity) == [.warning])
  }
}
