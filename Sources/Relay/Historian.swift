public import Callout
import Foundation
public import Logging
public import Station
import Synchronization
import Telemetry

/// Writes readings and minutes to a historian that takes the Influx line protocol by HTTP: InfluxDB 1 and 2,
/// VictoriaMetrics, TDengine, QuestDB and others.
///
/// What is to be written waits in the trends' outlet until the historian has said that it has it. Written twice it is there
/// once, because a line's key is its series and time. A line that the historian will never take is sought out by halves,
/// put aside in a file, counted and told of; it holds up nothing.
public final class Historian: Pusher {
  /// Where to, and how.
  public struct Options: Sendable {
    /// How to sign in.
    public enum Access: Sendable {
      /// `Authorization: Token …`.
      case token(ChannelSecret)
      /// User and password, `Authorization: Basic …`.
      case password(user: String, ChannelSecret)
      /// Not at all.
      case none
    }

    /// Address with path and query.
    public var url: String
    /// How to sign in.
    public var access: Access
    /// Lines of one request.
    public var batch: Int
    /// Name of the outlet.
    public var outlet: String
    /// File for lines that the historian does not take; nil keeps none.
    public var rejects: String?
    /// Most bytes of that file.
    public var rejectBytes: Int = 10 << 20
    /// The first pause after a failure.
    public var firstPause: Duration = .seconds(1)
    /// The longest.
    public var longestPause: Duration = .seconds(60)

    /// Makes options.
    public init(
      url: String,
      access: Access,
      batch: Int = 5_000,
      outlet: String = "historian",
      rejects: String? = nil
    ) {
      self.url = url
      self.access = access
      self.batch = batch
      self.outlet = outlet
      self.rejects = rejects
    }
  }

  /// How the writing does.
  public struct Status: Sendable {
    /// Lines that the historian has taken since the start.
    public var lines: UInt64 = 0
    /// Lines that it will never take.
    public var rejected: UInt64 = 0
    /// Attempts that did not get through.
    public var failures: UInt64 = 0
    /// What waits.
    public var waiting = TrendStore.Waiting()
    /// When it last took something, milliseconds since the Unix epoch.
    public var heard: Int64?
    /// What keeps things from going on; nil while they do.
    public var fault: String?
  }

  private struct State {
    var status = Status()
    var lines: LineProtocol
    /// Most lines of a request; smaller after one that was too large.
    var limit: Int
    var cursor: Int64 = 0
  }

  private let options: Options
  private let url: String
  private let trends: TrendStore
  private let unit: @Sendable (_ point: String) -> String
  private let sender: HTTPSender
  private let clock: @Sendable () -> Int64
  private let logger: Logger
  private let state: Mutex<State>

  /// Makes a writer; it works while ``run()`` does.
  ///
  /// - Parameters:
  ///   - options: where to and how.
  ///   - station: name of the station, a tag of every line.
  ///   - trends: where lines wait.
  ///   - unit: the unit of a point, empty where it is not known.
  ///   - sender: makes the calls.
  ///   - clock: milliseconds since the Unix epoch.
  ///   - logger: takes what is worth telling.
  public init(
    options: Options,
    station: String,
    trends: TrendStore,
    unit: @escaping @Sendable (_ point: String) -> String,
    sender: HTTPSender,
    clock: @escaping @Sendable () -> Int64,
    logger: Logger
  ) {
    self.options = options
    self.trends = trends
    self.unit = unit
    self.sender = sender
    self.clock = clock
    self.logger = logger
    url = options.url + (options.url.contains("?") ? "&" : "?") + "precision=ms"
    state = Mutex(State(lines: LineProtocol(station: station), limit: options.batch))
  }

  /// How the writing does.
  public var status: Status { state.withLock { $0.status } }

  /// Writes until it is cancelled.
  public func run() async { await push() }

  var firstPause: Duration { options.firstPause }
  var longestPause: Duration { options.longestPause }

  /// Trends come every 15 s and give no word.
  func awaitNews() async { await pause(.seconds(5)) }

  /// A minute is written when it has been over for so long, in milliseconds: the trends come every 15 s.
  private static let ripening: Int64 = 20_000

  /// Writes what waits, up to one request of readings and one of minutes.
  package func round() async -> Round {
    do {
      let limit = state.withLock { $0.limit }
      let waiting = try await offThread { [trends, outlet = options.outlet] in
        try trends.waiting(for: outlet)
      }
      state.withLock { $0.status.waiting = waiting }
      let readings = try await offThread { [trends, outlet = options.outlet] in
        try trends.readings(for: outlet, after: 0, limit: limit)
      }
      if let last = readings.last {
        let lines = state.withLock { state in readings.map { state.lines.line($0) } }
        if let failure = await write(lines) { return failure }
        try await offThread { [trends, outlet = options.outlet] in
          try trends.confirmReadings(for: outlet, through: last.number)
        }
      }
      let ripe = Timestamp(
        milliseconds: MinuteReduction.minute(of: clock() - Self.ripening)
      )
      let minutes = try await offThread { [trends, outlet = options.outlet] in
        try trends.minutes(for: outlet, ripe: ripe, limit: limit)
      }
      if !minutes.isEmpty {
        let lines = state.withLock { state in
          minutes.map { state.lines.line($0.minute, point: $0.point, unit: unit($0.point)) }
        }
        if let failure = await write(lines) { return failure }
        try await offThread { [trends, outlet = options.outlet] in
          try trends.confirm(minutes, for: outlet)
        }
      }
      return readings.isEmpty && minutes.isEmpty ? .idle : .worked
    } catch {
      fail("the trends cannot be read: \(error)")
      return .failed(retryAfter: nil)
    }
  }

