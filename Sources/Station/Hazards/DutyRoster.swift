import DeviceCatalog
import Foundation
import Telemetry

/// Wall-clock time of a zone, worked out from the offset alone.
struct WallTime {
  /// Days since 1970-01-01, local.
  let day: Int
  /// Minutes after local midnight.
  let minute: Int
  /// Seconds within the minute.
  let second: Int

  init(_ time: Timestamp, zone: TimeZone) {
    let moment = Date(timeIntervalSince1970: Double(time.milliseconds) / 1000)
    let seconds =
      Int((Double(time.milliseconds) / 1000).rounded(.down)) + zone.secondsFromGMT(for: moment)
    day = Int((Double(seconds) / 86_400).rounded(.down))
    minute = (seconds - day * 86_400) / 60
    second = (seconds - day * 86_400) % 60
  }

  /// Monday 1 … Sunday 7; 1970-01-01 was a Thursday.
  static func weekday(_ day: Int) -> Int { ((day + 3) % 7 + 7) % 7 + 1 }

  /// ISO 8601 date of a day (Howard Hinnant's civil_from_days).
  static func date(_ day: Int) -> String {
    let shifted = day + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(year)-\(two(month))-\(two(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1))"
  }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  /// `2026-11-26 08:00:00`.
  var text: String {
    "\(Self.date(day)) \(Self.two(minute / 60)):\(Self.two(minute % 60)):\(Self.two(second))"
  }
}

extension ResponsePolicy.Roster {
  /// Who is on duty at a time by the roster itself, in its order: the day's own list where there is one, else the
  /// shifts under way, else the fallback.
  func onDuty(at time: Timestamp) -> [String] {
    let wall = WallTime(time, zone: TimeZone(identifier: timeZone) ?? .gmt)
    if let day = dates[WallTime.date(wall.day)], !day.isEmpty { return day }
    var found: [String] = []
    for shift in shifts {
      let today = shift.days.contains(WallTime.weekday(wall.day))
      let yesterday = shift.days.contains(WallTime.weekday(wall.day - 1))
      let isOvernight = shift.to <= shift.from
      let isOn =
        isOvernight
        ? today && wall.minute >= shift.from || yesterday && wall.minute < shift.to
        : today && wall.minute >= shift.from && wall.minute < shift.to
      if isOn { found += shift.persons.filter { !found.contains($0) } }
    }
    return found.isEmpty ? fallback : found
  }
}
