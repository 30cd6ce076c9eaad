/// Where a profile has errors: what follows from them in the files of sites, and further down in its own, is no mistake
/// of those places.
struct ProfileFaults: Sendable {
  private var keys: [String]
  /// The profile's file; nil where it has no errors.
  private(set) var file: String?

  /// Takes the places of the errors among some findings about the profile.
  init(_ findings: some Sequence<Finding>) {
    let errors = findings.filter { $0.severity == .error }
    keys = errors.map(\.place.key)
    file = errors.first?.place.file
  }

  var isEmpty: Bool { keys.isEmpty }

  /// Choices, parameters, values or the whole file are not as they were meant.
  ///
  /// What a device says of them cannot be judged.
  var isGeneral: Bool {
    keys.contains { key in
      !["points.", "samples.", "demands."].contains { key.hasPrefix($0) }
    }
  }

  /// The point itself, beside its rules, could not be read as it was meant.
  func covers(point: String) -> Bool {
    let own = "points.\(point)"
    return keys.contains { key in
      key == own || key.hasPrefix(own + ".") && !key.hasPrefix(own + ".rules.")
    }
  }

  /// As ``covers(point:)``, for a point by the word that conditions have for it.
  func covers(word: String) -> Bool {
    keys.contains { key in
      guard key.hasPrefix("points.") else { return false }
      let point = String(key.dropFirst("points.".count).prefix { $0 != "." })
      return ExpressionNames.word(for: point) == word && covers(point: point)
    }
  }

  /// The rule, named `point.rule`, or its point could not be read as it was meant.
  func covers(rule name: String) -> Bool {
    guard let dot = name.firstIndex(of: ".") else { return false }
    let point = String(name[..<dot])
    let own = "points.\(point).rules.\(name[name.index(after: dot)...])"
    return covers(point: point) || keys.contains { $0 == own || $0.hasPrefix(own + ".") }
  }
}
