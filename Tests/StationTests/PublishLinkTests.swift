import Foundation
import HazardLedger
import Journal
import MQTTTransport
import Simulation
import Station
import Synchronization
import Testing

/// Clocks that go on when they are told to.
private final class HandClocks: StationClocks {
  static let start: Int64 = 1_795_000_000_000
  let passed = Atomic<Int64>(0)

  func wall() -> Int64 { Self.start + monotonic() }
  func monotonic() -> Int64 { passed.load(ordering: .relaxed) }
}

/// A link that stands and brings nothing.
private final class QuietLink: IntakeLink, Sendable {
  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    // A poll waits for its socket; one that did not would keep a processor for itself.
    Thread.sleep(forTimeInterval: 0.0005)
    return LinkReport(state: "connected")
  }
  func take(received: Int64, into batch: inout JournalBatch) {}
  func acknowledge() {}
  func keepAlive() {}
  func stop() {}
}

@Suite("Connections that Davy sends over")
struct PublishLinkTests {
  private static let up = LinkState.connected(
    LinkSession(version: .v5, sessionPresent: false, keepAlive: .seconds(30))
  )
  private static let refused = LinkState.waiting(.refused(0x87), attempt: 1, delay: .seconds(1))

  @Test("one that is down is a fault after a while, with the reason of the last attempt")
  func patience() {
    var link = PublishLink(at: 0)
    link.note(Self.up, at: 1_000)
    #expect(link.isConnected)
    link.note(Self.refused, at: 2_000)
    link.note(.connecting(attempt: 2), at: 31_000)
    #expect(!link.isConnected && link.fault(at: 31_000) == nil)
    #expect(link.fault(at: 31_001)?.contains("not authorized") == true)
    link.note(Self.up, at: 40_000)
    #expect(link.fault(at: 40_000) == nil)
  }

  @Test(
    "readings that come in while no alarm can be sent do not look well, and a stop waits for the publisher",
    .timeLimit(.minutes(4))
  )
  func station() async throws {
    let scratch = try Scratch()
    let clocks = HandClocks()
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: nil,
      limits: StationLimits(),
      logger: Fixture.quiet,
      now: clocks.wall()
    )
    let publisher = AnnouncerTests.Publisher(room: 100)
    publisher.set(Self.refused)
    let station = LiveStation(stages: stages, clocks: clocks, logger: Fixture.quiet)
    let announcer = Announcer(
      publisher: publisher,
      cursorFile: scratch.file("cursor"),
      start: 0,
      logger: Fixture.quiet
    )
    station.start(makeLink: { QuietLink() }, announcer: announcer)
    defer { station.stop() }
    try await wait(until: "the link is seen to be down") {
      station.metrics().contains("davy_publish_connected{link=\"alarms\"} 0\n")
        && station.status().link == "connected"
    }
    clocks.passed.store(PublishLink.patience + 1, ordering: .relaxed)
    #expect(station.status().link == "degraded")
    #expect(station.status().linkReason.contains("alarms over: broker refuses the connection"))
    publisher.set(Self.up)
    try await wait(until: "the link is seen to stand") { station.status().link == "connected" }
    #expect(station.metrics().contains("davy_publish_connected{link=\"alarms\"} 1\n"))
    station.stop()
    #expect(publisher.isStopped)
  }
}
