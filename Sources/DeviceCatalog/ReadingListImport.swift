import Foundation

/// A table of readings out of a spreadsheet or a logger, one row a moment and one column a point, checked as a whole
/// before anything is made of it.
///
/// UTF-8 and GB18030, comma, semicolon or tab. What cannot be read for certain is refused with its place: a table with
/// one mistake gives no rows at all.
public struct ReadingListImport: Sendable {
  /// A column that is taken, and the point that its values are of.
  public struct Column: Hashable, Sendable {
    /// The header's name.
    public var name: String
    /// Device id.
    public var device: String
    /// Point id.
    public var point: String

    /// Makes a column.
    public init(name: String, device: String, point: String) {
      self.name = name
      self.device = device
      self.point = point
    }
  }

  /// What plain numbers in the time column count since the Unix epoch.
  public enum TimeUnit: String, CaseIterable, Sendable {
    /// Milliseconds, whole ones.
    case milliseconds = "ms"
    /// Seconds, with or without a fraction.
    case seconds = "s"
  }

  /// One moment.
  public struct Row: Sendable {
    /// Line that the row begins on.
    public var line: Int
    /// Milliseconds since the Unix epoch.
    public var time: Int64
    /// A value for each column that is taken, in their order; nil where the cell is empty.
    public var values: [Double?]
  }

  /// How the bytes were read: UTF-8, UTF-8 with byte order mark, GB18030.
  public private(set) var encoding = ""
  /// The rows; none when there is an error among the findings.
  public private(set) var rows: [Row] = []
  /// What is wrong with the file.
  public private(set) var findings: [Finding] = []

  private let file: String
  private let timeColumn: String
  private let columns: [Column]
  private let unit: TimeUnit
  private let utcOffsetMinutes: Int?

  /// After so many errors the rest of the file is not looked at.
  static let findingLimit = 20

  /// Reads the bytes of a file.
  ///
  /// - Parameters:
  ///   - bytes: the file's contents.
  ///   - file: its name in findings.
  ///   - timeColumn: name of the column that holds each row's moment.
  ///   - columns: what to take; other columns are passed over.
  ///   - unit: what plain numbers in the time column count.
  ///   - utcOffsetMinutes: minutes east of UTC of times that say no zone; nil refuses these.
  public init(
    bytes: [UInt8],
    file: String,
    timeColumn: String,
    columns: [Column],
    unit: TimeUnit = .milliseconds,
    utcOffsetMinutes: Int? = nil
  ) {
    self.file = file
    self.timeColumn = timeColumn
    self.columns = columns
    self.unit = unit
    self.utcOffsetMinutes = utcOffsetMinutes
    let log = FindingLog()
    read(bytes, log)
    findings = log.findings
    if log.hasErrors { rows = [] }
  }

  private mutating func read(_ bytes: [UInt8], _ log: FindingLog) {
    let whole = Place(file: file, line: 0, column: 0, key: "")
    guard let text = CSVText(bytes) else {
      log.report(.unreadableTable, at: whole)
      return
    }
    encoding = text.encoding.rawValue
    guard let header = text.rows.first else {
      log.report(.emptyFile, at: whole)
      return
    }
    text.report(file: file, to: log)
    let time = place(of: timeColumn, in: header, log)
    let places = columns.map { place(of: $0.name, in: header, log) }
    let taken = places.compactMap(\.self)
    guard !log.hasErrors, let time else { return }
    for row in text.rows.dropFirst() {
      guard log.findings.count < Self.findingLimit else {
        log.report(
          .other(
            code: "too-many-errors",
            zh: "错误太多，其后各行未检查",
            en: "too many errors: the rows from here on were not looked at",
            remedyZh: "先改正以上各处",
            remedyEn: "correct those above first"
          ),
          at: Place(file: file, line: row.line, column: 1, key: "")
        )
        return
      }
      read(row, width: header.cells.count, time: time, places: taken, log)
    }
    if rows.isEmpty, !log.hasErrors { log.report(.nothing(kind: "row", kindZh: "数据行"), at: whole) }
  }

