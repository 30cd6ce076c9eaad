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

@Suite("HTTP API") struct RouterTests {
  private let level = "acme/plant/tanks/T-101/level"

  @Test("standing alarms, newest list by filters and pages, one alarm with its steps")
  func alarms() async throws {
    let station = try FakeStation()
    let first = station.raise(onset: 1)
    station.raise("acme/plant/tanks/T-101/temperature", rule: "H", onset: 2, priority: 2)
    station.raise("beta/mine/face/CH4-1/ch4", rule: "H", onset: 3, priority: 3)
    station.step(
      level,
      rule: "HH",
      onset: Timestamp(milliseconds: 1),
      .returned,
      .returnedUnacknowledged,
      previous: .unacknowledged
    )
    try await test(station) { client in
      let standing = try await client.json("/api/v1/alarms/standing")
      #expect(standing["head"] as? Int == 4)
      #expect(standing.list("alarms").map { $0["sequence"] as? Int } == [4, 2, 3])

      let page = try await client.json("/api/v1/alarms?limit=2")
      #expect(page.list("alarms").map { $0["firstSequence"] as? Int } == [3, 2])
      #expect(page["next"] as? Int == 2)
      let rest = try await client.json("/api/v1/alarms?limit=2&before=2")
      #expect(rest.list("alarms").map { $0["firstSequence"] as? Int } == [1])
      #expect(rest["next"] is NSNull)

      for (query, expected) in [
        ("point=acme", [2, 1]), ("point=acme%2Fplant%2Ftanks%2FT-101%2Flevel", [1]),
        ("point=acm", []), ("rule=H", [3, 2]), ("priority=3", [3, 1]), ("from=2&to=3", [2]),
        ("state=returnedUnacknowledged,acknowledged", [1]), ("standing=true", [3, 2, 1]),
      ] {
        let list = try await client.json("/api/v1/alarms?" + query)
        #expect(
          list.list("alarms").compactMap { $0["firstSequence"] as? Int } == expected,
          "\(query)"
        )
      }

      let one = try await client.json("/api/v1/alarms/" + first.escaped)
      #expect(one["alarm"] as? String == first)
      #expect(one.list("entries").map { $0["sequence"] as? Int } == [1, 4])
      let body = try #require(one.list("entries").last?["body"] as? [String: Any])
      #expect(body["event"] as? String == "returned")
      #expect(body["state"] as? String == "returnedUnacknowledged")
      try await client.problem("/api/v1/alarms/nothing", 404, "unknown-alarm")
    }
  }

  @Test(
    "what cannot be understood is refused with the parameter's name",
    arguments: [
      ("/api/v1/alarms?limit=0", "limit"), ("/api/v1/alarms?limit=ten", "limit"),
      ("/api/v1/alarms?state=loud", "state"), ("/api/v1/alarms?prioritty=3", "prioritty"),
      ("/api/v1/alarms?from=-1", "from"), ("/api/v1/alarms?standing=maybe", "standing"),
      ("/api/v1/alarms?before=99999999999999999999", "before"),
      ("/api/v1/entries?after=-1", "after"), ("/api/v1/rejects?limit=1001", "limit"),
      ("/api/v1/points/x/trend", "from, to"), ("/api/v1/points/x/trend?from=5&to=5", "to"),
      ("/api/v1/points/x/trend?from=1&to=5&buckets=0", "buckets"),
    ]
  )
  func parameters(path: String, name: String) async throws {
    try await test(try FakeStation()) { client in
      try await client.problem(path, 400, "invalid-parameter", mentions: name)
    }
  }

  @Test("entries by cursor and by subject, with their bodies as written")
  func entries() async throws {
    let station = try FakeStation()
    let id = station.raise(onset: 1)
    station.note()
    station.raise(onset: 3)
    try await test(station) { client in
      let page = try await client.json("/api/v1/entries?limit=2")
      #expect(page.list("entries").map { $0["kind"] as? String } == ["alarm", "system"])
      #expect(page["next"] as? Int == 2)
      #expect(page["head"] as? Int == 3)
      let rest = try await client.json("/api/v1/entries?after=2&limit=2")
      #expect(rest.list("entries").map { $0["sequence"] as? Int } == [3])
      #expect(rest["next"] is NSNull)
      let subject = try await client.json("/api/v1/entries?subject=" + id.escaped)
      #expect(subject.list("entries").map { $0["sequence"] as? Int } == [1])
    }
  }

  @Test("rejects show reason, count, and a sample that need not be text")
  func rejects() async throws {
    let station = try FakeStation()
    station.change { $0.rejects = 12 }
    for sample in [Array("{\"device\":".utf8), [0xFF, 0x00, 0x41]] {
      station.reject(
        RejectTally(
          reason: "malformed",
          topic: "davy/v1/acme/gw/readings",
          count: 6,
          firstSequence: 1,
          lastSequence: 9,
          firstTime: Timestamp(milliseconds: 1),
          lastTime: Timestamp(milliseconds: 9),
          detail: "byte 11: unexpected end",
          sample: sample
        )
      )
    }
    try await test(station) { client in
      let rejects = try await client.json("/api/v1/rejects")
      #expect(rejects["total"] as? Int == 12)
      #expect(
        rejects.list("rejects").map { $0["sample"] as? String } == ["ff0041", "{\"device\":"]
      )
      #expect(rejects.list("rejects").map { $0["sampleEncoding"] as? String } == ["hex", "utf-8"])
    }
  }

  @Test("trends keep the extremes; an unknown point is a problem")
  func trend() async throws {
    try await test(try FakeStation()) { client in
      let trend = try await client.json(
        "/api/v1/points/\(level.escaped)/trend?from=1000&to=2000&buckets=10"
      )
      let bucket = try #require(trend.list("buckets").first)
      #expect(bucket["minimum"] as? Double == 3)
      #expect(bucket["maximum"] as? Double == 9.25)
      #expect(bucket["count"] as? Int == 2)
      try await client.problem("/api/v1/points/x/trend?from=1&to=2", 404, "unknown-point")
    }
  }

  @Test("the readings behind an alarm come with their messages; bad ones say so")
  func readingsOfPoint() async throws {
    try await test(try FakeStation()) { client in
      let path = "/api/v1/points/\(level.escaped)/readings"
      let answer = try await client.json(path + "?through=9&limit=3")
      let readings = answer.list("readings")
      #expect(readings.map { $0["sequence"] as? Int } == [1, 2, 3])
      #expect(readings.map { $0["status"] as? String } == ["sensorFault", "normal", "normal"])
      #expect(readings.last?["topic"] as? String == "plant/T-101")
      try await client.problem(path, 400, "invalid-parameter", mentions: "through")
      try await client.problem(
        "/api/v1/points/x/readings?through=1",
        404,
        "unknown-point"
      )
    }
  }

  @Test("recent readings: unknown channels and empty questions are refused")
  func recentReadings() async throws {
    try await test(try FakeStation()) { client in
      for query in ["", "?channels=", "?channels=0,x", "?channels=99"] {
        try await client.problem(
          "/api/v1/readings/recent" + query,
          400,
          "invalid-parameter",
          mentions: "channels"
        )
      }
    }
  }

  @Test("the device matrix has 24 hours also before the first reading")
  func deviceHours() async throws {
    try await test(try FakeStation()) { client in
      let answer = try await client.json("/api/v1/health/hours")
      #expect((answer["hours"] as? [Int])?.count == 24)
      #expect(answer["since"] is NSNull)
    }
  }

  @Test("a back-test runs in the background; its outcome names both sides")
  func backtest() async throws {
    let station = try FakeStation()
    station.raise()
    try await test(station) { client in
      func begin(_ body: String) async throws -> (Int, [String: Any]) {
        try await client.execute(
          uri: "/api/v1/backtests",
          method: .post,
          headers: [.contentType: "application/json"],
          body: ByteBuffer(string: body)
        ) { response in
          let data = Data(response.body.readableBytesView)
          let json = try JSONSerialization.jsonObject(with: data) as? [String: Any]
          return (response.status.code, try #require(json))
        }
      }
      for (body, kind) in [
        ("{}", "malformed"), (#"{"from":5,"to":5,"a":"ledger","b":"current"}"#, "range"),
        (#"{"from":0,"to":5,"a":"ledger","b":"draft"}"#, "incomplete"),
        (
          #"{"from":0,"to":5,"a":"ledger","b":"draft","draft":[{"path":"x","text":""}]}"#,
          "unknown-file"
        ), (#"{"from":0,"to":5,"a":"ledger","b":"0123"}"#, "unknown-version"),
      ] {
        let (_, problem) = try await begin(body)
        #expect(problem["type"] as? String == "urn:davy:problem:" + kind, "\(body)")
      }
      let range = #""from":0,"to":4000000000000"#
      let (status, answer) = try await begin("{\(range),\"a\":\"ledger\",\"b\":\"current\"}")
      #expect(status == 202)
      let id = try #require(answer["id"] as? Int)
      var job: [String: Any] = [:]
      let deadline = ContinuousClock.now + .seconds(600)
      repeat {
        await Task.yield()
        job = try await client.json("/api/v1/backtests/\(id)")
      } while job["state"] as? String != "done" && ContinuousClock.now < deadline
      #expect(job["state"] as? String == "done")
      let sides = job.list("sides")
      #expect(sides.map { $0["choice"] as? String } == ["ledger", "current"])
      #expect(sides.map { $0.list("alarms").count } == [1, 1])
      #expect(sides[1]["messages"] as? Int == 7)
      #expect(try await client.json("/api/v1/backtests").list("backtests").count == 1)
      try await client.problem("/api/v1/backtests/99", 404, "unknown-backtest")
    }
  }

  @Test("a draft may keep what an earlier version let pass, and add nothing to it")
  func recordedDraft() async throws {
    let site = """
      enterprise: {id: e, name: {zh: 企, en: E}}
      time-zone: UTC
      gateways:
        g: {name: {zh: 关, en: G}}
      routes:
        r: {topic: "kj/{enterprise}/{gatway}", format: davy-json}
      sites:
        s: {name: {zh: 场, en: S}, areas: {a: {name: {zh: 区, en: A}, devices: {}}}}
      """
    #expect(Catalog.load(sources: [("sites/e.yaml", site)]).catalog == nil)
    let recorded = Catalog.load(sources: [("sites/e.yaml", site)], isRecorded: true)
    let station = try FakeStation(catalog: recorded.catalog)
    try await test(station) { client in
      func begin(_ text: String) async throws -> (Int, String) {
        let draft: [String: Any] = [
          "from": 0, "to": 5, "a": "ledger", "b": "draft",
          "draft": [["path": "sites/e.yaml", "text": text]],
        ]
        return try await client.execute(
          uri: "/api/v1/backtests",
          method: .post,
          headers: [.contentType: "application/json"],
          body: ByteBuffer(bytes: try JSONSerialization.data(withJSONObject: draft))
        ) { ($0.status.code, String(buffer: $0.body)) }
      }
      let kept = try await begin("# A line more.\n" + site.replacing("en: G", with: "en: Gateway"))
      #expect(kept.0 == 202, "\(kept)")
      let added = try await begin(
        site.replacing(
          "sites:",
          with: "  q: {topic: \"q/{gateway}/{enterprize}\", format: davy-json}\nsites:"
        )
      )
      #expect(added.0 == 422, "\(added)")
      #expect(added.1.contains("enterprize") && !added.1.contains("gatway"), "\(added)")
    }
  }

  @Test("health says the process lives, readiness says whether readings are kept")
  func health() async throws {
    let station = try FakeStation()
    try await test(station) { client in
      try await client.execute(uri: "/healthz", method: .get) { #expect($0.status == .ok) }
      try await client.execute(uri: "/readyz", method: .get) { #expect($0.status == .ok) }
      station.change { $0.ledgerFault = "no room left" }
      try await client.execute(uri: "/healthz", method: .get) { #expect($0.status == .ok) }
      try await client.execute(uri: "/readyz", method: .get) { response in
        #expect(response.status == .serviceUnavailable)
        #expect(String(buffer: response.body) == "ledger: no room left\n")
      }
      let status = try await client.json("/api/v1/status")
      #expect((status["status"] as? [String: Any])?["ledgerFault"] as? String == "no room left")
      try await client.execute(uri: "/metrics", method: .get) { response in
        let text = String(buffer: response.body)
        #expect(text.contains("davy_readings_total 7\n"))
        #expect(text.contains("davy_console_requests_total{status=\"503\"} 1\n"))
      }
    }
  }

  @Test("a failing ledger is a problem without its innards")
  func ledgerFailure() async throws {
    let station = try FakeStation()
    station.memory.fail(with: .inputOutput(path: "/secret/place", detail: "gone"))
    try await test(station) { client in
      try await client.execute(uri: "/api/v1/alarms/standing", method: .get) { response in
        #expect(response.status == .internalServerError)
        #expect(response.headers[.contentType] == "application/problem+json")
        #expect(!String(buffer: response.body).contains("secret"))
      }
    }
  }

  @Test("every answer carries the strict headers, errors too")
  func headers() async throws {
    try await test(try FakeStation()) { client in
      for path in ["/", "/api/v1/status", "/nowhere", "/app.css"] {
        try await client.execute(uri: path, method: .get) { response in
          let policy = response.headers[.contentSecurityPolicy] ?? ""
          #expect(policy.contains("default-src 'self'"), "\(path)")
          #expect(policy.contains("frame-ancestors 'none'"), "\(path)")
          #expect(!policy.contains("unsafe"), "\(path)")
          #expect(response.headers[.xContentTypeOptions] == "nosniff", "\(path)")
          #expect(response.headers[HTTPField.Name("Referrer-Policy")!] == "no-referrer", "\(path)")
          #expect(response.headers[.accessControlAllowOrigin] == nil, "\(path)")
        }
      }
    }
  }

  @Test("foreign hosts, origins and sites are refused")
  func foreignPages() async throws {
    let station = try FakeStation()
    let id = station.raise()
    let site = HTTPField.Name("Sec-Fetch-Site")!
    try await test(station) { client in
      for (headers, status) in [
        ([.origin: "http://evil.example"] as HTTPFields, HTTPResponse.Status.forbidden),
        ([.origin: "http://localhost:9"], .forbidden), ([site: "cross-site"], .forbidden),
        ([.origin: "http://localhost"], .ok), ([site: "same-origin"], .ok),
      ] {
        try await client.execute(uri: "/api/v1/alarms/standing", method: .get, headers: headers) {
          #expect($0.status == status, "\(headers)")
        }
      }
      try await client.execute(
        uri: "/api/v1/alarms/\(id.escaped)/acts",
        method: .post,
        headers: [.contentType: "application/json", .origin: "http://evil.example"],
        body: ByteBuffer(string: #"{"act":"acknowledge","actor":"x"}"#)
      ) { #expect($0.status == .forbidden) }
    }
    #expect(station.acts.isEmpty)
  }

  @Test(
    "a host name that is not ours is misdirected",
    arguments: ["evil.example", "127.0.0.1.evil"]
  )
  func foreignHost(name: String) async throws {
    let station = try FakeStation()
    try await withConsole(station) { port in
      let answer = try await EventStreamClient(port: port, host: name).read("/healthz") { _ in true
      }
      #expect(answer.status == 421)
    }
  }

  @Test(
    "pages and files have tags, unknown paths are problems, and nothing leads out of the folder"
  )
  func files() async throws {
    try await test(try FakeStation()) { client in
      let tag = try await client.execute(uri: "/app.css", method: .get) { response in
        #expect(response.status == .ok)
        #expect(response.headers[.contentType] == "text/css; charset=utf-8")
        return try #require(response.headers[.eTag])
      }
      try await client.execute(uri: "/app.css", method: .get, headers: [.ifNoneMatch: tag]) {
        #expect($0.status == .notModified)
        #expect($0.body.readableBytes == 0)
      }
      for page in ["/", "/wall", "/ledger", "/tree", "/rejects", "/status", "/alarm"] {
        try await client.execute(uri: page, method: .get) { response in
          #expect(response.status == .ok)
          #expect(response.headers[.contentType] == "text/html; charset=utf-8")
        }
      }
      for path in [
        "/../Package.swift", "/..%2f..%2fetc/passwd", "/js/../../ConsoleServer.swift",
        "/%2e%2e/%2e%2e/etc/passwd", "/js/%2e%2e/index.html", "//etc/passwd", "/js", "/js/",
      ] {
        try await client.problem(path, 404, "not-found")
      }
    }
  }

  @Test("a method that a resource does not take is told which it does")
  func methods() async throws {
    try await test(try FakeStation()) { client in
      for (path, method, allow) in [
        ("/api/v1/alarms/standing", HTTPRequest.Method.post, "GET, HEAD"),
        ("/api/v1/alarms/x/acts", .get, "POST"), ("/", .delete, "GET, HEAD"),
      ] {
        try await client.execute(uri: path, method: method) { response in
          #expect(response.status == .methodNotAllowed)
          #expect(response.headers[.allow] == allow)
        }
      }
      try await client.execute(uri: "/api/v1/status", method: .head) { response in
        #expect(response.status == .ok)
        #expect(response.body.readableBytes == 0)
      }
    }
  }

  @Test("the table for spreadsheets: byte order mark, CRLF, quoted, and no formulas")
  func csv() async throws {
    let station = try FakeStation()
    let id = station.raise(onset: 1_795_451_234_567)
    try await test(station) { client in
      try await client.act(
        id,
        #"{"act":"acknowledge","actor":"=cmd|' /C calc'!A0","reason":"a, \"b\""}"#
      )
      try await client.execute(uri: "/api/v1/alarms.csv?point=acme", method: .get) { response in
        let bytes = Array(response.body.readableBytesView)
        #expect(bytes.prefix(3) == [0xEF, 0xBB, 0xBF])
        let lines = String(decoding: bytes.dropFirst(3), as: UTF8.self).components("\r\n")
        #expect(lines.count == 3 && lines[2].isEmpty)
        #expect(lines[1].contains("'=cmd|' /C calc'!A0"))
        #expect(lines[1].contains(#""a, ""b""""#))
        #expect(lines[1].contains("2026-11-24 00:27:14.567 +8:00"), "\(lines[1])")
        #expect(lines[1].contains(",91.3,85.0,%,"))
      }
    }
  }

  @Test(
    "an address that other machines can reach is refused",
    arguments: ["0.0.0.0", "::", "10.0.0.1"]
  )
  func notLoopback(host: String) throws {
    var options = ConsoleOptions()
    options.host = host
    #expect(throws: ConsoleError.openToOthers(host)) {
      _ = try ConsoleServer(
        station: try FakeStation(),
        access: .openToThisMachine,
        options: options
      )
    }
  }
}
