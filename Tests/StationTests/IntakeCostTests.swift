import DeviceCatalog
import Foundation
import Glibc
import HazardLedger
import Journal
import Logging
import Simulation
import Station
import Testing

/// What a reading costs on its way, held against the size of the plant: the fault that every other test passes is a
/// copy of everything at every reading.
@Suite("Cost of intake")
struct IntakeCostTests {
  static func quiet() -> Logger {
    Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  }

  /// Processor seconds of this thread.
  static func used() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// What one reading takes from the journal's batch to the engine's output and what is shown of it, in seconds, once
  /// every device has reported.
  static func cost(devices: Int, seconds: Int) throws -> Double {
    let options = FleetOptions(
      seed: 5,
      devices: devices,
      formats: [.davyJSON],
      start: FleetTests.start,
      seconds: seconds,
      incidents: 0
    )
    let catalog = try FleetTests.catalog(options)
    var fleet = Fleet(options: options, catalog: catalog)
    let scratch = try Scratch()
    let stages = try Stages(
      catalog: catalog,
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: nil,
      trends: try TrendStore(path: scratch.file("trends.sqlite"), outlets: []),
      limits: StationLimits(),
      logger: quiet(),
      now: options.start
    )
    var sequence: UInt64 = 1
    var seen = 0
    var (spent, readings) = (0.0, 0.0)
    while let messages = fleet.next() {
      guard !messages.isEmpty else { continue }
      let batch = InputBatch(
        JournalBatch(messages.map(\.arrival)),
        firstSequence: sequence + 1
      )
      sequence = batch.lastSequence
      let before = stages.counters.readingCount
      let start = used()
      stages.evaluate(batch, at: messages[0].time)
      let took = used() - start
      seen += 1
      guard seen > 2 else { continue }
      spent += took
      readings += Double(stages.counters.readingCount - before)
    }
    #expect(readings > 5_000)
    return spent / readings
  }

  @Test("a reading costs the same in a plant of twenty devices and in one of a thousand")
  func independentOfPlant() throws {
    // The least of three: another's work on this machine makes a run dearer, never cheaper.
    let few = try (0..<3).map { _ in try Self.cost(devices: 20, seconds: 250) }.min() ?? 0
    let many = try (0..<3).map { _ in try Self.cost(devices: 1_000, seconds: 5) }.min() ?? 0
    #expect(many < 4 * few, "\(many * 1e9) ns a reading instead of \(few * 1e9)")
  }
}
