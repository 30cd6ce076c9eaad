import Accounts
import DeviceCatalog
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station

/// Welding, 赋码加芯: machines, scans, the register.
struct WeldingRoutes: Sendable {
  let station: any StationAccess

  /// The roles that may change an enterprise's register.
  private static let editors: Set<Role> = [.enterprise, .operator, .county, .sector, .city]
  /// The roles that may ban hot work and take a machine off the black-list: never the enterprise itself.
  private static let supervisors: Set<Role> = [.county, .sector, .city]

  private var board: WeldingBoard {
    get throws {
      guard let board = station.welding else {
        throw Problem(.notFound, "no-welding", "this station has no welding desk")
      }
      return board
    }
  }

  /// The enterprises asked for that the caller may see.
  private func enterprises(
    _ request: Request,
    _ context: ConsoleContext
  ) throws -> Set<String> {
    let scope = try context.scope
    let all = try board.enterprises.filter { scope.includes(enterprise: $0) }
    guard let wanted = try request.parameter("enterprise") else { return Set(all) }
    guard all.contains(wanted) else { throw Self.unknownEnterprise(wanted) }
    return [wanted]
  }

  private static func unknownEnterprise(_ name: String) -> Problem {
    Problem(.notFound, "unknown-enterprise", "no enterprise \(name) with a welding register")
  }

  // MARK: - What is going on

