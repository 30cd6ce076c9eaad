import Accounts
import Console
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Station
import Testing

/// Rosters over HTTP, on the real core: with If-Match, in the ledger, and for whom.
@Suite("Roster routes")
struct RosterRouteTests {
  static let change = #"""
    {"role":"county","reason":"冬季","shifts":[{"days":[1,2,3,4,5,6,7],"from":"00:00","to":"12:00","persons":["night"]},
    {"from":"12:00","to":"00:00","persons":["night"]}],"dates":{},"fallback":[]}
    """#

  @Test("seen, changed by who has seen it as it stands, put back; answers are as described")
  func change() async throws {
    let station = try CoreStation()
    try await test(station, access: HazardRouteTests.caller(.county)) { client in
      let description = try SchemaValidator(file: DescriptionTests.file)
      func check(_ json: Any, _ path: String, _ method: String = "get") throws {
        let schema = try #require(description.schema("/api/v1/" + path, method, 200))
        #expect(description.faults(json, schema).isEmpty, "\(method) \(path)")
      }
      let list = try await client.json("/api/v1/rosters")
      try check(list, "rosters")
      #expect(list.list("persons").compactMap { $0["id"] as? String }.contains("night"))
      let county = try #require(list.list("rosters").first)
      #expect(county["changed"] as? Bool == false)
      let path = "/api/v1/rosters/county"
      let first = try await client.send(.get, path)
      try check(first.json, "rosters/{id}")
      let tag = try #require(first.headers[.eTag])
      #expect(county["tag"] as? String == tag)
      #expect(try await client.send(.put, path, Self.change).status == 428)
      #expect(try await client.send(.put, path, Self.change, ifMatch: "\"x\"").status == 412)
      let unknown = try await client.send(.put, path + "x", Self.change, ifMatch: tag)
      #expect(unknown.status == 404)
      let nobody = Self.change.replacing("night", with: "nobody")
      #expect(try await client.send(.put, path, nobody, ifMatch: tag).status == 404)
      let changed = try await client.send(.put, path, Self.change, ifMatch: tag)
      #expect(changed.status == 200, "\(changed.text)")
      try check(changed.json, "rosters/{id}", "put")
      let object = changed.json
      #expect(object["onDuty"] as? [String] == ["night"] && object["changed"] as? Bool == true)
      let other = try #require(changed.headers[.eTag])
      #expect(other != tag)
      #expect(try await client.send(.put, path, Self.change, ifMatch: tag).status == 412)
      let entries = try await client.json("/api/v1/entries?subject=roster%2Fcounty").list("entries")
      #expect(entries.compactMap { $0["actor"] as? String } == ["county-1"])
      let reset = try await client.send(.post, path + "/reset", #"{"reason":"春季"}"#, ifMatch: other)
      #expect(reset.status == 200, "\(reset.text)")
      try check(reset.json, "rosters/{id}/reset", "post")
      let again = try #require(reset.headers[.eTag])
      let twice = try await client.send(.post, path + "/reset", #"{"reason":"x"}"#, ifMatch: again)
      #expect(twice.status == 409)
    }
  }

  @Test("an enterprise sees no roster; an auditor sees and does not change it")
  func roles() async throws {
    let station = try CoreStation()
    try await test(station, access: HazardRouteTests.caller(.enterprise, enterprise: "metec")) {
      client in
      try await client.problem("/api/v1/rosters", 403, "role")
    }
    try await test(station, access: HazardRouteTests.caller(.auditor)) { client in
      let tag = try #require(try await client.send(.get, "/api/v1/rosters/county").headers[.eTag])
      let answer = try await client.send(
        .put,
        "/api/v1/rosters/county",
        Self.change,
        ifMatch: tag
      )
      #expect(answer.status == 403)
    }
  }

  @Test(
    "duty is changed and people are called by whoever sees all that the roster, and the place, is of",
    arguments: [("metec", 200, 201, 201), ("elsewhere", 403, 403, 404)]
  )
  func share(enterprise: String, change: Int, exchange: Int, call: Int) async throws {
    let station = try CoreStation()
    let access = HazardRouteTests.caller(.county, enterprise: enterprise)
    let until = Int64(Date().timeIntervalSince1970 * 1_000) + 3_600_000
    try await test(station, access: access) { client in
      let roster = try #require(try await client.json("/api/v1/rosters").list("rosters").first)
      #expect(roster["inScope"] as? Bool == (change == 200))
      let exchanged = #"{"roster":"county","persons":["night"],"until":\#(until)}"#
      _ = try await client.send("/api/v1/duties", exchanged, exchange)
      func callOut(_ place: String, _ status: Int) async throws {
        let body = #"{"chain":"county","text":"演练"\#(place)}"#
        _ = try await client.send("/api/v1/callouts", body, status)
      }
      try await callOut("", 422)
      try await callOut(#","place":"another/site""#, 403)
      try await callOut(#","place":"\#(enterprise)/metec""#, call)
      let path = "/api/v1/rosters/county"
      let tag = try #require(try await client.send(.get, path).headers[.eTag])
      #expect(try await client.send(.put, path, Self.change, ifMatch: tag).status == change)
    }
  }

  @Test("a roster for some places is of the enterprises there; one of notices is of all")
  func places() async throws {
    let narrow = CoreStation.response.replacing(
      "persons: [duty], attempts",
      with: "roster: county, attempts"
    )
    .replacing("when: {priority: red}, chain", with: "when: {path: metec/metec}, chain")
    let site = try CoreStation.files(["config/sites/methane-demo.yaml"])[0].text
    let sources =
      try CoreStation.files(["devices/research/fence-line-methane.yaml"])
      + [(path: "sites/methane-demo.yaml", text: site)]
    for (response, isTheirs) in [
      (narrow, false), (narrow + "\nnotices: {report: {roster: county}}", false),
      (narrow.replacing("path: metec/metec", with: "path: acme"), true),
    ] {
      let station = try CoreStation(sources: sources, response: response)
      let access = HazardRouteTests.caller(.county, enterprise: "acme")
      try await test(station, access: access) { client in
        let roster = try #require(try await client.json("/api/v1/rosters").list("rosters").first)
        #expect(roster["inScope"] as? Bool == isTheirs, "\(response)")
      }
    }
  }
}
