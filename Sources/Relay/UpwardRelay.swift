import Foundation
public import HazardLedger
public import Logging
public import Station
import Synchronization
import Telemetry

/// Passes alarms, hazards and chosen readings on to the station above, again and again until that one has them.
///
/// The ledger is the queue of alarms and hazards, the trends' outlet that of readings: nothing is kept a second time and
/// nothing is lost by a stop, a crash or an absence, however long. How far things are the station above knows: it answers
/// when its own ledger has what was sent, and at every start, and after everything unexpected, it is asked. What is sent
/// again by that it passes over.
public final class UpwardRelay: Pusher {
  /// What is passed on, and how often.
  public struct Options: Sendable {
    /// Kinds of entries that are passed on: alarms, hazards.
    public var kinds: Set<EntryKind>
    /// Word is given at least so often.
    public var heartbeat: Duration
    /// Name of the outlet of chosen readings; nil passes none on.
    public var outlet: String?
    /// The first pause after a failure.
    public var firstPause: Duration = .seconds(1)
    /// The longest.
    public var longestPause: Duration = .seconds(60)

    /// Makes options.
    public init(
      kinds: Set<EntryKind> = [.alarm, .hazard],
      heartbeat: Duration = .seconds(60),
      outlet: String? = nil
    ) {
      self.kinds = kinds
      self.heartbeat = heartbeat
      self.outlet = outlet
    }
  }

  /// An entry or a reading that the station above did not take.
  public struct DeadLetter: Hashable, Sendable {
    /// The entry's sequence in this ledger; nil of a reading.
    public var sequence: Int64?
    /// The reading's number in the outlet; nil of an entry.
    public var reading: Int64?
    /// The reading's point.
    public var point: String?
    /// Why.
    public var reason: String
    /// When that was answered, milliseconds since the Unix epoch.
    public var at: Int64
  }

  /// How the relay does.
  public struct Status: Sendable {
    /// Name of the station above, once it has answered.
    public var station = ""
    /// Sequence up to which it has everything; nil until it has answered.
    public var sequence: Int64?
    /// Sequence up to which nothing is left to be passed on: what lies between it and ``sequence`` is of no interest
    /// above.
    public var settled: Int64 = 0
    /// The own ledger's head.
    public var head: Int64 = 0
    /// Entries that it has taken since the start.
    public var entries: UInt64 = 0
    /// Readings that it has taken since the start.
    public var readings: UInt64 = 0
    /// Entries and readings that it had already.
    public var duplicates: UInt64 = 0
    /// Entries and readings that it refused.
    public var refused: UInt64 = 0
    /// Entries whose body a redaction has taken, which therefore are not passed on.
    public var withheld: UInt64 = 0
    /// Attempts that did not get through.
    public var failures: UInt64 = 0
    /// Times that it had less than it had said before: it was restored from a copy, and gets the rest again.
    public var rewinds: UInt64 = 0
    /// Readings that wait.
    public var waitingReadings: Int64 = 0
    /// Readings that went because too many waited.
    public var droppedReadings: Int64 = 0
    /// When it last answered, milliseconds since the Unix epoch.
    public var heard: Int64?
    /// What keeps things from going on; nil while they do.
    public var fault: String?
    /// The newest refusals, oldest first.
    public var deadLetters: [DeadLetter] = []

    /// Entries of the own ledger that have not been passed on or passed over yet.
    public var lag: Int64 { sequence == nil ? head : max(0, head - settled) }
  }

  private struct State {
    var status = Status()
    /// Entries up to here have been looked at; those between the cursor and here are of no interest above.
    var scanned: Int64 = 0
    var reading: Int64 = 0
    /// Most entries and readings of a batch; smaller after one that was too large.
    var entryLimit = RelayBatch.entryLimit
    var readingLimit = RelayBatch.readingLimit
    var sent: ContinuousClock.Instant?
    /// No answer came the last time: what was sent may have been taken, so that the station above is asked first.
    var mustAsk = false
  }

