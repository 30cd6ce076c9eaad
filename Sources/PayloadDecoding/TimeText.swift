internal import Telemetry

/// Times as sources write them, to milliseconds since the Unix epoch.
enum TimeText {
  /// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
  static func days(year: Int, month: Int, day: Int) -> Int {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func daysInMonth(_ month: Int, of year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Milliseconds of a date and time; nil when there is no such moment.
  static func milliseconds(
    year: Int,
    month: Int,
    day: Int,
    hour: Int,
    minute: Int,
    second: Int,
    fraction: Int
  ) -> Int64? {
    guard (1...12).contains(month), day >= 1, day <= daysInMonth(month, of: year), hour <= 23,
      minute <= 59, second <= 60
    else { return nil }
    // A leap second is taken as the second after it: the epoch count has none.
    let seconds =
      days(year: year, month: month, day: day) * 86_400 + hour * 3_600 + minute * 60 + second
    return Int64(seconds) * 1_000 + Int64(fraction)
  }

  /// A fixed number of digits, or nil.
  @inline(__always)
  private static func digits(_ text: ByteView, _ start: Int, _ count: Int) -> Int? {
    guard start >= 0, start + count <= text.count else { return nil }
    var value = 0
    for index in start..<start + count {
      let digit = text[index] &- 0x30
      guard digit < 10 else { return nil }
      value = value * 10 + Int(digit)
    }
    return value
  }

  /// Fractional seconds after a full stop or comma, cut to milliseconds.
  private static func fraction(_ text: ByteView, _ index: inout Int) -> Int? {
    guard index < text.count, text[index] == 0x2E || text[index] == 0x2C else { return 0 }
    index += 1
    let start = index
    var value = 0
    while index < text.count, text[index] &- 0x30 < 10 {
      if index - start < 3 { value = value * 10 + Int(text[index] &- 0x30) }
      index += 1
    }
    guard index > start else { return nil }
    for _ in min(index - start, 3)..<3 { value *= 10 }
    return value
  }

  /// Date and time with separators; with a zone when `offset` is nil, else without one.
  static func dateTime(_ text: ByteView, utcOffsetMinutes offset: Int?) -> Int64? {
    guard text.count >= 16, text.count <= Decoder.wordLimit, let year = digits(text, 0, 4),
      let month = digits(text, 5, 2),
      let day = digits(text, 8, 2), let hour = digits(text, 11, 2),
      let minute = digits(text, 14, 2), text[4] == text[7], text[13] == 0x3A
    else { return nil }
    guard text[4] == 0x2D || (offset != nil && text[4] == 0x2F) else { return nil }
    guard text[10] | 0x20 == 0x74 || text[10] == 0x20 else { return nil }
    var index = 16
    var second = 0
    var milliseconds = 0
    if index < text.count, text[index] == 0x3A {
      guard let value = digits(text, 17, 2) else { return nil }
      second = value
      index = 19
      guard let part = fraction(text, &index) else { return nil }
      milliseconds = part
    }
    let zone: Int
    if index == text.count {
      guard let offset else { return nil }
      zone = offset
    } else {
      // A zone in the text is always believed, even where one was declared.
      guard let sent = self.zone(text, index) else { return nil }
      zone = sent
    }
    guard
      let local = self.milliseconds(
        year: year,
        month: month,
        day: day,
        hour: hour,
        minute: minute,
        second: second,
        fraction: milliseconds
      )
    else { return nil }
    return local - Int64(zone) * 60_000
  }

  /// `Z`, `+08:00`, `+0800` or `+08` at the end of the text, in minutes.
  private static func zone(_ text: ByteView, _ start: Int) -> Int? {
    let sign = text[start]
    if sign | 0x20 == 0x7A { return start + 1 == text.count ? 0 : nil }
    guard sign == 0x2B || sign == 0x2D, let hours = digits(text, start + 1, 2), hours <= 23 else {
      return nil
    }
    var minutes = 0
    switch text.count - start {
    case 3: break
    case 5:
      guard let value = digits(text, start + 3, 2) else { return nil }
      minutes = value
    case 6:
      guard text[start + 3] == 0x3A, let value = digits(text, start + 4, 2) else { return nil }
      minutes = value
    default: return nil
    }
    guard minutes <= 59 else { return nil }
    let total = hours * 60 + minutes
    return sign == 0x2D ? -total : total
  }

  /// `yyyyMMddHHmmss` or `yyyyMMddHHmmssSSS`.
  static func compact(_ text: ByteView, utcOffsetMinutes: Int) -> Int64? {
    guard text.count == 14 || text.count == 17, let year = digits(text, 0, 4),
      let month = digits(text, 4, 2), let day = digits(text, 6, 2),
      let hour = digits(text, 8, 2), let minute = digits(text, 10, 2),
      let second = digits(text, 12, 2)
    else { return nil }
    var fraction = 0
    if text.count == 17 {
      guard let value = digits(text, 14, 3) else { return nil }
      fraction = value
    }
    guard
      let local = milliseconds(
        year: year,
        month: month,
        day: day,
        hour: hour,
        minute: minute,
        second: second,
        fraction: fraction
      )
    else { return nil }
    return local - Int64(utcOffsetMinutes) * 60_000
  }

  /// An integer count of the format's unit; nil when the format counts nothing or it overflows.
  static func epoch(_ value: Int64, _ format: TimeFormat) -> Int64? {
    switch format {
    case .epochSeconds:
      let (result, overflow) = value.multipliedReportingOverflow(by: 1_000)
      return overflow ? nil : result
    case .epochMilliseconds: return value
    case .epochMicroseconds: return floorDivide(value, 1_000)
    case .epochNanoseconds: return floorDivide(value, 1_000_000)
    case .iso8601, .dateTime, .compact: return nil
    }
  }

  /// A fractional count of the format's unit, to the millisecond below.
  static func epoch(_ value: Double, _ format: TimeFormat) -> Int64? {
    let scaled: Double
    switch format {
    // Seconds with three decimals are not exact in binary: round, do not cut.
    case .epochSeconds: scaled = (value * 1_000).rounded()
    case .epochMilliseconds: scaled = value.rounded(.down)
    case .epochMicroseconds: scaled = (value / 1_000).rounded(.down)
    case .epochNanoseconds: scaled = (value / 1_000_000).rounded(.down)
    case .iso8601, .dateTime, .compact: return nil
    }
    guard scaled > -9e18, scaled < 9e18 else { return nil }
    return Int64(scaled)
  }

  static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let quotient = value / divisor
    return value % divisor < 0 ? quotient - 1 : quotient
  }

  /// Text in the format's form; counts may come as text too.
  static func parse(_ text: ByteView, _ format: TimeFormat) -> Int64? {
    switch format {
    case .iso8601: return dateTime(text, utcOffsetMinutes: nil)
    case .dateTime(let offset): return dateTime(text, utcOffsetMinutes: offset)
    case .compact(let offset): return compact(text, utcOffsetMinutes: offset)
    case .epochSeconds, .epochMilliseconds, .epochMicroseconds, .epochNanoseconds:
      guard let number = JSONNumber.parse(text) else { return nil }
      return number.kind == .integer
        ? epoch(Int64(bitPattern: number.bits), format)
        : number.kind == .double ? epoch(Double(bitPattern: number.bits), format) : nil
    }
  }
}
