internal import Telemetry

/// Fields that Davy JSON and mapped JSON have in common.
extension Decoder {
  /// The status at `field`; nil when it was refused.
  ///
  /// An unmapped code, and null, is an event and `unknown`.
  func statusOf(
    _ document: JSONDocument,
    _ field: Int,
    point: Int,
    ownNames: Bool,
    _ place: (String) -> String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> SourceStatus? {
    let device = Int(hot[point: point].device)
    let found: SourceStatus?
    switch document[field].kind {
    case .string, .integer:
      found = findStatus(
        document.raw(field),
        device: device,
        message.match,
        ownNames: ownNames
      )
    case .escaped:
      found = document.unescaped(field).withView {
        findStatus($0, device: device, message.match, ownNames: ownNames)
      }
    case .double:
      // 3.0 means code 3.
      let value = Double(bitPattern: document[field].bits)
      let code = Int64(exactly: value).map { "\($0)" } ?? document.raw(field).text
      found = Array(code.utf8).withView {
        findStatus($0, device: device, message.match, ownNames: ownNames)
      }
    case .true, .false:
      let code = document[field].kind == .true ? "true" : "false"
      found = Array(code.utf8).withView {
        findStatus($0, device: device, message.match, ownNames: ownNames)
      }
    case .null:
      // Whoever says that there is a status and not which has not said "normal".
      found = nil
    default:
      reject(
        message,
        .wrongType,
        device: plan.devices[device].id,
        point: plan.points[point].name,
        place: place("s"),
        detail: document.excerpt(field) + " where a status is needed",
        &notes
      )
      return nil
    }
    if let found { return found }
    event(
      message,
      DecodingEvent(
        kind: .unmappedStatus,
        device: plan.devices[device].id,
        point: plan.points[point].name,
        detail: document.excerpt(field)
      ),
      &notes
    )
    return .unknown
  }

  /// The number at `field`; nil when it was refused.
  ///
  /// Without a number, a status that says why there is none stands for itself: see ``substitute(for:)``.
  @inline(__always)
  func valueOf(
    _ document: JSONDocument,
    _ field: Int,
    _ draft: Draft,
    numbersInStrings: Bool,
    _ place: (String) -> String,
    _ name: String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Double? {
    if field >= 0 {
      let node = document[field]
      switch node.kind {
      case .integer: return Double(Int64(bitPattern: node.bits))
      case .double: return Double(bitPattern: node.bits)
      default: break
      }
    }
    return oddValueOf(
      document,
      field,
      draft,
      numbersInStrings: numbersInStrings,
      place,
      name,
      message,
      &notes
    )
  }

  @inline(never)
  private func oddValueOf(
    _ document: JSONDocument,
    _ field: Int,
    _ draft: Draft,
    numbersInStrings: Bool,
    _ place: (String) -> String,
    _ name: String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Double? {
    let point = plan.points[draft.point]
    let device = plan.devices[point.device].id
    let kind: JSONKind = field >= 0 ? document[field].kind : .null
    switch kind {
    case .true where isUnitless(draft): return 1
    case .false where isUnitless(draft): return 0
    case .true, .false:
      if let substitute = substitute(for: draft.status) { return substitute }
      refuseFlag(document.excerpt(field), draft, place: place(name), message, &notes)
    case .null:
      if let substitute = substitute(for: draft.status) { return substitute }
      reject(
        message,
        .missingField,
        device: device,
        point: point.name,
        place: place(name),
        detail: "no value, and the status does not say why",
        &notes
      )
    case .huge:
      reject(
        message,
        .notFinite,
        device: device,
        point: point.name,
        place: place(name),
        detail: document.excerpt(field),
        &notes
      )
    case .string where numbersInStrings:
      let text = document.raw(field).trimmed
      if let node = JSONNumber.parse(text) {
        switch node.kind {
        case .integer: return Double(Int64(bitPattern: node.bits))
        case .double: return Double(bitPattern: node.bits)
        default: break
        }
      }
      if let substitute = substitute(for: draft.status) { return substitute }
      reject(
        message,
        text.namesNoNumber ? .notFinite : .wrongType,
        device: device,
        point: point.name,
        place: place(name),
        detail: document.excerpt(field),
        &notes
      )
    case .string where document.raw(field).namesNoNumber:
      reject(
        message,
        .notFinite,
        device: device,
        point: point.name,
        place: place(name),
        detail: document.excerpt(field),
        &notes
      )
    default:
      reject(
        message,
        .wrongType,
        device: device,
        point: point.name,
        place: place(name),
        detail: document.excerpt(field) + " where a number is needed",
        &notes
      )
    }
    return nil
  }

  /// `value` in the point's source unit; nil when the unit was refused.
  @inline(__always)
  func convert(
    _ document: JSONDocument,
    _ field: Int,
    _ value: Double,
    point: Int,
    _ place: (String) -> String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Double? {
    let node = document[field]
    if node.kind == .string {
      let known = hot[point: point]
      // Units of up to eight bytes, nearly all, are compared without going to where they are kept.
      if node.extra <= 8 {
        if node.bits == known.unitWord, node.extra == Int(known.unitLength) { return value }
      } else if document.raw(field).equals(plan.points[point].sourceUnit) {
        return value
      }
    }
    if node.kind == .null { return value }
    guard node.kind == .string || node.kind == .escaped else {
      reject(
        message,
        .wrongType,
        device: plan.devices[plan.points[point].device].id,
        point: plan.points[point].name,
        place: place("unit"),
        detail: document.excerpt(field) + " where text is needed",
        &notes
      )
      return nil
    }
    return convert(
      document.text(field),
      value,
      point: point,
      place: place("unit"),
      message,
      &notes
    )
  }

  /// `value` from the unit named to the point's source unit; nil when the unit was refused.
  @inline(never)
  func convert(
    _ unit: String,
    _ value: Double,
    point: Int,
    place: @autoclosure () -> String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Double? {
    let row = plan.points[point]
    let wanted = String(decoding: row.sourceUnit, as: UTF8.self)
    // A point without a declared unit takes what it is sent.
    if wanted.isEmpty { return value }
    if let (scale, offset) = SourceUnit.conversion(from: unit, to: wanted) {
      return converted(value, scale: scale, offset: offset)
    }
    reject(
      message,
      .unitMismatch,
      device: plan.devices[row.device].id,
      point: row.name,
      place: place(),
      detail: "\(unit) where the point list says \(wanted)",
      &notes
    )
    return nil
  }

  /// Status, value and unit of one reading.
  @inline(__always)
  func davyValue(
    _ document: JSONDocument,
    _ value: Int,
    status: Int,
    unit: Int,
    _ template: Draft,
    _ place: (String) -> String,
    _ name: String,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    var draft = template
    if status >= 0 {
      guard
        let known = statusOf(
          document,
          status,
          point: draft.point,
          ownNames: true,
          place,
          message,
          &notes
        )
      else { return }
      draft.status = known
    }
    guard
      let number = valueOf(
        document,
        value,
        draft,
        numbersInStrings: false,
        place,
        name,
        message,
        &notes
      )
    else { return }
    draft.value = number
    if unit >= 0 {
      guard
        let converted = convert(
          document,
          unit,
          number,
          point: draft.point,
          place,
          message,
          &notes
        )
      else { return }
      draft.value = converted
    }
    emit(draft, message, place: place(name), &batch, &notes)
  }

  /// A member name as a token of a JSON pointer.
  static func escapedToken(_ name: String) -> String {
    var result = ""
    for character in name {
      switch character {
      case "~": result += "~0"
      case "/": result += "~1"
      default: result.append(character)
      }
    }
    return result
  }
}

extension ByteView {
  /// Without spaces at either end.
  var trimmed: ByteView {
    var start = 0
    var end = count
    while start < end, self[start] == 0x20 { start += 1 }
    while end > start, self[end - 1] == 0x20 { end -= 1 }
    return self[start..<end]
  }

  /// Whether the text is one of the names that stand for NaN or infinity.
  var namesNoNumber: Bool {
    guard count > 0, count <= 9 else { return false }
    let names = ["nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"]
    return names.contains(text.lowercased())
  }
}
