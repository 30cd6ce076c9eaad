internal import Telemetry

/// A decoding plan made ready for look-ups; shared by all copies of a decoder, never changed.
final class CompiledPlan: Sendable {
  struct Device: Sendable {
    var enterprise: String
    var gateway: String
    var id: String
    /// Row of the only point, when there is just one.
    var onlyPoint: Int?
    var points: Range<Int>
  }

  struct Point: Sendable {
    var channel: ChannelIndex
    var device: Int
    var name: String
    var unit: String
    /// The unit in which the device sends.
    var sourceUnit: [UInt8]
    var scale: Double
    var offset: Double
  }

  struct Route: Sendable {
    var id: String
    var template: TopicTemplate
    var captures: [String]
    var format: PayloadFormat
    var enterprise: String?
    var gateway: String?
    var mapping: CompiledMapping?
    /// Scope number of the route's own status codes.
    var statusScope: UInt32
  }

  /// Marks a name that several enterprises use, in the scope of all devices.
  static let ambiguous = UInt32.max - 1
  /// The scope in which every device is, by whomever owned.
  static let everywhere: UInt32 = 0
  /// Scope of a topic whose enterprise and gateway own nothing.
  static let nobody = UInt32.max

  let limits: DecodingLimits
  let routes: [Route]
  let devices: [Device]
  let points: [Point]
  let scopes: NameTable
  /// Points and names; status codes of devices (scope: row) and routes (scope: from the top down).
  let hot: HotTables

  init(_ plan: DecodingPlan) {
    var limits = plan.limits
    limits.payloadBytes = min(max(limits.payloadBytes, 0), 1 << 28 - 1)
    limits.depth = max(limits.depth, 1)
    limits.notesPerMessage = max(limits.notesPerMessage, 1)
    self.limits = limits

    var statusCodes = NameTable()
    routes = Self.routes(plan.routes, &statusCodes)
    var rows = DeviceRows()
    for (row, entry) in plan.devices.enumerated() {
      rows.add(entry)
      for (code, status) in entry.statusCodes {
        statusCodes.insert(code, scope: UInt32(row), value: UInt32(status.rawValue))
      }
    }
    devices = rows.devices
    points = rows.points
    scopes = rows.scopes

    var statusNames = NameTable()
    for status in SourceStatus.allCases {
      for name in status.names {
        statusNames.insert(name, scope: 0, value: UInt32(status.rawValue))
      }
    }
    hot = HotTables(
      points: rows.points,
      pointsOfDevices: rows.devices.map(\.points),
      deviceNames: rows.deviceNames,
      pointNames: rows.pointNames,
      statusCodes: statusCodes,
      statusNames: statusNames,
      limits: limits
    )
  }

  deinit {
    hot.deallocate()
  }

  /// The routes in order; their own status codes go into a table, each route's in a scope from the top down.
  private static func routes(
    _ declared: [TopicRoute],
    _ statusCodes: inout NameTable
  ) -> [Route] {
    var routes: [Route] = []
    for (index, route) in declared.enumerated() {
      let statusScope = UInt32.max - UInt32(index)
      var mapping: CompiledMapping?
      if case .mappedJSON(let declared) = route.format {
        mapping = CompiledMapping(declared)
        for (code, status) in declared.statusCodes {
          statusCodes.insert(code, scope: statusScope, value: UInt32(status.rawValue))
        }
      }
      routes.append(
        Route(
          id: route.id,
          template: route.template,
          captures: route.template.captures,
          format: route.format,
          enterprise: route.enterprise,
          gateway: route.gateway,
          mapping: mapping,
          statusScope: statusScope
        )
      )
    }
    return routes
  }
}

/// Devices and points as they are laid out, with the names by which payloads speak of them.
private struct DeviceRows {
  var devices: [CompiledPlan.Device] = []
  var points: [CompiledPlan.Point] = []
  /// Numbers of the scopes that device names are told apart by: enterprises, and gateways in them.
  var scopes = NameTable()
  var deviceNames = NameTable()
  var pointNames = NameTable()
  private var nextScope: UInt32 = 1

