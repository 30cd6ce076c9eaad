import Accounts
import DeviceCatalog
import HTTPTypes
import HazardLedger
import Hummingbird
import NIOCore
import Synchronization

/// Who a request comes from, and what of this station that comes to.
struct Caller: Sendable {
  var principal: Principal
  /// What the principal is told by the streams, under the catalog in force.
  var streamScope: StreamScope
  /// What it showed, to be shown again by what lasts longer than a request.
  var credential: Credential = .none

  /// The principal's scope under the catalog in force: hand it to every query.
  var scope: LedgerScope { streamScope.ledger }
}

/// A request's context: who calls, from where, and the size limit of a body.
///
/// Routes below `/api/` are reached by signed-in callers only, so ``principal`` and ``scope`` can be relied on there:
///
///     try context.require(.county, .sector)
///     guard try context.scope.includes(path: point) else { throw Problem.unknown(point) }
struct ConsoleContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// Who calls; nil before sign-in.
  var caller: Caller?
  /// Address of the other end; nil where there is no socket.
  let address: String?
  /// The connection.
  let channel: any Channel
  /// True where there are no accounts and people name themselves.
  var isOpen = false

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    address = source.channel.remoteAddress?.ipAddress
    channel = source.channel
  }

  var maxUploadSize: Int { 16_384 }

  /// Who calls.
  ///
  /// - Throws: a problem 401 when nobody has signed in.
  var principal: Principal { get throws { try signedIn.principal } }

  /// Which enterprises' rows the caller may see.
  ///
  /// - Throws: a problem 401 when nobody has signed in.
  var scope: LedgerScope { get throws { try signedIn.scope } }

  /// Ends the request with 403 unless the caller has one of the roles.
  func require(_ roles: Role...) throws { try require(Set(roles)) }

  /// Ends the request with 403 unless the caller has one of the roles.
  func require(_ roles: Set<Role>) throws {
    let principal = try principal
    guard principal.roles.isDisjoint(with: roles) else { return }
    let names = roles.map(\.rawValue).sorted().joined(separator: ", ")
    throw Problem(.forbidden, "role", "this needs one of the roles \(names)")
  }

  /// Ends the request with 403 unless the caller sees the whole station, or has one of the roles.
  func requireWholeStation(or roles: Role...) throws {
    guard try scope != .everything, try principal.roles.isDisjoint(with: roles) else { return }
    throw Problem(.forbidden, "scope", "this tells of the whole station, beyond your scope")
  }

  /// Ends the request as if the thing were not there when a path lies outside the caller's scope, so that a stranger
  /// cannot even learn that it exists.
  func requireInScope(path: String, else problem: Problem) throws {
    guard try scope.includes(path: path) else { throw problem }
  }

  /// Who acts, as the ledger will name it: the signed-in account.
  ///
  /// Only a console without accounts goes by the name that the request gives. With accounts it may be left out, or must
  /// be the account's own id or name: nobody signs for somebody else.
  func actor(named name: String?) throws -> String {
    let principal = try principal
    guard let name, !name.isEmpty else { return principal.subject }
    if isOpen {
      let named = try ActRoutes.text(name, "actor", atMost: ActRoutes.maximumActor)
      guard !named.isEmpty else {
        throw Problem(.unprocessableContent, "incomplete", "actor: who acts must be named")
      }
      return named
    }
    guard name == principal.subject || name == principal.displayName else {
      throw Problem(
        .forbidden,
        "actor",
        "actor: you are signed in as \(principal.displayName) and cannot act for \(name)"
      )
    }
    return principal.subject
  }

  /// Ends the request with 403 unless the caller may see everything.
  func requireEverything(_ why: String) throws {
    guard try scope == .everything else { throw Problem(.forbidden, "scope", why) }
  }

  /// Who calls, with what it showed.
  ///
  /// - Throws: a problem 401 when nobody has signed in.
  var signedIn: Caller {
    get throws {
      guard let caller else { throw Problem.signIn }
      return caller
    }
  }
}

extension Problem {
  /// Nobody has signed in.
  static let signIn = Problem(
    .unauthorized,
    "sign-in",
    "sign in first: POST /api/v1/session, or send a token or an API key as Authorization: Bearer"
  )
}

/// Finds out what a principal's scope comes to under a catalog; remembered, because every request asks.
final class ScopeResolver: Sendable {
  private struct Known {
    var catalog = ""
    var scopes: [Scope: StreamScope] = [:]
  }

  /// Scopes remembered; there are as many as there are different accounts, so it is seldom reached.
  private static let capacity = 10_000
  private let known = Mutex(Known())

  func resolve(_ scope: Scope, in catalog: @autoclosure () -> Catalog, version: String)
    -> StreamScope
  {
    if scope.isEverywhere { return StreamScope(ledger: .everything) }
    let remembered = known.withLock { known in
      known.catalog == version ? known.scopes[scope] : nil
    }
    if let remembered { return remembered }
    // Enterprises named by id count also when the catalog no longer holds them: the ledger still does.
    let enterprises = catalog().enterprises
    let ids = scope.enterprises.union(
      enterprises.filter { scope.includes(enterprise: $0.id, area: $0.administrativeCode) }
        .map(\.id)
    )
    let resolved = StreamScope(
      ledger: .enterprises(ids),
      areas: Self.areas(of: scope, ids, among: enterprises)
    )
    known.withLock { known in
      if known.catalog != version || known.scopes.count >= Self.capacity {
        known = Known(catalog: version)
      }
      known.scopes[scope] = resolved
    }
    return resolved
  }

  /// The areas that lie in a scope as a whole.
  ///
  /// A single enterprise is no area: its own people are not the area's supervisors, also where it is the only one there.
  /// Codes as they are written are among them: by these, older entries tell of floods.
  private static func areas(
    of scope: Scope,
    _ ids: Set<String>,
    among enterprises: [Enterprise]
  ) -> Set<String> {
    var members: [String: [String]] = [:]
    for enterprise in enterprises {
      guard let written = enterprise.administrativeCode else { continue }
      for code in Set(enterprise.administrativeAreas + [written]) {
        members[code, default: []].append(enterprise.id)
      }
    }
    return Set(
      members.filter { code, members in
        AreaCode(code).map(scope.includes(area:)) ?? false
          || members.count > 1 && ids.isSuperset(of: members)
      }.keys
    )
  }
}
