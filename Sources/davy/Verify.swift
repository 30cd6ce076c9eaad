import ArgumentParser
import Foundation
import HazardLedger
import Journal
import Station

/// `davy verify`.
struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Prove that a station's journal and ledger are whole; name the first bad entry where they are not.",
    discussion: """
      Reads only, shares no code with what wrote the ledger, and may run beside a running service. Ends with 0 when \
      everything holds, with 1 when not.
      """
  )

  @Argument(help: "The station's data folder.", completion: .directory)
  var data: String

  @Flag(help: "One JSON object on standard output.")
  var json = false

  func run() throws {
    let folder = URL(fileURLWithPath: data)
    let report = try LedgerVerifier(path: folder.appendingPathComponent("ledger.sqlite").path)
      .verify()
    let journal = try Recording(path: folder.appendingPathComponent("journal").path).verify()
    let isWhole = report.isIntact && journal.isSound
    if json {
      let value = JSONValue.object([
        "ledger": .object([
          "station": .string(report.station), "entries": .integer(report.entries),
          "redacted": .integer(report.redacted), "head": .string(report.headHash.hexText),
          "position": .integer(report.position), "checkpoints": .integer(Int64(report.checkpoints)),
          "intact": .bool(report.isIntact),
          "firstBadEntry": report.firstBadEntry.map(JSONValue.integer) ?? .null,
          "findings": .array(report.findings.map { .string($0.description) }),
        ]),
        "journal": .object([
          "segments": .integer(Int64(journal.segments)), "blocks": .integer(Int64(journal.blocks)),
          "records": .integer(Int64(journal.records)), "sound": .bool(journal.isSound),
          "damage": .array(journal.damage.map { .string("\($0)") }),
          "faults": .array(journal.faults.map { .string("\($0.segment): \($0.message)") }),
        ]),
        "whole": .bool(isWhole),
      ])
      Terminal.line(String(decoding: value.canonicalBytes(), as: UTF8.self))
    } else {
      Terminal.line(
        "ledger  \(report.station): \(report.entries) entries, \(report.redacted) redacted, position \(report.position), "
          + (report.isIntact ? "chain intact" : "NOT INTACT")
      )
      Terminal.line("        head \(report.headHash.hexText)")
      for finding in report.findings { Terminal.line("        \(finding)") }
      Terminal.line(
        "journal \(journal.segments) segments, \(journal.blocks) blocks, \(journal.records) records, "
          + (journal.isSound ? "sound" : "DAMAGED")
      )
      for damage in journal.damage { Terminal.line("        \(damage)") }
      for fault in journal.faults { Terminal.line("        \(fault.segment): \(fault.message)") }
    }
    if !isWhole { throw ExitCode(1) }
  }
}
