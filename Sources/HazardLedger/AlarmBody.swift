public import Telemetry

/// What an entry of kind ``EntryKind/alarm`` says: one step of one alarm's life.
///
/// The names are those of IEC 62682 and ISA-18.2. The engine has enums of its own for state and
/// transition; the ledger keeps its words apart from them, because what is written once must be
/// readable by every later version.
public struct AlarmBody: Hashable, Sendable {
  /// What happened to the alarm.
  public enum Event: String, CaseIterable, Hashable, Sendable {
    /// The condition became an alarm.
    case raised
    /// The condition is gone.
    case returned
    /// 确认 / 消警: a person acknowledged.
    case acknowledged
    /// A latched alarm was reset.
    case reset
    /// An operator set it aside.
    case shelved
    /// Shelving ended, by hand or by time.
    case unshelved
    /// Plant logic began to suppress it.
    case suppressed
    /// Plant logic ceased to suppress it.
    case unsuppressed
    /// Taken out of service.
    case removedFromService
    /// Put back into service.
    case returnedToService
    /// The priority changed while the alarm stood.
    case priorityChanged
    /// Annunciated again because it still stands.
    case reAlarmed
    /// Late data changes a past decision.
    case revised
  }

  /// Where the alarm stands in its life cycle.
  public enum State: String, CaseIterable, Hashable, Sendable {
    /// Condition false, nothing to acknowledge.
    case normal
    /// Condition true, not acknowledged.
    case unacknowledged
    /// Condition true, acknowledged.
    case acknowledged
    /// Condition false again, not acknowledged.
    case returnedUnacknowledged
    /// Condition false, not acknowledged, held until reset.
    case latchedUnacknowledged
    /// Condition false, acknowledged, held until reset.
    case latchedAcknowledged
    /// Set aside by an operator for a time.
    case shelved
    /// Kept from annunciating by plant logic.
    case suppressedByDesign
    /// Taken out by maintenance until put back.
    case outOfService
  }

  /// Identity of the occurrence, see ``alarmID(point:rule:onset:)``; the entry's subject too.
  public var alarm: String
  /// Path of the point: enterprise/site/area/device/point.
  public var point: String
  /// The rule's id within the point.
  public var rule: String
  /// Event time at which the condition of this occurrence became true.
  public var onset: Timestamp
  /// What happened.
  public var event: Event
  /// State after.
  public var state: State
  /// State before.
  public var previous: State
  /// Priority after: 1 blue, 2 yellow, 3 orange, 4 red.
  public var priority: Int
  /// The value that decided it; nil where no value did.
  public var value: Double?
  /// The set-point it was held against; nil where there is none.
  public var limit: Double?
  /// Unit of value and limit.
  public var unit: String
  /// Receive time of the input that brought the step about.
  public var received: Timestamp
  /// Journal sequence of the reading or command that decided the step.
  public var cause: UInt64
  /// Version of the catalog that held the rule.
  public var catalog: String
  /// Who acted; empty for the engine.
  public var actor: String
  /// Why; empty when nobody had to say.
  public var reason: String
  /// End of shelving, where there is one.
  public var until: Timestamp?
  /// ``InputDigest`` of the input that brought the step about, where it was a message; empty otherwise.
  public var input = ""
  /// For a revision, the alarm id of the decision that late data changes; nil for an alarm that was missed.
  public var revises: String?
  /// For a revision, what late data make of the decision, and when by all data the alarm began, was raised and
  /// returned.
  public var revision: Revision?
  /// Supervisor scopes that are in flood, separated by blanks (`enterprise:acme area:360981 area:360900`): their streams show
  /// a summary instead of this step, unless it is of the highest priority; nil when none is.
  public var flood: String?
  /// For the raise of a group's alarm (``Evidence``), what it was raised on; nil for every other step.
  public var evidence: Evidence?

  /// What late data make of a decision.
  public struct Revision: Hashable, Sendable {
    /// What became of it.
    public enum Verdict: String, CaseIterable, Hashable, Sendable {
      /// An alarm that was not raised would have been.
      case missed
      /// An alarm that was raised would not have been.
      case unfounded
      /// It would have begun, been raised or returned at another time.
      case moved
    }

    /// What became of it.
    public var verdict: Verdict
    /// When the condition became true.
    public var onset: Timestamp?
    /// When the alarm would have been raised.
    public var raised: Timestamp?
    /// When it would have returned; nil while it stands.
    public var returned: Timestamp?

