import Foundation
import Glibc
public import HazardLedger
public import Logging
public import MQTTTransport
public import PayloadDecoding
import Synchronization
import Telemetry

/// A message that the broker did not take.
public struct AlarmRefusal: Sendable, Hashable {
  /// What the message was queued with.
  public var token: Int64
  /// Why.
  public var reason: PublishRefusal

  /// Makes a refusal.
  public init(token: Int64, reason: PublishRefusal) {
    self.token = token
    self.reason = reason
  }
}

/// What the announcer needs of an MQTT publisher.
public protocol AlarmPublishing: AnyObject, Sendable {
  /// Queues a message at QoS 1.
  ///
  /// - Parameters:
  ///   - topic: its topic name.
  ///   - payload: its payload.
  ///   - token: what ``takeConfirmed()`` names it by; 0 for messages nobody asks after.
  ///   - retain: the broker keeps it for those who subscribe later; empty takes back what it kept.
  /// - Returns: false when the queue is full, and then nothing was queued.
  func publish(topic: String, payload: [UInt8], token: Int64, retain: Bool) -> Bool
  /// Tokens of the messages that the broker has acknowledged since the last call.
  func takeConfirmed() -> [Int64]
  /// The messages that were refused since the last call.
  func takeRefused() -> [AlarmRefusal]
  /// Queues a reply or a word to a gateway, at its own quality of service and never retained; nobody asks after it.
  ///
  /// - Returns: false when the queue is full, and then nothing was queued.
  func send(_ message: OutgoingMessage) -> Bool
  /// How the connection to the broker stands.
  var state: LinkState { get }
  /// Sends what is queued as long as `grace` lasts, says good-bye, and returns when that is done.
  func stop(grace: Duration)
}

/// Publishes every alarm entry of the ledger, in order, at least once.
///
/// The ledger is the queue: the announcer reads it after a cursor, which moves only when the broker has
/// acknowledged, and which is kept in a file. A restart, a full queue or an absent broker loses
/// nothing; what was sent but not confirmed is sent again with the same ledger sequence, by
/// which receivers tell a repeat. What the broker refuses is sent again until it is taken; it holds up nothing else, but the
/// cursor, so that a restart does not forget it.
public final class Announcer: Sendable {
  /// What has kept the announcer from its work since the start.
  public struct Faults: Hashable, Sendable {
    /// Reads of the ledger that failed; they are tried again.
    public var ledgerReads: UInt64 = 0
    /// Times the cursor could not be kept; until it is, a restart sends more again.
    public var cursorWrites: UInt64 = 0
    /// Unrecorded steps that were never sent, because more than ``Announcer/pendingLimit`` waited for the broker; each
    /// is sent when it is recorded.
    public var unrecordedDropped: UInt64 = 0
    /// Messages that the broker refused, each time counted; recorded steps and what stands are sent again.
    public var refused: UInt64 = 0
    /// Why the broker does not take what waits to be sent again; nil while nothing does.
    public var refusal: String?
    /// Messages given up: refused for their own sake (topic, size), or when too many waited; the ledger has them.
    public var givenUp: UInt64 = 0
    /// Entries of the ledger from the first on that is to go to the broker and is not there yet.
    public var waiting: Int64 = 0
    /// Monotonic milliseconds since when none of them has got there; nil while nothing waits.
    public var waitingSince: Int64?
  }

  /// How often the cursor is kept, in milliseconds: each time costs the disk a sync that journal and ledger then wait
  /// for, and a cursor that is late only has a crash followed by steps sent again.
  static let cursorPeriod: Int64 = 1_000
  /// How long none of what waits may get to the broker, in milliseconds, before that counts as a fault.
  static let longestWait: Int64 = 60_000
  /// How long a stop waits for the broker to take what is queued.
  static let grace: Duration = .seconds(5)
  /// How many unrecorded steps may wait for room in the publisher's queue.
  public static let pendingLimit = 10_000
  /// How many refused messages wait to be sent again.
  package static let refusedLimit = 1_000
  /// How many of them are tried at once.
  private static let refusedPage = 32

  private let publisher: any AlarmPublishing
  private let cursorFile: String
  private let logger: Logger
  private let state: Guarded
  private let counted = Mutex(Faults())
  private let takenCount = Atomic<UInt64>(0)

