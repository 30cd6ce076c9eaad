import DeviceCatalog
import Telemetry

/// What the welding desk takes from the catalog in force: looked up, never kept in a snapshot.
struct WeldingFrame: Sendable {
  /// What a channel of a welding machine tells.
  enum Role: UInt8, Sendable {
    case current, mains, locked, tamper, longitude, latitude, other
  }

  /// What a channel tells of the air at work places.
  enum Air: UInt8, Sendable {
    case nothing, gas, wind
  }

  /// A welding machine's place in the catalog.
  struct Place: Sendable {
    /// `enterprise/device`.
    var key: String
    var enterprise: String
    var device: String
    /// `enterprise/site/area/device`.
    var path: String
    /// Path of its current: where its alarms hang.
    var point: String
    /// `enterprise/site/area`.
    var area: String
    var gateway: String
    var name: LocalizedText
    /// Where the catalog says it stands.
    var position: Coordinates?
    /// It has channels for its position, so only a reported one counts.
    var reportsPosition: Bool
  }

  /// An enterprise that has a welding register.
  struct Enterprise: Sendable {
    var welding: EnterpriseWelding
    var calendar: WeldingCalendar
    var gateways: Set<String>
    /// Fences by `site/area`.
    var fences: [String: [Coordinates]]
  }

  /// Version of the catalog.
  var version = ""
  var alarms: [WeldingRule: HotWorkRules.Alarm] = [:]
  var enterprises: [String: Enterprise] = [:]
  /// In order of key.
  var places: [Place] = []
  var rowOfKey: [String: Int] = [:]
  /// For each channel of the catalog the row in ``places``, or -1.
  var placeOfChannel: [Int32] = []
  /// For each channel of the catalog what it tells.
  var roleOfChannel: [Role] = []
  /// Area of each gas and temperature rule near a welding place, by `point#rule`.
  var nearRules: [String: String] = [:]
  /// For each channel of the catalog what it tells of the air where machines stand.
  var airOfChannel: [Air] = []
  /// Path of each channel that tells something of the air.
  var airPaths: [Int: String] = [:]
  /// Points that measure combustible gas, by area.
  var gasPoints: [String: [String]] = [:]
  /// Points that measure the wind, by area: those of the area, else those of its site.
  var windPoints: [String: [String]] = [:]
  /// Areas for which a point tells the wind.
  var areasOfWind: [String: [String]] = [:]
  /// Rows of ``places`` by area.
  var placesInArea: [String: [Int]] = [:]

  init() {}

  init(_ catalog: Catalog) {
    version = catalog.version
    alarms = catalog.hotWork?.alarms ?? [:]
    for enterprise in catalog.enterprises {
      guard let welding = enterprise.welding else { continue }
      var fences: [String: [Coordinates]] = [:]
      for site in enterprise.sites {
        for area in site.areas { fences["\(site.id)/\(area.id)"] = area.fence }
      }
      enterprises[enterprise.id] = Enterprise(
        welding: welding,
        calendar: WeldingCalendar(
          timeZone: enterprise.timeZone,
          policy: welding.policy,
          holidays: welding.register.holidays,
          workdays: welding.register.workdays
        ),
        gateways: Set(enterprise.gateways.map(\.id)),
        fences: fences
      )
    }
    guard !enterprises.isEmpty else { return }
    addPlaces(catalog)
    addNearRules(catalog)
    addAir(catalog)
  }

  private mutating func addPlaces(_ catalog: Catalog) {
    var points: [String: Set<String>] = [:]
    for channel in catalog.channels {
      points[channel.path.withoutLastLevel, default: []].insert(channel.point)
    }
    for device in catalog.devices {
      let levels = device.path.split(separator: "/")
      guard levels.count >= 4, let enterprise = enterprises[String(levels[0])] else { continue }
      let isRegistered = enterprise.welding.register.machines.contains { $0.device == device.id }
      guard device.profile.hasPrefix("welding/") || isRegistered else { continue }
      let own = points[device.path] ?? []
      places.append(
        Place(
          key: "\(levels[0])/\(device.id)",
          enterprise: String(levels[0]),
          device: device.id,
          path: device.path,
          point: device.path + "/current",
          area: device.path.withoutLastLevel,
          gateway: device.gateway,
          name: device.name,
          position: device.position,
          reportsPosition: own.isSuperset(of: ["longitude", "latitude"])
        )
      )
    }
    places.sort { $0.key < $1.key }
    for (row, place) in places.enumerated() {
      rowOfKey[place.key] = row
      placesInArea[place.area, default: []].append(row)
    }
    placeOfChannel = catalog.channels.map { channel in
      rowOfKey["\(channel.enterprise)/\(channel.device)"].map(Int32.init) ?? -1
    }
    roleOfChannel = catalog.channels.map { channel in
      switch channel.point {
      case "current": .current
      case "mains": .mains
      case "locked": .locked
      case "tamper": .tamper
      case "longitude": .longitude
      case "latitude": .latitude
      default: .other
      }
    }
  }

  private mutating func addAir(_ catalog: Catalog) {
    airOfChannel = [Air](repeating: .nothing, count: catalog.channels.count)
    var windOfPlace: [String: [String]] = [:]
    for (row, channel) in catalog.channels.enumerated() {
      let area = channel.path.withoutLastLevel.withoutLastLevel
      if channel.kind == .gas, channel.unit == "%LEL", placesInArea[area] != nil {
        airOfChannel[row] = .gas
        airPaths[row] = channel.path
        gasPoints[area, default: []].append(channel.path)
      } else if channel.kind == .speed, channel.point == "wind-speed" {
        airOfChannel[row] = .wind
        airPaths[row] = channel.path
        windOfPlace[area, default: []].append(channel.path)
        windOfPlace[area.withoutLastLevel, default: []].append(channel.path)
      }
    }
    for area in placesInArea.keys.sorted() {
      guard let points = windOfPlace[area] ?? windOfPlace[area.withoutLastLevel] else { continue }
      windPoints[area] = points
      for point in points { areasOfWind[point, default: []].append(area) }
    }
  }

  private mutating func addNearRules(_ catalog: Catalog) {
    for rule in catalog.rules where rule.level == .high || rule.level == .highHigh {
      let channel = catalog.channels[Int(rule.channel)]
      guard channel.kind == .gas || channel.kind == .temperature else { continue }
      let area = channel.path.withoutLastLevel.withoutLastLevel
      guard placesInArea[area] != nil else { continue }
      nearRules["\(channel.path)#\(rule.id)"] = area
    }
  }
}

extension String {
  /// The path without its last level; empty when it has one level.
  fileprivate var withoutLastLevel: String {
    lastIndex(of: "/").map { String(self[..<$0]) } ?? ""
  }
}
