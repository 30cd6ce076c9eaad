import Foundation
import MQTTTransport
import Testing

/// Options for a test: short delays, so that nothing is waited for long.
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
    keepAlive: .seconds(10),
    connectTimeout: .seconds(10),
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
  func receive(_ count: Int, seconds: Double = 20) throws -> MessageBatch {
    var batch = MessageBatch()
    try wait(until: "\(count) messages came, not \(batch.count)", seconds: seconds) {
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
