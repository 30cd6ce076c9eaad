import Accounts
import Console
import DeviceCatalog
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import HummingbirdTesting
import Station
import Telemetry
import Testing

/// Who may pass on what, and what is answered.
@Suite("Relay routes") struct RelayRouteTests {
  /// A batch of one alarm of an enterprise and one reading, as a station below sends it.
  private static func batch(_ enterprise: String, station: String = "county") throws -> String {
    let time = Timestamp(milliseconds: 1_760_000_000_000)
    let body = AlarmBody(
      point: "\(enterprise)/plant/tanks/T-1/level",
      rule: "H",
      onset: time,
      event: .raised,
      state: .unacknowledged,
      previous: .normal,
      priority: 3,
      value: 61.5,
      limit: 60,
      unit: "%",
      received: time,
      cause: 7
    )
    var buffer: [UInt8] = []
    let entry = LedgerEntry(
      LedgerDraft(alarm: body, time: time, origin: 7),
      sequence: 2,
      previousHash: Array(repeating: 1, count: 32),
      buffer: &buffer
    )
    let reading = RelayBatch.Reading(
      number: 1,
      point: body.point,
      unit: "%",
      time: time,
      value: 61.5,
      status: .normal
    )
    return String(
      decoding: RelayBatch(
        station: station,
        after: 0,
        through: 2,
        entries: [entry],
        readings: [reading]
      ).encoded(),
      as: UTF8.self
    )
  }

