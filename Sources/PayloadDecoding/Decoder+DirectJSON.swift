internal import Telemetry

/// Davy JSON of the usual forms, in one pass from the text to the batch.
///
/// Nearly every message of a gateway that works is of these forms; a parser's nodes, a list of fields and a second walk
/// would cost more than reading. Whatever is unusual ends the attempt, leaves nothing behind, and is read by
/// `decodeDavyJSON`, which alone refuses, explains and tells events. A message that is taken here gives exactly the
/// readings that it would give there: `DirectJSONTests` and the fuzzer hold the two against each other.
///
/// Functions are `mutating`, also those that change nothing: to others the decoder is handed as a copy.
extension Decoder {
  private typealias Member = DirectJSON.Member

  /// What a record says of its readings.
  private struct Record {
    /// The bits of its members.
    var seen: UInt32 = 0
    var device = DirectJSON.Text()
    var unit = DirectJSON.Text()
    var status = DirectJSON.Text()
    var time: Int64 = 0

    /// Whether nothing but these has been said.
    @inline(__always)
    func hasOnly(_ members: Member...) -> Bool {
      seen & ~members.reduce(0) { $0 | $1.rawValue } == 0
    }
  }

  /// What of the message is needed here: plain numbers, so that nothing is counted for a reading.
  struct DirectMessage {
    /// Where its topic stands among those met.
    var topic: Int
    var ownScope: UInt32
    var sequence: UInt64
    var received: Timestamp
  }

  /// What the next message or record probably speaks of: tried before it is searched for, so that it never decides anything.
  ///
  /// Gateways send devices and points in the order of the list, all points of a device or one point of all devices.
  struct Hint: Sendable {
    var device = 0
    /// The last point's place among those of its device.
    var place = -1
    /// How the last time began.
    var time = DirectJSON.TimeHead()
  }

  /// What the records of a message have in common, and where the readings go.
  private struct Course {
    var hint: Hint
    /// The device of the last record, −1 for none, and where it was named.
    var device = -1
    var deviceOffset: UInt32 = 0
    /// The point behind the last one: gateways send a device's points in the order of the list.
    var point = Int.max
    /// Readings on their way into the batch: into its columns they go together.
    var waiting: Waiting

    @inline(__always)
    init(_ hint: Hint, _ waiting: Waiting) {
      self.hint = hint
      self.waiting = waiting
    }
  }

  /// A few readings as columns, in memory of the call that made it.
  @safe
  private struct Waiting {
    static let capacity = 32
    static let bytes = capacity * (8 + 8 + 4 + 1 + 1)
    private let times: UnsafeMutablePointer<Int64>
    private(set) var count = 0

    /// Takes ``bytes`` bytes of memory, aligned to eight.
    @unsafe @inline(__always)
    init(_ memory: UnsafeMutableRawPointer) {
      unsafe times = memory.bindMemory(to: Int64.self, capacity: Self.capacity)
    }

    /// The other columns lie behind the times.
    @inline(__always)
    private func column<Element>(_ offset: Int) -> UnsafeMutablePointer<Element> {
      unsafe (UnsafeMutableRawPointer(times) + Self.capacity * offset)
        .bindMemory(to: Element.self, capacity: Self.capacity)
    }
    private var values: UnsafeMutablePointer<Double> { unsafe column(8) }
    private var channels: UnsafeMutablePointer<UInt32> { unsafe column(16) }
    private var statuses: UnsafeMutablePointer<UInt8> { unsafe column(20) }
    private var flags: UnsafeMutablePointer<UInt8> { unsafe column(21) }

    @inline(__always)
    mutating func append(_ reading: Reading, _ sequence: UInt64, _ batch: inout ReadingBatch) {
      if count == Self.capacity { flush(sequence, to: &batch) }
      unsafe times[count] = reading.time.milliseconds
      unsafe values[count] = reading.value
      unsafe channels[count] = reading.channel.rawValue
      unsafe statuses[count] = reading.status.rawValue
      unsafe flags[count] = reading.flags.rawValue
      count &+= 1
    }

    @inline(__always)
    mutating func flush(_ sequence: UInt64, to batch: inout ReadingBatch) {
      if count == 0 { return }
      if count == 1 {
        batch.append(
          unsafe Reading(
            channel: ChannelIndex(rawValue: channels[0]),
            time: Timestamp(milliseconds: times[0]),
            value: values[0],
            status: SourceStatus(rawValue: statuses[0]) ?? .unknown,
            flags: ReadingFlags(rawValue: flags[0])
          ),
          sequence: sequence
        )
        count = 0
      } else {
        flushColumns(sequence, to: &batch)
      }
    }

