import Foundation
import HazardLedger
import Telemetry
import Testing

import Callout

@Suite("Call-out by mail")
struct MailTests {
  static func server(
    _ port: Int,
    security: MailChannel.Security = .none,
    authorities: String? = nil,
    userName: String? = nil,
    password: SecretFile? = nil,
    timeout: Duration = .seconds(300)
  ) -> MailChannel {
    MailChannel(
      server: MailChannel.Server(
        host: "localhost",
        port: port,
        security: security,
        authorities: authorities,
        userName: userName,
        password: password.map { .file($0.path) },
        from: "davy@example.org",
        timeout: timeout
      )
    )
  }

  static let mail = notice(address: "wang@example.org")

  @Test("a mail is MIME in UTF-8, its subject RFC 2047, its parts readable")
  func message() throws {
    let text = MailMessage(from: "davy@example.org", notice: Self.mail).text
    let (head, body) = try #require(
      text.range(of: "\r\n\r\n").map { (text[..<$0.lowerBound], text[$0.upperBound...]) }
    )
    #expect(head.contains("Subject: =?UTF-8?B?"))
    #expect(head.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000"))
    #expect(head.contains("To: =?UTF-8?B?546L5bel?= <wang@example.org>"))
    #expect(text.split(separator: "\r\n").allSatisfy { $0.utf8.count <= 998 })
    #expect(text.utf8.allSatisfy { $0 < 128 })
    let parts = body.components(separatedBy: "\r\n\r\n").dropFirst().compactMap {
      Data(
        base64Encoded: $0.components(separatedBy: "\r\n--")[0],
        options: .ignoreUnknownCharacters
      ).map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(parts.first?.contains("储罐区 甲烷 51.2 %LEL \"HH\"") == true)
    #expect(parts.last?.contains("<br>请立即到场") == true)
  }

  @Test(
    "what would break out of a header or an address does not",
    arguments: [
      "a@b\r\nBcc: x@y", "a b@c", "a@b@c", "a", "<a@b>", "",
    ]
  )
  func addresses(text: String) async throws {
    #expect(!MailMessage.isAddress(text))
    let outcome = await Self.server(1).send(notice(address: text))
    guard case .refused = outcome else {
      Issue.record("\(outcome)")
      return
    }
    var sneaky = Self.mail
    sneaky.title.zh = "x\r\nBcc: evil@example.org"
    #expect(!MailMessage(from: "davy@example.org", notice: sneaky).text.contains("\r\nBcc"))
  }

  @Test("plain, AUTH PLAIN, AUTH LOGIN; a dot at the beginning of a line arrives as one")
  func delivery() async throws {
    let password = try SecretFile("geheim\n")
    for (abilities, expected) in [
      ("AUTH PLAIN LOGIN", ["AUTH PLAIN AGRhdnkAZ2VoZWlt"]),
      ("AUTH LOGIN", ["AUTH LOGIN", "ZGF2eQ==", "Z2VoZWlt"]),
    ] {
      let server = FakeMailServer(.init(abilities: [abilities]))
      let outcome = try await server.run { port in
        await Self.server(port, userName: "davy", password: password).send(Self.mail)
      }
      #expect(outcome == .delivered("250 2.0.0 queued as 42"))
      #expect(
        server.commands
          == ["EHLO davy"] + expected + [
            "MAIL FROM:<davy@example.org>", "RCPT TO:<wang@example.org>", "DATA", "QUIT",
          ]
          || server.commands == ["EHLO davy"] + expected + [
            "MAIL FROM:<davy@example.org>", "RCPT TO:<wang@example.org>", "DATA",
          ]
      )
      #expect(server.message.contains("Auto-Submitted: auto-generated"))
    }
    var message = MailMessage(from: "davy@example.org", notice: Self.mail)
    message.fromName = ".x"
    #expect(!message.data.dropLast(5).contains("\r\n.\r\n"))
  }

  @Test("STARTTLS: secured before anything else is said, the certificate held against the name")
  func startTLS() async throws {
    let certificate = try TestCertificate()
    let script = FakeMailServer.Script(tls: (certificate.certificate, certificate.key))
    let server = FakeMailServer(script)
    let outcome = try await server.run { port in
      await Self.server(port, security: .starttls, authorities: certificate.certificate)
        .send(Self.mail)
    }
    #expect(outcome == .delivered("250 2.0.0 queued as 42"))
    #expect(server.isSecured)
    #expect(Array(server.commands.prefix(3)) == ["EHLO davy", "STARTTLS", "EHLO davy"])
    // Nobody vouches for it: nothing is sent.
    let stranger = FakeMailServer(script)
    let refused = try await stranger.run { port in
      await Self.server(port, security: .starttls).send(Self.mail)
    }
    guard case .unavailable = refused else {
      Issue.record("\(refused)")
      return
    }
    #expect(!stranger.commands.contains { $0.hasPrefix("MAIL") })
  }

  @Test("no STARTTLS, no delivery; clear text slipped in behind it, no delivery")
  func downgrade() async throws {
    let plain = FakeMailServer(.init())
    let outcome = try await plain.run { port in
      await Self.server(port, security: .starttls).send(Self.mail)
    }
    guard case .refused(let words) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(words.contains("STARTTLS"))
    #expect(plain.commands == ["EHLO davy"])
    let certificate = try TestCertificate()
    let injecting = FakeMailServer(
      .init(
        tls: (certificate.certificate, certificate.key),
        injected: "\r\n250-fake\r\n250 AUTH PLAIN"
      )
    )
    let cut = try await injecting.run { port in
      await Self.server(port, security: .starttls, authorities: certificate.certificate)
        .send(Self.mail)
    }
    guard case .unavailable = cut else {
      Issue.record("\(cut)")
      return
    }
    #expect(!injecting.commands.contains { $0.hasPrefix("MAIL") })
  }

  @Test(
    "4yz is worth another try, 5yz is not",
    arguments: [
      ("RCPT", "450 4.2.1 mailbox busy", true), ("RCPT", "550 5.1.1 no such user", false),
      ("MAIL", "452 4.3.1 insufficient storage", true), ("MAIL", "553 5.1.8 sender refused", false),
      (".", "421 4.7.0 too many messages", true), (".", "554 5.7.1 spam", false),
      ("AUTH", "535 5.7.8 bad credentials", false), ("AUTH", "454 4.7.0 try later", true),
      ("EHLO", "421 4.3.2 shutting down", true),
    ]
  )
  func replies(command: String, reply: String, isTransient: Bool) async throws {
    let password = try SecretFile("geheim")
    let server = FakeMailServer(.init(answers: [command: reply]))
    let outcome = try await server.run { port in
      await Self.server(port, userName: "davy", password: password).send(Self.mail)
    }
    let words: String
    switch outcome {
    case .unavailable(let text, _) where isTransient: words = text
    case .refused(let text) where !isTransient: words = text
    default:
      Issue.record("\(command) \(reply): \(outcome)")
      return
    }
    #expect(words.hasPrefix(String(reply.prefix(3))))
    #expect(!words.contains("Z2VoZWlt"), "a password must not get into a log")
  }

  @Test("a server that says nothing is given up in time; one that is not there at once")
  func silence() async throws {
    let silent = FakeMailServer(.init(isSilent: true))
    let outcome = try await silent.run { port in
      await Self.server(port, timeout: .milliseconds(200)).send(Self.mail)
    }
    guard case .unavailable = outcome else {
      Issue.record("\(outcome)")
      return
    }
    guard case .unavailable = await Self.server(1).send(Self.mail) else {
      Issue.record("nobody listens on port 1")
      return
    }
  }
}
