import Callout
import Console
import Foundation
import HazardLedger
import Relay
import Station
import Synchronization
import Testing

/// By a broker as by HTTP: what a station passes on is in the ledger above once, whatever fails in between.
@Suite("Upward relay by MQTT") struct MQTTUpwardTests {
  private static func relay(_ lower: Lower, over broker: FaultyBroker, patience: Duration)
    -> (relay: UpwardRelay, line: MQTTRelayLine)
  {
    let line = MQTTRelayLine(
      post: broker.post(receiving: "outcomes"),
      station: "county",
      key: nil,
      patience: patience,
      longestPatience: .seconds(20)
    )
    return (UpwardTests.relay(lower, by: line), line)
  }

  /// Runs the receiving end on a station's own door beside other work.
  private static func receiving<Result: Sendable>(
    _ broker: FaultyBroker,
    _ door: @escaping RelayReceiver.Door,
    _ work: (RelayReceiver) async throws -> Result
  ) async throws -> Result {
    let receiver = RelayReceiver(
      post: broker.post(receiving: "items"),
      door: door,
      firstPause: .milliseconds(5),
      logger: quiet
    )
    let task = Task { await receiver.run() }
    do {
      let result = try await work(receiver)
      task.cancel()
      await task.value
      return result
    } catch {
      task.cancel()
      await task.value
      throw error
    }
  }

  private static func door(of station: LiveStation) throws -> RelayReceiver.Door {
    let door = try ConsoleServer(station: station, access: .openToThisMachine).relayDoor
    return { batch, name, key in await door.answer(batch, of: name, key: key) }
  }

