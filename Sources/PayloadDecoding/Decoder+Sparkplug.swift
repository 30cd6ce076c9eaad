internal import Telemetry

/// Sparkplug B 3.0 in the role of the host application.
///
/// Data is used as it comes, also while a message before it is missing: its metrics carry their own
/// times, and an alarm must not wait for the reorder timeout.
extension Decoder {
  enum SparkplugKind: String {
    case nodeBirth = "NBIRTH"
    case nodeDeath = "NDEATH"
    case nodeData = "NDATA"
    case deviceBirth = "DBIRTH"
    case deviceDeath = "DDEATH"
    case deviceData = "DDATA"

    var isOfDevice: Bool {
      self == .deviceBirth || self == .deviceDeath || self == .deviceData
    }
    var isBirth: Bool { self == .nodeBirth || self == .deviceBirth }
  }

  mutating func decodeSparkplug(
    _ payload: ByteView,
    _ options: SparkplugOptions,
    _ message: Message,
    _ batch: inout ReadingBatch,
    _ notes: inout [DecodingNote]
  ) {
    let parts = message.match.topic.split(
      separator: 0x2F,
      maxSplits: 4,
      omittingEmptySubsequences: false
    )
    guard parts.count >= 3, parts[0].elementsEqual(Array("spBv1.0".utf8)) else {
      refuse(message, .unsupportedFormat, "topic", "not a spBv1.0 topic", &notes)
      return
    }
    let type = String(decoding: parts[2], as: UTF8.self)
    let isForOthers =
      type == "NCMD" || type == "DCMD" || parts[1].elementsEqual(Array("STATE".utf8))
    guard let kind = SparkplugKind(rawValue: type) else {
      // Commands to nodes and the state of hosts go through the same topics.
      if !isForOthers {
        refuse(message, .unsupportedFormat, "topic", "message type \(type)", &notes)
      }
      return
    }
    guard parts.count == (kind.isOfDevice ? 5 : 4), parts.allSatisfy({ !$0.isEmpty }) else {
      refuse(message, .unsupportedFormat, "topic", "\(type) with \(parts.count) levels", &notes)
      return
    }
    let content: SparkplugPayload
    do throws(ProtobufReader.Failure) {
      content = try SparkplugPayload(payload, metricsLimit: plan.limits.metricsPerBirth)
    } catch {
      refuse(message, .malformedPayload, "byte \(error.offset)", "\(error.detail)", &notes)
      return
    }
    let key = Array(parts[1]) + [0x2F] + Array(parts[3])
    guard let row = nodeRow(key, message, &notes) else { return }
    sparkplug.nodes[row].rebirthInterval = options.rebirthIntervalMilliseconds
    switch kind {
    case .nodeDeath:
      nodeDeath(payload, content, row, message, &notes)
      return
    case .nodeBirth:
      guard nodeBirth(payload, content, row, message, &notes) else { return }
    default:
      guard sparkplug.nodes[row].isBorn else {
        refuse(message, .notBorn, "", "\(type) before the node's NBIRTH", &notes)
        requestRebirth(row, message.received, &notes)
        return
      }
      guard takeSequence(content, kind, row, options, message, &notes) else { return }
    }
    let id = kind.isOfDevice ? Array(parts[4]) : nil
    if let id {
      guard deviceMessage(kind, id, payload, content, row, message, &notes) else { return }
    }
    sparkplugReadings(
      payload,
      content,
      kind,
      id ?? Array(parts[3]),
      row,
      options,
      message,
      &batch,
      &notes
    )
  }

  // MARK: Sessions

