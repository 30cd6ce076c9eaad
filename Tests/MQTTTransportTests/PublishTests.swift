import Foundation
import MQTTTransport
import Synchronization
import Testing

/// Outcomes as they come, from the client's thread.
final class Outcomes: Sendable {
  private let list = Mutex<[PublishOutcome]>([])
  func add(_ outcome: PublishOutcome) { list.withLock { $0.append(outcome) } }
  var all: [PublishOutcome] { list.withLock { $0 } }
}

@Suite(.enabled(if: TestBroker.isInstalled, "mosquitto is not installed"))
struct PublishTests {
  private func expectAll(_ count: Int, _ outcomes: Outcomes) throws {
    try wait(until: "\(count) outcomes, not \(outcomes.all.count)") {
      outcomes.all.count >= count
    }
  }

  @Test("each publication is confirmed once, at every QoS", arguments: QoS.allCases)
  func confirmed(qos: QoS) throws {
    let broker = try TestBroker()
    let subscriber = try RawClient(port: broker.port, id: "reader")
    try subscriber.subscribe("t/#")
    let outcomes = Outcomes()
    let client = try PublishClient(
      options: testOptions(port: broker.port),
      onOutcome: { outcomes.add($0) }
    )
    for token in 0..<300 as Range<UInt64> {
      let publication = Publication(
        token: token,
        topic: "t/1",
        payload: Array("\(token)".utf8),
        qos: qos
      )
      #expect(client.publish(publication) == .queued)
    }
    try expectAll(300, outcomes)
    #expect(outcomes.all == (0..<300).map { .confirmed(token: $0) })
    for token in 0..<300 {
      #expect(try subscriber.receive()?.payload == Array("\(token)".utf8))
    }
    #expect(client.stop() == 0)
    #expect(client.counters.confirmed == 300)
    #expect(client.publish(Publication(topic: "t/1", payload: [])) == .stopped)
  }