  /// What the broker has refused, to be sent again: a second after a refusal, and after twice as long each time, up to a
  /// minute.
  private struct Refused {
    private static let longest: Int64 = 60_000
    /// By token, why; sequences of steps, and negative ones of retained messages.
    private(set) var reasons: [Int64: PublishRefusal] = [:]
    private(set) var due: Int64 = .min
    private var delay: Int64 = 0
    private var told: Set<PublishRefusal> = []

    var isEmpty: Bool { reasons.isEmpty }
    /// The earliest step that is not with the broker yet.
    var first: Int64? { reasons.keys.map { Int64($0.magnitude) }.min() }
    /// Why the earliest was refused.
    var reason: PublishRefusal? {
      reasons.min { $0.key.magnitude < $1.key.magnitude }?.value
    }

    /// Takes a refusal in; true when its reason is to be told.
    mutating func note(_ refusal: AlarmRefusal, at now: Int64) -> Bool {
      reasons[refusal.token] = refusal.reason
      // Those that come before the next attempt belong to the last one.
      if now >= due {
        delay = min(max(1_000, delay * 2), Self.longest)
        due = now + delay
      }
      return told.insert(refusal.reason).inserted
    }

    /// The next attempt is made now; what it brings is for the one after.
    mutating func begin(at now: Int64) { due = now }

    /// Forgets a message; true when it was the last.
    mutating func remove(_ token: Int64) -> Bool {
      guard reasons.removeValue(forKey: token) != nil, reasons.isEmpty else { return false }
      self = Refused()
      return true
    }
  }

  /// The state, used by the announcing thread alone.
  private final class Guarded: @unchecked Sendable {
    /// Everything up to here has been confirmed or needs no announcement.
    var confirmed: Int64
    /// Everything up to here has been handed to the publisher.
    var sent: Int64
    /// Handed over and not confirmed, ascending.
    var inFlight: [(sequence: Int64, token: Int64)] = []
    /// Alarms that stood at the start and whose retained message is still to be made sure of; nil until looked up.
    var standing: [AlarmView]?
    var saved: Int64
    /// Monotonic milliseconds before which the cursor is not kept again.
    var nextSave: Int64 = .min
    /// Unrecorded steps for which the publisher had no room yet, oldest first.
    var pending: [UnrecordedAnnouncement] = []
    /// Whether `confirmed` has been held against the ledger's head.
    var isCursorChecked = false
    /// What the broker has refused and is to be sent again.
    var refused = Refused()
    /// Tokens of those that have been handed over again and not been settled.
    var retried: Set<Int64> = []
    /// Reasons for which unrecorded steps were refused, told.
    var toldUnrecorded: Set<PublishRefusal> = []
    /// The last read or write failed, and that has been told.
    var isReadFailing = false
    var isWriteFailing = false

    init(confirmed: Int64) {
      self.confirmed = confirmed
      sent = confirmed
      saved = confirmed
    }
  }

  private static let page = 512

  /// Goes on after the cursor in `cursorFile`, or, where there is none, after `start`.
  public init(
    publisher: any AlarmPublishing,
    cursorFile: String,
    start: Int64,
    logger: Logger
  ) {
    self.publisher = publisher
    self.cursorFile = cursorFile
    self.logger = logger
    state = Guarded(confirmed: Self.cursor(in: cursorFile, logger: logger) ?? start)
  }

  /// What has kept it from its work since the start.
  public var faults: Faults { counted.withLock { $0 } }

  /// How the publisher's connection to the broker stands.
  var linkState: LinkState { publisher.state }

  /// Alarm messages that the broker has taken, those retained not counted.
  public var taken: UInt64 { takenCount.load(ordering: .relaxed) }

  private static func cursor(in file: String, logger: Logger) -> Int64? {
    guard FileManager.default.fileExists(atPath: file) else { return nil }
    do {
      let text = try String(contentsOfFile: file, encoding: .utf8)
      if let saved = Int64(text.trimmingCharacters(in: .whitespacesAndNewlines)) { return saved }
      logger.error(
        "announcement cursor is not a number; every alarm step of the ledger is sent again",
        metadata: ["file": "\(file)", "found": "\(text.prefix(40))"]
      )
    } catch {
      logger.error(
        "announcement cursor unreadable; every alarm step of the ledger is sent again",
        metadata: ["file": "\(file)", "error": "\(error)"]
      )
    }
    return nil
  }

