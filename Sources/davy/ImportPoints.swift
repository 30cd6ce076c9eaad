import ArgumentParser
import DeviceCatalog
import Foundation

/// `davy import points`.
struct ImportPoints: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "points",
    abstract:
      "Compare a point list (点表) out of a spreadsheet with the catalog; write it as a site file's text.",
    discussion: """
      UTF-8 (with or without byte order mark) and GB18030 are recognised; headers may be Chinese or English, in any \
      order. This is a dry run: it prints what would be new, missing or changed and changes nothing. With --out the \
      listed devices are written as the `sites` part of a site file, to be reviewed and put under `sites` of the \
      enterprise's site file; `davy check` then says what the plant still has to set.

        davy import points config/points-example.csv --service config/service.yaml --enterprise xinghe \\
          --out new-sites.yaml
      """
  )

  @Argument(help: "The point list, CSV.", completion: .file(extensions: ["csv"]))
  var csv: String

  @Option(help: "The service file whose catalog it is compared with.", completion: .file())
  var service: String

  @Option(help: "Id of the enterprise whose points these are.")
  var enterprise: String

  @Option(help: "Write the site file's text to this new file.", completion: .file())
  var out: String?

  @Flag(help: "The difference as one JSON object on standard output.")
  var json = false

  func run() throws {
    let catalog = try LoadedConfiguration(serviceFile: service).catalog
    guard catalog.enterprises.contains(where: { $0.id == enterprise }) else {
      let known = catalog.enterprises.map(\.id).joined(separator: ", ")
      throw ValidationError("no enterprise '\(enterprise)' in the catalog; there are \(known)")
    }
    let list = PointListImport(
      bytes: try GivenFile.bytes(csv),
      file: csv
    )
    let site = list.siteText(profiles: catalog.profiles)
    let findings = list.findings + site.findings
    LoadedConfiguration.print(findings)
    let isWhole = !findings.contains { $0.severity == .error }
    let difference = list.difference(to: catalog, enterprise: enterprise)
    try show(difference, of: list, isWhole: isWhole)
    guard isWhole else { throw ExitCode(1) }
    guard let out else { return }
    guard !FileManager.default.fileExists(atPath: out) else {
      throw ValidationError("\(out) exists; give a new file")
    }
    try site.text.write(toFile: out, atomically: true, encoding: .utf8)
    Terminal.line(
      "written to \(out); review it, then put it under \"sites\" of the enterprise's site file"
    )
  }

  /// Shows the difference; of a list with mistakes it is that of the rows which could be read.
  private func show(
    _ difference: PointListDifference,
    of list: PointListImport,
    isWhole: Bool
  ) throws {
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      Terminal.line(String(decoding: try encoder.encode(difference), as: UTF8.self))
      return
    }
    guard isWhole || !list.rows.isEmpty else {
      Terminal.line("nothing compared: the list could not be read")
      return
    }
    Terminal.line("\(list.rows.count) rows, \(list.encoding)")
    if !isWhole {
      Terminal.line("compared as far as it could be read: points of wrong rows seem missing")
    }
    for point in difference.added { Terminal.line("new      \(point)") }
    for point in difference.missing { Terminal.line("missing  \(point)") }
    for change in difference.changed {
      Terminal.line(
        "changed  \(change.point) \(change.field): '\(change.before)' → '\(change.after)' (line \(change.line))"
      )
    }
    if difference.isEmpty, isWhole { Terminal.line("the list says what the catalog has") }
  }
}
