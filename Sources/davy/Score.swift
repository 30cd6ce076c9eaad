import AlarmEngine
import ArgumentParser
import Foundation

/// `davy score`.
struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract:
      "Score every row of a CSV file with an anomaly detector: timestamp, value, score in [0, 1].",
    discussion: """
      The file has a header and the columns timestamp and value. Every score uses the rows up to its own only. \
      0.5 is the threshold at which the engine would call a reading anomalous.
      Detectors: \(Score.detectorNames.joined(separator: ", "))
      """
  )

  @Argument(help: "The CSV file.", completion: .file(extensions: ["csv"]))
  var csv: String

  @Option(help: "Which detector.")
  var detector: String

  @Option(
    help: "Hours by which the site's time zone is ahead of UTC, for range-in-context and seasonal."
  )
  var zone: Double = 0

  func validate() throws {
    guard (-24...24).contains(zone) else {
      throw ValidationError("--zone \(zone): hours from -24 to 24")
    }
  }

  func run() throws {
    let text = try GivenFile.text(csv)
    do {
      let table = try Score.table(csv: text, detector: detector, zoneOffset: Int(zone * 60))
      FileHandle.standardOutput.write(Data(table.utf8))
    } catch {
      throw ValidationError("\(csv): \(error)")
    }
  }
}
