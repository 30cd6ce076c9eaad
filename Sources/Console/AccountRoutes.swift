import Accounts
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Synchronization
import Telemetry

/// Accounts and machines' keys, for administrators.
///
/// Every change is in the ledger before it is in force; every look at the list is on record.
final class AccountRoutes: Sendable {
  private let access: ConsoleAccess
  private let audit: AuditTrail
  /// One change at a time: between its check and its being kept lies the ledger.
  private let isChanging = Mutex(false)

  init(access: ConsoleAccess, audit: AuditTrail) {
    self.access = access
    self.audit = audit
  }

  private struct ScopeBody: Decodable {
    var everywhere: Bool?
    var areas: Set<AreaCode>?
    var enterprises: Set<String>?

    var scope: Scope {
      everywhere == true
        ? .everywhere : Scope(areas: areas ?? [], enterprises: enterprises ?? [])
    }
  }

  private struct Body: Decodable {
    var id: String?
    var displayName: String
    var kind: Principal.Kind?
    var roles: Set<Role>
    var scope: ScopeBody
    var active: Bool?
  }

  private struct KeyBody: Decodable {
    var purpose: String
    var lifetimeDays: Int64?
  }

  /// `GET /api/v1/accounts`.
  func list(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service(context)
    try request.refuseOtherParameters(than: ["after", "limit"])
    let after = try request.parameter("after") ?? ""
    let limit = Int(try request.integer("limit", in: 1...500) ?? 100)
    try await audit.read("accounts", of: "*", by: context)
    let scope = try context.principal.scope
    let rest = service.accounts.filter { $0.id > after && scope.covers($0.scope) }
    let page = rest.prefix(limit)
    return Response(
      json: JSONWriter.object { writer in
        writer.key("accounts")
        writer.array(Array(page)) { writer, account in writer.object(account.write) }
        writer.member("next", rest.count > limit ? page.last?.id : nil)
      }
    )
  }

  /// `GET /api/v1/accounts/{id}`.
  func one(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let account = try account(context, of: try service(context))
    try await audit.read("account", of: account.id, by: context)
    return answer(account)
  }

  /// `POST /api/v1/accounts`.
  func create(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service(context)
    let body = try await request.json(Body.self, context)
    guard let id = body.id else { throw Problem(.unprocessableContent, "incomplete", "id: needed") }
    let draft = Self.draft(body, id: id)
    try refuseWider(draft.scope, context)
    return try await changing {
      let account = try await Problem.translating {
        try service.create(draft, now: WallClock.now().milliseconds)
      }
      try await keep(account, "account.created", service, context)
      return answer(account, status: .created)
    }
  }

  /// `PUT /api/v1/accounts/{id}`, with If-Match.
  func replace(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service(context)
    let current = try account(context, of: service)
    guard let tag = request.headers[.ifMatch] else {
      throw Problem(
        .preconditionRequired,
        "if-match",
        "send the ETag of the account that you have seen as If-Match"
      )
    }
    guard tag == Self.tag(current) else {
      throw Problem(AccountError.changedMeanwhile(version: current.version))
    }
    let body = try await request.json(Body.self, context)
    guard body.id == nil || body.id == current.id else {
      throw Problem(.unprocessableContent, "invalid", "id: cannot be changed")
    }
    guard try current.id != context.principal.subject else {
      throw Problem(.forbidden, "own-account", "nobody changes his own roles or scope")
    }
    var draft = Self.draft(body, id: current.id)
    draft.kind = body.kind ?? current.kind
    try refuseWider(draft.scope, context)
    return try await changing { [draft] in
      let account = try await Problem.translating {
        try service.change(draft, from: current.version, now: WallClock.now().milliseconds)
      }
      try await keep(
        account,
        account.isActive ? "account.changed" : "account.closed",
        service,
        context
      )
      return answer(account)
    }
  }

  /// `POST /api/v1/accounts/{id}/link`: a one-time link for the account's owner to sign in and set a password.
  func link(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service(context)
    let account = try account(context, of: service)
    let now = WallClock.now().milliseconds
    _ = try await audit.change("account.link", account, by: try context.principal.subject)
    let secret = try await Problem.translating {
      try await BlockingWork.run { try service.invite(account.id, now: now) }
    }
    return Response(
      json: JSONWriter.object { writer in
        writer.member("account", account.id)
        writer.member("path", "/sign-in#link=" + secret.text)
        writer.member("expires", now + service.options.invitationLifetime)
      },
      status: .created
    )
  }

  /// `GET /api/v1/accounts/{id}/keys`.
  func keys(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service(context)
    let account = try account(context, of: service)
    return Response(
      json: JSONWriter.object { writer in
        writer.key("keys")
        writer.array(service.keys(of: account.id)) { writer, key in writer.object(key.write) }
      }
    )
  }

