import Foundation

/// What one catalog has and another has not: what an engineer looks at before a change goes in force.
public struct CatalogDifference: Codable, Hashable, Sendable {
  /// Full names of points and rules (`point path`, `point path#rule id`), sorted.
  public struct Names: Codable, Hashable, Sendable {
    /// In the new one only.
    public var added: [String] = []
    /// In the old one only; alarms of such rules are closed.
    public var removed: [String] = []
    /// In both, with another description: set-point, delay, unit, place, text.
    public var changed: [String] = []

    /// True when nothing differs.
    public var isEmpty: Bool { added.isEmpty && removed.isEmpty && changed.isEmpty }
  }

  /// The points.
  public var points: Names
  /// The rules.
  public var rules: Names

  /// True when points and rules are the same; texts elsewhere may differ.
  public var isEmpty: Bool { points.isEmpty && rules.isEmpty }

  /// Compares two catalogs; rows and places in the files do not count.
  public init(from old: Catalog, to new: Catalog) {
    points = Self.compare(Self.points(old), Self.points(new))
    rules = Self.compare(Self.rules(old), Self.rules(new))
  }

  private static func compare(_ old: [String: Data], _ new: [String: Data]) -> Names {
    var names = Names()
    for (name, description) in new {
      guard let before = old[name] else {
        names.added.append(name)
        continue
      }
      if before != description { names.changed.append(name) }
    }
    names.removed = old.keys.filter { new[$0] == nil }.sorted()
    names.added.sort()
    names.changed.sort()
    return names
  }

  private static func points(_ catalog: Catalog) -> [String: Data] {
    var found: [String: Data] = [:]
    for var channel in catalog.channels {
      channel.index = 0
      channel.place = Place(file: "", line: 0, column: 0, key: "")
      found[channel.path] = encoded(channel)
    }
    return found
  }

  private static func rules(_ catalog: Catalog) -> [String: Data] {
    var found: [String: Data] = [:]
    for var rule in catalog.rules {
      rule.index = 0
      rule.channel = 0
      rule.feedback = rule.feedback.map { _ in 0 }
      rule.place = Place(file: "", line: 0, column: 0, key: "")
      found[rule.fullName] = encoded(rule)
    }
    return found
  }

  private static func encoded(_ value: some Encodable) -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "∞",
      negativeInfinity: "-∞",
      nan: "NaN"
    )
    // Descriptions are plain values; one that could not be encoded would be a defect of the catalog's types.
    do { return try encoder.encode(value) } catch { preconditionFailure("\(error)") }
  }
}
