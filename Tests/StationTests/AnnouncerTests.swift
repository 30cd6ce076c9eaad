import Foundation
import HazardLedger
import MQTTTransport
import PayloadDecoding
import Simulation
import Station
import Synchronization
import Telemetry
import Testing

/// What the announcer does when its ledger, its cursor file or its broker fails it: nothing is lost, and all is told.
@Suite("Announcer")
struct AnnouncerTests {
  /// A publisher with room for so many messages.
  final class Publisher: AlarmPublishing {
    private struct State {
      var room: Int
      var sent: [(token: Int64, payload: String)] = []
      var confirmed: [Int64] = []
      var kept: [String: String] = [:]
      var refused: [AlarmRefusal] = []
      var refusal: (@Sendable (_ token: Int64) -> PublishRefusal?)?
      /// Confirms nothing before it is stopped.
      var isSilent = false
      var unconfirmed: [Int64] = []
      var link = LinkState.connecting(attempt: 1)
      var isStopped = false

      mutating func settle(_ token: Int64) {
        if isSilent { unconfirmed.append(token) } else { confirmed.append(token) }
      }
    }
    private let content: Mutex<State>

    init(room: Int) { content = Mutex(State(room: room)) }

    func publish(topic: String, payload: [UInt8], token: Int64, retain: Bool) -> Bool {
      content.withLock { state in
        if let reason = state.refusal?(token) {
          if !retain { state.sent.append((token, String(decoding: payload, as: UTF8.self))) }
          state.refused.append(AlarmRefusal(token: token, reason: reason))
          return true
        }
        guard !retain else {
          state.kept[topic] = payload.isEmpty ? nil : String(decoding: payload, as: UTF8.self)
          if token != 0 { state.settle(token) }
          return true
        }
        guard state.room > 0 else { return false }
        state.room -= 1
        state.sent.append((token, String(decoding: payload, as: UTF8.self)))
        if token > 0 { state.settle(token) }
        return true
      }
    }

    func takeConfirmed() -> [Int64] {
      content.withLock { state in
        defer { state.confirmed = [] }
        return state.confirmed
      }
    }

    func takeRefused() -> [AlarmRefusal] {
      content.withLock { state in
        defer { state.refused = [] }
        return state.refused
      }
    }

    /// Refuses messages from now on, by their tokens; nil takes all.
    func refuse(_ refusal: (@Sendable (_ token: Int64) -> PublishRefusal?)?) {
      content.withLock { $0.refusal = refusal }
    }

    func send(_ message: OutgoingMessage) -> Bool { true }

    var state: LinkState { content.withLock { $0.link } }

    func stop(grace: Duration) {
      content.withLock { state in
        state.isStopped = true
        state.confirmed += state.unconfirmed
        state.unconfirmed = []
      }
    }

    /// Confirms what comes from now on not before it is stopped.
    func fallSilent() { content.withLock { $0.isSilent = true } }
    func set(_ link: LinkState) { content.withLock { $0.link = link } }
    var isStopped: Bool { content.withLock { $0.isStopped } }

    func makeRoom(_ count: Int) { content.withLock { $0.room = count } }
    /// What a broker would have retained, by topic.
    var kept: [String: String] { content.withLock { $0.kept } }
    var tokens: [Int64] { content.withLock { $0.sent.map(\.token) } }
    var payloads: [String] { content.withLock { $0.sent.map(\.payload) } }
  }

  static func body(_ number: Int) -> AlarmBody {
    AlarmBody(
      point: "e/s/a/d/p\(number)",
      rule: "H",
      onset: Timestamp(milliseconds: Int64(number)),
      event: .raised,
      state: .unacknowledged,
      previous: .normal,
      priority: 3,
      value: 1,
      limit: 1,
      unit: "%",
      received: Timestamp(milliseconds: Int64(number)),
      cause: 1,
      catalog: "c",
      actor: "",
      reason: "",
      until: nil
    )
  }

  static func ledger(_ scratch: Scratch, alarms: Int) throws -> SQLiteLedger {
    let ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    try ledger.append(
      (1...alarms).map {
        LedgerDraft(alarm: body($0), time: Timestamp(milliseconds: Int64($0)), origin: 1)
      },
      rejects: [],
      position: 1
    )
    return ledger
  }

  static func exchange(over ledger: any LedgerStore) throws -> Exchange {
    Exchange(durable: 1, position: 1, head: try ledger.head.sequence)
  }

