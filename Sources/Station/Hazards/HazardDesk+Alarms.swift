import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// What alarm steps set off: hazards, call-outs, reports.
extension HazardDesk {
  /// Notes where an alarm stands.
  ///
  /// - Returns: true when the step is a new annunciation: somebody has to be told.
  func noteStanding(_ step: AlarmBody) -> Bool {
    let before = state.alarms[step.alarm]
    let stands =
      switch step.state {
      case .unacknowledged, .acknowledged: true
      case .normal, .returnedUnacknowledged, .latchedUnacknowledged, .latchedAcknowledged: false
      // What is set aside goes on standing until it is seen to return: not known is not clear.
      case .shelved, .suppressedByDesign, .outOfService:
        step.event == .returned ? false : step.event == .raised || before?.stands ?? true
      }
    let isUnacknowledged =
      switch step.state {
      case .unacknowledged, .returnedUnacknowledged, .latchedUnacknowledged: true
      case .normal, .acknowledged, .latchedAcknowledged: false
      case .shelved, .suppressedByDesign, .outOfService: before?.isUnacknowledged ?? false
      }
    let key = "\(step.point)#\(step.rule)"
    let change = (stands ? 1 : 0) - (before?.stands == true ? 1 : 0)
    if change != 0 {
      let count = state.standing[key, default: 0] + change
      state.standing[key] = count > 0 ? count : nil
    }
    if step.state == .normal {
      state.alarms[step.alarm] = nil
      state.withheld[step.alarm] = nil
    } else {
      state.alarms[step.alarm] = DeskState.Alarm(
        point: step.point,
        rule: step.rule,
        priority: step.priority,
        stands: stands,
        isUnacknowledged: isUnacknowledged
      )
      if !isUnacknowledged { state.withheld[step.alarm] = nil }
    }
    guard step.state == .unacknowledged else { return false }
    switch step.event {
    case .raised, .reAlarmed, .unshelved, .unsuppressed, .returnedToService: return true
    case .priorityChanged: return step.priority > before?.priority ?? 0
    case .returned, .acknowledged, .reset, .shelved, .suppressed, .removedFromService, .revised:
      return false
    }
  }

  /// Whether an alarm quiets its consequences after a step: while its condition stands, also where a person has set it aside.
  ///
  /// What is set aside without its condition, for maintenance, is the cause of nothing.
  func isCause(_ step: AlarmBody) -> Bool {
    // By the older rules until it is acknowledged, too.
    guard level >= .areas else { return step.state != .normal }
    return switch step.state {
    case .unacknowledged, .acknowledged: true
    case .normal, .returnedUnacknowledged, .latchedUnacknowledged, .latchedAcknowledged: false
    case .shelved, .suppressedByDesign, .outOfService:
      step.event == .raised || step.event != .returned && state.gate.isStanding(step.alarm)
    }
  }

  /// Ends what stands for a rule that was set aside while it had no alarm, under no occurrence's name.
  ///
  /// Where an alarm has come meanwhile, the end is told of that one only: the rule would be shown as set aside for good, and
  /// no hazard of it could ever be closed.
  func endSettingAside(
    _ step: AlarmBody,
    of record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard level >= .areas, step.endsSettingAside, step.onset != .distantPast else { return }
    let end = AlarmBody(
      point: step.point,
      rule: step.rule,
      onset: .distantPast,
      event: step.event,
      state: .normal,
      previous: step.previous,
      priority: step.priority,
      received: step.received,
      cause: step.cause,
      catalog: step.catalog,
      actor: step.actor,
      reason: step.reason
    )
    guard state.alarms[end.alarm] != nil else { return }
    output.drafts.append(LedgerDraft(alarm: end, time: end.received, origin: record.sequence))
    follow(end, of: record, into: &output)
  }

  /// True while the condition behind a hazard stands: any occurrence of a rule whose alarms it names.
  func conditionStands(_ hazard: Hazard) -> Bool {
    hazard.registration.alarms.contains { alarm in
      guard let name = AlarmName(alarm) else { return false }
      return state.standing["\(name.point)#\(name.rule)", default: 0] > 0
    }
  }

