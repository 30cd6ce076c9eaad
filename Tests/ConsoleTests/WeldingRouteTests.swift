import Accounts
import Console
import DeviceCatalog
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Station
import Testing

/// Machines, scans, register and coverage over HTTP, on the real core.
@Suite("Welding API") struct WeldingRouteTests {
  private static let scan = "davy/v1/acme/gw/welding/scan"
  /// Noon of a Thursday in Shanghai, when the permit begins.
  static let noon: Int64 = 1_795_665_600_000

  static let site = """
    enterprise: {id: acme, name: {zh: 测试, en: Test}, responsible: zhou}
    time-zone: Asia/Shanghai
    people: {zhou: {name: 周, role: 安全总监}}
    gateways: {gw: {name: {zh: 网关, en: Gateway}}}
    welding:
      policy: {scan-radius: 30}
      machines: {WM-1: {code: QR-1, chip: C-1}, WM-2: {code: QR-2, chip: C-2, barred: 改装}}
      welders:
        w1: {name: 张, certificate: T1, from: 2024-01-01, until: 2030-12-31}
      permits:
        P-1:
          kind: ticket
          class: first
          machines: [WM-1]
          welders: [w1]
          area: plant/shop
          from: "2026-11-26T12:00:00+08:00"
          until: "2026-11-26T13:00:00+08:00"
          gas-test: "2026-11-26T11:50:00+08:00"
          guardian: g1
    sites:
      plant:
        name: {zh: 厂, en: Plant}
        areas:
          shop:
            name: {zh: 车间, en: Shop}
            fence: [[115.000, 25.000], [115.001, 25.000], [115.001, 25.001], [115.000, 25.001]]
            should-be-connected: [WM-1, WM-3, WM-1/gas]
            devices:
              WM-1:
                profile: welding/welding-machine
                gateway: gw
                name: {zh: 焊机, en: Machine}
                position: [115.0005, 25.0005]
                parameters: {current-high: 500}
                without: [temperature, gas, mains, longitude, latitude]
              WM-2:
                profile: welding/welding-machine
                gateway: gw
                name: {zh: 焊机, en: Machine}
                position: [115.0005, 25.0005]
                parameters: {current-high: 500}
                without: [temperature, gas, mains, longitude, latitude]
    """

  static func station(from start: Int64? = noon) throws -> CoreStation {
    let files = try CoreStation.files(
      ["standards", "status-codes", "hot-work", "tables/oel", "welding/welding-machine"]
        .map { "devices/\($0).yaml" }
    )
    return try CoreStation(
      sources: files + [(path: "sites/acme.yaml", text: site)],
      from: start
    )
  }

