/// Three-valued truth: what is not known is neither true nor false (Kleene's strong logic).
///
/// A stale, missing or untrusted signal makes a condition unknown; an unknown condition neither
/// raises nor clears. The raw values are ordered false < unknown < true, so that `and` is the minimum
/// and `or` the maximum.
public enum Truth: UInt8, CaseIterable, Hashable, Sendable {
  /// Known to be false.
  case no = 0
  /// Not known.
  case unknown = 1
  /// Known to be true.
  case yes = 2

  /// Turns a known truth value into a three-valued one.
  @inlinable
  public init(_ value: Bool) {
    self = value ? .yes : .no
  }

  /// False when either is false, true when both are true, else unknown.
  @inlinable
  public static func && (lhs: Truth, rhs: Truth) -> Truth {
    lhs.rawValue < rhs.rawValue ? lhs : rhs
  }

  /// True when either is true, false when both are false, else unknown.
  @inlinable
  public static func || (lhs: Truth, rhs: Truth) -> Truth {
    lhs.rawValue > rhs.rawValue ? lhs : rhs
  }

  /// True for false, false for true, unknown for unknown.
  @inlinable
  public static prefix func ! (operand: Truth) -> Truth {
    switch operand {
    case .no: .yes
    case .unknown: .unknown
    case .yes: .no
    }
  }

  /// Voting: at least `needed` of the given conditions.
  ///
  /// True when that many are true, false when that many could not be reached even if every unknown
  /// one were true, else unknown.
  @inlinable
  public static func atLeast(_ needed: Int, yes: Int, unknown: Int) -> Truth {
    if yes >= needed { return .yes }
    return yes + unknown >= needed ? .unknown : .no
  }
}

/// Holds a condition back until it has been true for a duration without a break ("for 10 s").
///
/// Sample and hold: a condition lasts until a reading says otherwise. Unknown stops the clock and
/// forgets what had run (a gap proves nothing). How long a condition had been true before it was first known to be
/// is not known either: until it has lasted the duration, or is known to be false, the answer is unknown. A condition that
/// has lasted exactly the duration is true (closed edge). Signals that come in turn may show a time from before: what has lasted
/// has lasted all the same.
public struct Persistence: Hashable, Sendable {
  /// What is known of how long the condition has been true.
  private enum Course: UInt8 {
    /// Since ``since`` and no longer.
    case begun
    /// Perhaps for longer: nothing is known of the time before ``since``.
    case doubtful
    /// For the duration.
    case lasted
  }

  /// Since when the condition has been known to be true without a break; nil when it is not.
  public private(set) var since: Int64?
  private var course = Course.doubtful

  /// Starts with a condition of which nothing is known.
  public init() {}

  /// Takes the condition's value at `time` and says whether it has lasted `duration` milliseconds.
  public mutating func step(time: Int64, condition: Truth, duration: Int64) -> Truth {
    switch condition {
    case .no:
      since = nil
      course = .begun
      return .no
    case .unknown:
      since = nil
      course = .doubtful
      return .unknown
    case .yes:
      let start = since ?? time
      since = start
      if time - start >= duration { course = .lasted }
      return switch course {
      case .begun: .no
      case .doubtful: .unknown
      case .lasted: .yes
      }
    }
  }

  /// When the condition will have lasted `duration`, if nothing changes; nil when it has, and while it is not true.
  public func deadline(duration: Int64) -> Int64? {
    course == .lasted ? nil : since.map { $0 + duration }
  }

  /// Appends all state to `bytes`.
  public func write(into bytes: inout [UInt8]) {
    bytes.appendState(since != nil)
    bytes.appendState(since ?? 0)
    bytes.append(course.rawValue)
  }

  /// Reads back written state.
  public init(reading reader: inout StateReader) throws(StateReadError) {
    let isRunning = try reader.flag()
    let start = try reader.integer()
    since = isRunning ? start : nil
    guard let course = Course(rawValue: try reader.byte()) else { throw .inconsistent }
    self.course = course
  }
}
