import Callout
import DeviceCatalog
import Foundation
import HTTPTestSupport
import HazardLedger
import Journal
import Relay
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// What a station passes on is in the ledger above once, whatever fails in between.
@Suite("Upward relay") struct UpwardTests {
  static func relay(
    _ lower: Lower,
    to url: String,
    trends: TrendStore? = nil,
    _ sender: HTTPSender
  ) -> UpwardRelay {
    relay(lower, by: HTTPRelayLine(url: url, key: nil, sender: sender), trends: trends)
  }

  /// A relay that gives word often and waits little.
  static func relay(
    _ lower: Lower,
    by line: any RelayLine,
    trends: TrendStore? = nil
  ) -> UpwardRelay {
    var options = UpwardRelay.Options(
      heartbeat: .milliseconds(200),
      outlet: trends == nil ? nil : "relay"
    )
    options.firstPause = .milliseconds(5)
    options.longestPause = .milliseconds(20)
    return UpwardRelay(
      options: options,
      ledger: lower.ledger,
      trends: trends,
      news: { [ledger = lower.ledger] _, _ in
        // Nobody rings here: who waits for news looks again soon.
        try? await Task.sleep(for: .milliseconds(5))
        return (try? ledger.head.sequence) ?? 0
      },
      line: line,
      clock: { 1_760_000_000_000 },
      logger: quiet
    )
  }

  /// Runs a relay until the station above has everything, and ends it as a kill does: in the middle of whatever it does.
  static func run(
    _ relay: UpwardRelay,
    until isDone: @escaping @Sendable (UpwardRelay.Status) -> Bool
  ) async throws {
    let task = Task { await relay.run() }
    let result: Result<Void, any Error>
    do {
      try await RelayTests.until({ isDone(relay.status) }, comment: "\(relay.status)")
      result = .success(())
    } catch {
      result = .failure(error)
    }
    task.cancel()
    // Two runs at once would take each other's answers.
    await task.value
    try result.get()
  }

