import Dispatch

/// How long to wait after failures: a second, doubling up to a minute, each with some chance in it, so that a hundred
/// stations do not come back at the same moment.
struct Backoff: Sendable {
  private var failures = 0
  private let ceiling: Double
  private let base: Double

  init(base: Double = 1, ceiling: Double = 60) {
    self.base = base
    self.ceiling = ceiling
  }

  mutating func reset() { failures = 0 }

  /// The next pause, not shorter than what the other side asks for.
  mutating func next(atLeast asked: Duration?) -> Duration {
    failures = min(failures + 1, 16)
    let steady = min(ceiling, base * Double(1 << (failures - 1)))
    let pause = Duration.seconds(steady * Double.random(in: 0.5...1))
    // Nobody is waited for longer than an hour: what a header says may be a mistake.
    return max(pause, min(asked ?? .zero, .seconds(3_600)))
  }
}

/// Runs work that reads a database where it holds up no event loop.
func offThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws
  -> Value
{
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global(qos: .utility).async {
      continuation.resume(with: Result { try work() })
    }
  }
}

/// What a part that pushes has done in one round.
package enum Round: Sendable {
  /// Something was sent; there may be more.
  case worked
  /// There was nothing to send.
  case idle
  /// It did not get through: to be tried again, not before a time that the other side may have named.
  case failed(retryAfter: Duration?)
}
