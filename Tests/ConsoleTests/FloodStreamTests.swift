import Accounts
import Console
import HazardLedger
import Journal
import Telemetry
import Testing

/// A flood of a county turns the streams of the county's supervisors into its summary, and nobody else's.
@Suite("Flood on the alarm stream")
struct FloodStreamTests {
  static let start: Int64 = 1_760_000_000_000

  /// Two enterprises of one county, and the only one of another.
  static let counties = ["one": "360981", "two": "360981", "three": "360702"]

  /// Each has a point: its deficit is a yellow alarm, its excess a red one.
  static func station(_ places: [String: String] = counties) throws -> CoreStation {
    let sites = places.sorted { $0.key < $1.key }.map { id, county in
      (
        path: "sites/\(id).yaml",
        text: """
        enterprise: {id: \(id), name: {zh: 企, en: E}, administrative-code: "\(county)"}
        time-zone: UTC
        flood: {limit: 8, area-limit: 4, end-below: 1}
        gateways: {gw: {name: {zh: 关, en: G}}}
        sites:
          s:
            name: {zh: 场, en: S}
            areas:
              a:
                name: {zh: 区, en: A}
                devices:
                  D:
                    profile: gas/oxygen-detector
                    parameters: {range-high: 30}

        """
      )
    }
    let profile = ["devices/standards.yaml", "devices/gas/oxygen-detector.yaml"]
    let devices = try CoreStation.files(profile).map { path, text in
      (
        path: path,
        text: text.replacing("priority: red", with: "priority: yellow", maxReplacements: 1)
      )
    }
    return try CoreStation(sources: devices + sites, from: start)
  }

  /// Feeds a reading of an enterprise's only point.
  static func reading(
    _ value: Double,
    of enterprise: String,
    at second: Int64,
    _ station: CoreStation
  )
    throws
  {
    let time = start + second * 1_000
    try station.message(
      "davy/v1/\(enterprise)/gw/readings",
      #"{"device":"D","point":"o2","v":\#(value),"t":\#(time)}"#,
      at: time
    )
  }

  /// An alarm each 20 s that returns 10 s later.
  static func alarms(_ enterprises: [String], from second: Int64, _ station: CoreStation) throws {
    for (index, enterprise) in enterprises.enumerated() {
      let second = second + Int64(index) * 20
      try reading(19, of: enterprise, at: second, station)
      try reading(20.9, of: enterprise, at: second + 10, station)
    }
  }

  /// Five alarms of `three`, the fifth begins a flood of its county alone; four of `one`, the third begins the county's
  /// flood and the fourth comes after it; eleven of `two`, the ninth begins its own.
  static func play(_ station: CoreStation) throws {
    try alarms([String](repeating: "three", count: 5), from: 10, station)
    // No point falls silent before its turn: that would be an alarm too.
    for enterprise in ["one", "two"] { try reading(20.9, of: enterprise, at: 105, station) }
    try alarms(["one", "two", "one", "two", "one"], from: 110, station)
    try alarms([String](repeating: "two", count: 9), from: 210, station)
    for minute in 7...40 {
      try station.feed(.tick, "", [], at: start + Int64(minute) * 60_000)
    }
    try reading(19, of: "one", at: 2_410, station)
  }

  struct Reader: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var scope: Scope
    /// Alarms shown by enterprise.
    var shown: [String: Int]
    /// Scopes whose floods are told.
    var floods: Set<String>

