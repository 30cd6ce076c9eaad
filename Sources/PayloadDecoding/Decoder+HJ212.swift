internal import Telemetry

/// HJ 212 frames in MQTT payloads: one or several frames a message.
extension Decoder {
  mutating func decodeHJ212(
    _ payload: ByteView,
    _ options: HJ212Options,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    guard payload.count > 0 else {
      refuse(message, .malformedPayload, "byte 0", "the payload is empty", &notes)
      return
    }
    var position = 0
    var doubtful = 0
    while position < payload.count {
      let start = position
      do throws(HJ212.Failure) {
        let data = try HJ212.frame(payload, &position)
        let segment = try HJ212.segment(payload, data)
        hj212Segment(payload, segment, options, message, &batch, &notes)
      } catch {
        reject(
          message,
          error.reason,
          place: "byte \(error.offset)",
          detail: error.detail,
          &notes
        )
        // A wrong check sum may be of a frame whose length is wrong, so that others lie within it. They are looked for a few
        // times only: frames nested on purpose would be summed up again and again.
        let isDoubtful = error.reason == .checksumMismatch || error.reason == .modbusChecksum
        if isDoubtful, doubtful < 16 {
          doubtful += 1
          position = start
        }
        // Go on at the next frame, if there is one.
        if position == start {
          position += 1
          while position + 1 < payload.count,
            payload[position] != 0x23 || payload[position + 1] != 0x23
          {
            position += 1
          }
          if position + 1 >= payload.count { return }
        }
      }
    }
  }

  mutating func advanceHJ212(to now: Timestamp, _ notes: inout [DecodingNote]) {
    guard hj212.dueHint <= now.milliseconds else { return }
    hj212.completed.removeAll { $0.until <= now }
    for assembly in hj212.assemblies where assembly.deadline <= now {
      notes.append(Self.incomplete(assembly))
    }
    hj212.assemblies.removeAll { $0.deadline <= now }
    hj212.findDue()
  }

  private static func incomplete(_ assembly: HJ212State.Assembly) -> DecodingNote {
    .reject(
      Reject(
        reason: .incompleteParts,
        device: String(decoding: assembly.device, as: UTF8.self),
        place: String(decoding: assembly.key, as: UTF8.self),
        detail: assembly.missing,
        wholeMessage: true
      )
    )
  }

  private mutating func hj212Segment(
    _ payload: ByteView,
    _ segment: HJ212.Segment,
    _ options: HJ212Options,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    let name = String(decoding: segment.device, as: UTF8.self)
    let newest = options.edition == .year2017 ? 1 : 2
    guard segment.version <= newest else {
      reject(
        message,
        .unsupportedFormat,
        device: name,
        place: "Flag",
        detail: "Flag \(segment.flag) declares version \(segment.version)",
        &notes
      )
      return
    }
    let device: Int
    switch segment.device.withView({ findDevice($0, message.match) }) {
    case .row(let row): device = row
    case .refused(let reason):
      reject(message, reason, device: name, place: "MN", detail: name, &notes)
      return
    }
    if segment.wantsAnswer, !options.replyTopic.isEmpty {
      notes.append(.publish(hj212Answer(segment, device, options)))
    }
    guard HJ212.isUpload(segment.command) else {
      event(
        message,
        DecodingEvent(kind: .control, device: name, detail: "command \(segment.command)"),
        &notes
      )
      return
    }
    guard segment.isPart else {
      hj212Readings(
        payload[segment.parameters],
        segment,
        device,
        options,
        message,
        &batch,
        &notes
      )
      return
    }
    guard
      let whole = hj212Assemble(
        payload[segment.parameters].array,
        segment,
        options,
        message,
        &notes
      )
    else { return }
    whole.withView { parameters in
      hj212Readings(parameters, segment, device, options, message, &batch, &notes)
    }
  }

  private func hj212Answer(
    _ segment: HJ212.Segment,
    _ device: Int,
    _ options: HJ212Options
  ) -> OutgoingMessage {
    let values = [
      "enterprise": plan.devices[device].enterprise, "gateway": plan.devices[device].gateway,
      "device": plan.devices[device].id,
    ]
    let topic = options.replyTopic.split(separator: "/", omittingEmptySubsequences: false).map {
      $0.first == "{" && $0.last == "}"
        ? values[String($0.dropFirst().dropLast())] ?? String($0)
        : String($0)
    }.joined(separator: "/")
    return OutgoingMessage(
      topic: Array(topic.utf8),
      payload: HJ212.answer(to: segment),
      qos: 1
    )
  }

  // MARK: Parts

