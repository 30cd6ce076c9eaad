import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Telemetry

extension WeldingState {
  private typealias Value = HazardLedger.JSONValue

  // MARK: - Changes of the register

  /// Takes a register record: `put`, `remove` or `report`.
  mutating func take(
    _ record: JournalRecord,
    verb: Substring,
    into output: inout CoreOutput
  ) -> ActError? {
    let received = record.input.received
    let moment = self.moment(received, received: received, sequence: record.sequence)
    do throws(ActError) {
      guard let payload = try? Value(parsing: record.input.payload) else {
        throw .incomplete("the register record is not JSON")
      }
      let enterprise = try payload.needed("enterprise")
      guard books[enterprise] != nil else {
        throw .refused("enterprise \(enterprise) has no welding section", code: "enterprise")
      }
      let actor = try payload.needed("actor")
      switch verb {
      case "put", "remove":
        let partName = try payload.needed("part")
        guard let part = WeldingRegisterPart(rawValue: partName) else {
          throw .incomplete("part: \(partName) is not one of the register's")
        }
        let id = try payload.needed("id")
        // Two that edit one entry at a time: the second is told, instead of undoing what the first has done.
        let now = books[enterprise]?.json(part, id).map { WeldingBoard.Entry.tag(of: $0) }
        let isAsSeen = payload["seen"]?.text.map { $0 == now } ?? true
        guard isAsSeen, payload["absent"] != .bool(true) || now == nil else {
          throw .refused(
            "\(part.rawValue)/\(id) was changed meanwhile; look at it again",
            code: "version"
          )
        }
        var changed = RegisterChange()
        if verb == "put" {
          guard let value = payload["value"], value.members != nil else {
            throw .incomplete("value: missing")
          }
          changed = try entry(part, id, value, enterprise: enterprise)
        } else if !has(part, id, enterprise: enterprise) {
          throw .refused("there is no \(part.rawValue)/\(id)", code: "unknown")
        }
        guard (changes[enterprise]?.count ?? 0) < Self.maximumChanges else {
          throw .refused("the register is full", code: "limit")
        }
        change(
          enterprise,
          part,
          id,
          changed,
          actor: actor,
          reason: payload["reason"]?.text ?? "",
          at: moment,
          into: &output
        )
        judgeAll(enterprise, touching: part, id, at: moment, into: &output)
      case "report":
        try report(payload, enterprise: enterprise, actor: actor, at: moment, into: &output)
      default: throw .incomplete("the welding desk does not know '\(verb)'")
      }
      return nil
    } catch {
      return error
    }
  }

  /// A report by MQTT: gas test, guardian, finished, cleared.
  mutating func report(
    _ record: JournalRecord,
    _ topic: WeldingTopic,
    into output: inout CoreOutput
  ) {
    let received = record.input.received
    let moment = self.moment(received, received: received, sequence: record.sequence)
    var refusal: ActError?
    // What it answers, so that somebody with several reports under way can tell their answers apart.
    var members: [String: Value] = [:]
    do throws(ActError) {
      guard frame.enterprises[topic.enterprise]?.gateways.contains(topic.gateway) ?? false else {
        throw .refused(
          "no welding register for \(topic.enterprise)/\(topic.gateway)",
          code: "gateway"
        )
      }
      guard let payload = try? Value(parsing: record.input.payload) else {
        throw .incomplete("the report is not JSON")
      }
      for name in ["permit", "event"] {
        if let text = payload[name]?.text, text.utf8.count <= 1_024 {
          members[name] = .string(text)
        }
      }
      guard payload["event"]?.text != "extend" else {
        throw .refused("an extension needs an approval: use the register", code: "role")
      }
      let actor = "\(topic.enterprise)/\(topic.gateway)"
      try report(payload, enterprise: topic.enterprise, actor: actor, at: moment, into: &output)
    } catch {
      refusal = error
      note(
        "report-refused",
        subject: "\(topic.enterprise)/welding",
        ["refusal": .string(error.text)],
        at: moment,
        into: &output
      )
    }
    members["answer"] = .string(refusal == nil ? "taken" : "refused")
    if let refusal { members["refusal"] = .string(refusal.text) }
    output.answers.append(
      CoreOutput.Answer(
        topic: topic.answers,
        payload: Value.object(members).canonicalBytes(),
        draftIndex: output.drafts.count - 1
      )
    )
  }

