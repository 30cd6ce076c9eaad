public import HazardLedger
package import PayloadDecoding
import Synchronization
import Telemetry

/// Where a running station's threads, its edges and its readers meet: what is durable, what waits, what is news.
///
/// One owner of all state that more than one thread looks at. Every method takes the lock for a few
/// instructions and calls nobody while it holds it.
public final class Exchange: Sendable {
  /// An output of the core whose commit has not returned.
  private struct Waiting {
    var output: CoreOutput
    /// Monotonic milliseconds at which the core put it out.
    var since: Int64
  }

  /// How much waits for the ledger.
  struct Load: Hashable, Sendable {
    /// Drafts, refusals, acts and the outputs that hold them.
    var entries = 0
    /// About how many bytes they take.
    var bytes = 0
  }

  private struct Reader {
    var cursor: NewsCursor
    /// When it has waited long enough.
    var end: ContinuousClock.Instant
    var wake: CheckedContinuation<Void, Never>
  }

  /// A message of a desk that waits for its ledger entry.
  private struct PendingAnswer {
    var answer: CoreOutput.Answer
    /// Position of the output that it belongs to.
    var position: UInt64
    var since: Int64
    /// Ledger sequence of its entry, once it has one.
    var sequence: Int64?
  }

  private struct State {
    var durable: UInt64
    var position: UInt64
    var head: Int64
    var received: Int64 = .min
    /// Oldest first.
    var waiting: [Waiting] = []
    var waitingDrafts = 0
    /// Of what waits, without the outputs themselves.
    var load = Load()
    /// How many of them the ledger has been handed: a commit that failed is tried again exactly as it was.
    var handedOut = 0
    /// How many of them have waited too long: their alarm steps have been announced as unrecorded.
    var overdue = 0
    /// How many there are when the next look is due for those that need not wait.
    var thinnedAt = Exchange.leastThinned
    /// Position of the oldest waiting output that has something for the ledger.
    var oldestFilled: UInt64?
    var unrecorded: [UnrecordedAnnouncement] = []
    var lastUnrecorded: UInt64 = 0
    /// What is to be sent once the journal covers it, oldest first.
    var outgoing: [(position: UInt64, messages: [OutgoingMessage], rejects: [RejectTally])] = []
    var outgoingCount = 0
    var outgoingDropped: UInt64 = 0
    var readers: [UInt64: Reader] = [:]
    var nextReader: UInt64 = 1
    /// When the next look at the readers' ends is due; nil while nobody waits for one.
    var alarm: ContinuousClock.Instant?
    var acts: [UInt64: ActTicket] = [:]
    var answers: [PendingAnswer] = []
    var journalFault: String?
    var ledgerFault: String?
    var isStopping = false

    var isLedgerReady: Bool { oldestFilled.map { $0 <= durable } ?? false }
    var hasOutgoing: Bool { outgoing.first.map { $0.position <= durable } ?? false }
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
    /// Waits for outputs that the journal covers.
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
  /// How many unrecorded announcements are kept for readers that come late.
  private static let unrecordedLimit = 10_000
  /// From how many waiting outputs on it is looked for those that need not wait.
  private static let leastThinned = 64
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
    var start = State(durable: durable, position: position, head: head)
    for output in waiting { Self.hold(output, since: .min / 2, in: &start) }
    // The ledger may have it although it has said otherwise.
    start.handedOut = min(1, waiting.count)
    state = Mutex(start)
  }

  // MARK: - Journal

  /// Receive time of the newest input taken in, milliseconds since the Unix epoch.
  var received: Int64 { state.withLock { $0.received } }

  /// Notes the receive time of the newest input.
  func setReceived(_ milliseconds: Int64) {
    state.withLock { $0.received = milliseconds }
  }

  /// Newest durable journal sequence.
  public var durable: UInt64 { state.withLock { $0.durable } }

  /// Says that the journal holds everything up to `sequence`.
  public func setDurable(_ sequence: UInt64) {
    let (isLedgerReady, hasOutgoing) = state.withLock { state in
      state.durable = sequence
      state.journalFault = nil
      return (state.isLedgerReady, state.hasOutgoing)
    }
    wake(.intake)
    wake(.room)
    if isLedgerReady { wake(.ledger) }
    if hasOutgoing { wake(.announcer) }
  }

