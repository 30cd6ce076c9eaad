import DeviceCatalog
import Testing

/// What holds for mistakes in whichever file.
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
        "e/s/a/D2/gas#stale", "e/s/a/D2/gas#reported", "e/s/a/D2/temperature#range",
        "e/s/a/D2/temperature#reported",
      ]
    )
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