  @Test("machines as they stand, denied scans, the words of rules")
  func machines() async throws {
    let station = try Self.station()
    try station.message(Self.scan, #"{"code":"QR-2","welder":"w1","position":[115.0005,25.0005]}"#)
    try station.message(Self.scan, #"{"code":"QR-1","welder":"w1","position":[115.0005,25.0005]}"#)
    try station.message(
      "davy/v1/acme/gw/readings",
      #"{"device":"WM-1","values":{"current":120}}"#
    )
    try await test(station) { client in
      let page = try await client.json("/api/v1/welding/machines?limit=1")
      let first = try #require(page.list("machines").first)
      #expect(first["device"] as? String == "WM-1")
      #expect(first["state"] as? String == "welding")
      #expect(first["welderName"] as? String == "张")
      #expect(first["permit"] as? String == "P-1")
      #expect(first["until"] as? Int == 1_795_669_200_000)
      #expect(page["next"] as? String == "acme/WM-1")
      let rest = try await client.json("/api/v1/welding/machines?limit=1&after=acme%2FWM-1")
      #expect(rest.list("machines").first?["barred"] as? String == "改装")
      #expect(rest["next"] is NSNull)
      let active = try await client.json("/api/v1/welding/machines?active=true")
      #expect(active.list("machines").count == 1)

      let scans = try await client.json("/api/v1/welding/scans")
      #expect(scans.list("scans").map { $0["answer"] as? String } == ["allow", "deny"])
      let denied = try await client.json("/api/v1/welding/scans?answer=deny&limit=1")
      let reasons = denied.list("scans").first?["reasons"] as? [String]
      #expect(reasons == ["machineBarred", "noPermit"])

      let rules = try await client.json("/api/v1/welding/rules")
      #expect(rules.list("rules").count == WeldingRule.allCases.count)
      #expect(rules.list("reasons").count == WeldingDenial.allCases.count)
      try await client.problem("/api/v1/welding/machines?enterprise=x", 404, "unknown-enterprise")
    }
  }

  private static func change(
    _ client: any TestClientProtocol,
    _ method: HTTPRequest.Method,
    _ path: String,
    _ body: String,
    seen: String? = nil,
    isNew: Bool = false
  ) async throws -> (Int, String) {
    var headers: HTTPFields = [.contentType: "application/json"]
    headers[.ifMatch] = seen
    if isNew { headers[.ifNoneMatch] = "*" }
    return try await client.execute(
      uri: "/api/v1/welding/register/" + path,
      method: method,
      headers: headers,
      body: ByteBuffer(string: body)
    ) { (Int($0.status.code), String(buffer: $0.body)) }
  }

  @Test("the register is changed, held against itself, and read back page by page")
  func register() async throws {
    let station = try Self.station()
    try await test(station) { client in
      let welder =
        #"{"actor":"zhou","value":{"name":"李","certificate":"T2","validFrom":"2024-01-01","validUntil":"2030-12-31"}}"#
      let unprintable = welder.replacing("zhou", with: #"zh\u0000ou"#)
      let nobody = welder.replacing("zhou", with: " ")
      for (method, path, body, status, words) in [
        (HTTPRequest.Method.put, "acme/welders/w2", welder, 200, "ledgerSequence"),
        (.put, "acme/welders/w3", unprintable, 422, "control characters"),
        (.put, "acme/welders/w3", nobody, 422, "who acts must be named"),
        (
          .put, "acme/welders/w3", #"{"actor":"zhou","value":{"name":"李"}}"#, 422,
          "certificate: missing"
        ),
        (.put, "acme/welders/w3", #"{"actor":"zhou"}"#, 422, "value"),
        (.put, "acme/welders/w3", "{", 400, "not JSON"),
        (
          .put, "acme/machines/WM-9", #"{"actor":"zhou","value":{"code":"a","chip":"b"}}"#, 409,
          "no welding machine WM-9"
        ),
        (
          .put, "acme/machines/WM-1", #"{"actor":"zhou","value":{"code":"QR-2","chip":"b"}}"#, 409,
          "belongs to WM-2"
        ),
        (.put, "acme/nothing/x", welder, 404, "unknown-part"),
        (.put, "zeta/welders/x", welder, 404, "unknown-enterprise"),
        (.delete, "acme/welders/none", #"{"actor":"zhou"}"#, 409, "no welders/none"),
        (
          .post, "acme/permits/P-1/reports", #"{"actor":"zhou","event":"gas-test"}"#, 200,
          "ledgerSequence"
        ),
        (
          .post, "acme/permits/P-1/reports", #"{"actor":"zhou","event":"dance"}"#, 422, "not one of"
        ),
        (
          .post, "acme/permits/P-9/reports", #"{"actor":"zhou","event":"gas-test"}"#, 409,
          "no permit P-9"
        ),
        (.delete, "acme/permits/P-1", #"{"actor":"zhou","reason":"取消"}"#, 200, "ledgerSequence"),
      ] {
        let (found, text) = try await Self.change(client, method, path, body)
        #expect(found == status, "\(path) \(body): \(text)")
        #expect(text.contains(words), "\(path) \(body): \(text)")
      }
      let page = try await client.json("/api/v1/welding/register/acme/welders?limit=1")
      #expect(page.list("entries").first?["id"] as? String == "w1")
      #expect(page["next"] as? String == "w1")
      let one = try await client.json("/api/v1/welding/register/acme/welders/w2")
      #expect((one["value"] as? [String: Any])?["name"] as? String == "李")
      try await client.problem("/api/v1/welding/register/acme/permits/P-1", 404, "unknown-entry")
    }
  }

  @Test("an entry that was changed meanwhile is not overwritten by who has seen the old one")
  func conditional() async throws {
    let station = try Self.station()
    try await test(station) { client in
      let path = "acme/welders/w1"
      func tag() async throws -> String {
        try await client.execute(uri: "/api/v1/welding/register/" + path, method: .get) {
          try #require($0.headers[.eTag])
        }
      }
      func body(_ name: String) -> String {
        #"{"actor":"zhou","value":{"name":"\#(name)","certificate":"T1","validFrom":"2024-01-01","validUntil":"2030-12-31"}}"#
      }
      let first = try await tag()
      for (method, body, seen, status) in [
        (HTTPRequest.Method.put, body("张一"), first, 200), (.put, body("张二"), first, 412),
        (.delete, #"{"actor":"zhou"}"#, first, 412), (.put, body("张三"), nil, 200),
      ] as [(HTTPRequest.Method, String, String?, Int)] {
        let (found, text) = try await Self.change(client, method, path, body, seen: seen)
        #expect(found == status, "\(method) \(body): \(text)")
        if status == 412 { #expect(text.contains("changed-meanwhile"), "\(text)") }
      }
      let last = try await tag()
      #expect(last != first)
      let entry = try await client.json("/api/v1/welding/register/" + path)
      #expect((entry["value"] as? [String: Any])?["name"] as? String == "张三")
      let end = #"{"actor":"zhou"}"#
      #expect(try await Self.change(client, .delete, path, end, seen: last).0 == 200)
      // What is not there any more is no more what was seen.
      #expect(try await Self.change(client, .put, path, body("张四"), seen: last).0 == 412)
      // Who wants to add it adds it once.
      #expect(try await Self.change(client, .put, path, body("张五"), isNew: true).0 == 200)
      let (again, text) = try await Self.change(client, .put, path, body("张六"), isNew: true)
      #expect(again == 412 && text.contains("changed-meanwhile"), "\(text)")
    }
  }

  @Test("who has the entry already is told so, and not told it again")
  func unchanged() async throws {
    let station = try Self.station()
    try await test(station) { client in
      let path = "/api/v1/welding/register/acme/welders/w1"
      func get(_ known: String?) async throws -> (status: Int, tag: String?, bytes: Int) {
        var headers: HTTPFields = [:]
        headers[.ifNoneMatch] = known
        return try await client.execute(uri: path, method: .get, headers: headers) {
          (Int($0.status.code), $0.headers[.eTag], $0.body.readableBytes)
        }
      }
      let first = try await get(nil)
      let tag = try #require(first.tag)
      #expect(first.status == 200 && first.bytes > 0)
      for known in [tag, "W/" + tag, "\"x\", " + tag, "*"] {
        let answer = try await get(known)
        #expect(answer.status == 304 && answer.tag == tag && answer.bytes == 0, "\(known)")
      }
      #expect(try await get("\"x\"").status == 200)
      let body =
        #"{"actor":"zhou","value":{"name":"王新","certificate":"T1","validFrom":"2024-01-01","validUntil":"2030-12-31"}}"#
      #expect(try await Self.change(client, .put, "acme/welders/w1", body).0 == 200)
      #expect(try await get(tag).status == 200)
    }
  }

  @Test("an enterprise sees its own, and neither bans hot work nor frees a black-listed machine")
  func duty() async throws {
    let station = try Self.station()
    try await test(station, access: ScopeTests.caller("zeta")) { client in
      #expect(try await client.json("/api/v1/welding/machines").list("machines").isEmpty)
      #expect(try await client.json("/api/v1/coverage").list("sites").isEmpty)
      try await client.problem(
        "/api/v1/welding/register/acme/permits",
        404,
        "unknown-enterprise"
      )
    }
    let free = #"{"actor":"guest","value":{"code":"QR-2","chip":"C-2"}}"#
    let ban = #"{"actor":"guest","value":{"reason":"会议","from":1,"until":2}}"#
    for (roles, expected) in [(Set<Role>([.enterprise]), 403), ([.county], 200), ([.auditor], 403)]
    {
      try await test(station, access: ScopeTests.caller("acme", roles)) { client in
        for (path, body) in [("acme/machines/WM-2", free), ("acme/banned-periods/b", ban)] {
          let (status, text) = try await Self.change(client, .put, path, body)
          #expect(status == expected, "\(roles) \(path): \(text)")
        }
      }
    }
  }

  @Test("coverage counts what reports, what never did, and what is not connected at all")
  func coverage() async throws {
    // Coverage goes by the clock on the wall, and other tests may hold this one up for minutes: what came an hour ahead
    // does not fall silent meanwhile.
    let station = try Self.station(from: nil)
    let time = Int64(Date().timeIntervalSince1970 * 1_000) + 3_600_000
    try station.message(
      "davy/v1/acme/gw/readings",
      #"{"device":"WM-1","values":{"current":0,"locked":1}}"#,
      at: time
    )
    try station.message(
      "davy/v1/acme/gw/readings",
      #"{"device":"WM-2","values":{"current":0}}"#,
      at: time
    )
    try await test(station) { client in
      let site = try #require(try await client.json("/api/v1/coverage").list("sites").first)
      for (name, count) in [
        ("expected", 8), ("reporting", 3), ("never", 3), ("unconnected", 2), ("silent", 0),
        ("devices", 2), ("silentDevices", 0),
      ] {
        #expect(site[name] as? Int == count, "\(name)")
      }
      let missing = try await client.json("/api/v1/coverage/points?limit=4")
      #expect(
        missing.list("points").compactMap { $0["point"] as? String } == [
          "acme/plant/shop/WM-1/gas", "acme/plant/shop/WM-1/tamper",
          "acme/plant/shop/WM-2/locked", "acme/plant/shop/WM-2/tamper",
        ]
      )
      let next = try #require(missing["next"] as? String)
      let rest = try await client.json("/api/v1/coverage/points?after=" + next.escaped)
      #expect(rest.list("points").map { $0["state"] as? String } == ["unconnected"])
      let below = try await client.json(
        "/api/v1/coverage/points?state=never&below=acme%2Fplant%2Fshop%2FWM-2"
      )
      #expect(below.list("points").count == 2)
    }
  }
}
