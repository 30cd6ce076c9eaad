/// Readings as columns, in arrival order: what one group commit of the journal decoded to.
///
/// All readings of a batch share one receive time, because the intake looks at the clock once a
/// group commit. The columns always have equal length; they are reused from batch to batch, so that
/// a warm batch allocates nothing.
public struct ReadingBatch: Sendable {
  /// Receive time of every reading in the batch, by the server's clock; never goes back.
  public var received: Timestamp
  /// Journal sequence that `originOffset` counts from.
  public var baseSequence: UInt64
  /// The readings waited at the broker while nobody was there to take them (after a start or a lost link).
  ///
  /// Engine time moves on without firing deadlines, because what would have kept them from falling due may be
  /// further back in the backlog; they fire at the first input that is not backlog.
  public var isBacklog = false
  /// Rows of the channels.
  public private(set) var channel: [UInt32] = []
  /// Event times, milliseconds since the Unix epoch, by each device's own clock.
  public private(set) var time: [Int64] = []
  /// Values in the channels' units; finite, or NaN for none.
  public private(set) var value: [Double] = []
  /// Raw ``SourceStatus`` values.
  public private(set) var status: [UInt8] = []
  /// Raw ``ReadingFlags``.
  public private(set) var flags: [UInt8] = []
  /// Journal sequence of the message a reading came in, less ``baseSequence``.
  public private(set) var originOffset: [UInt32] = []

  /// Makes an empty batch.
  public init(received: Timestamp = .distantPast, baseSequence: UInt64 = 0) {
    self.received = received
    self.baseSequence = baseSequence
  }

  /// How many readings the batch holds.
  @inlinable
  public var count: Int { channel.count }

  /// True when the batch holds no reading.
  @inlinable
  public var isEmpty: Bool { channel.isEmpty }

  /// Empties the batch for reuse; capacity stays.
  public mutating func reset(received: Timestamp, baseSequence: UInt64) {
    self.received = received
    self.baseSequence = baseSequence
    isBacklog = false
    channel.removeAll(keepingCapacity: true)
    time.removeAll(keepingCapacity: true)
    value.removeAll(keepingCapacity: true)
    status.removeAll(keepingCapacity: true)
    flags.removeAll(keepingCapacity: true)
    originOffset.removeAll(keepingCapacity: true)
  }

  /// Adds a reading that came in the journal message `sequence`.
  ///
  /// - Precondition: `sequence` is at least ``baseSequence`` and less than 2³² above it.
  public mutating func append(_ reading: Reading, sequence: UInt64) {
    channel.append(reading.channel.rawValue)
    time.append(reading.time.milliseconds)
    value.append(reading.value)
    status.append(reading.status.rawValue)
    flags.append(reading.flags.rawValue)
    originOffset.append(UInt32(sequence - baseSequence))
  }

  /// Adds readings, given as columns of equal length, that came in the journal message `sequence`.
  ///
  /// - Precondition: `sequence` is at least ``baseSequence`` and less than 2³² above it.
  public mutating func append(
    times: UnsafeBufferPointer<Int64>,
    values: UnsafeBufferPointer<Double>,
    channels: UnsafeBufferPointer<UInt32>,
    statuses: UnsafeBufferPointer<UInt8>,
    flags: UnsafeBufferPointer<UInt8>,
    sequence: UInt64
  ) {
    let count = times.count
    precondition(
      values.count == count && channels.count == count && statuses.count == count
        && flags.count == count,
      "columns of a batch are of equal length"
    )
    let offset = UInt32(sequence - baseSequence)
    unsafe channel.append(contentsOf: channels)
    unsafe time.append(contentsOf: times)
    unsafe value.append(contentsOf: values)
    unsafe status.append(contentsOf: statuses)
    unsafe self.flags.append(contentsOf: flags)
    originOffset.append(contentsOf: repeatElement(offset, count: count))
  }

  /// Puts the readings in the order of event time; those of one moment stay as they came.
  public mutating func sortByTime() {
    var index = 1
    while index < time.count, time[index - 1] <= time[index] { index += 1 }
    guard index < time.count else { return }
    let order = time.indices.sorted { (time[$0], $0) < (time[$1], $1) }
    channel = order.map { channel[$0] }
    value = order.map { value[$0] }
    status = order.map { status[$0] }
    flags = order.map { flags[$0] }
    originOffset = order.map { originOffset[$0] }
    time = order.map { time[$0] }
  }

  /// Drops the readings from `count` on: a message that proves malformed half way leaves no trace.
  public mutating func truncate(to count: Int) {
    let surplus = self.count - count
    precondition(surplus >= 0, "a batch cannot be truncated to more than it holds")
    channel.removeLast(surplus)
    time.removeLast(surplus)
    value.removeLast(surplus)
    status.removeLast(surplus)
    flags.removeLast(surplus)
    originOffset.removeLast(surplus)
  }

  /// The reading at `index`, assembled from the columns.
  @inlinable
  public func reading(at index: Int) -> Reading {
    Reading(
      channel: ChannelIndex(rawValue: channel[index]),
      time: Timestamp(milliseconds: time[index]),
      value: value[index],
      status: SourceStatus(rawValue: status[index]) ?? .unknown,
      flags: ReadingFlags(rawValue: flags[index])
    )
  }

  /// Journal sequence of the message that the reading at `index` came in.
  @inlinable
  public func sequence(at index: Int) -> UInt64 {
    baseSequence + UInt64(originOffset[index])
  }
}
