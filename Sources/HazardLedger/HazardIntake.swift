public import Telemetry

/// When an alarm becomes a hazard.
public struct HazardPolicy: Hashable, Sendable {
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
    immediateFromPriority: Int = 4,
    standingMilliseconds: Int64 = 0,
    repeatCount: Int = 0,
    repeatMilliseconds: Int64 = 86_400_000,
    majorRules: [String: String] = [:]
  ) {
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
public struct HazardIntake: Hashable, Sendable {
  private struct Waiting: Hashable, Sendable {
    var due: Timestamp
    var body: AlarmBody
  }

  private let policy: HazardPolicy
  private var open: [String: String] = [:]
  private var occurrences: [String: [Timestamp]] = [:]
  private var waiting: [String: Waiting] = [:]

  /// Begins without open hazards.
  public init(policy: HazardPolicy) {
    self.policy = policy
  }

  /// When ``advance(to:)`` has something to do next.
  public var nextDeadline: Timestamp? { waiting.values.map(\.due).min() }

  /// Takes an alarm's step at its event time.
  public mutating func add(_ body: AlarmBody, at time: Timestamp) -> [HazardProposal] {
    var proposals = advance(to: time)
    let rule = "\(body.point)#\(body.rule)"
    if body.state == .normal || body.event == .returned { waiting[body.alarm] = nil }
    guard body.event == .raised || body.event == .priorityChanged else { return proposals }
    if body.event == .raised {
      var times = occurrences[rule] ?? []
      times.removeAll { time.milliseconds(since: $0) >= policy.repeatMilliseconds }
      times.append(time)
      occurrences[rule] = Array(times.suffix(max(1, policy.repeatCount)))
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
      if let proposal = propose(body, ground, at: time) { proposals.append(proposal) }
    } else if policy.standingMilliseconds > 0, body.event == .raised {
      let due = time.advanced(byMilliseconds: policy.standingMilliseconds)
      waiting[body.alarm] = Waiting(due: due, body: body)
    }
    return proposals
  }

  /// Proposes for alarms that stand too long, each at its own time.
  public mutating func advance(to now: Timestamp) -> [HazardProposal] {
    let due = waiting.values.filter { $0.due <= now }
      .sorted { ($0.due, $0.body.alarm) < ($1.due, $1.body.alarm) }
    var proposals: [HazardProposal] = []
    for item in due {
      waiting[item.body.alarm] = nil
      if let proposal = propose(item.body, .standing, at: item.due) { proposals.append(proposal) }
    }
    return proposals
  }

  /// The hazard is closed or dismissed: its rule may propose again.
  public mutating func ended(hazard id: String) {
    open = open.filter { $0.value != id }
  }

  private mutating func propose(
    _ body: AlarmBody,
    _ ground: HazardProposal.Ground,
    at time: Timestamp
  ) -> HazardProposal? {
    let rule = "\(body.point)#\(body.rule)"
    guard open[rule] == nil else { return nil }
    let id = "hazard/\(body.alarm)"
    open[rule] = id
    waiting[body.alarm] = nil
    let enterprise = body.point.split(separator: "/").first.map { String($0) } ?? body.point
    return HazardProposal(
      registration: HazardRegistration(
        id: id,
        source: .monitoring,
        enterprise: enterprise,
        place: body.point,
        title: "\(body.rule) @ \(body.point)",
        alarms: [body.alarm]
      ),
      ground: ground,
      time: time,
      majorBasis: policy.majorRules[body.rule]
    )
  }
}
