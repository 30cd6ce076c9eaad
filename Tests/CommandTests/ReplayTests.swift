import ArgumentParser
import DavyCommands
import Foundation
import Glibc
import HazardLedger
import Journal
import MQTTTransport
import NIOCore
import Synchronization
import Testing

@Suite("Publishing a recording") struct ReplayTests {
  @Test("a message goes out as it came, with its receive time, and asks for no answer")
  func faithful() throws {
    let input = JournalInput(
      received: 1_795_451_234_567,
      topic: Array("a/b".utf8),
      payload: [1, 2, 3],
      qos: 0,
      retain: true,
      properties: [
        ("site", "north"), ("davy-response-topic", "a/answer"), ("davy-correlation", "AQ=="),
        ("davy-received", "5"), ("site", "again"),
      ]
    )
    guard case .publication(let publication) = ReplayedMessage(input) else {
      Issue.record("not published")
      return
    }
    #expect(publication.topic == "a/b" && publication.payload == [1, 2, 3])
    #expect(publication.qos == .atMostOnce && publication.retain)
    #expect(publication.responseTopic.isEmpty && publication.correlation.isEmpty)
    #expect(
      publication.userProperties.map { "\($0.0)=\($0.1)" }
        == ["site=north", "site=again", "davy-received=1795451234567"]
    )
  }

  @Test("the beginning of a message is not sent as if it were the message")
  func cut() {
    let cut = JournalInput(
      received: 1,
      topic: Array("a".utf8),
      payload: [1],
      properties: [("davy-cut-from", "99999999")]
    )
    guard case .cut = ReplayedMessage(cut) else {
      Issue.record("published")
      return
    }
    guard case .unnamed = ReplayedMessage(JournalInput(received: 1, topic: [0xFF])) else {
      Issue.record("published")
      return
    }
  }

  @Test("whatever did not reach the broker is counted, and makes the command fail")
  func missing() {
    var tally = ReplayPublisher.Tally()
    tally.sent = 7
    #expect(tally.missing == 0 && tally.complaints.isEmpty)
    #expect(tally.summary == "published 7 of 7 messages, 0 not")
    for (part, words) in [
      (\ReplayPublisher.Tally.cut, "size limit"), (\.unnamed, "UTF-8"), (\.refused, "remedy:"),
    ] as [(WritableKeyPath<ReplayPublisher.Tally, Int>, String)] {
      var tally = tally
      tally[keyPath: part] = 2
      #expect(tally.missing == 2)
      #expect(tally.complaints.joined().contains(words))
      #expect(tally.summary.hasSuffix(" 2 not"))
    }
  }

  private static let mosquitto = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  @Test(
    "the command ends with 1 where a message was left out, and with 0 where none was",
    .enabled(if: mosquitto != nil, "mosquitto is not installed"),
    arguments: [true, false]
  )
  func exitCode(isWhole: Bool) async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let writer = try RecordingWriter(directory: folder.path + "/recording")
    try writer.append(JournalInput(received: 1, topic: Array("a".utf8), payload: [1], qos: 1))
    try writer.append(
      JournalInput(
        received: 2,
        topic: Array("a".utf8),
        payload: [1],
        qos: 1,
        properties: isWhole ? [] : [("davy-cut-from", "99999999")]
      )
    )
    try writer.finish()
    let port = Int.random(in: 20_000..<30_000)
    let broker = Process()
    broker.executableURL = URL(fileURLWithPath: try #require(Self.mosquitto))
    broker.arguments = ["-p", "\(port)"]
    broker.standardOutput = FileHandle.nullDevice
    broker.standardError = FileHandle.nullDevice
    try broker.run()
    // Foundation hands the blocked signals of this thread on: SIGTERM would not reach it.
    defer { kill(broker.processIdentifier, SIGKILL) }
    var command = try #require(
      try Davy.parseAsRoot([
        "replay", folder.path + "/recording", "--publish", "127.0.0.1:\(port)", "--speed", "max",
      ]) as? any AsyncParsableCommand
    )
    do {
      try await command.run()
      #expect(isWhole)
    } catch let code as ExitCode {
      #expect(!isWhole && code == ExitCode(1))
    }
  }

  @Test("a broker that is not there ends the command, with place, reason and remedy")
  func noBroker() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let writer = try RecordingWriter(directory: folder.path + "/recording")
    try writer.append(JournalInput(received: 1, topic: Array("a".utf8)))
    try writer.finish()
    let publisher = try ReplayPublisher(
      recording: try Recording(path: folder.path + "/recording"),
      options: MQTTOptions(host: "127.0.0.1", port: 1, clientID: "davy-replay-test"),
      speed: nil,
      patience: .milliseconds(500)
    )
    do {
      _ = try await publisher.run()
      Issue.record("published to nobody")
    } catch let error as NoBrokerError {
      #expect(error.description.contains("127.0.0.1:1: no connection"))
      #expect(error.description.contains("remedy:"))
    }
  }

  @Test("a broker without MQTT 5, where the receive time would be lost, is not published to")
  func oldBroker() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let writer = try RecordingWriter(directory: folder.path + "/recording")
    try writer.append(JournalInput(received: 1, topic: Array("a".utf8)))
    try writer.finish()
    let broker = try OldBroker()
    let publisher = try ReplayPublisher(
      recording: try Recording(path: folder.path + "/recording"),
      options: MQTTOptions(host: "127.0.0.1", port: broker.port, clientID: "davy-replay-test"),
      speed: nil,
      patience: .seconds(1)
    )
    do {
      _ = try await publisher.run()
      Issue.record("published without the receive time")
    } catch let error as NoBrokerError {
      #expect(error.description.contains("use a broker that speaks MQTT 5"), "\(error)")
    }
    #expect(Set(broker.asked) == [5])
  }

  @Test("a recording that cannot be read as a whole is replayed as far as it can, and ends with 1")
  func damaged() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let path = folder.path + "/journal"
    let journal = try SegmentJournal(directory: path)
    for sequence in 1...3 as ClosedRange<UInt64> {
      if sequence > 1 { try journal.rotate() }
      let input = JournalInput(received: Int64(sequence), topic: Array("a".utf8), payload: [1])
      try journal.append([input], firstSequence: sequence)
    }
    let middle = journal.segments[1].path
    try journal.close()
    let rules =
      URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
      + "/config/service.yaml"
    try await davy("replay", path, "--rules", rules)
    try Data(repeating: 7, count: 8_192).write(to: URL(fileURLWithPath: middle))
    await #expect(throws: ExitCode(1)) { try await davy("replay", path, "--rules", rules) }
  }

  @Test("a replay is of the station whose ledger lies beside the journal, with the same head")
  func station() async throws {
    let folder = try Folder()
    defer { folder.remove() }
    let journal = try SegmentJournal(directory: folder.path + "/journal")
    try journal.append([JournalInput(kind: .tick, received: 1)], firstSequence: 1)
    try journal.close()
    let files = ["alone", "beside", "named"].map { folder.path + "/\($0).sqlite" }
    try await davy("replay", folder.path + "/journal", "--ledger", files[0])
    #expect(try LedgerGlance(path: files[0]).station == "replay")
    let live = try SQLiteLedger(path: folder.path + "/ledger.sqlite", station: "north")
    try live.append([], position: 1)
    try await davy("replay", folder.path + "/journal/", "--ledger", files[1])
    let replayed = try SQLiteLedger(path: files[1], station: "north")
    #expect(try replayed.head == live.head)
    try await davy("replay", folder.path + "/journal", "--station", "south", "--ledger", files[2])
    #expect(try LedgerGlance(path: files[2]).station == "south")
  }

  @Test(
    "what would be passed over in silence is refused",
    arguments: [
      (["--speed", "60"], "--speed needs --publish"), (["--user", "u"], "--user needs --publish"),
      (["--publish", "h:1", "--kpis"], "--kpis has no meaning"),
      (["--publish", "h:1", "--rules", "s.yaml"], "--rules has no meaning"),
      (["--publish", "h:1", "--speed", "0"], "neither a number above 0"),
      (["--publish", "h:1", "--password-file", "p"], "--user"),
      (
        ["--publish", "h:1", "--user", "u", "--password-file", "p", "--password-environment", "P"],
        "--password-file or by"
      ),
    ] as [([String], String)]
  )
  func usage(arguments: [String], expected: String) {
    do {
      _ = try Davy.parseAsRoot(["replay", "recording"] + arguments)
      Issue.record("\(arguments) passes")
    } catch {
      let text = Davy.message(for: error)
      #expect(text.contains(expected), "\(text)")
    }
  }
}

