import Synchronization

/// Remembers the answers to acts by their idempotency keys, so that a repeated request acts once.
///
/// Kept in memory, bounded, oldest first out: what must survive a restart is the ledger, and an act
/// repeated after a restart meets an alarm that has already changed state.
package final class IdempotencyStore: Sendable {
  /// What a key stands for.
  package enum Claim: Sendable, Equatable {
    /// The key is new and now taken: act, then ``IdempotencyStore/complete(_:answer:)``.
    case new
    /// The same request was answered with this body.
    case answered([UInt8])
    /// The same request is being worked on.
    case inProgress
    /// The key was used for another request.
    case otherRequest
  }

  private struct Record {
    var fingerprint: [UInt8]
    var answer: [UInt8]?
  }

  private struct State {
    var records: [String: Record] = [:]
    var order: [String] = []
  }

  private let limit: Int
  private let state = Mutex(State())

  /// Makes a store for at most `limit` keys.
  package init(limit: Int = 10_000) {
    self.limit = limit
  }

  /// Takes a key for a request that reads `fingerprint`.
  package func claim(_ key: String, fingerprint: [UInt8]) -> Claim {
    state.withLock { state in
      if let record = state.records[key] {
        guard record.fingerprint == fingerprint else { return .otherRequest }
        guard let answer = record.answer else { return .inProgress }
        return .answered(answer)
      }
      state.records[key] = Record(fingerprint: fingerprint)
      state.order.append(key)
      if state.records.count > limit {
        state.records[state.order.removeFirst()] = nil
      }
      return .new
    }
  }

  /// Keeps the answer for repetitions.
  package func complete(_ key: String, answer: [UInt8]) {
    state.withLock { $0.records[key]?.answer = answer }
  }

  /// Gives a key back whose act was refused or has no certain outcome.
  package func release(_ key: String) {
    state.withLock { state in
      state.records[key] = nil
      state.order.removeAll { $0 == key }
    }
  }
}
