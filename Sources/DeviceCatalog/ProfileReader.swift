public import AlarmEngine
import Foundation

/// Reads the files of `devices/` to profiles.
struct ProfileReader {
  let standards: [Standard]
  let tables: [String: [DeviceProfile.Row]]
  let tableColumns: [String: [String]]
  let log: FindingLog

  /// Reads one profile; nil when too little of it could be understood.
  func profile(_ map: YAMLMap, expectedID: String) -> DeviceProfile? {
    defer { map.finish() }
    let idValue = map.required("profile")
    let id = idValue?.string()
    if let id, id != expectedID {
      idValue?.report(.profileName(expected: expectedID, found: id))
    }
    let name = map.required("name")?.text()
    let about = map.required("about")?.text()
    let choices = map["choose"]?.map().map(choices) ?? []
    let parameters = map["parameters"]?.map().map(parameters) ?? []
    let values = map["values"]?.map().map(derivedValues) ?? []
    let choiceIDs = Dictionary(
      uniqueKeysWithValues: choices.map { ($0.id, $0.rows.map(\.id)) }
    )
    var points: [PointProfile] = []
    if let pointMap = map.required("points")?.map() {
      for (key, keyPlace, value) in pointMap.identified() {
        guard let entry = value.map() else { continue }
        if let point = point(entry, id: key, place: keyPlace, choices: choiceIDs) {
          points.append(point)
        }
      }
      if points.isEmpty { pointMap.value.report(.nothing(kind: "point", kindZh: "测点")) }
    }
    var samples: [ProfileSample] = []
    for value in map["samples"]?.list() ?? [] {
      if let entry = value.map(), let sample = ProfileSample.read(entry) { samples.append(sample) }
    }
    let demands =
      map["demands"]?.map().map {
        self.demands($0, choices: choices, parameters: parameters, points: points)
      } ?? []
    guard id != nil, let name, let about else { return nil }
    let profile = DeviceProfile(
      id: expectedID,
      name: name,
      family: expectedID.split(separator: "/").first.map(String.init) ?? "",
      about: about,
      choices: choices,
      parameters: parameters,
      points: points,
      place: map.place,
      values: values,
      demands: demands,
      samples: samples
    )
    checkNames(profile)
    return profile
  }

  // MARK: choices

  private func choices(_ map: YAMLMap) -> [DeviceProfile.Choice] {
    map.identified().compactMap { key, _, value in
      guard let entry = value.map() else { return nil }
      defer { entry.finish() }
      let name = entry.required("name")?.text()
      var columns = entry["columns"]?.strings() ?? []
      var rows: [DeviceProfile.Row] = []
      if let tableValue = entry["table"], let table = tableValue.string() {
        if let found = tables[table] {
          rows = found
          columns += tableColumns[table] ?? []
        } else {
          tableValue.report(
            .unknownReference(
              kind: "table",
              kindZh: "数据表",
              name: table,
              suggestion: nearest(table, among: tables.keys.sorted())
            )
          )
        }
      }
      if let rowMap = entry["rows"]?.map() {
        rows += Self.rows(rowMap, columns: columns, standards: standards)
      }
      if rows.isEmpty { value.report(.nothing(kind: "row", kindZh: "选项行")) }
      var standard: String?
      if let value = entry["default"], let text = value.string() {
        standard = text
        if !rows.contains(where: { $0.id == text }) {
          value.report(.notOneOf(text: text, choices: rows.map(\.id)))
        }
      }
      guard let name else { return nil }
      return DeviceProfile.Choice(
        id: key,
        name: name,
        rows: rows,
        standard: standard,
        columns: columns
      )
    }
  }

