internal import Synchronization
internal import Telemetry

/// SenML in JSON and in CBOR (RFC 8428).
extension Decoder {
  func decodeSenMLJSON(
    _ document: JSONDocument,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    guard document[0].kind == .array else {
      refuse(message, .wrongType, "", "a SenML pack is an array", &notes)
      return
    }
    var base = SenML.Base()
    var element = 1
    for number in 0..<document[0].extra {
      do throws(SenML.PackError) {
        let record = try senMLRecord(document, element)
        try base.take(record)
        senMLReading(record, base, number, message, &batch, &notes)
      } catch {
        // What the base fields say from here on is not known, so nothing of the pack is.
        dropMessage(message, &batch, &notes)
        refuse(message, error.reason, "/\(number)", error.detail, &notes)
        return
      }
      element = document.after(element)
    }
  }

  /// Takes back what a message has given so far.
  func dropMessage(
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    batch.truncate(to: message.firstReading)
    notes.removeLast(notes.count - message.firstNote)
    trace?.fields.withLock { fields in fields.removeAll { $0.place != "topic" } }
  }

  private func senMLRecord(
    _ document: JSONDocument,
    _ index: Int
  ) throws(SenML.PackError) -> SenML.Record {
    guard document[index].kind == .object else {
      throw SenML.PackError(reason: .wrongType, detail: "a SenML record is an object")
    }
    var record = SenML.Record()
    var member = index + 1
    for _ in 0..<document[index].extra {
      let value = member + 1
      let isPlain = document[member].kind == .string
      let field =
        isPlain
        ? SenML.Field(label: document.raw(member))
        : document.unescaped(member).withView { SenML.Field(label: $0) }
      if let field {
        let content: SenML.Content
        switch document[value].kind {
        case .integer: content = .number(Double(Int64(bitPattern: document[value].bits)))
        case .double: content = .number(Double(bitPattern: document[value].bits))
        case .huge: content = .number(.infinity)
        case .string, .escaped: content = .text(document.unescaped(value))
        case .true: content = .bool(true)
        case .false: content = .bool(false)
        case .null, .object, .array: content = .other
        }
        try SenML.set(field, content, in: &record)
      } else if case let label = document.unescaped(member), label.last == 0x5F {
        // A label that ends with an underscore must be understood (section 4.4).
        throw SenML.PackError(
          reason: .unsupportedFormat,
          detail: "the mandatory field \(String(decoding: label, as: UTF8.self))"
        )
      }
      member = document.after(value)
    }
    return record
  }

  func decodeSenMLCBOR(
    _ payload: ByteView,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    var cursor = CBORCursor(payload)
    do {
      try senMLPack(&cursor, message, &batch, &notes)
    } catch let error as CBORCursor.Failure {
      dropMessage(message, &batch, &notes)
      refuse(message, .malformedPayload, "byte \(error.offset)", "\(error.detail)", &notes)
    } catch let error as SenML.PackError {
      dropMessage(message, &batch, &notes)
      refuse(message, error.reason, "byte \(cursor.position)", error.detail, &notes)
    } catch {
      dropMessage(message, &batch, &notes)
      refuse(message, .malformedPayload, "byte \(cursor.position)", "\(error)", &notes)
    }
  }

  private func senMLPack(
    _ cursor: inout CBORCursor,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) throws {
    let pack = try cursor.head()
    guard pack.major == 4 else {
      throw SenML.PackError(reason: .wrongType, detail: "a SenML pack is an array")
    }
    guard pack.argument <= UInt64(cursor.bytes.count) else {
      throw cursor.failure("an array longer than the payload")
    }
    var base = SenML.Base()
    var number = 0
    while pack.isIndefinite ? !cursor.takeBreak() : number < Int(pack.argument) {
      let record = try senMLRecord(&cursor)
      try base.take(record)
      senMLReading(record, base, number, message, &batch, &notes)
      number += 1
    }
    guard cursor.isAtEnd else { throw cursor.failure("something follows the pack") }
  }

