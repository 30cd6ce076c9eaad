import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
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
        var input = Fixture.message(
          #"{"device":"ch4_n","point":"ch4","v":\#(value),"t":\#(time)}"#
        )
        input.received = time
        sequence += 1
        let batch = InputBatch(JournalBatch([input]), firstSequence: sequence)
        try stages.commit(batch)
        stages.evaluate(batch, at: time)
        _ = try stages.record(isUrgent: true)
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
