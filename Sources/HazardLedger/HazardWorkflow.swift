/// Where a hazard (隐患) stands in its closed loop.
public enum HazardState: String, CaseIterable, Hashable, Sendable, Codable {
  /// 登记: entered, not yet looked into.
  case registered
  /// 误报: looked into, and no hazard.
  case dismissed
  /// 核实: confirmed.
  case verified
  /// 定级: general or major.
  case graded
  /// 交办, one line: by the safety committee's office.
  case committeeAssigned
  /// 交办, one line: by the sector's department.
  case sectorAssigned
  /// 交办, both lines (双重交办).
  case assigned
  /// 五定: who, how, with what, until when, and what if.
  case planned
  /// 整改: work is going on.
  case rectifying
  /// 整改完成: the enterprise says it is done.
  case submitted
  /// 验收复核: the department has accepted.
  case accepted
  /// 抽查: a sample check has confirmed it.
  case sampled
  /// 销号: crossed off.
  case closed
  /// 举一反三: like sites have been set to check.
  case generalised

  /// True where nothing more has to happen.
  public var isFinal: Bool { self == .dismissed || self == .closed || self == .generalised }
}

/// What can be done to a hazard.
public enum HazardAct: String, CaseIterable, Hashable, Sendable, Codable {
  /// 核实.
  case verify
  /// 误报.
  case dismiss
  /// 定级.
  case grade
  /// 交办 by the committee's office.
  case assignCommittee
  /// 交办 by the sector's department.
  case assignSector
  /// 五定.
  case plan
  /// Begin to rectify.
  case start
  /// 报验: say that it is done.
  case submit
  /// 验收复核, passed.
  case accept
  /// 退回: not good enough, back to work or to the plan.
  case sendBack
  /// 抽查, passed.
  case sample
  /// 销号.
  case close
  /// 举一反三: set like sites to check.
  case generalise
  /// Open again what was closed or dismissed.
  case reopen
  /// 延期申请.
  case requestExtension
  /// 延期批准.
  case grantExtension
  /// 延期不批.
  case denyExtension
  /// 挂牌督办.
  case list
  /// 摘牌.
  case delist
  /// 提醒.
  case remind
  /// 督办.
  case supervise
  /// 通报.
  case circulate
  /// 警示.
  case warn
  /// Put evidence on file.
  case attach
}

/// Who acts, as far as the workflow is concerned.
public enum HazardRole: String, CaseIterable, Hashable, Sendable, Codable {
  /// The enterprise whose hazard it is.
  case enterprise
  /// 县安委办: the county's safety committee office.
  case county
  /// 行业主管部门: the sector's department.
  case sector
  /// The city's office.
  case city
  /// 审计 / 纪委: looks at everything, decides nothing but to open again.
  case auditor
  /// Runs the service; has no part in any hazard.
  case administrator
  /// Davy itself, by policy.
  case engine
}

/// What must hold for a move besides state and role.
public enum HazardGuard: String, CaseIterable, Hashable, Sendable {
  /// A reason is given.
  case reasonGiven
  /// A grade is given.
  case gradeGiven
  /// Unit or person in charge is given.
  case assigneeGiven
  /// All of 责任, 措施, 资金, 时限, 预案 are given, and the deadline is to come.
  case planComplete
  /// Evidence has been put on file since work (last) began.
  case evidenceOnFile
  /// The alarm condition behind the hazard does not stand.
  case conditionClear
  /// Not the person who said that it is done.
  case notTheSubmitter
  /// Not the person who accepted.
  case notTheAccepter
  /// A major hazard has been sampled before it is closed.
  case sampledIfMajor
  /// It is graded major.
  case isMajor
  /// It is listed (挂牌).
  case isListed
  /// It is not listed.
  case isNotListed
  /// A new deadline, later than the old one, is given.
  case laterDeadlineGiven
  /// An extension is asked for.
  case extensionAsked
  /// No extension is asked for.
  case noExtensionAsked
  /// The deadline is past.
  case isOverdue
  /// The rung below of 提醒→督办→通报→警示 has been used, this one has not.
  case isNextRung
  /// Evidence is given with the act.
  case evidenceGiven
  /// Sites to check are given.
  case sitesGiven
}

