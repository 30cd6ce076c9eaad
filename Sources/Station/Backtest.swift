public import DeviceCatalog
import Foundation
public import HazardLedger
import Journal
public import Telemetry

/// Which recorded inputs to run again, and under which rules.
public struct BacktestPlan: Sendable {
  /// The rules.
  public var catalog: Catalog
  /// Alarms with their onset in this range are compared.
  public var onsets: Range<Timestamp>

  /// Makes a plan.
  public init(catalog: Catalog, onsets: Range<Timestamp>) {
    self.catalog = catalog
    self.onsets = onsets
  }
}

/// What came of running recorded inputs again.
public struct BacktestOutcome: Sendable {
  /// The alarms, oldest onset first, at most ``Backtest/maximumAlarms``.
  public var alarms: [AlarmView]
  /// Alarms beyond these.
  public var left: Int
  /// Journal sequences that were run; nil where the journal holds none of that time.
  public var sequences: ClosedRange<UInt64>?
  /// Messages among them.
  public var messages: UInt64
  /// Readings evaluated.
  public var readings: UInt64
  /// Messages and readings refused.
  public var rejects: Int64
  /// The scratch ledger's head: the same inputs under the same rules give the same.
  public var headHash: [UInt8]

  /// Makes an outcome.
  public init(
    alarms: [AlarmView],
    left: Int,
    sequences: ClosedRange<UInt64>?,
    messages: UInt64,
    readings: UInt64,
    rejects: Int64,
    headHash: [UInt8]
  ) {
    self.alarms = alarms
    self.left = left
    self.sequences = sequences
    self.messages = messages
    self.readings = readings
    self.rejects = rejects
    self.headHash = headHash
  }
}

/// Why a back-test has no outcome.
public enum BacktestError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Somebody ended it.
  case cancelled
  /// The range holds more records than one back-test may run.
  case tooLong(records: Int)
  /// Journal or scratch ledger failed.
  case failed(String)
  /// The journal no longer holds that catalog.
  case noCatalog(sequence: UInt64)

  /// The error in words, with its remedy.
  public var description: String {
    switch self {
    case .cancelled: "the back-test was ended"
    case .tooLong(let records):
      "this time holds \(records) records, more than the \(Backtest.maximumRecords) of one back-test: "
        + "choose a shorter time, or use davy replay"
    case .failed(let reason): reason
    case .noCatalog(let sequence):
      "the journal no longer holds the catalog of record \(sequence): its segment was removed by age or size"
    }
  }
}

/// Runs the journal of a station once more, beside it: other rules, the same inputs, a scratch ledger.
public struct Backtest {
  /// The most records of one run.
  public static let maximumRecords = 5_000_000
  /// The most alarms of an outcome.
  public static let maximumAlarms = 5_000
  /// How long before the range inputs are run, so that windows and delays have their past: 6 hours.
  static let warmUp: Int64 = 6 * 3_600_000

  let journal: any JournalStore

  /// The catalog that a journal record put in force.
  func catalog(at sequence: UInt64) throws(BacktestError) -> Catalog {
    do {
      guard let record = try journal.read(from: sequence, limit: 1).first,
        record.sequence == sequence, record.input.kind == .catalog
      else { throw BacktestError.noCatalog(sequence: sequence) }
      return try CatalogRecord(journalPayload: record.input.payload).load()
    } catch let error as BacktestError {
      throw error
    } catch {
      throw .failed("\(error)")
    }
  }

  /// Runs a plan; `progress` is told the share done and answers whether to go on.
  func run(
    _ plan: BacktestPlan,
    progress: (Double) -> Bool
  ) throws(BacktestError) -> BacktestOutcome {
    do {
      return try evaluate(plan, progress)
    } catch let error as BacktestError {
      throw error
    } catch {
      throw .failed("\(error)")
    }
  }

  private func evaluate(
    _ plan: BacktestPlan,
    _ progress: (Double) -> Bool
  ) throws -> BacktestOutcome {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("davy-backtest-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let ledger = try SQLiteLedger(
      path: folder.appendingPathComponent("ledger.sqlite").path,
      station: "backtest"
    )
    var replay = Replay(into: ledger, catalog: plan.catalog)
    let range = sequences(of: plan)
    if let range {
      guard range.count <= Self.maximumRecords else {
        throw BacktestError.tooLong(records: range.count)
      }
      try run(range, through: &replay, progress)
    }
    let (alarms, left) = try Self.alarms(of: ledger, plan.onsets)
    return BacktestOutcome(
      alarms: alarms,
      left: left,
      sequences: range,
      messages: replay.messageCount,
      readings: replay.readingCount,
      rejects: replay.rejectCount,
      headHash: try ledger.head.hash
    )
  }

  /// The records that can bear on the plan's time; with a replay source all, because its event times are its own.
  private func sequences(of plan: BacktestPlan) -> ClosedRange<UInt64>? {
    let last = journal.lastSequence
    guard last > 0 else { return nil }
    guard let contents = (journal as? SegmentJournal)?.contents else { return 1...last }
    let first = max(1, contents.firstSequence)
    guard plan.catalog.replaySources.isEmpty else { return first <= last ? first...last : nil }
    let from = plan.onsets.lowerBound.milliseconds - Self.warmUp
    let to = plan.onsets.upperBound.milliseconds + JournalReadings.lateness
    return contents.sequences(received: from..<max(from + 1, to))
  }

  private func run(
    _ range: ClosedRange<UInt64>,
    through replay: inout Replay,
    _ progress: (Double) -> Bool
  ) throws {
    guard let contents = (journal as? SegmentJournal)?.contents else {
      let records = try journal.read(from: range.lowerBound, limit: range.count)
      try replay.begin(with: JournalBatch(records.map(\.input)))
      return
    }
    var cursor = contents.cursor(from: range.lowerBound, through: range.upperBound)
    var batch = JournalBatch()
    while let first = try cursor.next(into: &batch) {
      try replay.begin(with: batch)
      let done = Double(first + UInt64(batch.count) - range.lowerBound) / Double(range.count)
      guard progress(min(1, done)) else { throw BacktestError.cancelled }
    }
  }

  /// The alarms of a ledger with onset in a range, oldest first, and how many more there are.
  public static func alarms(
    of ledger: any LedgerStore,
    _ onsets: Range<Timestamp>
  ) throws(LedgerError) -> (alarms: [AlarmView], left: Int) {
    var filter = AlarmFilter()
    filter.onsetFrom = onsets.lowerBound
    filter.onsetBefore = onsets.upperBound
    var alarms: [AlarmView] = []
    var left = 0
    var cursor: Int64?
    repeat {
      let page = try ledger.alarms(filter, before: cursor, limit: 500)
      if alarms.count < maximumAlarms { alarms += page.alarms } else { left += page.alarms.count }
      cursor = page.next
    } while cursor != nil
    return (alarms.sorted { ($0.onset, $0.id) < ($1.onset, $1.id) }, left)
  }
}