  /// Where the header has a column; nil, and reported, when it has none or more than one of that name.
  private func place(of name: String, in header: CSVText.Row, _ log: FindingLog) -> Int? {
    let found = header.cells.indices.filter { header.cells[$0] == name }
    guard let first = found.first else {
      let known = header.cells.filter { !$0.isEmpty }
      log.report(
        name == timeColumn
          ? .noTimeColumn(name, among: known)
          : .unknownReference(kind: "column", kindZh: "列", name: name, known: known),
        at: Place(file: file, line: header.line, column: 1, key: name)
      )
      return nil
    }
    guard found.count == 1 else {
      log.report(
        .duplicateName(kind: "column", kindZh: "列", name: name, first: "column \(first + 1)"),
        at: Place(file: file, line: header.line, column: found[1] + 1, key: name)
      )
      return nil
    }
    return first
  }

  private mutating func read(
    _ row: CSVText.Row,
    width: Int,
    time: Int,
    places: [Int],
    _ log: FindingLog
  ) {
    guard row.cells.count == width else {
      let isShort = row.cells.count < width
      log.report(
        .other(
          code: isShort ? "missing-cell" : "surplus-cell",
          zh: "该行有 \(row.cells.count) 个单元格，表头有 \(width) 个",
          en: "the row has \(row.cells.count) cells, the header has \(width)",
          remedyZh: "检查分隔符与引号；没有值的单元格也要留空位",
          remedyEn: "check separators and quotes; a cell without a value still needs its place"
        ),
        at: Place(file: file, line: row.line, column: min(row.cells.count, width) + 1, key: "")
      )
      return
    }
    let moment = self.time(
      row.cells[time],
      at: Place(file: file, line: row.line, column: time + 1, key: timeColumn),
      log
    )
    var values: [Double?] = []
    values.reserveCapacity(places.count)
    for (column, index) in zip(columns, places) {
      let cell = row.cells[index]
      let value = Self.number(cell)
      if value == nil, !cell.isEmpty {
        log.report(
          .wrongType(
            expected: "a decimal number (such as 12.5 or 1.25e1), or an empty cell",
            expectedZh: "十进制数（如 12.5 或 1.25e1）或空单元格",
            found: "\"\(cell)\""
          ),
          at: Place(file: file, line: row.line, column: index + 1, key: column.name)
        )
      }
      values.append(value)
    }
    if let moment { rows.append(Row(line: row.line, time: moment, values: values)) }
  }

