import DeviceCatalog
import Testing

/// A small whole catalog that every error case breaks in one place.
enum SmallCatalog {
  static let standards = """
    standards:
      GB 1-2020:
        title: {zh: 标准, en: Standard}
        edition: "2020"
        from: 2020-01-01
        mark: verified-secondary
    """

  static let profile = """
    profile: gas/detector
    name: {zh: 探测器, en: Detector}
    about: {zh: 说明, en: About}
    choose:
      place:
        name: {zh: 地点, en: Place}
        columns: [alarm]
        rows:
          roof: {zh: 顶, en: Roof, alarm: 25}
          floor: {zh: 底, en: Floor, alarm: none}
    points:
      gas:
        name: {zh: 气体, en: Gas}
        kind: gas
        unit: "%LEL"
        range: [0, 100]
        stale: 60s
        rules:
          level-1:
            text: {zh: 一级, en: Level 1}
            when: ">= alarm"
            deadband: 1
            bound: "<= 25"
            level: H
            priority: orange
            source: {standard: GB 1-2020, clause: "1", mark: verified-secondary}
            response: {zh: 处理, en: Act}
          level-2:
            text: {zh: 二级, en: Level 2}
            when: ">= site"
            until: "< 40"
            level: HH
            priority: red
            source: plant-set
            response: {zh: 处理, en: Act}
      temperature:
        name: {zh: 温度, en: Temperature}
        kind: temperature
        unit: degC
        range: [-40, 100]
        stale: never
        optional: true
    """

  static let site = """
    enterprise:
      id: e
      name: {zh: 企业, en: Enterprise}
    time-zone: Asia/Shanghai
    people:
      li: {name: 李工, role: 技术}
    gateways:
      gw-1: {name: {zh: 网关, en: Gateway}}
    sites:
      s:
        name: {zh: 站, en: Site}
        responsible: li
        areas:
          a:
            name: {zh: 区, en: Area}
            devices:
              D1:
                profile: gas/detector
                choose: {place: roof}
                limits: {gas.level-2: 50}
              D2:
                profile: gas/detector
                choose: {place: floor}
                limits: {gas.level-2: 50}
    """

  /// Loads the small catalog with one text replaced; fails when the text is not there.
  static func load(replacing old: String = "", with new: String = "") -> CatalogResult {
    var sources = [
      (path: "devices/standards.yaml", text: standards),
      (path: "devices/gas/detector.yaml", text: profile), (path: "sites/e.yaml", text: site),
    ]
    if !old.isEmpty {
      let index = sources.firstIndex { $0.text.contains(old) }
      guard let index else {
        Issue.record("the small catalog has no \"\(old)\"")
        return CatalogResult(catalog: nil, findings: [])
      }
      sources[index].text = sources[index].text.replacing(old, with: new, maxReplacements: 1)
    }
    return Catalog.load(sources: sources)
  }
}

struct ErrorCase: Sendable, CustomTestStringConvertible {
  var old: String
  var new: String
  var code: String
  var line: Int
  var key: String

  var testDescription: String { "\(code): \(new)" }

