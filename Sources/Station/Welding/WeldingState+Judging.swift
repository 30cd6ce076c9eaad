import DeviceCatalog
import HazardLedger
import Telemetry

extension WeldingState {
  private typealias Evidence = DeskAlarms.Evidence

  /// Judges every condition of a machine and does what follows: raises, returns, locks.
  ///
  /// - Parameters:
  ///   - row: the machine's row in the frame.
  ///   - moment: the moment judged.
  ///   - isLater: time itself is the input, so silence counts; with a reading under way it does not, because what
  ///     would have broken the silence may be further back in a backlog.
  ///   - output: takes what follows.
  mutating func judge(
    _ row: Int,
    at moment: DeskMoment,
    isLater: Bool,
    into output: inout CoreOutput
  ) {
    let place = frame.places[row]
    var machine = machines[place.key] ?? Machine()
    machine.moment = max(machine.moment, moment.time)
    machine.pulses = machine.pulses.filter { $0.value > moment.time }
    if isLater { checkCut(&machine, place, at: moment, into: &output) }
    var isChanged = true
    // Locking ends the session, which ends or changes conditions: judged once more then.
    for _ in 0..<2 where isChanged {
      let found = conditions(of: machine, place, at: moment, isLater: isLater)
      isChanged = false
      var lock: WeldingRule?
      for rule in WeldingRule.allCases.sorted() {
        guard let alarm = frame.alarms[rule] else { continue }
        let isPulsed = machine.pulses[rule.rawValue] != nil
        if let evidence = found[rule] ?? (isPulsed ? Evidence(onset: moment.time) : nil) {
          let steps = alarms.raise(
            place.point,
            rule.rawValue,
            priority: alarm.priority,
            evidence,
            at: moment
          )
          emit(steps, at: moment, into: &output)
          guard found[rule] != nil else { continue }
          let isNew = steps.contains { $0.event == .raised }
          if isNew, rule == .suspectedModification {
            bar(place, reason: alarm.text.zh, at: moment, into: &output)
          }
          let isUnderWay =
            machine.session != nil
            || machine.arcSince != nil && machine.brokenBy == nil && !machine.isLockedUnderArc
          if isNew || isUnderWay, alarm.locks,
            alarm.priority > lock.flatMap({ frame.alarms[$0]?.priority }) ?? 0
          {
            lock = rule
          }
        } else if isLater || !Self.needsTime.contains(rule) {
          let steps = alarms.clear(
            place.point,
            rule.rawValue,
            value: machine.current?.value,
            at: moment
          )
          emit(steps, at: moment, into: &output)
        }
      }
      if let rule = lock {
        lockMachine(&machine, place, cause: rule.rawValue, at: moment, into: &output)
        machine.brokenBy = rule
        isChanged = true
      } else if let cause = quietEnd(of: machine, place, at: moment, isLater: isLater) {
        lockMachine(&machine, place, cause: cause, at: moment, into: &output)
        isChanged = true
      }
    }
    if machine.arcSince == nil, machine.brokenBy != .gasNear || near[place.area] == nil {
      machine.brokenBy = nil
    }
    machines[place.key] = machine
    setDeadline("m|" + place.key, nextDeadline(of: machine, place, at: moment))
  }

  /// Conditions that only the passing of time can raise.
  private static let needsTime: Set<WeldingRule> = [.offline]

