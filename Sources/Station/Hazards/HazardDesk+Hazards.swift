import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// Registering hazards and driving them through the closed loop.
extension HazardDesk {
  /// Sources that each role may register by hand.
  private static let sources: [HazardRole: Set<HazardSource>] = [
    .enterprise: [.selfInspection, .report],
    .county: Set(HazardSource.allCases),
    .sector: [
      .monitoring, .selfInspection, .expertInspection, .departmentInspection, .report,
    ],
    .city: [.expertInspection, .departmentInspection, .governmentInspection, .report],
    .auditor: [.report],
  ]

  /// `hazards/register`: from an inspection or a report.
  func register(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    guard let source = try payload.name("source", HazardSource.self) else {
      throw .incomplete("source: must be given")
    }
    guard Self.sources[caller.role]?.contains(source) == true else {
      throw .refused(
        "the role \(caller.role.rawValue) does not register from \(source.rawValue)",
        code: "role"
      )
    }
    let place = try payload.text("place", atMost: 500)
    let enterprise = PlaceIndex.leading(1, of: place)
    guard places.enterprises[enterprise] != nil else {
      throw .refused("place: no enterprise \(enterprise) in the catalog", code: "unknown-place")
    }
    try caller.mayTouch(place)
    var registration = HazardRegistration(
      id: "hazard/\(record.sequence)",
      source: source,
      enterprise: enterprise,
      place: place,
      title: try payload.text("title"),
      alarms: try payload.texts("alarms", atMost: 100)
    )
    registration.detail = try payload.optionalText("detail", atMost: 4_000)
    for alarm in registration.alarms {
      guard let name = AlarmName(alarm), name.onset != nil else {
        throw .incomplete("alarms: \(alarm) is not an alarm's name")
      }
      guard PlaceIndex.leading(1, of: name.point) == enterprise else {
        throw .incomplete("alarms: \(alarm) is not of the enterprise \(enterprise)")
      }
    }
    let now = Timestamp(milliseconds: record.input.received)
    open(registration, by: caller.actor, as: caller.role, at: now, record, into: &output)
    for alarm in registration.alarms {
      guard let name = AlarmName(alarm) else { continue }
      state.intake.reopened(hazard: registration.id, point: name.point, rule: name.rule)
    }
  }

  /// Enters a hazard.
  func open(
    _ registration: HazardRegistration,
    by actor: String,
    as role: HazardRole,
    at time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    state.hazards[registration.id] = Hazard(registration, at: time)
    output.drafts.append(
      LedgerDraft(
        registering: registration,
        by: actor,
        as: role,
        at: time,
        origin: record.sequence
      )
    )
  }

  /// `hazards/act`: an act of the workflow.
  func act(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    let id = try payload.text("hazard", atMost: 1_024)
    guard let hazard = state.hazards[id] else {
      throw .refused(
        "no hazard \(id) that can be acted on; one finished long ago is registered anew",
        code: "unknown-hazard"
      )
    }
    try caller.mayTouch(hazard.registration.place)
    guard let act = try payload.name("act", HazardAct.self) else {
      throw .incomplete("act: must be given")
    }
    let now = Timestamp(milliseconds: record.input.received)
    var input = HazardInput(act, by: caller.actor, as: caller.role, at: max(now, hazard.lastTime))
    input.reason = caller.reason
    input.evidence = try evidence(payload)
    guard hazard.evidence.count + input.evidence.count <= Hazard.evidenceLimit else {
      throw .refused("more than \(Hazard.evidenceLimit) files of evidence", code: "limit")
    }
    input.grade = try payload.name("grade", HazardGrade.self)
    input.assignee = try payload.optionalText("assignee")
    input.deadline = try payload.moment("deadline")
    input.level = try payload.name("level", ListingLevel.self)
    input.sites = try sites(payload, for: hazard)
    if let plan = payload.json["plan"], plan != .null {
      let fields = DeskPayload(json: plan)
      guard let deadline = try fields.moment("deadline") else {
        throw .refused("plan: deadline must be given (五定: 时限)", code: "guard.planComplete")
      }
      input.plan = RectificationPlan(
        responsible: try fields.optionalText("responsible"),
        measures: try fields.optionalText("measures", atMost: 4_000),
        funds: try fields.optionalText("funds", atMost: 500),
        deadline: deadline,
        contingency: try fields.optionalText("contingency", atMost: 4_000)
      )
    }
    do throws(HazardRefusal) {
      _ = try hazard.judge(input, conditionStands: conditionStands(hazard))
    } catch {
      throw .refused(error.description, code: error.code)
    }
    perform(input, on: id, record, into: &output)
  }

  private func evidence(_ payload: DeskPayload) throws(ActError) -> [Evidence] {
    guard let value = payload.json["evidence"], value != .null else { return [] }
    guard let elements = value.elements, elements.count <= 20 else {
      throw .incomplete("evidence: must be a list of at most 20 files")
    }
    var evidence: [Evidence] = []
    for element in elements {
      let item = DeskPayload(json: element)
      let digest = try item.text("sha256")
      guard digest.utf8.count == 64, [UInt8](hex: digest) != nil else {
        throw .incomplete("evidence: sha256 must be 64 lower-case hexadecimal digits")
      }
      evidence.append(Evidence(name: try item.text("name"), sha256: digest))
    }
    return evidence
  }

