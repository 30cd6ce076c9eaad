/// Occurrences that returned unacknowledged and were followed by another of the same rule.
///
/// Off the hot path and bounded per rule; what one costs does not grow with what other rules have.
struct OwedOccurrences: Sendable {
  struct Entry: Hashable {
    var slot: UInt32
    var onset: Int64
  }

  /// A place in ``links``: an occurrence, and where the next of its rule is.
  private struct Link {
    var onset: Int64
    var next: Int?
  }

  private var links: [Link] = []
  /// Where each rule's oldest is, by the rule's row.
  private var oldest: [UInt32: Int] = [:]
  /// The first of the places that are free.
  private var free: Int?

  /// All, by rule row and onset.
  var entries: [Entry] {
    var entries: [Entry] = []
    for slot in oldest.keys.sorted() {
      forEach(slot: slot) { entries.append(Entry(slot: slot, onset: $0)) }
    }
    return entries
  }

  /// Adds an occurrence; an equal one is kept once.
  mutating func insert(slot: UInt32, onset: Int64) {
    var before: Int?
    var next = oldest[slot]
    while let place = next, links[place].onset < onset {
      before = place
      next = links[place].next
    }
    if let next, links[next].onset == onset { return }
    let new = add(Link(onset: onset, next: next))
    if let before { links[before].next = new } else { oldest[slot] = new }
  }

  /// Removes an occurrence; false when it was not there.
  mutating func remove(slot: UInt32, onset: Int64) -> Bool {
    var before: Int?
    var next = oldest[slot]
    while let place = next, links[place].onset != onset {
      before = place
      next = links[place].next
    }
    guard let next else { return false }
    let rest = links[next].next
    if let before { links[before].next = rest } else { oldest[slot] = rest }
    release(next)
    return true
  }

  /// True when an occurrence is on the list.
  func contains(slot: UInt32, onset: Int64) -> Bool {
    var isFound = false
    forEach(slot: slot) { isFound = isFound || $0 == onset }
    return isFound
  }

  /// Removes and returns the oldest occurrence of a rule.
  mutating func removeOldest(slot: UInt32) -> Int64? {
    guard let place = oldest[slot] else { return nil }
    oldest[slot] = links[place].next
    release(place)
    return links[place].onset
  }

  /// How many a rule has.
  func count(slot: UInt32) -> Int {
    var count = 0
    forEach(slot: slot) { _ in count += 1 }
    return count
  }

  /// Visits a rule's occurrences, oldest first.
  func forEach(slot: UInt32, _ body: (Int64) -> Void) {
    var next = oldest[slot]
    while let place = next {
      body(links[place].onset)
      next = links[place].next
    }
  }

  /// Puts a link into a free place.
  private mutating func add(_ link: Link) -> Int {
    guard let place = free else {
      links.append(link)
      return links.count - 1
    }
    free = links[place].next
    links[place] = link
    return place
  }

  private mutating func release(_ place: Int) {
    links[place].next = free
    free = place
  }
}
