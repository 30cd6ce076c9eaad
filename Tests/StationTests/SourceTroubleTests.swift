import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// What a source says of its own troubles reaches people: no number, a dead battery, a dead node.
@Suite("Troubles that sources tell")
struct SourceTroubleTests {
  static let start = StationCoreTests.start

  /// What a core puts out of messages of the north sensor (H from 5 ppm, HH from 20 ppm), one a second.
  private static func output(
    _ payloads: [String],
    topic: String = Fixture.topic,
    level: RulesLevel
  ) throws -> CoreOutput {
    let messages = payloads.enumerated().map { number, payload in
      var input = Fixture.message(payload, topic: topic)
      input.received = start + Int64(number) * 1_000
      return input
    }
    return StationCore().process(
      JournalBatch([try StationCoreTests.catalogInput(Fixture.catalog(), level: level)] + messages),
      firstSequence: 1
    )
  }

  private static func steps(_ output: CoreOutput) throws -> [String] {
    try StationCoreTests.bodies(output).map { "\($0.rule) \($0.event.rawValue)" }
  }

  @Test("beyond the range and without a number: it is told, and nothing returns")
  func withoutNumber() throws {
    let payloads = [
      #"{"device":"ch4_n","point":"ch4","v":9}"#,
      #"{"device":"ch4_n","point":"ch4","v":null,"s":"overRange"}"#,
    ]
    let output = try Self.output(payloads, level: .newest)
    #expect(try Self.steps(output) == ["H raised", "reported raised"])
    #expect(output.rejects.isEmpty)
    let newest = try #require(output.latest.last).reading
    #expect(newest.status == .overRange && newest.value.isNaN)

    // A journal of older rules goes by them.
    let former = try Self.output(payloads, level: .notices)
    #expect(try Self.steps(former) == ["H raised"])
    #expect(former.rejects.map(\.reason) == ["missingField"] && former.latest.count == 1)
  }

  @Test("a clock that begins at 1970 is told, and its readings are judged by the receive time")
  func deadBattery() throws {
    let payloads = (0..<30).map { second in
      let time = 3_600_000 + second * 1_000
      return #"{"device":"ch4_n","point":"ch4","t":\#(time),"v":\#(second < 29 ? 60 : 1)}"#
    }
    let output = try Self.output(payloads, level: .newest)
    let steps = try Self.steps(output)
    #expect(Set(["H raised", "HH raised", "clock raised", "HH returned"]).isSubset(of: steps))
    #expect(output.rejects.isEmpty)
    let returned = try #require(
      output.drafts.last { $0.kind == .alarm && $0.subject.contains("#HH") }
    )
    #expect(returned.time == Timestamp(milliseconds: Self.start + 29_000))

    let former = try Self.output(payloads, level: .notices)
    #expect(try Self.steps(former).isEmpty)
    #expect(former.rejects.map(\.reason) == ["timeOutOfRange"])
    #expect(former.rejects.map(\.count) == [30])
  }

  /// The demonstration's site with a Sparkplug route.
  private static func sparkplugCatalog() throws -> Catalog {
    let site = Fixture.root.appendingPathComponent("config/sites/methane-demo.yaml")
    var text = try String(contentsOf: site, encoding: .utf8)
    text = text.replacing("replay-source: true", with: "replay-source: false")
    text += """

      routes:
        sparkplug: {topic: "spBv1.0/{enterprise}/+/{gateway}/#", format: sparkplug-b}
      """
    let scratch = try Scratch()
    let file = scratch.file("site.yaml")
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    let result = Catalog.load(
      devices: Fixture.root.appendingPathComponent("devices").path,
      site: [file]
    )
    return try #require(result.catalog, "\(result.findings.filter { $0.severity == .error })")
  }

  /// The births of docs/formats/sparkplug-b.md, of the north sensor with 1.5 ppm; a datum; a death of the device or the node;
  /// births and a datum again.
  private static func life(dying kind: String) -> [(topic: String, payload: [UInt8])] {
    let device = "gw-1/ch4_n"
    let nodeBirth: [UInt8] = [
      0x12, 0x0b, 0x0a, 0x05, 0x62, 0x64, 0x53, 0x65, 0x71, 0x20, 0x04, 0x58, 0x00, 0x18, 0x00,
    ]
    let deviceBirth: [UInt8] = [
      0x12, 0x12, 0x0a, 0x03, 0x63, 0x68, 0x34, 0x10, 0x01, 0x20, 0x0a, 0x69, 0x00, 0x00, 0x00,
      0x00, 0x00, 0x00, 0xf8, 0x3f, 0x18, 0x01,
    ]
    let datum: [UInt8] = [
      0x12, 0x0b, 0x10, 0x01, 0x69, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x18, 0x02,
    ]
    let death: (String, [UInt8]) =
      kind == "NDEATH" ? ("NDEATH/gw-1", [0x08, 0x01]) : ("DDEATH/\(device)", [0x18, 0x03])
    let birth = [
      ("NBIRTH/gw-1", nodeBirth), ("DBIRTH/\(device)", deviceBirth), ("DDATA/\(device)", datum),
    ]
    return (birth + [death] + birth).map { ("spBv1.0/metec/\($0.0)", $0.1) }
  }

  @Test(
    "a death certificate raises what the source reports, until it is born again",
    arguments: [
      "NDEATH", "DDEATH",
    ]
  )
  func death(kind: String) throws {
    let catalog = try Self.sparkplugCatalog()
    func output(_ level: RulesLevel) throws -> CoreOutput {
      let messages = Self.life(dying: kind).enumerated().map { number, message in
        JournalInput(
          received: Self.start + Int64(number) * 1_000,
          topic: Array(message.topic.utf8),
          payload: message.payload,
          qos: 1
        )
      }
      return StationCore().process(
        JournalBatch([try StationCoreTests.catalogInput(catalog, level: level)] + messages),
        firstSequence: 1
      )
    }
    let newest = try output(.newest)
    #expect(try Self.steps(newest) == ["reported raised", "reported returned"])
    let raised = try #require(newest.drafts.first { $0.kind == .alarm })
    #expect(raised.time == Timestamp(milliseconds: Self.start + 3_000))
    #expect(
      newest.latest.map(\.reading.status) == [.normal, .normal, .lineBroken, .normal, .normal]
    )
    // The ledger's word of it stays beside.
    func deaths(_ output: CoreOutput) throws -> Int {
      try output.drafts.filter { $0.kind == .system }
        .count { try HazardLedger.JSONValue(parsing: $0.body)["event"]?.text == "source.death" }
    }
    #expect(try deaths(newest) == 1)

    let former = try output(.notices)
    #expect(try Self.steps(former).isEmpty)
    #expect(try deaths(former) == 1)
  }
}