  private static let deadLetterLimit = 100
  /// How many of them are of readings.
  private static let readingLetterLimit = 20
  /// Bytes of bodies after which a batch is sent as it is.
  private static let batchBytes = 512 << 10
  /// Entries of no interest after which word is given of having passed them.
  private static let passedLimit: Int64 = 20_000

  private let options: Options
  private let ledger: any LedgerStore
  private let trends: TrendStore?
  private let news: @Sendable (_ after: Int64, _ timeout: Duration) async -> Int64
  private let line: any RelayLine
  private let clock: @Sendable () -> Int64
  private let logger: Logger
  private let state = Mutex(State())

  /// Makes a relay; it works while ``run()`` does.
  ///
  /// - Parameters:
  ///   - options: what, and how often.
  ///   - ledger: the own ledger, read only.
  ///   - trends: where chosen readings wait.
  ///   - news: returns the ledger's head as soon as it is past a sequence, or after a time.
  ///   - line: the way to the station above.
  ///   - clock: milliseconds since the Unix epoch.
  ///   - logger: takes what is worth telling.
  public init(
    options: Options,
    ledger: any LedgerStore,
    trends: TrendStore?,
    news: @escaping @Sendable (_ after: Int64, _ timeout: Duration) async -> Int64,
    line: any RelayLine,
    clock: @escaping @Sendable () -> Int64,
    logger: Logger
  ) {
    self.options = options
    self.ledger = ledger
    self.trends = trends
    self.news = news
    self.line = line
    self.clock = clock
    self.logger = logger
  }

  /// How the relay does.
  public var status: Status { state.withLock { $0.status } }

  /// Passes things on until it is cancelled.
  public func run() async { await push() }

  var firstPause: Duration { options.firstPause }
  var longestPause: Duration { options.longestPause }

  func awaitNews() async {
    let scanned = state.withLock { $0.scanned }
    // Readings come by the outlet, which gives no word: a look every second is little beside their 15 s.
    let head = await news(scanned, .seconds(1))
    state.withLock { $0.status.head = head }
  }

  // MARK: - One round

  package func round() async -> Round {
    do {
      guard let cursor = state.withLock({ $0.mustAsk ? nil : $0.status.sequence }) else {
        // Nothing is taken for known before the station above has said it.
        let head = try await offThread { [ledger] in try ledger.head.sequence }
        state.withLock { $0.status.head = head }
        return await send(
          RelayBatch(station: ledger.station, after: 0, through: 0),
          isQuestion: true
        )
      }
      let (scanned, reading, entryLimit, readingLimit) = state.withLock {
        ($0.scanned, $0.reading, $0.entryLimit, $0.readingLimit)
      }
      let (batch, withheld) = try await offThread { [self] in
        try gather(
          after: cursor,
          scanned: scanned,
          reading: reading,
          entryLimit: entryLimit,
          readingLimit: readingLimit
        )
      }
      state.withLock { state in
        // What was found has not been sent yet: should that fail, it must be found again.
        guard batch.entries.isEmpty else { return }
        state.status.withheld += withheld
        state.scanned = max(state.scanned, batch.through)
      }
      if batch.isHeartbeat, batch.through - cursor < Self.passedLimit, !isHeartbeatDue {
        state.withLock { $0.status.settled = batch.through }
        return .idle
      }
      let sent = await send(batch, isQuestion: false)
      if case .worked = sent, !batch.entries.isEmpty {
        state.withLock { $0.status.withheld += withheld }
      }
      return sent
    } catch {
      fail("the own ledger or the trends cannot be read: \(error)")
      return .failed(retryAfter: nil)
    }
  }

  private var isHeartbeatDue: Bool {
    guard let sent = state.withLock({ $0.sent }) else { return true }
    return ContinuousClock.now - sent >= options.heartbeat
  }

