public import AlarmEngine
import DeviceCatalog
import HazardLedger
import Telemetry

/// One engine with the rules it owns and the time it runs on.
///
/// All live gateways share one lane; each replay source has its own, because its time is that of the
/// recording. Channel and device rows are the catalog's; rule rows are the lane's own, because a
/// lane must not hold the rules of channels that report elsewhere: they would go stale here.
///
/// The lane's devices may be spread over several engines beside each other; what comes out is the same.
final class Lane {
  /// `live`, or the replay source's `enterprise/gateway`.
  let name: String
  private(set) var engine: ShardedEngine
  private(set) var time: Timestamp
  /// Lane rule row → catalog rule row.
  private var catalogRule: [UInt32]
  /// Catalog rule row → lane rule row.
  private var laneRule: [UInt32: UInt32]

  init(name: String, plan: LanePlan, time: Timestamp, shards: EngineShards) throws {
    self.name = name
    engine = try ShardedEngine(plan: plan.plan, shards: shards.count, team: shards.team)
    self.time = time
    catalogRule = plan.catalogRule
    laneRule = plan.laneRule
  }

  init(
    name: String,
    plan: LanePlan,
    restoring bytes: [UInt8],
    time: Timestamp,
    shards: EngineShards
  ) throws {
    self.name = name
    engine = try ShardedEngine(
      plan: plan.plan,
      restoring: bytes,
      shards: shards.count,
      team: shards.team
    )
    self.time = time
    catalogRule = plan.catalogRule
    laneRule = plan.laneRule
  }

  var nextDeadline: Timestamp? { engine.nextDeadline }

  func snapshot() -> [UInt8] { engine.snapshot() }

  /// Evaluates the batch; the lane's time goes to the batch's receive time, never back.
  func apply(_ batch: inout ReadingBatch, into transitions: inout [Transition]) {
    time = max(time, batch.received)
    batch.received = time
    let start = transitions.count
    engine.apply(batch, into: &transitions)
    renumber(&transitions, from: start)
  }

  func advance(to now: Timestamp, into transitions: inout [Transition]) {
    time = max(time, now)
    let start = transitions.count
    engine.advance(to: time, into: &transitions)
    renumber(&transitions, from: start)
  }

  /// Calls `body` with every alarm that is not over, its rule by its catalog row.
  func standing(_ body: (StandingAlarm) -> Void) {
    engine.standing { alarm in
      var alarm = alarm
      alarm.rule = RuleIndex(rawValue: catalogRule[Int(alarm.rule.rawValue)])
      body(alarm)
    }
  }

  /// How the rule in `rule`, a catalog row, has behaved; nil when the lane does not have it.
  func statistics(ofRule rule: UInt32) -> RuleStatistics? {
    laneRule[rule].flatMap { engine.statistics(of: RuleIndex(rawValue: $0)) }
  }

  /// Whether the condition of a rule, a catalog row, stands.
  func isActive(_ rule: UInt32) -> Bool {
    laneRule[rule].map { engine.isActive(RuleIndex(rawValue: $0)) } ?? false
  }

  /// Performs an act on the rule in `rule`, a catalog row, at the lane's time but not before `now`; amid a backlog no deadline
  /// fires on the way.
  func perform(
    _ act: Command.Act,
    rule: UInt32,
    onset: Timestamp?,
    sequence: UInt64,
    now: Timestamp?,
    isBacklog: Bool,
    into transitions: inout [Transition]
  ) -> CommandRefusal? {
    guard let row = laneRule[rule] else { return .unknownRule }
    if let now { time = max(time, now) }
    let start = transitions.count
    let refusal = engine.perform(
      Command(act: act, rule: RuleIndex(rawValue: row), onset: onset, sequence: sequence),
      at: time,
      isBacklog: isBacklog,
      into: &transitions
    )
    renumber(&transitions, from: start)
    return refusal
  }

