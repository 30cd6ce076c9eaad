public import HazardLedger
public import Journal
import Synchronization

/// What a simulated disk does to a commit.
public enum DiskFault: Error, Hashable, Sendable {
  /// Refused; nothing was written.
  case refused
  /// Written, but the answer was lost: the caller must try again and nothing may be doubled.
  case answerLost
}

/// When commits fail; shared by the stores of one simulated machine.
public final class FaultyDisk: Sendable {
  private struct State {
    var generator: SeededGenerator
    var refuseOneIn = 0
    var loseAnswerOneIn = 0
    var isDead = false
    var refusesReads = false
    var faults = 0
  }

  private let state: Mutex<State>

  /// A disk without faults until told otherwise.
  public init(seed: UInt64) {
    state = Mutex(State(generator: SeededGenerator(seed: seed)))
  }

  /// Sets how often commits fail.
  public func set(refuseOneIn: Int, loseAnswerOneIn: Int, isDead: Bool) {
    state.withLock {
      $0.refuseOneIn = refuseOneIn
      $0.loseAnswerOneIn = loseAnswerOneIn
      $0.isDead = isDead
    }
  }

  /// Sets whether the ledger's entries can be read.
  public func set(refusesReads: Bool) { state.withLock { $0.refusesReads = refusesReads } }

  var refusesReads: Bool { state.withLock { $0.refusesReads } }

  /// How many commits have failed.
  public var faults: Int { state.withLock { $0.faults } }

  func nextFault() -> DiskFault? {
    state.withLock { state in
      let fault: DiskFault? =
        if state.isDead || state.generator.isOneIn(state.refuseOneIn) {
          .refused
        } else if state.generator.isOneIn(state.loseAnswerOneIn) {
          .answerLost
        } else {
          nil
        }
      if fault != nil { state.faults += 1 }
      return fault
    }
  }
}

/// A journal in memory that survives the simulated crash of its process; commits fail as the disk says.
public final class MemoryJournal: JournalStore {
  private let records: Mutex<[JournalRecord]> = Mutex([])
  private let disk: FaultyDisk

  /// An empty journal.
  public init(disk: FaultyDisk) {
    self.disk = disk
  }

  /// Sequence of the newest durable input.
  public var lastSequence: UInt64 { records.withLock { UInt64($0.count) } }

  /// Every record.
  public var all: [JournalRecord] { records.withLock { $0 } }

  /// Appends a batch, or fails as the disk says.
  public func append(_ batch: borrowing JournalBatch, firstSequence: UInt64) throws {
    let fault = disk.nextFault()
    if fault == .refused { throw DiskFault.refused }
    var added: [JournalRecord] = []
    for index in 0..<batch.count {
      added.append(
        JournalRecord(sequence: firstSequence + UInt64(index), input: batch.input(at: index))
      )
    }
    records.withLock { records in
      precondition(firstSequence <= UInt64(records.count) + 1, "a gap in the journal")
      for record in added {
        if record.sequence <= UInt64(records.count) {
          precondition(
            records[Int(record.sequence) - 1] == record,
            "another record under a used sequence"
          )
        } else {
          records.append(record)
        }
      }
    }
    if let fault { throw fault }
  }

  /// Reads records.
  public func read(from sequence: UInt64, limit: Int) throws -> [JournalRecord] {
    records.withLock { Array($0.dropFirst(Int(max(sequence, 1)) - 1).prefix(limit)) }
  }
}

/// A ledger whose commits fail as the disk says.
public final class FaultyLedger: LedgerStore {
  private let store: any LedgerStore
  private let disk: FaultyDisk

  /// Wraps a real store.
  public init(store: any LedgerStore, disk: FaultyDisk) {
    self.store = store
    self.disk = disk
  }

  /// As the store's.
  public var station: String { store.station }

  /// Appends, or fails as the disk says.
  public func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally],
    position: UInt64
  ) throws(LedgerError) -> ClosedRange<Int64>? {
    switch disk.nextFault() {
    case .refused:
      throw .diskFull(path: "simulated")
    case .answerLost:
      _ = try store.append(drafts, rejects: rejects, position: position)
      throw .inputOutput(path: "simulated", detail: "the answer was lost")
    case nil:
      return try store.append(drafts, rejects: rejects, position: position)
    }
  }

  /// As the store's.
  public var position: UInt64 { get throws(LedgerError) { try store.position } }
  /// As the store's.
  public var head: (sequence: Int64, hash: [UInt8]) { get throws(LedgerError) { try store.head } }
  /// As the store's, unless the disk refuses reads.
  public func entries(after sequence: Int64, limit: Int) throws(LedgerError) -> [LedgerEntry] {
    if disk.refusesReads { throw .inputOutput(path: "simulated", detail: "refused") }
    return try store.entries(after: sequence, limit: limit)
  }
  /// As the store's.
  public func entries(
    of subject: String,
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    try store.entries(of: subject, after: sequence, limit: limit)
  }
  /// As the store's.
  public func standingAlarms() throws(LedgerError) -> [AlarmView] { try store.standingAlarms() }
  /// As the store's.
  public func alarms(
    _ filter: AlarmFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> AlarmPage {
    try store.alarms(filter, before: cursor, limit: limit)
  }
  /// As the store's.
  public func alarm(id: String) throws(LedgerError) -> AlarmView? { try store.alarm(id: id) }
  /// As the store's.
  public func rejects(limit: Int) throws(LedgerError) -> [RejectTally] {
    try store.rejects(limit: limit)
  }
  /// As the store's.
  public func counters() throws(LedgerError) -> [String: Int64] { try store.counters() }
}
