/// Reads the files of `devices/` to profiles.
struct ProfileReader {
  let standards: [Standard]
  let tables: [String: [DeviceProfile.Row]]
  let tableColumns: [String: [String]]
  let log: FindingLog

  /// Reads one profile; nil when too little of it could be understood.
  func profile(_ map: YAMLMap, expectedID: String) -> DeviceProfile? {
    defer { map.finish() }
    let before = log.findings.count
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
      let found = log.findings.count
      for (key, keyPlace, value) in pointMap.identified() {
        guard let entry = value.map() else { continue }
        if let point = point(entry, id: key, place: keyPlace, choices: choiceIDs) {
          points.append(point)
        }
      }
      // Points that are there but wrong have been reported.
      if points.isEmpty, log.findings.count == found {
        pointMap.value.report(.nothing(kind: "point", kindZh: "测点"))
      }
    }
    var samples: [ProfileSample] = []
    for value in map["samples"]?.list() ?? [] {
      if let entry = value.map(), let sample = ProfileSample.read(entry) { samples.append(sample) }
    }
    let demands =
      map["demands"]?.map().map {
        self.demands(
          $0,
          choices: choices,
          parameters: parameters,
          points: points,
          faults: ProfileFaults(log.findings[before...])
        )
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
    checkNames(profile, faults: ProfileFaults(log.findings[before...]))
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
              known: tables.keys.sorted()
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
            .badExpression(
              text: text,
              reason: "not a chemical formula",
              reasonZh: "不是化学式",
              remedy: LocalizedText(zh: "写成 CH4、C2H5OH 的形式", en: "write it like CH4 or C2H5OH")
            )
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
}