  private mutating func report(
    _ payload: HazardLedger.JSONValue,
    enterprise: String,
    actor: String,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) throws(ActError) {
    let id = try payload.needed("permit")
    let event = try payload.needed("event")
    guard var permit = books[enterprise]?.permits[id],
      let policy = frame.enterprises[enterprise]?.welding.policy
    else { throw .refused("there is no permit \(id)", code: "unknown") }
    // What is said wrongly is not taken for unsaid: a test of gas that was not passed would count as passed. Nor does
    // an older test count any longer.
    if event == "gas-test", let passed = payload["passed"], passed.truth == nil {
      permit.gasTestedAt = nil
      keep(permit, as: id, of: enterprise, actor: actor, because: event, at: moment, into: &output)
      throw .incomplete("passed: must be true or false; no gas test counts for \(id) now")
    }
    let hasPassed = payload["passed"]?.truth ?? true
    var time = moment.time
    // What takes something back holds at once, whatever time it names.
    let takesBack =
      event == "guardian-left" || event == "video-stopped" || event == "gas-test" && !hasPassed
    if !takesBack, let said = payload["time"], said != .null {
      guard let milliseconds = said.wholeNumber else {
        throw .incomplete("time: must be milliseconds since the Unix epoch")
      }
      guard !milliseconds.isApart(from: moment.time, byMoreThan: policy.clockTolerance) else {
        throw .refused("time: differs too much from the receive time", code: "clock")
      }
      time = milliseconds
    }
    switch event {
    case "gas-test": permit.gasTestedAt = hasPassed ? time : nil
    case "guardian": permit.guardian = try payload.needed("person")
    case "guardian-left": permit.guardian = nil
    case "video": permit.video = try payload.needed("camera")
    case "video-stopped": permit.video = nil
    case "finished": permit.finishedAt = time
    case "cleared": permit.clearedAt = time
    case "extend":
      permit.until = try payload.time("until")
      if let fault = books[enterprise]?.fault(of: permit, policy: policy) {
        throw .refused(fault.text.en, code: "permit")
      }
    default:
      throw .incomplete(
        "event: \(event) is not one of gas-test, guardian, guardian-left, video, video-stopped, "
          + "finished, cleared, extend"
      )
    }
    keep(permit, as: id, of: enterprise, actor: actor, because: event, at: moment, into: &output)
  }

  /// Keeps a permit as a report leaves it, and judges what hangs on it.
  private mutating func keep(
    _ permit: WeldingRegister.Permit,
    as id: String,
    of enterprise: String,
    actor: String,
    because event: String,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    change(
      enterprise,
      .permits,
      id,
      RegisterChange(permit: permit),
      actor: actor,
      reason: event,
      at: moment,
      into: &output
    )
    judgeAll(enterprise, touching: .permits, id, at: moment, into: &output)
  }

  /// Changes the register, on record.
  mutating func change(
    _ enterprise: String,
    _ part: WeldingRegisterPart,
    _ id: String,
    _ changed: RegisterChange,
    actor: String,
    reason: String,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    books[enterprise]?.put(part, id, changed)
    changes[enterprise, default: [:]]["\(part.rawValue)/\(id)"] = changed
    let value = changed.json
    note(
      value == nil ? "removed" : "put",
      kind: .register,
      subject: "\(enterprise)/welding/\(part.rawValue)/\(id)",
      actor: actor,
      [
        "id": .string(id), "part": .string(part.rawValue), "reason": .string(reason),
        "register": .string("welding"), "value": value ?? .null,
      ],
      at: moment,
      into: &output
    )
    orderClock(part, id, of: enterprise, by: actor, into: &output)
  }

  private func has(_ part: WeldingRegisterPart, _ id: String, enterprise: String) -> Bool {
    guard let book = books[enterprise] else { return false }
    return switch part {
    case .machines: book.machines[id] != nil
    case .welders: book.welders[id] != nil
    case .permits: book.permits[id] != nil
    case .bans: book.bans[id] != nil
    case .commitments: book.commitments[id] != nil
    }
  }

