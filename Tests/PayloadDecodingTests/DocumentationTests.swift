import Foundation
import PayloadDecoding
import Telemetry
import Testing

/// The `mosquitto_pub` lines of docs/formats: each has to do what its page says.
@Suite struct DocumentationTests {
  static let folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("docs/formats")

  static func point(_ name: String, _ row: UInt32, _ unit: String) -> PointEntry {
    PointEntry(name: name, channel: ChannelIndex(rawValue: row), unit: unit)
  }

  static func bench() throws -> Bench {
    let mine = JSONMapping(
      values: [
        MappedValue(
          value: "/data/*/ssAnalogValue",
          device: .topic("device"),
          point: .pointer("/data/*/ssTransducerPoint"),
          time: .pointer("/csDataTime"),
          status: .pointer("/data/*/ssTransducerState")
        )
      ],
      timeFormat: .dateTime(utcOffsetMinutes: 480),
      statusCodes: ["0": .normal],
      numbersInStrings: true
    )
    let routes: [(String, PayloadFormat)] = [
      ("davy/v1/{enterprise}/{gateway}/readings", .davyJSON),
      ("plant/{enterprise}/{gateway}/{device}/up", .mappedJSON(mine)),
      ("senml/{enterprise}/{gateway}", .senMLJSON), ("cbor/{enterprise}/{gateway}", .senMLCBOR),
      ("influx/{enterprise}/{gateway}", .influxLine(InfluxOptions())),
      ("spBv1.0/{enterprise}/+/{gateway}/#", .sparkplugB(SparkplugOptions())),
      ("hj212/{enterprise}/{gateway}", .hj212(HJ212Options())),
    ]
    return Bench(
      try routes.map {
        TopicRoute(id: $0.0, template: try TopicTemplate($0.0), format: $0.1)
      },
      devices: [
        DeviceEntry(
          enterprise: "acme",
          gateway: "gw-1",
          id: "GD-07",
          points: [point("ch4", 1, "%LEL"), point("temp", 2, "Cel"), point("a21026", 3, "")]
        )
      ]
    )
  }

  /// Bytes of a shell word in single quotes; `\xHH` as printf takes it.
  static func bytes(_ word: Substring, isFormat: Bool) -> [UInt8] {
    guard isFormat else { return Array(word.utf8) }
    return word.split(separator: "\\x").compactMap { UInt8($0, radix: 16) }
  }

  @Test(
    "each page's lines give the readings they promise",
    arguments: [
      ("davy-json.md", "1=1.03@1795425124567"),
      ("mapped-json.md", "1=0.42@1795425124000"),
      ("senml.md", "1=1.03@1795451234567 2=20.1@1795451234567 | 1=1.0302734375@1795451234567"),
      ("influx-line.md", "1=1.03@1795451234567 2=20.1@1795451234567"),
      ("sparkplug-b.md", "?born | 1=1.5 ?born | 1=2.0"),
      ("hj212.md", "3=1.5@1795425124000"),
    ]
  )
  func lines(page: String, expected: String) throws {
    let text = try String(
      contentsOf: Self.folder.appendingPathComponent(page),
      encoding: .utf8
    ).replacingOccurrences(of: "\\\n", with: "")
    var bench = try Self.bench()
    var outcomes: [String] = []
    for line in text.split(separator: "\n") where line.contains("mosquitto_pub") {
      guard let topic = line.firstMatch(of: /-t (\S+)/)?.1,
        let word = line.firstMatch(of: /'([^']*)'/)?.1
      else { continue }
      let payload = Self.bytes(word, isFormat: line.hasPrefix("printf"))
      outcomes.append(bench.send(String(topic), payload).description)
    }
    #expect(outcomes.joined(separator: " | ") == expected)
  }

  @Test("every reason is on the page of reasons")
  func reasons() throws {
    let text = try String(
      contentsOf: Self.folder.appendingPathComponent("README.md"),
      encoding: .utf8
    )
    for reason in RejectReason.allCases { #expect(text.contains("`\(reason.rawValue)`")) }
  }
}
