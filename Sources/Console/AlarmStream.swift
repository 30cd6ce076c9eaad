import HTTPTypes
import HazardLedger
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Station
import Telemetry

/// The text of server-sent events.
enum StreamFrame {
  /// An alarm's step that stands in the ledger; its id is its place there.
  static func alarm(_ entry: LedgerEntry) -> ByteBuffer {
    event("alarm", id: entry.place, data: entry.json)
  }

  /// What the streams show of an entry, and to whom: an alarm's step, unless the summary of the enterprise's flood
  /// stands for it (``LedgerEntry/floods``), or the summary (`flood`); nil for every other entry.
  static func frame(of entry: LedgerEntry) -> (audience: StreamAudience, frame: ByteBuffer)? {
    if let scope = entry.floodScope {
      let id = String(scope.drop { $0 != ":" }.dropFirst())
      return (
        scope.hasPrefix("area:") ? .area(id) : .enterprise(id),
        event("flood", id: entry.place, data: entry.json)
      )
    }
    guard entry.isAlarmStep else { return nil }
    let floods = entry.floods
    if floods.contains(where: { $0.hasPrefix("enterprise:") }) { return nil }
    let areas = floods.filter { $0.hasPrefix("area:") }.map { String($0.dropFirst("area:".count)) }
    return (
      .enterprise(LedgerScope.enterprise(ofPath: entry.subject), floodedAreas: areas),
      alarm(entry)
    )
  }

  /// An alarm's step that could not be recorded in time.
  ///
  /// It has no id: it is not a place to resume at.
  static func unrecorded(_ announcement: UnrecordedAnnouncement) -> ByteBuffer {
    event("unrecorded", id: nil, data: JSONWriter.object(announcement.write))
  }

  /// One event; `data` is JSON without line breaks.
  static func event(_ name: String, id: StreamPlace?, data: [UInt8]) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.reserveCapacity(data.count + 64)
    buffer.writeString("event: \(name)\n")
    if let id { buffer.writeString("id: \(id.text)\n") }
    buffer.writeString("data: ")
    buffer.writeBytes(data)
    buffer.writeString("\n\n")
    return buffer
  }
}

/// Who is told an event of the streams.
enum StreamAudience: Hashable, Sendable {
  /// Those who see an enterprise, but for the supervisors of the areas in flood whose summaries stand for the event.
  case enterprise(String, floodedAreas: [String] = [])
  /// The supervisors of an administrative area, and those who see everything.
  case area(String)
}

/// What of the streams a caller is told.
struct StreamScope: Hashable, Sendable {
  /// Whose alarms.
  var ledger: LedgerScope
  /// Codes of the areas whose supervisor the caller is; none for those who see everything.
  ///
  /// In the flood of such an area its summary stands for the steps.
  var areas: Set<String> = []

  /// Whether the caller is among those who are told.
  func includes(_ audience: StreamAudience) -> Bool {
    switch audience {
    case .enterprise(let id, let floodedAreas):
      ledger.includes(enterprise: id) && !floodedAreas.contains(where: areas.contains)
    case .area(let code): ledger == .everything || areas.contains(code)
    }
  }
}

/// `GET /api/v1/alarms/stream`: the standing alarms and everything after them, in one step.
struct AlarmStream: Sendable {
  let station: any StationAccess
  let tail: LedgerTail
  let gatekeeper: Gatekeeper
  let counters: ConsoleCounters
  let options: ConsoleOptions

  /// Where a reader wants to begin.
  enum Start: Sendable {
    case snapshot
    case after(StreamPlace)
  }

  /// Bytes that the system may keep for a reader that is slow; it would go up to megabytes by itself.
  private static let socketBuffer = 256 << 10

  /// Who reads, and what of the alarms it is told.
  struct Reader: Sendable {
    var credential: Credential
    var scope: StreamScope
  }

