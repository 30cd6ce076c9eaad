import DeviceCatalog
import HazardLedger
import Journal
import Telemetry

extension DeskState {
  /// A roster as people have changed it; it stands until it is put back to the response file's.
  struct RosterChange: Codable {
    struct Shift: Codable {
      var days: [Int]
      /// Minutes after midnight.
      var from: Int
      var to: Int
      var persons: [String]
    }

    struct Table: Codable {
      var shifts: [Shift]
      /// ISO date → persons.
      var dates: [String: [String]]
      var fallback: [String]
    }

    /// Journal sequence of the change: what the next one has to have seen.
    var version: UInt64
    /// What is in force; nil when it is the response file's again.
    var table: Table?
  }
}

extension HazardDesk {
  /// Most shifts of a roster.
  private static let shiftLimit = 100
  /// Most days of a roster that differ.
  private static let dateLimit = 1_000

  /// The roster in force: people's where they have changed it, else the response file's.
  ///
  /// Whom the response files no longer know cannot be called: he is left out, and where nobody is left the file's own
  /// people stand in.
  func roster(_ id: String) -> ResponsePolicy.Roster? {
    guard let file = policy.rosters[id] else { return nil }
    guard let table = state.rosters?[id]?.table else { return file }
    let known = { [policy] (persons: [String]) in persons.filter { policy.contacts[$0] != nil } }
    var roster = file
    roster.shifts = table.shifts.map {
      ResponsePolicy.Roster.Shift(
        days: Set($0.days),
        from: $0.from,
        to: $0.to,
        persons: known($0.persons)
      )
    }
    roster.dates = table.dates.mapValues(known)
    roster.fallback = known(table.fallback)
    let hasSomebody = !roster.fallback.isEmpty || roster.shifts.contains { !$0.persons.isEmpty }
    if !hasSomebody { return file }
    if roster.fallback.isEmpty, !table.fallback.isEmpty { roster.fallback = file.fallback }
    return roster
  }

  /// Shows others how duty stands.
  func showDuty() {
    var content = DutyBoard.Content()
    content.contacts = policy.contacts
    for id in policy.rosters.keys {
      guard let roster = roster(id) else { continue }
      content.rows[id] = DutyBoard.Row(
        roster: roster,
        version: state.rosters?[id]?.version ?? 0,
        isChanged: state.rosters?[id]?.table != nil,
        exchanges: state.duties.filter { $0.roster == id }
          .map { DutyBoard.Exchange(from: $0.from, until: $0.until, persons: $0.persons) }
      )
    }
    board.show(content)
  }

  /// `hazards/roster`: another table for a roster, until it is put back.
  func changeRoster(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let (caller, id) = try rosterAct(payload)
    let table = try rosterTable(payload)
    keepRoster(id, table, caller, record, into: &output)
  }

  /// `hazards/roster-reset`: the response file's roster again.
  func resetRoster(
    _ payload: DeskPayload,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) throws(ActError) {
    let (caller, id) = try rosterAct(payload)
    guard state.rosters?[id]?.table != nil else {
      throw .refused("\(id) is as the response file has it", code: "state")
    }
    keepRoster(id, nil, caller, record, into: &output)
  }

  /// Who changes which roster, having seen it as it stands.
  private func rosterAct(
    _ payload: DeskPayload
  ) throws(ActError) -> (DeskPayload.Caller, String) {
    let caller = try payload.caller()
    try caller.mustBe([.county, .sector, .city, .administrator], to: "changing a roster")
    guard !caller.reason.isEmpty else { throw .incomplete("reason: must be given") }
    let id = try payload.text("roster")
    guard policy.rosters[id] != nil else {
      throw .refused("no roster \(id) in the response files", code: "unknown-roster")
    }
    let version = state.rosters?[id]?.version ?? 0
    guard let seen = payload.json["version"]?.wholeNumber else {
      throw .incomplete("version: must be given")
    }
    guard seen == version else {
      throw .refused("\(id) was changed meanwhile; look at it again", code: "version")
    }
    return (caller, id)
  }

  private func keepRoster(
    _ id: String,
    _ table: DeskState.RosterChange.Table?,
    _ caller: DeskPayload.Caller,
    _ record: JournalRecord,
    into output: inout CoreOutput
  ) {
    var rosters = state.rosters ?? [:]
    rosters[id] = DeskState.RosterChange(version: record.sequence, table: table)
    state.rosters = rosters
    // No place: it is the station's own, and nobody's who sees but one enterprise.
    var members: [String: LedgerJSON] = [
      "event": .string(table == nil ? "roster.reset" : "roster.set"), "roster": .string(id),
      "reason": .string(caller.reason), "role": .string(caller.role.rawValue),
    ]
    if let table { members["table"] = table.json }
    output.drafts.append(
      LedgerDraft(
        time: Timestamp(milliseconds: record.input.received),
        kind: .register,
        subject: "roster/\(id)",
        actor: caller.actor,
        body: LedgerJSON.object(members).canonicalBytes(),
        origin: record.sequence
      )
    )
  }

