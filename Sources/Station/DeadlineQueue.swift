/// Which of many keyed things falls due first: a heap with the entries of changed keys left to be passed over.
struct DeadlineQueue: Sendable {
  private struct Entry: Comparable, Sendable {
    var time: Int64
    var key: String
    static func < (lhs: Entry, rhs: Entry) -> Bool { (lhs.time, lhs.key) < (rhs.time, rhs.key) }
  }

  /// The deadline of each key that has one; what a snapshot keeps.
  private(set) var current: [String: Int64] = [:]
  private var heap: [Entry] = []

  init(_ deadlines: [String: Int64] = [:]) {
    for (key, time) in deadlines { self[key] = time }
  }

  /// The deadline of a key; nil when it has none.
  subscript(key: String) -> Int64? {
    get { current[key] }
    set {
      guard current[key] != newValue else { return }
      current[key] = newValue
      if let newValue { push(Entry(time: newValue, key: key)) }
    }
  }

  /// The earliest deadline.
  var next: Int64? {
    mutating get {
      dropOutdated()
      return heap.first?.time
    }
  }

  /// Takes the earliest key that is due at `now`; it has no deadline then.
  mutating func popDue(at now: Int64) -> (key: String, time: Int64)? {
    dropOutdated()
    guard let first = heap.first, first.time <= now else { return nil }
    pop()
    current[first.key] = nil
    return (first.key, first.time)
  }

  private mutating func dropOutdated() {
    while let first = heap.first, current[first.key] != first.time { pop() }
  }

  private mutating func push(_ entry: Entry) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0, heap[child] < heap[(child - 1) / 2] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func pop() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child] < heap[least] { least = child }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
