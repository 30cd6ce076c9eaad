import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Telemetry
import Testing

/// The deterministic heart: what comes out depends on the records alone.
@Suite("Station core")
struct StationCoreTests {
  static let start: Int64 = 1_760_000_000_000

  static func catalogInput(
    _ catalog: Catalog,
    at received: Int64 = start,
    level: RulesLevel = .newest
  ) throws -> JournalInput {
    struct Payload: Encodable {
      struct Source: Encodable {
        var path: String
        var text: String
      }
      /// Nil: of a station that had no levels of rules.
      var level: Int?
      var sources: [Source]
    }
    let payload = Payload(
      level: level == .first ? nil : level.rawValue,
      sources: catalog.sources.map { Payload.Source(path: $0.path, text: $0.text) }
    )
    return JournalInput(
      kind: .catalog,
      received: received,
      topic: Array("catalog".utf8),
      payload: Array(try JSONEncoder().encode(payload))
    )
  }

  static func reading(
    _ value: Double,
    at time: Int64,
    device: String = "ch4_n",
    received: Int64? = nil,
    properties: [(String, String)] = []
  ) -> JournalInput {
    JournalInput(
      received: received ?? time,
      topic: Array(Fixture.topic.utf8),
      payload: Array(
        #"{"device":"\#(device)","point":"ch4","t":\#(time),"v":\#(value)}"#.utf8
      ),
      qos: 1,
      properties: properties
    )
  }

  @Test("the readings of a message are judged in the order of their times, however it lists them")
  func packed() throws {
    typealias Listed = (device: String, time: Int64, value: Double)
    func steps(_ listed: [Listed], level: RulesLevel) throws -> [String] {
      let core = StationCore()
      let readings = listed.map {
        #"{"device":"\#($0.device)","point":"ch4","t":\#($0.time),"v":\#($0.value)}"#
      }
      let message = JournalInput(
        received: Self.start + 60_000,
        topic: Array(Fixture.topic.utf8),
        payload: Array("[\(readings.joined(separator: ","))]".utf8),
        qos: 1
      )
      let output = core.process(
        JournalBatch([try Self.catalogInput(Fixture.catalog(), level: level), message]),
        firstSequence: 1
      )
      #expect(output.latest.count == listed.count)
      return try Self.bodies(output).map { "\($0.point) \($0.rule) \($0.event.rawValue)" }
    }
    var listed: [Listed] = []
    for (index, value) in [9.0, 1, 9, 1].enumerated() {
      for device in ["ch4_n", "ch4_s"] {
        listed.append((device, Self.start + Int64(index) * 1000, value))
      }
    }
    let inOrder = try steps(listed, level: .newest)
    #expect(inOrder.filter { $0.hasSuffix("H raised") }.count == 4)
    let byPoint = listed.filter { $0.device == "ch4_n" } + listed.filter { $0.device == "ch4_s" }
    #expect(try steps(byPoint, level: .newest) == inOrder)
    #expect(try steps(listed.reversed(), level: .newest).sorted() == inOrder.sorted())
    // A journal of older rules goes by them.
    #expect(try steps(listed.reversed(), level: .first) != inOrder)
  }

  static func act(
    _ kind: String,
    alarm: String,
    at received: Int64,
    actor: String = "wang"
  ) -> JournalInput {
    let payload =
      #"{"act":"\#(kind)","actor":"\#(actor)","alarm":"\#(alarm)","reason":"seen"}"#
    return JournalInput(
      kind: .command,
      received: received,
      topic: Array("act".utf8),
      payload: Array(payload.utf8)
    )
  }

  static func bodies(_ output: CoreOutput) throws -> [AlarmBody] {
    try output.drafts.filter { $0.kind == .alarm }.map { try AlarmBody(decoding: $0.body) }
  }

