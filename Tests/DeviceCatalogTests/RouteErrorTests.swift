import DeviceCatalog
import Testing

/// Mistakes in a site's routes: topics, placeholders, mappings.
@Suite("errors in routes")
struct RouteErrorTests {
  static let cases: [ErrorCase] = [
    ErrorCase(
      old: "sites:\n",
      new: "routes:\n  r: {topic: \"a/{enterprise}/{gateway}\", format: mapped-json, "
        + "mapping: {values: [{value: /v, device: {pointer: /d}, point: {constant: p}, scale: 0.0}]}}\nsites:\n",
      code: "scale-zero",
      line: 10,
      key: "routes.r.mapping.values.0.scale"
    ),
    ErrorCase(
      old: "sites:\n",
      new: "routes:\n  r:\n    topic: kj/{enterprise}/{gatway}/realtime\n"
        + "    format: davy-json\nsites:\n",
      code: "unused-placeholder",
      line: 11,
      key: "routes.r.topic"
    ),
    ErrorCase(
      old: "sites:\n",
      new: "routes:\n  r: {topic: \"a/{enterprise}/{gateway}/{devcie}\", format: mapped-json, "
        + "mapping: {values: [{value: /v, device: {topic: device}, point: {constant: p}}]}}\nsites:\n",
      code: "unknown-placeholder",
      line: 10,
      key: "routes.r.topic"
    ),
  ]

  @Test("each is found with its file, line, key and remedy", arguments: cases)
  func found(_ test: ErrorCase) throws { try test.expectFound() }

  @Test(
    "placeholders of a topic: who is not known is warned of, what a mapping uses is none of it",
    arguments: [
      ("kj/{enterprise}/{gateway}", "", []), ("kj/{gateway}", "enterprise: e", []),
      ("kj/up", "enterprise: e\n    gateway: gw-1", []), ("kj/{enterprise}/up", "", ["gateway"]),
      ("kj/{device}/{point}", "", ["enterprise", "gateway"]),
    ] as [(String, String, [String])]
  )
  func owners(topic: String, more: String, missing: [String]) throws {
    let result = SmallCatalog.load(
      replacing: "sites:\n",
      with: "routes:\n  r:\n    topic: \(topic)\n    format: davy-json\n    \(more)\nsites:\n"
    )
    #expect(result.catalog != nil)
    #expect(result.findings.allSatisfy { $0.severity == .warning && $0.code == "owner-unknown" })
    #expect(
      result.findings.map(\.remedy.en)
        == missing.map { "write {\($0)} into the topic, or name the \($0) in the route" }
    )
  }

  @Test(
    "a route whose topics another takes, and one that takes those of a built-in route, are warned of",
    arguments: [
      ("kj/{enterprise}/{gateway}", "hj/{enterprise}/{gateway}", []),
      ("kj/{enterprise}/{gateway}", "kj/{enterprise}/{gateway}", ["routes.b"]),
      ("kj/#", "kj/{enterprise}/{gateway}", ["routes.b"]),
      ("kj/{enterprise}/+/up", "kj/{enterprise}/gw-1/up", ["routes.b"]),
      ("kj/{enterprise}/{gateway}", "kj/{enterprise}/#", []),
      ("kj/{enterprise}/{gateway}/#", "kj/{enterprise}", []),
      ("davy/v1/{enterprise}/{gateway}/readings", "x/{enterprise}/{gateway}", ["routes.a"]),
    ] as [(String, String, [String])]
  )
  func taken(first: String, second: String, keys: [String]) {
    let result = SmallCatalog.load(
      replacing: "sites:\n",
      with: "routes:\n  a: {topic: \"\(first)\", format: hj-212}\n"
        + "  b: {topic: \"\(second)\", format: influx-line, enterprise: e}\nsites:\n"
    )
    #expect(result.catalog != nil)
    let found = result.findings.filter { $0.code == "route-taken" }
    #expect(found.map(\.place.key) == keys && found.allSatisfy { $0.severity == .warning })
  }

  @Test("a misspelt placeholder comes with the one that was probably meant")
  func placeholder() throws {
    let result = SmallCatalog.load(
      replacing: "sites:\n",
      with: "routes:\n  r: {topic: \"kj/{enterprise}/{gatway}\", format: davy-json}\nsites:\n"
    )
    #expect(result.findings.map(\.remedy.en) == ["did you mean \"{gateway}\"?"])
  }

  @Test(
    "a placeholder that means nothing and is near no name that does is a warning",
    arguments: [
      ("kj/{enterprise}/{gateway}/{zone}", ["unused-placeholder"]),
      ("kj/{enterprise}/{zone}", ["unused-placeholder", "owner-unknown"]),
    ]
  )
  func harmless(topic: String, codes: [String]) {
    let result = SmallCatalog.load(
      replacing: "sites:\n",
      with: "routes:\n  r: {topic: \"\(topic)\", format: davy-json}\nsites:\n"
    )
    #expect(result.catalog != nil)
    #expect(Set(result.findings.map(\.code)) == Set(codes))
    #expect(result.findings.allSatisfy { $0.severity == .warning })
  }

  @Test(
    "a source of a mapping that finds nothing, or that another one hides, is a warning",
    arguments: [
      ("/v/*, device: {key: 0}, point: {pointer: /n/*}", []),
      ("/v/*, device: {key: 1}, point: {constant: p}", ["beyond-value"]),
      ("/v, device: {pointer: /d/*}, point: {constant: p}", ["beyond-value"]),
      ("/v, device: {topic: device}, point: {pointer: /p, constant: p}", ["several-sources"]),
    ] as [(String, [String])]
  )
  func sources(value: String, codes: [String]) {
    let result = SmallCatalog.load(
      replacing: "sites:\n",
      with: "routes:\n  r: {topic: \"a/{enterprise}/{gateway}/{device}\", format: mapped-json, "
        + "mapping: {values: [{value: \(value)}]}}\nsites:\n"
    )
    #expect(result.catalog != nil)
    #expect(result.findings.map(\.code) == codes, "\(result.findings)")
    #expect(result.findings.allSatisfy { $0.severity == .warning })
  }

  @Test(
    "a topic that is no template is told in words",
    arguments: [
      ("kj/{enterprise", "mixes text"), ("kj/#/up", "# is not the last"),
      ("{gateway}/{gateway}", "occurs twice"),
    ]
  )
  func templates(topic: String, reason: String) throws {
    let result = SmallCatalog.load(
      replacing: "sites:\n",
      with: "routes:\n  r: {topic: \"\(topic)\", format: davy-json}\nsites:\n"
    )
    let finding = try #require(result.findings.first, "\(result.findings)")
    #expect(finding.code == "bad-expression" && finding.message.en.contains(reason), "\(finding)")
    #expect(finding.remedy.en.hasPrefix("each level is text"))
  }
}
