import Console
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Station
import Telemetry
import Testing

@Suite("Acts") struct ActTests {
  @Test("an act answers with its place in the ledger")
  func acknowledge() async throws {
    let station = try FakeStation()
    let id = station.raise()
    try await test(station) { client in
      let answer = try await client.act(
        id,
        #"{"act":"acknowledge","actor":"王伟","reason":"现场已确认"}"#
      )
      #expect(answer["ledgerSequence"] as? Int == 2)
      let alarm = try await client.json("/api/v1/alarms/" + id.escaped)
      #expect(alarm["state"] as? String == "acknowledged")
      #expect(alarm["acknowledgedBy"] as? String == "王伟")
      #expect(alarm["acknowledgedReason"] as? String == "现场已确认")
    }
  }

  @Test("shelving ends within the limit, and keeps its end")
  func shelve() async throws {
    let station = try FakeStation()
    let id = station.raise()
    let end = Int64(Date().timeIntervalSince1970 * 1_000) + 1_800_000
    try await test(station) { client in
      for (until, kind) in [
        ("", "incomplete"), (#","until":1"#, "shelving-limit"),
        (#","until":\#(end + 30 * 3_600_000)"#, "shelving-limit"),
      ] {
        try await client.refusedAct(
          id,
          #"{"act":"shelve","actor":"a","reason":"b"\#(until)}"#,
          422,
          kind
        )
      }
      try await client.act(id, #"{"act":"shelve","actor":"a","reason":"标校","until":\#(end)}"#)
      #expect(station.acts.map(\.until) == [Timestamp(milliseconds: end)])
    }
  }

  @Test(
    "acts that say too little, too much or nothing are refused before they reach the station",
    arguments: [
      (#"{"act":"acknowledge"}"#, 400, "malformed"), ("", 400, "malformed"),
      ("[1]", 400, "malformed"), (#"{"act":7,"actor":"a"}"#, 400, "malformed"),
      (#"{"act":"applaud","actor":"a"}"#, 422, "unknown-act"),
      (#"{"act":"acknowledge","actor":"  "}"#, 422, "incomplete"),
      (#"{"act":"removeFromService","actor":"a"}"#, 422, "incomplete"),
      (#"{"act":"acknowledge","actor":"a","until":5}"#, 422, "not-applicable"),
      (#"{"act":"acknowledge","actor":"a\u0000b"}"#, 422, "control-characters"),
      (#"{"act":"acknowledge","actor":"\#(String(repeating: "王", count: 65))"}"#, 422, "too-long"),
      (String(repeating: " ", count: 20_000), 413, "too-large"),
    ]
  )
  func refused(body: String, status: Int, kind: String) async throws {
    let station = try FakeStation()
    let id = station.raise()
    try await test(station) { client in
      try await client.refusedAct(id, body, status, kind)
    }
    #expect(station.acts.isEmpty)
  }

  @Test(
    "what the station answers becomes a status and a word",
    arguments: [
      (ActError.unknownAlarm("x"), 404, "unknown-alarm"),
      (.notApplicable("x"), 409, "not-applicable"), (.incomplete("x"), 422, "incomplete"),
      (.notYetRecorded(journalSequence: 77), 503, "not-yet-recorded"), (.busy, 503, "busy"),
    ]
  )
  func stationErrors(error: ActError, status: Int, kind: String) async throws {
    let station = try FakeStation()
    let id = station.raise()
    station.refuseNextAct(error)
    try await test(station) { client in
      let problem = try await client.refusedAct(
        id,
        #"{"act":"acknowledge","actor":"a"}"#,
        status,
        kind
      )
      switch error {
      case .unknownAlarm, .notApplicable: #expect(problem["detail"] as? String == error.text)
      case .incomplete, .notYetRecorded, .busy, .refused: break
      }
      if case .notYetRecorded = error {
        #expect(problem["journalSequence"] as? Int == 77)
      }
    }
  }

  @Test("the same key acts once, another request may not use it, and a refused act frees it")
  func idempotency() async throws {
    let station = try FakeStation()
    let id = station.raise()
    let body = #"{"act":"acknowledge","actor":"a"}"#
    try await test(station) { client in
      station.refuseNextAct(.busy)
      try await client.refusedAct(id, body, 503, "busy", key: "k1")
      let first = try await client.act(id, body, key: "k1")
      let second = try await client.act(id, body, key: "k1")
      #expect(first["ledgerSequence"] as? Int == second["ledgerSequence"] as? Int)
      #expect(station.acts.count == 2)
      try await client.refusedAct(
        id,
        #"{"act":"acknowledge","actor":"b"}"#,
        422,
        "key-reused",
        key: "k1"
      )
      try await client.refusedAct(id, body, 409, "not-applicable", key: "k2")
    }
  }

  @Test("forms of other pages, which need no preflight, are not acts")
  func mediaType() async throws {
    let station = try FakeStation()
    let id = station.raise()
    try await test(station) { client in
      for type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        try await client.execute(
          uri: "/api/v1/alarms/\(id.escaped)/acts",
          method: .post,
          headers: [.contentType: type],
          body: ByteBuffer(string: #"{"act":"acknowledge","actor":"a"}"#)
        ) { #expect($0.status == .unsupportedMediaType) }
      }
    }
    #expect(station.acts.isEmpty)
  }

  @Test("the store of answers is bounded, oldest first out")
  func storeLimit() {
    let store = IdempotencyStore(limit: 2)
    #expect(store.claim("a", fingerprint: [1]) == .new)
    #expect(store.claim("a", fingerprint: [1]) == .inProgress)
    store.complete("a", answer: [9])
    #expect(store.claim("a", fingerprint: [1]) == .answered([9]))
    #expect(store.claim("a", fingerprint: [2]) == .otherRequest)
    #expect(store.claim("b", fingerprint: [1]) == .new)
    #expect(store.claim("c", fingerprint: [1]) == .new)
    #expect(store.claim("a", fingerprint: [1]) == .new)
  }
}
