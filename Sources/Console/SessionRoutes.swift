import Accounts
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// The door: signing in and out, one's own password, tokens for programs.
struct SessionRoutes: Sendable {
  let access: ConsoleAccess
  let audit: AuditTrail
  let cookie: SessionCookie
  let limiter: RateLimiter
  let counters: ConsoleCounters

  private struct SignIn: Decodable {
    var account: String?
    var password: String?
    var link: String?
  }

  private struct NewPassword: Decodable {
    var old: String?
    var new: String
  }

  private struct TokenRequest: Decodable {
    var lifetimeSeconds: Int64?
  }

  /// `POST /api/v1/session`: opens a session with account and password, or with a one-time link.
  func signIn(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service
    let address = context.address ?? "local"
    let now = WallClock.now().milliseconds
    if let wait = limiter.take(address, now: now) { throw Problem.tooMany(wait) }
    let body = try await request.json(SignIn.self, context)
    let opened: OpenedSession
    do {
      if let text = body.link, body.account == nil, body.password == nil {
        guard let link = Secret(text) else { throw AccountError.deadLink }
        opened = try await BlockingWork.run { try service.redeem(link, now: now) }
      } else if let account = body.account, let password = body.password, body.link == nil {
        opened = try await BlockingWork.run {
          try service.signIn(account: account, password: password, address: address, now: now)
        }
      } else {
        throw Problem(
          .unprocessableContent,
          "incomplete",
          "state account and password, or a one-time link"
        )
      }
    } catch let error as AccountError {
      counters.countSignIn(hasFailed: true)
      if case .wrongCredentials(hasLocked: true) = error, let account = body.account,
        service.account(account) != nil
      {
        audit.note("sign-in.locked", account: account, by: "engine", ["address": .string(address)])
      }
      throw Problem(error)
    }
    counters.countSignIn(hasFailed: false)
    audit.note(
      body.link == nil ? "sign-in" : "sign-in.link",
      account: opened.account.id,
      by: opened.account.id,
      ["address": .string(address)]
    )
    var response = Response(json: Self.json(opened.account.principal, account: opened.account))
    response.headers[.setCookie] = cookie.set(
      opened.secret,
      seconds: service.options.sessionLifetime / 1_000
    )
    return response
  }

  /// `GET /api/v1/session`: who one is.
  func session(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let principal = try context.principal
    var account: Account?
    if case .accounts(let service) = access { account = service.account(principal.subject) }
    return Response(json: Self.json(principal, account: account))
  }

  /// `DELETE /api/v1/session`: ends the session.
  func signOut(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service
    guard case .session(let secret)? = context.caller?.credential else {
      throw Problem(.conflict, "no-session", "a token or a key has no session to end")
    }
    try await Problem.translating {
      try await BlockingWork.run { try service.signOut(secret) }
    }
    let account = try context.principal.subject
    audit.note("sign-out", account: account, by: account)
    var response = Response(status: .noContent)
    response.headers[.setCookie] = cookie.cleared
    return response
  }

  /// `PUT /api/v1/session/password`: sets one's own password.
  func setPassword(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service
    let address = context.address ?? "local"
    let now = WallClock.now().milliseconds
    if let wait = limiter.take(address, now: now) { throw Problem.tooMany(wait) }
    let body = try await request.json(NewPassword.self, context)
    let account = try context.principal.subject
    guard case .session(let secret)? = context.caller?.credential else {
      throw Problem(.forbidden, "no-session", "a password is set in a session, not with a token")
    }
    try await Problem.translating {
      try await BlockingWork.run {
        try service.setPassword(
          of: account,
          old: body.old,
          new: body.new,
          session: secret,
          address: address,
          now: now
        )
      }
    }
    audit.note("password.set", account: account, by: account, ["address": .string(address)])
    return Response(status: .noContent)
  }

  /// `POST /api/v1/tokens`: a JSON Web Token that acts for the signed-in person for a while.
  func token(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service
    let principal = try context.principal
    guard case .session? = context.caller?.credential else {
      throw Problem(
        .forbidden,
        "no-session",
        "a token is given to a session, not to a token or key"
      )
    }
    let body = try await request.json(TokenRequest.self, context)
    let seconds = body.lifetimeSeconds ?? service.options.tokenLifetime / 1_000
    guard (1...service.options.tokenLifetime / 1_000).contains(seconds) else {
      throw Problem(
        .unprocessableContent,
        "lifetime",
        "lifetimeSeconds: 1 to \(service.options.tokenLifetime / 1_000)"
      )
    }
    let now = WallClock.now().milliseconds
    let token = try await Problem.translating {
      try await service.token(for: principal.subject, now: now, lifetime: seconds * 1_000)
    }
    audit.note(
      "token.given",
      account: principal.subject,
      by: principal.subject,
      ["expires": .integer(token.expires)]
    )
    return Response(
      json: JSONWriter.object { writer in
        writer.member("token", token.token)
        writer.member("expires", token.expires)
      },
      status: .created
    )
  }

