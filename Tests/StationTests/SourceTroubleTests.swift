import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// What a source says of its own troubles reaches people: no number, a dead battery.
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
}
