import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Telemetry
import Testing

/// What waits for somebody who fetches it: once, whatever crashes in between.
@Suite("Reading outlets") struct OutletTests {
  static let topic = "davy/v1/metec/gw-1/readings"

  static func message(_ device: String, _ value: Double, at time: Int64) -> JournalInput {
    JournalInput(
      received: time,
      topic: Array(topic.utf8),
      payload: Array(#"{"device":"\#(device)","point":"ch4","v":\#(value),"t":\#(time)}"#.utf8),
      qos: 1
    )
  }

  @Test(
    "patterns of points",
    arguments: [
      ("#", "acme/plant/tanks/T-1/level", true), ("acme/#", "acme/plant/tanks/T-1/level", true),
      ("acme/+/+/+/level", "acme/plant/tanks/T-1/level", true),
      ("acme/+/+/level", "acme/plant/tanks/T-1/level", false),
      ("acme/+/+/+/level", "acme/plant/tanks/T-1/level/x", false),
      ("acme/plant/tanks/T-1/level", "acme/plant/tanks/T-1/level", true),
      ("acme/plant", "acme/plant/tanks", false), ("other/#", "acme/plant", false),
    ]
  )
  func patterns(pattern: String, path: String, fits: Bool) throws {
    #expect(try #require(PointPattern(pattern)).matches(path) == fits)
  }

  @Test("what is no pattern", arguments: ["", "a//b", "#/a", "a/b#", "a/+b", "/a"])
  func noPatterns(text: String) { #expect(PointPattern(text) == nil) }

  @Test(
    "crash at any write: each chosen reading has one number, and no number has two",
    arguments: 1...10 as ClosedRange<UInt64>
  )
  func crashes(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let scratch = try Scratch()
    let journal = MemoryJournal(disk: FaultyDisk(seed: seed))
    let catalog = try Site.catalog()
    let outlet = ReadingOutlet(
      name: "relay",
      readings: [ReadingOutlet.Rule(points: try #require(PointPattern("#")))],
      minutes: [try #require(PointPattern("#"))]
    )
    let start: Int64 = 1_700_000_000_000
    var sent = 0
    for _ in 0..<4 {
      let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
      let trends = try TrendStore(path: scratch.file("trends.sqlite"), outlets: [outlet])
      let stages = try Stages(
        catalog: catalog,
        journal: journal,
        ledger: ledger,
        snapshots: nil,
        trends: trends,
        limits: StationLimits(),
        logger: quiet,
        now: start
      )
      var sequence = journal.lastSequence
      for _ in 0..<50 {
        let input = Self.message("ch4_n", 2, at: start + Int64(sent) * 7_000)
        sent += 1
        sequence += 1
        let batch = InputBatch(JournalBatch([input]), firstSequence: sequence)
        try stages.commit(batch)
        stages.evaluate(batch, at: input.received)
        _ = try stages.record(isUrgent: true)
        if Int.random(in: 0..<9, using: &generator) == 0 {
          trends.seal()
          // A seal without its write is what a crash leaves.
          if Bool.random(using: &generator) { try trends.write(durable: stages.exchange.durable) }
        }
      }
    }
    let trends = try TrendStore(path: scratch.file("trends.sqlite"), outlets: [outlet])
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    _ = try Stages(
      catalog: catalog,
      journal: journal,
      ledger: ledger,
      snapshots: nil,
      trends: trends,
      limits: StationLimits(),
      logger: quiet,
      now: start
    )
    for _ in 0..<2 {
      trends.seal()
      try trends.write(durable: journal.lastSequence)
    }
    let readings = try trends.readings(for: "relay", after: 0, limit: 10_000)
    #expect(readings.map(\.number) == Array(1...Int64(sent)), "SEED=\(seed)")
    #expect(readings.map(\.time.milliseconds) == (0..<sent).map { start + Int64($0) * 7_000 })
    let minutes = try trends.minutes(for: "relay", ripe: .distantFuture, limit: 10_000)
    #expect(Set(minutes.map(\.minute.minute)).count == minutes.count)
    #expect(minutes.reduce(0) { $0 + $1.minute.count } == Int64(sent), "SEED=\(seed)")
  }

  @Test("a period, a change of value, a change of status: what is chosen, and what is not")
  func rules() throws {
    let scratch = try Scratch()
    let outlet = ReadingOutlet(
      name: "relay",
      readings: [
        ReadingOutlet.Rule(
          points: try #require(PointPattern("+/+/+/ch4_n/ch4")),
          every: 60_000,
          change: 5
        )
      ],
      readingLimit: 3
    )
    let trends = try TrendStore(path: scratch.file("trends.sqlite"), outlets: [outlet])
    let stages = try RelayTests.stages(scratch, trends: trends)
    let start: Int64 = 1_700_000_000_000
    var sequence: UInt64 = 1
    func feed(_ device: String, _ value: Double, _ second: Int64) throws {
      sequence += 1
      let input = Self.message(device, value, at: start + second * 1_000)
      let batch = InputBatch(JournalBatch([input]), firstSequence: sequence)
      try stages.commit(batch)
      stages.evaluate(batch, at: input.received)
    }
    func write() throws -> [RelayBatch.Reading] {
      trends.seal()
      try trends.write(durable: stages.exchange.durable)
      return try trends.readings(for: "relay", after: 0, limit: 100)
    }
    try feed("ch4_n", 2, 0)
    try feed("ch4_e", 2, 0)
    try feed("ch4_n", 6, 10)
    try feed("ch4_n", 8, 20)
    try feed("ch4_n", 8, 50)
    #expect(try write().map(\.value) == [2, 8])
    try feed("ch4_n", 9, 80)
    try feed("ch4_n", 20, 81)
    try feed("ch4_n", 2, 82)
    // Three wait at most: the oldest went, and that is counted.
    #expect(try write().map(\.value) == [9, 20, 2])
    let waiting = try trends.waiting(for: "relay")
    #expect(waiting.readings == 3 && waiting.dropped == 2, "\(waiting)")
    try trends.confirmReadings(for: "relay", through: 4)
    #expect(try trends.readings(for: "relay", after: 0, limit: 9).map(\.number) == [5])
    // A receiver that knows more numbers than there are: the file was begun anew.
    try trends.renumber("relay", beyond: 1_000)
    let renumbered = try trends.readings(for: "relay", after: 1_000, limit: 9)
    #expect(renumbered.map(\.value) == [2])
    try feed("ch4_n", 30, 83)
    let last = try #require(try write().last)
    #expect(last.value == 30 && last.number == (renumbered.first?.number ?? 0) + 1)
    // One that claims all numbers there are makes none overflow, however often it says so.
    for _ in 0..<3 { try trends.renumber("relay", beyond: .max) }
    #expect(try trends.readings(for: "relay", after: 1 << 60, limit: 9).map(\.value) == [2, 30])
  }
}
