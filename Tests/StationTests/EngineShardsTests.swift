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

  /// A fleet with a device of every family, and more where `extra` says so, with every incident that it can have.
  static func options(
    seed: UInt64,
    seconds: Int,
    extra: Int = 0,
    faultsOneIn: Int = 0
  ) -> FleetOptions {
    FleetOptions(
      seed: seed,
      devices: Catalog.deviceExamples(devices: FleetTests.devices).count + extra,
      start: FleetTests.start,
      seconds: seconds,
      incidents: .max,
      faultsOneIn: faultsOneIn
    )
  }

  /// What a fleet sends, in order, one list for each of its turns.
  static func turns(_ catalog: Catalog, _ options: FleetOptions) -> [[JournalInput]] {
    var fleet = Fleet(options: options, catalog: catalog)
    var turns: [[JournalInput]] = []
    var received = options.start
    while let messages = fleet.next() {
      var turn: [JournalInput] = []
      for message in messages {
        received = max(received, message.time + 40)
        turn.append(
          JournalInput(
            received: received,
            topic: Array(message.topic.utf8),
            payload: message.payload,
            qos: message.qos
          )
        )
      }
      turn.append(JournalInput(kind: .tick, received: received + 1))
      turns.append(turn)
    }
    return turns
  }

  /// A catalog, and then what its fleet sends.
  static func inputs(_ catalog: Catalog, _ options: FleetOptions) throws -> [JournalInput] {
    try [StationCoreTests.catalogInput(catalog, at: options.start)]
      + turns(catalog, options).joined()
  }

  /// The head of the ledger that so many engines make of the inputs.
  static func head(
    _ inputs: [JournalInput],
    _ shards: EngineShards
  ) throws -> (sequence: Int64, hash: [UInt8]) {
    let scratch = try Scratch()
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    var replay = Replay(into: ledger, shards: shards)
    try replay.process(JournalBatch(inputs))
    return try ledger.head
  }

  /// Holds the ledgers of two and three engines to that of one, which has more than so many entries.
  static func expectSameLedgers(_ inputs: [JournalInput], entries: Int64) throws {
    let expected = try head(inputs, .one)
    #expect(expected.sequence > entries)
    for count in [2, 3] {
      let found = try head(inputs, EngineShards(count: count, team: beside))
      #expect(found == expected, "\(count) engines")
    }
  }

  @Test("the ledger over two and three engines is that of one, byte for byte")
  func sameLedger() throws {
    let options = Self.options(seed: 11, seconds: 12, faultsOneIn: 40)
    try Self.expectSameLedgers(
      Self.inputs(FleetTests.catalog(options), options),
      entries: 200
    )
  }

  @Test("a snapshot is gone on from by another number of engines")
  func otherNumber() throws {
    let options = Self.options(seed: 12, seconds: 10)
    let inputs = try Self.inputs(FleetTests.catalog(options), options)
    try Self.expectSameFromSnapshots(inputs, drafts: 50)
  }

  /// Holds runs that stop at several places and go on with another number of engines to the run of one engine, which has
  /// more than so many drafts.
  static func expectSameFromSnapshots(_ inputs: [JournalInput], drafts: Int) throws {
    let core = StationCore()
    let whole = core.process(JournalBatch(inputs), firstSequence: 1)
    let report = core.engineReport()
    #expect(whole.drafts.count > drafts)
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
      #expect(first.acts.map(\.refusal) + second.acts.map(\.refusal) == whole.acts.map(\.refusal))
      let now = after.engineReport()
      #expect(now.clocks == report.clocks, "clocks, cut at \(cut)")
      #expect(now.rules == report.rules, "behaviour of rules, cut at \(cut)")
      #expect(now.lanes == report.lanes, "counters, cut at \(cut)")
      #expect(after.inhibited == core.inhibited, "inhibited rules, cut at \(cut)")
    }
  }

  // MARK: - Acts and changes of catalog

  /// The catalog with a rule that another condition suppresses by design; no profile that is shipped has one.
  static func suppressing(_ catalog: Catalog) throws -> Catalog {
    let result = Catalog.load(
      sources: catalog.sources.map { path, text in
        guard path.hasSuffix("fence-line-methane.yaml") else { return (path, text) }
        let rule = "        level: H\n"
        return (path, text.replacing(rule, with: rule + "        suppress-when: ch4 < 5 ppm\n"))
      }
    )
    let changed = try #require(result.catalog, "\(result.findings)")
    try #require(changed.enginePlan.rules.contains { $0.suppression != nil })
    return changed
  }

  /// What people do with an alarm, an act a turn, whether it applies or not; alarms take these lists in turn.
  static let acts: [[OperatorAct.Kind]] = [
    [.acknowledge, .reset, .shelve, .unshelve], [.removeFromService, .note, .returnToService],
    [.shelveOnce, .acknowledge, .unshelve], [.shelve, .removeFromService, .note, .note, .note],
    [.note, .acknowledge, .acknowledge, .reset],
  ]

  /// A fleet under three catalogs, with people at work on every alarm.
  ///
  /// From a third of the way on the catalog lacks some devices and the suppression, in the last third they are back, so
  /// that alarms end with their rules, rows move, and what people did to a rule has to outlast the change.
  static func lived(seed: UInt64) throws -> [JournalInput] {
    let options = options(seed: seed, seconds: 18, extra: 12)
    let whole = try suppressing(FleetTests.catalog(options))
    let part = try FleetTests.catalog(Self.options(seed: seed, seconds: 18))
    let turns = turns(whole, options)
    let core = StationCore()
    var inputs: [JournalInput] = []
    var alarms: [(id: String, acts: ArraySlice<OperatorAct.Kind>)] = []
    var raised = 0
    func feed(_ input: JournalInput) throws {
      inputs.append(input)
      let output = core.process(JournalBatch([input]), firstSequence: core.position + 1)
      for body in try StationCoreTests.bodies(output) where body.event == .raised {
        alarms.append((body.alarm, Self.acts[raised % Self.acts.count][...]))
        raised += 1
      }
    }
    try feed(StationCoreTests.catalogInput(whole, at: options.start))
    for (number, turn) in turns.enumerated() {
      for input in turn { try feed(input) }
      let now = inputs[inputs.count - 1].received
      for row in alarms.indices {
        guard let next = alarms[row].acts.popFirst() else { continue }
        try feed(act(next, alarm: alarms[row].id, at: now))
      }
      if number == turns.count / 3 { try feed(StationCoreTests.catalogInput(part, at: now)) }
      if number == turns.count * 2 / 3 { try feed(StationCoreTests.catalogInput(whole, at: now)) }
    }
    return inputs
  }

  private static func act(
    _ kind: OperatorAct.Kind,
    alarm: String,
    at received: Int64
  ) -> JournalInput {
    let until = kind == .shelve ? #","until":\#(received + 3_000)"# : ""
    return JournalInput(
      kind: .command,
      received: received,
      topic: Array("act".utf8),
      payload: Array(
        #"{"act":"\#(kind)","actor":"wang","alarm":"\#(alarm)","reason":"seen"\#(until)}"#.utf8
      )
    )
  }

  @Test(
    "acts and catalogs that change while it runs: the same ledger from one, two and three engines",
    arguments: [21, 22] as [UInt64]
  )
  func livedLedger(seed: UInt64) throws {
    let inputs = try Self.lived(seed: seed)
    let whole = StationCore().process(JournalBatch(inputs), firstSequence: 1)
    let events = Set(try StationCoreTests.bodies(whole).map(\.event))
    let wanted: Set<AlarmBody.Event> = [
      .raised, .returned, .acknowledged, .shelved, .unshelved, .suppressed, .unsuppressed,
      .removedFromService, .returnedToService,
    ]
    #expect(wanted.isSubset(of: events), "\(wanted.subtracting(events)) did not happen")
    #expect(whole.acts.contains { $0.refusal == nil } && whole.acts.contains { $0.refusal != nil })
    try Self.expectSameLedgers(inputs, entries: 200)
  }

  @Test("nor do a snapshot amid acts and changes and another number of engines after it")
  func livedSnapshots() throws {
    try Self.expectSameFromSnapshots(Self.lived(seed: 23), drafts: 200)
  }
}
