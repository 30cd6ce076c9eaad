import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// Notices (提醒) to persons: what clocks and overdue hazards have to tell, through the same channels as calls.
///
/// Nobody has to confirm one. It is an entry before it goes out, is tried again until a channel has taken it for every
/// person, and is given up on record.
extension HazardDesk {
  /// What ids of notices begin with.
  static let noticePrefix = "notice/"
  /// Subjects that a notice spells out; the rest is counted.
  private static let spelt = 3

  // MARK: - Occasions

  /// Tells of clocks that warn or have come due.
  ///
  /// What comes due at the same moment for the same reason in one enterprise is one notice: certificates end by the
  /// hundred on one day.
  func tell(of steps: [ClockStep], _ record: JournalRecord, into output: inout CoreOutput) {
    let now = Timestamp(milliseconds: record.input.received)
    var groups: [(occasion: ResponsePolicy.Occasion, key: String, steps: [ClockStep])] = []
    for step in steps where isWorthTelling(step, at: now) {
      let occasion = ResponsePolicy.Occasion(step.clock.kind)
      let owner = PlaceIndex.leading(1, of: place(of: step.clock))
      let key = "\(occasion.rawValue) \(step.event.rawValue) \(owner)"
      if let row = groups.firstIndex(where: { $0.key == key }) {
        groups[row].steps.append(step)
      } else {
        groups.append((occasion, key, [step]))
      }
    }
    for group in groups { tell(group.occasion, of: group.steps, at: now, record, into: &output) }
  }

  private func isWorthTelling(_ step: ClockStep, at now: Timestamp) -> Bool {
    switch step.event {
    // A station that stood still tells that the time is over, and not first that it soon will be.
    case .warned: step.clock.due > now
    // Where the ladder's first rung is climbed at the deadline itself and somebody is told of it, that says the same.
    case .expired:
      step.clock.kind != .rectification || policy.overdue.remind != 0
        || policy.notices[.remind] == nil
    case .started, .stopped, .noted: false
    }
  }

  private func tell(
    _ occasion: ResponsePolicy.Occasion,
    of steps: [ClockStep],
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard let first = steps.first?.clock else { return }
    let isOver = steps[0].event == .expired
    let left = Self.span(first.due.milliseconds(since: now))
    let name = occasion.name
    let title =
      isOver
      ? CalloutDispatch.Text(zh: "\(name.zh)：已到期", en: "\(name.en): the time is over")
      : CalloutDispatch.Text(zh: "\(name.zh)：还剩\(left.zh)", en: "\(name.en): \(left.en) left")
    var lines = steps.prefix(Self.spelt).map { line(on: $0.clock) }
    if steps.count > Self.spelt { lines.append(Self.more(steps.count - Self.spelt)) }
    let places = steps.map { place(of: $0.clock) }
    send(
      occasion,
      about: places[0],
      place: Set(places).count == 1 ? places[0] : PlaceIndex.leading(1, of: places[0]),
      subjects: steps.flatMap { [$0.clock.id, $0.clock.about] },
      priority: Self.priority(of: occasion, isOver: isOver),
      title: title,
      text: CalloutDispatch.Text(
        zh: lines.map(\.zh).joined(separator: "；"),
        en: lines.map(\.en).joined(separator: "; ")
      ),
      record,
      into: &output
    )
  }

  /// Tells of a rung of 提醒→督办→通报→警示 that has been climbed, by the engine or by a person.
  func tell(
    _ occasion: ResponsePolicy.Occasion,
    of hazard: Hazard,
    _ input: HazardInput,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    let registration = hazard.registration
    var text = words(on: hazard)
    if let deadline = hazard.deadline {
      let due = wall(deadline, at: registration.place)
      text.zh += "，整改期限 \(due)"
      text.en += ", deadline \(due)"
    }
    if !input.reason.isEmpty {
      text.zh += "。\(input.reason)"
      text.en += ". \(input.reason)"
    }
    send(
      occasion,
      about: registration.place,
      place: registration.place,
      subjects: [registration.id],
      priority: Self.priority(of: occasion, isOver: true),
      title: CalloutDispatch.Text(
        zh: "\(occasion.name.zh)：隐患整改逾期",
        en: "\(occasion.name.en), a hazard is not rectified in time"
      ),
      text: text,
      record,
      into: &output
    )
  }