  /// `GET /api/v1/welding/machines`.
  func machines(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["enterprise", "active", "after", "limit"])
    let isActiveOnly =
      try request.choice("active", among: [("true", true), ("false", false)]) ?? false
    let page = try board.machines(
      of: try enterprises(request, context),
      isActiveOnly: isActiveOnly,
      after: try request.parameter("after"),
      limit: Int(try request.integer("limit", in: 1...500) ?? 100)
    )
    return Response(
      json: JSONWriter.object { writer in
        writer.key("machines")
        writer.array(page.rows) { writer, row in writer.object(row.write) }
        writer.member("next", page.next)
      }
    )
  }

  /// `GET /api/v1/welding/scans`.
  func scans(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["enterprise", "answer", "before", "limit"])
    let page = try board.scans(
      of: try enterprises(request, context),
      isAllowed: try request.choice("answer", among: [("allow", true), ("deny", false)]),
      before: try request.integer("before", in: 1...Int64.max).map { UInt64($0) },
      limit: Int(try request.integer("limit", in: 1...500) ?? 100)
    )
    return Response(
      json: JSONWriter.object { writer in
        writer.key("scans")
        writer.array(page.rows) { writer, row in writer.object(row.write) }
        writer.member("next", page.next)
      }
    )
  }

  /// `GET /api/v1/welding/rules`: the desk's alarms in words, and the reasons of a denied scan.
  func rules(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let alarms = station.catalog.hotWork?.alarms ?? [:]
    return Response(
      json: JSONWriter.object { writer in
        writer.key("rules")
        writer.array(alarms.sorted { $0.key < $1.key }) { writer, entry in
          writer.object { writer in
            writer.member("id", entry.key.rawValue)
            writer.member("text", entry.value.text)
            writer.member("response", entry.value.response)
            writer.member("priority", entry.value.priority)
            writer.member("locks", entry.value.locks)
            writer.member("source", entry.value.source.citation)
            writer.member("mark", entry.value.source.mark.rawValue)
          }
        }
        writer.key("reasons")
        writer.array(WeldingDenial.allCases) { writer, reason in
          writer.object { writer in
            writer.member("id", reason.rawValue)
            writer.member("text", reason.text)
          }
        }
      }
    )
  }

  // MARK: - The register

  private struct Target {
    var enterprise: String
    var part: WeldingRegisterPart
  }

  /// The part of a register that is asked for.
  ///
  /// To be looked at, the register of an enterprise without welding machines is empty; it cannot be changed.
  private func target(_ context: ConsoleContext, isLookedAt: Bool = false) throws -> Target {
    let enterprise = try context.pathParameter("enterprise")
    let isKnown =
      try board.enterprises.contains(enterprise)
      || isLookedAt && station.catalog.enterprises.contains { $0.id == enterprise }
    guard isKnown, try context.scope.includes(enterprise: enterprise) else {
      throw Self.unknownEnterprise(enterprise)
    }
    let name = try context.pathParameter("part")
    guard let part = WeldingRegisterPart(rawValue: name) else {
      let names = WeldingRegisterPart.allCases.map(\.rawValue).joined(separator: ", ")
      throw Problem(.notFound, "unknown-part", "the register has \(names), not \(name)")
    }
    return Target(enterprise: enterprise, part: part)
  }

  /// `GET /api/v1/welding/register/{enterprise}/{part}`.
  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["after", "limit"])
    let target = try target(context, isLookedAt: true)
    let page = try board.entries(
      target.part,
      of: target.enterprise,
      after: try request.parameter("after"),
      limit: Int(try request.integer("limit", in: 1...500) ?? 100)
    )
    return Response(
      json: JSONWriter.object { writer in
        writer.key("entries")
        writer.array(page.rows) { writer, row in writer.object(row.write) }
        writer.member("next", page.next)
      }
    )
  }

  /// `GET /api/v1/welding/register/{enterprise}/{part}/{id}`.
  func one(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let target = try target(context, isLookedAt: true)
    let id = try context.pathParameter("id")
    guard let entry = try board.entry(target.part, id, of: target.enterprise) else {
      throw Problem(.notFound, "unknown-entry", "there is no \(target.part.rawValue)/\(id)")
    }
    let headers: HTTPFields = [.eTag: entry.tag, .cacheControl: "no-cache"]
    guard !request.knows(entry.tag) else { return Response(status: .notModified, headers: headers) }
    var response = Response(json: JSONWriter.object(entry.write))
    for field in headers { response.headers[field.name] = field.value }
    return response
  }

  /// `PUT /api/v1/welding/register/{enterprise}/{part}/{id}`; with If-Match only over the entry that was
  /// seen, with `If-None-Match: *` only where there is none.
  func put(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let target = try target(context)
    let id = try context.pathParameter("id")
    let body = try await body(of: request, context)
    guard let value = body["value"], value.members != nil else {
      throw Problem(.unprocessableContent, "incomplete", "value: the entry is missing")
    }
    let wasBarred = try board.entry(target.part, id, of: target.enterprise)?.value["barred"]?.text
    try context.require(
      target.part == .bans || wasBarred != nil && value["barred"]?.text == nil
        ? Self.supervisors : Self.editors
    )
    var members = Self.seen(request)
    if request.headers[.ifNoneMatch] == "*" { members["absent"] = .bool(true) }
    members["value"] = value
    return try await submit("put", target, id, body, context, members)
  }

  /// `DELETE /api/v1/welding/register/{enterprise}/{part}/{id}`; a body names actor and reason.
  func remove(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let target = try target(context)
    let id = try context.pathParameter("id")
    let body = try await body(of: request, context)
    let isBarred = try board.entry(target.part, id, of: target.enterprise)?.value["barred"]?.text
    try context.require(target.part == .bans || isBarred != nil ? Self.supervisors : Self.editors)
    return try await submit("remove", target, id, body, context, Self.seen(request))
  }

  /// The entry that the caller has seen, by its ETag; the desk holds it to the one that it has.
  private static func seen(_ request: Request) -> [String: JSONValue] {
    request.headers[.ifMatch].map { ["seen": .string($0)] } ?? [:]
  }

  /// `POST /api/v1/welding/register/{enterprise}/{part}/{id}/reports`; only permits take reports.
  func report(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let target = try target(context)
    guard target.part == .permits else {
      throw Problem(
        .notFound,
        "unknown-part",
        "only permits take reports, not \(target.part.rawValue)"
      )
    }
    let enterprise = target.enterprise
    try context.require(Self.editors)
    let id = try context.pathParameter("id")
    let body = try await body(of: request, context)
    var members: [String: JSONValue] = [
      "actor": .string(try actor(body, context)), "enterprise": .string(enterprise),
      "permit": .string(id),
    ]
    for name in ["event", "time", "until", "person", "camera", "passed"] {
      members[name] = body[name]
    }
    return try await submit("report", members)
  }

  private func submit(
    _ verb: String,
    _ target: Target,
    _ id: String,
    _ body: JSONValue,
    _ context: ConsoleContext,
    _ more: [String: JSONValue]
  ) async throws -> Response {
    var members = more
    members["actor"] = .string(try actor(body, context))
    members["enterprise"] = .string(target.enterprise)
    members["id"] = .string(id)
    members["part"] = .string(target.part.rawValue)
    members["reason"] = .string(body["reason"]?.text ?? "")
    return try await submit(verb, members)
  }

  private func submit(_ verb: String, _ members: [String: JSONValue]) async throws -> Response {
    do throws(ActError) {
      let receipt = try await station.submit(
        DeskInput(
          kind: .register,
          desk: "welding",
          verb: verb,
          payload: JSONValue.object(members).canonicalBytes()
        )
      )
      return Response(
        json: JSONWriter.object { writer in
          writer.member("journalSequence", receipt.journalSequence)
          writer.member("ledgerSequence", receipt.ledgerSequence)
        }
      )
    } catch {
      if case .refused(let detail, code: "version") = error {
        throw Problem(.preconditionFailed, "changed-meanwhile", detail)
      }
      throw Problem(error)
    }
  }

  private func body(of request: Request, _ context: ConsoleContext) async throws -> JSONValue {
    let mediaType = request.headers[.contentType] ?? ""
    guard mediaType.lowercased().split(separator: ";").first == "application/json" else {
      throw Problem(.unsupportedMediaType, "not-json", "send the change as application/json")
    }
    let buffer = try await request.body.collect(upTo: context.maxUploadSize)
    do {
      return try JSONValue(parsing: Array(buffer.readableBytesView))
    } catch {
      throw Problem(.badRequest, "malformed", "the body is not JSON: \(error)")
    }
  }

  private func actor(_ body: JSONValue, _ context: ConsoleContext) throws -> String {
    let actor = try context.actor(named: body["actor"]?.text)
    guard !actor.isEmpty, actor.count <= ActRoutes.maximumActor else {
      throw Problem(.unprocessableContent, "incomplete", "actor: who acts must be named")
    }
    return actor
  }
}

