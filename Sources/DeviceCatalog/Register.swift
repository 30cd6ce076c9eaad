/// An enterprise with its people, gateways and sites.
public struct Enterprise: Codable, Sendable {
  /// Identifier; the first level of point paths and of MQTT topics.
  public var id: String
  /// Name.
  public var name: LocalizedText
  /// 统一社会信用代码, where given.
  public var creditCode: String?
  /// 行政区划代码 of the county that supervises it.
  public var administrativeCode: String?
  /// IANA time zone by which its days, shifts and hours of the week go.
  public var timeZone: String
  /// Choices that hold for all its devices, such as `oel: pc-twa`.
  public var policies: [String: String]
  /// People who can be called.
  public var people: [Person]
  /// Gateways that may publish for it.
  public var gateways: [Gateway]
  /// Its sites.
  public var sites: [Site]
  /// Responsible for all that nobody nearer is responsible for.
  public var responsible: [String]
  /// Its welding register and figures; nil where it does not weld.
  public var welding: EnterpriseWelding?
  /// When its alarms are a flood.
  public var flood = FloodPolicy()
  /// Where it is defined.
  public var place: Place
}

/// When alarms are a flood: more than so many in ten minutes for one operator position.
///
/// The defaults are ISA-18.2's: a flood begins above 10 in ten minutes and ends below 5.
public struct FloodPolicy: Codable, Hashable, Sendable {
  /// Most alarms in ten minutes of the enterprise, 1 … 10,000.
  public var limit = 10
  /// Most alarms in ten minutes of its county, its city, its province; of several enterprises' figures the greatest holds.
  public var areaLimit = 10
  /// The flood is over when fewer than this lie in the ten minutes before.
  public var endBelow = 5

  /// The defaults.
  public init() {}

  /// Reads `flood: {limit: 10, area-limit: 10, end-below: 5}`.
  static func read(_ value: YAMLValue?) -> FloodPolicy {
    var policy = FloodPolicy()
    guard let value, let map = value.map() else { return policy }
    defer { map.finish() }
    for (key, path) in [
      ("limit", \FloodPolicy.limit), ("area-limit", \.areaLimit), ("end-below", \.endBelow),
    ] {
      guard let entry = map[key], let number = entry.integer() else { continue }
      guard (1...10_000).contains(number) else {
        entry.report(
          .wrongType(
            expected: "a whole number from 1 to 10,000",
            expectedZh: "1 至 10000 的整数",
            found: "\(number)"
          )
        )
        continue
      }
      policy[keyPath: path] = number
    }
    return policy
  }
}

/// A person who can be responsible and be called.
public struct Person: Codable, Sendable {
  /// Key in the enterprise's list.
  public var id: String
  /// Name.
  public var name: String
  /// Office held.
  public var role: String
  /// Telephone, with country code.
  public var phone: String?
  /// Where they are defined.
  public var place: Place
}

/// A gateway: one publisher of readings.
public struct Gateway: Codable, Sendable {
  /// Identifier; a level of its topics.
  public var id: String
  /// Name.
  public var name: LocalizedText
  /// Table of status codes that its devices use unless they say otherwise.
  public var statusCodes: String?
  /// Recorded data may come from it, with the recorded receive time beside each message.
  public var isReplaySource: Bool
  /// How far its devices' times are trusted, unless they say otherwise.
  public var timing = SourceTiming()
  /// Where it is defined.
  public var place: Place
}

/// A site: a plant, a mine, a tailings pond, a shop.
public struct Site: Codable, Sendable {
  /// Identifier.
  public var id: String
  /// `enterprise/site`.
  public var path: String
  /// Name.
  public var name: LocalizedText
  /// What kind of place it is, in the words of the profiles' families.
  public var kind: String?
  /// Where it is.
  public var position: Coordinates?
  /// Responsible people.
  public var responsible: [String]
  /// Major hazard sources (GB 18218).
  public var hazardSources: [MajorHazardSource]
  /// Its areas.
  public var areas: [Area]
  /// Where it is defined.
  public var place: Place
}

/// A part of a site.
public struct Area: Codable, Sendable {
  /// Identifier.
  public var id: String
  /// `enterprise/site/area`.
  public var path: String
  /// Name.
  public var name: LocalizedText
  /// Corners of its fence, in order; empty when it has none.
  public var fence: [Coordinates]
  /// Responsible people.
  public var responsible: [String]
  /// Key of the major hazard source that it belongs to.
  public var hazardSource: String?
  /// Devices, or `device/point`, that should be connected here (应联尽联), whether they are or not.
  public var expected: [ExpectedPoint] = []
  /// Where it is defined.
  public var place: Place

  /// Makes an area.
  public init(
    id: String,
    path: String,
    name: LocalizedText,
    fence: [Coordinates],
    responsible: [String],
    hazardSource: String?,
    place: Place
  ) {
    self.id = id
    self.path = path
    self.name = name
    self.fence = fence
    self.responsible = responsible
    self.hazardSource = hazardSource
    self.place = place
  }

  /// True when the position lies inside the fence; nil when there is no fence.
  public func contains(_ position: Coordinates) -> Bool? {
    guard fence.count >= 3 else { return nil }
    return polygon(fence, contains: position)
  }
}

/// Even-odd rule on longitude and latitude; good for fences far smaller than the earth that do not
/// cross the date line.
func polygon(_ corners: [Coordinates], contains position: Coordinates) -> Bool {
  var inside = false
  var previous = corners.count - 1
  for current in corners.indices {
    let a = corners[current]
    let b = corners[previous]
    if (a.latitude > position.latitude) != (b.latitude > position.latitude) {
      let share = (position.latitude - a.latitude) / (b.latitude - a.latitude)
      if position.longitude < a.longitude + share * (b.longitude - a.longitude) { inside.toggle() }
    }
    previous = current
  }
  return inside
}
