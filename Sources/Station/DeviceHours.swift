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
    fileprivate var cells = Array(repeating: Cell(), count: DeviceHours.hours)
    fileprivate var hourOf = Array(repeating: Int64.min, count: DeviceHours.hours)

    /// What came in the hour that begins at `hour` × 3,600,000 ms after the epoch.
    public func cell(hour: Int64) -> Cell {
      let slot = Int(hour % Int64(DeviceHours.hours))
      return slot >= 0 && hourOf[slot] == hour ? cells[slot] : Cell()
    }
  }

  /// The devices in the catalog's order.
  public private(set) var rows: [Row]
  /// Receive time of the first reading seen; nil before it.
  public private(set) var since: Timestamp?
  /// Receive time of the newest reading seen; nil before it.
  public private(set) var newest: Timestamp?
  private let deviceOfChannel: [Int]

  /// Makes an empty book for a catalog's devices.
  public init(_ catalog: Catalog) {
    rows = catalog.devices.map { Row(path: $0.path, staleAfter: nil, newest: nil) }
    let devices = Dictionary(
      catalog.devices.indices.map { (catalog.devices[$0].path, $0) },
      uniquingKeysWith: { first, _ in first }
    )
    deviceOfChannel = catalog.channels.map { channel in
      channel.path.lastIndex(of: "/").flatMap { devices[String(channel.path[..<$0])] } ?? -1
    }
    for (channel, device) in zip(catalog.channels, deviceOfChannel) where device >= 0 {
      guard let stale = channel.staleMilliseconds else { continue }
      rows[device].staleAfter = min(rows[device].staleAfter ?? .max, stale)
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
    let slot = Int(hour % Int64(Self.hours))
    guard slot >= 0, rows[device].hourOf[slot] <= hour else { return }
    if rows[device].hourOf[slot] != hour {
      rows[device].hourOf[slot] = hour
      rows[device].cells[slot] = Cell()
    }
    // Silence is held against the hour in which it ends, as far as it lies in that hour.
    let before = max(rows[device].newest?.milliseconds ?? hour * 3_600_000, hour * 3_600_000)
    rows[device].cells[slot].gap = max(rows[device].cells[slot].gap, received - before)
    rows[device].cells[slot].count &+= 1
    if reading.status.use == .noValue || !reading.value.isFinite {
      rows[device].cells[slot].bad &+= 1
    }
    if reading.received.milliseconds(since: reading.time) > Self.lateness {
      rows[device].cells[slot].late &+= 1
    }
    rows[device].newest = max(rows[device].newest ?? reading.received, reading.received)
  }
}
