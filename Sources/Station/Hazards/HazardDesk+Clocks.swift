import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// Clocks: reports within the hour, passing them on, supplements, rectification deadlines, check tasks.
extension HazardDesk {
  /// Writes what clocks did; ``extra`` goes into the entry of a start.
  func emit(
    _ steps: [ClockStep],
    by actor: String = "engine",
    extra: [String: LedgerJSON] = [:],
    for id: String = "",
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    for step in steps {
      let isOwn = step.clock.id == id && (step.event == .started || step.event == .stopped)
      output.drafts.append(
        step.draft(
          actor: isOwn ? actor : "engine",
          origin: record.sequence,
          extra: isOwn ? extra : [:]
        )
      )
      // A permit that has ended asks for nothing more: work beyond it, and the check after it, have alarms of their own.
      if step.event == .expired, step.clock.kind == .permitEnd {
        stop(clock: step.clock.id, by: "engine", at: step.time, record, into: &output)
      }
    }
    tell(of: steps, record, into: &output)
  }

  /// Starts a clock, or sets it anew.
  func start(
    _ clock: LedgerClock,
    by actor: String = "engine",
    at time: Timestamp,
    extra: [String: LedgerJSON] = [:],
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    emit(
      state.clocks.start(clock, at: time),
      by: actor,
      extra: extra,
      for: clock.id,
      record,
      into: &output
    )
    reschedule(.clocks, state.clocks.nextDeadline)
  }

  /// Stops a clock where there is one.
  func stop(
    clock id: String,
    by actor: String,
    at time: Timestamp,
    extra: [String: LedgerJSON] = [:],
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard let steps = state.clocks.stop(id, at: time) else { return }
    emit(steps, by: actor, extra: extra, for: id, record, into: &output)
    reschedule(.clocks, state.clocks.nextDeadline)
  }

  // MARK: - Hazards

  /// The clocks that an act on a hazard starts or stops.
  func runDeadlines(
    of hazard: Hazard,
    after input: HazardInput,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    let id = hazard.registration.id
    let check = "clock/check/\(id)"
    if hazard.state != .registered, state.clocks.clock(check) != nil {
      stop(clock: check, by: input.actor, at: input.time, record, into: &output)
    }
    let rectification = "clock/rectification/\(id)"
    let isWorking = hazard.state == .planned || hazard.state == .rectifying
    guard isWorking, let deadline = hazard.deadline else {
      stop(clock: rectification, by: input.actor, at: input.time, record, into: &output)
      return
    }
    guard state.clocks.clock(rectification)?.due != deadline else { return }
    start(
      LedgerClock(
        id: rectification,
        kind: .rectification,
        about: id,
        due: deadline,
        warningsMilliseconds: policy.rectificationWarnings
      ),
      at: input.time,
      extra: ["place": .string(hazard.registration.place)],
      record,
      into: &output
    )
  }

  // MARK: - Reports

  /// An alarm sets off a reporting duty, or adds to the one that is under way at its site.
  func beginReport(
    _ duty: ResponsePolicy.ReportDuty,
    _ step: AlarmBody,
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    let place = PlaceIndex.leading(2, of: step.point)
    let key = "\(duty.id)|\(place)"
    if let open = state.reports.first(where: { $0.value.key == key && $0.value.stage == 0 }) {
      if open.value.alarms.count < Callout.subjectLimit, !open.value.alarms.contains(step.alarm) {
        state.reports[open.key]?.alarms.append(step.alarm)
      }
      return
    }
    beginStage(
      0,
      DeskState.Report(duty: duty.id, key: key, stage: 0, place: place, alarms: [step.alarm]),
      within: duty.withinMilliseconds,
      duty,
      extra: ["draft": reportDraft(step, at: now), "name": "first"],
      at: now,
      record,
      into: &output
    )
  }

  private func beginStage(
    _ stage: Int,
    _ report: DeskState.Report,
    within milliseconds: Int64,
    _ duty: ResponsePolicy.ReportDuty,
    extra: [String: LedgerJSON],
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    state.lastReport += 1
    let id = "clock/report/\(state.lastReport)"
    var report = report
    report.stage = stage
    state.reports[id] = report
    var extra = extra
    extra["duty"] = .string(duty.id)
    extra["place"] = .string(report.place)
    extra["alarms"] = .array(report.alarms.map { .string($0) })
    start(
      LedgerClock(
        id: id,
        kind: stage == 0 ? .oneHourReport : stage > 0 ? .upperReport : .supplement,
        about: report.alarms.first ?? report.place,
        due: now.advanced(byMilliseconds: milliseconds),
        warningsMilliseconds: duty.warningsMilliseconds.filter { $0 < milliseconds }
      ),
      at: now,
      extra: extra,
      record,
      into: &output
    )
  }

  /// `hazards/report`: a report has been made; the next level's clock begins.
  func report(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    let id = try payload.text("clock", atMost: 500)
    guard let report = state.reports[id], let clock = state.clocks.clock(id) else {
      throw .refused("no report is due under \(id)", code: "unknown-clock")
    }
    try caller.mayTouch(report.place)
    try caller.mustBe([.enterprise, .county, .sector, .city], to: "reporting")
    let text = try payload.text("text", atMost: 10_000)
    let now = Timestamp(milliseconds: record.input.received)
    let late = max(0, now.milliseconds(since: clock.due))
    stop(
      clock: id,
      by: caller.actor,
      at: now,
      extra: [
        "late": .integer(late), "place": .string(report.place),
        "role": .string(caller.role.rawValue), "text": .string(text),
      ],
      record,
      into: &output
    )
    state.reports[id] = nil
    guard report.stage >= 0, let duty = policy.reports.first(where: { $0.id == report.duty })
    else { return }
    if report.stage < duty.upper.count {
      let upper = duty.upper[report.stage]
      beginStage(
        report.stage + 1,
        report,
        within: upper.withinMilliseconds,
        duty,
        extra: [
          "draft": .object(["en": .string(text), "zh": .string(text)]),
          "name": .string(upper.name.zh), "nameEn": .string(upper.name.en),
        ],
        at: now,
        record,
        into: &output
      )
    }
    if report.stage == 0, duty.supplementMilliseconds > 0 {
      beginStage(
        -1,
        report,
        within: duty.supplementMilliseconds,
        duty,
        extra: ["name": "supplement"],
        at: now,
        record,
        into: &output
      )
    }
  }

  /// `hazards/supplement`: something is added to a report; its clock runs on unless it is the last.
  func supplement(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    if payload.json["last"]?.truth == true { return try report(payload, record, into: &output) }
    let caller = try payload.caller()
    let id = try payload.text("clock", atMost: 500)
    guard let report = state.reports[id], let clock = state.clocks.clock(id) else {
      throw .refused("no report is due under \(id)", code: "unknown-clock")
    }
    try caller.mayTouch(report.place)
    try caller.mustBe([.enterprise, .county, .sector, .city], to: "reporting")
    let text = try payload.text("text", atMost: 10_000)
    let now = Timestamp(milliseconds: record.input.received)
    output.drafts.append(
      ClockStep(
        event: .noted,
        time: now,
        clock: clock,
        remainingMilliseconds: clock.due.milliseconds(since: now)
      ).draft(
        actor: caller.actor,
        origin: record.sequence,
        extra: ["role": .string(caller.role.rawValue), "text": .string(text)]
      )
    )
  }
}