  private func rosterTable(
    _ payload: DeskPayload
  ) throws(ActError) -> DeskState.RosterChange.Table {
    guard let shifts = payload.json["shifts"]?.elements, shifts.count <= Self.shiftLimit else {
      throw .incomplete("shifts: must be a list of at most \(Self.shiftLimit) shifts")
    }
    var table = DeskState.RosterChange.Table(
      shifts: [],
      dates: [:],
      fallback: try persons(payload, "fallback", in: "fallback")
    )
    for (row, json) in shifts.enumerated() {
      table.shifts.append(try shift(DeskPayload(json: json), row: row))
    }
    if let value = payload.json["dates"], value != .null {
      guard let dates = value.members, dates.count <= Self.dateLimit else {
        throw .incomplete("dates: must be an object of at most \(Self.dateLimit) days")
      }
      for text in dates.keys.sorted() {
        guard let date = CalendarDate(text) else {
          throw .incomplete("dates: \(text.prefix(20)) is not a day like 2026-10-01")
        }
        let day = DeskPayload(json: .object(["persons": dates[text] ?? .null]))
        table.dates[date.description] = try persons(day, "persons", in: "dates.\(date)")
      }
    }
    guard !table.fallback.isEmpty || table.shifts.contains(where: { !$0.persons.isEmpty }) else {
      throw .incomplete("shifts: with neither shifts nor fallback nobody would ever be on duty")
    }
    return table
  }

  private func shift(
    _ payload: DeskPayload,
    row: Int
  ) throws(ActError) -> DeskState.RosterChange.Shift {
    guard payload.json.members != nil else { throw .incomplete("shifts[\(row)]: not an object") }
    var days = Array(1...7)
    if let value = payload.json["days"], value != .null {
      let numbers = (value.elements ?? []).map { $0.wholeNumber ?? 0 }
      guard !numbers.isEmpty, numbers.allSatisfy({ (1...7).contains($0) }) else {
        throw .incomplete("shifts[\(row)].days: a list of 1 for Monday to 7 for Sunday")
      }
      days = Set(numbers.map(Int.init)).sorted()
    }
    let who = try persons(payload, "persons", in: "shifts[\(row)].persons")
    guard !who.isEmpty else { throw .incomplete("shifts[\(row)].persons: must be given") }
    return DeskState.RosterChange.Shift(
      days: days,
      from: try minute(payload, "from", row),
      to: try minute(payload, "to", row),
      persons: who
    )
  }

  private func minute(
    _ payload: DeskPayload,
    _ key: String,
    _ row: Int
  ) throws(ActError) -> Int {
    let text = Array((payload.json[key]?.text ?? "").utf8)
    let digits = [0, 1, 3, 4].compactMap { place -> Int? in
      guard text.count == 5, text[2] == UInt8(ascii: ":"), (48...57).contains(text[place])
      else { return nil }
      return Int(text[place]) - 48
    }
    guard digits.count == 4, digits[0] * 10 + digits[1] < 24, digits[2] < 6 else {
      throw .incomplete("shifts[\(row)].\(key): a time of day like 08:00")
    }
    return (digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]
  }

  private func persons(
    _ payload: DeskPayload,
    _ key: String,
    in place: String
  ) throws(ActError) -> [String] {
    let persons = try payload.texts(key, atMost: 50)
    for person in persons where policy.contacts[person] == nil {
      throw .refused(
        "\(place): no person \(person.prefix(100)) in the response files",
        code: "unknown-person"
      )
    }
    return persons
  }
}

extension DeskState.RosterChange.Table {
  /// The table as the API and the ledger write it.
  fileprivate var json: LedgerJSON {
    func list(_ persons: [String]) -> LedgerJSON { .array(persons.map { .string($0) }) }
    return .object([
      "dates": .object(dates.mapValues(list)), "fallback": list(fallback),
      "shifts": .array(
        shifts.map { shift in
          .object([
            "days": .array(shift.days.map { .integer(Int64($0)) }),
            "from": .string(ResponsePolicy.Roster.timeOfDay(shift.from)),
            "persons": list(shift.persons),
            "to": .string(ResponsePolicy.Roster.timeOfDay(shift.to)),
          ])
        }
      ),
    ])
  }
}

extension ResponsePolicy.Roster {
  /// Minutes after midnight as `08:00`.
  package static func timeOfDay(_ minutes: Int) -> String {
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return two(minutes / 60) + ":" + two(minutes % 60)
  }
}