  private func senMLRecord(_ cursor: inout CBORCursor) throws -> SenML.Record {
    let map = try cursor.head()
    guard map.major == 5 else {
      throw SenML.PackError(reason: .wrongType, detail: "a SenML record is a map")
    }
    guard map.argument <= UInt64(cursor.bytes.count) else {
      throw cursor.failure("a map longer than the payload")
    }
    var record = SenML.Record()
    var members = 0
    while map.isIndefinite ? !cursor.takeBreak() : members < Int(map.argument) {
      members += 1
      let key = try cursor.head()
      var field: SenML.Field?
      switch key.major {
      case 0 where key.argument < 1_000: field = SenML.Field(cborLabel: Int(key.argument))
      case 1 where key.argument < 1_000: field = SenML.Field(cborLabel: -1 - Int(key.argument))
      case 3:
        let label = try cursor.string(key)
        field = label.withView { SenML.Field(label: $0) }
        if field == nil, label.last == 0x5F {
          throw SenML.PackError(
            reason: .unsupportedFormat,
            detail: "the mandatory field \(String(decoding: label, as: UTF8.self))"
          )
        }
      default: try cursor.skip(key, depth: plan.limits.depth)
      }
      let value = try cursor.head()
      guard let field else {
        try cursor.skip(value, depth: plan.limits.depth)
        continue
      }
      try SenML.set(field, senMLContent(&cursor, value), in: &record)
    }
    return record
  }

  private func senMLContent(
    _ cursor: inout CBORCursor,
    _ head: CBORCursor.Head
  ) throws -> SenML.Content {
    switch (head.major, head.info) {
    case (7, 20): return .bool(false)
    case (7, 21): return .bool(true)
    case (3, _): return .text(try cursor.string(head))
    case (2, _): return .data(try cursor.string(head))
    default:
      if let number = try cursor.number(head) { return .number(number) }
      try cursor.skip(head, depth: plan.limits.depth)
      return .other
    }
  }

  // MARK: Readings

  private func senMLReading(
    _ record: SenML.Record,
    _ base: SenML.Base,
    _ number: Int,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    // A record of base fields only sets the stage for those that follow.
    if record.isBaseOnly { return }
    let resolved = SenML.resolve(record, base)
    // Texts for people are made when somebody is told, not for each reading.
    var place: String { "/\(number)" }
    var name: String { String(decoding: resolved.name, as: UTF8.self) }
    if let label = record.badField {
      reject(
        message,
        .wrongType,
        device: name,
        place: "\(place)/\(label)",
        detail: "\(label) has the wrong type",
        &notes
      )
      return
    }
    guard SenML.isName(resolved.name) else {
      reject(
        message,
        resolved.name.isEmpty ? .missingField : .malformedPayload,
        device: name,
        place: "\(place)/n",
        detail: "\"\(name)\" is not a SenML name",
        &notes
      )
      return
    }
    guard let value = senMLValue(resolved, name: name, place: place, message, &notes) else {
      return
    }
    let target: (device: Int, point: Int)
    switch senMLTarget(resolved.name, base: base.name, message.match) {
    case .found(let device, let point): target = (device, point)
    case .refused(let reason):
      reject(message, reason, device: name, place: "\(place)/n", detail: name, &notes)
      return
    }
    var draft = Draft(point: target.point, value: value)
    if let flag = resolved.bool, !isUnitless(draft) {
      refuseFlag("\(flag)", draft, place: "\(place)/vb", message, &notes)
      return
    }
    guard takeSenMLTime(of: resolved, name: name, place: place, message, &draft, &notes) else {
      return
    }
    if let unit = resolved.unit, unit != plan.points[target.point].sourceUnit, value.isFinite {
      guard
        let converted = convert(
          String(decoding: unit, as: UTF8.self),
          value,
          point: target.point,
          place: "\(place)/u",
          message,
          &notes
        )
      else { return }
      draft.value = converted
    }
    emit(draft, message, place: place, &batch, &notes)
  }

