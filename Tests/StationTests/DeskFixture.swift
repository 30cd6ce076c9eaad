import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// A station core on a virtual clock, with a ledger, driven input by input.
final class DeskStation {
  static let start: Int64 = 1_760_000_000_000
  static let minute: Int64 = 60_000
  static let hour: Int64 = 3_600_000
  static let day: Int64 = 86_400_000

  /// Six levels of two or one persons, hazards from red alarms, clocks and a ladder.
  static let response = """
    people:
      p0: {name: 张一, phone: "+86-1"}
      p1: {name: 张二, channels: {sms: "2"}}
      p2: {name: 张三}
      p3: {name: 张四}
      p4: {name: 张五}
      p5: {name: 张六}
      night: {name: 夜班}
    rosters:
      county:
        time-zone: Asia/Shanghai
        shifts:
          - {from: "08:00", to: "20:00", persons: [p1]}
          - {from: "20:00", to: "08:00", persons: [night]}
    chains:
      six:
        feedback-after: 30min
        levels:
          - {name: {zh: 企业, en: Enterprise}, responsible: true, attempts: 2, interval: 60s, channels: [voice]}
          - {name: {zh: 班组, en: Team}, persons: [p0, p2], attempts: 1, interval: 60s}
          - {name: {zh: 县, en: County}, roster: county, attempts: 2, interval: 60s}
          - {name: {zh: 市, en: City}, persons: [p3], attempts: 1, interval: 60s}
          - {name: {zh: 省, en: Province}, persons: [p4], attempts: 1, interval: 60s}
          - {name: {zh: 国家, en: State}, persons: [p5], attempts: 2, interval: 60s}
    situations:
      plume: {name: {zh: 烟羽, en: Plume}, when: {priority: red}, chain: six, group-by: site}
    hazards:
      - {immediate-from: red, standing: 30min, repeat: {count: 3, within: 10min}}
    overdue: {remind: 0s, supervise: 3d, circulate: 7d, warn: 15d}
    rectification: {warnings: [1d], check-within: 10d}
    reports:
      leak:
        when: {priority: red}
        within: 1h
        warnings: [30min, 10min]
        upper:
          - {name: {zh: 市, en: City}, within: 2h}
          - {name: {zh: 省, en: Province}, within: 2h}
        supplement: 30d
    inhibitions:
      plume-over-background: {cause: {rules: [HH]}, consequence: {rules: [H]}, share: device}
    """

  let scratch: Scratch
  let ledger: SQLiteLedger
  private(set) var core = StationCore()
  private(set) var inputs: [JournalInput] = []
  private(set) var dispatches: [CalloutDispatch] = []
  private(set) var drafts: [LedgerDraft] = []
  var now = DeskStation.start

  let catalog: Catalog

  /// A station at its first catalog; of an older release where the level of its rules is not the newest.
  init(
    response: String = DeskStation.response,
    level: RulesLevel = .newest,
    _ edit: (String) -> String = { $0 }
  ) throws {
    scratch = try Scratch()
    ledger = try SQLiteLedger(path: scratch.file("ledger.sqlite"), station: "test")
    catalog = try Self.catalog(response: edit(response))
    try feed(try StationCoreTests.catalogInput(catalog, at: now, level: level))
  }

