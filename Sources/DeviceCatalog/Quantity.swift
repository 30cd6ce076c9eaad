import AlarmEngine
import Foundation

/// A figure in a profile: a number, a named value times a factor, or "the site says".
struct Quantity: Hashable, Sendable {
  enum Base: Hashable, Sendable {
    case one
    case named(String)
    case site
  }

  var factor: Double
  var base: Base

  static func literal(_ value: Double) -> Quantity { Quantity(factor: value, base: .one) }

  /// Reads `25`, `alarm`, `2 * oel`, `oel * 2` or `site`; nil when it is none of these.
  static func parse(_ text: some StringProtocol) -> Quantity? {
    let parts = text.split(separator: "*").map { $0.trimmingCharacters(in: .whitespaces) }
    func atom(_ word: String) -> Quantity? {
      if let number = Double(word) { return number.isFinite ? .literal(number) : nil }
      if word == "site" { return Quantity(factor: 1, base: .site) }
      return isIdentifier(word) ? Quantity(factor: 1, base: .named(word)) : nil
    }
    switch parts.count {
    case 1: return atom(parts[0])
    case 2:
      guard let a = atom(parts[0]), let b = atom(parts[1]) else { return nil }
      switch (a.base, b.base) {
      case (.one, .one): return .literal(a.factor * b.factor)
      case (.one, .named): return Quantity(factor: a.factor, base: b.base)
      case (.named, .one): return Quantity(factor: b.factor, base: a.base)
      default: return nil
      }
    default: return nil
    }
  }
}

/// A comparison with a figure: `>= 25`.
struct Comparison: Hashable, Sendable {
  var comparison: LimitParameters.Comparison
  var quantity: Quantity

  static func parse(_ text: String) -> Comparison? {
    let operators: [(String, LimitParameters.Comparison)] = [
      (">=", .atOrAbove), ("≥", .atOrAbove), ("<=", .atOrBelow), ("≤", .atOrBelow), (">", .above),
      ("<", .below),
    ]
    let trimmed = text.trimmingCharacters(in: .whitespaces)
    for (sign, comparison) in operators where trimmed.hasPrefix(sign) {
      guard let quantity = Quantity.parse(trimmed.dropFirst(sign.count)) else { return nil }
      return Comparison(comparison: comparison, quantity: quantity)
    }
    return nil
  }
}

extension LimitParameters.Comparison {
  /// True when large values alarm.
  var isHigh: Bool { self == .atOrAbove || self == .above }

  /// Whether a value compares so with a figure.
  func holds(_ value: Double, _ figure: Double) -> Bool {
    switch self {
    case .atOrAbove: value >= figure
    case .above: value > figure
    case .atOrBelow: value <= figure
    case .below: value < figure
    }
  }

  /// As a person writes it.
  var sign: String {
    switch self {
    case .atOrAbove: "≥"
    case .above: ">"
    case .atOrBelow: "≤"
    case .below: "<"
    }
  }
}

extension YAMLValue {
  /// Reads a comparison such as `>= 2 * oel`.
  func comparison() -> Comparison? {
    guard let text = string() else { return nil }
    guard let value = Comparison.parse(text) else {
      report(
        .badExpression(
          text: text,
          reason: "not a comparison with a figure",
          reasonZh: "不是与数值的比较"
        )
      )
      return nil
    }
    return value
  }

  /// Reads a figure such as `2 * oel`.
  func quantity() -> Quantity? {
    guard let text = scalarText, !text.isEmpty else {
      report(.wrongType(expected: "a number or a name", expectedZh: "数字或名称", found: kind))
      return nil
    }
    if [".inf", "-.inf", ".nan", "inf", "nan"].contains(text.lowercased()) {
      report(.notFinite(text: text))
      return nil
    }
    guard let value = Quantity.parse(text) else {
      report(
        .badExpression(
          text: text,
          reason: "not a figure",
          reasonZh: "不是数值",
          remedy: LocalizedText(
            zh: "写数字或数值的名称，如 25、alarm、2 * oel",
            en: "write a number or the name of a figure, such as 25, alarm or 2 * oel"
          )
        )
      )
      return nil
    }
    return value
  }

  /// Reads `0.2` (in the point's unit) or `2 %` (of its range).
  func deadband() -> Deadband? {
    if let text = scalarText, text.hasSuffix("%") {
      let digits = text.dropLast().trimmingCharacters(in: .whitespaces)
      guard let share = Double(digits), share.isFinite, share >= 0, share < 100 else {
        report(
          .badExpression(
            text: text,
            reason: "not a share of the range",
            reasonZh: "不是量程的百分比",
            remedy: LocalizedText(zh: "写成 2 %，不小于 0", en: "write it like 2 %, from 0 on")
          )
        )
        return nil
      }
      return .percentOfRange(share)
    }
    return quantity().map(Deadband.absolute)
  }
}
