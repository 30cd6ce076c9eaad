import AlarmEngine
import Telemetry

/// The rules of a device with their figures.
extension DeviceResolver {
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
    let setting = RuleSetting(name: name, profile: rule, point: point, override: override)
    var resolved = ResolvedRule(
      profile: rule,
      detector: .stale(afterMilliseconds: 0),
      onDelay: override?.onDelay ?? rule.onDelay,
      offDelay: override?.offDelay ?? rule.offDelay,
      source: source(of: rule),
      deviation: override?.deviation,
      place: override?.place ?? rule.place
    )
    refuseFigures(of: setting)
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
      guard let rate = setpoint(figureOfRate, of: setting) else { return nil }
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
    case .reported:
      resolved.detector = .reported
      resolved.condition = "the source's status is a fault or an alarm"
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
      guard let value = setpoint(limit, of: setting) else { return nil }
      let restore = override?.restore ?? spec.restore.flatMap(figure)
      resolved.detector = spec.detector.with(limit: value, restore: restore)
      resolved.setpoint = value
      resolved.restore = restore
      resolved.condition = "\(spec.condition): \(plain(value)) \(point.profile.unit.symbol)"
    case .window(let spec, let profileLimit):
      guard resolveWindow(spec, profileLimit, of: setting, into: &resolved) else { return nil }
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
    case .limit(let profileLimit):
      guard let limit = limit(profileLimit, of: setting, reach: point.span) else { return nil }
      resolved.detector = .limit(limit)
      take(
        limit,
        of: setting,
        profileLimit,
        unit: point.profile.unit.symbol,
        words: "",
        isOnScale: true,
        into: &resolved
      )
    }
    return resolved
  }

  /// Range and staleness have no set-point to be set by a site: they are said at the point.
  ///
  /// What a source reports has none at all.
  private func refuseFigures(of setting: RuleSetting) {
    switch setting.profile.detector {
    case .physicalRange, .stale, .reported: break
    case .limit, .rate, .stuck, .window, .expression, .interlock, .clockFault, .detect, .cascade:
      return
    }
    guard let override = setting.override,
      override.setpoint != nil || override.restore != nil || override.deadband != nil
    else { return }
    let point = setting.point.profile.id
    log.report(
      .other(
        code: "limit-not-settable",
        zh: "规则“\(setting.name)”没有可设定的限值",
        en: "rule \"\(setting.name)\" has no figure to set",
        remedyZh: "量程用 parameters，失联时间用 points.\(point).stale",
        remedyEn: "set the range by parameters, silence by points.\(point).stale"
      ),
      at: override.place
    )
  }

  /// The condition with its figures put in; nil when a figure is absent here, or a point that it names: then there is
  /// no such rule.
  private func settled(_ text: String) -> String? {
    let names = ExpressionNames(text)
    for point in profile.points where names.points.contains(ExpressionNames.word(for: point.id)) {
      if isAbsent(point) { return nil }
    }
    var result = text
    for name in names.figures {
      guard let value = figures[name] ?? setpoint(ofRule: name) else { return nil }
      result = result.replacing("{\(name)}", with: plain(value))
    }
    return result
  }

  /// Whether the device has no such point: its site leaves it out, or it is none of the chosen row's.
  func isAbsent(_ point: PointProfile) -> Bool {
    spec.without.contains { $0.value == point.id } || !holds(point.only)
  }

  /// The set-point of another rule of the device, named `point.rule`.
  private func setpoint(ofRule name: String) -> Double? {
    if let given = spec.limits[name]?.setpoint { return given }
    guard let rule = profile.rule(named: name), let when = rule.detector.comparison else {
      return nil
    }
    return holds(rule.only) ? figure(when.quantity) : nil
  }

  /// The rule on the clock of the device, which its first point carries.
  func clockRule() -> ResolvedRule {
    ResolvedRule(
      profile: .clock(at: spec.place),
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
    guard let when = rule.detector.comparison, case .named = when.quantity.base else {
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
}
