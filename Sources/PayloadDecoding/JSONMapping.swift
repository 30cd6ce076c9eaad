public import Telemetry

/// How a foreign JSON payload becomes readings: declared, so that a new gateway needs no code.
///
/// Pointers are JSON pointers (RFC 6901) whose token `*` stands for every element of an array or
/// every member of an object. The wildcards of ``MappedValue/value`` open one reading for each
/// match; in the other pointers of the same value, the n-th `*` means the same element as the n-th
/// `*` of `value`. A member really called `*` is written `~2`.
public struct JSONMapping: Sendable {
  /// The values to take.
  public var values: [MappedValue]
  /// How times are written.
  public var timeFormat: TimeFormat
  /// What status codes mean, after the device's own table; numbers as decimal text.
  public var statusCodes: [String: SourceStatus]
  /// Whether a number may come as text (`"12.3"`).
  public var numbersInStrings: Bool

  /// Makes a mapping.
  public init(
    values: [MappedValue],
    timeFormat: TimeFormat = .epochMilliseconds,
    statusCodes: [String: SourceStatus] = [:],
    numbersInStrings: Bool = false
  ) {
    self.values = values
    self.timeFormat = timeFormat
    self.statusCodes = statusCodes
    self.numbersInStrings = numbersInStrings
  }
}

/// One value of a mapping with where its attributes are.
public struct MappedValue: Sendable {
  /// JSON pointer of the value, with `*` for expansion.
  public var value: String
  /// Where the device's name is.
  public var device: FieldSource
  /// Where the point's name is.
  public var point: FieldSource
  /// Where the time is; nil for the receive time.
  public var time: FieldSource?
  /// Where the status code is; nil for normal.
  public var status: FieldSource?
  /// Where the unit is; nil when it is not sent.
  public var unit: FieldSource?
  /// What of time, status and unit a message may leave out or say null for, as if none were declared.
  ///
  /// Without what may not be left out nobody knows what a reading means: without its time or unit it is refused, without
  /// its status it is passed on as unknown.
  public var optional: Fields
  /// Value = sent × scale + offset, before the point's own scale and offset.
  public var scale: Double
  /// Value = sent × scale + offset, before the point's own scale and offset.
  public var offset: Double
  /// Whether a message without the value is refused; otherwise it is passed over.
  public var required: Bool

  /// Attributes of a reading that a mapping may declare.
  public struct Fields: OptionSet, Hashable, Sendable {
    /// The bits.
    public var rawValue: UInt8
    /// The time.
    public static let time = Fields(rawValue: 1)
    /// The status.
    public static let status = Fields(rawValue: 2)
    /// The unit.
    public static let unit = Fields(rawValue: 4)

    /// Makes a set of its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
  }

  /// Makes a value.
  public init(
    value: String,
    device: FieldSource,
    point: FieldSource,
    time: FieldSource? = nil,
    status: FieldSource? = nil,
    unit: FieldSource? = nil,
    optional: Fields = [],
    scale: Double = 1,
    offset: Double = 0,
    required: Bool = true
  ) {
    self.value = value
    self.device = device
    self.point = point
    self.time = time
    self.status = status
    self.unit = unit
    self.optional = optional
    self.scale = scale
    self.offset = offset
    self.required = required
  }
}

/// Where a mapping finds an attribute of a reading.
public enum FieldSource: Hashable, Sendable {
  /// At a JSON pointer.
  case pointer(String)
  /// In the topic, at the capture of this name.
  case topic(String)
  /// Always this.
  case constant(String)
  /// The member name (or element number) that the n-th wildcard stands at, counted from zero.
  case key(Int)
}

/// How a source writes times.
public enum TimeFormat: Hashable, Sendable {
  /// Seconds since the Unix epoch; fractions allowed.
  case epochSeconds
  /// Milliseconds since the Unix epoch.
  case epochMilliseconds
  /// Microseconds since the Unix epoch.
  case epochMicroseconds
  /// Nanoseconds since the Unix epoch.
  case epochNanoseconds
  /// ISO 8601 / RFC 3339 with a zone: `2026-11-23T17:12:04.567+08:00`.
  case iso8601
  /// `2026-11-23 17:12:04` (also `/` between date parts, `T`, fractions) at this offset from UTC.
  case dateTime(utcOffsetMinutes: Int)
  /// `20261123171204` or `20261123171204567` at this offset from UTC.
  case compact(utcOffsetMinutes: Int)
}