  /// The number of a record; nil, and it is refused, where it has none, or several values.
  private func senMLValue(
    _ resolved: SenML.Resolved,
    name: @autoclosure () -> String,
    place: @autoclosure () -> String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Double? {
    let values =
      (resolved.value != nil ? 1 : 0) + (resolved.text != nil ? 1 : 0)
      + (resolved.bool != nil ? 1 : 0) + (resolved.data != nil ? 1 : 0)
    guard values == 1 else {
      let sumOnly = values == 0 && resolved.sum != nil
      reject(
        message,
        values == 0 ? .missingField : .unsupportedFormat,
        device: name(),
        place: place(),
        detail: sumOnly ? "only a sum" : values == 0 ? "no value" : "several values",
        &notes
      )
      return nil
    }
    guard let value = resolved.value ?? resolved.bool.map({ $0 ? 1 : 0 }) else {
      reject(
        message,
        .wrongType,
        device: name(),
        place: place(),
        detail: "text or data where a number is needed",
        &notes
      )
      return nil
    }
    return value
  }

  /// Takes a record's time; false, and it is refused, where it is none.
  private func takeSenMLTime(
    of resolved: SenML.Resolved,
    name: @autoclosure () -> String,
    place: @autoclosure () -> String,
    _ message: Message,
    _ draft: inout Draft,
    _ notes: inout [DecodingNote]
  ) -> Bool {
    guard resolved.isTimed else { return true }
    let seconds = resolved.time
    if seconds < SenML.absoluteTime {
      // Relative to now: it says nothing of the device's clock.
      guard seconds > -1e12 else {
        reject(
          message,
          .timeOutOfRange,
          device: name(),
          place: "\(place())/t",
          detail: "\(seconds) s from now",
          &notes
        )
        return false
      }
      // No measurement is of a time to come: a count since a device's start would hide all that follows it.
      draft.time = message.received.milliseconds + Int64((min(seconds, 0) * 1_000).rounded())
      draft.flags.insert(.receiveTimed)
      return true
    }
    guard let time = TimeText.epoch(seconds, .epochSeconds) else {
      reject(
        message,
        .timeMalformed,
        device: name(),
        place: "\(place())/t",
        detail: "\(seconds)",
        &notes
      )
      return false
    }
    draft.time = time
    return true
  }

  private enum Target {
    case found(device: Int, point: Int)
    case refused(RejectReason)
  }

  /// Device and point of a resolved name.
  ///
  /// With a device in the topic the name is the point's. Otherwise the base name is tried as the
  /// device, then every beginning of the name that ends at a separator, the longest first.
  private func senMLTarget(
    _ name: [UInt8],
    base: [UInt8],
    _ match: TopicMatch
  ) -> Target {
    if let topicDevice = match.device {
      switch topicDevice.withView({ findDevice($0, match) }) {
      case .refused(let reason): return .refused(reason)
      case .row(let row):
        if let point = name.withView({ findPoint($0, device: row) }) {
          return .found(device: row, point: point)
        }
        // Many put the device into the name as well.
        if name.starts(with: topicDevice) {
          let rest = Array(name.dropFirst(topicDevice.count).drop { SenML.isSeparator($0) })
          if let point = rest.withView({ findPoint($0, device: row) }) {
            return .found(device: row, point: point)
          }
        }
        return .refused(.unknownPoint)
      }
    }
    return name.withView { name in
      var refusal = RejectReason.unknownDevice
      /// Tries the first `end` bytes as the device and what follows `start` as the point.
      func attempt(_ end: Int, _ start: Int) -> Target? {
        switch findDevice(name[0..<end], match) {
        case .refused(let reason):
          if reason != .unknownDevice { refusal = reason }
          return nil
        case .row(let row):
          if start >= name.count {
            return plan.devices[row].onlyPoint.map { .found(device: row, point: $0) }
              ?? .refused(.unknownPoint)
          }
          if let point = findPoint(name[start..<name.count], device: row) {
            return .found(device: row, point: point)
          }
          refusal = .unknownPoint
          return nil
        }
      }
      var end = base.count
      if end > 0, end <= name.count {
        while end > 0, SenML.isSeparator(name[end - 1]) { end -= 1 }
        if end > 0, let found = attempt(end, base.count) { return found }
        if end < base.count, let found = attempt(base.count, base.count) { return found }
      }
      if let found = attempt(name.count, name.count) { return found }
      var index = name.count - 1
      // Names are short; a long one is not worth more than this many tries.
      var tries = 16
      while index > 0, tries > 0 {
        if SenML.isSeparator(name[index]) {
          if let found = attempt(index, index + 1) { return found }
          if let found = attempt(index + 1, index + 1) { return found }
          tries -= 1
        }
        index -= 1
      }
      return .refused(refusal)
    }
  }
}
