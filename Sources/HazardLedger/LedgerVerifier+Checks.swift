import Foundation
internal import GRDB

/// The columns of an entry that are hashed as they stand.
struct EntryFields {
  let time: Int64
  let kind: String
  let subject: String
  let actor: String
  let body: Data?
  let origin: Int64

  init?(_ row: Row) {
    guard let time = Int64.fromDatabaseValue(row[1]), let kind = String.fromDatabaseValue(row[2]),
      let subject = String.fromDatabaseValue(row[3]), let actor = String.fromDatabaseValue(row[4]),
      let origin = Int64.fromDatabaseValue(row[6])
    else { return nil }
    self.time = time
    self.kind = kind
    self.subject = subject
    self.actor = actor
    self.origin = origin
    body = (row[5] as DatabaseValue).isNull ? nil : Data.fromDatabaseValue(row[5])
  }

  /// The encoding up to the body's length.
  func head(sequence: Int64) -> [UInt8] {
    var bytes: [UInt8] = [0x00, 0x01]
    bytes += Self.bigEndian(sequence)
    bytes += Self.bigEndian(time)
    for text in [kind, subject, actor] {
      bytes += Self.bigEndian(Int64(text.utf8.count)).suffix(4)
      bytes += text.utf8
    }
    bytes += Self.bigEndian(origin)
    return bytes
  }

  static func bigEndian(_ value: Int64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }
  }

  /// The body as Foundation reads it; nil when it does not.
  var decoded: CheckedBody? {
    guard let body else { return nil }
    return try? JSONDecoder().decode(CheckedBody.self, from: body)
  }

  /// What places the entry; empty for a body that is gone or no JSON object.
  var named: NamedBody {
    guard let body else { return NamedBody() }
    do { return try JSONDecoder().decode(NamedBody.self, from: body) } catch { return NamedBody() }
  }
}

/// The members of bodies that the verifier looks at.
struct CheckedBody: Decodable {
  var alarm: String?
  var point: String?
  var rule: String?
  var onset: Int64?
  var event: String?
  var state: String?
  var priority: Int64?
  var reason: String?
  var until: Int64?
  var value: Double?
  var limit: Double?
  var unit: String?
  var catalog: String?
  var format: Int64?
  var station: String?
  var count: Int64?
  var digest: String?
  var events: [String: Int64]?
  var act: String?
  var enterprise: String?
  var place: String?
  var source: String?
  var title: String?
}

/// An alarm that a hazard's registration names.
struct CheckedEvidence: Hashable {
  /// The alarms of a registration, read as the views read them: what is no list of texts names none, and what is no
  /// text among them is passed over.
  private struct Registration: Decodable {
    private enum Key: CodingKey {
      case alarms
    }
    private struct Name: Decodable {
      var text: String?

      init(from decoder: any Decoder) throws {
        text = try? decoder.singleValueContainer().decode(String.self)
      }
    }
    var alarms: [String]

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: Key.self)
      let names = try? members.decode([Name].self, forKey: .alarms)
      alarms = (names ?? []).compactMap(\.text)
    }
  }

  let hazard: String
  let alarm: String

  /// The evidence that an entry names when it registers a hazard; nil where its body is none.
  static func named(by fields: EntryFields) -> [CheckedEvidence]? {
    guard let body = fields.body else { return nil }
    do {
      let registration = try JSONDecoder().decode(Registration.self, from: body)
      return registration.alarms.map { CheckedEvidence(hazard: fields.subject, alarm: $0) }
    } catch {
      return nil
    }
  }

  init(hazard: String, alarm: String) {
    self.hazard = hazard
    self.alarm = CheckedText.shown(alarm)
  }
}

/// Texts as a view may show them: U+0000, which a text of PostgreSQL cannot hold, as U+2400.
enum CheckedText {
  static func shown(_ text: String) -> String {
    guard text.utf8.contains(0) else { return text }
    return String(
      String.UnicodeScalarView(text.unicodeScalars.map { $0 == "\0" ? "\u{2400}" : $0 })
    )
  }

  /// Whether a view's value is what the entries give.
  static func fits(_ stored: DatabaseValue, _ derived: DatabaseValue) -> Bool {
    if stored == derived { return true }
    guard let stored = String.fromDatabaseValue(stored),
      let derived = String.fromDatabaseValue(derived)
    else { return false }
    return derived.utf8.contains(0) && stored == shown(derived)
  }
}

