/// Where in the order of one engine's output the transitions of a shard belong.
///
/// An engine puts out, within one call: what a change of plan says, by rule; what deadlines say, by time
/// and rule; what readings say, in their order. A shard notes after each of these steps up to where its
/// output has come, so that ``ShardedEngine`` can put the outputs of all shards into that order.
struct OutputOrder: Sendable {
  /// What a step is sorted by; the greater of two keys comes out later.
  struct Key: BitwiseCopyable, Comparable {
    /// Engine time of a deadline; before all times for changes of plan, after all for readings.
    var time: Int64
    /// Rule row, a deadline's order, or the place of a reading in its batch.
    var place: UInt64

    static let first = Key(time: .min, place: 0)

    static func planChange(_ rule: UInt32) -> Key { Key(time: .min, place: UInt64(rule)) }
    static func reading(_ index: Int) -> Key { Key(time: .max, place: UInt64(index)) }

    static func < (lhs: Key, rhs: Key) -> Bool {
      lhs.time != rhs.time ? lhs.time < rhs.time : lhs.place < rhs.place
    }
  }

  /// A step that put something out.
  struct Mark: BitwiseCopyable {
    var key: Key
    /// How many transitions there are after it.
    var end: Int
  }

  /// Nothing is noted unless somebody will ask.
  let isKept: Bool
  private(set) var marks: [Mark] = []
  private var newest = Key.first
  private var end = 0

  init(isKept: Bool) {
    self.isKept = isKept
  }

  /// Notes that a step is done and the output has `count` transitions.
  mutating func note(_ key: Key, _ count: Int) {
    guard isKept else { return }
    // A deadline armed by another for the same moment comes right after it, whatever its rule.
    newest = max(newest, key)
    guard count > end else { return }
    marks.append(Mark(key: newest, end: count))
    end = count
  }

  /// Puts other keys in the place of those from a mark on.
  mutating func replaceKeys(from first: Int, _ key: (Key) -> Key) {
    for index in first..<marks.count { marks[index].key = key(marks[index].key) }
  }

  /// Forgets everything; the output is emptied too.
  mutating func reset() {
    marks.removeAll(keepingCapacity: true)
    begin()
    end = 0
  }

  /// A new call begins, whose steps are ordered among themselves.
  mutating func begin() {
    newest = .first
  }
}
