import DeviceCatalog

/// What `davy doctor` looks at and what it finds.
struct DoctorReport {
  /// How much it matters.
  enum Grade: String, Codable {
    /// As it should be.
    case well
    /// Works, but not for long or not as well as it should.
    case warning
    /// A station does not start, or loses something, with this.
    case fault
  }

  /// One thing looked at.
  struct Finding: Codable {
    var subject: String
    var grade: Grade
    var found: LocalizedText
    /// What to do; nil where nothing has to be done.
    var remedy: LocalizedText?
  }

  private(set) var findings: [Finding] = []

  var isWell: Bool { !findings.contains { $0.grade == .fault } }

  mutating func well(_ subject: String, zh: String, en: String) {
    findings.append(
      Finding(subject: subject, grade: .well, found: LocalizedText(zh: zh, en: en), remedy: nil)
    )
  }

  mutating func add(
    _ grade: Grade,
    _ subject: String,
    _ found: LocalizedText,
    remedy: LocalizedText
  ) {
    findings.append(Finding(subject: subject, grade: grade, found: found, remedy: remedy))
  }
}
