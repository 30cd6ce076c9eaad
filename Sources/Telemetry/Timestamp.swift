/// A moment as milliseconds since the Unix epoch, UTC, without leap seconds.
///
/// The one time type of the core: device (event) time and receive time are both `Timestamp`s, and a
/// parameter's name says which is meant. Nothing in this module reads a clock.
public struct Timestamp: Comparable, Hashable, Sendable {
  /// Milliseconds since 1970-01-01T00:00:00Z.
  public var milliseconds: Int64

  /// Makes a moment from milliseconds since the Unix epoch.
  @inlinable
  public init(milliseconds: Int64) {
    self.milliseconds = milliseconds
  }

  /// The earliest moment that can be written; a "never yet" that compares below every real moment.
  public static let distantPast = Timestamp(milliseconds: .min / 4)

  /// The latest moment that can be written; a "never" that compares above every real moment.
  public static let distantFuture = Timestamp(milliseconds: .max / 4)

  /// Orders moments by time.
  @inlinable
  public static func < (lhs: Timestamp, rhs: Timestamp) -> Bool {
    lhs.milliseconds < rhs.milliseconds
  }

  /// The moment this many milliseconds later.
  @inlinable
  public func advanced(byMilliseconds delta: Int64) -> Timestamp {
    Timestamp(milliseconds: milliseconds &+ delta)
  }

  /// Milliseconds from `earlier` to this moment; negative when this moment is the earlier one.
  @inlinable
  public func milliseconds(since earlier: Timestamp) -> Int64 {
    milliseconds &- earlier.milliseconds
  }
}

extension Timestamp: Codable {
  /// Reads the milliseconds.
  public init(from decoder: any Decoder) throws {
    milliseconds = try decoder.singleValueContainer().decode(Int64.self)
  }

  /// Writes the milliseconds alone.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(milliseconds)
  }
}
