import Telemetry

/// The readings in Sparkplug B payloads.
extension Decoder {
  /// Gives out the metrics of a birth or of data that are points of a device.
  mutating func sparkplugReadings(
    _ payload: ByteView,
    _ content: SparkplugPayload,
    _ kind: SparkplugKind,
    _ id: [UInt8],
    _ row: Int,
    _ options: SparkplugOptions,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    let device: Int
    switch id.withView({ findDevice($0, message.match) }) {
    case .row(let found): device = found
    case .refused(let reason):
      // Many nodes have only metrics about themselves and are no device of the register.
      guard kind.isOfDevice else { return }
      reject(
        message,
        reason,
        device: String(decoding: id, as: UTF8.self),
        place: "topic",
        detail: "device \(String(decoding: id, as: UTF8.self))",
        &notes
      )
      return
    }
    let metrics =
      kind.isOfDevice
      ? sparkplug.nodes[row].devices.first { $0.id == id }?.metrics
      : sparkplug.nodes[row].metrics
    guard let metrics else { return }
    let statusName = Array(options.statusProperty.utf8)
    var isAliasMissing = false
    for (number, metric) in content.metrics.enumerated() {
      let name: [UInt8]
      var datatype = metric.datatype
      if let range = metric.name, !range.isEmpty {
        name = payload[range].array
        if datatype == 0 { datatype = metrics.datatypes[name] ?? 0 }
      } else if let alias = metric.alias, let known = metrics.byAlias[alias] {
        name = known.name
        if datatype == 0 { datatype = known.datatype }
      } else {
        isAliasMissing = true
        reject(
          message,
          .unknownAlias,
          device: plan.devices[device].id,
          place: "metric \(number)",
          detail: metric.alias.map { "alias \($0)" } ?? "neither name nor alias",
          &notes
        )
        continue
      }
      sparkplugMetric(
        payload,
        metric,
        content.timestamp,
        name,
        datatype,
        device,
        kind,
        statusName,
        number,
        message,
        &batch,
        &notes
      )
    }
    if isAliasMissing { requestRebirth(row, message.received, &notes) }
  }

  private func sparkplugMetric(
    _ payload: ByteView,
    _ metric: SparkplugPayload.Metric,
    _ messageTime: UInt64?,
    _ name: [UInt8],
    _ datatype: UInt64,
    _ device: Int,
    _ kind: SparkplugKind,
    _ statusName: [UInt8],
    _ number: Int,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    // Texts for people are made when somebody is told, not for each metric.
    var id: String { plan.devices[device].id }
    var text: String { String(decoding: name, as: UTF8.self) }
    var place: String { "metric \(number)" }
    guard let point = name.withView({ findPoint($0, device: device) }) else {
      // A node's housekeeping metrics are no points.
      if !kind.isOfDevice {
        explain(place, text, "a metric of the node that no point asks for", .ignored)
        return
      }
      reject(
        message,
        .unknownPoint,
        device: id,
        point: text,
        place: place,
        detail: text,
        &notes
      )
      return
    }
    var draft = Draft(point: point, value: 0)
    if metric.isHistorical { draft.flags.insert(.historical) }
    if let time = metric.timestamp ?? messageTime { draft.time = Int64(clamping: time) }
    if !statusName.isEmpty, let range = metric.properties {
      do throws(ProtobufReader.Failure) {
        if let code = try SparkplugPayload.property(statusName, of: payload, range) {
          draft.status = sparkplugStatus(code, device, point, message, &notes)
        }
      } catch {
        reject(
          message,
          .malformedPayload,
          device: id,
          point: text,
          place: "byte \(error.offset)",
          detail: "\(error.detail)",
          &notes
        )
        return
      }
    }
    if case .bool(let flag) = metric.value, !metric.isNull, !isUnitless(draft) {
      refuseFlag("\(flag)", draft, place: place, message, &notes)
      return
    }
    let sent = metric.isNull ? nil : SparkplugPayload.number(metric.value, datatype: datatype)
    if let sent {
      draft.value = sent
    } else if let substitute = substitute(for: draft.status) {
      draft.value = substitute
    } else if metric.isNull && kind.isBirth {
      // A birth lists every metric, also those that have no value yet.
      explain(place, text, "no value yet", .ignored)
      return
    } else {
      var isOther = false
      if case .other = metric.value { isOther = true }
      reject(
        message,
        isOther ? .wrongType : .missingField,
        device: id,
        point: text,
        place: place,
        detail: isOther ? "no number (data type \(datatype))" : "null",
        &notes
      )
      return
    }
    emit(draft, message, place: "\(place) (\(text))", &batch, &notes)
  }

  private func sparkplugStatus(
    _ code: [UInt8],
    _ device: Int,
    _ point: Int,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> SourceStatus {
    let known = code.withView { code in
      findStatus(code, device: device, message.match, ownNames: true)
    }
    if let known { return known }
    switch String(decoding: code, as: UTF8.self) {
    // The specification's own quality codes: good, bad, stale.
    case "192": return .normal
    case "0": return .sensorFault
    case "500": return .lineBroken
    case let text:
      event(
        message,
        DecodingEvent(
          kind: .unmappedStatus,
          device: plan.devices[device].id,
          point: plan.points[point].name,
          detail: text
        ),
        &notes
      )
      return .unknown
    }
  }
}
