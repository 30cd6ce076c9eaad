internal import Telemetry

/// InfluxDB line protocol: each line stands for itself, so a bad line costs only its own readings.
extension Decoder {
  func decodeInflux(
    _ payload: ByteView,
    _ options: InfluxOptions,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    let valid = payload.validUTF8Prefix()
    guard valid == payload.count else {
      refuse(message, .invalidUTF8, "byte \(valid)", "not UTF-8", &notes)
      return
    }
    let keys = InfluxKeys(options)
    var line = InfluxLine()
    var position = 0
    var number = 1
    while position < payload.count {
      let start = position
      do throws(InfluxLine.Failure) {
        if try line.read(payload, &position) {
          influxReadings(payload, line, number, keys, message, &batch, &notes)
        }
      } catch {
        reject(
          message,
          .malformedPayload,
          place: "line \(number), byte \(error.offset)",
          detail: "\(error.detail)",
          &notes
        )
        position = max(error.offset, start)
        InfluxLine.skipLine(payload, &position)
      }
      for index in start..<position where payload[index] == 0x0A { number += 1 }
    }
  }

  private struct InfluxKeys {
    var device: [UInt8]
    var status: [UInt8]
    var withMeasurement: Bool
    var time: TimeFormat

    init(_ options: InfluxOptions) {
      device = Array(options.deviceTag.utf8)
      status = Array(options.statusKey.utf8)
      withMeasurement = options.pointName == .measurementAndField
      time =
        switch options.precision {
        case .seconds: .epochSeconds
        case .milliseconds: .epochMilliseconds
        case .microseconds: .epochMicroseconds
        case .nanoseconds: .epochNanoseconds
        }
    }
  }

  /// Looks at a token's bytes without copying them when it holds no escapes.
  @inline(__always)
  private func with<Result>(
    _ token: InfluxLine.Token,
    _ payload: ByteView,
    _ body: (ByteView) -> Result
  ) -> Result {
    token.isEscaped
      ? InfluxLine.text(token, of: payload).withView { body($0) } : body(payload[token.range])
  }

  private func influxReadings(
    _ payload: ByteView,
    _ line: InfluxLine,
    _ number: Int,
    _ keys: InfluxKeys,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    let place = "line \(number)"
    var tagged: [UInt8]?
    guard
      let device = influxDevice(payload, line, keys, &tagged, place: place, message, &notes)
    else { return }
    let measurement = payload[line.measurement.range]
    guard !keys.withMeasurement || measurement.count <= Self.wordLimit else {
      reject(
        message,
        .unknownPoint,
        device: plan.devices[device].id,
        place: place,
        detail: measurement.excerpt(),
        &notes
      )
      return
    }
    var time: Int64?
    if let sent = line.time {
      guard let moment = TimeText.epoch(sent, keys.time) else {
        reject(
          message,
          .timeOutOfRange,
          device: plan.devices[device].id,
          place: place,
          detail: "\(sent)",
          &notes
        )
        return
      }
      time = moment
    }
    let status = influxStatus(payload, line, keys, tagged, device, message, &notes)
    for (key, value, range) in line.fields {
      if !keys.status.isEmpty, with(key, payload, { $0.equals(keys.status) }) { continue }
      influxField(
        payload,
        line,
        key,
        value,
        range,
        device,
        time,
        status,
        keys,
        place,
        message,
        &batch,
        &notes
      )
    }
  }

