import AlarmEngine

/// A device as a site file writes it, before it is joined with its profile.
struct DeviceSpec: Sendable {
  /// A scalar with its place.
  struct Placed<T: Sendable>: Sendable {
    var value: T
    var place: Place
  }

  var id: String
  var place: Place
  var profile: Placed<String>?
  var gateway: Placed<String>?
  var name: LocalizedText?
  var aliases: [String] = []
  var choose: [String: Placed<String>] = [:]
  var parameters: [String: Placed<Double>] = [:]
  var limits: [String: LimitOverride] = [:]
  var points: [String: PointOverride] = [:]
  var without: [Placed<String>] = []
  var position: Coordinates?
  var positionPlace: Place?
  var responsible: [Placed<String>] = []
  var statusCodes: Placed<String>?
  /// Rule → `device/point` of the same enterprise that proves its cut-off.
  var feedback: [String: Placed<String>] = [:]
  var timing = SourceTiming()

  /// Reads the keys that a site's device and a sample share.
  static func readBody(_ map: YAMLMap, id: String, place: Place) -> DeviceSpec {
    var spec = DeviceSpec(id: id, place: place)
    for (key, _, value) in map["choose"]?.map()?.entries() ?? [] {
      spec.choose[key] = value.string().map { Placed(value: $0, place: value.place) }
    }
    for (key, _, value) in map["parameters"]?.map()?.entries() ?? [] {
      spec.parameters[key] = value.number().map { Placed(value: $0, place: value.place) }
    }
    for (key, _, value) in map["limits"]?.map()?.entries() ?? [] {
      spec.limits[key] = LimitOverride.read(value)
    }
    for (key, _, value) in map["points"]?.map()?.identified() ?? [] {
      spec.points[key] = value.map().map(PointOverride.read)
    }
    for value in map["without"]?.list() ?? [] {
      if let text = value.string() { spec.without.append(Placed(value: text, place: value.place)) }
    }
    spec.statusCodes = placedString(map["status-codes"])
    return spec
  }

  /// Reads a device of a site.
  static func read(_ map: YAMLMap, id: String, place: Place) -> DeviceSpec {
    var spec = readBody(map, id: id, place: place)
    spec.profile = placedString(map.required("profile"))
    spec.gateway = placedString(map["gateway"])
    spec.name = map["name"]?.text()
    spec.aliases = map["aliases"]?.strings() ?? []
    if let value = map["position"] {
      spec.position = Coordinates.read(value)
      spec.positionPlace = value.place
    }
    spec.responsible = people(map["responsible"])
    for (key, _, value) in map["feedback"]?.map()?.entries() ?? [] {
      spec.feedback[key] = placedString(value)
    }
    spec.timing = SourceTiming.read(map)
    map.finish()
    return spec
  }

  static func placedString(_ value: YAMLValue?) -> Placed<String>? {
    guard let value, let text = value.string() else { return nil }
    return Placed(value: text, place: value.place)
  }

  /// One name or a list of names of people.
  static func people(_ value: YAMLValue?) -> [Placed<String>] {
    guard let value else { return [] }
    if !value.isSequence { return placedString(value).map { [$0] } ?? [] }
    return value.list()?.compactMap(placedString) ?? []
  }
}

/// How far a source's times are trusted; a device's own figures go before its gateway's.
public struct SourceTiming: Codable, Hashable, Sendable {
  /// Largest distance from receive time that is no clock fault, ms; `Int64.max` turns the guard off.
  public var clockTolerance: Int64?
  /// How long readings wait to be put in order, ms.
  public var reorderAllowance: Int64?
  /// How far back late readings are judged again, ms; 0 not at all.
  public var lateWindow: Int64?
  /// Newest readings that a point keeps for that.
  public var lateReadings: Int?

  /// Five minutes either way.
  static let standardTolerance: Int64 = 300_000
  /// The newest 32 readings of the last ten minutes: 384 bytes a point.
  static let standardWindow: Int64 = 600_000
  static let standardReadings = 32

  /// Reads the keys that a gateway and a device share.
  static func read(_ map: YAMLMap) -> SourceTiming {
    var timing = SourceTiming()
    if let value = map["clock-tolerance"] {
      timing.clockTolerance =
        value.scalarText == "none" ? DevicePlan.unguarded : value.milliseconds()
    }
    timing.reorderAllowance = map["reorder-allowance"]?.milliseconds()
    if let value = map["late-window"] {
      timing.lateWindow = value.scalarText == "none" ? 0 : value.milliseconds()
    }
    timing.lateReadings = map["late-readings"]?.integer()
    return timing
  }

