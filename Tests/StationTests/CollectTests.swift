import HazardLedger
import Journal
import Simulation
import Station
import Testing

/// A link that has one message of some size at every poll.
private final class SteadyLink: IntakeLink {
  private let size: Int

  init(size: Int) { self.size = size }

  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    LinkReport(state: "connected")
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
  @Test(
    "a batch that its size has cut leaves something at the broker, and no tick passes that",
    arguments: [(size: 100, ticks: true), (size: 1_000, ticks: false)]
  )
  func cut(size: Int, ticks: Bool) throws {
    let scratch = try Scratch()
    var limits = StationLimits()
    limits.batchBytes = 1_000
    let start: Int64 = 1_700_000_000_000
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: nil,
      limits: limits,
      logger: Fixture.quiet,
      now: start
    )
    let link = SteadyLink(size: size)
    var kinds: [[JournalInput.Kind]] = []
    for time in [start, start + limits.settleMilliseconds + 1] {
      let batch = try #require(stages.collect(from: link, timeoutMilliseconds: 0) { time })
      kinds.append(batch.inputs.records.map(\.kind))
    }
    #expect(kinds == [[.tick, .message], ticks ? [.message, .tick] : [.message]])
  }
}
