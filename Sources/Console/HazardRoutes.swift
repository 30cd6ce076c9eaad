import DeviceCatalog
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Hazards: lists, one with its whole story, registration and acts.
struct HazardRoutes: Sendable {
  let station: any StationAccess
  let commands: DeskCommands
  /// Where the files are that acts name as evidence; nil on a station without a folder for them.
  let evidence: EvidenceStore?
  let zone: TimeZone

  /// Most entries of one hazard in an answer; the rest is reached by `/entries`.
  static let maximumSteps = 1_000

  /// `GET /api/v1/hazards`.
  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let filter = try Self.filter(request)
    let cursor = try request.integer("before", in: 1...Int64.max)
    let limit = Int(try request.integer("limit", in: 1...500) ?? 100)
    let scope = try context.scope
    let page = try await BlockingWork.run { [station] in
      try ScopedLedger(station.ledger, scope: scope)
        .hazards(filter, before: cursor, limit: limit)
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.key("hazards")
        writer.array(page) { writer, hazard in writer.object(hazard.write) }
        writer.member("next", page.count < limit ? nil : page.last?.firstSequence)
      }
    )
  }

  private static func filter(_ request: Request) throws -> HazardFilter {
    try request.refuseOtherParameters(than: [
      "open", "state", "source", "grade", "enterprise", "place", "listed", "dueBefore", "before",
      "limit",
    ])
    var filter = HazardFilter()
    filter.openOnly = try request.flag("open")
    filter.listedOnly = try request.flag("listed")
    filter.states = Set(try request.choices("state", HazardState.self))
    filter.sources = Set(try request.choices("source", HazardSource.self))
    filter.grade = try request.choice(
      "grade",
      among: HazardGrade.allCases.map { ($0.rawValue, $0) }
    )
    filter.enterprises = try request.parameter("enterprise").map { [$0] } ?? []
    filter.place = try request.parameter("place") ?? ""
    filter.dueBefore = try request.moment("dueBefore")
    return filter
  }

  /// Most rows of an exported table; more is narrowed down by the filters.
  static let maximumRows = 10_000

  /// `GET /api/v1/hazards.xlsx`: the list with all facts as a workbook, by the same filters.
  func workbook(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let filter = try Self.filter(request)
    let cursor = try request.integer("before", in: 1...Int64.max)
    _ = try request.integer("limit", in: 1...500)
    let scope = try context.scope
    let table = HazardTable(names: CatalogNames(station.catalog), zone: zone)
    let rows = try await BlockingWork.run { [station] in
      try Self.rows(of: ScopedLedger(station.ledger, scope: scope), station.ledger, filter, cursor)
    }
    guard rows.count <= Self.maximumRows else {
      throw Problem(
        .unprocessableContent,
        "too-many",
        "more than \(Self.maximumRows) hazards fit: narrow them down by place, state or source"
      )
    }
    return Response(
      status: .ok,
      headers: [
        .contentType: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        .cacheControl: "no-store",
        .contentDisposition: "attachment; filename=\"davy-hazards.xlsx\"",
      ],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: table.table(of: rows).xlsx))
    )
  }

  /// The hazards of a filter, newest first; one more than fit where there are too many.
  private static func rows(
    of scoped: ScopedLedger,
    _ ledger: any LedgerStore,
    _ filter: HazardFilter,
    _ start: Int64?
  ) throws -> [HazardTable.Row] {
    var rows: [HazardTable.Row] = []
    var cursor = start
    while rows.count <= maximumRows {
      let page = try scoped.hazards(filter, before: cursor, limit: 500)
      for view in page {
        guard let hazard = try ledger.hazard(id: view.id) else { continue }
        let first = try ledger.entries(of: view.id, after: 0, limit: 1).first
        rows.append(
          HazardTable.Row(
            hazard: hazard,
            sequence: view.firstSequence,
            registered: first?.time ?? view.lastTime
          )
        )
      }
      guard page.count == 500, let last = page.last else { break }
      cursor = last.firstSequence
    }
    return rows
  }

  /// `GET /api/v1/hazards/{id}`: all facts, every entry with its hash, the alarms behind it, and what may be done next.
  func one(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let id = try context.pathParameter("id")
    let scope = try context.scope
    let story = try await BlockingWork.run { [station] in
      try Story(id, of: station.ledger, scope: scope)
    }
    guard let story else {
      throw Problem(.notFound, "unknown-hazard", "the ledger has no hazard \(id)")
    }
    let like = station.catalog.sites(like: story.hazard.registration.place)
      .filter { scope.includes(path: $0) }
    return Response(
      json: JSONWriter.object { writer in
        story.write(to: &writer)
        writer.key("likeSites")
        writer.array(like) { writer, site in writer.string(site) }
      }
    )
  }

  /// `POST /api/v1/hazards`: from an inspection or a report.
  func register(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try await commands.respond(
      to: request,
      context,
      verb: "register",
      status: .created,
      isOfHazard: true,
      check: requireSite,
      answer: { $0.member("hazard", "hazard/\($1.journalSequence)") }
    )
  }

  /// Refuses a hazard at a site that the catalog does not have: its people would not hear of it.
  ///
  /// Not where stations below tell of enterprises that are listed here: only they know all sites.
  private func requireSite(of hazard: [String: HazardLedger.JSONValue]) throws {
    guard !station.hasStationsBelow, let place = hazard["place"]?.text else { return }
    let parts = place.split(separator: "/", omittingEmptySubsequences: false)
    // Permits and welders have alarms at `enterprise/welding/…`. That there is no such enterprise is told by the desk.
    guard parts.count > 1, parts[1] != "welding",
      let enterprise = station.catalog.enterprises.first(where: { $0.id == parts[0] }),
      !enterprise.sites.contains(where: { $0.id == parts[1] })
    else { return }
    throw Problem(
      .notFound,
      "unknown-place",
      "place: no site \(parts[0])/\(parts[1]) in the catalog; an enterprise alone is a place as well"
    )
  }

  /// `POST /api/v1/hazards/{id}/acts`.
  func act(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let id = try context.pathParameter("id")
    return try await commands.respond(
      to: request,
      context,
      verb: "act",
      fixed: ["hazard": .string(id)],
      at: try await place(of: id, context),
      isOfHazard: true,
      check: requireEvidence
    ) { writer, _ in writer.member("hazard", id) }
  }

  /// Refuses an act that names a file which nobody has handed in: a hash without its file shows nothing to whoever accepts.
  private func requireEvidence(of act: [String: HazardLedger.JSONValue]) async throws {
    guard let evidence, let files = act["evidence"]?.elements else { return }
    let digests = files.compactMap { $0["sha256"]?.text }
    guard
      let missing = try await BlockingWork.run({ digests.first { !evidence.mayHold($0) } })
    else { return }
    throw Problem(
      .unprocessableContent,
      "evidence-missing",
      "evidence: no file \(missing) is here; hand it in first, by POST /api/v1/hazards/{id}/evidence"
    )
  }

  /// Where a hazard is; somebody else's is as good as none.
  func place(of id: String, _ context: ConsoleContext) async throws -> String {
    let scope = try context.scope
    let hazard = try await BlockingWork.run { [station] in
      try ScopedLedger(station.ledger, scope: scope).hazard(id: id)
    }
    guard let hazard else {
      throw Problem(.notFound, "unknown-hazard", "the ledger has no hazard \(id)")
    }
    return hazard.registration.place
  }

  /// `GET /api/v1/hazards/workflow`: the table that decides, for pages that show what may be done.
  func workflow(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    return Response(
      json: JSONWriter.object { writer in
        writer.key("rows")
        writer.array(HazardWorkflow.rows) { writer, row in
          writer.object { writer in
            writer.member("act", row.act.rawValue)
            writer.member("to", row.to?.rawValue)
            writer.strings("from", row.from.map(\.rawValue))
            writer.strings("roles", row.roles.map(\.rawValue))
            writer.strings("guards", row.guards.map(\.rawValue))
          }
        }
        writer.member("mermaid", HazardWorkflow.diagram())
      }
    )
  }

  /// A hazard with everything that belongs to it.
  private struct Story: Sendable {
    var hazard: Hazard
    var entries: [LedgerEntry]
    var alarms: [AlarmView]
    var clocks: [MatterView]

    init?(_ id: String, of ledger: any LedgerStore, scope: LedgerScope) throws {
      guard let hazard = try ScopedLedger(ledger, scope: scope).hazard(id: id) else { return nil }
      self.hazard = hazard
      entries = try ledger.entries(of: id, after: 0, limit: HazardRoutes.maximumSteps)
      alarms = []
      for alarm in hazard.registration.alarms.prefix(100) {
        if let view = try ledger.alarm(id: alarm) { alarms.append(view) }
      }
      clocks = []
      for clock in ["clock/rectification/\(id)", "clock/check/\(id)"] {
        if let view = try ledger.matter(.clock, id: clock) { clocks.append(view) }
      }
    }

    func write(to writer: inout JSONWriter) {
      hazard.write(to: &writer)
      writer.key("acts")
      writer.array(HazardAct.allCases) { writer, act in
        // What the station does by itself is no act that anybody could send.
        let roles = HazardRole.allCases.filter { role in
          if role != .engine, case .move = HazardWorkflow.cell(hazard.state, act, role) {
            true
          } else {
            false
          }
        }
        writer.object { writer in
          writer.member("act", act.rawValue)
          writer.strings("roles", roles.map(\.rawValue))
        }
      }
      writer.key("alarms")
      writer.array(alarms) { writer, alarm in writer.object(alarm.write) }
      writer.key("clocks")
      writer.array(clocks) { writer, clock in writer.object(clock.write) }
      writer.key("entries")
      writer.array(entries) { writer, entry in writer.object(entry.write) }
      writer.member("entriesComplete", entries.count < HazardRoutes.maximumSteps)
    }
  }
}

