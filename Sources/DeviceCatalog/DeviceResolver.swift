import AlarmEngine
import PayloadDecoding
import Telemetry

/// Joins one device of a site with its profile: rows chosen, figures known, limits settled.
final class DeviceResolver {
  let profile: DeviceProfile
  let spec: DeviceSpec
  /// Where the profile has errors; nil where it has none.
  let faults: ProfileFaults?
  let log: FindingLog
  private(set) var rows: [String: DeviceProfile.Row] = [:]
  private(set) var figures: [String: Double] = [:]
  var known: Set<String> = []
  var usedLimits: Set<String> = []

  init(
    profile: DeviceProfile,
    spec: DeviceSpec,
    policies: [String: String],
    faults: ProfileFaults?,
    log: FindingLog
  ) {
    self.profile = profile
    self.spec = spec
    self.faults = faults
    self.log = log
    chooseRows()
    takeParameters()
    deriveValues(policies)
  }

  // MARK: figures

  private func chooseRows() {
    for choice in profile.choices {
      let wanted = spec.choose[choice.id]
      guard let name = wanted?.value ?? choice.standard else {
        log.report(
          .other(
            code: "choice-missing",
            zh: "设备“\(spec.id)”没有选择“\(choice.id)”（\(choice.name.zh)）",
            en: "device \"\(spec.id)\" does not choose \"\(choice.id)\" (\(choice.name.en))",
            remedyZh: "在 choose 下选择：\(choice.rows.map(\.id).joined(separator: ", "))",
            remedyEn: "choose one under \"choose\": "
              + choice.rows.map(\.id).joined(separator: ", ")
          ),
          at: spec.place
        )
        continue
      }
      guard let row = choice.rows.first(where: { $0.id == name }) else {
        log.report(
          .notOneOf(text: name, choices: choice.rows.map(\.id)),
          at: wanted?.place ?? spec.place
        )
        continue
      }
      rows[choice.id] = row
      figures.merge(row.figures) { _, new in new }
    }
    let ids = profile.choices.map(\.id)
    for (key, value) in spec.choose where !ids.contains(key) {
      log.report(
        .unknownKey(key: key, known: ids),
        at: value.place
      )
    }
  }

  private func takeParameters() {
    for parameter in profile.parameters {
      if let value = spec.parameters[parameter.id]?.value ?? parameter.fallback {
        figures[parameter.id] = value
      } else {
        log.report(
          .siteValueMissing(name: "parameters.\(parameter.id)", zh: parameter.text.zh),
          at: spec.place
        )
      }
    }
    let ids = profile.parameters.map(\.id)
    for (key, value) in spec.parameters where !ids.contains(key) {
      log.report(
        .unknownKey(key: key, known: ids),
        at: value.place
      )
    }
  }

  /// Works out the derived values in their order; the first case listed holds when nobody decides.
  private func deriveValues(_ policies: [String: String]) {
    for value in profile.values {
      var chosen = value.cases.first
      if let by = value.by, let name = rows[by]?.id ?? policies[by] {
        chosen = value.cases.first { $0.name == name }
        if chosen == nil {
          log.report(
            .notOneOf(text: "\(by): \(name)", choices: value.cases.map(\.name)),
            at: spec.place
          )
        }
      }
      figures[value.id] = chosen?.quantities.lazy.compactMap { self.figure($0) }.first
    }
  }

  /// The number behind a figure; nil when the chosen row leaves it empty or the site is to say.
  func figure(_ quantity: Quantity) -> Double? {
    switch quantity.base {
    case .one: quantity.factor
    case .named(let name): figures[name].map { $0 * quantity.factor }
    case .site: nil
    }
  }

  func holds(_ conditions: [RowCondition]) -> Bool {
    conditions.allSatisfy { condition in
      rows[condition.choice].map { condition.rows.contains($0.id) } ?? false
    }
  }

  // MARK: points

  /// The points that this device has.
  func points() -> [ResolvedPoint] {
    for name in spec.without {
      guard let point = profile.points.first(where: { $0.id == name.value }) else {
        reportUnknownPoint(name.value, at: name.place)
        continue
      }
      if !point.isOptional {
        log.report(
          .other(
            code: "point-not-optional",
            zh: "测点“\(point.id)”不可省略",
            en: "point \"\(point.id)\" cannot be left out",
            remedyZh: "从 without 中删除，或改用其他型谱",
            remedyEn: "take it out of \"without\", or use another profile"
          ),
          at: name.place
        )
      }
    }
    for (name, override) in spec.points.sorted(by: { $0.key < $1.key })
    where !profile.points.contains(where: { $0.id == name }) {
      reportUnknownPoint(name, at: override.place)
    }
    return profile.points.compactMap(resolve)
  }

