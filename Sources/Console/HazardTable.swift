import DeviceCatalog
import Foundation
import HazardLedger
import Station
import Telemetry

/// The ledger of hazards (隐患台账) as a table: a row each, from registration to 销号, with the 五定 of its plan.
struct HazardTable: Sendable {
  /// A hazard with what its own facts do not hold.
  struct Row: Sendable {
    /// All facts.
    var hazard: Hazard
    /// Ledger sequence of its registration.
    var sequence: Int64
    /// When it was registered.
    var registered: Timestamp
  }

  /// What the catalog calls the places.
  var names: CatalogNames
  /// The site's time zone, which times are written in.
  var zone: TimeZone

  private static let columns: [LocalizedText] = [
    ("序号", "Sequence"), ("编号", "Hazard"), ("企业", "Enterprise"), ("部位", "Place"),
    ("隐患描述", "What it is"), ("详情", "Detail"), ("来源", "Source"), ("等级", "Grade"),
    ("判定依据", "Basis"), ("状态", "State"), ("挂牌督办", "Listed"), ("督办层级", "Escalation"),
    ("登记时间", "Registered"), ("安委办交办", "Assigned by the committee"),
    ("主管部门交办", "Assigned by the sector"), ("整改责任人", "Responsible"),
    ("整改措施", "Measures"), ("整改资金", "Funds"), ("整改期限", "Deadline"),
    ("应急预案", "Contingency"), ("佐证数", "Evidence"), ("报验人", "Submitted by"),
    ("验收人", "Accepted by"), ("最近一步", "Newest act"), ("步骤数", "Acts"),
  ].map { LocalizedText(zh: $0.0, en: $0.1) }

  /// The table of these hazards.
  func table(of rows: [Row]) -> ReportTable {
    ReportTable(
      title: LocalizedText(zh: "隐患台账", en: "Hazard ledger"),
      columns: Self.columns,
      rows: rows.map(cells)
    )
  }

  private func cells(_ row: Row) -> [ReportTable.Cell] {
    let hazard = row.hazard
    let registration = hazard.registration
    let place = names.place(of: registration.place)
    let plan = hazard.plan
    return [
      .number(Double(row.sequence)), .text(registration.id), .text(place.enterprise),
      .text(
        [place.area, place.device, place.point].filter { !$0.isEmpty }.joined(separator: " / ")
      ),
      .text(registration.title), .text(registration.detail), .text(Self.words(registration.source)),
      Self.cell(hazard.grade.map(Self.words)), .text(registration.basis),
      .text(Self.words(hazard.state)), Self.cell(hazard.listed.map(Self.words)),
      Self.cell(hazard.rung.map(Self.words)), moment(row.registered),
      .text(hazard.committeeAssignee), .text(hazard.sectorAssignee), .text(plan?.responsible ?? ""),
      .text(plan?.measures ?? ""), .text(plan?.funds ?? ""), moment(hazard.deadline),
      .text(plan?.contingency ?? ""), .number(Double(hazard.evidence.count)),
      .text(hazard.submitter), .text(hazard.accepter), moment(hazard.lastTime),
      .number(Double(hazard.steps)),
    ]
  }

  private static func cell(_ words: String?) -> ReportTable.Cell {
    words.map { .text($0) } ?? .empty
  }

  private func moment(_ time: Timestamp?) -> ReportTable.Cell {
    guard let time else { return .empty }
    let offset = zone.secondsFromGMT(
      for: Date(timeIntervalSince1970: Double(time.milliseconds) / 1_000)
    )
    let local = time.advanced(byMilliseconds: Int64(offset) * 1_000)
    // To the second: a spreadsheet takes it for a date.
    return .text(String(CivilTime.text(local).prefix(19)))
  }

  private static func words(_ source: HazardSource) -> String {
    switch source {
    case .monitoring: "监测报警 monitoring"
    case .selfInspection: "企业自查 self-inspection"
    case .expertInspection: "专家排查 expert inspection"
    case .departmentInspection: "部门检查 department inspection"
    case .governmentInspection: "政府督查 government inspection"
    case .report: "举报 report"
    }
  }

  private static func words(_ grade: HazardGrade) -> String {
    switch grade {
    case .general: "一般 general"
    case .major: "重大 major"
    }
  }

  private static func words(_ level: ListingLevel) -> String {
    switch level {
    case .county: "县级 county"
    case .city: "市级 city"
    case .province: "省级 province"
    }
  }

  private static func words(_ rung: EscalationRung) -> String {
    switch rung {
    case .remind: "提醒 reminded"
    case .supervise: "督办 supervised"
    case .circulate: "通报 circulated"
    case .warn: "警示 warned"
    }
  }

  private static func words(_ state: HazardState) -> String {
    switch state {
    case .registered: "登记 registered"
    case .dismissed: "误报 dismissed"
    case .verified: "核实 verified"
    case .graded: "定级 graded"
    case .committeeAssigned: "安委办已交办 assigned by the committee"
    case .sectorAssigned: "主管部门已交办 assigned by the sector"
    case .assigned: "交办 assigned"
    case .planned: "五定 planned"
    case .rectifying: "整改 rectifying"
    case .submitted: "报验 submitted"
    case .accepted: "验收 accepted"
    case .sampled: "抽查 sampled"
    case .closed: "销号 closed"
    case .generalised: "举一反三 generalised"
    }
  }
}