  /// Reads the rows of a choice or of a shared table.
  static func rows(_ map: YAMLMap, columns: [String], standards: [Standard]) -> [DeviceProfile.Row]
  {
    map.identified().compactMap { key, keyPlace, value in
      guard let entry = value.map() else { return nil }
      let zh = entry.required("zh")?.string()
      let en = entry.required("en")?.string()
      var figures: [String: Double] = [:]
      for column in columns {
        // `none` is written out where the standard gives nothing, so that a gap is a statement.
        guard let cell = entry.required(column), cell.scalarText != "none" else { continue }
        if let number = cell.number() { figures[column] = number }
      }
      var formula: String?
      if let value = entry["formula"], let text = value.string() {
        formula = text
        if molarMass(formula: text) == nil {
          value.report(
            .badExpression(text: text, reason: "not a chemical formula", reasonZh: "不是化学式")
          )
        }
      }
      let source = entry["source"].flatMap { RuleSource.read($0, standards: standards) }
      entry.finish()
      guard let zh, let en else { return nil }
      return DeviceProfile.Row(
        id: key,
        text: LocalizedText(zh: zh, en: en),
        figures: figures,
        formula: formula,
        source: source,
        place: keyPlace
      )
    }
  }

  private func parameters(_ map: YAMLMap) -> [DeviceProfile.Parameter] {
    map.identified().compactMap { key, _, value in
      guard let entry = value.map() else { return nil }
      defer { entry.finish() }
      let text = entry.required("text")?.text()
      let unit = entry.required("unit")?.unit()
      let fallback = entry["default"]?.number()
      guard let text, let unit else { return nil }
      return DeviceProfile.Parameter(id: key, text: text, unit: unit, fallback: fallback)
    }
  }

  private func derivedValues(_ map: YAMLMap) -> [DeviceProfile.DerivedValue] {
    map.identified().compactMap { key, keyPlace, value in
      guard let entry = value.map() else { return nil }
      defer { entry.finish() }
      let by = entry["by"]?.string()
      var cases: [(name: String, quantities: [Quantity])] = []
      if by != nil {
        for (name, _, list) in entry.required("cases")?.map()?.entries() ?? [] {
          cases.append((name, list.list()?.compactMap { $0.quantity() } ?? []))
        }
      } else if let list = entry.required("first-of") {
        cases.append(("", list.list()?.compactMap { $0.quantity() } ?? []))
      }
      return DeviceProfile.DerivedValue(id: key, by: by, cases: cases, place: keyPlace)
    }
  }

  // MARK: points

  private func point(
    _ map: YAMLMap,
    id: String,
    place: Place,
    choices: [String: [String]]
  ) -> PointProfile? {
    defer { map.finish() }
    let name = map.required("name")?.text()
    let kind = map.required("kind")?.choice(PointProfile.Kind.self)
    let unit = map.required("unit")?.unit()
    var states: [(value: Double, text: LocalizedText)] = []
    for (key, keyPlace, value) in map["states"]?.map()?.entries() ?? [] {
      guard let number = Double(key), number.isFinite else {
        log.report(
          .wrongType(expected: "a number as key", expectedZh: "数字键", found: "\"\(key)\""),
          at: keyPlace
        )
        continue
      }
      // YAML compares keys as texts: 1 and 1.0 are two to it, and one state of the point.
      guard !states.contains(where: { $0.value == number }) else {
        log.report(
          .duplicateName(
            kind: "state",
            kindZh: "状态",
            name: key,
            first: "the same number before it"
          ),
          at: keyPlace
        )
        continue
      }
      if let text = value.text() { states.append((number, text)) }
    }
    var range: (low: Quantity, high: Quantity)?
    if let value = map["range"] {
      if let list = value.list(), list.count == 2 {
        if let low = list[0].quantity(), let high = list[1].quantity() { range = (low, high) }
      } else {
        value.report(
          .wrongType(expected: "[low, high]", expectedZh: "[下限, 上限]", found: value.kind)
        )
      }
    } else if let low = states.map(\.value).min(), let high = states.map(\.value).max() {
      range = (.literal(low), .literal(high))
    } else if map["computed"]?.scalarText != "true" {
      map.value.report(.missingKey(key: "range"))
    }
    let stale = map["computed"]?.scalarText == "true" ? map["stale"] : map.required("stale")
    let staleMilliseconds = stale?.scalarText == "never" ? nil : stale?.milliseconds()
    let isComputed = map["computed"]?.bool() ?? false
    let aliases = map["aliases"]?.strings() ?? []
    let isOptional = map["optional"]?.bool() ?? false
    let only = conditions(map["only"], choices: choices)
    var rules: [RuleProfile] = []
    for (key, keyPlace, value) in map["rules"]?.map()?.identified() ?? [] {
      guard let entry = value.map() else { continue }
      if ["range", "stale", "clock"].contains(key) {
        log.report(
          .duplicateName(kind: "rule", kindZh: "规则", name: key, first: "the point itself"),
          at: keyPlace
        )
      }
      if let rule = rule(entry, id: key, place: keyPlace, choices: choices) { rules.append(rule) }
    }
    guard let name, let kind, let unit else { return nil }
    rules += automaticRules(
      hasRange: range != nil && kind != .state,
      stale: staleMilliseconds,
      place: place
    )
    return PointProfile(
      id: id,
      name: name,
      kind: kind,
      unit: unit,
      aliases: aliases,
      isOptional: isOptional,
      isComputed: isComputed,
      states: states,
      rules: rules,
      place: place,
      range: range,
      staleMilliseconds: staleMilliseconds,
      only: only
    )
  }

