import DeviceCatalog
import Foundation
import HazardLedger
import Journal
import Simulation
import Station
import Telemetry
import Testing

/// One alarm from the message to the closed hazard, exported and held against the hashes; and the desk under many inputs.
@Suite("Trace")
struct TraceTests {
  /// Minutes of the recorded methane site around the first release, as messages.
  static func recording() throws -> [(time: Int64, device: String, value: Double)] {
    let file = Fixture.root.appendingPathComponent("Tests/Recordings/methane-site/ch4.csv")
    let lines = try String(contentsOf: file, encoding: .utf8).split(whereSeparator: \.isNewline)
    let names = try #require(lines.first).split(separator: ",").map(String.init)
    let format = ISO8601DateFormatter()
    var readings: [(time: Int64, device: String, value: Double)] = []
    for line in lines.dropFirst().prefix(4_000) {
      let cells = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard let date = format.date(from: cells[0]) else { continue }
      for (name, cell) in zip(names, cells) where name.hasPrefix("ch4_") {
        guard let value = Double(cell) else { continue }
        readings.append((Int64(date.timeIntervalSince1970 * 1_000), name, value))
      }
    }
    let peak = try #require(readings.firstIndex { $0.value >= 20 }, "no plume in the recording")
    let part = readings[max(0, peak - 80)..<min(readings.count, peak + 1_600)]
    // A live gateway's clock is about right: the recording is moved to the day of the test.
    let shift = DeskStation.start + 60_000 - (part.first?.time ?? 0)
    return part.map { ($0.time + shift, $0.device, $0.value) }
  }

