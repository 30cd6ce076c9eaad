import AlarmEngine
public import DeviceCatalog
public import Foundation
public import HazardLedger
public import Telemetry

/// The daily (日报) or monthly (月报) report of a plant: each point's figures and what alarmed on it.
///
/// Figures of readings come from the trends, those of alarms from the ledger: the same entries that anybody can verify.
public struct PlantReport: Codable, Hashable, Sendable {
  /// A day, month, quarter or year of the plant's own calendar.
  public struct Period: Codable, Hashable, Sendable {
    /// `2026-01-31`, `2026-01`, `2026-Q1` or `2026`.
    public var label: String
    /// Begin, milliseconds since the Unix epoch; included.
    public var from: Int64
    /// End, milliseconds since the Unix epoch; not included.
    public var to: Int64
    /// The time zone whose days are meant, by its IANA name.
    public var timeZone: String
  }

  /// Occurrences of a kind of alarm within the period.
  public struct Tally: Codable, Hashable, Sendable {
    /// Occurrences that stood at any moment of the period.
    public var count = 0
    /// How long they stood within the period, milliseconds, added up.
    public var milliseconds: Int64 = 0
    /// The longest of them within the period, milliseconds.
    public var longest: Int64 = 0

    mutating func add(_ duration: Int64) {
      count += 1
      milliseconds += duration
      longest = max(longest, duration)
    }
  }

  /// One point.
  public struct Line: Codable, Hashable, Sendable {
    /// Its path.
    public var point: String
    /// Its name.
    public var name: LocalizedText
    /// The unit of the values.
    public var unit: String
    /// Readings with a value.
    public var readings: Int64
    /// Their mean; nil without readings.
    public var mean: Double?
    /// The smallest; nil without readings.
    public var minimum: Double?
    /// The largest; nil without readings.
    public var maximum: Double?
    /// Event time of the largest, milliseconds since the Unix epoch; nil without readings.
    public var maximumTime: Int64?
    /// Alarms but cuts, feed faults and staleness.
    public var alarms = Tally()
    /// 断电: alarms at the level at which the plant's interlock must cut.
    public var cuts = Tally()
    /// 馈电异常: interlocks that did not do in time what they must.
    public var feedFaults = Tally()
    /// 断线、无数据: the point was silent.
    public var silences = Tally()
  }

  /// The period.
  public var period: Period
  /// The points in the catalog's order.
  public var lines: [Line]

  /// How far before the period alarms are looked for that reach into it.
  static let lookBack: Int64 = 31 * 86_400_000

  /// Makes a report.
  ///
  /// An alarm that has not returned counts to the end of the period or to `now`, whichever is sooner; one that began more
  /// than 31 days before the period is counted only while it stands.
  ///
  /// - Parameters:
  ///   - period: what it is about.
  ///   - catalog: points and rules.
  ///   - trends: figures of readings; nil leaves them out.
  ///   - ledger: the alarms.
  ///   - scope: whose points.
  ///   - now: the moment of asking.
  /// - Throws: what the stores throw.
  public init(
    _ period: Period,
    catalog: Catalog,
    trends: TrendStore?,
    ledger: any LedgerStore,
    scope: LedgerScope,
    now: Timestamp
  ) throws {
    self.period = period
    lines = []
    var rowOfPoint: [String: Int] = [:]
    for channel in catalog.channels where scope.includes(enterprise: channel.enterprise) {
      let reduction = try trends?.summary(of: channel.path, from: period.from, to: period.to)
      rowOfPoint[channel.path] = lines.count
      lines.append(
        Line(
          point: channel.path,
          name: channel.name,
          unit: channel.unit,
          readings: reduction?.count ?? 0,
          mean: reduction.map { $0.sum / Double($0.count) },
          minimum: reduction?.minimum,
          maximum: reduction?.maximum,
          maximumTime: reduction?.maximumTime
        )
      )
    }
    let kinds = Self.kinds(of: catalog)
    for alarm in try Self.alarms(in: period, ledger: ledger, scope: scope) {
      guard let row = rowOfPoint[alarm.point] else { continue }
      let onset = try Self.onset(of: alarm, before: period, ledger).milliseconds
      let begin = max(onset, period.from)
      let isOver = alarm.returned.map { $0.time >= alarm.onset } ?? (alarm.state == .normal)
      let last = isOver ? (alarm.returned ?? alarm.last).time : now
      let end = min(last.milliseconds, period.to)
      guard end >= begin, onset < period.to else { continue }
      switch kinds["\(alarm.point)#\(alarm.rule)"] ?? .alarm {
      case .alarm: lines[row].alarms.add(end - begin)
      case .cut: lines[row].cuts.add(end - begin)
      case .feedFault: lines[row].feedFaults.add(end - begin)
      case .silence: lines[row].silences.add(end - begin)
      }
    }
  }

