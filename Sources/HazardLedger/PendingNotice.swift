public import Telemetry

/// What a notice is about and whom it is for.
public struct NoticeSubject: Hashable, Sendable, Codable {
  /// Why it is sent: `report`, `certificate`, `supervise` …, as the response file names it.
  public var occasion: String
  /// Path that its subjects share.
  public var place: String
  /// 1 blue … 4 red.
  public var priority: Int
  /// Clocks and hazards that it is about.
  public var subjects: [String]
  /// One line.
  public var title: CalloutDispatch.Text
  /// What to read out or show.
  public var text: CalloutDispatch.Text
  /// Who is to have it; empty where nobody was found.
  public var persons: [String]
  /// Channels to use; empty: every channel that a person has an address for.
  public var channels: [String]
  /// Time from one try to the next while no channel has taken it, milliseconds.
  public var intervalMilliseconds: Int64
  /// Tries that fit into the time after which it is given up.
  public var attempts: Int

  /// Makes a subject; at least one attempt and one second between attempts.
  public init(
    occasion: String,
    place: String,
    priority: Int,
    subjects: [String],
    title: CalloutDispatch.Text,
    text: CalloutDispatch.Text,
    persons: [String],
    channels: [String] = [],
    intervalMilliseconds: Int64 = 1_800_000,
    attempts: Int = 4
  ) {
    self.occasion = occasion
    self.place = place
    self.priority = priority
    self.subjects = subjects
    self.title = title
    self.text = text
    self.persons = persons
    self.channels = channels
    self.intervalMilliseconds = max(1_000, intervalMilliseconds)
    self.attempts = max(1, attempts)
  }
}

/// One step of a notice: what is stored before anybody acts on it.
public struct NoticeStep: Hashable, Sendable {
  /// What happened.
  public enum Event: String, CaseIterable, Hashable, Sendable {
    /// It is about to be sent to its persons.
    case told
    /// There is nobody to send it to.
    case nobody
    /// It is about to be sent to a person again.
    case repeated
    /// A channel has taken it for a person.
    case delivered
    /// No channel has taken it for a person; it will be tried again.
    case failed
    /// Given up for a person: no channel has taken it in time.
    case lapsed
  }

  /// What happened.
  public var event: Event
  /// When.
  public var time: Timestamp
  /// Number of the person among the notice's, from 1; 0 where all are meant.
  public var number = 0
  /// Who.
  public var person = ""
  /// Try, from 1.
  public var attempt = 0
  /// True for a try that may be a second one: the outcome of the one before is not known.
  public var inDoubt = false
  /// The channel's words.
  public var text = ""
  /// Persons that it has still to reach, after this step.
  public var remaining = 0
}

/// A notice (提醒) until every person has it or it is given up: a plain value that reports and deadlines drive.
///
/// Unlike a ``Callout`` it asks for no confirmation: a channel that takes it ends it. A step is stored before it is acted
/// on; what no channel takes is tried again, and after a restart what has no outcome is sent again, marked in doubt.
public struct PendingNotice: Hashable, Sendable, Codable {
  private struct Waiting: Hashable, Sendable, Codable {
    var number: Int
    var attempt: Int
    var due: Timestamp
    /// The channels have refused this try: the next one is no repeat.
    var isRefused = false
  }

  /// Identity; the ledger's subject.
  public let id: String
  /// What it is about and whom it is for.
  public let subject: NoticeSubject
  private var waiting: [Waiting] = []
  private var givenUp = Timestamp.distantPast

  /// Makes a notice that has not been sent.
  public init(id: String, subject: NoticeSubject) {
    self.id = id
    self.subject = subject
  }

  /// True while it has somebody to reach.
  public var isOpen: Bool { !waiting.isEmpty }

  /// When ``advance(to:)`` has something to do next.
  public var nextDeadline: Timestamp? { waiting.map(\.due).min() }

  /// Sends it.
  public mutating func start(at time: Timestamp) -> NoticeStep {
    take(NoticeStep(event: subject.persons.isEmpty ? .nobody : .told, time: time))
  }

  /// Tries again, or gives up, where a try has had no outcome, or was refused, for as long as the interval.
  ///
  /// One try at most, now: what fell due several times while the station stood still is not sent as often at once.
  public mutating func advance(to now: Timestamp) -> [NoticeStep] {
    waiting.filter { $0.due <= now }.map {
      take($0.due >= givenUp ? step(.lapsed, $0, at: now) : again($0, at: now))
    }
  }

  /// After a restart: sends again what has no outcome, and what has fallen due meanwhile; nothing is given up unsent.
  public mutating func resume(at now: Timestamp) -> [NoticeStep] {
    waiting.filter { !$0.isRefused || $0.due <= now }.map { take(again($0, at: now)) }
  }

  /// A channel's word on a try; the word on an earlier one counts as well.
  public mutating func report(
    number: Int,
    attempt: Int,
    delivered: Bool,
    detail: String = "",
    at time: Timestamp
  ) throws(CalloutRefusal) -> NoticeStep {
    guard var item = waiting.first(where: { $0.number == number }), attempt >= 1,
      delivered ? attempt <= item.attempt : attempt == item.attempt && !item.isRefused
    else { throw .unknownDispatch }
    item.attempt = attempt
    var step = step(delivered ? .delivered : .failed, item, at: time)
    step.text = detail
    return take(step)
  }

