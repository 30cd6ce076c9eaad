import Foundation
import Testing
import Yams

/// Holds JSON against the schemas of an API description: the parts of JSON Schema that these use.
struct SchemaValidator {
  let root: [String: Any]

  init(file: URL) throws {
    let text = try String(contentsOf: file, encoding: .utf8)
    root = try #require(try Yams.load(yaml: text) as? [String: Any])
  }

  /// Follows `#/…` references.
  func resolved(_ schema: [String: Any]) -> [String: Any] {
    guard let reference = schema["$ref"] as? String else { return schema }
    var place: Any = root
    for part in reference.dropFirst(2).split(separator: "/") {
      place = (place as? [String: Any])?[String(part)] ?? [String: Any]()
    }
    return resolved(place as? [String: Any] ?? ["not": true])
  }

  /// What is wrong with a value, each with its place; empty when it fits.
  ///
  /// A part of an `allOf` does not know the members of the other parts, so only the whole asks after what is not
  /// described.
  func faults(
    _ value: Any,
    _ given: [String: Any],
    at place: String = "$",
    isPart: Bool = false
  ) -> [String] {
    let schema = resolved(given)
    var faults: [String] = []
    if schema["not"] != nil { return ["\(place): reference leads nowhere"] }
    if let types = (schema["type"] as? String).map({ [$0] }) ?? schema["type"] as? [String],
      !types.contains(where: { Self.isOf($0, value) })
    {
      faults.append("\(place): \(value) is not \(types)")
    }
    if let allowed = schema["enum"] as? [String], let text = value as? String,
      !allowed.contains(text)
    {
      faults.append("\(place): \(text) is not among \(allowed)")
    }
    if let text = value as? String {
      if let pattern = schema["pattern"] as? String,
        text.range(of: pattern, options: .regularExpression) == nil
      {
        faults.append("\(place): \(text) does not match \(pattern)")
      }
    } else if Self.isOf("number", value), let number = (value as? NSNumber)?.doubleValue {
      if let least = schema["minimum"] as? Int, number < Double(least) {
        faults.append("\(place): \(number) is below \(least)")
      }
      if let most = schema["maximum"] as? Int, number > Double(most) {
        faults.append("\(place): \(number) is above \(most)")
      }
    }
    for part in schema["allOf"] as? [[String: Any]] ?? [] {
      faults += self.faults(value, part, at: place, isPart: true)
    }
    if let object = value as? [String: Any] {
      for name in schema["required"] as? [String] ?? [] where object[name] == nil {
        faults.append("\(place).\(name) is missing")
      }
      let properties = schema["properties"] as? [String: Any] ?? [:]
      let known = described(schema)
      for (name, member) in object {
        if let part = properties[name] as? [String: Any] {
          faults += self.faults(member, part, at: "\(place).\(name)")
        } else if !isPart, !known.isEmpty, !known.contains(name) {
          faults.append("\(place).\(name) is not described")
        }
      }
    }
    if let items = schema["items"] as? [String: Any], let list = value as? [Any] {
      for (index, item) in list.enumerated() {
        faults += self.faults(item, items, at: "\(place)[\(index)]")
      }
    }
    return faults
  }

  /// The members that a schema and its parts describe.
  private func described(_ given: [String: Any]) -> Set<String> {
    let schema = resolved(given)
    let own = Set((schema["properties"] as? [String: Any] ?? [:]).keys)
    return (schema["allOf"] as? [[String: Any]] ?? []).reduce(own) { $0.union(described($1)) }
  }

  private static func isOf(_ type: String, _ value: Any) -> Bool {
    // `JSONSerialization` makes numbers of truths; only these print as words.
    let isTruth = !(value is String) && ["true", "false"].contains("\(value)")
    let number = isTruth ? nil : (value as? NSNumber)?.doubleValue
    return switch type {
    case "null": value is NSNull
    case "object": value is [String: Any]
    case "array": value is [Any]
    case "string": value is String
    // On Linux a truth may come as the number 0 or 1.
    case "boolean": isTruth || number == 0 || number == 1
    case "number": number != nil
    case "integer": number.map { $0 == $0.rounded() } ?? false
    default: false
    }
  }
}