  /// What is to go up next.
  private func gather(
    after cursor: Int64,
    scanned: Int64,
    reading: Int64,
    entryLimit: Int,
    readingLimit: Int
  ) throws -> (batch: RelayBatch, withheld: UInt64) {
    var batch = RelayBatch(station: ledger.station, after: cursor, through: max(cursor, scanned))
    var withheld: UInt64 = 0
    var bytes = 0
    let head = try ledger.head.sequence
    state.withLock { $0.status.head = head }
    pages: for _ in 0..<20 {
      let page = try ledger.entries(after: batch.through, limit: 500)
      for entry in page {
        if options.kinds.contains(entry.kind) {
          guard let body = entry.body else {
            withheld += 1
            batch.through = entry.sequence
            continue
          }
          if batch.entries.count >= entryLimit || bytes + body.count > Self.batchBytes,
            !batch.entries.isEmpty
          {
            break pages
          }
          bytes += body.count
          batch.entries.append(entry)
        }
        batch.through = entry.sequence
      }
      if page.count < 500 { break }
    }
    if let outlet = options.outlet, let trends {
      batch.readings = try trends.readings(for: outlet, after: reading, limit: readingLimit)
      let waiting = try trends.waiting(for: outlet)
      state.withLock { state in
        state.status.waitingReadings = waiting.readings
        state.status.droppedReadings = waiting.dropped
      }
    }
    return (batch, withheld)
  }

  private func send(_ batch: RelayBatch, isQuestion: Bool) async -> Round {
    let bytes = batch.encoded()
    switch await line.send(bytes) {
    case .failure(let failure):
      state.withLock { $0.mustAsk = true }
      // A call that a stop cuts off says nothing of the station above.
      if !Task.isCancelled { fail(failure.cause) }
      return .failed(retryAfter: nil)
    case .success(let reply) where reply.status == 200:
      do {
        let outcome = try RelayOutcome(decoding: reply.body)
        return try await settle(outcome, of: batch, isQuestion: isQuestion)
      } catch {
        fail("the answer of the station above is of no use: \(error)")
        return .failed(retryAfter: nil)
      }
    case .success(let reply) where reply.isTooLarge:
      state.withLock { state in
        state.entryLimit = max(1, batch.entries.count / 2)
        state.readingLimit = max(1, batch.readings.count / 2)
      }
      fail("the station above takes no batch as large as \(bytes.count) bytes: \(reply.brief)")
      return batch.entries.count + batch.readings.count > 1 ? .worked : .failed(retryAfter: nil)
    case .success(let reply):
      fail("the station above answers \(reply.status): \(reply.brief)")
      return .failed(retryAfter: reply.retryAfter.map { .seconds($0) })
    }
  }

  /// Drops the oldest so many dead letters that are readings' and not entries'.
  private static func drop(_ surplus: Int, from letters: inout [DeadLetter]) {
    var surplus = surplus
    letters.removeAll { letter in
      guard surplus > 0, letter.reading != nil else { return false }
      surplus -= 1
      return true
    }
  }

  /// Takes in what the station above has said.
  private func settle(
    _ outcome: RelayOutcome,
    of batch: RelayBatch,
    isQuestion: Bool
  ) async throws -> Round {
    guard try await isOwn(outcome, batch) else {
      state.withLock { $0.status.sequence = nil }
      fail(
        "the station above holds entries of another ledger under the name \(ledger.station) (its sequence "
          + "\(outcome.newest.sequence) differs from the one here): put the ledger back that was here before, or give "
          + "this station a name of its own"
      )
      return .failed(retryAfter: .seconds(60))
    }
    // An answer to a question says what was sent before this start; any other, nothing beyond what has been sent now.
    let sent = state.withLock { max($0.reading, batch.readings.last?.number ?? 0) }
    let reading = isQuestion ? outcome.reading : min(outcome.reading, sent)
    if let outlet = options.outlet, let trends {
      try await offThread {
        // Where the trends were begun anew, numbers that the station above knows must not be used again.
        if isQuestion { try trends.renumber(outlet, beyond: outcome.reading) }
        try trends.confirmReadings(for: outlet, through: reading)
      }
    }
    let wasFailing = note(outcome, of: batch, reading: reading, isQuestion: isQuestion)
    if wasFailing || isQuestion {
      logger.notice(
        "passing on to the station above",
        metadata: ["station": "\(outcome.station)", "after": "\(outcome.sequence)"]
      )
    }
    logRefusals(outcome)
    return .worked
  }

