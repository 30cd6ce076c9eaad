import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// Minutes are what their readings make of them, whatever crashes in between.
@Suite("Trends")
struct TrendStoreTests {
  /// What the store should hold: every reading once.
  private static func expected(_ readings: [(time: Int64, value: Double)]) -> [MinuteReduction] {
    var minutes: [Int64: MinuteReduction] = [:]
    for reading in readings {
      let part = MinuteReduction(time: reading.time, value: reading.value)
      if minutes[part.minute]?.merge(part) == nil { minutes[part.minute] = part }
    }
    return minutes.values.sorted { $0.minute < $1.minute }
  }

  @Test("a file that is none of trends is put aside, and another begun", arguments: [true, false])
  func damaged(isDatabase: Bool) throws {
    let scratch = try Scratch()
    let path = scratch.file("trends.sqlite")
    if isDatabase {
      try SQLiteLedger(path: path, station: "test").close()
      var bytes = try #require(FileManager.default.contents(atPath: path))
      bytes.replaceSubrange(4_096..., with: repeatElement(0x55, count: bytes.count - 4_096))
      try bytes.write(to: URL(fileURLWithPath: path))
    } else {
      try Data(repeating: 0x55, count: 8_192).write(to: URL(fileURLWithPath: path))
    }
    let before = try #require(FileManager.default.contents(atPath: path))
    let trends = try TrendStore.open(path: path, now: 7, logger: Fixture.quiet)
    #expect(try trends.minutes(of: "a/b/c/d/e", from: .distantPast, to: .distantFuture).isEmpty)
    #expect(FileManager.default.contents(atPath: path + ".damaged-7") == before)
    _ = try TrendStore(path: path)
  }

  @Test("a place where no file can be is told with its name")
  func noPlace() throws {
    let scratch = try Scratch()
    let path = scratch.file("missing/trends.sqlite")
    do {
      _ = try TrendStore.open(path: path, now: 7, logger: Fixture.quiet)
      Issue.record("opened")
    } catch {
      #expect(error.description.contains(path))
    }
  }

