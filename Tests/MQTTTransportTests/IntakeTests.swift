import Foundation
import Glibc
import MQTTTransport
import Synchronization
import Testing

/// Options for a test: short delays between attempts, and patience with a machine that has no time.
func testOptions(
  port: UInt16,
  id: String = "davy-test",
  subscriptions: [Subscription] = [Subscription(filter: "t/#")]
) -> MQTTOptions {
  MQTTOptions(
    host: "127.0.0.1",
    port: port,
    clientID: id,
    subscriptions: subscriptions,
    keepAlive: .seconds(120),
    connectTimeout: .seconds(120),
    backOff: BackOff(first: .milliseconds(50), maximum: .milliseconds(400))
  )
}

extension IntakeClient {
  /// Polls until the link is up and has been told about its subscriptions.
  func connect() throws {
    var batch = MessageBatch()
    try wait(until: "connected; last: \(state)") {
      poll(into: &batch, timeout: .milliseconds(100)).isConnected
    }
  }

  /// Polls until so many messages are there, without acknowledging any.
  func receive(_ count: Int) throws -> MessageBatch {
    var batch = MessageBatch()
    try wait(until: "\(count) messages came, not \(batch.count)") {
      _ = poll(into: &batch, timeout: .milliseconds(100))
      return batch.count >= count
    }
    return batch
  }

  /// Whether nothing comes for a while.
  func isQuiet(milliseconds: Int64 = 300) -> Bool {
    var batch = MessageBatch()
    let limit = ContinuousClock.now + .milliseconds(milliseconds)
    while ContinuousClock.now < limit { _ = poll(into: &batch, timeout: .milliseconds(20)) }
    return batch.isEmpty
  }
}

func payloads(_ batch: MessageBatch) -> [String] {
  batch.indices.map { String(decoding: batch.payload(at: $0), as: UTF8.self) }
}

@Suite(.enabled(if: TestBroker.isInstalled, "mosquitto is not installed"))
struct IntakeTests {
  @Test("what is not acknowledged comes again, what is does not")
  func acknowledgeAfterCommit() throws {
    let broker = try TestBroker()
    let options = testOptions(port: broker.port)
    let publisher = try RawClient(port: broker.port, id: "gateway")
    do {
      let client = try IntakeClient(options: options)
      try client.connect()
      try publisher.publish("t/1", Array("kept".utf8))
      #expect(try payloads(client.receive(1)) == ["kept"])
      client.acknowledge()
      try publisher.publish("t/1", Array("lost".utf8))
      try publisher.publish("t/2", Array("lost too".utf8))
      #expect(try payloads(client.receive(2)) == ["lost", "lost too"])
      // Dropped here, as by a crash: nothing is said to the broker.
    }
    let client = try IntakeClient(options: options)
    let batch = try client.receive(2)
    #expect(payloads(batch) == ["lost", "lost too"])
    #expect(
      batch.indices.map { String(decoding: batch.topic(at: $0), as: UTF8.self) } == ["t/1", "t/2"]
    )
    client.acknowledge()
    client.stop()
    let third = try IntakeClient(options: options)
    try third.connect()
    #expect(third.isQuiet())
    guard case .connected(let session) = third.state else { throw TestFailure("\(third.state)") }
    #expect(session.sessionPresent)
    #expect(session.version == .v5)
  }
}

extension IntakeTests {
  @Test("every QoS arrives once, at most at QoS 1", arguments: QoS.allCases, QoS.allCases)
  func qualityOfService(published: QoS, subscribed: QoS) throws {
    let broker = try TestBroker()
    let options = testOptions(
      port: broker.port,
      subscriptions: [Subscription(filter: "t/#", qos: subscribed)]
    )
    let client = try IntakeClient(options: options)
    try client.connect()
    let publisher = try RawClient(port: broker.port, id: "gateway")
    try publisher.publish("t/1", [1, 2, 3], qos: published.rawValue)
    let batch = try client.receive(1)
    #expect(batch.payload(at: 0) == [1, 2, 3])
    #expect(batch.qos(at: 0) == min(published, subscribed, .atLeastOnce).rawValue)
    client.acknowledge()
    #expect(client.isQuiet())
    #expect(client.counters.messages == 1)
  }

