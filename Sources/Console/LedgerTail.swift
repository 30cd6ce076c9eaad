import HazardLedger
import Hummingbird
import Logging
import ServiceLifecycle
import Station
import Synchronization

/// How far a stream has come, and which alarms it was told of before they were recorded.
struct StreamCursor: Hashable, Sendable {
  var place: StreamPlace
  var unrecorded: UInt64 = 0

  var ledger: Int64 { place.sequence }
}

/// The newest end of the ledger, encoded once for every stream that follows it.
///
/// One task reads what is new and keeps the last few thousand entries as finished frames; a stream
/// takes frames from here while it keeps up and reads the ledger itself while it does not. Nothing
/// is buffered for a stream, so a slow one costs nothing and loses nothing; one whose reader has stopped altogether is
/// closed (``StreamWatch``).
final class LedgerTail: Service {
  /// What a stream is given.
  enum Next: Sendable {
    /// Frames to send, and the cursor after them.
    case frames([ByteBuffer], StreamCursor)
    /// The cursor is older than what is kept: read the ledger.
    case behind(head: Int64)
    /// There is nothing after the cursor.
    case nothing
  }

  private struct Announcement: Sendable {
    var number: UInt64
    var body: [UInt8]
    var frame: Frame
  }

  /// A finished frame and who is told it.
  private struct Frame: Sendable {
    var audience: StreamAudience
    var bytes: ByteBuffer
  }

  private struct Waiter {
    var cursor: StreamCursor
    var deadline: ContinuousClock.Instant
    var continuation: CheckedContinuation<Void, Never>
  }

  private struct State {
    /// Sequence of the entry before `frames[0]`.
    var base: Int64 = 0
    /// One an entry; nil for entries that are not streamed.
    var frames: [Frame?] = []
    /// The places of the same entries.
    var places: [StreamPlace] = []
    /// Announced and not yet seen in the ledger, oldest first.
    var announcements: [Announcement] = []
    var newestAnnouncement: UInt64 = 0
    var waiters: [UInt64: Waiter] = [:]
    var ended: Set<UInt64> = []
    var nextStream: UInt64 = 1
    var isReady = false

    var head: Int64 { base + Int64(frames.count) }
  }

  /// Entries kept as frames.
  private static let capacity = 8_192
  /// Announcements kept; a disk that is away for so long that more are waiting shows as such anyway.
  private static let announcementCapacity = 4_096

  private let station: any StationAccess
  private let counters: ConsoleCounters
  /// How long a reader may take nothing of what is written for it.
  private let stallLimit: Duration
  private let logger: Logger
  private let state = Mutex(State())
  /// Who sees readers that have stopped reading.
  let watch = StreamWatch()

  init(
    station: any StationAccess,
    counters: ConsoleCounters,
    stallLimit: Duration,
    logger: Logger
  ) {
    self.station = station
    self.counters = counters
    self.stallLimit = stallLimit
    self.logger = logger
  }