  /// The rules that every point has by saying its range and how long it may be silent.
  private func automaticRules(hasRange: Bool, stale: Int64?, place: Place) -> [RuleProfile] {
    var rules: [RuleProfile] = []
    func add(_ id: String, _ detector: DetectorProfile, _ level: AlarmLevel, zh: String, en: String)
    {
      rules.append(
        RuleProfile(
          id: id,
          text: LocalizedText(zh: zh, en: en),
          detector: detector,
          level: level,
          priority: .yellow,
          onDelay: 0,
          offDelay: 0,
          isLatching: false,
          reAlarm: 0,
          bound: nil,
          source: RuleSource(origin: .design, mark: .verified),
          response: LocalizedText(
            zh: "检查传感器、供电与通信，恢复前派人用便携仪表监测。",
            en: "Check sensor, supply and link; measure by portable instrument until it is back."
          ),
          only: [],
          isOptional: false,
          fixedRestore: false,
          place: place
        )
      )
    }
    if hasRange {
      add("range", .physicalRange, .range, zh: "超出仪表量程，数值不可信", en: "Outside the instrument's range")
    }
    if let stale {
      add("stale", .stale(after: stale), .stale, zh: "数据中断", en: "No data")
    }
    return rules
  }

  private func conditions(_ value: YAMLValue?, choices: [String: [String]]) -> [RowCondition] {
    guard let value, let map = value.map() else { return [] }
    return map.entries().compactMap { key, keyPlace, rows in
      guard let known = choices[key] else {
        log.report(
          .unknownReference(
            kind: "choice",
            kindZh: "选择项",
            name: key,
            suggestion: nearest(key, among: choices.keys.sorted())
          ),
          at: keyPlace
        )
        return nil
      }
      let names = rows.isSequence ? rows.strings() ?? [] : rows.string().map { [$0] } ?? []
      for name in names where !known.contains(name) {
        rows.report(.notOneOf(text: name, choices: known))
      }
      return RowCondition(choice: key, rows: names)
    }
  }

  // MARK: rules

  private func rule(
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
    guard let after = map.required("after")?.milliseconds(),
      let priority = map.required("priority")?.priority()
    else { return nil }
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
    if let special = specialDetector(map) { return special }
    guard let whenValue = map.required("when") else { return nil }
    let when = whenValue.comparison()
    let untilValue = map["until"]
    let until = untilValue?.comparison()
    let deadband = map["deadband"].flatMap { $0.deadband() }
    guard let when else { return nil }
    if let until, until.comparison.isHigh == when.comparison.isHigh {
      untilValue?.report(
        .badExpression(
          text: "until",
          reason: "it must compare the other way round than \"when\"",
          reasonZh: "比较方向须与 when 相反"
        )
      )
      return nil
    }
    if untilValue == nil && map["deadband"] == nil {
      map.value.report(.restoreMissing)
      return nil
    }
    if let value = map["window"] {
      guard let spec = value.map().flatMap({ WindowSpecReader(map: $0).read() }) else { return nil }
      return .window(spec, when: when, until: until, deadband: deadband)
    }
    return .limit(when: when, until: until, deadband: deadband)
  }

  /// The detectors that are no comparison with one figure; nil when the rule has none of them.
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

