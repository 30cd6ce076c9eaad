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
  /// The newest reading of each channel that had one.
  public var latest: [ChannelReading] = []

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
  }

  /// Makes an output with nothing in it.
  public init(position: UInt64) {
    self.position = position
  }
}