/// A broker that knows no MQTT 5, and says so as MQTT 3.1.1 does; other versions it does not answer.
private final class OldBroker: Sendable {
  let port: UInt16
  private let versions = Mutex<[UInt8]>([])
  private let listener: Int32

  init() throws {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe bind(socket, address, length) == 0 && listen(socket, 16) == 0
          && getsockname(socket, address, &length) == 0
      }
    }
    try #require(isBound)
    listener = socket
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [weak self] in
      while true {
        let connection = Glibc.accept(socket, nil, nil)
        guard connection >= 0 else { break }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = unsafe recv(connection, &bytes, bytes.count, 0)
        // Behind the fixed header and the protocol's name.
        if count > 8 {
          let version = bytes[8]
          self?.note(version)
          let refusal: [UInt8] = [0x20, 2, 0, 1]
          if version == 5 {
            _ = unsafe send(connection, refusal, refusal.count, Int32(MSG_NOSIGNAL))
          }
        }
        close(connection)
      }
      close(socket)
    }
  }

  deinit { shutdown(listener, Int32(SHUT_RDWR)) }

  private func note(_ version: UInt8) { versions.withLock { $0.append(version) } }

  /// The protocol versions that were asked for.
  var asked: [UInt8] { versions.withLock { $0 } }
}

@Suite("Listening") struct ListeningTests {
  @Test("an address that cannot be had is named with key and remedy")
  func faults() throws {
    func fault(_ number: Int32) -> String? {
      ListeningFault(IOError(errnoCode: number, reason: "bind"), host: "127.0.0.1", port: 8_443)?
        .description
    }
    let taken = try #require(fault(EADDRINUSE))
    #expect(taken.contains("127.0.0.1:8443"))
    #expect(taken.contains("http.port") && taken.contains("占用"))
    #expect(fault(EADDRNOTAVAIL)?.contains("http.host") == true)
    #expect(fault(EACCES)?.contains("http.port") == true)
    #expect(fault(EPIPE) == nil)
  }
}
