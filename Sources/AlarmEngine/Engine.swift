public import Telemetry

/// The deterministic core: readings, time and commands in, alarm transitions out.
///
/// An engine is a function of its state and one ordered stream of inputs. It reads no clock, draws no
/// number and does no input or output. State lies in columns of plain records; a warm engine
/// allocates nothing for a reading that changes no alarm.
///
/// ## Time
/// Engine time is receive time and never goes back. Rules run on the device's event time. A deadline
/// at event time d of a device is due at engine time d + offset, where offset is the least lag
/// (received − event time) seen of that device in this and the last epoch of ten minutes. A deadline
/// fires when engine time has *passed* it, or when a reading of its channel with a later event time
/// arrives; so a reading at exactly the deadline's time comes first. Shelves and re-alarms belong to
/// people and run on engine time. A device with a wrong clock is given receive times; see ``ClockGuard``. A device that
/// shuffles is judged behind a watermark, in the order of event time; see ``DevicePlan/reorderAllowanceMilliseconds``.
///
/// ## Occurrences
/// An alarm that becomes true again while its last occurrence is returned but unacknowledged (or
/// latched) begins a new occurrence with its own onset. The earlier one, if unacknowledged, goes on a
/// list and is acknowledged by its own onset; ``Engine/owedPerRule`` of them are kept for a rule, the
/// oldest beyond that are closed by a `.reset` transition and counted.
public struct Engine: ~Copyable, Sendable {
  /// How many returned, unacknowledged occurrences a rule may have beside the current one.
  public static let owedPerRule = 64

  /// Length of the epochs in which a device's least lag is taken.
  static let epochMilliseconds: Int64 = 600_000
  /// Times outside 1900 to 9999 are not believed.
  static let believedTimes: ClosedRange<Int64> = -2_208_988_800_000...253_402_300_799_999

  var channels: Column<ChannelRecord>
  let links: Column<ChannelLink>
  let profiles: Column<Profile>
  let ring: Column<RingLine>
  let devices: Column<DeviceRecord>
  let timings: [DeviceTiming]
  /// The clock guard's part of the devices: drift of all, trouble of those that have any, by device row.
  let drifts: Column<DriftRecord>
  var troubles: [Int: ClockTrouble]
  /// The channels of every device.
  let channelsOfDevices: [UInt32]
  let firstOfDevice: [UInt32]
  /// Devices in quarantine.
  var quarantined: Int
  /// Readings held back, by device row.
  var held: [Int: HeldReadings]
  /// The batch at hand waited at the broker: its lags tell nothing of clocks.
  var isBacklog: Bool
  let rules: Column<RuleRecord>
  let parameters: Column<RuleParameters>
  /// Row of each of the plan's rules among ``rules``, which are sorted by channel.
  let slotOfRule: [UInt32]
  let identities: Identities
  /// Detectors outside the records, where each lies, and who reads which channel.
  var bank: DetectorBank
  let places: [DetectorBank.Place]
  let signals: [[ChannelIndex]]
  let dependents: [Dependent]

  /// Counts over the alarms of other rules, and which cascades follow a rule, by row among ``rules``.
  let cascades: [Cascade]
  let followers: [UInt32: [UInt32]]
  /// What is remembered of the rules whose condition has moved, by ``RuleRecord/history``.
  var histories: RuleHistories
  /// What channels with a window remember beside it, by channel row.
  var pasts: [Int: ChannelPast]
  /// The newest moments of channels that had more than one reading in theirs.
  var ties: [Int: Tie]
  /// The newest leaps of channels whose stamps lie ahead, so that one that comes twice is known.
  var leaps: [Int: Leap]
  /// Channels of which all that comes is late.
  var blind: [Int: Blindness]
  /// By how much the reading that is judged was put off, because others had its time.
  var nudge: Int64
  /// Of a device in quarantine: the reading that is judged had to be given a time after its channel's one before.
  var isSqueezed: Bool
  /// The message that readings of such devices are taken from.
  var message: QuarantinedMessage
  /// Engine times at which a timed shelf runs out, by row among ``rules``.
  var shelves: [UInt32: Int64]
  /// Engine times since which a standing alarm waits to annunciate again, and to become more urgent, by row among ``rules``.
  var reAlarms: [UInt32: Int64]
  var escalations: [UInt32: Int64]
  /// Rows among ``rules`` whose newest occurrence has become more urgent by its escalation.
  var escalated: Set<UInt32>
  /// Rules that a plan change has left suppressed by nothing, until the next input releases them.
  var orphans: Set<UInt32>
  /// Rules that are not suppressed though the expression that a plan change has brought says so, until the next input.
  var unsuppressed: Set<UInt32>
  /// Rules whose figures came with the plan, until the next input: then the newest values are held against them.
  var unjudged: Set<UInt32>