  /// The entries above that come from below, by the sequence they have there.
  private static func relayed(_ ledger: any LedgerStore) throws -> [(sequence: Int64, hash: String)]
  {
    try entries(ledger, [.alarm, .hazard]).map { entry in
      let body = try JSONValue(parsing: try #require(entry.body))
      let origin = try #require(body["origin"])
      #expect(origin["station"]?.text == "county")
      return (
        try #require(origin["sequence"]?.wholeNumber), try #require(origin["hash"]?.text)
      )
    }
  }

  static func expectAll(of lower: Lower, in upper: any LedgerStore) throws {
    let expected = try entries(lower.ledger, [.alarm, .hazard])
    let found = try relayed(upper)
    #expect(found.map(\.sequence) == expected.map(\.sequence))
    #expect(found.map(\.hash) == expected.map(\.hash.hex))
  }

  @Test("outages of either side, lost answers and repeats: nothing is lost, nothing is doubled")
  func faults() async throws {
    let scratch = try Scratch()
    try FileManager.default.createDirectory(
      atPath: scratch.file("upper"),
      withIntermediateDirectories: true
    )
    let lower = try Lower(scratch.file("lower.sqlite"))
    let port = Mutex(0)
    let count = Mutex(0)
    try await withSender { sender in
      try await withServer { seen in
        // Of every five requests one gets no further, and of two the answer is lost.
        let turn = count.withLock { count in
          count += 1
          return count % 5
        }
        if turn == 1 { return ServerAnswer(status: 503) }
        let target = "http://127.0.0.1:\(port.withLock { $0 })\(seen.path)"
        let call = HTTPCall(
          url: target,
          headers: ["Content-Type": "application/json"],
          body: seen.body
        )
        guard case .success(let reply) = await sender.send(call) else {
          return ServerAnswer(status: 502)
        }
        return turn >= 3
          ? ServerAnswer(status: 504) : ServerAnswer(status: reply.status, body: reply.body)
      } _: { address in
        var number = 0
        for run in 0..<3 {
          for _ in 0..<200 {
            number += 1
            try lower.raise(number)
          }
          try await withUpper(scratch.file("upper")) { upperPort, upper in
            port.withLock { $0 = upperPort }
            let head = try lower.ledger.head.sequence
            // A new relay each time: it knows nothing but what the station above says.
            let relay = Self.relay(lower, to: address, sender)
            try await Self.run(relay) { $0.settled >= head }
            try Self.expectAll(of: lower, in: upper.ledger)
            if run == 2 {
              let peer = try #require(upper.relay?.peers["county"])
              #expect(peer.entries == 600 && peer.duplicates > 0 && peer.refused == 0, "\(peer)")
            }
          }
          // The station above is away; the one below goes on, and its relay waits.
          port.withLock { $0 = 1 }
        }
      }
    }
    let report = try LedgerVerifier(path: scratch.file("upper/ledger.sqlite")).verify()
    #expect(report.isIntact, "\(report)")
  }

  @Test("a station above that was restored from an older copy gets the rest again")
  func rewind() async throws {
    let scratch = try Scratch()
    for name in ["first", "second"] {
      try FileManager.default.createDirectory(
        atPath: scratch.file(name),
        withIntermediateDirectories: true
      )
    }
    let lower = try Lower(scratch.file("lower.sqlite"))
    for number in 1...5 { try lower.raise(number) }
    try await withSender { sender in
      let port = Mutex(0)
      try await withServer { seen in
        let call = HTTPCall(
          url: "http://127.0.0.1:\(port.withLock { $0 })\(seen.path)",
          headers: ["Content-Type": "application/json"],
          body: seen.body
        )
        guard case .success(let reply) = await sender.send(call) else {
          return ServerAnswer(status: 502)
        }
        return ServerAnswer(status: reply.status, body: reply.body)
      } _: { address in
        let relay = Self.relay(lower, to: address, sender)
        try await withUpper(scratch.file("first")) { found, _ in
          port.withLock { $0 = found }
          try await Self.run(relay) { $0.settled >= 11 }
        }
        // It comes back with nothing.
        try lower.raise(6)
        try await withUpper(scratch.file("second")) { found, upper in
          port.withLock { $0 = found }
          try await Self.run(relay) { $0.rewinds > 0 && $0.settled >= 13 }
          try Self.expectAll(of: lower, in: upper.ledger)
        }
      }
    }
  }

  @Test("another ledger under the same name is not mixed into the one that is known above")
  func otherLedger() async throws {
    let scratch = try Scratch()
    let first = try Lower(scratch.file("first.sqlite"))
    let second = try Lower(scratch.file("second.sqlite"))
    for number in 1...5 {
      try first.raise(number)
      try second.raise(number + 100)
    }
    try await withSender { sender in
      try await withUpper(scratch.path) { port, upper in
        let address = "http://127.0.0.1:\(port)"
        try await Self.run(Self.relay(first, to: address, sender)) { $0.settled >= 11 }
        try await Self.run(Self.relay(second, to: address, sender)) {
          $0.fault?.contains("another ledger") ?? false
        }
        #expect(try entries(upper.ledger, [.alarm]).count == 5)
      }
    }
  }

  @Test("an entry that was changed on the way, or is no alarm of a stranger, is refused on record")
  func refusals() async throws {
    let scratch = try Scratch()
    let lower = try Lower(scratch.file("lower.sqlite"))
    for number in 1...3 { try lower.raise(number) }
    let catalog = try Site.catalog()
    let own = try #require(catalog.channels.first).path
    let time = Timestamp(milliseconds: 1_760_000_000_000)
    try lower.append { origin in
      [
        LedgerDraft(
          alarm: AlarmBody(
            point: own,
            rule: "H",
            onset: time,
            event: .raised,
            state: .unacknowledged,
            previous: .normal,
            priority: 4,
            received: time,
            cause: 1
          ),
          time: time,
          origin: origin
        )
      ]
    }
    try await withSender { sender in
      try await withUpper(scratch.path) { port, upper in
        let target = "http://127.0.0.1:\(port)/api/v1/relay/items"
        var batch = RelayBatch(
          station: "county",
          after: 0,
          through: try lower.ledger.head.sequence,
          entries: try entries(lower.ledger, [.alarm])
        )
        var changed = try JSONValue(parsing: try #require(batch.entries[1].body)).members ?? [:]
        changed["value"] = .integer(0)
        batch.entries[1].body = JSONValue.object(changed).canonicalBytes()
        func post(_ batch: RelayBatch) async throws -> RelayOutcome {
          let call = HTTPCall(
            url: target,
            headers: ["Content-Type": "application/json"],
            body: String(decoding: batch.encoded(), as: UTF8.self)
          )
          let reply = try (await sender.send(call)).get()
          #expect(reply.status == 200, "\(reply)")
          return try RelayOutcome(decoding: Array(reply.body.utf8))
        }
        let outcome = try await post(batch)
        #expect(outcome.taken == 2)
        #expect(
          outcome.refused.map(\.sequence) == [batch.entries[1].sequence, batch.entries[3].sequence]
        )
        #expect(outcome.refused[0].reason.contains("hash"))
        #expect(outcome.refused[1].reason.contains("of this station itself"))
        let again = try await post(batch)
        #expect(again.taken == 0 && again.duplicates == 4 && again.refused.isEmpty)
        // A gap: nothing is taken, and the answer says where to go on.
        var late = batch
        late.after = outcome.sequence + 10
        late.through = late.after
        late.entries = []
        #expect(try await post(late).sequence == outcome.sequence)
        let events = try entries(upper.ledger, [.system]).compactMap { entry in
          try JSONValue(parsing: entry.body ?? [])["event"]?.text
        }
        #expect(events.count { $0 == "relay.refused" } == 2, "\(events)")
        #expect(events.count { $0 == "relay.joined" } == 1, "\(events)")
        // The alarm is acted on where it was raised.
        let alarm = try #require(try upper.ledger.standingAlarms().first)
        await #expect(throws: ActError.self) {
          try await upper.submit(
            OperatorAct(kind: .acknowledge, alarm: alarm.id, actor: "li", reason: "")
          )
        }
      }
    }
  }