  @Test(
    "messages lost, doubled and late, stations above that come and go: nothing is lost, nothing is doubled"
  )
  func faults() async throws {
    let scratch = try Scratch()
    try FileManager.default.createDirectory(
      atPath: scratch.file("upper"),
      withIntermediateDirectories: true
    )
    let lower = try Lower(scratch.file("lower.sqlite"))
    let broker = FaultyBroker { isRequest, number, _ in
      switch (isRequest, number % 7) {
      case (true, 2), (false, 4): .lost
      case (true, 1), (true, 5), (false, 6): .twice
      default: .delivered
      }
    }
    var number = 0
    for run in 0..<3 {
      let first = Self.relay(lower, over: broker, patience: .milliseconds(150))
      for _ in 0..<40 {
        number += 1
        try lower.raise(number)
      }
      try await withUpper(scratch.file("upper")) { [number] _, upper in
        try await Self.receiving(broker, try Self.door(of: upper)) { receiver in
          // Where the answer to the first batch was lost, its entries are duplicates the next time.
          try await UpwardTests.run(first.relay) { $0.entries + $0.duplicates > 0 }
          // Killed where it stands, and begun anew: it knows nothing but what the station above says.
          try await first.line.close()
          let second = Self.relay(lower, over: broker, patience: .milliseconds(150))
          let batches = receiver.status.batches
          for more in 1...60 {
            try lower.raise(1_000 * (run + 1) + number + more)
            let head = try lower.ledger.head.sequence
            if more.isMultiple(of: 10) {
              try await UpwardTests.run(second.relay) { $0.settled >= head }
            }
          }
          #expect(receiver.status.batches >= batches + 6)
          try await second.line.close()
          try UpwardTests.expectAll(of: lower, in: upper.ledger)
          if run == 2 {
            let peer = try #require(upper.relay?.peers["county"])
            #expect(
              peer.entries == 300 && peer.refused == 0,
              "\(peer)"
            )
          }
        }
      }
    }
    let report = try LedgerVerifier(path: scratch.file("upper/ledger.sqlite")).verify()
    #expect(report.isIntact, "\(report)")
  }

  @Test("the broker may forget a batch only when the ledger above has it")
  func acknowledgement() async throws {
    let broker = FaultyBroker()
    let batch = RelayBatch(station: "county", after: 0, through: 0).encoded()
    broker.put(
      RelayMessage(topic: Array("davy/v1/relay/county/items".utf8), payload: batch),
      kind: "items"
    )
    let busy = RelayReply(status: 503, retryAfter: 2, body: [])
    try await Self.receiving(broker, { _, _, _ in busy }) { receiver in
      try await until { receiver.status.held > 2 }
      #expect(broker.acknowledged("items") == 0 && receiver.status.batches == 0)
    }
    // Stopped meanwhile: it lies with the broker, and the next one gets it.
    #expect(broker.waiting("items") == 1 && broker.waiting("outcomes") == 0)
    let tries = Mutex(0)
    let taken = RelayReply(
      status: 200,
      body: RelayOutcome(station: "city", sequence: 0).encoded()
    )
    try await Self.receiving(
      broker,
      { batch, station, _ in
        #expect(station == "county" && batch?.isEmpty == false)
        let count = tries.withLock { tries in
          tries += 1
          return tries
        }
        #expect(broker.acknowledged("items") == 0)
        return count < 3 ? busy : taken
      }
    ) { receiver in
      try await until { broker.acknowledged("items") == 1 }
      #expect(receiver.status.held == 2 && receiver.status.batches == 1)
    }
    #expect(broker.waiting("items") == 0 && broker.waiting("outcomes") == 1)
  }

  @Test("what will never be taken is answered, told and out of the way")
  func refusals() async throws {
    let broker = FaultyBroker()
    let seen = Mutex<[String]>([])
    func put(_ topic: String, _ payload: [UInt8]?, _ properties: [(String, String)] = []) {
      broker.put(
        RelayMessage(topic: Array(topic.utf8), payload: payload, properties: properties),
        kind: "items"
      )
    }
    put("davy/v1/relay/county/items", nil)
    put("davy/v1/relay//items", [])
    put("davy/v1/relay/village/items", Array("{".utf8), [("authorization", "Bearer secret")])
    try await Self.receiving(
      broker,
      { batch, station, key in
        seen.withLock { $0.append("\(station) \(key) \(batch?.count ?? -1)") }
        return RelayReply(status: batch == nil ? 413 : 422, body: [])
      }
    ) { receiver in
      try await until { broker.acknowledged("items") == 3 }
      let status = receiver.status
      #expect(status.refused == 2 && status.strange == 1 && status.held == 0, "\(status)")
    }
    #expect(seen.withLock { $0 } == ["county  -1", "village secret 1"])
  }

  @Test("answers that come too late do not shorten the waiting for the next")
  func patience() async throws {
    let broker = FaultyBroker()
    let line = MQTTRelayLine(
      post: broker.post(receiving: "outcomes"),
      station: "county",
      key: nil,
      patience: .milliseconds(50),
      longestPatience: .seconds(20)
    )
    let upper = broker.post(receiving: "items")
    /// What the station above has been asked so far, answered.
    func answer() {
      for asked in upper.receive() {
        broker.put(
          RelayMessage(
            topic: Array("davy/v1/relay/county/outcomes".utf8),
            payload: [],
            correlation: asked.correlation,
            properties: [("status", "200")]
          ),
          kind: "outcomes"
        )
      }
    }
    var seen: [Bool] = []
    for waited in ["0.05", "0.1", "0.2"] {
      guard case .failure(let failure) = await line.send([1]) else {
        Issue.record("an answer to nothing")
        return
      }
      seen.append(failure.cause.contains("within \(waited) seconds"))
      let taken = broker.acknowledged("outcomes")
      answer()
      try await until { broker.acknowledged("outcomes") > taken }
    }
    #expect(seen == [true, true, true])
    try await line.close()
  }

  @Test("a broker that takes only short packets gets short batches; one that is away is told of")
  func limits() async throws {
    let scratch = try Scratch()
    let lower = try Lower(scratch.file("lower.sqlite"))
    for number in 1...40 { try lower.raise(number) }
    let broker = FaultyBroker { isRequest, _, bytes in
      isRequest && bytes > 6_000 ? .tooLarge : .delivered
    }
    try await withUpper(scratch.path) { _, upper in
      try await Self.receiving(broker, try Self.door(of: upper)) { receiver in
        let (relay, line) = Self.relay(lower, over: broker, patience: .milliseconds(200))
        broker.isDown = true
        try await UpwardTests.run(relay) { $0.fault?.contains("not connected") ?? false }
        broker.isDown = false
        try await UpwardTests.run(relay) { $0.settled >= 81 }
        #expect(relay.status.fault == nil && relay.status.entries == 40)
        #expect(receiver.status.batches >= 3)
        try UpwardTests.expectAll(of: lower, in: upper.ledger)
        try await line.close()
        // The line has ended: nothing hangs on it.
        #expect(await line.send([]) == .failure(RelayLineFailure(cause: "the line has ended")))
      }
    }
  }
}
