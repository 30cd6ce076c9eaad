public import DeviceCatalog
import Foundation
public import HazardLedger
public import Telemetry

/// Statistics of hazards (隐患统计) over a period, usually a quarter: how many came, went and stand, how old those are that
/// stand, by area, sector, clause and enterprise.
///
/// Every figure is folded from the ledger's entries up to the period's end, so that the report of a past quarter says the
/// same whenever it is asked for.
public struct HazardStatistics: Codable, Hashable, Sendable {
  /// By what hazards are counted together.
  public enum Dimension: String, CaseIterable, Codable, Hashable, Sendable {
    /// All of them.
    case all
    /// 行政区划 of the enterprise, by its code.
    case area
    /// 行业领域: the kind of the site.
    case sector
    /// The clause by which it is a hazard, or that its alarm's limit comes from.
    case clause
    /// The enterprise.
    case enterprise
  }

  /// Limits of the ages of hazards that stand, in days: up to 7, 30, 90, 180, and more.
  public static let ages = [7, 30, 90, 180]

  /// One group of hazards.
  public struct Line: Codable, Hashable, Sendable {
    /// By what it is a group.
    public var dimension: Dimension
    /// Code, kind, clause or id; empty where it is not known, and for all.
    public var key: String
    /// Its name.
    public var name: LocalizedText
    /// Open when the period began.
    public var openBefore = 0
    /// 登记 in the period.
    public var registered = 0
    /// Of those, graded 重大 by the period's end.
    public var registeredMajor = 0
    /// 误报 found in the period.
    public var dismissed = 0
    /// 销号 in the period, and not opened again in it.
    public var closed = 0
    /// Of those, submitted as done within the deadline that was in force.
    public var closedInTime = 0
    /// Mean time from registration to 销号 of those, in days; nil where there are none.
    public var daysToClose: Double?
    /// The longest of them, in days.
    public var longestToClose: Double?
    /// Open at the period's end.
    public var open = 0
    /// Of those, graded 重大.
    public var openMajor = 0
    /// Of those, past their deadline with the work not done.
    public var overdue = 0
    /// Of those, 挂牌督办.
    public var listed = 0
    /// Open at the period's end by age since registration, see ``HazardStatistics/ages``.
    public var openByAge = [0, 0, 0, 0, 0]
    /// The oldest of them, in days; nil where there are none.
    public var oldest: Double?

    /// 整改率: closed in the period, of what was to be closed (open before or registered in it, and no 误报).
    ///
    /// Nil where nothing was.
    public var closedShare: Double? {
      let due = openBefore + registered - dismissed
      return due > 0 ? Double(closed) / Double(due) : nil
    }

    init(dimension: Dimension, key: String, name: LocalizedText) {
      self.dimension = dimension
      self.key = key
      self.name = name
    }

    fileprivate mutating func add(_ history: HazardHistory, in period: PlantReport.Period) {
      if history.wasOpenBefore { openBefore += 1 }
      if history.registered >= period.from {
        registered += 1
        if history.isMajor { registeredMajor += 1 }
      }
      if history.dismissed != nil { dismissed += 1 }
      if let end = history.closed {
        let days = Self.days(end - history.registered)
        daysToClose = ((daysToClose ?? 0) * Double(closed) + days) / Double(closed + 1)
        longestToClose = max(longestToClose ?? 0, days)
        closed += 1
        if history.isInTime { closedInTime += 1 }
      }
      guard history.isOpen else { return }
      open += 1
      if history.isMajor { openMajor += 1 }
      if history.isOverdue { overdue += 1 }
      if history.isListed { listed += 1 }
      let days = Self.days(history.end - history.registered)
      openByAge[HazardStatistics.ages.firstIndex { days <= Double($0) } ?? 4] += 1
      oldest = max(oldest ?? 0, days)
    }

    private static func days(_ milliseconds: Int64) -> Double {
      Double(milliseconds) / 86_400_000
    }
  }

  /// The period.
  public var period: PlantReport.Period
  /// All hazards first, then by area, sector, clause and enterprise; within each by key.
  public var lines: [Line]

