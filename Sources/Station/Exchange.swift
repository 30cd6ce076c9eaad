public import HazardLedger
package import PayloadDecoding
import Synchronization
import Telemetry

/// Where a running station's threads, its edges and its readers meet: what is durable, what waits, what is news.
///
/// One owner of all state that more than one thread looks at. Every method takes the lock for a few
/// instructions and calls nobody while it holds it. Behind the lock, ``LedgerQueue`` is what waits for the ledger, and
/// ``NewsReaders`` who sleeps for news of it.
public final class Exchange: Sendable {
  private struct State {
    var queue: LedgerQueue
    var readers: NewsReaders
    var received: Int64 = .min
    /// What is to be sent once the journal covers it, oldest first.
    var outgoing: [(position: UInt64, messages: [OutgoingMessage], rejects: [RejectTally])] = []
    var outgoingCount = 0
    var outgoingDropped: UInt64 = 0
    var journalFault: String?
    var ledgerFault: String?
    var isStopping = false

    var hasOutgoing: Bool { outgoing.first.map { $0.position <= queue.durable } ?? false }
  }

  /// The threads that sleep here, each until what it waits for may have come.
  ///
  /// Each has a condition of its own: were all woken by every change, a busy intake would spend more on waking than on
  /// readings.
  enum Sleeper: Int, CaseIterable {
    /// Waits for the journal.
    case intake
    /// Waits for room behind the intake; the same thread as ``intake``, which a busy ledger must not wake for nothing.
    case room
    /// Waits for outputs that the journal covers, or is about to, and for the end of that.
    case ledger
    /// Waits for new entries and for replies.
    case announcer
    /// Waits for entries of the messages of desks.
    case answers
    /// Waits for a time, or for the end.
    case patient
  }

  private let state: Mutex<State>
  private let conditions = Sleeper.allCases.map { _ in MonotonicCondition() }
  /// How many replies and refusals wait to be sent before the newest are dropped.
  private static let outgoingLimit = 10_000

  /// Makes an exchange over what the stores hold at the start.
  ///
  /// - Parameters:
  ///   - durable: newest sequence of the journal.
  ///   - position: journal sequence that the ledger stands at.
  ///   - head: the ledger's head.
  ///   - waiting: what the ledger has not taken, oldest first; it has waited long enough to be announced unrecorded.
  public init(durable: UInt64, position: UInt64, head: Int64, waiting: [CoreOutput] = []) {
    let queue = LedgerQueue(durable: durable, position: position, waiting: waiting)
    state = Mutex(State(queue: queue, readers: NewsReaders(head: head)))
  }

  // MARK: - Journal

  /// Receive time of the newest input taken in, milliseconds since the Unix epoch.
  var received: Int64 { state.withLock { $0.received } }

  /// Notes the receive time of the newest input.
  func setReceived(_ milliseconds: Int64) {
    state.withLock { $0.received = milliseconds }
  }

  /// Newest durable journal sequence.
  public var durable: UInt64 { state.withLock { $0.queue.durable } }

  /// Says that the journal holds everything up to `sequence`.
  public func setDurable(_ sequence: UInt64) {
    let (isLedgerReady, hasOutgoing) = state.withLock { state in
      state.queue.durable = sequence
      state.journalFault = nil
      return (state.queue.isReady, state.hasOutgoing)
    }
    wake(.intake)
    wake(.room)
    if isLedgerReady { wake(.ledger) }
    if hasOutgoing { wake(.announcer) }
  }

  /// Says that the journal has begun to commit everything up to `sequence`.
  func setBegun(_ sequence: UInt64) {
    let isComing = state.withLock { state in
      state.queue.begun = sequence
      return state.queue.isComing
    }
    if isComing { wake(.ledger) }
  }

  /// Waits until the journal holds everything up to `sequence`; false when it takes longer than `milliseconds`, or at a stop.
  func waitUntilDurable(_ sequence: UInt64, milliseconds: Int) -> Bool {
    wait(.ledger, milliseconds: milliseconds) { durable < sequence && !isStopping }
    return durable >= sequence
  }

  /// Says that there may be room behind the intake.
  func noteRoom() { wake(.room) }

  /// Says why the journal does not take commits.
  public func setJournalFault(_ reason: String) {
    state.withLock { $0.journalFault = reason }
  }

  // MARK: - Ledger

  /// Journal sequence that the ledger stands at.
  public var position: UInt64 { state.withLock { $0.queue.position } }
  /// The ledger's head.
  public var head: Int64 { state.withLock { $0.readers.head } }
  /// Whether an output with a draft, or one that somebody waits for, waits that the journal already covers.
  var hasReadyDrafts: Bool { state.withLock { $0.queue.isReady } }

  /// Whether such an output waits that the journal is about to cover.
  var hasComingDrafts: Bool { state.withLock { $0.queue.isComing } }

