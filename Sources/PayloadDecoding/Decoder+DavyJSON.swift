internal import Telemetry

/// Davy's own JSON: one reading, several values of one device, or many readings.
extension Decoder {
  /// Where the members of a record stand; −1 for absent.
  private struct Fields {
    var device = -1
    var point = -1
    var time = -1
    var value = -1
    var status = -1
    var unit = -1
    var values = -1
    var readings = -1
    var historical = -1
  }

  /// What the next record of a message probably speaks of, tried before it is searched for.
  private struct Guess {
    /// Where the device was named that `device` is the row of; −1 for none.
    var deviceField = -1
    var device = 0
    /// The point behind the last one.
    var point = Int.max
  }

  /// What an object is: each kind has members that would mean nothing in it.
  private enum Level {
    case envelope
    case record
    /// The object of one point, below `values`.
    case member
  }

  /// Where a record stands in the text.
  private struct Path {
    var list: StaticString = ""
    var index = -1

    func pointer(_ member: String) -> String {
      let record = index < 0 ? "" : "\(list)/\(index)"
      return member.isEmpty ? record : record + "/" + member
    }
  }

  func decodeDavyJSON(
    _ document: JSONDocument,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    let root = document[0]
    switch root.kind {
    case .object:
      let fields = collect(document, 0) { Path().pointer($0) }
      if fields.readings >= 0 {
        let list = document[fields.readings]
        guard list.kind == .array else {
          refuse(message, .wrongType, "/readings", "readings has to be an array", &notes)
          return
        }
        if let found = misplaced(fields, in: .envelope) {
          refuse(message, .unsupportedFormat, "/" + found.member, found.detail, &notes)
          return
        }
        for field in [fields.device, fields.point, fields.status, fields.unit]
        where field >= 0 && document.isScalar(field, longerThan: Self.wordLimit) {
          refuse(
            message,
            .unsupportedFormat,
            "/" + document.text(field - 1),
            "\(document[field].extra) bytes beside readings; at most \(Self.wordLimit)",
            &notes
          )
          return
        }
        records(
          document,
          fields.readings,
          "/readings",
          fields,
          message,
          &batch,
          &notes
        )
      } else {
        var guess = Guess()
        record(document, fields, Path(), message, &guess, &batch, &notes)
      }
    case .array:
      records(document, 0, "", Fields(), message, &batch, &notes)
    default:
      refuse(message, .wrongType, "", "neither an object nor an array", &notes)
    }
  }

  private func records(
    _ document: JSONDocument,
    _ array: Int,
    _ list: StaticString,
    _ envelope: Fields,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    var element = array + 1
    var guess = Guess()
    for index in 0..<document[array].extra {
      let path = Path(list: list, index: index)
      if document[element].kind == .object {
        var fields = collect(document, element) { path.pointer($0) }
        // What the records have in common may stand once, beside `readings`.
        if fields.device < 0 { fields.device = envelope.device }
        if fields.time < 0 { fields.time = envelope.time }
        if fields.status < 0 { fields.status = envelope.status }
        // The members of `values` name their points themselves.
        if fields.point < 0, fields.values < 0 { fields.point = envelope.point }
        // A unit of null says nothing.
        if fields.unit < 0 || document[fields.unit].kind == .null { fields.unit = envelope.unit }
        if fields.historical < 0 { fields.historical = envelope.historical }
        record(document, fields, path, message, &guess, &batch, &notes)
      } else {
        reject(
          message,
          .wrongType,
          place: path.pointer(""),
          detail: document.excerpt(element) + " where an object is needed",
          &notes
        )
      }
      element = document.after(element)
    }
  }