  private mutating func nodeRow(
    _ key: [UInt8],
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Int? {
    if let row = sparkplug.rows[key] { return row }
    guard sparkplug.count < plan.limits.births else {
      refuse(
        message,
        .stateLimit,
        "",
        "more than \(plan.limits.births) nodes and devices",
        &notes
      )
      return nil
    }
    sparkplug.nodes.append(SparkplugState.Node(key: key))
    sparkplug.rows[key] = sparkplug.nodes.count - 1
    return sparkplug.nodes.count - 1
  }

  private func birthSequence(_ payload: ByteView, _ content: SparkplugPayload) -> UInt64? {
    for metric in content.metrics {
      guard let name = metric.name, payload[name].equals("bdSeq"),
        case .integer(let number) = metric.value
      else { continue }
      return number
    }
    return nil
  }

  private mutating func nodeBirth(
    _ payload: ByteView,
    _ content: SparkplugPayload,
    _ row: Int,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Bool {
    guard let sequence = content.sequence, sequence < 256 else {
      refuse(message, .missingField, "seq", "an NBIRTH needs a seq from 0 to 255", &notes)
      return false
    }
    sparkplug.nodes[row].isBorn = true
    sparkplug.nodes[row].birthSequence = birthSequence(payload, content)
    sparkplug.nodes[row].nextSequence = UInt8(sequence) &+ 1
    sparkplug.nodes[row].early.removeAll()
    sparkplug.nodes[row].gapDeadline = nil
    sparkplug.nodes[row].metrics = metrics(payload, content)
    // Devices have to be born anew in the node's new session.
    for index in sparkplug.nodes[row].devices.indices {
      sparkplug.nodes[row].devices[index].isBorn = false
    }
    born(sparkplug.nodes[row].key, content, message, &notes)
    return true
  }

  private func born(
    _ key: [UInt8],
    _ content: SparkplugPayload,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) {
    event(
      message,
      DecodingEvent(
        kind: .born,
        device: String(decoding: key, as: UTF8.self),
        detail: "\(content.metrics.count) metrics"
      ),
      &notes
    )
  }

  private func metrics(
    _ payload: ByteView,
    _ content: SparkplugPayload
  ) -> SparkplugState.Metrics {
    var metrics = SparkplugState.Metrics()
    for metric in content.metrics {
      // (A name too long for a point's would be kept, and compared with every datum that comes by its alias.)
      guard let range = metric.name, range.count <= Self.wordLimit else { continue }
      let name = payload[range].array
      metrics.datatypes[name] = metric.datatype
      if let alias = metric.alias {
        metrics.byAlias[alias] = SparkplugState.Metric(name: name, datatype: metric.datatype)
      }
    }
    return metrics
  }

  private mutating func nodeDeath(
    _ payload: ByteView,
    _ content: SparkplugPayload,
    _ row: Int,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) {
    let name = String(decoding: sparkplug.nodes[row].key, as: UTF8.self)
    let sent = birthSequence(payload, content)
    let isCurrent =
      sparkplug.nodes[row].isBorn
      && (sent == nil || sparkplug.nodes[row].birthSequence == nil
        || sent == sparkplug.nodes[row].birthSequence)
    guard isCurrent else {
      let detail = "bdSeq \(sent.map { "\($0)" } ?? "absent")"
      event(
        message,
        DecodingEvent(kind: .staleDeathIgnored, device: name, detail: detail),
        &notes
      )
      return
    }
    var channels = self.channels(
      Array(sparkplug.nodes[row].key.drop { $0 != 0x2F }.dropFirst()),
      message
    )
    for index in sparkplug.nodes[row].devices.indices {
      guard sparkplug.nodes[row].devices[index].isBorn else { continue }
      sparkplug.nodes[row].devices[index].isBorn = false
      channels += self.channels(sparkplug.nodes[row].devices[index].id, message)
    }
    sparkplug.nodes[row].isBorn = false
    sparkplug.nodes[row].early.removeAll()
    sparkplug.nodes[row].gapDeadline = nil
    event(message, DecodingEvent(kind: .died, device: name), &notes)
    stale(channels, message, &notes)
  }

  private func channels(_ device: [UInt8], _ message: Message) -> [ChannelIndex] {
    guard case .row(let row) = device.withView({ findDevice($0, message.match) }) else {
      return []
    }
    return plan.devices[row].points.map { plan.points[$0].channel }
  }

  private func stale(
    _ channels: [ChannelIndex],
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) {
    guard !channels.isEmpty else { return }
    notes.append(.stale(channels: channels, at: message.received))
  }

  /// Births and deaths of a device, and whether it is alive; true when there are metrics to read.
  private mutating func deviceMessage(
    _ kind: SparkplugKind,
    _ id: [UInt8],
    _ payload: ByteView,
    _ content: SparkplugPayload,
    _ row: Int,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Bool {
    let name = String(decoding: id, as: UTF8.self)
    var index = sparkplug.nodes[row].devices.firstIndex { $0.id == id }
    if kind == .deviceBirth, index == nil {
      guard sparkplug.count < plan.limits.births else {
        refuse(
          message,
          .stateLimit,
          "",
          "more than \(plan.limits.births) nodes and devices",
          &notes
        )
        return false
      }
      sparkplug.nodes[row].devices.append(SparkplugState.Device(id: id))
      index = sparkplug.nodes[row].devices.count - 1
    }
    guard let index, kind == .deviceBirth || sparkplug.nodes[row].devices[index].isBorn else {
      if kind == .deviceDeath { return false }
      refuse(message, .notBorn, "", "DDATA before the DBIRTH of \(name)", &notes)
      requestRebirth(row, message.received, &notes)
      return false
    }
    switch kind {
    case .deviceBirth:
      sparkplug.nodes[row].devices[index].isBorn = true
      sparkplug.nodes[row].devices[index].metrics = metrics(payload, content)
      born(id, content, message, &notes)
    case .deviceDeath:
      sparkplug.nodes[row].devices[index].isBorn = false
      event(message, DecodingEvent(kind: .died, device: name), &notes)
      stale(channels(id, message), message, &notes)
      return false
    default: break
    }
    return true
  }

  private mutating func takeSequence(
    _ content: SparkplugPayload,
    _ kind: SparkplugKind,
    _ row: Int,
    _ options: SparkplugOptions,
    _ message: Message,
    _ notes: inout [DecodingNote]
  ) -> Bool {
    guard let sequence = content.sequence, sequence < 256 else {
      refuse(
        message,
        .missingField,
        "seq",
        "\(kind.rawValue) needs a seq from 0 to 255",
        &notes
      )
      return false
    }
    let expected = sparkplug.nodes[row].nextSequence
    if case .early(true) = sparkplug.nodes[row].take(UInt8(sequence)) {
      let deadline = message.received.advanced(
        byMilliseconds: options.reorderTimeoutMilliseconds
      )
      sparkplug.nodes[row].gapDeadline = deadline
      sparkplug.dueHint = min(sparkplug.dueHint, deadline.milliseconds)
      event(
        message,
        DecodingEvent(
          kind: .sequenceGap,
          device: String(decoding: sparkplug.nodes[row].key, as: UTF8.self),
          detail: "seq \(sequence) where \(expected) was due"
        ),
        &notes
      )
    }
    return true
  }

  mutating func requestRebirth(
    _ row: Int,
    _ now: Timestamp,
    _ notes: inout [DecodingNote]
  ) {
    let node = sparkplug.nodes[row]
    if let last = node.lastRebirth, now.milliseconds(since: last) < node.rebirthInterval { return }
    sparkplug.nodes[row].lastRebirth = now
    let slash = node.key.firstIndex(of: 0x2F) ?? node.key.count
    let topic =
      Array("spBv1.0/".utf8) + node.key[..<slash] + Array("/NCMD".utf8) + node.key[slash...]
    notes.append(
      .publish(
        OutgoingMessage(
          topic: topic,
          payload: SparkplugPayload.rebirthRequest(at: now.milliseconds),
          qos: 0
        )
      )
    )
  }

  mutating func advanceSparkplug(to now: Timestamp, _ notes: inout [DecodingNote]) {
    guard sparkplug.dueHint <= now.milliseconds else { return }
    defer { sparkplug.dueHint = sparkplug.nextDeadline?.milliseconds ?? .max }
    for row in sparkplug.nodes.indices {
      guard let deadline = sparkplug.nodes[row].gapDeadline, deadline <= now else { continue }
      // Not too soon after the last request, and at a time that does not depend on ticks.
      let node = sparkplug.nodes[row]
      let earliest = node.lastRebirth?.advanced(byMilliseconds: node.rebirthInterval)
      let due = max(deadline, earliest ?? deadline)
      guard due <= now else {
        sparkplug.nodes[row].gapDeadline = due
        continue
      }
      sparkplug.nodes[row].abandonGap()
      requestRebirth(row, due, &notes)
    }
  }
}
