import HazardLedger
import Journal
import Telemetry

/// Silences: nobody is notified for a time. The alarm stands and counts as before, and is not acknowledged.
extension HazardDesk {
  /// A silence longer than this is no silence but a decision about the rule.
  static let longestSilence: Int64 = 7 * 86_400_000
  /// Silences at one time.
  static let silenceLimit = 1_000

  /// `hazards/silence`.
  func silence(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    try caller.mustBe(
      [.enterprise, .county, .sector, .city, .administrator],
      to: "silencing"
    )
    let path = try payload.optionalText("path", atMost: 500)
    if caller.role == .enterprise { try caller.mayTouch(path) }
    guard !caller.reason.isEmpty else { throw .incomplete("reason: must be given") }
    guard let until = try payload.moment("until") else {
      throw .incomplete("until: a silence needs an end")
    }
    let now = Timestamp(milliseconds: record.input.received)
    guard until > now, until.milliseconds(since: now) <= Self.longestSilence else {
      throw .refused("until: must lie ahead, at most 7 days", code: "until")
    }
    guard state.gate.silences.count < Self.silenceLimit else {
      throw .refused("more than \(Self.silenceLimit) silences", code: "limit")
    }
    let priorities = try (payload.priority("minimumPriority"), payload.priority("maximumPriority"))
    let silence = Silence(
      id: "silence/\(record.sequence)",
      matcher: AlarmMatcher(
        path: path,
        rules: Set(try payload.texts("rules", atMost: 100)),
        minimumPriority: priorities.0 ?? 1,
        maximumPriority: priorities.1 ?? 4
      ),
      author: caller.actor,
      reason: caller.reason,
      from: now,
      until: until
    )
    guard let silence else { throw .incomplete("author, reason and a later end must be given") }
    state.gate.add(silence)
    agenda.set(DeskItem(kind: .silence, id: silence.id), until)
    output.drafts.append(silence.setDraft(origin: record.sequence, role: caller.role.rawValue))
  }

  /// `hazards/unsilence`: ends a silence before its time.
  func unsilence(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    try caller.mustBe(
      [.enterprise, .county, .sector, .city, .administrator],
      to: "ending a silence"
    )
    let id = try payload.text("silence", atMost: 500)
    guard let silence = state.gate.silences.first(where: { $0.id == id }) else {
      throw .refused("no silence \(id) is set", code: "unknown-silence")
    }
    if caller.role == .enterprise { try caller.mayTouch(silence.matcher.path) }
    let now = Timestamp(milliseconds: record.input.received)
    end(silence, at: now, by: caller.actor, reason: caller.reason, record, into: &output)
  }

  /// A silence has come to its end.
  func expireSilence(
    _ id: String,
    at time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard let silence = state.gate.silences.first(where: { $0.id == id }) else { return }
    end(silence, at: time, by: "engine", reason: "", record, into: &output)
  }

  private func end(
    _ silence: Silence,
    at time: Timestamp,
    by actor: String,
    reason: String,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    _ = state.gate.remove(silence: silence.id)
    agenda.set(DeskItem(kind: .silence, id: silence.id), nil)
    output.drafts.append(
      silence.endDraft(at: time, by: actor, reason: reason, origin: record.sequence)
    )
    reviewWithheld(at: time, record, into: &output)
  }
}

extension DeskPayload {
  /// A priority, 1 blue … 4 red; nil where it is absent.
  func priority(_ key: String) throws(ActError) -> Int? {
    guard let value = json[key], value != .null else { return nil }
    guard let whole = value.wholeNumber, (1...4).contains(whole) else {
      throw .incomplete("\(key): must be 1 (blue) to 4 (red)")
    }
    return Int(whole)
  }
}
