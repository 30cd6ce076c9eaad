import HazardLedger

/// What waits for the ledger: outputs of the core, and with them the acts and the messages of desks that they speak of.
///
/// A plain value; the ``Exchange`` keeps it behind its lock.
struct LedgerQueue {
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

    /// Counts what an output holds, without the output itself.
    mutating func add(_ output: CoreOutput) {
      entries += output.entriesForLedger
      bytes += output.bytesForLedger
    }

    /// Takes off what ``add(_:)`` counted.
    mutating func remove(_ output: CoreOutput) {
      entries -= output.entriesForLedger
      bytes -= output.bytesForLedger
    }
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

  /// What a commit lets go.
  struct Released {
    /// Calls and messages to persons that have not gone out unrecorded.
    var dispatches: [CalloutDispatch] = []
    /// Acts and what became of them.
    var acts: [(ticket: ActTicket, result: Result<ActReceipt, ActError>)] = []
  }

  /// Newest durable journal sequence.
  var durable: UInt64
  /// Newest journal sequence of which a commit has begun.
  var begun: UInt64
  /// Journal sequence that the ledger stands at.
  private(set) var position: UInt64
  /// How many drafts wait.
  private(set) var waitingDrafts = 0
  /// Oldest first.
  private var waiting: [Waiting] = []
  /// Of what waits, without the outputs themselves.
  private var held = Load()
  /// How many of them the ledger has been handed: a commit that failed is tried again exactly as it was.
  private var handedOut = 0
  /// How many of them have waited too long: their alarm steps have been announced as unrecorded.
  private var overdue = 0
  /// How many there are when the next look is due for those that need not wait.
  private var thinnedAt = LedgerQueue.leastThinned
  /// Position of the oldest waiting output that has something for the ledger.
  private var oldestFilled: UInt64?
  private var acts: [UInt64: ActTicket] = [:]
  private var answers: [PendingAnswer] = []

  /// From how many waiting outputs on it is looked for those that need not wait.
  private static let leastThinned = 64
  /// Drafts of outputs that are put together at most: their refusals are lines of their own again.
  private static let joinedDrafts = 1_024

  /// Makes a queue in which outputs have waited long enough to be announced unrecorded.
  init(durable: UInt64, position: UInt64, waiting outputs: [CoreOutput]) {
    self.durable = durable
    begun = durable
    self.position = position
    for output in outputs { hold(output, since: .min / 2) }
    // The ledger may have it although it has said otherwise.
    handedOut = min(1, outputs.count)
  }

  /// Whether an output with a draft, or one that somebody waits for, waits that the journal already covers.
  var isReady: Bool { oldestFilled.map { $0 <= durable } ?? false }

  /// Whether such an output waits that the journal is about to cover.
  var isComing: Bool { oldestFilled.map { $0 > durable && $0 <= begun } ?? false }

  /// How much waits.
  var load: Load { Load(entries: held.entries + waiting.count, bytes: held.bytes) }

  // MARK: - In

  /// Takes in what the core put out at monotonic time `now` (milliseconds).
  ///
  /// Readings are left behind: neither ledger nor readers of the streams ask for them, and a ledger that takes nothing
  /// for a day must not keep a day's readings in memory.
  mutating func enqueue(_ output: CoreOutput, at now: Int64) {
    for answer in output.answers {
      answers.append(PendingAnswer(answer: answer, position: output.position, since: now))
    }
    var kept = output
    kept.replies = []
    kept.latest = []
    kept.former = []
    kept.relayed = []
    hold(kept, since: now)
    if waiting.count >= thinnedAt { thin() }
  }

  /// Lets an output wait behind those that do already.
  private mutating func hold(_ output: CoreOutput, since: Int64) {
    waiting.append(Waiting(output: output, since: since))
    waitingDrafts += output.drafts.count
    held.add(output)
    if output.isForLedger, oldestFilled == nil { oldestFilled = output.position }
  }