  // MARK: - Words

  /// Where a clock belongs: the place of its hazard or report, or what it is about.
  private func place(of clock: LedgerClock) -> String {
    if let hazard = state.hazards[clock.about] { return hazard.registration.place }
    if let report = state.reports[clock.id] { return report.place }
    return clock.about
  }

  /// One clock in words: what it is about, and until when.
  private func line(on clock: LedgerClock) -> CalloutDispatch.Text {
    var text: CalloutDispatch.Text
    if let hazard = state.hazards[clock.about] {
      text = words(on: hazard)
    } else if let name = AlarmName(clock.about), let rule = description(of: name) {
      text = CalloutDispatch.Text(
        zh: "\(rule.place.zh)，\(rule.text.zh)",
        en: "\(rule.place.en), \(rule.text.en)"
      )
    } else {
      let enterprise = places.enterprises[PlaceIndex.leading(1, of: clock.about)]?.name
      let id = clock.about.split(separator: "/").last.map { String($0) } ?? clock.about
      text = CalloutDispatch.Text(
        zh: "\(enterprise.map { "\($0.zh) " } ?? "")\(id)",
        en: "\(enterprise.map { "\($0.en) " } ?? "")\(id)"
      )
    }
    let due = wall(clock.due, at: place(of: clock))
    return CalloutDispatch.Text(zh: "\(text.zh)，期限 \(due)", en: "\(text.en), due \(due)")
  }

  private func words(on hazard: Hazard) -> CalloutDispatch.Text {
    let registration = hazard.registration
    // What the engine registers has its English words in the detail; people write one text.
    let isEngines = registration.source == .monitoring && !registration.detail.isEmpty
    return CalloutDispatch.Text(
      zh: registration.title,
      en: isEngines ? registration.detail : registration.title
    )
  }

  private func wall(_ time: Timestamp, at place: String) -> String {
    WallTime(time, zone: zone(of: place)).text
  }

  private static func more(_ count: Int) -> CalloutDispatch.Text {
    CalloutDispatch.Text(zh: "另有 \(count) 项", en: "\(count) more")
  }

  /// How long it is still, in the largest unit that leaves no more than a tenth out.
  private static func span(_ milliseconds: Int64) -> CalloutDispatch.Text {
    let minutes = max(1, (milliseconds + 30_000) / 60_000)
    if minutes < 120 { return CalloutDispatch.Text(zh: "\(minutes)分钟", en: "\(minutes) min") }
    let hours = (minutes + 30) / 60
    if hours < 48 { return CalloutDispatch.Text(zh: "\(hours)小时", en: "\(hours) h") }
    let days = (hours + 12) / 24
    return CalloutDispatch.Text(zh: "\(days)天", en: "\(days) d")
  }

  private static func priority(of occasion: ResponsePolicy.Occasion, isOver: Bool) -> Int {
    switch occasion {
    case .report, .upperReport: isOver ? 4 : 3
    case .warn: 4
    case .supervise, .circulate: 3
    case .permit, .rectification: isOver ? 3 : 2
    case .remind: 2
    case .supplement, .checkTask, .certificate: isOver ? 2 : 1
    }
  }

  // MARK: - Sending

  private func send(
    _ occasion: ResponsePolicy.Occasion,
    about: String,
    place: String,
    subjects: [String],
    priority: Int,
    title: CalloutDispatch.Text,
    text: CalloutDispatch.Text,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard level >= .notices, let receivers = policy.notices[occasion] else { return }
    let number = (state.lastNotice ?? 0) + 1
    state.lastNotice = number
    let now = Timestamp(milliseconds: record.input.received)
    var notice = PendingNotice(
      id: "\(Self.noticePrefix)\(number)",
      subject: NoticeSubject(
        occasion: occasion.rawValue,
        place: place,
        priority: priority,
        subjects: Array(subjects.prefix(Callout.subjectLimit)),
        title: title,
        text: text,
        persons: persons(of: receivers, about: about, at: now),
        channels: receivers.channels,
        intervalMilliseconds: receivers.intervalMilliseconds,
        attempts: receivers.attempts
      )
    )
    // Sent now, also where it fell due while the station stood still: its tries are counted from here.
    var step = notice.start(at: now)
    if state.notices?.count ?? 0 >= Self.noticeLimit {
      // Its outcome will not be waited for, and its entry says so: nothing remains to be done.
      step.remaining = 0
    } else if notice.isOpen {
      state.notices = state.notices ?? [:]
      state.notices?[notice.id] = notice
    }
    emit([step], of: notice, record, into: &output)
  }