  /// How many drafts wait for the ledger.
  public var waitingDrafts: Int { state.withLock { $0.queue.waitingDrafts } }

  /// How much waits for the ledger.
  var load: LedgerQueue.Load { state.withLock { $0.queue.load } }

  /// Takes in what the core put out at monotonic time `now` (milliseconds).
  public func enqueue(_ output: CoreOutput, at now: Int64) {
    let (isLedgerReady, hasOutgoing) = state.withLock { state in
      state.queue.enqueue(output, at: now)
      let count = output.replies.count + output.rejects.count
      if count > 0, state.outgoingCount + count > Self.outgoingLimit {
        state.outgoingDropped += UInt64(count)
      } else if count > 0 {
        state.outgoing.append((output.position, output.replies, output.rejects))
        state.outgoingCount += count
      }
      return (state.queue.isReady || state.queue.isComing, state.hasOutgoing)
    }
    if isLedgerReady { wake(.ledger) }
    if hasOutgoing { wake(.announcer) }
  }

  /// The outputs, oldest first, that the journal already covers, up to about `limit` drafts; they stay as they are
  /// until ``didCommit(count:position:entries:)``.
  ///
  /// `attempted` is how many they were when a commit of them has failed. With `isAhead` those are among them that the journal
  /// is about to cover.
  public func readyOutputs(
    limit: Int,
    attempted: Int? = nil,
    isAhead: Bool = false
  ) -> [CoreOutput] {
    state.withLock {
      $0.queue.readyOutputs(limit: limit, attempted: attempted, isAhead: isAhead)
    }
  }

  /// Says that the ledger holds the oldest `count` outputs.
  ///
  /// - Parameters:
  ///   - count: how many of the waiting outputs, oldest first.
  ///   - position: journal position that was committed with them.
  ///   - entries: ledger sequences they got; nil when they had no drafts.
  /// - Returns: calls and messages to persons that may go out with that.
  @discardableResult
  public func didCommit(
    count: Int,
    position: UInt64,
    entries: ClosedRange<Int64>?
  ) -> [CalloutDispatch] {
    let (released, woken, hasAnswers) = state.withLock { state in
      let released = state.queue.didCommit(count: count, position: position, entries: entries)
      state.ledgerFault = nil
      var woken: [NewsReaders.Wake] = []
      if let entries { woken = state.readers.setHead(entries.upperBound) }
      return (released, woken, state.queue.hasAnswers)
    }
    if entries != nil { wake(.announcer) }
    for reader in woken { reader.resume() }
    for act in released.acts { act.ticket.resolve(act.result) }
    if hasAnswers { wake(.answers) }
    // Back-pressure may have ended, too.
    wake(.room)
    return released.dispatches
  }

  /// Says why the ledger does not take commits.
  public func setLedgerFault(_ reason: String) {
    state.withLock { $0.ledgerFault = reason }
  }

  /// Why journal and ledger do not take commits, where they do not.
  public var faults: (journal: String?, ledger: String?) {
    state.withLock { ($0.journalFault, $0.ledgerFault) }
  }

  /// Settles `ticket` once the act with journal sequence `sequence` is in the ledger or refused.
  func register(_ ticket: ActTicket, sequence: UInt64) {
    state.withLock { $0.queue.register(ticket, sequence: sequence) }
  }

  // MARK: - Replies and feedback

  /// Whether ``takeOutgoing()`` would give something.
  var hasOutgoing: Bool { state.withLock { $0.hasOutgoing } }

  /// How many replies and refusals found no room since the start.
  package var outgoingDropped: UInt64 { state.withLock { $0.outgoingDropped } }

  /// The replies that may go out now, and the refusals that their senders may be told of.
  ///
  /// They wait for the journal, because an answer of a format says that the data are kept.
  package func takeOutgoing() -> (messages: [OutgoingMessage], rejects: [RejectTally]) {
    state.withLock { state in
      let ready = state.outgoing.prefix { $0.position <= state.queue.durable }
      guard !ready.isEmpty else { return ([], []) }
      let result = (ready.flatMap(\.messages), ready.flatMap(\.rejects))
      state.outgoing.removeFirst(ready.count)
      state.outgoingCount -= result.0.count + result.1.count
      return result
    }
  }

  // MARK: - Never silent

  /// Announces as unrecorded what has waited for its commit longer than `limit` at monotonic time `now`
  /// (both in milliseconds).
  ///
  /// - Returns: what was announced, and the calls that must not wait any longer for their entries.
  public func announceOverdue(
    at now: Int64,
    limit: Int64
  ) -> (announced: [UnrecordedAnnouncement], dispatches: [CalloutDispatch]) {
    let (announced, woken, dispatches) = state.withLock { state in
      let overdue = state.queue.takeOverdue(at: now, limit: limit)
      let (announced, woken) = state.readers.announce(unrecorded: overdue.steps)
      return (announced, woken, overdue.dispatches)
    }
    for reader in woken { reader.resume() }
    return (announced, dispatches)
  }

