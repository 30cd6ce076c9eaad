import DeviceCatalog
import HazardLedger
import PayloadDecoding
import Telemetry

extension WeldingState {
  // MARK: - Readings

  /// Takes what machines tell, machine by machine.
  mutating func observe(
    _ readings: borrowing ReadingBatch,
    sequence: UInt64,
    received: Int64,
    into output: inout CoreOutput
  ) {
    var index = 0
    while index < readings.count {
      let channel = Int(readings.channel[index])
      if channel < frame.airOfChannel.count, frame.airOfChannel[channel] != .nothing {
        takeAir(
          readings.reading(at: index),
          channel,
          sequence: sequence,
          received: received,
          into: &output
        )
      }
      let row = channel < frame.placeOfChannel.count ? Int(frame.placeOfChannel[channel]) : -1
      var end = index + 1
      while end < readings.count, row >= 0, placeRow(readings.channel[end]) == row,
        frame.airOfChannel[Int(readings.channel[end])] == .nothing
      {
        end += 1
      }
      if row >= 0 {
        take(readings, index..<end, row: row, sequence: sequence, received: received, into: &output)
      }
      index = end
    }
  }

  private func placeRow(_ channel: UInt32) -> Int {
    Int(channel) < frame.placeOfChannel.count ? Int(frame.placeOfChannel[Int(channel)]) : -1
  }

  private mutating func take(
    _ readings: borrowing ReadingBatch,
    _ range: Range<Int>,
    row: Int,
    sequence: UInt64,
    received: Int64,
    into output: inout CoreOutput
  ) {
    let place = frame.places[row]
    guard let policy = frame.enterprises[place.enterprise]?.welding.policy else { return }
    var hasBegun = false
    for index in range {
      let reading = readings.reading(at: index)
      guard !reading.flags.contains(.historical) else { continue }
      let time = judged(
        reading.time.milliseconds,
        received: received,
        isBacklog: readings.isBacklog,
        policy: policy
      )
      let at = max(time, machines[place.key]?.moment ?? .min)
      let moment = self.moment(at, received: received, sequence: sequence)
      if !hasBegun {
        // What a deadline between the last reading and this one brings, it brings before this one.
        hasBegun = true
        if let due = deadlines["m|" + place.key], due.milliseconds <= at {
          judge(row, at: moment, isLater: false, into: &output)
        }
      }
      apply(reading, time: at, row: row, moment: moment, into: &output)
    }
    guard hasBegun else { return }
    machines[place.key]?.heard = received
    let at = machines[place.key]?.moment ?? received
    let moment = self.moment(at, received: received, sequence: sequence)
    emit(
      alarms.clear(place.point, WeldingRule.offline.rawValue, at: moment),
      at: moment,
      into: &output
    )
    judge(row, at: moment, isLater: false, into: &output)
  }

  /// The moment that a reading is judged for: its own time where that can be believed.
  private func judged(
    _ time: Int64,
    received: Int64,
    isBacklog: Bool,
    policy: WeldingPolicy
  ) -> Int64 {
    if isBacklog { return min(time, received) }
    return time.isApart(from: received, byMoreThan: policy.clockTolerance)
      ? received : min(time, received)
  }

  private mutating func apply(
    _ reading: Reading,
    time: Int64,
    row: Int,
    moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    let place = frame.places[row]
    var machine = machines[place.key] ?? Machine()
    machine.moment = max(machine.moment, time)
    defer { machines[place.key] = machine }
    guard reading.status.use == .evaluate, reading.value.isFinite else { return }
    let sample = Sample(value: reading.value, time: time)
    switch frame.roleOfChannel[Int(reading.channel.rawValue)] {
    case .current:
      machine.current = sample
      takeCurrent(&machine, place, at: moment, into: &output)
    case .mains: machine.mains = sample
    case .locked: machine.locked = sample
    case .tamper:
      let isTampered = reading.value >= 1
      if isTampered, !machine.isTampered {
        machine.isTampered = true
        bar(place, reason: "芯片拆除", at: moment, into: &output)
        lockMachine(&machine, place, cause: "chip-removed", at: moment, into: &output)
      }
      machine.isTampered = isTampered
    case .longitude:
      machine.longitude = sample
      takeFix(&machine, place)
    case .latitude:
      machine.latitude = sample
      takeFix(&machine, place)
    case .other: break
    }
    takeBypass(&machine, place, time: time)
  }