  /// Follows the ledger until the service stops.
  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await self.follow() }
        group.addTask { await self.tick() }
        await group.waitForAll()
      }
    }
  }

  /// The newest sequence that frames exist for.
  var head: Int64 { state.withLock { $0.head } }

  /// Names a new stream.
  func register() -> UInt64 {
    state.withLock { state in
      defer { state.nextStream += 1 }
      return state.nextStream
    }
  }

  /// Forgets a stream that has ended.
  func unregister(_ stream: UInt64) {
    state.withLock { state in
      _ = state.ended.remove(stream)
    }
  }

  /// Marks a stream whose reader is gone, and wakes it.
  func end(_ stream: UInt64) {
    let waiter = state.withLock { state in
      state.ended.insert(stream)
      return state.waiters.removeValue(forKey: stream)
    }
    waiter?.continuation.resume()
  }

  /// Whether the reader of a stream is gone.
  func hasEnded(_ stream: UInt64) -> Bool {
    state.withLock { $0.ended.contains(stream) }
  }

  /// What a scope includes of what comes after a cursor, at most `limit` entries.
  ///
  /// The cursor passes what the scope does not include, so that it stays a place in the whole ledger.
  func next(after cursor: StreamCursor, in scope: StreamScope, limit: Int = 512) -> Next {
    state.withLock { state in
      guard state.isReady else { return .nothing }
      var frames: [ByteBuffer] = []
      var reached = cursor
      for announcement in state.announcements
      where announcement.number > cursor.unrecorded
        && scope.includes(announcement.frame.audience)
      {
        frames.append(announcement.frame.bytes)
      }
      // Those that are recorded by now are told by their entries; a reader must not wait for them.
      reached.unrecorded = state.newestAnnouncement
      if cursor.ledger < state.base { return .behind(head: state.head) }
      let start = Int(cursor.ledger - state.base)
      let end = min(state.frames.count, start + limit)
      if start < end {
        for case let frame? in state.frames[start..<end]
        where scope.includes(frame.audience) { frames.append(frame.bytes) }
        reached.place = state.places[end - 1]
      }
      return reached == cursor ? .nothing : .frames(frames, reached)
    }
  }

  /// Returns when there may be something after `cursor`, at the deadline, or when the stream has ended.
  func wait(stream: UInt64, after cursor: StreamCursor, until deadline: ContinuousClock.Instant)
    async
  {
    await withTaskCancellationOrGracefulShutdownHandler {
      await withCheckedContinuation { continuation in
        let waits = state.withLock { state in
          guard !state.ended.contains(stream), !Task.isCancelled, !Task.isShuttingDownGracefully,
            !Self.isNews((state.head, state.newestAnnouncement), for: cursor)
          else { return false }
          state.waiters[stream] = Waiter(
            cursor: cursor,
            deadline: deadline,
            continuation: continuation
          )
          return true
        }
        if !waits { continuation.resume() }
      }
    } onCancelOrGracefulShutdown: {
      self.end(stream)
    }
  }

  private func follow() async {
    var cursor: NewsCursor?
    while !Task.isCancelled {
      do {
        if cursor == nil {
          let head = try await BlockingWork.run { [station] in try station.ledger.head.sequence }
          state.withLock { state in
            state.base = head
            state.isReady = true
          }
          wakeReaders()
          cursor = NewsCursor(ledger: head)
        }
        guard var reached = cursor else { continue }
        let news = await station.waitForNews(after: reached, timeout: .seconds(1))
        publish(news.unrecorded)
        reached.unrecorded = max(reached.unrecorded, news.unrecorded.map(\.number).max() ?? 0)
        cursor = reached
        while reached.ledger < news.ledgerHead {
          let after = reached.ledger
          // What is newer than the news may have been announced meanwhile, which the next news will tell first.
          let page = try await entries(after: after).prefix { $0.sequence <= news.ledgerHead }
          guard let last = page.last else { break }
          publish(page)
          reached.ledger = last.sequence
          cursor = reached
          await Task.yield()
        }
      } catch {
        if Task.isCancelled { return }
        counters.countLedgerFailure()
        logger.error(
          "the ledger could not be read for the streams",
          metadata: ["error": "\(error)"]
        )
        try? await Task.sleep(for: .milliseconds(500))
      }
    }
  }

  /// The next entries; a thread that may block is only asked where they are not at hand, because a busy ledger commits
  /// hundreds of times a second.
  private func entries(after sequence: Int64) async throws -> [LedgerEntry] {
    if let entries = station.ledger.entriesAtHand(after: sequence, limit: 512) { return entries }
    return try await BlockingWork.run { [station] in
      try station.ledger.entries(after: sequence, limit: 512)
    }
  }

  /// Wakes streams whose heartbeat is due, and ends those that nobody reads any more.
  private func tick() async {
    while !Task.isCancelled {
      // Cancellation ends the sleep and the loop; there is no other error.
      try? await Task.sleep(for: .milliseconds(100))
      let now = ContinuousClock.now
      wake { _, waiter in waiter.deadline <= now }
      let shed = watch.closeStalled(after: stallLimit)
      if shed > 0 {
        counters.countShed(shed)
        logger.warning(
          "streams closed whose readers have stopped reading; they resume at their cursors",
          metadata: ["streams": "\(shed)", "after": "\(stallLimit)"]
        )
      }
    }
  }

  private func publish(_ entries: ArraySlice<LedgerEntry>) {
    var frames: [Frame?] = []
    frames.reserveCapacity(entries.count)
    var recorded: Set<[UInt8]> = []
    for entry in entries {
      frames.append(
        StreamFrame.frame(of: entry).map { Frame(audience: $0.audience, bytes: $0.frame) }
      )
      if entry.isAlarmStep, let body = entry.body { recorded.insert(body) }
    }
    state.withLock { state in
      precondition(
        entries.first?.sequence == state.head + 1,
        "ledger sequences are dense and come in order"
      )
      state.frames.append(contentsOf: frames)
      state.places.append(contentsOf: entries.map(\.place))
      if state.frames.count > 2 * Self.capacity {
        let surplus = state.frames.count - Self.capacity
        state.frames.removeFirst(surplus)
        state.places.removeFirst(surplus)
        state.base += Int64(surplus)
      }
      if !state.announcements.isEmpty {
        state.announcements.removeAll { recorded.contains($0.body) }
      }
    }
    wakeReaders()
  }

  private func publish(_ announcements: [UnrecordedAnnouncement]) {
    guard !announcements.isEmpty else { return }
    state.withLock { state in
      for announcement in announcements where announcement.number > state.newestAnnouncement {
        state.announcements.append(
          Announcement(
            number: announcement.number,
            body: announcement.body,
            frame: Frame(
              audience: .enterprise(announcement.enterprise),
              bytes: StreamFrame.unrecorded(announcement)
            )
          )
        )
        state.newestAnnouncement = announcement.number
      }
      let surplus = state.announcements.count - Self.announcementCapacity
      if surplus > 0 { state.announcements.removeFirst(surplus) }
    }
    wakeReaders()
  }

  private func wakeReaders() {
    wake { marks, waiter in Self.isNews(marks, for: waiter.cursor) }
  }

  /// Whether ``next(after:in:limit:)`` has something after a cursor.
  private static func isNews(
    _ marks: (head: Int64, newest: UInt64),
    for cursor: StreamCursor
  ) -> Bool {
    marks.head > cursor.ledger || marks.newest > cursor.unrecorded
  }

  private func wake(where isDue: ((head: Int64, newest: UInt64), Waiter) -> Bool) {
    let due = state.withLock { state in
      let marks = (head: state.head, newest: state.newestAnnouncement)
      let due = state.waiters.filter { isDue(marks, $0.value) }
      for stream in due.keys { state.waiters[stream] = nil }
      return due.values.map(\.continuation)
    }
    for continuation in due { continuation.resume() }
  }
}