  /// Puts another plan in force.
  ///
  /// - Parameters:
  ///   - plan: the lane's part of the new catalog.
  ///   - present: when the catalog came, where the lane's time has yet to reach it.
  ///   - isBacklog: readings that waited at the broker are still to come, so that no deadline fires.
  ///   - closed: takes the steps that close alarms of rules that are gone; their rows are the old catalog's.
  ///   - transitions: takes all other steps; their rows are the new catalog's.
  /// - Throws: `PlanError` when the engine refuses the plan; nothing has changed then.
  func replacePlan(
    _ plan: LanePlan,
    present: Timestamp = .distantPast,
    isBacklog: Bool = false,
    closed: inout [Transition],
    into transitions: inout [Transition]
  ) throws {
    var steps: [Transition] = []
    let old = try engine.replacePlan(
      plan.plan,
      at: time,
      present: present,
      isBacklog: isBacklog,
      into: &steps
    )
    for index in old {
      steps[index].rule = RuleIndex(rawValue: catalogRule[Int(steps[index].rule.rawValue)])
    }
    closed.append(contentsOf: steps[old])
    steps.removeSubrange(old)
    catalogRule = plan.catalogRule
    laneRule = plan.laneRule
    renumber(&steps, from: 0)
    transitions.append(contentsOf: steps)
  }

  private func renumber(_ transitions: inout [Transition], from start: Int) {
    for index in start..<transitions.count {
      let row = Int(transitions[index].rule.rawValue)
      transitions[index].rule = RuleIndex(rawValue: catalogRule[row])
    }
  }
}

/// Over how many engines each lane of a core spreads its devices, and who runs them.
///
/// The ledger does not depend on it: order, alarms and counters are those of one engine, and a snapshot may be
/// restored into another number. A core judges message by message, so that engines beside each other pay where messages
/// carry thousands of readings; for messages of a few, handing them out costs more than judging them.
public struct EngineShards: Sendable {
  /// How many engines, at least 1.
  public var count: Int
  /// Who runs them.
  public var team: ShardTeam

  /// One engine, on the caller's thread.
  public static let one = EngineShards(count: 1, team: .inTurn)

  /// Spreads devices over `count` engines that `team` runs.
  public init(count: Int, team: ShardTeam) {
    self.count = count
    self.team = team
  }
}

/// The part of a catalog's engine plan that one lane evaluates.
struct LanePlan {
  var plan: EnginePlan
  var catalogRule: [UInt32]
  var laneRule: [UInt32: UInt32]

  /// Takes from `whole` the rules that there are at a level and whose channel `isMember`.
  ///
  /// With `isReplay` the lane's time is that of a recording, which no clock can be held against.
  init(of whole: EnginePlan, level: RulesLevel, isReplay: Bool, isMember: (Int) -> Bool) {
    plan = EnginePlan(devices: whole.devices, channels: whole.channels)
    if isReplay {
      for row in plan.devices.indices {
        plan.devices[row].clockToleranceMilliseconds = DevicePlan.unguarded
      }
    }
    catalogRule = []
    laneRule = [:]
    for (row, rule) in whole.rules.enumerated()
    where isMember(Int(rule.channel.rawValue)) && rule.detector.isKnown(at: level) {
      laneRule[UInt32(row)] = UInt32(catalogRule.count)
      catalogRule.append(UInt32(row))
      plan.rules.append(rule)
      guard case .cascade(var cascade) = rule.detector else { continue }
      // A cascade counts what its own lane evaluates, under the lane's rows.
      cascade.points = cascade.points.compactMap { point in
        let own = point.compactMap { member in
          laneRule[member.rule.rawValue].map {
            CascadeParameters.Member(rule: RuleIndex(rawValue: $0), grade: member.grade)
          }
        }
        return own.isEmpty ? nil : own
      }
      if cascade.points.isEmpty {
        plan.rules.removeLast()
        catalogRule.removeLast()
        laneRule[UInt32(row)] = nil
      } else {
        plan.rules[plan.rules.count - 1].detector = .cascade(cascade)
      }
    }
  }
}

extension Detector {
  /// Whether rules of this level know it: what a source reports of itself was no alarm before ``RulesLevel/areas``.
  fileprivate func isKnown(at level: RulesLevel) -> Bool {
    if case .reported = self { level >= .areas } else { true }
  }
}