  /// These figures where they are given, else the other's.
  func over(_ other: SourceTiming) -> SourceTiming {
    SourceTiming(
      clockTolerance: clockTolerance ?? other.clockTolerance,
      reorderAllowance: reorderAllowance ?? other.reorderAllowance,
      lateWindow: lateWindow ?? other.lateWindow,
      lateReadings: lateReadings ?? other.lateReadings
    )
  }

  /// The window that a point keeps; nil for none.
  var window: ChannelWindow? {
    let length = lateWindow ?? Self.standardWindow
    guard length > 0 else { return nil }
    return ChannelWindow(
      lengthMilliseconds: length,
      capacity: lateReadings ?? Self.standardReadings,
      isBoundedByCount: true
    )
  }
}

/// What a site sets differently at one rule.
struct LimitOverride: Sendable {
  var setpoint: Double?
  var restore: Double?
  var deadband: Deadband?
  var onDelay: Int64?
  var offDelay: Int64?
  var reason: String?
  var approvedBy: String?
  var approvedOn: CalendarDate?
  var document: String?
  var place: Place

  /// Reads `12.5`, or a mapping with set-point, restore, reason and approver.
  static func read(_ value: YAMLValue) -> LimitOverride? {
    guard value.isMapping, let map = value.map() else {
      guard let number = value.number() else { return nil }
      return LimitOverride(setpoint: number, place: value.place)
    }
    defer { map.finish() }
    return LimitOverride(
      setpoint: map["setpoint"]?.number(),
      restore: map["restore"]?.number(),
      deadband: map["deadband"]?.deadband(),
      onDelay: map["on-delay"]?.milliseconds(),
      offDelay: map["off-delay"]?.milliseconds(),
      reason: map["reason"]?.string(),
      approvedBy: map["approved-by"]?.string(),
      approvedOn: map["approved-on"]?.date(),
      document: map["document"]?.string(),
      place: value.place
    )
  }

  /// The approval, if it is whole.
  var deviation: ApprovedDeviation? {
    guard let reason, let approvedBy, let approvedOn else { return nil }
    return ApprovedDeviation(
      reason: reason,
      approvedBy: approvedBy,
      approvedOn: approvedOn,
      document: document
    )
  }
}

/// Who allowed a site to differ from a profile's figure, when and why.
public struct ApprovedDeviation: Codable, Hashable, Sendable {
  /// Why.
  public var reason: String
  /// Name and office of the approver.
  public var approvedBy: String
  /// When.
  public var approvedOn: CalendarDate
  /// Number of the paper.
  public var document: String?
}

/// How a device's point differs from its profile.
struct PointOverride: Sendable {
  var name: String?
  var aliases: [String] = []
  var unit: PointUnit?
  var scale: Double?
  var offset: Double?
  var molarVolume: Double?
  var formula: String?
  var stale: Int64?
  var responsible: [DeviceSpec.Placed<String>] = []
  var place: Place

  static func read(_ map: YAMLMap) -> PointOverride {
    defer { map.finish() }
    return PointOverride(
      name: map["payload-name"]?.string(),
      aliases: map["aliases"]?.strings() ?? [],
      unit: map["unit"]?.unit(),
      scale: map["scale"]?.factor(),
      offset: map["offset"]?.number(),
      molarVolume: map["molar-volume"]?.number(),
      formula: map["gas"]?.string(),
      stale: map["stale"]?.milliseconds(),
      responsible: DeviceSpec.people(map["responsible"]),
      place: map.place
    )
  }
}

/// A position on the earth (WGS 84).
public struct Coordinates: Codable, Hashable, Sendable {
  /// Degrees east.
  public var longitude: Double
  /// Degrees north.
  public var latitude: Double
  /// Metres above the ground; nil when not stated.
  public var height: Double?

  /// Makes a position; nil when it is not on the earth.
  public init?(longitude: Double, latitude: Double, height: Double? = nil) {
    guard (-180...180).contains(longitude), (-90...90).contains(latitude) else { return nil }
    self.longitude = longitude
    self.latitude = latitude
    self.height = height
  }

  /// Reads `[longitude, latitude]` or `[longitude, latitude, height]`.
  static func read(_ value: YAMLValue) -> Coordinates? {
    guard let numbers = value.numbers(count: 2...3) else { return nil }
    guard
      let position = Coordinates(
        longitude: numbers[0],
        latitude: numbers[1],
        height: numbers.count == 3 ? numbers[2] : nil
      )
    else {
      value.report(
        .other(
          code: "not-on-earth",
          zh: "经纬度超出范围",
          en: "longitude or latitude is out of range",
          remedyZh: "写成 [经度, 纬度]",
          remedyEn: "write [longitude, latitude] in degrees"
        )
      )
      return nil
    }
    return position
  }
}