extension HazardView {
  /// Writes the hazard's members.
  func write(to writer: inout JSONWriter) {
    writer.member("hazard", id)
    writer.member("enterprise", enterprise)
    writer.member("place", place)
    writer.member("source", source.rawValue)
    writer.member("title", title)
    writer.member("state", state.rawValue)
    writer.member("isOpen", !state.isFinal)
    writer.member("grade", grade?.rawValue)
    writer.member("deadline", deadline?.milliseconds)
    writer.member("listed", listed?.rawValue)
    writer.member("rung", rung?.rawValue)
    writer.member("firstSequence", firstSequence)
    writer.member("sequence", lastSequence)
    writer.member("time", lastTime.milliseconds)
    writer.member("steps", steps)
  }
}

extension Hazard {
  /// Writes all facts.
  func write(to writer: inout JSONWriter) {
    writer.member("hazard", registration.id)
    writer.member("enterprise", registration.enterprise)
    writer.member("place", registration.place)
    writer.member("source", registration.source.rawValue)
    writer.member("title", registration.title)
    writer.member("detail", registration.detail)
    writer.member("ground", registration.ground)
    writer.member("basis", registration.basis)
    writer.member("parent", registration.parent)
    writer.member("state", state.rawValue)
    writer.member("isOpen", !state.isFinal)
    writer.member("grade", grade?.rawValue)
    writer.member("committeeAssignee", committeeAssignee)
    writer.member("sectorAssignee", sectorAssignee)
    writer.key("plan")
    if let plan { writer.raw(plan.json.canonicalBytes()) } else { writer.null() }
    writer.member("deadline", deadline?.milliseconds)
    writer.member("askedDeadline", askedDeadline?.milliseconds)
    writer.member("listed", listed?.rawValue)
    writer.member("rung", rung?.rawValue)
    writer.key("evidence")
    writer.array(evidence) { writer, item in
      writer.object { writer in
        writer.member("name", item.name)
        writer.member("sha256", item.sha256)
      }
    }
    writer.member("submitter", submitter)
    writer.member("accepter", accepter)
    writer.member("isSampled", isSampled)
    writer.strings("sites", sites)
    writer.member("time", lastTime.milliseconds)
    writer.member("steps", steps)
  }
}