  @Test(
    "crash at any write: every reading is in its minute once",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func crashes(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let scratch = try Scratch()
    let journal = MemoryJournal(disk: FaultyDisk(seed: seed))
    let catalog = try Fixture.catalog()
    let path = try #require(catalog.channels.first { $0.path.hasSuffix("/ch4_n/ch4") }).path
    let start: Int64 = 1_700_000_000_000
    var readings: [(time: Int64, value: Double)] = []
    var sequence: UInt64 = 0
    for run in 0..<4 {
      let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
      let trends = try TrendStore(path: scratch.file("trends.sqlite"))
      let stages = try Stages(
        catalog: catalog,
        journal: journal,
        ledger: ledger,
        snapshots: nil,
        trends: trends,
        limits: StationLimits(),
        logger: Fixture.quiet,
        now: start
      )
      sequence = journal.lastSequence
      for _ in 0..<60 {
        let time = start + Int64(readings.count) * 7_000
        let value = Double(Int.random(in: 0..<40, using: &generator))
        readings.append((time, value))
        sequence += 1
        try stages.take(Fixture.reading(value, at: time), sequence: sequence)
        if Int.random(in: 0..<9, using: &generator) == 0 {
          trends.seal()
          // A seal without its write is what a crash leaves.
          if Int.random(in: 0..<3, using: &generator) > 0 {
            try trends.write(durable: stages.exchange.durable)
          }
        }
      }
      let found = try trends.minutes(
        of: path,
        from: Timestamp(milliseconds: start),
        to: Timestamp(milliseconds: start + 100_000_000)
      )
      let expected = Self.expected(readings)
      #expect(found.count == expected.count, "SEED=\(seed) run \(run)")
      for (found, expected) in zip(found, expected) where found != expected {
        Issue.record("SEED=\(seed) run \(run): \(found), not \(expected)")
        return
      }
    }
  }

  @Test("trends of a longer journal that is gone take in what comes into a new one")
  func otherJournal() throws {
    let scratch = try Scratch()
    let catalog = try Fixture.catalog()
    let path = try #require(catalog.channels.first { $0.path.hasSuffix("/ch4_n/ch4") }).path
    let trends = try TrendStore(path: scratch.file("trends.sqlite"))
    trends.add(CoreOutput(position: 1_000), catalog: catalog)
    trends.seal()
    try trends.write(durable: 1_000)
    let start: Int64 = 1_700_000_000_000
    let stages = try Stages(
      catalog: catalog,
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: nil,
      trends: trends,
      limits: StationLimits(),
      logger: Fixture.quiet,
      now: start
    )
    #expect(trends.writtenPosition == 0)
    try stages.take(Fixture.reading(7, at: start), sequence: 2)
    trends.seal()
    try trends.write(durable: stages.exchange.durable)
    let again = try TrendStore(path: scratch.file("trends.sqlite"))
    #expect(again.position == 2)
    let found = try again.minutes(of: path, from: .distantPast, to: .distantFuture)
    #expect(found.map(\.count) == [1])
  }

  /// Behind which inputs the journal was told to prune.
  private final class Floors: Sendable {
    let told = Mutex<[UInt64]>([])
  }

  /// A station that takes a snapshot every ten inputs.
  private static func pruned(
    _ scratch: Scratch,
    trends: TrendStore? = nil
  ) throws -> (stages: Stages, folder: SnapshotFolder, floors: Floors) {
    let folder = try SnapshotFolder(path: scratch.file("snapshots"))
    var limits = StationLimits()
    limits.snapshotEvery = 10
    let stages = try Stages(
      catalog: try Fixture.catalog(),
      journal: MemoryJournal(disk: FaultyDisk(seed: 1)),
      ledger: try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test"),
      snapshots: folder,
      trends: trends,
      limits: limits,
      logger: Fixture.quiet,
      now: 0
    )
    let floors = Floors()
    stages.prune = { _, floor in
      floors.told.withLock { $0.append(floor) }
      return 0
    }
    return (stages, folder, floors)
  }

  @Test("trends that are never written keep neither snapshots nor pruning back for good")
  func snapshots() throws {
    let scratch = try Scratch()
    let trends = try TrendStore(path: scratch.file("trends.sqlite"))
    let (stages, folder, floors) = try Self.pruned(scratch, trends: trends)
    var positions: [[UInt64]] = []
    for sequence in 2...45 as ClosedRange<UInt64> {
      var input = Fixture.message(#"{"device":"ch4_n","point":"ch4","v":1}"#)
      input.received = Int64(sequence) * 1_000
      try stages.take(input, sequence: sequence)
      positions.append(try folder.positions())
    }
    // Each waits until the next one is due, not longer, and is not replaced by it.
    #expect(positions[15].isEmpty)
    #expect(positions[20] == [10])
    #expect(positions[43].first == 30)
    #expect(floors.told.withLock { $0 } == [10, 10])
    // With the trends there it does not wait.
    trends.seal()
    try trends.write(durable: stages.exchange.durable)
    _ = try stages.record(isUrgent: true)
  }

  @Test("a folder that takes no snapshots does not stop the pruning behind those it has")
  func pruning() throws {
    let scratch = try Scratch()
    let (stages, folder, floors) = try Self.pruned(scratch)
    for sequence in 2...25 as ClosedRange<UInt64> {
      // A folder under the name of the file that is to be written: as a full disk would refuse it.
      if sequence == 15 {
        try FileManager.default.createDirectory(
          atPath: scratch.file("snapshots/snapshot-20.davy.part"),
          withIntermediateDirectories: true
        )
      }
      try stages.take(JournalInput(kind: .tick, received: Int64(sequence)), sequence: sequence)
    }
    #expect(try folder.positions() == [10])
    #expect(floors.told.withLock { $0 } == [10, 10])
  }

  @Test("trends that cannot be written are dropped before memory is the limit, and counted")
  func dropped() throws {
    let scratch = try Scratch()
    var options = TrendOptions()
    options.maximumUnwritten = 3
    let trends = try TrendStore(path: scratch.file("trends.sqlite"), options: options)
    let catalog = try Fixture.catalog()
    for position in 1...10 as ClosedRange<UInt64> {
      var output = CoreOutput(position: position)
      let time = Timestamp(milliseconds: Int64(position) * 60_000)
      output.latest = [
        CoreOutput.ChannelReading(
          channel: 0,
          reading: LatestReading(time: time, received: time, value: 1, status: .normal)
        )
      ]
      trends.add(output, catalog: catalog)
      if position == 2 { trends.seal() }
    }
    #expect(trends.dropped == 8)
    // What was on its way into the file comes there, and the position says how far is looked no more.
    try trends.write(durable: 10)
    let minutes = try trends.minutes(
      of: catalog.channels[0].path,
      from: Timestamp(milliseconds: 0),
      to: Timestamp(milliseconds: 6_000_000)
    )
    #expect(minutes.map(\.minute) == [60_000, 120_000])
  }

  @Test("what is not durable is not written")
  func durableFirst() throws {
    let scratch = try Scratch()
    let trends = try TrendStore(path: scratch.file("trends.sqlite"))
    var output = CoreOutput(position: 9)
    output.latest = [
      CoreOutput.ChannelReading(
        channel: 0,
        reading: LatestReading(
          time: Timestamp(milliseconds: 60_000),
          received: Timestamp(milliseconds: 60_000),
          value: 3,
          status: .normal
        )
      )
    ]
    trends.add(output, catalog: try Fixture.catalog())
    trends.seal()
    try trends.write(durable: 8)
    #expect(trends.writtenPosition == 0)
    try trends.write(durable: 9)
    #expect(trends.writtenPosition == 9)
  }

  @Test("parts of a minute merge to the same in any order")
  func anyOrder() {
    let parts = [(1, 5.0), (2, 9.0), (3, 9.0), (4, -1.0)].map {
      MinuteReduction(time: Int64($0.0), value: $0.1)
    }
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]]
    let merged = orders.map { order in
      order.dropFirst().reduce(into: parts[order[0]]) { $0.merge(parts[$1]) }
    }
    for minute in merged {
      #expect(minute == merged[0])
      #expect(minute.maximumTime == 2 && minute.first == 5 && minute.last == -1)
    }
  }
}