  /// Does what there is to do at monotonic time `now` (milliseconds) and returns how many messages it handed over.
  package func work(
    unrecorded: [UnrecordedAnnouncement],
    exchange: Exchange,
    ledger: any LedgerStore,
    at now: Int64
  ) -> Int {
    checkCursor(head: exchange.head)
    var handed = sendUnrecorded(unrecorded)
    let reached = state.confirmed
    settle(at: now)
    noteWaiting(exchange.head - state.confirmed, hasMoved: state.confirmed != reached, at: now)
    if now >= state.nextSave, state.confirmed != state.saved {
      state.nextSave = now + Self.cursorPeriod
      save()
    }
    if !state.refused.isEmpty, now >= state.refused.due { sendRefused(ledger, at: now) }
    guard exchange.head > state.sent else {
      renewStanding(ledger)
      return handed
    }
    guard let entries = read(ledger) else { return handed }
    for entry in entries {
      if let flood = FloodMessage(entry: entry) {
        guard publish(flood, sequence: entry.sequence) else { break }
        handed += 1
      } else if entry.kind == .alarm, let message = AlarmMessage(entry: entry) {
        guard publish(message, isSummarised: entry.isSummarised, sequence: entry.sequence) else {
          break
        }
        handed += 1
      }
      state.sent = entry.sequence
    }
    return handed
  }

  /// A cursor beyond the ledger's head is another ledger's: kept to, it would silence every step until the head is there.
  ///
  /// What this one has already is no news (a replica lacks the newest of what was announced); what stands is told anew at every
  /// start.
  private func checkCursor(head: Int64) {
    guard !state.isCursorChecked else { return }
    state.isCursorChecked = true
    guard state.sent > head else { return }
    logger.warning(
      "the announcement cursor is beyond the ledger's head, so it is another ledger's; announcing goes on from the head",
      metadata: ["file": "\(cursorFile)", "cursor": "\(state.sent)", "head": "\(head)"]
    )
    state.confirmed = head
    state.sent = head
  }

  /// Hands over a flood's summary.
  private func publish(_ message: FloodMessage, sequence: Int64) -> Bool {
    guard
      publisher.publish(
        topic: message.topic,
        payload: message.payload,
        token: sequence,
        retain: false
      )
    else { return false }
    state.inFlight.append((sequence, sequence))
    return true
  }

  /// Hands over a step twice: to those who follow, unless a flood's summary stands for it, and retained for those who
  /// come later and ask what stands.
  private func publish(_ message: AlarmMessage, isSummarised: Bool, sequence: Int64) -> Bool {
    guard
      publisher.publish(
        topic: message.standingTopic,
        payload: message.isStanding ? message.payload : [],
        token: -sequence,
        retain: true
      )
    else { return false }
    if isSummarised {
      state.inFlight.append((sequence, -sequence))
      return true
    }
    guard
      publisher.publish(
        topic: message.topic,
        payload: message.payload,
        token: sequence,
        retain: false
      )
    else { return false }
    state.inFlight += [(sequence, -sequence), (sequence, sequence)]
    return true
  }

  /// After a start the broker may have lost what it kept, or never had it: once everything new has been handed over,
  /// what stands is handed over once more.
  private func renewStanding(_ ledger: any LedgerStore) {
    if state.standing?.isEmpty == true { return }
    do {
      var waiting = try state.standing ?? ledger.standingAlarms()
      defer { state.standing = waiting }
      while let alarm = waiting.last {
        // A step that is still to be announced brings its retained message with it.
        if alarm.last.sequence <= state.sent {
          let entries = try ledger.entries(
            of: alarm.id,
            after: alarm.last.sequence - 1,
            limit: 1
          )
          if let message = entries.first.flatMap(AlarmMessage.init(entry:)) {
            guard
              publisher.publish(
                topic: message.standingTopic,
                payload: message.payload,
                token: -alarm.last.sequence,
                retain: true
              )
            else { return }
          }
        }
        waiting.removeLast()
      }
    } catch {
      tellUnreadable(error)
    }
  }

