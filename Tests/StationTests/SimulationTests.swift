import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Testing

/// The whole station on a virtual clock: whatever fails on the way, the ledger ends with the clean run's alarms.
@Suite("Simulation")
struct SimulationTests {
  static let devices = ["ch4_n", "ch4_e", "ch4_s", "ch4_w"].map {
    SimulatedDevice(topic: Fixture.topic, device: $0, point: "ch4")
  }

  static var seeds: [UInt64] {
    if let text = ProcessInfo.processInfo.environment["SEED"], let seed = UInt64(text) {
      return [seed]
    }
    return Array(1...(ProcessInfo.processInfo.environment["DAVY_SOAK"] == nil ? 200 : 5_000))
  }

  struct Run {
    var outcome: SimulationRun.Outcome
    var verification: LedgerVerifier.Report
  }

  static func run(_ seed: UInt64, hasFaults: Bool, catalog: Catalog) throws -> Run {
    let scratch = try Scratch()
    let path = scratch.file("ledger.sqlite")
    var holder: SQLiteLedger?
    var run = try SimulationRun(
      SimulationRun.Plan(seed: seed, hasFaults: hasFaults),
      catalog: catalog,
      devices: devices,
      snapshots: try SnapshotFolder(path: scratch.file("snapshots")),
      logger: Fixture.quiet
    ) {
      // The crashed process's connection goes before the next one's comes.
      try holder?.close()
      holder = nil
      let ledger = try SQLiteLedger(path: path, station: "simulated")
      holder = ledger
      return ledger
    }
    let outcome = try run.run()
    return Run(outcome: outcome, verification: try LedgerVerifier(path: path).verify())
  }

  /// Replays a run's journal, so many records at a time, and holds each ledger to the run's own.
  static func expectReplay(
    of live: SimulationRun.Outcome,
    pages: [Int],
    _ note: String
  ) throws {
    for page in pages {
      let scratch = try Scratch()
      let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "simulated")
      var replay = Replay(into: ledger)
      for start in stride(from: 0, to: live.records.count, by: page) {
        let records = live.records[start..<min(start + page, live.records.count)]
        try replay.process(JournalBatch(records.map(\.input)))
      }
      #expect(try ledger.head.hash == live.head, "\(note), \(page) records at a time")
    }
  }

  @Test("a faulted run ends with the clean run's alarms, each once", arguments: seeds)
  func faultsChangeNothing(seed: UInt64) throws {
    let catalog = try Self.shared.get()
    let clean = try Self.run(seed, hasFaults: false, catalog: catalog).outcome
    let faulted = try Self.run(seed, hasFaults: true, catalog: catalog)
    let outcome = faulted.outcome
    #expect(
      outcome.alarms.sorted() == clean.alarms.sorted(),
      """
      SEED=\(seed): only clean \(Set(clean.alarms).subtracting(outcome.alarms).sorted().prefix(5)), \
      only faulted \(Set(outcome.alarms).subtracting(clean.alarms).sorted().prefix(5))
      """
    )
    #expect(
      Set(outcome.alarms).count == outcome.alarms.count,
      "SEED=\(seed): an alarm step twice"
    )
    #expect(
      Set(outcome.acknowledged).isSubset(of: Set(outcome.journalled)),
      "SEED=\(seed): acknowledged but not in the journal"
    )
    #expect(
      outcome.acknowledged.count == outcome.published,
      "SEED=\(seed): not everything acknowledged"
    )
    #expect(
      faulted.verification.isIntact,
      "SEED=\(seed): \(faulted.verification.findings)"
    )
  }

  @Test("the faulted run's journal replays to a byte-identical ledger", arguments: seeds.prefix(40))
  func replayIsLive(seed: UInt64) throws {
    let catalog = try Self.shared.get()
    let live = try Self.run(seed, hasFaults: true, catalog: catalog).outcome
    try Self.expectReplay(of: live, pages: [1, 7, 1_000], "SEED=\(seed)")
  }

  @Test("the faults do happen, and the plant does alarm")
  func faultsHappen() throws {
    let catalog = try Self.shared.get()
    let runs = try (1...20).map {
      try Self.run(UInt64($0), hasFaults: true, catalog: catalog).outcome
    }
    #expect(runs.reduce(0) { $0 + $1.crashes } >= 20)
    #expect(runs.reduce(0) { $0 + $1.diskFaults } >= 50)
    #expect(runs.reduce(0) { $0 + $1.unrecorded } >= 1)
    #expect(runs.reduce(0) { $0 + $1.journalled.count - $1.published } >= 20, "no redelivery")
    #expect(runs.allSatisfy { $0.alarms.count >= 4 })
  }

  /// Loaded once: every case uses the same catalog.
  static let shared = Result { try Fixture.catalog() }
}
