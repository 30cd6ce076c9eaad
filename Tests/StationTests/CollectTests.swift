import HazardLedger
import Journal
import Simulation
import Station
import Testing

/// A link that brings at every look what the script says.
private final class ScriptedLink: IntakeLink {
  var messages = 0
  var size = 0

  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    LinkReport(state: "connected")
  }

  func take(received: Int64, into batch: inout JournalBatch) {
    for _ in 0..<messages {
      batch.append(
        JournalInput(
          received: received,
          topic: Array("t".utf8),
          payload: [UInt8](repeating: 0x20, count: size)
        )
      )
    }
  }

  func acknowledge() {}
  func keepAlive() {}
  func stop() {}
}

@Suite("Intake")
struct CollectTests {
  /// A link that has just come up and is looked at ten times a second for 6 s, with 256 messages, 4,000 bytes at most.
  struct Plant: CustomTestStringConvertible, Sendable {
    var testDescription: String
    /// What a look brings: messages and the size of each, by the number of the look.
    var brings: @Sendable (Int) -> (messages: Int, size: Int)
    var isBehind = false
    /// Looks that are not taken.
    var pause: ClosedRange<Int>?
    /// Milliseconds after which time passes at last.
    var tick: Int64?
  }

  static let plants: [Plant] = [
    Plant(testDescription: "a message every 100 ms", brings: { _ in (1, 100) }, tick: 2_000),
    Plant(testDescription: "nothing at all", brings: { _ in (0, 0) }, tick: 2_000),
    Plant(testDescription: "what waited comes without a pause", brings: { _ in (256, 5) }),
    Plant(testDescription: "the same, cut by its size", brings: { _ in (11, 400) }),
    Plant(
      testDescription: "what waited is through after 1.5 s, and then a message every 100 ms",
      brings: { $0 <= 15 ? (256, 5) : (1, 100) },
      tick: 3_500
    ),
    Plant(
      testDescription: "what waited comes with pauses of 400 ms",
      brings: { $0 % 5 == 0 ? (256, 5) : (0, 0) }
    ),
    Plant(
      testDescription: "what waited comes with two pauses of 600 ms",
      brings: { 10...15 ~= $0 || 30...35 ~= $0 ? (0, 0) : (256, 5) }
    ),
    Plant(
      testDescription: "nothing is taken for 3 s, and then all that waits",
      brings: { $0 == 0 ? (256, 5) : (11, 400) },
      pause: 1...30
    ),
    Plant(
      testDescription: "every second a burst of three looks, less than is taken at once",
      brings: { $0 % 10 < 3 ? (11, 400) : (2, 100) },
      tick: 2_300
    ),
    Plant(
      testDescription: "every second a message greater than a batch",
      brings: { $0 % 10 == 0 ? (1, 10_000) : (1, 100) },
      tick: 2_100
    ),
    Plant(
      testDescription: "every second more than is taken at once, and a message every 100 ms",
      brings: { $0 % 10 == 0 ? (256, 5) : $0 % 10 == 1 ? (50, 5) : (1, 100) },
      tick: 2_700
    ),
    Plant(
      testDescription: "every second more bytes than are taken at once, and a message every 100 ms",
      brings: { $0 % 10 < 4 ? (24, 400) : (1, 100) },
      tick: 2_900
    ),
    Plant(
      testDescription: "the same, while the disk is behind and the broker waits for it",
      brings: { $0 % 10 == 0 ? (256, 50) : (0, 0) },
      isBehind: true
    ),
  ]

  @Test("time passes once what waited at the broker is through, and not before", arguments: plants)
  func catchUp(plant: Plant) throws {
    let scratch = try Scratch()
    let start: Int64 = 1_700_000_000_000
    var limits = StationLimits()
    limits.batchMessages = 256
    limits.batchBytes = 4_000
    limits.batchBytesSlow = 32_000
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: nil,
      limits: limits,
      logger: Fixture.quiet,
      now: start
    )
    let link = ScriptedLink()
    var tick: Int64?
    for number in 0...60 where tick == nil && plant.pause?.contains(number) != true {
      (link.messages, link.size) = plant.brings(number)
      let time = Int64(number) * 100
      let batch = stages.collect(from: link, timeoutMilliseconds: 0, isBehind: plant.isBehind) {
        start + time
      }
      // The first of all is the mark of the catch-up.
      if batch?.inputs.records.dropFirst(number == 0 ? 1 : 0).last?.kind == .tick { tick = time }
    }
    #expect(tick == plant.tick)
  }
}
