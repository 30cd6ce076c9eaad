import AlarmEngine
import DeviceCatalog
import Telemetry
import Testing

/// Rules on windows in profiles where they meet points that a site leaves out, rows with sources, and silence.
@Suite("Windows in profiles")
struct WindowProfileTests {
  static func load(device: String, rule: String, stale: String = "60s") -> CatalogResult {
    let profile = """
      profile: test/pump
      name: {zh: 泵, en: Pump}
      about: {zh: 泵, en: Pump}
      choose:
        place:
          name: {zh: 地点, en: Place}
          columns: [alarm]
          rows:
            roof: {zh: 顶, en: Roof, alarm: 25}
            floor:
              zh: 底
              en: Floor
              alarm: 20
              source: {standard: GB 1-2020, clause: "7", mark: verified}
      demands:
        watch:
          text: {zh: 监视, en: Watch}
          any: [{place: [roof]}, {place: [floor]}]
          needs: [pressure.r]
          source: {standard: GB 1-2020, clause: "1", mark: verified-secondary}
      points:
        pressure:
          name: {zh: 压力, en: Pressure}
          kind: pressure
          unit: kPa
          range: [0, 100]
          stale: \(stale)
          rules:
            r:
              text: {zh: 报, en: Alarm}
      \(OneDeviceSite.indent(rule, 8))
              level: pattern
              priority: yellow
              source: {standard: GB 1-2020, clause: "2", mark: verified-secondary}
              response: {zh: 看, en: Look}
        run:
          name: {zh: 运行, en: Running}
          kind: state
          unit: "1"
          states: {0: {zh: 停, en: off}, 1: {zh: 开, en: on}}
          stale: never
          optional: true
      """
    let site = OneDeviceSite.text(device: "profile: test/pump\n\(device)")
    return Catalog.load(sources: [
      (
        "devices/standards.yaml",
        """
        standards:
          GB 1-2020: {title: {zh: 标准, en: Standard}, edition: "2020", from: 2020-01-01, mark: verified}
        """
      ),
      ("devices/test/pump.yaml", profile), ("sites/s.yaml", site),
    ])
  }

  private static let state = """
    window: {kind: state, point: run, in: 1, of: max}
    when: "> alarm"
    until: "< 10"
    """

  @Test("where the state's point is left out there is no such rule, and its demand is not met")
  func leftOut() throws {
    let rule = Self.state
    let whole = Self.load(device: "choose: {place: roof}", rule: rule)
    let catalog = try #require(whole.catalog, "\(whole.findings)")
    let date = try #require(CalendarDate("2026-06-01"))
    #expect(catalog.rules.contains { $0.id == "r" })
    #expect(!catalog.lint(on: date).contains { $0.code == "protection-missing" })
    let less = Self.load(device: "choose: {place: roof}\nwithout: [run]", rule: rule)
    let bare = try #require(less.catalog, "\(less.findings)")
    #expect(!bare.rules.contains { $0.id == "r" })
    let missing = bare.lint(on: date).filter { $0.code == "protection-missing" }
    #expect(missing.count == 1 && missing.first?.message.en.contains("pressure.r") == true)
  }

  @Test(
    "a window whose figure comes of a chosen row has that row's source",
    arguments: [("roof", "2"), ("floor", "7")]
  )
  func source(row: String, clause: String) throws {
    let result = Self.load(device: "choose: {place: \(row)}", rule: Self.state)
    let rule = try #require(result.catalog?.rules.first { $0.id == "r" }, "\(result.findings)")
    #expect(rule.source.clause == clause)
  }

  @Test(
    "a delay that silence always takes back is refused",
    arguments: [
      ("gap: 30s", "on-delay: 10s", true), ("gap: 60s", "off-delay: 10s", false),
      ("gap: 60s", "re-alarm: 10min", true),
    ]
  )
  func delay(gap: String, delay: String, isTaken: Bool) {
    let rule = """
      window: {kind: session, \(gap), of: max}
      when: "> alarm"
      until: "< 10"
      \(delay)
      """
    let result = Self.load(device: "choose: {place: roof}", rule: rule)
    #expect((result.catalog != nil) == isTaken, "\(result.findings)")
    #expect(result.findings.contains { $0.code == "window-delay" } == !isTaken)
  }
}
