public import Telemetry

/// When an alarm becomes a hazard.
public struct HazardPolicy: Hashable, Sendable {
  /// The alarms that it is for.
  public var matcher: AlarmMatcher
  /// At once from this priority on: 1 blue … 4 red; 5 never.
  public var immediateFromPriority: Int
  /// After standing this long; 0 never.
  public var standingMilliseconds: Int64
  /// After this many occurrences of one rule; 0 never.
  public var repeatCount: Int
  /// The time they have to fall in.
  public var repeatMilliseconds: Int64
  /// Rules whose alarm is a major hazard by itself, with the clause that says so.
  public var majorRules: [String: String]

  /// Makes a policy.
  public init(
    matcher: AlarmMatcher = AlarmMatcher(),
    immediateFromPriority: Int = 4,
    standingMilliseconds: Int64 = 0,
    repeatCount: Int = 0,
    repeatMilliseconds: Int64 = 86_400_000,
    majorRules: [String: String] = [:]
  ) {
    self.matcher = matcher
    self.immediateFromPriority = immediateFromPriority
    self.standingMilliseconds = standingMilliseconds
    self.repeatCount = repeatCount
    self.repeatMilliseconds = repeatMilliseconds
    self.majorRules = majorRules
  }
}

/// A hazard that the policy wants registered.
public struct HazardProposal: Hashable, Sendable {
  /// Which part of the policy wants it.
  public enum Ground: String, CaseIterable, Hashable, Sendable {
    /// Its rule is a major hazard by itself.
    case majorRule
    /// Its priority.
    case priority
    /// It stands too long.
    case standing
    /// It came too often.
    case repeated
  }

  /// The registration; its id is derived from the alarm's, so that a replay proposes the same.
  public var registration: HazardRegistration
  /// Why.
  public var ground: Ground
  /// When: a deadline's own time, not the tick's.
  public var time: Timestamp
  /// The clause that makes it a major hazard; nil where a person grades it.
  public var majorBasis: String?
}

/// Turns alarms into proposals by policy: a plain value, fed in ledger order.
///
/// One rule of one point has at most one open hazard: while it is open, further alarms propose none.
public struct HazardIntake: Hashable, Sendable, Codable {
  private struct Waiting: Hashable, Sendable, Codable {
    var point: String
    var rule: String
  }

  /// Not part of the saved state: it comes from the catalog in force.
  private var policies: [HazardPolicy] = []
  private var open: [String: String] = [:]
  private var ruleOfHazard: [String: String] = [:]
  private var occurrences: [String: [Timestamp]] = [:]
  private var waiting: [String: Waiting] = [:]
  private var due = Agenda<String>()

  private enum CodingKeys: String, CodingKey {
    case open, ruleOfHazard, occurrences, waiting, due
  }

  /// Begins without open hazards.
  public init(policy: HazardPolicy) {
    policies = [policy]
  }

  /// Begins without open hazards; the first policy that fits an alarm decides.
  public init(policies: [HazardPolicy]) {
    self.policies = policies
  }

  /// Other policies are in force; what waits keeps its deadline.
  public mutating func adopt(_ policies: [HazardPolicy]) {
    self.policies = policies
  }

  /// When ``advance(to:)`` has something to do next.
  public var nextDeadline: Timestamp? { due.next }

  /// Takes an alarm's step, and does before it what has fallen due.
  public mutating func add(_ body: AlarmBody, at time: Timestamp) -> [HazardProposal] {
    advance(to: time) + follow(body, at: time)
  }