  @Test("a hazard may lie at a site that only a station below knows")
  func sites() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let key = try accounts.machine("county", [.relay], Scope(enterprises: ["acme"]))
    let station = try CoreStation()
    let hazard =
      #"{"source":"departmentInspection","place":"metec/below/fence","title":"护栏缺失"}"#
    try await test(station, access: HazardRouteTests.caller(.county)) { client in
      let refused = try await client.send("/api/v1/hazards", hazard, 404)
      #expect(refused["type"] as? String == "urn:davy:problem:unknown-place")
    }
    try await test(station, access: .accounts(accounts.service)) { client in
      let items = "/api/v1/relay/items"
      let answer = try await client.send(.post, items, try Self.batch("acme"), bearer: key)
      #expect(answer.status == 200, "\(answer.text)")
    }
    try await test(station, access: HazardRouteTests.caller(.county)) { client in
      _ = try await client.send("/api/v1/hazards", hazard, 201)
    }
  }

  @Test("a station speaks for itself and its enterprises, passes on and does nothing else")
  func permissions() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let key = try accounts.machine("county", [.relay], Scope(enterprises: ["acme"]))
    let watch = try accounts.machine("watch", [.operator], .everywhere)
    let station = try CoreStation()
    try await test(station, access: .accounts(accounts.service)) { client in
      let description = try SchemaValidator(file: DescriptionTests.file)
      let items = "/api/v1/relay/items"
      func post(_ body: String, as bearer: String = key) async throws -> Answer {
        try await client.send(.post, items, body, bearer: bearer)
      }
      let answer = try await post(try Self.batch("acme"))
      #expect(answer.status == 200, "\(answer.text)")
      let outcome: [String: Any] = ["$ref": "#/components/schemas/RelayOutcome"]
      #expect(description.faults(answer.json, outcome).isEmpty)
      #expect(answer.json["taken"] as? Int == 1 && answer.json["takenReadings"] as? Int == 1)
      let again = try await post(try Self.batch("acme"))
      #expect(again.json["duplicates"] as? Int == 2 && again.json["taken"] as? Int == 0)
      for (body, status, problem) in [
        (try Self.batch("acme", station: "other"), 403, "station"),
        (try Self.batch("zeta"), 403, "scope"), ("{", 422, "incomplete"),
        (#"{"station":"county","after":3,"through":2}"#, 422, "incomplete"),
      ] {
        let answer = try await post(body)
        #expect(answer.status == status && answer.problem == problem, "\(answer.text)")
      }
      #expect(try await post(try Self.batch("acme"), as: watch).problem == "role")
      for path in ["/api/v1/alarms", "/api/v1/relay", "/api/v1/relay/readings", "/metrics"] {
        #expect(try await client.send(.get, path, bearer: key).status == 403, "\(path)")
      }
      // What came up is listed, with its origin, and its newest reading is shown.
      let alarms = try await client.send(.get, "/api/v1/alarms", bearer: watch)
      #expect((alarms.json["alarms"] as? [[String: Any]])?.count == 1, "\(alarms.text)")
      let readings = try await client.send(.get, "/api/v1/relay/readings", bearer: watch)
      let first = try #require((readings.json["readings"] as? [[String: Any]])?.first)
      #expect(first["station"] as? String == "county" && first["value"] as? Double == 61.5)
      let status = try await client.send(.get, "/api/v1/relay", bearer: watch)
      let below = try #require((status.json["below"] as? [[String: Any]])?.first)
      #expect(below["entries"] as? Int == 1 && below["duplicates"] as? Int == 2)
      #expect(description.faults(status.json, ["$ref": "#/components/schemas/RelayStatus"]).isEmpty)
      let statistics = try await client.send(
        .get,
        "/api/v1/reports/2026-Q1/hazards",
        bearer: watch
      )
      #expect(
        description.faults(statistics.json, ["$ref": "#/components/schemas/HazardStatistics"])
          .isEmpty,
        "\(statistics.text)"
      )
      for format in ["csv", "xlsx", "html"] {
        let path = "/api/v1/reports/2026-Q1/hazards?format=\(format)"
        #expect(try await client.send(.get, path, bearer: watch).status == 200, "\(format)")
      }
      let wrong = try await client.send(.get, "/api/v1/reports/2026-Q5/hazards", bearer: watch)
      #expect(wrong.status == 400)
    }
  }

  @Test("what comes by a broker is held to the same rules, and to the station that its topic names")
  func byBroker() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let key = try accounts.machine("county", [.relay], Scope(enterprises: ["acme"]))
    let watch = try accounts.machine("watch", [.operator], .everywhere)
    let station = try CoreStation()
    let door = try ConsoleServer(station: station, access: .accounts(accounts.service)).relayDoor
    let batch = Array(try Self.batch("acme").utf8)
    for (bytes, name, key, status, problem) in [
      (batch, "county", "", 401, "sign-in"), (batch, "county", key + "x", 401, "sign-in"),
      (batch, "county", watch, 403, "role"), (batch, "city", key, 403, "station"),
      (Array(try Self.batch("zeta").utf8), "county", key, 403, "scope"),
      (Array("{".utf8), "county", key, 422, "incomplete"), (nil, "county", key, 413, "too-large"),
    ] as [([UInt8]?, String, String, Int, String)] {
      let reply = await door.answer(bytes, of: name, key: key)
      let type = try JSONValue(parsing: reply.body)["type"]?.text
      #expect(reply.status == status && type == "urn:davy:problem:" + problem, "\(reply.brief)")
      #expect(!reply.isForNow)
    }
    let reply = await door.answer(batch, of: "county", key: key)
    let outcome = try RelayOutcome(decoding: reply.body)
    #expect(reply.status == 200 && outcome.taken == 1 && outcome.takenReadings == 1)
    let again = try RelayOutcome(decoding: await door.answer(batch, of: "county", key: key).body)
    #expect(again.taken == 0 && again.duplicates == 2)
  }

  @Test("a key of a station below is a machine's and stands alone")
  func role() throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    for (roles, kind) in [([.relay, .operator], .machine), ([.relay], .person)]
      as [(Set<Role>, Principal.Kind)]
    {
      let draft = AccountDraft(
        id: "county",
        displayName: "county",
        kind: kind,
        roles: roles,
        scope: .everywhere
      )
      #expect(throws: AccountError.self) { try accounts.service.create(draft, now: 0) }
    }
  }

  /// A methane site whose points have paths of more than 200 bytes, cut at 200 in the middle of a character.
  private static func longNames() throws -> (station: CoreStation, point: String) {
    let enterprise = "m" + String(repeating: "企", count: 42)
    let site = "s" + String(repeating: "站", count: 42)
    var sources = try CoreStation.files(["devices/research/fence-line-methane.yaml"])
    for file in try CoreStation.files(["config/sites/methane-demo.yaml"]) {
      sources.append(
        (
          "sites/methane-demo.yaml",
          file.text.replacing("replay-source: true", with: "replay-source: false")
            .replacing("  id: metec\n", with: "  id: \(enterprise)\n")
            .replacing("\n  metec:\n", with: "\n  \(site):\n")
        )
      )
    }
    let station = try CoreStation(sources: sources)
    let point = try #require(station.catalog.channels.first?.path)
    #expect(point.utf8.count > 260, "\(point)")
    return (station, point)
  }

  @Test(
    "refusals are counted, told within what a sender reads of an answer, and whole in the ledger"
  )
  func caps() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let key = try accounts.machine("county", [.relay], .everywhere)
    let (station, own) = try Self.longNames()
    let door = try ConsoleServer(station: station, access: .accounts(accounts.service)).relayDoor
    let time = Timestamp(milliseconds: 1_760_000_000_000)

    // A hazard whose alarm is of another enterprise than it says, with a reason of more than 80 bytes.
    let enterprise = "e" + String(repeating: "业", count: 60)
    var buffer: [UInt8] = []
    let entry = LedgerEntry(
      LedgerDraft(
        registering: HazardRegistration(
          id: "hazard/1",
          source: .report,
          enterprise: enterprise,
          place: enterprise + "/plant",
          title: "leak",
          alarms: ["zeta/plant/tanks/T-1/level#H@1"]
        ),
        by: "li",
        as: .county,
        at: time,
        origin: 7
      ),
      sequence: 1,
      previousHash: Array(repeating: 1, count: 32),
      buffer: &buffer
    )
    // Of 150 readings all are refused: one is of a point of the station itself, the others say no number.
    let readings = (1...150).map { number in
      RelayBatch.Reading(
        number: number,
        point: number == 1 ? own : "acme/plant/tanks/T-1/level",
        unit: "%",
        time: time,
        value: 1,
        status: .normal
      )
    }
    let batch = RelayBatch(
      station: "county",
      after: 0,
      through: 1,
      entries: [entry],
      readings: readings
    ).encoded()
    var members = try #require(try JSONValue(parsing: batch).members)
    members["readings"] = .array(
      (members["readings"]?.elements ?? []).enumerated().map { index, reading in
        var members = reading.members ?? [:]
        if index > 0 { members["value"] = .string("much") }
        return .object(members)
      }
    )
    let reply = await door.answer(
      JSONValue.object(members).canonicalBytes(),
      of: "county",
      key: key
    )
    #expect(reply.status == 200, "\(reply.brief)")
    let outcome = try RelayOutcome(decoding: reply.body)
    #expect(outcome.taken == 0 && outcome.takenReadings == 0 && outcome.reading == 150)
    #expect(outcome.refusedReadings == 150)
    #expect(outcome.readingRefusals.map(\.number) == Array(1...100))
    // Cut at whole characters, within the limit and no sooner than need be.
    let first = try #require(outcome.readingRefusals.first).reason
    #expect(own.hasPrefix(first) && (198...200).contains(first.utf8.count), "\(first)")
    let refused = try #require(outcome.refused.first)
    #expect(refused.sequence == 1 && (78...80).contains(refused.reason.utf8.count), "\(refused)")
    #expect(refused.reason.hasPrefix("place, alarms: not of the enterprise e业"))

    let told = try station.memory.entries(after: 0, limit: 1_000)
      .compactMap { try JSONValue(parsing: $0.body ?? []) }
      .filter { $0["event"]?.text == "relay.refused" }
    let whole = try #require(told.first { $0["sequence"] != nil }?["reason"]?.text)
    #expect(whole.hasPrefix(refused.reason) && whole.hasSuffix(enterprise))
    #expect(told.compactMap { $0["readings"]?.wholeNumber }.reduce(0, +) == 150)
    #expect(told.contains { $0["points"]?.elements == [.string(own)] })
  }
}