  private func resolve(_ point: PointProfile) -> ResolvedPoint? {
    guard holds(point.only), !spec.without.contains(where: { $0.value == point.id }) else {
      return nil
    }
    let override = spec.points[point.id]
    var low: Double?
    var high: Double?
    if let range = point.range {
      low = figure(range.low)
      high = figure(range.high)
      if let low, let high, low >= high {
        log.report(.rangeReversed(low: low, high: high), at: spec.place)
      }
    }
    var resolved = ResolvedPoint(
      profile: point,
      low: low,
      high: high,
      stale: override?.stale ?? point.staleMilliseconds,
      override: override,
      responsible: override?.responsible.map(\.value) ?? [],
      place: override?.place ?? spec.place
    )
    convert(&resolved)
    return resolved
  }

  /// Settles how sent values become the channel's.
  private func convert(_ point: inout ResolvedPoint) {
    guard let override = point.override, let sent = override.unit, sent != point.profile.unit else {
      return
    }
    let unit = point.profile.unit
    if let direct = sent.conversion(to: unit) {
      (point.scale, point.offset) = direct
      point.conversion = "\(unit.symbol) = \(brief(direct.scale)) × \(sent.symbol)"
      if direct.offset != 0 { point.conversion? += " + \(brief(direct.offset))" }
      return
    }
    let formula = override.formula ?? rows.values.compactMap(\.formula).first
    guard let volume = override.molarVolume, volume > 0, let formula,
      let mass = molarMass(formula: formula),
      let factors = sent.conversion(to: unit, molarMass: mass, molarVolume: volume)
    else {
      log.report(
        .unitConversion(
          from: sent.symbol,
          to: unit.symbol,
          reason: "the dimensions differ, or gas and molar volume are not both stated",
          reasonZh: "量纲不同，或未同时写明气体与摩尔体积"
        ),
        at: override.place
      )
      return
    }
    (point.scale, point.offset) = factors
    point.molarVolume = volume
    point.conversion =
      "\(unit.symbol) = \(brief(factors.scale)) × \(sent.symbol) "
      + "(\(formula), M \(brief(mass)) g/mol, \(plain(volume)) L/mol)"
  }

  /// Name of a rule of this device that the site gave a feedback for.
  func feedback(of rule: ResolvedRule, at point: ResolvedPoint) -> DeviceSpec.Placed<String>? {
    let name = "\(point.profile.id).\(rule.profile.id)"
    if let given = spec.feedback[name] { return given }
    guard let own = rule.profile.feedback?.point,
      !spec.without.contains(where: { $0.value == own })
    else { return nil }
    return DeviceSpec.Placed(value: "\(spec.id)/\(own)", place: rule.place)
  }

  /// Reports limits that the site sets for rules that the profile does not have.
  func reportUnused() {
    for (name, value) in spec.feedback.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
      reportUnknownRule(name, at: value.place)
    }
    for (name, override) in spec.limits.sorted(by: { $0.key < $1.key })
    where !usedLimits.contains(name) {
      if known.contains(name) {
        log.report(
          .other(
            code: "limit-without-rule",
            zh: "该设备的选择下没有规则“\(name)”",
            en: "rule \"\(name)\" does not exist under what this device has chosen",
            remedyZh: "删除该限值，或更正 choose",
            remedyEn: "remove the limit, or correct \"choose\""
          ),
          at: override.place
        )
      } else {
        reportUnknownRule(name, at: override.place)
      }
    }
  }

  /// Reports a point that the profile does not have, unless it has one that could not be read.
  private func reportUnknownPoint(_ name: String, at place: Place) {
    guard faults?.covers(point: name) != true else { return }
    log.report(.unknownPoint(name, among: profile.points.map(\.id)), at: place)
  }

  private func reportUnknownRule(_ name: String, at place: Place) {
    guard faults?.covers(rule: name) != true else { return }
    log.report(
      .unknownReference(kind: "rule", kindZh: "规则", name: name, known: known.sorted()),
      at: place
    )
  }
}
