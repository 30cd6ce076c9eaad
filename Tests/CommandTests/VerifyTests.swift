import ArgumentParser
import DavyCommands
import Foundation
import Glibc
import HazardLedger
import Journal
import Station
import Testing

@Suite("Verifying a station's data") struct VerifyTests {
  /// A data folder: a journal with one input a segment, and a ledger that stands at a position.
  private struct StationData {
    let folder: Folder
    let segments: [String]

    init(inputs: UInt64 = 3, position: UInt64 = 3) throws {
      folder = try Folder()
      let ledger = try SQLiteLedger(path: folder.path + "/ledger.sqlite", station: "s")
      try ledger.append([], position: position)
      try ledger.close()
      let journal = try SegmentJournal(directory: folder.path + "/journal")
      for sequence in 1...inputs {
        if sequence > 1 { try journal.rotate() }
        try journal.append([Self.input(sequence)], firstSequence: sequence)
      }
      segments = journal.segments.map(\.path)
      try journal.close()
    }

    static func input(_ sequence: UInt64) -> JournalInput {
      JournalInput(received: Int64(sequence), topic: Array("a".utf8), payload: [1], qos: 1)
    }

    var check: StationCheck { StationCheck(folder: URL(fileURLWithPath: folder.path)) }

    func remove(segment index: Int) throws {
      try FileManager.default.removeItem(atPath: segments[index])
    }

    func keep(snapshot bytes: [UInt8], position: UInt64) throws {
      try SnapshotFolder(path: folder.path + "/snapshots").write(bytes, position: position)
    }
  }

  @Test("whole data are whole, wherever the ledger stands", arguments: [1, 3] as [UInt64])
  func whole(position: UInt64) async throws {
    let data = try StationData(position: position)
    defer { data.folder.remove() }
    #expect(data.check.isWhole, "\(data.check.lines)")
    try await davy("verify", data.folder.path)
  }

  @Test("a journal that ends before the ledger's position is not whole")
  func end() async throws {
    let data = try StationData()
    defer { data.folder.remove() }
    try data.remove(segment: 2)
    #expect(data.check.gaps.first?.contains("inputs 3 to 3 are missing") == true)
    #expect(data.check.lines.contains { $0.hasSuffix("DAMAGED") })
    await #expect(throws: ExitCode(1)) { try await davy("verify", data.folder.path) }
    await #expect(throws: ExitCode(1)) { try await davy("verify", "--json", data.folder.path) }
  }

  @Test("what retention has deleted is not missed where a snapshot takes a start over it")
  func beginning() throws {
    let data = try StationData()
    defer { data.folder.remove() }
    try data.remove(segment: 0)
    #expect(data.check.gaps.first?.contains("begins at input 2") == true)
    // Neither one that cannot be read, nor one that the ledger has not come up to, helps a start.
    try data.keep(snapshot: [1, 2, 3], position: 1)
    #expect(!data.check.isWhole)
    let core = StationCore()
    _ = core.process(JournalBatch([StationData.input(1)]), firstSequence: 1)
    try data.keep(snapshot: core.snapshot(), position: 4)
    #expect(!data.check.isWhole)
    try data.keep(snapshot: core.snapshot(), position: 1)
    #expect(data.check.isWhole, "\(data.check.lines)")
  }

  @Test("a snapshot that might help a start but cannot be read is named")
  func unreadableSnapshot() throws {
    let data = try StationData()
    defer { data.folder.remove() }
    try data.remove(segment: 0)
    try FileManager.default.createDirectory(
      atPath: data.folder.path + "/snapshots/snapshot-1.davy",
      withIntermediateDirectories: true
    )
    let gap = try #require(data.check.gaps.first)
    #expect(gap.contains("could not be read: snapshot 1: "), "\(gap)")
  }

  @Test("a ledger that cannot be read is a finding, and the journal is looked at all the same")
  func damagedLedger() async throws {
    let data = try StationData()
    defer { data.folder.remove() }
    let path = data.folder.path + "/ledger.sqlite"
    var bytes = try #require(FileManager.default.contents(atPath: path))
    bytes.replaceSubrange(4_096..., with: repeatElement(0x55, count: bytes.count - 4_096))
    try bytes.write(to: URL(fileURLWithPath: path))
    let check = data.check
    #expect(!check.isWhole)
    #expect(try check.journal.get().records == 3)
    let text = check.lines.joined(separator: "\n")
    #expect(text.contains("3 records, sound") && !text.contains("davy verify"), "\(text)")
    await #expect(throws: ExitCode(1)) { try await davy("verify", data.folder.path) }
  }

  @Test("a folder without a journal is not whole")
  func noJournal() async throws {
    let data = try StationData()
    defer { data.folder.remove() }
    try FileManager.default.removeItem(atPath: data.folder.path + "/journal")
    #expect(data.check.lines.contains("journal NOT READABLE"))
    await #expect(throws: ExitCode(1)) { try await davy("verify", data.folder.path) }
  }

  @Test("a ledger that is gone beside a journal with inputs is told, and what is lost")
  func lostLedger() throws {
    let data = try StationData()
    defer { data.folder.remove() }
    let path = data.folder.path + "/ledger.sqlite"
    #expect(!LedgerLoss.isMissing(path))
    try Data().write(to: URL(fileURLWithPath: path))
    #expect(LedgerLoss.isMissing(path))
    try FileManager.default.removeItem(atPath: path)
    #expect(LedgerLoss.isMissing(path))
    try data.remove(segment: 0)
    let journal = try SegmentJournal(directory: data.folder.path + "/journal")
    let text = try #require(LedgerLoss(of: path, beside: journal)).description
    for words in [path, "inputs 2 to 3", "inputs before 2", "from a backup"] {
      #expect(text.contains(words), "\(text)")
    }
    let empty = try SegmentJournal(directory: data.folder.path + "/new")
    #expect(LedgerLoss(of: path, beside: empty) == nil)
  }

  @Test(
    "data in a folder that cannot be written are read as they are",
    .enabled(if: geteuid() != 0, "root may write everywhere")
  )
  func readOnly() throws {
    let data = try StationData()
    defer { data.folder.remove() }
    func setMode(_ mode: Int) throws {
      for path in [data.folder.path + "/journal", data.folder.path] {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
      }
    }
    try setMode(0o500)
    let check = data.check
    try setMode(0o700)
    #expect(check.isWhole, "\(check.lines)")
  }
}
