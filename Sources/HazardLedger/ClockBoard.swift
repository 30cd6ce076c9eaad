public import Telemetry

/// What a clock of the ledger measures.
public enum ClockKind: String, CaseIterable, Hashable, Sendable, Codable {
  /// The unit's report within one hour (国务院令493, article 9).
  case oneHourReport
  /// Passing a report on to the level above, two hours each (article 11).
  case upperReport
  /// A supplement to a report (article 13).
  case supplement
  /// Rectification deadline of a hazard.
  case rectification
  /// End of a permit to work.
  case permitEnd
  /// Expiry of a certificate.
  case certificateExpiry
  /// Deadline of a check task (举一反三).
  case checkTask
}

/// A deadline that survives restarts, with warnings ahead of it.
public struct LedgerClock: Hashable, Sendable, Codable {
  /// Identity; the ledger's subject.
  public var id: String
  /// What it measures.
  public var kind: ClockKind
  /// What it is about: an alarm, hazard, permit or certificate.
  public var about: String
  /// When it comes due.
  public var due: Timestamp
  /// How long before that to warn.
  public var warningsMilliseconds: [Int64]

  /// Makes a clock.
  public init(
    id: String,
    kind: ClockKind,
    about: String,
    due: Timestamp,
    warningsMilliseconds: [Int64] = []
  ) {
    self.id = id
    self.kind = kind
    self.about = about
    self.due = due
    self.warningsMilliseconds = warningsMilliseconds
  }
}

/// One step of a clock's life.
public struct ClockStep: Hashable, Sendable {
  /// What happened.
  public enum Event: String, CaseIterable, Hashable, Sendable {
    /// It began to run, or was set anew.
    case started
    /// It will come due in the time that the step says.
    case warned
    /// It came due.
    case expired
    /// What it waited for was done in time, or after it had come due.
    case stopped
    /// Something was put down about it; it runs on.
    case noted
  }

  /// What happened.
  public var event: Event
  /// When: the deadline's own time, not the tick's.
  public var time: Timestamp
  /// The clock.
  public var clock: LedgerClock
  /// Milliseconds to the deadline; negative after it.
  public var remainingMilliseconds: Int64

  /// Makes a step.
  public init(event: Event, time: Timestamp, clock: LedgerClock, remainingMilliseconds: Int64) {
    self.event = event
    self.time = time
    self.clock = clock
    self.remainingMilliseconds = remainingMilliseconds
  }
}

/// All clocks of a station: a plain value that inputs and deadlines drive.
///
/// Starting, stopping and firing cost O(log n): a province's welders have some hundred thousand certificates.
public struct ClockBoard: Hashable, Sendable, Codable {
  /// What a clock does next; a warning goes before the deadline of the same moment, then names decide.
  private struct Mark: Hashable, Sendable, Comparable {
    var id: String
    var isWarning: Bool

    static func < (left: Mark, right: Mark) -> Bool {
      (left.isWarning ? 0 : 1, left.id) < (right.isWarning ? 0 : 1, right.id)
    }
  }

  private var clocks: [String: LedgerClock] = [:]
  private var expired: Set<String> = []
  /// Times of the warnings that a clock has yet to give, soonest last.
  private var warnings: [String: [Timestamp]] = [:]
  private var now = Timestamp.distantPast
  private var agenda = Agenda<Mark>()

  private enum CodingKeys: String, CodingKey {
    case clocks, expired, warnings, now
  }

  /// Makes an empty board.
  public init() {}