  /// Sites to check: those named, or with `like: true` those that are alike.
  private func sites(_ payload: DeskPayload, for hazard: Hazard) throws(ActError) -> [String] {
    var sites = try payload.texts("sites", atMost: 500)
    for site in sites where !places.hasSite(site) {
      throw .refused("sites: no site \(site) in the catalog", code: "unknown-place")
    }
    if payload.json["like"]?.truth == true {
      for site in places.sites(like: hazard.registration.place) where !sites.contains(site) {
        sites.append(site)
      }
    }
    return sites
  }

  /// Does an act that was judged, and what follows from it.
  func perform(
    _ input: HazardInput,
    on id: String,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard var hazard = state.hazards[id] else { return }
    let before = hazard.state
    do throws(HazardRefusal) {
      try hazard.perform(input, conditionStands: conditionStands(hazard))
    } catch {
      // The engine's own acts come here without having been judged; one that does not apply is none.
      return
    }
    state.hazards[id] = hazard
    output.drafts.append(
      LedgerDraft(input, on: id, to: hazard.state, origin: record.sequence)
    )
    if hazard.state.isFinal, !before.isFinal {
      state.intake.ended(hazard: id, by: level)
      state.finished.append(id)
      letGo()
    }
    if !hazard.state.isFinal, before.isFinal {
      state.finished.removeAll { $0 == id }
      for alarm in hazard.registration.alarms {
        guard let name = AlarmName(alarm) else { continue }
        state.intake.reopened(hazard: id, point: name.point, rule: name.rule)
      }
    }
    runDeadlines(of: hazard, after: input, record, into: &output)
    scheduleLadder(id)
    if let rung = ResponsePolicy.Occasion(rung: input.act) {
      tell(rung, of: hazard, input, record, into: &output)
    }
    if input.act == .generalise {
      for site in input.sites {
        check(site, because: hazard, at: input.time, record, into: &output)
      }
    }
  }

  /// Lets the oldest finished hazards go; they stay in the ledger.
  private func letGo() {
    while state.finished.count > Self.finishedLimit {
      state.hazards[state.finished.removeFirst()] = nil
    }
  }

  /// 举一反三: a check task at a like site is a hazard to be looked into there, with a clock.
  private func check(
    _ site: String,
    because parent: Hazard,
    at time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    var id = "\(parent.registration.id)/check/\(site)"
    // The hazard was opened again since an earlier look, which is finished: now another is asked for.
    if level >= .areas, state.hazards[id]?.state.isFinal == true { id += "/\(record.sequence)" }
    guard state.hazards[id] == nil else { return }
    var registration = HazardRegistration(
      id: id,
      source: .selfInspection,
      enterprise: PlaceIndex.leading(1, of: site),
      place: site,
      title: "举一反三：\(parent.registration.title)"
    )
    registration.detail = parent.registration.detail
    registration.parent = parent.registration.id
    open(registration, by: "engine", as: .engine, at: time, record, into: &output)
    start(
      LedgerClock(
        id: "clock/check/\(id)",
        kind: .checkTask,
        about: id,
        due: time.advanced(byMilliseconds: policy.checkMilliseconds),
        warningsMilliseconds: policy.rectificationWarnings
      ),
      at: time,
      extra: ["place": .string(site)],
      record,
      into: &output
    )
  }

  // MARK: - 提醒→督办→通报→警示

  private func offset(of rung: EscalationRung) -> Int64? {
    switch rung {
    case .remind: policy.overdue.remind
    case .supervise: policy.overdue.supervise
    case .circulate: policy.overdue.circulate
    case .warn: policy.overdue.warn
    }
  }

  /// Sets when the next rung is due by itself.
  func scheduleLadder(_ id: String) {
    let item = DeskItem(kind: .ladder, id: id)
    guard let hazard = state.hazards[id], let deadline = hazard.deadline,
      hazard.state == .planned || hazard.state == .rectifying,
      let rung = hazard.nextRung, let offset = offset(of: rung)
    else { return agenda.set(item, nil) }
    // Overdue is what is past its deadline, so the earliest moment is one after it.
    let due = deadline.advanced(byMilliseconds: max(1, offset))
    agenda.set(item, max(due, hazard.lastTime))
  }

  /// Climbs the next rung.
  func climb(
    _ id: String,
    at time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard let hazard = state.hazards[id], let rung = hazard.nextRung,
      let deadline = hazard.deadline, let act = HazardAct(rawValue: rung.rawValue)
    else { return }
    var input = HazardInput(act, by: "engine", as: .engine, at: max(time, hazard.lastTime))
    let hours = input.time.milliseconds(since: deadline) / 3_600_000
    input.reason = "逾期 \(hours) 小时 / overdue by \(hours) h"
    perform(input, on: id, record, into: &output)
  }
}

extension HazardRefusal {
  /// The refusal in a word that programs can tell apart.
  var code: String {
    switch self {
    case .state: "state"
    case .role: "role"
    case .guards(let guards): "guard.\(guards.first?.rawValue ?? "")"
    case .outOfOrder: "order"
    }
  }
}
