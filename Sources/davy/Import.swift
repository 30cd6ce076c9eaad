import ArgumentParser
import DeviceCatalog
import Foundation
import HazardLedger
import Journal

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
      Each row becomes one message in Davy's own JSON, received at its own time; empty cells become no reading. Rows \
      in another order than that of time are sorted, those of one time stay in the file's order. \
      UTF-8 (with or without byte order mark) and GB18030 are recognised. The whole file is checked first: while \
      anything is wrong with it, each mistake is named with its place and nothing is written.

        davy import readings ch4.csv --into recording --topic davy/v1/metec/gw-1/readings \\
          --column ch4_n=ch4_n/ch4 --column ch4_e=ch4_e/ch4

      The recording has no catalog of its own, so replay it with a service file that knows its devices, and whose site \
      file names the gateway of --topic:

        davy replay recording --rules config/service.yaml
      """
  )

  @Argument(help: "The CSV file, with a header row.", completion: .file(extensions: ["csv"]))
  var csv: String

  @Option(help: "Folder of the recording; must not hold one yet.", completion: .directory)
  var into: String

  @Option(help: "Topic of the messages: davy/v1/ENTERPRISE/GATEWAY/readings.")
  var topic: String

  @Option(
    name: .customLong("time"),
    help:
      "Name of the time column; ISO 8601, without a zone where --utc-offset says it, or a number as --time-unit says."
  )
  var timeColumn: String = "time"

  @Option(
    help:
      "What numbers in the time column count since the Unix epoch: ms (milliseconds) or s (seconds)."
  )
  var timeUnit: String = "ms"

  @Option(help: "Zone of times that say none, as an offset from UTC such as +08:00.")
  var utcOffset: String?

  @Option(name: .customLong("column"), help: "COLUMN=DEVICE/POINT, once for each column to take.")
  var columns: [String]

  func run() throws {
    let wanted = try columns.map(ReadingListImport.Column.init(argument:))
    for (index, column) in wanted.enumerated() {
      let isTwice = wanted[..<index].contains {
        $0.device == column.device && $0.point == column.point
      }
      if isTwice {
        throw ValidationError("\(column.device)/\(column.point) is given two columns; give it one")
      }
    }
    guard let unit = ReadingListImport.TimeUnit(rawValue: timeUnit) else {
      throw ValidationError("--time-unit '\(timeUnit)' is neither ms nor s")
    }
    let offset = try utcOffset.map { text -> Int in
      guard let minutes = ReadingListImport.utcOffset(text) else {
        throw ValidationError("--utc-offset '\(text)' is not an offset from UTC like +08:00")
      }
      return minutes
    }
    let list = ReadingListImport(
      bytes: try GivenFile.bytes(csv),
      file: csv,
      timeColumn: timeColumn,
      columns: wanted,
      unit: unit,
      utcOffsetMinutes: offset
    )
    LoadedConfiguration.print(list.findings)
    guard !list.findings.contains(where: { $0.severity == .error }) else { throw ExitCode(1) }
    guard try FileManager.default.contentsOfDirectoryIfThere(into).isEmpty else {
      throw ValidationError("\(into) is not empty; give a new folder")
    }
    let isNew = !FileManager.default.fileExists(atPath: into)
    do {
      try write(list.rows, of: wanted)
    } catch {
      // The next try has to find what this one found.
      let names = isNew ? [] : (try? FileManager.default.contentsOfDirectory(atPath: into)) ?? []
      for path in isNew ? [into] : names.map({ into + "/" + $0 }) {
        try? FileManager.default.removeItem(atPath: path)
      }
      throw error
    }
  }

  private func write(
    _ rows: [ReadingListImport.Row],
    of columns: [ReadingListImport.Column]
  ) throws {
    let writer = try RecordingWriter(directory: into)
    var readings = 0
    var empty = 0
    // Received later than a row of a later time, a row would be late, and might raise nothing in a replay.
    let inOrder = rows.enumerated()
      .sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }
    for (_, row) in inOrder {
      let message = zip(columns, row.values).compactMap { column, value -> JSONValue? in
        guard let value else { return nil }
        return .object([
          "device": .string(column.device), "point": .string(column.point),
          "t": .integer(row.time), "v": .number(value),
        ])
      }
      guard !message.isEmpty else {
        empty += 1
        continue
      }
      readings += message.count
      try writer.append(
        JournalInput(
          kind: .message,
          received: row.time,
          topic: Array(topic.utf8),
          payload: JSONValue.array(message).canonicalBytes(),
          qos: 1
        )
      )
    }
    try writer.finish()
    Terminal.line("\(writer.lastSequence) messages, \(readings) readings in \(into)")
    if inOrder.indices.contains(where: { inOrder[$0].offset != $0 }) {
      Terminal.line("the rows were not in the order of time; they have been sorted")
    }
    if empty > 0 { Terminal.line("\(empty) rows have no value in the columns taken") }
  }
}

extension ReadingListImport.Column {
  /// COLUMN=DEVICE/POINT as people write it.
  fileprivate init(argument text: String) throws {
    let sides = text.split(separator: "=", maxSplits: 1)
    let target = sides.count == 2 ? sides[1].split(separator: "/") : []
    guard target.count == 2 else {
      throw ValidationError("'\(text)' is not COLUMN=DEVICE/POINT")
    }
    self.init(name: String(sides[0]), device: String(target[0]), point: String(target[1]))
  }
}

extension FileManager {
  /// Names in a folder; none where there is no folder.
  fileprivate func contentsOfDirectoryIfThere(_ path: String) throws -> [String] {
    guard fileExists(atPath: path) else { return [] }
    do { return try contentsOfDirectory(atPath: path) } catch {
      throw ValidationError("\(path) is no folder that can be read; give a new folder")
    }
  }
}
