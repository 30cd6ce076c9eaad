import Foundation
import HazardLedger
import Telemetry

/// Alarms as CSV that a spreadsheet opens as it should: byte order mark, CRLF, no formulas.
struct AlarmTable: Sendable {
  /// What the catalog calls the points.
  var names: CatalogNames
  /// The site's time zone, which times are written in.
  var zone: TimeZone

  private static let columns = [
    "编号 sequence", "报警 alarm", "企业 enterprise", "位置 place", "设备 device", "测点 point",
    "规则 rule", "级别 priority", "状态 state", "发生 onset", "确认 acknowledged",
    "确认人 by", "原因 reason", "恢复 returned", "数值 value", "限值 limit", "单位 unit",
    "步骤 steps", "修订 revisions",
  ]

  /// The byte order mark, without which Excel takes UTF-8 for the system's code page, and the head line.
  var head: [UInt8] {
    [0xEF, 0xBB, 0xBF] + Self.line(Self.columns)
  }

  /// Adds an alarm's line.
  func append(_ alarm: AlarmView, to bytes: inout [UInt8]) {
    let place = names.place(of: alarm.point)
    bytes += Self.line([
      String(alarm.firstSequence), alarm.id, place.enterprise, place.area, place.device,
      place.point, alarm.rule, Self.priority(alarm.priority), alarm.state.rawValue,
      moment(alarm.onset), moment(alarm.acknowledged?.time), alarm.acknowledgedBy,
      alarm.acknowledgedReason, moment(alarm.returned?.time),
      alarm.value.map { "\($0)" } ?? "", alarm.limit.map { "\($0)" } ?? "", alarm.unit,
      String(alarm.steps), String(alarm.revisions),
    ])
  }

  /// One line of cells.
  static func line(_ cells: [String]) -> [UInt8] {
    Array((cells.map(cell).joined(separator: ",") + "\r\n").utf8)
  }

  /// A cell: quoted where it must be, and never a formula.
  static func cell(_ text: String) -> String {
    var text = text
    if let first = text.unicodeScalars.first, "=+-@\t\r".unicodeScalars.contains(first),
      Double(text) == nil
    {
      text = "'" + text
    }
    guard text.unicodeScalars.contains(where: { ",\"\r\n".unicodeScalars.contains($0) }) else {
      return text
    }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }

  private static func priority(_ priority: Int) -> String {
    switch priority {
    case 4: "红 red"
    case 3: "橙 orange"
    case 2: "黄 yellow"
    default: "蓝 blue"
    }
  }

  /// A moment in the zone, with its offset from UTC.
  private func moment(_ time: Timestamp?) -> String {
    guard let time else { return "" }
    let date = Date(timeIntervalSince1970: Double(time.milliseconds) / 1_000)
    let offset = zone.secondsFromGMT(for: date)
    let local = time.advanced(byMilliseconds: Int64(offset) * 1_000)
    let sign = offset < 0 ? "-" : "+"
    let minutes = abs(offset) / 60
    return CivilTime.text(local)
      + " \(sign)\(minutes / 60):\(minutes % 60 < 10 ? "0" : "")\(minutes % 60)"
  }
}

/// Calendar date and time of day of a moment, by the days-from-civil arithmetic.
enum CivilTime {
  /// `YYYY-MM-DD HH:mm:ss.SSS`.
  static func text(_ time: Timestamp) -> String {
    let milliseconds = time.milliseconds
    let days = Int64((Double(milliseconds) / 86_400_000).rounded(.down))
    let rest = milliseconds - days * 86_400_000
    // Days since 0000-03-01, in eras of 400 years.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let civilMonth = month < 10 ? month + 3 : month - 9
    let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)
    return "\(pad(year, 4))-\(pad(civilMonth, 2))-\(pad(day, 2)) "
      + "\(pad(rest / 3_600_000, 2)):\(pad(rest / 60_000 % 60, 2)):\(pad(rest / 1_000 % 60, 2))"
      + ".\(pad(rest % 1_000, 3))"
  }

  private static func pad(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