  /// An annunciation starts what the policy says.
  func annunciate(
    _ step: AlarmBody,
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    for duty in policy.reports
    where AlarmMatcher(duty.when).fits(
      point: step.point,
      rule: step.rule,
      priority: step.priority
    ) {
      beginReport(duty, step, at: now, record, into: &output)
    }
    for situation in policy.situations
    where AlarmMatcher(situation.when).fits(
      point: step.point,
      rule: step.rule,
      priority: step.priority
    ) {
      callOut(step.alarm, by: situation, at: now, record, into: &output)
    }
  }

  /// Calls out for an alarm, unless a silence or an inhibition keeps it quiet; then it is remembered.
  func callOut(
    _ alarm: String,
    by situation: ResponsePolicy.Situation,
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard let standing = state.alarms[alarm] else { return }
    let verdict = state.gate.verdict(
      point: standing.point,
      rule: standing.rule,
      priority: standing.priority,
      at: now
    )
    guard verdict == .notify else {
      if state.withheld[alarm]?.contains(situation.id) != true {
        state.withheld[alarm, default: []].append(situation.id)
      }
      return
    }
    state.withheld[alarm]?.removeAll { $0 == situation.id }
    if state.withheld[alarm]?.isEmpty == true { state.withheld[alarm] = nil }
    let key = groupKey(situation, standing.point)
    if let id = state.callOfKey[key] {
      join(alarm, standing.priority, to: id, at: now, record, into: &output)
    } else if state.gathering[key] != nil {
      state.gathering[key]?.append(alarm)
    } else if situation.waitMilliseconds > 0 {
      state.gathering[key] = [alarm]
      let until = now.advanced(byMilliseconds: situation.waitMilliseconds)
      state.gatherUntil[key] = until
      agenda.set(DeskItem(kind: .gathering, id: key), until)
    } else {
      startCall(situation, key: key, alarms: [alarm], at: now, record, into: &output)
    }
  }

  /// The first call of a gathered group is due.
  func endGathering(
    _ key: String,
    at time: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    let alarms = state.gathering.removeValue(forKey: key) ?? []
    state.gatherUntil[key] = nil
    let id = key.prefix { $0 != "|" }
    guard let situation = policy.situations.first(where: { $0.id == id }) else { return }
    var calling: [String] = []
    for alarm in alarms {
      guard let standing = state.alarms[alarm], standing.isUnacknowledged else { continue }
      let verdict = state.gate.verdict(
        point: standing.point,
        rule: standing.rule,
        priority: standing.priority,
        at: time
      )
      if verdict == .notify {
        calling.append(alarm)
      } else {
        state.withheld[alarm, default: []].append(situation.id)
      }
    }
    guard !calling.isEmpty else { return }
    startCall(situation, key: key, alarms: calling, at: time, record, into: &output)
  }

  /// A silence or a cause has ended: what it kept quiet, and is still unanswered, is called out now.
  func reviewWithheld(
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    for (alarm, situations) in state.withheld.sorted(by: { $0.key < $1.key }) {
      guard state.alarms[alarm]?.isUnacknowledged == true else {
        state.withheld[alarm] = nil
        continue
      }
      for id in situations {
        guard let situation = policy.situations.first(where: { $0.id == id }) else {
          state.withheld[alarm]?.removeAll { $0 == id }
          continue
        }
        callOut(alarm, by: situation, at: now, record, into: &output)
      }
    }
  }

