import Foundation
import Yams

/// A value of a YAML file with its place, on its way to a checked type.
///
/// Every accessor that cannot give what it is asked for reports why and answers nil, so that one
/// pass over a file finds all its errors.
struct YAMLValue {
  let node: Node
  let place: Place
  let log: FindingLog

  /// The place of a part of this value.
  func child(_ key: String, _ node: Node) -> YAMLValue {
    let path = place.key.isEmpty ? key : "\(place.key).\(key)"
    let mark = node.mark
    return YAMLValue(
      node: node,
      place: Place(
        file: place.file,
        line: mark?.line ?? place.line,
        column: mark?.column ?? place.column,
        key: path
      ),
      log: log
    )
  }

  func report(
    _ problem: Problem,
    as severity: Finding.Severity = .error,
    clause: String? = nil
  ) {
    log.report(problem, at: place, as: severity, clause: clause)
  }

  /// The text of a scalar, whatever it is meant as; nil for structures.
  var scalarText: String? { node.scalar?.string }

  var isMapping: Bool { node.mapping != nil }
  var isSequence: Bool { node.sequence != nil }

  /// What the value is, in words, for messages.
  var kind: String {
    switch node {
    case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : "\"\(scalar.string)\""
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .alias: "an alias"
    }
  }

  private func wrongType(_ expected: String, _ expectedZh: String) {
    report(.wrongType(expected: expected, expectedZh: expectedZh, found: kind))
  }

  func map() -> YAMLMap? {
    guard let mapping = node.mapping else {
      wrongType("a mapping (key: value)", "映射（键: 值）")
      return nil
    }
    return YAMLMap(value: self, mapping: mapping)
  }

  func list() -> [YAMLValue]? {
    guard let sequence = node.sequence else {
      wrongType("a list", "列表")
      return nil
    }
    return sequence.enumerated().map { child("\($0.offset)", $0.element) }
  }

  func string() -> String? {
    guard let scalar = node.scalar, !scalar.string.isEmpty else {
      wrongType("a text", "文本")
      return nil
    }
    return scalar.string
  }

  func number() -> Double? {
    guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any else {
      wrongType("a number", "数字")
      return nil
    }
    let text = scalar.string.lowercased()
    if [".inf", "+.inf", "-.inf", ".nan", "inf", "nan", "-inf"].contains(text) {
      report(.notFinite(text: scalar.string))
      return nil
    }
    guard let value = Double(scalar.string), !text.hasPrefix("0x") else {
      wrongType("a number", "数字")
      return nil
    }
    guard value.isFinite else {
      report(.notFinite(text: scalar.string))
      return nil
    }
    return value
  }

  /// A number to multiply by: not 0, nor so near to it that nothing is left of a value.
  func factor() -> Double? {
    guard let value = number() else { return nil }
    if !value.isNormal { report(.scaleZero(scalarText ?? "0")) }
    return value
  }

  func integer() -> Int? {
    guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any,
      let value = Int(scalar.string)
    else {
      wrongType("a whole number", "整数")
      return nil
    }
    return value
  }

  func bool() -> Bool? {
    switch node.scalar?.string {
    case "true": return true
    case "false": return false
    default:
      wrongType("true or false", "true 或 false")
      return nil
    }
  }

  /// A length of time with its unit, in milliseconds: `200ms`, `30s`, `5min`, `8h`, `15d`.
  func milliseconds() -> Int64? {
    guard let text = node.scalar?.string, let value = parseMilliseconds(text) else {
      wrongType("a length of time with its unit (200ms, 30s, 5min, 8h, 15d)", "带单位的时长")
      return nil
    }
    return value
  }

  func date() -> CalendarDate? {
    guard let text = node.scalar?.string, let value = CalendarDate(text) else {
      report(.badDate(text: kind))
      return nil
    }
    return value
  }