/// A hazard's row as the verifier derives it from the entries; guards and facts are the fold's.
struct CheckedHazard {
  private(set) var firstSequence: Int64
  private(set) var lastSequence: Int64 = 0
  private let registration: CheckedBody
  private var state: String?
  private var lastTime: Int64 = 0
  private var steps: Int64 = 0

  init(_ registration: CheckedBody, sequence: Int64) {
    self.registration = registration
    firstSequence = sequence
  }

  mutating func add(_ body: CheckedBody, _ fields: EntryFields, sequence: Int64) {
    state = body.state
    lastTime = fields.time
    lastSequence = sequence
    steps += 1
  }

  /// The columns in which a stored row is not what the entries give.
  func differences(from row: Row) -> [String] {
    let mine: [(String, DatabaseValue)] = [
      ("first_seq", firstSequence.databaseValue), ("last_seq", lastSequence.databaseValue),
      ("last_time", lastTime.databaseValue), ("steps", steps.databaseValue),
      ("state", state?.databaseValue ?? .null),
      ("enterprise", registration.enterprise?.databaseValue ?? .null),
      ("place", registration.place?.databaseValue ?? .null),
      ("source", registration.source?.databaseValue ?? .null),
      ("title", registration.title?.databaseValue ?? .null),
    ]
    return mine.filter { !CheckedText.fits(row[$0.0], $0.1) }.map(\.0)
  }
}

/// An alarm's row as the verifier derives it from the entries, apart from the writer's code.
struct CheckedAlarm {
  private(set) var firstSequence: Int64 = 0
  private(set) var lastSequence: Int64 = 0
  private var point = ""
  private var rule = ""
  private var onset: Int64?
  private var state = ""
  private var priority: Int64?
  private var lastTime: Int64 = 0
  private var steps: Int64 = 0
  private var revisions: Int64 = 0
  private var times: [String: (time: Int64, sequence: Int64)] = [:]
  private var acknowledgedBy = ""
  private var acknowledgedReason = ""
  private var actor = ""
  private var reason = ""
  private var until: Int64?
  private var value: Double?
  private var limit: Double?
  private var unit = ""
  private var catalog = ""

  mutating func add(_ body: CheckedBody, event: String, _ fields: EntryFields, sequence: Int64) {
    if steps == 0 {
      firstSequence = sequence
      point = body.point ?? ""
      rule = body.rule ?? ""
      onset = body.onset
    }
    steps += 1
    lastSequence = sequence
    lastTime = fields.time
    state = body.state ?? ""
    priority = body.priority
    actor = fields.actor
    reason = body.reason ?? ""
    until = state == "shelved" ? body.until : nil
    value = body.value ?? value
    limit = body.limit ?? limit
    unit = body.unit ?? unit
    catalog = body.catalog ?? catalog
    if ["raised", "acknowledged", "returned", "reset"].contains(event) {
      times[event] = (fields.time, sequence)
    }
    if event == "acknowledged" {
      acknowledgedBy = actor
      acknowledgedReason = reason
    }
    if event == "revised" { revisions += 1 }
  }

  /// The columns in which a stored row is not what the entries give.
  func differences(from row: Row) -> [String] {
    var different: [String] = []
    func compare(_ column: String, _ mine: (some DatabaseValueConvertible & Equatable)?) {
      if !CheckedText.fits(row[column], mine?.databaseValue ?? .null) { different.append(column) }
    }
    compare("first_seq", firstSequence)
    compare("point", point)
    compare("rule", rule)
    compare("onset", onset)
    compare("state", state)
    compare("priority", priority)
    compare("last_time", lastTime)
    compare("last_seq", lastSequence)
    compare("steps", steps)
    compare("revisions", revisions)
    for event in ["raised", "acknowledged", "returned", "reset"] {
      compare("\(event)_time", times[event]?.time)
      compare("\(event)_seq", times[event]?.sequence)
    }
    compare("acknowledged_by", acknowledgedBy)
    compare("acknowledged_reason", acknowledgedReason)
    compare("actor", actor)
    compare("reason", reason)
    compare("shelved_until", until)
    compare("value", value)
    compare("limit_value", limit)
    compare("unit", unit)
    compare("catalog", catalog)
    return different
  }
}