/// The closed loop as one total function over state, act and role.
///
/// The function is the table: what no row allows is refused, and says whether state or role is why.
/// The picture in `docs/ledger.md` is drawn from the same rows.
public enum HazardWorkflow {
  /// One row of the table.
  public struct Row: Hashable, Sendable {
    /// From which states.
    public var from: [HazardState]
    /// By which act.
    public var act: HazardAct
    /// To which state; nil stays.
    public var to: HazardState?
    /// By which roles.
    public var roles: [HazardRole]
    /// What must hold besides.
    public var guards: [HazardGuard]
  }

  /// What the table says of one cell.
  public enum Cell: Hashable, Sendable {
    /// Allowed, into this state, if the guards hold.
    case move(to: HazardState, guards: [HazardGuard])
    /// Not by this role, though others may.
    case refusedRole
    /// Not in this state.
    case refusedState
  }

  /// Who may confirm, accept, sample and close: everybody but the enterprise and those without part.
  private static let authorities: [HazardRole] = [.county, .sector, .city]

  /// States in which somebody still has work to do on the hazard.
  private static let working: [HazardState] = [
    .assigned, .planned, .rectifying, .submitted, .accepted, .sampled,
  ]

  /// The table.
  public static let rows: [Row] = [
    row([.registered], .verify, .verified, [.county, .sector], [.reasonGiven]),
    row(
      [.registered, .verified],
      .dismiss,
      .dismissed,
      [.county, .sector],
      [.reasonGiven, .conditionClear]
    ),
    // A rule that makes a major hazard by itself (判定标准) is named at once; people confirm it when they grade.
    row([.registered], .grade, nil, [.engine], [.gradeGiven, .reasonGiven]),
    row([.verified], .grade, .graded, authorities, [.gradeGiven, .reasonGiven]),
    row(
      [.graded, .committeeAssigned, .sectorAssigned, .assigned, .planned, .rectifying],
      .grade,
      nil,
      authorities,
      [.gradeGiven, .reasonGiven]
    ),
    row([.graded], .assignCommittee, .committeeAssigned, [.county], [.assigneeGiven]),
    row([.graded], .assignSector, .sectorAssigned, [.sector], [.assigneeGiven]),
    row([.sectorAssigned], .assignCommittee, .assigned, [.county], [.assigneeGiven]),
    row([.committeeAssigned], .assignSector, .assigned, [.sector], [.assigneeGiven]),
    row([.assigned], .plan, .planned, [.enterprise], [.planComplete]),
    row([.planned], .sendBack, .assigned, authorities, [.reasonGiven]),
    row([.planned], .start, .rectifying, [.enterprise], []),
    row([.rectifying], .submit, .submitted, [.enterprise], [.evidenceOnFile]),
    row(
      [.submitted],
      .accept,
      .accepted,
      [.county, .sector],
      [.evidenceOnFile, .conditionClear, .notTheSubmitter]
    ),
    row([.submitted], .sendBack, .rectifying, authorities, [.reasonGiven]),
    row(
      [.accepted],
      .sample,
      .sampled,
      [.county, .city],
      [.conditionClear, .notTheSubmitter, .notTheAccepter]
    ),
    row(
      [.accepted, .sampled],
      .sendBack,
      .rectifying,
      [.county, .sector, .city, .auditor],
      [.reasonGiven]
    ),
    row(
      [.accepted, .sampled],
      .close,
      .closed,
      [.county, .sector],
      [
        .conditionClear, .sampledIfMajor, .isNotListed, .noExtensionAsked, .notTheSubmitter,
        .reasonGiven,
      ]
    ),
    row([.closed], .generalise, .generalised, [.county, .sector, .city], [.sitesGiven]),
    row(
      [.closed, .generalised],
      .reopen,
      .rectifying,
      [.county, .sector, .city, .auditor],
      [.reasonGiven]
    ),
    row([.dismissed], .reopen, .registered, [.county, .sector, .city, .auditor], [.reasonGiven]),
    row(
      [.planned, .rectifying],
      .requestExtension,
      nil,
      [.enterprise],
      [.reasonGiven, .laterDeadlineGiven, .noExtensionAsked]
    ),
    row(working, .grantExtension, nil, authorities, [.reasonGiven, .extensionAsked]),
    row(working, .denyExtension, nil, authorities, [.reasonGiven, .extensionAsked]),
    row(
      [.graded, .committeeAssigned, .sectorAssigned] + working,
      .list,
      nil,
      [.county, .city],
      [.isMajor, .isNotListed, .reasonGiven]
    ),
    row(
      [.graded, .committeeAssigned, .sectorAssigned] + working,
      .delist,
      nil,
      [.county, .city],
      [.isListed, .reasonGiven]
    ),
    row(
      [.planned, .rectifying],
      .remind,
      nil,
      [.county, .sector, .city, .engine],
      [.isOverdue, .isNextRung]
    ),
    row(
      [.planned, .rectifying],
      .supervise,
      nil,
      [.county, .sector, .city, .engine],
      [.isOverdue, .isNextRung]
    ),
    row(
      [.planned, .rectifying],
      .circulate,
      nil,
      [.county, .city, .engine],
      [.isOverdue, .isNextRung, .reasonGiven]
    ),
    row(
      [.planned, .rectifying],
      .warn,
      nil,
      [.county, .city, .engine],
      [.isOverdue, .isNextRung, .reasonGiven]
    ),
    row(
      HazardState.allCases,
      .attach,
      nil,
      [.enterprise, .county, .sector, .city, .auditor],
      [.evidenceGiven]
    ),
  ]

