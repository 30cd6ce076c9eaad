import Accounts
import Console
import DeviceCatalog
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import HummingbirdTesting
import Logging
import Station
import Testing

/// Call-out channels over HTTP, on the real core: set with If-Match, in the ledger, without a secret anywhere, and for whom.
@Suite("Channel routes")
struct ChannelRouteTests {
  /// A service file's section with a channel of a folder of its own.
  final class Fixture: Sendable {
    let folder: URL
    let register: ChannelRegister

    /// What the service file has unless a test says otherwise.
    static let usual = """
      {operators: [{name: 张三, phone: "139"}], channels: {
      sms: {kind: http, url: "https://sms.example.org/send?key={{secret}}", body: "{{text}}", secretFile: sms.key},
      old: {kind: webhook, url: "https://u:geheim@hook.example.org/x"}}}
      """

    init(_ station: CoreStation, callout: String = usual) throws {
      folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("davy-channels-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      register = try Self.register(station, folder, callout: callout)
    }

    /// The same as it is read at a start.
    static func register(
      _ station: CoreStation,
      _ folder: URL,
      callout: String = usual
    ) throws -> ChannelRegister {
      let file = folder.appendingPathComponent("service.yaml").path
      try "{station: s, data: data, devices: devices, sites: [site.yaml], callout: \(callout)}"
        .write(toFile: file, atomically: true, encoding: .utf8)
      let (service, findings) = ServiceConfiguration.load(path: file)
      let section = try #require(service?.callout, "\(findings)")
      return ChannelRegister(
        section: section,
        serviceFile: file,
        board: station.channels,
        folder: folder.appendingPathComponent("secrets").path
      )
    }

    var secrets: [String] {
      let path = folder.appendingPathComponent("secrets").path
      return ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).map { name in
        (try? String(contentsOfFile: path + "/" + name, encoding: .utf8)) ?? ""
      }.sorted()
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
  }

  /// Channels that have done nothing yet.
  struct Idle: ChannelAccess {
    let register: ChannelRegister

    func channels() async -> JSONValue {
      .array(
        register.channels.map { channel in
          var members: [String: JSONValue] = [
            "name": .string(channel.name), "kind": .string(channel.kind.rawValue),
            "lastDelivery": .null, "lastFailure": .null, "lastHeartbeat": .null,
            "lastFailureDetail": .string(""), "heartbeatMissing": .bool(false),
          ]
          for key in [
            "waiting", "delivered", "unavailable", "refused", "deadLetters", "withdrawn",
            "stateFaults",
          ] { members[key] = .integer(0) }
          return .object(members)
        }
      )
    }

    func deadLetters() async -> JSONValue { .array([]) }
    func deliveries() async -> JSONValue { .array([]) }
    func test(_ channel: String, by person: String) async -> JSONValue? {
      register.channels.contains { $0.name == channel }
        ? JSONValue.object(["outcome": .string("delivered"), "detail": .string("")]) : nil
    }
    func refresh() async -> Bool { true }
  }

  /// Channels that have sent two calls, one of which the ledger has, and a test.
  struct Busy: ChannelAccess {
    func channels() async -> JSONValue { .array([]) }
    func deadLetters() async -> JSONValue {
      .array(["callout/1#1", "callout/77#1"].map { .object(["dispatch": .string($0)]) })
    }
    func deliveries() async -> JSONValue {
      .array(
        [["callout/1#1", "callout/77#1"], ["callout/77#2"], []].map { (calls: [String]) in
          .object(["dispatches": .array(calls.map { .string($0) })])
        }
      )
    }
    func test(_ channel: String, by person: String) async -> JSONValue? { nil }
    func refresh() async -> Bool { true }
  }

  @Test(
    "whoever sees a part of the station is shown the messages of that part, and tests",
    arguments: [("metec", ["callout/1#1"]), ("zeta", [String]())]
  )
  func share(enterprise: String, own: [String]) async throws {
    let station = try CoreStation()
    try station.reading(25)
    let access = HazardRouteTests.caller(.county, enterprise: enterprise)
    try await test(station, access: access, channels: Busy()) { client in
      let dead = try await client.json("/api/v1/channels/dead-letters").list("deadLetters")
      #expect(dead.compactMap { $0["dispatch"] as? String } == own)
      let sent = try await client.json("/api/v1/channels/deliveries").list("deliveries")
      let calls = sent.compactMap { $0["dispatches"] as? [String] }
      #expect(calls == (own.isEmpty ? [[]] : [own, []]))
    }
  }

