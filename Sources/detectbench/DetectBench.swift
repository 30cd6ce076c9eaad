import AlarmEngine
import Foundation

/// Runs Davy's anomaly detectors over benchmark data and writes what a grader reads.
///
///     detectbench nab DATA OUT [DETECTOR]   DATA/data/*/*.csv → OUT/*/*.csv: timestamp,value,anomaly_score
///     detectbench tep DATA OUT              learns DATA/d00.csv, calibrates on d00_te, → OUT/dNN_te.csv: alarm
///     detectbench methane DATA OUT          DATA/ch4.csv → OUT/alarms.csv: time,alarm,excess
@main
struct DetectBench {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count >= 3 else {
      FileHandle.standardError.write(
        Data("usage: detectbench nab|tep|methane DATA OUT [DETECTOR]\n".utf8)
      )
      exit(64)
    }
    let data = URL(fileURLWithPath: arguments[1])
    let out = URL(fileURLWithPath: arguments[2])
    try FileManager.default.createDirectory(at: out, withIntermediateDirectories: true)
    switch arguments[0] {
    case "nab":
      try nab(data, out, detector: arguments.count > 3 ? arguments[3] : Score.detectorNames[0])
    case "tep": try tep(data, out)
    case "methane": try methane(data, out)
    default:
      FileHandle.standardError.write(Data("no benchmark \(arguments[0])\n".utf8))
      exit(64)
    }
  }

  private static func files(in folder: URL) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .sorted { $0.path < $1.path }
  }

  private static func nab(_ data: URL, _ out: URL, detector: String) throws {
    for category in try files(in: data.appendingPathComponent("data")) {
      let target = out.appendingPathComponent(category.lastPathComponent)
      try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
      for file in try files(in: category) where file.pathExtension == "csv" {
        let text = try String(contentsOf: file, encoding: .utf8)
        let scored = try Score.table(csv: text, detector: detector)
          .replacing(
            "timestamp,value,score",
            with: "timestamp,value,anomaly_score",
            maxReplacements: 1
          )
        try scored.write(
          to: target.appendingPathComponent(file.lastPathComponent),
          atomically: true,
          encoding: .utf8
        )
      }
    }
  }

  /// Rows of numbers below a header.
  private static func rows(_ file: URL) throws -> [[Double]] {
    let lines = try String(contentsOf: file, encoding: .utf8).split(whereSeparator: \.isNewline)
    return lines.dropFirst().map { line in
      line.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) ?? .nan }
    }
  }

  private static func tep(_ data: URL, _ out: URL) throws {
    let normal = try rows(data.appendingPathComponent("d00.csv"))
    var model = try MultivariateModel.learn(rows: normal)
    try model.calibrate(
      rows: try rows(data.appendingPathComponent("d00_te.csv")),
      exceedance: 0.01
    )
    for file in try files(in: data) where file.lastPathComponent.hasSuffix("_te.csv") {
      var monitor = MultivariateMonitor(model)
      var text = "alarm,t2,spe,distance\n"
      for row in try rows(file) {
        let finding = monitor.step(row)
        // The limit is a sample's own value; at most the wanted share lies strictly above it.
        let alarm = finding.condition == .yes ? 1 : 0
        text += "\(alarm),\(finding.t2),\(finding.spe),\(finding.distance)\n"
      }
      try text.write(
        to: out.appendingPathComponent(file.lastPathComponent),
        atomically: true,
        encoding: .utf8
      )
    }
  }

  private static func methane(_ data: URL, _ out: URL) throws {
    let text = try String(contentsOf: data.appendingPathComponent("ch4.csv"), encoding: .utf8)
    let lines = text.split(whereSeparator: \.isNewline)
    let names = lines[0].split(separator: ",").map(String.init)
    let sensors = names.indices.filter { names[$0].hasPrefix("ch4") }
    var detectors = try sensors.map { _ in try BackgroundExcess(.init(limit: 0.5)) }
    var output = "time,alarm,excess\n"
    for line in lines.dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      guard let time = ScoreTimestamp.milliseconds(String(fields[0])) else {
        throw Score.Failure.badRow(line: 0, "“\(fields[0])” is no time stamp")
      }
      var condition = Truth.no
      var excess = 0.0
      for (slot, column) in sensors.enumerated() {
        guard let value = Double(fields[column]) else { continue }
        let finding = detectors[slot].step(time: time, value: value)
        condition = condition || finding.condition
        excess = max(excess, finding.statistic)
      }
      output += "\(fields[0]),\(condition == .yes ? 1 : 0),\(excess)\n"
    }
    try output.write(
      to: out.appendingPathComponent("alarms.csv"),
      atomically: true,
      encoding: .utf8
    )
  }
}
