public import Telemetry

/// Where a hazard came from (四查贯通, and what is not an inspection).
public enum HazardSource: String, CaseIterable, Hashable, Sendable, Codable {
  /// 监测报警.
  case monitoring
  /// 企业自查.
  case selfInspection
  /// 专家排查.
  case expertInspection
  /// 部门检查.
  case departmentInspection
  /// 政府督查.
  case governmentInspection
  /// 举报.
  case report
}

/// 一般 or 重大.
public enum HazardGrade: String, CaseIterable, Hashable, Sendable, Codable {
  /// 一般事故隐患.
  case general
  /// 重大事故隐患.
  case major
}

/// 挂牌督办: which level supervises.
public enum ListingLevel: String, CaseIterable, Hashable, Sendable, Codable {
  /// 县级.
  case county
  /// 市级.
  case city
  /// 省级.
  case province
}

/// The rungs of 提醒→督办→通报→警示, in order.
public enum EscalationRung: String, CaseIterable, Hashable, Sendable, Codable {
  /// 提醒.
  case remind
  /// 督办.
  case supervise
  /// 通报.
  case circulate
  /// 警示.
  case warn

  /// The rung after this one.
  public var next: EscalationRung? {
    switch self {
    case .remind: .supervise
    case .supervise: .circulate
    case .circulate: .warn
    case .warn: nil
    }
  }
}

/// 五定 / 五落实: what must stand before work starts.
public struct RectificationPlan: Hashable, Sendable, Codable {
  /// 责任: the person answerable.
  public var responsible: String
  /// 措施.
  public var measures: String
  /// 资金, in words: amount and source.
  public var funds: String
  /// 时限.
  public var deadline: Timestamp
  /// 预案: what if it happens before it is mended.
  public var contingency: String

  /// Makes a plan.
  public init(
    responsible: String,
    measures: String,
    funds: String,
    deadline: Timestamp,
    contingency: String
  ) {
    self.responsible = responsible
    self.measures = measures
    self.funds = funds
    self.deadline = deadline
    self.contingency = contingency
  }
}

/// A file that shows something; the ledger keeps its hash, not the file.
public struct Evidence: Hashable, Sendable, Codable {
  /// Name of the file.
  public var name: String
  /// SHA-256 of its contents, lower-case hexadecimal.
  public var sha256: String

  /// Makes a reference.
  public init(name: String, sha256: String) {
    self.name = name
    self.sha256 = sha256
  }
}

/// What makes a hazard.
public struct HazardRegistration: Hashable, Sendable, Codable {
  /// Identity; the ledger's subject.
  public var id: String
  /// Where it came from.
  public var source: HazardSource
  /// Whose it is.
  public var enterprise: String
  /// Where: path of a point, device or site.
  public var place: String
  /// What it is, in one line.
  public var title: String
  /// Alarms behind it.
  public var alarms: [String]
  /// What it is, at length.
  public var detail = ""
  /// Why the engine registered it: the part of the policy.
  public var ground = ""
  /// The clause by which it is a major hazard; empty where a person grades it.
  public var basis = ""
  /// The hazard whose 举一反三 it is.
  public var parent = ""

  /// Makes a registration.
  public init(
    id: String,
    source: HazardSource,
    enterprise: String,
    place: String,
    title: String,
    alarms: [String] = []
  ) {
    self.id = id
    self.source = source
    self.enterprise = enterprise
    self.place = place
    self.title = title
    self.alarms = alarms
  }
}

