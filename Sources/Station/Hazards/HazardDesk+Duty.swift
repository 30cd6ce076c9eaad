import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

/// Who is to be called: rosters, exchanges of duty, the people responsible for a place.
extension HazardDesk {
  /// Who is to be called on a level.
  func persons(
    of level: ResponsePolicy.Chain.Level,
    about place: String,
    at time: Timestamp
  ) -> [String] {
    var persons: [String] = []
    func add(_ more: [String]) {
      for person in more where !persons.contains(person) { persons.append(person) }
    }
    if level.isResponsible { add(responsible(for: place)) }
    add(level.persons)
    if let roster = level.roster.flatMap({ self.roster($0) }) {
      let exchanged = state.duties.last {
        $0.roster == roster.id && $0.from <= time && time < $0.until
      }
      add(exchanged?.persons ?? roster.onDuty(at: time))
    }
    return persons
  }

  /// Who is on duty on a level of a call-out's plan now; nil where the chain no longer has that level.
  func onDuty(_ level: Int, of call: DeskState.Call, at time: Timestamp) -> [String]? {
    guard call.rows.indices.contains(level), let chain = policy.chains[call.chain],
      chain.levels.indices.contains(call.rows[level])
    else { return nil }
    let known = chain.levels[call.rows[level]]
    guard known.name.zh == call.callout.plan.levels[level].name else { return nil }
    return persons(of: known, about: call.about, at: time)
  }

  /// The people that the site file makes responsible for a place, as `enterprise/key`.
  private func responsible(for place: String) -> [String] {
    guard let catalog, let enterprise = places.enterprises[PlaceIndex.leading(1, of: place)]
    else { return [] }
    var keys = places.channels[place].map { catalog.channels[$0].responsible } ?? []
    if keys.isEmpty {
      let site = enterprise.sites.first { $0.path == PlaceIndex.leading(2, of: place) }
      keys = site?.responsible ?? []
    }
    if keys.isEmpty { keys = enterprise.responsible }
    return keys.map { "\(enterprise.id)/\($0)" }
  }

  /// `hazards/duty`: an exchange of duty for a time.
  func changeDuty(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let caller = try payload.caller()
    try caller.mustBe([.county, .sector, .city, .administrator], to: "changing a roster")
    let roster = try payload.text("roster")
    guard policy.rosters[roster] != nil else {
      throw .refused("no roster \(roster) in the response files", code: "unknown-roster")
    }
    let now = Timestamp(milliseconds: record.input.received)
    guard let until = try payload.moment("until"), until > now else {
      throw .incomplete("until: must lie ahead")
    }
    let from = try payload.moment("from") ?? now
    guard from < until else { throw .incomplete("from: must be before until") }
    let persons = try payload.texts("persons", atMost: 50)
    guard !persons.isEmpty else { throw .incomplete("persons: must be given") }
    for person in persons where policy.contacts[person] == nil {
      throw .refused("persons: no person \(person) in the response files", code: "unknown-person")
    }
    state.duties.removeAll { $0.until <= now }
    guard state.duties.count < 1_000 else {
      throw .refused("more than 1,000 exchanges of duty", code: "limit")
    }
    state.duties.append(
      DeskState.Duty(roster: roster, from: from, until: until, persons: persons)
    )
    // No place: like the rosters it is the station's own. By the first rules the roster stood there as one.
    let naming = level == .first ? "place" : "roster"
    output.drafts.append(
      LedgerDraft(
        time: now,
        kind: .register,
        subject: "duty/\(record.sequence)",
        actor: caller.actor,
        body: LedgerJSON.object([
          "event": "set", "from": .integer(from.milliseconds),
          "persons": .array(persons.map { .string($0) }), "reason": .string(caller.reason),
          "role": .string(caller.role.rawValue), naming: .string(roster),
          "until": .integer(until.milliseconds),
        ]).canonicalBytes(),
        origin: record.sequence
      )
    )
  }
}
