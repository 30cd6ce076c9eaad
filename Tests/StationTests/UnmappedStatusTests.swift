import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// What the core says of statuses that no table explains.
@Suite("Unmapped statuses")
struct UnmappedStatusTests {
  /// The core's output for one message, sent to a site of the repository.
  private static func output(
    of payload: String,
    topic: String = Fixture.topic,
    catalog: Catalog? = nil,
    level: RulesLevel = .newest
  ) throws -> CoreOutput {
    let message = JournalInput(
      received: StationCoreTests.start + 1_000,
      topic: Array(topic.utf8),
      payload: Array(payload.utf8),
      qos: 1
    )
    let input = try StationCoreTests.catalogInput(
      try catalog ?? Fixture.catalog(),
      level: level
    )
    return StationCore().process(JournalBatch([input, message]), firstSequence: 1)
  }

  /// Device, code, points and count of each entry that tells of one.
  private static func entries(_ output: CoreOutput) throws -> [String] {
    try output.drafts.filter { $0.kind == .system }
      .map { try HazardLedger.JSONValue(parsing: $0.body) }
      .filter { $0["event"]?.text == "source.unmappedStatus" }
      .map { body in
        let points = body["points"]?.elements?.compactMap(\.text) ?? [body["point"]?.text ?? ""]
        let count = body["count"]?.wholeNumber.map { " × \($0)" } ?? ""
        return "\(body["device"]?.text ?? "") \(points.joined(separator: ","))\(count)"
      }
  }

  private static func reading(_ device: String, _ status: String) -> String {
    #"{"device":"\#(device)","point":"ch4","v":1,"s":"\#(status)"}"#
  }

  @Test("a message makes one entry for each device and code, and all are listed with their count")
  func flood() throws {
    let readings =
      [Self.reading("ch4_n", "X64"), Self.reading("ch4_s", "X64")]
      + Array(repeating: Self.reading("ch4_n", "X64"), count: 200) + [Self.reading("ch4_n", "X65")]
    let payload = "[\(readings.joined(separator: ","))]"
    let output = try Self.output(of: payload)
    #expect(try Self.entries(output) == ["ch4_n ch4 × 201", "ch4_s ch4 × 1", "ch4_n ch4 × 1"])
    #expect(output.rejects.map(\.reason) == ["unmappedStatus", "unmappedStatus"])
    #expect(output.rejects.map(\.device) == ["ch4_n", "ch4_s"])
    #expect(output.rejects.map(\.count) == [202, 1])
    #expect(output.rejects[0].detail.contains("X65"))
    #expect(output.latest.count == readings.count)

    // A journal of older rules goes by them.
    let former = try Self.output(of: payload, level: .first)
    let told = try Self.entries(former)
    #expect(told.count == 64)
    #expect(told.prefix(3) == ["ch4_n ch4", "ch4_s ch4", "ch4_n ch4"])
    #expect(former.rejects.isEmpty)
  }

  @Test("points of a device that send the same code are named in one entry")
  func points() throws {
    let catalog = try #require(
      Catalog.load(
        devices: Fixture.root.appendingPathComponent("devices").path,
        site: [Fixture.root.appendingPathComponent("config/sites/example.yaml").path]
      ).catalog
    )
    let output = try Self.output(
      of: #"{"device":"TK-101","s":"X64","values":{"level":6.2,"temperature":20.1}}"#,
      topic: "davy/v1/xinghe/gw-tank/readings",
      catalog: catalog
    )
    #expect(try Self.entries(output) == ["TK-101 level,temperature × 2"])
    #expect(output.rejects.map(\.count) == [2])
  }
}
