public import Telemetry

/// What falls due when: keys with one deadline each, soonest first; of the same moment, by key.
///
/// A heap with lazy deletion: setting and taking cost O(log n), looking at the next one O(1).
public struct Agenda<Key: Hashable & Comparable & Sendable>: Sendable {
  private struct Item: Comparable {
    var time: Timestamp
    var key: Key

    static func < (left: Item, right: Item) -> Bool {
      (left.time, left.key) < (right.time, right.key)
    }
  }

  private var due: [Key: Timestamp] = [:]
  /// A binary heap.
  ///
  /// An item that disagrees with `due` is stale; the top never is.
  private var heap: [Item] = []

  /// Makes an empty agenda.
  public init() {}

  /// The soonest deadline.
  public var next: Timestamp? { heap.first?.time }

  /// The deadline of a key.
  public subscript(key: Key) -> Timestamp? { due[key] }

  /// How many keys have a deadline.
  public var count: Int { due.count }

  /// Sets a key's deadline anew; nil takes it off.
  public mutating func set(_ key: Key, _ time: Timestamp?) {
    guard due[key] != time else { return }
    due[key] = time
    if let time { push(Item(time: time, key: key)) }
    if heap.count > 2 * due.count + 64 {
      heap = due.map { Item(time: $0.value, key: $0.key) }.sorted()
    }
    dropStale()
  }

  /// Takes off and answers the soonest key that is due.
  public mutating func take(upTo now: Timestamp) -> (key: Key, time: Timestamp)? {
    guard let first = heap.first, first.time <= now else { return nil }
    due[first.key] = nil
    dropStale()
    return (first.key, first.time)
  }

  private mutating func dropStale() {
    while let top = heap.first, due[top.key] != top.time { pop() }
  }

  private mutating func push(_ item: Item) {
    heap.append(item)
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
      where child < heap.count && heap[child] < heap[least] {
        least = child
      }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}

extension Agenda: Equatable {
  /// Equal when the deadlines are.
  public static func == (left: Self, right: Self) -> Bool { left.due == right.due }
}

extension Agenda: Hashable {
  /// Hashes the deadlines.
  public func hash(into hasher: inout Hasher) { hasher.combine(due) }
}

extension Agenda: Codable where Key: Codable & CodingKeyRepresentable {
  /// Reads the deadlines.
  public init(from decoder: any Decoder) throws {
    due = try decoder.singleValueContainer().decode([Key: Timestamp].self)
    heap = due.map { Item(time: $0.value, key: $0.key) }.sorted()
  }

  /// Writes the deadlines.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(due)
  }
}
