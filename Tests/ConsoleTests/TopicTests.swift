import Callout
import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Synchronization
import Telemetry
import Testing

/// Every message that goes over a topic is what the description of topics says, both ways.
@Suite("Topics") struct TopicTests {
  private static func topics() throws -> SchemaValidator {
    let file = DescriptionTests.file.deletingLastPathComponent()
      .appendingPathComponent("asyncapi.yaml")
    return try SchemaValidator(file: file)
  }

  @Test("every message has a schema that leads somewhere, every topic an operation")
  func complete() throws {
    let topics = try Self.topics()
    let channels = try #require(topics.root["channels"] as? [String: [String: Any]])
    let operations = try #require(topics.root["operations"] as? [String: [String: Any]])
    var used: Set<String> = []
    for (name, operation) in operations {
      let reply = (operation["reply"] as? [String: Any])?["channel"]
      for channel in [operation["channel"], reply] {
        guard let reference = (channel as? [String: Any])?["$ref"] as? String else { continue }
        let target = try #require(reference.split(separator: "/").last)
        #expect(channels[String(target)] != nil, "\(name): \(reference)")
        used.insert(String(target))
      }
    }
    #expect(used == Set(channels.keys))
    var addresses: Set<String> = []
    for (name, channel) in channels {
      let address = try #require(channel["address"] as? String, "\(name)")
      #expect(addresses.insert(address).inserted, "\(address)")
      // What stands in braces is explained.
      let parameters = channel["parameters"] as? [String: Any] ?? [:]
      for level in address.matches(of: /\{(\w+)\}/) {
        #expect(parameters[String(level.1)] != nil, "\(address)")
      }
      let messages = try #require(channel["messages"] as? [String: [String: Any]], "\(name)")
      #expect(!messages.isEmpty, "\(name)")
      for (message, body) in messages {
        let payload = try #require(body["payload"] as? [String: Any], "\(name) \(message)")
        let schema = topics.resolved(payload)
        #expect(schema["unresolved"] == nil && !schema.isEmpty, "\(name) \(message)")
      }
    }
  }

  private static func json(_ payload: [UInt8]) throws -> Any {
    try JSONSerialization.jsonObject(with: Data(payload), options: .fragmentsAllowed)
  }

