import Accounts
import Console
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import HummingbirdTesting
import Logging
import PayloadDecoding
import Station
import Telemetry
import Testing

/// The API description and the service are held to each other.
@Suite("API description") struct DescriptionTests {
  static var file: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
      .appendingPathComponent("Sources/Console/Resources/api/openapi.yaml")
  }

  static let methods: Set<String> = ["get", "post", "put", "delete", "patch"]

  @Test("every route is described, and every description is routed")
  func routes() async throws {
    let description = try SchemaValidator(file: Self.file)
    let paths = try #require(description.root["paths"] as? [String: [String: Any]])
    let described = paths.flatMap { path, item in
      item.keys.filter(Self.methods.contains).map { "\($0.uppercased()) \(path)" }
    }
    let server = try ConsoleServer(station: try FakeStation(), access: .openToThisMachine)
    _ = server.application
    let probes = ["/healthz", "/readyz", "/metrics"]
    let routed = server.routes
      .filter { $0.method != "HEAD" && !$0.path.hasSuffix(".yaml") && !$0.path.hasSuffix(".json") }
      .filter { $0.path.hasPrefix("/api/") || probes.contains($0.path) }
      .map { "\($0.method) \($0.path)" }
    #expect(
      Set(routed).subtracting(described).isEmpty,
      "describe these in Resources/api/openapi.yaml: \(Set(routed).subtracting(described))"
    )
    #expect(
      Set(described).subtracting(routed).isEmpty,
      "described, but there is no such route: \(Set(described).subtracting(routed))"
    )
  }

  @Test("names of operations are there and differ; every operation says what an error looks like")
  func operations() throws {
    let description = try SchemaValidator(file: Self.file)
    let paths = try #require(description.root["paths"] as? [String: [String: Any]])
    var names: [String] = []
    for (path, item) in paths {
      for (method, operation) in item where Self.methods.contains(method) {
        let operation = try #require(operation as? [String: Any])
        names.append(try #require(operation["operationId"] as? String, "\(method) \(path)"))
        let responses = try #require(operation["responses"] as? [String: Any])
        #expect(responses["default"] != nil || !path.hasPrefix("/api/"), "\(method) \(path)")
      }
    }
    #expect(Set(names).count == names.count)
  }

  @Test("what is answered is what is described, member by member")
  func answers() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    try accounts.add("root", [.administrator], .everywhere)
    let key = try accounts.machine("mm", [.operator, .county], .everywhere)
    let station = try FakeStation()
    let id = station.raise()
    station.announceUnrecorded(ScopeTests.raised(ScopeTests.ours, onset: 99, in: station))
    station.note()
    station.reject(
      RejectTally(
        reason: "malformed",
        topic: "t",
        count: 1,
        firstSequence: 1,
        lastSequence: 1,
        firstTime: Timestamp(milliseconds: 1),
        lastTime: Timestamp(milliseconds: 1),
        detail: "d",
        sample: [0xFF]
      )
    )
    let level = "acme/plant/tanks/T-101/level"
    try await test(station, access: .accounts(accounts.service)) { client in
      let session = try await client.signIn("root")
      let description = try SchemaValidator(file: Self.file)
      func check(
        _ method: HTTPRequest.Method,
        _ path: String,
        as template: String? = nil,
        _ body: String? = nil,
        isRoot: Bool = false,
        expecting status: Int = 200,
        ifMatch: String? = nil
      ) async throws {
        let answer = try await client.send(
          method,
          path,
          body,
          cookie: isRoot ? session : nil,
          bearer: isRoot ? nil : key,
          ifMatch: ifMatch
        )
        #expect(answer.status == status, "\(method) \(path): \(answer.text)")
        let name = template ?? path
        guard let schema = description.schema(name, method.rawValue.lowercased(), status) else {
          Issue.record("\(method) \(path) describes no \(status)")
          return
        }
        let faults = description.faults(answer.json, schema)
        #expect(faults.isEmpty, "\(method) \(path)")
      }
      let api = "/api/v1"
      for path in [
        "/alarms/standing", "/alarms", "/entries", "/rejects", "/readings/latest", "/status",
        "/console", "/session", "/catalog", "/relay", "/relay/readings",
      ] { try await check(.get, api + path) }
      try await check(.get, "\(api)/alarms/\(id.escaped)", as: api + "/alarms/{id}")
      try await check(.get, "\(api)/alarms/none", as: api + "/alarms/{id}", expecting: 404)
      try await check(
        .get,
        "\(api)/points/\(level.escaped)/trend?from=1&to=9",
        as: api + "/points/{path}/trend"
      )
      let acts = "\(api)/alarms/\(id.escaped)/acts"
      let acknowledge = #"{"act":"acknowledge"}"#
      try await check(.post, acts, as: api + "/alarms/{id}/acts", acknowledge)
      try await check(.post, acts, as: api + "/alarms/{id}/acts", acknowledge, expecting: 409)
      try await check(.get, api + "/accounts", expecting: 403)
      try await check(.get, api + "/accounts", isRoot: true)
      let draft = #"{"id":"zz","displayName":"Z","roles":["auditor"],"scope":{"areas":["360000"]}}"#
      try await check(.post, api + "/accounts", draft, isRoot: true, expecting: 201)
      let one = api + "/accounts/{id}"
      try await check(.get, api + "/accounts/zz", as: one, isRoot: true)
      try await check(.put, api + "/accounts/zz", as: one, draft, isRoot: true, ifMatch: "\"1\"")
      try await check(.put, api + "/accounts/zz", as: one, draft, isRoot: true, expecting: 428)
      try await check(
        .post,
        api + "/accounts/zz/link",
        as: one + "/link",
        "{}",
        isRoot: true,
        expecting: 201
      )
      let keys = #"{"purpose":"test"}"#
      try await check(.get, api + "/accounts/mm/keys", as: one + "/keys", isRoot: true)
      try await check(
        .post,
        api + "/accounts/mm/keys",
        as: one + "/keys",
        keys,
        isRoot: true,
        expecting: 201
      )
      try await check(.post, api + "/tokens", "{}", isRoot: true, expecting: 201)
    }
  }

  @Test("what goes out by MQTT is what its schema says: every kind of step, recorded and not")
  func publishedSteps() throws {
    let folder = Self.file.deletingLastPathComponent()
    let schema = try SchemaValidator(file: folder.appendingPathComponent("alarm.schema.json"))
    for event in AlarmBody.Event.allCases {
      for state in AlarmBody.State.allCases {
        var body = AlarmBody(
          point: "acme/plant/tanks/T-101/level",
          rule: "H",
          onset: Timestamp(milliseconds: 1),
          event: event,
          state: state,
          previous: .unacknowledged,
          priority: 3,
          value: 1.5,
          limit: 1,
          unit: "%",
          received: Timestamp(milliseconds: 2),
          cause: 7,
          catalog: "c",
          actor: "li",
          reason: "r",
          until: Timestamp(milliseconds: 9)
        )
        if event == .raised {
          body.evidence = AlarmBody.Evidence(
            statistics: ["t2": AlarmBody.Evidence.Statistic(value: 3, limit: 2.5)],
            decided: "t2",
            contributions: [AlarmBody.Evidence.Contribution(point: body.point, share: 0.5)]
          )
        }
        let entry = LedgerEntry(
          sequence: 5,
          time: Timestamp(milliseconds: 2),
          kind: .alarm,
          subject: body.alarm,
          actor: "li",
          body: body.encoded(),
          origin: 7,
          previousHash: Array(repeating: 0, count: 32),
          hash: Array(repeating: 0xAB, count: 32)
        )
        let recorded = try #require(AlarmMessage(entry: entry))
        let unrecorded = try #require(AlarmMessage(unrecorded: body.encoded()))
        for message in [recorded, unrecorded] {
          let json = try JSONSerialization.jsonObject(with: Data(message.payload))
          #expect(schema.faults(json, schema.root).isEmpty, "\(event) \(state)")
        }
        #expect(recorded.topic == "davy/v1/alarms/acme/plant/tanks/T-101/level")
        #expect(recorded.standingTopic == "davy/v1/standing/acme/plant/tanks/T-101/level/H/1")
        #expect(recorded.isStanding == (state != .normal))
      }
    }
  }

  @Test("state, feedback and relay by MQTT are what the description of topics says")
  func describedTopics() throws {
    let folder = Self.file.deletingLastPathComponent()
    let topics = try SchemaValidator(file: folder.appendingPathComponent("asyncapi.yaml"))
    let service = try SchemaValidator(file: Self.file)
    func faults(_ payload: [UInt8], _ name: String, in schemas: SchemaValidator) throws -> [String]
    {
      let json = try JSONSerialization.jsonObject(with: Data(payload))
      return schemas.faults(json, ["$ref": "#/components/schemas/\(name)"])
    }
    for state in ["online", "degraded", "offline", "stopped"] {
      #expect(try faults(Array(#"{"state":"\#(state)"}"#.utf8), "ServiceState", in: topics).isEmpty)
    }
    let time = Timestamp(milliseconds: 1_795_451_234_567)
    var feedback = FeedbackWriter()
    var told: [OutgoingMessage] = []
    let catalog = try FakeStation().catalog
    for (reason, device, now) in [("unknownPoint", "x", 0), ("new", "", 0), ("unit", "", 20_000)]
      as [(String, String, Int64)]
    {
      let tally = RejectTally(
        reason: reason,
        topic: "davy/v1/acme/gw/readings",
        device: device,
        count: 3,
        firstSequence: 7,
        lastSequence: 9,
        firstTime: time,
        lastTime: time,
        detail: "/point",
        sample: []
      )
      // More than a gateway is told at once, so that one tells of those held back.
      let tallies = Array(repeating: tally, count: FeedbackWriter.burst + 1)
      told += feedback.messages(for: tallies, catalog: catalog, at: now)
    }
    #expect(told.contains { String(decoding: $0.payload, as: UTF8.self).contains("heldBack") })
    for message in told { #expect(try faults(message.payload, "Feedback", in: topics).isEmpty) }
    let batch = RelayBatch(
      station: "county",
      after: 0,
      through: 3,
      readings: [
        RelayBatch.Reading(
          number: 1,
          point: "acme/plant/tanks/T-1/level",
          unit: "%",
          time: time,
          value: nil,
          status: .lineBroken
        )
      ]
    )
    #expect(try faults(batch.encoded(), "RelayBatch", in: service).isEmpty)
    let outcome = try RelayOutcome(
      decoding: Array(
        #"{"station":"city","sequence":3,"reading":1,"refused":[{"sequence":2,"reason":"hash"}]}"#
          .utf8
      )
    )
    #expect(outcome.refused.count == 1)
    #expect(try faults(outcome.encoded(), "RelayOutcome", in: service).isEmpty)
  }

  @Test("the validator sees what is missing, wrong and not described")
  func validator() throws {
    let description = try SchemaValidator(file: Self.file)
    let schema = ["$ref": "#/components/schemas/Receipt"]
    let good: [String: Any] = [
      "alarm": "a", "act": "reset", "journalSequence": 1, "ledgerSequence": 2,
    ]
    #expect(description.faults(good, schema).isEmpty)
    for (name, value) in [
      ("alarm", nil), ("act", 7), ("journalSequence", "1"), ("journalSequence", 1.5),
      ("more", 1),
    ] as [(String, Any?)] {
      var bad = good
      bad[name] = value
      #expect(!description.faults(bad, schema).isEmpty, "\(name)")
    }
  }
}

extension SchemaValidator {
  /// The schema of an operation's answer with a status, or of any other answer.
  func schema(_ path: String, _ method: String, _ status: Int) -> [String: Any]? {
    let paths = root["paths"] as? [String: [String: Any]]
    let operation = paths?[path]?[method] as? [String: Any]
    let responses = operation?["responses"] as? [String: Any]
    guard let response = (responses?["\(status)"] ?? responses?["default"]) as? [String: Any],
      let content = resolved(response)["content"] as? [String: [String: Any]]
    else { return nil }
    return content.values.first?["schema"] as? [String: Any]
  }
}
