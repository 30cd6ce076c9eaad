/// Rules for the topic names that messages are published under.
public enum TopicName {
  /// Why a text is no topic name to publish under; nil when it is one.
  public static func problem(_ topic: String) -> String? {
    if let reason = TopicFilter.textProblem(topic) { return reason }
    return topic.utf8.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
      ? "has a wildcard, which only a filter may have" : nil
  }
}

/// Rules for the topic filters that are subscribed to.
public enum TopicFilter {
  /// Why a text is no topic filter; nil when it is one.
  public static func problem(_ filter: String) -> String? {
    if let reason = textProblem(filter) { return reason }
    var levels = filter.utf8.split(
      separator: UInt8(ascii: "/"),
      omittingEmptySubsequences: false
    )
    if levels[0].elementsEqual("$share".utf8) {
      guard levels.count > 2, !levels[1].isEmpty, !levels[2].isEmpty || levels.count > 3 else {
        return "is a shared subscription without group or filter"
      }
      guard !levels[1].contains(where: isWildcard) else { return "has a wildcard in its group" }
      levels.removeFirst(2)
    }
    for (index, level) in levels.enumerated() where level.contains(where: isWildcard) {
      guard level.count == 1 else { return "has a wildcard that is not a whole level" }
      guard level.first != UInt8(ascii: "#") || index == levels.count - 1 else {
        return "has '#' before its last level"
      }
    }
    return nil
  }

  /// Whether a filter takes a topic, by the rules of MQTT: `$` topics only when asked for.
  public static func matches(_ filter: String, _ topic: String) -> Bool {
    matches(Array(filter.utf8), Array(topic.utf8))
  }

  /// Whether a filter takes a topic, given as raw bytes; the topic need not be valid UTF-8.
  public static func matches(_ filter: [UInt8], _ topic: [UInt8]) -> Bool {
    let slash = UInt8(ascii: "/")
    var filter = filter[...]
    if filter.starts(with: "$share/".utf8) {
      filter = filter.split(separator: slash, maxSplits: 2, omittingEmptySubsequences: false)[2]
    }
    if topic.first == UInt8(ascii: "$"), let first = filter.first, isWildcard(first) {
      return false
    }
    var f = filter.startIndex
    var t = topic.startIndex
    while true {
      let level = filter[f...].prefix { $0 != slash }
      if level.elementsEqual("#".utf8) { return true }
      let name = topic[t...].prefix { $0 != slash }
      guard level.elementsEqual("+".utf8) || level.elementsEqual(name) else { return false }
      switch (level.endIndex == filter.endIndex, name.endIndex == topic.endIndex) {
      case (true, true): return true
      case (true, false): return false
      case (false, true): return filter[level.endIndex...].elementsEqual("/#".utf8)
      case (false, false):
        f = level.endIndex + 1
        t = name.endIndex + 1
      }
    }
  }

  /// Whether a filter takes every topic that another one takes; both have to be valid.
  ///
  /// Of a shared subscription the filter behind its group counts.
  public static func covers(_ filter: String, _ other: String) -> Bool {
    let wide = levels(of: filter)
    let narrow = levels(of: other)
    if keepsApart(wide[0], narrow[0]) { return false }
    for index in 0...max(wide.count, narrow.count) {
      let level = index < wide.count ? wide[index] : nil
      let wanted = index < narrow.count ? narrow[index] : nil
      // It takes the level above it too.
      if level == "#" { return true }
      guard let level, let wanted else { return level == nil && wanted == nil }
      guard wanted != "#", level == "+" || level == wanted else { return false }
    }
    return false
  }

  /// Whether there is a topic that both filters take; both have to be valid.
  public static func overlap(_ filter: String, _ other: String) -> Bool {
    let one = levels(of: filter)
    let two = levels(of: other)
    if keepsApart(one[0], two[0]) || keepsApart(two[0], one[0]) { return false }
    for index in 0...max(one.count, two.count) {
      let level = index < one.count ? one[index] : nil
      let wanted = index < two.count ? two[index] : nil
      if level == "#" || wanted == "#" { return true }
      guard let level, let wanted else { return level == nil && wanted == nil }
      guard level == "+" || wanted == "+" || level == wanted else { return false }
    }
    return false
  }

  /// The levels of a filter, without the group of a shared subscription.
  private static func levels(of filter: String) -> [Substring] {
    let levels = filter.split(separator: "/", omittingEmptySubsequences: false)
    return levels.count > 2 && levels[0] == "$share" ? Array(levels.dropFirst(2)) : levels
  }

  /// Whether a wildcard as first level meets the name of a `$` topic, which it does not take.
  private static func keepsApart(_ level: Substring, _ name: Substring) -> Bool {
    (level == "+" || level == "#") && name.utf8.first == UInt8(ascii: "$")
  }

  /// Why a text is no MQTT string to be used as topic; nil when it is one.
  static func textProblem(_ text: String) -> String? {
    if text.isEmpty { return "is empty" }
    if text.utf8.count > 65_535 { return "is longer than 65535 bytes" }
    return text.unicodeScalars.contains { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }
      ? "has a control character" : nil
  }

  private static func isWildcard(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "+") || byte == UInt8(ascii: "#")
  }
}