  /// When an alarm began: at its onset, or when it came where a clock that knows no date gave that.
  ///
  /// Such a clock begins at 1970: by its onset the alarm would have stood all through every period.
  private static func onset(
    of alarm: AlarmView,
    before period: Period,
    _ ledger: any LedgerStore
  ) throws -> Timestamp {
    guard alarm.onset.milliseconds < period.from - lookBack,
      let bytes = try ledger.entries(of: alarm.id, after: 0, limit: 1).first?.body
    else { return alarm.onset }
    let received = try AlarmBody(decoding: bytes).received
    return received.milliseconds(since: alarm.onset) > lookBack ? received : alarm.onset
  }

  /// Which tally an alarm belongs to.
  private enum Kind { case alarm, cut, feedFault, silence }

  /// The kinds of the rules' alarms, by full name.
  private static func kinds(of catalog: Catalog) -> [String: Kind] {
    var kinds: [String: Kind] = [:]
    for rule in catalog.rules {
      kinds[rule.fullName] =
        switch catalog.enginePlan.rules[Int(rule.index)].detector {
        case .interlock: .feedFault
        case .stale: .silence
        default: rule.level == .cut ? .cut : .alarm
        }
    }
    return kinds
  }

  private static func alarms(
    in period: Period,
    ledger: any LedgerStore,
    scope: LedgerScope
  ) throws -> [AlarmView] {
    var found: [String: AlarmView] = [:]
    let filter = AlarmFilter(
      onsetFrom: Timestamp(milliseconds: period.from - lookBack),
      onsetBefore: Timestamp(milliseconds: period.to),
      scope: scope
    )
    var cursor: Int64?
    repeat {
      let page = try ledger.alarms(filter, before: cursor, limit: 1_000)
      for alarm in page.alarms {
        let isBefore = alarm.returned.map { $0.time.milliseconds < period.from } ?? false
        if !isBefore || alarm.onset.milliseconds >= period.from { found[alarm.id] = alarm }
      }
      cursor = page.next
    } while cursor != nil
    for alarm in try ledger.standingAlarms() where scope.includes(path: alarm.point) {
      // A rule that is set aside without an alarm stands under no onset.
      guard alarm.onset > .distantPast else { continue }
      if alarm.returned == nil, alarm.onset.milliseconds < period.to { found[alarm.id] = alarm }
    }
    return found.values.sorted { $0.firstSequence < $1.firstSequence }
  }
}

extension PlantReport.Period {
  /// Reads `YYYY-MM-DD` as a day, `YYYY-MM` as a month, `YYYY-Q1` … `YYYY-Q4` as a quarter and `YYYY` as a year of a time
  /// zone's calendar; nil when it is none of these.
  public init?(_ label: String, timeZone: TimeZone) {
    let parts = label.split(separator: "-", omittingEmptySubsequences: false)
    guard (1...3).contains(parts.count), parts[0].count == 4,
      parts.dropFirst().allSatisfy({ $0.count == 2 })
    else { return nil }
    let isQuarter = parts.count == 2 && parts[1].first == "Q"
    var numbers: [Int] = []
    for part in parts {
      let digits = isQuarter && part.first == "Q" ? part.dropFirst() : part
      guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(digits) else {
        return nil
      }
      numbers.append(number)
    }
    guard numbers[0] > 0 else { return nil }
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = timeZone
    var components = DateComponents(year: numbers[0], month: 1, day: 1)
    var length = DateComponents(day: 1)
    switch (numbers.count, isQuarter) {
    case (1, _): length = DateComponents(year: 1)
    case (2, true):
      guard (1...4).contains(numbers[1]) else { return nil }
      components.month = numbers[1] * 3 - 2
      length = DateComponents(month: 3)
    case (2, false):
      components.month = numbers[1]
      length = DateComponents(month: 1)
    default:
      components.month = numbers[1]
      components.day = numbers[2]
    }
    guard let begin = calendar.date(from: components),
      calendar.component(.month, from: begin) == components.month,
      calendar.component(.day, from: begin) == components.day,
      let end = calendar.date(byAdding: length, to: begin)
    else { return nil }
    self.label = label
    from = Int64(begin.timeIntervalSince1970 * 1_000)
    to = Int64(end.timeIntervalSince1970 * 1_000)
    self.timeZone = timeZone.identifier
  }
}
