public import HazardLedger
import Journal
public import Logging
import Synchronization
import Telemetry

/// One running plant: intake → journal → engine → ledger → streams, on a thread each.
///
/// Threads and what they own: *intake* the broker link and the sequencer; *journal* the commits; *engine* the
/// ``StationCore``; *ledger* the ledger's writes and the snapshots; *announce* what goes out by MQTT, *answers* what
/// desks have to say; *trends* the minutes. They meet in the ``Exchange`` only; the work itself is in ``Stages``, and
/// what edges ask (``StationAccess``) is answered on their own threads. Stopping is orderly but nothing depends on it:
/// the start after it is the start after a crash.
public final class LiveStation: StationAccess {
  /// The ledger; edges only read it.
  public let ledger: any LedgerStore
  let stages: Stages
  let clocks: any StationClocks
  private let logger: Logger
  let started: Timestamp
  private let toEngine: BatchQueue
  private let toJournal: BatchQueue
  private let threads = ThreadGroup()
  /// Monotonic milliseconds at which the threads that never wait for a disk last showed that they go on.
  private let intakePulse = Atomic<Int64>(0)
  private let enginePulse = Atomic<Int64>(0)
  let archiveReader = ArchiveReader()
  let moreMetrics: Mutex<[@Sendable () -> String]> = Mutex([])
  private let onFenced: @Sendable () -> Void

  /// Wraps stages that have recovered; nothing runs before ``start(makeLink:announcer:answers:)``.
  ///
  /// - Parameters:
  ///   - stages: the stages.
  ///   - clocks: the clocks.
  ///   - logger: where failures go.
  ///   - onFenced: is called when another station has taken the ledger over, or it has lost commits; this one must end.
  public init(
    stages: Stages,
    clocks: any StationClocks,
    logger: Logger,
    onFenced: @escaping @Sendable () -> Void = {}
  ) {
    self.stages = stages
    self.onFenced = onFenced
    self.clocks = clocks
    self.logger = logger
    ledger = stages.ledger
    started = Timestamp(milliseconds: clocks.wall())
    stages.waitsForJournal = true
    let exchange = stages.exchange
    toEngine = BatchQueue(limits: stages.limits, keepsAtClose: false) { exchange.noteRoom() }
    toJournal = BatchQueue(limits: stages.limits, keepsAtClose: true) { exchange.noteRoom() }
  }

  /// Starts the threads.
  ///
  /// - Parameters:
  ///   - makeLink: makes the broker link on the intake thread, which alone uses it.
  ///   - announcer: publishes what is new; nil publishes nothing.
  ///   - answers: sends what desks have to say; nil sends nothing.
  public func start(
    makeLink: @escaping @Sendable () -> any IntakeLink,
    announcer: Announcer?,
    answers: AnswerSender? = nil
  ) {
    threads.run("davy-intake") { self.intake(makeLink()) }
    threads.run("davy-journal") { self.commitJournal() }
    threads.run("davy-engine") { self.evaluate() }
    threads.run("davy-ledger") { self.commitLedger() }
    threads.run("davy-announce") { self.announce(announcer) }
    if let trends = stages.trends { threads.run("davy-trends") { self.keep(trends) } }
    threads.run("davy-answers") { self.sendAnswers(answers) }
  }

  /// Stops the threads and waits for them.
  ///
  /// What was read still goes into the journal, unless that takes long: at QoS 1 and 2 it would come again, at QoS 0 it would not.
  /// What is queued for the broker gets ``Announcer/grace``; alarm steps that do not make it go out at the next start.
  /// Then a snapshot is written, for which a disk is not waited for long either.
  public func stop() {
    stages.exchange.stop()
    toEngine.close()
    threads.join()
    stages.refuseInbox()
    let last = ThreadGroup()
    let end = clocks.monotonic() + Self.lastSnapshot
    last.run("davy-snapshot") { [stages, clocks] in
      stages.finish { clocks.monotonic() >= end }
    }
    if !last.join(milliseconds: Int(Self.lastSnapshot)) {
      logger.warning("stopped before a snapshot was written; the next start replays the journal")
    }
  }

