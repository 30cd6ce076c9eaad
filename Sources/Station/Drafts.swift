import AlarmEngine
import DeviceCatalog
import HazardLedger
import Journal
import PayloadDecoding
import Telemetry

/// Turns engine transitions into the alarm entries of the ledger.
enum AlarmDraft {
  static func body(
    _ transition: Transition,
    act: OperatorAct?,
    catalog: Catalog,
    record: JournalRecord
  ) -> AlarmBody {
    let channel = catalog.channels[Int(transition.channel.rawValue)]
    let rule = catalog.rules[Int(transition.rule.rawValue)]
    var body = AlarmBody(
      point: channel.path,
      rule: rule.id,
      onset: transition.onset,
      event: event(transition.kind),
      state: transition.endsOccurrence ? .normal : state(transition.state),
      previous: state(transition.previous),
      priority: Int(transition.priority.rawValue),
      value: transition.value,
      limit: transition.limit,
      unit: rule.unit,
      received: transition.received,
      cause: transition.sequence,
      catalog: catalog.version,
      actor: act?.actor ?? "",
      reason: act?.reason ?? "",
      until: act?.until
    )
    if body.event == .raised, record.input.kind == .message {
      let input = record.input
      body.input = InputDigest.text(
        kind: input.kind.rawValue,
        received: input.received,
        topic: input.topic,
        payload: input.payload
      )
    }
    guard let revision = transition.revision else { return body }
    body.revision = AlarmBody.Revision(
      verdict: verdict(revision.verdict),
      onset: revision.start,
      raised: revision.raised,
      returned: revision.returned
    )
    // A missed alarm has no decision to point to.
    if revision.verdict != .missed { body.revises = body.alarm }
    return body
  }

  /// What the alarm of a group was raised on; nil for every other step.
  static func evidence(of transition: Transition, in catalog: Catalog) -> AlarmBody.Evidence? {
    let rule = catalog.enginePlan.rules[Int(transition.rule.rawValue)]
    guard let evidence = transition.evidence,
      case .multivariate(_, let signals) = rule.detector
    else { return nil }
    let limits = evidence.limits
    return AlarmBody.Evidence(
      statistics: [
        "t2": AlarmBody.Evidence.Statistic(value: evidence.t2, limit: limits.t2),
        "spe": AlarmBody.Evidence.Statistic(value: evidence.spe, limit: limits.spe),
        "distance": AlarmBody.Evidence.Statistic(value: evidence.distance, limit: limits.distance),
      ],
      decided: evidence.statistic.rawValue,
      contributions: evidence.contributions.map { part in
        AlarmBody.Evidence.Contribution(
          point: catalog.channels[Int(signals[Int(part.signal)].rawValue)].path,
          share: part.share
        )
      }
    )
  }

  private static func verdict(_ verdict: Revision.Verdict) -> AlarmBody.Revision.Verdict {
    switch verdict {
    case .missed: .missed
    case .unfounded: .unfounded
    case .moved: .moved
    }
  }

  // Two vocabularies on purpose: what the ledger has written must stay readable when the engine's changes.

  static func event(_ kind: TransitionKind) -> AlarmBody.Event {
    switch kind {
    case .raised: .raised
    case .returned: .returned
    case .acknowledged: .acknowledged
    case .reset: .reset
    case .shelved: .shelved
    case .unshelved: .unshelved
    case .suppressed: .suppressed
    case .unsuppressed: .unsuppressed
    case .removedFromService: .removedFromService
    case .returnedToService: .returnedToService
    case .priorityChanged: .priorityChanged
    case .reAlarmed: .reAlarmed
    case .revised: .revised
    }
  }

  static func state(_ state: AlarmState) -> AlarmBody.State {
    switch state {
    case .normal: .normal
    case .unacknowledged: .unacknowledged
    case .acknowledged: .acknowledged
    case .returnedUnacknowledged: .returnedUnacknowledged
    case .latchedUnacknowledged: .latchedUnacknowledged
    case .latchedAcknowledged: .latchedAcknowledged
    case .shelved: .shelved
    case .suppressedByDesign: .suppressedByDesign
    case .outOfService: .outOfService
    }
  }
}

/// Entries that are not alarm steps: what happened to the station itself and to its sources.
///
/// All but catalog changes are of kind `system`; the body's `event` says what happened.
enum EventDraft {
  static func decoding(_ event: DecodingEvent, record: JournalRecord) -> LedgerDraft {
    var members: [String: HazardLedger.JSONValue] = [
      "detail": .string(event.detail), "device": .string(event.device),
      "point": .string(event.point),
      "topic": .string(String(decoding: record.input.topic, as: UTF8.self)),
    ]
    if event.count > 1 { members["count"] = .integer(Int64(event.count)) }
    return system(
      "source.\(event.kind.rawValue)",
      subject: event.device,
      record: record,
      members
    )
  }

  /// A device's readings in one message whose status no table explains.
  static func unmappedStatus(
    _ line: UnmappedStatuses.Line,
    record: JournalRecord
  ) -> LedgerDraft {
    system(
      "source.\(DecodingEvent.Kind.unmappedStatus.rawValue)",
      subject: line.device,
      record: record,
      [
        "count": .integer(Int64(line.count)), "detail": .string(line.found),
        "device": .string(line.device),
        "points": .array(line.points.map(HazardLedger.JSONValue.string)),
        "topic": .string(String(decoding: record.input.topic, as: UTF8.self)),
      ]
    )
  }

