import Callout
import Console
import DeviceCatalog
import Foundation
import HazardLedger
import Logging
import Relay
import ServiceLifecycle
import Station
import Synchronization

/// What goes from a running station to others: to the level above, and to a historian.
struct RelayService: Service {
  private let relay: UpwardRelay?
  private let historian: Historian?
  private let line: (any RelayLine)?
  private let sender: HTTPSender?

  /// The console's view of it.
  var access: any RelayAccess { RelayStatusAccess(relay: relay, historian: historian) }

  static let relayOutlet = "relay"
  static let historianOutlet = "historian"

  /// What the trends are to keep for both.
  static func outlets(_ service: ServiceConfiguration) -> [ReadingOutlet] {
    var outlets: [ReadingOutlet] = []
    if let section = service.relay, !section.readings.isEmpty {
      outlets.append(
        ReadingOutlet(
          name: relayOutlet,
          readings: section.readings.compactMap(ReadingOutlet.Rule.init),
          readingLimit: Int64(section.waitingReadings)
        )
      )
    }
    if let section = service.historian {
      outlets.append(
        ReadingOutlet(
          name: historianOutlet,
          readings: section.readings.compactMap(ReadingOutlet.Rule.init),
          minutes: section.minutes.compactMap(PointPattern.init),
          readingLimit: Int64(section.waiting),
          minuteLimit: Int64(section.waiting)
        )
      )
    }
    return outlets
  }

  /// Wires what the service file asks for to a station; nil when it asks for neither.
  ///
  /// - Throws: an authority's file that cannot be read, a broker's options that are of no use.
  init?(
    _ service: ServiceConfiguration,
    station: LiveStation,
    trends: TrendStore?,
    logger: Logger
  ) throws {
    guard service.relay != nil || service.historian != nil else { return nil }
    let clock: @Sendable () -> Int64 = { SystemClocks().wall() }
    if let section = service.relay {
      let line = try Self.line(section, station: station.ledger.station, logger: logger)
      self.line = line
      let relay = UpwardRelay(
        options: UpwardRelay.Options(
          kinds: Set(section.entries.map { $0 == .alarm ? .alarm : .hazard }),
          heartbeat: .milliseconds(section.heartbeat),
          outlet: section.readings.isEmpty ? nil : Self.relayOutlet
        ),
        ledger: station.ledger,
        trends: trends,
        news: { [station] sequence, timeout in
          await station.waitForNews(
            after: NewsCursor(ledger: sequence, unrecorded: .max),
            timeout: timeout
          ).ledgerHead
        },
        line: line,
        clock: clock,
        logger: logger
      )
      self.relay = relay
      station.addMetrics { relay.metrics }
    } else {
      relay = nil
      line = nil
    }
    if let section = service.historian, let trends {
      let sender = try HTTPSender(authorities: section.authorities)
      self.sender = sender
      let access: Historian.Options.Access =
        if let token = section.token {
          .token(ChannelSecret(token))
        } else if let user = section.userName, let password = section.password {
          .password(user: user, ChannelSecret(password))
        } else {
          .none
        }
      let units = PointUnits(station: station)
      let historian = Historian(
        options: Historian.Options(
          url: section.url,
          access: access,
          batch: section.batch,
          outlet: Self.historianOutlet,
          rejects: URL(fileURLWithPath: service.dataFolder)
            .appendingPathComponent("historian.refused.lp").path
        ),
        station: station.ledger.station,
        trends: trends,
        unit: { units.unit(of: $0) },
        sender: sender,
        clock: clock,
        logger: logger
      )
      self.historian = historian
      station.addMetrics { historian.metrics }
    } else {
      historian = nil
      sender = nil
    }
  }

  private static func line(
    _ section: ServiceConfiguration.RelaySection,
    station: String,
    logger: Logger
  ) throws -> any RelayLine {
    let key = section.key.map(ChannelSecret.init)
    switch section.way {
    case .http(let url):
      return HTTPRelayLine(
        url: url,
        key: key,
        sender: try HTTPSender(authorities: section.authorities)
      )
    case .broker(let broker):
      return try MQTTRelayLine(
        options: broker.options(clientID: broker.clientID),
        station: station,
        key: key,
        logger: logger
      )
    }
  }

