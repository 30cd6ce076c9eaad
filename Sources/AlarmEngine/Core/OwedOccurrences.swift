/// Occurrences that returned unacknowledged and were followed by another of the same rule.
///
/// Sorted by rule row and onset; off the hot path and bounded per rule.
struct OwedOccurrences: Sendable {
  struct Entry: Hashable {
    var slot: UInt32
    var onset: Int64
  }

  private(set) var entries: [Entry] = []

  /// The first entry that is not before (slot, onset).
  private func lowerBound(_ slot: UInt32, _ onset: Int64) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      let entry = entries[middle]
      if (entry.slot, entry.onset) < (slot, onset) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Adds an occurrence; an equal one is kept once.
  mutating func insert(slot: UInt32, onset: Int64) {
    let index = lowerBound(slot, onset)
    if index < entries.count && entries[index] == Entry(slot: slot, onset: onset) { return }
    entries.insert(Entry(slot: slot, onset: onset), at: index)
  }

  /// Removes an occurrence; false when it was not there.
  mutating func remove(slot: UInt32, onset: Int64) -> Bool {
    let index = lowerBound(slot, onset)
    guard index < entries.count, entries[index] == Entry(slot: slot, onset: onset) else {
      return false
    }
    entries.remove(at: index)
    return true
  }

  /// True when an occurrence is on the list.
  func contains(slot: UInt32, onset: Int64) -> Bool {
    let index = lowerBound(slot, onset)
    return index < entries.count && entries[index] == Entry(slot: slot, onset: onset)
  }

  /// Removes and returns the oldest occurrence of a rule.
  mutating func removeOldest(slot: UInt32) -> Int64? {
    let index = lowerBound(slot, .min)
    guard index < entries.count, entries[index].slot == slot else { return nil }
    return entries.remove(at: index).onset
  }

  /// How many a rule has.
  func count(slot: UInt32) -> Int {
    lowerBound(slot + 1, .min) - lowerBound(slot, .min)
  }

  /// Visits a rule's occurrences, oldest first.
  func forEach(slot: UInt32, _ body: (Int64) -> Void) {
    var index = lowerBound(slot, .min)
    while index < entries.count && entries[index].slot == slot {
      body(entries[index].onset)
      index += 1
    }
  }
}
