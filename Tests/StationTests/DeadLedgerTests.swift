import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// A link that brings one message a look: a refused one, and then what raises an alarm or lets it return.
private final class TricklingLink: IntakeLink, Sendable {
  struct Seen {
    var taken = 0
    var acknowledged = 0
    /// Looks at the connection since the last message.
    var keptAlive = 0
  }

  let seen = Mutex(Seen())

  func poll(timeoutMilliseconds: Int, limit: Int, bytes: Int) -> LinkReport {
    // A poll waits for its socket; one that did not would keep a processor for itself.
    Thread.sleep(forTimeInterval: 0.0005)
    return LinkReport(state: "connected")
  }

  func take(received: Int64, into batch: inout JournalBatch) {
    let number = seen.withLock { seen in
      seen.taken += 1
      seen.keptAlive = 0
      return seen.taken
    }
    if number % 2 == 0 {
      let value = number % 4 == 0 ? 9 : 1
      let payload = #"{"device":"ch4_n","point":"ch4","v":\#(value)}"#
      batch.append(
        JournalInput(
          received: received,
          topic: Array(Fixture.topic.utf8),
          payload: Array(payload.utf8),
          qos: 1
        )
      )
    } else {
      batch.append(
        JournalInput(received: received, topic: Array("t".utf8), payload: [0x20], qos: 1)
      )
    }
  }

  func acknowledge() { seen.withLock { $0.acknowledged = $0.taken } }
  func keepAlive() { seen.withLock { $0.keptAlive += 1 } }
  func stop() {}
}