  static func sourceDeath(
    channels: [ChannelIndex],
    at: Timestamp,
    record: JournalRecord,
    catalog: Catalog?
  ) -> LedgerDraft {
    let paths = channels.compactMap { catalog?.channels[Int($0.rawValue)].path }
    return system(
      "source.death",
      subject: paths.first ?? "",
      record: record,
      [
        "points": .array(paths.map(HazardLedger.JSONValue.string)),
        "time": .integer(at.milliseconds),
      ]
    )
  }

  static func refusedAct(
    _ act: OperatorAct,
    refusal: ActError,
    record: JournalRecord
  ) -> LedgerDraft {
    var refused = system(
      "act.refused",
      subject: act.alarm,
      record: record,
      [
        "act": .string(act.kind.rawValue), "alarm": .string(act.alarm),
        "reason": .string(act.reason),
        "refusal": .string(refusal.text),
      ]
    )
    refused.actor = act.actor
    return refused
  }

  /// What a person has to say of an alarm, beside its steps.
  static func note(_ act: OperatorAct, record: JournalRecord) -> LedgerDraft {
    var note = system(
      "alarm.note",
      subject: act.alarm,
      record: record,
      ["alarm": .string(act.alarm), "reason": .string(act.reason)]
    )
    note.actor = act.actor
    return note
  }

  /// An input of a desk that left nothing else behind: that it came, and what became of it.
  static func deskInput(record: JournalRecord, refusal: ActError?) -> LedgerDraft {
    system(
      refusal == nil ? "desk.taken" : "desk.refused",
      subject: "",
      record: record,
      [
        "refusal": .string(refusal?.text ?? ""),
        "topic": .string(String(decoding: record.input.topic, as: UTF8.self)),
      ]
    )
  }

  static func unreadableAct(record: JournalRecord, error: ActError) -> LedgerDraft {
    system("act.unreadable", subject: "", record: record, ["refusal": .string(error.text)])
  }

  static func catalog(
    _ catalog: Catalog,
    level: RulesLevel,
    record: JournalRecord
  ) -> LedgerDraft {
    // Of older rules those on what a source reports are none.
    let rules = catalog.rules.count { level >= .areas || $0.level != .reported }
    var members: [String: HazardLedger.JSONValue] = [
      "channels": .integer(Int64(catalog.channels.count)),
      "rules": .integer(Int64(rules)), "version": .string(catalog.version),
    ]
    if level > .first { members["level"] = .integer(Int64(level.rawValue)) }
    return draft(.catalog, subject: catalog.version, record: record, members)
  }

  static func refusedCatalog(record: JournalRecord, error: any Error) -> LedgerDraft {
    system("catalog.refused", subject: "", record: record, ["error": .string("\(error)")])
  }

  /// The subject of a gap's entry: one gap is told once, however many starts pass it.
  static func subject(of gap: GapDesk.Unseen.Gap) -> String {
    "journal:\(gap.after)-\(gap.through)"
  }

  static func journalGap(_ gap: GapDesk.Unseen.Gap, record: JournalRecord) -> LedgerDraft {
    system(
      "journal.gap",
      subject: subject(of: gap),
      record: record,
      ["after": .integer(Int64(gap.after)), "through": .integer(Int64(gap.through))]
    )
  }

  /// An alarm that stands in the ledger and that nothing watches any more.
  static func unwatched(_ alarm: String, record: JournalRecord) -> LedgerDraft {
    system("alarm.unwatched", subject: alarm, record: record, ["alarm": .string(alarm)])
  }

  static func unexpectedInput(record: JournalRecord) -> LedgerDraft {
    system(
      "input.unexpected",
      subject: "",
      record: record,
      [
        "kind": .integer(Int64(record.input.kind.rawValue)),
        "topic": .string(String(decoding: record.input.topic, as: UTF8.self)),
      ]
    )
  }

  /// A flood began, went on or ended in a supervisor's scope.
  static func flood(
    _ event: String,
    scope: String,
    time: Timestamp,
    record: JournalRecord,
    _ members: [String: HazardLedger.JSONValue]
  ) -> LedgerDraft {
    var draft = system("flood.\(event)", subject: scope, record: record, members)
    draft.time = time
    return draft
  }

  private static func system(
    _ event: String,
    subject: String,
    record: JournalRecord,
    _ members: [String: HazardLedger.JSONValue]
  ) -> LedgerDraft {
    var members = members
    members["event"] = .string(event)
    return draft(.system, subject: subject, record: record, members)
  }

  private static func draft(
    _ kind: EntryKind,
    subject: String,
    record: JournalRecord,
    _ members: [String: HazardLedger.JSONValue]
  ) -> LedgerDraft {
    LedgerDraft(
      time: Timestamp(milliseconds: record.input.received),
      kind: kind,
      subject: subject.filter { $0 != "\0" },
      actor: "engine",
      body: HazardLedger.JSONValue.object(members).canonicalBytes(),
      origin: record.sequence
    )
  }
}

extension ActError {
  /// The refusal in words.
  public var text: String {
    switch self {
    case .unknownAlarm(let alarm): "no such alarm stands: \(alarm)"
    case .notApplicable(let alarm): "the act does not apply to \(alarm) as it stands"
    case .incomplete(let what): what
    case .notYetRecorded(let sequence):
      "not recorded in time (input \(sequence)); it may still take effect"
    case .busy: "too many acts wait"
    case .refused(let why, _): why
    }
  }
}
