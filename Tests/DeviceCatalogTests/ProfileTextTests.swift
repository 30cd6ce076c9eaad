import DeviceCatalog
import Testing

/// Profiles that differ by bytes only, and names that differ as texts only.
@Suite("Texts of profiles") struct ProfileTextTests {
  private static func load(states: String) -> CatalogResult {
    let profile = """
      profile: test/run
      name: {zh: 泵, en: Pump}
      about: {zh: 泵, en: Pump}
      points:
        run:
          name: {zh: 运行, en: Running}
          kind: state
          unit: "1"
          states: \(states)
          stale: never
      """
    let site = """
      enterprise: {id: e, name: {zh: 企, en: E}, administrative-code: "360981"}
      time-zone: UTC
      gateways: {g: {name: {zh: 关, en: G}}}
      sites:
        s:
          name: {zh: 场, en: S}
          areas:
            a:
              name: {zh: 区, en: A}
              devices: {D: {profile: test/run, gateway: g}}
      """
    return Catalog.load(sources: [
      ("devices/standards.yaml", "standards: {}"), ("devices/test/run.yaml", profile),
      ("sites/s.yaml", site),
    ])
  }

  @Test("a profile whose texts Unicode calls equal, but not the bytes, is read again")
  func bytes() throws {
    let texts = ["caf\u{E9}", "cafe\u{301}"]
    #expect(texts[0] == texts[1])
    for text in texts + texts {
      let result = Self.load(states: "{0: {zh: 停, en: \(text)}, 1: {zh: 开, en: on}}")
      let catalog = try #require(result.catalog, "\(result.findings)")
      let channel = try #require(catalog.channels.first { !$0.states.isEmpty })
      let shown = try #require(channel.states["0"]?.en)
      #expect(shown.utf8.elementsEqual(text.utf8))
    }
  }

  @Test(
    "two states of one number are refused, however the number is written",
    arguments: ["1", "1.0", "1e0"]
  )
  func states(number: String) throws {
    // The same key twice is already no YAML mapping.
    let first = number == "1" ? "1.00" : "1"
    let result = Self.load(
      states: "{0: {zh: 停, en: off}, \(first): {zh: 开, en: on}, \(number): {zh: 关, en: shut}}"
    )
    let finding = try #require(result.findings.first { $0.severity == .error })
    #expect(result.catalog == nil && finding.code == "duplicate-name", "\(result.findings)")
    #expect(finding.place.line == 9 && finding.message.en.contains(number), "\(finding)")
  }
}
