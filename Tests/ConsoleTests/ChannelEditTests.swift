import Console
import DeviceCatalog
import Foundation
import HTTPTypes
import HazardLedger
import HummingbirdTesting
import Logging
import Station
import Synchronization
import Testing

/// What a change of a channel keeps, where it may go, and what it must not take away.
@Suite("Channel changes") struct ChannelEditTests {
  typealias Fixture = ChannelRouteTests.Fixture

  private static func put(
    _ client: any TestClientProtocol,
    _ name: String,
    _ body: String
  ) async throws -> Answer {
    let tag = try await client.send(.get, "/api/v1/channels/\(name)").headers[.eTag]
    return try await client.send(
      .put,
      "/api/v1/channels/\(name)",
      body,
      ifMatch: tag,
      ifNoneMatch: tag == nil ? "*" : nil
    )
  }

  private static func remove(
    _ client: any TestClientProtocol,
    _ name: String
  ) async throws -> Answer {
    let tag = try await client.send(.get, "/api/v1/channels/\(name)").headers[.eTag]
    return try await client.send(
      .post,
      "/api/v1/channels/\(name)/remove",
      #"{"reason":"x"}"#,
      ifMatch: tag
    )
  }

  private static let gate = """
    {channels: {gate: {kind: http, url: "https://gate.example.org/send", body: "{{text}}",
    headers: {Authorization: Bearer GEHEIM-1, X-Api-Key: GEHEIM-2, X-Plain: "1"}}}}
    """

