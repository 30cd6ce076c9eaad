/// The row number of a channel: one measured quantity of one device, dense from zero within a plan.
public struct ChannelIndex: Hashable, Sendable {
  /// The row.
  public var rawValue: UInt32

  /// Makes a row number.
  @inlinable
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }
}

/// What else is known of a reading than value and status.
public struct ReadingFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public var rawValue: UInt8

  /// Makes a set from its bits.
  @inlinable
  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// Back-filled by the gateway (Sparkplug `is_historical`): recorded, never a live alarm.
  public static let historical = ReadingFlags(rawValue: 1)
  /// The device sent no time of its own, so event time is the receive time.
  public static let receiveTimed = ReadingFlags(rawValue: 2)
}

/// One value of one channel at one moment of the device's clock.
public struct Reading: Hashable, Sendable {
  /// The channel's row.
  public var channel: ChannelIndex
  /// Event time by the device's clock.
  public var time: Timestamp
  /// The value in the channel's unit; finite, or NaN where the source reports something and has no number for it.
  public var value: Double
  /// What the source says of it.
  public var status: SourceStatus
  /// Back-filled, receive-timed.
  public var flags: ReadingFlags

  /// Makes a reading.
  @inlinable
  public init(
    channel: ChannelIndex,
    time: Timestamp,
    value: Double,
    status: SourceStatus = .normal,
    flags: ReadingFlags = []
  ) {
    self.channel = channel
    self.time = time
    self.value = value
    self.status = status
    self.flags = flags
  }
}
