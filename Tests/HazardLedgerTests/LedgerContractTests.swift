import Crypto
import Foundation
import HazardLedger
import Telemetry
import Testing

/// What every store does the same; each test runs against all of them.
@Suite("Ledger contract")
struct LedgerContractTests {
  /// All that is derived from the entries.
  struct Views: Equatable {
    var alarms: [AlarmView]
    var hazards: [HazardView]
    var counters: [String: Int64]

    init(_ ledger: any ContractStore) throws {
      alarms = try ledger.alarms(AlarmFilter(), before: nil, limit: .max / 2).alarms
      hazards = try ledger.hazards(HazardFilter(), before: nil, limit: .max / 2)
      counters = try ledger.counters()
    }
  }

  @Test(
    "a new ledger holds its genesis entry, the same in every replay",
    arguments: StoreKind.available
  )
  func genesis(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    let first = try #require(try ledger.entries(after: 0, limit: 10).first)
    #expect(first.sequence == 1)
    #expect(first.kind == .genesis)
    #expect(first.previousHash == [UInt8](repeating: 0, count: 32))
    #expect(
      String(decoding: first.body ?? [], as: UTF8.self) == #"{"format":1,"station":"station-1"}"#
    )
    let elsewhere = try StorePlace(.sqlite)
    let other = try elsewhere.open()
    #expect(try other.head.hash == ledger.head.hash)
    let neighbour = try place.open(station: "station-2")
    #expect(try neighbour.head.hash != ledger.head.hash)
  }

  @Test("the hash is taken over the documented bytes", arguments: StoreKind.available)
  func encoding(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    let draft = LedgerDraft(
      time: Timestamp(milliseconds: 0x0102),
      kind: .system,
      subject: "隐",
      actor: "a",
      body: [UInt8]("{}".utf8),
      origin: 5
    )
    try ledger.append([draft], rejects: [], position: 9)
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

  @Test("a batch that is not covered is not stored", arguments: StoreKind.available)
  func uncovered(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    let draft = LedgerDraft(
      time: Timestamp(milliseconds: 1),
      kind: .system,
      subject: "s",
      actor: "a",
      body: [UInt8]("{}".utf8),
      origin: 5
    )
    #expect(throws: LedgerError.notCovered(position: 9)) {
      try ledger.append([draft], rejects: [], position: 9) { false }
    }
    #expect(try ledger.head.sequence == 1)
    #expect(try ledger.position == 0)
    #expect(try ledger.append([draft], rejects: [], position: 9) { true } == 2...2)
    #expect(try ledger.position == 9)

    // Nor does it take anything from what was.
    let atHand = ledger.entriesAtHand(after: 1, limit: 9)
    #expect(throws: LedgerError.notCovered(position: 10)) {
      try ledger.append([draft], rejects: [], position: 10) { false }
    }
    #expect(ledger.entriesAtHand(after: 1, limit: 9) == atHand)
    #expect(try ledger.entries(after: 1, limit: 9).map(\.sequence) == [2])
  }

  @Test(
    "appends give dense sequences, store the position, and survive reopening",
    arguments: StoreKind.available
  )
  func append(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    var ledger = try place.open()
    var story = AlarmStory(seed: 1)
    let range = try ledger.append(story.steps(10), rejects: [], position: 40)
    #expect(range == 2...11)
    #expect(try ledger.append([], rejects: [], position: 41) == nil)
    let head = try ledger.head
    try ledger.end()
    ledger = try place.open()
    #expect(try ledger.position == 41)
    #expect(try ledger.head == head)
    #expect(try ledger.entries(after: 0, limit: 100).map(\.sequence) == Array(1...11))
    #expect(try ledger.entries(after: 9, limit: 1).map(\.sequence) == [10])
  }

  @Test(
    "batch boundaries change nothing in the chain or the views",
    arguments: StoreKind.available,
    [1, 7, 1_000]
  )
  func batches(kind: StoreKind, size: Int) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    try ledger.fill(seed: 5, entries: 1_000, batch: size)
    let elsewhere = try StorePlace(.sqlite)
    let other = try elsewhere.open()
    try other.fill(seed: 5, entries: 1_000, batch: 333)
    #expect(try other.head == ledger.head)
    #expect(try other.standingAlarms() == ledger.standingAlarms())
    #expect(try other.counters() == ledger.counters())
  }

  @Test(
    "what the ledger does not take is refused, and leaves nothing",
    arguments: StoreKind.available,
    2..<6
  )
  func refusals(kind: StoreKind, which: Int) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    var story = AlarmStory(seed: 1)
    try ledger.append(story.steps(3), rejects: [], position: 100)
    let before = try ledger.head
    var draft = story.step()
    var position: UInt64 = 200
    switch which {
    case 2: draft.body = [UInt8]("{}".utf8)
    case 3: draft.origin = 201
    case 4: position = 100
    default: position = 99
    }
    let good = story.step()
    let error = #expect(throws: LedgerError.self) {
      try ledger.append([good, draft], rejects: [], position: position)
    }
    if which >= 4 {
      #expect(error == .alreadyRecorded(position: 100))
    } else if case .refused = error {
    } else if case .refusedDraft(1, _) = error {
    } else {
      Issue.record("\(String(describing: error))")
    }
    #expect(try ledger.head == before)
    #expect(try ledger.position == 100)
    #expect(try ledger.append([good], rejects: [], position: 200) == 5...5)
  }

  @Test("a draft that is not taken is told in its place", arguments: StoreKind.available)
  func refusedDrafts(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    var story = AlarmStory(seed: 3)
    var drafts = story.steps(3)
    drafts[1].body = [UInt8]("{}".utf8)
    drafts[2].body = []
    drafts.append(
      LedgerDraft(
        time: drafts[2].time,
        kind: .redaction,
        subject: "",
        actor: "li",
        body: [UInt8]("{}".utf8),
        origin: drafts[2].origin
      )
    )
    var told: [LedgerDraft] = []
    let given = try ledger.append(drafts, rejects: [], position: 100) { draft, _ in
      told.append(draft)
    }
    #expect(given == 2...5)
    #expect(told == Array(drafts[1...]))
    let entries = try ledger.entries(after: 1, limit: 9)
    #expect(entries.map(\.kind) == [.alarm, .system, .system, .system])
    #expect(entries.map(\.subject) == drafts.map(\.subject))
    #expect(entries.map(\.origin) == drafts.map(\.origin))
    let body = try JSONValue(parsing: entries[3].body ?? [])
    #expect(body["event"]?.text == "draft.refused" && body["kind"]?.text == "redaction")
    #expect(try ledger.position == 100)
    #expect(try place.verify().findings == [])
  }

  @Test("U+0000 in subject or actor is shown by its picture", arguments: StoreKind.available)
  func nulls(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    var draft = LedgerDraft(
      time: Timestamp(milliseconds: 5),
      kind: .system,
      subject: "clock/permit/ent-1/P\0",
      actor: "li\0wei",
      body: [UInt8](#"{"event":"station.told"}"#.utf8),
      origin: 1
    )
    #expect(draft.subject == "clock/permit/ent-1/P\u{2400}" && draft.actor == "li\u{2400}wei")
    draft.subject = "a\0"
    draft.actor = "\0"
    try ledger.append([draft], rejects: [], position: 1)
    let entry = try #require(try ledger.entries(after: 1, limit: 1).first)
    #expect(entry.subject == "a\u{2400}" && entry.actor == "\u{2400}")
    #expect(try place.verify().findings == [])
  }

  @Test(
    "a rebuilt view equals the live one",
    arguments: StoreKind.available,
    1...5 as ClosedRange<UInt64>
  )
  func rebuild(kind: StoreKind, seed: UInt64) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    try ledger.fill(seed: seed, entries: 3_000, batch: 37)
    let live = try Views(ledger)
    #expect(live.alarms.count > 500, "SEED=\(seed)")
    try ledger.rebuildViews()
    #expect(try Views(ledger) == live, "SEED=\(seed)")
  }

  @Test("rebuilding mends views that were tampered with", arguments: StoreKind.available)
  func mend(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    try ledger.fill(seed: 2, entries: 200)
    let live = try Views(ledger)
    try place.execute("UPDATE alarm SET state = 'normal', priority = 9")
    #expect(try Views(ledger) != live)
    try ledger.rebuildViews()
    #expect(try Views(ledger) == live)
  }

  @Test(
    "rejects are counted by reason, topic and device, with the newest sample",
    arguments: StoreKind.available
  )
  func rejects(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open(options: LedgerOptions(rejectSampleBytes: 4))
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

  @Test("a flood of made-up topics is bounded, and still counted", arguments: StoreKind.available)
  func rejectFlood(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open(options: LedgerOptions(rejectRows: 10))
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
    // Whoever is refused now is named; what was refused once, long ago, is counted with the others of its reason.
    let named = rows.compactMap { UInt64($0.topic.dropFirst(2)) }
    #expect(named.sorted() == Array(91...100 as ClosedRange<UInt64>))
    let others = try #require(rows.first { $0.topic.isEmpty })
    #expect(others.firstSequence == 1 && others.lastSequence == 90)
    var again = flood[0]
    again.firstSequence = 101
    again.lastSequence = 101
    again.detail = "now"
    try ledger.append([], rejects: [again], position: 101)
    let after = try ledger.rejects(limit: 1_000)
    #expect(after.count == 11 && after.map(\.count).reduce(0, +) == 101)
    #expect(after.first?.topic == "t/1" && after.first?.detail == "now")
    #expect(after.first { $0.topic.isEmpty }?.count == 91)
  }

  @Test("the alarm view keeps who, when and why of each step", arguments: StoreKind.available)
  func alarmView(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
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
        rejects: [],
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
    #expect(try ledger.entries(of: view.id, after: 0, limit: 10).map(\.sequence) == [2, 3, 4])
    #expect(try ledger.counters()["alarm.raised"] == 1)
    #expect(try ledger.counters()["entry.alarm"] == 3)
  }

  @Test(
    "filters and paging give what a plain scan gives",
    arguments: StoreKind.available,
    1...20 as ClosedRange<UInt64>
  )
  func filters(kind: StoreKind, seed: UInt64) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    try ledger.fill(seed: 9, entries: 400)
    let all = try ledger.alarms(AlarmFilter(), before: nil, limit: 10_000).alarms
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

  @Test("another station's ledger is refused, a closed one says so", arguments: StoreKind.available)
  func closed(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    try ledger.append([AlarmStory.draft], rejects: [], position: 1)
    try ledger.end()
    try place.execute("UPDATE station SET name = 'somebody'")
    let wrong = #expect(throws: LedgerError.self) { try place.open() }
    guard case .wrongStation(_, found: "somebody", expected: "station-1") = wrong else {
      Issue.record("\(String(describing: wrong))")
      return
    }
    let shut = #expect(throws: LedgerError.self) {
      try ledger.append([AlarmStory.draft], rejects: [], position: 2)
    }
    guard case .notAccessible = shut else {
      Issue.record("\(String(describing: shut))")
      return
    }
    #expect(throws: LedgerError.self) { try ledger.head }
  }

  @Test("checkpoints and proofs are the same everywhere", arguments: StoreKind.available)
  func checkpoints(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let elsewhere = try StorePlace(.sqlite)
    let key = CheckpointKey()
    let stores = [try place.open(), try elsewhere.open()]
    var signed: [Checkpoint] = []
    for store in stores {
      let store = try #require(store as? any CheckpointStore)
      try store.fill(seed: 6, entries: 700)
      #expect(try store.newestCheckpoint() == nil)
      // One of them in steps: the tree is the same, and a step that has nothing to do says so.
      if signed.isEmpty {
        var steps = 1
        while try !store.prepareCheckpoint(entries: 256) { steps += 1 }
        #expect(steps == 2)
        #expect(try store.prepareCheckpoint(entries: 256))
      }
      let checkpoint = try store.signCheckpoint(with: key, at: Timestamp(milliseconds: 5))
      #expect(try store.signCheckpoint(with: key, at: Timestamp(milliseconds: 6)) == checkpoint)
      #expect(try store.newestCheckpoint() == checkpoint)
      try store.append([AlarmStory.draft], rejects: [], position: try store.position + 1)
      try store.signCheckpoint(with: key, at: Timestamp(milliseconds: 7))
      signed.append(checkpoint)
    }
    #expect(signed[0].root == signed[1].root)
    #expect(signed[0].size == 701)
    for sequence in [1, 256, 257, 700, 701] as [Int64] {
      let paths = try stores.map { try $0.inclusionPath(of: sequence, size: 701) }
      #expect(paths[0] == paths[1] && !paths[0].isEmpty)
    }
    let report = try place.verify(trusting: [key.publicKey])
    #expect(report.findings == [] && report.checkpoints == 2)
  }

  @Test("a second writer is refused until the first has ended", arguments: StoreKind.available)
  func secondWriter(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let ledger = try place.open()
    let error = #expect(throws: LedgerError.self) { try place.open() }
    guard case .inUse = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    try ledger.append([AlarmStory.draft], rejects: [], position: 1)
    try ledger.end()
    let next = try place.open()
    #expect(try next.append([AlarmStory.draft], rejects: [], position: 2) == 3...3)
  }

  @Test("a newer schema is refused, and tables of something else", arguments: StoreKind.available)
  func strangeStores(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    try place.open().end()
    try place.execute(
      kind == .sqlite ? "PRAGMA user_version = 99" : "UPDATE davy_schema SET version = 99"
    )
    let newer = #expect(throws: LedgerError.self) { try place.open() }
    guard case .schemaTooNew(_, found: 99, supported: _) = newer else {
      Issue.record("\(String(describing: newer))")
      return
    }
    try place.makeForeign(station: "foreign")
    let foreign = #expect(throws: LedgerError.self) { try place.open(station: "foreign") }
    guard case .notALedger = foreign else {
      Issue.record("\(String(describing: foreign))")
      return
    }
  }
}

extension AlarmStory {
  /// A first alarm, the same each time but for its place in the story.
  static var draft: LedgerDraft {
    var story = AlarmStory(seed: 77)
    return story.step()
  }
}
