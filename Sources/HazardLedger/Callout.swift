public import Telemetry

/// A call-out: a plain value that inputs and deadlines drive and stored steps rebuild.
///
/// A step is stored before it is acted on. After a restart ``resume(at:)`` repeats each call whose
/// outcome is not known, marked in doubt: such a person may be called twice, and never not at all.
public struct Callout: Hashable, Sendable, Codable {
  /// Where a call-out stands.
  public enum Status: String, Hashable, Sendable, Codable {
    /// Not begun.
    case idle
    /// Calling.
    case calling
    /// Confirmed; feedback may still come.
    case confirmed
    /// Ended without a confirmation.
    case cancelled
  }

  /// Identity; the ledger's subject.
  public let id: String
  /// Whom to call; of each level, those who were on duty when it was last looked up.
  public private(set) var plan: CalloutPlan
  /// What it is about.
  public private(set) var subject: CalloutSubject
  /// Where it stands.
  public private(set) var status = Status.idle
  /// Level being called.
  public private(set) var level = 0
  /// Attempt within the level.
  public private(set) var attempt = 0
  /// True once 叫而不应 has been recorded.
  public private(set) var isUnanswered = false
  /// When it began.
  public private(set) var started: Timestamp?
  /// When it was confirmed.
  public private(set) var confirmed: Timestamp?
  /// Who confirmed.
  public private(set) var confirmedBy = ""
  /// What was done, as reported.
  public private(set) var feedback = ""
  /// Calls, or the question what was done, whose outcome is not known yet.
  public private(set) var outstanding: [CalloutStep] = []
  private var dispatches = 0
  private var due: Timestamp?
  /// Persons who were called and have gone off duty since; they can still confirm.
  private var relieved: [String] = []
  /// How often it has been asked what was done; nil in snapshots from before that was counted.
  private var questions: Int?
  /// Nil in snapshots of stations that had no levels.
  private var rules: RulesLevel?

  /// Times at most that it is asked what was done; then the channel's refusals stand in the ledger and among its dead
  /// letters.
  public static let questionLimit = 4

  /// Makes a call-out that has not begun.
  public init(
    id: String,
    plan: CalloutPlan,
    subject: CalloutSubject = CalloutSubject(),
    rules: RulesLevel = .newest
  ) {
    self.id = id
    self.plan = plan
    self.subject = subject
    self.rules = rules
  }

  /// Goes on by the rules of this level.
  public mutating func follow(_ level: RulesLevel) { rules = level }

  private var asksUntilTaken: Bool { rules ?? .first >= .notices }

  /// When ``advance(to:)`` has something to do next.
  public var nextDeadline: Timestamp? { due }

  /// Persons who can confirm: those of the levels called so far, and those whom they have relieved.
  public var named: [String] {
    var named = plan.levels[...level].flatMap(\.persons)
    for person in relieved where !named.contains(person) { named.append(person) }
    return named
  }

  /// Milliseconds from start to confirmation.
  public var answerMilliseconds: Int64? {
    guard let started, let confirmed else { return nil }
    return confirmed.milliseconds(since: started)
  }

  /// Begins calling.
  public mutating func start(at time: Timestamp) throws(CalloutRefusal) -> [CalloutStep] {
    guard status == .idle else { throw .ended }
    var steps: [CalloutStep] = []
    take(CalloutStep(event: .started, time: time), into: &steps)
    return steps + advance(to: time)
  }

  /// Does all that is due, in order, each at its own time.
  ///
  /// - Parameters:
  ///   - now: up to when.
  ///   - onDuty: who is on duty on a level of the plan at the moment of the call; nil, or nobody, leaves those who are
  ///     known: a call that reaches the shift before is better than none. Where the last level has nobody, the levels below
  ///     are looked up too, down to the first that has somebody.
  /// - Returns: the steps to store.
  public mutating func advance(
    to now: Timestamp,
    onDuty: (Int) -> [String]? = { _ in nil }
  ) -> [CalloutStep] {
    var steps: [CalloutStep] = []
    while let time = due, time <= now {
      if status == .confirmed {
        var question = CalloutStep(event: .feedbackDue, time: time, person: confirmedBy)
        if asksUntilTaken {
          question.attempt = (questions ?? 0) + 1
          question.dispatch = dispatches + 1
        }
        take(question, into: &steps)
        continue
      }
      if attempt >= plan.levels[level].attempts {
        if level + 1 < plan.levels.count {
          take(CalloutStep(event: .escalated, time: time, level: level + 1), into: &steps)
        } else if !isUnanswered {
          take(CalloutStep(event: .unanswered, time: time, level: level), into: &steps)
        }
      }
      let next = attempt + 1
      lookUp(level, at: time, onDuty: onDuty, into: &steps)
      if plan.levels[level].persons.isEmpty, level + 1 == plan.levels.count {
        // Those below it are called in its place: the shift that is there now, not that of when their level was called.
        for below in (0..<level).reversed() {
          lookUp(below, at: time, onDuty: onDuty, into: &steps)
          if !plan.levels[below].persons.isEmpty { break }
        }
      }
      if plan.levels[level].persons.isEmpty {
        take(CalloutStep(event: .nobody, time: time, level: level, attempt: next), into: &steps)
        guard level + 1 == plan.levels.count else { continue }
        if !isUnanswered {
          take(CalloutStep(event: .unanswered, time: time, level: level), into: &steps)
        }
      }
      for person in callees {
        take(
          CalloutStep(
            event: .dispatching,
            time: time,
            level: level,
            attempt: next,
            dispatch: dispatches + 1,
            person: person
          ),
          into: &steps
        )
      }
    }
    return steps
  }

