import HTTPTypes
import Hummingbird

/// Adds the headers that keep the pages to themselves, to every answer.
struct SecurityHeaders: RouterMiddleware {
  typealias Context = ConsoleContext

  /// Under TLS a browser is told never to come without.
  let isEncrypted: Bool

  /// Nothing but what this server serves: no inline script or style, no other origin, no frame.
  static let policy =
    "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
    + "form-action 'self'"

  func handle(
    _ request: Request,
    context: ConsoleContext,
    next: @concurrent (Request, ConsoleContext) async throws -> Response
  ) async throws -> Response {
    var response = try await next(request, context)
    response.headers[.contentSecurityPolicy] = Self.policy
    response.headers[.xContentTypeOptions] = "nosniff"
    response.headers[.named("X-Frame-Options")] = "DENY"
    response.headers[.named("Referrer-Policy")] = "no-referrer"
    response.headers[.named("Cross-Origin-Opener-Policy")] = "same-origin"
    response.headers[.named("Cross-Origin-Resource-Policy")] = "same-origin"
    response.headers[.named("Permissions-Policy")] = "camera=(), geolocation=(), microphone=()"
    if isEncrypted {
      response.headers[.strictTransportSecurity] = "max-age=31536000"
    }
    if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
    return response
  }
}

/// Refuses requests that a foreign page could have made with a person's browser.
///
/// A console on loopback is reachable by every page that the same browser shows: by a name that
/// resolves to 127.0.0.1 (DNS rebinding), or by posting blindly, with the session's cookie if the browser sends it. The Host must
/// therefore be one of ours, and an Origin, where there is one, must be the Host.
struct OriginGuard: RouterMiddleware {
  typealias Context = ConsoleContext

  let allowedHosts: Set<String>

  init(extra: [String]) {
    allowedHosts = Set(["localhost", "127.0.0.1", "[::1]"] + extra.map { $0.lowercased() })
  }

  func handle(
    _ request: Request,
    context: ConsoleContext,
    next: @concurrent (Request, ConsoleContext) async throws -> Response
  ) async throws -> Response {
    let authority = request.head.authority ?? ""
    guard allowedHosts.contains(Self.host(of: authority)) else {
      throw Problem(
        .misdirectedRequest,
        "foreign-host",
        "this console does not answer to the host name \(authority)"
      )
    }
    if let origin = request.headers[.origin] {
      guard origin == "http://" + authority || origin == "https://" + authority else {
        throw Problem(.forbidden, "foreign-origin", "requests from \(origin) are not accepted")
      }
    }
    if let site = request.headers[.named("Sec-Fetch-Site")] {
      let isPage =
        request.method == .get && request.headers[.named("Sec-Fetch-Mode")] == "navigate"
      guard site == "same-origin" || site == "none" || isPage else {
        throw Problem(.forbidden, "foreign-origin", "requests from another site are not accepted")
      }
    }
    return try await next(request, context)
  }

  /// The host of an authority, without its port, in lower case.
  static func host(of authority: String) -> String {
    let text = authority.lowercased()
    if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
      return String(text[...end])
    }
    return String(text.prefix { $0 != ":" })
  }
}

extension HTTPField.Name {
  /// A header that has no constant; the names used are literals of this module.
  static func named(_ name: String) -> HTTPField.Name {
    guard let field = HTTPField.Name(name) else { preconditionFailure("no header name: \(name)") }
    return field
  }
}