  private func emit(
    _ steps: [NoticeStep],
    of notice: PendingNotice,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    for step in steps {
      output.drafts.append(notice.draft(of: step, origin: record.sequence))
      switch step.event {
      case .told:
        for (row, person) in notice.subject.persons.enumerated() {
          output.dispatches.append(
            dispatch(of: notice, number: row + 1, person, attempt: 1, inDoubt: false, step.time)
          )
        }
      case .repeated:
        output.dispatches.append(
          dispatch(
            of: notice,
            number: step.number,
            step.person,
            attempt: step.attempt,
            inDoubt: step.inDoubt,
            step.time
          )
        )
      case .nobody, .delivered, .failed, .lapsed: break
      }
    }
    scheduleNotice(notice.id)
  }

  private func dispatch(
    of notice: PendingNotice,
    number: Int,
    _ person: String,
    attempt: Int,
    inDoubt: Bool,
    _ time: Timestamp
  ) -> CalloutDispatch {
    let subject = notice.subject
    return CalloutDispatch(
      id: "\(notice.id)#\(number).\(attempt)",
      callout: notice.id,
      number: number,
      purpose: .notice,
      contact: contact(person),
      channels: subject.channels,
      situation: subject.occasion,
      attempt: attempt,
      inDoubt: inDoubt,
      priority: subject.priority,
      title: subject.title,
      text: subject.text,
      subjects: subject.subjects,
      group: subject.place,
      time: time
    )
  }

  /// Tries again what no channel has taken, or gives it up.
  func advanceNotice(
    _ id: String,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    guard var notice = state.notices?[id] else { return }
    let steps = notice.advance(to: Timestamp(milliseconds: record.input.received))
    keep(notice)
    emit(steps, of: notice, record, into: &output)
  }

  func scheduleNotice(_ id: String) {
    agenda.set(DeskItem(kind: .notice, id: id), state.notices?[id]?.nextDeadline)
  }

  func resumeNotices(
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    for id in (state.notices ?? [:]).keys.sorted() {
      guard var notice = state.notices?[id] else { continue }
      let steps = notice.resume(at: now)
      keep(notice)
      emit(steps, of: notice, record, into: &output)
    }
  }

  /// A channel's word on a notice; `place` is number and try, as in the dispatch's id.
  func noticeOutcome(
    _ id: String,
    _ place: Substring,
    delivered: Bool,
    _ words: String,
    at now: Timestamp,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let numbers = place.split(separator: ".").map { Int($0) ?? 0 }
    guard numbers.count == 2 else { throw .incomplete("dispatch: \(id)#\(place) is none") }
    guard var notice = state.notices?[id] else {
      throw .refused("no notice \(id) that waits for a word", code: "unknown-notice")
    }
    let step: NoticeStep
    do throws(CalloutRefusal) {
      step = try notice.report(
        number: numbers[0],
        attempt: numbers[1],
        delivered: delivered,
        detail: words,
        at: now
      )
    } catch {
      throw .refused(error.text, code: error.code)
    }
    keep(notice)
    emit([step], of: notice, record, into: &output)
  }

  private func keep(_ notice: PendingNotice) {
    state.notices?[notice.id] = notice.isOpen ? notice : nil
  }
}

extension ResponsePolicy.Occasion {
  init(_ kind: ClockKind) {
    self =
      switch kind {
      case .oneHourReport: .report
      case .upperReport: .upperReport
      case .supplement: .supplement
      case .rectification: .rectification
      case .permitEnd: .permit
      case .certificateExpiry: .certificate
      case .checkTask: .checkTask
      }
  }

  /// The occasion of a rung; nil for every other act.
  init?(rung act: HazardAct) {
    switch act {
    case .remind: self = .remind
    case .supervise: self = .supervise
    case .circulate: self = .circulate
    case .warn: self = .warn
    default: return nil
    }
  }
}
