import MQTTTransport
import Station
import Testing

/// What the journal keeps of a message beside its topic and payload: the names that are Davy's own nobody else can write.
@Suite("Properties of received messages")
struct MQTTLinkTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var length = 3
    var properties: [(String, String)] = []
    var request: RequestProperties?
    var kept: [String] = []
    var isPlain = false
  }

  static let cases = [
    Case(testDescription: "nothing", isPlain: true),
    Case(
      testDescription: "a sender's own",
      properties: [("a", "1"), ("davy-received", "2"), ("a", "3")],
      kept: ["a=1", "davy-received=2", "a=3"]
    ),
    Case(
      testDescription: "names that are not the sender's",
      properties: [
        ("davy-cut-from", "9"), ("a", "1"), ("davy-response-topic", "x"), ("davy-correlation", "y"),
      ],
      kept: ["a=1"]
    ),
    Case(testDescription: "cut", length: 20, kept: ["davy-cut-from=20"]),
    Case(
      testDescription: "cut, and the sender says otherwise",
      length: 20,
      properties: [("davy-cut-from", "9"), ("a", "1")],
      kept: ["a=1", "davy-cut-from=20"]
    ),
    Case(
      testDescription: "a request",
      properties: [("davy-response-topic", "x")],
      request: RequestProperties(responseTopic: "answers", correlation: [1, 2, 255]),
      kept: ["davy-response-topic=answers", "davy-correlation=AQL/"]
    ),
    Case(
      testDescription: "a request without correlation data",
      request: RequestProperties(responseTopic: "answers"),
      kept: ["davy-response-topic=answers"]
    ),
    Case(
      testDescription: "correlation data alone",
      request: RequestProperties(responseTopic: "", correlation: [0]),
      kept: ["davy-correlation=AA=="]
    ),
  ]

  @Test("what is kept", arguments: cases)
  func kept(_ message: Case) {
    var batch = MessageBatch()
    Self.append(message, to: &batch)
    #expect(Self.kept(batch, 0) == message.kept)
    #expect(batch.isPlain(at: 0) == message.isPlain)
  }

  @Test("the status topic says online only while readings come in")
  func status() {
    func said(_ state: LinkState) -> String? {
      MQTTPublisher.status(intake: state).map { String(decoding: $0, as: UTF8.self) }
    }
    let session = LinkSession(version: .v5, sessionPresent: true, keepAlive: .seconds(30))
    let refusal = SubscriptionRefusal(filter: "t/#", code: 0x87)
    #expect(said(.connected(session)) == #"{"state":"online"}"#)
    #expect(said(.connecting(attempt: 3)) == nil)
    #expect(
      said(.waiting(.refused(0x87), attempt: 3, delay: .seconds(1)))
        == #"{"reason":"the intake is not connected: broker refuses the connection: not authorized","state":"degraded"}"#
    )
    #expect(said(.subscriptionRefused(session, [refusal]))?.contains("'t/#' is refused") == true)
  }

  @Test("each message of a batch has its own")
  func batches() {
    for first in Self.cases {
      var batch = MessageBatch()
      for message in [first] + Self.cases.reversed() { Self.append(message, to: &batch) }
      for (index, message) in ([first] + Self.cases.reversed()).enumerated() {
        #expect(Self.kept(batch, index) == message.kept)
        #expect(batch.isPlain(at: index) == message.isPlain)
      }
    }
  }

  private static func append(_ message: Case, to batch: inout MessageBatch) {
    let bytes = [UInt8](repeating: 7, count: message.length)
    unsafe bytes.withUnsafeBytes { bytes in
      unsafe batch.append(
        topic: bytes,
        payload: bytes,
        flags: 0,
        properties: message.properties,
        request: message.request,
        maximum: 8,
        sample: 4
      )
    }
  }

  private static func kept(_ batch: MessageBatch, _ index: Int) -> [String] {
    MQTTLink.properties(of: batch, at: index).map { "\($0.0)=\($0.1)" }
  }
}
