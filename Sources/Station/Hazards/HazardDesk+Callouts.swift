import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// Calling out (叫应): chains of levels until a named person confirms.
extension HazardDesk {
  /// Begins a call-out for a situation.
  func startCall(
    _ situation: ResponsePolicy.Situation,
    key: String,
    alarms: [String],
    at time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard let chain = policy.chains[situation.chain] else { return }
    let standing = alarms.compactMap { state.alarms[$0] }
    let place = String(key.drop { $0 != "|" }.dropFirst())
    let subject = CalloutSubject(
      situation: situation.id,
      place: place,
      priority: standing.map(\.priority).max() ?? 4,
      subjects: Array(alarms.prefix(Callout.subjectLimit)),
      text: alarms.first.map { sentence(on: $0, situation.name, at: time) }
        ?? CalloutDispatch.Text(zh: situation.name.zh, en: situation.name.en)
    )
    startCall(
      chain,
      subject,
      key: key,
      about: alarms.first.flatMap { AlarmName($0)?.point } ?? place,
      at: time,
      record,
      into: &output
    )
  }

  /// Begins a call-out along a chain, with whoever is on duty now.
  private func startCall(
    _ chain: ResponsePolicy.Chain,
    _ subject: CalloutSubject,
    key: String,
    about place: String,
    at time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    state.lastCall += 1
    let id = "callout/\(state.lastCall)"
    // A level that nobody is on duty on stays in the plan: somebody may have come on when its turn comes, and else the
    // call-out itself says that there was nobody, and goes on to the next level at once.
    var rows: [Int] = []
    var levels: [CalloutPlan.Level] = []
    for (row, level) in chain.levels.enumerated() {
      let persons = persons(of: level, about: place, at: time)
      if persons.isEmpty, self.level == .first {
        output.drafts.append(leftOut(level.name.zh, of: chain.id, callout: id, at: time, record))
        continue
      }
      rows.append(row)
      levels.append(
        CalloutPlan.Level(
          name: level.name.zh,
          persons: persons,
          attempts: level.attempts,
          intervalMilliseconds: level.intervalMilliseconds
        )
      )
    }
    guard !levels.isEmpty else { return }
    var callout = Callout(
      id: id,
      plan: CalloutPlan(levels: levels, feedbackAfterMilliseconds: chain.feedbackMilliseconds),
      subject: subject,
      rules: level
    )
    let steps: [CalloutStep]
    do throws(CalloutRefusal) {
      steps = try callout.start(at: time)
    } catch {
      preconditionFailure("a call-out that has just been made can begin")
    }
    state.calls[id] = DeskState.Call(
      callout: callout,
      key: key,
      channels: rows.map { chain.levels[$0].channels },
      chain: chain.id,
      rows: rows,
      about: place
    )
    state.callOfKey[key] = id
    emit(steps, of: id, record, into: &output)
  }

  /// By the first rules: a level on which nobody is on duty is left out, on record.
  private func leftOut(
    _ level: String,
    of chain: String,
    callout id: String,
    at time: Timestamp,
    _ record: JournalRecord
  ) -> LedgerDraft {
    LedgerDraft(
      time: time,
      kind: .system,
      subject: id,
      actor: "engine",
      body: LedgerJSON.object([
        "chain": .string(chain), "event": "callout.nobody", "level": .string(level),
      ]).canonicalBytes(),
      origin: record.sequence
    )
  }

  /// Another alarm joins a call-out that is calling.
  func join(
    _ alarm: String,
    _ priority: Int,
    to id: String,
    at time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    do throws(CalloutRefusal) {
      guard let steps = try state.calls[id]?.callout.join(alarm, priority: priority, at: time)
      else { return }
      emit(steps, of: id, record, into: &output)
    } catch {
      preconditionFailure("\(id) is filed as calling and has ended")
    }
  }

  /// Writes steps, and brings out the calls among them.
  private func emit(
    _ steps: [CalloutStep],
    of id: String,
    by actor: String = "",
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard !steps.isEmpty, let call = state.calls[id] else { return }
    for var draft in call.callout.drafts(of: steps, origin: record.sequence) {
      if !actor.isEmpty { draft.actor = actor }
      output.drafts.append(draft)
    }
    for step in steps where step.event == .dispatching || step.event == .feedbackDue {
      output.dispatches.append(dispatch(step, of: call))
    }
    if call.callout.status != .calling, state.callOfKey[call.key] == id {
      state.callOfKey[call.key] = nil
      state.answered.append(id)
      while state.answered.count > Self.answeredLimit {
        let oldest = state.answered.removeFirst()
        state.calls[oldest] = nil
        agenda.set(DeskItem(kind: .callout, id: oldest), nil)
      }
    }
    scheduleCall(id)
  }

