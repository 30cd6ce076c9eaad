/// Names of the catalog within a scope, found by bytes without making a `String`.
///
/// Open addressing over one pool of bytes; written once while the plan is compiled.
struct NameTable: Sendable {
  struct Slot: Sendable {
    var hash: UInt64 = 0
    var scope: UInt32 = 0
    var offset: UInt32 = 0
    var length: UInt32 = 0
    /// The value plus one; zero marks a free slot.
    var value: UInt32 = 0
  }
  private(set) var slots: [Slot]
  private(set) var pool: [UInt8] = []
  private(set) var count = 0

  init() {
    slots = Array(repeating: Slot(), count: 16)
  }

  /// Enters a name; false, and nothing changed, when the scope has it already.
  @discardableResult
  mutating func insert(_ name: String, scope: UInt32, value: UInt32) -> Bool {
    let bytes = Array(name.utf8)
    guard find(bytes, scope: scope) == nil else { return false }
    if (count + 1) * 2 > slots.count { grow() }
    let hash = bytes.withView { $0.hash(seed: UInt64(scope)) }
    place(
      Slot(
        hash: hash,
        scope: scope,
        offset: UInt32(pool.count),
        length: UInt32(bytes.count),
        value: value + 1
      )
    )
    pool.append(contentsOf: bytes)
    count += 1
    return true
  }

  /// Changes the value of a name that is there.
  mutating func replace(_ name: String, scope: UInt32, value: UInt32) {
    let bytes = Array(name.utf8)
    guard let index = bytes.withView({ slot(of: $0, scope: scope) }) else { return }
    slots[index].value = value + 1
  }

  private mutating func place(_ slot: Slot) {
    var index = Int(truncatingIfNeeded: slot.hash) & (slots.count - 1)
    while slots[index].value != 0 { index = (index + 1) & (slots.count - 1) }
    slots[index] = slot
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: Slot(), count: old.count * 2)
    for slot in old where slot.value != 0 { place(slot) }
  }

  @inline(__always)
  private func slot(of name: ByteView, scope: UInt32) -> Int? {
    let hash = name.hash(seed: UInt64(scope))
    let mask = slots.count &- 1
    var index = Int(truncatingIfNeeded: hash) & mask
    while slots[index].value != 0 {
      if slots[index].hash == hash, slots[index].scope == scope,
        Int(slots[index].length) == name.count, matches(name, at: Int(slots[index].offset))
      {
        return index
      }
      index = (index &+ 1) & mask
    }
    return nil
  }

  @inline(__always)
  private func matches(_ name: ByteView, at offset: Int) -> Bool {
    pool.withView { pool in
      let stored = pool[offset..<offset &+ name.count]
      var index = 0
      while index &+ 8 <= name.count {
        if stored.word(at: index) != name.word(at: index) { return false }
        index &+= 8
      }
      let rest = name.count &- index
      return rest == 0
        || stored.prefixWord(from: index, length: rest)
          == name.prefixWord(from: index, length: rest)
    }
  }

  /// The value of a name.
  @inline(__always)
  func find(_ name: ByteView, scope: UInt32) -> UInt32? {
    guard let index = slot(of: name, scope: scope) else { return nil }
    return slots[index].value &- 1
  }

  /// The value of a name.
  func find(_ name: [UInt8], scope: UInt32) -> UInt32? {
    name.withView { find($0, scope: scope) }
  }
}
