/// The state of one rule: its condition, its alarm, its deadlines.
///
/// What few rules have at a time (a shelf that runs out, a re-alarm, an escalation, steps of the condition) lies beside
/// the records.
package struct RuleRecord: BitwiseCopyable {
  /// Event time since which the pending condition has been true, or false.
  var since: Int64 = noTime
  /// Journal sequence of the reading that began it.
  var sinceSequence: UInt64 = 0
  /// Event time at which the current or last occurrence began.
  var onset: Int64 = noTime
  /// How often the alarm was raised.
  var raises: UInt32 = 0
  /// How often a condition ended before its on-delay did.
  var fleeting: UInt32 = 0
  /// A ``LifeCycle``.
  var life: UInt8 = 0
  /// A ``Phase``.
  var phase: Phase = .idle
  /// Bits of ``Deadline/Kind``s that have an entry in the heap.
  var armed: UInt8 = 0
  /// An ``AlarmPriority``.
  var priority: UInt8 = 1
  /// Row of the rule's ``RuleHistory``; `.max` while its condition has never moved.
  var history: UInt32 = .max

  /// Where the condition stands between the detector and the alarm.
  package enum Phase: UInt8, CaseIterable, BitwiseCopyable {
    /// Condition false.
    case idle
    /// Condition true, held back by the on-delay.
    case pendingOn
    /// Alarm condition true.
    case active
    /// Condition false, held back by the off-delay.
    case pendingOff

    /// A delay runs.
    var isPending: Bool { self == .pendingOn || self == .pendingOff }
  }

  /// The alarm condition is true.
  var isActive: Bool { phase == .active || phase == .pendingOff }

  /// The condition is what it was before the delay that runs, if one does; no later one relies on what was armed for it.
  mutating func takeBackDelay() {
    phase = isActive ? .active : .idle
    armed &= ~Deadline.Kind.delayBits
  }

  var lifeCycle: LifeCycle {
    guard let cycle = LifeCycle(packed: life) else {
      preconditionFailure("a rule record holds no life cycle")
    }
    return cycle
  }
}

/// A rule's plan, flattened for the loops.
struct RuleParameters: BitwiseCopyable {
  var kind: Kind = .limit
  var comparison: LimitParameters.Comparison = .atOrAbove
  var priority: UInt8 = 1
  var isLatching = false
  /// Row in the plan.
  var rule: UInt32 = 0
  var channel: UInt32 = 0
  /// Set-point, or the low end of a range.
  var low: Double = 0
  /// Restore value, or the high end of a range.
  var high: Double = 0
  var onDelay: Int64 = 0
  var offDelay: Int64 = 0
  var reAlarm: Int64 = 0
  /// A standing alarm rises to another priority after this long; 0 never.
  var escalateAfter: Int64 = 0
  var escalatedPriority: UInt8 = 1
  /// Number among the bank's of the expression that suppresses the alarm; `.max` for none.
  var suppressor: UInt32 = .max
  /// Milliseconds without a reading; 0 for every other kind.
  var staleAfter: Int64 = 0
  /// Readings before an EWMA judges; for detectors of the bank, and for cascades, their number among those.
  var number: UInt32 = 0

  /// Which detector decides.
  enum Kind: UInt8 {
    case limit, physicalRange, stale, rate, ewma
    /// The device's clock.
    case clock
    /// A detector over one channel that lies in the bank.
    case single
    /// A detector over several signals that lies in the bank.
    case group
    /// A count over the alarms of other rules.
    case cascade
    /// What the source itself reports.
    case reported

    /// The condition hangs on the channel's values, so that a gap breaks a delay that runs on it.
    var followsValues: Bool {
      switch self {
      case .limit, .physicalRange, .rate, .ewma, .single: true
      case .stale, .clock, .group, .cascade, .reported: false
      }
    }
  }
}

/// Whether a rule's condition begins, ends, or keeps as it is.
struct Verdict {
  /// The condition is true.
  var on: Bool
  /// The condition is over.
  var off: Bool
}

extension RuleParameters {
  /// How a limit or a range judges a value.
  func verdict(_ value: Double) -> Verdict {
    switch kind {
    case .limit:
      switch comparison {
      case .atOrAbove: Verdict(on: value >= low, off: value < high)
      case .above: Verdict(on: value > low, off: value < high)
      case .atOrBelow: Verdict(on: value <= low, off: value > high)
      case .below: Verdict(on: value < low, off: value > high)
      }
    case .physicalRange:
      Verdict(on: value < low || value > high, off: value >= low && value <= high)
    case .stale, .clock, .rate, .ewma, .single, .group, .cascade, .reported:
      Verdict(on: false, off: false)
    }
  }

  /// The span around `value` in which the rule's condition stays as it is.
  func calm(_ value: Double, phase: RuleRecord.Phase) -> (low: Double, high: Double) {
    let verdict = verdict(value)
    let greatest = Double.greatestFiniteMagnitude
    switch kind {
    case .stale, .clock, .rate, .ewma, .single, .group, .cascade, .reported:
      return (-greatest, greatest)
    case .physicalRange:
      if verdict.off { return (low, high) }
      return value < low ? (-greatest, low.nextDown) : (high.nextUp, greatest)
    case .limit:
      // The edge that matters now: the set-point before an alarm, the restore value after.
      let (edge, isBeyond, includesEdge): (Double, Bool, Bool) =
        switch phase {
        case .idle, .pendingOn:
          (low, verdict.on, comparison == .atOrAbove || comparison == .atOrBelow)
        case .active, .pendingOff:
          (high, !verdict.off, true)
        }
      switch comparison {
      case .atOrAbove, .above:
        return isBeyond
          ? (includesEdge ? edge : edge.nextUp, greatest)
          : (-greatest, includesEdge ? edge.nextDown : edge)
      case .atOrBelow, .below:
        return isBeyond
          ? (-greatest, includesEdge ? edge : edge.nextDown)
          : (includesEdge ? edge.nextUp : edge, greatest)
      }
    }
  }
}