  private mutating func takeCurrent(
    _ machine: inout Machine,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    guard let current = machine.current,
      let policy = frame.enterprises[place.enterprise]?.welding.policy
    else { return }
    if current.value > policy.idleCurrent {
      if machine.arcSince == nil { beginArc(&machine, place, at: current.time, policy: policy) }
      noteWork(machine, place, at: current.time)
      let normal = books[place.enterprise]?.machines[place.device]?.normalCurrent
      if let normal, normal.count == 2,
        !(normal[0]...max(normal[0], normal[1])).contains(current.value)
      {
        machine.abnormalSince = machine.abnormalSince ?? current.time
      } else {
        machine.abnormalSince = nil
      }
      if let cut = machine.cut, current.time >= cut.deadline {
        failCut(&machine, cut, place, at: moment, into: &output)
      }
    } else {
      if machine.arcSince != nil { machine.arcEnded = current.time }
      machine.arcSince = nil
      machine.abnormalSince = nil
      machine.isRetestDue = false
      machine.isLockedUnderArc = false
      verifyCut(&machine, place, at: moment, into: &output)
    }
  }

  private mutating func beginArc(
    _ machine: inout Machine,
    _ place: WeldingFrame.Place,
    at time: Int64,
    policy: WeldingPolicy
  ) {
    machine.arcSince = time
    guard let session = machine.session,
      let permit = books[place.enterprise]?.permits[session.permit]
    else { return }
    let pause = time - max(session.from, machine.arcEnded ?? .min)
    machine.isRetestDue =
      pause > policy.longestBreak(permit.hotWorkClass)
      && !permit.hasGasTest(at: time, policy: policy)
  }

  /// Counts the work for the day's commitment and for the check after it.
  private mutating func noteWork(
    _ machine: Machine,
    _ place: WeldingFrame.Place,
    at time: Int64
  ) {
    guard let calendar = frame.enterprises[place.enterprise]?.calendar else { return }
    let today = "\(calendar.day(of: time))"
    if days[place.enterprise]?.day ?? "" < today { days[place.enterprise] = Day(day: today) }
    days[place.enterprise]?.works.insert(machine.session?.permit ?? place.device)
    guard let permit = machine.session?.permit else { return }
    let key = "\(place.enterprise)/\(permit)"
    works[key] = Work(lastArc: max(time, works[key]?.lastArc ?? .min))
    setAfterCheck(key)
  }

  private func takeFix(_ machine: inout Machine, _ place: WeldingFrame.Place) {
    guard let longitude = machine.longitude, let latitude = machine.latitude,
      longitude.time == latitude.time, let fix = machine.fix
    else { return }
    guard let session = machine.session,
      let permit = books[place.enterprise]?.permits[session.permit]
    else {
      machine.outsideFixes = 0
      return
    }
    machine.outsideFixes = permit.covers(fix.position) ? 0 : machine.outsideFixes + 1
  }

  private func takeBypass(_ machine: inout Machine, _ place: WeldingFrame.Place, time: Int64) {
    guard let policy = frame.enterprises[place.enterprise]?.welding.policy else { return }
    if let mains = machine.mains, let current = machine.current, mains.value > policy.idleCurrent,
      current.value <= policy.idleCurrent
    {
      machine.bypassSince = machine.bypassSince ?? max(mains.time, current.time)
    } else {
      machine.bypassSince = nil
    }
  }

  // MARK: - Locking

  /// Ends the release, sends the lock command and waits to see the current stop.
  mutating func lockMachine(
    _ machine: inout Machine,
    _ place: WeldingFrame.Place,
    cause: String,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    guard let policy = frame.enterprises[place.enterprise]?.welding.policy else { return }
    let session = machine.session
    machine.session = nil
    machine.isLockedUnderArc = machine.arcSince != nil
    machine.outsideFixes = 0
    machine.isRetestDue = false
    if machine.cut == nil {
      machine.cut = Cut(
        cause: cause,
        sent: moment.time,
        deadline: moment.time + policy.cutWithin,
        attempts: 1
      )
    }
    command("lock", place, cause: cause, session: session, at: moment, into: &output)
  }