  static let all: [ErrorCase] = [
    ErrorCase(
      old: "limits:",
      new: "limit:",
      code: "unknown-key",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limit"
    ),
    ErrorCase(
      old: "choose: {place: roof}",
      new: "choose: {place: rooff}",
      code: "not-one-of",
      line: 19,
      key: "sites.s.areas.a.devices.D1.choose.place"
    ),
    ErrorCase(
      old: "choose: {place: roof}",
      new: "choose: {}",
      code: "choice-missing",
      line: 17,
      key: "sites.s.areas.a.devices.D1"
    ),
    ErrorCase(
      old: "gas.level-2: 50",
      new: "gas.level-2: high",
      code: "wrong-type",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-2"
    ),
    ErrorCase(
      old: "gas.level-2: 50",
      new: "gas.level-2: .inf",
      code: "not-finite",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-2"
    ),
    ErrorCase(
      old: "gas.level-2: 50",
      new: "gas.level-2: 1e999",
      code: "not-finite",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-2"
    ),
    ErrorCase(
      old: "gas.level-2: 50",
      new: "gas.level-2: 25, gas.level-1: 25",
      code: "limit-order",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-1"
    ),
    ErrorCase(
      old: "gas.level-2: 50",
      new: "gas.level-2: {setpoint: 50, restore: 51}",
      code: "restore-side",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-2"
    ),
    ErrorCase(
      old: "gas.level-2: 50",
      new: "gas.level-2: 120",
      code: "setpoint-outside-range",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-2"
    ),
    ErrorCase(
      old: "gas.level-2: 50",
      new: "gas.level-2: {setpoint: 50, restore: 0}",
      code: "restore-outside-range",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-2"
    ),
    ErrorCase(
      old: "gas.level-2: 50",
      new: "gas.level-2: {setpoint: 50, deadband: 51}",
      code: "restore-outside-range",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-2"
    ),
    ErrorCase(
      old: "choose: {place: floor}",
      new: "choose: {place: floor}\n            points: {gas: {scale: 0}}",
      code: "scale-zero",
      line: 24,
      key: "sites.s.areas.a.devices.D2.points.gas.scale"
    ),
    ErrorCase(
      old: "choose: {place: floor}",
      new: "choose: {place: floor}\n            points: {gas: {scale: .inf}}",
      code: "not-finite",
      line: 24,
      key: "sites.s.areas.a.devices.D2.points.gas.scale"
    ),
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
    ErrorCase(
      old: "limits: {gas.level-2: 50}",
      new: "limits: {}",
      code: "site-value-missing",
      line: 17,
      key: "sites.s.areas.a.devices.D1"
    ),
    ErrorCase(
      old: "limits: {gas.level-2: 50}",
      new: "limits: {gas.level-2: 50, gas.level-3: 60}",
      code: "unknown-rule",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-3"
    ),
    ErrorCase(
      old: "limits: {gas.level-2: 50}",
      new: "limits: {gas.level-2: 50, gas.level-1: 26}",
      code: "deviation-unapproved",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.level-1"
    ),
    ErrorCase(
      old: "limits: {gas.level-2: 50}",
      new: "limits: {gas.level-2: 50, gas.stale: 300}",
      code: "limit-not-settable",
      line: 20,
      key: "sites.s.areas.a.devices.D1.limits.gas.stale"
    ),
    ErrorCase(
      old: "choose: {place: floor}",
      new: "choose: {place: floor}\n            feedback: {gas.level-2: D3/valve}",
      code: "unknown-channel",
      line: 24,
      key: "sites.s.areas.a.devices.D2.feedback.gas.level-2"
    ),
    ErrorCase(old: "D2:", new: "D1:", code: "duplicate-key", line: 17, key: ""),
    ErrorCase(
      old: "D2:",
      new: "D2:\n            aliases: [D1]",
      code: "duplicate-name",
      line: 21,
      key: "sites.s.areas.a.devices.D2"
    ),
    ErrorCase(
      old: "D2:",
      new: "D/2:",
      code: "bad-identifier",
      line: 21,
      key: "sites.s.areas.a.devices.D/2"
    ),
    ErrorCase(
      old: "profile: gas/detector\n            choose: {place: floor}",
      new: "profile: gas/detectr\n            choose: {place: floor}",
      code: "unknown-profile",
      line: 22,
      key: "sites.s.areas.a.devices.D2.profile"
    ),
    ErrorCase(
      old: "choose: {place: floor}",
      new: "choose: {place: floor}\n            points: {gsa: {unit: ppm}}",
      code: "unknown-point",
      line: 24,
      key: "sites.s.areas.a.devices.D2.points.gsa"
    ),
    ErrorCase(
      old: "choose: {place: floor}",
      new: "choose: {place: floor}\n            points: {gas: {unit: ppm}}",
      code: "unit-conversion",
      line: 24,
      key: "sites.s.areas.a.devices.D2.points.gas"
    ),
    ErrorCase(
      old: "choose: {place: floor}",
      new: "choose: {place: floor}\n            without: [gas]",
      code: "point-not-optional",
      line: 24,
      key: "sites.s.areas.a.devices.D2.without.0"
    ),
    ErrorCase(
      old: "choose: {place: floor}",
      new: "choose: {place: floor}\n            gateway: gw-2",
      code: "unknown-gateway",
      line: 24,
      key: "sites.s.areas.a.devices.D2.gateway"
    ),
    ErrorCase(
      old: "responsible: li",
      new: "responsible: lu",
      code: "unknown-person",
      line: 12,
      key: "sites.s.responsible"
    ),
    ErrorCase(
      old: "Asia/Shanghai",
      new: "Asia/Shanghia",
      code: "unknown-time-zone",
      line: 4,
      key: "time-zone"
    ),
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
}

@Suite("configuration errors")
struct ConfigurationErrorTests {
  @Test("the small catalog is sound")
  func sound() throws {
    let result = SmallCatalog.load()
    #expect(result.findings.isEmpty, "\(result.findings)")
    let catalog = try #require(result.catalog)
    // D2's row leaves "alarm" empty, so it has no level 1; the rule on its clock stands at its first point.
    #expect(
      catalog.rules.map(\.fullName).filter { $0.contains("/D2/") } == [
        "e/s/a/D2/gas#clock", "e/s/a/D2/gas#level-2", "e/s/a/D2/gas#range",
        "e/s/a/D2/gas#stale", "e/s/a/D2/temperature#range",
      ]
    )
  }

