import Crypto
import Foundation
import GRDB
import HazardLedger
import Telemetry
import Testing

@Suite("SQLite ledger")
struct SQLiteLedgerTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  func open(_ options: LedgerOptions = LedgerOptions()) throws(LedgerError) -> SQLiteLedger {
    try SQLiteLedger(path: scratch.path, station: "station-1", options: options)
  }

  /// Every row of a table as text.
  func dump(_ table: String) throws -> [String] {
    let queue = try DatabaseQueue(path: scratch.path)
    return try queue.read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM \(table) ORDER BY 1").map(\.description)
    }
  }

  @Test("the writer runs with synchronous=FULL in WAL mode")
  func durable() throws {
    let ledger = try open()
    #expect(try ledger.writerSynchronous == 2)
    let queue = try DatabaseQueue(path: scratch.path)
    #expect(try queue.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
  }

  @Test("a new ledger holds its genesis entry, the same in every replay")
  func genesis() throws {
    let ledger = try open()
    let first = try #require(try ledger.entries(after: 0, limit: 10).first)
    #expect(first.sequence == 1)
    #expect(first.kind == .genesis)
    #expect(first.previousHash == [UInt8](repeating: 0, count: 32))
    #expect(
      String(decoding: first.body ?? [], as: UTF8.self) == #"{"format":1,"station":"station-1"}"#
    )
    let other = try SQLiteLedger(path: scratch.folder + "/other", station: "station-1")
    #expect(try other.head.hash == ledger.head.hash)
    let third = try SQLiteLedger(path: scratch.folder + "/third", station: "station-2")
    #expect(try third.head.hash != ledger.head.hash)
  }

  @Test("the hash is taken over the documented bytes")
  func encoding() throws {
    let ledger = try open()
    let draft = LedgerDraft(
      time: Timestamp(milliseconds: 0x0102),
      kind: .system,
      subject: "隐",
      actor: "a",
      body: [UInt8]("{}".utf8),
      origin: 5
    )
    try ledger.append([draft], position: 9)
    let entries = try ledger.entries(after: 0, limit: 10)
    var bytes: [UInt8] = [0, 1]
    bytes += [0, 0, 0, 0, 0, 0, 0, 2]
    bytes += [0, 0, 0, 0, 0, 0, 1, 2]
    bytes += [0, 0, 0, 6] + Array("system".utf8)
    bytes += [0, 0, 0, 3, 0xe9, 0x9a, 0x90]
    bytes += [0, 0, 0, 1, 0x61]
    bytes += [0, 0, 0, 0, 0, 0, 0, 5]
    bytes += [0, 0, 0, 2]
    bytes += Array(SHA256.hash(data: Data("{}".utf8)))
    bytes += entries[0].hash
    #expect(entries[1].hash == Array(SHA256.hash(data: bytes)))
    #expect(entries[1].previousHash == entries[0].hash)
    #expect(entries[1].body == draft.body)
    #expect(entries[1].origin == 5)
  }

  @Test("appends give dense sequences, store the position, and survive reopening")
  func append() throws {
    var ledger = try open()
    var story = AlarmStory(seed: 1)
    let range = try ledger.append(story.steps(10), position: 40)
    #expect(range == 2...11)
    #expect(try ledger.append([], position: 41) == nil)
    let head = try ledger.head
    try ledger.close()
    ledger = try open()
    #expect(try ledger.position == 41)
    #expect(try ledger.head == head)
    #expect(try ledger.entries(after: 0, limit: 100).map(\.sequence) == Array(1...11))
    #expect(try ledger.entries(after: 9, limit: 1).map(\.sequence) == [10])
  }

  @Test("batch boundaries change nothing in the chain or the views", arguments: [1, 7, 1_000])
  func batches(size: Int) throws {
    let ledger = try open()
    try ledger.fill(seed: 5, entries: 1_000, batch: size)
    let other = try SQLiteLedger(path: scratch.folder + "/other", station: "station-1")
    try other.fill(seed: 5, entries: 1_000, batch: 333)
    #expect(try other.head == ledger.head)
    #expect(try other.standingAlarms() == ledger.standingAlarms())
    #expect(try other.counters() == ledger.counters())
  }

  @Test("what the ledger does not take is refused, and leaves nothing", arguments: 0..<6)
  func refusals(which: Int) throws {
    let ledger = try open()
    var story = AlarmStory(seed: 1)
    try ledger.append(story.steps(3), position: 100)
    let before = try ledger.head
    var draft = story.step()
    var position: UInt64 = 200
    switch which {
    case 0: draft.subject = "a\0b"
    case 1: draft.actor = "\0"
    case 2: draft.body = [UInt8]("{}".utf8)
    case 3: draft.origin = 201
    case 4: position = 100
    default: position = 99
    }
    let good = story.step()
    let error = #expect(throws: LedgerError.self) {
      try ledger.append([good, draft], position: position)
    }
    if which >= 4 {
      #expect(error == .alreadyRecorded(position: 100))
    } else if case .refused = error {
    } else {
      Issue.record("\(String(describing: error))")
    }
    #expect(try ledger.head == before)
    #expect(try ledger.position == 100)
    #expect(try ledger.append([good], position: 200) == 5...5)
  }

  @Test("a rebuilt view equals the live one", arguments: 1...5 as ClosedRange<UInt64>)
  func rebuild(seed: UInt64) throws {
    let ledger = try open()
    try ledger.fill(seed: seed, entries: 3_000, batch: 37)
    let tables = ["alarm", "counter"]
    let live = try tables.map(dump)
    #expect(live[0].count > 500, "SEED=\(seed)")
    try ledger.rebuildViews()
    #expect(try tables.map(dump) == live, "SEED=\(seed)")
  }

  @Test("rebuilding mends views that were tampered with")
  func mend() throws {
    let ledger = try open()
    try ledger.fill(seed: 2, entries: 200)
    let live = try dump("alarm")
    let queue = try DatabaseQueue(path: scratch.path)
    try queue.write { try $0.execute(sql: "UPDATE alarm SET state = 'normal', priority = 9") }
    #expect(try dump("alarm") != live)
    try ledger.rebuildViews()
    #expect(try dump("alarm") == live)
  }

  @Test(
    "the file itself refuses to change an entry",
    arguments: [
      "UPDATE entry SET body = x'7b7d' WHERE seq = 3",
      "UPDATE entry SET body = NULL WHERE seq = 3",
      "UPDATE entry SET time = time + 1 WHERE seq = 3",
      "UPDATE entry SET seq = 999 WHERE seq = 3",
      "DELETE FROM entry WHERE seq = 3",
      "DELETE FROM entry WHERE seq = 21",
      "INSERT OR REPLACE INTO entry SELECT seq, 1, kind, subject, actor, body, origin, prev_hash, "
        + "hash FROM entry WHERE seq = 3",
      "INSERT INTO entry SELECT 23, time, kind, subject, actor, body, origin, prev_hash, hash "
        + "FROM entry WHERE seq = 3",
      "INSERT INTO entry SELECT 22, time, kind, subject, actor, body, origin, prev_hash, hash "
        + "FROM entry WHERE seq = 3",
    ]
  )
  func appendOnly(sql: String) throws {
    let ledger = try open()
    try ledger.fill(seed: 4, entries: 20)
    let queue = try DatabaseQueue(path: scratch.path)
    let error = #expect(throws: DatabaseError.self) { try queue.write { try $0.execute(sql: sql) } }
    #expect(error?.resultCode == .SQLITE_CONSTRAINT)
    #expect(try ledger.entries(after: 0, limit: 100).count == 21)
  }

  @Test("rejects are counted by reason, topic and device, with the newest sample")
  func rejects() throws {
    let ledger = try open(LedgerOptions(rejectSampleBytes: 4))
    func tally(_ reason: String, _ topic: String, _ sequence: UInt64) -> RejectTally {
      let time = Timestamp(milliseconds: Int64(sequence) * 10)
      return RejectTally(
        reason: reason,
        topic: topic,
        firstSequence: sequence,
        lastSequence: sequence,
        firstTime: time,
        lastTime: time,
        detail: "d\(sequence)\0",
        sample: Array("sample\(sequence)".utf8)
      )
    }
    try ledger.append([], rejects: [tally("malformed", "t", 1), tally("a", "t", 2)], position: 2)
    try ledger.append([], rejects: [tally("malformed", "t", 3)], position: 3)
    let rows = try ledger.rejects(limit: 10)
    #expect(rows.map(\.reason) == ["malformed", "a"])
    #expect(rows[0].count == 2)
    #expect(rows[0].firstSequence == 1)
    #expect(rows[0].lastSequence == 3)
    #expect(rows[0].firstTime.milliseconds == 10)
    #expect(rows[0].lastTime.milliseconds == 30)
    #expect(rows[0].sample == Array("samp".utf8))
    #expect(rows[0].detail == "d3\u{2400}")
  }

  @Test("a flood of made-up topics is bounded, and still counted")
  func rejectFlood() throws {
    let ledger = try open(LedgerOptions(rejectRows: 10))
    let time = Timestamp(milliseconds: 1)
    let flood = (1...100 as ClosedRange<UInt64>).map {
      RejectTally(
        reason: "unknownDevice",
        topic: "t/\($0)",
        firstSequence: $0,
        lastSequence: $0,
        firstTime: time,
        lastTime: time
      )
    }
    try ledger.append([], rejects: flood, position: 100)
    let rows = try ledger.rejects(limit: 1_000)
    #expect(rows.count == 11)
    #expect(rows.map(\.count).reduce(0, +) == 100)
    #expect(rows.first { $0.topic.isEmpty }?.count == 90)
  }

  @Test("the alarm view keeps who, when and why of each step")
  func alarmView() throws {
    let ledger = try open()
    func body(_ event: AlarmBody.Event, _ state: AlarmBody.State, _ at: Int64) -> AlarmBody {
      AlarmBody(
        point: "e/s/a/d/p",
        rule: "hh",
        onset: Timestamp(milliseconds: 1_000),
        event: event,
        state: state,
        previous: .normal,
        priority: 3,
        value: Double(at),
        limit: 25,
        received: Timestamp(milliseconds: at),
        cause: 1
      )
    }
    var acknowledged = body(.acknowledged, .acknowledged, 2_000)
    acknowledged.value = nil
    acknowledged.actor = "王工"
    acknowledged.reason = "检修置换"
    let steps = [
      body(.raised, .unacknowledged, 1_000), acknowledged, body(.returned, .normal, 3_000),
    ]
    for (index, step) in steps.enumerated() {
      try ledger.append(
        [LedgerDraft(alarm: step, time: step.received, origin: 1)],
        position: UInt64(index + 1)
      )
      #expect(try ledger.standingAlarms().count == (index < 2 ? 1 : 0))
    }
    let view = try #require(try ledger.alarm(id: "e/s/a/d/p#hh@1000"))
    #expect(view.raised == .init(time: Timestamp(milliseconds: 1_000), sequence: 2))
    #expect(view.acknowledged == .init(time: Timestamp(milliseconds: 2_000), sequence: 3))
    #expect(view.returned == .init(time: Timestamp(milliseconds: 3_000), sequence: 4))
    #expect(view.acknowledgedBy == "王工")
    #expect(view.acknowledgedReason == "检修置换")
    #expect(view.actor == "engine")
    #expect(view.value == 3_000)
    #expect(view.steps == 3)
    #expect(try ledger.entries(of: view.id, limit: 10).map(\.sequence) == [2, 3, 4])
    #expect(try ledger.counters()["alarm.raised"] == 1)
    #expect(try ledger.counters()["entry.alarm"] == 3)
  }

  @Test("filters and paging give what a plain scan gives", arguments: 1...20 as ClosedRange<UInt64>)
  func filters(seed: UInt64) throws {
    let ledger = try open()
    try ledger.fill(seed: 9, entries: 400)
    let all = try ledger.alarms(limit: 10_000).alarms
    #expect(all.map(\.firstSequence) == all.map(\.firstSequence).sorted(by: >))
    var random = SplitMix64(seed: seed)
    var filter = AlarmFilter(standingOnly: Bool.random(using: &random))
    if Bool.random(using: &random) { filter.states = [.acknowledged, .normal] }
    if Bool.random(using: &random) { filter.minimumPriority = 3 }
    if Bool.random(using: &random) { filter.pointPaths = ["ent-1", "ent-3/site", "ent"] }
    if Bool.random(using: &random) { filter.rule = "stale" }
    if Bool.random(using: &random) { filter.onsetFrom = all[all.count / 2].onset }
    if Bool.random(using: &random) { filter.onsetBefore = all[all.count / 4].onset }
    let expected = all.filter { alarm in
      (!filter.standingOnly || alarm.isStanding)
        && (filter.states.isEmpty || filter.states.contains(alarm.state))
        && alarm.priority >= filter.minimumPriority ?? 0
        && (filter.pointPaths.isEmpty
          || filter.pointPaths.contains { alarm.point.hasPrefix($0 + "/") || alarm.point == $0 })
        && alarm.rule == filter.rule ?? alarm.rule
        && alarm.onset >= filter.onsetFrom ?? .distantPast
        && alarm.onset < filter.onsetBefore ?? .distantFuture
    }
    var paged: [AlarmView] = []
    var cursor: Int64?
    repeat {
      let page = try ledger.alarms(filter, before: cursor, limit: 7)
      paged += page.alarms
      cursor = page.next
    } while cursor != nil
    #expect(paged == expected, "SEED=\(seed)")
  }
}