  /// Reports every name in a figure that neither a column, a parameter nor a value explains.
  private func checkNames(_ profile: DeviceProfile) {
    let known =
      profile.choices.flatMap(\.columns) + profile.parameters.map(\.id) + profile.values.map(\.id)
    func check(_ quantity: Quantity, at place: Place) {
      guard case .named(let name) = quantity.base, !known.contains(name) else { return }
      log.report(
        .unknownReference(
          kind: "figure",
          kindZh: "数值名",
          name: name,
          suggestion: nearest(name, among: known)
        ),
        at: place
      )
    }
    for value in profile.values {
      for quantity in value.cases.flatMap(\.quantities) { check(quantity, at: value.place) }
    }
    for point in profile.points {
      if let range = point.range {
        check(range.low, at: point.place)
        check(range.high, at: point.place)
      }
      for rule in point.rules {
        if let name = rule.feedback?.point, !profile.points.contains(where: { $0.id == name }) {
          log.report(
            .unknownReference(
              kind: "point",
              kindZh: "测点",
              name: name,
              suggestion: nearest(name, among: profile.points.map(\.id))
            ),
            at: rule.place
          )
        }
        if let bound = rule.bound { check(bound.quantity, at: rule.place) }
        for name in figures(in: rule) where profile.rule(named: name) == nil {
          check(Quantity(factor: 1, base: .named(name)), at: rule.place)
        }
        if case .detect(let spec) = rule.detector {
          for quantity in [spec.limit, spec.restore].compactMap(\.self) {
            check(quantity, at: spec.place)
          }
        }
        let comparisons: (when: Comparison, until: Comparison?, deadband: Deadband?)
        switch rule.detector {
        case .limit(let when, let until, let deadband): comparisons = (when, until, deadband)
        case .window(let spec, let when, let until, let deadband):
          comparisons = (when, until, deadband)
          checkWindow(
            spec,
            rule,
            when: when,
            until: until,
            deadband: deadband,
            point: point,
            of: profile
          )
        case .physicalRange, .stale, .rate, .stuck, .expression, .interlock, .clockFault, .detect,
          .cascade:
          continue
        }
        let (when, until, deadband) = comparisons
        check(when.quantity, at: rule.place)
        if let until { check(until.quantity, at: rule.place) }
        if case .absolute(let quantity) = deadband { check(quantity, at: rule.place) }
      }
    }
  }
}

/// The figures that a rule's conditions have in braces.
private func figures(in rule: RuleProfile) -> [String] {
  switch rule.detector {
  case .expression(let text): ExpressionNames(text).figures
  case .interlock(let cause, let response, _, _):
    ExpressionNames(cause).figures + ExpressionNames(response).figures
  case .limit, .physicalRange, .stale, .rate, .stuck, .clockFault, .cascade, .detect, .window: []
  }
}

extension YAMLValue {
  /// Reads a unit's symbol.
  func unit() -> PointUnit? {
    guard let text = scalarText else {
      report(.wrongType(expected: "a unit", expectedZh: "单位", found: kind))
      return nil
    }
    guard let unit = PointUnit(text) else {
      let symbols = PointUnit.all.map(\.symbol)
      report(.unknownUnit(text: text, suggestion: nearest(text, among: symbols)))
      return nil
    }
    return unit
  }

  /// Reads a colour: `red`, `orange`, `yellow`, `blue`.
  func priority() -> AlarmPriority? {
    guard let text = string() else { return nil }
    guard let priority = AlarmPriority.allCases.first(where: { $0.name == text }) else {
      report(.notOneOf(text: text, choices: AlarmPriority.allCases.map(\.name)))
      return nil
    }
    return priority
  }

  /// Reads `0.2` (in the point's unit) or `2 %` (of its range).
  func deadband() -> Deadband? {
    if let text = scalarText, text.hasSuffix("%") {
      let digits = text.dropLast().trimmingCharacters(in: .whitespaces)
      guard let share = Double(digits), share.isFinite, share >= 0, share < 100 else {
        report(.badExpression(text: text, reason: "not a share of the range", reasonZh: "不是量程的百分比"))
        return nil
      }
      return .percentOfRange(share)
    }
    return quantity().map(Deadband.absolute)
  }
}

extension AlarmPriority {
  /// The colour's English name, as configuration writes it.
  public var name: String {
    switch self {
    case .blue: "blue"
    case .yellow: "yellow"
    case .orange: "orange"
    case .red: "red"
    }
  }
}