extension MatterView {
  /// Writes the matter's members.
  func write(to writer: inout JSONWriter) {
    writer.member("id", id)
    writer.member("place", place)
    writer.member("state", state)
    writer.member("isOpen", isOpen)
    writer.member("firstSequence", firstSequence)
    writer.member("sequence", lastSequence)
    writer.member("firstTime", firstTime.milliseconds)
    writer.member("time", lastTime.milliseconds)
    writer.member("steps", steps)
  }
}

extension JSONWriter {
  /// Writes a member with a list of texts.
  mutating func strings(_ name: String, _ texts: [String]) {
    key(name)
    array(texts) { writer, text in writer.string(text) }
  }
}

extension Request {
  /// `true` or `false`; false when absent.
  func flag(_ name: String) throws -> Bool {
    try choice(name, among: [("true", true), ("false", false)]) ?? false
  }

  /// Names of an enumeration, separated by commas.
  func choices<Name: RawRepresentable & CaseIterable>(
    _ name: String,
    _ type: Name.Type
  ) throws -> [Name] where Name.RawValue == String {
    guard let text = try parameter(name) else { return [] }
    return try text.split(separator: ",").map { word in
      guard let value = Name(rawValue: String(word)) else {
        let words = Name.allCases.map(\.rawValue).joined(separator: ", ")
        throw Problem.parameter(name, "\(word) is not one of \(words)")
      }
      return value
    }
  }
}
