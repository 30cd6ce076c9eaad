public import HazardLedger
public import Telemetry

/// How much a channel may be asked to send.
public struct RateLimit: Hashable, Sendable {
  /// Messages.
  public var count: Int
  /// In any stretch of this length, milliseconds.
  public var milliseconds: Int64

  /// Makes a limit.
  public init(_ count: Int, per milliseconds: Int64) {
    self.count = max(1, count)
    self.milliseconds = max(1, milliseconds)
  }
}

/// What a channel's queue goes by.
public struct ChannelPolicy: Hashable, Sendable {
  /// All of them are kept.
  public var rates: [RateLimit]
  /// After a message, what comes for the same readers within this time waits and goes as one; milliseconds.
  public var groupMilliseconds: Int64
  /// Tries of one message.
  public var attempts: Int
  /// Time before the second try, doubled for each further one; milliseconds.
  public var backOffMilliseconds: Int64
  /// Longest time between tries; milliseconds.
  public var maximumBackOffMilliseconds: Int64
  /// What has waited longer, in milliseconds, is not worth sending any more: whoever called has called again.
  public var lifetimeMilliseconds: Int64
  /// Dispatches that wait at most; what comes beyond is a dead letter at once.
  public var capacity: Int

  /// Makes a policy.
  public init(
    rates: [RateLimit] = [],
    groupMilliseconds: Int64 = 30_000,
    attempts: Int = 5,
    backOffMilliseconds: Int64 = 2_000,
    maximumBackOffMilliseconds: Int64 = 60_000,
    lifetimeMilliseconds: Int64 = 900_000,
    capacity: Int = 1_000
  ) {
    self.rates = rates
    self.groupMilliseconds = groupMilliseconds
    self.attempts = max(1, attempts)
    self.backOffMilliseconds = max(1, backOffMilliseconds)
    self.maximumBackOffMilliseconds = maximumBackOffMilliseconds
    self.lifetimeMilliseconds = lifetimeMilliseconds
    self.capacity = max(1, capacity)
  }
}

/// What waits for one channel, and when it may go: a plain value that is handed the time.
///
/// The first message to some readers goes at once, and so does what is more urgent than the last. What else follows
/// within the group's time is held back and goes as one;
/// so does, in a flood, all that has gathered while the channel's rate was used up. Nothing is dropped but by being
/// told: every dispatch that comes in leaves as delivered or as a dead letter with its reason.
public struct ChannelQueue: Sendable {
  /// A dispatch that waits.
  struct Waiting: Sendable {
    var dispatch: CalloutDispatch
    var recipient: Notice.Recipient
    var since: Timestamp
    /// Tries behind it.
    var tries = 0
  }

  /// What is on its way.
  public struct Sending: Sendable {
    /// The message.
    public let notice: Notice
    fileprivate let waiting: [Waiting]
    fileprivate let key: String
  }

  /// A dispatch that has left the queue.
  public struct Settled: Hashable, Sendable {
    /// Which.
    public var dispatch: CalloutDispatch
    /// Whether the channel has taken it.
    public var isDelivered: Bool
    /// The channel's words, or why it is a dead letter.
    public var detail: String
    /// Tries that were made.
    public var tries: Int
  }

  private let policy: ChannelPolicy
  private let isShared: Bool
  private var waiting: [Waiting] = []
  /// Why readers are left alone for a while: a group that gathers, or a back-off.
  private struct Hold: Sendable {
    var until: Timestamp
    /// What is more urgent than this goes at once.
    var priority: Int
  }

  private var held: [String: Hold] = [:]
  /// Not before this, for the whole channel: what the channel itself has asked for.
  private var blocked = Timestamp.distantPast
  /// How long a channel is left alone at most because it asks for it.
  private static let longestPause = Duration.seconds(3_600)
  private var sent: [Timestamp] = []
  /// The newest time that it was handed.
  private var latest = Timestamp.distantPast

