import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Telemetry
import Testing

/// A copy taken from a station at work starts as that station would after a crash.
@Suite("Backup and restore")
struct BackupTests {
  /// A data folder as `davy serve` leaves it while it runs: the ledger's and the journal's owners are alive.
  private struct Running {
    let folder: URL
    let ledger: SQLiteLedger
    let journal: SegmentJournal
    let stages: Stages

    init(_ scratch: Scratch, limits: StationLimits = StationLimits()) throws {
      folder = URL(fileURLWithPath: scratch.file("data"))
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      ledger = try SQLiteLedger(
        path: folder.appendingPathComponent("ledger.sqlite").path,
        station: "test"
      )
      journal = try SegmentJournal(directory: folder.appendingPathComponent("journal").path)
      stages = try Stages(
        catalog: Fixture.catalog(),
        journal: journal,
        ledger: ledger,
        snapshots: SnapshotFolder(path: folder.appendingPathComponent("snapshots").path),
        limits: limits,
        logger: Fixture.quiet,
        now: 1_000
      )
    }

    func send(_ value: Int, sequence: UInt64) throws {
      let time = 1_700_000_000_000 + Int64(sequence) * 1_000
      try stages.take(Fixture.reading(value, at: time), sequence: sequence)
    }
  }

  @Test("a copy of a running station, restored, goes on to the same ledger")
  func roundTrip() throws {
    let scratch = try Scratch()
    let running = try Running(scratch)
    for step in 0..<40 {
      try running.send(step % 8 < 4 ? 900 : 2, sequence: UInt64(step) + 2)
    }
    let copy = URL(fileURLWithPath: scratch.file("copy"))
    let backup = try StationBackup.take(of: running.folder, into: copy, now: 5)
    #expect(backup.files.contains { $0.path == "ledger.sqlite" })
    #expect(backup.files.contains { $0.path.hasPrefix("journal/") })
    let alarms = try Fixture.alarms(of: running.ledger)
    #expect(!alarms.isEmpty)

    let target = URL(fileURLWithPath: scratch.file("restored"))
    #expect(try StationBackup.restore(copy, to: target) == backup)
    let ledger = try SQLiteLedger(
      path: target.appendingPathComponent("ledger.sqlite").path,
      station: "test"
    )
    #expect(try ledger.head.hash == running.ledger.head.hash)
    let journal = try SegmentJournal(directory: target.appendingPathComponent("journal").path)
    #expect(journal.lastSequence == running.journal.lastSequence)
    _ = try Stages(
      catalog: Fixture.catalog(),
      journal: journal,
      ledger: ledger,
      snapshots: nil,
      limits: StationLimits(),
      logger: Fixture.quiet,
      now: 2_000
    )
    #expect(
      try Fixture.alarms(of: ledger) == alarms,
      "a restore raises nothing again and loses nothing"
    )
  }

  @Test("a copy has snapshots that its ledger has come up to, whatever the station does meanwhile")
  func meanwhile() throws {
    let scratch = try Scratch()
    var limits = StationLimits()
    limits.snapshotEvery = 5
    let running = try Running(scratch, limits: limits)
    for sequence in 2...21 as ClosedRange<UInt64> {
      try running.send(sequence % 8 < 4 ? 900 : 2, sequence: sequence)
    }
    let copy = URL(fileURLWithPath: scratch.file("copy"))
    // Each snapshot that there is goes by the time that the next file has been copied.
    var sequence: UInt64 = 22
    _ = try StationBackup.take(of: running.folder, into: copy, now: 5) { path in
      guard path == "ledger.sqlite" || path.hasPrefix("snapshots/") else { return }
      for _ in 0..<20 {
        try running.send(sequence % 8 < 4 ? 900 : 2, sequence: sequence)
        sequence += 1
      }
    }
    let ledger = try SQLiteLedger(
      path: copy.appendingPathComponent("ledger.sqlite").path,
      station: "test"
    )
    let journal = try SegmentJournal(directory: copy.appendingPathComponent("journal").path)
    let snapshots = try SnapshotFolder(path: copy.appendingPathComponent("snapshots").path)
    let known = try ledger.position
    #expect(journal.lastSequence >= known)
    let positions = try snapshots.positions()
    #expect(!positions.isEmpty && positions.allSatisfy { $0 <= known }, "\(positions), \(known)")
  }

  @Test("a damaged, a missing and a foreign file are named; nothing is overwritten")
  func refusals() throws {
    let scratch = try Scratch()
    let running = try Running(scratch)
    try running.send(900, sequence: 2)
    let copy = URL(fileURLWithPath: scratch.file("copy"))
    _ = try StationBackup.take(of: running.folder, into: copy, now: 5)
    #expect(throws: BackupFault.exists(copy.path)) {
      try StationBackup.take(of: running.folder, into: copy, now: 6)
    }
    #expect(throws: BackupFault.exists(running.folder.path)) {
      try StationBackup.restore(copy, to: running.folder)
    }
    #expect(throws: BackupFault.noStation(scratch.path)) {
      try StationBackup.take(
        of: URL(fileURLWithPath: scratch.path),
        into: URL(fileURLWithPath: scratch.file("other")),
        now: 5
      )
    }
    let ledger = copy.appendingPathComponent("ledger.sqlite")
    var bytes = try Data(contentsOf: ledger)
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: ledger)
    let fault = #expect(throws: BackupFault.self) { try StationBackup.check(copy) }
    guard case .damaged(let path, _) = fault else {
      Issue.record("\(String(describing: fault))")
      return
    }
    #expect(path == ledger.path)
    try FileManager.default.removeItem(at: ledger)
    #expect(throws: BackupFault.damaged(path: ledger.path, reason: "it is missing")) {
      try StationBackup.check(copy)
    }
  }
}
