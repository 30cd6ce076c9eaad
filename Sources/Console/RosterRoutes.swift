import Accounts
import Crypto
import DeviceCatalog
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Rosters of duty (值班表): who is on duty now, the weeks, exchanges, and changing them.
///
/// The response files say what a roster is; what people change stands in the journal and the ledger and goes before the
/// file until it is put back.
struct RosterRoutes: Sendable {
  let station: any StationAccess
  let commands: DeskCommands

  /// Names of people on duty are nothing for an enterprise's eyes.
  private static let readers: Set<Role> = [
    .administrator, .county, .sector, .city, .auditor, .dutyOfficer, .operator,
  ]

  /// `GET /api/v1/rosters`.
  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(Self.readers)
    try request.refuseOtherParameters(than: [])
    let content = try content(context)
    let scope = try context.scope
    let now = WallClock.now()
    return Response(
      json: JSONWriter.object { writer in
        writer.key("rosters")
        writer.array(content.rows.values.sorted { $0.roster.id < $1.roster.id }) { writer, row in
          writer.object { writer in
            row.write(to: &writer, at: now)
            writer.member("inScope", covers(scope, row.roster.id))
          }
        }
        writer.key("persons")
        writer.array(content.contacts.values.sorted { $0.id < $1.id }) { writer, contact in
          writer.object { writer in
            writer.member("id", contact.id)
            writer.member("name", contact.name)
            writer.member("role", contact.role)
            writer.strings("channels", contact.addresses.keys.sorted())
          }
        }
      }
    )
  }

  /// `GET /api/v1/rosters/{id}`.
  func one(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try context.require(Self.readers)
    try request.refuseOtherParameters(than: [])
    return try answer(try row(context), context)
  }

  /// `PUT /api/v1/rosters/{id}`, with If-Match.
  func put(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await change("roster", request, context)
  }

  /// `POST /api/v1/rosters/{id}/reset`, with If-Match: the response file's roster again.
  func reset(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await change("roster-reset", request, context)
  }

  private func change(
    _ verb: String,
    _ request: Request,
    _ context: ConsoleContext
  ) async throws -> Response {
    try context.require(.administrator, .county, .sector, .city)
    let row = try row(context)
    try requireInScope(row.roster.id, context)
    guard let tag = request.headers[.ifMatch] else {
      throw Problem(
        .preconditionRequired,
        "if-match",
        "send the ETag of the roster that you have seen as If-Match"
      )
    }
    guard tag == row.tag else {
      throw Problem(
        .preconditionFailed,
        "changed-meanwhile",
        "\(row.roster.id) was changed meanwhile; look at it again"
      )
    }
    _ = try await commands.respond(
      to: request,
      context,
      verb: verb,
      fixed: ["roster": .string(row.roster.id), "version": .integer(Int64(row.version))],
      kind: .register
    )
    return try answer(try self.row(context), context)
  }

  /// `POST /api/v1/duties`: an exchange of duty for a time.
  func exchange(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await commands.respond(
      to: request,
      context,
      verb: "duty",
      status: .created,
      check: { try requireShare(of: $0, context) }
    )
  }

  /// Holds an exchange to a roster that the caller may change, and to people whom he sees.
  private func requireShare(
    of exchange: [String: HazardLedger.JSONValue],
    _ context: ConsoleContext
  ) throws {
    guard try context.scope != .everything, let id = exchange["roster"]?.text else { return }
    let content = try content(context)
    guard content.rows[id] != nil else { throw Self.unknown(id) }
    try requireInScope(id, context)
    let persons = (exchange["persons"]?.elements ?? []).compactMap(\.text)
    if let stranger = persons.first(where: { content.contacts[$0] == nil }) {
      throw Problem(.notFound, "unknown-person", "no person \(stranger) in the response files")
    }
  }

  /// Ends the request with 403 where a roster is called for others as well.
  private func requireInScope(_ roster: String, _ context: ConsoleContext) throws {
    guard covers(try context.scope, roster) else {
      throw Problem(
        .forbidden,
        "scope",
        "\(roster) is called for others as well, beyond your scope"
      )
    }
  }

  /// Whether all the enterprises for which a roster is called lie in a scope.
  private func covers(_ scope: LedgerScope, _ roster: String) -> Bool {
    scope == .everything
      || station.catalog.enterprisesCalled(by: roster).allSatisfy(scope.includes(enterprise:))
  }

  /// Duty as the caller may see it: people of other enterprises are not shown, nor rosters that name them.
  private func content(_ context: ConsoleContext) throws -> DutyBoard.Content {
    var content = station.duty?.content ?? DutyBoard.Content()
    let scope = try context.scope
    guard scope != .everything else { return content }
    func isShown(_ person: String) -> Bool {
      !person.contains("/") || scope.includes(enterprise: LedgerScope.enterprise(ofPath: person))
    }
    content.contacts = content.contacts.filter { isShown($0.key) }
    content.rows = content.rows.filter { $0.value.persons.allSatisfy(isShown) }
    return content
  }

  private func row(_ context: ConsoleContext) throws -> DutyBoard.Row {
    let id = try context.pathParameter("id")
    guard let row = try content(context).rows[id] else { throw Self.unknown(id) }
    return row
  }

  private static func unknown(_ roster: String) -> Problem {
    Problem(.notFound, "unknown-roster", "no roster \(roster) in the response files")
  }

  private func answer(_ row: DutyBoard.Row, _ context: ConsoleContext) throws -> Response {
    let isInScope = covers(try context.scope, row.roster.id)
    var response = Response(
      json: JSONWriter.object { writer in
        row.write(to: &writer, at: WallClock.now())
        writer.member("inScope", isInScope)
      }
    )
    response.headers[.eTag] = row.tag
    return response
  }
}