  @Test("a thousand messages are one batch and one acknowledgement")
  func thousand() throws {
    let broker = try TestBroker()
    let client = try IntakeClient(options: testOptions(port: broker.port))
    try client.connect()
    let sent = (0..<1_000).map { Array("message \($0)".utf8) }
    try RawClient(port: broker.port, id: "gateway").publishAll("t/1", sent)
    // All are at the broker's other side by now; what is read at once shows in the batches.
    var batch = MessageBatch()
    var polls = 0
    while batch.count < 1_000, polls < 100 {
      _ = client.poll(into: &batch, timeout: .seconds(5))
      polls += 1
    }
    #expect(batch.indices.map { batch.payload(at: $0) } == sent)
    #expect(polls < 20)
    #expect(!broker.log.contains("Received PUBACK from davy-test"))
    client.acknowledge()
    #expect(client.counters.acknowledgements == 1)
    try wait(until: "all acknowledged") {
      broker.log.components(separatedBy: "Received PUBACK from davy-test").count == 1_001
    }
  }

  @Test("the batch ends at its limits and the rest follows")
  func batchLimits() throws {
    let broker = try TestBroker()
    let client = try IntakeClient(options: testOptions(port: broker.port))
    try client.connect()
    try RawClient(port: broker.port, id: "gateway")
      .publishAll("t/1", (0..<50).map { [UInt8($0)] + [UInt8](repeating: 0, count: 99) })
    var seen: [UInt8] = []
    while seen.count < 50 {
      var batch = MessageBatch()
      _ = client.poll(
        into: &batch,
        timeout: .seconds(5),
        maximumMessages: seen.count < 25 ? 7 : 1_000,
        maximumBytes: seen.count < 25 ? 1 << 20 : 500
      )
      try #require(!batch.isEmpty && batch.count <= 7)
      seen += batch.indices.map { batch.payload(at: $0)[0] }
      client.acknowledge()
    }
    #expect(seen == Array(0..<50))
  }

  @Test("poison passes through untouched")
  func poison() throws {
    let broker = try TestBroker()
    let client = try IntakeClient(options: testOptions(port: broker.port))
    try client.connect()
    let publisher = try RawClient(port: broker.port, id: "gateway")
    let bodies: [[UInt8]] = [
      [], [0], [0xFF, 0xFE, 0xC0, 0x80], Array("{\"v\":NaN".utf8),
      Array(repeating: 0x7B, count: 9_999),
    ]
    for body in bodies { try publisher.publish("t/poison", body) }
    let longTopic = "t/" + String(repeating: "ü", count: 32_000)
    try publisher.publish(longTopic, [1])
    let batch = try client.receive(bodies.count + 1)
    #expect(batch.indices.dropLast().map { batch.payload(at: $0) } == bodies)
    #expect(batch.topic(at: bodies.count) == Array(longTopic.utf8))
    client.acknowledge()
    try publisher.publish("t/good", [42])
    #expect(try client.receive(1).payload(at: 0) == [42])
  }

