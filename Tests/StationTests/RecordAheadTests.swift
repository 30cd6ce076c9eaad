import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// A journal that does something amid each commit, when nothing of it is kept yet.
private final class WatchedJournal: JournalStore {
  private let store = MemoryJournal(disk: FaultyDisk(seed: 1))
  let amid = Mutex<(@Sendable () -> Void)?>(nil)

  var lastSequence: UInt64 { store.lastSequence }

  func append(_ inputs: [JournalInput], firstSequence: UInt64) throws {
    try append(JournalBatch(inputs), firstSequence: firstSequence)
  }

  func append(_ batch: borrowing JournalBatch, firstSequence: UInt64) throws {
    amid.withLock { $0 }?()
    try store.append(batch, firstSequence: firstSequence)
  }

  func read(from sequence: UInt64, limit: Int) throws -> [JournalRecord] {
    try store.read(from: sequence, limit: limit)
  }
}

@Suite("What is written of the ledger while the journal commits")
struct RecordAheadTests {
  /// A station that knows the demonstration's site, of which one sensor's alarm has been evaluated.
  private struct Plant {
    let scratch: Scratch
    let journal = WatchedJournal()
    let ledger: SQLiteLedger
    let stages: Stages
    let batch: InputBatch

    init(disk: FaultyDisk? = nil) throws {
      scratch = try Scratch()
      ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
      let now: Int64 = 1_700_000_000_000
      let store: any LedgerStore
      if let disk { store = FaultyLedger(store: ledger, disk: disk) } else { store = ledger }
      stages = try Stages(
        catalog: try Fixture.catalog(),
        journal: journal,
        ledger: store,
        snapshots: nil,
        limits: StationLimits(),
        logger: Fixture.quiet,
        now: now
      )
      stages.waitsForJournal = true
      while try stages.record(isUrgent: true) {}
      let inputs = JournalBatch([Fixture.reading(9, at: now + 1000)])
      batch = InputBatch(inputs, firstSequence: stages.exchange.durable + 1)
      stages.evaluate(batch, at: 0)
    }
  }

  @Test("a transaction is not in force before the journal is, and given up where that takes long")
  func heldBack() throws {
    let plant = try Plant()
    let (stages, ledger) = (plant.stages, plant.ledger)
    let before = try (ledger.head.sequence, ledger.position)
    #expect(try !stages.record(isUrgent: false))
    let tried = Mutex<[Bool]>([])
    plant.journal.amid.withLock { amid in
      amid = {
        // Nothing comes of the second either: it does not even begin.
        for _ in 0..<2 {
          let isWritten = (try? stages.record(isUrgent: false)) ?? true
          tried.withLock { $0.append(isWritten) }
        }
      }
    }
    try stages.commit(plant.batch)
    #expect(tried.withLock { $0 } == [false, false])
    #expect(try (ledger.head.sequence, ledger.position) == before)
    #expect(try Fixture.alarms(of: ledger).isEmpty)
    #expect(stages.exchange.faults.ledger == nil)

    #expect(try stages.record(isUrgent: false))
    #expect(try Fixture.alarms(of: ledger).count == 1)
    #expect(try ledger.position == plant.batch.lastSequence)
  }

  @Test("a position that is due anyway waits for the journal too, and is tried once until then")
  func urgent() throws {
    let plant = try Plant()
    let stages = plant.stages
    let seen = Mutex<[Bool]>([])
    plant.journal.amid.withLock { amid in
      amid = {
        let isComing = stages.hasSomethingToRecord
        let isWritten = (try? stages.record(isUrgent: true)) ?? true
        let isLeft = stages.hasSomethingToRecord
        seen.withLock { $0 = [isComing, isWritten, isLeft] }
      }
    }
    try stages.commit(plant.batch)
    #expect(seen.withLock { $0 } == [true, false, false])
    #expect(try stages.record(isUrgent: true))
    #expect(try plant.ledger.position == plant.batch.lastSequence)
  }

