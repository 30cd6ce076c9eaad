import AlarmEngine
import PayloadDecoding
import Telemetry

/// Joins one device of a site with its profile: rows chosen, figures known, limits settled.
final class DeviceResolver {
  let profile: DeviceProfile
  let spec: DeviceSpec
  let log: FindingLog
  private(set) var rows: [String: DeviceProfile.Row] = [:]
  private var figures: [String: Double] = [:]
  private var known: Set<String> = []
  private var usedLimits: Set<String> = []

  init(profile: DeviceProfile, spec: DeviceSpec, policies: [String: String], log: FindingLog) {
    self.profile = profile
    self.spec = spec
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
        .unknownKey(key: key, suggestion: nearest(key, among: ids), known: ids),
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
        .unknownKey(key: key, suggestion: nearest(key, among: ids), known: ids),
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
  private func figure(_ quantity: Quantity) -> Double? {
    switch quantity.base {
    case .one: quantity.factor
    case .named(let name): figures[name].map { $0 * quantity.factor }
    case .site: nil
    }
  }

  private func holds(_ conditions: [RowCondition]) -> Bool {
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

  private func reportUnknownPoint(_ name: String, at place: Place) {
    log.report(
      .unknownReference(
        kind: "point",
        kindZh: "测点",
        name: name,
        suggestion: nearest(name, among: profile.points.map(\.id))
      ),
      at: place
    )
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

  // MARK: rules

  /// The rules of a point with their figures.
  func rules(of point: ResolvedPoint) -> [ResolvedRule] {
    let rules = point.profile.rules.compactMap { resolve($0, of: point) }
    checkOrder(rules, of: point)
    return rules
  }

  private func resolve(_ rule: RuleProfile, of point: ResolvedPoint) -> ResolvedRule? {
    let name = "\(point.profile.id).\(rule.id)"
    known.insert(name)
    guard holds(rule.only) else { return nil }
    let override = spec.limits[name]
    if override != nil { usedLimits.insert(name) }
    var resolved = ResolvedRule(
      profile: rule,
      detector: .stale(afterMilliseconds: 0),
      onDelay: override?.onDelay ?? rule.onDelay,
      offDelay: override?.offDelay ?? rule.offDelay,
      source: source(of: rule),
      deviation: override?.deviation,
      place: override?.place ?? rule.place
    )
    switch rule.detector {
    case .physicalRange, .stale:
      // These have no set-point to be set: range and staleness are said at the point.
      if let override,
        override.setpoint != nil || override.restore != nil || override.deadband != nil
      {
        log.report(
          .other(
            code: "limit-not-settable",
            zh: "规则“\(name)”没有可设定的限值",
            en: "rule \"\(name)\" has no figure to set",
            remedyZh: "量程用 parameters，失联时间用 points.\(point.profile.id).stale",
            remedyEn: "set the range by parameters, silence by points.\(point.profile.id).stale"
          ),
          at: override.place
        )
      }
    case .limit, .rate, .stuck, .expression, .interlock, .clockFault, .detect, .cascade: break
    }
    switch rule.detector {
    case .physicalRange:
      guard let low = point.low, let high = point.high else { return nil }
      resolved.detector = .physicalRange(low: low, high: high)
      resolved.condition =
        "< \(plain(low)) or > \(plain(high)) \(point.profile.unit.symbol)"
    case .stale:
      guard let after = point.stale else { return nil }
      resolved.detector = .stale(afterMilliseconds: after)
      resolved.condition = "no reading for \(plain(Double(after) / 1000)) s"
    case .rate(let over, let figureOfRate, let per, let side):
      guard let rate = override?.setpoint ?? figure(figureOfRate) else {
        if figureOfRate.base == .site, !rule.isOptional {
          log.report(.siteValueMissing(name: "limits.\(name)", zh: rule.text.zh), at: spec.place)
        }
        return nil
      }
      resolved.detector = .rateOfChange(
        RateOfChange.Parameters(
          span: over,
          limit: rate / (Double(per) / 1000),
          side: side
        )
      )
      resolved.setpoint = rate
      resolved.condition =
        "changes by more than \(plain(rate)) \(point.profile.unit.symbol) "
        + "per \(plain(Double(per) / 1000)) s"
    case .stuck(let parameters):
      resolved.detector = .stuck(parameters)
      resolved.condition = "does not move for \(plain(Double(parameters.duration) / 1000)) s"
    case .clockFault:
      resolved.detector = .clockFault
      resolved.condition = "the device's clock is wrong"
    case .cascade(let cascade):
      resolved.condition =
        "\(cascade.cascade.bluePerYellow) blue → yellow, "
        + "\(cascade.cascade.yellowPerOrange) yellow → orange, "
        + "\(cascade.cascade.orangePerRed) orange → red"
    case .detect(let spec):
      resolved.detector = spec.detector
      resolved.condition = spec.condition
      guard let limit = spec.limit else { break }
      guard let value = override?.setpoint ?? figure(limit) else {
        if limit.base == .site, !rule.isOptional {
          log.report(.siteValueMissing(name: "limits.\(name)", zh: rule.text.zh), at: spec.place)
        }
        return nil
      }
      let restore = override?.restore ?? spec.restore.flatMap(figure)
      resolved.detector = spec.detector.with(limit: value, restore: restore)
      resolved.setpoint = value
      resolved.restore = restore
      resolved.condition = "\(spec.condition): \(plain(value)) \(point.profile.unit.symbol)"
    case .expression(let text):
      guard let text = settled(text) else { return nil }
      resolved.profile.detector = .expression(text)
      resolved.condition = text
    case .interlock(let cause, let response, let usual, let restoreWithin):
      guard let cause = settled(cause), let response = settled(response) else { return nil }
      // What a valve or a fan needs is the plant's figure: a site sets it in seconds.
      let within = override?.setpoint.map { Int64(($0 * 1000).rounded()) } ?? usual
      resolved.profile.detector = .interlock(
        cause: cause,
        response: response,
        within: within,
        restore: restoreWithin
      )
      resolved.condition = "\(cause): \(response) within \(plain(Double(within) / 1000)) s"
    case .limit(let when, let until, let deadband):
      guard
        let limit = limit(
          when,
          until: until,
          deadband: override?.deadband ?? deadband,
          override: override,
          rule: rule,
          name: name,
          point: point
        )
      else { return nil }
      resolved.detector = .limit(limit)
      resolved.setpoint = limit.setpoint
      resolved.isHigh = limit.comparison.isHigh
      if let until, let value = figure(until.quantity) {
        let moved = until.quantity == when.quantity ? limit.setpoint : value
        resolved.isRestoreChanged = limit.restore != moved
      }
      resolved.restore = limit.restore
      let unit = point.profile.unit.symbol
      let back = limit.comparison.isHigh ? "<" : ">"
      resolved.condition =
        "\(limit.comparison.sign) \(plain(limit.setpoint)) \(unit); "
        + "returns \(back) \(plain(limit.restore)) \(unit)"
      judge(&resolved, when: when, override: override, name: name, unit: unit)
    }
    return resolved
  }

  /// The condition with its figures put in; nil when a figure is absent here, or a point that it names: then there is
  /// no such rule.
  private func settled(_ text: String) -> String? {
    let names = ExpressionNames(text)
    for point in profile.points where names.points.contains(ExpressionNames.word(for: point.id)) {
      let isLeftOut = spec.without.contains { $0.value == point.id }
      if isLeftOut || !holds(point.only) { return nil }
    }
    var result = text
    for name in names.figures {
      guard let value = figures[name] ?? setpoint(ofRule: name) else { return nil }
      result = result.replacing("{\(name)}", with: plain(value))
    }
    return result
  }

  /// The set-point of another rule of the device, named `point.rule`.
  private func setpoint(ofRule name: String) -> Double? {
    if let given = spec.limits[name]?.setpoint { return given }
    guard let rule = profile.rule(named: name), case .limit(let when, _, _) = rule.detector else {
      return nil
    }
    return holds(rule.only) ? figure(when.quantity) : nil
  }

  /// The rule on the clock of the device, which its first point carries.
  func clockRule() -> ResolvedRule {
    ResolvedRule(
      profile: RuleProfile(
        id: "clock",
        text: LocalizedText(zh: "设备时钟异常，按接收时间判定", en: "Device clock wrong; judged by receive time"),
        detector: .clockFault,
        level: .clock,
        priority: .yellow,
        onDelay: 0,
        offDelay: 0,
        isLatching: false,
        reAlarm: 0,
        bound: nil,
        source: RuleSource(origin: .design, mark: .verified),
        response: LocalizedText(
          zh: "校正设备时钟（对时），检查电池与授时；恢复前以接收时间为准。",
          en: "Set the device's clock, check battery and time source; receive times until then."
        ),
        only: [],
        isOptional: false,
        fixedRestore: false,
        place: spec.place
      ),
      detector: .clockFault,
      onDelay: 0,
      offDelay: 0,
      condition: "the device's clock is wrong",
      source: RuleSource(origin: .design, mark: .verified),
      deviation: nil,
      place: spec.place
    )
  }

  /// The rule's source, or that of the chosen row where the row has its own.
  private func source(of rule: RuleProfile) -> RuleSource {
    guard case .limit(let when, _, _) = rule.detector, case .named = when.quantity.base else {
      return rule.source
    }
    for choice in profile.choices {
      if let source = rows[choice.id]?.source {
        var merged = source
        if merged.standard == nil, source.origin == rule.source.origin || source.origin == .practice
        {
          merged.origin = rule.source.origin
          merged.standard = rule.source.standard
          merged.edition = rule.source.edition
          merged.clause = merged.clause ?? rule.source.clause
          merged.effectiveFrom = rule.source.effectiveFrom
          merged.effectiveUntil = rule.source.effectiveUntil
        }
        return merged
      }
    }
    return rule.source
  }

  private func limit(
    _ when: Comparison,
    until: Comparison?,
    deadband: Deadband?,
    override: LimitOverride?,
    rule: RuleProfile,
    name: String,
    point: ResolvedPoint
  ) -> LimitParameters? {
    guard let setpoint = override?.setpoint ?? figure(when.quantity) else {
      // A figure that the chosen row leaves empty means: no such rule here.
      if when.quantity.base == .site, !rule.isOptional {
        log.report(.siteValueMissing(name: "limits.\(name)", zh: rule.text.zh), at: spec.place)
      }
      return nil
    }
    let sign: Double = when.comparison.isHigh ? -1 : 1
    let restore: Double
    if let value = override?.restore {
      restore = value
    } else if let deadband, override?.deadband != nil || until == nil {
      guard let width = width(deadband, of: point) else {
        log.report(
          .siteValueMissing(name: "limits.\(name).deadband", zh: rule.text.zh),
          at: spec.place
        )
        return nil
      }
      restore = setpoint + sign * width
    } else if let until, let value = figure(until.quantity) {
      // A site's own set-point takes the restore value with it when the two were one figure.
      let moves = override?.setpoint != nil && until.quantity == when.quantity
      restore = moves ? setpoint : value
    } else {
      log.report(
        .siteValueMissing(name: "limits.\(name).restore", zh: rule.text.zh),
        at: spec.place
      )
      return nil
    }
    let place = override?.place ?? spec.place
    if sign * (restore - setpoint) < 0 {
      log.report(
        .restoreSide(setpoint: setpoint, restore: restore, comparison: when.comparison.sign),
        at: place
      )
    }
    if let low = point.low, let high = point.high, setpoint < low || setpoint > high {
      log.report(.setpointOutsideRange(setpoint: setpoint, low: low, high: high), at: place)
    }
    return LimitParameters(comparison: when.comparison, setpoint: setpoint, restore: restore)
  }

  private func width(_ deadband: Deadband, of point: ResolvedPoint) -> Double? {
    switch deadband {
    case .absolute(let quantity): return figure(quantity)
    case .percentOfRange(let share):
      guard let low = point.low, let high = point.high else { return nil }
      return (high - low) * share / 100
    }
  }

  /// Holds the set-point against the standard's bound.
  private func judge(
    _ rule: inout ResolvedRule,
    when: Comparison,
    override: LimitOverride?,
    name: String,
    unit: String
  ) {
    guard let setpoint = rule.setpoint, let bound = rule.profile.bound,
      let value = figure(bound.quantity)
    else { return }
    rule.bound = "\(bound.comparison.sign) \(plain(value)) \(unit)"
    let within =
      switch bound.comparison {
      case .atOrBelow: setpoint <= value
      case .below: setpoint < value
      case .atOrAbove: setpoint >= value
      case .above: setpoint > value
      }
    rule.isLooserThanBound = !within
    if !within, override?.deviation == nil {
      log.report(.deviationUnapproved(rule: name), at: rule.place, clause: rule.source.citation)
    }
  }

  /// LL < L < H < HH on one point, and blue to red further and further out.
  private func checkOrder(_ rules: [ResolvedRule], of point: ResolvedPoint) {
    let levels: [AlarmLevel] = [.lowLow, .low, .high, .highHigh]
    checkAscending(
      levels.map { level in rules.filter { $0.profile.level == level } },
      of: point
    )
    let grades = rules.filter { $0.profile.level == .grade }
    for isHigh in [true, false] {
      let colours = AlarmPriority.allCases.sorted { isHigh ? $0 < $1 : $1 < $0 }
      checkAscending(
        colours.map { colour in
          grades.filter { $0.isHigh == isHigh && $0.profile.priority == colour }
        },
        of: point
      )
    }
  }

  /// Every set-point of a group lies below every one of the groups after it.
  private func checkAscending(_ groups: [[ResolvedRule]], of point: ResolvedPoint) {
    for (index, group) in groups.enumerated() {
      for lower in group {
        for upper in groups[(index + 1)...].joined() {
          guard let a = lower.setpoint, let b = upper.setpoint, a >= b else { continue }
          log.report(
            .limitOrder(
              lower: "\(point.profile.id).\(lower.profile.id)",
              lowerValue: a,
              upper: "\(point.profile.id).\(upper.profile.id)",
              upperValue: b
            ),
            at: lower.place.file == spec.place.file ? lower.place : upper.place
          )
        }
      }
    }
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
      log.report(
        .unknownReference(
          kind: "rule",
          kindZh: "规则",
          name: name,
          suggestion: nearest(name, among: known.sorted())
        ),
        at: value.place
      )
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
        log.report(
          .unknownReference(
            kind: "rule",
            kindZh: "规则",
            name: name,
            suggestion: nearest(name, among: known.sorted())
          ),
          at: override.place
        )
      }
    }
  }
}