/// An act on a hazard, with what it brings.
public struct HazardInput: Hashable, Sendable {
  /// The act.
  public var act: HazardAct
  /// Who.
  public var actor: String
  /// In which role.
  public var role: HazardRole
  /// When.
  public var time: Timestamp
  /// Why.
  public var reason = ""
  /// Files that show it.
  public var evidence: [Evidence] = []
  /// Grade, for ``HazardAct/grade``.
  public var grade: HazardGrade?
  /// Unit or person in charge, for the assignments.
  public var assignee = ""
  /// 五定, for ``HazardAct/plan``.
  public var plan: RectificationPlan?
  /// New deadline, for ``HazardAct/requestExtension``.
  public var deadline: Timestamp?
  /// Level, for ``HazardAct/list``; the role's own when nil.
  public var level: ListingLevel?
  /// Sites to check, for ``HazardAct/generalise``.
  public var sites: [String] = []

  /// Makes an act that brings nothing yet.
  public init(_ act: HazardAct, by actor: String, as role: HazardRole, at time: Timestamp) {
    self.act = act
    self.actor = actor
    self.role = role
    self.time = time
  }
}

/// Why an act on a hazard was refused.
public enum HazardRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// Not in this state.
  case state(HazardState, HazardAct)
  /// Not by this role.
  case role(HazardRole, HazardAct)
  /// These do not hold.
  case guards([HazardGuard])
  /// The act is older than the newest one.
  case outOfOrder

  /// The reason in one line.
  public var description: String {
    switch self {
    case .state(let state, let act): "\(act.rawValue) is not possible while \(state.rawValue)"
    case .role(let role, let act): "\(act.rawValue) is not for the role \(role.rawValue)"
    case .guards(let guards):
      "does not hold: \(guards.map(\.rawValue).joined(separator: ", "))"
    case .outOfOrder: "the act is older than the newest one of this hazard"
    }
  }
}

/// One hazard: a plain value that acts drive and entries rebuild.
public struct Hazard: Hashable, Sendable, Codable {
  /// How it was registered.
  public private(set) var registration: HazardRegistration
  /// Where it stands.
  public private(set) var state = HazardState.registered
  /// Grade, once graded.
  public private(set) var grade: HazardGrade?
  /// 交办 by the committee's office: to whom.
  public private(set) var committeeAssignee = ""
  /// 交办 by the sector's department: to whom.
  public private(set) var sectorAssignee = ""
  /// 五定.
  public private(set) var plan: RectificationPlan?
  /// Deadline in force: the plan's, or the granted extension's.
  public private(set) var deadline: Timestamp?
  /// Deadline asked for and not yet decided on.
  public private(set) var askedDeadline: Timestamp?
  /// 挂牌督办, while listed.
  public private(set) var listed: ListingLevel?
  /// Highest rung of 提醒→督办→通报→警示 since the deadline in force was set.
  public private(set) var rung: EscalationRung?
  /// All evidence on file.
  public private(set) var evidence: [Evidence] = []
  /// Files put on file since work last began.
  public private(set) var evidenceSinceStart = 0
  /// Who said that it is done.
  public private(set) var submitter = ""
  /// Who accepted.
  public private(set) var accepter = ""
  /// True since a sample check, until sent back.
  public private(set) var isSampled = false
  /// Sites set to check.
  public private(set) var sites: [String] = []
  /// Time of the newest act.
  public private(set) var lastTime: Timestamp
  /// Acts so far, registration included.
  public private(set) var steps = 1

  /// Begins a hazard.
  public init(_ registration: HazardRegistration, at time: Timestamp) {
    self.registration = registration
    lastTime = time
  }

  /// How much evidence one hazard may have on file.
  public static let evidenceLimit = 500

  /// The next rung of the escalation that is open.
  public var nextRung: EscalationRung? { rung.map(\.next) ?? .remind }

  /// True when its deadline is past and the work is not done.
  public func isOverdue(at now: Timestamp) -> Bool {
    guard let deadline else { return false }
    return (state == .planned || state == .rectifying) && now > deadline
  }

  /// Does an act, or says why not; a refused act leaves no trace.
  ///
  /// - Parameters:
  ///   - input: the act.
  ///   - conditionStands: whether an alarm behind the hazard still stands.
  /// - Throws: ``HazardRefusal``.
  public mutating func perform(
    _ input: HazardInput,
    conditionStands: Bool
  ) throws(HazardRefusal) {
    let to = try judge(input, conditionStands: conditionStands)
    record(input, to: to)
  }

