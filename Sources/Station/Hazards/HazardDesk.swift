import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Telemetry

/// The desk of hazards (隐患), call-outs (叫应), clocks and silences.
///
/// It follows the alarm steps, takes people's acts and what comes back from outside, and lets things fall due; what it
/// has to say are ledger drafts and dispatches. Every machine in it is a plain value of `HazardLedger`; the desk holds
/// them together and decides, by the response policy of the catalog in force, what starts what.
///
/// Durations run on receive time. Deadlines fire on ticks and before a person's act, each at its own time.
final class HazardDesk: Desk {
  let name = HazardDeskName.text

  var state = DeskState()
  var agenda = Agenda<DeskItem>()
  var policy = ResponsePolicy()
  var catalog: Catalog?
  /// Device path → profile, site path → kind: what 举一反三 compares.
  var places = PlaceIndex()
  /// How duty stands, where others may look at it.
  let board = DutyBoard()
  /// Which call-out channels people have changed, where others may look at it.
  let channelBoard = ChannelBoard()

  /// Finished hazards that can still be opened again; older ones are in the ledger only.
  static let finishedLimit = 20_000
  /// Answered call-outs that still take feedback.
  static let answeredLimit = 2_000
  /// Notices on their way at most; what comes beyond is sent once, and its outcome not waited for.
  static let noticeLimit = 10_000
  /// Times of a day at which retention runs: 03:30 in China, in UTC.
  private static let retentionTime: Int64 = (19 * 60 + 30) * 60_000
  private static let day: Int64 = 86_400_000

  var nextDeadline: Timestamp? { agenda.next }

  // MARK: - Catalog

  /// The rules in force.
  var level: RulesLevel { state.rules ?? .first }

  func follow(_ level: RulesLevel) {
    guard level > self.level else { return }
    // What the rules before left of finished hazards.
    if level >= .areas, self.level < .areas { state.intake.ended(hazards: Set(state.finished)) }
    state.rules = level
    for id in state.calls.keys { state.calls[id]?.callout.follow(level) }
  }

  func adopt(_ catalog: Catalog, by record: JournalRecord?, into output: inout CoreOutput) {
    self.catalog = catalog
    policy = catalog.response
    places = PlaceIndex(catalog)
    state.intake.adopt(policy.hazards.map(HazardPolicy.init))
    state.gate.adopt(policy.inhibitions.map(Inhibition.init))
    if policy.retention.isEmpty {
      state.retentionDue = nil
    } else if state.retentionDue == nil, let record {
      state.retentionDue = Self.nextRetention(
        after: Timestamp(milliseconds: record.input.received)
      )
    }
    agenda.set(DeskItem(kind: .retention), state.retentionDue)
    // Other rungs may be due now.
    for id in state.hazards.keys { scheduleLadder(id) }
    if let record { callOutAnew(record, into: &output) }
    showDuty()
  }

  /// Gives call-outs, reports and notices numbers beyond all that inputs up to `sequence` can have given: two of one number
  /// would be one in the ledger, at the place of the first.
  func number(beyond sequence: UInt64) {
    let number = Int(clamping: sequence)
    state.lastCall = max(state.lastCall, number)
    state.lastReport = max(state.lastReport, number)
    state.lastNotice = max(state.lastNotice ?? 0, number)
  }

  private static func nextRetention(after time: Timestamp) -> Timestamp {
    let today = time.milliseconds / day * day + retentionTime
    return Timestamp(milliseconds: today > time.milliseconds ? today : today + day)
  }

  // MARK: - Inputs