  @inline(__always)
  private func collect(
    _ document: JSONDocument,
    _ object: Int,
    _ place: (String) -> String
  ) -> Fields {
    var fields = Fields()
    var member = object &+ 1
    for _ in 0..<document[object].extra {
      let name = document[member]
      let value = member &+ 1
      // Names as eight little-endian bytes: one comparison for each.
      switch (name.bits, name.info) {
      case (0x6563_6976_6564, 6 | 6 << 4): fields.device = value
      case (0x74_6E69_6F70, 6 | 5 << 4): fields.point = value
      case (0x74, 6 | 1 << 4): fields.time = value
      case (0x76, 6 | 1 << 4): fields.value = value
      case (0x73, 6 | 1 << 4): fields.status = value
      case (0x7469_6E75, 6 | 4 << 4): fields.unit = value
      case (0x7365_756C_6176, 6 | 6 << 4): fields.values = value
      case (0x7367_6E69_6461_6572, 6 | 8 << 4): fields.readings = value
      default: collectOther(document, member, place, &fields)
      }
      member = document.after(value)
    }
    return fields
  }

  @inline(never)
  private func collectOther(
    _ document: JSONDocument,
    _ member: Int,
    _ place: (String) -> String,
    _ fields: inout Fields
  ) {
    let value = member + 1
    switch document.text(member) {
    case "device": fields.device = value
    case "point": fields.point = value
    case "t": fields.time = value
    case "v": fields.value = value
    case "s": fields.status = value
    case "unit": fields.unit = value
    case "values": fields.values = value
    case "readings": fields.readings = value
    case "historical": fields.historical = value
    case let name:
      explain(
        place(Self.escapedToken(name)),
        document.excerpt(value),
        DavyJSONMember.ignored(name),
        .ignored
      )
    }
  }

  /// A member that nothing would read where it stands, and where it belongs; nil when there is none.
  ///
  /// Passed over in silence it would be a reading lost, or a reading of another point, in another unit or of another time.
  @inline(__always)
  private func misplaced(
    _ fields: Fields,
    in level: Level
  ) -> (member: String, detail: String)? {
    switch level {
    case .envelope:
      if fields.value >= 0 {
        return ("v", "v beside readings: make it a record of readings")
      }
      if fields.values >= 0 {
        return ("values", "values beside readings: make them a record of readings")
      }
    case .record:
      if fields.readings >= 0 {
        return ("readings", "readings inside a record: send them as a message of their own")
      }
      if fields.values >= 0, fields.point >= 0 {
        return ("point", "point beside values, whose members name their points: leave it out")
      }
    case .member:
      if fields.device >= 0 {
        return ("device", "device inside a member of values: send a record of the device")
      }
      if fields.point >= 0 {
        return ("point", "point inside a member of values, whose name says it: leave it out")
      }
      if fields.values >= 0 {
        return ("values", "values inside a member of values: name each point in the outer one")
      }
      if fields.readings >= 0 {
        return ("readings", "readings inside a member of values: send records instead")
      }
    }
    return nil
  }

