import Foundation
import Glibc
public import HazardLedger
import Telemetry

/// What the announcer needs of an MQTT publisher.
public protocol AlarmPublishing: AnyObject, Sendable {
  /// Queues a message at QoS 1.
  ///
  /// - Parameters:
  ///   - topic: its topic name.
  ///   - payload: its payload.
  ///   - token: what ``takeConfirmed()`` names it by; 0 for messages nobody asks after.
  /// - Returns: false when the queue is full, and then nothing was queued.
  func publish(topic: String, payload: [UInt8], token: Int64) -> Bool
  /// Tokens of the messages that the broker has acknowledged since the last call.
  func takeConfirmed() -> [Int64]
}

/// Publishes every alarm entry of the ledger, in order, at least once.
///
/// The ledger is the queue: the announcer reads it after a cursor, which moves only when the broker has
/// acknowledged, and which is kept in a file. A restart, a full queue or an absent broker loses
/// nothing; what was sent but not confirmed is sent again with the same ledger sequence, by
/// which receivers tell a repeat.
public final class Announcer: Sendable {
  private let publisher: any AlarmPublishing
  private let cursorFile: String
  private let state: Guarded

  /// The state, used by the announcing thread alone.
  private final class Guarded: @unchecked Sendable {
    /// Everything up to here has been confirmed or needs no announcement.
    var confirmed: Int64
    /// Everything up to here has been handed to the publisher.
    var sent: Int64
    /// Handed over and not confirmed, ascending.
    var inFlight: [Int64] = []
    var saved: Int64

    init(confirmed: Int64) {
      self.confirmed = confirmed
      sent = confirmed
      saved = confirmed
    }
  }

  private static let page = 512

  /// Goes on after the cursor in `cursorFile`, or, where there is none, after `start`.
  public init(publisher: any AlarmPublishing, cursorFile: String, start: Int64) {
    self.publisher = publisher
    self.cursorFile = cursorFile
    let text = try? String(contentsOfFile: cursorFile, encoding: .utf8)
    let saved = text.flatMap { Int64($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    state = Guarded(confirmed: saved ?? start)
  }

  /// Does what there is to do and returns how many messages it handed over.
  func work(
    unrecorded: [UnrecordedAnnouncement],
    exchange: Exchange,
    ledger: any LedgerStore
  ) -> Int {
    var handed = 0
    for announcement in unrecorded {
      guard let message = AlarmMessage(unrecorded: announcement.body) else { continue }
      if publisher.publish(topic: message.topic, payload: message.payload, token: 0) { handed += 1 }
    }
    settle()
    guard exchange.head > state.sent,
      let entries = try? ledger.entries(after: state.sent, limit: Self.page)
    else { return handed }
    for entry in entries {
      if entry.kind == .alarm, let message = AlarmMessage(entry: entry) {
        guard
          publisher.publish(
            topic: message.topic,
            payload: message.payload,
            token: entry.sequence
          )
        else { break }
        state.inFlight.append(entry.sequence)
        handed += 1
      }
      state.sent = entry.sequence
    }
    return handed
  }

  /// Takes in confirmations once more and keeps the cursor.
  func finish() {
    settle()
    save()
  }

  private func settle() {
    let confirmed = Set(publisher.takeConfirmed())
    if !confirmed.isEmpty {
      state.inFlight.removeAll { confirmed.contains($0) }
    }
    state.confirmed = state.inFlight.first.map { $0 - 1 } ?? state.sent
    if state.confirmed >= state.saved + 256
      || (state.inFlight.isEmpty && state.confirmed > state.saved)
    {
      save()
    }
  }

  /// Replaces the cursor file in one step; without it the next start sends more again, nothing worse.
  private func save() {
    guard state.confirmed != state.saved else { return }
    let temporary = cursorFile + ".part"
    guard
      (try? "\(state.confirmed)\n".write(toFile: temporary, atomically: false, encoding: .utf8))
        != nil,
      unsafe rename(temporary, cursorFile) == 0
    else { return }
    state.saved = state.confirmed
  }
}

/// An alarm step as it goes out by MQTT; `docs/api/alarm.schema.json` describes it.
public struct AlarmMessage: Sendable {
  /// `davy/v1/alarms/` and the point's path.
  public var topic: String
  /// The alarm body with `recorded`, and for a recorded one its ledger `sequence`, `hash` and event `time`.
  public var payload: [UInt8]

  /// The message for a ledger entry; nil when the body is not an alarm's or has been redacted.
  public init?(entry: LedgerEntry) {
    guard let body = entry.body else { return nil }
    self.init(
      body: body,
      adding: [
        "recorded": .bool(true), "sequence": .integer(entry.sequence),
        "hash": .string(entry.hash.hexText), "time": .integer(entry.time.milliseconds),
      ]
    )
  }

  /// The message for a step whose commit has not returned.
  public init?(unrecorded body: [UInt8]) {
    self.init(body: body, adding: ["recorded": .bool(false)])
  }

  private init?(body: [UInt8], adding members: [String: JSONValue]) {
    guard let value = try? JSONValue(parsing: body), var all = value.members,
      let point = all["point"]?.text
    else { return nil }
    all.merge(members) { _, new in new }
    topic = "davy/v1/alarms/" + point.filter { $0 != "+" && $0 != "#" }
    payload = JSONValue.object(all).canonicalBytes()
  }
}

extension [UInt8] {
  /// The bytes as lower-case hexadecimal digits.
  public var hexText: String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(count * 2)
    for byte in self {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
