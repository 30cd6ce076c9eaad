import Synchronization

/// Wakes who waits for news of a station, as an exchange does.
final class NewsBell: Sendable {
  private struct State {
    var next = 0
    var listeners: [Int: AsyncStream<Void>.Continuation] = [:]
  }

  private let state = Mutex(State())

  /// Wakes all who wait.
  func ring() {
    for listener in state.withLock({ Array($0.listeners.values) }) { listener.yield() }
  }

  /// Returns when there is news, when `timeout` has passed, or when the task is cancelled.
  func wait(timeout: Duration, until isNews: () -> Bool) async {
    let (rings, listener) = AsyncStream.makeStream(
      of: Void.self,
      bufferingPolicy: .bufferingNewest(1)
    )
    let number = state.withLock { state in
      state.next += 1
      state.listeners[state.next] = listener
      return state.next
    }
    // The time-out is the caller's, by the real clock as that of an exchange is.
    let end = Task {
      try await Task.sleep(for: timeout)
      listener.finish()
    }
    defer {
      end.cancel()
      state.withLock { _ = $0.listeners.removeValue(forKey: number) }
    }
    if isNews() { return }
    for await _ in rings where isNews() { return }
  }
}