    /// Makes a revision.
    public init(
      verdict: Verdict,
      onset: Timestamp? = nil,
      raised: Timestamp? = nil,
      returned: Timestamp? = nil
    ) {
      self.verdict = verdict
      self.onset = onset
      self.raised = raised
      self.returned = returned
    }
  }

  /// Makes a body; the identity is derived from point, rule and onset.
  public init(
    point: String,
    rule: String,
    onset: Timestamp,
    event: Event,
    state: State,
    previous: State,
    priority: Int,
    value: Double? = nil,
    limit: Double? = nil,
    unit: String = "",
    received: Timestamp,
    cause: UInt64,
    catalog: String = "",
    actor: String = "",
    reason: String = "",
    until: Timestamp? = nil,
    revises: String? = nil,
    revision: Revision? = nil,
    flood: String? = nil
  ) {
    self.alarm = Self.alarmID(point: point, rule: rule, onset: onset)
    self.point = point
    self.rule = rule
    self.onset = onset
    self.event = event
    self.state = state
    self.previous = previous
    self.priority = priority
    self.value = value.flatMap { $0.isFinite ? $0 : nil }
    self.limit = limit.flatMap { $0.isFinite ? $0 : nil }
    self.unit = unit
    self.received = received
    self.cause = cause
    self.catalog = catalog
    self.actor = actor
    self.reason = reason
    self.until = until
    self.revises = revises
    self.revision = revision
    self.flood = flood
  }

  /// The identity of an alarm occurrence, the same in every replay: `point#rule@onset-milliseconds`.
  public static func alarmID(point: String, rule: String, onset: Timestamp) -> String {
    "\(point)#\(rule)@\(onset.milliseconds)"
  }

  /// The identities of all occurrences of an occurrence's rule at its point, as a range of texts.
  package static func siblings(of alarm: String) -> Range<String> {
    guard let at = alarm.lastIndex(of: "@") else { return alarm..<alarm }
    // "A" is the character after "@".
    return String(alarm[...at])..<alarm[..<at] + "A"
  }
}

extension AlarmBody {
  /// The body in canonical JSON; absent and empty members are left out.
  public func encoded() -> [UInt8] {
    var writer = CanonicalWriter()
    writer.beginObject()
    if !actor.isEmpty { writer.member("actor", actor) }
    writer.member("alarm", alarm)
    if !catalog.isEmpty { writer.member("catalog", catalog) }
    writer.member("cause", Int64(clamping: cause))
    if let onset = revision?.onset { writer.member("correctedOnset", onset.milliseconds) }
    if let raised = revision?.raised { writer.member("correctedRaised", raised.milliseconds) }
    if let returned = revision?.returned {
      writer.member("correctedReturned", returned.milliseconds)
    }
    writer.member("event", event.rawValue)
    if let evidence {
      writer.key("evidence")
      writer.write(evidence.json)
    }
    if let flood { writer.member("flood", flood) }
    if !input.isEmpty { writer.member("input", input) }
    if let limit { writer.member("limit", limit) }
    writer.member("onset", onset.milliseconds)
    writer.member("point", point)
    writer.member("previous", previous.rawValue)
    writer.member("priority", Int64(priority))
    if !reason.isEmpty { writer.member("reason", reason) }
    writer.member("received", received.milliseconds)
    if let revises { writer.member("revises", revises) }
    if let revision { writer.member("revision", revision.verdict.rawValue) }
    writer.member("rule", rule)
    writer.member("state", state.rawValue)
    if !unit.isEmpty { writer.member("unit", unit) }
    if let until { writer.member("until", until.milliseconds) }
    if let value { writer.member("value", value) }
    writer.endObject()
    return writer.bytes
  }

  /// Reads a body; members that this version does not know are skipped.
  public init(decoding bytes: [UInt8]) throws(BodyError) {
    do throws(JSONSyntaxError) {
      self = try Self.parse(bytes)
    } catch {
      throw BodyError(what: "alarm body", detail: error.description)
    }
  }

  private static let keys: [[UInt8]] = [
    "actor", "alarm", "catalog", "cause", "correctedOnset", "correctedRaised", "correctedReturned",
    "event", "evidence",
    "flood", "input", "limit", "onset", "point", "previous", "priority", "reason",
    "received", "revises", "revision", "rule", "state", "unit", "until", "value",
  ].map { [UInt8]($0.utf8) }

