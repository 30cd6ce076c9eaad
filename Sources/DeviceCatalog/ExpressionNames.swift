/// The names in a condition over points of a device, before it is compiled.
///
/// A point goes by its id in quotation marks, or with `_` for `-`, because a condition reads `-` as minus. A figure
/// stands in braces: a column, parameter or value of the profile, or `point.rule` for that rule's set-point.
struct ExpressionNames {
  /// Words that may be points, as written.
  private(set) var points: Set<String> = []
  /// What stands in braces, in order.
  private(set) var figures: [String] = []

  init(_ text: String) {
    var word = ""
    var figure: String?
    var isQuoted = false
    for character in text + " " {
      if character == "\"" {
        isQuoted.toggle()
        if !isQuoted {
          points.insert(Self.word(for: word))
          word = ""
        }
      } else if isQuoted {
        word.append(character)
      } else if let open = figure {
        if character == "}" {
          figures.append(open)
          figure = nil
        } else {
          figure = open + String(character)
        }
      } else if character == "{" {
        figure = ""
      } else if character.isLetter || character.isNumber || character == "_" || character == "." {
        word.append(character)
      } else if !word.isEmpty {
        points.insert(word)
        word = ""
      }
    }
  }

  /// How a condition writes the point with this id.
  static func word(for id: String) -> String { id.replacing("-", with: "_") }
}

extension DeviceProfile {
  /// The rule named `point.rule`.
  func rule(named name: String) -> RuleProfile? {
    guard let dot = name.firstIndex(of: ".") else { return nil }
    let rule = name[name.index(after: dot)...]
    return points.first { $0.id == name[..<dot] }?.rules.first { $0.id == rule }
  }
}