  var heap: DeadlineHeap
  /// When rules' detectors, and the expressions that suppress them, have an entry in the heap.
  var looks: PendingLooks
  /// Devices by whose clocks something waits that is to be armed again.
  var rearming: [Int]
  var owed: OwedOccurrences
  var tally: EngineCounters
  /// Engine time; `noTime` before the first input.
  var now: Int64
  /// Engine time before which all deadlines have fired, so that none is armed for it; `noTime` amid a backlog, which fires none.
  var fired: Int64
  /// The epoch of `now`, and what a channel's key must be to take the fast way.
  var epoch: Int64
  var fastKey: UInt32
  /// The plan may have changed priorities of alarms that stand.
  var needsPriorityCheck: Bool
  /// For an engine that is one of several shards: where its output belongs among theirs.
  var order: OutputOrder

  /// Makes an engine that has seen nothing.
  ///
  /// - Throws: every inconsistency of the plan at once.
  public init(plan: EnginePlan) throws(PlanError) {
    let compiled = try CompiledPlan(plan)
    self.init(compiled)
  }

  /// Makes an engine for a part of a plan, one of several shards.
  init(part plan: EnginePlan) throws(PlanError) {
    self.init(try CompiledPlan(plan), isShard: true)
  }

  init(_ compiled: consuming CompiledPlan, isShard: Bool = false) {
    channels = Column(repeating: ChannelRecord(), count: compiled.links.count)
    links = Column(compiled.links)
    profiles = Column(compiled.profiles)
    ring = Column(repeating: RingLine(), count: compiled.ringLines)
    devices = Column(compiled.devices)
    timings = compiled.timings
    drifts = Column(repeating: DriftRecord(), count: compiled.devices.count)
    troubles = [:]
    channelsOfDevices = compiled.channelsOfDevices
    firstOfDevice = compiled.firstOfDevice
    quarantined = 0
    held = [:]
    isBacklog = false
    rules = Column(repeating: RuleRecord(), count: compiled.parameters.count)
    parameters = Column(compiled.parameters)
    slotOfRule = compiled.slotOfRule
    identities = compiled.identities
    bank = compiled.bank
    places = compiled.places
    signals = compiled.signals
    dependents = compiled.dependents
    cascades = compiled.cascades
    followers = compiled.followers
    histories = RuleHistories()
    pasts = [:]
    ties = [:]
    leaps = [:]
    blind = [:]
    nudge = 0
    isSqueezed = false
    message = QuarantinedMessage()
    shelves = [:]
    reAlarms = [:]
    escalations = [:]
    escalated = []
    orphans = []
    unsuppressed = []
    unjudged = []
    heap = DeadlineHeap()
    looks = PendingLooks()
    rearming = []
    owed = OwedOccurrences()
    tally = EngineCounters()
    now = noTime
    fired = noTime
    epoch = noTime
    fastKey = 0
    needsPriorityCheck = false
    order = OutputOrder(isKept: isShard)
    heap.reserve(compiled.deadlineCount)
    for index in 0..<channels.count {
      let record = channels.row(index)
      record.it.profile = compiled.profileOfChannel[index]
      record.it.ring = compiled.ringOfChannel[index]
      if compiled.links[index].isGeneral { record.it.key |= ChannelRecord.general }
      if timing(ofDevice: Int(links[index].device)).allowance > 0 {
        record.it.key |= ChannelRecord.held
      }
    }
    for slot in 0..<rules.count { rules.row(slot).it.priority = parameters[slot].priority }
  }

  /// How a rule has behaved; nil for no such row.
  public func statistics(of rule: RuleIndex) -> RuleStatistics? {
    guard Int(rule.rawValue) < slotOfRule.count else { return nil }
    let slot = Int(slotOfRule[Int(rule.rawValue)])
    let record = rules.row(slot)
    let history = history(of: UInt32(slot))
    return RuleStatistics(
      raises: record.it.raises,
      chattering: history.chattering,
      fleeting: history.fleeting,
      heldBack: record.it.fleeting
    )
  }

