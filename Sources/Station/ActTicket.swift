import Synchronization

/// The wait of one operator act for its outcome; whoever resolves it first decides it.
public final class ActTicket: Sendable {
  private enum State {
    case open
    case awaited(CheckedContinuation<Result<ActReceipt, ActError>, Never>)
    case resolved(Result<ActReceipt, ActError>)
  }

  private let state: Mutex<State> = Mutex(.open)

  /// Settles the outcome; later calls change nothing.
  func resolve(_ result: Result<ActReceipt, ActError>) {
    let waiter = state.withLock {
      state -> CheckedContinuation<Result<ActReceipt, ActError>, Never>? in
      switch state {
      case .open:
        state = .resolved(result)
        return nil
      case .awaited(let waiter):
        state = .resolved(result)
        return waiter
      case .resolved:
        return nil
      }
    }
    waiter?.resume(returning: result)
  }

  /// The outcome, once it is settled.
  ///
  /// Called once.
  func outcome() async -> Result<ActReceipt, ActError> {
    await withCheckedContinuation { waiter in
      let settled = state.withLock { state -> Result<ActReceipt, ActError>? in
        if case .resolved(let result) = state { return result }
        state = .awaited(waiter)
        return nil
      }
      if let settled { waiter.resume(returning: settled) }
    }
  }
}
