import AlarmEngine
import DeviceCatalog

/// A simulated point: what it reads while all is well, and its limits.
struct FleetPoint {
  var path: String
  var name: String
  var kind: PointProfile.Kind
  var low: Double
  var high: Double
  /// What it reads while all is well, and by how much it wavers.
  var calm: Double
  var noise: Double
  var limits: [Limit]

  /// A limit rule, judged here a second time and in the simplest way, as what the station is held against.
  struct Limit {
    var rule: String
    var parameters: LimitParameters
    var isHeldBack: Bool

    func isBeyond(_ value: Double) -> Bool {
      switch parameters.comparison {
      case .atOrAbove: value >= parameters.setpoint
      case .above: value > parameters.setpoint
      case .atOrBelow: value <= parameters.setpoint
      case .below: value < parameters.setpoint
      }
    }

    var isHigh: Bool {
      switch parameters.comparison {
      case .atOrAbove, .above: true
      case .atOrBelow, .below: false
      }
    }

    func isBack(_ value: Double) -> Bool {
      isHigh ? value < parameters.restore : value > parameters.restore
    }
  }

  init(channel: ChannelDescription, limits: [Limit]) {
    path = channel.path
    name = channel.point
    kind = channel.kind
    self.limits = limits
    low = channel.low ?? 0
    high = channel.high ?? low + 1
    calm = low
    noise = 0
    let states = channel.states.keys.compactMap(Double.init).sorted()
    if kind == .state {
      calm = states.first { value in limits.allSatisfy { !$0.isBeyond(value) } } ?? low
      return
    }
    let floor = limits.filter { !$0.isHigh }.map(\.parameters.restore).max() ?? low
    let ceiling = limits.filter(\.isHigh).map(\.parameters.restore).min() ?? high
    // Where nothing is low, nearer to the lower end: gas is not half way to its alarm on an ordinary day.
    let share = floor > low ? 0.5 : 0.2
    calm = Self.rounded(floor + (ceiling - floor) * share)
    noise = (ceiling - floor) * 0.05
  }

  /// Whether the calm value is truly within all limits; a point for which it is not cannot be simulated.
  var isCalm: Bool { limits.allSatisfy { !$0.isBeyond(calm) && $0.isBack(calm) } }

  /// A calm reading.
  func reading(_ generator: inout SeededGenerator) -> Double {
    guard noise > 0 else { return calm }
    let value = Self.rounded(calm + Double.random(in: -1...1, using: &generator) * noise)
    return kind == .count ? value.rounded() : value
  }

  /// The values of an incident that breaks `limit`: its edge first, then beyond it.
  func excursion(_ limit: Limit, length: Int) -> [Double] {
    let setpoint = limit.parameters.setpoint
    let end = limit.isHigh ? high : low
    var beyond = Self.rounded(setpoint + (end - setpoint) * 0.25)
    if kind == .state || kind == .count || !limit.isBeyond(beyond) {
      beyond = limit.isBeyond(setpoint) ? setpoint : end
    }
    let edge = limit.isBeyond(setpoint) ? setpoint : beyond
    return [edge] + Array(repeating: beyond, count: max(length - 1, 0))
  }

  /// Four significant digits or so: what an instrument shows.
  private static func rounded(_ value: Double) -> Double {
    var scale = 1.0
    while abs(value) * scale < 1_000, value != 0, scale < 1e9 { scale *= 10 }
    return (value * scale).rounded() / scale
  }
}

/// A simulated device and what befalls it.
struct FleetDevice {
  var path: String
  var id: String
  var family: String
  var format: FleetFormat
  var points: [FleetPoint]
  /// Second of the run at which it reports first; then every interval.
  var phase: Int
  /// The point and limit that its incident breaks, the number of its first report and the values.
  var incident: (point: Int, firstReport: Int, values: [Double])?

  /// Whether report `number` belongs to the incident or stands beside it, where no fault may hide it.
  func isNearIncident(_ number: Int) -> Bool {
    guard let incident else { return false }
    return number >= incident.firstReport - 1
      && number <= incident.firstReport + incident.values.count + 1
  }

  /// The report with this number at this time.
  func report(_ number: Int, time: Int64, _ generator: inout SeededGenerator) -> FleetReport {
    var values = points.map { ($0.name, $0.reading(&generator)) }
    if let incident, number >= incident.firstReport,
      number < incident.firstReport + incident.values.count
    {
      values[incident.point].1 = incident.values[number - incident.firstReport]
    }
    return FleetReport(device: id, time: time, values: values.map { (point: $0.0, value: $0.1) })
  }

  /// The alarms that the incident must bring, by the readings' times.
  func expectation(start: Int64, interval: Int) -> FleetIncident? {
    guard let incident else { return nil }
    func time(_ report: Int) -> Int64 { start + Int64(phase + report * interval) * 1_000 }
    let point = points[incident.point]
    var alarms: [FleetIncident.Alarm] = []
    for limit in point.limits {
      guard let first = incident.values.firstIndex(where: limit.isBeyond) else { continue }
      // All values after the first lie on one side, so it comes back with the calm reading after the last.
      alarms.append(
        FleetIncident.Alarm(
          rule: limit.rule,
          raised: time(incident.firstReport + first),
          returned: time(incident.firstReport + incident.values.count)
        )
      )
    }
    return FleetIncident(
      device: path,
      family: family,
      format: format.rawValue,
      point: point.path,
      alarms: alarms.sorted { $0.rule < $1.rule }
    )
  }
}
