import AlarmEngine

/// Set-points, restore values and deadbands; their order, and the standard's bound.
extension DeviceResolver {
  func limit(
    _ when: Comparison,
    until: Comparison?,
    deadband: Deadband?,
    override: LimitOverride?,
    rule: RuleProfile,
    name: String,
    point: ResolvedPoint,
    reach: ClosedRange<Double>?
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
    if let reach, !reach.contains(setpoint) {
      log.report(
        .setpointOutsideRange(setpoint: setpoint, low: reach.lowerBound, high: reach.upperBound),
        at: place
      )
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

  /// Whether the site has set another restore value than the profile's figures give.
  func isRestoreChanged(_ limit: LimitParameters, when: Comparison, until: Comparison?) -> Bool {
    guard let until, let value = figure(until.quantity) else { return false }
    return limit.restore != (until.quantity == when.quantity ? limit.setpoint : value)
  }

  /// Holds the set-point against the standard's bound.
  func judge(
    _ rule: inout ResolvedRule,
    _ setpoint: Double,
    override: LimitOverride?,
    name: String,
    unit: String
  ) {
    guard let bound = rule.profile.bound, let value = figure(bound.quantity) else { return }
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
