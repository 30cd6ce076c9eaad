import AlarmEngine
import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// A part of the deterministic core beside the engine: it lives on the same inputs in the same order and keeps state
/// of its own.
///
/// Hazards with their clocks and call-outs are one desk, welding with its permits another. Like the engine a desk sees
/// no clock, no network and no disk; what it has to say are drafts of ledger entries, answers to acts and messages to
/// send, all of them in ``CoreOutput``. Its time is the receive time of the inputs.
///
/// Not `Sendable`: the thread that owns the ``StationCore`` owns its desks.
protocol Desk: AnyObject {
  /// The desk's name: of its state in a snapshot, and the first level of the topic of the journal records meant for it
  /// (`name/verb`).
  var name: String { get }

  /// When ``advance(_:into:)`` has something to do next, in receive time; nil when nothing waits.
  var nextDeadline: Timestamp? { get }

  /// A catalog is in force from `record` on; `catalog` may be the first one.
  func adopt(_ catalog: Catalog, by record: JournalRecord?, into output: inout CoreOutput)

  /// Goes by the rules of this level from here on; said again, or of a lower level, it changes nothing.
  func follow(_ level: RulesLevel)

  /// Takes a person's act, a register change or a report from outside whose topic names this desk.
  ///
  /// - Returns: why it changed nothing; nil when it took effect. Either is told to who sent it once it is recorded.
  func take(
    _ record: JournalRecord,
    verb: Substring,
    into output: inout CoreOutput
  ) -> ActError?

  /// Whether an input of this verb that leaves no draft is put on record all the same: that it came, and what became of it.
  func needsTrace(_ verb: Substring) -> Bool

  /// Sees a step of an alarm that has just been drafted.
  func follow(_ step: AlarmBody, of record: JournalRecord, into output: inout CoreOutput)

  /// Sees a clock that another desk wants kept.
  func keep(_ order: ClockOrder, of record: JournalRecord, into output: inout CoreOutput)

  /// Whether this desk raised the alarm, so that acts on it are for this desk and not for the engine.
  func owns(_ alarm: AlarmName) -> Bool

  /// Whether this very occurrence is the desk's, and not over; see ``owns(_:)``, which may say yes for the rule as such.
  func stands(_ alarm: AlarmName) -> Bool

  /// Does what a person asks with an alarm of the desk's own.
  ///
  /// - Returns: why it changed nothing; nil when it took effect.
  func perform(
    _ act: OperatorAct,
    on alarm: AlarmName,
    of record: JournalRecord,
    into output: inout CoreOutput
  ) -> ActError?

  /// It is later: does what has fallen due, each at its own time.
  func advance(_ record: JournalRecord, into output: inout CoreOutput)

  /// The input to put in first after a restart; nil when the desk has nothing to take up again.
  var resumption: DeskInput? { get }

  /// All state as versioned bytes.
  func snapshot() -> [UInt8]

  /// Goes on from ``snapshot()``; the catalog has been adopted before.
  ///
  /// - Throws: why the bytes cannot be used.
  func restore(_ bytes: [UInt8]) throws
}

extension Desk {
  func adopt(_ catalog: Catalog, by record: JournalRecord?, into output: inout CoreOutput) {}

  func follow(_ level: RulesLevel) {}

  var resumption: DeskInput? { nil }

  func needsTrace(_ verb: Substring) -> Bool { true }

  func follow(_ step: AlarmBody, of record: JournalRecord, into output: inout CoreOutput) {}

  func keep(_ order: ClockOrder, of record: JournalRecord, into output: inout CoreOutput) {}

  func owns(_ alarm: AlarmName) -> Bool { false }

  func stands(_ alarm: AlarmName) -> Bool { owns(alarm) }

  func perform(
    _ act: OperatorAct,
    on alarm: AlarmName,
    of record: JournalRecord,
    into output: inout CoreOutput
  ) -> ActError? { .unknownAlarm(act.alarm) }
}

/// A clock of the ledger that one desk wants and the hazard desk keeps: the end of a permit, the expiry of a certificate.
///
/// Said again it changes nothing, so that a desk may say all it knows whenever its register changes.
struct ClockOrder: Sendable {
  /// Identity of the clock; the ledger's subject.
  var id: String
  /// What it measures; how long ahead to warn comes from the response policy.
  var kind: ClockKind
  /// Path of what it is about.
  var about: String
  /// When it comes due; nil stops it.
  var due: Timestamp?
  /// Who brought the change about.
  var actor: String
}

/// An act, a register change or a report from outside, on its way to a desk.
public struct DeskInput: Sendable {
  /// What kind of journal record it becomes.
  public enum Kind: Sendable {
    /// A person's act.
    case command
    /// A change of a register: permits, certificates, rosters.
    case register
    /// What comes back from outside: a call answered, a notification delivered.
    case external
  }

  /// The kind.
  public var kind: Kind
  /// The desk's name.
  public var desk: String
  /// What is to be done, in the desk's own words.
  public var verb: String
  /// The particulars: JSON, so that anybody can read the recording.
  public var payload: [UInt8]

  /// Makes an input.
  public init(kind: Kind, desk: String, verb: String, payload: [UInt8]) {
    self.kind = kind
    self.desk = desk
    self.verb = verb
    self.payload = payload
  }

  /// The input as a journal record yet to be stamped.
  var journalInput: JournalInput {
    JournalInput(
      kind: kind.record,
      received: 0,
      topic: Array("\(desk)/\(verb)".utf8),
      payload: payload
    )
  }
}

extension DeskInput.Kind {
  var record: JournalInput.Kind {
    switch self {
    case .command: .command
    case .register: .register
    case .external: .external
    }
  }
}
