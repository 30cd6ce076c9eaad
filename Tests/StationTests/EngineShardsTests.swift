import AlarmEngine
import DeviceCatalog
import Dispatch
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Testing

/// Over how many engines a station's devices are spread is nothing that the ledger could tell.
@Suite("Engine shards")
struct EngineShardsTests {
  /// Shards on threads of their own.
  static let beside = ShardTeam { count, work in
    DispatchQueue.concurrentPerform(iterations: count) { work($0) }
  }

  /// What a fleet of all families sends, with incidents and faults, and ticks between its messages.
  static func inputs(_ catalog: Catalog, _ options: FleetOptions) throws -> [JournalInput] {
    var fleet = Fleet(options: options, catalog: catalog)
    var inputs = [try StationCoreTests.catalogInput(catalog, at: options.start)]
    var received = options.start
    while let messages = fleet.next() {
      for message in messages {
        received = max(received, message.time + 40)
        inputs.append(
          JournalInput(
            received: received,
            topic: Array(message.topic.utf8),
            payload: message.payload,
            qos: message.qos
          )
        )
      }
      inputs.append(JournalInput(kind: .tick, received: received + 1))
    }
    return inputs
  }

  @Test("the ledger over two and three engines is that of one, byte for byte")
  func sameLedger() throws {
    let examples = Catalog.deviceExamples(devices: FleetTests.devices)
    let options = FleetOptions(
      seed: 11,
      devices: examples.count,
      start: FleetTests.start,
      seconds: 12,
      incidents: .max,
      faultsOneIn: 40
    )
    let catalog = try FleetTests.catalog(options)
    let inputs = try Self.inputs(catalog, options)
    func ledger(_ shards: EngineShards) throws -> (hash: String, entries: Int64) {
      let scratch = try Scratch()
      let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
      var replay = Replay(into: ledger, shards: shards)
      try replay.process(JournalBatch(inputs))
      let head = try ledger.head
      return ("\(head.hash)", head.sequence)
    }
    let expected = try ledger(.one)
    #expect(expected.entries > 200)
    for count in [2, 3] {
      let found = try ledger(EngineShards(count: count, team: Self.beside))
      #expect(found == expected, "\(count) engines")
    }
  }

  @Test("a snapshot is gone on from by another number of engines")
  func otherNumber() throws {
    let examples = Catalog.deviceExamples(devices: FleetTests.devices)
    let options = FleetOptions(
      seed: 12,
      devices: examples.count,
      start: FleetTests.start,
      seconds: 10,
      incidents: .max
    )
    let catalog = try FleetTests.catalog(options)
    let inputs = try Self.inputs(catalog, options)
    let core = StationCore()
    let whole = core.process(JournalBatch(inputs), firstSequence: 1)
    let report = core.engineReport()
    #expect(whole.drafts.count > 50)
    for (number, cut) in stride(from: 1, to: inputs.count, by: inputs.count / 3).enumerated() {
      let shards = EngineShards(count: 1 + number % 3, team: Self.beside)
      let before = StationCore(shards: shards)
      let first = before.process(JournalBatch(Array(inputs[..<cut])), firstSequence: 1)
      let after = try StationCore(
        snapshot: before.snapshot(),
        shards: EngineShards(count: 1 + (number + 1) % 3, team: Self.beside)
      )
      let second = after.process(
        JournalBatch(Array(inputs[cut...])),
        firstSequence: UInt64(cut) + 1
      )
      #expect(first.drafts + second.drafts == whole.drafts, "cut at \(cut)")
      let now = after.engineReport()
      #expect(now.clocks == report.clocks, "clocks, cut at \(cut)")
      #expect(now.rules == report.rules, "behaviour of rules, cut at \(cut)")
      #expect(now.lanes == report.lanes, "counters, cut at \(cut)")
    }
  }
}
