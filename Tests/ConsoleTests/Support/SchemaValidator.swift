import Foundation
import Testing
import Yams

/// Holds JSON against the schemas of an API description, and of the files beside it that it refers to: the parts of JSON
/// Schema that these use.
struct SchemaValidator {
  let root: [String: Any]
  /// The file itself and those that it refers to, by name; every reference in them names its file.
  private let documents: [String: [String: Any]]
  private let name: String

  init(file: URL) throws {
    var documents: [String: [String: Any]] = [:]
    var waiting = [file.lastPathComponent]
    while let name = waiting.popLast() {
      guard documents[name] == nil else { continue }
      let path = file.deletingLastPathComponent().appendingPathComponent(name)
      let text = try String(contentsOf: path, encoding: .utf8)
      var seen: Set<String> = []
      let whole = Self.complete(try #require(try Yams.load(yaml: text)), in: name, &seen)
      documents[name] = try #require(whole as? [String: Any])
      waiting += seen
    }
    self.documents = documents
    name = file.lastPathComponent
    root = documents[name] ?? [:]
  }

  /// Gives each reference the name of its file, and notes the files.
  private static func complete(_ value: Any, in file: String, _ seen: inout Set<String>) -> Any {
    if var object = value as? [String: Any] {
      for (name, member) in object {
        if name == "$ref", let reference = member as? String {
          let whole = reference.hasPrefix("#") ? file + reference : reference
          object[name] = whole
          seen.insert(String(whole.prefix { $0 != "#" }))
        } else {
          object[name] = complete(member, in: file, &seen)
        }
      }
      return object
    }
    if let list = value as? [Any] { return list.map { complete($0, in: file, &seen) } }
    return value
  }

  /// Follows references: `#/…` into the file itself, `file#/…` into another, `file` to the whole of it.
  func resolved(_ schema: [String: Any]) -> [String: Any] {
    guard let reference = schema["$ref"] as? String else { return schema }
    let parts = reference.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
    var place: Any = documents[parts[0].isEmpty ? name : String(parts[0])] ?? [String: Any]()
    for part in (parts.count > 1 ? parts[1] : "").split(separator: "/") {
      place = (place as? [String: Any])?[String(part)] ?? [String: Any]()
    }
    guard let found = place as? [String: Any], !found.isEmpty else { return ["unresolved": true] }
    return resolved(found)
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
    if schema["unresolved"] != nil { return ["\(place): reference leads nowhere"] }
    if let banned = schema["not"] as? [String: Any],
      self.faults(value, banned, at: place, isPart: true).isEmpty
    {
      faults.append("\(place): is what it must not be")
    }
    if let one = schema["oneOf"] as? [[String: Any]] {
      let fitting = one.count { self.faults(value, $0, at: place, isPart: true).isEmpty }
      if fitting != 1 { faults.append("\(place): fits \(fitting) of \(one.count) forms") }
    }
    if let any = schema["anyOf"] as? [[String: Any]],
      !any.contains(where: { self.faults(value, $0, at: place, isPart: true).isEmpty })
    {
      faults.append("\(place): fits none of \(any.count) forms")
    }
    if let condition = schema["if"] as? [String: Any], let then = schema["then"] as? [String: Any],
      self.faults(value, condition, at: place, isPart: true).isEmpty
    {
      faults += self.faults(value, then, at: place, isPart: true)
    }
    if let constant = schema["const"], "\(constant)" != "\(value)" {
      // On Linux a truth may come as the number 0 or 1.
      let isTruth = (constant as? Bool).map { $0 == (value as? NSNumber)?.boolValue } ?? false
      if !isTruth { faults.append("\(place): \(value) is not \(constant)") }
    }
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
      let count = text.unicodeScalars.count
      if count < schema["minLength"] as? Int ?? 0 || count > schema["maxLength"] as? Int ?? .max {
        faults.append("\(place): \(count) characters")
      }
      // Ours: JSON Schema counts characters, what reads a message counts bytes.
      if text.utf8.count > schema["x-max-bytes"] as? Int ?? .max {
        faults.append("\(place): \(text.utf8.count) bytes")
      }
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
        } else if let part = schema["additionalProperties"] as? [String: Any] {
          faults += self.faults(member, part, at: "\(place).\(name)")
        } else if !isPart, !known.isEmpty, !known.contains(name) {
          faults.append("\(place).\(name) is not described")
        }
      }
    }
    if let least = schema["minItems"] as? Int, let list = value as? [Any], list.count < least {
      faults.append("\(place): \(list.count) items, \(least) at least")
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
    return ["allOf", "oneOf", "anyOf"].flatMap { schema[$0] as? [[String: Any]] ?? [] }
      .reduce(own) { $0.union(described($1)) }
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
