import ArgumentParser
import Foundation
import HazardLedger
import Journal
import SwiftCSV

/// `davy import`.
struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Bring in what people keep in tables.",
    subcommands: [ImportPoints.self, ImportWelding.self, ImportReadings.self]
  )
}

/// `davy import readings`.
struct ImportReadings: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "readings",
    abstract: "Make a recording of a CSV file with one row a moment and one column a point.",
    discussion: """
      Each row becomes one message in Davy's own JSON, received at its own time; empty cells become no reading. \
      The recording can be replayed (`davy replay`).

        davy import readings ch4.csv --into recording --topic davy/v1/metec/gw-1/readings \\
          --column ch4_n=ch4_n/ch4 --column ch4_e=ch4_e/ch4
      """
  )

  @Argument(help: "The CSV file, UTF-8, with a header row.", completion: .file(extensions: ["csv"]))
  var csv: String

  @Option(help: "Folder of the recording; must not hold one yet.", completion: .directory)
  var into: String

  @Option(help: "Topic of the messages: davy/v1/ENTERPRISE/GATEWAY/readings.")
  var topic: String

  @Option(
    name: .customLong("time"),
    help: "Name of the time column; ISO 8601 with zone, or milliseconds since the Unix epoch."
  )
  var timeColumn: String = "time"

  @Option(name: .customLong("column"), help: "COLUMN=DEVICE/POINT, once for each column to take.")
  var columns: [String]

  func run() throws {
    let wanted = try columns.map(Column.init)
    let table = try CSV<Named>(url: URL(fileURLWithPath: csv), loadColumns: false)
    let header = table.header.map { $0.trimmingCharacters(in: ["\u{FEFF}"]) }
    for name in [timeColumn] + wanted.map(\.name) where !header.contains(name) {
      throw ValidationError(
        "\(csv) has no column '\(name)'; it has \(header.joined(separator: ", "))"
      )
    }
    guard try FileManager.default.contentsOfDirectoryIfThere(into).isEmpty else {
      throw ValidationError("\(into) is not empty; give a new folder")
    }
    let writer = try RecordingWriter(directory: into)
    var readings = 0
    var newest = Int64.min
    for (row, cells) in table.rows.enumerated() {
      let line = row + 2
      guard let text = cells[timeColumn] ?? cells["\u{FEFF}" + timeColumn],
        let time = Self.time(text)
      else {
        throw ValidationError("\(csv):\(line): column '\(timeColumn)' holds no time")
      }
      var message: [JSONValue] = []
      for column in wanted {
        guard let cell = cells[column.name]?.trimmingCharacters(in: .whitespaces), !cell.isEmpty
        else { continue }
        guard let value = Double(cell), value.isFinite else {
          throw ValidationError(
            "\(csv):\(line): column '\(column.name)' holds '\(cell)', not a number"
          )
        }
        message.append(
          .object([
            "device": .string(column.device), "point": .string(column.point),
            "t": .integer(time), "v": .number(value),
          ])
        )
      }
      guard !message.isEmpty else { continue }
      readings += message.count
      newest = max(newest, time)
      try writer.append(
        JournalInput(
          kind: .message,
          received: newest,
          topic: Array(topic.utf8),
          payload: JSONValue.array(message).canonicalBytes(),
          qos: 1
        )
      )
    }
    try writer.finish()
    Terminal.line("\(writer.lastSequence) messages, \(readings) readings in \(into)")
  }

  /// A moment in milliseconds since the Unix epoch; nil when `text` is none.
  static func time(_ text: String) -> Int64? {
    if let milliseconds = Int64(text) { return milliseconds }
    let style = Date.ISO8601FormatStyle()
    guard
      let date = (try? style.parse(text))
        ?? (try? style.year().month().day().time(includingFractionalSeconds: true).timeZone(
          separator: .colon
        ).parse(text))
    else { return nil }
    return Int64((date.timeIntervalSince1970 * 1000).rounded())
  }

  private struct Column {
    var name: String
    var device: String
    var point: String

    init(_ text: String) throws {
      let sides = text.split(separator: "=", maxSplits: 1)
      let target = sides.count == 2 ? sides[1].split(separator: "/") : []
      guard target.count == 2 else {
        throw ValidationError("'\(text)' is not COLUMN=DEVICE/POINT")
      }
      name = String(sides[0])
      device = String(target[0])
      point = String(target[1])
    }
  }
}

extension FileManager {
  /// Names in a folder; none where there is no folder.
  fileprivate func contentsOfDirectoryIfThere(_ path: String) throws -> [String] {
    fileExists(atPath: path) ? try contentsOfDirectory(atPath: path) : []
  }
}
