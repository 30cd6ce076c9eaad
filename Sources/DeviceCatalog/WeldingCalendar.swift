import Foundation

/// Days and hours of an enterprise: what certificates, holidays and nights go by.
public struct WeldingCalendar: Sendable {
  private let zone: TimeZone
  private let night: [Int]
  private let weekendsAreRestDays: Bool
  private let holidays: Set<CalendarDate>
  private let workdays: Set<CalendarDate>

  /// Makes a calendar.
  ///
  /// - Parameters:
  ///   - timeZone: IANA name; UTC where it is none.
  ///   - policy: says what night and rest days are.
  ///   - holidays: days off.
  ///   - workdays: days of a weekend that are worked (调休).
  public init(
    timeZone: String,
    policy: WeldingPolicy,
    holidays: [CalendarDate],
    workdays: [CalendarDate]
  ) {
    zone = TimeZone(identifier: timeZone) ?? .gmt
    night = policy.night
    weekendsAreRestDays = policy.weekendsAreRestDays
    self.holidays = Set(holidays)
    self.workdays = Set(workdays)
  }

  private func local(_ milliseconds: Int64) -> Int64 {
    let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
    return milliseconds + Int64(zone.secondsFromGMT(for: date)) * 1000
  }

  /// The local day of a moment.
  public func day(of milliseconds: Int64) -> CalendarDate {
    CalendarDate(daysSinceEpoch: Int((local(milliseconds)).quotientFloored(by: 86_400_000)))
  }

  /// The moment at which a local day begins.
  public func start(of day: CalendarDate) -> Int64 {
    let midnight = Int64(day.daysSinceEpoch) * 86_400_000
    let offset = { (moment: Int64) in self.local(moment) - moment }
    // The offset there, and where the clocks are put on or back at midnight, the offset just before.
    return midnight - offset(midnight - offset(midnight))
  }

  /// Minute of the local day, 0 to 1439.
  public func minute(of milliseconds: Int64) -> Int {
    let local = local(milliseconds)
    return Int((local - local.quotientFloored(by: 86_400_000) * 86_400_000) / 60_000)
  }

  /// Whether hot work needs the next class up: holiday, rest day or night (GB 30871-2022, 5.1.1).
  public func needsUpgrade(at milliseconds: Int64) -> Bool {
    isNight(milliseconds) || isRestDay(day(of: milliseconds))
  }

  private func isNight(_ milliseconds: Int64) -> Bool {
    let minute = minute(of: milliseconds)
    return night[0] <= night[1]
      ? night[0] <= minute && minute < night[1] : night[0] <= minute || minute < night[1]
  }

  private func isRestDay(_ day: CalendarDate) -> Bool {
    if holidays.contains(day) { return true }
    guard weekendsAreRestDays, !workdays.contains(day) else { return false }
    // 1970-01-01 was a Thursday.
    let weekday = (day.daysSinceEpoch % 7 + 11) % 7
    return weekday == 6 || weekday == 0
  }

  /// The next moment at which the day or the night begins or ends.
  public func nextBoundary(after milliseconds: Int64) -> Int64 {
    let minute = minute(of: milliseconds)
    let begin =
      milliseconds
      - (local(milliseconds) - (local(milliseconds).quotientFloored(by: 60_000)) * 60_000)
    let marks = [night[0], night[1], 1_440].map { $0 > minute ? $0 : $0 + 1_440 }
    return begin + Int64((marks.min() ?? 1_440) - minute) * 60_000
  }

  /// The next local midnight.
  public func nextMidnight(after milliseconds: Int64) -> Int64 {
    let local = local(milliseconds)
    return milliseconds + 86_400_000 - (local - local.quotientFloored(by: 86_400_000) * 86_400_000)
  }
}

extension Int64 {
  fileprivate func quotientFloored(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}

extension CalendarDate {
  /// The day so many days after 1970-01-01; days outside the years 1900 to 2999 become the nearest inside.
  public init(daysSinceEpoch: Int) {
    let bounded = min(max(daysSinceEpoch, -25_567), 376_199)
    let shifted = bounded + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let part = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * part + 2) / 5 + 1
    let month = part < 10 ? part + 3 : part - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    guard let date = CalendarDate(year: year, month: month, day: day) else {
      preconditionFailure("the civil calendar has every day of the years 1900 to 2999")
    }
    self = date
  }
}
