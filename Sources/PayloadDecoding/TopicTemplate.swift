/// Why a topic template is refused.
public enum TopicTemplateError: Error, Hashable, Sendable {
  /// The template is empty.
  case empty
  /// A level mixes text with a wildcard or a brace.
  case badLevel(String)
  /// A capture occurs twice.
  case repeatedCapture(String)
  /// `#` stands before the last level.
  case wildcardNotLast
}

/// A pattern for topic names: levels that are text, `+`, `{name}` (a capture) or a final `#`.
///
/// The captures `{enterprise}`, `{gateway}`, `{device}` and `{point}` mean what they say; others
/// can be used by a mapping.
public struct TopicTemplate: Hashable, Sendable {
  enum Level: Hashable, Sendable {
    case literal([UInt8])
    case single
    case capture(String)
    case rest
  }
  /// The text it was made from.
  public let text: String
  let levels: [Level]

  /// Reads a template.
  public init(_ text: String) throws(TopicTemplateError) {
    guard !text.isEmpty else { throw .empty }
    self.text = text
    var levels: [Level] = []
    var names: [String] = []
    for level in text.split(separator: "/", omittingEmptySubsequences: false) {
      if levels.last == .rest { throw .wildcardNotLast }
      switch level {
      case "+":
        levels.append(.single)
      case "#":
        levels.append(.rest)
      case _ where level.first == "{" && level.last == "}" && level.count > 2:
        let name = String(level.dropFirst().dropLast())
        guard !name.contains(where: { "{}+#".contains($0) }) else { throw .badLevel(String(level)) }
        guard !names.contains(name) else { throw .repeatedCapture(name) }
        names.append(name)
        levels.append(.capture(name))
      default:
        guard !level.contains(where: { "{}+#".contains($0) }) else {
          throw .badLevel(String(level))
        }
        levels.append(.literal(Array(level.utf8)))
      }
    }
    self.levels = levels
  }

  /// The MQTT topic filter that subscribes to every topic the template takes.
  public var filter: String {
    levels.map { level in
      switch level {
      case .literal(let bytes): String(decoding: bytes, as: UTF8.self)
      case .single, .capture: "+"
      case .rest: "#"
      }
    }.joined(separator: "/")
  }

  /// Whether every topic that another template takes is taken by this one, but for levels without text.
  public func takesAll(of other: TopicTemplate) -> Bool {
    // No wildcard stands for a first level that begins with `$`.
    if case .literal(let first) = other.levels[0], first.first == UInt8(ascii: "$"),
      levels[0] != other.levels[0]
    {
      return false
    }
    for (index, level) in levels.enumerated() {
      if level == .rest { return index <= other.levels.count }
      guard index < other.levels.count, other.levels[index] != .rest else { return false }
      switch (level, other.levels[index]) {
      case (.literal, let theirs): guard level == theirs else { return false }
      // A capture takes no level without text.
      case (.capture, .literal(let text)): guard !text.isEmpty else { return false }
      case (.capture, _), (.single, _), (.rest, _): break
      }
    }
    return levels.count == other.levels.count
  }

  /// The names of its captures, in order.
  public var captures: [String] {
    levels.compactMap { level in
      if case .capture(let name) = level { name } else { nil }
    }
  }

  /// What the captures stand for in `topic`, in the order of ``captures``; nil if it does not match.
  ///
  /// As in MQTT, a topic that starts with `$` matches no wildcard in the first level, and a final
  /// `#` also takes the parent level.
  public func match(_ topic: [UInt8]) -> [[UInt8]]? {
    let parts = topic.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    if topic.first == UInt8(ascii: "$") {
      guard case .literal = levels[0] else { return nil }
    }
    var found: [[UInt8]] = []
    for (index, level) in levels.enumerated() {
      if level == .rest { return found }
      guard index < parts.count else { return nil }
      switch level {
      case .literal(let bytes):
        guard parts[index].elementsEqual(bytes) else { return nil }
      case .capture:
        guard !parts[index].isEmpty else { return nil }
        found.append(Array(parts[index]))
      case .single, .rest:
        break
      }
    }
    return parts.count == levels.count ? found : nil
  }
}
