internal import Telemetry

/// What HJ 212 has to remember: parts of messages that are not complete yet.
struct HJ212State: Sendable {
  /// A message of which some parts are here.
  struct Assembly: Sendable {
    var key: [UInt8]
    var device: [UInt8]
    var deadline: Timestamp
    /// Command parameters by part number less one; nil for a part awaited.
    var parts: [[UInt8]?]
    var bytes: Int

    var isComplete: Bool { parts.allSatisfy { $0 != nil } }

    var missing: String {
      let numbers = parts.indices.filter { parts[$0] == nil }.map { "\($0 + 1)" }
      let shown = numbers.prefix(16).joined(separator: ", ")
      return "parts \(shown)\(numbers.count > 16 ? ", …" : "") of \(parts.count) are missing"
    }
  }

  /// In the order in which they were opened, which is the order of their deadlines' routes.
  var assemblies: [Assembly] = []
  /// No deadline is before this time, ms.
  var dueHint = Int64.max
  /// Messages lately completed, so that a part sent again does not open a new one.
  var completed: [(key: [UInt8], until: Timestamp)] = []

  var bytes: Int { assemblies.reduce(0) { $0 + $1.bytes } }

  var nextDeadline: Timestamp? { assemblies.map(\.deadline).min() }

  /// Sets ``dueHint`` to the earliest time at which something can be given up or forgotten.
  mutating func findDue() {
    let times = assemblies.map(\.deadline.milliseconds) + completed.map(\.until.milliseconds)
    dueHint = times.min() ?? .max
  }

  /// Command parameters put together, in order.
  ///
  /// Senders either cut the text anywhere or start each part with a whole group; in the second
  /// case the semicolon between two groups has to be put back.
  static func join(_ parts: [[UInt8]]) -> [UInt8] {
    var result: [UInt8] = []
    for part in parts {
      if !result.isEmpty, startsGroup(part), endsItem(result) { result.append(0x3B) }
      result += part
    }
    return result
  }

  private static func startsGroup(_ part: [UInt8]) -> Bool {
    let key = part.prefix { $0 != 0x3D && $0 != 0x2C && $0 != 0x3B }
    guard key.count < part.count, part[key.count] == 0x3D else { return false }
    return key.elementsEqual(Array("DataTime".utf8)) || (key.first != 0x2D && key.contains(0x2D))
  }

  private static func endsItem(_ text: [UInt8]) -> Bool {
    let item = text.reversed().prefix { $0 != 0x2C && $0 != 0x3B }
    return item.contains(0x3D)
  }
}