  func take(
    _ record: JournalRecord,
    verb: Substring,
    into output: inout CoreOutput
  ) -> ActError? {
    // After a restart, calls whose outcome is lost are told from those that fall due only now.
    if record.input.kind == .external, verb == "resume", level > .first {
      resume(record, into: &output)
    }
    // What fell due before the act comes before it; alarms may still be on their way, so what alarms hold back waits.
    let now = Timestamp(milliseconds: record.input.received)
    runDue(to: now, record, withAlarms: false, into: &output)
    let before = output.drafts.count
    var refused = DeskPayload(json: .null)
    do throws(ActError) {
      let payload = try DeskPayload(record.input.payload)
      refused = payload
      switch (record.input.kind, verb) {
      case (.command, "register"): try register(payload, record, into: &output)
      case (.command, "act"): try act(payload, record, into: &output)
      case (.command, "silence"): try silence(payload, record, into: &output)
      case (.command, "unsilence"): try unsilence(payload, record, into: &output)
      case (.command, "call"): try call(payload, record, into: &output)
      case (.command, "confirm"): try confirm(payload, record, into: &output)
      case (.command, "cancel"): try cancel(payload, record, into: &output)
      case (.command, "feedback"): try feedback(payload, record, into: &output)
      case (.command, "report"): try report(payload, record, into: &output)
      case (.command, "supplement"): try supplement(payload, record, into: &output)
      case (.command, "duty"), (.register, "duty"):
        try changeDuty(payload, record, into: &output)
        showDuty()
      case (.register, "roster"):
        try changeRoster(payload, record, into: &output)
        showDuty()
      case (.register, "roster-reset"):
        try resetRoster(payload, record, into: &output)
        showDuty()
      case (.register, "channel"), (.register, "channel-remove"), (.register, "channel-reset"):
        try changeChannel(verb, payload, record, into: &output)
        showChannels()
      case (.external, "unseen"): try takeUp(record, into: &output)
      case (.external, "delivered"): try outcome(payload, true, record, into: &output)
      case (.external, "failed"): try outcome(payload, false, record, into: &output)
      case (.external, "confirmed"): try confirmed(payload, record, into: &output)
      case (.external, "feedback"): try reportedBack(payload, record, into: &output)
      case (.external, "resume"):
        // The first release told them apart only afterwards.
        if level == .first { resume(record, into: &output) }
      default: throw .refused("unknown verb \(verb)", code: "verb")
      }
      return nil
    } catch {
      output.drafts.removeSubrange(before...)
      output.drafts.append(refusal(error, of: refused, verb: verb, record))
      return error
    }
  }

  func follow(_ step: AlarmBody, of record: JournalRecord, into output: inout CoreOutput) {
    let now = Timestamp(milliseconds: record.input.received)
    let isCause = isCause(step)
    let isNew = noteStanding(step)
    for proposal in state.intake.follow(step, at: now, by: level) {
      registerProposal(proposal, record, into: &output)
    }
    reschedule(.intake, state.intake.nextDeadline)
    let freed = state.gate.follow(
      step.alarm,
      point: step.point,
      rule: step.rule,
      priority: step.priority,
      isStanding: isCause
    )
    if step.event == .acknowledged { acknowledge(step, at: now, record, into: &output) }
    if isNew { annunciate(step, at: now, record, into: &output) }
    if freed { reviewWithheld(at: now, record, into: &output) }
    endSettingAside(step, of: record, into: &output)
  }

  func keep(_ order: ClockOrder, of record: JournalRecord, into output: inout CoreOutput) {
    // The first release kept no clocks of permits and certificates; the catalog that brings newer rules orders them.
    guard level > .first else { return }
    let now = Timestamp(milliseconds: record.input.received)
    guard let due = order.due else {
      return stop(clock: order.id, by: order.actor, at: now, record, into: &output)
    }
    let clock = LedgerClock(
      id: order.id,
      kind: order.kind,
      about: order.about,
      due: due,
      warningsMilliseconds: order.kind == .permitEnd
        ? policy.permitWarnings : policy.certificateWarnings
    )
    let known = state.clocks.clock(order.id)
    // What had ended before anybody told of it needs no clock any more.
    guard known != clock, known != nil || due > now else { return }
    start(
      clock,
      by: order.actor,
      at: now,
      extra: ["place": .string(order.about)],
      record,
      into: &output
    )
  }

  func advance(_ record: JournalRecord, into output: inout CoreOutput) {
    runDue(
      to: Timestamp(milliseconds: record.input.received),
      record,
      withAlarms: true,
      into: &output
    )
  }

  /// Does what is due, in order of time.
  private func runDue(
    to now: Timestamp,
    _ record: JournalRecord,
    withAlarms: Bool,
    into output: inout CoreOutput
  ) {
    var heldBack: [(DeskItem, Timestamp)] = []
    while let (item, time) = agenda.take(upTo: now) {
      if !withAlarms, item.kind == .intake || item.kind == .gathering {
        heldBack.append((item, time))
        continue
      }
      switch item.kind {
      case .clocks:
        emit(state.clocks.advance(to: time), record, into: &output)
        reschedule(.clocks, state.clocks.nextDeadline)
      case .intake:
        for proposal in state.intake.advance(to: time) {
          registerProposal(proposal, record, into: &output)
        }
        reschedule(.intake, state.intake.nextDeadline)
      case .ladder: climb(item.id, at: time, record, into: &output)
      case .silence: expireSilence(item.id, at: time, record, into: &output)
      case .gathering: endGathering(item.id, at: time, record, into: &output)
      case .callout: advanceCall(item.id, to: time, record, into: &output)
      case .retention: retain(at: time, record, into: &output)
      case .notice: advanceNotice(item.id, record, into: &output)
      }
    }
    for (item, time) in heldBack { agenda.set(item, time) }
  }