  /// A text in both languages: `{zh: 液位, en: Level}`.
  func text() -> LocalizedText? {
    guard let map = map() else { return nil }
    let zh = map.required("zh")?.string()
    let en = map.required("en")?.string()
    map.finish()
    guard let zh, let en else { return nil }
    return LocalizedText(zh: zh, en: en)
  }

  /// One of the cases of an enumeration, by its raw value.
  func choice<T: RawRepresentable & CaseIterable>(_ type: T.Type) -> T?
  where T.RawValue == String {
    guard let text = string() else { return nil }
    guard let value = T(rawValue: text) else {
      report(.notOneOf(text: text, choices: T.allCases.map(\.rawValue)))
      return nil
    }
    return value
  }

  /// A name that may stand in a topic, a path and a rule's full name.
  func identifier() -> String? {
    guard let text = string() else { return nil }
    guard isIdentifier(text) else {
      report(.badIdentifier(text: text))
      return nil
    }
    return text
  }

  func strings() -> [String]? {
    guard let items = list() else { return nil }
    return items.compactMap { $0.string() }
  }

  func numbers(count: ClosedRange<Int>) -> [Double]? {
    guard let items = list() else { return nil }
    guard count.contains(items.count) else {
      wrongType("a list of \(count.lowerBound) to \(count.upperBound) numbers", "数字列表")
      return nil
    }
    let values = items.compactMap { $0.number() }
    return values.count == items.count ? values : nil
  }
}

/// A mapping of a YAML file that remembers which keys were asked for, so that the others are unknown.
final class YAMLMap {
  let value: YAMLValue
  private let mapping: Node.Mapping
  private var asked: [String] = []
  private var isOpen = false

  init(value: YAMLValue, mapping: Node.Mapping) {
    self.value = value
    self.mapping = mapping
  }

  var place: Place { value.place }

  subscript(key: String) -> YAMLValue? {
    asked.append(key)
    for (candidate, node) in mapping where candidate.scalar?.string == key {
      return value.child(key, node)
    }
    return nil
  }

  func required(_ key: String) -> YAMLValue? {
    if let found = self[key] { return found }
    value.report(.missingKey(key: key))
    return nil
  }

  /// The place of a key itself, for findings about its presence.
  func place(of key: String) -> Place {
    for (candidate, _) in mapping where candidate.scalar?.string == key {
      return value.child(key, candidate).place
    }
    return place
  }

  /// All entries of a mapping whose keys are names that the file chooses.
  func entries() -> [(key: String, keyPlace: Place, value: YAMLValue)] {
    mapping.compactMap { key, node in
      guard let name = key.scalar?.string else {
        value.child("?", key).report(
          .wrongType(expected: "a text as key", expectedZh: "文本键", found: "a structure")
        )
        return nil
      }
      return (name, value.child(name, key).place, value.child(name, node))
    }
  }

  /// Entries whose keys must be identifiers.
  func identified() -> [(key: String, keyPlace: Place, value: YAMLValue)] {
    entries().filter { entry in
      if isIdentifier(entry.key) { return true }
      value.log.report(.badIdentifier(text: entry.key), at: entry.keyPlace)
      return false
    }
  }

  /// Says that which keys may stand here hangs on one that could not be read, so that none of them is unknown.
  func leaveOpen() { isOpen = true }

  /// Reports every key that nobody asked for, with the nearest one that somebody did.
  func finish() {
    if isOpen { return }
    for (key, keyPlace, _) in entries() where !asked.contains(key) {
      value.log.report(
        .unknownKey(key: key, known: asked),
        at: keyPlace
      )
    }
  }
}

