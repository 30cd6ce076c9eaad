public import DeviceCatalog
public import HazardLedger
public import PayloadDecoding
import Telemetry

/// What follows from some records of the journal.
public struct CoreOutput: Sendable {
  /// Sequence of the newest record that this follows from.
  public var position: UInt64
  /// Ledger entries to be, in order.
  public var drafts: [LedgerDraft] = []
  /// Refused messages and readings, tallied.
  public var rejects: [RejectTally] = []
  /// Operator acts among the records and what became of them.
  public var acts: [ActOutcome] = []
  /// Messages that the formats ask the host to send: rebirth requests, HJ 212 replies.
  ///
  /// A replay sends none.
  public var replies: [OutgoingMessage] = []
  /// Calls and messages to persons, whose ledger entries are among the drafts.
  ///
  /// They go out once these are recorded; a replay sends none.
  public var dispatches: [CalloutDispatch] = []
  /// The readings of these inputs, by rows of the catalog in force after them.
  public var latest: [ChannelReading] = []
  /// Readings from before a change of catalog among these inputs, whose rows are the former catalog's.
  public var former: [FormerReadings] = []

  /// Messages of desks that go out once the ledger entry that speaks of them is committed, or after the time that an
  /// alarm waits for its commit.
  ///
  /// A replay sends none.
  public var answers: [Answer] = []
  /// Steps of alarms that desks have drafted and the other desks have not seen yet; empty when the core is done.
  var deskSteps: [AlarmBody] = []
  /// Clocks that desks want kept and that have not been handed on yet; empty when the core is done.
  var clockOrders: [ClockOrder] = []

  /// Whether desks have put out something that the others have not seen.
  var hasNewsOfDesks: Bool { !deskSteps.isEmpty || !clockOrders.isEmpty }

  /// A message of a desk, recorded before it is sent.
  public struct Answer: Sendable {
    /// Topic name.
    public var topic: String
    /// A JSON object; `recorded`, and for a recorded one the ledger `sequence`, are added when it is sent.
    public var payload: [UInt8]
    /// MQTT 5 correlation data; empty for none.
    public var correlation: [UInt8] = []
    /// Row in ``CoreOutput/drafts`` of the entry that speaks of it.
    public var draftIndex: Int
  }

  /// What became of an operator act.
  public struct ActOutcome: Sendable {
    /// Journal sequence of the act.
    public var sequence: UInt64
    /// Row in ``CoreOutput/drafts`` of its first entry.
    public var draftIndex: Int
    /// Why it changed nothing; nil when it took effect.
    public var refusal: ActError?
  }

  /// A reading with its channel row, for those who show the newest values.
  public struct ChannelReading: Sendable {
    /// Row in the catalog's channels.
    public var channel: Int
    /// The reading.
    public var reading: LatestReading

    /// Makes one.
    public init(channel: Int, reading: LatestReading) {
      self.channel = channel
      self.reading = reading
    }
  }

  /// Readings by the rows of a catalog that is no longer in force.
  public struct FormerReadings: Sendable {
    /// The catalog whose rows they name.
    public var catalog: Catalog
    /// The readings.
    public var readings: [ChannelReading]
  }

  /// Makes an output with nothing in it.
  public init(position: UInt64) {
    self.position = position
  }
}
