import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Telemetry
import Testing

/// Reports say of a period what its readings and alarms say.
@Suite("Reports")
struct ReportTests {
  static let shanghai = TimeZone(identifier: "Asia/Shanghai") ?? .gmt

  /// The report of a period as it is at `now`, milliseconds since the Unix epoch.
  private static func report(
    _ period: PlantReport.Period,
    _ catalog: Catalog,
    _ ledger: SQLiteLedger,
    _ trends: TrendStore? = nil,
    scope: LedgerScope = .everything,
    now: Int64
  ) throws -> PlantReport {
    try PlantReport(
      period,
      catalog: catalog,
      trends: trends,
      ledger: ledger,
      scope: scope,
      now: Timestamp(milliseconds: now)
    )
  }

  @Test(
    "days and months of the site's calendar",
    arguments: [
      ("2026-01-31", 1_769_788_800_000, 1_769_875_200_000),
      ("2026-02", 1_769_875_200_000, 1_772_294_400_000),
      ("2024-02-29", 1_709_136_000_000, 1_709_222_400_000),
      ("2026-Q1", 1_767_196_800_000, 1_774_972_800_000),
      ("2025-Q4", 1_759_248_000_000, 1_767_196_800_000),
      ("2026", 1_767_196_800_000, 1_798_732_800_000),
    ] as [(String, Int64, Int64)]
  )
  func periods(label: String, from: Int64, to: Int64) throws {
    let period = try #require(PlantReport.Period(label, timeZone: Self.shanghai))
    #expect(period.from == from && period.to == to, "\(period)")
  }

  @Test(
    "what is no day or month is refused",
    arguments: [
      "2026-02-30", "2026-13", "0000", "26-01-01", "2026-Q0", "2026-Q5", "2026-QQ", "2026-Q1-01",
      "2026--1", "2026-+1", "2026-1-1", "2026-01-01-01", "", "٢٠٢٦-01",
    ]
  )
  func noPeriods(label: String) {
    #expect(PlantReport.Period(label, timeZone: Self.shanghai) == nil)
  }

  @Test("an alarm of a clock that begins at 1970 stands from when it came")
  func deadClock() throws {
    let scratch = try Scratch()
    let catalog = try Fixture.catalog()
    let period = try #require(PlantReport.Period("2026-01-31", timeZone: Self.shanghai))
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    let point = try #require(catalog.channels.first { $0.path.hasSuffix("/ch4_n/ch4") }).path
    let noon = period.from + 12 * 3_600_000
    let body = AlarmBody(
      point: point,
      rule: "H",
      onset: Timestamp(milliseconds: 1_795_000),
      event: .raised,
      state: .unacknowledged,
      previous: .normal,
      priority: 3,
      received: Timestamp(milliseconds: noon),
      cause: 1
    )
    try ledger.append(
      [LedgerDraft(alarm: body, time: body.onset, origin: 1)],
      rejects: [],
      position: 1
    )
    let before = try #require(PlantReport.Period("2026-01-30", timeZone: Self.shanghai))
    for (day, count, hours) in [(period, 1, 12), (before, 0, 0)] {
      let report = try Self.report(day, catalog, ledger, now: period.to)
      let line = try #require(report.lines.first { $0.point == point })
      #expect(line.alarms.count == count)
      #expect(line.alarms.milliseconds == Int64(hours) * 3_600_000)
    }
  }

