import AlarmEngine

/// The rules of a point, each with its detector.
extension ProfileReader {
  /// Reads one rule; nil when it could not be understood whole.
  func rule(
    _ map: YAMLMap,
    id: String,
    place: Place,
    choices: [String: [String]]
  ) -> RuleProfile? {
    defer { map.finish() }
    let text = map.required("text")?.text()
    let level = map.required("level")?.choice(AlarmLevel.self)
    let priority = map.required("priority")?.priority()
    let source = map.required("source").flatMap { RuleSource.read($0, standards: standards) }
    let response = map.required("response")?.text()
    let detector = detector(map)
    if let level, let isHigh = level.isHigh, let when = detector?.comparison?.comparison,
      when.isHigh != isHigh
    {
      map["level"]?.report(.levelSide(level, comparison: when))
    }
    let bound = map["bound"]?.comparison()
    let rule = RuleProfile(
      id: id,
      text: text ?? LocalizedText(zh: id, en: id),
      detector: detector ?? .physicalRange,
      level: level ?? .state,
      priority: priority ?? .yellow,
      onDelay: map["on-delay"]?.milliseconds() ?? 0,
      offDelay: map["off-delay"]?.milliseconds() ?? 0,
      isLatching: map["latching"]?.bool() ?? false,
      reAlarm: map["re-alarm"]?.milliseconds() ?? 0,
      suppression: map["suppress-when"]?.string(),
      escalation: escalation(map["escalate"]),
      bound: bound,
      source: source ?? RuleSource(origin: .practice, mark: .unverified),
      response: response ?? LocalizedText(zh: "", en: ""),
      only: conditions(map["only"], choices: choices),
      isOptional: map["optional"]?.bool() ?? false,
      feedback: feedback(map["feedback"]),
      fixedRestore: map["fixed-restore"]?.bool() ?? false,
      place: place
    )
    guard text != nil, level != nil, priority != nil, source != nil, response != nil,
      detector != nil
    else { return nil }
    return rule
  }

  /// Reads `escalate: {after: 30min, priority: red}`.
  private func escalation(_ value: YAMLValue?) -> RulePlan.Escalation? {
    guard let value, let map = value.map() else { return nil }
    defer { map.finish() }
    let after = map.required("after")?.milliseconds()
    let priority = map.required("priority")?.priority()
    guard let after, let priority else { return nil }
    return RulePlan.Escalation(afterMilliseconds: after, priority: priority)
  }

  /// Reads `feedback: required` or `feedback: {point: inlet-valve}`.
  private func feedback(_ value: YAMLValue?) -> FeedbackProfile? {
    guard let value else { return nil }
    if value.scalarText == "required" { return FeedbackProfile(point: nil) }
    guard let map = value.map() else { return nil }
    defer { map.finish() }
    return FeedbackProfile(point: map.required("point")?.identifier())
  }

  private func detector(_ map: YAMLMap) -> DetectorProfile? {
    let found = log.findings.count
    if let special = specialDetector(map) { return special }
    // One of these that could not be understood needs no limit beside it. A rule is never lost without a word.
    if let key = Self.specialKeys.first(where: { map[$0] != nil }) {
      if log.findings.count == found { map[key]?.report(.unusable(key)) }
      return nil
    }
    let when = map.required("when")?.comparison()
    let untilValue = map["until"]
    let until = untilValue?.comparison()
    let deadband = map["deadband"].flatMap { $0.deadband() }
    let windowValue = map["window"]
    guard let when else { return nil }
    if let until, until.comparison.isHigh == when.comparison.isHigh {
      untilValue?.report(
        .badExpression(
          text: "until",
          reason: "it must compare the other way round than \"when\"",
          reasonZh: "比较方向须与 when 相反",
          remedy: LocalizedText(
            zh: "如 when: \">= 25\"、until: \"< 24\"",
            en: "as in when: \">= 25\" with until: \"< 24\""
          )
        )
      )
      return nil
    }
    if untilValue == nil && map["deadband"] == nil {
      map.value.report(.restoreMissing)
      return nil
    }
    let limit = LimitProfile(when: when, until: until, deadband: deadband)
    if let value = windowValue {
      guard let spec = value.map().flatMap({ WindowSpecReader(map: $0).read() }) else { return nil }
      return .window(spec, limit)
    }
    return .limit(limit)
  }

  private static let specialKeys = [
    "rate", "stuck", "detect", "cascade", "expression", "interlock",
  ]

  /// The detectors that are no comparison with one figure; nil when the rule has none of them, or one that is wrong.
  private func specialDetector(_ map: YAMLMap) -> DetectorProfile? {
    if let value = map["rate"]?.map() {
      defer { value.finish() }
      let over = value.required("over")?.milliseconds()
      let limit = value.required("limit")?.quantity()
      let per = value.required("per")?.milliseconds()
      let side = value.required("side")?.choice(RateSide.self)
      guard let over, let limit, let per, per > 0, let side else { return nil }
      return .rate(over: over, limit: limit, per: per, side: side.side)
    }
    if let value = map["stuck"]?.map() {
      defer { value.finish() }
      let duration = value.required("for")?.milliseconds()
      let tolerance = value.required("tolerance")?.number()
      guard let duration, let tolerance else { return nil }
      var parameters = StuckDetector.Parameters(duration: duration, tolerance: tolerance)
      if let count = value["minimum-count"]?.integer() { parameters.minimumCount = count }
      if let gap = value["longest-gap"]?.milliseconds() { parameters.longestGap = gap }
      if let band = value["exempt"]?.numbers(count: 2...2), band[0] <= band[1] {
        parameters.exempt = band[0]...band[1]
      }
      return .stuck(parameters)
    }
    if let value = map["detect"]?.map() {
      return DetectorSpecReader(map: value).read().map(DetectorProfile.detect)
    }
    if let value = map["cascade"]?.map() {
      return CascadeSpec.read(value).map(DetectorProfile.cascade)
    }
    if let text = map["expression"]?.string() { return .expression(text) }
    if let value = map["interlock"]?.map() {
      defer { value.finish() }
      let cause = value.required("cause")?.string()
      let response = value.required("response")?.string()
      let within = value.required("within")?.milliseconds()
      let restore = value["restore-within"]?.milliseconds()
      guard let cause, let response, let within else { return nil }
      return .interlock(cause: cause, response: response, within: within, restore: restore)
    }
    return nil
  }

  private enum RateSide: String, CaseIterable {
    case rise, fall, both

    var side: DeviationSide {
      switch self {
      case .rise: .high
      case .fall: .low
      case .both: .both
      }
    }
  }
}