  /// Takes a part; gives the whole when it was the last one missing.
  private mutating func hj212Assemble(
    _ part: [UInt8],
    _ segment: HJ212.Segment,
    _ options: HJ212Options,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> [UInt8]? {
    let name = String(decoding: segment.device, as: UTF8.self)
    let key =
      segment.device + Array(" ".utf8) + segment.requestNumber
      + Array(" \(segment.command)/\(segment.parts)".utf8)
    func repeated(_ detail: String) -> DecodingEvent {
      DecodingEvent(kind: .duplicatePart, device: name, detail: detail)
    }
    if hj212.completed.contains(where: { $0.key == key }) {
      event(message, repeated("part \(segment.part) of a complete message"), &notes)
      return nil
    }
    guard part.count + segment.parts * 16 <= plan.limits.assemblyBytes,
      plan.limits.openAssemblies > 0
    else {
      reject(
        message,
        .stateLimit,
        device: name,
        place: "PNO",
        detail: "a part of \(part.count) bytes",
        &notes
      )
      return nil
    }
    var index = hj212.assemblies.firstIndex { $0.key == key }
    if let index, hj212.assemblies[index].parts[segment.part - 1] != nil {
      event(message, repeated("part \(segment.part)"), &notes)
      return nil
    }
    // Room is made at the cost of the oldest: what never completes must not block what will.
    let opens = index == nil
    while hj212.assemblies.count + (opens ? 1 : 0) > plan.limits.openAssemblies
      || hj212.bytes + part.count + (opens ? segment.parts * 16 : 0) > plan.limits.assemblyBytes
    {
      notes.append(Self.incomplete(hj212.assemblies.removeFirst()))
      index = hj212.assemblies.firstIndex { $0.key == key }
      if hj212.assemblies.isEmpty { break }
    }
    if index == nil {
      let deadline = message.received.advanced(byMilliseconds: options.assemblyTimeoutMilliseconds)
      hj212.dueHint = min(hj212.dueHint, deadline.milliseconds)
      hj212.assemblies.append(
        HJ212State.Assembly(
          key: key,
          device: segment.device,
          deadline: deadline,
          parts: Array(repeating: nil, count: segment.parts),
          bytes: segment.parts * 16
        )
      )
      index = hj212.assemblies.count - 1
    }
    guard let index else { return nil }
    hj212.assemblies[index].parts[segment.part - 1] = part
    hj212.assemblies[index].bytes += part.count
    guard hj212.assemblies[index].isComplete else { return nil }
    let complete = hj212.assemblies.remove(at: index)
    if hj212.completed.count >= plan.limits.openAssemblies { hj212.completed.removeFirst() }
    let until = message.received.advanced(byMilliseconds: options.assemblyTimeoutMilliseconds)
    hj212.completed.append((key, until))
    hj212.dueHint = min(hj212.dueHint, until.milliseconds)
    return HJ212State.join(complete.parts.compactMap { $0 })
  }

  // MARK: Readings

  /// One item of a group: `a34013-Rtd=0.5`.
  private struct Item {
    var name: Range<Int>
    var code: Range<Int>
    var suffix: Range<Int>
    var value: Range<Int>
  }

  /// What a group says of its readings, by the code of each.
  ///
  /// A group is of one factor, as the standard has it; senders that part all items by commas put several into one, and mean
  /// each by its code.
  private struct ByCode<Content> {
    private var last: Content?
    private var contents: [[UInt8]: Content] = [:]

    mutating func set(_ content: Content, of code: ByteView) {
      last = content
      contents[code.array] = content
    }

    /// What is said of a code; said once, it is of the whole group.
    subscript(code: ByteView) -> Content? {
      contents.count > 1 ? contents[code.array] : last
    }
  }

  private func hj212Readings(
    _ text: ByteView,
    _ segment: HJ212.Segment,
    _ device: Int,
    _ options: HJ212Options,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    var time = segment.requestNumber.withView {
      TimeText.compact($0, utcOffsetMinutes: options.utcOffsetMinutes)
    }
    var items: [Item] = []
    var index = 0
    while index < text.count {
      let end = text.firstIndex(of: 0x3B, from: index) ?? text.count
      items.removeAll(keepingCapacity: true)
      var start = index
      while start < end {
        var stop = start
        while stop < end, text[stop] != 0x2C { stop += 1 }
        if let item = item(text, start..<stop) {
          items.append(item)
        } else if stop > start {
          reject(
            message,
            .malformedPayload,
            device: plan.devices[device].id,
            place: "CP byte \(start)",
            detail: text[start..<stop].excerpt() + " is not name=value",
            &notes
          )
        }
        start = stop + 1
      }
      index = end + 1
      if let first = items.first, text[first.name].equals("DataTime") {
        guard
          let sent = TimeText.compact(
            text[first.value],
            utcOffsetMinutes: options.utcOffsetMinutes
          )
        else {
          reject(
            message,
            .timeMalformed,
            device: plan.devices[device].id,
            place: "DataTime",
            detail: text[first.value].excerpt(),
            &notes
          )
          return
        }
        time = sent
        // Some senders part the time from the first factor by a comma.
        items.removeFirst()
      }
      hj212Group(text, items, segment, device, time, options, message, &batch, &notes)
    }
  }

  private func item(_ text: ByteView, _ range: Range<Int>) -> Item? {
    guard let equals = text[range].firstIndex(of: 0x3D), equals > 0 else { return nil }
    let name = range.lowerBound..<range.lowerBound + equals
    let value = name.upperBound + 1..<range.upperBound
    var dash = name.upperBound - 1
    while dash > name.lowerBound, text[dash] != 0x2D { dash -= 1 }
    guard dash > name.lowerBound else {
      return Item(
        name: name,
        code: name,
        suffix: name.upperBound..<name.upperBound,
        value: value
      )
    }
    return Item(
      name: name,
      code: name.lowerBound..<dash,
      suffix: dash + 1..<name.upperBound,
      value: value
    )
  }

  private func hj212Group(
    _ text: ByteView,
    _ items: [Item],
    _ segment: HJ212.Segment,
    _ device: Int,
    _ time: Int64?,
    _ options: HJ212Options,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    var draft = Draft(point: 0, value: 0)
    var times = ByCode<Int64>()
    for item in items where text[item.suffix].equals("SampleTime") {
      guard
        let sampled = TimeText.compact(
          text[item.value],
          utcOffsetMinutes: options.utcOffsetMinutes
        )
      else {
        reject(
          message,
          .timeMalformed,
          device: plan.devices[device].id,
          point: text[item.code].text,
          place: text[item.name].text,
          detail: text[item.value].excerpt(),
          &notes
        )
        return
      }
      times.set(sampled, of: text[item.code])
    }
    let statuses = hj212Statuses(text, items, segment, device, message, &notes)
    for item in items {
      if text[item.suffix].equals("Flag") || text[item.suffix].equals("SampleTime")
        || text[item.suffix].equals("EFlag")
      {
        continue
      }
      guard let point = hj212Point(text, item, device, message, &notes) else { continue }
      let code = text[item.code]
      draft.point = point
      draft.time = times[code] ?? time
      draft.status = statuses[code] ?? .normal
      let value = text[item.value]
      if let number = JSONNumber.decimal(value) {
        draft.value = number
      } else if value.count == 0 || value.namesNoNumber,
        let substitute = substitute(for: draft.status)
      {
        draft.value = substitute
      } else {
        reject(
          message,
          value.namesNoNumber ? .notFinite : .wrongType,
          device: plan.devices[device].id,
          point: plan.points[point].name,
          place: text[item.name].text,
          detail: value.excerpt(),
          &notes
        )
        continue
      }
      emit(draft, message, place: text[item.name].text, &batch, &notes)
    }
  }

  /// What the flags of a group say of its readings.
  private func hj212Statuses(
    _ text: ByteView,
    _ items: [Item],
    _ segment: HJ212.Segment,
    _ device: Int,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> ByCode<SourceStatus> {
    var statuses = ByCode<SourceStatus>()
    for item in items where text[item.suffix].equals("Flag") && item.value.count > 0 {
      let code = text[item.value]
      if let known = findStatus(code, device: device, message.match, ownNames: false)
        ?? Self.dataFlag(code, version: segment.version)
      {
        statuses.set(known, of: text[item.code])
      } else {
        statuses.set(.unknown, of: text[item.code])
        event(
          message,
          DecodingEvent(
            kind: .unmappedStatus,
            device: plan.devices[device].id,
            point: text[item.code].excerpt(),
            detail: code.excerpt()
          ),
          &notes
        )
      }
    }
    return statuses
  }

  /// The row of the point that an item is of; nil where there is none: a current value is refused then.
  private func hj212Point(
    _ text: ByteView,
    _ item: Item,
    _ device: Int,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Int? {
    if let point = findPoint(text[item.name], device: device) { return point }
    guard text[item.suffix].equals("Rtd") || item.suffix.isEmpty else {
      explain(
        text[item.name].text,
        text[item.value].excerpt(),
        "a statistic that no point of the device asks for",
        .ignored
      )
      return nil
    }
    if let point = findPoint(text[item.code], device: device) { return point }
    reject(
      message,
      .unknownPoint,
      device: plan.devices[device].id,
      point: text[item.code].text,
      place: text[item.name].text,
      detail: text[item.name].excerpt(),
      &notes
    )
    return nil
  }

  /// The data flags of HJ 212-2017, table 8, and `P` of HJ/T 212-2005.
  static func dataFlag(_ code: ByteView, version: Int) -> SourceStatus? {
    guard code.count == 1 else { return nil }
    switch code[0] & 0xDF {
    case 0x4E: return .normal  // N
    case 0x46: return .outOfUse  // F: the source has stopped
    case 0x4D: return .maintenance  // M
    case 0x53: return .unknown  // S: a value set by hand: valid, but no measurement
    case 0x44: return .sensorFault  // D
    case 0x43: return .calibration  // C
    case 0x54: return .overRange  // T
    case 0x42: return .lineBroken  // B: communication error
    case 0x50 where version == 0: return .substationFault  // P: power failure
    default: return nil
    }
  }
}
