import Foundation
public import HazardLedger
public import Telemetry

/// A message that a channel has not taken and will not be asked to take again.
public struct DeadLetter: Hashable, Sendable, Codable {
  /// The dispatch.
  public var dispatch: CalloutDispatch
  /// The channel; empty where none could reach the person.
  public var channel: String
  /// Why.
  public var reason: String
  /// Tries that were made.
  public var tries: Int
  /// When it was given up.
  public var time: Timestamp
}

/// One message and the channel's answer.
public struct DeliveryRecord: Hashable, Sendable {
  /// The message's identity.
  public var notice: String
  /// What it was for.
  public var kind: Notice.Kind
  /// The dispatches it carried.
  public var dispatches: [String]
  /// Names of those it was for.
  public var recipients: [String]
  /// The channel.
  public var channel: String
  /// `delivered`, `unavailable` or `refused`.
  public var outcome: String
  /// The channel's words.
  public var detail: String
  /// When the answer came.
  public var time: Timestamp

  init(notice: Notice, channel: String, outcome: DeliveryOutcome, time: Timestamp) {
    self.notice = notice.id
    kind = notice.kind
    dispatches = notice.dispatches.map(\.id)
    recipients = notice.recipients.map(\.name)
    self.channel = channel
    self.time = time
    (self.outcome, detail) = outcome.words
  }
}

extension DeliveryOutcome {
  /// Its name and the channel's words.
  public var words: (name: String, detail: String) {
    switch self {
    case .delivered(let words): ("delivered", words)
    case .unavailable(let words, _): ("unavailable", words)
    case .refused(let words): ("refused", words)
    }
  }
}

/// What a channel has done since the start.
public struct ChannelFigures: Hashable, Sendable {
  /// Messages taken.
  public var delivered = 0
  /// Answers that were worth another try.
  public var unavailable = 0
  /// Answers that were not.
  public var refused = 0
  /// Dispatches given up.
  public var dead = 0
  /// Dispatches withdrawn because somebody had answered.
  public var withdrawn = 0
  /// Failed writes of the state file.
  public var stateFaults = 0
  /// True while a message is on its way.
  public var isSending = false
  /// When a message was last taken.
  public var lastDelivery: Timestamp?
  /// When one was last not taken, and why.
  public var lastFailure: Timestamp?
  /// The channel's words at that.
  public var lastFailureDetail = ""

  mutating func count(_ outcome: DeliveryOutcome, at time: Timestamp) {
    switch outcome {
    case .delivered:
      delivered += 1
      lastDelivery = time
      return
    case .unavailable: unavailable += 1
    case .refused: refused += 1
    }
    lastFailure = time
    lastFailureDetail = outcome.words.detail
  }
}

/// How a channel does.
public struct ChannelStatus: Hashable, Sendable {
  /// Name.
  public var name: String
  /// Kind.
  public var kind: String
  /// Dispatches that wait.
  public var waiting: Int
  /// What it has done since the start.
  public var figures: ChannelFigures
  /// When the last heartbeat was taken.
  public var lastHeartbeat: Timestamp?
  /// True when a heartbeat is more than an hour overdue.
  public var isHeartbeatMissing: Bool
}

/// What the dispatcher remembers beyond a restart: heartbeats and dead letters; calls are the ledger's.
struct DispatcherBook {
  private struct Stored: Codable {
    var heartbeats: [String: Timestamp] = [:]
    /// When a channel was first known: its first heartbeat is due after this.
    var begun: [String: Timestamp] = [:]
    var deadLetters: [DeadLetter] = []
  }

  private var stored = Stored()
  private let path: String?

  /// Dead letters that are kept; the oldest go first, and stay in the ledger.
  static let limit = 1_000
  private static let day: Int64 = 86_400_000

  init(path: String?) throws {
    self.path = path
    guard let path, FileManager.default.fileExists(atPath: path) else { return }
    stored = try JSONDecoder().decode(
      Stored.self,
      from: try Data(contentsOf: URL(fileURLWithPath: path))
    )
  }

  /// Whether a channel was ever known.
  var hasHadChannels: Bool { !stored.begun.isEmpty }

  var deadLetters: [DeadLetter] { stored.deadLetters }

  mutating func add(_ letter: DeadLetter) {
    stored.deadLetters.append(letter)
    if stored.deadLetters.count > Self.limit { stored.deadLetters.removeFirst() }
  }

  mutating func begin(_ name: String, at now: Timestamp) {
    if stored.begun[name] == nil { stored.begun[name] = now }
  }

  mutating func beat(_ name: String, at now: Timestamp) {
    stored.heartbeats[name] = now
  }

  func lastHeartbeat(_ name: String) -> Timestamp? { stored.heartbeats[name] }

  /// The first time at `minute` after the last heartbeat, or after the channel was first known.
  func nextHeartbeat(_ name: String, minute: Int) -> Timestamp {
    let last = (stored.heartbeats[name] ?? stored.begun[name])?.milliseconds ?? 0
    let offset = Int64(minute) * 60_000
    let days = (last - offset + Self.day) / Self.day
    return Timestamp(milliseconds: days * Self.day + offset)
  }

  func isHeartbeatMissing(_ name: String, minute: Int, at now: Timestamp) -> Bool {
    now.milliseconds - nextHeartbeat(name, minute: minute).milliseconds > 3_600_000
  }

  /// Writes the file whole, under another name first.
  func save() throws {
    guard let path else { return }
    try JSONEncoder().encode(stored).write(to: URL(fileURLWithPath: path), options: .atomic)
  }
}