  private func dispatch(_ step: CalloutStep, of call: DeskState.Call) -> CalloutDispatch {
    let callout = call.callout
    let subject = callout.subject
    let isFeedback = step.event == .feedbackDue
    let level = min(step.level, callout.plan.levels.count - 1)
    let others = subject.subjects.count - 1
    let more =
      others > 0
      ? CalloutDispatch.Text(zh: "（另有 \(others) 条报警）", en: " (\(others) more alarms)")
      : CalloutDispatch.Text(zh: "", en: "")
    let title =
      isFeedback
      ? CalloutDispatch.Text(zh: "请反馈处置情况", en: "What was done?")
      : CalloutDispatch.Text(zh: "叫应：请确认", en: "Call-out: please confirm")
    return CalloutDispatch(
      id: step.dispatch > 0 ? "\(callout.id)#\(step.dispatch)" : "\(callout.id)#feedback",
      callout: callout.id,
      number: step.dispatch,
      purpose: isFeedback ? .feedback : .call,
      contact: contact(step.person),
      channels: call.channels.indices.contains(level) ? call.channels[level] : [],
      situation: subject.situation,
      level: step.level,
      levelName: callout.plan.levels[level].name,
      attempt: max(1, step.attempt),
      inDoubt: step.inDoubt,
      priority: subject.priority,
      title: title,
      text: CalloutDispatch.Text(
        zh: subject.text.zh + more.zh,
        en: subject.text.en + more.en
      ),
      subjects: subject.subjects,
      group: subject.place,
      time: step.time
    )
  }

  /// A person with all addresses; one whom the response files no longer know has his id for a name.
  func contact(_ person: String) -> CalloutDispatch.Contact {
    let known = policy.contacts[person]
    return CalloutDispatch.Contact(
      id: person,
      name: known?.name ?? person,
      role: known?.role ?? "",
      addresses: known?.addresses ?? [:]
    )
  }

  /// The first release called those whom it had found at the beginning.
  private var looksUpDuty: Bool { level > .first }

  /// Does what a call-out has due.
  func advanceCall(
    _ id: String,
    to time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard let call = state.calls[id] else { return }
    // A call of yesterday that is made today, because the station stood still, is for those of today.
    let now = Timestamp(milliseconds: record.input.received)
    var callout = call.callout
    let steps = callout.advance(to: time) { looksUpDuty ? onDuty($0, of: call, at: now) : nil }
    state.calls[id]?.callout = callout
    emit(steps, of: id, record, into: &output)
  }

  func scheduleCall(_ id: String) {
    agenda.set(DeskItem(kind: .callout, id: id), state.calls[id]?.callout.nextDeadline)
  }

  /// `hazards/resume`, after a restart: calls, questions and notices whose outcome was lost go out again, marked in doubt.
  func resume(_ record: JournalRecord, into output: inout CoreOutput) {
    let now = Timestamp(milliseconds: record.input.received)
    for id in state.calls.keys.sorted() {
      guard let call = state.calls[id] else { continue }
      var callout = call.callout
      let steps = callout.resume(at: now) { looksUpDuty ? onDuty($0, of: call, at: now) : nil }
      state.calls[id]?.callout = callout
      emit(steps, of: id, record, into: &output)
    }
    resumeNotices(at: now, record, into: &output)
  }

  // MARK: - People

  /// Acknowledging an alarm of a call-out answers it, where a person who was called does so.
  func acknowledge(
    _ step: AlarmBody,
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    for id in state.callOfKey.values.sorted() {
      guard let callout = state.calls[id]?.callout,
        callout.subject.subjects.contains(step.alarm)
      else { continue }
      let person = callout.named.first {
        $0 == step.actor || policy.contacts[$0]?.name == step.actor
      }
      guard let person else { continue }
      do throws(ActError) {
        try confirm(id, person: person, by: step.actor, "acknowledge", at: now, record, &output)
      } catch {
        // It has just been seen to be calling, with this person on it.
        preconditionFailure("\(id) does not take the confirmation of \(person): \(error)")
      }
    }
  }

  private func confirm(
    _ id: String,
    person: String,
    by actor: String,
    _ channel: String,
    at now: Timestamp,
    _ record: JournalRecord,
    _ output: inout CoreOutput
  ) throws(ActError) {
    try change(id, by: actor, record, into: &output) { callout throws(CalloutRefusal) in
      try callout.confirm(by: person, via: channel, at: now)
    }
  }

  /// `hazards/confirm`: a named person confirms at the console.
  func confirm(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    let person = try payload.optionalText("person")
    try confirm(
      try payload.text("callout"),
      person: person.isEmpty ? caller.actor : person,
      by: caller.actor,
      "console",
      at: Timestamp(milliseconds: record.input.received),
      record,
      &output
    )
  }

  /// `hazards/confirmed`, from a channel.
  func confirmed(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let person = try payload.text("person")
    try confirm(
      try payload.text("callout"),
      person: person,
      by: person,
      try payload.optionalText("channel"),
      at: Timestamp(milliseconds: record.input.received),
      record,
      &output
    )
  }