  @Test("scans, reports, answers and commands; what does not fit is what is refused")
  func welding() throws {
    let topics = try Self.topics()
    func faults(_ payload: [UInt8], _ name: String) throws -> [String] {
      topics.faults(try Self.json(payload), ["$ref": "#/components/schemas/\(name)"])
    }
    let reasons = topics.resolved(["$ref": "#/components/schemas/WeldingScanAnswer"])
    let listed =
      ((reasons["properties"] as? [String: Any])?["reasons"] as? [String: Any])?["items"]
      as? [String: Any]
    #expect((listed?["enum"] as? [String]) == WeldingDenial.allCases.map(\.rawValue))

    let station = try WeldingRouteTests.station()
    let base = "davy/v1/acme/gw/"
    let here = #""position":[115.0005,25.0005]"#
    let now = WeldingRouteTests.noon + 60_000
    // Topic, payload, whether it is what the schema says; what does not fit is denied as malformed or refused.
    let sent: [(verb: String, payload: String, fits: Bool)] = [
      ("scan", #"{"code":"QR-1","welder":"w1","id":"7","t":\#(now),\#(here)}"#, true),
      ("scan", #"{"code":"QR-2","welder":"w1",\#(here)}"#, true),
      ("scan", #"{"code":"QR-9","welder":"w9"}"#, true),
      ("scan", #"{"code":"QR-1"}"#, false),
      ("scan", #"{"code":1,"welder":"w1"}"#, false),
      ("scan", #"{"code":"QR-1","welder":"\#(String(repeating: "w", count: 257))"}"#, false),
      // 85 of three bytes each are within 256, 86 are not, though they are 86 characters.
      ("scan", #"{"code":"QR-1","welder":"\#(String(repeating: "焊", count: 85))"}"#, true),
      ("scan", #"{"code":"QR-1","welder":"\#(String(repeating: "焊", count: 86))"}"#, false),
      (
        "scan", #"{"code":"QR-1","welder":"w1","id":"\#(String(repeating: "号", count: 86))"}"#,
        false
      ),
      ("scan", "[]", false),
      ("scan", #"{"code":"QR-1","welder":"w1","t":"\#(now)"}"#, false),
      ("scan", #"{"code":"QR-1","welder":"w1","id":7}"#, false),
      ("report", #"{"permit":"P-1","event":"gas-test","passed":"false"}"#, false),
      ("report", #"{"permit":"P-1","event":"gas-test","passed":null}"#, false),
      ("report", #"{"permit":"P-1","event":"gas-test","time":"now"}"#, false),
      ("report", #"{"permit":"P-1","event":"gas-test","passed":true}"#, true),
      ("report", #"{"permit":"P-1","event":"guardian","person":"g2","time":\#(now)}"#, true),
      ("report", #"{"permit":"P-1","event":"guardian"}"#, false),
      ("report", #"{"permit":"P-1","event":"video","camera":"CAM-1"}"#, true),
      ("report", #"{"permit":"P-1","event":"video"}"#, false),
      ("report", #"{"permit":"P-1","event":"extend","until":\#(now)}"#, false),
      ("report", #"{"permit":"P-1","event":"dance"}"#, false),
      ("report", #"{"event":"cleared"}"#, false),
      ("report", #"{"permit":"\#(String(repeating: "证", count: 342))","event":"cleared"}"#, false),
      ("report", #"{"permit":"P-1","event":"guardian-left"}"#, true),
      ("report", #"{"permit":"P-1","event":"finished"}"#, true),
      ("report", #"{"permit":"P-1","event":"cleared"}"#, true),
    ]
    var seen: Set<String> = []
    for (index, message) in sent.enumerated() {
      let schema = message.verb == "scan" ? "WeldingScan" : "WeldingReport"
      #expect(try faults(Array(message.payload.utf8), schema).isEmpty == message.fits, "\(message)")
      let output = try station.feed(
        .message,
        base + "welding/" + message.verb,
        Array(message.payload.utf8),
        at: now + Int64(index)
      ).output
      #expect(!output.answers.isEmpty, "\(message)")
      for answer in output.answers {
        for sequence in [nil, 7] as [Int64?] {
          let payload = AnswerSender.payload(of: answer, sequence: sequence)
          let members = try #require(try JSONValue(parsing: payload).members)
          let name: String
          if answer.topic == base + "commands/WM-1" || answer.topic == base + "commands/WM-2" {
            name = "MachineCommand"
            seen.insert(members["command"]?.text ?? "")
          } else {
            #expect(answer.topic == base + "welding/answers")
            name = message.verb == "scan" ? "WeldingScanAnswer" : "WeldingReportAnswer"
            seen.insert(members["answer"]?.text ?? "")
            let isUnread =
              members["reason"]?.text == "malformed" || members["answer"]?.text == "refused"
            #expect(isUnread == !message.fits, "\(message)")
          }
          #expect(try faults(payload, name) == [], "\(message)")
          #expect(members["recorded"] == .bool(sequence != nil))
        }
      }
    }
    #expect(seen == ["allow", "deny", "taken", "refused", "release", "lock"])
  }

  @Test("readings: the schema takes what the decoder takes, and refuses what it refuses")
  func readings() throws {
    let topics = try Self.topics()
    let station = try CoreStation()
    let time = Int64(Date().timeIntervalSince1970 * 1_000) - 600_000
    let sent: [(payload: String, fits: Bool)] = [
      (#"{"device":"ch4_n","point":"ch4","t":\#(time),"v":1.5}"#, true),
      (#"[{"device":"ch4_n","point":"ch4","v":2},{"device":"ch4_e","values":{"ch4":1}}]"#, true),
      (#"{"device":"ch4_n","readings":[{"point":"ch4","v":1},{"values":{"ch4":{"v":2}}}]}"#, true),
      (#"{"device":"ch4_n","point":"ch4","v":null,"s":"lineBroken"}"#, true),
      (#"{"device":"ch4_n","point":"ch4","v":null,"s":"overRange"}"#, true),
      (#"{"device":"ch4_n","point":"ch4","t":"2026-01-02T03:04:05+08:00","v":1}"#, true),
      (#"{"device":"ch4_n","s":"normal","unit":"ppm","readings":[{"point":"ch4","v":1}]}"#, true),
      (#"{"device":"ch4_n","unit":"ppm","values":{"ch4":1}}"#, true),
      (#"{"device":"ch4_n","values":{"ch4":{"v":1,"t":\#(time),"historical":true}}}"#, true),
      (#"{"device":"ch4_n","v":55,"readings":[{"point":"ch4","v":1}]}"#, false),
      (#"{"device":"ch4_n","values":{"ch4":55},"readings":[{"point":"ch4","v":1}]}"#, false),
      (#"{"device":"ch4_n","point":"ch4","readings":[{"v":1},{"values":{"ch4":2}}]}"#, true),
      (#"{"device":"ch4_n","point":7,"readings":[{"v":1}]}"#, false),
      (#"{"device":"ch4_n","point":"ch4","values":{"ch4":1}}"#, false),
      (#"{"device":"ch4_n","v":1,"values":{"ch4":1}}"#, false),
      (#"{"device":"ch4_n","values":{"ch4":{"point":"ch4","v":1}}}"#, false),
      (#"{"device":"ch4_n","values":{"ch4":{"device":"ch4_n","v":1}}}"#, false),
      (#"[{"device":"ch4_n","point":"ch4","v":1,"readings":[]}]"#, false),
      (#"{"device":"ch4_n","point":"ch4"}"#, false),
      (#"{"device":"ch4_n","point":"ch4","v":"much"}"#, false),
      (#"{"device":"ch4_n","point":"ch4","v":[1]}"#, false),
      (#"{"device":"ch4_n","point":"ch4","t":5,"v":1}"#, true),
      (#"{"device":"ch4_n","point":"ch4","t":-86400001,"v":1}"#, false),
      (#"{"device":"ch4_n","point":"ch4","t":"yesterday","v":1}"#, false),
      (#"{"device":7,"point":"ch4","v":1}"#, false),
      (#"{"device":"ch4_n","values":[1]}"#, false),
      (#"{"device":"ch4_n","readings":{"point":"ch4","v":1}}"#, false),
      ("[7]", false), (#""ch4""#, false),
    ]
    for message in sent {
      let json = try Self.json(Array(message.payload.utf8))
      let faults = topics.faults(json, ["$ref": "davy-readings.json"])
      #expect(faults.isEmpty == message.fits, "\(message) \(faults)")
      let output = try station.feed(
        .message,
        "davy/v1/metec/gw-1/readings",
        Array(message.payload.utf8)
      ).output
      #expect(output.rejects.isEmpty == message.fits, "\(message) \(output.rejects)")
    }
  }

  @Test("floods, as they go out")
  func floods() throws {
    let topics = try Self.topics()
    var sources = try CoreStation.files(["devices/research/fence-line-methane.yaml"])
    let site = try CoreStation.files(["config/sites/methane-demo.yaml"])[0].text
      .replacing("replay-source: true", with: "replay-source: false")
    sources.append(
      ("sites/methane-demo.yaml", site + "\nflood: {limit: 5, area-limit: 5, end-below: 2}\n")
    )
    let station = try CoreStation(sources: sources)
    for round in 0..<8 {
      for device in ["ch4_n", "ch4_e", "ch4_s", "ch4_w"] {
        try station.reading(round.isMultiple(of: 2) ? 25 : 1, device: device)
      }
    }
    var seen: Set<String> = []
    for entry in try station.memory.entries(after: 0, limit: 10_000) {
      guard let message = FloodMessage(entry: entry) else { continue }
      #expect(message.topic.hasPrefix("davy/v1/floods/"))
      let json = try Self.json(message.payload)
      #expect(topics.faults(json, ["$ref": "#/components/schemas/Flood"]) == [])
      seen.insert((json as? [String: Any])?["event"] as? String ?? "")
    }
    #expect(seen.contains("flood.begin"), "\(seen)")
  }

  private final class Broker: NoticePublishing {
    let taken = Mutex<[[UInt8]]>([])

    func publish(topic: String, payload: [UInt8]) async throws {
      taken.withLock { $0.append(payload) }
    }
  }

  @Test("messages to persons, as they go out by MQTT")
  func notices() async throws {
    let topics = try Self.topics()
    let station = try CoreStation()
    let output = try station.feed(
      .message,
      "davy/v1/metec/gw-1/readings",
      Array(#"{"device":"ch4_n","point":"ch4","v":30}"#.utf8)
    ).output
    #expect(!output.dispatches.isEmpty)
    let broker = Broker()
    let channel = MQTTChannel(topic: "davy/v1/callout/beacon", publisher: broker)
    let time = Timestamp(milliseconds: 1)
    let recipient = Notice.Recipient(name: "值班员", address: "+86-1")
    var doubtful = output.dispatches[0]
    doubtful.inDoubt = true
    doubtful.isRecorded = false
    _ = await channel.send(
      Notice(merging: (output.dispatches + [doubtful]).map { ($0, recipient) }, at: time)
    )
    let words = output.dispatches[0].title
    for kind in [Notice.Kind.test, .heartbeat] {
      _ = await channel.send(
        Notice(id: "x", kind: kind, recipients: [], title: words, text: words, time: time)
      )
    }
    let taken = broker.taken.withLock { $0 }
    #expect(taken.count == 3)
    for payload in taken {
      let json = try Self.json(payload)
      #expect(topics.faults(json, ["$ref": "#/components/schemas/Notice"]) == [])
    }
  }
}
