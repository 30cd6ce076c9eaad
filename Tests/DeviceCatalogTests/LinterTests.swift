import DeviceCatalog
import Foundation
import Testing

/// Lints a site of one device on 2026-03-01, or on another day.
private func lint(
  _ device: String,
  site: String = "",
  enterprise: String = "responsible: li",
  policies: String = "",
  areas: String = "",
  more: String = "",
  on date: String = "2026-03-01"
) throws -> [Finding] {
  let result = try load(
    device,
    site: site,
    enterprise: enterprise,
    policies: policies,
    areas: areas,
    more: more
  )
  let catalog = try #require(result.catalog, "\(result.findings)")
  return catalog.lint(on: try #require(CalendarDate(date)))
}

/// What the loader makes of a site of one device.
private func load(
  _ device: String,
  site: String = "",
  enterprise: String = "responsible: li",
  policies: String = "",
  areas: String = "",
  more: String = ""
) throws -> CatalogResult {
  let site = """
    enterprise:
      id: e
      name: {zh: 企业, en: Enterprise}
      \(enterprise)
    time-zone: Asia/Shanghai
    policies: {\(policies)}
    people:
      li: {name: 李工, role: 技术, phone: "1"}
    gateways:
      gw-1: {name: {zh: 网关, en: Gateway}}
    sites:
      s:
        name: {zh: 站, en: Site}
    \(site)
        areas:
          a:
            name: {zh: 区, en: Area}
            \(areas)
            devices:
    \(more.split(separator: "\n").map { "          \($0)" }.joined(separator: "\n"))
              D1:
    \(device.split(separator: "\n").map { "            \($0)" }.joined(separator: "\n"))
    """
  let sources = try repositoryProfiles() + [(path: "sites/e.yaml", text: site)]
  return Catalog.load(sources: sources)
}

/// The texts of the repository's own profiles.
func repositoryProfiles() throws -> [(path: String, text: String)] {
  let result = Catalog.load(
    devices: "\(repository)/devices",
    site: ["\(repository)/config/sites/methane-demo.yaml"]
  )
  let catalog = try #require(result.catalog, "\(result.findings)")
  return catalog.sources.filter { $0.path.hasPrefix("devices/") }
}

private let combustible = "profile: gas/combustible-gas-detector"
private let tank = """
  profile: hazardous-chemical/storage-tank
  parameters: {height: 10, pressure-high: 10, temperature-low: -20, temperature-high: 80}
  without: [pressure]

  """

@Suite("limit linter")
struct LinterTests {
  @Test("a sound detector has no warning")
  func sound() throws {
    let findings = try lint(combustible).filter { $0.severity > .info }
    #expect(findings.isEmpty, "\(findings)")
  }

  @Test("a limit looser than the standard's bound stays a finding although approved")
  func looser() throws {
    let findings = try lint(
      combustible + """

        limits:
          gas.level-1: {setpoint: 30, reason: 背景高, approved-by: 张总工, approved-on: 2026-01-05}
        """
    )
    let finding = try #require(findings.first { $0.code == "looser-than-standard" })
    #expect(finding.severity == .warning)
    #expect(finding.clause == "GB/T 50493-2019 5.5.2")
    #expect(finding.message.en.contains("≥ 30 %LEL"))
    #expect(finding.message.en.contains("≤ 25 %LEL"))
    #expect(finding.message.zh.contains("张总工"))
  }

  @Test("an approval that is still to come approves nothing")
  func approvalToCome() throws {
    let limit = "{setpoint: 30, reason: 背景高, approved-by: 张总工, approved-on: 2099-01-05}"
    let findings = try lint(combustible + "\nlimits: {gas.level-1: \(limit)}")
    let finding = try #require(findings.first { $0.code == "approval-to-come" })
    #expect(finding.severity == .error && finding.message.en.contains("2099-01-05"))
  }

  @Test("an approval of today is none to come where the day begins before UTC's does")
  func approvalOfToday() throws {
    func codes(approvedOn day: String) throws -> [String] {
      let limit = "{setpoint: 30, reason: 背景高, approved-by: 张总工, approved-on: \(day)}"
      return try lint(combustible + "\nlimits: {gas.level-1: \(limit)}").map(\.code)
    }
    #expect(try !codes(approvedOn: "2026-03-02").contains("approval-to-come"))
    #expect(try codes(approvedOn: "2026-03-03").contains("approval-to-come"))
  }

  @Test("a stricter limit needs nobody's approval")
  func stricter() throws {
    let codes = try lint(combustible + "\nlimits: {gas.level-1: 10}").map(\.code)
    #expect(!codes.contains("looser-than-standard"))
  }

  @Test("HH and H on one gauge are pointed out, an independent switch is not")
  func oneInstrument() throws {
    let gauge = try lint(
      tank + "limits: {level.HH: 9, level.H: 8, level.L: 1, temperature.H: 40}"
    )
    let finding = try #require(gauge.first { $0.code == "shared-instrument" })
    #expect(finding.clause == "GB 50074-2014 15.1")
    let own = try lint(tank + "limits: {level.H: 8, level.L: 1, temperature.H: 40}")
    #expect(!own.map(\.code).contains("shared-instrument"))
  }

  @Test("L and LL of a floating roof stand above the landing height, as GB 50074 15.1 has it")
  func floatingRoof() throws {
    let roof = tank.replacing(
      "height: 10",
      with: "height: 10, landing-height: 1.8, landing-margin: 2"
    )
    #expect(roof != tank)
    func errors(_ limits: String) throws -> [Finding] {
      try load(roof + "limits: {\(limits), level.H: 8, temperature.H: 40}").findings
        .filter { $0.severity == .error }
    }
    #expect(try errors("level.L: 2, level.LL: 1.8").isEmpty)
    let low = try errors("level.L: 1.9, level.LL: 1.8")
    #expect(low.map(\.clause) == ["GB 50074-2014 15.1"])
    #expect(low.first?.message.en.contains("level.L") == true)
    let lowLow = try errors("level.L: 2, level.LL: 1.7")
    #expect(lowLow.first?.message.en.contains("level.LL") == true)
  }

  @Test(
    "GB 50074 15.1 by size and contents: who needs independent HH and LL with interlocks",
    arguments: [
      ("capacity: 10000, turnover: 6.5", "", ["level-hh, inlet-valve"]),
      ("capacity: 9999, turnover: 20", "", []), ("capacity: 20000, turnover: 6", "", []),
      ("capacity: 20001, turnover: 6", "", ["level-hh, inlet-valve"]),
      ("capacity: 300, turnover: 1", "toxicity: class-1", ["level-hh, inlet-valve"]),
      ("capacity: 49999, turnover: 1", "roof: floating", ["level-hh, inlet-valve"]),
      (
        "capacity: 50000, turnover: 1", "roof: floating",
        ["level-hh, inlet-valve", "level-ll, outlet-pump"]
      ),
      ("capacity: 50000, turnover: 1", "roof: fixed", ["level-hh, inlet-valve"]),
    ]
  )
  func tankFarm(size: String, choice: String, missing: [String]) throws {
    func findings(without: String) throws -> [Finding] {
      try lint(
        tank.replacing("height: 10", with: "height: 10, \(size)")
          .replacing("[pressure]", with: "[pressure\(without)]")
          + "choose: {\(choice)}\nlimits: {level.H: 8, level.L: 1, temperature.H: 40}"
      ).filter { $0.code == "protection-missing" }
    }
    let isFloating = choice.contains("floating")
    let bare = try findings(
      without: ", level-hh, inlet-valve, outlet-pump" + (isFloating ? ", level-ll" : "")
    )
    #expect(bare.count == missing.count)
    for (finding, names) in zip(bare, missing) {
      #expect(
        finding.clause == "GB 50074-2014 15.1" && finding.message.en.contains("and \(names) is")
      )
    }
    #expect(try findings(without: "").isEmpty)
  }

  @Test("a size that is not stated is asked for where something depends on it, and only there")
  func sizeUnstated() throws {
    let limits = "limits: {level.H: 8, level.L: 1, temperature.H: 40}"
    let bare = try lint(
      tank.replacing("[pressure]", with: "[pressure, level-hh, inlet-valve]") + limits
    )
    let finding = try #require(bare.first { $0.code == "demand-undecided" })
    #expect(finding.severity == .info && finding.message.en.contains("capacity, turnover"))
    #expect(
      try !lint(tank + limits).contains {
        $0.code == "demand-undecided" && $0.message.en.contains("high-high")
      }
    )
  }

  @Test("a cut-off without a signal that proves it")
  func feedback() throws {
    let limits = "limits: {level.H: 8, level.L: 1, temperature.H: 40}"
    let with = try lint(tank + limits)
    #expect(!with.map(\.code).contains("cut-off-unproven"))
    let without = try lint(
      tank.replacing("[pressure]", with: "[pressure, inlet-valve]") + limits
    )
    let finding = try #require(without.first { $0.code == "cut-off-unproven" })
    #expect(finding.message.en.contains("level-hh#reached"))
  }

  @Test("a mine's cut-off is proven by another device's point")
  func feedbackElsewhere() throws {
    let sensor = """
      profile: coal-mine/methane
      choose: {location: T1}
      parameters: {range-high: 4}
      without: [feed]
      """
    #expect(try lint(sensor).map(\.code).contains("cut-off-unproven"))
    let own = sensor.replacing("without: [feed]", with: "")
    #expect(try !lint(own).map(\.code).contains("cut-off-unproven"))
    let proven = try lint(
      sensor + """

        feedback: {ch4.cut: FEED-1/running}
        """,
      more: """
        FEED-1:
          profile: coal-mine/equipment-state
          choose: {equipment: other}
        """
    ).map(\.code)
    #expect(!proven.contains("cut-off-unproven"))
  }

  @Test("zero hysteresis is the standard's, and a deadband breaks it")
  func hysteresis() throws {
    let findings = try lint(
      """
      profile: coal-mine/methane
      choose: {location: T2}
      parameters: {range-high: 4}
      limits: {ch4.alarm: {deadband: 0.1}}
      """
    )
    let finding = try #require(findings.first { $0.code == "hysteresis-changed" })
    #expect(finding.clause == "AQ 1029-2019 6.1.2")
    #expect(finding.message.en.contains("0.9 %VOL"))
  }

  @Test("a delay on a legal gas alarm")
  func delay() throws {
    let findings = try lint(combustible + "\nlimits: {gas.level-1: {setpoint: 25, on-delay: 30s}}")
    #expect(findings.map(\.code).contains("delayed-gas-alarm"))
  }

  @Test("a point nobody is responsible for")
  func responsible() throws {
    let findings = try lint(combustible, enterprise: "")
    #expect(findings.map(\.code).contains("nobody-responsible"))
  }

  @Test(
    "editions by the day they are judged for",
    arguments: [("2025-05-31", "edition-not-in-force"), ("2027-01-01", nil)] as [(String, String?)]
  )
  func edition(date: String, code: String?) throws {
    // No profile of the repository cites an expired edition, so the standard's dates are changed.
    var sources = try repositoryProfiles()
    sources.append(
      (
        path: "sites/e.yaml",
        text: SmallCatalog.site.replacing(
          "gas/detector\n            choose: {place: roof}\n            limits: {gas.level-2: 50}",
          with: "gas/combustible-gas-detector"
        ).replacing(
          "gas/detector\n            choose: {place: floor}\n            limits: {gas.level-2: 50}",
          with: "gas/combustible-gas-detector"
        )
      )
    )
    let index = try #require(sources.firstIndex { $0.path == "devices/standards.yaml" })
    sources[index].text = sources[index].text.replacing(
      "edition: \"2019\"\n    from: unknown",
      with: "edition: \"2019\"\n    from: 2025-06-01",
      maxReplacements: 1
    )
    let result = Catalog.load(sources: sources)
    let catalog = try #require(result.catalog, "\(result.findings)")
    let codes = catalog.lint(on: try #require(CalendarDate(date))).map(\.code)
    #expect(codes.contains("edition-not-in-force") == (code != nil), "\(codes)")
  }

  @Test("an edition that has gone out of force")
  func expired() throws {
    let standards = SmallCatalog.standards + "\n    until: 2025-12-31\n    replaced-by: GB 1-2026\n"
    let catalog = try #require(
      Catalog.load(sources: [
        (
          path: "devices/standards.yaml",
          text: standards.replacing("\n    until", with: "\n    until")
        ),
        (path: "devices/gas/detector.yaml", text: SmallCatalog.profile),
        (path: "sites/e.yaml", text: SmallCatalog.site),
      ]).catalog
    )
    let before = catalog.lint(on: try #require(CalendarDate("2025-12-31"))).map(\.code)
    #expect(!before.contains("edition-expired"))
    let after = catalog.lint(on: try #require(CalendarDate("2026-01-01")))
    let finding = try #require(after.first { $0.code == "edition-expired" })
    #expect(finding.message.en.contains("replaced by GB 1-2026"))
  }

  @Test(
    "ppm and mg/m³ with the molar volume stated",
    arguments: [("22.4", false), ("24.45", true)]
  )
  func molarVolume(volume: String, warns: Bool) throws {
    let findings = try lint(
      """
      profile: gas/toxic-gas-detector
      choose: {gas: co}
      parameters: {range-high: 500}
      points: {gas: {unit: ppm, molar-volume: \(volume)}}
      """,
      policies: "oel-policy: pc-twa"
    )
    let finding = try #require(findings.first { $0.code == "molar-volume" })
    #expect((finding.severity == .warning) == warns)
    #expect(finding.message.en.contains("CO, M 28.01"))
  }

  @Test("which exposure limit is taken has to be a decision")
  func exposurePolicy() throws {
    let device = """
      profile: gas/toxic-gas-detector
      choose: {gas: co}
      parameters: {range-high: 500}
      """
    func severity(_ policies: String) throws -> Finding.Severity? {
      try lint(device, policies: policies).first { $0.code == "oel-policy" }?.severity
    }
    #expect(try severity("") == .info)
    #expect(try severity("oel-policy: pc-stel") == .warning)
    #expect(try severity("oel-policy: pc-twa") == nil)
  }

  @Test("a device outside its area's fence")
  func fence() throws {
    let fence = "fence: [[0, 0], [1, 0], [1, 1], [0, 1]]"
    let outside = try lint(combustible + "\nposition: [2, 0.5]", areas: fence)
    #expect(outside.map(\.code).contains("outside-fence"))
    let inside = try lint(combustible + "\nposition: [0.5, 0.5]", areas: fence)
    #expect(!inside.map(\.code).contains("outside-fence"))
  }

  @Test("findings are machine-readable and survive the way through JSON")
  func codable() throws {
    let findings = try lint(combustible, enterprise: "")
    let data = try JSONEncoder().encode(findings)
    #expect(try JSONDecoder().decode([Finding].self, from: data) == findings)
  }

  @Test("the repository's own sites have no error; their warnings are known")
  func ownSites() throws {
    let catalog = try #require(
      Catalog.load(devices: "\(repository)/devices", site: ["\(repository)/config/sites"]).catalog
    )
    let warnings = catalog.lint(on: try #require(CalendarDate("2026-03-01")))
      .filter { $0.severity > .info }.map(\.code).sorted()
    #expect(warnings == ["shared-instrument"])
  }
}