  /// Says that there may be room behind the intake.
  func noteRoom() { wake(.room) }

  /// Says why the journal does not take commits.
  public func setJournalFault(_ reason: String) {
    state.withLock { $0.journalFault = reason }
  }

  // MARK: - Ledger

  /// Journal sequence that the ledger stands at.
  public var position: UInt64 { state.withLock { $0.position } }
  /// The ledger's head.
  public var head: Int64 { state.withLock { $0.head } }
  /// Whether an output with a draft, or one that somebody waits for, waits that the journal already covers.
  var hasReadyDrafts: Bool { state.withLock { $0.isLedgerReady } }

  /// How many drafts wait for the ledger.
  public var waitingDrafts: Int { state.withLock { $0.waitingDrafts } }

  /// How much waits for the ledger.
  var load: Load {
    state.withLock {
      Load(entries: $0.load.entries + $0.waiting.count, bytes: $0.load.bytes)
    }
  }

  /// Takes in what the core put out at monotonic time `now` (milliseconds).
  ///
  /// Readings are left behind: neither ledger nor readers of the streams ask for them, and a ledger that takes nothing
  /// for a day must not keep a day's readings in memory.
  public func enqueue(_ output: CoreOutput, at now: Int64) {
    let (isLedgerReady, hasOutgoing) = state.withLock { state in
      for answer in output.answers {
        state.answers.append(
          PendingAnswer(answer: answer, position: output.position, since: now)
        )
      }
      var kept = output
      kept.replies = []
      kept.latest = []
      kept.former = []
      kept.relayed = []
      Self.hold(kept, since: now, in: &state)
      if state.waiting.count >= state.thinnedAt { Self.thin(&state) }
      let count = output.replies.count + output.rejects.count
      if count > 0, state.outgoingCount + count > Self.outgoingLimit {
        state.outgoingDropped += UInt64(count)
      } else if count > 0 {
        state.outgoing.append((output.position, output.replies, output.rejects))
        state.outgoingCount += count
      }
      return (state.isLedgerReady, state.hasOutgoing)
    }
    if isLedgerReady { wake(.ledger) }
    if hasOutgoing { wake(.announcer) }
  }

  /// Lets an output wait for the ledger behind those that do already.
  private static func hold(_ output: CoreOutput, since: Int64, in state: inout State) {
    state.waiting.append(Waiting(output: output, since: since))
    state.waitingDrafts += output.drafts.count
    state.load.entries += output.entriesForLedger
    state.load.bytes += output.bytesForLedger
    if output.isForLedger, state.oldestFilled == nil { state.oldestFilled = output.position }
  }

  /// Lets go of outputs that say only how far the journal has been worked through, where the journal covers the next one
  /// too, which says more.
  ///
  /// So what waits is bounded by what there is to record, however long the ledger takes nothing.
  private static func thin(_ state: inout State) {
    var kept: [Waiting] = []
    var overdue = state.overdue
    for index in state.waiting.indices {
      let waiting = state.waiting[index]
      let next = index + 1
      if index >= state.handedOut, waiting.output.saysOnlyPosition, next < state.waiting.count,
        state.waiting[next].output.position <= state.durable
      {
        if index < state.overdue { overdue -= 1 }
      } else {
        kept.append(waiting)
      }
    }
    state.waiting = kept
    state.overdue = overdue
    state.thinnedAt = max(leastThinned, 2 * kept.count)
  }

  /// Puts outputs together that have been announced and wait on: of their refusals one line of a kind remains.
  ///
  /// So a ledger that takes nothing for a day does not stop the reading for what was refused meanwhile. An output is
  /// committed whole, so that a crash neither loses nor doubles a count.
  private static func join(_ state: inout State) {
    let (first, end) = (state.handedOut, state.overdue)
    guard end - first > 1 else { return }
    let answering = Set(state.answers.map(\.position))
    var groups: [[Waiting]] = []
    var drafts = 0
    var isOpen = false
    for waiting in state.waiting[first..<end] {
      let output = waiting.output
      let canJoin = output.position <= state.durable && !answering.contains(output.position)
      drafts += output.drafts.count
      if isOpen, canJoin, drafts <= joinedDrafts {
        groups[groups.count - 1].append(waiting)
      } else {
        groups.append([waiting])
        drafts = output.drafts.count
        isOpen = canJoin
      }
    }
    guard groups.count < end - first else { return }
    let joined = groups.map { group in
      group.count == 1
        ? group[0]
        : Waiting(output: CoreOutput(joining: group.map(\.output)), since: group[0].since)
    }
    state.waiting.replaceSubrange(first..<end, with: joined)
    state.overdue = first + joined.count
    state.load = state.waiting.reduce(into: Load()) { load, waiting in
      load.entries += waiting.output.entriesForLedger
      load.bytes += waiting.output.bytesForLedger
    }
    state.oldestFilled = state.waiting.first { $0.output.isForLedger }?.output.position
    state.thinnedAt = max(leastThinned, 2 * state.waiting.count)
  }