/// Reads a YAML text to its root mapping; a syntax error becomes one finding.
func parseYAML(_ text: String, file: String, log: FindingLog) -> YAMLMap? {
  let whole = Place(file: file, line: 0, column: 0, key: "")
  guard text.utf8.count <= maximumFileBytes else {
    log.report(.tooLarge(bytes: text.utf8.count, limit: maximumFileBytes), at: whole)
    return nil
  }
  do {
    // Without tag rules: what a scalar is meant as is asked where it is used, and the library's rules are regular
    // expressions over every key and value.
    guard let node = try compose(yaml: text, .basic) else {
      log.report(.emptyFile, at: whole)
      return nil
    }
    return YAMLValue(
      node: node,
      place: Place(file: file, line: 1, column: 1, key: ""),
      log: log
    ).map()
  } catch YamlError.scanner(_, let problem, let mark, _),
    YamlError.parser(_, let problem, let mark, _), YamlError.composer(_, let problem, let mark, _)
  {
    log.report(
      .syntax(problem: problem),
      at: Place(file: file, line: mark.line, column: mark.column, key: "")
    )
  } catch YamlError.duplicatedKeysInMapping(let duplicates, let context) {
    let (line, column) = (context.mark.line, context.mark.column)
    let second = duplicates.first.flatMap {
      secondLine(of: $0, in: text, line: line, column: column)
    }
    log.report(
      .duplicateKey(keys: duplicates),
      at: Place(file: file, line: second ?? line, column: column, key: "")
    )
  } catch {
    log.report(.syntax(problem: "\(error)"), at: whole)
  }
  return nil
}

/// The line on which a mapping says a key again that it says first at a place; nil where it is not written line by line.
private func secondLine(of key: String, in text: String, line: Int, column: Int) -> Int? {
  let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
  let indent = String(repeating: " ", count: max(0, column - 1))
  guard lines.indices.contains(line - 1), lines[line - 1].hasPrefix(indent) else { return nil }
  let found = lines.indices.dropFirst(line - 1).filter { lines[$0].hasPrefix(indent + key + ":") }
  return found.count > 1 ? found[1] + 1 : nil
}

/// A configuration file larger than this is refused.
private let maximumFileBytes = 32 << 20

/// Letters, digits and `-_.:`; not the characters that have a meaning in topics and full names.
func isIdentifier(_ text: String) -> Bool {
  guard !text.isEmpty, text.utf8.count <= 128, text != ".", text != ".." else { return false }
  return text.unicodeScalars.allSatisfy {
    $0.properties.isAlphabetic || $0.properties.numericType != nil
      || $0 == "-" || $0 == "_" || $0 == "." || $0 == ":"
  }
}

/// Parses `200ms`, `30s`, `5min`, `8h`, `15d`; nil when it is none of these or does not fit.
func parseMilliseconds(_ text: String) -> Int64? {
  let units: [(String, Double)] = [
    ("ms", 1), ("min", 60_000), ("s", 1000), ("h", 3_600_000), ("d", 86_400_000),
  ]
  if text == "0" { return 0 }
  for (suffix, factor) in units where text.hasSuffix(suffix) {
    let digits = text.dropLast(suffix.count).trimmingCharacters(in: .whitespaces)
    guard let value = Double(digits), value.isFinite, value >= 0, value * factor < 1e15 else {
      return nil
    }
    return Int64((value * factor).rounded())
  }
  return nil
}

/// The candidate that the fewest edits turn `word` into, if that is few enough to be a slip.
func nearest(_ word: String, among candidates: [String]) -> String? {
  var best: (distance: Int, word: String)?
  for candidate in candidates {
    let distance = editDistance(Array(word), Array(candidate))
    if distance <= max(1, max(word.count, candidate.count) / 3), distance < best?.distance ?? .max {
      best = (distance, candidate)
    }
  }
  return best?.word
}

/// Levenshtein distance with adjacent transpositions counted as one edit.
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  var rows = [[Int]](repeating: Array(0...b.count), count: a.count + 1)
  for i in 0...a.count { rows[i][0] = i }
  guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
  for i in 1...a.count {
    for j in 1...b.count {
      let change = a[i - 1] == b[j - 1] ? 0 : 1
      var cost = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + change)
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
        cost = min(cost, rows[i - 2][j - 2] + 1)
      }
      rows[i][j] = cost
    }
  }
  return rows[a.count][b.count]
}