  /// Judges again what an entry of the register touches.
  private mutating func judgeAll(
    _ enterprise: String,
    touching part: WeldingRegisterPart,
    _ id: String,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    for (row, place) in frame.places.enumerated() where place.enterprise == enterprise {
      guard let machine = machines[place.key] else { continue }
      let isTouched =
        switch part {
        case .machines: place.device == id
        case .welders: machine.session?.welder == id
        case .permits: machine.session?.permit == id
        case .bans, .commitments: machine.session != nil || machine.arcSince != nil
        }
      guard isTouched else { continue }
      if part == .machines, books[enterprise]?.machines[id]?.barred != nil, machine.session != nil {
        var machine = machine
        lockMachine(&machine, place, cause: "machineBarred", at: moment, into: &output)
        machines[place.key] = machine
      }
      let at = self.moment(
        max(moment.time, machine.moment),
        received: moment.received,
        sequence: moment.sequence
      )
      judge(row, at: at, isLater: false, into: &output)
    }
    switch part {
    case .welders: judgeCertificates(enterprise, only: id, at: moment, into: &output)
    case .permits:
      setAfterCheck("\(enterprise)/\(id)")
      judgeAfterCheck("\(enterprise)/\(id)", at: moment, into: &output)
    case .machines, .bans, .commitments: break
    }
  }

  // MARK: - Certificates and the check after the work

  /// Looks at the certificates of an enterprise by the local day, and again at midnight.
  mutating func judgeCertificates(
    _ enterprise: String,
    only: String? = nil,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    guard let known = frame.enterprises[enterprise], let book = books[enterprise] else { return }
    let today = known.calendar.day(of: moment.time)
    let policy = known.welding.policy
    for id in only.map({ [$0] }) ?? book.welders.keys.sorted() {
      let point = "\(enterprise)/welding/welders/\(id)"
      let welder = book.welders[id]
      let left = welder?.daysLeft(on: today) ?? .max
      let isExpired = left < Int(policy.freezeDays)
      let isExpiring = !isExpired && left <= Int(policy.remindDays)
      for (rule, holds) in [(WeldingRule.certExpiring, isExpiring), (.certExpired, isExpired)] {
        guard let alarm = frame.alarms[rule] else { continue }
        let steps =
          holds
          ? alarms.raise(
            point,
            rule.rawValue,
            priority: alarm.priority,
            DeskAlarms.Evidence(
              onset: moment.time,
              value: Double(left),
              limit: rule == .certExpiring ? policy.remindDays : policy.freezeDays,
              unit: "d",
              detail: welder?.certificate ?? ""
            ),
            at: moment
          ) : alarms.clear(point, rule.rawValue, at: moment)
        emit(steps, at: moment, into: &output)
      }
    }
    if only == nil {
      setDeadline("e|" + enterprise, known.calendar.nextMidnight(after: moment.time))
    }
  }

  /// Sets when the place of a permit must have been confirmed clear.
  mutating func setAfterCheck(_ key: String) {
    setDeadline("p|" + key, afterCheckDue(key))
  }

  /// When the check after the work is overdue; nil when none is owed.
  private func afterCheckDue(_ key: String) -> Int64? {
    guard let work = works[key], let slash = key.firstIndex(of: "/") else { return nil }
    let enterprise = String(key[..<slash])
    guard let policy = frame.enterprises[enterprise]?.welding.policy,
      let permit = books[enterprise]?.permits[String(key[key.index(after: slash)...])],
      permit.clearedAt ?? .min < work.lastArc
    else { return nil }
    return max(work.lastArc, min(permit.until, permit.finishedAt ?? .max)) + policy.afterCheck
  }

  mutating func judgeAfterCheck(
    _ key: String,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    guard let slash = key.firstIndex(of: "/"), let alarm = frame.alarms[.afterCheck] else { return }
    let point = "\(key[..<slash])/welding/permits/\(key[key.index(after: slash)...])"
    let rule = WeldingRule.afterCheck.rawValue
    let due = afterCheckDue(key)
    if due == nil { works[key] = nil }
    let steps =
      if let due, due <= moment.time {
        alarms.raise(
          point,
          rule,
          priority: alarm.priority,
          DeskAlarms.Evidence(onset: due),
          at: moment
        )
      } else {
        alarms.clear(point, rule, at: moment)
      }
    emit(steps, at: moment, into: &output)
    if let due, due > moment.time { setDeadline("p|" + key, due) }
  }
}
