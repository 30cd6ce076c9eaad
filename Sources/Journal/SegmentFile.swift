import GRDB
import Synchronization

/// A segment file as readers see it: through SQLite, and past it where SQLite fails.
final class SegmentFile: Sendable {
  /// Where the file lies.
  let path: String
  /// First sequence that the segment may hold.
  let first: UInt64

  /// What a look for a sequence came to.
  enum Find: Sendable {
    /// The batch holds this block's records; the sequence is one of them.
    case block(BlockHeader)
    /// Nothing of these sequences, which begin with the one looked for, can be read.
    case damage(ClosedRange<UInt64>, JournalDamage.Cause)
  }

  /// What a segment holds, as far as it can be read.
  struct Extent: Sendable, Equatable {
    var blocks = 0
    var records = 0
    var last: UInt64?
    var earliestReceived = Int64.max
    var latestReceived = Int64.min
  }

  private struct State: Sendable {
    var queue: DatabaseQueue?
    /// Why SQLite could not open the file when that was last tried.
    var problem: JournalError?
    /// The scan past SQLite, once it was needed.
    var raw: RawSegment?
    /// The scan has seen what there was up to this sequence; a live segment grows beyond it.
    var rawLimit: UInt64 = 0
    /// Kept once the segment is sealed.
    var extent: Extent?
  }

  private let state = Mutex(State())

  init(path: String, first: UInt64) {
    self.path = path
    self.first = first
  }

  /// Why SQLite cannot open the file; nil when it can, or nobody has tried.
  var problem: JournalError? { state.withLock { $0.problem } }

  /// Why the file cannot be opened; nil when it can.
  func openingFault() -> String? {
    state.withLock { state in open(&state) == nil ? state.problem.map { "\($0)" } : nil }
  }

  /// Bytes on disk.
  var bytes: Int64 { FileSystem.sizeWithCompanions(path) }

  /// Closes the reading connection and runs `body` before another can be opened.
  func withoutReader<Result: Sendable>(
    _ body: () throws(JournalError) -> Result
  ) throws(JournalError) -> Result {
    try state.withLock { state throws(JournalError) in
      try? state.queue?.close()
      state.queue = nil
      return try body()
    }
  }

  /// Finds the block that holds `sequence` and decodes it.
  ///
  /// `limit` is the last sequence that the segment should hold, at least `sequence`.
  func find(
    _ sequence: UInt64,
    limit: UInt64,
    _ decoder: borrowing BlockDecoder,
    into batch: inout JournalBatch
  ) throws(JournalError) -> Find {
    try state.withLock { state throws(JournalError) in
      if state.raw == nil || sequence > state.rawLimit {
        if let header = throughSQLite(sequence, limit, decoder, into: &batch, &state) {
          return .block(header)
        }
        state.raw = nil
      }
      if let raw = state.raw {
        let find = look(in: raw, sequence, limit, state.problem, decoder, into: &batch)
        if case .block = find { return find }
      }
      // Scan, or scan again: a live segment may have moved its pages out of the log since.
      let raw: RawSegment
      do throws(SystemFault) {
        raw = try RawSegment(path: path, sequences: first...limit)
      } catch {
        // Short of descriptors is no damage: to skip what is there would falsify a replay.
        if error.isShortage { throw .io(path: path, message: "\(error)") }
        return .damage(sequence...limit, .unopenable("\(error)"))
      }
      (state.raw, state.rawLimit) = (raw, limit)
      return look(in: raw, sequence, limit, state.problem, decoder, into: &batch)
    }
  }

  /// Nil when SQLite does not find the block, which then needs a second look.
  private func throughSQLite(
    _ sequence: UInt64,
    _ limit: UInt64,
    _ decoder: borrowing BlockDecoder,
    into batch: inout JournalBatch,
    _ state: inout State
  ) -> BlockHeader? {
    guard let queue = open(&state), let key = Int64(exactly: sequence) else { return nil }
    let header = try? queue.inDatabase { db -> BlockHeader? in
      let row = try Row.fetchOne(
        db.cachedStatement(
          sql: Segment.columns + "WHERE first <= ? ORDER BY first DESC LIMIT 1"
        ),
        arguments: [key]
      )
      return try row.map { try Segment.decode($0, decoder, into: &batch) }
    }
    guard let header, header.first >= first, header.first <= sequence, header.last >= sequence,
      header.last <= limit
    else { return nil }
    return header
  }

  private func look(
    in raw: RawSegment,
    _ sequence: UInt64,
    _ limit: UInt64,
    _ problem: JournalError?,
    _ decoder: borrowing BlockDecoder,
    into batch: inout JournalBatch
  ) -> Find {
    let index = raw.index(endingAtOrAfter: sequence)
    let next = index < raw.entries.count ? raw.entries[index] : nil
    if let next, next.header.first <= sequence {
      do {
        try raw.decode(next, decoder, into: &batch)
        return .block(next.header)
      } catch {
        return .damage(sequence...next.header.last, error.cause)
      }
    }
    let gap = sequence...(next.map { $0.header.first - 1 } ?? limit)
    // The remains of a damaged block tell its first sequence, which may lie before the one asked for.
    let start = index > 0 ? raw.entries[index - 1].header.last + 1 : first
    let whole = min(start, sequence)...gap.upperBound
    return .damage(
      gap,
      raw.cause(of: whole) ?? problem.map { .unopenable("\($0)") } ?? .missing
    )
  }

  /// What the segment holds; `sealed` segments are looked at once.
  func extent(sealed: Bool, limit: UInt64) -> Extent {
    state.withLock { state in
      if let extent = state.extent { return extent }
      let extent = throughSQLite(&state) ?? past(limit, &state)
      if sealed { state.extent = extent }
      return extent
    }
  }