  func reschedule(_ kind: DeskItem.Kind, _ time: Timestamp?) {
    agenda.set(DeskItem(kind: kind), time)
  }

  private func retain(at time: Timestamp, _ record: JournalRecord, into output: inout CoreOutput) {
    for rule in policy.retention {
      let before = time.advanced(byMilliseconds: -rule.afterMilliseconds)
      output.drafts.append(
        RedactionRule(name: rule.rule, before: before, reason: rule.reason, limit: rule.limit)
          .order(at: time, actor: "engine", origin: record.sequence)
      )
    }
    // Once for all the days that a clock has leapt over: its limit is one of a day's.
    let done = level >= .areas ? max(time, Timestamp(milliseconds: record.input.received)) : time
    state.retentionDue = policy.retention.isEmpty ? nil : Self.nextRetention(after: done)
    reschedule(.retention, state.retentionDue)
  }

  // MARK: - Refusals

  /// A refused act leaves who tried what, and why not.
  private func refusal(
    _ error: ActError,
    of payload: DeskPayload,
    verb: Substring,
    _ record: JournalRecord
  ) -> LedgerDraft {
    let json = payload.json
    let subject = ["hazard", "callout", "clock", "silence"].lazy.compactMap { json[$0]?.text }.first
    let code = if case .refused(_, let code) = error { code } else { "incomplete" }
    let actor = json["actor"]?.text?.filter { $0 != "\0" } ?? ""
    return LedgerDraft(
      time: Timestamp(milliseconds: record.input.received),
      kind: .system,
      subject: String((subject ?? "").filter { $0 != "\0" }.prefix(1_024)),
      actor: actor.isEmpty ? "engine" : String(actor.prefix(64)),
      body: LedgerJSON.object([
        "act": .string(json["act"]?.text ?? String(verb)), "code": .string(code),
        "event": "desk.refused", "refusal": .string(error.text),
        "role": .string(json["role"]?.text ?? ""),
        "topic": .string("\(name)/\(verb)"),
      ]).canonicalBytes(),
      origin: record.sequence
    )
  }

  // MARK: - Snapshots

  func snapshot() -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return Array(try encoder.encode(state))
    } catch {
      // Plain values of texts and whole numbers: there is nothing that cannot be written.
      preconditionFailure("the desk's state cannot be written: \(error)")
    }
  }

  func restore(_ bytes: [UInt8]) throws {
    let restored = try JSONDecoder().decode(DeskState.self, from: Data(bytes))
    guard restored.version == state.version else { throw SnapshotFault.wrongFormat }
    state = restored
    state.intake.adopt(policy.hazards.map(HazardPolicy.init))
    state.gate.adopt(policy.inhibitions.map(Inhibition.init))
    agenda = Agenda()
    for id in state.hazards.keys { scheduleLadder(id) }
    for id in state.calls.keys { scheduleCall(id) }
    for id in (state.notices ?? [:]).keys { scheduleNotice(id) }
    for silence in state.gate.silences {
      agenda.set(DeskItem(kind: .silence, id: silence.id), silence.until)
    }
    for (key, time) in state.gatherUntil {
      agenda.set(DeskItem(kind: .gathering, id: key), time)
    }
    reschedule(.clocks, state.clocks.nextDeadline)
    reschedule(.intake, state.intake.nextDeadline)
    reschedule(.retention, state.retentionDue)
    showDuty()
    showChannels()
  }

  var resumption: DeskInput? {
    let isCalling = state.calls.values.contains {
      $0.callout.status == .calling || !$0.callout.outstanding.isEmpty
    }
    guard isCalling || state.notices?.isEmpty == false else { return nil }
    return DeskInput(kind: .external, desk: name, verb: "resume", payload: Array("{}".utf8))
  }
}