  @Test("a core restored from a snapshot at any record goes on as if nothing had been")
  func snapshotAnywhere() throws {
    let catalog = try Fixture.catalog()
    var generator = SeededGenerator(seed: 7)
    var inputs = [try Self.catalogInput(catalog)]
    for second in 0..<200 {
      let time = Self.start + Int64(second) * 1_000
      let value = [2, 4.6, 6, 25][Int.random(in: 0..<4, using: &generator)]
      inputs.append(Self.reading(value, at: time, received: time + 40))
      if second % 17 == 0 { inputs.append(JournalInput(kind: .tick, received: time + 500)) }
      if second % 31 == 0 {
        inputs.append(
          JournalInput(received: time + 600, topic: Array("nowhere".utf8), payload: [1])
        )
      }
    }
    let whole = StationCore()
    let expected = whole.process(JournalBatch(inputs), firstSequence: 1)
    #expect(try Self.bodies(expected).count > 20)
    for cut in stride(from: 1, to: inputs.count, by: 7) {
      let before = StationCore()
      let first = before.process(JournalBatch(Array(inputs[..<cut])), firstSequence: 1)
      let after = try StationCore(snapshot: before.snapshot())
      #expect(after.position == UInt64(cut))
      let second = after.process(
        JournalBatch(Array(inputs[cut...])),
        firstSequence: UInt64(cut) + 1
      )
      #expect(first.drafts + second.drafts == expected.drafts, "cut at \(cut)")
    }
  }