  /// The alarm steps that were announced as unrecorded and whose commit has not returned, oldest first.
  public var unrecorded: [UnrecordedAnnouncement] {
    // Steps are announced and committed in one order, so what waits of them was announced last.
    state.withLock { $0.readers.newest($0.queue.overdueSteps) }
  }

  /// Takes the messages of desks that may go out at monotonic time `now` (milliseconds): those whose entry the ledger
  /// holds, with its sequence, and those that have waited longer than `limit`.
  func takeAnswers(
    at now: Int64,
    limit: Int64
  ) -> [(answer: CoreOutput.Answer, sequence: Int64?)] {
    state.withLock { $0.queue.takeAnswers(at: now, limit: limit) }
  }

  /// Whether a message of a desk may go out.
  var hasAnswers: Bool { state.withLock { $0.queue.hasAnswers } }

  /// Puts messages back that could not be sent yet, before those that came after them.
  func putBack(_ answers: ArraySlice<(answer: CoreOutput.Answer, sequence: Int64?)>) {
    state.withLock { $0.queue.putBack(answers) }
  }

  // MARK: - Readers of the streams

  /// What is new after `cursor`; nil when nothing is.
  public func news(after cursor: NewsCursor) -> News? {
    state.withLock { $0.readers.news(after: cursor) }
  }

  /// Returns as soon as there is news after `cursor`, or after `timeout`.
  public func waitForNews(after cursor: NewsCursor, timeout: Duration) async -> News {
    if let news = news(after: cursor) { return news }
    let reader = state.withLock { $0.readers.newReader() }
    let end = ContinuousClock.now + timeout
    await withTaskCancellationHandler {
      await withCheckedContinuation { (wake: NewsReaders.Wake) in
        let (isLate, isFirst) = state.withLock { state in
          // A machine that has no time may come here when the end has passed already.
          guard state.readers.news(after: cursor) == nil, !state.isStopping,
            !Task.isCancelled, ContinuousClock.now < end
          else { return (true, false) }
          return (false, state.readers.add(reader, after: cursor, until: end, wake: wake))
        }
        if isLate { wake.resume() }
        if isFirst { setAlarm(at: end) }
      }
    } onCancel: {
      wakeReader(reader)
    }
    return state.withLock {
      $0.readers.news(after: cursor) ?? News(ledgerHead: $0.readers.head, unrecorded: [])
    }
  }

  /// Rings once for all readers: one that waits for news hundreds of times a second, a second at most each, must not leave
  /// a timer each behind.
  private func setAlarm(at instant: ContinuousClock.Instant) {
    Task { [weak self] in
      // Nobody cancels this task, so the sleep does not fail.
      try? await Task.sleep(until: instant, clock: .continuous)
      self?.ring(instant)
    }
  }

  private func ring(_ instant: ContinuousClock.Instant) {
    let now = ContinuousClock.now
    let (late, next) = state.withLock { $0.readers.takeLate(at: now, ringing: instant) }
    for reader in late { reader.resume() }
    if let next { setAlarm(at: next) }
  }

  private func wakeReader(_ reader: UInt64) {
    state.withLock { $0.readers.remove(reader) }?.resume()
  }

  // MARK: - Threads

  /// Sleeps until `isIdle` says no, at most `milliseconds`; it is asked again at each change that `sleeper` is woken for,
  /// and a change between looking and waiting is not missed when it looks at the state.
  func wait(_ sleeper: Sleeper, milliseconds: Int, while isIdle: () -> Bool) {
    let condition = conditions[sleeper.rawValue]
    condition.lock()
    defer { condition.unlock() }
    guard isIdle() else { return }
    let end = MonotonicCondition.deadline(milliseconds: milliseconds)
    while condition.wait(until: end), isIdle() {}
  }

  private func wake(_ sleeper: Sleeper) {
    let condition = conditions[sleeper.rawValue]
    condition.lock()
    condition.broadcast()
    condition.unlock()
  }

  /// True once the station has been told to stop.
  public var isStopping: Bool { state.withLock { $0.isStopping } }

  /// Tells every thread and reader to come to an end.
  public func stop() {
    let (woken, acts) = state.withLock { state in
      state.isStopping = true
      return (state.readers.removeAll(), state.queue.takeActs())
    }
    for reader in woken { reader.resume() }
    for act in acts {
      act.ticket.resolve(.failure(.notYetRecorded(journalSequence: act.sequence)))
    }
    for sleeper in Sleeper.allCases { wake(sleeper) }
  }
}