  /// Notes how far the station above has come and what it does not take, `reading` being the newest reading that it has.
  ///
  /// - Returns: whether nothing had got through before.
  private func note(
    _ outcome: RelayOutcome,
    of batch: RelayBatch,
    reading: Int64,
    isQuestion: Bool
  ) -> Bool {
    let now = clock()
    return state.withLock { state in
      let wasFailing = state.status.fault != nil
      if let known = state.status.sequence, outcome.sequence < known { state.status.rewinds += 1 }
      state.status.station = outcome.station
      state.status.sequence = outcome.sequence
      state.scanned = outcome.sequence
      state.mustAsk = false
      state.reading = max(reading, isQuestion ? 0 : state.reading)
      state.status.settled = outcome.sequence
      state.status.entries += UInt64(clamping: outcome.taken)
      state.status.readings += UInt64(clamping: outcome.takenReadings)
      state.status.duplicates += UInt64(clamping: outcome.duplicates)
      state.status.refused += UInt64(clamping: outcome.refused.count &+ outcome.refusedReadings)
      state.status.heard = now
      state.status.fault = nil
      // Readings make room first: a gauge with a broken clock must not push an alarm off the list.
      state.status.deadLetters += outcome.readingRefusals.suffix(Self.readingLetterLimit).map {
        refusal in
        DeadLetter(
          reading: refusal.number,
          point: batch.readings.first { $0.number == refusal.number }?.point,
          reason: refusal.reason,
          at: now
        )
      }
      let readings = state.status.deadLetters.count { $0.reading != nil }
      Self.drop(readings - Self.readingLetterLimit, from: &state.status.deadLetters)
      state.status.deadLetters += outcome.refused.map {
        DeadLetter(sequence: $0.sequence, reason: $0.reason, at: now)
      }
      Self.drop(
        state.status.deadLetters.count - Self.deadLetterLimit,
        from: &state.status.deadLetters
      )
      let excess = state.status.deadLetters.count - Self.deadLetterLimit
      if excess > 0 { state.status.deadLetters.removeFirst(excess) }
      state.sent = ContinuousClock.now
      state.entryLimit = min(RelayBatch.entryLimit, state.entryLimit * 2)
      state.readingLimit = min(RelayBatch.readingLimit, state.readingLimit * 2)
      return wasFailing
    }
  }

  private func logRefusals(_ outcome: RelayOutcome) {
    for refusal in outcome.refused {
      logger.error(
        "the station above does not take an entry; it stays in this ledger",
        metadata: ["sequence": "\(refusal.sequence)", "reason": "\(refusal.reason)"]
      )
    }
    if outcome.refusedReadings > 0 {
      logger.error(
        "the station above does not take readings; they stay in this station's journal",
        metadata: [
          "readings": "\(outcome.refusedReadings)",
          "first": "\(outcome.readingRefusals.first?.number ?? 0)",
          "reason": "\(outcome.readingRefusals.first?.reason ?? "")",
        ]
      )
    }
  }

  /// Whether what the station above has newest is in this ledger, letter by letter.
  private func isOwn(_ outcome: RelayOutcome, _ batch: RelayBatch) async throws -> Bool {
    let (sequence, hash) = outcome.newest
    let sent = batch.entries.last { $0.sequence == sequence }?.hash.hex
    return try await offThread { [ledger] in
      // Who has more than was ever here has it from elsewhere; going on behind it would pass over what comes.
      guard try ledger.head.sequence >= outcome.sequence else { return false }
      guard sequence > 0 else { return true }
      if let sent { return sent == hash }
      guard let entry = try ledger.entries(after: sequence - 1, limit: 1).first else {
        return false
      }
      return entry.sequence == sequence && entry.hash.hex == hash
    }
  }

  private func fail(_ reason: String) {
    let isNew = state.withLock { state in
      defer { state.status.fault = reason }
      state.status.failures += 1
      return state.status.fault != reason
    }
    if isNew {
      logger.error("nothing is passed on for now; it waits", metadata: ["reason": "\(reason)"])
    }
  }
}