  /// `POST /api/v1/accounts/{id}/keys`: the key itself is in this answer and never again anywhere.
  func makeKey(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service(context)
    let account = try account(context, of: service)
    let body = try await request.json(KeyBody.self, context)
    let days = body.lifetimeDays ?? 365
    guard (1...3_650).contains(days), !body.purpose.isEmpty, body.purpose.count <= 100 else {
      throw Problem(
        .unprocessableContent,
        "invalid",
        "purpose: 1 to 100 characters; lifetimeDays: 1 to 3650"
      )
    }
    return try await changing {
      let made = try await Problem.translating {
        try service.makeKey(
          for: account.id,
          purpose: body.purpose,
          now: WallClock.now().milliseconds,
          lifetime: days * 86_400_000
        )
      }
      _ = try await audit.change(
        "key.made",
        account,
        by: try context.principal.subject,
        adding: [
          "key": .string(made.key.id), "purpose": .string(body.purpose),
          "expires": .integer(made.key.expires),
        ]
      )
      try await Problem.translating {
        try await BlockingWork.run { try service.keep(made.key, secret: made.secret) }
      }
      return Response(
        json: JSONWriter.object { writer in
          made.key.write(to: &writer)
          writer.member("text", made.text)
        },
        status: .created
      )
    }
  }

  /// `DELETE /api/v1/accounts/{id}/keys/{key}`.
  func removeKey(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    let service = try service(context)
    let account = try account(context, of: service)
    let id = try context.pathParameter("key")
    guard service.keys(of: account.id).contains(where: { $0.id == id }) else {
      throw Problem(.notFound, "unknown-key", "\(account.id) has no key \(id)")
    }
    // Taken out of force first: a key that has leaked must not live on because a disk is full.
    try await Problem.translating { try await BlockingWork.run { try service.removeKey(id) } }
    _ = try await audit.change(
      "key.removed",
      account,
      by: try context.principal.subject,
      adding: ["key": .string(id)]
    )
    return Response(status: .noContent)
  }

  // MARK: - Parts

  private func service(_ context: ConsoleContext) throws -> AccountService {
    guard case .accounts(let service) = access else { throw Problem.noAccounts }
    try context.require(.administrator)
    return service
  }

  private func account(_ context: ConsoleContext, of service: AccountService) throws -> Account {
    let id = try context.pathParameter("id")
    let scope = try context.principal.scope
    guard let account = service.account(id), scope.covers(account.scope) else {
      throw Problem(AccountError.unknownAccount(id))
    }
    return account
  }

  private func refuseWider(_ scope: Scope, _ context: ConsoleContext) throws {
    guard try context.principal.scope.covers(scope) else {
      throw Problem(.forbidden, "scope", "nobody gives a wider scope than his own")
    }
  }

  private func changing(
    _ work: () async throws -> Response
  ) async throws -> Response {
    let isFree = isChanging.withLock { changing in
      defer { changing = true }
      return !changing
    }
    guard isFree else {
      throw Problem(
        .conflict,
        "in-progress",
        "another account is being changed",
        retryAfter: 1
      )
    }
    defer { isChanging.withLock { $0 = false } }
    return try await work()
  }

  private func keep(
    _ account: Account,
    _ event: String,
    _ service: AccountService,
    _ context: ConsoleContext
  ) async throws {
    _ = try await audit.change(event, account, by: try context.principal.subject)
    try await Problem.translating { try await BlockingWork.run { try service.keep(account) } }
  }

  private func answer(_ account: Account, status: HTTPResponse.Status = .ok) -> Response {
    var response = Response(json: JSONWriter.object(account.write), status: status)
    response.headers[.eTag] = Self.tag(account)
    return response
  }

  private static func tag(_ account: Account) -> String { "\"\(account.version)\"" }

  private static func draft(_ body: Body, id: String) -> AccountDraft {
    AccountDraft(
      id: id,
      displayName: body.displayName,
      kind: body.kind ?? .person,
      roles: body.roles,
      scope: body.scope.scope,
      isActive: body.active ?? true
    )
  }
}

extension Account {
  /// Writes the account's members; there is no secret among them.
  func write(to writer: inout JSONWriter) {
    writer.member("id", id)
    writer.member("displayName", displayName)
    writer.member("kind", kind.rawValue)
    writer.member(roles: roles, scope: scope)
    writer.member("active", isActive)
    writer.member("hasPassword", hasPassword)
    writer.member("version", version)
    writer.member("created", created)
    writer.member("changed", changed)
  }
}

extension MachineKey {
  /// Writes the key's members, without the key.
  func write(to writer: inout JSONWriter) {
    writer.member("id", id)
    writer.member("account", account)
    writer.member("purpose", purpose)
    writer.member("created", created)
    writer.member("expires", expires)
  }
}