  @Test("each is found with its file, line, key and remedy", arguments: ErrorCase.all)
  func found(_ test: ErrorCase) throws {
    let result = SmallCatalog.load(replacing: test.old, with: test.new)
    #expect(result.catalog == nil)
    let finding = try #require(
      result.findings.first { $0.code == test.code && $0.place.key == test.key },
      "\(result.findings)"
    )
    #expect(finding.place.line == test.line, "\(finding)")
    #expect(finding.place.column > 0)
    #expect(finding.severity == .error)
    #expect(!finding.message.zh.isEmpty && !finding.message.en.isEmpty)
    #expect(!finding.remedy.zh.isEmpty && !finding.remedy.en.isEmpty)
  }

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

  @Test("a misspelt placeholder comes with the one that was probably meant")
  func placeholder() throws {
    let result = SmallCatalog.load(
      replacing: "sites:\n",
      with: "routes:\n  r: {topic: \"kj/{enterprise}/{gatway}\", format: davy-json}\nsites:\n"
    )
    #expect(result.findings.map(\.remedy.en) == ["did you mean \"{gateway}\"?"])
  }

  @Test("what an earlier version let pass is a warning where a journal's catalog is loaded again")
  func recorded() {
    var sources = [
      (path: "devices/standards.yaml", text: SmallCatalog.standards),
      (path: "devices/gas/detector.yaml", text: SmallCatalog.profile),
      (path: "sites/e.yaml", text: SmallCatalog.site),
    ]
    sources[1].text.replace("level: H\n", with: "level: L\n")
    sources[2].text.replace("50}", with: "{setpoint: 50, restore: 0}}")
    for isRecorded in [true, false, true] {
      let result = Catalog.load(sources: sources, isRecorded: isRecorded)
      #expect((result.catalog != nil) == isRecorded, "\(result.findings)")
      let severity: Finding.Severity = isRecorded ? .warning : .error
      for code in ["level-side", "restore-outside-range"] {
        let found = result.findings.filter { $0.code == code }
        #expect(!found.isEmpty && found.allSatisfy { $0.severity == severity }, "\(code)")
      }
    }
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

  @Test("all errors of all files come at once")
  func together() {
    var sources = [
      (path: "devices/standards.yaml", text: SmallCatalog.standards),
      (path: "devices/gas/detector.yaml", text: SmallCatalog.profile),
      (path: "sites/e.yaml", text: SmallCatalog.site),
    ]
    sources[0].text.replace("from: 2020-01-01", with: "from: yesterday")
    sources[1].text.replace("priority: orange", with: "priority: purple")
    sources[2].text.replace("time-zone", with: "timezone")
    let codes = Catalog.load(sources: sources).findings.map(\.code)
    for code in ["bad-date", "not-one-of", "unknown-key", "missing-key"] {
      #expect(codes.contains(code), "\(codes)")
    }
  }

  @Test("an unknown key comes with the nearest known one")
  func suggestion() throws {
    let result = SmallCatalog.load(replacing: "limits:", with: "limtis:")
    let finding = try #require(result.findings.first { $0.code == "unknown-key" })
    #expect(finding.remedy.en == "did you mean \"limits\"?")
    #expect(finding.remedy.zh.contains("limits"))
  }

  @Test(
    "an unknown name comes with the one that was probably meant, or with those that there are",
    arguments: [
      ("points: {gsa: {unit: ppm}}", "did you mean \"gas\"?"),
      ("points: {pressure: {unit: ppm}}", "define it, or name one of: gas, temperature"),
      // As a site writes it, without the enterprise.
      ("feedback: {gas.level-2: D1/gsa}", "did you mean \"D1/gas\"?"),
    ]
  )
  func known(line: String, remedy: String) throws {
    let result = SmallCatalog.load(
      replacing: "choose: {place: floor}",
      with: "choose: {place: floor}\n            \(line)"
    )
    let finding = try #require(result.findings.first { $0.code.hasPrefix("unknown-") })
    #expect(finding.remedy.en == remedy)
  }

  @Test(
    "a catalog is rebuilt from its own sources with the same version, and any change changes it"
  )
  func version() throws {
    let catalog = try #require(SmallCatalog.load().catalog)
    let again = try #require(Catalog.load(sources: catalog.sources).catalog)
    #expect(again.version == catalog.version)
    #expect(catalog.version.count == 64)
    let other = try #require(
      SmallCatalog.load(replacing: "gas.level-2: 50", with: "gas.level-2: 51").catalog
    )
    #expect(other.version != catalog.version)
  }
}