  /// Makes statistics.
  ///
  /// - Parameters:
  ///   - period: what they are about.
  ///   - catalog: names of enterprises and sites, and the clauses of limits.
  ///   - ledger: the hazards.
  ///   - scope: whose.
  ///   - now: the moment of asking; what the period holds after it has not happened.
  /// - Throws: what the ledger throws, or an entry that cannot be read.
  public init(
    _ period: PlantReport.Period,
    catalog: Catalog,
    ledger: any LedgerStore,
    scope: LedgerScope,
    now: Timestamp
  ) throws {
    self.period = period
    let end = min(period.to, max(now.milliseconds, period.from))
    let places = Places(catalog)
    var groups: [Dimension: [String: Line]] = [
      .all: ["": Line(dimension: .all, key: "", name: LocalizedText(zh: "合计", en: "All"))]
    ]
    let scoped = ScopedLedger(ledger, scope: scope)
    var cursor: Int64?
    while true {
      let page = try scoped.hazards(HazardFilter(), before: cursor, limit: 500)
      for view in page {
        // What ended before the period and has not been touched since is in none of the figures.
        if view.state.isFinal, view.lastTime.milliseconds < period.from { continue }
        guard
          let history = try HazardHistory(
            try ledger.steps(ofHazard: view.id),
            in: period,
            until: end
          )
        else { continue }
        for (dimension, key, name) in places.groups(of: history.registration) {
          groups[dimension, default: [:]][
            key,
            default: Line(dimension: dimension, key: key, name: name)
          ].add(history, in: period)
        }
      }
      guard page.count == 500, let last = page.last else { break }
      cursor = last.firstSequence
    }
    lines = Dimension.allCases.flatMap { dimension in
      (groups[dimension] ?? [:]).values.sorted { $0.key < $1.key }
    }
  }
}

/// What a period saw of one hazard.
private struct HazardHistory {
  let registration: HazardRegistration
  let registered: Int64
  let wasOpenBefore: Bool
  /// When it was closed, within the period; nil where it was not, or was opened again.
  let closed: Int64?
  let dismissed: Int64?
  /// Submitted within the deadline in force then.
  let isInTime: Bool
  let isOpen: Bool
  let isMajor: Bool
  let isOverdue: Bool
  let isListed: Bool
  /// End of the period, or now.
  let end: Int64

  /// Follows a hazard to `end`; nil where it was registered later.
  init?(_ entries: [LedgerEntry], in period: PlantReport.Period, until end: Int64) throws {
    // Entries are in the order of the ledger; one that was written with an earlier time counts by its time.
    let known = entries.filter { $0.time.milliseconds < end && $0.body != nil }
    guard let first = known.first, let hazard = try Hazard(replaying: known) else { return nil }
    registration = hazard.registration
    registered = first.time.milliseconds
    self.end = end
    let before = try Hazard(
      replaying: known.filter { $0.time.milliseconds < period.from }
    )
    wasOpenBefore = before.map { !$0.state.isFinal } ?? false
    var closing: Int64?
    var submitted: (time: Int64, deadline: Int64?)?
    var deadline: Int64?
    var asked: Int64?
    for entry in known {
      guard case .acted(let input, _) = try HazardBody(decoding: entry) else { continue }
      switch input.act {
      case .plan: deadline = input.plan?.deadline.milliseconds ?? deadline
      case .requestExtension: asked = input.deadline?.milliseconds
      case .grantExtension: deadline = asked ?? deadline
      case .submit: submitted = (entry.time.milliseconds, deadline)
      case .close, .dismiss: closing = entry.time.milliseconds
      case .reopen: closing = nil
      case .verify, .grade, .assignCommittee, .assignSector, .start, .accept, .sendBack, .sample,
        .generalise, .denyExtension, .list, .delist, .remind, .supervise, .circulate, .warn,
        .attach:
        break
      }
    }
    isOpen = !hazard.state.isFinal
    let ended = closing.flatMap { $0 >= period.from && !hazard.state.isOpen ? $0 : nil }
    closed = hazard.state == .dismissed ? nil : ended
    dismissed = hazard.state == .dismissed ? ended : nil
    isInTime =
      submitted.map { submission in
        submission.deadline.map { submission.time <= $0 } ?? true
      } ?? false
    isMajor = hazard.grade == .major
    isOverdue = hazard.isOverdue(at: Timestamp(milliseconds: end))
    isListed = hazard.listed != nil
  }
}

extension HazardState {
  fileprivate var isOpen: Bool { !isFinal }
}

/// Where hazards belong under a catalog.
private struct Places {
  private let enterprises: [String: Enterprise]
  private let kinds: [String: String]
  private let clauses: [String: String]