  @Test("a large payload is whole, one above the limit is cut and says so")
  func largePayload() throws {
    let broker = try TestBroker()
    var options = testOptions(port: broker.port)
    options.maximumPayload = 6 << 20
    options.oversizeSample = 100
    let client = try IntakeClient(options: options)
    try client.connect()
    let publisher = try RawClient(port: broker.port, id: "gateway")
    let large = (0..<(6 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try publisher.publish("t/large", large)
    try publisher.publish("t/larger", large + [0])
    let batch = try client.receive(2)
    #expect(batch.payload(at: 0) == large)
    #expect(batch.payload(at: 1) == Array(large.prefix(100)))
    #expect(batch.originalPayloadLength(at: 1) == large.count + 1)
    #expect(client.counters.oversize == 1)
    client.acknowledge()
    #expect(client.isQuiet())
  }

  @Test("a broker that restarts loses nothing at QoS 1 and the client says what happens")
  func brokerRestart() throws {
    let broker = try TestBroker()
    let states = Mutex<[LinkState]>([])
    let client = try IntakeClient(options: testOptions(port: broker.port)) { state in
      states.withLock { $0.append(state) }
    }
    try client.connect()
    try RawClient(port: broker.port, id: "gateway")
      .publishAll("t/1", (0..<100).map { [UInt8($0)] })
    // Read, but not acknowledged when the broker goes.
    #expect(try client.receive(100).count == 100)
    broker.stop()
    var batch = MessageBatch()
    try wait(until: "noticed") {
      !client.poll(into: &batch, timeout: .milliseconds(50)).isConnected
    }
    #expect(client.counters.unacknowledgedLost == 100)
    // The commit comes back late: it must not acknowledge anything of the connection before.
    client.acknowledge()
    try broker.start()
    let again = try client.receive(100)
    #expect(again.indices.map { again.payload(at: $0) } == (0..<100).map { [UInt8($0)] })
    client.acknowledge()
    try RawClient(port: broker.port, id: "gateway").publish("t/2", [7])
    #expect(try client.receive(1).payload(at: 0) == [7])
    #expect(client.counters.reconnects == 1)
    let reported = states.withLock { $0 }
    #expect(reported.contains { if case .waiting = $0 { true } else { false } })
    guard case .connected(let session) = client.state else { throw TestFailure("\(client.state)") }
    #expect(session.sessionPresent)
  }

  @Test(
    "a commit that blocks for long keeps the connection and every acknowledgement",
    arguments: [false, true]
  )
  func blockedCommit(tls: Bool) throws {
    for _ in 0..<20 where try blockCommit(tls: tls) { return }
    throw TestFailure("the machine stood still in each of 20 attempts")
  }

  /// One attempt; false when the machine stood still for so long in between that it says nothing.
  private func blockCommit(tls: Bool) throws -> Bool {
    let broker = try tls ? TestBroker.withTLS() : TestBroker()
    var options = testOptions(port: broker.port)
    options.keepAlive = .seconds(5)
    if tls { options.tls = broker.tlsOptions }
    let client = try IntakeClient(options: options)
    try client.connect()
    let publisher = try PublishClient(options: broker.publisherOptions(tls: tls))
    for token in 0..<500 as Range<UInt64> {
      #expect(publisher.publish(Publication(token: token, topic: "t/1", payload: [1])) == .queued)
    }
    #expect(try client.receive(500).count == 500)
    let start = ContinuousClock.now
    // The broker gives up after one and a half times the keep alive: 7.5 s.
    var last = start
    var longest = Duration.zero
    while last - start < .seconds(12) {
      client.keepAlive()
      _ = poll(nil, 0, 250)
      longest = max(longest, ContinuousClock.now - last)
      last = ContinuousClock.now
    }
    var log = broker.log
    guard longest < .seconds(2) else {
      publisher.stop()
      return false
    }
    #expect(log.contains("Received PINGREQ from davy-test"))
    #expect(!log.contains("Received PUBACK from davy-test"))
    #expect(!log.contains("davy-test disconnected") && !log.contains("davy-test has exceeded"))
    client.acknowledge()
    try wait(until: "all acknowledged") {
      log = broker.log
      return log.components(separatedBy: "Received PUBACK from davy-test").count == 501
    }
    #expect(client.state.isConnected)
    #expect(client.counters.reconnects == 0)
    #expect(client.isQuiet())
    publisher.stop()
    return true
  }

  @Test("response topic and correlation data arrive at MQTT 5, byte for byte")
  func requests() throws {
    let broker = try TestBroker()
    let client = try IntakeClient(options: testOptions(port: broker.port))
    try client.connect()
    let publisher = try PublishClient(options: testOptions(port: broker.port, id: "phone"))
    for (correlation, topic) in [([0, 255, 10], "a/answers"), ([7], ""), ([], "b"), ([], "")]
      as [([UInt8], String)]
    {
      _ = publisher.publish(
        Publication(
          topic: "t/1",
          payload: [1],
          correlation: correlation,
          responseTopic: topic
        )
      )
    }
    let batch = try client.receive(4)
    #expect(
      (0..<4).map { batch.request(at: $0) } == [
        RequestProperties(responseTopic: "a/answers", correlation: [0, 255, 10]),
        RequestProperties(responseTopic: "", correlation: [7]),
        RequestProperties(responseTopic: "b"), nil,
      ]
    )
  }

  @Test("user properties arrive, in order, at MQTT 5")
  func userProperties() throws {
    let broker = try TestBroker()
    let client = try IntakeClient(options: testOptions(port: broker.port))
    try client.connect()
    let publisher = try PublishClient(options: testOptions(port: broker.port, id: "replay"))
    _ = publisher.publish(
      Publication(
        topic: "t/1",
        payload: [1],
        userProperties: [("davy-received", "1795451234567"), ("a", "1"), ("a", "2")]
      )
    )
    _ = publisher.publish(Publication(topic: "t/1", payload: [2]))
    let batch = try client.receive(2)
    let pairs = batch.userProperties(at: 0).map { "\($0.0)=\($0.1)" }
    #expect(pairs == ["davy-received=1795451234567", "a=1", "a=2"])
    #expect(batch.userProperties(at: 1).isEmpty)
    #expect(batch[0].userProperties.count == 3)
    publisher.stop()
  }

  @Test("several filters at different QoS; the same message is not delivered twice")
  func severalFilters() throws {
    let broker = try TestBroker()
    let options = testOptions(
      port: broker.port,
      subscriptions: [
        Subscription(filter: "a/+/readings"), Subscription(filter: "b/#", qos: .atMostOnce),
        Subscription(filter: "$share/davy/c/#", qos: .exactlyOnce),
      ]
    )
    let client = try IntakeClient(options: options)
    try client.connect()
    let publisher = try RawClient(port: broker.port, id: "gateway")
    for topic in ["a/x/readings", "a/x/other", "b", "b/y/z", "c/1", "d"] {
      try publisher.publish(topic, [1])
    }
    let batch = try client.receive(4)
    client.acknowledge()
    #expect(client.isQuiet())
    let topics = batch.indices.map { String(decoding: batch.topic(at: $0), as: UTF8.self) }
    #expect(topics.sorted() == ["a/x/readings", "b", "b/y/z", "c/1"])
  }

  @Test("subscriptions change on a standing connection, and what was subscribed to stays")
  func changedSubscriptions() throws {
    let broker = try TestBroker()
    let client = try IntakeClient(
      options: testOptions(port: broker.port, subscriptions: [Subscription(filter: "a/#")])
    )
    try client.connect()
    #expect(throws: MQTTOptionsError.self) {
      try client.subscribe(to: [Subscription(filter: "a/#/b")])
    }
    try client.subscribe(to: [Subscription(filter: "b/#")])
    let publisher = try RawClient(port: broker.port, id: "gateway")
    var batch = MessageBatch()
    try wait(until: "b is subscribed to") {
      try publisher.publish("b/1", [1])
      _ = client.poll(into: &batch, timeout: .milliseconds(100))
      return !batch.isEmpty
    }
    client.acknowledge()
    try publisher.publish("a/1", [2])
    let next = try client.receive(1)
    let topics = next.indices.map { String(decoding: next.topic(at: $0), as: UTF8.self) }
    #expect(topics.contains("a/1"))
    #expect(client.counters.reconnects == 0)
  }

