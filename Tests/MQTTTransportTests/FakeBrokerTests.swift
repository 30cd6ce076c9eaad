import Foundation
import MQTTTransport
import Synchronization
import Testing

@Suite struct FakeBrokerTests {
  @Test(
    "a broker that does not know MQTT 5 is spoken to in MQTT 3.1.1",
    arguments: ["MQTT 3.1.1 answer", "MQTT 5 answer", "hangs up"]
  )
  func fallBack(refusal: String) throws {
    let broker = try FakeBroker { peer in
      guard peer.version == 4 else {
        switch refusal {
        case "MQTT 3.1.1 answer": try peer.socket.write([0x20, 2, 0, 1])
        case "MQTT 5 answer": try peer.socket.write([0x20, 3, 0, 0x84, 0])
        default: break
        }
        return
      }
      try peer.welcome()
      try peer.grant([1])
      try peer.publish(Array("t/1".utf8), Array("old".utf8), id: 7)
      try peer.readToEnd()
    }
    let client = try IntakeClient(options: testOptions(port: broker.port))
    #expect(try payloads(client.receive(1)) == ["old"])
    guard case .connected(let session) = client.state else { throw TestFailure("\(client.state)") }
    #expect(session.version == .v311)
    client.acknowledge()
    try wait(until: "PUBACK") { broker.packets.last == Packet(header: 0x40, body: [0, 7]) }
  }

  @Test(
    "MQTT 3.1.1 is spoken for no longer than a connection, whatever led to it",
    arguments: ["MQTT 5 answer", "hangs up"]
  )
  func fallBackEnds(refusal: String) throws {
    // Until the first connection in MQTT 3.1.1 ends; the broker that comes then knows both.
    let isOld = Mutex(true)
    let broker = try FakeBroker { peer in
      let isOldBroker = isOld.withLock { $0 }
      if isOldBroker, peer.version == 5 {
        if refusal == "MQTT 5 answer" { try peer.socket.write([0x20, 3, 0, 0x84, 0]) }
        return
      }
      try peer.welcome()
      try peer.grant([1])
      isOld.withLock { $0 = false }
      if !isOldBroker { try peer.readToEnd() }
    }
    let client = try IntakeClient(options: testOptions(port: broker.port))
    var batch = MessageBatch()
    try wait(until: "the second connection") {
      let isConnected = client.poll(into: &batch, timeout: .milliseconds(50)).isConnected
      return isConnected && client.counters.reconnects == 1
    }
    guard case .connected(let session) = client.state else { throw TestFailure("\(client.state)") }
    #expect(session.version == .v5)
  }

  @Test("hang-ups that have passed lead to no older version: a proxy whose broker was away")
  func proxy() throws {
    let broker = try FakeBroker { peer in
      // Away for a few rounds; each of them ends with a try in MQTT 3.1.1.
      guard peer.number > 7 else { return }
      try peer.welcome()
      try peer.grant([1])
      try peer.readToEnd()
    }
    let client = try IntakeClient(options: testOptions(port: broker.port))
    try client.connect()
    guard case .connected(let session) = client.state else { throw TestFailure("\(client.state)") }
    #expect(session.version == .v5)
  }

  @Test("a broker that refuses both versions is named, and asked again")
  func noVersion() throws {
    let broker = try FakeBroker { try $0.socket.write([0x20, 2, 0, 1]) }
    let client = try IntakeClient(options: testOptions(port: broker.port))
    var batch = MessageBatch()
    try wait(until: "refused") {
      _ = client.poll(into: &batch, timeout: .milliseconds(50))
      guard case .waiting(.unsupportedVersion, let attempt, _) = client.state else { return false }
      return attempt > 1
    }
  }