  private func conditions(
    of machine: Machine,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment,
    isLater: Bool
  ) -> [WeldingRule: DeskAlarms.Evidence] {
    guard let enterprise = frame.enterprises[place.enterprise], books[place.enterprise] != nil
    else { return [:] }
    let policy = enterprise.welding.policy
    let now = moment.time
    var found: [WeldingRule: DeskAlarms.Evidence] = [:]
    let hasNear = near[place.area] != nil
    if let arc = machine.arcSince {
      found = conditionsUnderArc(since: arc, of: machine, place, at: moment, isLater: isLater)
    } else if hasNear, machine.session != nil || machine.brokenBy == .gasNear {
      found[.gasNear] = DeskAlarms.Evidence(
        onset: now,
        detail: near[place.area]?.sorted().first ?? ""
      )
    }
    if let since = machine.bypassSince, now - since >= policy.bypassFor {
      found[.suspectedModification] = DeskAlarms.Evidence(
        onset: since,
        value: machine.mains?.value,
        limit: policy.idleCurrent,
        unit: "A",
        detail: "supply current without chip current"
      )
    }
    if let idle = machine.idleSince, now - idle >= policy.idleAfter,
      isLater || alarms.isActive(place.point, WeldingRule.idleCurrent.rawValue)
    {
      found[.idleCurrent] = DeskAlarms.Evidence(onset: idle + policy.idleAfter)
    }
    if let cut = machine.cut, cut.hasFailed {
      found[.cutFailed] = DeskAlarms.Evidence(
        onset: cut.sent,
        value: machine.current?.value,
        limit: policy.idleCurrent,
        unit: "A",
        detail: "\(cut.attempts) lock commands for \(cut.cause)"
      )
    }
    return found
  }

  /// Conditions of a machine that welds.
  private func conditionsUnderArc(
    since arc: Int64,
    of machine: Machine,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment,
    isLater: Bool
  ) -> [WeldingRule: DeskAlarms.Evidence] {
    guard let enterprise = frame.enterprises[place.enterprise], let book = books[place.enterprise]
    else { return [:] }
    let policy = enterprise.welding.policy
    let now = moment.time
    var found: [WeldingRule: DeskAlarms.Evidence] = [:]
    let evidence = { (onset: Int64, detail: String) in
      DeskAlarms.Evidence(
        onset: onset,
        value: machine.current?.value,
        limit: policy.idleCurrent,
        unit: "A",
        detail: detail
      )
    }
    if let broken = machine.brokenBy { found[broken] = evidence(now, "") }
    if let session = machine.session {
      let who = "permit \(session.permit), welder \(session.welder)"
      if let permit = book.permits[session.permit], permit.machines.contains(place.device) {
        for (rule, onset) in breaches(
          of: permit,
          session,
          machine,
          place,
          at: moment,
          isLater: isLater
        ) {
          found[rule] = evidence(max(onset, arc), who)
        }
      } else {
        found[.noPermit] = evidence(now, who + ": withdrawn")
      }
    } else if machine.brokenBy == nil, !machine.isLockedUnderArc {
      found[.noPermit] = evidence(arc, "no release")
    }
    if let near = near[place.area] { found[.gasNear] = evidence(now, near.sorted().first ?? "") }
    if let since = machine.abnormalSince, now - since >= policy.abnormalFor {
      let normal = book.machines[place.device]?.normalCurrent ?? []
      var abnormal = evidence(since, "normal " + normal.map { "\($0)" }.joined(separator: " to "))
      abnormal.limit =
        (machine.current?.value ?? 0) < normal.first ?? 0 ? normal.first : normal.last
      found[.abnormalWork] = abnormal
    }
    if let day = days[place.enterprise], let declared = book.commitments[day.day],
      day.works.count > declared
    {
      found[.commitment] = DeskAlarms.Evidence(
        onset: arc,
        value: Double(day.works.count),
        limit: Double(declared),
        detail: day.day
      )
    }
    if isLater, let heard = machine.heard, now - heard >= policy.offlineAfter {
      found[.offline] = DeskAlarms.Evidence(
        onset: heard + policy.offlineAfter,
        value: machine.current?.value,
        unit: "A"
      )
    }
    return found
  }

