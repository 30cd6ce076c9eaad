import HTTPTestSupport
import HazardLedger
import Synchronization
import Testing

import Callout

/// Calls are made to the address that was judged, and to no other.
@Suite("Call guard") struct CallGuardTests {
  private static func webhook(_ url: String, _ sender: HTTPSender) -> WebhookChannel {
    WebhookChannel(url: url, secret: nil, sender: sender, clock: { 1_700_000_000_000 })
  }

  @Test("a name goes to the address that the guard was shown, with the name in the request")
  func pinned() async throws {
    let server = AnsweringServer([ServerAnswer(status: 200, body: "{}")])
    let judged = Mutex<[String]>([])
    try await server.run { address in
      let port = address.split(separator: ":").last.map(String.init) ?? ""
      try await withSender { sender in
        // No look-up but the guard's own knows this name; a second one would find nothing.
        let guarded = sender.guarded(
          by: CallGuard({ host, address in
            judged.withLock { $0.append("\(host) \(address)") }
            return nil
          }) { _ in "127.0.0.1" }
        )
        let outcome = await Self.webhook("http://sms.invalid:\(port)/x", guarded).send(notice())
        #expect(outcome == .delivered("HTTP 200"), "\(outcome)")
        // The same client without the guard is not touched by it.
        let plain = await Self.webhook("http://127.0.0.1:\(port)/y", sender).send(notice())
        #expect(plain == .delivered("HTTP 200"), "\(plain)")
      }
    }
    #expect(judged.withLock { $0 } == ["sms.invalid 127.0.0.1"])
    #expect(server.seen.map(\.path) == ["/x", "/y"])
  }

  @Test("an address that may not be called is a refusal, and nothing is sent")
  func refused() async throws {
    let server = AnsweringServer([ServerAnswer(status: 200, body: "secret")])
    try await server.run { address in
      let port = Int(address.split(separator: ":").last ?? "") ?? 0
      let closed = CallGuard { host, address in "\(host) is \(address): not there" }
      try await withSender { sender in
        for host in ["127.0.0.1", "127.1", "0x7f000001"] {
          let outcome = await Self.webhook(
            "http://\(host):\(port)/",
            sender.guarded(by: closed)
          ).send(notice())
          #expect(outcome == .refused("\(host) is 127.0.0.1: not there"), "\(outcome)")
        }
      }
      let mail = MailChannel(
        server: MailChannel.Server(host: "127.0.0.1", port: port, security: .none, from: "a@b.org"),
        callGuard: closed
      )
      let outcome = await mail.send(notice(address: "wang@example.org"))
      #expect(outcome == .refused("127.0.0.1 is 127.0.0.1: not there"), "\(outcome)")
    }
    #expect(server.seen.isEmpty)
  }

  @Test("a name that cannot be looked up now is tried again")
  func unknown() async throws {
    struct Unknown: Error {}
    try await withSender { sender in
      let guarded = sender.guarded(by: CallGuard({ _, _ in nil }) { _ in throw Unknown() })
      let outcome = await Self.webhook("http://sms.invalid/", guarded).send(notice())
      guard case .unavailable(let detail, _) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(detail.contains("sms.invalid"))
    }
  }
}
