import ArgumentParser
package import DeviceCatalog
import Foundation

/// `davy check`.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Say everything that is wrong or doubtful in a service file, its profiles and its sites.",
    discussion: """
      Every finding names file, line, key, what is wrong and what to do, and the standard's clause where one is \
      concerned. The broker's password file, certificates and key are opened as the service would open them: check as \
      the service's user. The samples of all profiles are run. Ends with 1 when there is an error (a station would not \
      start, or not see what it should, or a profile does not do what its sample says), with 0 otherwise.
      """
  )

  @Argument(help: "The service file.", completion: .file())
  var serviceFile: String

  @Option(
    help: "The day on which editions of standards are judged, YYYY-MM-DD; today when left out."
  )
  var date: String?

  @Flag(help: "Findings as JSON, one object a line, on standard output.")
  var json = false

  func run() throws {
    let today = try judgedDay()
    let (catalog, findings) = ServiceConfiguration.examine(file: serviceFile, on: today)
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      for finding in findings {
        Terminal.line(String(decoding: try encoder.encode(finding), as: UTF8.self))
      }
    } else {
      LoadedConfiguration.print(findings)
      let errors = findings.count { $0.severity == .error }
      let warnings = findings.count { $0.severity == .warning }
      if let catalog {
        Terminal.line(
          "\(catalog.devices.count) devices, \(catalog.channels.count) points, \(catalog.rules.count) rules; "
            + "\(warnings) warnings, \(errors) errors; catalog \(catalog.version.prefix(12))"
        )
      } else {
        Terminal.line("\(errors) errors, \(warnings) warnings: no station starts with this")
      }
    }
    if catalog == nil || findings.contains(where: { $0.severity == .error }) { throw ExitCode(1) }
  }

  private func judgedDay() throws -> CalendarDate {
    let text = date ?? String(TimeText.utc(Int64(Date().timeIntervalSince1970 * 1000)).prefix(10))
    guard let day = CalendarDate(text) else {
      throw ValidationError("'\(text)' is not a day, YYYY-MM-DD")
    }
    return day
  }
}

extension ServiceConfiguration {
  /// Says all that is wrong or doubtful in a service file and in what it names, each thing once.
  ///
  /// - Parameters:
  ///   - file: path of the service file.
  ///   - day: the day on which editions of standards are judged.
  /// - Returns: the catalog, nil where it has errors; and the findings.
  package static func examine(
    file: String,
    on day: CalendarDate
  ) -> (catalog: Catalog?, findings: [Finding]) {
    let (service, own) = draft(path: file)
    var findings = own
    // What it names is looked at although something else in it is wrong.
    guard let service, !service.devicesFolder.isEmpty else { return (nil, findings) }
    let result = Catalog.load(
      devices: service.devicesFolder,
      site: service.sites,
      response: service.response
    )
    findings += result.findings
    if let catalog = result.catalog {
      findings += catalog.lint(on: day)
      findings += sampleFindings(devices: service.devicesFolder)
    }
    guard !own.contains(where: { $0.severity == .error }) else { return (nil, findings) }
    if let catalog = result.catalog { findings += service.blindSpots(file: file, catalog: catalog) }
    findings += service.brokerFindings(file: file, catalog: result.catalog)
    return (result.catalog, findings)
  }

  /// Runs the samples of all profiles and says which come to something else than they say.
  private static func sampleFindings(devices: String) -> [Finding] {
    let outcomes = Catalog.runSamples(devices: devices).outcomes
    return outcomes.filter { !$0.differences.isEmpty }.map { outcome in
      let differences = outcome.differences.joined(separator: "; ")
      return Finding(
        severity: .error,
        code: "sample-differs",
        place: outcome.place,
        message: LocalizedText(
          zh: "样例“\(outcome.sample)”的结果与所写不符：\(differences)",
          en: "sample \"\(outcome.sample)\" comes to something else: \(differences)"
        ),
        remedy: LocalizedText(
          zh: "更正规则；规则无误则更正样例",
          en: "correct the rule, or the sample where the rule is right"
        )
      )
    }
  }
}
