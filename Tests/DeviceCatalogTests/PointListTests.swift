import DeviceCatalog
import Foundation
import Testing

private let list = """
  站点,区域,设备编号,设备名称,型谱,网关,测点,单位,高报,高高报,低报,参数：height,参数：temperature-high,\
  参数：temperature-low,参数：pressure-high,责任人
  s,a,TK-1,"甲醇储罐 1, 北",hazardous-chemical/storage-tank,gw-1,level,mm,8,9,1,10,80,-20,10,li
  s,a,TK-1,,,,temperature,℃,40,,,,,,,
  s,a,GD-1,可燃气体探测器,gas/combustible-gas-detector,gw-1,gas,%LEL,20,,,,,,,li

  """

private func catalog(sites: String) throws -> Catalog {
  let head = """
    enterprise:
      id: e
      name: {zh: 企业, en: Enterprise}
    time-zone: Asia/Shanghai
    people:
      li: {name: 李工, role: 技术}
    gateways:
      gw-1: {name: {zh: 网关, en: Gateway}}

    """
  let named = sites.replacing("  s:\n", with: "  s:\n    name: {zh: 站, en: Site}\n")
    .replacing("      a:\n", with: "      a:\n        name: {zh: 区, en: Area}\n")
  let result = Catalog.load(
    sources: try repositoryProfiles() + [(path: "sites/e.yaml", text: head + named)]
  )
  return try #require(result.catalog, "\(result.findings)")
}

@Suite("point lists out of spreadsheets")
struct PointListTests {
  @Test("UTF-8, UTF-8 with byte order mark and GB18030 say the same")
  func encodings() throws {
    // GB18030 through the system's own converter, so that writer and reader are not one.
    let iconv = Process()
    iconv.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    iconv.arguments = ["iconv", "-f", "UTF-8", "-t", "GB18030"]
    let input = Pipe()
    let output = Pipe()
    iconv.standardInput = input
    iconv.standardOutput = output
    try iconv.run()
    input.fileHandleForWriting.write(Data(list.utf8))
    try input.fileHandleForWriting.close()
    let converted = Array(output.fileHandleForReading.readDataToEndOfFile())
    iconv.waitUntilExit()
    #expect(!converted.isEmpty)
    let files: [(bytes: [UInt8], encoding: String)] = [
      (Array(list.utf8), "UTF-8"),
      ([0xEF, 0xBB, 0xBF] + Array(list.utf8), "UTF-8 with byte order mark"),
      (converted, "GB18030"),
    ]
    for file in files {
      let read = PointListImport(bytes: file.bytes, file: "points.csv")
      #expect(read.encoding == file.encoding)
      #expect(read.findings.isEmpty, "\(read.findings)")
      #expect(read.rows.map(\.device) == ["TK-1", "TK-1", "GD-1"])
      #expect(read.rows[0].values["device-name"] == "甲醇储罐 1, 北")
      #expect(read.rows[1].values["unit"] == "℃")
    }
  }

  @Test("semicolons, tabs, CRLF and quotes over two lines")
  func dialects() {
    for separator in [";", "\t"] {
      let text =
        ["site", "area", "device", "point", "设备名称"].joined(separator: separator)
        + "\r\n" + ["s", "a", "D", "p", "\"two\nlines \"\"here\"\"\""].joined(separator: separator)
        + "\r\n" + ["s", "a", "E", "p", "x"].joined(separator: separator)
      let read = PointListImport(bytes: Array(text.utf8), file: "points.csv")
      #expect(read.findings.isEmpty, "\(read.findings)")
      #expect(read.rows.first?.values["device-name"] == "two\nlines \"here\"")
      #expect(read.rows.map(\.line) == [2, 4])
    }
  }

  @Test("errors name line, column and remedy, all at once")
  func errors() throws {
    let text = """
      站点,区域,设备编号,测点,高报,单位,备註
      s,a,D,p,high,%LEL,
      s,a,D,p,20,%LELL,
      s,,E,p,inf,%LEL,,
      """
    let read = PointListImport(bytes: Array(text.utf8), file: "points.csv")
    let found = read.findings.map { "\($0.code) \($0.place.line):\($0.place.column)" }
    #expect(
      found == [
        "unknown-key 1:7", "wrong-type 2:5", "unknown-unit 3:6", "duplicate-name 3:1",
        "not-finite 4:5", "missing-key 4:1",
      ]
    )
    let binary = PointListImport(bytes: [0xFF, 0xFF, 0x00], file: "points.csv")
    #expect(binary.findings.map(\.code) == ["unreadable-file"])
    #expect(PointListImport(bytes: [], file: "points.csv").findings.map(\.code) == ["empty-file"])
  }

  @Test("a list becomes a site that loads, and then differs in nothing but its units")
  func takeOver() throws {
    let read = PointListImport(bytes: Array(list.utf8), file: "points.csv")
    let profiles = try catalog(sites: "sites:\n  s:\n    areas:\n      a:\n        devices: {}\n")
    let made = read.siteText(profiles: profiles.profiles)
    #expect(made.findings.isEmpty, "\(made.findings)")
    let result = try catalog(sites: made.text)
    #expect(result.channels.map(\.path).contains("e/s/a/GD-1/gas"))
    let level = try #require(result.rules.first { $0.fullName == "e/s/a/TK-1/level#HH" })
    #expect(level.setpoint == 9)
    let difference = read.difference(to: result, enterprise: "e")
    #expect(difference.added.isEmpty && difference.missing.isEmpty)
    // The list's mm is the gauge's unit, the catalog's m the channel's.
    #expect(difference.changed.map { "\($0.point) \($0.field)" } == ["s/a/TK-1/level unit"])
  }

  @Test("the dry run shows what would be added, change and go missing")
  func dryRun() throws {
    let read = PointListImport(bytes: Array(list.utf8), file: "points.csv")
    let empty = try catalog(sites: "sites:\n  s:\n    areas:\n      a:\n        devices: {}\n")
    let all = read.difference(to: empty, enterprise: "e")
    #expect(all.added == ["s/a/TK-1/level", "s/a/TK-1/temperature", "s/a/GD-1/gas"])
    let other = try catalog(
      sites: """
        sites:
          s:
            areas:
              a:
                devices:
                  GD-1: {profile: gas/combustible-gas-detector, limits: {gas.level-1: 15}}
                  GD-2: {profile: gas/combustible-gas-detector}
        """
    )
    let difference = read.difference(to: other, enterprise: "e")
    #expect(difference.missing == ["s/a/GD-2/gas"])
    #expect(
      difference.changed.map { "\($0.point) \($0.field) \($0.before) -> \($0.after)" } == [
        "s/a/GD-1/gas H 15 -> 20",
        "s/a/GD-1/gas device-name 可燃气体探测器（点型） -> 可燃气体探测器",
        "s/a/GD-1/gas responsible  -> li",
      ]
    )
  }
}
