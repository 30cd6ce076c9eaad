public import Telemetry

/// ``NotificationPolicy`` for one alarm at a time: follows the causes as they come and go, so that a verdict costs no
/// walk over all standing alarms.
public struct NotificationGate: Sendable {
  /// Silences that are set, in order of judgement.
  public private(set) var silences: [Silence]
  private var inhibitions: [Inhibition]
  /// By inhibition: shared path → causes that stand, the oldest first.
  private var causes: [[String: [String]]]
  /// Alarms that stand, with what is needed to judge them again under other inhibitions.
  private var standing: [String: Standing] = [:]

  private struct Standing: Hashable, Codable {
    var point: String
    var rule: String
    var priority: Int
    var order: Int
  }
  private var order = 0

  /// Begins with nothing standing.
  public init(silences: [Silence] = [], inhibitions: [Inhibition] = []) {
    self.silences = silences
    self.inhibitions = inhibitions
    causes = Array(repeating: [:], count: inhibitions.count)
  }

  /// Other inhibitions are in force.
  public mutating func adopt(_ inhibitions: [Inhibition]) {
    self.inhibitions = inhibitions
    causes = Array(repeating: [:], count: inhibitions.count)
    for (id, alarm) in standing.sorted(by: { $0.value.order < $1.value.order }) {
      file(id, alarm)
    }
  }

  /// Sets a silence.
  public mutating func add(_ silence: Silence) { silences.append(silence) }

  /// Takes a silence away; nil when there is none of that id.
  public mutating func remove(silence id: String) -> Silence? {
    silences.firstIndex { $0.id == id }.map { silences.remove(at: $0) }
  }

  /// Whether an alarm stands, as far as it has been followed.
  public func isStanding(_ alarm: String) -> Bool { standing[alarm] != nil }

  /// An alarm stands, or stands no more.
  ///
  /// - Returns: true when it was the last cause somewhere, so that what it inhibited must be judged again.
  @discardableResult
  public mutating func follow(
    _ alarm: String,
    point: String,
    rule: String,
    priority: Int,
    isStanding: Bool
  ) -> Bool {
    if let known = standing[alarm] {
      if isStanding, known.priority == priority { return false }
      var freed = false
      for (index, inhibition) in inhibitions.enumerated() {
        let key = String(NotificationPolicy.leading(inhibition.sharedParts, of: point))
        guard var group = causes[index][key], let at = group.firstIndex(of: alarm) else { continue }
        group.remove(at: at)
        causes[index][key] = group.isEmpty ? nil : group
        if group.isEmpty { freed = true }
      }
      standing[alarm] = nil
      guard isStanding else { return freed }
    }
    guard isStanding else { return false }
    order += 1
    let item = Standing(point: point, rule: rule, priority: priority, order: order)
    standing[alarm] = item
    file(alarm, item)
    return false
  }

  private mutating func file(_ id: String, _ alarm: Standing) {
    for (index, inhibition) in inhibitions.enumerated()
    where inhibition.cause.fits(point: alarm.point, rule: alarm.rule, priority: alarm.priority) {
      let key = String(NotificationPolicy.leading(inhibition.sharedParts, of: alarm.point))
      causes[index][key, default: []].append(id)
    }
  }

  /// What may be said of an alarm to the outside; see ``NotificationPolicy/verdicts(for:at:)``.
  public func verdict(
    point: String,
    rule: String,
    priority: Int,
    at now: Timestamp
  ) -> NotificationVerdict {
    if let silence = silences.first(where: {
      $0.isActive(at: now) && $0.matcher.fits(point: point, rule: rule, priority: priority)
    }) {
      return .silenced(by: silence.id)
    }
    for (index, inhibition) in inhibitions.enumerated() {
      guard inhibition.consequence.fits(point: point, rule: rule, priority: priority),
        !inhibition.cause.fits(point: point, rule: rule, priority: priority),
        let cause = causes[index][
          String(NotificationPolicy.leading(inhibition.sharedParts, of: point))
        ]?.first
      else { continue }
      return .inhibited(by: inhibition.id, cause: cause)
    }
    return .notify
  }
}

extension NotificationGate: Codable {
  private enum CodingKeys: String, CodingKey {
    case silences, standing, order
  }

  /// Reads silences and standing alarms; ``adopt(_:)`` brings the inhibitions.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(silences: try container.decode([Silence].self, forKey: .silences))
    standing = try container.decode([String: Standing].self, forKey: .standing)
    order = try container.decode(Int.self, forKey: .order)
  }

  /// Writes silences and standing alarms.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(silences, forKey: .silences)
    try container.encode(standing, forKey: .standing)
    try container.encode(order, forKey: .order)
  }
}

extension Silence {
  /// The entry that it was set.
  public func setDraft(origin: UInt64, role: String) -> LedgerDraft {
    LedgerDraft(
      time: from,
      kind: .silence,
      subject: id,
      actor: author,
      body: JSONValue.object([
        "event": "set", "place": .string(matcher.path), "reason": .string(reason),
        "role": .string(role), "rules": .strings(matcher.rules.sorted()),
        "minimumPriority": .integer(Int64(matcher.minimumPriority)),
        "maximumPriority": .integer(Int64(matcher.maximumPriority)),
        "until": .integer(until.milliseconds),
      ]).canonicalBytes(),
      origin: origin
    )
  }

  /// The entry that it ended, by its time or by a person.
  public func endDraft(
    at time: Timestamp,
    by actor: String,
    reason: String,
    origin: UInt64
  ) -> LedgerDraft {
    LedgerDraft(
      time: time,
      kind: .silence,
      subject: id,
      actor: actor,
      body: JSONValue.object(["event": "ended", "reason": .string(reason)]).canonicalBytes(),
      origin: origin
    )
  }

  /// Reads a silence from the entry that set it.
  public init(decoding entry: LedgerEntry) throws(BodyError) {
    let json: JSONValue
    do throws(JSONSyntaxError) {
      json = try JSONValue(parsing: entry.body ?? [])
    } catch {
      throw BodyError(what: "silence body", detail: error.description)
    }
    let silence = Silence(
      id: entry.subject,
      matcher: AlarmMatcher(
        path: json["place"]?.text ?? "",
        rules: Set(json.texts("rules")),
        minimumPriority: Int(json["minimumPriority"]?.wholeNumber ?? 1),
        maximumPriority: Int(json["maximumPriority"]?.wholeNumber ?? 4)
      ),
      author: entry.actor,
      reason: try json.text("reason"),
      from: entry.time,
      until: Timestamp(milliseconds: try json.whole("until"))
    )
    guard let silence else {
      throw BodyError(what: "silence body", detail: "lacks author, reason or a later end")
    }
    self = silence
  }
}