    init(_ description: String, _ scope: Scope, shown: [String: Int], floods: Set<String>) {
      testDescription = description
      self.scope = scope
      self.shown = shown
      self.floods = floods
    }
  }

  static func area(_ code: String) -> Scope {
    Scope(areas: Set([AreaCode(code)].compactMap(\.self)))
  }

  static let county = Reader(
    "the county",
    area("360981"),
    shown: ["one": 3, "two": 2],
    floods: ["area:360981", "enterprise:two"]
  )
  static let readers = [
    county,
    Reader("the city", area("360900"), shown: county.shown, floods: county.floods),
    Reader(
      "the county's enterprises by id",
      Scope(enterprises: ["one", "two"]),
      shown: county.shown,
      floods: county.floods
    ),
    Reader("one enterprise", Scope(enterprises: ["one"]), shown: ["one": 4], floods: []),
    Reader(
      "the enterprise in flood",
      Scope(enterprises: ["two"]),
      shown: ["two": 8],
      floods: ["enterprise:two"]
    ),
    Reader(
      "a part of each county",
      Scope(areas: area("360702").areas, enterprises: ["one"]),
      shown: ["one": 4, "three": 4],
      floods: ["area:360702"]
    ),
    Reader(
      "the only enterprise of its county",
      Scope(enterprises: ["three"]),
      shown: ["three": 5],
      floods: []
    ),
    Reader(
      "everything",
      .everywhere,
      shown: ["one": 4, "two": 8, "three": 5],
      floods: ["area:360981", "area:360702", "area:360000", "enterprise:two"]
    ),
    // The province's flood begins with the fifth alarm, and is over before the last.
    Reader(
      "the province",
      area("360000"),
      shown: ["one": 1, "two": 0, "three": 4],
      floods: ["area:360981", "area:360702", "area:360000", "enterprise:two"]
    ),
  ]

  static func access(_ scope: Scope) -> ConsoleAccess {
    .open(as: Principal(subject: "reader", displayName: "R", roles: [.operator], scope: scope))
  }

  /// The alarm and flood events after a ledger sequence, until the stream has come to the ledger's head.
  static func events(
    of station: CoreStation,
    after sequence: Int64,
    to scope: Scope,
    playing play: (@Sendable (CoreStation) throws -> Void)? = nil
  ) async throws -> [ServerEvent] {
    let events = Collector()
    try await withConsole(station, access: access(scope)) {
      $0.heartbeat = .milliseconds(50)
    } body: { port in
      _ = try await EventStreamClient(port: port)
        .read("/api/v1/alarms/stream?since=\(sequence)") { event in
          _ = events.add(event)
          guard event.name == "heartbeat" else { return false }
          if let play, station.memory.newest == sequence { try play(station) }
          return event.sequence == station.memory.newest
        }
    }
    return events.all.filter { $0.name == "alarm" || $0.name == "flood" }
  }

  @Test(
    "who supervises an area is told its flood in place of its steps, and nobody else",
    arguments: readers
  )
  func audience(reader: Reader) async throws {
    let station = try Self.station()
    let before = station.memory.newest
    let live = try await Self.events(
      of: station,
      after: before,
      to: reader.scope,
      playing: { try Self.play($0) }
    )
    // A console that starts later reads the same from the ledger.
    let resumed = try await Self.events(of: station, after: before, to: reader.scope)
    #expect(resumed == live)

    let seen = Set(reader.shown.keys)
    for other in Set(Self.counties.keys).subtracting(seen) {
      #expect(live.allSatisfy { !$0.data.contains("\(other)/s/a/D") }, "\(other)")
    }
    for enterprise in seen {
      let raised = live.filter {
        $0.name == "alarm" && $0.data.contains("\(enterprise)/s/a/D/o2#deficit")
          && $0.data.contains(#""event":"raised""#)
      }
      #expect(raised.count == reader.shown[enterprise], "\(enterprise)")
    }

    // Every flood that he is told has a beginning, and an end, and says what came first.
    let firstOut = [
      "area:360981": "one", "area:360702": "three", "area:360000": "three", "enterprise:two": "two",
    ]
    var told: [String: [String]] = [:]
    for flood in live where flood.name == "flood" {
      let body = try #require(try JSONValue(parsing: Array(flood.data.utf8))["body"])
      let scope = try #require(body["scope"]?.text)
      told[scope, default: []].append(try #require(body["event"]?.text))
      let first = try #require(body["firstOut"]?.text)
      #expect(first.hasPrefix("\(firstOut[scope] ?? "-")/s/a/D/o2#deficit@"))
    }
    #expect(Set(told.keys) == reader.floods)
    for events in told.values {
      #expect(events.first == "flood.begin" && events.last == "flood.end")
      #expect(events.dropFirst().dropLast().allSatisfy { $0 == "flood.summary" })
    }
    if reader.floods.contains("area:360981") {
      #expect((told["area:360981"]?.count ?? 0) > 2, "no summary")
    }

    // What the summary stands for is in the list as ever.
    let played = ["one": 4, "two": 11, "three": 5]
    try await test(station, access: Self.access(reader.scope)) { client in
      let alarms = try await client.json("/api/v1/alarms?limit=200").list("alarms")
        .compactMap { $0["alarm"] as? String }
      for (enterprise, count) in played {
        let listed = alarms.count { $0.hasPrefix("\(enterprise)/s/a/D/o2#deficit@") }
        #expect(listed == (seen.contains(enterprise) ? count : 0), "\(enterprise)")
      }
    }
  }

  /// Two counties of one city, and one of another, with an enterprise each.
  static let cities = ["one": "360981", "two": "360982", "three": "360702"]

  /// Five alarms of the city, the fifth begins its flood and the province's; one of another city in the latter; and one when
  /// both are over.
  static func playCity(_ station: CoreStation) throws {
    try alarms(["one", "two", "one", "two", "one", "three"], from: 10, station)
    for minute in 7...40 {
      try station.feed(.tick, "", [], at: start + Int64(minute) * 60_000)
    }
    try reading(19, of: "one", at: 2_410, station)
  }

  static let cityReaders = [
    Reader("the county", area("360981"), shown: ["one": 4], floods: []),
    Reader("another city's county", area("360702"), shown: ["three": 1], floods: []),
    Reader("the city", area("360900"), shown: ["one": 3, "two": 2], floods: ["area:360900"]),
    Reader(
      "every county of the city",
      Scope(areas: area("360981").areas.union(area("360982").areas)),
      shown: ["one": 3, "two": 2],
      floods: ["area:360900"]
    ),
    Reader("the other city", area("360700"), shown: ["three": 1], floods: []),
    Reader(
      "the province",
      area("360000"),
      shown: ["one": 3, "two": 2, "three": 0],
      floods: ["area:360900", "area:360000"]
    ),
    Reader("one enterprise", Scope(enterprises: ["one"]), shown: ["one": 4], floods: []),
    Reader(
      "everything",
      .everywhere,
      shown: ["one": 4, "two": 2, "three": 1],
      floods: ["area:360900", "area:360000"]
    ),
  ]

  @Test(
    "a flood of calm counties is told to who supervises the city or the province, and no county",
    arguments: cityReaders
  )
  func cityAudience(reader: Reader) async throws {
    let station = try Self.station(Self.cities)
    let before = station.memory.newest
    let live = try await Self.events(
      of: station,
      after: before,
      to: reader.scope,
      playing: { try Self.playCity($0) }
    )
    #expect(try await Self.events(of: station, after: before, to: reader.scope) == live)
    for enterprise in Self.cities.keys {
      let raised = live.count {
        $0.name == "alarm" && $0.data.contains("\(enterprise)/s/a/D/o2#deficit")
          && $0.data.contains(#""event":"raised""#)
      }
      #expect(raised == reader.shown[enterprise] ?? 0, "\(enterprise)")
    }
    var told: [String: [String]] = [:]
    for flood in live where flood.name == "flood" {
      let body = try #require(try JSONValue(parsing: Array(flood.data.utf8))["body"])
      let scope = try #require(body["scope"]?.text)
      told[scope, default: []].append(try #require(body["event"]?.text))
      #expect(body["firstOut"]?.text?.hasPrefix("one/s/a/D/o2#deficit@") == true)
    }
    #expect(Set(told.keys) == reader.floods)
    for events in told.values {
      #expect(events.first == "flood.begin" && events.last == "flood.end")
    }
  }

  @Test("a red alarm is streamed to who is told the flood in place of the steps")
  func red() async throws {
    let station = try Self.station()
    let before = station.memory.newest
    try Self.alarms(["one", "two", "one", "two", "one"], from: 10, station)
    try Self.reading(24, of: "one", at: 120, station)
    let events = try await Self.events(of: station, after: before, to: Self.county.scope)
    #expect(events.contains { $0.name == "flood" })
    let red = events.filter { $0.name == "alarm" && $0.data.contains("o2#excess@") }
    #expect(red.count == 1)
    #expect(red.first?.data.contains(#""flood":"area:360981"#) == true)
  }

  @Test("an alarm whose step the summary stands for is among the standing alarms of a new stream")
  func snapshot() async throws {
    let station = try Self.station()
    try Self.alarms(["one", "two", "one", "two", "one"], from: 10, station)
    try Self.reading(19, of: "one", at: 110, station)
    let alarm = "one/s/a/D/o2#deficit@\(Self.start + 110_000)"
    let step = try #require(try station.memory.entries(of: alarm, after: 0, limit: 1).first?.body)
    let scopes = try AlarmBody(decoding: step).flood?.split(separator: " ")
    #expect(scopes?.contains("area:360981") == true)
    let events = Collector()
    try await withConsole(station, access: Self.access(Self.county.scope)) { port in
      _ = try await EventStreamClient(port: port).read("/api/v1/alarms/stream") { event in
        _ = events.add(event)
        return event.name == "heartbeat"
      }
    }
    #expect(events.all.map(\.name) == ["snapshot", "heartbeat"])
    #expect(events.all.first?.data.contains(alarm) == true)
  }
}