  /// Whether a rule's condition stands as an alarm; false for no such row.
  public func isActive(_ rule: RuleIndex) -> Bool {
    guard Int(rule.rawValue) < slotOfRule.count else { return false }
    return rules.row(Int(slotOfRule[Int(rule.rawValue)])).it.lifeCycle.isActive
  }

  /// What the engine has seen and refused.
  public var counters: EngineCounters { tally }

  /// Engine time from which ``advance(to:into:)`` has something to do; nil when nothing waits.
  public var nextDeadline: Timestamp? {
    var due = heap.first?.due
    // By what a backlog has told of clocks, a delay may have ended.
    if !rearming.isEmpty { due = min(due ?? now, now) }
    return due.map { Timestamp(milliseconds: $0 + 1) }
  }

  /// Bytes of state per channel: records, deadlines, what is remembered of rules that have moved and of clocks, late
  /// and held readings; without the window's samples and what the bank's detectors keep.
  public var stateBytesPerChannel: Double {
    var bytes = channels.byteCount + devices.byteCount + drifts.byteCount + rules.byteCount
    bytes += heap.entries.count * MemoryLayout<Deadline>.stride + looks.byteCount
    bytes += histories.byteCount
    for past in pasts.values { bytes += past.byteCount }
    for waiting in held.values { bytes += waiting.byteCount }
    bytes += ties.capacity * (MemoryLayout<Tie>.stride + 8)
    bytes += leaps.capacity * (MemoryLayout<Leap>.stride + 8)
    bytes += blind.capacity * (MemoryLayout<Blindness>.stride + 8)
    bytes += troubles.capacity * (MemoryLayout<ClockTrouble>.stride + 8)
    bytes += (shelves.capacity + reAlarms.capacity + escalations.capacity) * 16
    bytes += escalated.capacity * 4 + rearming.capacity * 8
    return Double(bytes) / Double(max(channels.count, 1))
  }

  /// Bytes of the compiled plan per channel: parameters, identities, links.
  public var planBytesPerChannel: Double {
    let bytes =
      links.byteCount + profiles.byteCount + parameters.byteCount + slotOfRule.count * 4
      + dependents.count * MemoryLayout<Dependent>.stride + identities.byteCount
    return Double(bytes) / Double(max(channels.count, 1))
  }

  /// Calls `body` with every alarm occurrence that is not over, by rule row and onset.
  public func standing(_ body: (StandingAlarm) -> Void) {
    for (rule, slot) in slotOfRule.enumerated() {
      let parameters = parameters.row(Int(slot))
      let record = rules.row(Int(slot))
      let channel = ChannelIndex(rawValue: parameters.it.channel)
      let index = RuleIndex(rawValue: UInt32(rule))
      let priority = AlarmPriority(rawValue: record.it.priority) ?? .red
      owed.forEach(slot: slot) { onset in
        body(
          StandingAlarm(
            rule: index,
            channel: channel,
            onset: Timestamp(milliseconds: onset),
            state: .returnedUnacknowledged,
            isActive: false,
            priority: priority
          )
        )
      }
      let cycle = record.it.lifeCycle
      guard cycle != LifeCycle() else { continue }
      var alarm = StandingAlarm(
        rule: index,
        channel: channel,
        onset: cycle.base == .normal ? .distantPast : Timestamp(milliseconds: record.it.onset),
        state: cycle.state,
        isActive: cycle.isActive,
        priority: priority
      )
      if cycle.shelving == .timed {
        alarm.shelvedUntil = Timestamp(milliseconds: shelves[slot] ?? never)
      }
      body(alarm)
    }
  }
}

/// One cache line of window samples.
struct RingLine: BitwiseCopyable {
  var samples: SIMD8<Double> = .zero
}

extension Column {
  /// Makes a column of an array's elements.
  init(_ elements: [Element]) {
    guard let first = elements.first else {
      self.init(empty: ())
      return
    }
    self.init(repeating: first, count: elements.count)
    for (index, element) in elements.enumerated() { self[index] = element }
  }
}
