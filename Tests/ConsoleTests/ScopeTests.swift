import Accounts
import Console
import DeviceCatalog
import Foundation
import HazardLedger
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Station
import Synchronization
import Telemetry
import Testing

@Suite("Scope") struct ScopeTests {
  @Test(
    "an area code includes what lies below it, digit groups as the standard has them",
    arguments: [
      ("360000", "360702", true), ("360700", "360702", true), ("360702", "360702", true),
      ("360702", "360702005", true), ("360702005", "360702005001", true),
      ("360702005000", "360702005001", true), ("360700", "360100", false),
      ("360702", "360700", false), ("360700", "367000", false), ("361000", "361002", true),
      ("361000", "360102", false), ("360100", "361000", false), ("360702", "360703", false),
      ("360000", "370000", false),
    ]
  )
  func areaCodes(outer: String, inner: String, isIncluded: Bool) throws {
    let outer = try #require(AreaCode(outer))
    let inner = try #require(AreaCode(inner))
    #expect(outer.includes(inner) == isIncluded)
  }

  @Test(
    "what is no area code is none",
    arguments: ["", "36", "3607", "36070a", "000000", "3607022", "３６０７０２"]
  )
  func noAreaCode(text: String) { #expect(AreaCode(text) == nil) }

  static let ours = "acme/plant/tanks/T-101/level"
  static let theirs = "zeta/works/boilers/B-7/pressure"

  /// A station with alarms, refusals and entries of two enterprises and of its own.
  static func station() throws -> FakeStation {
    let station = try FakeStation()
    station.raise(ours, onset: 1)
    station.raise(theirs, onset: 2)
    station.note()
    station.raise(theirs, rule: "H", onset: 3)
    station.raise(ours, rule: "H", onset: 4)
    return station
  }

  static func caller(_ enterprise: String, _ roles: Set<Role> = [.enterprise]) -> ConsoleAccess {
    .open(
      as: Principal(
        subject: "guest",
        displayName: "Guest",
        roles: roles,
        scope: Scope(enterprises: [enterprise])
      )
    )
  }

  @Test("lists, entries, tables and single alarms hold the scope's rows and no others")
  func lists() async throws {
    let theirAlarm = AlarmBody.alarmID(
      point: Self.theirs,
      rule: "HH",
      onset: Timestamp(milliseconds: 2)
    )
    try await test(try Self.station(), access: Self.caller("acme")) { client in
      for path in [
        "/api/v1/alarms/standing", "/api/v1/alarms", "/api/v1/alarms?point=zeta", "/api/v1/entries",
        "/api/v1/entries?limit=1", "/api/v1/alarms.csv", "/api/v1/catalog",
        "/api/v1/readings/latest", "/api/v1/rejects",
        "/api/v1/entries?subject=" + theirAlarm.escaped,
      ] {
        try await client.execute(uri: path, method: .get) { response in
          let text = String(buffer: response.body)
          #expect(response.status == .ok, "\(path)")
          #expect(!text.contains("zeta") && !text.contains("clock"), "\(path): \(text)")
        }
      }
      for path in ["/api/v1/alarms", "/api/v1/alarms/standing"] {
        let alarms = try await client.json(path).list("alarms")
        #expect(alarms.count == 2, "\(path)")
      }
      let sequences = try await client.json("/api/v1/entries").list("entries")
        .map { $0["sequence"] as? Int }
      #expect(sequences == [1, 5])
      let second = try await client.json("/api/v1/entries?after=1&limit=1").list("entries")
      #expect(second.map { $0["sequence"] as? Int } == [5])
      try await client.problem("/api/v1/alarms/" + theirAlarm.escaped, 404, "unknown-alarm")
      try await client.problem(
        "/api/v1/points/\(Self.theirs.escaped)/trend?from=1&to=2",
        404,
        "unknown-point"
      )
      try await client.refusedAct(
        theirAlarm,
        #"{"act":"acknowledge","actor":"x"}"#,
        404,
        "unknown-alarm"
      )
    }
  }

  @Test("an alarm that the ledger has not taken stands all the same, for those who see its point")
  func unrecorded() async throws {
    let station = try FakeStation()
    for (onset, point) in [(7, Self.ours), (8, Self.theirs)] as [(Int64, String)] {
      station.announceUnrecorded(Self.raised(point, onset: onset, in: station))
    }
    let path = "/api/v1/alarms/standing"
    try await test(station, access: Self.caller("acme")) { client in
      let standing = try await client.json(path)
      #expect(standing["head"] as? Int == 0 && standing.list("alarms").isEmpty)
      let bodies = standing.list("unrecorded").map { $0["body"] as? [String: Any] }
      #expect(bodies.map { $0?["point"] as? String } == [Self.ours])
      #expect(bodies.map { $0?["event"] as? String } == ["raised"])
    }
    try await test(station) { client in
      let before = try await client.json(path).list("unrecorded")
      #expect(before.map { $0["number"] as? Int } == [1, 2])
      station.raise(Self.ours, onset: 7)
      let after = try await client.json(path)
      #expect(after.list("unrecorded").map { $0["number"] as? Int } == [2])
      #expect(after.list("alarms").map { $0["point"] as? String } == [Self.ours])
    }
  }

  /// What ``FakeStation/raise(_:rule:onset:priority:)`` writes.
  static func raised(
    _ point: String,
    onset: Int64,
    in station: FakeStation
  ) -> AlarmBody {
    AlarmBody(
      point: point,
      rule: "HH",
      onset: Timestamp(milliseconds: onset),
      event: .raised,
      state: .unacknowledged,
      previous: .normal,
      priority: 4,
      value: 91.3,
      limit: 85,
      unit: "%",
      received: Timestamp(milliseconds: onset),
      cause: 1,
      catalog: station.catalog.version
    )
  }

  @Test("who sees everything sees the station's own entries too")
  func everything() async throws {
    try await test(try Self.station()) { client in
      let entries = try await client.json("/api/v1/entries").list("entries")
      #expect(entries.count == 5)
    }
  }

  @Test("a role that may not silence an alarm is told so, before the station is asked")
  func roles() async throws {
    let station = try Self.station()
    let alarm = AlarmBody.alarmID(
      point: Self.ours,
      rule: "HH",
      onset: Timestamp(milliseconds: 1)
    )
    try await test(station, access: Self.caller("acme", [.auditor])) { client in
      try await client.refusedAct(alarm, #"{"act":"acknowledge","actor":"x"}"#, 403, "role")
    }
    try await test(station, access: Self.caller("acme")) { client in
      let body = #"{"act":"removeFromService","actor":"x","reason":"y"}"#
      try await client.refusedAct(alarm, body, 403, "role")
      try await client.act(alarm, #"{"act":"acknowledge","actor":"x"}"#)
    }
    #expect(station.acts.count == 1)
  }

  @Test(
    "a stream tells of the scope's alarms only, from the snapshot on, and its cursor passes the others"
  )
  func stream() async throws {
    let station = try Self.station()
    try await withConsole(
      station,
      access: Self.caller("acme"),
      { $0.heartbeat = .milliseconds(50) }
    ) { port in
      let seen = Mutex<[ServerEvent]>([])
      _ = try await EventStreamClient(port: port).read("/api/v1/alarms/stream") { event in
        let count = seen.withLock { seen in
          seen.append(event)
          return seen.count
        }
        if count == 2 {
          station.raise(Self.theirs, rule: "L", onset: 10)
          station.raise(Self.ours, rule: "L", onset: 11)
          station.raise(Self.theirs, rule: "LL", onset: 12)
        }
        return event.name == "heartbeat" && event.sequence == 8
      }
      let events = seen.withLock { $0 }
      #expect(events.allSatisfy { !$0.data.contains("zeta") })
      #expect(events.filter { $0.name == "alarm" }.map(\.sequence) == [7])
    }
  }
}
