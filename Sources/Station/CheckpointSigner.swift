public import HazardLedger
public import Telemetry

/// Signs the ledger as it stands, by the clock and by the number of entries.
///
/// Checkpoints stand beside the chain: when one is signed depends on the clock, and a replay must write the same chain.
public struct CheckpointSigner: Sendable {
  /// A checkpoint at least this often while there are new entries, milliseconds.
  public var everyMilliseconds: Int64
  /// A checkpoint after this many new entries.
  public var everyEntries: Int64
  /// Entries that one step hashes where very many are new: some 40 ms, which acts and alarms wait for meanwhile.
  static let stepEntries: Int64 = 1 << 14
  /// After a failure the next try is not sooner, milliseconds.
  static let retryMilliseconds: Int64 = 60_000
  private let prepare: @Sendable (_ entries: Int64) throws -> Bool
  private let sign: @Sendable (Timestamp) throws -> Checkpoint
  private var size: Int64
  private var time: Int64
  private var failed: Int64?

  /// Makes a signer that goes on after the newest checkpoint.
  ///
  /// - Parameters:
  ///   - ledger: what is signed.
  ///   - key: by what.
  ///   - everyMilliseconds: see ``everyMilliseconds``.
  ///   - everyEntries: see ``everyEntries``.
  /// - Throws: when the newest checkpoint cannot be read.
  public init(
    ledger: any CheckpointStore,
    key: CheckpointKey,
    everyMilliseconds: Int64 = 3_600_000,
    everyEntries: Int64 = 10_000
  ) throws(LedgerError) {
    let newest = try ledger.newestCheckpoint()
    self.init(
      after: newest,
      everyMilliseconds: everyMilliseconds,
      everyEntries: everyEntries,
      prepare: { entries in try ledger.prepareCheckpoint(entries: entries) }
    ) { time in try ledger.signCheckpoint(with: key, at: time) }
  }

  /// Makes a signer from its parts.
  ///
  /// - Parameters:
  ///   - newest: the newest checkpoint.
  ///   - everyMilliseconds: see ``everyMilliseconds``.
  ///   - everyEntries: see ``everyEntries``.
  ///   - prepare: see ``CheckpointStore/prepareCheckpoint(entries:)``.
  ///   - sign: signs.
  public init(
    after newest: Checkpoint?,
    everyMilliseconds: Int64,
    everyEntries: Int64,
    prepare: @escaping @Sendable (_ entries: Int64) throws -> Bool,
    sign: @escaping @Sendable (Timestamp) throws -> Checkpoint
  ) {
    self.everyMilliseconds = max(1_000, everyMilliseconds)
    self.everyEntries = max(1, everyEntries)
    self.prepare = prepare
    self.sign = sign
    size = newest?.size ?? 0
    time = newest?.time.milliseconds ?? 0
  }

  /// Signs when it is time to, the ledger's head being `head`.
  ///
  /// A ledger that is far beyond its newest checkpoint (one that was filled elsewhere, or whose key was away for months)
  /// is hashed in steps, a call each, so that what is to be written never waits for all of it.
  ///
  /// - Returns: the checkpoint; nil when none was due, or while there are steps to do before it.
  /// - Throws: what the ledger throws; the next try is ``retryMilliseconds`` later.
  public mutating func signIfDue(head: Int64, at now: Int64) throws -> Checkpoint? {
    guard head > size, head - size >= everyEntries || now - time >= everyMilliseconds else {
      return nil
    }
    // Not at once again when it has failed: the disk has other things to do then.
    if let failed, now >= failed, now - failed < Self.retryMilliseconds { return nil }
    failed = now
    if head - size > Self.stepEntries, try !prepare(Self.stepEntries) {
      failed = nil
      return nil
    }
    let checkpoint = try sign(Timestamp(milliseconds: now))
    failed = nil
    time = now
    size = checkpoint.size
    return checkpoint
  }
}