  /// Sends until the service ends.
  func run() async throws {
    await cancelWhenGracefulShutdown { [relay, historian] in
      await withDiscardingTaskGroup { group in
        if let relay { group.addTask { await relay.run() } }
        if let historian { group.addTask { await historian.run() } }
      }
    }
    try await line?.close()
    try await sender?.shutdown()
  }
}

/// What stations below pass on by this station's broker.
struct RelayReceiving: Service {
  private let receiver: RelayReceiver

  /// Wires the broker to the door; nil where the service file does not ask for it.
  ///
  /// - Throws: a broker's options that are of no use.
  init?(
    _ loaded: LoadedConfiguration,
    door: RelayDoor,
    station: LiveStation,
    logger: Logger
  ) throws {
    guard loaded.service.broker.takesRelay else { return nil }
    let receiver = try RelayReceiver(
      options: loaded.mqttOptions(role: "relay"),
      door: { batch, name, key in await door.answer(batch, of: name, key: key) },
      logger: logger
    )
    self.receiver = receiver
    station.addMetrics { receiver.metrics }
  }

  /// Receives until the service ends.
  func run() async throws {
    await cancelWhenGracefulShutdown { [receiver] in await receiver.run() }
  }
}

extension ReadingOutlet.Rule {
  /// The rule of a service file; nil for a pattern that it would have refused.
  init?(_ rule: ServiceConfiguration.ReadingRule) {
    guard let points = PointPattern(rule.points) else { return nil }
    self.init(points: points, every: rule.every, change: rule.change)
  }
}

/// Units of points by path, under the catalog in force.
private final class PointUnits: Sendable {
  private let station: LiveStation
  private let known: Mutex<(version: String, units: [String: String])> = Mutex(("", [:]))

  init(station: LiveStation) {
    self.station = station
  }

  func unit(of point: String) -> String {
    let catalog = station.catalog
    return known.withLock { known in
      if known.version != catalog.version {
        known = (
          catalog.version,
          Dictionary(
            catalog.channels.map { ($0.path, $0.unit) },
            uniquingKeysWith: { first, _ in first }
          )
        )
      }
      return known.units[point] ?? ""
    }
  }
}

/// Relay and historian as the console tells of them.
private struct RelayStatusAccess: RelayAccess {
  let relay: UpwardRelay?
  let historian: Historian?

  var upward: HazardLedger.JSONValue? {
    guard let status = relay?.status else { return nil }
    return .object([
      "station": .string(status.station),
      "sequence": status.sequence.map { .integer($0) } ?? .null,
      "lag": .integer(status.lag), "entries": .integer(Int64(clamping: status.entries)),
      "readings": .integer(Int64(clamping: status.readings)),
      "duplicates": .integer(Int64(clamping: status.duplicates)),
      "refused": .integer(Int64(clamping: status.refused)),
      "withheld": .integer(Int64(clamping: status.withheld)),
      "failures": .integer(Int64(clamping: status.failures)),
      "rewinds": .integer(Int64(clamping: status.rewinds)),
      "waitingReadings": .integer(status.waitingReadings),
      "droppedReadings": .integer(status.droppedReadings),
      "heard": status.heard.map { .integer($0) } ?? .null,
      "fault": status.fault.map { .string($0) } ?? .null,
      "deadLetters": .array(
        status.deadLetters.map {
          .object([
            "sequence": $0.sequence.map { .integer($0) } ?? .null,
            "reading": $0.reading.map { .integer($0) } ?? .null,
            "point": $0.point.map { .string($0) } ?? .null,
            "reason": .string($0.reason), "time": .integer($0.at),
          ])
        }
      ),
    ])
  }

  var history: HazardLedger.JSONValue? {
    guard let status = historian?.status else { return nil }
    return .object([
      "lines": .integer(Int64(clamping: status.lines)),
      "rejected": .integer(Int64(clamping: status.rejected)),
      "failures": .integer(Int64(clamping: status.failures)),
      "waitingReadings": .integer(status.waiting.readings),
      "waitingMinutes": .integer(status.waiting.minutes),
      "dropped": .integer(status.waiting.dropped),
      "heard": status.heard.map { .integer($0) } ?? .null,
      "fault": status.fault.map { .string($0) } ?? .null,
    ])
  }
}