  @Test("a snapshot with any byte changed is refused, never half used")
  func damagedSnapshot() throws {
    let core = StationCore()
    _ = core.process(
      JournalBatch([
        try Self.catalogInput(Fixture.catalog()), Self.reading(9, at: Self.start),
      ]),
      firstSequence: 1
    )
    let bytes = core.snapshot()
    for at in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 200)) {
      var damaged = bytes
      damaged[at] ^= 0x20
      #expect(throws: (any Error).self, "byte \(at)") { try StationCore(snapshot: damaged) }
    }
    #expect(throws: (any Error).self) { try StationCore(snapshot: Array(bytes.dropLast(9))) }
    #expect(throws: (any Error).self) { try StationCore(snapshot: []) }
  }

  @Test("the recorded receive time is believed of a replay source and of nobody else")
  func recordedReceiveTime() throws {
    let old = Self.start - 400 * 86_400_000
    for isReplaySource in [true, false] {
      let core = StationCore()
      let catalog = try Fixture.catalog(isReplaySource: isReplaySource)
      let output = core.process(
        JournalBatch([
          try Self.catalogInput(catalog),
          Self.reading(
            9,
            at: old,
            received: Self.start,
            properties: [(StationCore.receivedProperty, "\(old + 30)")]
          ),
        ]),
        firstSequence: 1
      )
      let raised = try #require(try Self.bodies(output).first { $0.event == .raised })
      #expect(
        raised.received.milliseconds == (isReplaySource ? old + 30 : Self.start),
        "replay source: \(isReplaySource)"
      )
    }
  }

  @Test("during a catch-up no deadline fires; the backlog is judged first")
  func catchUp() throws {
    let catalog = try Fixture.catalog()
    let stale = try #require(catalog.channels.first?.staleMilliseconds)
    let outage = stale + 60_000
    func run(catchesUp: Bool) throws -> [AlarmBody] {
      let core = StationCore()
      var inputs = [try Self.catalogInput(catalog)]
      // Devices report on; the station is away from second 10 on and then finds everything at once.
      for second in 0..<10 {
        let time = Self.start + Int64(second) * 1_000
        inputs.append(Self.reading(2, at: time, received: time + 20))
      }
      let back = Self.start + outage
      if catchesUp {
        inputs.append(
          JournalInput(kind: .tick, received: back, topic: Array("catch-up".utf8))
        )
      }
      for second in 10..<Int(outage / 1_000) {
        let time = Self.start + Int64(second) * 1_000
        inputs.append(Self.reading(2, at: time, received: back + Int64(second / 50)))
      }
      inputs.append(JournalInput(kind: .tick, received: back + 1_000))
      let output = core.process(JournalBatch(inputs), firstSequence: 1)
      return try Self.bodies(output).filter { $0.point.contains("/ch4_n/") && $0.event == .raised }
    }
    #expect(try run(catchesUp: true).isEmpty)
    #expect(try !run(catchesUp: false).isEmpty, "without it the channel goes stale for a moment")
  }

  @Test(
    "an act amid a catch-up fires no deadline either; by the rules before it did",
    arguments: [RulesLevel.areas, .notices]
  )
  func actAmidCatchUp(level: RulesLevel) throws {
    let catalog = try Fixture.catalog()
    let stale = try #require(catalog.channels.first?.staleMilliseconds)
    let back = Self.start + stale + 60_000
    let core = StationCore()
    let raised = try Self.bodies(
      core.process(
        JournalBatch([
          try Self.catalogInput(catalog, level: level), Self.reading(9, at: Self.start),
        ]),
        firstSequence: 1
      )
    )
    let alarm = try #require(raised.first { $0.event == .raised }).alarm
    var inputs = [
      JournalInput(kind: .tick, received: back, topic: Array("catch-up".utf8)),
      Self.act("acknowledge", alarm: alarm, at: back + 10),
    ]
    for time in stride(from: Self.start + 1_000, to: back, by: 1_000) {
      inputs.append(Self.reading(9, at: time, received: back + 20))
    }
    inputs.append(JournalInput(kind: .tick, received: back + 1_000))
    let bodies = try Self.bodies(core.process(JournalBatch(inputs), firstSequence: 3))
    #expect(bodies.contains { $0.event == .acknowledged })
    let silences = bodies.filter { $0.point.contains("/ch4_n/") && $0.rule == "stale" }
    #expect(silences.isEmpty == (level >= .areas))
  }

  @Test("an act carries who and why; one that does not apply is refused on record")
  func acts() throws {
    let core = StationCore()
    let raised = try Self.bodies(
      core.process(
        JournalBatch([
          try Self.catalogInput(Fixture.catalog()), Self.reading(9, at: Self.start),
        ]),
        firstSequence: 1
      )
    )
    let alarm = try #require(raised.first { $0.event == .raised }).alarm
    let output = core.process(
      JournalBatch([
        Self.act("acknowledge", alarm: alarm, at: Self.start + 1_000),
        Self.act("acknowledge", alarm: alarm, at: Self.start + 2_000),
        Self.act("acknowledge", alarm: "no/such#H@1", at: Self.start + 3_000),
        Self.act("dance", alarm: alarm, at: Self.start + 4_000),
      ]),
      firstSequence: 3
    )
    let acknowledged = try #require(try Self.bodies(output).first)
    #expect(acknowledged.event == .acknowledged)
    #expect(acknowledged.state == .acknowledged)
    #expect(acknowledged.actor == "wang" && acknowledged.reason == "seen")
    #expect(output.acts.map { $0.refusal == nil } == [true, false, false, false])
    #expect(output.drafts.filter { $0.kind == .system }.count == 3)
    for (row, act) in output.acts.enumerated() {
      #expect(act.sequence == UInt64(3 + row))
      #expect(output.drafts[act.draftIndex].origin == act.sequence)
    }
  }

  @Test("an alarm that returns while it is shelved has ended; unshelving leaves nothing behind")
  func returnWhileShelved() throws {
    let scratch = try Scratch()
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    let core = StationCore()
    func feed(_ inputs: [JournalInput]) throws -> CoreOutput {
      let output = core.process(JournalBatch(inputs), firstSequence: core.position + 1)
      _ = try ledger.append(
        output.drafts,
        rejects: output.rejects,
        position: output.position
      )
      return output
    }
    let raised = try Self.bodies(
      try feed([try Self.catalogInput(Fixture.catalog()), Self.reading(9, at: Self.start)])
    )
    let alarm = try #require(raised.first { $0.event == .raised }).alarm
    let shelve =
      #"{"act":"shelve","actor":"wang","alarm":"\#(alarm)","reason":"test","until":\#(Self.start + 600_000)}"#
    let shelved = try feed([
      JournalInput(
        kind: .command,
        received: Self.start + 1_000,
        topic: Array("act".utf8),
        payload: Array(shelve.utf8)
      )
    ])
    #expect(shelved.acts.first?.refusal == nil)
    let returned = try Self.bodies(try feed([Self.reading(2, at: Self.start + 2_000)]))
    #expect(returned.first { $0.alarm == alarm && $0.event == .returned }?.state == .normal)
    _ = try feed([Self.act("unshelve", alarm: alarm, at: Self.start + 3_000)])
    #expect(try ledger.standingAlarms().map(\.id) == [])
  }

  @Test(
    "nothing is silenced by the name of an earlier alarm; by the rules before it was",
    arguments: [RulesLevel.areas, .notices]
  )
  func silencedByAnotherName(level: RulesLevel) throws {
    let core = StationCore()
    let inputs = [
      try Self.catalogInput(Fixture.catalog(), level: level), Self.reading(9, at: Self.start),
      Self.reading(2, at: Self.start + 10_000), Self.reading(9, at: Self.start + 20_000),
    ]
    let output = core.process(JournalBatch(inputs), firstSequence: 1)
    let raised = try Self.bodies(output).filter { $0.event == .raised }
    let alarm = try #require(raised.first).alarm
    try #require(raised.contains { $0.rule == raised[0].rule && $0.alarm != alarm })
    let act = core.process(
      JournalBatch([Self.act("shelveOnce", alarm: alarm, at: Self.start + 25_000)]),
      firstSequence: core.position + 1
    )
    #expect(act.acts.first?.refusal == (level >= .areas ? .unknownAlarm(alarm) : nil))
    #expect(try Self.bodies(act).map(\.event) == (level >= .areas ? [] : [.shelved]))
  }

  @Test("refusals are tallied by reason, topic and device; a flood costs one row")
  func rejects() throws {
    let core = StationCore()
    var inputs = [try Self.catalogInput(Fixture.catalog())]
    for second in 0..<500 {
      inputs.append(Self.reading(1, at: Self.start + Int64(second), device: "ghost"))
    }
    inputs.append(
      JournalInput(received: Self.start, topic: Array(Fixture.topic.utf8), payload: [0xff])
    )
    inputs.append(Self.reading(2, at: Self.start + 1_000))
    let output = core.process(JournalBatch(inputs), firstSequence: 1)
    let ghost = try #require(output.rejects.first { $0.reason == "unknownDevice" })
    #expect(ghost.count == 500 && ghost.firstSequence == 2 && ghost.lastSequence == 501)
    #expect(output.rejects.count == 2)
    #expect(core.readingCount == 1)
  }

  @Test("what a sender writes is kept by bytes, however few characters it makes")
  func longNames() throws {
    let core = StationCore()
    let long = String(repeating: "\u{301}", count: 20_000)
    let topic = Fixture.topic + "/A" + long
    let inputs = [
      try Self.catalogInput(Fixture.catalog()),
      Self.reading(1, at: Self.start, device: "A" + long),
      JournalInput(received: Self.start, topic: Array(topic.utf8), payload: [0xff]),
    ]
    let output = core.process(JournalBatch(inputs), firstSequence: 1)
    #expect(output.rejects.count == 2)
    for reject in output.rejects {
      let texts = [reject.topic, reject.device, reject.detail]
      #expect(texts.allSatisfy { $0.utf8.count <= 512 && !$0.contains("\u{FFFD}") })
    }
    #expect(output.rejects.contains { $0.device.utf8.count > 500 })
  }
}