  /// Hands over again what was refused, some of it at a time, oldest first.
  ///
  /// What stands goes out by its newest step. An occurrence that has ended never stands again, so that the order of what is
  /// taken back does not matter.
  private func sendRefused(_ ledger: any LedgerStore, at now: Int64) {
    state.refused.begin(at: now)
    let waiting = state.refused.reasons.keys.filter { !state.retried.contains($0) }
    let tokens = waiting.sorted { ($0.magnitude, $0) < ($1.magnitude, $1) }
    do {
      for token in tokens.prefix(Self.refusedPage) {
        let sequence = Int64(token.magnitude)
        let entry = try ledger.entries(after: sequence - 1, limit: 1).first
        guard let entry, entry.sequence == sequence else {
          forget(token)
          continue
        }
        let message = AlarmMessage(entry: entry)
        // A retained message that a newer step has replaced is not put in its place again.
        if token < 0, try !ledger.entries(of: entry.subject, after: sequence, limit: 1).isEmpty {
          forget(token)
          continue
        }
        let topic: String
        let payload: [UInt8]
        if let message {
          topic = token < 0 ? message.standingTopic : message.topic
          payload = token > 0 || message.isStanding ? message.payload : []
        } else if let flood = FloodMessage(entry: entry) {
          topic = flood.topic
          payload = flood.payload
        } else {
          forget(token)
          continue
        }
        guard publisher.publish(topic: topic, payload: payload, token: token, retain: token < 0)
        else { return }
        state.retried.insert(token)
      }
    } catch {
      tellUnreadable(error)
    }
  }

  private func forget(_ token: Int64) {
    state.retried.remove(token)
    if state.refused.remove(token) { logger.notice("the broker takes every alarm message again") }
  }

  private func sendUnrecorded(_ announcements: [UnrecordedAnnouncement]) -> Int {
    state.pending += announcements
    let excess = state.pending.count - Self.pendingLimit
    if excess > 0 {
      state.pending.removeFirst(excess)
      counted.withLock { $0.unrecordedDropped += UInt64(excess) }
    }
    var handed = 0
    for announcement in state.pending {
      // Every unrecorded body is an alarm's own encoding; one that is not would have no topic to go to.
      guard let message = AlarmMessage(unrecorded: announcement.body) else {
        handed += 1
        continue
      }
      guard
        publisher.publish(topic: message.topic, payload: message.payload, token: 0, retain: false)
      else {
        break
      }
      handed += 1
    }
    state.pending.removeFirst(handed)
    return handed
  }

  private func read(_ ledger: any LedgerStore) -> [LedgerEntry]? {
    do {
      let entries = try ledger.entries(after: state.sent, limit: Self.page)
      if state.isReadFailing { logger.notice("ledger readable again; announcing goes on") }
      state.isReadFailing = false
      return entries
    } catch {
      tellUnreadable(error)
      return nil
    }
  }

  private func tellUnreadable(_ error: any Error) {
    counted.withLock { $0.ledgerReads += 1 }
    if !state.isReadFailing {
      logger.error(
        "ledger unreadable; recorded alarm steps wait to be announced",
        metadata: ["after": "\(state.sent)", "error": "\(error)"]
      )
    }
    state.isReadFailing = true
  }

  /// Hands messages over that nobody asks after; gives how many found room.
  func send(_ messages: [OutgoingMessage]) -> Int {
    messages.count { publisher.send($0) }
  }

  /// Waits a while for the broker to take what is queued, has the publisher say good-bye, and keeps the cursor.
  package func stop() {
    finish()
    publisher.stop(grace: Self.grace)
    finish()
  }

  private func noteWaiting(_ waiting: Int64, hasMoved: Bool, at now: Int64) {
    counted.withLock { counted in
      counted.waiting = waiting
      if waiting == 0 {
        counted.waitingSince = nil
      } else if hasMoved || counted.waitingSince == nil {
        counted.waitingSince = now
      }
    }
  }

  /// Takes in confirmations once more and keeps the cursor.
  package func finish() {
    settle(at: 0)
    save()
  }

  private func settle(at now: Int64) {
    let tokens = publisher.takeConfirmed()
    if !tokens.isEmpty {
      let confirmed = Set(tokens)
      takenCount.add(UInt64(tokens.count { $0 >= 0 }), ordering: .relaxed)
      state.inFlight.removeAll { confirmed.contains($0.token) }
      for token in tokens { forget(token) }
    }
    for refusal in publisher.takeRefused() { takeIn(refusal, at: now) }
    counted.withLock { $0.refusal = state.refused.reason?.description }
    let waiting = [state.inFlight.first?.sequence, state.refused.first].compactMap { $0 }.min()
    state.confirmed = waiting.map { $0 - 1 } ?? state.sent
  }