  /// Drafts of outputs that are put together at most: their refusals are lines of their own again.
  private static let joinedDrafts = 1_024

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
      let ready = state.outgoing.prefix { $0.position <= state.durable }
      guard !ready.isEmpty else { return ([], []) }
      let result = (ready.flatMap(\.messages), ready.flatMap(\.rejects))
      state.outgoing.removeFirst(ready.count)
      state.outgoingCount -= result.0.count + result.1.count
      return result
    }
  }

  /// The outputs, oldest first, that the journal already covers, up to about `limit` drafts; they stay as they are
  /// until ``didCommit(count:position:entries:)``.
  ///
  /// `attempted` is how many they were when a commit of them has failed.
  public func readyOutputs(limit: Int, attempted: Int? = nil) -> [CoreOutput] {
    state.withLock { state in
      var ready: [CoreOutput] = []
      var drafts = 0
      for waiting in state.waiting.prefix(attempted ?? .max) {
        guard waiting.output.position <= state.durable, drafts < limit else { break }
        ready.append(waiting.output)
        drafts += waiting.output.drafts.count
      }
      state.handedOut = max(state.handedOut, ready.count)
      return ready
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
    var wakeUps: [CheckedContinuation<Void, Never>] = []
    var dispatches: [CalloutDispatch] = []
    var answers: [(ticket: ActTicket, result: Result<ActReceipt, ActError>)] = []
    let hasAnswers = state.withLock { state in
      var sequence = entries?.lowerBound ?? 0
      for (index, waiting) in state.waiting.prefix(count).enumerated() {
        for act in waiting.output.acts {
          guard let ticket = state.acts.removeValue(forKey: act.sequence) else { continue }
          switch act.refusal {
          case .none:
            let receipt = ActReceipt(
              journalSequence: act.sequence,
              ledgerSequence: sequence + Int64(act.draftIndex)
            )
            answers.append((ticket, .success(receipt)))
          case .some(let refusal):
            answers.append((ticket, .failure(refusal)))
          }
        }
        if index >= state.overdue { dispatches += waiting.output.dispatches }
        if !waiting.output.answers.isEmpty {
          for index in state.answers.indices
          where state.answers[index].position == waiting.output.position {
            state.answers[index].sequence =
              sequence + Int64(state.answers[index].answer.draftIndex)
          }
        }
        sequence += Int64(waiting.output.drafts.count)
        state.waitingDrafts -= waiting.output.drafts.count
        state.load.entries -= waiting.output.entriesForLedger
        state.load.bytes -= waiting.output.bytesForLedger
      }
      state.waiting.removeFirst(count)
      state.handedOut = max(0, state.handedOut - count)
      state.overdue = max(0, state.overdue - count)
      state.oldestFilled = state.waiting.first { $0.output.isForLedger }?.output.position
      state.position = position
      state.ledgerFault = nil
      if let entries {
        state.head = entries.upperBound
        wakeUps = Self.takeWoken(&state)
      }
      return state.answers.contains { $0.sequence != nil }
    }
    if entries != nil { wake(.announcer) }
    for wake in wakeUps { wake.resume() }
    for answer in answers { answer.ticket.resolve(answer.result) }
    if hasAnswers { wake(.answers) }
    // Back-pressure may have ended, too.
    wake(.room)
    return dispatches
  }

  /// Says why the ledger does not take commits.
  public func setLedgerFault(_ reason: String) {
    state.withLock { $0.ledgerFault = reason }
  }

  /// Why journal and ledger do not take commits, where they do not.
  public var faults: (journal: String?, ledger: String?) {
    state.withLock { ($0.journalFault, $0.ledgerFault) }
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
    var wakeUps: [CheckedContinuation<Void, Never>] = []
    let overdue = state.withLock { state in
      var announced: [UnrecordedAnnouncement] = []
      var dispatches: [CalloutDispatch] = []
      let before = state.overdue
      for index in before..<state.waiting.count {
        guard now - state.waiting[index].since >= limit else { break }
        state.overdue = index + 1
        for var dispatch in state.waiting[index].output.dispatches {
          dispatch.isRecorded = false
          dispatches.append(dispatch)
        }
        for draft in state.waiting[index].output.drafts where draft.kind == .alarm {
          state.lastUnrecorded += 1
          announced.append(
            UnrecordedAnnouncement(number: state.lastUnrecorded, body: draft.body)
          )
        }
      }
      if state.overdue > before { Self.join(&state) }
      guard !announced.isEmpty else { return (announced: announced, dispatches: dispatches) }
      state.unrecorded.append(contentsOf: announced)
      if state.unrecorded.count > Self.unrecordedLimit {
        state.unrecorded.removeFirst(state.unrecorded.count - Self.unrecordedLimit)
      }
      wakeUps = Self.takeWoken(&state)
      return (announced: announced, dispatches: dispatches)
    }
    for wake in wakeUps { wake.resume() }
    return overdue
  }

  /// The alarm steps that were announced as unrecorded and whose commit has not returned, oldest first.
  public var unrecorded: [UnrecordedAnnouncement] {
    state.withLock { state in
      // Steps are announced and committed in one order, so what waits of them was announced last.
      let bodies: [[UInt8]] = state.waiting.prefix(state.overdue)
        .flatMap { $0.output.drafts.filter { $0.kind == .alarm }.map(\.body) }
      let first = state.lastUnrecorded - UInt64(bodies.count) + 1
      return bodies.enumerated().map { index, body in
        UnrecordedAnnouncement(number: first + UInt64(index), body: body)
      }
    }
  }

  /// Takes the messages of desks that may go out at monotonic time `now` (milliseconds): those whose entry the ledger
  /// holds, with its sequence, and those that have waited longer than `limit`.
  func takeAnswers(
    at now: Int64,
    limit: Int64
  ) -> [(answer: CoreOutput.Answer, sequence: Int64?)] {
    state.withLock { state in
      guard !state.answers.isEmpty else { return [] }
      var ready: [(answer: CoreOutput.Answer, sequence: Int64?)] = []
      state.answers.removeAll { pending in
        guard pending.sequence != nil || now - pending.since >= limit else { return false }
        ready.append((pending.answer, pending.sequence))
        return true
      }
      return ready
    }
  }

  /// Whether a message of a desk may go out.
  var hasAnswers: Bool { state.withLock { $0.answers.contains { $0.sequence != nil } } }

  /// Puts messages back that could not be sent yet, before those that came after them.
  func putBack(_ answers: ArraySlice<(answer: CoreOutput.Answer, sequence: Int64?)>) {
    state.withLock { state in
      state.answers.insert(
        contentsOf: answers.map {
          PendingAnswer(answer: $0.answer, position: 0, since: .min / 2, sequence: $0.sequence)
        },
        at: 0
      )
    }
  }

  // MARK: - Readers of the streams

  /// What is new after `cursor`; nil when nothing is.
  public func news(after cursor: NewsCursor) -> News? {
    state.withLock { Self.news(in: $0, after: cursor) }
  }

  /// Returns as soon as there is news after `cursor`, or after `timeout`.
  public func waitForNews(after cursor: NewsCursor, timeout: Duration) async -> News {
    if let news = news(after: cursor) { return news }
    let reader = state.withLock { state in
      defer { state.nextReader += 1 }
      return state.nextReader
    }
    let end = ContinuousClock.now + timeout
    await withTaskCancellationHandler {
      await withCheckedContinuation { (wake: CheckedContinuation<Void, Never>) in
        let (isLate, isFirst) = state.withLock { state in
          // A machine that has no time may come here when the end has passed already.
          guard Self.news(in: state, after: cursor) == nil, !state.isStopping,
            !Task.isCancelled, ContinuousClock.now < end
          else { return (true, false) }
          state.readers[reader] = Reader(cursor: cursor, end: end, wake: wake)
          guard state.alarm.map({ end < $0 }) ?? true else { return (false, false) }
          state.alarm = end
          return (false, true)
        }
        if isLate { wake.resume() }
        if isFirst { setAlarm(at: end) }
      }
    } onCancel: {
      wakeReader(reader)
    }
    return state.withLock {
      Self.news(in: $0, after: cursor) ?? News(ledgerHead: $0.head, unrecorded: [])
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
    var late: [CheckedContinuation<Void, Never>] = []
    let next: ContinuousClock.Instant? = state.withLock { state in
      for (id, reader) in state.readers where reader.end <= now {
        late.append(reader.wake)
        state.readers.removeValue(forKey: id)
      }
      // One that was set for an earlier time than this is still to come, and looks after those that wait.
      guard state.alarm == instant else { return nil }
      state.alarm = state.readers.values.map(\.end).min()
      return state.alarm
    }
    for wake in late { wake.resume() }
    if let next { setAlarm(at: next) }
  }

  private func wakeReader(_ reader: UInt64) {
    state.withLock { $0.readers.removeValue(forKey: reader) }?.wake.resume()
  }

  private static func news(in state: State, after cursor: NewsCursor) -> News? {
    guard state.head > cursor.ledger || state.lastUnrecorded > cursor.unrecorded else { return nil }
    return News(
      ledgerHead: state.head,
      unrecorded: state.unrecorded.filter { $0.number > cursor.unrecorded }
    )
  }

  private static func takeWoken(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
    var woken: [CheckedContinuation<Void, Never>] = []
    for (id, reader) in state.readers where news(in: state, after: reader.cursor) != nil {
      woken.append(reader.wake)
      state.readers.removeValue(forKey: id)
    }
    return woken
  }

  // MARK: - Acts

  /// Settles `ticket` once the act with journal sequence `sequence` is in the ledger or refused.
  func register(_ ticket: ActTicket, sequence: UInt64) {
    state.withLock { $0.acts[sequence] = ticket }
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
    var wakeUps: [CheckedContinuation<Void, Never>] = []
    var tickets: [(sequence: UInt64, ticket: ActTicket)] = []
    state.withLock { state in
      state.isStopping = true
      wakeUps = state.readers.values.map(\.wake)
      state.readers.removeAll()
      tickets = state.acts.map { ($0.key, $0.value) }
      state.acts.removeAll()
    }
    for wake in wakeUps { wake.resume() }
    for entry in tickets {
      entry.ticket.resolve(.failure(.notYetRecorded(journalSequence: entry.sequence)))
    }
    for sleeper in Sleeper.allCases { wake(sleeper) }
  }
}

extension CoreOutput {
  /// Whether the ledger has more to take from it than its position.
  var isForLedger: Bool { !drafts.isEmpty || !rejects.isEmpty || !acts.isEmpty }

  /// Whether nobody would miss it once a later one is recorded.
  fileprivate var saysOnlyPosition: Bool { !isForLedger && dispatches.isEmpty && answers.isEmpty }

  /// Makes one of some that follow on each other, whose alarms have been announced and whose calls have gone out.
  fileprivate init(joining outputs: [CoreOutput]) {
    self.init(position: outputs.last?.position ?? 0)
    for output in outputs {
      for var act in output.acts {
        act.draftIndex += drafts.count
        acts.append(act)
      }
      drafts += output.drafts
    }
    rejects = RejectTally.merged(outputs.flatMap(\.rejects), lines: Self.joinedLines)
  }

  /// Lines of refusals that are told apart in outputs put together.
  private static var joinedLines: Int { 128 }

  var entriesForLedger: Int { drafts.count + rejects.count + acts.count }

  /// About what it takes in memory until it is recorded.
  var bytesForLedger: Int {
    var bytes = 0
    for draft in drafts { bytes += draft.body.count + Self.bytesOfARow }
    for tally in rejects {
      bytes += tally.sample.count + tally.detail.utf8.count + tally.topic.utf8.count
      bytes += Self.bytesOfARow
    }
    for answer in answers { bytes += answer.payload.count + Self.bytesOfARow }
    return bytes + (acts.count + 4 * dispatches.count) * Self.bytesOfARow
  }

  private static var bytesOfARow: Int { 256 }
}
