import DeviceCatalog
import HazardLedger
import PayloadDecoding
import Station
import Telemetry
import Testing

/// What gateways are told of what was refused, and when replies of the formats may go out.
@Suite struct FeedbackTests {
  static func tally(
    _ reason: String,
    topic: String = Fixture.topic,
    device: String = "",
    count: Int64 = 1
  ) -> RejectTally {
    let time = Timestamp(milliseconds: 1_795_451_234_567)
    return RejectTally(
      reason: reason,
      topic: topic,
      device: device,
      count: count,
      firstSequence: 7,
      lastSequence: 9,
      firstTime: time,
      lastTime: time,
      detail: "/point: no such point",
      sample: Array("secret".utf8)
    )
  }

  static func text(_ message: OutgoingMessage) -> String {
    String(decoding: message.payload, as: UTF8.self)
  }

  @Test(
    "each refusal goes to the gateway it came from; what belongs to none goes to the general topic",
    arguments: [
      (Fixture.topic, "", "davy/v1/metec/gw-1/feedback"),
      ("davy/v1/metec/gw-1/influx", "", "davy/v1/metec/gw-1/feedback"),
      ("davy/v1/metec/unheard-of/readings", "", FeedbackWriter.general),
      ("davy/v1/nobody/gw-1/readings", "", FeedbackWriter.general),
      ("somewhere/else", "", FeedbackWriter.general),
      // Found out later, without a message: only the device tells whose it is.
      ("", "ch4_n", "davy/v1/metec/gw-1/feedback"), ("", "unheard-of", FeedbackWriter.general),
    ]
  )
  func destinations(topic: String, device: String, expected: String) throws {
    var writer = FeedbackWriter()
    let messages = writer.messages(
      for: [Self.tally("unknownPoint", topic: topic, device: device)],
      catalog: try Fixture.catalog(),
      at: 0
    )
    #expect(messages.map { String(decoding: $0.topic, as: UTF8.self) } == [expected])
  }

  @Test("it says why, where, how often and what to do, in both languages, and quotes no payload")
  func content() throws {
    var writer = FeedbackWriter()
    let messages = writer.messages(
      for: [Self.tally("unknownPoint", device: "ch4_n", count: 3)],
      catalog: try Fixture.catalog(),
      at: 0
    )
    let message = try #require(messages.first)
    let json = try HazardLedger.JSONValue(parsing: message.payload)
    let members = try #require(json.members)
    #expect(members["reason"]?.text == "unknownPoint")
    #expect(members["device"]?.text == "ch4_n")
    #expect(members["topic"]?.text == Fixture.topic)
    #expect(members["detail"]?.text == "/point: no such point")
    #expect(members["remedy"]?.members?["en"]?.text == RejectReason.unknownPoint.remedy)
    #expect(members["remedy"]?.members?["zh"]?.text == RejectReason.unknownPoint.remedyChinese)
    #expect(Self.text(message).contains("\"count\":3,"))
    #expect(!Self.text(message).contains("secret"))
    #expect(message.qos == 1)
  }

  @Test("a flood of one gateway is held back and counted, and silences no other")
  func flood() throws {
    let catalog = try Fixture.catalog()
    var writer = FeedbackWriter()
    let one = [Self.tally("unknownPoint", count: 5)]
    for number in 0..<100 {
      let sent = writer.messages(for: one, catalog: catalog, at: Int64(number)).count
      #expect(sent == (number < FeedbackWriter.burst ? 1 : 0))
    }
    #expect(writer.heldBack == UInt64(100 - FeedbackWriter.burst) * 5)
    let stranger = Self.tally("unknownTopic", topic: "elsewhere")
    #expect(writer.messages(for: [stranger], catalog: catalog, at: 100).count == 1)
    let later = writer.messages(for: one, catalog: catalog, at: FeedbackWriter.window)
    #expect(later.first.map(Self.text)?.contains("\"heldBack\":450,") == true)
    let next = writer.messages(for: one, catalog: catalog, at: FeedbackWriter.window + 1)
    #expect(next.first.map(Self.text)?.contains("heldBack") == false)
  }

  @Test(
    "the service never answers what it publishes itself",
    arguments: [
      "davy/v1/metec/gw-1/feedback", FeedbackWriter.general, "davy/v1/alarms/metec/x",
      "davy/v1/status/demo",
    ]
  )
  func loop(topic: String) throws {
    var writer = FeedbackWriter()
    let tally = Self.tally("unknownTopic", topic: topic)
    #expect(writer.messages(for: [tally], catalog: try Fixture.catalog(), at: 0).isEmpty)
  }

  @Test("a reply waits until the journal covers the message that it answers, and goes out once")
  func durability() {
    let exchange = Exchange(durable: 4, position: 4, head: 0)
    var output = CoreOutput(position: 6)
    let reply = OutgoingMessage(topic: Array("a".utf8), payload: [1], qos: 0)
    output.replies = [reply]
    output.rejects = [Self.tally("notBorn")]
    exchange.enqueue(output, at: 0)
    #expect(exchange.takeOutgoing().messages.isEmpty)
    exchange.setDurable(5)
    #expect(exchange.takeOutgoing().rejects.isEmpty)
    exchange.setDurable(6)
    let ready = exchange.takeOutgoing()
    #expect(ready.messages == [reply] && ready.rejects.count == 1)
    #expect(exchange.takeOutgoing().messages.isEmpty)
  }

  @Test("replies beyond the limit are dropped and counted")
  func limit() {
    let exchange = Exchange(durable: 0, position: 0, head: 0)
    var output = CoreOutput(position: 1)
    output.replies = Array(
      repeating: OutgoingMessage(topic: Array("a".utf8), payload: [], qos: 0),
      count: 6_000
    )
    exchange.enqueue(output, at: 0)
    exchange.enqueue(output, at: 0)
    #expect(exchange.outgoingDropped == 6_000)
    exchange.setDurable(1)
    #expect(exchange.takeOutgoing().messages.count == 6_000)
    exchange.enqueue(output, at: 0)
    #expect(exchange.takeOutgoing().messages.count == 6_000)
  }
}
