import AlarmEngine

/// Set-points, restore values and deadbands; their order, and the standard's bound.
extension DeviceResolver {
  /// The set-point of a rule: what the site says, or else the profile's figure.
  ///
  /// Nil means: no such rule here, since the chosen row leaves the figure empty. Where the site has to say it and does not,
  /// that is reported.
  func setpoint(_ figure: Quantity, of setting: RuleSetting) -> Double? {
    if let value = setting.override?.setpoint ?? self.figure(figure) { return value }
    if figure.base == .site, !setting.profile.isOptional {
      log.report(
        .siteValueMissing(name: "limits.\(setting.name)", zh: setting.profile.text.zh),
        at: spec.place
      )
    }
    return nil
  }

  /// The limit of a rule, held against where its value can be at all; nil when there is no such rule here, or the limit
  /// does not say where it ends.
  func limit(
    _ profileLimit: LimitProfile,
    of setting: RuleSetting,
    reach: ClosedRange<Double>?
  ) -> LimitParameters? {
    let (when, until, override) = (profileLimit.when, profileLimit.until, setting.override)
    guard let setpoint = setpoint(when.quantity, of: setting) else { return nil }
    func missing(_ part: String) {
      // A range or figure that the profile has wrong is told there.
      guard faults?.covers(rule: setting.name) != true else { return }
      log.report(
        .siteValueMissing(name: "limits.\(setting.name).\(part)", zh: setting.profile.text.zh),
        at: spec.place
      )
    }
    let sign: Double = when.comparison.isHigh ? -1 : 1
    let restore: Double
    if let value = override?.restore {
      restore = value
    } else if let deadband = override?.deadband ?? (until == nil ? profileLimit.deadband : nil) {
      guard let width = width(deadband, of: setting.point) else {
        missing("deadband")
        return nil
      }
      restore = setpoint + sign * width
    } else if let until, let value = figure(until.quantity) {
      // A site's own set-point takes the restore value with it when the two were one figure.
      let moves = override?.setpoint != nil && until.quantity == when.quantity
      restore = moves ? setpoint : value
    } else {
      missing("restore")
      return nil
    }
    let place = override?.place ?? spec.place
    if sign * (restore - setpoint) < 0 {
      log.report(
        .restoreSide(setpoint: setpoint, restore: restore, comparison: when.comparison.sign),
        at: place
      )
    }
    let limit = LimitParameters(
      comparison: when.comparison,
      setpoint: setpoint,
      restore: restore
    )
    if let reach, !reach.contains(setpoint) {
      log.report(
        .setpointOutsideRange(setpoint: setpoint, low: reach.lowerBound, high: reach.upperBound),
        at: place
      )
    } else if let reach,
      when.comparison.isHigh ? restore <= reach.lowerBound : restore >= reach.upperBound
    {
      log.report(.restoreOutsideRange(limit, within: reach), at: place)
    }
    return limit
  }

  private func width(_ deadband: Deadband, of point: ResolvedPoint) -> Double? {
    switch deadband {
    case .absolute(let quantity): return figure(quantity)
    case .percentOfRange(let share):
      guard let low = point.low, let high = point.high else { return nil }
      return (high - low) * share / 100
    }
  }

  /// Gives a rule its limit, whose figures are in a unit, or in none where that is empty.
  ///
  /// The words are said before the limit in the rule's condition. Figures that are on scale lie where the point's values do,
  /// and are drawn and ordered with its others.
  func take(
    _ limit: LimitParameters,
    of setting: RuleSetting,
    _ profileLimit: LimitProfile,
    unit: String,
    words: String,
    isOnScale: Bool,
    into resolved: inout ResolvedRule
  ) {
    resolved.restore = limit.restore
    resolved.isRestoreChanged = isRestoreChanged(limit, profileLimit)
    if isOnScale {
      resolved.setpoint = limit.setpoint
      resolved.isHigh = limit.comparison.isHigh
    }
    let space = unit.isEmpty ? "" : " "
    let back = limit.comparison.isHigh ? "<" : ">"
    resolved.condition =
      "\(words)\(limit.comparison.sign) \(plain(limit.setpoint))\(space)\(unit); "
      + "returns \(back) \(plain(limit.restore))\(space)\(unit)"
    judge(&resolved, limit.setpoint, of: setting, unit: unit)
  }

  /// Whether the site has set another restore value than the profile's figures give.
  private func isRestoreChanged(_ limit: LimitParameters, _ profileLimit: LimitProfile) -> Bool {
    guard let until = profileLimit.until, let value = figure(until.quantity) else { return false }
    let isSame = until.quantity == profileLimit.when.quantity
    return limit.restore != (isSame ? limit.setpoint : value)
  }

  /// Holds the set-point against the standard's bound.
  private func judge(
    _ rule: inout ResolvedRule,
    _ setpoint: Double,
    of setting: RuleSetting,
    unit: String
  ) {
    guard let bound = rule.profile.bound, let value = figure(bound.quantity) else { return }
    rule.bound = "\(bound.comparison.sign) \(plain(value)) \(unit)"
    let within = bound.comparison.holds(setpoint, value)
    rule.isLooserThanBound = !within
    if !within, setting.override?.deviation == nil {
      log.report(
        .deviationUnapproved(rule: setting.name),
        at: rule.place,
        clause: rule.source.citation
      )
    }
  }

  /// LL < L < H < HH on one point, and blue to red further and further out.
  func checkOrder(_ rules: [ResolvedRule], of point: ResolvedPoint) {
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
}