  init(_ catalog: Catalog) {
    enterprises = Dictionary(
      catalog.enterprises.map { ($0.id, $0) },
      uniquingKeysWith: { first, _ in first }
    )
    var kinds: [String: String] = [:]
    for enterprise in catalog.enterprises {
      for site in enterprise.sites { kinds[site.path] = site.kind ?? "" }
      // A hazard of the enterprise as a whole belongs to the sector of all its sites, where they have one.
      let own = Set(enterprise.sites.compactMap(\.kind))
      if own.count == 1 { kinds[enterprise.id] = own.first }
    }
    self.kinds = kinds
    clauses = Dictionary(
      catalog.rules.map { ($0.fullName, $0.source.citation) },
      uniquingKeysWith: { first, _ in first }
    )
  }

  func groups(of registration: HazardRegistration) -> [(
    HazardStatistics.Dimension, String, LocalizedText
  )] {
    let enterprise = enterprises[registration.enterprise]
    let area = enterprise?.administrativeCode ?? ""
    let levels = registration.place.split(separator: "/")
    let sector =
      kinds[levels.prefix(2).joined(separator: "/")] ?? kinds[registration.enterprise] ?? ""
    var clause = registration.basis
    if clause.isEmpty, let alarm = registration.alarms.first, let name = AlarmName(alarm) {
      clause = clauses["\(name.point)#\(name.rule)"] ?? ""
    }
    return [
      (.all, "", LocalizedText(zh: "合计", en: "All")), (.area, area, Self.name(area)),
      (.sector, sector, Self.name(sector)), (.clause, clause, Self.name(clause)),
      (
        .enterprise, registration.enterprise,
        enterprise?.name ?? Self.name(registration.enterprise)
      ),
    ]
  }

  private static func name(_ key: String) -> LocalizedText {
    key.isEmpty ? LocalizedText(zh: "未注明", en: "not stated") : LocalizedText(zh: key, en: key)
  }
}

extension HazardStatistics.Dimension {
  /// Its name.
  public var title: LocalizedText {
    switch self {
    case .all: LocalizedText(zh: "合计", en: "All")
    case .area: LocalizedText(zh: "行政区划", en: "Area")
    case .sector: LocalizedText(zh: "行业领域", en: "Sector")
    case .clause: LocalizedText(zh: "依据条款", en: "Clause")
    case .enterprise: LocalizedText(zh: "企业", en: "Enterprise")
    }
  }
}

extension HazardStatistics {
  /// The statistics as a table, one group a row.
  public var table: ReportTable {
    let columns: [(String, String)] = [
      ("分类", "by"), ("项目", "item"), ("名称", "name"), ("期初未销号", "open before"),
      ("本期登记", "registered"), ("其中重大", "of these major"), ("误报", "dismissed"),
      ("本期销号", "closed"), ("按期整改", "in time"), ("整改率(%)", "closed, %"),
      ("平均销号天数", "mean days to close"), ("最长销号天数", "longest, days"),
      ("期末未销号", "open at the end"), ("其中重大", "of these major"), ("逾期", "overdue"),
      ("挂牌督办", "listed"), ("≤7天", "≤ 7 days"), ("8–30天", "8 to 30 days"),
      ("31–90天", "31 to 90 days"), ("91–180天", "91 to 180 days"), (">180天", "> 180 days"),
      ("最久(天)", "oldest, days"),
    ]
    return ReportTable(
      title: LocalizedText(
        zh: "隐患统计 \(period.label)",
        en: "Hazard statistics \(period.label)"
      ),
      columns: columns.map { LocalizedText(zh: $0.0, en: $0.1) },
      rows: lines.map(Self.row)
    )
  }

  private static func row(_ line: Line) -> [ReportTable.Cell] {
    func count(_ number: Int) -> ReportTable.Cell { .number(Double(number)) }
    func tenth(_ number: Double?) -> ReportTable.Cell {
      number.map { .number(($0 * 10).rounded() / 10) } ?? .empty
    }
    let title = line.dimension.title
    return [
      .text("\(title.zh) \(title.en)"), .text(line.key),
      .text(line.name.zh == line.name.en ? line.name.zh : "\(line.name.zh) \(line.name.en)"),
      count(line.openBefore), count(line.registered), count(line.registeredMajor),
      count(line.dismissed), count(line.closed), count(line.closedInTime),
      tenth(line.closedShare.map { $0 * 100 }), tenth(line.daysToClose),
      tenth(line.longestToClose), count(line.open), count(line.openMajor), count(line.overdue),
      count(line.listed),
    ] + line.openByAge.map(count) + [tenth(line.oldest)]
  }
}