  /// Takes over who is on duty on a level; where nobody is known to be, those of before stay.
  private mutating func lookUp(
    _ known: Int,
    at time: Timestamp,
    onDuty: (Int) -> [String]?,
    into steps: inout [CalloutStep]
  ) {
    guard let persons = onDuty(known), !persons.isEmpty, persons != plan.levels[known].persons
    else { return }
    take(
      CalloutStep(event: .dutyChanged, time: time, level: known, persons: persons),
      into: &steps
    )
  }

  /// After a restart: repeats the calls whose outcome was lost, marked in doubt, and goes on.
  public mutating func resume(
    at now: Timestamp,
    onDuty: (Int) -> [String]? = { _ in nil }
  ) -> [CalloutStep] {
    var steps: [CalloutStep] = []
    for lost in outstanding {
      var again = lost
      again.time = now
      again.dispatch = dispatches + 1
      again.inDoubt = true
      outstanding.removeAll { $0.dispatch == lost.dispatch }
      take(again, into: &steps)
    }
    // A batch that was cut short is completed: whoever of this attempt has not been called is.
    if status == .calling { steps += completeAttempt(at: now) }
    return steps + advance(to: now, onDuty: onDuty)
  }

  private var calledInAttempt: [String] = []

  /// Whom an attempt calls: the level's persons.
  ///
  /// The last level goes on for ever, so where it has nobody those of the nearest level below that has somebody are
  /// called again.
  private var callees: [String] {
    let persons = plan.levels[level].persons
    guard persons.isEmpty, level + 1 == plan.levels.count else { return persons }
    return plan.levels.last { !$0.persons.isEmpty }?.persons ?? []
  }

  private mutating func completeAttempt(at now: Timestamp) -> [CalloutStep] {
    var steps: [CalloutStep] = []
    guard attempt > 0 else { return steps }
    for person in callees where !calledInAttempt.contains(person) {
      take(
        CalloutStep(
          event: .dispatching,
          time: now,
          level: level,
          attempt: attempt,
          dispatch: dispatches + 1,
          person: person
        ),
        into: &steps
      )
    }
    return steps
  }

  /// The channel's word on a call.
  public mutating func report(
    dispatch: Int,
    delivered: Bool,
    detail: String = "",
    at time: Timestamp
  ) throws(CalloutRefusal) -> [CalloutStep] {
    guard let call = outstanding.first(where: { $0.dispatch == dispatch }) else {
      throw .unknownDispatch
    }
    var steps: [CalloutStep] = []
    let isQuestion = call.event == .feedbackDue
    take(
      CalloutStep(
        event: isQuestion
          ? delivered ? .feedbackDelivered : .feedbackFailed : delivered ? .delivered : .failed,
        time: time,
        level: call.level,
        attempt: call.attempt,
        dispatch: dispatch,
        person: call.person,
        text: detail
      ),
      into: &steps
    )
    return steps
  }

  /// A named person confirms: calling stops at once.
  ///
  /// - Parameters:
  ///   - person: one of those called so far.
  ///   - channel: by what: a channel's name, `console`, `acknowledge`.
  ///   - time: when.
  /// - Returns: the steps to store.
  /// - Throws: when it is not calling, or the person was not called.
  public mutating func confirm(
    by person: String,
    via channel: String = "",
    at time: Timestamp
  ) throws(CalloutRefusal) -> [CalloutStep] {
    guard status == .calling else { throw .ended }
    guard named.contains(person) else { throw .notNamed }
    var steps: [CalloutStep] = []
    take(
      CalloutStep(event: .confirmed, time: time, level: level, person: person, text: channel),
      into: &steps
    )
    return steps
  }

  /// Another alarm joins while it is calling.
  public mutating func join(
    _ alarm: String,
    priority: Int,
    at time: Timestamp
  ) throws(CalloutRefusal) -> [CalloutStep] {
    guard status == .calling else { throw .ended }
    guard !subject.subjects.contains(alarm), subject.subjects.count < Self.subjectLimit else {
      return []
    }
    var steps: [CalloutStep] = []
    take(
      CalloutStep(event: .joined, time: time, level: level, text: alarm, priority: priority),
      into: &steps
    )
    return steps
  }