  @Test("figures, counts and durations, cut at the period's edges")
  func figures() throws {
    let scratch = try Scratch()
    let catalog = try Fixture.catalog()
    let period = try #require(PlantReport.Period("2026-01-31", timeZone: Self.shanghai))
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    let trends = try TrendStore(path: scratch.file("trends.sqlite"))
    let stages = try Stages(
      catalog: catalog,
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: ledger,
      snapshots: nil,
      trends: trends,
      limits: StationLimits(),
      logger: Fixture.quiet,
      now: period.from - 3_600_000
    )
    // Above the limit from half an hour before the day to half an hour into it, and for its last half hour.
    let minute: Int64 = 60_000
    var sequence: UInt64 = 1
    for step in -60..<1_440 as Range<Int64> {
      let time = period.from + step * minute
      let isHigh = (-30..<30).contains(step) || step >= 1_410
      sequence += 1
      try stages.take(Fixture.reading(isHigh ? 900 : 2, at: time), sequence: sequence)
    }
    let report = try Self.report(period, catalog, ledger, trends, now: period.to + minute)
    let line = try #require(report.lines.first { $0.point.hasSuffix("/ch4_n/ch4") })
    #expect(line.readings == 1_440)
    #expect(line.maximum == 900 && line.minimum == 2)
    #expect(line.maximumTime == period.from)
    let mean = try #require(line.mean)
    let expected: Double = (60.0 * 900.0 + 1_380.0 * 2.0) / 1_440.0
    #expect(abs(mean - expected) < 1e-9)
    // The rules H and HH of the point each stood twice, about half an hour each time.
    #expect(line.alarms.count == 4, "\(line.alarms)")
    let hours = Double(line.alarms.milliseconds) / 3_600_000
    #expect((1.9...2.1).contains(hours), "\(hours)")
    #expect(line.alarms.longest <= 31 * minute)
    let other = PlantReport.Period("2026-01-29", timeZone: Self.shanghai)
    let quiet = try Self.report(try #require(other), catalog, ledger, trends, now: period.to)
    #expect(quiet.lines.allSatisfy { $0.readings == 0 && $0.mean == nil && $0.alarms.count == 0 })
    let foreign = try Self.report(
      period,
      catalog,
      ledger,
      trends,
      scope: .enterprises(["somebody-else"]),
      now: period.to
    )
    #expect(foreign.lines.isEmpty)
  }

  @Test("a rule that is out of service without an alarm is no alarm of the day")
  func setAside() throws {
    let scratch = try Scratch()
    let catalog = try Fixture.catalog()
    let period = try #require(PlantReport.Period("2026-01-31", timeZone: Self.shanghai))
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    let stages = try Stages(
      catalog: catalog,
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: ledger,
      snapshots: nil,
      limits: StationLimits(),
      logger: Fixture.quiet,
      now: period.from
    )
    let act = StationCoreTests.act(
      "removeFromService",
      alarm: "metec/metec/fence/ch4_n/ch4#H",
      at: period.from + 60_000
    )
    try stages.take(act, sequence: 2)
    #expect(try ledger.standingAlarms().map(\.state) == [.outOfService])
    let report = try Self.report(period, catalog, ledger, now: period.to)
    #expect(report.lines.allSatisfy { $0.alarms.count == 0 })
  }

  static let hostile = ReportTable(
    title: LocalizedText(zh: "表", en: "<Table> & \"more\""),
    columns: [LocalizedText(zh: "甲", en: "a"), LocalizedText(zh: "乙", en: "b")],
    rows: [
      [.text("=1+1"), .number(-3.25)], [.text("a,\"b\"\r\n"), .empty],
      [.text("<script>&'"), .number(0.1 + 0.2)], [.text("-5"), .number(1e21)],
    ]
  )

  @Test("CSV: byte order mark, quoting, and no formula")
  func csv() {
    let text = String(decoding: Self.hostile.csv, as: UTF8.self)
    #expect(
      text
        == "\u{FEFF}甲 a,乙 b\r\n'=1+1,-3.25\r\n\"a,\"\"b\"\"\r\n\",\r\n<script>&',0.3\r\n'-5,1e+21\r\n"
    )
  }

  @Test("HTML: nothing in a cell becomes a tag")
  func html() {
    let text = String(decoding: Self.hostile.html(subtitle: "<p>"), as: UTF8.self)
    #expect(!text.contains("<script>"))
    #expect(text.contains("&lt;script&gt;&amp;&#39;"))
    #expect(text.contains("&lt;Table&gt; &amp; &quot;more&quot;"))
  }

  @Test("XLSX: another program's ZIP and XML readers read the table back")
  func xlsx() throws {
    let scratch = try Scratch()
    try Data(Self.hostile.xlsx).write(to: URL(fileURLWithPath: scratch.file("table.xlsx")))
    let program = """
      import sys, zipfile, xml.etree.ElementTree as tree
      book = zipfile.ZipFile(sys.argv[1])
      assert book.testzip() is None
      for name in book.namelist(): tree.fromstring(book.read(name))
      space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
      for row in tree.fromstring(book.read("xl/worksheets/sheet1.xml")).iter(space + "row"):
          print([("".join(c.itertext()), c.get("t"), c.get("r")) for c in row])
      """
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", program, scratch.file("table.xlsx")]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    let lines = String(decoding: output, as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 5)
    #expect(lines[1] == "[('=1+1', 'inlineStr', 'A2'), ('-3.25', None, 'B2')]")
    #expect(lines[3].contains("<script>&"))
  }
}
