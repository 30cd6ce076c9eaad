import Crypto
import Foundation
public import Telemetry

/// What an entry is about; written as its raw value, which never changes once used.
public enum EntryKind: String, CaseIterable, Hashable, Sendable {
  /// The first entry: names the station and the format.
  case genesis
  /// A step of an alarm, see ``AlarmBody``.
  case alarm
  /// A step of a hazard's closed loop.
  case hazard
  /// A step of a call-out (叫应).
  case callout
  /// A clock started, came due or stopped.
  case clock
  /// A notice to persons (提醒): told, delivered, given up, see ``PendingNotice``.
  case notice
  /// A silence or an inhibition was set or ended.
  case silence
  /// A register changed: permits, certificates, rosters, policies.
  case register
  /// The catalog changed.
  case catalog
  /// Davy's own condition: clock faults, storage, back-pressure.
  case system
  /// A welding scan with its answer, a command to a machine, and what came of it.
  case welding
  /// Bodies were pruned by rule.
  case redaction
}

/// An entry before the ledger has given it a place: what the caller states.
///
/// Contents come only from inputs, so that a replay writes the same bytes.
public struct LedgerDraft: Hashable, Sendable {
  /// When it happened.
  public var time: Timestamp
  /// What it is about.
  public var kind: EntryKind
  /// Which alarm, hazard or other thing, by its id; U+0000, which no store holds, stands there as U+2400.
  public var subject: String { didSet { subject = subject.storable } }
  /// `engine`, or the person who acted; U+0000 stands there as U+2400.
  public var actor: String { didSet { actor = actor.storable } }
  /// Canonical JSON.
  public var body: [UInt8]
  /// Journal sequence of the input that brought it about.
  public var origin: UInt64

  /// Makes a draft.
  public init(
    time: Timestamp,
    kind: EntryKind,
    subject: String,
    actor: String,
    body: [UInt8],
    origin: UInt64
  ) {
    self.time = time
    self.kind = kind
    self.subject = subject.storable
    self.actor = actor.storable
    self.body = body
    self.origin = origin
  }

  /// Makes the draft of an alarm's step.
  public init(alarm body: AlarmBody, time: Timestamp, origin: UInt64) {
    self.init(
      time: time,
      kind: .alarm,
      subject: body.alarm,
      actor: body.actor.isEmpty ? "engine" : body.actor,
      body: body.encoded(),
      origin: origin
    )
  }
}

extension String {
  /// The text as stores can keep it: SQLite's ends at U+0000, and PostgreSQL's cannot hold it, so its picture stands there.
  package var storable: String {
    guard utf8.contains(0) else { return self }
    return String(map { $0 == "\0" ? "\u{2400}" : $0 })
  }
}

/// One entry of the ledger.
public struct LedgerEntry: Hashable, Sendable {
  /// Place in the ledger, dense from 1; the cursor of every stream.
  public var sequence: Int64
  /// When it happened.
  public var time: Timestamp
  /// What it is about.
  public var kind: EntryKind
  /// Which alarm, hazard or other thing, by its id.
  public var subject: String
  /// `engine`, or the person who acted.
  public var actor: String
  /// Canonical JSON; nil once pruned by a redaction.
  public var body: [UInt8]?
  /// Journal sequence of the input that brought it about.
  public var origin: UInt64
  /// Hash of the entry before; 32 zero bytes for the first.
  public var previousHash: [UInt8]
  /// SHA-256 over the canonical encoding, see ``EntryEncoding``; the RFC 6962 leaf hash as well.
  public var hash: [UInt8]

  /// Makes an entry from its parts.
  public init(
    sequence: Int64,
    time: Timestamp,
    kind: EntryKind,
    subject: String,
    actor: String,
    body: [UInt8]?,
    origin: UInt64,
    previousHash: [UInt8],
    hash: [UInt8]
  ) {
    self.sequence = sequence
    self.time = time
    self.kind = kind
    self.subject = subject
    self.actor = actor
    self.body = body
    self.origin = origin
    self.previousHash = previousHash
    self.hash = hash
  }
}

/// The bytes that an entry's hash is taken over.
///
/// Integers are big-endian, texts are UTF-8 behind their length:
///
/// | bytes | what |
/// |---|---|
/// | 1 | `0x00`, the leaf prefix of RFC 6962 |
/// | 1 | format, `0x01` |
/// | 8 | sequence, signed |
/// | 8 | time, milliseconds since the Unix epoch, signed |
/// | 4 + n | kind |
/// | 4 + n | subject |
/// | 4 + n | actor |
/// | 8 | origin, unsigned |
/// | 4 | length of the body |
/// | 32 | SHA-256 of the body |
/// | 32 | hash of the entry before |
///
/// The body enters by its digest, so that a redaction can prune it and the chain still verifies.
/// The leaf prefix makes an entry's hash its leaf hash in the Merkle tree: one hash serves both.
enum EntryEncoding {
  static let format: UInt8 = 1
  static let noHash = [UInt8](repeating: 0, count: 32)

  /// The hash of an entry, given its fields; `buffer` is scratch that keeps its capacity.
  static func hash(
    of draft: LedgerDraft,
    sequence: Int64,
    previous: [UInt8],
    buffer: inout [UInt8]
  ) -> [UInt8] {
    buffer.removeAll(keepingCapacity: true)
    buffer.append(0)
    buffer.append(format)
    append(UInt64(bitPattern: sequence), to: &buffer)
    append(UInt64(bitPattern: draft.time.milliseconds), to: &buffer)
    append(draft.kind.rawValue, to: &buffer)
    append(draft.subject, to: &buffer)
    append(draft.actor, to: &buffer)
    append(draft.origin, to: &buffer)
    append(UInt32(draft.body.count), to: &buffer)
    buffer.append(contentsOf: SHA256.hash(data: draft.body))
    buffer.append(contentsOf: previous)
    return [UInt8](SHA256.hash(data: buffer))
  }

  private static func append<Number: FixedWidthInteger>(_ number: Number, to bytes: inout [UInt8]) {
    for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> Number(shift)))
    }
  }

  private static func append(_ text: String, to bytes: inout [UInt8]) {
    append(UInt32(text.utf8.count), to: &bytes)
    bytes.append(contentsOf: text.utf8)
  }
}

/// How often one thing was refused for one reason: not a chain entry, but counted in the same store.
public struct RejectTally: Hashable, Sendable {
  /// Reason, from the decoder's bounded enum.
  public var reason: String
  /// Topic; invalid UTF-8 repaired for reading.
  public var topic: String
  /// Device, as far as known.
  public var device: String
  /// How many.
  public var count: Int64
  /// Journal sequence of the first input so refused.
  public var firstSequence: UInt64
  /// Journal sequence of the newest.
  public var lastSequence: UInt64
  /// Receive time of the first.
  public var firstTime: Timestamp
  /// Receive time of the newest.
  public var lastTime: Timestamp
  /// Place and detail of the newest, for people.
  public var detail: String
  /// Beginning of the newest refused payload.
  public var sample: [UInt8]

  /// Makes a tally of one or more refusals.
  public init(
    reason: String,
    topic: String,
    device: String = "",
    count: Int64 = 1,
    firstSequence: UInt64,
    lastSequence: UInt64,
    firstTime: Timestamp,
    lastTime: Timestamp,
    detail: String = "",
    sample: [UInt8] = []
  ) {
    self.reason = reason
    self.topic = topic
    self.device = device
    self.count = count
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.firstTime = firstTime
    self.lastTime = lastTime
    self.detail = detail
    self.sample = sample
  }
}
