/// Occurrences that returned unacknowledged and were followed by another of the same rule.
///
/// Off the hot path and bounded per rule; what one costs does not grow with what other rules have.
struct OwedOccurrences: Sendable {
  struct Entry: Hashable {
    var slot: UInt32
    var onset: Int64
  }

  /// The onsets of every rule that has any, by its row, oldest first.
  private var onsets: [UInt32: [Int64]] = [:]

  /// All, by rule row and onset.
  var entries: [Entry] {
    onsets.keys.sorted().flatMap { slot in
      onsets[slot, default: []].map { Entry(slot: slot, onset: $0) }
    }
  }

  /// Adds an occurrence; an equal one is kept once.
  mutating func insert(slot: UInt32, onset: Int64) {
    let known = onsets[slot, default: []]
    let index = known.lastIndex { $0 <= onset }
    if let index, known[index] == onset { return }
    onsets[slot, default: []].insert(onset, at: index.map { $0 + 1 } ?? 0)
  }

  /// Removes an occurrence; false when it was not there.
  mutating func remove(slot: UInt32, onset: Int64) -> Bool {
    guard let index = onsets[slot]?.firstIndex(of: onset) else { return false }
    remove(at: index, of: slot)
    return true
  }

  /// True when an occurrence is on the list.
  func contains(slot: UInt32, onset: Int64) -> Bool {
    onsets[slot]?.contains(onset) ?? false
  }

  /// Removes and returns the oldest occurrence of a rule.
  mutating func removeOldest(slot: UInt32) -> Int64? {
    guard let oldest = onsets[slot]?.first else { return nil }
    remove(at: 0, of: slot)
    return oldest
  }

  /// How many a rule has.
  func count(slot: UInt32) -> Int { onsets[slot]?.count ?? 0 }

  /// Visits a rule's occurrences, oldest first.
  func forEach(slot: UInt32, _ body: (Int64) -> Void) {
    onsets[slot]?.forEach(body)
  }

  private mutating func remove(at index: Int, of slot: UInt32) {
    onsets[slot]?.remove(at: index)
    if onsets[slot]?.isEmpty == true { onsets[slot] = nil }
  }
}
