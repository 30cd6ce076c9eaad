/// How InfluxDB line protocol becomes readings.
public struct InfluxOptions: Hashable, Sendable {
  /// What the time stamps count.
  public enum Precision: Hashable, Sendable {
    /// Seconds.
    case seconds
    /// Milliseconds.
    case milliseconds
    /// Microseconds.
    case microseconds
    /// Nanoseconds: the protocol's own default.
    case nanoseconds
  }
  /// What names a point.
  public enum PointName: Hashable, Sendable {
    /// The field key.
    case field
    /// Measurement, a full stop, field key.
    case measurementAndField
  }
  /// Tag whose value names the device; when absent from a line, the topic's device, then the
  /// measurement.
  public var deviceTag: String
  /// What names a point.
  public var pointName: PointName
  /// What the time stamps count.
  public var precision: Precision
  /// Tag or string field whose value is the status code; empty for none.
  public var statusKey: String

  /// Makes options.
  public init(
    deviceTag: String = "device",
    pointName: PointName = .field,
    precision: Precision = .nanoseconds,
    statusKey: String = "status"
  ) {
    self.deviceTag = deviceTag
    self.pointName = pointName
    self.precision = precision
    self.statusKey = statusKey
  }
}

/// How the service plays the host application of Sparkplug B.
public struct SparkplugOptions: Hashable, Sendable {
  /// How long a missing sequence number may take to arrive before a rebirth is asked for, ms.
  public var reorderTimeoutMilliseconds: Int64
  /// Least time between two rebirth requests to one node, ms.
  public var rebirthIntervalMilliseconds: Int64
  /// Metric property that carries the status code; empty for none.
  public var statusProperty: String

  /// Makes options.
  public init(
    reorderTimeoutMilliseconds: Int64 = 2_000,
    rebirthIntervalMilliseconds: Int64 = 10_000,
    statusProperty: String = "Quality"
  ) {
    self.reorderTimeoutMilliseconds = reorderTimeoutMilliseconds
    self.rebirthIntervalMilliseconds = rebirthIntervalMilliseconds
    self.statusProperty = statusProperty
  }
}

/// How HJ 212 frames are read.
public struct HJ212Options: Hashable, Sendable {
  /// Edition of the standard that the source follows.
  public enum Edition: Hashable, Sendable {
    /// HJ 212-2017 (and the frames of HJ/T 212-2005, whose data flags differ).
    case year2017
    /// HJ 212-2025, in force since 2026-01-01.
    case year2025
  }
  /// Edition.
  public var edition: Edition
  /// Zone of `DataTime` and `QN`, minutes east of UTC.
  public var utcOffsetMinutes: Int
  /// Topic for replies, with `{enterprise}`, `{gateway}` and `{device}`; empty for no replies.
  public var replyTopic: String
  /// How long the parts of one message may take to arrive, ms.
  public var assemblyTimeoutMilliseconds: Int64

  /// Makes options.
  public init(
    edition: Edition = .year2017,
    utcOffsetMinutes: Int = 480,
    replyTopic: String = "",
    assemblyTimeoutMilliseconds: Int64 = 30_000
  ) {
    self.edition = edition
    self.utcOffsetMinutes = utcOffsetMinutes
    self.replyTopic = replyTopic
    self.assemblyTimeoutMilliseconds = assemblyTimeoutMilliseconds
  }
}