  /// How long a stop waits for its snapshot, in milliseconds: a service manager kills what takes much longer.
  private static let lastSnapshot: Int64 = 10_000

  // MARK: - Threads

  private func intake(_ link: any IntakeLink) {
    defer {
      toJournal.close()
      link.stop()
    }
    let exchange = stages.exchange
    var taken = exchange.durable
    var acknowledged = taken
    var isSlow = false
    var takenBytes = 0
    var wasFull = false
    var progress = CommitProgress(durable: taken, at: clocks.monotonic())
    var clockWatch = ClockWatch()
    while !exchange.isStopping {
      intakePulse.store(clocks.monotonic(), ordering: .relaxed)
      // Where no sender waits and more is there to be read, the commit goes on beside it, as long as the next one can take all
      // that waits. With nothing to read it is waited for: what comes meanwhile goes into one batch.
      if taken > acknowledged, wasFull, toJournal.fitsOneCommit, !link.owesAcknowledgements {
        acknowledged = taken
        isSlow = false
      }
      if taken > acknowledged {
        let newest = taken
        let seen = progress.durable
        let start = clocks.monotonic()
        let isOverdue = progress.isOverdue(at: start)
        exchange.wait(.intake, milliseconds: Self.commitPatience) {
          exchange.durable < newest && (!isOverdue || exchange.durable == seen)
            && !exchange.isStopping
        }
        let now = clocks.monotonic()
        let patience = Self.slowCommit + Self.slowMebibyte * Int64(takenBytes >> 20)
        isSlow = now - start >= patience
        progress.note(exchange.durable, at: now)
        if progress.durable >= taken {
          link.acknowledge()
          acknowledged = taken
        } else {
          // The disk is slow or dead. Reading goes on, so that alarms go out; acknowledgements do not.
          link.keepAlive()
          // But a disk that goes on would be read ahead of for good, and nothing ever be acknowledged: not by more than a look when
          // the next commit is full, and not at all after a while without an acknowledgement.
          if link.owesAcknowledgements,
            progress.isCatchingUp(at: now)
              || progress.goesOn(at: now) && !toJournal.fitsOneCommit
          {
            continue
          }
        }
      }
      guard hasRoom else {
        // Back-pressure ends here: nothing is read, so nothing more is acknowledged.
        link.keepAlive()
        exchange.wait(.room, milliseconds: 20) { !hasRoom && !exchange.isStopping }
        continue
      }
      // An engine that stands still for a while must not stop the reading: messages at QoS 0 would be lost at the broker.
      if taken == acknowledged {
        exchange.wait(.room, milliseconds: 20) { toEngine.isDeep && !exchange.isStopping }
        if exchange.isStopping { break }
      }
      let isBehind = taken > acknowledged
      let collected = stages.collect(
        from: link,
        timeoutMilliseconds: isBehind ? 0 : pollTimeout(),
        isBehind: isBehind,
        isSlow: isSlow,
        clock: clocks.wall
      )
      if let leap = clockWatch.leap(wall: clocks.wall(), monotonic: clocks.monotonic()) {
        stages.counters.clockLeaps.add(1, ordering: .relaxed)
        logger.critical("\(ClockWatch.text(leap: leap))")
      }
      clockWatch.note(stages.counters.clockBehind.load(ordering: .relaxed), logger)
      guard let batch = collected else { continue }
      if toEngine.isEmpty { enginePulse.store(clocks.monotonic(), ordering: .relaxed) }
      // Its disk is what the acknowledgement waits for, so the journal begins first.
      toJournal.push(batch)
      toEngine.push(batch)
      if taken == acknowledged { progress.begin(at: clocks.monotonic()) }
      taken = batch.lastSequence
      takenBytes = batch.inputs.byteCount
      wasFull =
        takenBytes >= stages.batchBytes(isBehind: isBehind, isSlow: isSlow)
        || batch.inputs.count >= stages.limits.batchMessages
    }
    // What has become durable meanwhile need not come again.
    if taken > acknowledged, exchange.durable >= taken { link.acknowledge() }
  }