  /// Lets go of outputs that say only how far the journal has been worked through, where the journal covers the next one
  /// too, which says more.
  ///
  /// So what waits is bounded by what there is to record, however long the ledger takes nothing.
  private mutating func thin() {
    var kept: [Waiting] = []
    var keptOverdue = overdue
    for index in waiting.indices {
      let next = index + 1
      if index >= handedOut, waiting[index].output.saysOnlyPosition, next < waiting.count,
        waiting[next].output.position <= durable
      {
        if index < overdue { keptOverdue -= 1 }
      } else {
        kept.append(waiting[index])
      }
    }
    waiting = kept
    overdue = keptOverdue
    thinnedAt = max(Self.leastThinned, 2 * kept.count)
  }

  /// Settles `ticket` once the act with journal sequence `sequence` is in the ledger or refused.
  mutating func register(_ ticket: ActTicket, sequence: UInt64) {
    acts[sequence] = ticket
  }

  /// The acts that still wait; they wait here no longer.
  mutating func takeActs() -> [(sequence: UInt64, ticket: ActTicket)] {
    defer { acts.removeAll() }
    return acts.map { ($0.key, $0.value) }
  }

  // MARK: - Out, recorded

  /// The outputs, oldest first, that the journal already covers, up to about `limit` drafts; they stay as they are
  /// until ``didCommit(count:position:entries:)``.
  ///
  /// `attempted` is how many they were when a commit of them has failed. With `isAhead` those are among them that the journal
  /// is about to cover.
  mutating func readyOutputs(limit: Int, attempted: Int?, isAhead: Bool) -> [CoreOutput] {
    let end = isAhead ? max(begun, durable) : durable
    var ready: [CoreOutput] = []
    var drafts = 0
    for waiting in self.waiting.prefix(attempted ?? .max) {
      guard waiting.output.position <= end, drafts < limit else { break }
      ready.append(waiting.output)
      drafts += waiting.output.drafts.count
    }
    handedOut = max(handedOut, ready.count)
    return ready
  }

  /// Lets go of the oldest `count` outputs, which the ledger holds now.
  ///
  /// - Parameters:
  ///   - count: how many of the waiting outputs, oldest first.
  ///   - position: journal position that was committed with them.
  ///   - entries: ledger sequences they got; nil when they had no drafts.
  /// - Returns: what may go out with that.
  mutating func didCommit(
    count: Int,
    position: UInt64,
    entries: ClosedRange<Int64>?
  ) -> Released {
    var released = Released()
    var sequence = entries?.lowerBound ?? 0
    for (index, waiting) in self.waiting.prefix(count).enumerated() {
      settle(waiting.output.acts, from: sequence, into: &released)
      if index >= overdue { released.dispatches += waiting.output.dispatches }
      numberAnswers(of: waiting.output, from: sequence)
      sequence += Int64(waiting.output.drafts.count)
      waitingDrafts -= waiting.output.drafts.count
      held.remove(waiting.output)
    }
    waiting.removeFirst(count)
    handedOut = max(0, handedOut - count)
    overdue = max(0, overdue - count)
    findOldestFilled()
    self.position = position
    return released
  }

  /// Says what became of acts whose output's first entry got ledger sequence `sequence`.
  private mutating func settle(
    _ outcomes: [CoreOutput.ActOutcome],
    from sequence: Int64,
    into released: inout Released
  ) {
    for act in outcomes {
      guard let ticket = acts.removeValue(forKey: act.sequence) else { continue }
      switch act.refusal {
      case .none:
        let receipt = ActReceipt(
          journalSequence: act.sequence,
          ledgerSequence: sequence + Int64(act.draftIndex)
        )
        released.acts.append((ticket, .success(receipt)))
      case .some(let refusal):
        released.acts.append((ticket, .failure(refusal)))
      }
    }
  }

  /// Gives the messages of an output their ledger sequences; its first entry got `sequence`.
  private mutating func numberAnswers(of output: CoreOutput, from sequence: Int64) {
    guard !output.answers.isEmpty else { return }
    for index in answers.indices where answers[index].position == output.position {
      answers[index].sequence = sequence + Int64(answers[index].answer.draftIndex)
    }
  }

  private mutating func findOldestFilled() {
    oldestFilled = waiting.first { $0.output.isForLedger }?.output.position
  }

