internal import Telemetry

/// Foreign JSON, taken apart by a declared mapping.
extension Decoder {
  /// Where the wildcards of the value's pointer stand now.
  private struct Binding {
    /// Element (or member value) of each wildcard.
    var nodes: [Int] = []
    /// Member name node of each wildcard; −1 for array elements.
    var names: [Int] = []
    /// Element number of each wildcard.
    var numbers: [Int] = []
    let counterparts: MappedCounterparts
  }

  func decodeMappedJSON(
    _ document: JSONDocument,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    guard let mapping = plan.routes[message.match.route].mapping else { return }
    let counterparts = MappedCounterparts()
    for value in mapping.values {
      var binding = Binding(counterparts: counterparts)
      expand(
        document,
        mapping,
        value,
        token: 0,
        node: 0,
        &binding,
        message,
        &batch,
        &notes
      )
    }
  }

  private func expand(
    _ document: JSONDocument,
    _ mapping: CompiledMapping,
    _ value: CompiledMapping.Value,
    token: Int,
    node: Int,
    _ binding: inout Binding,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    var node = node
    var token = token
    while token < value.tokens.count {
      switch value.tokens[token] {
      case .name(let name):
        guard let next = step(document, node, name, binding.counterparts) else {
          if value.required {
            reject(
              message,
              .missingField,
              place: value.text,
              detail: "nothing at \(value.text)",
              &notes
            )
          }
          return
        }
        node = next
        token += 1
      case .wildcard:
        let container = document[node]
        guard container.kind == .array || container.kind == .object else {
          reject(
            message,
            .wrongType,
            place: value.text,
            detail: document.excerpt(node) + " where an array or object is needed",
            &notes
          )
          return
        }
        let isObject = container.kind == .object
        var child = node + 1
        for number in 0..<container.extra {
          let element = isObject ? child + 1 : child
          binding.nodes.append(element)
          binding.names.append(isObject ? child : -1)
          binding.numbers.append(number)
          expand(
            document,
            mapping,
            value,
            token: token + 1,
            node: element,
            &binding,
            message,
            &batch,
            &notes
          )
          binding.nodes.removeLast()
          binding.names.removeLast()
          binding.numbers.removeLast()
          child = document.after(element)
        }
        return
      }
    }
    mappedReading(document, mapping, value, node, binding, message, &batch, &notes)
  }

  /// One token of a pointer from `node`.
  private func step(
    _ document: JSONDocument,
    _ node: Int,
    _ name: [UInt8],
    _ counterparts: MappedCounterparts
  ) -> Int? {
    // A walk through a large container for each reading would make the message quadratic; a small one costs less than a list.
    let isLarge = document[node].extra > 256
    switch document[node].kind {
    case .object:
      if isLarge { return counterparts.member(document, name, of: node) }
      return name.withView { document.member($0, of: node) }
    case .array:
      guard let number = name.withView({ JSONNumber.parse($0) }), number.kind == .integer,
        number.bits < UInt64(document[node].extra)
      else { return nil }
      if isLarge {
        return counterparts.find(document, in: node, name: -1, number: Int(number.bits))
      }
      var element = node + 1
      for _ in 0..<number.bits { element = document.after(element) }
      return element
    default:
      return nil
    }
  }

  private func follow(
    _ document: JSONDocument,
    _ pointer: CompiledMapping.Pointer,
    _ binding: Binding
  ) -> Int? {
    var wildcard = pointer.anchor
    var node = wildcard > 0 && wildcard <= binding.nodes.count ? binding.nodes[wildcard - 1] : 0
    for token in pointer.tokens {
      switch token {
      case .name(let name):
        guard let next = step(document, node, name, binding.counterparts) else { return nil }
        node = next
      case .wildcard:
        // Another container than the value's.
        guard wildcard < binding.numbers.count,
          let next = binding.counterparts.find(
            document,
            in: node,
            name: binding.names[wildcard],
            number: binding.numbers[wildcard]
          )
        else { return nil }
        node = next
        wildcard += 1
      }
    }
    return node
  }

  /// Where an attribute was found.
  private enum Attribute {
    case node(Int)
    case bytes([UInt8])
    case absent
  }

  /// Whether nothing was found: null is nothing.
  private func isAbsent(_ document: JSONDocument, _ attribute: Attribute) -> Bool {
    switch attribute {
    case .node(let node): document[node].kind == .null
    case .bytes: false
    case .absent: true
    }
  }

  private func attribute(
    _ document: JSONDocument,
    _ source: CompiledMapping.Source,
    _ binding: Binding,
    _ message: Message
  ) -> Attribute {
    switch source {
    case .pointer(let pointer):
      guard let node = follow(document, pointer, binding) else { return .absent }
      return document.isScalar(node, longerThan: Self.wordLimit)
        ? .bytes(excerpt(document, node)) : .node(node)
    case .topic(let name):
      let route = plan.routes[message.match.route]
      let wanted = String(decoding: name, as: UTF8.self)
      guard let index = route.captures.firstIndex(of: wanted) else { return .absent }
      return .bytes(message.match.captures[index])
    case .constant(let bytes):
      return .bytes(bytes)
    case .key(let number):
      guard number >= 0, number < binding.names.count else { return .absent }
      let name = binding.names[number]
      if name >= 0, document.isScalar(name, longerThan: Self.wordLimit) {
        return .bytes(excerpt(document, name))
      }
      return name >= 0
        ? .bytes(document.unescaped(name)) : .bytes(Array("\(binding.numbers[number])".utf8))
    }
  }