@Suite("A ledger that takes nothing while the journal does")
struct DeadLedgerTests {
  @Test(
    "stops the reading before memory is the limit, tells alarms all the same, and loses nothing",
    .timeLimit(.minutes(4))
  )
  func backPressure() async throws {
    let scratch = try Scratch()
    let disk = FaultyDisk(seed: 1)
    let journal = MemoryJournal(disk: FaultyDisk(seed: 2))
    let store = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    var limits = StationLimits()
    limits.waitingDrafts = 200
    limits.waitingInputs = 20
    limits.unrecordedAfter = 50
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: journal,
      ledger: FaultyLedger(store: store, disk: disk),
      snapshots: nil,
      limits: limits,
      logger: Fixture.quiet,
      now: SystemClocks().wall()
    )
    let link = TricklingLink()
    let station = LiveStation(stages: stages, clocks: SystemClocks(), logger: Fixture.quiet)
    station.start(makeLink: { link }, announcer: nil)
    defer { station.stop() }
    try await wait(until: "alarms are recorded") { try Fixture.alarms(of: store).count >= 2 }

    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: true)
    // What was refused takes next to no room: drafts are what stops it.
    try await wait(until: "nothing is read any more, and the connection is kept") {
      stages.exchange.waitingDrafts >= 100 && link.seen.withLock { $0.keptAlive >= 50 }
    }
    let standstill = link.seen.withLock(\.taken)
    #expect(standstill - Int(try store.position) < 1_000)
    // What has been journalled is acknowledged; all that is read later waits at the broker.
    try await wait(until: "alarms are told unrecorded") {
      let told = stages.exchange.news(after: NewsCursor(ledger: .max))?.unrecorded ?? []
      return told.count >= 10
    }
    #expect(link.seen.withLock { $0.taken } == standstill)

    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: false)
    try await wait(until: "reading goes on") {
      link.seen.withLock { $0.acknowledged > standstill + 400 }
    }
    let end = journal.lastSequence
    try await wait(until: "the ledger has come as far") { try store.position >= end }
    station.stop()

    // The same journal in one go gives the same alarms in the same order.
    let position = Int(try store.position)
    let core = StationCore()
    let inputs = journal.all.prefix(position).map(\.input)
    let expected = core.process(JournalBatch(inputs), firstSequence: 1)
    let steps = try StationCoreTests.bodies(expected).map { "\($0.alarm) \($0.event.rawValue)" }
    #expect(try Fixture.alarms(of: store) == steps)
    let refused = try store.rejects(limit: 100).reduce(0) { $0 + $1.count }
    #expect(refused == expected.rejects.reduce(0) { $0 + $1.count })
  }

  @Test("a catalog is in force although the ledger cannot say so", .timeLimit(.minutes(4)))
  func catalog() async throws {
    let scratch = try Scratch()
    let disk = FaultyDisk(seed: 1)
    let store = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    var limits = StationLimits()
    limits.actTimeout = .seconds(1)
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: MemoryJournal(disk: FaultyDisk(seed: 2)),
      ledger: FaultyLedger(store: store, disk: disk),
      snapshots: nil,
      limits: limits,
      logger: Fixture.quiet,
      now: SystemClocks().wall()
    )
    let station = LiveStation(stages: stages, clocks: SystemClocks(), logger: Fixture.quiet)
    station.start(makeLink: { TricklingLink() }, announcer: nil)
    defer { station.stop() }
    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: true)
    let next = try Fixture.catalog(isReplaySource: true)
    #expect(next.version != station.catalog.version)
    let receipt = try await station.putInForce(next)
    #expect(receipt == nil)
    #expect(station.catalog.version == next.version)
  }

  @Test("what was refused takes a line of its kind, and every one of it is counted")
  func refusals() {
    let exchange = Exchange(durable: 0, position: 0, head: 0)
    let end: UInt64 = 5_000
    for position in 1...end {
      let time = Timestamp(milliseconds: Int64(position))
      var output = CoreOutput(position: position)
      output.rejects = [
        RejectTally(
          reason: position % 3 == 0 ? "badValue" : "unknownTopic",
          topic: "t\(position % 400)",
          firstSequence: position,
          lastSequence: position,
          firstTime: time,
          lastTime: time
        )
      ]
      if position % 10 == 0 {
        output.drafts = [
          LedgerDraft(
            time: time,
            kind: .system,
            subject: "\(position)",
            actor: "engine",
            body: [],
            origin: position
          )
        ]
      }
      exchange.enqueue(output, at: Int64(position))
      exchange.setDurable(position)
      _ = exchange.announceOverdue(at: Int64(position), limit: 200)
    }
    let ready = exchange.readyOutputs(limit: .max)
    let rejects = ready.flatMap(\.rejects)
    #expect(ready.count < 300)
    #expect(rejects.count < 600)
    #expect(rejects.reduce(0) { $0 + $1.count } == Int64(end))
    for reason in ["badValue", "unknownTopic"] {
      let count = rejects.filter { $0.reason == reason }.reduce(0) { $0 + $1.count }
      #expect(count == Int64(reason == "badValue" ? end / 3 : end - end / 3))
    }
    #expect(ready.flatMap(\.drafts).map(\.origin) == Array(stride(from: 10, through: end, by: 10)))
    #expect(ready.last?.position == end)
    exchange.didCommit(count: ready.count, position: end, entries: 1...Int64(end / 10))
    #expect(exchange.waitingDrafts == 0)
  }

  @Test("what says nothing but how far the journal has come takes no memory", arguments: [1, 7])
  func positions(behind: UInt64) {
    let exchange = Exchange(durable: 0, position: 0, head: 0)
    var filled = CoreOutput(position: 1)
    filled.rejects = [
      RejectTally(
        reason: "unknownTopic",
        topic: "t",
        device: "",
        count: 1,
        firstSequence: 1,
        lastSequence: 1,
        firstTime: .init(milliseconds: 0),
        lastTime: .init(milliseconds: 0),
        detail: "",
        sample: []
      )
    ]
    exchange.enqueue(filled, at: 0)
    exchange.setDurable(1)
    // A commit of it fails, and is tried again as it was whatever comes meanwhile.
    #expect(exchange.readyOutputs(limit: 9).map(\.position) == [1])
    for position in 2...10_000 as ClosedRange<UInt64> {
      exchange.enqueue(CoreOutput(position: position), at: Int64(position))
      exchange.setDurable(position - min(position - 1, behind))
    }
    #expect(exchange.readyOutputs(limit: 9, attempted: 1).map(\.position) == [1])
    exchange.didCommit(count: 1, position: 1, entries: nil)
    let ready = exchange.readyOutputs(limit: 9).map(\.position)
    #expect(ready.count < 200)
    // However few are left, the ledger's position comes as far as the journal is durable.
    #expect(ready.last == 10_000 - behind)
    #expect(ready == ready.sorted())
  }
}
