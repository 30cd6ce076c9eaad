/// Limits and delays of a running station.
public struct StationLimits: Sendable {
  /// An alarm whose commit takes longer than this is announced unrecorded, in milliseconds.
  public var unrecordedAfter: Int64 = 200
  /// Messages polled before they are committed together.
  public var batchMessages = 4_096
  /// Bytes after which no more messages are polled: a batch goes through three threads, and shall still be in the
  /// processor's caches for the last of them.
  public var batchBytes = 1 << 20
  /// The same where a commit takes long: the slower the disk syncs, the more each sync has to carry.
  public var batchBytesSlow = 8 << 20
  /// Inputs that may wait for the engine or the journal before intake stops reading.
  public var waitingInputs = 100_000
  /// Bytes that these inputs may have.
  public var waitingBytes = 256 << 20
  /// Inputs, or bytes, that wait for the engine from which on intake lets it go first, a little: with the processor busy,
  /// what is read ahead is no longer in its caches when its turn comes.
  public var deepInputs = 16_384
  /// See ``deepInputs``.
  public var deepBytes = 4 << 20
  /// Drafts, refusals and acts, with the outputs that hold them, that may wait for the ledger before intake stops reading;
  /// refusals that have waited a while count as a line of their kind (`LedgerQueue`).
  public var waitingDrafts = 200_000
  /// Bytes that these may take.
  public var waitingDraftBytes = 256 << 20
  /// Drafts in one ledger transaction.
  public var draftsPerCommit = 4_096
  /// Operator acts that may wait to be taken in.
  public var waitingActs = 1_000
  /// How long an act waits for its ledger entry.
  public var actTimeout: Duration = .seconds(10)
  /// Records between two snapshots.
  ///
  /// Each saves the next start the journal before it, and lets retention delete that.
  public var snapshotEvery: UInt64 = 500_000
  /// Bytes of inputs between two snapshots.
  public var snapshotBytes = 16 << 30
  /// Milliseconds between two snapshots where anything came; a great engine stands still for each.
  public var snapshotMilliseconds: Int64 = 3_600_000
  /// How long a link must have stood, with nothing waiting at the broker, before engine deadlines fire again.
  public var settleMilliseconds: Int64 = 2_000
  /// How long a link may be down before engine deadlines fire all the same.
  public var linkLossMilliseconds: Int64 = 10_000
  /// Milliseconds before a failed commit is tried again.
  public var retryDelay: Int64 = 100
  /// Bytes that the newest readings of all points, kept for trends, may take.
  public var trendBytes = 64 << 20
  /// Newest records of the journal that are decoded at a start, so that points show what they last had.
  public var shownAtStart: UInt64 = 100_000

  /// The defaults.
  public init() {}

  /// The defaults, for a journal that is kept below a size.
  ///
  /// Only what lies before the older of the two snapshots that are kept can be deleted, so the journal grows beyond its size by
  /// what comes between them: a quarter at most, or two segments, which are deleted as a whole.
  public init(journalBytes: Int64, segmentBytes: Int64) {
    snapshotBytes = Int(max(journalBytes / 8, segmentBytes))
  }
}