  // MARK: - Out, unrecorded

  /// Notes as overdue what has waited longer than `limit` at monotonic time `now` (both in milliseconds).
  ///
  /// - Returns: bodies of the alarm steps among it, and the calls that must not wait any longer for their entries.
  mutating func takeOverdue(
    at now: Int64,
    limit: Int64
  ) -> (steps: [[UInt8]], dispatches: [CalloutDispatch]) {
    var steps: [[UInt8]] = []
    var dispatches: [CalloutDispatch] = []
    let before = overdue
    for index in before..<waiting.count {
      guard now - waiting[index].since >= limit else { break }
      overdue = index + 1
      for var dispatch in waiting[index].output.dispatches {
        dispatch.isRecorded = false
        dispatches.append(dispatch)
      }
      steps += waiting[index].output.alarmSteps
    }
    if overdue > before { join() }
    return (steps, dispatches)
  }

  /// Bodies of the alarm steps that are overdue and whose commit has not returned, oldest first.
  var overdueSteps: [[UInt8]] { waiting.prefix(overdue).flatMap(\.output.alarmSteps) }

  /// Puts outputs together that have been announced and wait on: of their refusals one line of a kind remains.
  ///
  /// So a ledger that takes nothing for a day does not stop the reading for what was refused meanwhile. An output is
  /// committed whole, so that a crash neither loses nor doubles a count.
  private mutating func join() {
    let (first, end) = (handedOut, overdue)
    guard end - first > 1 else { return }
    let answering = Set(answers.map(\.position))
    var groups: [[Waiting]] = []
    var drafts = 0
    var isOpen = false
    for waiting in self.waiting[first..<end] {
      let output = waiting.output
      let canJoin = output.position <= durable && !answering.contains(output.position)
      drafts += output.drafts.count
      if isOpen, canJoin, drafts <= Self.joinedDrafts {
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
    waiting.replaceSubrange(first..<end, with: joined)
    overdue = first + joined.count
    held = waiting.reduce(into: Load()) { $0.add($1.output) }
    findOldestFilled()
    thinnedAt = max(Self.leastThinned, 2 * waiting.count)
  }

  // MARK: - Messages of desks

  /// Whether a message of a desk may go out.
  var hasAnswers: Bool { answers.contains { $0.sequence != nil } }

  /// Takes the messages of desks that may go out at monotonic time `now` (milliseconds): those whose entry the ledger
  /// holds, with its sequence, and those that have waited longer than `limit`.
  mutating func takeAnswers(
    at now: Int64,
    limit: Int64
  ) -> [(answer: CoreOutput.Answer, sequence: Int64?)] {
    guard !answers.isEmpty else { return [] }
    var ready: [(answer: CoreOutput.Answer, sequence: Int64?)] = []
    answers.removeAll { pending in
      guard pending.sequence != nil || now - pending.since >= limit else { return false }
      ready.append((pending.answer, pending.sequence))
      return true
    }
    return ready
  }

  /// Puts messages back that could not be sent yet, before those that came after them.
  mutating func putBack(_ unsent: ArraySlice<(answer: CoreOutput.Answer, sequence: Int64?)>) {
    let pending = unsent.map {
      PendingAnswer(answer: $0.answer, position: 0, since: .min / 2, sequence: $0.sequence)
    }
    answers.insert(contentsOf: pending, at: 0)
  }
}

extension CoreOutput {
  /// Whether the ledger has more to take from it than its position.
  fileprivate var isForLedger: Bool { !drafts.isEmpty || !rejects.isEmpty || !acts.isEmpty }

  /// Whether nobody would miss it once a later one is recorded.
  fileprivate var saysOnlyPosition: Bool { !isForLedger && dispatches.isEmpty && answers.isEmpty }

  /// Bodies of the steps of alarms among its drafts.
  fileprivate var alarmSteps: [[UInt8]] { drafts.filter { $0.kind == .alarm }.map(\.body) }

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

  fileprivate var entriesForLedger: Int { drafts.count + rejects.count + acts.count }

  /// About what it takes in memory until it is recorded.
  fileprivate var bytesForLedger: Int {
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
