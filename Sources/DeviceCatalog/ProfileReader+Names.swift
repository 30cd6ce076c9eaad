/// Holds the names in a profile against what it has.
extension ProfileReader {
  /// Reports every name of a figure that neither a column, a parameter nor a value explains, and every point named
  /// that the profile does not have.
  ///
  /// - Parameters:
  ///   - profile: The profile.
  ///   - faults: What of it could not be read: names of that are no further mistakes.
  func checkNames(_ profile: DeviceProfile, faults: ProfileFaults) {
    /// Holds figures against the names that there are; which these are is not known where the file is wrong above.
    func check(_ quantities: [Quantity], at place: Place) {
      if !faults.isGeneral { self.check(quantities, at: place, of: profile) }
    }
    for value in profile.values { check(value.cases.flatMap(\.quantities), at: value.place) }
    for point in profile.points {
      if let range = point.range { check([range.low, range.high], at: point.place) }
      for rule in point.rules {
        for (name, place) in pointsNamed(in: rule)
        where !profile.points.contains(where: { $0.id == name }) && !faults.covers(point: name) {
          log.report(.unknownPoint(name, among: profile.points.map(\.id)), at: place)
        }
        let figures = figuresNamed(in: rule).filter {
          profile.rule(named: $0) == nil && !faults.covers(rule: $0)
        }
        check(
          figures.map { Quantity(factor: 1, base: .named($0)) } + quantities(in: rule),
          at: rule.place
        )
        if case .detect(let spec) = rule.detector {
          check([spec.limit, spec.restore].compactMap(\.self), at: spec.place)
        }
        if case .window(let spec, let limit) = rule.detector {
          checkWindow(spec, limit, rule, point: point, of: profile)
        }
      }
    }
  }

  private func check(_ quantities: [Quantity], at place: Place, of profile: DeviceProfile) {
    let known =
      profile.choices.flatMap(\.columns) + profile.parameters.map(\.id) + profile.values.map(\.id)
    for quantity in quantities {
      guard case .named(let name) = quantity.base, !known.contains(name) else { continue }
      log.report(
        .unknownReference(kind: "figure", kindZh: "数值名", name: name, known: known),
        at: place
      )
    }
  }

  /// The figures of a rule's limit and bound.
  private func quantities(in rule: RuleProfile) -> [Quantity] {
    let bound = rule.bound.map { [$0.quantity] } ?? []
    return switch rule.detector {
    case .limit(let limit), .window(_, let limit): bound + limit.quantities
    case .rate(_, let limit, _, _): bound + [limit]
    case .physicalRange, .stale, .stuck, .expression, .interlock, .clockFault, .reported, .detect,
      .cascade:
      bound
    }
  }

  /// The figures that a rule's conditions have in braces.
  private func figuresNamed(in rule: RuleProfile) -> [String] {
    switch rule.detector {
    case .expression(let text): ExpressionNames(text).figures
    case .interlock(let cause, let response, _, _):
      ExpressionNames(cause).figures + ExpressionNames(response).figures
    case .limit, .physicalRange, .stale, .rate, .stuck, .clockFault, .reported, .cascade, .detect,
      .window:
      []
    }
  }

  /// The points of the same device that a rule reads beside its own, but for those in conditions, which are compiled,
  /// and those of a model, which has its own.
  private func pointsNamed(in rule: RuleProfile) -> [(name: String, place: Place)] {
    var names: [(String, Place)] = []
    if let name = rule.feedback?.point { names.append((name, rule.place)) }
    switch rule.detector {
    case .window(let spec, _):
      if let name = spec.statePoint { names.append((name, spec.place)) }
    case .cascade(let spec):
      if case .points(let members) = spec.members { names += members.map { ($0, spec.place) } }
    case .limit, .physicalRange, .stale, .rate, .stuck, .expression, .interlock, .clockFault,
      .reported, .detect:
      break
    }
    return names
  }

  /// Holds the figures of a window's rule against what its statistic is measured in.
  private func checkWindow(
    _ spec: WindowSpec,
    _ limit: LimitProfile,
    _ rule: RuleProfile,
    point: PointProfile,
    of profile: DeviceProfile
  ) {
    let wanted = spec.unit(of: point.unit)
    let shown = wanted.isEmpty ? "1" : wanted
    func refuse(_ found: String, at place: Place) {
      log.report(
        .other(
          code: "window-unit",
          zh: "\(spec.of.rawValue) 的单位是“\(shown)”，不是“\(found)”",
          en: "\(spec.of.rawValue) is measured in \"\(shown)\", not in \"\(found)\"",
          remedyZh: spec.of == .variance ? "参数没有“\(shown)”这样的单位：直接写数值" : "限值按“\(shown)”书写",
          remedyEn: spec.of == .variance
            ? "no parameter has a unit such as \"\(shown)\": write the figure itself"
            : "write the figure in \"\(shown)\""
        ),
        at: place
      )
    }
    if let unit = spec.unit, unit.text != shown { refuse(unit.text, at: unit.place) }
    // Parameters carry a unit, which has to be the statistic's.
    for quantity in quantities(in: rule) {
      if case .named(let name) = quantity.base,
        let parameter = profile.parameters.first(where: { $0.id == name }),
        parameter.unit.symbol != shown, !(wanted.isEmpty && parameter.unit.symbol == "count")
      {
        refuse(parameter.unit.symbol, at: rule.place)
      }
    }
    if case .percentOfRange = limit.deadband, !spec.isLocation {
      log.report(spec.shareRefused(unit: wanted), at: rule.place)
    }
    if !spec.isLocation, rule.level != .pattern, rule.level != .state {
      log.report(
        .other(
          code: "window-level",
          zh: "\(spec.of.rawValue) 与测点的高低限不在同一尺度上，不能有级别 \(rule.level.rawValue)",
          en: "\(spec.of.rawValue) is not on the scale of the point's limits, so it has no level "
            + rule.level.rawValue,
          remedyZh: "写 level: pattern",
          remedyEn: "write level: pattern"
        ),
        at: rule.place
      )
    }
  }
}
