public import DeviceCatalog
public import Telemetry

/// How much came from each device in each of the last hours: what the matrix of devices and hours is drawn from.
///
/// Kept in memory since the start, by receive time; a device that is silent all day has cells of zero, and hours
/// before the start are not known.
public struct DeviceHours: Sendable {
  /// Hours kept.
  public static let hours = 24
  /// A reading that is received so much after its event time is late, in milliseconds.
  public static let lateness: Int64 = 60_000

  /// One device in one hour.
  public struct Cell: Hashable, Sendable {
    /// Readings.
    public var count: UInt32 = 0
    /// Readings whose source says that they are no value.
    public var bad: UInt32 = 0
    /// Readings that came late.
    public var late: UInt32 = 0
    /// The longest time without a reading within the hour, in milliseconds; as far as its readings tell.
    public var gap: Int64 = 0
  }

  /// One device.
  public struct Row: Sendable {
    /// Path of the device.
    public var path: String
    /// The shortest time after which one of its points counts as silent, in milliseconds; nil where none does.
    public var staleAfter: Int64?
    /// Receive time of its newest reading; nil when there was none.
    public var newest: Timestamp?
    fileprivate var slots: ArraySlice<Slot>

    /// What came in the hour that begins at `hour` × 3,600,000 ms after the epoch.
    public func cell(hour: Int64) -> Cell {
      let number = Int(hour % Int64(DeviceHours.hours))
      guard number >= 0 else { return Cell() }
      let slot = slots[slots.startIndex + number]
      return slot.hour == hour ? slot.cell : Cell()
    }
  }

  /// An hour of a device, in the place that it shares with those a day apart.
  fileprivate struct Slot: Sendable {
    var hour = Int64.min
    var cell = Cell()
  }

  private struct Device: Sendable {
    var path: String
    var staleAfter: Int64?
    /// Receive time of the newest reading, milliseconds; `.min` when there was none.
    var newest = Int64.min
  }

  /// The devices in the catalog's order.
  public var rows: [Row] {
    devices.enumerated().map { index, device in
      Row(
        path: device.path,
        staleAfter: device.staleAfter,
        newest: device.newest == .min ? nil : Timestamp(milliseconds: device.newest),
        slots: slots[index * Self.hours..<(index + 1) * Self.hours]
      )
    }
  }
  private var devices: [Device]
  /// ``hours`` slots for each device.
  private var slots: [Slot]
  /// Receive time of the first reading seen; nil before it.
  public private(set) var since: Timestamp?
  /// Receive time of the newest reading seen; nil before it.
  public private(set) var newest: Timestamp?
  private let deviceOfChannel: [Int]

  /// Makes an empty book for a catalog's devices.
  public init(_ catalog: Catalog) {
    devices = catalog.devices.map { Device(path: $0.path) }
    slots = Array(repeating: Slot(), count: devices.count * Self.hours)
    let rows = Dictionary(
      catalog.devices.indices.map { (catalog.devices[$0].path, $0) },
      uniquingKeysWith: { first, _ in first }
    )
    deviceOfChannel = catalog.channels.map { channel in
      channel.path.lastIndex(of: "/").flatMap { rows[String(channel.path[..<$0])] } ?? -1
    }
    for (channel, device) in zip(catalog.channels, deviceOfChannel) where device >= 0 {
      guard let stale = channel.staleMilliseconds else { continue }
      devices[device].staleAfter = min(devices[device].staleAfter ?? .max, stale)
    }
  }

  /// Takes in a reading of a channel.
  mutating func add(_ reading: LatestReading, channel: Int) {
    guard deviceOfChannel.indices.contains(channel), deviceOfChannel[channel] >= 0 else { return }
    let device = deviceOfChannel[channel]
    let received = reading.received.milliseconds
    since = min(since ?? reading.received, reading.received)
    newest = max(newest ?? reading.received, reading.received)
    let hour = received / 3_600_000
    let number = Int(hour % Int64(Self.hours))
    guard number >= 0 else { return }
    Self.take(
      reading,
      hour: hour,
      received: received,
      into: &slots[device * Self.hours + number],
      of: &devices[device]
    )
  }

  /// Of no instance: one would be copied for the call, and all slots with it.
  private static func take(
    _ reading: LatestReading,
    hour: Int64,
    received: Int64,
    into slot: inout Slot,
    of device: inout Device
  ) {
    guard slot.hour <= hour else { return }
    if slot.hour != hour { slot = Slot(hour: hour) }
    // Silence is held against the hour in which it ends, as far as it lies in that hour.
    let before = max(device.newest, hour * 3_600_000)
    slot.cell.gap = max(slot.cell.gap, received - before)
    slot.cell.count &+= 1
    if reading.status.use == .noValue || !reading.value.isFinite { slot.cell.bad &+= 1 }
    if reading.received.milliseconds(since: reading.time) > lateness {
      slot.cell.late &+= 1
    }
    device.newest = max(device.newest, received)
  }
}