  @Test("header fields that are not shown stay at a change, where they are, and go when it is said")
  func hidden() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station, callout: Self.gate)
    @Sendable func now() throws -> [String: String] {
      try #require(fixture.register.channels.first { $0.name == "gate" }).headers
    }
    try await ChannelRouteTests.run(station, fixture) { client in
      let seen = try await client.send(.get, "/api/v1/channels/gate")
      #expect(seen.json["hidden"] as? [String] == ["headers.Authorization", "headers.X-Api-Key"])
      func setting(_ headers: String, host: String = "gate.example.org") -> String {
        #"{"kind":"http","url":"https://\#(host)/v2","body":"{{title}}","headers":{\#(headers)}}"#
      }
      // As it was shown, with another path and body.
      let kept = try await Self.put(
        client,
        "gate",
        #"{"reason":"v2","setting":\#(setting(#""X-Plain":"2""#))}"#
      )
      #expect(kept.status == 200 && !kept.text.contains("GEHEIM"), "\(kept.text)")
      #expect(kept.json["hidden"] as? [String] == ["headers.Authorization", "headers.X-Api-Key"])
      let headers = ["Authorization": "Bearer GEHEIM-1", "X-Api-Key": "GEHEIM-2", "X-Plain": "2"]
      #expect(try now() == headers)
      // The service file's, read anew: the journal's row keeps the names alone.
      let later = Self.gate.replacing("GEHEIM-1", with: "GEHEIM-9")
      let again = try Fixture.register(station, fixture.folder, callout: later)
      #expect(again.channels.first?.headers["Authorization"] == "Bearer GEHEIM-9")
      let without = try Fixture.register(
        station,
        fixture.folder,
        callout: Self.gate.replacing("X-Api-Key: GEHEIM-2, ", with: "")
      )
      // One that it drops is left out, and said; the channel goes on.
      #expect(
        without.channels.first?.headers == ["Authorization": "Bearer GEHEIM-1", "X-Plain": "2"]
      )
      let told = Self.told(without)
      #expect(told.count == 1 && told.first?.contains("headers.X-Api-Key") == true, "\(told)")
      // Another case is no other field.
      let cased = try Fixture.register(
        station,
        fixture.folder,
        callout: Self.gate.replacing("X-Api-Key", with: "x-api-key")
      )
      #expect(cased.channels.first?.headers["X-Api-Key"] == "GEHEIM-2")
      #expect(Self.told(cased) == [])

      // Elsewhere they do not go by themselves.
      let thief = setting(#""X-Plain":"2""#, host: "thief.example.org")
      let refused = try await Self.put(client, "gate", #"{"reason":"x","setting":\#(thief)}"#)
      #expect(refused.status == 422 && refused.problem == "secret-again", "\(refused.text)")
      let text = try await Self.put(
        client,
        "gate",
        #"{"reason":"x","setting":\#(thief),"secrets":{"headers.X-Api-Key":"new"}}"#
      )
      #expect(text.status == 422 && text.text.contains("headers.X-Api-Key"), "\(text.text)")

      // Entered anew in another case: one field, not two. The other is dropped.
      let anew = try await Self.put(
        client,
        "gate",
        #"""
        {"reason":"v3","setting":\#(setting(#""authorization":"Bearer {{secret}}""#)),
        "secrets":{"secret":"own","headers.X-Api-Key":null}}
        """#
      )
      #expect(anew.status == 200, "\(anew.text)")
      #expect(try now() == ["authorization": "Bearer {{secret}}"])
      #expect(anew.json["hidden"] as? [String] == [])
    }
    #expect(fixture.secrets == ["own"])
    let text = try station.memory.entries(after: 0, limit: 1_000)
      .map { String(decoding: $0.body ?? [], as: UTF8.self) }.joined()
    #expect(text.contains("channel.set") && !text.contains("GEHEIM"))
  }

  /// Body, and the host that is named in the refusal; nil where it is taken.
  static let hosts: [(list: String, body: String, refused: Bool)] = [
    ("", #"{"kind":"webhook","url":"http://10.1.2.3/hook"}"#, false),
    ("", #"{"kind":"webhook","url":"http://127.0.0.1:8080/api"}"#, false),
    ("", #"{"kind":"http","url":"http://169.254.169.254/latest","body":"{{text}}"}"#, true),
    ("", #"{"kind":"http","url":"http://{{address}}/","body":"{{text}}"}"#, true),
    ("", #"{"kind":"http","url":"http://gw.lan/{{address}}","body":"{{text}}"}"#, false),
    ("", #"{"kind":"smtp","host":"localhost","from":"a@b.org"}"#, false),
    ("", #"{"kind":"smtp","host":"fe80::1","from":"a@b.org"}"#, true),
    ("editedMayCall: [127.0.0.1]", #"{"kind":"webhook","url":"http://127.0.0.1:9/"}"#, false),
    ("editedMayCall: [127.0.0.1]", #"{"kind":"webhook","url":"http://10.1.2.3/"}"#, true),
    ("editedMayCall: [.example.org]", #"{"kind":"webhook","url":"http://a.example.org/"}"#, false),
    ("editedMayCall: [.example.org]", #"{"kind":"webhook","url":"http://example.net/"}"#, true),
    (
      "editedMayCall: [.example.org]", #"{"kind":"smtp","host":"m.example.net","from":"a@b.org"}"#,
      true
    ),
    ("editedMayCall: [.example.org]", #"{"kind":"mqtt","topic":"callout/x"}"#, false),
  ]

  @Test(
    "a channel is set to go where the service file lets such channels go",
    arguments: hosts.indices
  )
  func destinations(index: Int) async throws {
    let (list, setting, refused) = Self.hosts[index]
    let station = try CoreStation()
    let fixture = try Fixture(
      station,
      callout: "{\(list)\(list.isEmpty ? "" : ", ")channels: {old: {kind: mqtt, topic: a}}}"
    )
    try await ChannelRouteTests.run(station, fixture) { client in
      let answer = try await Self.put(client, "neu", #"{"reason":"x","setting":\#(setting)}"#)
      #expect(answer.status == (refused ? 422 : 200), "\(answer.text)")
      if refused { #expect(answer.problem == "channel-host", "\(answer.text)") }
    }
    #expect(fixture.register.channels.count == (refused ? 1 : 2))
    #expect(fixture.secrets.isEmpty)
  }

  @Test(
    "a robot's address is held to the list; where the service file itself sends, a change goes on sending"
  )
  func addresses() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(
      station,
      callout: """
        {editedMayCall: [sms.example.org], channels: {
        local: {kind: webhook, url: "http://127.0.0.1:9000/a"}, ding: {kind: wecom, urlFile: wecom.url}}}
        """
    )
    try await ChannelRouteTests.run(station, fixture) { client in
      for (name, setting, secrets) in [
        ("local", #"{"kind":"webhook","url":"http://127.0.0.1:9000/b"}"#, "{}"),
        ("local", #"{"kind":"http","url":"http://127.0.0.1:9000/c","body":"{{text}}"}"#, "{}"),
        ("ding", #"{"kind":"wecom","attempts":2}"#, "{}"),
        ("ding", #"{"kind":"wecom"}"#, #"{"url":"https://sms.example.org/r"}"#),
      ] {
        let answer = try await Self.put(
          client,
          name,
          #"{"reason":"x","setting":\#(setting),"secrets":\#(secrets)}"#
        )
        #expect(answer.status == 200, "\(answer.text)")
      }
      for (name, setting, secrets) in [
        ("local", #"{"kind":"webhook","url":"http://127.0.0.1:9001/b"}"#, "{}"),
        ("ding", #"{"kind":"wecom"}"#, #"{"url":"http://169.254.169.254/latest/meta-data"}"#),
        ("ding", #"{"kind":"wecom"}"#, #"{"url":"https://qyapi.example.net/r"}"#),
      ] {
        let answer = try await Self.put(
          client,
          name,
          #"{"reason":"x","setting":\#(setting),"secrets":\#(secrets)}"#
        )
        #expect(answer.problem == "channel-host", "\(answer.text)")
        // A secret is no less one for being refused.
        #expect(!answer.text.contains("meta-data"))
      }
    }
    #expect(fixture.secrets == ["https://sms.example.org/r"])
  }

  @Test("the last channel that can be used stays, and stays of its kind, while chains count on it")
  func last() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station)
    let setting = #"{"kind":"webhook","url":"https://hook.example.org/y"}"#
    let other = #"{"reason":"x","setting":{"kind":"mqtt","topic":"a"}}"#
    try await ChannelRouteTests.run(station, fixture) { client in
      // There are two: either may go, or become another.
      #expect(try await Self.remove(client, "sms").status == 200)
      let gone = try await Self.remove(client, "old")
      #expect(gone.status == 409 && gone.problem == "last-channel", "\(gone.text)")
      let turned = try await Self.put(client, "old", other)
      #expect(turned.status == 409 && turned.problem == "last-channel", "\(turned.text)")
      // Anything else of it can be changed.
      let same = try await Self.put(client, "old", #"{"reason":"x","setting":\#(setting)}"#)
      #expect(same.status == 200, "\(same.text)")
      // A robot without its address is no channel, and nothing of what was entered for it stays behind.
      let robot =
        #"{"reason":"x","setting":{"kind":"wecom"},"secrets":{"url":"https://r.example.org/"}}"#
      #expect(try await Self.put(client, "old", robot).problem == "last-channel")
      #expect(fixture.secrets.isEmpty)
      #expect(try await Self.put(client, "spare", other).status == 200)
      #expect(try await Self.put(client, "old", other).status == 200)
      #expect(try await Self.remove(client, "old").status == 200)
      #expect(try await Self.remove(client, "spare").problem == "last-channel")
    }
    #expect(fixture.register.channels.map(\.name) == ["spare"])
  }

  @Test("a channel that notices go by is neither removed nor made another")
  func notices() async throws {
    let response =
      CoreStation.response
      + "\nnotices: {report: {persons: [duty], channels: [sms]}}\n"
    let sources = try CoreStation.files([
      "devices/research/fence-line-methane.yaml", "config/sites/methane-demo.yaml",
    ])
    let station = try CoreStation(sources: sources, response: response)
    let fixture = try Fixture(station)
    try await ChannelRouteTests.run(station, fixture) { client in
      let removed = try await Self.remove(client, "sms")
      #expect(removed.problem == "refused-in-use")
      let other = #"{"reason":"x","setting":{"kind":"mqtt","topic":"a"}}"#
      let turned = try await Self.put(client, "sms", other)
      #expect(turned.problem == "refused-in-use")
      #expect(try await Self.remove(client, "old").status == 200)
    }
  }

  /// What was logged, as one line a message.
  private struct Recorder: LogHandler {
    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    final class Lines: Sendable {
      let all: Mutex<[String]> = Mutex([])
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let words = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0)=\($1)" }
      lines.all.withLock {
        $0.append("\(event.level) \(event.message) \(words.joined(separator: " "))")
      }
    }
  }

  /// What a register tells the log of its channels.
  private static func told(_ register: ChannelRegister) -> [String] {
    let lines = Recorder.Lines()
    register.tellFaults(Logger(label: "test") { _ in Recorder(lines: lines) })
    return lines.all.withLock { $0 }
  }

  @Test("a list that comes later takes no channel away: it goes on calling, and that is said")
  func laterList() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station)
    let setting = #"{"kind":"webhook","url":"http://10.1.2.3/hook"}"#
    try await ChannelRouteTests.run(station, fixture) { client in
      let answer = try await Self.put(client, "neu", #"{"reason":"x","setting":\#(setting)}"#)
      #expect(answer.status == 200 && answer.json["notice"] as? String == "", "\(answer.text)")
    }
    #expect(Self.told(fixture.register) == [])
    let narrow = try Fixture.register(
      station,
      fixture.folder,
      callout: "{editedMayCall: [10.20.0.0/16], channels: {old: {kind: mqtt, topic: a}}}"
    )
    #expect(narrow.channels.map(\.name) == ["old", "neu"])
    let told = Self.told(narrow)
    #expect(told.count == 1 && told.first?.contains("10.1.2.3 is not") == true, "\(told)")
  }

  @Test("going back to the service file's channel of another kind is held like taking one away")
  func back() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station, callout: "{channels: {old: {kind: mqtt, topic: a}}}")
    let setting = #"{"kind":"webhook","url":"https://hook.example.org/y"}"#
    try await ChannelRouteTests.run(station, fixture) { client in
      let put: (String, String) async throws -> Answer = { name, setting in
        try await Self.put(client, name, #"{"reason":"x","setting":\#(setting)}"#)
      }
      #expect(try await put("spare", setting).status == 200)
      #expect(try await put("old", setting).status == 200)
      #expect(try await Self.remove(client, "spare").status == 200)
      let tag = try await client.send(.get, "/api/v1/channels/old").headers[.eTag]
      let reset = try await client.send(
        .post,
        "/api/v1/channels/old/reset",
        #"{"reason":"x"}"#,
        ifMatch: tag
      )
      #expect(reset.status == 409 && reset.problem == "last-channel", "\(reset.text)")
    }
  }

  @Test("a channel that is set and cannot be used is told of by name, and why; the others are not")
  func faults() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station)
    try await ChannelRouteTests.run(station, fixture) { client in
      let setting =
        #"{"kind":"http","url":"https://sms.example.org/v2?key={{secret}}","body":"{{title}}"}"#
      let answer = try await Self.put(client, "sms", #"{"reason":"x","setting":\#(setting)}"#)
      #expect(answer.status == 200, "\(answer.text)")
      #expect(try await Self.put(client, "neu", ChannelRouteTests.robot).status == 200)
    }
    #expect(Self.told(fixture.register) == [])
    // The service file's channel goes elsewhere, or has no secret any more: the kept one is of no use.
    for (old, new, why) in [
      ("https://sms.example.org", "https://other.example.org", "goes elsewhere now"),
      (", secretFile: sms.key", "", "secret: the service file does not name it any more"),
    ] {
      let register = try Fixture.register(
        station,
        fixture.folder,
        callout: Fixture.usual.replacing(old, with: new)
      )
      let lines = Self.told(register)
      let line = try #require(lines.first)
      #expect(lines.count == 1)
      #expect(line.hasPrefix("error ") && line.contains("channel=sms"), "\(line)")
      #expect(line.contains("nobody is called") && line.contains(why), "\(line)")
      #expect(register.channels.map(\.name) == ["old", "neu"])
    }
  }

  @Test("what was removed does not count towards the limit; an older journal is replayed as it was")
  func limit() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station)
    let setting = #"{"reason":"x","setting":{"kind":"mqtt","topic":"a"}}"#
    try await ChannelRouteTests.run(station, fixture) { client in
      for number in 0..<100 {
        let answer = try await Self.put(client, "neu-\(number)", setting)
        #expect(answer.status == 200, "\(number): \(answer.text)")
      }
      let full = try await Self.put(client, "more", setting)
      #expect(full.status == 409 && full.problem == "refused-limit", "\(full.text)")
      // One that there is can be changed all the same, and one that goes makes room; again and again.
      #expect(try await Self.put(client, "neu-7", setting).status == 200)
      for number in 0..<20 {
        #expect(
          try await Self.remove(client, number == 0 ? "neu-0" : "more-\(number - 1)").status == 200
        )
        #expect(try await Self.put(client, "more-\(number)", setting).status == 200)
      }
      #expect(try await Self.put(client, "more", setting).problem == "refused-limit")
      // The service file's own, removed, is remembered, and does not count either.
      #expect(try await Self.remove(client, "sms").status == 200)
      #expect(fixture.register.channels.contains { $0.name == "sms" } == false)
    }
    #expect(station.channels?.rows.count == 101)
    // Doors before this one did not say which are only people's: their journals go by the former rule.
    let old = try CoreStation()
    func feed(_ verb: String, _ name: String, _ version: Int64) async throws -> Int64 {
      let receipt = try await old.submit(
        DeskInput(
          kind: .register,
          desk: "hazards",
          verb: verb,
          payload: JSONValue.object([
            "channel": .string(name), "version": .integer(version), "reason": .string("x"),
            "actor": .string("li"), "role": .string("administrator"),
            "setting": .object(["kind": .string("mqtt"), "topic": .string("a")]),
          ]).canonicalBytes()
        )
      )
      return Int64(receipt.journalSequence)
    }
    for number in 0..<100 {
      let version = try await feed("channel", "neu-\(number)", 0)
      _ = try await feed("channel-remove", "neu-\(number)", version)
    }
    await #expect(throws: ActError.self) { _ = try await feed("channel", "more", 0) }
    #expect(old.channels?.rows.count == 100)
  }
}
