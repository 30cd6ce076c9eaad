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

/// A text of the small catalog that is replaced by a mistake, and where the mistake has to be told.
struct ErrorCase: Sendable, CustomTestStringConvertible {
  var old: String
  var new: String
  var code: String
  var line: Int
  var key: String

  var testDescription: String { "\(code): \(new)" }

  /// Expects the mistake to be refused with its file, line, key and remedy.
  func expectFound() throws {
    let result = SmallCatalog.load(replacing: old, with: new)
    #expect(result.catalog == nil)
    let finding = try #require(
      result.findings.first { $0.code == code && $0.place.key == key },
      "\(result.findings)"
    )
    #expect(finding.place.line == line, "\(finding)")
    #expect(finding.place.column > 0)
    #expect(finding.severity == .error)
    #expect(!finding.message.zh.isEmpty && !finding.message.en.isEmpty)
    #expect(!finding.remedy.zh.isEmpty && !finding.remedy.en.isEmpty)
  }
}
