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
  private let sign: @Sendable (Timestamp) throws -> Checkpoint
  private var size: Int64
  private var time: Int64

  /// Makes a signer that goes on after the newest checkpoint.
  ///
  /// - Parameters:
  ///   - ledger: what is signed.
  ///   - key: by what.
  ///   - everyMilliseconds: see ``everyMilliseconds``.
  ///   - everyEntries: see ``everyEntries``.
  /// - Throws: when the newest checkpoint cannot be read.
  public init(
    ledger: SQLiteLedger,
    key: CheckpointKey,
    everyMilliseconds: Int64 = 3_600_000,
    everyEntries: Int64 = 10_000
  ) throws(LedgerError) {
    let newest = try ledger.newestCheckpoint()
    self.init(
      after: newest,
      everyMilliseconds: everyMilliseconds,
      everyEntries: everyEntries
    ) { time in try ledger.signCheckpoint(with: key, at: time) }
  }

  /// Makes a signer from its parts.
  public init(
    after newest: Checkpoint?,
    everyMilliseconds: Int64,
    everyEntries: Int64,
    sign: @escaping @Sendable (Timestamp) throws -> Checkpoint
  ) {
    self.everyMilliseconds = max(1_000, everyMilliseconds)
    self.everyEntries = max(1, everyEntries)
    self.sign = sign
    size = newest?.size ?? 0
    time = newest?.time.milliseconds ?? 0
  }

  /// Signs when it is time to, the ledger's head being `head`.
  ///
  /// - Returns: the checkpoint; nil when none was due.
  /// - Throws: what the ledger throws; the next try is at the next occasion.
  public mutating func signIfDue(head: Int64, at now: Int64) throws -> Checkpoint? {
    guard head > size, head - size >= everyEntries || now - time >= everyMilliseconds else {
      return nil
    }
    // Not before the next interval when it fails: the disk has other things to do then.
    time = now
    let checkpoint = try sign(Timestamp(milliseconds: now))
    size = checkpoint.size
    return checkpoint
  }
}
