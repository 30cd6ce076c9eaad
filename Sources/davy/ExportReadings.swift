import ArgumentParser
import DeviceCatalog
import Foundation
import Journal
import Relay
import Station
import Telemetry

/// `davy export readings`.
struct ExportReadings: ParsableCommand {
  /// How readings are written.
  enum Format: String, CaseIterable, ExpressibleByArgument {
    /// Influx line protocol, times in milliseconds.
    case influx
    /// Comma-separated: time, point, unit, value, status; of minutes all figures.
    case csv
  }

  static let configuration = CommandConfiguration(
    commandName: "readings",
    abstract: "Readings or minutes of a time, as Influx line protocol or CSV.",
    discussion: """
      Reads the journal (or, with --minutes, the trends) beside a running station. Times are event times: ISO 8601 with \
      zone, a day in UTC (2026-01-31), or milliseconds since the Unix epoch.

        davy export readings config/service.yaml --from 2026-01-01 --to 2026-02-01 --points 'xinghe/#' > january.lp
        curl --data-binary @january.lp 'http://127.0.0.1:8086/api/v2/write?org=o&bucket=b&precision=ms'
      """
  )

  @Argument(help: "The service file: where the data lie, and what the points are.")
  var serviceFile: String

  @Option(help: "Begin of the event times.")
  var from: String

  @Option(help: "End of the event times, exclusive.")
  var to: String

  @Option(help: "Points by path; + stands for a level, # for all below.")
  var points: String = "#"

  @Option(help: "influx or csv.")
  var format: Format = .influx

  @Flag(help: "One-minute reductions instead of readings.")
  var minutes = false

  @Option(name: .shortAndLong, help: "The file to write; standard output without it.")
  var output: String?

  func run() throws {
    guard let pattern = PointPattern(points) else {
      throw ValidationError("--points \(points): a path with + for a level and # at the end")
    }
    let choice = ReadingExport.Choice(
      points: pattern,
      from: try Self.moment(from, "--from"),
      to: try Self.moment(to, "--to")
    )
    guard choice.from < choice.to else { throw ValidationError("--to must be later than --from") }
    let loaded = try LoadedConfiguration(serviceFile: serviceFile)
    let folder = URL(fileURLWithPath: loaded.service.dataFolder)
    let sink = try LineSink(output)
    var lines = LineProtocol(station: loaded.service.station)
    let count: Int64
    if minutes {
      let units = Dictionary(
        loaded.catalog.channels.map { ($0.path, $0.unit) },
        uniquingKeysWith: { first, _ in first }
      )
      if format == .csv {
        try sink.write("minute,point,unit,count,mean,minimum,maximum,maximum_time,first,last")
      }
      count = try ReadingExport.minutes(
        path: folder.appendingPathComponent("trends.sqlite").path,
        choice
      ) { point, minute in
        let unit = units[point] ?? ""
        switch format {
        case .influx: try sink.write(lines.line(minute, point: point, unit: unit))
        case .csv:
          let mean = minute.sum / Double(minute.count)
          try sink.write(
            "\(minute.minute),\(point),\(unit),\(minute.count),\(mean),\(minute.minimum),"
              + "\(minute.maximum),\(minute.maximumTime),\(minute.first),\(minute.last)"
          )
        }
      }
    } else {
      if format == .csv { try sink.write("time,point,unit,value,status") }
      count = try ReadingExport.readings(
        of: try Recording(path: folder.appendingPathComponent("journal").path),
        catalog: loaded.catalog,
        choice
      ) { reading in
        switch format {
        case .influx: try sink.write(lines.line(reading))
        case .csv:
          let value = reading.value.map { "\($0)" } ?? ""
          try sink.write(
            "\(reading.time.milliseconds),\(reading.point),\(reading.unit),\(value),\(reading.status)"
          )
        }
      }
    }
    try sink.finish()
    if let output { Terminal.line("\(output): \(count) lines") }
  }

  private static func moment(_ text: String, _ option: String) throws -> Timestamp {
    if let milliseconds = Int64(text) { return Timestamp(milliseconds: milliseconds) }
    let styles = [
      Date.ISO8601FormatStyle(includingFractionalSeconds: true),
      Date.ISO8601FormatStyle(includingFractionalSeconds: false),
      Date.ISO8601FormatStyle().year().month().day(),
    ]
    for style in styles {
      if let date = try? style.parse(text) {
        return Timestamp(milliseconds: Int64((date.timeIntervalSince1970 * 1_000).rounded()))
      }
    }
    throw ValidationError(
      "\(option) \(text): 2026-01-31, 2026-01-31T08:00:00Z, or milliseconds since 1970"
    )
  }
}

/// Lines on their way to a file or standard output, some thousand at a time.
private final class LineSink {
  private let handle: FileHandle
  private var waiting: [UInt8] = []

  init(_ path: String?) throws {
    guard let path else {
      handle = .standardOutput
      return
    }
    guard FileManager.default.createFile(atPath: path, contents: nil) else {
      throw ValidationError("\(path) cannot be written")
    }
    handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
  }

  func write(_ line: String) throws {
    waiting += line.utf8
    waiting.append(UInt8(ascii: "\n"))
    if waiting.count >= 1 << 18 { try finish() }
  }

  func finish() throws {
    try handle.write(contentsOf: Data(waiting))
    waiting.removeAll(keepingCapacity: true)
  }
}