  @Test(
    "a retained message comes with a new subscription, and not again with the same",
    arguments: [ProtocolPreference.v5, .v311]
  )
  func retained(version: ProtocolPreference) throws {
    let broker = try TestBroker()
    try RawClient(port: broker.port, id: "gateway").publish("t/1", [1], retain: true)
    var options = testOptions(port: broker.port)
    options.protocolPreference = version
    let client = try IntakeClient(options: options)
    let first = try client.receive(1)
    #expect(first.retain(at: 0))
    client.acknowledge()
    broker.stop()
    var batch = MessageBatch()
    try wait(until: "noticed") {
      !client.poll(into: &batch, timeout: .milliseconds(50)).isConnected
    }
    try broker.start()
    try client.connect()
    guard case .connected(let session) = client.state else { throw TestFailure("\(client.state)") }
    #expect(session.sessionPresent)
    #expect(client.isQuiet())
    // Nor where other filters are added while it stands.
    try client.subscribe(to: options.subscriptions + [Subscription(filter: "u/#")])
    let publisher = try RawClient(port: broker.port, id: "gateway")
    try wait(until: "u is subscribed to") {
      try publisher.publish("u/1", [2])
      _ = client.poll(into: &batch, timeout: .milliseconds(100))
      return !batch.isEmpty
    }
    #expect(batch.indices.allSatisfy { batch.payload(at: $0) == [2] && !batch.retain(at: $0) })
  }

  @Test("the session's life is what was asked for: nothing kept beyond it")
  func sessionExpiry() throws {
    let broker = try TestBroker()
    var options = testOptions(port: broker.port)
    options.sessionExpiry = .seconds(1)
    let client = try IntakeClient(options: options)
    try client.connect()
    client.stop()
    // mosquitto looks for expired sessions every few seconds.
    try wait(until: "session expired") {
      broker.log.contains("Expiring client davy-test")
    }
  }
}
