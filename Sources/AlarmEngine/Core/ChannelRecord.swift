/// What a reading needs of its channel: two cache lines, read and written in one pass.
struct ChannelRecord: BitwiseCopyable {
  // First line: order, status, limits.
  /// Event time of the newest reading; `noTime` before the first.
  var newest: Int64 = noTime
  /// While the value stays within `calmLow ... calmHigh`, no limit or range of the channel changes.
  var calmLow: Double = .infinity
  var calmHigh: Double = -.infinity
  /// The newest value that was evaluated; NaN when there is none to compare with.
  var value: Double = .nan
  /// Journal sequence of the newest reading.
  var sequence: UInt64 = 0
  /// Equal to the engine's key when a reading may take the fast way: its upper half is the epoch of
  /// the clock estimate that `lagLow` was taken from, its lower half the reasons against.
  var key: UInt32 = ChannelRecord.slow
  /// Least lag (received − event time) that tells nothing new of the device's clock.
  var lagLow: Int32 = 0
  /// Row of the channel's parameters.
  var profile: UInt32 = 0
  /// Readings that the EWMA has seen, as far as its warm-up counts them.
  var seen: UInt32 = 0
  var mean: Double = 0
  // Second line: EWMA, window.
  var variance: Double = 0
  /// Sums over the window of (value − reference) and its square.
  var sum: Double = 0
  var squares: Double = 0
  var reference: Double = 0
  /// The least sample and the greatest: one store, so that a load of both need not wait for two.
  var extremes: SIMD2<Double> = .zero
  /// Positions in the ring, counting up; `tail ..< head` are live.
  var head: UInt32 = 0
  var tail: UInt32 = 0
  /// Where the ring begins, in blocks.
  var ring: UInt32 = 0
  /// Which of the fast conditions are true.
  var conditions: UInt8 = 0
  /// Status of the newest reading.
  var status: UInt8 = 0
  /// ``Measured/keepBit`` while the window's oldest sample is its least or its greatest, but not both, else 0: when it leaves,
  /// the samples are looked over.
  var oldest: UInt8 = 0
  var padding: UInt8 = 0

  /// The channel needs the slow way, whatever the reading.
  static let slow: UInt32 = 1
  /// The newest reading carried no value to compare with.
  static let gap: UInt32 = 2
  /// The device's clock is in quarantine.
  static let quarantined: UInt32 = 4
  /// Readings of the device are held back to be put in order.
  static let held: UInt32 = 8

  /// The newest reading had a status other than normal.
  static let marked: UInt32 = 32
  /// A rule of the channel, or one that reads it, has a detector outside the record.
  static let general: UInt32 = 16

  /// Bit of the rate of change in `conditions`.
  static let rateBit: UInt8 = 1
  /// Bit of the EWMA in `conditions`.
  static let ewmaBit: UInt8 = 2

  /// Greatest square of a distance that an EWMA learns from: of 10¹², which no sensor's values have between them.
  static let greatestSquare = 1e24

  /// What the EWMA has learnt is forgotten.
  mutating func forgetLearnt() {
    (seen, mean, variance) = (0, 0, 0)
  }
}

extension ChannelRecord {
  /// What ``oldest`` is for a sample of the window.
  ///
  /// Where all samples are equal, one that leaves takes no extreme with it: a signal that does not move is no more work than
  /// another.
  @inline(__always)
  func keeping(_ sample: Double) -> UInt8 {
    (sample <= extremes.x) != (sample >= extremes.y) ? Measured.keepBit : 0
  }
}

/// An event time that no reading has: before the first.
package let noTime: Int64 = .min / 4

/// A deadline that never comes.
package let never: Int64 = .max / 4

/// Parameters that channels share: few enough to stay in the nearest cache.
struct Profile: BitwiseCopyable, Hashable {
  var features: UInt32 = 0
  /// Longest distance to the newest reading that needs no second look.
  var maxGap: UInt32 = Profile.longestGap
  /// Greatest lag that says nothing of a clock at fault.
  var greatestLag: UInt32 = 0
  var windowLength: UInt32 = 0
  /// Capacity of the ring less one; capacities are powers of two.
  var ringMask: UInt32 = 0
  var warmUp: UInt32 = 0
  /// Largest change per second.
  var rate: Double = .infinity
  var alpha: Double = 0
  /// One less alpha.
  var decay: Double = 1
  /// Square of the number of standard deviations.
  var thresholdSquared: Double = .infinity
  /// Of how many samples the last lets the window's sums be taken afresh, less one: a power of two less one.
  var resumMask: UInt32 = 0
  /// Fills the line, so that a row's address is a shift.
  var padding: UInt32 = 0

  static let window: UInt32 = 1
  static let rate: UInt32 = 2
  static let ewma: UInt32 = 4
  /// The window is meant to hold its whole length: a reading that leaves it early is counted.
  static let wholeWindow: UInt32 = 8

  /// Window positions are kept as the low 32 bits of event time: longer gaps empty the window.
  static let longestGap: UInt32 = 0x7fff_ffff
}

/// What a channel needs only off the fast way.
struct ChannelLink: BitwiseCopyable {
  var device: UInt32 = 0
  var firstRule: UInt32 = 0
  var ruleCount: UInt32 = 0
  /// Least time without a reading after which the channel is stale; 0 never.
  var staleAfter: UInt32 = 0
  /// Rules of any channel that read this one as a signal.
  var firstDependent: UInt32 = 0
  var dependentCount: UInt32 = 0
  /// Every reading takes the slow way.
  var isGeneral = false

  /// Rows of the rules on the channel.
  @inline(__always)
  var rules: Range<UInt32> { firstRule..<firstRule &+ ruleCount }
}

/// A rule that reads a channel as one of its detector's signals.
struct Dependent: BitwiseCopyable {
  var slot: UInt32
  var signal: UInt32
  /// The signal is one of the expression that suppresses the rule's alarm.
  var isSuppressor = false
}

/// What the engine knows of a device's clock.
struct DeviceRecord: BitwiseCopyable {
  /// Least lag in the epoch before the current one, and in the current one; `never` when none.
  var previousLow: Int64 = never
  var currentLow: Int64 = never
  /// The epoch that `currentLow` belongs to.
  var epoch: Int32 = .min
  /// In bit 0 whether it is in quarantine, in bit 1 ``isRearming``, above them the row of the device's ``DeviceTiming``.
  private var bits: UInt32 = 0

  init(timing: UInt32 = 0) {
    bits = timing << 2
  }

  var isQuarantined: Bool {
    get { bits & 1 != 0 }
    set { bits = newValue ? bits | 1 : bits & ~1 }
  }

  /// What waits by its clock is to be armed again.
  var isRearming: Bool {
    get { bits & 2 != 0 }
    set { bits = newValue ? bits | 2 : bits & ~2 }
  }

  /// Row of what the plan says of the device's times.
  var timing: UInt32 { bits >> 2 }

  /// Whether a lag has been seen.
  var isKnown: Bool { min(previousLow, currentLow) != never }

  /// Distance from event time to the engine's time; 0 until something is known.
  var offset: Int64 { isKnown ? min(previousLow, currentLow) : 0 }
}

/// What the plan says of a source's times, shared by all devices of which it says the same.
struct DeviceTiming: BitwiseCopyable, Hashable {
  /// Largest distance from receive time that is no fault, milliseconds.
  var tolerance: Int64 = DevicePlan.unguarded
  /// How long readings are held back, milliseconds.
  var allowance: Int64 = 0

  /// The guard is off: replay sources have no clock to be held against.
  var isUnguarded: Bool { tolerance == DevicePlan.unguarded }
}