  /// What stands for a text that is too long for a name, code, time or unit: it is in no table, and people see how it began.
  private func excerpt(_ document: JSONDocument, _ node: Int) -> [UInt8] {
    Array(document.excerpt(node).utf8)
  }

  /// Looks up a name that stands as it is in the document or elsewhere, without a copy of it; nil when there is none or it is
  /// of another type.
  @inline(__always)
  private func lookUp<Result>(
    _ document: JSONDocument,
    _ attribute: Attribute,
    _ body: (ByteView) -> Result
  ) -> Result? {
    switch attribute {
    case .bytes(let bytes): return bytes.withView(body)
    case .absent: return nil
    case .node(let node):
      switch document[node].kind {
      case .string, .integer: return body(document.raw(node))
      case .escaped: return document.unescaped(node).withView(body)
      default: return nil
      }
    }
  }

  /// A name; numbers are taken as their text.
  ///
  /// Nil when absent or of another type.
  private func name(_ document: JSONDocument, _ attribute: Attribute) -> [UInt8]? {
    switch attribute {
    case .bytes(let bytes): return bytes
    case .absent: return nil
    case .node(let node):
      switch document[node].kind {
      case .string, .integer: return document.raw(node).array
      case .escaped: return document.unescaped(node)
      default: return nil
      }
    }
  }

  private func describe(
    _ source: CompiledMapping.Source,
    _ value: CompiledMapping.Value
  ) -> String {
    switch source {
    case .pointer(let pointer): pointer.text
    case .topic(let name): "topic {\(String(decoding: name, as: UTF8.self))}"
    case .constant, .key: value.text
    }
  }

  private func place(
    _ document: JSONDocument,
    _ text: String,
    _ binding: Binding
  ) -> String {
    var wildcard = 0
    return text.split(separator: "/", omittingEmptySubsequences: false).map { part in
      guard part == "*", wildcard < binding.numbers.count else { return String(part) }
      defer { wildcard += 1 }
      let name = binding.names[wildcard]
      return name >= 0
        ? Self.escapedToken(document.text(name)) : "\(binding.numbers[wildcard])"
    }.joined(separator: "/")
  }

  private func mappedReading(
    _ document: JSONDocument,
    _ mapping: CompiledMapping,
    _ value: CompiledMapping.Value,
    _ node: Int,
    _ binding: Binding,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    guard let point = mappedPoint(document, value, binding, message, &notes) else { return }
    var draft = Draft(point: point, value: 0)
    guard
      takeMappedTime(document, mapping.timeFormat, value, binding, message, &draft, &notes),
      takeMappedStatus(document, value, binding, message, &draft, &notes)
    else { return }
    var text: String { place(document, value.text, binding) }
    guard
      let number = valueOf(
        document,
        node,
        draft,
        numbersInStrings: mapping.numbersInStrings,
        { _ in text },
        "",
        message,
        &notes
      )
    else { return }
    draft.value = converted(number, scale: value.scale, offset: value.offset)
    guard takeMappedUnit(document, value, binding, message, &draft, &notes) else { return }
    emit(draft, message, place: text, &batch, &notes)
  }

