import Foundation
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// Why a mail did not go.
enum SMTPError: Error, Hashable {
  /// The server's answer to a command.
  case reply(command: String, code: Int, text: String)
  /// The server offers no STARTTLS, or no way to log in that we know.
  case missing(String)
  /// The connection ended or took too long.
  case cutOff(String)

  var outcome: DeliveryOutcome {
    switch self {
    case .reply(let command, let code, let text):
      let words = "\(code) to \(command): \(text)"
      // RFC 5321 4.2.1: 4yz is worth another try, 5yz is not.
      return (400..<500).contains(code)
        ? .unavailable(words, retryAfter: .seconds(60)) : .refused(words)
    case .missing(let what): return .refused(what)
    case .cutOff(let why): return .unavailable(why, retryAfter: nil)
    }
  }
}

/// One delivery over one connection (RFC 5321, 3207, 4954).
struct SMTPClient {
  var server: MailChannel.Server
  var password: String?

  func send(_ message: MailMessage) async throws -> DeliveryOutcome {
    let channel = try await connect()
    // Whatever hangs, hangs no longer than this.
    let limit = channel.channel.eventLoop.scheduleTask(in: server.timeout.nio) {
      channel.channel.close(promise: nil)
    }
    defer { limit.cancel() }
    do {
      return try await talk(message, over: channel)
    } catch ChannelError.ioOnClosedChannel {
      // A command met the end of the connection; only the limit above or the server ends it.
      throw SMTPError.cutOff("the connection ended or its \(server.timeout) ran out")
    }
  }

  private func talk(
    _ message: MailMessage,
    over channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
  ) async throws -> DeliveryOutcome {
    try await channel.executeThenClose { inbound, outbound in
      var session = SMTPSession(replies: inbound.makeAsyncIterator(), outbound: outbound)
      try await session.expect("the connection", 220)
      var abilities = try await session.hello()
      if server.security == .starttls {
        guard abilities["STARTTLS"] != nil else {
          throw SMTPError.missing(
            "the server offers no STARTTLS; set security: none for a local relay"
          )
        }
        try await session.command("STARTTLS", expecting: 220)
        // What came in clear text behind the answer could be anybody's (RFC 3207 section 6).
        try session.forgetClearText()
        let lower = channel.channel
        try await lower.eventLoop.submit {
          try lower.pipeline.syncOperations.addHandler(try tlsHandler(), position: .first)
        }.get()
        abilities = try await session.hello()
      }
      if let userName = server.userName {
        try await logIn(&session, userName, abilities["AUTH"] ?? "")
      }
      return try await transfer(message, &session)
    }
  }

  private func transfer(
    _ message: MailMessage,
    _ session: inout SMTPSession
  ) async throws -> DeliveryOutcome {
    try await session.command("MAIL FROM:<\(server.from)>", expecting: 250)
    for recipient in message.notice.recipients {
      try await session.command("RCPT TO:<\(recipient.address)>", expecting: 250, 251, 252)
    }
    try await session.command("DATA", expecting: 354)
    let taken = try await session.command(message.data, expecting: 250, named: "the message")
    // The mail is the server's now; an answer to QUIT would change nothing.
    try? await session.write("QUIT\r\n")
    return .delivered(taken)
  }

  private func logIn(
    _ session: inout SMTPSession,
    _ userName: String,
    _ mechanisms: String
  ) async throws {
    let known = mechanisms.uppercased().split(separator: " ")
    func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
    if known.contains("PLAIN") {
      let line = "AUTH PLAIN " + encoded("\0\(userName)\0\(password ?? "")")
      try await session.command(line, expecting: 235, named: "AUTH PLAIN")
    } else if known.contains("LOGIN") {
      try await session.command("AUTH LOGIN", expecting: 334)
      try await session.command(encoded(userName), expecting: 334, named: "the user name")
      try await session.command(encoded(password ?? ""), expecting: 235, named: "the password")
    } else {
      throw SMTPError.missing("the server offers neither AUTH PLAIN nor AUTH LOGIN (\(mechanisms))")
    }
  }

