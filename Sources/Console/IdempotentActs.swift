import Accounts
import HTTPTypes
import Hummingbird

extension IdempotencyStore {
  /// The key under which a request may be repeated; nil where it brings none.
  ///
  /// A key is its caller's own: another's must neither meet it nor be told its answer.
  ///
  /// - Throws: a problem 400, where it is no key.
  static func key(of request: Request, _ context: ConsoleContext) throws -> String? {
    guard let given = request.headers[.named("Idempotency-Key")] else { return nil }
    guard !given.isEmpty, given.count <= 255 else {
      throw Problem.parameter("Idempotency-Key", "must have 1 to 255 characters")
    }
    return try context.principal.subject + " " + given
  }

  /// Acts once for a key, and answers its repetitions with the same; without a key it acts each time.
  ///
  /// - Throws: a problem 409 or 422, where the key is another request's; what `act` throws, and the key is free again.
  func once(
    _ key: String?,
    fingerprint: [UInt8],
    _ act: () async throws -> [UInt8]
  ) async throws -> [UInt8] {
    guard let key else { return try await act() }
    switch claim(key, fingerprint: fingerprint) {
    case .answered(let body): return body
    case .inProgress:
      throw Problem(
        .conflict,
        "in-progress",
        "the same request is being worked on",
        retryAfter: 1
      )
    case .otherRequest:
      throw Problem(
        .unprocessableContent,
        "key-reused",
        "this idempotency key was used for another request"
      )
    case .new: break
    }
    do {
      let body = try await act()
      complete(key, answer: body)
      return body
    } catch {
      release(key)
      throw error
    }
  }
}
