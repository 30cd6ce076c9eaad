import DavyCommands
import DeviceCatalog
import Foundation
import Testing

/// What `davy check` says of mistakes that have consequences.
@Suite("Check") struct CheckTests {
  private static let profile = """
    profile: gas/detector
    name: {zh: 探测器, en: Detector}
    about: {zh: 说明, en: About}
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
            when: ">= 25"
            deadband: 1
            level: H
            priority: orange
            source: design
            response: {zh: 处理, en: Act}
          level-2:
            text: {zh: 二级, en: Level 2}
            when: ">= 50"
            deadband: 1
            level: HH
            priority: red
            source: design
            response: {zh: 处理, en: Act}
      valve:
        name: {zh: 阀, en: Valve}
        kind: state
        unit: "1"
        states: {0: {zh: 开, en: open}, 1: {zh: 关, en: closed}}
        stale: never
        rules:
          not-closed:
            text: {zh: 未关, en: Not closed}
            interlock: {cause: "gas >= {gas.level-1} %LEL", response: valve, within: 30s}
            level: state
            priority: red
            source: design
            response: {zh: 处理, en: Act}
    demands:
      both:
        text: {zh: 两级, en: Both}
        any: []
        needs: [gas.level-1, gas, valve]
        source: design
    """

  private static let site = """
    enterprise: {id: e, name: {zh: 企, en: E}}
    time-zone: UTC
    gateways:
      g: {name: {zh: 关, en: G}}
    sites:
      s:
        name: {zh: 场, en: S}
        areas:
          a:
            name: {zh: 区, en: A}
            devices:
              D1:
                profile: gas/detector
                limits: {gas.level-1: 20}
                points: {gas: {scale: 2}}
                feedback: {gas.level-2: D2/valve}
              D2:
                profile: gas/detector
    """

  /// Writes the files of a service into the folder and gives the service file's path.
  private static func write(
    into folder: Folder,
    profile: String = Self.profile,
    site: String = Self.site,
    service: String = ""
  ) throws -> String {
    let devices = folder.path + "/devices/gas"
    try FileManager.default.createDirectory(atPath: devices, withIntermediateDirectories: true)
    _ = try folder.file("devices/standards.yaml", "standards: {}")
    _ = try folder.file("devices/gas/detector.yaml", profile)
    _ = try folder.file("site.yaml", site)
    let head = "station: county\ndata: data\ndevices: devices\nsites: [site.yaml]\n"
    return try folder.file("service.yaml", head + service)
  }

  /// Code, file and key of each error that a service with these files has.
  private static func errors(
    profile: String = Self.profile,
    site: String = Self.site,
    service: String = ""
  ) throws -> [String] {
    let folder = try Folder()
    defer { folder.remove() }
    let path = try write(into: folder, profile: profile, site: site, service: service)
    let day = try #require(CalendarDate("2026-03-01"))
    return ServiceConfiguration.examine(file: path, on: day).findings
      .filter { $0.severity == .error }
      .map { finding in
        let file = finding.place.file.split(separator: "/").last ?? ""
        return "\(finding.code) \(file) \(finding.place.key)"
      }
  }

  @Test("files without mistakes have no error")
  func sound() throws {
    #expect(try Self.errors() == [])
  }

  @Test(
    "a mistake in a profile is told once, and what follows from it is not",
    arguments: [
      // A rule that a limit, a condition's figure and a demand name.
      ("when: \">= 25\"", "when: about 25", "bad-expression", "points.gas.rules.level-1.when"),
      ("priority: orange", "priority: ornage", "not-one-of", "points.gas.rules.level-1.priority"),
      // A point that a site, a condition, a feedback and a demand name.
      ("unit: \"1\"", "unit: one", "unknown-unit", "points.valve.unit"),
      ("unit: \"%LEL\"", "unit: \"%LELL\"", "unknown-unit", "points.gas.unit"),
      // The profile itself.
      ("about: {zh: 说明, en: About}", "about: {zh: 说明}", "missing-key", "about"),
      ("    rules:\n      level-1", "   rules:\n      level-1", "yaml-syntax", ""),
    ]
  )
  func once(old: String, new: String, code: String, key: String) throws {
    let profile = Self.profile.replacing(old, with: new, maxReplacements: 1)
    #expect(profile != Self.profile)
    #expect(try Self.errors(profile: profile) == ["\(code) detector.yaml \(key)"])
  }