  /// Whether what is read now can wait behind the intake.
  private var hasRoom: Bool {
    let load = stages.exchange.load
    return toEngine.hasRoom && toJournal.hasRoom && load.entries < stages.limits.waitingDrafts
      && load.bytes < stages.limits.waitingDraftBytes
  }

  /// How long a commit may take, in milliseconds, before reading goes on without it.
  private static let commitPatience = 50
  /// From how many milliseconds on a commit shall carry more than the processor's caches hold.
  private static let slowCommit: Int64 = 5
  /// And for each further mebibyte, which is compressed and written: else a great batch would be the reason for the next.
  private static let slowMebibyte: Int64 = 2

  private func pollTimeout() -> Int {
    guard let deadline = stages.counters.deadline else { return 20 }
    return Int(min(20, max(1, deadline - clocks.wall())))
  }

  private func commitJournal() {
    var end = Int64.max
    var failure = LastingFailure(
      "journal does not take the commit; acknowledgements are withheld",
      end: "journal takes commits again",
      logger: logger
    )
    while let first = toJournal.pop() {
      if stages.exchange.isStopping {
        end = min(end, clocks.monotonic() + Self.lastCommits)
        guard clocks.monotonic() < end else {
          let inputs = first.inputs.count + toJournal.waiting.inputs
          logger.warning(
            "stopped before the journal took all that was read; what came at QoS 0 is lost",
            metadata: ["inputs": "\(inputs)"]
          )
          return
        }
      }
      guard commit(gathered(behind: first), &failure) else { return }
    }
  }

  /// Commits a batch however often it takes; false when the journal did not take it and the station stops.
  private func commit(_ batch: InputBatch, _ failure: inout LastingFailure) -> Bool {
    while true {
      do {
        try stages.commit(batch)
        failure.succeeded()
        return true
      } catch {
        failure.note(error, at: clocks.monotonic())
        guard !stages.exchange.isStopping else { return false }
        pause()
      }
    }
  }

  /// How long after the word to stop the journal goes on taking what was read, in milliseconds.
  private static let lastCommits: Int64 = 2_000

  /// What has gathered behind a slow commit goes into one with its first: one sync for all of it.
  private func gathered(behind first: InputBatch) -> InputBatch {
    guard first.inputs.byteCount < stages.limits.batchBytesSlow,
      let second = toJournal.popWaiting()
    else { return first }
    var inputs = first.inputs
    let waiting = toJournal.waiting
    inputs.reserve(
      messages: second.inputs.count + waiting.inputs,
      bytes: second.inputs.byteCount + min(waiting.bytes, stages.limits.batchBytesSlow)
    )
    var next: InputBatch? = second
    while let batch = next {
      for index in 0..<batch.inputs.count { inputs.append(from: batch.inputs, at: index) }
      next = inputs.byteCount < stages.limits.batchBytesSlow ? toJournal.popWaiting() : nil
    }
    return InputBatch(inputs, firstSequence: first.firstSequence)
  }

  private func evaluate() {
    while let batch = toEngine.pop() {
      enginePulse.store(clocks.monotonic(), ordering: .relaxed)
      stages.evaluate(batch, at: clocks.monotonic())
      enginePulse.store(clocks.monotonic(), ordering: .relaxed)
    }
  }