  private static func row(
    _ from: [HazardState],
    _ act: HazardAct,
    _ to: HazardState?,
    _ roles: [HazardRole],
    _ guards: [HazardGuard]
  ) -> Row {
    Row(from: from, act: act, to: to, roles: roles, guards: guards)
  }

  /// The table's word on one cell.
  public static func cell(_ state: HazardState, _ act: HazardAct, _ role: HazardRole) -> Cell {
    var isKnown = false
    for row in rows where row.act == act && row.from.contains(state) {
      if row.roles.contains(role) {
        return .move(to: row.to ?? state, guards: row.guards)
      }
      isKnown = true
    }
    return isKnown ? .refusedRole : .refusedState
  }

  /// The moves from state to state as a Mermaid state diagram; acts that stay are listed below it.
  public static func diagram() -> String {
    var lines = ["stateDiagram-v2", "  [*] --> registered: register"]
    for row in rows {
      guard let to = row.to else { continue }
      let roles = row.roles.map(\.rawValue).joined(separator: ", ")
      for from in row.from {
        lines.append("  \(from.rawValue) --> \(to.rawValue): \(row.act.rawValue) (\(roles))")
      }
    }
    for state in HazardState.allCases where state.isFinal {
      lines.append("  \(state.rawValue) --> [*]")
    }
    return lines.joined(separator: "\n")
  }

  /// The table as Markdown.
  public static func table() -> String {
    var lines = ["| act | from | to | roles | guards |", "|---|---|---|---|---|"]
    for row in rows {
      let from =
        row.from.count == HazardState.allCases.count
        ? "any" : row.from.map(\.rawValue).joined(separator: ", ")
      let roles = row.roles.map(\.rawValue).joined(separator: ", ")
      let guards = row.guards.map(\.rawValue).joined(separator: ", ")
      lines.append(
        "| \(row.act.rawValue) | \(from) | \(row.to?.rawValue ?? "stays") | \(roles) | \(guards) |"
      )
    }
    return lines.joined(separator: "\n")
  }
}
