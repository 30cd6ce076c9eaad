/// What a station above says to a batch, whichever way the batch came; the words are HTTP's.
public struct RelayReply: Hashable, Sendable {
  /// 200 with a ``RelayOutcome``; 429 and 5xx: try again; anything else: as it is it will never be taken.
  public var status: Int
  /// Seconds after which to try again.
  public var retryAfter: Int?
  /// The outcome, or problem details (RFC 9457).
  public var body: [UInt8]

  /// Makes a reply.
  public init(status: Int, retryAfter: Int? = nil, body: [UInt8]) {
    self.status = status
    self.retryAfter = retryAfter
    self.body = body
  }

  /// Whether the same batch may fare better later.
  public var isForNow: Bool { status == 408 || status == 429 || status >= 500 }

  /// Whether the batch was too large.
  public var isTooLarge: Bool { status == 413 }

  /// The beginning of the body in one line, for logs.
  public var brief: String {
    String(decoding: body.prefix(200), as: UTF8.self).replacing("\n", with: " ")
  }
}
