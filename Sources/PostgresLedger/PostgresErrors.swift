import HazardLedger

extension PostgresLedger {
  /// Runs work on the store and names its failure by place and remedy.
  static func translating<Answer>(
    _ path: String,
    _ work: () throws -> Answer
  ) throws(LedgerError) -> Answer {
    try LedgerError.translating(
      path,
      { (failure: PostgresFailure) in LedgerError(failure, path: path) },
      work
    )
  }
}

extension LedgerError {
  /// By SQLSTATE, see appendix A of PostgreSQL's manual.
  init(_ failure: PostgresFailure, path: String) {
    let code = failure.code
    let detail = code.isEmpty ? failure.message : "SQLSTATE \(code): \(failure.message)"
    switch (code.prefix(2), code) {
    case (_, "53100"): self = .diskFull(path: path)
    // Lock not available, deadlock, serialization, cancelled, out of connections or memory.
    case ("55", _), ("40", _), (_, "57014"), ("53", _): self = .busy(path: path, detail: detail)
    // A constraint or a trigger of ours, a value too long for an index.
    case ("23", _), ("P0", _), ("54", _), ("22", _): self = .refused(reason: detail)
    case ("XX", _): self = .damaged(path: path, detail: detail)
    case ("58", _): self = .inputOutput(path: path, detail: detail)
    // No connection, wrong password, no such database, no privilege, read-only standby, shutting down; a pooler that gives
    // each transaction another session, in which our statements and locks are not.
    case ("", _), ("08", _), ("28", _), ("3D", _), ("25", _), ("26", _), ("57", _), (_, "42501"):
      self = .notAccessible(path: path, detail: detail)
    default: self = .damaged(path: path, detail: detail)
    }
  }
}