  private func commitLedger() {
    let exchange = stages.exchange
    var lastPosition = clocks.monotonic()
    var failure = LastingFailure(
      "ledger does not take the commit",
      end: "ledger takes commits again",
      logger: logger
    )
    while !exchange.isStopping {
      do {
        let isDue = clocks.monotonic() - lastPosition >= 1_000
        if try stages.record(isUrgent: isDue) {
          lastPosition = clocks.monotonic()
          failure.succeeded()
        } else {
          exchange.wait(.ledger, milliseconds: 20) {
            !stages.hasSomethingToRecord && !exchange.isStopping
          }
        }
        stages.signCheckpoint(at: clocks.wall())
      } catch let error as LedgerError where error.endsWriter {
        // Whatever this station would still do, another does it now, or its next start.
        logger.critical(
          "the ledger is not as this station knows it",
          metadata: ["error": "\(error)"]
        )
        onFenced()
        return
      } catch {
        failure.note(error, at: clocks.monotonic())
        pause()
      }
    }
  }

  private func announce(_ announcer: Announcer?) {
    let exchange = stages.exchange
    var feedback = FeedbackWriter()
    while !exchange.isStopping {
      let head = exchange.head
      let (overdue, calls) = exchange.announceOverdue(
        at: clocks.monotonic(),
        limit: stages.limits.unrecordedAfter
      )
      stages.deliver(calls)
      stages.counters.unrecorded.add(UInt64(overdue.count), ordering: .relaxed)
      if !overdue.isEmpty {
        logger.critical(
          "alarms announced unrecorded: their commit has not returned",
          metadata: ["count": "\(overdue.count)"]
        )
      }
      let sent =
        announcer?.work(
          unrecorded: overdue,
          exchange: exchange,
          ledger: ledger,
          at: clocks.monotonic()
        ) ?? 0
      if let announcer {
        stages.counters.note(announcer.linkState, of: "alarms", at: clocks.monotonic())
        stages.counters.published.store(announcer.taken, ordering: .relaxed)
        stages.counters.announcer.withLock { $0 = announcer.faults }
      }
      let answered = answer(announcer, &feedback)
      if sent == 0, !answered {
        exchange.wait(.announcer, milliseconds: 20) {
          exchange.head == head && !exchange.hasOutgoing && !exchange.isStopping
        }
      }
    }
    announcer?.stop()
  }

  /// Sends replies of the formats and tells gateways what was refused; false when there was nothing.
  private func answer(_ announcer: Announcer?, _ feedback: inout FeedbackWriter) -> Bool {
    let outgoing = stages.exchange.takeOutgoing()
    guard !outgoing.messages.isEmpty || !outgoing.rejects.isEmpty else { return false }
    guard let announcer else { return true }
    let counters = stages.counters
    counters.addReplies(announcer.send(outgoing.messages), of: outgoing.messages.count)
    let words = feedback.messages(
      for: outgoing.rejects,
      catalog: catalog,
      at: clocks.monotonic()
    )
    counters.addFeedback(announcer.send(words), of: words.count, heldBack: feedback.heldBack)
    return true
  }

  private func keep(_ trends: TrendStore) {
    let exchange = stages.exchange
    var isTold = false
    var lastPrune = clocks.monotonic()
    func sleep(_ milliseconds: Int64, while isIdle: () -> Bool) {
      let end = clocks.monotonic() + milliseconds
      while !exchange.isStopping, clocks.monotonic() < end, isIdle() {
        exchange.wait(.patient, milliseconds: 500) { !exchange.isStopping && isIdle() }
      }
    }
    while true {
      sleep(Self.trendPeriod) { true }
      trends.seal()
      sleep(Self.trendPeriod) { exchange.durable < trends.sealedPosition }
      do {
        try trends.write(durable: exchange.durable)
        if clocks.monotonic() - lastPrune > 3_600_000 {
          try trends.prune(now: exchange.received)
          lastPrune = clocks.monotonic()
        }
        isTold = false
      } catch {
        if !isTold { logger.error("trends not written", metadata: ["error": "\(error)"]) }
        isTold = true
      }
      if exchange.isStopping { return }
    }
  }

  /// How long readings stay in memory before their minutes are written, in milliseconds.
  private static let trendPeriod: Int64 = 15_000