  /// The row of the device that a line is of; nil, and it is refused, where it is of none.
  ///
  /// A status among the tags is told beside it, so that they are looked through once.
  private func influxDevice(
    _ payload: ByteView,
    _ line: InfluxLine,
    _ keys: InfluxKeys,
    _ status: inout [UInt8]?,
    place: String,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Int? {
    var found: Found?
    var name = ""
    for (key, value) in line.tags {
      if with(key, payload, { $0.equals(keys.device) }) {
        found = with(value, payload) { findDevice($0, message.match) }
        if case .refused = found {
          name = String(decoding: InfluxLine.text(value, of: payload), as: UTF8.self)
        }
      } else if !keys.status.isEmpty, with(key, payload, { $0.equals(keys.status) }) {
        status = InfluxLine.text(value, of: payload)
      }
    }
    if found == nil {
      let bytes = message.match.device ?? InfluxLine.text(line.measurement, of: payload)
      found = bytes.withView { findDevice($0, message.match) }
      name = String(decoding: bytes, as: UTF8.self)
    }
    switch found {
    case .row(let row)?: return row
    case .refused(let reason)?:
      reject(message, reason, device: name, place: place, detail: name, &notes)
      return nil
    case nil: return nil
    }
  }

  /// What a field of a line says of its readings, or else what its tag does.
  private func influxStatus(
    _ payload: ByteView,
    _ line: InfluxLine,
    _ keys: InfluxKeys,
    _ tagged: [UInt8]?,
    _ device: Int,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> SourceStatus {
    guard !keys.status.isEmpty, let code = influxStatusCode(payload, line, keys) ?? tagged else {
      return .normal
    }
    let known = code.withView {
      findStatus($0, device: device, message.match, ownNames: true)
    }
    if let known { return known }
    event(
      message,
      DecodingEvent(
        kind: .unmappedStatus,
        device: plan.devices[device].id,
        detail: String(decoding: code, as: UTF8.self)
      ),
      &notes
    )
    return .unknown
  }

  private func influxStatusCode(
    _ payload: ByteView,
    _ line: InfluxLine,
    _ keys: InfluxKeys
  ) -> [UInt8]? {
    var code: [UInt8]?
    for (key, value, range) in line.fields where with(key, payload, { $0.equals(keys.status) }) {
      if case .text(let token) = value {
        code = InfluxLine.text(token, of: payload, quoted: true)
        continue
      }
      // A whole number's type suffix is not part of the code.
      var text = payload[range]
      if case .number = value, text.count > 1,
        text[text.count - 1] == 0x69 || text[text.count - 1] == 0x75
      {
        text = text[0..<text.count - 1]
      }
      code = text.array
    }
    return code
  }

  private func influxField(
    _ payload: ByteView,
    _ line: InfluxLine,
    _ key: InfluxLine.Token,
    _ value: InfluxLine.Value,
    _ range: Range<Int>,
    _ device: Int,
    _ time: Int64?,
    _ status: SourceStatus,
    _ keys: InfluxKeys,
    _ line_: String,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    var name: [UInt8] {
      keys.withMeasurement
        ? InfluxLine.text(line.measurement, of: payload) + [0x2E]
          + InfluxLine.text(key, of: payload) : InfluxLine.text(key, of: payload)
    }
    var place: String { line_ + ", field " + String(decoding: name, as: UTF8.self) }
    let point =
      keys.withMeasurement
      ? name.withView { findPoint($0, device: device) }
      : with(key, payload) { findPoint($0, device: device) }
    guard let point else {
      let text = String(decoding: name, as: UTF8.self)
      reject(
        message,
        .unknownPoint,
        device: plan.devices[device].id,
        point: text,
        place: place,
        detail: text,
        &notes
      )
      return
    }
    var draft = Draft(point: point, value: 0, time: time, status: status)
    switch value {
    case .number(let value): draft.value = value
    case .bool(let value) where isUnitless(draft): draft.value = value ? 1 : 0
    case .bool:
      refuseFlag(payload[range].excerpt(), draft, place: place, message, &notes)
      return
    case .notFinite, .text:
      var isText = false
      if case .text = value { isText = true }
      if !isText, let substitute = substitute(for: status) {
        draft.value = substitute
        break
      }
      reject(
        message,
        isText ? .wrongType : .notFinite,
        device: plan.devices[device].id,
        point: plan.points[point].name,
        place: place,
        detail: payload[range].excerpt(),
        &notes
      )
      return
    }
    emit(draft, message, place: place, &batch, &notes)
  }
}