  /// Makes an empty queue.
  public init(policy: ChannelPolicy, isShared: Bool) {
    self.policy = policy
    self.isShared = isShared
  }

  /// Dispatches that wait.
  public var count: Int { waiting.count }

  /// Call-outs that something waits for.
  var callouts: Set<String> {
    Set(waiting.lazy.filter { $0.dispatch.purpose == .call }.map(\.dispatch.callout))
  }

  private func key(_ recipient: Notice.Recipient) -> String {
    isShared ? "" : recipient.address
  }

  /// Takes a dispatch in; what comes back is a dead letter at once, because the queue is full.
  public mutating func add(
    _ dispatch: CalloutDispatch,
    to recipient: Notice.Recipient,
    at now: Timestamp
  ) -> Settled? {
    follow(now)
    guard waiting.count < policy.capacity else {
      return Settled(
        dispatch: dispatch,
        isDelivered: false,
        detail: "\(policy.capacity) messages are waiting already",
        tries: 0
      )
    }
    waiting.append(Waiting(dispatch: dispatch, recipient: recipient, since: now))
    return nil
  }

  /// Takes over what waits in the queue of the channel as it was, with its waiting times and tries.
  ///
  /// - Parameters:
  ///   - former: that queue.
  ///   - recipient: whom a dispatch reaches here; nil when the channel can no longer reach the person.
  /// - Returns: the dispatches that nobody can be reached for here.
  mutating func takeOver(
    _ former: ChannelQueue,
    recipient: (CalloutDispatch) -> Notice.Recipient?
  ) -> [CalloutDispatch] {
    var stranded: [CalloutDispatch] = []
    for var item in former.waiting {
      guard let found = recipient(item.dispatch) else {
        stranded.append(item.dispatch)
        continue
      }
      item.recipient = found
      waiting.append(item)
    }
    // The other side's count goes on, whatever is changed here.
    sent = former.sent
    latest = former.latest
    return stranded
  }

  /// Takes out what nobody wants any more: the calls of a call-out that has been answered.
  public mutating func withdraw(_ isWithdrawn: (CalloutDispatch) -> Bool) -> [CalloutDispatch] {
    let withdrawn = waiting.map(\.dispatch).filter(isWithdrawn)
    waiting.removeAll { isWithdrawn($0.dispatch) }
    return withdrawn
  }

  /// Takes all times back with a clock that was set back: what they hold back would else wait until it is there again.
  private mutating func follow(_ now: Timestamp) {
    defer { latest = now }
    guard now < latest else { return }
    let back = now.milliseconds(since: latest)
    func moved(_ time: Timestamp) -> Timestamp {
      time == .distantPast ? time : time.advanced(byMilliseconds: back)
    }
    for index in waiting.indices { waiting[index].since = moved(waiting[index].since) }
    held = held.mapValues { Hold(until: moved($0.until), priority: $0.priority) }
    blocked = moved(blocked)
    sent = sent.map(moved)
  }

  /// Takes out what has waited longer than it is worth.
  public mutating func expire(at now: Timestamp) -> [Settled] {
    follow(now)
    let limit = now.advanced(byMilliseconds: -policy.lifetimeMilliseconds)
    let expired = waiting.filter { $0.since < limit }
    waiting.removeAll { $0.since < limit }
    return expired.map {
      Settled(
        dispatch: $0.dispatch,
        isDelivered: false,
        detail: "waited longer than \(policy.lifetimeMilliseconds / 1_000) s",
        tries: $0.tries
      )
    }
  }

  /// When ``next(at:)`` may have something; nil when nothing waits.
  public var nextTime: Timestamp? {
    guard let ready = waiting.map(readyTime).min() else { return nil }
    return max(ready, blocked, rateTime)
  }

  private func readyTime(_ item: Waiting) -> Timestamp {
    guard let hold = held[key(item.recipient)], item.dispatch.priority <= hold.priority else {
      return item.since
    }
    return hold.until
  }