  static func run(
    _ station: CoreStation,
    _ fixture: Fixture,
    as role: Role = .administrator,
    enterprise: String? = nil,
    _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
  ) async throws {
    try await test(
      station,
      access: HazardRouteTests.caller(role, enterprise: enterprise),
      channels: Idle(register: fixture.register),
      register: fixture.register,
      body
    )
  }

  static let robot = #"""
    {"reason":"新群","setting":{"kind":"dingtalk","rates":["10/min"],"heartbeat":false},
    "secrets":{"url":"https://oapi.example.org/robot?access_token=TOKEN-1","secret":"SEC-1"}}
    """#

  @Test("added, changed, removed and put back; answers are as described; a restart finds it so")
  func change() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station)
    try await Self.run(station, fixture) { client in
      let description = try SchemaValidator(file: DescriptionTests.file)
      func check(_ json: Any, _ path: String, _ method: String = "get") throws {
        let schema = try #require(description.schema("/api/v1/" + path, method, 200))
        let faults = description.faults(json, schema)
        #expect(faults.isEmpty, "\(method) \(path): \(faults)")
      }
      let list = try await client.json("/api/v1/channels")
      try check(list, "channels")
      #expect(list.list("channels").compactMap { $0["origin"] as? String } == ["file", "file"])

      // A new one: If-None-Match says that it is new.
      let path = "/api/v1/channels/group"
      #expect(try await client.send(.put, path, Self.robot).status == 428)
      #expect(try await client.send(.put, path, Self.robot, ifMatch: "\"1\"").status == 428)
      let added = try await client.send(.put, path, Self.robot, ifNoneMatch: "*")
      #expect(added.status == 200, "\(added.text)")
      try check(added.json, "channels/{name}", "put")
      #expect(added.json["origin"] as? String == "added")
      #expect(added.json.list("secrets").allSatisfy { $0["set"] as? Bool == true })
      #expect(fixture.secrets == ["SEC-1", "https://oapi.example.org/robot?access_token=TOKEN-1"])
      let tag = try #require(added.headers[.eTag])
      #expect(try await client.send(.put, path, Self.robot, ifNoneMatch: "*").status == 412)
      #expect(try await client.send(.post, path + "/test", "{}").status == 200)

      // Changed: what is not named stays, what is null goes, and its file with it.
      let less =
        #"{"reason":"x","setting":{"kind":"dingtalk","attempts":3},"secrets":{"secret":null}}"#
      let changed = try await client.send(.put, path, less, ifMatch: tag)
      #expect(changed.status == 200, "\(changed.text)")
      #expect(fixture.secrets == ["https://oapi.example.org/robot?access_token=TOKEN-1"])
      #expect(try await client.send(.put, path, less, ifMatch: tag).status == 412)
      let channel = try #require(fixture.register.channels.first { $0.name == "group" })
      #expect(channel.attempts == 3 && channel.secret == nil && channel.rates.isEmpty)

      // A start with the same journal has the same channels.
      let again = try Fixture.register(station, fixture.folder)
      again.sweep(Logger(label: "test"))
      #expect("\(again.channels)" == "\(fixture.register.channels)")
      #expect(fixture.secrets.count == 1)

      // The service file's own: changed, removed, put back.
      let sms = try await client.send(.get, "/api/v1/channels/sms")
      try check(sms.json, "channels/{name}")
      let first = try #require(sms.headers[.eTag])
      let setting =
        #"{"kind":"http","url":"https://sms.example.org/v2?key={{secret}}","body":"{{title}}"}"#
      let other = try await client.send(
        .put,
        "/api/v1/channels/sms",
        #"{"reason":"v2","setting":\#(setting)}"#,
        ifMatch: first
      )
      #expect(other.status == 200, "\(other.text)")
      let now = try #require(fixture.register.channels.first { $0.name == "sms" })
      #expect(now.url.contains("/v2?") && now.secret != nil)
      #expect(now.secret == fixture.register.section.channels[0].secret)
      let removed = try await client.send(
        .post,
        "/api/v1/channels/sms/remove",
        #"{"reason":"停用"}"#,
        ifMatch: other.headers[.eTag]
      )
      #expect(removed.status == 200, "\(removed.text)")
      try check(removed.json, "channels/{name}/remove", "post")
      #expect(fixture.register.channels.map(\.name) == ["old", "group"])
      let idle = try await client.json("/api/v1/channels")
      try check(idle, "channels")
      #expect(idle.list("idle").compactMap { $0["name"] as? String } == ["sms"])
      let gone = try await client.send(.get, "/api/v1/channels/sms")
      let reset = try await client.send(
        .post,
        "/api/v1/channels/sms/reset",
        #"{"reason":"恢复"}"#,
        ifMatch: gone.headers[.eTag]
      )
      #expect(reset.status == 200, "\(reset.text)")
      try check(reset.json, "channels/{name}/reset", "post")
      #expect(reset.json["origin"] as? String == "file")
      let tagOfAdded = try #require(changed.headers[.eTag])
      let noFile = try await client.send(
        .post,
        path + "/reset",
        #"{"reason":"x"}"#,
        ifMatch: tagOfAdded
      )
      #expect(noFile.status == 409)
      let end = try await client.send(
        .post,
        path + "/remove",
        #"{"reason":"x"}"#,
        ifMatch: tagOfAdded
      )
      #expect(end.status == 200, "\(end.text)")
      #expect(fixture.secrets.isEmpty)
      #expect(try await client.send(.get, path).status == 404)
      #expect(try await client.send(.put, path, Self.robot, ifNoneMatch: "*").status == 200)
    }
    // Who did what stands in the ledger; no secret does, there or in the journal's payload.
    let entries = try station.memory.entries(after: 0, limit: 1_000)
    let register = entries.filter { $0.kind == .register }
    #expect(register.count == 7)
    let text = register.map { String(decoding: $0.body ?? [], as: UTF8.self) }.joined()
    #expect(text.contains("channel.set") && text.contains("channel.removed"))
    for secret in ["TOKEN-1", "SEC-1"] { #expect(!text.contains(secret)) }
  }

  /// What is refused: body, status, and a word of the answer.
  static let refusals: [(body: String, status: Int, word: String)] = [
    (#"{"setting":{"kind":"mqtt","topic":"a"}}"#, 422, "reason"),
    (#"{"reason":"x"}"#, 422, "setting"),
    (#"{"reason":"x","setting":{"kind":"fax"}}"#, 422, "kind"),
    (#"{"reason":"x","setting":{"kind":"mqtt","topic":"a/#"}}"#, 422, "topic"),
    (#"{"reason":"x","setting":{"kind":"mqtt","topic":"a","tpoic":"b"}}"#, 422, "tpoic"),
    (#"{"reason":"x","setting":{"kind":"webhook","url":"ftp://a"}}"#, 422, "url"),
    (#"{"reason":"x","setting":{"kind":"wecom"}}"#, 422, "url"),
    (
      #"{"reason":"x","setting":{"kind":"wecom"},"secrets":{"url":"file:///etc/shadow"}}"#, 422,
      "url"
    ),
    (#"{"reason":"x","setting":{"kind":"wecom"},"secrets":{"password":"p"}}"#, 422, "password"),
    (#"{"reason":"x","setting":{"kind":"webhook","url":"http://a","secret":"S"}}"#, 422, "secret"),
    (
      #"{"reason":"x","setting":{"kind":"webhook","url":"http://a","secretFile":"/etc/shadow"}}"#,
      422, "secretFile"
    ),
    (
      #"{"reason":"x","setting":{"kind":"webhook","url":"http://a","secretEnvironment":"HOME"}}"#,
      422, "secretEnvironment"
    ),
    (#"{"reason":"x","setting":{"kind":"webhook","url":"http://a/?token=abc"}}"#, 422, "url"),
    (#"{"reason":"x","setting":{"kind":"webhook","url":"http://u:p@a/"}}"#, 422, "url"),
    (
      #"{"reason":"x","setting":{"kind":"http","url":"http://a","headers":{"Authorization":"Bearer abc"}}}"#,
      422, "headers.Authorization"
    ),
    (
      #"{"reason":"x","setting":{"kind":"http","url":"http://a","body":"password=abc&x={{text}}"}}"#,
      422, "body"
    ),
    (#"{"reason":"x","setting":{"kind":"http","url":"http://a/{{nonsense}}"}}"#, 422, "nonsense"),
    (#"{"reason":"x","setting":{"kind":"mqtt","topic":"a","rates":["often"]}}"#, 422, "rates"),
    (
      #"{"reason":"x","setting":{"kind":"mqtt","topic":"a","operators":[{"phone":"1"}]}}"#, 422,
      "name"
    ),
  ]

  @Test(
    "what cannot be set is refused with its name, and leaves no secret behind",
    arguments: refusals
  )
  func refused(body: String, status: Int, word: String) async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station)
    try await Self.run(station, fixture) { client in
      let answer = try await client.send(.put, "/api/v1/channels/neu", body, ifNoneMatch: "*")
      #expect(answer.status == status, "\(answer.text)")
      #expect((answer.json["detail"] as? String ?? "").contains(word), "\(answer.text)")
    }
    #expect(fixture.secrets.isEmpty)
    #expect(fixture.register.channels.count == 2)
  }

  @Test("secrets stay with the target that they were entered for; what looks like one is not shown")
  func secrets() async throws {
    let station = try CoreStation()
    let fixture = try Fixture(station)
    try await Self.run(station, fixture) { client in
      let sms = try await client.send(.get, "/api/v1/channels/sms")
      let tag = try #require(sms.headers[.eTag])
      let theft =
        #"{"kind":"http","url":"https://thief.example.org/?key={{secret}}","body":"{{text}}"}"#
      let refused = try await client.send(
        .put,
        "/api/v1/channels/sms",
        #"{"reason":"x","setting":\#(theft)}"#,
        ifMatch: tag
      )
      #expect(refused.status == 422 && refused.text.contains("secret-again"), "\(refused.text)")
      let anew = try await client.send(
        .put,
        "/api/v1/channels/sms",
        #"{"reason":"x","setting":\#(theft),"secrets":{"secret":"own"}}"#,
        ifMatch: tag
      )
      #expect(anew.status == 200, "\(anew.text)")
      #expect(!anew.text.contains("\"own\""))
      let old = try await client.send(.get, "/api/v1/channels/old")
      #expect(!old.text.contains("geheim"))
      #expect(old.json["hidden"] as? [String] == ["url"])
      #expect(try await client.json("/api/v1/channels").description.contains("geheim") == false)
    }
    #expect(fixture.secrets == ["own"])
    let mode =
      try FileManager.default.attributesOfItem(
        atPath: fixture.folder.appendingPathComponent("secrets").path
      )[.posixPermissions] as? Int
    #expect(mode == 0o700)
  }

  @Test(
    "a channel that a chain calls by is not removed; only administrators of the whole station set channels"
  )
  func roles() async throws {
    let chain = CoreStation.response.replacing(
      "persons: [duty], attempts",
      with: "persons: [duty], channels: [sms, fax], attempts"
    )
    let sources = try CoreStation.files([
      "devices/research/fence-line-methane.yaml", "config/sites/methane-demo.yaml",
    ])
    let station = try CoreStation(sources: sources, response: chain)
    let fixture = try Fixture(station)
    try await Self.run(station, fixture) { client in
      let list = try await client.json("/api/v1/channels")
      #expect(list["missing"] as? [String] == ["fax"])
      let tag = try await client.send(.get, "/api/v1/channels/sms").headers[.eTag]
      let answer = try await client.send(
        .post,
        "/api/v1/channels/sms/remove",
        #"{"reason":"x"}"#,
        ifMatch: tag
      )
      #expect(answer.status == 409 && answer.text.contains("county"), "\(answer.text)")
    }
    for role in [Role.county, .auditor] {
      try await Self.run(station, fixture, as: role) { client in
        #expect(try await client.send(.get, "/api/v1/channels").status == 200)
        #expect(try await client.send(.get, "/api/v1/channels/sms").status == 403)
        let put = try await client.send(.put, "/api/v1/channels/neu", Self.robot, ifNoneMatch: "*")
        #expect(put.status == 403)
      }
    }
    // A channel calls for every enterprise, also for those that this one does not see.
    try await Self.run(station, fixture, enterprise: "metec") { client in
      let put = try await client.send(.put, "/api/v1/channels/neu", Self.robot, ifNoneMatch: "*")
      #expect(put.status == 403, "\(put.text)")
      let tag = try await client.send(.get, "/api/v1/channels/sms").headers[.eTag]
      for verb in ["remove", "reset"] {
        let answer = try await client.send(
          .post,
          "/api/v1/channels/sms/\(verb)",
          #"{"reason":"x"}"#,
          ifMatch: tag
        )
        #expect(answer.status == 403, "\(answer.text)")
      }
    }
    #expect(fixture.secrets.isEmpty)
  }
}
