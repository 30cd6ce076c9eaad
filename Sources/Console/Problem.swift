import HTTPTypes
import Hummingbird
import Logging

/// An error as the API tells it: RFC 9457 problem details.
struct Problem: Error, Sendable {
  /// HTTP status.
  var status: HTTPResponse.Status
  /// A stable word for programs; the problem's type is `urn:davy:problem:` and this word.
  var kind: String
  /// What went wrong in this case, and where possible what to do about it.
  var detail: String
  /// Seconds after which to try again.
  var retryAfter: Int?
  /// Methods that the resource does answer.
  var allow: String?
  /// Journal sequence of an act that may still take effect.
  var journalSequence: UInt64?

  /// Makes a problem.
  init(
    _ status: HTTPResponse.Status,
    _ kind: String,
    _ detail: String,
    retryAfter: Int? = nil,
    allow: String? = nil,
    journalSequence: UInt64? = nil
  ) {
    self.status = status
    self.kind = kind
    self.detail = detail
    self.retryAfter = retryAfter
    self.allow = allow
    self.journalSequence = journalSequence
  }

  /// A parameter that cannot be understood.
  static func parameter(_ name: String, _ detail: String) -> Problem {
    Problem(.badRequest, "invalid-parameter", "\(name): \(detail)")
  }

  /// The problem's details, RFC 9457.
  var json: [UInt8] {
    JSONWriter.object { writer in
      writer.member("type", "urn:davy:problem:" + kind)
      writer.member("title", status.reasonPhrase)
      writer.member("status", status.code)
      writer.member("detail", detail)
      if let journalSequence { writer.member("journalSequence", journalSequence) }
    }
  }

  /// The problem as a response.
  var response: Response {
    var response = Response(
      status: status,
      headers: [.contentType: "application/problem+json", .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: json))
    )
    if let retryAfter { response.headers[.retryAfter] = String(retryAfter) }
    if let allow { response.headers[.allow] = allow }
    return response
  }
}

/// Turns every error of a route into problem details, so that no answer is ever a bare status.
struct ProblemMiddleware: RouterMiddleware {
  typealias Context = ConsoleContext

  let counters: ConsoleCounters

  func handle(
    _ request: Request,
    context: ConsoleContext,
    next: @concurrent (Request, ConsoleContext) async throws -> Response
  ) async throws -> Response {
    do {
      let response = try await next(request, context)
      counters.countRequest(status: response.status.code)
      return response
    } catch {
      let problem = Self.problem(for: error, request: request, context: context)
      counters.countRequest(status: problem.status.code)
      return problem.response
    }
  }

  private static func problem(
    for error: any Error,
    request: Request,
    context: ConsoleContext
  ) -> Problem {
    if let problem = error as? Problem { return problem }
    if let error = error as? any HTTPResponseError {
      switch error.status {
      case .notFound:
        return Problem(.notFound, "not-found", "there is nothing at \(request.uri.path)")
      case .contentTooLarge:
        return Problem(
          .contentTooLarge,
          "too-large",
          "the body is larger than the \(context.maxUploadSize) bytes that are accepted"
        )
      default:
        return Problem(error.status, "request", error.status.reasonPhrase)
      }
    }
    context.logger.error(
      "a request failed",
      metadata: [
        "method": "\(request.method.rawValue)", "path": "\(request.uri.path)", "error": "\(error)",
      ]
    )
    return Problem(
      .internalServerError,
      "internal",
      "the station could not answer; the reason is in its log under this request's time"
    )
  }
}