  /// Alarms that wait for a call by a situation that the policy no longer has are called out by those that fit them now: it may
  /// have got another name.
  func callOutAnew(_ record: JournalRecord, into output: inout CoreOutput) {
    guard level >= .areas else { return }
    let known = Set(policy.situations.map(\.id))
    var alarms: Set<String> = []
    for (key, gathered) in state.gathering where !known.contains(String(key.prefix { $0 != "|" })) {
      alarms.formUnion(gathered)
      state.gathering[key] = nil
      state.gatherUntil[key] = nil
      agenda.set(DeskItem(kind: .gathering, id: key), nil)
    }
    for (alarm, situations) in state.withheld where !known.isSuperset(of: situations) {
      alarms.insert(alarm)
      let left = situations.filter(known.contains)
      state.withheld[alarm] = left.isEmpty ? nil : left
    }
    let now = Timestamp(milliseconds: record.input.received)
    for alarm in alarms.sorted() {
      guard let standing = state.alarms[alarm], standing.isUnacknowledged else { continue }
      for situation in policy.situations
      where AlarmMatcher(situation.when).fits(
        point: standing.point,
        rule: standing.rule,
        priority: standing.priority
      ) {
        let key = groupKey(situation, standing.point)
        guard state.gathering[key]?.contains(alarm) != true else { continue }
        callOut(alarm, by: situation, at: now, record, into: &output)
      }
    }
  }

  /// Alarms of a situation under one key are one call-out.
  private func groupKey(_ situation: ResponsePolicy.Situation, _ point: String) -> String {
    "\(situation.id)|\(PlaceIndex.leading(situation.groupParts, of: point))"
  }

  /// Registers what the policy proposes; a rule that makes a major hazard by itself says so at once.
  func registerProposal(
    _ proposal: HazardProposal,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    var registration = proposal.registration
    registration.ground = proposal.ground.rawValue
    registration.basis = proposal.majorBasis ?? ""
    if let name = registration.alarms.first.flatMap({ AlarmName($0) }),
      let rule = description(of: name)
    {
      registration.title = "\(rule.place.zh)：\(rule.text.zh)"
      registration.detail = "\(rule.place.en): \(rule.text.en)"
    }
    if let known = state.hazards[registration.id] {
      // A finished one is this alarm's already: left as open, it would keep the rule from proposing any other.
      if level >= .areas, known.state.isFinal { state.intake.ended(hazards: [registration.id]) }
      return
    }
    open(registration, by: "engine", as: .engine, at: proposal.time, record, into: &output)
    guard let basis = proposal.majorBasis else { return }
    var grading = HazardInput(.grade, by: "engine", as: .engine, at: proposal.time)
    grading.grade = .major
    grading.reason = basis
    perform(grading, on: registration.id, record, into: &output)
  }
}

extension AlarmBody {
  /// Whether the rule was set aside before this step and is not after it.
  fileprivate var endsSettingAside: Bool {
    switch event {
    // Were it suppressed or out of service too, that would have been shown.
    case .unshelved: previous == .shelved
    case .unsuppressed, .returnedToService: !state.isSetAside
    // Only a rule that is gone is normal after this.
    case .removedFromService: previous.isSetAside && state == .normal
    case .raised, .returned, .acknowledged, .reset, .shelved, .suppressed, .priorityChanged,
      .reAlarmed, .revised:
      false
    }
  }
}

extension AlarmBody.State {
  fileprivate var isSetAside: Bool {
    switch self {
    case .shelved, .suppressedByDesign, .outOfService: true
    case .normal, .unacknowledged, .acknowledged, .returnedUnacknowledged, .latchedUnacknowledged,
      .latchedAcknowledged:
      false
    }
  }
}

extension AlarmMatcher {
  init(_ matcher: ResponsePolicy.Matcher) {
    self.init(
      path: matcher.path,
      rules: Set(matcher.rules),
      minimumPriority: matcher.minimumPriority,
      maximumPriority: matcher.maximumPriority
    )
  }
}

extension HazardPolicy {
  init(_ rule: ResponsePolicy.HazardRule) {
    self.init(
      matcher: AlarmMatcher(rule.when),
      immediateFromPriority: rule.immediateFromPriority,
      standingMilliseconds: rule.standingMilliseconds,
      repeatCount: rule.repeatCount,
      repeatMilliseconds: rule.repeatMilliseconds,
      majorRules: rule.majorRules
    )
  }
}

extension Inhibition {
  init(_ rule: ResponsePolicy.InhibitionRule) {
    self.init(
      id: rule.id,
      cause: AlarmMatcher(rule.cause),
      consequence: AlarmMatcher(rule.consequence),
      sharedParts: rule.sharedParts
    )
  }
}
