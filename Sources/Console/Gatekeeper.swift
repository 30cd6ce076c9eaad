public import Accounts
import DeviceCatalog
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import Station
import Telemetry

/// Who may come in.
public enum ConsoleAccess: Sendable {
  /// People sign in; programs send a token or a key.
  case accounts(AccountService)
  /// Everybody who reaches the console is this principal and names himself in his acts: for trials on loopback only.
  case open(as: Principal)

  /// What a console without accounts takes its visitors for: every part in every alarm, of one machine.
  public static let openToThisMachine = ConsoleAccess.open(
    as: Principal(
      subject: "local",
      displayName: "Local console",
      roles: Set(Role.allCases).subtracting([.enterprise, .monitor]),
      scope: .everywhere
    )
  )
}

/// What a request showed of itself.
enum Credential: Hashable, Sendable {
  /// Nothing was needed.
  case none
  /// A browser's cookie.
  case session(Secret)
  /// A token or a machine's key.
  case bearer(String)
}

/// Knows callers by what they show, again and again: a stream that stays open for days asks as well.
final class Gatekeeper: Sendable {
  let access: ConsoleAccess
  private let station: any StationAccess
  private let resolver = ScopeResolver()

  init(access: ConsoleAccess, station: any StationAccess) {
    self.access = access
    self.station = station
  }

  /// Who shows this; nil when it is worth nothing (any more).
  func caller(showing credential: Credential) async -> Caller? {
    let principal: Principal
    switch (access, credential) {
    case (.open(let everybody), _): principal = everybody
    case (.accounts, .none): return nil
    case (.accounts(let service), .session(let secret)):
      guard let found = service.authenticate(session: secret, now: WallClock.now().milliseconds)
      else { return nil }
      principal = found.principal
    case (.accounts(let service), .bearer(let text)):
      let found = await service.authenticate(bearer: text, now: WallClock.now().milliseconds)
      guard let found else { return nil }
      principal = found.principal
    }
    let catalog = station.catalog
    let scope = resolver.resolve(principal.scope, in: catalog, version: catalog.version)
    return Caller(principal: principal, streamScope: scope, credential: credential)
  }

  /// What a request shows: a program's header goes before a browser's cookie.
  static func credential(of request: Request, cookie: String) -> Credential {
    if let header = request.headers[.authorization] {
      let parts = header.split(separator: " ", maxSplits: 1)
      if parts.count == 2, parts[0].lowercased() == "bearer" { return .bearer(String(parts[1])) }
      return .none
    }
    if let secret = request.cookies[cookie].flatMap({ Secret($0.value) }) {
      return .session(secret)
    }
    return .none
  }
}

/// Lets nobody on whom the gatekeeper does not know, but to what is public.
///
/// What is public is a list of whole paths; everything else, also what does not exist, needs a caller. Routes ask
/// ``ConsoleContext/scope`` besides, so that a hole here would still not be one there.
struct SignInMiddleware: RouterMiddleware {
  typealias Context = ConsoleContext

  let gatekeeper: Gatekeeper
  /// Name of the session's cookie.
  let cookie: String
  let publicPaths: Set<String>
  /// What a caller, or an address before sign-in, may ask of the API in a second; nil for no limit.
  let limiter: RateLimiter?

  /// What a machine that only watches the service may ask for.
  private static let watched: Set<String> = ["/metrics", "/api/v1/status", "/api/v1/session"]

  func handle(
    _ request: Request,
    context: ConsoleContext,
    next: @concurrent (Request, ConsoleContext) async throws -> Response
  ) async throws -> Response {
    var context = context
    let credential = Gatekeeper.credential(of: request, cookie: cookie)
    context.caller = await gatekeeper.caller(showing: credential)
    if case .open = gatekeeper.access { context.isOpen = true }
    let path = request.uri.path
    // What is public costs little and counts for nobody: a duty room's screens share an account or an address, each
    // page has many parts, and a page that lacks one of them shows no alarm.
    if !context.isOpen, !publicPaths.contains(path), let limiter {
      let caller = context.caller?.principal.subject ?? "address " + (context.address ?? "")
      if let wait = limiter.take(caller, now: WallClock.now().milliseconds) {
        throw Problem.tooMany(wait)
      }
    }
    if path == "/api/v1/session", request.method == .post {
      // The door itself; a page of another site must not sign anybody in either.
      return try await next(request, context)
    }
    if !publicPaths.contains(path) {
      guard let caller = context.caller else { throw Problem.signIn }
      if caller.principal.roles == [.monitor], !Self.watched.contains(path) {
        throw Problem(.forbidden, "role", "a monitor may ask for metrics and status only")
      }
      if caller.principal.roles == [.relay], path != "/api/v1/relay/items",
        path != "/api/v1/session"
      {
        throw Problem(.forbidden, "role", "a station below may pass on and nothing else")
      }
      if case .session = credential { try Self.refuseForgery(request) }
    }
    return try await next(request, context)
  }

  /// A browser says where an act comes from; one with a cookie and without a word of that is not taken.
  static func refuseForgery(_ request: Request) throws {
    guard ![.get, .head, .options].contains(request.method) else { return }
    // ``OriginGuard`` has looked at both; here it is enough that one of them is there.
    guard
      request.headers[.origin] != nil || request.headers[.named("Sec-Fetch-Site")] != nil
    else {
      throw Problem(
        .forbidden,
        "no-origin",
        "a browser's session acts with an Origin header only; programs use a token or a key"
      )
    }
  }
}
