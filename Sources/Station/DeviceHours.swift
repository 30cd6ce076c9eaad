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

    package init() {}
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
  }

  /// What every reading touches of its device: the hour at hand, apart from what is kept, so that all devices' lie beside
  /// each other.
  private struct Current: Sendable {
    /// Receive time of the newest reading, milliseconds; `.min` when there was none.
    var newest = Int64.min
    var slot = Slot()
  }

  /// The devices in the catalog's order.
  public var rows: [Row] {
    devices.enumerated().map { index, device in
      Row(
        path: device.path,
        staleAfter: device.staleAfter,
        newest: current[index].newest == .min
          ? nil : Timestamp(milliseconds: current[index].newest),
        slots: slots(of: index)
      )
    }
  }
  private var devices: [Device]
  private var current: [Current]
  /// ``hours`` slots for each device; those of hours at hand are in ``current``.
  private var slots: [Slot]
  /// Receive time of the first reading seen; nil before it.
  public private(set) var since: Timestamp?
  /// Receive time of the newest reading seen; nil before it.
  public private(set) var newest: Timestamp?
  private let deviceOfChannel: [Int32]

  /// Makes an empty book for a catalog's devices.
  public init(_ catalog: Catalog) {
    devices = catalog.devices.map { Device(path: $0.path) }
    current = Array(repeating: Current(), count: devices.count)
    slots = Array(repeating: Slot(), count: devices.count * Self.hours)
    let rows = Dictionary(
      catalog.devices.indices.map { (catalog.devices[$0].path, $0) },
      uniquingKeysWith: { first, _ in first }
    )
    deviceOfChannel = catalog.channels.map { channel in
      channel.path.lastIndex(of: "/").flatMap { rows[String(channel.path[..<$0])] }
        .map(Int32.init) ?? -1
    }
    for (channel, device) in zip(catalog.channels, deviceOfChannel) where device >= 0 {
      guard let stale = channel.staleMilliseconds else { continue }
      let device = Int(device)
      devices[device].staleAfter = min(devices[device].staleAfter ?? .max, stale)
    }
  }

  /// The slots of a device, that of the hour at hand among them.
  private func slots(of device: Int) -> ArraySlice<Slot> {
    var slots = slots[device * Self.hours..<(device + 1) * Self.hours]
    let hour = current[device].slot.hour
    if hour >= 0 { slots[slots.startIndex + Self.number(of: hour)] = current[device].slot }
    return slots
  }

  private static func number(of hour: Int64) -> Int { Int(hour % Int64(hours)) }

  /// Takes in readings in the order in which they came.
  package mutating func add(_ readings: some Collection<CoreOutput.ChannelReading>) {
    var received = Timestamp(milliseconds: .min)
    var hour = Int64.min
    for entry in readings {
      if entry.reading.received != received {
        received = entry.reading.received
        hour = received.milliseconds / 3_600_000
        guard hour >= 0 else { continue }
        since = min(since ?? received, received)
        newest = max(newest ?? received, received)
      }
      guard hour >= 0, entry.channel < deviceOfChannel.count else { continue }
      let device = Int(deviceOfChannel[entry.channel])
      guard device >= 0 else { continue }
      if current[device].slot.hour != hour {
        guard current[device].slot.hour < hour else {
          addEarlier(entry.reading, hour: hour, device: device)
          continue
        }
        begin(hour, of: device)
      }
      Self.count(entry.reading, in: &current[device])
    }
  }

  /// Another hour of a device begins: the one before is put among those kept.
  private mutating func begin(_ hour: Int64, of device: Int) {
    let ended = current[device].slot
    if ended.hour >= 0 { slots[device * Self.hours + Self.number(of: ended.hour)] = ended }
    current[device].slot = Slot(hour: hour)
  }

  /// Counts a reading of an hour before the one at hand: a recording that is sent once more.
  private mutating func addEarlier(_ reading: LatestReading, hour: Int64, device: Int) {
    let (number, row) = (Self.number(of: hour), device * Self.hours)
    guard number != Self.number(of: current[device].slot.hour), slots[row + number].hour <= hour
    else { return }
    var earlier = current[device]
    earlier.slot = slots[row + number].hour == hour ? slots[row + number] : Slot(hour: hour)
    Self.count(reading, in: &earlier)
    slots[row + number] = earlier.slot
  }

  /// Of no instance: one would be copied for the call, and all slots with it.
  private static func count(_ reading: LatestReading, in current: inout Current) {
    let received = reading.received.milliseconds
    // Silence is held against the hour in which it ends, as far as it lies in that hour.
    let before = max(current.newest, current.slot.hour * 3_600_000)
    current.slot.cell.gap = max(current.slot.cell.gap, received - before)
    current.slot.cell.count &+= 1
    if reading.status.use == .noValue || !reading.value.isFinite { current.slot.cell.bad &+= 1 }
    if reading.received.milliseconds(since: reading.time) > lateness {
      current.slot.cell.late &+= 1
    }
    current.newest = max(current.newest, received)
  }
}
