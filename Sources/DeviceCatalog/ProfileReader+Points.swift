/// The points of a profile.
extension ProfileReader {
  /// Reads one point; nil when too little of it could be understood.
  func point(
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
      if RuleProfile.automaticNames.contains(key) {
        log.report(
          .duplicateName(kind: "rule", kindZh: "规则", name: key, first: "the point itself"),
          at: keyPlace
        )
      }
      if let rule = rule(entry, id: key, place: keyPlace, choices: choices) { rules.append(rule) }
    }
    guard let name, let kind, let unit else { return nil }
    if range != nil, kind != .state { rules.append(.range(at: place)) }
    if let staleMilliseconds { rules.append(.stale(after: staleMilliseconds, at: place)) }
    if !isComputed { rules.append(.reported(at: place)) }
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

  /// Reads `only`: rows of choices that something holds for.
  func conditions(_ value: YAMLValue?, choices: [String: [String]]) -> [RowCondition] {
    guard let value, let map = value.map() else { return [] }
    return map.entries().compactMap { key, keyPlace, rows in
      guard let known = choices[key] else {
        log.report(
          .unknownReference(
            kind: "choice",
            kindZh: "选择项",
            name: key,
            known: choices.keys.sorted()
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
}
