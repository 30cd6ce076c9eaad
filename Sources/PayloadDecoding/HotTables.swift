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
    /// The same of the unit that its source speaks.
    var unitLength: UInt32
    var unitWord: UInt64

    /// Whether its numbers can be in no other unit: they have none, or are states ("state") or things counted ("count").
    /// ("1" can: it may be sent in percent.)
    @inline(__always)
    var isUnitless: Bool {
      unitLength == 0
        || unitLength == 5 && (unitWord == 0x65_7461_7473 || unitWord == 0x74_6E75_6F63)
    }
  }

  /// Where a device's name lies among ``deviceNames``, in the scope of its owner.
  private struct DeviceName {
    /// No topic has this scope; devices whose name their owner has twice keep it.
    static let nowhere = UInt32.max
    var scope = nowhere
    var offset: UInt32 = 0
    var length: UInt32 = 0
    /// The same, but 0 for a name that JSON has to write with escapes.
    var plainLength: UInt32 = 0
    /// The rows of its points.
    var firstPoint = 0
    var endPoint = 0
  }

  /// A name table that no longer changes.
  @safe
  struct Names {
    private let slots: UnsafeMutablePointer<NameTable.Slot>
    private let mask: Int
    private let pool: UnsafeMutablePointer<UInt8>
    /// The bytes of the names; eight zeros follow.
    private let poolCount: Int
    let isEmpty: Bool

    init(_ table: NameTable) {
      unsafe slots = .allocate(capacity: table.slots.count)
      for (index, slot) in table.slots.enumerated() {
        unsafe (slots + index).initialize(to: slot)
      }
      mask = table.slots.count - 1
      poolCount = table.pool.count
      unsafe pool = .allocate(capacity: poolCount + 8)
      unsafe pool.initialize(repeating: 0, count: poolCount + 8)
      for (index, byte) in table.pool.enumerated() {
        unsafe pool[index] = byte
      }
      isEmpty = table.count == 0
    }

    func deallocate() {
      unsafe slots.deallocate()
      unsafe pool.deallocate()
    }

    /// Whether the name that lies at `offset` is this one, of the same length.
    @inline(__always)
    func holds(_ name: ByteView, at offset: UInt32) -> Bool {
      precondition(Int(offset) &+ name.count <= poolCount)
      let kept = unsafe ByteView(base: pool + Int(offset), count: name.count &+ 8)
      var index = 0
      while index &+ 8 <= name.count {
        if kept.word(at: index) != name.word(at: index) { return false }
        index &+= 8
      }
      let rest = name.count &- index
      return rest == 0
        || kept.prefixWord(from: index, length: rest) == name.prefixWord(from: index, length: rest)
    }

    /// The value of a name.
    @inline(__always)
    func find(_ name: ByteView, scope: UInt32) -> UInt32? {
      isEmpty ? nil : find(name, hash: name.hash(seed: UInt64(scope)), scope: scope)
    }

    /// The value of a name of at most eight bytes, which `word` holds.
    @inline(__always)
    func find(_ name: ByteView, word: UInt64, scope: UInt32) -> UInt32? {
      isEmpty
        ? nil
        : find(
          name,
          hash: ByteView.hash(seed: UInt64(scope), word: word, count: name.count),
          scope: scope
        )
    }

    @inline(__always)
    private func find(_ name: ByteView, hash: UInt64, scope: UInt32) -> UInt32? {
      var index = Int(truncatingIfNeeded: hash) & mask
      // Half of the slots are free, so the search ends; the mask keeps it in the table.
      while true {
        let slot = unsafe slots[index]
        if slot.value == 0 { return nil }
        if slot.hash == hash, slot.scope == scope, Int(slot.length) == name.count {
          if holds(name, at: slot.offset) { return slot.value &- 1 }
        }
        index = (index &+ 1) & mask
      }
    }
  }

  private let points: UnsafeMutablePointer<Point>
  private let pointCount: Int
  private let devices: UnsafeMutablePointer<DeviceName>
  private let deviceCount: Int
  let deviceNames: Names
  let pointNames: Names
  let statusCodes: Names
  let statusNames: Names
  /// Whether some device or route has a table of status codes of its own.
  let hasStatusCodes: Bool
  let earliest: Int64
  let ahead: Int64
  let readingsLimit: Int
  let payloadLimit: Int

  init(
    points: [CompiledPlan.Point],
    pointsOfDevices: [Range<Int>],
    deviceNames: NameTable,
    pointNames: NameTable,
    statusCodes: NameTable,
    statusNames: NameTable,
    limits: DecodingLimits
  ) {
    unsafe self.points = .allocate(capacity: max(points.count, 1))
    for (index, point) in points.enumerated() {
      let name = Array(point.name.utf8)
      let unit = point.sourceUnit
      // Where a name means another point of the device, that one's other name was first. One that JSON has to write with
      // escapes is always searched for.
      let isFound =
        pointNames.find(name, scope: UInt32(point.device)) == UInt32(index) && name.isPlainInJSON
      unsafe (self.points + index).initialize(
        to: Point(
          channel: point.channel,
          device: UInt32(point.device),
          scale: point.scale,
          offset: point.offset,
          nameWord: name.withView { $0.prefixWord(from: 0, length: $0.count) },
          nameLength: isFound ? UInt32(name.count) : UInt32.max,
          unitLength: UInt32(unit.count),
          unitWord: unit.withView { $0.prefixWord(from: 0, length: $0.count) }
        )
      )
    }
    pointCount = points.count
    let owned = deviceNames.slots.filter {
      $0.value != 0 && $0.scope != CompiledPlan.everywhere && $0.value - 1 < CompiledPlan.ambiguous
    }
    deviceCount = pointsOfDevices.count
    unsafe devices = .allocate(capacity: max(deviceCount, 1))
    unsafe devices.initialize(repeating: DeviceName(), count: max(deviceCount, 1))
    for (row, points) in pointsOfDevices.enumerated() {
      unsafe devices[row].firstPoint = points.lowerBound
      unsafe devices[row].endPoint = points.upperBound
    }
    for slot in owned {
      let row = Int(slot.value - 1)
      unsafe devices[row].scope = slot.scope
      unsafe devices[row].offset = slot.offset
      unsafe devices[row].length = slot.length
      let name = deviceNames.pool[Int(slot.offset)..<Int(slot.offset + slot.length)]
      unsafe devices[row].plainLength = name.isPlainInJSON ? slot.length : 0
    }
    self.deviceNames = Names(deviceNames)
    self.pointNames = Names(pointNames)
    self.statusCodes = Names(statusCodes)
    self.statusNames = Names(statusNames)
    hasStatusCodes = !self.statusCodes.isEmpty
    earliest = limits.earliest.milliseconds
    ahead = limits.aheadMilliseconds
    readingsLimit = limits.readingsPerMessage
    payloadLimit = limits.payloadBytes
  }

  @inline(__always)
  subscript(point index: Int) -> Point {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: pointCount))
    return unsafe points[index]
  }

  /// The rows of the points of the device at `row`.
  @inline(__always)
  subscript(device row: Int) -> Range<Int> {
    precondition(UInt(bitPattern: row) < UInt(bitPattern: deviceCount))
    return unsafe devices[row].firstPoint..<devices[row].endPoint
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

  /// A name that fits into a word together with the quotation marks around it.
  struct ShortName {
    var word: UInt64
    var length: Int
    /// What the text has to be where `mask` has ones; of a longer name, what no text is.
    var quoted: UInt64
    var mask: UInt64

    /// No name: what no text is.
    static let unknown = ShortName(word: 0, length: 0, quoted: 1, mask: 0)
  }

  /// The name of the point at `index`.
  @inline(__always)
  func pointName(_ index: Int) -> ShortName {
    guard index < pointCount else { return .unknown }
    let point = self[point: index]
    guard point.nameLength <= 6 else { return .unknown }
    let bits = UInt64(point.nameLength) &* 8
    return ShortName(
      word: point.nameWord,
      length: Int(point.nameLength),
      quoted: point.nameWord &<< 8 | 0x22 | 0x2200 &<< bits,
      mask: UInt64.max &>> (48 &- bits)
    )
  }

  /// Whether the device at `row` has this name with the owner that `scope` stands for.
  ///
  /// Gateways send their devices in the order of the list, so the next one is worth a look, too: it lies beside the
  /// last one, where the table's slot would be anywhere.
  @inline(__always)
  func isDevice(_ row: Int, scope: UInt32, name: ByteView) -> Bool {
    guard row < deviceCount, row >= 0 else { return false }
    let device = unsafe devices[row]
    // (No device has an empty name; a row that has none is of one whose name is ambiguous.)
    return device.scope == scope && device.length > 0 && Int(device.length) == name.count
      && deviceNames.holds(name, at: device.offset)
  }

  /// The length of the name that the device at `row` has with the owner that `scope` stands for, when it may stand in JSON
  /// as it is; otherwise 0.
  @inline(__always)
  func plainName(_ row: Int, scope: UInt32) -> Int {
    guard UInt(bitPattern: row) < UInt(bitPattern: deviceCount) else { return 0 }
    let device = unsafe devices[row]
    return device.scope == scope ? Int(device.plainLength) : 0
  }

  /// Whether the device at `row` has this name, whose length is right.
  @inline(__always)
  func isName(_ row: Int, _ name: ByteView) -> Bool {
    precondition(UInt(bitPattern: row) < UInt(bitPattern: deviceCount))
    return deviceNames.holds(name, at: unsafe devices[row].offset)
  }

  func deallocate() {
    unsafe points.deallocate()
    unsafe devices.deallocate()
    deviceNames.deallocate()
    pointNames.deallocate()
    statusCodes.deallocate()
    statusNames.deallocate()
  }
}

extension Collection<UInt8> {
  /// Whether JSON may write the text, which is UTF-8, as it is.
  fileprivate var isPlainInJSON: Bool { allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C } }
}

extension ByteView {
  /// Whether two views of equal length hold the same bytes.
  @inline(__always)
  func equalsByWords(_ other: ByteView) -> Bool {
    guard count >= 8 else {
      return prefixWord(from: 0, length: count) == other.prefixWord(from: 0, length: count)
    }
    var index = 0
    while index &+ 8 < count {
      if word(at: index) != other.word(at: index) { return false }
      index &+= 8
    }
    // The last word overlaps the one before it.
    return word(at: count &- 8) == other.word(at: count &- 8)
  }
}