  /// A number as tables have it; hexadecimal, infinity and NaN are none.
  private static func number(_ cell: String) -> Double? {
    let isDecimal = cell.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || "+-.eE".utf8.contains(byte)
    }
    guard isDecimal, let value = Double(cell), value.isFinite else { return nil }
    return value
  }

  // MARK: - Time

  /// Moments that a reading can be of, milliseconds: years 2000 to 2099.
  ///
  /// What lies outside is a wrong unit or clock, and what lies before is refused when it is decoded.
  private static let moments: Range<Int64> = 946_684_800_000..<4_102_444_800_000

  /// Minutes east of UTC that `+08:00` says; nil when it is no such offset.
  public static func utcOffset(_ text: String) -> Int? { parseOffset(text) }

  private func time(_ cell: String, at place: Place, _ log: FindingLog) -> Int64? {
    let local = utcOffsetMinutes.flatMap { Self.localTime(cell, utcOffsetMinutes: $0) }
    guard let time = plainTime(cell) ?? Self.dateTime(cell) ?? local else {
      if Self.localTime(cell, utcOffsetMinutes: 0) != nil {
        log.report(.zoneMissing(cell), at: place)
        return nil
      }
      log.report(
        .wrongType(
          expected: "a time: ISO 8601 with its zone (2026-11-23T17:12:04+08:00) or "
            + (unit == .seconds ? "seconds" : "whole milliseconds") + " since 1970",
          expectedZh: "时间：带时区的 ISO 8601（2026-11-23T17:12:04+08:00）或 1970 年以来的"
            + (unit == .seconds ? "秒数" : "整毫秒数"),
          found: cell.isEmpty ? "nothing" : "\"\(cell)\""
        ),
        at: place
      )
      return nil
    }
    guard Self.moments.contains(time) else {
      let (asSeconds, overflow) = time.multipliedReportingOverflow(by: 1_000)
      let isSeconds =
        unit == .milliseconds && plainTime(cell) != nil && !overflow
        && Self.moments.contains(asSeconds)
      log.report(
        .other(
          code: "time-out-of-range",
          zh: "时间 \(cell) 不在 2000 年到 2099 年之间",
          en: "the time \(cell) is not within the years 2000 to 2099",
          remedyZh: isSeconds
            ? "看来是秒：加上 --time-unit s" : "写成 1970 年以来的毫秒数，或带时区的 ISO 8601",
          remedyEn: isSeconds
            ? "these seem to be seconds: give --time-unit s"
            : "write milliseconds since 1970, or ISO 8601 with its zone"
        ),
        at: place
      )
      return nil
    }
    return time
  }

  /// A plain number in the unit asked for, as milliseconds; nil when `cell` is none.
  private func plainTime(_ cell: String) -> Int64? {
    switch unit {
    case .milliseconds: return Int64(cell)
    case .seconds:
      guard let seconds = Self.number(cell) else { return nil }
      return Int64(exactly: (seconds * 1_000).rounded())
    }
  }

  /// ISO 8601 with seconds and zone, nothing after it; nil when `cell` is none.
  private static func dateTime(_ cell: String) -> Int64? {
    // Foundation's parser passes over what follows the zone.
    var rest = cell.utf8.dropFirst(19)
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst().drop { (0x30...0x39).contains($0) }
    }
    let isOffset = rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-")
    guard rest.elementsEqual("Z".utf8) || (isOffset && (rest.count == 5 || rest.count == 6)) else {
      return nil
    }
    let style = Date.ISO8601FormatStyle()
    guard
      let date = (try? style.parse(cell))
        ?? (try? style.year().month().day().time(includingFractionalSeconds: true).timeZone(
          separator: .colon
        ).parse(cell))
    else { return nil }
    return Int64((date.timeIntervalSince1970 * 1000).rounded())
  }

  /// A day and a time of day as spreadsheets write them, without a zone: `2026/11/23 8:05`, `2026-11-23 08:05:06.250`; nil
  /// when `cell` is none.
  private static func localTime(_ cell: String, utcOffsetMinutes: Int) -> Int64? {
    let parts = cell.split { $0 == " " || $0 == "T" }
    guard parts.count == 2, let day = day(parts[0]), let time = timeOfDay(parts[1]) else {
      return nil
    }
    return Int64(day.daysSinceEpoch) * 86_400_000 + time - Int64(utcOffsetMinutes) * 60_000
  }

  private static func day(_ text: Substring) -> CalendarDate? {
    let parts = text.split(omittingEmptySubsequences: false) { $0 == "-" || $0 == "/" }
    guard parts.count == 3, let year = digits(parts[0], 4...4), let month = digits(parts[1], 1...2),
      let day = digits(parts[2], 1...2)
    else { return nil }
    return CalendarDate(year: year, month: month, day: day)
  }

  /// Milliseconds since midnight.
  private static func timeOfDay(_ text: Substring) -> Int64? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard (2...3).contains(parts.count), let hour = digits(parts[0], 1...2), hour < 24,
      let minute = digits(parts[1], 2...2), minute < 60
    else { return nil }
    let whole = Int64(hour * 60 + minute) * 60_000
    guard parts.count == 3 else { return whole }
    let seconds = parts[2].split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let second = digits(seconds[0], 2...2), second < 60 else { return nil }
    guard seconds.count == 2 else { return whole + Int64(second) * 1_000 }
    guard digits(seconds[1], 1...9) != nil, let thousandths = Int64((seconds[1] + "00").prefix(3))
    else { return nil }
    return whole + Int64(second) * 1_000 + thousandths
  }

  /// A number of so many decimal digits and nothing else.
  private static func digits(_ text: Substring, _ count: ClosedRange<Int>) -> Int? {
    guard count.contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return Int(text)
  }
}

extension Problem {
  /// A time of day that may be of any zone.
  fileprivate static func zoneMissing(_ cell: String) -> Problem {
    .other(
      code: "zone-missing",
      zh: "时间 \(cell) 没有时区",
      en: "the time \(cell) says no zone",
      remedyZh: "用 --utc-offset 说明时区，如 --utc-offset +08:00",
      remedyEn: "say the zone by --utc-offset, as in --utc-offset +08:00"
    )
  }

  /// The column of times has another name than was said, or than is usual.
  fileprivate static func noTimeColumn(_ name: String, among known: [String]) -> Problem {
    let names = known.joined(separator: ", ")
    return .other(
      code: "unknown-column",
      zh: "没有名为“\(name)”的时间列",
      en: "there is no column of times named \"\(name)\"",
      remedyZh: "用 --time 指定时间列；表头有：\(names)",
      remedyEn: "name the column of times by --time; the header has: \(names)"
    )
  }
}
