/// Reads the time stamps of recorded series without a calendar library.
public enum ScoreTimestamp {
  /// Milliseconds since 1970-01-01 00:00 of the stamp's own zone, or UTC where it names one.
  ///
  /// Accepted: `2026-11-23 17:12:04`, `2026-11-23T17:12:04.567`, either with `Z` or `+08:00`; seconds
  /// may be left out. Proleptic Gregorian, years 0001 to 9999. Nil when the text is anything else.
  public static func milliseconds(_ text: String) -> Int64? {
    var reader = Digits(Array(text.utf8))
    guard let year = reader.number(4), year >= 1, reader.skip("-"), let month = reader.number(2),
      (1...12).contains(month), reader.skip("-"), let day = reader.number(2),
      (1...daysIn(month, year)).contains(day)
    else { return nil }
    var total = days(year, month, day) * 86_400_000
    if reader.isAtEnd { return total }
    guard reader.skip(" ") || reader.skip("T"), let hour = reader.number(2), hour < 24,
      reader.skip(":"), let minute = reader.number(2), minute < 60
    else { return nil }
    total += hour * 3_600_000 + minute * 60_000
    if reader.skip(":") {
      guard let second = reader.number(2), second < 60 else { return nil }
      total += second * 1000
      if reader.skip(".") {
        guard let fraction = reader.fraction() else { return nil }
        total += fraction
      }
    }
    if reader.skip("Z") { return reader.isAtEnd ? total : nil }
    if reader.isAtEnd { return total }
    let isEast = reader.skip("+")
    guard isEast || reader.skip("-"), let hours = reader.number(2), hours < 24 else { return nil }
    _ = reader.skip(":")
    guard let minutes = reader.number(2), minutes < 60, reader.isAtEnd else { return nil }
    let offset = hours * 3_600_000 + minutes * 60_000
    return isEast ? total - offset : total + offset
  }

  private static func daysIn(_ month: Int64, _ year: Int64) -> Int64 {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return switch month {
    case 2: isLeap ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days from 1970-01-01, by Hinnant's days_from_civil: years begin in March, eras of 400 years.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = floorQuotient(shifted, 400)
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private struct Digits {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
      self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
      guard position < bytes.count, UInt32(bytes[position]) == character.value else { return false }
      position += 1
      return true
    }

    mutating func number(_ digits: Int) -> Int64? {
      guard bytes.count - position >= digits else { return nil }
      var value: Int64 = 0
      for _ in 0..<digits {
        guard bytes[position] >= 48, bytes[position] <= 57 else { return nil }
        value = value * 10 + Int64(bytes[position] - 48)
        position += 1
      }
      return value
    }

    /// Milliseconds of a decimal fraction; digits after the third are cut off.
    mutating func fraction() -> Int64? {
      var value: Int64 = 0
      var digits = 0
      while position < bytes.count, bytes[position] >= 48, bytes[position] <= 57 {
        if digits < 3 { value = value * 10 + Int64(bytes[position] - 48) }
        digits += 1
        position += 1
      }
      guard digits > 0 else { return nil }
      for _ in min(digits, 3)..<3 { value *= 10 }
      return value
    }
  }
}
