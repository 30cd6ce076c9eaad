public import HazardLedger

/// The station's door to a ``Dispatcher``.
public final class DispatcherInbox: CalloutDispatcher, Sendable {
  private let stream: AsyncStream<[CalloutDispatch]>
  private let continuation: AsyncStream<[CalloutDispatch]>.Continuation

  /// Makes an inbox.
  public init() {
    // Unbounded by itself: the ledger's machine makes at most one call a person and interval, and each channel's
    // queue has its limit.
    (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
  }

  /// Takes dispatches over; returns at once.
  public func deliver(_ dispatches: [CalloutDispatch]) {
    continuation.yield(dispatches)
  }

  /// Hands what comes to the dispatcher, and runs it, until it is cancelled.
  public func run(_ dispatcher: Dispatcher) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await dispatcher.run() }
      group.addTask {
        for await dispatches in self.stream { await dispatcher.accept(dispatches) }
      }
      await group.waitForAll()
    }
  }
}