  /// What the work under way breaks, with the moment since when.
  private func breaches(
    of permit: WeldingRegister.Permit,
    _ session: Session,
    _ machine: Machine,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment,
    isLater: Bool
  ) -> [(WeldingRule, Int64)] {
    guard let enterprise = frame.enterprises[place.enterprise], let book = books[place.enterprise]
    else { return [] }
    let policy = enterprise.welding.policy
    let now = moment.time
    var found: [(WeldingRule, Int64)] = []
    let end = min(permit.until, permit.finishedAt ?? .max)
    if end <= now { found.append((.overtime, end)) }
    if now < permit.from { found.append((.outOfHours, now)) }
    if let ban = book.ban(at: now) { found.append((.specialPeriod, ban.from)) }
    if enterprise.calendar.needsUpgrade(at: now), !permit.isUpgraded {
      found.append((.notUpgraded, now))
    }
    let welder = book.welders[session.welder]
    switch welder?.denial(
      on: enterprise.calendar.day(of: now),
      freezeDays: Int(policy.freezeDays)
    ) {
    case .some(.noCertificate): found.append((.noCert, now))
    case .some: found.append((.certExpired, now))
    case .none: if welder == nil { found.append((.noCert, now)) }
    }
    if Double(machine.outsideFixes) >= policy.outsideFixes { found.append((.outOfArea, now)) }
    if permit.guardian == nil { found.append((.noGuardian, now)) }
    if machine.isRetestDue { found.append((.gasTest, machine.arcSince ?? now)) }
    if permit.isOutdoor, !permit.isUpgraded,
      case .speed(let speed) = wind(in: place.area, at: moment.received, policy: policy),
      speed >= policy.windLimit
    {
      found.append((.highWind, now))
    }
    if permit.hotWorkClass == .special, permit.video == nil { found.append((.unrecorded, now)) }
    // Silence counts only when time itself is the input.
    if isLater, permit.hotWorkClass == .special {
      let until = monitoredUntil(place.area, policy: policy) ?? session.from
      if until <= moment.time { found.append((.unmonitored, until)) }
    }
    return found
  }

  /// Why a release ends without an alarm: nobody welds, and the permit, the ban or the clock says stop.
  private func quietEnd(
    of machine: Machine,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment,
    isLater: Bool
  ) -> String? {
    guard let session = machine.session, machine.arcSince == nil,
      let book = books[place.enterprise],
      let policy = frame.enterprises[place.enterprise]?.welding.policy
    else { return nil }
    guard let permit = book.permits[session.permit], permit.machines.contains(place.device) else {
      return WeldingRule.noPermit.rawValue
    }
    if let breach = breaches(
      of: permit,
      session,
      machine,
      place,
      at: moment,
      isLater: isLater
    ).first {
      return breach.0.rawValue
    }
    if isLater, let idle = machine.idleSince, moment.time - idle >= policy.autoOffAfter {
      return WeldingRule.idleCurrent.rawValue
    }
    return nil
  }

  private func nextDeadline(
    of machine: Machine,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment
  ) -> Int64? {
    guard let enterprise = frame.enterprises[place.enterprise], let book = books[place.enterprise]
    else { return nil }
    let policy = enterprise.welding.policy
    let now = moment.time
    var ahead: [Int64] = Array(machine.pulses.values)
    // What silence brings is due even when its moment has passed: it waits for a tick.
    var owed: [Int64] = []
    if let cut = machine.cut, cut.attempts < Int(policy.cutAttempts) || !cut.hasFailed {
      owed.append(cut.deadline)
    }
    if machine.session != nil || machine.arcSince != nil {
      if let edge = book.nextBanEdge(after: now) { ahead.append(edge) }
    }
    if let session = machine.session {
      ahead.append(enterprise.calendar.nextBoundary(after: now))
      if let permit = book.permits[session.permit] {
        ahead += [permit.from, permit.until, permit.finishedAt].compactMap(\.self)
        if permit.hotWorkClass == .special {
          owed.append(monitoredUntil(place.area, policy: policy) ?? session.from)
        }
      }
    }
    if let idle = machine.idleSince {
      let isRaised = alarms.isActive(place.point, WeldingRule.idleCurrent.rawValue)
      owed.append(idle + (isRaised ? policy.autoOffAfter : policy.idleAfter))
    }
    if machine.arcSince != nil, let heard = machine.heard,
      !alarms.isActive(place.point, WeldingRule.offline.rawValue)
    {
      owed.append(heard + policy.offlineAfter)
    }
    if let since = machine.abnormalSince { ahead.append(since + policy.abnormalFor) }
    if let since = machine.bypassSince { ahead.append(since + policy.bypassFor) }
    return (ahead.filter { $0 > now } + owed).min()
  }
}

extension WeldingState.Machine {
  /// Since when it has been released without an arc.
  var idleSince: Int64? {
    guard let session, arcSince == nil else { return nil }
    return max(session.from, arcEnded ?? .min)
  }
}
