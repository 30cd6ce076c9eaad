/// How well a figure's origin is established.
public enum SourceMark: String, Codable, CaseIterable, Sendable {
  /// Compared with the official text.
  case verified
  /// Read in a secondary source (a mirror, a vendor's page, public code), which `key` names.
  case verifiedSecondary = "verified-secondary"
  /// From general knowledge or practice; check before relying on it.
  case unverified
}

/// One edition of a standard, regulation or work safety code.
public struct Standard: Codable, Hashable, Sendable {
  /// Full designation, such as `GB/T 50493-2019`.
  public var id: String
  /// Edition: the year or the issue.
  public var edition: String
  /// Title.
  public var title: LocalizedText
  /// First day in force; nil when the date has not been established.
  public var effectiveFrom: CalendarDate?
  /// Last day in force; nil while it is in force, as far as known.
  public var effectiveUntil: CalendarDate?
  /// Designation of the edition or standard that replaced it.
  public var replacedBy: String?
  /// How well the dates are established.
  public var mark: SourceMark
  /// Where it is defined.
  public var place: Place
}

/// Where a rule's figure comes from.
public struct RuleSource: Codable, Hashable, Sendable {
  /// Who stands behind the figure.
  public enum Origin: String, Codable, CaseIterable, Sendable {
    /// A standard, named by ``RuleSource/standard``.
    case standard
    /// Practice that no standard fixes.
    case practice
    /// The plant's own choice, within what its design and the law allow.
    case plantSet = "plant-set"
    /// The condition has no figure (a state, a fault, a silence).
    case design
  }

  /// Who stands behind the figure.
  public var origin: Origin
  /// Designation of the standard.
  public var standard: String?
  /// Edition of the standard.
  public var edition: String?
  /// Clause, where the source prints one.
  public var clause: String?
  /// First day of the edition, where established.
  public var effectiveFrom: CalendarDate?
  /// Last day of the edition.
  public var effectiveUntil: CalendarDate?
  /// How well the figure is established.
  public var mark: SourceMark
  /// Key of the source in `docs/sources`.
  public var key: String?
  /// What else is to be known.
  public var note: LocalizedText?

  /// Standard and clause as a person cites them.
  public var citation: String {
    switch origin {
    case .standard: [standard, clause].compactMap(\.self).joined(separator: " ")
    case .practice: "practice"
    case .plantSet: "plant-set"
    case .design: "by design"
    }
  }
}

extension RuleSource {
  /// Reads `plant-set`, `design`, or a mapping with standard, clause, mark, key, note.
  static func read(_ value: YAMLValue, standards: [Standard]) -> RuleSource? {
    if let word = value.scalarText {
      switch word {
      case Origin.plantSet.rawValue: return RuleSource(origin: .plantSet, mark: .unverified)
      case Origin.design.rawValue: return RuleSource(origin: .design, mark: .verified)
      default:
        value.report(
          .notOneOf(text: word, choices: [Origin.plantSet.rawValue, Origin.design.rawValue])
        )
        return nil
      }
    }
    guard let map = value.map() else { return nil }
    defer { map.finish() }
    var source = RuleSource(origin: .practice, mark: .unverified)
    if let name = map["standard"], let text = name.string() {
      source.origin = .standard
      source.standard = text
      if let standard = standards.first(where: { $0.id == text }) {
        source.edition = standard.edition
        source.effectiveFrom = standard.effectiveFrom
        source.effectiveUntil = standard.effectiveUntil
      } else {
        name.report(.unknownStandard(text))
      }
    } else if let origin = map["origin"]?.choice(Origin.self) {
      source.origin = origin
    }
    source.clause = map["clause"]?.string()
    source.mark = map.required("mark")?.choice(SourceMark.self) ?? .unverified
    source.key = map["key"]?.string()
    source.note = map["note"]?.text()
    return source
  }
}

/// Reads `devices/standards.yaml`.
func readStandards(_ map: YAMLMap) -> [Standard] {
  var standards: [Standard] = []
  guard let entries = map.required("standards")?.map() else { return [] }
  for (id, keyPlace, value) in entries.entries() {
    guard let entry = value.map() else { continue }
    let title = entry.required("title")?.text()
    let edition = entry.required("edition")?.string()
    // `from: unknown` is written out, so that a missing date is a statement, not an oversight.
    let fromValue = entry.required("from")
    let from = fromValue?.scalarText == "unknown" ? nil : fromValue?.date()
    let until = entry["until"]?.date()
    if let from, let until, until < from {
      value.log.report(
        .datesReversed(from: from.description, until: until.description),
        at: keyPlace
      )
    }
    let replacedBy = entry["replaced-by"]?.string()
    let mark = entry.required("mark")?.choice(SourceMark.self) ?? .unverified
    entry.finish()
    guard let title, let edition else { continue }
    standards.append(
      Standard(
        id: id,
        edition: edition,
        title: title,
        effectiveFrom: from,
        effectiveUntil: until,
        replacedBy: replacedBy,
        mark: mark,
        place: keyPlace
      )
    )
  }
  map.finish()
  return standards
}