extension WeldingBoard.MachineRow {
  func write(to writer: inout JSONWriter) {
    writer.member("id", key)
    writer.member("enterprise", enterprise)
    writer.member("device", device)
    writer.member("path", path)
    writer.member("point", point)
    writer.member("name", name)
    writer.member("state", state)
    writer.member("code", entry?.code)
    writer.member("chip", entry?.chip)
    writer.member("registered", entry != nil)
    writer.member("barred", entry?.barred)
    writer.member("welder", welder)
    writer.member("welderName", welderName)
    writer.member("permit", permit)
    writer.member("releasedAt", releasedAt)
    writer.member("until", until)
    writer.member("weldingSince", weldingSince)
    writer.member("current", current)
    writer.member("currentAt", currentAt)
    writer.member("heard", heard)
    writer.member("longitude", position?.longitude)
    writer.member("latitude", position?.latitude)
    writer.key("alarms")
    writer.array(alarms) { writer, rule in writer.string(rule) }
  }
}

extension WeldingBoard.Entry {
  func write(to writer: inout JSONWriter) {
    writer.member("enterprise", enterprise)
    writer.member("id", id)
    writer.key("value")
    writer.raw(value.canonicalBytes())
  }
}

extension WeldingBoard.ScanRow {
  func write(to writer: inout JSONWriter) {
    writer.member("sequence", sequence)
    writer.member("time", time)
    writer.member("enterprise", enterprise)
    writer.member("device", device)
    writer.member("code", code)
    writer.member("welder", welder)
    writer.member("permit", permit)
    writer.member("answer", isAllowed ? "allow" : "deny")
    writer.key("reasons")
    writer.array(reasons) { writer, reason in writer.string(reason) }
  }
}
