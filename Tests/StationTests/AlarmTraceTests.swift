import Foundation
import HazardLedger
import Journal
import Station
import Telemetry
import Testing

/// Every alarm of a real recording on its whole way: message, reading, alarm, acknowledgement, hazard, each step of the
/// closed loop by a person of its role, closed; read back from a dossier that is verified alone.
///
/// The recording is a slice of the methane site's (`TraceTests.recording()`: about 1,700 readings around the first release,
/// all alarms in it): every alarm takes fourteen acts and an export, and this is a test of the usual run.
@Suite("Trace of every alarm")
struct AlarmTraceTests {
  /// The acts from the alarm to its closed hazard, with the role that each is for.
  static let loop: [(act: String, role: String)] = [
    ("register", "county"), ("verify", "county"), ("grade", "sector"),
    ("assignCommittee", "county"), ("assignSector", "sector"), ("plan", "enterprise"),
    ("start", "enterprise"), ("submit", "enterprise"), ("accept", "sector"), ("sample", "city"),
    ("close", "county"),
  ]

  /// People of the plant and of the county at work on a recording.
  struct Watch {
    let station: DeskStation
    /// Alarm → its hazard.
    private(set) var hazards: [String: String] = [:]
    private var working: [String] = []

    init(_ station: DeskStation) { self.station = station }

    /// Acknowledges what is new and takes it up as a hazard; closes what has returned.
    mutating func look() throws {
      for alarm in try station.ledger.standingAlarms() where hazards[alarm.id] == nil {
        station.now += 1_000
        // The person on call does it, so that the call-out ends with it.
        try station.feed(
          StationCoreTests.act(
            "acknowledge",
            alarm: alarm.id,
            at: station.now,
            actor: "metec/operator"
          )
        )
        hazards[alarm.id] = try register(alarm)
        try station.toRectifying(try #require(hazards[alarm.id]))
        working.append(alarm.id)
      }
      for alarm in working where try station.ledger.alarm(id: alarm)?.state == .normal {
        try station.toClosed(try #require(hazards[alarm]))
        working.removeAll { $0 == alarm }
      }
    }

    private func register(_ alarm: AlarmView) throws -> String {
      station.now += 1_000
      let refusal = try station.send(
        .command,
        "register",
        [
          "actor": "county-1", "role": "county", "source": "monitoring",
          "place": .string(alarm.point), "title": .string("\(alarm.rule) @ \(alarm.point)"),
          "alarms": .array([.string(alarm.id)]),
        ]
      )
      #expect(refusal == nil)
      return "hazard/\(station.core.position)"
    }
  }

  @Test(
    "message → reading → alarm → acknowledgement → hazard → each step → closed, for every alarm"
  )
  func everyAlarm() throws {
    // No policy makes a hazard by itself, so that each begins with a person who has seen the alarm.
    let station = try DeskStation { text in
      text.replacing(
        "- {immediate-from: red, standing: 30min, repeat: {count: 3, within: 10min}}",
        with: "- {standing: 365d}"
      )
    }
    var watch = Watch(station)
    try station.feed(TraceTests.recording()) { try watch.look() }
    // What still stands at the slice's end returns with the clean air that follows.
    for device in ["ch4_n", "ch4_e", "ch4_s", "ch4_w"] {
      station.now += 60_000
      try station.reading(2, device: device)
    }
    try watch.look()
    #expect(try station.ledger.standingAlarms().isEmpty)
    #expect(try station.ledger.hazards(HazardFilter(openOnly: true), limit: 1).isEmpty)
    let alarms = try station.ledger.alarms(limit: 10_000).alarms
    #expect(alarms.count > 20 && Set(alarms.map(\.id)) == Set(watch.hazards.keys))

    // The whole as a recording, replayed: the same ledger, and the dossiers are taken from it.
    let (recording, path, key) = try station.replayed()
    let dossier = try LedgerDossier(path: path)
    for alarm in alarms {
      let hazard = try #require(watch.hazards[alarm.id])
      let file = try dossier.export(subject: alarm.id) {
        try TraceTests.inputs($0, of: recording)
      }
      let report = LedgerVerifier.verifyExport(file, trusting: [key.publicKey])
      #expect(report.findings == [] && report.isKeyTrusted, "\(alarm.id)")
      let trace = try Trace(file, alarm: alarm.id, hazard: hazard)
      try trace.expectWhole(in: station.ledger)
    }
  }
}

/// One alarm's way as its dossier tells it.
struct Trace {
  struct Step {
    var sequence: Int64
    var what: String
    var role: String
    var actor: String
    var hash: String
  }