    @inline(never)
    private mutating func flushColumns(_ sequence: UInt64, to batch: inout ReadingBatch) {
      unsafe batch.append(
        times: UnsafeBufferPointer(start: times, count: count),
        values: UnsafeBufferPointer(start: values, count: count),
        channels: UnsafeBufferPointer(start: channels, count: count),
        statuses: UnsafeBufferPointer(start: statuses, count: count),
        flags: UnsafeBufferPointer(start: flags, count: count),
        sequence: sequence
      )
      count = 0
    }
  }

  /// True when the message was read; with false the batch is as it was.
  mutating func decodeDirectly(
    _ payload: ByteView,
    _ message: DirectMessage,
    _ batch: inout ReadingBatch
  ) -> Bool {
    guard let text = DirectJSON(payload) else { return false }
    return unsafe withUnsafeTemporaryAllocation(byteCount: Waiting.bytes, alignment: 8) { memory in
      guard let base = memory.baseAddress else { return false }
      let first = batch.count
      var course = unsafe Course(hint, Waiting(base))
      let start = text[0] > 0x20 ? 0 : text.afterSpace(0)
      let end: Int
      switch text[start] {
      case 0x7B: end = directRecord(text, start &+ 1, nil, message, &course, &batch)
      case 0x5B: end = directRecords(text, start &+ 1, Record(), message, &course, &batch)
      default: return false
      }
      guard end >= 0, end == payload.count || text.afterSpace(end) == payload.count,
        batch.count &- first &+ course.waiting.count <= hot.readingsLimit
      else {
        if batch.count > first { batch.truncate(to: first) }
        return false
      }
      course.waiting.flush(message.sequence, to: &batch)
      hint.device = course.device
      hint.time = course.hint.time
      if course.device >= 0 {
        hint.place = course.point &- hot[device: course.device].lowerBound &- 1
      }
      return true
    }
  }

  /// The place behind the records of a list that begin at `start`; −1 for anything unusual, here and below.
  @inline(never)
  private mutating func directRecords(
    _ text: DirectJSON,
    _ start: Int,
    _ envelope: Record,
    _ message: DirectMessage,
    _ course: inout Course,
    _ batch: inout ReadingBatch
  ) -> Int {
    var at = text.after(0x5D, at: start)
    if at >= 0 { return at }
    at = start
    while true {
      at = text.after(0x7B, at: at)
      guard at >= 0 else { return -1 }
      at = directRecord(text, at, envelope, message, &course, &batch)
      guard at >= 0 else { return -1 }
      let (isLast, behind) = text.separator(0x5D, at: at)
      if isLast { return behind }
      at = behind
    }
  }

  /// The place behind a record whose members begin at `start`.
  ///
  /// Without an envelope it is the message itself, and may be an envelope.
  @inline(__always)
  private mutating func directRecord(
    _ text: DirectJSON,
    _ start: Int,
    _ envelope: Record?,
    _ message: DirectMessage,
    _ course: inout Course,
    _ batch: inout ReadingBatch
  ) -> Int {
    var record = Record()
    var pointName = DirectJSON.Text()
    var value = 0.0
    var at = start
    while true {
      let (member, behind) = text.member(at: at)
      guard let member, record.seen & member.rawValue == 0 else { return -1 }
      record.seen |= member.rawValue
      switch member {
      case .time: (record.time, at) = text.time(at: behind, &course.hint.time)
      case .value: (value, at) = text.value(at: behind)
      case .point:
        // Compared with the one that probably comes, like that of a device; and here, because a call would copy the decoder.
        let expected = course.device >= 0 ? hot.pointName(course.point) : .unknown
        pointName = text.text(at: behind, expected: expected)
        at = pointName.end
      case .device:
        record.device = directDeviceText(text, behind, message, &course)
        at = record.device.end
      case .status:
        record.status = text.statusText(at: behind)
        at = record.status.end
      case .unit:
        record.unit = text.text(at: behind)
        at = record.unit.end
      // What these hold needs what stands beside them: that has to have come before, and nothing may follow.
      case .readings:
        let list = text.after(0x5B, at: behind)
        guard envelope == nil, list >= 0, record.hasOnly(.device, .time, .readings) else {
          return -1
        }
        at = directRecords(text, list, record, message, &course, &batch)
        return at < 0 ? -1 : text.after(0x7D, at: at)
      case .values:
        let list = text.after(0x7B, at: behind)
        guard list >= 0, record.hasOnly(.device, .time, .status, .values) else { return -1 }
        Self.inherit(envelope, &record)
        at = directValues(text, list, record, message, &course, &batch)
        return at < 0 ? -1 : text.after(0x7D, at: at)
      }
      guard at >= 0 else { return -1 }
      let (isLast, next) = text.separator(0x7D, at: at)
      at = next
      if isLast { break }
    }
    guard at >= 0, record.seen & Member.value.rawValue != 0 else { return -1 }
    Self.inherit(envelope, &record)
    let device = directDevice(text, record.device, message, &course)
    let point = directPoint(text, pointName, device, message, &course)
    let isRead = directReading(
      text,
      record,
      point,
      value,
      message,
      &course,
      &batch,
      isAlone: envelope == nil
    )
    return isRead ? at : -1
  }

