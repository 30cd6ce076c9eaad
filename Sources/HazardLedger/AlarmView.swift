public import Telemetry

/// What the ledger says of one alarm occurrence: the fold of its entries.
public struct AlarmView: Hashable, Sendable {
  /// When a step was, and where it stands in the ledger.
  public struct Step: Hashable, Sendable {
    /// Event time.
    public var time: Timestamp
    /// Ledger sequence.
    public var sequence: Int64

    /// Makes a step.
    public init(time: Timestamp, sequence: Int64) {
      self.time = time
      self.sequence = sequence
    }
  }

  /// Identity of the occurrence.
  public var id: String
  /// Path of the point.
  public var point: String
  /// The rule's id within the point.
  public var rule: String
  /// Event time at which the condition became true.
  public var onset: Timestamp
  /// State after the newest step.
  public var state: AlarmBody.State
  /// Priority after the newest step: 1 blue … 4 red.
  public var priority: Int
  /// First entry of this occurrence; the paging cursor of alarm lists.
  public var firstSequence: Int64
  /// The newest step.
  public var last: Step
  /// When it was raised.
  public var raised: Step?
  /// When it was last acknowledged.
  public var acknowledged: Step?
  /// When its condition last went.
  public var returned: Step?
  /// When its latch was reset.
  public var reset: Step?
  /// Who acknowledged last.
  public var acknowledgedBy: String
  /// Why; 消警 asks for a reason.
  public var acknowledgedReason: String
  /// Who took the newest step, a person or `engine`.
  public var actor: String
  /// Why the newest step was taken.
  public var reason: String
  /// End of shelving, while shelved for a time.
  public var shelvedUntil: Timestamp?
  /// The last value that decided a step.
  public var value: Double?
  /// The set-point it was held against.
  public var limit: Double?
  /// Unit of value and limit.
  public var unit: String
  /// Version of the catalog that held the rule at the newest step.
  public var catalog: String
  /// How many steps there were.
  public var steps: Int
  /// How many of them were revisions by late data.
  public var revisions: Int

  /// True while the alarm is not normal.
  public var isStanding: Bool { state != .normal }

  /// Makes a view from its parts.
  package init(
    id: String,
    point: String,
    rule: String,
    onset: Timestamp,
    state: AlarmBody.State,
    priority: Int,
    firstSequence: Int64,
    last: Step,
    raised: Step?,
    acknowledged: Step?,
    returned: Step?,
    reset: Step?,
    acknowledgedBy: String,
    acknowledgedReason: String,
    actor: String,
    reason: String,
    shelvedUntil: Timestamp?,
    value: Double?,
    limit: Double?,
    unit: String,
    catalog: String,
    steps: Int,
    revisions: Int
  ) {
    self.id = id
    self.point = point
    self.rule = rule
    self.onset = onset
    self.state = state
    self.priority = priority
    self.firstSequence = firstSequence
    self.last = last
    self.raised = raised
    self.acknowledged = acknowledged
    self.returned = returned
    self.reset = reset
    self.acknowledgedBy = acknowledgedBy
    self.acknowledgedReason = acknowledgedReason
    self.actor = actor
    self.reason = reason
    self.shelvedUntil = shelvedUntil
    self.value = value
    self.limit = limit
    self.unit = unit
    self.catalog = catalog
    self.steps = steps
    self.revisions = revisions
  }

  /// Begins the view of an occurrence with its first entry.
  public init(_ body: AlarmBody, sequence: Int64, time: Timestamp, actor: String) {
    let step = Step(time: time, sequence: sequence)
    id = body.alarm
    point = body.point
    rule = body.rule
    onset = body.onset
    state = body.state
    priority = body.priority
    firstSequence = sequence
    last = step
    acknowledgedBy = ""
    acknowledgedReason = ""
    self.actor = actor
    reason = ""
    unit = body.unit
    catalog = body.catalog
    steps = 0
    revisions = 0
    apply(body, sequence: sequence, time: time, actor: actor)
  }

  /// Adds the next entry of the occurrence.
  public mutating func apply(
    _ body: AlarmBody,
    sequence: Int64,
    time: Timestamp,
    actor: String
  ) {
    let step = Step(time: time, sequence: sequence)
    last = step
    state = body.state
    priority = body.priority
    self.actor = actor
    reason = body.reason
    if let value = body.value { self.value = value }
    if let limit = body.limit { self.limit = limit }
    if !body.unit.isEmpty { unit = body.unit }
    if !body.catalog.isEmpty { catalog = body.catalog }
    shelvedUntil = body.state == .shelved ? body.until : nil
    steps += 1
    switch body.event {
    case .raised: raised = step
    case .returned: returned = step
    case .acknowledged:
      acknowledged = step
      acknowledgedBy = actor
      acknowledgedReason = body.reason
    case .reset: reset = step
    case .revised: revisions += 1
    case .shelved, .unshelved, .suppressed, .unsuppressed, .removedFromService, .returnedToService,
      .priorityChanged, .reAlarmed:
      break
    }
  }
}

/// Which alarms a list is to hold; what is nil or empty does not filter.
public struct AlarmFilter: Hashable, Sendable {
  /// Only those that stand.
  public var standingOnly: Bool
  /// Only in these states.
  public var states: Set<AlarmBody.State>
  /// Only at least this urgent.
  public var minimumPriority: Int?
  /// Only at these points or below them, by path.
  public var pointPaths: [String]
  /// Only of this rule id.
  public var rule: String?
  /// Only with an onset at this time or later.
  public var onsetFrom: Timestamp?
  /// Only with an onset before this time.
  public var onsetBefore: Timestamp?
  /// Only of these enterprises: how a caller is held to its scope, whatever else it asks for.
  public var scope: LedgerScope

  /// Makes a filter.
  public init(
    standingOnly: Bool = false,
    states: Set<AlarmBody.State> = [],
    minimumPriority: Int? = nil,
    pointPaths: [String] = [],
    rule: String? = nil,
    onsetFrom: Timestamp? = nil,
    onsetBefore: Timestamp? = nil,
    scope: LedgerScope = .everything
  ) {
    self.standingOnly = standingOnly
    self.states = states
    self.minimumPriority = minimumPriority
    self.pointPaths = pointPaths
    self.rule = rule
    self.onsetFrom = onsetFrom
    self.onsetBefore = onsetBefore
    self.scope = scope
  }
}

/// Part of a list of alarms, newest first.
public struct AlarmPage: Hashable, Sendable {
  /// The alarms.
  public var alarms: [AlarmView]
  /// Hand it in as `before` for the next page; nil at the end.
  public var next: Int64?

  /// Makes a page.
  public init(alarms: [AlarmView], next: Int64?) {
    self.alarms = alarms
    self.next = next
  }
}