extension Catalog {
  /// Ids of the enterprises about which whoever is on duty on a roster is called; all of them where a path narrows nothing
  /// down, as with notices.
  fileprivate func enterprisesCalled(by roster: String) -> Set<String> {
    var paths = response.notices.values.contains { $0.roster == roster } ? [""] : []
    for chain in response.chains.values where chain.levels.contains(where: { $0.roster == roster })
    {
      let situations = response.situations.filter { $0.chain == chain.id }
      // A chain of no situation is for calls that people begin, about any place.
      paths += situations.isEmpty ? [""] : situations.map(\.when.path)
    }
    guard !paths.isEmpty, !paths.contains("") else { return Set(enterprises.map(\.id)) }
    return Set(paths.map { LedgerScope.enterprise(ofPath: $0) })
  }
}

extension DutyBoard.Row {
  /// Everybody that it names.
  fileprivate var persons: [String] {
    roster.shifts.flatMap(\.persons) + roster.dates.values.joined() + roster.fallback
      + exchanges.flatMap(\.persons)
  }

  /// Changes with the roster, whoever changed it: people, or a newer response file.
  var tag: String {
    let bytes = JSONWriter.object(writeTable)
    return "\"\(version)-\(Array(SHA256.hash(data: bytes).prefix(8)).hex)\""
  }

  /// Writes the roster's members, with who is on duty at a time.
  func write(to writer: inout JSONWriter, at now: Timestamp) {
    writer.member("id", roster.id)
    writer.member("timeZone", roster.timeZone)
    writeTable(to: &writer)
    writer.member("changed", isChanged)
    writer.member("tag", tag)
    writer.strings("onDuty", onDuty(at: now))
    writer.key("exchanges")
    writer.array(exchanges.filter { $0.until > now }) { writer, exchange in
      writer.object { writer in
        writer.member("from", exchange.from.milliseconds)
        writer.member("until", exchange.until.milliseconds)
        writer.strings("persons", exchange.persons)
      }
    }
  }

  private func writeTable(to writer: inout JSONWriter) {
    writer.key("shifts")
    writer.array(roster.shifts) { writer, shift in
      writer.object { writer in
        writer.key("days")
        writer.array(shift.days.sorted()) { writer, day in writer.integer(day) }
        writer.member("from", ResponsePolicy.Roster.timeOfDay(shift.from))
        writer.member("to", ResponsePolicy.Roster.timeOfDay(shift.to))
        writer.strings("persons", shift.persons)
      }
    }
    writer.key("dates")
    writer.object { writer in
      for (date, persons) in roster.dates.sorted(by: { $0.key < $1.key }) {
        writer.strings(date, persons)
      }
    }
    writer.strings("fallback", roster.fallback)
  }
}
