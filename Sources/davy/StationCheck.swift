package import Crypto
package import Foundation
package import HazardLedger
package import Journal
import Station

/// Ledger and journal of a station's data folder: each by itself, and whether they go together.
package struct StationCheck: Sendable {
  /// The ledger; why it cannot be read, where it cannot.
  package let ledger: Result<LedgerVerifier.Report, LedgerError>
  /// The journal; why it cannot be read, where it cannot.
  package let journal: Result<JournalVerification, JournalError>
  /// What the journal ought to have and does not, so that no start comes to where the ledger stands.
  package let gaps: [String]

  /// Reads both; a station may be at work on them.
  ///
  /// - Parameters:
  ///   - folder: the station's data folder.
  ///   - trusted: checkpoint keys to hold signatures against; empty takes those in the ledger.
  package init(folder: URL, trusting trusted: [Curve25519.Signing.PublicKey] = []) {
    let path = folder.appendingPathComponent("journal").path
    // The journal's beginning before the ledger, as retention goes on meanwhile; its end after it, as the ledger is never
    // ahead.
    let beginning = Beginning(
      journal: path,
      snapshots: folder.appendingPathComponent("snapshots").path
    )
    let ledger = Self.ledger(folder.appendingPathComponent("ledger.sqlite").path, trusted)
    let (journal, last) = Self.journal(path)
    self.ledger = ledger
    self.journal = journal
    let position = (try? ledger.get().position).map { UInt64(clamping: $0) }
    var gaps: [String] = []
    if let gap = beginning.gap(upTo: position ?? .max) { gaps.append(gap) }
    if let position, let last, last < position {
      gaps.append(
        "inputs \(last + 1) to \(position) are missing: the journal ends before what the ledger has recorded, "
          + "and no station starts from this; put the missing segments back, or restore a backup"
      )
    }
    self.gaps = gaps
  }

  /// Whether nothing is wrong.
  package var isWhole: Bool {
    guard case .success(let ledger) = ledger, case .success(let journal) = journal else {
      return false
    }
    return ledger.isIntact && journal.isSound && gaps.isEmpty
  }

  /// What was found, a line each.
  package var lines: [String] {
    var lines: [String] = []
    switch ledger {
    case .success(let report):
      lines.append(
        "ledger  \(report.station): \(report.entries) entries, \(report.redacted) redacted, position \(report.position), "
          + (report.isIntact ? "chain intact" : "NOT INTACT")
      )
      lines.append("        head \(report.headHash.hex)")
      lines += report.findings.map { "        \($0)" }
    case .failure(let error):
      lines += ["ledger  NOT READABLE", "        \(error.found)"]
    }
    switch journal {
    case .success(let journal):
      lines.append(
        "journal \(journal.segments) segments, \(journal.blocks) blocks, \(journal.records) records, "
          + (journal.isSound && gaps.isEmpty ? "sound" : "DAMAGED")
      )
      lines += journal.damage.map { "        \($0)" }
      lines += journal.faults.map { "        \($0.segment): \($0.message)" }
    case .failure(let error):
      lines += ["journal NOT READABLE", "        \(error)"]
    }
    return lines + gaps.map { "        \($0)" }
  }

  /// The same for programs.
  var json: JSONValue {
    .object(["ledger": ledgerJSON, "journal": journalJSON, "whole": .bool(isWhole)])
  }

  private var ledgerJSON: JSONValue {
    switch ledger {
    case .success(let report):
      .object([
        "station": .string(report.station), "entries": .integer(report.entries),
        "redacted": .integer(report.redacted), "head": .string(report.headHash.hex),
        "position": .integer(report.position), "checkpoints": .integer(Int64(report.checkpoints)),
        "intact": .bool(report.isIntact),
        "firstBadEntry": report.firstBadEntry.map(JSONValue.integer) ?? .null,
        "findings": .array(report.findings.map { .string($0.description) }),
      ])
    case .failure(let error):
      .object(["intact": .bool(false), "findings": .array([.string(error.found)])])
    }
  }

  private var journalJSON: JSONValue {
    let gaps = JSONValue.array(gaps.map { .string($0) })
    switch journal {
    case .success(let journal):
      return .object([
        "segments": .integer(Int64(journal.segments)), "blocks": .integer(Int64(journal.blocks)),
        "records": .integer(Int64(journal.records)),
        "sound": .bool(journal.isSound && self.gaps.isEmpty),
        "damage": .array(journal.damage.map { .string("\($0)") }),
        "faults": .array(journal.faults.map { .string("\($0.segment): \($0.message)") }),
        "gaps": gaps,
      ])
    case .failure(let error):
      return .object([
        "sound": .bool(false), "faults": .array([.string("\(error)")]), "gaps": gaps,
      ])
    }
  }

  /// The ledger by itself.
  static func ledger(
    _ path: String,
    _ trusted: [Curve25519.Signing.PublicKey]
  ) -> Result<LedgerVerifier.Report, LedgerError> {
    do throws(LedgerError) {
      return .success(try LedgerVerifier(path: path).verify(trusting: trusted))
    } catch {
      return .failure(error)
    }
  }

  /// The journal by itself, and its last sequence.
  private static func journal(
    _ path: String
  ) -> (Result<JournalVerification, JournalError>, last: UInt64?) {
    do throws(JournalError) {
      let recording = try Recording(path: path)
      return (.success(try recording.verify()), recording.lastSequence)
    } catch {
      return (.failure(error), nil)
    }
  }
}

