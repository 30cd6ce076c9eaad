import DeviceCatalog
import Testing

/// Mistakes in a site file: devices, choices, limits, names.
@Suite("errors in a site file")
struct SiteErrorTests {
  static let cases: [ErrorCase] = [
    ErrorCase(
      old: "enterprise:\n  id: e\n",
      new: "enterprise:\n  id: e\n  administrative-code: \"36070\"\n",
      code: "administrative-code",
      line: 3,
      key: "enterprise.administrative-code"
    ),
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
    ErrorCase(old: "D2:", new: "D1:", code: "duplicate-key", line: 21, key: ""),
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
  ]

  @Test("each is found with its file, line, key and remedy", arguments: cases)
  func found(_ test: ErrorCase) throws { try test.expectFound() }

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

  @Test("a key that one line says twice is told there")
  func duplicateInLine() throws {
    let result = SmallCatalog.load(
      replacing: "limits: {gas.level-2: 50}",
      with: "limits: {gas.level-2: 50, gas.level-2: 60}"
    )
    let finding = try #require(result.findings.first, "\(result.findings)")
    #expect(finding.code == "duplicate-key" && finding.place.line == 20, "\(finding)")
  }
}