  private var service: AccountService {
    get throws {
      guard case .accounts(let service) = access else { throw Problem.noAccounts }
      return service
    }
  }

  private static func json(_ principal: Principal, account: Account?) -> [UInt8] {
    JSONWriter.object { writer in
      writer.member("account", principal.subject)
      writer.member("displayName", principal.displayName)
      writer.member("kind", principal.kind.rawValue)
      writer.member(roles: principal.roles, scope: principal.scope)
      // Without accounts people name themselves in their acts.
      writer.member("open", account == nil)
      writer.member("hasPassword", account?.hasPassword ?? false)
    }
  }
}

/// The session's cookie: out of scripts' reach, sent to this server's own pages only.
struct SessionCookie: Sendable {
  /// Under TLS the name itself forbids that another host or an unencrypted page sets it.
  let isSecure: Bool

  var name: String { isSecure ? "__Host-davy-session" : "davy-session" }

  func set(_ secret: Secret, seconds: Int64) -> String {
    "\(name)=\(secret.text); Max-Age=\(seconds); \(attributes)"
  }

  var cleared: String { "\(name)=; Max-Age=0; \(attributes)" }

  private var attributes: String {
    "Path=/; HttpOnly; SameSite=Strict" + (isSecure ? "; Secure" : "")
  }
}

extension JSONWriter {
  /// Writes roles and scope, in an order that does not depend on chance.
  mutating func member(roles: Set<Role>, scope: Scope) {
    key("roles")
    array(roles.map(\.rawValue).sorted()) { writer, role in writer.string(role) }
    key("scope")
    object { writer in
      writer.member("everywhere", scope.isEverywhere)
      writer.key("areas")
      writer.array(scope.areas.map(\.description).sorted()) { writer, code in writer.string(code) }
      writer.key("enterprises")
      writer.array(scope.enterprises.sorted()) { writer, id in writer.string(id) }
    }
  }
}

extension Problem {
  static let noAccounts = Problem(.notFound, "no-accounts", "this console has no accounts")

  static func tooMany(_ milliseconds: Int64) -> Problem {
    Problem(
      .tooManyRequests,
      "too-many-requests",
      "too many requests; wait a moment",
      retryAfter: Int((milliseconds + 999) / 1_000)
    )
  }

  init(_ error: AccountError) {
    let detail = error.description
    self =
      switch error {
      case .wrongCredentials: Problem(.forbidden, "wrong-credentials", detail)
      case .deadLink: Problem(.forbidden, "dead-link", detail)
      case .locked(let milliseconds):
        Problem(
          .tooManyRequests,
          "locked",
          detail,
          retryAfter: Int((milliseconds + 999) / 1_000)
        )
      case .busy: Problem(.serviceUnavailable, "busy", detail, retryAfter: 1)
      case .unknownAccount: Problem(.notFound, "unknown-account", detail)
      case .exists: Problem(.conflict, "exists", detail)
      case .changedMeanwhile: Problem(.preconditionFailed, "changed-meanwhile", detail)
      case .invalid: Problem(.unprocessableContent, "invalid", detail)
      case .weakPassword: Problem(.unprocessableContent, "weak-password", detail)
      case .store:
        Problem(
          .serviceUnavailable,
          "accounts-store",
          "the accounts' store cannot be used; see the station's log",
          retryAfter: 5
        )
      }
  }

  /// Runs work on accounts and says its failures as problems.
  static func translating<Answer>(
    _ work: () async throws -> Answer
  ) async throws -> Answer {
    do {
      return try await work()
    } catch let error as AccountError {
      throw Problem(error)
    }
  }
}

extension Request {
  /// The body as JSON of a type; says which member is wrong when it is not.
  func json<Body: Decodable>(_ type: Body.Type, _ context: ConsoleContext) async throws -> Body {
    let mediaType = headers[.contentType] ?? ""
    guard mediaType.lowercased().split(separator: ";").first == "application/json" else {
      throw Problem(.unsupportedMediaType, "not-json", "send the body as application/json")
    }
    let buffer = try await body.collect(upTo: context.maxUploadSize)
    do {
      return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
    } catch {
      throw Problem(.badRequest, "malformed", "the body: \(Self.words(for: error))")
    }
  }

  private static func words(for error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "\(key.stringValue) is missing"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.dataCorrupted(let context):
      "\(context.codingPath.map(\.stringValue).joined(separator: ".")): \(context.debugDescription)"
    default: "it is not valid JSON"
    }
  }
}
