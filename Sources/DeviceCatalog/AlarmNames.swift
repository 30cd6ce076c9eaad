/// The places and rules whose alarms a station can raise, against which the conditions of response files are held.
///
/// A condition that fits no alarm is allowed, and calls nobody for ever.
struct AlarmNames {
  /// Every path from an enterprise down to a point.
  private let paths: Set<String>
  /// Ids of rules, of any profile and of the welding desk.
  private let rules: Set<String>

  /// Names of which nothing is known, so that nothing is missed among them.
  static let unknown = AlarmNames(paths: [], rules: [])

  private init(paths: Set<String>, rules: Set<String>) {
    self.paths = paths
    self.rules = rules
  }

  /// Collects the names of what has been compiled.
  init(enterprises: [Enterprise], channels: [ChannelDescription], profiles: [DeviceProfile]) {
    var paths: Set<String> = []
    for enterprise in enterprises {
      paths.insert(enterprise.id)
      for site in enterprise.sites {
        paths.insert(site.path)
        paths.formUnion(site.areas.map(\.path))
      }
    }
    for channel in channels {
      // Areas are there already; below them come device and point.
      paths.insert(channel.path)
      if let slash = channel.path.lastIndex(of: "/") {
        paths.insert(String(channel.path[..<slash]))
      }
    }
    self.paths = paths
    rules = Set(profiles.flatMap { $0.points.flatMap { $0.rules.map(\.id) } })
      .union(WeldingRule.allCases.map(\.rawValue))
      .union(RuleProfile.automaticNames)
  }

  /// Warns of a path at which, and below which, nothing raises an alarm.
  func check(path: String, at value: YAMLValue) {
    // Permits and welders have alarms of their own, at `enterprise/welding/…`.
    let isWelding = path.split(separator: "/").dropFirst().first == "welding"
    guard !paths.isEmpty, !paths.contains(path), !isWelding else { return }
    value.report(.fitsNothing(path, nearest: meant(by: path)), as: .warning)
  }

  /// The path as far as it is there, with what was probably meant by the first part that is not.
  ///
  /// Only what lies beside that part is compared: there are as many paths as points.
  private func meant(by path: String) -> String? {
    var above = ""
    for part in path.split(separator: "/") {
      let next = above + String(part)
      if paths.contains(next) {
        above = next + "/"
        continue
      }
      let beside = paths.filter { $0.hasPrefix(above) }.map { $0.dropFirst(above.count) }
        .filter { !$0.contains("/") }
      return nearest(String(part), among: beside.map(String.init).sorted()).map { above + $0 }
    }
    return nil
  }

  /// Warns of a rule that no point has.
  func check(rule: String, at value: YAMLValue) {
    guard !paths.isEmpty, !rules.contains(rule) else { return }
    value.report(.fitsNothing(rule, nearest: nearest(rule, among: rules.sorted())), as: .warning)
  }
}

extension Problem {
  /// A condition whose highest priority is below its lowest.
  static var prioritiesReversed: Problem {
    .other(
      code: "fits-nothing",
      zh: "up-to 低于 priority：没有任何报警符合此条件",
      en: "\"up-to\" is below \"priority\": no alarm meets the condition",
      remedyZh: "priority 写最低级别，up-to 写最高级别",
      remedyEn: "write the lowest priority as \"priority\" and the highest as \"up-to\""
    )
  }

  /// A part of a condition that no alarm meets.
  fileprivate static func fitsNothing(_ text: String, nearest: String?) -> Problem {
    .other(
      code: "fits-nothing",
      zh: "没有任何报警符合“\(text)”：此条件永远不会成立",
      en: "no alarm is of \"\(text)\": the condition never holds",
      remedyZh: nearest.map { "是否想写“\($0)”？" } ?? "按站点文件与型谱更正名称",
      remedyEn: nearest.map { "did you mean \"\($0)\"?" }
        ?? "correct the name by the site files and profiles"
    )
  }
}