  @Test("a refused topic filter is an error that names it, and is asked for again")
  func refusedSubscription() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([1, 0x87])
      try peer.publish(Array("a/1".utf8), Array("flows".utf8), qos: 0, id: 0)
      try peer.grant([1])
      try peer.readToEnd()
    }
    let options = testOptions(
      port: broker.port,
      subscriptions: [Subscription(filter: "a/#"), Subscription(filter: "secret/#")]
    )
    let client = try IntakeClient(options: options)
    #expect(try payloads(client.receive(1)) == ["flows"])
    guard case .subscriptionRefused(_, let refusals) = client.state else {
      throw TestFailure("\(client.state)")
    }
    #expect(refusals == [SubscriptionRefusal(filter: "secret/#", code: 0x87)])
    #expect(client.state.description.contains("'secret/#' is refused: not authorized"))
    var batch = MessageBatch()
    try wait(until: "granted at last") {
      if case .connected = client.poll(into: &batch, timeout: .milliseconds(50)) {
        true
      } else {
        false
      }
    }
    let second = broker.packets.filter { $0.type == 8 }.last
    #expect(second?.body.suffix(11) == (Wire.string("secret/#") + [0x11])[...])
  }

  @Test("a lower QoS than asked for is an error too")
  func loweredQoS() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([0])
      try peer.readToEnd()
    }
    let client = try IntakeClient(options: testOptions(port: broker.port))
    try client.connect()
    guard case .subscriptionRefused(_, let refusals) = client.state else {
      throw TestFailure("\(client.state)")
    }
    #expect(refusals.map(\.code) == [0])
  }

  @Test("QoS 2 is asked for as QoS 1, because the broker forgets at PUBREC")
  func exactlyOnceIsAskedAsAtLeastOnce() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([1])
      try peer.readToEnd()
    }
    let options = testOptions(
      port: broker.port,
      subscriptions: [Subscription(filter: "t/#", qos: .exactlyOnce)]
    )
    let client = try IntakeClient(options: options)
    try client.connect()
    // With MQTT 5's word that retained messages are for new subscriptions only.
    #expect(broker.packets.first { $0.type == 8 }?.body.last == 0x11)
  }

  @Test("reading on without acknowledging sends no PUBACK, not even with a PINGREQ")
  func nothingLeavesBeforeAcknowledge() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([1])
      for id in 1...3 as ClosedRange<UInt16> {
        try peer.publish(Array("t".utf8), [UInt8(id)], id: id)
        // Each in a segment of its own, so that the client polls several times.
        _ = try peer.socket.read(seconds: 0.2)
      }
      try peer.readToEnd()
    }
    var options = testOptions(port: broker.port)
    options.keepAlive = .seconds(5)
    let client = try IntakeClient(options: options)
    var batch = try client.receive(3)
    try wait(until: "PINGREQ") {
      _ = client.poll(into: &batch, timeout: .milliseconds(100))
      return broker.count(Packet.pingreq) >= 2
    }
    #expect(broker.count(Packet.puback) == 0)
    client.acknowledge()
    try wait(until: "PUBACK") { broker.count(Packet.puback) == 3 }
    #expect(batch.count == 3)
  }

  @Test("a silent broker is found out within twice the keep alive")
  func silentBroker() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([1])
      // Never answers PINGREQ.
      while try peer.socket.read() != nil {}
    }
    let failures = Mutex<[LinkFailure]>([])
    var options = testOptions(port: broker.port)
    options.keepAlive = .seconds(5)
    let client = try IntakeClient(options: options) { state in
      if case .waiting(let failure, _, _) = state { failures.withLock { $0.append(failure) } }
    }
    try client.connect()
    // Counted in polls of a tenth of a second each: on a machine that has no time they take longer, and so do both ends.
    var polls = 0
    var batch = MessageBatch()
    try wait(until: "found out") {
      _ = client.poll(into: &batch, timeout: .milliseconds(100))
      polls += 1
      return failures.withLock { !$0.isEmpty }
    }
    #expect(failures.withLock { $0 } == [.keepAliveTimeout])
    #expect(polls < 100, "twice the keep alive of 5 s")
  }

  @Test(
    "a silent broker is found out by who only sends, its socket full or not, and all is sent again",
    arguments: [(1, 10), (40, 1 << 20)]
  )
  func silentBrokerOfPublisher(count: Int, bytes: Int) throws {
    let failures = Mutex<[LinkFailure]>([])
    let broker = try FakeBroker { peer in
      try peer.welcome()
      guard peer.number > 1 else {
        // Neither reads nor answers.
        return try wait(until: "found out") { failures.withLock { !$0.isEmpty } }
      }
      while let packet = try peer.read() {
        guard packet.type == Packet.publish else { continue }
        let topic = Int(packet.body[0]) << 8 | Int(packet.body[1])
        try peer.socket.write(Wire.packet(0x40, Array(packet.body[(2 + topic)..<(4 + topic)])))
      }
    }
    var options = testOptions(port: broker.port, subscriptions: [])
    options.keepAlive = .seconds(5)
    let outcomes = Mutex<[PublishOutcome]>([])
    let client = try PublishClient(
      options: options,
      onOutcome: { outcome in outcomes.withLock { $0.append(outcome) } },
      onStateChange: { state in
        if case .waiting(let failure, _, _) = state { failures.withLock { $0.append(failure) } }
      }
    )
    let payload = [UInt8](repeating: 1, count: bytes)
    for token in 1...UInt64(count) {
      #expect(client.publish(Publication(token: token, topic: "t", payload: payload)) == .queued)
    }
    try wait(until: "all is confirmed") { outcomes.withLock { $0.count } == count }
    #expect(failures.withLock { $0 } == [.keepAliveTimeout])
    let confirmed = (1...UInt64(count)).map { PublishOutcome.confirmed(token: $0) }
    #expect(outcomes.withLock { $0 } == confirmed)
  }

  @Test("a silent broker is found out by who goes on sending: what leaves is no sign of life")
  func silentBrokerOfBusyPublisher() throws {
    let failures = Mutex<[LinkFailure]>([])
    let broker = try FakeBroker { peer in
      try peer.welcome()
      // Neither reads nor answers.
      try wait(until: "found out") { failures.withLock { !$0.isEmpty } }
    }
    var options = testOptions(port: broker.port, subscriptions: [])
    options.keepAlive = .seconds(5)
    let client = try PublishClient(
      options: options,
      onOutcome: { _ in },
      onStateChange: { state in
        if case .waiting(let failure, _, _) = state { failures.withLock { $0.append(failure) } }
      }
    )
    // Less than half a keep alive apart, and fewer than may be unconfirmed; a keep alive goes by the real clock.
    for token in 1...40 as ClosedRange<UInt64> where failures.withLock({ $0.isEmpty }) {
      _ = client.publish(Publication(token: token, topic: "t", payload: [1]))
      usleep(500_000)
    }
    #expect(failures.withLock { $0.first } == .keepAliveTimeout)
  }

  @Test("a message that takes longer to come than the keep alive is no silence")
  func longMessage() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([1])
      guard peer.number == 1 else {
        try peer.publish(Array("t".utf8), Array("after a loss".utf8), id: 2)
        return try peer.readToEnd()
      }
      let message = Wire.publish(
        topic: Array("t".utf8),
        payload: Array("in one go".utf8),
        qos: 1,
        id: 1,
        v5: peer.version == 5
      )
      // A byte at a time, half a second or a PINGREQ apart: longer than silence would be borne with.
      for byte in message.dropLast() {
        try peer.socket.write([byte])
        _ = try peer.socket.read(seconds: 0.5)
        _ = try peer.socket.read(seconds: 0.5)
      }
      try peer.socket.write([message[message.count - 1]])
      try peer.readToEnd()
    }
    var options = testOptions(port: broker.port)
    options.keepAlive = .seconds(5)
    let client = try IntakeClient(options: options)
    #expect(try payloads(client.receive(1)) == ["in one go"])
    #expect(client.counters.reconnects == 0)
  }

  @Test("a broker that takes the connection and says nothing does not hold the caller")
  func noAnswer() throws {
    let broker = try FakeBroker { peer in while try peer.socket.read() != nil {} }
    var options = testOptions(port: broker.port)
    options.connectTimeout = .seconds(3_600)
    let patient = try IntakeClient(options: options)
    var batch = MessageBatch()
    let start = ContinuousClock.now
    _ = patient.poll(into: &batch, timeout: .milliseconds(50))
    #expect(ContinuousClock.now - start < .seconds(60))
    options.connectTimeout = .milliseconds(300)
    let client = try IntakeClient(options: options)
    try wait(until: "given up") {
      if case .waiting(.handshakeTimeout, _, _) = client.poll(
        into: &batch,
        timeout: .milliseconds(50)
      ) {
        true
      } else {
        false
      }
    }
  }

  @Test("a topic that is not UTF-8 ends the connection with its reason, not the process")
  func invalidTopic() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([1])
      guard peer.number == 1 else {
        try peer.publish(Array("t/good".utf8), Array("good".utf8), id: 2)
        return try peer.readToEnd()
      }
      try peer.publish([0x74, 0x2F, 0xFF, 0xFE], Array("bad".utf8), id: 1)
      try peer.readToEnd()
    }
    let reasons = Mutex<[String]>([])
    let client = try IntakeClient(options: testOptions(port: broker.port)) { state in
      if case .waiting(let failure, _, _) = state {
        reasons.withLock { $0.append(failure.description) }
      }
    }
    #expect(try payloads(client.receive(1)) == ["good"])
    #expect(reasons.withLock { $0 }.contains { $0.contains("not valid UTF-8") })
  }

  @Test("another client with our identifier is named as the cause", arguments: [true, false])
  func takenOver(saysWhy: Bool) throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([1])
      if saysWhy { try peer.socket.write([0xE0, 1, 0x8E]) }
    }
    let reasons = Mutex<[String]>([])
    let client = try IntakeClient(options: testOptions(port: broker.port)) { state in
      if case .waiting(let failure, _, _) = state {
        reasons.withLock { $0.append(failure.description) }
      }
    }
    var batch = MessageBatch()
    try wait(until: "thrown out") {
      _ = client.poll(into: &batch, timeout: .milliseconds(50))
      return reasons.withLock { !$0.isEmpty }
    }
    #expect(reasons.withLock { $0 }.first?.contains("client id") == true)
    #expect(reasons.withLock { $0 }.first?.contains("taken over") == saysWhy)
  }

  /// What answers CONNECT or a TLS handshake; who says nothing hangs up.
  struct WrongPort: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var says: [UInt8] = []
    var usesTLS: Bool
    var words: String
  }

  @Test(
    "a port that speaks TLS where we do not, or the other way round, is named by place and remedy",
    arguments: [
      WrongPort(
        testDescription: "an alert of TLS",
        says: [0x15, 3, 3, 0, 2, 2, 70],
        usesTLS: false,
        words: "speaks TLS"
      ),
      WrongPort(testDescription: "nothing", usesTLS: false, words: "a TLS port does that"),
      WrongPort(testDescription: "nothing to TLS", usesTLS: true, words: "knows no TLS"),
      WrongPort(
        testDescription: "words of HTTP to TLS",
        says: Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8),
        usesTLS: true,
        words: "knows no TLS"
      ),
    ]
  )
  func wrongPort(_ test: WrongPort) throws {
    let broker = try FakeBroker { peer in
      guard !test.says.isEmpty else { return }
      try peer.socket.write(test.says)
      // Until the client has gone: an end that comes with a reset takes along what has not been read.
      while try peer.socket.read() != nil {}
    }
    var options = testOptions(port: broker.port)
    if test.usesTLS { options.tls = TLSOptions() }
    let reasons = Mutex<[String]>([])
    let client = try IntakeClient(options: options) { state in
      if case .waiting(let failure, _, _) = state {
        reasons.withLock { $0.append(failure.description) }
      }
    }
    var batch = MessageBatch()
    try wait(until: "a reason") {
      _ = client.poll(into: &batch, timeout: .milliseconds(50))
      return reasons.withLock { !$0.isEmpty }
    }
    let first = reasons.withLock { $0.first ?? "" }
    #expect(first.hasPrefix("127.0.0.1:\(broker.port)") && first.contains(test.words), "\(first)")
  }

  @Test("garbage instead of MQTT is an error state")
  func garbage() throws {
    let broker = try FakeBroker { peer in
      try peer.socket.write(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
    }
    let client = try IntakeClient(options: testOptions(port: broker.port))
    var batch = MessageBatch()
    try wait(until: "error state") {
      if case .waiting = client.poll(into: &batch, timeout: .milliseconds(50)) {
        true
      } else {
        false
      }
    }
  }

  @Test("the delay between attempts doubles up to its limit and goes on for ever")
  func backOff() throws {
    let port = try FreePort.find()
    let delays = Mutex<[Duration]>([])
    let client = try IntakeClient(options: testOptions(port: port)) { state in
      if case .waiting(.unreachable, _, let delay) = state {
        delays.withLock { $0.append(delay) }
      }
    }
    var batch = MessageBatch()
    try wait(until: "six attempts") {
      _ = client.poll(into: &batch, timeout: .milliseconds(50))
      return delays.withLock { $0.count } >= 6
    }
    #expect(
      delays.withLock { Array($0.prefix(6)) }
        == [50, 100, 200, 400, 400, 400].map { .milliseconds($0) }
    )
  }

  @Test("a session that was there before and is not there any more is counted")
  func lostSession() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome(sessionPresent: peer.number == 2)
      try peer.grant([1])
      if peer.number == 3 { try peer.readToEnd() }
    }
    let client = try IntakeClient(options: testOptions(port: broker.port))
    var batch = MessageBatch()
    try wait(until: "the third connection") {
      let isConnected = client.poll(into: &batch, timeout: .milliseconds(10)).isConnected
      return isConnected && client.counters.reconnects == 2
    }
    #expect(client.counters.sessionsLost == 1)
  }

  @Test("a session that an earlier process has left is missed at the first connection already")
  func lostEarlierSession() throws {
    for (isPresent, lost) in [(false, 1), (true, 0)] as [(Bool, UInt64)] {
      let broker = try FakeBroker { peer in
        try peer.welcome(sessionPresent: isPresent)
        try peer.grant([1])
        try peer.readToEnd()
      }
      var options = testOptions(port: broker.port)
      options.hasEarlierSession = true
      let client = try IntakeClient(options: options)
      try client.connect()
      #expect(client.counters.sessionsLost == lost)
    }
  }

  @Test("MQTT 3.1.1: what the session has is not subscribed to again, what it lacks is")
  func subscribedOnce() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome(sessionPresent: peer.number == 2)
      switch peer.number {
      // One of two filters is refused, and the broker hangs up.
      case 1: try peer.grant([1, 0x80])
      case 2: try peer.grant([1])
      // The session is lost.
      default:
        try peer.grant([1, 1])
        try peer.readToEnd()
      }
    }
    var options = testOptions(
      port: broker.port,
      subscriptions: [Subscription(filter: "a/#"), Subscription(filter: "b/#")]
    )
    options.protocolPreference = .v311
    let client = try IntakeClient(options: options)
    var batch = MessageBatch()
    try wait(until: "the third connection") {
      if case .connected = client.poll(into: &batch, timeout: .milliseconds(10)) {
        client.counters.reconnects == 2
      } else {
        false
      }
    }
    let asked = broker.packets.filter { $0.type == 8 }.map { Array($0.body.dropFirst(2)) }
    let both = Wire.string("a/#") + [1] + Wire.string("b/#") + [1]
    #expect(asked == [both, Wire.string("b/#") + [1], both])
  }

  @Test("messages that came before the connection broke are handed out")
  func brokenAfterMessages() throws {
    let broker = try FakeBroker { peer in
      try peer.welcome()
      try peer.grant([1])
      guard peer.number == 1 else { return try peer.readToEnd() }
      for id in 1...5 as ClosedRange<UInt16> {
        try peer.publish(Array("t".utf8), [UInt8(id)], qos: 0, id: id)
      }
    }
    let client = try IntakeClient(options: testOptions(port: broker.port))
    let batch = try client.receive(5)
    #expect(batch.indices.map { batch.payload(at: $0) } == [[1], [2], [3], [4], [5]])
  }
}