  let alarm: String
  /// The steps of the alarm and its hazard, in the ledger's order.
  private(set) var steps: [Step] = []
  /// The reading in the message that raised it, as it was published.
  let reading: HazardLedger.JSONValue
  let raised: AlarmBody
  /// Hash of that message, by the alarm's entry; the verifier has held the message against it.
  let message: String

  init(_ dossier: [UInt8], alarm: String, hazard: String) throws {
    self.alarm = alarm
    let document = try HazardLedger.JSONValue(parsing: dossier)
    var first: (body: AlarmBody, origin: Int64, message: String)?
    for entry in document["entries"]?.elements ?? [] {
      let subject = entry["subject"]?.text
      guard subject == alarm || subject == hazard else { continue }
      let bytes = Array((entry["body"]?.text ?? "").utf8)
      let body = try HazardLedger.JSONValue(parsing: bytes)
      let kind = entry["kind"]?.text ?? ""
      let word = (body["act"] ?? body["event"])?.text ?? ""
      steps.append(
        Step(
          sequence: entry["sequence"]?.wholeNumber ?? 0,
          what: "\(kind) \(word)",
          role: body["role"]?.text ?? "",
          actor: entry["actor"]?.text ?? "",
          hash: entry["hash"]?.text ?? ""
        )
      )
      if kind == "alarm", word == "raised" {
        first = (
          try AlarmBody(decoding: bytes), entry["origin"]?.wholeNumber ?? 0,
          body["input"]?.text ?? ""
        )
      }
    }
    let begin = try #require(first, "\(alarm) is not raised in its dossier")
    raised = begin.body
    message = begin.message
    let input = try #require(
      document["inputs"]?.elements?.first { $0["sequence"]?.wholeNumber == begin.origin },
      "\(alarm): its message is not in the dossier"
    )
    reading = try HazardLedger.JSONValue(
      parsing: [UInt8](try #require(Data(base64Encoded: input["payload"]?.text ?? "")))
    )
  }

  /// Nothing is missing, nothing out of order, each step by its role and with the hash that the ledger has.
  func expectWhole(in ledger: any LedgerStore) throws {
    #expect(message.count == 64, "\(alarm): the message is named by no hash")
    #expect(reading["v"]?.double == raised.value, "\(alarm)")
    #expect(reading["t"]?.wholeNumber == raised.onset.milliseconds, "\(alarm)")
    let expected =
      [("alarm raised", ""), ("alarm acknowledged", "")]
      + AlarmTraceTests.loop.map { ("hazard \($0.act)", $0.role) }
    var rest = steps[...]
    for (what, role) in expected {
      let at = try #require(
        rest.firstIndex { $0.what == what },
        "\(alarm): \(what) is missing or too early: \(steps.map(\.what))"
      )
      #expect(rest[at].role == role, "\(alarm): \(what)")
      if !role.isEmpty { #expect(rest[at].actor == "\(role)-1", "\(alarm): \(what)") }
      rest = rest[(at + 1)...]
    }
    let returned = try #require(steps.first { $0.what == "alarm returned" }, "\(alarm)")
    let closed = try #require(steps.last)
    #expect(closed.what == "hazard close" && returned.sequence < closed.sequence, "\(alarm)")
    // No step twice: with what the alarm did, these are all of its and the hazard's entries.
    #expect(steps.count == expected.count + 1, "\(alarm): \(steps.map(\.what))")
    for step in steps {
      let entry = try #require(try ledger.entries(after: step.sequence - 1, limit: 1).first)
      #expect(entry.hash.map { String(format: "%02x", $0) }.joined() == step.hash)
    }
  }
}