  @Test("a ledger that cannot be read is counted, and read again")
  func unreadableLedger() throws {
    let scratch = try Scratch()
    let store = try Self.ledger(scratch, alarms: 3)
    let disk = FaultyDisk(seed: 1)
    let broken = FaultyLedger(store: store, disk: disk)
    let publisher = Publisher(room: 100)
    let announcer = Announcer(
      publisher: publisher,
      cursorFile: scratch.file("cursor"),
      start: 0,
      logger: Fixture.quiet
    )
    let exchange = try Self.exchange(over: store)
    disk.set(refusesReads: true)
    #expect(announcer.work(unrecorded: [], exchange: exchange, ledger: broken, at: 0) == 0)
    #expect(announcer.faults.ledgerReads == 1)
    disk.set(refusesReads: false)
    #expect(announcer.work(unrecorded: [], exchange: exchange, ledger: broken, at: 0) == 3)
  }

  @Test("a cursor that is not a number sends everything again rather than nothing")
  func damagedCursor() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 2)
    try "nonsense".write(toFile: scratch.file("cursor"), atomically: true, encoding: .utf8)
    let publisher = Publisher(room: 100)
    let announcer = Announcer(
      publisher: publisher,
      cursorFile: scratch.file("cursor"),
      start: 0,
      logger: Fixture.quiet
    )
    #expect(
      announcer.work(
        unrecorded: [],
        exchange: try Self.exchange(over: ledger),
        ledger: ledger,
        at: 0
      ) == 2
    )
    announcer.finish()
    let kept = try String(contentsOfFile: scratch.file("cursor"), encoding: .utf8)
    #expect(Int64(kept.dropLast()) == (try ledger.head.sequence))
  }

  @Test("a cursor beyond the ledger's head is another ledger's: announcing goes on from the head")
  func foreignCursor() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 2)
    let head = try ledger.head.sequence
    let file = scratch.file("cursor")
    try "\(head + 18)\n".write(toFile: file, atomically: true, encoding: .utf8)
    let recorder = Recorder()
    let publisher = Publisher(room: 100)
    let announcer = Announcer(
      publisher: publisher,
      cursorFile: file,
      start: 0,
      logger: recorder.logger
    )
    func work(at now: Int64) throws -> Int {
      let exchange = try Self.exchange(over: ledger)
      return announcer.work(unrecorded: [], exchange: exchange, ledger: ledger, at: now)
    }
    #expect(try work(at: 0) == 0)
    #expect(publisher.kept.count == 2, "what stands is told at every start")
    try ledger.append(
      [LedgerDraft(alarm: Self.body(3), time: Timestamp(milliseconds: 3), origin: 2)],
      rejects: [],
      position: 2
    )
    #expect(try work(at: 10) == 1)
    announcer.finish()
    let kept = try String(contentsOfFile: file, encoding: .utf8)
    #expect(Int64(kept.dropLast()) == (try ledger.head.sequence))
    #expect(recorder.lines.all.count == 1)
    #expect(recorder.lines.all.first?.hasPrefix("warning the announcement cursor") == true)
  }

  /// An announcer over a ledger with so many alarms, whose broker refuses.
  private struct Bench {
    let scratch: Scratch
    let ledger: SQLiteLedger
    let publisher = Publisher(room: 10_000)
    let recorder = Recorder()
    let announcer: Announcer

    init(alarms: Int) throws {
      scratch = try Scratch()
      ledger = try AnnouncerTests.ledger(scratch, alarms: alarms)
      announcer = Announcer(
        publisher: publisher,
        cursorFile: scratch.file("cursor"),
        start: 0,
        logger: recorder.logger
      )
    }

    func work(at now: Int64) throws -> Int {
      let exchange = try AnnouncerTests.exchange(over: ledger)
      return announcer.work(unrecorded: [], exchange: exchange, ledger: ledger, at: now)
    }

    func cursor() throws -> Int64? {
      announcer.finish()
      return try Int64(String(contentsOfFile: scratch.file("cursor"), encoding: .utf8).dropLast())
    }
  }

  @Test("a refused step holds the cursor, but no other step, and is sent until it is taken")
  func refusedStep() throws {
    let bench = try Bench(alarms: 3)
    let head = try bench.ledger.head.sequence
    let first = head - 2
    bench.publisher.refuse { $0 == first ? .refused(0x87) : nil }
    #expect(try bench.work(at: 0) == 3)
    #expect(try bench.work(at: 10) == 0)
    #expect(bench.announcer.taken == 2)
    #expect(bench.announcer.faults.refusal?.contains("not authorized") == true)
    #expect(try bench.cursor() == first - 1)
    // After a second, then after two more; told once.
    for now in [1_009, 1_010, 1_020, 3_019] as [Int64] { _ = try bench.work(at: now) }
    #expect(bench.publisher.tokens == [first, first + 1, head, first])
    #expect(bench.announcer.faults.refused == 2)
    #expect(bench.recorder.lines.all.count == 1)
    bench.publisher.refuse(nil)
    for now in [3_030, 3_040] as [Int64] { _ = try bench.work(at: now) }
    #expect(bench.announcer.taken == 3)
    #expect(bench.announcer.faults.refusal == nil)
    #expect(try bench.cursor() == head)
    #expect(bench.recorder.lines.all.count == 2)
  }

  @Test(
    "refused retained messages are sent again, also those that take back, and no longer when replaced"
  )
  func refusedRetained() throws {
    let bench = try Bench(alarms: 2)
    bench.publisher.refuse { $0 < 0 ? .refused(0x97) : nil }
    #expect(try bench.work(at: 0) == 2)
    _ = try bench.work(at: 10)
    #expect(bench.announcer.taken == 2)
    #expect(bench.publisher.kept.isEmpty)
    #expect(bench.announcer.faults.refusal?.contains("quota exceeded") == true)
    var end = Self.body(1)
    (end.event, end.state, end.previous) = (.acknowledged, .normal, .unacknowledged)
    try bench.ledger.append(
      [LedgerDraft(alarm: end, time: Timestamp(milliseconds: 9), origin: 2)],
      rejects: [],
      position: 2
    )
    #expect(try bench.work(at: 20) == 1)
    _ = try bench.work(at: 30)
    bench.publisher.refuse(nil)
    for now in [1_040, 1_050, 1_060] as [Int64] { _ = try bench.work(at: now) }
    #expect(Array(bench.publisher.kept.keys) == ["davy/v1/standing/e/s/a/d/p2/H/2"])
    #expect(bench.announcer.faults.refusal == nil)
    #expect(try bench.cursor() == (try bench.ledger.head.sequence))
  }

  @Test("a message refused for its own sake is given up, told each time, and holds up nothing")
  func unsendable() throws {
    let bench = try Bench(alarms: 3)
    bench.publisher.refuse { $0 > 0 ? .refused(0x95) : nil }
    #expect(try bench.work(at: 0) == 3)
    _ = try bench.work(at: 10)
    #expect(bench.announcer.faults.givenUp == 3)
    #expect(bench.recorder.lines.all.count == 3)
    #expect(bench.announcer.faults.refusal == nil)
    #expect(try bench.cursor() == (try bench.ledger.head.sequence))
  }

  @Test("more refused messages than are kept give up the oldest, and say so")
  func tooManyRefused() throws {
    let bench = try Bench(alarms: Announcer.refusedLimit + 5)
    bench.publisher.refuse { $0 > 0 ? .refused(0x97) : nil }
    for now in Int64(0)..<10 { _ = try bench.work(at: now) }
    #expect(bench.announcer.faults.givenUp == 5)
    let first = try bench.ledger.head.sequence - Int64(Announcer.refusedLimit + 5) + 1
    #expect(try bench.cursor() == first + 4)
  }

  @Test("the cursor is kept once a second, however many steps are confirmed, and at the end")
  func cursorPeriod() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 1)
    let announcer = Announcer(
      publisher: Publisher(room: 1_000),
      cursorFile: scratch.file("cursor"),
      start: 0,
      logger: Fixture.quiet
    )
    func kept() throws -> Int64? {
      try Int64(String(contentsOfFile: scratch.file("cursor"), encoding: .utf8).dropLast())
    }
    var seen: Set<Int64?> = []
    for turn in 0..<30 as Range<Int64> {
      try ledger.append(
        [LedgerDraft(alarm: Self.body(Int(turn) + 9), time: Timestamp(milliseconds: 9), origin: 2)],
        rejects: [],
        position: UInt64(turn) + 2
      )
      let exchange = try Self.exchange(over: ledger)
      _ = announcer.work(unrecorded: [], exchange: exchange, ledger: ledger, at: turn * 100)
      if turn > 0 { seen.insert(try kept()) }
    }
    #expect(seen.count == 3)
    announcer.finish()
    #expect(try kept() == (try ledger.head.sequence))
  }

  @Test("what does not get to the broker is counted, with the time since when nothing has")
  func waiting() throws {
    let bench = try Bench(alarms: 3)
    bench.publisher.fallSilent()
    // The first look finds them, the second passes over what does not go to the broker.
    for now in [500, 1_000] as [Int64] { _ = try bench.work(at: now) }
    let since = try #require(bench.announcer.faults.waitingSince)
    #expect(since <= 1_000)
    _ = try bench.work(at: 5_000)
    #expect(bench.announcer.faults.waiting == 3)
    #expect(bench.announcer.faults.waitingSince == since)
    bench.publisher.stop(grace: .zero)
    _ = try bench.work(at: 6_000)
    #expect(bench.announcer.faults.waiting == 0)
    #expect(bench.announcer.faults.waitingSince == nil)
  }

  @Test("a stop waits for the broker to take what is queued, and keeps the cursor behind it")
  func stop() throws {
    let bench = try Bench(alarms: 2)
    bench.publisher.fallSilent()
    #expect(try bench.work(at: 0) == 2)
    bench.announcer.stop()
    #expect(bench.publisher.isStopped)
    let kept = try String(contentsOfFile: bench.scratch.file("cursor"), encoding: .utf8)
    #expect(Int64(kept.dropLast()) == (try bench.ledger.head.sequence))
  }

  @Test("a cursor that cannot be kept is counted")
  func unwritableCursor() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 1)
    let announcer = Announcer(
      publisher: Publisher(room: 100),
      cursorFile: scratch.file("missing/cursor"),
      start: 0,
      logger: Fixture.quiet
    )
    _ = announcer.work(
      unrecorded: [],
      exchange: try Self.exchange(over: ledger),
      ledger: ledger,
      at: 0
    )
    announcer.finish()
    #expect(announcer.faults.cursorWrites >= 1)
  }

  @Test("what stands is retained, what is normal is taken back, and a new start renews it")
  func standing() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 2)
    var end = Self.body(1)
    (end.event, end.state, end.previous) = (.acknowledged, .normal, .unacknowledged)
    try ledger.append(
      [LedgerDraft(alarm: end, time: Timestamp(milliseconds: 9), origin: 2)],
      rejects: [],
      position: 2
    )
    let exchange = try Self.exchange(over: ledger)
    let topic = "davy/v1/standing/e/s/a/d/p2/H/2"
    let publisher = Publisher(room: 100)
    func announcer(_ publisher: Publisher) -> Announcer {
      Announcer(
        publisher: publisher,
        cursorFile: scratch.file("cursor"),
        start: 0,
        logger: Fixture.quiet
      )
    }
    let first = announcer(publisher)
    #expect(first.work(unrecorded: [], exchange: exchange, ledger: ledger, at: 0) == 3)
    first.finish()
    #expect(Array(publisher.kept.keys) == [topic])
    #expect(publisher.kept[topic]?.contains(#""sequence":3"#) == true)
    // Another broker, that has kept nothing.
    let empty = Publisher(room: 100)
    #expect(announcer(empty).work(unrecorded: [], exchange: exchange, ledger: ledger, at: 0) == 0)
    #expect(empty.kept == publisher.kept)
  }

  @Test("unrecorded steps wait for room in the publisher's queue")
  func fullQueue() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 1)
    let publisher = Publisher(room: 1)
    let announcer = Announcer(
      publisher: publisher,
      cursorFile: scratch.file("cursor"),
      start: try ledger.head.sequence,
      logger: Fixture.quiet
    )
    let exchange = try Self.exchange(over: ledger)
    let waiting = (1...3).map {
      UnrecordedAnnouncement(number: UInt64($0), body: Self.body($0).encoded())
    }
    #expect(announcer.work(unrecorded: waiting, exchange: exchange, ledger: ledger, at: 0) == 1)
    publisher.makeRoom(10)
    #expect(announcer.work(unrecorded: [], exchange: exchange, ledger: ledger, at: 0) == 2)
    for (number, payload) in publisher.payloads.enumerated() {
      #expect(payload.contains("e/s/a/d/p\(number + 1)"))
      #expect(payload.contains(#""recorded":false"#))
    }
    let flood = (0..<Announcer.pendingLimit + 5).map {
      UnrecordedAnnouncement(number: UInt64($0), body: Self.body($0).encoded())
    }
    publisher.makeRoom(0)
    _ = announcer.work(unrecorded: flood, exchange: exchange, ledger: ledger, at: 0)
    #expect(announcer.faults.unrecordedDropped == 5)
  }
}
