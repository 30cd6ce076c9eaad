import Crypto
import Foundation
import GRDB
import HazardLedger
import Telemetry
import Testing

@Suite("Checkpoints and proofs")
struct ProofTests {
  let scratch: Scratch
  let ledger: SQLiteLedger
  let key = CheckpointKey()

  init() throws {
    scratch = try Scratch()
    ledger = try SQLiteLedger(path: scratch.path, station: "s")
  }

  /// RFC 6962's definition, word for word: the oracle.
  func root(_ leaves: ArraySlice<[UInt8]>) -> [UInt8] {
    guard leaves.count > 1 else {
      return leaves.first ?? Array(SHA256.hash(data: [UInt8]()))
    }
    var split = 1
    while split * 2 < leaves.count { split *= 2 }
    let middle = leaves.startIndex + split
    return Array(SHA256.hash(data: [1] + root(leaves[..<middle]) + root(leaves[middle...])))
  }

  @Test(
    "roots and proofs are those of RFC 6962 at every size",
    arguments: [1, 2, 3, 255, 256, 257]
  )
  func roots(size: Int) throws {
    if size > 1 { try ledger.fill(seed: 1, entries: size - 1) }
    let leaves = try ledger.entries(after: 0, limit: .max).map(\.hash)
    let checkpoint = try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 5))
    #expect(checkpoint.size == Int64(size))
    #expect(checkpoint.root == root(leaves[...]))
    #expect(try ledger.newestCheckpoint() == checkpoint)
    #expect(try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 6)) == checkpoint)
    for part in Set([1, size / 2, size - 1, size]) where part >= 1 {
      let partRoot = root(leaves[..<part])
      for leaf in Set([0, part / 3, part - 1]) {
        let path = try ledger.inclusionPath(of: Int64(leaf + 1), size: Int64(part))
        #expect(
          LedgerVerifier.isIncluded(
            leaves[leaf],
            index: Int64(leaf),
            size: Int64(part),
            path: path,
            root: partRoot
          )
        )
        #expect(
          !LedgerVerifier.isIncluded(
            leaves[leaf],
            index: Int64(leaf) ^ 1,
            size: Int64(part),
            path: path,
            root: partRoot
          )
            || part == 1
        )
      }
    }
  }

  @Test("in a large ledger kept subtrees give the same roots and short proofs")
  func subtrees() throws {
    try ledger.fill(seed: 2, entries: 2_000, batch: 500)
    try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 1))
    try ledger.fill(seed: 2, entries: 70_000, batch: 1_000, after: 5_000_000)
    let checkpoint = try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 2))
    let leaves = try ledger.entries(after: 0, limit: .max).map(\.hash)
    #expect(checkpoint.root == root(leaves[...]))
    var random = SplitMix64(seed: 1)
    for _ in 0..<200 {
      let leaf = Int64.random(in: 0..<checkpoint.size, using: &random)
      let path = try ledger.inclusionPath(of: leaf + 1, size: checkpoint.size)
      #expect(path.count <= 17)
      #expect(
        LedgerVerifier.isIncluded(
          leaves[Int(leaf)],
          index: leaf,
          size: checkpoint.size,
          path: path,
          root: checkpoint.root
        )
      )
    }
    let report = try LedgerVerifier(path: scratch.path).verify(trusting: [key.publicKey])
    #expect(report.findings == [])
    #expect(report.checkpoints == 2)
  }

  @Test("a rewritten chain, every hash made right again, is caught by the checkpoint")
  func rewritten() throws {
    try ledger.fill(seed: 1, entries: 30)
    try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 1))
    let forged = try SQLiteLedger(path: scratch.folder + "/forged", station: "s")
    try forged.fill(seed: 2, entries: 30)
    try ledger.close()
    let queue = try DatabaseQueue(path: scratch.folder + "/forged")
    try queue.inDatabase { db in
      try db.execute(
        sql: """
          ATTACH '\(scratch.path)' AS old; INSERT INTO checkpoint SELECT * FROM old.checkpoint
          """
      )
    }
    let report = try LedgerVerifier(path: scratch.folder + "/forged").verify()
    #expect(report.firstBadEntry == 1)
    #expect(report.checkpoints == 0)
    #expect(
      try LedgerVerifier(path: scratch.path).verify(trusting: [CheckpointKey().publicKey]).isIntact
        == false
    )
  }

  @Test("an export verifies alone, and any change to it is found")
  func export() throws {
    try ledger.fill(seed: 1, entries: 300)
    let alarm = try #require(try ledger.alarms(limit: 10).alarms.last { $0.steps > 1 }?.id)
    #expect(throws: LedgerError.self) { try ledger.export(subjects: [alarm]) }
    try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 9))
    #expect(throws: LedgerError.self) { try ledger.export(subjects: ["none"]) }
    let text = try ledger.export(subjects: [alarm])
    let report = LedgerVerifier.verifyExport(text, trusting: [key.publicKey])
    #expect(report.findings == [])
    #expect(report.entries > 1)
    #expect(report.isKeyTrusted)
    #expect(report.checkpointSize == 301)
    #expect(!LedgerVerifier.verifyExport(text, trusting: [CheckpointKey().publicKey]).isIntact)
    // Every byte of it, changed in its last bit. Texts that say the same after it are let pass:
    // there are none but the letter of a hex digit, which the strict reader refuses as well.
    var unseen: [Int] = []
    for index in text.indices {
      var changed = text
      changed[index] ^= 1
      if LedgerVerifier.verifyExport(changed, trusting: [key.publicKey]).isIntact {
        unseen.append(index)
      }
    }
    #expect(unseen == [])
  }

  @Test("the key file is made for its owner only, and refused when open to others")
  func keyFile() throws {
    let path = scratch.folder + "/key"
    let first = try CheckpointKey(path: path)
    #expect(
      try CheckpointKey(path: path).publicKey.rawRepresentation == first.publicKey.rawRepresentation
    )
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
    let exported = try String(contentsOfFile: path + ".pub", encoding: .utf8)
    #expect(exported == [UInt8](first.publicKey.rawRepresentation).hex + "\n")
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
    #expect(throws: LedgerError.self) { try CheckpointKey(path: path) }
  }

  @Test("a key that is damaged is told as that, not as a damaged ledger")
  func damagedKey() throws {
    let path = scratch.folder + "/key"
    _ = try CheckpointKey(path: path)
    for content in ["no key\n", "abcd\n"] {
      try Data(content.utf8).write(to: URL(fileURLWithPath: path))
      do {
        _ = try CheckpointKey(path: path)
        Issue.record("taken: \(content)")
      } catch {
        guard case .checkpointKey(path, _) = error else {
          Issue.record("\(error)")
          return
        }
        #expect(error.description.hasPrefix("checkpoint key \(path): "))
        #expect(!error.description.contains("replaying"))
      }
    }
  }

  @Test("where the key is gone, its public half is kept beside the new one's")
  func lostKey() throws {
    let path = scratch.folder + "/key"
    #expect(try CheckpointKey(path: path).formerPublicKey == nil)
    #expect(try CheckpointKey(path: path).formerPublicKey == nil)
    let first = try String(contentsOfFile: path + ".pub", encoding: .utf8)
    for number in 1...2 {
      let before = try String(contentsOfFile: path + ".pub", encoding: .utf8)
      try FileManager.default.removeItem(atPath: path)
      let key = try CheckpointKey(path: path)
      let kept = try #require(key.formerPublicKey)
      #expect(kept == path + ".pub.\(number)")
      #expect(try String(contentsOfFile: kept, encoding: .utf8) == before)
    }
    #expect(try String(contentsOfFile: path + ".pub.1", encoding: .utf8) == first)
  }

  @Test("after pruning nine tenths the root is unchanged and all proofs still verify")
  func redaction() throws {
    try ledger.fill(seed: 1, entries: 2_000)
    let before = try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 1))
    let counters = try ledger.counters()
    let alarms = try ledger.alarms(limit: 10_000).alarms
    let last = try #require(alarms.first?.last.time)
    let rule = RedactionRule(
      name: "keep-1-month",
      before: last.advanced(byMilliseconds: -100_000),
      reason: "retention"
    )
    let position = try ledger.position
    let order = rule.order(at: last, actor: "archivist", origin: position + 1)
    #expect(try ledger.append([order], rejects: [], position: position + 1) == 2_002...2_002)
    let bodiless = try ledger.entries(after: 0, limit: .max).filter { $0.body == nil }
    #expect(bodiless.count > 1_700)
    var expected = counters
    expected["entry.redaction"] = 1
    #expect(try ledger.counters() == expected)
    let remaining = try ledger.alarms(limit: 10_000).alarms
    #expect(remaining == alarms.filter { alarm in !bodiless.contains { $0.subject == alarm.id } })
    try ledger.rebuildViews()
    #expect(try ledger.alarms(limit: 10_000).alarms == remaining)
    #expect(try ledger.counters() == expected)

    // Ordered again, it finds nothing more and says so.
    let again = rule.order(at: last, actor: "archivist", origin: position + 2)
    #expect(try ledger.append([again], rejects: [], position: position + 2) == 2_003...2_003)
    let report = try LedgerVerifier(path: scratch.path).verify(trusting: [key.publicKey])
    #expect(report.findings == [])
    #expect(report.redacted == bodiless.count)
    #expect(report.checkpoints == 1)
    let entries = try ledger.entries(after: 0, limit: .max)
    for entry in entries where entry.sequence <= before.size && entry.sequence % 7 == 0 {
      let path = try ledger.inclusionPath(of: entry.sequence, size: before.size)
      #expect(
        LedgerVerifier.isIncluded(
          entry.hash,
          index: entry.sequence - 1,
          size: before.size,
          path: path,
          root: before.root
        )
      )
    }
    try ledger.signCheckpoint(with: key, at: Timestamp(milliseconds: 2))
    let pruned = try #require(entries.first { $0.body == nil }?.subject)
    let export = LedgerVerifier.verifyExport(
      try ledger.export(subjects: [pruned]),
      trusting: [key.publicKey]
    )
    #expect(export.findings == [])
    // The bodies are gone from the files, not only from the tables.
    let gone = try #require(alarms.last)
    #expect(gone.id == pruned || !remaining.contains(gone))
    for file in ["", "-wal"] {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path + file))
      #expect(bytes.range(of: Data("\"alarm\":\"\(gone.id)\"".utf8)) == nil, "\(file)")
    }
    // What one redaction announced cannot be stretched to another body.
    let victim = try #require(entries.last { $0.kind == .alarm && $0.body != nil })
    try LedgerVerifierTests.attack(scratch.path).write { db in
      try db.execute(
        sql: "INSERT INTO redacted VALUES (?, 2002, ?, ?)",
        arguments: [
          victim.sequence, victim.body?.count ?? 0, Data(SHA256.hash(data: victim.body ?? [])),
        ]
      )
      try db.execute(
        sql: "UPDATE entry SET body = NULL WHERE seq = ?",
        arguments: [victim.sequence]
      )
    }
    #expect(try LedgerVerifier(path: scratch.path).verify().firstBadEntry == 2_002)
  }
}