  /// Takes the time and the mark of history; false when one was refused.
  @inline(__always)
  private func takeTime(
    _ document: JSONDocument,
    _ fields: Fields,
    _ draft: inout Draft,
    device: Int,
    point: @autoclosure () -> String = "",
    _ place: (String) -> String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Bool {
    if fields.time >= 0 {
      guard let time = davyTime(document, fields.time) else {
        reject(
          message,
          .timeMalformed,
          device: plan.devices[device].id,
          point: point(),
          place: place("t"),
          detail: document.excerpt(fields.time),
          &notes
        )
        return false
      }
      draft.time = time
    }
    if fields.historical >= 0 {
      switch document[fields.historical].kind {
      case .true: draft.flags.insert(.historical)
      case .false: draft.flags.remove(.historical)
      default:
        reject(
          message,
          .wrongType,
          device: plan.devices[device].id,
          point: point(),
          place: place("historical"),
          detail: document.excerpt(fields.historical) + " where true or false is needed",
          &notes
        )
        return false
      }
    }
    return true
  }

  private func record(
    _ document: JSONDocument,
    _ fields: Fields,
    _ path: Path,
    _ message: Message,
    _ guess: inout Guess,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    // Records below one envelope share its device: the same place in the text is the same row.
    if fields.device < 0 || fields.device != guess.deviceField {
      guard let found = nextDevice(document, fields.device, path, message, guess, &notes) else {
        return
      }
      guess.deviceField = fields.device
      guess.device = found
    }
    let device = guess.device
    if let found = misplaced(fields, in: .record) {
      reject(
        message,
        .unsupportedFormat,
        device: plan.devices[device].id,
        place: path.pointer(found.member),
        detail: found.detail,
        &notes
      )
      return
    }
    var draft = Draft(point: 0, value: 0)
    guard
      takeTime(
        document,
        fields,
        &draft,
        device: device,
        { path.pointer($0) },
        message,
        &notes
      )
    else { return }
    guard fields.values >= 0 else {
      davySingle(document, fields, draft, device, path, message, &guess, &batch, &notes)
      return
    }
    guard document[fields.values].kind == .object, fields.value < 0 else {
      let both = fields.value >= 0
      reject(
        message,
        both ? .unsupportedFormat : .wrongType,
        device: plan.devices[device].id,
        place: path.pointer("values"),
        detail: both ? "both v and values" : document.excerpt(fields.values),
        &notes
      )
      return
    }
    var member = fields.values + 1
    for _ in 0..<document[fields.values].extra {
      davyMember(document, member, fields, draft, device, path, message, &guess, &batch, &notes)
      member = document.after(member + 1)
    }
  }

  /// The device named at `field`, tried first as the last one and the one behind it.
  @inline(never)
  private func nextDevice(
    _ document: JSONDocument,
    _ field: Int,
    _ path: Path,
    _ message: Message,
    _ guess: Guess,
    _ notes: inout [DecodingNote]
  ) -> Int? {
    if guess.deviceField >= 0, field >= 0, document[field].kind == .string {
      let name = document.raw(field)
      for row in guess.device...guess.device &+ 1
      where hot.isDevice(row, scope: message.match.ownScope, name: name) {
        return row
      }
    }
    return davyDevice(document, field, path, message, &notes)
  }

  private func davyDevice(
    _ document: JSONDocument,
    _ field: Int,
    _ path: Path,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Int? {
    let found: Found
    if field >= 0 {
      switch document[field].kind {
      case .string: found = findDevice(document.raw(field), message.match)
      case .escaped:
        found = document.unescaped(field).withView { findDevice($0, message.match) }
      default:
        reject(
          message,
          .wrongType,
          place: path.pointer("device"),
          detail: document.excerpt(field) + " where text is needed",
          &notes
        )
        return nil
      }
    } else if let device = message.match.device {
      found = device.withView { findDevice($0, message.match) }
    } else {
      reject(message, .missingField, place: path.pointer("device"), detail: "no device", &notes)
      return nil
    }
    switch found {
    case .row(let row): return row
    case .refused(let reason):
      let name =
        field >= 0
        ? document.text(field) : String(decoding: message.match.device ?? [], as: UTF8.self)
      reject(
        message,
        reason,
        device: name,
        place: path.pointer("device"),
        detail: name,
        &notes
      )
      return nil
    }
  }

  @inline(__always)
  private func davyTime(_ document: JSONDocument, _ field: Int) -> Int64? {
    let node = document[field]
    switch node.kind {
    case .integer: return Int64(bitPattern: node.bits)
    case .double: return TimeText.epoch(Double(bitPattern: node.bits), .epochMilliseconds)
    case .string: return TimeText.dateTime(document.raw(field), utcOffsetMinutes: nil)
    default: return nil
    }
  }

  /// The point named at `field`, tried first at the guess, which moves behind it.
  @inline(__always)
  private func nextPoint(
    _ document: JSONDocument,
    _ field: Int,
    _ device: Int,
    _ guess: inout Guess
  ) -> Int? {
    let name = document[field]
    if hot.isPoint(guess.point, device: device, word: name.bits, length: name.extra) {
      guess.point &+= 1
      return guess.point &- 1
    }
    guard let found = findPoint(document.raw(field), device: device) else { return nil }
    guess.point = found &+ 1
    return found
  }

  @inline(__always)
  private func davySingle(
    _ document: JSONDocument,
    _ fields: Fields,
    _ template: Draft,
    _ device: Int,
    _ path: Path,
    _ message: Message,
    _ guess: inout Guess,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    var draft = template
    let found: Int?
    if fields.point >= 0 {
      switch document[fields.point].kind {
      case .string: found = nextPoint(document, fields.point, device, &guess)
      case .escaped:
        found = document.unescaped(fields.point).withView { findPoint($0, device: device) }
      default:
        reject(
          message,
          .wrongType,
          device: plan.devices[device].id,
          place: path.pointer("point"),
          detail: document.excerpt(fields.point) + " where text is needed",
          &notes
        )
        return
      }
    } else if let point = message.match.point {
      found = point.withView { findPoint($0, device: device) }
    } else if let only = plan.devices[device].onlyPoint {
      found = only
    } else {
      reject(
        message,
        .missingField,
        device: plan.devices[device].id,
        place: path.pointer("point"),
        detail: "no point, and the device has several",
        &notes
      )
      return
    }
    guard let found else {
      let name =
        fields.point >= 0
        ? document.text(fields.point) : String(decoding: message.match.point ?? [], as: UTF8.self)
      reject(
        message,
        .unknownPoint,
        device: plan.devices[device].id,
        point: name,
        place: path.pointer("point"),
        detail: name,
        &notes
      )
      return
    }
    draft.point = found
    davyValue(
      document,
      fields.value,
      status: fields.status,
      unit: fields.unit,
      draft,
      // A closure of its own: the method as a value would cost an allocation for each reading.
      { path.pointer($0) },
      "v",
      message,
      &batch,
      &notes
    )
  }

  /// One member of `values`: a number, or an object with v and what differs from the record's.
  private func davyMember(
    _ document: JSONDocument,
    _ member: Int,
    _ fields: Fields,
    _ template: Draft,
    _ device: Int,
    _ path: Path,
    _ message: Message,
    _ guess: inout Guess,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    let found =
      document[member].kind == .string
      ? nextPoint(document, member, device, &guess)
      : document.unescaped(member).withView { findPoint($0, device: device) }
    let place = { (_: String) in
      path.pointer("values/" + Self.escapedToken(document.text(member)))
    }
    guard let found else {
      reject(
        message,
        .unknownPoint,
        device: plan.devices[device].id,
        point: document.text(member),
        place: place(""),
        detail: document.text(member),
        &notes
      )
      return
    }
    var draft = template
    draft.point = found
    let value = member + 1
    guard document[value].kind == .object else {
      davyValue(
        document,
        value,
        status: fields.status,
        unit: fields.unit,
        draft,
        place,
        "",
        message,
        &batch,
        &notes
      )
      return
    }
    let inner = collect(document, value) { place("") + "/" + $0 }
    if let wrong = misplaced(inner, in: .member) {
      reject(
        message,
        .unsupportedFormat,
        device: plan.devices[device].id,
        point: plan.points[found].name,
        place: place("") + "/" + wrong.member,
        detail: wrong.detail,
        &notes
      )
      return
    }
    guard
      takeTime(
        document,
        inner,
        &draft,
        device: device,
        point: plan.points[found].name,
        { place("") + "/" + $0 },
        message,
        &notes
      )
    else { return }
    let saysUnit = inner.unit >= 0 && document[inner.unit].kind != .null
    davyValue(
      document,
      inner.value,
      status: inner.status >= 0 ? inner.status : fields.status,
      unit: saysUnit ? inner.unit : fields.unit,
      draft,
      { place("") + "/" + $0 },
      "v",
      message,
      &batch,
      &notes
    )
  }
}
