/// What the engine has seen and refused since it was made; kept across snapshots.
public struct EngineCounters: Hashable, Sendable {
  /// Readings handed in.
  public var readings: UInt64 = 0
  /// Readings of a row that the plan does not have.
  public var unknownChannels: UInt64 = 0
  /// Readings or receive times outside the years that are believed (1900 to 9999).
  public var timesOutOfRange: UInt64 = 0
  /// Readings whose value is no finite number: recorded, never judged.
  public var notFinite: UInt64 = 0
  /// Readings marked historical: recorded, never judged.
  public var historical: UInt64 = 0
  /// Readings not newer than their channel's newest, and different from it.
  public var late: UInt64 = 0
  /// Readings equal to their channel's newest.
  public var duplicates: UInt64 = 0
  /// Readings whose status says that there is no value.
  public var withoutValue: UInt64 = 0
  /// Readings from calibration, test or maintenance.
  public var recordedOnly: UInt64 = 0
  /// Readings that left a window before their time because it was full, and should not have been.
  public var windowOverflows: UInt64 = 0
  /// Transitions put out.
  public var transitions: UInt64 = 0
  /// Occurrences closed because their rule has too many that wait for acknowledgement.
  public var supersededOccurrences: UInt64 = 0
  /// Clock faults found: devices that went into quarantine.
  public var clockFaults: UInt64 = 0
  /// Clocks that were set, back or ahead, by less than their tolerance, and were followed.
  public var clockSteps: UInt64 = 0
  /// Readings that were held back to be put in order.
  public var reordered: UInt64 = 0
  /// Readings that were let go early because too many of their device were held.
  public var reorderOverflows: UInt64 = 0
  /// Late readings that were judged again within their channel's window.
  public var lateJudged: UInt64 = 0
  /// Late readings that could not be judged: without a window, older than what it keeps, or at the time of another; and what
  /// came for windows of rules that had been judged without it.
  public var lateUnjudged: UInt64 = 0
  /// Decisions that late readings have changed.
  public var revisions: UInt64 = 0
  /// Alarms raised.
  public var raises: UInt64 = 0
  /// Raises that were the third or a later one of their rule within a minute.
  public var chattering: UInt64 = 0
  /// Alarms that returned within a minute, unacknowledged.
  public var fleeting: UInt64 = 0
  /// Conditions that ended before their on-delay did.
  public var heldBack: UInt64 = 0

  /// Makes counters at zero.
  public init() {}
}

extension EngineCounters {
  /// Every counter in a fixed order, for snapshots.
  static var fields: [WritableKeyPath<EngineCounters, UInt64>] {
    [
      \.readings, \.unknownChannels, \.timesOutOfRange, \.notFinite, \.historical, \.late,
      \.duplicates, \.withoutValue, \.recordedOnly, \.windowOverflows, \.transitions,
      \.supersededOccurrences, \.clockFaults, \.clockSteps, \.reordered, \.reorderOverflows,
      \.lateJudged, \.lateUnjudged, \.revisions, \.raises, \.chattering, \.fleeting, \.heldBack,
    ]
  }
}
