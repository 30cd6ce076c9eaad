import AlarmEngine
import ArgumentParser
import DeviceCatalog
import Foundation

/// `davy calibrate`.
struct Calibrate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Learn a multivariate model from rows of normal operation; write it as a catalog file.",
    discussion: """
      The CSV files have a header; one row is one moment, at an even step, one column a point. Rows with an empty \
      cell in a wanted column are passed over and counted. Limits are quantiles: those of the training rows are too \
      tight, so --fresh names further normal rows that they are taken from.

        davy calibrate normal.csv --points t1,t2,p1 --name reactor-1 --fresh later.csv \\
          --into devices/models/reactor-1.yaml

      A rule names the file: detect: {kind: multivariate, points: [t1, t2, p1], model: reactor-1}
      """
  )

  @Argument(help: "Rows of normal operation, CSV.", completion: .file(extensions: ["csv"]))
  var csv: String

  @Option(help: "The points, separated by commas: columns of the file, and points of the device.")
  var points: String

  @Option(help: "The model's name; the file must be called so.")
  var name: String

  @Option(
    help: "Fresh rows of normal operation that the limits are taken from.",
    completion: .file()
  )
  var fresh: String?

  @Option(help: "Earlier rows stacked onto the present one, 0 to 10.")
  var lags = 2

  @Option(help: "Weight of the newest row in the smoothing, 0.01 to 1.")
  var smoothing = 0.3

  @Option(help: "Share of normal rows that exceeds the limits, 0.0001 to 0.5.")
  var exceedance = 0.01

  @Option(help: "The new file.", completion: .file(extensions: ["yaml"]))
  var into: String

  func run() throws {
    guard URL(fileURLWithPath: into).deletingPathExtension().lastPathComponent == name else {
      throw ValidationError("\(into): the file must be called \(name).yaml")
    }
    guard !FileManager.default.fileExists(atPath: into) else {
      throw ValidationError("\(into) is there already; name another file")
    }
    let names = points.split(separator: ",").map(String.init)
    let training = try Self.rows(of: csv, names)
    let parameters = MultivariateModel.Parameters(
      lags: lags,
      smoothing: smoothing,
      exceedance: exceedance
    )
    var model: MultivariateModel
    var comment = ["Learnt by davy calibrate from \(training.count) rows."]
    do {
      model = try MultivariateModel.learn(rows: training, parameters: parameters)
      if let fresh {
        let rows = try Self.rows(of: fresh, names)
        try model.calibrate(rows: rows, exceedance: exceedance)
        comment.append("Limits from \(rows.count) fresh rows, \(exceedance) of which exceed them.")
      }
    } catch let error as MultivariateModel.LearnError {
      throw ValidationError("\(csv): \(error)")
    }
    let blind = model.constantSignals.map { names[$0] }
    if !blind.isEmpty {
      comment.append("Blind to what did not vary: \(blind.joined(separator: ", ")).")
    }
    let file = ModelFile(id: name, points: names, model: model)
    try file.text(comment: comment).write(toFile: into, atomically: true, encoding: .utf8)
    print("\(into): \(comment.joined(separator: " "))")
  }

  /// The wanted columns of a CSV file, row by row.
  private static func rows(of path: String, _ names: [String]) throws -> [[Double]] {
    let text = try GivenFile.text(path)
    var lines = text.split(whereSeparator: \.isNewline).makeIterator()
    let header = lines.next()?.split(separator: ",", omittingEmptySubsequences: false)
      .map { $0.trimmingCharacters(in: .whitespaces) }
    let columns = try names.map { name in
      guard let column = header?.firstIndex(of: name) else {
        throw ValidationError("\(path): there is no column '\(name)' in the header")
      }
      return column
    }
    var rows: [[Double]] = []
    var passed = 0
    var line = 1
    while let cells = lines.next()?.split(separator: ",", omittingEmptySubsequences: false) {
      line += 1
      guard columns.allSatisfy({ $0 < cells.count && !cells[$0].isEmpty }) else {
        passed += 1
        continue
      }
      rows.append(
        try columns.map { column in
          let text = cells[column].trimmingCharacters(in: .whitespaces)
          guard let value = Double(text), value.isFinite else {
            throw ValidationError("\(path):\(line): '\(text)' is not a number")
          }
          return value
        }
      )
    }
    if passed > 0 { print("\(path): \(passed) rows with an empty cell passed over") }
    return rows
  }
}
