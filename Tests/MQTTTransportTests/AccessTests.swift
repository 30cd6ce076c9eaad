import Foundation
import Glibc
import MQTTTransport
import Testing

/// TLS and user names against a real mosquitto.
@Suite(.enabled(if: TestBroker.isInstalled, "mosquitto is not installed"))
struct AccessTests {
  /// Polls until the link has failed once or is up.
  private func outcome(_ options: MQTTOptions) throws -> LinkState {
    let client = try IntakeClient(options: options)
    defer { client.stop() }
    var batch = MessageBatch()
    var state = client.state
    try wait(until: "an outcome") {
      state = client.poll(into: &batch, timeout: .milliseconds(50))
      if case .waiting = state { return true }
      return state.isConnected
    }
    return state
  }

  private func failure(_ state: LinkState) -> String {
    guard case .waiting(let failure, _, _) = state else { return "\(state)" }
    return failure.description
  }

  @Test("TLS with CA and client certificate: messages flow and are acknowledged")
  func tls() throws {
    let broker = try TestBroker.withTLS()
    var options = testOptions(port: broker.port)
    options.tls = broker.tlsOptions
    let client = try IntakeClient(options: options)
    try client.connect()
    let publisher = try PublishClient(options: broker.publisherOptions(tls: true))
    for token in 0..<1_000 as Range<UInt64> {
      let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: token), count: 3_000)
      #expect(
        publisher.publish(Publication(token: token, topic: "t/1", payload: payload)) == .queued
      )
    }
    let batch = try client.receive(1_000)
    #expect(
      batch.indices.allSatisfy { batch.payload(at: $0)[2_999] == UInt8(truncatingIfNeeded: $0) }
    )
    client.acknowledge()
    #expect(publisher.stop() == 0)
    client.stop()
    let again = try IntakeClient(options: options)
    try again.connect()
    #expect(again.isQuiet())
  }

  @Test("TLS that does not agree is an error with its reason")
  func tlsRefused() throws {
    let broker = try TestBroker.withTLS()
    var options = testOptions(port: broker.port)
    options.tls = broker.tlsOptions
    #expect(try outcome(options).isConnected)

    options.tls?.serverName = "elsewhere.test"
    #expect(try failure(outcome(options)).contains("certificate verify failed"))

    options.tls = broker.tlsOptions
    options.tls?.caFile = "\(broker.folder)/other.crt"
    #expect(try failure(outcome(options)).contains("certificate verify failed"))

    options.tls = broker.tlsOptions
    options.tls?.certificateFile = nil
    options.tls?.keyFile = nil
    #expect(try !outcome(options).isConnected)

    options.tls = nil
    let reason = try failure(outcome(options))
    #expect(reason.hasPrefix("127.0.0.1:\(broker.port)") && reason.contains("TLS"), "\(reason)")
  }

  @Test("TLS at a port that knows none is named by place and remedy")
  func plainPort() throws {
    let broker = try TestBroker()
    var options = testOptions(port: broker.port)
    options.tls = TLSOptions()
    #expect(try failure(outcome(options)).hasPrefix("127.0.0.1:\(broker.port) knows no TLS"))
  }

  @Test("TLS files that cannot be used are named before the first attempt")
  func tlsFiles() throws {
    let broker = try TestBroker.withTLS()
    let folder = broker.folder
    let cases: [(String, (inout TLSOptions) -> Void)] = [
      ("\(folder)/none.crt", { $0.caFile = "\(folder)/none.crt" }),
      ("\(folder)/ca.key", { $0.caFile = "\(folder)/ca.key" }),
      ("\(folder)/none", { $0.caPath = "\(folder)/none" }),
      ("\(folder)/none.crt", { $0.certificateFile = "\(folder)/none.crt" }),
      ("does not belong to", { $0.keyFile = "\(folder)/server.key" }),
      ("may be read by everybody: ", { _ in unsafe chmod("\(folder)/client.key", 0o644) }),
      ("not both given", { $0.keyFile = nil }),
    ]
    for (text, change) in cases {
      var tls = broker.tlsOptions
      change(&tls)
      var options = testOptions(port: broker.port)
      options.tls = tls
      let problems = options.problems().map(\.description)
      #expect(problems.count == 1)
      #expect(problems.first?.contains(text.replacing(": ", with: "")) == true, "\(problems)")
    }
  }

  /// A broker that takes user `davy` with password `lamp-1815`, and nobody else.
  private static func guardedBroker() throws -> TestBroker {
    try TestBroker(
      extra: "password_file %folder%/users",
      anonymous: false,
      prepare: { folder in
        try ChildProcess.run(
          "/usr/bin/mosquitto_passwd",
          ["-b", "-c", "\(folder)/users", "davy", "lamp-1815"]
        )
      }
    )
  }

  @Test("user name and password come from file or environment; wrong ones are an error state")
  func password() throws {
    let folder = try TestFolder.make()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let broker = try Self.guardedBroker()
    let file = "\(folder)/password"
    var options = testOptions(port: broker.port)
    for mode in [0o600, 0o640] as [mode_t] {
      try "lamp-1815\n".write(toFile: file, atomically: true, encoding: .utf8)
      unsafe chmod(file, mode)
      options.credentials = MQTTCredentials(userName: .text("davy"), password: .file(file))
      #expect(try outcome(options).isConnected)
    }
    unsafe setenv("DAVY_TEST_USER", "davy", 1)
    unsafe setenv("DAVY_TEST_PASSWORD", "lamp-1815", 1)
    options.credentials = MQTTCredentials(
      userName: .secret(.environment("DAVY_TEST_USER")),
      password: .environment("DAVY_TEST_PASSWORD")
    )
    #expect(try outcome(options).isConnected)

    try "wrong\n".write(toFile: file, atomically: true, encoding: .utf8)
    unsafe chmod(file, 0o600)
    options.credentials = MQTTCredentials(userName: .text("davy"), password: .file(file))
    #expect(try failure(outcome(options)).contains("not authorized"))
    options.credentials = nil
    #expect(try failure(outcome(options)).contains("not authorized"))
  }

  @Test("a password that is corrected counts at the next attempt, without a restart")
  func passwordCorrected() throws {
    let folder = try TestFolder.make()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let file = "\(folder)/password"
    try "wrong".write(toFile: file, atomically: true, encoding: .utf8)
    unsafe chmod(file, 0o600)
    let broker = try Self.guardedBroker()
    var options = testOptions(port: broker.port)
    options.credentials = MQTTCredentials(userName: .text("davy"), password: .file(file))
    let client = try IntakeClient(options: options)
    var batch = MessageBatch()
    try wait(until: "refused") {
      if case .waiting(.refused, _, _) = client.poll(into: &batch, timeout: .milliseconds(50)) {
        true
      } else {
        false
      }
    }
    unsafe unlink(file)
    try wait(until: "the missing file is named") {
      client.poll(into: &batch, timeout: .milliseconds(50)).description.contains(file)
    }
    try "lamp-1815".write(toFile: file, atomically: true, encoding: .utf8)
    unsafe chmod(file, 0o600)
    try client.connect()
  }
}