  @Test(
    "the queue has a bound: the caller is told, it is counted, and what is queued goes out later"
  )
  func bound() throws {
    let broker = try TestBroker()
    broker.stop()
    let outcomes = Outcomes()
    let client = try PublishClient(
      options: testOptions(port: broker.port),
      queueLimit: 10,
      onOutcome: { outcomes.add($0) }
    )
    let start = ContinuousClock.now
    let admissions = (0..<15 as Range<UInt64>).map {
      client.publish(Publication(token: $0, topic: "t/1", payload: [UInt8($0)]))
    }
    // The broker starts only below: a caller who is made to wait for it waits long.
    #expect(ContinuousClock.now - start < .seconds(60))
    #expect(
      admissions == Array(repeating: .queued, count: 10) + Array(repeating: .full, count: 5)
    )
    #expect(client.counters.full == 5)
    #expect(client.counters.waiting == 10)
    try broker.start()
    try expectAll(10, outcomes)
    #expect(outcomes.all == (0..<10).map { .confirmed(token: $0) })
    #expect(client.publish(Publication(token: 99, topic: "t/1", payload: [])) == .queued)
    try expectAll(11, outcomes)
    client.stop()
  }

  @Test("a broker that is killed loses no publication")
  func brokerKilled() throws {
    let broker = try TestBroker()
    let outcomes = Outcomes()
    let client = try PublishClient(
      options: testOptions(port: broker.port),
      onOutcome: { outcomes.add($0) }
    )
    var sent: UInt64 = 0
    func send(_ count: UInt64) {
      for _ in 0..<count {
        #expect(client.publish(Publication(token: sent, topic: "t/1", payload: [1])) == .queued)
        sent += 1
      }
    }
    for _ in 0..<3 {
      send(500)
      try wait(until: "some are confirmed") { outcomes.all.count > Int(sent) - 450 }
      send(500)
      broker.kill()
      try broker.start()
    }
    try expectAll(Int(sent), outcomes)
    let tokens = outcomes.all.compactMap {
      if case .confirmed(let token) = $0 { token } else { nil }
    }
    #expect(tokens.sorted() == Array(0..<sent))
    #expect(client.counters.reconnects >= 1)
    client.stop()
  }

  private static let status = StatusTopic(topic: "davy/status")

  /// A client that says on its status topic how it is, and somebody who has seen it come online.
  private static func watched(
    _ broker: TestBroker
  ) throws -> (client: PublishClient, watcher: RawClient) {
    let watcher = try RawClient(port: broker.port, id: "watcher")
    try watcher.subscribe(status.topic)
    let client = try PublishClient(
      options: testOptions(port: broker.port, id: "davy"),
      status: status
    )
    #expect(try watcher.receive()?.payload == status.online)
    return (client, watcher)
  }

  @Test("status topic: online, offline by Last Will when the connection breaks, stopped at the end")
  func statusTopic() throws {
    let broker = try TestBroker()
    let (client, watcher) = try Self.watched(broker)
    // Throwing the client out breaks its connection without a good-bye.
    let intruder = try RawClient(port: broker.port, id: "davy")
    #expect(try watcher.receive()?.payload == Self.status.offline)
    #expect(try watcher.receive()?.payload == Self.status.online)
    withExtendedLifetime(intruder) {}
    client.stop()
    #expect(try watcher.receive()?.payload == Self.status.stopped)
    #expect(try watcher.receive(seconds: 0.3) == nil)
    let late = try RawClient(port: broker.port, id: "late")
    try late.subscribe("davy/status")
    let retained = try late.receive()
    #expect(retained?.payload == Self.status.stopped)
    #expect(retained?.retain == true)
  }

  @Test("what the status topic says while online can change, and holds after a reconnect")
  func statusChange() throws {
    let broker = try TestBroker()
    let (client, watcher) = try Self.watched(broker)
    client.setOnline([7])
    #expect(try watcher.receive()?.payload == [7])
    let intruder = try RawClient(port: broker.port, id: "davy")
    #expect(try watcher.receive()?.payload == Self.status.offline)
    #expect(try watcher.receive()?.payload == [7])
    withExtendedLifetime(intruder) {}
    client.stop()
    #expect(try watcher.receive()?.payload == Self.status.stopped)
  }

  @Test("what the broker or the library refuses is told, and does not hold up the rest")
  func refused() throws {
    let broker = try TestBroker(
      extra: "acl_file %folder%/acl",
      files: ["acl": "topic readwrite t/#\n"]
    )
    let outcomes = Outcomes()
    let client = try PublishClient(
      options: testOptions(port: broker.port),
      onOutcome: { outcomes.add($0) }
    )
    let topics = ["secret/1", "t/+", "", "t/ok"]
    for (token, topic) in topics.enumerated() {
      _ = client.publish(Publication(token: UInt64(token), topic: topic, payload: [1]))
    }
    try expectAll(4, outcomes)
    let all = outcomes.all
    #expect(all.contains(.refused(token: 0, .refused(0x87))))
    #expect("\(PublishRefusal.refused(0x87))".contains("not authorized"))
    #expect(all.contains(.confirmed(token: 3)))
    for token in [1, 2] as [UInt64] {
      #expect(
        all.contains {
          if case .refused(token, .invalid) = $0 { true } else { false }
        }
      )
    }
    #expect(client.counters.refused == 3)
    client.stop()
  }

  @Test("stopping without a broker does not wait, and tells what was not delivered")
  func stopWithoutBroker() throws {
    let client = try PublishClient(options: testOptions(port: FreePort.find()))
    for _ in 0..<5 { _ = client.publish(Publication(topic: "t/1", payload: [1])) }
    let start = ContinuousClock.now
    #expect(client.stop(grace: .seconds(3_600)) == 5)
    #expect(ContinuousClock.now - start < .seconds(60))
  }
}
