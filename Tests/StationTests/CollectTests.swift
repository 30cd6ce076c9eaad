import HazardLedger
import Journal
import Simulation
import Station
import Testing

/// A link that has one message at every look, and sometimes more than it gives.
private final class ScriptedLink: IntakeLink {
  var hasMore = false
  var size = 100

  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    LinkReport(state: "connected", hasMore: hasMore)
  }

  func take(received: Int64, into batch: inout JournalBatch) {
    batch.append(
      JournalInput(
        received: received,
        topic: Array("t".utf8),
        payload: [UInt8](repeating: 0x20, count: size)
      )
    )
  }

  func acknowledge() {}
  func keepAlive() {}
  func stop() {}
}

@Suite("Intake")
struct CollectTests {
  /// Looks at a link that has just come up, and which of them, the first one counted 0, lets time pass at last.
  struct Looks: CustomTestStringConvertible, Sendable {
    var testDescription: String
    /// Milliseconds after the link came up.
    var times: [Int64]
    /// Whether the look at a time leaves something.
    var hasMore: @Sendable (Int64) -> Bool = { _ in false }
    var tick: Int?
    var size = 100
  }

  static let cases: [Looks] = [
    Looks(testDescription: "nothing waited", times: [0, 1_999, 2_000], tick: 2),
    Looks(
      testDescription: "what waited comes without a pause",
      times: (0...100).map { $0 * 100 },
      hasMore: { _ in true },
      tick: nil
    ),
    Looks(
      testDescription: "what waited is through after 4 s",
      times: (0...80).map { $0 * 100 },
      hasMore: { $0 < 4_000 },
      tick: 59
    ),
    Looks(
      testDescription: "every second a burst, which takes three looks",
      times: (0...24).map { $0 / 3 * 1_000 + $0 % 3 * 30 },
      hasMore: { $0 % 1_000 < 60 },
      tick: 8
    ),
    Looks(
      testDescription: "every second a message greater than a batch",
      times: [0, 1_000, 2_000],
      tick: 2,
      size: 2 << 20
    ),
  ]

  @Test("time passes once what waited at the broker is through, and not before", arguments: cases)
  func catchUp(script: Looks) throws {
    let scratch = try Scratch()
    let start: Int64 = 1_700_000_000_000
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: nil,
      limits: StationLimits(),
      logger: Fixture.quiet,
      now: start
    )
    let link = ScriptedLink()
    link.size = script.size
    var ticks: [Int] = []
    for (number, time) in script.times.enumerated() {
      link.hasMore = script.hasMore(time)
      let batch = try #require(
        stages.collect(from: link, timeoutMilliseconds: 0) { start + time }
      )
      if batch.inputs.records.last?.kind == .tick { ticks.append(number) }
    }
    #expect(ticks.first == script.tick)
  }
}