  /// Takes an alarm's step and nothing else: for backlog, in which what keeps a deadline from falling due may lie
  /// further back.
  public mutating func follow(
    _ body: AlarmBody,
    at time: Timestamp,
    by rules: RulesLevel = .newest
  ) -> [HazardProposal] {
    let rule = "\(body.point)#\(body.rule)"
    if body.state == .normal || body.event == .returned { forget(body.alarm) }
    guard body.event == .raised || body.event == .priorityChanged,
      let policy = policies.first(where: {
        $0.matcher.fits(point: body.point, rule: body.rule, priority: body.priority)
      })
    else { return [] }
    if body.event == .raised, policy.repeatCount > 0 {
      var times = occurrences[rule] ?? []
      times.removeAll { time.milliseconds(since: $0) >= policy.repeatMilliseconds }
      times.append(time)
      occurrences[rule] = Array(times.suffix(policy.repeatCount))
    }
    let ground: HazardProposal.Ground? =
      if policy.majorRules[body.rule] != nil {
        .majorRule
      } else if body.priority >= policy.immediateFromPriority {
        .priority
      } else if policy.repeatCount > 0, occurrences[rule]?.count ?? 0 >= policy.repeatCount {
        .repeated
      } else {
        nil
      }
    if let ground {
      let basis = policy.majorRules[body.rule]
      return propose(
        body.alarm,
        Waiting(point: body.point, rule: body.rule),
        ground,
        basis,
        at: time
      )
      .map { [$0] } ?? []
    }
    // An alarm may come under a policy only when its priority rises.
    let begins =
      body.event == .raised
      || rules >= .areas && waiting[body.alarm] == nil && body.state.annunciatesCondition
    if policy.standingMilliseconds > 0, begins {
      waiting[body.alarm] = Waiting(point: body.point, rule: body.rule)
      due.set(body.alarm, time.advanced(byMilliseconds: policy.standingMilliseconds))
    }
    return []
  }

  /// Proposes for alarms that stand too long, each at its own time.
  public mutating func advance(to now: Timestamp) -> [HazardProposal] {
    var proposals: [HazardProposal] = []
    while let (alarm, time) = due.take(upTo: now) {
      guard let item = waiting.removeValue(forKey: alarm) else { continue }
      if let proposal = propose(alarm, item, .standing, nil, at: time) {
        proposals.append(proposal)
      }
    }
    return proposals
  }

  /// The hazard is closed or dismissed: its rules may propose again; by the older rules, of several only the last.
  public mutating func ended(hazard id: String, by rules: RulesLevel = .newest) {
    guard rules < .areas else { return ended(hazards: [id]) }
    guard let rule = ruleOfHazard.removeValue(forKey: id) else { return }
    if open[rule] == id { open[rule] = nil }
  }

  /// These hazards are closed or dismissed: their rules may propose again.
  public mutating func ended(hazards ids: Set<String>) {
    open = open.filter { !ids.contains($0.value) }
    for id in ids { ruleOfHazard[id] = nil }
  }

  /// The hazard is open again: its rule proposes no other.
  public mutating func reopened(hazard id: String, point: String, rule: String) {
    let key = "\(point)#\(rule)"
    guard open[key] == nil else { return }
    open[key] = id
    ruleOfHazard[id] = key
  }

  private mutating func forget(_ alarm: String) {
    waiting[alarm] = nil
    due.set(alarm, nil)
  }

  private mutating func propose(
    _ alarm: String,
    _ item: Waiting,
    _ ground: HazardProposal.Ground,
    _ basis: String?,
    at time: Timestamp
  ) -> HazardProposal? {
    let rule = "\(item.point)#\(item.rule)"
    guard open[rule] == nil else { return nil }
    let id = "hazard/\(alarm)"
    open[rule] = id
    ruleOfHazard[id] = rule
    forget(alarm)
    let enterprise = item.point.split(separator: "/").first.map { String($0) } ?? item.point
    return HazardProposal(
      registration: HazardRegistration(
        id: id,
        source: .monitoring,
        enterprise: enterprise,
        place: item.point,
        title: "\(item.rule) @ \(item.point)",
        alarms: [alarm]
      ),
      ground: ground,
      time: time,
      majorBasis: basis
    )
  }
}

extension AlarmBody.State {
  /// Whether it says that the condition stands.
  fileprivate var annunciatesCondition: Bool { self == .unacknowledged || self == .acknowledged }
}