  private func connect() async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
    try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.seconds(10))
      .connect(host: server.host, port: server.port) { channel in
        channel.eventLoop.makeCompletedFuture {
          if server.security == .tls {
            try channel.pipeline.syncOperations.addHandler(try tlsHandler())
          }
          return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
  }

  private func tlsHandler() throws -> NIOSSLClientHandler {
    var tls = TLSConfiguration.makeClientConfiguration()
    if let authorities = server.authorities { tls.additionalTrustRoots = [.file(authorities)] }
    let context = try NIOSSLContext(configuration: tls)
    // A name is checked against the certificate; an address cannot be sent as a name (RFC 6066).
    let name = server.host.allSatisfy { $0.isNumber || $0 == "." || $0 == ":" } ? nil : server.host
    return try NIOSSLClientHandler(context: context, serverHostname: name)
  }
}

/// The talk over one connection.
private struct SMTPSession {
  var replies: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
  let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  private var pending = ByteBuffer()

  init(
    replies: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
    outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  ) {
    self.replies = replies
    self.outbound = outbound
  }

  private static let replyLimit = 64 << 10

  func write(_ text: String) async throws {
    try await outbound.write(ByteBuffer(string: text))
  }

  /// EHLO; the server's abilities with their parameters.
  mutating func hello() async throws -> [String: String] {
    try await write("EHLO davy\r\n")
    let reply = try await reply(to: "EHLO")
    guard reply.code == 250 else {
      throw SMTPError.reply(
        command: "EHLO",
        code: reply.code,
        text: reply.lines.joined(separator: " ")
      )
    }
    var abilities: [String: String] = [:]
    for line in reply.lines.dropFirst() {
      let parts = line.split(separator: " ", maxSplits: 1)
      guard let name = parts.first else { continue }
      abilities[name.uppercased()] = parts.count > 1 ? String(parts[1]) : ""
    }
    return abilities
  }

  /// Sends a line and reads the answer; its text.
  @discardableResult
  mutating func command(
    _ line: String,
    expecting codes: Int...,
    named name: String? = nil
  ) async throws -> String {
    try await write(line.hasSuffix("\r\n") ? line : line + "\r\n")
    return try await expect(name ?? line, codes)
  }

  mutating func expect(_ command: String, _ code: Int) async throws {
    try await expect(command, [code])
  }

  @discardableResult
  private mutating func expect(_ command: String, _ codes: [Int]) async throws -> String {
    let reply = try await reply(to: command)
    let text = reply.lines.joined(separator: " ")
    guard codes.contains(reply.code) else {
      throw SMTPError.reply(command: command, code: reply.code, text: text)
    }
    return "\(reply.code) \(text)"
  }

  mutating func forgetClearText() throws {
    guard pending.readableBytes == 0 else {
      throw SMTPError.cutOff("the server sent clear text behind its answer to STARTTLS")
    }
  }

  /// A whole answer, its lines without code.
  private mutating func reply(to command: String) async throws -> (code: Int, lines: [String]) {
    var lines: [String] = []
    while true {
      guard let line = try await line() else {
        throw SMTPError.cutOff(
          "no answer to \(command) before the connection ended or time ran out"
        )
      }
      guard let code = Int(line.prefix(3)), line.utf8.count >= 3 else {
        throw SMTPError.cutOff("not an answer of SMTP: \(line.prefix(80))")
      }
      lines.append(String(line.dropFirst(4)))
      if line.dropFirst(3).first != "-" { return (code, lines) }
    }
  }

  private mutating func line() async throws -> String? {
    while true {
      let view = pending.readableBytesView
      if let end = view.firstIndex(of: UInt8(ascii: "\n")) {
        let text = pending.readString(length: end - view.startIndex + 1) ?? ""
        return text.trimmingCharacters(in: .newlines)
      }
      guard pending.readableBytes < Self.replyLimit else {
        throw SMTPError.cutOff("an answer without end")
      }
      guard var more = try await replies.next(isolation: #isolation) else { return nil }
      pending.writeBuffer(&more)
    }
  }
}

extension Duration {
  fileprivate var nio: TimeAmount {
    .nanoseconds(components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
  }
}