  @inline(__always)
  private static func inherit(_ envelope: Record?, _ record: inout Record) {
    guard let envelope else { return }
    if record.device.isAbsent { record.device = envelope.device }
    if record.seen & Member.time.rawValue == 0 {
      record.time = envelope.time
      record.seen |= envelope.seen & Member.time.rawValue
    }
  }

  /// The place behind the members of `values`, which begin at `start`: names with numbers only.
  @inline(never)
  private mutating func directValues(
    _ text: DirectJSON,
    _ start: Int,
    _ record: Record,
    _ message: DirectMessage,
    _ course: inout Course,
    _ batch: inout ReadingBatch
  ) -> Int {
    let device = directDevice(text, record.device, message, &course)
    guard device >= 0 else { return -1 }
    var at = text.after(0x7D, at: start)
    if at >= 0 { return at }
    at = start
    let points = hot[device: device]
    // A name that comes twice is refused, and has to be found. That of a point and another of its names are not told
    // apart here, nor are points that have no bit.
    var seen: UInt64 = 0
    while true {
      let name = text.text(at: at)
      at = text.after(0x3A, at: name.end)
      guard at >= 0 else { return -1 }
      let (value, end) = text.value(at: at)
      let point = directPoint(text, name, device, message, &course)
      let place = point &- points.lowerBound
      let bit = 1 as UInt64 &<< UInt64(truncatingIfNeeded: place)
      guard end >= 0, place < 64, seen & bit == 0,
        directReading(text, record, point, value, message, &course, &batch, isAlone: false)
      else { return -1 }
      seen |= bit
      let (isLast, behind) = text.separator(0x7D, at: end)
      if isLast { return behind }
      at = behind
    }
  }

  /// The row of the device named, or of the topic's; −1 for none.
  @inline(__always)
  private mutating func directDevice(
    _ text: DirectJSON,
    _ name: DirectJSON.Text,
    _ message: DirectMessage,
    _ course: inout Course
  ) -> Int {
    // Records below one envelope share its device: the same place in the text is the same row.
    if course.device >= 0, name.offset == course.deviceOffset { return course.device }
    return directOtherDevice(text, name, message, &course)
  }

  @inline(never)
  private mutating func directOtherDevice(
    _ text: DirectJSON,
    _ name: DirectJSON.Text,
    _ message: DirectMessage,
    _ course: inout Course
  ) -> Int {
    let row = directNewDevice(text, name, message, course.hint)
    if row >= 0 { enter(row, name.offset, &course) }
    return row
  }

  /// Goes on with the device at `row`, whose name stands at `offset` of the text.
  @inline(__always)
  private mutating func enter(_ row: Int, _ offset: UInt32, _ course: inout Course) {
    if course.device >= 0 {
      course.hint.place = course.point &- hot[device: course.device].lowerBound &- 1
    }
    // The next record of this message is looked for behind this one, like the next message behind the last.
    course.hint.device = row
    course.device = row
    course.deviceOffset = offset
    let points = hot[device: row]
    course.point = points.lowerBound &+ course.hint.place &+ 1
    if course.point >= points.upperBound { course.point = points.lowerBound }
  }

