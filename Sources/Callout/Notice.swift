public import HazardLedger
public import Telemetry

/// One message on one channel: what several dispatches to it have become.
public struct Notice: Hashable, Sendable {
  /// What it is for.
  public enum Kind: String, Hashable, Sendable {
    /// Somebody is called, asked or told: it carries dispatches.
    case callout
    /// An operator tries the channel.
    case test
    /// 每日心跳: the daily word that call-out works; its absence is the alarm.
    case heartbeat
  }

  /// Whom it is for, on this channel.
  public struct Recipient: Hashable, Sendable {
    /// Name.
    public var name: String
    /// Address on this channel; empty where the channel needs none, such as a robot in a group.
    public var address: String

    /// Makes a recipient.
    public init(name: String, address: String) {
      self.name = name
      self.address = address
    }
  }

  /// Idempotency key, the same for every try.
  public var id: String
  /// What it is for.
  public var kind: Kind
  /// The dispatches that it carries, oldest first.
  public var dispatches: [CalloutDispatch]
  /// Whom it is for; several on a channel that many read at once.
  public var recipients: [Recipient]
  /// 1 blue … 4 red: the highest of what it carries.
  public var priority: Int
  /// One line, in both languages.
  public var title: CalloutDispatch.Text
  /// What to show or read out, in both languages.
  public var text: CalloutDispatch.Text
  /// When it was put together.
  public var time: Timestamp

  /// Makes a notice without dispatches: a test or a heartbeat.
  public init(
    id: String,
    kind: Kind,
    recipients: [Recipient],
    title: CalloutDispatch.Text,
    text: CalloutDispatch.Text,
    time: Timestamp
  ) {
    self.id = id
    self.kind = kind
    dispatches = []
    self.recipients = recipients
    priority = 1
    self.title = title
    self.text = text
    self.time = time
  }

  /// Puts dispatches together into one message.
  ///
  /// - Parameters:
  ///   - dispatches: with the recipient that each has on the channel; at least one.
  ///   - time: now.
  public init(
    merging dispatches: [(dispatch: CalloutDispatch, recipient: Recipient)],
    at time: Timestamp
  ) {
    precondition(!dispatches.isEmpty, "a notice carries something")
    // The most urgent speaks first; of equals the oldest.
    let ordered = dispatches.map(\.dispatch).sorted { $0.priority > $1.priority }
    self.dispatches = dispatches.map(\.dispatch)
    kind = .callout
    id = ordered.count == 1 ? ordered[0].id : "\(ordered[0].id)+\(ordered.count - 1)"
    recipients = []
    for (_, recipient) in dispatches where !recipients.contains(recipient) {
      recipients.append(recipient)
    }
    priority = ordered[0].priority
    self.time = time
    // The same words to several persons are said once.
    var spoken: [CalloutDispatch] = []
    for dispatch in ordered
    where !spoken.contains(where: { $0.title == dispatch.title && $0.text == dispatch.text }) {
      spoken.append(dispatch)
    }
    let more = spoken.count - 1
    title = CalloutDispatch.Text(
      zh: Self.marked(spoken[0], zh: true) + (more > 0 ? "（另有 \(more) 条）" : ""),
      en: Self.marked(spoken[0], zh: false) + (more > 0 ? " (and \(more) more)" : "")
    )
    text = CalloutDispatch.Text(
      zh: Self.list(spoken) { more > 0 ? "【\($0.title.zh)】\($0.text.zh)" : $0.text.zh }
        + (more >= Self.listed ? "\n…共 \(spoken.count) 条" : ""),
      en: Self.list(spoken) { more > 0 ? "[\($0.title.en)] \($0.text.en)" : $0.text.en }
        + (more >= Self.listed ? "\n… \(spoken.count) in all" : "")
    )
  }

  /// Messages that are spelt out in one notice; the rest is counted.
  static let listed = 20

  private static func list(
    _ dispatches: [CalloutDispatch],
    _ line: (CalloutDispatch) -> String
  ) -> String {
    dispatches.prefix(listed).map(line).joined(separator: "\n")
  }

  /// A title that says what the reader has to know of the call itself.
  private static func marked(_ dispatch: CalloutDispatch, zh: Bool) -> String {
    var marks = ""
    if dispatch.inDoubt { marks += zh ? "【可能重复】" : "[may be a repeat] " }
    if !dispatch.isRecorded { marks += zh ? "【未入账】" : "[unrecorded] " }
    return marks + (zh ? dispatch.title.zh : dispatch.title.en)
  }
}

/// What became of a message on a channel.
public enum DeliveryOutcome: Hashable, Sendable {
  /// The channel has taken it; its own words or number for it.
  case delivered(String)
  /// Not now: worth another try, not before the time that the channel asks for.
  case unavailable(String, retryAfter: Duration?)
  /// Never as it is: wrong address, key, template, signature.
  case refused(String)
}

/// A way to persons.
public protocol NotificationChannel: Sendable {
  /// Sends a message and waits for the answer; has a time limit of its own.
  func send(_ notice: Notice) async -> DeliveryOutcome

  /// True when one message reaches many at once (a group's robot); false when each address is reached by itself.
  var isShared: Bool { get }
}