  /// When one more message keeps all rates.
  private var rateTime: Timestamp {
    policy.rates.map { rate in
      sent.count < rate.count
        ? Timestamp.distantPast
        : sent[sent.count - rate.count].advanced(byMilliseconds: rate.milliseconds)
    }.max() ?? .distantPast
  }

  /// The next message to send now; nil when none may go.
  public mutating func next(at now: Timestamp) -> Sending? {
    follow(now)
    guard blocked <= now, rateTime <= now else { return nil }
    // The most urgent first, of equals the oldest.
    let ready = waiting.indices.filter { readyTime(waiting[$0]) <= now }
    guard
      let first = ready.max(by: {
        (waiting[$0].dispatch.priority, -waiting[$0].since.milliseconds)
          < (waiting[$1].dispatch.priority, -waiting[$1].since.milliseconds)
      })
    else { return nil }
    let chosen = key(waiting[first].recipient)
    let taken = waiting.filter { key($0.recipient) == chosen }
    waiting = waiting.filter { key($0.recipient) != chosen }
    remember(now)
    held[chosen] = Hold(
      until: now.advanced(byMilliseconds: policy.groupMilliseconds),
      priority: taken.map(\.dispatch.priority).max() ?? 0
    )
    return Sending(
      notice: Notice(merging: taken.map { ($0.dispatch, $0.recipient) }, at: now),
      waiting: taken,
      key: chosen
    )
  }

  /// Counts a message that goes past the queue (a test, a heartbeat) against the rates; false when they forbid it.
  public mutating func pass(at now: Timestamp) -> Bool {
    follow(now)
    guard blocked <= now, rateTime <= now else { return false }
    remember(now)
    return true
  }

  private mutating func remember(_ now: Timestamp) {
    sent.append(now)
    let most = policy.rates.map(\.count).max() ?? 0
    if sent.count > most { sent.removeFirst(sent.count - most) }
    // Readers that nothing is held for any more.
    if held.count > policy.capacity { held = held.filter { $0.value.until > now } }
  }

  /// Takes in what became of a message; answers the dispatches that have left the queue by it.
  public mutating func settle(
    _ sending: Sending,
    _ outcome: DeliveryOutcome,
    at now: Timestamp
  ) -> [Settled] {
    follow(now)
    func settled(_ isDelivered: Bool, _ detail: String) -> [Settled] {
      sending.waiting.map {
        Settled(
          dispatch: $0.dispatch,
          isDelivered: isDelivered,
          detail: detail,
          tries: $0.tries + 1
        )
      }
    }
    switch outcome {
    case .delivered(let words): return settled(true, words)
    case .refused(let words): return settled(false, words)
    case .unavailable(let words, let retryAfter):
      if let retryAfter {
        // The channel speaks for itself as a whole: too fast, too busy. It may say any number, also one that no clock
        // reaches; it is asked again after an hour at the latest.
        let pause = min(max(retryAfter, .zero), Self.longestPause).milliseconds
        blocked = max(blocked, now.advanced(byMilliseconds: pause))
      }
      var gone: [Settled] = []
      for var item in sending.waiting {
        item.tries += 1
        if item.tries >= policy.attempts {
          gone.append(
            Settled(dispatch: item.dispatch, isDelivered: false, detail: words, tries: item.tries)
          )
        } else {
          waiting.append(item)
        }
      }
      let tries = sending.waiting.map(\.tries).min() ?? 0
      let doubled = policy.backOffMilliseconds << Int64(min(tries, 20))
      held[sending.key] = Hold(
        until: now.advanced(byMilliseconds: min(doubled, policy.maximumBackOffMilliseconds)),
        priority: .max
      )
      return gone
    }
  }
}

extension Duration {
  /// Whole milliseconds, rounded up.
  var milliseconds: Int64 {
    components.seconds * 1_000 + (components.attoseconds + 999_999_999_999_999)
      / 1_000_000_000_000_000
  }
}
