import Accounts
import Console
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import HummingbirdTesting
import Station
import Testing

@Suite("Signing in") struct SignInTests {
  @Test("without signing in there is nothing but the pages, the door and the probes")
  func closed() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let station = try FakeStation()
    let id = station.raise()
    try await test(station, access: .accounts(accounts.service)) { client in
      for path in ["/", "/sign-in", "/app.css", "/healthz", "/readyz", "/api/v1/openapi.yaml"] {
        let answer = try await client.send(.get, path)
        #expect(answer.status == 200, "\(path)")
      }
      for path in [
        "/api/v1/alarms", "/api/v1/alarms/standing", "/api/v1/alarms/stream", "/api/v1/entries",
        "/api/v1/catalog", "/api/v1/status", "/api/v1/console", "/api/v1/rejects", "/metrics",
        "/api/v1/alarms/" + id.escaped, "/api/v1/session", "/api/v1/accounts", "/api/v1/verify",
        "//api/v1/alarms", "/api/v1//alarms", "/%61pi/v1/alarms", "/api/v1/alarms/", "/nowhere",
        "/api/v1/readings/latest", "/api/v1/alarms.csv",
      ] {
        for credential in [nil, "davy-session=" + Secret().text, "davy-session=x"] {
          let answer = try await client.send(.get, path, cookie: credential)
          #expect(answer.status == 401, "\(path)")
          #expect(!answer.text.contains("acme"), "\(path)")
        }
        let bearer = try await client.send(.get, path, bearer: "davy_none." + Secret().text)
        #expect(bearer.status == 401, "\(path)")
      }
      let act = try await client.send(
        .post,
        "/api/v1/alarms/\(id.escaped)/acts",
        #"{"act":"acknowledge"}"#
      )
      #expect(act.status == 401)
    }
    #expect(station.acts.isEmpty)
  }

  @Test("who asks the API too fast waits; pages and probes are there all the same")
  func limit() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let key = try accounts.machine("prometheus", [.monitor], .everywhere)
    try await test(
      try FakeStation(),
      access: .accounts(accounts.service),
      options: ConsoleOptions(requestsPerSecond: 0.01)
    ) { client in
      // Ten times the rate at once is less than one request: the API is shut, for everybody.
      for bearer in [nil, key] {
        let answer = try await client.send(.get, "/api/v1/status", bearer: bearer)
        #expect(answer.status == 429 && answer.problem == "too-many-requests")
        #expect((answer.headers[.retryAfter].flatMap { Int($0) } ?? 0) > 0)
      }
      for path in [
        "/", "/wall", "/js/api.js", "/app.css", "/api/v1/openapi.yaml", "/healthz", "/readyz",
      ] {
        for bearer in [nil, key] {
          for _ in 0..<20 {
            let answer = try await client.send(.get, path, bearer: bearer)
            #expect(answer.status == 200, "\(path)")
          }
        }
      }
    }
  }

  @Test("a session acts under its account's name, under no other, and ends")
  func session() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    try accounts.add("li.wei", [.operator], Scope(enterprises: ["acme"]))
    let station = try FakeStation()
    let id = station.raise()
    try await test(station, access: .accounts(accounts.service)) { client in
      let wrong = try await client.send(
        .post,
        "/api/v1/session",
        #"{"account":"li.wei","password":"wrong"}"#
      )
      let unknown = try await client.send(
        .post,
        "/api/v1/session",
        #"{"account":"nobody","password":"wrong"}"#
      )
      #expect(wrong.status == 403 && wrong.problem == "wrong-credentials")
      #expect(wrong.text == unknown.text, "who exists is not told")
      let opened = try await client.send(
        .post,
        "/api/v1/session",
        #"{"account":"li.wei","password":"correct horse battery"}"#
      )
      let cookie = opened.headers[.setCookie] ?? ""
      #expect(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "\(cookie)")
      #expect(!cookie.contains("Secure"), "plain HTTP")
      let session = opened.cookie
      let me = try await client.send(.get, "/api/v1/session", cookie: session)
      #expect(me.json["account"] as? String == "li.wei")
      #expect(me.json["open"] as? Bool == false)
      let acts = "/api/v1/alarms/\(id.escaped)/acts"
      let forged = try await client.send(
        .post,
        acts,
        #"{"act":"acknowledge","actor":"chief"}"#,
        cookie: session
      )
      #expect(forged.status == 403 && forged.problem == "actor")
      let blind = try await client.send(
        .post,
        acts,
        #"{"act":"acknowledge"}"#,
        cookie: session,
        origin: nil
      )
      #expect(blind.status == 403 && blind.problem == "no-origin")
      let act = try await client.send(.post, acts, #"{"act":"acknowledge"}"#, cookie: session)
      #expect(act.status == 200, "\(act.text)")
      #expect(station.acts.map(\.actor) == ["li.wei"])
      let left = try await client.send(.delete, "/api/v1/session", cookie: session)
      #expect(left.status == 204)
      let after = try await client.send(.get, "/api/v1/session", cookie: session)
      #expect(after.status == 401)
    }
  }

  @Test("an idempotency key is its caller's own")
  func keysApart() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let one = try accounts.machine("one", [.operator], .everywhere)
    let two = try accounts.machine("two", [.operator], .everywhere)
    let station = try FakeStation()
    let id = station.raise()
    try await test(station, access: .accounts(accounts.service)) { client in
      for (bearer, status) in [(one, 200), (one, 200), (two, 409)] {
        try await client.execute(
          uri: "/api/v1/alarms/\(id.escaped)/acts",
          method: .post,
          headers: [
            .contentType: "application/json", .authorization: "Bearer " + bearer,
            HTTPField.Name("Idempotency-Key")!: "same",
          ],
          body: ByteBuffer(string: #"{"act":"acknowledge"}"#)
        ) { #expect($0.status.code == status) }
      }
    }
  }

  @Test("an administrator makes, reads, changes and closes accounts, each first in the ledger")
  func administration() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    try accounts.add("root", [.administrator], .everywhere)
    let station = try FakeStation()
    try await test(station, access: .accounts(accounts.service)) { client in
      let session = try await client.signIn("root")
      let body =
        #"{"id":"zhang","displayName":"张伟","roles":["operator"],"scope":{"areas":["360702"]}}"#
      station.refuseNextDeskInput(.notYetRecorded(journalSequence: 3))
      let lost = try await client.send(.post, "/api/v1/accounts", body, cookie: session)
      #expect(lost.status == 503)
      #expect(accounts.service.account("zhang") == nil, "not in the ledger: not in force")
      let made = try await client.send(.post, "/api/v1/accounts", body, cookie: session)
      #expect(made.status == 201, "\(made.text)")
      let again = try await client.send(.post, "/api/v1/accounts", body, cookie: session)
      #expect(again.status == 409)
      let tag = try #require(made.headers[.eTag])
      let path = "/api/v1/accounts/zhang"
      let change = #"{"displayName":"张伟","roles":["auditor"],"scope":{"areas":["360700"]}}"#
      let blind = try await client.send(.put, path, change, cookie: session)
      #expect(blind.status == 428)
      let changed = try await client.send(.put, path, change, cookie: session, ifMatch: tag)
      #expect(changed.status == 200, "\(changed.text)")
      let late = try await client.send(.put, path, change, cookie: session, ifMatch: tag)
      #expect(late.status == 412)
      let own = try await client.send(
        .put,
        "/api/v1/accounts/root",
        change,
        cookie: session,
        ifMatch: "\"2\""
      )
      #expect(own.status == 403 && own.problem == "own-account")
      let list = try await client.send(.get, "/api/v1/accounts?limit=1", cookie: session)
      #expect(list.json["next"] as? String == "root")
      let rest = try await client.send(.get, "/api/v1/accounts?after=root", cookie: session)
      #expect(rest.json.list("accounts").map { $0["id"] as? String } == ["zhang"])
      #expect(!rest.text.contains("scrypt"))
      let link = try await client.send(.post, path + "/link", "{}", cookie: session)
      let secret = try #require((link.json["path"] as? String)?.split(separator: "=").last)
      let opened = try await client.send(.post, "/api/v1/session", #"{"link":"\#(secret)"}"#)
      #expect(opened.json["hasPassword"] as? Bool == false)
      for (password, status) in [("short", 422), ("zhang zhang zhang", 422), ("一二三四五六七八九十", 204)] {
        let set = try await client.send(
          .put,
          "/api/v1/session/password",
          #"{"new":"\#(password)"}"#,
          cookie: opened.cookie
        )
        #expect(set.status == status, "\(set.text)")
      }
      _ = try await client.signIn("zhang", "一二三四五六七八九十")
      let foreign = try await client.send(.get, "/api/v1/accounts", cookie: opened.cookie)
      #expect(foreign.status == 403)
    }
    let entries = try station.ledger.entries(after: 0, limit: 100)
    let events = entries.compactMap { entry in
      entry.body.flatMap { try? JSONValue(parsing: $0) }?["event"]?.text
    }
    for event in [
      "account.created", "account.changed", "account.link", "personal-data.read", "sign-in",
      "sign-in.link", "password.set",
    ] {
      #expect(events.contains(event), "\(event) in \(events)")
    }
    let all = entries.compactMap(\.body).map { String(decoding: $0, as: UTF8.self) }.joined()
    #expect(!all.contains("scrypt") && !all.contains("correct horse"))
  }

  @Test("a county's administrator neither sees nor makes what lies outside the county")
  func narrowAdministrator() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let county = Scope(areas: [try #require(AreaCode("360702"))])
    try accounts.add("root", [.administrator], .everywhere)
    try accounts.add("county", [.administrator], county)
    try await test(try FakeStation(), access: .accounts(accounts.service)) { client in
      let session = try await client.signIn("county")
      let list = try await client.send(.get, "/api/v1/accounts", cookie: session)
      #expect(list.json.list("accounts").map { $0["id"] as? String } == ["county"])
      let other = try await client.send(.get, "/api/v1/accounts/root", cookie: session)
      #expect(other.status == 404)
      let wider = try await client.send(
        .post,
        "/api/v1/accounts",
        #"{"id":"spy","displayName":"x","roles":["operator"],"scope":{"everywhere":true}}"#,
        cookie: session
      )
      #expect(wider.status == 403 && wider.problem == "scope")
    }
  }

  @Test("a monitor's key opens metrics and status, and nothing with rows")
  func monitor() async throws {
    let accounts = try TestAccounts()
    defer { try? accounts.remove() }
    let key = try accounts.machine("prometheus", [.monitor], .everywhere)
    let station = try FakeStation()
    station.raise()
    try await test(station, access: .accounts(accounts.service)) { client in
      for (path, status) in [
        ("/metrics", 200), ("/api/v1/status", 200), ("/api/v1/alarms", 403),
        ("/api/v1/entries", 403), ("/api/v1/alarms/stream", 403), ("/api/v1/catalog", 403),
      ] {
        let answer = try await client.send(.get, path, bearer: key)
        #expect(answer.status == status, "\(path)")
      }
    }
  }
}
