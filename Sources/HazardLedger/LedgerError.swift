/// Why the ledger could not do what was asked: the place, and what an operator can do.
public enum LedgerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No room on the volume, or the file's page limit is reached.
  case diskFull(path: String)
  /// Another connection holds the database longer than the busy time-out.
  case busy(path: String, detail: String)
  /// Another process writes this ledger.
  case inUse(path: String)
  /// The file is not what SQLite or Davy wrote.
  case damaged(path: String, detail: String)
  /// Written by a newer Davy.
  case schemaTooNew(path: String, found: Int, supported: Int)
  /// An SQLite file, but no ledger.
  case notALedger(path: String, detail: String)
  /// The ledger belongs to another station.
  case wrongStation(path: String, found: String, expected: String)
  /// The file or its folder cannot be opened or written.
  case notAccessible(path: String, detail: String)
  /// The volume answers with an input/output error.
  case inputOutput(path: String, detail: String)
  /// Another writer has opened this ledger since: this one may never write it again.
  case fenced(path: String, epoch: Int64)
  /// The store has lost commits that this writer was told are kept: a server that was put back, or another in its place.
  case wentBack(path: String, position: UInt64, known: UInt64)
  /// The key that signs checkpoints cannot be used; the ledger is another file, and has nothing to do with it.
  case checkpointKey(path: String, detail: String)
  /// The batch's inputs are in the ledger already: a retry of a commit that had succeeded.
  case alreadyRecorded(position: UInt64)
  /// The journal has not come as far as the batch in time; it can be handed in again when it has.
  case notCovered(position: UInt64)
  /// The caller handed in what the ledger does not take.
  case refused(reason: String)
  /// One draft of the batch holds what the ledger does not take; the others may be sound.
  case refusedDraft(index: Int, reason: String)

  /// Place, cause and remedy in one line.
  public var description: String {
    switch self {
    case .diskFull(let path):
      "ledger \(path): no room left on the volume; free some or enlarge it, "
        + "the entries are written when there is room"
    case .busy(let path, let detail):
      "ledger \(path): held by another connection (\(detail)); "
        + "end the program that keeps a transaction open on it"
    case .inUse(let path):
      "ledger \(path): another process is writing it; one station has one writer, stop the other"
    case .damaged(let path, let detail):
      "ledger \(path): damaged (\(detail)); keep the file, run `davy verify` on a copy, "
        + "and rebuild the ledger by replaying the journal"
    case .schemaTooNew(let path, let found, let supported):
      "ledger \(path): schema \(found) was written by a newer Davy, this one knows up to "
        + "\(supported); install the newer Davy again"
    case .notALedger(let path, let detail):
      "ledger \(path): not a Davy ledger (\(detail)); check the configured path"
    case .wrongStation(let path, let found, let expected):
      "ledger \(path): belongs to station \"\(found)\", not \"\(expected)\"; "
        + "check the station's name and the configured path"
    case .notAccessible(let path, let detail):
      "ledger \(path): cannot be opened or written (\(detail)); check that the folder exists "
        + "and its owner and mode"
    case .inputOutput(let path, let detail):
      "ledger \(path): input/output error (\(detail)); check the volume and the kernel's log"
    case .fenced(let path, let epoch):
      "ledger \(path): another station has taken it over, this one's epoch \(epoch) is past; "
        + "end this process, and let only one station of this name run"
    case .wentBack(let path, let position, let known):
      "ledger \(path): it stands at input \(position), but inputs up to \(known) had been committed; a start writes "
        + "what is missing again from the journal"
    case .checkpointKey(let path, let detail):
      "checkpoint key \(path): \(detail); put the file back from a backup (the ledger is not concerned), or move it away: "
        + "a start then makes a new key, and whoever verifies needs the new .pub beside the old one"
    case .alreadyRecorded(let position):
      "ledger: the inputs up to \(position) are recorded already; read the position and go on there"
    case .notCovered(let position):
      "ledger: the journal does not hold the inputs up to \(position) yet; append them when it does"
    case .refused(let reason), .refusedDraft(_, let reason):
      "ledger: refused, \(reason)"
    }
  }
}

extension LedgerError {
  /// True when the volume or the moment is at fault: the same commit may go well later.
  package var isPassing: Bool {
    switch self {
    case .diskFull, .busy, .notAccessible, .inputOutput: true
    case .inUse, .damaged, .schemaTooNew, .notALedger, .wrongStation, .fenced, .wentBack,
      .checkpointKey, .alreadyRecorded, .notCovered, .refused, .refusedDraft:
      false
    }
  }

  /// True when the store is no longer as this writer knows it: its process must end, and a start look at it anew.
  package var endsWriter: Bool {
    switch self {
    case .fenced, .wentBack: true
    case .diskFull, .busy, .notAccessible, .inputOutput, .inUse, .damaged, .schemaTooNew,
      .notALedger, .wrongStation, .checkpointKey, .alreadyRecorded, .notCovered, .refused,
      .refusedDraft:
      false
    }
  }

  /// Runs work on a store and names its failure by place and remedy.
  ///
  /// - Parameters:
  ///   - path: what messages call the store.
  ///   - named: the store's own errors as the ledger's.
  ///   - work: the work.
  /// - Returns: what the work answers.
  /// - Throws: the ledger's own errors as they are; those of the store as `named` has them; anything else as damage.
  package static func translating<Failure: Error, Answer>(
    _ path: String,
    _ named: (Failure) -> LedgerError,
    _ work: () throws -> Answer
  ) throws(LedgerError) -> Answer {
    do {
      return try work()
    } catch let error as LedgerError {
      throw error
    } catch let failure as Failure {
      throw named(failure)
    } catch {
      throw .damaged(path: path, detail: "\(error)")
    }
  }
}