  /// So many lines refused without one taken are no bad lines but a bad address.
  private static let suspicious = 20

  /// Writes lines; nil when the historian has them, or has refused some of them for good.
  private func write(_ lines: [String]) async -> Round? {
    var parts = [lines[...]]
    var refused: [(line: String, reply: HTTPReply)] = []
    var taken = 0
    while let part = parts.popLast() {
      var call = HTTPCall(
        url: url,
        headers: ["Content-Type": "text/plain; charset=utf-8"],
        body: part.joined(separator: "\n") + "\n"
      )
      do throws(SecretError) {
        switch options.access {
        case .token(let secret): call.headers["Authorization"] = "Token " + (try secret.read())
        case .password(let user, let secret):
          let pair = Data("\(user):\(try secret.read())".utf8).base64EncodedString()
          call.headers["Authorization"] = "Basic " + pair
        case .none: break
        }
      } catch {
        fail(error.description)
        return .failed(retryAfter: nil)
      }
      switch await sender.send(call) {
      case .failure(let failure):
        // A call that a stop cuts off says nothing of the historian.
        if !Task.isCancelled { fail("the historian does not answer: \(failure.cause)") }
        return .failed(retryAfter: nil)
      case .success(let reply) where (200..<300).contains(reply.status):
        taken += part.count
        succeed(part.count)
      case .success(let reply) where [400, 413, 422].contains(reply.status):
        guard part.count > 1 else {
          refused.append((part[part.startIndex], reply))
          if taken == 0, refused.count >= Self.suspicious { parts = [] }
          continue
        }
        if reply.status == 413 { state.withLock { $0.limit = max(1, part.count / 2) } }
        // Some lines of these are wrong, or they are too many. What was taken with them is written again: it is the same.
        let middle = part.startIndex + part.count / 2
        parts += [part[middle...], part[..<middle]]
      case .success(let reply):
        fail("the historian answers HTTP \(reply.status): \(reply.brief)")
        return .failed(retryAfter: reply.retryAfter)
      }
    }
    if taken == 0, let first = refused.first {
      // Until one line is taken, nobody can say that it is the lines: organisation, bucket or database may be wrong.
      fail(
        "the historian takes none of \(lines.count) lines: HTTP \(first.reply.status) \(first.reply.brief); look at "
          + "the url's organisation, bucket or database"
      )
      return .failed(retryAfter: first.reply.retryAfter)
    }
    for (line, reply) in refused { reject(line, reply) }
    return nil
  }

  private func succeed(_ count: Int) {
    let now = clock()
    let wasFailing = state.withLock { state in
      defer { state.status.fault = nil }
      state.status.lines += UInt64(count)
      state.status.heard = now
      state.limit = min(options.batch, state.limit + max(1, state.limit / 4))
      return state.status.fault != nil
    }
    if wasFailing { logger.notice("the historian takes readings again") }
  }

  private func reject(_ line: String, _ reply: HTTPReply) {
    state.withLock { $0.status.rejected += 1 }
    logger.error(
      "the historian does not take a line",
      metadata: ["line": "\(line)", "answer": "HTTP \(reply.status) \(reply.brief)"]
    )
    guard let path = options.rejects else { return }
    do {
      try Self.append(line + "\n", to: path, limit: options.rejectBytes)
    } catch {
      logger.error("the line is kept nowhere", metadata: ["file": "\(path)", "error": "\(error)"])
    }
  }

  private static func append(_ text: String, to path: String, limit: Int) throws {
    if !FileManager.default.fileExists(atPath: path) {
      guard FileManager.default.createFile(atPath: path, contents: nil) else {
        throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path])
      }
    }
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    defer { try? file.close() }
    guard try file.seekToEnd() + UInt64(text.utf8.count) <= UInt64(limit) else {
      throw CocoaError(.fileWriteOutOfSpace, userInfo: [NSFilePathErrorKey: path])
    }
    try file.write(contentsOf: Data(text.utf8))
  }

  private func fail(_ reason: String) {
    let isNew = state.withLock { state in
      defer { state.status.fault = reason }
      state.status.failures += 1
      return state.status.fault != reason
    }
    if isNew {
      logger.error(
        "nothing is written to the historian for now; it waits",
        metadata: ["reason": "\(reason)"]
      )
    }
  }
}
