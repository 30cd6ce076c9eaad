import DeviceCatalog
import Foundation

extension PlantReport {
  /// The report as a table, times in the period's time zone, durations in minutes.
  public var table: ReportTable {
    let columns: [(String, String)] = [
      ("测点", "point"), ("名称", "name"), ("单位", "unit"), ("读数", "readings"), ("平均", "mean"),
      ("最小", "minimum"), ("最大", "maximum"), ("最大值时刻", "time of maximum"),
      ("报警次数", "alarms"), ("报警时长(分)", "alarm minutes"), ("最长报警(分)", "longest alarm, minutes"),
      ("断电次数", "cuts"), ("断电时长(分)", "cut minutes"), ("馈电异常次数", "feed faults"),
      ("馈电异常时长(分)", "feed fault minutes"), ("断数次数", "silences"),
      ("断数时长(分)", "silence minutes"),
    ]
    return ReportTable(
      title: LocalizedText(zh: "监测报表 \(period.label)", en: "Monitoring report \(period.label)"),
      columns: columns.map { LocalizedText(zh: $0.0, en: $0.1) },
      rows: lines.map(row)
    )
  }

  private func row(_ line: Line) -> [ReportTable.Cell] {
    func number(_ value: Double?) -> ReportTable.Cell { value.map { .number($0) } ?? .empty }
    func minutes(_ milliseconds: Int64) -> ReportTable.Cell {
      .number((Double(milliseconds) / 6_000).rounded() / 10)
    }
    func count(_ tally: Tally) -> ReportTable.Cell { .number(Double(tally.count)) }
    return [
      .text(line.point), .text("\(line.name.zh) \(line.name.en)"), .text(line.unit),
      .number(Double(line.readings)), number(line.mean), number(line.minimum),
      number(line.maximum), line.maximumTime.map { .text(moment($0)) } ?? .empty,
      count(line.alarms), minutes(line.alarms.milliseconds), minutes(line.alarms.longest),
      count(line.cuts), minutes(line.cuts.milliseconds),
      count(line.feedFaults), minutes(line.feedFaults.milliseconds),
      count(line.silences), minutes(line.silences.milliseconds),
    ]
  }

  private func moment(_ milliseconds: Int64) -> String {
    let date = Date(timeIntervalSince1970: Double(milliseconds) / 1_000)
    let zone = TimeZone(identifier: period.timeZone) ?? .gmt
    return date.formatted(
      Date.ISO8601FormatStyle(timeZone: zone).year().month().day()
        .dateTimeSeparator(.space).time(includingFractionalSeconds: false)
    )
  }
}
