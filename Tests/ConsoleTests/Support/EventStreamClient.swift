import NIOCore
import NIOPosix

/// One server-sent event as a client sees it.
struct ServerEvent: Equatable, Sendable {
  var name = "message"
  var id: String?
  var data = ""

  /// The ledger sequence in its id.
  var sequence: Int64? {
    id?.split(separator: "-").first.flatMap { Int64($0) }
  }
}

/// A bare HTTP/1.1 connection that reads an event stream as it comes.
struct EventStreamClient: Sendable {
  /// What came back before the events.
  struct Head: Sendable {
    var status: Int
    var lines: [String]
  }

  var port: Int
  var host = "127.0.0.1"

  /// Requests `path` and hands every event to `body` until that says it has enough, or the stream ends.
  ///
  /// The connection is then dropped without ceremony, as a browser's would be.
  func read(
    _ path: String,
    headers: [String] = [],
    until body: @Sendable (ServerEvent) async throws -> Bool
  ) async throws -> Head {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      let request =
        (["GET \(path) HTTP/1.1", "Host: \(host):\(port)", "Accept: text/event-stream"] + headers)
        .joined(separator: "\r\n") + "\r\n\r\n"
      try await outbound.write(ByteBuffer(string: request))
      var parser = EventStreamParser()
      for try await buffer in inbound {
        for event in parser.take(Array(buffer.readableBytesView)) {
          if try await body(event) { return parser.head }
        }
        if parser.isFinished { break }
      }
      return parser.head
    }
  }
}

extension EventStreamClient {
  /// A plain answer, whole, with its head.
  func text(of path: String) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      let request = "GET \(path) HTTP/1.1\r\nHost: \(host):\(port)\r\nConnection: close\r\n\r\n"
      try await outbound.write(ByteBuffer(string: request))
      var whole = ByteBuffer()
      for try await part in inbound { whole.writeImmutableBuffer(part) }
      return String(buffer: whole)
    }
  }
}

/// Takes a chunked response apart into events.
struct EventStreamParser {
  private(set) var head = EventStreamClient.Head(status: 0, lines: [])
  private(set) var isFinished = false
  private var pending: [UInt8] = []
  private var text: [UInt8] = []
  private var event = ServerEvent()
  private var hasHead = false

  /// Takes bytes in; returns the events that they complete.
  mutating func take(_ bytes: [UInt8]) -> [ServerEvent] {
    pending += bytes
    if !hasHead {
      guard let end = find([13, 10, 13, 10], in: pending) else { return [] }
      let lines = String(decoding: pending[..<end], as: UTF8.self).components("\r\n")
      head.lines = lines
      head.status = Int(lines.first?.split(separator: " ").dropFirst().first ?? "") ?? 0
      pending.removeFirst(end + 4)
      hasHead = true
      // Only a stream is chunked; of anything else the head is all that is asked for.
      isFinished = !lines.contains { $0.lowercased() == "transfer-encoding: chunked" }
    }
    while let lineEnd = find([13, 10], in: pending) {
      let size = Int(String(decoding: pending[..<lineEnd], as: UTF8.self), radix: 16) ?? -1
      if size <= 0 {
        isFinished = true
        break
      }
      guard size > 0, pending.count >= lineEnd + 2 + size + 2 else { break }
      text += pending[(lineEnd + 2)..<(lineEnd + 2 + size)]
      pending.removeFirst(lineEnd + 2 + size + 2)
    }
    return events()
  }

  private mutating func events() -> [ServerEvent] {
    var complete: [ServerEvent] = []
    while let end = text.firstIndex(of: 10) {
      let line = String(decoding: text[..<end], as: UTF8.self)
      text.removeFirst(end + 1)
      if line.isEmpty {
        if !event.data.isEmpty { complete.append(event) }
        event = ServerEvent()
      } else if line.hasPrefix("event: ") {
        event.name = String(line.dropFirst(7))
      } else if line.hasPrefix("id: ") {
        event.id = String(line.dropFirst(4))
      } else if line.hasPrefix("data: ") {
        event.data = String(line.dropFirst(6))
      }
    }
    return complete
  }

  private func find(_ pattern: [UInt8], in bytes: [UInt8]) -> Int? {
    guard bytes.count >= pattern.count else { return nil }
    return (0...(bytes.count - pattern.count)).first { start in
      pattern.indices.allSatisfy { bytes[start + $0] == pattern[$0] }
    }
  }
}

extension String {
  /// The parts between occurrences of a separator.
  func components(_ separator: String) -> [String] {
    split(separator: separator, omittingEmptySubsequences: false).map(String.init)
  }
}
