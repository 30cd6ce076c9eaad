import DeviceCatalog
import Testing

/// Mistakes in a profile or in the list of standards, wherever they show.
@Suite("errors in profiles and standards")
struct ProfileErrorTests {
  static let cases: [ErrorCase] = [
    ErrorCase(
      old: "from: 2020-01-01",
      new: "from: 2020-02-30",
      code: "bad-date",
      line: 5,
      key: "standards.GB 1-2020.from"
    ),
    ErrorCase(
      old: "from: 2020-01-01",
      new: "from: 2020-01-01\n    until: 2019-12-31",
      code: "dates-reversed",
      line: 2,
      key: "standards.GB 1-2020"
    ),
    ErrorCase(
      old: "unit: \"%LEL\"",
      new: "unit: \"%LELL\"",
      code: "unknown-unit",
      line: 15,
      key: "points.gas.unit"
    ),
    ErrorCase(
      old: "standard: GB 1-2020",
      new: "standard: GB 1-2021",
      code: "unknown-standard",
      line: 26,
      key: "points.gas.rules.level-1.source.standard"
    ),
    ErrorCase(
      old: "when: \">= alarm\"",
      new: "when: \">= alram\"",
      code: "unknown-figure",
      line: 19,
      key: "points.gas.rules.level-1"
    ),
    ErrorCase(
      old: "when: \">= alarm\"",
      new: "when: \"about 25\"",
      code: "bad-expression",
      line: 21,
      key: "points.gas.rules.level-1.when"
    ),
    ErrorCase(
      old: "        deadband: 1\n",
      new: "",
      code: "restore-missing",
      line: 20,
      key: "points.gas.rules.level-1"
    ),
    ErrorCase(
      old: "until: \"< 40\"",
      new: "until: \"> 40\"",
      code: "bad-expression",
      line: 31,
      key: "points.gas.rules.level-2.until"
    ),
    ErrorCase(
      old: "until: \"< 40\"",
      new: "until: \"< 60\"",
      code: "restore-side",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-2"
    ),
    ErrorCase(
      old: "priority: orange",
      new: "priority: ornage",
      code: "not-one-of",
      line: 25,
      key: "points.gas.rules.level-1.priority"
    ),
    ErrorCase(
      old: "level: H\n",
      new: "level: L\n",
      code: "level-side",
      line: 24,
      key: "points.gas.rules.level-1.level"
    ),
    ErrorCase(
      old: "when: \">= site\"\n        until: \"< 40\"",
      new: "when: \"< site\"\n        until: \"> 60\"",
      code: "level-side",
      line: 32,
      key: "points.gas.rules.level-2.level"
    ),
    ErrorCase(
      old: "stale: 60s",
      new: "stale: 60",
      code: "wrong-type",
      line: 17,
      key: "points.gas.stale"
    ),
    ErrorCase(
      old: "range: [0, 100]",
      new: "range: [100, 0]",
      code: "range-reversed",
      line: 17,
      key: "sites.s.areas.a.devices.D1"
    ),
    ErrorCase(
      old: "profile: gas/detector\nname",
      new: "profile: gas/other\nname",
      code: "profile-name",
      line: 1,
      key: "profile"
    ),
    ErrorCase(
      old: "about: {zh: 说明, en: About}",
      new: "about: {zh: 说明}",
      code: "missing-key",
      line: 3,
      key: "about"
    ),
    ErrorCase(old: "rules:", new: "  rules:", code: "yaml-syntax", line: 18, key: ""),
  ]

  @Test("each is found with its file, line, key and remedy", arguments: cases)
  func found(_ test: ErrorCase) throws { try test.expectFound() }

