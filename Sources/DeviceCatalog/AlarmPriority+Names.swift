public import AlarmEngine

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

extension YAMLValue {
  /// Reads a colour: `red`, `orange`, `yellow`, `blue`.
  func priority() -> AlarmPriority? {
    guard let text = string() else { return nil }
    guard let priority = AlarmPriority.allCases.first(where: { $0.name == text }) else {
      report(.notOneOf(text: text, choices: AlarmPriority.allCases.map(\.name)))
      return nil
    }
    return priority
  }
}