  func respond(to request: Request, context: ConsoleContext) throws -> Response {
    let start = try Self.start(of: request)
    let heartbeat = try heartbeat(of: request)
    let caller = try context.signedIn
    let scope = caller.streamScope
    let credential = caller.credential
    guard counters.openStream(limit: options.maximumStreams) else {
      throw Problem(
        .serviceUnavailable,
        "too-many-streams",
        "\(options.maximumStreams) streams are open already",
        retryAfter: 5
      )
    }
    let ticket = StreamTicket(counters: counters)
    let channel = context.channel
    let hasSocket = context.address != nil
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store",
        .named("X-Accel-Buffering"): "no",
      ],
      body: ResponseBody { writer in
        defer { withExtendedLifetime(ticket) {} }
        let stream = tail.register()
        let pulse = tail.watch.add(stream, on: channel)
        defer {
          tail.watch.remove(stream)
          tail.unregister(stream)
        }
        if hasSocket {
          try await channel.setOption(.socketOption(.so_sndbuf), value: Self.socketBuffer).get()
        }
        var output: any ResponseBodyWriter = WatchedWriter(writer, pulse)
        try await request.body.consumeWithInboundCloseHandler { _ in
          try await send(
            stream,
            to: Reader(credential: credential, scope: scope),
            from: start,
            every: heartbeat,
            to: &output
          )
        } onInboundClosed: {
          tail.end(stream)
        }
        try await output.finish(nil)
      }
    )
  }

  @concurrent private func send(
    _ stream: UInt64,
    to reader: Reader,
    from start: Start,
    every heartbeat: Duration,
    to writer: inout any ResponseBodyWriter
  ) async throws {
    let scope = reader.scope
    let ledger = ScopedLedger(station.ledger, scope: scope.ledger)
    try await writer.write(ByteBuffer(string: "retry: 1000\n\n"))
    var cursor: StreamCursor
    switch start {
    case .snapshot:
      cursor = try await sendSnapshot(of: ledger, to: &writer)
    case .after(let named):
      let (head, place) = try await BlockingWork.run { [station] in
        (try ledger.head, try Self.place(at: named.sequence, in: station.ledger))
      }
      guard let place, named.agrees(with: place) else {
        cursor = try await sendReset("unknown-cursor", of: ledger, to: &writer)
        break
      }
      if head - place.sequence > Int64(options.maximumStreamLag) {
        cursor = try await sendReset("too-far-behind", of: ledger, to: &writer)
      } else {
        cursor = StreamCursor(place: place)
      }
    }
    try await writer.write(heartbeatFrame(at: cursor))
    var beat = ContinuousClock.now + heartbeat
    while !Task.isCancelled, !Task.isShuttingDownGracefully, !tail.hasEnded(stream) {
      switch tail.next(after: cursor, in: scope) {
      case .frames(let frames, let reached):
        for frame in frames { try await writer.write(frame) }
        cursor = reached
      case .behind(let head):
        if head - cursor.ledger > Int64(options.maximumStreamLag) {
          cursor = try await sendReset("too-far-behind", of: ledger, to: &writer)
        } else {
          cursor.place = try await sendPage(after: cursor.place, in: scope, to: &writer)
        }
      case .nothing:
        await tail.wait(stream: stream, after: cursor, until: beat)
      }
      if ContinuousClock.now >= beat {
        // A session may have ended and an account been closed or narrowed since; the reader then comes again, or not.
        guard await gatekeeper.caller(showing: reader.credential)?.streamScope == scope else {
          return
        }
        try await writer.write(heartbeatFrame(at: cursor))
        beat = ContinuousClock.now + heartbeat
      }
    }
  }

  /// The place of a sequence in the ledger as it is; nil where it has none.
  private static func place(
    at sequence: Int64,
    in ledger: any LedgerStore
  ) throws -> StreamPlace? {
    guard sequence > 0 else { return StreamPlace(sequence: 0, hash: []) }
    let entry = try ledger.entries(after: sequence - 1, limit: 1).first
    return entry?.sequence == sequence ? entry?.place : nil
  }

  /// Sends a page read from the ledger itself; returns the place reached.
  @concurrent private func sendPage(
    after place: StreamPlace,
    in scope: StreamScope,
    to writer: inout any ResponseBodyWriter
  ) async throws -> StreamPlace {
    let page = try await BlockingWork.run { [station] in
      try station.ledger.entries(after: place.sequence, limit: 512)
    }
    for entry in page {
      guard let shown = StreamFrame.frame(of: entry), scope.includes(shown.audience) else {
        continue
      }
      try await writer.write(shown.frame)
    }
    return page.last?.place ?? place
  }

  @concurrent private func sendReset(
    _ reason: String,
    of ledger: ScopedLedger,
    to writer: inout any ResponseBodyWriter
  ) async throws -> StreamCursor {
    counters.countReset()
    let data = JSONWriter.object { $0.member("reason", reason) }
    try await writer.write(StreamFrame.event("reset", id: nil, data: data))
    return try await sendSnapshot(of: ledger, to: &writer)
  }

  @concurrent private func sendSnapshot(
    of ledger: ScopedLedger,
    to writer: inout any ResponseBodyWriter
  ) async throws -> StreamCursor {
    let standing = try await BlockingWork.run { try StandingAlarms(ledger) }
    try await writer.write(
      StreamFrame.event("snapshot", id: standing.place, data: standing.json)
    )
    return StreamCursor(place: standing.place)
  }

  private func heartbeatFrame(at cursor: StreamCursor) -> ByteBuffer {
    let data = JSONWriter.object { writer in
      writer.member("time", WallClock.now().milliseconds)
      writer.key("status")
      station.status().write(to: &writer)
    }
    return StreamFrame.event("heartbeat", id: cursor.place, data: data)
  }

  private static func start(of request: Request) throws -> Start {
    // A browser that reconnects repeats the address it began with and adds how far it came.
    let name = HTTPField.Name.named("Last-Event-ID")
    let text = request.headers[name] ?? request.uri.queryParameters["since"].map(String.init)
    guard let text, !text.isEmpty else { return .snapshot }
    guard let place = StreamPlace(text) else {
      throw Problem.parameter("since", "\(text) is neither an event's id nor a ledger sequence")
    }
    return .after(place)
  }

  private func heartbeat(of request: Request) throws -> Duration {
    guard let text = request.uri.queryParameters["heartbeat"] else { return options.heartbeat }
    guard let seconds = Int(text), (1...60).contains(seconds) else {
      throw Problem.parameter("heartbeat", "\(text) is not a whole number of seconds from 1 to 60")
    }
    return .seconds(seconds)
  }
}

/// Gives a stream's place back exactly once, also when its body is never run.
private final class StreamTicket: Sendable {
  private let counters: ConsoleCounters

  init(counters: ConsoleCounters) {
    self.counters = counters
  }

  deinit {
    counters.closeStream()
  }
}
