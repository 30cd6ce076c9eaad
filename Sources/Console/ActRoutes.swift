import Accounts
import Foundation
import HTTPTypes
import Hummingbird
import Station
import Telemetry

/// `POST /api/v1/alarms/{id}/acts`.
struct ActRoutes: Sendable {
  let station: any StationAccess
  let options: ConsoleOptions
  let answers = IdempotencyStore()

  /// The longest name and the longest reason that are taken, in characters.
  static let maximumActor = 64
  static let maximumReason = 500

  private struct Body: Decodable {
    var act: String
    var actor: String?
    var reason: String?
    var until: Int64?
  }

  func respond(to request: Request, context: ConsoleContext) async throws -> Response {
    let alarm = try context.pathParameter("id")
    try context.requireInScope(
      path: alarm,
      else: Problem(.notFound, "unknown-alarm", "the ledger has no alarm \(alarm)")
    )
    let mediaType = request.headers[.contentType] ?? ""
    guard mediaType.lowercased().split(separator: ";").first == "application/json" else {
      throw Problem(
        .unsupportedMediaType,
        "not-json",
        "send the act as application/json"
      )
    }
    let key = try IdempotencyStore.key(of: request, context)
    let buffer = try await request.body.collect(upTo: context.maxUploadSize)
    let bytes = Array(buffer.readableBytesView)
    let act = try parse(bytes, alarm: alarm, context: context)
    let body = try await answers.once(key, fingerprint: Array(alarm.utf8) + [0] + bytes) {
      try await submit(act)
    }
    return Response(json: body)
  }

  private func submit(_ act: OperatorAct) async throws -> [UInt8] {
    do throws(ActError) {
      let receipt = try await station.submit(act)
      return JSONWriter.object { writer in
        writer.member("alarm", act.alarm)
        writer.member("act", act.kind.rawValue)
        writer.member("journalSequence", receipt.journalSequence)
        writer.member("ledgerSequence", receipt.ledgerSequence)
      }
    } catch {
      throw Problem(error)
    }
  }

  private func parse(
    _ bytes: [UInt8],
    alarm: String,
    context: ConsoleContext
  ) throws -> OperatorAct {
    let body: Body
    do {
      body = try JSONDecoder().decode(Body.self, from: Data(bytes))
    } catch {
      throw Problem(
        .badRequest,
        "malformed",
        "the body is not an act: \(Self.words(for: error))"
      )
    }
    guard let kind = OperatorAct.Kind(rawValue: body.act) else {
      let kinds = OperatorAct.Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw Problem(.unprocessableContent, "unknown-act", "act must be one of \(kinds)")
    }
    try context.require(kind.roles)
    let named = try body.actor.map { try Self.text($0, "actor", atMost: Self.maximumActor) }
    // An open console knows nobody: there a name is needed.
    if context.isOpen, named == nil {
      throw Problem(.badRequest, "malformed", "the body is not an act: actor is missing")
    }
    let actor = named == "" ? "" : try context.actor(named: named)
    let reason = try Self.text(body.reason ?? "", "reason", atMost: Self.maximumReason)
    guard !actor.isEmpty else {
      throw Problem(.unprocessableContent, "incomplete", "actor: who acts must be named")
    }
    if kind.needsReason, reason.isEmpty {
      throw Problem(
        .unprocessableContent,
        "incomplete",
        "reason: \(kind.rawValue) needs a reason"
      )
    }
    var until: Timestamp?
    if kind == .shelve {
      guard let end = body.until else {
        throw Problem(.unprocessableContent, "incomplete", "until: shelving needs an end")
      }
      let left = end.subtractingReportingOverflow(WallClock.now().milliseconds).partialValue
      let limit = options.maximumShelving.components.seconds
      guard left > 0, left <= limit * 1_000 + 60_000 else {
        throw Problem(
          .unprocessableContent,
          "shelving-limit",
          "until: must lie ahead, at most \(limit / 60) minutes"
        )
      }
      until = Timestamp(milliseconds: end)
    } else if body.until != nil {
      throw Problem(.unprocessableContent, "not-applicable", "until: only shelve has an end")
    }
    return OperatorAct(kind: kind, alarm: alarm, actor: actor, reason: reason, until: until)
  }

  /// What a person has written, without white space around it.
  ///
  /// - Throws: a problem 422 where it is too long or holds control characters.
  static func text(_ text: String, _ name: String, atMost limit: Int) throws -> String {
    let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard trimmed.count <= limit, trimmed.utf8.count <= 4 * limit else {
      throw Problem(.unprocessableContent, "too-long", "\(name): at most \(limit) characters")
    }
    let isPlain = trimmed.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
    guard isPlain else {
      throw Problem(
        .unprocessableContent,
        "control-characters",
        "\(name): control characters are not accepted"
      )
    }
    return trimmed
  }

  private static func words(for error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "\(key.stringValue) is missing"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      "\(context.codingPath.map(\.stringValue).joined(separator: ".")): \(context.debugDescription)"
    default: "it is not valid JSON"
    }
  }
}

extension OperatorAct.Kind {
  /// Who may do it.
  ///
  /// What silences an alarm is not for the enterprise that it warns of, unless by its operators.
  var roles: Set<Role> {
    switch self {
    case .acknowledge, .reset, .note:
      [.operator, .dutyOfficer, .enterprise, .county, .sector, .city]
    case .shelve, .shelveOnce, .unshelve, .removeFromService, .returnToService:
      [.operator, .dutyOfficer, .county, .sector, .city]
    }
  }

  /// Acknowledging needs only a name; whatever silences an alarm needs a reason as well.
  var needsReason: Bool {
    switch self {
    case .acknowledge, .reset, .unshelve, .returnToService: false
    case .shelve, .shelveOnce, .removeFromService, .note: true
    }
  }
}