  /// How many alarms one call-out names; what joins beyond is called out all the same, unnamed.
  public static let subjectLimit = 200

  /// Ends it without a confirmation; who and why are on record.
  public mutating func cancel(
    by person: String,
    reason: String,
    at time: Timestamp
  ) throws(CalloutRefusal) -> [CalloutStep] {
    guard status == .calling else { throw .ended }
    var steps: [CalloutStep] = []
    take(
      CalloutStep(event: .cancelled, time: time, level: level, person: person, text: reason),
      into: &steps
    )
    return steps
  }

  /// Reports what was done.
  public mutating func report(
    feedback text: String,
    by person: String,
    at time: Timestamp
  ) throws(CalloutRefusal) -> [CalloutStep] {
    guard status == .confirmed else { throw .noFeedbackAsked }
    var steps: [CalloutStep] = []
    take(CalloutStep(event: .feedback, time: time, person: person, text: text), into: &steps)
    return steps
  }

  private mutating func take(_ step: CalloutStep, into steps: inout [CalloutStep]) {
    replay(step)
    steps.append(step)
  }

  /// Takes a step that was decided before: the only place where state changes.
  ///
  /// A step about a level that the plan does not have, from a ledger of another hand, changes no level.
  public mutating func replay(_ step: CalloutStep) {
    switch step.event {
    case .started:
      status = .calling
      started = step.time
      due = step.time
    case .dispatching:
      // Even of a step that is passed over the number is taken: no later call may have it again.
      dispatches = max(dispatches, step.dispatch)
      guard plan.levels.indices.contains(step.level) else { return }
      if step.inDoubt {
        outstanding.removeAll {
          $0.level == step.level && $0.attempt == step.attempt && $0.person == step.person
        }
        // The repeat of an earlier attempt's call does not take the call-out back to that attempt.
        if rules ?? .first >= .notices, (step.level, step.attempt) < (level, attempt) {
          outstanding.append(step)
          return
        }
      }
      if step.level != level || step.attempt != attempt {
        level = step.level
        attempt = step.attempt
        calledInAttempt = []
      }
      if !step.inDoubt, calledInAttempt.isEmpty {
        due = step.time.advanced(byMilliseconds: plan.levels[level].intervalMilliseconds)
      }
      calledInAttempt.append(step.person)
      outstanding.append(step)
    case .delivered, .failed, .feedbackDelivered:
      outstanding.removeAll { $0.dispatch == step.dispatch }
    case .feedbackFailed:
      outstanding.removeAll { $0.dispatch == step.dispatch }
      // The channels have tried for as long as they do: asked again as late as it was asked for the first time.
      guard status == .confirmed, step.attempt < Self.questionLimit else { return }
      due = step.time.advanced(byMilliseconds: max(60_000, plan.feedbackAfterMilliseconds))
    case .nobody:
      guard plan.levels.indices.contains(step.level) else { return }
      level = step.level
      calledInAttempt = []
      if step.level + 1 < plan.levels.count {
        // Its attempts are used up: the next level is due at this very moment.
        attempt = plan.levels[step.level].attempts
        due = step.time
      } else {
        attempt = step.attempt
        due = step.time.advanced(byMilliseconds: plan.levels[step.level].intervalMilliseconds)
      }
    case .escalated:
      guard plan.levels.indices.contains(step.level) else { return }
      level = step.level
      attempt = 0
      calledInAttempt = []
    case .unanswered: isUnanswered = true
    case .confirmed:
      status = .confirmed
      confirmed = step.time
      confirmedBy = step.person
      outstanding = []
      due =
        plan.feedbackAfterMilliseconds > 0
        ? step.time.advanced(byMilliseconds: plan.feedbackAfterMilliseconds) : nil
    case .cancelled:
      status = .cancelled
      outstanding = []
      due = nil
    case .joined:
      subject.subjects.append(step.text)
      subject.priority = max(subject.priority, step.priority)
    case .dutyChanged:
      guard plan.levels.indices.contains(step.level) else { return }
      // Before the level's first attempt nobody of it has been called, and nobody of the shift before has to answer.
      // Those of a level below have been called.
      if step.level < level || (step.level == level && attempt > 0) {
        for person in plan.levels[step.level].persons
        where !step.persons.contains(person) && !relieved.contains(person) {
          relieved.append(person)
        }
      }
      plan.levels[step.level].persons = step.persons
    case .feedbackDue:
      due = nil
      // Questions of older ledgers have no number, and nobody waits for the word on them.
      guard step.dispatch > 0 else { return }
      questions = max(questions ?? 0, step.attempt)
      dispatches = max(dispatches, step.dispatch)
      if step.inDoubt { outstanding.removeAll() }
      outstanding.append(step)
    case .feedback:
      feedback = step.text
      due = nil
      outstanding = []
    }
  }
}