  private func throughSQLite(_ state: inout State) -> Extent? {
    guard let queue = open(&state) else { return nil }
    return try? queue.inDatabase { db in
      let row = try Row.fetchOne(
        db,
        sql: """
          SELECT count(*), sum(count), min(received_first), max(received_last),
          (SELECT first + count - 1 FROM block ORDER BY first DESC LIMIT 1) FROM block
          """
      )
      guard let row, case .int64(let blocks) = (row[0] as DatabaseValue).storage else { return nil }
      var extent = Extent()
      guard blocks > 0 else { return extent }
      guard case .int64(let records) = (row[1] as DatabaseValue).storage,
        case .int64(let earliest) = (row[2] as DatabaseValue).storage,
        case .int64(let latest) = (row[3] as DatabaseValue).storage,
        case .int64(let last) = (row[4] as DatabaseValue).storage,
        last >= Int64(first), UInt64(last) - first < Segment.maximumSpan
      else { return nil }
      extent.blocks = Int(blocks)
      extent.records = Int(records)
      extent.last = UInt64(last)
      extent.earliestReceived = earliest
      extent.latestReceived = latest
      return extent
    }
  }

  private func past(_ limit: UInt64, _ state: inout State) -> Extent {
    if state.raw == nil, let raw = try? RawSegment(path: path, sequences: first...limit) {
      (state.raw, state.rawLimit) = (raw, raw.entries.last?.header.last ?? 0)
    }
    var extent = Extent()
    for entry in state.raw?.entries ?? [] {
      extent.blocks += 1
      extent.records += entry.header.count
      extent.last = entry.header.last
      extent.earliestReceived = min(extent.earliestReceived, entry.header.earliestReceived)
      extent.latestReceived = max(extent.latestReceived, entry.header.latestReceived)
    }
    return extent
  }

  /// The last sequence that the file knows of: of its last block, or noted when it was closed.
  ///
  /// `limit` is the last sequence that the segment may hold.
  func lastSequence(limit: UInt64, _ decoder: borrowing BlockDecoder) -> UInt64? {
    let noted = state.withLock { state -> UInt64? in
      guard let queue = open(&state) else { return nil }
      let value = try? queue.inDatabase { db in
        try Int64.fetchOne(db, sql: "SELECT max(value) FROM property WHERE name = 'last'")
      }
      return value.flatMap { UInt64(exactly: $0) }.flatMap { $0 <= limit ? $0 : nil }
    }
    let found = state.withLock { state -> UInt64? in
      var batch = JournalBatch()
      let header =
        open(&state).flatMap { queue in
          try? queue.inDatabase { db in
            try Row.fetchOne(db, sql: Segment.columns + "ORDER BY first DESC LIMIT 1")
              .map { try Segment.decode($0, decoder, into: &batch) }
          }
        }
      if let header, header.first >= first, header.last <= limit { return header.last }
      return past(limit, &state).last
    }
    return [noted, found].compactMap(\.self).max()
  }

  /// As `lastSequence`, but an empty segment ends before its first; nil when it cannot be read.
  func readableLast(limit: UInt64) -> UInt64? {
    if let last = lastSequence(limit: limit, BlockDecoder()) { return last }
    let isEmpty = state.withLock { state in
      if open(&state) != nil { return true }
      return state.raw.map { $0.isSegment && $0.traces.isEmpty } ?? false
    }
    return isEmpty ? first - 1 : nil
  }

  /// The smallest range that holds every record received in `range`; whole blocks.
  func sequences(received range: Range<Int64>, limit: UInt64) -> ClosedRange<UInt64>? {
    state.withLock { state in
      let bounds = open(&state).flatMap { queue in
        try? queue.inDatabase { db -> ClosedRange<UInt64>? in
          let row = try Row.fetchOne(
            db,
            sql: """
              SELECT min(first), max(first + count - 1) FROM block
              WHERE received_last >= ? AND received_first < ?
              """,
            arguments: [range.lowerBound, range.upperBound]
          )
          guard let row, case .int64(let low) = (row[0] as DatabaseValue).storage,
            case .int64(let high) = (row[1] as DatabaseValue).storage
          else { return nil }
          guard low >= Int64(first), high >= low, UInt64(high) <= limit else {
            throw BlockFault.checksum
          }
          return UInt64(low)...UInt64(high)
        }
      }
      if let bounds { return bounds }
      _ = past(limit, &state)
      let hits = (state.raw?.entries ?? []).filter {
        $0.header.latestReceived >= range.lowerBound
          && $0.header.earliestReceived < range.upperBound
      }
      guard let low = hits.first, let high = hits.last else { return nil }
      return low.header.first...high.header.last
    }
  }

  /// What SQLite itself finds wrong with the file's structure; empty when nothing.
  func structuralFaults() -> [String] {
    state.withLock { state in
      guard let queue = open(&state) else {
        return [state.problem.map { "\($0)" } ?? "the file cannot be opened"]
      }
      do {
        let lines = try queue.inDatabase { db in
          try String.fetchAll(db, sql: "PRAGMA integrity_check(20)")
        }
        return lines == ["ok"] ? [] : lines
      } catch {
        return ["\(error)"]
      }
    }
  }

  private func open(_ state: inout State) -> DatabaseQueue? {
    if let queue = state.queue { return queue }
    do throws(JournalError) {
      state.queue = try Segment.openForReading(path)
      state.problem = nil
    } catch {
      state.problem = error
    }
    return state.queue
  }
}