  /// The members that every body has, as bits by their place in ``keys``.
  private static let required = [1, 3, 7, 12, 13, 14, 15, 17, 20, 21].reduce(0) { $0 | 1 << $1 }

  private static func parse(_ bytes: [UInt8]) throws(JSONSyntaxError) -> AlarmBody {
    var body = AlarmBody(
      point: "",
      rule: "",
      onset: .distantPast,
      event: .raised,
      state: .normal,
      previous: .normal,
      priority: 0,
      received: .distantPast,
      cause: 0
    )
    var corrected = Revision(verdict: .missed)
    var verdict: Revision.Verdict?
    var cursor = JSONCursor(bytes)
    try cursor.beginObject()
    var first = true
    var missing = required
    var expected = 0
    while let range = try cursor.nextKey(first: first) {
      first = false
      // Canonical order makes the expected key nearly always the right one.
      var found: Int?
      for step in 0..<keys.count {
        let candidate = (expected + step) % keys.count
        if cursor.key(range, is: keys[candidate]) {
          found = candidate
          break
        }
      }
      guard let found else {
        _ = try cursor.readValue(depth: 1)
        continue
      }
      expected = (found + 1) % keys.count
      missing &= ~(1 << found)
      switch found {
      case 0: body.actor = try cursor.readString()
      case 1: body.alarm = try cursor.readString()
      case 2: body.catalog = try cursor.readString()
      case 3: body.cause = UInt64(clamping: try cursor.readWhole())
      case 4: corrected.onset = Timestamp(milliseconds: try cursor.readWhole())
      case 5: corrected.raised = Timestamp(milliseconds: try cursor.readWhole())
      case 6: corrected.returned = Timestamp(milliseconds: try cursor.readWhole())
      case 7: body.event = try cursor.readName()
      case 8: body.evidence = Evidence(try cursor.readValue(depth: 1))
      case 9: body.flood = try cursor.readString()
      case 10: body.input = try cursor.readString()
      case 11: body.limit = try cursor.readNumber().double
      case 12: body.onset = Timestamp(milliseconds: try cursor.readWhole())
      case 13: body.point = try cursor.readString()
      case 14: body.previous = try cursor.readName()
      case 15: body.priority = Int(try cursor.readWhole())
      case 16: body.reason = try cursor.readString()
      case 17: body.received = Timestamp(milliseconds: try cursor.readWhole())
      case 18: body.revises = try cursor.readString()
      case 19: verdict = try cursor.readName()
      case 20: body.rule = try cursor.readString()
      case 21: body.state = try cursor.readName()
      case 22: body.unit = try cursor.readString()
      case 23: body.until = Timestamp(milliseconds: try cursor.readWhole())
      default: body.value = try cursor.readNumber().double
      }
    }
    if let verdict {
      corrected.verdict = verdict
      body.revision = corrected
    }
    try cursor.expectEnd()
    if missing != 0 {
      let name = String(decoding: keys[missing.trailingZeroBitCount], as: UTF8.self)
      throw cursor.fault("the member \"\(name)\"")
    }
    return body
  }
}

/// A body that is not what its entry's kind says.
public struct BodyError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which body.
  public var what: String
  /// What is wrong with it.
  public var detail: String

  /// Both in one line.
  public var description: String { "\(what): \(detail)" }
}

extension CanonicalWriter {
  /// Writes a member with a string.
  mutating func member(_ name: String, _ text: String) {
    key(name)
    write(text)
  }

  /// Writes a member with a whole number.
  mutating func member(_ name: String, _ value: Int64) {
    key(name)
    write(value)
  }

  /// Writes a member with a double.
  mutating func member(_ name: String, _ value: Double) {
    key(name)
    write(value)
  }
}

extension JSONCursor {
  mutating func readWhole() throws(JSONSyntaxError) -> Int64 {
    guard let value = try readNumber().wholeNumber else { throw fault("a whole number before") }
    return value
  }

  mutating func readName<Name: RawRepresentable>() throws(JSONSyntaxError) -> Name
  where Name.RawValue == String {
    let text = try readString()
    guard let name = Name(rawValue: text) else { throw fault("a known name, not \"\(text)\"") }
    return name
  }
}