  private func step(_ event: NoticeStep.Event, _ item: Waiting, at time: Timestamp) -> NoticeStep {
    NoticeStep(
      event: event,
      time: time,
      number: item.number,
      person: subject.persons[item.number - 1],
      attempt: item.attempt
    )
  }

  private func again(_ item: Waiting, at time: Timestamp) -> NoticeStep {
    var next = step(.repeated, item, at: time)
    next.attempt += 1
    next.inDoubt = !item.isRefused
    return next
  }

  private mutating func take(_ step: NoticeStep) -> NoticeStep {
    replay(step)
    var step = step
    step.remaining = waiting.count
    return step
  }

  /// Takes a step that was decided before: the only place where state changes.
  public mutating func replay(_ step: NoticeStep) {
    let due = step.time.advanced(byMilliseconds: subject.intervalMilliseconds)
    switch step.event {
    case .told:
      waiting = subject.persons.indices.map { Waiting(number: $0 + 1, attempt: 1, due: due) }
      givenUp = step.time.advanced(
        byMilliseconds: subject.intervalMilliseconds * Int64(subject.attempts)
      )
    case .nobody: break
    case .repeated:
      guard let row = waiting.firstIndex(where: { $0.number == step.number }) else { return }
      waiting[row] = Waiting(number: step.number, attempt: step.attempt, due: due)
    case .failed:
      guard let row = waiting.firstIndex(where: { $0.number == step.number }) else { return }
      waiting[row].isRefused = true
    case .delivered, .lapsed: waiting.removeAll { $0.number == step.number }
    }
  }
}

extension PendingNotice {
  /// The draft of a step; the first carries the subject, so that the ledger alone rebuilds the notice.
  public func draft(of step: NoticeStep, origin: UInt64) -> LedgerDraft {
    var members: [String: JSONValue] = [
      "event": .string(step.event.rawValue), "remaining": .integer(Int64(step.remaining)),
    ]
    if step.number > 0 {
      members["number"] = .integer(Int64(step.number))
      members["person"] = .string(step.person)
      members["attempt"] = .integer(Int64(step.attempt))
    }
    if step.inDoubt { members["inDoubt"] = .bool(true) }
    if !step.text.isEmpty { members["text"] = .string(step.text) }
    if step.event == .told || step.event == .nobody {
      members["occasion"] = .string(subject.occasion)
      members["place"] = .string(subject.place)
      members["priority"] = .integer(Int64(subject.priority))
      members["subjects"] = .strings(subject.subjects)
      members["persons"] = .strings(subject.persons)
      members["channels"] = .strings(subject.channels)
      members["interval"] = .integer(subject.intervalMilliseconds)
      members["attempts"] = .integer(Int64(subject.attempts))
      members["title"] = subject.title.json
      members["say"] = subject.text.json
    }
    return LedgerDraft(
      time: step.time,
      kind: .notice,
      subject: id,
      actor: "engine",
      body: JSONValue.object(members).canonicalBytes(),
      origin: origin
    )
  }

  /// Rebuilds a notice from its entries; nil without any.
  public init?(replaying entries: [LedgerEntry]) throws(BodyError) {
    var notice: PendingNotice?
    for entry in entries where entry.kind == .notice {
      let json: JSONValue
      do throws(JSONSyntaxError) {
        json = try JSONValue(parsing: entry.body ?? [])
      } catch {
        throw BodyError(what: "notice body", detail: error.description)
      }
      if json["occasion"] != nil {
        notice = PendingNotice(id: entry.subject, subject: try NoticeSubject(json))
      }
      guard notice != nil else {
        throw BodyError(what: "notice \(entry.subject)", detail: "does not begin with its subject")
      }
      notice?.replay(try NoticeStep(json, time: entry.time))
    }
    guard let notice else { return nil }
    self = notice
  }
}

extension NoticeStep {
  fileprivate init(_ json: JSONValue, time: Timestamp) throws(BodyError) {
    self.init(event: try json.name("event"), time: time)
    number = Int(json["number"]?.wholeNumber ?? 0)
    person = json["person"]?.text ?? ""
    attempt = Int(json["attempt"]?.wholeNumber ?? 0)
    inDoubt = json["inDoubt"]?.truth ?? false
    text = json["text"]?.text ?? ""
    remaining = Int(json["remaining"]?.wholeNumber ?? 0)
  }
}

extension NoticeSubject {
  fileprivate init(_ json: JSONValue) throws(BodyError) {
    self.init(
      occasion: try json.text("occasion"),
      place: try json.text("place"),
      priority: Int(try json.whole("priority")),
      subjects: json.texts("subjects"),
      title: CalloutDispatch.Text(json["title"]),
      text: CalloutDispatch.Text(json["say"]),
      persons: json.texts("persons"),
      channels: json.texts("channels"),
      intervalMilliseconds: try json.whole("interval"),
      attempts: Int(try json.whole("attempts"))
    )
  }
}

extension CalloutDispatch.Text {
  var json: JSONValue { .object(["en": .string(en), "zh": .string(zh)]) }

  init(_ json: JSONValue?) {
    self.init(zh: json?["zh"]?.text ?? "", en: json?["en"]?.text ?? "")
  }
}