  @Test(
    "one mistake is told once, and nothing beside it that is right",
    arguments: [
      ("when: \">= alarm\"", "wen: \">= alarm\"", ["missing-key when", "unknown-key wen"]),
      ("unit: \"%LEL\"", "unit: \"%LELs\"", ["unknown-unit %LELs"]),
      (
        "when: \">= alarm\"\n        deadband: 1", "detect: {kind: ewmaa, alpha: 0.1}",
        ["not-one-of ewmaa"]
      ),
      (
        "deadband: 1", "deadband: 1\n        window: {kind: slide, span: 10min, of: mean}",
        ["not-one-of slide"]
      ),
      (
        "when: \">= alarm\"\n        deadband: 1", "stuck: {for: 8h}", ["missing-key tolerance"]
      ),
      (
        "when: \">= alarm\"\n        deadband: 1",
        "rate: {over: 60s, limit: 1, per: 0s, side: rise}",
        ["detector-refused rate"]
      ),
      (
        "when: \">= alarm\"\n        deadband: 1",
        "detect: {kind: multivariate, points: [], model: m}", ["detector-refused detect"]
      ),
      (
        "deadband: 1", "deadband: 1\n        escalate: {after: 30, priority: red}",
        ["wrong-type 30"]
      ),
      (
        "source: {standard: GB 1-2020", "source: {standard: GB 1-2021",
        ["unknown-standard GB 1-2021"]
      ),
    ] as [(String, String, [String])]
  )
  func once(old: String, new: String, expected: [String]) {
    // Only the profile is read: what the site then lacks of it is another matter.
    let text = SmallCatalog.profile.replacing(old, with: new, maxReplacements: 1)
    #expect(text != SmallCatalog.profile)
    let found = Catalog.runSamples(sources: [
      (path: "devices/standards.yaml", text: SmallCatalog.standards),
      (path: "devices/gas/detector.yaml", text: text),
    ]).findings
    #expect(found.count == expected.count, "\(found)")
    for words in expected {
      let parts = words.split(separator: " ", maxSplits: 1).map(String.init)
      #expect(
        found.contains { $0.code == parts[0] && $0.message.en.contains("\"\(parts[1])\"") },
        "\(words): \(found)"
      )
    }
    // Another standard that exists is never proposed.
    #expect(!found.contains { $0.code == "unknown-standard" && $0.remedy.en.contains("did you") })
  }

  @Test("points that are there and wrong are not missing as well")
  func noPoints() {
    let text = SmallCatalog.profile.replacing("unit: ", with: "unit: x")
    let found = Catalog.runSamples(sources: [
      (path: "devices/standards.yaml", text: SmallCatalog.standards),
      (path: "devices/gas/detector.yaml", text: text),
    ]).findings
    #expect(!found.isEmpty && found.allSatisfy { $0.code != "nothing-there" }, "\(found)")
  }

  @Test("a condition that may suppress the very alarm, or one that a standard demands")
  func suppression() throws {
    let result = SmallCatalog.load(
      replacing: "priority: orange\n",
      with: "priority: orange\n        suppress-when: gas < 5 %LEL\n"
    )
    let catalog = try #require(result.catalog, "\(result.findings)")
    let day = try #require(CalendarDate("2026-03-01"))
    let findings = catalog.lint(on: day)
    for code in ["suppressed-by-itself", "legal-alarm-suppressed"] {
      let finding = try #require(findings.first { $0.code == code }, "\(findings)")
      #expect(finding.severity == .warning && finding.place.key == "points.gas.rules.level-1")
    }
    let sound = try #require(
      SmallCatalog.load(
        replacing: "priority: red\n",
        with: "priority: red\n        suppress-when: temperature > 50 °C\n"
      ).catalog
    )
    #expect(!sound.lint(on: day).contains { $0.code.contains("suppressed") })
  }

  @Test("a profile's file may end in .yml")
  func shortExtension() {
    let result = Catalog.load(sources: [
      ("devices/standards.yaml", SmallCatalog.standards),
      ("devices/gas/detector.yml", SmallCatalog.profile), ("sites/e.yaml", SmallCatalog.site),
    ])
    #expect(result.findings.isEmpty, "\(result.findings)")
  }

  @Test(
    "what cannot be understood is told how to be written",
    arguments: [
      ("deadband: 1\n", "deadband: 1 2\n", "such as 25, alarm or 2 * oel"),
      ("deadband: 1\n", "deadband: -1 %\n", "write it like 2 %"),
      ("until: \"< 40\"", "until: \"> 40\"", "when: \">= 25\" with until: \"< 24\""),
      ("priority: orange\n", "priority: orange\n        suppress-when: gas >\n", "condition"),
    ]
  )
  func remedies(old: String, new: String, remedy: String) throws {
    let result = SmallCatalog.load(replacing: old, with: new)
    let finding = try #require(
      result.findings.first { $0.code == "bad-expression" },
      "\(result.findings)"
    )
    #expect(finding.remedy.en.contains(remedy), "\(finding)")
  }
}
