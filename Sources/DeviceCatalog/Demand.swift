import AlarmEngine

/// What a standard asks a device to have, depending on its size and contents: points and alarms, not limits.
///
/// `demands` of a profile:
///
/// ```yaml
/// demands:
///   high-high:
///     text: {zh: …, en: …}
///     any:
///       - {capacity: ">= 10000", turnover: "> 6"}
///       - {toxicity: [class-1]}
///     needs: [level-hh, level.H]
///     source: {…}
/// ```
struct Demand: Sendable {
  /// A figure of the device compared, or a row chosen.
  enum Condition: Sendable {
    case figure(String, Comparison)
    case row(RowCondition)
  }

  var id: String
  /// What is asked for.
  var text: LocalizedText
  /// It holds when all conditions of one of these hold.
  var cases: [[Condition]]
  /// Points, and rules as `point.rule`.
  var needs: [String]
  var source: RuleSource
}

/// A demand that a device does not meet, or of which it is not known whether it applies.
struct DemandFinding: Sendable {
  var device: String
  var demand: Demand
  /// What is missing of it; empty when only figures are.
  var missing: [String]
  /// Figures that the site has not stated and on which it depends.
  var unstated: [String]
  var place: Place
}

extension DeviceResolver {
  /// The demands that are not met by the points, and rules as `point.rule`, that the device has.
  func unmetDemands(device: String, present: Set<String>) -> [DemandFinding] {
    profile.demands.compactMap { demand in
      let missing = demand.needs.filter { !present.contains($0) }
      guard !missing.isEmpty else { return nil }
      var finding = DemandFinding(
        device: device,
        demand: demand,
        missing: missing,
        unstated: [],
        place: spec.place
      )
      if demand.cases.contains(where: { $0.allSatisfy(holds) }) { return finding }
      let asked = demand.cases.joined().compactMap { condition -> String? in
        if case .figure(let name, _) = condition { name } else { nil }
      }
      finding.missing = []
      finding.unstated = Set(asked).filter { spec.parameters[$0] == nil }.sorted()
      return finding.unstated.isEmpty ? nil : finding
    }
  }

  private func holds(_ condition: Demand.Condition) -> Bool {
    switch condition {
    case .row(let row): return holds([row])
    case .figure(let name, let wanted):
      guard let value = figures[name], let limit = figure(wanted.quantity) else { return false }
      return wanted.comparison.holds(value, limit)
    }
  }
}

extension ProfileReader {
  /// Reads `demands`; names are held against what the profile has, but for what of it could not be read.
  func demands(
    _ map: YAMLMap,
    choices: [DeviceProfile.Choice],
    parameters: [DeviceProfile.Parameter],
    points: [PointProfile],
    faults: ProfileFaults
  ) -> [Demand] {
    let pointNames = points.map(\.id)
    let ruleNames = points.flatMap { point in point.rules.map { "\(point.id).\($0.id)" } }
    return map.identified().compactMap { key, _, value in
      guard let entry = value.map() else { return nil }
      defer { entry.finish() }
      let text = entry.required("text")?.text()
      var cases: [[Demand.Condition]] = []
      for item in entry.required("any")?.list() ?? [] {
        guard let map = item.map() else { continue }
        cases.append(
          map.entries().compactMap { condition($0.key, $0.keyPlace, $0.value, choices, parameters) }
        )
      }
      var needs: [String] = []
      for item in entry.required("needs")?.list() ?? [] {
        guard let name = item.string() else { continue }
        if pointNames.contains(name) || ruleNames.contains(name) {
          needs.append(name)
        } else if !faults.covers(point: name), !faults.covers(rule: name) {
          item.report(
            .unknownReference(
              kind: "point or rule",
              kindZh: "测点或规则",
              name: name,
              known: pointNames + ruleNames
            )
          )
        }
      }
      let source = entry.required("source").flatMap { RuleSource.read($0, standards: standards) }
      guard let text, let source else { return nil }
      return Demand(id: key, text: text, cases: cases, needs: needs, source: source)
    }
  }

  private func condition(
    _ name: String,
    _ place: Place,
    _ value: YAMLValue,
    _ choices: [DeviceProfile.Choice],
    _ parameters: [DeviceProfile.Parameter]
  ) -> Demand.Condition? {
    if let choice = choices.first(where: { $0.id == name }) {
      let rows = (value.list() ?? []).compactMap { item -> String? in
        guard let row = item.string() else { return nil }
        if choice.rows.contains(where: { $0.id == row }) { return row }
        item.report(.notOneOf(text: row, choices: choice.rows.map(\.id)))
        return nil
      }
      return .row(RowCondition(choice: name, rows: rows))
    }
    if parameters.contains(where: { $0.id == name }) {
      return value.comparison().map { .figure(name, $0) }
    }
    log.report(
      .unknownReference(
        kind: "figure",
        kindZh: "数值名",
        name: name,
        known: parameters.map(\.id) + choices.map(\.id)
      ),
      at: place
    )
    return nil
  }
}
