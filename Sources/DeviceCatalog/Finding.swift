/// A text in the two languages that Davy speaks to people.
public struct LocalizedText: Codable, Hashable, Sendable {
  /// Chinese.
  public var zh: String
  /// English.
  public var en: String

  /// Makes a text.
  public init(zh: String, en: String) {
    self.zh = zh
    self.en = en
  }
}

/// Where in the configuration something stands.
public struct Place: Codable, Hashable, Sendable {
  /// Path of the file, as it was handed to the loader.
  public var file: String
  /// Line, from 1; 0 when the whole file is meant.
  public var line: Int
  /// Column, from 1; 0 when the whole file is meant.
  public var column: Int
  /// The way through the file's keys, joined by dots.
  public var key: String

  /// Makes a place.
  public init(file: String, line: Int, column: Int, key: String) {
    self.file = file
    self.line = line
    self.column = column
    self.key = key
  }
}

/// Something that the loader or the linter has to say about the configuration.
///
/// Errors keep a catalog from being made; warnings and notes do not. All findings of all files are
/// reported at once.
public struct Finding: Codable, Hashable, Sendable {
  /// How bad it is.
  public enum Severity: String, Codable, CaseIterable, Comparable, Sendable {
    /// Worth knowing.
    case info
    /// Should be put right, or approved by somebody.
    case warning
    /// Refused.
    case error

    /// Orders by gravity.
    public static func < (lhs: Severity, rhs: Severity) -> Bool {
      func rank(_ severity: Severity) -> Int {
        switch severity {
        case .info: 0
        case .warning: 1
        case .error: 2
        }
      }
      return rank(lhs) < rank(rhs)
    }
  }

  /// How bad it is.
  public var severity: Severity
  /// A stable short name of the kind of finding, such as `unknown-key`.
  public var code: String
  /// Where.
  public var place: Place
  /// What is the matter.
  public var message: LocalizedText
  /// What to do about it.
  public var remedy: LocalizedText
  /// The standard's clause that it offends, where one is concerned.
  public var clause: String?

  /// Makes a finding.
  public init(
    severity: Severity,
    code: String,
    place: Place,
    message: LocalizedText,
    remedy: LocalizedText,
    clause: String? = nil
  ) {
    self.severity = severity
    self.code = code
    self.place = place
    self.message = message
    self.remedy = remedy
    self.clause = clause
  }
}

extension Finding: CustomStringConvertible {
  /// One finding as a compiler would print it: place, severity, English, Chinese, remedy.
  public var description: String {
    let position = place.line > 0 ? "\(place.file):\(place.line):\(place.column)" : place.file
    let key = place.key.isEmpty ? "" : " [\(place.key)]"
    let law = clause.map { " (\($0))" } ?? ""
    return """
      \(position): \(severity.rawValue): \(message.en)\(law)\(key)
        \(message.zh)
        remedy: \(remedy.en) / \(remedy.zh)
      """
  }
}

/// Collects findings while the files are read.
final class FindingLog {
  private(set) var findings: [Finding] = []

  /// The files are those of a catalog that was in force once: what later versions refuse is said, and refused no more.
  let isRecorded: Bool

  init(isRecorded: Bool = false) {
    self.isRecorded = isRecorded
  }

  var hasErrors: Bool { findings.contains { $0.severity == .error } }

  func report(
    _ problem: Problem,
    at place: Place,
    as severity: Finding.Severity = .error,
    clause: String? = nil
  ) {
    findings.append(
      Finding(
        severity: isRecorded && problem.wasLetPass ? .warning : severity,
        code: problem.code,
        place: place,
        message: problem.message,
        remedy: problem.remedy,
        clause: clause
      )
    )
  }

  func append(contentsOf more: [Finding]) {
    findings.append(contentsOf: more)
  }
}