  @Test(
    "message → reading → alarm → acknowledgement → hazard → each step → closed, each with its hash"
  )
  func trace() throws {
    let station = try DeskStation()
    var alarm: String?
    try station.feed(Self.recording()) {
      guard alarm == nil else { return }
      alarm = try station.ledger.standingAlarms().first { $0.rule == "HH" }?.id
      if let alarm {
        station.now += 1
        try station.feed(StationCoreTests.act("acknowledge", alarm: alarm, at: station.now))
      }
    }
    let plume = try #require(alarm)
    let hazard = "hazard/\(plume)"
    try station.toRectifying(hazard)
    // The recording ends with the air clean again, or a person's reading says so.
    let point = plume.split(separator: "#")[0].split(separator: "/")[3]
    station.now += 60_000
    try station.reading(2, device: String(point))
    try station.toClosed(hazard)

    // The whole as a recording, replayed: the same ledger, from which the dossier is taken.
    let (journal, path, key) = try station.replayed()
    let dossier = try LedgerDossier(path: path)
    let export = try dossier.export(subject: plume) { try Self.inputs($0, of: journal) }
    let report = LedgerVerifier.verifyExport(export, trusting: [key.publicKey])
    #expect(report.findings == [])
    #expect(report.isKeyTrusted && report.inputs >= 1)

    let document = try HazardLedger.JSONValue(parsing: export)
    let entries = try #require(document["entries"]?.elements)
    var steps: [String] = []
    for entry in entries {
      let body = try HazardLedger.JSONValue(parsing: Array((entry["body"]?.text ?? "").utf8))
      let word = (body["act"] ?? body["event"])?.text ?? ""
      if ["alarm", "hazard"].contains(entry["kind"]?.text) { steps.append(word) }
      #expect(entry["hash"]?.text?.count == 64)
      #expect(entry["path"]?.elements?.isEmpty == false)
    }
    let expected = [
      "raised", "register", "acknowledged", "verify", "grade", "assignCommittee", "assignSector",
      "plan", "start", "submit", "accept", "sample", "close",
    ]
    var rest = steps[...]
    for step in expected {
      let at = try #require(rest.firstIndex(of: step), "\(step) is missing or too early: \(steps)")
      rest = rest[(at + 1)...]
    }
    let kinds = Set(entries.compactMap { $0["kind"]?.text })
    #expect(kinds.isSuperset(of: ["alarm", "hazard", "callout", "clock"]))

    // The message that raised it is in the file, and it is the one that was published.
    let raised = try #require(
      entries.first { $0["body"]?.text?.contains("\"event\":\"raised\"") == true }
    )
    let message = try #require(
      document["inputs"]?.elements?.first { $0["sequence"] == raised["origin"] }
    )
    let payload = try #require(
      Data(base64Encoded: message["payload"]?.text ?? "")
    )
    let reading = try HazardLedger.JSONValue(parsing: [UInt8](payload))
    let body = try AlarmBody(decoding: Array((raised["body"]?.text ?? "").utf8))
    #expect(
      reading["v"]?.double == body.value && reading["t"]?.wholeNumber == body.onset.milliseconds
    )

    // Another message in its place is found out, and so is any other change.
    let text = String(decoding: export, as: UTF8.self)
    let forged = text.replacing(
      payload.base64EncodedString(),
      with: Data(String(decoding: payload, as: UTF8.self).replacing("\"v\":", with: "\"v\":1").utf8)
        .base64EncodedString()
    )
    #expect(LedgerVerifier.verifyExport(Array(forged.utf8)).isIntact == false)
    let other = text.replacing("\"actor\":\"sector-1\"", with: "\"actor\":\"enterprise-1\"")
    #expect(LedgerVerifier.verifyExport(Array(other.utf8)).isIntact == false)
  }

  /// The journal's inputs of these sequences, as a dossier holds them.
  static func inputs(
    _ sequences: Set<UInt64>,
    of journal: Recording
  ) throws -> [UInt64: ExportedInput] {
    var found: [UInt64: ExportedInput] = [:]
    for sequence in sequences {
      guard let record = try journal.read(from: sequence, limit: 1).first else { continue }
      found[sequence] = ExportedInput(
        kind: record.input.kind.rawValue,
        received: record.input.received,
        topic: record.input.topic,
        payload: record.input.payload
      )
    }
    return found
  }

  /// What usually comes next.
  static let usual: [String: [HazardAct]] = [
    "registered": [.verify], "verified": [.grade], "graded": [.assignCommittee, .assignSector],
    "committeeAssigned": [.assignSector], "sectorAssigned": [.assignCommittee],
    "assigned": [.plan], "planned": [.start], "rectifying": [.submit], "submitted": [.accept],
    "accepted": [.sample, .close], "sampled": [.close], "closed": [.generalise],
  ]

  @Test(
    "20,000 acts by random roles on the desk, with restarts: none closes its own hazard",
    arguments: [1, 2] as [UInt64]
  )
  func randomActs(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let station = try DeskStation()
    var core = station.core
    var now = DeskStation.start
    let devices = ["ch4_n", "ch4_e", "ch4_s", "ch4_w"]
    var hazards: [String] = []
    var log: [String: [(act: String, role: String, actor: String)]] = [:]
    var states: [String: String] = [:]
    var closed = 0
    func process(_ inputs: [JournalInput]) throws {
      let output = core.process(JournalBatch(inputs), firstSequence: core.position + 1)
      for draft in output.drafts where draft.kind == .hazard {
        let body = try HazardLedger.JSONValue(parsing: draft.body)
        let act = body["act"]?.text ?? ""
        if act == "register" { hazards.append(draft.subject) }
        states[draft.subject] = body["state"]?.text
        log[draft.subject, default: []].append((act, body["role"]?.text ?? "", draft.actor))
        guard act == "close" else { continue }
        closed += 1
        let steps = try #require(log[draft.subject])
        let submit = try #require(steps.last { $0.act == "submit" })
        let accept = try #require(steps.last { $0.act == "accept" })
        #expect(submit.role == "enterprise")
        #expect(accept.role != "enterprise" && accept.actor != submit.actor)
        #expect(body["role"]?.text != "enterprise" && draft.actor != submit.actor)
      }
    }
    let acts = HazardAct.allCases
    let roles = HazardRole.allCases.filter { $0 != .engine }
    for round in 0..<200 {
      var inputs: [JournalInput] = []
      for _ in 0..<100 {
        now += 1_000
        if hazards.isEmpty || Int.random(in: 0..<20, using: &generator) == 0 {
          let device = devices[Int.random(in: 0..<4, using: &generator)]
          let value = [2.0, 2.0, 25.0][Int.random(in: 0..<3, using: &generator)]
          inputs.append(StationCoreTests.reading(value, at: now, device: device))
          if hazards.isEmpty { break }
          continue
        }
        let hazard = hazards[
          Int.random(in: max(0, hazards.count - 3)..<hazards.count, using: &generator)
        ]
        // Half the acts go the usual way on, so that some come to an end; roles and persons are random all the same.
        let usual = Self.usual[states[hazard] ?? "registered"] ?? acts
        let act =
          Bool.random(using: &generator)
          ? usual[Int.random(in: 0..<usual.count, using: &generator)]
          : acts[Int.random(in: 0..<acts.count, using: &generator)]
        let payload = HazardLedger.JSONValue.object([
          "act": .string(act.rawValue),
          "actor": .string("p\(Int.random(in: 0..<4, using: &generator))"),
          "role": .string(roles[Int.random(in: 0..<roles.count, using: &generator)].rawValue),
          "enterprise": "metec", "hazard": .string(hazard), "reason": "r", "grade": "general",
          "assignee": "a", "evidence": DeskStation.photo, "sites": ["metec/metec"],
          "deadline": .integer(now + 3 * DeskStation.hour),
          "plan": .object([
            "responsible": "a", "measures": "b", "funds": "c", "contingency": "d",
            "deadline": .integer(now + DeskStation.hour),
          ]),
        ])
        inputs.append(
          JournalInput(
            kind: .command,
            received: now,
            topic: Array("hazards/act".utf8),
            payload: payload.canonicalBytes()
          )
        )
      }
      inputs.append(JournalInput(kind: .tick, received: now))
      try process(inputs)
      if round % 10 == 9 { core = try StationCore(snapshot: core.snapshot()) }
    }
    #expect(closed >= 3, "SEED=\(seed): closed \(closed) of \(hazards.count)")
  }

  @Test(
    "with hazards and call-outs, crashed and faulted runs replay to a byte-identical ledger",
    arguments: 1...20 as ClosedRange<UInt64>
  )
  func crashedRunsReplay(seed: UInt64) throws {
    let catalog = try Self.shared.get()
    let run = try SimulationTests.run(seed, hasFaults: true, catalog: catalog)
    #expect(run.verification.findings == [], "SEED=\(seed)")
    try SimulationTests.expectReplay(of: run.outcome, pages: [1, 1_000], "SEED=\(seed)")
  }

  static let shared = Result { try DeskStation.catalog(response: DeskStation.response) }
}
