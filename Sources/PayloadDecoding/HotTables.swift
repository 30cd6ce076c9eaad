internal import Telemetry

/// What a reading needs of the plan, as plain memory: no reference is counted to reach it.
///
/// The memory is written once while the plan is compiled, belongs to the ``CompiledPlan`` that made
/// the tables and is freed with it; a decoder holds both. Being constant, it may be read from any
/// thread, which is why `@unchecked Sendable` holds.
@safe
struct HotTables: @unchecked Sendable {
  /// A point's part of a reading's way.
  struct Point {
    var channel: ChannelIndex
    var device: UInt32
    var scale: Double
    var offset: Double
    /// The first eight bytes of the point's name, zero-filled, and its length.
    var nameWord: UInt64
    var nameLength: UInt32
  }

  /// A name table that no longer changes.
  @safe
  struct Names {
    private let slots: UnsafeMutablePointer<NameTable.Slot>
    private let mask: Int
    private let pool: UnsafeMutablePointer<UInt8>
    private let poolCount: Int
    let isEmpty: Bool

    init(_ table: NameTable) {
      unsafe slots = .allocate(capacity: table.slots.count)
      for (index, slot) in table.slots.enumerated() {
        unsafe (slots + index).initialize(to: slot)
      }
      mask = table.slots.count - 1
      poolCount = table.pool.count
      unsafe pool = .allocate(capacity: max(table.pool.count, 1))
      for (index, byte) in table.pool.enumerated() {
        unsafe (pool + index).initialize(to: byte)
      }
      isEmpty = table.count == 0
    }

    func deallocate() {
      unsafe slots.deallocate()
      unsafe pool.deallocate()
    }

    /// The value of a name.
    @inline(__always)
    func find(_ name: ByteView, scope: UInt32) -> UInt32? {
      if isEmpty { return nil }
      let hash = name.hash(seed: UInt64(scope))
      var index = Int(truncatingIfNeeded: hash) & mask
      // Half of the slots are free, so the search ends; the mask keeps it in the table.
      while true {
        let slot = unsafe slots[index]
        if slot.value == 0 { return nil }
        if slot.hash == hash, slot.scope == scope, Int(slot.length) == name.count {
          let stored = unsafe ByteView(base: pool, count: poolCount)[
            Int(slot.offset)..<Int(slot.offset) &+ name.count
          ]
          if stored.equalsByWords(name) { return slot.value &- 1 }
        }
        index = (index &+ 1) & mask
      }
    }
  }

  private let points: UnsafeMutablePointer<Point>
  private let pointCount: Int
  let deviceNames: Names
  let pointNames: Names
  let statusCodes: Names
  let statusNames: Names
  let earliest: Int64
  let ahead: Int64
  let readingsLimit: Int

  init(
    points: [CompiledPlan.Point],
    deviceNames: NameTable,
    pointNames: NameTable,
    statusCodes: NameTable,
    statusNames: NameTable,
    limits: DecodingLimits
  ) {
    unsafe self.points = .allocate(capacity: max(points.count, 1))
    for (index, point) in points.enumerated() {
      let name = Array(point.name.utf8)
      unsafe (self.points + index).initialize(
        to: Point(
          channel: point.channel,
          device: UInt32(point.device),
          scale: point.scale,
          offset: point.offset,
          nameWord: name.withView { $0.prefixWord(from: 0, length: $0.count) },
          nameLength: UInt32(name.count)
        )
      )
    }
    pointCount = points.count
    self.deviceNames = Names(deviceNames)
    self.pointNames = Names(pointNames)
    self.statusCodes = Names(statusCodes)
    self.statusNames = Names(statusNames)
    earliest = limits.earliest.milliseconds
    ahead = limits.aheadMilliseconds
    readingsLimit = limits.readingsPerMessage
  }

  @inline(__always)
  subscript(point index: Int) -> Point {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: pointCount))
    return unsafe points[index]
  }

  /// Whether the point at `index` belongs to the device and has this name of at most eight bytes.
  ///
  /// Gateways send a device's points in the order of the list, so the next one is worth a look
  /// before the name is searched for.
  @inline(__always)
  func isPoint(_ index: Int, device: Int, word: UInt64, length: Int) -> Bool {
    guard index < pointCount, length <= 8 else { return false }
    let point = self[point: index]
    return point.nameWord == word && Int(point.nameLength) == length
      && Int(point.device) == device
  }

  func deallocate() {
    unsafe points.deallocate()
    deviceNames.deallocate()
    pointNames.deallocate()
    statusCodes.deallocate()
    statusNames.deallocate()
  }
}

extension ByteView {
  /// Whether two views of equal length hold the same bytes.
  @inline(__always)
  func equalsByWords(_ other: ByteView) -> Bool {
    var index = 0
    while index &+ 8 <= count {
      if word(at: index) != other.word(at: index) { return false }
      index &+= 8
    }
    while index < count {
      if self[index] != other[index] { return false }
      index &+= 1
    }
    return true
  }
}