/// How far back a start can go: the journal's first segment, and the snapshots that take it over what was before.
private struct Beginning {
  private var first: UInt64 = 1
  private var snapshots: [UInt64] = []
  /// The journal begins with what a start could not see.
  private var isTold = false
  /// What could not be looked into, and why: a start may yet find its way there.
  private var unread: [String] = []
  private static let earliest = 64
  private static let tellsOfGaps = Array("gap/unseen".utf8)

  init(journal: String, snapshots path: String) {
    // (The check of the journal by itself says why one cannot be opened.)
    guard let recording = try? Recording(path: journal), recording.firstSequence > 1 else { return }
    first = recording.firstSequence
    do {
      // A start that had nothing of what is before has put that on record: nothing is missing that is not told.
      let earliest = try recording.read(from: first, limit: Self.earliest)
      isTold = earliest.contains {
        $0.input.kind == .external && $0.input.topic == Self.tellsOfGaps
      }
    } catch {
      unread.append("\(error)")
    }
    guard FileManager.default.fileExists(atPath: path) else { return }
    do {
      let folder = try SnapshotFolder(path: path)
      for position in try folder.positions() where position >= first - 1 {
        do {
          let bytes = try folder.read(position)
          // What is no snapshot of this version takes no start anywhere.
          if (try? StationCore(snapshot: bytes)) != nil { snapshots.append(position) }
        } catch {
          unread.append("snapshot \(position): \(error.localizedDescription)")
        }
      }
    } catch {
      unread.append("\(path): \(error.localizedDescription)")
    }
  }

  /// What is missing where no snapshot reaches the journal that a ledger at `position` has come up to.
  func gap(upTo position: UInt64) -> String? {
    guard first > 1, !isTold, !snapshots.contains(where: { $0 <= position }) else { return nil }
    return "the journal begins at input \(first), and no usable snapshot takes a start as far: "
      + "what is before is lost to it; put the missing segments or snapshots back, or restore a backup"
      + (unread.isEmpty ? "" : " (could not be read: \(unread.joined(separator: "; ")))")
  }
}

extension LedgerError {
  /// The error as a finding of `davy verify`: whoever runs it is not sent to it again.
  var found: String {
    guard case .damaged(let path, let detail) = self else { return description }
    let damage = "\(path): damaged (\(detail))"
    return damage + "; keep the file as it is, and restore a backup, or move it away: "
      + "a start then rebuilds the ledger from the journal, as far as that reaches"
  }
}