  @Test("nothing is written ahead where a ledger that fails has to be handed the same again")
  func failed() throws {
    let plant = try Plant()
    let stages = plant.stages
    try plant.ledger.close()
    let seen = Mutex<[Bool]>([])
    plant.journal.amid.withLock { amid in
      amid = {
        let hasFailed = (try? stages.record(isUrgent: false)) == nil
        let isWritten = (try? stages.record(isUrgent: false)) ?? true
        seen.withLock { $0 = [hasFailed, isWritten, stages.hasSomethingToRecord] }
      }
    }
    try stages.commit(plant.batch)
    #expect(seen.withLock { $0 } == [true, false, false])
    #expect(stages.hasSomethingToRecord)
  }

  @Test("at a stop the journal is not waited for, and what it has is written")
  func stopping() throws {
    let plant = try Plant()
    let stages = plant.stages
    let seen = Mutex<[Bool]>([])
    plant.journal.amid.withLock { amid in
      amid = {
        stages.exchange.stop()
        seen.withLock { $0 = [stages.hasSomethingToRecord] }
      }
    }
    try stages.commit(plant.batch)
    #expect(seen.withLock { $0 } == [false])
    #expect(try stages.record(isUrgent: true))
    #expect(try Fixture.alarms(of: plant.ledger).count == 1)
  }

  @Test("a transaction is in force as soon as the journal is", .timeLimit(.minutes(2)))
  func written() async throws {
    let plant = try Plant()
    let (stages, ledger) = (plant.stages, plant.ledger)
    let end = plant.batch.lastSequence
    let hasBegun = DispatchSemaphore(value: 0)
    let isDone = DispatchSemaphore(value: 0)
    let seen = Mutex<UInt64>(.max)
    plant.journal.amid.withLock { amid in
      amid = {
        Thread.detachNewThread {
          hasBegun.signal()
          // (A machine that is busy for longer than a transaction waits has it begin again.)
          while (try? stages.record(isUrgent: false)) == false {}
          isDone.signal()
        }
        hasBegun.wait()
        seen.withLock { $0 = (try? ledger.position) ?? .max }
      }
    }
    try stages.commit(plant.batch)
    isDone.wait()
    #expect(seen.withLock { $0 } < end)
    #expect(try ledger.position == end)
    #expect(try Fixture.alarms(of: ledger).count == 1)
  }

  @Test("a transaction whose answer is lost is handed in again as it was", .timeLimit(.minutes(2)))
  func lost() throws {
    let disk = FaultyDisk(seed: 3)
    let plant = try Plant(disk: disk)
    let stages = plant.stages
    let isDone = DispatchSemaphore(value: 0)
    disk.set(refuseOneIn: 0, loseAnswerOneIn: 1, isDead: false)
    plant.journal.amid.withLock { amid in
      amid = {
        Thread.detachNewThread {
          while (try? stages.record(isUrgent: false)) == false {}
          isDone.signal()
        }
      }
    }
    try stages.commit(plant.batch)
    isDone.wait()
    #expect(stages.exchange.faults.ledger != nil)
    #expect(try plant.ledger.position == plant.batch.lastSequence)

    disk.set(refuseOneIn: 0, loseAnswerOneIn: 0, isDead: false)
    plant.journal.amid.withLock { $0 = nil }
    let more = InputBatch(
      JournalBatch([Fixture.reading(9, at: 1_700_000_002_000)]),
      firstSequence: plant.batch.lastSequence + 1
    )
    stages.evaluate(more, at: 0)
    try stages.commit(more)
    while try stages.record(isUrgent: true) {}
    let alarms = try Fixture.alarms(of: plant.ledger)
    #expect(!alarms.isEmpty && Set(alarms).count == alarms.count)
    #expect(try plant.ledger.position == more.lastSequence)
    #expect(try stages.exchange.head == plant.ledger.head.sequence)
  }

  @Test("a store that cannot hold a batch back asks before it begins")
  func asked() throws {
    let plant = try Plant()
    let store = FaultyLedger(store: plant.ledger, disk: FaultyDisk(seed: 2))
    let position = try store.position + 1
    #expect(throws: LedgerError.notCovered(position: position)) {
      try store.append([], rejects: [], position: position) { false }
    }
    try store.append([], rejects: [], position: position) { true }
    #expect(try store.position == position)
  }
}
