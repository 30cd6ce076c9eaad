import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A mail server on a free loopback port that follows a script: what it answers to which command.
final class FakeMailServer: Sendable {
  /// How it behaves.
  struct Script: Sendable {
    /// Answers by the beginning of a command; without one `250 ok`.
    var answers: [String: String] = [:]
    /// What EHLO offers, before and after TLS.
    var abilities: [String] = ["AUTH PLAIN LOGIN"]
    /// Certificate and key, where STARTTLS is offered.
    var tls: (certificate: String, key: String)?
    /// Clear text behind the answer to STARTTLS, as somebody in the middle would put it.
    var injected = ""
    /// True for a server that says nothing at all.
    var isSilent = false
  }

  private let script: Script
  private let state: Mutex<(commands: [String], message: String, secured: Bool)> =
    Mutex(([], "", false))

  init(_ script: Script) { self.script = script }

  var commands: [String] { state.withLock { $0.commands } }
  var message: String { state.withLock { $0.message } }
  var isSecured: Bool { state.withLock { $0.secured } }

  func run<Result: Sendable>(
    _ work: (_ port: Int) async throws -> Result
  ) async throws -> Result {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            Talk(server: self, script: self.script)
          )
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    do {
      let result = try await work(channel.localAddress?.port ?? 0)
      try await channel.close()
      return result
    } catch {
      try await channel.close()
      throw error
    }
  }

  private final class Talk: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let server: FakeMailServer
    private let script: Script
    private var pending = ""
    private var isData = false
    private var isSecured = false
    private var loginSteps = 0

    init(server: FakeMailServer, script: Script) {
      self.server = server
      self.script = script
    }

    func channelActive(context: ChannelHandlerContext) {
      if !script.isSilent { answer("220 fake ESMTP", context) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      guard !script.isSilent else { return }
      pending += String(buffer: unwrapInboundIn(data))
      while true {
        if isData {
          guard let end = pending.range(of: "\r\n.\r\n") else { return }
          let text = String(pending[..<end.lowerBound])
          server.state.withLock { $0.message = text }
          pending = String(pending[end.upperBound...])
          isData = false
          answer(script.answers["."] ?? "250 2.0.0 queued as 42", context)
          continue
        }
        guard let end = pending.range(of: "\r\n") else { return }
        let line = String(pending[..<end.lowerBound])
        pending = String(pending[end.upperBound...])
        take(line, context)
      }
    }

    private func take(_ line: String, _ context: ChannelHandlerContext) {
      server.state.withLock { $0.commands.append(line) }
      if loginSteps > 0 {
        loginSteps -= 1
        answer(loginSteps > 0 ? "334 UGFzc3dvcmQ6" : "235 2.7.0 ok", context)
        return
      }
      if let scripted = script.answers.first(where: { line.hasPrefix($0.key) })?.value {
        answer(scripted, context)
        return
      }
      switch line.split(separator: " ").first {
      case "EHLO":
        var offered = ["fake"] + script.abilities
        if script.tls != nil, !isSecured { offered.append("STARTTLS") }
        for (index, ability) in offered.enumerated() {
          answer((index + 1 < offered.count ? "250-" : "250 ") + ability, context)
        }
      case "STARTTLS":
        answer("220 2.0.0 go ahead" + script.injected, context)
        secure(context)
      case "AUTH" where line == "AUTH LOGIN":
        loginSteps = 2
        answer("334 VXNlcm5hbWU6", context)
      case "AUTH": answer("235 2.7.0 ok", context)
      case "DATA":
        isData = true
        answer("354 go ahead", context)
      default: answer("250 2.1.0 ok", context)
      }
    }

    private func secure(_ context: ChannelHandlerContext) {
      guard let (certificate, key) = script.tls else { return }
      do {
        let configuration = TLSConfiguration.makeServerConfiguration(
          certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map {
            .certificate($0)
          },
          privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        )
        let handler = NIOSSLServerHandler(context: try NIOSSLContext(configuration: configuration))
        try context.pipeline.syncOperations.addHandler(handler, position: .first)
        isSecured = true
        server.state.withLock { $0.secured = true }
      } catch {
        context.fireErrorCaught(error)
      }
    }

    private func answer(_ line: String, _ context: ChannelHandlerContext) {
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: line + "\r\n")), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }
  }
}

/// A certificate of its own for `localhost`, made by openssl.
final class TestCertificate: Sendable {
  let folder: String
  var certificate: String { folder + "/cert.pem" }
  var key: String { folder + "/key.pem" }

  init() throws {
    folder =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-tls-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
      "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
      "subjectAltName=DNS:localhost",
    ]
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw CocoaError(.executableLoad) }
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }
}
