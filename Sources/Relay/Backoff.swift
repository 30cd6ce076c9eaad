import Dispatch

/// What pushes what waits to another place, round by round.
protocol Pusher: Sendable {
  /// The first pause after a failure.
  var firstPause: Duration { get }
  /// The longest.
  var longestPause: Duration { get }
  /// Sends what waits, up to one batch.
  func round() async -> Round
  /// Waits until there may be something to send again.
  func awaitNews() async
}

extension Pusher {
  /// Pushes until it is cancelled.
  func push() async {
    var backoff = Backoff(base: firstPause / .seconds(1), ceiling: longestPause / .seconds(1))
    while !Task.isCancelled {
      switch await round() {
      case .worked: backoff.reset()
      case .idle:
        backoff.reset()
        await awaitNews()
      case .failed(let asked): await pause(backoff.next(atLeast: asked))
      }
    }
  }

  /// Sleeps; a cancellation ends it early, and the loop that asked then sees it.
  func pause(_ duration: Duration) async {
    do { try await Task.sleep(for: duration) } catch { return }
  }
}

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
