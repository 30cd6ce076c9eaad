import Accounts
import Console
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import HummingbirdTesting
import Station
import Telemetry
import Testing

/// Hazards, call-outs, clocks, silences and figures over HTTP, on the real core.
@Suite("Hazard routes")
struct HazardRouteTests {
  static func caller(_ role: Role, enterprise: String? = nil) -> ConsoleAccess {
    .open(
      as: Principal(
        subject: "\(role.rawValue)-1",
        displayName: "\(role.rawValue) one",
        roles: [role],
        scope: enterprise.map { Scope(enterprises: [$0]) } ?? .everywhere
      )
    )
  }

  @Test("from the plume to the plan: list, story, acts, refusals by status and word")
  func hazards() async throws {
    let station = try CoreStation()
    try station.reading(25)
    try await test(station) { client in
      let page = try await client.json("/api/v1/hazards?open=true&source=monitoring&limit=1")
      let listed = try #require(page.list("hazards").first)
      let id = try #require(listed["hazard"] as? String)
      #expect(listed["state"] as? String == "registered")
      #expect(page["next"] as? Int == listed["firstSequence"] as? Int)
      let path = "/api/v1/hazards/\(id.escaped)"
      func act(_ body: String, _ status: Int, _ kind: String = "") async throws {
        let answer = try await client.send("\(path)/acts", body, status)
        if !kind.isEmpty {
          #expect(answer["type"] as? String == "urn:davy:problem:" + kind, "\(body)")
        }
      }
      try await act(
        #"{"act":"verify","actor":"a\u0000b","role":"county","reason":"属实"}"#,
        422,
        "control-characters"
      )
      try await act(#"{"act":"verify","actor":"a","role":"county","reason":"属实"}"#, 200)
      try await act(
        #"{"act":"verify","actor":"a","role":"county","reason":"x"}"#,
        409,
        "refused-state"
      )
      try await act(
        #"{"act":"grade","actor":"a","role":"enterprise","grade":"major","reason":"x"}"#,
        403,
        "refused-role"
      )
      try await act(
        #"{"act":"grade","actor":"a","role":"county","reason":"x"}"#,
        409,
        "refused-guard.gradeGiven"
      )
      try await act(#"{"act":"grade","actor":"a","role":"engine"}"#, 422, "incomplete")
      try await act(#"{"act":"dance","actor":"a","role":"county"}"#, 422, "incomplete")
      try await act(#"["#, 400, "malformed")
      let story = try await client.json(path)
      #expect(story["state"] as? String == "verified")
      let kinds = story.list("entries").compactMap { $0["kind"] as? String }
      #expect(kinds.filter { $0 == "hazard" }.count == 2)
      #expect(kinds.filter { $0 == "system" }.count == 4, "refused acts are part of the story")
      #expect(story.list("alarms").first?["rule"] as? String == "HH")
      let grade = story.list("acts").first { $0["act"] as? String == "grade" }
      #expect(grade?["roles"] as? [String] == ["county", "sector", "city"])
      try await client.problem("/api/v1/hazards/nothing", 404, "unknown-hazard")
      try await client.problem(
        "/api/v1/hazards?state=happy",
        400,
        "invalid-parameter",
        mentions: "registered"
      )
      _ = try await client.send(
        "/api/v1/hazards/nothing/acts",
        #"{"act":"verify","actor":"a","role":"county"}"#,
        404
      )
    }
  }

  @Test("an inspection's hazard is registered by whom its source allows, in the caller's own share")
  func register() async throws {
    let station = try CoreStation()
    let body = #"{"source":"selfInspection","place":"metec/metec/fence","title":"护栏缺失"}"#
    try await test(station, access: Self.caller(.enterprise, enterprise: "metec")) { client in
      let answer = try await client.send("/api/v1/hazards", body, 201)
      let id = try #require(answer["hazard"] as? String)
      let story = try await client.json("/api/v1/hazards/\(id.escaped)")
      #expect(story["source"] as? String == "selfInspection")
      #expect(story.list("entries").first?["actor"] as? String == "enterprise-1")
      let misspelt = body.replacing("metec/metec", with: "metec/mettec")
      let nowhere = try await client.send("/api/v1/hazards", misspelt, 404)
      #expect(nowhere["type"] as? String == "urn:davy:problem:unknown-place")
      let government = body.replacing("selfInspection", with: "governmentInspection")
      let refused = try await client.send("/api/v1/hazards", government, 403)
      #expect(refused["type"] as? String == "urn:davy:problem:refused-role")
      // Nobody signs for somebody else's role.
      let county = try await client.send(
        "/api/v1/hazards/\(id.escaped)/acts",
        #"{"act":"verify","role":"county","reason":"x"}"#,
        403
      )
      #expect(county["type"] as? String == "urn:davy:problem:role")
    }
    try await test(station, access: Self.caller(.enterprise, enterprise: "other")) { client in
      #expect(try await client.json("/api/v1/hazards").list("hazards").isEmpty)
      let foreign = try await client.send("/api/v1/hazards", body, 403)
      #expect(foreign["type"] as? String == "urn:davy:problem:scope")
    }
  }

  @Test(
    "evidence is kept by its hash, named by the ledger, and given back to whom the hazard is shown"
  )
  func evidence() async throws {
    let station = try CoreStation()
    try station.reading(25)
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-evidence-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var options = ConsoleOptions()
    options.evidenceFolder = folder
    options.maximumEvidenceBytes = 1_000
    try await test(station, options: options) { client in
      let page = try await client.json("/api/v1/hazards")
      let id = try #require(page.list("hazards").first?["hazard"] as? String)
      let upload =
        "/api/v1/hazards/\(id.escaped)/evidence?name=\("整改后.jpg".escaped)&actor=wang&role=county"
      let kept = try await client.upload(upload, "photo", 201)
      let digest = try #require(kept["sha256"] as? String)
      #expect(digest.count == 64)
      let story = try await client.json("/api/v1/hazards/\(id.escaped)")
      #expect(story.list("evidence").first?["name"] as? String == "整改后.jpg")
      try await client.execute(
        uri: "/api/v1/hazards/\(id.escaped)/evidence/\(digest)",
        method: .get
      ) { response in
        #expect(String(buffer: response.body) == "photo")
        #expect(response.headers[.contentDisposition]?.hasPrefix("attachment") == true)
        #expect(response.headers[.cacheControl] == "no-store")
      }
      try await client.problem(
        "/api/v1/hazards/\(id.escaped)/evidence/\(String(repeating: "0", count: 64))",
        404,
        "unknown-evidence"
      )
      // A hash whose file nobody has handed in is no evidence.
      for (hash, status, kind) in [
        (String(repeating: "ab", count: 32), 422, "evidence-missing"),
        ("../" + String(repeating: "a", count: 61), 422, "incomplete"), (digest, 200, ""),
      ] {
        let answer = try await client.send(
          "/api/v1/hazards/\(id.escaped)/acts",
          #"{"act":"attach","actor":"wang","role":"county","evidence":[{"name":"b","sha256":"\#(hash)"}]}"#,
          status
        )
        if status != 200 { #expect(answer["type"] as? String == "urn:davy:problem:\(kind)") }
      }
      _ = try await client.upload(upload, String(repeating: "x", count: 1_001), 413)
      _ = try await client.upload(
        upload.replacing("role=county", with: "role=administrator"),
        "y",
        403
      )
      _ = try await client.upload(upload.replacing("name=", with: "name=..%2F"), "y", 400)
    }
  }

  @Test("a call-out whose entries cannot be read is an error, and not shown as one without levels")
  func unreadableCallout() async throws {
    let station = try CoreStation()
    try station.reading(25)
    try await test(station) { client in
      _ = try await client.json("/api/v1/callouts/callout%2F1")
      try station.memory.append(
        [
          LedgerDraft(
            time: Timestamp(milliseconds: 1),
            kind: .callout,
            subject: "callout/1",
            actor: "engine",
            body: Array(#"{"event":"of another program"}"#.utf8),
            origin: 1
          )
        ],
        rejects: [],
        position: 1_000_000
      )
      try await client.problem("/api/v1/callouts/callout%2F1", 500, "internal")
      let listed = try await client.json("/api/v1/callouts").list("callouts")
      #expect(listed.map { $0["id"] as? String } == ["callout/1"])
      #expect((listed.first?["unreadable"] as? String)?.contains("callout/1") == true)
    }
  }

  @Test(
    "a call-out is seen, confirmed once by its person, and counted; its report is drafted and made"
  )
  func calloutAndReport() async throws {
    let station = try CoreStation()
    try station.reading(25)
    try await test(station) { client in
      let callout = try #require(
        try await client.json("/api/v1/callouts?open=true").list("callouts").first
      )
      #expect(callout["id"] as? String == "callout/1")
      #expect(callout["status"] as? String == "calling")
      #expect(callout.list("levels").first?["persons"] as? [String] == ["duty"])
      let confirm = "/api/v1/callouts/callout%2F1/confirm"
      let stranger = try await client.send(confirm, #"{"actor":"x","role":"county"}"#, 409)
      #expect(stranger["type"] as? String == "urn:davy:problem:refused-not-named")
      _ = try await client.send(confirm, #"{"actor":"x","role":"county","person":"duty"}"#, 200)
      let again = try await client.send(
        confirm,
        #"{"actor":"x","role":"county","person":"duty"}"#,
        409
      )
      #expect(again["type"] as? String == "urn:davy:problem:refused-ended")
      let one = try await client.json("/api/v1/callouts/callout%2F1")
      #expect(one["confirmedBy"] as? String == "duty")
      #expect(one.list("entries").last?["actor"] as? String == "x")
      #expect(try await client.json("/api/v1/callouts?open=true").list("callouts").isEmpty)

      let clock = try #require(
        try await client.json("/api/v1/clocks?open=true").list("clocks").first
      )
      let id = try #require(clock["id"] as? String)
      let draft = try #require(clock["draft"] as? [String: String])
      #expect(
        draft["zh"]?.contains("甲烷烟羽") == true && draft["en"]?.contains("Methane plume") == true
      )
      _ = try await client.send(
        "/api/v1/clocks/\(id.escaped)/report",
        #"{"actor":"x","role":"county","text":"首报"}"#,
        200
      )
      let reported = try await client.json("/api/v1/clocks/\(id.escaped)")
      #expect(reported["text"] as? String == "首报" && reported["late"] as? Int == 0)

      let figures = try await client.json("/api/v1/kpis?path=metec/metec")
      #expect(figures["annunciated"] as? Int == 2)
      #expect((figures["priorities"] as? [String: Int])?["red"] == 1)
      #expect((figures["callouts"] as? [String: Any])?["confirmed"] as? Int == 1)
      let none = try await client.json("/api/v1/kpis?path=elsewhere")
      #expect(none["annunciated"] as? Int == 0)
    }
  }

  @Test(
    "an operator, who may be the enterprise's own, judges no hazard and hands in no evidence",
    arguments: [Role.operator, .dutyOfficer]
  )
  func operators(role: Role) async throws {
    let station = try CoreStation()
    try station.reading(25)
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-evidence-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var options = ConsoleOptions()
    options.evidenceFolder = folder
    let access = Self.caller(role, enterprise: "metec")
    try await test(station, access: access, options: options) { client in
      let hazards = try await client.json("/api/v1/hazards").list("hazards")
      let id = try #require(hazards.first?["hazard"] as? String)
      for body in [
        #"{"act":"dismiss","reason":"x"}"#, #"{"act":"verify","reason":"x"}"#,
      ] {
        _ = try await client.send("/api/v1/hazards/\(id.escaped)/acts", body, 422)
      }
      let named = #"{"act":"dismiss","role":"county","reason":"x"}"#
      _ = try await client.send("/api/v1/hazards/\(id.escaped)/acts", named, 403)
      let report = #"{"source":"report","place":"metec/metec","title":"x"}"#
      _ = try await client.send("/api/v1/hazards", report, 422)
      _ = try await client.upload("/api/v1/hazards/\(id.escaped)/evidence?name=a", "x", 422)
      #expect(!FileManager.default.fileExists(atPath: folder), "and none is kept")
      let after = try await client.json("/api/v1/hazards").list("hazards")
      #expect(after.map { $0["state"] as? String } == hazards.map { $0["state"] as? String })
      // Call-outs are theirs.
      let call = #"{"role":"county","reason":"误报"}"#
      _ = try await client.send("/api/v1/callouts/callout%2F1/cancel", call, 200)
    }
  }

  @Test(
    "a silence stays in the share of whoever sets it, and a misspelt member does not widen it",
    arguments: [
      (nil, #""path":"metec/metec","#, 201, ""), (nil, "", 201, ""),
      (nil, #""when":{"path":"metec/metec"},"#, 422, "unknown-member"),
      (nil, #""path":"metec/metec","priority":"blue","#, 422, "unknown-member"),
      ("metec", #""path":"metec/metec","#, 201, ""), ("metec", "", 422, "incomplete"),
      ("metec", #""path":"","#, 422, "incomplete"), ("metec", #""path":7,"#, 422, "incomplete"),
      ("metec", #""path":"other/site","#, 403, "scope"),
      ("metec", #""place":"metec/metec","path":"other/site","#, 422, "unknown-member"),
    ] as [(String?, String, Int, String)]
  )
  func silenceShare(enterprise: String?, members: String, status: Int, kind: String) async throws {
    let station = try CoreStation()
    let end = Int64(Date().timeIntervalSince1970 * 1_000) + 3_600_000
    try await test(station, access: Self.caller(.county, enterprise: enterprise)) { client in
      let body = #"{\#(members)"reason":"检修","until":\#(end)}"#
      let answer = try await client.send("/api/v1/silences", body, status)
      if status != 201 { #expect(answer["type"] as? String == "urn:davy:problem:\(kind)") }
    }
  }

  @Test("a silence has an end and an author, shows what it keeps quiet, and can be ended")
  func silence() async throws {
    let station = try CoreStation()
    let end = Int64(Date().timeIntervalSince1970 * 1_000) + 3_600_000
    try await test(station) { client in
      let body =
        #"{"actor":"li","role":"county","reason":"检修","path":"metec/metec","until":\#(end)}"#
      let set = try await client.send("/api/v1/silences", body, 201)
      let id = try #require(set["silence"] as? String)
      _ = try await client.send("/api/v1/silences", body.replacing("检修", with: ""), 422)
      _ = try await client.send(
        "/api/v1/silences",
        body.replacing("\(end)", with: "\(end * 2)"),
        409
      )
      try station.reading(25)
      #expect(try await client.json("/api/v1/callouts").list("callouts").isEmpty)
      let quiet = try await client.json("/api/v1/alarms/quiet").list("quiet")
      #expect(quiet.count == 2 && quiet.allSatisfy { $0["silence"] as? String == id })
      _ = try await client.send(
        "/api/v1/silences/\(id.escaped)/end",
        #"{"actor":"li","role":"county","reason":"完工"}"#,
        200
      )
      #expect(try await client.json("/api/v1/silences?open=true").list("silences").isEmpty)
      #expect(try await client.json("/api/v1/callouts").list("callouts").count == 1)
    }
  }
}

extension TestClientProtocol {
  /// POST of JSON, expecting a status.
  @discardableResult
  func send(_ path: String, _ body: String, _ status: Int) async throws -> [String: Any] {
    try await post(path, body, "application/json", status)
  }

  /// POST of a file, expecting a status.
  func upload(_ path: String, _ body: String, _ status: Int) async throws -> [String: Any] {
    try await post(path, body, "application/octet-stream", status)
  }

  private func post(
    _ path: String,
    _ body: String,
    _ mediaType: String,
    _ status: Int
  ) async throws -> [String: Any] {
    let (found, bytes) = try await execute(
      uri: path,
      method: .post,
      headers: [.contentType: mediaType],
      body: ByteBuffer(string: body)
    ) { ($0.status.code, Data($0.body.readableBytesView)) }
    let answer = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    #expect(found == status, "\(path) \(body.prefix(200)) \(answer)")
    return answer
  }
}