  /// `hazards/cancel`: ends a call-out without a confirmation.
  func cancel(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    try caller.mustBe([.county, .sector, .city], to: "cancelling a call-out")
    guard !caller.reason.isEmpty else { throw .incomplete("reason: must be given") }
    let id = try payload.text("callout")
    let now = Timestamp(milliseconds: record.input.received)
    try change(id, record, into: &output) { callout throws(CalloutRefusal) in
      try callout.cancel(by: caller.actor, reason: caller.reason, at: now)
    }
  }

  /// `hazards/feedback`: what was done, told at the console.
  func feedback(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    let text = try payload.text("text", atMost: 4_000)
    let now = Timestamp(milliseconds: record.input.received)
    try change(try payload.text("callout"), record, into: &output) {
      callout throws(CalloutRefusal) in
      try callout.report(feedback: text, by: caller.actor, at: now)
    }
  }

  /// `hazards/feedback`, from a channel.
  func reportedBack(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let person = try payload.text("person")
    let text = try payload.text("text", atMost: 4_000)
    let now = Timestamp(milliseconds: record.input.received)
    try change(try payload.text("callout"), record, into: &output) {
      callout throws(CalloutRefusal) in
      try callout.report(feedback: text, by: person, at: now)
    }
  }

  /// `hazards/delivered`, `hazards/failed`: the channel's word on a call.
  func outcome(
    _ payload: DeskPayload,
    _ delivered: Bool,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let dispatch = try payload.text("dispatch")
    let parts = dispatch.split(separator: "#")
    guard parts.count == 2 else { throw .incomplete("dispatch: \(dispatch) is none") }
    let channel = try payload.optionalText("channel")
    let detail = try payload.optionalText("detail", atMost: 1_000)
    let words = [channel, detail].filter { !$0.isEmpty }.joined(separator: ": ")
    let now = Timestamp(milliseconds: record.input.received)
    if parts[0].hasPrefix(Self.noticePrefix) {
      return try noticeOutcome(
        String(parts[0]),
        parts[1],
        delivered: delivered,
        words,
        at: now,
        record,
        into: &output
      )
    }
    // Questions of older stations have no number, and nobody waits for the word on them.
    guard let number = Int(parts[1]) else { return }
    try change(String(parts[0]), record, into: &output) { callout throws(CalloutRefusal) in
      try callout.report(dispatch: number, delivered: delivered, detail: words, at: now)
    }
  }

  private func change(
    _ id: String,
    by actor: String = "",
    _ record: JournalRecord,
    into output: inout CoreOutput,
    _ body: (inout Callout) throws(CalloutRefusal) -> [CalloutStep]
  ) throws(ActError) {
    guard var call = state.calls[id] else {
      throw .refused("no call-out \(id) that can be acted on", code: "unknown-callout")
    }
    let steps: [CalloutStep]
    do throws(CalloutRefusal) {
      steps = try body(&call.callout)
    } catch {
      throw .refused(error.text, code: error.code)
    }
    state.calls[id] = call
    emit(steps, of: id, by: actor, record, into: &output)
  }

  /// `hazards/call`: a person begins a call-out by hand.
  func call(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    try caller.mustBe([.county, .sector, .city], to: "calling out")
    let id = try payload.text("chain")
    guard let chain = policy.chains[id] else {
      throw .refused("no chain \(id) in the response files", code: "unknown-chain")
    }
    let zh = try payload.text("text", atMost: 500)
    let en = try payload.optionalText("textEn", atMost: 500)
    let place = try payload.optionalText("place", atMost: 500)
    let now = Timestamp(milliseconds: record.input.received)
    guard chain.levels.contains(where: { !persons(of: $0, about: place, at: now).isEmpty }) else {
      // By the first rules the number was taken all the same.
      if level == .first { state.lastCall += 1 }
      throw .refused("nobody is on duty on any level of \(id)", code: "nobody")
    }
    startCall(
      chain,
      CalloutSubject(
        place: place,
        priority: try payload.priority("priority") ?? 4,
        subjects: try payload.texts("subjects", atMost: 100),
        text: CalloutDispatch.Text(zh: zh, en: en.isEmpty ? zh : en)
      ),
      key: "by-hand|\(record.sequence)",
      about: place,
      at: now,
      record,
      into: &output
    )
    // Who began it stands in its first entry.
    if let row = output.drafts.lastIndex(where: {
      $0.kind == .callout && $0.subject == "callout/\(state.lastCall)"
        && $0.body.starts(with: #"{"event":"started""#.utf8)
    }) {
      output.drafts[row].actor = caller.actor
    }
  }
}

extension CalloutRefusal {
  /// The refusal in words.
  var text: String {
    switch self {
    case .ended: "the call-out has ended"
    case .notNamed: "not one of the persons called so far"
    case .unknownDispatch: "no such call, or its outcome is known"
    case .noFeedbackAsked: "nobody has confirmed it yet"
    }
  }

  /// The refusal in a word that programs can tell apart.
  var code: String {
    switch self {
    case .ended: "ended"
    case .notNamed: "not-named"
    case .unknownDispatch: "unknown-dispatch"
    case .noFeedbackAsked: "no-feedback"
    }
  }
}
