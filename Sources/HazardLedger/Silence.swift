public import Telemetry

/// Which alarms a silence, an inhibition or a group is about; what is nil or empty fits all.
public struct AlarmMatcher: Hashable, Sendable, Codable {
  /// Path of a point, or of what holds it: enterprise, site, area, device.
  public var path: String
  /// Rule ids.
  public var rules: Set<String>
  /// Only at least this urgent.
  public var minimumPriority: Int
  /// Only at most this urgent.
  public var maximumPriority: Int

  /// Makes a matcher.
  public init(
    path: String = "",
    rules: Set<String> = [],
    minimumPriority: Int = 1,
    maximumPriority: Int = 4
  ) {
    self.path = path
    self.rules = rules
    self.minimumPriority = minimumPriority
    self.maximumPriority = maximumPriority
  }

  /// True when the alarm fits.
  public func fits(_ alarm: AlarmView) -> Bool {
    fits(point: alarm.point, rule: alarm.rule, priority: alarm.priority)
  }

  /// True when an alarm of this rule at this point with this priority fits.
  public func fits(point: String, rule: String, priority: Int) -> Bool {
    priority >= minimumPriority && priority <= maximumPriority
      && (rules.isEmpty || rules.contains(rule)) && isBelow(point)
  }

  private func isBelow(_ point: String) -> Bool {
    guard !path.isEmpty else { return true }
    guard point.utf8.starts(with: path.utf8) else { return false }
    let rest = point.utf8.dropFirst(path.utf8.count)
    return rest.isEmpty || rest.first == UInt8(ascii: "/")
  }
}

/// Nobody is notified for a time; the alarm stands and counts as before, and is not acknowledged.
public struct Silence: Hashable, Sendable, Codable {
  /// Identity.
  public var id: String
  /// Which alarms.
  public var matcher: AlarmMatcher
  /// Who set it.
  public var author: String
  /// Why.
  public var reason: String
  /// From when.
  public var from: Timestamp
  /// Until when; there is none without end.
  public var until: Timestamp

  /// Makes a silence, or nil without author, reason or a time after its beginning.
  public init?(
    id: String,
    matcher: AlarmMatcher,
    author: String,
    reason: String,
    from: Timestamp,
    until: Timestamp
  ) {
    guard !author.isEmpty, !reason.isEmpty, until > from else { return nil }
    self.id = id
    self.matcher = matcher
    self.author = author
    self.reason = reason
    self.from = from
    self.until = until
  }

  /// True from its beginning up to its end.
  public func isActive(at now: Timestamp) -> Bool { from <= now && now < until }
}

/// While a cause stands, its consequences notify nobody: a gateway that fails takes its points with it.
public struct Inhibition: Hashable, Sendable {
  /// Identity.
  public var id: String
  /// The cause.
  public var cause: AlarmMatcher
  /// Its consequences.
  public var consequence: AlarmMatcher
  /// How many leading parts of the point path cause and consequence share: 1 enterprise, 2 site, 3
  /// area, 4 device; 0 inhibits everywhere.
  public var sharedParts: Int

  /// Makes an inhibition.
  public init(
    id: String,
    cause: AlarmMatcher,
    consequence: AlarmMatcher,
    sharedParts: Int
  ) {
    self.id = id
    self.cause = cause
    self.consequence = consequence
    self.sharedParts = sharedParts
  }
}

/// What may be said of a standing alarm to the outside.
public enum NotificationVerdict: Hashable, Sendable {
  /// Notify.
  case notify
  /// Quiet, by this silence.
  case silenced(by: String)
  /// Quiet, as a consequence of this alarm by this inhibition.
  case inhibited(by: String, cause: String)
}

/// Silences and inhibitions together: decides for all standing alarms at once.
public struct NotificationPolicy: Hashable, Sendable {
  /// Silences, in order of judgement.
  public var silences: [Silence]
  /// Inhibitions, in order of judgement.
  public var inhibitions: [Inhibition]

  /// Makes a policy.
  public init(silences: [Silence] = [], inhibitions: [Inhibition] = []) {
    self.silences = silences
    self.inhibitions = inhibitions
  }

  /// The verdict for each alarm, in their order.
  ///
  /// One pass finds the causes and files them by shared path, one asks for each alarm: the work
  /// grows with alarms × policies, not with alarms × causes. An alarm never inhibits itself, and an
  /// alarm that is a cause itself is not inhibited by the same inhibition, so that two causes
  /// cannot hide each other.
  public func verdicts(for alarms: [AlarmView], at now: Timestamp) -> [NotificationVerdict] {
    let active = silences.filter { $0.isActive(at: now) }
    var verdicts = alarms.map { alarm in
      active.first { $0.matcher.fits(alarm) }.map { NotificationVerdict.silenced(by: $0.id) }
        ?? .notify
    }
    for inhibition in inhibitions {
      var causes: [Substring: String] = [:]
      for alarm in alarms where alarm.isStanding && inhibition.cause.fits(alarm) {
        let key = Self.leading(inhibition.sharedParts, of: alarm.point)
        if causes[key] == nil { causes[key] = alarm.id }
      }
      guard !causes.isEmpty else { continue }
      for (index, alarm) in alarms.enumerated() where verdicts[index] == .notify {
        guard inhibition.consequence.fits(alarm), !inhibition.cause.fits(alarm),
          let cause = causes[Self.leading(inhibition.sharedParts, of: alarm.point)]
        else { continue }
        verdicts[index] = .inhibited(by: inhibition.id, cause: cause)
      }
    }
    return verdicts
  }

  /// Alarms to notify of, in groups that share the leading parts of their point path.
  public func groups(
    of alarms: [AlarmView],
    sharedParts: Int,
    at now: Timestamp
  ) -> [(path: String, alarms: [AlarmView])] {
    var order: [Substring] = []
    var groups: [Substring: [AlarmView]] = [:]
    for (alarm, verdict) in zip(alarms, verdicts(for: alarms, at: now)) where verdict == .notify {
      let key = Self.leading(sharedParts, of: alarm.point)
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(alarm)
    }
    return order.map { (String($0), groups[$0] ?? []) }
  }

  /// The leading parts of a point path: 1 enterprise, 2 site, 3 area, 4 device; empty for 0.
  public static func leading(_ parts: Int, of point: String) -> Substring {
    guard parts > 0 else { return "" }
    var slashes = 0
    for index in point.utf8.indices where point.utf8[index] == UInt8(ascii: "/") {
      slashes += 1
      if slashes == parts { return point[..<index] }
    }
    return point[...]
  }
}
