public import AlarmEngine

/// How the engines do, at a moment: counters by lane, clocks by device, behaviour by rule.
public struct EngineReport: Sendable {
  /// One lane.
  public struct LaneReport: Hashable, Sendable {
    /// `live`, or the replay source's `enterprise/gateway`.
    public var name: String
    /// What the engine has seen and refused.
    public var counters: EngineCounters
    /// Devices whose clock is in quarantine.
    public var quarantined: Int
  }

  /// One device's clock.
  public struct Clock: Hashable, Sendable {
    /// The device's row in the catalog.
    public var device: UInt32
    /// Device time less receive time, milliseconds.
    public var skew: Int64?
    /// How fast the clock gains, parts per million; nil before an hour has been seen.
    public var drift: Double?
    /// The largest distance that is no fault, milliseconds; nil where the guard is off.
    public var tolerance: Int64?
    /// The device is judged by receive time.
    public var isQuarantined: Bool
    /// Clock faults found so far.
    public var faults: Int64
    /// Times that the clock was set, back or ahead, by less than the tolerance.
    public var steps: Int64

    init(device: UInt32, _ clock: DeviceClock) {
      self.device = device
      skew = clock.skewMilliseconds
      drift = clock.driftPartsPerMillion
      tolerance = clock.toleranceMilliseconds
      isQuarantined = clock.isQuarantined
      faults = Int64(clock.faults)
      steps = Int64(clock.steps)
    }
  }

  /// How one rule has behaved.
  public struct Rule: Hashable, Sendable {
    /// The rule's row in the catalog.
    public var rule: UInt32
    /// How often it was raised.
    public var raises: Int64
    /// Raises that were the third or a later one within a minute.
    public var chattering: Int64
    /// Alarms that returned within a minute, unacknowledged.
    public var fleeting: Int64
    /// Conditions that ended before their on-delay did.
    public var heldBack: Int64

    init(rule: UInt32, _ statistics: RuleStatistics) {
      self.rule = rule
      raises = Int64(statistics.raises)
      chattering = Int64(statistics.chattering)
      fleeting = Int64(statistics.fleeting)
      heldBack = Int64(statistics.heldBack)
    }
  }

  /// Lanes, live first.
  public var lanes: [LaneReport] = []
  /// Live devices that have shown a time of their own, by row.
  public var clocks: [Clock] = []
  /// Rules whose condition has been true at least once, by row.
  public var rules: [Rule] = []

  /// Makes a report with nothing in it.
  public init() {}
}

/// A report that is put together a few rows at a time, so that no batch waits for the whole plant to be looked at.
struct EngineReportWalk {
  /// What has been taken up so far.
  var report = EngineReport()
  /// Version of the catalog that the rows are of.
  var catalog: String?
  /// The next row: devices first, then rules.
  var row = 0
}