  /// The methane site with the one profile that it needs: many stations are made, and each reads its catalog.
  static func catalog(
    response: String,
    profile edit: (String) -> String = { $0 }
  ) throws -> Catalog {
    func text(_ path: String) throws -> String {
      try String(contentsOf: Fixture.root.appendingPathComponent(path), encoding: .utf8)
    }
    let profile = "devices/research/fence-line-methane.yaml"
    let site = try text("config/sites/methane-demo.yaml")
      .replacing("replay-source: true", with: "replay-source: false")
    let result = Catalog.load(sources: [
      (profile, edit(try text(profile))), ("sites/methane-demo.yaml", site),
      ("response/response.yaml", response),
    ])
    return try #require(
      result.catalog,
      "\(result.findings.filter { $0.severity == .error })"
    )
  }

  @discardableResult
  func feed(_ input: JournalInput) throws -> CoreOutput {
    inputs.append(input)
    let output = core.process(JournalBatch([input]), firstSequence: core.position + 1)
    _ = try ledger.append(output.drafts, rejects: output.rejects, position: output.position)
    dispatches += output.dispatches
    drafts += output.drafts
    return output
  }

  /// The process dies and starts again from a snapshot; the first input is what the desks take up.
  func restart(resuming: Bool = true) throws {
    core = try StationCore(snapshot: core.snapshot())
    if resuming { try send(.external, "resume", [:]) }
  }

  @discardableResult
  func reading(_ value: Double, device: String = "ch4_n") throws -> CoreOutput {
    try feed(StationCoreTests.reading(value, at: now, device: device))
  }

  /// Feeds readings of a recording, each at its own time or as soon as acts between them allow.
  func feed(
    _ recording: [(time: Int64, device: String, value: Double)],
    afterEach look: () throws -> Void
  ) throws {
    for reading in recording {
      now = max(now, reading.time)
      try feed(
        StationCoreTests.reading(
          reading.value,
          at: reading.time,
          device: reading.device,
          received: now
        )
      )
      try look()
    }
  }

  @discardableResult
  func tick(to time: Int64? = nil) throws -> CoreOutput {
    if let time { now = time }
    return try feed(JournalInput(kind: .tick, received: now))
  }

  @discardableResult
  func send(
    _ kind: JournalInput.Kind,
    _ verb: String,
    _ members: [String: HazardLedger.JSONValue]
  ) throws -> ActError? {
    let output = try feed(
      JournalInput(
        kind: kind,
        received: now,
        topic: Array("hazards/\(verb)".utf8),
        payload: HazardLedger.JSONValue.object(members).canonicalBytes()
      )
    )
    return try #require(output.acts.last).refusal
  }

  /// Keeps people at the whole site quiet until a moment, by its enterprise.
  func silence(until: Int64) throws -> ActError? {
    try send(
      .command,
      "silence",
      [
        "actor": "li", "role": "enterprise", "enterprise": "metec", "reason": "检修",
        "path": "metec/metec", "until": .integer(until),
      ]
    )
  }

  /// A person answers a call-out by telephone.
  func confirm(_ callout: String, by person: String = "metec/operator") throws -> ActError? {
    try send(
      .external,
      "confirmed",
      ["callout": .string(callout), "person": .string(person), "channel": "voice"]
    )
  }

  /// An act on a hazard a second later.
  @discardableResult
  func act(
    _ act: HazardAct,
    on hazard: String,
    as role: HazardRole,
    by actor: String? = nil,
    enterprise: String = "metec",
    _ more: [String: HazardLedger.JSONValue] = [:]
  ) throws -> ActError? {
    now += 1_000
    var members: [String: HazardLedger.JSONValue] = [
      "act": .string(act.rawValue), "actor": .string(actor ?? "\(role.rawValue)-1"),
      "hazard": .string(hazard), "reason": "因为", "role": .string(role.rawValue),
      "enterprise": .string(enterprise),
    ]
    members.merge(more) { _, new in new }
    return try send(.command, "act", members)
  }

  var plan: HazardLedger.JSONValue {
    .object([
      "responsible": "王工", "measures": "换阀", "funds": "5 万元，自筹",
      "deadline": .integer(now + 5 * Self.day), "contingency": "停产撤人",
    ])
  }

  static let photo: HazardLedger.JSONValue = .array([
    .object(["name": "after.jpg", "sha256": .string(String(repeating: "ab", count: 32))])
  ])

  /// Drives a hazard from registration to work under way.
  func toRectifying(_ hazard: String) throws {
    #expect(try act(.verify, on: hazard, as: .county) == nil)
    #expect(try act(.grade, on: hazard, as: .sector, ["grade": "major"]) == nil)
    #expect(try act(.assignCommittee, on: hazard, as: .county, ["assignee": "县安委办"]) == nil)
    #expect(try act(.assignSector, on: hazard, as: .sector, ["assignee": "危化科"]) == nil)
    #expect(try act(.plan, on: hazard, as: .enterprise, ["plan": plan]) == nil)
    #expect(try act(.start, on: hazard, as: .enterprise) == nil)
  }

  /// Drives a hazard from work under way to closed.
  func toClosed(_ hazard: String) throws {
    #expect(try act(.submit, on: hazard, as: .enterprise, ["evidence": Self.photo]) == nil)
    #expect(try act(.accept, on: hazard, as: .sector) == nil)
    #expect(try act(.sample, on: hazard, as: .city) == nil)
    #expect(try act(.close, on: hazard, as: .county) == nil)
  }

  func bodies(_ kind: EntryKind) throws -> [HazardLedger.JSONValue] {
    try drafts.filter { $0.kind == kind }.map { try HazardLedger.JSONValue(parsing: $0.body) }
  }

  func events(_ kind: EntryKind) throws -> [String] {
    try bodies(kind).compactMap { ($0["event"] ?? $0["act"])?.text }
  }

  /// Everything fed so far, as a recording.
  func record() throws -> Recording {
    let folder = scratch.file("recording")
    let writer = try RecordingWriter(directory: folder)
    for input in inputs { try writer.append(input) }
    try writer.finish()
    return try Recording(path: folder)
  }

  /// Everything fed so far, replayed into a second ledger, which is signed, closed and found sound.
  ///
  /// - Returns: the recording, where that ledger is, and the key that its checkpoint is signed with.
  func replayed() throws -> (recording: Recording, path: String, key: CheckpointKey) {
    let recording = try record()
    let path = scratch.file("replayed.sqlite")
    let other = try SQLiteLedger(path: path, station: "test")
    var replay = Replay(into: other)
    _ = try replay.run(recording)
    #expect(try other.head.hash == ledger.head.hash)
    let key = CheckpointKey()
    try other.signCheckpoint(with: key, at: Timestamp(milliseconds: now))
    try other.close()
    #expect(try LedgerVerifier(path: path).verify(trusting: [key.publicKey]).findings == [])
    return (recording, path, key)
  }

  /// Everything fed so far, replayed into a ledger of its own: its head must be this one's.
  func replayedHead(page: Int) throws -> [UInt8] {
    let other = try SQLiteLedger(
      path: scratch.file("replay-\(page).sqlite"),
      station: "test"
    )
    var replay = Replay(into: other)
    for start in stride(from: 0, to: inputs.count, by: page) {
      try replay.process(JournalBatch(Array(inputs[start..<min(start + page, inputs.count)])))
    }
    return try other.head.hash
  }
}