  /// The row of the point that a value is of; nil, and it is refused, where it is of none.
  private func mappedPoint(
    _ document: JSONDocument,
    _ value: CompiledMapping.Value,
    _ binding: Binding,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Int? {
    let deviceName = attribute(document, value.device, binding, message)
    let pointName = attribute(document, value.point, binding, message)
    guard
      let found = lookUp(document, deviceName, { findDevice($0, message.match) }),
      lookUp(document, pointName, { _ in true }) != nil
    else {
      let device = name(document, deviceName)
      let source = device == nil ? value.device : value.point
      reject(
        message,
        .missingField,
        device: device.map { String(decoding: $0, as: UTF8.self) } ?? "",
        place: place(document, describe(source, value), binding),
        detail: device == nil ? "no device name" : "no point name",
        &notes
      )
      return nil
    }
    let device: Int
    switch found {
    case .row(let row): device = row
    case .refused(let reason):
      let text = String(decoding: name(document, deviceName) ?? [], as: UTF8.self)
      reject(
        message,
        reason,
        device: text,
        place: place(document, describe(value.device, value), binding),
        detail: text,
        &notes
      )
      return nil
    }
    guard let point = lookUp(document, pointName, { findPoint($0, device: device) }) ?? nil else {
      let text = String(decoding: name(document, pointName) ?? [], as: UTF8.self)
      reject(
        message,
        .unknownPoint,
        device: plan.devices[device].id,
        point: text,
        place: place(document, value.text, binding),
        detail: text,
        &notes
      )
      return nil
    }
    return point
  }

  /// Takes the time of a reading that a mapping says has one; false, and it is refused, where it has none.
  private func takeMappedTime(
    _ document: JSONDocument,
    _ format: TimeFormat,
    _ value: CompiledMapping.Value,
    _ binding: Binding,
    _ message: Message,
    _ draft: inout Draft,
    _ notes: inout [DecodingNote]
  ) -> Bool {
    guard let source = value.time else { return true }
    let found = attribute(document, source, binding, message)
    let isAbsent = isAbsent(document, found)
    let time = isAbsent ? nil : mappedTime(document, found, format)
    guard time != nil || isAbsent && value.optional.contains(.time) else {
      let point = plan.points[draft.point]
      reject(
        message,
        isAbsent ? .missingField : .timeMalformed,
        device: plan.devices[point.device].id,
        point: point.name,
        place: place(document, describe(source, value), binding),
        detail: isAbsent ? "no time" : text(document, found),
        &notes
      )
      return false
    }
    draft.time = time
    return true
  }

  /// Takes the status of a reading that a mapping says has one; false, and it is refused, where it is of no type that a status has.
  private func takeMappedStatus(
    _ document: JSONDocument,
    _ value: CompiledMapping.Value,
    _ binding: Binding,
    _ message: Message,
    _ draft: inout Draft,
    _ notes: inout [DecodingNote]
  ) -> Bool {
    guard let source = value.status else { return true }
    let point = draft.point
    var device: Int { plan.points[point].device }
    let found = attribute(document, source, binding, message)
    switch found {
    case _ where isAbsent(document, found):
      // Where a status is declared, its absence does not say "normal".
      if value.optional.contains(.status) { break }
      // With the `*` of the mapping: where in a list it is missing is not worth an entry each.
      tellUnmapped("nothing at " + describe(source, value), point, message, &notes)
      draft.status = .unknown
    case .absent: break
    case .node(let field):
      let where_ = { (_: String) in describe(source, value) }
      guard
        let status = statusOf(
          document,
          field,
          point: point,
          ownNames: false,
          where_,
          message,
          &notes
        )
      else { return false }
      draft.status = status
    case .bytes(let code):
      let known = code.withView {
        findStatus($0, device: device, message.match, ownNames: false)
      }
      if known == nil { tellUnmapped(code.withView { $0.excerpt() }, point, message, &notes) }
      draft.status = known ?? .unknown
    }
    return true
  }

  /// Tells of a status that no table explains.
  private func tellUnmapped(
    _ detail: String,
    _ point: Int,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) {
    event(
      message,
      DecodingEvent(
        kind: .unmappedStatus,
        device: plan.devices[plan.points[point].device].id,
        point: plan.points[point].name,
        detail: detail
      ),
      &notes
    )
  }

  /// Takes the unit of a reading that a mapping says has one, and the value into the point's; false, and it is refused, where
  /// that cannot be.
  private func takeMappedUnit(
    _ document: JSONDocument,
    _ value: CompiledMapping.Value,
    _ binding: Binding,
    _ message: Message,
    _ draft: inout Draft,
    _ notes: inout [DecodingNote]
  ) -> Bool {
    guard let source = value.unit else { return true }
    let point = draft.point
    let found = attribute(document, source, binding, message)
    let isAbsent = isAbsent(document, found)
    if let unit = name(document, found) {
      guard unit != plan.points[point].sourceUnit else { return true }
      guard
        let converted = convert(
          String(decoding: unit, as: UTF8.self),
          draft.value,
          point: point,
          place: place(document, value.text, binding),
          message,
          &notes
        )
      else { return false }
      draft.value = converted
    } else if !isAbsent || !(value.optional.contains(.unit) || isUnitless(draft)) {
      reject(
        message,
        isAbsent ? .missingField : .wrongType,
        device: plan.devices[plan.points[point].device].id,
        point: plan.points[point].name,
        place: place(document, describe(source, value), binding),
        detail: isAbsent ? "no unit" : text(document, found) + " where text is needed",
        &notes
      )
      return false
    }
    return true
  }

  private func text(_ document: JSONDocument, _ attribute: Attribute) -> String {
    switch attribute {
    case .node(let node): document.excerpt(node)
    case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
    case .absent: ""
    }
  }

  private func mappedTime(
    _ document: JSONDocument,
    _ attribute: Attribute,
    _ format: TimeFormat
  ) -> Int64? {
    switch attribute {
    case .absent: return nil
    case .bytes(let bytes): return bytes.withView { TimeText.parse($0, format) }
    case .node(let node):
      let field = document[node]
      switch (field.kind, format) {
      case (.integer, .compact), (.string, _):
        return TimeText.parse(document.raw(node), format)
      case (.escaped, _):
        return document.unescaped(node).withView { TimeText.parse($0, format) }
      case (.integer, _):
        return TimeText.epoch(Int64(bitPattern: field.bits), format)
      case (.double, _):
        return TimeText.epoch(Double(bitPattern: field.bits), format)
      default: return nil
      }
    }
  }
}
