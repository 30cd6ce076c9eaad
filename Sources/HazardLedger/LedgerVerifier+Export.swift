public import Crypto
import Foundation

extension LedgerVerifier {
  /// What the verification of an export found.
  public struct ExportReport: Sendable {
    /// The station that the checkpoint names.
    public var station = ""
    /// How many entries the export holds.
    public var entries = 0
    /// How many inputs of the journal it holds that an entry vouches for by their hash.
    public var inputs = 0
    /// How many entries the checkpoint covers.
    public var checkpointSize: Int64 = 0
    /// When the checkpoint was signed, milliseconds since the Unix epoch.
    public var checkpointTime: Int64 = 0
    /// The key that signed it, in hexadecimal.
    public var key = ""
    /// True when that key is one of those trusted.
    public var isKeyTrusted = false
    /// What is wrong.
    public var findings: [Finding] = []

    /// True when nothing is wrong; whether the key is the station's is another question.
    public var isIntact: Bool { findings.isEmpty }
  }

  /// Verifies an export alone: no ledger, no network.
  ///
  /// - Parameters:
  ///   - bytes: the JSON text of ``SQLiteLedger/export(subjects:)``.
  ///   - trusted: keys that may have signed; when given, another key is a finding.
  /// - Returns: what was found; a text that is no export is a finding too.
  public static func verifyExport(
    _ bytes: [UInt8],
    trusting trusted: [Curve25519.Signing.PublicKey] = []
  ) -> ExportReport {
    var report = ExportReport()
    func find(_ sequence: Int64?, _ detail: String) {
      report.findings.append(Finding(sequence: sequence, detail: detail))
    }
    let export: ExportDocument
    do {
      export = try JSONDecoder().decode(ExportDocument.self, from: Data(bytes))
    } catch {
      find(nil, "not an export: \(error)")
      return report
    }
    guard export.format == "davy-export/1" else {
      find(nil, "format \"\(export.format)\" is not known to this version")
      return report
    }
    let point = export.checkpoint
    report.station = point.station
    report.entries = export.entries.count
    report.checkpointSize = point.size
    report.checkpointTime = point.time
    report.key = point.key
    report.isKeyTrusted = trusted.contains { [UInt8]($0.rawRepresentation).hex == point.key }
    if export.station != point.station { find(nil, "the checkpoint is of another station") }
    let checkpoint = CheckedCheckpoint(
      size: point.size,
      time: point.time,
      root: [UInt8](hex: point.root) ?? [],
      key: [UInt8](hex: point.key) ?? [],
      signature: [UInt8](hex: point.signature) ?? []
    )
    if let fault = checkpoint.fault(
      root: checkpoint.root,
      station: point.station,
      trusted: trusted
    ) {
      find(nil, "checkpoint: \(fault)")
    }
    if export.entries.isEmpty { find(nil, "it holds no entry") }
    var vouched: [Int64: String] = [:]
    var before: Int64 = 0
    for entry in export.entries {
      do {
        if let digest = try entry.inputDigest { vouched[entry.origin] = digest }
      } catch {
        find(entry.sequence, "not the body of an alarm")
      }
      if entry.sequence <= before { find(entry.sequence, "out of order") }
      before = entry.sequence
      if !export.subjects.contains(entry.subject) {
        find(entry.sequence, "of a subject that the export does not name")
      }
      guard let hash = entry.leafHash, hash.hex == entry.hash else {
        find(entry.sequence, "its contents do not give its hash")
        continue
      }
      let path = entry.path.compactMap { [UInt8](hex: $0) }
      if path.count != entry.path.count
        || !isIncluded(
          hash,
          index: entry.sequence - 1,
          size: point.size,
          path: path,
          root: checkpoint.root
        )
      {
        find(entry.sequence, "its proof does not lead to the checkpoint's root")
      }
    }
    for input in export.inputs ?? [] {
      // Only what raised an alarm is named by its hash; other inputs are there to be read.
      guard let digest = vouched[input.sequence] else { continue }
      if input.digest == digest {
        report.inputs += 1
      } else {
        find(nil, "input \(input.sequence) is not the one that the alarm names by its hash")
      }
    }
    return report
  }

  /// Whether a path leads from a leaf to a root (RFC 9162, 2.1.3.2).
  public static func isIncluded(
    _ leaf: [UInt8],
    index: Int64,
    size: Int64,
    path: [[UInt8]],
    root: [UInt8]
  ) -> Bool {
    guard index >= 0, index < size else { return false }
    var place = index
    var last = size - 1
    var hash = leaf
    for sibling in path {
      guard last > 0 else { return false }
      if place & 1 == 1 || place == last {
        hash = CheckedTree.parent(sibling, hash)
        while place & 1 == 0 && place != 0 {
          place >>= 1
          last >>= 1
        }
      } else {
        hash = CheckedTree.parent(hash, sibling)
      }
      place >>= 1
      last >>= 1
    }
    return last == 0 && hash == root
  }
}

/// An export as the verifier reads it.
private struct ExportDocument: Decodable {
  struct Point: Decodable {
    var station: String
    var size: Int64
    var root: String
    var time: Int64
    var key: String
    var signature: String
  }

  struct Entry: Decodable {
    var sequence: Int64
    var time: Int64
    var kind: String
    var subject: String
    var actor: String
    var body: String?
    var bodyLength: Int64?
    var bodyDigest: String?
    var origin: Int64
    var previousHash: String
    var hash: String
    var path: [String]

    /// The hash of the input that raised an alarm, where its body names one.
    var inputDigest: String? {
      get throws {
        guard kind == "alarm", let body else { return nil }
        return try JSONDecoder().decode(AlarmDigest.self, from: Data(body.utf8)).input
      }
    }

    /// The hash that the contents give; nil when they are not complete.
    var leafHash: [UInt8]? {
      guard let previous = [UInt8](hex: previousHash) else { return nil }
      var bytes: [UInt8] = [0x00, 0x01]
      bytes += EntryFields.bigEndian(sequence) + EntryFields.bigEndian(time)
      for text in [kind, subject, actor] {
        bytes += EntryFields.bigEndian(Int64(text.utf8.count)).suffix(4)
        bytes += text.utf8
      }
      bytes += EntryFields.bigEndian(origin)
      if let body {
        bytes += EntryFields.bigEndian(Int64(body.utf8.count)).suffix(4)
        bytes += Array(SHA256.hash(data: Data(body.utf8)))
      } else {
        guard let bodyLength, let digest = bodyDigest.flatMap({ [UInt8](hex: $0) }) else {
          return nil
        }
        bytes += EntryFields.bigEndian(bodyLength).suffix(4)
        bytes += digest
      }
      return Array(SHA256.hash(data: bytes + previous))
    }
  }

  struct Input: Decodable {
    var sequence: Int64
    var kind: UInt8
    var received: Int64
    var topic: String
    var payload: String

    /// The hash that an alarm names it by; nil when a part cannot be read.
    var digest: String? {
      guard let topic = Data(base64Encoded: topic), let payload = Data(base64Encoded: payload)
      else { return nil }
      var hash = SHA256()
      hash.update(data: [kind])
      hash.update(data: EntryFields.bigEndian(received))
      for part in [topic, payload] {
        hash.update(data: EntryFields.bigEndian(Int64(part.count)).suffix(4))
        hash.update(data: part)
      }
      return hash.finalize().map { String(format: "%02x", $0) }.joined()
    }
  }

  private struct AlarmDigest: Decodable {
    var input: String?
  }

  var format: String
  var inputs: [Input]?
  var station: String
  var subjects: [String]
  var checkpoint: Point
  var entries: [Entry]
}
