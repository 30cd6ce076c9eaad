import AlarmEngine
public import DeviceCatalog
import PayloadDecoding
import Telemetry

/// A fleet of simulated devices: what its gateways send, second by second, and which alarms must come of it.
///
/// A value without clock and network: seed, options and catalog decide every byte.
public struct Fleet: Sendable {
  /// Every incident with the alarms that it must bring, in order of time.
  public let incidents: [FleetIncident]
  /// What has gone wrong on the way so far.
  public private(set) var faults = FleetFaults()
  /// Devices that could not be simulated, because no reading is within all their limits.
  public let leftOut: [String]
  /// How many readings have been sent so far, those of births included.
  public private(set) var readings = 0

  private let options: FleetOptions
  private let devices: [FleetDevice]
  private var encoders: [FleetFormat: FleetEncoder] = [:]
  private var generator: SeededGenerator
  private var second = 0

  /// Makes the fleet of a catalog that was loaded from ``FleetSite``'s text.
  public init(options: FleetOptions, catalog: Catalog) {
    self.options = options
    var generator = SeededGenerator(seed: options.seed)
    var devices: [FleetDevice] = []
    var leftOut: [String] = []
    let rules = Dictionary(grouping: catalog.rules, by: \.channel)
    // Nobody sends a computed point.
    let sent = Set(catalog.decodingPlan.devices.flatMap(\.points).map(\.channel.rawValue))
    let channels = Dictionary(grouping: catalog.channels.filter { sent.contains($0.index) }) {
      "\($0.area)/\($0.device)"
    }
    for device in catalog.devices {
      guard let format = FleetFormat(rawValue: device.gateway) else { continue }
      let key = device.path.split(separator: "/").suffix(2).joined(separator: "/")
      let points = (channels[key] ?? []).map { channel in
        FleetPoint(
          channel: channel,
          limits: (rules[channel.index] ?? []).compactMap { rule in
            let plan = catalog.enginePlan.rules[Int(rule.index)]
            guard case .limit(let parameters) = plan.detector else { return nil }
            return FleetPoint.Limit(
              rule: rule.fullName,
              parameters: parameters,
              isHeldBack: plan.onDelayMilliseconds > 0 || plan.offDelayMilliseconds > 0
            )
          }
        )
      }
      guard !points.isEmpty else { continue }
      guard points.allSatisfy(\.isCalm) else {
        leftOut.append(device.path)
        continue
      }
      devices.append(
        FleetDevice(
          path: device.path,
          id: device.id,
          family: String(device.profile.prefix { $0 != "/" }),
          format: format,
          points: points,
          phase: Int.random(in: 0..<options.interval, using: &generator)
        )
      )
    }
    Self.plan(&devices, options, &generator)
    incidents = devices.compactMap {
      $0.expectation(start: options.start, interval: options.interval)
    }.sorted {
      ($0.alarms.first?.raised ?? 0, $0.device) < ($1.alarms.first?.raised ?? 0, $1.device)
    }
    self.devices = devices
    self.leftOut = leftOut
    self.generator = generator
    for format in options.formats {
      encoders[format] = FleetEncoder(format: format, enterprise: FleetSite.enterprise)
    }
  }

  /// Deals incidents out: devices in an order that the seed decides, a limit of each by chance.
  private static func plan(
    _ devices: inout [FleetDevice],
    _ options: FleetOptions,
    _ generator: inout SeededGenerator
  ) {
    var left = options.incidents
    for index in devices.indices.shuffled(using: &generator) where left > 0 {
      let device = devices[index]
      let reports = (options.seconds - device.phase + options.interval - 1) / options.interval
      let candidates = device.points.enumerated().flatMap { row, point in
        // An alarm that is held back needs a length of its own; the limits that speak at once are enough here.
        point.limits.contains(where: \.isHeldBack) ? [] : point.limits.map { (row, $0) }
      }
      let length = Int.random(in: 1...4, using: &generator)
      // Calm readings before and after, so that raising and return both show.
      guard let (row, limit) = candidates.randomElement(using: &generator), reports >= length + 4
      else { continue }
      let first = Int.random(in: 2...(reports - length - 2), using: &generator)
      devices[index].incident = (row, first, device.points[row].excursion(limit, length: length))
      left -= 1
    }
  }

  /// How many devices there are.
  public var deviceCount: Int { devices.count }

  /// The messages of the next second, in the order in which they are sent; nil when the run is over.
  public mutating func next() -> [FleetMessage]? {
    guard second < options.seconds else { return nil }
    let time = options.start + Int64(second) * 1_000
    var messages = second == 0 ? births(time) : []
    for row in devices.indices {
      let since = second - devices[row].phase
      guard since >= 0, since % options.interval == 0 else { continue }
      send(row, report: since / options.interval, time: time, into: &messages)
    }
    second += 1
    return messages
  }

  private mutating func births(_ time: Int64) -> [FleetMessage] {
    var reports: [FleetReport] = []
    for device in devices where device.format == .sparkplugB {
      // A birth carries values; what is not yet due to report is calm.
      reports.append(device.report(-1, time: time, &generator))
    }
    readings += reports.reduce(0) { $0 + $1.values.count }
    return encoders[.sparkplugB]?.births(reports) ?? []
  }

  private mutating func send(
    _ row: Int,
    report number: Int,
    time: Int64,
    into messages: inout [FleetMessage]
  ) {
    let device = devices[row]
    let report = device.report(number, time: time, &generator)
    let isFaulty = generator.isOneIn(options.faultsOneIn) && !device.isNearIncident(number)
    if device.format == .sparkplugB {
      if isFaulty, !devices.contains(where: { isInIncident($0, at: time) }) {
        faults.rebirths += 1
        messages += births(time)
      }
    } else if isFaulty {
      spoil(report, of: device, into: &messages)
      return
    }
    readings += report.values.count
    if let message = encoders[device.format]?.message(report) { messages.append(message) }
  }

  /// Whether a Sparkplug device is in its incident, when a birth with calm values would end it.
  private func isInIncident(_ device: FleetDevice, at time: Int64) -> Bool {
    guard device.format == .sparkplugB, let incident = device.incident else { return false }
    let first = Int64(device.phase + (incident.firstReport - 1) * options.interval)
    let last = first + Int64((incident.values.count + 2) * options.interval)
    return (first...last).contains((time - options.start) / 1_000)
  }

  private mutating func spoil(
    _ report: FleetReport,
    of device: FleetDevice,
    into messages: inout [FleetMessage]
  ) {
    guard var message = encoders[device.format]?.message(report) else { return }
    switch Int.random(in: 0..<4, using: &generator) {
    case 0:
      faults.duplicated += 1
      readings += 2 * report.values.count
      messages += [message, message]
    case 1:
      faults.lost += 1
    case 2:
      faults.unknownDevice += 1
      var stranger = report
      stranger.device = "STRANGER"
      if let message = encoders[device.format]?.message(stranger) { messages.append(message) }
    default:
      faults.truncated += 1
      // Half a line of Influx may be a whole one that says something else; its head alone never is.
      let kept = device.format == .influxLine ? 10 : message.payload.count / 2
      message.payload.removeLast(message.payload.count - kept)
      messages.append(message)
    }
  }
}