  mutating func add(_ entry: DeviceEntry) {
    let row = UInt32(devices.count)
    let enterprise = scope(entry.enterprise)
    let owner =
      entry.gateway.isEmpty ? enterprise : scope(entry.enterprise + "\0" + entry.gateway)
    for name in [entry.id] + entry.aliases { enter(name, of: row, owner: owner) }
    let first = points.count
    for point in entry.points { add(point, to: row) }
    devices.append(
      CompiledPlan.Device(
        enterprise: entry.enterprise,
        gateway: entry.gateway,
        id: entry.id,
        onlyPoint: entry.points.count == 1 ? first : nil,
        points: first..<points.count
      )
    )
  }

  private mutating func scope(_ name: String) -> UInt32 {
    if let known = scopes.find(Array(name.utf8), scope: 0) { return known }
    defer { nextScope += 1 }
    scopes.insert(name, scope: 0, value: nextScope)
    return nextScope
  }

  /// Enters a device's name with its owner, and among all devices, where a name that several have is of none of them.
  private mutating func enter(_ name: String, of row: UInt32, owner: UInt32) {
    deviceNames.insert(name, scope: owner, value: row)
    let everywhere = CompiledPlan.everywhere
    guard let other = deviceNames.find(Array(name.utf8), scope: everywhere) else {
      deviceNames.insert(name, scope: everywhere, value: row)
      return
    }
    if other != row {
      deviceNames.replace(name, scope: everywhere, value: CompiledPlan.ambiguous)
    }
  }

  private mutating func add(_ point: PointEntry, to device: UInt32) {
    for name in [point.name] + point.aliases {
      pointNames.insert(name, scope: device, value: UInt32(points.count))
    }
    points.append(
      CompiledPlan.Point(
        channel: point.channel,
        device: Int(device),
        name: point.name,
        unit: point.unit,
        sourceUnit: Array((point.sourceUnit ?? point.unit).utf8),
        scale: point.scale,
        offset: point.offset
      )
    )
  }
}

/// What a topic name says, worked out once for each topic and kept.
@safe
final class TopicMatch: Sendable {
  let topic: [UInt8]
  /// The same bytes, in memory that nobody counts references to; freed with the match.
  nonisolated(unsafe) let name: UnsafeBufferPointer<UInt8>
  let route: Int
  let captures: [[UInt8]]
  let enterprise: String?
  let gateway: String?
  /// Scope of enterprise and gateway together.
  let ownScope: UInt32
  /// Scope of devices that any gateway of the enterprise may publish for.
  let sharedScope: UInt32
  let device: [UInt8]?
  let point: [UInt8]?
  /// Status scope of the route.
  let statusScope: UInt32
  let isDavyJSON: Bool

  init?(_ topic: [UInt8], plan: CompiledPlan) {
    for (index, route) in plan.routes.enumerated() {
      guard let captures = route.template.match(topic) else { continue }
      func capture(_ name: String) -> [UInt8]? {
        route.captures.firstIndex(of: name).map { captures[$0] }
      }
      self.topic = topic
      let name = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: topic.count)
      _ = unsafe name.initialize(from: topic)
      unsafe self.name = UnsafeBufferPointer(name)
      self.route = index
      self.captures = captures
      statusScope = route.statusScope
      if case .davyJSON = route.format { isDavyJSON = true } else { isDavyJSON = false }
      enterprise =
        capture("enterprise").map { String(decoding: $0, as: UTF8.self) } ?? route.enterprise
      gateway = capture("gateway").map { String(decoding: $0, as: UTF8.self) } ?? route.gateway
      device = capture("device")
      point = capture("point")
      if let enterprise {
        let shared = plan.scopes.find(Array(enterprise.utf8), scope: 0) ?? CompiledPlan.nobody
        sharedScope = shared
        if let gateway {
          ownScope =
            plan.scopes.find(Array((enterprise + "\0" + gateway).utf8), scope: 0) ?? shared
        } else {
          ownScope = shared
        }
      } else {
        // A gateway without an enterprise is held against that of each device.
        ownScope = gateway == nil ? CompiledPlan.everywhere : CompiledPlan.nobody
        sharedScope = ownScope
      }
      return
    }
    return nil
  }

  deinit {
    unsafe name.deallocate()
  }
}