  /// The state an act would lead to.
  public func judge(
    _ input: HazardInput,
    conditionStands: Bool
  ) throws(HazardRefusal) -> HazardState {
    guard input.time >= lastTime else { throw .outOfOrder }
    switch HazardWorkflow.cell(state, input.act, input.role) {
    case .refusedState: throw .state(state, input.act)
    case .refusedRole: throw .role(input.role, input.act)
    case .move(let to, let guards):
      let failing = guards.filter { !holds($0, for: input, conditionStands: conditionStands) }
      guard failing.isEmpty else { throw .guards(failing) }
      return to
    }
  }

  private func holds(_ condition: HazardGuard, for input: HazardInput, conditionStands: Bool)
    -> Bool
  {
    switch condition {
    case .reasonGiven: !input.reason.isEmpty
    case .gradeGiven: input.grade != nil
    case .assigneeGiven: !input.assignee.isEmpty
    case .planComplete: isComplete(input.plan, at: input.time)
    case .evidenceOnFile: evidenceSinceStart + input.evidence.count > 0
    case .conditionClear: !conditionStands
    case .notTheSubmitter: input.actor != submitter
    case .notTheAccepter: input.actor != accepter
    case .sampledIfMajor: grade != .major || isSampled
    case .isMajor: grade == .major
    case .isListed: listed != nil
    case .isNotListed: listed == nil
    case .laterDeadlineGiven:
      if let deadline, let later = input.deadline {
        later > deadline && later > input.time
      } else {
        false
      }
    case .extensionAsked: askedDeadline != nil
    case .noExtensionAsked: askedDeadline == nil
    case .isOverdue: isOverdue(at: input.time)
    case .isNextRung: nextRung.map { $0.rawValue == input.act.rawValue } ?? false
    case .evidenceGiven: !input.evidence.isEmpty
    case .sitesGiven: !input.sites.isEmpty
    }
  }

  private func isComplete(_ plan: RectificationPlan?, at time: Timestamp) -> Bool {
    guard let plan else { return false }
    let texts = [plan.responsible, plan.measures, plan.funds, plan.contingency]
    return texts.allSatisfy { $0.contains { !$0.isWhitespace } } && plan.deadline > time
  }

  /// Takes an act that was judged before: what perform does, and what an entry says.
  mutating func record(_ input: HazardInput, to next: HazardState) {
    let previous = state
    state = next
    lastTime = input.time
    steps += 1
    evidence += input.evidence
    evidenceSinceStart += input.evidence.count
    if next == .rectifying, previous != .rectifying {
      evidenceSinceStart = 0
      isSampled = false
    }
    switch input.act {
    case .grade: grade = input.grade ?? grade
    case .assignCommittee: committeeAssignee = input.assignee
    case .assignSector: sectorAssignee = input.assignee
    case .plan:
      plan = input.plan ?? plan
      setDeadline(plan?.deadline)
    case .submit: submitter = input.actor
    case .accept: accepter = input.actor
    case .sample: isSampled = true
    case .generalise: sites += input.sites
    case .requestExtension: askedDeadline = input.deadline
    case .grantExtension:
      setDeadline(askedDeadline)
      askedDeadline = nil
    case .denyExtension: askedDeadline = nil
    case .list: listed = input.level ?? (input.role == .city ? .city : .county)
    case .delist: listed = nil
    case .remind: rung = .remind
    case .supervise: rung = .supervise
    case .circulate: rung = .circulate
    case .warn: rung = .warn
    case .verify, .dismiss, .start, .sendBack, .close, .reopen, .attach: break
    }
  }

  private mutating func setDeadline(_ time: Timestamp?) {
    deadline = time
    rung = nil
  }
}
