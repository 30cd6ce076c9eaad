import AlarmEngine

/// A rule on a window with its figures.
extension DeviceResolver {
  /// Settles one; false when the device has no such rule, or it cannot be.
  func resolveWindow(
    _ spec: WindowSpec,
    _ profileLimit: LimitProfile,
    of setting: RuleSetting,
    into resolved: inout ResolvedRule
  ) -> Bool {
    let (name, point, override) = (setting.name, setting.point, setting.override)
    if case .percentOfRange = override?.deadband, !spec.isLocation, let override {
      log.report(spec.shareRefused(unit: spec.unit(of: point.profile.unit)), at: override.place)
      return false
    }
    var reach: ClosedRange<Double>?
    if let low = point.low, let high = point.high { reach = spec.reach(low: low, high: high) }
    guard let limit = limit(profileLimit, of: setting, reach: reach) else { return false }
    var spec = spec
    // The value itself, by another name.
    if spec.statePoint == point.profile.id { spec.statePoint = nil }
    // Where the point that says the state is left out, there is no such rule, and no demand is met by it.
    if let name = spec.statePoint, let source = profile.points.first(where: { $0.id == name }),
      isAbsent(source)
    {
      return false
    }
    resolved.profile.detector = .window(spec, profileLimit)
    var parameters = spec.parameters
    parameters.limit = limit
    if refusesDelay(spec, resolved, point: point, name: name) { return false }
    // Whoever is silent for longer is known to be.
    if spec.endsByTime { parameters.grace = spec.grace ?? point.stale ?? 0 }
    resolved.window = parameters
    let unit = spec.unit(of: point.profile.unit)
    resolved.unit = unit
    take(
      limit,
      of: setting,
      profileLimit,
      unit: unit,
      words: "\(spec.words): ",
      // Where the statistic is not on the scale of the point's values, it is drawn and ordered with none of them.
      isOnScale: spec.isLocation,
      into: &resolved
    )
    // What only the figures show: a set-point that no window of this capacity can hold.
    do {
      _ = try WindowedStatistic(parameters)
      return true
    } catch {
      log.report(
        .other(
          code: "window-refused",
          zh: "规则“\(name)”的限值不可用：\(error)",
          en: "the figures of rule \"\(name)\" cannot be used: \(error)",
          remedyZh: "更正限值、恢复值或 capacity",
          remedyEn: "correct the set-point, the restore value or \"capacity\""
        ),
        at: override?.place ?? spec.place
      )
      return false
    }
  }

  /// A session that ends only when its point is known to be silent begins no delay: silence takes delays back.
  private func refusesDelay(
    _ spec: WindowSpec,
    _ rule: ResolvedRule,
    point: ResolvedPoint,
    name: String
  ) -> Bool {
    guard case .session(let gap, _) = spec.parameters.shape, let stale = point.stale, gap >= stale,
      rule.onDelay > 0 || rule.offDelay > 0
    else { return false }
    log.report(
      .other(
        code: "window-delay",
        zh: "规则“\(name)”的延时永远走不完：会话在测点失联（stale）之后才结束，而失联会取消延时",
        en: "the delay of rule \"\(name)\" never runs out: a session ends after the point is "
          + "stale, which takes delays back",
        remedyZh: "gap 须短于 stale，或去掉 on-delay 和 off-delay",
        remedyEn: "make \"gap\" shorter than \"stale\", or remove on-delay and off-delay"
      ),
      at: spec.place
    )
    return true
  }
}
