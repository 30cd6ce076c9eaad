import DeviceCatalog
import Foundation
import PayloadDecoding
import Telemetry
import Testing

/// The lines of the documentation that publish or explain a payload: each has to do what its page says.
@Suite struct DocumentationTests {
  static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  static let folder = root.appendingPathComponent("docs/formats")

  static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  /// The catalog of the service file that is shipped, or of another site with it.
  static func catalog(site: String? = nil) throws -> Catalog {
    let path = root.appendingPathComponent("config/service.yaml").path
    let service = try #require(ServiceConfiguration.load(path: path).configuration)
    let result = Catalog.load(
      devices: service.devicesFolder,
      site: site.map { [$0] } ?? service.sites,
      response: service.response
    )
    return try #require(result.catalog, "\(result.findings)")
  }

  /// The routes that a page of formats writes out, read as parts of the shipped example site.
  static func routes(of page: String) throws -> [TopicRoute] {
    let blocks = try text("docs/formats/\(page)").components(separatedBy: "```yaml\n").dropFirst()
    let block = try #require(blocks.first { $0.hasPrefix("routes:\n") })
    let routes = try #require(block.components(separatedBy: "```").first)
    let site = try text("config/sites/example.yaml")
    #expect(site.components(separatedBy: "routes:\n").count == 2)
    let file = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-\(UUID().uuidString).yaml")
    try site.replacingOccurrences(of: "routes:\n", with: routes)
      .write(to: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: file) }
    return try catalog(site: file.path).decodingPlan.routes
  }

  /// Those of the page on mapped JSON; loading a catalog takes long enough to do it once.
  static let mappedRoutes: Result<[TopicRoute], any Error> = Result {
    try Self.routes(of: "mapped-json.md")
  }

  /// A bench with the catalog of the service file that is shipped.
  static func exampleBench() throws -> (bench: Bench, catalog: Catalog) {
    let catalog = try catalog()
    var bench = Bench([])
    bench.decoder = PayloadDecoding.Decoder(plan: catalog.decodingPlan)
    return (bench, catalog)
  }

  static func point(_ name: String, _ row: UInt32, _ unit: String) -> PointEntry {
    PointEntry(name: name, channel: ChannelIndex(rawValue: row), unit: unit)
  }

  static func bench() throws -> Bench {
    let routes: [(String, PayloadFormat)] = [
      ("davy/v1/{enterprise}/{gateway}/readings", .davyJSON),
      ("senml/{enterprise}/{gateway}", .senMLJSON), ("cbor/{enterprise}/{gateway}", .senMLCBOR),
      ("influx/{enterprise}/{gateway}", .influxLine(InfluxOptions())),
      ("spBv1.0/{enterprise}/+/{gateway}/#", .sparkplugB(SparkplugOptions())),
      ("hj212/{enterprise}/{gateway}", .hj212(HJ212Options())),
    ]
    // The others of the example site come with them, are tried last and take none of these topics.
    return Bench(
      try routes.map {
        TopicRoute(id: $0.0, template: try TopicTemplate($0.0), format: $0.1)
      } + Self.mappedRoutes.get(),
      devices: [
        DeviceEntry(
          enterprise: "acme",
          gateway: "gw-1",
          id: "GD-07",
          points: [point("ch4", 1, "%LEL"), point("temp", 2, "Cel"), point("a21026", 3, "")]
        )
      ]
    )
  }

  /// Bytes of a shell word in single quotes; `\xHH` as printf takes it.
  static func bytes(_ word: Substring, isFormat: Bool) -> [UInt8] {
    guard isFormat else { return Array(word.utf8) }
    return word.split(separator: "\\x").compactMap { UInt8($0, radix: 16) }
  }

  @Test(
    "each page's lines give the readings they promise",
    arguments: [
      ("mapped-json.md", "1=0.42@1795425124000 | 2=21.5"),
      ("senml.md", "1=1.03@1795451234567 2=20.1@1795451234567 | 1=1.0302734375@1795451234567"),
      ("influx-line.md", "1=1.03@1795451234567 2=20.1@1795451234567"),
      ("sparkplug-b.md", "?born | 1=1.5 ?born | 1=2.0"),
      ("hj212.md", "3=1.5@1795425124000"),
    ]
  )
  func lines(page: String, expected: String) throws {
    let text = try String(
      contentsOf: Self.folder.appendingPathComponent(page),
      encoding: .utf8
    ).replacingOccurrences(of: "\\\n", with: "")
    var bench = try Self.bench()
    var outcomes: [String] = []
    for line in text.split(separator: "\n") where line.contains("mosquitto_pub") {
      // Those for the shipped example site are read below.
      guard let topic = line.firstMatch(of: /-t (\S+)/)?.1, !topic.hasPrefix("kj/"),
        let word = line.firstMatch(of: /'([^']*)'/)?.1
      else { continue }
      let payload = Self.bytes(word, isFormat: line.hasPrefix("printf"))
      outcomes.append(bench.send(String(topic), payload).description)
    }
    #expect(outcomes.joined(separator: " | ") == expected)
  }

  @Test(
    "lines for the shipped example site are read with it, and nothing is refused",
    arguments: [
      ("README.md", 2), ("docs/formats/davy-json.md", 3), ("docs/formats/mapped-json.md", 1),
      ("Sources/davy/Decode.swift", 1),
    ]
  )
  func exampleSite(page: String, expected: Int) throws {
    // A line goes on after a backslash, of which a Swift literal has two.
    let text = try Self.text(page).replacingOccurrences(of: "\\\\\n", with: " ")
      .replacingOccurrences(of: "\\\n", with: " ")
    var bench = try Self.exampleBench().bench
    var found = 0
    for line in text.split(separator: "\n") {
      let payload: Substring
      var topic = "davy/v1/xinghe/gw-tank/readings"
      if let named = line.firstMatch(of: /(?:-t|--topic) ((?:davy|kj)\/\S+)/),
        let word = line.firstMatch(of: /'(\{[^']*\})'/)
      {
        topic = String(named.1)
        payload = word.1
      } else if page.hasSuffix(".md"), line.hasPrefix("{\"device\"") {
        payload = line
      } else {
        continue
      }
      found += 1
      let outcome = bench.send(topic, Array(payload.utf8))
      #expect(!bench.batch.isEmpty, "\(page): \(line): \(outcome.description)")
      #expect(bench.notes.allSatisfy { $0.reject == nil }, "\(page): \(outcome.description)")
    }
    #expect(found == expected, "\(page)")
  }

  @Test("files that the README names are there")
  func files() throws {
    let text = try Self.text("README.md")
    let named = text.matches(
      of: /(?:config|docs|tools|Tests)\/[A-Za-z0-9_.\/-]*[A-Za-z0-9_\/]/
    )
    .map { String($0.0) }
    #expect(named.count > 20)
    for path in Set(named) {
      let there = FileManager.default.fileExists(
        atPath: Self.root.appendingPathComponent(path).path
      )
      #expect(there, "README.md names \(path)")
    }
  }

  @Test("the point list that the README imports fits the shipped example site")
  func pointList() throws {
    let catalog = try Self.exampleBench().catalog
    let path = Self.root.appendingPathComponent("config/points-example.csv")
    let list = PointListImport(
      bytes: [UInt8](try Data(contentsOf: path)),
      file: "points-example.csv"
    )
    #expect(list.findings.isEmpty, "\(list.findings)")
    let difference = list.difference(to: catalog, enterprise: "xinghe")
    #expect(difference.added == ["north/tanks/GD-08/gas"])
    #expect(difference.changed.map(\.point) == ["north/tanks/TK-101/temperature"])
  }

  @Test("every reason is on the page of reasons")
  func reasons() throws {
    let text = try String(
      contentsOf: Self.folder.appendingPathComponent("README.md"),
      encoding: .utf8
    )
    for reason in RejectReason.allCases { #expect(text.contains("`\(reason.rawValue)`")) }
  }
}