  /// Goes on with the clocks of a snapshot.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    clocks = try container.decode([String: LedgerClock].self, forKey: .clocks)
    expired = try container.decode(Set<String>.self, forKey: .expired)
    warnings = try container.decode([String: [Timestamp]].self, forKey: .warnings)
    now = try container.decode(Timestamp.self, forKey: .now)
    for (id, clock) in clocks where !expired.contains(id) {
      agenda.set(Mark(id: id, isWarning: false), clock.due)
      agenda.set(Mark(id: id, isWarning: true), warnings[id]?.last)
    }
  }

  /// Clocks that run or have come due and are not stopped, by id.
  public var running: [LedgerClock] { clocks.values.sorted { $0.id < $1.id } }

  /// The clock of this id; nil when there is none or it was stopped.
  public func clock(_ id: String) -> LedgerClock? { clocks[id] }

  /// True when the clock has come due and is not stopped.
  public func isExpired(_ id: String) -> Bool { expired.contains(id) }

  /// When ``advance(to:)`` has something to do next.
  public var nextDeadline: Timestamp? { agenda.next }

  /// Starts a clock, or sets it anew (an extension); warnings that are past already are left out.
  public mutating func start(_ clock: LedgerClock, at time: Timestamp) -> [ClockStep] {
    var steps = advance(to: time)
    let step = ClockStep(
      event: .started,
      time: time,
      clock: clock,
      remainingMilliseconds: clock.due.milliseconds(since: time)
    )
    replay(step)
    steps.append(step)
    return steps + advance(to: time)
  }

  /// Stops a clock; nil when there is none of that id.
  public mutating func stop(_ id: String, at time: Timestamp) -> [ClockStep]? {
    guard let clock = clocks[id] else { return nil }
    var steps = advance(to: time)
    let step = ClockStep(
      event: .stopped,
      time: time,
      clock: clock,
      remainingMilliseconds: clock.due.milliseconds(since: time)
    )
    replay(step)
    steps.append(step)
    return steps
  }

  /// Does all that is due, in order of time.
  public mutating func advance(to time: Timestamp) -> [ClockStep] {
    now = max(now, time)
    var steps: [ClockStep] = []
    while let (mark, due) = agenda.take(upTo: now) {
      guard let clock = clocks[mark.id] else { continue }
      let step = ClockStep(
        event: mark.isWarning ? .warned : .expired,
        time: due,
        clock: clock,
        remainingMilliseconds: clock.due.milliseconds(since: due)
      )
      replay(step)
      steps.append(step)
    }
    return steps
  }

  /// Takes a step that was decided before: the only place where clocks change.
  public mutating func replay(_ step: ClockStep) {
    let id = step.clock.id
    switch step.event {
    case .started:
      expired.remove(id)
      clocks[id] = step.clock
      warnings[id] = Set(step.clock.warningsMilliseconds).filter { $0 > 0 }
        .map { step.clock.due.advanced(byMilliseconds: -$0) }.filter { $0 > step.time }
        .sorted(by: >)
    case .noted: return
    case .warned: warnings[id]?.removeAll { $0 <= step.time }
    case .expired:
      warnings[id] = nil
      expired.insert(id)
    case .stopped:
      warnings[id] = nil
      expired.remove(id)
      clocks[id] = nil
    }
    let isRunning = clocks[id] != nil && !expired.contains(id)
    agenda.set(Mark(id: id, isWarning: false), isRunning ? clocks[id]?.due : nil)
    agenda.set(Mark(id: id, isWarning: true), isRunning ? warnings[id]?.last : nil)
  }
}

extension ClockStep {
  /// The step's entry.
  ///
  /// - Parameters:
  ///   - actor: who did it.
  ///   - origin: journal sequence of the input.
  ///   - extra: further members of the body: a report's text, its pre-filled draft, who it went to.
  /// - Returns: the entry to be.
  public func draft(
    actor: String = "engine",
    origin: UInt64,
    extra: [String: JSONValue] = [:]
  ) -> LedgerDraft {
    var members: [String: JSONValue] = [
      "event": .string(event.rawValue), "kind": .string(clock.kind.rawValue),
      "about": .string(clock.about), "due": .integer(clock.due.milliseconds),
      "warnings": .array(clock.warningsMilliseconds.map { .integer($0) }),
    ]
    members.merge(extra) { own, _ in own }
    return LedgerDraft(
      time: time,
      kind: .clock,
      subject: clock.id,
      actor: actor,
      body: JSONValue.object(members).canonicalBytes(),
      origin: origin
    )
  }

  /// Reads a step back from its entry.
  public init(decoding entry: LedgerEntry) throws(BodyError) {
    let json: JSONValue
    do throws(JSONSyntaxError) {
      json = try JSONValue(parsing: entry.body ?? [])
    } catch {
      throw BodyError(what: "clock body", detail: error.description)
    }
    let clock = LedgerClock(
      id: entry.subject,
      kind: try json.name("kind"),
      about: try json.text("about"),
      due: Timestamp(milliseconds: try json.whole("due")),
      warningsMilliseconds: (json["warnings"]?.elements ?? []).compactMap(\.wholeNumber)
    )
    self.init(
      event: try json.name("event"),
      time: entry.time,
      clock: clock,
      remainingMilliseconds: clock.due.milliseconds(since: entry.time)
    )
  }
}
