import Synchronization

/// The newest end of a ledger in memory, for those who follow it: each commit is asked for by several of them at once,
/// and a read of the store for each would cost more than the commit.
///
/// It holds what the store holds, or nothing: whoever cannot say what became of a commit empties it.
final class NewestEntries: Sendable {
  private let entries = Mutex<[LedgerEntry]>([])

  /// Entries kept at least, once there were so many.
  private static let capacity = 1_024

  /// Adds what a commit has put into the store.
  func add(_ committed: [LedgerEntry]) {
    guard let first = committed.first else { return }
    entries.withLock { entries in
      // A gap would be taken for the end of what there is.
      if entries.last.map({ $0.sequence + 1 != first.sequence }) ?? false { entries.removeAll() }
      entries += committed
      if entries.count > 2 * Self.capacity {
        entries.removeFirst(entries.count - Self.capacity)
      }
    }
  }

  /// Forgets everything: the store may hold more than was added, or bodies that were pruned.
  func removeAll() {
    entries.withLock { $0.removeAll(keepingCapacity: true) }
  }

  /// Entries behind a cursor, in order; nil where the store has to be asked.
  func entries(after sequence: Int64, limit: Int) -> [LedgerEntry]? {
    entries.withLock { entries in
      guard let first = entries.first, first.sequence - 1 <= sequence else { return nil }
      return Array(entries.dropFirst(Int(sequence - first.sequence) + 1).prefix(max(limit, 0)))
    }
  }
}
