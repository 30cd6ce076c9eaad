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
      var refusesSteps = false
      var refusesRetained = false
    }
    private let state: Mutex<State>

    init(room: Int) { state = Mutex(State(room: room)) }

    func publish(topic: String, payload: [UInt8], token: Int64, retain: Bool) -> Bool {
      state.withLock { state in
        guard !(retain ? state.refusesRetained : state.refusesSteps) else {
          if !retain { state.sent.append((token, String(decoding: payload, as: UTF8.self))) }
          state.refused.append(AlarmRefusal(token: token, reason: .refused(0x97)))
          return true
        }
        guard !retain else {
          state.kept[topic] = payload.isEmpty ? nil : String(decoding: payload, as: UTF8.self)
          if token != 0 { state.confirmed.append(token) }
          return true
        }
        guard state.room > 0 else { return false }
        state.room -= 1
        state.sent.append((token, String(decoding: payload, as: UTF8.self)))
        if token > 0 { state.confirmed.append(token) }
        return true
      }
    }

    func takeConfirmed() -> [Int64] {
      state.withLock { state in
        defer { state.confirmed = [] }
        return state.confirmed
      }
    }

    func takeRefused() -> [AlarmRefusal] {
      state.withLock { state in
        defer { state.refused = [] }
        return state.refused
      }
    }

    func refuse(steps: Bool = false, retained: Bool = false) {
      state.withLock { ($0.refusesSteps, $0.refusesRetained) = (steps, retained) }
    }

    func send(_ message: OutgoingMessage) -> Bool { true }

    func makeRoom(_ count: Int) { state.withLock { $0.room = count } }
    /// What a broker would have retained, by topic.
    var kept: [String: String] { state.withLock { $0.kept } }
    var tokens: [Int64] { state.withLock { $0.sent.map(\.token) } }
    var payloads: [String] { state.withLock { $0.sent.map(\.payload) } }
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

  @Test("a cursor beyond the ledger's head is another ledger's: everything of this one is sent")
  func foreignCursor() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 2)
    let head = try ledger.head.sequence
    let file = scratch.file("cursor")
    try "\(head + 18)\n".write(toFile: file, atomically: true, encoding: .utf8)
    let recorder = Recorder()
    let announcer = Announcer(
      publisher: Publisher(room: 100),
      cursorFile: file,
      start: 0,
      logger: recorder.logger
    )
    let exchange = try Self.exchange(over: ledger)
    #expect(announcer.work(unrecorded: [], exchange: exchange, ledger: ledger, at: 0) == 2)
    announcer.finish()
    #expect(Int64(try String(contentsOfFile: file, encoding: .utf8).dropLast()) == head)
    #expect(recorder.lines.all.count == 1)
    #expect(recorder.lines.all.first?.hasPrefix("warning the announcement cursor") == true)
  }

  @Test("a refused step holds the cursor, waits with those after it and is sent until it is taken")
  func refusedStep() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 3)
    let exchange = try Self.exchange(over: ledger)
    let publisher = Publisher(room: 100)
    let announcer = Announcer(
      publisher: publisher,
      cursorFile: scratch.file("cursor"),
      start: 0,
      logger: Fixture.quiet
    )
    func work(at now: Int64) -> Int {
      announcer.work(unrecorded: [], exchange: exchange, ledger: ledger, at: now)
    }
    publisher.refuse(steps: true)
    #expect(work(at: 0) == 3)
    let steps = publisher.tokens
    #expect(work(at: 10) == 0)
    #expect(announcer.faults.refused == 3)
    #expect(announcer.faults.refusal?.contains("quota exceeded") == true)
    let retried = [1_000, 1_010, 1_020].map { work(at: $0) }
    #expect(retried == [0, 1, 0])
    #expect(announcer.taken == 0)
    publisher.refuse()
    // Twice as long after the second refusal; then one alone, and the rest when it has been taken.
    let taken = [3_019, 3_020, 3_030, 3_040].map { work(at: $0) }
    #expect(taken == [0, 1, 2, 0])
    #expect(publisher.tokens == steps + [steps[0], steps[0]] + steps.dropFirst())
    #expect(announcer.taken == 3)
    #expect(announcer.faults.refused == 4)
    #expect(announcer.faults.refusal == nil)
    announcer.finish()
    let kept = try String(contentsOfFile: scratch.file("cursor"), encoding: .utf8)
    #expect(Int64(kept.dropLast()) == (try ledger.head.sequence))
  }

  @Test("a refused retained message holds up no step and is sent again, also where it takes back")
  func refusedRetained() throws {
    let scratch = try Scratch()
    let ledger = try Self.ledger(scratch, alarms: 2)
    let publisher = Publisher(room: 100)
    let announcer = Announcer(
      publisher: publisher,
      cursorFile: scratch.file("cursor"),
      start: 0,
      logger: Fixture.quiet
    )
    func work(at now: Int64) throws -> Int {
      let exchange = try Self.exchange(over: ledger)
      return announcer.work(unrecorded: [], exchange: exchange, ledger: ledger, at: now)
    }
    publisher.refuse(retained: true)
    let first = try [0, 10, 20].map { try work(at: $0) }
    #expect(first == [2, 0, 0])
    #expect(announcer.taken == 2)
    #expect(publisher.kept.isEmpty)
    #expect(announcer.faults.refusal != nil)
    publisher.refuse()
    #expect(try work(at: 1_010) == 0)
    #expect(publisher.kept.count == 2)
    let calm = try [1_020, 11_010].map { try work(at: $0) }
    #expect(calm == [0, 0])
    #expect(announcer.faults.refusal == nil)
    publisher.refuse(retained: true)
    var end = Self.body(1)
    (end.event, end.state, end.previous) = (.acknowledged, .normal, .unacknowledged)
    try ledger.append(
      [LedgerDraft(alarm: end, time: Timestamp(milliseconds: 9), origin: 2)],
      rejects: [],
      position: 2
    )
    let later = try [20_000, 20_010].map { try work(at: $0) }
    #expect(later == [1, 0])
    #expect(publisher.kept.count == 2)
    publisher.refuse()
    #expect(try work(at: 21_010) == 0)
    #expect(Array(publisher.kept.keys) == ["davy/v1/standing/e/s/a/d/p2/H/2"])
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
