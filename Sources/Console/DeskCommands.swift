import Accounts
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Takes the acts of people on hazards, call-outs, clocks and silences, and puts them into the station's inputs.
///
/// The body is a JSON object in the desk's own words; who acts and in which role is put in here.
struct DeskCommands: Sendable {
  let station: any StationAccess
  let answers = IdempotencyStore()

  /// The longest body that is taken: a report of 10,000 characters and what belongs to it.
  static let maximumBody = 65_536

  /// Submits the request's body as an input of the desk.
  ///
  /// - Parameters:
  ///   - request: a POST with a JSON object.
  ///   - context: its context.
  ///   - verb: the desk's word for it.
  ///   - fixed: members that the address decides.
  ///   - place: path of what is acted on; nil takes the body's `place` or `path`.
  ///   - status: the answer's when it is in the ledger.
  ///   - kind: what kind of input it becomes.
  ///   - isOfHazard: an act of a hazard's loop, for which operators do not stand in.
  ///   - check: what else has to hold of the act, once it is known who acts; throws the problem.
  ///   - answer: what is answered besides the sequences.
  /// - Returns: journal and ledger sequence of the act.
  /// - Throws: the problem, when it was refused or could not be read.
  func respond(
    to request: Request,
    _ context: ConsoleContext,
    verb: String,
    fixed: [String: HazardLedger.JSONValue] = [:],
    at place: String? = nil,
    status: HTTPResponse.Status = .ok,
    kind: DeskInput.Kind = .command,
    isOfHazard: Bool = false,
    check: ([String: HazardLedger.JSONValue]) async throws -> Void = { _ in },
    answer: @escaping @Sendable (inout JSONWriter, ActReceipt) -> Void = { _, _ in }
  ) async throws -> Response {
    let mediaType = request.headers[.contentType] ?? ""
    guard mediaType.lowercased().split(separator: ";").first == "application/json" else {
      throw Problem(.unsupportedMediaType, "not-json", "send the act as application/json")
    }
    let buffer = try await request.body.collect(upTo: Self.maximumBody)
    let bytes = Array(buffer.readableBytesView)
    var members = try Self.object(bytes)
    members.merge(fixed) { _, fixed in fixed }
    try context.identify(
      &members,
      at: place ?? members["place"]?.text ?? members["path"]?.text,
      isOfHazard: isOfHazard
    )
    try await check(members)
    let key = try IdempotencyStore.key(of: request, context)
    let payload = HazardLedger.JSONValue.object(members).canonicalBytes()
    let body = try await answers.once(key, fingerprint: Array(verb.utf8) + [0] + payload) {
      try await submit(verb, payload, kind, answer)
    }
    return Response(json: body, status: status)
  }

  /// Submits an act that was made up here.
  func submit(
    _ verb: String,
    _ payload: [UInt8],
    _ kind: DeskInput.Kind = .command,
    _ answer: (inout JSONWriter, ActReceipt) -> Void
  ) async throws -> [UInt8] {
    do throws(ActError) {
      let receipt = try await station.submit(
        DeskInput(kind: kind, desk: "hazards", verb: verb, payload: payload)
      )
      return JSONWriter.object { writer in
        writer.member("journalSequence", receipt.journalSequence)
        writer.member("ledgerSequence", receipt.ledgerSequence)
        answer(&writer, receipt)
      }
    } catch {
      throw Self.problem(error)
    }
  }

  /// The body as an object.
  static func object(_ bytes: [UInt8]) throws -> [String: HazardLedger.JSONValue] {
    let json: HazardLedger.JSONValue
    do throws(JSONSyntaxError) {
      json = try HazardLedger.JSONValue(parsing: bytes)
    } catch {
      throw Problem(.badRequest, "malformed", "the body is not JSON: \(error.description)")
    }
    guard let members = json.members else {
      throw Problem(.badRequest, "malformed", "the body must be a JSON object")
    }
    return members
  }

  /// What an act's refusal is in HTTP: 403 for who, 404 for what is not there, 409 for what does not hold.
  static func problem(_ error: ActError) -> Problem {
    guard case .refused(let detail, let code) = error else { return Problem(error) }
    let status: HTTPResponse.Status =
      switch code {
      case "role", "scope": .forbidden
      case "version": .preconditionFailed
      case _ where code.hasPrefix("unknown-"): .notFound
      default: .conflict
      }
    return Problem(status, "refused-" + code, detail)
  }
}

extension ConsoleContext {
  /// Puts into an act who does it and in which role.
  ///
  /// - Parameters:
  ///   - members: the act; `actor` and `role` are checked against the account, and filled in where it has but one role
  ///     that takes part in hazards.
  ///   - place: path of what is acted on; for an enterprise's person the desk holds the act to it.
  ///   - isOfHazard: an act of a hazard's loop, for which operators do not stand in.
  /// - Throws: a problem 401, 403 or 422.
  func identify(
    _ members: inout [String: HazardLedger.JSONValue],
    at place: String?,
    isOfHazard: Bool = false
  ) throws {
    let actor = try actor(named: members["actor"]?.text)
    members["actor"] = .string(actor)
    let role = try hazardRole(named: members["role"]?.text, standsIn: !isOfHazard)
    members["role"] = .string(role.rawValue)
    if let place {
      guard !place.isEmpty else {
        throw Problem(.unprocessableContent, "incomplete", "path: must not be empty")
      }
      try requireInScope(
        path: place,
        else: Problem(.forbidden, "scope", "\(place) is not in your share")
      )
      members["enterprise"] = .string(LedgerScope.enterprise(ofPath: place))
    }
  }

  /// The role of the workflow in which the caller acts.
  private func hazardRole(named name: String?, standsIn: Bool) throws -> HazardRole {
    let roles = try principal.roles
    // Whoever leads call-outs does so for the county's office; an operator may be the enterprise's, and judges no hazard.
    var own = Set(roles.compactMap { HazardRole(rawValue: $0.rawValue) })
    if standsIn, own.isEmpty, roles.contains(.dutyOfficer) || roles.contains(.operator) {
      own = [.county]
    }
    if let name, !name.isEmpty {
      guard let role = HazardRole(rawValue: name), role != .engine else {
        let names = HazardRole.allCases.filter { $0 != .engine }.map(\.rawValue)
        throw Problem(
          .unprocessableContent,
          "incomplete",
          "role: must be one of \(names.joined(separator: ", "))"
        )
      }
      // Where people name themselves on a console of their own, they name their part as well.
      let namesFreely = try isOpen && principal.scope.isEverywhere
      guard namesFreely || own.contains(role) else {
        throw Problem(.forbidden, "role", "your account does not have the role \(name)")
      }
      return role
    }
    guard own.count == 1, let role = own.first else {
      throw Problem(
        .unprocessableContent,
        "incomplete",
        own.isEmpty
          ? "role: your account has no part in hazards" : "role: must be named, you have several"
      )
    }
    return role
  }
}