  /// The name of a device, compared with the one that probably comes before it is looked for where it ends.
  @inline(__always)
  private mutating func directDeviceText(
    _ text: DirectJSON,
    _ start: Int,
    _ message: DirectMessage,
    _ course: inout Course
  ) -> DirectJSON.Text {
    let row = course.hint.device &+ 1
    let length = hot.plainName(row, scope: message.ownScope)
    guard length > 0, let name = text.text(at: start, length: length),
      hot.isName(row, text.view(name))
    else { return text.text(at: start) }
    enter(row, name.offset, &course)
    return name
  }

  @inline(__always)
  private mutating func directNewDevice(
    _ text: DirectJSON,
    _ name: DirectJSON.Text,
    _ message: DirectMessage,
    _ hint: Hint
  ) -> Int {
    guard !name.isAbsent else { return directSearchedDevice(nil, topic: message.topic) }
    let view = text.view(name)
    let scope = message.ownScope
    if hot.isDevice(hint.device &+ 1, scope: scope, name: view) { return hint.device &+ 1 }
    if hot.isDevice(hint.device, scope: scope, name: view) { return hint.device }
    return directSearchedDevice(view, topic: message.topic)
  }

  /// The row of the point named, of the topic's or of the only one; −1 for none.
  @inline(__always)
  private mutating func directPoint(
    _ text: DirectJSON,
    _ name: DirectJSON.Text,
    _ device: Int,
    _ message: DirectMessage,
    _ course: inout Course
  ) -> Int {
    guard device >= 0 else { return -1 }
    if !name.isAbsent,
      hot.isPoint(course.point, device: device, word: name.word, length: Int(name.length))
    {
      course.point &+= 1
      return course.point &- 1
    }
    let found = directSearchedPoint(text, name, device, message.topic)
    if found >= 0 { course.point = found &+ 1 }
    return found
  }

  @inline(never)
  private mutating func directSearchedPoint(
    _ text: DirectJSON,
    _ name: DirectJSON.Text,
    _ device: Int,
    _ topic: Int
  ) -> Int {
    if name.length > 0, name.length <= 8 {
      let scope = UInt32(truncatingIfNeeded: device)
      return hot.pointNames.find(text.view(name), word: name.word, scope: scope).map { Int($0) }
        ?? -1
    }
    if !name.isAbsent { return findPoint(text.view(name), device: device) ?? -1 }
    if let point = directPointOfTopic(topic, device: device) { return point }
    let points = hot[device: device]
    return points.count == 1 ? points.lowerBound : -1
  }

  /// Status, unit and scale of one reading; false for whatever would have to be told.
  @inline(__always)
  private mutating func directReading(
    _ text: DirectJSON,
    _ record: Record,
    _ index: Int,
    _ value: Double,
    _ message: DirectMessage,
    _ course: inout Course,
    _ batch: inout ReadingBatch,
    isAlone: Bool
  ) -> Bool {
    guard index >= 0 else { return false }
    let point = hot[point: index]
    var status = SourceStatus.normal
    if !record.status.isAbsent {
      guard let known = directStatus(text, record.status, Int(point.device), message.topic) else {
        return false
      }
      status = known
    }
    // Another unit than the source's own, and one longer than a word, is somebody else's work.
    if !record.unit.isAbsent {
      guard record.unit.length <= 8, Int(record.unit.length) == Int(point.unitLength),
        record.unit.word == point.unitWord
      else { return false }
    }
    let scaled = converted(value, scale: point.scale, offset: point.offset)
    let isTimed = record.seen & Member.time.rawValue != 0
    let time = isTimed ? record.time : message.received.milliseconds
    guard scaled.isFinite, isSane(time, message.received) else { return false }
    let reading = Reading(
      channel: point.channel,
      time: Timestamp(milliseconds: time),
      value: scaled,
      status: status,
      flags: isTimed ? [] : .receiveTimed
    )
    // A message's only reading need not wait for others.
    if isAlone {
      batch.append(reading, sequence: message.sequence)
    } else {
      course.waiting.append(reading, message.sequence, &batch)
    }
    return true
  }

  @inline(__always)
  private mutating func directStatus(
    _ text: DirectJSON,
    _ code: DirectJSON.Text,
    _ device: Int,
    _ topic: Int
  ) -> SourceStatus? {
    // "normal", where neither device nor route has a table that could make it something else.
    if code.word == 0x6C61_6D72_6F6E, code.length == 6, !hot.hasStatusCodes { return .normal }
    return directSearchedStatus(text.view(code), device: device, topic: topic)
  }
}
