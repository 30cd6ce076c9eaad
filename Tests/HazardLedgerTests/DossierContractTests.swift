import HazardLedger
import Telemetry
import Testing

/// The dossier of one alarm, out of every store alike.
@Suite("Dossiers") struct DossierContractTests {
  @Test(
    "one alarm with its hazard and calls is exported with its proof, the same file from every store",
    arguments: StoreKind.available
  )
  func dossier(kind: StoreKind) throws {
    let place = try StorePlace(kind)
    let elsewhere = try StorePlace(.sqlite)
    let key = CheckpointKey()
    let onset = Timestamp(milliseconds: 1_795_000_000_000)
    let alarm = AlarmBody.alarmID(point: "ent-1/site/area/GD-1/gas", rule: "HH", onset: onset)
    let hazard = "hazard/\(alarm)"
    var files: [[UInt8]] = []
    for place in [place, elsewhere] {
      let store = try place.open()
      try store.fill(seed: 12, entries: 300)
      let position = try store.position + 1
      let raised = AlarmBody(
        point: "ent-1/site/area/GD-1/gas",
        rule: "HH",
        onset: onset,
        event: .raised,
        state: .unacknowledged,
        previous: .normal,
        priority: 4,
        received: onset,
        cause: position
      )
      func note(_ kind: EntryKind, _ subject: String, _ members: [String: JSONValue]) -> LedgerDraft
      {
        LedgerDraft(
          time: onset,
          kind: kind,
          subject: subject,
          actor: "engine",
          body: JSONValue.object(members).canonicalBytes(),
          origin: position
        )
      }
      let registration = HazardRegistration(
        id: hazard,
        source: .monitoring,
        enterprise: "ent-1",
        place: "ent-1/site/area/GD-1/gas",
        title: "气体",
        alarms: [alarm]
      )
      var check = registration
      check.id = hazard + "/check/ent-1/other"
      check.alarms = []
      try store.append(
        [
          LedgerDraft(alarm: raised, time: onset, origin: position),
          LedgerDraft(
            registering: registration,
            by: "engine",
            as: .engine,
            at: onset,
            origin: position
          ),
          LedgerDraft(registering: check, by: "engine", as: .engine, at: onset, origin: position),
          note(.callout, "callout/1", ["event": "called", "text": .string(alarm)]),
          note(.callout, "callout/2", ["event": "called", "text": "another"]),
          note(.clock, "clock/rectification/\(hazard)", ["event": "started"]),
        ],
        rejects: [],
        position: position
      )
      let dossier = try place.dossier()
      // Nothing is exported that no checkpoint covers, or that is not there.
      #expect(throws: LedgerError.self) { try dossier.export(subject: alarm) { _ in [:] } }
      try #require(store as? any CheckpointStore)
        .signCheckpoint(with: key, at: Timestamp(milliseconds: 5))
      #expect(throws: LedgerError.self) { try dossier.export(subject: "none") { _ in [:] } }
      #expect(
        try dossier.subjects(of: alarm) == [
          alarm, hazard, hazard + "/check/ent-1/other", "clock/rectification/\(hazard)",
          "clock/check/\(hazard)", "clock/rectification/\(hazard)/check/ent-1/other",
          "clock/check/\(hazard)/check/ent-1/other", "callout/1",
        ]
      )
      #expect(try dossier.subjects(of: hazard).contains(alarm))
      var asked: Set<UInt64> = []
      files.append(
        try dossier.export(subject: alarm) { sequences in
          asked = sequences
          return [:]
        }
      )
      #expect(asked == [position])
    }
    #expect(files[0] == files[1])
    let report = LedgerVerifier.verifyExport(files[0], trusting: [key.publicKey])
    #expect(report.findings == [] && report.entries == 5 && report.isKeyTrusted)
    let forged = String(decoding: files[0], as: UTF8.self).replacing("气体", with: "空气")
    #expect(!LedgerVerifier.verifyExport(Array(forged.utf8)).isIntact)
  }
}