/// A call-out's, clock's, notice's, silence's or register item's row as the verifier derives it.
struct CheckedMatter {
  let firstSequence: Int64
  private(set) var lastSequence: Int64 = 0
  private var steps: Int64 = 0
  private var state = ""
  private var place = ""
  private var isOpen = false
  private var firstTime: Int64 = 0
  private var lastTime: Int64 = 0

  /// Events after which nothing more is expected, as `docs/ledger.md` has them.
  private static let last: Set<String> = [
    "confirmed", "cancelled", "feedbackDue", "feedbackDelivered", "feedbackFailed", "feedback",
    "stopped", "ended", "revoked", "closed",
  ]

  init(first sequence: Int64) {
    firstSequence = sequence
  }

  mutating func add(_ fields: EntryFields, sequence: Int64) {
    let body = fields.named
    if steps == 0 {
      place = body.place ?? body.about ?? ""
      firstTime = fields.time
    }
    lastSequence = sequence
    lastTime = fields.time
    steps += 1
    state = body.event ?? ""
    isOpen = body.remaining.map { $0 > 0 } ?? !Self.last.contains(state)
  }

  /// Columns of a row that say something else.
  func differences(from row: Row) -> [String] {
    let own: [(column: String, value: DatabaseValue)] = [
      ("first_seq", firstSequence.databaseValue), ("last_seq", lastSequence.databaseValue),
      ("steps", steps.databaseValue), ("state", state.databaseValue),
      ("place", place.databaseValue), ("is_open", Int64(isOpen ? 1 : 0).databaseValue),
      ("first_time", firstTime.databaseValue), ("last_time", lastTime.databaseValue),
    ]
    return own.filter { !CheckedText.fits(row[$0.column], $0.value) }.map(\.column)
  }
}

/// Whose an entry is, as the verifier derives it: what an enterprise is shown of the ledger.
///
/// An entry belongs to the enterprise that its body names, by `enterprise` or as the first level of `place` or `point`;
/// an alarm's, and the station's word on a path, to the first level of its subject; a further step of a hazard, call-out,
/// clock, notice or silence, and an act that was refused on one, to whom the first entry of that names.
struct CheckedOwners {
  /// What the first entry of a thing names, by subject; nil inside for those that name nobody.
  private var first: [String: String?] = [:]
  private(set) var count: Int64 = 0

  private static let things: Set<String> = ["hazard", "callout", "clock", "notice", "silence"]

  /// The enterprise of the next entry; nil where it is the station's own.
  mutating func add(_ fields: EntryFields) -> String? {
    let named = Self.named(fields)
    if fields.kind == "alarm" {
      if named != nil { count += 1 }
      return named
    }
    let subject = fields.subject
    if first[subject] == nil { first[subject] = .some(named) }
    let isAboutThing = Self.things.contains(String(subject.prefix { $0 != "/" }))
    let isStep =
      Self.things.contains(fields.kind) || fields.kind == "system" && isAboutThing
    let owner = named ?? (isStep && !subject.isEmpty ? first[subject] ?? nil : nil)
    if owner != nil { count += 1 }
    return owner
  }

  private static func named(_ fields: EntryFields) -> String? {
    let subject = fields.subject
    if fields.kind == "alarm" { return subject.contains("/") ? head(subject) : nil }
    let body = fields.named
    if let enterprise = body.enterprise { return enterprise }
    for path in [body.place, body.point] {
      if let path, !path.isEmpty { return head(path) }
    }
    guard fields.kind == "system" || fields.kind == "welding", subject.contains("/"),
      !things.contains(head(subject))
    else { return nil }
    return head(subject)
  }

  private static func head(_ path: String) -> String {
    String(path.prefix { $0 != "/" && $0 != "#" })
  }
}

/// Members of any body that place it; one of another type than it should be is passed over.
struct NamedBody: Decodable {
  var event: String?
  var enterprise: String?
  var place: String?
  var about: String?
  var point: String?
  var remaining: Int64?

  private enum CodingKeys: String, CodingKey {
    case event, enterprise, place, about, point, remaining
  }

  init() {}

  init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    func text(_ key: CodingKeys) -> String? {
      do { return try members.decodeIfPresent(String.self, forKey: key) } catch { return nil }
    }
    event = text(.event)
    enterprise = text(.enterprise)
    place = text(.place)
    about = text(.about)
    point = text(.point)
    do {
      remaining = try members.decodeIfPresent(Int64.self, forKey: .remaining)
    } catch {
      remaining = nil
    }
  }
}