  /// Sends a command to a machine, recorded before it is sent.
  func command(
    _ name: String,
    _ place: WeldingFrame.Place,
    cause: String,
    session: Session?,
    until: Int64? = nil,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    let machine = books[place.enterprise]?.machines[place.device]
    var members: [String: HazardLedger.JSONValue] = [
      "cause": .string(cause), "command": .string(name), "device": .string(place.device),
      "id": .string("\(moment.sequence)-\(place.device)-\(name)"), "time": .integer(moment.time),
    ]
    if let chip = machine?.chip { members["chip"] = .string(chip) }
    if let session {
      members["permit"] = .string(session.permit)
      members["welder"] = .string(session.welder)
    }
    if let until { members["until"] = .integer(until) }
    let row = note(name, subject: place.path, members, at: moment, into: &output)
    output.answers.append(
      CoreOutput.Answer(
        topic: machine?.commandTopic
          ?? "davy/v1/\(place.enterprise)/\(place.gateway)/commands/\(place.device)",
        payload: HazardLedger.JSONValue.object(members).canonicalBytes(),
        draftIndex: row
      )
    )
  }

  /// The current has stopped: the lock command is proven.
  private func verifyCut(
    _ machine: inout Machine,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    guard let cut = machine.cut, let current = machine.current, current.time >= cut.sent else {
      return
    }
    machine.cut = nil
    note(
      "lock-verified",
      subject: place.path,
      [
        "attempts": .integer(Int64(cut.attempts)), "cause": .string(cut.cause),
        "current": .number(current.value), "after": .integer(current.time - cut.sent),
      ],
      at: moment,
      into: &output
    )
  }

  /// Time is up for a lock command, and nothing has proven it.
  mutating func checkCut(
    _ machine: inout Machine,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    guard let cut = machine.cut, cut.deadline <= moment.time else { return }
    guard machine.arcSince != nil else {
      // It did not weld when it was locked and has said nothing since: there is no current to stop.
      machine.cut = nil
      note(
        "lock-unverified",
        subject: place.path,
        ["cause": .string(cut.cause), "detail": .string("no reading since the command")],
        at: moment,
        into: &output
      )
      return
    }
    failCut(&machine, cut, place, at: moment, into: &output)
  }

  /// The current goes on, or nobody knows: an alarm, and the command once more.
  private mutating func failCut(
    _ machine: inout Machine,
    _ cut: Cut,
    _ place: WeldingFrame.Place,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    guard let policy = frame.enterprises[place.enterprise]?.welding.policy else { return }
    var cut = cut
    cut.hasFailed = true
    if cut.attempts < Int(policy.cutAttempts) {
      cut.attempts += 1
      cut.deadline = moment.time + policy.cutWithin
      command("lock", place, cause: cut.cause, session: nil, at: moment, into: &output)
    }
    machine.cut = cut
  }

  /// Puts a machine on the black-list.
  mutating func bar(
    _ place: WeldingFrame.Place,
    reason: String,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    guard var machine = books[place.enterprise]?.machines[place.device], machine.barred == nil
    else { return }
    machine.barred = reason
    change(
      place.enterprise,
      .machines,
      place.device,
      RegisterChange(machine: machine),
      actor: "engine",
      reason: reason,
      at: moment,
      into: &output
    )
  }

  // MARK: - Gas and temperature near by

  /// Follows gas and temperature alarms of the areas in which machines stand.
  mutating func follow(
    _ step: AlarmBody,
    at moment: DeskMoment,
    into output: inout CoreOutput
  ) {
    let name = "\(step.point)#\(step.rule)"
    guard let area = frame.nearRules[name] else { return }
    var standing = near[area] ?? []
    switch step.event {
    case .raised: standing.insert(name)
    case .returned: standing.remove(name)
    case .acknowledged, .reset, .shelved, .unshelved, .suppressed, .unsuppressed,
      .removedFromService, .returnedToService, .priorityChanged, .reAlarmed, .revised:
      if step.state == .normal { standing.remove(name) }
    }
    near[area] = standing.isEmpty ? nil : standing
    for row in frame.placesInArea[area] ?? [] where machines[frame.places[row].key] != nil {
      let at = max(moment.time, machines[frame.places[row].key]?.moment ?? .min)
      let moment = self.moment(at, received: moment.received, sequence: moment.sequence)
      judge(row, at: moment, isLater: false, into: &output)
    }
  }
}