  @Test("a sample that comes to something else is told with what came")
  func samples() throws {
    let sample = """

      samples:
        - name: edge
          series: {point: gas, every: 10s, values: [24.9, 25, 24]}
          alarms: [10s gas.level-1 raised]
      """
    #expect(try Self.errors(profile: Self.profile + sample) == [])
    let wrong = sample.replacing("10s gas", with: "0s gas")
    let folder = try Folder()
    defer { folder.remove() }
    let path = try Self.write(into: folder, profile: Self.profile + wrong)
    let day = try #require(CalendarDate("2026-03-01"))
    let found = ServiceConfiguration.examine(file: path, on: day).findings
      .filter { $0.code == "sample-differs" }
    #expect(found.count == 1 && found.first?.severity == .error)
    #expect(found.first?.place.file.hasSuffix("detector.yaml") == true)
    #expect(
      found.first?.message.en
        == "sample \"edge\" comes to something else: expected and missing: 0s gas.level-1 raised; "
        + "came and was not expected: 10s gas.level-1 raised"
    )
  }

  @Test("a range that cannot be read is no figure that the site owes")
  func rangeOnly() throws {
    let errors = try Self.errors(
      profile: Self.profile.replacing("range: [0, 100]", with: "range: 0-100")
        .replacing("deadband: 1\n", with: "deadband: 1 %\n")
    )
    #expect(errors.contains("wrong-type detector.yaml points.gas.range"), "\(errors)")
    #expect(!errors.contains { $0.hasPrefix("site-value-missing") }, "\(errors)")
  }

  @Test("mistakes elsewhere are told in the same run")
  func together() throws {
    let found = try Self.errors(
      profile: Self.profile.replacing("priority: orange", with: "priority: ornage"),
      site: Self.site.replacing(
        "limits: {gas.level-1: 20}",
        with: "limits: {gas.level-1: 20, gas.level-3: 20}"
      ),
      service: "http: {port: 70000}"
    )
    #expect(
      found == [
        "wrong-type service.yaml http.port",
        "not-one-of detector.yaml points.gas.rules.level-1.priority",
        "unknown-rule site.yaml sites.s.areas.a.devices.D1.limits.gas.level-3",
      ]
    )
  }

  @Test("what does no harm is a warning of check and of the start, and the station starts")
  func harmless() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let path = try Self.write(
      into: folder,
      site: Self.site.replacing(
        "sites:",
        with: "routes:\n  r: {topic: \"kj/{enterprise}/{gateway}/{zone}\", format: davy-json}\n"
          + "sites:"
      ),
      service: "broker: {passwordEnvironment: DAVY_SECRET}\n"
    )
    // Ends without an exit code: nothing is refused.
    try await davy("check", path, "--date", "2026-03-01")
    let warnings = try LoadedConfiguration(serviceFile: path).warnings
    #expect(warnings.map(\.code) == ["password-without-user", "unused-placeholder"])
    #expect(
      warnings.last?.remedy.en == "write + instead, or take it in the mapping by {topic: zone}"
    )
  }
  @Test(
    "a site file that cannot be read is told with its reason, in both languages",
    arguments: [
      (nil, "there is no such file", "没有这个文件"), ([0xFF, 0xFE, 0x65, 0], "UTF-16", "UTF-16"),
      ([0xD6, 0xD0, 0xCE, 0xC4], "not UTF-8", "GBK"),
    ] as [([UInt8]?, String, String)]
  )
  func unreadable(bytes: [UInt8]?, en: String, zh: String) throws {
    let folder = try Folder()
    defer { folder.remove() }
    let path = try Self.write(into: folder)
    if let bytes {
      _ = try folder.file("site.yaml", bytes)
    } else {
      try FileManager.default.removeItem(atPath: folder.path + "/site.yaml")
    }
    let day = try #require(CalendarDate("2026-03-01"))
    let findings = ServiceConfiguration.examine(file: path, on: day).findings
    let finding = try #require(findings.first { $0.code == "unreadable-file" }, "\(findings)")
    #expect(finding.message.en.contains(en) && finding.message.zh.contains(zh), "\(finding)")
  }

  @Test("a folder in the place of a service file is told as one")
  func folderForFile() throws {
    let folder = try Folder()
    defer { folder.remove() }
    let findings = ServiceConfiguration.load(path: folder.path).findings
    #expect(findings.map(\.code) == ["unreadable-file"])
    #expect(findings.first?.message.en.contains("it is a folder") == true, "\(findings)")
  }

  @Test("a path that a shell would expand is refused, not made a folder", arguments: ["~", "~/d"])
  func home(path: String) throws {
    let folder = try Folder()
    defer { folder.remove() }
    let file = try folder.file(
      "service.yaml",
      "station: county\ndata: \(path)\ndevices: devices\nsites: [site.yaml]\n"
    )
    let result = ServiceConfiguration.load(path: file)
    #expect(result.configuration == nil)
    #expect(result.findings.map(\.place.key) == ["data"])
    #expect(result.findings.first?.place.line == 2)
  }
}