  private func takeIn(_ refusal: AlarmRefusal, at now: Int64) {
    counted.withLock { $0.refused += 1 }
    state.inFlight.removeAll { $0.token == refusal.token }
    state.retried.remove(refusal.token)
    switch refusal.reason {
    case .invalid, .refused(0x90), .refused(0x95), .refused(0x99):
      // Refused for its own sake: topic name, size, content.
      giveUp(refusal, "an alarm message cannot be sent; it stays in the ledger")
    case .notConnected, .refused:
      guard refusal.token != 0 else {
        guard state.toldUnrecorded.insert(refusal.reason).inserted else { return }
        tell(
          refusal,
          "the broker refuses unrecorded alarm messages; they are sent when they are recorded"
        )
        return
      }
      if state.refused.note(refusal, at: now) {
        tell(refusal, "the broker refuses alarm messages; they are sent again until it takes them")
      }
      guard state.refused.reasons.count > Self.refusedLimit,
        let oldest = state.refused.reasons.min(by: { $0.key.magnitude < $1.key.magnitude })
      else { return }
      giveUp(
        AlarmRefusal(token: oldest.key, reason: oldest.value),
        "too many alarm messages are refused; the oldest is given up and stays in the ledger"
      )
    }
  }

  /// Without the word that all is well again, which it is not by giving up.
  private func giveUp(_ refusal: AlarmRefusal, _ what: Logger.Message) {
    state.retried.remove(refusal.token)
    _ = state.refused.remove(refusal.token)
    counted.withLock { $0.givenUp += 1 }
    tell(refusal, what)
  }

  private func tell(_ refusal: AlarmRefusal, _ what: Logger.Message) {
    logger.error(
      what,
      metadata: [
        "reason": "\(refusal.reason)", "sequence": "\(refusal.token.magnitude)",
        "topics": refusal.token < 0
          ? "davy/v1/standing/#" : "davy/v1/alarms/#, davy/v1/floods/#",
      ]
    )
  }

  /// Replaces the cursor file in one step; without it the next start sends more again, nothing worse.
  private func save() {
    guard state.confirmed != state.saved else { return }
    let temporary = cursorFile + ".part"
    do {
      try "\(state.confirmed)\n".write(toFile: temporary, atomically: false, encoding: .utf8)
      guard unsafe rename(temporary, cursorFile) == 0 else {
        throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: cursorFile])
      }
      if state.isWriteFailing { logger.notice("announcement cursor kept again") }
      state.isWriteFailing = false
      state.saved = state.confirmed
    } catch {
      counted.withLock { $0.cursorWrites += 1 }
      if !state.isWriteFailing {
        logger.error(
          "announcement cursor not kept; a restart sends more alarm steps again",
          metadata: ["file": "\(cursorFile)", "error": "\(error)"]
        )
      }
      state.isWriteFailing = true
    }
  }
}

/// An alarm step as it goes out by MQTT; `docs/api/alarm.schema.json` describes it.
public struct AlarmMessage: Sendable {
  /// `davy/v1/alarms/` and the point's path.
  public var topic: String
  /// `davy/v1/standing/`, the point's path, the rule and the onset: where the occurrence's newest step is retained.
  public var standingTopic: String
  /// Whether the occurrence stands after this step.
  public var isStanding: Bool
  /// The alarm body with `recorded`, and for a recorded one its ledger `sequence`, `hash` and event `time`.
  public var payload: [UInt8]

  /// The message for a ledger entry; nil when the body is not an alarm's or has been redacted.
  public init?(entry: LedgerEntry) {
    guard let body = entry.body else { return nil }
    self.init(
      body: body,
      adding: [
        "recorded": .bool(true), "sequence": .integer(entry.sequence),
        "hash": .string(entry.hash.hex), "time": .integer(entry.time.milliseconds),
      ]
    )
  }

  /// The message for a step whose commit has not returned.
  public init?(unrecorded body: [UInt8]) {
    self.init(body: body, adding: ["recorded": .bool(false)])
  }

  private init?(body: [UInt8], adding members: [String: HazardLedger.JSONValue]) {
    guard let value = try? HazardLedger.JSONValue(parsing: body), var all = value.members,
      let point = all["point"]?.text
    else { return nil }
    all.merge(members) { _, new in new }
    let path = point.filter { $0 != "+" && $0 != "#" }
    topic = "davy/v1/alarms/" + path
    let rule = (all["rule"]?.text ?? "").filter { !"+#/".contains($0) }
    standingTopic = "davy/v1/standing/\(path)/\(rule)/\(all["onset"]?.wholeNumber ?? 0)"
    isStanding = all["state"]?.text != "normal"
    payload = HazardLedger.JSONValue.object(all).canonicalBytes()
  }
}