  @Test("hazards come up under an id of their station, in their order")
  func hazards() async throws {
    let scratch = try Scratch()
    let lower = try Lower(scratch.file("lower.sqlite"))
    let time = Timestamp(milliseconds: 1_760_000_000_000)
    let registration = HazardRegistration(
      id: "hazard/1",
      source: .report,
      enterprise: "acme",
      place: "acme/plant",
      title: "护栏缺失"
    )
    var verify = HazardInput(.verify, by: "wang", as: .county, at: time.advanced(byMilliseconds: 1))
    verify.reason = "属实"
    try lower.append { origin in
      [
        LedgerDraft(registering: registration, by: "li", as: .county, at: time, origin: origin),
        LedgerDraft(verify, on: "hazard/1", to: .verified, origin: origin),
      ]
    }
    try await withSender { sender in
      try await withUpper(scratch.path) { port, upper in
        let relay = Self.relay(lower, to: "http://127.0.0.1:\(port)", sender)
        try await Self.run(relay) { $0.settled >= 3 }
        let hazard = try #require(try upper.ledger.hazard(id: "hazard/county/1"))
        #expect(hazard.state == .verified && hazard.registration.title == "护栏缺失")
        #expect(try upper.ledger.hazards(HazardFilter(), before: nil, limit: 10).count == 1)
        try Self.expectAll(of: lower, in: upper.ledger)
        // The enterprise that an entry shows must be the one of all that it is about.
        var foreign = registration
        foreign.id = "hazard/2"
        foreign.place = "zeta/plant"
        var step = try lower.raise(1)
        step.point = "zeta/plant/tanks/T-1/level"
        try lower.append { origin in
          [
            LedgerDraft(registering: foreign, by: "li", as: .county, at: time, origin: origin),
            LedgerDraft(alarm: step, time: time, origin: origin),
          ]
        }
        try await Self.run(relay) { $0.refused == 2 }
        #expect(try upper.ledger.hazards(HazardFilter(), before: nil, limit: 10).count == 1)
        #expect(try upper.ledger.standingAlarms().count == 1)
      }
    }
  }

  /// A line on which something happens to what is sent.
  private struct BentLine: RelayLine {
    var line: any RelayLine
    var bend: @Sendable (_ member: String, inout [String: JSONValue]) -> Void

    func send(_ batch: [UInt8]) async -> Result<RelayReply, RelayLineFailure> {
      guard var members = (try? JSONValue(parsing: batch))?.members else {
        return .failure(RelayLineFailure(cause: "no batch"))
      }
      for name in ["entries", "readings"] {
        members[name] = .array(
          (members[name]?.elements ?? []).map { item in
            var item = item.members ?? [:]
            bend(name, &item)
            return .object(item)
          }
        )
      }
      return await line.send(JSONValue.object(members).canonicalBytes())
    }

    func close() async throws {}
  }

