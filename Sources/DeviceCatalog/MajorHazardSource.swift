import Foundation

/// A major hazard source (危险化学品重大危险源) with the arithmetic of GB 18218-2018.
public struct MajorHazardSource: Codable, Sendable {
  /// One hazardous chemical of the unit.
  public struct Substance: Codable, Sendable {
    /// Name.
    public var name: String
    /// Category of table 2 (`J2`, `W5.3`), where the chemical is not named in table 1.
    public var category: String?
    /// q: largest quantity present or designed for, t.
    public var quantity: Double
    /// Q: critical quantity, t.
    public var critical: Double
    /// β: correction for the chemical's danger.
    public var beta: Double

    /// Makes a substance.
    public init(name: String, category: String?, quantity: Double, critical: Double, beta: Double) {
      self.name = name
      self.category = category
      self.quantity = quantity
      self.critical = critical
      self.beta = beta
    }

    /// q/Q.
    public var share: Double { quantity / critical }
  }

  /// The grade by R.
  public enum Level: Int, Codable, CaseIterable, Comparable, Sendable {
    /// 一级: R ≥ 100.
    case one = 1
    /// 二级: 100 > R ≥ 50.
    case two = 2
    /// 三级: 50 > R ≥ 10.
    case three = 3
    /// 四级: R < 10.
    case four = 4

    /// Orders by number: level one, the gravest, is the least.
    public static func < (lhs: Level, rhs: Level) -> Bool { lhs.rawValue < rhs.rawValue }
  }

  /// Key.
  public var id: String
  /// Name.
  public var name: LocalizedText
  /// People usually present within 500 m outside the plant's boundary.
  public var exposedPeople: Int
  /// What is there.
  public var substances: [Substance]
  /// 主要负责人, 技术负责人, 操作负责人 (包保责任制), by duty.
  public var guarantors: [String: String]
  /// Where it is defined.
  public var place: Place

  /// Makes a hazard source.
  public init(
    id: String,
    name: LocalizedText,
    exposedPeople: Int,
    substances: [Substance],
    guarantors: [String: String],
    place: Place
  ) {
    self.id = id
    self.name = name
    self.exposedPeople = exposedPeople
    self.substances = substances
    self.guarantors = guarantors
    self.place = place
  }

  /// S = Σ qᵢ/Qᵢ.
  public var sum: Double { substances.reduce(0) { $0 + $1.share } }

  /// True when S ≥ 1: the unit is a major hazard source.
  public var isMajor: Bool { sum >= 1 }

  /// α by the people exposed.
  public var alpha: Double {
    switch exposedPeople {
    case ..<1: 0.5
    case ..<30: 1.0
    case ..<50: 1.2
    case ..<100: 1.5
    default: 2.0
    }
  }

  /// R = α · Σ βᵢ · qᵢ/Qᵢ.
  public var r: Double { alpha * substances.reduce(0) { $0 + $1.beta * $1.share } }

  /// Level by R; nil when S < 1.
  public var level: Level? {
    guard isMajor else { return nil }
    switch r {
    case 100...: return .one
    case 50..<100: return .two
    case 10..<50: return .three
    default: return .four
    }
  }

  /// The calculation written out, for the record and for the inspector.
  public var arithmetic: String {
    func figure(_ value: Double) -> String {
      let text = String(format: "%.4f", value)
      return String(text.reversed().drop { $0 == "0" }.drop { $0 == "." }.reversed())
    }
    let shares = substances.map { "\(plain($0.quantity))/\(plain($0.critical))" }
    let products = substances.map {
      "\(plain($0.beta))×\(plain($0.quantity))/\(plain($0.critical))"
    }
    var lines = ["S = \(shares.joined(separator: " + ")) = \(figure(sum))"]
    lines[0] += isMajor ? " ≥ 1" : " < 1"
    guard let level else { return lines[0] }
    lines.append("α = \(plain(alpha)) (\(exposedPeople))")
    lines.append("R = \(plain(alpha)) × (\(products.joined(separator: " + "))) = \(figure(r))")
    lines.append("level \(level.rawValue)")
    return lines.joined(separator: "; ")
  }
}

extension MajorHazardSource {
  /// Q and β by category, tables 2 and 4 of GB 18218-2018, from public code that transcribes them.
  static let categories: [String: (critical: Double, beta: Double)] = [
    "J1": (5, 4), "J2": (50, 2), "J3": (50, 2), "J4": (50, 2), "J5": (500, 1),
    "W1.1": (1, 2), "W1.2": (10, 2), "W1.3": (50, 2), "W2": (10, 1.5), "W3": (150, 1),
    "W4": (50, 1), "W5.1": (10, 1.5), "W5.2": (50, 1), "W5.3": (1000, 1), "W5.4": (5000, 1),
    "W6.1": (10, 1.5), "W6.2": (50, 1), "W7.1": (10, 1.5), "W7.2": (50, 1), "W8": (50, 1),
    "W9.1": (50, 1), "W9.2": (200, 1), "W10": (200, 1), "W11": (200, 1),
  ]

  static func read(_ map: YAMLMap, id: String, place: Place) -> MajorHazardSource? {
    defer { map.finish() }
    let name = map.required("name")?.text()
    let people = map.required("exposed-people")?.integer()
    var substances: [Substance] = []
    for value in map.required("substances")?.list() ?? [] {
      if let substance = value.map().flatMap(substance) { substances.append(substance) }
    }
    if substances.isEmpty { map.value.report(.nothing(kind: "substance", kindZh: "危险化学品")) }
    var guarantors: [String: String] = [:]
    if let duties = map["guarantors"]?.map() {
      for duty in ["principal", "technical", "operating"] {
        guarantors[duty] = duties.required(duty)?.string()
      }
      duties.finish()
    }
    guard let name, let people, !substances.isEmpty else { return nil }
    return MajorHazardSource(
      id: id,
      name: name,
      exposedPeople: people,
      substances: substances,
      guarantors: guarantors,
      place: place
    )
  }

  private static func substance(_ map: YAMLMap) -> Substance? {
    defer { map.finish() }
    let name = map.required("name")?.string()
    let quantity = positive(map.required("quantity-t"))
    let categoryValue = map["category"]
    let category = categoryValue?.string()
    var critical = map["critical-t"].flatMap(positive)
    var beta = map["beta"].flatMap(positive)
    if let category {
      if let found = categories[category] {
        critical = critical ?? found.critical
        beta = beta ?? found.beta
      } else {
        categoryValue?.report(.notOneOf(text: category, choices: categories.keys.sorted()))
      }
    } else {
      if map["critical-t"] == nil { map.value.report(.missingKey(key: "critical-t")) }
      if map["beta"] == nil { map.value.report(.missingKey(key: "beta")) }
    }
    guard let name, let quantity, let critical, let beta else { return nil }
    return Substance(
      name: name,
      category: category,
      quantity: quantity,
      critical: critical,
      beta: beta
    )
  }

  private static func positive(_ value: YAMLValue?) -> Double? {
    guard let value, let number = value.number() else { return nil }
    guard number > 0 else {
      value.report(
        .wrongType(expected: "a number above zero", expectedZh: "大于零的数", found: value.kind)
      )
      return nil
    }
    return number
  }
}
