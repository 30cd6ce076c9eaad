import Dispatch
import Synchronization

/// Looks whether a call-out has been answered, and waits no longer for that than a call can.
///
/// A ledger that cannot be reached must not hold up the calls that are made although it cannot: who is not sure calls. While a
/// look hangs no other is begun, as each would keep a thread.
public final class AnswerLook: Sendable {
  /// The one answer that is waited for.
  private final class Answer: Sendable {
    private let waiting: Mutex<CheckedContinuation<Bool, Never>?>

    init(_ waiting: CheckedContinuation<Bool, Never>) {
      self.waiting = Mutex(waiting)
    }

    /// Ends the wait with an answer; false, and nothing is done, where one has been given already.
    func give(_ isAnswered: Bool) -> Bool {
      let waiting = waiting.withLock { waiting in
        defer { waiting = nil }
        return waiting
      }
      waiting?.resume(returning: isAnswered)
      return waiting != nil
    }
  }

  private let milliseconds: Int
  private let look: @Sendable (String) -> Bool
  /// Looks that nobody waits for any more; below 0 for the moment in which one ends before it has been counted.
  private let hanging = Atomic<Int>(0)

  /// Makes a look.
  ///
  /// - Parameters:
  ///   - milliseconds: how long it is waited for.
  ///   - look: says whether the call-out of an id has been answered; on a thread that it may block.
  public init(within milliseconds: Int = 1_000, look: @escaping @Sendable (String) -> Bool) {
    self.milliseconds = milliseconds
    self.look = look
  }

  /// Whether the call-out has been answered; false where that cannot be seen in time.
  public func isAnswered(_ callout: String) async -> Bool {
    guard hanging.load(ordering: .relaxed) <= 0 else { return false }
    return await withCheckedContinuation { waiting in
      let answer = Answer(waiting)
      let queue = DispatchQueue.global()
      queue.async { [self] in
        if !answer.give(look(callout)) { hanging.subtract(1, ordering: .relaxed) }
      }
      queue.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [self] in
        if answer.give(false) { hanging.add(1, ordering: .relaxed) }
      }
    }
  }
}