  @Test("what cannot be read of a batch is refused alone, on record, and holds up nothing")
  func oneBadReading() async throws {
    let scratch = try Scratch()
    let lower = try Lower(scratch.file("lower.sqlite"))
    for number in 1...3 { try lower.raise(number) }
    let outlet = ReadingOutlet(
      name: "relay",
      readings: [ReadingOutlet.Rule(points: try #require(PointPattern("#")))],
      minutes: []
    )
    let trends = try TrendStore(path: scratch.file("lower-trends.sqlite"), outlets: [outlet])
    let start: Int64 = 1_760_000_000_000
    let own = try SQLiteLedger(path: scratch.file("own.sqlite"), station: "own")
    let journal = MemoryJournal(disk: FaultyDisk(seed: 1))
    let stages = try Stages(
      catalog: try Site.catalog(),
      journal: journal,
      ledger: own,
      snapshots: nil,
      trends: trends,
      limits: StationLimits(),
      logger: quiet,
      now: start
    )
    for number in 0..<5 {
      let input = OutletTests.message("ch4_n", 2, at: start + Int64(number) * 7_000)
      let batch = InputBatch(JournalBatch([input]), firstSequence: journal.lastSequence + 1)
      try stages.commit(batch)
      stages.evaluate(batch, at: input.received)
      _ = try stages.record(isUrgent: true)
    }
    trends.seal()
    try trends.write(durable: journal.lastSequence)
    #expect(try trends.waiting(for: "relay").readings == 5)
    try await withSender { sender in
      try await withUpper(scratch.path) { port, upper in
        let line = BentLine(
          line: HTTPRelayLine(url: "http://127.0.0.1:\(port)", key: nil, sender: sender)
        ) { name, item in
          let number = item["number"]?.wholeNumber
          if name == "readings" {
            // The points of the station above are its own; these are another's.
            item["point"] = .string("acme/plant/tanks/T-1/level")
            if number == 2 { item["time"] = .integer(.max) }
            if number == 4 { item["value"] = .string("much") }
          } else if item["subject"]?.text?.contains("T-2/") ?? false {
            item["time"] = .string("yesterday")
          }
        }
        let relay = Self.relay(lower, by: line, trends: trends)
        let head = try lower.ledger.head.sequence
        try await Self.run(relay) { $0.settled >= head && $0.readings == 3 }
        let status = relay.status
        #expect(status.fault == nil && status.entries == 2 && status.refused == 3, "\(status)")
        #expect(status.deadLetters.compactMap(\.reading) == [2, 4])
        #expect(status.deadLetters.compactMap(\.sequence).count == 1)
        #expect(status.deadLetters.first?.point?.hasPrefix("metec/") ?? false)
        #expect(status.deadLetters.allSatisfy { $0.reason.contains(":") }, "\(status.deadLetters)")
        #expect(try trends.waiting(for: "relay").readings == 0)
        // Above: the good ones are taken, the others counted and on record, with what came.
        let peer = try #require(upper.relay?.peers["county"])
        #expect(peer.entries == 2 && peer.readings == 3 && peer.refused == 3 && peer.reading == 5)
        let rejects = try upper.ledger.rejects(limit: 10)
        let reject = try #require(rejects.first)
        #expect(rejects.count == 1 && reject.count == 3, "\(rejects)")
        #expect(reject.topic == "davy/v1/relay/county/items")
        #expect(String(decoding: reject.sample, as: UTF8.self).contains("\"much\""))
        let refusals = try entries(upper.ledger, [.system]).compactMap {
          try JSONValue(parsing: $0.body ?? [])
        }.filter { $0["event"]?.text == "relay.refused" }
        #expect(refusals.compactMap { $0["sequence"]?.wholeNumber }.count == 1)
        #expect(refusals.compactMap { $0["readings"]?.wholeNumber } == [2], "\(refusals)")
      }
    }
  }

  @Test("numbers and times that nothing can be reckoned with are refused, counts held to a batch's")
  func extremes() throws {
    func outcome(_ members: String) throws(RelayFault) -> RelayOutcome {
      try RelayOutcome(decoding: Array(#"{"station":"city",\#(members)}"#.utf8))
    }
    let held = try outcome(
      #""sequence":1,"reading":2,"duplicates":-1,"refusedReadings":9223372036854775807"#
    )
    #expect(held.duplicates == 0 && held.refusedReadings == 2_500)
    #expect(throws: RelayFault.self) { try outcome(#""sequence":-1,"reading":0"#) }
    #expect(throws: RelayFault.self) { try outcome(#""sequence":1,"reading":-1"#) }
    #expect(throws: RelayFault.self) {
      try outcome(#""sequence":1,"reading":9223372036854775807"#)
    }
    for (time, isTaken) in [
      (-2_208_988_800_000, true), (253_402_300_799_999, true), (-2_208_988_800_001, false),
      (253_402_300_800_000, false), (.min, false), (.max, false),
    ] as [(Int64, Bool)] {
      let batch = RelayBatch(
        station: "county",
        after: 0,
        through: 0,
        readings: [
          RelayBatch.Reading(
            number: 1,
            point: "acme/plant/tanks/T-1/level",
            unit: "%",
            time: Timestamp(milliseconds: time),
            value: 1,
            status: .normal
          )
        ]
      )
      let read = try RelayBatch(decoding: batch.encoded())
      #expect(read.readings.count == (isTaken ? 1 : 0), "\(time)")
      #expect(read.readingFaults.map(\.number) == (isTaken ? [] : [1]), "\(time)")
    }
    #expect(MinuteReduction.minute(of: .min) == .min && MinuteReduction.minute(of: -1) == -60_000)
  }
}
