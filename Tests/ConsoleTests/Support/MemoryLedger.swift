import HazardLedger
import Synchronization
import Telemetry

/// A ledger in memory that behaves as the store's contract says, without hashing.
final class MemoryLedger: LedgerStore {
  private struct State {
    var entries: [LedgerEntry] = []
    var alarms: [String: AlarmView] = [:]
    var rejects: [RejectTally] = []
    var position: UInt64 = 0
    var failure: (error: LedgerError, told: AsyncStream<Void>.Continuation)?
  }

  private let state = Mutex(State())
  let station = "test"
  /// Rings when entries have come.
  let bell = NewsBell()

  /// Makes every read fail until ``recover()``.
  ///
  /// - Returns: an element for each read that has failed.
  @discardableResult
  func fail(with error: LedgerError) -> AsyncStream<Void> {
    let (refusals, refusal) = AsyncStream.makeStream(of: Void.self)
    state.withLock { $0.failure = (error, refusal) }
    return refusals
  }

  /// Lets reads work again.
  func recover() {
    state.withLock { $0.failure = nil }
  }

  @discardableResult
  func append(
    _ drafts: [LedgerDraft],
    rejects: [RejectTally],
    position: UInt64
  ) throws(LedgerError) -> ClosedRange<Int64>? {
    defer { bell.ring() }
    return state.withLock { state in
      state.position = position
      state.rejects += rejects
      let first = Int64(state.entries.count) + 1
      for draft in drafts {
        let sequence = Int64(state.entries.count) + 1
        state.entries.append(
          LedgerEntry(
            sequence: sequence,
            time: draft.time,
            kind: draft.kind,
            subject: draft.subject,
            actor: draft.actor,
            body: draft.body,
            origin: draft.origin,
            previousHash: Array(repeating: 0, count: 32),
            hash: Array(repeating: 1, count: 32)
          )
        )
        guard draft.kind == .alarm, let body = try? AlarmBody(decoding: draft.body) else {
          continue
        }
        if state.alarms[body.alarm] == nil {
          state.alarms[body.alarm] = AlarmView(
            body,
            sequence: sequence,
            time: draft.time,
            actor: draft.actor
          )
        } else {
          state.alarms[body.alarm]?.apply(
            body,
            sequence: sequence,
            time: draft.time,
            actor: draft.actor
          )
        }
      }
      return drafts.isEmpty ? nil : first...Int64(state.entries.count)
    }
  }

  /// Sequence of the newest entry, as a station knows it whether its ledger can be read or not.
  var newest: Int64 { state.withLock { Int64($0.entries.count) } }

  var position: UInt64 {
    get throws(LedgerError) { try read { $0.position } }
  }

  var head: (sequence: Int64, hash: [UInt8]) {
    get throws(LedgerError) {
      try read { (Int64($0.entries.count), $0.entries.last?.hash ?? []) }
    }
  }

  func entries(after sequence: Int64, limit: Int) throws(LedgerError) -> [LedgerEntry] {
    try read { Array($0.entries.dropFirst(Int(clamping: sequence)).prefix(limit)) }
  }

  func entries(
    of subject: String,
    after sequence: Int64,
    limit: Int
  ) throws(LedgerError) -> [LedgerEntry] {
    try read { state in
      Array(
        state.entries.lazy.filter { $0.subject == subject && $0.sequence > sequence }.prefix(limit)
      )
    }
  }

  func standingAlarms() throws(LedgerError) -> [AlarmView] {
    try read { state in
      state.alarms.values.filter(\.isStanding).sorted { $0.firstSequence < $1.firstSequence }
    }
  }

  func alarms(
    _ filter: AlarmFilter,
    before cursor: Int64?,
    limit: Int
  ) throws(LedgerError) -> AlarmPage {
    try read { state in
      let matching = state.alarms.values
        .filter { alarm in
          (!filter.standingOnly || alarm.isStanding)
            && (filter.states.isEmpty || filter.states.contains(alarm.state))
            && (filter.minimumPriority.map { alarm.priority >= $0 } ?? true)
            && (filter.pointPaths.isEmpty
              || filter.pointPaths.contains { alarm.point == $0 || alarm.point.hasPrefix($0 + "/") })
            && (filter.rule.map { alarm.rule == $0 } ?? true)
            && (filter.onsetFrom.map { alarm.onset >= $0 } ?? true)
            && (filter.onsetBefore.map { alarm.onset < $0 } ?? true)
            && (cursor.map { alarm.firstSequence < $0 } ?? true)
        }
        .sorted { $0.firstSequence > $1.firstSequence }
      let page = Array(matching.prefix(limit))
      return AlarmPage(
        alarms: page,
        next: matching.count > limit ? page.last?.firstSequence : nil
      )
    }
  }

  func alarm(id: String) throws(LedgerError) -> AlarmView? {
    try read { $0.alarms[id] }
  }

  func rejects(limit: Int) throws(LedgerError) -> [RejectTally] {
    try read { Array($0.rejects.reversed().prefix(limit)) }
  }

  func counters() throws(LedgerError) -> [String: Int64] {
    try read { ["entry.alarm": Int64($0.entries.count)] }
  }

  private func read<Value: Sendable>(_ body: (State) -> Value) throws(LedgerError) -> Value {
    let result: Result<Value, LedgerError> = state.withLock { state in
      if let failure = state.failure {
        failure.told.yield()
        return .failure(failure.error)
      }
      return .success(body(state))
    }
    return try result.get()
  }
}
