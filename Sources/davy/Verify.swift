import ArgumentParser
import Crypto
import Foundation
import HazardLedger
import Station

/// `davy verify`.
struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Prove that a station's journal and ledger are whole; name the first bad entry where they are not.",
    discussion: """
      Reads only, shares no code with what wrote the ledger, and may run beside a running service. Ends with 0 when \
      everything holds, with 1 when not. The journal has to reach as far as the ledger, and back to its first input or \
      to a snapshot that a start can begin with: what retention has deleted is not missed.

      Checkpoints are held against the key in the file beside them, or against --key, which is what shows that the \
      station signed them.

      A file that `davy export` has written is verified alone and offline.
      """
  )

  @Argument(help: "The station's data folder, or a file of `davy export`.", completion: .file())
  var data: String

  @Option(help: "Public key file (checkpoint.key.pub) that checkpoints must be signed with.")
  var key: [String] = []

  @Flag(help: "There is no journal beside the ledger: a copy made by `davy-postgres copy-ledger`.")
  var ledgerOnly = false

  @Flag(help: "One JSON object on standard output.")
  var json = false

  private func show(_ report: LedgerVerifier.Report) throws {
    Terminal.line(
      "ledger  \(report.station): \(report.entries) entries, \(report.redacted) redacted, "
        + "\(report.checkpoints) checkpoints, "
        + (report.isIntact ? "chain intact" : "NOT INTACT")
    )
    Terminal.line("        head \(report.headHash.hex)")
    for finding in report.findings { Terminal.line("        \(finding)") }
    if !report.isIntact { throw ExitCode(1) }
  }

  func run() throws {
    let trusted = try key.map(Self.publicKey)
    var isFolder: ObjCBool = false
    guard unsafe FileManager.default.fileExists(atPath: data, isDirectory: &isFolder) else {
      throw GivenFileError(data)
    }
    if !isFolder.boolValue { return try verifyExport(trusting: trusted) }
    let folder = URL(fileURLWithPath: data)
    if ledgerOnly {
      let path = folder.appendingPathComponent("ledger.sqlite").path
      switch StationCheck.ledger(path, trusted) {
      case .success(let report): return try show(report)
      case .failure(let error):
        Terminal.error("error: \(error.found)")
        throw ExitCode(1)
      }
    }
    let check = StationCheck(folder: folder, trusting: trusted)
    if json {
      Terminal.line(String(decoding: check.json.canonicalBytes(), as: UTF8.self))
    } else {
      for line in check.lines { Terminal.line(line) }
    }
    if !check.isWhole { throw ExitCode(1) }
  }

  private static func publicKey(_ path: String) throws -> Curve25519.Signing.PublicKey {
    let text = try GivenFile.text(path)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    guard let bytes = [UInt8](hex: text),
      let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
    else { throw ValidationError("\(path) holds no public key in hexadecimal") }
    return key
  }

  private func verifyExport(trusting trusted: [Curve25519.Signing.PublicKey]) throws {
    let bytes = try GivenFile.bytes(data)
    let report = LedgerVerifier.verifyExport(bytes, trusting: trusted)
    if json {
      let value = JSONValue.object([
        "export": .object([
          "station": .string(report.station), "entries": .integer(Int64(report.entries)),
          "inputs": .integer(Int64(report.inputs)),
          "checkpointSize": .integer(report.checkpointSize),
          "checkpointTime": .integer(report.checkpointTime), "key": .string(report.key),
          "keyTrusted": .bool(report.isKeyTrusted), "intact": .bool(report.isIntact),
          "findings": .array(report.findings.map { .string($0.description) }),
        ]),
        "whole": .bool(report.isIntact),
      ])
      Terminal.line(String(decoding: value.canonicalBytes(), as: UTF8.self))
    } else {
      Terminal.line(
        "export  \(report.station): \(report.entries) entries and \(report.inputs) inputs, "
          + (report.isIntact ? "all as they were when signed" : "NOT INTACT")
      )
      Terminal.line(
        "        checkpoint over \(report.checkpointSize) entries, "
          + TimeText.utc(report.checkpointTime)
      )
      Terminal.line(
        "        key \(report.key)"
          + (report.isKeyTrusted
            ? ", trusted" : trusted.isEmpty ? ", not compared (--key)" : ", NOT TRUSTED")
      )
      for finding in report.findings { Terminal.line("        \(finding)") }
    }
    if !report.isIntact { throw ExitCode(1) }
  }
}
