import DeviceCatalog
import Synchronization
import Telemetry

/// What the engine's stage shows to the edges: the catalog in force, the newest readings, and how the engines do.
///
/// The engine's stage writes, anybody reads copies; the lock is held for as long as that takes.
final class Showcase: Sendable {
  private struct Content {
    var catalog: Catalog
    var recent: RecentReadings
    var hours: DeviceHours
    var inhibited: [InhibitedRule] = []
    var report = EngineReport()

    init(catalog: Catalog, trendBytes: Int) {
      self.catalog = catalog
      recent = RecentReadings(channels: catalog.channels.count, bytes: trendBytes)
      hours = DeviceHours(catalog)
    }

    mutating func add(_ readings: [CoreOutput.ChannelReading]) {
      recent.add(readings)
      hours.add(readings)
    }
  }

  private let content: Mutex<Content>
  private let trendBytes: Int

  /// Shows a catalog without any readings; the newest of all points may take so many bytes.
  init(catalog: Catalog, trendBytes: Int) {
    self.trendBytes = trendBytes
    content = Mutex(Content(catalog: catalog, trendBytes: trendBytes))
  }

  // MARK: - The engine's stage

  /// Adds a reading of a channel of the catalog shown.
  func add(_ channel: Int, _ reading: LatestReading) {
    let entry = CoreOutput.ChannelReading(channel: channel, reading: reading)
    content.withLock { $0.add([entry]) }
  }

  /// Takes what the core put out; with another catalog in force everything begins anew, because rows have changed.
  func take(_ output: CoreOutput, catalog: Catalog?) {
    content.withLock { content in
      if let catalog, catalog.version != content.catalog.version {
        let former = content
        content = Content(catalog: catalog, trendBytes: trendBytes)
        content.inhibited = former.inhibited
        content.report = former.report
      }
      content.add(output.latest)
    }
  }

  /// Shows which rules do not annunciate.
  func show(_ inhibited: [InhibitedRule]) {
    content.withLock { $0.inhibited = inhibited }
  }

  /// Shows how the engines do.
  func show(_ report: EngineReport) {
    content.withLock { $0.report = report }
  }

  // MARK: - Edges

  /// The catalog in force.
  var catalog: Catalog { content.withLock { $0.catalog } }

  /// Rules that do not annunciate.
  var inhibited: [InhibitedRule] { content.withLock { $0.inhibited } }

  /// How the engines did when last looked at as a whole.
  var report: EngineReport { content.withLock { $0.report } }

  /// How much came from each device in each of the last hours.
  var hours: DeviceHours { content.withLock { $0.hours } }

  /// The newest reading of each channel.
  func latest() -> [LatestReading?] { content.withLock { $0.recent.latest() } }

  /// Recent readings of a channel by event time, oldest first, and the receive time from which on nothing is missing.
  func recent(channel: Int) -> (readings: [LatestReading], covers: Timestamp?) {
    let (recent, covers) = content.withLock { content in
      guard content.recent.holds(channel) else { return ([LatestReading](), Timestamp?.none) }
      return (
        content.recent.kept(channel: channel), content.recent.oldestReceived(channel: channel)
      )
    }
    return (recent.byTime(), covers)
  }

  /// Kept readings of channels received after a moment, in the order in which they came.
  func received(after moment: Timestamp, channels: [Int]) -> [[LatestReading]] {
    content.withLock { content in
      channels.map { channel in
        content.recent.holds(channel)
          ? content.recent.received(after: moment, channel: channel) : []
      }
    }
  }
}
