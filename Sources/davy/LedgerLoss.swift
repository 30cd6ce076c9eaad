import Foundation
package import Journal

/// A ledger that is gone although the journal shows that there was one; a start begins it anew.
package struct LedgerLoss: Sendable, CustomStringConvertible {
  private let ledger: String
  private let first: UInt64
  private let last: UInt64

  /// Looks at what the journal holds beside a ledger that is missing; nil where that is nothing.
  ///
  /// - Parameters:
  ///   - ledger: path of the ledger's file.
  ///   - journal: the journal beside it.
  package init?(of ledger: String, beside journal: SegmentJournal) {
    guard journal.lastSequence > 0 else { return nil }
    self.ledger = ledger
    first = journal.contents.firstSequence
    last = journal.lastSequence
  }

  /// Whether a ledger's file is missing or empty: to be asked before the ledger is opened, which makes one.
  package static func isMissing(_ ledger: String) -> Bool {
    let attributes = try? FileManager.default.attributesOfItem(atPath: ledger)
    let bytes = (attributes?[.size] as? NSNumber)?.int64Value
    return bytes ?? 0 == 0
  }

  /// What is lost, and what to do.
  package var description: String {
    var lost = "the former entries' numbers and hashes, checkpoints and redactions"
    if first > 1 {
      lost += ", and all entries of inputs before \(first), which the journal no longer has"
    }
    return """
      the ledger \(ledger) is missing or empty, but the journal holds inputs \(first) to \(last); it is begun anew from \
      them. Lost are \(lost). To have them back, stop the service and put ledger.sqlite back from a backup
      """
  }
}