  private func sendAnswers(_ sender: AnswerSender?) {
    let exchange = stages.exchange
    while !exchange.isStopping {
      let now = clocks.monotonic()
      let limit = stages.limits.unrecordedAfter
      // Without a sender they are taken all the same: nothing may pile up.
      let sent =
        sender?.work(exchange: exchange, at: now, limit: limit)
        ?? exchange.takeAnswers(at: now, limit: limit).count
      if let sender {
        stages.counters.note(sender.linkState, of: "answers", at: now)
        stages.counters.answers.withLock { $0 = sender.counts }
      }
      if sent == 0 {
        // Those that are left have no room at the publisher, and it says nothing when there is some.
        let isFull = exchange.hasAnswers
        exchange.wait(.answers, milliseconds: 20) {
          (isFull || !exchange.hasAnswers) && !exchange.isStopping
        }
      }
    }
    sender?.stop()
  }

  private func pause() {
    stages.exchange.wait(.patient, milliseconds: Int(stages.limits.retryDelay)) {
      !stages.exchange.isStopping
    }
  }

  /// How long intake or engine, the two that never wait for a disk, have shown no sign of life, in milliseconds; what a
  /// watchdog asks.
  ///
  /// An engine without work is well. A dead disk does not count: with it the station still announces.
  public var stillMilliseconds: Int64 {
    let now = clocks.monotonic()
    let intake = now - intakePulse.load(ordering: .relaxed)
    let engine = toEngine.isEmpty ? 0 : now - enginePulse.load(ordering: .relaxed)
    return max(intake, engine)
  }
}

/// How the journal's commits get on while something waits to be acknowledged; monotonic milliseconds.
///
/// A commit that steadily takes longer than intake waits for it would always find a newer batch taken, and what is
/// acknowledged is everything or nothing. So after a while without, when a commit has ended, nothing more is taken until
/// everything is durable that was taken before, as long as one commit after the other ends. What comes meanwhile waits at the
/// broker, and engine time stands still: alarms are late by these commits, of which ``goesOn(at:)`` keeps the number small.
private struct CommitProgress {
  private(set) var durable: UInt64
  private var advanced: Int64
  private var began: Int64
  private var catchesUpUntil: Int64 = .min
  /// How long a commit takes at most, as far as the last ones tell.
  private var longestCommit: Int64 = 0

  /// From how long without an acknowledgement on reading waits for the disk.
  private static let longest: Int64 = 500
  /// How long it waits at least, and how long at most, for a commit that is as slow as others were.
  private static let longestPause: Int64 = 2_000
  private static let longestPauses: Int64 = 10_000
  /// How long a disk that was slow before counts as living at most without a sign of it.
  private static let longestSilence: Int64 = 5_000

  init(durable: UInt64, at now: Int64) {
    self.durable = durable
    advanced = now
    began = now
  }

  /// The first batch since everything was acknowledged has been taken.
  mutating func begin(at now: Int64) {
    began = now
    advanced = now
    catchesUpUntil = .min
    longestCommit /= 2
  }

  mutating func note(_ durable: UInt64, at now: Int64) {
    guard durable != self.durable else { return }
    self.durable = durable
    longestCommit = max(longestCommit, now - advanced)
    if isOverdue(at: now) {
      // As long as the longest took, twice over; the longer nothing could be acknowledged, the longer it may be.
      let most = max(Self.longestPause, min(Self.longestPauses, (now - began) / 4))
      catchesUpUntil = now + min(most, 2 * longestCommit + 100)
    }
    advanced = now
  }

  /// Whether so much time has passed without an acknowledgement that the disk is to be caught up with.
  func isOverdue(at now: Int64) -> Bool { now - began >= Self.longest }

  func isCatchingUp(at now: Int64) -> Bool { now < catchesUpUntil }

  /// Whether the disk has shown lately that it is not dead.
  func goesOn(at now: Int64) -> Bool {
    now - advanced < max(Self.longest, min(Self.longestSilence, 2 * longestCommit))
  }
}
