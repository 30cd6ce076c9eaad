package import Logging

/// Tells a failure that lasts: each kind once, then at most once a minute how often it came, and when it is over.
package struct LastingFailure {
  private static let period: Int64 = 60_000
  /// More kinds than this are not told apart: a text that changes each time must not fill the log either.
  private static let kinds = 8

  private let text: Logger.Message
  private let end: Logger.Message
  private let logger: Logger
  private var told: Set<String> = []
  private var next: Int64 = .min
  private var count = 0

  /// Makes one that is told as `text`, and as `end` when it is over.
  package init(_ text: Logger.Message, end: Logger.Message, logger: Logger) {
    self.text = text
    self.end = end
    self.logger = logger
  }

  /// Takes in a failure at monotonic time `now` (milliseconds).
  package mutating func note(_ error: any Error, at now: Int64) {
    count += 1
    let kind = "\(error)"
    let isNew = told.count < Self.kinds && told.insert(kind).inserted
    guard isNew || now >= next else { return }
    next = now + Self.period
    logger.error(text, metadata: ["error": "\(kind)", "times": "\(count)"])
  }

  /// It went well this time.
  package mutating func succeeded() {
    guard count > 0 else { return }
    logger.notice(end, metadata: ["times": "\(count)"])
    count = 0
    told = []
    next = .min
  }
}
